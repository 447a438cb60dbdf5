// Arithmetic of the interpreter on one scalar: integers of up to 128 bits, all floating-point types.
//
// f80 is the host's long double and f128 its __float128, which x86_64 compilers have; elsewhere both are computed in
// double and tests of them mean less.
#include <bit>
#include <cmath>
#include <cstring>

#include "codegen/air/interpreter_impl.h"

namespace lode::air {

namespace {

int count_leading(Scalar v, unsigned bits) {
  for (unsigned k = 0; k < bits; k++)
    if (v >> (bits - 1 - k) & 1) return int(k);
  return int(bits);
}

// The full product, high and low half.
void multiply(Scalar a, Scalar b, Scalar& high, Scalar& low) {
  const Scalar m = mask_of(64);
  Scalar al = a & m, ah = a >> 64, bl = b & m, bh = b >> 64;
  Scalar p0 = al * bl, p1 = al * bh, p2 = ah * bl, p3 = ah * bh;
  Scalar middle = (p0 >> 64) + (p1 & m) + (p2 & m);
  low = (p0 & m) | middle << 64;
  high = p3 + (p1 >> 64) + (p2 >> 64) + (middle >> 64);
}

// The upper `bits` bits of the 2 * bits wide product.
Scalar multiply_high(unsigned bits, bool is_signed, Scalar a, Scalar b) {
  Scalar high, low;
  if (is_signed) {
    Scalar x = Scalar(to_signed(a, bits)), y = Scalar(to_signed(b, bits));
    multiply(x, y, high, low);
    if (to_signed(a, bits) < 0) high -= y;
    if (to_signed(b, bits) < 0) high -= x;
  } else {
    multiply(a, b, high, low);
  }
  if (bits == 128) return high;
  return (low >> bits | high << (128 - bits)) & mask_of(bits);
}

#if defined(__x86_64__) || defined(__i386__)
__extension__ typedef __float128 Quad;
typedef long double Extended;
#else
typedef double Quad;
typedef double Extended;
#endif

template <class F>
Scalar encode(F v) {
  Scalar r = 0;
  std::memcpy(&r, &v, std::is_same_v<F, Extended> ? (sizeof(F) >= 10 ? 10 : sizeof(F)) : sizeof(F));
  return r;
}
template <class F>
F decode(Scalar s) {
  F v = 0;
  std::memcpy(&v, &s, std::is_same_v<F, Extended> ? (sizeof(F) >= 10 ? 10 : sizeof(F)) : sizeof(F));
  return v;
}

float half_to_float(uint16_t h) {
  uint32_t sign = uint32_t(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
  if (e == 31) return std::bit_cast<float>(sign | 0x7f800000 | m << 13);
  if (e == 0) {
    float v = std::ldexp(float(m), -24);
    return sign ? -v : v;
  }
  return std::bit_cast<float>(sign | (e + 112) << 23 | m << 13);
}

// To nearest even, from the exact value of a wider type.
template <class F>
uint16_t to_half(F v) {
  if (v != v) return 0x7e00;
  uint16_t sign = std::signbit(double(v)) ? 0x8000 : 0;
  if (v < 0) v = -v;
  if (v >= F(65520)) return sign | 0x7c00;
  // Scale so that one unit in the last place is 1.
  int e = -14;
  while (e < 15 && v >= F(std::ldexp(1.0, e + 1))) e++;
  F scaled = v * F(std::ldexp(1.0, 10 - e));
  uint32_t n = uint32_t(scaled);
  F rest = scaled - F(n);
  if (rest > F(0.5) || (rest == F(0.5) && (n & 1))) n++;
  if (v < F(std::ldexp(1.0, -14))) return uint16_t(sign | n);
  return uint16_t(sign | (n + (uint32_t(e + 14) << 10)));
}
template <class F>
uint16_t to_brain(F v) {
  if (v != v) return 0x7fc0;
  float f = float(v);
  uint32_t b = std::bit_cast<uint32_t>(f);
  // The float may already have been rounded: look at the exact value for ties.
  uint32_t low = b & 0xffff;
  F exact = v, rounded = F(f);
  bool up;
  if (low == 0x8000 && exact != rounded) up = (exact > rounded) != (f < 0);
  else up = low > 0x8000 || (low == 0x8000 && (b >> 16 & 1));
  return uint16_t((b >> 16) + up);
}
float brain_to_float(uint16_t h) { return std::bit_cast<float>(uint32_t(h) << 16); }

// Calls f(value) with the C++ value of the encoding.
template <class Fn>
auto visit(TypeKind t, Scalar a, Fn&& f) {
  switch (t) {
    case TypeKind::F16: return f(half_to_float(uint16_t(a)));
    case TypeKind::BF16: return f(brain_to_float(uint16_t(a)));
    case TypeKind::F32: return f(decode<float>(a));
    case TypeKind::F80: return f(decode<Extended>(a));
    case TypeKind::F128: return f(decode<Quad>(a));
    default: return f(decode<double>(a));
  }
}
template <class F>
Scalar encode_as(TypeKind t, F v) {
  switch (t) {
    case TypeKind::F16: return to_half(v);
    case TypeKind::BF16: return to_brain(v);
    case TypeKind::F32: return encode(float(v));
    case TypeKind::F80: return encode(Extended(v));
    case TypeKind::F128: return encode(Quad(v));
    default: return encode(double(v));
  }
}
unsigned sign_position(TypeKind t) {
  switch (t) {
    case TypeKind::F16: case TypeKind::BF16: return 15;
    case TypeKind::F32: return 31;
    case TypeKind::F80: return 79;
    case TypeKind::F128: return 127;
    default: return 63;
  }
}

template <class F>
const char* math(Op op, F a, F b, F c, F& r) {
  if constexpr (std::is_same_v<F, float> || std::is_same_v<F, double> || std::is_same_v<F, long double>) {
    switch (op) {
      case Op::frem: r = std::fmod(a, b); return nullptr;
      case Op::fsqrt: r = std::sqrt(a); return nullptr;
      case Op::fma: r = std::fma(a, b, c); return nullptr;
      case Op::fceil: r = std::ceil(a); return nullptr;
      case Op::ffloor: r = std::floor(a); return nullptr;
      case Op::ftrunc: r = std::trunc(a); return nullptr;
      case Op::frint: r = std::rint(a); return nullptr;
      case Op::fround: r = std::round(a); return nullptr;
      case Op::froundeven: {
        r = std::round(a);
        if (std::fabs(r - a) == F(0.5) && std::fmod(r, F(2)) != 0) r -= std::copysign(F(1), a);
        if (r == 0) r = std::copysign(F(0), a);
        return nullptr;
      }
      default: break;
    }
  }
  (void)a, (void)b, (void)c, (void)r;
  return "this operation on f128 is not interpreted";
}

}  // namespace

const char* int_scalar(Op op, unsigned bits, Scalar a, Scalar b, Scalar c, Scalar& r) {
  const Scalar m = mask_of(bits);
  const SignedScalar sa = to_signed(a, bits), sb = to_signed(b, bits);
  const Scalar min = Scalar{1} << (bits - 1), max = min - 1;
  bool overflowed;
  switch (op) {
    case Op::add: r = a + b; break;
    case Op::sub: r = a - b; break;
    case Op::mul: r = a * b; break;
    case Op::udiv: case Op::urem:
      if (!b) return "division by zero";
      r = op == Op::udiv ? a / b : a % b;
      break;
    case Op::sdiv: case Op::srem:
      if (!b) return "division by zero";
      if (a == min && b == m) return "the quotient does not fit";
      r = Scalar(op == Op::sdiv ? sa / sb : sa % sb);
      break;
    case Op::and_: r = a & b; break;
    case Op::or_: r = a | b; break;
    case Op::xor_: r = a ^ b; break;
    case Op::shl: r = b < bits ? a << unsigned(b) : 0; break;
    case Op::lshr: r = b < bits ? a >> unsigned(b) : 0; break;
    case Op::ashr: r = b < bits ? Scalar(sa >> unsigned(b)) : 0; break;
    case Op::umulh: r = multiply_high(bits, false, a, b); break;
    case Op::smulh: r = multiply_high(bits, true, a, b); break;
    case Op::smin: r = sa < sb ? a : b; break;
    case Op::smax: r = sa > sb ? a : b; break;
    case Op::umin: r = a < b ? a : b; break;
    case Op::umax: r = a > b ? a : b; break;
    case Op::iabs: r = sa < 0 ? 0 - a : a; break;
    case Op::ctlz: r = Scalar(count_leading(a, bits)); break;
    case Op::cttz:
      r = 0;
      while (r < bits && !(a >> unsigned(r) & 1)) r++;
      break;
    case Op::ctpop:
      r = unsigned(std::popcount(uint64_t(a)) + std::popcount(uint64_t(a >> 64)));
      break;
    case Op::bswap:
      r = 0;
      for (unsigned k = 0; k + 8 <= bits; k += 8) r |= (a >> k & 255) << (bits - 8 - k);
      break;
    case Op::bitreverse:
      r = 0;
      for (unsigned k = 0; k < bits; k++) r |= (a >> k & 1) << (bits - 1 - k);
      break;
    case Op::fshl: case Op::fshr: {
      unsigned n = unsigned(c % bits);
      if (op == Op::fshl) r = n ? a << n | b >> (bits - n) : a;
      else r = n ? b >> n | a << (bits - n) : b;
      break;
    }
    case Op::uadd_sat: r = int_overflow(Op::uadd_overflow, bits, a, b, overflowed); if (overflowed) r = m; break;
    case Op::usub_sat: r = a < b ? 0 : a - b; break;
    case Op::sadd_sat:
      r = int_overflow(Op::sadd_overflow, bits, a, b, overflowed);
      if (overflowed) r = sa < 0 ? min : max;
      break;
    case Op::ssub_sat:
      r = int_overflow(Op::ssub_overflow, bits, a, b, overflowed);
      if (overflowed) r = sa < 0 ? min : max;
      break;
    case Op::ushl_sat:
      r = b < bits ? (a << unsigned(b)) & m : 0;
      if (b < bits && r >> unsigned(b) != a) r = m;
      break;
    case Op::sshl_sat:
      r = b < bits ? (a << unsigned(b)) & m : 0;
      if (b < bits && (to_signed(r, bits) >> unsigned(b)) != sa) r = sa < 0 ? min : max;
      break;
    default: return "not an integer operation";
  }
  r &= m;
  return nullptr;
}

Scalar int_overflow(Op op, unsigned bits, Scalar a, Scalar b, bool& overflowed) {
  const Scalar m = mask_of(bits), min = Scalar{1} << (bits - 1);
  Scalar r;
  switch (op) {
    case Op::uadd_overflow: r = (a + b) & m; overflowed = r < a; return r;
    case Op::usub_overflow: overflowed = a < b; return (a - b) & m;
    case Op::sadd_overflow: r = (a + b) & m; overflowed = ((a ^ r) & (b ^ r) & min) != 0; return r;
    case Op::ssub_overflow: r = (a - b) & m; overflowed = ((a ^ b) & (a ^ r) & min) != 0; return r;
    case Op::umul_overflow: overflowed = multiply_high(bits, false, a, b) != 0; return (a * b) & m;
    default: {
      r = (a * b) & m;
      overflowed = multiply_high(bits, true, a, b) != (r & min ? m : 0);
      return r;
    }
  }
}

bool int_compare(IntPredicate p, unsigned bits, Scalar a, Scalar b) {
  SignedScalar x = to_signed(a, bits), y = to_signed(b, bits);
  switch (p) {
    case IntPredicate::eq: return a == b;
    case IntPredicate::ne: return a != b;
    case IntPredicate::ugt: return a > b;
    case IntPredicate::uge: return a >= b;
    case IntPredicate::ult: return a < b;
    case IntPredicate::ule: return a <= b;
    case IntPredicate::sgt: return x > y;
    case IntPredicate::sge: return x >= y;
    case IntPredicate::slt: return x < y;
    case IntPredicate::sle: return x <= y;
  }
  return false;
}

const char* float_scalar(Op op, TypeKind t, Scalar a, Scalar b, Scalar c, Scalar& r) {
  const Scalar sign = Scalar{1} << sign_position(t);
  switch (op) {
    case Op::fneg: r = a ^ sign; return nullptr;
    case Op::fabs: r = a & ~sign; return nullptr;
    case Op::fcopysign: r = (a & ~sign) | (b & sign); return nullptr;
    default: break;
  }
  return visit(t, a, [&](auto x) -> const char* {
    using F = decltype(x);
    F y = visit(t, b, [](auto v) { return F(v); }), z = visit(t, c, [](auto v) { return F(v); }), v{};
    const bool x_nan = x != x, y_nan = y != y;
    auto negative = [&](Scalar s) { return (s & sign) != 0; };
    switch (op) {
      case Op::fadd: v = x + y; break;
      case Op::fsub: v = x - y; break;
      case Op::fmul: v = x * y; break;
      case Op::fdiv: v = x / y; break;
      case Op::fminnum: r = x_nan ? b : y_nan ? a : x < y ? a : b; return nullptr;
      case Op::fmaxnum: r = x_nan ? b : y_nan ? a : x > y ? a : b; return nullptr;
      case Op::fminimum: case Op::fmaximum:
        if (x_nan || y_nan) v = x + y;
        else if (x == y) return r = (op == Op::fminimum) == negative(a) ? a : b, nullptr;
        else return r = (op == Op::fminimum) == (x < y) ? a : b, nullptr;
        break;
      default:
        if (const char* e = math<F>(op, x, y, z, v)) return e;
    }
    r = encode_as(t, v);
    return nullptr;
  });
}

bool float_compare(FloatPredicate p, TypeKind t, Scalar a, Scalar b) {
  return visit(t, a, [&](auto x) {
    using F = decltype(x);
    F y = visit(t, b, [](auto v) { return F(v); });
    unsigned relation = x != x || y != y ? 8 : x == y ? 1 : x > y ? 2 : 4;
    return (unsigned(p) & relation) != 0;
  });
}

Scalar float_convert(TypeKind from, TypeKind to, Scalar a) {
  return visit(from, a, [&](auto x) { return encode_as(to, x); });
}

Scalar float_to_int(TypeKind from, unsigned bits, bool is_signed, bool saturating, Scalar a) {
  return visit(from, a, [&](auto x) -> Scalar {
    using F = decltype(x);
    if (x != x) return 0;
    // Compared as powers of two, which all types hold or round to infinity.
    auto power = [](unsigned n) {
      F p = 1;
      for (unsigned k = 0; k < n; k++) p = p * 2;
      return p;
    };
    const Scalar m = mask_of(bits), min = Scalar{1} << (bits - 1);
    F high = power(is_signed ? bits - 1 : bits), low = is_signed ? -high : F(0);
    if (x >= high) return saturating ? (is_signed ? min - 1 : m) : 0;
    if (is_signed ? x < low : x <= F(-1)) {
      // Just below the smallest number truncation still gives it.
      if (is_signed && x > low - F(1)) return min;
      return saturating ? (is_signed ? min : 0) : 0;
    }
    if (x < 0) return (0 - Scalar(-x)) & m;
    return Scalar(x) & m;
  });
}

Scalar int_to_float(unsigned bits, bool is_signed, TypeKind to, Scalar a) {
  if (to == TypeKind::F16 || to == TypeKind::BF16)
    return float_convert(TypeKind::F32, to, int_to_float(bits, is_signed, TypeKind::F32, a));
  auto convert = [&](auto zero) {
    using F = decltype(zero);
    return is_signed ? F(to_signed(a, bits)) : F(a);
  };
  switch (to) {
    case TypeKind::F32: return encode(convert(0.0f));
    case TypeKind::F80: return encode(convert(Extended(0)));
    case TypeKind::F128: return encode(convert(Quad(0)));
    default: return encode(convert(0.0));
  }
}

double float_value(TypeKind t, Scalar a) {
  return visit(t, a, [](auto x) { return double(x); });
}
Scalar float_scalar_of(TypeKind t, double v) { return encode_as(t, v); }

}  // namespace lode::air
