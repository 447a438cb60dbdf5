// Debug information of -g bitcode: gdb says the same of the program that lode makes as of clang's own, and
// llvm-dwarfdump finds nothing wrong with the sections, in executables and in objects (-r) that other linkers take.
#include <regex>

#include "tests/link/elf_link_support.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

const std::string linker = lode::test::elf::lode;

// Line numbers count: the sessions below stop at them.
const char* c_source = R"(#include <stdio.h>
struct point { int x, y; };
struct list { struct list *next; struct point p; char name[8]; unsigned bits : 3; unsigned more : 5; };
union word { int i; float f; unsigned char bytes[4]; };
enum color { red, green = 5, blue };
typedef unsigned long size;
static int counter = 7;
double scale = 2.5;
_Thread_local int per_thread = 11;
const char *const text = "constant";
static int add(int a, int b) {
  int sum = a + b;
  counter++;
  return sum;
}
static long walk(struct list *l, int depth) {
  long total = 0;
  for (int i = 0; i < depth && l; i++) {
    struct point q = l->p;
    total += add(q.x, q.y);
    l = l->next;
  }
  return total;
}
static int big(struct list by_value, enum color c) {
  return by_value.p.x + c;
}
static double mix(double a, float b, char c, short s, unsigned u, long long w, _Bool t) {
  double d = a * b + c + s + u + (double)w + t;
  return d;
}
static struct point make(int x, int y) {
  struct point made = {x, y};
  return made;
}
static long factorial(int n) {
  if (n < 2) return 1;
  return n * factorial(n - 1);
}
static int apply(int (*f)(int, int), int a) { return f(a, a); }
int main(int argc, char **argv) {
  struct list second = {0, {3, 4}, "two", 1, 9};
  struct list first = {&second, {1, 2}, "one", 2, 3};
  enum color c = blue;
  union word u = {.f = 1.0f};
  size w = 123456789012ul;
  int vla[argc + 2];
  vla[0] = 42, vla[1] = 43, vla[2] = 44;
  int grid[2][3] = {{1, 2, 3}, {4, 5, 6}};
  static int calls;
  calls++;
  per_thread += argc;
  long r = walk(&first, 2);
  int b = big(first, c);
  double m = mix(1.5, 2.5f, 'c', -3, 4u, -5ll, 1);
  struct point p = make(8, 9);
  long f = factorial(5);
  switch (argc) {
    case 1: r += apply(add, 20); break;
    default: r++;
  }
  {
    int r = 5;
    b += r;
  }
  printf("%ld %d %g %d %ld %lu %d %d %d\n", r, b, m, p.x, f, w, vla[0], grid[1][2], u.i);
  return 0;
}
)";

const char* cpp_source = R"(#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>
namespace shapes {
struct Shape { virtual ~Shape() {} virtual int area() const = 0; int id = 1; static int made; };
int Shape::made = 3;
struct Square : Shape {
  int side;
  explicit Square(int s) : side(s) { made++; }
  int area() const override { return side * side; }
};
template <class T, int N> struct Box { T items[N]; T first() const { return items[0]; } };
enum class Mode : unsigned char { off, on = 3 };
}
using shapes::Box;
static int total(const std::vector<int>& v) {
  int sum = 0;
  for (int x : v) sum += x;
  return sum;
}
static int thrower(int n) {
  if (n > 1) throw std::runtime_error("too many");
  return n;
}
int main() {
  std::string s = "a string";
  std::vector<int> v{1, 2, 3};
  shapes::Square q(4);
  shapes::Shape& base = q;
  Box<long, 2> box{{7, 8}};
  auto mode = shapes::Mode::on;
  auto lambda = [&](int k) { return k + q.side; };
  int sum = total(v) + base.area() + int(box.first()) + lambda(2);
  try {
    sum += thrower(sum);
  } catch (const std::exception& e) {
    sum++;
  }
  std::printf("%s %d %d\n", s.c_str(), sum, int(mode));
}
)";

std::string compile_source(const TempDir& dir, const std::string& name, const char* source, const Args& flags) {
  const bool cpp = name.ends_with(".cpp");
  const std::string in = dir.write(name, source), out = dir.file(name + std::to_string(flags.size()) + ".o");
  RunResult r = run(Args{cpp ? "clang++-19" : "clang-19", "-c", "-g", in, "-o", out} + flags);
  INFO(r.describe());
  REQUIRE(r.ok());
  return out;
}

void link_program(const std::string& object, const std::string& out, const Args& flags) {
  RunResult r = run(Args{"clang++-19", object, "-o", out} + flags);
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(r.err == "");
}

