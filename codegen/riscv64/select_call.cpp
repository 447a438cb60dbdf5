// Calls. See selector.h and abi.h; the callee's side of the convention is in select_entry.cpp.
//
// Arguments in registers are set by one parallel copy directly before the call, so that the allocator can make values
// in the registers where they are wanted; constants and addresses without registers are materialised in place behind
// it. A call marked `tail` that stands directly before a return of its result, with all its arguments in registers,
// becomes a jump; one marked `musttail` does so with arguments on the stack too, which take the place of the function's
// own: all are read before the first is written.
#include <algorithm>

#include "base/bytes.h"
#include "codegen/air/legalize.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::ConstantKind;
using air::Inst;
namespace vf = codegen::vflags;

void Selector::call_runtime(air::RuntimeFunction f, std::initializer_list<Reg> gp_args,
                            std::initializer_list<Reg> fp_args, Reg result) {
  has_calls_ = true;
  std::vector<Operand> copies, ops;
  auto pass = [&](std::initializer_list<Reg> args, uint32_t first) {
    for (Reg r : args) {
      Reg p{first++};
      copies.push_back(def(p));
      copies.push_back(use(r));
      ops.push_back(use(p));
    }
  };
  pass(gp_args, reg::a0);
  pass(fp_args, fp_base + reg::a0);
  if (!copies.empty()) emit_list(p_parallel_copy, copies, 0, ~0u, vf::parallel_copy, 0);
  Reg a0{reg::a0};
  if (result.valid()) ops.push_back(def(a0));
  emit_list(unsigned(Op::call_ref), ops, runtime_reference(f), ~0u, 0, clobber_call);
  if (result.valid()) copy(result, a0);
}

// The call at hand hands its result to the return behind it: see select_return().
bool Selector::is_tail_call(uint32_t call, const Inst& ret) {
  const Inst& i = fn_->insts[call];
  if (i.op != AirOp::call) return false;
  const air::CallSite& site = fn_->calls[i.a];
  if (!hands_result_on(i, ret)) return false;
  const bool must = site.flags & air::callflags::musttail;
  std::vector<TypeId> types;
  for (uint32_t k = 0; k < site.arg_count; k++) types.push_back(type_of(ValueId(fn_->extra[site.args + k])));
  std::span<const air::ParamAttr> attrs;
  if (site.attrs != ~0u) attrs = {fn_->param_attrs.data() + site.attrs, site.arg_count};
  // The copy of a structure is in this function's frame.
  for (const air::ParamAttr& a : attrs)
    if (a.bits & air::attr::byval || (!must && (a.bits & air::attr::sret))) return false;
  ArgumentLayout layout;
  return assign_arguments(types, attrs, air::fixed_arg_count(module_->types, site), layout) &&
         (layout.stack_end == 0 || (must && layout.stack_end <= entry_.stack_end));
}

// A call on its way through the steps of select_call().
struct Selector::Call {
  const Inst& inst;
  const air::CallSite& site;
  std::span<const air::ParamAttr> attrs;
  bool invoke, tail;
  uint32_t unwind = ~0u;  // block

  uint32_t count() const { return site.arg_count; }
  uint16_t attributes(uint32_t k) const { return k < attrs.size() ? attrs[k].bits : 0; }
  Mem::Kind area() const { return tail ? Mem::Kind::incoming : Mem::Kind::outgoing; }

  std::vector<Reg> addresses;                        // by argument, of copies of structures
  std::vector<std::pair<uint32_t, Source>> stacked;  // of a tail call: everything is read before anything is written
  struct Late {
    Reg reg;
    int64_t value;
    ValueId v;
    enum : uint8_t { integer, address, zero_fp } kind;
    bool single = false;
  };
  std::vector<Late> late;  // made in place behind the parallel copy

  uint32_t reference = ~0u;  // the callee, or a register
  Reg reg{};
};

