#include "codegen/x86_64/print.h"

#include <algorithm>

#include "base/bytes.h"
#include "codegen/x86_64/encode.h"

namespace lode::x86_64 {

namespace {
const char* const names8[] = {"al",  "cl",  "dl",   "bl",   "spl",  "bpl",  "sil",  "dil",
                              "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"};
const char* const names16[] = {"ax",  "cx",  "dx",   "bx",   "sp",   "bp",   "si",   "di",
                               "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"};
const char* const names32[] = {"eax", "ecx", "edx",  "ebx",  "esp",  "ebp",  "esi",  "edi",
                               "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"};
const char* const names64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                               "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
const char* const conditions[] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                  "s", "ns", "p", "np", "l", "ge", "le", "g"};

std::string plus(int64_t v) { return (v < 0 ? "" : "+") + std::to_string(v); }
}  // namespace

mir::FunctionView view_of(const mir::FunctionDraft& d) {
  mir::FunctionView v;
  v.symbol = d.symbol;
  v.tags = reinterpret_cast<const uint8_t*>(d.tags.data());
  v.operands = d.operands.data();
  v.count = uint32_t(d.tags.size());
  v.extra = d.extra;
  v.locals = d.locals;
  v.references = d.references;
  v.constants = d.constants;
  v.frame = d.frame;
  v.text_align_log2 = d.text_align_log2;
  v.constants_align_log2 = d.constants_align_log2;
  v.flags = d.flags;
  return v;
}

std::string print_register(RegKind kind, unsigned n) {
  n &= 15;
  switch (kind) {
    case RegKind::g8: return std::string("%") + names8[n];
    case RegKind::g16: return std::string("%") + names16[n];
    case RegKind::g32: return std::string("%") + names32[n];
    case RegKind::g64: return std::string("%") + names64[n];
    case RegKind::x: return "%xmm" + std::to_string(n);
    case RegKind::y: return "%ymm" + std::to_string(n);
    case RegKind::st: return "%st(" + std::to_string(n & 7) + ")";
    case RegKind::mm: return "%mm" + std::to_string(n & 7);
    case RegKind::sg: return std::string("%") + "ecsdfg"[std::min(n, 5u)] + "s";
    case RegKind::cr: return "%cr" + std::to_string(n);
    case RegKind::dr: return "%dr" + std::to_string(n);
    case RegKind::no: break;
  }
  return "%?";
}

RegKind index_kind(const InstInfo& row) {
  return !(row.traits & T_vsib) ? RegKind::g64 : row.traits & T_vsib_y ? RegKind::y : RegKind::x;
}

std::string print_condition(Cond c) { return conditions[unsigned(c) & 15]; }

std::string print_memory(const Mem& m, RegKind index) {
  std::string s;
  if (m.segment != Segment::none) s = m.segment == Segment::fs ? "%fs:" : "%gs:";
  bool rip = false;
  switch (m.kind) {
    case Mem::Kind::slot: s += "slot" + std::to_string(m.target) + plus(m.disp); break;
    case Mem::Kind::incoming: s += "in" + plus(m.disp); break;
    case Mem::Kind::outgoing: s += "out" + plus(m.disp); break;
    case Mem::Kind::dynamic_area: s += "dynamic" + plus(m.disp); break;
    case Mem::Kind::symbol:
      s += "ref" + std::to_string(m.target) + (m.disp ? plus(m.disp) : "");
      rip = m.base == reg::none && m.index == reg::none && m.segment == Segment::none;
      break;
    case Mem::Kind::constants:
      s += "const" + plus(m.disp);
      rip = true;
      break;
    default:
      if (m.disp || (m.base == reg::none && m.index == reg::none)) s += std::to_string(m.disp);
  }
  if (rip) return s + "(%rip)";
  if (m.base == reg::none && m.index == reg::none) return s;
  s += "(";
  if (m.base != reg::none) s += print_register(RegKind::g64, m.base);
  if (m.index != reg::none) s += "," + print_register(index, m.index) + "," + std::to_string(1 << m.scale_log2);
  return s + ")";
}

std::string print_row(const InstInfo& row, Cond cc, unsigned a, unsigned b, const std::string& memory, int64_t imm,
                      unsigned c) {
  std::string s;
  for (const char* c = row.mnemonic(); *c; c++) {
    if (*c == '#') s += print_condition(cc);
    else s += *c;
  }
  if (!(row.traits & T_star) && row.form != Form::none) s += " ";
  imm = detail::narrow(row.imm, imm);
  if (row.traits & T_unsigned) imm = uint8_t(imm);
  std::string ra = print_register(row.a, a), rb = print_register(row.b, b), rc = print_register(row.c, c),
              ri = "$" + std::to_string(imm);
  if (row.imm == Imm::r4) ri = print_register(row.a, uint8_t(imm) >> 4);
  if (row.traits & T_cl) s += "%cl, ";
  switch (row.form) {
    case Form::none: return s;
    case Form::r: return s + (row.traits & T_st0_first ? "%st, " : "") + ra + (row.traits & T_st0 ? ", %st" : "");
    case Form::rr: return s + rb + ", " + ra;
    case Form::ri: return s + ri + ", " + ra;
    case Form::i: return s + ri;
    case Form::rri: return s + ri + ", " + rb + ", " + ra;
    case Form::rm: return s + memory + ", " + ra;
    case Form::mr: return s + ra + ", " + memory;
    case Form::m: return s + memory;
    case Form::mi: return s + ri + ", " + memory;
    case Form::rmi: return s + ri + ", " + memory + ", " + ra;
    case Form::mri: return s + ri + ", " + ra + ", " + memory;
    case Form::rrr: return s + rc + ", " + rb + ", " + ra;
    case Form::rrri: return s + ri + ", " + rc + ", " + rb + ", " + ra;
    case Form::rrm: return s + memory + ", " + rb + ", " + ra;
    case Form::rrmi: return s + ri + ", " + memory + ", " + rb + ", " + ra;
    case Form::rmr: return s + rb + ", " + memory + ", " + ra;
    case Form::mrr: return s + ra + ", " + rb + ", " + memory;
    default: return s;
  }
}

