// Mnemonics and the rows that they mean.
//
// The table has AT&T's names. Intel's follow from them: without the letter of the width, which the operands say, but
// for those that the two call differently.
#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "codegen/native/asm_text.h"
#include "codegen/x86_64/asm_operands.h"
#include "codegen/x86_64/print.h"

namespace lode::x86_64 {

using codegen::AsmExpressions;
using codegen::no_expression;

namespace {

struct Entry {
  Op op;
  Cond cc;
};
using Rows = std::unordered_map<std::string, std::vector<Entry>>;

// AT&T's name, Intel's; the second is found by rows of the first alone.
constexpr std::pair<std::string_view, std::string_view> intel_names[] = {
    {"cltd", "cdq"},     {"cqto", "cqo"},     {"cwtl", "cwde"},    {"cltq", "cdqe"},   {"cwtd", "cwd"},
    {"cbtw", "cbw"},     {"movabsq", "movabs"}, {"movslq", "movsxd"}, {"movsl", "movsd"}, {"stosl", "stosd"},
    {"lodsl", "lodsd"},  {"scasl", "scasd"},  {"cmpsl", "cmpsd"},  {"fcompi", "fcomip"}, {"fucompi", "fucomip"},
    {"jmpq *", "jmp"},   {"callq *", "call"}, {"insl", "insd"},    {"outsl", "outsd"},   {"ljmpl *", "ljmp"},
    {"lcalll *", "lcall"}, {"ljmpq *", "ljmp"}, {"lcallq *", "lcall"}, {"lretl", "retf"}, {"lretq", "retfq"},
    {"iretl", "iretd"}, {"iretq", "iretq"}, {"iretw", "iretw"}, {"pushfq", "pushfq"}, {"popfq", "popfq"},
    {"pushfw", "pushfw"}, {"popfw", "popfw"}, {"smsw", "smsw"}, {"lmsw", "lmsw"}, {"verw", "verw"},
    {"vcvtpd2psx", "vcvtpd2ps"}, {"vcvtpd2psy", "vcvtpd2ps"}, {"vcvtpd2dqx", "vcvtpd2dq"}, {"vcvtpd2dqy", "vcvtpd2dq"},
    {"vcvttpd2dqx", "vcvttpd2dq"}, {"vcvttpd2dqy", "vcvttpd2dq"},
};

// What other assemblers take as well.
struct Alias {
  std::string_view name, meant;
};
constexpr Alias aliases[] = {
    {"cdq", "cltd"}, {"cqo", "cqto"}, {"cwde", "cwtl"}, {"cdqe", "cltq"}, {"cwd", "cwtd"}, {"cbw", "cbtw"},
    {"pushf", "pushfq"}, {"popf", "popfq"}, {"sal", "shl"}, {"sall", "shll"}, {"salq", "shlq"}, {"salw", "shlw"},
    {"salb", "shlb"}, {"movabs", "movabsq"}, {"rep nop", "pause"}, {"fucomip", "fucompi"}, {"fcomip", "fcompi"},
    {"fildq", "fildll"}, {"fistpq", "fistpll"}, {"fisttpq", "fisttpll"}, {"fwait", "wait"}, {"ret", "retq"},
    {"retn", "retq"}, {"iret", "iretl"}, {"lret", "lretl"}, {"sysret", "sysretl"}, {"sysexit", "sysexitl"},
    {"leaveq", "leave"}, {"smovb", "movsb"}, {"smovl", "movsl"}, {"smovq", "movsq"},
    {"fxsaveq", "fxsave64"}, {"fxrstorq", "fxrstor64"}, {"xsaveq", "xsave64"}, {"ud2a", "ud2"}, {"ud2b", "ud1l"},
    {"sysretd", "sysretl"}, {"insd", "insl"}, {"outsd", "outsl"}, {"repz", "rep"}, {"fstsww", "fnstsw"},
    {"lgdtq", "lgdt"}, {"lidtq", "lidt"}, {"sgdtq", "sgdt"}, {"sidtq", "sidt"}, {"ljmp", "ljmpl"}, {"lcall", "lcalll"},
    {"ltrw", "ltr"}, {"lldtw", "lldt"}, {"lmsww", "lmsw"}, {"sldtw", "sldt"}, {"strw", "str"}, {"smsww", "smsw"},
};

constexpr std::string_view predicates[] = {"eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord",
                                           "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt", "true",
                                           "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq", "ord_s",
                                           "eq_us", "nge_uq", "ngt_uq", "false_os", "neq_os", "ge_oq", "gt_oq",
                                           "true_us"};

// Whether the last letter of the mnemonic is the width that the row's name has behind what the two have in common.
bool has_width(std::string_view name, std::string_view mnemonic) {
  const char suffix = mnemonic.back();
  const std::string_view digits = suffix == 'b'   ? "8"
                                  : suffix == 'w' ? "16"
                                  : suffix == 'l' ? "32"
                                  : suffix == 'q' ? "64"
                                                  : "none";
  size_t same = 0;
  while (same < name.size() && same < mnemonic.size() && name[same] == mnemonic[same]) same++;
  return name.find(digits, same) != std::string_view::npos;
}

bool is_x87_memory(const InstInfo& row) {
  const std::string_view name = row.name();
  return row.form == Form::m && name[0] == 'f' && name.back() == 'm' && name.size() > 3 &&
         codegen::asm_digit(name[name.size() - 2]);
}

bool widens(std::string_view mnemonic) {  // movzbl, movswq ...
  return mnemonic.size() == 6 && (mnemonic.starts_with("movz") || mnemonic.starts_with("movs")) &&
         std::strchr("bwl", mnemonic[4]) && std::strchr("wlq", mnemonic[5]);
}

std::string intel_name(const InstInfo& row, std::string mnemonic) {
  for (auto [att, intel] : intel_names)
    if (mnemonic == att) return std::string(intel);
  if (widens(mnemonic)) return mnemonic.substr(0, 4) + "x";
  if (is_x87_memory(row)) {
    if (mnemonic.starts_with("fi") && mnemonic.ends_with("ll")) return mnemonic.substr(0, mnemonic.size() - 2);
    mnemonic.pop_back();
    return mnemonic;
  }
  // In these AT&T exchanges what is subtracted from what.
  if (row.traits & T_st0_first)
    for (auto [one, other] : {std::pair{"fsub", "fsubr"}, {"fdiv", "fdivr"}}) {
      const std::string a = one, b = other;
      if (mnemonic == a) return b;
      if (mnemonic == b) return a;
      if (mnemonic == a + "p") return b + "p";
      if (mnemonic == b + "p") return a + "p";
    }
  if (has_width(row.name(), mnemonic)) mnemonic.pop_back();
  return mnemonic;
}

struct Tables {
  Rows att, intel;
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
      const std::string name = row.mnemonic();
      if (name.find(" %") != std::string::npos) continue;  // operands in the name: other rows have them too
      if (size_t at = name.find('#'); at != std::string::npos) {
        for (auto& [cond, cc] : conditions) add(row, name.substr(0, at) + cond + name.substr(at + 1), {Op(i), cc});
      } else {
        add(row, name, {Op(i), Cond::o});
      }
    }
  }
  void add(const InstInfo& row, const std::string& name, Entry e) {
    att[row.traits & T_star ? name.substr(0, name.size() - 2) : name].push_back(e);
    const std::string other = intel_name(row, name);
    intel[other].push_back(e);
  }
};
const Tables& tables() {
  static const Tables t;
  return t;
}

