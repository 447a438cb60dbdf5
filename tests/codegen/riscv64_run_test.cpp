// AIR made into riscv64 code and run under an emulator; what it computes is what the interpreter says. The code of all
// functions of a test becomes one program: bytes in an assembly file, and a C program that calls them.
#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "codegen/air/interpreter.h"
#include "codegen/air/text.h"
#include "codegen/riscv64/emit.h"
#include "codegen/riscv64/print.h"
#include "codegen/riscv64/select.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;

namespace {

bool have_emulator() {
  return test::have_tool("qemu-riscv64") && test::have_tool("riscv64-linux-gnu-gcc");
}

struct Case {
  std::string text;                            // a module whose first function is @f
  std::vector<std::vector<uint64_t>> arguments;
  std::vector<uint64_t> wanted;
  unsigned result_bits = 64;
  std::string mir;
};

class Program {
 public:
  // `bits`: of the parameters, for the interpreter; the code gets whole registers.
  void add(const std::string& text, std::vector<std::vector<uint64_t>> arguments, const std::vector<unsigned>& bits,
           unsigned result_bits = 64) {
    Case c;
    c.text = text;
    c.arguments = std::move(arguments);
    c.result_bits = result_bits;
    auto module = air::read_text("target \"riscv64-unknown-linux-gnu\"\n" + text, "test.air");
    if (!module.ok()) FAIL(module.error().text());
    for (const auto& args : c.arguments) {
      std::vector<air::Scalar> scalars;
      for (size_t k = 0; k < args.size(); k++)
        scalars.push_back(bits[k] == 64 ? args[k] : args[k] & ((uint64_t{1} << bits[k]) - 1));
      air::Interpreter interpreter(*module);
      auto r = interpreter.call("f", scalars);
      INFO(text);
      if (!r.ok()) FAIL(r.error().text());
      c.wanted.push_back(uint64_t(r->at(0)));
    }
    code(*module, c);
    cases_.push_back(std::move(c));
  }

  void run() {
    test::TempDir dir;
    std::string source = "#include <stdio.h>\n#include <stdint.h>\ntypedef uint64_t u;\n";
    std::string calls;
    for (size_t k = 0; k < cases_.size(); k++) {
      const std::string name = "f" + std::to_string(k);
      source += "extern u " + name + "(u, u, u, u);\n";
      for (const auto& args : cases_[k].arguments) {
        calls += "  printf(\"%lx\\n\", (unsigned long)" + name + "(";
        for (size_t a = 0; a < 4; a++) {
          if (a) calls += ", ";
          calls += std::to_string(a < args.size() ? args[a] : 0) + "u";
        }
        calls += "));\n";
      }
    }
    source += "int main(void) {\n" + calls + "  return 0;\n}\n";
    const std::string c = dir.write("main.c", source), s = dir.write("code.s", assembly_), out = dir.file("program");
    auto built = test::run({"riscv64-linux-gnu-gcc", "-O0", "-static", c, s, "-o", out});
    INFO(built.err.substr(0, 2000));
    REQUIRE(built.ok());
    auto r = test::run({"qemu-riscv64", out});
    INFO(r.err);
    size_t at = 0;
    for (const Case& x : cases_)
      for (size_t k = 0; k < x.wanted.size(); k++) {
        const size_t end = r.out.find('\n', at);
        if (end == std::string::npos) {
          INFO(x.text << x.mir);
          FAIL("the program ends early: status " << r.status << ", signal " << r.signal);
        }
        uint64_t got = std::strtoull(r.out.substr(at, end - at).c_str(), nullptr, 16), wanted = x.wanted[k];
        at = end + 1;
        if (x.result_bits < 64) {
          got &= (uint64_t{1} << x.result_bits) - 1;
          wanted &= (uint64_t{1} << x.result_bits) - 1;
        }
        if (got == wanted) continue;
        std::string args;
        for (uint64_t a : x.arguments[k]) args += " " + std::to_string(int64_t(a));
        INFO(x.text << x.mir << "arguments" << args);
        CHECK(got == wanted);
        return;
      }
    CHECK(r.ok());
  }

