// Legalisation against the interpreter: every operation on every kind of type, on edge values and random ones, computes
// the same before and after; what comes out passes the verifier and contains only what legalize.h promises.
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "codegen/air/interpreter.h"
#include "codegen/air/text.h"
#include "codegen/air/verifier.h"

using namespace lode;
using namespace lode::air;

namespace {

Module parse(const std::string& source) {
  ParsedModule parsed;
  bool ok = parse_text(source, "t.air", parsed);
  for (const Diagnostic& d : parsed.errors) UNSCOPED_INFO(format_diagnostic("t.air", source, d));
  REQUIRE(ok);
  return std::move(parsed.module);
}

void check_legal(const Module& m, const LegalizeOptions& options) {
  std::vector<Problem> problems;
  for (const Function& f : m.in_memory) {
    Function copy = f;
    auto r = legalize(copy, m, options);
    if (!r.ok()) FAIL(r.error().text());
    problems.clear();
    verify_function(m, copy, problems);
    for (const Problem& p : problems) UNSCOPED_INFO(problem_text(m, p));
    if (!problems.empty()) FAIL(print_function(m, copy));
    for (const Value& v : copy.values) {
      uint32_t t = v.type.value;
      bool aggregate =
          v.kind() == ValueKind::Inst && (m.types[v.type].kind == TypeKind::Struct || t == TypeTable::i128.value ||
                                          t == TypeTable::f128.value || m.types[v.type].kind == TypeKind::Vector);
      bool legal = t == 1 || (t >= 2 && t <= 5) || t == 9 || t == 10 || (t == 11 && options.has_f80) ||
                   (t == 12 && !options.f128_as_pair) || t == 13 || (t == 14 && options.vector_abi == VectorAbi::sse) ||
                   (v.type == TypeTable::v256 && options.abi_vector_bytes == 32);
      if (!legal && !aggregate)
        FAIL("type " << type_name(m.types, v.type) << " is left in\n" << print_function(m, copy));
    }
  }
}

struct Machine {
  Machine(const Module& m, const LegalizeOptions& target, bool legal) : interpreter(m, make(target, legal)) {
    buffer = *interpreter.allocate(4096);
  }
  static InterpreterOptions make(const LegalizeOptions& target, bool legal) {
    InterpreterOptions o;
    o.target = target;
    o.legalize = legal;
    return o;
  }
  // Input in, function called with the buffer's address, what it wrote behind the input out.
  std::string call(const std::string& name, const std::vector<uint8_t>& input) {
    std::vector<uint8_t> all(4096, 0);
    std::copy(input.begin(), input.end(), all.begin());
    REQUIRE(interpreter.write(buffer, all.data(), all.size()).ok());
    auto r = interpreter.call(name, {buffer});
    if (!r.ok()) return "error " + r.error().text().substr(0, r.error().text().find(" in function"));
    REQUIRE(interpreter.read(buffer, all.data(), all.size()).ok());
    return std::string(all.begin() + 2048, all.end());
  }
  Interpreter interpreter;
  uint64_t buffer;
};

std::vector<uint8_t> random_input(std::mt19937& rng) {
  std::vector<uint8_t> v(2048);
  for (size_t k = 0; k < v.size(); k += 16) {
    // Cells of 16 bytes: zeros, ones, small numbers, powers of two, noise.
    unsigned kind = rng() % 8;
    for (size_t b = 0; b < 16; b++) v[k + b] = kind == 0 ? 0 : kind == 1 ? 255 : uint8_t(rng());
    if (kind == 2) std::memset(&v[k], 0, 16), v[k] = uint8_t(rng());
    if (kind == 3) std::memset(&v[k], 0, 16), v[k + rng() % 16] = uint8_t(1u << rng() % 8);
    if (kind == 4) std::memset(&v[k], 255, 16), v[k] = uint8_t(rng());
  }
  return v;
}

// Both forms of all functions of the module on a number of inputs.
void compare(const std::string& source, const LegalizeOptions& target, unsigned rounds,
             const std::function<void(const std::string&, std::vector<uint8_t>&, std::mt19937&)>& adjust = {}) {
  Module m = parse(source);
  check_legal(m, target);
  Machine before(m, target, false), after(m, target, true);
  std::mt19937 rng(12345);
  for (const FunctionDecl& f : m.functions) {
    std::string name(m.name_of(f.symbol));
    for (unsigned k = 0; k < rounds; k++) {
      std::vector<uint8_t> input = random_input(rng);
      if (adjust) adjust(name, input, rng);
      uint64_t undefined = before.interpreter.undefined_results();
      std::string x = before.call(name, input), y = after.call(name, input);
      if (before.interpreter.undefined_results() != undefined) continue;
      // What is undefined before may be anything after.
      if (x == "error the quotient does not fit" || x == "error division by zero") continue;
      if (x != y) {
        std::string bytes;
        char buf[4];
        for (size_t b = 0; b < 64; b++) std::snprintf(buf, 4, "%02x ", input[b]), bytes += buf;
        for (int which = 0; which < 2; which++) {
          bytes += which ? "\nafter:  " : "\nbefore: ";
          for (size_t b = 0; b < 48 && b < (which ? y : x).size(); b++)
            std::snprintf(buf, 4, "%02x ", uint8_t((which ? y : x)[b])), bytes += buf;
        }
        Function legal = m.in_memory[m.symbols[f.symbol.value].function.value];
        std::string text = print_function(m, legal);
        (void)legalize(legal, m, target);
        FAIL(name << " on " << bytes << "\n"
                  << x.substr(0, x.find('\0')) << " / " << y.substr(0, y.find('\0')) << "\n"
                  << text << print_function(m, legal));
      }
    }
  }
}

// A function that loads operands from the buffer at offsets 0, 64, 128, applies `line` and stores %r at 2048.
std::string function(const std::string& name, const std::vector<std::string>& types, const std::string& line,
                     const std::string& result) {
  std::string s = "strong func @" + name + "(%p: ptr) -> void {\na:\n";
  const char* names[] = {"%x", "%y", "%z"};
  for (size_t k = 0; k < types.size(); k++) {
    s += "  " + std::string(names[k]) + "p = ptr_add ptr %p + " + std::to_string(64 * k) + "\n";
    s += "  " + std::string(names[k]) + " = load " + types[k] + ", ptr " + names[k] + "p\n";
  }
  return s + "  " + line + "\n  %rp = ptr_add ptr %p + 2048\n  store " + result + " %r, ptr %rp\n  ret\n}\n";
}
// The same for a floating-point result, of which every NaN counts as zero: its sign and payload are nobody's promise.
std::string float_function(const std::string& name, const std::vector<std::string>& types, const std::string& line,
                           const std::string& result) {
  std::string flags = result[0] == '<' ? "<" + result.substr(1, 1) + " x i1>" : "i1";
  std::string renamed = line;
  renamed.replace(renamed.find("%r ="), 4, "%v =");
  return function(name, types,
                  renamed + "\n  %u = fcmp uno " + result + " %v, %v\n  %r = select " + flags + " %u, " + result +
                      " zero, " + result + " %v",
                  result);
}
std::string identifier(std::string t) {
  for (char& c : t)
    if (!isalnum(uint8_t(c))) c = '_';
  return t;
}

std::string prefix(bool small) { return small ? "layout pointer_bytes 4\n" : ""; }

}  // namespace

