// Values at the boundary of a function: parameters, arguments and results as ABI leaves; results that do not fit in
// registers.
//
// Conversions between the leaves inside a function and those of a call go through a stack slot for vectors (SSE
// registers have no lanes here) and are bit moves for half precision. What an invoke's result needs is done in a block
// of its own on the normal edge.
#include <bit>

#include "codegen/air/legalize_impl.h"

namespace lode::air {

bool Legalizer::returns_in_memory(TypeId t) {
  const LeafTable::Entry& e = leaves_.of(t);
  if (!e.ok) {
    fail(leaves_.error);
    return false;
  }
  return !results_fit(leaves_.abi.data() + e.abi_first, leaves_.abi_vector.data() + e.abi_first, e.abi_count, options_);
}

Legalizer::Span Legalizer::to_abi(TypeId t, Span value, uint16_t attrs) {
  const LeafTable::Entry e = leaves_.of(t);
  if (!e.ok) {
    fail(leaves_.error);
    return alloc(0);
  }
  Span to = alloc(e.abi_count);
  for (uint32_t p = 0; p < e.piece_count && error_.empty(); p++) {
    const AbiPiece piece = leaves_.pieces[e.piece_first + p];
    uint32_t from = value.first + piece.leaf_first, at = to.first + piece.abi_first;
    switch (piece.kind) {
      case AbiPiece::direct:
        for (uint32_t k = 0; k < piece.leaf_count; k++) pool_[at + k] = pool_[from + k];
        // signext promises copies of the sign bit above an odd width.
        if ((attrs & attr::sext) && type(piece.type).kind == TypeKind::Int && type(piece.type).bits < 64 &&
            type(piece.type).bits != 1) {
          V x = sx(type(piece.type).bits, Vals(pool_[at]))[0];
          pool_[at] = x;
        }
        break;
      case AbiPiece::half: {
        V x = pool_[from];
        if (options_.half_abi == HalfAbi::f32_bits) x = conv(Op::bitcast, T::f32, conv(Op::zext, T::i32, x));
        pool_[at] = x;
        break;
      }
      case AbiPiece::vector: {
        Span part{from, piece.leaf_count};
        uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
        uint64_t bytes = types_.store_size_of(piece.type);
        if (bytes <= 8 && has_bits(piece.type)) {
          Vals bits = gather_bits(piece.type, part);
          V x = conv(Op::zext, T::i64, bits[0]);
          x = emit(Op::bitcast, T::f64, x.value);
          pool_[at] = x;
          break;
        }
        V memory = slot((bytes + 31) / 32 * 32, 16);
        store_value(piece.type, part, memory, 0, aux);
        for (uint32_t k = 0; k < piece.abi_count; k++) {
          const TypeId leaf = leaves_.abi[e.abi_first + piece.abi_first + k];
          V x = load_leaf(leaf, memory, (leaf == T::v256 ? 32 : 16) * int64_t(k), aux);
          pool_[at + k] = x;
        }
        break;
      }
    }
  }
  return to;
}

Legalizer::Span Legalizer::from_abi(TypeId t, Span abi) {
  const LeafTable::Entry e = leaves_.of(t);
  if (!e.ok) {
    fail(leaves_.error);
    return alloc(0);
  }
  Span to = alloc(e.count);
  for (uint32_t p = 0; p < e.piece_count && error_.empty(); p++) {
    const AbiPiece piece = leaves_.pieces[e.piece_first + p];
    uint32_t from = abi.first + piece.abi_first, at = to.first + piece.leaf_first;
    switch (piece.kind) {
      case AbiPiece::direct: {
        Vals x;
        for (uint32_t k = 0; k < piece.leaf_count; k++) x.push(pool_[from + k]);
        // Nothing is known about the bits above an odd width.
        if (type(piece.type).kind == TypeKind::Int) x = norm(type(piece.type).bits, x);
        for (uint32_t k = 0; k < piece.leaf_count; k++) pool_[at + k] = x[k];
        break;
      }
      case AbiPiece::half: {
        V x = pool_[from];
        if (options_.half_abi == HalfAbi::f32_bits) x = conv(Op::trunc, T::i16, conv(Op::bitcast, T::i32, x));
        pool_[at] = x;
        break;
      }
      case AbiPiece::vector: {
        uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
        uint64_t bytes = types_.store_size_of(piece.type);
        Span r;
        if (bytes <= 8 && has_bits(piece.type)) {
          V x = emit(Op::bitcast, T::i64, pool_[from].value);
          uint32_t bits = bits_of(piece.type);
          r = scatter_bits(piece.type, norm(bits, Vals(conv(Op::trunc, container(bits), x))));
        } else {
          V memory = slot((bytes + 31) / 32 * 32, 16);
          for (uint32_t k = 0; k < piece.abi_count; k++)
            store_leaf(pool_[from + k], memory, (ty(pool_[from + k]) == T::v256 ? 32 : 16) * int64_t(k), aux);
          r = alloc(piece.leaf_count);
          load_value(piece.type, memory, 0, aux, r);
        }
        for (uint32_t k = 0; k < piece.leaf_count; k++) pool_[at + k] = pool_[r.first + k];
        break;
      }
    }
  }
  return to;
}

// The ABI leaves of the value that a call or landing pad of several leaves gave.
Legalizer::Span Legalizer::result_of(V value, TypeId, const LeafTable::Entry& e) {
  uint32_t n = e.abi_count, first = e.abi_first;
  Span s = alloc(n);
  if (n == 1) {
    pool_[s.first] = value;
    return s;
  }
  for (uint32_t k = 0; k < n; k++) {
    uint32_t path = uint32_t(out_.extra.size());
    out_.extra.push_back(1);
    out_.extra.push_back(k);
    V x = emit(Op::extract, leaves_.abi[first + k], value.value, path);
    pool_[s.first + k] = x;
  }
  return s;
}

// Whether the result of a tail call is what the next instruction returns. It is handed on as it came then: nothing that
// takes its ABI leaves apart and puts them together again may stand between the two.
bool Legalizer::is_returned(const Inst& call, const CallSite& site) const {
  const size_t next = size_t(&call - in_.insts.data()) + 1;
  if (call.op != Op::call || !(site.flags & (callflags::tail | callflags::musttail)) || next >= in_.insts.size())
    return false;
  const Inst& ret = in_.insts[next];
  return ret.op == Op::ret && in_.extra[ret.a] == 1 && V(in_.extra[ret.a + 1]) == call.result &&
         type(in_.type).element == call.type && !(in_.result_attrs & (attr::zext | attr::sext));
}

// LLVM passes such vectors by address to functions with Microsoft's convention, and in a register by all others.
bool Legalizer::has_small_vector(TypeId t) {
  const LeafTable::Entry e = leaves_.of(t);
  for (uint32_t p = 0; e.ok && p < e.piece_count; p++) {
    const AbiPiece& piece = leaves_.pieces[e.piece_first + p];
    if (piece.kind == AbiPiece::vector && types_.store_size_of(piece.type) <= 8) return true;
  }
  return false;
}

// The call's arguments by leaves, behind the address of a result in memory; false after an error.
bool Legalizer::lower_arguments(const CallSite& old, V memory, CallSite& site) {
  std::vector<uint32_t> list;
  std::vector<ParamAttr> attrs;
  bool have_attrs = false;
  auto add = [&](V v, ParamAttr a) {
    list.push_back(v.value);
    attrs.push_back(a);
    have_attrs |= a.bits || a.align_log2 || a.size;
  };
  if (memory.valid()) {
    ParamAttr a;
    a.bits = attr::sret;
    add(memory, a);
  }
  const uint32_t fixed = fixed_arg_count(types_, old);
  site.fixed_args = uint32_t(list.size());
  for (uint32_t k = 0; k < old.arg_count && error_.empty(); k++) {
    V arg(in_.extra[old.args + k]);
    TypeId t = old_type(arg);
    if (old.conv == CallConv::win64 && has_small_vector(t)) {
      fail(small_vector_text);
      break;
    }
    ParamAttr own = old.attrs != ~0u ? in_.param_attrs[old.attrs + k] : ParamAttr{};
    if (crosses_whole(arg)) {
      const Parts x = to_vector_abi(arg);
      for (uint32_t l = 0; l < x.n; l++) add(x[l], own);
    } else {
      Span abi = to_abi(t, leaves(arg), own.bits);
      const LeafTable::Entry e = leaves_.of(t);
      for (uint32_t l = 0; l < abi.count; l++) {
        ParamAttr a = own;
        a.bits |= leaves_.abi_attrs[e.abi_first + l];
        add(leaf(abi, l), a);
      }
    }
    if (k < fixed) site.fixed_args = uint32_t(list.size());
  }
  if (!error_.empty()) return false;
  site.args = uint32_t(out_.extra.size());
  site.arg_count = uint32_t(list.size());
  out_.extra.insert(out_.extra.end(), list.begin(), list.end());
  site.attrs = ~0u;
  if (have_attrs) {
    if (out_.param_attrs.empty()) out_.param_attrs.resize(out_.blocks[0].param_count);
    site.attrs = uint32_t(out_.param_attrs.size());
    out_.param_attrs.insert(out_.param_attrs.end(), attrs.begin(), attrs.end());
  }
  return true;
}

// The invoke of call site `index`. True if its result, which needs nothing (`direct`), is defined and all is done;
// otherwise `value` is it, in a block of its own on the way to the normal edge.
bool Legalizer::lower_invoke(const Inst& i, uint32_t index, TypeId call_type, bool direct, V& value) {
  const uint32_t unwind = lower_edge(i.c);
  // Vectors that have to be put together for the normal edge need a block as well.
  bool plain_edge = true;
  const Edge& normal_edge = in_.edges[i.b];
  const Block& target = in_.blocks[normal_edge.target.value];
  for (uint32_t k = 0; k < normal_edge.arg_count && k < target.param_count; k++)
    plain_edge &= opaque(V(target.first_param + k)) == opaque(V(in_.extra[normal_edge.args + k]));
  if (direct && plain_edge) {
    // The edge may pass the result on, so the result comes first.
    const uint32_t at = uint32_t(out_.insts.size());
    value = emit(Op::invoke, call_type, index, ~0u, unwind, i.aux, i.flags);
    define_result(i, value, {}, true);
    const uint32_t normal = lower_edge(i.b);
    out_.insts[at].b = normal;
    return true;
  }
  const uint32_t after = new_block();
  value = emit(Op::invoke, call_type, index, edge(after, nullptr, 0), unwind, i.aux, i.flags);
  end_block();
  start_block(after);
  return false;
}

// What the call gave, as leaves of its type.
void Legalizer::define_result(const Inst& i, V value, V memory, bool direct) {
  const LeafTable::Entry e = leaves_.of(i.type);
  const bool keep = crosses_whole(i.result);
  Span r;
  if (direct) {
    r = alloc(value.valid() ? 1 : 0);
    if (value.valid()) pool_[r.first] = value;
    if (keep) {
      map_[i.result.value] = r;
      return;
    }
  } else if (memory.valid()) {
    unsigned align = unsigned(std::countr_zero(std::min<uint64_t>(64, types_.align_of(i.type))));
    const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, align);
    Lanes l;
    if (keep && lanes_of(i.type, l)) return define_parts(i.result, load_parts(l, memory, aux));
    r = alloc(e.count);
    load_value(i.type, memory, 0, aux, r);
  } else if (keep) {
    const Span abi = result_of(value, i.type, e);
    return define_parts(i.result, from_vector_abi(i.type, &pool_[abi.first], abi.count));
  } else {
    r = from_abi(i.type, result_of(value, i.type, e));
  }
  define(i.result, r);
}

