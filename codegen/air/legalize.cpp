// The driver of legalisation: the quick scan, block order, constants, emission, and the dispatch of one instruction.
#include "codegen/air/legalize.h"

#include <bit>

#include "base/bytes.h"
#include "codegen/air/legalize_impl.h"

namespace lode::air {

LegalizeOptions LegalizeOptions::x86_64() { return {}; }

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
    case Op::frem: case Op::fma: case Op::fcopysign: case Op::fminnum: case Op::fmaxnum: case Op::fminimum: case Op::fmaximum:
    case Op::fceil: case Op::ffloor: case Op::ftrunc: case Op::frint: case Op::fround: case Op::froundeven:
    case Op::icmp: case Op::fcmp: case Op::ptrtoint: case Op::inttoptr: case Op::bitcast:
    case Op::fptoui_sat: case Op::fptosi_sat: case Op::load: case Op::store: case Op::ptr_add:
    case Op::memcpy: case Op::memmove: case Op::memset: case Op::atomic_rmw: case Op::extract: case Op::switch_:
    case Op::uadd_overflow: case Op::sadd_overflow: case Op::usub_overflow: case Op::ssub_overflow: case Op::umul_overflow:
    case Op::smul_overflow: case Op::call: case Op::invoke:
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
    if ((op == Op::call || op == Op::invoke) && !results_fit(fields, s.field_count, options)) return false;
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
          case Op::bitcast: if (i.type == type_of(i.a) || i.type == T::ptr || type_of(i.a) == T::ptr) return false; break;
          case Op::fptoui_sat: case Op::fptosi_sat:
            if (!options.has_saturating_conversions || (i.type != T::i32 && i.type != T::i64) || type_of(i.a) == T::f80) return false;
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
            if (!((integers | bit(T::ptr)) >> i.type.value & 1)) return false;
            break;
          case Op::extract: if (fn.extra[i.b] != 1) return false; break;
          case Op::switch_: if (type_of(i.a) == T::i1) return false; break;
          case Op::call: case Op::invoke: break;
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

// ---- the rebuilt function -------------------------------------------------------------------------------------------------

Result<void> Legalizer::run() {
  const Function& in = in_;
  out_.symbol = in.symbol;
  out_.type = in.type;
  out_.conv = in.conv;
  out_.flags = in.flags;
  out_.result_attrs = in.result_attrs;
  out_.align_log2 = in.align_log2;
  out_.personality = in.personality;
  out_.slots = in.slots;
  out_.inline_asms = in.inline_asms;
  out_.strings = in.strings;
  out_.locations = in.locations;
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
      uint32_t n = opaque(old) ? 1 : leaf_count(old_type(old));
      if (!error_.empty()) return;
      Span s = alloc(n);
      const LeafTable::Entry& e = leaves_.of(old_type(old));
      for (uint32_t k = 0; k < n; k++) {
        pool_[s.first + k] = V(uint32_t(out_.values.size()));
        TypeId t = opaque(old) ? T::v128 : leaves_.leaves[e.first + k].type;
        out_.values.push_back(Value::make(t, ValueKind::Param, b));
      }
      define(old, s);
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
    if (opaque(old)) define(old, abi[p]);
    else define(old, from_abi(old_type(old), abi[p]));
  }
}

void Legalizer::lower_block(uint32_t b) {
  start_block(b);
  if (b == 0) lower_entry();
  const Block block = in_.blocks[b];
  for (uint32_t k = 0; k < block.inst_count && error_.empty(); k++) {
    uint32_t index = block.first_inst + k;
    location_ = index < in_.inst_locations.size() ? in_.inst_locations[index] : 0;
    lower_inst(in_.insts[index]);
    if (!error_.empty()) error_ = std::string(info(in_.insts[index].op).name) + " in block " + std::to_string(b) + ": " + error_;
  }
  end_block();
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
      locations.insert(locations.end(), out_.inst_locations.begin() + s.first, out_.inst_locations.begin() + s.first + s.count);
  }
  out_.insts = std::move(insts);
  out_.inst_locations = std::move(locations);
  for (uint32_t k = 0; k < out_.insts.size(); k++)
    if (V r = out_.insts[k].result; r.valid()) out_.values[r.value] = Value::make(ty(r), ValueKind::Inst, k);
}

// ---- values ---------------------------------------------------------------------------------------------------------------

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
    // An opaque vector that is looked into after all: through memory.
    TypeId t = old_type(old);
    V address = slot(16, 16);
    uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
    store_leaf(leaf(s, 0), address, 0, aux);
    Span to = alloc(leaf_count(t));
    load_value(t, address, 0, aux, to);
    return to;
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

Legalizer::V Legalizer::as_opaque(V old) {
  if (opaque(old)) {
    Span s = map_[old.value];
    return s.count == 1 ? leaf(s, 0) : undef_const(T::v128);
  }
  if (const Constant* c = in_.constant(old)) {
    if (c->kind == ConstantKind::Undef) return undef_const(T::v128);
    if (c->kind == ConstantKind::Zero) return zero_const(T::v128);
  }
  TypeId t = old_type(old);
  Span s = leaves(old);
  V address = slot(16, 16);
  uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, 4);
  if (has_bits(t)) {
    Vals w = gather_bits(t, s);
    store_int(bits_of(t), w, address, 0, aux);
  } else {
    store_value(t, s, address, 0, aux);
  }
  return load_leaf(T::v128, address, 0, aux);
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

