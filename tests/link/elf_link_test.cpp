// The ELF linker on small objects made by gcc: what it makes runs, reads back well, and what is wrong is said.
#include <catch2/catch.hpp>

#include "tests/link/elf_link_support.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

const char* libc_program = R"(
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static __thread int hidden_tls = 5;
__thread int tls;
int zeros[1000];
static void early(void) __attribute__((constructor));
static int seen;
static void early(void) { seen = 7; }
int main(int argc, char** argv) {
  tls = hidden_tls + argc;
  char* p = malloc(10);
  strcpy(p, "abc");
  printf("%d %d %s %d %s\n", tls, seen, p, zeros[999], strchr("x=y", '='));
  return 0;
}
)";

}  // namespace

TEST_CASE("ELF link: a program with libc, static, position-independent and not") {
  TempDir dir;
  std::string pic = compile(dir, "pic", libc_program, {"-fPIE"}),
              plain = compile(dir, "plain", libc_program, {"-fno-pie"});
  std::string out = dir.file("out"), expected = "6 7 abc 0 =y\n";
  CHECK(output_of(static_link({plain}, out), out) == expected);
  CHECK(output_of(static_link({pic}, out), out) == expected);
  CHECK(output_of(dynamic_link({pic}, out), out) == expected);
  CHECK(output_of(dynamic_link({plain}, out) + Args{"-no-pie"}, out) == expected);
  CHECK(output_of(dynamic_link({pic}, out) + Args{"-z", "now", "--hash-style=sysv"}, out) == expected);
  CHECK(output_of(dynamic_link({pic}, out) + Args{"--pack-dyn-relocs=relr", "--hash-style=gnu", "--build-id"}, out) ==
        expected);
  CHECK(output_of(dynamic_link({pic}, out) + Args{"--gc-sections", "-s"}, out) == expected);
  CHECK(output_of(static_link({pic}, out) + Args{"--gc-sections", "--build-id=md5"}, out) == expected);
}

TEST_CASE("ELF link: compact relocations mean what others do") {
  TempDir dir;
  const Args compactly = {"-g", "-Wa,--crel,--allow-experimental-crel"};
  const std::string source = R"(
int printf(const char *, ...);
int shared_value = 3;
static int values[5] = {1, 2, 4};
int *places[] = {&values[2], &shared_value};
int main(void) { printf("%d %d\n", *places[0], *places[1]); return values[3]; }
)";
  const std::string plain = compile(dir, "plain", source, {"-g"}, "clang-19");
  const std::string compact = compile(dir, "compact", source, compactly, "clang-19");
  REQUIRE(has(readelf({"-S"}, compact), ".crel.text"));
  const std::string a = dir.file("a"), b = dir.file("b"), joined = dir.file("joined.o");
  REQUIRE(link(dynamic_link({plain}, a)).ok());
  REQUIRE(link(dynamic_link({compact}, b)).ok());
  CHECK(run({b}).out == "4 3\n");
  auto contents = [](const std::string& file) {
    const std::string dump =
        run({"objdump", "-s", "-j", ".text", "-j", ".data", "-j", ".debug_info", "-j", ".debug_addr", file}).out;
    return dump.substr(std::min(dump.find("Contents"), dump.size()));
  };
  CHECK(contents(a) != "");
  CHECK(contents(a) == contents(b));
  REQUIRE(link({"-r", compact, "-o", joined}).ok());
  REQUIRE(link(dynamic_link({joined}, b)).ok());
  CHECK(run({b}).out == "4 3\n");
  const std::string lacking =
      compile(dir, "lacking", "int nobody(void);\nint main(void) {\n  return nobody();\n}\n", compactly, "clang-19");
  CHECK(has(error_of({lacking, "-e", "main", "-o", b}), "lacking.c:3"));
}

TEST_CASE("ELF link: the same bytes at any number of threads") {
  TempDir dir;
  std::string o = compile(dir, "a", libc_program);
  REQUIRE(link(static_link({o}, dir.file("one")) + Args{"--threads=1", "--build-id"}).ok());
  REQUIRE(link(static_link({o}, dir.file("many")) + Args{"--threads=7", "--build-id"}).ok());
  CHECK(read_file(dir.file("one")) == read_file(dir.file("many")));
}

