// Decimal numbers as binary floating point, rounded once: the nearest number of the format, ties to the even one, for
// every format that AIR has. C's own conversions stop at double, and rounding a double again is not the same.
#pragma once

#include <cstdint>
#include <string_view>

namespace lode::air {

// An IEEE-like format: `precision` bits of mantissa, the leading one included; exponents of the leading bit from min to
// max.
struct BinaryFormat {
  int precision, min_exponent, max_exponent;
};
inline constexpr BinaryFormat binary16{11, -14, 15}, brain16{8, -126, 127}, binary32{24, -126, 127},
binary64{53, -1022, 1023},
    extended80{64, -16382, 16383}, binary128{113, -16382, 16383};

struct BinaryNumber {
  uint64_t low = 0, high = 0;  // the mantissa, an integer below 2^precision; 0: the number is zero
  int biased_exponent = 0;     // as encoded: 0 for subnormal numbers and zero, all ones for infinity
};

// "12", "1.5", "2.0e-7", "1e400"; digits may be separated by '_'. False when it is malformed or has more than 20,000
// digits. What is too large becomes infinity, what is too small zero.
bool decimal_to_binary(std::string_view text, const BinaryFormat& format, BinaryNumber& out);

}  // namespace lode::air
