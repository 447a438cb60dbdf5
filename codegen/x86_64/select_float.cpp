// Floating point: SSE2 for f32 and f64, x87 for f80. See selector.h.
//
// SSE2 has no unsigned conversions: u32 goes through the signed 64-bit forms; u64 to f64 is assembled from two halves
// with exponents attached (exact, then one rounding); u64 to f32 halves the value with a sticky bit when the top bit is
// set; f to u64 converts the value and the value minus 2^63 and merges both. None of them branches.
#include "base/bytes.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/vex_forms.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using air::Inst;

void Selector::float_binary(const Inst& i, Op rr32, Op rm32, Op rr64, Op rm64) {
  bool single = i.type == TypeTable::f32;
  unsigned bits = single ? 32 : 64;
  ValueId a = i.va(), b = i.vb();
  bool commutes = i.op == AirOp::fadd || i.op == AirOp::fmul;
  Reg dst = result_reg(i.result);
  if (commutes && !can_fold_load(b, bits) && can_fold_load(a, bits)) std::swap(a, b);
  const air::Constant* c = fn_->constant(b);
  const bool from_memory = c && c->kind == air::ConstantKind::Float && c->bits != 0;
  if (avx_) {
    const Op rr = vex_forms()[unsigned(single ? rr32 : rr64)].x, rm = vex_forms()[unsigned(single ? rm32 : rm64)].x;
    Reg left = reg_of(a);
    if (from_memory || (can_fold_load(b, bits) && a != b)) {
      const VMem m = from_memory ? constants_mem(writer_->add_constant({reinterpret_cast<const uint8_t*>(&c->bits),
                                                                        size_t(bits / 8)}, bits / 8))
                                 : fold_load(b);
      emit_mem(unsigned(rm), {def(dst), use(left)}, m);
      return;
    }
    emit(unsigned(rr), {def(dst), use(left), use_slot(reg_of(b), bits / 8)});
    return;
  }
  if (from_memory) {
    uint32_t at = writer_->add_constant({reinterpret_cast<const uint8_t*>(&c->bits), size_t(bits / 8)}, bits / 8);
    copy(dst, reg_of(a));
    emit_mem(unsigned(single ? rm32 : rm64), {mod(dst)}, constants_mem(at));
    return;
  }
  if (can_fold_load(b, bits) && a != b) {
    Reg left = reg_of(a);
    VMem m = fold_load(b);
    copy(dst, left);
    emit_mem(unsigned(single ? rm32 : rm64), {mod(dst)}, m);
    return;
  }
  if (commutes && !dies_here(a) && dies_here(b)) std::swap(a, b);
  Reg left = reg_of(a), right = reg_of(b);
  copy(dst, left);
  emit(unsigned(single ? rr32 : rr64), {mod(dst), use_slot(right, bits / 8)});
}

void Selector::select_fma(const Inst& i) {
  const bool single = i.type == TypeTable::f32;
  Reg dst = result_reg(i.result);
  Reg a = reg_of(i.va()), b = reg_of(i.vb()), c = reg_of(i.vc());
  copy(dst, a);  // dst = b * dst + c
  emit(unsigned(single ? Op::vfmadd213ss_rrr : Op::vfmadd213sd_rrr), {mod(dst), use(b), use_slot(c, single ? 4 : 8)});
}

void Selector::select_round(const Inst& i) {
  const bool single = i.type == TypeTable::f32;
  // 8: no exception for what is inexact; rint has one.
  const uint32_t mode = i.op == AirOp::fceil ? 10 : i.op == AirOp::ffloor ? 9 : i.op == AirOp::ftrunc ? 11
                        : i.op == AirOp::frint ? 4 : 8;
  Reg dst = result_reg(i.result), src = reg_of(i.va());
  emit(unsigned(single ? Op::vroundss_rrri : Op::vroundsd_rrri), {def(dst), use(src), use(src)}, mode);
}

