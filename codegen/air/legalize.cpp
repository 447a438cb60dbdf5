// The driver of legalisation: the quick scan, block order, and the dispatch of one instruction.
#include "codegen/air/legalize.h"

#include <bit>

#include "base/bytes.h"
#include "codegen/air/legalize_impl.h"

namespace lode::air {

LegalizeOptions LegalizeOptions::x86_64(uint32_t features) {
  namespace p = processor_features;
  LegalizeOptions o;
  o.has_sse41 = features & p::sse41;
  o.has_sse42 = features & p::sse42;
  o.has_avx = features & p::avx;
  o.has_fma = features & p::fma;
  o.has_rounding = features & p::avx;
  if (features & p::avx) o.abi_vector_bytes = 32;
  if (features & p::avx2) o.vector_bytes = 32;
  o.rmw_ops = 1u << unsigned(RmwOp::xchg) | 1u << unsigned(RmwOp::add) | 1u << unsigned(RmwOp::sub);
  o.rmw_ops_unread = 1u << unsigned(RmwOp::and_) | 1u << unsigned(RmwOp::or_) | 1u << unsigned(RmwOp::xor_);
  return o;
}

LegalizeOptions LegalizeOptions::riscv64() {
  LegalizeOptions o;
  o.has_f80 = false;
  o.f128_as_pair = true;
  o.f128_is_long_double = true;
  o.has_fma = true;
  o.has_fminnum = true;
  o.has_saturating_conversions = true;
  o.vector_abi = VectorAbi::scalars;
  o.half_abi = HalfAbi::f32_bits;
  o.va_list = VaListKind::pointer;
  o.max_int_results = o.max_sse_results = o.max_scalar_sse_results = 2;
  o.max_f80_results = 0;
  o.max_results = 4;
  auto ops = [](std::initializer_list<RmwOp> list) {
    uint32_t set = 0;
    for (RmwOp op : list) set |= 1u << unsigned(op);
    return set;
  };
  o.narrow_rmw_ops = ops({RmwOp::xchg, RmwOp::add, RmwOp::sub, RmwOp::and_, RmwOp::or_, RmwOp::xor_});
  o.rmw_ops = o.narrow_rmw_ops | ops({RmwOp::smax, RmwOp::smin, RmwOp::umax, RmwOp::umin});
  return o;
}

LegalizeOptions LegalizeOptions::wasm() {
  LegalizeOptions o;
  o.has_f80 = false;
  o.f128_as_pair = true;
  o.f128_is_long_double = true;
  o.has_rounding = true;
  o.has_fminimum = true;
  o.has_saturating_conversions = true;
  o.has_mulh = false;
  o.vector_abi = VectorAbi::scalars;
  o.half_abi = HalfAbi::f32_bits;
  o.va_list = VaListKind::pointer;
  o.max_int_results = o.max_sse_results = o.max_f80_results = o.max_results = 1;
  return o;
}

namespace {

// What the scan asks of an operation whose types are all legal.
enum Check : uint8_t {
  always,      // legal
  never,       // always expanded
  not_i1,      // legal on i8..i64
  special,     // see is_legal()
};

constexpr Check check_of(Op op) {
  switch (op) {
    case Op::add: case Op::sub: case Op::mul: case Op::udiv: case Op::sdiv: case Op::urem: case Op::srem:
    case Op::shl: case Op::lshr: case Op::ashr: case Op::smin: case Op::smax: case Op::umin: case Op::umax:
    case Op::iabs: case Op::ctlz: case Op::cttz: case Op::ctpop: case Op::bitreverse:
    case Op::fptoui: case Op::fptosi: case Op::uitofp: case Op::sitofp:
      return not_i1;
    case Op::bswap: case Op::umulh: case Op::smulh: case Op::fshl: case Op::fshr:
    case Op::frem: case Op::fma: case Op::fcopysign: case Op::fminnum: case Op::fmaxnum: case Op::fminimum:
    case Op::fmaximum:
    case Op::fceil: case Op::ffloor: case Op::ftrunc: case Op::frint: case Op::fround: case Op::froundeven:
    case Op::icmp: case Op::fcmp: case Op::ptrtoint: case Op::inttoptr: case Op::bitcast:
    case Op::fptoui_sat: case Op::fptosi_sat: case Op::load: case Op::store: case Op::ptr_add:
    case Op::memcpy: case Op::memmove: case Op::memset: case Op::atomic_rmw: case Op::extract: case Op::switch_:
    case Op::uadd_overflow: case Op::sadd_overflow: case Op::usub_overflow: case Op::ssub_overflow:
    case Op::umul_overflow: case Op::smul_overflow: case Op::call: case Op::invoke:
      return special;
    case Op::uadd_sat: case Op::sadd_sat: case Op::usub_sat: case Op::ssub_sat: case Op::ushl_sat: case Op::sshl_sat:
    case Op::insert: case Op::extract_element: case Op::insert_element: case Op::shuffle:
    case Op::reduce_add: case Op::reduce_mul: case Op::reduce_and: case Op::reduce_or: case Op::reduce_xor:
    case Op::reduce_smin: case Op::reduce_smax: case Op::reduce_umin: case Op::reduce_umax:
    case Op::reduce_fadd: case Op::reduce_fmul: case Op::reduce_fmin: case Op::reduce_fmax:
    case Op::va_end: case Op::va_copy: case Op::va_arg: case Op::resume:
      return never;
    default: return always;
  }
}

struct CheckTable {
  Check check[256];
  constexpr CheckTable() : check() {
    for (unsigned i = 0; i < 256; i++) check[i] = check_of(Op(i));
  }
};
constexpr CheckTable checks;

constexpr uint32_t bit(TypeId t) { return 1u << t.value; }
using T = TypeTable;

// One scan; conservative: false means that the function has to be rewritten.
bool is_legal(const Function& fn, const TypeTable& types, const LegalizeOptions& options) {
  const uint32_t integers = bit(T::i8) | bit(T::i16) | bit(T::i32) | bit(T::i64);
  uint32_t legal = bit(T::i1) | integers | bit(T::f32) | bit(T::f64) | bit(T::ptr);
  if (options.has_f80) legal |= bit(T::f80);
  // A result of several leaves may be returned in memory, also by a function that never returns.
  if (fn.type.valid() && types[fn.type].kind == TypeKind::Function) {
    uint32_t r = types[fn.type].element.value;
    if (r != T::void_type.value && (r >= 32 || !(legal >> r & 1))) return false;
  }
  bool aggregates = false;
  for (const Value& v : fn.values) {
    uint32_t t = v.type.value;
    if (t < 32 && legal >> t & 1) continue;
    // Aggregates may be the results of calls and the like.
    if (v.kind() != ValueKind::Inst || types[v.type].kind != TypeKind::Struct) return false;
    Op op = fn.insts[v.index()].op;
    const Type& s = types[v.type];
    switch (op) {
      case Op::call: case Op::invoke: case Op::landing_pad: case Op::cmpxchg:
      case Op::uadd_overflow: case Op::sadd_overflow: case Op::usub_overflow: case Op::ssub_overflow:
      case Op::umul_overflow: case Op::smul_overflow: break;
      default: return false;
    }
    if (s.field_count < 2 || s.field_count > 8) return false;
    TypeId fields[8];
    for (uint32_t f = 0; f < s.field_count; f++) {
      fields[f] = types.member(s, f);
      if (fields[f].value >= 32 || !(legal >> fields[f].value & 1)) return false;
    }
    if ((op == Op::call || op == Op::invoke) && !results_fit(fields, nullptr, s.field_count, options)) return false;
    aggregates = true;
  }
  auto type_of = [&](uint32_t v) { return fn.values[v].type; };
  const TypeId pointer_int = types.layout().pointer_bytes == 4 ? T::i32 : T::i64;
  for (const Inst& i : fn.insts) {
    switch (checks.check[unsigned(i.op)]) {
      case always: break;
      case never: return false;
      case not_i1:
        if (i.type == T::i1 || type_of(i.a) == T::i1) return false;
        break;
      case special:
        switch (i.op) {
          case Op::bswap: if (i.type == T::i1 || i.type == T::i8) return false; break;
          case Op::umulh: case Op::smulh: if (i.type != T::i64 || !options.has_mulh) return false; break;
          case Op::fshl: case Op::fshr: if (i.a != i.b || i.type == T::i1) return false; break;
          case Op::fceil: case Op::ffloor: case Op::ftrunc: case Op::frint: case Op::froundeven:
            if (!options.has_rounding || i.type == T::f80) return false;
            break;
          case Op::fma: if (!options.has_fma || i.type == T::f80) return false; break;
          case Op::fminnum: case Op::fmaxnum: if (!options.has_fminnum || i.type == T::f80) return false; break;
          case Op::fminimum: case Op::fmaximum: if (!options.has_fminimum || i.type == T::f80) return false; break;
          case Op::fcopysign: if (i.type == T::f80 || type_of(i.b) != i.type) return false; break;
          case Op::frem: case Op::fround: return false;
          case Op::icmp: if (type_of(i.a) == T::i1 && i.aux > uint16_t(IntPredicate::ne)) return false; break;
          case Op::fcmp:
            if (i.aux == uint16_t(FloatPredicate::false_) || i.aux == uint16_t(FloatPredicate::true_)) return false;
            break;
          case Op::ptrtoint: if (i.type != pointer_int) return false; break;
          case Op::inttoptr: if (type_of(i.a) != pointer_int) return false; break;
          case Op::bitcast:
            if (i.type == type_of(i.a) || i.type == T::ptr || type_of(i.a) == T::ptr) return false;
            break;
          case Op::fptoui_sat: case Op::fptosi_sat:
            if (!options.has_saturating_conversions || (i.type != T::i32 && i.type != T::i64) || type_of(i.a) == T::f80)
              return false;
            break;
          case Op::load: case Op::store: {
            if (MemoryFlags::ordering(i.aux) == AtomicOrdering::not_atomic) break;
            TypeId t = i.op == Op::load ? i.type : type_of(i.b);
            if (!((integers | bit(T::ptr)) >> t.value & 1)) return false;
            break;
          }
          case Op::ptr_add: if (i.b != ~0u && type_of(i.b) != pointer_int) return false; break;
          case Op::memcpy: case Op::memmove: case Op::memset: if (type_of(i.c) != pointer_int) return false; break;
          case Op::atomic_rmw:
            if (!(options.rmw_ops >> unsigned(MemoryFlags::rmw(i.aux)) & 1)) return false;
            if ((i.type == T::i8 || i.type == T::i16) &&
                !(options.narrow_rmw_ops >> unsigned(MemoryFlags::rmw(i.aux)) & 1))
              return false;
            if (!((integers | bit(T::ptr)) >> i.type.value & 1)) return false;
            break;
          case Op::extract: if (fn.extra[i.b] != 1) return false; break;
          case Op::switch_: if (type_of(i.a) == T::i1) return false; break;
          case Op::call: case Op::invoke: break;
          case Op::umul_overflow: case Op::smul_overflow:
            if (type_of(i.a) == T::i64 && !options.has_mulh) return false;
            [[fallthrough]];
          default: if (type_of(i.a) == T::i1) return false; break;  // *_overflow
        }
        break;
    }
  }
  if (!aggregates) return true;
  // The aggregates may only be looked into.
  bool ok = true;
  for (const Inst& i : fn.insts) {
    if (i.op == Op::extract) continue;
    for_each_operand(fn, i, [&](const ValueId v) { ok &= types[fn.values[v.value].type].kind != TypeKind::Struct; });
  }
  return ok;
}

}  // namespace

Result<void> legalize(Function& fn, const Module& module, const LegalizeOptions& options) {
  if (fn.flags & function_flags::legal) return {};
  if (!is_legal(fn, module.types, options)) LODE_TRY(Legalizer(fn, module, options).run());
  fn.flags |= function_flags::legal;
  return {};
}

// ---- the rebuilt function -------------------------------------------------------------------------------------------

Result<void> Legalizer::run() {
  const Function& in = in_;
  out_.symbol = in.symbol;
  out_.type = in.type;
  out_.conv = in.conv;
  out_.flags = in.flags;
  out_.features = in.features;
  out_.result_attrs = in.result_attrs;
  out_.align_log2 = in.align_log2;
  out_.personality = in.personality;
  out_.slots = in.slots;
  out_.lifetime_markers = in.lifetime_markers;
  out_.inline_asms = in.inline_asms;
  out_.strings = in.strings;
  out_.locations = in.locations;
  out_.subprogram = in.subprogram;
  out_.insts.reserve(in.insts.size() + in.insts.size() / 2);
  out_.values.reserve(in.values.size() + in.values.size() / 2);
  map_.assign(in.values.size(), Span{});
  if (in.blocks.empty()) return error_at(std::string(module_.name_of(in.symbol)), "a function without blocks");
  find_opaque();
  order_blocks();
  out_.blocks.resize(in.blocks.size());
  segments_.resize(in.blocks.size());
  make_params();
  for (uint32_t b : order_) {
    lower_block(b);
    if (!error_.empty()) break;
  }
  if (error_.empty()) {
    out_.landing_pads = in.landing_pads;
    for (LandingPad& p : out_.landing_pads) {
      uint32_t at = p.clauses;
      p.clauses = uint32_t(out_.extra.size());
      for (uint32_t c = 0; c < p.clause_count; c++) {
        uint32_t n = in.extra[at + 1];
        out_.extra.push_back(in.extra[at]);
        out_.extra.push_back(n);
        for (uint32_t k = 0; k < n; k++) {
          V v(in.extra[at + 2 + k]);
          out_.extra.push_back(single(v).value);
        }
        at += 2 + n;
      }
    }
  }
  if (!error_.empty()) return error_at(std::string(module_.name_of(in.symbol)), error_);
  finish();
  in_ = std::move(out_);
  return {};
}

void Legalizer::order_blocks() {
  const uint32_t n = uint32_t(in_.blocks.size());
  std::vector<uint8_t> seen(n, 0);
  std::vector<uint32_t> post;
  std::vector<uint32_t> stack, next, successors;  // successors of the blocks on the stack, one after the other
  std::vector<uint32_t> starts;
  auto push = [&](uint32_t b) {
    seen[b] = 1;
    stack.push_back(b);
    starts.push_back(uint32_t(successors.size()));
    const Block& block = in_.blocks[b];
    if (block.inst_count)
      for_each_edge(in_, in_.insts[block.first_inst + block.inst_count - 1],
                    [&](EdgeIndex e) { successors.push_back(in_.edges[e].target.value); });
    next.push_back(uint32_t(successors.size()));
  };
  for (uint32_t root = 0; root < n; root++) {
    if (seen[root]) continue;
    post.clear();
    push(root);
    while (!stack.empty()) {
      if (next.back() == starts.back()) {
        post.push_back(stack.back());
        successors.resize(starts.back());
        stack.pop_back();
        starts.pop_back();
        next.pop_back();
        continue;
      }
      uint32_t to = successors[--next.back()];
      if (!seen[to]) push(to);
    }
    order_.insert(order_.end(), post.rbegin(), post.rend());
  }
}

void Legalizer::make_params() {
  for (uint32_t b = 1; b < in_.blocks.size(); b++) {
    const Block& from = in_.blocks[b];
    Block& to = out_.blocks[b];
    to.first_param = uint32_t(out_.values.size());
    for (uint32_t p = 0; p < from.param_count; p++) {
      V old(from.first_param + p);
      Lanes lanes;
      const bool whole = opaque(old) && lanes_of(old_type(old), lanes);
      uint32_t n = whole ? lanes.parts : leaf_count(old_type(old));
      if (!error_.empty()) return;
      Span s = alloc(n);
      const LeafTable::Entry& e = leaves_.of(old_type(old));
      for (uint32_t k = 0; k < n; k++) {
        pool_[s.first + k] = V(uint32_t(out_.values.size()));
        TypeId t = whole ? lanes.reg : leaves_.leaves[e.first + k].type;
        out_.values.push_back(Value::make(t, ValueKind::Param, b));
      }
      map_[old.value] = s;
    }
    to.param_count = uint32_t(out_.values.size()) - to.first_param;
  }
}

void Legalizer::lower_entry() {
  const Block& from = in_.blocks[0];
  struct Param { uint32_t abi_first, abi_count; };
  std::vector<Param> params;
  bool have_attrs = !in_.param_attrs.empty();
  Block& to = out_.blocks[0];
  to.first_param = uint32_t(out_.values.size());
  auto add = [&](TypeId t, ParamAttr a) {
    V v(uint32_t(out_.values.size()));
    out_.values.push_back(Value::make(t, ValueKind::Param, 0));
    out_.param_attrs.push_back(a);
    if (a.bits || a.align_log2 || a.size) have_attrs = true;
    return v;
  };
  if (returns_in_memory(type(in_.type).element)) {
    ParamAttr a;
    a.bits = attr::sret;
    sret_ = add(T::ptr, a);
  }
  std::vector<Span> abi;
  for (uint32_t p = 0; p < from.param_count && error_.empty(); p++) {
    V old(from.first_param + p);
    const LeafTable::Entry& e = leaves_.of(old_type(old));
    if (!e.ok) return fail(leaves_.error);
    Span s = alloc(e.abi_count);
    ParamAttr own = p < in_.param_attrs.size() ? in_.param_attrs[p] : ParamAttr{};
    for (uint32_t k = 0; k < e.abi_count; k++) {
      ParamAttr a = own;
      a.bits |= leaves_.abi_attrs[e.abi_first + k];
      pool_[s.first + k] = add(leaves_.abi[e.abi_first + k], a);
    }
    abi.push_back(s);
  }
  to.param_count = uint32_t(out_.values.size()) - to.first_param;
  if (!have_attrs) out_.param_attrs.clear();
  // Constants of f128 that are not zero come from memory.
  if (!options_.f128_as_pair)
    for (uint32_t v = 0; v < in_.values.size(); v++) {
      const Constant* c = in_.constant(V(v));
      if (!c || c->kind != ConstantKind::WideFloat || c->type != T::f128) continue;
      const uint32_t* w = &in_.extra[c->bits];
      V address = slot(16, 16);
      uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 3);
      store_leaf(int_const(T::i64, w[0] | uint64_t(w[1]) << 32), address, 0, aux);
      store_leaf(int_const(T::i64, w[2] | uint64_t(w[3]) << 32), address, 8, aux);
      define(V(v), Vals(load_leaf(T::f128, address, 0, MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4))));
    }
  for (uint32_t p = 0; p < abi.size() && error_.empty(); p++) {
    V old(from.first_param + p);
    if (in_.conv == CallConv::win64 && has_small_vector(old_type(old))) fail(small_vector_text);
    else if (crosses_whole(old))
      define_parts(old, from_vector_abi(old_type(old), &pool_[abi[p].first], abi[p].count));
    else define(old, from_abi(old_type(old), abi[p]));
  }
}