// The operands of a form in Intel's order: registers a, b and c, memory m, immediate i.
std::string_view shape_of(const InstInfo& row) {
  switch (row.form) {
    case Form::r: return "a";
    case Form::rr: return "ab";
    case Form::ri: return "ai";
    case Form::rri: return "abi";
    case Form::rm: return "am";
    case Form::mr: return "ma";
    case Form::m: return "m";
    case Form::mi: return "mi";
    case Form::rmi: return "ami";
    case Form::i: return "i";
    case Form::mri: return "mai";
    case Form::rrr: return "abc";
    case Form::rrri: return "abci";
    case Form::rrm: return "abm";
    case Form::rrmi: return "abmi";
    case Form::rmr: return "amb";
    case Form::mrr: return "mba";
    default: return "";
  }
}

// Whether an immediate fits the row: as a number of the operand's width, signed or not.
bool imm_fits(const InstInfo& row, int64_t v) {
  switch (row.imm) {
    case Imm::none: return true;
    case Imm::ib:
    case Imm::r4:
    case Imm::sh: return v >= -128 && v <= 255;
    case Imm::iw:
    case Imm::zw: return v >= -32768 && v <= 65535;
    case Imm::iq: return true;
    default: return v == int32_t(v) || (!row.w && v == int64_t(uint32_t(v)));
  }
}

