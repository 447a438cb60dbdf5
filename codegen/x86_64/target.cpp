// x86_64 as the linker sees it.
#include "codegen/native/target.h"

#include "codegen/native/emit.h"
#include "codegen/x86_64/emit.h"
#include "codegen/x86_64/lower_frame.h"
#include "codegen/x86_64/module_assembler.h"
#include "codegen/x86_64/select.h"

namespace lode::x86_64 {

const codegen::NativeTarget& target() {
  static const codegen::NativeTarget t = {
      .elf_machine = 62,
      .make_scratch = make_scratch,
      .lower = lower,
      .measure = measure,
      .emit = emit,
      .intrinsic = find_intrinsic,
      .assemble_module = assemble_module,
      .asm_sections = codegen::asm_sections,
      .label_offsets = label_offsets,
      .debug_frame = debug_frame,
      .dwarf_registers = dwarf_registers.numbers,
      .cie_instructions = cie_instructions,
      .cie_code_align = cie_code_align,
      .cie_data_align = cie_data_align,
      .cie_return_register = dwarf_return_address,
  };
  return t;
}

}  // namespace lode::x86_64
