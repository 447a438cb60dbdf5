// The functions of IR modules and the cache (link/cache/mir_cache.h): how what a link decides enters a key, and how a
// function that another link made comes to speak of this link's symbols. Both linkers use it.
//
// The key of a function is that of its body (codegen/import/function_key.h, codegen/air/function_key.h), the options of
// code generation, how the link lets code reach each symbol that the body names, and the blocks whose addresses data
// holds: that is all that lowering reads.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "codegen/air/function_key.h"
#include "codegen/import/import.h"
#include "codegen/native/target.h"
#include "link/cache/mir_cache.h"

namespace lode::link {

// A module's part of the cache for one link. The spans are the link's and outlive it.
class ModuleCache {
 public:
  // `name`: the file's or member's; `target` tells machines apart; `bitcode` is null for AIR that came as text or from
  // a builder.
  ModuleCache(MirCache& cache, const std::string& name, const air::Module& module,
              const codegen::BitcodeModule* bitcode, const codegen::TargetOptions& options, uint32_t target);

  CachedModule& functions() { return *cached_; }

 private:
  friend class CachedFunction;
  // Symbols that others may define or see, by name and by id; made when a function needs them.
  struct Names {
    std::once_flag once;
    std::unordered_map<std::string_view, uint32_t> by_name;
    std::unordered_map<uint32_t, uint32_t> by_id;
  };
  const Names& names(std::span<const SymbolId> ids);

  MirCache& cache_;
  const air::Module& module_;
  const codegen::BitcodeModule* bitcode_;
  codegen::AirModuleKey air_key_;
  mir::Hash128 options_;
  std::shared_ptr<CachedModule> cached_;
  Names names_;
};

// One function's way through the cache.
class CachedFunction {
 public:
  // `context` is what the function will be lowered with; `runtime` what its runtime functions and the target's own
  // symbols are, in an order that is always the same.
  CachedFunction(ModuleCache& cache, const codegen::LowerContext& context, std::span<const SymbolId> runtime,
                 air::FunctionIndex function)
      : cache_(cache), context_(context), runtime_(runtime), function_(function) {}

  // What happened: `draft` is the function; or `air` is, to be lowered, and given to keep(). `without_code`: where the
  // function is taken, its head is enough; the code may be added later. Not of functions whose assembly writes into
  // other sections, which is in their code.
  enum Outcome : uint8_t { taken, taken_without_code, translated };
  Result<Outcome> take_or_read(mir::FunctionDraft& draft, air::Function& air, bool without_code = false);
  void keep(const mir::FunctionDraft& draft);
  // Of the function as it was taken or kept; zero where it cannot be kept.
  const mir::Hash128& key() const { return key_; }

 private:
  mir::Hash128 key(const mir::Hash128& body, std::span<const uint32_t> symbols) const;
  uint8_t reach(uint32_t symbol) const;
  // As a link of a module with the same content made it.
  bool take_known(mir::FunctionDraft& draft);
  // The same for a function with this body, whatever its module was like.
  bool take_equal(const mir::Hash128& body, std::span<const air::SymbolIndex> symbols, mir::FunctionDraft& draft);
  bool accept(const CachedModule::Found& found, mir::FunctionDraft& draft);
  bool accept_symbols(std::span<const mir::PortableSymbol> symbols, std::span<const uint32_t> listed,
                      mir::FunctionDraft& draft) const;

  ModuleCache& cache_;
  const codegen::LowerContext& context_;
  std::span<const SymbolId> runtime_;
  air::FunctionIndex function_;
  mir::Hash128 body_, key_;
  std::vector<uint32_t> symbols_;
  bool has_key_ = false, without_code_ = false;
};

// The code of a function of the module that was taken without it. False: it is damaged. `draft` gets all but SymbolIds.
bool add_code(const CachedModule& module, uint32_t function, mir::FunctionDraft& draft);

}  // namespace lode::link
