#!/usr/bin/env bash
# lode as the linker of its own build: links lode and every test program by lode, then runs all tests with them.
#
#   self_link.sh [BUILD] [OPTION...]      BUILD: a build folder, by default build/release; the options are ctest's
#
# Only link steps are run again: the linker is a flag of the executables. The build is put back at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}
shift || true
linker=$(mkdir -p "$build/self_link" && cd "$build/self_link" && pwd)
cmake --build "$build" --target lode
cp "$build/lode" "$linker/ld"
trap 'cmake -B "$build" -DCMAKE_EXE_LINKER_FLAGS= > /dev/null' EXIT
cmake -B "$build" "-DCMAKE_EXE_LINKER_FLAGS=-B$linker -Wl,--build-id" > /dev/null
cmake --build "$build"
# What GNU ld and lld write in .comment or not at all, lode's own name tells.
readelf -p .comment "$build/lode" | grep -q lode || { echo "self_link.sh: $build/lode was not linked by lode" >&2; exit 1; }
ctest --test-dir "$build" -j"$(nproc)" "$@"
