// BitcodeModule: the parts in their order.
#include "codegen/import/import.h"

#include "codegen/import/function_import.h"
#include "codegen/import/state.h"

namespace lode::codegen {

BitcodeModule::BitcodeModule() = default;
BitcodeModule::~BitcodeModule() = default;

const air::Module& BitcodeModule::module() const { return state_->air; }
air::Module& BitcodeModule::module() { return state_->air; }

Result<std::unique_ptr<BitcodeModule>> BitcodeModule::open(std::span<const uint8_t> file, std::string name) {
  auto run = [&](ImportState& s) -> Result<void> {
    LODE_ASSIGN(s.bitcode, bc::open(file));
    s.name = s.air.name = name;
    s.air.triple = std::string(s.bitcode.triple);
    s.air.files.emplace_back();
    LODE_TRY(import_types(s));
    s.wasm = s.bitcode.triple.empty() ? s.air.types.layout().pointer_bytes == 4 : s.bitcode.triple.starts_with("wasm");
    summarise_attributes(s);
    LODE_TRY(import_symbols(s));
    add_indirect_thunk(s);
    LODE_TRY(import_data(s));
    LODE_TRY(apply_module_asm(s));
    LODE_TRY(import_scopes(s));
    s.air.debug_information = s.scopes.has_units;
    LODE_TRY(import_module_flags(s));
    return {};
  };
  std::unique_ptr<BitcodeModule> m(new BitcodeModule);
  m->state_ = std::make_unique<ImportState>();
  if (auto r = run(*m->state_); !r.ok()) return r.take_error().at(name);
  m->state_->air.bodies = m.get();
  return m;
}

Result<void> BitcodeModule::read(air::FunctionIndex f, air::Function& out) const {
  if (f.value >= state_->body_of.size()) return error_at(state_->name, "no function of that number");
  if (state_->body_of[f.value] == bc::none) {
    make_indirect_thunk(*state_, f, out);
    return {};
  }
  auto scratch = take_scratch(*state_);
  auto r = import_function(*state_, state_->body_of[f.value], *scratch, out);
  give_scratch(*state_, std::move(scratch));
  if (!r.ok()) return r.take_error().at(state_->name);
  return {};
}

}  // namespace lode::codegen
