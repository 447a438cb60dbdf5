/* Complex numbers, numeric kernels with many live floats: FFT, matrices, n-body. */
#include <complex.h>
#include <math.h>
#include <stdio.h>
static void fft(double complex *a, int n) { if (n == 1) return; double complex e[n / 2], o[n / 2]; for (int i = 0; i < n / 2; i++) { e[i] = a[2 * i]; o[i] = a[2 * i + 1]; } fft(e, n / 2); fft(o, n / 2);
  for (int i = 0; i < n / 2; i++) { double complex t = cexp(-2 * 3.14159265358979323846 * I * i / n) * o[i]; a[i] = e[i] + t; a[i + n / 2] = e[i] - t; } }
struct Body { double p[3], v[3], m; };
int main(void) {
  double complex a[64]; for (int i = 0; i < 64; i++) a[i] = sin(i * 0.3) + I * cos(i * 0.7); fft(a, 64); double s = 0; for (int i = 0; i < 64; i++) s += cabs(a[i]); printf("%.9f\n", s);
  float complex f = (1 + 2 * I) * (3 - I) / (2 + I); printf("%.4f %.4f\n", crealf(f), cimagf(f));
  static double m[40][40], n[40][40], r[40][40]; for (int i = 0; i < 40; i++) for (int j = 0; j < 40; j++) { m[i][j] = i - j; n[i][j] = i * j % 7; } for (int i = 0; i < 40; i++) for (int j = 0; j < 40; j++) for (int k = 0; k < 40; k++) r[i][j] += m[i][k] * n[k][j]; printf("%g %g\n", r[3][5], r[39][38]);
  struct Body b[3] = {{{0, 0, 0}, {0, 0, 0}, 1000}, {{100, 0, 0}, {0, 3, 0}, 1}, {{0, 50, 10}, {-4, 0, 0.1}, 2}};
  for (int step = 0; step < 500; step++) { for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) if (i != j) { double d[3], q = 0; for (int c = 0; c < 3; c++) { d[c] = b[j].p[c] - b[i].p[c]; q += d[c] * d[c]; } q = b[j].m / (q * sqrt(q)); for (int c = 0; c < 3; c++) b[i].v[c] += d[c] * q * 0.05; }
    for (int i = 0; i < 3; i++) for (int c = 0; c < 3; c++) b[i].p[c] += b[i].v[c] * 0.05; }
  printf("%.6f %.6f %.6f\n", b[1].p[0], b[2].p[1], b[0].v[2]); return 0;
}
