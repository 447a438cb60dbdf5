#!/usr/bin/env bash
# Makes the seeds of the fuzzers that link, corpus/elf_link/, wasm_link/ and ir_link/, from the sources beside this file. The
# seeds are in the repository, so that the tests need no compiler and do the same everywhere; this is for changing them.
set -euo pipefail
cd "$(dirname "$0")"
out=../corpus/elf_link
mkdir -p "$out"
quiet=(-fno-ident -fno-asynchronous-unwind-tables)
gcc -c -O1 "${quiet[@]}" -fPIC -ffunction-sections -fdata-sections code.c -o "$out/code-pic"
clang-19 -c -O1 -fno-ident -fno-pic -fcommon -funwind-tables code.c -o "$out/code-static"
gcc -c -O0 -g1 -gz=zlib -fno-ident -fdebug-prefix-map="$PWD=." code.c -o "$out/code-debug"
gcc -c -O1 -fno-ident -fPIC companion.c -o "$out/companion-pic"
gcc -c -O1 -fno-ident -fno-pic companion.c -o "$out/companion-static"
clang++-19 -c -O1 -fno-ident throw.cpp -o "$out/throw"
clang-19 -c every.s -o "$out/every"
gcc -shared -nostdlib -O1 "${quiet[@]}" -fPIC library.c -Wl,--version-script=library.map,-soname=library.so,-z,noseparate-code,--build-id=none -s -o "$out/library.so"
riscv=(--target=riscv64-linux-gnu -fno-ident -fdebug-compilation-dir=.)
clang-19 "${riscv[@]}" -c -O1 -fPIC -mtls-dialect=desc -ffunction-sections code.c -o "$out/code-riscv64-pic"
clang-19 "${riscv[@]}" -c -O1 -g -fno-pic code.c -o "$out/code-riscv64-debug"
clang++-19 "${riscv[@]}" -c -O1 throw.cpp -o "$out/throw-riscv64"
llvm-mc-19 --triple=riscv64 -mattr=+m,+a,+f,+d,+c,+relax -filetype=obj every-riscv64.s -o "$out/every-riscv64"
wasm=../corpus/wasm_link
mkdir -p "$wasm"
clang-19 --target=wasm32 -c -O1 -fno-ident wasm_code.c -o "$wasm/code"
clang-19 --target=wasm32 -c -O0 -g -fdebug-compilation-dir=. -fno-ident wasm_code.c -o "$wasm/code-debug"
clang-19 --target=wasm32 -c -O2 -fno-ident -matomics -mbulk-memory -fPIC -ffunction-sections wasm_code.c -o "$wasm/code-threads"
clang-19 --target=wasm64 -c -O1 -fno-ident wasm_code.c -o "$wasm/code-64"
clang++-19 --target=wasm32 -c -O1 -fno-ident -fwasm-exceptions throw.cpp -o "$wasm/throw"
clang-19 --target=wasm32 -c -O1 -fno-ident wasm_companion.c -o "$wasm/companion"
clang-19 --target=wasm64 -c -O1 -fno-ident wasm_companion.c -o "$wasm/companion-64"
ir=../corpus/ir_link
mkdir -p "$ir"
for file in ir/*.ll; do
  for target in x86_64 wasm32; do
    case $target in
      x86_64) head='target triple = "x86_64-pc-linux-gnu" target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"' ;;
      wasm32) head='target triple = "wasm32-unknown-unknown" target datalayout = "e-m:e-p:32:32-p10:8:8-p20:8:8-i64:64-n32:64-S128-ni:1:10:20"' ;;
    esac
    { echo "$head"; cat "$file"; } | llvm-as-19 - -o "$ir/$(basename "$file" .ll)-$target.bc"
  done
done
clang-19 -c -O1 -emit-llvm -fno-ident code.c -o "$ir/code-x86_64.bc"
clang-19 --target=wasm32 -c -O0 -emit-llvm -fno-ident wasm_code.c -o "$ir/code-wasm32.bc"
clang++-19 -c -O1 -emit-llvm -fno-ident throw.cpp -o "$ir/throw-x86_64.bc"
cd "$out"
rm -f both.a
ar rcsD both.a code-pic every
