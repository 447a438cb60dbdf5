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
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using air::ConstantKind;
using air::Inst;
namespace vf = codegen::vflags;

namespace {
}  // namespace

void Selector::call_runtime(air::RuntimeFunction f, std::initializer_list<Reg> gp_args,
                            std::initializer_list<Reg> fp_args, Reg result) {
  has_calls_ = true;
  std::vector<Operand> copies, ops;
  unsigned k = 0;
  for (Reg r : gp_args) {
    Reg p{gp_arguments[k++]};
    copies.push_back(def(p));
    copies.push_back(use(r));
    ops.push_back(use(p));
  }
  k = 0;
  for (Reg r : fp_args) {
    Reg p{fp_base + k++};
    copies.push_back(def(p));
    copies.push_back(use(r));
    ops.push_back(use(p));
  }
  if (!copies.empty()) emit_list(p_parallel_copy, copies, 0, ~0u, vf::parallel_copy, 0);
  Reg rax{0};
  if (result.valid()) ops.push_back(def(rax));
  emit_list(unsigned(Op::call_ref), ops, runtime_reference(f), ~0u, 0, clobber_call);
  if (result.valid()) copy(result, rax);
}

// The call at hand hands its result to the return behind it: see select_return().
bool Selector::is_tail_call(uint32_t call, const Inst& ret) {
  const Inst& i = fn_->insts[call];
  if (i.op != AirOp::call) return false;
  const air::CallSite& site = fn_->calls[i.a];
  if (!hands_result_on(i, ret)) return false;
  const bool must = site.flags & air::callflags::musttail;
  if (sret_param_.valid() && !must) return false;
  // The callee has to keep all that this function's caller wants kept, arguments among it. Places by position take the
  // caller's memory.
  const Convention& convention = convention_of_call(site);
  if (convention_->saved & ~saved_by_win64 || convention_->saved & ~convention.saved) return false;
  if (convention.by_position != convention_->by_position) return false;
  std::vector<TypeId> types;
  for (uint32_t k = 0; k < site.arg_count; k++) types.push_back(type_of(ValueId(fn_->extra[site.args + k])));
  std::span<const air::ParamAttr> attrs;
  if (site.attrs != ~0u) attrs = {fn_->param_attrs.data() + site.attrs, site.arg_count};
  bool sret_passed = false;
  for (size_t k = 0; k < attrs.size(); k++) {
    if (!must && (attrs[k].bits & (air::attr::byval | air::attr::sret))) return false;
    if (attrs[k].bits & air::attr::sret) {
      if (ValueId(fn_->extra[site.args + k]) != sret_param_) return false;
      sret_passed = true;
    }
  }
  if (sret_param_.valid() && !sret_passed) return false;  // this function returns the address
  ArgumentLayout layout;
  return assign_arguments(types, attrs, convention, layout) &&
         (layout.stack_end == 0 || (must && layout.stack_end <= entry_.stack_end));
}

const Convention& Selector::convention_of_call(const air::CallSite& site) const {
  return convention_of(site.conv, site.flags & air::callflags::no_caller_saved_registers);
}

// For an argument that is passed by the address of a copy: makes the copy.
Reg Selector::address_of_copy(ValueId v, const air::ParamAttr& attr) {
  Reg r = gp(8);
  const bool byval = attr.bits & air::attr::byval;
  const VMem to = slot_mem(
      new_slot(byval ? std::max<uint64_t>(attr.size, 1) : 16, byval ? std::max<unsigned>(attr.align_log2, 3) : 4));
  if (byval) {
    if (attr.size) copy_structure(to, address(v), attr.size);
  } else if (type_of(v) == TypeTable::f80) {
    load_f80(v);
    emit_mem(unsigned(Op::fstp80m), {}, to);
  } else {
    store_reg(to, type_of(v), reg_of(v));
  }
  lea(r, to);
  return r;
}

void Selector::copy_structure(const VMem& to, const VMem& from, uint64_t size) {
  if (size <= 128) return copy_block(to, from, size);
  Reg rdi{7}, rsi{6}, rcx{1}, source = gp(8);
  lea(source, from);
  emit_mem(unsigned(Op::lea64rm), {def(rdi)}, to);
  copy(rsi, source);
  constant_into(rcx, size % 8 ? size : size / 8);
  emit(unsigned(size % 8 ? Op::rep_movsb : Op::rep_movsq), {mod(rdi), mod(rsi), mod(rcx)});
}

