// Comparisons, selects, branches and switches. See selector.h.
//
// A comparison with one reader is folded into it: compare() sets the flags for an i1 value and says which condition
// holds. Which blocks there are, and what edges copy, is codegen/native/selection.h's.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using air::ConstantKind;
using air::FloatPredicate;
using air::Inst;
using air::IntPredicate;
namespace vf = codegen::vflags;

namespace {
Cond cond_of(IntPredicate p) {
  switch (p) {
    case IntPredicate::eq: return Cond::e;
    case IntPredicate::ne: return Cond::ne;
    case IntPredicate::ugt: return Cond::a;
    case IntPredicate::uge: return Cond::ae;
    case IntPredicate::ult: return Cond::b;
    case IntPredicate::ule: return Cond::be;
    case IntPredicate::sgt: return Cond::g;
    case IntPredicate::sge: return Cond::ge;
    case IntPredicate::slt: return Cond::l;
    case IntPredicate::sle: return Cond::le;
  }
  return Cond::e;
}
IntPredicate swapped(IntPredicate p) {
  switch (p) {
    case IntPredicate::ugt: return IntPredicate::ult;
    case IntPredicate::uge: return IntPredicate::ule;
    case IntPredicate::ult: return IntPredicate::ugt;
    case IntPredicate::ule: return IntPredicate::uge;
    case IntPredicate::sgt: return IntPredicate::slt;
    case IntPredicate::sge: return IntPredicate::sle;
    case IntPredicate::slt: return IntPredicate::sgt;
    case IntPredicate::sle: return IntPredicate::sge;
    default: return p;
  }
}
}  // namespace

Selector::Flags Selector::inverted(Flags f) {
  if (f.extra == 0) return {inverse(f.cond), 0};
  static constexpr uint8_t other[5] = {0, 2, 1, 4, 3};
  return {f.cond, other[f.extra]};
}

