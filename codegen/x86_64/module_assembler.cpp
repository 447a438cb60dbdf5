// Instructions of module-level assembly: operands and rows (asm_operands.h) to bytes and fields.
#include "codegen/x86_64/module_assembler.h"

#include <cstring>

#include "codegen/native/asm_module.h"
#include "codegen/x86_64/asm_operands.h"
#include "codegen/x86_64/encode.h"
#include "codegen/x86_64/lower_frame.h"
#include "formats/elf/elf.h"

namespace lode::x86_64 {

using namespace formats::elf;
using codegen::AsmFieldKind;
using codegen::AsmModule;
using codegen::AsmVariant;
using codegen::no_expression;

namespace {

constexpr uint32_t no_type = ~0u;

// System V psABI 4.4.1.
uint32_t relocation(AsmFieldKind kind, AsmVariant variant, unsigned bytes, bool pc_relative) {
  const bool wide = bytes == 8, four = bytes == 4;
  switch (variant) {
    case AsmVariant::none:
      if (kind == AsmFieldKind::branch && four) return R_X86_64_PLT32;
      if (kind == AsmFieldKind::sign_extended && four && !pc_relative) return R_X86_64_32S;
      if (pc_relative) return wide ? R_X86_64_PC64 : four ? R_X86_64_PC32 : bytes == 2 ? R_X86_64_PC16 : R_X86_64_PC8;
      return wide ? R_X86_64_64 : four ? R_X86_64_32 : bytes == 2 ? R_X86_64_16 : R_X86_64_8;
    case AsmVariant::plt: return four ? R_X86_64_PLT32 : no_type;
    case AsmVariant::gotpcrel:
      if (kind == AsmFieldKind::relaxable) return R_X86_64_GOTPCRELX;
      if (kind == AsmFieldKind::relaxable_rex) return R_X86_64_REX_GOTPCRELX;
      return wide ? R_X86_64_GOTPCREL64 : four ? R_X86_64_GOTPCREL : no_type;
    case AsmVariant::gotpcrel_norelax: return four ? R_X86_64_GOTPCREL : no_type;
    case AsmVariant::got: return wide ? R_X86_64_GOT64 : four ? R_X86_64_GOT32 : no_type;
    case AsmVariant::gotoff: return wide ? R_X86_64_GOTOFF64 : no_type;
    case AsmVariant::tpoff: return wide ? R_X86_64_TPOFF64 : four ? R_X86_64_TPOFF32 : no_type;
    case AsmVariant::gottpoff: return four ? R_X86_64_GOTTPOFF : no_type;
    case AsmVariant::tlsgd: return four ? R_X86_64_TLSGD : no_type;
    case AsmVariant::tlsld: return four ? R_X86_64_TLSLD : no_type;
    case AsmVariant::dtpoff: return wide ? R_X86_64_DTPOFF64 : four ? R_X86_64_DTPOFF32 : no_type;
    case AsmVariant::size: return wide ? R_X86_64_SIZE64 : four ? R_X86_64_SIZE32 : no_type;
    case AsmVariant::tlsdesc: return four ? R_X86_64_GOTPC32_TLSDESC : no_type;
    case AsmVariant::tlscall: return R_X86_64_TLSDESC_CALL;
    case AsmVariant::gotpc: return wide ? R_X86_64_GOTPC64 : four ? R_X86_64_GOTPC32 : no_type;
    case AsmVariant::pltoff: return wide ? R_X86_64_PLTOFF64 : no_type;
    case AsmVariant::unknown: break;
  }
  return no_type;
}

// Intel SDM, NOP, "Recommended Multi-Byte Sequence of NOP Instruction", and the ninth with one prefix more.
void nops(uint8_t* p, size_t bytes) {
  static constexpr uint8_t longest[10][10] = {{0x90},
                                              {0x66, 0x90},
                                              {0x0f, 0x1f, 0x00},
                                              {0x0f, 0x1f, 0x40},
                                              {0x0f, 0x1f, 0x44},
                                              {0x66, 0x0f, 0x1f, 0x44},
                                              {0x0f, 0x1f, 0x80},
                                              {0x0f, 0x1f, 0x84},
                                              {0x66, 0x0f, 0x1f, 0x84},
                                              {0x66, 0x2e, 0x0f, 0x1f, 0x84}};
  while (bytes) {
    const size_t n = std::min<size_t>(bytes, 10);
    std::memcpy(p, longest[n - 1], n);
    p += n;
    bytes -= n;
  }
}

bool dwarf_register(std::string_view name, unsigned& number) {
  if (name == "%rip" || name == "rip") {
    number = dwarf_return_address;
    return true;
  }
  RegName r;
  if (!register_by_name(name, r)) return false;
  if (r.kind == RegKind::g64 || r.kind == RegKind::g32) number = dwarf_gp[r.number];
  else if (r.kind == RegKind::x) number = 17u + r.number;
  else if (r.kind == RegKind::st) number = 33u + r.number;
  else if (r.kind == RegKind::mm) number = 41u + r.number;
  else return false;
  return true;
}

unsigned immediate_bytes(Imm kind) {
  switch (kind) {
    case Imm::none: return 0;
    case Imm::iw:
    case Imm::zw: return 2;
    case Imm::id:
    case Imm::zd: return 4;
    case Imm::iq: return 8;
    default: return 1;
  }
}

// The linker may rewrite these where the symbol needs no slot in the GOT (psABI B.2).
bool can_relax(const InstInfo& row) {
  if (row.map || row.prefix) return false;
  if (row.form == Form::m) return row.opcode == 0xff && (row.ext == 2 || row.ext == 4) && !row.w;
  if (row.form == Form::mr) return row.opcode == 0x85;
  return row.form == Form::rm && (row.opcode == 0x8b || (row.opcode < 0x40 && (row.opcode & 7) == 3));
}

class Statement {
 public:
  Statement(AsmModule& m, std::string_view s) : m_(m), s_(s) {}
  Result<void> run();

