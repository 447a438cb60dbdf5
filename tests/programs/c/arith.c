/* Integer arithmetic of all widths, with volatile operands so that no level folds it away. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
volatile int8_t b = -128; volatile uint8_t ub = 200; volatile int16_t h = -32768; volatile uint16_t uh = 60000;
volatile int32_t w = INT32_MIN + 1; volatile uint32_t uw = 4000000000u; volatile int64_t d = INT64_MIN + 1; volatile uint64_t ud = 1ull << 63;
volatile int s5 = 5, s31 = 31, s63 = 63; volatile int seven = 7, minus3 = -3;
int main(void) {
  CHECK(b / seven == -18 && b % seven == -2 && (int8_t)(b * 2) == 0 && (b >> 3) == -16);
  CHECK(ub / seven == 28 && ub % seven == 4 && (uint8_t)(ub + 100) == 44 && (ub << 1) == 400);
  CHECK(h / minus3 == 10922 && (int16_t)(h - 1) == 32767 && uh % 7 == 3 && (uh >> 5) == 1875);
  CHECK(w / 10 == -214748364 && w % 10 == -7 && (w >> s31) == -1 && (uw >> s5) == 125000000u && uw / seven == 571428571u);
  CHECK((w ^ 0x55555555) == (int)0xd5555554 && -w == INT32_MAX && (uint32_t)~uw == 294967295u);
  CHECK(d / 1000003 == -9223344366821 && d % 1000003 == -675344 && (d >> s63) == -1 && (ud >> s63) == 1 && ud % 1000000007u == 291172004u);
  CHECK((d | 0xff) == INT64_MIN + 255 && (uint64_t)d * 3 == 9223372036854775811u && (int64_t)(ud / 3) == 3074457345618258602);
  CHECK(__builtin_popcount(uw) == 13 && __builtin_clz(seven) == 29 && __builtin_ctzll(ud) == 63 && __builtin_bswap32(uw) == 0x00286bee);
  CHECK(((uw << 7) | (uw >> 25)) == 0x35940077 && (w < 0) + (uw > 5u) + (d < w) == 3);
  int o; long lo;
  CHECK(__builtin_add_overflow(w, -5, &o) && !__builtin_mul_overflow(seven, 6, &o) && o == 42 && __builtin_mul_overflow((long)d, 2L, &lo));
  return 0;
}
