// Division. By a constant it is shifts and high products: codegen/native/division.h says which. Dividends of up to 32
// bits are extended to the whole register, so their products are exact in 64 bits and one shift takes the place of the
// high half.
#include "base/bytes.h"
#include "codegen/native/division.h"
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::Inst;
using codegen::DivisionPlan;

void Selector::select_divide(const Inst& i) {
  if (divide_by_constant(i)) return;
  const unsigned bits = bits_of(i.type);
  const bool is_signed = i.op == AirOp::sdiv || i.op == AirOp::srem;
  const bool remainder = i.op == AirOp::urem || i.op == AirOp::srem;
  auto operand = [&](ValueId v) {
    return bits >= 32 ? reg_of(v) : is_signed ? sign_extended(v) : zero_extended(v);
  };
  Reg dst = result_reg(i.result);
  Reg x = operand(i.va()), y = operand(i.vb());
  static constexpr Op ops[2][2][2] = {{{Op::divu, Op::remu}, {Op::div, Op::rem}},
                                      {{Op::divuw, Op::remuw}, {Op::divw, Op::remw}}};
  rr(ops[bits <= 32][is_signed][remainder], dst, {x}, {y});
}

bool Selector::divide_by_constant(const Inst& i) {
  int64_t c;
  if (!int_constant(i.vb(), c)) return false;
  const unsigned bits = bits_of(i.type);
  const bool is_signed = i.op == AirOp::sdiv || i.op == AirOp::srem;
  const bool remainder = i.op == AirOp::urem || i.op == AirOp::srem;
  const DivisionPlan plan = codegen::plan_division(c, bits, is_signed);
  if (plan.form == DivisionPlan::Form::none) return false;
  Reg dst = result_reg(i.result);
  const bool word = bits <= 32;
  if (plan.form == DivisionPlan::Form::identity && remainder) return constant_into(dst, 0), true;
  Reg n = is_signed ? sign_extended(i.va()) : zero_extended(i.va());
  if (!is_signed && remainder && plan.form == DivisionPlan::Form::power_of_two)
    return and_low_bits(dst, n, plan.shift), true;
  Reg q = quotient(plan, n);
  // Unsigned quotients of 32 bits may have their top bit set: 32-bit values are left with their sign extended.
  const bool whole = bits == 32 && !is_signed;
  if (!remainder) {
    if (plan.negate) rr(word ? Op::subw : Op::sub, dst, {Reg{}, true}, {q});
    else if (whole) ri(Op::addiw, dst, q, 0);
    else copy(dst, q);
    return true;
  }
  Reg product = gp(8);
  if (plan.form == DivisionPlan::Form::power_of_two) {
    ri(Op::slli, product, q, plan.shift);
  } else {
    Reg k = constant_reg(int64_t(plan.magnitude));
    rr(Op::mul, product, {q}, {k});
  }
  rr(word ? Op::subw : Op::sub, dst, {n}, {product});
  return true;
}

// Rounded towards zero, by the divisor's magnitude. n is extended to the whole register.
Reg Selector::quotient(const DivisionPlan& plan, Reg n) {
  auto shifted = [&](Op op, Reg r, unsigned by) {
    if (by == 0) return r;
    Reg t = gp(8);
    ri(op, t, r, by);
    return t;
  };
  auto sum = [&](Op op, Reg x, Reg y) {
    Reg t = gp(8);
    rr(op, t, {x}, {y});
    return t;
  };
  if (plan.form == DivisionPlan::Form::identity) return n;
  if (plan.form == DivisionPlan::Form::power_of_two) {
    if (!plan.is_signed) return shifted(Op::srli, n, plan.shift);
    Reg sign = plan.shift == 1 ? n : shifted(Op::srai, n, 63);
    return shifted(Op::srai, sum(Op::add, n, shifted(Op::srli, sign, 64u - plan.shift)), plan.shift);
  }
  const bool word = plan.width == 32;
  if (plan.is_signed) {
    Reg t;
    if (word) {
      // With `add` the multiplier is positive here, and the sum is in the product already.
      Reg k = constant_reg(int64_t(plan.multiplier));
      t = shifted(Op::srai, sum(Op::mul, n, k), 32u + plan.shift);
    } else {
      Reg k = constant_reg(int64_t(plan.multiplier));
      Reg high = sum(Op::mulh, n, k);
      if (plan.add) high = sum(Op::add, high, n);
      t = shifted(Op::srai, high, plan.shift);
    }
    return sum(Op::add, t, shifted(Op::srli, n, 63));
  }
  Reg k = constant_reg(int64_t(plan.multiplier));
  if (word && !plan.add) return shifted(Op::srli, sum(Op::mul, n, k), 32u + plan.shift);
  Reg high = word ? shifted(Op::srli, sum(Op::mul, n, k), 32) : sum(Op::mulhu, n, k);
  if (!plan.add) return shifted(Op::srli, high, plan.shift);
  Reg half = shifted(Op::srli, sum(Op::sub, n, high), 1);
  return shifted(Op::srli, sum(Op::add, half, high), plan.shift - 1u);
}

}  // namespace lode::riscv64
