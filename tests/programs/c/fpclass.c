/* The classes of floating-point numbers, alone, combined and in vectors (llvm.is.fpclass). The result is that of clang's own build. */
#include <stdio.h>
#include <string.h>
#define NI __attribute__((noinline))
typedef float floats __attribute__((vector_size(16)));
typedef int ints __attribute__((vector_size(16)));
static unsigned long hash = 5381;
static void note(long v) { hash = hash * 33 + (unsigned long)v; }
#define TESTS(name, type)                                                                                            \
  NI int name(type x) {                                                                                              \
    return (__builtin_isfpclass(x, 1) << 0) | (__builtin_isfpclass(x, 2) << 1) | (__builtin_isfpclass(x, 4) << 2) |   \
           (__builtin_isfpclass(x, 8) << 3) | (__builtin_isfpclass(x, 16) << 4) | (__builtin_isfpclass(x, 32) << 5) | \
           (__builtin_isfpclass(x, 64) << 6) | (__builtin_isfpclass(x, 128) << 7) |                                  \
           (__builtin_isfpclass(x, 256) << 8) | (__builtin_isfpclass(x, 512) << 9) |                                 \
           (__builtin_isfpclass(x, 3) << 10) | (__builtin_isfpclass(x, 0x204) << 11) |                               \
           (__builtin_isfpclass(x, 0x108) << 12) | (__builtin_isfpclass(x, 0x90) << 13) |                            \
           (__builtin_isfpclass(x, 0x60) << 14) | (__builtin_isfpclass(x, 0x1f8) << 15) |                            \
           (__builtin_isfpclass(x, 0x3fe) << 16) | (__builtin_isfpclass(x, 0x235) << 17);                            \
  }
TESTS(of_float, float)
TESTS(of_double, double)
#ifdef __x86_64__
TESTS(of_extended, long double)
NI int is_nan(long double x) { return __builtin_isfpclass(x, 3); }
static void extended(unsigned short top, unsigned long significand) {
  long double x = 0;
  memcpy(&x, &significand, 8);
  memcpy((char *)&x + 8, &top, 2);
  /* No leading bit: not supported by processors. That it is a NaN is all that compilers agree on. */
  if (top & 0x7fff && !(significand >> 63)) note(is_nan(x));
  else note(of_extended(x));
}
#endif
NI void subnormals(int *restrict d, const float *restrict a, int n) {
  for (int i = 0; i < n; i++) d[i] = __builtin_issubnormal(a[i]);
}
NI void finite(int *restrict d, const float *restrict a, int n) {
  for (int i = 0; i < n; i++) d[i] = __builtin_isfinite(a[i]) + 2 * __builtin_isinf(a[i]);
}
int main(void) {
  static const unsigned floats32[] = {0, 1, 0x7fffff, 0x800000, 0x3f800000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fbfffff, 0x7fc00000, 0x7fffffff};
  float in[24];
  int out[24];
  for (int i = 0; i < 22; i++) {
    unsigned bits = floats32[i / 2] | (unsigned)(i & 1) << 31;
    unsigned long wide = (unsigned long)(bits & 0x80000000u) << 32 | (unsigned long)(bits & 0x7f800000) << 29 | (bits & 0x7fffff);
    if ((bits & 0x7f800000) == 0x7f800000) wide |= 0x7ff0000000000000ul | (unsigned long)(bits & 0x7fffff) << 29;
    float f;
    double d;
    memcpy(&f, &bits, 4);
    memcpy(&d, &wide, 8);
    note(of_float(f));
    note(of_double(d));
    in[i] = f;
  }
  in[22] = 3, in[23] = 1e-40f;
  subnormals(out, in, 24);
  for (int i = 0; i < 24; i++) note(out[i]);
  finite(out, in, 24);
  for (int i = 0; i < 24; i++) note(out[i]);
#ifdef __x86_64__
  static const unsigned short tops[] = {0, 1, 0x3fff, 0x7ffe, 0x7fff};
  static const unsigned long significands[] = {0, 1, 0x7ffffffffffffffful, 0x8000000000000000ul, 0x8000000000000001ul, 0xbffffffffffffffful,
                                               0xc000000000000000ul, 0xfffffffffffffffful};
  for (int t = 0; t < 10; t++)
    for (int s = 0; s < 8; s++) {
      if ((tops[t / 2] & 0x7fff) == 0 && significands[s] >> 63) continue; /* pseudo-denormals: of no class that compilers agree on */
      extended((unsigned short)(tops[t / 2] | (t & 1) << 15), significands[s]);
    }
#endif
  printf("%lx\n", hash);
  return 0;
}
