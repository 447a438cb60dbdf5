// AIR through select, link and node against the AIR interpreter: random functions with loops, switches, irreducible
// control flow, memory whose order matters, calls and block parameters that swap; and the code of small functions,
// instruction by instruction.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "codegen/air/interpreter.h"
#include "codegen/air/text.h"
#include "codegen/wasm/emit.h"
#include "codegen/wasm/target.h"
#include "tests/support/skip.h"
#include "tests/wasm/unary_support.h"

using namespace lode;
using namespace lode::test;

namespace {

// The MIR of one function as text, without a link: symbol k of the module has the SymbolId k.
std::string code(const std::string& source, const std::string& name,
                 uint32_t features = cg::bit(cg::Feature::sign_ext)) {
  air::Module m = parse("layout pointer_bytes 4\n" + source);
  std::vector<SymbolId> symbols, runtime;
  for (uint32_t i = 0; i < m.symbols.size(); i++) symbols.push_back(SymbolId(i));
  for (uint32_t i = 0; i < air::runtime_function_count; i++) runtime.push_back(SymbolId(1000 + i));
  cg::LowerContext context;
  context.module = &m;
  context.symbols = symbols;
  context.runtime = runtime;
  context.options.features = features;
  context.stack_pointer = SymbolId(5000);
  context.tls_base = SymbolId(5001);
  auto scratch = cg::make_scratch();
  mir::FunctionDraft draft;
  for (air::Function& f : m.in_memory) {
    if (m.name_of(f.symbol) != name) continue;
    auto r = cg::lower(f, context, *scratch, draft);
    if (!r.ok()) return "error: " + r.error().text();
  }
  std::vector<uint8_t> tags;
  std::string text = cg::print(cg::view_of(draft, tags));
  for (char& c : text)
    if (c == '\n') c = ';';
  return text;
}

// A random function: blocks of work over three parameters, values of the entry block and memory; a counter in memory
// ends it.
struct RandomFunction {
  struct Value {
    std::string name;
    int width;
  };
  std::mt19937& rng;
  std::string s = {};                         // the text so far
  int next = 0, blocks = 0;
  std::vector<Value> base = {}, values = {};  // of the entry block; what may be used where the text ends

  static constexpr int widths[] = {8, 16, 32, 64};
  static constexpr const char* predicates[] = {"eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"};

  static std::string type(int w) { return "i" + std::to_string(w); }
  std::string fresh() { return "%v" + std::to_string(next++); }
  std::string at(const std::string& p, int offset) {
    std::string r = fresh();
    s += "  " + r + " = ptr_add" + (rng() % 2 ? " nuw" : "") + " ptr " + p + " + " + std::to_string(offset) + "\n";
    return r;
  }
  std::string as(int w) {
    if (rng() % 6 == 0)
      return std::to_string(int64_t(rng() % 300) - 150 + (w == 8 ? 0 : 0) > 127 || w > 8 ? int64_t(rng() % 200) - 100
                                                                                         : 5);
    const Value v = values[rng() % values.size()];
    if (v.width == w) return v.name;
    std::string r = fresh();
    s += "  " + r + " = " +
         (v.width > w ? "trunc"
          : rng() % 2 ? "zext"
                      : "sext") +
         " i" + std::to_string(v.width) + " " + v.name + " to i" + std::to_string(w) + "\n";
    return r;
  }
  std::string target(int b = -1) {
    if (b < 0) b = int(rng() % unsigned(blocks));
    // Parameters, sometimes passed on exchanged.
    return "b" + std::to_string(b) + "(" + as(32) + ", " + as(64) + ", " + as(8) + ", " + as(32) + ")";
  }

  void entry(int number) {
    s = "strong func @f" + std::to_string(number) +
        "(%p: ptr) -> void {\n  slot s 64 align 8\nentry:\n  %slot = slot_addr s\n  store i64 0, ptr %slot\n";
    for (int i = 0; i < 6; i++) {
      int w = widths[rng() % 4];
      std::string p = at("%p", 16 * i), r = fresh();
      s += "  " + r + " = load i" + std::to_string(w) + ", ptr " + p + "\n";
      base.push_back({r, w});
    }
    values = base;
    blocks = 2 + int(rng() % 9);
    // The entry reaches every block, so that no cycle has one entry only.
    std::string start = as(32), masked = fresh();
    s += "  " + masked + " = and i32 " + start + ", 15\n";
    std::string first = target(), all;
    for (int b = 0; b < blocks; b++) all += (b ? ", " : "") + std::to_string(b) + ": " + target(b);
    s += "  switch i32 " + masked + ", " + first + " [" + all + "]\n";
  }

