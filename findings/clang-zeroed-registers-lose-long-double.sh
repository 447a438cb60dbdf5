#!/usr/bin/env bash
# clang 19.1.7, -fzero-call-used-regs=all on x86-64: a function that returns long double returns something else.
#
# The option promises to zero registers that a function used and that hold nothing for the caller ("all": of every class).
# The result of type long double is in st(0). clang pushes eight zeros onto the x87 stack before it returns, and with the result
# there already the stack overflows; the caller reads a NaN. The modes "used" and "skip" are right; gcc 12 is right in all modes.
# What was expected: registers that hold the result stay, as they do for rax and xmm0.
#
# Installs the PyPI package ziglang 0.14.1, whose `zig cc` is clang 19.1.7, in a temporary folder; needs Linux on x86-64 and pip.
# Ends with 0 as long as this is so, with 1 when it changed, with 77 when the package cannot be had.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 77
python3 -m pip install -q --no-deps --disable-pip-version-check --root-user-action=ignore --target packages ziglang==0.14.1 || exit 77
export ZIG_GLOBAL_CACHE_DIR=$work/cache ZIG_LOCAL_CACHE_DIR=$work/cache
zig=packages/ziglang/zig
"$zig" cc --version | head -n 1

cat > twice.c << 'X'
__attribute__((noinline)) long double twice(long double a) { return a * 2; }
volatile long double x = 1.5L;
int main(void) { return twice(x) != 3.0L; }
X
seen=
for mode in skip used all; do
  "$zig" cc -O1 -target x86_64-linux-musl -fzero-call-used-regs=$mode twice.c -o twice || exit 77
  ./twice
  status=$?
  echo "-fzero-call-used-regs=$mode: the program ends with $status"
  seen="$seen$mode=$status "
done
[ "$seen" = "skip=0 used=0 all=1 " ]
