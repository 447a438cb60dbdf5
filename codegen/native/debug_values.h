// Where source variables are once registers have been given out: a forward analysis over VCode and its allocation.
//
// A mark says that from an instruction on a variable (or a part of it) is a value. The analysis follows what each
// register and spill slot holds, through instructions and the allocator's edits, and so knows at each point where that
// value is, until nothing holds it any more or the next mark. At a block's start a variable is known if it is in the
// same place at the ends of all blocks that lead there. No place is ever guessed: where it is not certain that a
// location holds the value, the variable has none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/native/debug_column.h"
#include "codegen/native/regalloc.h"

namespace lode::codegen {

struct DebugMark {
  uint32_t inst = 0;         // of VCode; in front of it
  uint32_t order = 0;        // among the marks of one place
  // reg, memory: of the register `reg`; constant, slot_address: as DebugRange. `known` false: nothing is known from
  // here on.
  DebugRange::Kind kind = DebugRange::reg;
  bool known = false;
  bool at_block_start = false;  // the value is a parameter of the block
  Reg reg;
  uint64_t payload = 0;
  uint32_t variable = 0, inlined_at = 0, expression = 0;
  uint32_t part_offset = 0, part_size = 0;  // bits; size 0: the whole variable
};

struct DebugPositions {
  // MIR indices by instruction of VCode: in front of its edits, and behind them. One more: the end.
  std::vector<uint32_t> before, behind;
};

// `marks` sorted by (inst, order). Registers' ranges have DebugRange::reg or slot_value; a slot's number is that of the
// allocator plus `first_slot`.
void find_debug_ranges(const VCode& code, const RegisterInfo& info, const Allocation& allocation,
                       std::span<const DebugMark> marks, const DebugPositions& positions, uint32_t first_slot,
                       std::vector<DebugRange>& out);

}  // namespace lode::codegen
