// Integer arithmetic. See selector.h.
//
// i8 and i16 are computed with 32-bit instructions where the low bits do not depend on the upper ones (add, sub, mul,
// and, or, xor, shl): shorter and without partial-register stalls. Division is in select_divide.cpp.
#include <bit>

#include "base/bytes.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using air::Inst;

// dst = a op b with b as immediate, memory or register.
void Selector::two_address(const Op* rr, const Op* ri, const Op* rm, unsigned bits, Reg dst, ValueId a, ValueId b,
                           bool commutes) {
  unsigned wide = bits == 64 ? 64 : 32;
  int32_t imm;
  if (commutes && imm32(a, imm) && !imm32(b, imm)) std::swap(a, b);
  if (imm32(b, imm)) {
    copy(dst, reg_of(a));
    emit_imm(unsigned(width_op(ri, wide)), {mod_slot(dst, wide / 8)}, imm);
    return;
  }
  if (rm) {
    if (commutes && !can_fold_load(b, bits) && can_fold_load(a, bits)) std::swap(a, b);
    if (can_fold_load(b, bits) && a != b) {
      Reg left = reg_of(a);
      VMem m = fold_load(b);
      copy(dst, left);
      emit_mem(unsigned(width_op(rm, bits)), {mod(dst)}, m);
      return;
    }
  }
  if (commutes && !dies_here(a) && dies_here(b)) std::swap(a, b);
  Reg left = reg_of(a), right = reg_of(b);
  copy(dst, left);
  emit(unsigned(width_op(rr, wide)), {mod_slot(dst, wide / 8), use_slot(right, wide / 8)});
}

void Selector::select_binary(const Inst& i) {
  const unsigned bits = bits_of(i.type);
  Reg dst = result_reg(i.result);
  switch (i.op) {
    case AirOp::add: select_add(i, bits, dst); break;
    case AirOp::sub: select_sub(i, bits, dst); break;
    case AirOp::and_: select_and(i, bits, dst); break;
    case AirOp::or_: two_address(or_rr, or_ri, or_rm, bits, dst, i.va(), i.vb(), true); break;
    case AirOp::xor_: select_xor(i, bits, dst); break;
    case AirOp::mul: select_mul(i, bits, dst); break;
    default: break;
  }
  if (bits == 1 && (i.op == AirOp::add || i.op == AirOp::sub || i.op == AirOp::mul)) normalize_i1(dst);
}

// a + b * {1,2,4,8} + constant in one instruction, when it saves a copy or a shift.
bool Selector::sum_as_address(const Inst& i, unsigned bits, ValueId a, ValueId b, VMem& m) {
  int64_t c;
  int32_t imm;
  const Inst* s = def_of(b);
  const Inst* t = def_of(a);
  auto small_shift = [&](const Inst* x, ValueId v) {
    return x && x->op == AirOp::shl && x->type == i.type && single_use(v) && !is_wanted(v) &&
           int_constant(x->vb(), c) && c > 0 && c <= 3;
  };
  if (!small_shift(s, b) && small_shift(t, a)) {
    std::swap(a, b);
    std::swap(s, t);
  }
  m.kind = Mem::Kind::base;
  if (imm32(b, imm)) {
    // (x + y) + constant
    const Inst* inner = def_of(a);
    if (inner && inner->op == AirOp::add && inner->type == i.type && single_use(a) && !is_wanted(a) && bits >= 32 &&
        !fn_->constant(inner->va()) && !fn_->constant(inner->vb())) {
      m.has_base = m.has_index = true;
      m.base = reg_of(inner->va());
      m.index = reg_of(inner->vb());
      m.disp = imm;
      return true;
    }
    if (dies_here(a)) return false;
    m.has_base = true;
    m.base = reg_of(a);
    m.disp = imm;
    return true;
  }
  if (small_shift(s, b)) {
    int64_t k = 0;
    int_constant(s->vb(), k);
    m.has_base = m.has_index = true;
    m.base = reg_of(a);
    m.index = reg_of(s->va());
    m.scale_log2 = uint8_t(k);
    return true;
  }
  if (dies_here(a) || dies_here(b) || can_fold_load(a, bits) || can_fold_load(b, bits)) return false;
  m.has_base = m.has_index = true;
  m.base = reg_of(a);
  m.index = reg_of(b);
  return true;
}