class Matcher {
 public:
  Matcher(AsmRequest& request, AsmExpressions& e) : q_(request), e_(e) {
    for (size_t k = 0; k < q_.items.size(); k++) order_.push_back(uint8_t(k));
    if (!q_.intel) std::reverse(order_.begin(), order_.end());
  }

  const char* run(AsmMatch& out);

 private:
  using List = std::vector<uint8_t>;

  const AsmItem& item(uint8_t k) const { return q_.items[k]; }
  bool is_reg(uint8_t k, RegKind kind) const {
    return item(k).kind == AsmItem::Kind::reg && item(k).reg.kind == kind;
  }
  bool try_rows(const Rows& rows, const std::string& name, AsmMatch& out);
  bool try_row(const Entry& e, AsmMatch& out);
  bool operands(const InstInfo& row, List& list) const;
  bool fits(const InstInfo& row, std::string_view shape, const List& list, AsmMatch& out) const;
  uint8_t add_number(int64_t v) {
    AsmItem x;
    x.expression = e_.number(v);
    q_.items.push_back(x);
    return uint8_t(q_.items.size() - 1);
  }
  void drop_implicit();
  void string_operands();
  bool with_predicate(AsmMatch& out);
  bool has_register() const {
    return std::any_of(q_.items.begin(), q_.items.end(),
                       [](const AsmItem& x) { return x.kind == AsmItem::Kind::reg; });
  }

  AsmRequest& q_;
  AsmExpressions& e_;
  List order_;  // places in q_.items, in Intel's order
  bool seen_ = false;  // there is such a mnemonic
};

// Operands that the row does not have because they are always the same: cl, st(0), the one of a shift by one, the
// first operand written once for twice.
bool Matcher::operands(const InstInfo& row, List& list) const {
  const std::string_view name = row.name(), shape = shape_of(row);
  if (row.traits & T_cl) {
    if (list.empty() || !is_reg(list.back(), RegKind::g8) || item(list.back()).reg.number != reg::rcx ||
        item(list.back()).reg.high)
      return false;
    list.pop_back();
  }
  const bool stack = row.form == Form::r && row.a == RegKind::st;
  auto st0 = [&](uint8_t k) { return is_reg(k, RegKind::st) && item(k).reg.number == 0; };
  if (stack && row.traits & T_st0 && list.size() == 2) {
    if (!st0(list[0])) return false;
    list.erase(list.begin());
  } else if (stack && row.traits & T_st0_first) {
    if (list.size() == 2 && st0(list[1])) list.pop_back();
    else if (list.size() != 1 || std::string_view(row.mnemonic()).back() != 'p') return false;
  }
  const bool either = name.starts_with("xchg") || name.starts_with("test");
  if (either && row.form == Form::mr && list.size() == 2 && item(list[1]).kind == AsmItem::Kind::mem)
    std::swap(list[0], list[1]);
  if (row.form == Form::rri && list.size() == 2 && row.a == row.b && name.starts_with("imul"))
    list.insert(list.begin(), list[0]);
  return list.size() == shape.size();
}