 private:
  void code(air::Module& module, Case& c) {
    std::vector<SymbolId> symbols(module.symbols.size(), SymbolId(1)), runtime(256, SymbolId(2));
    const std::vector<codegen::SymbolReach> reach(symbols.size(), codegen::SymbolReach::direct);
    codegen::LowerContext context;
    context.module = &module;
    context.symbols = symbols;
    context.reach = reach;
    context.runtime = runtime;
    mir::FunctionDraft draft;
    auto scratch = riscv64::make_scratch();
    INFO(c.text);
    auto lowered = riscv64::lower(module.in_memory.at(0), context, *scratch, draft);
    if (!lowered.ok()) FAIL(lowered.error().text());
    const mir::FunctionView view = riscv64::view_of(draft);
    c.mir = riscv64::print_function(view);
    codegen::TargetOptions options;
    const std::vector<codegen::ResolvedReference> references(draft.references.size());
    auto sizes = riscv64::measure(view, references, options);
    if (!sizes.ok()) FAIL(sizes.error().text());
    const uint32_t constants_at = uint32_t(align_up(sizes->text, 64));
    std::vector<uint8_t> bytes(constants_at + sizes->constants);
    codegen::EmitPlace place;
    place.sizes = &*sizes;
    place.text = bytes.data();
    place.constants = bytes.data() + constants_at;
    place.text_address = 0x10000;
    place.constants_address = 0x10000 + constants_at;
    auto done = riscv64::emit(view, references, options, place);
    if (!done.ok()) FAIL(done.error().text());
    const std::string name = "f" + std::to_string(cases_.size());
    assembly_ += ".text\n.balign 64\n.globl " + name + "\n.type " + name + ", @function\n" + name + ":\n";
    for (uint8_t b : bytes) assembly_ += ".byte " + std::to_string(b) + "\n";
  }

  std::vector<Case> cases_;
  std::string assembly_;
};

// Straight code of random instructions on integers of all widths.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}

  std::string function() {
    values_ = {{"%a", 64}, {"%b", 32}, {"%c", 16}, {"%d", 8}};
    std::string body;
    for (int k = 0; k < 25; k++) body += instruction(k);
    std::string sum = "0";
    int n = 0;
    for (auto& [name, bits] : values_) {
      const std::string wide = "%w" + std::to_string(n), next = "%s" + std::to_string(n);
      if (bits == 64) body += "  " + wide + " = add i64 " + name + ", 0\n";
      else
        body += "  " + wide + " = " + (n % 2 ? "zext" : "sext") + " i" + std::to_string(bits) + " " + name +
                " to i64\n";
      const std::string turned = "%t" + std::to_string(n);
      body += "  " + turned + " = fshl i64 " + sum + ", " + sum + ", 7\n";
      body += "  " + next + " = xor i64 " + turned + ", " + wide + "\n";
      sum = next;
      n++;
    }
    return "strong func @f(%a: i64, %b: i32, %c: i16, %d: i8) -> i64 {\n  slot s 16\nentry:\n" + body +
           "  ret i64 " + sum +
           "\n}\n";
  }
  uint64_t argument() {
    const uint64_t r = next();
    switch (r % 6) {
      case 0: return next() % 5;
      case 1: return -(next() % 5);
      case 2: return uint64_t{1} << (next() % 64);
      case 3: return (uint64_t{1} << (next() % 64)) - 1;
      default: return next();
    }
  }