std::string print_instruction(const mir::FunctionView& fn, uint32_t i) {
  uint16_t tag = fn.tag16(i);
  if ((tag & 0xfff) >= op_count) return "?";
  const InstInfo& row = info(tag_op(tag));
  Cond cc = tag_cond(tag);
  uint32_t o = fn.operands[i];
  Decoder decode{fn.extra};
  int64_t imm = 0;
  std::string name = row.name();
  auto gp = [](uint32_t n) { return print_register(RegKind::g64, n); };
  auto ref = [](uint32_t n) { return "ref" + std::to_string(n); };
  auto label = [](uint32_t n) { return "." + std::to_string(n); };
  switch (row.form) {
    case Form::none: return print_row(row, cc, 0, 0, "", 0);
    case Form::r: return print_row(row, cc, o & 15, 0, "", 0);
    case Form::rr: return print_row(row, cc, o & 15, o >> 4 & 15, "", 0);
    case Form::i:
    case Form::ri: return print_row(row, cc, o & 15, 0, "", decode.immediate(o, 4, row.imm == Imm::iq));
    case Form::rri: return print_row(row, cc, o & 15, o >> 4 & 15, "", decode.immediate(o, 8, false));
    case Form::rm:
    case Form::mr:
    case Form::m: return print_row(row, cc, o & 15, 0, print_memory(decode.memory(o)), 0);
    case Form::mi: {
      Mem m = decode.memory_immediate(o, imm);
      return print_row(row, cc, 0, 0, print_memory(m), imm);
    }
    case Form::rrr:
    case Form::rrri: return print_row(row, cc, o & 15, o >> 4 & 15, "", o >> 12 & 0xff, o >> 8 & 15);
    case Form::rrm:
    case Form::rrmi:
    case Form::rmr:
    case Form::mrr: {
      uint8_t second;
      Mem m = row.form == Form::rrmi ? decode.two_registers_memory_immediate(o, second, imm)
                                     : decode.two_registers_memory(o, second);
      return print_row(row, cc, o & 15, second, print_memory(m, index_kind(row)), imm);
    }
    case Form::mri:
    case Form::rmi: {
      Mem m = decode.register_memory_immediate(o, imm);
      return print_row(row, cc, o & 15, 0, print_memory(m), imm);
    }
    case Form::pseudo_none: return name;
    case Form::pseudo_r: return name + " " + gp(o);
    case Form::pseudo_branch: return (tag_op(tag) == Op::jcc ? "j" + print_condition(cc) : name) + " " + label(o);
    case Form::pseudo_ref: return name + " " + ref(o);
    case Form::pseudo_r_ref: return name + " " + ref(o >> 4) + ", " + gp(o);
    case Form::pseudo_r_label: return name + " " + label(o >> 4) + ", " + gp(o);
    case Form::pseudo_tls_gd: return name + " " + ref(decode.word(o));
    case Form::pseudo_jump_table: {
      std::string s = name + " " + gp(o) + ", " + gp(o >> 4) + ":";
      uint32_t at = o >> 8, count = decode.word(at);
      for (uint32_t k = 0; k < count && decode.ok; k++) s += " " + label(decode.word(uint64_t(at) + 2 + k));
      return s;
    }
    case Form::pseudo_align: return name + " " + std::to_string(1u << (o & 15)) + ", at most " + std::to_string(o >> 4);
    case Form::pseudo_bytes: {
      std::string s = name;
      uint32_t count = decode.word(o);
      for (uint32_t k = 0; k < count && decode.ok; k++)
        s += " " + std::to_string(decode.word(uint64_t(o) + 1 + k / 4) >> (8 * (k % 4)) & 0xff);
      return s;
    }
  }
  return "?";
}

std::string print_function(const mir::FunctionView& fn) {
  std::string s = "frame: saved";
  for (unsigned r = 0; r < 16; r++)
    if (fn.frame[frame::word_saved] >> r & 1) s += " " + print_register(RegKind::g64, r);
  s += ", outgoing " + std::to_string(fn.frame[frame::word_outgoing]) + ", flags " +
       std::to_string(fn.frame[frame::word_flags]) + "\n";
  for (size_t i = 0; i + frame::slot_bytes <= fn.locals.size(); i += frame::slot_bytes)
    s += "slot" + std::to_string(i / frame::slot_bytes) + ": " + std::to_string(load_le<uint32_t>(&fn.locals[i])) +
         " align 2^" + std::to_string(fn.locals[i + 4] & 31) +
         (fn.locals[i + 4] >> 5 ? " zone " + std::to_string(fn.locals[i + 4] >> 5) : "") + "\n";
  for (size_t i = 0; i < fn.references.size(); i++) {
    const mir::Reference& r = fn.references[i];
    s += "ref" + std::to_string(i) + ": symbol " + (r.symbol.valid() ? std::to_string(r.symbol.value) : "none") +
         plus(r.addend) + " kind " + std::to_string(unsigned(r.kind)) + "\n";
  }
  for (uint32_t i = 0; i < fn.count; i++) s += std::to_string(i) + ": " + print_instruction(fn, i) + "\n";
  return s;
}

}  // namespace lode::x86_64
