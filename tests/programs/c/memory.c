/* Arrays, pointers, structs with padding, bit-fields, unions, memcpy and memset of many sizes, alloca, over-aligned locals. */
#include <alloca.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define CHECK(x) do { if (!(x)) exit(__LINE__ % 200 + 1); } while (0)
struct Bits { unsigned a : 3; signed b : 5; unsigned long c : 37; unsigned d : 1; unsigned : 0; short e : 9; };
struct __attribute__((packed)) Packed { char c; int i; short s; long l; };
union U { uint64_t u; double d; unsigned char c[8]; };
static struct { char name[6]; int v; double w; } table[] = {{"one", 1, 1.5}, {"two", 2, 2.5}, {"three", 3, 3.5}};
struct Node { struct Node *next; int v; }; static struct Node third = {0, 3}, second = {&third, 2}, first = {&second, 1};
static int grid[4][5][6]; static const char *const strings[] = {"alpha", "beta", "gamma" "delta", ""};
__attribute__((noinline)) int aligned(int n) { _Alignas(64) char buffer[100]; char *p = alloca(n); memset(p, 7, n); memset(buffer, 3, sizeof buffer); return ((uintptr_t)buffer % 64 == 0) * (p[n - 1] + buffer[99]); }
int main(void) {
  volatile struct Bits b = {5, -9, 0x1555555555, 1, -200};
  CHECK(b.a == 5 && b.b == -9 && b.c == 0x1555555555 && b.d == 1 && b.e == -200); b.b += 3; b.c <<= 1; CHECK(b.b == -6 && b.c == 0xaaaaaaaaa);
  struct Packed p = {1, 2, 3, 4}; CHECK(sizeof p == 15 && p.i + p.s + p.l + p.c == 10);
  union U u = {.d = 1.0}; CHECK(u.u == 0x3ff0000000000000 && u.c[7] == 0x3f);
  double sum = 0; for (unsigned i = 0; i < 3; i++) sum += table[i].v * table[i].w + strlen(table[i].name); CHECK(sum == 28);
  int n = 0; for (struct Node *k = &first; k; k = k->next) n = n * 10 + k->v; CHECK(n == 123);
  for (int i = 0; i < 4; i++) for (int j = 0; j < 5; j++) for (int k = 0; k < 6; k++) grid[i][j][k] = i * 100 + j * 10 + k; CHECK(grid[3][4][5] == 345 && ((int *)grid)[37] == 111);
  unsigned char a[300], c[300]; for (int size = 0; size < 280; size += size < 40 ? 1 : 13) { for (int i = 0; i < 300; i++) { a[i] = i * 7; c[i] = 0; } memcpy(c + 3, a + 1, size); memset(a, 9, size);
    for (int i = 0; i < size; i++) CHECK(c[i + 3] == (unsigned char)((i + 1) * 7) && a[i] == 9); CHECK(c[2] == 0 && c[size + 3] == 0 && a[size] == (unsigned char)(size * 7)); }
  memmove(c + 5, c, 100); CHECK(c[5] == 0 && memcmp("abc", "abd", 3) < 0 && strcmp(strings[2], "gammadelta") == 0 && aligned(50) == 10);
  return 0;
}
