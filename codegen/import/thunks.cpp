// The function through which code jumps to r11 without the processor foreseeing where to (x86_64: retpolines). LLVM
// adds it to each module that asks for it, so the importer does: hidden, one for the program.
//
// The thunk's call puts an address on the return stack buffer; what the processor then runs ahead of the return is a
// loop that goes nowhere, while the return itself finds r11 in place of that address.
#include <algorithm>

#include "codegen/import/state.h"

namespace lode::codegen {

namespace {
constexpr std::string_view name = "__llvm_retpoline_r11";
//   call 2f; 1: pause; lfence; jmp 1b; up to a multiple of 16: int3; 2: movq %r11, (%rsp); ret
constexpr std::string_view body =
    ".byte 0xe8,0x0b,0,0,0,0xf3,0x90,0x0f,0xae,0xe8,0xeb,0xf9,0xcc,0xcc,0xcc,0xcc,0x4c,0x89,0x1c,0x24,0xc3";
}  // namespace

void add_indirect_thunk(ImportState& s) {
  namespace flag = air::function_flags;
  const bc::Module& m = s.bitcode;
  const bool wanted = std::any_of(m.globals.begin(), m.globals.end(), [&](const bc::Global& g) {
    if (g.kind != bc::Global::Function || g.declaration || g.attributes == bc::none) return false;
    const uint32_t flags = s.attributes[g.attributes].function_flags;
    return (flags & (flag::retpoline_calls | flag::retpoline_branches)) && !(flags & flag::external_thunk);
  });
  if (!wanted) return;
  air::Module& out = s.air;
  air::SymbolIndex index;
  for (uint32_t k = 0; k < out.symbols.size() && !index; k++)
    if (out.name_of(air::SymbolIndex(k)) == name) index = air::SymbolIndex(k);
  if (!index) {
    index = air::SymbolIndex(uint32_t(out.symbols.size()));
    out.symbols.push_back({});
    out.symbols.back().name = out.add_string(name);
  }
  air::Symbol& y = out.symbols[index.value];
  if (y.defined) return;
  y.kind = air::SymbolKind::function;
  y.linkage = air::Linkage::linkonce_odr;
  y.visibility = air::Visibility::hidden;
  y.defined = y.dso_local = y.unnamed_addr = true;
  y.comdat = air::ComdatIndex(uint32_t(out.comdats.size()));
  out.comdats.push_back({y.name, air::ComdatKind::any});
  y.type = out.types.function_type(air::TypeTable::void_type, nullptr, 0, false);
  y.function = air::FunctionIndex(uint32_t(out.functions.size()));
  out.functions.push_back({index});
  s.body_of.push_back(bc::none);
}

void make_indirect_thunk(const ImportState& s, air::FunctionIndex f, air::Function& out) {
  out.clear();
  out.symbol = s.air.functions[f.value].symbol;
  out.type = s.air.symbols[out.symbol.value].type;
  out.flags = air::function_flags::nounwind | air::function_flags::no_cf_check;
  out.strings = body;
  air::InlineAsm a;
  a.text_len = uint32_t(body.size());
  a.constraints = a.text_len;
  a.side_effects = true;
  out.inline_asms.push_back(a);
  air::CallSite site;
  site.function_type = out.type;
  site.inline_asm = 0;
  site.flags = air::callflags::nounwind;
  out.calls.push_back(site);
  air::Inst call{air::Op::call};
  call.type = air::TypeTable::void_type;
  call.a = 0;
  air::Inst end{air::Op::unreachable};
  end.type = air::TypeTable::void_type;
  out.insts = {call, end};
  out.blocks.push_back({0, 2, 0, 0});
}

}  // namespace lode::codegen