  void work(int n) {
    static constexpr const char* ops[] = {"add",  "sub",  "mul", "and",  "or",  "xor",
                                          "smin", "umax", "shl", "lshr", "ashr"};
    for (int k = 0; k < n; k++) {
      int w = widths[rng() % 4];
      std::string r;
      switch (rng() % 8) {
        case 0: {
          std::string p = at("%p", int(rng() % 64) * 8 + (rng() % 2 ? 2048 : 0));
          r = fresh();
          s += "  " + r + " = load " + type(w) + ", ptr " + p + " align 1\n";
          break;
        }
        case 1: {
          std::string v = as(w), p = rng() % 4 ? at("%p", int(2048 + rng() % 64 * 8)) : at("%slot", int(rng() % 7 * 8));
          s += "  store " + type(w) + " " + v + ", ptr " + p + " align 1\n";
          continue;
        }
        case 2: {
          std::string a = as(32), b = as(64);
          r = fresh();
          w = 64;
          s += "  " + r + " = call i64 @helper(ptr %p, i32 " + a + ", i64 " + b + ")\n";
          break;
        }
        case 3: {
          std::string a = as(w), b = as(w), c = fresh();
          r = fresh();
          s += "  " + c + " = icmp " + predicates[rng() % 10] + " " + type(w) + " " + a + ", " + b + "\n  " + r +
               " = select i1 " + c + ", " + type(w) + " " + b + ", " + type(w) + " " + as(w) + "\n";
          break;
        }
        case 4: {
          std::string a = as(32), i = fresh(), p = fresh();
          r = fresh();
          s += "  " + i + " = and i32 " + a + ", 31\n  " + p + " = ptr_add nuw ptr %p, i32 " + i + " * 8 + 2064\n  " +
               r + " = load " + type(w) + ", ptr " + p + " align 1\n";
          break;
        }
        default: {
          int o = int(rng() % 11);
          std::string a = as(w), b = o >= 8 ? std::to_string(rng() % w) : as(w);
          r = fresh();
          s += "  " + r + " = " + ops[o] + " " + type(w) + " " + a + ", " + b + "\n";
        }
      }
      values.push_back({r, w});
    }
  }

  void terminator() {
    switch (rng() % 5) {
      case 0: {
        std::string t = target();
        s += "  br " + t + "\n";
        break;
      }
      case 1: {
        int w = widths[rng() % 4];
        std::string v = as(w), low = fresh();
        s += "  " + low + " = and " + type(w) + " " + v + ", " + (rng() % 2 ? "7" : "-57") + "\n";
        int step = rng() % 2 ? 1 : 9;
        std::string cases, t = target();
        for (int k = 0; k < 6; k++) {
          int x = (k - 1) * step;
          cases += (k ? ", " : "") + std::to_string(x) + ": " + target();
        }
        s += "  switch " + type(w) + " " + low + ", " + t + " [" + cases + "]\n";
        break;
      }
      default: {
        std::string x = as(32), y = as(32), d = fresh(), t = target(), e = target();
        s += "  " + d + " = icmp " + predicates[rng() % 10] + " i32 " + x + ", " + y + "\n  cond_br " + d + ", " + t +
             ", " + e + "\n";
      }
    }
  }

  void block(int b) {
    std::string n = std::to_string(b);
    s += "b" + n + "(%a" + n + ": i32, %b" + n + ": i64, %c" + n + ": i8, %d" + n + ": i32):\n";
    values = base;
    for (int k = 0; k < 2; k++)
      values.insert(values.end(), {{"%a" + n, 32}, {"%b" + n, 64}, {"%c" + n, 8}, {"%d" + n, 32}});
    work(int(rng() % 10));
    std::string fuel = at("%p", 4000), f = fresh(), g = fresh(), c = fresh();
    s += "  " + f + " = load i32, ptr " + fuel + "\n  " + g + " = sub i32 " + f + ", 1\n  store i32 " + g + ", ptr " +
         fuel + "\n  " + c + " = icmp eq i32 " + f + ", 0\n  cond_br " + c + ", done, g" + n + "\ng" + n + ":\n";
    work(int(rng() % 6));
    terminator();
  }

