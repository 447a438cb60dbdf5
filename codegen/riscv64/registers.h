// The registers of RISC-V by number, and what the psABI's integer calling convention makes of them (RISC-V ELF psABI,
// "Register Convention").
#pragma once

#include <cstdint>

namespace lode::riscv64 {

// Integer registers, by their ABI names. Floating-point registers have a numbering of their own, 0..31; as codegen::Reg
// they follow at 32, and so does DWARF number them.
namespace reg {
inline constexpr uint8_t zero = 0, ra = 1, sp = 2, gp = 3, tp = 4, t0 = 5, t1 = 6, t2 = 7, s0 = 8, s1 = 9, a0 = 10,
                         a1 = 11, a2 = 12, a3 = 13, a4 = 14, a5 = 15, a6 = 16, a7 = 17, s2 = 18, s11 = 27, t3 = 28,
                         t4 = 29, t5 = 30, t6 = 31;
// Never given to a value: what emit and the finaliser need for far addresses, long jumps and exchanges.
inline constexpr uint8_t scratch = t6;
// The target of an indirect tail call: neither an argument nor saved. (t0 would look like a return from a routine of
// a prologue to the processor's predictor.)
inline constexpr uint8_t tail_target = t1;
inline constexpr uint8_t static_chain = t2;
}  // namespace reg
inline constexpr uint32_t fp_base = 32;
inline constexpr uint8_t dwarf_return_address = reg::ra;

// Numbers as in the funct3 field of branches; the inverse differs in bit 0.
enum class Cond : uint8_t { eq = 0, ne = 1, lt = 4, ge = 5, ltu = 6, geu = 7 };
inline constexpr Cond inverse(Cond c) { return Cond(uint8_t(c) ^ 1); }

// Rounding modes (unprivileged specification, "Floating-Point Control and Status Register").
enum class Rounding : uint8_t { rne = 0, rtz = 1, rdn = 2, rup = 3, rmm = 4, dyn = 7 };

// Saved registers by their place in a frame's mask: ra, then s0 .. s11; fs0 .. fs11 follow.
inline constexpr unsigned saved_registers = 25, saved_fp_first = 13;
// codegen::Reg numbers.
inline constexpr uint8_t saved_register(unsigned k) {
  if (k == 0) return reg::ra;
  if (k < saved_fp_first) return uint8_t(k <= 2 ? reg::s0 + (k - 1) : reg::s2 + (k - 3));
  k -= saved_fp_first;
  return uint8_t(fp_base + (k < 2 ? 8 + k : 18 + (k - 2)));
}
inline constexpr uint32_t saved_mask(uint64_t registers) {
  uint32_t mask = 0;
  for (unsigned k = 0; k < saved_registers; k++)
    if (registers >> saved_register(k) & 1) mask |= 1u << k;
  return mask;
}

}  // namespace lode::riscv64
