// Vectors of several registers: changes of the lanes' width, shuffles, reductions, bits.
//
// A list of registers is in the order of memory. What has to look across registers does so on 128-bit ones
// (quarters()), which wider ones are taken apart into and put together from again; the ways that need not are tried
// first.
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

const Inst* Legalizer::new_def(V v, SimdOp op) const {
  const Value& x = out_.values[v.value];
  if (x.kind() != ValueKind::Inst) return nullptr;
  const Inst& i = out_.insts[x.index()];
  return (i.op == Op::simd1 || i.op == Op::simd2) && simd_op(i.aux) == op ? &i : nullptr;
}

Legalizer::Parts Legalizer::quarters(const Parts& x) {
  if (!x.n || ty(x[0]) != T::v256) return x;
  Parts r;
  for (uint32_t k = 0; k < x.n; k++) {
    if (const Inst* both = new_def(x[k], S::join)) {
      const V low = both->va(), high = both->vb();
      r.push(low);
      r.push(high);
      continue;
    }
    r.push(simd({S::low_half, x[k], 0, T::v128}));
    r.push(simd({S::high_half, x[k], 0, T::v128}));
  }
  return r;
}

Legalizer::Parts Legalizer::joined(const Parts& x, TypeId reg) {
  if (reg != T::v256 || !x.n || ty(x[0]) == T::v256) return x;
  Parts r;
  for (uint32_t k = 0; k + 1 < x.n; k += 2) {
    const Constant *low = out_.constant(x[k]), *high = out_.constant(x[k + 1]);
    const Inst *l = new_def(x[k], S::low_half), *h = new_def(x[k + 1], S::high_half);
    if (l && h && l->va() == h->va()) r.push(l->va());
    else if (low && high && low->kind == ConstantKind::Zero && high->kind == ConstantKind::Zero)
      r.push(zero_const(T::v256));
    else r.push(simd({S::join, x[k], x[k + 1], 0, T::v256}));
  }
  return r;
}

Legalizer::Parts Legalizer::of_total(const Parts& x, uint64_t bits) {
  return joined(x, options_.vector_bytes == 32 && bits % 256 == 0 ? T::v256 : T::v128);
}

// ---- the width of lanes -----------------------------------------------------------------------------------------

// Two registers into one, or one with itself. What a wide register does in each of its halves is put in order.
Legalizer::Parts Legalizer::narrowed(const Parts& given, SimdOp by) {
  Parts x = given, r;
  if (x.n % 2 && x.n > 1) x = quarters(x);
  if (x.n == 1) x = quarters(x);
  const unsigned immediate = by == S::shuffle_two_32 ? lanes4(0, 2, 0, 2) : 0;
  for (uint32_t k = 0; k < x.n; k += 2) {
    const V low = x[k], high = k + 1 < x.n ? x[k + 1] : x[k];
    V v = simd({by, low, high, immediate});
    if (ty(v) == T::v256) v = simd({S::permute_64, v, lanes4(0, 2, 1, 3)});
    r.push(v);
  }
  return r;
}

