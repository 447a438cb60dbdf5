/* Constructors with priorities, destructors, atexit, arguments, weak and common symbols, aliases. */
#include <stdio.h>
#include <stdlib.h>
static int order; 
__attribute__((constructor(200))) static void late(void) { order = order * 10 + 2; }
__attribute__((constructor(150))) static void early(void) { order = order * 10 + 1; }
__attribute__((constructor)) static void last(void) { order = order * 10 + 3; }
__attribute__((destructor)) static void done(void) { puts("destructor"); fflush(stdout); }
static void at_exit(void) { puts("atexit"); }
int common; extern int absent __attribute__((weak)); extern void nothing(void) __attribute__((weak));
int real(void) { return 77; } int other(void) __attribute__((alias("real"))); int __attribute__((weak)) overridable(void) { return 4; }
int main(int argc, char **argv) { (void)argv; atexit(at_exit); printf("%d %d %d\n", order, argc, common);
  return order == 123 && &absent == 0 && nothing == 0 && other() == 77 && overridable() == 4 ? 0 : 1; }
