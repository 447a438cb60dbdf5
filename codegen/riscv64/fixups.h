// The kinds of relocation that riscv64 code asks for in object mode (codegen::Fixup::kind), by the psABI's names and
// numbers. The low part of a pc-relative address refers to a label: the
// instruction that has the high part.
#pragma once

#include <cstdint>

namespace lode::riscv64 {

enum class FixupKind : uint16_t {
  none = 0,
  call_plt = 19,  // R_RISCV_CALL_PLT: auipc and jalr
  pcrel_hi20 = 23,  // R_RISCV_PCREL_HI20
  pcrel_lo12_i = 24,  // R_RISCV_PCREL_LO12_I
  pcrel_lo12_s = 25,  // R_RISCV_PCREL_LO12_S
  got_hi20 = 20,  // R_RISCV_GOT_HI20
  tprel_hi20 = 29,  // R_RISCV_TPREL_HI20
  tprel_add = 32,  // R_RISCV_TPREL_ADD
  tprel_lo12_i = 30,  // R_RISCV_TPREL_LO12_I
  tprel_lo12_s = 31,  // R_RISCV_TPREL_LO12_S
  tls_got_hi20 = 21,  // R_RISCV_TLS_GOT_HI20
  tls_gd_hi20 = 22,  // R_RISCV_TLS_GD_HI20
  pcrel32 = 57,  // R_RISCV_32_PCREL: a word of data
};

}  // namespace lode::riscv64
