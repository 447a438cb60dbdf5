/* FLT_ROUNDS follows fesetround(). */
#include <float.h>
#include <stdio.h>
#ifdef __x86_64__
static void set(unsigned mode) { /* of the x87 control word and of mxcsr: 0 nearest, 1 down, 2 up, 3 to zero */
  unsigned short word;
  unsigned sse;
  __asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(word), "=m"(sse));
  word = (unsigned short)((word & ~0xc00u) | mode << 10);
  sse = (sse & ~0x6000u) | mode << 13;
  __asm__ volatile("fldcw %0\n\tldmxcsr %1" : : "m"(word), "m"(sse));
}
#endif
int main(void) {
  int first = __builtin_flt_rounds();
#ifdef __x86_64__
  int seen[4];
  for (unsigned mode = 0; mode < 4; mode++) {
    set(mode);
    seen[mode] = __builtin_flt_rounds();
  }
  set(0);
  printf("%d %d %d %d\n", seen[0], seen[1], seen[2], seen[3]);
  if (seen[0] != 1 || seen[1] != 3 || seen[2] != 2 || seen[3] != 0) return 1;
#endif
  printf("%d\n", first);
  return first != 1;
}
