// What source code does with vectors, put together from the operations of simd_ops.def.
//
// Widths are those of lanes, in bits. A mask has all bits of a lane equal. Nothing here looks above a short vector's
// lanes, and nothing keeps what is there.
#include <algorithm>
#include <array>
#include <bit>

#include "codegen/air/legalize_impl.h"

namespace lode::air {

namespace {
using S = SimdOp;
// The row for a width, the rows of an operation following each other from the width `first` on.
S by_width(S base, uint32_t first, uint32_t width) {
  return S(unsigned(base) + unsigned(std::countr_zero(width) - std::countr_zero(first)));
}
unsigned lanes4(unsigned a, unsigned b, unsigned c, unsigned d) { return a | b << 2 | c << 4 | d << 6; }
constexpr unsigned odd_up = 0xf5;    // 1 1 3 3
constexpr unsigned even_up = 0xa0;   // 0 0 2 2
}  // namespace

Legalizer::V Legalizer::splat_const(uint32_t width, uint64_t lane) {
  if (width < 64) lane &= (uint64_t{1} << width) - 1;
  for (uint32_t w = width; w < 64; w *= 2) lane |= lane << w;
  return lane ? wide_float_const(T::v128, lane, lane) : zero_const(T::v128);
}

// ---- integers -------------------------------------------------------------------------------------------------------

Legalizer::V Legalizer::simd_multiply(uint32_t width, V a, V b) {
  switch (width) {
    case 16: return simd({S::mul_16, a, b});
    case 8: {
      // The upper halves of 16-bit lanes, and the lower ones, on their own.
      V low = simd({S::and_, simd({S::mul_16, a, b}), splat_const(16, 0xff)});
      V high = simd({S::mul_16, simd({S::lshr_16, a, 8}), simd({S::lshr_16, b, 8})});
      return simd({S::or_, low, simd({S::shl_16, high, 8})});
    }
    case 32: {
      V even = simd({S::mul_even_32, a, b});
      V odd = simd({S::mul_even_32, simd({S::shuffle_32, a, odd_up}), simd({S::shuffle_32, b, odd_up})});
      return simd({S::interleave_low_32, simd({S::shuffle_32, even, lanes4(0, 2, 0, 2)}),
                   simd({S::shuffle_32, odd, lanes4(0, 2, 0, 2)})});
    }
    default: {
      V cross = simd({S::add_64, simd({S::mul_even_32, simd({S::lshr_64, a, 32}), b}),
                      simd({S::mul_even_32, a, simd({S::lshr_64, b, 32})})});
      return simd({S::add_64, simd({S::mul_even_32, a, b}), simd({S::shl_64, cross, 32})});
    }
  }
}

Legalizer::V Legalizer::simd_shift(Op op, uint32_t width, V a, uint32_t count) {
  if (count == 0) return a;
  if (width == 8) {
    const uint32_t kept = op == Op::shl ? 0xffu << count & 0xff : 0xffu >> count;
    V x = simd({S::and_, simd({op == Op::shl ? S::shl_16 : S::lshr_16, a, count}), splat_const(8, kept)});
    if (op != Op::ashr) return x;
    V sign = splat_const(8, 0x80u >> count);
    return simd({S::sub_8, simd({S::xor_, x, sign}), sign});
  }
  if (op == Op::shl) return simd({by_width(S::shl_16, 16, width), a, count});
  if (op == Op::lshr) return simd({by_width(S::lshr_16, 16, width), a, count});
  if (width < 64) return simd({by_width(S::ashr_16, 16, width), a, count});
  V sign = simd({S::shuffle_32, simd({S::ashr_32, a, 31}), odd_up});
  return simd({S::or_, simd({S::lshr_64, a, count}), simd({S::shl_64, sign, 64 - count})});
}

Legalizer::V Legalizer::simd_equal(uint32_t width, V a, V b) {
  if (width < 64) return simd({by_width(S::eq_8, 8, width), a, b});
  V x = simd({S::eq_32, a, b});
  return simd({S::and_, x, simd({S::shuffle_32, x, lanes4(1, 0, 3, 2)})});
}

Legalizer::V Legalizer::simd_greater(uint32_t width, V a, V b) {
  if (width < 64) return simd({by_width(S::sgt_8, 8, width), a, b});
  // By halves: the upper ones as they are, the lower ones without sign.
  V flip = splat_const(64, 0x80000000), x = simd({S::xor_, a, flip}), y = simd({S::xor_, b, flip});
  V greater = simd({S::sgt_32, x, y}), equal = simd({S::eq_32, x, y});
  V low = simd({S::and_, simd({S::shuffle_32, equal, odd_up}), simd({S::shuffle_32, greater, even_up})});
  return simd({S::or_, simd({S::shuffle_32, greater, odd_up}), low});
}

Legalizer::V Legalizer::simd_compare(IntPredicate p, uint32_t width, V a, V b) {
  if (p == IntPredicate::eq) return simd_equal(width, a, b);
  if (p == IntPredicate::ne) return simd_not(simd_equal(width, a, b));
  bool is_unsigned =
      p == IntPredicate::ugt || p == IntPredicate::uge || p == IntPredicate::ult || p == IntPredicate::ule;
  if (p == IntPredicate::ult || p == IntPredicate::ule || p == IntPredicate::slt || p == IntPredicate::sle)
    std::swap(a, b);
  const bool or_equal =
      p == IntPredicate::uge || p == IntPredicate::ule || p == IntPredicate::sge || p == IntPredicate::sle;
  if (is_unsigned && or_equal && width == 8) return simd_equal(8, simd({S::umax_8, a, b}), a);
  if (is_unsigned && or_equal && width == 16) return simd_equal(16, simd({S::usub_sat_16, b, a}), zero_const(T::v128));
  if (is_unsigned) {
    V flip = splat_const(width, uint64_t{1} << (width - 1));
    a = simd({S::xor_, a, flip});
    b = simd({S::xor_, b, flip});
  }
  return or_equal ? simd_not(simd_greater(width, b, a)) : simd_greater(width, a, b);
}

Legalizer::V Legalizer::simd_int(Op op, uint32_t width, V a, V b) {
  switch (op) {
    case Op::add: return simd({by_width(S::add_8, 8, width), a, b});
    case Op::sub: return simd({by_width(S::sub_8, 8, width), a, b});
    case Op::mul: return simd_multiply(width, a, b);
    case Op::and_: return simd({S::and_, a, b});
    case Op::or_: return simd({S::or_, a, b});
    case Op::xor_: return simd({S::xor_, a, b});
    case Op::uadd_sat: return simd({width == 8 ? S::uadd_sat_8 : S::uadd_sat_16, a, b});
    case Op::sadd_sat: return simd({width == 8 ? S::sadd_sat_8 : S::sadd_sat_16, a, b});
    case Op::usub_sat: return simd({width == 8 ? S::usub_sat_8 : S::usub_sat_16, a, b});
    case Op::ssub_sat: return simd({width == 8 ? S::ssub_sat_8 : S::ssub_sat_16, a, b});
    case Op::smin: case Op::smax: case Op::umin: case Op::umax: {
      const bool is_signed = op == Op::smin || op == Op::smax, is_max = op == Op::smax || op == Op::umax;
      if (width == 8 && !is_signed) return simd({is_max ? S::umax_8 : S::umin_8, a, b});
      if (width == 16 && is_signed) return simd({is_max ? S::smax_16 : S::smin_16, a, b});
      if (width == 16) {
        V over = simd({S::usub_sat_16, a, b});  // a - b, or 0
        return is_max ? simd({S::add_16, over, b}) : simd({S::sub_16, a, over});
      }
      if (width == 8) {
        V flip = splat_const(8, 0x80);
        V x = simd({S::xor_, a, flip}), y = simd({S::xor_, b, flip});
        return simd({S::xor_, simd({is_max ? S::umax_8 : S::umin_8, x, y}), flip});
      }
      V greater = simd_compare(is_signed ? IntPredicate::sgt : IntPredicate::ugt, width, a, b);
      return is_max ? simd_blend(greater, a, b) : simd_blend(greater, b, a);
    }
    case Op::iabs: {
      if (width == 8) return simd({S::umin_8, a, simd({S::sub_8, zero_const(T::v128), a})});
      if (width == 16) return simd({S::smax_16, a, simd({S::sub_16, zero_const(T::v128), a})});
      V sign = simd({S::ashr_32, a, 31});
      if (width == 64) sign = simd({S::shuffle_32, sign, odd_up});
      return simd({by_width(S::sub_8, 8, width), simd({S::xor_, a, sign}), sign});
    }
    default: fail("a vector operation: internal error"); return undef_const(T::v128);
  }
}

Legalizer::V Legalizer::simd_resize(V x, uint32_t from, uint32_t to, bool is_signed) {
  for (; from < to; from *= 2) {
    const S interleave = by_width(S::interleave_low_8, 8, from);
    if (!is_signed) x = simd({interleave, x, zero_const(T::v128)});
    else if (from == 32) x = simd({interleave, x, simd({S::ashr_32, x, 31})});
    else x = simd({from == 8 ? S::ashr_16 : S::ashr_32, simd({interleave, x, x}), from});
  }
  for (; from > to; from /= 2) {
    if (from == 64) x = simd({S::shuffle_32, x, lanes4(0, 2, 0, 2)});
    else if (from == 32) x = simd({S::ashr_32, simd({S::shl_32, x, 16}), 16}), x = simd({S::narrow_signed_32, x, x});
    else x = simd({S::and_, x, splat_const(16, 0xff)}), x = simd({S::narrow_unsigned_16, x, x});
  }
  return x;
}

Legalizer::V Legalizer::simd_mask_resize(V mask, uint32_t from, uint32_t to) {
  for (; from < to; from *= 2) mask = simd({by_width(S::interleave_low_8, 8, from), mask, mask});
  for (; from > to; from /= 2) {
    if (from == 64) mask = simd({S::shuffle_32, mask, lanes4(0, 2, 0, 2)});
    else mask = simd({from == 32 ? S::narrow_signed_32 : S::narrow_signed_16, mask, mask});
  }
  return mask;
}

Legalizer::V Legalizer::simd_reduce(Op op, const Lanes& l, V x) {
  if (l.is_mask) {
    V bits = simd({S::sign_mask_8, x});
    return op == Op::reduce_or ? icmp(IntPredicate::ne, bits, int_const(T::i32, 0))
                               : icmp(IntPredicate::eq, bits, int_const(T::i32, 0xffff));
  }
  static constexpr struct {
    Op reduce, op;
  } ops[] = {{Op::reduce_add, Op::add},   {Op::reduce_mul, Op::mul},   {Op::reduce_and, Op::and_},
             {Op::reduce_or, Op::or_},    {Op::reduce_xor, Op::xor_},  {Op::reduce_smin, Op::smin},
             {Op::reduce_smax, Op::smax}, {Op::reduce_umin, Op::umin}, {Op::reduce_umax, Op::umax}};
  Op by = Op::add;
  for (auto& o : ops)
    if (o.reduce == op) by = o.op;
  for (uint32_t n = l.count / 2; n; n /= 2) x = simd_int(by, l.width, x, simd({S::shift_down, x, n * l.width / 8}));
  return simd_extract(l, container(l.width), x, 0);
}

// ---- floating point -------------------------------------------------------------------------------------------------

Legalizer::V Legalizer::simd_float(Op op, uint32_t width, V a, V b) {
  const bool wide = width == 64;
  const uint64_t sign = uint64_t{1} << (width - 1);
  switch (op) {
    case Op::fadd: return simd({wide ? S::fadd_64 : S::fadd_32, a, b});
    case Op::fsub: return simd({wide ? S::fsub_64 : S::fsub_32, a, b});
    case Op::fmul: return simd({wide ? S::fmul_64 : S::fmul_32, a, b});
    case Op::fdiv: return simd({wide ? S::fdiv_64 : S::fdiv_32, a, b});
    case Op::fsqrt: return simd({wide ? S::fsqrt_64 : S::fsqrt_32, a});
    case Op::fneg: return simd({S::xor_, a, splat_const(width, sign)});
    case Op::fabs: return simd({S::and_, a, splat_const(width, ~sign)});
    case Op::fcopysign: {
      V mask = splat_const(width, sign);
      return simd({S::or_, simd({S::andnot, mask, a}), simd({S::and_, b, mask})});
    }
    default: fail("a vector operation: internal error"); return undef_const(T::v128);
  }
}

Legalizer::V Legalizer::simd_fcompare(FloatPredicate p, uint32_t width, V a, V b) {
  const S op = width == 64 ? S::fcmp_64 : S::fcmp_32;
  enum { eq, lt, le, uno, neq, nlt, nle, ord };
  switch (p) {
    case FloatPredicate::oeq: return simd({op, a, b, eq});
    case FloatPredicate::olt: return simd({op, a, b, lt});
    case FloatPredicate::ole: return simd({op, a, b, le});
    case FloatPredicate::ogt: return simd({op, b, a, lt});
    case FloatPredicate::oge: return simd({op, b, a, le});
    case FloatPredicate::une: return simd({op, a, b, neq});
    case FloatPredicate::uge: return simd({op, a, b, nlt});
    case FloatPredicate::ugt: return simd({op, a, b, nle});
    case FloatPredicate::ule: return simd({op, b, a, nlt});
    case FloatPredicate::ult: return simd({op, b, a, nle});
    case FloatPredicate::uno: return simd({op, a, b, uno});
    case FloatPredicate::ord: return simd({op, a, b, ord});
    case FloatPredicate::one: return simd({S::and_, simd({op, a, b, neq}), simd({op, a, b, ord})});
    case FloatPredicate::ueq: return simd({S::or_, simd({op, a, b, eq}), simd({op, a, b, uno})});
    case FloatPredicate::true_: return splat_const(64, ~uint64_t{0});
    default: return zero_const(T::v128);
  }
}

// ---- lanes and scalars ----------------------------------------------------------------------------------------------

Legalizer::V Legalizer::simd_from_scalar(const Lanes& l, V x) {
  if (l.is_float) return simd({l.width == 64 ? S::from_f64 : S::from_f32, x});
  if (l.width == 64) return simd({S::from_i64, x});
  return simd({S::from_i32, conv(Op::zext, T::i32, x)});
}

Legalizer::V Legalizer::simd_extract(const Lanes& l, TypeId element, V x, uint32_t lane) {
  if (l.is_mask || l.width <= 16) {
    const uint32_t bit = lane * l.width;
    V r = simd({S::extract_16, x, bit / 16});
    if (bit % 16) r = bin(Op::lshr, r, int_const(T::i32, bit % 16));
    return conv(Op::trunc, l.is_mask ? T::i1 : element, r);
  }
  if (lane && l.width == 32) x = simd({S::shuffle_32, x, lanes4(lane, lane, lane, lane)});
  if (lane && l.width == 64) x = simd({S::shuffle_32, x, lanes4(2, 3, 2, 3)});
  if (l.is_float) return simd({l.width == 64 ? S::to_f64 : S::to_f32, x});
  return simd({l.width == 64 ? S::to_i64 : S::to_i32, x});
}

Legalizer::V Legalizer::simd_insert(const Lanes& l, V x, V element, uint32_t lane) {
  if (l.width == 16) return simd({S::insert_16, x, conv(Op::zext, T::i32, element), lane});
  if (l.width == 8) {
    V pair = simd({S::extract_16, x, lane / 2}), e = conv(Op::zext, T::i32, element);
    pair = bin(Op::and_, pair, int_const(T::i32, lane % 2 ? 0x00ff : 0xff00));
    if (lane % 2) e = bin(Op::shl, e, int_const(T::i32, 8));
    return simd({S::insert_16, x, bin(Op::or_, pair, e), lane / 2});
  }
  V e = simd_from_scalar(l, element);
  if (l.width == 64) return lane ? simd({S::interleave_low_64, x, e}) : simd({S::low_64_of, x, e});
  switch (lane) {
    case 0: return simd({S::low_32_of, x, e});
    case 1: return simd({S::shuffle_two_32, simd({S::interleave_low_32, x, e}), x, lanes4(0, 1, 2, 3)});
    case 2:
      return simd({S::shuffle_two_32, x, simd({S::shuffle_two_32, e, x, lanes4(0, 0, 3, 3)}), lanes4(0, 1, 0, 2)});
    default:
      return simd({S::shuffle_two_32, x, simd({S::shuffle_two_32, e, x, lanes4(0, 0, 2, 2)}), lanes4(0, 1, 2, 0)});
  }
}

void Legalizer::simd_bitcast(const Inst& i) {
  Lanes a, r;
  const bool from = lanes_of(old_type(i.va()), a), to = lanes_of(i.type, r);
  if (from && to) return define(i.result, Vals(as_opaque(i.va())));
  if (from) {
    V x = as_opaque(i.va());
    const Type& t = type(i.type);
    if (a.is_mask) {
      if (a.count == 8) x = simd({S::narrow_signed_16, x, zero_const(T::v128)});
      V bits = simd({a.count >= 8 ? S::sign_mask_8 : a.count == 4 ? S::sign_mask_32 : S::sign_mask_64, x});
      return define(i.result, Vals(conv(Op::trunc, container(t.bits), bits)));
    }
    if (t.kind == TypeKind::F64) return define(i.result, Vals(simd({S::to_f64, x})));
    if (t.kind == TypeKind::F32) return define(i.result, Vals(simd({S::to_f32, x})));
    if (a.bytes == 4) return define(i.result, Vals(simd({S::to_i32, x})));
    V low = simd({S::to_i64, x});
    if (a.bytes == 8) return define(i.result, Vals(low));
    return define(i.result, Vals(low, simd({S::to_i64, simd({S::shuffle_32, x, lanes4(2, 3, 2, 3)})})));
  }
  Vals x = vals(i.va());
  if (!error_.empty()) return;
  const TypeKind k = type(old_type(i.va())).kind;
  if (k == TypeKind::F64) return define(i.result, Vals(simd({S::from_f64, x[0]})));
  if (k == TypeKind::F32) return define(i.result, Vals(simd({S::from_f32, x[0]})));
  if (r.bytes == 4) return define(i.result, Vals(simd({S::from_i32, x[0]})));
  V low = simd({S::from_i64, x[0]});
  if (r.bytes == 16) low = simd({S::interleave_low_64, low, simd({S::from_i64, x[1]})});
  define(i.result, Vals(low));
}

// ---- shuffles -------------------------------------------------------------------------------------------------------
//
// Lanes are joined to wider ones as far as they stay together, then the patterns are tried from the cheapest on. `dry`:
// only say whether there is a way; the operations are not emitted.

struct Legalizer::Shuffle {
  static constexpr uint32_t any = ~0u;
  static constexpr uint32_t nowhere = any - 1;