TEST_CASE("ELF link: C++ with exceptions, static and shared") {
  TempDir dir;
  std::string c = dir.write("a.cc", R"(
#include <cstdio>
#include <stdexcept>
#include <string>
inline int counter() { static int n; return ++n; }
struct Guard { ~Guard() { std::puts("unwound"); } };
void f(int x) { Guard g; if (x) throw std::runtime_error(std::string("thrown ") + std::to_string(counter())); }
int main() { try { f(1); } catch (std::exception& e) { std::puts(e.what()); } }
)");
  std::string o = dir.file("a.o"), out = dir.file("out");
  REQUIRE(run({"g++", "-c", "-O1", c, "-o", o}).ok());
  std::string cxx = "-lstdc++";
  CHECK(output_of(dynamic_link({o, cxx}, out), out) == "unwound\nthrown 1\n");
  CHECK(output_of(static_link({o, cxx}, out) + Args{"--eh-frame-hdr"}, out) == "unwound\nthrown 1\n");
  std::string joined = dir.file("joined.o");
  REQUIRE(link({"-r", o, "-o", joined}).ok());
  CHECK(output_of(dynamic_link({joined, cxx}, out) + Args{"--gc-sections"}, out) == "unwound\nthrown 1\n");
}

TEST_CASE("ELF link: a shared library, its versions, copies and canonical addresses") {
  TempDir dir;
  std::string lib = compile(dir, "lib",
                            "int data = 5; int* where(void) { return &data; } int f(void) { return 1; } int "
                            "(*address(void))(void) { return f; } int internal(void) { return 2; }",
                            {"-fPIC"});
  std::string script = dir.write("v.map", "V1 { global: data; where; f; address; local: *; };");
  std::string so = dir.file("liblib.so");
  RunResult l = link({"-shared", lib, "-o", so, "-soname", "liblib.so", "--version-script", script});
  INFO(l.describe());
  REQUIRE(l.ok());
  CHECK(elf_report(so) == "");
  std::string symbols = run({"readelf", "-W", "--dyn-syms", so}).out;
  CHECK(symbols.find(" f@@V1") != std::string::npos);
  CHECK(symbols.find("internal") == std::string::npos);
  std::string main = compile(dir, "main", R"(
#include <stdio.h>
extern int data; int* where(void); int f(void); int (*address(void))(void);
int main(void) { data = 9; printf("%d %d %d\n", *where(), where() == &data, address() == f); return 0; }
)", {"-fno-pie"});
  std::string out = dir.file("out");
  CHECK(output_of(dynamic_link({main, so}, out) + Args{"-no-pie", "-rpath", dir.path()}, out) == "9 1 1\n");
}

TEST_CASE("ELF link: functions resolved at start-up") {
  TempDir dir;
  std::string o = compile(dir, "a", R"(
#include <stdio.h>
static int real(int x) { return x + 1; }
static int (*choose(void))(int) { return real; }
int f(int) __attribute__((ifunc("choose")));
int (*pointer)(int) = f;
int main(void) { printf("%d %d %d\n", f(1), pointer(2), pointer == f); return 0; }
)");
  std::string out = dir.file("out");
  CHECK(output_of(static_link({o}, out), out) == "2 3 1\n");
  CHECK(output_of(dynamic_link({o}, out), out) == "2 3 1\n");
}

TEST_CASE("ELF link: undefined symbols are named with their place and a suggestion, and the old output stays") {
  TempDir dir;
  std::string o =
      compile(dir, "a", "int defined_here; int defined_her(void); int main(void) { return defined_her(); }");
  std::string out = dir.write("out", "old");
  RunResult r = link(static_link({o}, out));
  CHECK(r.status == 1);
  CHECK(r.err.find("undefined symbol: defined_her") != std::string::npos);
  CHECK(r.err.find("a.o:(main)") != std::string::npos);
  CHECK(r.err.find("did you mean: defined_here") != std::string::npos);
  CHECK(read_file(out) == "old");
  CHECK(link(static_link({o}, out) + Args{"--unresolved-symbols=ignore-all"}).ok());
}