void Selector::select_float(const Inst& i) {
  if (i.type == TypeTable::f80) {
    select_f80(i);
    return;
  }
  bool single = i.type == TypeTable::f32;
  auto mask = [&](uint64_t bits32, uint64_t bits64) {
    uint8_t bytes[16] = {};
    if (single)
      for (unsigned k = 0; k < 4; k++) store_le<uint32_t>(bytes + 4 * k, uint32_t(bits32));
    else
      for (unsigned k = 0; k < 2; k++) store_le<uint64_t>(bytes + 8 * k, bits64);
    return constants_mem(writer_->add_constant(bytes, 16));
  };
  switch (i.op) {
    case AirOp::fadd: float_binary(i, Op::addss_rr, Op::addss_rm, Op::addsd_rr, Op::addsd_rm); break;
    case AirOp::fsub: float_binary(i, Op::subss_rr, Op::subss_rm, Op::subsd_rr, Op::subsd_rm); break;
    case AirOp::fmul: float_binary(i, Op::mulss_rr, Op::mulss_rm, Op::mulsd_rr, Op::mulsd_rm); break;
    case AirOp::fdiv: float_binary(i, Op::divss_rr, Op::divss_rm, Op::divsd_rr, Op::divsd_rm); break;
    case AirOp::fneg: {
      Reg dst = result_reg(i.result);
      copy(dst, reg_of(i.va()));
      emit_mem(unsigned(Op::xorps_rm), {mod(dst)}, mask(0x80000000, 0x8000000000000000));
      break;
    }
    case AirOp::fabs: {
      Reg dst = result_reg(i.result);
      copy(dst, reg_of(i.va()));
      emit_mem(unsigned(Op::andps_rm), {mod(dst)}, mask(0x7fffffff, 0x7fffffffffffffff));
      break;
    }
    case AirOp::fsqrt: {
      unsigned bits = single ? 32 : 64;
      Reg dst = result_reg(i.result);
      if (can_fold_load(i.va(), bits))
        emit_mem(unsigned(single ? Op::sqrtss_rm : Op::sqrtsd_rm), {def(dst)}, fold_load(i.va()));
      else emit(unsigned(single ? Op::sqrtss_rr : Op::sqrtsd_rr), {def(dst), use(reg_of(i.va()))});
      break;
    }
    case AirOp::fcopysign: {
      Reg dst = result_reg(i.result), sign = fp(single ? 4 : 8);
      Reg a = reg_of(i.va()), b = reg_of(i.vb());
      copy(sign, b);
      emit_mem(unsigned(Op::andps_rm), {mod(sign)}, mask(0x80000000, 0x8000000000000000));
      copy(dst, a);
      emit_mem(unsigned(Op::andps_rm), {mod(dst)}, mask(0x7fffffff, 0x7fffffffffffffff));
      emit(unsigned(Op::orps_rr), {mod(dst), use(sign)});
      break;
    }
    default: fail("not supported on this type"); break;
  }
}

// ---- x87 ------------------------------------------------------------------------------------------------------------

void Selector::select_f80(const Inst& i) {
  load_f80(i.va());
  switch (i.op) {
    case AirOp::fadd: load_f80(i.vb()); emit(unsigned(Op::faddp), {}); break;
    case AirOp::fsub: load_f80(i.vb()); emit(unsigned(Op::fsubp), {}); break;
    case AirOp::fmul: load_f80(i.vb()); emit(unsigned(Op::fmulp), {}); break;
    case AirOp::fdiv: load_f80(i.vb()); emit(unsigned(Op::fdivp), {}); break;
    case AirOp::fneg: emit(unsigned(Op::fchs), {}); break;
    case AirOp::fabs: emit(unsigned(Op::fabs), {}); break;
    case AirOp::fsqrt: emit(unsigned(Op::fsqrt), {}); break;
    default: fail("not supported on this type"); break;
  }
  store_f80(i.result);
}

// ---- conversions ----------------------------------------------------------------------------------------------------

namespace {
constexpr uint64_t two_63_f32 = 0x5f000000, two_63_f64 = 0x43e0000000000000;
}

void Selector::select_convert(const Inst& i) {
  const TypeId from = type_of(i.va()), to = i.type;
  switch (i.op) {
    case AirOp::fptrunc: case AirOp::fpext:
      if (from == TypeTable::f80) convert_from_f80(i);
      else if (to == TypeTable::f80) convert_to_f80(i);
      else convert_float(i);
      return;
    case AirOp::sitofp: case AirOp::uitofp:
      if (to == TypeTable::f80) convert_int_to_f80(i);
      else if (i.op == AirOp::sitofp || bits_of(from) < 64) convert_int(i);
      else if (to == TypeTable::f32) convert_unsigned64_to_f32(i);
      else convert_unsigned64_to_f64(i);
      return;
    case AirOp::fptosi: case AirOp::fptoui:
      if (from == TypeTable::f80) convert_f80_to_int(i);
      else convert_to_int(i);
      return;
    default: return;
  }
}

