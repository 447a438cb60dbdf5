// Where in the source a variable of a relocatable object is declared, by its .debug_info (DWARF 5 section 4.1; versions
// 2 to 5).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "formats/dwarf_line.h"

namespace lode::formats {

struct VariableSections {
  std::span<const uint8_t> info, abbrev, addr;
  std::span<const DwarfRelocation> info_relocations, addr_relocations;
};

// The declaration of the variable that begins at `offset` of `section`. Damaged units answer nothing.
std::optional<SourceLine> find_variable_line(const VariableSections& sections, const LineSections& lines,
                                             uint32_t section, uint64_t offset);

}  // namespace lode::formats
