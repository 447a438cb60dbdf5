// Calls as nodes, and the frame: what the signature of a call asks of the caller's frame (tool-conventions,
// BasicCABI.md).
//
// Calls. A direct call whose type differs from the callee's own (C without prototypes) passes what the callee takes, as
// far as the bits can be passed, with zero for what is missing; where they cannot, the call traps, as clang has it. A
// function that is only declared, without any parameters known, is called by the call's own type; the reference then
// says which (see call_reference()).
//
// Tail calls. A call that the producer marks as one (LLVM's `tail`, `musttail`) and whose result the function returns
// as it is becomes return_call or return_call_indirect where the code may use the feature tail-call. The frame is given
// back before, so nothing in it may be passed. A `musttail` call that cannot be done so is an error: a plain call would
// use up the stack.
//
// Intrinsics of the target (llvm.wasm.*) reach this pass as calls of a function of that name; see wasm_intrinsics.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

using AirOp = air::Op;
using T = air::TypeTable;

namespace {
constexpr uint32_t none = ~0u;

// The intrinsics that stand for one instruction whose operands are the call's own arguments.
struct WasmIntrinsic {
  std::string_view name;
  Op op;
  uint8_t skip;        // leading arguments that are no operands: the number of the memory
  int8_t align_log2;   // of a memory access; -1: none
};
constexpr WasmIntrinsic wasm_intrinsics[] = {
    {"memory.size.i32", Op::memory_size, 1, -1},
    {"memory.size.i64", Op::memory_size, 1, -1},
    {"memory.grow.i32", Op::memory_grow, 1, -1},
    {"memory.grow.i64", Op::memory_grow, 1, -1},
    {"memory.atomic.notify", Op::memory_atomic_notify, 0, 2},
    {"memory.atomic.wait32", Op::memory_atomic_wait32, 0, 2},
    {"memory.atomic.wait64", Op::memory_atomic_wait64, 0, 3},
    {"trunc.signed.i32.f32", Op::i32_trunc_f32_s, 0, -1},
    {"trunc.unsigned.i32.f32", Op::i32_trunc_f32_u, 0, -1},
    {"trunc.signed.i32.f64", Op::i32_trunc_f64_s, 0, -1},
    {"trunc.unsigned.i32.f64", Op::i32_trunc_f64_u, 0, -1},
    {"trunc.signed.i64.f32", Op::i64_trunc_f32_s, 0, -1},
    {"trunc.unsigned.i64.f32", Op::i64_trunc_f32_u, 0, -1},
    {"trunc.signed.i64.f64", Op::i64_trunc_f64_s, 0, -1},
    {"trunc.unsigned.i64.f64", Op::i64_trunc_f64_u, 0, -1},
};
}  // namespace

// Who is called, and with which types.
Selector::CallPlan Selector::plan_call(const air::CallSite& site) {
  CallPlan plan;
  const air::Constant* c = site.callee.valid() ? fn_->constant(site.callee) : nullptr;
  if (c && c->kind == air::ConstantKind::Runtime) {
    plan.direct = context_->runtime[c->symbol];
    if (auto made = make_signature(*types_, air::RuntimeFunction(c->symbol), call_signature_); !made.ok())
      unsupported(made.error().message);
    plan.target = plan.site = &call_signature_;
    plan.is_direct = true;
    return plan;
  }
  plan.site = plan.target = signature(site.function_type);
  if (!plan.site || !c || c->kind != air::ConstantKind::Symbol || c->bits != 0) return plan;
  const air::Module& m = *context_->module;
  const air::Symbol* s = &m.symbols[c->symbol];
  for (unsigned steps = 0; s->kind == air::SymbolKind::alias && s->aliasee.valid() && steps < 64; steps++)
    s = &m.symbols[s->aliasee.value];
  if (s->kind != air::SymbolKind::function) return plan;
  plan.direct = context_->symbols[c->symbol];
  plan.is_direct = true;
  const air::Symbol& named = m.symbols[c->symbol];
  plan.final_type = named.defined &&
                    (named.linkage == air::Linkage::internal || named.linkage == air::Linkage::external) &&
                    !named.comdat.valid();
  if (s->type == site.function_type || !s->type.valid() || (*types_)[s->type].kind != air::TypeKind::Function)
    return plan;
  const air::Type& t = (*types_)[s->type];
  if (!s->defined && t.vararg && t.field_count == 0) return plan;  // by the call's own type
  plan.target = signature(s->type);
  return plan;
}

