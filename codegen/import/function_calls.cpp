// Calls, invokes, inline assembly, landing pads and intrinsics.
#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "codegen/import/function_import.h"

namespace lode::codegen {

bool FunctionImporter::call_site(const bc::Inst& i, uint32_t fnty, uint32_t callee, uint32_t attrs,
                                 std::span<const uint32_t> args, std::span<const uint32_t> bundles, uint32_t& site) {
  air::CallSite out;
  const bc::Type& ft = m_.types[fnty];
  auto params = m_.list_of(ft).subspan(1);
  out.function_type = s_.types[fnty];
  if (!convention(i.flags, out.conv)) return false;
  for (size_t k = 1, n = bundles.empty() ? 0 : bundles[0]; n > 0; n--) {
    uint32_t tag = bundles[k], count = bundles[k + 1];
    k += 2 + count;
    std::string_view name = tag < m_.bundle_tags.size() ? m_.bundle_tags[tag] : "?";
    const BundleRow* row = find_bundle(name);
    if (!row) return fail("operand bundle '" + std::string(name) + "' is not known");
    if (row->treatment(s_.wasm) == Treatment::refused)
      return fail("operand bundle '" + std::string(name) + "' is not supported (" + std::string(row->why) + ")");
    if (name == "kcfi" && count == 1) {
      const Folded f = folder_.fold(bundles[k - 1]);
      if (f.kind != Folded::Int) return fail("kcfi bundle without a number");
      out.flags |= air::callflags::type_id;
      out.type_id = uint32_t(f.bits);
    }
  }
  const bc::Constant* k = nullptr;
  const bc::Constants* pool = folder_.pool(callee, k);
  if (pool && k->kind == bc::ConstKind::InlineAsm) {
    auto o = pool->operands_of(*k);
    air::InlineAsm a;
    a.text = uint32_t(f_.strings.size());
    a.text_len = o[2];
    f_.strings.append(pool->bytes.data() + o[1], o[2]);
    a.constraints = uint32_t(f_.strings.size());
    a.constraints_len = o[4];
    f_.strings.append(pool->bytes.data() + o[3], o[4]);
    a.side_effects = k->flags & 1;
    a.align_stack = k->flags & 2;
    a.intel = k->flags & 4;
    a.can_throw = k->flags & 8;
    out.inline_asm = uint32_t(f_.inline_asms.size());
    f_.inline_asms.push_back(a);
  } else {
    out.callee = use(callee);
    if (!out.callee.valid()) return false;
    if (type_of(out.callee) != types_.ptr) return fail("call of something that is not a pointer");
    if (callee < m_.globals.size() && m_.globals[callee].attributes != bc::none) {
      const AttributeSummary& a = s_.attributes[m_.globals[callee].attributes];
      if (!a.refused_call.empty()) return fail(a.refused_call);
      out.flags |= a.call_flags & ~air::callflags::read_none;
    }
  }
  if (wide_vectors_ && out.inline_asm == ~0u) {
    bool wide = i.type != bc::none && s_.type_ok[i.type] && has_wide_vector(s_.types[i.type]);
    for (uint32_t a : args) {
      const uint32_t t = b_.type_of(m_, a);
      wide |= t < s_.types.size() && s_.type_ok[t] && m_.types[t].kind != bc::TypeKind::Metadata &&
              has_wide_vector(s_.types[t]);
    }
    const bool own =
        callee < m_.globals.size() && m_.globals[callee].kind == bc::Global::Function &&
        (m_.globals[callee].linkage == bc::Linkage::Internal || m_.globals[callee].linkage == bc::Linkage::Private);
    if (wide && !own)
      return fail("call that passes AVX-512 vectors to a function which is not local to this module is not supported");
  }
  const size_t base = w_.words.size();
  for (uint32_t n = 0; n < args.size(); n++) {
    if (n < params.size() &&
        (m_.types[params[n]].kind == bc::TypeKind::Metadata || m_.types[params[n]].kind == bc::TypeKind::Label))
      return fail("argument of a type that is not supported");
    V v = use(args[n]);
    if (!v.valid()) return false;
    if (n < params.size() && type_of(v) != s_.types[params[n]]) return fail("argument of a wrong type");
    w_.words.push_back(v.value);
  }
  out.args = uint32_t(f_.extra.size());
  out.arg_count = uint32_t(args.size());
  f_.extra.insert(f_.extra.end(), w_.words.begin() + base, w_.words.end());
  w_.words.resize(base);
  if (attrs != bc::none) {
    const AttributeSummary& a = s_.attributes[attrs];
    if (!a.refused_call.empty()) return fail(a.refused_call);
    out.flags |= a.call_flags;
    out.result_attrs = a.result_attrs;
    if (a.count && s_.param_entries[a.first].param < args.size()) {
      if (f_.param_attrs.empty()) f_.param_attrs.resize(function_param_count_);
      out.attrs = uint32_t(f_.param_attrs.size());
      f_.param_attrs.resize(out.attrs + args.size());
      for (uint32_t e = a.first; e < a.first + a.count; e++)
        if (s_.param_entries[e].param < args.size())
          f_.param_attrs[out.attrs + s_.param_entries[e].param] = s_.param_entries[e].attr;
    }
  }
  if (i.op == bc::Op::Call) {
    if (i.sub == 1 && !(f_.flags & air::function_flags::no_tail_calls)) out.flags |= air::callflags::tail;
    if (i.sub == 2) out.flags |= air::callflags::musttail;
    if (i.sub == 3) out.flags |= air::callflags::notail;
  }
  if (out.flags & air::callflags::returns_twice) f_.flags |= air::function_flags::returns_twice_call;
  site = uint32_t(f_.calls.size());
  f_.calls.push_back(out);
  return true;
}

bool FunctionImporter::call(const bc::Inst& i) {
  auto o = ops(i);
  const bool invoke = i.op == bc::Op::Invoke;
  const uint32_t callee = o[1], count = o[3];
  auto args = o.subspan(invoke ? 6 : 4, count);
  auto bundles = o.subspan((invoke ? 6 : 4) + count);
  if (callee < s_.is_intrinsic.size() && s_.is_intrinsic[callee]) {
    const Intrinsic* in = s_.intrinsics[callee];
    if (!in) return fail("intrinsic '" + std::string(m_.globals[callee].name) + "' is not supported");
    if (o[2] != bc::none && !s_.attributes[o[2]].refused_call.empty()) return fail(s_.attributes[o[2]].refused_call);
    // The shape of the call must be the declaration's, because the cases below rely on it.
    if (o[0] != m_.globals[callee].type) return fail("intrinsic called by another type than its declaration's");
    if (!intrinsic(i, *in, args)) return false;
    if (!invoke) return true;
    uint32_t e;
    if (!edge(o[4], e)) return false;
    emit(O::br, types_.void_type, e);
    return true;
  }
  T type = types_.void_type;
  if (i.type != bc::none && !result_type(i, type)) return false;
  uint32_t site;
  if (!call_site(i, o[0], callee, o[2], args, bundles, site)) return false;
  if (!invoke) {
    V v = emit(O::call, type, site);
    if (v.valid()) set(i, v);
    return true;
  }
  // The normal edge may pass the result on, so the result has its number before the edges are made.
  V result;
  if (type != types_.void_type) {
    result = V(uint32_t(f_.values.size()));
    f_.values.push_back(air::Value::make(type, air::ValueKind::Inst, 0));
  }
  uint32_t normal, unwind;
  if (!edge(o[5], unwind)) return false;
  if (result.valid()) set(i, result);
  if (!edge(o[4], normal)) return false;
  emit(O::invoke, types_.void_type, site, normal, unwind);
  air::Inst& inst = f_.insts.back();
  if (result.valid()) {
    inst.type = type;
    inst.result = result;
    f_.values[result.value] = air::Value::make(type, air::ValueKind::Inst, uint32_t(f_.insts.size() - 1));
    // From here on it is known where the normal edge alone leads.
    const uint32_t to = w_.number[o[4]];
    if (w_.flow.edge_dominates(current_air_, to))
      w_.homes[i.value - b_.first_local] = to;
    else
      w_.locals[i.value - b_.first_local] = V{};
  }
  return true;
}

// asm goto. The statement is an ordinary one with one more output, a word in memory that tells where to go on: behind
// the text comes code that stores 0 for falling through and k for the k-th label, and a switch on the word follows.
// Outputs thus hold on all ways.
bool FunctionImporter::call_branch(const bc::Inst& i) {
  auto o = ops(i);
  const uint32_t count = o[3], n = o[5];
  T type = types_.void_type;
  if (i.type != bc::none && !result_type(i, type)) return false;
  uint32_t site;
  if (!call_site(i, o[0], o[1], o[2], o.subspan(6 + n, count), o.subspan(6 + n + count), site)) return false;
  if (f_.calls[site].inline_asm == ~0u) return fail("callbr of something else than inline assembly is not supported");
  air::InlineAsm& a = f_.inline_asms[f_.calls[site].inline_asm];
  std::string text = f_.strings.substr(a.text, a.text_len),
              constraints = f_.strings.substr(a.constraints, a.constraints_len);
  // Operands are numbered in the order of the constraints; clobbers come last.
  std::vector<uint32_t> labels;
  uint32_t operands = 0;
  size_t at = 0;
  while (at < constraints.size() && constraints.compare(at, 2, "~{") != 0) {
    size_t end = at;
    for (bool braces = false; end < constraints.size() && (braces || constraints[end] != ','); end++)
      braces = constraints[end] == '{' || (braces && constraints[end] != '}');
    if (constraints.compare(at, end - at, "!i") == 0) labels.push_back(operands);
    operands++;
    at = end == constraints.size() ? end : end + 1;
  }
  if (labels.size() != n) return fail("callbr with more or fewer labels than its assembly has");
  const bool last = at == constraints.size();
  constraints.insert(at, last ? (at ? ",=*m" : "=*m") : "=*m,");
  auto store = [&](size_t k) { text += "\n\tmovl $$" + std::to_string(k) + ",$" + std::to_string(operands); };
  store(0);
  for (uint32_t k = 0; k < n; k++) {
    text += "\n\tjmp .Lgoto_end\n.Lgoto" + std::to_string(labels[k]) + ":";
    store(k + 1);
  }
  text += "\n.Lgoto_end:";
  a.text = uint32_t(f_.strings.size());
  a.text_len = uint32_t(text.size());
  f_.strings += text;
  a.constraints = uint32_t(f_.strings.size());
  a.constraints_len = uint32_t(constraints.size());
  f_.strings += constraints;

  f_.slots.push_back({4, 2});
  V place = emit(O::slot_addr, types_.ptr, uint32_t(f_.slots.size() - 1));
  air::CallSite& c = f_.calls[site];
  const uint32_t args = uint32_t(f_.extra.size());
  for (uint32_t k = 0; k < c.arg_count; k++) f_.extra.push_back(uint32_t{f_.extra[c.args + k]});
  f_.extra.push_back(place.value);
  c.args = args;
  if (c.attrs != ~0u) {
    const uint32_t attrs = uint32_t(f_.param_attrs.size());
    for (uint32_t k = 0; k < c.arg_count; k++) f_.param_attrs.push_back(air::ParamAttr(f_.param_attrs[c.attrs + k]));
    f_.param_attrs.push_back({});
    c.attrs = attrs;
  }
  c.arg_count++;
  V v = emit(O::call, type, site);
  if (v.valid()) set(i, v);
  V which = emit(O::load, types_.i32, place.value, ~0u, ~0u,
                 air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 2));
  uint32_t normal;
  if (!edge(o[4], normal)) return false;
  const size_t base = w_.words.size();
  for (uint32_t k = 0; k < n; k++) {
    uint32_t e;
    if (!edge(o[6 + k], e)) return false;
    w_.words.push_back(k + 1);
    w_.words.push_back(0);
    w_.words.push_back(e);
  }
  const uint32_t cases = uint32_t(f_.extra.size());
  f_.extra.push_back(n);
  f_.extra.insert(f_.extra.end(), w_.words.begin() + base, w_.words.end());
  w_.words.resize(base);
  emit(O::switch_, types_.void_type, which.value, normal, cases);
  return true;
}