 private:
  uint64_t next() {
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_ >> 11;
  }
  unsigned width() {
    static constexpr unsigned widths[] = {8, 16, 32, 32, 64, 64};
    return widths[next() % 6];
  }
  std::string pick(unsigned bits) {
    if (next() % 4 == 0) {
      const int64_t c = sign_extend(argument(), bits);
      return std::to_string(c);
    }
    std::vector<std::string> fitting;
    for (auto& [name, b] : values_)
      if (b == bits) fitting.push_back(name);
    return fitting.empty() ? std::to_string(next() % 100) : fitting[next() % fitting.size()];
  }
  // Something that is no constant.
  std::string value(unsigned bits) {
    for (;;)
      if (std::string s = pick(bits); s[0] == '%') return s;
  }
  std::string instruction(int k) {
    const unsigned bits = width();
    const std::string t = "i" + std::to_string(bits), r = "%v" + std::to_string(k), u = std::to_string(k);
    std::string out;
    unsigned made = bits;
    switch (next() % 16) {
      default: {
        static const char* const ops[] = {"add", "sub", "mul", "and", "or", "xor", "smin", "smax", "umin", "umax"};
        out = "  " + r + " = " + ops[next() % 10] + " " + t + " " + value(bits) + ", " + pick(bits) + "\n";
        break;
      }
      case 0: case 1: {
        static const char* const ops[] = {"shl", "lshr", "ashr"};
        const char* op = ops[next() % 3];
        if (next() % 2) {
          out = "  " + r + " = " + op + " " + t + " " + value(bits) + ", " + std::to_string(next() % bits) + "\n";
        } else {
          out = "  %n" + u + " = and " + t + " " + value(bits) + ", " + std::to_string(bits - 1) + "\n";
          out += "  " + r + " = " + op + " " + t + " " + value(bits) + ", %n" + u + "\n";
        }
        break;
      }
      case 2: {
        static const char* const ops[] = {"udiv", "urem"};
        if (next() % 2) {
          out = "  %n" + u + " = or " + t + " " + value(bits) + ", 1\n";
          out += "  " + r + " = " + ops[next() % 2] + " " + t + " " + value(bits) + ", %n" + u + "\n";
        } else {
          static const char* const all[] = {"udiv", "urem", "sdiv", "srem"};
          static constexpr int divisors[] = {1, 2, 3, 5, 7, 8, 10, 64, 100, 127};
          out = "  " + r + " = " + all[next() % 4] + " " + t + " " + value(bits) + ", " +
                std::to_string(divisors[next() % 10]) + "\n";
        }
        break;
      }
      case 3: {
        static const char* const ops[] = {"ctlz", "cttz", "ctpop", "bitreverse", "iabs", "bswap"};
        const char* op = ops[next() % (bits == 8 ? 5 : 6)];
        out = "  " + r + " = " + op + " " + t + " " + value(bits) + "\n";
        break;
      }
      case 4: case 5: case 6: {
        static const char* const predicates[] = {"eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"};
        out = "  %k" + u + " = icmp " + predicates[next() % 10] + " " + t + " " + value(bits) + ", " + pick(bits) +
              "\n";
        if (next() % 3 == 0) {
          made = 32;
          out += "  " + r + " = zext i1 %k" + u + " to i32\n";
        } else {
          out += "  " + r + " = select i1 %k" + u + ", " + t + " " + pick(bits) + ", " + t + " " + value(bits) + "\n";
        }
        break;
      }
      case 7: case 8: {
        const unsigned to = width();
        made = to;
        if (to == bits) out = "  " + r + " = xor " + t + " " + value(bits) + ", -1\n";
        else
          out = "  " + r + " = " + (to < bits ? "trunc" : next() % 2 ? "sext" : "zext") + " " + t + " " + value(bits) +
                " to i" + std::to_string(to) + "\n";
        break;
      }
      case 9: {
        out = "  " + r + " = " + (next() % 2 ? "fshl" : "fshr") + " " + t + " ";
        const std::string x = value(bits);
        out += x + ", " + x + ", " + pick(bits) + "\n";
        break;
      }
      case 10: {
        static const char* const ops[] = {"uadd_overflow", "sadd_overflow", "usub_overflow",
                                          "ssub_overflow", "umul_overflow", "smul_overflow"};
        out = "  %o" + u + " = " + ops[next() % 6] + " " + t + " " + value(bits) + ", " + pick(bits) + "\n";
        out += "  %p" + u + " = extract {" + t + ", i1} %o" + u + " [0] to " + t + "\n";
        out += "  %q" + u + " = extract {" + t + ", i1} %o" + u + " [1] to i1\n";
        out += "  " + r + " = select i1 %q" + u + ", " + t + " " + pick(bits) + ", " + t + " %p" + u + "\n";
        break;
      }
      case 11: {
        static const char* const ops[] = {"uadd_sat", "sadd_sat", "usub_sat", "ssub_sat"};
        out = "  " + r + " = " + ops[next() % 4] + " " + t + " " + value(bits) + ", " + pick(bits) + "\n";
        break;
      }
      case 12: {
        out = "  %m" + u + " = slot_addr s\n";
        out += "  store " + t + " " + pick(bits) + ", ptr %m" + u + "\n";
        out += "  " + r + " = load " + t + ", ptr %m" + u + "\n";
        break;
      }
    }
    values_.push_back({r, made});
    return out;
  }