Selector::Flags Selector::compare_int(const Inst& i) {
  ValueId a = i.va(), b = i.vb();
  IntPredicate p = IntPredicate(i.aux);
  unsigned bits = bits_of(type_of(a));
  int64_t c;
  if (int_constant(a, c) && !int_constant(b, c)) {
    std::swap(a, b);
    p = swapped(p);
  }
  if (bits == 1) {
    // True is -1 as a signed number: signed order is the reverse of unsigned order.
    switch (p) {
      case IntPredicate::sgt: p = IntPredicate::ult; break;
      case IntPredicate::sge: p = IntPredicate::ule; break;
      case IntPredicate::slt: p = IntPredicate::ugt; break;
      case IntPredicate::sle: p = IntPredicate::uge; break;
      default: break;
    }
    if (int_constant(b, c)) {
      Reg r = reg_of(a);
      emit_imm(unsigned(Op::cmp8ri), {use_slot(r, 1)}, int32_t(c & 1));
      return {cond_of(p), 0};
    }
  }
  int32_t imm;
  if (imm32(b, imm)) {
    bool sign_only = p == IntPredicate::eq || p == IntPredicate::ne || p == IntPredicate::slt || p == IntPredicate::sge;
    if (imm == 0) {
      const Inst* d = def_of(a);
      // and + compare with zero = test
      if (d && d->op == AirOp::and_ && sign_only && single_use(a) && !is_wanted(a) && bits > 1) {
        ValueId x = d->va(), y = d->vb();
        int32_t mask;
        if (imm32(x, mask)) std::swap(x, y);
        if (imm32(y, mask)) {
          bool equality = p == IntPredicate::eq || p == IntPredicate::ne;
          if (can_fold_load(x, bits)) {
            if (equality && bits > 8 && mask >= 0 && mask <= 0xff)
              emit_mem(unsigned(Op::test8mi), {}, fold_load(x), uint32_t(int32_t(int8_t(mask))));
            else emit_mem(unsigned(width_op(test_mi, bits)), {}, fold_load(x), uint32_t(mask));
          } else {
            Reg r = reg_of(x);
            if (equality && mask >= 0 && mask <= 0xff)
              emit_imm(unsigned(Op::test8ri), {use_slot(r, 1)}, int32_t(int8_t(mask)));
            else if (bits == 64 && equality && mask >= 0) emit_imm(unsigned(Op::test32ri), {use_slot(r, 4)}, mask);
            else emit_imm(unsigned(width_op(test_ri, bits)), {use_slot(r, bits / 8)}, mask);
          }
          return {p == IntPredicate::slt ? Cond::s : p == IntPredicate::sge ? Cond::ns : cond_of(p), 0};
        }
        if (can_fold_load(y, bits) || can_fold_load(x, bits)) {
          if (!can_fold_load(y, bits)) std::swap(x, y);
          Reg r = reg_of(x);
          emit_mem(unsigned(width_op(test_mr, bits)), {use(r)}, fold_load(y));
        } else {
          Reg r = reg_of(x), s = reg_of(y);
          emit(unsigned(width_op(test_rr, bits)), {use(r), use(s)});
        }
        return {p == IntPredicate::slt ? Cond::s : p == IntPredicate::sge ? Cond::ns : cond_of(p), 0};
      }
    }
    if (can_fold_load(a, bits)) {
      emit_mem(unsigned(width_op(cmp_mi, bits)), {}, fold_load(a), uint32_t(imm));
      return {cond_of(p), 0};
    }
    Reg r = reg_of(a);
    if (imm == 0 && bits > 1) {
      // A value in its slot is compared there; one in a register is tested with itself. The finaliser chooses: cmp with
      // 0.
      emit_imm(unsigned(width_op(cmp_ri, bits)), {use_slot(r, bits / 8)}, 0);
      return {p == IntPredicate::slt ? Cond::s : p == IntPredicate::sge ? Cond::ns : cond_of(p), 0};
    }
    emit_imm(unsigned(width_op(cmp_ri, bits)), {use_slot(r, bits < 8 ? 1 : bits / 8)}, imm);
    return {cond_of(p), 0};
  }
  if (can_fold_load(b, bits) && a != b) {
    Reg r = reg_of(a);
    emit_mem(unsigned(width_op(cmp_rm, bits)), {use(r)}, fold_load(b));
    return {cond_of(p), 0};
  }
  if (can_fold_load(a, bits) && a != b) {
    Reg r = reg_of(b);
    emit_mem(unsigned(width_op(cmp_mr, bits)), {use(r)}, fold_load(a));
    return {cond_of(p), 0};
  }
  Reg r = reg_of(a), s = reg_of(b);
  emit(unsigned(width_op(cmp_rr, bits)), {use_slot(r, bits < 8 ? 1 : bits / 8), use_slot(s, bits < 8 ? 1 : bits / 8)});
  return {cond_of(p), 0};
}