bool FunctionImporter::landing_pad(const bc::Inst& i) {
  auto o = ops(i);
  T type;
  if (!result_type(i, type)) return false;
  const air::Type& shape = air_type(type);
  if (shape.kind != air::TypeKind::Struct || shape.field_count != 2 || types_.member(shape, 0) != types_.ptr ||
      types_.member(shape, 1) != types_.i32)
    return fail("landing pad of another type than a pointer and an i32");
  air::LandingPad pad;
  pad.cleanup = i.flags & 1;
  std::vector<uint32_t> clauses;
  for (uint32_t k = 0; k < o[0]; k++) {
    const uint32_t kind = o[1 + 2 * k], value = o[2 + 2 * k];
    clauses.push_back(kind);
    const bc::Constant* c;
    const bc::Constants* pool = folder_.pool(value, c);
    if (kind == 0) {
      // catch null: everything
      if (pool && c->kind == bc::ConstKind::Null) {
        clauses.push_back(0);
        continue;
      }
      V v = use(value);
      if (!v.valid()) return false;
      clauses.push_back(1);
      clauses.push_back(v.value);
      continue;
    }
    if (!pool || m_.types[c->type].kind != bc::TypeKind::Array) return fail("filter that is not an array");
    if (c->kind != bc::ConstKind::Aggregate && !(m_.types[c->type].count == 0))
      return fail("filter that is not an array");
    if (c->kind != bc::ConstKind::Aggregate) {
      clauses.push_back(0);
      continue;
    }
    auto members = pool->operands_of(*c);
    clauses.push_back(uint32_t(members.size()));
    for (uint32_t m : members) {
      V v = use(m);
      if (!v.valid()) return false;
      clauses.push_back(v.value);
    }
  }
  pad.clauses = uint32_t(f_.extra.size());
  pad.clause_count = o[0];
  f_.extra.insert(f_.extra.end(), clauses.begin(), clauses.end());
  f_.landing_pads.push_back(pad);
  set(i, emit(O::landing_pad, type, uint32_t(f_.landing_pads.size() - 1)));
  return true;
}