std::string gdb(const std::string& program, const std::vector<std::string>& commands) {
  Args args{"gdb", "-nx", "-batch", "-ex", "set width 0", "-ex", "set confirm off", "-ex", "set print address off",
            "-ex", "set debuginfod enabled off", "-ex", "set breakpoint pending off"};
  for (const std::string& c : commands) args = args + Args{"-ex", c};
  RunResult r = run(args + Args{program});
  INFO(r.describe());
  CHECK(r.signal == 0);  // its status is that of the last command, which may be one that has to fail
  // Addresses, and the linker's name, differ.
  std::string text = std::regex_replace(r.out + r.err, std::regex("0x[0-9a-f]+"), "0x#");
  text = std::regex_replace(text, std::regex("(warning|\\[Thread|Using host|\\[Inferior)[^\n]*\n"), "");
  return text;
}

void verify(const std::string& file) {
  RunResult r = run({"llvm-dwarfdump-19", "--verify", file});
  INFO(r.out.substr(0, 6000));
  CHECK(r.ok());
  CHECK(!has(r.out, "warning:"));
}

}  // namespace

TEST_CASE("debug information: gdb says of C at -O0 what it says of clang's program") {
  LODE_NEEDS("clang-19", "clang++-19", "gdb", "ld.lld-19", "llvm-dwarfdump-19");
  TempDir dir;
  const std::string ours = dir.file("ours"), theirs = dir.file("theirs");
  link_program(compile_source(dir, "a.c", c_source, {"-O0", "-flto"}), ours, {"-flto", "--ld-path=" + linker});
  link_program(compile_source(dir, "a.c", c_source, {"-O0"}), theirs, {"--ld-path=ld.lld-19"});
  verify(ours);
  const std::vector<std::vector<std::string>> sessions = {
      {"break main", "run >/dev/null", "info source", "next", "next", "next", "next", "next", "p c", "p u", "p first"},
      {"break add", "run >/dev/null", "bt", "info args", "finish"},
      {"break add", "run >/dev/null", "next", "info locals", "up", "info locals", "info args", "up", "p second",
       "down", "p *l", "p l->next->p", "p q"},
      {"break a.c:20", "run >/dev/null", "p total", "p i", "p q", "continue", "p i", "p q", "p l->name"},
      {"break big", "run >/dev/null", "p by_value", "p c", "p by_value.bits", "info args", "finish"},
      {"break mix", "run >/dev/null", "info args", "next", "info locals", "next", "next"},
      {"break make", "run >/dev/null", "next", "info locals", "finish"},
      {"break factorial if n == 2", "run >/dev/null", "bt", "up", "p n", "finish"},
      {"break a.c:66", "run >/dev/null", "p vla", "p grid", "p grid[1]", "p u", "p sizeof(vla)",
       "p calls", "p first", "p &first", "p argv[0] != 0", "p w"},
      {"break a.c:64", "run >/dev/null", "p r", "next", "p b", "p r"},
      {"p counter", "p scale", "p text", "ptype struct list", "ptype enum color", "whatis add", "ptype walk",
       "ptype union word", "list factorial", "ptype size", "info symbol add", "info types color"},
      {"break main", "run >/dev/null", "p per_thread", "p counter", "watch counter", "continue", "bt"},
      {"tbreak a.c:57", "run >/dev/null", "step", "step", "step", "bt", "step", "step", "step", "step", "info locals"},
      {"break apply", "run >/dev/null", "p f == add", "step", "bt", "finish"},
      {"break a.c:43", "run >/dev/null", "until 50", "p vla", "p w", "p grid[1][1]", "p $_siginfo.si_signo"},
      {"tbreak main", "run >/dev/null", "p add(2, 3)", "p factorial(4)", "p make(1, 2)", "p mix(1, 2, 3, 4, 5, 6, 1)"},
  };
  for (const auto& session : sessions) {
    INFO(session[0] << ", " << session.back());
    CHECK(gdb(ours, session) == gdb(theirs, session));
  }
}

