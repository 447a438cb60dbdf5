typedef struct { int a; char b[7]; double d; void *p; } S;
extern int external(const char *, ...);
static int table[4] = {1, 2, 3, 4};
S global = {7, "abc", 2.5, &table[2]};
__thread int tls = 3;
static int weak_target(void) { return 5; }
__attribute__((weak)) int weak_function(void) { return weak_target(); }
int alias_of(void) __attribute__((alias("weak_function")));
__attribute__((section(".mine"), used)) int placed = 0x1234;
long double wide = 3.25L;
__int128 big = ((__int128)1 << 100) + 5;
int loop(int n) {
  int s = 0;
  for (int i = 0; i < n; i++) s += table[i & 3] * i;
  return s;
}
int pick(int x) {
  switch (x) {
    case 1: return 10;
    case -2: return 20;
    case 300: return 30;
    default: return external("%d %s\n", x, global.b) + tls;
  }
}
S copy(S s, int i) { s.b[i] = 'x'; s.d *= 2; return s; }
long atomics(long *p, long v) {
  __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
  long e = 3;
  __atomic_compare_exchange_n(p, &e, 9, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  return e + __builtin_clzl(v) + __builtin_popcountl(v);
}
void *jump(int i) {
  static void *labels[] = {&&a, &&b};
  goto *labels[i];
a: return labels[1];
b: return labels[0];
}
