#!/usr/bin/env bash
# Puts SQLite's amalgamation (sqlite3.c, sqlite3.h) into a folder, build/inputs/sqlite unless another is named, from the
# npm package better-sqlite3. Does nothing when it is there.
set -euo pipefail
version=12.11.1
top=$(cd "$(dirname "$0")/.." && pwd)
to=${1:-$top/build/inputs/sqlite}
[ ! -f "$to/sqlite3.c" ] || exit 0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
(cd "$temp" && npm pack --loglevel=error "better-sqlite3@$version" > /dev/null && tar -xzf ./*.tgz package/deps/sqlite3)
mkdir -p "$to"
cp "$temp"/package/deps/sqlite3/sqlite3.[ch] "$to/"
echo "SQLite $(sed -n 's/^#define SQLITE_VERSION  *"\(.*\)"/\1/p' "$to/sqlite3.h") is in $to"