bool FunctionImporter::library_call(const bc::Inst& i, air::SymbolIndex symbol, T function_type,
                                    std::span<const uint32_t> args) {
  T type;
  if (!symbol) return fail("intrinsic on a type that is not supported");
  if (i.type == bc::none) {
    type = types_.void_type;
  } else if (!result_type(i, type)) {
    return false;
  }
  std::vector<V> values;
  for (uint32_t a : args) {
    V v = use(a);
    if (!v.valid()) return false;
    values.push_back(v);
  }
  auto one = [&](T t, const std::vector<V>& vs) {
    air::CallSite site;
    site.callee = symbol_constant(symbol, 0);
    site.function_type = function_type;
    site.args = uint32_t(f_.extra.size());
    site.arg_count = uint32_t(vs.size());
    site.flags = air::callflags::nounwind;
    for (V v : vs) f_.extra.push_back(v.value);
    f_.calls.push_back(site);
    return emit(O::call, t, uint32_t(f_.calls.size() - 1));
  };
  if (air_type(type).kind != air::TypeKind::Vector) {
    V v = one(type, values);
    if (v.valid()) set(i, v);
    return true;
  }
  // Lane by lane.
  V whole = undef_constant(type);
  const uint64_t lanes = air_type(type).count;
  const T element = air_type(type).element;
  if (lanes > 64) return fail("intrinsic on a vector that is too long");
  for (uint32_t l = 0; l < lanes; l++) {
    std::vector<V> scalars;
    V lane = int_constant(types_.i32, l);
    for (V v : values) {
      const air::Type& t = air_type(type_of(v));
      scalars.push_back(t.kind == air::TypeKind::Vector ? emit(O::extract_element, t.element, v.value, lane.value) : v);
    }
    V r = one(element, scalars);
    whole = emit(O::insert_element, type, whole.value, r.value, lane.value);
  }
  set(i, whole);
  return true;
}