TEST_CASE("AIR legalisation: integers of all widths") {
  const char* binary[] = {"add",  "sub",      "mul",      "udiv",     "sdiv",     "urem",     "srem",    "and",  "or",
                          "xor",  "shl",      "lshr",     "ashr",     "umulh",    "smulh",    "smin",    "smax", "umin",
                          "umax", "uadd_sat", "sadd_sat", "usub_sat", "ssub_sat", "ushl_sat", "sshl_sat"};
  const char* unary[] = {"iabs", "ctlz", "cttz", "ctpop", "bitreverse"};
  const char* overflow[] = {"uadd_overflow", "sadd_overflow", "usub_overflow",
                            "ssub_overflow", "umul_overflow", "smul_overflow"};
  const char* predicates[] = {"eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"};
  for (bool small : {false, true}) {
    std::string s = prefix(small);
    for (const char* t : {"i1",        "i3",        "i8",        "i13",       "i16",       "i24",       "i32",
                          "i33",       "i48",       "i64",       "i65",       "i100",      "i127",      "i128",
                          "<3 x i8>",  "<2 x i65>", "<4 x i1>",  "<5 x i7>",  "<16 x i8>", "<8 x i16>", "<4 x i32>",
                          "<2 x i64>", "<8 x i8>",  "<4 x i16>", "<2 x i32>", "<4 x i8>",  "<2 x i16>"}) {
      std::string id = identifier(t), type = t;
      bool vector = type[0] == '<';
      std::string bits = vector ? type.substr(0, type.find(" x ")) + " x i1>" : "i1";
      for (const char* op : binary)
        s += function(std::string(op) + "_" + id, {type, type}, "%r = " + std::string(op) + " " + type + " %x, %y",
                      type);
      for (const char* op : unary)
        s += function(std::string(op) + "_" + id, {type}, "%r = " + std::string(op) + " " + type + " %x", type);
      for (const char* op : {"fshl", "fshr"})
        s += function(std::string(op) + "_" + id, {type, type, type},
                      "%r = " + std::string(op) + " " + type + " %x, %y, %z", type) +
             function(std::string(op) + "_rotate_" + id, {type, type},
                      "%r = " + std::string(op) + " " + type + " %x, %x, %y", type);
      for (const char* op : overflow)
        s += function(std::string(op) + "_" + id, {type, type}, "%r = " + std::string(op) + " " + type + " %x, %y",
                      "{" + type + ", " + bits + "}");
      for (const char* p : predicates)
        s += function(std::string("icmp_") + p + "_" + id, {type, type},
                      "%r = icmp " + std::string(p) + " " + type + " %x, %y", bits);
      s += function("select_" + id, {type, type, bits}, "%r = select " + bits + " %z, " + type + " %x, " + type + " %y",
                    type);
      s += function("freeze_" + id, {type}, "%r = freeze " + type + " %x", type);
    }
    for (const char* t : {"i16", "i32", "i48", "i64", "i80", "i112", "i128", "<2 x i32>"})
      s += function("bswap_" + identifier(t), {t}, "%r = bswap " + std::string(t) + " %x", t);
    compare(s, small ? LegalizeOptions::wasm() : LegalizeOptions::x86_64(), 12,
            [](const std::string& name, std::vector<uint8_t>& in, std::mt19937& rng) {
              // Shift counts below the width, divisors that are not zero.
              size_t bits = 0;
              if (size_t at = name.rfind("_i"); at != std::string::npos) bits = size_t(atoi(name.c_str() + at + 2));
              bool shift =
                  name.find("sh") == 0 || name.find("lsh") == 0 || name.find("ash") == 0 || name.find("ushl") == 0;
              if (shift && name.find("_x_") == std::string::npos && bits) {
                std::memset(&in[64], 0, 16);
                in[64] = uint8_t(rng() % bits);
              }
              if (shift && name.find("_x_") != std::string::npos) std::memset(&in[64], 0, 64);
              if (name.find("div") != std::string::npos || name.find("rem") != std::string::npos)
                for (size_t k = 64; k < 128; k++) in[k] |= name.find("_x_") != std::string::npos ? 0x55 : k == 64;
            });
  }
}