  std::string make(int number) {
    entry(number);
    for (int b = 0; b < blocks; b++) block(b);
    return s + "done:\n  ret\n}\n";
  }
};

const char* helper =
    "internal func @helper(%p: ptr, %a: i32, %b: i64) -> i64 {\nstart:\n"
    "  %q = ptr_add nuw ptr %p + 2048\n  %x = load i64, ptr %q align 1\n  %y = zext i32 %a to i64\n  %z = add i64 %x, "
    "%y\n"
    "  store i64 %z, ptr %q align 1\n  %r = xor i64 %z, %b\n  ret i64 %r\n}\n";

}  // namespace

TEST_CASE("wasm select: random functions run as the interpreter says") {
  LODE_NEEDS("node");
  std::mt19937 rng(11);
  const int functions = 60, inputs = 4;
  std::string source = std::string("layout pointer_bytes 4\n") + helper;
  for (int f = 0; f < functions; f++) source += RandomFunction{rng}.make(f);
  auto owned = std::make_unique<air::Module>(parse(source));
  std::vector<std::vector<uint8_t>> input(inputs, std::vector<uint8_t>(4096));
  for (auto& v : input) {
    for (uint8_t& b : v) b = rng() % 3 ? uint8_t(rng()) : 0;
    v[4000] = uint8_t(20 + rng() % 100), v[4001] = v[4002] = v[4003] = 0;
  }
  // Expected: a checksum of the buffer after each call.
  std::string expected;
  {
    air::InterpreterOptions o;
    o.target = air::LegalizeOptions::wasm();
    air::Interpreter machine(*owned, o);
    uint64_t buffer = *machine.allocate(4096);
    for (int f = 0; f < functions; f++) {
      for (auto& v : input) {
        REQUIRE(machine.write(buffer, v.data(), v.size()).ok());
        auto r = machine.call("f" + std::to_string(f), {buffer});
        if (!r.ok()) FAIL(r.error().text());
        std::vector<uint8_t> after(4096);
        REQUIRE(machine.read(buffer, after.data(), after.size()).ok());
        uint32_t h = 1;
        for (uint8_t b : after) h = h * 31 + b;
        expected += std::to_string(h) + " ";
      }
    }
  }
  lw::Link link(wasm_options({"--no-entry", "--export-all"}));
  link.diagnostics.quiet = true;
  link.add_air(std::move(owned));
  std::vector<uint8_t> out = flush(link);
  REQUIRE_FALSE(out.empty());
  std::string js = "(()=>{const m=new Uint8Array(e.memory.buffer);const base=m.length-8192;let s='';const inputs=[";
  for (auto& v : input) {
    js += "'";
    char buf[3];
    for (uint8_t b : v) std::snprintf(buf, 3, "%02x", b), js += buf;
    js += "',";
  }
  js += "].map(h=>Uint8Array.from(h.match(/../g),x=>parseInt(x,16)));for(let f=0;f<" + std::to_string(functions) +
        ";f++)for(const i of inputs){m.set(i,base);e['f'+f](base);let h=1;for(let "
        "k=0;k<4096;k++)h=(Math.imul(h,31)+m[base+k])>>>0;s+=h+' '}return s})()";
  std::string got = node(out, js);
  if (got != expected + "\n") {
    size_t k = 0, word = 0;
    while (k < got.size() && k < expected.size() && got[k] == expected[k]) word += got[k++] == ' ';
    FAIL("function f" << word / inputs << " on input " << word % inputs << " " << got.substr(0, 300));
  }
}

