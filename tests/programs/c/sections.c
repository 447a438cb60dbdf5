/* Sections of one's own and the symbols that bound them, retained data, comparison of addresses. */
#include <stdio.h>
#define ITEM(n, v) static const int n __attribute__((section("items"), used, retain)) = v
ITEM(a, 10); ITEM(b, 20); ITEM(c, 12); extern const int __start_items[], __stop_items[];
extern char __ehdr_start[] __attribute__((weak)), _end[], _edata[], __bss_start[], _etext[], etext[]; static int zero[10];
int main(void) { int s = 0; for (const int *p = __start_items; p < __stop_items; p++) s += *p; printf("%d %ld\n", s, (long)(__stop_items - __start_items));
  return s == 42 && (char *)zero >= __bss_start && (char *)(zero + 10) <= _end && _edata <= __bss_start + 64 && _etext == etext && (char *)main < etext ? 0 : 1; }
