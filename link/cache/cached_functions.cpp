#include "link/cache/cached_functions.h"

#include <xxhash.h>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"

namespace lode::link {

using mir::PortableSymbol;

namespace {

mir::Hash128 hash_bytes(const void* data, size_t n) {
  const XXH128_hash_t h = XXH3_128bits(data, n);
  return {h.low64, h.high64};
}

mir::Hash128 mix(const mir::Hash128& a, const mir::Hash128& b) {
  const mir::Hash128 both[] = {a, b};
  return hash_bytes(both, sizeof both);
}

constexpr uint8_t reach_of_none = 0xff;

}  // namespace

// ---- of a module ----------------------------------------------------------------------------------------------------

ModuleCache::ModuleCache(MirCache& cache, const std::string& name, const air::Module& module,
                         const codegen::BitcodeModule* bitcode, const codegen::TargetOptions& o, uint32_t target)
    : cache_(cache), module_(module), bitcode_(bitcode) {
  const uint32_t words[] = {uint32_t(o.pic),
                            uint32_t(o.shared),
                            uint32_t(o.object),
                            uint32_t(o.force_frame_pointer),
                            uint32_t(o.branch_targets),
                            uint32_t(o.debug),
                            o.features,
                            target};
  options_ = hash_bytes(words, sizeof words);
  if (!bitcode) air_key_ = codegen::air_module_key(module);
  ModuleIdentity identity;
  identity.path = mix(hash_bytes(name.data(), name.size()), options_);
  const std::string file = std::filesystem::path(name).filename().string();
  identity.role = mix(hash_bytes(file.data(), file.size()), options_);
  // AIR is known by its functions alone (take_known() is for bitcode), and by its name from link to link.
  identity.content = bitcode ? mix(bitcode->content(), options_) : identity.path;
  cached_ = cache.open(identity, module.functions.size());
}

const ModuleCache::Names& ModuleCache::names(std::span<const SymbolId> ids) {
  std::call_once(names_.once, [&] {
    for (uint32_t s = 0; s < module_.symbols.size() && s < ids.size(); s++) {
      const air::Symbol& x = module_.symbols[s];
      if (x.linkage == air::Linkage::internal || x.name.size == 0 || !ids[s].valid()) continue;
      names_.by_name.try_emplace(module_.str(x.name), s);
      names_.by_id.try_emplace(ids[s].value, s);
    }
  });
  return names_;
}

// ---- of a function --------------------------------------------------------------------------------------------------

uint8_t CachedFunction::reach(uint32_t symbol) const {
  return symbol < context_.reach.size() ? uint8_t(context_.reach[symbol]) : reach_of_none;
}

mir::Hash128 CachedFunction::key(const mir::Hash128& body, std::span<const uint32_t> symbols) const {
  std::vector<uint8_t> bytes;
  bytes.reserve(64 + symbols.size());
  append_le(bytes, body);
  append_le(bytes, cache_.options_);
  append_le(bytes, uint32_t(context_.exported_blocks.size()));
  for (uint32_t b : context_.exported_blocks) append_le(bytes, b);
  for (uint32_t s : symbols) bytes.push_back(reach(s));
  return hash_bytes(bytes.data(), bytes.size());
}

// The references get this link's symbols. False: one of them is not what it was.
bool CachedFunction::accept(const CachedModule::Found& found, mir::FunctionDraft& draft) {
  if (found.head.empty()) return false;
  std::vector<PortableSymbol> symbols;
  auto fit = [&] {
    if (!mir::read_portable_head(found.head, draft, symbols)) return false;
    without_code_ = without_code_ && !(draft.flags & codegen::draft_flags::has_asm_sections);
    bool whole = true;
    if (without_code_) return accept_symbols(symbols, found.symbols, draft);
    const std::span<const uint8_t> code = cache_.cached_->code(function_.value, whole);
    if (!whole || !mir::read_portable_code(found.head, code, draft)) return false;
    return accept_symbols(symbols, found.symbols, draft);
  };
  if (fit()) return true;
  draft.clear();
  cache_.cached_->forget(function_.value);
  return false;
}

bool CachedFunction::accept_symbols(std::span<const PortableSymbol> symbols, std::span<const uint32_t> listed,
                                    mir::FunctionDraft& draft) const {
  for (size_t k = 0; k < symbols.size(); k++) {
    const PortableSymbol& s = symbols[k];
    SymbolId& id = draft.references[k].symbol;
    switch (s.base) {
      case PortableSymbol::none: continue;
      case PortableSymbol::runtime:
        if (s.index >= runtime_.size()) return false;
        id = runtime_[s.index];
        break;
      case PortableSymbol::listed:
        if (s.index >= listed.size() || listed[s.index] >= context_.symbols.size()) return false;
        id = context_.symbols[listed[s.index]];
        break;
      case PortableSymbol::named: {
        const auto& names = cache_.names(context_.symbols).by_name;
        auto it = names.find(s.name);
        if (it == names.end() || reach(it->second) != s.reach) return false;
        id = context_.symbols[it->second];
        break;
      }
    }
    if (!id.valid()) return false;
  }
  return true;
}

bool CachedFunction::take_known(mir::FunctionDraft& draft) {
  // AIR is there already, so its keys are found rather than looked up.
  if (!cache_.bitcode_) return false;
  const auto found = cache_.cached_->by_number(
      function_.value,
      [&](const mir::Hash128& body, std::span<const uint32_t> symbols) { return key_ = key(body, symbols); });
  if (!accept(found, draft)) return false;
  cache_.cache_.count(&MirCache::Statistics::functions_by_number);
  return true;
}

bool CachedFunction::take_equal(const mir::Hash128& body, std::span<const air::SymbolIndex> symbols,
                                mir::FunctionDraft& draft) {
  body_ = body;
  symbols_.clear();
  for (air::SymbolIndex s : symbols) symbols_.push_back(s.value);
  key_ = key(body_, symbols_);
  has_key_ = true;
  if (!accept(cache_.cached_->by_key(function_.value, body_, key_, symbols_), draft)) return false;
  cache_.cache_.count(&MirCache::Statistics::functions_by_key);
  return true;
}

Result<CachedFunction::Outcome> CachedFunction::take_or_read(mir::FunctionDraft& draft, air::Function& air,
                                                             bool without_code) {
  without_code_ = without_code;
  auto done = [&] { return without_code_ ? taken_without_code : taken; };
  if (take_known(draft)) return done();
  std::vector<air::SymbolIndex> symbols;
  const codegen::BitcodeModule* bitcode = cache_.bitcode_;
  if (bitcode && bitcode->has_body(function_)) {
    LODE_ASSIGN(auto body, bitcode->open_body(function_));
    const mir::Hash128 hash = bitcode->key(body, symbols);
    without_code_ = without_code;
    if (take_equal(hash, symbols, draft)) return done();
    LODE_TRY(bitcode->read(body, air));
    return translated;
  }
  if (cache_.module_.bodies) {
    LODE_TRY(cache_.module_.bodies->read(function_, air));
    return translated;
  }
  if (function_.value >= cache_.module_.in_memory.size()) return error("no body");
  const air::Function& given = cache_.module_.in_memory[function_.value];
  const mir::Hash128 hash = codegen::air_function_key(cache_.module_, cache_.air_key_, given, symbols);
  if (take_equal(hash, symbols, draft)) return done();
  air = given;
  return translated;
}

void CachedFunction::keep(const mir::FunctionDraft& draft) {
  MirCache& cache = cache_.cache_;
  cache.count(&MirCache::Statistics::made);
  if (!has_key_) return cache.count(&MirCache::Statistics::unkept);
  std::unordered_map<uint32_t, uint32_t> listed;  // by SymbolId
  for (uint32_t k = 0; k < symbols_.size(); k++)
    if (symbols_[k] < context_.symbols.size() && context_.symbols[symbols_[k]].valid())
      listed.try_emplace(context_.symbols[symbols_[k]].value, k);
  std::vector<PortableSymbol> out(draft.references.size());
  for (size_t k = 0; k < out.size(); k++) {
    const SymbolId id = draft.references[k].symbol;
    PortableSymbol& s = out[k];
    if (!id.valid()) continue;
    if (auto it = listed.find(id.value); it != listed.end()) {
      s.base = PortableSymbol::listed;
      s.index = it->second;
      continue;
    }
    if (auto it = std::find(runtime_.begin(), runtime_.end(), id); it != runtime_.end()) {
      s.base = PortableSymbol::runtime;
      s.index = uint32_t(it - runtime_.begin());
      continue;
    }
    const auto& names = cache_.names(context_.symbols);
    auto it = names.by_id.find(id.value);
    if (it == names.by_id.end()) return cache.count(&MirCache::Statistics::unkept);
    s.name = cache_.module_.name_of(air::SymbolIndex(it->second));
    if (names.by_name.at(s.name) != it->second) return cache.count(&MirCache::Statistics::unkept);
    s.base = PortableSymbol::named;
    s.reach = reach(it->second);
  }
  std::vector<uint8_t> head, code;
  mir::append_portable(mir::as_view(draft), out, head, &code);
  cache_.cached_->made(function_.value, body_, key_, symbols_, std::move(head), std::move(code));
}

bool add_code(const CachedModule& module, uint32_t function, mir::FunctionDraft& draft) {
  bool whole = true;
  const std::span<const uint8_t> head = module.head(function), code = module.code(function, whole);
  std::vector<PortableSymbol> symbols;
  return whole && mir::read_portable_head(head, draft, symbols) && mir::read_portable_code(head, code, draft);
}

}  // namespace lode::link
