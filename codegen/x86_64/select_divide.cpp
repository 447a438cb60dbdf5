// Division and remainders. codegen/native/division.h plans those by constants; here are the instructions of a plan, and
// div and idiv for the others.
#include "base/bytes.h"
#include "codegen/native/division.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using air::Inst;
using codegen::DivisionPlan;

void Selector::change(const Op* ri, unsigned width, Reg r, int32_t imm) {
  emit_imm(unsigned(width_op(ri, width)), {mod(r)}, imm);
}
void Selector::change(const Op* rr, unsigned width, Reg r, Reg by) {
  emit(unsigned(width_op(rr, width)), {mod(r), use(by)});
}
void Selector::negate(unsigned width, Reg r) { emit(unsigned(width == 64 ? Op::neg64r : Op::neg32r), {mod(r)}); }

void Selector::divide_unsigned_by_power(const DivisionPlan& plan, bool remainder, Reg dst, Reg n) {
  const int32_t above = int32_t(plan.width) - plan.shift;
  copy(dst, n);
  if (!remainder) return change(shr_ri, plan.width, dst, plan.shift);
  if (fits_signed(int64_t(plan.magnitude - 1), 32)) return change(and_ri, plan.width, dst, int32_t(plan.magnitude - 1));
  change(shl_ri, plan.width, dst, above);
  change(shr_ri, plan.width, dst, above);
}

void Selector::divide_signed_by_power(const DivisionPlan& plan, bool remainder, Reg dst, Reg n) {
  const unsigned width = plan.width;
  const int32_t k = plan.shift;
  Reg t = gp(width / 8);
  copy(t, n);
  if (k > 1) change(sar_ri, width, t, int32_t(width) - 1);
  change(shr_ri, width, t, int32_t(width) - k);
  change(add_rr, width, t, n);
  if (!remainder) {
    change(sar_ri, width, t, k);
    copy(dst, t);
    if (plan.negate) negate(width, dst);
    return;
  }
  if (fits_signed(-int64_t(plan.magnitude), 32)) {
    change(and_ri, width, t, int32_t(-int64_t(plan.magnitude)));
  } else {
    change(shr_ri, width, t, k);
    change(shl_ri, width, t, k);
  }
  copy(dst, n);
  change(sub_rr, width, dst, t);
}

// A high product of 32 bits is the upper half of one of 64.
Reg Selector::signed_quotient(const DivisionPlan& plan, Reg n) {
  const unsigned width = plan.width;
  Reg q;
  if (width == 32) {
    Reg x = gp(8);
    emit(unsigned(Op::movsxd64rr32), {def(x), use(n)});
    q = gp(8);
    emit_imm(unsigned(Op::imul64rri), {def(q), use(x)}, int32_t(plan.multiplier));
    if (plan.add) {
      Reg high = gp(8);
      copy(high, q);
      emit_imm(unsigned(Op::shr64ri), {mod(high)}, 32);
      emit(unsigned(Op::add32rr), {mod(high), use(n)});
      if (plan.shift) emit_imm(unsigned(Op::sar32ri), {mod(high)}, plan.shift);
      q = high;
    } else {
      emit_imm(unsigned(Op::sar64ri), {mod(q)}, 32 + plan.shift);
    }
  } else {
    Reg k = constant_reg(plan.multiplier, 64);
    q = high_product(n, k, true);
    if (plan.add) emit(unsigned(Op::add64rr), {mod(q), use(n)});
    if (plan.shift) emit_imm(unsigned(Op::sar64ri), {mod(q)}, plan.shift);
  }
  // One more for negative n.
  Reg sign = gp(width / 8);
  copy(sign, n);
  change(shr_ri, width, sign, int32_t(width) - 1);
  change(add_rr, width, q, sign);
  if (plan.negate) negate(width, q);
  return q;
}

