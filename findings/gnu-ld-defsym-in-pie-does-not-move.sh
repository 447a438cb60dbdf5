#!/usr/bin/env bash
# GNU ld 2.40: in a position-independent executable, a symbol made by --defsym NAME=SYMBOL+4 does not move with the program.
#
# A data word that holds the symbol's address gets no relocation and holds the link-time value, so that the running program reads an
# address where nothing is. ld.lld 19 relocates the word. What was expected: the symbol stays as far from the other one as was asked,
# as it does for code that forms both addresses relative to the program counter. Neither linker says a word.
#
# Unpacks Debian 12's binutils 2.40-2 and lld-19 1:19.1.7-3~deb12u1 in a temporary folder; needs Debian 12 on x86-64 with package lists.
# Ends with 0 as long as this is so, with 1 when it changed, with 77 when the packages cannot be had.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work" || exit 77
for package in binutils-x86-64-linux-gnu=2.40-2 libbinutils=2.40-2 libctf0=2.40-2 libctf-nobfd0=2.40-2 libgprofng0=2.40-2 \
  lld-19=1:19.1.7-3~deb12u1 libllvm19=1:19.1.7-3~deb12u1; do
  apt-get download -q "$package" > /dev/null 2>&1 || { echo "not to be had: $package"; exit 77; }
done
for deb in *.deb; do dpkg-deb -x "$deb" root || exit 77; done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/usr/lib/llvm-19/lib
tools=root/usr/bin/x86_64-linux-gnu
"$tools-ld" --version | head -n 1
root/usr/lib/llvm-19/bin/lld -flavor gnu --version || exit 77

cat > a.s << 'X'
.globl _start
_start:
	mov word(%rip), %rax
	lea _start+4(%rip), %rcx
	xor %edi, %edi
	cmp %rcx, %rax
	setne %dil
	mov $60, %eax
	syscall
.data
word:	.quad x
X
"$tools-as" a.s -o a.o || exit 77
options="-pie -dynamic-linker /lib64/ld-linux-x86-64.so.2 --defsym x=_start+4"
"$tools-ld" $options a.o -o by-ld && root/usr/lib/llvm-19/bin/lld -flavor gnu $options a.o -o by-lld || exit 77
./by-ld
ld=$?
./by-lld
lld=$?
echo "the word is the symbol's address: by ld $((1 - ld)), by lld $((1 - lld))"
[ "$ld $lld" = "1 0" ]
