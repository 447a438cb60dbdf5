// Call frame instructions of one function (DWARF 5 section 6.4.2), from the rows that prologue and epilogues left.
//
// They continue the common CIE: code alignment 1, data alignment -8, return address column 16, initial rules
// `cie_instructions`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/x86_64/lower_frame.h"

namespace lode::x86_64 {

// DW_CFA_def_cfa rsp, 8; DW_CFA_offset return address at CFA - 8
inline constexpr uint8_t cie_instructions[] = {0x0c, 7, 8, 0x90, 1};
inline constexpr uint32_t cie_code_align = 1;
inline constexpr int32_t cie_data_align = -8;

// `branch_bytes[k]`: bytes that the first k branches take; a row's final offset is row.offset +
// branch_bytes[row.branches].
void append_cfi(std::span<const CfiRow> rows, std::span<const uint32_t> branch_bytes, uint32_t text_size,
                std::vector<uint8_t>& out);

}  // namespace lode::x86_64
