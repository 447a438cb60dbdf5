// AIR -> MIR for x86_64: legalise, select, allocate registers, finalise.
#pragma once

#include "codegen/native/target.h"

namespace lode::x86_64 {

std::unique_ptr<codegen::LowerScratch> make_scratch();
Result<void> lower(air::Function& fn, const codegen::LowerContext& context, codegen::LowerScratch& scratch,
                   mir::FunctionDraft& out);

// llvm.x86.* as inline assembly (intrinsics.cpp): NativeTarget::intrinsic.
const codegen::Intrinsic* find_intrinsic(std::string_view name);

}  // namespace lode::x86_64