void Selector::select_add(const Inst& i, unsigned bits, Reg dst) {
  ValueId a = i.va(), b = i.vb();
  int32_t imm;
  if (imm32(a, imm) && !imm32(b, imm)) std::swap(a, b);
  VMem m;
  if (sum_as_address(i, bits, a, b, m)) emit_mem(unsigned(bits == 64 ? Op::lea64rm : Op::lea32rm), {def(dst)}, m);
  else two_address(add_rr, add_ri, add_rm, bits, dst, a, b, true);
}

void Selector::select_sub(const Inst& i, unsigned bits, Reg dst) {
  int64_t c;
  if (int_constant(i.va(), c) && c == 0) {
    copy(dst, reg_of(i.vb()));
    emit(unsigned(bits == 64 ? Op::neg64r : Op::neg32r), {mod_slot(dst, bits == 64 ? 8 : 4)});
    return;
  }
  two_address(sub_rr, sub_ri, sub_rm, bits, dst, i.va(), i.vb(), false);
}

void Selector::select_and(const Inst& i, unsigned bits, Reg dst) {
  ValueId a = i.va(), b = i.vb();
  int64_t c;
  if (int_constant(a, c)) std::swap(a, b);
  if (int_constant(b, c) && bits >= 32) {
    // Masks that are extensions.
    uint64_t mask = bits == 64 ? uint64_t(c) : uint64_t(c) & 0xffffffff;
    if (mask == 0xff || mask == 0xffff) {
      emit(unsigned(mask == 0xff ? Op::movzx32rr8 : Op::movzx32rr16),
           {def(dst), use_slot(reg_of(a), mask == 0xff ? 1 : 2)});
      return;
    }
    if (bits == 64 && mask == 0xffffffff) {
      emit(unsigned(Op::mov32rr), {def(dst), use_slot(reg_of(a), 4)});
      return;
    }
    if (bits == 64 && mask < 0x80000000) {
      copy(dst, reg_of(a));
      emit_imm(unsigned(Op::and32ri), {mod(dst)}, int32_t(mask));  // clears the upper half as the mask would
      return;
    }
  }
  two_address(and_rr, and_ri, and_rm, bits, dst, a, b, true);
}

void Selector::select_xor(const Inst& i, unsigned bits, Reg dst) {
  ValueId a = i.va(), b = i.vb();
  int64_t c;
  if (int_constant(a, c)) std::swap(a, b);
  if (int_constant(b, c) && c == -1 && bits > 1) {
    copy(dst, reg_of(a));
    emit(unsigned(bits == 64 ? Op::not64r : Op::not32r), {mod_slot(dst, bits == 64 ? 8 : 4)});
    return;
  }
  if (bits == 1 && int_constant(b, c)) {
    copy(dst, reg_of(a));
    if (c & 1) emit_imm(unsigned(Op::xor32ri), {mod(dst)}, 1);
    return;
  }
  two_address(xor_rr, xor_ri, xor_rm, bits, dst, a, b, true);
}

void Selector::multiply_by_constant(ValueId a, int64_t c, unsigned bits, Reg dst) {
  const unsigned wide = bits == 64 ? 64 : 32;
  uint64_t u = uint64_t(c) & (bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1);
  if (u == 0) {
    constant_into(dst, 0);
  } else if (is_power_of_two(u)) {
    copy(dst, reg_of(a));
    if (u > 1) emit_imm(unsigned(wide == 64 ? Op::shl64ri : Op::shl32ri), {mod(dst)}, std::countr_zero(u));
  } else if (u == 3 || u == 5 || u == 9) {
    VMem m;
    m.kind = Mem::Kind::base;
    m.has_base = m.has_index = true;
    m.base = m.index = reg_of(a);
    m.scale_log2 = u == 3 ? 1 : u == 5 ? 2 : 3;
    emit_mem(unsigned(wide == 64 ? Op::lea64rm : Op::lea32rm), {def(dst)}, m);
  } else if (can_fold_load(a, wide)) {
    emit_mem(unsigned(wide == 64 ? Op::imul64rmi : Op::imul32rmi), {def(dst)}, fold_load(a), uint32_t(c));
  } else {
    emit_imm(unsigned(wide == 64 ? Op::imul64rri : Op::imul32rri), {def(dst), use_slot(reg_of(a), wide / 8)},
             int32_t(c));
  }
}

