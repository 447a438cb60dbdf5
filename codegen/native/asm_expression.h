// Expressions of assembly text, as trees in a flat array.
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
// Numbers: decimal, 0x, 0b, octal with a leading 0; 'c is a character; in Intel's syntax also 12h, 101b and the
// operators by name (and, or, xor, not, shl, shr, mod).
//
// A tree is built before its names have values, because what an expression says (.skip of a distance, .size) is often
// known only when everything is laid out. A name may carry the way that it is to be reached ("name@GOTPCREL").
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lode::codegen {

enum class AsmVariant : uint8_t {
  none, plt, got, gotoff, gotpcrel, gotpcrel_norelax, tpoff, gottpoff, tlsgd, tlsld, dtpoff, size, tlsdesc, tlscall,
  gotpc, pltoff, unknown,
};

enum class AsmOperator : uint8_t {
  number, name,                      // leaves: `value`, or `a` the number of a name
  negate, complement, logical_not,   // of a
  multiply, divide, remainder, shift_left, shift_right, bit_or, bit_and, bit_xor, or_not, add, subtract,
  equal, not_equal, less, greater, less_equal, greater_equal, both, either,  // of a and b
};

struct AsmNode {
  AsmOperator op = AsmOperator::number;
  AsmVariant variant = AsmVariant::none;
  uint32_t a = 0, b = 0;
  int64_t value = 0;
};

inline constexpr uint32_t no_expression = ~0u;

class AsmExpressions {
 public:
  // `number_of_name` is told each name, "." and "1f" among them; no_expression: names are not allowed here.
  explicit AsmExpressions(std::function<uint32_t(std::string_view)> number_of_name)
      : number_of_name_(std::move(number_of_name)) {}

  // Reads an expression from the start of `s` and takes it off. no_expression: there is none, and `s` begins where it
  // goes wrong.
  uint32_t parse(std::string_view& s, bool intel = false);
  // The whole text has to be one.
  uint32_t parse_all(std::string_view s, bool intel = false);
  uint32_t number(int64_t v);
  uint32_t binary(AsmOperator op, uint32_t a, uint32_t b);
  uint32_t name(uint32_t number, AsmVariant variant = AsmVariant::none);
  const AsmNode& operator[](uint32_t i) const { return nodes_[i]; }
  // Of a tree without names, which is one number.
  bool constant(uint32_t i, int64_t& value) const;

 private:
  struct Parser;
  std::vector<AsmNode> nodes_;
  std::function<uint32_t(std::string_view)> number_of_name_;
};

// The value of an operator whose operands are known. False: division by zero.
bool apply_operator(AsmOperator op, uint64_t& a, uint64_t b);

// False: not an expression of constants alone (symbols, division by zero, trailing text, nesting beyond 64 levels).
bool evaluate_constant(std::string_view text, int64_t& value);

}  // namespace lode::codegen