void Selector::convert_from_f80(const Inst& i) {
  uint32_t slot = new_slot(8, 3);
  load_f80(i.va());
  emit_mem(unsigned(i.type == TypeTable::f32 ? Op::fstp32m : Op::fstp64m), {}, slot_mem(slot));
  load_reg(result_reg(i.result), i.type, slot_mem(slot));
}

void Selector::convert_to_f80(const Inst& i) {
  const TypeId from = type_of(i.va());
  unsigned bits = from == TypeTable::f32 ? 32 : 64;
  Op op = bits == 32 ? Op::fld32m : Op::fld64m;
  if (can_fold_load(i.va(), bits)) {
    emit_mem(unsigned(op), {}, fold_load(i.va()));
  } else {
    Reg r = reg_of(i.va());
    uint32_t slot = new_slot(8, 3);
    store_reg(slot_mem(slot), from, r);
    emit_mem(unsigned(op), {}, slot_mem(slot));
  }
  store_f80(i.result);
}

void Selector::convert_float(const Inst& i) {
  const TypeId from = type_of(i.va());
  Reg dst = result_reg(i.result);
  unsigned bits = from == TypeTable::f32 ? 32 : 64;
  if (from == i.type) {
    copy(dst, reg_of(i.va()));
  } else if (can_fold_load(i.va(), bits)) {
    emit_mem(unsigned(i.op == AirOp::fpext ? Op::cvtss2sd_rm : Op::cvtsd2ss_rm), {def(dst)}, fold_load(i.va()));
  } else {
    emit(unsigned(i.op == AirOp::fpext ? Op::cvtss2sd_rr : Op::cvtsd2ss_rr),
         {def(dst), use_slot(reg_of(i.va()), bits / 8)});
  }
}

// fild reads a signed number: 2^64 is added when the top bit of an unsigned one is set, by constants {0, 2^64} as f32,
// indexed by that bit.
void Selector::convert_int_to_f80(const Inst& i) {
  unsigned bits = bits_of(type_of(i.va()));
  const bool is_unsigned = i.op == AirOp::uitofp;
  Reg r = bits == 64 ? reg_of(i.va()) : is_unsigned ? zero_extended(i.va(), 64) : sign_extended(i.va(), 64);
  Reg sign{};
  if (bits == 64 && is_unsigned) sign = gp(8);
  uint32_t slot = new_slot(8, 3);
  emit_mem(unsigned(Op::mov64mr), {use(r)}, slot_mem(slot));
  if (sign.valid()) {
    copy(sign, r);
    emit_imm(unsigned(Op::shr64ri), {mod(sign)}, 63);
    static constexpr uint32_t table[2] = {0, 0x5f800000};
    VMem entry = indexed_constant(table, sign);
    emit_mem(unsigned(Op::fild64m), {}, slot_mem(slot));
    emit_mem(unsigned(Op::fld32m), {}, entry);
    emit(unsigned(Op::faddp), {});
  } else {
    emit_mem(unsigned(Op::fild64m), {}, slot_mem(slot));
  }
  store_f80(i.result);
}

// One of two constants of 32 bits.
VMem Selector::indexed_constant(const uint32_t (&table)[2], Reg index) {
  const uint32_t at = writer_->add_constant({reinterpret_cast<const uint8_t*>(table), size_t(8)}, 8);
  Reg base = gp(8);
  emit_mem(unsigned(Op::lea64rm), {def(base)}, constants_mem(at));
  VMem entry = reg_mem(base);
  entry.has_index = true;
  entry.index = index;
  entry.scale_log2 = 2;
  return entry;
}

