// Plans for divisions by constants, computed step by step as codegen/native/division.h says and compared with the
// division itself.
#include "codegen/native/division.h"

#include <catch2/catch.hpp>

#include <set>
#include <vector>

#include "base/bytes.h"

namespace lode::codegen {
namespace {

using Form = DivisionPlan::Form;

// A register of `width` bits.
struct Machine {
  unsigned width;
  uint64_t mask() const { return width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1; }
  uint64_t wrap(uint64_t v) const { return v & mask(); }
  int64_t number(uint64_t v) const { return sign_extend(v, width); }
  uint64_t shr(uint64_t v, unsigned by) const { return wrap(v) >> by; }
  uint64_t sar(uint64_t v, unsigned by) const { return wrap(uint64_t(number(v) >> by)); }
  uint64_t high_unsigned(uint64_t a, uint64_t b) const {
    return wrap(uint64_t((unsigned __int128)wrap(a) * wrap(b) >> width));
  }
  uint64_t high_signed(uint64_t a, uint64_t b) const {
    return wrap(uint64_t((__int128)number(a) * number(b) >> width));
  }
};

uint64_t quotient(const DivisionPlan& p, uint64_t n) {
  const Machine m{p.width};
  n = m.wrap(n);
  uint64_t q = n;
  if (p.form == Form::power_of_two && !p.is_signed) return m.shr(n, p.shift);
  if (p.form == Form::power_of_two) q = m.sar(m.wrap(n + m.shr(m.sar(n, p.width - 1), p.width - p.shift)), p.shift);
  if (p.form == Form::multiply && !p.is_signed) {
    const uint64_t h = m.high_unsigned(n, p.multiplier);
    return p.add ? m.shr(m.wrap(m.shr(m.wrap(n - h), 1) + h), p.shift - 1u) : m.shr(h, p.shift);
  }
  if (p.form == Form::multiply) {
    uint64_t h = m.high_signed(n, p.multiplier);
    if (p.add) h = m.wrap(h + n);
    q = m.wrap(m.sar(h, p.shift) + m.shr(n, p.width - 1));
  }
  return p.negate ? m.wrap(-q) : q;
}

uint64_t remainder(const DivisionPlan& p, uint64_t n, int64_t divisor) {
  const Machine m{p.width};
  n = m.wrap(n);
  if (p.form == Form::identity) return 0;
  if (p.form == Form::power_of_two && !p.is_signed) return n & ((uint64_t{1} << p.shift) - 1);
  if (p.form == Form::power_of_two) {
    const uint64_t t = m.wrap(n + m.shr(m.sar(n, p.width - 1), p.width - p.shift));
    return m.wrap(n - (t & m.wrap(-(uint64_t{1} << p.shift))));
  }
  return m.wrap(n - quotient(p, n) * uint64_t(divisor));
}

// Around the borders of the width, powers of two and multiples of the divisor.
std::vector<int64_t> edge_values(unsigned bits, uint64_t around) {
  std::set<int64_t> values;
  auto add = [&](uint64_t v) {
    for (int d = -2; d <= 2; d++) values.insert(sign_extend(v + uint64_t(d), bits));
  };
  add(0);
  for (unsigned k = 0; k < bits; k++) {
    add(uint64_t{1} << k);
    add(-(uint64_t{1} << k));
  }
  add(0x5555555555555555);
  add(0xaaaaaaaaaaaaaaaa);
  if (around) {
    const uint64_t most = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    for (uint64_t top : {most, most >> 1, (most >> 1) + 1, most / 3}) add(top / around * around);
    for (uint64_t times : {2, 3, 5, 100}) {
      add(around * times);
      add(-(around * times));
    }
  }
  return {values.begin(), values.end()};
}

std::vector<int64_t> divisors(unsigned bits) {
  std::vector<int64_t> all = edge_values(bits, 0);
  for (int64_t d = -130; d <= 1000; d++) all.push_back(sign_extend(uint64_t(d), bits));
  for (uint64_t d = 12345; d < uint64_t{1} << 62; d = d * 7 + 3) all.push_back(sign_extend(d, bits));
  return all;
}

void check(unsigned bits, int64_t divisor, bool is_signed, const std::vector<int64_t>& dividends) {
  const DivisionPlan p = plan_division(divisor, bits, is_signed);
  if (p.form == Form::none) return;
  const Machine narrow{bits};
  for (int64_t n : dividends) {
    // As selection extends it into the register.
    const uint64_t input = is_signed ? uint64_t(sign_extend(uint64_t(n), bits)) : narrow.wrap(uint64_t(n));
    uint64_t q, r;
    if (is_signed) {
      q = uint64_t(n / divisor);
      r = uint64_t(n % divisor);
    } else {
      q = narrow.wrap(uint64_t(n)) / narrow.wrap(uint64_t(divisor));
      r = narrow.wrap(uint64_t(n)) % narrow.wrap(uint64_t(divisor));
    }
    if (narrow.wrap(quotient(p, input)) != narrow.wrap(q) ||
        narrow.wrap(remainder(p, input, divisor)) != narrow.wrap(r))
      FAIL((is_signed ? "signed " : "unsigned ") << bits << " bits: " << n << " by " << divisor);
  }
}

}  // namespace

TEST_CASE("every plan for a division by a constant divides") {
  for (unsigned bits : {8u, 16u, 32u, 64u})
    for (int64_t d : divisors(bits)) {
      const std::vector<int64_t> dividends = edge_values(bits, d < 0 ? -uint64_t(d) : uint64_t(d));
      for (bool is_signed : {false, true}) check(bits, d, is_signed, dividends);
    }
}

TEST_CASE("plans for divisions of 8 bits, all dividends by all divisors") {
  std::vector<int64_t> all;
  for (int64_t n = -128; n < 128; n++) all.push_back(n);
  for (int64_t d : all)
    for (bool is_signed : {false, true}) check(8, d, is_signed, all);
}

TEST_CASE("which divisions have a plan") {
  CHECK(plan_division(0, 32, false).form == Form::none);
  CHECK(plan_division(-1, 32, true).form == Form::none);
  CHECK(plan_division(INT64_MIN, 64, true).form == Form::none);
  CHECK(plan_division(INT32_MIN, 32, true).form == Form::none);
  CHECK(plan_division((int64_t{1} << 62) + 1, 64, false).form == Form::none);
  CHECK(plan_division(1, 64, true).form == Form::identity);
  CHECK(plan_division(INT64_MIN, 64, false).form == Form::power_of_two);
  const DivisionPlan three = plan_division(3, 32, false), seven = plan_division(7, 32, false);
  CHECK(three.multiplier == 0xaaaaaaab);  // Hacker's Delight, table 10-2
  CHECK(three.shift == 1);
  CHECK(!three.add);
  CHECK(seven.multiplier == 0x24924925);
  CHECK(seven.shift == 3);
  CHECK(seven.add);
  const DivisionPlan signed_seven = plan_division(7, 32, true);
  CHECK(signed_seven.multiplier == 0x92492493);
  CHECK(signed_seven.shift == 2);
  CHECK(signed_seven.add);
}

}  // namespace lode::codegen
