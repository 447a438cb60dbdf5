// Integer arithmetic. See selector.h.
//
// Operations whose low bits depend on low bits only take registers as they are; a 32-bit one uses the `w` instruction,
// which extends the sign of its result. The others ask for the extension that they need.
#include <bit>

#include "base/bytes.h"
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::Inst;

// Zero marks: see Source.
void Selector::rr(Op op, Reg dst, Source x, Source y, uint32_t mode) {
  const uint32_t a = mode | (x.zero ? first_is_zero : 0) | (y.zero ? second_is_zero : 0);
  if (x.zero && y.zero) push(unsigned(op), {def(dst)}, a);
  else if (x.zero) push(unsigned(op), {def(dst), use(y.reg)}, a);
  else if (y.zero) push(unsigned(op), {def(dst), use(x.reg)}, a);
  else push(unsigned(op), {def(dst), use(x.reg), use(y.reg)}, a);
}

void Selector::select_binary(const Inst& i) {
  const unsigned bits = bits_of(i.type);
  const bool word = bits == 32;
  Reg dst = result_reg(i.result);
  ValueId a = i.va(), b = i.vb();
  int64_t c;
  if (air::info(i.op).traits & air::traits::Comm && int_constant(a, c)) std::swap(a, b);
  switch (i.op) {
    case AirOp::add:
      if (imm12(b, c)) return ri(word ? Op::addiw : Op::addi, dst, reg_of(a), c);
      return rr(word ? Op::addw : Op::add, dst, {reg_of(a)}, {reg_of(b)});
    case AirOp::sub:
      if (int_constant(b, c) && fits12(-c)) return ri(word ? Op::addiw : Op::addi, dst, reg_of(a), -c);
      return rr(word ? Op::subw : Op::sub, dst, source(a), {reg_of(b)});
    case AirOp::and_: return select_and(i, dst);
    case AirOp::or_:
      if (imm12(b, c)) return ri(Op::ori, dst, reg_of(a), c);
      return rr(Op::or_, dst, {reg_of(a)}, {reg_of(b)});
    case AirOp::xor_:
      if (imm12(b, c)) return ri(Op::xori, dst, reg_of(a), bits == 1 ? c & 1 : c);
      return rr(Op::xor_, dst, {reg_of(a)}, {reg_of(b)});
    default: return select_mul(i, dst);
  }
}

void Selector::select_and(const Inst& i, Reg dst) {
  ValueId a = i.va(), b = i.vb();
  int64_t c;
  if (int_constant(a, c)) std::swap(a, b);
  if (!int_constant(b, c)) return rr(Op::and_, dst, {reg_of(a)}, {reg_of(b)});
  if (fits12(c)) return ri(Op::andi, dst, reg_of(a), c);
  // Ones at one end are two shifts.
  const uint64_t mask = uint64_t(c);
  if (c > 0 && is_power_of_two(mask + 1)) return and_low_bits(dst, reg_of(a), unsigned(std::popcount(mask)));
  if (is_power_of_two(-mask)) {
    const int n = std::countr_zero(mask);
    Reg t = gp(8);
    ri(Op::srli, t, reg_of(a), n);
    return ri(Op::slli, dst, t, n);
  }
  rr(Op::and_, dst, {reg_of(a)}, {reg_of(b)});
}

