// The kinds of relocation that riscv64 code asks for in object mode (codegen::Fixup::kind), by the psABI's names. Which
// number a file format gives each is the linker's matter. The low part of a pc-relative address refers to a label: the
// instruction that has the high part.
#pragma once

#include <cstdint>

namespace lode::riscv64 {

enum class FixupKind : uint16_t {
  none,
  call_plt,       // R_RISCV_CALL_PLT: auipc and jalr
  pcrel_hi20,     // R_RISCV_PCREL_HI20
  pcrel_lo12_i,   // R_RISCV_PCREL_LO12_I
  pcrel_lo12_s,   // R_RISCV_PCREL_LO12_S
  got_hi20,       // R_RISCV_GOT_HI20
  tprel_hi20,     // R_RISCV_TPREL_HI20
  tprel_add,      // R_RISCV_TPREL_ADD
  tprel_lo12_i,   // R_RISCV_TPREL_LO12_I
  tprel_lo12_s,   // R_RISCV_TPREL_LO12_S
  tls_got_hi20,   // R_RISCV_TLS_GOT_HI20
  tls_gd_hi20,    // R_RISCV_TLS_GD_HI20
  pcrel32,        // R_RISCV_32_PCREL: a word of data
};

}  // namespace lode::riscv64
