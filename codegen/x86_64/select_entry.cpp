// The entry and the returns of a function, its variadic arguments, and what it may ask about its own frame. See
// selector.h and abi.h; the caller's side of the convention is in select_call.cpp.
//
// Parameters leave their registers in one parallel copy at the entry, so that the allocator can keep each where it is;
// what is passed in memory is loaded behind it, and of a structure passed by value only the address is taken. A return
// sets the results by one parallel copy before it, unless a tail call in front of it leaves them where they belong
// (Selector::is_tail_call).
#include <algorithm>

#include "codegen/x86_64/selector.h"

namespace lode::x86_64 {

using air::ConstantKind;
using air::Inst;
namespace vf = codegen::vflags;

bool Selector::lay_out_entry() {
  const air::Block& entry = fn_->blocks[0];
  leaf_types_.clear();
  for (uint32_t k = 0; k < entry.param_count; k++) leaf_types_.push_back(fn_->values[entry.first_param + k].type);
  std::span<const air::ParamAttr> attrs(fn_->param_attrs.data(),
                                        std::min<size_t>(fn_->param_attrs.size(), entry.param_count));
  sret_param_ = air::ValueId{};
  for (size_t k = 0; k < attrs.size(); k++)
    if (attrs[k].bits & air::attr::sret) sret_param_ = air::ValueId(entry.first_param + uint32_t(k));
  const bool wide = std::find(leaf_types_.begin(), leaf_types_.end(), TypeTable::v256) != leaf_types_.end();
  if (wide && (fn_->flags & air::function_flags::vararg)) return refuse(wide_argument_text);
  return assign_arguments(leaf_types_, attrs, *convention_, entry_) || (wide_ && refuse(wide_argument_text));
}

// What a function that asks for its variadic arguments does first: those in registers go where its va_list looks for
// them.
void Selector::store_variadic_arguments() {
  auto store_gp = [&](uint8_t reg, const VMem& to) {
    vcode_.entry_defs |= uint64_t{1} << reg;
    emit_mem(unsigned(Op::mov64mr), {use(Reg{reg})}, to);
  };
  if (convention_->by_position) {
    for (unsigned k = entry_.gp_used; k < 4; k++)
      store_gp(win64_arguments[k], plain(Mem::Kind::incoming, int32_t(8 * k)));
    return;
  }
  for (unsigned k = entry_.gp_used; k < 6; k++) store_gp(gp_arguments[k], slot_mem(vararg_slot_, int32_t(8 * k)));
  for (unsigned k = entry_.sse_used; k < 8 && implicit_sse_; k++) {
    vcode_.entry_defs |= uint64_t{1} << (fp_base + k);
    emit_mem(unsigned(Op::movaps_mr), {use(Reg{fp_base + k})}, slot_mem(vararg_slot_, int32_t(48 + 16 * k)));
  }
}

void Selector::select_entry() {
  const air::Block& entry = fn_->blocks[0];
  ops_.clear();
  // Registers first, in one parallel copy; then what lies on the stack.
  if (vararg_slot_ != ~0u) store_variadic_arguments();
  std::vector<Operand> copies;
  std::vector<std::pair<ValueId, Reg>> by_address;
  auto is_byval = [&](uint32_t k) {
    return k < fn_->param_attrs.size() && fn_->param_attrs[k].bits & air::attr::byval;
  };
  for (uint32_t k = 0; k < entry.param_count; k++) {
    ValueId v(entry.first_param + k);
    const ArgumentPlace& place = entry_.places[k];
    if (!is_wanted(v) || (place.kind != ArgumentPlace::gp && place.kind != ArgumentPlace::sse)) continue;
    Reg from{place.kind == ArgumentPlace::gp ? place.reg : fp_base + place.reg};
    vcode_.entry_defs |= uint64_t{1} << from.value;
    Reg to;
    if (place.indirect && !is_byval(k)) {
      to = gp(8);
      by_address.push_back({v, to});
    } else {
      to = result_reg(v);
    }
    copies.push_back(def(to));
    copies.push_back(use(from));
  }
  if (!copies.empty()) emit_list(p_parallel_copy, copies, 0, ~0u, vf::parallel_copy, 0);
  for (uint32_t k = 0; k < entry.param_count; k++) {
    ValueId v(entry.first_param + k);
    const ArgumentPlace& place = entry_.places[k];
    if (!is_wanted(v)) continue;
    TypeId type = type_of(v);
    if (place.kind == ArgumentPlace::byval) {
      lea(result_reg(v), plain(Mem::Kind::incoming, int32_t(place.offset)));
    } else if (place.kind == ArgumentPlace::memory && place.indirect && !is_byval(k)) {
      Reg address = gp(8);
      emit_mem(unsigned(Op::mov64rm), {def(address)}, plain(Mem::Kind::incoming, int32_t(place.offset)));
      by_address.push_back({v, address});
    } else if (place.kind == ArgumentPlace::memory) {
      VMem m = plain(Mem::Kind::incoming, int32_t(place.offset));
      if (type == TypeTable::f80) {
        emit_mem(unsigned(Op::fld80m), {}, m);
        store_f80(v);
      } else {
        load_reg(result_reg(v), type, m);
      }
    }
    bool extended = k < fn_->param_attrs.size() && (fn_->param_attrs[k].bits & air::attr::zext);
    if (type == TypeTable::i1 && !extended) normalize_i1(result_reg(v));
  }
  for (auto& [v, address] : by_address) {
    if (type_of(v) == TypeTable::f80) {
      emit_mem(unsigned(Op::fld80m), {}, reg_mem(address));
      store_f80(v);
    } else {
      load_reg(result_reg(v), type_of(v), reg_mem(address));
    }
  }
  if (canary_slot_ != ~0u) {
    Reg canary = gp(8);
    const VMem source = canary_source();
    emit_mem(unsigned(Op::mov64rm), {def(canary)}, source);
    emit_mem(unsigned(Op::mov64mr), {use(canary)}, slot_mem(canary_slot_));
  }
}

// Where the process keeps the value of its canaries: by default in the thread control block (System V psABI,
// "Thread-local storage"; the C libraries reserve the place).
VMem Selector::canary_source() {
  using Requests = air::ModuleRequests;
  const Requests& r = module_->requests;
  const bool global = r.guard == Requests::Guard::global;
  VMem m;
  if (r.guard_symbol.valid()) {
    const air::Constant c{ConstantKind::Symbol, TypeTable::ptr, r.guard_symbol.value, 0};
    const bool direct = symbol_is_direct(c);
    if (!direct && !global) fail("a stack protector whose value is a symbol of a segment and not of this program");
    if (direct) {
      m.kind = Mem::Kind::symbol;
      m.id = reference(c, mir::ReferenceKind::direct, 0);
    } else {
      m = reg_mem(symbol_address(c));
    }
  } else if (global) {
    Reg address = gp(8);
    emit(unsigned(Op::lea_ref), {def(address)},
         writer_->add_reference(context_->runtime[unsigned(air::RuntimeFunction::stack_chk_guard)], 0,
                                mir::ReferenceKind::got));
    m = reg_mem(address);
  } else {
    m = plain(Mem::Kind::absolute, r.guard_offset);
  }
  if (!global) m.segment = uint8_t(r.guard_segment == Requests::GuardSegment::gs ? Segment::gs : Segment::fs);
  return m;
}

void Selector::select_va_start(const Inst& i) {
  if (convention_->by_position) {
    vararg_slot_ = 0;  // none: the caller has left the place
    Reg area = gp(8);
    lea(area, plain(Mem::Kind::incoming, int32_t(entry_.gp_used < 4 ? 8u * entry_.gp_used : entry_.stack_end)));
    emit_mem(unsigned(Op::mov64mr), {use(area)}, address(i.va()));
    return;
  }
  if (vararg_slot_ == ~0u) vararg_slot_ = new_slot(implicit_sse_ ? 176 : 48, 4);
  VMem list = address(i.va());
  Reg area = gp(8), save = gp(8);
  emit_mem(unsigned(Op::mov32mi), {}, list, entry_.gp_used * 8u);
  emit_mem(unsigned(Op::mov32mi), {}, offset(list, 4), 48 + entry_.sse_used * 16u);
  lea(area, plain(Mem::Kind::incoming, int32_t(entry_.stack_end)));
  emit_mem(unsigned(Op::mov64mr), {use(area)}, offset(list, 8));
  lea(save, slot_mem(vararg_slot_));
  emit_mem(unsigned(Op::mov64mr), {use(save)}, offset(list, 16));
}

// ---- returns --------------------------------------------------------------------------------------------------------

void Selector::select_return(const Inst& i) {
  uint32_t n = fn_->extra[i.a];
  const uint32_t* values = fn_->extra.data() + i.a + 1;
  if (const uint32_t call = call_before_return(); call != ~0u && is_tail_call(call, i)) {
    tail_call_ = call;
    return;
  }
  leaf_types_.clear();
  for (uint32_t k = 0; k < n; k++) leaf_types_.push_back(type_of(ValueId(values[k])));
  std::vector<ResultPlace>& places = result_places_;
  if (!assign_results(leaf_types_, places)) {
    fail("a result of this type");
    return;
  }
  // x87 results: st0 is the first, so the last is pushed first.
  for (uint32_t k = n; k-- > 0;)
    if (places[k].kind == ResultPlace::x87) load_f80(ValueId(values[k]));
  copies_.clear();
  ops_.clear();
  std::vector<std::pair<Reg, uint64_t>> constants;
  for (uint32_t k = 0; k < n; k++) {
    const ResultPlace& r = places[k];
    if (r.kind == ResultPlace::x87) continue;
    ValueId v(values[k]);
    Reg p{r.kind == ResultPlace::gp ? r.reg : fp_base + r.reg};
    const air::Constant* c = fn_->constant(v);
    if (c && c->kind == ConstantKind::Undef) continue;
    ops_.push_back(use(p));
    returns_rcx_ |= p == Reg{1};
    unsigned width = r.kind == ResultPlace::gp ? bits_of(type_of(v)) : 0;
    int64_t value;
    if (r.kind == ResultPlace::gp && int_constant(v, value)) {
      uint64_t u = uint64_t(value);
      if (width < 32 && !(fn_->result_attrs & air::attr::sext)) u &= (uint64_t{1} << width) - 1;
      constants.push_back({p, width == 64 ? u : u & 0xffffffff});
      continue;
    }
    Reg from;
    if (width && width < 32 && (fn_->result_attrs & air::attr::sext)) from = sign_extended(v, 32);
    else if (width && width < 32 && ((fn_->result_attrs & air::attr::zext) || width == 1)) from = zero_extended(v, 32);
    else from = reg_of(v);
    copies_.push_back(def(p));
    copies_.push_back(use(from));
  }
  // Where the convention keeps rax, callers take it to be kept here too: LLVM makes no exception for the address.
  if (sret_param_.valid() && n == 0 && !(convention_->saved & 1)) {
    Reg rax{0};
    copies_.push_back(def(rax));
    copies_.push_back(use(reg_of(sret_param_)));
    ops_.push_back(use(rax));
  }
  if (!copies_.empty()) emit_list(p_parallel_copy, copies_, 0, ~0u, vf::parallel_copy, 0);
  for (auto& [r, value] : constants) constant_into(r, value);
  const auto x87 =
      std::count_if(places.begin(), places.end(), [](const ResultPlace& r) { return r.kind == ResultPlace::x87; });
  if (wide_ && std::find(leaf_types_.begin(), leaf_types_.end(), TypeTable::v256) == leaf_types_.end())
    emit(p_clear_uppers, {}, 0, vf::terminator);
  emit_list(p_return, ops_, uint32_t(x87), ~0u, vf::terminator, 0);
}

// ---- frames and what has no other place -----------------------------------------------------------------------------

void Selector::select_misc(const Inst& i) {
  switch (i.op) {
    case AirOp::return_address: {
      Reg dst = result_reg(i.result);
      if (i.a == 0) {
        emit_mem(unsigned(Op::mov64rm), {def(dst)}, plain(Mem::Kind::incoming, -8));
        return;
      }
      Reg r = frame_of(i.a);
      emit_mem(unsigned(Op::mov64rm), {def(dst)}, reg_mem(r, 8));
      return;
    }
    case AirOp::frame_address: copy(result_reg(i.result), frame_of(i.a)); return;
    case AirOp::thread_pointer: {
      VMem m = plain(Mem::Kind::absolute, 0);
      m.segment = uint8_t(Segment::fs);
      emit_mem(unsigned(Op::mov64rm), {def(result_reg(i.result))}, m);
      return;
    }
    case AirOp::read_cycle_counter: {
      Reg rax{0}, rdx{2}, low = gp(8), high = gp(8), dst = result_reg(i.result);
      emit(unsigned(Op::rdtsc), {def(rax), def(rdx)});
      copy(low, rax);
      copy(high, rdx);
      emit_imm(unsigned(Op::shl64ri), {mod(high)}, 32);
      copy(dst, low);
      emit(unsigned(Op::or64rr), {mod(dst), use(high)});
      return;
    }
    case AirOp::debug_trap: emit(unsigned(Op::int3), {}); return;
    case AirOp::eh_sjlj_setjmp: select_setjmp(i); return;
    case AirOp::eh_sjlj_longjmp: {
      Reg buffer = reg_of(i.va()), rcx{1}, rax{0};
      copy(rcx, buffer);
      emit(p_longjmp, {use(rcx), def_early(rax)});
      return;
    }
    default: fail("not supported on x86_64"); return;
  }
}

// __builtin_setjmp. The front end has stored the frame pointer in the buffer's first word and the stack pointer in its
// third; this stores where to go on in its second. The jump comes back with those two registers and nothing else: the
// instruction clobbers all others, so that what lives across it is in the frame, and the function saves all that its
// caller wants preserved.
void Selector::select_setjmp(const Inst& i) {
  calls_setjmp_ = builtin_setjmp_ = frame_pointer_ = true;
  Reg buffer = reg_of(i.va()), rax{0};
  emit(p_setjmp, {def_early(rax), use(buffer)}, 0, 0, clobber_all);
  if (is_wanted(i.result)) copy(result_reg(i.result), rax);
  else emit(p_nothing, {use(rax)});
}

// The frame address of the caller `level` up: frame pointers are followed, as the builtin says.
Reg Selector::frame_of(uint32_t level) {
  frame_pointer_ = true;
  Reg r = gp(8);
  emit(p_frame_address, {def(r)});
  for (uint32_t k = 0; k < level; k++) {
    Reg up = gp(8);
    emit_mem(unsigned(Op::mov64rm), {def(up)}, reg_mem(r));
    r = up;
  }
  return r;
}

}  // namespace lode::x86_64
