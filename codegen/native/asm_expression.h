// Constant expressions of assembly text.
//
// Operators are GNU as's ("Infix Operators" of its manual), precedence is LLVM's for GNU targets, from the tightest:
//   prefix - ~ ! +
//   * / % << >>
//   | & ^ ! (or-not)
//   + -
//   == <> != < > >= <=           a comparison that holds is -1
//   &&                           1 or 0
//   ||                           1 or 0
// Arithmetic is that of 64-bit two's complement and wraps; >> shifts zeros in; the comparisons and division are signed.
// Numbers: decimal, 0x, 0b, octal with a leading 0; 'c is a character.
#pragma once

#include <cstdint>
#include <string_view>

namespace lode::codegen {

// False: not an expression of constants alone (symbols, division by zero, trailing text, nesting beyond 64 levels).
bool evaluate_constant(std::string_view text, int64_t& value);

}  // namespace lode::codegen