  Legalizer& l;
  uint32_t width;
  V a, b;
  const bool dry;
  uint32_t n;                        // lanes of a register
  std::array<uint32_t, 16> at = {};  // where each comes from: 0 to n - 1 of a, n to 2n - 1 of b, or any
  bool one = false;                  // all come from a

  Shuffle(Legalizer& legalizer, uint32_t w, V x, V y, const uint32_t* lanes, uint32_t count, uint32_t from_count,
          bool is_dry)
      : l(legalizer), width(w), a(x), b(y), dry(is_dry), n(128 / w) {
    at.fill(any);
    for (uint32_t k = 0; k < count; k++)
      if (lanes[k] < from_count) at[k] = lanes[k];
      else if (lanes[k] < 2 * from_count) at[k] = n + lanes[k] - from_count;
  }

  V op1(S op, V x, unsigned immediate) { return dry ? l.undef_const(T::v128) : l.simd({op, x, immediate}); }
  V op2(S op, V x, V y, unsigned immediate = 0) {
    return dry ? l.undef_const(T::v128) : l.simd({op, x, y, immediate});
  }
  V take(V x) { return dry ? l.undef_const(T::v128) : x; }
  static uint32_t or0(uint32_t x) { return x == any ? 0 : x; }
  // Are the lanes, where it matters, those of f?
  template <class F>
  bool is(F&& f) const {
    for (uint32_t k = 0; k < n; k++)
      if (at[k] != any && at[k] != f(k)) return false;
    return true;
  }

