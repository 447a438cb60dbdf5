// The functions of Selection (selection.h). Included by one file of each machine, which instantiates them.
//
// Here: the walk over blocks and instructions, what values and symbols are to a machine, and plain edges. What splits
// blocks or adds some (indirect branches, switches, exceptions) is in selection_control.h.
#pragma once

#include <algorithm>

#include "base/bytes.h"
#include "base/stage_times.h"
#include "codegen/native/selection.h"
#include "codegen/native/selection_control.h"

namespace lode::codegen {

// ---- emission ------------------------------------------------------------------------------------------------------

template <class M, class W>
void Selection<M, W>::emit_list(unsigned op, const std::vector<Operand>& ops, uint32_t a, uint32_t b, uint8_t flags,
                                uint8_t clobbers) {
  VInst v;
  v.op = uint16_t(op);
  v.flags = uint8_t(flags | clobbers);
  v.operands = uint32_t(vcode_.operands.size());
  v.a = a;
  v.b = b;
  if (ops.size() < 255) {
    v.operand_count = uint8_t(ops.size());
  } else {
    v.operand_count = 255;
    vcode_.operands.push_back(Operand{uint32_t(ops.size())});
  }
  vcode_.operands.insert(vcode_.operands.end(), ops.begin(), ops.end());
  cur_.push_back(v);
}

template <class M, class W>
void Selection<M, W>::flush() {
  buffer_.insert(buffer_.end(), cur_.rbegin(), cur_.rend());
  cur_.clear();
  if (located_) [[unlikely]] buffer_locations_.resize(buffer_.size(), location());
}

template <class M, class W>
void Selection<M, W>::fail(const char* what) {
  if (!failure_.empty()) return;
  failure_ = std::string("instruction '") +
             (cur_inst_ < fn_->insts.size() ? air::info(fn_->insts[cur_inst_].op).name : "entry") + "': " + what;
}

// ---- the walk ------------------------------------------------------------------------------------------------------

template <class M, class W>
void Selection<M, W>::prepare() {
  const air::Function& f = *fn_;
  machine().reset();
  vcode_.clear();
  buffer_.clear();
  made_.clear();
  cur_.clear();
  located_ = f.subprogram != 0 && context_->options.debug;
  buffer_locations_.clear();
  made_locations_.clear();
  places_met_.clear();
  marks_.clear();
  tables_.clear();
  table_targets_.clear();
  leaves_.clear();
  failure_.clear();
  outgoing_bytes_ = 0;
  has_calls_ = dynamic_frame_ = calls_setjmp_ = builtin_setjmp_ = false;
  frame_pointer_ = false;
  max_dynamic_align_ = 16;
  max_slot_align_log2_ = 0;
  tail_call_ = ~0u;
  canary_slot_ = canary_failure_ = ~0u;

  count_uses(f, uses_, epoch_, block_of_);
  reg_.assign(f.values.size(), Reg{});
  home_.assign(f.values.size(), 0);
  leaf_first_.assign(f.values.size(), ~0u);
  flow_.run(f);
  pending_.clear();
  pending_.resize(f.blocks.size());
  for (uint32_t b = 0; b < f.blocks.size(); b++) pending_[b].frequency = flow_.frequency[b];
  prepare_indirect_branches();
  place_slots();
  prepare_exceptions();
}

template <class M, class W>
void Selection<M, W>::place_slots() {
  const air::Function& f = *fn_;
  slots_.clear();
  protection_.run(f, module_->types);
  sharing_.run(f, protection_.zones);
  auto zone = [&](uint32_t s) { return protection_.zones.empty() ? SlotZone::rest : protection_.zones[s]; };
  for (uint32_t s = 0; s < f.slots.size(); s++)
    slots_.push_back(sharing_.place[s] == s ? new_slot(sharing_.slots[s].size, sharing_.slots[s].align_log2, zone(s))
                                            : ~0u);
  for (uint32_t s = 0; s < f.slots.size(); s++) slots_[s] = slots_[sharing_.place[s]];
  if (protection_.needed) canary_slot_ = new_slot(8, 3, SlotZone::canary);
}

template <class M, class W>
uint32_t Selection<M, W>::new_slot(uint64_t size, unsigned align_log2, SlotZone zone) {
  if (size > 0x7fffffff || align_log2 > 28) {
    fail("a local of more than 2 GiB");
    size = 8;
  }
  if (align_log2 > max_slot_align_log2_) max_slot_align_log2_ = align_log2;
  return writer_->add_slot(uint32_t(size), 1u << align_log2, zone);
}

template <class M, class W>
Result<void> Selection<M, W>::run(air::Function& fn, const LowerContext& context, mir::FunctionDraft& out) {
  fn_ = &fn;
  context_ = &context;
  module_ = context.module;
  out.clear();
  out.symbol = context.symbols[fn.symbol.value];
  auto where = [&] { return "function '" + std::string(module_->name_of(fn.symbol)) + "'"; };
  if (!(fn.flags & air::function_flags::legal)) {
    StageClock clock(Stage::legalize);
    LODE_TRY(air::legalize(fn, *module_, machine().legalize_options()));
  }
  StageClock clock(Stage::select);
  writer_.emplace(out);
  prepare();
  if (!failure_.empty()) return error_at(where(), failure_);
  const bool placed = machine().lay_out_entry();
  if (!failure_.empty()) return error_at(where(), failure_);
  if (!placed) return error_at(where(), "parameters of more than 2 GiB");

  const auto& order = flow_.rpo;
  for (size_t k = order.size(); k-- > 0;) {
    select_block(order[k]);
    if (!failure_.empty()) return error_at(where(), failure_);
  }
  fill_shared_landings();
  fill_canary_failure();
  assemble_blocks();
  if (located_) [[unlikely]] make_marks();
  if (!failure_.empty()) return error_at(where(), failure_);
  clock.stop();
  Result<void> done = machine().finish(out);
  if (!done.ok()) return done.take_error().at(where());
  return {};
}

// Marks, nops and calls ahead of the prologue.
template <class M, class W>
EntryRecord Selection<M, W>::entry_surroundings() {
  const air::Requests& q = fn_->requests;
  EntryRecord e;
  if (marks_targets() && !(fn_->flags & air::function_flags::no_cf_check)) e.flags |= EntryRecord::marked;
  e.prefix = q.patchable_prefix;
  e.nops = q.patchable_entry;
  if (fn_->flags & air::function_flags::type_id) {
    e.flags |= EntryRecord::has_type_id;
    e.type_id = q.type_id;
    e.prefix = module_->requests.type_id_offset;
  }
  if (q.fentry.valid())
    e.fentry = writer_->add_reference(context_->symbols[q.fentry.value], 0, mir::ReferenceKind::call);
  if (e.prefix > EntryRecord::most_nops || e.nops > EntryRecord::most_nops)
    fail("an entry with more than 64 KiB to be patched");
  return e;
}

template <class M, class W>
void Selection<M, W>::select_block(uint32_t b) {
  const air::Block& block = fn_->blocks[b];
  cur_block_ = b;
  pending_[b].begin = uint32_t(buffer_.size());
  uint32_t place = 0;
  if (located_) [[unlikely]] {
    const auto& places = fn_->debug_places;
    place = uint32_t(std::partition_point(places.begin(), places.end(),
                                          [&](const air::DebugPlace& p) {
                                            return p.inst < block.first_inst + block.inst_count;
                                          }) -
                     places.begin());
  }
  for (uint32_t k = block.first_inst + block.inst_count; k-- > block.first_inst;) {
    if (place) [[unlikely]] meet_places(place, block.first_inst, k + 1);
    cur_inst_ = k;
    const air::Inst& i = fn_->insts[k];
    uint8_t t = air::info(i.op).traits;
    // Pure instructions and plain loads that nobody asked for do not exist.
    if (!(t & (air::traits::Write | air::traits::Effect | air::traits::Term)) &&
        !(i.result.valid() && is_wanted(i.result)) && !(i.op == air::Op::load && epoch_[k] != next_epoch(k)))
      continue;
    const size_t before = buffer_.size();
    machine().select_inst(i);
    flush();
    if (!failure_.empty()) return;
    if (canary_slot_ != ~0u && ends_protected(i, before)) check_canary(b);
  }
  if (place) [[unlikely]] meet_places(place, block.first_inst, block.first_inst);
  if (b == 0) {
    cur_inst_ = ~0u;
    machine().select_entry();
    flush();
  }
  pending_[b].end = uint32_t(buffer_.size());
}

// ---- tail calls -----------------------------------------------------------------------------------------------------

// The call may stand before the extracts of its result that the return lists, and before the ends of slots' lifetimes.
template <class M, class W>
uint32_t Selection<M, W>::call_before_return() const {
  const uint32_t first = fn_->blocks[cur_block_].first_inst;
  uint32_t before = cur_inst_;
  auto between = [](air::Op op) { return op == air::Op::extract || op == air::Op::lifetime_end; };
  while (before > first && between(fn_->insts[before - 1].op)) before--;
  return before > first ? before - 1 : ~0u;
}

// The call asks to be a tail call, and its results are those of the return, in their places and extended as its
// callers expect.
template <class M, class W>
bool Selection<M, W>::hands_result_on(const air::Inst& call, const air::Inst& ret) {
  const air::CallSite& site = fn_->calls[call.a];
  if (!(site.flags & (air::callflags::tail | air::callflags::musttail)) ||
      (site.flags & air::callflags::returns_twice) || site.inline_asm != ~0u)
    return false;
  const uint32_t n = fn_->extra[ret.a];
  const uint32_t* values = fn_->extra.data() + ret.a + 1;
  if (n == 0) return true;
  if (!call.result.valid()) return false;
  leaf_types_.clear();
  if (!air::result_leaves(module_->types, call.type, machine().legalize_options(), leaf_types_).ok() ||
      leaf_types_.size() != n)
    return false;
  if (n != 1 || ValueId(values[0]) != call.result) {
    for (uint32_t k = 0; k < n; k++) {
      const air::Inst* e = def_of(ValueId(values[k]));
      if (!e || e->op != air::Op::extract || e->va() != call.result || fn_->extra[e->b + 1] != k) return false;
    }
  }
  const uint16_t extension = air::attr::zext | air::attr::sext;
  return !((fn_->result_attrs & extension) & ~(site.result_attrs & extension));
}

// ---- stack protector: codegen/native/stack_protection.h -------------------------------------------------------------
//
// The canary is checked before each return and each tail call, and before calls that do not return but may unwind (a
// throw), because unwinding trusts what lies above the canary. Not before calls that end the process: that is LLVM's
// rule too.

template <class M, class W>
bool Selection<M, W>::ends_protected(const air::Inst& i, size_t selected_before) {
  if (i.op == air::Op::ret) return buffer_.size() != selected_before;  // else a tail call returns
  if (i.op != air::Op::call && i.op != air::Op::invoke) return false;
  if (cur_inst_ == tail_call_) return true;
  const uint16_t flags = fn_->calls[i.a].flags;
  return (flags & air::callflags::noreturn) && !(flags & air::callflags::nounwind);
}

// What has been selected of the block at hand moves to a block of its own, which is reached when the canary is whole.
template <class M, class W>
void Selection<M, W>::check_canary(uint32_t b) {
  const uint32_t first = pending_[b].first_made, last = pending_[b].last_made;
  const uint32_t after = uint32_t(pending_.size());
  pending_.push_back({uint32_t(made_.size()), 0, pending_[b].frequency, ~0u, ~0u, first});
  made_.insert(made_.end(), buffer_.rbegin(), buffer_.rend() - ptrdiff_t(pending_[b].begin));
  pending_[after].end = uint32_t(made_.size());
  buffer_.resize(pending_[b].begin);
  if (located_) {
    for (PlaceMet& p : places_met_)
      if (p.block == b && !p.counted) p = {p.place, after, uint32_t(buffer_locations_.size()) - p.at, true};
    made_locations_.insert(made_locations_.end(), buffer_locations_.rbegin(),
                           buffer_locations_.rend() - ptrdiff_t(pending_[b].begin));
    buffer_locations_.resize(pending_[b].begin);
  }
  pending_[b].first_made = after;
  pending_[b].last_made = first == ~0u ? after : last;
  if (canary_failure_ == ~0u) {
    canary_failure_ = uint32_t(pending_.size());
    pending_.push_back({});
    pending_.back().frequency = 1.0f / 65536;
  }
  machine().branch_if_canary_damaged(canary_failure_, after);
  flush();
}

// Behind everything else.
template <class M, class W>
void Selection<M, W>::fill_canary_failure() {
  if (canary_failure_ == ~0u) return;
  Pending& source = pending_[flow_.order.back()];
  (source.first_made == ~0u ? source.first_made : pending_[source.last_made].next_made) = canary_failure_;
  source.last_made = canary_failure_;
  cur_inst_ = ~0u;
  fill_made(canary_failure_, [&] {
    machine().call_runtime(air::RuntimeFunction::stack_chk_fail, {}, {}, Reg{});
    push(p_unreachable, {}, 0, vflags::terminator);
  });
}

template <class M, class W>
uint32_t Selection<M, W>::runtime_reference(air::RuntimeFunction f) {
  return writer_->add_reference(context_->runtime[unsigned(f)], 0, mir::ReferenceKind::call);
}

template <class M, class W>
uint32_t Selection<M, W>::next_epoch(uint32_t k) const {
  // A volatile or atomic load raises the epoch behind it; it is never the last instruction of a block.
  return k + 1 < epoch_.size() ? epoch_[k + 1] : epoch_[k];
}

// ---- blocks in layout order ----------------------------------------------------------------------------------------

template <class M, class W>
uint32_t Selection<M, W>::new_block(float frequency, uint32_t behind) {
  Pending p;
  p.frequency = frequency;
  p.begin = p.end = uint32_t(made_.size());
  uint32_t id = uint32_t(pending_.size());
  pending_.push_back(p);
  // In order of creation.
  Pending& source = pending_[behind == ~0u ? cur_block_ : behind];
  (source.first_made == ~0u ? source.first_made : pending_[source.last_made].next_made) = id;
  source.last_made = id;
  return id;
}

// Behind a block that was made for the AIR block at hand, or behind that one itself: ahead of all others made for it.
template <class M, class W>
uint32_t Selection<M, W>::new_block_after(uint32_t at, float frequency) {
  Pending p;
  p.frequency = frequency;
  p.begin = p.end = uint32_t(made_.size());
  uint32_t& link = at == cur_block_ ? pending_[at].first_made : pending_[at].next_made;
  const uint32_t id = uint32_t(pending_.size());
  p.next_made = link;
  link = id;
  if (p.next_made == ~0u) pending_[cur_block_].last_made = id;
  pending_.push_back(p);
  return id;
}

// Numbers of pending blocks become those of VBlocks, which are the successors of the instruction's block.
template <class M, class W>
inline void Selection<M, W>::resolve_targets(VInst& v, uint32_t first_successor) {
  const unsigned op = v.op & op_mask;
  if (op < pseudo_first) return;
  auto target = [&](uint32_t& t) {
    t = final_number_[t];
    vcode_.successors.push_back(t);
  };
  if (op == p_jump || op == p_invoke) {
    target(v.a);
  } else if (op == p_label_address) {
    v.a = final_number_[landing(v.a)];
  } else if (M::branches_both_ways(op)) {
    target(v.a);
    target(v.b);
  } else if (op == p_jump_table || op == p_indirect_jump || M::jumps_by_table(op)) {
    const JumpTable& t = tables_[v.a];
    for (uint32_t j = 0; j < t.count; j++) target(table_targets_[t.first + j]);
    auto& successors = vcode_.successors;
    std::sort(successors.begin() + first_successor, successors.end());
    successors.erase(std::unique(successors.begin() + first_successor, successors.end()), successors.end());
  }
}

template <class M, class W>
void Selection<M, W>::assemble_blocks() {
  final_number_.assign(pending_.size(), ~0u);
  vcode_.insts.clear();
  vcode_.blocks.clear();
  std::vector<uint32_t>& order = layout_;
  order.clear();
  for (uint32_t b : flow_.order)
    for (uint32_t p = b; p != ~0u; p = p == b ? pending_[b].first_made : pending_[p].next_made) {
      final_number_[p] = uint32_t(order.size());
      order.push_back(p);
    }
  for (uint32_t p : order) {
    VBlock block;
    block.first_inst = uint32_t(vcode_.insts.size());
    const Pending& pending = pending_[p];
    if (p < fn_->blocks.size())
      for (uint32_t k = pending.end; k-- > pending.begin;) vcode_.insts.push_back(buffer_[k]);
    else vcode_.insts.insert(vcode_.insts.end(), made_.begin() + pending.begin, made_.begin() + pending.end);
    block.inst_count = uint32_t(vcode_.insts.size()) - block.first_inst;
    if (located_) {
      auto& out = vcode_.locations;
      if (p < fn_->blocks.size())
        for (uint32_t k = pending.end; k-- > pending.begin;) out.push_back(buffer_locations_[k]);
      else
        out.insert(out.end(), made_locations_.begin() + pending.begin, made_locations_.begin() + pending.end);
    }
    block.frequency = pending.frequency;
    block.succs = uint32_t(vcode_.successors.size());
    for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++)
      resolve_targets(vcode_.insts[k], block.succs);
    block.succ_count = uint32_t(vcode_.successors.size()) - block.succs;
    vcode_.blocks.push_back(block);
  }
}