void Selector::select_mul(const Inst& i, Reg dst) {
  const bool word = bits_of(i.type) == 32;
  ValueId a = i.va(), b = i.vb();
  int64_t c;
  if (int_constant(a, c)) std::swap(a, b);
  if (int_constant(b, c) && c != 0 && c != INT64_MIN) {
    const uint64_t magnitude = c < 0 ? -uint64_t(c) : uint64_t(c);
    const Op shift = word ? Op::slliw : Op::slli, add = word ? Op::addw : Op::add, sub = word ? Op::subw : Op::sub;
    const unsigned limit = word ? 32 : 64;
    auto log2 = [](uint64_t v) { return std::countr_zero(v); };
    if (is_power_of_two(magnitude) && unsigned(log2(magnitude)) < limit) {
      Reg x = reg_of(a), t = c < 0 ? gp(8) : dst;
      ri(shift, t, x, log2(magnitude));
      if (c < 0) rr(sub, dst, {Reg{}, true}, {t});
      return;
    }
    if (c > 0 && is_power_of_two(magnitude - 1) && unsigned(log2(magnitude - 1)) < limit) {
      Reg x = reg_of(a), t = gp(8);
      ri(shift, t, x, log2(magnitude - 1));
      return rr(add, dst, {t}, {x});
    }
    if (is_power_of_two(magnitude + 1) && unsigned(log2(magnitude + 1)) < limit) {
      Reg x = reg_of(a), t = gp(8);
      ri(shift, t, x, log2(magnitude + 1));
      return c > 0 ? rr(sub, dst, {t}, {x}) : rr(sub, dst, {x}, {t});
    }
  }
  Reg x = reg_of(a), y = reg_of(b);
  rr(word ? Op::mulw : Op::mul, dst, {x}, {y});
}

// Counts are below the width; the instructions look at no more bits of them than that takes.
void Selector::select_shift(const Inst& i) {
  const unsigned bits = bits_of(i.type);
  Reg dst = result_reg(i.result);
  const bool word = bits <= 32;
  Reg x = bits >= 32 || i.op == AirOp::shl ? reg_of(i.va())
          : i.op == AirOp::lshr            ? zero_extended(i.va())
                                           : sign_extended(i.va());
  int64_t count;
  if (int_constant(i.vb(), count)) {
    count &= bits - 1;
    const Op op = i.op == AirOp::shl    ? (word ? Op::slliw : Op::slli)
                  : i.op == AirOp::lshr ? (word ? Op::srliw : Op::srli)
                                        : (word ? Op::sraiw : Op::srai);
    return ri(op, dst, x, count);
  }
  const Op op = i.op == AirOp::shl    ? (word ? Op::sllw : Op::sll)
                : i.op == AirOp::lshr ? (word ? Op::srlw : Op::srl)
                                      : (word ? Op::sraw : Op::sra);
  rr(op, dst, {x}, {reg_of(i.vb())});
}

// Legal code has only rotates: both inputs are the same value. Two shifts; by a variable count c the second one is by
// -c.
void Selector::select_rotate(const Inst& i) {
  const unsigned bits = bits_of(i.type);
  const bool left = i.op == AirOp::fshl;
  Reg dst = result_reg(i.result);
  Reg x = bits < 32 ? zero_extended(i.va()) : reg_of(i.va()), up = gp(8), down = gp(8);
  const bool word = bits <= 32;
  int64_t count;
  if (int_constant(i.vc(), count)) {
    count &= bits - 1;
    if (count == 0) return word ? ri(Op::addiw, dst, x, 0) : copy(dst, x);
    const int64_t by = left ? count : bits - count;
    ri(word ? Op::slliw : Op::slli, up, x, by);
    ri(word ? Op::srliw : Op::srli, down, x, bits - by);
  } else {
    Reg c = reg_of(i.vc()), other = negated(c);
    // Below 32 bits the hardware does not take the counts modulo the width.
    if (bits < 32) {
      Reg m = gp(8), n = gp(8);
      ri(Op::andi, m, c, bits - 1);
      ri(Op::andi, n, other, bits - 1);
      c = m, other = n;
    }
    rr(word ? Op::sllw : Op::sll, up, {x}, {left ? c : other});
    rr(word ? Op::srlw : Op::srl, down, {x}, {left ? other : c});
  }
  rr(Op::or_, dst, {up}, {down});
}

// ---- overflow -------------------------------------------------------------------------------------------------------

