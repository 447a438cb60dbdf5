// The C interface of the linker, as a C program uses it: every function, and every kind of error.
//
//   linker_test FOLDER [OBJECT BITCODE]      both define two(), which returns 2000 and 3000
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lode/lode_c.h"

static int failures = 0;
static void check(int good, const char *what, int line) {
  if (good) return;
  failures++;
  printf("line %d: %s\n", line, what);
}
#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

// Whether the error says this text; frees it. Without a text: whether there is none.
static int said(lode_error *e, const char *wanted) {
  const char *message = lode_error_message(e);
  const int good = wanted ? e && strstr(message, wanted) != NULL : !e;
  if (!good) printf("said: %s\n", e ? message : "(nothing)");
  lode_error_free(e);
  return good;
}

// AIR text for the linker of the moment: WebAssembly's pointers have four bytes.
static int pointer_bytes = 8;
static const char *air(const char *text) {
  static char whole[2][1024];
  static int k = 0;
  k = !k;
  snprintf(whole[k], sizeof whole[k], "layout pointer_bytes %d\n%s", pointer_bytes, text);
  return whole[k];
}
static lode_error *add(lode_linker *l, const char *name, const char *text) {
  return lode_add_module(l, name, air(text), strlen(air(text)));
}
static lode_error *replace(lode_linker *l, const char *function, const char *text) {
  return lode_replace_function(l, function, air(text), strlen(air(text)));
}
static lode_error *replace_data(lode_linker *l, const char *datum, const char *text) {
  return lode_replace_data(l, datum, air(text), strlen(air(text)));
}

static char *read_whole(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *bytes = malloc(1 << 20);
  *size = fread(bytes, 1, 1 << 20, f);
  fclose(f);
  return bytes;
}

static int call(const char *path, const char *name) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    printf("%s\n", dlerror());
    return -1;
  }
  int (*f)(void);
  *(void **)&f = dlsym(library, name);
  const int value = f ? f() : -2;
  dlclose(library);
  return value;
}

// The value of sum() after a flush to a file of its own.
static int flushed(lode_linker *l, const char *folder) {
  static int count = 0;
  char path[4096];
  snprintf(path, sizeof path, "%s/%d.so", folder, count++);
  lode_error *e = lode_flush(l, path);
  if (e) {
    printf("%s\n", lode_error_message(e));
    lode_error_free(e);
    return -3;
  }
  return call(path, "sum");
}

static const char sum[] =
    "declare func @one() -> i32\ndeclare func @two() -> i32\ndeclare data @three : i32\n"
    "strong func @sum() -> i32 {\na:\n  %x = call i32 @one()\n  %y = call i32 @two()\n  %s = add i32 %x, %y\n"
    "  %z = load i32, ptr @three\n  %t = add i32 %s, %z\n  ret i32 %t\n}\n";
static const char one[] = "strong func @one() -> i32 {\na:\n  ret i32 1\n}\n";
static const char seven[] = "strong func @one() -> i32 {\na:\n  ret i32 7\n}\n";
static const char two[] = "strong func @two() -> i32 {\na:\n  ret i32 20\n}\n";
static const char three[] = "strong data @three : i32 = 300\n";
static const char four[] = "strong data @three : i32 = 400\n";

struct seen {
  int count;
  char file[64];
  uint32_t line;
};
static void see(void *data, const lode_diagnostic *d) {
  struct seen *s = data;
  s->count++;
  s->line = d->line;
  snprintf(s->file, sizeof s->file, "%s", d->file);
}

