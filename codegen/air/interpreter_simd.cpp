// The operations of simd_ops.def, lane by lane: what they are, said as plainly as can be, for the tests of what targets
// make of them.
#include <algorithm>
#include <array>

#include "codegen/air/interpreter_impl.h"

namespace lode::air {

namespace {

using S = SimdOp;
using Bytes = std::array<uint8_t, 16>;

Scalar lane(const Bytes& x, unsigned width, unsigned k) {
  Scalar v = 0;
  for (unsigned b = 0; b < width / 8; b++) v |= Scalar(x[k * width / 8 + b]) << (8 * b);
  return v;
}
void set_lane(Bytes& x, unsigned width, unsigned k, Scalar v) {
  for (unsigned b = 0; b < width / 8; b++) x[k * width / 8 + b] = uint8_t(v >> (8 * b));
}

// One operation in several widths, whose rows follow each other: the width of `op`'s, or 0.
unsigned width_in(S op, S first, unsigned first_width, unsigned rows) {
  unsigned k = unsigned(op) - unsigned(first);
  return unsigned(op) >= unsigned(first) && k < rows ? first_width << k : 0;
}
Scalar saturated(SignedScalar v, SignedScalar low, SignedScalar high) { return Scalar(std::clamp(v, low, high)); }

// One operation at work. The families, whose rows differ in the width of lanes only, each say whether the operation is
// theirs; the others are the cases of a switch.
struct SimdMachine {
  S op;
  unsigned imm;
  const Bytes &a, &b, &c;
  Bytes& r;

  template <class F>
  void each(unsigned width, F&& f) {
    for (unsigned k = 0; k < 128 / width; k++) set_lane(r, width, k, f(lane(a, width, k), lane(b, width, k)));
  }

  bool integer(Op by, S first, unsigned first_width, unsigned rows) {
    unsigned width = width_in(op, first, first_width, rows);
    if (width)
      each(width, [&](Scalar x, Scalar y) {
        Scalar v = 0;
        int_scalar(by, width, x, y, 0, v);
        return v;
      });
    return width != 0;
  }
  bool integers() {
    return integer(Op::add, S::add_8, 8, 4) || integer(Op::sub, S::sub_8, 8, 4) ||
           integer(Op::mul, S::mul_16, 16, 1) || integer(Op::and_, S::and_, 64, 1) ||
           integer(Op::or_, S::or_, 64, 1) || integer(Op::xor_, S::xor_, 64, 1) ||
           integer(Op::uadd_sat, S::uadd_sat_8, 8, 2) || integer(Op::sadd_sat, S::sadd_sat_8, 8, 2) ||
           integer(Op::usub_sat, S::usub_sat_8, 8, 2) || integer(Op::ssub_sat, S::ssub_sat_8, 8, 2) ||
           integer(Op::umin, S::umin_8, 8, 1) || integer(Op::umax, S::umax_8, 8, 1) ||
           integer(Op::smin, S::smin_16, 16, 1) || integer(Op::smax, S::smax_16, 16, 1) ||
           integer(Op::mul, S::mul_32, 32, 1) || integer(Op::smin, S::smin_8, 8, 1) ||
           integer(Op::smax, S::smax_8, 8, 1) || integer(Op::umin, S::umin_16, 16, 1) ||
           integer(Op::umax, S::umax_16, 16, 1) || integer(Op::smin, S::smin_32, 32, 1) ||
           integer(Op::smax, S::smax_32, 32, 1) || integer(Op::umin, S::umin_32, 32, 1) ||
           integer(Op::umax, S::umax_32, 32, 1) || integer(Op::iabs, S::abs_8, 8, 3);
  }

  bool comparisons() {
    if (unsigned width = width_in(op, S::eq_8, 8, 3))
      return each(width, [&](Scalar x, Scalar y) { return x == y ? mask_of(width) : Scalar(0); }), true;
    if (op == S::eq_64) return each(64, [&](Scalar x, Scalar y) { return x == y ? mask_of(64) : Scalar(0); }), true;
    if (unsigned width = op == S::sgt_64 ? 64u : width_in(op, S::sgt_8, 8, 3)) {
      each(width, [&](Scalar x, Scalar y) {
        return to_signed(x, width) > to_signed(y, width) ? mask_of(width) : Scalar(0);
      });
      return true;
    }
    if (unsigned width = width_in(op, S::fcmp_32, 32, 2)) {
      static constexpr FloatPredicate predicates[] = {FloatPredicate::oeq, FloatPredicate::olt, FloatPredicate::ole,
                                                      FloatPredicate::uno, FloatPredicate::une, FloatPredicate::uge,
                                                      FloatPredicate::ugt, FloatPredicate::ord};
      each(width, [&](Scalar x, Scalar y) {
        return float_compare(predicates[imm & 7], width == 32 ? TypeKind::F32 : TypeKind::F64, x, y) ? mask_of(width)
                                                                                                     : Scalar(0);
      });
      return true;
    }
    return false;
  }

