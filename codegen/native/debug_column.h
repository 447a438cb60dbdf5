// The words of debug information that a function's MIR carries (FunctionDraft::debug): line rows, and where variables
// are.
//
// Positions are MIR indices: emit alone knows offsets, and tells them as it does those of any label. Scopes, variables
// and expressions are numbers of the producer's metadata plus one; what they stand for is read when the output's
// sections are made, from the module that the function is of, so that nothing of types or names is in here. The words
// may come from a file: read_debug_column() checks all that indexes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/air/air.h"

namespace lode::codegen {

// From instruction `inst` on the source position is locations[location]; 0: no line.
struct DebugRow {
  uint32_t inst = 0;
  uint32_t location = 0;
  bool block_start = false;
};

struct DebugLocation {
  uint32_t line = 0, column = 0, scope = 0, inlined_at = 0;
};

// Where a variable is, or what, between two MIR indices.
struct DebugRange {
  enum Kind : uint32_t {
    slot,         // in memory: frame slot `payload`
    incoming,     // in memory: `payload` bytes into the incoming stack arguments
    reg,          // the value is in register `payload` (codegen::Reg)
    slot_value,   // the value lies in frame slot `payload`
    constant,     // the value is `payload`
    slot_address, // the value is the address of frame slot `payload`
    memory,       // in memory: at the address in register `payload`
  };
  static constexpr Kind last_kind = memory;
  uint32_t variable = 0, inlined_at = 0, expression = 0;
  Kind kind = slot;
  uint32_t begin = 0, end = ~0u;  // end ~0: to the function's end, and from its start: declared, not a list
  uint64_t payload = 0;
};

struct DebugColumn {
  uint32_t subprogram = 0;
  std::vector<DebugRow> rows;                // by rising inst
  std::vector<DebugLocation> locations;      // [0] is none
  std::vector<DebugRange> ranges;            // of one variable together, by rising begin
  void clear();
};

void write_debug_column(const DebugColumn& column, std::vector<uint32_t>& out);
// False: the words are damaged. `count`: the function's instructions.
bool read_debug_column(std::span<const uint32_t> words, uint32_t count, DebugColumn& out);

}  // namespace lode::codegen