// ---- debug information ---------------------------------------------------------------------------------------------
//
// Places say what a variable is from an instruction on. They ask for nothing: code is the same without them. What is in
// no register because nobody reads it any more is unknown from there on.

// The places of the block at hand at instruction `inst` or behind it. `next`: those from there on have been met.
template <class M, class W>
void Selection<M, W>::meet_places(uint32_t& next, uint32_t first, uint32_t inst) {
  const auto& places = fn_->debug_places;
  for (; next && places[next - 1].inst >= inst && places[next - 1].inst >= first; next--)
    places_met_.push_back({next - 1, cur_block_, uint32_t(buffer_.size())});
}

template <class M, class W>
bool Selection<M, W>::mark_of(const air::DebugPlace& p, uint32_t block, DebugMark& out) {
  using Place = air::DebugPlace;
  out.variable = p.variable;
  out.inlined_at = p.inlined_at;
  out.expression = p.expression;
  out.part_offset = p.part_offset;
  out.part_size = p.part_size;
  if (p.kind == Place::slot) return false;  // everywhere: Finalization::write_debug()
  out.kind = p.kind == Place::address ? DebugRange::memory : DebugRange::reg;
  if (p.kind == Place::undefined) return true;
  uint64_t offset;
  if (p.kind == Place::address && machine().incoming_place(p.operand, offset)) return false;
  out.payload = p.bits;
  out.known = true;
  if (p.kind == Place::constant) {
    out.kind = DebugRange::constant;
    return true;
  }
  const ValueId v = alias_of(ValueId(p.operand));
  if (const air::Constant* c = fn_->constant(v)) {
    out.kind = DebugRange::constant;
    out.known = p.kind == Place::value && c->kind == air::ConstantKind::Int;
    if (out.known) out.payload = uint64_t(sign_extend(c->bits, module_->types[c->type].bits));
    return true;
  }
  if (const air::Inst* i = def_of(v); i && i->op == air::Op::slot_addr && p.kind == Place::value) {
    out.kind = DebugRange::slot_address;
    out.payload = slots_[i->a];
    return true;
  }
  const air::Value& x = fn_->values[v.value];
  out.at_block_start = x.kind() == air::ValueKind::Param && block == x.index() && block != 0 &&
                       p.inst == fn_->blocks[block].first_inst;
  out.reg = reg_[v.value];
  if (const air::Inst* i = def_of(v); i && i->op == air::Op::extract) {
    const uint32_t first = leaf_first_[i->a];
    out.reg = first == ~0u ? Reg{} : leaves_[first + fn_->extra[i->b + 1]].reg;
  }
  out.known = out.reg.valid() && out.reg.is_virtual() && !M::lives_in_slot(type_of(v));
  return true;
}

