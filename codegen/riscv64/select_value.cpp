// Where values are: registers made on demand, constants, extensions. See selector.h.
#include "base/bytes.h"
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::ConstantKind;
using air::Inst;

bool Selector::imm12(ValueId v, int64_t& out) const { return int_constant(v, out) && fits12(out); }

Source Selector::source(ValueId v) {
  int64_t c;
  if (int_constant(v, c) && c == 0) return {Reg{}, true};
  return {reg_of(v), false};
}

Reg Selector::constant_value(const air::Constant& c) {
  switch (c.kind) {
    case ConstantKind::Int:
      return constant_reg(c.type == TypeTable::i1 ? int64_t(c.bits & 1) : sign_extend(c.bits, bits_of(c.type)));
    case ConstantKind::Float: return float_constant(c.bits, c.type == TypeTable::f32 ? 4 : 8);
    case ConstantKind::Symbol: case ConstantKind::Runtime: return symbol_address(c);
    case ConstantKind::BlockAddress: {
      Reg r = gp(8);
      push(p_label_address, {def(r)}, c.symbol);
      return r;
    }
    case ConstantKind::Zero: case ConstantKind::Undef:
      if (is_fp(c.type)) return float_constant(0, c.type == TypeTable::f32 ? 4 : 8);
      return constant_reg(0);
    default: break;
  }
  fail("a constant operand of this kind");
  return gp(8);
}

Reg Selector::constant_reg(int64_t value) {
  Reg r = gp(8);
  constant_into(r, value);
  return r;
}

void Selector::constant_into(Reg r, int64_t value) {
  push(p_constant, {def(r)}, uint32_t(immediates_.size()), codegen::vflags::remat);
  immediates_.push_back(value);
}

Reg Selector::float_constant(uint64_t bits, unsigned bytes) {
  Reg r = fp(bytes);
  if (bits == 0) {
    push(p_zero_fp, {def(r)}, bytes, codegen::vflags::remat);
    return r;
  }
  // Few bits at the top are made faster than loaded.
  const int64_t value = bytes == 4 ? int64_t(int32_t(uint32_t(bits))) : int64_t(bits);
  if (immediate_cost(value) <= (bytes == 4 ? 1u : 2u)) {
    Reg x = constant_reg(value);
    r2(bytes == 4 ? Op::fmv_w_x : Op::fmv_d_x, r, x);
    return r;
  }
  const uint32_t at = writer_->add_constant({reinterpret_cast<const uint8_t*>(&bits), size_t(bytes)}, bytes);
  push(p_float_constant, {def(r)}, at, codegen::vflags::remat);
  cur_.back().b = bytes;
  return r;
}

void Selector::and_low_bits(Reg dst, Reg src, unsigned bits) {
  if (bits <= 11) return ri(Op::andi, dst, src, (1 << bits) - 1);
  Reg t = gp(8);
  ri(Op::slli, t, src, 64 - bits);
  ri(Op::srli, dst, t, 64 - bits);
}

void Selector::extend(Reg dst, Reg src, unsigned bits, bool is_signed) {
  if (!is_signed) return and_low_bits(dst, src, bits);
  if (bits == 32) return ri(Op::addiw, dst, src, 0);
  if (bits == 1) return rr(Op::sub, dst, {Reg{}, true}, {src});
  Reg t = gp(8);
  ri(Op::slli, t, src, 64 - bits);
  ri(Op::srai, dst, t, 64 - bits);
}

Reg Selector::sign_extended(ValueId v) {
  const unsigned bits = bits_of(type_of(v));
  int64_t c;
  if (int_constant(v, c)) return constant_reg(bits == 1 ? -c : c);
  if (bits == 64 || (bits > 1 && known_of(v) & known_sign)) return reg_of(v);
  Reg r = gp(8);
  if (bits > 1 && can_fold_load(v)) load_reg(r, type_of(v), address(def_of(v)->va()), true);
  else extend(r, reg_of(v), bits, true);
  return r;
}

Reg Selector::zero_extended(ValueId v) {
  const unsigned bits = bits_of(type_of(v));
  int64_t c;
  if (int_constant(v, c)) return constant_reg(bits == 64 ? c : int64_t(uint64_t(c) & ((uint64_t{1} << bits) - 1)));
  if (bits == 64 || bits == 1 || known_of(v) & known_zero) return reg_of(v);
  Reg r = gp(8);
  if (bits == 32 && can_fold_load(v)) load_mem(Op::lwu, r, address(def_of(v)->va()));
  else extend(r, reg_of(v), bits, false);
  return r;
}

Source Selector::sign_source(ValueId v) {
  int64_t c;
  if (int_constant(v, c) && c == 0) return {Reg{}, true};
  return {sign_extended(v)};
}

Source Selector::zero_source(ValueId v) {
  int64_t c;
  if (int_constant(v, c) && c == 0) return {Reg{}, true};
  return {zero_extended(v)};
}

Reg Selector::negated(Reg r) {
  Reg n = gp(8);
  rr(Op::sub, n, {Reg{}, true}, {r});
  return n;
}

}  // namespace lode::riscv64
