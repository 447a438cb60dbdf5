/* setjmp and longjmp, signals, qsort and bsearch with callbacks. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static jmp_buf where; static volatile sig_atomic_t seen;
static void on_signal(int s) { seen = s; }
__attribute__((noinline)) static void deep(int n) { if (n == 0) longjmp(where, 42); deep(n - 1); }
static int by_length(const void *a, const void *b) { const char *x = *(const char *const *)a, *y = *(const char *const *)b; int d = (int)strlen(x) - (int)strlen(y); return d ? d : strcmp(x, y); }
/* More values than registers live across setjmp, and more made of them behind it: each keeps what it had. */
static volatile int zero; static int sum;
__attribute__((noinline)) static int number(int n) { return n + zero; }
__attribute__((noinline)) static void take(int n) { sum += n; }
__attribute__((noinline)) static void back(int n) { if (!zero) longjmp(where, n); }
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
__attribute__((noinline)) static int many(int n) {
#define DEFINE(i) int v##i = number(i + n);
#define CHANGE(i) int t##i = v##i ^ (n + 100);
#define TAKE(i) take(t##i);
#define ADD(i) s = s * 3 + v##i;
  ALL(DEFINE)
  if (setjmp(where) == 0) { ALL(CHANGE) take(1); ALL(TAKE) back(3); ALL(TAKE) return 0; }
  int s = 0; ALL(ADD) return s;
}
int main(void) {
  int s = 0;
#define EXPECT(i) s = s * 3 + i + 4;
  ALL(EXPECT) if (many(4) != s) return 4;
  volatile int kept = 3; int r = setjmp(where); if (r == 0) { kept = 8; deep(20); return 1; } if (r != 42 || kept != 8) return 2;
  signal(SIGUSR1, on_signal); raise(SIGUSR1); if (seen != SIGUSR1) return 3;
  const char *words[] = {"pear", "fig", "apple", "kiwi", "banana", "date", "plum"}; qsort(words, 7, sizeof *words, by_length);
  for (int i = 0; i < 7; i++) printf("%s ", words[i]); const char *key = "kiwi"; puts(bsearch(&key, words, 7, sizeof *words, by_length) ? "found" : "lost");
  return 0;
}
