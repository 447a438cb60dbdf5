// Vectors and first-class aggregates: lists of leaves, so that extract, insert and shuffle move nothing.
//
// What follows is for vectors that are not one v128; see legalize_simd.cpp for those.
#include <bit>
#include <numeric>

#include "base/bytes.h"
#include "codegen/air/legalize_impl.h"

namespace lode::air {

bool Legalizer::has_bits(TypeId id) {
  const Type& t = type(id);
  switch (t.kind) {
    case TypeKind::Int: return t.bits <= 64 * max_int_words;
    case TypeKind::F16: case TypeKind::BF16: case TypeKind::F32: case TypeKind::F64: case TypeKind::Ptr: return true;
    case TypeKind::F128: return options_.f128_as_pair;
    case TypeKind::Vector:
      return has_bits(t.element) && t.count <= 64 * max_int_words && bits_of(id) <= 64 * max_int_words;
    default: return false;
  }
}

uint32_t Legalizer::bits_of(TypeId id) {
  const Type& t = type(id);
  switch (t.kind) {
    case TypeKind::Int: return t.bits;
    case TypeKind::Vector:
      return uint32_t(std::min<uint64_t>(t.count, 1u << 16)) * std::min<uint32_t>(bits_of(t.element), 1u << 15);
    case TypeKind::F80: return 80;
    default: return uint32_t(types_.store_size_of(id) * 8);
  }
}

Vals Legalizer::gather_bits(TypeId id, Span s) {
  const Type& t = type(id);
  if (t.kind == TypeKind::Int || (t.kind == TypeKind::F128 && s.count == 2)) return vals(s, 0, s.count);
  if (t.kind != TypeKind::Vector) {
    V x = leaf(s, 0);
    switch (t.kind) {
      case TypeKind::F32: {
        const Constant* c = out_.constant(x);
        return c && c->kind == ConstantKind::Float ? int_const(T::i32, c->bits) : conv(Op::bitcast, T::i32, x);
      }
      case TypeKind::F64: {
        const Constant* c = out_.constant(x);
        return c && c->kind == ConstantKind::Float ? int_const(T::i64, c->bits) : conv(Op::bitcast, T::i64, x);
      }
      case TypeKind::Ptr: {
        const Constant* c = out_.constant(x);
        if (c && c->kind == ConstantKind::Zero) return int_const(int_of_pointer(), 0);
        return emit(Op::ptrtoint, int_of_pointer(), x.value);
      }
      default: return x;  // half: i16
    }
  }
  uint32_t bits = bits_of(id), width = bits_of(t.element), n = leaf_count(t.element);
  if (!error_.empty() || !has_bits(id)) {
    fail("a vector of " + std::to_string(bits) + " bits as one integer");
    return int_value(1, 0);
  }
  if (words(bits) == 1) {
    TypeId c = container(bits);
    V all = int_const(c, 0);
    for (uint32_t k = 0; k < t.count; k++) {
      V x = gather_bits(t.element, {s.first + k * n, n})[0];
      all = bin(Op::or_, all, bin(Op::shl, conv(Op::zext, c, x), int_const(c, k * width)));
    }
    return all;
  }
  Vals all = int_value(bits, 0);
  for (uint32_t k = 0; k < t.count; k++) {
    Vals x = gather_bits(t.element, {s.first + k * n, n});
    for (uint32_t w = 0; w < x.n; w++) {
      V y = conv(Op::zext, T::i64, x[w]);
      uint32_t at = k * width + w * 64;
      all[at / 64] = bin(Op::or_, all[at / 64], bin(Op::shl, y, int_const(T::i64, at % 64)));
      if (at % 64 && at / 64 + 1 < all.n && at % 64 + std::min(64u, width - w * 64) > 64)
        all[at / 64 + 1] = bin(Op::or_, all[at / 64 + 1], bin(Op::lshr, y, int_const(T::i64, 64 - at % 64)));
    }
  }
  return all;
}

Legalizer::Span Legalizer::scatter_bits(TypeId id, const Vals& bits) {
  const Type& t = type(id);
  if (t.kind != TypeKind::Vector) {
    Vals r = bits;
    switch (t.kind) {
      case TypeKind::F32: case TypeKind::F64: r = conv(Op::bitcast, id, bits[0]); break;
      case TypeKind::Ptr: r = emit(Op::inttoptr, T::ptr, bits[0].value); break;
      default: break;
    }
    Span s = alloc(r.n);
    for (uint32_t k = 0; k < r.n; k++) pool_[s.first + k] = r[k];
    return s;
  }
  uint32_t width = bits_of(t.element), n = leaf_count(t.element);
  Span to = alloc(uint32_t(t.count) * n);
  for (uint32_t k = 0; k < t.count && error_.empty(); k++) {
    Vals x;
    if (bits.n == 1) {
      V c = bits[0];
      c = bin(Op::lshr, c, int_const(ty(c), k * width));
      x = conv(Op::trunc, container(width), c);
    } else {
      for (uint32_t w = 0; w < words(width); w++) {
        uint32_t at = k * width + w * 64, need = std::min(64u, width - w * 64);
        V y = bin(Op::lshr, bits[at / 64], int_const(T::i64, at % 64));
        if (at % 64 && at % 64 + need > 64 && at / 64 + 1 < bits.n)
          y = bin(Op::or_, y, bin(Op::shl, bits[at / 64 + 1], int_const(T::i64, 64 - at % 64)));
        x.push(width <= 64 ? conv(Op::trunc, container(width), y) : y);
      }
    }
    x = norm(width, x);
    Span part = scatter_bits(t.element, x);
    for (uint32_t l = 0; l < n && l < part.count; l++) pool_[to.first + k * n + l] = pool_[part.first + l];
  }
  return to;
}

void Legalizer::lower_bitcast(const Inst& i) {
  TypeId from = old_type(i.va()), to = i.type;
  Span s = leaves(i.va());
  if (from == to) return define(i.result, s);
  if (!error_.empty()) return;
  const Type& tf = type(from);
  const Type& tt = type(to);
  // Lane by lane where the lanes match.
  uint64_t lanes_from = tf.kind == TypeKind::Vector ? tf.count : 1,
           lanes_to = tt.kind == TypeKind::Vector ? tt.count : 1;
  TypeId ef = tf.kind == TypeKind::Vector ? tf.element : from, et = tt.kind == TypeKind::Vector ? tt.element : to;
  if (lanes_from == lanes_to && has_bits(ef) && has_bits(et)) {
    uint32_t nf = leaf_count(ef), nt = leaf_count(et);
    Span r = alloc(uint32_t(lanes_to) * nt);
    for (uint32_t k = 0; k < lanes_to && error_.empty(); k++) {
      Span x = scatter_bits(et, gather_bits(ef, {s.first + k * nf, nf}));
      for (uint32_t l = 0; l < nt; l++) pool_[r.first + k * nt + l] = pool_[x.first + l];
    }
    return define(i.result, r);
  }
  if (has_bits(from) && has_bits(to) && bits_of(from) == bits_of(to))
    return define(i.result, scatter_bits(to, gather_bits(from, s)));
  uint64_t bytes = std::max(types_.size_of(from), types_.size_of(to));
  V memory = slot(bytes, 16);
  uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  store_value(from, s, memory, 0, aux);
  uint32_t n = leaf_count(to);
  if (!error_.empty()) return;
  Span r = alloc(n);
  load_value(to, memory, 0, aux, r);
  define(i.result, r);
}

uint32_t Legalizer::path_leaf(TypeId& t, uint32_t path) {
  uint32_t n = in_.extra[path], at = 0;
  for (uint32_t k = 0; k < n && error_.empty(); k++) {
    uint32_t index = in_.extra[path + 1 + k];
    const Type& x = type(t);
    if (x.kind == TypeKind::Struct && index < x.field_count) {
      for (uint32_t f = 0; f < index; f++) at += leaf_count(types_.member(x, f));
      t = types_.member(x, index);
    } else if ((x.kind == TypeKind::Array || x.kind == TypeKind::Vector) && index < x.count) {
      at += index * leaf_count(x.element);
      t = x.element;
    } else {
      fail("an index outside of the aggregate");
    }
  }
  return at;
}

void Legalizer::lower_extract(const Inst& i) {
  TypeId t = old_type(i.va());
  Span s = leaves(i.va());
  if (!error_.empty()) return;
  uint32_t at = path_leaf(t, i.b), n = leaf_count(t);
  if (!error_.empty()) return;
  if (at + n > s.count) return fail("a malformed aggregate");
  Span part{s.first + at, n};
  define(i.result, part);
}

void Legalizer::lower_insert(const Inst& i) {
  TypeId t = old_type(i.va());
  Span whole = leaves(i.va()), part = leaves(i.vb());
  if (!error_.empty()) return;
  uint32_t at = path_leaf(t, i.c), n = leaf_count(t);
  if (!error_.empty()) return;
  if (n != part.count || at + n > whole.count) return fail("a malformed aggregate");
  Span r = copy(whole);
  for (uint32_t k = 0; k < n; k++) pool_[r.first + at + k] = pool_[part.first + k];
  define(i.result, r);
}

// The vector in memory, each lane in `stride` bytes, and the address of the lane `index`, which is kept inside.
Legalizer::V Legalizer::lane_slot(TypeId vector, Span value, V index, V& element, uint32_t& stride) {
  const Type& t = type(vector);
  uint32_t n = leaf_count(t.element);
  auto leaf_bytes = [&](V x) { return ty(x) == T::i1 ? 1u : uint32_t(std::bit_ceil(types_.size_of(ty(x)))); };
  stride = 0;
  for (uint32_t l = 0; l < n; l++) stride += n == 1 ? leaf_bytes(leaf(value, l)) : 16;
  V memory = slot(std::max<uint64_t>(1, stride * t.count), 16);
  uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  for (uint32_t k = 0; k < t.count; k++)
    for (uint32_t l = 0; l < n; l++) store_leaf(leaf(value, k * n + l), memory, int64_t(k) * stride + 16 * l, aux);
  TypeId p = int_of_pointer();
  V x = type(ty(index)).bits > type(p).bits ? conv(Op::trunc, p, index) : conv(Op::zext, p, index);
  if (std::has_single_bit(t.count)) x = bin(Op::and_, x, int_const(p, t.count - 1));
  else x = emit(Op::umin, p, x.value, int_const(p, t.count - 1).value);
  element = indexed_ptr(memory, x, stride, 0);
  return memory;
}

void Legalizer::lower_extract_element(const Inst& i) {
  TypeId vt = old_type(i.va());
  const Type& t = type(vt);
  Span s = leaves(i.va());
  Vals index = vals(i.vb());
  if (!error_.empty()) return;
  uint32_t n = leaf_count(t.element);
  uint64_t known;
  if (const_value(index[0], known)) {
    if (known >= t.count) return define(i.result, undef_leaves(t.element));
    return define(i.result, Span{s.first + uint32_t(known) * n, n});
  }
  V element;
  uint32_t stride;
  lane_slot(vt, s, index[0], element, stride);
  Span r = alloc(n);
  for (uint32_t l = 0; l < n; l++) {
    V x = load_leaf(ty(leaf(s, l)), element, 16 * l,
                    MemoryFlags::pack(false, AtomicOrdering::not_atomic, unsigned(std::countr_zero(stride))));
    pool_[r.first + l] = x;
  }
  define(i.result, r);
}

void Legalizer::lower_insert_element(const Inst& i) {
  TypeId vt = old_type(i.va());
  const Type& t = type(vt);
  Span s = leaves(i.va()), part = leaves(i.vb());
  Vals index = vals(i.vc());
  if (!error_.empty()) return;
  uint32_t n = leaf_count(t.element);
  uint64_t known;
  if (const_value(index[0], known)) {
    if (known >= t.count) return define(i.result, undef_leaves(vt));
    Span r = copy(s);
    for (uint32_t l = 0; l < n; l++) pool_[r.first + uint32_t(known) * n + l] = pool_[part.first + l];
    return define(i.result, r);
  }
  V element;
  uint32_t stride;
  V memory = lane_slot(vt, s, index[0], element, stride);
  uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, unsigned(std::countr_zero(stride)));
  for (uint32_t l = 0; l < n; l++) store_leaf(leaf(part, l), element, 16 * l, aux);
  Span r = alloc(s.count);
  for (uint32_t k = 0; k < t.count; k++)
    for (uint32_t l = 0; l < n; l++) {
      V x = load_leaf(ty(leaf(s, k * n + l)), memory, int64_t(k) * stride + 16 * l, aux);
      pool_[r.first + k * n + l] = x;
    }
  define(i.result, r);
}

