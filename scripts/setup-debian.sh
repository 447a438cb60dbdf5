#!/usr/bin/env bash
# Installs from Debian 12 what building, testing and the SQLite job need (packages.txt). Run as root; does nothing (and
# needs no root) when all of it is there.
#
#   scripts/setup-debian.sh            build, tests, SQLite job
#   scripts/setup-debian.sh --extra    also what only the fuzzers, bench and the sweeps use
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
while read -r group package needed; do
  case $group in
    base) ;;
    command) ! command -v "$needed" > /dev/null || continue ;;
    extra) [ "${1:-}" = --extra ] || continue ;;
    *) continue ;;  # comments
  esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
done < "$here/packages.txt"
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing: ${missing[*]}"
[ "$(id -u)" = 0 ] || { echo "setup-debian.sh: must be root to install them" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
