/* Loops, switches dense and sparse, goto into loops, computed goto, recursion, short circuits. */
#include <stdio.h>
#include <stdlib.h>
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
__attribute__((noinline)) int dense(int v) { switch (v) { case 0: return 5; case 1: return 3; case 2: case 3: return 8; case 4: return v * 2; case 5: v++; /* falls */ case 6: return v; case 7: return 70; case 9: return 90; default: return -1; } }
__attribute__((noinline)) int sparse(long v) { switch (v) { case -1000000000000: return 1; case -5: return 2; case 0: return 3; case 77: return 4; case 1000: return 5; case 123456789012345: return 6; } return 0; }
__attribute__((noinline)) int range(unsigned v) { switch (v) { case 10 ... 19: return 1; case 30 ... 4000: return 2; case 0xfffffff0u ... 0xffffffffu: return 3; } return 0; }
__attribute__((noinline)) int machine(const char *p) { static void *const ops[] = {&&add, &&sub, &&dup, &&end}; int a = 1; goto *ops[*p++ - '0'];
add: a += 3; goto *ops[*p++ - '0']; sub: a -= 1; goto *ops[*p++ - '0']; dup: a *= 2; goto *ops[*p++ - '0']; end: return a; }
__attribute__((noinline)) int ack(int m, int n) { return m == 0 ? n + 1 : n == 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1)); }
__attribute__((noinline)) int irreducible(int n) { int s = 0; if (n & 1) goto middle; top: s += n; n--; middle: s += 100; n--; if (n > 0) goto top; return s; }
int main(void) {
  int s = 0; for (int i = -2; i < 12; i++) s = s * 3 + dense(i);
  printf("%d\n", s);
  CHECK(sparse(-1000000000000) == 1 && sparse(-5) == 2 && sparse(0) == 3 && sparse(77) == 4 && sparse(1000) == 5 && sparse(123456789012345) == 6 && sparse(78) == 0);
  CHECK(range(9) == 0 && range(10) == 1 && range(19) == 1 && range(20) == 0 && range(4000) == 2 && range(4001) == 0 && range(-1) == 3);
  CHECK(machine("00123") == 12 && ack(2, 9) == 21);
  printf("%d %d\n", irreducible(7), irreducible(10));
  int primes = 0; for (int i = 2; i < 2000; i++) { for (int j = 2; j * j <= i; j++) if (i % j == 0) goto next; primes++; next:; }
  CHECK(primes == 303);
  return 0;
}