bool Matcher::fits(const InstInfo& row, std::string_view shape, const List& list, AsmMatch& out) const {
  for (size_t k = 0; k < shape.size(); k++) {
    const uint8_t at = list[k];
    const AsmItem& x = item(at);
    if (!q_.intel && x.star != bool(row.traits & T_star)) return false;
    switch (shape[k]) {
      case 'a':
        if (!is_reg(at, row.a)) return false;
        out.a = at;
        break;
      case 'b':
        if (!is_reg(at, row.b)) return false;
        out.b = at;
        break;
      case 'c':
        if (!is_reg(at, row.c)) return false;
        out.c = at;
        break;
      case 'm': {
        if (x.kind != AsmItem::Kind::mem || x.index_kind != index_kind(row)) return false;
        const unsigned bytes = memory_bytes(row);
        if (x.bytes && bytes && x.bytes != bytes) return false;
        out.mem = at;
        break;
      }
      default: {
        if (row.imm == Imm::r4) {  // a register in the place of an immediate
          if (!is_reg(at, row.a)) return false;
          out.imm = at;
          break;
        }
        if (x.kind != AsmItem::Kind::imm) return false;
        int64_t v;
        if (q_.known(x.expression, v) && !imm_fits(row, v)) return false;
        out.imm = at;
      }
    }
  }
  return true;
}

bool Matcher::try_row(const Entry& e, AsmMatch& out) {
  const InstInfo& row = info(e.op);
  const std::string_view shape = shape_of(row);
  List list = order_;
  const size_t items = q_.items.size();
  // "fxch", "faddp": st(1).
  if (row.form == Form::r && row.a == RegKind::st && list.empty() && !(row.traits & T_st0)) {
    AsmItem st1;
    st1.kind = AsmItem::Kind::reg;
    st1.reg = {RegKind::st, 1};
    q_.items.push_back(st1);
    list.push_back(uint8_t(items));
    if (row.traits & T_st0_first) {
      st1.reg.number = 0;
      q_.items.push_back(st1);
      list.push_back(uint8_t(items + 1));
    }
  }
  if (row.imm == Imm::sh && list.size() + 1 == shape.size()) list.push_back(add_number(1));
  AsmMatch m;
  m.op = e.op;
  m.cc = e.cc;
  if (!operands(row, list) || !fits(row, shape, list, m)) {
    q_.items.resize(items);
    return false;
  }
  out = m;
  return true;
}

bool Matcher::try_rows(const Rows& rows, const std::string& name, AsmMatch& out) {
  auto it = rows.find(name);
  if (it == rows.end()) return false;
  seen_ = true;
  for (const Entry& e : it->second)
    if (try_row(e, out)) return true;
  return false;
}

// Instructions that read xmm0 whatever is written, and may be written with it.
void Matcher::drop_implicit() {
  for (std::string_view name : {"pblendvb", "blendvps", "blendvpd", "sha256rnds2"})
    if (q_.mnemonic == name && order_.size() == 3 && is_reg(order_[2], RegKind::x) && !item(order_[2]).reg.number)
      order_.pop_back();
}

// String instructions may be written with the operands that they have anyway.
void Matcher::string_operands() {
  if (order_.empty() || order_.size() > 2) return;
  std::string_view m = q_.mnemonic;
  for (std::string_view prefix : {"rep ", "repe ", "repne ", "repz ", "repnz "})
    if (m.starts_with(prefix)) m.remove_prefix(prefix.size());
  bool string = false;
  for (std::string_view stem : {"movs", "stos", "lods", "scas", "cmps", "ins", "outs"})
    string |= m.starts_with(stem) && m.size() <= stem.size() + 1;
  if (!string) return;
  char suffix = 0;
  for (uint8_t k : order_) {
    const AsmItem& x = item(k);
    if (x.kind == AsmItem::Kind::mem) {
      const bool edge = x.base == reg::rsi || x.base == reg::rdi;
      if (!edge || x.index != reg::none || x.expression != no_expression) return;
      if (x.bytes) suffix = x.bytes == 1 ? 'b' : x.bytes == 2 ? 'w' : x.bytes == 4 ? 'l' : 'q';
    } else if (x.kind == AsmItem::Kind::reg && x.reg.number <= reg::rdx) {
      if (x.reg.number == reg::rax)
        suffix = x.reg.kind == RegKind::g8    ? 'b'
                 : x.reg.kind == RegKind::g16 ? 'w'
                 : x.reg.kind == RegKind::g32 ? 'l'
                                              : 'q';
    } else {
      return;
    }
  }
  const size_t stem = m.starts_with("ins") ? 3 : 4;
  if (m.size() == stem && suffix) q_.mnemonic += q_.intel && suffix == 'l' ? 'd' : suffix;
  order_.clear();
}

