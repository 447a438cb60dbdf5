// Invokes and landing pads. See selector.h and codegen/native/exception_table.h.
//
// The call of an invoke ends its block: what follows (copies of the result and of the normal edge's arguments) stands
// in a block of its own on the normal edge. So what lives on in the landing pad lives across the call as the allocator
// sees it: in registers that the callee preserves, which the unwinder restores, or in the frame.
//
// A landing pad is entered with the exception in rax and the selector in rdx. A pad without parameters takes them
// itself; if it has parameters, each edge has a block that takes them and makes the parameters' copies. Such a block is
// laid out behind the pad, out of the normal path.
#include <algorithm>

#include "codegen/x86_64/selector.h"

namespace lode::x86_64 {

using air::ConstantKind;
using air::Inst;
namespace vf = codegen::vflags;

namespace {
constexpr Reg exception_reg{0}, selector_reg{2};  // rax, rdx
}

uint32_t Selector::typeinfo(ValueId v) {
  const air::Constant* c = fn_->constant(v);
  if (c && c->kind == ConstantKind::Zero) return exceptions_.type(~0u);
  if (!c || c->kind != ConstantKind::Symbol || c->bits != 0) {
    fail("a typeinfo that is not a symbol");
    return 0;
  }
  return exceptions_.type(reference(*c, mir::ReferenceKind::got_slot, 0));
}

// Which blocks are landing pads; the numbers of all types, since a selector is compared with one far from its pad.
void Selector::prepare_exceptions() {
  exceptions_.clear();
  pads_.clear();
  personality_ = ~0u;
  if (!fn_->personality.valid()) return;  // then it has no invokes either, which select_call() checks
  pads_.resize(fn_->blocks.size());
  bool invokes = false;
  for (uint32_t b = 0; b < fn_->blocks.size(); b++) {
    const air::Block& block = fn_->blocks[b];
    if (!block.inst_count) continue;
    const uint32_t last = block.first_inst + block.inst_count - 1;
    const Inst& end = fn_->insts[last];
    air::for_each_edge(*fn_, end, [&](air::EdgeIndex e) {
      if (end.op == AirOp::invoke && e == end.c) pads_[fn_->edges[e].target.value].unwind = true;
      else pads_[fn_->edges[e].target.value].normal = true;
    });
    invokes |= end.op == AirOp::invoke;
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
      const Inst& i = fn_->insts[k];
      if ((i.op == AirOp::landing_pad) != (pad.unwind && k == block.first_inst))
        return fail(i.op == AirOp::landing_pad ? "a landing pad that no invoke unwinds to"
                                               : "an unwind edge to a block that does not begin with a landing pad");
      if (i.op == AirOp::landing_pad && pad.normal) return fail("a landing pad that is reached by a branch");
      if (i.op != AirOp::landing_pad) continue;
      const air::LandingPad& p = fn_->landing_pads[i.a];
      std::vector<int32_t> chain;
      std::vector<uint32_t> allowed;
      for (uint32_t c = 0, at = p.clauses; c < p.clause_count; c++) {
        const uint32_t kind = fn_->extra[at], n = fn_->extra[at + 1];
        if (kind == 0) {
          if (n == 0) chain.push_back(int32_t(exceptions_.type(~0u)));
          for (uint32_t t = 0; t < n; t++) chain.push_back(int32_t(typeinfo(ValueId(fn_->extra[at + 2 + t]))));
        } else {
          allowed.clear();
          for (uint32_t t = 0; t < n; t++) allowed.push_back(typeinfo(ValueId(fn_->extra[at + 2 + t])));
          chain.push_back(exceptions_.filter(allowed));
        }
        at += 2 + n;
      }
      if (p.cleanup && !chain.empty()) chain.push_back(0);
      pad.action = exceptions_.action(chain);
      pad.value = i.result;
      for (uint32_t v = 0; v < block.param_count; v++) pad.copies |= uses_[block.first_param + v] != 0;
      if (!failure_.empty()) return;
    }
  }
  // A selector's number is a constant like any other from here on.
  for (const Inst& i : fn_->insts) {
    if (i.op != AirOp::eh_typeid) continue;
    cur_inst_ = uint32_t(&i - fn_->insts.data());
    const uint32_t number = invokes ? typeinfo(i.va()) : 1;
    fn_->values[i.result.value] = air::Value::make(i.type, air::ValueKind::Const, uint32_t(fn_->constants.size()));
    fn_->constants.push_back({ConstantKind::Int, i.type, ~0u, number});
  }
}

void Selector::copy_landing_pad(ValueId value) {
  if (!value.valid() || leaf_first_[value.value] == ~0u) return;
  const uint32_t first = leaf_first_[value.value];
  if (Reg r = leaves_[first].reg; r.valid()) copy(r, exception_reg);
  if (Reg r = leaves_[first + 1].reg; r.valid()) copy(r, selector_reg);
}

void Selector::select_landing_pad(const Inst& i) {
  if (pads_.empty()) return fail("a landing pad in a function without a personality");
  if (!pads_[cur_block_].copies) copy_landing_pad(i.result);
}

// The VBlock that the unwinder goes to for an edge.
uint32_t Selector::unwind_block(uint32_t edge) {
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
    emit(p_jump, {}, target, vf::terminator);
  });
  return block;
}

// Asks for the registers that an edge's arguments are in, so that what defines them knows.
void Selector::want_arguments(uint32_t e) {
  const air::Edge& edge = fn_->edges[e];
  const air::Block& target = fn_->blocks[edge.target.value];
  for (uint32_t k = 0; k < target.param_count; k++) {
    ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
    if (param == arg || fn_->constant(arg) || !param_wanted(edge.target.value, param)) continue;
    if (type_of(arg) == TypeTable::f80) f80_slot(arg);
    else reg_of(arg);
  }
}

}  // namespace lode::x86_64