TEST_CASE("ELF link: duplicate definitions") {
  TempDir dir;
  std::string a = compile(dir, "a", "int f(void) { return 1; } int main(void) { return f(); }"),
              b = compile(dir, "b", "int f(void) { return 2; }");
  std::string out = dir.file("out");
  RunResult r = link(static_link({a, b}, out));
  CHECK(r.status == 1);
  CHECK(r.err.find("duplicate symbol:") != std::string::npos);
  CHECK(r.err.find(b) != std::string::npos);
  CHECK(link(static_link({a, b}, out) + Args{"--allow-multiple-definition"}).ok());
  CHECK(run({out}).status == 1);
}

TEST_CASE("ELF link: archives give members when asked, in any order, with and without an index") {
  TempDir dir;
  std::string main = compile(dir, "main", "int f(void); int main(void) { return f(); }");
  std::string f = compile(dir, "f", "int g(void); int f(void) { return g(); }"),
              g = compile(dir, "g", "int g(void) { return 3; }");
  std::string unused = compile(dir, "unused", "int unused(void) { return missing(); }");
  for (std::string flags : {"rcs", "rcS", "rcsT"}) {
    std::string ar = dir.file("lib" + flags + ".a"), out = dir.file("out");
    REQUIRE(run({"ar", flags, ar, unused, g, f}).ok());
    RunResult r = link(static_link({ar, main}, out));
    INFO(flags << r.describe());
    REQUIRE(r.ok());
    CHECK(run({out}).status == 3);
  }
  std::string out = dir.file("out");
  CHECK(link(static_link({main, "--start-lib", unused, g, f, "--end-lib"}, out)).ok());
  CHECK(run({out}).status == 3);
  std::string ar = dir.file("all.a");
  REQUIRE(run({"ar", "rcs", ar, unused, g, f}).ok());
  CHECK(link(static_link({main, "--whole-archive", ar, "--no-whole-archive"}, out)).status == 1);
}

TEST_CASE("ELF link: unreferenced sections go, retained and started ones stay") {
  TempDir dir;
  std::string o = compile(dir, "a", R"(
int dead(void) { return 1; }
int kept[2] __attribute__((section("mine"), used)) = {1, 2};
extern int __start_mine[], __stop_mine[];
int main(void) { return __stop_mine - __start_mine; }
)", {"-ffunction-sections"});
  std::string out = dir.file("out");
  RunResult r = link(static_link({o}, out) + Args{"--gc-sections", "--print-gc-sections"});
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(r.out.find("a.o:(.text.dead)") != std::string::npos);
  CHECK(run({out}).status == 2);
  CHECK(run({"nm", out}).out.find(" dead") == std::string::npos);
}

TEST_CASE("ELF link: --wrap, --defsym, response files, common symbols, weak symbols") {
  TempDir dir;
  std::string a = compile(dir, "a", R"(
int common; extern int alias, absent __attribute__((weak));
int* volatile one = &alias; int* volatile other = &common; int* volatile nothing = &absent;
int main(void) { return g() * 10 + (one == other) * 2 + (nothing == 0); }
)", {"-fcommon"});
  std::string b =
      compile(dir, "b", "int common; int __real_g(void); int __wrap_g(void) { return __real_g() + 1; }", {"-fcommon"});
  std::string c = compile(dir, "c", "int g(void) { return 1; }");
  std::string out = dir.file("out");
  std::string rsp = dir.write("args", "--wrap g '--defsym=alias=common' \"" + b + "\"\n");
  RunResult r = link(static_link({a, c, "@" + rsp}, out));
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(run({out}).status == 23);
}

