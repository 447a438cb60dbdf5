// Vectors that stay whole: which values are one v128, what becomes of the instructions on them, and the way to and from
// lanes.
//
// A vector of 16, 8 or 4 bytes may be one v128 (a shorter one in its lower part; what is above is anything). So may the
// result of a comparison, a vector of i1: all bits of a lane are 1 or 0, and with n lanes a lane is 128 / n bits wide,
// whatever was compared, so that the type alone says how to read it. Everything else is a list of leaves
// (legalize_vector.cpp).
//
// find_opaque() decides for webs: values connected by block parameters, moves, and instructions that lower_simd() has a
// good way for. An instruction that it has none for is done lane by lane, with unpack() before and pack() behind, which
// costs about what the lanes cost. A web whose instructions are more often of that kind is left in lanes altogether.
//
// Requires: nothing. Leaves true: opaque(v) says that map_[v] is one leaf of type v128.
#include <algorithm>
#include <array>
#include <numeric>

#include "codegen/air/legalize_impl.h"

namespace lode::air {

bool Legalizer::lanes_of(TypeId id, Lanes& out) {
  const Type& t = type(id);
  out = {};
  if (t.kind != TypeKind::Vector || t.count < 1 || t.count > 16) return false;
  const Type& e = type(t.element);
  out.count = uint32_t(t.count);
  if (e.kind == TypeKind::Int && e.bits == 1) {
    out.is_mask = true;
    out.width = 128 / out.count;
    return out.count == 2 || out.count == 4 || out.count == 8 || out.count == 16;
  }
  const uint64_t bytes = types_.store_size_of(id);
  if (bytes != 4 && bytes != 8 && bytes != 16) return false;
  out.bytes = uint32_t(bytes);
  out.is_float = e.kind == TypeKind::F32 || e.kind == TypeKind::F64;
  if (out.count > 1 && (out.is_float || (e.kind == TypeKind::Int && natural(e.bits)))) {
    out.width = out.bytes * 8 / out.count;
    return true;
  }
  return bytes == 16 && !packed(t) && has_bits(id) && leaves_.of(id).ok;
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
  for (uint32_t v = 0; v < n; v++)
    if (candidate[v] && score[root(v)] >= 0) opaque_[v] = 1;
}

// ---- lanes ----------------------------------------------------------------------------------------------------------

Legalizer::Span Legalizer::unpack(V old, V value) {
  TypeId t = old_type(old);
  const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  V address = slot(16, 16);
  store_leaf(value, address, 0, aux);
  Span to = alloc(leaf_count(t));
  Lanes l;
  lanes_of(t, l);
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
  std::array<uint64_t, 16> x;
  if (!lanes_of(old_type(old), l) || !l.width || !constant_lanes(old, x.data(), l.count)) return false;
  lane = x[0];
  return std::all_of(x.begin(), x.begin() + l.count, [&](uint64_t y) { return y == lane; });
}

bool Legalizer::constant_index(V old, uint32_t count) {
  const Constant* c = in_.constant(old);
  return c && (c->kind == ConstantKind::Zero || (c->kind == ConstantKind::Int && c->bits < count));
}

Legalizer::V Legalizer::pack_constant(TypeId t, Span s) {
  Lanes l;
  if (!lanes_of(t, l) || !l.width || s.count != l.count) return {};
  uint64_t word[2] = {};
  for (uint32_t k = 0; k < l.count; k++) {
    const Constant* c = out_.constant(leaf(s, k));
    if (!c || (c->kind != ConstantKind::Int && c->kind != ConstantKind::Float && c->kind != ConstantKind::Zero &&
               c->kind != ConstantKind::Undef))
      return {};
    uint64_t x = c->kind == ConstantKind::Int || c->kind == ConstantKind::Float ? c->bits : 0;
    if (l.is_mask) x = x & 1 ? ~uint64_t{0} : 0;
    if (l.width < 64) x &= (uint64_t{1} << l.width) - 1;
    word[k * l.width / 64] |= x << (k * l.width % 64);
  }
  if (word[0] == 0 && word[1] == 0) return zero_const(T::v128);
  return wide_float_const(T::v128, word[0], word[1]);
}

Legalizer::V Legalizer::pack(TypeId t, Span s) {
  Lanes l;
  if (!lanes_of(t, l)) {
    fail("a vector of this kind in a register");
    return undef_const(T::v128);
  }
  if (V c = pack_constant(t, s); c.valid()) return c;
  if (l.width && s.count == l.count) {
    auto undefined = [&](uint32_t k) {
      const Constant* c = out_.constant(leaf(s, k));
      return c && c->kind == ConstantKind::Undef;
    };
    std::array<V, 16> x;
    uint32_t width = l.width, count = l.count;
    if (l.is_mask)
      for (uint32_t k = 0; k < count; k++) {
        TypeId lane = container(width);
        x[k] = bin(Op::sub, int_const(lane, 0), conv(Op::zext, lane, leaf(s, k)));
      }
    else
      for (uint32_t k = 0; k < count; k++) x[k] = leaf(s, k);
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
  V address = slot(16, 16);
  const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  if (has_bits(t)) store_int(bits_of(t), gather_bits(t, s), address, 0, aux);
  else store_value(t, s, address, 0, aux);
  return load_leaf(T::v128, address, 0, aux);
}

bool Legalizer::crosses_whole(V old) {
  Lanes l;
  return old.valid() && opaque(old) && lanes_of(old_type(old), l) && !l.is_mask;
}

Legalizer::V Legalizer::to_vector_abi(V old) {
  Lanes l;
  lanes_of(old_type(old), l);
  V x = as_opaque(old);
  return l.partial() ? simd({SimdOp::to_f64, x}) : x;
}

Legalizer::V Legalizer::from_vector_abi(TypeId t, V abi) {
  Lanes l;
  lanes_of(t, l);
  return l.partial() ? simd({SimdOp::from_f64, abi}) : abi;
}

// ---- instructions ---------------------------------------------------------------------------------------------------

bool Legalizer::has_simd(const Inst& i) {
  Lanes a, r;
  const bool result = i.result.valid() && lanes_of(i.type, r);
  uint64_t x;
  switch (i.op) {
    case Op::add: case Op::sub: return result && r.integer();
    case Op::and_: case Op::or_: case Op::xor_: return result && (r.integer() || r.is_mask);
    case Op::mul: return result && r.integer();
    case Op::smin: case Op::smax: case Op::umin: case Op::umax: case Op::iabs: return result && r.integer();
    case Op::uadd_sat: case Op::sadd_sat: case Op::usub_sat:
    case Op::ssub_sat: return result && r.integer() && r.width <= 16;
    case Op::shl: {
      std::array<uint64_t, 16> lanes;
      if (!result || !r.integer()) return false;
      if (constant_splat(i.vb(), x)) return x < r.width;
      return (r.width == 16 || r.width == 32) && constant_lanes(i.vb(), lanes.data(), r.count);
    }
    case Op::lshr: case Op::ashr: return result && r.integer() && constant_splat(i.vb(), x) && x < r.width;
    case Op::fadd: case Op::fsub: case Op::fmul: case Op::fdiv: case Op::fsqrt: case Op::fneg: case Op::fabs:
    case Op::fcopysign: return result && r.is_float;
    case Op::icmp: return result && lanes_of(old_type(i.va()), a) && a.integer();
    case Op::fcmp: return result && lanes_of(old_type(i.va()), a) && a.is_float;
    case Op::select:
      if (!result) return false;
      return type(old_type(i.va())).kind != TypeKind::Vector ||
             (r.width && lanes_of(old_type(i.va()), a) && a.count == r.count);
    case Op::freeze: return result;
    case Op::trunc: case Op::zext: case Op::sext:
      return result && lanes_of(old_type(i.va()), a) && a.width && a.count == r.count &&
             !(i.op != Op::trunc && r.is_mask) && (r.width <= 64 && a.width <= 64);
    case Op::sitofp:
      return result && lanes_of(old_type(i.va()), a) && a.integer() && a.width == 32 && a.count == r.count;
    case Op::fptosi:
      return result && r.integer() && r.width == 32 && lanes_of(old_type(i.va()), a) && a.is_float &&
             a.count == r.count;
    case Op::fpext:
    case Op::fptrunc: return result && r.is_float && lanes_of(old_type(i.va()), a) && a.is_float && a.count == r.count;
    case Op::bitcast: {
      const bool from = lanes_of(old_type(i.va()), a);
      if (from && result) return a.is_mask == r.is_mask && a.bytes == r.bytes;
      if (from) {
        if (a.is_mask) return type(i.type).kind == TypeKind::Int;
        TypeKind k = type(i.type).kind;
        return k == TypeKind::Int || k == TypeKind::F64 || k == TypeKind::F32;
      }
      const Type& t = type(old_type(i.va()));
      return result && !r.is_mask && (t.kind == TypeKind::Int || t.kind == TypeKind::F64 || t.kind == TypeKind::F32);
    }
    case Op::extract_element:
      return lanes_of(old_type(i.va()), a) && a.width && in_.constant(i.vb()) && constant_index(i.vb(), a.count);
    case Op::insert_element:
      return result && r.width && !r.is_mask && in_.constant(i.vc()) && constant_index(i.vc(), r.count);
    case Op::shuffle:
      if (!result || !r.width || !lanes_of(old_type(i.va()), a) || a.width != r.width || a.is_mask || r.is_mask)
        return false;
      return simd_shuffle(r.width, {}, {}, in_.extra.data() + i.c + 1, r.count, a.count, true).valid();
    case Op::reduce_add: case Op::reduce_mul: case Op::reduce_and: case Op::reduce_or: case Op::reduce_xor:
    case Op::reduce_smin: case Op::reduce_smax: case Op::reduce_umin: case Op::reduce_umax:
      return lanes_of(old_type(i.va()), a) &&
             (a.integer() || (a.is_mask && (i.op == Op::reduce_and || i.op == Op::reduce_or)));
    case Op::reduce_fadd: case Op::reduce_fmul: return lanes_of(old_type(i.vb()), a) && a.is_float;
    default: return false;
  }
}

bool Legalizer::lower_simd(const Inst& i) {
  // All vectors of the instruction, constants aside, are v128 or none is: find_opaque() joined them.
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
  auto done = [&](V x) {
    if (!x.valid()) fail("a vector operation: internal error");
    else define(i.result, Vals(x));
    return true;
  };
  auto A = [&] { return as_opaque(i.va()); };
  auto B = [&] { return as_opaque(i.vb()); };
  switch (i.op) {
    case Op::shl: case Op::lshr: case Op::ashr: {
      uint64_t count;
      if (constant_splat(i.vb(), count)) return done(simd_shift(i.op, r.width, A(), uint32_t(count)));
      std::array<uint64_t, 16> lanes;
      constant_lanes(i.vb(), lanes.data(), r.count);
      uint64_t word[2] = {};
      for (uint32_t k = 0; k < r.count; k++)
        if (lanes[k] < r.width) word[k * r.width / 64] |= uint64_t{1} << (lanes[k] + k * r.width % 64);
      return done(simd_multiply(r.width, A(), wide_float_const(T::v128, word[0], word[1])));
    }
    case Op::add: case Op::sub: case Op::mul: case Op::and_: case Op::or_: case Op::xor_: case Op::smin: case Op::smax:
    case Op::umin: case Op::umax: case Op::uadd_sat: case Op::sadd_sat: case Op::usub_sat: case Op::ssub_sat: {
      V x = A(), y = B();
      return done(simd_int(i.op, r.width, x, y));
    }
    case Op::iabs: return done(simd_int(i.op, r.width, A(), {}));
    case Op::fadd: case Op::fsub: case Op::fmul: case Op::fdiv: case Op::fcopysign: {
      V x = A(), y = B();
      return done(simd_float(i.op, r.width, x, y));
    }
    case Op::fsqrt: case Op::fneg: case Op::fabs: return done(simd_float(i.op, r.width, A(), {}));
    case Op::icmp: case Op::fcmp: {
      lanes_of(old_type(i.va()), a);
      V x = A(), y = B();
      V m = i.op == Op::icmp ? simd_compare(IntPredicate(i.aux), a.width, x, y)
                             : simd_fcompare(FloatPredicate(i.aux), a.width, x, y);
      return done(simd_mask_resize(m, a.width, r.width));
    }
    case Op::select: {
      V b = as_opaque(i.vb()), c = as_opaque(i.vc());
      if (type(old_type(i.va())).kind != TypeKind::Vector)
        return done(emit(Op::select, T::v128, single(i.va()).value, b.value, c.value));
      lanes_of(old_type(i.va()), a);
      return done(simd_blend(simd_mask_resize(A(), a.width, r.width), b, c));
    }
    case Op::freeze: return done(emit(Op::freeze, T::v128, A().value));
    case Op::trunc: case Op::zext: case Op::sext: {
      lanes_of(old_type(i.va()), a);
      V x = A();
      if (r.is_mask) {  // the lowest bit of each lane
        x = simd({SimdOp::and_, x, splat_const(a.width, 1)});
        return done(simd_mask_resize(simd_int(Op::sub, a.width, zero_const(T::v128), x), a.width, r.width));
      }
      if (!a.is_mask) return done(simd_resize(x, a.width, r.width, i.op == Op::sext));
      x = simd_mask_resize(x, a.width, r.width);
      if (i.op == Op::sext) return done(x);
      return done(r.width == 8 ? simd({SimdOp::and_, x, splat_const(8, 1)})
                               : simd_shift(Op::lshr, r.width, x, r.width - 1));
    }
    case Op::sitofp: return done(simd({r.width == 32 ? SimdOp::sitofp_32 : SimdOp::sitofp_32_64, A()}));
    case Op::fptosi:
      lanes_of(old_type(i.va()), a);
      return done(simd({a.width == 32 ? SimdOp::fptosi_32 : SimdOp::fptosi_64_32, A()}));
    case Op::fpext: return done(simd({SimdOp::fpext_32_64, A()}));
    case Op::fptrunc: return done(simd({SimdOp::fptrunc_64_32, A()}));
    case Op::bitcast: simd_bitcast(i); return true;
    case Op::extract_element: {
      uint64_t k = 0;
      lanes_of(old_type(i.va()), a);
      const_value(vals(i.vb())[0], k);
      define(i.result, Vals(simd_extract(a, type(old_type(i.va())).element, A(), uint32_t(k))));
      return true;
    }
    case Op::insert_element: {
      uint64_t k = 0;
      const_value(vals(i.vc())[0], k);
      V element = single(i.vb());
      const Constant* c = in_.constant(i.va());
      if (c && c->kind == ConstantKind::Undef && k == 0) return done(simd_from_scalar(r, element));
      return done(simd_insert(r, A(), element, uint32_t(k)));
    }
    case Op::shuffle: {
      lanes_of(old_type(i.va()), a);
      V x = A(), y = B();
      return done(simd_shuffle(r.width, x, y, in_.extra.data() + i.c + 1, r.count, a.count, false));
    }
    case Op::reduce_fadd: case Op::reduce_fmul: {
      lanes_of(old_type(i.vb()), a);
      TypeId e = type(old_type(i.vb())).element;
      V x = single(i.va()), y = B();
      for (uint32_t k = 0; k < a.count; k++)
        x = emit(i.op == Op::reduce_fadd ? Op::fadd : Op::fmul, e, x.value, simd_extract(a, e, y, k).value, ~0u, 0,
                 i.flags);
      define(i.result, Vals(x));
      return true;
    }
    default: {  // reductions of integers
      lanes_of(old_type(i.va()), a);
      define(i.result, Vals(simd_reduce(i.op, a, A())));
      return true;
    }
  }
}

}  // namespace lode::air
