// What producers may ask of code generation, as tables: enum and string attributes, calling conventions, operand
// bundles, target features, module flags.
//
// Nothing asked for is dropped in silence. Each request of LLVM 13 to 22 has a row that says what becomes of it: it is
// honoured; it has no effect here, and the row says why; or it is refused by name, with the function that asks. What
// has no row comes from a newer LLVM or from a producer of its own. An enum attribute or a bundle may then change code,
// so it is an error; a string attribute that LLVM does not know has no meaning to LLVM either, so it is one warning for
// each key.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "codegen/air/air.h"

namespace lode::codegen {

enum class Treatment : uint8_t { honoured, without_effect, refused };

// Where an attribute stands.
namespace position {
inline constexpr uint8_t function = 1, call = 2, parameter = 4, result = 8, variable = 16;
}

// What the importer does with an attribute; attributes.cpp says how.
enum class AttributeAction : uint8_t {
  none, flags, flags_if_true, pointee, stack_alignment, uwtable, frame_pointer, frame_pointer_non_leaf, probe_stack,
  probe_size, buffer_size, zero_registers, patchable_entry, patchable_prefix, patchable_section, fentry, entry_call,
  exit_call, xray, target,
  if_true
};

struct AttributeRow {
  uint32_t number;        // of an enum attribute
  std::string_view name;  // a string attribute's may end in `*`
  uint8_t positions;
  Treatment x86_64, wasm;
  AttributeAction action;
  uint32_t function_flags;
  uint16_t call_flags, param_bits;
  std::string_view why;
  Treatment treatment(bool is_wasm) const { return is_wasm ? wasm : x86_64; }
};
struct ConventionRow {
  uint32_t number;
  std::string_view name;
  Treatment x86_64, wasm;
  air::CallConv conv;
  std::string_view why;
  Treatment treatment(bool is_wasm) const { return is_wasm ? wasm : x86_64; }
};
struct BundleRow {
  std::string_view name;
  Treatment x86_64, wasm;
  std::string_view why;
  Treatment treatment(bool is_wasm) const { return is_wasm ? wasm : x86_64; }
};
enum class FlagAction : uint8_t {
  none, branch_targets, shadow_stack, type_ids, type_id_offset, indirect_branch_prefix, guard, guard_register,
  guard_offset, guard_symbol,
  stack_alignment
};
struct ModuleFlagRow {
  std::string_view name;  // may end in `*`
  Treatment x86_64, wasm;
  FlagAction action;
  std::string_view why;
  Treatment treatment(bool is_wasm) const { return is_wasm ? wasm : x86_64; }
};
struct FeatureRow {
  std::string_view name;  // with its sign
  Treatment x86_64;
  uint32_t function_flags;
  std::string_view why;
};

std::span<const AttributeRow> enum_attribute_rows();
std::span<const AttributeRow> string_attribute_rows();
std::span<const ConventionRow> convention_rows();
std::span<const BundleRow> bundle_rows();
std::span<const FeatureRow> feature_rows();
std::span<const ModuleFlagRow> module_flag_rows();

// air::processor_features of a processor's name with "target-features".
uint32_t processor_features_of(std::string_view processor, std::string_view features);

// Null: no row. A row that does not name the position has no meaning there: `naked` says nothing about a call.
const AttributeRow* find_enum_attribute(uint32_t number, uint8_t position);
const AttributeRow* find_string_attribute(std::string_view key);
const ConventionRow* find_convention(uint32_t number);
const BundleRow* find_bundle(std::string_view tag);
const ModuleFlagRow* find_module_flag(std::string_view name);

}  // namespace lode::codegen
