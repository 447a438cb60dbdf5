// The text form: everything that prints parses to what prints the same; errors have places and do not cascade.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <sstream>

#include "codegen/air/decimal.h"
#include "codegen/air/text.h"
#include "codegen/air/verifier.h"

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
  for (const Diagnostic& d : parsed.errors)
    all += std::to_string(d.line) + ":" + std::to_string(d.column) + " " + d.message + "\n";
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

TEST_CASE("AIR text: every instruction prints to a fix point") {
  fix_point(read(std::string(LODE_TEST_DIR) + "/air/all.air"));
}

TEST_CASE("AIR text: errors have line and column and do not cascade") {
  CHECK(errors_of("strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n") == "3:11 '%x' is not defined\n");
  CHECK(errors_of(
            "strong func @f(%x: i32) -> i32 {\na:\n  %y = add i32 %x, 1.5\n  %z = mul i32 %y, %y\n  ret i32 %z\n}\n") ==
        "3:20 a floating-point number where a value of type i32 is expected\n");
  // One broken declaration hides nothing of the others, and may be used.
  CHECK(errors_of("strong func @f(%x: i3x) -> i32 {\na:\n  ret i32 0\n}\n"
                  "strong func @g() -> i32 {\na:\n  %n = call i32 @f(i32 1)\n  ret i64 0\n}\n") ==
        "1:20 'i3x' is not a type\n8:11 ret: the result has type i64, expected i32\n");
  CHECK(errors_of("data @x : i32 = {i32 5\nstrong func @g() -> void {\na:\n  ret\n}\n") != "");
  CHECK(errors_of("declare func @f() -> void\ndeclare func @f() -> void\n") ==
        "2:14 'f' is already declared in line 1\n");
  CHECK(errors_of("type a = {i32, b}\ntype b = [2 x a]\n") != "");
  CHECK(errors_of("strong func @f(%x: i64) -> i32 {\na:\n  %y = trunc i64 %x to i32\n  %z = add i32 %x, %y\n  ret i32 "
                  "%z\n}\n") == "4:16 '%x' has type i64, not i32\n");
  CHECK(errors_of("strong func @f(%c: i1) -> i32 {\na:\n  cond_br %c, b, c\nb:\n  %y = add i32 1, 2\n  br c\nc:\n  ret "
                  "i32 %y\n}\n") == "8:11 ret: '%y' is used where its definition is not known\n");
  CHECK(errors_of("strong func @f() -> void {\na:\n  br b(1)\nb:\n  ret\n}\n") ==
        "3:8 expected ')': the block has 0 parameters, found '1'\n");
  CHECK(errors_of("strong func @f() -> void {\na:\n  frobnicate i32 1\n  call void @unknown()\n  call void "
                  "@unknown()\n  ret\n}\n") ==
        "3:3 'frobnicate' is not an instruction\n4:13 '@unknown' is not declared\n");
}

TEST_CASE("AIR text: a message stands where its cause does, once, and says names") {
  const std::string head = "strong func @main() -> i32 {\nstart:\n";
  CHECK(errors_of(head + "  ret i32 0\n  %x = add i32 1, 2\n  %y = add i32 %x, 2\n}\n") ==
        "4:3 ret ends the block; what follows it begins another\n");
  CHECK(errors_of("strong func @main() -> i32 {\n  %x = add i32 1, 2\n  ret i32 0\n}\n") ==
        "2:3 expected the first block's label, as name:, found '%x'\n");
  CHECK(errors_of("strong data @g : i32\n" + head + "  ret i32 0\n}\n") ==
        "1:13 data without an initialiser: write = and one, or declare data\n");
  CHECK(errors_of(head + "  ret i32 0\ndead:\n  ret i32 1\n}\n") == "4:1 'dead' cannot be reached from the entry\n");
  CHECK(errors_of(head + "  br b(1)\nb(%x: i32, %y: i32):\n  ret i32 %x\n}\n") ==
        "3:6 br: 'b' takes 2 arguments, here are 1\n");
  CHECK(errors_of(head + "  br b\nb(%x: i32):\n  ret i32 %x\n}\n") == "3:6 br: 'b' takes 1 arguments, here are 0\n");
  CHECK(errors_of(
            head +
            "  %c = icmp eq i32 1, 2\n  cond_br %c, a, b\na:\n  %x = add i32 1, 2\n  br b\nb:\n  ret i32 %x\n}\n") ==
        "9:11 ret: '%x' is used where its definition is not known\n");
  CHECK(errors_of("declare func @f(i32) -> i32\n" + head + "  %r = call i32 @f(i64 1)\n  ret i32 %r\n}\n") ==
        "4:24 call: argument 0 has type i64, expected i32\n");
  CHECK(errors_of(head + "  slot x 8\n  ret i32 0\n}\n") == "3:3 a slot is declared before the first block\n");
}

