// Programs that ask for safer code: what their frames do when they run.
#include <catch2/catch.hpp>

#include "tests/support/run.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

namespace {

struct Built {
  TempDir dir;
  std::string program;
};

// A program of one C file, made by lode from bitcode; empty when it cannot be built (the test fails).
void build(Built& b, const std::string& source, const Args& options, bool is_static = false) {
  const std::string bitcode = b.dir.file("a.o");
  b.program = b.dir.file("program");
  RunResult made =
      run(Args{"clang-19", "-w", "-c", "-emit-llvm", "-fPIE", b.dir.write("a.c", source), "-o", bitcode} + options);
  INFO(made.describe());
  REQUIRE(made.ok());
  RunResult linked =
      run(Args{LODE_BINARY} + (is_static ? static_link({bitcode}, b.program) : dynamic_link({bitcode}, b.program)));
  INFO(linked.describe());
  REQUIRE(linked.ok());
}

}  // namespace

TEST_CASE("Hardening: a stack protector ends a program that writes past a buffer") {
  const std::string source = R"(
    __attribute__((noinline)) void fill(volatile char *p, int n) { for (int i = 0; i < n; i++) p[i] = 'A'; }
    __attribute__((noinline)) int work(int n) { char b[16]; fill(b, n); return b[3]; }
    int main(int c, char **v) { return work(c > 1 ? 28 : 8) & 0; })";
  for (const char* level : {"-O0", "-O2"}) {
    for (const bool is_static : {false, true}) {
      INFO(level);
      Built b;
      build(b, source, {level, "-fstack-protector-strong"}, is_static);
      CHECK(run({b.program}).status == 0);
      RunResult smashed = run({b.program, "x"});
      CHECK(smashed.signal == 6);
      CHECK(smashed.err.find("stack smashing detected") != std::string::npos);
    }
  }
}

TEST_CASE("Hardening: locals of scopes that follow each other share the stack") {
  // 800 frames of eight buffers of 4096 bytes would take 26 MB; one buffer each takes 3.
  const std::string source = R"(
    #include <string.h>
    #include <sys/resource.h>
    __attribute__((noinline)) void fill(char *p, int n, int v) { memset(p, v, n); __asm__ volatile("" ::: "memory"); }
    static inline __attribute__((always_inline)) int part(int v) { char b[4096]; fill(b, sizeof b, v); return b[v & 4095]; }
    __attribute__((noinline)) int deep(int n) {
      int r = part(n) + part(n + 1) + part(n + 2) + part(n + 3) + part(n + 4) + part(n + 5) + part(n + 6) + part(n + 7);
      return n ? r / (deep(n - 1) | 1) : r;
    }
    int main(void) { return deep(800) == 12345; })";
  Built b;
  build(b, source, {"-O2"});
  CHECK(run({"sh", "-c", "ulimit -s 8192; exec \"$0\"", b.program}).status == 0);
}

TEST_CASE("Hardening: a large frame touches its pages one by one") {
  // The thread's stack ends above a page that may not be touched; below that page is memory that may. A frame that
  // jumps over the page writes there unnoticed.
  const std::string source = R"(
    #include <pthread.h>
    #include <sys/mman.h>
    #include <string.h>
    __attribute__((noinline)) void touch(volatile char *p) { p[0] = 1; }
    __attribute__((noinline)) int fixed(void) { char b[100000]; touch(b); return b[0]; }
    __attribute__((noinline)) int dynamic(int n) { char b[n]; touch(b); return b[0]; }
    static int which;
    static void *body(void *p) { return (void *)(long)(which ? dynamic(100000) : fixed()); }
    int main(int argc, char **argv) {
      char *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      which = argc > 1;
      mprotect(m + 900000 / 4096 * 4096, 4096, PROT_NONE);
      pthread_attr_t a;
      pthread_attr_init(&a);
      char *low = m + 900000 / 4096 * 4096 + 4096;
      pthread_attr_setstack(&a, low, 65536);
      pthread_t t;
      pthread_create(&t, &a, body, 0);
      pthread_join(t, 0);
      return 3;
    })";
  for (const char* option : {"-fstack-clash-protection", "-fno-stack-clash-protection"}) {
    Built b;
    build(b, source, {"-O1", option, "-pthread"});
    const bool probed = option[2] == 's';
    for (const Args& argv : {Args{b.program}, Args{b.program, "dynamic"}}) {
      RunResult r = run(argv);
      INFO(option << " " << r.describe());
      CHECK(r.signal == (probed ? 11 : 0));
      CHECK(r.status == (probed ? -1 : 3));
    }
  }
}

TEST_CASE("Hardening: frame pointers lead to the callers") {
  const std::string source = R"(
    extern int printf(const char *, ...);
    __attribute__((noinline)) void *up2(void) { return __builtin_return_address(2); }
    __attribute__((noinline)) void *up1(void) { void *p = up2(); __asm__ volatile("" ::: "memory"); return p; }
    __attribute__((noinline)) int check(void) {
      void *p = up1();
      return (char *)p > (char *)check && (char *)p < (char *)check + 200 && __builtin_frame_address(1) != 0;
    }
    int main(void) { return check() ? 0 : 1; })";
  for (const char* level : {"-O0", "-O2"}) {
    Built b;
    build(b, source, {level, "-fno-omit-frame-pointer"});
    INFO(level);
    CHECK(run({b.program}).status == 0);
  }
}

TEST_CASE("Hardening: retpolines and zeroed registers in a program that runs") {
  const std::string source = R"(
    typedef int (*fn)(int);
    __attribute__((noinline)) int one(int x) { return x + 1; }
    __attribute__((noinline)) int two(int x) { return x * 2; }
    fn volatile table[] = {one, two};
    __attribute__((noinline)) int pick(int n, int x) {
      switch (n) { case 0: return one(x); case 1: return two(x); case 2: return x; case 3: return -x; case 4: return x ^ 5; case 5: return 7; }
      return 0;
    }
    static int go(int n) {
      static void *labels[] = {&&a, &&b};
      goto *labels[n & 1];
      a: return 1;
      b: return 2;
    }
    __attribute__((noinline)) int last(int i, int x) { return table[i](x); }
    int main(int c, char **v) {
      int s = 0;
      for (int i = 0; i < 6; i++) s = s * 3 + table[i & 1](i) + pick(i, c) + go(i) + last(i & 1, s & 15);
      return s & 127;
    })";
  int expected = -1;
  for (const Args& options :
       {Args{}, Args{"-mretpoline"}, Args{"-fzero-call-used-regs=all"}, Args{"-fzero-call-used-regs=used-gpr"},
        Args{"-fno-jump-tables"}, Args{"-fstack-protector-all", "-fstack-clash-protection"}}) {
    Built b;
    build(b, source, Args{"-O2"} + options);
    INFO((options.empty() ? std::string("plain") : options[0]));
    const int status = run({b.program}).status;
    if (expected < 0) expected = status;
    CHECK(status == expected);
    CHECK(status >= 0);
  }
}
