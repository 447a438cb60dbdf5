// Values, constants and emission of legalisation: what the parts that rewrite instructions are written in.
#include <bit>

#include "base/bytes.h"
#include "codegen/air/legalize_impl.h"

namespace lode::air {

// ---- values ---------------------------------------------------------------------------------------------------------

std::string Legalizer::describe(TypeId t) const {
  const Type& x = type(t);
  switch (x.kind) {
    case TypeKind::Int: return "i" + std::to_string(x.bits);
    case TypeKind::F80: return "f80";
    case TypeKind::F128: return "f128";
    case TypeKind::Vector: return "vector of " + std::to_string(x.count) + " " + describe(x.element);
    case TypeKind::Array: return "array";
    case TypeKind::Struct: return "struct";
    default: return "this type";
  }
}

uint32_t Legalizer::leaf_count(TypeId t) {
  const LeafTable::Entry& e = leaves_.of(t);
  if (!e.ok) fail(leaves_.error);
  return e.count;
}

Legalizer::Span Legalizer::leaves(V old) {
  Span s = map_[old.value];
  if (s.count != ~0u) {
    if (!opaque(old)) return s;
    return unpack(old, parts_of(old));  // a vector that is looked into after all
  }
  if (in_.values[old.value].kind() == ValueKind::Const) {
    constant_leaves(old, 0);
    s = map_[old.value];
    if (s.count != ~0u) return s;
  }
  // Used in a block that no path reaches.
  s = undef_leaves(old_type(old));
  return s;
}

Legalizer::V Legalizer::single(V old) {
  Span s = leaves(old);
  if (s.count != 1) {
    fail("an operand of type " + describe(old_type(old)));
    return undef_const(T::i64);
  }
  return leaf(s, 0);
}

Vals Legalizer::vals(Span s, uint32_t first, uint32_t count) const {
  Vals x;
  if (count > max_int_words) count = max_int_words;
  for (uint32_t k = 0; k < count; k++) x.push(leaf(s, first + k));
  return x;
}
Vals Legalizer::vals(V old) {
  Span s = leaves(old);
  if (s.count > max_int_words) fail("an operand of type " + describe(old_type(old)));
  return vals(s, 0, s.count);
}

void Legalizer::define(V old, Span s) {
  if (!old.valid()) return;
  Lanes l;
  if (opaque(old) && error_.empty() && lanes_of(old_type(old), l))
    return define_parts(old, pack(old_type(old), s, l));  // a vector that was made lane by lane
  map_[old.value] = s;
}

void Legalizer::define(V old, const Vals& x) {
  if (!old.valid()) return;
  Span s = alloc(x.n);
  for (uint32_t k = 0; k < x.n; k++) pool_[s.first + k] = x[k];
  define(old, s);
}

Legalizer::Span Legalizer::copy(Span s) {
  Span to = alloc(s.count);
  for (uint32_t k = 0; k < s.count; k++) pool_[to.first + k] = pool_[s.first + k];
  return to;
}

Legalizer::Span Legalizer::undef_leaves(TypeId t) {
  uint32_t n = leaf_count(t);
  Span s = alloc(n);
  const LeafTable::Entry e = leaves_.of(t);
  for (uint32_t k = 0; k < n; k++) {
    const Leaf l = leaves_.leaves[e.first + k];
    bool odd = l.bits && l.bits != 1 && !natural(l.bits);
    pool_[s.first + k] = odd ? int_const(l.type, 0) : undef_const(l.type);
  }
  return s;
}

// ---- constants ------------------------------------------------------------------------------------------------------

Legalizer::V Legalizer::int_const(TypeId t, uint64_t v) {
  uint32_t bits = type(t).bits;
  if (bits < 64) v &= (uint64_t{1} << bits) - 1;
  V& known = int_constants_[t.value].try_emplace(v, V{}).first->second;
  if (!known.valid()) {
    known = V(uint32_t(out_.values.size()));
    out_.values.push_back(Value::make(t, ValueKind::Const, uint32_t(out_.constants.size())));
    out_.constants.push_back({ConstantKind::Int, t, ~0u, v});
  }
  return known;
}

Legalizer::V Legalizer::add_constant(const Constant& c) {
  V v(uint32_t(out_.values.size()));
  out_.values.push_back(Value::make(c.type, ValueKind::Const, uint32_t(out_.constants.size())));
  out_.constants.push_back(c);
  return v;
}

Legalizer::V Legalizer::zero_const(TypeId t) {
  TypeKind k = type(t).kind;
  if (k == TypeKind::Int) return int_const(t, 0);
  V& known = zeros_[t.value];
  if (!known.valid()) {
    bool is_float = k == TypeKind::F32 || k == TypeKind::F64;
    known = add_constant({is_float ? ConstantKind::Float : ConstantKind::Zero, t, ~0u, 0});
  }
  return known;
}

Legalizer::V Legalizer::undef_const(TypeId t) {
  V& known = undefs_[t.value];
  if (!known.valid()) known = add_constant({ConstantKind::Undef, t, ~0u, 0});
  return known;
}

Legalizer::V Legalizer::wide_float_const(TypeId t, uint64_t lo, uint64_t hi) {
  Constant c{ConstantKind::WideFloat, t, ~0u, out_.extra.size()};
  out_.extra.push_back(uint32_t(lo));
  out_.extra.push_back(uint32_t(lo >> 32));
  out_.extra.push_back(uint32_t(hi));
  if (t == T::f128 || t == T::v128) out_.extra.push_back(uint32_t(hi >> 32));
  return add_constant(c);
}

// f32, f64, f80
Legalizer::V Legalizer::f_const(TypeId t, double v) {
  if (t == T::f32) return add_constant({ConstantKind::Float, t, ~0u, std::bit_cast<uint32_t>(float(v))});
  if (t == T::f64) return add_constant({ConstantKind::Float, t, ~0u, std::bit_cast<uint64_t>(v)});
  if (v == 0) return zero_const(T::f80);
  uint64_t b = std::bit_cast<uint64_t>(v);
  uint64_t sign = b >> 63 << 15, exponent = b >> 52 & 0x7ff, mantissa = b << 11 | uint64_t{1} << 63;
  if (exponent == 0x7ff) return wide_float_const(T::f80, mantissa, sign | 0x7fff);
  return wide_float_const(T::f80, mantissa, sign | (exponent - 1023 + 16383));
}

bool Legalizer::const_value(V v, uint64_t& out) const {
  const Constant* c = out_.constant(v);
  if (!c || c->kind != ConstantKind::Int) return false;
  out = c->bits;
  return true;
}

void Legalizer::constant_leaves(V old, unsigned depth) {
  if (depth > TypeTable::max_nesting) return fail("a constant nested too deeply");
  const Constant c = *in_.constant(old);
  const Type& t = type(c.type);
  switch (c.kind) {
    case ConstantKind::Int:
      if (t.kind != TypeKind::Int || t.bits > 64) return fail("a malformed constant");
      define(old, int_value(t.bits, c.bits));
      return;
    case ConstantKind::WideInt: {
      uint32_t n = leaf_count(c.type), w32 = (t.bits + 31) / 32;
      if (!error_.empty()) return;
      Vals x;
      for (uint32_t k = 0; k < n; k++) {
        uint64_t lo = in_.extra[c.bits + 2 * k], hi = 2 * k + 1 < w32 ? in_.extra[c.bits + 2 * k + 1] : 0;
        x.push(int_const(T::i64, lo | hi << 32));
      }
      define(old, norm(t.bits, x));
      return;
    }
    case ConstantKind::Float:
      if (is_half(c.type)) define(old, Vals(int_const(T::i16, c.bits)));
      else define(old, Vals(add_constant({ConstantKind::Float, c.type, ~0u, c.bits})));
      return;
    case ConstantKind::WideFloat: {
      const uint32_t* w = &in_.extra[c.bits];
      uint64_t lo = w[0] | uint64_t(w[1]) << 32, hi = w[2];
      if (c.type == T::f128) hi |= uint64_t(w[3]) << 32;
      if (c.type == T::f128 && options_.f128_as_pair) define(old, Vals(int_const(T::i64, lo), int_const(T::i64, hi)));
      else if (c.type == T::f128) return fail("an f128 constant");  // lower_entry() made them all
      else if (!options_.has_f80) return fail("f80 is not supported by this target");
      else define(old, Vals(wide_float_const(c.type, lo, hi)));
      return;
    }
    case ConstantKind::Zero: {
      uint32_t n = leaf_count(c.type);
      if (!error_.empty()) return;
      Span s = alloc(n);
      const LeafTable::Entry e = leaves_.of(c.type);
      for (uint32_t k = 0; k < n; k++) pool_[s.first + k] = zero_const(leaves_.leaves[e.first + k].type);
      define(old, s);
      return;
    }
    case ConstantKind::Undef: {
      Span s = undef_leaves(c.type);
      define(old, s);
      return;
    }
    case ConstantKind::Symbol: case ConstantKind::BlockAddress: case ConstantKind::Runtime:
      define(old, Vals(add_constant(c)));
      return;
    case ConstantKind::Aggregate: {
      uint32_t n = leaf_count(c.type);
      if (!error_.empty()) return;
      Span s = alloc(n);
      uint32_t at = 0;
      uint64_t members = t.kind == TypeKind::Struct ? t.field_count : t.count;
      for (uint64_t m = 0; m < members && at < n; m++) {
        V v(in_.extra[c.bits + m]);
        if (map_[v.value].count == ~0u) {
          if (!in_.constant(v)) return fail("a malformed constant");
          constant_leaves(v, depth + 1);
        }
        if (!error_.empty()) return;
        Span part = map_[v.value];
        if (part.count > n - at) return fail("a malformed constant");
        for (uint32_t k = 0; k < part.count; k++) pool_[s.first + at + k] = pool_[part.first + k];
        at += part.count;
      }
      if (at != n) return fail("a malformed constant");
      define(old, s);
      return;
    }
  }
}

// ---- emission -------------------------------------------------------------------------------------------------------

Legalizer::V Legalizer::emit(Op op, TypeId t, uint32_t a, uint32_t b, uint32_t c, uint16_t aux, uint8_t flags) {
  Inst i{op};
  i.flags = flags;
  i.aux = aux;
  i.type = t;
  i.a = a;
  i.b = b;
  i.c = c;
  if (t != T::void_type) {
    i.result = V(uint32_t(out_.values.size()));
    out_.values.push_back(Value::make(t, ValueKind::Inst, uint32_t(out_.insts.size())));
  }
  out_.insts.push_back(i);
  if (!in_.inst_locations.empty()) out_.inst_locations.push_back(location_);
  return i.result;
}

Legalizer::V Legalizer::bin(Op op, V a, V b, uint8_t flags) {
  uint64_t x = 0, y = 0;
  bool ca = const_value(a, x), cb = const_value(b, y);
  TypeId t = ty(a);
  if (ca && cb) {
    uint32_t bits = type(t).bits;
    switch (op) {
      case Op::add: return int_const(t, x + y);
      case Op::sub: return int_const(t, x - y);
      case Op::mul: return int_const(t, x * y);
      case Op::and_: return int_const(t, x & y);
      case Op::or_: return int_const(t, x | y);
      case Op::xor_: return int_const(t, x ^ y);
      case Op::shl: if (y < bits) return int_const(t, x << y); break;
      case Op::lshr: if (y < bits) return int_const(t, x >> y); break;
      case Op::ashr: if (y < bits) return int_const(t, uint64_t(sign_extend(x, bits) >> y)); break;
      case Op::umulh: if (bits == 64) return int_const(t, uint64_t((unsigned __int128)x * y >> 64)); break;
      default: break;
    }
  }
  if (ca && !cb && (info(op).traits & traits::Comm)) {
    std::swap(a, b);
    std::swap(x, y);
    std::swap(ca, cb);
  }
  if (cb && y == 0) {
    switch (op) {
      case Op::add: case Op::sub: case Op::or_: case Op::xor_: case Op::shl: case Op::lshr: case Op::ashr: return a;
      case Op::mul: case Op::and_: case Op::umulh: return b;
      default: break;
    }
  }
  if (cb && op == Op::and_ && type(t).bits && y == (~uint64_t{0} >> (64 - type(t).bits))) return a;
  if (cb && y == 1 && op == Op::mul) return a;
  if (ca && x == 0 && (op == Op::shl || op == Op::lshr || op == Op::ashr)) return a;
  return emit(op, t, a.value, b.value, ~0u, 0, flags);
}

Legalizer::V Legalizer::conv(Op op, TypeId t, V a) {
  if (ty(a) == t && (op == Op::zext || op == Op::sext || op == Op::trunc || op == Op::bitcast)) return a;
  uint64_t x;
  if (const_value(a, x)) {
    if (op == Op::zext || op == Op::trunc) return int_const(t, x);
    if (op == Op::sext) return int_const(t, uint64_t(sign_extend(x, type(ty(a)).bits)));
  }
  return emit(op, t, a.value);
}

Legalizer::V Legalizer::icmp(IntPredicate p, V a, V b) {
  uint64_t x, y;
  if (const_value(a, x) && const_value(b, y)) {
    uint32_t bits = type(ty(a)).bits;
    int64_t sx = sign_extend(x, bits), sy = sign_extend(y, bits);
    bool r = false;
    switch (p) {
      case IntPredicate::eq: r = x == y; break;
      case IntPredicate::ne: r = x != y; break;
      case IntPredicate::ugt: r = x > y; break;
      case IntPredicate::uge: r = x >= y; break;
      case IntPredicate::ult: r = x < y; break;
      case IntPredicate::ule: r = x <= y; break;
      case IntPredicate::sgt: r = sx > sy; break;
      case IntPredicate::sge: r = sx >= sy; break;
      case IntPredicate::slt: r = sx < sy; break;
      case IntPredicate::sle: r = sx <= sy; break;
    }
    return int_const(T::i1, r);
  }
  return emit(Op::icmp, T::i1, a.value, b.value, ~0u, uint16_t(p));
}

Legalizer::V Legalizer::sel(V c, V a, V b) {
  uint64_t x;
  if (const_value(c, x)) return x ? a : b;
  if (a == b) return a;
  return emit(Op::select, ty(a), c.value, a.value, b.value);
}

Legalizer::V Legalizer::offset_ptr(V base, int64_t offset) {
  // Only ever to a place inside one object.
  return offset ? indexed_ptr(base, V{}, 1, offset, flags::no_unsigned_wrap) : base;
}

Legalizer::V Legalizer::indexed_ptr(V base, V index, int64_t scale, int64_t offset, uint8_t flags) {
  uint32_t x = uint32_t(out_.extra.size());
  for (uint64_t w : {uint64_t(scale), uint64_t(offset)}) {
    out_.extra.push_back(uint32_t(w));
    out_.extra.push_back(uint32_t(w >> 32));
  }
  return emit(Op::ptr_add, T::ptr, base.value, index.valid() ? index.value : ~0u, x, 0, flags);
}

static uint16_t aligned_at(uint16_t aux, int64_t offset) {
  unsigned align = MemoryFlags::align_log2(aux);
  if (offset) align = std::min(align, unsigned(std::countr_zero(uint64_t(offset))));
  return uint16_t((aux & ~(31u << 4)) | align << 4);
}

Legalizer::V Legalizer::load_leaf(TypeId t, V base, int64_t offset, uint16_t aux) {
  return emit(Op::load, t, offset_ptr(base, offset).value, ~0u, ~0u, aligned_at(aux, offset));
}
void Legalizer::store_leaf(V value, V base, int64_t offset, uint16_t aux) {
  emit(Op::store, T::void_type, offset_ptr(base, offset).value, value.value, ~0u, aligned_at(aux, offset));
}

Legalizer::V Legalizer::slot(uint64_t size, uint64_t align) {
  out_.slots.push_back({size, uint32_t(std::countr_zero(align))});
  return emit(Op::slot_addr, T::ptr, uint32_t(out_.slots.size() - 1));
}

uint32_t Legalizer::new_block() {
  out_.blocks.push_back({});
  segments_.push_back({});
  return uint32_t(out_.blocks.size() - 1);
}
void Legalizer::start_block(uint32_t id) {
  current_block_ = id;
  segments_[id].first = uint32_t(out_.insts.size());
}
void Legalizer::end_block() {
  segments_[current_block_].count = uint32_t(out_.insts.size()) - segments_[current_block_].first;
}

uint32_t Legalizer::edge(uint32_t target, const V* args, uint32_t n) {
  Edge e{BlockId(target), uint32_t(out_.extra.size()), n};
  for (uint32_t k = 0; k < n; k++) out_.extra.push_back(args[k].value);
  out_.edges.push_back(e);
  return uint32_t(out_.edges.size() - 1);
}

uint32_t Legalizer::lower_edge(uint32_t old_edge) {
  const Edge old = in_.edges[old_edge];
  std::vector<V> args;
  const Block& target = in_.blocks[old.target.value];
  for (uint32_t k = 0; k < old.arg_count; k++) {
    V a(in_.extra[old.args + k]);
    if (k < target.param_count && opaque(V(target.first_param + k))) {
      Lanes l;
      lanes_of(old_type(a), l);
      const Parts x = l.is_mask ? mask_of(a, l) : parts_of(a);
      for (uint32_t l2 = 0; l2 < x.n; l2++) args.push_back(x[l2]);
      continue;
    }
    Span s = leaves(a);
    for (uint32_t l = 0; l < s.count; l++) args.push_back(leaf(s, l));
  }
  return edge(old.target.value, args.data(), uint32_t(args.size()));
}

}  // namespace lode::air