void Legalizer::lower_call(const Inst& i) {
  const CallSite old = in_.calls[i.a];
  CallSite site = old;
  if (old.callee.valid()) site.callee = single(old.callee);
  const bool is_asm = old.inline_asm != ~0u;
  const bool has_result = !is_void(i.type);
  bool in_memory = has_result && !is_asm && returns_in_memory(i.type);
  if (!error_.empty()) return;
  V memory;
  if (in_memory) {
    if ((old.flags & callflags::musttail) && sret_.valid()) {
      memory = sret_;
    } else {
      memory = slot(std::max<uint64_t>(1, types_.size_of(i.type)), std::min<uint64_t>(64, types_.align_of(i.type)));
      site.flags &= uint16_t(~callflags::tail);
    }
  }
  if (!lower_arguments(old, memory, site)) return;
  out_.calls.push_back(site);
  const uint32_t index = uint32_t(out_.calls.size() - 1);

  const LeafTable::Entry e = leaves_.of(i.type);
  TypeId call_type = in_memory || e.abi_count == 0 ? T::void_type
                     : e.abi_count == 1            ? leaves_.abi[e.abi_first]
                                                   : i.type;
  // Must code follow the call before its result can be used?
  bool direct = !has_result || (e.abi_count == 0 && !in_memory);
  if (!direct && !in_memory && e.abi_count == 1 && e.piece_count == 1) {
    const AbiPiece& p = leaves_.pieces[e.piece_first];
    const Type& t = type(p.type);
    if (p.kind == AbiPiece::direct && (t.kind != TypeKind::Int || t.bits == container_bits(t.bits))) direct = true;
    Lanes l;
    if (crosses_whole(i.result) && lanes_of(i.type, l)) direct = l.parts == 1 && leaves_.abi[e.abi_first] == l.reg;
  }
  const bool returned =
      !direct && !is_asm && is_returned(i, old) && in_memory == sret_.valid() && (!in_memory || memory == sret_);
  V value;
  if (i.op == Op::invoke) {
    if (lower_invoke(i, index, call_type, direct, value)) return;
  } else {
    value = emit(Op::call, call_type, index, ~0u, ~0u, i.aux, i.flags);
  }
  if (returned) {
    returned_value_ = i.result;
    returned_ = in_memory ? alloc(0) : result_of(value, i.type, e);
  } else if (has_result) {
    define_result(i, value, memory, direct);
    if (!error_.empty()) return;
  }
  if (i.op == Op::invoke) {
    uint32_t normal = lower_edge(i.b);
    emit(Op::br, T::void_type, normal);
  }
}

