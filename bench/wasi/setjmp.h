// wasi-libc has no setjmp. The modules of the benchmark are measured, not run: calls of it stay undefined.
typedef struct {
  int unused[8];
} jmp_buf[1];
int setjmp(jmp_buf);
_Noreturn void longjmp(jmp_buf, int);
