// The entry and the returns of a function, its variadic arguments, and what it may ask about its own frame. See
// selector.h and abi.h; the caller's side of the convention is in select_call.cpp.
//
// Parameters leave their registers in one parallel copy at the entry, so that the allocator can keep each where it is;
// what is passed in memory is loaded behind it. A variadic function stores the argument registers that it has no
// parameters for directly below the arguments on the stack, so that all of them are one row, which its va_list walks
// through. A return sets the results by one parallel copy before it, unless a tail call in front of it leaves them
// where they belong (Selector::is_tail_call).
#include <algorithm>

#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::ConstantKind;
using air::Inst;
namespace vf = codegen::vflags;

bool Selector::lay_out_entry() {
  find_known();
  const air::Block& entry = fn_->blocks[0];
  leaf_types_.clear();
  for (uint32_t k = 0; k < entry.param_count; k++) leaf_types_.push_back(fn_->values[entry.first_param + k].type);
  std::span<const air::ParamAttr> attrs(fn_->param_attrs.data(),
                                        std::min<size_t>(fn_->param_attrs.size(), entry.param_count));
  return assign_arguments(leaf_types_, attrs, ~0u, entry_);
}

void Selector::select_entry() {
  const air::Block& entry = fn_->blocks[0];
  if (stores_variadic_)
    for (unsigned k = entry_.gp_used; k < argument_registers; k++) {
      Reg r{reg::a0 + k};
      vcode_.entry_defs |= uint64_t{1} << r.value;
      store_mem(Op::sd, {r}, plain(Mem::Kind::incoming, 8 * int32_t(k) - 64));
    }
  std::vector<Operand> copies;
  std::vector<std::pair<ValueId, Reg>> moved;  // floating-point values that came in integer registers
  for (uint32_t k = 0; k < entry.param_count; k++) {
    const ValueId v(entry.first_param + k);
    const ArgumentPlace& place = entry_.places[k];
    if (!is_wanted(v) || place.kind == ArgumentPlace::memory) continue;
    vcode_.entry_defs |= uint64_t{1} << place.reg;
    Reg to = result_reg(v);
    if (is_fp(type_of(v)) && place.kind == ArgumentPlace::gp) {
      to = gp(8);
      moved.push_back({v, to});
    }
    copies.push_back(def(to));
    copies.push_back(use(Reg{place.reg}));
  }
  if (!copies.empty()) emit_list(p_parallel_copy, copies, 0, ~0u, vf::parallel_copy, 0);
  for (auto& [v, bits] : moved) move_bits(result_reg(v), bits, type_of(v));
  for (uint32_t k = 0; k < entry.param_count; k++) {
    const ValueId v(entry.first_param + k);
    const ArgumentPlace& place = entry_.places[k];
    if (!is_wanted(v)) continue;
    const uint16_t bits = k < fn_->param_attrs.size() ? fn_->param_attrs[k].bits : 0;
    if (place.kind == ArgumentPlace::memory) {
      // The whole cell, so that what the attributes promise holds of the register.
      const VMem m = plain(Mem::Kind::incoming, int32_t(place.offset));
      if (is_fp(type_of(v))) load_reg(result_reg(v), type_of(v), m);
      else load_mem(Op::ld, result_reg(v), m);
    }
    if (type_of(v) == TypeTable::i1 && !(bits & air::attr::zext))
      push(unsigned(Op::andi), {def(result_reg(v)), use(result_reg(v))}, 1);
  }
  if (canary_slot_ != ~0u) {
    Reg canary = gp(8);
    load_mem(Op::ld, canary, reg_mem(canary_address()));
    store_mem(Op::sd, {canary}, slot_mem(canary_slot_));
  }
}

// The stack protectors' value is a variable of the C library, or the one that the module names.
Reg Selector::canary_address() {
  const air::ModuleRequests& q = module_->requests;
  if (q.guard_symbol.valid()) return symbol_address({ConstantKind::Symbol, TypeTable::ptr, q.guard_symbol.value, 0});
  Reg address = gp(8);
  push(unsigned(Op::lea_ref), {def(address)},
       writer_->add_reference(context_->runtime[unsigned(air::RuntimeFunction::stack_chk_guard)], 0,
                              mir::ReferenceKind::got));
  return address;
}

