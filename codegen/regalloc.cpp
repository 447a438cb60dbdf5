// The register allocator's main line: liveness, live ranges, coalescing, assignment by weight.
//
//  1. Liveness. Registers that occur in one block only need none. For each of the others, its live-in blocks are found by walking up
//     from the blocks that read it first, until a block that defines it: work in proportion to the result. -O0 code has none of these.
//  2. Ranges. One backward pass makes sorted segment lists and the chains of occurrences, and marks in the occupancy table what physical
//     registers and call clobbers take.
//  3. Coalescing. Copies in order of frequency: two ranges that do not meet become one.
//  4. Assignment. In order of weight (frequency of use / length), in buckets, each range takes the best register that is free in
//     all of it: a hint's, then the target's order of preference; a callee-saved register that the function does not use yet must be worth
//     saving.
//  5. What found no register is spilled (regalloc_spill.cpp); copies become moves (regalloc_moves.cpp).
#include "codegen/regalloc.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "codegen/regalloc_state.h"

namespace lode::codegen {

void VCode::clear() {
  insts.clear();
  operands.clear();
  vregs.clear();
  blocks.clear();
  successors.clear();
  entry_defs = 0;
}

void Allocation::clear() {
  operands.clear();
  edits.clear();
  slots.clear();
  used = 0;
  spilled = coalesced = 0;
  failed = false;
}

RegisterAllocator::RegisterAllocator() : state_(std::make_unique<State>()) {}
RegisterAllocator::~RegisterAllocator() = default;

void RegisterAllocator::run(const VCode& code, const RegisterInfo& info, Allocation& out) {
  out.clear();
  state_->code = &code;
  state_->info = &info;
  state_->out = &out;
  state_->run();
}

void RegisterAllocator::State::run() {
  class_mask[0] = class_mask[1] = 0;
  for (uint8_t r : info->gp_order) class_mask[0] |= uint64_t{1} << r;
  for (uint8_t r : info->fp_order) class_mask[1] |= uint64_t{1} << r;
  const uint32_t n = uint32_t(code->vregs.size());
  intervals.resize(n);
  for (uint32_t v = 0; v < n; v++) {
    Interval it;
    it.parent = it.next_member = v;
    it.cls = code->vregs[v].cls;
    it.bytes = code->vregs[v].bytes;
    if (code->vregs[v].hint < Reg::first_virtual) {
      it.hint[0] = uint8_t(code->vregs[v].hint);
      it.hint_weight[0] = 0.5f;
    }
    intervals[v] = it;
  }
  segments.clear();
  copies.clear();
  edits.clear();
  block_of.clear();
  spill_queue.clear();
  calls.clear();
  around.clear();
  out->operands.resize(code->operands.size());
  occurrences.resize(code->operands.size());
  find_liveness();
  build_ranges();
  coalesce();
  assign();
  place_operands();
  if (!spill_queue.empty() || !around.empty()) spill_all();
  resolve_copies();
  finish_edits();
}

void RegisterAllocator::State::find_liveness() {
  const uint32_t n = uint32_t(code->vregs.size()), blocks = uint32_t(code->blocks.size());
  last_def.assign(n, 0);
  last_use.assign(n, 0);
  def_head.assign(n, none);
  use_head.assign(n, none);
  def_nodes.clear();
  use_nodes.clear();
  crossing.clear();
  live_nodes.clear();
  live_in.assign(blocks, none);
  for (uint32_t b = 0; b < blocks; b++) {
    const VBlock& block = code->blocks[b];
    for (uint32_t i = block.first_inst; i < block.first_inst + block.inst_count; i++) {
      uint32_t count;
      const Operand* ops = code->operands_of(code->insts[i], count);
      for (uint32_t k = 0; k < count; k++) {
        if (!ops[k].reads() || !ops[k].reg().is_virtual()) continue;
        const uint32_t v = ops[k].reg().index();
        if (last_def[v] == b + 1 || last_use[v] == b + 1) continue;
        last_use[v] = b + 1;
        if (use_head[v] == none) crossing.push_back(v);
        use_nodes.push_back({b, use_head[v]});
        use_head[v] = uint32_t(use_nodes.size() - 1);
      }
      for (uint32_t k = 0; k < count; k++) {
        if (!ops[k].writes() || !ops[k].reg().is_virtual()) continue;
        const uint32_t v = ops[k].reg().index();
        if (last_def[v] == b + 1) continue;
        last_def[v] = b + 1;
        def_nodes.push_back({b, def_head[v]});
        def_head[v] = uint32_t(def_nodes.size() - 1);
      }
    }
  }
  if (crossing.empty()) return;

  pred_first.assign(blocks + 1, 0);
  for (const VBlock& block : code->blocks)
    for (uint32_t k = 0; k < block.succ_count; k++) pred_first[code->successors[block.succs + k] + 1]++;
  for (uint32_t b = 0; b < blocks; b++) pred_first[b + 1] += pred_first[b];
  preds.resize(pred_first[blocks]);
  stamp_in.assign(pred_first.begin(), pred_first.end() - 1);
  for (uint32_t b = 0; b < blocks; b++)
    for (uint32_t k = 0; k < code->blocks[b].succ_count; k++) preds[stamp_in[code->successors[code->blocks[b].succs + k]]++] = b;

  stamp_in.assign(blocks, none);
  stamp_def.assign(blocks, none);
  for (uint32_t v : crossing) {
    for (uint32_t d = def_head[v]; d != none; d = def_nodes[d].next) stamp_def[def_nodes[d].block] = v;
    work.clear();
    auto enter = [&](uint32_t b) {
      if (stamp_in[b] == v) return;
      stamp_in[b] = v;
      live_nodes.push_back({v, live_in[b], b});
      live_in[b] = uint32_t(live_nodes.size() - 1);
      work.push_back(b);
    };
    for (uint32_t u = use_head[v]; u != none; u = use_nodes[u].next) enter(use_nodes[u].block);
    while (!work.empty()) {
      const uint32_t b = work.back();
      work.pop_back();
      for (uint32_t e = pred_first[b]; e < pred_first[b + 1]; e++) {
        if (stamp_def[preds[e]] != v) enter(preds[e]);
      }
    }
    if (stamp_in[0] == v) trim_undefined(v);
  }
}

// `v` is not defined on every path (a block parameter that one edge leaves undefined): it is not live where no definition has been
// passed, except where it is read all the same.
void RegisterAllocator::State::trim_undefined(uint32_t v) {
  constexpr uint32_t reached = 0xfffffffe;
  // Blocks that some definition reaches with v live are marked in stamp_def by `reached`, until the end.
  work.clear();
  touched.clear();
  auto leave = [&](uint32_t b) {
    for (uint32_t k = 0; k < code->blocks[b].succ_count; k++) {
      const uint32_t s = code->successors[code->blocks[b].succs + k];
      if (stamp_in[s] != v || stamp_def[s] == reached) continue;
      touched.push_back({s, stamp_def[s]});
      const bool defines = stamp_def[s] == v;
      stamp_def[s] = reached;
      if (!defines) work.push_back(s);
    }
  };
  for (uint32_t d = def_head[v]; d != none; d = def_nodes[d].next) leave(def_nodes[d].block);
  while (!work.empty()) {
    const uint32_t b = work.back();
    work.pop_back();
    leave(b);
  }
  for (uint32_t u = use_head[v]; u != none; u = use_nodes[u].next) {
    touched.push_back({use_nodes[u].block, stamp_def[use_nodes[u].block]});
    stamp_def[use_nodes[u].block] = reached;
  }
  // v's nodes are the newest of their blocks.
  while (!live_nodes.empty() && live_nodes.back().vreg == v) {
    const uint32_t b = live_nodes.back().block;
    if (stamp_def[b] == reached) break;
    live_in[b] = live_nodes.back().next;
    live_nodes.pop_back();
  }
  for (size_t k = live_nodes.size(); k-- > 0 && live_nodes[k].vreg == v;) {
    const uint32_t b = live_nodes[k].block;
    if (stamp_def[b] != reached) live_in[b] = live_nodes[k].next;
  }
  for (size_t k = touched.size(); k-- > 0;) stamp_def[touched[k].block] = touched[k].next;
}

void RegisterAllocator::State::add_segment(uint32_t v, Point from, Point to) {
  Interval& it = intervals[v];
  if (it.first_segment != none && to >= segments[it.first_segment].from) {
    Segment& s = segments[it.first_segment];
    const Point new_from = std::min(s.from, from), new_to = std::max(s.to, to);
    it.length += (new_to - new_from) - (s.to - s.from);
    s.from = new_from;
    s.to = new_to;
    return;
  }
  segments.push_back({from, to, it.first_segment});
  it.first_segment = uint32_t(segments.size() - 1);
  if (it.last_segment == none) it.last_segment = it.first_segment;
  it.segment_count++;
  it.length += to - from;
}

void RegisterAllocator::State::build_ranges() {
  const uint32_t n = uint32_t(code->vregs.size());
  occupancy.reset(uint32_t(code->insts.size()) * 2);
  live_end.assign(n, 0);
  Point phys_end[64] = {};
  uint64_t phys_live = 0;
  for (uint32_t b = uint32_t(code->blocks.size()); b-- > 0;) {
    const VBlock& block = code->blocks[b];
    const Point block_end = (block.first_inst + block.inst_count) * 2;
    for (uint32_t k = 0; k < block.succ_count; k++) {
      for (uint32_t l = live_in[code->successors[block.succs + k]]; l != none; l = live_nodes[l].next)
        live_end[live_nodes[l].vreg] = block_end;
    }
    for (uint32_t i = block.first_inst + block.inst_count; i-- > block.first_inst;) {
      const VInst& inst = code->insts[i];
      uint32_t count;
      const Operand* ops = code->operands_of(inst, count);
      if (const unsigned clobber = inst.flags & vflags::clobber_mask) {
        const uint64_t mask = info->clobbers[clobber];
        out->used |= mask;
        bool plain = true;
        for (uint32_t k = 0; k < count; k++) plain &= ops[k].reg().is_physical() || ops[k].role() == Role::use;
        if (plain) {
          occupancy.clobber(2 * i + 1, mask);
          calls.push_back({i, block.frequency, mask});
        } else {  // results stand where nothing is destroyed: no range may be in those registers here
          occupancy.take(2 * i + 1, 2 * i + 2, mask);
        }
      }
      for (uint32_t k = 0; k < count; k++) {
        const Role role = ops[k].role();
        if (role != Role::def && role != Role::def_early) continue;
        const Point from = role == Role::def ? 2 * i + 1 : 2 * i;
        const Reg r = ops[k].reg();
        if (r.is_virtual()) {
          const uint32_t v = r.index();
          add_segment(v, from, std::max(live_end[v], 2 * i + 2));
          live_end[v] = 0;
        } else {
          out->used |= uint64_t{1} << r.value;
          occupancy.take(from, phys_live >> r.value & 1 ? phys_end[r.value] : 2 * i + 2, uint64_t{1} << r.value);
          phys_live &= ~(uint64_t{1} << r.value);
        }
      }
      for (uint32_t k = 0; k < count; k++) {
        const Reg r = ops[k].reg();
        const Role role = ops[k].role();
        if (r.is_virtual()) {
          const uint32_t v = r.index();
          const uint32_t at = uint32_t(ops + k - code->operands.data());
          occurrences[at] = {i, intervals[v].first_occurrence};
          intervals[v].first_occurrence = at;
          intervals[v].weight += block.frequency;
          if (role == Role::def || role == Role::def_early) continue;
          const Point end = role == Role::use ? 2 * i + 1 : 2 * i + 2;
          if (live_end[v] < end) live_end[v] = end;
        } else {
          if (role == Role::def || role == Role::def_early) continue;
          if (role == Role::mod) out->used |= uint64_t{1} << r.value;
          const Point end = role == Role::use ? 2 * i + 1 : 2 * i + 2;
          if (!(phys_live >> r.value & 1) || phys_end[r.value] < end) phys_end[r.value] = end;
          phys_live |= uint64_t{1} << r.value;
        }
      }
      if (inst.flags & (vflags::copy | vflags::parallel_copy)) {
        for (uint32_t k = 0; k + 1 < count; k += 2) {
          const Reg d = ops[k].reg(), s = ops[k + 1].reg();
          if (d.is_virtual() && s.is_virtual()) copies.push_back({d.index(), s.index(), block.frequency});
          else if (d.is_virtual()) add_hint(intervals[d.index()], s.value, block.frequency);
          else if (s.is_virtual()) add_hint(intervals[s.index()], d.value, block.frequency);
        }
      } else if (inst.flags & vflags::remat && count >= 1 && ops[0].reg().is_virtual()) {
        // Good only as long as nothing else defines it: checked when it is used.
        intervals[ops[0].reg().index()].remat = i;
      }
    }
    const Point start = block.first_inst * 2;
    for (uint32_t l = live_in[b]; l != none; l = live_nodes[l].next) {
      const uint32_t v = live_nodes[l].vreg;
      if (live_end[v] > start) add_segment(v, start, live_end[v]);
      live_end[v] = 0;
    }
    while (phys_live) {
      const unsigned r = unsigned(std::countr_zero(phys_live));
      phys_live &= phys_live - 1;
      occupancy.take(start, phys_end[r], uint64_t{1} << r);
    }
  }
}

void RegisterAllocator::State::add_hint(Interval& it, unsigned reg, float weight) {
  for (int k = 0; k < 2; k++) {
    if (it.hint[k] == reg || it.hint[k] == 255) {
      it.hint[k] = uint8_t(reg);
      it.hint_weight[k] += weight;
      if (k == 1 && it.hint_weight[1] > it.hint_weight[0]) {
        std::swap(it.hint[0], it.hint[1]);
        std::swap(it.hint_weight[0], it.hint_weight[1]);
      }
      return;
    }
  }
  if (weight > it.hint_weight[1]) {
    it.hint[1] = uint8_t(reg);
    it.hint_weight[1] = weight;
    if (weight > it.hint_weight[0]) {
      std::swap(it.hint[0], it.hint[1]);
      std::swap(it.hint_weight[0], it.hint_weight[1]);
    }
  }
}

bool RegisterAllocator::State::overlap(uint32_t a, uint32_t b) const {
  uint32_t x = intervals[a].first_segment, y = intervals[b].first_segment;
  while (x != none && y != none) {
    if (segments[x].to <= segments[y].from) x = segments[x].next;
    else if (segments[y].to <= segments[x].from) y = segments[y].next;
    else return true;
  }
  return false;
}

// The ranges of two roots that do not overlap become one; a stays root.
void RegisterAllocator::State::merge(uint32_t a, uint32_t b) {
  Interval &ia = intervals[a], &ib = intervals[b];
  uint32_t x = ia.first_segment, y = ib.first_segment, last = none, n = 0;
  while (x != none || y != none) {
    uint32_t& from = x == none ? y : y == none ? x : segments[x].from < segments[y].from ? x : y;
    const uint32_t s = from;
    from = segments[s].next;
    if (last != none && segments[last].to == segments[s].from) {
      segments[last].to = segments[s].to;
      continue;
    }
    if (last == none) ia.first_segment = s;
    else segments[last].next = s;
    last = s;
    n++;
  }
  if (last != none) segments[last].next = none;
  ia.last_segment = last;
  ia.segment_count = n;
  ia.length += ib.length;
  ia.weight += ib.weight;
  ia.bytes = std::max(ia.bytes, ib.bytes);
  for (int k = 0; k < 2; k++)
    if (ib.hint[k] != 255) add_hint(ia, ib.hint[k], ib.hint_weight[k]);
  std::swap(ia.next_member, ib.next_member);
  ib.parent = a;
}

void RegisterAllocator::State::coalesce() {
  if (copies.empty()) return;
  // By frequency, in buckets of its exponent; the backward pass left later copies first.
  count.assign(257, 0);
  auto bucket = [](float f) { return 255 - (std::bit_cast<uint32_t>(f) >> 23 & 255); };
  for (const Copy& c : copies) count[bucket(c.frequency) + 1]++;
  for (uint32_t k = 0; k < 256; k++) count[k + 1] += count[k];
  order.resize(copies.size());
  for (uint32_t k = uint32_t(copies.size()); k-- > 0;) order[count[bucket(copies[k].frequency)]++] = k;
  constexpr uint32_t too_many_segments = 4096;  // keeps merging from becoming quadratic
  for (uint32_t k : order) {
    uint32_t a = root(copies[k].dst), b = root(copies[k].src);
    if (a == b) {
      out->coalesced++;
      continue;
    }
    const Interval &ia = intervals[a], &ib = intervals[b];
    if (ia.cls != ib.cls || ia.segment_count + ib.segment_count > too_many_segments || overlap(a, b)) continue;
    merge(a, b);
    out->coalesced++;
  }
}

Occupancy::Masks RegisterAllocator::State::taken(const Interval& it) const {
  Occupancy::Masks mask;
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) {
    mask |= occupancy.in(segments[s].from, segments[s].to);
    if (!(class_mask[unsigned(it.cls)] & ~mask.taken)) break;
  }
  return mask;
}
void RegisterAllocator::State::take(const Interval& it, unsigned reg) {
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next)
    occupancy.take(segments[s].from, segments[s].to, uint64_t{1} << reg);
}
void RegisterAllocator::State::release(const Interval& it, unsigned reg) {
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next)
    occupancy.release(segments[s].from, segments[s].to, uint64_t{1} << reg);
}