TEST_CASE("AIR legalisation: conversions between integers") {
  const char* types[] = {"i1", "i7", "i8", "i16", "i24", "i32", "i48", "i64", "i65", "i96", "i128"};
  auto width = [](const char* t) { return atoi(t + 1); };
  for (bool small : {false, true}) {
    std::string s = prefix(small);
    for (const char* a : types) {
      for (const char* b : types) {
        std::string pair = std::string(a) + "_" + b, text = std::string(a) + " %x to " + b;
        if (width(a) > width(b)) s += function("trunc_" + pair, {a}, "%r = trunc " + text, b);
        if (width(a) < width(b))
          s += function("zext_" + pair, {a}, "%r = zext " + text, b) +
               function("sext_" + pair, {a}, "%r = sext " + text, b);
      }
      s += function(std::string("inttoptr_") + a, {a}, "%r = inttoptr " + std::string(a) + " %x to ptr", "ptr");
      s += function(std::string("ptrtoint_") + a, {"ptr"}, "%r = ptrtoint ptr %x to " + std::string(a), a);
    }
    compare(s, small ? LegalizeOptions::wasm() : LegalizeOptions::x86_64(), 6);
  }
}

TEST_CASE("AIR legalisation: bit casts, vectors and aggregates") {
  for (bool small : {false, true}) {
    std::string s = prefix(small);
    const char* of128[] = {"i128",      "<2 x i64>", "<4 x i32>",  "<8 x i16>", "<16 x i8>", "<4 x f32>",
                           "<2 x f64>", "<8 x f16>", "<128 x i1>", "<32 x i4>", "f128"};
    for (const char* a : of128)
      for (const char* b : of128)
        s += function("bitcast_" + identifier(a) + "_" + identifier(b), {a},
                      "%r = bitcast " + std::string(a) + " %x to " + b, b);
    const char* of16[] = {"i16", "<2 x i8>", "<16 x i1>", "f16", "bf16", "<4 x i4>"};
    for (const char* a : of16)
      for (const char* b : of16)
        s += function("bitcast_" + identifier(a) + "_" + identifier(b), {a},
                      "%r = bitcast " + std::string(a) + " %x to " + b, b);
    s += function("lane_variable", {"<4 x i32>", "i32"}, "%r = extract_element <4 x i32> %x, i32 %y to i32", "i32");
    s += function("lane_variable3", {"<3 x i65>", "i8"}, "%r = insert_element <3 x i65> %x, i65 7, i8 %y", "<3 x i65>");
    s += function("lane_bits", {"<9 x i1>", "i64"}, "%r = insert_element <9 x i1> %x, i1 true, i64 %y", "<9 x i1>");
    s += function("lane_bit", {"<9 x i1>", "i64"}, "%r = extract_element <9 x i1> %x, i64 %y to i1", "i1");
    s += function("lane_wide", {"<2 x i128>", "i128"}, "%r = extract_element <2 x i128> %x, i128 %y to i128", "i128");
    s += function("shuffle", {"<4 x i16>", "<4 x i16>"}, "%r = shuffle <4 x i16> %x, %y [7, 0, 3, 4, 4, 1]",
                  "<6 x i16>");
    s += function("shuffle_bits", {"<8 x i1>", "<8 x i1>"}, "%r = shuffle <8 x i1> %x, %y [15, 0, 3]", "<3 x i1>");
    for (const char* op : {"add", "mul", "and", "or", "xor", "smin", "smax", "umin", "umax"})
      for (const char* t : {"i8", "i32", "i65", "i1"})
        s += function(std::string("reduce_") + op + "_" + t, {"<5 x " + std::string(t) + ">"},
                      "%r = reduce_" + std::string(op) + " <5 x " + t + "> %x to " + t, t);
    s += function("reduce_fadd", {"f32", "<4 x f32>"}, "%r = reduce_fadd f32 %x, <4 x f32> %y to f32", "f32");
    s += function("reduce_fmax", {"<4 x f64>"}, "%r = reduce_fmax <4 x f64> %x to f64", "f64");
    s += function("insert", {"{i8, [2 x {i16, i100}]}", "i100"},
                  "%r = insert {i8, [2 x {i16, i100}]} %x, i100 %y [1, 1, 1]", "{i8, [2 x {i16, i100}]}");
    s += function("extract", {"{i8, [2 x {i16, i100}]}"},
                  "%r = extract {i8, [2 x {i16, i100}]} %x [1, 0] to {i16, i100}", "{i16, i100}");
    s += function("select_struct", {"{i8, i64}", "{i8, i64}", "i1"}, "%r = select i1 %z, {i8, i64} %x, {i8, i64} %y",
                  "{i8, i64}");
    s += function("pointers", {"<2 x ptr>", "<2 x i32>"}, "%r = ptr_add <2 x ptr> %x, <2 x i32> %y * 12 + 3",
                  "<2 x ptr>");
    s += function("compare_pointers", {"<2 x ptr>", "<2 x ptr>"}, "%r = icmp ult <2 x ptr> %x, %y", "<2 x i1>");
    for (const char* t : {"<4 x i32>", "<3 x i24>", "<7 x i1>", "{i8, <2 x i4>, i33}", "[3 x i48]", "<2 x f16>", "i200",
                          "<2 x f128>"}) {
      if (std::string(t) == "i200") continue;
      s += function("copy_" + identifier(t), {t}, "%r = freeze " + std::string(t) + " %x", t);
    }
    // Vectors that stay whole, and a web of them that does not.
    s += "strong func @whole(%p: ptr) -> void {\na:\n  %x = load <4 x i32>, ptr %p\n  %q = ptr_add ptr %p + 16\n  %y = "
         "load <2 x f64>, ptr %q\n  %c = load i1, ptr %q\n"
         "  %yb = bitcast <2 x f64> %y to <4 x i32>\n  cond_br %c, b(%x), b(%yb)\nb(%z: <4 x i32>):\n  %s = select i1 "
         "%c, <4 x i32> %z, <4 x i32> (1, 2, 3, 4)\n"
         "  %r = ptr_add ptr %p + 2048\n  store <4 x i32> %s, ptr %r\n  %r2 = ptr_add ptr %r + 16\n  store <4 x i32> "
         "zero, ptr %r2\n  %r3 = ptr_add ptr %r2 + 16\n"
         "  store <4 x f32> (1.0, 2.0, 3.0, 4.0), ptr %r3\n  ret\n}\n";
    s += "strong func @loop(%p: ptr) -> void {\na:\n  br b(zero, 0)\nb(%sum: <4 x i32>, %i: i64):\n  %q = ptr_add ptr "
         "%p, i64 %i * 16\n  %x = load <4 x i32>, ptr %q\n"
         "  %t = add <4 x i32> %sum, %x\n  %j = add i64 %i, 1\n  %c = icmp ult i64 %j, 8\n  cond_br %c, b(%t, %j), "
         "d(%t)\nd(%u: <4 x i32>):\n"
         "  %r = ptr_add ptr %p + 2048\n  store <4 x i32> %u, ptr %r\n  ret\n}\n";
    if (small)
      s.replace(s.find("%q = ptr_add ptr %p, i64 %i"), 27, "%i4 = trunc i64 %i to i32\n  %q = ptr_add ptr %p, i32 %i4");
    compare(s, small ? LegalizeOptions::wasm() : LegalizeOptions::x86_64(), 6,
            [](const std::string& name, std::vector<uint8_t>& in, std::mt19937& rng) {
              if (name.find("lane") == 0)
                std::memset(&in[64], 0, 16), in[64] = uint8_t(rng() % (name == "lane_wide" ? 2 : 3));
              if (name == "pointers") in[67] &= 15, in[71] &= 15;
              if (name.find("compare_pointers") == 0 || name == "pointers") return;
            });
  }
}