Selector::Flags Selector::compare_float(const Inst& i) {
  FloatPredicate p = FloatPredicate(i.aux);
  if (p == FloatPredicate::false_) return {Cond::e, 4};
  if (p == FloatPredicate::true_) return {Cond::e, 3};
  ValueId a = i.va(), b = i.vb();
  // ucomis sets ZF PF CF: unordered 111, less 001, greater 000, equal 100. `above` and `above or equal` are false when
  // unordered, so less-than swaps its operands; the unordered forms use below.
  bool swap =
      p == FloatPredicate::olt || p == FloatPredicate::ole || p == FloatPredicate::ugt || p == FloatPredicate::uge;
  if (swap) std::swap(a, b);
  TypeId type = type_of(a);
  if (type == TypeTable::f80) {
    load_f80(b);
    load_f80(a);
    emit(unsigned(Op::fucomip), {}, 1);  // compares st0 = a with st1 = b and pops a
    emit(unsigned(Op::fstp_st0), {});
  } else {
    unsigned bits = type == TypeTable::f32 ? 32 : 64;
    if (can_fold_load(b, bits) && a != b) {
      Reg r = reg_of(a);
      emit_mem(unsigned(bits == 32 ? Op::ucomiss_rm : Op::ucomisd_rm), {use(r)}, fold_load(b));
    } else {
      Reg r = reg_of(a), s = reg_of(b);
      emit(unsigned(bits == 32 ? Op::ucomiss_rr : Op::ucomisd_rr), {use(r), use_slot(s, bits / 8)});
    }
  }
  switch (p) {
    case FloatPredicate::oeq: return {Cond::e, 1};
    case FloatPredicate::une: return {Cond::ne, 2};
    case FloatPredicate::ogt: case FloatPredicate::olt: return {Cond::a, 0};
    case FloatPredicate::oge: case FloatPredicate::ole: return {Cond::ae, 0};
    case FloatPredicate::ult: case FloatPredicate::ugt: return {Cond::b, 0};
    case FloatPredicate::ule: case FloatPredicate::uge: return {Cond::be, 0};
    case FloatPredicate::one: return {Cond::ne, 0};
    case FloatPredicate::ueq: return {Cond::e, 0};
    case FloatPredicate::ord: return {Cond::np, 0};
    case FloatPredicate::uno: return {Cond::p, 0};
    default: return {Cond::e, 4};
  }
}

Selector::Flags Selector::compare(ValueId cond) {
  int64_t c;
  // A negation that only this reads: its operand, the other way round.
  bool negated = false;
  for (const Inst* d; (d = def_of(cond)) && d->op == AirOp::xor_ && single_use(cond) && !is_wanted(cond) &&
                      int_constant(d->vb(), c) && (c & 1);) {
    cond = d->va();
    negated = !negated;
  }
  Flags f = compare_plain(cond);
  return negated ? inverted(f) : f;
}

Selector::Flags Selector::compare_plain(ValueId cond) {
  int64_t c;
  if (int_constant(cond, c)) return {Cond::e, uint8_t(c & 1 ? 3 : 4)};
  const Inst* d = def_of(cond);
  if (d && single_use(cond) && !is_wanted(cond)) {
    if (d->op == AirOp::icmp) return compare_int(*d);
    if (d->op == AirOp::fcmp) return compare_float(*d);
    if (d->op == AirOp::trunc && d->type == TypeTable::i1) {
      if (can_fold_load(d->va(), bits_of(type_of(d->va())))) {
        emit_mem(unsigned(Op::test8mi), {}, fold_load(d->va()), 1);
        return {Cond::ne, 0};
      }
      Reg r = reg_of(d->va());
      emit_imm(unsigned(Op::test8ri), {use_slot(r, 1)}, 1);
      return {Cond::ne, 0};
    }
  }
  if (can_fold_load(cond, 1)) {
    emit_mem(unsigned(Op::cmp8mi), {}, fold_load(cond), 0);
    return {Cond::ne, 0};
  }
  Reg r = reg_of(cond);
  emit_imm(unsigned(Op::cmp8ri), {use_slot(r, 1)}, 0);
  return {Cond::ne, 0};
}

void Selector::set_from_flags(Reg dst, Flags f) {
  switch (f.extra) {
    case 0: emit(with_cond(Op::setcc8r, f.cond), {def(dst)}); break;
    case 1: case 2: {
      Reg t = gp(4);
      emit(with_cond(Op::setcc8r, f.extra == 1 ? Cond::e : Cond::ne), {def(t)});
      emit(with_cond(Op::setcc8r, f.extra == 1 ? Cond::np : Cond::p), {def(dst)});
      emit(unsigned(f.extra == 1 ? Op::and32rr : Op::or32rr), {mod(dst), use(t)});
      break;
    }
    default: constant_into(dst, f.extra == 3); break;
  }
}

void Selector::select_compare(const Inst& i) {
  Reg dst = result_reg(i.result);
  set_from_flags(dst, i.op == AirOp::icmp ? compare_int(i) : compare_float(i));
}

