// The functions of Selection (selection.h) for control flow that needs blocks which AIR does not have: landings of
// indirect branches, the dispatch of a switch, landing pads. Included by selection_impl.h.
//
// Each of them asks for new_block and leaves behind it blocks that are complete: their code is in place, their
// successors are known, and assemble_blocks lays them out like any other.
#pragma once

#include "codegen/native/selection.h"

namespace lode::codegen {

// ---- indirect branches ----------------------------------------------------------------------------------------------
//
// All edges of an indirect branch begin with the same jump, so there is no place for the copies of one of them; but the
// address that it jumps to is ours to choose. A target with parameters gets a landing: a block that the address stands
// for, and that gives the target its parameters. Reached from one indirect branch only, as in an interpreter's loop
// once clang has merged its dispatches, the landing makes the edge's copies from what lived in registers at the branch.
// Reached from several, it loads what each of them left in slots. Other edges to the target know nothing of this.

template <class M, class W>
void Selection<M, W>::prepare_indirect_branches() {
  const air::Function& f = *fn_;
  landing_.clear();
  param_slot_.clear();
  for (uint32_t k = 0; k < f.insts.size(); k++) {
    const air::Inst& i = f.insts[k];
    if (i.op != air::Op::indirect_br) continue;
    if (landing_.empty()) {
      for (uint32_t b = 0; b < f.blocks.size(); b++) landing_.push_back(b);
      param_slot_.assign(f.blocks.size(), ~0u);
      indirect_seen_.assign(f.blocks.size(), ~0u);
    }
    air::for_each_edge(f, i, [&](uint32_t e) {
      uint32_t b = f.edges[e].target.value, before = indirect_seen_[b];
      indirect_seen_[b] = k;
      if (before == ~0u || before == k || param_slot_[b] != ~0u) return;
      for (uint32_t p = 0; p < f.blocks[b].param_count; p++) {
        uint32_t s = new_slot(16, 4);
        if (p == 0) param_slot_[b] = s;
      }
      if (param_slot_[b] != ~0u) landing_[b] = new_block(pending_[b].frequency, b);
    });
  }
  std::fill(indirect_seen_.begin(), indirect_seen_.end(), ~0u);
}

template <class M, class W>
void Selection<M, W>::select_indirect_branch(const air::Inst& i) {
  JumpTable t;
  t.first = uint32_t(table_targets_.size());
  const uint32_t* edges = fn_->extra.data() + i.b + 1;
  for (uint32_t k = 0, n = fn_->extra[i.b]; k < n; k++) {
    uint32_t e = edges[k], target = fn_->edges[e].target.value;
    // A target may be listed more than once.
    if (indirect_seen_[target] == cur_inst_) continue;
    indirect_seen_[target] = cur_inst_;
    if (param_slot_[target] != ~0u) edge_copies(e, true);
    else landing_[target] = edge_block(e);
    table_targets_.push_back(landing_[target]);
  }
  t.count = uint32_t(table_targets_.size()) - t.first;
  tables_.push_back(t);
  machine().indirect_jump(i, uint32_t(tables_.size() - 1));
}

template <class M, class W>
void Selection<M, W>::fill_shared_landings() {
  if (landing_.empty()) return;
  for (uint32_t b = 0; b < fn_->blocks.size(); b++) {
    if (param_slot_[b] == ~0u) continue;
    fill_made(landing_[b], [&] {
      const air::Block& block = fn_->blocks[b];
      for (uint32_t k = 0; k < block.param_count; k++) {
        air::ValueId v(block.first_param + k);
        if (!M::lives_in_slot(type_of(v)) && is_wanted(v))
          machine().load_from_slot(reg_[v.value], type_of(v), param_slot_[b] + k);
      }
      jump(b);
    });
  }
}

// ---- switch: switch_plan.h ------------------------------------------------------------------------------------------

template <class M, class W>
void Selection<M, W>::select_switch(const air::Inst& i) {
  const unsigned bits = bits_of(type_of(i.va()));
  const uint32_t fallback = edge_block(i.b);
  const bool is_unsigned = bits < 64 && machine().switch_is_unsigned(i.va());
  cases_.clear();
  for (uint32_t k = 0, n = fn_->extra[i.c]; k < n; k++) {
    const uint32_t* c = &fn_->extra[i.c + 1 + 3 * k];
    const uint64_t given = c[0] | uint64_t(c[1]) << 32;
    const int64_t value = is_unsigned ? int64_t(given & ((uint64_t{1} << bits) - 1)) : sign_extend(given, bits);
    // Edges without copies to one target share it; each edge with copies has its own block.
    cases_.push_back({value, edge_block(c[2])});
  }
  if (cases_.empty()) return jump(fallback);
  // The jump through a table is an indirect branch.
  const bool tables = !(fn_->flags & (air::function_flags::no_jump_tables | air::function_flags::retpoline_branches));
  switch_.make(cases_, fallback, tables);
  const Reg value = machine().switch_value(i.va(), bits);
  emit_switch(switch_.root(), value, bits == 64 ? 64 : 32, fallback, cur_block_);
}

// `at`: the block that the node is written to. What a decision leads to first stands right behind it, the whole of that
// side before the other one: each decision goes on into one of its sides.
template <class M, class W>
void Selection<M, W>::emit_switch(uint32_t index, Reg value, unsigned bits, uint32_t fallback, uint32_t at) {
  const SwitchNode& node = switch_.nodes[index];
  if (node.kind == SwitchNode::Kind::less) {
    const float frequency = pending_[cur_block_].frequency / 2;
    const uint32_t below = new_block_after(at, frequency), rest = new_block_after(below, frequency);
    machine().switch_less(value, bits, node.low, below, rest);
    fill_made(below, [&] { emit_switch(node.below, value, bits, fallback, below); });
    fill_made(rest, [&] { emit_switch(node.rest, value, bits, fallback, rest); });
    return;
  }
  if (node.kind == SwitchNode::Kind::equal) return machine().switch_equal(value, bits, node.low, node.target, fallback);
  const Reg position = machine().switch_index(value, bits, node.low);
  if (node.kind == SwitchNode::Kind::range)
    return machine().switch_within(position, bits, node.size, node.target, fallback);
  JumpTable t{uint32_t(table_targets_.size()), uint32_t(node.size + 1)};
  table_targets_.insert(table_targets_.end(), switch_.targets.begin() + node.first_target,
                        switch_.targets.begin() + node.first_target + t.count);
  const uint32_t table = uint32_t(tables_.size());
  tables_.push_back(t);
  const uint32_t dispatch = new_block_after(at, pending_[cur_block_].frequency);
  machine().switch_within(position, bits, node.size, dispatch, fallback);
  fill_made(dispatch, [&] { machine().jump_by_table(position, table); });
}

// ---- exceptions -----------------------------------------------------------------------------------------------------
//
// The call of an invoke ends its block: what follows (copies of the result and of the normal edge's arguments) stands
// in a block of its own on the normal edge. So what lives on in the landing pad lives across the call as the allocator
// sees it: in registers that the callee preserves, which the unwinder restores, or in the frame.
//
// A landing pad is entered with the exception and the selector in two registers. A pad without parameters takes them
// itself; if it has parameters, each edge has a block that takes them and makes the parameters' copies. Such a block is
// laid out behind the pad, out of the normal path.

template <class M, class W>
uint32_t Selection<M, W>::typeinfo(air::ValueId v) {
  const air::Constant* c = fn_->constant(v);
  if (c && c->kind == air::ConstantKind::Zero) return exceptions_.type(~0u);
  if (!c || c->kind != air::ConstantKind::Symbol || c->bits != 0) {
    fail("a typeinfo that is not a symbol");
    return 0;
  }
  return exceptions_.type(reference(*c, mir::ReferenceKind::got_slot, 0));
}

// The numbers of a landing pad's clauses, as ExceptionActions::action() takes them.
template <class M, class W>
void Selection<M, W>::number_clauses(const air::LandingPad& p, std::vector<int32_t>& chain) {
  chain.clear();
  std::vector<uint32_t> allowed;
  for (uint32_t c = 0, at = p.clauses; c < p.clause_count; c++) {
    const uint32_t kind = fn_->extra[at], n = fn_->extra[at + 1];
    if (kind == 0) {
      if (n == 0) chain.push_back(int32_t(exceptions_.type(~0u)));
      for (uint32_t t = 0; t < n; t++) chain.push_back(int32_t(typeinfo(air::ValueId(fn_->extra[at + 2 + t]))));
    } else {
      allowed.clear();
      for (uint32_t t = 0; t < n; t++) allowed.push_back(typeinfo(air::ValueId(fn_->extra[at + 2 + t])));
      chain.push_back(exceptions_.filter(allowed));
    }
    at += 2 + n;
  }
  if (p.cleanup && !chain.empty()) chain.push_back(0);
}

// Which blocks are landing pads; the numbers of all types, since a selector is compared with one far from its pad.
template <class M, class W>
void Selection<M, W>::prepare_exceptions() {
  exceptions_.clear();
  pads_.clear();
  personality_ = ~0u;
  if (!fn_->personality.valid()) return;  // then it has no invokes either, which select_call() checks
  pads_.resize(fn_->blocks.size());
  bool invokes = false;
  std::vector<int32_t> chain;
  for (uint32_t b = 0; b < fn_->blocks.size(); b++) {
    const air::Block& block = fn_->blocks[b];
    if (!block.inst_count) continue;
    const uint32_t last = block.first_inst + block.inst_count - 1;
    const air::Inst& end = fn_->insts[last];
    air::for_each_edge(*fn_, end, [&](air::EdgeIndex e) {
      if (end.op == air::Op::invoke && e == end.c) pads_[fn_->edges[e].target.value].unwind = true;
      else pads_[fn_->edges[e].target.value].normal = true;
    });
    invokes |= end.op == air::Op::invoke;
  }
  if (invokes) {
    const SymbolId symbol = context_->symbols[fn_->personality.value];
    personality_ = writer_->add_reference(symbol, 0, mir::ReferenceKind::got_slot);
  }
  for (uint32_t b = 0; b < fn_->blocks.size(); b++) {
    const air::Block& block = fn_->blocks[b];
    Pad& pad = pads_[b];
    for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++) {
      cur_inst_ = k;
      const air::Inst& i = fn_->insts[k];
      if ((i.op == air::Op::landing_pad) != (pad.unwind && k == block.first_inst))
        return fail(i.op == air::Op::landing_pad ? "a landing pad that no invoke unwinds to"
                                                 : "an unwind edge to a block that does not begin with a landing pad");
      if (i.op == air::Op::landing_pad && pad.normal) return fail("a landing pad that is reached by a branch");
      if (i.op != air::Op::landing_pad) continue;
      const air::LandingPad& p = fn_->landing_pads[i.a];
      number_clauses(p, chain);
      pad.action = exceptions_.action(chain);
      pad.value = i.result;
      for (uint32_t v = 0; v < block.param_count; v++) pad.copies |= uses_[block.first_param + v] != 0;
      if (!failure_.empty()) return;
    }
  }
  // A selector's number is a constant like any other from here on.
  for (const air::Inst& i : fn_->insts) {
    if (i.op != air::Op::eh_typeid) continue;
    cur_inst_ = uint32_t(&i - fn_->insts.data());
    const uint32_t number = invokes ? typeinfo(i.va()) : 1;
    fn_->values[i.result.value] = air::Value::make(i.type, air::ValueKind::Const, uint32_t(fn_->constants.size()));
    fn_->constants.push_back({air::ConstantKind::Int, i.type, ~0u, number});
  }
}

