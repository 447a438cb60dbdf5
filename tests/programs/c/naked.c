/* Functions that are their assembly alone: no prologue moves the stack pointer, and the return is the text's. */
#include <stdio.h>
#ifdef __x86_64__
#define NAKED __attribute__((naked, noinline))
NAKED int difference(int a, int b) { __asm__("lea (%rdi), %eax\n\tsub %esi, %eax\n\tret"); }
NAKED long on_stack(long a, long b, long c, long d, long e, long f, long g) { __asm__("movq 8(%rsp), %rax\n\tretq"); }
NAKED void jump_on(const char *text) { __asm__("jmp puts"); }
NAKED void swap_stacks(void **from, void *to) {
  __asm__("pushq %rbx\n\tpushq %rbp\n\tmovq %rsp, (%rdi)\n\tmovq %rsi, %rsp\n\tpopq %rbp\n\tpopq %rbx\n\tretq");
}
static void *main_stack, *fiber_stack;
static long memory[4096];
static void fiber(void) {
  puts("in the fiber");
  swap_stacks(&fiber_stack, main_stack);
}
int main(void) {
  long *top = memory + 4001;
  *--top = 0;
  *--top = (long)fiber;
  *--top = 0;
  *--top = 0;
  swap_stacks(&main_stack, top);
  jump_on("through a jump");
  printf("%d %ld\n", difference(50, 8), on_stack(1, 2, 3, 4, 5, 6, 7));
  return 0;
}
#else
int main(void) { return 0; }
#endif