void Legalizer::lower_block(uint32_t b) {
  start_block(b);
  if (b == 0) lower_entry();
  const Block block = in_.blocks[b];
  size_t place = in_.debug_places.empty()
                     ? 0
                     : size_t(std::lower_bound(in_.debug_places.begin(), in_.debug_places.end(), block.first_inst,
                                               [](const DebugPlace& p, uint32_t at) { return p.inst < at; }) -
                              in_.debug_places.begin());
  for (uint32_t k = 0; k < block.inst_count && error_.empty(); k++) {
    uint32_t index = block.first_inst + k;
    for (; place < in_.debug_places.size() && in_.debug_places[place].inst <= index; place++)
      debug_place(in_.debug_places[place]);
    location_ = index < in_.inst_locations.size() ? in_.inst_locations[index] : 0;
    lower_inst(in_.insts[index]);
    if (!error_.empty())
      error_ = std::string(info(in_.insts[index].op).name) + " in block " + std::to_string(b) + ": " + error_;
  }
  end_block();
}

// A value of several leaves is in no one place, and is not known then.
void Legalizer::debug_place(DebugPlace place) {
  if (place.kind == DebugPlace::value || place.kind == DebugPlace::address) {
    const Span s = map_[place.operand];
    if (s.count == 1) place.operand = leaf(s, 0).value;
    else place.kind = DebugPlace::undefined;
  }
  place.inst = uint32_t(out_.insts.size()) - segments_[current_block_].first;
  out_.debug_places.push_back(place);
  place_blocks_.push_back(current_block_);
}