void Selector::select_mul(const Inst& i, unsigned bits, Reg dst) {
  const unsigned wide = bits == 64 ? 64 : 32;
  ValueId a = i.va(), b = i.vb();
  int64_t c;
  if (int_constant(a, c)) std::swap(a, b);
  if (int_constant(b, c) && fits_signed(c, 32)) return multiply_by_constant(a, c, bits, dst);
  if (can_fold_load(a, wide) && !can_fold_load(b, wide)) std::swap(a, b);
  if (can_fold_load(b, wide) && a != b) {
    Reg left = reg_of(a);
    VMem m = fold_load(b);
    copy(dst, left);
    emit_mem(unsigned(wide == 64 ? Op::imul64rm : Op::imul32rm), {mod(dst)}, m);
    return;
  }
  if (!dies_here(a) && dies_here(b)) std::swap(a, b);
  Reg left = reg_of(a), right = reg_of(b);
  copy(dst, left);
  emit(unsigned(wide == 64 ? Op::imul64rr : Op::imul32rr), {mod(dst), use_slot(right, wide / 8)});
}

void Selector::select_shift(const Inst& i) {
  unsigned bits = bits_of(i.type);
  unsigned wide = bits == 64 ? 64 : 32;
  Reg dst = result_reg(i.result);
  int64_t count;
  bool by_constant = int_constant(i.vb(), count);
  if (by_constant) count &= wide - 1;
  const Op *ri = i.op == AirOp::shl    ? shl_ri
                 : i.op == AirOp::lshr ? shr_ri
                                       : sar_ri,
           *rc = i.op == AirOp::shl    ? shl_rc
                 : i.op == AirOp::lshr ? shr_rc
                                       : sar_rc;
  if (by_constant && i.op == AirOp::shl && count > 0 && count <= 3 && !dies_here(i.va())) {
    VMem m;
    m.kind = Mem::Kind::base;
    if (count == 1) {
      m.has_base = m.has_index = true;
      m.base = m.index = reg_of(i.va());
    } else {
      m.has_index = true;
      m.index = reg_of(i.va());
      m.scale_log2 = uint8_t(count);
    }
    emit_mem(unsigned(wide == 64 ? Op::lea64rm : Op::lea32rm), {def(dst)}, m);
    return;
  }
  Reg source = i.op == AirOp::shl || bits >= 32 ? reg_of(i.va())
               : i.op == AirOp::lshr ? zero_extended(i.va(), 32) : sign_extended(i.va(), 32);
  if (by_constant) {
    copy(dst, source);
    if (count) emit_imm(unsigned(width_op(ri, wide)), {mod_slot(dst, wide / 8)}, int32_t(count));
    return;
  }
  Reg rcx{1};
  Reg c = reg_of(i.vb());
  copy(dst, source);
  copy(rcx, c);
  emit(unsigned(width_op(rc, wide)), {use(rcx), mod(dst)});
}

void Selector::select_rotate(const Inst& i) {
  // Legal code has only rotates: both inputs are the same value.
  unsigned bits = bits_of(i.type);
  Reg dst = result_reg(i.result);
  const Op *ri = i.op == AirOp::fshl ? rol_ri : ror_ri, *rc = i.op == AirOp::fshl ? rol_rc : ror_rc;
  Reg source = reg_of(i.va());
  int64_t count;
  if (int_constant(i.vc(), count)) {
    copy(dst, source);
    count &= bits - 1;
    if (count) emit_imm(unsigned(width_op(ri, bits)), {mod(dst)}, int32_t(count));
    return;
  }
  Reg rcx{1};
  Reg c = reg_of(i.vc());
  copy(dst, source);
  copy(rcx, c);
  emit(unsigned(width_op(rc, bits)), {use(rcx), mod(dst)});
}

// ---- multiplication -------------------------------------------------------------------------------------------------

// rdx = high half of a * b, 64 bits.
Reg Selector::high_product(Reg a, Reg b, bool is_signed) {
  Reg rax{0}, rdx{2};
  copy(rax, a);
  emit(unsigned(is_signed ? Op::imul1_64r : Op::mul64r), {mod(rax), def(rdx), use_slot(b, 8)});
  Reg high = gp(8);
  copy(high, rdx);
  return high;
}

