// MIR of x86_64: what a tag and an operand word mean. Physical registers, symbolic memory, branches by MIR index.
//
// Tag (16 bits): Op in the low 12 bits, condition in the high 4 (zero where the row has no condition).
// Operand word, by the row's form (bits from the low end):
//   r, rr        reg 4, reg 4
//   ri, rri, i   reg 4, reg 4 (rri), long flag 1, immediate signed in the rest; with the flag: index in extra of the
//                immediate (one word, sign-extended; two words, low first, for movabs64ri)
//   rm, mr, m    reg 4, memory 28 (below)
//   mi           4 bits of immediate v: 0..14 stand for -2..12; 15: the memory part is "long" and its payload an index
//                in extra of {memory word, immediate}
//   rmi          reg 4, memory part always "long": index in extra of {memory word, immediate}
//   rrr, rrri    reg 4, reg 4, reg 4, immediate 8 (rrri)
//   rrm, rrmi, rmr, mrr   reg 4, memory part always "long": index in extra of {memory word with the second register in
//                its low bits, immediate (rrmi)}; mri as rmi
//   pseudo_branch  MIR index;  pseudo_ref  reference index;  pseudo_r_ref, pseudo_r_label  reg 4, index 28
//   pseudo_jump_table  index register 4, scratch register 4, index in extra 24 of {count, offset in constants, MIR
//                      indices...}
//   pseudo_tls_gd  index in extra of {reference of the variable, reference of __tls_get_addr}
//   pseudo_bytes   index in extra of {byte count, bytes packed little-endian in words}
//   pseudo_align   log2 of the alignment 4 (1 to 12), most bytes that may be skipped 28
// Memory part (28 bits): kind 3, payload 25
//   0 long        index in extra of {kind 8 | base 8 | index 8 | scale 2 | segment 2 << 2 ..., disp, [slot or
//                 reference]}
//   1 base        base 4, disp signed 21
//   2 base+index  base 4, index 4, scale 2, disp signed 15
//   3 slot        slot 11, disp signed 14
//   4 incoming    disp signed 25
//   5 outgoing    disp signed 25
//   6 symbol      reference 12, disp signed 13; rip-relative, no registers
//   7 constants   offset signed 25
// The writer always takes the short form when the value fits, so equal functions have equal words.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "codegen/native/mir_writer.h"
#include "codegen/x86_64/registers.h"
#include "mir_store/mir_store.h"

