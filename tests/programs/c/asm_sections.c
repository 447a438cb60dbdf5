/* What inline assembly puts into other sections: places in the text as addresses, distances and differences, names of statics and
   globals, strings, and a symbol that only the assembly defines. */
#include <stdio.h>
#ifdef __x86_64__
struct entry {
  int site, target, length, kind;
};
extern const struct entry __start_site_table[], __stop_site_table[];
extern const unsigned long seen_by_asm;
static int counter;
static __attribute__((noinline, used)) int hidden(int x) { return x + counter; }
__attribute__((noinline)) int shown(int x) { return x - 1; }
#define MARK(kind)                                 \
  __asm__ volatile(                                \
      "1: nop\n\tnop\n\tnop\n2:\n\t"               \
      ".pushsection site_table, \"a\", @progbits\n\t" \
      ".balign 4\n\t"                              \
      ".long 1b - ., hidden - .\n\t"               \
      ".long 2b - 1b\n\t"                          \
      ".long %c0 * 2 + (1 << 4)\n\t"               \
      ".popsection"                                \
      :                                            \
      : "i"(kind))
__attribute__((noinline)) int marked(int x) {
  MARK(1);
  if (x > 3) MARK(2);
  return hidden(x);
}
static const void *at(const int *place) { return (const char *)place + *place; }
int main(void) {
  counter = 40;
  if (marked(2) != 42 || marked(5) != 45 || shown(1) != 0) return 1;
  __asm__ volatile(
      ".pushsection .data.rel.ro.words, \"aw\"\n\t"
      ".globl seen_by_asm\n\t.hidden seen_by_asm\n\t.type seen_by_asm, @object\n\t.size seen_by_asm, 8\n"
      "seen_by_asm: .quad shown + 0\n\t"
      ".ascii \"# no; comment\"\n\t"
      ".popsection");
  const struct entry *e = __start_site_table;
  if (__stop_site_table - e != 2) return 2;
  for (int i = 0; i < 2; i++) {
    const unsigned char *site = at(&e[i].site);
    if (site[0] != 0x90 || site[2] != 0x90 || at(&e[i].target) != (const void *)hidden || e[i].length != 3) return 3 + i;
  }
  if (e[0].kind + e[1].kind != 18 + 20) return 5;
  if (seen_by_asm != (unsigned long)shown) return 6;
  puts("right");
  return 0;
}
#else
int main(void) { return 0; }
#endif
