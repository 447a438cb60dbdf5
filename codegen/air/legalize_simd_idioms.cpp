// Shapes of several instructions that vector units have one for: averages, high halves of products, sums of pairs of
// products, sums of absolute differences. Producers leave them in wide lanes, which would take several registers.
//
// Each looks at the definitions of what an instruction reads. Those stay where they are, for others that read them;
// what nobody reads any more is not selected.
#include "codegen/air/legalize_impl.h"

namespace lode::air {

// Is `old` an extension of lanes of `width` bits? A constant that fits is one of itself, and `from` is not set.
bool Legalizer::extended_from(V old, uint32_t width, bool is_signed, V& from) {
  const Inst* d = def_of(old);
  if (!d || (d->op != Op::zext && d->op != Op::sext)) return false;
  Lanes l;
  if (!lanes_of(old_type(d->va()), l) || !l.integer()) return false;
  if (l.width != width) return false;
  if ((d->op == Op::sext) != is_signed) return false;
  from = d->va();
  return true;
}

bool Legalizer::simd_idiom(const Inst& i, const Lanes& r) {
  switch (i.op) {
    case Op::trunc: return simd_average(i, r) || simd_high_product(i, r);
    case Op::add: return simd_pair_products(i, r);
    case Op::reduce_add: return simd_differences(i);
    default: return false;
  }
}

// trunc((zext(a) + zext(b) + 1) >> 1)
bool Legalizer::simd_average(const Inst& i, const Lanes& r) {
  if (!r.integer() || r.width > 16) return false;
  uint64_t c;
  const Inst* shift = def_of(i.va());
  if (!shift || (shift->op != Op::lshr && shift->op != Op::ashr) || !constant_splat(shift->vb(), c) || c != 1)
    return false;
  // The three terms, however they are put together.
  std::array<V, 3> terms;
  uint32_t n = 0;
  auto collect = [&](auto&& self, V v, unsigned depth) -> bool {
    const Inst* d = def_of(v);
    if (d && d->op == Op::add && depth < 2) return self(self, d->va(), depth + 1) && self(self, d->vb(), depth + 1);
    if (n == 3) return false;
    terms[n++] = v;
    return true;
  };
  if (!collect(collect, shift->va(), 0) || n != 3) return false;
  V source[2];
  uint32_t found = 0;
  bool one = false;
  for (V t : terms) {
    if (constant_splat(t, c)) {
      if (c != 1 || one) return false;
      one = true;
    } else if (found == 2 || !extended_from(t, r.width, false, source[found++])) {
      return false;
    }
  }
  if (!one || found != 2) return false;
  define_parts(i.result, each_part(parts_of(source[0]), parts_of(source[1]), [&](V a, V b) {
    return simd({r.width == 8 ? SimdOp::avg_8 : SimdOp::avg_16, a, b});
  }));
  return true;
}

// trunc((a * b) >> 16) of 16-bit a and b
bool Legalizer::simd_high_product(const Inst& i, const Lanes& r) {
  if (!r.integer() || r.width != 16) return false;
  uint64_t c;
  const Inst* shift = def_of(i.va());
  if (!shift || (shift->op != Op::lshr && shift->op != Op::ashr) || !constant_splat(shift->vb(), c) || c != 16)
    return false;
  const Inst* product = def_of(shift->va());
  Lanes wide;
  if (!product || product->op != Op::mul || !lanes_of(product->type, wide) || wide.width != 32) return false;
  for (bool is_signed : {true, false}) {
    V a, b;
    if (!extended_from(product->va(), 16, is_signed, a)) continue;
    Parts y;
    if (extended_from(product->vb(), 16, is_signed, b)) {
      y = parts_of(b);
    } else if (constant_splat(product->vb(), c) &&
               (is_signed ? int64_t(int32_t(c)) == int16_t(c) : uint32_t(c) <= 0xffff)) {
      reg_ = r.reg;
      for (uint32_t k = 0; k < r.parts; k++) y.push(splat_const(16, c));
    } else {
      continue;
    }
    define_parts(i.result, each_part(parts_of(a), y, [&](V v, V w) {
      return simd({is_signed ? SimdOp::mulh_16 : SimdOp::umulh_16, v, w});
    }));
    return true;
  }
  return false;
}

// The sum of the products of even lanes and of odd ones, all of them signed 16-bit lanes of the same two vectors.
bool Legalizer::simd_pair_products(const Inst& i, const Lanes& r) {
  if (!r.integer() || r.width != 32 || r.count * r.width % 128) return false;
  // Of a product: whether its factors are the odd lanes, and of which vectors.
  auto product_of = [&](V v, uint32_t& odd, V (&vectors)[2]) {
    const Inst* product = def_of(v);
    if (!product || product->op != Op::mul) return false;
    for (uint32_t side = 0; side < 2; side++) {
      V lanes;
      if (!extended_from(side ? product->vb() : product->va(), 16, true, lanes)) return false;
      const Inst* d = def_of(lanes);
      Lanes from;
      if (!d || d->op != Op::shuffle || !lanes_of(old_type(d->va()), from) || from.count != 2 * r.count ||
          from.width != 16)
        return false;
      if (side == 0) odd = in_.extra[d->c + 1];
      for (uint32_t k = 0; k < r.count; k++)
        if (odd > 1 || in_.extra[d->c + 1 + k] != 2 * k + odd) return false;
      vectors[side] = d->va();
    }
    return true;
  };
  uint32_t first = 0, second = 0;
  V vectors[2], others[2];
  if (!product_of(i.va(), first, vectors) || !product_of(i.vb(), second, others) || first == second) return false;
  if (!(vectors[0] == others[0] && vectors[1] == others[1]) && !(vectors[0] == others[1] && vectors[1] == others[0]))
    return false;
  define_parts(i.result, each_part(parts_of(vectors[0]), parts_of(vectors[1]),
                                   [&](V a, V b) { return simd({SimdOp::madd_16, a, b}); }));
  return true;
}

// The sum of |zext(a) - zext(b)| over bytes.
bool Legalizer::simd_differences(const Inst& i) {
  const Inst* amount = def_of(i.va());
  Lanes l, bytes;
  if (!lanes_of(old_type(i.va()), l) || !l.integer() || (l.width != 32 && l.width != 64)) return false;
  if (amount && (amount->op == Op::zext || amount->op == Op::sext)) amount = def_of(amount->va());
  if (!amount || amount->op != Op::iabs) return false;
  const Inst* difference = def_of(amount->va());
  V a, b;
  if (!difference || difference->op != Op::sub || !extended_from(difference->va(), 8, false, a) ||
      !extended_from(difference->vb(), 8, false, b) || !lanes_of(old_type(a), bytes) || bytes.bytes < 8 ||
      bytes.bytes % 8)
    return false;
  Parts x = parts_of(a), y = parts_of(b);
  if (bytes.bytes == 8) {  // what is above counts for nothing
    for (Parts* p : {&x, &y}) (*p)[0] = simd({SimdOp::low_64_of, zero_const(T::v128), (*p)[0]});
  }
  x = quarters(each_part(x, y, [&](V v, V w) { return simd({SimdOp::sad_8, v, w}); }));
  V sum = x[0];
  for (uint32_t k = 1; k < x.n; k++) sum = simd({SimdOp::add_64, sum, x[k]});
  if (bytes.bytes > 8) sum = simd({SimdOp::add_64, sum, simd({SimdOp::shift_down, sum, 8})});
  define(i.result, Vals(simd({l.width == 32 ? SimdOp::to_i32 : SimdOp::to_i64, sum})));
  return true;
}

}  // namespace lode::air
