/* Vectors of the C extension and loops that an optimiser makes vectors of. */
#include <stdlib.h>
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
typedef int v4 __attribute__((vector_size(16))); typedef float f4 __attribute__((vector_size(16))); typedef unsigned char c16 __attribute__((vector_size(16))); typedef long l2 __attribute__((vector_size(16)));
__attribute__((noinline)) v4 mul_add(v4 a, v4 b, v4 c) { return a * b + c; }
__attribute__((noinline)) f4 scale(f4 a, float s) { return a * s - (f4){1, 2, 3, 4}; }
__attribute__((noinline)) c16 bytes(c16 a, c16 b) { return (a & b) ^ (a > b); }
__attribute__((noinline)) long dot(const int *a, const int *b, int n) { long s = 0; for (int i = 0; i < n; i++) s += (long)a[i] * b[i]; return s; }
__attribute__((noinline)) void saxpy(float *restrict y, const float *restrict x, float k, int n) { for (int i = 0; i < n; i++) y[i] += k * x[i]; }
__attribute__((noinline)) unsigned maximum(const unsigned *p, int n) { unsigned m = 0; for (int i = 0; i < n; i++) m = p[i] > m ? p[i] : m; return m; }
int main(void) {
  v4 r = mul_add((v4){1, 2, 3, 4}, (v4){5, 6, 7, 8}, (v4){9, 9, 9, 9}); CHECK(r[0] == 14 && r[1] == 21 && r[2] == 30 && r[3] == 41);
  f4 f = scale((f4){1, 2, 3, 4}, 2); CHECK(f[0] == 1 && f[3] == 4); c16 a, b; for (int i = 0; i < 16; i++) { a[i] = i * 3; b[i] = 40 - i; } c16 c = bytes(a, b); unsigned s = 0; for (int i = 0; i < 16; i++) s = s * 7 + c[i]; 
  unsigned t = 0; for (int i = 0; i < 16; i++) { unsigned char x = i * 3, y = 40 - i; t = t * 7 + (unsigned char)((x & y) ^ (x > y ? 255 : 0)); } CHECK(s == t);
  l2 w = (l2){1, 2} << (l2){3, 4}; CHECK(w[0] == 8 && w[1] == 32); v4 sh = __builtin_shufflevector(r, r, 3, 2, 1, 0); CHECK(sh[0] == 41 && sh[3] == 14);
  int p[100], q[100]; float x[100], y[100]; unsigned u[100]; for (int i = 0; i < 100; i++) { p[i] = i * i - 50; q[i] = 3 - i; x[i] = i; y[i] = 1; u[i] = i * 2654435761u; }
  CHECK(dot(p, q, 100) == -23284950); saxpy(y, x, 0.5f, 100); CHECK(y[99] == 50.5f && maximum(u, 97) == 4260046087u);
  return 0;
}