void Selector::select_overflow(const Inst& i) {
  const uint32_t first = leaf_first_[i.result.value];
  if (first == ~0u) return;
  const unsigned bits = bits_of(type_of(i.va()));
  Reg value = leaves_[first].reg, overflow = leaves_[first + 1].reg;
  const bool wanted = overflow.valid();
  if (!value.valid()) value = gp(8);
  if (!wanted) overflow = gp(8);
  const bool is_signed =
      i.op == AirOp::sadd_overflow || i.op == AirOp::ssub_overflow || i.op == AirOp::smul_overflow;
  const bool add = i.op == AirOp::uadd_overflow || i.op == AirOp::sadd_overflow;
  const bool multiply = i.op == AirOp::umul_overflow || i.op == AirOp::smul_overflow;
  if (bits < 64) {
    // 64 bits hold the exact result: it overflows if it is not its own low part extended.
    Reg x = is_signed ? sign_extended(i.va()) : zero_extended(i.va());
    Reg y = is_signed ? sign_extended(i.vb()) : zero_extended(i.vb());
    Reg exact = gp(8), again = gp(8), difference = gp(8);
    rr(multiply ? Op::mul : add ? Op::add : Op::sub, exact, {x}, {y});
    if (bits == 32) {
      ri(Op::addiw, value, exact, 0);
      again = value;
      if (!is_signed && wanted) {
        again = gp(8);
        extend(again, exact, 32, false);
      }
    } else {
      copy(value, exact);
      if (wanted) extend(again, exact, bits, is_signed);
    }
    if (!wanted) return;
    rr(Op::xor_, difference, {again}, {exact});
    return rr(Op::sltu, overflow, {Reg{}, true}, {difference});
  }
  Reg x = reg_of(i.va()), y = reg_of(i.vb());
  if (multiply) {
    Reg high = gp(8);
    rr(Op::mul, value, {x}, {y});
    if (!wanted) return;
    rr(is_signed ? Op::mulh : Op::mulhu, high, {x}, {y});
    if (is_signed) {
      Reg sign = gp(8), difference = gp(8);
      ri(Op::srai, sign, value, 63);
      rr(Op::xor_, difference, {high}, {sign});
      high = difference;
    }
    return rr(Op::sltu, overflow, {Reg{}, true}, {high});
  }
  rr(add ? Op::add : Op::sub, value, {x}, {y});
  if (!wanted) return;
  if (!is_signed) return add ? rr(Op::sltu, overflow, {value}, {x}) : rr(Op::sltu, overflow, {x}, {y});
  // The result is on the wrong side of x.
  Reg negative = gp(8), moved = gp(8);
  ri(Op::slti, negative, y, 0);
  if (add) rr(Op::slt, moved, {value}, {x});
  else rr(Op::slt, moved, {x}, {value});
  rr(Op::xor_, overflow, {negative}, {moved});
}

// ---- bits -----------------------------------------------------------------------------------------------------------

// Of a value of 64 bits, zero-extended: sums of 2, 4, 8 bits in place (Hacker's Delight, figure 5-2), then a
// multiplication adds the bytes.
void Selector::count_bits(Reg dst, Reg x) {
  Reg half = gp(8), odd = gp(8), pairs = gp(8), m1 = constant_reg(0x5555555555555555);
  ri(Op::srli, half, x, 1);
  rr(Op::and_, odd, {half}, {m1});
  rr(Op::sub, pairs, {x}, {odd});
  Reg m2 = constant_reg(0x3333333333333333), low = gp(8), moved = gp(8), high = gp(8), fours = gp(8);
  rr(Op::and_, low, {pairs}, {m2});
  ri(Op::srli, moved, pairs, 2);
  rr(Op::and_, high, {moved}, {m2});
  rr(Op::add, fours, {low}, {high});
  Reg m4 = constant_reg(0x0f0f0f0f0f0f0f0f), up = gp(8), sum = gp(8), bytes = gp(8), total = gp(8);
  ri(Op::srli, up, fours, 4);
  rr(Op::add, sum, {fours}, {up});
  rr(Op::and_, bytes, {sum}, {m4});
  Reg ones = constant_reg(0x0101010101010101);
  rr(Op::mul, total, {bytes}, {ones});
  ri(Op::srli, dst, total, 56);
}

