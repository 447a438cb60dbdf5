// What the inline assembly of IR functions puts into other sections, as sections of the link. See asm_sections.cpp.
#pragma once

#include <memory>
#include <vector>

#include "link/elf/link.h"

namespace lode::link::elf {

struct AsmSectionState {
  // A section that stands for a place in another file: addresses in it are those of `atom` + value.
  struct StandIn {
    uint32_t file, atom;
    uint64_t value;
    uint32_t section;  // in `file`
  };
  // What the text's labels complete: the addend of a relocation, or a distance in the data. Points into the made file's
  // bytes.
  struct Label {
    uint32_t atom;                // of the function's text
    uint32_t label, minus;        // MIR indices; minus: none for an address
    uint8_t* field;
    uint8_t bytes;                // of the field
    int64_t addend;
  };
  std::vector<StandIn> stand_ins;
  std::vector<Label> labels;
  std::vector<uint32_t> done;     // atoms of functions whose sections are made, sorted
};

// After a walk: makes an object for the sections of functions that the walk reached first. True: there is one, so that
// symbols have to be resolved again.
bool add_asm_sections(Link& link);
// After measure_functions(): completes what depends on labels.
void complete_asm_sections(Link& link);
// Whenever atoms have got their addresses: those of the stand-ins follow.
void place_asm_stand_ins(Link& link);

}  // namespace lode::link::elf