void Selector::branch_if_canary_damaged(uint32_t then, uint32_t otherwise) {
  Reg now = gp(8), kept = gp(8);
  load_mem(Op::ld, now, reg_mem(canary_address()));
  load_mem(Op::ld, kept, slot_mem(canary_slot_));
  Test t;
  t.x = {now}, t.y = {kept};
  branch(t, then, otherwise);
}

void Selector::select_va_start(const Inst& i) {
  stores_variadic_ = entry_.gp_used < argument_registers;
  const int32_t first = stores_variadic_ ? 8 * int32_t(entry_.gp_used) - 64 : int32_t(entry_.stack_end);
  Reg area = gp(8);
  load_mem(Op::lea, area, plain(Mem::Kind::incoming, first));
  store_mem(Op::sd, {area}, address(i.va()));
}

// ---- returns --------------------------------------------------------------------------------------------------------

void Selector::select_return(const Inst& i) {
  const uint32_t n = fn_->extra[i.a];
  const uint32_t* values = fn_->extra.data() + i.a + 1;
  if (const uint32_t call = call_before_return(); call != ~0u && is_tail_call(call, i)) {
    tail_call_ = call;
    return;
  }
  leaf_types_.clear();
  for (uint32_t k = 0; k < n; k++) leaf_types_.push_back(type_of(ValueId(values[k])));
  const std::vector<TypeId> types = leaf_types_;
  if (!assign_results(types, result_places_)) return fail("a result of this type");
  std::vector<Operand> copies, ops;
  std::vector<std::pair<Reg, int64_t>> constants;
  for (uint32_t k = 0; k < n; k++) {
    const ValueId v(values[k]);
    Reg p{result_places_[k]};
    const air::Constant* c = fn_->constant(v);
    if (c && c->kind == ConstantKind::Undef) continue;
    ops.push_back(use(p));
    const bool fp_type = is_fp(types[k]);
    const unsigned width = fp_type ? 64 : bits_of(types[k]);
    const bool zeroes = width < 64 && (width == 1 || (fn_->result_attrs & air::attr::zext));
    const bool signs = width < 64 && (fn_->result_attrs & air::attr::sext);
    int64_t value;
    if (!fp_type && int_constant(v, value)) {
      if (width == 1 && signs) value = -value;
      else if (zeroes && !signs) value &= int64_t((uint64_t{1} << width) - 1);
      constants.push_back({p, value});
      continue;
    }
    Reg from = signs ? sign_extended(v) : zeroes ? zero_extended(v) : reg_of(v);
    if (fp_type && p.value < fp_base) {
      Reg bits = gp(8);
      move_bits(bits, from, types[k]);
      from = bits;
    }
    copies.push_back(def(p));
    copies.push_back(use(from));
  }
  if (!copies.empty()) emit_list(p_parallel_copy, copies, 0, ~0u, vf::parallel_copy, 0);
  for (auto& [r, value] : constants) constant_into(r, value);
  emit_list(p_return, ops, 0, ~0u, vf::terminator, 0);
}

// ---- frames and what has no other place -----------------------------------------------------------------------------

void Selector::select_misc(const Inst& i) {
  switch (i.op) {
    case AirOp::return_address:  // below the frame address, as is the caller's frame address
      return load_mem(Op::ld, result_reg(i.result), reg_mem(frame_of(i.a), -8));
    case AirOp::frame_address: return copy(result_reg(i.result), frame_of(i.a));
    case AirOp::thread_pointer: return push(p_thread_pointer, {def(result_reg(i.result))});
    case AirOp::read_cycle_counter:
      return push(unsigned(Op::csrrs), {def(result_reg(i.result))}, 0xc00);
    case AirOp::debug_trap: return push(unsigned(Op::ebreak), {});
    default: return fail("not supported on riscv64");
  }
}

// The frame address of the caller `level` up: frame pointers are followed, as the builtin says.
Reg Selector::frame_of(uint32_t level) {
  frame_pointer_ = true;
  Reg r = gp(8);
  push(p_frame_address, {def(r)});
  for (uint32_t k = 0; k < level; k++) {
    Reg up = gp(8);
    load_mem(Op::ld, up, reg_mem(r, -16));
    r = up;
  }
  return r;
}

}  // namespace lode::riscv64