// ---- select ---------------------------------------------------------------------------------------------------------

// A condition that one cmov can test.
Selector::Flags Selector::single_condition(Flags f) {
  if (!f.extra) return f;
  Reg t = gp(4);
  set_from_flags(t, f);
  emit_imm(unsigned(Op::cmp8ri), {use(t)}, 0);
  return {Cond::ne, 0};
}

// fld both, keep one: through memory by an integer select of the addresses.
void Selector::select_of_f80(const Inst& i) {
  Reg a = gp(8), b = gp(8), p = gp(8);
  auto place = [&](ValueId v, Reg r) {
    if (fn_->constant(v)) {
      uint32_t slot = new_slot(16, 4);
      load_f80(v);
      emit_mem(unsigned(Op::fstp80m), {}, slot_mem(slot));
      lea(r, slot_mem(slot));
    } else {
      lea(r, slot_mem(f80_slot(v)));
    }
  };
  place(i.vb(), a);
  place(i.vc(), b);
  const Flags f = single_condition(compare(i.va()));
  copy(p, b);
  emit(with_cond(Op::cmov64rr, f.cond), {mod(p), use(a)});
  emit_mem(unsigned(Op::fld80m), {}, reg_mem(p));
  store_f80(i.result);
}

// dst = b where the mask is set, else c.
void Selector::select_of_vectors(const Inst& i) {
  Reg dst = result_reg(i.result);
  Reg b = reg_of(i.vb()), c = reg_of(i.vc()), flag = gp(4);
  set_from_flags(flag, compare(i.va()));
  Reg wide = gp(4), mask = fp(16), keep = fp(16);
  emit(unsigned(Op::movzx32rr8), {def(wide), use(flag)});
  emit(unsigned(Op::neg32r), {mod(wide)});
  if (i.type == TypeTable::v256) {
    Reg low = fp(16), all = fp(32);
    emit(unsigned(Op::movd_xr), {def(low), use(wide)});
    emit_imm(unsigned(Op::pshufd_rri), {def(mask), use(low)}, 0);
    emit_imm(unsigned(Op::vinsertf128_rrri), {def(all), use(mask), use(mask)}, 1);
    emit_imm(unsigned(Op::vblendvps256_rrri), {def(dst), use(c), use(b), use(all)}, 0);
    return;
  }
  emit(unsigned(Op::movd_xr), {def(mask), use(wide)});
  emit_imm(unsigned(Op::pshufd_rri), {def(keep), use(mask)}, 0);
  Reg picked = fp(16);
  copy(picked, keep);
  emit(unsigned(Op::andps_rr), {mod(picked), use(b)});
  emit(unsigned(Op::andnps_rr), {mod(keep), use(c)});
  copy(dst, keep);
  emit(unsigned(Op::orps_rr), {mod(dst), use(picked)});
}

// Constants: setcc and arithmetic.
void Selector::select_of_constants(const Inst& i, int64_t x, int64_t y, bool wide) {
  Reg dst = result_reg(i.result);
  int64_t difference = int64_t(uint64_t(x) - uint64_t(y));
  Flags f = compare(i.va());
  if (difference == -1) {
    f = inverted(f);
    std::swap(x, y);
    difference = 1;
  }
  if (difference == 1) {
    Reg t = gp(4);
    set_from_flags(t, f);
    if (y == 0) {
      emit(unsigned(Op::movzx32rr8), {def(dst), use(t)});
      return;
    }
    Reg u = gp(8);
    emit(unsigned(Op::movzx32rr8), {def(u), use(t)});
    if (fits_signed(y, 32)) {
      emit_mem(unsigned(wide ? Op::lea64rm : Op::lea32rm), {def(dst)}, reg_mem(u, int32_t(y)));
    } else {
      Reg k = constant_reg(uint64_t(y), 64);
      copy(dst, u);
      emit(unsigned(Op::add64rr), {mod(dst), use(k)});
    }
    return;
  }
  auto bits_as_held = [&](int64_t v) { return wide ? uint64_t(v) : uint64_t(v) & 0xffffffff; };
  if (f.extra >= 3) return constant_into(dst, bits_as_held(f.extra == 3 ? x : y));
  f = single_condition(f);
  Reg a = gp(wide ? 8 : 4);
  constant_into(a, bits_as_held(x));
  constant_into(dst, bits_as_held(y));
  emit(with_cond(wide ? Op::cmov64rr : Op::cmov32rr, f.cond), {mod(dst), use(a)});
}

