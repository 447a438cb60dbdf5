// Memory of a linker over many edits, through the C interface. bench/run.py runs it:
//
//   edits_bench EDITS FUNCTIONS
//
// A shared library of some functions and data is linked into memory after each edit: a function or a datum is replaced,
// one is removed and restored, a module is added and dropped. Prints: CPU ms of the first flush; CPU ms of an edit with
// its flush; resident KiB after a tenth of the edits, after half, and after all.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lode/lode_c.h"

static double cpu_ms(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static long resident_kib(void) {
  long pages = 0, unused;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f) {
    if (fscanf(f, "%ld %ld", &unused, &pages) != 2) pages = 0;
    fclose(f);
  }
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void must(lode_error *e) {
  if (!e) return;
  fprintf(stderr, "%s\n", lode_error_message(e));
  exit(1);
}

static void flush(lode_linker *l) {
  lode_buffer out;
  must(lode_flush_to_memory(l, "edits.so", &out));
  lode_buffer_free(&out);
}

// Function or datum k, which says `value`.
static const char *function(int k, int value) {
  static char text[256];
  snprintf(text, sizeof text,
           "declare data @d%d : i64\nstrong func @f%d(%%x: i64) -> i64 {\na:\n  %%d = load i64, ptr @d%d\n"
           "  %%y = add i64 %%x, %%d\n  %%z = mul i64 %%y, %d\n  ret i64 %%z\n}\n", k, k, k, value);
  return text;
}
static const char *datum(int k, int value) {
  static char text[64];
  snprintf(text, sizeof text, "strong data @d%d : i64 = %d\n", k, value);
  return text;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const int edits = atoi(argv[1]), count = atoi(argv[2]);
  const char *options[] = {"-shared", "-Bsymbolic", "--threads=2", "--unresolved-symbols=ignore-all"};
  lode_linker *l;
  must(lode_linker_create(options, 4, &l));
  char name[32];
  for (int k = 0; k < count; k++) {
    snprintf(name, sizeof name, "f%d", k);
    must(lode_add_module(l, name, function(k, 2), strlen(function(k, 2))));
    snprintf(name, sizeof name, "d%d", k);
    must(lode_add_module(l, name, datum(k, 1), strlen(datum(k, 1))));
  }
  double start = cpu_ms();
  flush(l);
  const double first = cpu_ms() - start;
  long tenth = 0, half = 0;
  start = cpu_ms();
  for (int e = 0; e < edits; e++) {
    const int k = e % count, value = 2 + e % 1000;
    const char *text = e % 4 == 1 ? datum(k, value) : function(k, value);
    snprintf(name, sizeof name, e % 4 == 1 ? "d%d" : "f%d", k);
    switch (e % 4) {
      case 0: must(lode_replace_function(l, name, text, strlen(text))); break;
      case 1: must(lode_replace_data(l, name, text, strlen(text))); break;
      case 2: must(lode_remove_symbol(l, name)); break;
      default: must(lode_add_module(l, "more", datum(count, value), strlen(datum(count, value))));
    }
    flush(l);
    if (e % 4 == 2) lode_restore_symbol(l, name);
    if (e % 4 == 3) lode_remove_module(l, "more");
    if (e == edits / 10) tenth = resident_kib();
    if (e == edits / 2) half = resident_kib();
  }
  printf("%.2f %.4f %ld %ld %ld\n", first, (cpu_ms() - start) / edits, tenth, half, resident_kib());
  lode_linker_destroy(l);
  return 0;
}