TEST_CASE("AIR legalisation: floating point") {
  const char* binary[] = {"fadd", "fsub", "fmul", "fdiv", "fcopysign", "fminnum", "fmaxnum", "fminimum", "fmaximum"};
  const char* unary[] = {"fneg", "fabs"};
  const char* libm[] = {"fsqrt", "fceil", "ffloor", "ftrunc", "frint", "fround", "froundeven"};
  for (bool small : {false, true}) {
    std::string s = prefix(small);
    std::vector<std::string> types = {"f16",       "bf16",      "f32",       "f64",      "f128",
                                      "<2 x f32>", "<3 x f16>", "<4 x f32>", "<2 x f64>"};
    if (!small) types.push_back("f80");
    auto lanes = [](const std::string& t) { return t[0] == '<' ? "<" + t.substr(1, 1) + " x " : std::string(); };
    for (const std::string& t : types) {
      std::string id = identifier(t), close = t[0] == '<' ? ">" : "";
      for (const char* op : binary)
        s += float_function(std::string(op) + "_" + id, {t, t}, "%r = " + std::string(op) + " " + t + " %x, %y", t);
      for (const char* op : unary)
        s += float_function(std::string(op) + "_" + id, {t}, "%r = " + std::string(op) + " " + t + " %x", t);
      if (t != "f128") {
        for (const char* op : libm)
          s += float_function(std::string(op) + "_" + id, {t}, "%r = " + std::string(op) + " " + t + " %x", t);
        s += float_function("frem_" + id, {t, t}, "%r = frem " + t + " %x, %y", t);
        s += float_function("fma_" + id, {t, t, t}, "%r = fma " + t + " %x, %y, %z", t);
      }
      for (const char* p : {"false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord", "uno", "ueq", "ugt", "uge", "ult",
                            "ule", "une", "true"})
        s += function(std::string("fcmp_") + p + "_" + id, {t, t}, "%r = fcmp " + std::string(p) + " " + t + " %x, %y",
                      lanes(t) + "i1" + close);
      for (const char* i : {"i1", "i7", "i8", "i16", "i32", "i33", "i64", "i100", "i128"}) {
        std::string it = lanes(t) + i + close;
        for (const char* op : {"fptoui", "fptosi", "fptoui_sat", "fptosi_sat"})
          s += function(std::string(op) + "_" + id + "_" + i, {t}, "%r = " + std::string(op) + " " + t + " %x to " + it,
                        it);
        for (const char* op : {"uitofp", "sitofp"})
          s += function(std::string(op) + "_" + id + "_" + i, {it},
                        "%r = " + std::string(op) + " " + it + " %x to " + t, t);
      }
      s += function("constant_" + id, {},
                    "%r = select i1 true, " + t + (t[0] == '<' ? " zero, " : " 1.5, ") + t + " zero", t);
    }
    const char* order[] = {"f16", "f32", "f64", "f80", "f128"};
    for (int a = 0; a < 5; a++)
      for (int b = a + 1; b < 5; b++) {
        if (small && (a == 3 || b == 3)) continue;
        std::string x = order[a], y = order[b];
        s += float_function("fpext_" + x + "_" + y, {x}, "%r = fpext " + x + " %x to " + y, y);
        s += float_function("fptrunc_" + y + "_" + x, {y}, "%r = fptrunc " + y + " %x to " + x, x);
      }
    s += float_function("fptrunc_bf16", {"f64"}, "%r = fptrunc f64 %x to bf16", "bf16") +
         float_function("fpext_bf16", {"bf16"}, "%r = fpext bf16 %x to f64", "f64");
    auto adjust = [](const std::string& name, std::vector<uint8_t>& in, std::mt19937& rng) {
      // Numbers of moderate size most of the time, so that conversions are in range; encodings of every type agree on
      // the first bytes.
      size_t at = name.find("_f");
      std::string t = at == std::string::npos ? "" : name.substr(at + 1, 4);
      if (name.find("f80") != std::string::npos)  // pseudo-numbers do not exist
        for (size_t k = 0; k < 192; k += 16)
          in[k + 7] |= 0x80, in[k + 9] = in[k + 9] == 0x7f || in[k + 9] == 0xff ? 0x3f : in[k + 9] | (in[k + 8] == 0);
      if (name.find("f80") != std::string::npos)
        for (size_t k = 0; k < 192; k += 16)
          if (in[k + 8] == 0 && (in[k + 9] & 0x7f) == 0) in[k + 8] = 1;
      if (rng() % 4 == 0) return;
      bool from_int = name.find("tofp") != std::string::npos;
      if (from_int) return;
      for (size_t k = 0; k < 192; k += 64) {
        double v = (double(rng() % 20001) - 10000) / double(1u << rng() % 8);
        if (name.find("f64") != std::string::npos && name.find("fptrunc_f80") == std::string::npos &&
            name.find("fptrunc_f128") == std::string::npos)
          std::memcpy(&in[k], &v, 8);
        float f = float(v);
        if (name.find("f32") != std::string::npos && name.find("fptrunc_f") == std::string::npos)
          std::memcpy(&in[k], &f, 4), std::memcpy(&in[k + 4], &f, 4);
      }
    };
    compare(s, small ? LegalizeOptions::wasm() : LegalizeOptions::x86_64(), 10, adjust);
  }
}

