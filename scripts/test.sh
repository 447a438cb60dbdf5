#!/usr/bin/env bash
# Sets up a Debian 12 machine, builds everything and runs the tests; ctest's summary comes last. A tool that is missing
# after the set-up ends it before anything is built: the tests that need it would be skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup-debian.sh
scripts/check-tools.sh
scripts/fetch-sqlite.sh
cmake --preset release
cmake --build --preset release
exec ctest --preset release -j"$(nproc)"