void Legalizer::finish() {
  std::vector<Inst> insts;
  std::vector<uint32_t> locations;
  insts.reserve(out_.insts.size());
  if (!out_.inst_locations.empty()) locations.reserve(out_.insts.size());
  for (uint32_t b = 0; b < out_.blocks.size(); b++) {
    Segment s = segments_[b];
    out_.blocks[b].first_inst = uint32_t(insts.size());
    out_.blocks[b].inst_count = s.count;
    insts.insert(insts.end(), out_.insts.begin() + s.first, out_.insts.begin() + s.first + s.count);
    if (!out_.inst_locations.empty())
      locations.insert(locations.end(), out_.inst_locations.begin() + s.first,
                       out_.inst_locations.begin() + s.first + s.count);
  }
  out_.insts = std::move(insts);
  out_.inst_locations = std::move(locations);
  for (size_t k = 0; k < place_blocks_.size(); k++)
    out_.debug_places[k].inst += out_.blocks[place_blocks_[k]].first_inst;
  std::stable_sort(out_.debug_places.begin(), out_.debug_places.end(),
                   [](const DebugPlace& a, const DebugPlace& b) { return a.inst < b.inst; });
  for (uint32_t k = 0; k < out_.insts.size(); k++)
    if (V r = out_.insts[k].result; r.valid()) out_.values[r.value] = Value::make(ty(r), ValueKind::Inst, k);
}

