#!/usr/bin/env bash
# Looks whether all that packages.txt names is there, and says what is not, with its package. The tests skip what they
# cannot do: a run that counts asks this first.
#
#   scripts/check-tools.sh [--extra]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

status=0
while read -r group package needed; do
  case $group in
    base | command) ;;
    extra) [ "${1:-}" = --extra ] || continue ;;
    *) continue ;;  # comments
  esac
  for name in $needed; do
    case $name in
      /*) [ -e "$name" ] && continue ;;
      *) command -v "$name" > /dev/null && continue ;;
    esac
    echo "missing: $name (package $package)" >&2
    status=1
  done
done < "$here/packages.txt"
exit $status
