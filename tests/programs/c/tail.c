/* musttail: calls that need no stack however many there are, with arguments on the stack that change places; and through a pointer. */
#ifdef __x86_64__
#define NI __attribute__((noinline))
#define MUSTTAIL __attribute__((musttail))
NI static long sum(long a, long b, long c, long d, long e, long f, long g, long h) {
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
NI static long turn(long a, long b, long c, long d, long e, long f, long g, long h) {
  if (a > 1000000) return sum(a, b, c, d, e, f, g, h);
  MUSTTAIL return turn(a + 1, c, d, b, f, e, h, g);
}
typedef long F(long, long, long, long, long, long, long, long);
F *volatile pointer = sum;
NI static long reversed(long a, long b, long c, long d, long e, long f, long g, long h) {
  F *p = pointer;
  MUSTTAIL return p(h, g, f, e, d, c, b, a);
}
NI static int odd(unsigned n);
NI static int even(unsigned n) {
  if (n == 0) return 1;
  MUSTTAIL return odd(n - 1);
}
NI static int odd(unsigned n) {
  if (n == 0) return 0;
  MUSTTAIL return even(n - 1);
}
int main(void) {
  /* 999011 turns: b, c, d move two places, the other pairs are exchanged. */
  if (turn(990, 1, 2, 3, 4, 5, 6, 7) != 1000001 + 2 * 3 + 3 * 1 + 4 * 2 + 5 * 5 + 6 * 4 + 7 * 7 + 8 * 6) return 1;
  if (reversed(1, 2, 3, 4, 5, 6, 7, 8) != 8 + 14 + 18 + 20 + 20 + 18 + 14 + 8) return 2;
  if (!even(10000000) || odd(10000000)) return 3;
  /* Addresses of frames, and of frames' callers. */
  return __builtin_frame_address(0) != 0 && __builtin_return_address(0) != 0 ? 0 : 4;
}
#else
int main(void) { return 0; }
#endif
