// MIR of x86_64 as text, for debugging and tests: AT&T syntax. Symbolic operands print as what they are: slot3+8,
// in+16, out+0, ref2+4(%rip), const+16(%rip); branches as "jne .7" (MIR index).
#pragma once

#include <string>

#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

// The draft's columns as a view; valid until the draft changes.
mir::FunctionView view_of(const mir::FunctionDraft& draft);

std::string print_register(RegKind kind, unsigned number);  // "%eax", "%xmm3", "%st(1)"
std::string print_memory(const Mem& m, RegKind index = RegKind::g64);
RegKind index_kind(const InstInfo& row);                    // of a memory operand's index
std::string print_condition(Cond c);                        // "ne"
// Row and operands in AT&T syntax; `memory` is the text of the memory operand, if there is one.
std::string print_row(const InstInfo& row, Cond cc, unsigned a, unsigned b, const std::string& memory, int64_t imm,
                      unsigned c = 0);

std::string print_instruction(const mir::FunctionView& fn, uint32_t index);
// The whole function, a line an instruction with its index, and its frame, references and constants.
std::string print_function(const mir::FunctionView& fn);

}  // namespace lode::x86_64