// cmpltps and the like: the condition is the immediate. pclmulhqlqdq: so are the halves.
bool Matcher::with_predicate(AsmMatch& out) {
  const std::string_view m = q_.mnemonic;
  const size_t at = m.starts_with("vcmp") ? 4 : m.starts_with("cmp") ? 3 : 0;
  const Rows& rows = q_.intel ? tables().intel : tables().att;
  auto with = [&](std::string_view name, int64_t imm) {
    const uint8_t k = add_number(imm);
    order_.push_back(k);
    if (try_rows(rows, std::string(name), out)) return true;
    order_.pop_back();
    q_.items.pop_back();
    return false;
  };
  if (at && m.size() > at + 2) {
    const std::string_view type = m.substr(m.size() - 2), predicate = m.substr(at, m.size() - at - 2);
    if (type == "ps" || type == "pd" || type == "ss" || type == "sd")
      for (size_t k = 0; k < (at == 4 ? 32 : 8); k++)
        if (predicate == predicates[k]) return with(std::string(m.substr(0, at)) + std::string(type), int64_t(k));
  }
  for (std::string_view stem : {"pclmul", "vpclmul"}) {
    if (!m.starts_with(stem) || m.size() != stem.size() + 6) continue;
    const std::string_view halves = m.substr(stem.size());
    if (halves[1] != 'q' || halves.substr(3) != "qdq") continue;
    const int64_t imm = (halves[0] == 'h' ? 1 : 0) | (halves[2] == 'h' ? 16 : 0);
    return with(std::string(stem) + "qdq", imm);
  }
  return false;
}

const char* Matcher::run(AsmMatch& out) {
  string_operands();
  for (const Alias& a : aliases)
    if (q_.mnemonic == a.name && (!q_.intel || tables().intel.find(q_.mnemonic) == tables().intel.end()))
      q_.mnemonic = a.meant;
  drop_implicit();
  const std::string& m = q_.mnemonic;
  if (q_.intel) {
    const bool wide = m == "mov" && order_.size() == 2 && is_reg(order_[0], RegKind::g64);
    if (try_rows(tables().intel, m, out)) {
      const InstInfo& row = info(out.op);
      // Nothing says how wide the operand in memory is.
      const bool control = m == "push" || m == "pop" || m == "call" || m == "jmp";
      const bool other = row.form == Form::m || row.form == Form::mi || widens(row.mnemonic());
      if (out.mem == AsmMatch::none || item(out.mem).bytes || control || !other || !memory_bytes(row)) return nullptr;
      const std::string stem = intel_name(row, row.mnemonic());
      const auto& all = tables().intel.find(stem)->second;
      const bool choice = std::any_of(all.begin(), all.end(), [&](const Entry& e) {
        AsmMatch unused;
        const size_t items = q_.items.size();
        const bool yes = memory_bytes(info(e.op)) != memory_bytes(row) && try_row(e, unused);
        q_.items.resize(std::max(items, q_.items.size()));
        return yes;
      });
      return choice ? "the operand's size is not said (byte ptr, dword ptr ...)" : nullptr;
    }
    if (wide && try_row({Op::movabs64ri, Cond::o}, out)) return nullptr;
    // AT&T's names of instructions without operands in memory are taken as well.
    if (!seen_ && try_rows(tables().att, m, out)) return nullptr;
  } else {
    const bool control = m == "push" || m == "pop" || m == "call" || m == "jmp";
    if (try_rows(tables().att, m, out)) return nullptr;
    if ((m == "movq" || m == "mov") && order_.size() == 2 && is_reg(order_[0], RegKind::g64) &&
        (try_row({Op::mov64ri, Cond::o}, out) || try_row({Op::movabs64ri, Cond::o}, out)))
      return nullptr;
    if (has_register() || control)
      for (const char* suffix : {"q", "l", "w", "b"})
        if (try_rows(tables().att, m + suffix, out)) return nullptr;
    // Intel's names, where the operands say all.
    if (has_register() && try_rows(tables().intel, m, out)) return nullptr;
  }
  if (with_predicate(out)) return nullptr;
  if (!seen_ && !q_.intel)
    for (const char* suffix : {"q", "l", "w", "b"}) seen_ |= tables().att.count(m + suffix) != 0;
  return seen_ ? "the instruction does not take these operands" : "unknown instruction";
}

}  // namespace