void Selector::select_mulh(const Inst& i) {
  Reg high = high_product(reg_of(i.va()), reg_of(i.vb()), i.op == AirOp::smulh);
  copy(result_reg(i.result), high);
}

void Selector::select_overflow(const Inst& i) {
  uint32_t first = leaf_first_[i.result.value];
  if (first == ~0u) return;
  unsigned bits = bits_of(type_of(i.va()));
  Reg value = leaves_[first].reg, overflow = leaves_[first + 1].reg;
  if (!value.valid()) value = gp(bits == 64 ? 8 : 4);
  Cond cond = Cond::o;
  ValueId a = i.va(), b = i.vb();
  int32_t imm;
  switch (i.op) {
    case AirOp::uadd_overflow: case AirOp::sadd_overflow: case AirOp::usub_overflow: case AirOp::ssub_overflow: {
      bool add = i.op == AirOp::uadd_overflow || i.op == AirOp::sadd_overflow;
      if (i.op == AirOp::uadd_overflow || i.op == AirOp::usub_overflow) cond = Cond::b;
      if (add && imm32(a, imm)) std::swap(a, b);
      Reg left = reg_of(a);
      if (imm32(b, imm)) {
        copy(value, left);
        emit_imm(unsigned(width_op(add ? add_ri : sub_ri, bits)), {mod(value)}, imm);
      } else {
        Reg right = reg_of(b);
        copy(value, left);
        emit(unsigned(width_op(add ? add_rr : sub_rr, bits)), {mod(value), use(right)});
      }
      break;
    }
    case AirOp::smul_overflow:
      if (bits == 8) {
        // 8 x 8 bits fit 32: overflow is a product that is not its own low byte sign-extended.
        Reg x = sign_extended(a, 32), y = sign_extended(b, 32), t = gp(4);
        copy(value, x);
        emit(unsigned(Op::imul32rr), {mod(value), use(y)});
        if (!overflow.valid()) return;
        emit(unsigned(Op::movsx32rr8), {def(t), use(value)});
        emit(unsigned(Op::cmp32rr), {use(t), use(value)});
        emit(with_cond(Op::setcc8r, Cond::ne), {def(overflow)});
        return;
      } else {
        Reg left = reg_of(a), right = reg_of(b);
        copy(value, left);
        emit(unsigned(bits == 16 ? Op::imul16rr : bits == 32 ? Op::imul32rr : Op::imul64rr), {mod(value), use(right)});
      }
      break;
    case AirOp::umul_overflow: {
      if (bits < 32) {
        Reg x = zero_extended(a, 32), y = zero_extended(b, 32), t = gp(4);
        copy(value, x);
        emit(unsigned(Op::imul32rr), {mod(value), use(y)});
        if (!overflow.valid()) return;
        copy(t, value);
        emit_imm(unsigned(Op::shr32ri), {mod(t)}, int32_t(bits));
        emit(unsigned(Op::test32rr), {use(t), use(t)});
        emit(with_cond(Op::setcc8r, Cond::ne), {def(overflow)});
        return;
      }
      Reg left = reg_of(a), right = reg_of(b);
      Reg rax{0}, rdx{2};
      copy(rax, left);
      emit(unsigned(bits == 64 ? Op::mul64r : Op::mul32r), {mod(rax), def(rdx), use(right)});
      copy(value, rax);
      break;
    }
    default: break;
  }
  if (overflow.valid()) emit(with_cond(Op::setcc8r, cond), {def(overflow)});
}

// ---- bits -----------------------------------------------------------------------------------------------------------