  // Pairs that stay together are lanes of twice the width.
  void widen() {
    while (width < 64) {
      std::array<uint32_t, 16> wide;
      wide.fill(any);
      bool ok = true;
      for (uint32_t k = 0; k < n && ok; k += 2) {
        uint32_t x = at[k], y = at[k + 1];
        if (x == any && y == any) continue;
        uint32_t base = x != any ? x : y - 1;
        ok = base % 2 == 0 && (x == any || x == base) && (y == any || y == base + 1);
        wide[k / 2] = base / 2;
      }
      if (!ok) break;
      at = wide;
      width *= 2;
      n /= 2;
    }
  }

  // What needs b alone is said of a.
  void find_sources() {
    const bool uses_a = std::any_of(at.begin(), at.begin() + n, [&](uint32_t x) { return x < n; });
    const bool uses_b = std::any_of(at.begin(), at.begin() + n, [&](uint32_t x) { return x != any && x >= n; });
    if (!uses_a) {
      for (uint32_t k = 0; k < n; k++)
        if (at[k] != any) at[k] -= n;
      a = b;
    }
    one = !uses_a || !uses_b;
  }

  // In either order, or of one with itself. This and what follows: no value if it is not that.
  V interleaved() {
    for (uint32_t half : {0u, n / 2})
      for (uint32_t first : {0u, n})
        for (uint32_t second : {0u, n}) {
          if (one && (first || second)) continue;
          if (!is([&](uint32_t k) { return half + k / 2 + (k % 2 ? second : first); })) continue;
          return op2(by_width(half ? S::interleave_high_8 : S::interleave_low_8, 8, width), first ? b : a,
                     second ? b : a);
        }
    return {};
  }

