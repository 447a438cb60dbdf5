// Inline asm: LLVM's constraint string as a list of operands, and its template through a small assembler that knows the
// instruction table and the standard pseudo instructions. Sources: LLVM Language Reference, "Inline Assembler
// Expressions", the RISC-V letters of "Constraint Codes" and "Asm template argument modifiers"; the RISC-V assembly
// programmer's manual.
//
// Use: parse_inline_asm() before registers are given out; assemble() when they are known. What the assembler does not
// know is an Error that names the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codegen/native/asm_data.h"
#include "codegen/riscv64/mir_writer.h"

namespace lode::riscv64 {

using codegen::AsmSymbols;
using codegen::no_symbol;

// One operand: outputs first, then inputs, in the order of the constraint string.
struct AsmOperand {
  static constexpr uint8_t any = 0xff;
  bool output = false;
  bool early_clobber = false;  // '&': an output that is written while inputs are still to be read
  bool indirect = false;       // '*': the call's argument is the operand's address
  bool gp = false, fp = false, memory = false, immediate = false;  // what will do
  bool plain_address = false;  // 'A': memory at a register without an offset
  bool label = false;          // "!i": a place that the statement may jump to; no argument
  uint8_t fixed = any;         // the one register it must be in, as a codegen::Reg
  char range = 0;              // letter that bounds the immediate, or 0
  int32_t tied = -1;           // an input in the place of this output
};

struct AsmStatement {
  std::vector<AsmOperand> operands;
  uint64_t clobbers = 0;  // codegen::Reg bits
};

Result<AsmStatement> parse_inline_asm(std::string_view constraints);
bool accepts_immediate(const AsmOperand& operand, int64_t value);

// What an operand turned out to be; parallel to AsmStatement::operands.
struct AsmValue {
  // label: the label ".Lgoto<number of the operand>", which the text defines
  enum class Kind : uint8_t { none, gp, fp, memory, immediate, reference, label };
  Kind kind = Kind::none;
  uint8_t reg = 0;         // hardware number
  Mem mem;                 // memory
  int64_t imm = 0;         // immediate
  uint32_t reference = 0;  // reference: a symbol's address
};

Result<void> assemble(std::string_view text, const std::vector<AsmValue>& values, MirWriter& writer,
                      const AsmSymbols& symbols = {});

}  // namespace lode::riscv64
