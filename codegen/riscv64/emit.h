// MIR of riscv64 to bytes: the measure and emit of codegen/native/target.h. See emit.cpp.
#pragma once

#include "codegen/native/target.h"

namespace lode::riscv64 {

Result<codegen::FunctionSizes> measure(const mir::FunctionView& fn,
                                       std::span<const codegen::ResolvedReference> references,
                                       const codegen::TargetOptions& options);
Result<void> emit(const mir::FunctionView& fn, std::span<const codegen::ResolvedReference> references,
                  const codegen::TargetOptions& options, const codegen::EmitPlace& place);
Result<void> label_offsets(const mir::FunctionView& fn, std::span<const codegen::ResolvedReference> references,
                           const codegen::TargetOptions& options, std::span<uint32_t> labels);
codegen::ReferenceForm near_form(codegen::ReferenceForm full, codegen::ReferenceForm now,
                                 const codegen::NearPlace& place);

}  // namespace lode::riscv64