  V of_64() {
    if (one) {
      uint32_t x = or0(at[0]), y = at[1] == any ? x : at[1];
      if (at[0] == any) x = y;
      return op1(S::shuffle_32, a, lanes4(2 * x, 2 * x + 1, 2 * y, 2 * y + 1));
    }
    uint32_t x = or0(at[0]), y = or0(at[1]);
    return op2(S::shuffle_two_64, x < 2 ? a : b, y < 2 ? a : b, (x & 1) | (y & 1) << 1);
  }

  V of_32() {
    if (one) return op1(S::shuffle_32, a, lanes4(or0(at[0]), or0(at[1]), or0(at[2]), or0(at[3])));
    auto source = [&](uint32_t k) { return at[k] == any ? any : at[k] / 4; };
    auto together = [&](uint32_t x, uint32_t y) {
      return source(x) == any || source(y) == any || source(x) == source(y);
    };
    if (together(0, 1) && together(2, 3)) {
      uint32_t low = source(0) != any ? source(0) : or0(source(1)),
               high = source(2) != any ? source(2) : or0(source(3));
      return op2(S::shuffle_two_32, low ? b : a, high ? b : a,
                 lanes4(or0(at[0]) & 3, or0(at[1]) & 3, or0(at[2]) & 3, or0(at[3]) & 3));
    }
    std::array<uint32_t, 4> x;
    for (uint32_t k = 0; k < 4; k++) x[k] = or0(at[k]);
    V low = op2(S::shuffle_two_32, x[0] < 4 ? a : b, x[1] < 4 ? a : b, lanes4(x[0] & 3, x[0] & 3, x[1] & 3, x[1] & 3));
    V high = op2(S::shuffle_two_32, x[2] < 4 ? a : b, x[3] < 4 ? a : b, lanes4(x[2] & 3, x[2] & 3, x[3] & 3, x[3] & 3));
    return op2(S::shuffle_two_32, low, high, lanes4(0, 2, 0, 2));
  }

