// VCode: one function after instruction selection and before register allocation, for native targets.
//
// Instructions are the target's own (op, a, b mean what the target says); registers are virtual, or physical where the
// instruction set or the calling convention fixes them. Virtual registers need not be SSA: a two-address instruction
// has one operand of role `mod`. The register allocator (codegen/native/regalloc.h) knows nothing but what stands here.
//
// Invariants that select leaves true
//  1. Blocks are in final layout order. Every virtual register is defined on every path before it is used.
//  2. Critical edges are split where an edge carries a parallel copy: a block's parallel copy stands directly before
//     its terminator group, in a block with one successor (or directly at the start of a block with one predecessor).
//  3. A physical register's live range (from its def, or the function's entry for those in `entry_defs`, to its last
//     use) lies within one block; but it may begin at a block's start if the terminator groups of all predecessors
//     define the register (a call that may throw). Physical registers that are reserved are never mentioned.
//  4. A block's terminator group is one or more trailing instructions with the flag `terminator`; nothing is inserted
//     in or behind it. Terminators define no virtual register. One that clobbers registers reads none of them late.
#pragma once

#include <cstdint>
#include <vector>

namespace lode::codegen {

enum class RegClass : uint8_t { gp, fp };

// 0..31: physical, class gp; 32..63: physical, class fp; 64 and above: virtual register number + 64.
struct Reg {
  uint32_t value = none_value;
  static constexpr uint32_t none_value = 0x3ffffff, first_virtual = 64;
  static constexpr Reg virt(uint32_t n) { return Reg{n + first_virtual}; }
  constexpr bool valid() const { return value != none_value; }
  constexpr bool is_virtual() const { return value >= first_virtual && valid(); }
  constexpr bool is_physical() const { return value < first_virtual; }
  constexpr uint32_t index() const { return value - first_virtual; }  // of a virtual register
  friend constexpr bool operator==(Reg, Reg) = default;
};

enum class Role : uint8_t {
  use,        // read when the instruction starts; its register may be given to a def
  use_late,   // read until the instruction ends: shares no register with a def
  def,        // written when the instruction ends
  def_early,  // written while uses are still being read: shares no register with a use
  mod,        // read at the start, written at the end, in one and the same register
};

struct Operand {
  uint32_t bits;
  static constexpr Operand make(Reg r, Role role, bool may_be_slot = false) {
    return {r.value | uint32_t(role) << 26 | uint32_t(may_be_slot) << 29};
  }
  constexpr Reg reg() const { return Reg{bits & 0x3ffffff}; }
  constexpr Role role() const { return Role(bits >> 26 & 7); }
  // The instruction has a form that takes this operand from (or to) the stack: if the register is spilled, the
  // allocator may leave the slot here. At most one operand of an instruction is left in a slot.
  constexpr bool may_be_slot() const { return bits >> 29 & 1; }
  constexpr bool reads() const { return role() == Role::use || role() == Role::use_late || role() == Role::mod; }
  constexpr bool writes() const { return role() == Role::def || role() == Role::def_early || role() == Role::mod; }
};

namespace vflags {
inline constexpr uint8_t copy = 0x10,  // operands are {def, use} of one class: a register move
    parallel_copy = 0x20,              // operands are {def, use} pairs; all uses are read before any def is written
    remat = 0x40,                      // one def, no use, no effect: may be issued again elsewhere instead of a reload
    terminator = 0x80, clobber_mask = 0x0f;  // low four bits: index in RegisterInfo::clobbers, 0 = none
}

struct VInst {
  uint16_t op = 0;
  uint8_t operand_count = 0;  // 255: the count is in VCode::operands[operands], the operands follow
  uint8_t flags = 0;
  uint32_t operands = 0;      // first one, in VCode::operands
  uint32_t a = 0, b = 0;      // the target's payload
};
static_assert(sizeof(VInst) == 16);

struct VRegInfo {
  RegClass cls = RegClass::gp;
  uint8_t bytes = 8;          // of its value: a spill slot's size (1..32)
  uint16_t reserved = 0;
  uint32_t hint = Reg::none_value;  // a physical register it would best live in, or none
};
static_assert(sizeof(VRegInfo) == 8);

struct VBlock {
  uint32_t first_inst = 0, inst_count = 0;
  uint32_t succs = 0, succ_count = 0;  // block numbers in VCode::successors
  float frequency = 1;                 // executions per call of the function, estimated
};

struct VCode {
  std::vector<VInst> insts;
  std::vector<Operand> operands;
  std::vector<VRegInfo> vregs;
  std::vector<VBlock> blocks;
  std::vector<uint32_t> successors;
  std::vector<uint32_t> locations;  // by instruction: in air::Function::locations; empty without debug information
  uint64_t entry_defs = 0;  // physical registers that carry values at entry (arguments)

  void clear();
  Reg new_vreg(RegClass cls, unsigned bytes) {
    vregs.push_back({cls, uint8_t(bytes)});
    return Reg::virt(uint32_t(vregs.size() - 1));
  }
  const Operand* operands_of(const VInst& i, uint32_t& count) const {
    if (i.operand_count != 255) {
      count = i.operand_count;
      return operands.data() + i.operands;
    }
    count = operands[i.operands].bits;
    return operands.data() + i.operands + 1;
  }
};

}  // namespace lode::codegen
