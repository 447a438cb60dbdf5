// Division of integers by a constant without a division: which shifts, additions and high products make it.
//
// Granlund and Montgomery, "Division by Invariant Integers using Multiplication" (1994), which LLVM and GCC follow too;
// Warren, Hacker's Delight, chapter 10, for the signed multiplier. A plan says what is to be computed; how a machine
// comes to a high product (an instruction for it, or a product of twice the width and a shift) is its own matter.
//
// The plan is for a dividend n in a register of `width` bits (32 or 64), into which narrower values were extended: by
// zeroes for unsigned division, by their sign for signed division. high(a, b) is the upper half of the product of 2 *
// width bits; >> shifts in zeroes where the division is unsigned, the sign where it is signed, >>> always zeroes. The
// quotient q rounds towards zero; the remainder is n - q * divisor, or what the form says.
//
//   identity           q = n; a remainder is 0
//   power_of_two       unsigned  q = n >> shift; a remainder is n & (2^shift - 1)
//                      signed    t = n + ((n >> (width - 1)) >>> (width - shift)), q = t >> shift; a remainder is
//                                n - (t & -2^shift)
//   multiply           unsigned  h = high(n, multiplier)
//                                q = h >> shift, or with add: (((n - h) >> 1) + h) >> (shift - 1)
//                      signed    h = high(n, multiplier), with add: + n (the multiplier has its top bit set: as a
//                                signed number it is 2^width too small); t = h >> shift, q = t + (n >>> (width - 1))
//   In signed forms `negate` says that the divisor is negative: -q is the quotient. A remainder has the sign of n and
//   needs the negation only where it is computed from the quotient.
//
// none: no such sequence is known (a divisor of 0 or -1, the least number, those of 64 bits above 2^62): divide.
#pragma once

#include <cstdint>

namespace lode::codegen {

struct DivisionPlan {
  enum class Form : uint8_t { none, identity, power_of_two, multiply };
  Form form = Form::none;
  uint8_t width = 32;
  bool is_signed = false;
  bool negate = false;
  bool add = false;  // multiply
  uint8_t shift = 0;
  uint64_t magnitude = 0;   // of the divisor
  uint64_t multiplier = 0;  // multiply; below 2^width
};

// `divisor`: sign-extended from `bits` (1 to 64).
DivisionPlan plan_division(int64_t divisor, unsigned bits, bool is_signed);

}  // namespace lode::codegen
