// Where values are: registers made on demand, constants, aliases, extensions. See selector.h.
#include "base/bytes.h"
#include "codegen/air/legalize.h"
#include "codegen/x86_64/selector.h"

namespace lode::x86_64 {

using air::ConstantKind;
using air::Inst;

bool Selector::imm32(ValueId v, int32_t& out) const {
  int64_t x;
  if (!int_constant(v, x) || !fits_signed(x, 32)) return false;
  out = int32_t(x);
  return true;
}

Reg Selector::new_reg(TypeId t) {
  if (t == TypeTable::f32) return fp(4);
  if (t == TypeTable::f64) return fp(8);
  if (t == TypeTable::f128 || t == TypeTable::v128) return fp(16);
  if (t == TypeTable::v256) return fp(32);
  return gp(bits_of(t) == 64 ? 8 : 4);
}

Reg Selector::constant_value(const air::Constant& c) {
  switch (c.kind) {
    case ConstantKind::Int: {
      const int64_t x = c.type == TypeTable::i1 ? int64_t(c.bits & 1) : sign_extend(c.bits, bits_of(c.type));
      return constant_reg(bits_of(c.type) == 64 ? uint64_t(x) : uint64_t(x) & 0xffffffff, bits_of(c.type));
    }
    case ConstantKind::Float: return float_constant(c.bits, c.type == TypeTable::f32 ? 4 : 8);
    case ConstantKind::Symbol: case ConstantKind::Runtime: return symbol_address(c);
    case ConstantKind::BlockAddress: {
      Reg r = gp(8);
      emit(p_label_address, {def(r)}, c.symbol);
      return r;
    }
    case ConstantKind::Zero: case ConstantKind::Undef:
      if (c.type == TypeTable::f32) return float_constant(0, 4);
      if (c.type == TypeTable::f64) return float_constant(0, 8);
      if (is_fp(c.type)) return float_constant(0, c.type == TypeTable::v256 ? 32 : 16);
      return constant_reg(0, bits_of(c.type));
    case ConstantKind::WideFloat:
      if (c.type == TypeTable::v256) {
        uint8_t bytes[32];
        for (unsigned k = 0; k < 8; k++) store_le<uint32_t>(bytes + 4 * k, fn_->extra[c.bits + k]);
        Reg r = fp(32);
        emit_mem(unsigned(Op::vmovaps256_rm), {def(r)}, constants_mem(writer_->add_constant(bytes, 32)), 0,
                 codegen::vflags::remat);
        return r;
      }
      if (c.type == TypeTable::f128 || c.type == TypeTable::v128) {
        uint8_t bytes[16];
        for (unsigned k = 0; k < 4; k++) store_le<uint32_t>(bytes + 4 * k, fn_->extra[c.bits + k]);
        Reg r = fp(16);
        emit_mem(unsigned(Op::movaps_rm), {def(r)}, constants_mem(writer_->add_constant(bytes, 16)));
        return r;
      }
      break;
    default: break;
  }
  fail("a constant operand of this kind");
  return gp(8);
}

Reg Selector::constant_reg(uint64_t value, unsigned bits) {
  Reg r = gp(bits == 64 ? 8 : 4);
  constant_into(r, value);
  return r;
}

void Selector::constant_into(Reg r, uint64_t value) {
  emit(p_constant, {def(r)}, uint32_t(immediates_.size()), codegen::vflags::remat);
  immediates_.push_back(value);
}

Reg Selector::float_constant(uint64_t bits, unsigned bytes) {
  Reg r = fp(bytes);
  if (bits == 0) {
    emit(p_zero_fp, {def(r)}, 0, codegen::vflags::remat);
    return r;
  }
  uint32_t at = writer_->add_constant({reinterpret_cast<const uint8_t*>(&bits), size_t(bytes)}, bytes);
  emit_mem(unsigned(bytes == 4 ? Op::movss_rm : Op::movsd_rm), {def(r)}, constants_mem(at), 0, codegen::vflags::remat);
  return r;
}

// The value of an i32 whose register is known to have a zero upper half: results of instructions that write 32 bits.
bool Selector::known_zero_upper(ValueId v) const {
  const Inst* i = def_of(v);
  if (!i || i->type != TypeTable::i32) return false;
  switch (i->op) {
    case AirOp::add: case AirOp::sub: case AirOp::mul: case AirOp::and_: case AirOp::or_: case AirOp::xor_:
    case AirOp::shl: case AirOp::lshr: case AirOp::ashr: case AirOp::udiv: case AirOp::sdiv: case AirOp::urem:
    case AirOp::srem: case AirOp::zext: case AirOp::sext: case AirOp::load: case AirOp::select:
    case AirOp::ctpop: case AirOp::bswap:
      return true;
    default: return false;
  }
}

// Makes the slot and the moves of r carry all 8 bytes: something reads it as a 64-bit value.
Reg Selector::widen(Reg r) {
  if (r.is_virtual() && vcode_.vregs[r.index()].bytes < 8) vcode_.vregs[r.index()].bytes = 8;
  return r;
}

Reg Selector::zero_extended(ValueId v, unsigned to_bits) {
  unsigned bits = bits_of(type_of(v));
  int64_t x;
  if (int_constant(v, x)) {
    uint64_t u = bits == 64 ? uint64_t(x) : uint64_t(x) & ((uint64_t{1} << bits) - 1);
    return constant_reg(u, to_bits);
  }
  if (bits == 64) return reg_of(v);
  if (bits == 32) {
    if (to_bits == 32) return reg_of(v);
    if (known_zero_upper(v)) return widen(reg_of(v));
  }
  Reg r = gp(to_bits == 64 ? 8 : 4);
  extend_into(r, v, false, to_bits);
  return r;
}

Reg Selector::sign_extended(ValueId v, unsigned to_bits) {
  unsigned bits = bits_of(type_of(v));
  int64_t x;
  if (int_constant(v, x)) {
    if (bits == 1) x = -x;
    return constant_reg(to_bits == 64 ? uint64_t(x) : uint64_t(x) & 0xffffffff, to_bits);
  }
  if (bits == to_bits) return reg_of(v);
  Reg r = gp(to_bits == 64 ? 8 : 4);
  extend_into(r, v, true, to_bits);
  return r;
}

// dst = v extended; folds a load where it may.
void Selector::extend_into(Reg dst, ValueId v, bool is_signed, unsigned to_bits) {
  unsigned bits = bits_of(type_of(v));
  struct Row {
    Op rr, rm;
  };
  static constexpr Row zero[] = {
      {Op::movzx32rr8, Op::movzx32rm8}, {Op::movzx32rr16, Op::movzx32rm16}, {Op::mov32rr, Op::mov32rm}};
  static constexpr Row sign32[] = {
      {Op::movsx32rr8, Op::movsx32rm8}, {Op::movsx32rr16, Op::movsx32rm16}, {Op::mov32rr, Op::mov32rm}};
  static constexpr Row sign64[] = {
      {Op::movsx64rr8, Op::movsx64rm8}, {Op::movsx64rr16, Op::movsx64rm16}, {Op::movsxd64rr32, Op::movsxd64rm32}};
  unsigned index = bits <= 8 ? 0 : bits == 16 ? 1 : 2;
  if (bits == 1 && is_signed) {
    emit(unsigned(Op::movzx32rr8), {def(dst), use(reg_of(v))});
    emit(unsigned(to_bits == 64 ? Op::neg64r : Op::neg32r), {mod(dst)});
    return;
  }
  const Row& row = !is_signed ? zero[index] : to_bits == 64 ? sign64[index] : sign32[index];
  if (can_fold_load(v, bits)) emit_mem(unsigned(row.rm), {def(dst)}, fold_load(v));
  else emit(unsigned(row.rr), {def(dst), use_slot(reg_of(v), bits / 8)});
}

void Selector::normalize_i1(Reg r) { emit_imm(unsigned(Op::and32ri), {mod(r)}, 1); }

// The f80 value whose slot v shares.
ValueId Selector::f80_source(ValueId v) const {
  for (const Inst* i; (i = def_of(v)) && (i->op == AirOp::freeze || i->op == AirOp::bitcast);) v = i->va();
  return v;
}

uint32_t Selector::f80_slot(ValueId v) {
  v = f80_source(v);
  if (const Inst* i = def_of(v); i && i->op == AirOp::extract) {
    leaf_reg(i->va(), fn_->extra[i->b + 1]);
    if (leaf_first_[i->a] == ~0u) return 0;
    Leaf& l = leaves_[leaf_first_[i->a] + fn_->extra[i->b + 1]];
    if (!l.slot) l.slot = new_slot(16, 4) + 1;
    return l.slot - 1;
  }
  uint32_t& s = home_[v.value];
  if (!s) s = new_slot(16, 4) + 1;
  return s - 1;
}

void Selector::load_f80(ValueId v) {
  v = f80_source(v);
  if (const air::Constant* c = fn_->constant(v)) {
    uint8_t bytes[16] = {};
    if (c->kind == ConstantKind::WideFloat)
      for (unsigned k = 0; k < 3; k++) store_le<uint32_t>(bytes + 4 * k, fn_->extra[c->bits + k]);
    emit_mem(unsigned(Op::fld80m), {}, constants_mem(writer_->add_constant(bytes, 16)));
    return;
  }
  if (can_fold_load(v, 80)) {
    emit_mem(unsigned(Op::fld80m), {}, fold_load(v));
    return;
  }
  emit_mem(unsigned(Op::fld80m), {}, slot_mem(f80_slot(v)));
}

void Selector::store_f80(ValueId v) { emit_mem(unsigned(Op::fstp80m), {}, slot_mem(f80_slot(v))); }

}  // namespace lode::x86_64
