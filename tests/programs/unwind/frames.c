/* Functions with frames of every shape, which an exception passes through: plain, with saved registers, with a dynamic
   array, over-aligned, both, large. Each calls back and then uses what it keeps in its frame. */
#include <stdint.h>
#include <string.h>
typedef int (*Callback)(int);
int plain(Callback f, int n) { return f(n) + 1; }
int saved(Callback f, int n, int a, int b, int c, int d, int e, int g) {
  int r = f(n);
  return r + a * b - c * d + e * g + n;
}
int dynamic(Callback f, int n) {
  char buffer[n + 1];
  memset(buffer, n, n + 1);
  int r = f(n);
  return r + buffer[n / 2];
}
int aligned(Callback f, int n) {
  _Alignas(64) int a[16];
  for (int i = 0; i < 16; i++) a[i] = i * n;
  int r = f(n);
  return r + a[n & 15] + ((uintptr_t)a % 64 != 0) * 1000;
}
int both(Callback f, int n) {
  _Alignas(128) int a[32];
  char buffer[n + 1];
  memset(buffer, n, n + 1);
  for (int i = 0; i < 32; i++) a[i] = i;
  int r = f(n);
  return r + a[n & 15] + buffer[n / 2] + ((uintptr_t)a % 128 != 0) * 1000;
}
int large(Callback f, int n) {
  char a[5000];
  memset(a, n, sizeof a);
  if (n > 100) return 5;
  int r = f(n);
  return r + a[n];
}
