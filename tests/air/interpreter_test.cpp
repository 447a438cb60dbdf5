// The interpreter: programs, memory errors, limits. Everything runs as written and after legalisation for both kinds of
// target.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "codegen/air/interpreter.h"
#include "codegen/air/text.h"

using namespace lode;
using namespace lode::air;

static Module parse(std::string_view source) {
  ParsedModule parsed;
  bool ok = parse_text(source, "t.air", parsed);
  for (const Diagnostic& d : parsed.errors) UNSCOPED_INFO(format_diagnostic("t.air", source, d));
  REQUIRE(ok);
  return std::move(parsed.module);
}

static std::string run(const Module& m, bool legal, LegalizeOptions target = {}) {
  InterpreterOptions options;
  options.legalize = legal;
  options.target = target;
  options.max_steps = 1000000;
  Interpreter machine(m, options);
  auto r = machine.run_main();
  return machine.output() + (r.ok() ? "=" + std::to_string(*r) : "error: " + r.error().text());
}

TEST_CASE("AIR interpreter: the examples run") {
  struct { const char* name; std::string output; } cases[] = {
      {"hello", "Hello, world\n=0"},
      {"loop", "sum of squares to 10: 385\n=0"},
      {"struct", "P is 10 from 0,0\n=0"},
      {"libc", "-3 0 1 7 8 19 42 100 \n=0"}};
  for (auto& c : cases) {
    std::ifstream in(std::string(LODE_TEST_DIR) + "/../examples/" + c.name + ".air");
    std::stringstream s;
    s << in.rdbuf();
    Module m = parse(s.str());
    INFO(c.name);
    CHECK(run(m, false) == c.output);
    CHECK(run(m, true) == c.output);
  }
}

TEST_CASE("AIR interpreter: what is undefined is an error with its place") {
  auto program = [](const std::string& body) {
    return parse(
        "declare func @exit(i32) -> void\ndeclare func @unknown() -> void\n"
        "declare func @malloc(i64) -> ptr\ndeclare func @free(ptr) -> void\ninternal const data @c : i32 = 5\n"
        "strong func @main() -> i32 {\n  slot s0 8\na:\n" +
        body + "  ret i32 0\n}\n");
  };
  CHECK(run(program("  %x = sdiv i32 1, 0\n"), false) ==
        "error: division by zero in function main, block 0: %0 = sdiv i32 1, 0");
  CHECK(run(program("  %x = load i32, ptr null\n"), false) ==
        "error: read of 4 bytes at 0x0 in function main, block 0: %0 = load i32, ptr null");
  CHECK(run(program("  %p = slot_addr s0\n  %q = ptr_add ptr %p + 5\n  store i32 1, ptr %q\n"), false)
            .find("write of 4 bytes") != std::string::npos);
  CHECK(run(program("  store i32 1, ptr @c\n"), false).find("write of 4 bytes") != std::string::npos);
  CHECK(run(program("  %p = call ptr @malloc(i64 4)\n  call void @free(ptr %p)\n  %x = load i32, ptr %p\n"), false)
            .find("read of 4") != std::string::npos);
  CHECK(run(program("  call void @unknown()\n"), false).find("call of unknown, which the interpreter does not have") !=
        std::string::npos);
  CHECK(run(program("  call void @exit(i32 7)\n"), false) == "=7");
  CHECK(run(parse("strong func @main() -> i32 {\na:\n  br b\nb:\n  br b\n}\n"), false).find("too many steps") !=
        std::string::npos);
  CHECK(run(parse("strong func @main() -> i32 {\na:\n  %x = call i32 @main()\n  ret i32 %x\n}\n"), false)
            .find("calls nested too deeply") != std::string::npos);
}