Legalizer::Parts Legalizer::resize_lanes(const Parts& given, uint32_t count, uint32_t from, uint32_t to,
                                         bool is_signed) {
  if (from == to) return given;
  Parts x = given;
  if (from < to && options_.has_sse41) {
    // One instruction from the lower lanes of a register, whatever the factor.
    x = quarters(x);
    const uint64_t bits = uint64_t{count} * to;
    const TypeId reg = options_.vector_bytes == 32 && bits % 256 == 0 ? T::v256 : T::v128;
    const uint32_t parts = uint32_t(std::max<uint64_t>(1, bits / part_bits(reg)));
    const uint32_t per = part_bits(reg) / to;
    const unsigned step = unsigned(std::countr_zero(to / from)) - 1;
    const S first = from == 8 ? S::zext_8_16 : from == 16 ? S::zext_16_32 : S::zext_32_64;
    const S by = S(unsigned(first) + step + (is_signed ? unsigned(S::sext_8_16) - unsigned(S::zext_8_16) : 0));
    Parts r;
    for (uint32_t p = 0; p < parts; p++) {
      const uint32_t at = p * per * from;
      V v = x[at / 128];
      if (at % 128) v = simd({S::shift_down, v, at % 128 / 8});
      r.push(simd({by, v, 0, reg}));
    }
    return r;
  }
  if (from < to) x = quarters(x);
  for (; from < to; from *= 2) {
    const uint32_t lanes = 128 / from;
    Parts r;
    for (uint32_t k = 0; k < x.n; k++)
      for (uint32_t half = 0; half < 2 && k * lanes + half * lanes / 2 < count; half++) {
        const S interleave = by_width(half ? S::interleave_high_8 : S::interleave_low_8, 8, from);
        reg_ = T::v128;
        if (!is_signed) r.push(simd({interleave, x[k], zero_vector()}));
        else if (from == 32) r.push(simd({interleave, x[k], simd({S::ashr_32, x[k], 31})}));
        else r.push(simd({from == 8 ? S::ashr_16 : S::ashr_32, simd({interleave, x[k], x[k]}), from}));
      }
    x = r;
  }
  // Bytes are cut out before the first step: what is left fits every step.
  if (to == 8 && from > 8)
    x = each_part(x, [&](V v) {
      reg_ = ty(v);
      return simd({S::and_, v, splat_const(from, 0xff)});
    });
  for (; from > to; from /= 2) {
    if (from == 64) {
      x = narrowed(x, S::shuffle_two_32);
    } else if (from == 32) {
      if (to == 16 && options_.has_sse41) {
        x = each_part(x, [&](V v) {
          reg_ = ty(v);
          return simd({S::and_, v, splat_const(32, 0xffff)});
        });
        x = narrowed(x, S::narrow_unsigned_32);
        continue;
      }
      if (to == 16) x = each_part(x, [&](V v) { return simd({S::ashr_32, simd({S::shl_32, v, 16}), 16}); });
      x = narrowed(x, S::narrow_signed_32);
    } else {
      x = narrowed(x, S::narrow_unsigned_16);
    }
  }
  return of_total(x, uint64_t{count} * to);
}

Legalizer::Parts Legalizer::resize_mask(const Parts& given, uint32_t count, uint32_t from, uint32_t to) {
  if (from == to) return given;
  if (from < to && options_.has_sse41) return resize_lanes(given, count, from, to, true);
  Parts x = from < to ? quarters(given) : given;
  for (; from < to; from *= 2) {
    const uint32_t lanes = 128 / from;
    Parts r;
    for (uint32_t k = 0; k < x.n; k++)
      for (uint32_t half = 0; half < 2 && k * lanes + half * lanes / 2 < count; half++)
        r.push(simd({by_width(half ? S::interleave_high_8 : S::interleave_low_8, 8, from), x[k], x[k]}));
    x = r;
  }
  for (; from > to; from /= 2)
    x = narrowed(x, from == 64 ? S::shuffle_two_32 : from == 32 ? S::narrow_signed_32 : S::narrow_signed_16);
  return of_total(x, uint64_t{count} * to);
}

// By an operation on the two lower lanes of a v128 (or, to v256, on all four).
Legalizer::Parts Legalizer::halves_to_double(const Parts& given, uint32_t count, SimdOp by) {
  const Parts x = quarters(given);
  Parts r;
  for (uint32_t k = 0; k < x.n; k++) {
    if (options_.vector_bytes == 32 && count % 4 == 0) {
      r.push(simd({by, x[k], 0, T::v256}));
      continue;
    }
    r.push(simd({by, x[k]}));
    if (4 * k + 2 < count) r.push(simd({by, simd({S::shuffle_32, x[k], lanes4(2, 3, 2, 3)})}));
  }
  return r;
}

Legalizer::Parts Legalizer::doubles_to_half(const Parts& x, uint32_t count, SimdOp by) {
  Parts r;
  for (uint32_t k = 0; k < x.n; k++) {
    V v = simd({by, x[k], 0, T::v128});
    if (ty(x[k]) == T::v128 && k + 1 < x.n) v = simd({S::interleave_low_64, v, simd({by, x[++k]})});
    r.push(v);
  }
  return of_total(r, uint64_t{count} * 32);
}

// ---- shuffles -------------------------------------------------------------------------------------------------------

namespace {
constexpr uint32_t any = ~0u;
}

