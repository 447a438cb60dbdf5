// What a function's inline assembly puts into other sections (.pushsection): static keys, tables of patch sites, notes
// of probes.
//
// Such bytes belong to the function: they exist when its text does, and may hold addresses of labels in it, which only
// emit knows. So they travel with the MIR, as a record in `extra`, in terms of no target: labels of the text as MIR
// indices, symbols as the function's references (or by name, where the module has no such symbol), other places as
// offsets in the sections themselves. The linker turns the record into sections like those of an object file;
// NativeTarget::label_offsets() completes the addresses.
//
// A function that has such a record carries the flag draft_flags::has_asm_sections (codegen/native/target.h), and the
// last word of its `extra` is the index of the record, so that nobody else looks for one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace lode::codegen {

// `bytes` bytes that hold target + addend, or with pc_relative the distance to that from the place.
struct AsmPlace {
  enum class Target : uint8_t {
    text,             // index: MIR index in the function
    text_difference,  // index - minus, both MIR indices
    section,          // index: of the function's asm sections; the addend is an offset in it
    reference,        // index: of the function's references
    name,             // a symbol that the module does not know
  };
  uint32_t offset = 0;
  uint8_t bytes = 8;  // 1, 2, 4 or 8
  bool pc_relative = false;
  Target target = Target::text;
  uint32_t index = 0, minus = 0;
  int64_t addend = 0;
  std::string name;
};

// A symbol that the assembly defines.
struct AsmName {
  std::string name;
  uint32_t offset = 0;
  uint32_t size = 0;
  uint8_t bind = 0, visibility = 0, type = 0;  // ELF's numbers; bind 0: local
};

struct AsmSection {
  std::string name;
  std::string group;          // signature of its COMDAT group, or empty
  uint32_t type = 1;          // ELF's sh_type
  uint32_t flags = 0;         // ELF's sh_flags
  uint32_t entsize = 0;
  uint32_t align = 1;
  std::vector<uint8_t> bytes;
  std::vector<AsmPlace> places;
  std::vector<AsmName> names;
};

// Appends the record to `extra`. `label(word, index)` is told each word that holds a MIR index, so that a writer whose
// labels are not placed yet can fill it in later.
void write_asm_sections(std::span<const AsmSection> sections, std::vector<uint32_t>& extra,
                        const std::function<void(uint32_t word, uint32_t label)>& label);
// Reads the record at extra[at]. False: it is damaged. `count` and `references` are the function's numbers of
// instructions and references.
bool read_asm_sections(std::span<const uint32_t> extra, uint32_t at, uint32_t count, size_t references,
                       std::vector<AsmSection>& out);

}  // namespace lode::codegen
