// Much of everything: what grows with the input takes time in proportion to it, and what a format has no room for is
// refused by name. A link that takes the square of its input's time ends by the time limit of the test.
#include <catch2/catch.hpp>

#include "tests/link/elf_link_support.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

std::string alias_chain(int n, bool bitcode) {
  std::string s = bitcode ? "@a0 = global i32 7\n" : "strong data @a0 : i32 = 7\n";
  for (int k = 1; k < n; k++) {
    const std::string name = "@a" + std::to_string(k), to = "@a" + std::to_string(k - 1);
    s += bitcode ? name + " = alias i32, ptr " + to + "\n" : "strong alias " + name + " : i32 = " + to + "\n";
  }
  const std::string last = "@a" + std::to_string(n - 1);
  return s + (bitcode ? "define i32 @main() {\n  %x = load i32, ptr " + last + "\n  ret i32 %x\n}\n"
                      : "strong func @main() -> i32 {\ns:\n  %x = load i32, ptr " + last + "\n  ret i32 %x\n}\n");
}

RunResult within(const Args& args, double seconds = 60) {
  RunOptions options;
  options.seconds = seconds;
  return run(Args{lode::test::elf::lode} + args, options);
}

}  // namespace

TEST_CASE("limits: chains of aliases of any length") {
  TempDir dir;
  std::string ll = dir.write("c.ll", alias_chain(1000, true)), bc = dir.file("c.bc"), out = dir.file("out");
  REQUIRE(run({"clang-19", "-w", "-c", "-emit-llvm", ll, "-o", bc}).ok());
  for (const std::string& input : {dir.write("a.air", alias_chain(20000, false)), bc}) {
    RunResult r = within(static_link({input}, out));
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(run({out}).status == 7);
  }
  std::string text = "layout pointer_bytes 4\n" + alias_chain(20000, false);
  RunResult r =
      within({"-m", "wasm32", "--no-entry", "--export=main", dir.write("w.air", text), "-o", dir.file("w.wasm")});
  INFO(r.describe());
  CHECK(r.ok());
}

TEST_CASE("limits: values of more parts than can be handled are refused") {
  TempDir dir;
  auto refused = [&](const std::string& type) {
    std::string air = dir.write("a.air", "strong func @f(%p: ptr) -> void {\nz:\n  %x = load " + type +
                                             ", ptr %p\n  store " + type + " %x, ptr %p\n  ret\n}\n");
    RunResult r = within({"-r", air, "-o", dir.file("o.o")});
    INFO(r.describe());
    return r.status == 1 && has(r.err, "a value of more than 4096 parts");
  };
  CHECK(refused("[16777216 x i32]"));
  CHECK(refused("[4096 x {[4096 x i32], i64}]"));
}

TEST_CASE("limits: more symbol versions than ELF can number are refused") {
  TempDir dir;
  std::string o = assemble(dir, "a", ".globl f0\nf0: ret\n");
  auto script = [&](int n) {
    std::string s;
    for (int k = 0; k < n; k++)
      s += "V" + std::to_string(k) + " { global: f" + std::to_string(k) + "; }" +
           (k ? " V" + std::to_string(k - 1) : "") + ";\n";
    return "--version-script=" + dir.write("v", s);
  };
  RunResult r = within({"-shared", o, script(30000), "-o", dir.file("out")});
  INFO(r.describe());
  CHECK(r.ok());
  r = within({"-shared", o, script(60000), "-o", dir.file("out")});
  CHECK(r.status == 1);
  CHECK(has(r.err, "the version scripts define 60000 versions; ELF has room for 32765"));
}

TEST_CASE("limits: overflow of vectors of one wide lane") {
  TempDir dir;
  for (const char* op : {"sadd", "uadd", "ssub", "usub", "smul", "umul"})
    for (const char* bits : {"7", "64", "100", "128"}) {
      const std::string i = std::string("i") + bits, v = "<1 x " + i + ">", overflow = std::string(op) + "_overflow";
      std::string air = dir.write(
          "a.air", "strong func @f(%a: " + v + ", %b: " + v + ") -> <1 x i1> {\ns:\n  %p = " + overflow + " " + v +
                       " %a, %b\n" + "  %o = extract {" + v + ", <1 x i1>} %p [1] to <1 x i1>\n  ret <1 x i1> %o\n}\n");
      RunResult r = within({"-r", air, "-o", dir.file("o.o")});
      INFO(op << bits << r.describe());
      CHECK(r.ok());
    }
}

TEST_CASE("limits: AIR for another machine is refused") {
  TempDir dir;
  std::string body = "strong func @main() -> i32 {\nstart:\n  ret i32 0\n}\n";
  for (const char* triple : {"wasm32-unknown-unknown", "riscv64-unknown-linux-gnu", "i386-pc-linux-gnu"}) {
    RunResult r =
        link({"-r", dir.write("a.air", std::string("target \"") + triple + "\"\n" + body), "-o", dir.file("o.o")});
    CHECK(r.status == 1);
    CHECK(has(r.err, std::string("made for another target (") + triple + ")"));
  }
  CHECK(link({"-r", dir.write("a.air", "target \"x86_64-pc-linux-gnu\"\n" + body), "-o", dir.file("o.o")}).ok());
}
