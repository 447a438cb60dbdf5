// VCode + allocation -> MIR: the last step of making an x86_64 function.
//
// Requires the selector's VCode in layout order. Leaves in the draft: instructions with physical registers, the
// allocator's edits as moves, operands that stayed in their slots as memory forms, branches to MIR indices with empty
// blocks threaded through.
#pragma once

#include "base/result.h"
#include "mir_store/mir_store.h"

namespace lode::x86_64 {

class Selector;
Result<void> finalize(Selector& s, mir::FunctionDraft& out);

}  // namespace lode::x86_64
