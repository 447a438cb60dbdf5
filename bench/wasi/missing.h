// Included before Lua's sources: declarations of ISO C that wasi-libc leaves out. The functions stay undefined; see
// setjmp.h.
#include <stdio.h>
#include <stdlib.h>
#define L_tmpnam 20
char *tmpnam(char *);
FILE *tmpfile(void);
int system(const char *);
