// Assembly text: of a module, and as the template of a statement with operands of every kind, in both syntaxes.
#include <cstddef>

#include "codegen/x86_64/inline_asm.h"
#include "codegen/x86_64/module_assembler.h"

using namespace lode;
using namespace lode::x86_64;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)assemble_module(text).ok();
  AsmValue gp, memory, immediate, reference;
  gp.reg = reg::rcx;
  memory.kind = AsmValue::Kind::memory;
  memory.mem = Mem::at(reg::rdi, 8);
  immediate.kind = AsmValue::Kind::immediate;
  immediate.imm = -7;
  reference.kind = AsmValue::Kind::reference;
  for (bool intel : {false, true}) {
    mir::FunctionDraft draft;
    MirWriter w(draft);
    w.add_reference(SymbolId(1), 0, mir::ReferenceKind::direct);
    auto symbol = [](std::string_view name, mir::ReferenceKind, int64_t) {
      return name.size() % 2 ? uint32_t(0) : codegen::no_symbol;
    };
    if (assemble(text, {gp, memory, immediate, reference}, w, symbol, intel).ok()) (void)w.finish().ok();
  }
  return 0;
}