TEST_CASE("wasm select: switches of every shape") {
  LODE_NEEDS("node");
  std::mt19937 rng(5);
  std::string source;
  const int functions = 80;
  std::vector<uint64_t> inputs;
  for (int64_t v = -140; v < 300; v++) inputs.push_back(uint64_t(v));
  for (int shift : {8, 15, 16, 31, 32, 33, 63})
    for (int64_t d : {-2, -1, 0, 1, 2, 65}) inputs.push_back((uint64_t{1} << shift) + uint64_t(d));
  for (int f = 0; f < functions; f++) {
    int width = std::array{8, 16, 32, 64}[rng() % 4];
    int targets = 1 + int(rng() % 4);
    // Runs, sets and single values, at either side of zero.
    std::map<int64_t, int> cases;
    int64_t least = width == 8 ? -128 : -200, most = width == 8 ? 127 : 290;
    int64_t at = least + int64_t(rng() % 200);
    while (at <= most) {
      int target = int(rng()) % targets;
      switch (rng() % 4) {
        case 0:
          for (unsigned n = 1 + rng() % 30; n && at <= most; n--) cases[at++] = target;
          break;
        case 1:
          for (unsigned n = 1 + rng() % 12; n && at <= most; n--) cases[at] = target, at += 1 + int64_t(rng() % 6);
          break;
        case 2:
          for (unsigned n = 1 + rng() % 12; n && at <= most; n--)
            cases[at] = int(rng() % unsigned(targets)), at += 1 + int64_t(rng() % 3);
          break;
        default: cases[at++] = target;
      }
      at += int64_t(rng() % 120);
    }
    if (width == 64) cases[int64_t{1} << 32] = 0;
    std::string n = std::to_string(f), type = "i" + std::to_string(width), list;
    for (auto [v, t] : cases) {
      std::string k = std::to_string(std::abs(t) % targets);
      list += (list.empty() ? "" : ", ") + std::to_string(v) + ": " +
              (f % 3 ? "t" + k : "d(" + std::to_string(7 + std::abs(t) % targets) + ")");
    }
    source += "strong func @f" + n + "(%x: i64) -> i64 {\ns:\n";
    if (width < 64) source += "  %y = trunc i64 %x to " + type + "\n";
    source += "  switch " + type + " " + (width < 64 ? "%y" : "%x") + ", d(3) [" + list + "]\n";
    if (f % 3)
      for (int t = 0; t < targets; t++)
        if (list.find("t" + std::to_string(t)) != std::string::npos)
          source += "t" + std::to_string(t) + ":\n  br d(" + std::to_string(100 + t) + ")\n";
    // Some functions only return what they got, others do something with it.
    source += f % 2 ? "d(%r: i64):\n  ret i64 %r\n}\n" : "d(%r: i64):\n  %q = mul i64 %r, 3\n  ret i64 %q\n}\n";
  }
  compare_unary(source, functions, inputs);
}

TEST_CASE("wasm select: integers put together from bytes") {
  LODE_NEEDS("node");
  std::mt19937 rng(3);
  std::string source = "strong data @more : [8 x i8] = \"\\01\\80\\02\\ff\\03\\7f\\04\\fe\"\n";
  const int functions = 120;
  for (int f = 0; f < functions; f++) {
    bool wide = rng() % 2;
    int n = wide ? 8 : rng() % 3 ? 4 : 2, id = 0;
    std::string type = wide ? "i64" : "i32", s = "strong func @f" + std::to_string(f) + "(%x: i64) -> i64 {\ns:\n";
    auto fresh = [&] { return "%v" + std::to_string(id++); };
    auto line = [&](const std::string& text) {
      std::string r = fresh();
      s += "  " + r + " = " + text + "\n";
      return r;
    };
    bool big = rng() % 2, indexed = rng() % 2, broken = rng() % 4 == 0;
    std::string base = "@bytes";
    if (indexed)
      base = line("ptr_add nuw ptr @bytes, i32 " + line("and i32 " + line("trunc i64 %x to i32") + ", 28") + " * 1");
    std::vector<int> order;
    for (int i = 0; i < n; i++) order.push_back(i);
    if (rng() % 2) std::shuffle(order.begin(), order.end(), rng);
    std::string sum;
    int wrong = broken ? int(rng() % unsigned(n)) : -1, kind = int(rng() % 3);
    for (int k : order) {
      if (k == wrong && kind == 0) s += "  store i8 77, ptr @more\n";  // may be the same memory, for all that is known
      std::string p = line("ptr_add nuw ptr " + base + " + " + std::to_string(k == wrong && kind == 1 ? 20 : k));
      std::string v = line("load i8, ptr " + p);
      v = line("zext i8 " + v + " to " + type);
      int shift = (big ? n - 1 - k : k) * 8 + (k == wrong && kind == 2 ? 1 : 0);
      if (shift) v = line("shl " + type + " " + v + ", " + std::to_string(shift));
      sum = sum.empty() ? v : line("or " + type + " " + sum + ", " + v);
    }
    if (!wide) sum = line("zext i32 " + sum + " to i64");
    source += s + "  ret i64 " + sum + "\n}\n";
  }
  compare_unary(source, functions, {0, 4, 8, 28});
}