TEST_CASE("AIR interpreter: calls of all kinds, before and after legalisation") {
  const char* source = R"(
declare func @printf(ptr, ...) -> i32
type big = {i64, i128, f64, <4 x f32>, i8}
internal const data @f : [13 x i8] = "%d %g %lld %d"
internal const data @t : {[13 x i8], [2 x i8]} = ("%d %g %lld %d", "\n\00")
internal data @table : [2 x ptr] = (@add, @sub)
internal func @add(%a: i128, %b: i7) -> i128 {
s:
  %c = sext i7 %b to i128
  %d = add i128 %a, %c
  ret i128 %d
}
internal func @sub(%a: i128, %b: i7) -> i128 {
s:
  %c = sext i7 %b to i128
  %d = sub i128 %a, %c
  ret i128 %d
}
internal func @make(%i: i64, %v: <4 x f32>, %h: f16, %w: <2 x f32>, %e: <8 x i16>, %x: <8 x f32>) -> big {
s:
  %wide = zext i64 %i to i128
  %0 = insert big undef, i64 %i [0]
  %shifted = shl i128 %wide, 70
  %1 = insert big %0, i128 %shifted [1]
  %d = fpext f16 %h to f64
  %2 = insert big %1, f64 %d [2]
  %v2 = fadd <4 x f32> %v, %v
  %3 = insert big %2, <4 x f32> %v2 [3]
  %l = extract_element <8 x i16> %e, i32 5 to i16
  %w1 = extract_element <2 x f32> %w, i32 1 to f32
  %x7 = extract_element <8 x f32> %x, i32 7 to f32
  %sum = fadd f32 %w1, %x7
  %i8 = fptosi f32 %sum to i16
  %i9 = add i16 %i8, %l
  %i10 = trunc i16 %i9 to i8
  %4 = insert big %3, i8 %i10 [4]
  ret big %4
}
internal func @sum(%n: i32, ...) -> f64 {
  slot list 24 align 8
s:
  %p = slot_addr list
  va_start ptr %p
  br loop(0, 0.0)
loop(%i: i32, %total: f64):
  %a = va_arg ptr %p to i32
  %b = va_arg ptr %p to f64
  %c = va_arg ptr %p to i64
  %ad = sitofp i32 %a to f64
  %cd = sitofp i64 %c to f64
  %t1 = fadd f64 %total, %ad
  %t2 = fadd f64 %t1, %b
  %t3 = fadd f64 %t2, %cd
  %next = add i32 %i, 1
  %more = icmp slt i32 %next, %n
  cond_br %more, loop(%next, %t3), done
done:
  va_end ptr %p
  ret f64 %t3
}
strong func @main() -> i32 {
s:
  %b = call big @make(i64 3, <4 x f32> (1.0, 2.0, 3.0, 4.0), f16 1.5, <2 x f32> (7.0, 8.0), <8 x i16> (1, 2, 3, 4, 5, 6, 7, 8), <8 x f32> (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 80.0))
  %i = extract big %b [1] to i128
  %h = lshr i128 %i, 69
  %small = trunc i128 %h to i64
  %d = extract big %b [2] to f64
  %v = extract big %b [3] to <4 x f32>
  %r = reduce_fadd f32 0.0, <4 x f32> %v to f32
  %rd = fpext f32 %r to f64
  %x = extract big %b [4] to i8
  %x32 = sext i8 %x to i32
  %all = fadd f64 %d, %rd
  %n = call i32 @printf(ptr @t, i32 %x32, f64 %all, i64 %small, i32 5)
  %which = load ptr, ptr @table
  %w = call i128 %which(i128 %i, i7 -3)
  %low = trunc i128 %w to i32
  %second = ptr_add ptr @table + 8
  %which2 = load ptr, ptr %second
  %w2 = call i128 %which2(i128 %w, i7 60)
  %low2 = trunc i128 %w2 to i32
  %s = call f64 @sum(i32 2, i32 1, f64 2.5, i64 3, i32 4, f64 5.5, i64 6)
  %n2 = call i32 @printf(ptr @t, i32 %low, f64 %s, i64 0, i32 %low2)
  ret i32 0
}
)";
  std::string text = source;
  text.erase(text.find("internal const data @f :"),
             text.find("internal const data @t :") - text.find("internal const data @f :"));
  Module m = parse(text);
  std::string expected = "94 21.5 6 5\n-3 22 0 -63\n=0";
  CHECK(run(m, false) == expected);
  CHECK(run(m, true) == expected);
  LegalizeOptions scalars = LegalizeOptions::wasm();
  scalars.va_list = VaListKind::sysv_x86_64;
  CHECK(run(m, true, scalars) == expected);
}