template <class M, class W>
void Selection<M, W>::make_marks() {
  for (const PlaceMet& met : places_met_) {
    DebugMark m;
    if (!mark_of(fn_->debug_places[met.place], met.block, m)) continue;
    const uint32_t number = final_number_[met.block];
    if (number == ~0u) continue;
    const Pending& pending = pending_[met.block];
    m.inst = vcode_.blocks[number].first_inst + (met.counted ? met.at : pending.end - met.at);
    m.order = met.place;
    // In front of a block's end at the latest: the next block may be reached without passing here.
    if (const VBlock& b = vcode_.blocks[number]; m.inst < b.first_inst + b.inst_count) marks_.push_back(m);
  }
  std::sort(marks_.begin(), marks_.end(), [](const DebugMark& a, const DebugMark& b) {
    return a.inst != b.inst ? a.inst < b.inst : a.order < b.order;
  });
}

// ---- values --------------------------------------------------------------------------------------------------------

template <class M, class W>
bool Selection<M, W>::int_constant(air::ValueId v, int64_t& out) const {
  const air::Constant* c = fn_->constant(v);
  if (!c) return false;
  switch (c->kind) {
    case air::ConstantKind::Int:
      out = c->type == air::TypeTable::i1 ? int64_t(c->bits & 1) : sign_extend(c->bits, bits_of(c->type));
      return true;
    case air::ConstantKind::Zero:
    case air::ConstantKind::Undef: out = 0; return !M::is_fp(c->type) && !M::lives_in_slot(c->type);
    default: return false;
  }
}

