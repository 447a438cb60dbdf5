/* Loops that become masked loads and stores and gathers where the processor has AVX2 or AVX-512. */
#ifdef __x86_64__
#define NI __attribute__((noinline, target("arch=skylake")))
#define WIDE __attribute__((noinline, target("avx512f,avx512vl,avx512bw,avx512dq,prefer-256-bit")))
enum { n = 103 };
static int a[n], b[n], c[n];
static double d[n], e[n];
NI static void stores(int m) {
  for (int i = 0; i < m; i++)
    if (a[i] > 50) b[i] = a[i] * 3;
}
NI static void loads(int m) {
  for (int i = 0; i < m; i++)
    if (b[i] & 1) d[i] = e[i] + d[i];
}
NI static long gathers(int m) {
  long s = 0;
  for (int i = 0; i < m; i++) s += a[c[i]];
  return s;
}
WIDE static void scatters(int m) {
  for (int i = 0; i < m; i++)
    if (a[i] & 2) b[c[i]] = i;
}
int main(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return 0;
  for (int i = 0; i < n; i++) a[i] = i * 37 % 101, b[i] = i, c[i] = i * 10 % n, d[i] = i, e[i] = i * 0.5;
  stores(n - 2), loads(n - 1);
  long s = gathers(n - 3);
  for (int i = 0; i < n; i++) {
    int want = i < n - 2 && a[i] > 50 ? a[i] * 3 : i;
    if (b[i] != want) return 1;
    if (d[i] != (i < n - 1 && (want & 1) ? i * 1.5 : i)) return 2;
    if (i < n - 3) s -= a[c[i]];
  }
  if (s != 0) return 3;
  if (!__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512bw")) return 0;
  scatters(n);
  for (int i = 0; i < n; i++)
    if ((a[i] & 2) && b[c[i]] != i) return 4;
  return 0;
}
#else
int main(void) { return 0; }
#endif
