// Keys of functions that come as AIR (text or a builder's): what import/function_key.h is for bitcode, and to the same
// use.
//
// AIR's arrays are already in the order in which the function names things, so they are taken as they are; what is a
// module's own are symbols, which are replaced by the order of their mention, and types, whose table is part of
// air_module_key(). A function with inline assembly is bound to the names of its module.
#pragma once

#include <vector>

#include "codegen/air/air.h"
#include "mir_store/mir_store.h"

namespace lode::codegen {

struct AirModuleKey {
  mir::Hash128 types;  // and layout, triple, requests
  mir::Hash128 names;  // of all symbols
};
AirModuleKey air_module_key(const air::Module& module);

// `symbols`: those that the function names, in the order of first mention.
mir::Hash128 air_function_key(const air::Module& module, const AirModuleKey& key, const air::Function& function,
                              std::vector<air::SymbolIndex>& symbols);

}  // namespace lode::codegen