  enum class Shift { left, logical_right, arithmetic_right };
  bool shift(Shift kind, S first, unsigned rows, uint64_t count) {
    const unsigned width = width_in(op, first, 16, rows);
    if (!width) return false;
    each(width, [&](Scalar x, Scalar) -> Scalar {
      if (kind == Shift::arithmetic_right)
        return Scalar(to_signed(x, width) >> std::min<uint64_t>(count, width - 1)) & mask_of(width);
      if (count >= width) return 0;
      return kind == Shift::left ? x << count & mask_of(width) : x >> count;
    });
    return true;
  }
  bool shifts() {
    const uint64_t by = uint64_t(lane(b, 64, 0));
    return shift(Shift::left, S::shl_16, 3, imm) || shift(Shift::logical_right, S::lshr_16, 3, imm) ||
           shift(Shift::arithmetic_right, S::ashr_16, 2, imm) || shift(Shift::left, S::shl_by_16, 3, by) ||
           shift(Shift::logical_right, S::lshr_by_16, 3, by) || shift(Shift::arithmetic_right, S::ashr_by_16, 2, by);
  }

  bool floating(Op f, S first) {
    unsigned width = width_in(op, first, 32, 2);
    if (width)
      each(width, [&](Scalar x, Scalar y) {
        Scalar v = 0;
        float_scalar(f, width == 32 ? TypeKind::F32 : TypeKind::F64, x, y, 0, v);
        return v;
      });
    return width != 0;
  }
  bool floats() {
    return floating(Op::fadd, S::fadd_32) || floating(Op::fsub, S::fsub_32) || floating(Op::fmul, S::fmul_32) ||
           floating(Op::fdiv, S::fdiv_32) || floating(Op::fsqrt, S::fsqrt_32);
  }

  // The lanes of the low or the high halves of both, in turn.
  bool interleave(S first, bool high) {
    const unsigned width = width_in(op, first, 8, 4);
    if (!width) return false;
    for (unsigned k = 0; k < 128 / width; k++)
      set_lane(r, width, k, lane(k % 2 ? b : a, width, (high ? 64 / width : 0) + k / 2));
    return true;
  }

  void narrow(unsigned width, bool is_unsigned) {
    const unsigned n = 128 / width, half = width / 2;
    const SignedScalar low = is_unsigned ? 0 : -(SignedScalar(1) << (half - 1)),
                       high = (SignedScalar(1) << (is_unsigned ? half : half - 1)) - 1;
    for (unsigned k = 0; k < 2 * n; k++)
      set_lane(r, half, k, saturated(to_signed(lane(k < n ? a : b, width, k % n), width), low, high));
  }

  void run() {
    if (integers() || comparisons() || shifts() || floats() || interleave(S::interleave_low_8, false) ||
        interleave(S::interleave_high_8, true))
      return;
    single();
  }