// The registers of a mask that cost nothing to begin with; all of it when there are none.
uint64_t RegisterAllocator::State::cheap(uint64_t mask) const {
  const uint64_t free = mask & ~(info->callee_saved & ~out->used);
  return free ? free : mask;
}

uint8_t RegisterAllocator::State::choose(const Interval& it, uint64_t mask) const {
  for (uint8_t hint : it.hint)
    if (hint != 255 && mask >> hint & 1) return hint;
  for (uint8_t r : it.cls == RegClass::gp ? info->gp_order : info->fp_order)
    if (mask >> r & 1) return r;
  return Interval::no_reg;
}

// What it costs to live in a register that calls destroy: a load behind each of them and a store for each definition or each call. The
// register that costs least goes to `best`, as a mask.
float RegisterAllocator::State::cost_around_calls(const Interval& it, uint64_t reg_mask, uint64_t& best) const {
  float all = 0;
  uint64_t touched = 0;
  uint32_t steps = 0;
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) {
    // Calls in [from, to), which are sorted downwards.
    const Segment& segment = segments[s];
    auto at = std::upper_bound(calls.begin(), calls.end(), segment.to, [](Point p, const Call& c) { return p > 2 * c.inst + 1; });
    for (; at != calls.end() && 2 * at->inst + 1 >= segment.from; ++at) {
      if (!(at->mask & reg_mask)) continue;
      if (!(reg_mask & ~at->mask)) all += at->frequency;
      else reg_mask &= ~at->mask, all += 0;
      touched |= at->mask;
      if (all * 2 > it.weight || ++steps > 1000) return 1e30f;
    }
  }
  (void)touched;
  best = reg_mask;
  return all * 2;
}

