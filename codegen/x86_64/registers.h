// The registers of x86_64 by their hardware numbers (Intel SDM volume 2, table 2-2), conditions, and the System V sets.
#pragma once

#include <cstdint>

namespace lode::x86_64 {

// General registers and, in their own numbering, xmm registers: 0..15. Which of the two an operand is, the instruction
// says.
namespace reg {
inline constexpr uint8_t rax = 0, rcx = 1, rdx = 2, rbx = 3, rsp = 4, rbp = 5, rsi = 6, rdi = 7, r8 = 8, r9 = 9,
r10 = 10, r11 = 11,
                         r12 = 12, r13 = 13, r14 = 14, r15 = 15;
inline constexpr uint8_t none = 0xff;
}  // namespace reg

// System V psABI 3.2.1: rbx, rbp, r12..r15 belong to the caller; no xmm register does.
inline constexpr uint16_t callee_saved_gp =
    1u << reg::rbx | 1u << reg::rbp | 1u << reg::r12 | 1u << reg::r13 | 1u << reg::r14 | 1u << reg::r15;

// Numbers as in the opcodes of jcc, setcc, cmovcc; the inverse differs in bit 0.
enum class Cond : uint8_t { o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g };
inline constexpr Cond inverse(Cond c) { return Cond(uint8_t(c) ^ 1); }
// The condition that holds for (y, x) when `c` holds for (x, y), after a comparison; o, s, p are their own.
inline constexpr Cond swapped(Cond c) {
  switch (c) {
    case Cond::b: return Cond::a;
    case Cond::a: return Cond::b;
    case Cond::ae: return Cond::be;
    case Cond::be: return Cond::ae;
    case Cond::l: return Cond::g;
    case Cond::g: return Cond::l;
    case Cond::ge: return Cond::le;
    case Cond::le: return Cond::ge;
    default: return c;
  }
}

// DWARF register numbers (System V psABI figure 3.36), by hardware number of the general registers; 16 is the return
// address.
inline constexpr uint8_t dwarf_gp[16] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};
inline constexpr uint8_t dwarf_return_address = 16;
// By codegen::Reg: general registers from 0, xmm registers from 32.
inline constexpr auto dwarf_registers = [] {
  struct {
    uint8_t numbers[64];
  } t{};
  for (unsigned r = 0; r < 64; r++)
    t.numbers[r] = r < 16 ? dwarf_gp[r] : r >= 32 && r < 48 ? uint8_t(r - 32 + 17) : uint8_t(255);
  return t;
}();

}  // namespace lode::x86_64