TEST_CASE("AIR text: a broken declaration hides nothing of the others, of whatever kind they are") {
  const char* source =
      "type bad = {i32, nothing}\n"
      "strong alias @loop : i32 = @pool\n"
      "strong alias @pool : i32 = @loop\n"
      "strong data @big : [2 x i8] = (1, 2, 3)\n"
      "strong data @uses_bad : bad = zero\n"
      "internal data @fine : i32 = 7\n"
      "constructor @fine\n"
      "strong func @one(%x: bad) -> i32 {\na:\n  ret i32 0\n}\n"
      "strong func @two() -> i32 {\na:\n  %r = call i32 @one(i32 5)\n  %s = add i32 %r, %undefined\n  %t = add i32 %s, "
      "%undefined\n  ret i64 %t\n}\n"
      "strong func @three() -> i32 {\na:\n  %x = icmp eq i32 1, 2\n  ret i32 %x\n}\n"
      "strong func @four(%p: ptr) -> void {\na:\n  %x = load bad, ptr %p\n  store bad %x, ptr %p\n  br b(%x)\nb(%y: "
      "bad):\n  ret\n}\n";
  CHECK(errors_of(source) ==
        "1:18 'nothing' is not a type\n"
        "2:14 the alias leads to itself\n"
        "4:31 the list has more than the 2 members of [2 x i8]\n"
        "6:15 a constructor that is no function\n"
        "15:20 '%undefined' is not defined\n"
        "22:11 '%x' has type i1, not i32\n");
}

TEST_CASE("AIR text: types nest through names as well, and what nests too deeply is refused") {
  auto chain = [](unsigned n, bool forward) {
    std::string s;
    for (unsigned k = 0; k <= n; k++) {
      const unsigned at = forward ? k : n - k;
      s += "type t" + std::to_string(at) + " = " + (at == n ? "i32" : "[1 x t" + std::to_string(at + 1) + "]") + "\n";
    }
    return s +
           "internal data @x : t0 = zero\nstrong func @f(%p: ptr) -> void {\na:\n  %x = load t0, ptr %p\n  store t0 "
           "%x, ptr @x\n  ret\n}\n";
  };
  for (bool forward : {false, true}) {
    fix_point(chain(200, forward));
    for (unsigned n : {300u, 50000u})
      CHECK(errors_of(chain(n, forward)).find("types are nested too deeply") != std::string::npos);
  }
  // Constants follow their types; parentheses alone prove nothing.
  std::string type = "i8", value = "1";
  for (int k = 0; k < 200; k++) type = "{" + type + "}", value = "(" + value + ")";
  fix_point("strong data @x : " + type + " = " + value + "\n");
}