// A call on its way through the steps of select_call().
struct Selector::Call {
  const Inst& inst;
  const air::CallSite& site;
  const Convention& convention;
  std::span<const air::ParamAttr> attrs;
  bool invoke, tail, variadic = false;
  uint32_t unwind = ~0u;  // block

  uint32_t count() const { return site.arg_count; }
  uint16_t attributes(uint32_t k) const { return k < attrs.size() ? attrs[k].bits : 0; }
  Mem::Kind area() const { return tail ? Mem::Kind::incoming : Mem::Kind::outgoing; }

  // Arguments
  struct Moved {
    uint32_t slot, to;
    uint64_t size;
  };
  std::vector<Moved> moved;     // structures of a tail call on their way
  std::vector<Reg> addresses;   // by argument, of those passed by the address of a copy
  std::vector<std::pair<uint32_t, Reg>> stacked;  // of a tail call: everything is read before anything is written
  struct Late {
    Reg reg;
    uint64_t value;
    ValueId v;
    enum : uint8_t { integer, address, zero_fp } kind;
  };
  std::vector<Late> late;       // made in place behind the parallel copy

  // The callee: by reference, or in memory, or in a register
  uint32_t reference = ~0u;
  VMem memory{};
  Reg reg{};
  bool in_memory = false;
  bool thunk = false;           // the register is r11, and the reference a thunk that jumps there
  bool checked = false;         // for its type
};

void Selector::select_call(const Inst& i) {
  const air::CallSite& site = fn_->calls[i.a];
  const bool invoke = i.op == AirOp::invoke, tail = tail_call_ == cur_inst_;
  if (site.inline_asm != ~0u) {
    if (invoke) fail("inline assembly that may throw");
    else select_asm(i);
    return;
  }
  Call call{i, site, convention_of_call(site), {}, invoke, tail};
  if (site.attrs != ~0u) call.attrs = {fn_->param_attrs.data() + site.attrs, site.arg_count};
  call.variadic =
      site.function_type.valid() && (module_->types[site.function_type].vararg || callee_unprototyped(site));
  if (!begin_call(call)) return;
  copy_structure_arguments(call);
  if (!copy_address_arguments(call)) return;
  stack_arguments(call);
  find_callee(call);
  register_arguments(call);
  if (!move_arguments(call)) return;
  if (tail) {
    if (wide_ && std::find(arg_types_.begin(), arg_types_.end(), TypeTable::v256) == arg_types_.end())
      emit(p_clear_uppers, {}, 0, vf::terminator);
    emit_list(p_tail_call | unmarked_callee(call), ops_, call.reference, call.reg.valid() && !call.thunk ? 1 : 0,
              vf::terminator, 0);
    return;
  }
  if (!call_results(call)) return;
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
  const bool must = call.site.flags & air::callflags::musttail;
  if (must && !call.tail)
    return refuse("a musttail call whose arguments or result do not fit those of its function");
  if (must && (fn_->flags & air::function_flags::vararg))
    return refuse("a musttail call that passes variadic arguments on");
  arg_types_.clear();
  for (uint32_t k = 0; k < call.count(); k++) arg_types_.push_back(type_of(argument(call, k)));
  // LLVM passes 256 bits to a variadic function in memory, aligned to 32 bytes; so it does with a ninth one elsewhere.
  const bool wide = std::find(arg_types_.begin(), arg_types_.end(), TypeTable::v256) != arg_types_.end();
  if (wide && call.variadic) return refuse(wide_argument_text);
  if (!assign_arguments(arg_types_, call.attrs, call.convention, call_layout_))
    return refuse(wide ? wide_argument_text : "arguments of more than 2 GiB");
  if (call.site.flags & air::callflags::returns_twice) calls_setjmp_ = true;
  if (call.tail) return true;
  has_calls_ = true;
  outgoing_bytes_ = std::max(outgoing_bytes_, call_layout_.stack_bytes);
  return true;
}

// Copies of structures come first: they may take registers of their own.
void Selector::copy_structure_arguments(Call& call) {
  for (uint32_t k = 0; k < call.count(); k++) {
    const ArgumentPlace& place = call_layout_.places[k];
    if (place.kind != ArgumentPlace::byval) continue;
    VMem to = plain(call.area(), int32_t(place.offset));
    const uint64_t size = call.attrs[k].size;
    if (size == 0) continue;
    if (call.tail) {
      call.moved.push_back({new_slot(size, 4), place.offset, size});
      to = slot_mem(call.moved.back().slot);
    }
    copy_structure(to, address(argument(call, k)), size);
  }
}