namespace lode::x86_64 {

enum class Op : uint16_t {
#define INST(name, ...) name,
#include "codegen/x86_64/instructions.def"
#undef INST
  count_,
};
inline constexpr unsigned op_count = unsigned(Op::count_);
static_assert(op_count < 0x1000);

enum class Form : uint8_t {
  none, r, rr, ri, rri, rm, mr, m, mi, rmi, i,
  // Of VEX: three registers, or two and memory; the letters stand in Intel's order.
  rrr, rrri, rrm, rrmi, rmr, mrr, mri,
  pseudo_none, pseudo_r, pseudo_branch, pseudo_ref, pseudo_r_ref, pseudo_r_label, pseudo_jump_table, pseudo_tls_gd,
  pseudo_bytes, pseudo_align,
};
// Class and width of a register operand: none, general 8/16/32/64, xmm, x87 stack, ymm, MMX, segment, control, debug.
enum class RegKind : uint8_t { no, g8, g16, g32, g64, x, st, y, mm, sg, cr, dr };
enum class Enc : uint8_t { NP, NP2, O, O2, M, RM, MR, RVM, RMV, VM };
enum class Imm : uint8_t { none, ib, iw, id, iq, zw, zd, sh, r4 };

// Flags as the table's columns have them, and its traits.
enum : uint8_t { F_C = 1, F_O = 2, F_CO = 3 };
enum : uint32_t {
  T_load = 1,        // reads its memory operand (or implicit memory)
  T_store = 2,       // writes it
  T_acc = 4,         // has a shorter form for rax
  T_lock = 8,        // carries the lock prefix
  T_lock_all = T_load | T_store | T_lock,
  T_cl = 16,         // reads cl, printed as an operand
  T_cc = 32,         // carries a condition
  T_feature = 64,    // beyond the x86-64 baseline (SSE2)
  T_call = 128,      // clobbers what a call does
  T_unsigned = 256,  // the immediate byte is unsigned
  T_star = 512,      // AT&T writes a '*' before the operand
  T_st0 = 1024,      // AT&T writes %st(0) as the second operand
  T_st0_first = 2048,  // and as the first one
  T_vex = 4096,      // VEX-encoded, 128 bits
  T_vex256 = 8192,   // with T_vex: 256 bits
  T_vsib = 1 << 14,  // the index of the memory operand is an xmm register,
  T_commutes = 1 << 16,  // the sources of a VEX-encoded row may change places
  T_data16 = 1 << 24,    // has the prefix of 16-bit operands in front of its mandatory one
  T_reverse = 1 << 17,   // a move that has a second encoding with reg and rm exchanged
  T_vsib_y = 1 << 15,  // with T_vsib: a ymm register
};

extern const char inst_text[];  // the names and mnemonics of all rows, each with its zero

// Names are places in inst_text: the table holds no address, so the dynamic linker has nothing to do with it.
struct InstInfo {
  uint32_t name_at, mnemonic_at;
  Form form;
  RegKind a, b, c;
  Enc enc;
  uint8_t prefix, map, opcode, ext;
  bool w;
  Imm imm;
  uint8_t reads, writes;
  uint32_t traits;
  const char* name() const { return inst_text + name_at; }
  const char* mnemonic() const { return inst_text + mnemonic_at; }
};
extern const std::array<InstInfo, op_count> inst_table;
inline const InstInfo& info(Op op) { return inst_table[unsigned(op)]; }

inline constexpr uint16_t make_tag(Op op, Cond cc = Cond::o) { return uint16_t(uint16_t(op) | uint16_t(cc) << 12); }
inline constexpr Op tag_op(uint16_t tag) { return Op(tag & 0xfff); }
inline constexpr Cond tag_cond(uint16_t tag) { return Cond(tag >> 12); }

enum class Segment : uint8_t { none, fs, gs };

// A memory operand.
struct Mem {
  enum class Kind : uint8_t {
    absolute,      // [disp32 (+ index)], disp sign-extended
    base,          // [base (+ index) + disp]
    slot,          // [frame slot `target` (+ index) + disp]
    incoming,      // [first stack argument + disp]
    outgoing,      // [rsp + disp]: arguments of calls
    dynamic_area,  // [rsp + size of the outgoing area + disp]: where a dynamic alloca's memory begins, after the `sub`
                   // from rsp
    symbol,  // [reference `target` + disp]; with base or index: its absolute address (non-PIC only). Reference of kind
             // direct; or of kind tls_local_exec with segment fs
    constants,  // [the function's constants + disp]
  };
  Kind kind = Kind::base;
  uint8_t base = reg::none, index = reg::none, scale_log2 = 0;
  Segment segment = Segment::none;
  int32_t disp = 0;
  uint32_t target = 0;  // frame slot or reference

  static Mem at(uint8_t base, int32_t disp = 0) { return {Kind::base, base, reg::none, 0, Segment::none, disp, 0}; }
  static Mem indexed(uint8_t base, uint8_t index, unsigned scale_log2, int32_t disp = 0) {
    return {Kind::base, base, index, uint8_t(scale_log2), Segment::none, disp, 0};
  }
  static Mem scaled(uint8_t index, unsigned scale_log2, int32_t disp = 0) {  // no base
    return {Kind::absolute, reg::none, index, uint8_t(scale_log2), Segment::none, disp, 0};
  }
  static Mem slot(uint32_t slot, int32_t disp = 0) {
    return {Kind::slot, reg::none, reg::none, 0, Segment::none, disp, slot};
  }
  static Mem incoming(int32_t disp) { return {Kind::incoming, reg::none, reg::none, 0, Segment::none, disp, 0}; }
  static Mem outgoing(int32_t disp) { return {Kind::outgoing, reg::none, reg::none, 0, Segment::none, disp, 0}; }
  static Mem dynamic_area(int32_t disp = 0) {
    return {Kind::dynamic_area, reg::none, reg::none, 0, Segment::none, disp, 0};
  }
  static Mem symbol(uint32_t reference, int32_t disp = 0) {
    return {Kind::symbol, reg::none, reg::none, 0, Segment::none, disp, reference};
  }
  static Mem constants(uint32_t offset) {
    return {Kind::constants, reg::none, reg::none, 0, Segment::none, int32_t(offset), 0};
  }
  static Mem absolute(int32_t address, Segment segment = Segment::none) {
    return {Kind::absolute, reg::none, reg::none, 0, segment, address, 0};
  }
  Mem with_index(uint8_t r, unsigned scale) const {
    Mem m = *this;
    m.index = r;
    m.scale_log2 = uint8_t(scale);
    return m;
  }
  Mem plus(int32_t delta) const {  // wraps; the caller knows that it fits
    Mem m = *this;
    m.disp = int32_t(uint32_t(m.disp) + uint32_t(delta));
    return m;
  }
  bool operator==(const Mem&) const = default;
};

// FunctionDraft::frame (codegen/native/mir_writer.h). The frame pointer is rbp, the base pointer rbx; a function that
// touches the pages of a large frame gets the size in rax and changes no register.
namespace frame {
using namespace codegen::frame;
// keeps_rcx: rcx has a value for the caller behind the body: the epilogue has no scratch register. plain_epilogue: the
// epilogue writes no register that it does not restore. untracked_tables: jump tables are entered by jumps whose
// targets need no mark (Intel SDM, "No-track prefix").
inline constexpr uint32_t keeps_rcx = first_of_machine, plain_epilogue = 1 << 12, untracked_tables = 1 << 16;
}  // namespace frame

// The entry's record. Marked: endbr64 first. A type id is the operand of a mov in front of the prefix, after nops up to
// an entry that is aligned.
using entry = codegen::EntryRecord;

// Decoding. Indices are checked against what they index; `ok` turns false on damaged words and stays so.
struct Decoder {
  std::span<const uint32_t> extra;
  bool ok = true;

