/* Quicksort with insertion sort below a bound, and a heap. */
void quicksort(int *a, int lo, int hi) {
  while (hi - lo > 12) {
    int p = a[lo + (hi - lo) / 2], i = lo, j = hi;
    while (i <= j) {
      while (a[i] < p) i++;
      while (a[j] > p) j--;
      if (i <= j) { int t = a[i]; a[i++] = a[j]; a[j--] = t; }
    }
    if (j - lo < hi - i) { quicksort(a, lo, j); lo = i; } else { quicksort(a, i, hi); hi = j; }
  }
  for (int i = lo + 1; i <= hi; i++) {
    int v = a[i], j = i;
    for (; j > lo && a[j - 1] > v; j--) a[j] = a[j - 1];
    a[j] = v;
  }
}
static void sift(unsigned *h, int i, int n) {
  for (;;) {
    int c = 2 * i + 1;
    if (c >= n) return;
    if (c + 1 < n && h[c + 1] > h[c]) c++;
    if (h[i] >= h[c]) return;
    unsigned t = h[i]; h[i] = h[c]; h[c] = t; i = c;
  }
}
void heapsort(unsigned *h, int n) {
  for (int i = n / 2; i-- > 0;) sift(h, i, n);
  while (n-- > 1) { unsigned t = h[0]; h[0] = h[n]; h[n] = t; sift(h, 0, n); }
}