bool RegisterAllocator::State::try_assign(uint32_t v) {
  Interval& it = intervals[v];
  const uint64_t all = class_mask[unsigned(it.cls)];
  const Occupancy::Masks masks = taken(it);
  const uint64_t survives = all & ~masks.both();
  // Saving a register in the prologue costs about as much as storing and loading the value once.
  const bool fresh = survives && !(survives & ~(info->callee_saved & ~out->used));
  uint64_t mask = survives ? cheap(survives) : 0;
  if (!survives || fresh) {
    const uint64_t destroyed = all & ~masks.taken & masks.clobbered & ~(info->callee_saved & ~out->used);
    uint64_t best = 0;
    const float limit = fresh ? 2 : it.weight;
    if (destroyed && cost_around_calls(it, destroyed, best) < std::min(limit, it.weight)) {
      mask = best;
      it.around_calls = true;
      around.push_back(v);
    } else if (fresh && it.weight < 2 && it.length > 4) {
      return false;
    }
  }
  if (!mask) return false;
  const uint8_t reg = choose(it, mask);
  it.reg = reg;
  out->used |= uint64_t{1} << reg;
  take(it, reg);
  return true;
}

void RegisterAllocator::State::assign() {
  const uint32_t n = uint32_t(intervals.size());
  // Buckets: exponent and two bits of mantissa of weight / length.
  auto bucket = [&](const Interval& it) {
    const float density = it.weight / float(it.length);
    const uint32_t bits = std::bit_cast<uint32_t>(density) >> 21;  // 11 bits, sign 0
    return 1023 - std::min(1023u, bits);
  };
  count.assign(1025, 0);
  uint32_t total = 0;
  for (uint32_t v = 0; v < n; v++) {
    if (intervals[v].parent != v || intervals[v].length == 0) continue;
    count[bucket(intervals[v]) + 1]++;
    total++;
  }
  for (uint32_t k = 0; k < 1024; k++) count[k + 1] += count[k];
  order.resize(total);
  for (uint32_t v = 0; v < n; v++) {
    if (intervals[v].parent != v || intervals[v].length == 0) continue;
    order[count[bucket(intervals[v])]++] = v;
  }
  for (uint32_t v : order) {
    if (!try_assign(v)) spill_queue.push_back(v);
  }
}

void RegisterAllocator::State::place_operands() {
  const Operand* ops = code->operands.data();
  const uint32_t n = uint32_t(code->operands.size());
  // Instruction by instruction, because an operand count may stand among the operands.
  for (const VInst& inst : code->insts) {
    uint32_t count;
    const Operand* first = code->operands_of(inst, count);
    const uint32_t at = uint32_t(first - ops);
    for (uint32_t k = at; k < at + count && k < n; k++) {
      const Reg r = ops[k].reg();
      if (r.is_physical()) {
        out->operands[k] = Location{r.value};
        continue;
      }
      const Interval& it = intervals[root(r.index())];
      if (it.reg != Interval::no_reg) out->operands[k] = Location{it.reg};
    }
  }
}

}  // namespace lode::codegen
