// The DWARF sections of one IR module, made of its metadata and of what emit knows of its functions.
//
// Asked for: all functions are measured, so that offsets in them stand. The sections mean the same wherever they lie:
// what depends on addresses are relocations. Functions that are not in the output are not described, nor are variables
// that are not.
//
// The metadata is hostile: a node that is missing, of the wrong kind, nested deeper than anything sensible or leading
// back to itself is left out, and `warnings` says once that something was.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "codegen/debug/dwarf.h"
#include "codegen/native/debug_column.h"
#include "codegen/native/target.h"

namespace lode::formats::bitcode {
struct Module;
}
namespace lode::codegen {

struct DebugFunction {
  uint32_t body = 0;        // of bitcode::Module::bodies
  uint32_t symbol = 0;      // the caller's number; it stands at `entry` in the text
  uint32_t entry = 0, text_size = 0;
  DebugColumn column;       // with offsets in the text in the place of MIR indices
  DebugFrame frame;
};

struct DebugGlobal {
  bool exists = false;      // it is in the output
  bool thread_local_ = false;
  uint32_t symbol = 0;
};

struct DebugInput {
  const formats::bitcode::Module* module = nullptr;
  std::span<const uint8_t> dwarf_registers;   // NativeTarget::dwarf_registers
  std::vector<DebugFunction> functions;
  std::function<DebugGlobal(uint32_t global)> global;  // by number in bitcode::Module::globals
};

Result<dwarf::Sections> make_debug_sections(const DebugInput& input, std::vector<std::string>& warnings);

}  // namespace lode::codegen
