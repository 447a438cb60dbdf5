// What the store, packs and snapshots share: the hash over a function's columns.
#pragma once

#include "mir_store/mir_store.h"

namespace lode::mir {

// Of everything but the symbol; `v.frame` must point to the six words.
Hash128 hash_view(const FunctionView& v);

}  // namespace lode::mir
