// Loads and stores of whatever has several leaves or an odd width, atomics, va_arg.
//
// An integer of N bits occupies ceil(N / 8) bytes, the bits above N zero (LLVM language reference, "store"); the
// elements of a vector lie bit by bit one after the other, so a vector of sub-byte elements is read and written as one
// integer.
#include <bit>

#include "base/bytes.h"
#include "codegen/air/legalize_impl.h"

namespace lode::air {

Legalizer::V Legalizer::load_bits(uint32_t bits, V base, int64_t offset, uint16_t aux) {
  uint32_t bytes = (bits + 7) / 8;
  TypeId t = container(bits);
  if (bits == 1) return load_leaf(T::i1, base, offset, aux);
  if (bytes * 8 == container_bits(bits)) {
    V x = load_leaf(t, base, offset, aux);
    return bits % 8 ? norm(bits, Vals(x))[0] : x;
  }
  V all;
  for (uint32_t at = 0; at < bytes;) {
    uint32_t piece = std::bit_floor(bytes - at);
    V x = conv(Op::zext, t, load_leaf(container(piece * 8), base, offset + at, aux));
    x = bin(Op::shl, x, int_const(t, at * 8));
    all = all.valid() ? bin(Op::or_, all, x) : x;
    at += piece;
  }
  return bits % 8 ? norm(bits, Vals(all))[0] : all;
}

void Legalizer::store_bits(uint32_t bits, V value, V base, int64_t offset, uint16_t aux) {
  uint32_t bytes = (bits + 7) / 8;
  TypeId t = ty(value);
  if (bits == 1 || bytes * 8 == container_bits(bits)) return store_leaf(value, base, offset, aux);
  for (uint32_t at = 0; at < bytes;) {
    uint32_t piece = std::bit_floor(bytes - at);
    V x = bin(Op::lshr, value, int_const(t, at * 8));
    store_leaf(conv(Op::trunc, container(piece * 8), x), base, offset + at, aux);
    at += piece;
  }
}

Vals Legalizer::load_int(uint32_t bits, V base, int64_t offset, uint16_t aux) {
  Vals x;
  if (words(bits) == 1) return load_bits(bits, base, offset, aux);
  if (words(bits) > max_int_words) {  // a vector whose lanes are no whole bytes
    fail("a value of " + std::to_string(bits) + " bits without gaps in memory");
    return int_value(1, 0);
  }
  for (uint32_t at = 0; at < bits; at += 64) {
    V w = load_bits(std::min(64u, bits - at), base, offset + at / 8, aux);
    x.push(conv(Op::zext, T::i64, w));
  }
  return x;
}

void Legalizer::store_int(uint32_t bits, const Vals& x, V base, int64_t offset, uint16_t aux) {
  if (x.n == 1) return store_bits(bits, x[0], base, offset, aux);
  for (uint32_t k = 0; k < x.n; k++) {
    uint32_t b = std::min(64u, bits - 64 * k);
    store_bits(b, conv(Op::trunc, container(b), x[k]), base, offset + 8 * k, aux);
  }
}

void Legalizer::load_value(TypeId id, V base, int64_t offset, uint16_t aux, Span to) {
  const Type& t = type(id);
  switch (t.kind) {
    case TypeKind::Int: {
      Vals x = load_int(t.bits, base, offset, aux);
      for (uint32_t k = 0; k < x.n; k++) pool_[to.first + k] = x[k];
      return;
    }
    case TypeKind::Struct: {
      uint32_t at = to.first;
      for (uint32_t f = 0; f < t.field_count && error_.empty(); f++) {
        TypeId m = types_.member(t, f);
        uint32_t n = leaf_count(m);
        load_value(m, base, offset + int64_t(types_.field_offset(id, f)), aux, {at, n});
        at += n;
      }
      return;
    }
    case TypeKind::Array: case TypeKind::Vector: {
      if (packed(t)) {
        Vals bits = load_int(bits_of(id), base, offset, aux);
        Span s = scatter_bits(id, bits);
        for (uint32_t k = 0; k < s.count; k++) pool_[to.first + k] = pool_[s.first + k];
        return;
      }
      uint32_t n = leaf_count(t.element);
      const Type& e = type(t.element);
      uint64_t stride = types_.size_of(t.element);
      if (t.kind == TypeKind::Vector)
        stride = e.kind == TypeKind::Int ? e.bits / 8 : e.kind == TypeKind::F80 ? 10 : stride;
      if (n)
        for (uint64_t k = 0; k < t.count && error_.empty(); k++)
          load_value(t.element, base, offset + int64_t(k * stride), aux, {to.first + uint32_t(k) * n, n});
      return;
    }
    default: {
      // One leaf, or an f128 of two.
      for (uint32_t k = 0; k < to.count; k++) {
        const LeafTable::Entry& e = leaves_.of(id);
        V x = load_leaf(leaves_.leaves[e.first + k].type, base, offset + 8 * k, aux);
        pool_[to.first + k] = x;
      }
    }
  }
}

void Legalizer::store_value(TypeId id, Span value, V base, int64_t offset, uint16_t aux) {
  const Type& t = type(id);
  switch (t.kind) {
    case TypeKind::Int: return store_int(t.bits, vals(value, 0, value.count), base, offset, aux);
    case TypeKind::Struct: {
      uint32_t at = value.first;
      for (uint32_t f = 0; f < t.field_count && error_.empty(); f++) {
        TypeId m = types_.member(t, f);
        uint32_t n = leaf_count(m);
        store_value(m, {at, n}, base, offset + int64_t(types_.field_offset(id, f)), aux);
        at += n;
      }
      return;
    }
    case TypeKind::Array: case TypeKind::Vector: {
      if (packed(t)) return store_int(bits_of(id), gather_bits(id, value), base, offset, aux);
      uint32_t n = leaf_count(t.element);
      const Type& e = type(t.element);
      uint64_t stride = types_.size_of(t.element);
      if (t.kind == TypeKind::Vector)
        stride = e.kind == TypeKind::Int ? e.bits / 8 : e.kind == TypeKind::F80 ? 10 : stride;
      if (n)
        for (uint64_t k = 0; k < t.count && error_.empty(); k++)
          store_value(t.element, {value.first + uint32_t(k) * n, n}, base, offset + int64_t(k * stride), aux);
      return;
    }
    default:
      for (uint32_t k = 0; k < value.count; k++) store_leaf(leaf(value, k), base, offset + 8 * k, aux);
  }
}

namespace {
// The orders of C11 as libatomic takes them.
unsigned c_order(AtomicOrdering o) {
  switch (o) {
    case AtomicOrdering::acquire: return 2;
    case AtomicOrdering::release: return 3;
    case AtomicOrdering::acq_rel: return 4;
    case AtomicOrdering::seq_cst: return 5;
    default: return 0;
  }
}
}  // namespace

void Legalizer::lower_load(const Inst& i) {
  V address = single(i.va());
  if (!error_.empty()) return;
  const Type& t = type(i.type);
  if (MemoryFlags::ordering(i.aux) != AtomicOrdering::not_atomic) {
    if (t.kind == TypeKind::Ptr || (t.kind == TypeKind::Int && natural(t.bits)))
      return define(i.result, Vals(emit(Op::load, i.type, address.value, ~0u, ~0u, i.aux)));
    if (is_half(i.type)) return define(i.result, Vals(emit(Op::load, T::i16, address.value, ~0u, ~0u, i.aux)));
    if (t.kind == TypeKind::F32 || t.kind == TypeKind::F64) {
      V x = emit(Op::load, t.kind == TypeKind::F32 ? T::i32 : T::i64, address.value, ~0u, ~0u, i.aux);
      return define(i.result, Vals(conv(Op::bitcast, i.type, x)));
    }
    if (types_.store_size_of(i.type) == 16 && has_bits(i.type)) {
      Vals args[] = {address, int_const(T::i32, c_order(MemoryFlags::ordering(i.aux)))};
      return define(i.result, scatter_bits(i.type, call_runtime(RuntimeFunction::atomic_load_16, args, 2)));
    }
    return fail("an atomic access to " + describe(i.type));
  }
  if (crosses_whole(i.result)) {
    Lanes l;
    lanes_of(i.type, l);
    return define_parts(i.result, load_parts(l, address, i.aux));
  }
  uint32_t n = leaf_count(i.type);
  if (!error_.empty()) return;
  Span to = alloc(n);
  load_value(i.type, address, 0, i.aux, to);
  define(i.result, to);
}

void Legalizer::lower_store(const Inst& i) {
  V address = single(i.va());
  if (!error_.empty()) return;
  TypeId id = old_type(i.vb());
  const Type& t = type(id);
  if (MemoryFlags::ordering(i.aux) != AtomicOrdering::not_atomic) {
    if (t.kind == TypeKind::Ptr || is_half(id) || (t.kind == TypeKind::Int && natural(t.bits))) {
      V x = single(i.vb());
      emit(Op::store, T::void_type, address.value, x.value, ~0u, i.aux);
      return;
    }
    if (t.kind == TypeKind::F32 || t.kind == TypeKind::F64) {
      V x = conv(Op::bitcast, t.kind == TypeKind::F32 ? T::i32 : T::i64, single(i.vb()));
      emit(Op::store, T::void_type, address.value, x.value, ~0u, i.aux);
      return;
    }
    if (types_.store_size_of(id) == 16 && has_bits(id)) {
      Vals args[] = {address, gather_bits(id, leaves(i.vb())),
                     int_const(T::i32, c_order(MemoryFlags::ordering(i.aux)))};
      call_runtime(RuntimeFunction::atomic_store_16, args, 3);
      return;
    }
    return fail("an atomic access to " + describe(id));
  }
  const Constant* c = in_.constant(i.vb());
  bool whole = crosses_whole(i.vb());
  // Sixteen bytes of zeros are one store.
  if (c && c->kind == ConstantKind::Zero && t.kind == TypeKind::Vector && types_.store_size_of(id) % 16 == 0 &&
      types_.store_size_of(id) <= 64 && !packed(t) && options_.vector_abi == VectorAbi::sse)
    whole = true;
  if (Lanes l; whole && lanes_of(id, l)) return store_parts(l, parts_of(i.vb()), address, i.aux);
  if (c && c->kind == ConstantKind::Undef) return;
  if (c && t.kind == TypeKind::Vector && has_bits(id) && bits_of(id) >= 64) {
    // A constant goes out in words, not in elements.
    Vals w = gather_bits(id, leaves(i.vb()));
    if (error_.empty()) store_int(bits_of(id), w, address, 0, i.aux);
    return;
  }
  Span s = leaves(i.vb());
  if (error_.empty()) store_value(id, s, address, 0, i.aux);
}

bool Legalizer::is_read(V old) {
  if (read_.empty()) {
    read_.assign(in_.values.size(), 0);
    for (const Inst& i : in_.insts) for_each_operand(in_, i, [&](const V v) { read_[v.value] = 1; });
  }
  return old.valid() && read_[old.value];
}

void Legalizer::lower_rmw(const Inst& i) {
  V address = single(i.va());
  RmwOp op = MemoryFlags::rmw(i.aux);
  const Type& t = type(i.type);
  Span operand = leaves(i.vb());
  if (!error_.empty()) return;
  const bool is_int = t.kind == TypeKind::Int && natural(t.bits);
  bool native = options_.rmw_ops >> unsigned(op) & 1;
  native = native || ((options_.rmw_ops_unread >> unsigned(op) & 1) && !is_read(i.result));
  if (is_int && t.bits < 32) native = native && (options_.narrow_rmw_ops >> unsigned(op) & 1);
  if (native && (is_int || t.kind == TypeKind::Ptr))
    return define(i.result, Vals(emit(Op::atomic_rmw, i.type, address.value, leaf(operand, 0).value, ~0u, i.aux)));
  if (types_.store_size_of(i.type) == 16 && t.kind == TypeKind::Int && t.bits == 128) {
    using R = RuntimeFunction;
    R f;
    switch (op) {
      case RmwOp::xchg: f = R::atomic_exchange_16; break;
      case RmwOp::add: f = R::atomic_fetch_add_16; break;
      case RmwOp::sub: f = R::atomic_fetch_sub_16; break;
      case RmwOp::and_: f = R::atomic_fetch_and_16; break;
      case RmwOp::or_: f = R::atomic_fetch_or_16; break;
      case RmwOp::xor_: f = R::atomic_fetch_xor_16; break;
      case RmwOp::nand: f = R::atomic_fetch_nand_16; break;
      default: return fail("this atomic_rmw on i128");
    }
    Vals args[] = {address, vals(operand, 0, 2), int_const(T::i32, c_order(MemoryFlags::ordering(i.aux)))};
    return define(i.result, call_runtime(f, args, 3));
  }
  // A loop around cmpxchg on the integer of the same size.
  uint32_t bits;
  const bool is_float = t.kind == TypeKind::F32 || t.kind == TypeKind::F64 || is_half(i.type);
  if (is_int) bits = t.bits;
  else if (is_float) bits = uint32_t(types_.store_size_of(i.type) * 8);
  else return fail("an atomic access to " + describe(i.type));
  TypeId word = container(bits);
  uint16_t plain =
      MemoryFlags::pack(MemoryFlags::is_volatile(i.aux), AtomicOrdering::relaxed, MemoryFlags::align_log2(i.aux));
  auto to_float = [&](V x) { return is_half(i.type) ? x : conv(Op::bitcast, i.type, x); };
  auto to_word = [&](V x) { return is_half(i.type) ? x : conv(Op::bitcast, word, x); };
  if (op == RmwOp::xchg && is_float) {
    V x = emit(Op::atomic_rmw, word, address.value, to_word(leaf(operand, 0)).value, ~0u, i.aux);
    return define(i.result, Vals(to_float(x)));
  }
  V first = emit(Op::load, word, address.value, ~0u, ~0u, plain);
  uint32_t loop = new_block(), after = new_block();
  br(loop, &first, 1);
  end_block();
  out_.blocks[loop].first_param = uint32_t(out_.values.size());
  out_.blocks[loop].param_count = 1;
  V old(uint32_t(out_.values.size()));
  out_.values.push_back(Value::make(word, ValueKind::Param, loop));
  start_block(loop);
  V x = leaf(operand, 0), desired;
  if (is_float) {
    Vals a(to_float(old)), b(x), r;
    switch (op) {
      case RmwOp::fadd: r = float_op(Op::fadd, i.type, a, b, {}, 0); break;
      case RmwOp::fsub: r = float_op(Op::fsub, i.type, a, b, {}, 0); break;
      case RmwOp::fmax: r = float_op(Op::fmaxnum, i.type, a, b, {}, 0); break;
      case RmwOp::fmin: r = float_op(Op::fminnum, i.type, a, b, {}, 0); break;
      default: return fail("this atomic_rmw on floating point");
    }
    if (!error_.empty()) return;
    desired = to_word(r[0]);
  } else {
    V zero = int_const(word, 0), one = int_const(word, 1);
    switch (op) {
      case RmwOp::xchg: desired = x; break;
      case RmwOp::add: desired = bin(Op::add, old, x); break;
      case RmwOp::sub: desired = bin(Op::sub, old, x); break;
      case RmwOp::and_: desired = bin(Op::and_, old, x); break;
      case RmwOp::nand: desired = bin(Op::xor_, bin(Op::and_, old, x), int_const(word, ~uint64_t{0})); break;
      case RmwOp::or_: desired = bin(Op::or_, old, x); break;
      case RmwOp::xor_: desired = bin(Op::xor_, old, x); break;
      case RmwOp::smax: desired = bin(Op::smax, old, x); break;
      case RmwOp::smin: desired = bin(Op::smin, old, x); break;
      case RmwOp::umax: desired = bin(Op::umax, old, x); break;
      case RmwOp::umin: desired = bin(Op::umin, old, x); break;
      case RmwOp::uinc_wrap: desired = sel(icmp(IntPredicate::uge, old, x), zero, bin(Op::add, old, one)); break;
      case RmwOp::udec_wrap: {
        V wraps = bin(Op::or_, icmp(IntPredicate::eq, old, zero), icmp(IntPredicate::ugt, old, x));
        desired = sel(wraps, x, bin(Op::sub, old, one));
        break;
      }
      default: return fail("this atomic_rmw on integers");
    }
  }
  TypeId pair = bits == 8 ? T::pair_i8 : bits == 16 ? T::pair_i16 : bits == 32 ? T::pair_i32 : T::pair_i64;
  uint16_t aux =
      MemoryFlags::pack(MemoryFlags::is_volatile(i.aux), MemoryFlags::ordering(i.aux), MemoryFlags::align_log2(i.aux));
  V both = emit(Op::cmpxchg, pair, address.value, old.value, desired.value, aux);
  uint32_t path = uint32_t(out_.extra.size());
  out_.extra.insert(out_.extra.end(), {1, 0, 1, 1});
  V seen = emit(Op::extract, word, both.value, path), done = emit(Op::extract, T::i1, both.value, path + 2);
  uint32_t e_after = edge(after, nullptr, 0), e_loop = edge(loop, &seen, 1);
  cond_br(done, e_after, e_loop);
  end_block();
  start_block(after);
  define(i.result, Vals(is_float ? to_float(seen) : seen));
}

void Legalizer::lower_cmpxchg(const Inst& i) {
  V address = single(i.va());
  TypeId id = old_type(i.vb());
  const Type& t = type(id);
  Span expected = leaves(i.vb()), desired = leaves(i.vc());
  if (!error_.empty()) return;
  if (t.kind == TypeKind::Ptr || (t.kind == TypeKind::Int && natural(t.bits))) {
    TypeId pair = t.kind == TypeKind::Ptr ? T::pair_ptr
                  : t.bits == 8           ? T::pair_i8
                  : t.bits == 16          ? T::pair_i16
                  : t.bits == 32          ? T::pair_i32
                                          : T::pair_i64;
    V both = emit(Op::cmpxchg, pair, address.value, leaf(expected, 0).value, leaf(desired, 0).value, i.aux);
    uint32_t path = uint32_t(out_.extra.size());
    out_.extra.insert(out_.extra.end(), {1, 0, 1, 1});
    V seen = emit(Op::extract, id, both.value, path), done = emit(Op::extract, T::i1, both.value, path + 2);
    return define(i.result, Vals(seen, done));
  }
  if (t.kind == TypeKind::Int && t.bits == 128) {
    uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
    V memory = slot(16, 16);
    store_value(id, expected, memory, 0, aux);
    unsigned order = c_order(MemoryFlags::ordering(i.aux));
    Vals args[] = {address, memory, vals(desired, 0, 2), int_const(T::i32, order),
                   int_const(T::i32, order == 3 ? 0 : order == 4 ? 2 : order)};
    V done = conv(Op::trunc, T::i1, call_runtime(RuntimeFunction::atomic_compare_exchange_16, args, 5)[0]);
    Vals r = load_int(128, memory, 0, aux);
    r.push(done);
    return define(i.result, r);
  }
  fail("an atomic access to " + describe(id));
}

// The psABI's algorithm (System V AMD64 section 3.5.7) with selects in place of its branches; a value that would need
// several registers of the save area is read from the overflow area, as structures passed in memory are.
void Legalizer::lower_va_arg(const Inst& i) {
  V list = single(i.va());
  if (!error_.empty()) return;
  const unsigned pointer = types_.layout().pointer_bytes;
  uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, pointer == 4 ? 2 : 3);
  uint64_t size = types_.size_of(i.type), align = types_.align_of(i.type);
  uint32_t n = leaf_count(i.type);
  if (!error_.empty()) return;
  TypeId p = int_of_pointer();
  // The next place of an area of pointer-sized cells, and the area's new start.
  auto from_area = [&](V area, V& next) {
    V at = area;
    if (align > pointer) {
      V x = emit(Op::ptrtoint, p, area.value);
      x = bin(Op::and_, bin(Op::add, x, int_const(p, align - 1)), int_const(p, ~(align - 1)));
      at = emit(Op::inttoptr, T::ptr, x.value);
    }
    next = offset_ptr(at, int64_t(align_up(size, pointer)));
    return at;
  };
  V place;
  if (va_list() == VaListKind::pointer) {
    V next, area = load_leaf(T::ptr, list, 0, aux);
    place = from_area(area, next);
    store_leaf(next, list, 0, aux);
  } else {
    const Type& t = type(i.type);
    V next, area = load_leaf(T::ptr, list, 8, aux);
    place = from_area(area, next);
    bool gp = t.kind == TypeKind::Ptr || (t.kind == TypeKind::Int && t.bits <= 64);
    bool sse = t.kind == TypeKind::F32 || t.kind == TypeKind::F64 || t.kind == TypeKind::F128 || is_half(i.type) ||
               (t.kind == TypeKind::Vector && types_.store_size_of(i.type) <= 16);
    if (gp || sse) {
      int64_t field = gp ? 0 : 4;
      V used = load_leaf(T::i32, list, field, aux);
      V in_register = icmp(IntPredicate::ule, used, int_const(T::i32, gp ? 40 : 160));
      V saved = indexed_ptr(load_leaf(T::ptr, list, 16, aux), conv(Op::zext, T::i64, used), 1, 0);
      place = sel(in_register, saved, place);
      next = sel(in_register, area, next);
      store_leaf(sel(in_register, bin(Op::add, used, int_const(T::i32, gp ? 8 : 16)), used), list, field, aux);
    }
    store_leaf(next, list, 8, aux);
  }
  Span to = alloc(n);
  load_value(i.type, place, 0,
             MemoryFlags::pack(false, AtomicOrdering::not_atomic,
                               unsigned(std::countr_zero(std::max<uint64_t>(1, std::min<uint64_t>(align, pointer))))),
             to);
  define(i.result, to);
}

}  // namespace lode::air
