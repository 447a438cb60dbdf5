/* Calling convention: many arguments, structs by value in registers and memory, struct results, varargs, function pointers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
struct Two { long a; double b; }; struct Big { int v[9]; }; struct Small { char c[3]; }; struct F2 { float x, y; }; struct F3 { float x, y, z; }; struct L { long double l; };
#define NI __attribute__((noinline))
NI long many(int a, long b, char c, short d, unsigned e, long f, int g, char h, long i, double x, float y, double z1, double z2, double z3, double z4, double z5, double z6, double z7) {
  return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h * 8 + i * 9 + (long)(x + y + z1 + z2 + z3 + z4 + z5 + z6 * 100 + z7 * 1000); }
NI struct Two two(struct Two t, struct F2 f) { t.a += 1; t.b += f.x + f.y; return t; }
NI struct Big big(struct Big b, int k) { b.v[k] += 100; return b; }
NI struct Small small(struct Small s) { s.c[0]++; s.c[2]--; return s; }
NI struct F3 f3(struct F3 a, struct F3 b) { return (struct F3){a.x + b.x, a.y + b.y, a.z + b.z}; }
NI struct L ld(struct L a, long double b) { a.l += b; return a; }
NI double sum(int n, ...) { va_list v, w; va_start(v, n); va_copy(w, v); double s = 0; for (int i = 0; i < n; i++) s += i % 3 == 0 ? va_arg(v, int) : i % 3 == 1 ? va_arg(v, double) : (double)va_arg(v, long);
  va_end(v); s += va_arg(w, int) * 1000; va_end(w); return s; }
NI long vstruct(int n, ...) { va_list v; va_start(v, n); struct Two t = va_arg(v, struct Two); struct Big b = va_arg(v, struct Big); long double l = va_arg(v, long double); va_end(v); return t.a + (long)t.b + b.v[8] + (long)l; }
struct Two (*volatile pointer)(struct Two, struct F2) = two;
int main(void) {
  CHECK(many(1, 2, 3, 4, 5, 6, 7, 8, 9, 1.5, 2.5f, 1, 1, 1, 1, 1, 1, 1) == 1 + 4 + 9 + 16 + 25 + 36 + 49 + 64 + 81 + 1109);
  struct Two t = pointer((struct Two){41, 0.5}, (struct F2){1, 2}); CHECK(t.a == 42 && t.b == 3.5);
  struct Big b = {{1, 2, 3, 4, 5, 6, 7, 8, 9}}; struct Big c = big(b, 8); CHECK(c.v[8] == 109 && c.v[0] == 1 && b.v[8] == 9);
  struct Small s = small((struct Small){{1, 2, 3}}); CHECK(s.c[0] == 2 && s.c[1] == 2 && s.c[2] == 2);
  struct F3 f = f3((struct F3){1, 2, 3}, (struct F3){4, 5, 6}); CHECK(f.x == 5 && f.y == 7 && f.z == 9);
  CHECK(ld((struct L){1.5L}, 2).l == 3.5L);
  CHECK(sum(12, 1, 2.5, 3L, 4, 5.5, 6L, 7, 8.5, 9L, 10, 11.5, 12L) == 80 + 1000);
  CHECK(vstruct(3, (struct Two){1, 2}, c, 4.0L) == 116);
  printf("%d %s %c %ld %g %Lg %p\n", 1, "two", '3', 4L, 5.0, 6.0L, (void *)7);
  return 0;
}