  uint64_t state_;
  std::vector<std::pair<std::string, unsigned>> values_;
};

}  // namespace

TEST_CASE("riscv64: random integer code computes what the interpreter says", "[riscv64]") {
  if (!have_emulator()) LODE_SKIP("qemu-riscv64 or riscv64-linux-gnu-gcc is not installed");
  Program program;
  for (uint64_t seed = 1; seed <= 150; seed++) {
    Random random(seed);
    const std::string text = random.function();
    std::vector<std::vector<uint64_t>> arguments;
    for (int k = 0; k < 6; k++)
      arguments.push_back({random.argument(), random.argument(), random.argument(), random.argument()});
    program.add(text, arguments, {64, 32, 16, 8});
  }
  program.run();
}

TEST_CASE("riscv64: division by constants", "[riscv64]") {
  if (!have_emulator()) LODE_SKIP("qemu-riscv64 or riscv64-linux-gnu-gcc is not installed");
  Program program;
  for (unsigned bits : {8u, 32u, 64u})
    for (const char* op : {"udiv", "sdiv", "urem", "srem"})
      for (int64_t divisor : {1, 2, 3, 5, 7, 10, 16, 100, 127, -3, -8, -7, 641}) {
        if (bits == 8 && divisor == 641) continue;
        const std::string t = "i" + std::to_string(bits);
        program.add("strong func @f(%a: " + t + ") -> " + t + " {\nentry:\n  %r = " + op + " " + t + " %a, " +
                        std::to_string(divisor) + "\n  ret " + t + " %r\n}\n",
                    {{0}, {1}, {~uint64_t{0}}, {100}, {0x80}, {0x7f}, {0x80000000}, {0x7fffffff}, {uint64_t{1} << 63},
                     {0x123456789abcdef}},
                    {bits}, bits);
      }
  program.run();
}

TEST_CASE("riscv64: loops, switches, edges with copies", "[riscv64]") {
  if (!have_emulator()) LODE_SKIP("qemu-riscv64 or riscv64-linux-gnu-gcc is not installed");
  Program program;
  program.add(R"(strong func @f(%n: i32) -> i64 {
entry:
  br loop(%n, 0, 1)
loop(%k: i32, %a: i64, %b: i64):
  %done = icmp eq i32 %k, 0
  cond_br %done, out, next
next:
  %m = sub i32 %k, 1
  %s = add i64 %a, %b
  br loop(%m, %b, %s)
out:
  ret i64 %a
}
)", {{0}, {1}, {50}, {0xffffffff00000007}}, {32});
  std::vector<std::vector<uint64_t>> numbers;
  for (int64_t n = -3; n < 30; n++) numbers.push_back({uint64_t(n)});
  numbers.push_back({1001}), numbers.push_back({uint64_t(-1000000)});
  for (const char* type : {"i8", "i16", "i32", "i64"})
    program.add(std::string("strong func @f(%n: ") + type + R"() -> i64 {
entry:
  switch )" + type + R"( %n, other [10: a, 11: b, 12: c, 13: a, 14: b, 15: c, 16: a, 100: c, 101: d, 102: d, -3: b]
a:
  ret i64 1
b:
  ret i64 2
c:
  ret i64 3
d:
  ret i64 4
other:
  ret i64 0
}
)", numbers, {type[1] == '8' ? 8u : type[1] == '1' ? 16u : type[1] == '3' ? 32u : 64u});
  program.run();
}