  void single();
};

// The operations that have no family.
void SimdMachine::single() {
  switch (op) {
    case S::mul_even_32:
      for (unsigned k = 0; k < 2; k++) set_lane(r, 64, k, lane(a, 32, 2 * k) * lane(b, 32, 2 * k));
      break;
    case S::andnot: each(64, [](Scalar x, Scalar y) { return ~x & y; }); break;
    case S::shift_up: std::copy(a.begin(), a.end() - std::min(imm, 16u), r.begin() + std::min(imm, 16u)); break;
    case S::shift_down: std::copy(a.begin() + std::min(imm, 16u), a.end(), r.begin()); break;
    case S::sitofp_32: each(32, [](Scalar x, Scalar) { return int_to_float(32, true, TypeKind::F32, x); }); break;
    case S::fptosi_32: each(32, [](Scalar x, Scalar) { return float_to_int(TypeKind::F32, 32, true, true, x); }); break;
    case S::fptosi_64_32:
      for (unsigned k = 0; k < 2; k++) set_lane(r, 32, k, float_to_int(TypeKind::F64, 32, true, true, lane(a, 64, k)));
      break;
    case S::fptrunc_64_32:
      for (unsigned k = 0; k < 2; k++) set_lane(r, 32, k, float_convert(TypeKind::F64, TypeKind::F32, lane(a, 64, k)));
      break;
    case S::shuffle_32:
      for (unsigned k = 0; k < 4; k++) set_lane(r, 32, k, lane(a, 32, imm >> 2 * k & 3));
      break;
    case S::shuffle_low_16: case S::shuffle_high_16: {
      const unsigned first = op == S::shuffle_high_16 ? 4 : 0;
      r = a;
      for (unsigned k = 0; k < 4; k++) set_lane(r, 16, first + k, lane(a, 16, first + (imm >> 2 * k & 3)));
      break;
    }
    case S::shuffle_two_32:
      for (unsigned k = 0; k < 4; k++) set_lane(r, 32, k, lane(k < 2 ? a : b, 32, imm >> 2 * k & 3));
      break;
    case S::shuffle_two_64:
      for (unsigned k = 0; k < 2; k++) set_lane(r, 64, k, lane(k ? b : a, 64, imm >> k & 1));
      break;
    case S::low_32_of: case S::low_64_of: {
      const unsigned width = op == S::low_32_of ? 32 : 64;
      r = a;
      set_lane(r, width, 0, lane(b, width, 0));
      break;
    }
    case S::narrow_unsigned_32: narrow(32, true); break;
    case S::bytes_by:
      for (unsigned k = 0; k < 16; k++) r[k] = b[k] & 0x80 ? 0 : a[b[k] & 15];
      break;
    case S::blend_8:
      for (unsigned k = 0; k < 16; k++) r[k] = a[k] & 0x80 ? b[k] : c[k];
      break;
    case S::fma_32: case S::fma_64: {
      const unsigned width = op == S::fma_32 ? 32 : 64;
      for (unsigned k = 0; k < 128 / width; k++) {
        Scalar v = 0;
        float_scalar(Op::fma, width == 32 ? TypeKind::F32 : TypeKind::F64, lane(a, width, k), lane(b, width, k),
                     lane(c, width, k), v);
        set_lane(r, width, k, v);
      }
      break;
    }
    case S::round_32: case S::round_64: {
      const Op by = imm == 10 ? Op::fceil : imm == 9 ? Op::ffloor : imm == 11 ? Op::ftrunc : imm == 4 ? Op::frint
                                                                                                    : Op::froundeven;
      each(op == S::round_32 ? 32 : 64, [&](Scalar x, Scalar) {
        Scalar v = 0;
        float_scalar(by, op == S::round_32 ? TypeKind::F32 : TypeKind::F64, x, 0, 0, v);
        return v;
      });
      break;
    }
    case S::shl_lanes_32: case S::shl_lanes_64: case S::lshr_lanes_32: case S::lshr_lanes_64: case S::ashr_lanes_32: {
      const unsigned width = op == S::shl_lanes_64 || op == S::lshr_lanes_64 ? 64 : 32;
      each(width, [&](Scalar x, Scalar y) -> Scalar {
        if (op == S::ashr_lanes_32)
          return Scalar(to_signed(x, 32) >> std::min<uint64_t>(uint64_t(y), 31)) & mask_of(32);
        if (y >= width) return 0;
        return op == S::shl_lanes_32 || op == S::shl_lanes_64 ? x << unsigned(y) & mask_of(width) : x >> unsigned(y);
      });
      break;
    }
    case S::avg_8: case S::avg_16:
      each(op == S::avg_8 ? 8 : 16, [](Scalar x, Scalar y) { return (x + y + 1) >> 1; });
      break;
    case S::mulh_16:
      each(16, [](Scalar x, Scalar y) { return Scalar((to_signed(x, 16) * to_signed(y, 16)) >> 16) & 0xffff; });
      break;
    case S::umulh_16: each(16, [](Scalar x, Scalar y) { return (x * y) >> 16; }); break;
    case S::madd_16:
      for (unsigned k = 0; k < 4; k++)
        set_lane(r, 32, k,
                 Scalar(to_signed(lane(a, 16, 2 * k), 16) * to_signed(lane(b, 16, 2 * k), 16) +
                        to_signed(lane(a, 16, 2 * k + 1), 16) * to_signed(lane(b, 16, 2 * k + 1), 16)));
      break;
    case S::sad_8:
      for (unsigned h = 0; h < 2; h++) {
        Scalar sum = 0;
        for (unsigned k = 8 * h; k < 8 * h + 8; k++) sum += Scalar(a[k] > b[k] ? a[k] - b[k] : b[k] - a[k]);
        set_lane(r, 64, h, sum);
      }
      break;
    case S::narrow_signed_32: narrow(32, false); break;
    case S::narrow_signed_16: narrow(16, false); break;
    case S::narrow_unsigned_16: narrow(16, true); break;
    case S::from_i32: case S::from_f32: set_lane(r, 32, 0, lane(a, 32, 0)); break;
    case S::from_i64: case S::from_f64: case S::to_i64: case S::to_f64: set_lane(r, 64, 0, lane(a, 64, 0)); break;
    case S::to_i32: case S::to_f32: set_lane(r, 32, 0, lane(a, 32, 0)); break;
    case S::extract_16: set_lane(r, 16, 0, lane(a, 16, imm & 7)); break;
    case S::insert_16:
      r = a;
      set_lane(r, 16, imm & 7, lane(b, 16, 0));
      break;
    case S::sign_mask_8: case S::sign_mask_32: case S::sign_mask_64: {
      const unsigned width = op == S::sign_mask_8 ? 8 : op == S::sign_mask_32 ? 32 : 64;
      Scalar bits = 0;
      for (unsigned k = 0; k < 128 / width; k++) bits |= (lane(a, width, k) >> (width - 1)) << k;
      set_lane(r, 32, 0, bits);
      break;
    }
    default: break;
  }
}

// From the lower lanes of a v128 to wider ones, in as many bytes as there are.
bool widened(S op, unsigned bytes, const SimdBytes& a, SimdBytes& r) {
  static constexpr struct {
    unsigned from, to;
  } widths[] = {{8, 16}, {8, 32}, {8, 64}, {16, 32}, {16, 64}, {32, 64}};
  const unsigned k = unsigned(op) - unsigned(S::zext_8_16);
  unsigned from = 32, to = 64;
  if (k < 12) from = widths[k % 6].from, to = widths[k % 6].to;
  else if (op != S::sitofp_32_64 && op != S::fpext_32_64) return false;
  for (unsigned n = 0; n < bytes * 8 / to; n++) {
    Scalar v = 0;
    for (unsigned b = 0; b < from / 8; b++) v |= Scalar(a[n * from / 8 + b]) << (8 * b);
    if (op == S::sitofp_32_64) v = int_to_float(32, true, TypeKind::F64, v);
    else if (op == S::fpext_32_64) v = float_convert(TypeKind::F32, TypeKind::F64, v);
    else if (k >= 6) v = Scalar(to_signed(v, from));
    for (unsigned b = 0; b < to / 8; b++) r[n * to / 8 + b] = uint8_t(v >> (8 * b));
  }
  return true;
}

// What looks across the halves of 256 bits.
bool across(S op, unsigned imm, unsigned bytes, const std::array<SimdBytes, 3>& in, SimdBytes& r) {
  const SimdBytes& a = in[0];
  auto part = [&](unsigned to, const SimdBytes& x, unsigned from, unsigned n) {
    std::copy_n(x.begin() + from, n, r.begin() + to);
  };
  switch (op) {
    case S::low_half: part(0, a, 0, 16); return true;
    case S::high_half: part(0, a, 16, 16); return true;
    case S::join: part(0, a, 0, 16), part(16, in[1], 0, 16); return true;
    case S::permute_64:
      for (unsigned k = 0; k < 4; k++) part(8 * k, a, (imm >> 2 * k & 3) * 8, 8);
      return true;
    case S::permute_128:
      for (unsigned k = 0; k < 2; k++)
        part(16 * k, imm >> (4 * k + 1) & 1 ? in[1] : a, (imm >> 4 * k & 1) * 16, 16);
      return true;
    case S::permute_32:
      for (unsigned k = 0; k < 8; k++) part(4 * k, a, (in[1][4 * k] & 7) * 4, 4);
      return true;
    case S::broadcast_8: case S::broadcast_16: case S::broadcast_32: case S::broadcast_64: {
      const unsigned n = 1u << (unsigned(op) - unsigned(S::broadcast_8));
      for (unsigned k = 0; k < bytes; k += n) part(k, a, 0, n);
      return true;
    }
    default: return widened(op, bytes, a, r);
  }
}

}  // namespace

void interpret_simd(S op, unsigned imm, unsigned bytes, unsigned result_bytes, const std::array<SimdBytes, 3>& in,
                    SimdBytes& out) {
  if (across(op, imm, result_bytes, in, out)) return;
  // Each 128 bits alike; two results of half the width stand next to each other.
  for (unsigned at = 0; at < bytes; at += 16) {
    Bytes x[3], r = {};
    for (unsigned k = 0; k < 3; k++) std::copy_n(in[k].begin() + at, 16, x[k].begin());
    const bool count = op >= S::shl_by_16 && op <= S::ashr_by_32;
    if (count) std::copy_n(in[1].begin(), 16, x[1].begin());
    SimdMachine{op, imm, x[0], x[1], x[2], r}.run();
    const bool halves = op == S::fptosi_64_32 || op == S::fptrunc_64_32;
    std::copy_n(r.begin(), halves ? 8 : 16, out.begin() + (halves ? at / 2 : at));
  }
}

}  // namespace lode::air
