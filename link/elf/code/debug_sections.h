// Debug information of IR modules as sections of the link. See debug_sections.cpp.
#pragma once

#include <memory>
#include <vector>

#include "codegen/debug/module_debug.h"
#include "link/elf/link.h"

namespace lode::link::elf {

struct DebugSectionState {
  struct Object {
    uint32_t module = none, file = none;
    std::vector<Shdr> headers;
    std::vector<Sym> syms;
    codegen::dwarf::Sections contents;
    std::vector<Rela> relocations[codegen::dwarf::section_count];
  };
  std::vector<std::unique_ptr<Object>> objects;
};

// What the object's name has behind the module's.
inline constexpr std::string_view debug_information = " (debug information)";

// When it is known which functions are in the output: an object without contents for each module that has debug
// information.
void add_debug_sections(Link& link);
// After measure_functions(): their contents.
void complete_debug_sections(Link& link);

}  // namespace lode::link::elf