static void errors(void) {
  lode_linker *l = NULL;
  const char *wrong[] = {"--no-such-option"};
  CHECK(said(lode_linker_create(wrong, 1, &l), "unknown command line option: --no-such-option"));
  CHECK(l == NULL);
  const char *none[] = {NULL};
  CHECK(said(lode_linker_create(none, 1, &l), "argument 0 is no string"));
  CHECK(said(lode_linker_create(NULL, 0, NULL), "no place for the linker"));
  CHECK(said(lode_linker_create(NULL, 0, &l), NULL));
  CHECK(said(lode_add_module(NULL, "m", "", 0), "no linker was given"));
  CHECK(said(lode_add_module(l, NULL, "", 0), "no name was given"));
  CHECK(said(lode_add_module(l, "m", NULL, 0), "m: the module is empty"));
  CHECK(said(lode_flush(l, NULL), "no name was given"));
  CHECK(said(lode_flush_to_memory(l, "a", NULL), "no place for the output"));
  struct seen seen = {0, "", 0};
  lode_set_diagnostic_handler(l, see, &seen);
  lode_error *e = add(l, "m", "strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n");
  CHECK(e != NULL);
  CHECK(strcmp(lode_error_place(e), "m:4:11") == 0);
  CHECK(lode_error_diagnostic_count(e) == 1);
  CHECK(lode_error_diagnostic(e, 0).severity == LODE_ERROR);
  CHECK(lode_error_diagnostic(e, 0).line == 4);
  CHECK(lode_error_diagnostic(e, 0).column == 11);
  CHECK(strcmp(lode_error_diagnostic(e, 0).file, "m") == 0);
  CHECK(strcmp(lode_error_diagnostic(e, 1).text, "") == 0);
  CHECK(said(e, "m:4:11: error: '%x' is not defined"));
  CHECK(seen.count == 1 && seen.line == 4 && strcmp(seen.file, "m") == 0);
  lode_set_diagnostic_handler(l, NULL, NULL);
  CHECK(!lode_remove_module(l, "m"));
  CHECK(!lode_remove_module(NULL, "m"));
  CHECK(!lode_restore_symbol(l, "f"));
  lode_linker_destroy(l);
  lode_linker_destroy(NULL);
  lode_error_free(NULL);
  CHECK(strcmp(lode_error_message(NULL), "") == 0);
  CHECK(strcmp(lode_error_place(NULL), "") == 0);
  lode_buffer_free(NULL);
}

