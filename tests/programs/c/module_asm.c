/* Module-level inline assembly that speaks of symbols: other names, binding, visibility. */
#ifdef __x86_64__
int answer(void) __asm__("answer");
__attribute__((used)) int answer(void) { return 42; }
int numbers[4] = {1, 2, 3, 4};
extern int other(void), local_name(void), missing(void);
extern int third;
/* a comment */
__asm__(
    "  .globl other   # known everywhere\n"
    "  .type other, @function; .set other, answer\n"
    "local_name = answer\n"
    "third = numbers + 8 /* over\n two lines */\n"
    "  .weak missing\n"
    "  .hidden other\n"
    "  .text\n");
int main(void) {
  int (*volatile absent)(void) = missing;
  if (other() != 42 || local_name() != 42 || third != 3) return 1;
  return absent != 0;
}
#else
int main(void) { return 0; }
#endif
