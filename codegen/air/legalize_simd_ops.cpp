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

Legalizer::V Legalizer::simd(const SimdCall& c) {
  TypeId type = c.type.valid() ? c.type : simd_result(c.op);
  if (!c.type.valid() && type == T::v128 && ty(c.a) == T::v256) type = T::v256;
  const Op op = c.c.valid() ? Op::simd3 : c.b.valid() ? Op::simd2 : Op::simd1;
  return emit(op, type, c.a.value, c.b.value, c.c.value, simd_aux(c.op, c.immediate));
}

Legalizer::V Legalizer::vector_const(const uint64_t* words) {
  const uint32_t n = part_bits(reg_) / 64;
  if (std::all_of(words, words + n, [](uint64_t w) { return w == 0; })) return zero_vector();
  const Constant c{ConstantKind::WideFloat, reg_, ~0u, out_.extra.size()};
  for (uint32_t k = 0; k < n; k++) {
    out_.extra.push_back(uint32_t(words[k]));
    out_.extra.push_back(uint32_t(words[k] >> 32));
  }
  return add_constant(c);
}

Legalizer::V Legalizer::splat_const(uint32_t width, uint64_t lane) {
  if (width < 64) lane &= (uint64_t{1} << width) - 1;
  for (uint32_t w = width; w < 64; w *= 2) lane |= lane << w;
  const uint64_t words[4] = {lane, lane, lane, lane};
  return vector_const(words);
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
      if (options_.has_sse41) return simd({S::mul_32, a, b});
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

// Each lane by its own count: bit for bit of the counts, a shift of those lanes where it is set.
Legalizer::V Legalizer::simd_shift_by_lanes(Op op, uint32_t width, V a, V counts) {
  if (options_.vector_bytes == 32 && width >= 32 && (width == 32 || op != Op::ashr)) {
    const S by = op == Op::shl ? S::shl_lanes_32 : op == Op::lshr ? S::lshr_lanes_32 : S::ashr_lanes_32;
    return simd({width == 32 ? by : S(unsigned(by) + 1), a, counts});
  }
  for (uint32_t bit = 1, k = 0; bit < width; bit *= 2, k++) {
    // The bit on its way to the lane's top, where it is the sign that all of the lane is made of.
    V top = simd_shift(Op::shl, width, counts, width - 1 - k);
    V mask = width == 8    ? simd_greater(8, zero_vector(), top)
             : width == 64 ? simd({S::shuffle_32, simd({S::ashr_32, top, 31}), odd_up})
                           : simd_shift(Op::ashr, width, top, width - 1);
    a = simd_blend(mask, simd_shift(op, width, a, bit), a);
  }
  return a;
}

Legalizer::V Legalizer::simd_equal(uint32_t width, V a, V b) {
  if (width < 64) return simd({by_width(S::eq_8, 8, width), a, b});
  if (options_.has_sse41) return simd({S::eq_64, a, b});
  V x = simd({S::eq_32, a, b});
  return simd({S::and_, x, simd({S::shuffle_32, x, lanes4(1, 0, 3, 2)})});
}

Legalizer::V Legalizer::simd_greater(uint32_t width, V a, V b) {
  if (width < 64) return simd({by_width(S::sgt_8, 8, width), a, b});
  if (options_.has_sse42) return simd({S::sgt_64, a, b});
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
  if (is_unsigned && or_equal && width == 16) return simd_equal(16, simd({S::usub_sat_16, b, a}), zero_vector());
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
      if (options_.has_sse41 && width < 64) {
        const S min = width == 8 ? S::smin_8 : width == 16 ? S::umin_16 : is_signed ? S::smin_32 : S::umin_32;
        return simd({S(unsigned(min) + is_max), a, b});
      }
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
      if (options_.has_sse41 && width < 64) return simd({by_width(S::abs_8, 8, width), a});
      if (width == 8) return simd({S::umin_8, a, simd({S::sub_8, zero_vector(), a})});
      if (width == 16) return simd({S::smax_16, a, simd({S::sub_16, zero_vector(), a})});
      V sign = simd({S::ashr_32, a, 31});
      if (width == 64) sign = simd({S::shuffle_32, sign, odd_up});
      return simd({by_width(S::sub_8, 8, width), simd({S::xor_, a, sign}), sign});
    }
    default: fail("a vector operation: internal error"); return undef_const(reg_);
  }
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
    default: fail("a vector operation: internal error"); return undef_const(reg_);
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
    default: return zero_vector();
  }
}

// 32-bit integers without sign to f32, by their halves, each of which is put behind the leading bit of a power of two;
// what the powers add is subtracted before the last addition, the only one that rounds. To f64 (wide: from lanes of 64
// bits whose upper halves are zero) the whole fits behind one power.
Legalizer::V Legalizer::u32_to_float(bool wide, V x) {
  if (wide) {
    V power = splat_const(64, 0x4330000000000000);  // 2^52
    return simd({S::fsub_64, simd({S::or_, x, power}), power});
  }
  V low = simd({S::or_, simd({S::and_, x, splat_const(32, 0xffff)}), splat_const(32, 0x4b000000)});   // 2^23
  V high = simd({S::or_, simd({S::lshr_32, x, 16}), splat_const(32, 0x53000000)});                    // 2^39
  return simd({S::fadd_32, simd({S::fsub_32, high, splat_const(32, 0x53000080)}), low});              // 2^39 + 2^23
}

// f32 to 32-bit integers without sign: what is out of a signed one's range comes out as the sign bit alone, and then
// the rest of it counts.
Legalizer::V Legalizer::float_to_u32(V x) {
  V low = simd({S::fptosi_32, x}), high = simd({S::fptosi_32, simd({S::fsub_32, x, splat_const(32, 0x4f000000)})});
  return simd({S::or_, low, simd({S::and_, high, simd({S::ashr_32, low, 31})})});
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

}  // namespace lode::air
