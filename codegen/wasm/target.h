// The wasm code generator as the linker sees it: lower (AIR -> MIR, select.cpp) and what it has to be told. The other
// half, MIR -> bytes, is emit.h.
#pragma once

#include <memory>

#include "codegen/air/legalize.h"
#include "codegen/native/target.h"
#include "codegen/wasm/mir.h"

namespace lode::wasm {

// TargetOptions::features holds bit(Feature) of what code may use. A data symbol is reached directly or, when its
// SymbolReach is got, through the wasm_global of the same SymbolId (the linker's GOT entry).
struct LowerContext : codegen::LowerContext {
  SymbolId stack_pointer;   // global __stack_pointer
  SymbolId tls_base, tls_size, tls_align;  // globals of these names, with __ before
  SymbolId exception_tag;   // tag __cpp_exception
  SymbolId stack_guard;     // data __stack_chk_guard: what a stack protector's canary has to be
};

std::unique_ptr<codegen::LowerScratch> make_scratch();
// `fn` is consumed: legalisation rewrites it in place. Any thread. An error names the function.
Result<void> lower(air::Function& fn, const LowerContext& context, codegen::LowerScratch& scratch,
                   mir::FunctionDraft& out);

// The type of a function symbol as the module's own type says; the same for all callers and for the definition.
Result<SignatureBytes> signature_of(const air::TypeTable& types, air::TypeId function_type, uint32_t features);
Result<SignatureBytes> signature_of(const air::TypeTable& types, air::RuntimeFunction f, uint32_t features);

}  // namespace lode::wasm
