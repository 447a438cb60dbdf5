// Inline assembly. See selector.h.
#include "codegen/x86_64/asm_use.h"
#include "codegen/x86_64/selector.h"

namespace lode::x86_64 {

void Selector::select_asm(const air::Inst& i) {
  const air::CallSite& site = fn_->calls[i.a];
  const air::InlineAsm& a = fn_->inline_asms[site.inline_asm];
  if (a.text_len != 0 || site.arg_count != 0 || i.result.valid()) fail("inline assembly with a template or operands");
}

bool Selector::emit_asm(uint32_t, const codegen::Location*, uint32_t) { return false; }

}  // namespace lode::x86_64
