// The linker as a library for C, and for whatever calls C: the same as lode/link/linker.h, which says more of each
// call.
//
//   lode_linker *linker = NULL;
//   const char *options[] = {"-shared"};
//   lode_error *e = lode_linker_create(options, 1, &linker);
//   if (!e) e = lode_add_module(linker, "main", air_text, strlen(air_text));
//   if (!e) e = lode_flush(linker, "libmain.so");
//   if (!e) e = lode_replace_function(linker, "answer", new_text, strlen(new_text));
//   if (!e) e = lode_flush(linker, "libmain.so");
//   if (e) fprintf(stderr, "%s\n", lode_error_message(e));
//   lode_error_free(e);
//   lode_linker_destroy(linker);
//
// Errors are values: a function that can fail returns NULL, or an error that the caller frees. Nothing throws, ends the
// process, or prints. After an error a linker is as it was before the call, and can go on.
//
// Threads: one at a time may use a linker, or anything that came from it; different linkers may be used at once. A
// flush runs on threads of its own besides, which are done with when it returns. The handler of diagnostics is called
// by the thread that called the library, before the call returns; it must not use the linker.
//
// Memory: what is passed in is copied. Strings that a function returns belong to what it was asked of, and live until
// that is freed; those of a linker (its listing, its diagnostics) until the next flush of it. Strings are UTF-8 or
// whatever bytes the inputs had, and end with a zero.
//
// Linked with: liblode.a and what it needs (the CMake package lode, or pkg-config lode); the last step is a C++
// compiler's, or adds -lstdc++.
#ifndef LODE_LODE_C_H
#define LODE_LODE_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lode_linker lode_linker;
typedef struct lode_error lode_error;

// "0.1.0"
const char *lode_version(void);

// ---- errors and diagnostics -----------------------------------------------------------------------------------------

typedef enum lode_severity { LODE_WARNING = 0, LODE_ERROR = 1 } lode_severity;

// One message, taken apart. No pointer is NULL; what is not known is "" or 0.
typedef struct lode_diagnostic {
  lode_severity severity;
  const char *file;    // the input that it is about: a path, "libx.a(y.o)", a module's name
  uint32_t line;       // in a file of text, from 1
  uint32_t column;
  const char *place;   // otherwise, where in the file: ".text+0x10", "function main"
  const char *text;    // the whole message, the names above in it; further lines go with it
} lode_diagnostic;

// All that is wrong, as the command prints it, a line or more each.
const char *lode_error_message(const lode_error *error);
// Where the first of it is: "main:3:11", "liba.a(b.o):.text+0x10", "main"; "" if that is not known.
const char *lode_error_place(const lode_error *error);
// Each message of an error.
size_t lode_error_diagnostic_count(const lode_error *error);
lode_diagnostic lode_error_diagnostic(const lode_error *error, size_t index);
// NULL is no error, and may be freed.
void lode_error_free(lode_error *error);

// ---- a linker -------------------------------------------------------------------------------------------------------

// `arguments` are those of the command line of ld, or of wasm-ld behind -m wasm32, without the program's name and the
// output: options, files and libraries (@FILE stands for the arguments in FILE). A wrong option is an error here; files
// are opened when the linker is flushed. After an error *linker is NULL.
lode_error *lode_linker_create(const char *const *arguments, size_t count, lode_linker **linker);
void lode_linker_destroy(lode_linker *linker);

// One more argument, behind all that was added so far: "crt1.o", "-lc", "--start-group".
lode_error *lode_add_argument(lode_linker *linker, const char *argument);

// A module: LLVM bitcode and objects are known by their first bytes, anything else is AIR text (without a zero at its
// end). It is read here. A name that is taken replaces that module, at its place in the order.
lode_error *lode_add_module(lode_linker *linker, const char *name, const void *bytes, size_t size);
// 1 if there was a module of this name, else 0.
int lode_remove_module(lode_linker *linker, const char *name);

// From the next flush on, the function or datum is what the given module says, wherever it was defined before. The
// module must define it, and may bring more with it.
lode_error *lode_replace_function(lode_linker *linker, const char *function, const void *bytes, size_t size);
lode_error *lode_replace_data(lode_linker *linker, const char *datum, const void *bytes, size_t size);
// From the next flush on, no module and no object file defines this function or datum.
lode_error *lode_remove_symbol(lode_linker *linker, const char *symbol);
// It is again what it was before it was replaced or removed; 0 if it was neither.
int lode_restore_symbol(lode_linker *linker, const char *symbol);

// Links everything to the file `output`. After an error there is no output, and a file that was there is untouched.
lode_error *lode_flush(lode_linker *linker, const char *output);

// The output in memory, which lode_buffer_free gives back.
typedef struct lode_buffer {
  uint8_t *data;
  size_t size;
} lode_buffer;
// `name` is what messages call the output, and a shared library that has no -soname. After an error *output is empty.
lode_error *lode_flush_to_memory(lode_linker *linker, const char *name, lode_buffer *output);
void lode_buffer_free(lode_buffer *buffer);

// What the last flush said; warnings are there after a successful one, too.
size_t lode_diagnostic_count(const lode_linker *linker);
lode_diagnostic lode_diagnostic_at(const lode_linker *linker, size_t index);
// What options had the last flush list: --trace, --print-map, --stats, --help and the like.
const char *lode_listing(const lode_linker *linker);

// Called for every message of every call that follows, with `data`. The diagnostic lives until the handler returns.
// NULL: no handler.
typedef void (*lode_diagnostic_handler)(void *data, const lode_diagnostic *diagnostic);
void lode_set_diagnostic_handler(lode_linker *linker, lode_diagnostic_handler handler, void *data);

#ifdef __cplusplus
}
#endif

#endif