  // Each lane from its own place, in one of the two.
  V blended() {
    if (one || !is([&](uint32_t k) { return at[k] % n == k ? at[k] : nowhere; })) return {};
    if (dry) return l.undef_const(T::v128);
    uint64_t word[2] = {};
    const uint64_t ones = (uint64_t{1} << width) - 1;
    for (uint32_t k = 0; k < n; k++)
      if (at[k] != any && at[k] >= n) word[k * width / 64] |= ones << (k * width % 64);
    return l.simd_blend(l.wide_float_const(T::v128, word[0], word[1]), b, a);
  }

  // One byte everywhere: in pairs, then as 16-bit lanes.
  V splat_of_8() {
    uint32_t lane = any;
    for (uint32_t k = 0; k < n; k++)
      if (at[k] != any) lane = at[k];
    if (!is([&](uint32_t) { return lane; })) return {};
    V x = op2(lane < 8 ? S::interleave_low_8 : S::interleave_high_8, a, a);
    lane %= 8;
    x = op1(lane < 4 ? S::shuffle_low_16 : S::shuffle_high_16, x, lanes4(lane & 3, lane & 3, lane & 3, lane & 3));
    return op1(S::shuffle_32, x, lane < 4 ? 0x00 : 0xaa);
  }

  // A shift of the whole; what comes in does not matter.
  V shifted() {
    for (uint32_t d = 1; d < n; d++) {
      if (is([&](uint32_t k) { return k + d < n ? k + d : nowhere; })) return op1(S::shift_down, a, d * width / 8);
      if (is([&](uint32_t k) { return k >= d ? k - d : nowhere; })) return op1(S::shift_up, a, d * width / 8);
    }
    return {};
  }