static void edits(const char *folder, const char *object, const char *bitcode) {
  const char *options[] = {"-shared", "-Bsymbolic", "--no-undefined"};
  lode_linker *l;
  CHECK(said(lode_linker_create(options, 3, &l), NULL));
  CHECK(said(add(l, "sum", sum), NULL));
  CHECK(said(add(l, "one", one), NULL));
  CHECK(said(lode_flush(l, "/nowhere/at/all.so"), "undefined symbol: t"));
  CHECK(lode_diagnostic_count(l) == 2);
  CHECK(lode_diagnostic_at(l, 0).severity == LODE_ERROR);
  CHECK(strcmp(lode_diagnostic_at(l, 2).text, "") == 0);
  CHECK(said(add(l, "two", two), NULL));
  CHECK(said(add(l, "three", three), NULL));
  CHECK(flushed(l, folder) == 321);
  CHECK(lode_diagnostic_count(l) == 0);
  CHECK(said(replace(l, "one", seven), NULL));
  CHECK(flushed(l, folder) == 327);
  CHECK(said(replace_data(l, "three", four), NULL));
  CHECK(flushed(l, folder) == 427);
  CHECK(said(replace_data(l, "three", one), "the replacement does not define data three"));
  CHECK(said(replace(l, "three", four), "the replacement does not define a function three"));
  CHECK(lode_restore_symbol(l, "one"));
  CHECK(flushed(l, folder) == 421);
  CHECK(said(lode_remove_symbol(l, "one"), NULL));
  CHECK(said(lode_flush(l, "/nowhere/at/all.so"), "undefined symbol: one"));
  CHECK(said(lode_remove_symbol(l, "three"), NULL));
  CHECK(lode_restore_symbol(l, "one"));
  CHECK(said(lode_flush(l, "/nowhere/at/all.so"), "undefined symbol: three"));
  CHECK(said(replace_data(l, "three", three), NULL));
  CHECK(flushed(l, folder) == 321);
  const char *files[] = {object, bitcode};
  for (int k = 0; k < 2 && files[k]; k++) {
    size_t size;
    char *bytes = read_whole(files[k], &size);
    CHECK(bytes != NULL);
    CHECK(said(lode_replace_function(l, "two", bytes, size), NULL));
    CHECK(flushed(l, folder) == 2301 + 1000 * k);
    CHECK(lode_restore_symbol(l, "two"));
    CHECK(said(lode_add_module(l, "two", bytes, size), NULL));
    CHECK(flushed(l, folder) == 2301 + 1000 * k);
    CHECK(said(add(l, "two", two), NULL));
    free(bytes);
  }
  lode_buffer first, second;
  CHECK(said(lode_flush_to_memory(l, "m.so", &first), NULL));
  CHECK(said(lode_flush_to_memory(l, "m.so", &second), NULL));
  CHECK(first.size > 64 && first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
  CHECK(memcmp(first.data, "\177ELF", 4) == 0);
  lode_buffer_free(&first);
  CHECK(first.data == NULL && first.size == 0);
  lode_buffer_free(&second);
  CHECK(said(lode_add_argument(l, "--print-map"), NULL));
  CHECK(said(lode_flush_to_memory(l, "m.so", &first), NULL));
  CHECK(strstr(lode_listing(l), "two") != NULL && strstr(lode_listing(l), ".text") != NULL);
  lode_buffer_free(&first);
  CHECK(lode_remove_module(l, "two"));
  CHECK(said(lode_flush_to_memory(l, "m.so", &first), "undefined symbol: two"));
  CHECK(first.data == NULL && first.size == 0);
  lode_linker_destroy(l);
}

// The same for WebAssembly.
static void wasm(void) {
  const char *options[] = {"-m", "wasm32", "--no-entry", "--export=sum"};
  lode_linker *l;
  pointer_bytes = 4;
  CHECK(said(lode_linker_create(options, 4, &l), NULL));
  CHECK(said(add(l, "sum", sum), NULL));
  CHECK(said(add(l, "one", one), NULL));
  CHECK(said(add(l, "two", two), NULL));
  CHECK(said(add(l, "three", three), NULL));
  lode_buffer plain, changed, again;
  CHECK(said(lode_flush_to_memory(l, "m.wasm", &plain), NULL));
  CHECK(plain.size > 8 && memcmp(plain.data, "\0asm", 4) == 0);
  CHECK(said(replace_data(l, "three", four), NULL));
  CHECK(said(lode_flush_to_memory(l, "m.wasm", &changed), NULL));
  CHECK(changed.size == plain.size && memcmp(changed.data, plain.data, plain.size) != 0);
  CHECK(said(lode_remove_symbol(l, "three"), NULL));
  CHECK(said(lode_flush_to_memory(l, "m.wasm", &again), "undefined symbol: three"));
  CHECK(said(lode_remove_symbol(l, "one"), NULL));
  CHECK(lode_restore_symbol(l, "three"));
  CHECK(said(lode_flush_to_memory(l, "m.wasm", &again), "undefined symbol: one"));
  CHECK(lode_restore_symbol(l, "one"));
  CHECK(said(lode_flush_to_memory(l, "m.wasm", &again), NULL));
  CHECK(again.size == plain.size && memcmp(again.data, plain.data, plain.size) == 0);
  lode_buffer_free(&plain);
  lode_buffer_free(&changed);
  lode_buffer_free(&again);
  lode_linker_destroy(l);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  CHECK(strncmp(lode_version(), "0.", 2) == 0);
  errors();
  edits(argv[1], argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
  wasm();
  if (!failures) printf("the C interface is as it should be\n");
  return failures != 0;
}