void Legalizer::lower_ret(const Inst& i) {
  uint32_t n = in_.extra[i.a];
  std::vector<uint32_t> list;
  TypeId result = type(in_.type).element;
  for (uint32_t k = 0; k < n && error_.empty(); k++) {
    V v(in_.extra[i.a + 1 + k]);
    if (returned_value_.valid() && v == returned_value_) {
      for (uint32_t l = 0; l < returned_.count; l++) list.push_back(leaf(returned_, l).value);
      continue;
    }
    if (sret_.valid()) {
      unsigned align = unsigned(std::countr_zero(std::min<uint64_t>(64, types_.align_of(result))));
      const uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, align);
      Lanes lanes;
      if (crosses_whole(v) && lanes_of(old_type(v), lanes)) {
        store_parts(lanes, parts_of(v), sret_, aux);
        continue;
      }
      Span s = leaves(v);
      if (!error_.empty()) return;
      store_value(old_type(v), s, sret_, 0, aux);
      continue;
    }
    if (crosses_whole(v)) {
      const Parts x = to_vector_abi(v);
      for (uint32_t l = 0; l < x.n; l++) list.push_back(x[l].value);
      continue;
    }
    Span abi = to_abi(old_type(v), leaves(v), in_.result_attrs);
    for (uint32_t l = 0; l < abi.count; l++) list.push_back(leaf(abi, l).value);
  }
  uint32_t at = uint32_t(out_.extra.size());
  out_.extra.push_back(uint32_t(list.size()));
  out_.extra.insert(out_.extra.end(), list.begin(), list.end());
  emit(Op::ret, T::void_type, at);
}