// False: it cannot be done.
bool Selector::copy_address_arguments(Call& call) {
  if (!call.convention.by_position) return true;
  call.addresses.resize(call.count());
  for (uint32_t k = 0; k < call.count(); k++) {
    if (!call_layout_.places[k].indirect) continue;
    if (call.tail) return refuse("a musttail call that passes the address of a copy");
    call.addresses[k] = address_of_copy(argument(call, k), k < call.attrs.size() ? call.attrs[k] : air::ParamAttr{});
  }
  return true;
}

// The register of an integer argument, extended as its attributes want it.
Reg Selector::extended_argument(const Call& call, uint32_t k) {
  const ValueId v = argument(call, k);
  const uint16_t bits = call.attributes(k);
  const unsigned width = bits_of(arg_types_[k]);
  if (width < 32 && (bits & air::attr::sext)) return sign_extended(v, 32);
  if (width < 32 && ((bits & air::attr::zext) || width == 1)) return zero_extended(v, 32);
  return reg_of(v);
}

void Selector::stack_arguments(Call& call) {
  auto in_register = [&](uint32_t k) {
    int32_t imm;
    if (call_layout_.places[k].indirect) return call.addresses[k];
    if (arg_types_[k] == TypeTable::f80) return Reg{};
    if (is_fp(arg_types_[k])) return reg_of(argument(call, k));
    return imm32(argument(call, k), imm) ? Reg{} : extended_argument(call, k);
  };
  for (uint32_t k = 0; k < call.count(); k++) {
    if (call_layout_.places[k].kind != ArgumentPlace::memory) continue;
    Reg r = in_register(k);
    if (call.tail) call.stacked.push_back({k, r});
    else put_on_stack(call, k, r);
  }
}

void Selector::put_on_stack(const Call& call, uint32_t k, Reg r) {
  const VMem to = plain(call.area(), int32_t(call_layout_.places[k].offset));
  const TypeId type = arg_types_[k];
  if (call_layout_.places[k].indirect) {
    emit_mem(unsigned(Op::mov64mr), {use(r)}, to);
  } else if (type == TypeTable::f80) {
    load_f80(argument(call, k));
    emit_mem(unsigned(Op::fstp80m), {}, to);
  } else if (int32_t imm; !r.valid() && imm32(argument(call, k), imm)) {
    emit_mem(unsigned(Op::mov64mi), {}, to, uint32_t(imm));
  } else if (is_fp(type)) {
    store_reg(to, type, r);
  } else {
    // What is above a narrow argument is nobody's.
    emit_mem(unsigned(fits_slot(r, 8) ? Op::mov64mr : Op::mov32mr), {use(r)}, to);
  }
}

void Selector::find_callee(Call& call) {
  const ValueId v = call.site.callee;
  const air::Constant* c = fn_->constant(v);
  if (c && (c->kind == ConstantKind::Runtime || (c->kind == ConstantKind::Symbol && c->bits == 0))) {
    call.reference = reference(*c, mir::ReferenceKind::call, 0);
  } else if (fn_->flags & air::function_flags::retpoline_calls) {
    call.reg = reg_of(v);
    call.reference = indirect_thunk();
    call.thunk = true;
  } else if (!call.tail && !(call.site.flags & air::callflags::type_id) && can_fold_load(v, 64)) {
    call.memory = fold_load(v);
    call.in_memory = true;
  } else {
    call.reg = reg_of(v);
  }
  call.checked = call.reg.valid() && (call.site.flags & air::callflags::type_id);
}