void Selector::select_call(const Inst& i) {
  const air::CallSite& site = fn_->calls[i.a];
  const bool invoke = i.op == AirOp::invoke, tail = tail_call_ == cur_inst_;
  if (site.inline_asm != ~0u) {
    if (invoke) fail("inline assembly that may throw");
    else select_asm(i);
    return;
  }
  Call call{i, site, {}, invoke, tail};
  if (site.attrs != ~0u) call.attrs = {fn_->param_attrs.data() + site.attrs, site.arg_count};
  if (!begin_call(call)) return;
  stack_arguments(call);
  const air::Constant* c = fn_->constant(site.callee);
  if (c && (c->kind == ConstantKind::Runtime || (c->kind == ConstantKind::Symbol && c->bits == 0)))
    call.reference = reference(*c, mir::ReferenceKind::call, 0);
  else call.reg = reg_of(site.callee);
  register_arguments(call);
  move_arguments(call);
  if (tail) {
    emit_list(p_tail_call, ops_, call.reference, call.reg.valid() ? 1 : 0, vf::terminator, 0);
    return;
  }
  leaf_types_.clear();
  result_places_.clear();
  if (i.type != TypeTable::void_type &&
      (!air::result_leaves(module_->types, i.type, legalize_options(), leaf_types_).ok() ||
       !assign_results(leaf_types_, result_places_)))
    return fail("a result of this type");
  emit_call(call);
  if (invoke) end_invoke(call);
  else copy_results(i, site, result_places_, leaf_types_);
}

ValueId Selector::argument(const Call& call, uint32_t k) const { return ValueId(fn_->extra[call.site.args + k]); }

// What has to be known, and asked for, before the first argument.
bool Selector::begin_call(Call& call) {
  // The edges' blocks come first: they ask for their arguments, the result perhaps among them.
  if (call.invoke) {
    if (pads_.empty()) return refuse("an invoke in a function without a personality");
    call.unwind = unwind_block(call.inst.c);
    want_arguments(call.inst.b);
  }
  if (call.site.flags & air::callflags::type_id) return refuse("a call that is checked for its type (KCFI)");
  if (call.site.conv != air::CallConv::c && call.site.conv != air::CallConv::fast &&
      call.site.conv != air::CallConv::cold && call.site.conv != air::CallConv::tail)
    return refuse("a calling convention that riscv64 does not have");
  const bool must = call.site.flags & air::callflags::musttail;
  if (must && !call.tail) return refuse("a musttail call whose arguments or result do not fit those of its function");
  if (must && (fn_->flags & air::function_flags::vararg))
    return refuse("a musttail call that passes variadic arguments on");
  arg_types_.clear();
  for (uint32_t k = 0; k < call.count(); k++) arg_types_.push_back(type_of(argument(call, k)));
  if (!assign_arguments(arg_types_, call.attrs, air::fixed_arg_count(module_->types, call.site), call_layout_))
    return refuse("arguments of more than 2 GiB");
  if (call.site.flags & air::callflags::returns_twice) calls_setjmp_ = true;
  call.addresses.resize(call.count());
  for (uint32_t k = 0; k < call.count(); k++) {
    if (!call_layout_.places[k].indirect) continue;
    const air::ParamAttr& a = call.attrs[k];
    const VMem to = slot_mem(new_slot(std::max<uint64_t>(a.size, 1), std::max<unsigned>(a.align_log2, 3)));
    const unsigned align = 1u << std::min<unsigned>(a.align_log2, 3);
    if (a.size > 16 * align) {
      Reg dst = gp(8), n = constant_reg(int64_t(a.size));
      lea(dst, to);
      call_runtime(air::RuntimeFunction::memcpy, {dst, reg_of(argument(call, k)), n}, {}, Reg{});
    } else if (a.size) {
      copy_block(to, address(argument(call, k)), a.size, align);
    }
    call.addresses[k] = gp(8);
    lea(call.addresses[k], to);
  }
  if (call.tail) return true;
  has_calls_ = true;
  outgoing_bytes_ = std::max(outgoing_bytes_, call_layout_.stack_bytes);
  return true;
}

