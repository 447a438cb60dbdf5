// The tables that units share: strings by number (.debug_str, .debug_str_offsets), strings of line tables, addresses by
// number (.debug_addr), and lists of ranges and locations by number.
//
// Each has one header for all units of a module; a unit's *_base attributes point behind it. Everything is by number
// (DWARF 5, 7.5.5: strx, addrx, rnglistx, loclistx), so that a relocation exists once a string and once an address.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "codegen/debug/dwarf.h"

namespace lode::codegen::dwarf {

inline constexpr uint32_t list_header_bytes = 12, table_header_bytes = 8;

class Tables {
 public:
  explicit Tables(Sections& out) : out_(out) {}

  uint32_t string(std::string_view s);       // index for form_strx
  uint32_t line_string(std::string_view s);  // offset in .debug_line_str
  uint32_t address(uint32_t symbol, int64_t addend);
  // Lists: the bytes of one; its index.
  uint32_t add_ranges(std::vector<uint8_t> bytes);
  uint32_t add_locations(std::vector<uint8_t> bytes);
  bool has_ranges() const { return !ranges_.empty(); }
  bool has_locations() const { return !locations_.empty(); }
  // Writes what was collected.
  void finish();

 private:
  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  using Index = std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>>;
  void finish_lists(SectionId id, const std::vector<std::vector<uint8_t>>& lists);

  Sections& out_;
  Index strings_, line_strings_;
  std::vector<uint32_t> string_offsets_;
  std::map<std::pair<uint32_t, int64_t>, uint32_t> addresses_;
  std::vector<std::pair<uint32_t, int64_t>> address_list_;
  std::vector<std::vector<uint8_t>> ranges_, locations_;
};

}  // namespace lode::codegen::dwarf