// ---- one instruction ------------------------------------------------------------------------------------------------

void Legalizer::lower_inst(const Inst& i) {
  if (!opaque_.empty() && lower_simd(i)) return;
  switch (i.op) {
    case Op::load: return lower_load(i);
    case Op::store: return lower_store(i);
    case Op::atomic_rmw: return lower_rmw(i);
    case Op::cmpxchg: return lower_cmpxchg(i);
    case Op::va_arg: return lower_va_arg(i);
    case Op::extract: return lower_extract(i);
    case Op::insert: return lower_insert(i);
    case Op::extract_element: return lower_extract_element(i);
    case Op::insert_element: return lower_insert_element(i);
    case Op::shuffle: return lower_shuffle(i);
    case Op::reduce_add: case Op::reduce_mul: case Op::reduce_and: case Op::reduce_or: case Op::reduce_xor:
    case Op::reduce_smin: case Op::reduce_smax: case Op::reduce_umin: case Op::reduce_umax:
    case Op::reduce_fadd: case Op::reduce_fmul: case Op::reduce_fmin: case Op::reduce_fmax: return lower_reduce(i);
    case Op::select: return lower_select(i);
    case Op::bitcast: return lower_bitcast(i);
    case Op::call: case Op::invoke: return lower_call(i);
    case Op::ret: return lower_ret(i);
    case Op::landing_pad: return lower_landing_pad(i);

    case Op::freeze: {
      Span s = copy(leaves(i.va()));
      for (uint32_t k = 0; k < s.count; k++) {
        V x = leaf(s, k);
        pool_[s.first + k] = ty(x) == T::f128 || is_simd(ty(x)) || out_.constant(x) ? x : un(Op::freeze, x);
      }
      return define(i.result, s);
    }
    case Op::memcpy: case Op::memmove: case Op::memset: {
      V n = single(i.vc());
      TypeId p = int_of_pointer();
      n = conv(type(ty(n)).bits > type(p).bits ? Op::trunc : Op::zext, p, n);
      V a = single(i.va()), b = single(i.vb());
      emit(i.op, T::void_type, a.value, b.value, n.value, i.aux, i.flags);
      return;
    }
    case Op::alloca: {
      V n = single(i.va());
      TypeId p = int_of_pointer();
      n = conv(type(ty(n)).bits > type(p).bits ? Op::trunc : Op::zext, p, n);
      return define(i.result, Vals(emit(i.op, i.type, n.value, ~0u, ~0u, i.aux, i.flags)));
    }
    case Op::va_end: return;
    case Op::va_copy: {
      V to = single(i.va()), from = single(i.vb());
      unsigned pointer = types_.layout().pointer_bytes;
      if (va_list() == VaListKind::pointer) {
        uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, pointer == 4 ? 2 : 3);
        store_leaf(load_leaf(T::ptr, from, 0, aux), to, 0, aux);
      } else {
        V n = int_const(int_of_pointer(), 24);
        emit(Op::memcpy, T::void_type, to.value, from.value, n.value,
             MemoryFlags::pack(false, AtomicOrdering::not_atomic, 3));
      }
      return;
    }
    case Op::resume: {
      Span s = leaves(i.va());
      if (s.count < 1) return fail("resume of an empty value");
      call_runtime(RuntimeFunction::unwind_resume, Vals(leaf(s, 0)));
      emit(Op::unreachable, T::void_type);
      return;
    }

    case Op::br: {
      uint32_t e = lower_edge(i.a);
      emit(i.op, T::void_type, e);
      return;
    }
    case Op::cond_br: {
      V c = single(i.va());
      uint32_t e1 = lower_edge(i.b), e2 = lower_edge(i.c);
      emit(i.op, T::void_type, c.value, e1, e2);
      return;
    }
    case Op::switch_: {
      uint32_t bits = type(old_type(i.va())).bits;
      Vals x = vals(i.va());
      if (!error_.empty()) return;
      uint32_t n = in_.extra[i.c];
      uint64_t mask = bits < 64 ? (uint64_t{1} << bits) - 1 : ~uint64_t{0};
      if (bits == 1) {
        uint32_t e[2] = {~0u, ~0u};
        for (uint32_t k = 0; k < n; k++) e[in_.extra[i.c + 1 + 3 * k] & 1] = lower_edge(in_.extra[i.c + 3 + 3 * k]);
        for (uint32_t& w : e)
          if (w == ~0u) w = lower_edge(i.b);
        return cond_br(x[0], e[1], e[0]);
      }
      if (x.n > 1) {
        // The cases are 64 bits wide: anything above goes to the default.
        V high = x[1];
        for (uint32_t k = 2; k < x.n; k++) high = bin(Op::or_, high, x[k]);
        V c = icmp(IntPredicate::eq, high, int_const(T::i64, 0));
        uint32_t low = new_block();
        uint32_t e_low = edge(low, nullptr, 0), e_default = lower_edge(i.b);
        cond_br(c, e_low, e_default);
        end_block();
        start_block(low);
      }
      uint32_t def = lower_edge(i.b);
      std::vector<uint32_t> cases{n};
      for (uint32_t k = 0; k < n; k++) {
        uint64_t v = in_.extra[i.c + 1 + 3 * k] | uint64_t(in_.extra[i.c + 2 + 3 * k]) << 32;
        v &= mask;
        cases.push_back(uint32_t(v));
        cases.push_back(uint32_t(v >> 32));
        cases.push_back(lower_edge(in_.extra[i.c + 3 + 3 * k]));
      }
      uint32_t at = uint32_t(out_.extra.size());
      out_.extra.insert(out_.extra.end(), cases.begin(), cases.end());
      emit(i.op, T::void_type, x[0].value, def, at);
      return;
    }
    case Op::indirect_br: {
      V a = single(i.va());
      uint32_t n = in_.extra[i.b];
      std::vector<uint32_t> list{n};
      for (uint32_t k = 0; k < n; k++) list.push_back(lower_edge(in_.extra[i.b + 1 + k]));
      uint32_t at = uint32_t(out_.extra.size());
      out_.extra.insert(out_.extra.end(), list.begin(), list.end());
      emit(i.op, T::void_type, a.value, at);
      return;
    }

    case Op::slot_addr: case Op::lifetime_start: case Op::lifetime_end: case Op::stack_save: case Op::fence:
    case Op::return_address: case Op::frame_address:
    case Op::read_cycle_counter: case Op::thread_pointer: case Op::debug_trap: case Op::trap: case Op::unreachable: {
      V r = emit(i.op, i.type, i.a, i.b, i.c, i.aux, i.flags);
      if (i.result.valid()) define(i.result, Vals(r));
      return;
    }
    case Op::stack_restore: case Op::prefetch: case Op::va_start: case Op::eh_sjlj_setjmp: case Op::eh_sjlj_longjmp:
    case Op::eh_typeid: {
      V a = single(i.va());
      V r = emit(i.op, i.type, a.value, i.b, i.c, i.aux, i.flags);
      if (i.result.valid()) define(i.result, Vals(r));
      return;
    }
    default: return lower_elementwise(i);
  }
}