TEST_CASE("AIR text: small texts do not ask for much memory") {
  CHECK(errors_of("strong data @x : {[1000000000 x i8], i8} = (zero, 1)\n") ==
        "1:44 the constants are too large for a text of this size\n");
  CHECK(errors_of("strong data @x : i8 = {zero 200000000, i8 1, zero 200000000, i8 1}\n") ==
        "1:51 the constants are too large for a text of this size\n");
  std::string many = "strong data @x : {[100000000 x i8], i8} = (zero, 1)\n";
  for (int k = 0; k < 3; k++) many += "strong data @y" + std::to_string(k) + " : {[100000000 x i8], i8} = (zero, 1)\n";
  CHECK(errors_of(many).find("too large for a text of this size") != std::string::npos);
  std::string wide = "strong func @f(%p: ptr) -> void {\na:\n";
  for (int k = 0; k < 40000; k++) wide += "  store i131072 1, ptr %p\n";
  CHECK(errors_of(wide + "  ret\n}\n").find("too large for a text of this size") != std::string::npos);
  // Zeros at the end cost nothing.
  fix_point("strong data @x : {i8, [1000000000000 x i8]} = {i8 1, zero 1000000000000}\n");
}

TEST_CASE("AIR text: wide integers print and parse") {
  std::string digits = "0x1";
  for (int k = 0; k < 32000; k++) digits += "0123456789abcdef"[(k * 7 + k / 5) % 16];
  fix_point("strong data @x : i131072 = " + digits + "\nstrong func @f() -> i131072 {\na:\n  ret i131072 " + digits +
            "\n}\n");
  CHECK(errors_of("strong data @x : i128 = " + std::string(500, '9') + "\n") ==
        "1:25 the number is too long; write it in hexadecimal\n");
}

TEST_CASE("AIR text: numbers are rounded once, to the nearest of their own type") {
  auto bits = [](const std::string& type, const std::string& number) {
    ParsedModule parsed;
    REQUIRE(parse_text("strong data @x : " + type + " = " + number + "\n", "t.air", parsed));
    const Symbol& s = parsed.module.symbols[0];
    std::string hex;
    for (uint64_t k = s.size; k-- > 0;) {
      char two[3];
      std::snprintf(two, sizeof two, "%02x", k < s.bytes_size ? parsed.module.data[s.bytes_offset + k] : 0);
      hex += two;
    }
    return hex;
  };
  CHECK(bits("f128", "0.1") == "3ffb999999999999999999999999999a");
  CHECK(bits("f128", "-1.0") == "bfff0000000000000000000000000000");
  CHECK(bits("f128", "1.189731495357231765085759326628007016e4932") == "7ffeffffffffffffffffffffffffffff");
  CHECK(bits("f128", "1.2e4932") == "7fff0000000000000000000000000000");
  CHECK(bits("f128", "6.475175119438025110924438958227646552e-4966") == "00000000000000000000000000000001");
  CHECK(bits("f128", "3.0e-4966") == "00000000000000000000000000000000");
  CHECK(bits("f128", "3.3621031431120935062626778173217526e-4932") == "00010000000000000000000000000000");
  CHECK(bits("f80", "0.1").substr(12) == "3ffbcccccccccccccccd");
  CHECK(bits("f80", "1.0e5000").substr(12) == "7fff8000000000000000");
  CHECK(bits("f80", "3.6451995318824746025e-4951").substr(12) == "00000000000000000001");
  CHECK(bits("f64", "0.1") == "3fb999999999999a");
  CHECK(bits("f64", "1.7976931348623157e308") == "7fefffffffffffff");
  CHECK(bits("f64", "1.7976931348623159e308") == "7ff0000000000000");
  CHECK(bits("f64", "4.9406564584124654e-324") == "0000000000000001");
  CHECK(bits("f64", "2.0e-324") == "0000000000000000");
  CHECK(bits("f64", "2.2250738585072014e-308") == "0010000000000000");
  CHECK(bits("f64", "9007199254740993") == "4340000000000000");   // a tie, to even
  CHECK(bits("f64", "9007199254740993.0000000000000000000001") == "4340000000000001");
  CHECK(bits("f64", "0.0e99999999999") == "0000000000000000");
  CHECK(bits("f64", "-0.0") == "8000000000000000");
  CHECK(bits("f32", "16777217") == "4b800000");
  CHECK(bits("f32", "3.4028235677973366e38") == "7f7fffff"); // just below the middle
  CHECK(bits("f32", "3.4028235677973367e38") == "7f800000");
  CHECK(bits("f32", "1.0e-45") == "00000001");
  // Just above the middle of 1 and the next half: a double in between would say 1.
  CHECK(bits("f16", "1.00048828125000000000000000000001") == "3c01");
  CHECK(bits("f16", "1.00048828125") == "3c00");
  CHECK(bits("f16", "65519.999") == "7bff");
  CHECK(bits("f16", "65520.0") == "7c00");
  CHECK(bits("f16", "0.00000005960464477539") == "0001");
  CHECK(bits("bf16", "3.14159265358979") == "4049");
  // Against the C library: the same for doubles and floats of all sizes.
  uint64_t state = 88172645463325252u;
  for (int k = 0; k < 20000; k++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    char text[64];
    std::snprintf(text, sizeof text, "%llu.%llue%d", static_cast<unsigned long long>(state >> 20),
                  static_cast<unsigned long long>(state & 0xfffff), int(state % 700) - 350);
    BinaryNumber n;
    REQUIRE(decimal_to_binary(text, binary64, n));
    const double d = std::strtod(text, nullptr);
    uint64_t b;
    std::memcpy(&b, &d, 8);
    if ((uint64_t(n.biased_exponent) << 52 | (n.low & 0xfffffffffffffu)) != b) FAIL(text);
    REQUIRE(decimal_to_binary(text, binary32, n));
    const float f = std::strtof(text, nullptr);
    uint32_t fb;
    std::memcpy(&fb, &f, 4);
    if ((uint32_t(n.biased_exponent) << 23 | (n.low & 0x7fffffu)) != fb) FAIL(text);
  }
}