TEST_CASE("AIR legalisation: random functions") {
  // Straight code over integers of random widths with a diamond in the middle, everything mixed into one result.
  std::mt19937 rng(7);
  const uint32_t widths[] = {1, 5, 8, 16, 23, 32, 37, 64, 65, 90, 128};
  const char* ops[] = {"add",  "sub",  "mul",      "and",      "or",       "xor",      "smin", "smax",
                       "umin", "umax", "uadd_sat", "sadd_sat", "usub_sat", "ssub_sat", "umulh"};
  const char* predicates[] = {"eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"};
  for (bool small : {false, true}) {
    std::string s = prefix(small);
    for (int f = 0; f < 30; f++) {
      struct Value { std::string name; uint32_t width; };
      std::vector<Value> values;
      s += "strong func @random" + std::to_string(f) + "(%p: ptr) -> void {\na:\n";
      for (int k = 0; k < 6; k++) {
        uint32_t w = widths[rng() % 11];
        std::string n = std::to_string(k), t = "i" + std::to_string(w);
        s += "  %p" + n + " = ptr_add ptr %p + " + std::to_string(16 * k) + "\n  %v" + n + " = load " + t + ", ptr %p" +
             n + "\n";
        values.push_back({"%v" + n, w});
      }
      int next = 6;
      auto as = [&](uint32_t w) {  // some value, resized
        const Value v = values[rng() % values.size()];
        if (v.width == w) return v.name;
        std::string r = "%c" + std::to_string(next++);
        s += "  " + r + " = " +
             (v.width > w ? "trunc"
              : rng() % 2 ? "zext"
                          : "sext") +
             " i" + std::to_string(v.width) + " " + v.name + " to i" + std::to_string(w) + "\n";
        return r;
      };
      auto step = [&] {
        uint32_t w = widths[rng() % 11];
        std::string t = "i" + std::to_string(w), r = "%v" + std::to_string(next++), a = as(w), b = as(w);
        switch (rng() % 5) {
          case 0: {
            std::string c = "%b" + std::to_string(next++);
            s += "  " + c + " = icmp " + predicates[rng() % 10] + " " + t + " " + a + ", " + b + "\n  " + r +
                 " = select i1 " + c + ", " + t + " " + b + ", " + t + " " + a + "\n";
            break;
          }
          case 1: {
            std::string c = as(w);
            s += "  " + r + " = " + (rng() % 2 ? "fshl " : "fshr ") + t + " " + a + ", " + b + ", " + c + "\n";
            break;
          }
          case 2: {
            std::string o = "%o" + std::to_string(next++);
            const char* kinds[] = {"uadd", "sadd", "usub", "ssub", "umul", "smul"};
            s += "  " + o + " = " + kinds[rng() % 6] + "_overflow " + t + " " + a + ", " + b + "\n  " + r +
                 " = extract {" + t + ", i1} " + o + " [0] to " + t + "\n";
            values.push_back({"%f" + r.substr(1), 1});
            s += "  %f" + r.substr(1) + " = extract {" + t + ", i1} " + o + " [1] to i1\n";
            break;
          }
          default: s += "  " + r + " = " + ops[rng() % 15] + " " + t + " " + a + ", " + b + "\n";
        }
        values.push_back({r, w});
      };
      for (int k = 0; k < 12; k++) step();
      uint32_t w1 = widths[rng() % 11], w2 = widths[rng() % 11];
      std::string c = as(1), x1 = as(w1), x2 = as(w2), y1 = as(w1), y2 = as(w2);
      s += "  cond_br " + c + ", b(" + x1 + ", " + x2 + "), d\nd:\n  br b(" + y1 + ", " + y2 + ")\nb(%m1: i" +
           std::to_string(w1) + ", %m2: i" + std::to_string(w2) + "):\n";
      values.push_back({"%m1", w1});
      values.push_back({"%m2", w2});
      for (int k = 0; k < 12; k++) step();
      for (size_t k = values.size() - 12; k < values.size(); k++)
        s += "  %r" + std::to_string(k) + " = ptr_add ptr %p + " + std::to_string(2048 + 16 * k) + "\n  store i" +
             std::to_string(values[k].width) + " " + values[k].name + ", ptr %r" + std::to_string(k) + "\n";
      s += "  ret\n}\n";
    }
    compare(s, small ? LegalizeOptions::wasm() : LegalizeOptions::x86_64(), 10);
  }
}