 private:
  Result<void> branch(const AsmBranch& b, const AsmItem& to);
  Result<void> moffs(bool& done);
  Result<void> encode(const AsmMatch& match);
  Result<void> put_bytes();
  bool has_high() const {
    for (const AsmItem& x : q_.items)
      if (x.kind == AsmItem::Kind::reg && x.reg.high) return true;
    return false;
  }

  AsmModule& m_;
  std::string_view s_;
  AsmRequest q_;
  std::vector<uint8_t> bytes_;  // prefixes, then the instruction
  bool lock_ = false;
};

Result<void> Statement::put_bytes() { return m_.instruction(bytes_.data(), bytes_.size(), nullptr, 0); }

Result<void> Statement::run() {
  q_.intel = m_.is_intel();
  q_.known = [this](uint32_t e, int64_t& v) { return m_.constant(e, v); };
  std::string_view rest = s_;
  for (;;) {
    size_t n = 0;
    while (n < rest.size() && !codegen::asm_space(rest[n])) n++;
    q_.mnemonic.assign(rest.substr(0, n));
    for (char& c : q_.mnemonic) c = char(std::tolower(uint8_t(c)));
    const std::string_view behind = codegen::asm_trim(rest.substr(n));
    const uint8_t prefix = prefix_by_name(q_.mnemonic);
    if (!prefix || (q_.intel && behind.starts_with(":"))) {
      rest = behind;
      break;
    }
    if (prefix == 0xf0 && !behind.empty()) lock_ = true;
    else bytes_.push_back(prefix);
    if (behind.empty()) return put_bytes();
    rest = behind;
  }
  if (q_.mnemonic[0] == '{') return m_.error(s_, "a choice of encodings is not supported");
  while (!rest.empty()) {
    AsmItem x;
    const char* why = q_.intel ? parse_intel_operand(rest, m_.expressions(), x)
                               : parse_att_operand(rest, m_.expressions(), x);
    if (!why && !codegen::asm_trim(rest).empty() && codegen::asm_trim(rest)[0] != ',')
      why = "this is not expected here";
    if (why) return m_.error(rest.empty() ? s_ : rest, why);
    q_.items.push_back(x);
    rest = codegen::asm_trim(rest);
    if (!rest.empty()) {
      rest = codegen::asm_trim(rest.substr(1));
      if (rest.empty()) return m_.error(s_, "an operand is missing");
    }
    if (q_.items.size() > 5) return m_.error(rest, "too many operands");
  }
  AsmBranch b;
  if (q_.items.size() == 1 && q_.items[0].kind == AsmItem::Kind::mem && q_.items[0].bare && !q_.items[0].star &&
      !q_.items[0].bytes && branch_by_name(q_.mnemonic, b))
    return branch(b, q_.items[0]);
  if (q_.items.size() == 1 && q_.items[0].kind == AsmItem::Kind::imm && q_.intel && branch_by_name(q_.mnemonic, b))
    return branch(b, q_.items[0]);
  if (q_.mnemonic == "xbegin" && q_.items.size() == 1 && q_.items[0].kind == AsmItem::Kind::mem && q_.items[0].bare) {
    const uint8_t out[6] = {0xc7, 0xf8};
    const AsmModule::Field f{2, 4, AsmFieldKind::pc_relative, q_.items[0].expression};
    return m_.instruction(out, 6, &f, 1);
  }
  bool done = false;
  LODE_TRY(moffs(done));
  if (done) return {};
  if (waiting_form(q_.mnemonic)) {
    const uint8_t wait = 0x9b;
    LODE_TRY(m_.instruction(&wait, 1, nullptr, 0));
  }
  if (special_instruction(q_, bytes_)) return put_bytes();
  if (q_.mnemonic == "pushf" && q_.items.empty()) q_.mnemonic = "pushfq";
  AsmMatch match;
  if (const char* why = match_instruction(q_, m_.expressions(), match)) return m_.error(s_, why);
  return encode(match);
}

Result<void> Statement::branch(const AsmBranch& b, const AsmItem& to) {
  if (!bytes_.empty()) {
    LODE_TRY(put_bytes());
  }
  if (b.jump || b.conditional) {
    const uint8_t cc = uint8_t(b.cc);
    const uint8_t shorter[2] = {uint8_t(b.jump ? 0xeb : 0x70 | cc), 0};
    if (b.jump) {
      static constexpr uint8_t longer[5] = {0xe9};
      return m_.branch(shorter, 2, longer, 5, to.expression);
    }
    const uint8_t longer[6] = {0x0f, uint8_t(0x80 | cc)};
    return m_.branch(shorter, 2, longer, 6, to.expression);
  }
  uint8_t out[8];
  size_t n = 0;
  if (b.prefix) out[n++] = b.prefix;
  out[n++] = b.call ? 0xe8 : b.short_opcode;
  const uint8_t width = b.call ? 4 : 1;
  const AsmModule::Field f{uint8_t(n), width, AsmFieldKind::branch, to.expression};
  std::memset(out + n, 0, width);
  return m_.instruction(out, n + width, &f, 1);
}

// movabs between the accumulator and an address of 64 bits.
Result<void> Statement::moffs(bool& done) {
  if (!q_.mnemonic.starts_with("movabs") || q_.items.size() != 2) return {};
  for (unsigned k = 0; k < 2; k++) {
    const AsmItem &memory = q_.items[k], &other = q_.items[1 - k];
    if (memory.kind != AsmItem::Kind::mem || memory.base != reg::none || memory.index != reg::none || memory.rip ||
        other.kind != AsmItem::Kind::reg || other.reg.number != reg::rax || other.reg.high)
      continue;
    const bool load = q_.intel ? k == 1 : k == 0;
    const RegKind kind = other.reg.kind;
    if (kind != RegKind::g8 && kind != RegKind::g16 && kind != RegKind::g32 && kind != RegKind::g64) continue;
    if (memory.segment) bytes_.push_back(memory.segment);
    if (kind == RegKind::g16) bytes_.push_back(0x66);
    if (kind == RegKind::g64) bytes_.push_back(0x48);
    bytes_.push_back(uint8_t((load ? 0xa0 : 0xa2) | (kind != RegKind::g8)));
    const uint8_t at = uint8_t(bytes_.size());
    bytes_.resize(bytes_.size() + 8);
    const uint32_t e = memory.expression == no_expression ? m_.expressions().number(0) : memory.expression;
    const AsmModule::Field f{at, 8, AsmFieldKind::absolute, e};
    done = true;
    return m_.instruction(bytes_.data(), bytes_.size(), &f, 1);
  }
  return {};
}

Result<void> Statement::encode(const AsmMatch& match) {
  InstInfo row = info(match.op);
  if (lock_) row.traits |= T_lock;
  Address address;
  AsmModule::Field fields[2];
  size_t count = 0;
  uint8_t extended = 0;  // highest register
  auto number = [&](uint8_t k) -> uint8_t {
    if (k == AsmMatch::none) return 0;
    extended = std::max(extended, q_.items[k].reg.number);
    return q_.items[k].reg.number;
  };
  const uint8_t a = number(match.a), b = number(match.b), c = number(match.c);
  uint32_t displacement = no_expression;
  if (match.mem != AsmMatch::none) {
    const AsmItem& x = q_.items[match.mem];
    address.base = x.base;
    address.index = x.index;
    address.scale_log2 = x.scale_log2;
    address.rip = x.rip;
    if (x.base != reg::none) extended = std::max(extended, x.base);
    if (x.index != reg::none) extended = std::max(extended, x.index);
    if (x.segment) bytes_.push_back(x.segment);
    if (x.short_address) bytes_.push_back(0x67);
    int64_t v = 0;
    if (x.expression != no_expression && !m_.constant(x.expression, v)) {
      displacement = x.expression;
      address.wide = true;
    } else if (v != int32_t(v) && !(x.short_address && v == int64_t(uint32_t(v)))) {
      return m_.error(x.where, "the displacement does not fit in 32 bits");
    }
    address.disp = int32_t(v);
  }
  int64_t imm = 0;
  bool late = false;
  if (row.imm == Imm::r4) {
    imm = number(match.imm) << 4;
  } else if (match.imm != AsmMatch::none && !m_.constant(q_.items[match.imm].expression, imm)) {
    late = true;
    imm = row.imm == Imm::zw || row.imm == Imm::iw ? 0x7fff : row.imm == Imm::ib || row.imm == Imm::sh ? 0 : 0x7fffffff;
    if (row.imm == Imm::zd || row.imm == Imm::zw) row.traits &= ~uint32_t{T_acc};
  }
  if (has_high()) {
    bool plain = !row.w && extended < 8;
    for (const AsmItem& x : q_.items)
      plain &= x.kind != AsmItem::Kind::reg || x.reg.kind != RegKind::g8 || x.reg.high || x.reg.number < 4;
    if (!plain) return m_.error(s_, "ah, bh, ch and dh do not go with a REX prefix");
    row.a = row.b = RegKind::no;
  }
  uint8_t out[24], *end = out;
  switch (row.form) {
    case Form::none: end = encode_none(out, row); break;
    case Form::r: end = encode_r(out, row, a, match.cc); break;
    case Form::rr: end = encode_rr(out, row, a, b, match.cc); break;
    case Form::ri: end = encode_ri(out, row, a, imm); break;
    case Form::rri: end = encode_rri(out, row, a, b, imm); break;
    case Form::i: end = encode_i(out, row, imm); break;
    case Form::rm:
    case Form::mr: end = encode_rm(out, row, a, address, match.cc); break;
    case Form::m: end = encode_m(out, row, address, match.cc); break;
    case Form::mi: end = encode_mi(out, row, address, imm); break;
    case Form::mri:
    case Form::rmi: end = encode_rmi(out, row, a, address, imm); break;
    case Form::rrr:
    case Form::rrri: end = encode_rrr(out, row, a, b, c, imm); break;
    case Form::rrm:
    case Form::rmr:
    case Form::mrr: end = encode_rrm(out, row, a, b, address); break;
    case Form::rrmi: end = encode_rrm(out, row, a, b, address, imm); break;
    default: return m_.error(s_, "this instruction cannot be encoded");
  }
  const size_t first = bytes_.size();
  bytes_.insert(bytes_.end(), out, end);
  if (displacement != no_expression) {
    const bool relax = address.rip && can_relax(row);
    const AsmFieldKind kind = !address.rip                ? AsmFieldKind::sign_extended
                              : !relax                    ? AsmFieldKind::pc_relative
                              : row.w || extended >= 8 ? AsmFieldKind::relaxable_rex
                                                          : AsmFieldKind::relaxable;
    fields[count++] = {uint8_t(first + size_t(address.field - out)), 4, kind, displacement};
    std::memset(bytes_.data() + fields[count - 1].at, 0, 4);
  }
  if (late) {
    const uint8_t width = uint8_t(immediate_bytes(row.imm));
    const bool extends = width == 4 && (row.w || match.op == Op::push64i);
    fields[count++] = {uint8_t(bytes_.size() - width), width,
                       extends ? AsmFieldKind::sign_extended : AsmFieldKind::absolute, q_.items[match.imm].expression};
    std::memset(bytes_.data() + fields[count - 1].at, 0, width);
  }
  return m_.instruction(bytes_.data(), bytes_.size(), fields, count);
}

Result<void> instruction(AsmModule& m, std::string_view s) {
  if (s[0] != '.') return Statement(m, s).run();
  std::string word(s.substr(0, s.find_first_of(" \t")));
  for (char& c : word) c = char(std::tolower(uint8_t(c)));
  const std::string_view rest = codegen::asm_trim(s.substr(word.size()));
  if (word == ".intel_syntax" && (rest.empty() || rest == "noprefix")) m.set_intel(true);
  else if (word == ".att_syntax" && (rest.empty() || rest == "prefix")) m.set_intel(false);
  else if (word == ".intel_syntax" || word == ".att_syntax")
    return m.error(rest, "this kind of syntax is not supported");
  else if (word != ".code64") return m.error(s, "unknown directive");
  return {};
}

}  // namespace

Result<codegen::AsmObject> assemble_module(std::string_view text) {
  codegen::AsmMachine machine;
  machine.elf_machine = 62;
  machine.relocation = relocation;
  machine.nops = nops;
  machine.nop = 0x90;
  machine.dwarf_register = dwarf_register;
  machine.instruction = instruction;
  machine.cie_instructions.assign(reinterpret_cast<const char*>(cie_instructions), sizeof cie_instructions);
  machine.code_align = cie_code_align;
  machine.data_align = cie_data_align;
  machine.return_register = dwarf_return_address;
  return codegen::assemble_module(text, std::move(machine));
}

}  // namespace lode::x86_64
