// Call frame instructions of one function (DWARF 5 section 6.4.2), from the rows that prologue and epilogues left.
//
// They continue the machine's common CIE (NativeTarget::cie_instructions), whose alignment factors divide what stands
// here.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/native/text_layout.h"

namespace lode::codegen {

// From this place on the rule holds.
struct CfiRow {
  enum class Kind : uint8_t {
    cfa_offset,    // the CFA is its register + value
    cfa_register,  // the CFA is reg + the offset in force
    cfa,           // the CFA is reg + value
    saved,         // the caller's reg is at the CFA - value
    remember,      // an epilogue begins
    restore,       // behind it, the body goes on
  };
  uint32_t offset, branches;  // a TextPlace
  Kind kind;
  uint8_t reg;  // DWARF's number
  int32_t value;
};

void append_cfi(std::span<const CfiRow> rows, const TextLayout& layout, uint32_t text_size, uint32_t code_align,
                int32_t data_align, std::vector<uint8_t>& out);

}  // namespace lode::codegen