// Conversions that leave the register as it is.
template <class M, class W>
air::ValueId Selection<M, W>::alias_of(air::ValueId v) const {
  for (;;) {
    const air::Inst* i = def_of(v);
    if (!i) return v;
    switch (i->op) {
      case air::Op::ptrtoint:
      case air::Op::inttoptr:
      case air::Op::freeze: break;
      case air::Op::trunc:
        if (i->type == air::TypeTable::i1) return v;
        break;
      case air::Op::bitcast:
        if (M::is_fp(i->type) != M::is_fp(type_of(i->va())) || M::lives_in_slot(i->type)) return v;
        break;
      default: return v;
    }
    if (M::lives_in_slot(i->type) || fn_->constant(i->va())) return v;
    v = i->va();
  }
}

template <class M, class W>
Reg Selection<M, W>::leaf_reg(air::ValueId aggregate, uint32_t leaf) {
  uint32_t& first = leaf_first_[aggregate.value];
  if (first == ~0u) {
    std::vector<TypeId>& types = leaf_types_;
    types.clear();
    if (!air::result_leaves(module_->types, type_of(aggregate), machine().legalize_options(), types).ok() ||
        types.empty()) {
      fail("a result of this type");
      return gp(4);
    }
    first = uint32_t(leaves_.size());
    for (air::TypeId t : types) leaves_.push_back({t, Reg{}, 0});
  }
  Leaf& l = leaves_[first + leaf];
  if (!l.reg.valid() && !M::lives_in_slot(l.type)) l.reg = machine().new_reg(l.type);
  return l.reg;
}