TEST_CASE("riscv64: floating point", "[riscv64]") {
  if (!have_emulator()) LODE_SKIP("qemu-riscv64 or riscv64-linux-gnu-gcc is not installed");
  Program program;
  std::vector<std::vector<uint64_t>> pairs;
  const uint64_t doubles[] = {0, 0x8000000000000000, 0x3ff0000000000000, 0xbff8000000000000, 0x7ff0000000000000,
                              0x7ff8000000000000, 0x41dfffffffc00000, 0x43e0000000000000, 0xc1e0000000000000};
  for (uint64_t a : doubles)
    for (uint64_t b : doubles) pairs.push_back({a, b});
  for (const char* p : {"oeq", "ogt", "oge", "olt", "ole", "one", "ord", "uno", "ueq", "ugt", "uge", "ult", "ule",
                        "une"})
    program.add(std::string(R"(strong func @f(%a: i64, %b: i64) -> i64 {
entry:
  %x = bitcast i64 %a to f64
  %y = bitcast i64 %b to f64
  %c = fcmp )") + p + R"( f64 %x, %y
  %r = select i1 %c, i64 7, i64 3
  %d = fcmp )" + p + R"( f64 %y, %x
  cond_br %d, yes, no
yes:
  ret i64 %r
no:
  %s = add i64 %r, 100
  ret i64 %s
}
)", pairs, {64, 64});
  std::vector<std::vector<uint64_t>> finite;
  for (uint64_t a : {doubles[0], doubles[2], doubles[3], doubles[6]})
    for (uint64_t b : {doubles[2], doubles[3], doubles[6], doubles[7]}) finite.push_back({a, b});
  program.add(R"(strong func @f(%a: i64, %b: i64) -> i64 {
entry:
  %x = bitcast i64 %a to f64
  %y = bitcast i64 %b to f64
  %p = fmul f64 %x, %y
  %s = fadd f64 %p, 1.5
  %n = fneg f64 %s
  %d = fdiv f64 %n, %y
  %m = fma f64 %d, %x, %s
  %k = fcopysign f64 %m, %y
  %z = fsub f64 %k, 0.1
  %t = fptrunc f64 %z to f32
  %e = fpext f32 %t to f64
  %q = fadd f64 %e, %z
  %r = bitcast f64 %q to i64
  ret i64 %r
}
)", finite, {64, 64});
  std::vector<std::vector<uint64_t>> small;
  constexpr uint64_t near_doubles[] = {0x3ff0000000000000, 0xbff8000000000000, 0x4059100000000000,
                                       0x405fc00000000000};
  for (uint64_t a : near_doubles) small.push_back({a});
  for (const char* type : {"i8", "i16", "i32", "i64"})
    program.add(std::string(R"(strong func @f(%a: i64) -> i64 {
entry:
  %x = bitcast i64 %a to f64
  %i = fptosi f64 %x to )") + type + R"(
  %y = sitofp )" + type + R"( %i to f32
  %u = uitofp )" + type + R"( %i to f64
  %z = fpext f32 %y to f64
  %s = fadd f64 %z, %u
  %r = bitcast f64 %s to i64
  ret i64 %r
}
)", small, {64});
  std::vector<std::vector<uint64_t>> all;
  for (uint64_t a : doubles) all.push_back({a});
  for (const char* op : {"fptosi_sat", "fptoui_sat"})
    for (const char* type : {"i8", "i32", "i64"})
      program.add(std::string("strong func @f(%a: i64) -> ") + type + R"( {
entry:
  %x = bitcast i64 %a to f64
  %i = )" + op + " f64 %x to " + type + "\n  ret " + type + " %i\n}\n", all, {64},
                  type[1] == '8' ? 8u : type[1] == '3' ? 32u : 64u);
  program.run();
}

