// Objects for riscv64 in memory: instructions as words, relocations with the mark that they may be relaxed.
#pragma once

#include <string>

#include "tests/support/elf_object.h"

namespace lode::test::riscv64 {

// The words that tests write most; registers and fields are those of the ISA manual.
inline constexpr uint32_t lui_a0 = 0x537, auipc_a0 = 0x517, addi_a0 = 0x50513, lw_a0 = 0x52503, ld_a0 = 0x53503,
                          sd_a0 = 0xa53023, auipc_ra = 0x97, jalr_ra = 0x80e7, auipc_t1 = 0x317, jr_t1 = 0x30067,
                          add_a0_tp = 0x450533, ret = 0x8067, nop = 0x13;

inline std::string words(std::initializer_list<uint32_t> list) {
  std::string s;
  for (uint32_t w : list) s.append(reinterpret_cast<const char*>(&w), 4);
  return s;
}

inline constexpr uint32_t double_compressed = fe::EF_RISCV_FLOAT_ABI_DOUBLE | fe::EF_RISCV_RVC;

inline ElfObject object(uint32_t flags = double_compressed) { return ElfObject(fe::EM_RISCV, flags); }

// A relocation that allows relaxation.
inline void relax(ElfObject& o, uint32_t section, uint64_t offset, uint32_t type, const std::string& symbol,
                  int64_t addend = 0) {
  o.relocate(section, offset, type, symbol, addend);
  o.relocate(section, offset, fe::R_RISCV_RELAX, "");
}

// Code that reads a small datum by its absolute address, in a program that sets up the global pointer.
inline ElfObject by_global_pointer() {
  ElfObject o = object();
  const uint32_t text = o.text(".text", words({lui_a0, lw_a0, auipc_a0, addi_a0, ret}), 4);
  const uint32_t data = o.data(".sdata", std::string(8, 1), 8);
  o.symbol("_start", text, {.size = 20, .type = fe::STT_FUNC});
  o.symbol("datum", data, {.value = 4, .size = 4, .type = fe::STT_OBJECT});
  o.local(".L0", text, 8);
  relax(o, text, 0, fe::R_RISCV_HI20, "datum");
  relax(o, text, 4, fe::R_RISCV_LO12_I, "datum");
  o.relocate(text, 8, fe::R_RISCV_PCREL_HI20, "__global_pointer$");
  o.relocate(text, 12, fe::R_RISCV_PCREL_LO12_I, ".L0");
  return o;
}

}  // namespace lode::test::riscv64