template <class M, class W>
Reg Selection<M, W>::reg_of(air::ValueId v) {
  if (const air::Constant* c = fn_->constant(v)) return machine().constant_value(*c);
  v = alias_of(v);
  if (const air::Inst* i = def_of(v); i && i->op == air::Op::extract) {
    const uint32_t* path = &fn_->extra[i->b];
    return leaf_reg(i->va(), path[1]);
  }
  if (fn_->constant(v)) return reg_of(v);
  Reg& r = reg_[v.value];
  if (!r.valid()) r = machine().new_reg(type_of(v));
  return r;
}

// The register that the instruction at hand has to define. Call only when it is wanted or must be defined all the same.
template <class M, class W>
Reg Selection<M, W>::result_reg(air::ValueId v) {
  Reg& r = reg_[v.value];
  if (!r.valid()) r = machine().new_reg(type_of(v));
  return r;
}

template <class M, class W>
bool Selection<M, W>::dies_here(air::ValueId v) const {
  if (fn_->constant(v)) return true;
  v = alias_of(v);
  if (const air::Inst* i = def_of(v); i && i->op == air::Op::extract) {
    uint32_t first = leaf_first_[i->a];
    return first == ~0u || !leaves_[first + fn_->extra[i->b + 1]].reg.valid();
  }
  return !reg_[v.value].valid();
}

