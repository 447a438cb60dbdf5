/* A hash table, a sort and a small interpreter: many live values, nested loops. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct Entry { char key[24]; uint64_t value; struct Entry *next; }; static struct Entry *buckets[257];
static uint64_t hash(const char *s) { uint64_t h = 1469598103934665603u; while (*s) { h ^= (unsigned char)*s++; h *= 1099511628211u; } return h; }
static struct Entry *find(const char *k) { struct Entry **p = &buckets[hash(k) % 257]; for (struct Entry *e = *p; e; e = e->next) if (!strcmp(e->key, k)) return e;
  struct Entry *e = calloc(1, sizeof *e); strcpy(e->key, k); e->next = *p; return *p = e; }
static void sort(int *a, int lo, int hi) { while (lo < hi) { int p = a[(lo + hi) / 2], i = lo, j = hi; while (i <= j) { while (a[i] < p) i++; while (a[j] > p) j--; if (i <= j) { int t = a[i]; a[i++] = a[j]; a[j--] = t; } }
    if (j - lo < hi - i) { sort(a, lo, j); lo = i; } else { sort(a, i, hi); hi = j; } } }
static long evaluate(const char **p); 
static long factor(const char **p) { if (**p == '(') { ++*p; long v = evaluate(p); ++*p; return v; } if (**p == '-') { ++*p; return -factor(p); } return strtol(*p, (char **)p, 10); }
static long term(const char **p) { long v = factor(p); while (**p == '*' || **p == '/') { char o = *(*p)++; long w = factor(p); v = o == '*' ? v * w : v / w; } return v; }
static long evaluate(const char **p) { long v = term(p); while (**p == '+' || **p == '-') { char o = *(*p)++; long w = term(p); v = o == '+' ? v + w : v - w; } return v; }
int main(void) {
  char k[24]; for (int i = 0; i < 20000; i++) { snprintf(k, sizeof k, "key%d", i * 7919 % 3001); find(k)->value += i; } uint64_t s = 0; for (int i = 0; i < 257; i++) for (struct Entry *e = buckets[i]; e; e = e->next) s = s * 31 + e->value;
  int a[3000]; uint32_t r = 1; for (int i = 0; i < 3000; i++) { r = r * 1664525 + 1013904223; a[i] = (int)(r >> 8) - 8000000; } sort(a, 0, 2999); for (int i = 1; i < 3000; i++) if (a[i - 1] > a[i]) return 1;
  const char *e = "((1+2)*3-4/2)*-(10-3)+100/7"; long v = evaluate(&e); printf("%016llx %d %ld\n", (unsigned long long)s, a[1500], v); return v == -35 ? 0 : 2;
}