void Selector::select_select(const Inst& i) {
  if (i.type == TypeTable::f80) return select_of_f80(i);
  if (i.type == TypeTable::f128 || air::is_simd(i.type)) return select_of_vectors(i);
  Reg dst = result_reg(i.result);
  bool fp_type = is_fp(i.type);
  bool wide = i.type == TypeTable::f64 || (!fp_type && bits_of(i.type) == 64);
  unsigned bytes = wide ? 8 : 4;
  Op cmov = wide ? Op::cmov64rr : Op::cmov32rr;
  int64_t x, y;
  if (!fp_type && int_constant(i.vb(), x) && int_constant(i.vc(), y)) return select_of_constants(i, x, y, wide);
  // The condition's own comparison must be the last thing that touches the flags before the move.
  Reg b, c;
  if (fp_type) {
    Reg fb = reg_of(i.vb()), fc = reg_of(i.vc());
    b = gp(bytes);
    c = gp(bytes);
    emit(unsigned(wide ? Op::movq_rx : Op::movd_rx), {def(b), use(fb)});
    emit(unsigned(wide ? Op::movq_rx : Op::movd_rx), {def(c), use(fc)});
  } else {
    b = reg_of(i.vb());
    c = reg_of(i.vc());
  }
  Flags f = compare(i.va());
  Reg t = fp_type ? gp(bytes) : dst;
  if (f.extra >= 3) {
    copy(t, f.extra == 3 ? b : c);
  } else if (f.extra == 1) {  // equal and ordered: take c when not equal or unordered
    Reg s = gp(bytes);
    copy(s, b);
    emit(with_cond(cmov, Cond::ne), {mod(s), use(c)});
    copy(t, s);
    emit(with_cond(cmov, Cond::p), {mod(t), use(c)});
  } else if (f.extra == 2) {
    Reg s = gp(bytes);
    copy(s, c);
    emit(with_cond(cmov, Cond::ne), {mod(s), use(b)});
    copy(t, s);
    emit(with_cond(cmov, Cond::p), {mod(t), use(b)});
  } else if (!fp_type && dies_here(i.vb()) && !dies_here(i.vc())) {
    copy(t, b);
    emit(with_cond(cmov, inverse(f.cond)), {mod(t), use_slot(c, bytes)});
  } else {
    copy(t, c);
    emit(with_cond(cmov, f.cond), {mod(t), use_slot(b, bytes)});
  }
  if (fp_type) emit(unsigned(wide ? Op::movq_xr : Op::movd_xr), {def(dst), use(t)});
}

// ---- edges ----------------------------------------------------------------------------------------------------------

// On the x87 stack while there is room, then in slots of their own.
void Selector::read_for_edge(ValueId param, ValueId arg) {
  load_f80(arg);
  if (x87_slots_.size() >= 7) {
    if (x87_slots_.size() - 7 == x87_spare_.size()) x87_spare_.push_back(new_slot(16, 4));
    emit_mem(unsigned(Op::fstp80m), {}, slot_mem(x87_spare_[x87_slots_.size() - 7]));
  }
  x87_slots_.push_back(f80_slot(param));
}