void Legalizer::lower_elementwise(const Inst& i) {
  Shape shape = info(i.op).shape;
  const bool has_b = shape == Shape::Binary || shape == Shape::Compare || shape == Shape::Ternary ||
                     (shape == Shape::PtrAdd && i.b != ~0u);
  const bool has_c = shape == Shape::Ternary;
  TypeId at = old_type(i.va());
  auto lanes_of = [&](TypeId t) { return type(t).kind == TypeKind::Vector ? type(t).count : uint64_t{1}; };
  auto element = [&](TypeId t) { return type(t).kind == TypeKind::Vector ? type(t).element : t; };
  bool pair = info(i.op).result == ResultRule::Pair;
  TypeId dest = pair ? at : i.type;
  uint64_t lanes = lanes_of(dest);
  Span a = leaves(i.va()), b, c;
  if (has_b) b = leaves(i.vb());
  if (has_c) c = leaves(i.vc());
  if (!error_.empty()) return;
  TypeId ea = element(at), ed = element(dest);
  if (lanes > max_leaves) return fail("a vector of " + std::to_string(lanes) + " elements");
  // A scalar operand stands for a vector of equal lanes.
  auto lane = [&](Span s, TypeId t, uint64_t k) {
    uint32_t n = leaf_count(element(t));
    return vals(s, lanes_of(t) == 1 ? 0 : uint32_t(k) * n, n);
  };
  if (lanes_of(at) != 1 && lanes_of(at) != lanes) return fail("operands of different lengths");
  if (pair && lanes == 1) {
    Vals r = overflow_op(i.op, type(ea).bits, vals(a, 0, a.count), vals(b, 0, b.count));
    return define(i.result, r);
  }
  uint32_t per_lane = leaf_count(ed);
  if (!error_.empty()) return;
  Span r = alloc(uint32_t(lanes) * (per_lane + pair));
  for (uint64_t k = 0; k < lanes && error_.empty(); k++) {
    Vals x = lane(a, at, k), y, z, v;
    if (has_b) y = lane(b, old_type(i.vb()), k);
    if (has_c) z = lane(c, old_type(i.vc()), k);
    if (pair) {
      v = overflow_op(i.op, type(ea).bits, x, y);
      pool_[r.first + lanes * per_lane + k] = v[per_lane];
    } else {
      v = lower_scalar(i, ea, ed, x, y, z);
      if (v.n != per_lane && error_.empty()) fail("not supported on " + describe(ea));
    }
    if (!error_.empty()) return;
    for (uint32_t l = 0; l < per_lane; l++) pool_[r.first + k * per_lane + l] = v[l];
  }
  define(i.result, r);
}

