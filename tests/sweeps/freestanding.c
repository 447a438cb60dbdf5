/* Enough of a C library, without input or output, for programs that only compute and then exit or abort: linked as
   bitcode into WebAssembly programs that take the executable route without wasi-libc. */
typedef __SIZE_TYPE__ size_t;

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"), noreturn)) void proc_exit(int status);
/* clang calls main(void) __main_void and main(int, char **) __main_argc_argv. */
__attribute__((weak)) int __main_argc_argv(int argc, char **argv);
__attribute__((weak)) int __main_void(void) { return __main_argc_argv(0, 0); }

extern char __heap_base;
static char *heap;
void *malloc(size_t n) {
  if (!heap) heap = &__heap_base;
  heap = (char *)(((size_t)heap + 15) & ~(size_t)15);
  char *p = heap;
  size_t end = (size_t)p + n;
  if (end > __builtin_wasm_memory_size(0) * 65536 &&
      __builtin_wasm_memory_grow(0, (end - __builtin_wasm_memory_size(0) * 65536 + 65535) / 65536) == (size_t)-1) {
    return 0;
  }
  heap += n;
  return p;
}
void free(void *p) { (void)p; }
void *memset(void *d, int c, size_t n) {
  for (char *p = d; n; n--) *p++ = (char)c;
  return d;
}
void *calloc(size_t a, size_t b) {
  void *p = malloc(a * b);
  return p ? memset(p, 0, a * b) : p;
}
void *memcpy(void *d, const void *s, size_t n) {
  const char *q = s;
  for (char *p = d; n; n--) *p++ = *q++;
  return d;
}
void *memmove(void *d, const void *s, size_t n) {
  char *p = d;
  const char *q = s;
  if (p < q) return memcpy(d, s, n);
  while (n--) p[n] = q[n];
  return d;
}
int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *p = a, *q = b;
  for (; n; n--, p++, q++) {
    if (*p != *q) return *p - *q;
  }
  return 0;
}
size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}
int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (unsigned char)*a - (unsigned char)*b;
}
int strncmp(const char *a, const char *b, size_t n) {
  for (; n; n--, a++, b++) {
    if (*a != *b || !*a) return (unsigned char)*a - (unsigned char)*b;
  }
  return 0;
}
char *strcpy(char *d, const char *s) {
  char *p = d;
  while ((*p++ = *s++)) {}
  return d;
}
char *strncpy(char *d, const char *s, size_t n) {
  size_t i = 0;
  for (; i < n && s[i]; i++) d[i] = s[i];
  for (; i < n; i++) d[i] = 0;
  return d;
}
char *strcat(char *d, const char *s) {
  strcpy(d + strlen(d), s);
  return d;
}
char *strchr(const char *s, int c) {
  for (;; s++) {
    if (*s == (char)c) return (char *)s;
    if (!*s) return 0;
  }
}
int abs(int v) { return v < 0 ? -v : v; }
long labs(long v) { return v < 0 ? -v : v; }
void exit(int status) { proc_exit(status); }
void _Exit(int status) { proc_exit(status); }
void abort(void) { __builtin_trap(); }
void _start(void) { proc_exit(__main_void()); }
