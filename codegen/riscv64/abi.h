// The calling convention of RV64 with the LP64D ABI, for legal AIR (RISC-V ELF psABI, "Procedure Calling Convention").
//
// The front end has already classified structures: what arrives here is leaves of type i1..i64 and ptr, f32 and f64,
// and pairs of i64 whose first has attr::split_first (i128, and binary128 as legalisation makes it). Eight integer and
// eight floating-point registers carry arguments; a floating-point leaf takes an integer register when its own are used
// up or when it is variadic, and what is left is on the stack. A pair may be half in a7 and half on the stack; a
// variadic pair starts at an even register, and on the stack any pair is aligned to 16. A byval structure is passed by
// the address of a copy that the caller makes. Results are in a0, a1, fa0 and fa1.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/riscv64/registers.h"

namespace lode::riscv64 {

// Register sets are masks of codegen::Reg: bit n an integer register, bit 32 + n a floating-point one.
inline constexpr uint64_t register_range(unsigned first, unsigned last) {
  return (last == 63 ? ~uint64_t{0} : (uint64_t{1} << (last + 1)) - 1) & ~((uint64_t{1} << first) - 1);
}
// Of those that are given out or named: not zero, sp, gp, tp.
inline constexpr uint64_t all_registers = register_range(1, 63) & ~(register_range(2, 4));
inline constexpr uint64_t saved_by_callee =
    register_range(8, 9) | register_range(18, 27) | register_range(40, 41) | register_range(50, 59);
inline constexpr unsigned argument_registers = 8;

// The ways in which calls destroy registers, as VInst's index in RegisterInfo::clobbers.
enum Clobber : uint8_t { clobber_none, clobber_call, clobber_all, clobber_sets };
inline constexpr uint64_t clobbered_by[clobber_sets] = {0, all_registers & ~saved_by_callee, all_registers};

struct ArgumentPlace {
  enum Kind : uint8_t { gp, fp, memory } kind = gp;
  uint8_t reg = 0;        // codegen::Reg number
  bool indirect = false;  // the place has the address of the value, which is the caller's copy (byval)
  uint32_t offset = 0;    // memory: bytes from the start of the argument area
};

struct ArgumentLayout {
  std::vector<ArgumentPlace> places;  // by leaf
  uint32_t stack_end = 0;             // where the next stack argument would begin, a multiple of 8
  uint32_t stack_bytes = 0;           // stack_end rounded up to 16
  uint8_t gp_used = 0;
};

// `attrs` is empty or one entry a leaf; leaves from `fixed` on are variadic. Returns false when the stack part passes
// 2^31 bytes.
bool assign_arguments(std::span<const air::TypeId> types, std::span<const air::ParamAttr> attrs, uint32_t fixed,
                      ArgumentLayout& out);
// codegen::Reg numbers of results. False when they do not fit the registers.
bool assign_results(std::span<const air::TypeId> types, std::vector<uint8_t>& out);

}  // namespace lode::riscv64
