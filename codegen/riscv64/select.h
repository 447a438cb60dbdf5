// Instruction selection of riscv64 as the linker calls it: see selector.h.
#pragma once

#include <memory>

#include "codegen/native/target.h"

namespace lode::riscv64 {

std::unique_ptr<codegen::LowerScratch> make_scratch();
Result<void> lower(air::Function& fn, const codegen::LowerContext& context, codegen::LowerScratch& scratch,
                   mir::FunctionDraft& out);

}  // namespace lode::riscv64