// ---- symbols -------------------------------------------------------------------------------------------------------

// One reference without a way through the GOT gives the address, offset and all.
template <class M, class W>
bool Selection<M, W>::symbol_is_direct(const air::Constant& c) const {
  return reaches_directly(c) && fits_reference(int64_t(c.bits));
}

template <class M, class W>
bool Selection<M, W>::reaches_directly(const air::Constant& c) const {
  if (c.kind != air::ConstantKind::Symbol) return false;
  const air::Symbol& s = module_->symbols[c.symbol];
  return s.tls == air::TlsModel::none && context_->reach[c.symbol] == SymbolReach::direct;
}

template <class M, class W>
uint32_t Selection<M, W>::reference(const air::Constant& c, mir::ReferenceKind kind, int64_t addend) {
  SymbolId id = c.kind == air::ConstantKind::Runtime ? context_->runtime[c.symbol] : context_->symbols[c.symbol];
  if (!fits_signed(addend, 32)) {
    fail("an address too far from its symbol");
    addend = 0;
  }
  return writer_->add_reference(id, int32_t(addend), kind);
}

// The model for a thread-local symbol: what the module asks for, and what the output can have.
template <class M, class W>
mir::ReferenceKind Selection<M, W>::tls_kind(const air::Constant& c) const {
  const air::TlsModel model = module_->symbols[c.symbol].tls;
  const bool direct = context_->reach[c.symbol] == SymbolReach::direct;
  const bool dynamic = context_->options.shared || (context_->options.object && context_->options.pic);
  if (dynamic && model != air::TlsModel::initial_exec && model != air::TlsModel::local_exec)
    return mir::ReferenceKind::tls_general_dynamic;
  return direct && !dynamic ? mir::ReferenceKind::tls_local_exec : mir::ReferenceKind::tls_initial_exec;
}

