// A function's head, blocks and plain instructions; control flow is in control_flow.cpp, values and constants are in
// function_values.cpp, calls and intrinsics in function_calls.cpp.
#include "codegen/import/function_import.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/stage_times.h"

namespace lode::codegen {

namespace {

constexpr const char* op_names[] = {
    "ret", "br", "br", "switch", "indirectbr", "invoke", "callbr", "resume", "unreachable", "cleanupret", "catchret",
    "catchswitch", "binary operation", "fneg", "cast", "getelementptr", "select", "extractelement", "insertelement",
    "shufflevector", "compare", "phi", "alloca", "load", "store", "va_arg", "extractvalue", "insertvalue", "call",
    "fence", "cmpxchg", "atomicrmw", "landingpad", "cleanuppad", "catchpad", "freeze",
};
static_assert(std::size(op_names) == size_t(bc::Op::Freeze) + 1);

}  // namespace

bool FunctionImporter::fail(std::string message) {
  if (!error_.empty()) return false;
  error_ = std::move(message);
  if (current_inst_ < b_.insts.size()) {
    const bc::Inst& i = b_.insts[current_inst_];
    error_ += std::string(" (") + op_names[unsigned(i.op)] + ", instruction " + std::to_string(current_inst_) +
              " of block " + std::to_string(current_block_);
    if (i.loc != bc::none) error_ += ", line " + std::to_string(b_.locs[i.loc].line);
    error_ += ")";
  }
  return false;
}

Result<void> read_body(const ImportState& s, uint32_t body, FunctionScratch& w) {
  StageClock clock(Stage::read);
  w.body_number = body;
  if (auto r = w.reader.read(body, w.body); !r.ok())
    return error("function '" + std::string(s.bitcode.globals[s.bitcode.bodies[body].function].name) +
                 "': " + r.error().message);
  return {};
}

Result<void> FunctionImporter::order() {
  StageClock import_clock(Stage::import);
  if (!order_blocks()) return error("function '" + std::string(m_.globals[b_.function].name) + "': " + error_);
  return {};
}

bool FunctionImporter::convention(uint32_t number, air::CallConv& out) {
  const ConventionRow* row = find_convention(number);
  if (!row) return fail("calling convention " + std::to_string(number) + " is not known");
  if (row->treatment(s_.wasm) == Treatment::refused)
    return fail("calling convention '" + std::string(row->name) + "' is not supported (" + std::string(row->why) + ")");
  out = row->conv;
  return true;
}

// The type that KCFI's checks compare: !kcfi_type, a node with a number.
bool FunctionImporter::type_id() {
  constexpr uint32_t kcfi_type = 36;  // FixedMetadataKinds.def
  using Node = bc::DebugScopes::Node;
  for (const bc::Body::Attachment& a : b_.attachments) {
    if (a.kind != kcfi_type) continue;
    // A node that only this function has stands in its own block.
    if (!bc::read_body_scopes(m_, s_.scopes, m_.globals[b_.function].body, w_.scopes).ok())
      return fail("damaged metadata");
    const Node* n = w_.scopes.node(a.node);
    const Node* value = n && n->kind == Node::Single && n->a ? w_.scopes.node(n->a - 1) : nullptr;
    Folded f;
    if (value && value->kind == Node::Value && value->a < b_.first_result) f = folder_.fold(value->a);
    if (f.kind != Folded::Int) return fail("kcfi_type that is not a number");
    f_.requests.type_id = uint32_t(f.bits);
    f_.flags |= air::function_flags::type_id;
  }
  return true;
}

// A call of a profiler, with the function and the place it returns to if it takes them.
void FunctionImporter::profile_call(air::SymbolIndex symbol, std::string_view name) {
  const bool arguments = takes_profile_arguments(name);
  air::CallSite site;
  V values[2];
  if (arguments) {
    values[0] = symbol_constant(f_.symbol, 0);
    values[1] = s_.wasm ? zero_constant(types_.ptr) : emit(O::return_address, types_.ptr, 0);
  }
  site.callee = symbol_constant(symbol, 0);
  site.function_type = arguments ? s_.profile_call_type : s_.entry_call_type;
  site.args = uint32_t(f_.extra.size());
  site.arg_count = arguments ? 2 : 0;
  site.flags = air::callflags::nounwind;
  for (uint32_t k = 0; k < site.arg_count; k++) f_.extra.push_back(values[k].value);
  f_.calls.push_back(site);
  emit(O::call, types_.void_type, uint32_t(f_.calls.size() - 1));
}

bool FunctionImporter::header() {
  const bc::Global& g = m_.globals[b_.function];
  f_.symbol = s_.symbols[b_.function];
  f_.type = s_.types[g.type];
  const bc::Type& ft = m_.types[g.type];
  auto list = m_.list_of(ft);
  if (g.prefix != bc::none) return fail("prefix data is not supported");
  if (g.prologue != bc::none) return fail("prologue data is not supported");
  if (g.gc != bc::none) return fail("garbage collection is not supported");
  if (!convention(g.calling_convention, f_.conv)) return false;
  const uint32_t params = uint32_t(list.size()) - 1;
  function_param_count_ = params;
  if (ft.vararg) f_.flags |= air::function_flags::vararg;
  if (g.log2_align != 0xff) f_.align_log2 = std::min<uint32_t>(g.log2_align, 32);
  if (g.attributes != bc::none) {
    const AttributeSummary& a = s_.attributes[g.attributes];
    if (!a.refused_function.empty()) return fail(a.refused_function);
    f_.flags |= a.function_flags;
    f_.requests = a.requests;
    f_.requests.patchable_section = {0, uint32_t(a.patchable_section.size())};
    f_.strings = a.patchable_section;
    f_.features = a.features;
    wide_vectors_ = a.features & air::processor_features::avx512f;
    f_.result_attrs = a.result_attrs;
    for (uint32_t k = a.first; k < a.first + a.count; k++) {
      const ParamEntry& e = s_.param_entries[k];
      if (e.param >= params) continue;
      f_.param_attrs.resize(params);
      f_.param_attrs[e.param] = e.attr;
    }
  }
  // The upper halves of the vector registers are nothing that code generated here saves.
  if (f_.features & air::processor_features::avx && f_.conv == air::CallConv::preserve_all)
    return fail("preserve_all with AVX is not supported");
  if (s_.air.requests.type_ids && !type_id()) return false;
  if (g.personality != bc::none) {
    Folded p = folder_.fold(g.personality);
    if (p.kind != Folded::Address) return fail("personality that is not a function");
    f_.personality = p.symbol;
  }
  if (list[0] != bc::none && m_.types[list[0]].kind != bc::TypeKind::Void && !s_.type_ok[list[0]])
    return fail("function with a result of a type that is not supported");
  for (uint32_t p : list.subspan(1))
    if (!s_.type_ok[p]) return fail("function with a parameter of a type that is not supported");
  // With AVX-512, vectors of 512 bits are one register's worth; here they are two of 256. Only functions of this module
  // agree on that.
  if (wide_vectors_ && g.linkage != bc::Linkage::Internal && g.linkage != bc::Linkage::Private)
    for (uint32_t p : list)
      if (p != bc::none && m_.types[p].kind != bc::TypeKind::Void && has_wide_vector(s_.types[p]))
        return fail("function that passes AVX-512 vectors and is known outside of its module is not supported");
  return true;
}

Result<void> FunctionImporter::run() {
  f_.clear();
  LODE_TRY(order());
  StageClock clock(Stage::import);
  auto failed = [&] { return error("function '" + std::string(m_.globals[b_.function].name) + "': " + error_); };
  current_inst_ = bc::none;
  if (!header()) return failed();
  find_dominators();
  w_.locals.assign(b_.value_count - b_.first_local, V{});
  w_.homes.resize(b_.value_count - b_.first_local);
  if (w_.stamps.size() < m_.value_count()) {
    w_.stamps.assign(m_.value_count(), 0);
    w_.module_values.resize(m_.value_count());
    w_.stamp = 0;
  }
  if (++w_.stamp == 0) {
    std::fill(w_.stamps.begin(), w_.stamps.end(), 0);
    w_.stamp = 1;
  }
  w_.words.clear();
  w_.sources.clear();
  w_.sources_at.assign(b_.block_count(), bc::none);
  f_.blocks.resize(w_.order.size());
  f_.insts.reserve(b_.insts.size() + b_.insts.size() / 8);
  f_.values.reserve(b_.value_types.size() + 64);
  has_locations_ = !b_.locs.empty() || b_.subprogram;
  f_.subprogram = b_.subprogram;
  if (has_locations_) {
    f_.locations.push_back({});
    if (s_.scopes.has_units) {
      LODE_TRY(bc::read_body_scopes(m_, s_.scopes, w_.body_number, w_.scopes));
      number_files(s_, w_.scopes, w_.scope_files);
    }
  }
  extra_blocks_ = 0;
  for (uint32_t i = 0; i < w_.order.size(); i++)
    if (!block(i)) return failed();
  for (size_t i = 0; i < pending_.size(); i++) {
    // wide_switch may add to the list.
    SwitchRest rest = pending_[i];
    current_block_ = rest.block;
    current_air_ = w_.number[rest.block];
    current_inst_ = rest.inst;
    air::Block b;
    b.first_inst = uint32_t(f_.insts.size());
    if (!wide_switch(b_.insts[rest.inst], rest.value, rest.next_case)) return failed();
    b.inst_count = uint32_t(f_.insts.size()) - b.first_inst;
    f_.blocks.push_back(b);
  }
  if (f_.values.size() >= 0x3fffffff || f_.extra.size() >= 0xfffffff0u) {
    fail("function too large");
    return failed();
  }
  return {};
}

// Whether the return at `ret` follows a call that takes this function's place.
bool FunctionImporter::musttail_ends_block(uint32_t ret) const {
  return ret > b_.blocks[current_block_] && b_.insts[ret - 1].op == bc::Op::Call && b_.insts[ret - 1].sub == 2;
}

bool FunctionImporter::block(uint32_t index) {
  const uint32_t source = w_.order[index];
  current_block_ = source;
  current_air_ = index;
  in_entry_ = index == 0;
  air::Block out;
  out.first_inst = uint32_t(f_.insts.size());
  out.first_param = uint32_t(f_.values.size());
  uint32_t i = b_.blocks[source];
  const uint32_t stop = w_.stops[source];
  if (index == 0) {
    auto params = m_.list_of(m_.types[m_.globals[b_.function].type]).subspan(1);
    for (uint32_t p = 0; p < params.size(); p++) {
      w_.locals[p] = V(uint32_t(f_.values.size()));
      w_.homes[p] = 0;
      f_.values.push_back(air::Value::make(s_.types[params[p]], air::ValueKind::Param, 0));
    }
  } else {
    for (; b_.insts[i].op == bc::Op::Phi; i++) {
      current_inst_ = i;
      T t;
      if (!result_type(b_.insts[i], t)) return false;
      set(b_.insts[i], V(uint32_t(f_.values.size())));
      f_.values.push_back(air::Value::make(t, air::ValueKind::Param, index));
    }
  }
  out.param_count = uint32_t(f_.values.size()) - out.first_param;
  const uint32_t list = m_.globals[b_.function].attributes;
  if (index == 0 && list != bc::none && s_.attributes[list].entry_symbol)
    profile_call(s_.attributes[list].entry_symbol, s_.attributes[list].entry_call);
  auto record = b_.records.begin();
  if (!b_.records.empty())
    record = std::lower_bound(b_.records.begin(), b_.records.end(), i,
                              [](const bc::DebugRecord& r, uint32_t at) { return r.inst < at; });
  for (; i <= stop; i++) {
    current_inst_ = i;
    for (; record != b_.records.end() && record->inst <= i; ++record) debug_record(*record);
    if (i == stop && b_.insts[i].op == bc::Op::Ret && list != bc::none && s_.attributes[list].exit_symbol &&
        !musttail_ends_block(i))
      profile_call(s_.attributes[list].exit_symbol, s_.attributes[list].exit_call);
    const bc::Inst& in = b_.insts[i];
    budget_ = 1 << 20;
    if (has_locations_) location_ = in.loc == bc::none ? 0 : location(b_.locs[in.loc]);
    if (!inst(in)) return false;
  }
  out.inst_count = uint32_t(f_.insts.size()) - out.first_inst;
  f_.blocks[index] = out;
  return true;
}

// The index in Function::locations; runs of instructions share an entry.
uint32_t FunctionImporter::location(const bc::DebugLoc& l) {
  if (l.line == 0 && !s_.keeps_debug) return 0;
  if (l.scope != last_scope_) {
    last_scope_ = l.scope;
    last_file_ = 0;
    const uint32_t node = s_.scopes.has_units ? w_.scopes.file_of(l.scope) : bc::none;
    if (node != bc::none)
      last_file_ = node < w_.scopes.first ? s_.scope_files[node] : w_.scope_files[node - w_.scopes.first];
  }
  const air::SourceLocation& last = f_.locations.back();
  if (s_.keeps_debug) {
    if (last.line != l.line || last.column != l.column || last.scope != l.scope || last.inlined_at != l.inlined_at)
      f_.locations.push_back({last_file_, l.line, l.column, l.scope, l.inlined_at});
  } else if (last.line != l.line || last.column != l.column || last.file != last_file_) {
    f_.locations.push_back({last_file_, l.line, l.column});
  }
  return uint32_t(f_.locations.size() - 1);
}

bool FunctionImporter::result_type(const bc::Inst& i, T& t) {
  if (i.type == bc::none || !s_.type_ok[i.type]) return fail("result of a type that is not supported");
  t = s_.types[i.type];
  return true;
}

bool FunctionImporter::inst(const bc::Inst& i) {
  switch (i.op) {
    case bc::Op::Binop: return binop(i);
    case bc::Op::Cast: return cast(i);
    case bc::Op::Gep: return gep(i);
    case bc::Op::Compare: return compare(i);
    case bc::Op::Select: return select(i);
    case bc::Op::Alloca: return alloca_inst(i);
    case bc::Op::Load:
    case bc::Op::Store:
    case bc::Op::CmpXchg:
    case bc::Op::AtomicRmw:
    case bc::Op::Fence: return memory(i);
    case bc::Op::ExtractValue:
    case bc::Op::InsertValue: return aggregate(i);
    case bc::Op::ExtractElement:
    case bc::Op::InsertElement:
    case bc::Op::ShuffleVector: return vector(i);
    case bc::Op::Call: return call(i);
    case bc::Op::LandingPad: return landing_pad(i);
    case bc::Op::Unop: {
      V v = use(ops(i)[0]);
      if (!v.valid()) return false;
      if (!is_float(scalar_of(type_of(v)))) return fail("operand of a wrong type");
      set(i, emit(O::fneg, type_of(v), v.value));
      return true;
    }
    case bc::Op::Freeze: {
      V v = use(ops(i)[0]);
      if (!v.valid()) return false;
      set(i, emit(O::freeze, type_of(v), v.value));
      return true;
    }
    case bc::Op::VaArg: {
      V v = use(ops(i)[0]);
      T t;
      if (!v.valid() || !result_type(i, t)) return false;
      set(i, emit(O::va_arg, t, v.value));
      return true;
    }
    case bc::Op::Phi: return fail("phi that is not at the start of a block");
    case bc::Op::CleanupPad:
    case bc::Op::CatchPad: return fail("instruction is not supported");
    default: return terminator(i);
  }
}

bool FunctionImporter::binop(const bc::Inst& i) {
  static constexpr O int_ops[] = {O::add, O::sub, O::mul, O::udiv, O::sdiv, O::urem, O::srem,
                                  O::shl, O::lshr, O::ashr, O::and_, O::or_, O::xor_};
  static constexpr O float_ops[] = {O::fadd, O::fsub, O::fmul, O::unreachable, O::fdiv, O::unreachable, O::frem};
  auto o = ops(i);
  V a = use(o[0]), b = use(o[1]);
  if (!a.valid() || !b.valid()) return false;
  T t = type_of(a);
  if (type_of(b) != t) return fail("operands of different types");
  T e = scalar_of(t);
  O op = O::unreachable;
  uint8_t flags = 0;
  if (is_int(e)) {
    op = int_ops[i.sub];
    auto kind = bc::BinaryOp(i.sub);
    if (kind <= bc::BinaryOp::Mul || kind == bc::BinaryOp::Shl)
      flags =
          uint8_t((i.flags & 1 ? air::flags::no_unsigned_wrap : 0) | (i.flags & 2 ? air::flags::no_signed_wrap : 0));
    else if (kind != bc::BinaryOp::And && kind != bc::BinaryOp::Or && kind != bc::BinaryOp::Xor)
      flags = i.flags & 1 ? air::flags::exact : 0;
  } else if (is_float(e) && i.sub < std::size(float_ops)) {
    op = float_ops[i.sub];
    flags = (i.flags & 0xfe) == 0xfe ? air::flags::fast_math : 0;
  }
  if (op == O::unreachable) return fail("operands of a wrong type");
  set(i, emit(op, t, a.value, b.value, ~0u, 0, flags));
  return true;
}

bool FunctionImporter::cast(const bc::Inst& i) {
  V v = use(ops(i)[0]);
  T t;
  if (!v.valid() || !result_type(i, t)) return false;
  return set_checked(i, cast_value(v, bc::CastOp(i.sub), t, i.flags));
}

bool FunctionImporter::gep(const bc::Inst& i) {
  auto o = ops(i);
  V base = use(o[1]);
  T t;
  if (!base.valid() || !result_type(i, t)) return false;
  return set_checked(i, gep_value(base, o[0], o.subspan(2), t, 0, i.flags & 1));
}

bool FunctionImporter::compare(const bc::Inst& i) {
  auto o = ops(i);
  V a = use(o[0]), b = use(o[1]);
  T t;
  if (!a.valid() || !b.valid() || !result_type(i, t)) return false;
  if (type_of(a) != type_of(b)) return fail("operands of different types");
  T e = scalar_of(type_of(a));
  if (i.sub < 16) {
    if (!is_float(e)) return fail("operands of a wrong type");
    set(i, emit(O::fcmp, t, a.value, b.value, ~0u, i.sub));
    return true;
  }
  if (i.sub < 32 || !(is_int(e) || e == types_.ptr)) return fail("operands of a wrong type");
  set(i, emit(O::icmp, t, a.value, b.value, ~0u, i.sub - 32));
  return true;
}

bool FunctionImporter::select(const bc::Inst& i) {
  auto o = ops(i);
  V c = use(o[0]), a = use(o[1]), b = use(o[2]);
  if (!c.valid() || !a.valid() || !b.valid()) return false;
  T ct = type_of(c);
  if (type_of(a) != type_of(b) || scalar_of(ct) != types_.i1) return fail("operands of a wrong type");
  if (ct != types_.i1 &&
      (air_type(type_of(a)).kind != air::TypeKind::Vector || air_type(type_of(a)).count != air_type(ct).count))
    return fail("operands of a wrong type");
  set(i, emit(O::select, type_of(a), c.value, a.value, b.value));
  return true;
}

// What a stack protector has to know of a value of type t.
air::SlotArray FunctionImporter::array_in(T t, unsigned& steps) const {
  const air::Type& x = air_type(t);
  if (x.kind == air::TypeKind::Array) {
    if (types_.size_of(t) < f_.requests.protect_buffer_size) return air::SlotArray::small;
    return x.element == types_.i8 ? air::SlotArray::chars : air::SlotArray::large;
  }
  air::SlotArray most = air::SlotArray::none;
  if (x.kind != air::TypeKind::Struct) return most;
  for (uint32_t k = 0; k < x.field_count && most != air::SlotArray::chars; k++) {
    if (++steps > 10000) return air::SlotArray::chars;  // as if
    most = std::max(most, array_in(types_.member(x, k), steps));
  }
  return most;
}

bool FunctionImporter::alloca_inst(const bc::Inst& i) {
  auto o = ops(i);
  if (i.flags) return fail("alloca for inalloca or swifterror is not supported");
  if (!s_.type_ok[o[0]]) return fail("alloca of a type without a size");
  if (m_.types[i.type].count != 0) return fail("alloca in another address space is not supported");
  T t = s_.types[o[0]];
  uint64_t size = types_.size_of(t);
  uint32_t align = o[2] == 0xff ? uint32_t(std::countr_zero(types_.align_of(t))) : o[2];
  if (align > 24) return fail("alignment too large");
  Folded count;
  const bc::Constant* k;
  if (folder_.pool(o[1], k)) count = folder_.fold(o[1]);
  if (count.kind == Folded::Int && in_entry_) {
    if (count.bits != 0 && size > (uint64_t{1} << 46) / count.bits) return fail("stack slot too large");
    air::SlotArray array = air::SlotArray::none;
    if (f_.flags & (air::function_flags::stack_protect | air::function_flags::stack_protect_strong |
                    air::function_flags::stack_protect_req)) {
      unsigned steps = 0;
      array = array_in(t, steps);
      // An alloca of several is an array, and by its count alone.
      if (count.bits != 1)
        array = count.bits >= f_.requests.protect_buffer_size ? air::SlotArray::chars
                                                              : std::max(array, air::SlotArray::small);
    }
    f_.slots.push_back({std::max<uint64_t>(size * count.bits, 1), align, array});
    set(i, emit(O::slot_addr, types_.ptr, uint32_t(f_.slots.size() - 1)));
    return true;
  }
  V n = use(o[1]);
  if (!n.valid()) return false;
  if (!is_int(type_of(n))) return fail("operand of a wrong type");
  f_.flags |= air::function_flags::has_dynamic_alloca;
  V bytes = resize_unsigned(n, s_.pointer_int);
  if (size != 1) bytes = emit(O::mul, s_.pointer_int, bytes.value, int_constant(s_.pointer_int, size).value);
  set(i, emit(O::alloca, types_.ptr, bytes.value, ~0u, ~0u, uint16_t(align)));
  return true;
}

// True when `value` is a pointer of the default address space.
bool FunctionImporter::simple_pointer(uint32_t value) {
  const bc::Type& t = m_.types[b_.type_of(m_, value)];
  if (t.kind != bc::TypeKind::Pointer) return fail("address that is not a pointer");
  if (t.count != 0) return fail("address space " + std::to_string(t.count) + " is not supported");
  return true;
}

bool FunctionImporter::memory(const bc::Inst& i) {
  auto o = ops(i);
  auto align_of = [&](uint32_t given, T t) {
    return given == 0xff ? unsigned(std::countr_zero(types_.align_of(t))) : std::min(given, 31u);
  };
  auto flags = [&](uint32_t order, unsigned align, air::RmwOp rmw = air::RmwOp::xchg) {
    return air::MemoryFlags::pack(i.flags & 1, air::AtomicOrdering(order), align, rmw);
  };
  switch (i.op) {
    case bc::Op::Load: {
      T t;
      if (!simple_pointer(o[0]) || !result_type(i, t)) return false;
      V p = use(o[0]);
      if (!p.valid()) return false;
      set(i, emit(O::load, t, p.value, ~0u, ~0u, flags(o[2], align_of(o[1], t))));
      return true;
    }
    case bc::Op::Store: {
      if (!simple_pointer(o[0])) return false;
      V p = use(o[0]), v = use(o[1]);
      if (!p.valid() || !v.valid()) return false;
      emit(O::store, types_.void_type, p.value, v.value, ~0u, flags(o[3], align_of(o[2], type_of(v))));
      return true;
    }
    case bc::Op::CmpXchg: {
      T t;
      if (!simple_pointer(o[0]) || !result_type(i, t)) return false;
      V p = use(o[0]), e = use(o[1]), n = use(o[2]);
      if (!p.valid() || !e.valid() || !n.valid()) return false;
      T vt = type_of(e);
      if (type_of(n) != vt || (!is_int(vt) && vt != types_.ptr)) return fail("operands of a wrong type");
      // One ordering for both outcomes: the stronger.
      uint32_t order = std::max(o[3], o[4]);
      if ((o[3] == 4 && o[4] == 3) || (o[3] == 3 && o[4] == 4)) order = 5;
      set(i, emit(O::cmpxchg, t, p.value, e.value, n.value, flags(order, align_of(o[6], vt))));
      return true;
    }
    case bc::Op::AtomicRmw: {
      T t;
      if (!simple_pointer(o[0]) || !result_type(i, t)) return false;
      V p = use(o[0]), v = use(o[1]);
      if (!p.valid() || !v.valid()) return false;
      if (i.sub > uint8_t(air::RmwOp::udec_wrap)) return fail("atomic operation is not supported");
      auto rmw = air::RmwOp(i.sub);
      bool is_fp = rmw >= air::RmwOp::fadd && rmw <= air::RmwOp::fmin;
      if (is_fp ? !is_float(t) : !(is_int(t) || (rmw == air::RmwOp::xchg && (t == types_.ptr || is_float(t)))))
        return fail("atomic operation on a type that is not supported");
      set(i, emit(O::atomic_rmw, t, p.value, v.value, ~0u, flags(o[2], align_of(o[4], t), rmw)));
      return true;
    }
    default: {
      // A fence of one thread only orders the compiler.
      bool single = o[1] < m_.sync_scopes.size() ? m_.sync_scopes[o[1]] == "singlethread" : o[1] == 0;
      if (!single) emit(O::fence, types_.void_type, o[0]);
      return true;
    }
  }
}

bool FunctionImporter::aggregate(const bc::Inst& i) {
  auto o = ops(i);
  const bool insert = i.op == bc::Op::InsertValue;
  V a = use(o[0]), e = insert ? use(o[1]) : V{};
  T t;
  if (!a.valid() || (insert && !e.valid()) || !result_type(i, t)) return false;
  auto path = o.subspan(insert ? 2 : 1);
  uint32_t at = uint32_t(f_.extra.size());
  f_.extra.push_back(uint32_t(path.size()));
  f_.extra.insert(f_.extra.end(), path.begin(), path.end());
  if (insert) {
    T x = t;
    for (uint32_t k : path)
      x = air_type(x).kind == air::TypeKind::Struct ? types_.member(air_type(x), k) : air_type(x).element;
    if (x != type_of(e)) return fail("element of a wrong type");
    set(i, emit(O::insert, t, a.value, e.value, at));
  } else {
    set(i, emit(O::extract, t, a.value, at));
  }
  return true;
}

bool FunctionImporter::vector(const bc::Inst& i) {
  auto o = ops(i);
  T t;
  if (!result_type(i, t)) return false;
  V a = use(o[0]), b = use(o[1]);
  if (!a.valid() || !b.valid()) return false;
  const air::Type& vt = air_type(type_of(a));
  if (vt.kind != air::TypeKind::Vector) return fail("operand that is not a vector");
  if (i.op == bc::Op::ExtractElement) {
    if (!is_int(type_of(b))) return fail("lane number that is not an integer");
    set(i, emit(O::extract_element, t, a.value, b.value));
    return true;
  }
  if (i.op == bc::Op::InsertElement) {
    V lane = use(o[2]);
    if (!lane.valid()) return false;
    if (!is_int(type_of(lane)) || type_of(b) != vt.element) return fail("operand of a wrong type");
    set(i, emit(O::insert_element, t, a.value, b.value, lane.value));
    return true;
  }
  if (type_of(b) != type_of(a)) return fail("operands of different types");
  const uint64_t lanes = vt.count;
  const bc::Constant* k;
  const bc::Constants* pool = folder_.pool(o[2], k);
  if (!pool) return fail("shuffle mask that is not constant");
  const uint64_t n = air_type(t).count;
  uint32_t at = uint32_t(f_.extra.size());
  f_.extra.push_back(uint32_t(n));
  for (uint64_t l = 0; l < n; l++) {
    uint64_t lane = ~uint64_t{0};
    switch (k->kind) {
      case bc::ConstKind::Null: lane = 0; break;
      case bc::ConstKind::Undef:
      case bc::ConstKind::Poison: break;
      case bc::ConstKind::Data:
        if (l >= k->count) return fail("bad shuffle mask");
        lane = pool->words_of(*k)[l];
        break;
      case bc::ConstKind::Aggregate: {
        if (l >= k->count) return fail("bad shuffle mask");
        uint32_t e = pool->operands_of(*k)[l];
        const bc::Constant* ek;
        if (!folder_.pool(e, ek)) return fail("bad shuffle mask");
        if (ek->kind == bc::ConstKind::Int) lane = ek->bits;
        if (ek->kind == bc::ConstKind::Null) lane = 0;
        break;
      }
      default: return fail("shuffle mask that is not constant");
    }
    f_.extra.push_back(lane < 2 * lanes ? uint32_t(lane) : 0xffffffff);
  }
  set(i, emit(O::shuffle, t, a.value, b.value, at));
  return true;
}

std::unique_ptr<FunctionScratch> take_scratch(const ImportState& s) {
  {
    std::lock_guard lock(s.pool_lock);
    if (!s.pool.empty()) {
      auto scratch = std::move(s.pool.back());
      s.pool.pop_back();
      return scratch;
    }
  }
  return std::make_unique<FunctionScratch>(s.bitcode);
}

void give_scratch(const ImportState& s, std::unique_ptr<FunctionScratch> scratch) {
  std::lock_guard lock(s.pool_lock);
  s.pool.push_back(std::move(scratch));
}

Result<void> import_function(const ImportState& s, FunctionScratch& scratch, air::Function& out) {
  return FunctionImporter(s, scratch, out).run();
}

Result<void> block_numbers(const ImportState& s, uint32_t body, FunctionScratch& scratch, std::vector<uint32_t>& out) {
  air::Function unused;
  LODE_TRY(read_body(s, body, scratch));
  LODE_TRY(FunctionImporter(s, scratch, unused).order());
  out = scratch.number;
  return {};
}

}  // namespace lode::codegen