// Loads and stores of the lanes that a mask names. A lane that it does not name goes to a slot that nobody looks at.
bool FunctionImporter::masked_memory(const bc::Inst& i, IntrinsicKind kind, T type, std::span<const uint32_t> args) {
  const bool is_load = kind == IntrinsicKind::MaskedLoad || kind == IntrinsicKind::Gather;
  const bool pointers = kind == IntrinsicKind::Gather || kind == IntrinsicKind::Scatter;
  if (args.size() < 4) return fail("intrinsic with too few arguments");
  V place = use(args[is_load ? 0 : 1]), mask = use(args[is_load ? 2 : 3]), data = use(args[is_load ? 3 : 0]);
  if (!place.valid() || !mask.valid() || !data.valid()) return false;
  const T t = type_of(data);
  const air::Type& vector = air_type(t);
  const air::Type& masks = air_type(type_of(mask));
  if (vector.kind != air::TypeKind::Vector || (is_load && type != t) || masks.kind != air::TypeKind::Vector ||
      masks.element != types_.i1 || masks.count != vector.count || vector.count > 64)
    return fail("intrinsic of an unexpected type");
  const air::Type& places = air_type(type_of(place));
  if (pointers ? places.kind != air::TypeKind::Vector || places.element != types_.ptr || places.count != vector.count
               : type_of(place) != types_.ptr)
    return fail("intrinsic of an unexpected type");
  const T e = vector.element;
  const uint64_t lanes = vector.count, size = types_.size_of(e);
  if (is_int(e) && air_type(e).bits % 8) return fail("intrinsic on a vector of such lanes is not supported");
  f_.slots.push_back({std::max<uint64_t>(size, 1), 4});
  V nowhere = emit(O::slot_addr, types_.ptr, uint32_t(f_.slots.size() - 1));
  const uint16_t plain = air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 0);
  V whole = data;
  for (uint64_t l = 0; l < lanes; l++) {
    V lane = int_constant(types_.i32, l);
    V named = emit(O::extract_element, types_.i1, mask.value, lane.value);
    V at = pointers ? emit(O::extract_element, types_.ptr, place.value, lane.value)
           : l      ? emit_ptr_add(place, V{}, 0, int64_t(l * size))
                    : place;
    at = emit(O::select, types_.ptr, named.value, at.value, nowhere.value);
    V value = emit(O::extract_element, e, data.value, lane.value);
    if (is_load) {
      V loaded = emit(O::load, e, at.value, ~0u, ~0u, plain);
      value = emit(O::select, e, named.value, loaded.value, value.value);
      whole = emit(O::insert_element, t, whole.value, value.value, lane.value);
    } else {
      emit(O::store, types_.void_type, at.value, value.value, ~0u, plain);
    }
  }
  if (is_load) set(i, whole);
  return true;
}