TEST_CASE("wasm select: a load in four pieces is one, unless something is written in between") {
  auto body = [](const char* between) {
    std::string s =
        "strong func @f(%p: ptr) -> i32 {\ns:\n  %a = load i8, ptr %p\n  %x = zext i8 %a to i32\n  %q = ptr_add nuw "
        "ptr %p + 1\n" +
        std::string(between) +
        "  %b = load i8, ptr %q\n  %y = zext i8 %b to i32\n  %z = shl i32 %y, 8\n  %r = or i32 %z, %x\n  ret i32 "
        "%r\n}\n";
    return code(s, "f");
  };
  CHECK(body("") == "local.get 0;i32.load16_u offset=0 align=1;");
  CHECK(body("  store i8 0, ptr %q\n").find("i32.load16_u") == std::string::npos);
}

TEST_CASE("wasm select: edges that assign the same share the assignment, and what only returns is returned at once") {
  // Three ways to the same block with the same value, one of them by a jump.
  std::string s = code(
      "declare func @g(i32) -> void\nstrong func @f(%a: i32, %b: i32) -> i32 {\ns:\n  %c = icmp eq i32 %a, 5\n  "
      "cond_br %c, d(70000), t\n"
      "t:\n  call void @g(i32 %a)\n  %e = icmp eq i32 %b, 5\n  cond_br %e, d(70000), u\nu:\n  call void @g(i32 %b)\n  "
      "br d(70000)\n"
      "d(%r: i32):\n  call void @g(i32 %r)\n  ret i32 %r\n}\n",
      "f");
  size_t first = s.find("i32.const 70000");
  CHECK(first != std::string::npos);
  CHECK(s.find("i32.const 70000", first + 1) == std::string::npos);
  s = code(
      "strong func @f(%a: i32, %b: i32) -> i32 {\ns:\n  %c = icmp eq i32 %a, 5\n  cond_br %c, t, u\nt:\n  %x = mul i32 "
      "%b, %b\n  br d(%x)\n"
      "u:\n  %y = mul i32 %a, %a\n  br d(%y)\nd(%r: i32):\n  ret i32 %r\n}\n",
      "f");
  CHECK(s.find("local.set") == std::string::npos);
}

TEST_CASE("wasm select: the address of a datum, and a place in the frame, are the offset of an indexed access") {
  CHECK(code("declare data @t : [9 x i32]\nstrong func @f(%i: i32) -> i32 {\ns:\n  %p = ptr_add nuw ptr @t, i32 %i * "
             "4\n  %x = load i32, ptr %p align 4\n  ret i32 %x\n}\n",
             "f")
            .find("i32.add") == std::string::npos);
  // Without the promise, index and address may wrap.
  CHECK(code("declare data @t : [9 x i32]\nstrong func @f(%i: i32) -> i32 {\ns:\n  %p = ptr_add ptr @t, i32 %i * 4\n  "
             "%x = load i32, ptr %p align 4\n  ret i32 %x\n}\n",
             "f")
            .find("i32.add") != std::string::npos);
}

TEST_CASE("wasm select: values stay on the operand stack") {
  CHECK(code("strong func @f(%a: i32, %b: i32) -> i32 {\ns:\n  %x = mul i32 %a, %b\n  %y = add i32 %x, 1\n  ret i32 "
             "%y\n}\n",
             "f") == "local.get 0;local.get 1;i32.mul;i32.const 1;i32.add;");
  // A value that is used twice: tee.
  CHECK(code("strong func @f(%a: i32) -> i32 {\ns:\n  %x = mul i32 %a, %a\n  %y = add i32 %x, 7\n  %z = xor i32 %y, "
             "%x\n  ret i32 %z\n}\n",
             "f") == "local.get 0;local.get 0;i32.mul;local.tee 0;i32.const 7;i32.add;local.get 0;i32.xor;");
  // A load may not pass a store behind it.
  CHECK(code("strong func @f(%a: ptr, %b: ptr) -> i32 {\ns:\n  %x = load i32, ptr %a align 4\n  store i32 0, ptr %b "
             "align 4\n  ret i32 %x\n}\n",
             "f") ==
        "local.get 0;i32.load offset=0 align=4;local.set 0;local.get 1;i32.const 0;i32.store offset=0 "
        "align=4;local.get 0;");
}

