// The instruction table as data.
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

const InstInfo inst_table[op_count] = {
#define INST(name, mnemonic, form, a, b, enc, pp, map, opcode, ext, w, imm, reads, writes, traits) \
  {#name, mnemonic, Form::form, RegKind::a, RegKind::b, Enc::enc,        pp, map, uint8_t(opcode), \
   ext,   w != 0,   Imm::imm,   reads,      writes,     uint16_t(traits)},
#include "codegen/x86_64/instructions.def"
#undef INST
};

}  // namespace lode::x86_64
