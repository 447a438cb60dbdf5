// The functions of IR modules and the cache (link/mir_cache.h): how what a link decides enters a key, and how a function that another
// link made comes to speak of this link's symbols.
//
// The key of a function is that of its body (codegen/import/function_key.h), the options of code generation, how the link lets code reach
// each symbol that the body names, and the blocks whose addresses data holds: that is all that lowering reads.
#pragma once

#include <memory>

#include "link/elf/modules.h"
#include "link/mir_cache.h"

namespace lode::link::elf {

// Opens what is kept of the modules of this link that have not been looked for yet. After `reach` is known; nothing without a cache.
void open_cached_modules(Link& link, const codegen::TargetOptions& options);

// One function's way through the cache. Does nothing where there is none.
class CachedFunction {
 public:
  CachedFunction(Link& link, std::span<const SymbolId> runtime, ModuleState& module, const ModuleFunction& function);

  // True: `draft` is the function, as a link of a module with the same content made it.
  bool take_known(mir::FunctionDraft& draft);
  // The same for a function with this body, whatever its module was like. `symbols`: of this module, as the body names them.
  bool take_equal(const mir::Hash128& body, std::vector<air::SymbolIndex> symbols, mir::FunctionDraft& draft);
  // It has been made now.
  void keep(const mir::FunctionDraft& draft);

  explicit operator bool() const { return cached_ != nullptr; }

 private:
  mir::Hash128 key(const mir::Hash128& body, std::span<const uint32_t> symbols) const;
  bool accept(const CachedModule::Found& found, mir::FunctionDraft& draft);

  Link& link_;
  std::span<const SymbolId> runtime_;
  ModuleState& module_;
  const ModuleFunction& function_;
  CachedModule* cached_;
  mir::Hash128 body_, key_;
  std::vector<uint32_t> symbols_;
};

}  // namespace lode::link::elf