// The register of an argument, extended as its attributes want it.
Reg Selector::argument_reg(const Call& call, uint32_t k) {
  const ValueId v = argument(call, k);
  if (call_layout_.places[k].indirect) return call.addresses[k];
  const uint16_t bits = call.attributes(k);
  if (is_fp(arg_types_[k])) return reg_of(v);
  const unsigned width = bits_of(arg_types_[k]);
  if (width < 64 && (bits & air::attr::sext)) return sign_extended(v);
  if (width < 64 && ((bits & air::attr::zext) || width == 1)) return zero_extended(v);
  return reg_of(v);
}

void Selector::stack_arguments(Call& call) {
  for (uint32_t k = 0; k < call.count(); k++) {
    if (call_layout_.places[k].kind != ArgumentPlace::memory) continue;
    int64_t c;
    Source r;
    if (!call_layout_.places[k].indirect && int_constant(argument(call, k), c) && c == 0) r.zero = true;
    else r.reg = argument_reg(call, k);
    if (call.tail) call.stacked.push_back({k, r});
    else put_on_stack(call, k, r);
  }
}

// What is above a narrow argument is nobody's, but a variadic one is read as it was promoted.
void Selector::put_on_stack(const Call& call, uint32_t k, Source r) {
  const VMem to = plain(call.area(), int32_t(call_layout_.places[k].offset));
  const TypeId type = arg_types_[k];
  store_mem(type == TypeTable::f32 ? Op::fsw : type == TypeTable::f64 ? Op::fsd : Op::sd, r, to);
}

// What is made behind the parallel copy, in the register itself: constants and addresses that need no register.
bool Selector::late_argument(Call& call, uint32_t k, Reg p) {
  const bool in_gp = p.value < fp_base;
  const ValueId v = argument(call, k);
  const air::Constant* c = fn_->constant(v);
  const bool undefined = c && c->kind == ConstantKind::Undef, fp_type = is_fp(arg_types_[k]);
  const bool zero = c && fp_type && (c->kind == ConstantKind::Zero || (c->kind == ConstantKind::Float && !c->bits));
  if (undefined || zero) {
    call.late.push_back({p, 0, v, in_gp ? Call::Late::integer : Call::Late::zero_fp, arg_types_[k] == TypeTable::f32});
    return true;
  }
  int64_t value;
  if (in_gp && !fp_type && int_constant(v, value)) {
    const unsigned width = bits_of(arg_types_[k]);
    const uint16_t bits = call.attributes(k);
    if (width < 64 && (width == 1 || ((bits & air::attr::zext) && !(bits & air::attr::sext))))
      value &= int64_t((uint64_t{1} << width) - 1);
    call.late.push_back({p, value, v, Call::Late::integer});
    return true;
  }
  const Inst* d = def_of(v);
  const bool plain_address = (c && symbol_is_direct(*c)) || (d && d->op == AirOp::slot_addr);
  if (!in_gp || !plain_address) return false;
  call.late.push_back({p, 0, v, Call::Late::address});
  return true;
}

// Collects the parallel copy, and what the call reads, in copies_ and ops_.
void Selector::register_arguments(Call& call) {
  std::vector<Operand> copies, ops;
  for (uint32_t k = 0; k < call.count(); k++) {
    const ArgumentPlace& place = call_layout_.places[k];
    if (place.kind == ArgumentPlace::memory) continue;
    Reg p{place.reg};
    ops.push_back(use(p));
    if (!place.indirect && late_argument(call, k, p)) continue;
    Reg r = argument_reg(call, k);
    if (place.kind == ArgumentPlace::gp && is_fp(arg_types_[k])) {
      Reg bits = gp(8);
      move_bits(bits, r, arg_types_[k]);
      r = bits;
    }
    copies.push_back(def(p));
    copies.push_back(use(r));
  }
  if (call.reg.valid() && call.tail) {
    copies.push_back(def(Reg{reg::tail_target}));
    copies.push_back(use(call.reg));
    ops.push_back(use(Reg{reg::tail_target}));
  }
  copies_ = std::move(copies);
  ops_ = std::move(ops);
}