Legalizer::Parts Legalizer::simd_shuffles(const Lanes& r, const Lanes& from, const Parts& a, const Parts& b,
                                          const uint32_t* lanes) {
  const uint32_t n = 128 / r.width, total = std::max(from.count, n);
  // Where each lane comes from, in lanes of the registers of a and of b one after the other.
  std::array<uint32_t, max_lanes> at;
  at.fill(any);
  for (uint32_t k = 0; k < r.count; k++) {
    if (lanes[k] < from.count) at[k] = lanes[k];
    else if (lanes[k] < 2 * from.count) at[k] = total + lanes[k] - from.count;
  }
  Parts wide;  // all registers
  for (const Parts* x : {&a, &b})
    for (uint32_t k = 0; k < x->n; k++) wide.push((*x)[k]);
  Parts quarter = wide;
  bool apart = false;
  auto source = [&](uint32_t k) {
    if (!apart) quarter = quarters(wide), apart = true;
    return quarter[k];
  };
  // One 128-bit register of the result, whose first lane is `first`.
  auto one = [&](uint32_t first) {
    std::array<uint32_t, 16> used;
    uint32_t count = 0;
    for (uint32_t k = 0; k < n && first + k < r.count; k++)
      if (const uint32_t s = at[first + k] / n; at[first + k] != any) {
        if (std::find(used.begin(), used.begin() + count, s) == used.begin() + count) used[count++] = s;
      }
    if (!count) return undef_const(T::v128);
    std::array<uint32_t, 16> place;
    V x = source(used[0]);
    for (uint32_t s = 0; s < count;) {
      // The lanes that are in place already stay; those of the next source join them.
      const uint32_t second = s == 0 ? (count > 1 ? used[1] : used[0]) : used[s];
      place.fill(any);
      for (uint32_t k = 0; k < n && first + k < r.count; k++) {
        const uint32_t l = at[first + k];
        if (l == any) continue;
        const uint32_t of = uint32_t(std::find(used.begin(), used.begin() + count, l / n) - used.begin());
        if (s == 0 && of == 0) place[k] = l % n;
        else if (s != 0 && of < s) place[k] = k;
        else if (l / n == second) place[k] = n + l % n;
      }
      x = shuffle_register(r.width, x, source(second), place.data());
      s += s == 0 ? 2 : 1;
    }
    return x;
  };
  Parts to;
  if (r.reg == T::v256) {
    for (uint32_t p = 0; p < r.parts; p++) {
      const V x = wide_shuffle(r.width, wide, &at[p * 2 * n]);
      to.push(x.valid() ? x : simd({S::join, one(p * 2 * n), one(p * 2 * n + n), 0, T::v256}));
    }
    return to;
  }
  for (uint32_t k = 0; k < r.parts; k++) to.push(one(k * n));
  return to;
}

// One v256 without taking its sources apart; no value: there is no good way. `at`: its lanes.
Legalizer::V Legalizer::wide_shuffle(uint32_t width, const Parts& sources, const uint32_t* at) {
  const uint32_t n = 128 / width;
  auto all = [&](auto&& f) {
    for (uint32_t k = 0; k < 2 * n; k++)
      if (at[k] != any && !f(k, at[k])) return false;
    return true;
  };
  uint32_t first = any;
  for (uint32_t k = 0; k < 2 * n && first == any; k++) first = at[k];
  if (first == any) return undef_const(T::v256);
  const bool wide = ty(sources[0]) == T::v256;
  // The same lane everywhere.
  if (all([&](uint32_t, uint32_t l) { return l == first; })) {
    const uint32_t q = first / n;
    V x = wide ? simd({q % 2 ? S::high_half : S::low_half, sources[q / 2], 0, T::v128}) : sources[q];
    if (first % n) {
      std::array<uint32_t, 16> place;
      place.fill(any);
      place[0] = first % n;
      x = shuffle_register(width, x, x, place.data());
    }
    return simd({by_width(S::broadcast_8, 8, width), x, 0, T::v256});
  }
  if (!wide) return {};
  // One register, or two: the same in both halves.
  std::array<uint32_t, 2> used = {any, any};
  bool two = true;
  for (uint32_t k = 0; k < 2 * n; k++) {
    if (at[k] == any) continue;
    const uint32_t s = at[k] / (2 * n);
    if (used[0] == any || used[0] == s) used[0] = s;
    else if (used[1] == any || used[1] == s) used[1] = s;
    else two = false;
  }
  if (!two) return {};
  const V x = sources[used[0]], y = used[1] == any ? x : sources[used[1]];
  std::array<uint32_t, 16> place;
  place.fill(any);
  bool alike = true;
  for (uint32_t k = 0; k < 2 * n; k++) {
    if (at[k] == any) continue;
    const uint32_t lane = at[k] % (2 * n), want = lane % n + (at[k] / (2 * n) == used[0] ? 0 : n);
    if (lane / n != k / n || (place[k % n] != any && place[k % n] != want)) alike = false;
    place[k % n] = want;
  }
  if (alike) {
    if (V v = shuffle_register(width, x, y, place.data()); v.valid()) return v;
    return {};
  }
  // Whole halves.
  auto half = [&](uint32_t h) {  // 0 1 of x, 2 3 of y; 4: any; 5: none
    uint32_t found = 4;
    for (uint32_t k = h * n; k < h * n + n; k++) {
      if (at[k] == any) continue;
      const uint32_t lane = at[k] % (2 * n), from = lane / n + (at[k] / (2 * n) == used[0] ? 0 : 2);
      if (lane % n != k % n || (found != 4 && found != from)) return uint32_t{5};
      found = from;
    }
    return found;
  };
  const uint32_t low = half(0), high = half(1);
  if (low != 5 && high != 5) return simd({S::permute_128, x, y, (low & 3) | (high & 3) << 4});
  if (used[1] != any) return {};
  if (width == 64) {
    uint32_t p[4];
    for (uint32_t k = 0; k < 4; k++) p[k] = at[k] == any ? k : at[k] % 4;
    return simd({S::permute_64, x, lanes4(p[0], p[1], p[2], p[3])});
  }
  if (width == 32) {
    uint64_t words[4] = {};
    for (uint32_t k = 0; k < 8; k++) words[k / 2] |= uint64_t{at[k] == any ? k : at[k] % 8} << (k % 2 * 32);
    reg_ = T::v256;
    return simd({S::permute_32, x, vector_const(words)});
  }
  return {};
}

