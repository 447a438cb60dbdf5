// What the importer's parts share. Everything in ImportState is fixed once BitcodeModule::open() has returned, except
// the pool of scratch memory, which a lock guards, and the keys, which are made once.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/import/function_key.h"
#include "codegen/import/import.h"
#include "codegen/import/intrinsics.h"
#include "formats/bitcode/body.h"
#include "formats/bitcode/metadata.h"

namespace lode::codegen {

namespace bc = formats::bitcode;

// What an attribute list means to code generation.
struct ParamEntry {
  uint32_t param;  // from 0
  air::ParamAttr attr;
};
struct AttributeSummary {
  uint32_t function_flags = 0;  // air::function_flags
  uint16_t call_flags = 0;      // air::callflags
  uint16_t result_attrs = 0;
  uint32_t features = 0;        // air::processor_features
  uint32_t first = 0, count = 0;  // ParamEntry, by rising param
  air::Requests requests;         // its symbols come from resolve_attribute_symbols()
  std::string_view probe_symbol, patchable_section, fentry, entry_call, exit_call;
  air::SymbolIndex entry_symbol, exit_symbol;
  // What is refused, with the reason, as an error's text; empty: nothing.
  std::string refused_function;   // in a definition with this list
  std::string refused_call;       // in a call with it, or of a function that has it
  std::string refused_variable;   // in the definition of a variable that has it
};

struct FunctionScratch;

struct ImportState {
  std::string name;
  bc::Module bitcode;
  air::Module air;
  std::vector<air::TypeId> types;          // by bitcode type; void for label, metadata, token, opaque
  std::vector<uint8_t> type_ok;            // values of the type can exist
  std::vector<air::SymbolIndex> symbols;   // by bitcode global; none for intrinsics and dropped arrays
  MachineIntrinsics machine_intrinsics = nullptr;
  std::vector<const Intrinsic*> intrinsics;  // by bitcode global; null: none
  std::vector<air::SymbolIndex> libcalls;  // by bitcode global, for intrinsics that become calls
  std::vector<air::TypeId> libcall_types;  // by bitcode global: the scalar function type
  std::vector<uint8_t> is_intrinsic;       // by bitcode global
  std::vector<uint32_t> body_of;           // by air function: index into bitcode.bodies
  std::vector<AttributeSummary> attributes;  // by attribute list
  std::vector<ParamEntry> param_entries;
  bc::DebugScopes scopes;                  // of the module; those of functions refer to it
  std::vector<uint32_t> scope_files;       // by node of scopes: index into air.files for DIFile nodes, else 0
  std::unordered_map<std::string, uint32_t> file_numbers;  // path -> index into air.files
  air::TypeId pointer_int;                 // the integer of the pointer's width
  air::TypeId entry_call_type, profile_call_type;  // of functions that functions call when they are entered or left
  bool keeps_debug = false;                // functions are read with their debug information
  bool wasm = false;                       // the triple's machine, else what the size of a pointer says
  bool has_trap = false;                   // llvm.trap or the like is declared

  mutable ModuleKeys keys;                 // made when somebody asks
  mutable std::mutex pool_lock;
  mutable std::vector<std::unique_ptr<FunctionScratch>> pool;

  air::TypeId type(uint32_t bitcode_type) const { return types[bitcode_type]; }
};

// Values of constant expressions as far as a linker can express them.
struct Folded {
  enum Kind : uint8_t {
    No,          // needs instructions
    Int,         // bits
    Address,     // symbol + bits
    Difference,  // symbol - minus + bits
    Block,       // block number `block` (of the bitcode) of function `symbol`
    BlockDifference,  // the address of that block minus that of block number `bits` of the same function
  };
  Kind kind = No;
  uint32_t block = 0;
  air::SymbolIndex symbol, minus;
  uint64_t bits = 0;
};

// Folds constants of the module (body == null) or of a body.
class Folder {
 public:
  Folder(const ImportState& s, const bc::Body* body) : s_(s), body_(body) {}
  Folded fold(uint32_t value) {
    budget_ = 4096;
    return fold(value, 0);
  }
  // The byte offset of constant indices into a type; false when it is not constant or the types do not fit.
  bool offset(uint32_t source_type, std::span<const uint32_t> indices, uint64_t& out);

  const bc::Constants* pool(uint32_t value, const bc::Constant*& k) const;
  uint32_t type_of(uint32_t value) const {
    return body_ ? body_->type_of(s_.bitcode, value) : s_.bitcode.value_types[value];
  }

 private:
  Folded fold(uint32_t value, int depth);

  const ImportState& s_;
  const bc::Body* body_;
  int budget_ = 0;
};

// module_import.cpp
Result<void> import_types(ImportState& s);
// attributes.cpp
void summarise_attributes(ImportState& s);
Result<void> resolve_attribute_symbols(ImportState& s);
bool takes_profile_arguments(std::string_view name);
// module_import.cpp
Result<void> import_symbols(ImportState& s);
// data_import.cpp: initialisers, llvm.used and friends, aliases
Result<void> import_data(ImportState& s);
// thunks.cpp: a function of the module's without a body in the bitcode; body_of says none
void add_indirect_thunk(ImportState& s);
void make_indirect_thunk(const ImportState& s, air::FunctionIndex f, air::Function& out);
// debug_import.cpp
void number_files(const ImportState& s, const bc::DebugScopes& scopes, std::vector<uint32_t>& out);
Result<void> import_scopes(ImportState& s);
// module_flags.cpp
Result<void> import_module_flags(ImportState& s);
// function_import.cpp
Result<void> read_body(const ImportState& s, uint32_t body, FunctionScratch& scratch);
// The body that was read last.
Result<void> import_function(const ImportState& s, FunctionScratch& scratch, air::Function& out);
// AIR block numbers by bitcode block number, none for those that the import drops.
Result<void> block_numbers(const ImportState& s, uint32_t body, FunctionScratch& scratch, std::vector<uint32_t>& out);
std::unique_ptr<FunctionScratch> take_scratch(const ImportState& s);
void give_scratch(const ImportState& s, std::unique_ptr<FunctionScratch> scratch);

}  // namespace lode::codegen
