// MIR of riscv64: what a tag and an operand word mean. Physical registers, symbolic memory, branches by MIR index.
//
// Tag (16 bits): Op in the low 12 bits; a branch's condition in the high 4.
// Operand word, by the row's form (bits from the low end; a register takes 5):
//   none            -
//   r, r4, amo      registers in the order of the text; then 3 bits: rounding mode, or aq 1 and rl 2
//   r2, lr          two registers; from bit 15 on the same 3 bits
//   i, shift, shiftw, b   two registers, immediate signed in the rest
//   u, j            register, immediate signed in the rest (u: the 20 bits)
//   fence           predecessors 4, successors 4
//   csr, csri       destination, source (or its 5 bits of immediate), number of the register 12
//   load, store     register, memory 27 (below)
//   pseudo_r        register;  pseudo_jump  MIR index;  pseudo_branch  two registers, MIR index 22
//   pseudo_ref      reference;  pseudo_r_ref, pseudo_r_label  register, index 27;  pseudo_lea  register, memory 27
//   pseudo_jump_table  index register, scratch register, index in extra 22 of {count, offset in constants, MIR indices}
//   pseudo_tls_gd   index in extra of {reference of the variable, reference of __tls_get_addr}
//   pseudo_bytes    index in extra of {byte count, bytes packed little-endian in words}
//   pseudo_align    log2 of the alignment 4 (1 to 12), most bytes that may be skipped 28
// Memory part (27 bits): kind 3, payload 24
//   0 long          index in extra of {kind | base << 8, disp, target}
//   1 base          register 5, disp signed 19
//   2 slot          slot 11, disp signed 13
//   3 incoming      disp signed 24
//   4 outgoing      disp signed 24
//   5 symbol        reference 24
//   6 constants     offset 24
//   7 thread        reference 24
// The writer always takes the short form when the value fits, so equal functions have equal words.
//
// Pseudo instructions: ret and the tails contain the epilogue; call_r and jump_r go to the address in a register; lea
// is the address of a memory operand; lea_ref the address of a symbol; tls_addr that of a thread-local one of a static
// model; jump_table {index, scratch} loads from the table and jumps.
#pragma once

#include <cstdint>
#include <span>

#include "codegen/native/mir_writer.h"
#include "codegen/riscv64/registers.h"
#include "mir_store/mir_store.h"

namespace lode::riscv64 {

enum class Op : uint16_t {
#define INST(name, ...) name,
#include "codegen/riscv64/instructions.def"
#undef INST
  count_,
};
inline constexpr unsigned op_count = unsigned(Op::count_);
static_assert(op_count < 0xe00);

enum class Form : uint8_t {
  none, r, r2, r4, i, shift, shiftw, load, store, u, j, b, amo, lr, fence, csr, csri,
  pseudo_none, pseudo_r, pseudo_jump, pseudo_branch, pseudo_ref, pseudo_r_ref, pseudo_r_label, pseudo_lea,
  pseudo_jump_table, pseudo_tls_gd, pseudo_bytes, pseudo_align,
};
enum class Extension : uint8_t { I, M, A, F, D, Zicsr, Zifencei, Zba, Zbb, Zbc, Zbs, Zicond };
enum : uint8_t { T_rm = 1, T_rtz = 2 };

struct InstInfo {
  const char* name;
  const char* mnemonic;
  Form form;
  uint32_t match;
  const char* registers;
  Extension extension;
  uint8_t traits;
};
extern const InstInfo inst_table[op_count];
inline const InstInfo& info(Op op) { return inst_table[unsigned(op)]; }

inline constexpr uint16_t make_tag(Op op, Cond cc = Cond::eq) { return uint16_t(uint16_t(op) | uint16_t(cc) << 12); }
inline constexpr Op tag_op(uint16_t tag) { return Op(tag & 0xfff); }
inline constexpr Cond tag_cond(uint16_t tag) { return Cond(tag >> 12 & 7); }

// A memory operand.
struct Mem {
  enum class Kind : uint8_t {
    dynamic_area,  // [sp + size of the outgoing area + disp]: where a dynamic alloca's memory begins
    base,          // [base + disp]
    slot,          // [frame slot `target` + disp]
    incoming,      // [first stack argument + disp]; negative ones are the registers of variadic arguments
    outgoing,      // [sp + disp]: arguments of calls
    symbol,        // [reference `target`], of kind direct
    constants,     // [the function's constants + disp]
    thread,        // [reference `target`], of kind tls_local_exec
  };
  Kind kind = Kind::base;
  uint8_t base = 0;
  int32_t disp = 0;
  uint32_t target = 0;

  static Mem at(uint8_t base, int32_t disp = 0) { return {Kind::base, base, disp, 0}; }
  static Mem slot(uint32_t slot, int32_t disp = 0) { return {Kind::slot, 0, disp, slot}; }
  static Mem incoming(int32_t disp) { return {Kind::incoming, 0, disp, 0}; }
  static Mem outgoing(int32_t disp) { return {Kind::outgoing, 0, disp, 0}; }
  static Mem dynamic_area() { return {Kind::dynamic_area, 0, 0, 0}; }
  static Mem symbol(uint32_t reference) { return {Kind::symbol, 0, 0, reference}; }
  static Mem thread(uint32_t reference) { return {Kind::thread, 0, 0, reference}; }
  static Mem constants(uint32_t offset) { return {Kind::constants, 0, int32_t(offset), 0}; }
  bool operator==(const Mem&) const = default;
};

// FunctionDraft::frame (codegen/native/mir_writer.h). The frame pointer is s0, the base pointer s1. word_saved is a
// mask of registers.h; the flags have in their top bits how many of a0..a7 a variadic function stores below its
// incoming arguments.
namespace frame {
using namespace codegen::frame;
inline constexpr unsigned variadic_shift = 28;
}  // namespace frame

using entry = codegen::EntryRecord;

// Operands of a machine instruction: registers in the order of the text (a load or store: register, base), and the
// rest.
struct Fields {
  uint8_t a = 0, b = 0, c = 0, d = 0;
  uint8_t mode = 0;  // rounding mode; amo, lr: aq 1, rl 2; b bits of a fence
  int64_t imm = 0;   // also the number of a csr; fence: predecessors << 4 | successors
};

// Decoding. Indices are checked against what they index; `ok` turns false on damaged words and stays so.
struct Decoder {
  std::span<const uint32_t> extra;
  bool ok = true;

  uint32_t word(uint64_t i) {
    if (i < extra.size()) return extra[i];
    ok = false;
    return 0;
  }
  Mem memory(uint32_t operand);
  // Of the forms that are machine instructions without memory.
  static Fields fields(const InstInfo& row, uint32_t operand);
};

}  // namespace lode::riscv64