void Legalizer::lower_shuffle(const Inst& i) {
  const Type& from = type(old_type(i.va()));
  const Type& to = type(i.type);
  Span a = leaves(i.va()), b = leaves(i.vb());
  if (!error_.empty()) return;
  if (from.kind != TypeKind::Vector || to.kind != TypeKind::Vector || in_.extra[i.c] != to.count)
    return fail("a malformed shuffle");
  uint32_t n = leaf_count(to.element);
  Span undef = undef_leaves(to.element);
  Span r = alloc(uint32_t(to.count) * n);
  for (uint32_t k = 0; k < to.count; k++) {
    uint32_t lane = in_.extra[i.c + 1 + k];
    for (uint32_t l = 0; l < n; l++) {
      V x = leaf(undef, l);
      if (lane < from.count) x = leaf(a, lane * n + l);
      else if (lane < 2 * from.count) x = leaf(b, (lane - uint32_t(from.count)) * n + l);
      pool_[r.first + k * n + l] = x;
    }
  }
  define(i.result, r);
}

void Legalizer::lower_reduce(const Inst& i) {
  static constexpr struct { Op reduce, op; } ops[] = {
      {Op::reduce_add, Op::add},   {Op::reduce_mul, Op::mul},   {Op::reduce_and, Op::and_},
      {Op::reduce_or, Op::or_}, {Op::reduce_xor, Op::xor_},  {Op::reduce_smin, Op::smin}, {Op::reduce_smax, Op::smax},
      {Op::reduce_umin, Op::umin}, {Op::reduce_umax, Op::umax}, {Op::reduce_fadd, Op::fadd},
      {Op::reduce_fmul, Op::fmul},    {Op::reduce_fmin, Op::fminnum},
      {Op::reduce_fmax, Op::fmaxnum}};
  Op op = Op::add;
  for (auto& o : ops)
    if (o.reduce == i.op) op = o.op;
  bool started = i.op == Op::reduce_fadd || i.op == Op::reduce_fmul;
  V vector = started ? i.vb() : i.va();
  const Type& t = type(old_type(vector));
  Span s = leaves(vector);
  if (!error_.empty()) return;
  if (t.kind != TypeKind::Vector || !t.count) return fail("a reduction of something else than a vector");
  uint32_t n = leaf_count(t.element);
  const Type& e = type(t.element);
  Vals x = started ? vals(i.va()) : vals(s, 0, n);
  for (uint32_t k = started ? 0 : 1; k < t.count && error_.empty(); k++) {
    Vals y = vals(s, k * n, n);
    x = e.kind == TypeKind::Int ? int_op(op, e.bits, x, y) : float_op(op, t.element, x, y, {}, i.flags);
  }
  define(i.result, x);
}

void Legalizer::lower_select(const Inst& i) {
  const Type& ct = type(old_type(i.va()));
  Span c = leaves(i.va()), a = leaves(i.vb()), b = leaves(i.vc());
  if (!error_.empty()) return;
  if (a.count != b.count) return fail("a malformed select");
  uint32_t per_lane = ct.kind == TypeKind::Vector && ct.count ? a.count / uint32_t(ct.count) : a.count;
  Span r = alloc(a.count);
  for (uint32_t k = 0; k < a.count; k++) {
    V x = sel(leaf(c, ct.kind == TypeKind::Vector ? k / per_lane : 0), leaf(a, k), leaf(b, k));
    pool_[r.first + k] = x;
  }
  define(i.result, r);
}

}  // namespace lode::air
