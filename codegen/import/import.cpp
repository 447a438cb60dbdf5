// BitcodeModule: the parts in their order.
#include "codegen/import/import.h"

#include <xxhash.h>

#include <algorithm>

#include "codegen/import/function_import.h"
#include "codegen/import/state.h"

namespace lode::codegen {

BitcodeModule::BitcodeModule() = default;
BitcodeModule::~BitcodeModule() = default;

const air::Module& BitcodeModule::module() const { return state_->air; }
air::Module& BitcodeModule::module() { return state_->air; }

Result<std::unique_ptr<BitcodeModule>> BitcodeModule::open(std::span<const uint8_t> file, std::string name,
                                                           MachineIntrinsics intrinsics) {
  auto run = [&](ImportState& s) -> Result<void> {
    LODE_ASSIGN(s.bitcode, bc::open(file));
    s.name = s.air.name = name;
    s.machine_intrinsics = intrinsics;
    s.air.triple = std::string(s.bitcode.triple);
    s.air.files.emplace_back();
    LODE_TRY(import_types(s));
    s.wasm = s.bitcode.triple.empty() ? s.air.types.layout().pointer_bytes == 4 : s.bitcode.triple.starts_with("wasm");
    summarise_attributes(s);
    LODE_TRY(import_symbols(s));
    add_indirect_thunk(s);
    LODE_TRY(import_data(s));
    s.air.module_asm = std::string(s.bitcode.module_asm);
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

void BitcodeModule::keep_debug_information() {
  state_->keeps_debug = state_->bitcode.wants_debug = state_->scopes.has_units;
}

const bc::Module* BitcodeModule::debug_module() const { return state_->keeps_debug ? &state_->bitcode : nullptr; }

uint32_t BitcodeModule::body_number(air::FunctionIndex f) const {
  return f.value < state_->body_of.size() ? state_->body_of[f.value] : bc::none;
}

air::SymbolIndex BitcodeModule::symbol_of_global(uint32_t global) const {
  return global < state_->symbols.size() ? state_->symbols[global] : air::SymbolIndex();
}

Result<void> BitcodeModule::read(air::FunctionIndex f, air::Function& out) const {
  if (f.value >= state_->body_of.size()) return error_at(state_->name, "no function of that number");
  if (state_->body_of[f.value] == bc::none) {
    make_indirect_thunk(*state_, f, out);
    return {};
  }
  LODE_ASSIGN(OpenBody body, open_body(f));
  return read(body, out);
}

BitcodeModule::OpenBody::OpenBody(const ImportState& state, std::unique_ptr<FunctionScratch> scratch)
    : state_(&state), scratch_(std::move(scratch)) {}
BitcodeModule::OpenBody::OpenBody(OpenBody&&) noexcept = default;
BitcodeModule::OpenBody::~OpenBody() {
  if (scratch_) give_scratch(*state_, std::move(scratch_));
}

const mir::Hash128& BitcodeModule::content() const { return state_->keys.content(state_->bitcode); }

bool BitcodeModule::has_body(air::FunctionIndex f) const {
  return f.value < state_->body_of.size() && state_->body_of[f.value] != bc::none;
}

Result<BitcodeModule::OpenBody> BitcodeModule::open_body(air::FunctionIndex f) const {
  if (!has_body(f)) return error_at(state_->name, "no function of that number");
  OpenBody body(*state_, take_scratch(*state_));
  if (auto r = read_body(*state_, state_->body_of[f.value], *body.scratch_); !r.ok())
    return r.take_error().at(state_->name);
  return body;
}

mir::Hash128 BitcodeModule::key(OpenBody& body, std::vector<air::SymbolIndex>& symbols) const {
  state_->keys.prepare(*state_);
  FunctionScratch& w = *body.scratch_;
  const mir::Hash128 key = w.key_writer.write(*state_, state_->keys, w.body, w.key_globals);
  symbols.clear();
  for (uint32_t g : w.key_globals) symbols.push_back(state_->symbols[g]);
  return key;
}

uint64_t BitcodeModule::tables() const { return state_->keys.tables(*state_); }

uint64_t BitcodeModule::body_bits(air::FunctionIndex f) const {
  if (!has_body(f)) return 0;
  const bc::Module& m = state_->bitcode;
  const bc::BodyPlace& b = m.bodies[state_->body_of[f.value]];
  // Blocks begin and end at words; the first word may have bits of what stood before.
  const uint64_t begin = b.bit / 32 * 4, end = (b.bit + uint64_t{b.words} * 32 + 31) / 32 * 4;
  if (!b.words || end > m.stream.size()) return 0;
  return std::max<uint64_t>(XXH3_64bits(m.stream.data() + begin, end - begin), 1);
}

bool BitcodeModule::bits_say_all(const OpenBody& body) const { return body.scratch_->key_writer.bits_say_all(); }

Result<void> BitcodeModule::read(OpenBody& body, air::Function& out) const {
  auto r = import_function(*state_, *body.scratch_, out);
  if (!r.ok()) return r.take_error().at(state_->name);
  return {};
}

}  // namespace lode::codegen