// The conversion keeps the upper part of its destination: clear it first, or it waits for the last writer.
void Selector::convert_signed(Reg dst, Reg r, bool wide, bool single) {
  emit(p_zero_fp, {def(dst)}, 0, 0);
  emit(unsigned(single ? (wide ? Op::cvtsi2ss64_xr : Op::cvtsi2ss32_xr)
                       : (wide ? Op::cvtsi2sd64_xr : Op::cvtsi2sd32_xr)),
       {mod(dst), use_slot(r, wide ? 8 : 4)});
}

// Signed numbers, and unsigned ones that are signed ones of the next width.
void Selector::convert_int(const Inst& i) {
  const unsigned bits = bits_of(type_of(i.va()));
  const bool is_unsigned = i.op == AirOp::uitofp;
  Reg dst = result_reg(i.result);
  bool wide = bits == 64 || (is_unsigned && bits == 32);
  Reg r = bits == 64    ? reg_of(i.va())
          : is_unsigned ? zero_extended(i.va(), wide ? 64 : 32)
                        : sign_extended(i.va(), 32);
  convert_signed(dst, r, wide, i.type == TypeTable::f32);
}

// With its top bit set: half of the number, rounded to odd, converted and doubled.
void Selector::convert_unsigned64_to_f32(const Inst& i) {
  Reg dst = result_reg(i.result);
  Reg x = reg_of(i.va());
  Reg half = gp(8), low = gp(8), picked = gp(8), sign = gp(8);
  copy(half, x);
  emit_imm(unsigned(Op::shr64ri), {mod(half)}, 1);
  copy(low, x);
  emit_imm(unsigned(Op::and32ri), {mod(low)}, 1);
  emit(unsigned(Op::or64rr), {mod(half), use(low)});
  emit(unsigned(Op::test64rr), {use(x), use(x)});
  copy(picked, x);
  emit(with_cond(Op::cmov64rr, Cond::s), {mod(picked), use(half)});
  Reg f = fp(4), mask = fp(8), extra = fp(8);
  convert_signed(f, picked, true, true);
  copy(sign, x);
  emit_imm(unsigned(Op::sar64ri), {mod(sign)}, 63);
  emit(unsigned(Op::movq_xr), {def(mask), use(sign)});
  copy(extra, mask);
  emit(unsigned(Op::andps_rr), {mod(extra), use(f)});
  copy(dst, f);
  emit(unsigned(Op::addss_rr), {mod(dst), use(extra)});
}

// high * 2^32 + 2^84 and low + 2^52, minus the two biases, added.
void Selector::convert_unsigned64_to_f64(const Inst& i) {
  Reg dst = result_reg(i.result);
  Reg x = reg_of(i.va());
  Reg low = gp(8), high = gp(8), fl = fp(8), fh = fp(8), k;
  emit(unsigned(Op::mov32rr), {def(low), use(x)});
  copy(high, x);
  emit_imm(unsigned(Op::shr64ri), {mod(high)}, 32);
  k = constant_reg(0x4330000000000000, 64);
  emit(unsigned(Op::or64rr), {mod(low), use(k)});
  k = constant_reg(0x4530000000000000, 64);
  emit(unsigned(Op::or64rr), {mod(high), use(k)});
  emit(unsigned(Op::movq_xr), {def(fl), use(low)});
  emit(unsigned(Op::movq_xr), {def(fh), use(high)});
  static constexpr uint64_t bias = 0x4530000000100000;  // 2^84 + 2^52
  uint32_t at = writer_->add_constant({reinterpret_cast<const uint8_t*>(&bias), size_t(8)}, 8);
  emit_mem(unsigned(Op::subsd_rm), {mod(fh)}, constants_mem(at));
  copy(dst, fh);
  emit(unsigned(Op::addsd_rr), {mod(dst), use(fl)});
}

void Selector::convert_f80_to_int(const Inst& i) {
  const unsigned bits = bits_of(i.type);
  uint32_t slot = new_slot(8, 3);
  Reg dst = result_reg(i.result);
  if (i.op == AirOp::fptoui && bits == 64) return convert_f80_to_unsigned64(i.va(), slot, dst);
  load_f80(i.va());
  truncate_x87(slot, 64);
  emit_mem(unsigned(bits == 64 ? Op::mov64rm : Op::mov32rm), {def(dst)}, slot_mem(slot));
}

