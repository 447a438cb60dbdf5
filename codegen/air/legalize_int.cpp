// Integers of any width, over their leaves.
//
// Three cases: i1, whose arithmetic is boolean; widths up to 64 bits, in one container; wider ones, in 64-bit words.
// Operations without a direct form (saturating, overflow-checked, funnel shifts) are written once, in terms of the
// basic ones, for all widths.
#include "codegen/air/legalize_impl.h"

namespace lode::air {

Vals Legalizer::int_value(uint32_t bits, uint64_t low) {
  if (bits < 64) low &= (uint64_t{1} << bits) - 1;
  Vals x(int_const(container(bits), low));
  for (uint32_t k = 1; k < words(bits); k++) x.push(int_const(T::i64, 0));
  return x;
}
static uint64_t top_mask(uint32_t bits) { return bits % 64 ? (uint64_t{1} << bits % 64) - 1 : ~uint64_t{0}; }

Vals Legalizer::int_ones(uint32_t bits) {
  Vals x;
  uint32_t n = words(bits);
  for (uint32_t k = 0; k + 1 < n; k++) x.push(int_const(T::i64, ~uint64_t{0}));
  x.push(int_const(container(bits), top_mask(bits)));
  return x;
}
Vals Legalizer::int_min(uint32_t bits) {
  Vals x;
  uint32_t n = words(bits);
  for (uint32_t k = 0; k + 1 < n; k++) x.push(int_const(T::i64, 0));
  x.push(int_const(container(bits), uint64_t{1} << (bits - 1) % 64));
  return x;
}
Vals Legalizer::int_max(uint32_t bits) {
  Vals x;
  uint32_t n = words(bits);
  for (uint32_t k = 0; k + 1 < n; k++) x.push(int_const(T::i64, ~uint64_t{0}));
  x.push(int_const(container(bits), top_mask(bits) >> 1));
  return x;
}

Vals Legalizer::norm(uint32_t bits, Vals x) {
  if (bits == container_bits(bits) || (bits > 64 && bits % 64 == 0)) return x;
  V& top = x[x.n - 1];
  top = bin(Op::and_, top, int_const(ty(top), top_mask(bits)));
  return x;
}

Vals Legalizer::sx(uint32_t bits, Vals x) {
  uint32_t in_top = bits <= 64 ? bits : (bits - 1) % 64 + 1;
  uint32_t w = container_bits(bits);
  if (in_top == w) return x;
  V& top = x[x.n - 1];
  V n = int_const(ty(top), w - in_top);
  top = bin(Op::ashr, bin(Op::shl, top, n), n);
  return x;
}

Legalizer::V Legalizer::sign(uint32_t bits, const Vals& x) {
  V top = x[x.n - 1];
  if (bits == 1) return top;
  if (bits == container_bits(bits) || bits % 64 == 0) return icmp(IntPredicate::slt, top, int_const(ty(top), 0));
  V mask = int_const(ty(top), uint64_t{1} << (bits - 1) % 64);
  return icmp(IntPredicate::ne, bin(Op::and_, top, mask), int_const(ty(top), 0));
}

Vals Legalizer::resize(const Vals& a, uint32_t from, uint32_t to, bool is_signed) {
  if (from == to) return a;
  if (words(to) > max_int_words) {
    fail("an integer of " + std::to_string(to) + " bits");
    return a;
  }
  if (to < from) {
    Vals r;
    uint32_t n = words(to);
    if (n == 1) {
      V low = a[0];
      TypeId c = container(to);
      r.push(ty(low) == c ? low : conv(Op::trunc, c, low));
    } else {
      for (uint32_t k = 0; k < n; k++) r.push(a[k]);
    }
    return norm(to, r);
  }
  Vals x = is_signed ? sx(from, a) : a;
  Op op = is_signed ? Op::sext : Op::zext;
  if (words(to) == 1) {
    Vals r(conv(op, container(to), x[0]));
    return is_signed ? norm(to, r) : r;
  }
  if (x.n == 1) x[0] = conv(op, T::i64, x[0]);
  V fill = int_const(T::i64, 0);
  if (is_signed && x.n < words(to)) fill = bin(Op::ashr, x[x.n - 1], int_const(T::i64, 63));
  while (x.n < words(to)) x.push(fill);
  return is_signed ? norm(to, x) : x;
}

Legalizer::V Legalizer::int_compare(IntPredicate p, uint32_t bits, const Vals& a, const Vals& b) {
  bool is_signed = p >= IntPredicate::sgt;
  if (bits == 1) {
    // As a signed number, 1 is -1.
    V x = a[0], y = b[0];
    switch (p) {
      case IntPredicate::eq: case IntPredicate::ne: return icmp(p, x, y);
      case IntPredicate::ugt: case IntPredicate::slt: return bin(Op::and_, x, not1(y));
      case IntPredicate::ult: case IntPredicate::sgt: return bin(Op::and_, not1(x), y);
      case IntPredicate::uge: case IntPredicate::sle: return bin(Op::or_, x, not1(y));
      case IntPredicate::ule: case IntPredicate::sge: return bin(Op::or_, not1(x), y);
    }
  }
  if (a.n == 1) {
    if (!is_signed) return icmp(p, a[0], b[0]);
    return icmp(p, sx(bits, a)[0], sx(bits, b)[0]);
  }
  if (p == IntPredicate::eq || p == IntPredicate::ne) {
    V all;
    for (uint32_t k = 0; k < a.n; k++) {
      V x = bin(Op::xor_, a[k], b[k]);
      all = all.valid() ? bin(Op::or_, all, x) : x;
    }
    return icmp(p, all, int_const(T::i64, 0));
  }
  static constexpr IntPredicate to_unsigned[] = {
      IntPredicate::eq,  IntPredicate::ne,  IntPredicate::ugt, IntPredicate::uge, IntPredicate::ult,
      IntPredicate::ule, IntPredicate::ugt, IntPredicate::uge, IntPredicate::ult, IntPredicate::ule};
  Vals x = is_signed ? sx(bits, a) : a, y = is_signed ? sx(bits, b) : b;
  V r = icmp(to_unsigned[unsigned(p)], x[0], y[0]);
  for (uint32_t k = 1; k < x.n; k++) {
    IntPredicate q = k + 1 == x.n ? p : to_unsigned[unsigned(p)];
    r = sel(icmp(IntPredicate::eq, x[k], y[k]), r, icmp(q, x[k], y[k]));
  }
  return r;
}

Vals Legalizer::int_select(V c, const Vals& a, const Vals& b) {
  Vals r;
  for (uint32_t k = 0; k < a.n; k++) r.push(sel(c, a[k], b[k]));
  return r;
}

// Boolean forms. Shifts by 1 or more and divisions by zero are undefined, so that the only operand left is 0 or 1
// respectively.
Vals Legalizer::i1_op(Op op, V a, V b) {
  V zero = int_const(T::i1, 0);
  switch (op) {
    case Op::and_: case Op::or_: case Op::xor_: return bin(op, a, b);
    case Op::add: case Op::sub: return bin(Op::xor_, a, b);
    case Op::mul: case Op::umin: case Op::smax: return bin(Op::and_, a, b);
    case Op::umax: case Op::smin: case Op::uadd_sat: case Op::sadd_sat: return bin(Op::or_, a, b);
    case Op::usub_sat: case Op::ssub_sat: return bin(Op::and_, a, not1(b));
    case Op::udiv: case Op::sdiv: case Op::shl: case Op::lshr: case Op::ashr: case Op::iabs: case Op::ctpop:
    case Op::bitreverse: case Op::ushl_sat: case Op::sshl_sat: return a;
    case Op::urem: case Op::srem: case Op::umulh: case Op::smulh: return zero;
    case Op::ctlz: case Op::cttz: return not1(a);
    case Op::fshl: return a;
    case Op::fshr: return b;
    default: fail("not supported on i1"); return zero;
  }
}

Legalizer::V Legalizer::mulh64(bool is_signed, V a, V b) {
  if (options_.has_mulh) return is_signed ? emit(Op::smulh, T::i64, a.value, b.value) : bin(Op::umulh, a, b);
  V n32 = int_const(T::i64, 32), low = int_const(T::i64, 0xffffffff);
  V al = bin(Op::and_, a, low), ah = bin(Op::lshr, a, n32), bl = bin(Op::and_, b, low), bh = bin(Op::lshr, b, n32);
  V t = bin(Op::add, bin(Op::mul, al, bh), bin(Op::lshr, bin(Op::mul, al, bl), n32));
  V w = bin(Op::add, bin(Op::mul, ah, bl), bin(Op::and_, t, low));
  V hi = bin(Op::add, bin(Op::add, bin(Op::mul, ah, bh), bin(Op::lshr, t, n32)), bin(Op::lshr, w, n32));
  if (!is_signed) return hi;
  V n63 = int_const(T::i64, 63);
  hi = bin(Op::sub, hi, bin(Op::and_, bin(Op::ashr, a, n63), b));
  return bin(Op::sub, hi, bin(Op::and_, bin(Op::ashr, b, n63), a));
}

Vals Legalizer::mul_double(uint32_t bits, bool is_signed, const Vals& a, const Vals& b) {
  if (bits == 64) return Vals(bin(Op::mul, a[0], b[0]), mulh64(is_signed, a[0], b[0]));
  return int_op(Op::mul, 2 * bits, resize(a, bits, 2 * bits, is_signed), resize(b, bits, 2 * bits, is_signed));
}

Vals Legalizer::int_op(Op op, uint32_t bits, const Vals& a, const Vals& b, const Vals& c, uint8_t flags) {
  if (!error_.empty()) return a;
  if (bits == 1) return i1_op(op, a[0], b.n ? b[0] : V{});
  switch (op) {
    case Op::umulh: case Op::smulh: {
      if (bits == 64) return mulh64(op == Op::smulh, a[0], b[0]);
      Vals p = mul_double(bits, op == Op::smulh, a, b);
      if (!error_.empty()) return a;
      return resize(int_op(Op::lshr, 2 * bits, p, int_value(2 * bits, bits)), 2 * bits, bits, false);
    }
    case Op::fshl: case Op::fshr: {
      bool rotate = a.n == 1 && a[0] == b[0];
      if (rotate && natural(bits)) return emit(op, ty(a[0]), a[0].value, b[0].value, c[0].value);
      // The count modulo the width; the other part moves by width - 1 - count after a first step of one, so that 0
      // works.
      Vals n = (bits & (bits - 1)) == 0 ? int_op(Op::and_, bits, c, int_value(bits, bits - 1))
                                        : int_op(Op::urem, bits, c, int_value(bits, bits));
      Vals rest = int_op(Op::sub, bits, int_value(bits, bits - 1), n), one = int_value(bits, 1);
      if (op == Op::fshl)
        return int_op(Op::or_, bits, int_op(Op::shl, bits, a, n),
                      int_op(Op::lshr, bits, int_op(Op::lshr, bits, b, one), rest));
      return int_op(Op::or_, bits, int_op(Op::shl, bits, int_op(Op::shl, bits, a, one), rest),
                    int_op(Op::lshr, bits, b, n));
    }
    case Op::uadd_sat: {
      Vals s = int_op(Op::add, bits, a, b);
      return int_select(int_compare(IntPredicate::ult, bits, s, a), int_ones(bits), s);
    }
    case Op::usub_sat:
      return int_select(int_compare(IntPredicate::ult, bits, a, b), int_value(bits, 0), int_op(Op::sub, bits, a, b));
    case Op::sadd_sat: case Op::ssub_sat: {
      Vals r = overflow_op(op == Op::sadd_sat ? Op::sadd_overflow : Op::ssub_overflow, bits, a, b);
      if (!error_.empty()) return a;
      V overflowed = r[--r.n];
      return int_select(overflowed, int_select(sign(bits, a), int_min(bits), int_max(bits)), r);
    }
    case Op::ushl_sat: {
      Vals s = int_op(Op::shl, bits, a, b);
      return int_select(int_compare(IntPredicate::eq, bits, int_op(Op::lshr, bits, s, b), a), s, int_ones(bits));
    }
    case Op::sshl_sat: {
      Vals s = int_op(Op::shl, bits, a, b);
      V fits = int_compare(IntPredicate::eq, bits, int_op(Op::ashr, bits, s, b), a);
      return int_select(fits, s, int_select(sign(bits, a), int_min(bits), int_max(bits)));
    }
    default: break;
  }
  if (bits <= 64) return narrow_op(op, bits, a[0], b.n ? b[0] : V{}, flags);
  return wide_op(op, bits, a, b);
}

Vals Legalizer::narrow_op(Op op, uint32_t bits, V a, V b, uint8_t flags) {
  TypeId t = ty(a);
  const uint32_t w = container_bits(bits);
  const bool odd = bits != w;
  // Promises about wrapping are about the source's width.
  if (odd) flags &= flags::exact;
  auto masked = [&](V x) { return norm(bits, Vals(x)); };
  auto signed_bin = [&] { return norm(bits, Vals(bin(op, sx(bits, a)[0], sx(bits, b)[0], flags))); };
  switch (op) {
    case Op::add: case Op::sub: case Op::mul: case Op::shl: return masked(bin(op, a, b, flags));
    case Op::and_: case Op::or_: case Op::xor_: case Op::lshr: case Op::udiv: case Op::urem: case Op::umin:
    case Op::umax: return bin(op, a, b, flags);
    case Op::sdiv: case Op::srem: case Op::smin: case Op::smax: return signed_bin();
    case Op::ashr: return masked(bin(op, sx(bits, a)[0], b, flags));
    case Op::iabs: return masked(emit(op, t, sx(bits, a)[0].value));
    case Op::ctpop: return un(op, a);
    case Op::ctlz: {
      V n = un(op, a);
      return odd ? bin(Op::sub, n, int_const(t, w - bits)) : n;
    }
    case Op::cttz: return un(op, odd ? bin(Op::or_, a, int_const(t, uint64_t{1} << bits)) : a);
    case Op::bswap:
      if (bits == 8) return a;
      [[fallthrough]];
    case Op::bitreverse: {
      V x = un(op, a);
      return odd ? bin(Op::lshr, x, int_const(t, w - bits)) : x;
    }
    default: fail("not an integer operation"); return a;
  }
}

Vals Legalizer::wide_op(Op op, uint32_t bits, const Vals& a, const Vals& b) {
  const uint32_t n = a.n;
  V zero = int_const(T::i64, 0);
  Vals r;
  switch (op) {
    case Op::and_: case Op::or_: case Op::xor_:
      for (uint32_t k = 0; k < n; k++) r.push(bin(op, a[k], b[k]));
      return r;
    case Op::add: case Op::sub: {
      V carry;  // i1
      for (uint32_t k = 0; k < n; k++) {
        bool last = k + 1 == n;
        V s = bin(op, a[k], b[k]), out;
        if (!last) out = op == Op::add ? icmp(IntPredicate::ult, s, a[k]) : icmp(IntPredicate::ult, a[k], b[k]);
        if (carry.valid()) {
          V c = conv(Op::zext, T::i64, carry), s2 = bin(op, s, c);
          if (!last)
            out = bin(Op::or_, out, op == Op::add ? icmp(IntPredicate::ult, s2, s) : icmp(IntPredicate::ult, s, c));
          s = s2;
        }
        r.push(s);
        carry = out;
      }
      return norm(bits, r);
    }
    case Op::mul: {
      for (uint32_t k = 0; k < n; k++) r.push(zero);
      for (uint32_t i = 0; i < n; i++) {
        V carry = zero;
        for (uint32_t j = 0; i + j < n; j++) {
          // r[i+j] + a[i] * b[j] + carry fits in two words.
          bool last = i + j + 1 == n;
          V lo = bin(Op::mul, a[i], b[j]);
          V s = bin(Op::add, r[i + j], lo);
          V s2 = bin(Op::add, s, carry);
          if (!last) {
            V hi = mulh64(false, a[i], b[j]);
            hi = bin(Op::add, hi, conv(Op::zext, T::i64, icmp(IntPredicate::ult, s, lo)));
            carry = bin(Op::add, hi, conv(Op::zext, T::i64, icmp(IntPredicate::ult, s2, carry)));
          }
          r[i + j] = s2;
        }
      }
      return norm(bits, r);
    }
    case Op::udiv: case Op::urem: case Op::sdiv: case Op::srem: {
      if (bits > 128) return long_division(op, bits, a, b);
      bool is_signed = op == Op::sdiv || op == Op::srem;
      RuntimeFunction f = op == Op::udiv   ? RuntimeFunction::udivti3
                          : op == Op::urem ? RuntimeFunction::umodti3
                          : op == Op::sdiv ? RuntimeFunction::divti3
                                           : RuntimeFunction::modti3;
      return norm(bits, call_runtime(f, resize(a, bits, 128, is_signed), resize(b, bits, 128, is_signed)));
    }
    case Op::shl: case Op::lshr: case Op::ashr: return wide_shift(op, bits, a, b);
    case Op::smin: return int_select(int_compare(IntPredicate::slt, bits, a, b), a, b);
    case Op::smax: return int_select(int_compare(IntPredicate::sgt, bits, a, b), a, b);
    case Op::umin: return int_select(int_compare(IntPredicate::ult, bits, a, b), a, b);
    case Op::umax: return int_select(int_compare(IntPredicate::ugt, bits, a, b), a, b);
    case Op::iabs: {
      Vals x = sx(bits, a);
      V s = bin(Op::ashr, x[n - 1], int_const(T::i64, 63));
      Vals m;
      for (uint32_t k = 0; k < n; k++) {
        x[k] = bin(Op::xor_, x[k], s);
        m.push(s);
      }
      return norm(bits, wide_op(Op::sub, n * 64, x, m));
    }
    case Op::ctpop: {
      V sum = un(Op::ctpop, a[0]);
      for (uint32_t k = 1; k < n; k++) sum = bin(Op::add, sum, un(Op::ctpop, a[k]));
      r.push(sum);
      break;
    }
    case Op::ctlz: {
      V count = un(Op::ctlz, a[0]);
      for (uint32_t k = 1; k < n; k++)
        count = sel(icmp(IntPredicate::eq, a[k], zero), bin(Op::add, count, int_const(T::i64, 64)), un(Op::ctlz, a[k]));
      // Lower words count from the top of all the words above them.
      r.push(bin(Op::sub, count, int_const(T::i64, n * 64 - bits)));
      break;
    }
    case Op::cttz: {
      V top = a[n - 1];
      if (bits % 64) top = bin(Op::or_, top, int_const(T::i64, uint64_t{1} << bits % 64));
      V count = bin(Op::add, un(Op::cttz, top), int_const(T::i64, 64 * (n - 1)));
      for (uint32_t k = n - 1; k-- > 0;)
        count =
            sel(icmp(IntPredicate::eq, a[k], zero), count, bin(Op::add, un(Op::cttz, a[k]), int_const(T::i64, 64 * k)));
      r.push(count);
      break;
    }
    case Op::bswap: case Op::bitreverse: {
      for (uint32_t k = n; k-- > 0;) r.push(un(op, a[k]));
      return wide_shift(Op::lshr, n * 64, r, int_value(n * 64, n * 64 - bits));
    }
    default: fail("not supported on integers of " + std::to_string(bits) + " bits"); return a;
  }
  while (r.n < n) r.push(zero);
  return r;
}

// Of more than 128 bits, for which no library has a function: a loop that finds one bit of the quotient a turn, as by
// hand. The dividend moves out at its upper end and the quotient in at its lower one, in the same words; what has moved
// out is the remainder so far. Signed: of the absolute values, and the signs are put right afterwards.
Vals Legalizer::long_division(Op op, uint32_t bits, const Vals& dividend, const Vals& divisor) {
  const uint32_t n = dividend.n, whole = n * 64;
  const bool is_signed = op == Op::sdiv || op == Op::srem, remainder = op == Op::urem || op == Op::srem;
  const V zero = int_const(T::i64, 0), one = int_const(T::i64, 1), n63 = int_const(T::i64, 63);
  // x, or -x where `sign` is all ones.
  auto negate_if = [&](const Vals& x, V sign) {
    Vals flipped, ones;
    for (uint32_t k = 0; k < n; k++) {
      flipped.push(bin(Op::xor_, x[k], sign));
      ones.push(sign);
    }
    return wide_op(Op::sub, whole, flipped, ones);
  };
  Vals a = dividend, d = divisor;
  V sign_a = zero, sign_d = zero;
  if (is_signed) {
    a = sx(bits, a), d = sx(bits, d);
    sign_a = bin(Op::ashr, a[n - 1], n63), sign_d = bin(Op::ashr, d[n - 1], n63);
    a = negate_if(a, sign_a), d = negate_if(d, sign_d);
  }
  if (bits != whole) a = wide_shift(Op::shl, whole, a, int_value(whole, whole - bits));

  const uint32_t loop = new_block(), after = new_block();
  std::vector<V> first(a.v.begin(), a.v.begin() + n);
  first.resize(2 * n, zero);
  first.push_back(int_const(T::i64, bits));
  br(loop, first.data(), uint32_t(first.size()));
  end_block();
  out_.blocks[loop].first_param = uint32_t(out_.values.size());
  out_.blocks[loop].param_count = 2 * n + 1;
  auto param = [&] {
    out_.values.push_back(Value::make(T::i64, ValueKind::Param, loop));
    return V(uint32_t(out_.values.size() - 1));
  };
  Vals q, r;
  for (uint32_t k = 0; k < n; k++) q.push(param());
  for (uint32_t k = 0; k < n; k++) r.push(param());
  const V count = param();
  start_block(loop);
  const V out = bin(Op::lshr, r[n - 1], n63);  // a bit that the words of the remainder have no place for
  auto moved = [&](const Vals& x, V in) {
    Vals y;
    for (uint32_t k = 0; k < n; k++)
      y.push(bin(Op::or_, bin(Op::shl, x[k], one), k ? bin(Op::lshr, x[k - 1], n63) : in));
    return y;
  };
  r = moved(r, bin(Op::lshr, q[n - 1], n63));
  V fits = int_compare(IntPredicate::uge, whole, r, d);
  if (bits == whole) fits = bin(Op::or_, fits, icmp(IntPredicate::ne, out, zero));
  r = int_select(fits, wide_op(Op::sub, whole, r, d), r);
  q = moved(q, conv(Op::zext, T::i64, fits));
  const V left = bin(Op::sub, count, one);
  std::vector<V> next(q.v.begin(), q.v.begin() + n);
  next.insert(next.end(), r.v.begin(), r.v.begin() + n);
  next.push_back(left);
  const uint32_t again = edge(loop, next.data(), uint32_t(next.size())), done = edge(after, nullptr, 0);
  cond_br(icmp(IntPredicate::ne, left, zero), again, done);
  end_block();
  start_block(after);
  if (is_signed && remainder) r = negate_if(r, sign_a);
  if (is_signed && !remainder) q = negate_if(q, bin(Op::xor_, sign_a, sign_d));
  return norm(bits, remainder ? r : q);
}

Vals Legalizer::wide_shift(Op op, uint32_t bits, const Vals& a, const Vals& count) {
  const uint32_t n = a.n;
  V zero = int_const(T::i64, 0);
  Vals x = op == Op::ashr ? sx(bits, a) : a;
  V fill = op == Op::ashr ? bin(Op::ashr, x[n - 1], int_const(T::i64, 63)) : zero;
  Op top_op = op == Op::ashr ? Op::ashr : Op::lshr;
  uint64_t known;
  auto word = [&](const Vals& v, int64_t k) { return k < 0 ? zero : k >= int64_t(n) ? fill : v[uint32_t(k)]; };
  if (const_value(count[0], known)) {
    if (known >= uint64_t(n) * 64) known = n * 64 - 1;  // undefined
    int64_t by = int64_t(known / 64);
    uint32_t s = known % 64;
    V left = int_const(T::i64, s), right = int_const(T::i64, 64 - s);
    Vals r;
    for (int64_t k = 0; k < int64_t(n); k++) {
      if (op == Op::shl) {
        V hi = bin(Op::shl, word(x, k - by), left);
        r.push(s ? bin(Op::or_, hi, bin(Op::lshr, word(x, k - by - 1), right)) : hi);
      } else {
        bool top = k + by >= int64_t(n) - 1;
        V lo = top && k + by > int64_t(n) - 1 ? fill : bin(top ? top_op : Op::lshr, word(x, k + by), left);
        r.push(s && !top ? bin(Op::or_, lo, bin(Op::shl, word(x, k + by + 1), right)) : lo);
      }
    }
    return norm(bits, r);
  }
  // By the low six bits first, neighbours funnelled in; then by words, one bit of the count after the other.
  V c = count[0];
  V s = bin(Op::and_, c, int_const(T::i64, 63)), inverse = bin(Op::xor_, s, int_const(T::i64, 63)),
    one = int_const(T::i64, 1);
  Vals r;
  for (uint32_t k = 0; k < n; k++) {
    if (op == Op::shl) {
      V hi = bin(Op::shl, x[k], s);
      r.push(k ? bin(Op::or_, hi, bin(Op::lshr, bin(Op::lshr, x[k - 1], one), inverse)) : hi);
    } else {
      V lo = bin(k + 1 == n ? top_op : Op::lshr, x[k], s);
      r.push(k + 1 < n ? bin(Op::or_, lo, bin(Op::shl, bin(Op::shl, x[k + 1], one), inverse)) : lo);
    }
  }
  for (uint32_t step = 1, bit = 6; step < n; step *= 2, bit++) {
    V set = icmp(IntPredicate::ne, bin(Op::and_, c, int_const(T::i64, uint64_t{1} << bit)), zero);
    Vals next;
    for (int64_t k = 0; k < int64_t(n); k++)
      next.push(sel(set, word(r, op == Op::shl ? k - int64_t(step) : k + int64_t(step)), r[uint32_t(k)]));
    r = next;
  }
  return norm(bits, r);
}

Vals Legalizer::overflow_op(Op op, uint32_t bits, const Vals& a, const Vals& b) {
  auto with = [&](Vals r, V overflowed) {
    if (r.n < max_int_words) r.push(overflowed);
    else fail("an integer of " + std::to_string(bits) + " bits");
    return r;
  };
  if (bits == 1) {
    V x = a[0], y = b[0];
    switch (op) {
      case Op::uadd_overflow: case Op::sadd_overflow: return with(bin(Op::xor_, x, y), bin(Op::and_, x, y));
      case Op::usub_overflow: case Op::ssub_overflow: return with(bin(Op::xor_, x, y), bin(Op::and_, not1(x), y));
      case Op::umul_overflow: return with(bin(Op::and_, x, y), int_const(T::i1, 0));
      default: return with(bin(Op::and_, x, y), bin(Op::and_, x, y));
    }
  }
  if (natural(bits)) {
    TypeId pair = bits == 8 ? T::pair_i8 : bits == 16 ? T::pair_i16 : bits == 32 ? T::pair_i32 : T::pair_i64;
    if (bits == 64 && !options_.has_mulh && (op == Op::umul_overflow || op == Op::smul_overflow)) {
      bool is_signed = op == Op::smul_overflow;
      V lo = bin(Op::mul, a[0], b[0]), hi = mulh64(is_signed, a[0], b[0]);
      V expected = is_signed ? bin(Op::ashr, lo, int_const(T::i64, 63)) : int_const(T::i64, 0);
      return with(lo, icmp(IntPredicate::ne, hi, expected));
    }
    V both = emit(op, pair, a[0].value, b[0].value);
    uint32_t x0 = uint32_t(out_.extra.size());
    out_.extra.insert(out_.extra.end(), {1, 0, 1, 1});
    V r = emit(Op::extract, container(bits), both.value, x0);
    return with(r, emit(Op::extract, T::i1, both.value, x0 + 2));
  }
  switch (op) {
    case Op::uadd_overflow: {
      Vals s = int_op(Op::add, bits, a, b);
      return with(s, int_compare(IntPredicate::ult, bits, s, a));
    }
    case Op::usub_overflow: return with(int_op(Op::sub, bits, a, b), int_compare(IntPredicate::ult, bits, a, b));
    case Op::sadd_overflow: case Op::ssub_overflow: {
      bool add = op == Op::sadd_overflow;
      Vals s = int_op(add ? Op::add : Op::sub, bits, a, b);
      Vals differs = int_op(Op::xor_, bits, a, s), other = int_op(Op::xor_, bits, add ? b : a, add ? s : b);
      return with(s, sign(bits, int_op(Op::and_, bits, differs, other)));
    }
    default: {
      bool is_signed = op == Op::smul_overflow;
      Vals p = mul_double(bits, is_signed, a, b);
      if (!error_.empty()) return a;
      Vals r = resize(p, 2 * bits, bits, false);
      return with(r, int_compare(IntPredicate::ne, 2 * bits, resize(r, bits, 2 * bits, is_signed), p));
    }
  }
}

}  // namespace lode::air
