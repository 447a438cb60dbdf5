/* Inline assembly: clobbers, operands, and what libc's headers use. x86_64 only; elsewhere it checks nothing. */
#include <stdint.h>
int main(void) {
  int v = 5; __asm__ volatile("" ::: "memory"); __asm__("" : "+r"(v)); 
#ifdef __x86_64__
  uint32_t a, b, c, d; __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0)); if (a == 0) return 1;
  int sum; __asm__("leal (%1,%2), %0" : "=r"(sum) : "r"(v), "r"(7)); if (sum != 12) return 2;
  uint64_t x = 1; __asm__("shlq $5, %0" : "+r"(x) : : "cc"); if (x != 32) return 3;
#endif
  return v == 5 ? 0 : 4;
}
