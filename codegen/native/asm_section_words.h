// What .section and .pushsection say: NAME[, "flags"[, @type[, entsize][, linked][, group[, comdat]][, unique, N]]].
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lode::codegen {

struct AsmSectionWords {
  std::string name, group, linked;
  uint32_t type = 1;      // ELF's sh_type
  uint64_t flags = 0;     // ELF's sh_flags
  uint64_t entsize = 0;
  bool named_alone = false;    // nothing is said but the name
  bool flags_given = false, same_group = false;  // same_group: '?'
  uint32_t unique = 0;
};

// Null, or why it is not understood.
const char* parse_section_words(std::string_view rest, AsmSectionWords& out);

}  // namespace lode::codegen
