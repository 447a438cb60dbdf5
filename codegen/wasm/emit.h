// Emit: MIR + layout -> the bytes of a function body.
//
// In an executable every LEB128 is minimal, which is why it runs after all indices and addresses are fixed. In object
// mode each value that depends on the link is a field of full width (5 bytes, 10 for 64-bit addresses), holding the
// value that the object itself would give it, with a Fixup. Emit is pure: no input is changed, twice gives the same
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "codegen/wasm/mir.h"
#include "formats/wasm/wasm.h"

namespace lode::wasm {

// The answer to one reference: function, type, global, tag or table index, table slot, or address (reference addend
// included).
using ReferenceValue = uint64_t;
// Set for a wasm_global that has no index: global.get of it becomes a constant, the low 63 bits.
inline constexpr ReferenceValue constant_global = uint64_t{1} << 63;

// Object mode: a relocation of the body.
struct Fixup {
  static constexpr uint32_t indirect_table = ~0u;
  uint32_t offset = 0;     // from the body's first byte (after the body's size)
  uint32_t reference = 0;  // index of the function's reference, or indirect_table
  formats::wasm::RelocType type{};
};

struct EmitOptions {
  bool object = false;
  bool table_fixups = false;     // object mode: call_indirect names the table by a relocation (reference types)
  uint32_t indirect_table = 0;   // table index of call_indirect
  bool table64 = false;          // with 64-bit addresses: the table has 64-bit indices
};

// Bytes that a body can have at most.
size_t body_bound(const mir::FunctionView& fn);
// Writes the body (local declarations, instructions, end; without the size in front) and returns its end. `values` runs
// parallel to the function's references. `fixups` is appended to in object mode, and may be null otherwise.
uint8_t* emit_body(const mir::FunctionView& fn, std::span<const ReferenceValue> values, const EmitOptions& options,
                   uint8_t* out, std::vector<Fixup>* fixups);

// Adds to counts[r] the number of instructions that name reference r; the prologue and epilogues count.
void count_references(const mir::FunctionView& fn, std::span<uint32_t> counts);

// One line an instruction, for people and tests; references are written as #index.
std::string print(const mir::FunctionView& fn);

// A draft as a view; tags are narrowed into `tags`, which the view then points to.
mir::FunctionView view_of(const mir::FunctionDraft& draft, std::vector<uint8_t>& tags);

}  // namespace lode::wasm
