// A program in C that makes code and runs it: a calculator whose formula changes while it runs. The formula is AIR text,
// linked into a shared library in memory, and loaded; what is replaced is compiled again and nothing else is.
//
//   c_api [X]      the formula of X, then after the function, and then the constant of it, were replaced
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lode/lode_c.h"

static const char formula[] =
    "declare hidden func @scaled(i64) -> i64\n"
    "strong func @formula(%x: i64) -> i64 {\n"
    "a:\n"
    "  %y = call i64 @scaled(i64 %x)\n"
    "  %z = add i64 %y, 1\n"
    "  ret i64 %z\n"
    "}\n";
static const char scaled[] =
    "strong hidden data @factor : i64 = 10\n"
    "strong hidden func @scaled(%x: i64) -> i64 {\n"
    "a:\n"
    "  %f = load i64, ptr @factor\n"
    "  %y = mul i64 %x, %f\n"
    "  ret i64 %y\n"
    "}\n";
static const char squared[] =
    "declare hidden data @factor : i64\n"
    "strong hidden func @scaled(%x: i64) -> i64 {\n"
    "a:\n"
    "  %f = load i64, ptr @factor\n"
    "  %s = mul i64 %x, %x\n"
    "  %y = mul i64 %s, %f\n"
    "  ret i64 %y\n"
    "}\n";
static const char hundred[] = "strong hidden data @factor : i64 = 100\n";

// A shared library of these bytes, which has no name anywhere; NULL if it cannot be loaded.
static void *load(const lode_buffer *bytes) {
  const int fd = memfd_create("formula", MFD_CLOEXEC);
  if (fd < 0) return NULL;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int whole = write(fd, bytes->data, bytes->size) == (ssize_t)bytes->size;
  void *library = whole ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  close(fd);  // the loader has mapped what it needs
  return library;
}

// Links what there is, and prints the formula of x.
static lode_error *print_formula(lode_linker *linker, long x) {
  lode_buffer bytes;
  lode_error *e = lode_flush_to_memory(linker, "formula.so", &bytes);
  if (e) return e;
  void *library = load(&bytes);
  lode_buffer_free(&bytes);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  long (*function)(long);
  *(void **)&function = dlsym(library, "formula");
  printf("formula(%ld) = %ld\n", x, function(x));
  dlclose(library);
  return NULL;
}

int main(int argc, char **argv) {
  const long x = argc > 1 ? atol(argv[1]) : 3;
  const char *options[] = {"-shared", "--no-undefined"};
  lode_linker *linker;
  lode_error *e = lode_linker_create(options, 2, &linker);
  if (!e) e = lode_add_module(linker, "formula", formula, strlen(formula));
  if (!e) e = lode_add_module(linker, "scaled", scaled, strlen(scaled));
  if (!e) e = print_formula(linker, x);
  if (!e) e = lode_replace_function(linker, "scaled", squared, strlen(squared));
  if (!e) e = print_formula(linker, x);
  if (!e) e = lode_replace_data(linker, "factor", hundred, strlen(hundred));
  if (!e) e = print_formula(linker, x);
  if (!e) {
    // Removed, it is missing: an error with a place, after which the linker goes on.
    e = lode_remove_symbol(linker, "scaled");
    lode_error *missing = e ? e : print_formula(linker, x);
    if (!e) printf("without it: %.*s\n", (int)strcspn(lode_error_message(missing), "\n"), lode_error_message(missing));
    lode_error_free(missing);
    lode_restore_symbol(linker, "scaled");
    lode_restore_symbol(linker, "factor");
    e = print_formula(linker, x);
  }
  if (e) fprintf(stderr, "%s\n", lode_error_message(e));
  const int status = e != NULL;
  lode_error_free(e);
  lode_linker_destroy(linker);
  return status;
}
