#include "codegen/x86_64/asm_operands.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "codegen/native/asm_text.h"
#include "codegen/x86_64/print.h"

namespace lode::x86_64 {

using codegen::AsmExpressions;
using codegen::asm_digit;
using codegen::asm_name_part;
using codegen::asm_space;
using codegen::asm_trim;
using codegen::no_expression;

namespace {

constexpr std::pair<std::string_view, uint8_t> segments[] = {{"es", 0x26}, {"cs", 0x2e}, {"ss", 0x36},
                                                             {"ds", 0x3e}, {"fs", 0x64}, {"gs", 0x65}};

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = char(std::tolower(uint8_t(c)));
  return out;
}

std::string_view word_of(std::string_view s) {
  size_t n = 0;
  while (n < s.size() && asm_name_part(s[n])) n++;
  return s.substr(0, n);
}

void skip(std::string_view& s) {
  while (!s.empty() && asm_space(s[0])) s.remove_prefix(1);
}

const std::unordered_map<std::string, RegName>& registers() {
  static const auto table = [] {
    std::unordered_map<std::string, RegName> t;
    for (RegKind kind : {RegKind::g8, RegKind::g16, RegKind::g32, RegKind::g64, RegKind::x, RegKind::y})
      for (uint8_t r = 0; r < 16; r++) t[print_register(kind, r).substr(1)] = {kind, r};
    for (RegKind kind : {RegKind::st, RegKind::mm, RegKind::dr})
      for (uint8_t r = 0; r < 8; r++) t[print_register(kind, r).substr(1)] = {kind, r};
    for (uint8_t r = 8; r < 16; r++) t["dr" + std::to_string(r)] = {RegKind::dr, r};
    for (uint8_t r = 0; r < 16; r++) t["cr" + std::to_string(r)] = {RegKind::cr, r};
    for (uint8_t r = 0; r < 8; r++) t["db" + std::to_string(r)] = {RegKind::dr, r};
    for (uint8_t r = 0; r < 6; r++) t[std::string(segments[r].first)] = {RegKind::sg, r};
    t["st"] = {RegKind::st, 0};
    for (uint8_t r = 0; r < 4; r++) t[std::string(1, "acdb"[r]) + "h"] = {RegKind::g8, uint8_t(r + 4), true};
    return t;
  }();
  return table;
}

// The register that `s` begins with, without '%'. "st(3)" is one.
bool take_register(std::string_view& s, RegName& out) {
  std::string_view w = word_of(s);
  if (w.empty() || !register_by_name(w, out)) return false;
  s.remove_prefix(w.size());
  if (out.kind != RegKind::st) return true;
  std::string_view rest = s;
  skip(rest);
  if (rest.size() > 2 && rest[0] == '(') {
    rest.remove_prefix(1);
    skip(rest);
    const char digit = rest[0];
    rest.remove_prefix(1);
    skip(rest);
    if (digit < '0' || digit > '7' || rest.empty() || rest[0] != ')') return false;
    out.number = uint8_t(digit - '0');
    s = rest.substr(1);
  }
  return true;
}

// A register of an address.
const char* set_base(AsmItem& out, const RegName& r) {
  if (r.kind != RegKind::g64 && r.kind != RegKind::g32) return "this register is no part of an address";
  if (r.kind == RegKind::g32) out.short_address = true;
  out.base = r.number;
  return nullptr;
}
const char* set_index(AsmItem& out, const RegName& r) {
  const bool vector = r.kind == RegKind::x || r.kind == RegKind::y;
  if (!vector && r.kind != RegKind::g64 && r.kind != RegKind::g32) return "this register is no part of an address";
  if (!vector && r.number == reg::rsp) return "the stack pointer cannot be an index";
  if (r.kind == RegKind::g32) out.short_address = true;
  out.index = r.number;
  out.index_kind = vector ? r.kind : RegKind::g64;
  return nullptr;
}
bool set_scale(AsmItem& out, int64_t scale) {
  if (scale != 1 && scale != 2 && scale != 4 && scale != 8) return false;
  out.scale_log2 = uint8_t(std::countr_zero(uint64_t(scale)));
  return true;
}

}  // namespace

bool register_by_name(std::string_view name, RegName& out) {
  if (!name.empty() && name[0] == '%') name.remove_prefix(1);
  if (name.size() > 6) return false;
  auto it = registers().find(lower(name));
  if (it == registers().end()) return false;
  out = it->second;
  return true;
}

// ---- AT&T -----------------------------------------------------------------------------------------------------------

