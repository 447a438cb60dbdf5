/* An indirect function, called and by address. */
#include <stdio.h>
static int slow(int v) { return v * 2; }
static int fast(int v) { return v + v; }
static int (*resolve(void))(int) { return sizeof(void *) == 8 ? fast : slow; }
int twice(int v) __attribute__((ifunc("resolve"))); int (*pointer)(int) = twice;
int main(void) { printf("%d %d\n", twice(21), pointer(4)); return twice(21) == 42 && pointer(4) == 8 ? 0 : 1; }
