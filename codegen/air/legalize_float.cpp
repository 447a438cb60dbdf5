// Floating point that the target does not do itself: half precision through f32, f128 through the helpers of libgcc and
// compiler-rt, libm for what options do not promise.
//
// f16 and bf16 are i16 bits here. Conversions from integers wider than 24 bits go through f32 and so round twice, as
// LLVM's do.
#include <cmath>

#include "codegen/air/legalize_impl.h"

namespace lode::air {

namespace {
using R = RuntimeFunction;
using T = TypeTable;

struct MathNames {
  Op op;
  R f32, f64, f80, f128, long_double_f128;
};
constexpr MathNames math_names[] = {
    {Op::frem, R::fmodf, R::fmod, R::fmodl, R::fmodf128, R::fmodq},
    {Op::fma, R::fmaf, R::fma, R::fmal, R::fmaf128, R::fmaq},
    {Op::fsqrt, R::sqrtf, R::sqrt, R::sqrtl, R::sqrtf128, R::sqrtq},
    {Op::fminnum, R::fminf, R::fmin, R::fminl, R::fminf128, R::fminq},
    {Op::fmaxnum, R::fmaxf, R::fmax, R::fmaxl, R::fmaxf128, R::fmaxq},
    {Op::fceil, R::ceilf, R::ceil, R::ceill, R::ceilf128, R::ceilq},
    {Op::ffloor, R::floorf, R::floor, R::floorl, R::floorf128, R::floorq},
    {Op::ftrunc, R::truncf, R::trunc, R::truncl, R::truncf128, R::truncq},
    {Op::frint, R::rintf, R::rint, R::rintl, R::rintf128, R::rintq},
    {Op::fround, R::roundf, R::round, R::roundl, R::roundf128, R::roundq},
    {Op::froundeven, R::roundevenf, R::roundeven, R::roundevenl, R::roundevenf128, R::roundevenq},
};
}  // namespace

Vals Legalizer::float_const(TypeId t, double v) {
  if (is_half(t) || t == T::f128) return float_convert(T::f64, t, Vals(f_const(T::f64, v)));
  return Vals(f_const(t, v));
}

// fneg, fabs, fcopysign by bits.
Vals Legalizer::sign_bit_op(Op op, TypeId t, const Vals& a, const Vals& b) {
  auto apply = [&](V x, V sign_source, uint32_t bit) {  // on the word that has the sign
    TypeId w = ty(x);
    V sign = int_const(w, uint64_t{1} << bit), rest = int_const(w, ~(uint64_t{1} << bit));
    if (op == Op::fneg) return bin(Op::xor_, x, sign);
    V magnitude = bin(Op::and_, x, rest);
    if (op == Op::fabs) return magnitude;
    return bin(Op::or_, magnitude, bin(Op::and_, sign_source, sign));
  };
  if (is_half(t)) return apply(a[0], b.n ? b[0] : V{}, 15);
  if (t == T::f128 && a.n == 2) return Vals(a[0], apply(a[1], b.n ? b[1] : V{}, 63));
  // f80 and opaque f128: through memory. The word with the sign lies at byte 8.
  uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  V memory = slot(16, 16);
  TypeId word = t == T::f80 ? T::i16 : T::i64;
  V sign_source;
  if (b.n) {
    V other = slot(16, 16);
    store_leaf(b[0], other, 0, aux);
    sign_source = load_leaf(word, other, 8, aux);
  }
  store_leaf(a[0], memory, 0, aux);
  V x = apply(load_leaf(word, memory, 8, aux), sign_source, t == T::f80 ? 15 : 63);
  store_leaf(x, memory, 8, aux);
  return load_leaf(t, memory, 0, aux);
}

Vals Legalizer::float_op(Op op, TypeId t, const Vals& a, const Vals& b, const Vals& c, uint8_t flags) {
  if (!error_.empty()) return a;
  const bool basic = t == T::f32 || t == T::f64;
  auto same = [&] {
    return Vals(emit(op, t, a[0].value, b.n ? b[0].value : ~0u, c.n ? c[0].value : ~0u, 0, flags));
  };
  if (op == Op::fneg || op == Op::fabs || op == Op::fcopysign) {
    if (basic || (t == T::f80 && op != Op::fcopysign)) return same();
    return sign_bit_op(op, t, a, b);
  }
  if (is_half(t)) {
    auto extended = [&](const Vals& x) { return x.n ? float_convert(t, T::f32, x) : x; };
    return float_convert(T::f32, t, float_op(op, T::f32, extended(a), extended(b), extended(c), flags));
  }
  switch (op) {
    case Op::fadd: case Op::fsub: case Op::fmul: case Op::fdiv: {
      if (t != T::f128) return same();
      return call_runtime(op == Op::fadd   ? R::addtf3
                          : op == Op::fsub ? R::subtf3
                          : op == Op::fmul ? R::multf3
                                           : R::divtf3,
                          a, b);
    }
    case Op::fsqrt: if (t != T::f128) return same(); break;
    case Op::fma: if (basic && options_.has_fma) return same(); break;
    case Op::fceil: case Op::ffloor: case Op::ftrunc: case Op::frint: case Op::froundeven:
      if (basic && options_.has_rounding) return same();
      break;
    case Op::fminnum: case Op::fmaxnum: {
      if (basic && options_.has_fminnum) return same();
      if (t == T::f128) break;
      // The smaller one; a when b is NaN; b when a is NaN, because the comparison is false then.
      V less = fcmp(op == Op::fminnum ? FloatPredicate::olt : FloatPredicate::ogt, a[0], b[0]);
      return sel(fcmp(FloatPredicate::uno, b[0], b[0]), a[0], sel(less, a[0], b[0]));
    }
    case Op::fminimum: case Op::fmaximum: {
      if (basic && options_.has_fminimum) return same();
      bool is_min = op == Op::fminimum;
      // Equal operands may be zeros of different signs: -0 is less. Unordered ones add up to a NaN.
      V a_first = float_compare(is_min ? FloatPredicate::olt : FloatPredicate::ogt, t, a, b);
      V b_first = float_compare(is_min ? FloatPredicate::ogt : FloatPredicate::olt, t, a, b);
      V unordered = float_compare(FloatPredicate::uno, t, a, b);
      Vals equal = a;
      if (basic) {
        TypeId i = t == T::f32 ? T::i32 : T::i64;
        equal = conv(Op::bitcast, t,
                     bin(is_min ? Op::or_ : Op::and_, conv(Op::bitcast, i, a[0]), conv(Op::bitcast, i, b[0])));
      } else {
        // min: a with b's sign if a is positive ... the sign of the sum -0 + -0 or of the difference decides.
        Vals one = float_const(t, 1);
        Vals sb = float_op(Op::fcopysign, t, one, b, {}, 0);
        V b_negative = float_compare(FloatPredicate::olt, t, sb, float_const(t, 0));
        equal = is_min ? int_select(b_negative, b, a) : int_select(b_negative, a, b);
      }
      Vals ordered = int_select(a_first, a, int_select(b_first, b, equal));
      return int_select(unordered, float_op(Op::fadd, t, a, b, {}, 0), ordered);
    }
    default: break;
  }
  for (const MathNames& m : math_names) {
    if (m.op != op) continue;
    R f = t == T::f32                    ? m.f32
          : t == T::f64                  ? m.f64
          : t == T::f80                  ? m.f80
          : options_.f128_is_long_double ? m.long_double_f128
                                         : m.f128;
    Vals args[3] = {a, b, c};
    return call_runtime(f, args, c.n ? 3 : b.n ? 2 : 1);
  }
  fail("not supported on this type");
  return a;
}

Legalizer::V Legalizer::float_compare(FloatPredicate p, TypeId t, const Vals& a, const Vals& b) {
  if (p == FloatPredicate::false_) return int_const(T::i1, 0);
  if (p == FloatPredicate::true_) return int_const(T::i1, 1);
  if (is_half(t)) return fcmp(p, float_convert(t, T::f32, a)[0], float_convert(t, T::f32, b)[0]);
  if (t != T::f128) return fcmp(p, a[0], b[0]);
  // The helpers return an integer to be compared with zero; unordered operands make the ordered comparison fail.
  auto test = [&](R f, IntPredicate q) { return icmp(q, call_runtime(f, a, b)[0], int_const(T::i32, 0)); };
  using F = FloatPredicate;
  using I = IntPredicate;
  switch (p) {
    case F::oeq: return test(R::eqtf2, I::eq);
    case F::une: return test(R::netf2, I::ne);
    case F::ogt: return test(R::gttf2, I::sgt);
    case F::oge: return test(R::getf2, I::sge);
    case F::olt: return test(R::lttf2, I::slt);
    case F::ole: return test(R::letf2, I::sle);
    case F::ult: return test(R::getf2, I::slt);
    case F::ule: return test(R::gttf2, I::sle);
    case F::ugt: return test(R::letf2, I::sgt);
    case F::uge: return test(R::lttf2, I::sge);
    case F::uno: return test(R::unordtf2, I::ne);
    case F::ord: return test(R::unordtf2, I::eq);
    case F::ueq: return bin(Op::or_, test(R::unordtf2, I::ne), test(R::eqtf2, I::eq));
    case F::one: return bin(Op::and_, test(R::unordtf2, I::eq), test(R::netf2, I::ne));
    default: return int_const(T::i1, 0);
  }
}

Vals Legalizer::float_convert(TypeId from, TypeId to, const Vals& a) {
  if (from == to || !error_.empty()) return a;
  auto size = [](TypeId t) {
    return t == T::f16 || t == T::bf16 ? 1 : t == T::f32 ? 2 : t == T::f64 ? 3 : t == T::f80 ? 4 : 5;
  };
  if (is_half(from)) {
    Vals wide;
    if (from == T::bf16) {
      wide = conv(Op::bitcast, T::f32, bin(Op::shl, conv(Op::zext, T::i32, a[0]), int_const(T::i32, 16)));
    } else {
      wide = call_runtime(R::extendhfsf2, a);
    }
    return float_convert(T::f32, to, wide);
  }
  if (is_half(to)) {
    constexpr R f16[] = {R::truncsfhf2, R::truncdfhf2, R::truncxfhf2, R::trunctfhf2};
    constexpr R bf16[] = {R::truncsfbf2, R::truncdfbf2, R::truncxfbf2, R::trunctfbf2};
    return call_runtime((to == T::f16 ? f16 : bf16)[size(from) - 2], a);
  }
  if (from == T::f128)
    return call_runtime(to == T::f32 ? R::trunctfsf2 : to == T::f64 ? R::trunctfdf2 : R::trunctfxf2, a);
  if (to == T::f128)
    return call_runtime(from == T::f32 ? R::extendsftf2 : from == T::f64 ? R::extenddftf2 : R::extendxftf2, a);
  if (to == T::f80 && !options_.has_f80) {
    fail("f80 is not supported by this target");
    return a;
  }
  return emit(size(to) > size(from) ? Op::fpext : Op::fptrunc, to, a[0].value);
}

Vals Legalizer::float_to_int(Op op, TypeId from, uint32_t bits, const Vals& a) {
  if (!error_.empty()) return a;
  if (is_half(from)) return float_to_int(op, T::f32, bits, float_convert(from, T::f32, a));
  const bool is_signed = op == Op::fptosi || op == Op::fptosi_sat;
  if (op == Op::fptoui_sat || op == Op::fptosi_sat) {
    const bool basic = from == T::f32 || from == T::f64;
    if (options_.has_saturating_conversions && basic && bits <= 64) {
      uint32_t w = bits <= 32 ? 32 : 64;
      Vals x(emit(op, w == 32 ? T::i32 : T::i64, a[0].value));
      if (w == bits) return x;
      if (is_signed) {
        x = int_op(Op::smin, w, x, resize(int_max(bits), bits, w, true));
        x = int_op(Op::smax, w, x, resize(int_min(bits), bits, w, true));
      } else {
        x = int_op(Op::umin, w, x, resize(int_ones(bits), bits, w, false));
      }
      return resize(x, w, bits, false);
    }
    // Convert only what is in range; then replace what was above or below. NaN stays zero.
    if (bits > 128) {
      fail("conversion to an integer of " + std::to_string(bits) + " bits");
      return a;
    }
    Vals low = float_const(from, is_signed ? -std::ldexp(1.0, int(bits) - 1) : -1.0);
    Vals high = float_const(from, std::ldexp(1.0, int(bits) - is_signed));
    V above = float_compare(FloatPredicate::oge, from, a, high);
    V in_range = float_compare(is_signed ? FloatPredicate::oge : FloatPredicate::ogt, from, a, low);
    in_range = bin(Op::and_, in_range, float_compare(FloatPredicate::olt, from, a, high));
    Vals x =
        float_to_int(is_signed ? Op::fptosi : Op::fptoui, from, bits, int_select(in_range, a, float_const(from, 0)));
    x = int_select(above, is_signed ? int_max(bits) : int_ones(bits), x);
    if (is_signed) x = int_select(float_compare(FloatPredicate::olt, from, a, low), int_min(bits), x);
    return x;
  }
  if (bits > 128) {
    fail("conversion to an integer of " + std::to_string(bits) + " bits");
    return a;
  }
  if (bits > 64) {
    constexpr R to_signed[] = {R::fixsfti, R::fixdfti, R::fixxfti, R::fixtfti};
    constexpr R to_unsigned[] = {R::fixunssfti, R::fixunsdfti, R::fixunsxfti, R::fixunstfti};
    unsigned k = from == T::f32 ? 0 : from == T::f64 ? 1 : from == T::f80 ? 2 : 3;
    return resize(call_runtime(is_signed ? to_signed[k] : to_unsigned[k], a), 128, bits, false);
  }
  if (from == T::f128) {
    uint32_t w = bits <= 32 ? 32 : 64;
    R f = w == 32 ? is_signed ? R::fixtfsi : R::fixunstfsi : is_signed ? R::fixtfdi : R::fixunstfdi;
    return resize(call_runtime(f, a), w, bits, false);
  }
  // An unsigned number of an odd width fits the container as a signed one.
  uint32_t w = bits == 1 ? 8 : container_bits(bits);
  Op o = is_signed || w != bits ? Op::fptosi : Op::fptoui;
  return resize(emit(o, container(w), a[0].value), w, bits, false);
}

Vals Legalizer::int_to_float(bool is_signed, uint32_t bits, TypeId to, const Vals& a) {
  if (!error_.empty()) return a;
  if (is_half(to)) return float_convert(T::f32, to, int_to_float(is_signed, bits, T::f32, a));
  if (bits > 128) {
    fail("conversion from an integer of " + std::to_string(bits) + " bits");
    return a;
  }
  if (bits > 64) {
    constexpr R from_signed[] = {R::floattisf, R::floattidf, R::floattixf, R::floattitf};
    constexpr R from_unsigned[] = {R::floatuntisf, R::floatuntidf, R::floatuntixf, R::floatuntitf};
    unsigned k = to == T::f32 ? 0 : to == T::f64 ? 1 : to == T::f80 ? 2 : 3;
    return call_runtime(is_signed ? from_signed[k] : from_unsigned[k], resize(a, bits, 128, is_signed));
  }
  if (to == T::f128) {
    uint32_t w = bits <= 32 ? 32 : 64;
    R f = w == 32 ? is_signed ? R::floatsitf : R::floatunsitf : is_signed ? R::floatditf : R::floatunditf;
    return call_runtime(f, resize(a, bits, w, is_signed));
  }
  uint32_t w = bits == 1 ? 8 : container_bits(bits);
  Vals x = resize(a, bits, w, is_signed);
  return emit(is_signed || w != bits ? Op::sitofp : Op::uitofp, to, x[0].value);
}

}  // namespace lode::air
