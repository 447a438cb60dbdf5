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
int main(void) {
  volatile int kept = 3; int r = setjmp(where); if (r == 0) { kept = 8; deep(20); return 1; } if (r != 42 || kept != 8) return 2;
  signal(SIGUSR1, on_signal); raise(SIGUSR1); if (seen != SIGUSR1) return 3;
  const char *words[] = {"pear", "fig", "apple", "kiwi", "banana", "date", "plum"}; qsort(words, 7, sizeof *words, by_length);
  for (int i = 0; i < 7; i++) printf("%s ", words[i]); const char *key = "kiwi"; puts(bsearch(&key, words, 7, sizeof *words, by_length) ? "found" : "lost");
  return 0;
}