// dst = groups of `by` bits exchanged with their neighbours; the mask has those on the right.
void Selector::swap_groups(Reg dst, Reg x, unsigned by, uint64_t mask) {
  Reg m = constant_reg(int64_t(mask)), down = gp(8), right = gp(8), left = gp(8), up = gp(8);
  ri(Op::srli, down, x, by);
  rr(Op::and_, right, {down}, {m});
  rr(Op::and_, left, {x}, {m});
  ri(Op::slli, up, left, by);
  rr(Op::or_, dst, {right}, {up});
}

// The low `bits` in reverse order of bytes; what lies above is as bits * 2 wide swaps leave it.
void Selector::swap_bytes(Reg dst, Reg x, unsigned bits) {
  if (bits <= 8) return copy(dst, x);
  if (bits == 16) {
    Reg z = gp(8), up = gp(8), down = gp(8);
    extend(z, x, 16, false);
    ri(Op::slli, up, z, 8);
    ri(Op::srli, down, z, 8);
    Reg both = gp(8);
    rr(Op::or_, both, {up}, {down});
    return and_low_bits(dst, both, 16);
  }
  Reg bytes = gp(8), halves = gp(8);
  swap_groups(bytes, x, 8, 0x00ff00ff00ff00ff);
  if (bits == 32) {
    Reg up = gp(8), down = gp(8);
    ri(Op::slliw, up, bytes, 16);
    ri(Op::srliw, down, bytes, 16);
    return rr(Op::or_, dst, {up}, {down});
  }
  swap_groups(halves, bytes, 16, 0x0000ffff0000ffff);
  Reg up = gp(8), down = gp(8);
  ri(Op::slli, up, halves, 32);
  ri(Op::srli, down, halves, 32);
  rr(Op::or_, dst, {up}, {down});
}

void Selector::select_bits(const Inst& i) {
  const unsigned bits = bits_of(i.type);
  Reg dst = result_reg(i.result);
  switch (i.op) {
    case AirOp::bswap: return swap_bytes(dst, reg_of(i.va()), bits);
    case AirOp::bitreverse: {
      Reg x = reg_of(i.va()), nibbles = gp(8), pairs = gp(8), all = gp(8);
      swap_groups(nibbles, x, 4, 0x0f0f0f0f0f0f0f0f);
      swap_groups(pairs, nibbles, 2, 0x3333333333333333);
      swap_groups(all, pairs, 1, 0x5555555555555555);
      if (bits == 8) return and_low_bits(dst, all, 8);
      return swap_bytes(dst, all, bits);
    }
    case AirOp::ctpop: return count_bits(dst, zero_extended(i.va()));
    case AirOp::cttz: {
      // The zeroes below the lowest one, as ones; narrow values have a one above their width.
      Reg x = reg_of(i.va());
      if (bits < 64) {
        Reg marked = gp(8), k = constant_reg(int64_t(uint64_t{1} << bits));
        rr(Op::or_, marked, {x}, {k});
        x = marked;
      }
      Reg less = gp(8), inverse = gp(8), below = gp(8);
      ri(Op::addi, less, x, -1);
      ri(Op::xori, inverse, x, -1);
      rr(Op::and_, below, {inverse}, {less});
      return count_bits(dst, below);
    }
    default: {  // ctlz: ones from the highest one downwards, and what is left
      Reg x = zero_extended(i.va());
      for (unsigned by = 1; by < bits; by *= 2) {
        Reg moved = gp(8), filled = gp(8);
        ri(Op::srli, moved, x, by);
        rr(Op::or_, filled, {x}, {moved});
        x = filled;
      }
      Reg inverse = gp(8);
      ri(Op::xori, inverse, x, -1);
      if (bits < 64) {
        Reg low = gp(8);
        and_low_bits(low, inverse, bits);
        inverse = low;
      }
      return count_bits(dst, inverse);
    }
  }
}