// ---- edges ---------------------------------------------------------------------------------------------------------

template <class M, class W>
bool Selection<M, W>::param_wanted(uint32_t block, air::ValueId param) {
  if (uses_[param.value] == 0) return false;
  // A block that was selected before this one has asked for what it needs; one that comes later (a loop's head) may yet
  // ask.
  if (flow_.rpo_number[block] > flow_.rpo_number[cur_block_]) return is_wanted(param);
  return true;
}

// The copies of an edge's arguments to the parameters of its target.
template <class M, class W>
void Selection<M, W>::edge_copies(uint32_t e, bool through_slots) {
  const air::Edge& edge = fn_->edges[e];
  const air::Block& target = fn_->blocks[edge.target.value];
  std::vector<Operand>& ops = ops_;
  ops.clear();
  for (uint32_t k = 0; k < target.param_count; k++) {
    air::ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
    if (param == arg || !param_wanted(edge.target.value, param)) continue;
    if (M::lives_in_slot(type_of(param))) {
      machine().read_for_edge(param, arg);
      continue;
    }
    const air::Constant* c = fn_->constant(arg);
    if (c && c->kind == air::ConstantKind::Undef) continue;
    Reg src = reg_of(arg);
    if (through_slots) {
      ops.push_back(use(src));
      continue;
    }
    Reg dst = result_reg(param);
    if (src == dst) continue;
    match_bytes(dst, src);
    ops.push_back(def(dst));
    ops.push_back(use(src));
  }
  machine().write_for_edge();
  if (through_slots) {
    uint32_t slot = param_slot_[edge.target.value];
    size_t at = 0;
    for (uint32_t k = 0; k < target.param_count; k++) {
      air::ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
      if (param == arg || !param_wanted(edge.target.value, param) || M::lives_in_slot(type_of(param))) continue;
      const air::Constant* c = fn_->constant(arg);
      if (c && c->kind == air::ConstantKind::Undef) continue;
      machine().store_to_slot(slot + k, type_of(param), ops[at++].reg());
    }
    return;
  }
  if (!ops.empty()) emit_list(p_parallel_copy, ops, 0, ~0u, vflags::parallel_copy, 0);
}

