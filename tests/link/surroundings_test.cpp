// What surrounds a link: disks that are full, files that change, inputs from pipes, limits on address space, threads
// and open files, signals. Whatever happens, the link works or says what is wrong, and leaves nothing behind but its
// output.
//
// Some of it cannot be had for asking; a library in front of libc (LD_PRELOAD) then plays the system's part.
#include <catch2/catch.hpp>

#include "tests/link/elf_link_support.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

const std::string& command = lode::test::elf::lode;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized =
    true;  // AddressSanitizer takes terabytes of address space, and comes before any other library
#else
constexpr bool sanitized = false;
#endif

std::string object(const TempDir& dir, const std::string& name = "a") {
  return assemble(dir, name, ".globl _start\n_start: mov $60, %eax\n xor %edi, %edi\n syscall\n");
}
std::string wasm_object(const TempDir& dir) {
  std::string c = dir.write("w.c", "int f(void) { return 7; }\n"), o = dir.file("w.o");
  REQUIRE(run({"clang-19", "--target=wasm32", "-c", "-O1", c, "-o", o}).ok());
  return o;
}

// A command of the shell, in the folder; $LODE is the linker.
RunResult shell(const TempDir& dir, const std::string& script) {
  RunOptions options;
  options.cwd = dir.path();
  options.seconds = 60;
  return run({"bash", "-c", "LODE='" + command + "'\n" + script}, options);
}

// The names in a folder, sorted.
std::string listing(const TempDir& dir) { return shell(dir, "ls -A | tr '\\n' ' '").out; }