Vals Legalizer::lower_scalar(const Inst& i, TypeId from, TypeId to, const Vals& a, const Vals& b, const Vals& c) {
  const TypeKind kind = type(from).kind;
  const uint32_t bits = type(from).bits, to_bits = type(to).bits;
  const uint32_t pointer_bits = types_.layout().pointer_bytes * 8u;
  switch (i.op) {
    case Op::icmp:
      if (kind == TypeKind::Int) return int_compare(IntPredicate(i.aux), bits, a, b);
      return icmp(IntPredicate(i.aux), a[0], b[0]);
    case Op::fcmp: return float_compare(FloatPredicate(i.aux), from, a, b);
    case Op::trunc: case Op::zext: return resize(a, bits, to_bits, false);
    case Op::sext: return resize(a, bits, to_bits, true);
    case Op::fptoui: case Op::fptosi: case Op::fptoui_sat:
    case Op::fptosi_sat: return float_to_int(i.op, from, to_bits, a);
    case Op::uitofp: return int_to_float(false, bits, to, a);
    case Op::sitofp: return int_to_float(true, bits, to, a);
    case Op::fptrunc: case Op::fpext: return float_convert(from, to, a);
    case Op::ptrtoint:
      return resize(Vals(emit(Op::ptrtoint, int_of_pointer(), a[0].value)), pointer_bits, to_bits, false);
    case Op::inttoptr: return Vals(emit(Op::inttoptr, T::ptr, resize(a, bits, pointer_bits, false)[0].value));
    case Op::ptr_add: {
      PtrAddParts p = ptr_add_parts(in_, i);
      V index;
      if (b.n)
        index = resize(b,
                       type(old_type(i.vb())).kind == TypeKind::Vector ? type(type(old_type(i.vb())).element).bits
                                                                       : type(old_type(i.vb())).bits,
                       pointer_bits, true)[0];
      if (!index.valid() && p.offset == 0) return a;
      return indexed_ptr(a[0], index, p.scale, p.offset, i.flags);
    }
    default: break;
  }
  if (kind == TypeKind::Int) return int_op(i.op, bits, a, b, c, i.flags);
  if (kind == TypeKind::Ptr) {
    fail("not supported on pointers");
    return undef_const(T::ptr);
  }
  return float_op(i.op, from, a, b, c, i.flags);
}

}  // namespace lode::air