template <class M, class W>
void Selection<M, W>::match_bytes(Reg dst, Reg src) {
  if (!dst.is_virtual() || !src.is_virtual()) return;
  VRegInfo &d = vcode_.vregs[dst.index()], &s = vcode_.vregs[src.index()];
  if (s.bytes < d.bytes) s.bytes = d.bytes;
}

template <class M, class W>
bool Selection<M, W>::edge_has_copies(uint32_t e) {
  const air::Edge& edge = fn_->edges[e];
  const air::Block& target = fn_->blocks[edge.target.value];
  for (uint32_t k = 0; k < target.param_count; k++) {
    air::ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
    if (param == arg || !param_wanted(edge.target.value, param)) continue;
    const air::Constant* c = fn_->constant(arg);
    if (c && c->kind == air::ConstantKind::Undef) continue;
    return true;
  }
  return false;
}

template <class M, class W>
uint32_t Selection<M, W>::edge_block(uint32_t e) {
  uint32_t target = fn_->edges[e].target.value;
  if (!edge_has_copies(e)) return target;
  uint32_t block = new_block(std::min(pending_[cur_block_].frequency, pending_[target].frequency));
  fill_made(block, [&] {
    edge_copies(e);
    jump(target);
  });
  return block;
}

// A conjunction (or disjunction) that only this branch reads becomes two branches.
template <class M, class W>
bool Selection<M, W>::short_circuit(air::ValueId cond, uint32_t if_true, uint32_t if_false, unsigned depth) {
  const air::Inst* d = def_of(cond);
  if (!d || depth > 3 || !single_use(cond) || is_wanted(cond) || d->type != air::TypeTable::i1) return false;
  air::ValueId a, b;
  bool conjunction;
  int64_t c;
  if (d->op == air::Op::and_ || d->op == air::Op::or_) {
    a = d->va();
    b = d->vb();
    conjunction = d->op == air::Op::and_;
    // Both sides have to be comparisons that fold: otherwise the plain operation is shorter.
    auto folds = [&](air::ValueId v) {
      const air::Inst* x = def_of(v);
      return x && (x->op == air::Op::icmp || x->op == air::Op::fcmp) && single_use(v) && !is_wanted(v);
    };
    if (!folds(a) || !folds(b)) return false;
  } else if (d->op == air::Op::select && int_constant(d->vc(), c) && (c & 1) == 0) {
    a = d->va();
    b = d->vb();
    conjunction = true;
  } else if (d->op == air::Op::select && int_constant(d->vb(), c) && (c & 1) == 1) {
    a = d->va();
    b = d->vc();
    conjunction = false;
  } else {
    return false;
  }
  uint32_t middle = new_block(pending_[cur_block_].frequency / 2);
  if (!short_circuit(a, conjunction ? middle : if_true, conjunction ? if_false : middle, depth + 1))
    machine().branch_if(a, conjunction ? middle : if_true, conjunction ? if_false : middle);
  fill_made(middle, [&] {
    if (!short_circuit(b, if_true, if_false, depth + 1)) machine().branch_if(b, if_true, if_false);
  });
  return true;
}

template <class M, class W>
void Selection<M, W>::select_branch(const air::Inst& i) {
  if (i.op == air::Op::br) {
    edge_copies(i.a);
    jump(fn_->edges[i.a].target.value);
    return;
  }
  int64_t c;
  if (int_constant(i.va(), c)) {
    uint32_t e = c & 1 ? i.b : i.c;
    edge_copies(e);
    jump(fn_->edges[e].target.value);
    return;
  }
  // The blocks for copies come first: they ask for their arguments' registers before the comparison may fold one of
  // them.
  uint32_t if_true = edge_block(i.b), if_false = edge_block(i.c);
  if (if_true == if_false) {
    jump(if_true);
    return;
  }
  if (short_circuit(i.va(), if_true, if_false, 0)) return;
  machine().branch_if(i.va(), if_true, if_false);
}

}  // namespace lode::codegen
