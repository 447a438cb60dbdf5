// flags: -ldl
/* Symbols of the shared libc by address: functions and data (copy relocations), dlsym where libc is shared. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char **environ; static size_t (*const table[])(const char *) = {strlen}; static FILE **const out = &stdout; int (*put)(const char *) = puts;
int main(void) { fprintf(*out, "%zu %d\n", table[0]("abcd"), environ != 0); put("through a pointer"); fputs("to stderr\n", stderr);
  if (table[0] != strlen || put != puts) return 1; optind = 3; return getenv("PATH") && optind == 3 ? 0 : 2; }
