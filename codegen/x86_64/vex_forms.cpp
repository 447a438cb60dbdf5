#include "codegen/x86_64/vex_forms.h"

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>

namespace lode::x86_64 {

namespace {

// The letters of a legacy form, and those of the VEX-encoded ones in the order in which they are looked for.
constexpr struct {
  std::string_view from, to[2];
} letters[] = {
    {"rr", {"rrr", "rr"}},    {"rm", {"rrm", "rm"}},     {"mr", {"mr", ""}},   {"rri", {"rrri", "rri"}},
    {"rmi", {"rrmi", "rmi"}}, {"ri", {"rri", ""}},       {"xr", {"xxr", "xr"}}, {"xm", {"xxm", ""}},
    {"rx", {"rx", ""}},       {"xri", {"xxri", ""}},     {"rxi", {"rxi", ""}},  {"m", {"m", ""}},
};

std::array<VexForm, op_count> make() {
  std::unordered_map<std::string_view, Op> by_name;
  for (unsigned k = 0; k < op_count; k++)
    if (inst_table[k].traits & T_vex) by_name[inst_table[k].name()] = Op(k);
  std::array<VexForm, op_count> forms;
  for (unsigned k = 0; k < op_count; k++) {
    const InstInfo& row = inst_table[k];
    const std::string_view name = row.name();
    const size_t bar = name.rfind('_');
    if (row.traits & T_vex || bar == std::string_view::npos) continue;
    for (const auto& l : letters) {
      if (name.substr(bar + 1) != l.from) continue;
      for (std::string_view to : l.to) {
        if (to.empty()) continue;
        for (bool wide : {false, true}) {
          Op& form = wide ? forms[k].y : forms[k].x;
          if (form != Op::count_) continue;
          auto it = by_name.find("v" + std::string(name.substr(0, bar)) + (wide ? "256_" : "_") + std::string(to));
          if (it != by_name.end()) form = it->second;
        }
      }
    }
  }
  return forms;
}

}  // namespace

const VexForm* vex_forms() {
  static const std::array<VexForm, op_count> table = make();
  return table.data();
}

}  // namespace lode::x86_64
