/* float, double, long double: arithmetic, conversion both ways, comparison with NaN, printing. */
#include <math.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
volatile float f = 1.5f, tiny = 1e-40f; volatile double d = -2.25, huge = 1e300, nan_; volatile long double x = 3.0L; volatile uint64_t big = 0xfffffffffffff800u; volatile int i = -7; volatile unsigned u = 4000000000u;
int main(void) {
  nan_ = 0.0 / (d - d);
  CHECK(f * 2 == 3.0f && f / 4 == 0.375f && d * d == 5.0625 && -d == 2.25 && fabs(d) == 2.25 && tiny > 0);
  CHECK(!(nan_ == nan_) && nan_ != nan_ && !(nan_ < 1) && !(nan_ >= 1) && isunordered(nan_, d) && isinf(huge * huge));
  CHECK((int)d == -2 && (unsigned)(f * 100) == 150 && (double)big == 18446744073709549568.0 && (uint64_t)(double)big == big && (int64_t)-1e18 == -1000000000000000000);
  CHECK((float)i == -7.0f && (double)u == 4e9 && (float)u == 4e9f && (long double)u == 4e9L && (int)(x * i) == -21 && (uint64_t)(x * 1e18L) == 3000000000000000000u);
  CHECK(x / 7 > 0.42857142857142857L && x / 7 < 0.42857142857142858L && (float)(x / 3) == 1.0f && (double)(x * x) == 9.0);
  CHECK(sqrt(d * d) == 2.25 && floor(d) == -3 && ceilf(f) == 2 && fmin(d, nan_) == d && copysign(1, d) == -1 && fma(2, 3, 4) == 10 && lround(2.5) == 3);
  printf("%.17g %.9g %.20Lg %a\n", d / 3, f / 3, x / 7, huge);
  return 0;
}