void Selector::write_for_edge() {
  const std::vector<uint32_t>& to = x87_slots_;
  for (size_t k = std::min<size_t>(to.size(), 7); k-- > 0;) emit_mem(unsigned(Op::fstp80m), {}, slot_mem(to[k]));
  for (size_t k = 7; k < to.size(); k++) {
    emit_mem(unsigned(Op::fld80m), {}, slot_mem(x87_spare_[k - 7]));
    emit_mem(unsigned(Op::fstp80m), {}, slot_mem(to[k]));
  }
  x87_slots_.clear();
}

void Selector::branch(Flags f, uint32_t if_true, uint32_t if_false) {
  unsigned op = f.extra == 1   ? unsigned(p_branch_oeq)
                : f.extra == 2 ? unsigned(p_branch_une)
                               : unsigned(p_branch) | unsigned(f.cond) << 12;
  if (f.extra >= 3 || if_true == if_false) {
    emit(p_jump, {}, f.extra == 4 ? if_false : if_true, vf::terminator);
    return;
  }
  emit(op, {}, if_true, vf::terminator);
  cur_.back().b = if_false;
}

void Selector::indirect_jump(const Inst& i, uint32_t table) {
  if (fn_->flags & air::function_flags::retpoline_branches) {
    Reg r11{11};
    copy(r11, reg_of(i.va()));
    emit(p_thunk_jump, {use(r11)}, table, vf::terminator);
    cur_.back().b = indirect_thunk();
  } else if (can_fold_load(i.va(), 64)) {
    emit_mem(p_indirect_jump, {}, fold_load(i.va()), table, vf::terminator);
  } else {
    emit(p_indirect_jump, {use(reg_of(i.va()))}, table, vf::terminator);
  }
}

// ---- switch ---------------------------------------------------------------------------------------------------------

void Selector::compare_with(Reg value, unsigned bits, int64_t c) {
  if (fits_signed(c, 32)) {
    emit_imm(unsigned(width_op(cmp_ri, bits)), {use_slot(value, bits / 8)}, int32_t(c));
  } else {
    Reg k = constant_reg(uint64_t(c), 64);
    emit(unsigned(Op::cmp64rr), {use(value), use(k)});
  }
}

void Selector::switch_equal(Reg value, unsigned bits, int64_t c, uint32_t then, uint32_t otherwise) {
  compare_with(value, bits, c);
  branch({Cond::e, 0}, then, otherwise);
}

void Selector::switch_less(Reg value, unsigned bits, int64_t c, uint32_t then, uint32_t otherwise) {
  compare_with(value, bits, c);
  branch({Cond::l, 0}, then, otherwise);
}

// value - low, modulo the width of the operand. Where that is 32 bits, the instruction clears the upper half, so the
// whole register is the index.
Reg Selector::switch_index(Reg value, unsigned bits, int64_t low) {
  Reg index = gp(8);
  const uint64_t minus_low = -uint64_t(low);
  if (low == 0) {
    if (bits == 64) copy(index, value);
    else emit(unsigned(Op::mov32rr), {def(index), use_slot(value, 4)});
  } else if (bits == 32) {
    emit_mem(unsigned(Op::lea32rm), {def(index)}, reg_mem(value, int32_t(uint32_t(minus_low))));
  } else if (fits_signed(int64_t(minus_low), 32)) {
    emit_mem(unsigned(Op::lea64rm), {def(index)}, reg_mem(value, int32_t(minus_low)));
  } else {
    Reg k = constant_reg(uint64_t(low), 64);
    copy(index, value);
    emit(unsigned(Op::sub64rr), {mod(index), use(k)});
  }
  return index;
}

void Selector::switch_within(Reg index, unsigned bits, uint64_t size, uint32_t then, uint32_t otherwise) {
  emit_imm(unsigned(width_op(cmp_ri, bits)), {use(index)}, int32_t(size));
  branch({Cond::be, 0}, then, otherwise);
}

void Selector::jump_by_table(Reg index, uint32_t table) {
  Reg base = gp(8);
  emit(p_jump_table, {mod(index), def_early(base)}, table, vf::terminator);
}

}  // namespace lode::x86_64