unsigned memory_bytes(const InstInfo& row) {
  const std::string_view m = row.mnemonic(), name = row.name();
  if (is_x87_memory(row)) {
    const std::string_view digits = name.substr(name.find_first_of("0123456789"));
    return unsigned(std::atoi(std::string(digits).c_str()) / 8);
  }
  if (widens(m)) return m[4] == 'b' ? 1 : m[4] == 'w' ? 2 : 4;
  if (m == "movslq") return 4;
  if (m.starts_with("vcvt") && m.find("pd2") != std::string_view::npos)
    return m.back() == 'x' ? 16 : m.back() == 'y' ? 32 : 0;
  if (m.starts_with("lock cmpxchg") || m.starts_with("cmpxchg8b") || m.starts_with("cmpxchg16b")) {
    if (m.ends_with("16b")) return 16;
    if (m.ends_with("8b")) return 8;
  }
  if (row.traits & T_star) return m.starts_with("l") ? 0 : 8;
  if (m.starts_with("set") && row.traits & T_cc) return 1;
  const char last = m.back();
  if (!has_width(name, m)) return 0;
  return last == 'b' ? 1 : last == 'w' ? 2 : last == 'l' ? 4 : 8;
}

const char* match_instruction(AsmRequest& request, AsmExpressions& e, AsmMatch& out) {
  return Matcher(request, e).run(out);
}

bool condition_by_name(std::string_view name, Cond& out) {
  auto it = tables().conditions.find(std::string(name));
  if (it == tables().conditions.end()) return false;
  out = it->second;
  return true;
}

uint8_t prefix_by_name(std::string_view name) {
  static constexpr std::pair<std::string_view, uint8_t> prefixes[] = {
      {"lock", 0xf0},  {"rep", 0xf3},    {"repe", 0xf3},  {"repz", 0xf3},    {"repne", 0xf2}, {"repnz", 0xf2},
      {"data16", 0x66}, {"addr32", 0x67}, {"rex64", 0x48}, {"rex.w", 0x48},   {"cs", 0x2e},    {"ss", 0x36},
      {"ds", 0x3e},    {"es", 0x26},     {"fs", 0x64},    {"gs", 0x65},      {"notrack", 0x3e}, {"bnd", 0xf2},
      {"xacquire", 0xf2}, {"xrelease", 0xf3}, {"rex", 0x40}, {"data32", 0x66},
  };
  for (auto [known, byte] : prefixes)
    if (name == known) return byte;
  return 0;
}

bool branch_by_name(std::string_view m, AsmBranch& out) {
  out = AsmBranch{};
  if (m == "jmp" || m == "jmpq") out.jump = true;
  else if (m == "call" || m == "callq") out.call = true;
  else if (m == "jrcxz") out.short_opcode = 0xe3;
  else if (m == "jecxz") out.short_opcode = 0xe3, out.prefix = 0x67;
  else if (m == "loop") out.short_opcode = 0xe2;
  else if (m == "loope" || m == "loopz") out.short_opcode = 0xe1;
  else if (m == "loopne" || m == "loopnz") out.short_opcode = 0xe0;
  else if (m.size() > 1 && m[0] == 'j' && condition_by_name(m.substr(1), out.cc)) out.conditional = true;
  return out.jump || out.call || out.conditional || out.short_opcode;
}

}  // namespace lode::x86_64
