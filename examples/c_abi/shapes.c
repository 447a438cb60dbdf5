// Structures by value to and from functions that are written in AIR: shapes.air for x86_64, shapes32.air for wasm32.
// docs/c-abi.md explains them line by line.
#include <stdio.h>

struct pair { int x, y; };
struct point { float x, y; };
struct mixed { double d; int n; };
struct large { long long v[3]; };
struct one { double d; };

// In AIR.
struct pair swap(struct pair p);
struct point mirror(struct point p);
struct mixed twice(struct mixed m);
struct large shift(struct large l, int by);
double half(struct one o);
long long call_c(void);

// Called from AIR. What they get is theirs to change.
struct large make_large(int first) { return (struct large){{first, first + 1, first + 2}}; }
long long sum(struct pair p, struct mixed m, struct large l) {
  l.v[0] += p.x + p.y;
  return l.v[0] + l.v[1] + l.v[2] + (long long)m.d + m.n;
}

int main(void) {
  struct pair p = swap((struct pair){1, 2});
  struct point q = mirror((struct point){0.5f, 2.5f});
  struct mixed m = twice((struct mixed){1.25, 21});
  struct large l = shift((struct large){{1, 2, 3}}, 10);
  printf("%d %d, %g %g, %g %d, %lld %lld %lld, %g\n", p.x, p.y, q.x, q.y, m.d, m.n, l.v[0], l.v[1], l.v[2], half((struct one){7}));
  printf("%lld\n", call_c());
  return 0;
}
