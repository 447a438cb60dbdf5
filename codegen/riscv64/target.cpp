#include "codegen/riscv64/target.h"

#include "codegen/native/emit.h"
#include "codegen/riscv64/emit.h"
#include "codegen/riscv64/lower_frame.h"
#include "codegen/riscv64/select.h"

namespace lode::riscv64 {

namespace {
const codegen::Intrinsic* no_intrinsic(std::string_view) { return nullptr; }
}  // namespace

const codegen::NativeTarget& target() {
  static const codegen::NativeTarget t = {
      .elf_machine = 243,
      .make_scratch = make_scratch,
      .lower = lower,
      .measure = measure,
      .emit = emit,
      .intrinsic = no_intrinsic,
      .asm_sections = codegen::asm_sections,
      .label_offsets = label_offsets,
      .near_form = near_form,
      .cie_instructions = cie_instructions,
      .cie_code_align = cie_code_align,
      .cie_data_align = cie_data_align,
      .cie_return_register = dwarf_return_address,
  };
  return t;
}

}  // namespace lode::riscv64
