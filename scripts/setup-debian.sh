#!/usr/bin/env bash
# Installs from Debian 12 what building, testing and the SQLite job need. Run as root; does nothing (and needs no root)
# when all of it is there.
#
#   scripts/setup-debian.sh            build, tests, SQLite job
#   scripts/setup-debian.sh --extra    also what only the fuzzers, bench and the sweeps use
set -euo pipefail

packages=(
  # building lode
  g++ cmake ninja-build python3 libfmt-dev libtbb-dev libzstd-dev zlib1g-dev libxxhash-dev liblief-dev catch2
  # inputs: bitcode by clang, peers that link what lode -r writes, C start files and libc.a
  clang-19 lld-19 llvm-19 mold binutils gcc libc6-dev
  # wasm: validation, running, libc
  wabt wasi-libc libclang-rt-19-dev-wasm32
  # looking at what is installed: how pkg-config and man see it
  pkg-config groff-base
  # fetching the SQLite amalgamation
  git ca-certificates
)
extra=(clang-14 libclang-rt-14-dev binaryen csmith libcsmith-dev time
  gcc-riscv64-linux-gnu g++-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user)
# Another node than Debian's brings its own npm, and conflicts with Debian's package.
command -v node > /dev/null || packages+=(nodejs)
command -v npm > /dev/null || packages+=(npm)
[ "${1:-}" != --extra ] || packages+=("${extra[@]}")

missing=()
for p in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2> /dev/null)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing: ${missing[*]}"
[ "$(id -u)" = 0 ] || { echo "setup-debian.sh: must be root to install them" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