// Arguments to where they belong, directly in front of the call.
void Selector::move_arguments(Call& call) {
  for (auto& [k, r] : call.stacked) put_on_stack(call, k, r);
  if (!copies_.empty()) emit_list(p_parallel_copy, copies_, 0, ~0u, vf::parallel_copy, 0);
  for (const Call::Late& l : call.late) {
    if (l.kind == Call::Late::integer) {
      constant_into(l.reg, l.value);
    } else if (l.kind == Call::Late::zero_fp) {
      push(p_zero_fp, {def(l.reg)}, l.single ? 4 : 8);
    } else if (const air::Constant* c = fn_->constant(l.v)) {
      push(unsigned(Op::lea_ref), {def(l.reg)}, reference(*c, mir::ReferenceKind::direct, int64_t(c->bits)));
    } else {
      load_mem(Op::lea, l.reg, slot_mem(slots_[def_of(l.v)->a]));
    }
  }
}

void Selector::emit_call(Call& call) {
  uint64_t defined = call.invoke ? uint64_t{3} << reg::a0 : 0;  // by the unwinder
  for (const uint8_t r : result_places_) defined |= uint64_t{1} << r;
  for (uint32_t r = 0; r < 64; r++)
    if (defined >> r & 1) ops_.push_back(def(Reg{r}));
  const unsigned marks =
      personality_ != ~0u && (call.invoke || !(call.site.flags & air::callflags::nounwind)) ? may_throw : 0;
  const uint8_t vflags = call.invoke ? vf::terminator : 0;
  if (call.reg.valid()) {
    // What a terminator reads is read before anything is destroyed. The register of the call is its last operand.
    ops_.push_back(call.invoke ? use(call.reg) : late(call.reg));
    emit_list(unsigned(Op::call_r) | marks, ops_, 0, ~0u, vflags, clobber_call);
  } else {
    emit_list(unsigned(Op::call_ref) | marks, ops_, call.reference, ~0u, vflags, clobber_call);
  }
}

// The rest of an invoke's terminator group, and the block on its normal edge if something stands there.
void Selector::end_invoke(const Call& call) {
  const Inst& i = call.inst;
  push(p_invoke, {}, call.unwind, vf::terminator);
  cur_.back().b = pads_[fn_->edges[i.c].target.value].action;
  const uint32_t normal = fn_->edges[i.b].target.value;
  const bool results = i.result.valid() && is_wanted(i.result);
  if (!results && !edge_has_copies(i.b)) return jump(normal);
  const uint32_t after = new_block(pending_[cur_block_].frequency);
  jump(after);
  // The edge's copies use the lists that hold the results.
  const std::vector<uint8_t> places = result_places_;
  const std::vector<TypeId> types = leaf_types_;
  fill_made(after, [&] {
    copy_results(i, call.site, places, types);
    edge_copies(i.b);
    jump(normal);
  });
}

// Physical results are copied away; what nobody wants is left where it is.
void Selector::copy_results(const Inst& i, const air::CallSite& site, const std::vector<uint8_t>& places,
                            const std::vector<TypeId>& types) {
  const uint32_t first = i.result.valid() ? leaf_first_[i.result.value] : ~0u;
  const bool single = places.size() == 1 && first == ~0u;
  std::vector<std::pair<Reg, Reg>> moved;  // floating-point values that came in integer registers
  for (size_t k = 0; k < places.size(); k++) {
    Reg to = single         ? (is_wanted(i.result) ? reg_[i.result.value] : Reg{})
             : first != ~0u ? leaves_[first + k].reg
                            : Reg{};
    if (!to.valid()) continue;
    Reg from{places[k]};
    if (is_fp(types[k]) && from.value < fp_base) {
      Reg bits = gp(8);
      copy(bits, from);
      moved.push_back({to, bits});
      continue;
    }
    if (types[k] == TypeTable::i1 && !(site.result_attrs & air::attr::zext)) {
      Reg whole = gp(8);
      copy(whole, from);
      ri(Op::andi, to, whole, 1);
      continue;
    }
    copy(to, from);
  }
  for (auto& [to, bits] : moved) {
    const bool f32 = vcode_.vregs[to.index()].bytes == 4;
    move_bits(to, bits, f32 ? TypeTable::f32 : TypeTable::f64);
  }
}

}  // namespace lode::riscv64