template <class M, class W>
void Selection<M, W>::copy_landing_pad(air::ValueId value) {
  if (!value.valid() || leaf_first_[value.value] == ~0u) return;
  const uint32_t first = leaf_first_[value.value];
  if (Reg r = leaves_[first].reg; r.valid()) copy(r, M::exception_register);
  if (Reg r = leaves_[first + 1].reg; r.valid()) copy(r, M::selector_register);
}

template <class M, class W>
void Selection<M, W>::select_landing_pad(const air::Inst& i) {
  if (pads_.empty()) return fail("a landing pad in a function without a personality");
  if (!pads_[cur_block_].copies) copy_landing_pad(i.result);
}

// The VBlock that the unwinder goes to for an edge.
template <class M, class W>
uint32_t Selection<M, W>::unwind_block(uint32_t edge) {
  const uint32_t target = fn_->edges[edge].target.value;
  const Pad& pad = pads_[target];
  if (!pad.copies) return target;
  // A pad that is selected later than this edge may yet be asked for both.
  if (flow_.rpo_number[target] <= flow_.rpo_number[cur_block_] && pad.value.valid()) {
    leaf_reg(pad.value, 0);
    leaf_reg(pad.value, 1);
  }
  const uint32_t block = new_block(pending_[target].frequency, target);
  fill_made(block, [&] {
    copy_landing_pad(pad.value);
    edge_copies(edge);
    jump(target);
  });
  return block;
}

// Asks for the registers that an edge's arguments are in, so that what defines them knows.
template <class M, class W>
void Selection<M, W>::want_arguments(uint32_t e) {
  const air::Edge& edge = fn_->edges[e];
  const air::Block& target = fn_->blocks[edge.target.value];
  for (uint32_t k = 0; k < target.param_count; k++) {
    air::ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
    if (param == arg || fn_->constant(arg) || !param_wanted(edge.target.value, param)) continue;
    if (M::lives_in_slot(type_of(arg))) machine().want_slot(arg);
    else reg_of(arg);
  }
}

}  // namespace lode::codegen