TEST_CASE("debug information: gdb says of C++ at -O0 what it says of clang's program") {
  LODE_NEEDS("clang-19", "clang++-19", "gdb", "ld.lld-19", "llvm-dwarfdump-19");
  TempDir dir;
  const std::string ours = dir.file("ours"), theirs = dir.file("theirs");
  link_program(compile_source(dir, "a.cpp", cpp_source, {"-O0", "-flto"}), ours, {"-flto", "--ld-path=" + linker});
  link_program(compile_source(dir, "a.cpp", cpp_source, {"-O0"}), theirs, {"--ld-path=ld.lld-19"});
  verify(ours);
  const std::vector<std::vector<std::string>> sessions = {
      {"break total", "run >/dev/null", "bt", "p v", "next", "next", "info locals", "finish"},
      {"break a.cpp:39", "run >/dev/null", "p s", "p v", "p box", "p mode", "p q", "p sum",
       "p *(shapes::Square*)&base"},
      {"break shapes::Square::area", "run >/dev/null", "p *this", "p this->side", "bt", "up", "p q.side"},
      {"catch throw", "run >/dev/null", "up", "up", "info locals"},
      {"ptype shapes::Square", "ptype shapes::Shape", "ptype shapes::Box<long, 2>", "p shapes::Shape::made",
       "ptype shapes::Mode", "whatis main"},
      {"break shapes::Square::Square", "run >/dev/null", "info args", "next", "p side", "finish"},
      {"break thrower", "run >/dev/null", "p n", "bt", "next", "next"},
      {"break a.cpp:33", "run >/dev/null", "continue", "p k", "bt"},
  };
  for (const auto& session : sessions) {
    INFO(session[0] << ", " << session.back());
    CHECK(gdb(ours, session) == gdb(theirs, session));
  }
}

TEST_CASE("debug information: optimised programs, objects and other linkers") {
  LODE_NEEDS("clang-19", "clang++-19", "gdb", "ld.lld-19", "ld.bfd", "mold", "llvm-dwarfdump-19");
  TempDir dir;
  const std::string ours = dir.file("ours");
  for (const char* level : {"-O1", "-O2"}) {
    for (const char* name : {"a.c", "a.cpp"}) {
      const bool cpp = name == std::string("a.cpp");
      const std::string object = compile_source(dir, name, cpp ? cpp_source : c_source, {level, "-flto"});
      link_program(object, ours, {"-flto", "--ld-path=" + linker});
      verify(ours);
      const std::string joined = dir.file("joined.o");
      REQUIRE(link({"-r", object, "-o", joined}).ok());
      verify(joined);
      const std::string here = gdb(ours, {"break main", "run >/dev/null", "bt"});
      CHECK(has(here, "main"));
      for (const char* linker : {"ld.lld-19", "ld.bfd", "mold"}) {
        INFO(linker);
        const std::string linked = dir.file("linked");
        link_program(joined, linked, {std::string("--ld-path=") + linker});
        verify(linked);
        CHECK(gdb(linked, {"break main", "run >/dev/null", "bt"}) == here);
      }
    }
  }
}

TEST_CASE("debug information: what is asked for, and not more") {
  LODE_NEEDS("clang-19", "clang++-19", "llvm-dwarfdump-19");
  TempDir dir;
  const std::string object = compile_source(dir, "a.c", c_source, {"-O1", "-flto"}), ours = dir.file("ours");
  auto sections = [&](const Args& flags) {
    link_program(object, ours, Args{"-flto", "--ld-path=" + linker} + flags);
    return readelf({"-S"}, ours);
  };
  CHECK(has(sections({}), ".debug_info"));
  CHECK(!has(sections({"-Wl,-S"}), ".debug_"));
  CHECK(!has(sections({"-Wl,-s"}), ".debug_"));
  // Code and data are the same with and without.
  auto code = [&](const Args& flags) {
    sections(flags);
    RunResult r = run({"objcopy", "-O", "binary", "-j", ".text", "-j", ".rodata", ours, dir.file("raw")});
    CHECK(r.ok());
    return read_file(dir.file("raw"));
  };
  CHECK(code({}) == code({"-Wl,-S"}));
  // The same bytes with any number of threads, and from the cache.
  sections({"-Wl,--threads=1"});
  const std::string one = read_file(ours);
  sections({"-Wl,--threads=4"});
  CHECK(read_file(ours) == one);
  const Args cache{"-Wl,--mir-cache=" + dir.file("cache")};
  sections(cache);
  CHECK(read_file(ours) == one);
  sections(cache);
  CHECK(read_file(ours) == one);
  // Only lines.
  const std::string lines = compile_source(dir, "a.c", c_source, {"-O0", "-flto", "-gline-tables-only"});
  link_program(lines, ours, {"-flto", "--ld-path=" + linker});
  verify(ours);
  const std::string dump = run({"llvm-dwarfdump-19", ours}).out;
  CHECK(has(dump, "DW_TAG_subprogram"));
  CHECK(!has(dump, "DW_TAG_variable"));
  CHECK(!has(dump, "DW_TAG_base_type"));
}