bool FunctionImporter::assembly(const bc::Inst& i, const Intrinsic& in, T type, std::span<const uint32_t> args) {
  const bool variable = in.variable_text && args.size() > 1 && folder_.fold(args[1]).kind != Folded::Int;
  air::InlineAsm a;
  auto add = [&](const char* text, uint32_t& at, uint32_t& length) {
    at = uint32_t(f_.strings.size());
    length = uint32_t(std::string_view(text).size());
    f_.strings += text;
  };
  add(variable ? in.variable_text : in.text, a.text, a.text_len);
  add(variable ? in.variable_constraints : in.constraints, a.constraints, a.constraints_len);
  a.side_effects = true;
  a.any_encoding = true;
  air::CallSite site;
  std::vector<V> values;
  for (uint32_t x : args) {
    V v = use(x);
    if (!v.valid()) return false;
    values.push_back(v);
  }
  site.function_type = s_.types[m_.globals[ops(i)[1]].type];
  site.args = uint32_t(f_.extra.size());
  site.arg_count = uint32_t(values.size());
  site.flags = air::callflags::nounwind;
  site.inline_asm = uint32_t(f_.inline_asms.size());
  f_.inline_asms.push_back(a);
  for (V v : values) f_.extra.push_back(v.value);
  f_.calls.push_back(site);
  V r = emit(O::call, type, uint32_t(f_.calls.size() - 1));
  if (r.valid()) set(i, r);
  return true;
}

// FLT_ROUNDS as the program set it: bits 10 and 11 of the x87 control word are 0 to nearest, 1 down, 2 up, 3 to zero,
// where C says 1, 3, 2, 0. fesetround() sets this word and mxcsr alike.
FunctionImporter::V FunctionImporter::x87_rounding(const bc::Inst& i) {
  air::InlineAsm a;
  auto add = [&](std::string_view text, uint32_t& at, uint32_t& length) {
    at = uint32_t(f_.strings.size());
    length = uint32_t(text.size());
    f_.strings += text;
  };
  add("fnstcw $0", a.text, a.text_len);
  add("=*m,~{memory}", a.constraints, a.constraints_len);
  a.side_effects = true;
  f_.slots.push_back({4, 2});
  V slot = emit(O::slot_addr, types_.ptr, uint32_t(f_.slots.size() - 1));
  air::CallSite site;
  site.function_type = s_.types[m_.globals[ops(i)[1]].type];
  site.args = uint32_t(f_.extra.size());
  site.arg_count = 1;
  site.flags = air::callflags::nounwind;
  site.inline_asm = uint32_t(f_.inline_asms.size());
  f_.inline_asms.push_back(a);
  f_.extra.push_back(slot.value);
  f_.calls.push_back(site);
  emit(O::call, types_.void_type, uint32_t(f_.calls.size() - 1));
  V word = emit(O::load, types_.i32, slot.value, ~0u, ~0u,
                air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 2));
  auto number = [&](uint64_t n) { return int_constant(types_.i32, n).value; };
  V twice = emit(O::and_, types_.i32, emit(O::lshr, types_.i32, word.value, number(9)).value, number(6));
  return emit(O::and_, types_.i32, emit(O::lshr, types_.i32, number(0x2d), twice.value).value, number(3));
}

