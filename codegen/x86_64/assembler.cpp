// The template of inline asm: operands are put in, the text is cut into statements, each statement finds its row.
//
// Memory operands and symbols stay symbolic until emit, so they stand in the text as names of their own: \x01 number
// \x02. Operands and rows are those of asm_operands.h, in AT&T's syntax or Intel's, as the statement says or a
// directive in it; here they become MIR.
#include <algorithm>
#include <bit>
#include <cctype>
#include <unordered_map>

#include "codegen/native/asm_data.h"
#include "codegen/native/asm_expression.h"
#include "codegen/native/asm_text.h"
#include "codegen/x86_64/asm_operands.h"
#include "codegen/x86_64/encode.h"
#include "codegen/x86_64/inline_asm.h"
#include "codegen/x86_64/module_assembler.h"
#include "codegen/x86_64/print.h"
#include "formats/elf/elf.h"

namespace lode::x86_64 {

using codegen::asm_digit;
using codegen::asm_trim;
using codegen::AsmExpressions;
using codegen::AsmVariant;
using codegen::evaluate_constant;
using codegen::no_expression;

namespace {

Error unknown(std::string_view text, const char* why = nullptr) { return codegen::unsupported_asm(text, why); }

bool digit(char c) { return asm_digit(c); }
std::string_view trim(std::string_view s) { return asm_trim(s); }

RegKind gp_kind(unsigned bytes) {
  return bytes == 1 ? RegKind::g8 : bytes == 2 ? RegKind::g16 : bytes <= 4 ? RegKind::g32 : RegKind::g64;
}

std::vector<uint32_t> references_of(const std::vector<AsmValue>& values) {
  std::vector<uint32_t> references;
  for (const AsmValue& v : values)
    references.push_back(v.kind == AsmValue::Kind::reference ? v.reference : no_symbol);
  return references;
}

class Assembler {
 public:
  Assembler(const std::vector<AsmValue>& values, MirWriter& w, const AsmSymbols& symbols, bool intel)
      : values_(values),
        w_(w),
        symbols_(symbols),
        intel_(intel),
        data_(w, references_of(values), symbols),
        expressions_([this](std::string_view name) {
          names_.emplace_back(name);
          return uint32_t(names_.size() - 1);
        }),
        text_({[this](std::string_view name) { return data_.define(name); },
               [this](std::string_view s) { return statement(s); },
               [this](std::string_view e, int64_t& v) {
                 const uint32_t x = expressions_.parse_all(e, intel_now_);
                 return x != no_expression && known(x, v);
               },
               [this](std::string_view name) {
                 return data_.knows(name) || numbers_.count(std::string(name)) != 0;
               }},
              "inline assembly") {}
  Result<void> run(std::string_view text);

 private:
  // What an expression comes to: a number and at most one name.
  struct Sum {
    int64_t constant = 0;
    uint32_t name = no_expression;
    AsmVariant variant = AsmVariant::none;
  };

  Result<std::string> substitute(std::string_view text);
  Result<std::string> print_operand(size_t n, char modifier, std::string_view text);
  Result<void> statement(std::string_view s);
  Result<void> directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<void> alignment(bool power, std::string_view rest, std::string_view s);
  Result<void> instruction(std::string_view s);
  Result<void> elsewhere(std::string_view s);
  Result<void> branch(const AsmBranch& b, const AsmItem& to, std::string_view s);
  Result<void> operands(std::string_view rest, std::string_view s, AsmRequest& q);
  Result<void> write(const AsmMatch& match, const AsmRequest& q, std::string_view s);
  Result<bool> write_symbolic(const AsmMatch& match, const AsmRequest& q, std::string_view s);
  Result<Mem> memory(const AsmItem& x);
  bool write_high(Op op, Cond cc, const AsmMatch& match, const AsmRequest& q, const Mem& m, int64_t imm);
  bool evaluate(uint32_t e, Sum& out, unsigned depth = 0) const;
  bool known(uint32_t e, int64_t& v) const;
  const AsmValue* operand_of(std::string_view name, int64_t& more) const;

