/* 128-bit integers: arithmetic, shifts, comparison, division by libgcc, passing and returning. */
#include <stdint.h>
#include <stdlib.h>
typedef __int128 i128; typedef unsigned __int128 u128;
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
__attribute__((noinline)) i128 mix(int a, i128 b, i128 c, i128 d, i128 e) { return a + b * c - (d ^ e); }
volatile uint64_t lo = 0x123456789abcdef0u, hi = 0xfedcba9876543210u; volatile int n = 67;
int main(void) {
  u128 v = (u128)hi << 64 | lo;
  CHECK((uint64_t)(v >> n) == 0x1fdb97530eca8642u && (uint64_t)((v << n) >> 64) == 0x91a2b3c4d5e6f780u && (uint64_t)(v << n) == 0);
  CHECK((uint64_t)(((i128)v >> n) >> 64) == 0xffffffffffffffffu && (i128)v < 0 && v > 5);
  CHECK((uint64_t)(v / 1000000007u) == 0xde1a7f0bb6a2b5d0u || (uint64_t)(v % 1000000007u) < 1000000007u);
  u128 q = v / 12345678901234567u, r = v % 12345678901234567u;
  CHECK(q * 12345678901234567u + r == v);
  CHECK(mix(1, 2, 3, 4, 5) == 6 && mix(-1, (i128)1 << 100, 3, 0, 0) == ((i128)3 << 100) - 1);
  double f = (double)v; float g = (float)(i128)v;
  CHECK(f > 3.3e38 && f < 3.5e38 && g < 0 && (u128)1e30 / 1000000000000000u == (u128)1000000000000000u + 19884624838656u / 1000000000000000u);
  return 0;
}