// A declaration may lie about an intrinsic's types: whether the operands and the result suit the instruction.
bool FunctionImporter::operands_fit(O op, const V* v, T result) {
  const air::OpInfo& o = air::info(op);
  const T t = o.shape == air::Shape::None ? types_.void_type : type_of(v[0]);
  const T e = scalar_of(t);
  auto lanes = [&](T x) { return air_type(x).kind == air::TypeKind::Vector ? air_type(x).count : 0; };
  if (op <= O::smul_overflow) {
    if (!is_int(e) || (op == O::bswap && air_type(e).bits % 16 != 0)) return false;
    if (o.result != air::ResultRule::Pair) return true;
    const air::Type& pair = air_type(result);
    if (pair.kind != air::TypeKind::Struct || pair.field_count != 2 || pair.packed) return false;
    const T flag = types_.member(pair, 1);
    return types_.member(pair, 0) == t && scalar_of(flag) == types_.i1 && lanes(flag) == lanes(t);
  }
  switch (op) {
    case O::fptoui: case O::fptosi: case O::fptoui_sat: case O::fptosi_sat:
      return is_float(e) && is_int(scalar_of(result)) && lanes(t) == lanes(result);
    case O::uitofp: case O::sitofp: return is_int(e) && is_float(scalar_of(result)) && lanes(t) == lanes(result);
    case O::fptrunc: case O::fpext: return is_float(e) && is_float(scalar_of(result)) && lanes(t) == lanes(result);
    case O::reduce_add: case O::reduce_mul: case O::reduce_and: case O::reduce_or: case O::reduce_xor:
    case O::reduce_smin:
    case O::reduce_smax: case O::reduce_umin: case O::reduce_umax: return lanes(t) && is_int(e) && result == e;
    case O::reduce_fmin: case O::reduce_fmax: return lanes(t) && is_float(e) && result == e;
    case O::reduce_fadd: case O::reduce_fmul:
      return is_float(t) && lanes(type_of(v[1])) && scalar_of(type_of(v[1])) == t && result == t;
    case O::stack_save: case O::thread_pointer: return result == types_.ptr;
    case O::read_cycle_counter: return result == types_.i64;
    case O::debug_trap: return true;
    case O::va_copy: return t == types_.ptr && type_of(v[1]) == types_.ptr;
    case O::va_start: case O::va_end: case O::stack_restore: case O::eh_sjlj_longjmp: return t == types_.ptr;
    case O::eh_sjlj_setjmp: case O::eh_typeid: return t == types_.ptr && result == types_.i32;
    default: return o.result == air::ResultRule::Same && is_float(e);
  }
}

// Up to LLVM 21 the operands are a size and a pointer, from LLVM 22 on the pointer alone, which is an alloca or poison.
// Marks of memory that is no stack slot of its own say nothing here; a pointer that may be one of several slots takes
// all marks' meaning away.
bool FunctionImporter::lifetime(O op, uint32_t pointer) {
  V v = use(pointer);
  if (!v.valid()) return false;
  if (type_of(v) != types_.ptr) return fail("operand of a wrong type");
  if (f_.constant(v)) return true;
  const air::Value& x = f_.values[v.value];
  const air::Inst* of = x.kind() == air::ValueKind::Inst ? &f_.insts[x.index()] : nullptr;
  if (of && of->op == O::alloca) return true;
  if (of && of->op == O::slot_addr) emit(op, types_.void_type, of->a);
  else unclear_lifetimes_ = true;
  f_.lifetime_markers = !unclear_lifetimes_;
  return true;
}

