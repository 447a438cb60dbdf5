// VCode of riscv64 to MIR: see finalize.cpp.
#pragma once

#include "base/result.h"
#include "mir_store/mir_store.h"

namespace lode::riscv64 {

class Selector;
Result<void> finalize(Selector& s);

}  // namespace lode::riscv64