Reg Selector::unsigned_quotient(const DivisionPlan& plan, Reg n) {
  const unsigned width = plan.width;
  const uint64_t m = plan.multiplier;
  Reg q;
  if (width == 32) {
    Reg x64 = gp(8);
    emit(unsigned(Op::mov32rr), {def(x64), use(n)});
    q = gp(8);
    if (m < 0x80000000) {
      emit_imm(unsigned(Op::imul64rri), {def(q), use(x64)}, int32_t(m));
    } else {
      Reg k = constant_reg(m, 64);
      copy(q, x64);
      emit(unsigned(Op::imul64rr), {mod(q), use(k)});
    }
    emit_imm(unsigned(Op::shr64ri), {mod(q)}, 32);
  } else {
    Reg k = constant_reg(m, 64);
    q = high_product(n, k, false);
  }
  if (!plan.add) {
    if (plan.shift) change(shr_ri, width, q, plan.shift);
    return q;
  }
  Reg t = gp(width / 8);
  copy(t, n);
  change(sub_rr, width, t, q);
  change(shr_ri, width, t, 1);
  change(add_rr, width, t, q);
  if (plan.shift > 1) change(shr_ri, width, t, plan.shift - 1);
  return t;
}

// dst = n - q * divisor
void Selector::remainder_of(unsigned width, int64_t divisor, Reg dst, Reg n, Reg q) {
  Reg p = gp(width / 8);
  if (fits_signed(divisor, 32)) {
    emit_imm(unsigned(width == 64 ? Op::imul64rri : Op::imul32rri), {def(p), use(q)}, int32_t(divisor));
  } else {
    Reg k = constant_reg(uint64_t(divisor), 64);
    copy(p, q);
    emit(unsigned(Op::imul64rr), {mod(p), use(k)});
  }
  copy(dst, n);
  change(sub_rr, width, dst, p);
}

bool Selector::divide_by_constant(const Inst& i) {
  int64_t divisor;
  if (!int_constant(i.vb(), divisor)) return false;
  const bool is_signed = i.op == AirOp::sdiv || i.op == AirOp::srem,
             remainder = i.op == AirOp::urem || i.op == AirOp::srem;
  const DivisionPlan plan = codegen::plan_division(divisor, bits_of(i.type), is_signed);
  if (plan.form == DivisionPlan::Form::none) return false;
  Reg dst = result_reg(i.result);
  Reg n = is_signed ? sign_extended(i.va(), plan.width) : zero_extended(i.va(), plan.width);
  switch (plan.form) {
    case DivisionPlan::Form::none: break;
    case DivisionPlan::Form::identity:
      if (remainder) constant_into(dst, 0);
      else copy(dst, n);
      break;
    case DivisionPlan::Form::power_of_two:
      if (is_signed) divide_signed_by_power(plan, remainder, dst, n);
      else divide_unsigned_by_power(plan, remainder, dst, n);
      break;
    case DivisionPlan::Form::multiply: {
      Reg q = is_signed ? signed_quotient(plan, n) : unsigned_quotient(plan, n);
      if (remainder) remainder_of(plan.width, divisor, dst, n, q);
      else copy(dst, q);
      break;
    }
  }
  return true;
}

void Selector::select_divide(const Inst& i) {
  if (divide_by_constant(i)) return;
  unsigned bits = bits_of(i.type);
  bool is_signed = i.op == AirOp::sdiv || i.op == AirOp::srem, remainder = i.op == AirOp::urem || i.op == AirOp::srem;
  unsigned wide = bits == 64 ? 64 : 32;
  Reg a = is_signed ? sign_extended(i.va(), wide) : zero_extended(i.va(), wide);
  Reg b = is_signed ? sign_extended(i.vb(), wide) : zero_extended(i.vb(), wide);
  Reg rax{0}, rdx{2};
  copy(rax, a);
  if (is_signed) emit(unsigned(wide == 64 ? Op::cqo64 : Op::cdq32), {use(rax), def(rdx)});
  else constant_into(rdx, 0);
  Op op = is_signed ? (wide == 64 ? Op::idiv64r : Op::idiv32r) : (wide == 64 ? Op::div64r : Op::div32r);
  emit(unsigned(op), {mod(rax), mod(rdx), Operand::make(b, Role::use_late, fits_slot(b, wide / 8))});
  copy(result_reg(i.result), remainder ? rdx : rax);
}

}  // namespace lode::x86_64
