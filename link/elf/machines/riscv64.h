// What the files of the riscv64 machine share: instruction fields, and the relocations that only the linker makes.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf::riscv64 {

// riscv64_relax.cpp
int sequence(const InputPlace& place, Rewrite to);
extern const ShrinkRules shrink_rules;
// riscv64_attributes.cpp
uint32_t merge_flags(Link& link);
std::vector<uint8_t> merge_attributes(Link& link);

// Relocations by the global pointer, which relaxation makes of others; above all numbers that an object may use for
// something else.
inline constexpr uint32_t gprel_lo12_i = 256, gprel_lo12_s = 257, last_type = gprel_lo12_s;

// The 20 upper bits of a value, rounded for a signed lower part: lui, auipc (U-type).
inline void put_upper(uint8_t* p, uint64_t v) {
  store_le(p, (load_le<uint32_t>(p) & 0xfff) | (uint32_t(v + 0x800) & 0xfffff000));
}
// The 12 lower bits: loads, addi, jalr (I-type); stores (S-type).
inline void put_lower_i(uint8_t* p, uint64_t v) {
  store_le(p, (load_le<uint32_t>(p) & 0xfffff) | uint32_t(v) << 20);
}
inline void put_lower_s(uint8_t* p, uint64_t v) {
  store_le(p, (load_le<uint32_t>(p) & 0x1fff07f) | (uint32_t(v) & 0xfe0) << 20 | (uint32_t(v) & 0x1f) << 7);
}

}  // namespace lode::link::elf::riscv64
