// Machine instructions as bits: one table says how (instructions.def), compressed.def which of them have 16-bit forms.
//
// Operands are in the order of the assembly text, destination first; a store has its value first and its base second.
// valid() says whether an immediate fits its field; encode() takes it that it does.
#pragma once

#include <cstdint>

#include "codegen/riscv64/mir.h"

namespace lode::riscv64 {

bool valid(const InstInfo& row, const Fields& f);
uint32_t encode(const InstInfo& row, const Fields& f);
// The 16-bit form, or -1: there is none for these operands.
int32_t compress(Op op, const Fields& f);

// Writes the shortest form and returns the end.
uint8_t* put(uint8_t* p, Op op, const Fields& f);
uint8_t* put32(uint8_t* p, Op op, const Fields& f);  // always 4 bytes

// Branch and jump fields.
uint32_t branch_bits(int32_t distance);  // of `beq` and its like
uint32_t jump_bits(int32_t distance);    // of `jal`
uint16_t short_jump_bits(int32_t distance);    // of `c.j`
uint16_t short_branch_bits(int32_t distance);  // of `c.beqz` and `c.bnez`

// A 32-bit value as lui or auipc and the signed 12 bits that are added to it.
inline constexpr int32_t high_part(int64_t v) { return int32_t((v + 0x800) >> 12); }
inline constexpr int32_t low_part(int64_t v) { return int32_t((uint64_t(v) & 0xfff) ^ 0x800) - 0x800; }
// Whether high_part and low_part add up to v in 64 bits.
inline constexpr bool fits_pair(int64_t v) { return v >= -0x80000800ll && v < 0x7ffff800ll; }
inline constexpr bool fits12(int64_t v) { return v >= -2048 && v <= 2047; }

struct CompressedInfo {
  const char* name;
  const char* mnemonic;
  uint8_t shape;
  uint16_t match;
  Op full;
};
extern const CompressedInfo compressed_table[];
extern const unsigned compressed_count;

}  // namespace lode::riscv64
