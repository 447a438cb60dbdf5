// Expressions of GNU ld's script language, as --defsym and assignments have them: C's operators and precedence on
// 64-bit words, constants with K, M and radix letters, symbols, and functions of symbols and sections (GNU ld manual,
// "Expressions in Linker Scripts"). Parsing only: what symbols and sections are is for the link to say.
//
// GNU ld reads every word of hexadecimal digits that ends in a radix letter as a number: "ah" is ten, and so a symbol
// of that name cannot be named without quotes. But it does so, too, where the digits are none of that radix ("bad" and
// "dead" as decimal, "fb" as binary numbers), which gives 0 without a word. Such words are symbols here.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lode::formats {

enum class ExpressionOp : uint8_t {
  number, symbol, location,  // location: the lone dot
  // one operand, a
  negate, invert, logical_not, absolute, log2ceil,
  // two, a and b
  multiply, divide, remainder, add, subtract, shift_left, shift_right, less, less_equal, greater, greater_equal, equal,
  not_equal, bit_and, bit_xor, bit_or, logical_and, logical_or, maximum, minimum, align,
  choose,                    // a ? b : c
  // of a name
  defined, section_address, section_size, section_align, constant, headers_size,
};

struct ExpressionNode {
  ExpressionOp op = ExpressionOp::number;
  uint32_t a = 0, b = 0, c = 0;  // operands, before this node
  uint64_t number = 0;
  std::string_view name = {};    // borrows the text
};

struct LinkerExpression {
  std::vector<ExpressionNode> nodes;  // operands before operators; the last one is the whole
};

Result<LinkerExpression> parse_linker_expression(std::string_view text);

}  // namespace lode::formats
