// The examples written in AIR link with libc, statically and as PIE, and as objects that another linker finishes, and
// print what they say they print.
#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

#include <catch2/catch.hpp>

using namespace lode::test;

namespace {

const std::map<std::string, std::string> expected = {
    {"hello", "Hello, world\n"},
    {"loop", "sum of squares to 10: 385\n"},
    {"struct", "P is 10 from 0,0\n"},
    {"libc", "-3 0 1 7 8 19 42 100 \n"},
    {"wide",
     "57896044618658097711785492504343953926634992332820282019728792003956564819949\n"
     "57896044618658097711785492504343953926634992332\n820282019728792003956564819949\n"},
};

void must(const Args& command) {
  RunResult r = run(command);
  INFO(command[0] << ": " << r.describe());
  REQUIRE(r.ok());
}

}  // namespace

TEST_CASE("examples: AIR programs run") {
  for (const auto& [name, output] : expected) {
    TempDir dir;
    std::string air = LODE_SOURCE_DIR "/examples/" + name + ".air", program = dir.file("program");
    INFO(name);
    must(Args{LODE_BINARY} + static_link({air}, program));
    CHECK(run({program}).out == output);
    CHECK(elf_report(program) == "");
    must(Args{LODE_BINARY} + dynamic_link({air}, program));
    CHECK(run({program}).out == output);
    CHECK(elf_report(program) == "");
    must({LODE_BINARY, "-r", air, "-o", dir.file("object.o")});
    CHECK(elf_report(dir.file("object.o")) == "");
    must(Args{"ld.bfd"} + dynamic_link({dir.file("object.o")}, program));
    CHECK(run({program}).out == output);
  }
}

namespace {

// A program of AIR for wasm32: with pointers of 4 bytes, and main under the name that C's has there.
std::string for_wasm(std::string text) {
  const size_t at = text.find("@main(");
  if (at != std::string::npos) text.replace(at, 5, "@__main_argc_argv");
  return "layout pointer_bytes 4\n" + text;
}

bool have_wasi() {
  for (const char* tool : {"node", "clang-19"})
    if (!have_tool(tool)) {
      WARN("skipped: " << tool << " is not installed");
      return false;
    }
  if (std::filesystem::exists(std::string(wasi_folder()) + "/libc.a")) return true;
  WARN("skipped: wasi-libc is not installed");
  return false;
}

// Functions that call each other in their place ten million times: with arguments on the stack, through a pointer, and
// from a function with a canary.
std::string tail_calls() {
  std::string params, args;
  for (int k = 0; k < 10; k++) params += (k ? ", %a" : "%a") + std::to_string(k) + ": i64";
  for (int k = 2; k < 10; k++) args += ", i64 %a" + std::to_string(k);
  auto half = [&](const char* name, const char* other, const char* added, const char* words) {
    return "internal func @" + std::string(name) + "(" + params + ") -> i64 " + words +
           " {\nstart:\n  %z = icmp eq i64 %a0, 0\n  %f = select i1 %z, ptr null, ptr @even\n"
           "  cond_br %z, done, more\nmore:\n  %n = sub i64 %a0, 1\n  %s = add i64 %a1, %" +
           added + "\n  %r = call musttail i64 " + other + "(i64 %n, i64 %s" + args +
           ")\n  ret i64 %r\ndone:\n  ret i64 %a1\n}\n";
  };
  return half("even", "@odd", "a9", "no_tail_calls") + half("odd", "%f", "a8", "optnone") +
         "internal func @guarded(%a: i64, %x: i64) -> i64 stack_protect_req {\n  slot b 64 align 16 "
         "char_array\nstart:\n"
         "  %p = slot_addr b\n  store i64 %x, ptr %p align 8\n  %v = load i64, ptr %p align 8 volatile\n"
         "  %z = icmp eq i64 %a, 0\n  cond_br %z, done, more\nmore:\n  %n = sub i64 %a, 1\n  %s = add i64 %v, 1\n"
         "  %r = call musttail i64 @guarded(i64 %n, i64 %s)\n  ret i64 %r\ndone:\n  ret i64 %x\n}\n"
         "declare func @printf(ptr, ...) -> i32\ninternal const data @text : [11 x i8] = \"%lld %lld\\n\\00\"\n"
         "strong func @main(%argc: i32, %argv: ptr) -> i32 {\nstart:\n"
         "  %r = call i64 @even(i64 10000000, i64 0, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7, i64 8, i64 9)\n"
         "  %q = call i64 @guarded(i64 10000000, i64 5)\n"
         "  %x = call i32 @printf(ptr @text, i64 %r, i64 %q) as func(ptr, ...) -> i32\n  ret i32 0\n}\n";
}

}  // namespace

TEST_CASE("examples: integers of 256 bits are divided in wasm as they are natively") {
  if (!have_wasi()) return;
  TempDir dir;
  const std::string air = dir.write("wide.air", for_wasm(read_file(LODE_SOURCE_DIR "/examples/wide.air")));
  must(Args{LODE_BINARY, "-m", "wasm32"} + wasi_link({air}, dir.file("wide.wasm"), dir));
  const RunResult r = run_wasi(dir.file("wide.wasm"));
  INFO(r.describe());
  CHECK(r.out == expected.at("wide"));
}