Result<void> Selector::scan_frame() {
  sharing_.run(*fn_);
  slots_.assign(fn_->slots.size(), {});
  for (size_t i = 0; i < slots_.size(); i++) {
    slots_[i].size = sharing_.slots[i].size;
    slots_[i].align_log2 = sharing_.slots[i].align_log2;
  }
  vararg_slot_ = none;
  copy_slots_.clear();
  copy_cursor_ = 0;
  uint64_t vararg_size = 0;
  for (const BlockInfo& b : blocks_) {
    const air::Block& block = fn_->blocks[b.air];
    for (uint32_t i = block.first_inst; i < block.first_inst + block.inst_count; i++) {
      const air::Inst& inst = fn_->insts[i];
      if (inst.op == AirOp::slot_addr) {
        slots_[sharing_.place[inst.a]].uses += value_uses_[inst.result.value];
        continue;
      }
      if (inst.op != AirOp::call) continue;
      const air::CallSite& site = fn_->calls[inst.a];
      if (site.inline_asm != ~0u) continue;
      CallPlan plan = plan_call(site);
      if (!plan.target) continue;
      uint32_t fixed = fixed_count(site, plan);
      uint64_t at = 0;
      for (uint32_t a = 0; a < site.arg_count; a++) {
        air::ParamAttr attr = site.attrs != ~0u ? fn_->param_attrs[site.attrs + a] : air::ParamAttr{};
        if (attr.bits & air::attr::byval) {
          copy_slots_.push_back({i, a, uint32_t(slots_.size())});
          slots_.push_back({attr.size, std::max<uint32_t>(attr.align_log2, 2), 4, 0});
        }
        if (plan.target->vararg && a >= fixed) at = vararg_place(site, a, at) + vararg_bytes(site, a);
      }
      vararg_size = std::max(vararg_size, at);
    }
  }
  if (vararg_size) {
    vararg_slot_ = uint32_t(slots_.size());
    slots_.push_back({vararg_size, 4, 4, 0});
  }
  LODE_ASSIGN(frame_layout_, layout_frame(slots_));
  for (size_t i = 0; i < fn_->slots.size(); i++) slots_[i].offset = slots_[sharing_.place[i]].offset;
  if (protected_) {
    canary_ = frame_layout_.size;
    frame_layout_.size += 16;
  }
  return {};
}

// Variadic arguments before the first variadic one, as the callee counts them.
uint32_t Selector::fixed_count(const air::CallSite& site, const CallPlan& plan) {
  if (plan.target == plan.site) return std::min(air::fixed_arg_count(*types_, site), site.arg_count);
  return std::min(plan.target->fixed, site.arg_count);
}

uint64_t Selector::vararg_bytes(const air::CallSite& site, uint32_t a) {
  ValueType t = type_of(air::ValueId(fn_->extra[site.args + a]));
  return t == ValueType::i64 || t == ValueType::f64 ? 8 : 4;
}

uint64_t Selector::vararg_place(const air::CallSite& site, uint32_t a, uint64_t at) {
  uint64_t align = vararg_bytes(site, a);
  if (site.attrs != ~0u && fn_->param_attrs[site.attrs + a].bits & air::attr::split_first) align = 16;
  return align_up(at, align);
}

