// Vectors that stay whole: which values are kept in vector registers, what becomes of the instructions on them, and the
// way to and from lanes.
//
// A vector of 16, 8 or 4 bytes may be one v128 (a shorter one in its lower part; what is above is anything); one of a
// multiple of 16 bytes several of them, or of v256 where LegalizeOptions::vector_bytes says so: its halves, quarters
// and so on in the order of memory (Parts). So may the result of a comparison, a vector of i1: all bits of a lane are 1
// or 0.
// A mask's lanes are as wide as those that were compared, but never so narrow that it would fill less than a register:
// with n lanes they have at least 128 / n bits. mask_width_ says it for each value; what crosses an edge has the width
// that the type alone says (lanes_of()). Everything else is a list of leaves (legalize_vector.cpp).
//
// find_opaque() decides for webs: values connected by block parameters, moves, and instructions that lower_simd() has a
// good way for. An instruction that it has none for is done lane by lane, with unpack() before and pack() behind, which
// costs about what the lanes cost. A web whose instructions are more often of that kind is left in lanes altogether.
//
// Requires: nothing. Leaves true: opaque(v) says that map_[v] are the leaves of Parts.
#include <algorithm>
#include <array>
#include <numeric>

#include "codegen/air/legalize_impl.h"

namespace lode::air {

bool Legalizer::divide(Lanes& l) const {
  const uint64_t bits = l.width ? uint64_t{l.count} * l.width : uint64_t{l.bytes} * 8;
  l.parts = 1;
  l.per = l.count;
  l.reg = T::v128;
  if (bits <= 128) return true;
  if (bits % 128) return false;
  if (options_.vector_bytes == 32 && bits % 256 == 0) l.reg = T::v256;
  const uint64_t parts = bits / part_bits(l.reg);
  if (parts > max_parts) return false;
  l.parts = uint32_t(parts);
  l.per = l.count / l.parts;
  return true;
}

bool Legalizer::lanes_of(TypeId id, Lanes& out) {
  const Type& t = type(id);
  out = {};
  if (t.kind != TypeKind::Vector || t.count < 1 || t.count > max_lanes) return false;
  const Type& e = type(t.element);
  out.count = uint32_t(t.count);
  if (e.kind == TypeKind::Int && e.bits == 1) {
    out.is_mask = true;
    out.width = 8;
    while (out.width < 64 && out.count * out.width % 128) out.width *= 2;
    return out.count * out.width % 128 == 0 && divide(out);
  }
  const uint64_t bytes = types_.store_size_of(id);
  if (bytes != 4 && bytes != 8 && (bytes % 16 || bytes > 16 * max_parts)) return false;
  out.bytes = uint32_t(bytes);
  out.is_float = e.kind == TypeKind::F32 || e.kind == TypeKind::F64;
  if (out.count > 1 && (out.is_float || (e.kind == TypeKind::Int && natural(e.bits)))) {
    out.width = out.bytes * 8 / out.count;
    return divide(out);
  }
  out.is_float = false;
  return bytes % 16 == 0 && !packed(t) && has_bits(id) && leaves_.of(id).ok && divide(out);
}

bool Legalizer::lanes_of_value(V old, Lanes& out) {
  if (!lanes_of(old_type(old), out)) return false;
  if (!out.is_mask || !opaque(old) || !mask_width_[old.value]) return true;
  out.width = mask_width_[old.value];
  return divide(out);
}

void Legalizer::find_opaque() {
  if (options_.vector_abi != VectorAbi::sse) return;
  bool any = false;
  for (const Value& v : in_.values)
    if (type(v.type).kind == TypeKind::Vector) any = true;
  if (!any) return;
  const uint32_t n = uint32_t(in_.values.size());
  std::vector<uint8_t> candidate(n, 0);
  std::vector<uint32_t> parent(n);
  std::vector<int32_t> score(n, 0);
  std::iota(parent.begin(), parent.end(), 0u);
  Lanes l;
  for (uint32_t v = 0; v < n; v++)
    candidate[v] = in_.values[v].kind() != ValueKind::Const && type(in_.values[v].type).kind == TypeKind::Vector &&
                   lanes_of(in_.values[v].type, l);
  auto root = [&](uint32_t v) {
    while (parent[v] != v) v = parent[v] = parent[parent[v]];
    return v;
  };
  auto join = [&](V a, V b) {
    if (!a.valid() || !b.valid() || !candidate[a.value] || !candidate[b.value]) return;
    uint32_t x = root(a.value), y = root(b.value);
    if (x == y) return;
    parent[x] = y;
    score[y] += score[x];
  };
  auto add = [&](V v, int32_t points) {
    if (v.valid() && candidate[v.value]) score[root(v.value)] += points;
  };
  auto join_edge = [&](uint32_t e) {
    const Edge& x = in_.edges[e];
    const Block& target = in_.blocks[x.target.value];
    for (uint32_t k = 0; k < x.arg_count && k < target.param_count; k++)
      join(V(in_.extra[x.args + k]), V(target.first_param + k));
  };
  // What an instruction saves as a whole, or costs when it is taken apart, in instructions.
  auto price = [&](V v) { return lanes_of(old_type(v), l) ? int32_t(std::min(l.count, 8u)) : 0; };
  // Masks are not passed, loaded or stored as they are, but lane by lane.
  auto refuse_mask = [&](V v) {
    if (v.valid() && candidate[v.value] && lanes_of(old_type(v), l) && l.is_mask) score[root(v.value)] -= 4 * price(v);
  };
  for (const Inst& i : in_.insts) {
    V first;  // of the vectors that belong together
    switch (i.op) {
      case Op::load: case Op::store: {
        V v = i.op == Op::load ? i.result : i.vb();
        bool plain = MemoryFlags::ordering(i.aux) == AtomicOrdering::not_atomic;
        add(v, plain ? price(v) - 1 : -price(v));
        refuse_mask(v);
        break;
      }
      case Op::call: case Op::invoke: case Op::ret:
        for_each_operand(in_, i, [&](V v) { add(v, price(v) - 1), refuse_mask(v); });
        add(i.result, i.result.valid() ? price(i.result) - 1 : 0);
        refuse_mask(i.result);
        break;
      case Op::br: case Op::cond_br: case Op::switch_: case Op::indirect_br: break;
      default:
        if (has_simd(i)) {
          first = i.result;
          for_each_operand(in_, i, [&](V v) {
            if (!first.valid() || !candidate[first.value]) first = v;
            else join(first, v);
          });
          add(first, first.valid() && candidate[first.value] ? price(first) - 1 : 0);
        } else {
          for_each_operand(in_, i, [&](V v) { add(v, -price(v)); });
          if (i.result.valid()) add(i.result, -price(i.result));
        }
        break;
    }
    for_each_edge(in_, i, join_edge);
  }
  for (uint32_t p = 0; p < in_.blocks[0].param_count; p++) refuse_mask(V(in_.blocks[0].first_param + p));
  opaque_.assign(n, 0);
  mask_width_.assign(n, 0);
  for (uint32_t v = 0; v < n; v++)
    if (candidate[v] && score[root(v)] >= 0) opaque_[v] = 1;
}

// ---- registers ------------------------------------------------------------------------------------------------------

void Legalizer::define_parts(V old, const Parts& x, uint32_t mask_width) {
  if (!old.valid()) return;
  if (!opaque(old)) {
    const Span lanes = unpack(old, x);
    map_[old.value] = lanes;
    return;
  }
  Span s = alloc(x.n);
  for (uint32_t k = 0; k < x.n; k++) pool_[s.first + k] = x[k];
  mask_width_[old.value] = uint8_t(mask_width);
  map_[old.value] = s;
}

Legalizer::Parts Legalizer::parts_of(V old) {
  Parts r;
  Lanes l;
  if (!lanes_of_value(old, l)) {
    fail("a vector of this kind in a register");
    r.push(undef_const(T::v128));
    return r;
  }
  const Constant* c = in_.constant(old);
  const Span s = opaque(old) ? map_[old.value] : Span{};
  if (s.count == l.parts) {
    for (uint32_t k = 0; k < l.parts; k++) r.push(leaf(s, k));
  } else if (c && c->kind == ConstantKind::Zero) {
    for (uint32_t k = 0; k < l.parts; k++) r.push(zero_const(l.reg));
  } else if ((c && c->kind == ConstantKind::Undef) || opaque(old)) {  // or in a block that no path reaches
    for (uint32_t k = 0; k < l.parts; k++) r.push(undef_const(l.reg));
  } else {
    r = pack(old_type(old), leaves(old), l);
  }
  return r;
}

Legalizer::Parts Legalizer::mask_of(V old, const Lanes& like) {
  Lanes l;
  if (!lanes_of_value(old, l)) return parts_of(old);
  if (in_.constant(old)) {
    l.width = like.width;
    Parts r;
    if (divide(l) && pack_constant(l, leaves(old), r)) return r;
    lanes_of_value(old, l);
  }
  return resize_mask(parts_of(old), l.count, l.width, like.width);
}

Legalizer::Parts Legalizer::load_parts(const Lanes& l, V address, uint16_t aux) {
  if (l.partial()) {
    V x = emit(Op::load, l.bytes == 4 ? T::f32 : T::f64, address.value, ~0u, ~0u, aux);
    return Parts(simd({l.bytes == 4 ? SimdOp::from_f32 : SimdOp::from_f64, x}));
  }
  Parts r;
  for (uint32_t k = 0; k < l.parts; k++) r.push(load_leaf(l.reg, address, int64_t(k) * part_bits(l.reg) / 8, aux));
  return r;
}

void Legalizer::store_parts(const Lanes& l, const Parts& x, V address, uint16_t aux) {
  if (l.partial()) return store_leaf(simd({l.bytes == 4 ? SimdOp::to_f32 : SimdOp::to_f64, x[0]}), address, 0, aux);
  for (uint32_t k = 0; k < x.n; k++) store_leaf(x[k], address, int64_t(k) * part_bits(l.reg) / 8, aux);
}

// ---- lanes ----------------------------------------------------------------------------------------------------------

Legalizer::Span Legalizer::unpack(V old, const Parts& value) {
  TypeId t = old_type(old);
  const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  Lanes l;
  lanes_of_value(old, l);
  V address = slot(uint64_t{l.parts} * part_bits(l.reg) / 8, 16);
  for (uint32_t k = 0; k < value.n; k++) store_leaf(value[k], address, int64_t(k) * part_bits(l.reg) / 8, aux);
  Span to = alloc(leaf_count(t));
  if (l.is_mask) {
    for (uint32_t k = 0; k < l.count; k++) {
      V x = conv(Op::trunc, T::i1,
                 load_leaf(T::i8, address, k * l.width / 8, MemoryFlags::pack(false, AtomicOrdering::not_atomic, 0)));
      pool_[to.first + k] = x;
    }
  } else {
    load_value(t, address, 0, aux, to);
  }
  return to;
}

bool Legalizer::constant_lanes(V old, uint64_t* lanes, uint32_t count) {
  if (!in_.constant(old)) return false;
  Span s = leaves(old);
  if (s.count != count) return false;
  for (uint32_t k = 0; k < count; k++) {
    const Constant* c = out_.constant(leaf(s, k));
    if (!c) return false;
    if (c->kind == ConstantKind::Int || c->kind == ConstantKind::Float) lanes[k] = c->bits;
    else if (c->kind == ConstantKind::Undef || c->kind == ConstantKind::Zero) lanes[k] = 0;
    else return false;
  }
  return true;
}

bool Legalizer::constant_splat(V old, uint64_t& lane) {
  Lanes l;
  std::array<uint64_t, max_lanes> x;
  if (!in_.constant(old) || !lanes_of(old_type(old), l) || !l.width || !constant_lanes(old, x.data(), l.count))
    return false;
  lane = x[0];
  return std::all_of(x.begin(), x.begin() + l.count, [&](uint64_t y) { return y == lane; });
}

bool Legalizer::constant_index(V old, uint32_t count) {
  const Constant* c = in_.constant(old);
  return c && (c->kind == ConstantKind::Zero || (c->kind == ConstantKind::Int && c->bits < count));
}

bool Legalizer::pack_constant(const Lanes& l, Span s, Parts& out) {
  if (!l.width || s.count != l.count) return false;
  for (uint32_t k = 0; k < l.count; k++) {
    const Constant* c = out_.constant(leaf(s, k));
    if (!c || (c->kind != ConstantKind::Int && c->kind != ConstantKind::Float && c->kind != ConstantKind::Zero &&
               c->kind != ConstantKind::Undef))
      return false;
  }
  const TypeId before = reg_;
  reg_ = l.reg;
  for (uint32_t p = 0; p < l.parts; p++) {
    uint64_t word[4] = {};
    for (uint32_t k = 0; k < l.per; k++) {
      const Constant* c = out_.constant(leaf(s, p * l.per + k));
      uint64_t x = c->kind == ConstantKind::Int || c->kind == ConstantKind::Float ? c->bits : 0;
      if (l.is_mask) x = x & 1 ? ~uint64_t{0} : 0;
      if (l.width < 64) x &= (uint64_t{1} << l.width) - 1;
      word[k * l.width / 64] |= x << (k * l.width % 64);
    }
    out.push(vector_const(word));
  }
  reg_ = before;
  return true;
}

Legalizer::Parts Legalizer::pack(TypeId t, Span s, const Lanes& l) {
  Parts r;
  if (pack_constant(l, s, r)) return r;
  if (l.width && s.count == l.count) {
    std::array<V, 16> lanes;
    const uint32_t n = std::min(l.count, 128 / l.width);
    for (uint32_t at = 0; at < l.count; at += n) {
      for (uint32_t k = 0; k < n; k++) lanes[k] = leaf(s, at + k);
      r.push(pack_register(l, lanes.data()));
    }
    return joined(r, l.reg);
  }
  V address = slot(uint64_t{l.parts} * part_bits(l.reg) / 8, 16);
  const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  if (has_bits(t)) store_int(bits_of(t), gather_bits(t, s), address, 0, aux);
  else store_value(t, s, address, 0, aux);
  return load_parts(l, address, aux);
}

// One v128 of lanes.
Legalizer::V Legalizer::pack_register(const Lanes& l, const V* lanes) {
  const uint32_t n = std::min(l.count, 128 / l.width);
  if (std::all_of(lanes, lanes + n, [&](V x) {
        const Constant* c = out_.constant(x);
        return c && (c->kind == ConstantKind::Int || c->kind == ConstantKind::Float || c->kind == ConstantKind::Zero ||
                     c->kind == ConstantKind::Undef);
      })) {
    Lanes one = l;
    one.count = n;
    Span s = alloc(n);
    for (uint32_t k = 0; k < n; k++) pool_[s.first + k] = lanes[k];
    Parts r;
    if (divide(one) && pack_constant(one, s, r)) return r[0];
  }
  auto undefined = [&](uint32_t k) {
    const Constant* c = out_.constant(lanes[k]);
    return c && c->kind == ConstantKind::Undef;
  };
  std::array<V, 16> x;
  uint32_t width = l.width, count = n;
  if (l.is_mask)
    for (uint32_t k = 0; k < count; k++) {
      TypeId lane = container(width);
      x[k] = bin(Op::sub, int_const(lane, 0), conv(Op::zext, lane, lanes[k]));
    }
  else
    for (uint32_t k = 0; k < count; k++) x[k] = lanes[k];
  if (width == 8) {
    for (uint32_t k = 0; k < count; k += 2) {
      V low = conv(Op::zext, T::i32, x[k]), high = conv(Op::zext, T::i32, x[k + 1]);
      x[k / 2] = bin(Op::or_, low, bin(Op::shl, high, int_const(T::i32, 8)));
    }
    count /= 2;
  } else if (width == 16) {
    for (uint32_t k = 0; k < count; k++) x[k] = conv(Op::zext, T::i32, x[k]);
  }
  if (width <= 16) {
    V r = simd({SimdOp::from_i32, x[0]});
    for (uint32_t k = 1; k < count; k++)
      if (width == 8 || !undefined(k)) r = simd({SimdOp::insert_16, r, x[k], k});
    return r;
  }
  const SimdOp from = width == 64 ? (l.is_float ? SimdOp::from_f64 : SimdOp::from_i64)
                                  : (l.is_float ? SimdOp::from_f32 : SimdOp::from_i32);
  for (uint32_t k = 0; k < count; k++) x[k] = simd({from, x[k]});
  if (width == 32) {
    for (uint32_t k = 0; k < count; k += 2)
      x[k / 2] = undefined(k + 1) && !l.is_mask ? x[k] : simd({SimdOp::interleave_low_32, x[k], x[k + 1]});
    count /= 2;
  }
  return count == 2 ? simd({SimdOp::interleave_low_64, x[0], x[1]}) : x[0];
}

bool Legalizer::crosses_whole(V old) {
  Lanes l;
  return old.valid() && opaque(old) && lanes_of(old_type(old), l) && !l.is_mask;
}

Legalizer::Parts Legalizer::to_vector_abi(V old) {
  Lanes l;
  lanes_of(old_type(old), l);
  const Parts x = parts_of(old);
  if (l.partial()) return Parts(simd({SimdOp::to_f64, x[0]}));
  const TypeId reg = options_.abi_vector_bytes == 32 && l.bytes % 32 == 0 ? T::v256 : T::v128;
  return reg == l.reg ? x : joined(quarters(x), reg);
}

Legalizer::Parts Legalizer::from_vector_abi(TypeId t, const V* abi, uint32_t n) {
  Lanes l;
  lanes_of(t, l);
  if (l.partial()) return Parts(simd({SimdOp::from_f64, abi[0]}));
  Parts x;
  for (uint32_t k = 0; k < n && k < max_parts; k++) x.push(abi[k]);
  return x.n && ty(x[0]) == l.reg ? x : joined(quarters(x), l.reg);
}

// ---- instructions ---------------------------------------------------------------------------------------------------

bool Legalizer::has_simd_conversion(const Inst& i) {
  Lanes a, r;
  if (!i.result.valid() || !lanes_of(i.type, r) || !lanes_of(old_type(i.va()), a) || a.count != r.count || !a.width ||
      !r.width)
    return false;
  switch (i.op) {
    case Op::trunc: case Op::zext: case Op::sext:
      return (a.integer() || a.is_mask) && (r.integer() || (r.is_mask && i.op == Op::trunc));
    case Op::sitofp: case Op::uitofp: return a.integer() && a.width <= 32 && r.is_float;
    case Op::fptosi: case Op::fptoui: return r.integer() && r.width <= 32 && a.is_float;
    default: return a.is_float && r.is_float;  // fpext, fptrunc
  }
}

bool Legalizer::has_simd(const Inst& i) {
  Lanes a, r;
  const bool result = i.result.valid() && lanes_of(i.type, r);
  switch (i.op) {
    case Op::add: case Op::sub: return result && r.integer();
    case Op::and_: case Op::or_: case Op::xor_: return result && (r.integer() || r.is_mask);
    case Op::mul: return result && r.integer();
    case Op::smin: case Op::smax: case Op::umin: case Op::umax: case Op::iabs: return result && r.integer();
    case Op::uadd_sat: case Op::sadd_sat: case Op::usub_sat:
    case Op::ssub_sat: return result && r.integer() && r.width <= 16;
    case Op::shl: case Op::lshr: case Op::ashr: return result && r.integer();
    case Op::fadd: case Op::fsub: case Op::fmul: case Op::fdiv: case Op::fsqrt: case Op::fneg: case Op::fabs:
    case Op::fcopysign: return result && r.is_float;
    case Op::fma: return result && r.is_float && options_.has_fma;
    case Op::fceil: case Op::ffloor: case Op::ftrunc: case Op::frint: case Op::froundeven:
      return result && r.is_float && options_.has_avx;
    case Op::icmp: return result && lanes_of(old_type(i.va()), a) && a.integer();
    case Op::fcmp: return result && lanes_of(old_type(i.va()), a) && a.is_float;
    case Op::select:
      if (!result) return false;
      return type(old_type(i.va())).kind != TypeKind::Vector ||
             (r.width && lanes_of(old_type(i.va()), a) && a.count == r.count);
    case Op::freeze: return result;
    case Op::trunc: case Op::zext: case Op::sext: case Op::sitofp: case Op::uitofp: case Op::fptosi: case Op::fptoui:
    case Op::fpext: case Op::fptrunc: return has_simd_conversion(i);
    case Op::bitcast: {
      const bool from = lanes_of(old_type(i.va()), a);
      if (from && result) return a.is_mask == r.is_mask && a.bytes == r.bytes;
      if (!from && !result) return false;
      const Type& t = type(from ? i.type : old_type(i.va()));
      const bool scalar = t.kind == TypeKind::Int || t.kind == TypeKind::F64 || t.kind == TypeKind::F32;
      if (from && a.is_mask) return t.kind == TypeKind::Int && a.count <= 64 && t.bits <= 64;
      return scalar && !(result && r.is_mask) && (from ? a : r).bytes <= 8 * max_int_words;
    }
    case Op::extract_element:
      if (!lanes_of(old_type(i.va()), a) || !a.width) return false;
      return in_.constant(i.vb()) ? constant_index(i.vb(), a.count) : !a.is_mask && !a.partial();
    case Op::insert_element:
      if (!result || !r.width || r.is_mask) return false;
      return in_.constant(i.vc()) ? constant_index(i.vc(), r.count) : !r.partial();
    case Op::shuffle:
      return result && r.width && lanes_of(old_type(i.va()), a) && a.width && a.is_mask == r.is_mask &&
             (a.is_mask || a.width == r.width);
    case Op::reduce_add: case Op::reduce_mul: case Op::reduce_and: case Op::reduce_or: case Op::reduce_xor:
    case Op::reduce_smin: case Op::reduce_smax: case Op::reduce_umin: case Op::reduce_umax:
      return lanes_of(old_type(i.va()), a) &&
             (a.integer() || (a.is_mask && (i.op == Op::reduce_and || i.op == Op::reduce_or)));
    case Op::reduce_fadd: case Op::reduce_fmul: return lanes_of(old_type(i.vb()), a) && a.is_float;
    default: return false;
  }
}

bool Legalizer::lower_simd(const Inst& i) {
  // All vectors of the instruction, constants aside, are whole or none is: find_opaque() joined them.
  bool whole = i.result.valid() && opaque(i.result);
  for_each_operand(in_, i, [&](V v) { whole |= opaque(v); });
  if (!whole) return false;
  switch (i.op) {
    case Op::load: case Op::store: case Op::call: case Op::invoke: case Op::ret: case Op::br: case Op::cond_br:
    case Op::switch_: case Op::indirect_br: return false;
    default: break;
  }
  if (!has_simd(i)) return false;
  Lanes a, r;
  lanes_of(i.type, r);
  reg_ = r.reg;
  auto done = [&](const Parts& x, uint32_t mask_width = 0) {
    define_parts(i.result, x, mask_width);
    return true;
  };
  if (simd_idiom(i, r)) return true;
  // A mask is made as wide as the one it is combined with.
  if (r.is_mask && (i.op == Op::and_ || i.op == Op::or_ || i.op == Op::xor_ || i.op == Op::freeze)) {
    lanes_of_value(in_.constant(i.va()) && i.op != Op::freeze ? i.vb() : i.va(), r);
    reg_ = r.reg;
    const Parts x = mask_of(i.va(), r);
    if (i.op == Op::freeze) return done(each_part(x, [&](V v) { return emit(Op::freeze, r.reg, v.value); }), r.width);
    return done(each_part(x, mask_of(i.vb(), r), [&](V v, V w) { return simd_int(i.op, 8, v, w); }), r.width);
  }
  switch (i.op) {
    case Op::shl: case Op::lshr: case Op::ashr: {
      uint64_t count;
      const Parts x = parts_of(i.va());
      if (constant_splat(i.vb(), count) && count < r.width)
        return done(each_part(x, [&](V v) { return simd_shift(i.op, r.width, v, uint32_t(count)); }));
      std::array<uint64_t, max_lanes> lanes;
      if (i.op == Op::shl && (r.width == 16 || r.width == 32) && constant_lanes(i.vb(), lanes.data(), r.count)) {
        Parts to;
        for (uint32_t p = 0; p < x.n; p++) {
          uint64_t word[4] = {};
          for (uint32_t k = 0; k < r.per; k++)
            if (lanes[p * r.per + k] < r.width)
              word[k * r.width / 64] |= uint64_t{1} << (lanes[p * r.per + k] + k * r.width % 64);
          to.push(simd_multiply(r.width, x[p], vector_const(word)));
        }
        return done(to);
      }
      return done(each_part(x, parts_of(i.vb()), [&](V v, V w) { return simd_shift_by_lanes(i.op, r.width, v, w); }));
    }
    case Op::add: case Op::sub: case Op::mul: case Op::and_: case Op::or_: case Op::xor_: case Op::smin: case Op::smax:
    case Op::umin: case Op::umax: case Op::uadd_sat: case Op::sadd_sat: case Op::usub_sat: case Op::ssub_sat:
      return done(
          each_part(parts_of(i.va()), parts_of(i.vb()), [&](V v, V w) { return simd_int(i.op, r.width, v, w); }));
    case Op::iabs: return done(each_part(parts_of(i.va()), [&](V v) { return simd_int(i.op, r.width, v, {}); }));
    case Op::fadd: case Op::fsub: case Op::fmul: case Op::fdiv: case Op::fcopysign:
      return done(
          each_part(parts_of(i.va()), parts_of(i.vb()), [&](V v, V w) { return simd_float(i.op, r.width, v, w); }));
    case Op::fma: {
      const Parts x = parts_of(i.va()), y = parts_of(i.vb()), z = parts_of(i.vc());
      Parts to;
      for (uint32_t k = 0; k < x.n; k++)
        to.push(simd({r.width == 32 ? SimdOp::fma_32 : SimdOp::fma_64, x[k], y[k], z[k]}));
      return done(to);
    }
    case Op::fceil: case Op::ffloor: case Op::ftrunc: case Op::frint: case Op::froundeven: {
      // 8: no exception for what is inexact; rint has one.
      const unsigned mode = i.op == Op::fceil    ? 10
                            : i.op == Op::ffloor ? 9
                            : i.op == Op::ftrunc ? 11
                            : i.op == Op::frint  ? 4
                                                 : 8;
      return done(each_part(parts_of(i.va()), [&](V v) {
        return simd({r.width == 32 ? SimdOp::round_32 : SimdOp::round_64, v, mode});
      }));
    }
    case Op::fsqrt: case Op::fneg: case Op::fabs:
      return done(each_part(parts_of(i.va()), [&](V v) { return simd_float(i.op, r.width, v, {}); }));
    case Op::icmp: case Op::fcmp: {
      lanes_of(old_type(i.va()), a);
      reg_ = a.reg;
      const Parts m = each_part(parts_of(i.va()), parts_of(i.vb()), [&](V v, V w) {
        return i.op == Op::icmp ? simd_compare(IntPredicate(i.aux), a.width, v, w)
                                : simd_fcompare(FloatPredicate(i.aux), a.width, v, w);
      });
      const uint32_t width = std::max(a.width, r.width);
      return done(resize_mask(m, a.count, a.width, width), width);
    }
    case Op::select: {
      if (type(old_type(i.va())).kind != TypeKind::Vector) {
        const V c = single(i.va());
        if (r.is_mask) {  // as wide as the type says
          lanes_of(i.type, r);
          return done(each_part(mask_of(i.vb(), r), mask_of(i.vc(), r), [&](V v, V w) {
            return emit(Op::select, r.reg, c.value, v.value, w.value);
          }), r.width);
        }
        return done(each_part(parts_of(i.vb()), parts_of(i.vc()),
                              [&](V v, V w) { return emit(Op::select, r.reg, c.value, v.value, w.value); }));
      }
      if (r.is_mask) lanes_of_value(i.va(), r);
      reg_ = r.reg;
      const Parts m = mask_of(i.va(), r);
      const Parts b = r.is_mask ? mask_of(i.vb(), r) : parts_of(i.vb()),
                  c = r.is_mask ? mask_of(i.vc(), r) : parts_of(i.vc());
      Parts to;
      for (uint32_t k = 0; k < m.n; k++) to.push(simd_blend(m[k], b[k], c[k]));
      return done(to, r.is_mask ? r.width : 0);
    }
    case Op::freeze:
      return done(each_part(parts_of(i.va()), [&](V v) { return emit(Op::freeze, r.reg, v.value); }));
    default: return lower_simd_lanes(i, r);
  }
}

// Conversions, single lanes, shuffles, reductions.
bool Legalizer::lower_simd_lanes(const Inst& i, const Lanes& r) {
  Lanes a;
  switch (i.op) {
    case Op::trunc: case Op::zext: case Op::sext: case Op::sitofp: case Op::uitofp: case Op::fptosi: case Op::fptoui:
    case Op::fpext: case Op::fptrunc: define_parts(i.result, convert_simd(i, r)); return true;
    case Op::bitcast: simd_bitcast(i); return true;
    case Op::extract_element: {
      if (!in_.constant(i.vb())) return element_in_memory(i), true;
      uint64_t k = 0;
      lanes_of_value(i.va(), a);
      const_value(vals(i.vb())[0], k);
      const uint32_t n = std::min(a.count, 128 / a.width);
      const Parts x = quarters(parts_of(i.va()));
      define(i.result, Vals(simd_extract(a, type(old_type(i.va())).element, x[uint32_t(k) / n], uint32_t(k) % n)));
      return true;
    }
    case Op::insert_element: {
      if (!in_.constant(i.vc())) return element_in_memory(i), true;
      uint64_t k = 0;
      const_value(vals(i.vc())[0], k);
      V element = single(i.vb());
      const Constant* c = in_.constant(i.va());
      const uint32_t n = std::min(r.count, 128 / r.width), at = uint32_t(k) / n;
      Parts x = quarters(parts_of(i.va()));
      x[at] = c && c->kind == ConstantKind::Undef && k % n == 0 ? simd_from_scalar(r, element)
                                                                : simd_insert(r, x[at], element, uint32_t(k) % n);
      define_parts(i.result, joined(x, r.reg));
      return true;
    }
    case Op::shuffle: {
      lanes_of_value(i.va(), a);
      if (a.is_mask) {
        Lanes b;
        lanes_of_value(i.vb(), b);
        if (in_.constant(i.va())) a = b;
        Lanes to = r;
        to.width = std::max(a.width, r.width);
        const Parts x = resize_mask(mask_of(i.va(), a), a.count, a.width, to.width),
                    y = resize_mask(mask_of(i.vb(), a), a.count, a.width, to.width);
        a.width = to.width;
        if (!divide(a) || !divide(to)) fail("a vector of too many lanes");
        else define_parts(i.result, simd_shuffles(to, a, x, y, in_.extra.data() + i.c + 1), to.width);
        return true;
      }
      const Parts x = parts_of(i.va()), y = parts_of(i.vb());
      define_parts(i.result, simd_shuffles(r, a, x, y, in_.extra.data() + i.c + 1));
      return true;
    }
    case Op::reduce_fadd: case Op::reduce_fmul: {
      lanes_of(old_type(i.vb()), a);
      V x = single(i.va());
      define(i.result, Vals(float_reduce(i, a, x, parts_of(i.vb()))));
      return true;
    }
    default:  // reductions of integers
      lanes_of_value(i.va(), a);
      define(i.result, simd_reduce(i.op, a, parts_of(i.va())));
      return true;
  }
}

Legalizer::Parts Legalizer::convert_simd(const Inst& i, const Lanes& r) {
  Lanes a;
  lanes_of_value(i.va(), a);
  reg_ = a.reg;
  Parts x = parts_of(i.va());
  const uint32_t n = a.count;
  switch (i.op) {
    case Op::trunc: case Op::zext: case Op::sext: {
      if (r.is_mask) {  // the lowest bit of each lane
        x = each_part(x, [&](V v) {
          return simd_int(Op::sub, a.width, zero_vector(), simd({SimdOp::and_, v, splat_const(a.width, 1)}));
        });
        return resize_mask(x, n, a.width, r.width);
      }
      if (!a.is_mask) return resize_lanes(x, n, a.width, r.width, i.op == Op::sext);
      x = resize_mask(x, n, a.width, r.width);
      reg_ = r.reg;
      if (i.op == Op::sext) return x;
      return each_part(x, [&](V v) {
        if (r.width == 8) return simd({SimdOp::and_, v, splat_const(8, 1)});
        return simd_shift(Op::lshr, r.width, v, r.width - 1);
      });
    }
    case Op::sitofp: case Op::uitofp: {
      const bool is_unsigned = i.op == Op::uitofp && a.width == 32 && !(i.flags & flags::non_negative);
      if (a.width < 32) x = resize_lanes(x, n, a.width, 32, i.op == Op::sitofp);
      if (is_unsigned && r.width == 64) {
        x = resize_lanes(x, n, 32, 64, false);
        reg_ = r.reg;
        return each_part(x, [&](V v) { return u32_to_float(true, v); });
      }
      if (r.width == 64) return halves_to_double(x, n, SimdOp::sitofp_32_64);
      return each_part(x, [&](V v) {
        reg_ = ty(v);
        return is_unsigned ? u32_to_float(false, v) : simd({SimdOp::sitofp_32, v});
      });
    }
    case Op::fptosi: case Op::fptoui: {
      const bool is_unsigned = i.op == Op::fptoui && r.width == 32;
      if (a.width == 32) {
        x = each_part(x, [&](V v) { return is_unsigned ? float_to_u32(v) : simd({SimdOp::fptosi_32, v}); });
      } else if (is_unsigned) {
        const Parts low = doubles_to_half(x, n, SimdOp::fptosi_64_32);
        const Parts high = doubles_to_half(
            each_part(x, [&](V v) { return simd({SimdOp::fsub_64, v, splat_const(64, 0x41e0000000000000)}); }), n,
            SimdOp::fptosi_64_32);
        x = each_part(low, high, [&](V v, V w) {
          return simd({SimdOp::or_, v, simd({SimdOp::and_, w, simd({SimdOp::ashr_32, v, 31})})});
        });
      } else {
        x = doubles_to_half(x, n, SimdOp::fptosi_64_32);
      }
      return r.width < 32 ? resize_lanes(x, n, 32, r.width, false) : x;
    }
    case Op::fpext: return a.width == r.width ? x : halves_to_double(x, n, SimdOp::fpext_32_64);
    default: return a.width == r.width ? x : doubles_to_half(x, n, SimdOp::fptrunc_64_32);
  }
}

}  // namespace lode::air
