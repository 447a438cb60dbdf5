// What aliases stand for in the end. Chains may be of any length: each alias on the way is told the answer, so that all
// chains of a module together take one walk.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/air/air.h"

namespace lode::air {

struct AliasBase {
  SymbolIndex symbol;  // none: the chain ends nowhere
  int64_t offset = 0;  // of the alias from it
};

class AliasBases {
 public:
  // With `ifuncs`, an ifunc leads on to its resolver.
  AliasBases(const Module& module, bool ifuncs) : module_(module), ifuncs_(ifuncs), known_(module.symbols.size()) {}

  AliasBase of(SymbolIndex symbol) {
    chain_.clear();
    uint32_t i = symbol.value;
    while (i < known_.size() && !known_[i].symbol.valid() && leads_on(module_.symbols[i])) {
      if (chain_.size() > known_.size()) return {};  // in a circle
      chain_.push_back(i);
      i = module_.symbols[i].aliasee.value;
    }
    if (i >= known_.size()) return {};
    AliasBase base = known_[i].symbol.valid() ? known_[i] : AliasBase{SymbolIndex(i), 0};
    for (size_t k = chain_.size(); k-- > 0;) {
      base.offset += module_.symbols[chain_[k]].alias_offset;
      known_[chain_[k]] = base;
    }
    return base;
  }

 private:
  bool leads_on(const Symbol& s) const {
    return s.kind == SymbolKind::alias || (ifuncs_ && s.kind == SymbolKind::ifunc);
  }
  const Module& module_;
  bool ifuncs_;
  std::vector<AliasBase> known_;
  std::vector<uint32_t> chain_;
};

}  // namespace lode::air
