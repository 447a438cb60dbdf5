#!/usr/bin/env bash
# oneTBB 2021.8 of Debian 12: the first parallel loop of a process looks for libraries that Debian does not have, in dozens of places.
#
# A program links libtbb and runs one parallel_for over four numbers. What was expected: the loader maps libtbb and what it names, and the
# loop makes its threads. What happens: at its first loop the library asks the loader for libtbbmalloc, for libirml.so.1 (a resource manager
# that no Debian package contains) and for libiomp5.so (Intel's OpenMP runtime, to learn how many threads that would take), each of which the
# loader looks for in all of its folders, more of them the more LD_LIBRARY_PATH names. Nothing of it is needed, and nothing is said. A tool
# that runs for some milliseconds, or from a file system where a failed lookup is slow, sees it in its time; without a loop, or with another
# library under the parallel algorithms, there is none of it.
#
# Unpacks Debian 12's libtbb 2021.8.0-2+deb12u1 in a temporary folder; needs Debian 12 on x86-64 with package lists, and g++. Ends with 0 as long as
# this is so, with 1 when it changed, with 77 when the packages cannot be had.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work" || exit 77
g++ --version | head -n 1 || exit 77
for package in libtbb12 libtbbmalloc2 libtbb-dev libtbbbind-2-5; do
  apt-get download -q "$package=2021.8.0-2+deb12u1" > /dev/null 2>&1 || { echo "not to be had: $package 2021.8.0-2+deb12u1"; exit 77; }
done
for deb in *.deb; do dpkg-deb -x "$deb" root || exit 77; done
lib=$work/root/usr/lib/x86_64-linux-gnu

cat > loop.cpp << 'X'
#include <tbb/parallel_for.h>
#include <atomic>
#include <cstdio>
int main(int argc, char**) {
  std::atomic<int> sum{0};
  if (argc > 1) tbb::parallel_for(0, 4, [&](int i) { sum += i; });
  std::printf("%d\n", sum.load());
}
X
g++ -O1 -Iroot/usr/include -o loop loop.cpp -L"$lib" -ltbb -Wl,-rpath-link,"$lib" || exit 77

# What the loader tried, by name of the library: how many places.
tried() {
  LD_LIBRARY_PATH=$lib LD_DEBUG=libs ./loop "$@" 2>&1 | sed -n 's/.*trying file=.*\/\([^/]*\)$/\1/p' | sort | uniq -c
}
echo "without a loop:"; tried | tee without
echo "with one loop over four numbers:"; tried x | tee with
LD_LIBRARY_PATH=$lib ./loop x | grep -qx 6 || { echo "the program does not work"; exit 1; }

count() { awk -v n="$2" '$2 == n { print $1 } END { if (!NR) print 0 }' "$1" | head -n 1; }
irml=$(count with libirml.so.1)
[ "${irml:-0}" -ge 10 ] && grep -q libiomp5 with && ! grep -q 'libirml\|libiomp5' without || { echo "changed"; exit 1; }
dpkg -S libirml.so.1 > /dev/null 2>&1 && { echo "a package has libirml now"; exit 1; }
echo "as described: $irml places were tried for libirml.so.1"
