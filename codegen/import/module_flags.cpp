// Module flags: what a module says about all of its code, read by the rows of module_flags.def.
//
// A flag is a node of !llvm.module.flags: how linkers merge it, its name, its value. Modules are not merged here: each
// keeps its own. A flag without a row is a warning: LLVM itself passes over flags that it does not know.
#include "codegen/import/requests.h"
#include "codegen/import/state.h"

namespace lode::codegen {

namespace {

// The flag's value; a constant that is no integer counts as 0.
uint64_t integer(const ImportState& s, const bc::ModuleFlag& flag) {
  if (flag.value == bc::none || flag.value >= s.bitcode.value_count()) return 0;
  Folder folder(s, nullptr);
  Folded f = folder.fold(flag.value);
  return f.kind == Folded::Int ? f.bits : 0;
}

air::SymbolIndex symbol(ImportState& s, std::string_view name) {
  air::Module& m = s.air;
  for (uint32_t k = 0; k < m.symbols.size(); k++)
    if (m.name_of(air::SymbolIndex(k)) == name) return air::SymbolIndex(k);
  air::Symbol y;
  y.name = m.add_string(name);
  y.type = air::TypeTable::i64;
  m.symbols.push_back(y);
  return air::SymbolIndex(uint32_t(m.symbols.size() - 1));
}

}  // namespace

Result<void> import_module_flags(ImportState& s) {
  air::ModuleRequests& r = s.air.requests;
  for (const bc::ModuleFlag& flag : bc::module_flags(s.scopes)) {
    const std::string name(flag.name);
    const ModuleFlagRow* row = find_module_flag(flag.name);
    if (!row) {
      s.air.warnings.push_back("module flag \"" + name + "\" is not known and has no effect");
      continue;
    }
    const Treatment treatment = row->treatment(s.wasm);
    const uint64_t value = integer(s, flag);
    bool wrong = treatment == Treatment::refused && (value != 0 || !flag.text.empty());
    if (treatment == Treatment::without_effect) continue;
    switch (row->action) {
      case FlagAction::none: break;
      case FlagAction::branch_targets: r.branch_targets = value != 0; break;
      case FlagAction::shadow_stack: r.shadow_stack = value != 0; break;
      case FlagAction::type_ids: r.type_ids = value != 0; break;
      case FlagAction::type_id_offset:
        wrong |= value > 4096;
        r.type_id_offset = uint32_t(value);
        break;
      case FlagAction::indirect_branch_prefix: r.indirect_branch_prefix = value != 0; break;
      case FlagAction::guard:
        if (flag.text == "global") r.guard = air::ModuleRequests::Guard::global;
        else wrong |= flag.text != "tls";
        break;
      case FlagAction::guard_register:
        if (flag.text == "gs") r.guard_segment = air::ModuleRequests::GuardSegment::gs;
        else wrong |= flag.text != "fs";
        break;
      case FlagAction::guard_offset: r.guard_offset = int32_t(uint32_t(value)); break;
      case FlagAction::guard_symbol: r.guard_symbol = symbol(s, flag.text); break;
      case FlagAction::stack_alignment: wrong = value > 16; break;
    }
    if (wrong) {
      std::string text = flag.text.empty() ? std::to_string(value) : "\"" + std::string(flag.text) + "\"";
      return error("module flag \"" + name + "\" with the value " + text + " is not supported" +
                   (row->why.empty() ? std::string() : " (" + std::string(row->why) + ")"));
    }
  }
  s.bitcode.wants_attachments = r.type_ids;
  // What a link has to know of a function before its body is read.
  for (size_t k = 0; k < s.air.functions.size(); k++) {
    air::FunctionDecl& f = s.air.functions[k];
    if (s.body_of[k] == bc::none) continue;
    const bc::Global& g = s.bitcode.globals[s.bitcode.bodies[s.body_of[k]].function];
    f.has_type_id = r.type_ids;
    if (g.attributes == bc::none) continue;
    const AttributeSummary& a = s.attributes[g.attributes];
    f.no_cf_check = a.function_flags & air::function_flags::no_cf_check;
    f.patchable_entry = a.requests.patchable_entry;
    f.patchable_prefix = a.requests.patchable_prefix;
    f.patchable_section = s.air.add_string(a.patchable_section);
  }
  return {};
}

}  // namespace lode::codegen