  uint32_t word(uint64_t i) {
    if (i < extra.size()) return extra[i];
    ok = false;
    return 0;
  }
  Mem memory(uint32_t operand);                         // forms rm, mr, m: the part above the register
  int64_t immediate(uint32_t operand, unsigned shift, bool wide);  // `shift`: position of the long flag
  Mem memory_immediate(uint32_t operand, int64_t& imm); // form mi
  Mem register_memory_immediate(uint32_t operand, int64_t& imm);  // form rmi
  Mem two_registers_memory(uint32_t operand, uint8_t& second);    // forms rrm, rmr, mrr
  Mem two_registers_memory_immediate(uint32_t operand, uint8_t& second, int64_t& imm);  // form rrmi
};

inline Mem Decoder::memory(uint32_t o) {
  Mem m;
  auto sx = [&](unsigned from) { return int32_t(o) >> from; };
  switch (o >> 4 & 7) {
    case 1:
      m.base = o >> 7 & 15, m.disp = sx(11);
      return m;
    case 2:
      m.base = o >> 7 & 15, m.index = o >> 11 & 15, m.scale_log2 = o >> 15 & 3, m.disp = sx(17);
      return m;
    case 3:
      m.kind = Mem::Kind::slot, m.target = o >> 7 & 0x7ff, m.disp = sx(18);
      return m;
    case 4:
      m.kind = Mem::Kind::incoming, m.disp = sx(7);
      return m;
    case 5:
      m.kind = Mem::Kind::outgoing, m.disp = sx(7);
      return m;
    case 6:
      m.kind = Mem::Kind::symbol, m.target = o >> 7 & 0xfff, m.disp = sx(19);
      return m;
    case 7:
      m.kind = Mem::Kind::constants, m.disp = sx(7);
      return m;
    default: {
      uint64_t at = o >> 7;
      uint32_t head = word(at);
      m.kind = Mem::Kind(head & 7);
      m.base = uint8_t(head >> 8), m.index = uint8_t(head >> 16), m.scale_log2 = head >> 24 & 3,
      m.segment = Segment(head >> 26 & 3);
      m.disp = int32_t(word(at + 1));
      if (m.kind == Mem::Kind::slot || m.kind == Mem::Kind::symbol) m.target = word(at + 2);
      return m;
    }
  }
}

inline int64_t Decoder::immediate(uint32_t o, unsigned shift, bool wide) {
  if (!(o >> shift & 1)) return int32_t(o) >> (shift + 1);
  uint64_t at = o >> (shift + 1);
  if (wide) return int64_t(word(at) | uint64_t(word(at + 1)) << 32);
  return int32_t(word(at));
}

inline Mem Decoder::memory_immediate(uint32_t o, int64_t& imm) {
  if ((o & 15) != 15) {
    imm = int64_t(o & 15) - 2;
    return memory(o);
  }
  return register_memory_immediate(o, imm);
}

inline Mem Decoder::two_registers_memory(uint32_t o, uint8_t& second) {
  const uint32_t memory_word = word(o >> 7);
  second = memory_word & 15;
  return memory(memory_word);
}

inline Mem Decoder::two_registers_memory_immediate(uint32_t o, uint8_t& second, int64_t& imm) {
  imm = int32_t(word(uint64_t(o >> 7) + 1));
  return two_registers_memory(o, second);
}

inline Mem Decoder::register_memory_immediate(uint32_t o, int64_t& imm) {
  uint64_t at = o >> 7;
  imm = int32_t(word(at + 1));
  return memory(word(at));
}

}  // namespace lode::x86_64