  // 16-bit lanes, each half from one half.
  V by_halves_of_16() {
    auto half_of = [&](uint32_t first) {
      uint32_t h = any;
      for (uint32_t k = first; k < first + 4; k++) {
        if (at[k] == any) continue;
        if (h != any && h != at[k] / 4) return uint32_t{2};
        h = at[k] / 4;
      }
      return h;
    };
    uint32_t low = half_of(0), high = half_of(4);
    if (low == 2 || high == 2) return {};
    V x = a;
    low = low == any ? 0 : low;
    high = high == any ? 1 : high;
    if (low != 0 || high != 1) x = op1(S::shuffle_32, x, lanes4(2 * low, 2 * low + 1, 2 * high, 2 * high + 1));
    auto order = [&](uint32_t first) {
      std::array<uint32_t, 4> o;
      for (uint32_t k = 0; k < 4; k++) o[k] = at[first + k] == any ? k : at[first + k] & 3;
      return lanes4(o[0], o[1], o[2], o[3]);
    };
    if (order(0) != 0xe4) x = op1(S::shuffle_low_16, x, order(0));
    if (order(4) != 0xe4) x = op1(S::shuffle_high_16, x, order(4));
    return x;
  }

  // One 16-bit lane after the other, into the source that has most in place already.
  V by_lanes_of_16() {
    uint32_t in_a = 0, in_b = 0;
    for (uint32_t k = 0; k < n; k++) {
      in_a += at[k] == k;
      in_b += !one && at[k] == n + k;
    }
    V x = in_b > in_a ? b : a;
    const uint32_t kept = in_b > in_a ? n : 0;
    for (uint32_t k = 0; k < n; k++) {
      if (at[k] == any || at[k] == kept + k) continue;
      V lane = dry ? x : l.simd({S::extract_16, at[k] < n ? a : b, at[k] % n});
      x = op2(S::insert_16, x, lane, k);
    }
    return take(x);
  }

  V run() {
    widen();
    if (is([&](uint32_t) { return any; })) return l.undef_const(T::v128);
    if (is([&](uint32_t k) { return k; })) return take(a);
    if (is([&](uint32_t k) { return n + k; })) return take(b);
    find_sources();
    if (V x = interleaved(); x.valid()) return x;
    if (width == 64) return of_64();
    if (width == 32) return of_32();
    if (V x = blended(); x.valid()) return x;
    if (width == 8 && !one) return {};
    if (width == 8)
      if (V x = splat_of_8(); x.valid()) return x;
    if (one)
      if (V x = shifted(); x.valid()) return x;
    if (width == 8) return {};
    if (one)
      if (V x = by_halves_of_16(); x.valid()) return x;
    return by_lanes_of_16();
  }
};

Legalizer::V Legalizer::simd_shuffle(uint32_t width, V a, V b, const uint32_t* lanes, uint32_t count,
                                     uint32_t from_count, bool dry) {
  return Shuffle(*this, width, a, b, lanes, count, from_count, dry).run();
}

}  // namespace lode::air
