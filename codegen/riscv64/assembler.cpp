// The template of inline asm: operands are put in, the text is split into statements, each statement finds its row.
//
// Memory operands and symbols stay symbolic until emit, so they stand in the text as marks: \x01 number \x02. A row
// matches by mnemonic; its form says what the operands are. Pseudo instructions are rewritten as text, one level deep,
// or are MIR of their own.
#include <bit>
#include <cctype>
#include <charconv>
#include <unordered_map>

#include "base/bytes.h"
#include "codegen/native/asm_data.h"
#include "codegen/native/asm_expression.h"
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/inline_asm.h"
#include "codegen/riscv64/print.h"

namespace lode::riscv64 {

using codegen::evaluate_constant;

namespace {

Error unknown(std::string_view text, const char* why = nullptr) { return codegen::unsupported_asm(text, why); }

bool digit(char c) { return std::isdigit(uint8_t(c)); }
bool space(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool name_part(char c) { return std::isalnum(uint8_t(c)) || c == '_' || c == '.' || c == '$'; }

std::string_view trim(std::string_view s) {
  while (!s.empty() && space(s.front())) s.remove_prefix(1);
  while (!s.empty() && space(s.back())) s.remove_suffix(1);
  return s;
}

// Pseudo instructions (RISC-V assembly programmer's manual, "A listing of standard RISC-V pseudoinstructions"): the
// number of operands, and the text with %1, %2 and %3 in their places.
struct Alias {
  const char* name;
  unsigned count;
  const char* text;
};
constexpr Alias aliases[] = {
    {"nop", 0, "addi zero, zero, 0"}, {"mv", 2, "addi %1, %2, 0"}, {"move", 2, "addi %1, %2, 0"},
    {"not", 2, "xori %1, %2, -1"}, {"neg", 2, "sub %1, zero, %2"}, {"negw", 2, "subw %1, zero, %2"},
    {"sext.w", 2, "addiw %1, %2, 0"}, {"seqz", 2, "sltiu %1, %2, 1"}, {"snez", 2, "sltu %1, zero, %2"},
    {"sltz", 2, "slt %1, %2, zero"}, {"sgtz", 2, "slt %1, zero, %2"}, {"sgt", 3, "slt %1, %3, %2"},
    {"sgtu", 3, "sltu %1, %3, %2"}, {"zext.b", 2, "andi %1, %2, 255"},
    {"fmv.s", 2, "fsgnj.s %1, %2, %2"}, {"fabs.s", 2, "fsgnjx.s %1, %2, %2"}, {"fneg.s", 2, "fsgnjn.s %1, %2, %2"},
    {"fmv.d", 2, "fsgnj.d %1, %2, %2"}, {"fabs.d", 2, "fsgnjx.d %1, %2, %2"}, {"fneg.d", 2, "fsgnjn.d %1, %2, %2"},
    {"fgt.s", 3, "flt.s %1, %3, %2"}, {"fge.s", 3, "fle.s %1, %3, %2"}, {"fgt.d", 3, "flt.d %1, %3, %2"},
    {"fge.d", 3, "fle.d %1, %3, %2"},
    {"beqz", 2, "beq %1, zero, %2"}, {"bnez", 2, "bne %1, zero, %2"}, {"blez", 2, "bge zero, %1, %2"},
    {"bgez", 2, "bge %1, zero, %2"}, {"bltz", 2, "blt %1, zero, %2"}, {"bgtz", 2, "blt zero, %1, %2"},
    {"bgt", 3, "blt %2, %1, %3"}, {"ble", 3, "bge %2, %1, %3"}, {"bgtu", 3, "bltu %2, %1, %3"},
    {"bleu", 3, "bgeu %2, %1, %3"}, {"jr", 1, "jalr zero, 0(%1)"}, {"jalr", 1, "jalr ra, 0(%1)"},
    {"jalr", 3, "jalr %1, %3(%2)"}, {"ret", 0, "jalr zero, 0(ra)"}, {"fence", 0, "fence iorw, iorw"},
    {"rdcycle", 1, "csrrs %1, cycle, zero"}, {"rdtime", 1, "csrrs %1, time, zero"},
    {"rdinstret", 1, "csrrs %1, instret, zero"}, {"csrr", 2, "csrrs %1, %2, zero"}, {"csrw", 2, "csrrw zero, %1, %2"},
    {"csrs", 2, "csrrs zero, %1, %2"}, {"csrc", 2, "csrrc zero, %1, %2"}, {"csrwi", 2, "csrrwi zero, %1, %2"},
    {"csrsi", 2, "csrrsi zero, %1, %2"}, {"csrci", 2, "csrrci zero, %1, %2"}, {"frcsr", 1, "csrrs %1, fcsr, zero"},
    {"fscsr", 1, "csrrw zero, fcsr, %1"}, {"fscsr", 2, "csrrw %1, fcsr, %2"}, {"frrm", 1, "csrrs %1, frm, zero"},
    {"fsrm", 1, "csrrw zero, frm, %1"}, {"fsrm", 2, "csrrw %1, frm, %2"}, {"frflags", 1, "csrrs %1, fflags, zero"},
    {"fsflags", 1, "csrrw zero, fflags, %1"}, {"fsflags", 2, "csrrw %1, fflags, %2"},
    {"fsflagsi", 1, "csrrwi zero, fflags, %1"}, {"sbreak", 0, "ebreak"}, {"scall", 0, "ecall"},
    {"c.nop", 0, "addi zero, zero, 0"}, {"c.ebreak", 0, "ebreak"}, {"c.mv", 2, "add %1, zero, %2"},
    {"c.li", 2, "addi %1, zero, %2"}, {"c.addi", 2, "addi %1, %1, %2"}, {"c.unimp", 0, "unimp"},
};

const std::unordered_multimap<std::string, Op>& rows() {
  static const auto table = [] {
    std::unordered_multimap<std::string, Op> t;
    for (unsigned op = 0; op < op_count; op++)
      if (inst_table[op].form < Form::pseudo_none) t.insert({inst_table[op].mnemonic, Op(op)});
    return t;
  }();
  return table;
}

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
  using Operands = std::vector<std::string_view>;

  Result<std::string> substitute(std::string_view text);
  Result<std::string> print_operand(size_t n, char modifier, std::string_view text);
  Result<void> statement(std::string_view s, unsigned depth = 0);
  Result<bool> special(std::string_view mnemonic, const Operands& o, std::string_view s);
  Result<void> instruction(std::string_view mnemonic, const Operands& o, std::string_view s);
  Result<void> directive(std::string_view name, std::string_view rest, std::string_view s);
  bool memory(std::string_view s, Mem& m);
  bool mark(std::string_view s, const AsmValue*& value, int64_t& disp) const;
  bool label(std::string_view s, Label& out);

  const std::vector<AsmValue>& values_;
  MirWriter& w_;
  const AsmSymbols& symbols_;
  codegen::AsmData data_;  // labels, and what goes into other sections
};

Result<std::string> Assembler::print_operand(size_t n, char modifier, std::string_view t) {
  if (n >= values_.size()) return unknown(t);
  const AsmValue& v = values_[n];
  if (modifier == 'i') return std::string(v.kind == AsmValue::Kind::immediate ? "i" : "");
  if (modifier == 'z' && v.kind == AsmValue::Kind::immediate && v.imm == 0) return std::string("zero");
  switch (v.kind) {
    case AsmValue::Kind::gp: return print_register('x', v.reg);
    case AsmValue::Kind::fp: return print_register('f', v.reg);
    case AsmValue::Kind::immediate: return std::to_string(v.imm);
    case AsmValue::Kind::label: return ".Lgoto" + std::to_string(n);
    case AsmValue::Kind::memory:
      if (v.mem.kind == Mem::Kind::base) return print_memory(v.mem);
      [[fallthrough]];
    case AsmValue::Kind::reference: return '\x01' + std::to_string(n) + '\x02';
    case AsmValue::Kind::none: break;
  }
  return unknown(t);
}

Result<std::string> Assembler::substitute(std::string_view t) {
  std::string out;
  for (size_t i = 0; i < t.size(); i++) {
    if (t[i] != '$') {
      out += t[i];
      continue;
    }
    if (++i == t.size()) return unknown(t);
    if (t[i] == '$') {
      out += '$';
    } else if (digit(t[i])) {
      size_t n = 0;
      for (; i < t.size() && digit(t[i]) && n < 1000; i++) n = n * 10 + size_t(t[i] - '0');
      i--;
      LODE_ASSIGN(std::string s, print_operand(n, 0, t));
      out += s;
    } else if (t[i] == '{') {
      const size_t end = t.find('}', i);
      if (end == std::string_view::npos) return unknown(t);
      const std::string_view inside = t.substr(i + 1, end - i - 1);
      i = end;
      if (inside == ":uid") {
        out += std::to_string(w_.size());
        continue;
      }
      if (inside == ":comment" || inside == ":private") continue;
      size_t n = 0, k = 0;
      while (k < inside.size() && digit(inside[k]) && n < 1000) n = n * 10 + size_t(inside[k++] - '0');
      const bool modified = k + 2 == inside.size() && inside[k] == ':';
      if (k == 0 || (k != inside.size() && !modified)) return unknown(t);
      LODE_ASSIGN(std::string s, print_operand(n, modified ? inside[k + 1] : char(0), t));
      out += s;
    } else {
      return unknown(t);
    }
  }
  return out;
}

// "8+mark" or "mark".
bool Assembler::mark(std::string_view s, const AsmValue*& value, int64_t& disp) const {
  const size_t at = s.find('\x01'), end = s.find('\x02');
  if (at == std::string_view::npos || end != s.size() - 1) return false;
  std::string_view before = trim(s.substr(0, at));
  if (!before.empty() && before.back() == '+') before.remove_suffix(1);
  disp = 0;
  if (!before.empty() && !evaluate_constant(before, disp)) return false;
  size_t n = 0;
  for (char c : s.substr(at + 1, end - at - 1)) n = n * 10 + size_t(c - '0');
  value = n < values_.size() ? &values_[n] : nullptr;
  return value != nullptr;
}

// offset(register), (register), a mark.
bool Assembler::memory(std::string_view s, Mem& m) {
  const AsmValue* v;
  int64_t disp = 0;
  if (mark(s, v, disp)) {
    if (v->kind == AsmValue::Kind::reference) m = Mem::symbol(v->reference);
    else if (v->kind == AsmValue::Kind::memory) m = v->mem;
    else return false;
    if (v->kind == AsmValue::Kind::reference && disp) return false;
    m.disp += int32_t(disp);
    return true;
  }
  const size_t open = s.rfind('(');
  if (open == std::string_view::npos || s.back() != ')') return false;
  std::string_view before = trim(s.substr(0, open)), name = trim(s.substr(open + 1, s.size() - open - 2));
  // "8(0(a1))": an offset in front of an operand that has one.
  if (!before.empty() && before.back() == ')') return false;
  if (!before.empty() && !evaluate_constant(before, disp)) return false;
  if (!fits12(disp)) return false;
  m = Mem::at(0, int32_t(disp));
  return parse_register(name, 'x', m.base);
}

bool Assembler::label(std::string_view s, Label& out) {
  if (s.empty() || s.find('\x01') != std::string_view::npos) return false;
  const bool numeric = digit(s[0]) && (s.back() == 'b' || s.back() == 'f') && s.substr(0, 2) != "0x";
  if (!numeric && !(std::isalpha(uint8_t(s[0])) || s[0] == '_' || s[0] == '.')) return false;
  out = data_.text_label(s);
  return true;
}

Result<void> Assembler::directive(std::string_view name, std::string_view rest, std::string_view s) {
  if (name == ".option" || name == ".cfi_startproc") return {};
  if (name == ".p2align" || name == ".align" || name == ".balign") {
    int64_t v;
    if (!evaluate_constant(rest.substr(0, rest.find(',')), v) || v < 0) return unknown(s);
    const uint64_t bytes = name == ".balign" ? uint64_t(v) : v <= 12 ? uint64_t{1} << v : 0;
    if (bytes > 4096 || !is_power_of_two(bytes)) return unknown(s);
    if (bytes > 1) w_.align(unsigned(std::countr_zero(bytes)), 4096);
    return {};
  }
  const unsigned width = name == ".byte"                                          ? 1
                         : name == ".half" || name == ".short" || name == ".2byte" ? 2
                         : name == ".word" || name == ".long" || name == ".4byte"  ? 4
                         : name == ".quad" || name == ".dword" || name == ".8byte" ? 8
                                                                                   : 0;
  if (!width) return unknown(s);
  std::vector<uint8_t> bytes;
  for (;;) {
    const size_t comma = rest.find(',');
    int64_t v;
    if (!evaluate_constant(rest.substr(0, comma), v)) return unknown(s);
    for (unsigned k = 0; k < width; k++) bytes.push_back(uint8_t(uint64_t(v) >> (8 * k)));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  w_.bytes(bytes);
  return {};
}

// What is MIR of its own: constants, addresses, calls, jumps and branches to labels.
Result<bool> Assembler::special(std::string_view m, const Operands& o, std::string_view s) {
  uint8_t r;
  int64_t number;
  Label to;
  if (m == "li" && o.size() == 2 && parse_register(o[0], 'x', r) && evaluate_constant(o[1], number)) {
    w_.load_immediate(r, number);
    return true;
  }
  if ((m == "la" || m == "lla") && o.size() == 2 && parse_register(o[0], 'x', r)) {
    const AsmValue* v;
    if (mark(o[1], v, number) && v->kind == AsmValue::Kind::reference && number == 0) {
      w_.lea_ref(r, v->reference);
      return true;
    }
    if (data_.knows(o[1]) || digit(o[1][0])) {
      if (!label(o[1], to)) return unknown(s);
      w_.lea_label(r, to);
      return true;
    }
    const uint32_t reference = symbols_ ? symbols_(o[1], mir::ReferenceKind::direct, 0) : no_symbol;
    if (reference == no_symbol) return unknown(s, "its module does not know the symbol, or it is not near");
    w_.lea_ref(r, reference);
    return true;
  }
  if ((m == "call" || m == "tail") && o.size() == 1) {
    const AsmValue* v;
    uint32_t reference = no_symbol;
    if (mark(o[0], v, number)) reference = v->kind == AsmValue::Kind::reference ? v->reference : no_symbol;
    else if (symbols_) reference = symbols_(o[0].substr(0, o[0].find('@')), mir::ReferenceKind::call, 0);
    if (reference == no_symbol) return unknown(s, "its module does not know the symbol");
    if (m == "call") {
      w_.call_ref(reference);
    } else {
      w_.lea_ref(reg::tail_target, reference);
      w_.jump_r(reg::tail_target);
    }
    return true;
  }
  if (m == "j" && o.size() == 1 && label(o[0], to)) {
    w_.jump(to);
    return true;
  }
  auto row = rows().find(std::string(m));
  if (row != rows().end() && info(row->second).form == Form::b && o.size() == 3) {
    uint8_t x, y;
    if (!parse_register(o[0], 'x', x) || !parse_register(o[1], 'x', y) || !label(o[2], to)) return false;
    w_.branch(Cond(info(row->second).match >> 12 & 7), x, y, to);
    return true;
  }
  return false;
}

bool fence_bits(std::string_view s, int64_t& out) {
  out = 0;
  if (s == "0") return true;
  for (char c : s) {
    const size_t k = std::string_view("wroi").find(c);
    if (k == std::string_view::npos) return false;
    out |= int64_t{1} << k;
  }
  return !s.empty();
}

Result<void> Assembler::instruction(std::string_view mnemonic, const Operands& o, std::string_view s) {
  std::string name(mnemonic);
  Fields f;
  auto found = rows().find(name);
  if (found == rows().end()) {
    for (uint8_t mode : {3, 2, 1}) {
      const std::string_view suffix = mode == 3 ? ".aqrl" : mode == 2 ? ".rl" : ".aq";
      if (!name.ends_with(suffix)) continue;
      name.resize(name.size() - suffix.size());
      f.mode = mode;
      found = rows().find(name);
      break;
    }
    if (found == rows().end()) return unknown(s);
  }
  const Op op = found->second;
  const InstInfo& row = info(op);
  if (f.mode && row.form != Form::amo && row.form != Form::lr) return unknown(s);
  uint8_t* fields[] = {&f.a, &f.b, &f.c, &f.d};
  size_t at = 0;
  auto next = [&](std::string_view& out) {
    if (at >= o.size()) return false;
    out = o[at++];
    return true;
  };
  std::string_view field;
  const bool in_memory = row.form == Form::load || row.form == Form::store;
  const size_t registers = in_memory ? 1 : std::string_view(row.registers).size();
  const bool atomic = row.form == Form::amo || row.form == Form::lr;
  for (size_t k = 0; k < registers; k++) {
    if (!next(field)) return unknown(s);
    if (atomic && k + 1 == registers) {
      // An address without an offset.
      Mem m;
      if (!memory(field, m) || m.kind != Mem::Kind::base || m.disp != 0) return unknown(s);
      *fields[k] = m.base;
    } else if (!parse_register(field, row.registers[k], *fields[k])) {
      // GNU as takes an immediate in the place of a last register.
      int64_t v;
      static constexpr std::pair<Op, Op> immediates[] = {
          {Op::add, Op::addi}, {Op::addw, Op::addiw}, {Op::and_, Op::andi}, {Op::or_, Op::ori}, {Op::xor_, Op::xori},
          {Op::sll, Op::slli}, {Op::srl, Op::srli}, {Op::sra, Op::srai}, {Op::sllw, Op::slliw}, {Op::srlw, Op::srliw},
          {Op::sraw, Op::sraiw}, {Op::slt, Op::slti}, {Op::sltu, Op::sltiu}};
      if (k != 2 || !evaluate_constant(field, v)) return unknown(s);
      for (auto [plain, immediate] : immediates) {
        if (plain != op) continue;
        f.imm = v;
        if (at != o.size() || !valid(info(immediate), f)) return unknown(s);
        w_.instruction(immediate, f);
        return {};
      }
      return unknown(s);
    }
  }
  switch (row.form) {
    case Form::load: case Form::store: {
      Mem m;
      if (!next(field) || !memory(field, m) || at != o.size()) return unknown(s);
      w_.memory(op, f.a, m);
      return {};
    }
    case Form::i: case Form::shift: case Form::shiftw: case Form::u: case Form::j: case Form::b:
      if (!next(field) || !evaluate_constant(field, f.imm)) return unknown(s);
      break;
    case Form::fence: {
      int64_t before, after;
      if (o.size() != 2 || !fence_bits(o[0], before) || !fence_bits(o[1], after)) return unknown(s);
      f.imm = before << 4 | after;
      at = 2;
      break;
    }
    case Form::csr: case Form::csri: {
      if (!next(field) || (!parse_csr(field, f.imm) && !evaluate_constant(field, f.imm))) return unknown(s);
      int64_t v;
      if (!next(field)) return unknown(s);
      if (row.form == Form::csr ? !parse_register(field, 'x', f.b) : !(evaluate_constant(field, v) && v >= 0 && v < 32))
        return unknown(s);
      if (row.form == Form::csri) f.b = uint8_t(v);
      break;
    }
    default: break;
  }
  if (row.traits & T_rm) {
    f.mode = uint8_t(Rounding::dyn);
    if (next(field)) {
      static constexpr std::pair<std::string_view, Rounding> modes[] = {
          {"rne", Rounding::rne}, {"rtz", Rounding::rtz}, {"rdn", Rounding::rdn}, {"rup", Rounding::rup},
          {"rmm", Rounding::rmm}, {"dyn", Rounding::dyn}};
      bool known = false;
      for (auto [text, mode] : modes)
        if (field == text) f.mode = uint8_t(mode), known = true;
      if (!known) return unknown(s);
    }
  }
  if (at != o.size() || !valid(row, f)) return unknown(s);
  w_.instruction(op, f);
  return {};
}

Result<void> Assembler::statement(std::string_view s, unsigned depth) {
  s = trim(s);
  // Labels.
  for (;;) {
    size_t end = 0;
    while (end < s.size() && name_part(s[end])) end++;
    if (end == 0 || end >= s.size() || s[end] != ':') break;
    LODE_TRY(data_.define(s.substr(0, end)));
    s = trim(s.substr(end + 1));
  }
  if (s.empty()) return {};
  size_t end = 0;
  while (end < s.size() && !space(s[end])) end++;
  const std::string_view name = s.substr(0, end);
  std::string_view rest = trim(s.substr(end));
  if (name[0] == '.') {
    LODE_ASSIGN(const bool taken, data_.directive(name, rest, s));
    return taken ? Result<void>() : directive(name, rest, s);
  }
  if (!data_.in_text()) return unknown(s, "an instruction in another section");
  Operands o;
  while (!rest.empty()) {
    size_t comma = 0;
    for (int parentheses = 0; comma < rest.size() && (parentheses || rest[comma] != ','); comma++)
      parentheses += rest[comma] == '(' ? 1 : rest[comma] == ')' ? -1 : 0;
    o.push_back(trim(rest.substr(0, comma)));
    if (o.back().empty()) return unknown(s);
    rest = comma < rest.size() ? rest.substr(comma + 1) : std::string_view();
  }
  LODE_ASSIGN(const bool done, special(name, o, s));
  if (done) return {};
  for (const Alias& a : aliases) {
    if (depth || name != a.name || o.size() != a.count) continue;
    // jalr with a memory operand is the instruction itself.
    if (name == "jalr" && o.size() == 1 && o[0].find('(') != std::string_view::npos) continue;
    std::string text;
    for (const char* c = a.text; *c; c++) {
      if (*c == '%') text += o[size_t(*++c - '1')];
      else text += *c;
    }
    return statement(text, 1);
  }
  return instruction(name, o, s);
}

Result<void> Assembler::run(std::string_view template_text) {
  LODE_ASSIGN(const std::string text, substitute(template_text));
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t end = 0;
    for (bool quoted = false; end < rest.size(); end++) {
      if (rest[end] == '"') quoted = !quoted;
      if (!quoted && (rest[end] == '\n' || rest[end] == ';')) break;
    }
    std::string_view s = rest.substr(0, end);
    rest = end < rest.size() ? rest.substr(end + 1) : std::string_view();
    if (const size_t comment = std::min(s.find('#'), s.find("//")); comment != std::string_view::npos)
      s = s.substr(0, comment);
    LODE_TRY(statement(s));
  }
  return data_.finish(template_text);
}

}  // namespace

Result<void> assemble(std::string_view text, const std::vector<AsmValue>& values, MirWriter& writer,
                      const AsmSymbols& symbols) {
  return Assembler(values, writer, symbols).run(text);
}

}  // namespace lode::riscv64
