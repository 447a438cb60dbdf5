// The linker as a library, where it makes WebAssembly: modules of every kind, replacement, errors as values, and
// nothing that is printed.
#include <catch2/catch.hpp>
#include <map>

#include "lode/codegen/air/builder.h"
#include "lode/link/linker.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

using namespace lode;
using link::Linker;

namespace {

std::string text(const Result<void>& r) { return r.ok() ? "" : r.error().text(); }
std::span<const uint8_t> span_of(const std::string& s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

const std::string small = "layout pointer_bytes 4\n";
std::string returns(const std::string& name, int value) {
  return small + "strong func @" + name + "() -> i32 {\na:\n  ret i32 " + std::to_string(value) + "\n}\n";
}
const std::string sum = small +
                        "declare func @one() -> i32\ndeclare func @two() -> i32\nstrong func @sum() -> i32 {\na:\n"
                        "  %x = call i32 @one()\n  %y = call i32 @two()\n  %z = add i32 %x, %y\n  ret i32 %z\n}\n";
const std::vector<std::string> options{"-m", "wasm32", "--no-entry", "--export=sum"};

Result<air::Module> built(const std::string& name, uint64_t value) {
  air::DataLayout layout;
  layout.pointer_bytes = 4;
  air::ModuleBuilder b("built", layout);
  air::FunctionBuilder f(b, b.declare_function(name, b.function_type(b.i32(), {})));
  f.ret(f.integer(b.i32(), value));
  f.finish();
  return b.take();
}

// What the exported function `sum` gives.
std::string call(Linker& linker, const test::TempDir& dir) {
  auto bytes = linker.flush_to_memory();
  if (!bytes.ok()) return bytes.error().text();
  const std::string file = dir.write("m.wasm", std::string(bytes->begin(), bytes->end()));
  const test::RunResult r =
      test::run({"node", "-e",
                 "WebAssembly.instantiate(require('fs').readFileSync(process.argv[1])).then(m => "
                 "console.log(m.instance.exports.sum()))",
                 file});
  return r.ok() ? r.out.substr(0, r.out.find('\n')) : r.describe();
}

}  // namespace

TEST_CASE("Linker, wasm: AIR text, built modules, bitcode and objects from memory; each kind replaces each") {
  if (!test::have_tool("node") || !test::have_tool("clang-19")) {
    WARN("skipped: node or clang-19 is not installed");
    return;
  }
  test::TempDir dir;
  auto compiled = [&](const char* kind, const char* source) {
    const std::string c = dir.write("x.c", source), out = dir.file("x.o");
    REQUIRE(test::run({"clang-19", "--target=wasm32", "-O1", "-c", kind, c, "-o", out}).ok());
    return test::read_file(out);
  };
  const std::string object = compiled("-fno-lto", "int two(void) { return 20; }");
  const std::string bitcode = compiled("-emit-llvm", "int two(void) { return 30; }");
  Linker linker(options);
  auto one = built("one", 1), two = built("two", 40);
  REQUIRE((one.ok() && two.ok()));
  REQUIRE(text(linker.add_module("sum", sum)) == "");
  REQUIRE(text(linker.add_module("one", *one)) == "");
  REQUIRE(text(linker.add_module("two", span_of(object))) == "");
  CHECK(call(linker, dir) == "21");
  REQUIRE(text(linker.add_module("two", span_of(bitcode))) == "");
  CHECK(call(linker, dir) == "31");
  REQUIRE(text(linker.replace_function("two", *two)) == "");
  CHECK(call(linker, dir) == "41");
  REQUIRE(text(linker.replace_function("two", span_of(object))) == "");
  CHECK(call(linker, dir) == "21");
  REQUIRE(text(linker.replace_function("two", returns("two", 50))) == "");
  REQUIRE(text(linker.replace_function("one", span_of(compiled("-emit-llvm", "int one(void) { return 5; }")))) == "");
  CHECK(call(linker, dir) == "55");
  CHECK(linker.restore_function("two"));
  CHECK(linker.restore_function("one"));
  CHECK_FALSE(linker.restore_function("one"));
  CHECK(call(linker, dir) == "31");
  CHECK(linker.remove_module("two"));
  CHECK(call(linker, dir).find("undefined symbol: two") != std::string::npos);
  CHECK(text(linker.replace_function("two", returns("three", 1))).find("does not define") != std::string::npos);
}

TEST_CASE("Linker, wasm: what is wrong is an error value with file and place; nothing is printed") {
  test::TempDir dir;
  Linker linker(
      {"-m", "wasm32", "--no-entry", "--export=sum", "--trace", "--Map=-", "--verbose", "--print-gc-sections"});
  std::vector<std::string> told;
  linker.set_diagnostic_handler([&](const link::Diagnostic& d) { told.push_back(d.file + "|" + d.text); });
  CHECK(text(linker.add_module("m", "strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n")).find("m:3:11: error:") == 0);
  CHECK(text(linker.add_module("elf", "\x7f" "ELF")) == "elf: an ELF object, and the link is of wasm");
  CHECK(text(linker.add_module("w", std::string_view("\0asm\1\0\0\0", 8))) == "w: a linked module, not an object");
  REQUIRE(text(linker.add_module("sum", sum)) == "");
  REQUIRE(text(linker.add_module("wide", "strong func @two() -> i32 {\na:\n  ret i32 1\n}\n")) == "");
  told.clear();
  auto failed = linker.flush_to_memory();
  REQUIRE(!failed.ok());
  CHECK(failed.error().text().find("wide: was made for another target (pointers of 8 bytes)") != std::string::npos);
  REQUIRE(!told.empty());
  CHECK(told[0] == "wide|wide: was made for another target (pointers of 8 bytes)");
  REQUIRE(text(linker.add_module("wide", returns("two", 2))) == "");
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  REQUIRE(text(linker.add_module("unused", returns("unused", 1))) == "");
  REQUIRE(text(linker.flush(dir.file("m.wasm"))) == "");
  CHECK(std::filesystem::exists(dir.file("m.wasm")));
  for (const char* part : {"removing unused section unused", "3 of 5 functions linked", "CODE"}) {
    INFO(linker.listing());
    CHECK(linker.listing().find(part) != std::string::npos);
  }
  CHECK(text(linker.flush("-")).find("the output cannot be standard output") != std::string::npos);
  CHECK(text(linker.flush("/nowhere/x")) != "");
  Linker unknown({"-m", "wasm32", "--no-such-option"});
  REQUIRE(text(unknown.add_module("one", returns("one", 1))) == "");
  CHECK(text(unknown.flush(dir.file("x"))).find("no-such-option") != std::string::npos);
  Linker help({"-m", "wasm32", "--help"});
  CHECK(text(help.flush(dir.file("x"))) == "");
  CHECK(help.listing().find("wasm") != std::string::npos);
}

TEST_CASE("Linker, wasm: functions are kept from flush to flush, and nobody sees it in the output") {
  std::map<std::string, std::string> modules{{"sum", sum}, {"one", returns("one", 1)}}, replacements;
  modules["many"] = small;
  for (int k = 0; k < 40; k++) {
    const std::string n = std::to_string(k);
    modules["many"] += "strong func @f" + n + "(%x: i32) -> i32 {\na:\n  %y = mul i32 %x, " + n + "\n  ret i32 %y\n}\n";
  }
  modules["two"] = returns("two", 2);
  std::vector<std::string> verbose = options;
  verbose.insert(verbose.end(), {"--export-all", "--verbose"});
  Linker kept(verbose);
  auto fill = [&](Linker& l) {
    for (auto& [name, contents] : modules) REQUIRE(text(l.add_module(name, contents)) == "");
    for (auto& [name, contents] : replacements) REQUIRE(text(l.replace_function(name, contents)) == "");
  };
  auto same = [&](const char* lowered) {
    fill(kept);
    Linker fresh(verbose);
    fill(fresh);
    auto a = kept.flush_to_memory(), b = fresh.flush_to_memory();
    REQUIRE((a.ok() && b.ok()));
    CHECK((*a == *b));
    INFO(kept.listing());
    CHECK(kept.listing().find(lowered) != std::string::npos);
  };
  same(" 43 lowered");
  same(" 0 lowered");
  replacements["two"] = returns("two", 7);
  same(" 1 lowered");
  modules["many"] += "strong func @more() -> i32 {\na:\n  ret i32 5\n}\n";  // a symbol more is another module
  same(" 41 lowered");
  replacements.clear();
  CHECK(kept.restore_function("two"));
  same(" lowered");
}
