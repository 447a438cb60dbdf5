/* Natural numbers in 32-bit digits: addition, multiplication, division by a digit, printing. */
#include <stdint.h>
#include <string.h>
int add_big(uint32_t *r, const uint32_t *a, int na, const uint32_t *b, int nb) {
  if (na < nb) { const uint32_t *t = a; a = b; b = t; int n = na; na = nb; nb = n; }
  uint64_t c = 0;
  for (int i = 0; i < na; i++) { c += (uint64_t)a[i] + (i < nb ? b[i] : 0); r[i] = (uint32_t)c; c >>= 32; }
  if (c) r[na++] = (uint32_t)c;
  return na;
}
int multiply_big(uint32_t *r, const uint32_t *a, int na, const uint32_t *b, int nb) {
  memset(r, 0, (size_t)(na + nb) * 4);
  for (int i = 0; i < na; i++) {
    uint64_t c = 0;
    for (int j = 0; j < nb; j++) { c += (uint64_t)a[i] * b[j] + r[i + j]; r[i + j] = (uint32_t)c; c >>= 32; }
    r[i + nb] = (uint32_t)c;
  }
  return r[na + nb - 1] ? na + nb : na + nb - 1;
}
uint32_t divide(uint32_t *a, int n, uint32_t d) {
  uint64_t c = 0;
  while (n--) { c = c << 32 | a[n]; a[n] = (uint32_t)(c / d); c %= d; }
  return (uint32_t)c;
}
char *print(char *end, uint32_t *a, int n) {
  *--end = 0;
  do {
    uint32_t d = divide(a, n, 1000000000);
    while (n && !a[n - 1]) n--;
    for (int k = 0; k < 9 && (n || d); k++) { *--end = (char)('0' + d % 10); d /= 10; }
  } while (n);
  return end;
}
