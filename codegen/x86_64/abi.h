// The calling conventions of x86-64, for legal AIR.
//
// System V (psABI 1.0, section 3.2.3): the front end has already classified structures: what arrives here is leaves of
// type i1..i64, ptr (class INTEGER), f32 f64 f128 v128 (class SSE), f80 (class X87, in memory as an argument), and
// byval pointers (the structure itself in memory). The two leaves of an i128 go into two registers or both into memory,
// aligned to 16.
//
// Microsoft ("x64 calling convention", C's ms_abi): the first four arguments have a register each, by position: rcx rdx
// r8 r9, or xmm0 to xmm3. The caller leaves 32 bytes for them below the ones on the stack, where a variadic function
// stores its four: then all arguments stand in one row, which its va_list walks through; so a variadic floating-point
// argument is in both registers of its place. What has more than 8 bytes (vectors, x87 and quad floats, byval) is
// passed by the address of a copy. Results are System V's.
//
// The others have System V's arguments and results, and differ in the registers that the callee keeps for its caller: a
// row of Convention says what those are.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "codegen/air/air.h"

namespace lode::x86_64 {

// Register sets are masks of codegen::Reg: bit n a general register by its hardware number, bit 32 + n an xmm register.
inline constexpr uint64_t gp_set(std::initializer_list<uint8_t> numbers) {
  uint64_t set = 0;
  for (uint8_t n : numbers) set |= uint64_t{1} << n;
  return set;
}
inline constexpr uint64_t xmm_set(unsigned first, unsigned last) {
  return (uint64_t{2} << (32 + last)) - (uint64_t{1} << (32 + first));
}
inline constexpr uint64_t all_registers = 0xffef | xmm_set(0, 15);                          // but rsp
inline constexpr uint64_t saved_by_sysv = gp_set({3, 5, 12, 13, 14, 15});                   // rbx rbp r12..r15
inline constexpr uint64_t saved_by_win64 = saved_by_sysv | gp_set({6, 7}) | xmm_set(6, 15);  // and rsi rdi xmm6..xmm15
inline constexpr uint64_t saved_by_preserve_all = all_registers & ~gp_set({11});
inline constexpr uint64_t saved_by_preserve_most = saved_by_preserve_all & 0xffff;

// The ways in which calls destroy registers, as VInst's index in RegisterInfo::clobbers. A register that hands back a
// result is written by the call's definition of it, whatever its set says. Calls of preserve_most and preserve_all
// count on less than the callee promises: to free 8 bytes of stack LLVM 19 pops into one of rax, rcx and rdx, without a
// look at the convention.
enum Clobber : uint8_t {
  clobber_none,
  clobber_call,
  clobber_all,
  clobber_win64,
  clobber_preserve_most,
  clobber_preserve_all,
  clobber_sets
};
inline constexpr uint64_t clobbered_by[clobber_sets] = {
    0,
    all_registers & ~saved_by_sysv,
    all_registers,
    all_registers & ~saved_by_win64,
    (all_registers & ~saved_by_preserve_most) | gp_set({0, 1, 2}),
    (all_registers & ~saved_by_preserve_all) | gp_set({0, 1, 2}),
};

struct Convention {
  uint64_t saved;            // registers that a function keeps for its caller, unless they hand back a result
  Clobber clobbers;          // what a call of such a function destroys
  bool by_position = false;  // the Microsoft way of passing arguments
};
// `no_caller_saved_registers`: the function attribute of that name, which keeps everything.
const Convention& convention_of(air::CallConv conv, bool no_caller_saved_registers);

// Hardware numbers of the argument registers, in order.
inline constexpr uint8_t gp_arguments[6] = {7, 6, 2, 1, 8, 9};  // rdi rsi rdx rcx r8 r9
inline constexpr unsigned sse_arguments = 8;                     // xmm0 .. xmm7
inline constexpr uint8_t gp_results[3] = {0, 2, 1};              // rax rdx rcx
inline constexpr unsigned sse_results = 4;                       // xmm0 .. xmm3

inline constexpr uint8_t win64_arguments[4] = {1, 2, 8, 9};     // rcx rdx r8 r9
inline constexpr uint32_t win64_home_bytes = 32;

struct ArgumentPlace {
  enum Kind : uint8_t { gp, sse, memory, byval } kind = gp;
  uint8_t reg = 0;      // gp: hardware number; sse: 0..7
  bool indirect = false;  // gp, memory: the place has the address of the value, which is the caller's copy
  uint32_t offset = 0;  // memory, byval: bytes from the start of the argument area
};

struct ArgumentLayout {
  std::vector<ArgumentPlace> places;  // by leaf
  uint32_t stack_end = 0;             // where the next stack argument would begin, a multiple of 8
  uint32_t stack_bytes = 0;           // stack_end rounded up to 16
  uint8_t gp_used = 0,
          sse_used = 0;  // argument registers taken; by position: both are the number of places taken, at most 4
};

// `attrs` is empty or one entry a leaf. Returns false when the stack part passes 2^31 bytes.
bool assign_arguments(std::span<const air::TypeId> types, std::span<const air::ParamAttr> attrs,
                      const Convention& convention, ArgumentLayout& out);

struct ResultPlace {
  enum Kind : uint8_t { gp, sse, x87 } kind = gp;
  uint8_t reg = 0;  // gp: hardware number; sse: 0..3; x87: depth on the register stack
};
// False when the results do not fit the registers.
bool assign_results(std::span<const air::TypeId> types, std::vector<ResultPlace>& out);

bool is_sse(air::TypeId t);

}  // namespace lode::x86_64
