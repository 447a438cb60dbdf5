// Keys of functions: equal for functions of which equal code is made, whatever their modules number otherwise;
// different as soon as anything that code generation reads differs.
#include <catch2/catch.hpp>

#include "codegen/import/import.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

using namespace lode;
using namespace lode::test;

namespace {

// The key of @f in a module, and the names of the symbols in its order; and what the short way goes by.
struct Key {
  mir::Hash128 hash;
  std::vector<std::string> symbols;
  uint64_t tables = 0, bits = 0;
  bool bits_say_all = false;
};

// What a relink concludes that had `before` in the last link: the function is what it was, without reading it.
bool is_taken_for(const Key& before, const Key& now) {
  return before.bits_say_all && before.tables && before.tables == now.tables && before.bits == now.bits;
}

Key key_of(const std::string& ir, const std::string& name = "m.c") {
  TempDir dir;
  const std::string in = dir.write(
                        "m.ll", "source_filename = \"" + name + "\"\ntarget triple = \"x86_64-pc-linux-gnu\"\n" + ir),
                    out = dir.file("m.bc");
  RunResult r = run({"llvm-as-19", in, "-o", out});
  INFO(r.describe());
  REQUIRE(r.ok());
  const std::string bytes = read_file(out);
  auto module = codegen::BitcodeModule::open({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "m");
  REQUIRE(module.ok());
  const air::Module& m = (*module)->module();
  for (uint32_t f = 0; f < m.functions.size(); f++) {
    if (m.name_of(m.functions[f].symbol) != "f") continue;
    auto body = (*module)->open_body(air::FunctionIndex(f));
    REQUIRE(body.ok());
    std::vector<air::SymbolIndex> symbols;
    Key k;
    k.hash = (*module)->key(*body, symbols);
    for (air::SymbolIndex s : symbols) k.symbols.push_back(s.valid() ? std::string(m.name_of(s)) : "");
    k.tables = (*module)->tables();
    k.bits = (*module)->body_bits(air::FunctionIndex(f));
    k.bits_say_all = (*module)->bits_say_all(*body);
    return k;
  }
  FAIL("no @f");
  return {};
}

const std::string body = R"(
@text = private constant [4 x i8] c"abc\00"
@data = internal global i32 5
declare i32 @g(ptr, i32)
define i32 @f(i32 %x, ptr %p) {
  %a = add nsw i32 %x, 7
  %b = call i32 @g(ptr @text, i32 %a)
  %q = getelementptr {i32, i64}, ptr %p, i64 1, i32 1
  %l = load i64, ptr %q, align 8
  %c = icmp slt i32 %b, 9
  br i1 %c, label %yes, label %no
yes:
  store i32 %b, ptr @data
  ret i32 1
no:
  switch i32 %b, label %yes [ i32 10, label %yes i32 20, label %no2 ]
no2:
  ret i32 2
}
)";

std::string with(std::string s, const std::string& from, const std::string& to) {
  const size_t at = s.find(from);
  REQUIRE(at != std::string::npos);
  return s.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("function keys: numbering, names of locals, other functions and data of the module are no part") {
  LODE_NEEDS("llvm-as-19");
  const Key k = key_of(body);
  CHECK(k.symbols == std::vector<std::string>{"f", "g", "text", "data"});
  const std::vector<std::string> same = {
      "@more = global [9 x i16] zeroinitializer\n%T = type { i8, ptr, [3 x i64] }\n@t = global %T "
      "zeroinitializer\ndeclare void @h(%T)\n" +
          body,
      body + "define float @other(float %x) noinline {\n  %y = fadd float %x, 2.0\n  ret float %y\n}\n",
      with(with(body, "@text = private", "@renamed = private"), "ptr @text", "ptr @renamed"),
      with(body, "c\"abc\\00\"", "c\"xyz\\00\""),
      with(body, "@data = internal global i32 5", "@data = internal global i32 6"),
      with(body, "%l = load", "%other_name = load"),
      body + "!llvm.ident = !{!0}\n!0 = !{!\"a producer\"}\n",
  };
  for (const std::string& s : same) {
    INFO(s);
    CHECK(key_of(s).hash == k.hash);
  }
  CHECK(key_of(body, "elsewhere.c").hash == k.hash);
}

TEST_CASE("function keys: all that code is made from is part") {
  LODE_NEEDS("llvm-as-19");
  const std::vector<std::pair<const char*, const char*>> changes = {
      {"i32 %x, 7", "i32 %x, 8"},
      {"add nsw", "add nuw"},
      {"add nsw", "sub nsw"},
      {"slt i32", "ult i32"},
      {"i64 1, i32 1", "i64 2, i32 1"},
      {"{i32, i64}, ptr %p", "<{i32, i64}>, ptr %p"},
      {"load i64", "load volatile i64"},
      {"align 8", "align 4"},
      {"i32 10, label", "i32 11, label"},
      {"label %yes i32 20", "label %no2 i32 20"},
      {"ret i32 2", "ret i32 3"},
      {"call i32 @g", "tail call i32 @g"},
      {"call i32 @g", "call fastcc i32 @g"},
      {"define i32 @f", "define fastcc i32 @f"},
      {"i32 %a)", "i32 signext %a)"},
      {"%p) {", "%p) noinline {"},
      {"%p) {", "%p) align 64 {"},
      {"%p) {", "%p) \"frame-pointer\"=\"all\" {"},
      {"define i32 @f(i32 %x", "define i32 @f(i32 zeroext %x"},
      {"@data = internal global", "@data = internal thread_local global"},
      {"@data = internal global", "@data = global"},
      {"declare i32 @g(ptr, i32)", "declare i32 @g(ptr, i32) nounwind"},
      {"declare i32 @g(ptr, i32)",
       "!llvm.module.flags = !{!0}\n!0 = !{i32 8, !\"cf-protection-branch\", i32 1}\ndeclare i32 @g(ptr, i32)"},
  };
  const Key first = key_of(body);
  std::vector<mir::Hash128> seen{first.hash};
  for (const auto& [from, to] : changes) {
    INFO(to);
    const Key k = key_of(with(body, from, to));
    for (const mir::Hash128& h : seen) CHECK_FALSE(h == k.hash);
    CHECK_FALSE(is_taken_for(first, k));
    CHECK(is_taken_for(k, k));
    seen.push_back(k.hash);
  }
  // Another function in the place of the one that is called: its name says whether it is an intrinsic.
  const std::string other = with(with(body, "declare i32 @g", "declare i32 @g2"), "call i32 @g", "call i32 @g2");
  CHECK_FALSE(key_of(other).hash == seen[0]);
  // The text of assembly may name symbols of the module: equal only in an equal module.
  const std::string assembly = with(body, "%l = load i64, ptr %q, align 8", "call void asm sideeffect \"nop\", \"\"()");
  CHECK(key_of(assembly).hash == key_of(assembly).hash);
  CHECK_FALSE(key_of(assembly).hash == key_of("@more = global i32 0\n" + assembly).hash);
}

TEST_CASE("function keys: the bits of a body say all where nothing that they number has changed") {
  LODE_NEEDS("llvm-as-19");
  const std::string others = body + "define internal i32 @other(i32 %x) {\n  %y = add i32 %x, 3\n  ret i32 %y\n}\n";
  const Key k = key_of(others);
  CHECK(k.bits_say_all);
  // What edits change elsewhere in a module: contents of data, bodies of other functions.
  for (const auto& [from, to] : std::vector<std::pair<const char*, const char*>>{
           {"c\"abc\\00\"", "c\"xyz\\00\""}, {"%y = add i32 %x, 3", "%y = mul i32 %x, %x"}}) {
    INFO(to);
    const Key now = key_of(with(others, from, to));
    CHECK(is_taken_for(k, now));
    CHECK(now.hash == k.hash);
  }
  // Where numbers mean something else now, the long way has to tell.
  for (const char* more : {"@more = global [9 x i16] zeroinitializer\n",
                           "%T = type { i8, ptr }\n@t = global %T zeroinitializer\n",
                           "declare void @before(i32)\n"}) {
    INFO(more);
    CHECK_FALSE(is_taken_for(k, key_of(more + others)));
    CHECK(key_of(more + others).hash == k.hash);
  }
  // Bodies that read contents, or what the form does not describe, go by their keys.
  const std::string reads = R"(
define <4 x i32> @f(<4 x i32> %x) {
  %y = add <4 x i32> %x, <i32 1, i32 2, i32 3, i32 4>
  ret <4 x i32> %y
}
)";
  const Key vector = key_of(reads), changed = key_of(with(reads, "i32 3, i32 4", "i32 3, i32 5"));
  CHECK_FALSE(vector.hash == changed.hash);
  CHECK_FALSE(is_taken_for(vector, changed));
  const Key assembly = key_of(with(body, "%l = load i64, ptr %q, align 8", "call void asm sideeffect \"nop\", \"\"()"));
  CHECK_FALSE(assembly.bits_say_all);
}