TEST_CASE("wasm select: offsets fold only where the sum does not wrap") {
  auto body = [](const char* flag) {
    return std::string("strong func @f(%a: ptr) -> i32 {\ns:\n  %q = ptr_add") + flag +
           " ptr %a + 12\n  %x = load i32, ptr %q align 4\n  ret i32 %x\n}\n";
  };
  CHECK(code(body(" nuw"), "f") == "local.get 0;i32.load offset=12 align=4;");
  CHECK(code(body(""), "f") == "local.get 0;i32.const 12;i32.add;i32.load offset=0 align=4;");
}

TEST_CASE("wasm select: narrow integers are extended where it matters") {
  CHECK(
      code("strong func @f(%a: ptr) -> i32 {\ns:\n  %x = load i8, ptr %a\n  %y = sext i8 %x to i32\n  ret i32 %y\n}\n",
           "f") == "local.get 0;i32.load8_s offset=0 align=1;");
  CHECK(code("strong func @f(%a: ptr) -> i64 {\ns:\n  %x = load i16, ptr %a align 2\n  %y = zext i16 %x to i64\n  ret "
             "i64 %y\n}\n",
             "f") == "local.get 0;i64.load16_u offset=0 align=2;");
  CHECK(code("strong func @f(%a: i8, %b: i8) -> i32 {\ns:\n  %x = add i8 %a, %b\n  %y = zext i8 %x to i32\n  ret i32 "
             "%y\n}\n",
             "f") == "local.get 0;local.get 1;i32.add;i32.const 255;i32.and;");
}

TEST_CASE("wasm select: loops keep their variables in one local each") {
  CHECK(code("strong func @f(%n: i32) -> i32 {\ns:\n  br l(0, 0)\nl(%i: i32, %t: i32):\n  %u = add i32 %t, %i\n  %j = "
             "add i32 %i, 1\n"
             "  %c = icmp slt i32 %j, %n\n  cond_br %c, l(%j, %u), e\ne:\n  ret i32 %u\n}\n",
             "f") ==
        "i32.const 0;i32.const 0;local.set 2;local.set 1;loop ;local.get 2;local.get 1;i32.add;local.set 2;local.get "
        "1;i32.const 1;"
        "i32.add;local.tee 1;local.get 0;i32.lt_s;br_if 0;end;local.get 2;");
}

TEST_CASE("wasm select: what cannot be done is an error that names function and reason") {
  std::string e = code("strong func @f(%p: ptr) -> void {\ns:\n  %x = eh_sjlj_setjmp ptr %p to i32\n  ret\n}\n", "f");
  CHECK(e.find("'f'") != std::string::npos);
}

TEST_CASE("wasm select: deep expressions and many blocks need no stack") {
  std::string s = "strong func @f(%a: i32) -> i32 {\ns:\n  %x0 = xor i32 %a, 5\n";
  for (int i = 1; i < 20000; i++) s += "  %x" + std::to_string(i) + " = mul i32 %x" + std::to_string(i - 1) + ", %a\n";
  CHECK(code(s + "  ret i32 %x19999\n}\n", "f").size() > 20000);
  s = "strong func @f(%a: i32) -> i32 {\nb0:\n  br b1(%a)\n";
  for (int i = 1; i < 5000; i++) {
    std::string n = std::to_string(i), m = std::to_string(i + 1);
    s += "b" + n + "(%x" + n + ": i32):\n  %y" + n + " = add i32 %x" + n + ", 1\n  %c" + n + " = icmp eq i32 %y" + n +
         ", " + n + "\n  cond_br %c" + n + ", b" + m + "(%y" + n + "), b" + m + "(%x" + n + ")\n";
  }
  CHECK(code(s + "b5000(%x5000: i32):\n  ret i32 %x5000\n}\n", "f").size() > 5000);
}
