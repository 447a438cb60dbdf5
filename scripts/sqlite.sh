#!/usr/bin/env bash
# SQLite as bitcode becomes a running program: sets up a Debian 12 machine, builds lode, fetches SQLite, compiles it and
# examples/sqlite/driver.c to bitcode with clang-19, links that with lode (statically, and dynamically as a PIE; from
# bitcode made at -O0 and at -O1), runs each program, and compares what it prints with the program that clang builds alone.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup-debian.sh
scripts/fetch-sqlite.sh
mkdir -p build && cmake --preset release > build/configure.log || { cat build/configure.log; exit 1; }
cmake --build --preset release --target lode

lode=$PWD/build/release/lode
out=build/sqlite
mkdir -p "$out"
crt() { gcc -print-file-name="$1"; }
flags=(-Ibuild/inputs/sqlite -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_OMIT_LOAD_EXTENSION -w)
run() { echo "\$ ${*//$PWD\//}"; "$@"; }

echo "clang-19 alone ..."
clang-19 -O1 "${flags[@]}" examples/sqlite/driver.c build/inputs/sqlite/sqlite3.c -lm -o "$out/reference"
"$out/reference" > "$out/expected.txt"

status=0
compare() {
  "$1" > "$1.txt" && cmp "$1.txt" "$out/expected.txt" && echo "equal to clang's own: $(tail -n 1 "$1.txt"), $(stat -c %s "$1") bytes" || status=1
}
for level in O0 O1; do
  for f in examples/sqlite/driver.c build/inputs/sqlite/sqlite3.c; do
    run clang-19 -c -emit-llvm -$level -fPIE "${flags[@]}" $f -o "$out/$(basename $f .c).$level.bc"
  done
  inputs=("$out/driver.$level.bc" "$out/sqlite3.$level.bc")
  run "$lode" -static "$(crt crt1.o)" "$(crt crti.o)" "${inputs[@]}" -L"$(dirname "$(crt libgcc.a)")" -L"$(dirname "$(crt libc.a)")" \
    -lm --start-group -lgcc -lgcc_eh -lc --end-group "$(crt crtn.o)" -o "$out/static.$level"
  compare "$out/static.$level"
  run "$lode" -pie -dynamic-linker /lib64/ld-linux-x86-64.so.2 "$(crt Scrt1.o)" "$(crt crti.o)" "${inputs[@]}" \
    -L"$(dirname "$(crt libgcc.a)")" -L"$(dirname "$(crt libc.so)")" -lm -lgcc -lc "$(crt crtn.o)" -o "$out/dynamic.$level"
  compare "$out/dynamic.$level"
done
sed -n '1,22p' "$out/static.O1.txt"
exit $status
