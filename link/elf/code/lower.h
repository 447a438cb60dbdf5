// The functions of IR modules in an ELF link: made to MIR when the liveness walk reaches them, measured before layout,
// emitted into the output.
#pragma once

#include <functional>

#include "base/stage_times.h"
#include "codegen/native/asm_sections.h"
#include "codegen/native/target.h"
#include "link/elf/link.h"

namespace lode::link::elf {

// Symbols of the functions that code generation calls by itself; they exist before anything is resolved.
void intern_runtime_names(Link& link);
// Before each walk: how code may reach each symbol, now that all are resolved.
void prepare_modules(Link& link);
// The atoms of modules that are live whatever refers to them.
void module_roots(Link& link, const std::function<void(uint32_t)>& mark_atom);
// Makes the MIR of the function that `atom` is and marks what it refers to. Any thread.
void lower_function(Link& link, uint32_t atom, const std::function<void(uint32_t)>& mark_symbol);
// Where code generation spent its time, of all threads together; all zero unless --stats or --time-trace asked.
StageTimes stage_times(const Link& link);
// After the walk: the MIR of all functions it made enters the store.
void store_drafts(Link& link);
// Lowering may have made references that an archive can satisfy: true when that brought in new members.
bool take_late_members(Link& link);
// Output sections of the constants and exception tables of live functions.
void place_functions(Link& link);
// All references of live functions: (atom, symbol).
void for_each_reference(Link& link, const std::function<void(uint32_t, uint32_t)>& f);
// Chooses the form of every reference and with it the size of every function.
bool measure_functions(Link& link);
// near.cpp: between layouts, what does not reach takes a longer form. True: something did not.
bool has_near_references(const Link& link);
bool grow_functions(Link& link);
// Sizes of the names of functions, and places of those that moved in their text, as the last measure has them.
void settle_function_symbols(Link& link);
// Functions of the walk whose assembly writes into other sections (codegen/native/asm_sections.h), in the order of the
// link.
void for_each_asm_function(Link& link,
                           const std::function<void(uint32_t atom, std::vector<codegen::AsmSection>&& sections,
                                                    std::span<const mir::Reference> references)>& f);
// Replaces MIR indices of a measured function by the offsets in its text. False: it has none, or it is damaged
// (reported).
bool label_offsets(Link& link, uint32_t atom, std::span<uint32_t> labels);
// ICF: the parts of a function's MIR, for a hash; then its references.
void hash_function(Link& link, uint32_t atom, const std::function<void(const void*, size_t)>& add,
                   const std::function<void(uint32_t symbol, int64_t addend)>& reference);
bool function_can_fold(Link& link, uint32_t atom);        // no data refers into it, no list has its entry
void fold_parts(Link& link, uint32_t atom);  // what belongs to a folded function: constants, exception table
bool function_address_matters(Link& link, uint32_t atom);  // unless all its names are unnamed_addr
// What the references of functions need: GOT slots, PLT entries.
void scan_functions(Link& link);
// Before the data of modules is written: it may hold addresses inside functions.
void write_functions(Link& link);
void finish_functions(Link& link);

// Object mode: the functions one after another, with the relocations that emit left.
struct EmittedFunction {
  uint32_t text_atom = none;     // the constants' atom is the next one
  uint32_t exceptions_atom = none;
  uint32_t traps_atom = none;
  std::span<const uint8_t> text, constants, exceptions, frame;  // frame: the FDE, to be placed at frame_offset
  uint32_t frame_offset = none;
  uint32_t table_field = none;   // where the FDE holds the distance to the exception table
  std::span<const uint32_t> traps;  // offsets in the text, for a list of distances at traps_atom
  std::span<const codegen::Fixup> fixups;
  std::span<const mir::Reference> references;
};
void emit_objects(Link& link, const std::function<void(const EmittedFunction&)>& sink);
// The CIEs of MIR functions: one for those without exceptions, one for each personality routine. Calls `personality`
// for the places, in .eh_frame, that hold the distance to the pointer to a routine, with the routine's symbol.
void write_common_cies(Link& link, uint8_t* eh_frame,
                       const std::function<void(uint32_t offset, uint32_t symbol)>& personality);
// All symbols that got_slot references of live functions name, each once, in order of their first appearance.
std::vector<uint32_t> slot_symbols(Link& link);

// .eh_frame records of MIR functions: they follow those of objects. Advances offset and count.
void layout_function_frames(Link& link, uint64_t& offset, uint64_t& count);
void write_function_frames(Link& link, OutputSection& section, uint8_t* out);
// The same for one file, whose block of FDEs is elsewhere: how long it is, FDEs having offsets in it; `cie_offset` says
// where the CIE of a personality routine is (none: without exceptions). Then, when the block has its place: the final
// offsets, and what the search table says of each.
uint64_t size_file_frames(Link& link, ObjectFile& file, uint64_t& count,
                          const std::function<uint32_t(uint32_t personality)>& cie_offset);
void place_file_frames(Link& link, ObjectFile& file, uint32_t offset,
                       std::vector<std::pair<uint64_t, uint64_t>>& entries);
std::vector<std::pair<uint32_t, uint32_t>> common_cies(const Link& link);  // (personality, offset)
// The bytes of one of them, and where its pointer to the personality routine's slot is in them; 0: it has none.
uint32_t common_cie(const Link& link, uint32_t personality, std::vector<uint8_t>& bytes);

}  // namespace lode::link::elf
