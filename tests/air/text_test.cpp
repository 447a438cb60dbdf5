// The text form: everything that prints parses to what prints the same; errors have places and do not cascade.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "codegen/air/text.h"

using namespace lode;
using namespace lode::air;

static std::string read(const std::string& path) {
  std::ifstream in(path);
  REQUIRE(in.good());
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

static std::string errors_of(std::string_view source) {
  ParsedModule parsed;
  parse_text(source, "t.air", parsed);
  std::string all;
  for (const Diagnostic& d : parsed.errors) all += std::to_string(d.line) + ":" + std::to_string(d.column) + " " + d.message + "\n";
  return all;
}

static void fix_point(const std::string& source) {
  ParsedModule first, second;
  bool ok = parse_text(source, "t.air", first);
  for (const Diagnostic& d : first.errors) UNSCOPED_INFO(format_diagnostic("t.air", source, d));
  REQUIRE(ok);
  auto printed = print_module(first.module);
  REQUIRE(printed.ok());
  ok = parse_text(*printed, "t.air", second);
  for (const Diagnostic& d : second.errors) UNSCOPED_INFO(format_diagnostic("t.air", *printed, d));
  REQUIRE(ok);
  auto again = print_module(second.module);
  REQUIRE(again.ok());
  CHECK(*printed == *again);
}

TEST_CASE("AIR text: the examples print to a fix point") {
  for (const char* name : {"hello", "loop", "struct", "libc"}) {
    INFO(name);
    fix_point(read(std::string(LODE_TEST_DIR) + "/../examples/" + name + ".air"));
  }
}

TEST_CASE("AIR text: every instruction prints to a fix point") { fix_point(read(std::string(LODE_TEST_DIR) + "/air/all.air")); }

TEST_CASE("AIR text: errors have line and column and do not cascade") {
  CHECK(errors_of("strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n") == "3:11 '%x' is not defined\n");
  CHECK(errors_of("strong func @f(%x: i32) -> i32 {\na:\n  %y = add i32 %x, 1.5\n  %z = mul i32 %y, %y\n  ret i32 %z\n}\n") ==
        "3:20 a floating-point number where a value of type i32 is expected\n");
  // One broken declaration hides nothing of the others, and may be used.
  CHECK(errors_of("strong func @f(%x: i3x) -> i32 {\na:\n  ret i32 0\n}\n"
                  "strong func @g() -> i32 {\na:\n  %n = call i32 @f(i32 1)\n  ret i64 0\n}\n") ==
        "1:20 'i3x' is not a type\n8:3 ret: the result has type i64, expected i32\n");
  CHECK(errors_of("data @x : i32 = {i32 5\nstrong func @g() -> void {\na:\n  ret\n}\n") != "");
  CHECK(errors_of("declare func @f() -> void\ndeclare func @f() -> void\n") == "2:14 'f' is already declared in line 1\n");
  CHECK(errors_of("type a = {i32, b}\ntype b = [2 x a]\n") != "");
  CHECK(errors_of("strong func @f(%x: i64) -> i32 {\na:\n  %y = trunc i64 %x to i32\n  %z = add i32 %x, %y\n  ret i32 %z\n}\n") ==
        "4:16 '%x' has type i64, not i32\n");
  CHECK(errors_of("strong func @f(%c: i1) -> i32 {\na:\n  cond_br %c, b, c\nb:\n  %y = add i32 1, 2\n  br c\nc:\n  ret i32 %y\n}\n") ==
        "8:3 ret: an operand is used where its definition is not known\n");
  CHECK(errors_of("strong func @f() -> void {\na:\n  br b(1)\nb:\n  ret\n}\n") == "3:8 expected ')': the block has 0 parameters, found '1'\n");
  CHECK(errors_of("strong func @f() -> void {\na:\n  frobnicate i32 1\n  call void @unknown()\n  call void @unknown()\n  ret\n}\n") ==
        "3:3 'frobnicate' is not an instruction\n4:13 '@unknown' is not declared\n");
}

TEST_CASE("AIR text: a diagnostic shows its line") {
  std::string source = "strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n";
  ParsedModule parsed;
  parse_text(source, "t.air", parsed);
  REQUIRE(parsed.errors.size() == 1);
  CHECK(format_diagnostic("t.air", source, parsed.errors[0]) == "t.air:3:11: error: '%x' is not defined\n    ret i32 %x\n            ^");
}

TEST_CASE("AIR text: hostile input") {
  CHECK(errors_of(std::string(100000, '{')) != "");
  CHECK(errors_of("data @x : " + std::string(100000, '{')) != "");
  CHECK(errors_of("strong data @x : i32 = " + std::string(100000, '(')) != "");
  CHECK(errors_of("strong func @f() -> void {\n" + std::string(1000, '{')) != "");
  CHECK(errors_of("strong data @x : [99999999999999999999 x i8] = zero\n") != "");
  CHECK(errors_of("strong data @x : [9999999999999 x [999999999999 x i8]] = zero\n") != "");
  CHECK(errors_of("\"unclosed\n@\n%\n\x01\xff") != "");
}