// True when the call is of an intrinsic, supported or not.
bool Selector::lower_intrinsic(const air::Inst& inst, const air::CallSite& site) {
  const air::Constant* c = site.callee.valid() ? fn_->constant(site.callee) : nullptr;
  if (!c || c->kind != air::ConstantKind::Symbol || c->bits != 0) return false;
  std::string_view name = context_->module->str(context_->module->symbols[c->symbol].name);
  if (!name.starts_with("llvm.wasm.")) return false;
  std::string_view stem = name.substr(std::string_view("llvm.wasm.").size());
  auto argument = [&](uint32_t a) { return node_of(air::ValueId(fn_->extra[site.args + a])); };
  for (auto [word, global] : {std::pair<std::string_view, SymbolId>{"tls.base", context_->tls_base},
                              {"tls.size.i32", context_->tls_size},
                              {"tls.size.i64", context_->tls_size},
                              {"tls.align.i32", context_->tls_align},
                              {"tls.align.i64", context_->tls_align}}) {
    if (word != stem || !inst.result.valid()) continue;
    Node n;
    n.op = pseudo_global;
    n.type = uint8_t(address_);
    n.a = mir_.reference(mir::ReferenceKind::wasm_global, global);
    define(inst, intern(n));
    return true;
  }
  for (const WasmIntrinsic& w : wasm_intrinsics) {
    if (w.name != stem) continue;
    const OpInfo& row = info(w.op);
    if (row.feature != Feature::mvp && !has(row.feature)) {
      unsupported("the intrinsic " + std::string(name) + " without the feature " + feature_name(row.feature));
      return true;
    }
    std::string_view signature = row.signature();
    size_t operands = signature.find(':') == std::string_view::npos ? 0 : signature.find(':');
    if (site.arg_count != operands + w.skip || operands > 3 || !inst.result.valid()) break;
    NodeId values[3] = {no_node, no_node, no_node};
    for (uint32_t a = 0; a < operands; a++) {
      values[a] = argument(a + w.skip);
      char wanted = signature[a];
      ValueType type = wanted == 'a'   ? address_
                       : wanted == 'l' ? ValueType::i64
                       : wanted == 'f' ? ValueType::f32
                       : wanted == 'd' ? ValueType::f64
                                       : ValueType::i32;
      if (ValueType(nodes_[values[a]].type) != type) {
        unsupported("the intrinsic " + std::string(name) + " with operands of these types");
        return true;
      }
    }
    char result = signature[operands + 1];
    Node n;
    n.op = uint16_t(w.op);
    n.type = uint8_t(result == 'a' ? address_ : result == 'l' ? ValueType::i64 : ValueType::i32);
    n.effect = effect_write;
    n.operands = uint8_t(operands);
    n.a = values[0], n.b = values[1], n.c = values[2];
    if (w.align_log2 >= 0) n.aux = uint32_t(w.align_log2) << 18;
    n.zbits = n.sbits = n.type == uint8_t(ValueType::i64) ? 64 : 32;
    if (ValueType(n.type) != value_type(*types_, inst.type)) break;
    define(inst, append(n));
    return true;
  }
  unsupported("the intrinsic " + std::string(name));
  return true;
}

// The call before a `ret` as the function's last act.
bool Selector::make_tail_call(BlockInfo& block, uint32_t ret) {
  const air::Block& air_block = fn_->blocks[block.air];
  uint32_t call = ret;
  while (call > air_block.first_inst && fn_->insts[call - 1].op == AirOp::lifetime_end) call--;
  if (call-- == air_block.first_inst || fn_->insts[call].op != AirOp::call) return false;
  const air::Inst& inst = fn_->insts[call];
  const air::CallSite& site = fn_->calls[inst.a];
  if (!(site.flags & (air::callflags::tail | air::callflags::musttail)) || site.flags & air::callflags::notail ||
      !has(Feature::tail_call))
    return false;
  if (protected_ && !(site.flags & air::callflags::musttail)) return false;  // the canary is looked at after the call
  NodeId id = last_call_.node;
  if (id == no_node || last_call_.inst != call || !last_call_.plain || last_call_.results != own_signature_.results)
    return false;
  if (!own_signature_.results.empty()) {
    if (fn_->extra[fn_->insts[ret].a] != 1) return false;
    air::ValueId v(fn_->extra[fn_->insts[ret].a + 1]);
    NodeId returned = fn_->result_attrs & air::attr::zext   ? z(v)
                      : fn_->result_attrs & air::attr::sext ? s(v)
                                                            : node_of(v);
    if (v != inst.result || returned != id || value_uses_[v.value] != 1) return false;
  }
  Node& n = nodes_[id];
  for (uint32_t i = 0; i < n.b; i++) {
    uint16_t op = nodes_[node_lists_[n.a + i]].op;
    if (op == pseudo_frame_base || op == pseudo_frame_address) return false;
  }
  n.op = uint16_t(n.op == uint16_t(Op::call) ? Op::return_call : Op::return_call_indirect);
  n.type = 0;
  block.tail_call = id;
  return true;
}

// The copy of a structure that is passed by value.
NodeId Selector::byval_copy(NodeId n, const air::ParamAttr& attr) {
  const CopySlot* slot = &copy_slots_[copy_cursor_++];  // calls are met in the order of scan_frame()
  NodeId copy = frame_address(slots_[slot->slot].offset);
  const uint64_t size = attr.size;
  if (size && size <= 16) {
    copy_bytes(copy, n, size, std::min<unsigned>(slots_[slot->slot].align_log2, 3), attr.align_log2, false);
  } else if (size) {
    NodeId length = int_const(address_, int64_t(size));
    if (has(Feature::bulk_memory_opt)) {
      Node c;
      c.op = uint16_t(Op::memory_copy);
      c.effect = effect_write;
      c.a = copy, c.b = n, c.c = length;
      c.operands = 3;
      append(c);
    } else {
      call_memory(air::RuntimeFunction::memcpy, copy, n, length);
    }
  }
  return copy;
}

