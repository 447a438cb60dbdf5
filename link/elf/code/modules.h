// IR modules as inputs of an ELF link.
//
// A module is read into the same shape as an object: one section (atom) for every function and data item it defines, a
// symbol table, relocations for its initialisers. So resolution, liveness, layout and relocation treat both alike; what
// differs is where a function's bytes come from.
//
// Differences that remain: every symbol of a module has a SymbolId, also the internal ones, because MIR refers by
// SymbolId; and what is internal or may be dropped by the language (linkonce) is live only when something refers to it.
#pragma once

#include <memory>
#include <string>

#include "codegen/import/import.h"
#include "codegen/native/asm_object.h"
#include "codegen/native/target.h"
#include "link/elf/link.h"

namespace lode::link {
class ModuleCache;
}
namespace lode::link::elf {

struct ModuleFunction {
  uint32_t section = 0;            // of the text; the constants' section is the next one
  uint32_t exceptions = 0;         // section of the exception table, if the function may have one
  uint32_t patchable = 0;          // section that lists the entry as one that may be patched, if it may
  int32_t patchable_place = 0;     // what it lists, as a distance from the entry
  uint32_t traps = 0;              // section that lists the traps of type checks, if there may be any
  bool has_traps = false;          // there are; known when it has been made
  uint32_t moved = 0;              // by which the last measure found the entry farther in the text than the one before
  bool has_exceptions = false;     // it does; known when it has been made
  air::FunctionIndex index;
  FunctionId mir;                  // once made
  mir::Hash128 key;                // with a cache: what it is to it; zero: nothing
  codegen::FunctionSizes sizes;
  uint32_t frame_offset = none;    // of its FDE in .eh_frame
  std::vector<uint32_t> blocks;         // whose addresses data holds
  std::vector<int64_t> block_offsets;   // of `blocks`, in the text; after emit
  std::unique_ptr<mir::FunctionDraft> draft;  // between lowering and the end of the walk
  std::vector<codegen::ResolvedReference> references;
  std::vector<codegen::ReferenceField> fields;  // after emit, in an incremental link
};

// A place in data that holds the address of a block, or the distance of two.
struct BlockReference {
  uint32_t section = 0, reloc = none;  // reloc: index in relocs[section]; none for a distance
  uint32_t function = 0;               // index in functions
  uint32_t block = 0, minus = none;    // indices in its `blocks`
  uint64_t offset = 0;
  uint8_t size = 8;
};

struct ModuleState {
  std::unique_ptr<codegen::BitcodeModule> bitcode;
  std::unique_ptr<air::Module> text;
  const air::Module* module = nullptr;
  std::unique_ptr<codegen::AsmObject> assembly;  // of the module's own text, if it has any
  std::vector<Shdr> sections;
  std::vector<Sym> syms;
  std::vector<uint32_t> start_syms;     // those that stand for the start of a function's text, not for its entry
  std::vector<uint32_t> sym_of;         // symbol table index by air::SymbolIndex
  std::vector<SymbolId> ids;            // by air::SymbolIndex
  std::vector<codegen::SymbolReach> reach;
  std::vector<ModuleFunction> functions;
  std::vector<uint32_t> function_of_section;  // index in functions, or none
  std::vector<const uint8_t*> data;     // by section
  std::vector<std::vector<Rela>> relocs;  // by section
  std::vector<uint8_t> roots;           // by section: live without a reference
  std::vector<std::unique_ptr<std::vector<uint8_t>>> owned;
  std::vector<std::vector<formats::elf::Word>> group_members;
  std::vector<BlockReference> block_references;
  std::shared_ptr<ModuleCache> cache;   // null: none
  uint32_t first_local_id = none;       // SymbolIds of syms[1 .. first_global)

  const air::BodySource* bodies() const { return module->bodies; }
};

// Reads the module part: fills sections, symbols and names. Function bodies stay where they are.
Result<void> read_module(ObjectFile& file, const Link& link);
// When the functions' block_offsets are known: completes the data that refers to them.
void patch_block_references(ModuleState& module);
// After the globals' names have been interned: the ids of all symbols.
void number_module_symbols(Link& link, ObjectFile& file);

}  // namespace lode::link::elf
