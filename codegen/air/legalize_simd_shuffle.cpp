// Shuffles of two registers into one.
//
// Lanes are joined to wider ones as far as they stay together, then the patterns are tried from the cheapest on. A
// register of 256 bits does in each half what one of 128 bits does, so the same patterns serve for both.
#include <algorithm>
#include <array>
#include <bit>

#include "codegen/air/legalize_impl.h"

namespace lode::air {

namespace {
using S = SimdOp;
S by_width(S base, uint32_t first, uint32_t width) {
  return S(unsigned(base) + unsigned(std::countr_zero(width) - std::countr_zero(first)));
}
unsigned lanes4(unsigned a, unsigned b, unsigned c, unsigned d) { return a | b << 2 | c << 4 | d << 6; }
}  // namespace

struct Legalizer::Shuffle {
  static constexpr uint32_t any = ~0u;
  static constexpr uint32_t nowhere = any - 1;

  Legalizer& l;
  uint32_t width;
  V a, b;
  uint32_t n;                        // lanes of a register
  std::array<uint32_t, 16> at = {};  // where each comes from: 0 to n - 1 of a, n to 2n - 1 of b, or any
  bool one = false;                  // all come from a

  Shuffle(Legalizer& legalizer, uint32_t w, V x, V y, const uint32_t* lanes)
      : l(legalizer), width(w), a(x), b(y), n(128 / w) {
    at.fill(any);
    for (uint32_t k = 0; k < n; k++)
      if (lanes[k] < 2 * n) at[k] = lanes[k];
  }

  V op1(S op, V x, unsigned immediate) { return l.simd({op, x, immediate}); }
  V op2(S op, V x, V y, unsigned immediate = 0) { return l.simd({op, x, y, immediate}); }
  // What a lane of the type of a and b is in all of its 128-bit parts.
  V constant(const uint64_t (&word)[2]) {
    l.reg_ = l.ty(a);
    const uint64_t words[4] = {word[0], word[1], word[0], word[1]};
    return l.vector_const(words);
  }
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
    uint64_t word[2] = {};
    const uint64_t ones = (uint64_t{1} << width) - 1;
    for (uint32_t k = 0; k < n; k++)
      if (at[k] != any && at[k] >= n) word[k * width / 64] |= ones << (k * width % 64);
    return l.simd_blend(constant(word), b, a);
  }

  // One byte everywhere: in pairs, then as 16-bit lanes.
  V splat_of_8() {
    uint32_t lane = any;
    for (uint32_t k = 0; k < n; k++)
      if (at[k] != any) lane = at[k];
    if (!one || !is([&](uint32_t) { return lane; })) return {};
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
      V lane = l.simd({S::extract_16, at[k] < n ? a : b, at[k] % n});
      x = op2(S::insert_16, x, lane, k);
    }
    return x;
  }

  // Every second lane of both, from `first` on: each lane of twice the width loses its other half.
  V every_second() {
    if (width > 16) return {};
    for (uint32_t first : {0u, 1u}) {
      if (!is([&](uint32_t k) { return one ? 2 * k % n + first : 2 * k + first; })) continue;
      auto halved = [&](V x) {
        if (width == 16) return l.simd_shift(Op::ashr, 32, first ? x : l.simd_shift(Op::shl, 32, x, 16), 16);
        if (first) return l.simd_shift(Op::lshr, 16, x, 8);
        return op2(S::and_, x, constant({0x00ff00ff00ff00ff, 0x00ff00ff00ff00ff}));
      };
      V x = halved(a), y = one ? x : halved(b);
      return op2(width == 16 ? S::narrow_signed_32 : S::narrow_unsigned_16, x, y);
    }
    return {};
  }

  // Bytes that fit nothing: through memory.
  V by_bytes() {
    const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4),
                   byte = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 0);
    V from = l.slot(32, 16), to = l.slot(16, 16);
    l.store_leaf(a, from, 0, aux);
    if (!one) l.store_leaf(b, from, 16, aux);
    for (uint32_t k = 0; k < n; k++)
      if (at[k] != any) l.store_leaf(l.load_leaf(T::i8, from, at[k], byte), to, k, byte);
    return l.load_leaf(T::v128, to, 0, aux);
  }

  // Bytes by a table (SSSE3), of each source those that come from it.
  V by_table() {
    if (!l.options_.has_sse41 || width > 16) return {};
    auto part = [&](V x, uint32_t first) {
      uint64_t word[2] = {};
      for (uint32_t k = 0; k < n; k++)
        for (uint32_t byte = 0; byte < width / 8; byte++) {
          const uint32_t to = k * width / 8 + byte;
          const bool here = at[k] != any && at[k] >= first && at[k] < first + n;
          const uint64_t from = here ? (at[k] - first) * width / 8 + byte : 0x80;
          word[to / 8] |= from << (to % 8 * 8);
        }
      return op2(S::bytes_by, x, constant(word));
    };
    V x = part(a, 0);
    return one ? x : op2(S::or_, x, part(b, n));
  }

  // No value: nothing that a register of several 128-bit parts does in each of them alike.
  V run() {
    const bool wide = l.ty(a) == T::v256;
    l.reg_ = l.ty(a);
    widen();
    if (is([&](uint32_t) { return any; })) return l.undef_const(l.ty(a));
    if (is([&](uint32_t k) { return k; })) return a;
    if (is([&](uint32_t k) { return n + k; })) return b;
    find_sources();
    if (V x = interleaved(); x.valid()) return x;
    if (width == 64) return of_64();
    if (width == 32) return of_32();
    if (V x = blended(); x.valid()) return x;
    if (V x = every_second(); x.valid()) return x;
    if (width == 8)
      if (V x = splat_of_8(); x.valid()) return x;
    if (one)
      if (V x = shifted(); x.valid()) return x;
    if (one && width == 16)
      if (V x = by_halves_of_16(); x.valid()) return x;
    if (V x = by_table(); x.valid()) return x;
    if (wide) return {};
    if (width == 8) return by_bytes();
    return by_lanes_of_16();
  }
};

Legalizer::V Legalizer::shuffle_register(uint32_t width, V a, V b, const uint32_t* lanes) {
  return Shuffle(*this, width, a, b, lanes).run();
}

}  // namespace lode::air