// What C's unprototyped calls may differ in: the bits of a number of another type. Op::unreachable: nothing does.
static Op reinterpretation(ValueType from, ValueType to) {
  if (from == ValueType::i32 && to == ValueType::f32) return Op::f32_reinterpret_i32;
  if (from == ValueType::f32 && to == ValueType::i32) return Op::i32_reinterpret_f32;
  if (from == ValueType::i64 && to == ValueType::f64) return Op::f64_reinterpret_i64;
  if (from == ValueType::f64 && to == ValueType::i64) return Op::i64_reinterpret_f64;
  return Op::unreachable;
}

NodeId Selector::zero_of(ValueType t) {
  return t == ValueType::i64 ? i64c(0) : t == ValueType::f32 ? f32c(0) : t == ValueType::f64 ? f64c(0) : i32c(0);
}

// Fills call_operands_ with what the callee takes.
void Selector::lower_arguments(const air::CallSite& site, const CallPlan& plan, LoweredCall& call) {
  const Signature& target = *plan.target;
  const uint32_t fixed = fixed_count(site, plan);
  std::vector<NodeId>& operands = call_operands_;
  operands.clear();
  uint64_t at = 0;
  std::vector<Vararg> variadic;
  for (uint32_t a = 0; a < site.arg_count; a++) {
    air::ValueId v(fn_->extra[site.args + a]);
    air::ParamAttr attr = site.attrs != ~0u ? fn_->param_attrs[site.attrs + a] : air::ParamAttr{};
    NodeId n = node_of(v);
    if (attr.bits & air::attr::zext) n = z(v);
    else if (attr.bits & air::attr::sext) n = s(v);
    if (attr.bits & air::attr::byval) {
      n = byval_copy(n, attr);
      call.copied = true;
    }
    if (a < fixed) {
      if (a >= target.fixed) continue;  // the callee does not take it
      const ValueType want = target.params[a], have = ValueType(nodes_[n].type);
      if (want != have) {
        const Op op = reinterpretation(have, want);
        if (op == Op::unreachable) call.impossible = true;
        else n = unary(op, n);
      }
      operands.push_back(n);
    } else if (target.vararg) {
      at = vararg_place(site, a, at);
      variadic.push_back({n, at, ValueType(nodes_[n].type)});
      at += vararg_bytes(site, a);
    }
  }
  while (operands.size() < target.fixed) operands.push_back(zero_of(target.params[operands.size()]));
  if (!target.vararg) return;
  call.buffer = variadic_buffer(variadic);
  operands.push_back(call.buffer);
}

// The address of the variadic arguments in memory.
NodeId Selector::variadic_buffer(std::span<const Vararg> arguments) {
  if (arguments.empty()) return int_const(address_, 0);
  NodeId buffer = frame_address(slots_[vararg_slot_].offset);
  for (const Vararg& x : arguments) {
    Op op = x.type == ValueType::i64   ? Op::i64_store
            : x.type == ValueType::f64 ? Op::f64_store
            : x.type == ValueType::f32 ? Op::f32_store
                                       : Op::i32_store;
    store(op, buffer, x.at, x.type == ValueType::i64 || x.type == ValueType::f64 ? 3 : 2, x.value);
  }
  return buffer;
}

// The result as the call's readers expect it.
NodeId Selector::call_result(const air::Inst& inst, const air::CallSite& site, NodeId r, ValueType have,
                             ValueType want) {
  const unsigned bits = bits_of(inst.type);
  if (want == have && bits < 32 && want == ValueType::i32) {
    if (site.result_attrs & air::attr::zext) nodes_[r].zbits = uint8_t(bits), nodes_[r].sbits = uint8_t(bits + 1);
    else if (site.result_attrs & air::attr::sext) nodes_[r].sbits = uint8_t(bits);
    else if (bits == 1) r = zext(r, 1);
  }
  return want == have ? r : unary(reinterpretation(have, want), r);
}