// ---- single lanes, reductions, bits -------------------------------------------------------------------------------

void Legalizer::element_in_memory(const Inst& i) {
  Lanes l;
  const bool insert = i.op == Op::insert_element;
  const TypeId vector = old_type(i.va()), element = type(vector).element;
  lanes_of(vector, l);
  const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  const uint16_t lane =
      MemoryFlags::pack(false, AtomicOrdering::not_atomic, unsigned(std::countr_zero(l.width / 8)));
  V memory = slot(l.bytes, 16);
  store_parts(l, parts_of(i.va()), memory, aux);
  V index = vals(insert ? i.vc() : i.vb())[0];
  if (!error_.empty()) return;
  const TypeId p = int_of_pointer();
  V x = type(ty(index)).bits > type(p).bits ? conv(Op::trunc, p, index) : conv(Op::zext, p, index);
  if (std::has_single_bit(l.count)) x = bin(Op::and_, x, int_const(p, l.count - 1));
  else x = emit(Op::umin, p, x.value, int_const(p, l.count - 1).value);
  V at = indexed_ptr(memory, x, l.width / 8, 0);
  if (!insert) return define(i.result, Vals(load_leaf(element, at, 0, lane)));
  store_leaf(single(i.vb()), at, 0, lane);
  define_parts(i.result, load_parts(l, memory, aux));
}

Vals Legalizer::simd_reduce(Op op, const Lanes& l, Parts x) {
  reg_ = l.reg;
  static constexpr struct {
    Op reduce, op;
  } ops[] = {{Op::reduce_add, Op::add},   {Op::reduce_mul, Op::mul},   {Op::reduce_and, Op::and_},
             {Op::reduce_or, Op::or_},    {Op::reduce_xor, Op::xor_},  {Op::reduce_smin, Op::smin},
             {Op::reduce_smax, Op::smax}, {Op::reduce_umin, Op::umin}, {Op::reduce_umax, Op::umax}};
  Op by = Op::add;
  for (auto& o : ops)
    if (o.reduce == op) by = o.op;
  // All registers into one of 128 bits.
  auto fold = [&] {
    while (x.n > 1) {
      Parts r;
      for (uint32_t k = 0; k < x.n; k += 2)
        r.push(k + 1 < x.n ? simd_int(by, l.is_mask ? 64 : l.width, x[k], x[k + 1]) : x[k]);
      x = r;
    }
  };
  fold();
  x = quarters(x);
  reg_ = T::v128;
  fold();
  V v = x[0];
  if (l.is_mask) {
    V bits = simd({S::sign_mask_8, v});
    return op == Op::reduce_or ? icmp(IntPredicate::ne, bits, int_const(T::i32, 0))
                               : icmp(IntPredicate::eq, bits, int_const(T::i32, 0xffff));
  }
  for (uint32_t n = std::min(l.count, 128 / l.width) / 2; n; n /= 2)
    v = simd_int(by, l.width, v, simd({S::shift_down, v, n * l.width / 8}));
  return simd_extract(l, container(l.width), v, 0);
}

