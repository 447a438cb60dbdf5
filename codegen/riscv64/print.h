// MIR of riscv64 as text, for debugging and tests: the assembler's syntax with real instructions, not aliases. Symbolic
// operands print as what they are: slot3+8, in+16, out+0, ref2, const+16; branches as "beq a0, a1, .7" (MIR index).
#pragma once

#include <string>

#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/mir.h"

namespace lode::riscv64 {

// The draft's columns as a view; valid until the draft changes.
mir::FunctionView view_of(const mir::FunctionDraft& draft);

// `cls`: 'x' or 'f'.
std::string print_register(char cls, unsigned number);
// By the psABI's or the hardware's name; the class of the register is `cls`. False: not such a name.
bool parse_register(std::string_view text, char cls, uint8_t& number);
std::string print_memory(const Mem& m);
std::string print_csr(uint32_t number);
bool parse_csr(std::string_view text, int64_t& number);
// A machine instruction; `memory`: the text of a load's or store's address, or empty for what the fields say.
std::string print_row(const InstInfo& row, const Fields& f, const std::string& memory = {});
std::string print_compressed(const CompressedInfo& row, const Fields& full);

std::string print_instruction(const mir::FunctionView& fn, uint32_t index);
// The whole function, a line an instruction with its index, and its frame, references and constants.
std::string print_function(const mir::FunctionView& fn);

}  // namespace lode::riscv64