namespace {

// (base, index, scale)
const char* att_address(std::string_view& s, AsmExpressions& e, AsmItem& out) {
  s.remove_prefix(1);
  skip(s);
  RegName r;
  if (s.starts_with("%")) {
    s.remove_prefix(1);
    if (const std::string w = lower(word_of(s)); w == "rip" || w == "eip") {
      out.rip = true;
      out.short_address = w == "eip";
      s.remove_prefix(3);
    } else {
      if (!take_register(s, r)) return "this is no register";
      if (const char* why = set_base(out, r)) return why;
    }
    skip(s);
  }
  if (s.starts_with(",")) {
    s.remove_prefix(1);
    skip(s);
    if (s.starts_with("%")) {
      s.remove_prefix(1);
      if (const std::string w = lower(word_of(s)); w == "riz" || w == "eiz") {  // a SIB byte without an index
        s.remove_prefix(3);
      } else {
        if (!take_register(s, r)) return "this is no register";
        if (const char* why = set_index(out, r)) return why;
      }
      skip(s);
    }
    if (s.starts_with(",")) {
      s.remove_prefix(1);
      int64_t scale;
      const uint32_t x = e.parse(s);
      if (x == no_expression || !e.constant(x, scale) || !set_scale(out, scale))
        return "a scale is 1, 2, 4 or 8";
      skip(s);
    }
  }
  if (!s.starts_with(")")) return "a ')' is missing";
  s.remove_prefix(1);
  if (out.rip && out.index != reg::none) return "rip takes no index";
  return nullptr;
}

}  // namespace

const char* parse_att_operand(std::string_view& s, AsmExpressions& e, AsmItem& out) {
  out = AsmItem{};
  skip(s);
  out.where = s;
  if (s.starts_with("*")) {
    out.star = true;
    s.remove_prefix(1);
    skip(s);
  }
  if (s.empty()) return "an operand is missing";
  if (s[0] == '%') {
    std::string_view rest = s.substr(1);
    RegName r;
    if (!take_register(rest, r)) return "this is no register";
    skip(rest);
    if (r.kind != RegKind::sg || !rest.starts_with(":")) {
      out.kind = AsmItem::Kind::reg;
      out.reg = r;
      s = rest;
      return nullptr;
    }
    out.segment = segments[r.number].second;
    s = rest.substr(1);
    skip(s);
  }
  if (s.starts_with("$")) {
    s.remove_prefix(1);
    out.kind = AsmItem::Kind::imm;
    out.expression = e.parse(s);
    return out.expression == no_expression ? "an expression is expected here" : nullptr;
  }
  out.kind = AsmItem::Kind::mem;
  std::string_view inside = s.starts_with("(") ? s.substr(1) : std::string_view("x");
  skip(inside);
  const bool address = inside.empty() || inside[0] == '%' || inside[0] == ',' || inside[0] == ')';
  if (!address) {
    out.expression = e.parse(s);
    if (out.expression == no_expression) return "this is no operand";
    skip(s);
    if (!s.starts_with("(")) {
      out.bare = out.segment == 0;
      return nullptr;
    }
  }
  return att_address(s, e, out);
}

// ---- Intel ----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::pair<std::string_view, uint16_t> sizes[] = {
    {"byte", 1},     {"word", 2},    {"dword", 4},   {"qword", 8},  {"xword", 10}, {"tbyte", 10}, {"fword", 6},
    {"xmmword", 16}, {"oword", 16}, {"ymmword", 32}, {"zmmword", 64}, {"mmword", 8}, {"float", 4}, {"double", 8},
};

// One term of what stands in brackets.
const char* intel_term(std::string_view term, bool minus, AsmExpressions& e, AsmItem& out) {
  term = asm_trim(term);
  const std::string_view whole = term;
  RegName r;
  auto add = [&](uint32_t x) {
    using O = codegen::AsmOperator;
    if (out.expression == no_expression && !minus) out.expression = x;
    else out.expression = e.binary(minus ? O::subtract : O::add,
                                   out.expression == no_expression ? e.number(0) : out.expression, x);
    return out.expression == no_expression ? "this is no address" : nullptr;
  };
  if (const std::string w = lower(term); w == "rip" || w == "eip") {
    out.rip = true;
    out.short_address = w == "eip";
    return minus ? "a register cannot be subtracted" : nullptr;
  }
  // REGISTER, REGISTER * SCALE, SCALE * REGISTER
  std::string_view name = term, factor;
  if (size_t star = term.find('*'); star != std::string_view::npos) {
    std::string_view left = asm_trim(term.substr(0, star)), right = asm_trim(term.substr(star + 1));
    RegName probe;
    if (register_by_name(left, probe)) name = left, factor = right;
    else name = right, factor = left;
  }
  if (register_by_name(name, r) && r.kind != RegKind::sg) {
    if (minus) return "a register cannot be subtracted";
    if (factor.empty() && out.base == reg::none && r.kind != RegKind::x && r.kind != RegKind::y)
      return set_base(out, r);
    if (out.index != reg::none) return "an address has one index";
    // "[rax + rsp]": the stack pointer is the base.
    if (factor.empty() && r.number == reg::rsp && r.kind == RegKind::g64 && out.base != reg::none) {
      out.index = out.base;
      return set_base(out, r);
    }
    if (const char* why = set_index(out, r)) return why;
    if (factor.empty()) return nullptr;
    int64_t scale;
    const uint32_t x = e.parse_all(factor, true);
    return x != no_expression && e.constant(x, scale) && set_scale(out, scale) ? nullptr : "a scale is 1, 2, 4 or 8";
  }
  const uint32_t x = e.parse_all(whole, true);
  return x == no_expression ? "this is no address" : add(x);
}