// In order, or, where the producer allows it, by halves.
Legalizer::V Legalizer::float_reduce(const Inst& i, const Lanes& l, V start, const Parts& given) {
  const Op by = i.op == Op::reduce_fadd ? Op::fadd : Op::fmul;
  const TypeId e = type(old_type(i.vb())).element;
  Parts x = given;
  uint32_t lanes = std::min(l.count, 128 / l.width);
  if (i.flags & flags::fast_math) {
    auto fold = [&] {
      while (x.n > 1) {
        Parts r;
        for (uint32_t k = 0; k < x.n; k += 2) r.push(k + 1 < x.n ? simd_float(by, l.width, x[k], x[k + 1]) : x[k]);
        x = r;
      }
    };
    fold();
    x = quarters(x);
    fold();
    for (; lanes > 1; lanes /= 2)
      x = Parts(simd_float(by, l.width, x[0], simd({S::shift_down, x[0], lanes / 2 * l.width / 8})));
  }
  x = quarters(x);
  for (uint32_t p = 0; p < x.n; p++)
    for (uint32_t k = 0; k < lanes; k++)
      start = emit(by, e, start.value, simd_extract(l, e, x[p], k).value, ~0u, 0, i.flags);
  return start;
}

// A mask's bits as an integer of at least as many, the first lane's in the lowest.
Legalizer::V Legalizer::mask_bits(V old, const Lanes& given, uint32_t bits) {
  Lanes l = given;
  Parts x = parts_of(old);
  if (l.count > 4) {  // a byte a lane; eight lanes leave half of a register to zeros
    if (l.count == 8) {
      if (l.width > 16) x = resize_mask(x, 8, l.width, 16);
      return conv(bits < 32 ? Op::trunc : Op::zext, container(bits),
                  simd({S::sign_mask_8, simd({S::narrow_signed_16, x[0], zero_const(T::v128)})}));
    }
    x = resize_mask(x, l.count, l.width, 8);
    const TypeId t = bits > 32 ? T::i64 : T::i32;
    x = quarters(x);
    V all;
    for (uint32_t k = 0; k < x.n; k++) {
      V part = conv(Op::zext, t, simd({S::sign_mask_8, x[k]}));
      if (k) part = bin(Op::shl, part, int_const(t, 16 * k));
      all = k ? bin(Op::or_, all, part) : part;
    }
    return bits < type(t).bits ? conv(Op::trunc, container(bits), all) : all;
  }
  const uint32_t width = l.count == 4 ? 32 : 64;
  x = quarters(resize_mask(x, l.count, l.width, width));
  V b = simd({width == 32 ? S::sign_mask_32 : S::sign_mask_64, x[0]});
  return conv(bits < 32 ? Op::trunc : Op::zext, container(bits), b);
}

void Legalizer::simd_bitcast(const Inst& i) {
  Lanes a, r;
  const bool from = lanes_of_value(i.va(), a), to = lanes_of(i.type, r);
  if (from && to) {
    if (a.is_mask) return define_parts(i.result, mask_of(i.va(), r));
    return define_parts(i.result, parts_of(i.va()));
  }
  if (from) {
    const Type& t = type(i.type);
    if (a.is_mask) return define(i.result, Vals(mask_bits(i.va(), a, t.bits)));
    const Parts x = quarters(parts_of(i.va()));
    if (t.kind == TypeKind::F64) return define(i.result, Vals(simd({S::to_f64, x[0]})));
    if (t.kind == TypeKind::F32) return define(i.result, Vals(simd({S::to_f32, x[0]})));
    if (a.bytes == 4) return define(i.result, Vals(simd({S::to_i32, x[0]})));
    Vals words;
    for (uint32_t k = 0; k < x.n; k++) {
      words.push(simd({S::to_i64, x[k]}));
      if (a.bytes != 8) words.push(simd({S::to_i64, simd({S::shuffle_32, x[k], lanes4(2, 3, 2, 3)})}));
    }
    return define(i.result, words);
  }
  Vals x = vals(i.va());
  if (!error_.empty()) return;
  const TypeKind k = type(old_type(i.va())).kind;
  if (k == TypeKind::F64) return define_parts(i.result, Parts(simd({S::from_f64, x[0]})));
  if (k == TypeKind::F32) return define_parts(i.result, Parts(simd({S::from_f32, x[0]})));
  if (r.bytes == 4) return define_parts(i.result, Parts(simd({S::from_i32, x[0]})));
  Parts parts;
  for (uint32_t w = 0; w < x.n; w += 2) {
    V low = simd({S::from_i64, x[w]});
    if (w + 1 < x.n) low = simd({S::interleave_low_64, low, simd({S::from_i64, x[w + 1]})});
    parts.push(low);
  }
  define_parts(i.result, joined(parts, r.reg));
}

}  // namespace lode::air