void Selector::select_bits(const Inst& i) {
  unsigned bits = bits_of(i.type);
  unsigned wide = bits == 64 ? 64 : 32;
  Reg dst = result_reg(i.result);
  auto ri = [&](const Op* ops, Reg r, int32_t imm) { emit_imm(unsigned(width_op(ops, wide)), {mod(r)}, imm); };
  switch (i.op) {
    case AirOp::bswap:
      copy(dst, reg_of(i.va()));
      if (bits == 16) emit_imm(unsigned(Op::rol16ri), {mod(dst)}, 8);
      else if (bits >= 32) emit(unsigned(bits == 64 ? Op::bswap64r : Op::bswap32r), {mod(dst)});
      return;
    case AirOp::cttz: {
      // bsf leaves its destination undefined for zero. Narrow values get a sentinel bit; wide ones a conditional move.
      if (bits < 32) {
        Reg t = gp(4);
        copy(t, reg_of(i.va()));
        emit_imm(unsigned(Op::or32ri), {mod(t)}, int32_t(1u << bits));
        emit(unsigned(Op::bsf32rr), {def(dst), use(t)});
        return;
      }
      Reg x = reg_of(i.va()), t = gp(wide / 8), none = constant_reg(bits, 32);
      emit(unsigned(wide == 64 ? Op::bsf64rr : Op::bsf32rr), {def(t), use(x)});
      copy(dst, t);
      emit(with_cond(Op::cmov32rr, Cond::e), {mod(dst), use(none)});
      return;
    }
    case AirOp::ctlz: {
      // width - 1 - bsr(x); for zero the width: bsr is replaced by 2 * width - 1, and xor with width - 1 makes the
      // difference.
      Reg x = bits < 32 ? zero_extended(i.va(), 32) : reg_of(i.va());
      Reg t = gp(wide / 8), none = constant_reg(2 * bits - 1, 32);
      if (bits < 32) {
        emit(unsigned(Op::bsr32rr), {def(t), use(x)});
        copy(dst, t);
        emit(with_cond(Op::cmov32rr, Cond::e), {mod(dst), use(none)});
        ri(xor_ri, dst, int32_t(bits - 1));
        return;
      }
      emit(unsigned(wide == 64 ? Op::bsr64rr : Op::bsr32rr), {def(t), use(x)});
      copy(dst, t);
      emit(with_cond(Op::cmov32rr, Cond::e), {mod(dst), use(none)});
      ri(xor_ri, dst, int32_t(bits - 1));
      return;
    }
    case AirOp::ctpop: {
      // Sums of 2, 4, 8 bits in place (Hacker's Delight, figure 5-2), then a multiplication adds the bytes.
      Reg x = bits < 32 ? zero_extended(i.va(), 32) : reg_of(i.va());
      auto masked = [&](Reg r, uint64_t mask) {
        if (wide == 32) {
          ri(and_ri, r, int32_t(uint32_t(mask)));
        } else {
          Reg k = constant_reg(mask, 64);
          emit(unsigned(Op::and64rr), {mod(r), use(k)});
        }
      };
      Reg t = gp(wide / 8), a = gp(wide / 8), b = gp(wide / 8);
      copy(t, x);
      ri(shr_ri, t, 1);
      masked(t, 0x5555555555555555);
      copy(a, x);
      emit(unsigned(width_op(sub_rr, wide)), {mod(a), use(t)});
      copy(b, a);
      ri(shr_ri, b, 2);
      masked(b, 0x3333333333333333);
      masked(a, 0x3333333333333333);
      emit(unsigned(width_op(add_rr, wide)), {mod(a), use(b)});
      Reg c = gp(wide / 8);
      copy(c, a);
      ri(shr_ri, c, 4);
      emit(unsigned(width_op(add_rr, wide)), {mod(a), use(c)});
      masked(a, 0x0f0f0f0f0f0f0f0f);
      if (wide == 32) {
        emit_imm(unsigned(Op::imul32rri), {def(dst), use(a)}, 0x01010101);
        ri(shr_ri, dst, 24);
      } else {
        Reg k = constant_reg(0x0101010101010101, 64);
        copy(dst, a);
        emit(unsigned(Op::imul64rr), {mod(dst), use(k)});
        ri(shr_ri, dst, 56);
      }
      return;
    }
    case AirOp::bitreverse: {
      // Bytes reversed, then bits within bytes by three swaps.
      copy(dst, reg_of(i.va()));
      emit(unsigned(wide == 64 ? Op::bswap64r : Op::bswap32r), {mod(dst)});
      static constexpr uint64_t masks[3] = {0x0f0f0f0f0f0f0f0f, 0x3333333333333333, 0x5555555555555555};
      Reg r = dst;
      for (unsigned step = 0; step < 3; step++) {
        int32_t by = 4 >> step;
        Reg t = gp(wide / 8), u = gp(wide / 8);
        copy(t, r);
        copy(u, r);
        ri(shr_ri, t, by);
        if (wide == 32) {
          ri(and_ri, t, int32_t(uint32_t(masks[step])));
          ri(and_ri, u, int32_t(uint32_t(masks[step])));
        } else {
          Reg k = constant_reg(masks[step], 64);
          emit(unsigned(Op::and64rr), {mod(t), use(k)});
          emit(unsigned(Op::and64rr), {mod(u), use(k)});
        }
        ri(shl_ri, u, by);
        emit(unsigned(width_op(or_rr, wide)), {mod(t), use(u)});
        r = t;
      }
      Reg last = gp(wide / 8);
      copy(last, r);
      if (bits < 32) ri(shr_ri, last, int32_t(32 - bits));
      copy(dst, last);
      return;
    }
    default: return;
  }
}

