// Which source line a place of a relocatable object comes from, by its .debug_line (DWARF 5 section 6.2; versions 2 to
// 5).
//
// The sections are as they are in the object. An address in them is zero and a relocation says what is meant, so that
// addresses here are pairs of a section and an offset in it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lode::formats {

// What a relocation puts at `offset` of a section.
struct DwarfRelocation {
  uint64_t offset = 0;
  uint32_t section = 0;  // the one it points into
  uint64_t value = 0;    // where in it
};

struct LineSections {
  std::span<const uint8_t> line, line_str, str;
  std::span<const DwarfRelocation> relocations;  // of .debug_line, by offset
};

struct SourceLine {
  std::string path;  // as the compiler was given it; with its directory where the table has that
  uint64_t line = 0;
};

// Damaged tables answer nothing.
std::optional<SourceLine> find_source_line(const LineSections& sections, uint32_t section, uint64_t offset);
// File number `file` of the table that begins at `table`.
std::optional<SourceLine> source_file(const LineSections& sections, uint64_t table, uint64_t file, uint64_t line);

}  // namespace lode::formats