// What is wrong with a linked file, but for what the object itself says: the value and the size of a symbol, the code
// that an FDE is for and the permissions of a section go into the output as they are.
static std::string problems_of_the_file(const std::string& path) {
  std::string all;
  for (const std::string& p : elf_problems(path)) {
    const bool symbol = p.starts_with("symbol ") && (has(p, " is not inside ") || has(p, ": outside the TLS segment"));
    const bool unwind = p.starts_with(".eh_frame_hdr entry ") && has(p, " is not at code");
    const bool permissions = has(p, ": is writable and executable");
    if (!symbol && !unwind && !permissions) all += p + "\n";
  }
  return all;
}

// What does not show in an object is no error; the output is then as sound as that of any other input.
TEST_CASE("ELF link: damaged objects are errors, or what is made of them is a sound file") {
  TempDir dir;
  std::string good = read_file(compile(dir, "a", libc_program, {"-g", "-fPIC"}));
  const std::string out = dir.file("out");
  uint32_t random = 12345;
  int linked = 0, refused = 0;
  for (int i = 0; i < 400; i++) {
    std::string bad = good;
    for (int k = 0; k <= i % 4; k++) {
      random = random * 1664525 + 1013904223;
      size_t at = i % 2 ? random % bad.size() : bad.size() - 1 - random % std::min<size_t>(bad.size(), 3000);
      bad[at] = char(random >> 24);
    }
    if (i % 8 == 0) bad.resize(random % bad.size());
    std::string path = dir.write("bad.o", bad);
    std::filesystem::remove(out);
    RunResult r = link({"-shared", path, "-o", out});
    INFO(i << " " << r.describe());
    CHECK((r.status == 0 || r.status == 1));
    if (r.status == 0) {
      linked++;
      CHECK(problems_of_the_file(out) == "");
    } else {
      refused++;
      CHECK(has(r.err, "error: "));
      CHECK(!std::filesystem::exists(out));
    }
  }
  CHECK(linked > 10);
  CHECK(refused > 10);
}

TEST_CASE("ELF link: bitcode, with what it calls found in archives late") {
  LODE_NEEDS("clang-19");
  TempDir dir;
  std::string c = dir.write("m.c", R"(
#include <stdio.h>
struct Big { char bytes[3000]; };
static struct Big a, b;
int missing_function(void);
static int unused(void) { return missing_function(); }
__attribute__((noinline)) void copy(struct Big* to, struct Big* from) { *to = *from; }
unsigned __int128 divide(unsigned __int128 x, unsigned __int128 y) { return x / y; }
int choose(int i) { static void* labels[] = {&&zero, &&one}; goto *labels[i]; zero: return 10; one: return 20; }
int main(int argc, char** argv) {
  a.bytes[5] = 3;
  copy(&b, &a);
  printf("%d %d %d %d\n", b.bytes[5], (int)divide(((unsigned __int128)7) << 70, ((unsigned __int128)1) << 70), choose(argc - 1), choose(argc));
  return 0;
}
)");
  for (std::string level : {"-O0", "-O1"}) {
    std::string bc = dir.file("m.bc"), out = dir.file("out"), o = dir.file("m.o"), expected = "3 7 10 20\n";
    REQUIRE(run({"clang-19", level, "-w", "-c", "-emit-llvm", c, "-o", bc}).ok());
    CHECK(output_of(static_link({bc}, out), out) == expected);
    CHECK(output_of(dynamic_link({bc}, out), out) == expected);
    CHECK(output_of(dynamic_link({bc}, out) + Args{"--gc-sections", "-z", "now"}, out) == expected);
    REQUIRE(link({"-r", bc, "-o", o}).ok());
    for (Args driver : {Args{"gcc"}, Args{"gcc", "-static"}, Args{"clang-19", "-fuse-ld=lld"}}) {
      RunResult r = run(driver + Args{o, "-o", out});
      INFO(r.describe());
      REQUIRE(r.ok());
      CHECK(run({out}).out == expected);
    }
    REQUIRE(link(static_link({bc}, dir.file("one")) + Args{"--threads=1"}).ok());
    REQUIRE(link(static_link({bc}, dir.file("two")) + Args{"--threads=5"}).ok());
    CHECK(read_file(dir.file("one")) == read_file(dir.file("two")));
  }
}