TEST_CASE("riscv64: atomics of all widths, wide integers, large frames", "[riscv64]") {
  if (!have_emulator()) LODE_SKIP("qemu-riscv64 or riscv64-linux-gnu-gcc is not installed");
  Program program;
  const std::vector<std::vector<uint64_t>> pairs = {{0, 0}, {5, 7}, {0xff, 1}, {0x80, 0x7f}, {~uint64_t{0}, 2},
                                                   {0x8000000080008080, 0x7fffffff7fff7f7f}};
  for (unsigned bits : {8u, 16u, 32u, 64u}) {
    const std::string t = "i" + std::to_string(bits);
    for (const char* op : {"xchg", "add", "sub", "and", "nand", "or", "xor", "smax", "smin", "umax", "umin"})
      for (const char* place : {"0", "8"})
        program.add("strong func @f(%a: i64, %b: " + t + ") -> i64 {\n  slot s 16\nentry:\n  %p = slot_addr s\n"
                    "  store i64 %a, ptr %p\n  %e = ptr_add ptr %p + 8\n  store i64 %a, ptr %e\n"
                    "  %q = ptr_add ptr %p + " +
                        place + "\n  %o = atomic_rmw " + op + " ptr %q, " + t +
                        " %b seq_cst\n  %w = load i64, ptr %q\n" +
                        (bits == 64 ? "  %z = add i64 %o, 0\n" : "  %z = zext " + t + " %o to i64\n") +
                        "  %r = sub i64 %w, %z\n  ret i64 %r\n}\n",
                    pairs, {64, bits});
    program.add("strong func @f(%a: i64, %b: " + t + ", %c: " + t +
                    ") -> i64 {\n  slot s 16\nentry:\n  %p = slot_addr s\n"
                "  store i64 %a, ptr %p\n  %x = cmpxchg ptr %p, " + t + " %b, " + t + " %c seq_cst\n"
                "  %o = extract {" + t + ", i1} %x [0] to " + t + "\n  %s = extract {" + t +
                    ", i1} %x [1] to i1\n  %w = load i64, ptr %p\n" +
                    (bits == 64 ? "  %z = add i64 %o, 0\n" : "  %z = zext " + t + " %o to i64\n") +
                    "  %r = sub i64 %w, %z\n  %k = zext i1 %s to i64\n  %q = add i64 %r, %k\n  ret i64 %q\n}\n",
                {{5, 5, 9}, {5, 6, 9}, {0xff, 0xff, 0}, {~uint64_t{0}, ~uint64_t{0}, 1}, {0x80, 0xff80, 3}},
                {64, bits, bits});
  }
  for (const char* op : {"add", "sub", "mul", "and", "xor"})
    program.add(std::string(R"(strong func @f(%a: i64, %b: i64) -> i64 {
entry:
  %x = zext i64 %a to i128
  %y = sext i64 %b to i128
  %s = shl i128 %x, 37
  %t = )") + op + R"( i128 %s, %y
  %c = icmp slt i128 %t, %x
  %h = lshr i128 %t, 50
  %r = trunc i128 %h to i64
  %z = zext i1 %c to i64
  %q = add i64 %r, %z
  ret i64 %q
}
)", pairs, {64, 64});
  for (const char* size : {"100", "2040", "2100", "5000", "1000000"})
    program.add(std::string("strong func @f(%a: i64) -> i64 {\n  slot big ") + size + R"( align 8
  slot small 8
entry:
  %p = slot_addr big
  %q = slot_addr small
  store i64 %a, ptr %q
  %e = ptr_add ptr %p + 88
  store i64 7, ptr %e
  store i32 -5, ptr %p
  %x = load i64, ptr %q
  %y = load i64, ptr %e
  %w = load i32, ptr %p
  %z = sext i32 %w to i64
  %r = mul i64 %x, %y
  %s = add i64 %r, %z
  ret i64 %s
}
)", {{1}, {1000}}, {64});
  program.run();
}