void Selector::select_minmax(const Inst& i) {
  Reg dst = result_reg(i.result);
  const unsigned bits = bits_of(i.type);
  if (i.op == AirOp::iabs) {
    // (x ^ sign) - sign
    Reg x = sign_extended(i.va()), sign = gp(8), flipped = gp(8);
    ri(Op::srai, sign, x, 63);
    rr(Op::xor_, flipped, {x}, {sign});
    return rr(bits == 32 ? Op::subw : Op::sub, dst, {flipped}, {sign});
  }
  const bool is_signed = i.op == AirOp::smin || i.op == AirOp::smax;
  // Extending the sign keeps the order of unsigned numbers of 32 bits.
  auto operand = [&](ValueId v) { return is_signed || bits == 32 ? sign_extended(v) : zero_extended(v); };
  Reg x = operand(i.va()), y = operand(i.vb());
  Test t;
  t.cond = is_signed ? Cond::lt : Cond::ltu;
  t.x = {x}, t.y = {y};
  if (i.op == AirOp::smax || i.op == AirOp::umax) std::swap(t.x, t.y);
  choose(dst, x, y, t);
}

// ---- conversions between integers -----------------------------------------------------------------------------------

void Selector::select_extend(const Inst& i) {
  const unsigned from = bits_of(type_of(i.va()));
  // Where the two are the same, the sign is extended: most 32-bit values have theirs extended already.
  const bool is_signed = i.op == AirOp::sext || (from == 32 && i.flags & air::flags::non_negative);
  Reg dst = result_reg(i.result);
  int64_t c;
  if (int_constant(i.va(), c)) {
    if (from == 1 && is_signed) c = -c;
    return constant_into(dst, is_signed || from == 64 ? c : int64_t(uint64_t(c) & ((uint64_t{1} << from) - 1)));
  }
  if (from == 1) return is_signed ? extend(dst, reg_of(i.va()), 1, true) : copy(dst, reg_of(i.va()));
  if (can_fold_load(i.va())) {
    const VMem m = address(def_of(i.va())->va());
    if (from == 32 && !is_signed) return load_mem(Op::lwu, dst, m);
    return load_reg(dst, type_of(i.va()), m, is_signed);
  }
  if (known_of(i.va()) & (is_signed ? known_sign : known_zero)) return copy(dst, reg_of(i.va()));
  extend(dst, reg_of(i.va()), from, is_signed);
}

void Selector::select_trunc(const Inst& i) {
  Reg dst = result_reg(i.result);
  if (i.type == TypeTable::i1) ri(Op::andi, dst, reg_of(i.va()), 1);
  else copy(dst, reg_of(i.va()));
}

// Between the two classes of registers; f32 values in integer registers extend the sign.
void Selector::move_bits(Reg dst, Reg src, TypeId type) {
  const bool single = type == TypeTable::f32;
  const bool to_fp = dst.is_virtual() ? vcode_.vregs[dst.index()].cls == RegClass::fp : dst.value >= fp_base;
  r2(to_fp ? (single ? Op::fmv_w_x : Op::fmv_d_x) : (single ? Op::fmv_x_w : Op::fmv_x_d), dst, src);
}

void Selector::select_bitcast(const Inst& i) {
  const TypeId from = type_of(i.va());
  Reg dst = result_reg(i.result), src = reg_of(i.va());
  if (is_fp(i.type) == is_fp(from)) copy(dst, src);
  else move_bits(dst, src, is_fp(from) ? from : i.type);
}

}  // namespace lode::riscv64
