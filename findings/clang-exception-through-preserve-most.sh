#!/usr/bin/env bash
# clang 19.1.7 on x86-64 Linux: an exception that passes through a preserve_most function leaves its caller with garbage.
#
# preserve_most promises that the function gives back nearly all registers as it got them. clang takes that to hold for the way by an
# exception, too, and keeps values that a handler needs in registers like rsi or r8. libgcc's unwinder gives back only what the platform's
# own convention preserves, as the C++ ABI lets it, so the handler computes with whatever is there then. Without the attribute, and at
# -O0, the program is right. Nothing warns. What was expected: values that a handler reads are kept where an unwinder gives them back.
# LLVM's tracker knows the kind since 2024 (llvm/llvm-project issue 112943, seen there with ms_abi).
#
# Unpacks Debian 12's clang-19 1:19.1.7-3~deb12u1 in a temporary folder and links with the system's g++ 12; needs Debian 12 on x86-64 with
# package lists, and g++. Ends with 0 as long as this is so, with 1 when it changed, with 77 when the packages cannot be had.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work" || exit 77
for package in clang-19 libclang-cpp19 libclang-common-19-dev libllvm19; do
  apt-get download -q "$package=1:19.1.7-3~deb12u1" > /dev/null 2>&1 || { echo "not to be had: $package"; exit 77; }
done
for deb in *.deb; do dpkg-deb -x "$deb" root || exit 77; done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/llvm-19/lib
clang=root/usr/lib/llvm-19/bin/clang
"$clang" --version | head -n 1
g++ --version | head -n 1 || exit 77

cat > through.cpp << 'X'
struct Failed { int code; };
long next(long x);
#ifdef PRESERVE
__attribute__((preserve_most))
#endif
__attribute__((noinline)) void check(long x) {
  long a = next(x), b = next(a), c = next(b);
  if (x > 3) throw Failed{int(a + b + c)};
}
__attribute__((noinline)) long use(long p, long q, long r, long s, long t, long u) {
  long a = p * 3, b = q * 5, c = r * 7, d = s * 11, e = t * 13, f = u * 17;
  try { check(p); } catch (Failed& x) { return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + x.code; }
  return a;
}
int main() { return use(5, 6, 7, 8, 9, 10) != 15 + 60 + 147 + 352 + 585 + 1020 + 21; }
X
echo 'long next(long x) { return x + 1; }' > next.cpp
seen=
for options in "-O0 -DPRESERVE" "-O1" "-O1 -DPRESERVE" "-O2 -DPRESERVE"; do
  "$clang" -x c++ $options -c through.cpp -o through.o && "$clang" -x c++ -O1 -c next.cpp -o next.o && g++ through.o next.o -o through || exit 77
  ./through
  status=$?
  echo "$options: the handler's sum is $([ $status = 0 ] && echo right || echo wrong)"
  seen="$seen$status "
done
[ "$seen" = "0 0 1 1 " ]
