// The template of inline asm: operands are put in, the text is split into statements, each statement finds its row.
//
// Memory operands and symbols stay symbolic until emit, so they stand in the text as marks: \x01 number \x02.
// A row matches by mnemonic (the size suffix may be missing where a register operand tells the size) and operand kinds.
#include <algorithm>
#include <bit>
#include <cctype>
#include <unordered_map>

#include "codegen/native/asm_data.h"
#include "codegen/native/asm_expression.h"
#include "codegen/x86_64/encode.h"
#include "codegen/x86_64/inline_asm.h"
#include "codegen/x86_64/print.h"

namespace lode::x86_64 {

using codegen::evaluate_constant;

namespace {

Error unknown(std::string_view text, const char* why = nullptr) { return codegen::unsupported_asm(text, why); }

bool digit(char c) { return std::isdigit(uint8_t(c)); }
bool space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trim(std::string_view s) {
  while (!s.empty() && space(s.front())) s.remove_prefix(1);
  while (!s.empty() && space(s.back())) s.remove_suffix(1);
  return s;
}

RegKind gp_kind(unsigned bytes) {
  return bytes == 1 ? RegKind::g8 : bytes == 2 ? RegKind::g16 : bytes <= 4 ? RegKind::g32 : RegKind::g64;
}

struct RegName {
  RegKind kind;
  uint8_t number;
  bool high = false;  // ah, ch, dh, bh: numbers 4 to 7 without a REX prefix
};

// Every row by its mnemonic, conditions spelled out; every register by its name.
struct Tables {
  struct Entry {
    Op op;
    Cond cc;
  };
  std::unordered_multimap<std::string, Entry> rows;
  std::unordered_map<std::string, RegName> registers;
  std::unordered_map<std::string, Cond> conditions;

  Tables() {
    for (unsigned c = 0; c < 16; c++) conditions[print_condition(Cond(c))] = Cond(c);
    const std::pair<const char*, Cond> more[] = {{"z", Cond::e},   {"nz", Cond::ne}, {"c", Cond::b},   {"nc", Cond::ae},
                                                 {"nae", Cond::b}, {"nb", Cond::ae}, {"na", Cond::be}, {"nbe", Cond::a},
                                                 {"pe", Cond::p},  {"po", Cond::np}, {"nge", Cond::l}, {"nl", Cond::ge},
                                                 {"ng", Cond::le}, {"nle", Cond::g}};
    for (auto [name, cc] : more) conditions[name] = cc;
    for (unsigned i = 0; i < op_count; i++) {
      const InstInfo& row = inst_table[i];
      if (row.form >= Form::pseudo_none) continue;
      std::string name = row.mnemonic();
      if (row.traits & T_star) name = name.substr(0, name.size() - 2);
      if (size_t at = name.find('#'); at != std::string::npos) {
        for (auto& [cond, cc] : conditions) rows.insert({name.substr(0, at) + cond + name.substr(at + 1), {Op(i), cc}});
      } else {
        rows.insert({name, {Op(i), Cond::o}});
      }
    }
    for (RegKind kind : {RegKind::g8, RegKind::g16, RegKind::g32, RegKind::g64, RegKind::x, RegKind::y})
      for (uint8_t r = 0; r < 16; r++) registers[print_register(kind, r)] = {kind, r};
    for (uint8_t r = 0; r < 8; r++) registers[print_register(RegKind::st, r)] = {RegKind::st, r};
    registers["%st"] = {RegKind::st, 0};
    for (uint8_t r = 0; r < 4; r++) registers[std::string("%") + "acdb"[r] + "h"] = {RegKind::g8, uint8_t(r + 4), true};
  }
};
const Tables& tables() {
  static const Tables t;
  return t;
}

constexpr std::pair<const char*, const char*> aliases[] = {
    {"cdq", "cltd"}, {"cqo", "cqto"}, {"cwde", "cwtl"}, {"cdqe", "cltq"}, {"cwd", "cwtd"}, {"cbw", "cbtw"},
    {"pushf", "pushfq"}, {"popf", "popfq"}, {"sal", "shl"}, {"sall", "shll"}, {"salq", "shlq"}, {"salw", "shlw"},
    {"salb", "shlb"}, {"movabs", "movabsq"}, {"rep nop", "pause"}, {"rep bsfl", "tzcntl"}, {"rep bsfq", "tzcntq"},
    {"repz cmpsb", "rep cmpsb"}, {"repe cmpsb", "rep cmpsb"}, {"repnz scasb", "repne scasb"}, {"fucomip", "fucompi"},
    {"fcomip", "fcompi"}, {"fildq", "fildll"}, {"fistpq", "fistpll"}, {"fisttpq", "fisttpll"}, {"fwait", "wait"},
    {"movsd", "movsd"},
};

struct Parsed {
  enum class Kind : uint8_t { reg, imm, mem, name, ref } kind = Kind::imm;
  RegName reg{RegKind::no, 0};
  int64_t imm = 0;
  Mem mem;
  uint32_t ref = 0;
  std::string_view name;
  bool star = false;
  bool short_address = false;  // mem: 32-bit registers; only `leal` is the same with 64-bit ones
};

std::vector<uint32_t> references_of(const std::vector<AsmValue>& values) {
  std::vector<uint32_t> references;
  for (const AsmValue& v : values)
    references.push_back(v.kind == AsmValue::Kind::reference ? v.reference : no_symbol);
  return references;
}

class Assembler {
 public:
  Assembler(const std::vector<AsmValue>& values, MirWriter& w, const AsmSymbols& symbols)
      : values_(values), w_(w), symbols_(symbols), data_(w, references_of(values), symbols) {}
  Result<void> run(std::string_view text);