// Values from 2^63 on: subtract 2^63, set the top bit afterwards. Without a branch: subtract {0, 2^63}[x >= 2^63].
void Selector::convert_f80_to_unsigned64(ValueId x, uint32_t slot, Reg dst) {
  static constexpr uint32_t table[2] = {0, 0x5f000000};
  uint32_t at = writer_->add_constant({reinterpret_cast<const uint8_t*>(table), size_t(8)}, 8);
  Reg flag = gp(4), index = gp(8), base = gp(8), result = gp(8);
  emit_mem(unsigned(Op::fld32m), {}, constants_mem(at + 4));
  load_f80(x);
  emit(unsigned(Op::fucomip), {}, 1);
  emit(with_cond(Op::setcc8r, Cond::ae), {def(flag)});
  emit(unsigned(Op::fstp_st0), {});
  emit(unsigned(Op::movzx32rr8), {def(index), use(flag)});
  emit_mem(unsigned(Op::lea64rm), {def(base)}, constants_mem(at));
  VMem entry = reg_mem(base);
  entry.has_index = true;
  entry.index = index;
  entry.scale_log2 = 2;
  load_f80(x);
  emit_mem(unsigned(Op::fld32m), {}, entry);
  emit(unsigned(Op::fsubp), {});
  truncate_x87(slot, 64);
  Reg top = gp(8);
  copy(top, index);
  emit_imm(unsigned(Op::shl64ri), {mod(top)}, 63);
  emit_mem(unsigned(Op::mov64rm), {def(result)}, slot_mem(slot));
  copy(dst, result);
  emit(unsigned(Op::xor64rr), {mod(dst), use(top)});
}

void Selector::convert_to_int(const Inst& i) {
  const unsigned bits = bits_of(i.type);
  const bool is_unsigned = i.op == AirOp::fptoui;
  bool single = type_of(i.va()) == TypeTable::f32;
  Reg dst = result_reg(i.result);
  Op to64_rr = single ? Op::cvttss2si64_rx : Op::cvttsd2si64_rx,
     to32_rr = single ? Op::cvttss2si32_rx : Op::cvttsd2si32_rx;
  if (!is_unsigned || bits < 64) {
    bool wide = bits == 64 || (is_unsigned && bits == 32);
    emit(unsigned(wide ? to64_rr : to32_rr), {def(dst), use(reg_of(i.va()))});
    return;
  }
  Reg x = reg_of(i.va()), less = fp(single ? 4 : 8), a = gp(8), b = gp(8), sign = gp(8);
  uint64_t two_63 = single ? two_63_f32 : two_63_f64;
  uint32_t at =
      writer_->add_constant({reinterpret_cast<const uint8_t*>(&two_63), size_t(single ? 4 : 8)}, single ? 4 : 8);
  emit(unsigned(to64_rr), {def(a), use(x)});
  copy(less, x);
  emit_mem(unsigned(single ? Op::subss_rm : Op::subsd_rm), {mod(less)}, constants_mem(at));
  emit(unsigned(to64_rr), {def(b), use(less)});
  copy(sign, a);
  emit_imm(unsigned(Op::sar64ri), {mod(sign)}, 63);
  emit(unsigned(Op::and64rr), {mod(b), use(sign)});
  copy(dst, a);
  emit(unsigned(Op::or64rr), {mod(dst), use(b)});
}

// Pops st0 into the slot as an integer, rounding towards zero: the control word's rounding field is changed around the
// store.
void Selector::truncate_x87(uint32_t slot, unsigned bits) {
  uint32_t words = new_slot(4, 1);
  Reg word = gp(4), chopped = gp(4);
  emit_mem(unsigned(Op::fnstcw_m), {}, slot_mem(words));
  emit_mem(unsigned(Op::movzx32rm16), {def(word)}, slot_mem(words));
  copy(chopped, word);
  emit_imm(unsigned(Op::or32ri), {mod(chopped)}, 0xc00);
  emit_mem(unsigned(Op::mov16mr), {use(chopped)}, slot_mem(words, 2));
  emit_mem(unsigned(Op::fldcw_m), {}, slot_mem(words, 2));
  emit_mem(unsigned(bits == 64 ? Op::fistp64m : Op::fistp32m), {}, slot_mem(slot));
  emit_mem(unsigned(Op::fldcw_m), {}, slot_mem(words));
}

}  // namespace lode::x86_64
