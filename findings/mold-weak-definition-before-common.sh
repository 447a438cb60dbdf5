#!/usr/bin/env bash
# mold 1.10.1: a weak definition is taken although another object has a common symbol of the name.
#
# The gABI ("Symbol Table", STB_WEAK) says that a linker honours the common definition and ignores the weak one, and
# GNU ld 2.40 and ld.lld 19 do so, in whatever order the objects stand. What was expected: mold does, too. A program
# whose library has a weak default for a variable, and that has a tentative definition of its own (C with -fcommon, as
# old C and all Fortran has them), starts with another value by mold than by the others, and no linker says a word.
#
# Unpacks Debian 12's mold 1.10.1+dfsg-1, binutils 2.40-2 and lld-19 1:19.1.7-3~deb12u1 in a temporary folder; needs
# Debian 12 on x86-64 with package lists. Ends with 0 as long as this is so, with 1 when it changed, with 77 when the
# packages cannot be had.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work" || exit 77
for package in mold=1.10.1+dfsg-1 binutils-x86-64-linux-gnu=2.40-2 libbinutils=2.40-2 libctf0=2.40-2 \
  libctf-nobfd0=2.40-2 libgprofng0=2.40-2 lld-19=1:19.1.7-3~deb12u1 libllvm19=1:19.1.7-3~deb12u1; do
  apt-get download -q "$package" > /dev/null 2>&1 || { echo "not to be had: $package"; exit 77; }
done
for deb in *.deb; do dpkg-deb -x "$deb" root || exit 77; done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/llvm-19/lib
tools=root/usr/bin/x86_64-linux-gnu
root/usr/bin/mold --version || exit 77
"$tools-ld" --version | head -n 1
root/usr/lib/llvm-19/bin/lld -flavor gnu --version || exit 77

cat > weak.s << 'X'
.weak x
.data
.type x, @object
.size x, 4
x:	.long 5
X
cat > common.s << 'X'
.comm x, 4, 4
.globl _start
_start:
	mov x(%rip), %edi
	mov $60, %eax
	syscall
X
for f in weak common; do "$tools-as" "$f.s" -o "$f.o" || exit 77; done
seen=""
for order in "weak.o common.o" "common.o weak.o"; do
  root/usr/bin/mold $order -o by-mold && "$tools-ld" $order -o by-ld &&
    root/usr/lib/llvm-19/bin/lld -flavor gnu $order -o by-lld || exit 77
  for linker in mold ld lld; do
    "./by-$linker"
    value=$?
    echo "$order: x is $value by $linker"
    seen="$seen $value"
  done
done
[ "$seen" = " 5 0 0 5 0 0" ]