TEST_CASE("examples: musttail is a jump, or an error that says why not") {
  TempDir dir;
  const std::string source = tail_calls(), program = dir.file("program");
  must(Args{LODE_BINARY} + static_link({dir.write("tail.air", source)}, program));
  CHECK(run({program}).out == "85000000 10000005\n");
  auto refused = [&](const std::string& text, const std::string& why, Args options = {"-shared"}) {
    RunResult r = run(Args{LODE_BINARY} + options + Args{dir.write("refused.air", text), "-o", dir.file("out")});
    INFO(r.describe());
    CHECK(r.status == 1);
    CHECK(r.err.find(why) != std::string::npos);
  };
  const std::string big = "declare func @g(i64, i64, i64, i64, i64, i64, i64) -> i64\n";
  refused(big + "strong func @few(%a: i64) -> i64 {\ns:\n"
                "  %r = call musttail i64 @g(i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7)\n  ret i64 %r\n}\n",
          "'few': instruction 'call': a musttail call whose arguments or result do not fit those of its function");
  const std::string later = "declare func @g() -> i64\nstrong func @later() -> i64 {\ns:\n"
                            "  %r = call musttail i64 @g()\n  %t = add i64 %r, 1\n  ret i64 %t\n}\n";
  refused(later, "refused.air:4:3: error: call: a musttail call is followed by the ret of its result");
  if (!have_wasi()) return;
  refused(for_wasm(source), "'even': a musttail call without the feature tail-call",
          {"-m", "wasm32", "--no-entry", "--export=__main_argc_argv", "--import-undefined"});
  const std::string air = dir.write("tail.air", "processor \"generic\" \"+tail-call\"\n" + for_wasm(source));
  must(Args{LODE_BINARY, "-m", "wasm32"} + wasi_link({air}, dir.file("tail.wasm"), dir));
  RunResult r = run_wasi(dir.file("tail.wasm"));
  INFO(r.describe());
  if (r.status == 126) WARN("skipped: node knows no tail calls");
  else CHECK(r.out == "85000000 10000005\n");
}

TEST_CASE("examples: structures by value, as docs/c-abi.md has them") {
  const std::string expected_output = "2 1, 2.5 0.5, 2.5 42, 11 12 13, 3.5\n303313\n";
  const std::string folder = LODE_SOURCE_DIR "/examples/c_abi/";
  TempDir dir;
  const std::string object = dir.file("shapes.o"), program = dir.file("program");
  for (const char* level : {"-O0", "-O2"})
    for (const char* compiler : {"gcc", "clang-19"}) {
      if (!have_tool(compiler)) {
        WARN("skipped: " << compiler << " is not installed");
        continue;
      }
      INFO(compiler << " " << level);
      must({compiler, level, "-c", folder + "shapes.c", "-o", object});
      must(Args{LODE_BINARY} + dynamic_link({object, folder + "shapes.air"}, program));
      CHECK(run({program}).out == expected_output);
    }
  if (!have_wasi()) return;
  for (const char* level : {"-O0", "-O2"}) {
    must({"clang-19", "--target=wasm32-wasi", level, "-c", folder + "shapes.c", "-o", object});
    must(Args{LODE_BINARY, "-m", "wasm32"} + wasi_link({object, folder + "shapes32.air"}, program, dir));
    const RunResult r = run_wasi(program);
    INFO(level << " " << r.describe());
    CHECK(r.out == expected_output);
  }
}

TEST_CASE("examples: where programs of WASI begin, as docs/c-abi.md has it") {
  if (!have_wasi()) return;
  TempDir dir;
  const std::string module = dir.file("program.wasm");
  must({LODE_BINARY, "-m", "wasm32", LODE_SOURCE_DIR "/examples/wasi_hello.air", "-o", module});
  CHECK(run_wasi(module).out == "Hello, world\n");
  for (const char* head : {"@__main_void()", "@__main_argc_argv(%argc: i32, %argv: ptr)", "@main()",
                           "@main(%argc: i32, %argv: ptr)"}) {
    const std::string air = dir.write("main.air", "layout pointer_bytes 4\nstrong func " + std::string(head) +
                                                      " -> i32 {\nstart:\n  ret i32 7\n}\n");
    must(Args{LODE_BINARY, "-m", "wasm32"} + wasi_link({air}, module, dir));
    const RunResult r = run_wasi(module);
    INFO(head << ": " << r.describe());
    CHECK(r.status == 7);
  }
}

TEST_CASE("examples: an error in AIR names line and column") {
  TempDir dir;
  std::string air =
      dir.write("wrong.air", "strong func @main() -> i32 {\nstart:\n  %x = add i32 1, %nothing\n  ret i32 %x\n}\n");
  RunResult r = run({LODE_BINARY, "-e", "main", air, "-o", dir.file("program")});
  INFO(r.describe());
  CHECK(r.status == 1);
  CHECK(r.err.find("wrong.air:3:") != std::string::npos);
  CHECK(!std::filesystem::exists(dir.file("program")));
}