void Selector::lower_call(uint32_t index) {
  const air::Inst& inst = fn_->insts[index];
  const air::CallSite& site = fn_->calls[inst.a];
  last_call_.node = no_node;
  if (site.inline_asm != ~0u) return lower_asm(inst, site);
  if (lower_intrinsic(inst, site)) return;
  must_tail_ |= bool(site.flags & air::callflags::musttail);
  if (protected_ && site.flags & air::callflags::musttail) check_canary();
  CallPlan plan = plan_call(site);
  if (!plan.target || !plan.site) return;
  const Signature& target = *plan.target;
  LoweredCall call;
  lower_arguments(site, plan, call);

  ValueType have{}, want{};
  bool has_result = !target.results.empty(), wants_result = inst.result.valid() && inst.type != T::void_type;
  if (has_result) have = target.results[0];
  if (wants_result) want = value_type(*types_, inst.type);
  if (has_result && wants_result && have != want && reinterpretation(have, want) == Op::unreachable)
    call.impossible = true;
  NodeId r = no_node;
  if (call.impossible) {
    Node trap;
    trap.op = uint16_t(Op::unreachable);
    trap.effect = effect_write;
    append(trap);
    has_result = false;
  } else if (plan.is_direct) {
    r = call_node(Op::call, call_reference(plan), call_operands_, has_result ? uint8_t(have) : 0);
  } else {
    call_operands_.push_back(wasm64_ ? node_of(site.callee) : wrap(node_of(site.callee)));
    r = call_node(Op::call_indirect, mir_.type(target.params, target.results), call_operands_,
                  has_result ? uint8_t(have) : 0);
  }
  last_call_ = {r, index, call.buffer == no_node && !call.copied, target.results};
  if (!wants_result) return;
  define(inst, has_result ? call_result(inst, site, r, have, want) : zero_of(want));
}

// A call's reference. Its addend is one more than the offset in the function's constants of the type that the call
// uses, so that the linker can compare it with the definition's; 0 where the definition is the module's own and no
// other can take its place.
uint32_t Selector::call_reference(const CallPlan& plan) {
  if (plan.final_type) return mir_.reference(mir::ReferenceKind::call, plan.direct);
  uint32_t type = mir_.type(plan.target->params, plan.target->results);
  return mir_.reference(mir::ReferenceKind::call, plan.direct, mir_.draft().references[type].addend + 1);
}

// Inline assembly without text: a barrier, or a way to hide a value from an optimiser.
void Selector::lower_asm(const air::Inst& inst, const air::CallSite& site) {
  const air::InlineAsm& a = fn_->inline_asms[site.inline_asm];
  std::string_view text = std::string_view(fn_->strings).substr(a.text, a.text_len);
  std::string_view constraints = std::string_view(fn_->strings).substr(a.constraints, a.constraints_len);
  bool comment = false;
  for (char c : text) {
    if (c == '#') comment = true;
    if (c == '\n') comment = false;
    if (!comment && c != ' ' && c != '\t' && c != '\n' && c != ';') return unsupported("inline assembly");
  }
  Node barrier;
  barrier.op = uint16_t(Op::nop);
  barrier.effect = effect_write;
  append(barrier);
  if (!inst.result.valid()) return;
  // Outputs come first; an input "n" is tied to output n.
  std::vector<NodeId> outputs;
  std::vector<ValueType> types;
  if (constraints.empty()) return unsupported("inline assembly with a result and no constraints");
  uint32_t argument = 0;
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= constraints.size();) {
    size_t comma = constraints.find(',', at);
    if (comma == std::string_view::npos) comma = constraints.size();
    parts.push_back(constraints.substr(at, comma - at));
    at = comma + 1;
  }
  for (std::string_view part : parts) {
    if (part.empty()) continue;
    if (part[0] == '=' && part.find('*') == std::string_view::npos) {
      outputs.push_back(no_node);
      continue;
    }
    if (part[0] == '~' || part[0] == '!') continue;
    if (argument >= site.arg_count) break;
    NodeId n = node_of(air::ValueId(fn_->extra[site.args + argument++]));
    if (part[0] >= '0' && part[0] <= '9') {
      size_t k = size_t(part[0] - '0');
      if (k < outputs.size()) outputs[k] = n;
    }
  }
  if (outputs.empty() || outputs.size() > 2) return unsupported("inline assembly with these results");
  auto settle = [&](size_t k, air::TypeId type) {
    ValueType t = value_type(*types_, type);
    if (outputs[k] != no_node && ValueType(nodes_[outputs[k]].type) == t) return outputs[k];
    return t == ValueType::i64 ? i64c(0) : t == ValueType::f32 ? f32c(0) : t == ValueType::f64 ? f64c(0) : i32c(0);
  };
  const air::Type& t = (*types_)[inst.type];
  if (t.kind == air::TypeKind::Struct) {
    value_node_[inst.result.value] = settle(0, types_->member(t, 0));
    if (outputs.size() > 1 && t.field_count > 1) second_node_[inst.result.value] = settle(1, types_->member(t, 1));
  } else {
    define(inst, settle(0, inst.type));
  }
}

}  // namespace lode::wasm
