/* Interpreters with computed goto: handlers that share tails, are reached by direct jumps too, and keep their state in many variables. */
#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
typedef unsigned char u8;

/* A stack machine; the accumulator, the stack's top, a double and a step count are all live across the dispatch. */
NI static long run(const u8 *code, long *stack, double *out, long limit) {
  static const void *const ops[] = {&&push, &&add, &&mul, &&dup, &&swap, &&jnz, &&dec, &&half, &&wide, &&halt, &&over};
  const u8 *pc = code;
  long *sp = stack, top = 0, steps = 0, wide_bits = 0;
  double sum = 0.5;
#define NEXT do { if (++steps > limit) goto expired; goto *ops[*pc++]; } while (0)
  NEXT;
push: *sp++ = top; top = *pc++ | wide_bits; wide_bits = 0; NEXT;
add: top += *--sp; goto account;
mul: top *= *--sp; goto account;
dup: *sp++ = top; NEXT;
swap: { long t = sp[-1]; sp[-1] = top; top = t; } NEXT;
over: *sp++ = top; top = sp[-2]; NEXT;
jnz: { int d = (signed char)*pc++; if (top) pc += d; else { top = *--sp; goto account; } } NEXT;
dec: top--; NEXT;
half: if (top & 1) goto odd; top /= 2; NEXT;
odd: sum += (double)top; top = top / 2; NEXT;
wide: wide_bits = (wide_bits | *pc++) << 8; NEXT;
account: sum += (double)top * 0.25; if (sum > 1e12) goto expired; NEXT;
halt: *out = sum; return top * 1000 + steps;
expired: *out = -sum; return -steps;
}

/* Labels in an automatic array, differences of labels, and a label that is only compared. */
NI static int offsets(unsigned seed) {
  static const int table[] = {(int)(&&b - &&a), (int)(&&c - &&a), (int)(&&a - &&a)};
  int n = 0, r = 0;
again:
  if (n == 20) return r;
  seed = seed * 1664525u + 1013904223u;
  goto *(&&a + table[(seed >> 20) % 3]);
a: r += 1; n++; goto again;
b: r += 100; n += 2; if (n > 20) n = 20; goto again;
c: r ^= n; n++; goto again;
}

NI static int local(int x) {
  void *where[4];
  where[0] = &&zero; where[1] = &&one; where[2] = &&zero; where[3] = where[1];
  int y = x * 3;
  goto *where[x & 3];
zero: if (where[0] != where[2]) abort(); return y + 1;
one: if (where[3] != &&one) abort(); return y - 1;
}

int main(void) {
  enum { PUSH, ADD, MUL, DUP, SWAP, JNZ, DEC, HALF, WIDE, HALT, OVER };
  static const u8 factorial[] = {PUSH, 1, PUSH, 12, /* loop: */ DUP, PUSH, 0, ADD, SWAP, DEC, /* acc n n-1 */
                                 SWAP, PUSH, 3, MUL, SWAP, JNZ, (u8)-5, HALT};
  static const u8 mixed[] = {WIDE, 3, PUSH, 232, OVER, ADD, DUP, HALF, ADD, HALF, HALF, SWAP, DEC, JNZ, (u8)-9, HALT};
  long stack[4096];
  double d;
  long r = run(factorial, stack + 8, &d, 4000);
  printf("%ld %.3f\n", r, d);
  for (long limit = 1; limit < 4000; limit = limit * 2 + 1) {
    for (int i = 0; i < 64; i++) stack[i] = i * 7 + 1;
    r = run(mixed, stack + 8, &d, limit);
    printf("%ld %.3f\n", r, d);
  }
  for (unsigned s = 0; s < 6; s++) printf("%d ", offsets(s * 77));
  for (int i = 0; i < 8; i++) printf("%d ", local(i));
  puts("");
  return 0;
}
