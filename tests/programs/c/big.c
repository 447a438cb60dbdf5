/* Large frames, large data, much .bss, long jumps inside one function, deep recursion. */
#include <string.h>
static char bss[40 << 20]; static int data[5000] = {[4999] = 7}; static const int constants[3000] = {[1] = 5, [2999] = 9};
__attribute__((noinline)) static int frame(int n) { char a[70000]; int b[3000]; memset(a, n, sizeof a); for (int i = 0; i < 3000; i++) b[i] = a[i * 23] + i; return b[2999] + a[69999]; }
__attribute__((noinline)) static long recurse(int n, long a) { volatile char pad[100]; pad[n % 100] = (char)n; return n == 0 ? a : recurse(n - 1, a + pad[n % 100]) + 1; }
#define STEP(i) if (v & (1u << ((i) & 31))) { s = s * 3 + (i); if (s > 100000) s -= 99991; bss[s & 0xffff] ^= s; }
#define S10(i) STEP(i) STEP(i + 1) STEP(i + 2) STEP(i + 3) STEP(i + 4) STEP(i + 5) STEP(i + 6) STEP(i + 7) STEP(i + 8) STEP(i + 9)
#define S100(i) S10(i) S10(i + 10) S10(i + 20) S10(i + 30) S10(i + 40) S10(i + 50) S10(i + 60) S10(i + 70) S10(i + 80) S10(i + 90)
__attribute__((noinline)) static unsigned longbody(unsigned v) { unsigned s = 1, n = 0; again: S100(0) S100(100) S100(200) if (++n < 50) { v = v * 1103515245 + 12345; goto again; } return s; }
__attribute__((noinline)) static unsigned reference(unsigned v) { unsigned s = 1; for (int n = 0; n < 50; n++) { for (int i = 0; i < 300; i++) if (v & (1u << (i & 31))) { s = s * 3 + i; if (s > 100000) s -= 99991; } v = v * 1103515245 + 12345; } return s; }
int main(void) { bss[sizeof bss - 1] = 3; if (frame(5) != 3009 || data[4999] + constants[2999] + constants[1] + bss[sizeof bss - 1] != 24) return 1; if (recurse(10000, 0) < 0) return 2; return longbody(0x9e3779b9) == reference(0x9e3779b9) ? 0 : 3; }