bool FunctionImporter::intrinsic(const bc::Inst& i, const Intrinsic& in, std::span<const uint32_t> args) {
  T type = types_.void_type;
  if (in.kind == IntrinsicKind::Drop) {
    if (s_.keeps_debug) debug_intrinsic(i, m_.globals[ops(i)[1]].name, args);
    if (i.value != bc::none && s_.type_ok[i.type]) set(i, undef_constant(s_.types[i.type]));
    return true;
  }
  if (i.type != bc::none && !result_type(i, type)) return false;
  V v[3];
  auto take = [&](unsigned n) {
    if (args.size() < n) return fail("intrinsic with too few arguments");
    for (unsigned k = 0; k < n; k++) {
      v[k] = use(args[k]);
      if (!v[k].valid()) return false;
    }
    return true;
  };
  auto constant_arg = [&](unsigned n, uint64_t& out) {
    if (args.size() <= n) return fail("intrinsic with too few arguments");
    const bc::Constant* k;
    if (!folder_.pool(args[n], k)) return fail("argument that is not constant");
    Folded f = folder_.fold(args[n]);
    if (f.kind != Folded::Int) return fail("argument that is not constant");
    out = f.bits;
    return true;
  };
  auto same = [&](unsigned n) {
    for (unsigned k = 1; k < n; k++)
      if (type_of(v[k]) != type_of(v[0])) return fail("operands of different types");
    return true;
  };
  switch (in.kind) {
    case IntrinsicKind::First:
      if (!take(1)) return false;
      if (i.value == bc::none || type_of(v[0]) != type) return fail("intrinsic of an unexpected type");
      set(i, v[0]);
      return true;
    case IntrinsicKind::False:
    case IntrinsicKind::True:
      if (type != types_.i1) return fail("intrinsic of an unexpected type");
      if (in.kind == IntrinsicKind::False && !args.empty()) {
        const bc::Constant* k;
        if (folder_.pool(args[0], k) &&
            (k->kind == bc::ConstKind::Int || k->kind == bc::ConstKind::Null || k->kind == bc::ConstKind::Float)) {
          set(i, int_constant(type, 1));
          return true;
        }
      }
      set(i, int_constant(type, in.kind == IntrinsicKind::True));
      return true;
    case IntrinsicKind::ObjectSize: {
      uint64_t minimum;
      if (!constant_arg(1, minimum)) return false;
      if (!is_int(type)) return fail("intrinsic of an unexpected type");
      set(i, int_constant(type, minimum ? 0 : ~uint64_t{0}));
      return true;
    }
    case IntrinsicKind::GetRounding:
      if (type != types_.i32) return fail("intrinsic of an unexpected type");
      set(i, m_.triple.starts_with("x86_64") ? x87_rounding(i) : int_constant(type, 1));  // wasm knows to nearest alone
      return true;
    case IntrinsicKind::Trap: emit(O::trap, types_.void_type); return true;
    case IntrinsicKind::Lifetime:
      return args.empty() ? fail("intrinsic with too few arguments") : lifetime(in.op, args.back());
    case IntrinsicKind::Plain: {
      unsigned n = 0;
      switch (air::info(in.op).shape) {
        case air::Shape::None: n = 0; break;
        case air::Shape::Unary: n = 1; break;
        case air::Shape::Binary: n = 2; break;
        case air::Shape::Ternary: n = 3; break;
        default: return fail("intrinsic is not supported");
      }
      if (!take(n)) return false;
      const air::ResultRule rule = air::info(in.op).result;
      if (rule == air::ResultRule::Same || rule == air::ResultRule::Pair) {
        if (!same(n)) return false;
        if (rule == air::ResultRule::Same && type_of(v[0]) != type) return fail("intrinsic of an unexpected type");
      }
      if ((rule == air::ResultRule::None) != (type == types_.void_type)) return fail("intrinsic of an unexpected type");
      if (!operands_fit(in.op, v, type)) return fail("intrinsic of an unexpected type");
      if (in.op == O::eh_sjlj_setjmp) f_.flags |= air::function_flags::returns_twice_call;
      V r = emit(in.op, type, n > 0 ? v[0].value : ~0u, n > 1 ? v[1].value : ~0u, n > 2 ? v[2].value : ~0u);
      if (r.valid()) set(i, r);
      return true;
    }
    case IntrinsicKind::MulAdd: {
      if (!take(3) || !same(3)) return false;
      if (type_of(v[0]) != type || !is_float(scalar_of(type))) return fail("intrinsic of an unexpected type");
      // The producer leaves it open whether the product is rounded.
      if (f_.features & air::processor_features::fma && scalar_of(type) != T{air::TypeTable::f80}) {
        set(i, emit(O::fma, type, v[0].value, v[1].value, v[2].value));
        return true;
      }
      V product = emit(O::fmul, type, v[0].value, v[1].value);
      set(i, emit(O::fadd, type, product.value, v[2].value));
      return true;
    }
    case IntrinsicKind::Memory: {
      uint64_t is_volatile = 0;
      if (!take(3)) return false;
      if (args.size() > 3 && !constant_arg(3, is_volatile)) return false;
      if (!simple_pointer(args[0])) return false;
      if (in.op != O::memset && !simple_pointer(args[1])) return false;
      if (in.op == O::memset && type_of(v[1]) != types_.i8) return fail("operand of a wrong type");
      if (!is_int(type_of(v[2]))) return fail("operand of a wrong type");
      unsigned align = 0;
      const uint32_t list = ops(i)[2];
      if (list != bc::none)
        if (const bc::Attribute* a = m_.find_attribute(list, 1, bc::attr_alignment); a && is_power_of_two(a->value))
          align = std::min(std::countr_zero(a->value), 31);
      V length = resize_unsigned(v[2], s_.pointer_int);
      emit(in.op, types_.void_type, v[0].value, v[1].value, length.value,
           air::MemoryFlags::pack(is_volatile & 1, air::AtomicOrdering::not_atomic, align));
      return true;
    }
    case IntrinsicKind::Fixed: {
      uint64_t level;
      if (!constant_arg(0, level)) return false;
      if (type != types_.ptr || level > 1024) return fail("intrinsic of an unexpected type");
      set(i, emit(in.op, type, uint32_t(level)));
      return true;
    }
    case IntrinsicKind::Library:
    case IntrinsicKind::PowI:
    case IntrinsicKind::ClearCache: {
      const uint32_t callee = ops(i)[1];
      return library_call(i, s_.libcalls[callee], s_.libcall_types[callee], args);
    }
    case IntrinsicKind::MaskedLoad: case IntrinsicKind::MaskedStore: case IntrinsicKind::Gather:
    case IntrinsicKind::Scatter: return masked_memory(i, in.kind, type, args);
    case IntrinsicKind::FromHalf:
      if (!take(1)) return false;
      if (type_of(v[0]) != types_.i16 || !is_float(type)) return fail("intrinsic of an unexpected type");
      v[0] = emit(O::bitcast, types_.f16, v[0].value);
      set(i, type == types_.f16 ? v[0] : emit(O::fpext, type, v[0].value));
      return true;
    case IntrinsicKind::ToHalf:
      if (!take(1)) return false;
      if (type != types_.i16 || !is_float(type_of(v[0]))) return fail("intrinsic of an unexpected type");
      if (type_of(v[0]) != types_.f16) v[0] = emit(O::fptrunc, types_.f16, v[0].value);
      set(i, emit(O::bitcast, type, v[0].value));
      return true;
    case IntrinsicKind::Assembly: return assembly(i, in, type, args);
    case IntrinsicKind::WasmVector: return wasm_vector(i, in, type, args);
    case IntrinsicKind::Prefetch: {  // address, 1 to write, locality from 0 to 3, 1 for data
      uint64_t locality, data;
      if (!take(1) || !constant_arg(2, locality) || !constant_arg(3, data)) return false;
      if (type_of(v[0]) != types_.ptr) return fail("operand of a wrong type");
      if (data) emit(O::prefetch, types_.void_type, v[0].value, ~0u, ~0u, uint16_t(3 - (locality & 3)));
      return true;
    }
    case IntrinsicKind::LoadRelative: {
      if (!take(2)) return false;
      if (type != types_.ptr || type_of(v[0]) != types_.ptr) return fail("intrinsic of an unexpected type");
      V index = resize_index(v[1]);
      if (!index.valid()) return false;
      V place = emit_ptr_add(v[0], index, 1, 0);
      V distance = emit(O::load, types_.i32, place.value, ~0u, ~0u,
                        air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 2));
      set(i, emit_ptr_add(v[0], resize_index(distance), 1, 0));
      return true;
    }
    case IntrinsicKind::PointerMask: {
      if (!take(2)) return false;
      if (type != types_.ptr || type_of(v[0]) != types_.ptr || type_of(v[1]) != s_.pointer_int)
        return fail("intrinsic of an unexpected type");
      V bits = emit(O::ptrtoint, s_.pointer_int, v[0].value);
      bits = emit(O::and_, s_.pointer_int, bits.value, v[1].value);
      set(i, emit(O::inttoptr, type, bits.value));
      return true;
    }
    case IntrinsicKind::ThreeWay: {
      if (!take(2) || !same(2)) return false;
      if (!is_int(type) || !is_int(type_of(v[0])) || air_type(type).bits < 2)
        return fail("intrinsic of an unexpected type");
      const bool is_signed = in.op == O::sext;
      auto flag = [&](air::IntPredicate p) {
        V c = emit(O::icmp, types_.i1, v[0].value, v[1].value, ~0u, uint16_t(p));
        return emit(O::zext, type, c.value);
      };
      V greater = flag(is_signed ? air::IntPredicate::sgt : air::IntPredicate::ugt);
      V less = flag(is_signed ? air::IntPredicate::slt : air::IntPredicate::ult);
      set(i, emit(O::sub, type, greater.value, less.value));
      return true;
    }
    case IntrinsicKind::IsFpClass: {
      uint64_t mask;
      if (!take(1) || !constant_arg(1, mask)) return false;
      return is_fp_class(i, type, v[0], uint32_t(mask));
    }
    default: return fail("intrinsic is not supported");
  }
}

}  // namespace lode::codegen
