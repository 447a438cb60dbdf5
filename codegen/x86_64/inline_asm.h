// Inline asm: LLVM's constraint string as a list of operands, and its template through an assembler that knows the
// instruction table, in AT&T's syntax or Intel's. Sources: LLVM Language Reference, "Inline Assembler Expressions"; the
// x86 letters of "Constraint Codes" and "Asm template argument modifiers".
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
#include "codegen/x86_64/mir_writer.h"

namespace lode::x86_64 {

using codegen::AsmSymbols;
using codegen::no_symbol;

// One operand: outputs first, then inputs, in the order of the constraint string.
struct AsmOperand {
  bool output = false;
  bool early_clobber = false;  // '&': an output that is written while inputs are still to be read
  bool indirect =
      false;  // '*': the call's argument is the operand's address; outputs of this kind take an argument too
  bool gp = false;             // a general register will do
  bool fp = false;             // an xmm register will do
  bool x87 = false;            // an x87 register (t, u, f)
  bool memory = false;         // a memory operand will do
  bool immediate = false;      // a constant (or a symbol's address) will do, if accepts_immediate() says so
  uint8_t fixed =
      reg::none;  // the one register it must be in, of the class that gp or fp says; x87: its number in the stack
  bool legacy_byte = false;    // 'Q', or printed by modifier h: rax, rbx, rcx or rdx only
  bool condition = false;      // "@cc": an output that is 1 if `cond` holds behind the statement
  Cond cond = Cond::o;
  bool label = false;          // "!i": a place that the statement may jump to; no argument
  char range = 0;              // letter that bounds the immediate, or 0
  int32_t tied = -1;           // an input in the place of this output
};

struct AsmStatement {
  std::vector<AsmOperand> operands;
  uint16_t gp_clobbers = 0, fp_clobbers = 0;  // by hardware number
  bool memory_clobber = false, x87_clobber = false;
  // push, pop, call or rsp stand in the text: the function needs frame::dynamic, frame_pointer and no_red_zone
  bool moves_stack = false;
  uint32_t alternatives = 1;  // how many the constraints offer ('|')
};

// Where the operands have several alternatives, all of them take the same one: number `alternative`, from 0. An operand
// with fewer keeps its last.
Result<AsmStatement> parse_inline_asm(std::string_view text, std::string_view constraints, uint32_t alternative = 0);
// "e", "nz", "c" ...: the suffixes of set and j.
bool condition_by_name(std::string_view name, Cond& out);
bool accepts_immediate(const AsmOperand& operand, int64_t value);

// What an operand turned out to be; parallel to AsmStatement::operands.
struct AsmValue {
  // none: may not stand in the text; label: the label ".Lgoto<number of the operand>", which the text defines
  enum class Kind : uint8_t { none, gp, fp, x87, memory, immediate, reference, label };
  Kind kind = Kind::gp;
  uint8_t reg = 0;
  uint8_t bytes = 8;         // of the value: the width a register is printed with; of memory: 0 when unknown
  Mem mem;                   // memory
  int64_t imm = 0;           // immediate
  uint32_t reference = 0;    // reference: an immediate that is a symbol's address
};

Result<void> assemble(std::string_view text, const std::vector<AsmValue>& values, MirWriter& writer,
                      const AsmSymbols& symbols = {}, bool intel = false);

}  // namespace lode::x86_64
