#!/usr/bin/env bash
# Sets up a Debian 12 machine, builds everything and runs the tests; ctest's summary comes last.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup-debian.sh
scripts/fetch-sqlite.sh
cmake --preset release
cmake --build --preset release
exec ctest --preset release -j"$(nproc)"