TEST_CASE("AIR verifier: all problems of a function and a module are reported, each once") {
  ParsedModule parsed;
  REQUIRE(parse_text(
      "strong func @f(%x: i32) -> i32 {\na:\n  %a = add i32 %x, 1\n  %b = add i32 %a, 2\n  %c = add i32 %b, 3\n"
      "  %d = add i32 %c, 4\n  br e(%d)\ne(%p: i32):\n  ret i32 %p\n}\n",
      "t.air", parsed));
  Module& m = parsed.module;
  Function& f = m.in_memory[0];
  auto texts = [&] {
    std::vector<Problem> problems;
    verify_module(m, problems);
    std::string all;
    for (const Problem& p : problems) all += problem_text(m, p) + "\n";
    return all;
  };
  CHECK(texts() == "");
  f.insts[0].a = 1000;                       // no such value
  f.insts[1].b = f.insts[3].b;               // fine
  f.insts[2].type = TypeTable::i64;          // not its result's
  f.insts[3].op = Op::fadd;                  // of integers
  m.symbols[0].tls = TlsModel::local_exec;
  CHECK(texts() == "f: a thread-local function\n"
                   "f, block 0, instruction 0: add: an operand that does not exist\n"
                   "f, block 0, instruction 2: add: the result's type is not the instruction's\n"
                   "f, block 0, instruction 3: fadd: takes floating point, not i32\n");
  // A block without a terminator takes nothing from the rest.
  f.insts[4].op = Op::trap;
  f.insts[5].op = Op::debug_trap;
  const std::string more = texts();
  CHECK(more.find("block 1: the block does not end in a terminator") == std::string::npos);
  CHECK(more.find("block 1, instruction 5: the block does not end in a terminator") != std::string::npos);
  CHECK(more.find("instruction 3: fadd: takes floating point, not i32") != std::string::npos);
  // A function that fails many checks leads to one block from everywhere: linear, not quadratic.
  std::string s = "strong func @g(%c: i1) -> void {\ns:\n  cond_br %c, b0, bad\n";
  const int n = 60000;
  for (int k = 0; k < n; k++)
    s += "b" + std::to_string(k) + ":\n  cond_br %c, " +
         (k + 1 < n ? "b" + std::to_string(k + 1) : std::string("good")) + ", bad\n";
  s += "good:\n  ret\nbad:\n  trap\n}\n";
  CHECK(errors_of(s) == "");
  // So do chains of aliases.
  s = "strong data @a0 : i32 = 1\n";
  for (int k = 1; k < n; k++) s += "strong alias @a" + std::to_string(k) + " : i32 = @a" + std::to_string(k - 1) + "\n";
  CHECK(errors_of(s) == "");
}

