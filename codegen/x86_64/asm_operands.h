// Operands of assembly text, in AT&T's syntax and in Intel's, and the rows of the instruction table that take them.
//
// Both syntaxes become the same operands; rows are found by mnemonic, which the two spell differently, and by what
// kinds of operands they take. Who assembles inline statements writes MIR from the row and its operands
// (assembler.cpp), who assembles a module's text writes bytes (module_assembler.cpp). Sources: Intel SDM volume 2; GNU
// as manual, "i386 Syntax" and "i386 Mnemonics".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codegen/native/asm_expression.h"
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

struct RegName {
  RegKind kind = RegKind::no;
  uint8_t number = 0;
  bool high = false;  // ah, ch, dh, bh: numbers 4 to 7 without a REX prefix
};
// "%eax" or "eax", without its '%'. False: no register's name.
bool register_by_name(std::string_view name, RegName& out);

struct AsmItem {
  enum class Kind : uint8_t { reg, imm, mem } kind = Kind::imm;
  RegName reg;
  // imm: the value; mem: the displacement. no_expression in mem: none.
  uint32_t expression = codegen::no_expression;
  uint8_t base = reg::none, index = reg::none, scale_log2 = 0;
  RegKind index_kind = RegKind::g64;  // VSIB has vectors
  uint8_t segment = 0;                // the prefix, or 0
  bool rip = false;
  bool short_address = false;         // 32-bit registers
  bool bare = false;                  // mem: a name or number alone, which may be the target of a branch
  bool star = false;
  bool offset = false;                // Intel's OFFSET
  uint16_t bytes = 0;                 // Intel: what "qword ptr" says, 0: nothing
  std::string_view where;
};

// Null, or why it is not understood; `s` then begins where it goes wrong.
const char* parse_att_operand(std::string_view& s, codegen::AsmExpressions& e, AsmItem& out);
const char* parse_intel_operand(std::string_view& s, codegen::AsmExpressions& e, AsmItem& out);

// A row and what its operands are: places in the statement's list, none where the row has no such operand.
struct AsmMatch {
  static constexpr uint8_t none = 0xff;
  Op op{};
  Cond cc = Cond::o;
  uint8_t a = none, b = none, c = none, mem = none, imm = none;
};

struct AsmRequest {
  std::string mnemonic;           // in lower case
  std::vector<AsmItem> items;     // in the order of the text
  bool intel = false;
  // The value of an expression; false: it is not known yet, and any width is asked of it.
  std::function<bool(uint32_t expression, int64_t& value)> known;
};

// Finds the first row that takes the operands; may change them (an immediate that is not written, an operand that is
// written twice). Null, or why there is none. Condition codes, sizes, and Intel's or AT&T's own names are known here.
const char* match_instruction(AsmRequest& request, codegen::AsmExpressions& e, AsmMatch& out);

// A mnemonic that is a prefix of the instruction behind it; 0: none.
uint8_t prefix_by_name(std::string_view name);
// "e", "nz", "c" ...: the suffixes of set and j.
bool condition_by_name(std::string_view name, Cond& out);
// Whether a mnemonic is of a branch: 'j' with a condition, jmp, call; of those with a distance of one byte the opcode.
struct AsmBranch {
  bool jump = false, call = false, conditional = false;
  Cond cc = Cond::o;
  uint8_t short_opcode = 0, prefix = 0;  // loop, loope, loopne, jrcxz, jecxz
};
bool branch_by_name(std::string_view mnemonic, AsmBranch& out);

// What no row describes, as bytes; false: it is something else. asm_special.cpp.
bool special_instruction(const AsmRequest& request, std::vector<uint8_t>& out);
// fstcw and its kin are WAIT and the instruction that does not wait, whose name the mnemonic becomes.
bool waiting_form(std::string& mnemonic);

// The bytes of a memory operand that a row reads or writes, where its mnemonic says it; 0: it does not.
unsigned memory_bytes(const InstInfo& row);

}  // namespace lode::x86_64
