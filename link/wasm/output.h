// What the two writers share: sections in a growing buffer, values of relocations, bodies of functions.
#pragma once

#include <string>
#include <vector>

#include "link/wasm/link.h"

namespace lode::link::wasm {

using Buffer = std::vector<uint8_t>;

void put_name(Buffer& out, std::string_view name);
void put_limits(Buffer& out, uint8_t flags, uint64_t min, uint64_t max);
// Appends a section: id, size, payload. Empty payloads are written too: callers decide.
void put_section(Buffer& out, fw::SectionId id, const Buffer& payload);
void put_custom(Buffer& out, std::string_view name, const Buffer& payload);
// A subsection: kind, size, payload; nothing when the payload is empty.
void put_subsection(Buffer& out, uint8_t kind, const Buffer& payload);

// The value that a relocation of an object writes. `place` is the address of the field, for relocations relative to it.
uint64_t reloc_value(const Link& l, const InputFile& f, const fw::Reloc& r, uint64_t place = 0);

// A relocation of the output, in object mode.
struct OutReloc {
  fw::RelocType type{};
  uint32_t offset = 0;   // from the start of the section's payload
  SymbolId symbol;       // none for type_index_leb
  uint32_t trap = none;  // instead of the symbol: a function without one
  uint32_t type_index = 0;
  int64_t addend = 0;
  uint32_t section = none;  // instead of the symbol: a custom section of the output, by its place in custom_sections()
};

// The code of one run of functions: each body with its size in front.
struct CodeChunk {
  Buffer bytes;
  std::vector<OutReloc> relocs;  // offsets from the chunk's start
};
// The bodies of output_functions, in chunks in order; sets Function::code_offset, given the offset of the first.
std::vector<CodeChunk> write_code(Link& l, uint32_t first_offset);

// The custom sections of objects, and in object mode their relocations (custom.cpp). After write_code().
struct CustomSection {
  std::string_view name;
  Buffer payload;
  std::vector<OutReloc> relocs;
};
std::vector<CustomSection> custom_sections(const Link& l);

void put_types(const Link& l, Buffer& out);
// The content of an output segment, file_size bytes, appended; `relocs` (object mode) get offsets from its first byte.
void put_segment(const Link& l, const OutputSegment& o, Buffer& out, std::vector<OutReloc>* relocs);
Buffer producers_payload(const Link& l);
Buffer features_payload(const Link& l);

}  // namespace lode::link::wasm
