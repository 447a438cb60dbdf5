// The System V calling convention of x86-64, for legal AIR (psABI 1.0, section 3.2.3).
//
// The front end has already classified structures: what arrives here is leaves of type i1..i64, ptr (class INTEGER), f32 f64 f128
// v128 (class SSE), f80 (class X87, in memory as an argument), and byval pointers (the structure itself in memory). The two leaves of
// an i128 go into two registers or both into memory, aligned to 16.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/air/air.h"

namespace lode::x86_64 {

// Hardware numbers of the argument registers, in order.
inline constexpr uint8_t gp_arguments[6] = {7, 6, 2, 1, 8, 9};  // rdi rsi rdx rcx r8 r9
inline constexpr unsigned sse_arguments = 8;                     // xmm0 .. xmm7
inline constexpr uint8_t gp_results[3] = {0, 2, 1};              // rax rdx rcx
inline constexpr unsigned sse_results = 4;                       // xmm0 .. xmm3

struct ArgumentPlace {
  enum Kind : uint8_t { gp, sse, memory, byval } kind = gp;
  uint8_t reg = 0;      // gp: hardware number; sse: 0..7
  uint32_t offset = 0;  // memory, byval: bytes from the first stack argument
};

struct ArgumentLayout {
  std::vector<ArgumentPlace> places;  // by leaf
  uint32_t stack_end = 0;             // where the next stack argument would begin, a multiple of 8
  uint32_t stack_bytes = 0;           // stack_end rounded up to 16
  uint8_t gp_used = 0, sse_used = 0;  // argument registers taken
};

// `attrs` is empty or one entry a leaf. Returns false when the stack part passes 2^31 bytes.
bool assign_arguments(std::span<const air::TypeId> types, std::span<const air::ParamAttr> attrs, ArgumentLayout& out);

struct ResultPlace {
  enum Kind : uint8_t { gp, sse, x87 } kind = gp;
  uint8_t reg = 0;  // gp: hardware number; sse: 0..3; x87: depth on the register stack
};
// False when the results do not fit the registers.
bool assign_results(std::span<const air::TypeId> types, std::vector<ResultPlace>& out);

bool is_sse(air::TypeId t);

}  // namespace lode::x86_64
