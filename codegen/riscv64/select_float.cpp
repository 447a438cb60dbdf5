// Floating point. See selector.h.
//
// Conversions to integers round towards zero and saturate; C leaves what does not fit undefined, LLVM's saturating ones
// want 0 for NaN, where the hardware gives the largest value.
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::Inst;

void Selector::select_float(const Inst& i) {
  const bool single = i.type == TypeTable::f32;
  Reg dst = result_reg(i.result);
  auto pick = [&](Op s, Op d) { return single ? s : d; };
  auto binary = [&](Op s, Op d) {
    Reg x = reg_of(i.va()), y = reg_of(i.vb());
    fff(pick(s, d), dst, x, y);
  };
  switch (i.op) {
    case AirOp::fadd: return binary(Op::fadd_s, Op::fadd_d);
    case AirOp::fsub: return binary(Op::fsub_s, Op::fsub_d);
    case AirOp::fmul: return binary(Op::fmul_s, Op::fmul_d);
    case AirOp::fdiv: return binary(Op::fdiv_s, Op::fdiv_d);
    case AirOp::fcopysign: return binary(Op::fsgnj_s, Op::fsgnj_d);
    case AirOp::fminnum: return binary(Op::fmin_s, Op::fmin_d);
    case AirOp::fmaxnum: return binary(Op::fmax_s, Op::fmax_d);
    case AirOp::fsqrt: return r2(pick(Op::fsqrt_s, Op::fsqrt_d), dst, reg_of(i.va()));
    case AirOp::fneg: {
      Reg x = reg_of(i.va());
      return fff(pick(Op::fsgnjn_s, Op::fsgnjn_d), dst, x, x);
    }
    case AirOp::fabs: {
      Reg x = reg_of(i.va());
      return fff(pick(Op::fsgnjx_s, Op::fsgnjx_d), dst, x, x);
    }
    default: {  // fma; negations that only it reads are part of it
      bool product = false, addend = false;
      auto operand = [&](ValueId v, bool& negated) {
        const Inst* d = def_of(v);
        if (d && d->op == AirOp::fneg && single_use(v) && !is_wanted(v)) {
          negated = !negated;
          return reg_of(d->va());
        }
        return reg_of(v);
      };
      Reg x = operand(i.va(), product), y = operand(i.vb(), product), z = operand(i.vc(), addend);
      const Op op = product ? (addend ? pick(Op::fnmadd_s, Op::fnmadd_d) : pick(Op::fnmsub_s, Op::fnmsub_d))
                            : (addend ? pick(Op::fmsub_s, Op::fmsub_d) : pick(Op::fmadd_s, Op::fmadd_d));
      push(unsigned(op), {def(dst), use(x), use(y), use(z)}, uint32_t(Rounding::dyn));
    }
  }
}

namespace {
// By: to 64 bits, of an unsigned integer, from or to f64.
constexpr Op to_int[2][2][2] = {{{Op::fcvt_w_s, Op::fcvt_w_d}, {Op::fcvt_wu_s, Op::fcvt_wu_d}},
                                {{Op::fcvt_l_s, Op::fcvt_l_d}, {Op::fcvt_lu_s, Op::fcvt_lu_d}}};
constexpr Op from_int[2][2][2] = {{{Op::fcvt_s_w, Op::fcvt_d_w}, {Op::fcvt_s_wu, Op::fcvt_d_wu}},
                                  {{Op::fcvt_s_l, Op::fcvt_d_l}, {Op::fcvt_s_lu, Op::fcvt_d_lu}}};
}  // namespace

void Selector::convert_to_int(const Inst& i) {
  const bool wide = bits_of(i.type) == 64, is_unsigned = i.op == AirOp::fptoui && bits_of(i.type) >= 32;
  const Op op = to_int[wide][is_unsigned][type_of(i.va()) == TypeTable::f64];
  Reg dst = result_reg(i.result);
  r2(op, dst, reg_of(i.va()), Rounding::rtz);
}

void Selector::convert_to_int_saturating(const Inst& i) {
  const bool wide = bits_of(i.type) == 64, twice = type_of(i.va()) == TypeTable::f64;
  Reg dst = result_reg(i.result), x = reg_of(i.va()), value = gp(8), number = gp(8), mask = gp(8);
  r2(to_int[wide][i.op == AirOp::fptoui_sat][twice], value, x, Rounding::rtz);
  push(unsigned(twice ? Op::feq_d : Op::feq_s), {def(number), use(x), use(x)}, uint32_t(Rounding::dyn));
  rr(Op::sub, mask, {Reg{}, true}, {number});
  rr(Op::and_, dst, {value}, {mask});
}

void Selector::convert_from_int(const Inst& i) {
  const unsigned bits = bits_of(type_of(i.va()));
  const bool is_unsigned = i.op == AirOp::uitofp, twice = i.type == TypeTable::f64;
  Reg dst = result_reg(i.result);
  Reg x = bits >= 32 ? reg_of(i.va()) : is_unsigned ? zero_extended(i.va()) : sign_extended(i.va());
  const Op op = from_int[bits == 64][is_unsigned && bits >= 32][twice];
  r2(op, dst, x, info(op).traits & T_rm ? Rounding::dyn : Rounding::rne);
}

void Selector::select_convert(const Inst& i) {
  switch (i.op) {
    case AirOp::fptosi: case AirOp::fptoui: return convert_to_int(i);
    case AirOp::fptosi_sat: case AirOp::fptoui_sat: return convert_to_int_saturating(i);
    case AirOp::sitofp: case AirOp::uitofp: return convert_from_int(i);
    case AirOp::fptrunc: return r2(Op::fcvt_s_d, result_reg(i.result), reg_of(i.va()));
    default: return r2(Op::fcvt_d_s, result_reg(i.result), reg_of(i.va()), Rounding::rne);
  }
}

}  // namespace lode::riscv64