void Legalizer::define(V old, const Vals& x) {
  if (!old.valid()) return;
  Span s = alloc(x.n);
  for (uint32_t k = 0; k < x.n; k++) pool_[s.first + k] = x[k];
  map_[old.value] = s;
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

// ---- constants ------------------------------------------------------------------------------------------------------------

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

static ValueId add_constant(Function& out, const Constant& c) {
  ValueId v(uint32_t(out.values.size()));
  out.values.push_back(Value::make(c.type, ValueKind::Const, uint32_t(out.constants.size())));
  out.constants.push_back(c);
  return v;
}

Legalizer::V Legalizer::zero_const(TypeId t) {
  TypeKind k = type(t).kind;
  if (k == TypeKind::Int) return int_const(t, 0);
  V& known = zeros_[t.value];
  if (!known.valid()) {
    bool is_float = k == TypeKind::F32 || k == TypeKind::F64;
    known = add_constant(out_, {is_float ? ConstantKind::Float : ConstantKind::Zero, t, ~0u, 0});
  }
  return known;
}

Legalizer::V Legalizer::undef_const(TypeId t) {
  V& known = undefs_[t.value];
  if (!known.valid()) known = add_constant(out_, {ConstantKind::Undef, t, ~0u, 0});
  return known;
}

Legalizer::V Legalizer::wide_float_const(TypeId t, uint64_t lo, uint64_t hi) {
  Constant c{ConstantKind::WideFloat, t, ~0u, out_.extra.size()};
  out_.extra.push_back(uint32_t(lo));
  out_.extra.push_back(uint32_t(lo >> 32));
  out_.extra.push_back(uint32_t(hi));
  if (t == T::f128) out_.extra.push_back(uint32_t(hi >> 32));
  return add_constant(out_, c);
}

// f32, f64, f80
Legalizer::V Legalizer::f_const(TypeId t, double v) {
  if (t == T::f32) return add_constant(out_, {ConstantKind::Float, t, ~0u, std::bit_cast<uint32_t>(float(v))});
  if (t == T::f64) return add_constant(out_, {ConstantKind::Float, t, ~0u, std::bit_cast<uint64_t>(v)});
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
  if (depth > 64) return fail("a constant nested too deeply");
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
      else define(old, Vals(add_constant(out_, {ConstantKind::Float, c.type, ~0u, c.bits})));
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
      define(old, Vals(add_constant(out_, c)));
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

// ---- emission -------------------------------------------------------------------------------------------------------------

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
void Legalizer::end_block() { segments_[current_block_].count = uint32_t(out_.insts.size()) - segments_[current_block_].first; }

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
      args.push_back(as_opaque(a));
      continue;
    }
    Span s = leaves(a);
    for (uint32_t l = 0; l < s.count; l++) args.push_back(leaf(s, l));
  }
  return edge(old.target.value, args.data(), uint32_t(args.size()));
}

// ---- one instruction ------------------------------------------------------------------------------------------------------

void Legalizer::lower_inst(const Inst& i) {
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
      if (opaque(i.result)) return define(i.result, Vals(emit(Op::freeze, T::v128, as_opaque(i.va()).value)));
      Span s = copy(leaves(i.va()));
      for (uint32_t k = 0; k < s.count; k++) {
        V x = leaf(s, k);
        pool_[s.first + k] = ty(x) == T::f128 || ty(x) == T::v128 || out_.constant(x) ? x : un(Op::freeze, x);
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
      if (options_.va_list == VaListKind::pointer) {
        uint16_t aux = MemoryFlags::pack(false, AtomicOrdering::not_atomic, pointer == 4 ? 2 : 3);
        store_leaf(load_leaf(T::ptr, from, 0, aux), to, 0, aux);
      } else {
        V n = int_const(int_of_pointer(), 24);
        emit(Op::memcpy, T::void_type, to.value, from.value, n.value, MemoryFlags::pack(false, AtomicOrdering::not_atomic, 3));
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

    case Op::slot_addr: case Op::stack_save: case Op::fence: case Op::return_address: case Op::frame_address:
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
  const bool has_b = shape == Shape::Binary || shape == Shape::Compare || shape == Shape::Ternary || (shape == Shape::PtrAdd && i.b != ~0u);
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
    Vals r = overflow_op(i.op, type(at).bits, vals(a, 0, a.count), vals(b, 0, b.count));
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
    case Op::fptoui: case Op::fptosi: case Op::fptoui_sat: case Op::fptosi_sat: return float_to_int(i.op, from, to_bits, a);
    case Op::uitofp: return int_to_float(false, bits, to, a);
    case Op::sitofp: return int_to_float(true, bits, to, a);
    case Op::fptrunc: case Op::fpext: return float_convert(from, to, a);
    case Op::ptrtoint: return resize(Vals(emit(Op::ptrtoint, int_of_pointer(), a[0].value)), pointer_bits, to_bits, false);
    case Op::inttoptr: return Vals(emit(Op::inttoptr, T::ptr, resize(a, bits, pointer_bits, false)[0].value));
    case Op::ptr_add: {
      PtrAddParts p = ptr_add_parts(in_, i);
      V index;
      if (b.n) index = resize(b, type(old_type(i.vb())).kind == TypeKind::Vector ? type(type(old_type(i.vb())).element).bits
                                                                                : type(old_type(i.vb())).bits, pointer_bits, true)[0];
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
  if (!callee.valid()) callee = add_constant(out_, {ConstantKind::Runtime, T::ptr, uint32_t(f), 0});
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
  TypeId call_type = in_memory || e.abi_count == 0 ? T::void_type : e.abi_count == 1 ? leaves_.abi[e.abi_first] : result;
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