 private:
  const std::vector<AsmValue>& values_;
  MirWriter& w_;
  const AsmSymbols& symbols_;
  codegen::AsmData data_;                                      // labels, and what goes into other sections
  std::string prefix_;                                // "lock " or "rep ", from a statement of its own
  struct Condition {
    bool active;  // the statements are assembled
    bool done;    // a branch has been, or the whole lies in text that is left out
  };
  std::vector<Condition> conditions_;                 // open .if's, the innermost last

  Result<std::string> substitute(std::string_view text);
  Result<std::string> print_operand(size_t n, char modifier, std::string_view text);
  Result<void> statement(std::string_view s);
  Result<void> take_labels(std::string_view& s);
  bool special(std::string& mnemonic, std::string_view operands);
  Result<std::vector<Parsed>> parse_operands(std::string_view operands, std::string_view s);
  Result<void> branch(const std::string& mnemonic, const Parsed& to, std::string_view s);
  bool match_row(const std::string& mnemonic, std::vector<Parsed>& ops);
  Result<void> alignment(bool power, std::string_view rest, std::string_view s);
  Result<void> directive(std::string_view name, std::string_view rest, std::string_view s);
  Result<bool> conditional(std::string_view name, std::string_view rest, std::string_view s);
  bool skipping() const { return !conditions_.empty() && !conditions_.back().active; }
  Result<Parsed> parse_operand(std::string_view s, std::string_view whole);
  Result<Parsed> parse_memory(std::string_view s, std::string_view whole, Segment segment);
  bool try_row(const Tables::Entry& e, std::vector<Parsed>& ops);
  void write(Op op, Cond cc, const std::vector<Parsed>& ops);
  bool write_high(Op op, Cond cc, const std::vector<Parsed>& ops);
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
        case 'a': return "(" + print_register(RegKind::g64, v.reg) + ")";
        case 'z': return std::string(v.bytes == 1 ? "b" : v.bytes == 2 ? "w" : v.bytes == 4 ? "l" : "q");
        case 'P': case 'A': break;
        default: return unknown(text, "unknown operand modifier");
      }
      return (modifier == 'A' ? "*" : "") + print_register(kind, v.reg);
    }
    case AsmValue::Kind::fp:
      if (modifier != 0 && modifier != 'x' && modifier != 't') return unknown(text, "unknown operand modifier");
      return print_register(modifier == 't' ? RegKind::y : RegKind::x, v.reg);
    case AsmValue::Kind::x87: return print_register(RegKind::st, v.reg);
    case AsmValue::Kind::immediate:
      if (modifier == 'c' || modifier == 'P' || modifier == 'p' || modifier == 'a') return std::to_string(v.imm);
      if (modifier == 'n') return std::to_string(int64_t(-uint64_t(v.imm)));
      return "$" + std::to_string(v.imm);
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
  bool keep = true;    // in its first part, AT&T
  for (size_t i = 0; i < t.size(); i++) {
    if (t[i] != '$' || i + 1 == t.size()) {
      if (keep) out += t[i];
      continue;
    }
    char c = t[++i];
    if (c == '(') {
      depth++;
    } else if (c == '|' && depth) {
      keep = false;
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
      if (inside == ":comment" || inside == ":private") continue;
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

Result<Parsed> Assembler::parse_memory(std::string_view s, std::string_view whole, Segment segment) {
  Parsed p;
  p.kind = Parsed::Kind::mem;
  p.mem.kind = Mem::Kind::absolute;
  size_t open = s.rfind('(');
  int64_t disp = 0;
  std::string_view before = open == std::string_view::npos ? s : s.substr(0, open);
  before = trim(before);
  if (!before.empty() && (!evaluate_constant(before, disp) || disp != int32_t(disp))) return unknown(whole);
  p.mem.disp = int32_t(disp);
  p.mem.segment = segment;
  if (open == std::string_view::npos) return p;
  size_t close = s.find(')', open);
  if (close == std::string_view::npos || close + 1 != s.size()) return unknown(whole);
  std::string_view inside = s.substr(open + 1, close - open - 1);
  std::string_view parts[3];
  size_t count = 0;
  for (;;) {
    size_t comma = inside.find(',');
    if (count == 3) return unknown(whole);
    parts[count++] = trim(inside.substr(0, comma));
    if (comma == std::string_view::npos) break;
    inside.remove_prefix(comma + 1);
  }
  auto gp = [&](std::string_view name, uint8_t& r) {
    auto it = tables().registers.find(std::string(name));
    if (it == tables().registers.end() || (it->second.kind != RegKind::g64 && it->second.kind != RegKind::g32))
      return false;
    p.short_address |= it->second.kind == RegKind::g32;
    r = it->second.number;
    return true;
  };
  if (!parts[0].empty()) {
    if (!gp(parts[0], p.mem.base)) return unknown(whole);
    p.mem.kind = Mem::Kind::base;
  }
  if (count > 1 && !parts[1].empty() && (!gp(parts[1], p.mem.index) || p.mem.index == reg::rsp)) return unknown(whole);
  if (count > 2 && !parts[2].empty()) {
    int64_t scale;
    if (!evaluate_constant(parts[2], scale) || (scale != 1 && scale != 2 && scale != 4 && scale != 8))
      return unknown(whole);
    while (1 << p.mem.scale_log2 != scale) p.mem.scale_log2++;
  }
  return p;
}

Result<Parsed> Assembler::parse_operand(std::string_view s, std::string_view whole) {
  Parsed p;
  s = trim(s);
  bool star = !s.empty() && s[0] == '*';
  if (star) s = trim(s.substr(1));
  p.star = star;
  if (s.empty()) return unknown(whole);
  Segment segment = Segment::none;
  if (s.size() > 4 && (s.substr(0, 4) == "%fs:" || s.substr(0, 4) == "%gs:")) {
    segment = s[1] == 'f' ? Segment::fs : Segment::gs;
    s = trim(s.substr(4));
  }
  if (s[0] == '%') {
    auto it = tables().registers.find(std::string(s));
    if (it == tables().registers.end()) return unknown(whole);
    p.kind = Parsed::Kind::reg;
    p.reg = it->second;
    return p;
  }
  // A mark, perhaps with a displacement in front: "8+mark".
  if (size_t at = s.find('\x01'); at != std::string_view::npos) {
    bool dollar = s[0] == '$';
    std::string_view before = s.substr(dollar, at - dollar);
    size_t end = s.find('\x02', at);
    std::string_view number = s.substr(at + 1, end - at - 1), behind = trim(s.substr(end + 1));
    int64_t extra = 0;
    if (!number.empty() && number[0] == 'H') {
      extra = 8;
      number.remove_prefix(1);
    }
    size_t n = 0;
    for (char c : number) n = n * 10 + size_t(c - '0');
    const AsmValue& v = values_[n];
    if (v.kind == AsmValue::Kind::reference) {
      if (behind == "(%rip)") {
        p.kind = Parsed::Kind::mem;
        p.mem = Mem::symbol(v.reference);
        return p;
      }
      if (!behind.empty()) return unknown(whole);
      p.kind = Parsed::Kind::ref;
      p.ref = v.reference;
      return p;
    }
    if (dollar || !behind.empty()) return unknown(whole);
    before = trim(before);
    if (!before.empty() && before.back() == '+') before.remove_suffix(1);
    int64_t disp = 0;
    if (!before.empty() && !evaluate_constant(before, disp)) return unknown(whole);
    disp += extra + v.mem.disp;
    if (disp != int32_t(disp)) return unknown(whole);
    p.kind = Parsed::Kind::mem;
    p.mem = v.mem;
    p.mem.disp = int32_t(disp);
    if (segment != Segment::none) p.mem.segment = segment;
    return p;
  }
  if (s[0] == '$') {
    p.kind = Parsed::Kind::imm;
    if (!evaluate_constant(s.substr(1), p.imm)) return unknown(whole);
    return p;
  }
  // name+8(%rip)
  if (symbols_ && s.ends_with("(%rip)") && (std::isalpha(uint8_t(s[0])) || s[0] == '_' || s[0] == '.')) {
    std::string_view inside = trim(s.substr(0, s.size() - 6));
    size_t sign = inside.find_first_of("+-");
    int64_t addend = 0;
    if (sign != std::string_view::npos && !evaluate_constant(inside.substr(sign), addend)) return unknown(whole);
    uint32_t r = symbols_(trim(inside.substr(0, sign)), mir::ReferenceKind::direct, addend);
    if (r == no_symbol) return unknown(whole, "its module does not know the symbol, or it is not near");
    p.kind = Parsed::Kind::mem;
    p.mem = Mem::symbol(r);
    return p;
  }
  bool plain_name = std::isalpha(uint8_t(s[0])) || s[0] == '.' || s[0] == '_' ||
                    (digit(s[0]) && s.size() < 5 && (s.back() == 'b' || s.back() == 'f') && s.substr(0, 2) != "0x");
  if (plain_name) {
    p.kind = Parsed::Kind::name;
    p.name = s;
    return p;
  }
  LODE_ASSIGN(p, parse_memory(s, whole, segment));
  p.star = star;
  return p;
}

// .p2align LOG2[, FILL[, MOST]], .balign BYTES[, FILL[, MOST]]; on ELF x86 .align is .balign (GNU as, "Align"). What is
// filled in is executed, so only nops will do.
Result<void> Assembler::alignment(bool power, std::string_view rest, std::string_view s) {
  int64_t v[3] = {0, 0x90, INT64_MAX};
  for (unsigned k = 0;; k++) {
    size_t comma = rest.find(',');
    std::string_view field = trim(rest.substr(0, comma));
    if (k == 3 || (field.empty() && k != 1) || (!field.empty() && !evaluate_constant(field, v[k]))) return unknown(s);
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
  unsigned width = name == ".byte"                                           ? 1
                   : name == ".word" || name == ".short" || name == ".value" ? 2
                   : name == ".long" || name == ".int"                       ? 4
                   : name == ".quad"                                         ? 8
                                                                             : 0;
  if (!width) return unknown(s);
  std::vector<uint8_t> bytes;
  for (;;) {
    size_t comma = rest.find(',');
    int64_t v;
    if (!evaluate_constant(rest.substr(0, comma), v)) return unknown(s);
    for (unsigned k = 0; k < width; k++) bytes.push_back(uint8_t(uint64_t(v) >> (8 * k)));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  w_.bytes(bytes);
  return {};
}

// An instruction with ah, ch, dh or bh, as bytes: MIR's byte registers 4 to 7 are spl to dil. False: it would need a
// REX prefix, or an address that is known only later.
bool Assembler::write_high(Op op, Cond cc, const std::vector<Parsed>& o) {
  InstInfo row = info(op);
  row.a = row.b = RegKind::no;
  Address a;
  for (const Parsed& p : o) {
    if (p.kind == Parsed::Kind::reg &&
        (p.reg.number >= 8 || (p.reg.kind == RegKind::g8 && !p.reg.high && p.reg.number >= 4)))
      return false;
    if (p.kind != Parsed::Kind::mem) continue;
    const Mem& m = p.mem;
    if ((m.kind != Mem::Kind::base && m.kind != Mem::Kind::absolute) || (m.base >= 8 && m.base != reg::none) ||
        (m.index >= 8 && m.index != reg::none))
      return false;
    a = {m.base, m.index, m.scale_log2, m.segment, false, false, m.disp, nullptr};
  }
  if (row.w) return false;
  uint8_t out[16], *end = out;
  switch (row.form) {
    case Form::r: end = encode_r(out, row, o[0].reg.number, cc); break;
    case Form::rr: end = encode_rr(out, row, o[1].reg.number, o[0].reg.number, cc); break;
    case Form::ri: end = encode_ri(out, row, o[1].reg.number, o[0].imm); break;
    case Form::rm: end = encode_rm(out, row, o[1].reg.number, a, cc); break;
    case Form::mr: end = encode_rm(out, row, o[0].reg.number, a); break;
    default: return false;
  }
  w_.bytes({out, size_t(end - out)});
  return true;
}

void Assembler::write(Op op, Cond cc, const std::vector<Parsed>& o) {  // in AT&T order
  const InstInfo& row = info(op);
  switch (row.form) {
    case Form::none: return w_.op(op);
    case Form::r: return w_.r(op, o[0].reg.number, cc);
    case Form::rr: return w_.rr(op, o[1].reg.number, o[0].reg.number, cc);
    case Form::ri: return w_.ri(op, o[1].reg.number, o[0].imm);
    case Form::i: return w_.i(op, o[0].imm);
    case Form::rri: return w_.rri(op, o[2].reg.number, o[1].reg.number, o[0].imm);
    case Form::rm: return w_.rm(op, o[1].reg.number, o[0].mem, cc);
    case Form::mr: return w_.mr(op, o[1].mem, o[0].reg.number);
    case Form::m: return w_.m(op, o[0].mem, cc);
    case Form::mi: return w_.mi(op, o[1].mem, o[0].imm);
    case Form::rmi: return w_.rmi(op, o[2].reg.number, o[1].mem, o[0].imm);
    case Form::mri: return w_.mri(op, o[2].mem, o[1].reg.number, o[0].imm);
    case Form::rrr: return w_.rrr(op, o[2].reg.number, o[1].reg.number, o[0].reg.number);
    case Form::rrri:
      return w_.rrr(op, o[3].reg.number, o[2].reg.number, o[1].reg.number,
                    row.imm == Imm::r4 ? o[0].reg.number << 4 : o[0].imm);
    case Form::rrm: return w_.rrm(op, o[2].reg.number, o[1].reg.number, o[0].mem);
    case Form::rmr: return w_.rrm(op, o[2].reg.number, o[0].reg.number, o[1].mem);
    case Form::mrr: return w_.rrm(op, o[0].reg.number, o[1].reg.number, o[2].mem);
    case Form::rrmi: return w_.rrmi(op, o[3].reg.number, o[2].reg.number, o[1].mem, o[0].imm);
    default: return;
  }
}

// Whether an immediate fits the row: as a number of the operand's width, signed or not.
bool imm_fits(const InstInfo& row, int64_t v) {
  switch (row.imm) {
    case Imm::none: return true;
    case Imm::ib:
    case Imm::sh: return v >= -128 && v <= 255;
    case Imm::iw:
    case Imm::zw: return v >= -32768 && v <= 65535;
    case Imm::iq: return true;
    default: return v == int32_t(v) || (!row.w && v == int64_t(uint32_t(v)));
  }
}

bool Assembler::try_row(const Tables::Entry& e, std::vector<Parsed>& given) {
  const InstInfo& row = info(e.op);
  std::vector<Parsed> ops = given;
  using K = Parsed::Kind;
  auto reg = [&](size_t i, RegKind k) { return ops[i].kind == K::reg && ops[i].reg.kind == k; };
  auto is = [&](size_t i, K k) { return ops[i].kind == k; };
  if (row.traits & T_cl) {
    if (ops.empty() || !reg(0, RegKind::g8) || ops[0].reg.number != reg::rcx) return false;
    ops.erase(ops.begin());
  }
  // x87: "faddp" and "fxch" mean st(1), "fadd %st(3)" has st(0) as its other operand.
  if (row.form == Form::r && row.a == RegKind::st && ops.empty() && !(row.traits & T_st0)) {
    Parsed st1;
    st1.kind = K::reg;
    st1.reg = {RegKind::st, 1};
    ops.push_back(st1);
  } else if (row.traits & T_st0 && ops.size() != 1) {
    if (ops.size() != 2 || !reg(1, RegKind::st) || ops[1].reg.number != 0) return false;
    ops.pop_back();
  } else if (row.traits & T_st0_first) {
    if (ops.size() != 2 || !reg(0, RegKind::st) || ops[0].reg.number != 0) return false;
    ops.erase(ops.begin());
  }
  bool shift = row.imm == Imm::sh && ops.size() == 1;  // "shl %eax": by one
  if (shift) {
    Parsed one;
    one.imm = 1;
    ops.insert(ops.begin(), one);
  }
  if (row.form == Form::rri && ops.size() == 2 && row.a == row.b && row.a != RegKind::x)
    ops.push_back(ops[1]);  // imul $3, %eax
  bool exchange =
      row.form == Form::mr && (row.writes == 0 || std::string_view(row.name()).substr(0, 4) == "test") &&
      ops.size() == 2 &&
      (std::string_view(row.name()).substr(0, 4) == "xchg" || std::string_view(row.name()).substr(0, 4) == "test");
  if (exchange && is(0, K::mem)) std::swap(ops[0], ops[1]);  // either order
  for (const Parsed& p : ops)
    if (p.star != bool(row.traits & T_star)) return false;
  bool fits = true;
  for (const Parsed& p : ops)
    if (p.kind == K::imm) fits &= imm_fits(row, p.imm);
  if (!fits) return false;
  bool match = false;
  switch (row.form) {
    case Form::none: match = ops.empty(); break;
    case Form::r: match = ops.size() == 1 && reg(0, row.a); break;
    case Form::rr: match = ops.size() == 2 && reg(0, row.b) && reg(1, row.a); break;
    case Form::ri: match = ops.size() == 2 && is(0, K::imm) && reg(1, row.a); break;
    case Form::i: match = ops.size() == 1 && is(0, K::imm); break;
    case Form::rri: match = ops.size() == 3 && is(0, K::imm) && reg(1, row.b) && reg(2, row.a); break;
    case Form::rm: match = ops.size() == 2 && is(0, K::mem) && reg(1, row.a); break;
    case Form::mr: match = ops.size() == 2 && reg(0, row.a) && is(1, K::mem); break;
    case Form::m: match = ops.size() == 1 && is(0, K::mem); break;
    case Form::mi: match = ops.size() == 2 && is(0, K::imm) && is(1, K::mem); break;
    case Form::rmi: match = ops.size() == 3 && is(0, K::imm) && is(1, K::mem) && reg(2, row.a); break;
    case Form::mri: match = ops.size() == 3 && is(0, K::imm) && reg(1, row.a) && is(2, K::mem); break;
    case Form::rrr: match = ops.size() == 3 && reg(0, row.c) && reg(1, row.b) && reg(2, row.a); break;
    case Form::rrri:
      match = ops.size() == 4 && (row.imm == Imm::r4 ? reg(0, row.a) : is(0, K::imm)) && reg(1, row.c) &&
              reg(2, row.b) && reg(3, row.a);
      break;
    case Form::rrm: match = ops.size() == 3 && is(0, K::mem) && reg(1, row.b) && reg(2, row.a); break;
    case Form::rmr: match = ops.size() == 3 && reg(0, row.b) && is(1, K::mem) && reg(2, row.a); break;
    case Form::mrr: match = ops.size() == 3 && reg(0, row.a) && reg(1, row.b) && is(2, K::mem); break;
    case Form::rrmi:
      match = ops.size() == 4 && is(0, K::imm) && is(1, K::mem) && reg(2, row.b) && reg(3, row.a);
      break;
    default: break;
  }
  for (const Parsed& p : ops) match &= !p.short_address || e.op == Op::lea32rm;
  if (!match) return false;
  for (const Parsed& p : ops)
    if (p.kind == K::reg && p.reg.high) return write_high(e.op, e.cc, ops);
  write(e.op, e.cc, ops);
  return true;
}

// .if EXPRESSION, .ifeq and its kin (the expression against 0), .elseif, .else, .endif. False: something else.
Result<bool> Assembler::conditional(std::string_view name, std::string_view rest, std::string_view s) {
  static constexpr std::pair<std::string_view, std::string_view> tests[] = {
      {".if", "!=0"},  {".ifne", "!=0"}, {".ifeq", "==0"}, {".ifge", ">=0"},
      {".ifgt", ">0"}, {".ifle", "<=0"}, {".iflt", "<0"}};
  auto holds = [&](std::string_view test, bool& out) {
    int64_t v;
    if (!evaluate_constant("(" + std::string(rest) + ")" + std::string(test), v)) return false;
    out = v != 0;
    return true;
  };
  for (auto [directive, test] : tests) {
    if (name != directive) continue;
    bool taken = false;
    if (skipping()) conditions_.push_back({false, true});
    else if (!holds(test, taken)) return unknown(s, "the condition is not a constant");
    else conditions_.push_back({taken, taken});
    return true;
  }
  const bool is_else = name == ".else", is_elseif = name == ".elseif";
  if (!is_else && !is_elseif && name != ".endif") {
    if (name.starts_with(".if")) return unknown(s);
    return false;
  }
  if (conditions_.empty()) return unknown(s, "there is no .if");
  if (name == ".endif") {
    conditions_.pop_back();
    return true;
  }
  Condition& c = conditions_.back();
  c.active = false;
  if (c.done) return true;
  if (is_elseif && !holds("!=0", c.active)) return unknown(s, "the condition is not a constant");
  if (is_else) c.active = true;
  c.done = c.active;
  return true;
}

// Labels in front of a statement; in text that is left out they do not exist either.
Result<void> Assembler::take_labels(std::string_view& s) {
  for (;;) {
    size_t k = 0;
    while (k < s.size() && (std::isalnum(uint8_t(s[k])) || s[k] == '_' || s[k] == '.')) k++;
    if (k == 0 || k == s.size() || s[k] != ':') return {};
    if (!skipping()) LODE_TRY(data_.define(s.substr(0, k)));
    s = trim(s.substr(k + 1));
  }
}

// Statements that stand for something else than a row. True: `mnemonic` was one, and is done.
bool Assembler::special(std::string& mnemonic, std::string_view operands) {
  // A return that the text writes is that alone: MIR's own would undo the frame first.
  if (operands.empty() && (mnemonic == "ret" || mnemonic == "retq")) {
    static constexpr uint8_t near_return = 0xc3;
    w_.bytes({&near_return, 1});
    return true;
  }
  // The forms that wait for pending exceptions are two instructions.
  for (const char* waits : {"fstcw", "fstsw", "fstenv", "fsave", "fclex", "finit"})
    if (mnemonic == waits) {
      w_.op(Op::fwait);
      mnemonic.insert(1, "n");
      if (mnemonic != "fnstsw" || operands != "%ax") return false;
      w_.op(Op::fnstsw);
      return true;
    }
  return false;
}

Result<std::vector<Parsed>> Assembler::parse_operands(std::string_view rest, std::string_view s) {
  std::vector<Parsed> ops;
  while (!rest.empty()) {
    size_t end = 0;
    for (int depth = 0; end < rest.size() && (depth || rest[end] != ','); end++) {
      if (rest[end] == '(') depth++;
      if (rest[end] == ')') depth--;
    }
    LODE_ASSIGN(Parsed p, parse_operand(rest.substr(0, end), s));
    ops.push_back(p);
    rest = end == rest.size() ? std::string_view() : trim(rest.substr(end + 1));
    if (ops.size() > 4) return unknown(s);
  }
  return ops;
}

// Branches within the statement, calls and jumps to symbols.
Result<void> Assembler::branch(const std::string& mnemonic, const Parsed& to, std::string_view s) {
  bool jump = mnemonic == "jmp" || mnemonic == "jmpq", call = mnemonic == "call" || mnemonic == "callq";
  auto to_reference = [&](uint32_t r) -> Result<void> {
    if (call) w_.call_ref(r);
    else if (jump && w_.frame_flags() & frame::naked) w_.jmp_ref(r);
    else return unknown(s, "it leaves a function that has a frame");
    return {};
  };
  if (to.kind == Parsed::Kind::ref) {
    if (!call && !jump) return unknown(s);
    return to_reference(to.ref);
  }
  if ((call || jump) && symbols_ && !digit(to.name[0]) && to.name[0] != '.' && !data_.knows(to.name)) {
    std::string_view name = to.name;
    if (name.ends_with("@PLT")) name.remove_suffix(4);
    uint32_t r = symbols_(name, mir::ReferenceKind::call, 0);
    if (r != no_symbol) return to_reference(r);
    if (call) return unknown(s, "its module does not know the symbol");
  }
  bool own = digit(to.name[0]) || to.name[0] == '.' || data_.knows(to.name);
  if (!own && (call || !(jump || mnemonic[0] == 'j'))) return unknown(s);
  Label target = data_.text_label(to.name);
  if (jump) {
    w_.jmp(target);
    return {};
  }
  auto cc = mnemonic[0] == 'j' ? tables().conditions.find(mnemonic.substr(1)) : tables().conditions.end();
  if (cc == tables().conditions.end()) return unknown(s);
  w_.jcc(cc->second, target);
  return {};
}

// The first row that has this mnemonic, perhaps with a suffix for its size, and takes the operands.
bool Assembler::match_row(const std::string& mnemonic, std::vector<Parsed>& ops) {
  for (const char* suffix : {"", "q", "l", "w", "b"}) {
    bool sized = *suffix == 0;
    if (!sized) {  // a register operand has to tell the size
      bool has_register = false;
      for (const Parsed& p : ops) has_register |= p.kind == Parsed::Kind::reg;
      bool control = mnemonic == "push" || mnemonic == "pop" || mnemonic == "call" || mnemonic == "jmp";
      if (!has_register && !control) break;
    }
    auto [first, last] = tables().rows.equal_range(mnemonic + suffix);
    // movq $imm: the sign-extended form where it fits
    const Tables::Entry* wide = nullptr;
    for (auto it = first; it != last; ++it) {
      if (try_row(it->second, ops)) return true;
      if (info(it->second.op).form == Form::ri && it->second.op == Op::mov64ri) wide = &it->second;
    }
    if (wide && ops.size() == 2 && ops[0].kind == Parsed::Kind::imm && try_row({Op::movabs64ri, Cond::o}, ops))
      return true;
  }
  return false;
}

Result<void> Assembler::statement(std::string_view s) {
  s = trim(s);
  LODE_TRY(take_labels(s));
  if (s.empty() || (skipping() && s[0] != '.')) return {};
  size_t k = 0;
  while (k < s.size() && !space(s[k])) k++;
  std::string mnemonic(s.substr(0, k));
  for (char& c : mnemonic) c = char(std::tolower(uint8_t(c)));
  const std::string_view rest = trim(s.substr(k));
  if (mnemonic[0] == '.') {
    LODE_ASSIGN(bool taken, conditional(mnemonic, rest, s));
    if (taken || skipping()) return {};
    LODE_ASSIGN(bool data, data_.directive(mnemonic, rest, s));
    if (data) return {};
    return data_.in_text() ? directive(mnemonic, rest, s) : Result<void>(unknown(s));
  }
  if (!data_.in_text()) return unknown(s, "code in another section");
  if (mnemonic == "lock" || mnemonic == "rep" || mnemonic == "repz" || mnemonic == "repe" || mnemonic == "repne" ||
      mnemonic == "repnz") {
    prefix_ = mnemonic + " ";
    return rest.empty() ? Result<void>() : statement(rest);
  }
  mnemonic = prefix_ + mnemonic;
  prefix_.clear();
  if (special(mnemonic, rest)) return {};
  LODE_ASSIGN(std::vector<Parsed> ops, parse_operands(rest, s));
  if (ops.size() == 1 && (ops[0].kind == Parsed::Kind::name || ops[0].kind == Parsed::Kind::ref))
    return branch(mnemonic, ops[0], s);
  for (const auto& [from, to] : aliases)
    if (mnemonic == from) {
      mnemonic = to;
      break;
    }
  // Rows whose operands are part of the name: "fnstsw %ax".
  if (auto it = tables().rows.find(std::string(s));
      it != tables().rows.end() && info(it->second.op).form == Form::none && !ops.empty()) {
    w_.op(it->second.op);
    return {};
  }
  return match_row(mnemonic, ops) ? Result<void>() : Result<void>(unknown(s));
}

Result<void> Assembler::run(std::string_view text) {
  LODE_ASSIGN(std::string full, substitute(text));
  // Comments: /* */, and # or // to the end of the line. Statements end with a line or a semicolon. Neither counts
  // within quotes.
  std::string clean;
  bool quoted = false;
  for (size_t i = 0; i < full.size(); i++) {
    if (quoted && full[i] == '\\' && i + 1 < full.size()) {
      clean += full[i++];
    } else if (full[i] == '"' || (quoted && full[i] == '\n')) {
      quoted = full[i] == '"' && !quoted;
    } else if (!quoted && full[i] == '/' && i + 1 < full.size() && full[i + 1] == '*') {
      size_t end = full.find("*/", i + 2);
      if (end == std::string::npos) break;
      i = end + 1;
      clean += ' ';
      continue;
    } else if (!quoted && (full[i] == '#' || (full[i] == '/' && i + 1 < full.size() && full[i + 1] == '/'))) {
      while (i < full.size() && full[i] != '\n') i++;
      clean += '\n';
      continue;
    }
    clean += !quoted && full[i] == ';' ? '\n' : full[i];
  }
  for (std::string_view rest = clean; !rest.empty();) {
    size_t end = rest.find('\n');
    LODE_TRY(statement(rest.substr(0, end)));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (!prefix_.empty()) return unknown(text);
  if (!conditions_.empty()) return unknown(text, "an .if without .endif");
  return data_.finish(text);
}

}  // namespace

bool condition_by_name(std::string_view name, Cond& out) {
  auto it = tables().conditions.find(std::string(name));
  if (it == tables().conditions.end()) return false;
  out = it->second;
  return true;
}

Result<void> assemble(std::string_view text, const std::vector<AsmValue>& values, MirWriter& writer,
                      const AsmSymbols& symbols) {
  return Assembler(values, writer, symbols).run(text);
}

}  // namespace lode::x86_64
