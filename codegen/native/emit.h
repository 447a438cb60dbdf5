// What the emitters of native machines share: a function's text on its way from MIR to bytes, and all that stands
// beside it. A machine assembles (its instructions into AssembledText::code, branches as marks), the functions here lay
// out, measure and write.
//
//   1. Assemble (the machine): one pass over the MIR. Widths depend on the forms of the references, never on addresses,
//      which is what makes measure() and emit() agree.
//   2. lay_out_text(): branches are relaxed (text_layout.h); unwind rows and the exception table get their bytes.
//   3. write_text(): the pieces between the branches are copied to their final place, branches written. The machine's
//      patches follow, then tables in the constants and the exception table's types.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/result.h"
#include "codegen/native/cfi.h"
#include "codegen/native/exception_table.h"
#include "codegen/native/target.h"
#include "codegen/native/text_layout.h"

namespace lode::codegen {

struct EmitRules {
  const char* machine;  // for messages
  BranchForms branches;
  uint32_t cie_code_align;
  int32_t cie_data_align;
  uint16_t pc_relative;  // the Fixup::kind of a pc-relative field of 32 bits in data
};

// The memory keeps its capacity from function to function.
struct AssembledText {
  std::vector<uint8_t> code;  // code_size bytes of it
  uint32_t code_size = 0;
  TextLayout layout;
  std::vector<uint32_t> tables;  // jump tables: index in extra of {count, offset in the constants, MIR indices}
  std::vector<CfiRow> cfi;
  std::vector<TextPlace> traps;  // of type checks
  uint32_t entry = 0;            // no branch stands before it
  std::vector<uint8_t> cfi_bytes;
  ExceptionTable exceptions;

  void clear();
};

Error damaged_code(const EmitRules& rules);

// The record of a jump table is in bounds.
bool valid_table(const mir::FunctionView& fn, uint32_t at);

Result<FunctionSizes> lay_out_text(const mir::FunctionView& fn, const EmitRules& rules, AssembledText& text);

// `branch(out, index)` writes one with the size that it got and returns the end; `nops(out, bytes)` likewise.
template <class WriteBranch, class WriteNops>
void write_text(const AssembledText& text, uint8_t* out, WriteBranch&& branch, WriteNops&& nops) {
  uint32_t done = 0;
  for (size_t k = 0; k < text.layout.branches.size(); k++) {
    const Branch& b = text.layout.branches[k];
    std::memcpy(out, text.code.data() + done, b.offset - done);
    out += b.offset - done;
    done = b.offset;
    if (b.kind == Branch::alignment) out = nops(out, b.size);
    else if (b.size) out = branch(out, k);
  }
  std::memcpy(out, text.code.data() + done, text.code_size - done);
}

// The constants as they are, but for the jump tables, whose entries are the labels minus the table's start.
Result<void> write_constants(const mir::FunctionView& fn, const EmitRules& rules, const AssembledText& text,
                             const EmitPlace& place, bool object);
Result<void> write_exceptions(const EmitRules& rules, const AssembledText& text,
                              std::span<const ResolvedReference> references, const EmitPlace& place, bool object);
// Traps and unwind rows, if they are asked for.
void append_lists(const AssembledText& text, const EmitPlace& place);

// NativeTarget::label_offsets, after lay_out_text().
Result<void> find_label_offsets(const mir::FunctionView& fn, const EmitRules& rules, const AssembledText& text,
                                std::span<uint32_t> labels);
// NativeTarget::asm_sections.
bool asm_sections(const mir::FunctionView& fn, std::vector<AsmSection>& out);

}  // namespace lode::codegen
