#include "codegen/import/requests.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace lode::codegen {

namespace {

constexpr uint8_t F = position::function, C = position::call, P = position::parameter, R = position::result,
                  V = position::variable;
using enum Treatment;
using enum AttributeAction;
using namespace air::function_flags;

// The action column of a row.
struct Act {
  AttributeAction action;
  uint32_t function_flags = 0;
  uint16_t call_flags = 0, param_bits = 0;
  constexpr Act(AttributeAction a, uint32_t f = 0, uint16_t c = 0, uint16_t p = 0)
      : action(a), function_flags(f), call_flags(c), param_bits(p) {}
};
#define FLAG(f) Act(flags, air::function_flags::f)
#define CALL(c) Act(flags, 0, air::callflags::c)
#define BOTH(f, c) Act(flags, air::function_flags::f, air::callflags::c)
#define PARAM(p) Act(flags, 0, 0, air::attr::p)
#define TRUE(f) Act(flags_if_true, air::function_flags::f)

constexpr AttributeRow row(uint32_t number, std::string_view name, uint8_t positions, Treatment x86_64, Treatment wasm,
                           Act act, std::string_view why) {
  return {number, name, positions, x86_64, wasm, act.action, act.function_flags, act.call_flags, act.param_bits, why};
}

constexpr AttributeRow enum_attributes[] = {
#define ENUM_ATTRIBUTE(number, name, positions, x86_64, wasm, action, why) \
  row(number, name, positions, x86_64, wasm, action, why),
#include "codegen/import/enum_attributes.def"
};
constexpr AttributeRow string_attributes[] = {
#define STRING_ATTRIBUTE(key, positions, x86_64, wasm, action, why) row(0, key, positions, x86_64, wasm, action, why),
#include "codegen/import/string_attributes.def"
};
constexpr ConventionRow conventions[] = {
#define CONVENTION(number, name, x86_64, wasm, conv, why) {number, name, x86_64, wasm, air::CallConv::conv, why},
#include "codegen/import/conventions.def"
};
constexpr BundleRow bundles[] = {
#define BUNDLE(tag, x86_64, wasm, why) {tag, x86_64, wasm, why},
#include "codegen/import/operand_bundles.def"
};
constexpr FeatureRow features[] = {
#define TARGET_FEATURE(name, x86_64, flags, why) {name, x86_64, flags, why},
#include "codegen/import/target_features.def"
};

constexpr ModuleFlagRow module_flags[] = {
#define MODULE_FLAG(name, x86_64, wasm, action, why) {name, x86_64, wasm, FlagAction::action, why},
#include "codegen/import/module_flags.def"
};

bool stands_for(std::string_view row, std::string_view name) {
  return row.ends_with('*') ? name.starts_with(row.substr(0, row.size() - 1)) : row == name;
}

}  // namespace

std::span<const AttributeRow> enum_attribute_rows() { return enum_attributes; }
std::span<const AttributeRow> string_attribute_rows() { return string_attributes; }
std::span<const ConventionRow> convention_rows() { return conventions; }
std::span<const BundleRow> bundle_rows() { return bundles; }
std::span<const FeatureRow> feature_rows() { return features; }
std::span<const ModuleFlagRow> module_flag_rows() { return module_flags; }

const AttributeRow* find_enum_attribute(uint32_t number, uint8_t position) {
  // By number, the rows of the positions of functions and calls, and those of values.
  static const auto index = [] {
    std::array<std::array<const AttributeRow*, 2>, 256> table{};
    for (const AttributeRow& r : enum_attributes)
      for (unsigned value : {0u, 1u})
        if (r.positions & (value ? P | R : F | C)) table[r.number][value] = &r;
    return table;
  }();
  if (number >= index.size()) return nullptr;
  const AttributeRow* r = index[number][(position & (P | R)) != 0];
  return r;
}

const AttributeRow* find_string_attribute(std::string_view key) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const AttributeRow*> map;
    for (const AttributeRow& r : string_attributes) map.emplace(r.name, &r);
    return map;
  }();
  if (auto it = index.find(key); it != index.end()) return it->second;
  for (const AttributeRow& r : string_attributes)
    if (stands_for(r.name, key)) return &r;
  return nullptr;
}

const ConventionRow* find_convention(uint32_t number) {
  auto it = std::find_if(std::begin(conventions), std::end(conventions),
                         [&](const ConventionRow& r) { return r.number == number; });
  return it == std::end(conventions) ? nullptr : it;
}

const BundleRow* find_bundle(std::string_view tag) {
  auto it = std::find_if(std::begin(bundles), std::end(bundles), [&](const BundleRow& r) { return r.name == tag; });
  return it == std::end(bundles) ? nullptr : it;
}

const ModuleFlagRow* find_module_flag(std::string_view name) {
  auto it = std::find_if(std::begin(module_flags), std::end(module_flags),
                         [&](const ModuleFlagRow& r) { return stands_for(r.name, name); });
  return it == std::end(module_flags) ? nullptr : it;
}

uint32_t processor_features_of(std::string_view processor, std::string_view list) {
  using namespace air::processor_features;
  struct Feature {
    std::string_view name;
    uint32_t brings, falls;
  };
  static constexpr Feature known[] = {
#define PROCESSOR_FEATURE(name, brings, falls) {name, brings, falls},
#define PROCESSOR(name, has)
#include "codegen/import/processor_features.def"
  };
  static constexpr std::pair<std::string_view, uint32_t> processors[] = {
#define PROCESSOR_FEATURE(name, brings, falls)
#define PROCESSOR(name, has) {name, has},
#include "codegen/import/processor_features.def"
  };
  uint32_t set = 0;
  for (auto& [name, has] : processors)
    if (name == processor) set = has;
  while (!list.empty()) {
    const std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), one.size() + 1));
    for (const Feature& f : known) {
      if (one.size() < 2 || one.substr(1) != f.name) continue;
      if (one[0] == '+') set |= f.brings;
      else set &= ~f.falls;
    }
  }
  return set;
}

}  // namespace lode::codegen
