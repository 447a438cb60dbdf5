#include "codegen/native/division.h"

#include <bit>

#include "base/bytes.h"

namespace lode::codegen {

namespace {

using Wide = unsigned __int128;

// m = floor(2^p / d) + 1 with the least p from `width` on for which it is exact for all n.
void plan_signed(DivisionPlan& plan) {
  const unsigned width = plan.width;
  const uint64_t d = plan.magnitude;
  // The largest dividend that d divides with a remainder of d - 1, in magnitude.
  Wide nc = (uint64_t{1} << (width - 1)) + (plan.negate ? 1 : 0);
  nc = nc - 1 - nc % d;
  unsigned p = width - 1;
  Wide power;
  do { power = Wide{1} << ++p; } while (power <= nc * (d - power % d));
  plan.multiplier = uint64_t((power + d - power % d) / d);
  plan.shift = uint8_t(p - width);
  plan.add = plan.multiplier >> (width - 1);
}

// m = floor(2^width * 2^l / d) + 1 with l = ceil(log2 d) is always exact and has width + 1 bits; the result is what is
// below the top one, with `add`. Halved as long as it stays exact it may become one of width bits. (Shifting the zeroes
// at the end of an even divisor out of the dividend first lets more of them do so: a possible improvement.)
void plan_unsigned(DivisionPlan& plan) {
  const unsigned width = plan.width;
  const uint64_t d = plan.magnitude;
  const unsigned l = 64 - unsigned(std::countl_zero(d - 1));
  const Wide scaled = (Wide{1} << width) * ((Wide{1} << l) - d);
  Wide low = (Wide{1} << width) + scaled / d, high = (Wide{1} << width) + (scaled + (Wide{1} << l)) / d;
  plan.multiplier = uint64_t(scaled / d + 1);
  plan.shift = uint8_t(l);
  plan.add = true;
  unsigned shift = l;
  for (; low / 2 < high / 2 && shift > 0; shift--) {
    low /= 2;
    high /= 2;
  }
  if (high >> width) return;
  plan.multiplier = uint64_t(high);
  plan.shift = uint8_t(shift);
  plan.add = false;
}

}  // namespace

DivisionPlan plan_division(int64_t divisor, unsigned bits, bool is_signed) {
  DivisionPlan plan;
  const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  plan.width = bits == 64 ? 64 : 32;
  plan.is_signed = is_signed;
  plan.negate = is_signed && divisor < 0;
  plan.magnitude = !is_signed ? uint64_t(divisor) & mask : plan.negate ? -uint64_t(divisor) : uint64_t(divisor);
  if (divisor == 0 || divisor == -1) return plan;
  if (is_signed && plan.magnitude > mask / 2) return plan;
  if (plan.magnitude == 1) {
    plan.form = DivisionPlan::Form::identity;
  } else if (is_power_of_two(plan.magnitude)) {
    plan.form = DivisionPlan::Form::power_of_two;
    plan.shift = uint8_t(std::countr_zero(plan.magnitude));
  } else if (is_signed) {
    plan.form = DivisionPlan::Form::multiply;
    plan_signed(plan);
  } else if (bits < 64 || plan.magnitude <= uint64_t{1} << 62) {
    plan.form = DivisionPlan::Form::multiply;
    plan_unsigned(plan);
  }
  return plan;
}

}  // namespace lode::codegen