  const std::vector<AsmValue>& values_;
  MirWriter& w_;
  const AsmSymbols& symbols_;
  const bool intel_;                                  // the statement's own syntax, in which its operands are written
  bool intel_now_ = false;
  codegen::AsmData data_;                             // labels, and what goes into other sections
  std::vector<std::string> names_;                    // in expressions
  std::unordered_map<std::string, int64_t> numbers_;  // .set
  AsmExpressions expressions_;
  codegen::AsmText text_;
  std::string prefix_;                                // "lock", "rep" ..., from a statement of its own
};

Result<std::string> Assembler::print_operand(size_t n, char modifier, std::string_view text) {
  if (n >= values_.size()) return unknown(text, "there is no such operand");
  const AsmValue& v = values_[n];
  auto mark = [&](size_t k, char how = 0) {
    return std::string("\x01") + (how ? std::string(1, how) : "") + std::to_string(k) + "\x02";
  };
  switch (v.kind) {
    case AsmValue::Kind::gp: {
      RegKind kind = gp_kind(v.bytes);
      switch (modifier) {
        case 0: break;
        case 'b': kind = RegKind::g8; break;
        case 'w': kind = RegKind::g16; break;
        case 'k': kind = RegKind::g32; break;
        case 'q': kind = RegKind::g64; break;
        case 'h':
          if (v.reg >= 4) return unknown(text, "this register has no high byte");
          return std::string("%") + "acdb"[v.reg] + "h";
        case 'a': return (intel_ ? "[" : "(") + print_register(RegKind::g64, v.reg) + (intel_ ? "]" : ")");
        case 'z': return std::string(v.bytes == 1 ? "b" : v.bytes == 2 ? "w" : v.bytes == 4 ? "l" : "q");
        case 'P': case 'A': break;
        default: return unknown(text, "unknown operand modifier");
      }
      return (modifier == 'A' && !intel_ ? "*" : "") + print_register(kind, v.reg);
    }
    case AsmValue::Kind::fp:
      if (modifier != 0 && modifier != 'x' && modifier != 't') return unknown(text, "unknown operand modifier");
      return print_register(modifier == 't' || (!modifier && v.bytes == 32) ? RegKind::y : RegKind::x, v.reg);
    case AsmValue::Kind::x87: return print_register(RegKind::st, v.reg);
    case AsmValue::Kind::immediate:
      if (modifier == 'c' || modifier == 'P' || modifier == 'p' || modifier == 'a') return std::to_string(v.imm);
      if (modifier == 'n') return std::to_string(int64_t(-uint64_t(v.imm)));
      return (intel_ ? "" : "$") + std::to_string(v.imm);
    case AsmValue::Kind::memory:
      if (modifier == 'z') {
        if (v.bytes != 1 && v.bytes != 2 && v.bytes != 4 && v.bytes != 8)
          return unknown(text, "memory of a size without a suffix");
        return std::string(v.bytes == 1 ? "b" : v.bytes == 2 ? "w" : v.bytes == 4 ? "l" : "q");
      }
      return mark(n, modifier == 'H' ? 'H' : 0);
    case AsmValue::Kind::reference: return mark(n);
    case AsmValue::Kind::label: return ".Lgoto" + std::to_string(n);
    case AsmValue::Kind::none: break;
  }
  return unknown(text);
}

Result<std::string> Assembler::substitute(std::string_view t) {
  std::string out;
  int depth = 0;       // within $( ... $)
  bool keep = true;    // the part of this statement's syntax: the first one is AT&T's
  for (size_t i = 0; i < t.size(); i++) {
    if (t[i] != '$' || i + 1 == t.size()) {
      if (keep) out += t[i];
      continue;
    }
    char c = t[++i];
    if (c == '(') {
      depth++;
      keep = !intel_;
    } else if (c == '|' && depth) {
      keep = intel_ && !keep;
    } else if (c == ')' && depth) {
      depth--;
      keep = true;
    } else if (!keep) {
      continue;
    } else if (c == '$') {
      out += '$';
    } else if (digit(c)) {
      size_t n = 0;
      while (i < t.size() && digit(t[i]) && n < 1000) n = n * 10 + size_t(t[i++] - '0');
      i--;
      LODE_ASSIGN(std::string s, print_operand(n, 0, t));
      out += s;
    } else if (c == '{') {
      size_t close = t.find('}', i);
      if (close == std::string_view::npos) return unknown(t);
      std::string_view inside = t.substr(i + 1, close - i - 1);
      i = close;
      if (inside == ":uid") {
        out += "u";  // labels are private to the statement anyway
        continue;
      }
      if (inside == ":comment") {
        out += '#';
        continue;
      }
      if (inside == ":private") {
        out += ".L";
        continue;
      }
      size_t n = 0, k = 0;
      while (k < inside.size() && digit(inside[k]) && n < 1000) n = n * 10 + size_t(inside[k++] - '0');
      bool modified = k + 2 == inside.size() && inside[k] == ':';
      if (k == 0 || (k != inside.size() && !modified)) return unknown(t);
      LODE_ASSIGN(std::string s, print_operand(n, modified ? inside[k + 1] : char(0), t));
      out += s;
    } else {
      return unknown(t);
    }
  }
  return out;
}

// ---- expressions ----------------------------------------------------------------------------------------------------

// The operand of the statement that a name stands for; null: it is none.
const AsmValue* Assembler::operand_of(std::string_view name, int64_t& more) const {
  more = 0;
  if (name.size() < 3 || name.front() != '\x01' || name.back() != '\x02') return nullptr;
  name = name.substr(1, name.size() - 2);
  if (name[0] == 'H') {  // the upper half
    more = 8;
    name.remove_prefix(1);
  }
  size_t n = 0;
  for (char c : name) n = digit(c) && n < 1000 ? n * 10 + size_t(c - '0') : values_.size();
  return n < values_.size() ? &values_[n] : nullptr;
}

bool Assembler::evaluate(uint32_t e, Sum& out, unsigned depth) const {
  using O = codegen::AsmOperator;
  out = Sum{};
  if (e == no_expression || depth > 100) return false;
  const codegen::AsmNode n = expressions_[e];
  if (n.op == O::number) {
    out.constant = n.value;
    return true;
  }
  if (n.op == O::name) {
    const std::string& name = names_[n.a];
    auto number = numbers_.find(name);
    if (number != numbers_.end()) {
      out.constant = number->second;
      return true;
    }
    int64_t more;
    if (const AsmValue* v = operand_of(name, more); v && v->kind == AsmValue::Kind::immediate) {
      out.constant = v->imm;
      return true;
    }
    out.name = n.a;
    out.variant = n.variant;
    return true;
  }
  Sum right;
  const bool unary = n.op == O::negate || n.op == O::complement || n.op == O::logical_not;
  if (!evaluate(n.a, out, depth + 1) || (!unary && !evaluate(n.b, right, depth + 1))) return false;
  if (n.op == O::add && out.name == no_expression) {
    right.constant = int64_t(uint64_t(right.constant) + uint64_t(out.constant));
    out = right;
    return true;
  }
  if (right.name != no_expression || (out.name != no_expression && n.op != O::add && n.op != O::subtract)) return false;
  uint64_t v = uint64_t(out.constant);
  if (!codegen::apply_operator(n.op, v, uint64_t(right.constant))) return false;
  out.constant = int64_t(v);
  return true;
}

bool Assembler::known(uint32_t e, int64_t& v) const {
  Sum sum;
  if (!evaluate(e, sum) || sum.name != no_expression) return false;
  v = sum.constant;
  return true;
}

// ---- directives -----------------------------------------------------------------------------------------------------

// .p2align LOG2[, FILL[, MOST]], .balign BYTES[, FILL[, MOST]]; on ELF x86 .align is .balign (GNU as, "Align"). What is
// filled in is executed, so only nops will do.
Result<void> Assembler::alignment(bool power, std::string_view rest, std::string_view s) {
  int64_t v[3] = {0, 0x90, INT64_MAX};
  for (unsigned k = 0;; k++) {
    size_t comma = rest.find(',');
    std::string_view field = trim(rest.substr(0, comma));
    if (k == 3 || (field.empty() && k != 1) ||
        (!field.empty() && !(known(expressions_.parse_all(field, intel_now_), v[k]))))
      return unknown(s);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (v[0] < 0 || v[2] < 0 || v[1] != 0x90 || (power && v[0] > 12)) return unknown(s);
  uint64_t bytes = power ? uint64_t{1} << v[0] : uint64_t(v[0]);
  if (bytes <= 1) return {};
  if (bytes > 4096 || !std::has_single_bit(bytes)) return unknown(s);
  w_.align(unsigned(std::countr_zero(bytes)), uint32_t(std::min<int64_t>(v[2], 4096)));
  return {};
}

Result<void> Assembler::directive(std::string_view name, std::string_view rest, std::string_view s) {
  if (name == ".p2align" || name == ".balign" || name == ".align") return alignment(name == ".p2align", rest, s);
  if (name == ".intel_syntax" && (rest.empty() || rest == "noprefix")) {
    intel_now_ = true;
    return {};
  }
  if (name == ".att_syntax" && (rest.empty() || rest == "prefix")) {
    intel_now_ = false;
    return {};
  }
  if (name == ".set" || name == ".equ" || name == ".equiv") {
    const std::string symbol(asm_trim(codegen::asm_field(rest)));
    int64_t v;
    if (symbol.empty() || !known(expressions_.parse_all(rest, intel_now_), v))
      return text_.error(rest.empty() ? s : rest, "a number is expected here");
    numbers_[symbol] = v;
    return {};
  }
  // Of lines of a source, and unwinding within a statement whose function has its own rules.
  if (name == ".loc" || name == ".file") return {};
  std::vector<uint8_t> bytes;
  auto number = [&](std::string_view field, int64_t& v) {
    return known(expressions_.parse_all(field, intel_now_), v);
  };
  unsigned width = name == ".byte"                                                              ? 1
                   : name == ".word" || name == ".short" || name == ".value" || name == ".2byte" ? 2
                   : name == ".long" || name == ".int" || name == ".4byte"                      ? 4
                   : name == ".quad" || name == ".8byte"                                        ? 8
                                                                                                 : 0;
  if (width) {
    do {
      int64_t v;
      const std::string_view field = codegen::asm_field(rest);
      if (!number(field, v)) return text_.error(field.empty() ? s : field, "a number is expected in the text");
      for (unsigned k = 0; k < width; k++) bytes.push_back(uint8_t(uint64_t(v) >> (8 * k)));
    } while (!rest.empty());
  } else if (name == ".skip" || name == ".space" || name == ".zero" || name == ".fill" || name == ".nops") {
    int64_t count, value = name == ".nops" ? 0x90 : 0;
    if (!number(codegen::asm_field(rest), count) || count < 0 || count > 65536)
      return text_.error(s, "the count is not a number");
    int64_t size = 1;
    if (name == ".fill" && !rest.empty() && (!number(codegen::asm_field(rest), size) || size < 0 || size > 8))
      return text_.error(s, "the size is not a number");
    if (!rest.empty() && !number(codegen::asm_field(rest), value)) return text_.error(s, "the value is not a number");
    for (int64_t k = 0; k < count; k++)
      for (int64_t b = 0; b < size; b++) bytes.push_back(uint8_t(uint64_t(value) >> (8 * b)));
  } else if (name == ".ascii" || name == ".asciz" || name == ".string") {
    do {
      std::string string;
      if (!codegen::asm_string(codegen::asm_field(rest), string)) return text_.error(s, "a string is expected here");
      bytes.insert(bytes.end(), string.begin(), string.end());
      if (name != ".ascii") bytes.push_back(0);
    } while (!rest.empty());
  } else {
    return text_.error(s, "this directive is not supported");
  }
  if (!bytes.empty()) w_.bytes(bytes);
  return {};
}

// ---- instructions ---------------------------------------------------------------------------------------------------

// An instruction with ah, ch, dh or bh, as bytes: MIR's byte registers 4 to 7 are spl to dil. False: it would need a
// REX prefix, or an address that is known only later.
bool Assembler::write_high(Op op, Cond cc, const AsmMatch& match, const AsmRequest& q, const Mem& m, int64_t imm) {
  InstInfo row = info(op);
  row.a = row.b = RegKind::no;
  Address a;
  for (const AsmItem& x : q.items)
    if (x.kind == AsmItem::Kind::reg &&
        (x.reg.number >= 8 || (x.reg.kind == RegKind::g8 && !x.reg.high && x.reg.number >= 4)))
      return false;
  if (match.mem != AsmMatch::none) {
    if ((m.kind != Mem::Kind::base && m.kind != Mem::Kind::absolute) || (m.base >= 8 && m.base != reg::none) ||
        (m.index >= 8 && m.index != reg::none))
      return false;
    a = {m.base, m.index, m.scale_log2, m.segment, false, false, m.disp, nullptr};
  }
  if (row.w) return false;
  auto number = [&](uint8_t k) { return k == AsmMatch::none ? uint8_t(0) : q.items[k].reg.number; };
  uint8_t out[24], *end = out;
  switch (row.form) {
    case Form::r: end = encode_r(out, row, number(match.a), cc); break;
    case Form::rr: end = encode_rr(out, row, number(match.a), number(match.b), cc); break;
    case Form::ri: end = encode_ri(out, row, number(match.a), imm); break;
    case Form::rm: end = encode_rm(out, row, number(match.a), a, cc); break;
    case Form::mr: end = encode_rm(out, row, number(match.a), a); break;
    default: return false;
  }
  w_.bytes({out, size_t(end - out)});
  return true;
}

// The address of an operand in memory.
Result<Mem> Assembler::memory(const AsmItem& x) {
  Mem m;
  m.kind = x.base == reg::none ? Mem::Kind::absolute : Mem::Kind::base;
  m.base = x.base;
  m.index = x.index;
  m.scale_log2 = x.scale_log2;
  m.segment = x.segment == 0x64 ? Segment::fs : x.segment == 0x65 ? Segment::gs : Segment::none;
  Sum sum;
  if (x.expression != no_expression && !evaluate(x.expression, sum))
    return text_.error(x.where, "an address of this kind is not supported");
  auto displaced = [&](Mem to, int64_t by) -> Result<Mem> {
    const int64_t d = int64_t(uint64_t(int64_t{to.disp}) + uint64_t(by));
    if (d != int32_t(d)) return text_.error(x.where, "the displacement does not fit in 32 bits");
    to.disp = int32_t(d);
    if (m.segment != Segment::none) to.segment = m.segment;
    return to;
  };
  if (sum.name == no_expression) {
    if (x.rip) return text_.error(x.where, "a distance from the instruction is not supported");
    return displaced(m, sum.constant);
  }
  if (sum.variant != AsmVariant::none)
    return text_.error(x.where, "a symbol that is reached in this way is not supported here");
  const std::string& name = names_[sum.name];
  int64_t more;
  const AsmValue* v = operand_of(name, more);
  uint32_t reference = no_symbol;
  if (v && v->kind == AsmValue::Kind::memory) {
    if (x.rip || x.base != reg::none || x.index != reg::none)
      return text_.error(x.where, "an operand in memory takes no more registers");
    return displaced(v->mem, int64_t(uint64_t(sum.constant) + uint64_t(more)));
  }
  if (v && v->kind == AsmValue::Kind::reference) {
    reference = v->reference;
  } else if (!v && symbols_ && !data_.knows(name) && !digit(name[0]) && !name.starts_with(".L")) {
    reference = symbols_(name, mir::ReferenceKind::direct, sum.constant);
    sum.constant = 0;
  }
  if (reference == no_symbol) return text_.error(x.where, "its module does not know the symbol, or it is not near");
  Mem to = Mem::symbol(reference);
  if (!x.rip) {
    to.base = x.base;
    to.index = x.index;
    to.scale_log2 = x.scale_log2;
  }
  return displaced(to, sum.constant);
}

// Branches within the statement, calls and jumps to symbols.
Result<void> Assembler::branch(const AsmBranch& b, const AsmItem& to, std::string_view s) {
  Sum sum;
  if (!evaluate(to.expression, sum) || sum.name == no_expression || sum.constant)
    return text_.error(to.where, "a branch goes to a label or a symbol");
  const std::string& name = names_[sum.name];
  auto to_reference = [&](uint32_t r) -> Result<void> {
    if (b.call) w_.call_ref(r);
    else if (b.jump && w_.frame_flags() & frame::naked) w_.jmp_ref(r);
    else return text_.error(s, "it leaves a function that has a frame");
    return {};
  };
  int64_t more;
  if (const AsmValue* v = operand_of(name, more)) {
    if (v->kind != AsmValue::Kind::reference || (!b.call && !b.jump))
      return text_.error(to.where, "a branch goes to a label or a symbol");
    return to_reference(v->reference);
  }
  const bool own = digit(name[0]) || name[0] == '.' || data_.knows(name);
  if ((b.call || b.jump) && symbols_ && !own) {
    const uint32_t r = symbols_(name, mir::ReferenceKind::call, 0);
    if (r != no_symbol) return to_reference(r);
  }
  if (b.call && !own) return text_.error(to.where, "its module does not know the symbol");
  if (b.call || b.short_opcode) return text_.error(s, "this branch is not supported within a statement");
  Label target = data_.text_label(name);
  if (b.jump) w_.jmp(target);
  else w_.jcc(b.cc, target);
  return {};
}

Result<void> Assembler::operands(std::string_view rest, std::string_view s, AsmRequest& q) {
  while (!rest.empty()) {
    AsmItem x;
    const char* why = q.intel ? parse_intel_operand(rest, expressions_, x) : parse_att_operand(rest, expressions_, x);
    rest = trim(rest);
    if (!why && !rest.empty() && rest[0] != ',') why = "this is not expected here";
    if (why) return text_.error(rest.empty() ? s : rest, why);
    if (!rest.empty()) rest = trim(rest.substr(1));
    // A name that is set to a number, or an operand that is one.
    if (int64_t v; q.intel && x.kind == AsmItem::Kind::mem && x.bare && !x.bytes && known(x.expression, v))
      x.kind = AsmItem::Kind::imm;
    q.items.push_back(x);
    if (q.items.size() > 5) return text_.error(s, "too many operands");
  }
  return {};
}

// A symbol's address in a register, by the instructions that MIR has for it. False: the operands are ordinary.
Result<bool> Assembler::write_symbolic(const AsmMatch& match, const AsmRequest& q, std::string_view s) {
  Sum sum;
  if (match.imm != AsmMatch::none && q.items[match.imm].kind == AsmItem::Kind::imm &&
      evaluate(q.items[match.imm].expression, sum) && sum.name != no_expression) {
    int64_t more;
    const AsmValue* v = operand_of(names_[sum.name], more);
    uint32_t r = no_symbol;
    if (v && v->kind == AsmValue::Kind::reference && !sum.constant) r = v->reference;
    else if (!v && symbols_) r = symbols_(names_[sum.name], mir::ReferenceKind::direct, sum.constant);
    const bool load = match.op == Op::mov64ri || match.op == Op::mov32ri || match.op == Op::movabs64ri;
    if (r == no_symbol || !load) return text_.error(s, "a symbol's address is not supported in this place");
    w_.lea_ref(q.items[match.a].reg.number, r);
    return true;
  }
  if (match.mem == AsmMatch::none) return false;
  const AsmItem& x = q.items[match.mem];
  if (!x.rip || x.expression == no_expression || !evaluate(x.expression, sum) || sum.name == no_expression)
    return false;
  const std::string& name = names_[sum.name];
  const uint8_t to = match.a == AsmMatch::none ? uint8_t(0) : q.items[match.a].reg.number;
  if (match.op == Op::lea64rm && (digit(name[0]) || name[0] == '.' || data_.knows(name))) {
    if (sum.constant) return text_.error(x.where, "a label is the only address of code here");
    w_.lea_label(to, data_.text_label(name));
    return true;
  }
  if (match.op == Op::mov64rm && symbols_ && !sum.constant &&
      (sum.variant == AsmVariant::gotpcrel || sum.variant == AsmVariant::gottpoff)) {
    const bool tls = sum.variant == AsmVariant::gottpoff;
    const uint32_t r =
        symbols_(name, tls ? mir::ReferenceKind::tls_initial_exec : mir::ReferenceKind::got, 0);
    if (r == no_symbol) return text_.error(x.where, "its module does not know the symbol");
    if (tls) w_.tls_offset(to, r);
    else w_.lea_ref(to, r);
    return true;
  }
  return false;
}

Result<void> Assembler::write(const AsmMatch& match, const AsmRequest& q, std::string_view s) {
  LODE_ASSIGN(bool done, write_symbolic(match, q, s));
  if (done) return {};
  const InstInfo& row = info(match.op);
  auto number = [&](uint8_t k) { return k == AsmMatch::none ? uint8_t(0) : q.items[k].reg.number; };
  const uint8_t a = number(match.a), b = number(match.b), c = number(match.c);
  Mem m;
  int64_t imm = 0;
  if (match.mem != AsmMatch::none) {
    const AsmItem& x = q.items[match.mem];
    LODE_ASSIGN(m, memory(x));
    // A result of 32 bits does not tell 64-bit addresses from others.
    if (x.short_address && match.op != Op::lea32rm) w_.bytes(std::initializer_list<uint8_t>{0x67});
    if (x.segment && m.segment == Segment::none) w_.bytes(std::initializer_list<uint8_t>{x.segment});
  }
  if (row.imm == Imm::r4) imm = q.items[match.imm].reg.number << 4;
  else if (match.imm != AsmMatch::none && !known(q.items[match.imm].expression, imm))
    return text_.error(q.items[match.imm].where, "a number is expected here");
  const bool high = std::any_of(q.items.begin(), q.items.end(), [](const AsmItem& x) {
    return x.kind == AsmItem::Kind::reg && x.reg.high;
  });
  if (high) {
    if (!write_high(match.op, match.cc, match, q, m, imm))
      return text_.error(s, "ah, bh, ch and dh do not go with these operands");
    return {};
  }
  switch (row.form) {
    case Form::none: w_.op(match.op); break;
    case Form::r: w_.r(match.op, a, match.cc); break;
    case Form::rr: w_.rr(match.op, a, b, match.cc); break;
    case Form::ri: w_.ri(match.op, a, imm); break;
    case Form::i: w_.i(match.op, imm); break;
    case Form::rri: w_.rri(match.op, a, b, imm); break;
    case Form::rm: w_.rm(match.op, a, m, match.cc); break;
    case Form::mr: w_.mr(match.op, m, a); break;
    case Form::m: w_.m(match.op, m, match.cc); break;
    case Form::mi: w_.mi(match.op, m, imm); break;
    case Form::rmi: w_.rmi(match.op, a, m, imm); break;
    case Form::mri: w_.mri(match.op, m, a, imm); break;
    case Form::rrr: w_.rrr(match.op, a, b, c); break;
    case Form::rrri: w_.rrr(match.op, a, b, c, imm); break;
    case Form::rrm:
    case Form::rmr:
    case Form::mrr: w_.rrm(match.op, a, b, m); break;
    case Form::rrmi: w_.rrmi(match.op, a, b, m, imm); break;
    default: return text_.error(s, "this instruction is not supported here");
  }
  return {};
}

Result<void> Assembler::instruction(std::string_view s) {
  AsmRequest q;
  q.intel = intel_now_;
  q.known = [this](uint32_t e, int64_t& v) { return known(e, v); };
  std::string_view rest = s;
  std::vector<uint8_t> prefixes;
  std::string spelled = std::move(prefix_);
  prefix_.clear();
  for (;;) {
    size_t n = 0;
    while (n < rest.size() && !codegen::asm_space(rest[n])) n++;
    q.mnemonic.assign(rest.substr(0, n));
    for (char& c : q.mnemonic) c = char(std::tolower(uint8_t(c)));
    rest = trim(rest.substr(n));
    if (!prefix_by_name(q.mnemonic)) break;
    if (rest.empty()) {  // of the statement that follows
      prefix_ = q.mnemonic;
      return {};
    }
    if (!spelled.empty()) prefixes.push_back(prefix_by_name(spelled));
    spelled = q.mnemonic;
  }
  LODE_TRY(operands(rest, s, q));
  AsmMatch match;
  if (!spelled.empty()) {
    // Rows that have the prefix; else it stands by itself in front.
    AsmRequest with = q;
    with.mnemonic = spelled + " " + q.mnemonic;
    if (!match_instruction(with, expressions_, match)) {
      if (!prefixes.empty()) w_.bytes(prefixes);
      return write(match, with, s);
    }
    prefixes.push_back(prefix_by_name(spelled));
  }
  if (!prefixes.empty()) w_.bytes(prefixes);
  AsmBranch b;
  if (q.items.size() == 1 && !q.items[0].star && !q.items[0].bytes && q.items[0].expression != no_expression &&
      (q.items[0].bare || q.items[0].kind == AsmItem::Kind::imm) && branch_by_name(q.mnemonic, b)) {
    int64_t more;
    Sum sum;
    const AsmValue* v = evaluate(q.items[0].expression, sum) && sum.name != no_expression
                            ? operand_of(names_[sum.name], more)
                            : nullptr;
    if (!v || v->kind != AsmValue::Kind::memory) return branch(b, q.items[0], s);
  }
  if (waiting_form(q.mnemonic)) w_.op(Op::fwait);
  if (q.mnemonic == "fnstsw" && q.items.size() == 1 && q.items[0].kind == AsmItem::Kind::reg) {
    w_.op(Op::fnstsw);
    return {};
  }
  std::vector<uint8_t> bytes;
  if (special_instruction(q, bytes)) {
    w_.bytes(bytes);
    return {};
  }
  if (const char* why = match_instruction(q, expressions_, match)) return text_.error(s, why);
  return write(match, q, s);
}

// An instruction in another section is data there: bytes, and fields of the symbols that it names. A numeric label goes
// by a name meanwhile.
Result<void> Assembler::elsewhere(std::string_view s) {
  static constexpr std::string_view numbered = "lode.numeric.";
  std::string text(s);
  const size_t space = text.find_last_of(" \t");
  const std::string last = space == std::string::npos ? "" : text.substr(space + 1);
  const bool label = last.size() > 1 && (last.back() == 'b' || last.back() == 'f') &&
                     std::all_of(last.begin(), last.end() - 1, digit);
  if (label) text = text.substr(0, space + 1) + std::string(numbered) + last;
  if (text.find('\x01') != std::string::npos)
    return text_.error(s, "operands in memory are not supported in code of another section");
  auto made = assemble_module((intel_now_ ? ".intel_syntax noprefix\n" : "") + text + "\n");
  if (!made.ok() || made->sections.empty())
    return text_.error(s, made.ok() ? "nothing" : made.error().message.substr(0, made.error().message.find('\n')));
  const codegen::AsmObjectSection& out = made->sections[0];
  size_t at = 0;
  auto data = [&](std::string_view directive, const std::string& words) -> Result<void> {
    LODE_ASSIGN(bool taken, data_.directive(directive, words, s));
    return taken ? Result<void>() : Result<void>(text_.error(s, "code is not supported in this section"));
  };
  auto bytes_to = [&](size_t end) -> Result<void> {
    std::string words;
    for (; at < end; at++) words += (words.empty() ? "" : ",") + std::to_string(out.bytes[at]);
    return words.empty() ? Result<void>() : data(".byte", words);
  };
  for (const codegen::AsmRelocation& r : out.relocations) {
    using namespace formats::elf;
    const bool distance = r.type == R_X86_64_PC32 || r.type == R_X86_64_PLT32;
    const bool wide = r.type == R_X86_64_64;
    if ((!distance && !wide && r.type != R_X86_64_32 && r.type != R_X86_64_32S) || r.symbol == ~0u)
      return text_.error(s, "a field of this kind is not supported in code of another section");
    std::string name = made->symbols[r.symbol].name;
    if (name.starts_with(numbered)) name = name.substr(numbered.size());
    LODE_TRY(bytes_to(r.offset));
    const std::string addend = r.addend < 0 ? std::to_string(r.addend) : "+" + std::to_string(r.addend);
    LODE_TRY(data(wide ? ".quad" : ".long", name + (distance ? " - ." : "") + addend));
    at += wide ? 8 : 4;
  }
  return bytes_to(out.bytes.size());
}

Result<void> Assembler::statement(std::string_view s) {
  size_t n = 0;
  while (n < s.size() && !codegen::asm_space(s[n]) && s[n] != '=') n++;
  const std::string_view rest = trim(s.substr(n));
  if (s[0] != '.') {
    if (n && rest.size() > 1 && rest[0] == '=' && rest[1] != '=') {  // NAME = NUMBER
      const std::string words = std::string(s.substr(0, n)) + "," + std::string(rest.substr(1));
      return directive(".set", words, s);
    }
    return data_.in_text() ? instruction(s) : elsewhere(s);
  }
  std::string name(s.substr(0, n));
  for (char& c : name) c = char(std::tolower(uint8_t(c)));
  LODE_ASSIGN(bool data, data_.directive(name, rest, s));
  if (data) return {};
  return data_.in_text() ? directive(name, rest, s) : Result<void>(unknown(s));
}

Result<void> Assembler::run(std::string_view text) {
  intel_now_ = intel_;
  LODE_ASSIGN(std::string full, substitute(text));
  LODE_TRY(text_.run(full));
  if (!prefix_.empty()) return unknown(text, "a prefix without an instruction");
  return data_.finish(text);
}

}  // namespace

Result<void> assemble(std::string_view text, const std::vector<AsmValue>& values, MirWriter& writer,
                      const AsmSymbols& symbols, bool intel) {
  return Assembler(values, writer, symbols, intel).run(text);
}

}  // namespace lode::x86_64