TEST_CASE("AIR verifier: an invoke's result is known where its normal edge alone leads") {
  auto check = [](const std::string& tail) {
    return errors_of("declare func @g() -> i32\ndeclare func @p()\nstrong func @f(%c: i1) -> i32 personality @p {\n"
                     "start:\n  %r = invoke i32 @g() to next unwind pad\n" + tail + "}\n");
  };
  const std::string resumed = "pad:\n  %p = landing_pad {ptr, i32} cleanup\n  resume {ptr, i32} %p\n";
  CHECK(check("next:\n  ret i32 %r\n" + resumed) == "");
  CHECK(check("next:\n  cond_br %c, next, done\ndone:\n  ret i32 %r\n" + resumed) == "");
  CHECK(check("next:\n  ret i32 0\npad:\n  %p = landing_pad {ptr, i32} cleanup\n  ret i32 %r\n") != "");
  CHECK(check("next:\n  ret i32 %r\npad:\n  %p = landing_pad {ptr, i32} cleanup\n  br next\n") != "");
}

TEST_CASE("AIR text: a diagnostic shows its line") {
  std::string source = "strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n";
  ParsedModule parsed;
  parse_text(source, "t.air", parsed);
  REQUIRE(parsed.errors.size() == 1);
  CHECK(format_diagnostic("t.air", source, parsed.errors[0]) ==
        "t.air:3:11: error: '%x' is not defined\n    ret i32 %x\n            ^");
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

// What comes of many functions, as text: types in their order, values' types, what is printed, what is complained of.
static std::string everything(const std::string& source, int threads) {
  ParsedModule parsed;
  tbb::global_control more(tbb::global_control::max_allowed_parallelism, size_t(threads));
  tbb::task_arena arena(threads);
  arena.execute([&] { parse_text(source, "t.air", parsed); });
  std::string all;
  for (const Diagnostic& d : parsed.errors)
    all += std::to_string(d.line) + ":" + std::to_string(d.column) + " " + d.message + "\n";
  for (uint32_t t = 0; t < parsed.module.types.size(); t++) all += type_name(parsed.module.types, TypeId(t)) + "\n";
  for (const Function& fn : parsed.module.in_memory) {
    for (const Value& v : fn.values) all += std::to_string(v.type.value) + " ";
    for (const Inst& i : fn.insts) all += std::to_string(i.type.value) + " ";
    for (const CallSite& c : fn.calls) all += std::to_string(c.function_type.value) + " ";
  }
  for (const Symbol& s : parsed.module.symbols) all += std::string(parsed.module.str(s.name)) + " ";
  if (!parsed.errors.empty()) return all;
  auto printed = print_module(parsed.module);
  REQUIRE(printed.ok());
  return all + *printed;
}

TEST_CASE("AIR text: the number of threads changes neither the module nor what is said") {
  auto functions = [](int n, auto&& body) {
    std::string s = "type pair = {i32, i64}\n";
    for (int k = 0; k < n; k++)
      s += "strong func @f" + std::to_string(k) + "(%a: i32, %p: ptr) -> i32 {\nstart:\n" + body(k) +
           "  ret i32 %a\n}\n";
    return s;
  };
  // Types that only bodies have, in an order that is not that of their widths.
  const std::string sound = functions(700, [](int k) {
    const std::string w = std::to_string(k * 37 % 101 + 1), n = std::to_string(k % 7 + 1);
    return "  %v = load [" + n + " x {i" + w + ", pair}], ptr %p\n  %c = call i32 %p(i32 %a, <" + n + " x i" + w +
           "> zero)\n" + "  %o = uadd_overflow i" + w + " 0, 1\n  %e = icmp eq <" + n + " x i8> zero, zero\n";
  });
  const std::string broken = functions(900, [](int k) {
    const std::string own = "  %y = load i" + std::to_string(k * 37 % 101 + 130) + ", ptr %p\n";
    if (k % 5 == 1) return own + "  %x = add i32 %a, %nowhere" + std::to_string(k) + "\n  %z = frob\n";
    if (k % 5 == 2) return "  %x = call i32 @missing" + std::to_string(k % 10) + "(i" + std::to_string(k + 1) + " 0)\n";
    if (k % 7 == 3) return own + "  %x = fadd i32 %a, %a\n";
    return own;
  });
  // More constants than a text of this size may have.
  const std::string large = functions(400, [](int k) {
    std::string s;
    for (int i = 0; i < 80; i++) s += "  %x" + std::to_string(i) + " = add i131072 " + std::to_string(k) + ", 1\n";
    return s;
  });
  for (const std::string* source : {&sound, &broken, &large}) {
    const std::string alone = everything(*source, 1);
    CHECK_FALSE(alone.starts_with("1:1 "));
    for (int threads : {2, 5}) CHECK((everything(*source, threads) == alone));
  }
}

TEST_CASE("AIR text: a version may stand in the first line") {
  const std::string rest = "strong func @f() -> void {\na:\n  ret\n}\n";
  CHECK(errors_of("air 1\n" + rest) == "");
  CHECK(errors_of("// a comment\nair 1 // and another\n" + rest) == "");
  CHECK(errors_of("air 2\n" + rest + "nonsense\n") ==
        "1:5 the text is of version 2 of AIR; this lode reads version 1\n");
  CHECK(errors_of("air 0\n") == "1:5 the text is of version 0 of AIR; this lode reads version 1\n");
  CHECK(errors_of("air 1 strong\n") == "1:7 expected the end of the line, found 'strong'\n");
  CHECK(errors_of(rest + "air 1\n") == "5:1 the version stands in the first line, and only there\n");
  CHECK(looks_like_text("air 7\n"));
  CHECK_FALSE(looks_like_text("air conditioning\n"));
  auto module = read_text(rest, "t.air");
  REQUIRE(module.ok());
  auto printed = print_module(*module);
  REQUIRE(printed.ok());
  CHECK(printed->starts_with("air 1\n"));
}

TEST_CASE("AIR text: a message stands at the operand and has its name") {
  auto body = [](const std::string& line) {
    return errors_of(
        "declare func @g(i32) -> i32\nstrong func @f(%a: i32, %b: i64, %x: f64, %p: ptr) -> void {\nstart:\n  " + line +
        "\n  br done\ndone:\n  ret\n}\n");
  };
  CHECK(body("%r = add i32 %a, i64 %b") == "4:24 add: the second operand '%b' has type i64, expected i32\n");
  CHECK(body("%r = fadd i32 %a, %a") == "4:17 fadd: takes floating point, not i32\n");
  CHECK(body("%r = select f64 %x, i32 %a, i32 %a") == "4:19 select: the condition '%x' has type f64\n");
  CHECK(body("%r = trunc i32 %a to i64") == "4:18 trunc: from i32 to i64\n");
  CHECK(body("%r = ptr_add ptr %p, f64 %x") == "4:28 ptr_add: the index '%x' has type f64\n");
  CHECK(body("store i32 %a, i64 %b") == "4:21 store: the address '%b' has type i64, expected ptr\n");
  CHECK(body("memset ptr %p, i8 0, f64 %x") == "4:28 memset: the length '%x' has type f64\n");
  CHECK(body("%r = call i32 @g(i64 %b)") == "4:24 call: argument 0 '%b' has type i64, expected i32\n");
  CHECK(body("%r = call i32 @g(i32 %a, i64 %b)") == "4:17 call: the function takes 1 arguments, here are 2\n");
  CHECK(body("%r = icmp eq f64 %x, %x") == "4:20 icmp: cannot compare f64\n");
  CHECK(body("%r = atomic_rmw add ptr %p, f64 %x seq_cst") == "4:35 atomic_rmw: this operation on f64\n");
  CHECK(body("%r = extract_element i32 %a, i32 %a to i32") == "4:28 extract_element: takes a vector, not i32\n");
  CHECK(body("%r = shuffle i32 %a, %a [0]") == "4:16 shuffle takes vectors, not i32\n");
}

TEST_CASE("AIR text: who writes LLVM's words is told this language's") {
  auto first = [](const std::string& source) {
    const std::string all = errors_of(source);
    return all.substr(0, all.find('\n'));
  };
  auto body = [&](const std::string& line) {
    return first("strong func @f(%a: i32, %c: i1, %p: ptr) -> void {\nstart:\n  " + line +
                 "\n  br done\ndone:\n  ret\n}\n");
  };
  CHECK(body("%r = phi i32 [ 1, %start ]") ==
        "3:8 'phi' is not an instruction; a block has parameters, as name(%x: i32):, and branches give them arguments, "
        "as "
        "br name(%a)");
  CHECK(body("%r = getelementptr i32, ptr %p, i64 1") ==
        "3:8 'getelementptr' is not an instruction; addresses are reckoned in bytes, as %q = ptr_add ptr %p, i64 %i * "
        "4 + "
        "8");
  CHECK(body("%r = alloca i32, align 4") ==
        "3:15 alloca takes a number of bytes, as alloca i64 %n align 8 to ptr; a variable is a slot, as slot name 8 "
        "align "
        "8 before the first label, and %p = slot_addr name");
  CHECK(body("br label %done") ==
        "3:6 there is no block 'label'; a block's name stands alone, without 'label' and '%'");
  CHECK(body("br %done") == "3:6 expected a block, whose name has no '%', found '%done'");
  CHECK(body("br i1 %c, label %done, label %done") ==
        "3:6 there is no block 'i1'; a branch by a condition is cond_br %c, yes, no");
  CHECK(body("%r = bitcast i32 %a to float") == "3:26 'float' is not a type; write f32");
  CHECK(body("%r = load double, ptr %p") == "3:13 'double' is not a type; write f64");
  CHECK(body("%r = load i32, ptr %p, align 4") == "3:24 no comma stands in front of 'align'");
  CHECK(body("tail call void @f()") ==
        "3:3 'tail' is not an instruction; flags of a call stand behind the word, as call tail i32 @f()");
  CHECK(body("unreacheable") == "3:3 'unreacheable' is not an instruction; is it 'unreachable'?");
  CHECK(body("%r = ptradd ptr %p, 4") == "3:8 'ptradd' is not an instruction; is it 'ptr_add'?");
  CHECK(body("frobnicate") == "3:3 'frobnicate' is not an instruction");
  CHECK(first("define i32 @main() {\n  ret i32 0\n}\n") ==
        "1:1 expected a declaration, found 'define'; a function begins as strong func @name(%a: i32) -> i32 {");
  CHECK(
      first("declare i32 @puts(ptr)\n") ==
      "1:9 expected func, data, alias or ifunc, found 'i32'; the result comes last, as declare func @name(ptr) -> i32");
  CHECK(first("@x = global i32 0\n") == "1:1 expected a declaration, found '@x'; data is strong data @name : i32 = 0");
  CHECK(first("%t = type {i32}\n") == "1:1 expected a declaration, found '%t'; a type is type name = {i32, ptr}");
  CHECK(first("target triple = \"x86_64-linux\"\n") ==
        "1:8 write target \"triple\", and layout pointer_bytes 4 and the like for what differs");
}
