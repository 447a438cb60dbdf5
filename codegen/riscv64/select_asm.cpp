// Inline assembly. See selector.h.
#include "codegen/riscv64/asm_use.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

void Selector::select_asm(const air::Inst& i) {
  const air::InlineAsm& a = fn_->inline_asms[fn_->calls[i.a].inline_asm];
  if (a.text_len == 0 && !i.result.valid()) return;  // a barrier
  fail("inline assembly");
}

Result<void> Selector::emit_asm(uint32_t, const codegen::Location*) { return error("inline assembly"); }

}  // namespace lode::riscv64