// What LD_PRELOAD=... makes of libc: PRELOAD says which call is played.
std::string preload(const TempDir& dir) {
  std::string c = dir.write("preload.c", R"(
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
static int playing(const char* what) { const char* p = getenv("PRELOAD"); return p && strstr(p, what); }
int pthread_create(pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* p) {
  if (playing("no-threads")) return EAGAIN;
  return ((int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*))dlsym(RTLD_NEXT, "pthread_create"))(t, a, f, p);
}
int open(const char* path, int flags, ...) {
  va_list l;
  va_start(l, flags);
  int mode = va_arg(l, int);
  va_end(l);
  if (playing("no-tmpfile") && (flags & O_TMPFILE) == O_TMPFILE) { errno = EOPNOTSUPP; return -1; }
  return ((int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags, mode);
}
int fallocate(int fd, int mode, off_t at, off_t size) {
  if (playing("no-space")) { errno = ENOSPC; return -1; }
  if (playing("no-fallocate")) { errno = EOPNOTSUPP; return -1; }
  return ((int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, "fallocate"))(fd, mode, at, size);
}
int rename(const char* from, const char* to) {
  if (playing("interrupt")) raise(SIGTERM);
  if (playing("kill")) raise(SIGKILL);
  return ((int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename"))(from, to);
}
void* mmap(void* at, size_t size, int prot, int flags, int fd, off_t offset) {
  void* p = ((void* (*)(void*, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap"))(at, size, prot, flags, fd, offset);
  const char* victim = getenv("TRUNCATED");
  struct stat a, b;
  if (fd >= 0 && victim && fstat(fd, &a) == 0 && stat(victim, &b) == 0 && a.st_ino == b.st_ino && truncate(victim, playing("tail") ? b.st_size - 8 : 0)) abort();
  return p;
}
int fallocate64(int fd, int mode, off_t at, off_t size) { return fallocate(fd, mode, at, size); }
int open64(const char* path, int flags, ...) {
  va_list l;
  va_start(l, flags);
  int mode = va_arg(l, int);
  va_end(l);
  return open(path, flags, mode);
}
void* mmap64(void* at, size_t size, int prot, int flags, int fd, off_t offset) { return mmap(at, size, prot, flags, fd, offset); }
)");
  std::string so = dir.file("preload.so");
  RunResult r = run({"gcc", "-shared", "-fPIC", "-O1", c, "-o", so, "-ldl"});
  INFO(r.describe());
  REQUIRE(r.ok());
  return so;
}

struct Linker {
  const char* name;
  std::string link;  // its arguments but for the output
  std::string start; // what its output begins with
};
std::vector<Linker> linkers(const TempDir& dir) {
  std::string o = object(dir), w = wasm_object(dir);
  return {{"ELF", "-m elf_x86_64 " + o,
           "\x7f"
           "ELF"},
          {"ELF -r", "-m elf_x86_64 -r " + o,
           "\x7f"
           "ELF"},
          {"wasm", "-m wasm32 --no-entry --export-all --strip-all " + w, std::string("\0asm", 4)}};
}

}  // namespace

TEST_CASE("surroundings: what cannot be written is an error") {
  TempDir dir;
  for (const Linker& l : linkers(dir)) {
    INFO(l.name);
    for (std::string output : {"-o /dev/full", "-o - > /dev/full", "-o x --Map=/dev/full", "-o x --Map=/nowhere/map",
                               "-o x --dependency-file=/dev/full", "-o x --why-extract=/dev/full",
                               "-o x --time-trace=/dev/full", "-o /nowhere/x"}) {
      bool wasm = std::string(l.name) == "wasm", partial = std::string(l.name) == "ELF -r";
      if (wasm && (has(output, "dependency") || has(output, "time-trace"))) continue;  // not its options
      if (!wasm && has(output, "why-extract")) continue;
      if (partial && has(output, "Map")) continue;
      INFO(output);
      RunResult r = shell(dir, "echo old > x; \"$LODE\" " + l.link + " " + output);
      CHECK(r.status == 1);
      CHECK(has(r.err, "error: "));
      if (!has(output, "time-trace")) CHECK(read_file(dir.file("x")) == "old\n");  // times are told when all is done
    }
  }
}

TEST_CASE("surroundings: the command is built with what protects it") {
  const std::string dynamic = readelf({"-d"}, command), headers = readelf({"-l", "-h"}, command);
  CHECK(has(dynamic, "NOW"));
  CHECK(has(headers, "GNU_RELRO"));
  CHECK(has(headers, "DYN (Position-Independent Executable file)"));
}

TEST_CASE("surroundings: what is said on standard output arrives or is an error") {
  TempDir dir;
  for (const char* asked : {"--version", "--help", "-m wasm32 --version"})
    CHECK(shell(dir, std::string("\"$LODE\" ") + asked + " > /dev/full").status == 1);
}

TEST_CASE("surroundings: an output that is too large for its place is an error, and the old one stays") {
  TempDir dir;
  std::string big = assemble(dir, "big", ".globl _start\n_start: ret\n.data\n.fill 1000000, 1, 7\n");
  RunResult r = shell(dir, "echo old > x; ulimit -f 100; exec \"$LODE\" big.o -o x");
  CHECK(r.status == 1);
  CHECK(has(r.err, "cannot write x: File too large"));
  CHECK(read_file(dir.file("x")) == "old\n");
  if (sanitized) {
    WARN("left out: a library in front of libc, under AddressSanitizer");
    return;
  }
  std::string so = preload(dir);
  std::string before = listing(dir);
  r = shell(dir, "LD_PRELOAD=" + so + " PRELOAD=no-space exec \"$LODE\" big.o -o x");
  CHECK(r.status == 1);
  CHECK(has(r.err, "cannot write x: No space left on device"));
  CHECK(read_file(dir.file("x")) == "old\n");
  // Where space cannot be reserved, the output is put together in memory.
  r = shell(dir, "LD_PRELOAD=" + so +
                     " PRELOAD=no-fallocate \"$LODE\" a.o big.o -o y --allow-multiple-definition 2>&1; \"$LODE\" big.o "
                     "-o x && LD_PRELOAD=" +
                     so + " PRELOAD=no-fallocate,no-tmpfile \"$LODE\" big.o -o y && cmp x y && rm y");
  CHECK(r.status == 0);
  CHECK(listing(dir) == before);
}

TEST_CASE("surroundings: a full disk") {
  TempDir dir;
  assemble(dir, "big", ".globl _start\n_start: ret\n.data\n.fill 1000000, 1, 7\n");
  RunResult r = shell(dir, R"(mkdir m; unshare -rm bash -c "mount -t tmpfs -o size=64k none m || exit 77
echo old > m/x; '$LODE' big.o -o m/x; status=\$?; cat m/x; ls -A m; exit \$status")");
  if (r.status == 77 || has(r.err, "unshare")) LODE_SKIP("a file system of a fixed size cannot be mounted here");
  INFO(r.describe());
  CHECK(r.status == 1);
  CHECK(has(r.err, "cannot write m/x: No space left on device"));
  CHECK(r.out == "old\nx\n");
}

TEST_CASE("surroundings: the output may be standard output, a FIFO or a device") {
  TempDir dir;
  for (const Linker& l : linkers(dir)) {
    INFO(l.name);
    RunResult r = shell(dir, "\"$LODE\" " + l.link + " -o x && \"$LODE\" " + l.link +
                                 " -o - > y && cmp x y && mkfifo f && (cat f > z &) && \"$LODE\" " + l.link +
                                 " -o f && sleep 0.2 && \"$LODE\" " + l.link + " -o /dev/null && test -p f && rm f");
    INFO(r.describe());
    CHECK(r.ok());
    CHECK(read_file(dir.file("x")).substr(0, 4) == l.start);
    CHECK(read_file(dir.file("y")) == read_file(dir.file("x")));
  }
}

TEST_CASE("surroundings: inputs may come from pipes") {
  TempDir dir;
  object(dir);
  wasm_object(dir);
  REQUIRE(shell(dir,
                "ar rcs liba.a a.o; \"$LODE\" a.o -o x; \"$LODE\" -m wasm32 --no-entry --export-all --strip-all w.o -o "
                "w.wasm")
              .ok());
  for (const char* script :
       {"cat a.o | \"$LODE\" /dev/stdin -o y",
        "mkfifo f; (cat a.o > f &); \"$LODE\" f -o y; status=$?; rm f; (exit $status)", "\"$LODE\" <(cat a.o) -o y",
        "\"$LODE\" -m elf_x86_64 <(cat a.o) -o y", "\"$LODE\" -u _start <(cat liba.a) -o y",
        "cat w.o | \"$LODE\" -m wasm32 --no-entry --export-all --strip-all /dev/stdin -o w2.wasm && cmp w.wasm w2.wasm",
        "cat w.o | \"$LODE\" --no-entry --export-all --strip-all /dev/stdin -o w2.wasm && cmp w.wasm w2.wasm"}) {
    RunResult r = shell(dir, std::string("rm -f y; ") + script + " && { [ ! -e y ] || ./y; }");
    INFO(script << "\n" << r.describe());
    CHECK(r.ok());
  }
}

TEST_CASE("surroundings: an empty input is a linker script without statements") {
  TempDir dir;
  object(dir);
  RunResult r = shell(dir, ": > empty.o; \"$LODE\" a.o empty.o /dev/null -o x && ./x");
  INFO(r.describe());
  CHECK(r.ok());
}

TEST_CASE("surroundings: the output does not go through anybody's link, and no other file stays") {
  TempDir dir;
  for (const Linker& l : linkers(dir)) {
    INFO(l.name);
    RunResult r = shell(dir, R"(rm -f x*; echo VICTIM > victim
bash -c 'for s in .tmp .lode .; do ln -s victim x$s$$; done; exec "$0" )" +
                                 l.link + R"( -o x' "$LODE" && cat victim && find . -maxdepth 1 -type l -delete)");
    INFO(r.describe());
    CHECK(r.out == "VICTIM\n");
  }
  shell(dir, "rm -f x victim");
  if (sanitized) LODE_SKIP("a library in front of libc, under AddressSanitizer");
  std::string so = preload(dir);
  std::string before = listing(dir);
  for (const Linker& l : linkers(dir)) {
    INFO(l.name);
    for (const char* play : {"interrupt", "interrupt,no-tmpfile"}) {
      RunResult r = shell(dir, "LD_PRELOAD=" + so + " PRELOAD=" + play + " exec \"$LODE\" " + l.link + " -o x");
      CHECK(r.signal == 15);
      CHECK(listing(dir) == before);
    }
    // What a kill leaves does not stand in the way of the next link.
    shell(dir, "for i in 1 2 3; do LD_PRELOAD=" + so + " PRELOAD=kill \"$LODE\" " + l.link + " -o x; done; true");
    CHECK(shell(dir, "\"$LODE\" " + l.link + " -o x && rm x x.*").ok());
    CHECK(listing(dir) == before);
  }
}

TEST_CASE("surroundings: an input that is truncated while it is read is named") {
  if (sanitized) LODE_SKIP("a library in front of libc, under AddressSanitizer");
  TempDir dir;
  std::string so = preload(dir);
  for (const Linker& l : linkers(dir)) {
    INFO(l.name);
    std::string victim = l.link.substr(l.link.rfind(' ') + 1);
    for (const char* play : {"all", "tail"}) {
      RunResult r = shell(dir, "cp " + victim + " kept; echo old > x; LD_PRELOAD=" + so + " TRUNCATED=" + victim +
                                   " PRELOAD=" + play + " \"$LODE\" " + l.link + " -o x; status=$?; cp kept " + victim +
                                   "; exit $status");
      INFO(r.describe());
      CHECK(r.status == 1);
      CHECK((has(r.err, victim) && has(r.err, "error: ")));
      CHECK(read_file(dir.file("x")) == "old\n");
    }
  }
}

TEST_CASE("surroundings: a link does with little address space, few files and no threads") {
  TempDir dir;
  // Large enough for threads.
  std::string o = compile(
      dir, "main",
      "#include <stdio.h>\nchar much[4 << 20] = {1};\nint main(void) { puts(\"hello\"); return !much[0]; }\n");
  std::string line;
  for (const std::string& a : static_link({o}, dir.file("out"))) line += " " + a;
  std::string many = "for i in $(seq 200); do printf '.globl f%d\\nf%d: ret\\n' $i $i | as -o $i.o; done; ";
  RunResult r = shell(dir, many + "ulimit -n 20; \"$LODE\"" + line + " [0-9]*.o && ./out");
  INFO(r.describe());
  CHECK(r.out == "hello\n");
  if (sanitized) LODE_SKIP("limits on address space, under AddressSanitizer");
  for (const char* kib : {"120000", "150000", "1000000", "5000000", "7000000", "18000000", "34000000"}) {
    r = shell(dir,
              "rm -f out; ulimit -v " + std::string(kib) + "; \"$LODE\"" + line + " && ulimit -v unlimited; ./out");
    INFO(kib << " KiB: " << r.describe());
    CHECK(r.out == "hello\n");
  }
  r = shell(dir, "ulimit -v 16000; \"$LODE\"" + line);
  CHECK((r.status == 1 || r.status == 127));  // 127: not even the libraries could be loaded
  std::string so = preload(dir);
  r = shell(dir, "rm -f out; LD_PRELOAD=" + so + " PRELOAD=no-threads \"$LODE\"" + line + " && ./out");
  INFO(r.describe());
  CHECK(r.out == "hello\n");
  wasm_object(dir);
  r = shell(dir, "ulimit -v 200000; LD_PRELOAD=" + so +
                     " PRELOAD=no-threads \"$LODE\" -m wasm32 --no-entry --export-all --strip-all w.o -o w.wasm");
  INFO(r.describe());
  CHECK(r.ok());
}