// What is made behind the parallel copy, in the register itself: constants and addresses that need no register.
bool Selector::late_argument(Call& call, uint32_t k, Reg p) {
  const bool in_gp = call_layout_.places[k].kind == ArgumentPlace::gp;
  const ValueId v = argument(call, k);
  const air::Constant* c = fn_->constant(v);
  if (c && c->kind == ConstantKind::Undef) {
    // Any value does, but the register has to be defined.
    call.late.push_back({p, 0, v, in_gp ? Call::Late::integer : Call::Late::zero_fp});
    return true;
  }
  int64_t value;
  if (in_gp && int_constant(v, value)) {
    const unsigned width = bits_of(arg_types_[k]);
    uint64_t u = uint64_t(value);
    if (width < 32 && !(call.attributes(k) & air::attr::sext)) u &= (uint64_t{1} << width) - 1;
    call.late.push_back({p, width == 64 ? u : u & 0xffffffff, v, Call::Late::integer});
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
  copies_.clear();
  ops_.clear();
  auto move = [&](Reg to, Reg from) {
    copies_.push_back(def(to));
    copies_.push_back(use(from));
  };
  for (uint32_t k = 0; k < call.count(); k++) {
    const ArgumentPlace& place = call_layout_.places[k];
    if (place.kind != ArgumentPlace::gp && place.kind != ArgumentPlace::sse) continue;
    Reg p{place.kind == ArgumentPlace::gp ? place.reg : fp_base + place.reg};
    ops_.push_back(use(p));
    if (place.indirect) {
      move(p, call.addresses[k]);
      continue;
    }
    if (late_argument(call, k, p)) continue;
    Reg r = place.kind == ArgumentPlace::gp && arg_types_[k] != TypeTable::ptr ? extended_argument(call, k)
                                                                               : reg_of(argument(call, k));
    move(p, r);
    if (call.convention.by_position && call.variadic && place.kind == ArgumentPlace::sse) {
      // The callee looks for it in the general register of its place.
      Reg bits = gp(8), twin{win64_arguments[place.reg]};
      emit(unsigned(Op::movq_rx), {def(bits), use(r)});
      move(twin, bits);
      ops_.push_back(use(twin));
    }
  }
  if (call.reg.valid() && (call.tail || call.thunk || call.checked)) {
    move(Reg{reg::r11}, call.reg);
    if (call.tail || call.thunk) ops_.push_back(use(Reg{reg::r11}));
  }
}

// Arguments to where they belong, directly in front of the call.
bool Selector::move_arguments(Call& call) {
  if (call.checked && std::any_of(call.attrs.begin(), call.attrs.end(),
                                  [](const air::ParamAttr& a) { return a.bits & air::attr::nest; }))
    return refuse("a call that is checked for its type (KCFI) and passes a static chain");
  for (auto& [k, r] : call.stacked) put_on_stack(call, k, r);
  for (const Call::Moved& m : call.moved) copy_structure(plain(call.area(), int32_t(m.to)), slot_mem(m.slot), m.size);
  if (!copies_.empty()) emit_list(p_parallel_copy, copies_, 0, ~0u, vf::parallel_copy, 0);
  for (const Call::Late& l : call.late) {
    if (l.kind == Call::Late::integer) {
      constant_into(l.reg, l.value);
    } else if (l.kind == Call::Late::zero_fp) {
      emit(p_zero_fp, {def(l.reg)});
    } else if (const air::Constant* c = fn_->constant(l.v)) {
      emit(unsigned(Op::lea_ref), {def(l.reg)}, reference(*c, mir::ReferenceKind::direct, int64_t(c->bits)));
    } else {
      emit_mem(unsigned(Op::lea64rm), {def(l.reg)}, slot_mem(slots_[def_of(l.v)->a]));
    }
  }
  if (call.variadic && !call.convention.by_position) {
    constant_into(Reg{reg::rax}, call_layout_.sse_used);
    ops_.push_back(use(Reg{reg::rax}));
  }
  if (call.checked) emit(p_check_type, {use(Reg{reg::r11}), def(Reg{reg::r10})}, call.site.type_id);
  return true;
}

// A function whose callers need no marks is reached by branches that ask for none.
unsigned Selector::unmarked_callee(const Call& call) const {
  const bool indirect = call.reference == ~0u;
  return indirect && marks_targets() && (call.site.flags & air::callflags::no_cf_check) ? unmarked_target : 0;
}

// Where the results are: in result_places_ and leaf_types_, and as definitions in ops_.
bool Selector::call_results(const Call& call) {
  leaf_types_.clear();
  result_places_.clear();
  if (call.inst.type != TypeTable::void_type &&
      (!air::result_leaves(module_->types, call.inst.type, legalize_options(), leaf_types_).ok() ||
       !assign_results(leaf_types_, result_places_)))
    return refuse("a result of this type");
  uint32_t defined = call.invoke ? 1u << reg::rax | 1u << reg::rdx : 0;  // by the unwinder
  for (const ResultPlace& r : result_places_) {
    if (r.kind == ResultPlace::x87) continue;
    ops_.push_back(def(Reg{r.kind == ResultPlace::gp ? r.reg : fp_base + r.reg}));
    if (r.kind == ResultPlace::gp) defined &= ~(1u << r.reg);
  }
  for (uint32_t r : {uint32_t{reg::rax}, uint32_t{reg::rdx}})
    if (defined >> r & 1) ops_.push_back(def(Reg{r}));
  return true;
}

void Selector::emit_call(Call& call) {
  const uint16_t flags = call.site.flags;
  const unsigned marks =
      (personality_ != ~0u && (call.invoke || !(flags & air::callflags::nounwind)) ? may_throw : 0) |
      unmarked_callee(call) | ((flags & air::callflags::returns_twice) && marks_targets() ? returns_again : 0);
  // The unwinder gives a landing pad no more than System V's registers.
  const Clobber own = call.invoke ? clobber_call : call.convention.clobbers;
  const Clobber clobbers = wide_ && own != clobber_call ? clobber_all : own;
  const uint8_t vflags = call.invoke ? vf::terminator : 0;
  // Other conventions keep the lower halves of some vector registers.
  if (wide_ && std::find(arg_types_.begin(), arg_types_.end(), TypeTable::v256) == arg_types_.end())
    emit(p_clear_uppers, {}, 0, vflags);
  // What a terminator reads is read before anything is destroyed.
  auto address_use = [&](Reg r) { return call.invoke ? use(r) : late(r); };
  if (call.in_memory) {
    const VMem& m = call.memory;
    if (m.has_base) ops_.push_back(address_use(m.base));
    if (m.has_index) ops_.push_back(address_use(m.index));
    const uint32_t mem = uint32_t(mems_.size());
    mems_.push_back(m);
    emit_list(unsigned(Op::call64m) | marks, ops_, uint32_t(ops_.size() - m.has_base - m.has_index), mem, vflags,
              clobbers);
  } else if (call.reg.valid() && !call.thunk) {
    // The register of the call is its last operand.
    ops_.push_back(call.checked ? use(Reg{reg::r11}) : address_use(call.reg));
    emit_list(unsigned(Op::call64r) | marks, ops_, 0, ~0u, vflags, clobbers);
  } else {
    emit_list(unsigned(Op::call_ref) | marks, ops_, call.reference, ~0u, vflags, clobbers);
  }
}

// The rest of an invoke's terminator group, and the block on its normal edge if something stands there.
void Selector::end_invoke(const Call& call) {
  const Inst& i = call.inst;
  emit(p_invoke, {}, call.unwind, vf::terminator);
  cur_.back().b = pads_[fn_->edges[i.c].target.value].action;
  const uint32_t normal = fn_->edges[i.b].target.value;
  const bool results = std::any_of(result_places_.begin(), result_places_.end(),
                                   [](const ResultPlace& r) { return r.kind == ResultPlace::x87; }) ||
                       (i.result.valid() && is_wanted(i.result));
  if (!results && !edge_has_copies(i.b)) return jump(normal);
  const uint32_t after = new_block(pending_[cur_block_].frequency);
  jump(after);
  // The edge's copies use the lists that hold the results.
  const std::vector<ResultPlace> places = result_places_;
  const std::vector<TypeId> types = leaf_types_;
  fill_made(after, [&] {
    copy_results(i, call.site, places, types);
    edge_copies(i.b);
    jump(normal);
  });
}

void Selector::copy_results(const Inst& i, const air::CallSite& site, const std::vector<ResultPlace>& places,
                            const std::vector<TypeId>& result_types) {
  // Physical results are copied away; what nobody wants is left where it is.
  uint32_t first = i.result.valid() ? leaf_first_[i.result.value] : ~0u;
  bool single = places.size() == 1 && first == ~0u;
  for (size_t k = 0; k < places.size(); k++) {
    const ResultPlace& r = places[k];
    if (r.kind == ResultPlace::x87) {
      if (single && is_wanted(i.result)) store_f80(i.result);
      else if (first != ~0u && leaves_[first + k].slot)
        emit_mem(unsigned(Op::fstp80m), {}, slot_mem(leaves_[first + k].slot - 1));
      else emit(unsigned(Op::fstp_st0), {});
      continue;
    }
    Reg from{r.kind == ResultPlace::gp ? r.reg : fp_base + r.reg};
    Reg to = single         ? (is_wanted(i.result) ? reg_[i.result.value] : Reg{})
             : first != ~0u ? leaves_[first + k].reg
                            : Reg{};
    if (!to.valid()) continue;
    copy(to, from);
    if (result_types[k] == TypeTable::i1 && !(site.result_attrs & air::attr::zext)) normalize_i1(to);
  }
}

// The function that jumps to r11 without the processor foreseeing where to.
uint32_t Selector::indirect_thunk() {
  const bool external = fn_->flags & air::function_flags::external_thunk;
  return runtime_reference(external ? air::RuntimeFunction::external_indirect_thunk
                                    : air::RuntimeFunction::indirect_thunk);
}

// A call through a type without parameters of a function that is not variadic by type: C's unprototyped calls pass al
// all the same.
bool Selector::callee_unprototyped(const air::CallSite& site) const {
  return module_->types[site.function_type].field_count == 0 && site.arg_count != 0;
}

}  // namespace lode::x86_64
