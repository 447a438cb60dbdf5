#include "link/elf/cached_functions.h"

#include <tbb/parallel_for.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "codegen/air_function_key.h"
#include "link/elf/target.h"

namespace lode::link::elf {

using mir::PortableSymbol;

// What a module's part of the cache needs to know of the module, on demand.
struct ModuleNames {
  std::once_flag once;
  std::unordered_map<std::string_view, uint32_t> symbols;  // those that others may define or see
};

namespace {

mir::Hash128 hash_bytes(const void* data, size_t n, uint64_t seed = 0) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(data, n, seed);
  return {h.low64, h.high64};
}

mir::Hash128 hash_of_options(const codegen::TargetOptions& o, uint16_t machine) {
  const uint32_t words[] = {uint32_t(o.pic), uint32_t(o.shared), uint32_t(o.object), uint32_t(o.force_frame_pointer), uint32_t(o.branch_targets), o.features, machine};
  return hash_bytes(words, sizeof words);
}

struct Mixed {
  mir::Hash128 a, b;
};
mir::Hash128 mix(const mir::Hash128& a, const mir::Hash128& b) {
  const Mixed both{a, b};
  return hash_bytes(&both, sizeof both);
}

constexpr uint8_t reach_of_none = 0xff;
uint8_t reach_of(const ModuleState& m, uint32_t symbol) { return symbol < m.reach.size() ? uint8_t(m.reach[symbol]) : reach_of_none; }

const std::unordered_map<std::string_view, uint32_t>& names_of(ModuleState& m) {
  std::call_once(m.names->once, [&] {
    for (uint32_t s = 0; s < m.module->symbols.size(); s++) {
      const air::Symbol& x = m.module->symbols[s];
      if (x.linkage != air::Linkage::internal && x.name.size) m.names->symbols.try_emplace(m.module->str(x.name), s);
    }
  });
  return m.names->symbols;
}

}  // namespace

void open_cached_modules(Link& link, const codegen::TargetOptions& options) {
  MirCache* cache = link.mir_cache;
  if (!cache) return;
  const mir::Hash128 made_by = hash_of_options(options, link.target->code()->elf_machine);
  tbb::parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    if (f.kind != FileKind::module || f.module->cached) return;
    ModuleState& m = *f.module;
    m.names = std::make_shared<ModuleNames>();
    m.options_key = made_by;
    if (!m.bitcode) m.air_key = codegen::air_module_key(*m.module);
    // A module that is not a file is known by its functions alone.
    const mir::Hash128 content = f.data.empty() ? mir::Hash128{f.id, uint64_t(f.priority)} : hash_bytes(f.data.data(), f.data.size());
    const std::string name = std::filesystem::path(f.name).filename().string();
    m.cached = cache->open(mix(content, made_by), mix(hash_bytes(name.data(), name.size()), made_by), m.functions.size());
  });
}

CachedFunction::CachedFunction(Link& link, std::span<const SymbolId> runtime, ModuleState& module, const ModuleFunction& function)
    : link_(link), runtime_(runtime), module_(module), function_(function), cached_(module.cached.get()) {}

mir::Hash128 CachedFunction::key(const mir::Hash128& body, std::span<const uint32_t> symbols) const {
  std::vector<uint8_t> bytes;
  bytes.reserve(64 + symbols.size());
  append_le(bytes, body);
  append_le(bytes, module_.options_key);
  append_le(bytes, uint32_t(function_.blocks.size()));
  for (uint32_t b : function_.blocks) append_le(bytes, b);
  for (uint32_t s : symbols) bytes.push_back(reach_of(module_, s));
  return hash_bytes(bytes.data(), bytes.size());
}

// The references get this link's symbols. False: one of them is not what it was.
bool CachedFunction::accept(const CachedModule::Found& found, mir::FunctionDraft& draft) {
  if (found.bytes.empty()) return false;
  std::vector<PortableSymbol> symbols;
  auto fit = [&] {
    if (!mir::read_portable(found.bytes, draft, symbols)) return false;
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
          if (s.index >= found.symbols.size() || found.symbols[s.index] >= module_.ids.size()) return false;
          id = module_.ids[found.symbols[s.index]];
          break;
        case PortableSymbol::named: {
          auto it = names_of(module_).find(s.name);
          if (it == module_.names->symbols.end() || reach_of(module_, it->second) != s.reach) return false;
          id = module_.ids[it->second];
          break;
        }
      }
      if (!id.valid()) return false;
    }
    return true;
  };
  if (fit()) return true;
  draft.clear();
  cached_->forget(uint32_t(function_.index.value));
  return false;
}

bool CachedFunction::take_known(mir::FunctionDraft& draft) {
  // Block numbers of AIR are not what a text's content alone decides for a builder's module: those are looked up by key.
  if (!cached_ || !module_.bitcode) return false;
  const auto found = cached_->by_number(function_.index.value, [&](const mir::Hash128& body, std::span<const uint32_t> symbols) { return key(body, symbols); });
  if (!accept(found, draft)) return false;
  link_.mir_cache->count(&MirCache::Statistics::functions_by_number);
  return true;
}

bool CachedFunction::take_equal(const mir::Hash128& body, std::vector<air::SymbolIndex> symbols, mir::FunctionDraft& draft) {
  if (!cached_) return false;
  body_ = body;
  symbols_.clear();
  for (air::SymbolIndex s : symbols) symbols_.push_back(s.value);
  key_ = key(body_, symbols_);
  if (!accept(cached_->by_key(function_.index.value, body_, key_, symbols_), draft)) return false;
  link_.mir_cache->count(&MirCache::Statistics::functions_by_key);
  return true;
}

void CachedFunction::keep(const mir::FunctionDraft& draft) {
  if (!cached_) return;
  link_.mir_cache->count(&MirCache::Statistics::made);
  std::unordered_map<uint32_t, uint32_t> listed;  // by SymbolId
  for (uint32_t k = 0; k < symbols_.size(); k++)
    if (symbols_[k] < module_.ids.size() && module_.ids[symbols_[k]].valid()) listed.try_emplace(module_.ids[symbols_[k]].value, k);
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
    const Symbol& symbol = link_.symbols[id.value];
    auto it = names_of(module_).find(symbol.str());
    if (symbol.local || it == module_.names->symbols.end() || module_.ids[it->second] != id) {
      link_.mir_cache->count(&MirCache::Statistics::unkept);
      return;
    }
    s.base = PortableSymbol::named;
    s.reach = reach_of(module_, it->second);
    s.name = it->first;
  }
  std::vector<uint8_t> bytes;
  mir::append_portable(draft, out, bytes);
  cached_->made(function_.index.value, body_, key_, symbols_, std::move(bytes));
}

}  // namespace lode::link::elf