// [ term + term - term ]
const char* intel_brackets(std::string_view& s, AsmExpressions& e, AsmItem& out) {
  s.remove_prefix(1);
  int depth = 0;
  size_t begin = 0, i = 0;
  bool minus = false, empty = true;
  for (;; i++) {
    if (i == s.size()) return "a ']' is missing";
    const char c = s[i];
    if (c == '(') depth++;
    if (c == ')') depth--;
    if (depth || (c != '+' && c != '-' && c != ']')) {
      empty &= asm_space(c);
      continue;
    }
    if (empty && c != ']') {  // a sign in front of the term
      minus ^= c == '-';
      begin = i + 1;
      continue;
    }
    // "4*-2" and the like go on.
    std::string_view term = asm_trim(s.substr(begin, i - begin));
    if (!term.empty() && term.back() == '*' && c != ']') continue;
    if (const char* why = intel_term(term, minus, e, out)) {
      s = s.substr(begin);
      skip(s);
      return why;
    }
    begin = i + 1;
    minus = c == '-';
    empty = true;
    if (c == ']') break;
  }
  s.remove_prefix(i + 1);
  if (out.rip && (out.index != reg::none || out.base != reg::none)) return "rip takes no other register";
  return nullptr;
}

}  // namespace

const char* parse_intel_operand(std::string_view& s, AsmExpressions& e, AsmItem& out) {
  out = AsmItem{};
  skip(s);
  out.where = s;
  bool pointer = false;
  for (;;) {
    const std::string w = lower(word_of(s));
    std::string_view behind = s.substr(w.size());
    skip(behind);
    bool taken = false;
    for (auto [name, bytes] : sizes)
      if (w == name && !behind.empty()) out.bytes = bytes, taken = true;
    if (w == "ptr" && out.bytes) pointer = taken = true;
    if ((w == "short" || w == "near" || w == "far") && !behind.empty()) taken = true;
    if (w == "offset" && !behind.empty()) out.offset = taken = true;
    if (!taken) break;
    s = behind;
  }
  if (s.empty()) return "an operand is missing";
  std::string_view rest = s.starts_with("%") ? s.substr(1) : s;
  RegName r;
  if (take_register(rest, r)) {
    skip(rest);
    if (r.kind == RegKind::sg && rest.starts_with(":")) {
      out.segment = segments[r.number].second;
      s = rest.substr(1);
      skip(s);
    } else if (!rest.starts_with("[")) {
      out.kind = AsmItem::Kind::reg;
      out.reg = r;
      out.bytes = 0;
      s = rest;
      return nullptr;
    }
  }
  out.kind = AsmItem::Kind::mem;
  bool brackets = false;
  while (!s.empty() && s[0] != ',') {
    if (s[0] == '[') {
      brackets = true;
      if (const char* why = intel_brackets(s, e, out)) return why;
    } else {
      const bool plus = s[0] == '+';
      if (plus) s.remove_prefix(1);
      const uint32_t x = e.parse(s, true);
      if (x == no_expression) return "this is no operand";
      out.expression = out.expression == no_expression ? x : e.binary(codegen::AsmOperator::add, out.expression, x);
      if (out.expression == no_expression) return "this is no operand";
    }
    skip(s);
  }
  if (out.offset) {
    out.kind = AsmItem::Kind::imm;
    return out.expression == no_expression ? "an expression is expected here" : nullptr;
  }
  if (brackets) return nullptr;
  int64_t number;
  if (!pointer && !out.segment && e.constant(out.expression, number)) {
    out.kind = AsmItem::Kind::imm;
    return nullptr;
  }
  out.bare = !out.segment;
  return nullptr;
}

}  // namespace lode::x86_64
