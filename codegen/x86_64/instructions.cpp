// The instruction table as data.
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

namespace {

constexpr std::array<InstInfo, op_count> make_table() {
  std::array<InstInfo, op_count> t{};
  size_t row = 0, at = 0;
#define INST(name, mnemonic, form, a, b, enc, pp, map, opcode, ext, w, imm, reads, writes, traits)                   \
  VINST(name, mnemonic, form, a, b, no, enc, pp, map, opcode, ext, w, imm, reads, writes, traits)
#define VINST(name, mnemonic, form, a, b, c, enc, pp, map, opcode, ext, w, imm, reads, writes, traits)               \
  t[row++] = {uint32_t(at), uint32_t(at + sizeof #name), Form::form, RegKind::a, RegKind::b, RegKind::c, Enc::enc,   \
              pp,           map,                         uint8_t(opcode), ext,   w != 0,   Imm::imm,   reads,       \
              writes,       uint32_t(traits)};                                                                      \
  at += sizeof #name + sizeof mnemonic;
#include "codegen/x86_64/instructions.def"
#undef INST
  return t;
}

}  // namespace

const char inst_text[] =
#define INST(name, mnemonic, ...) #name "\0" mnemonic "\0"
#include "codegen/x86_64/instructions.def"
#undef INST
    ;

constinit const std::array<InstInfo, op_count> inst_table = make_table();

}  // namespace lode::x86_64