TEST_CASE("AIR legalisation: atomics") {
  for (bool small : {false, true}) {
    std::string s = prefix(small);
    for (const char* op :
         {"xchg", "add", "sub", "and", "nand", "or", "xor", "smax", "smin", "umax", "umin", "uinc_wrap", "udec_wrap"})
      for (const char* t : {"i8", "i16", "i32", "i64", "i128"}) {
        std::string o = op, type = t;
        if (type == "i128" && (o.find("m") != std::string::npos || o.find("wrap") != std::string::npos)) continue;
        s += "strong func @" + o + "_" + type + "(%p: ptr) -> void {\na:\n  %q = ptr_add ptr %p + 2048\n  %x = load " +
             type + ", ptr %p\n  store " + type + " %x, ptr %q\n  %yp = ptr_add ptr %p + 64\n  %y = load " + type +
             ", ptr %yp\n  %old = atomic_rmw " + o + " ptr %q, " + type +
             " %y seq_cst\n  %q2 = ptr_add ptr %q + 16\n  store " + type +
             " %old, ptr %q2\n  %pair = cmpxchg ptr %q, " + type + " %x, " + type +
             " 5 acq_rel\n  %q3 = ptr_add ptr %q + 32\n  store {" + type + ", i1} %pair, ptr %q3\n  %now = load " +
             type + ", ptr %q seq_cst align 16\n  store " + type + " %now, ptr %q3 release align 16\n  ret\n}\n";
      }
    for (const char* op : {"fadd", "fsub", "fmax", "fmin", "xchg"})
      for (const char* t : {"f32", "f64", "f16"})
        s += "strong func @" + std::string(op) + "_" + t +
             "(%p: ptr) -> void {\na:\n  %q = ptr_add ptr %p + 2048\n  store " + t +
             " 2.5, ptr %q\n  %old = atomic_rmw " + op + " ptr %q, " + t +
             " 1.25 seq_cst\n  %q2 = ptr_add ptr %q + 16\n  store " + t + " %old, ptr %q2\n  ret\n}\n";
    for (uint32_t ops : {0xffu, 0x1u}) {
      LegalizeOptions o = small ? LegalizeOptions::wasm() : LegalizeOptions::x86_64();
      o.rmw_ops = ops;
      compare(s, o, 4);
    }
  }
}