void Selector::select_minmax(const Inst& i) {
  unsigned bits = bits_of(i.type);
  unsigned wide = bits == 64 ? 64 : 32;
  Reg dst = result_reg(i.result);
  Op cmov = wide == 64 ? Op::cmov64rr : Op::cmov32rr;
  if (i.op == AirOp::iabs) {
    Reg x = bits < 32 ? sign_extended(i.va(), 32) : reg_of(i.va()), t = gp(wide / 8);
    copy(t, x);
    emit(unsigned(wide == 64 ? Op::neg64r : Op::neg32r), {mod(t)});
    copy(dst, t);
    emit(with_cond(cmov, Cond::s), {mod(dst), use(x)});
    return;
  }
  bool is_signed = i.op == AirOp::smin || i.op == AirOp::smax;
  Reg a, b;
  if (bits < 32) {
    a = is_signed ? sign_extended(i.va(), 32) : zero_extended(i.va(), 32);
    b = is_signed ? sign_extended(i.vb(), 32) : zero_extended(i.vb(), 32);
  } else {
    a = reg_of(i.va());
    b = reg_of(i.vb());
  }
  Cond c = i.op == AirOp::smin ? Cond::g : i.op == AirOp::smax ? Cond::l : i.op == AirOp::umin ? Cond::a : Cond::b;
  emit(unsigned(width_op(cmp_rr, wide)), {use(a), use(b)});
  copy(dst, a);
  emit(with_cond(cmov, c), {mod(dst), use(b)});
}

// ---- conversions between integers -----------------------------------------------------------------------------------

void Selector::select_extend(const Inst& i) {
  unsigned to = bits_of(i.type);
  bool is_signed = i.op == AirOp::sext;
  if (!is_signed && to == 64 && bits_of(type_of(i.va())) == 32 && known_zero_upper(i.va())) {
    copy(result_reg(i.result), widen(reg_of(i.va())));
    return;
  }
  int64_t c;
  if (int_constant(i.va(), c)) {
    unsigned from = bits_of(type_of(i.va()));
    if (from == 1 && is_signed) c = -c;
    uint64_t u = is_signed || from == 64 ? uint64_t(c) : uint64_t(c) & ((uint64_t{1} << from) - 1);
    constant_into(result_reg(i.result), to == 64 ? u : u & 0xffffffff);
    return;
  }
  extend_into(result_reg(i.result), i.va(), is_signed, to == 64 ? 64 : 32);
}

void Selector::select_trunc(const Inst& i) {
  Reg dst = result_reg(i.result);
  copy(dst, reg_of(i.va()));
  if (i.type == TypeTable::i1) normalize_i1(dst);
}

void Selector::select_copy(const Inst& i) {
  if (i.type == TypeTable::f80) return;  // shares its operand's slot
  if (reg_[i.result.value].valid()) copy(reg_[i.result.value], reg_of(i.va()));
}

void Selector::select_bitcast(const Inst& i) {
  TypeId from = type_of(i.va());
  if (i.type == TypeTable::f80) return;
  Reg dst = result_reg(i.result), src = reg_of(i.va());
  if (is_fp(i.type) == is_fp(from)) {
    copy(dst, src);
    return;
  }
  bool wide = bits_of(is_fp(i.type) ? from : i.type) == 64;
  if (is_fp(i.type)) emit(unsigned(wide ? Op::movq_xr : Op::movd_xr), {def(dst), use_slot(src, wide ? 8 : 4)});
  else emit(unsigned(wide ? Op::movq_rx : Op::movd_rx), {def(dst), use(src)});
}

}  // namespace lode::x86_64