void Legalizer::lower_landing_pad(const Inst& i) {
  const LeafTable::Entry e = leaves_.of(i.type);
  if (!e.ok) return fail(leaves_.error);
  V v = emit(Op::landing_pad, i.type, i.a, ~0u, ~0u, i.aux, i.flags);
  define(i.result, from_abi(i.type, result_of(v, i.type, e)));
}

Vals Legalizer::call_runtime(RuntimeFunction f, const Vals* args, uint32_t n) {
  const char* signature = info(f).signature;
  std::vector<uint32_t> list;
  std::vector<ParamAttr> attrs;
  bool have_attrs = false;
  auto add = [&](V v, uint16_t bits) {
    ParamAttr a;
    a.bits = bits;
    list.push_back(v.value);
    attrs.push_back(a);
    have_attrs |= bits != 0;
  };
  TypeId result = runtime_type(types_, signature[0]);
  bool in_memory = !is_void(result) && returns_in_memory(result);
  V memory;
  if (in_memory) {
    memory = slot(types_.size_of(result), types_.align_of(result));
    add(memory, attr::sret);
  }
  for (uint32_t k = 0; k < n; k++) {
    TypeId t = runtime_type(types_, signature[1 + k]);
    Span s = alloc(args[k].n);
    for (uint32_t l = 0; l < args[k].n; l++) pool_[s.first + l] = args[k][l];
    Span abi = to_abi(t, s, 0);
    const LeafTable::Entry& e = leaves_.of(t);
    for (uint32_t l = 0; l < abi.count; l++) add(leaf(abi, l), leaves_.abi_attrs[e.abi_first + l]);
  }
  V& callee = runtime_constants_.try_emplace(uint32_t(f), V{}).first->second;
  if (!callee.valid()) callee = add_constant({ConstantKind::Runtime, T::ptr, uint32_t(f), 0});
  CallSite site;
  site.callee = callee;
  site.args = uint32_t(out_.extra.size());
  site.arg_count = uint32_t(list.size());
  site.fixed_args = site.arg_count;
  site.flags = callflags::nounwind;
  if (f == RuntimeFunction::unwind_resume) site.flags = callflags::noreturn;
  out_.extra.insert(out_.extra.end(), list.begin(), list.end());
  if (have_attrs) {
    // The function's own attributes come first; make room for them when there are none yet.
    if (out_.param_attrs.empty()) out_.param_attrs.resize(out_.blocks[0].param_count);
    site.attrs = uint32_t(out_.param_attrs.size());
    out_.param_attrs.insert(out_.param_attrs.end(), attrs.begin(), attrs.end());
  }
  out_.calls.push_back(site);
  const LeafTable::Entry& e = leaves_.of(result);
  TypeId call_type = in_memory || e.abi_count == 0 ? T::void_type
                     : e.abi_count == 1            ? leaves_.abi[e.abi_first]
                                                   : result;
  V v = emit(Op::call, call_type, uint32_t(out_.calls.size() - 1));
  if (is_void(result)) return {};
  Span r;
  if (in_memory) {
    r = alloc(e.count);
    load_value(result, memory, 0, MemoryFlags::pack(false, AtomicOrdering::not_atomic, 3), r);
  } else {
    r = from_abi(result, result_of(v, result, e));
  }
  return vals(r, 0, r.count);
}

}  // namespace lode::air