TEST_CASE("AIR legalisation: vectors wider than a register, for processors with and without AVX") {
  namespace p = processor_features;
  std::string s;
  auto lanes_of = [](uint32_t count, auto&& f) {
    std::string x;
    for (uint32_t k = 0; k < count; k++) x += (k ? ", " : "") + std::to_string(f(k));
    return x;
  };
  for (auto [bits, count] : {std::pair{8u, 32u}, {16u, 16u}, {16u, 32u}, {32u, 8u}, {32u, 12u}, {64u, 4u}, {64u, 8u}}) {
    const std::string n = std::to_string(count), type = "<" + n + " x i" + std::to_string(bits) + ">",
                      mask = "<" + n + " x i1>", id = identifier(type);
    for (const char* op : {"add", "sub", "mul", "and", "xor", "smin", "umax"})
      s += function(op + id, {type, type}, "%r = " + std::string(op) + " " + type + " %x, %y", type);
    for (const char* predicate : {"eq", "ugt", "sle"})
      s += function("select_" + std::string(predicate) + id, {type, type, type},
                    "%c = icmp " + std::string(predicate) + " " + type + " %x, %y\n  %r = select " + mask + " %c, " +
                        type + " %z, " + type + " %x",
                    type);
    for (uint32_t to : {8u, 16u, 32u, 64u}) {
      if (to == bits || count * to > 512) continue;
      const std::string other = "<" + n + " x i" + std::to_string(to) + ">";
      for (const char* op : {"zext", "sext"})
        s += function((to < bits ? "trunc" : op) + std::to_string(to) + (op[0] == 's' ? "s" : "z") + id, {type},
                      "%r = " + std::string(to < bits ? "trunc " : op + std::string(" ")) + type + " %x to " + other,
                      other);
    }
    for (const char* op : {"add", "or", "smax", "umin"})
      s += function("reduce_" + std::string(op) + id, {type},
                    "%r = reduce_" + std::string(op) + " " + type + " %x to i" + std::to_string(bits),
                    "i" + std::to_string(bits));
    uint32_t seed = bits + count;
    for (const std::string& order :
         {lanes_of(count, [&](uint32_t k) { return 2 * k; }), lanes_of(count, [&](uint32_t k) { return 2 * k + 1; }),
          lanes_of(count, [&](uint32_t k) { return count - 1 - k; }), lanes_of(count, [&](uint32_t) { return 3u; }),
          lanes_of(count, [&](uint32_t k) { return k / 2 + (k % 2 ? count : 0); }),
          lanes_of(count, [&](uint32_t) { return (seed = seed * 1103515245 + 12345) / 65536 % (2 * count); })})
      s += function("shuffle_" + std::to_string(s.size()) + id, {type, type},
                    "%r = shuffle " + type + " %x, %y [" + order + "]", type);
  }
  for (uint32_t features : {uint32_t{0}, p::sse3 | p::ssse3 | p::sse41 | p::sse42,
                            p::sse3 | p::ssse3 | p::sse41 | p::sse42 | p::avx,
                            p::sse3 | p::ssse3 | p::sse41 | p::sse42 | p::avx | p::avx2})
    compare(s, LegalizeOptions::x86_64(features), 4);
}

TEST_CASE("AIR legalisation: a legal function is left alone") {
  Module m = parse(
      "strong func @f(%a: i32, %p: ptr) -> i32 {\na:\n  %x = load i32, ptr %p\n  %y = add i32 %a, %x\n  %o = "
      "sadd_overflow i32 %y, 5\n"
      "  %v = extract {i32, i1} %o [0] to i32\n  ret i32 %v\n}\n");
  Function f = m.in_memory[0];
  std::string before = print_function(m, f);
  REQUIRE(legalize(f, m, {}).ok());
  CHECK((f.flags & function_flags::legal));
  f.flags &= ~function_flags::legal;
  CHECK(print_function(m, f) == before);
}

TEST_CASE("AIR legalisation: a function that never returns has the pointer to its result") {
  Module m = parse("strong func @f(%a: i32) -> [9 x i64] {\na:\n  trap\n}\n");
  Function f = m.in_memory[0];
  REQUIRE(legalize(f, m, {}).ok());
  CHECK(f.blocks[0].param_count == 2);
  CHECK(f.param_attrs.at(0).bits == attr::sret);
}

TEST_CASE("AIR legalisation: what cannot be done is an error with names") {
  Module m = parse(
      "strong func @f(%p: ptr) -> void {\na:\n  %x = load i1100, ptr %p\n  %y = udiv i1100 %x, 3\n  store i1100 %y, "
      "ptr "
      "%p\n  ret\n}\n"
      "strong func @g(%p: ptr) -> void {\na:\n  %x = load [100000 x i8], ptr %p\n  store [100000 x i8] %x, ptr %p\n  "
      "ret\n}\n"
      "strong func @h(%p: ptr) -> void {\na:\n  %x = load <32 x i63>, ptr %p\n  store <32 x i63> %x, ptr %p\n  "
      "ret\n}\n");
  auto r = legalize(m.in_memory[0], m, {});
  REQUIRE(!r.ok());
  CHECK(r.error().text() == "f: load in block 0: an integer of 1100 bits");
  r = legalize(m.in_memory[1], m, {});
  REQUIRE(!r.ok());
  CHECK(r.error().text().find("g: load in block 0: a value of more than 4096 parts") == 0);
  r = legalize(m.in_memory[2], m, {});
  REQUIRE(!r.ok());
  CHECK(r.error().text() == "h: load in block 0: a value of 2016 bits without gaps in memory");
}

TEST_CASE("AIR legalisation: what vectors become is text that is read again") {
  Module m = parse(R"(target "x86_64-unknown-linux-gnu"
strong func @f(%p: ptr, %i: i32) -> i16 {
a:
  %x = load <4 x i32>, ptr %p align 4
  %y = insert_element <4 x i32> %x, i32 %i, i32 2
  %c = icmp ult <4 x i32> %y, (1, 2, 3, 0xffffffff)
  %z = select <4 x i1> %c, <4 x i32> %x, <4 x i32> %y
  %h = bitcast <4 x i32> %z to <8 x i16>
  %s = shuffle <8 x i16> %h, undef [7, 6, 5, 4, 3, 2, 1, 0]
  %r = extract_element <8 x i16> %s, i32 5 to i16
  ret i16 %r
}
)");
  REQUIRE(legalize(m.in_memory.at(0), m, LegalizeOptions::x86_64()).ok());
  std::string text = *print_module(m);
  INFO(text);
  CHECK(text.find("simd2 sgt_32") != std::string::npos);
  Module again = parse(text);
  std::vector<Problem> problems;
  verify_function(again, again.in_memory.at(0), problems);
  CHECK(problems.empty());
  CHECK(*print_module(again) == text);
}

// Numbers as bytes, least significant first; the divisor is not zero. By hand, a bit a turn.
static void divide(const std::vector<uint8_t>& a, const std::vector<uint8_t>& d, std::vector<uint8_t>& q,
                   std::vector<uint8_t>& r) {
  const size_t n = a.size();
  q.assign(n, 0);
  r.assign(n + 1, 0);
  for (size_t bit = n * 8; bit-- > 0;) {
    for (size_t k = n; k > 0; k--) r[k] = uint8_t(r[k] << 1 | r[k - 1] >> 7);
    r[0] = uint8_t(r[0] << 1 | (a[bit / 8] >> bit % 8 & 1));
    bool less = false;
    if (!r[n])
      for (size_t k = n; k-- > 0;)
        if (r[k] != d[k]) {
          less = r[k] < d[k];
          break;
        }
    if (less) continue;
    int borrow = 0;
    for (size_t k = 0; k <= n; k++) {
      const int x = int(r[k]) - (k < n ? d[k] : 0) - borrow;
      r[k] = uint8_t(x);
      borrow = x < 0;
    }
    q[bit / 8] |= uint8_t(1u << bit % 8);
  }
  r.resize(n);
}
static void negate(std::vector<uint8_t>& x) {
  unsigned carry = 1;
  for (uint8_t& b : x) {
    carry += uint8_t(~b);
    b = uint8_t(carry);
    carry >>= 8;
  }
}

TEST_CASE("AIR legalisation: division of integers beyond 128 bits") {
  std::string source;
  const uint32_t widths[] = {129, 160, 192, 200, 256, 319, 512, 1000, 1024};
  for (uint32_t w : widths)
    for (const char* op : {"udiv", "urem", "sdiv", "srem"}) {
      const std::string t = "i" + std::to_string(w);
      source += "strong func @" + std::string(op) + t + "(%p: ptr) -> void {\na:\n  %x = load " + t +
                ", ptr %p\n  %q = ptr_add ptr %p + 128\n  %y = load " + t + ", ptr %q\n  %r = " + op + " " + t +
                " %x, %y\n  %s = ptr_add ptr %p + 2048\n  store " + t + " %r, ptr %s\n  ret\n}\n";
    }
  for (bool small : {false, true}) {
    const Module m = parse(prefix(small) + source);
    const LegalizeOptions target = small ? LegalizeOptions::wasm() : LegalizeOptions::x86_64();
    check_legal(m, target);
    Machine machine(m, target, true);
    std::mt19937 rng(7);
    for (uint32_t w : widths)
      for (int round = 0; round < 6; round++) {
        const size_t n = (w + 7) / 8;
        std::vector<uint8_t> input = random_input(rng), a(n), d(n), q, r;
        // Divisors of all sizes.
        const size_t kept = round == 0 ? n : 1 + rng() % n;
        std::fill(input.begin() + 128 + long(kept), input.end(), 0);
        input[128] |= 1;
        for (std::vector<uint8_t>* x : {&a, &d}) {
          const size_t from = x == &a ? 0 : 128;
          std::copy_n(input.begin() + long(from), n, x->begin());
          if (w % 8) x->back() &= uint8_t((1u << w % 8) - 1);
          std::copy_n(x->begin(), n, input.begin() + long(from));
        }
        auto check = [&](const char* op, std::vector<uint8_t> expected) {
          INFO(op << " i" << w << " round " << round);
          if (w % 8) expected.back() &= uint8_t((1u << w % 8) - 1);
          const std::string got = machine.call(op + ("i" + std::to_string(w)), input);
          CHECK((got.substr(0, n) == std::string(expected.begin(), expected.end())));
        };
        divide(a, d, q, r);
        check("udiv", q);
        check("urem", r);
        const unsigned top = (w - 1) % 8;
        const bool minus_a = a.back() >> top & 1, minus_d = d.back() >> top & 1;
        auto absolute = [&](std::vector<uint8_t>& x, bool minus) {
          if (!minus) return;
          negate(x);
          if (w % 8) x.back() &= uint8_t((1u << w % 8) - 1);
        };
        absolute(a, minus_a);
        absolute(d, minus_d);
        divide(a, d, q, r);
        if (minus_a != minus_d) negate(q);
        if (minus_a) negate(r);
        check("sdiv", q);
        check("srem", r);
      }
  }
}
