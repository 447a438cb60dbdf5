// Ranges that give up their register for others.
//
// Assignment goes by weight / length, so short ranges come first and fit into few registers. What they break is a long range that is
// used all over the function: it loses to a handful of short ones that lie in its way. Such a range may displace them when it
// weighs clearly more than all of them together; they then look for another register, and are spilled if there is none. The weight in registers
// grows with each step, so this ends; a budget of steps keeps it from costing more than it is worth.
//
// The second kind serves a spilled value that must have a register around one instruction.
#include <algorithm>
#include <bit>

#include "codegen/regalloc_state.h"

namespace lode::codegen {

bool RegisterAllocator::State::displace(uint32_t v) {
  Interval& it = intervals[v];
  if (displace_budget == 0 || it.segment_count > 4096) return false;
  const Occupancy::Masks masks = taken_entirely(it);
  // Not where a physical register is in use, nor where calls destroy it.
  const uint64_t candidates = class_mask[unsigned(it.cls)] & ~masks.clobbered & ~fixed_in(it);
  if (!candidates) return false;
  flat.clear();
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) flat.push_back(segments[s]);
  auto meets = [&](const Interval& other) {
    for (uint32_t s = other.first_segment; s != none; s = segments[s].next) {
      if (segments[s].from >= flat.back().to) return false;
      auto at = std::upper_bound(flat.begin(), flat.end(), segments[s].from, [](Point p, const Segment& x) { return p < x.to; });
      if (at != flat.end() && at->from < segments[s].to) return true;
    }
    return false;
  };
  const uint64_t fresh = info->callee_saved & ~out->used;
  float limit = it.weight * 0.6f;
  uint8_t best = Interval::no_reg;
  for (uint8_t r : it.cls == RegClass::gp ? info->gp_order : info->fp_order) {
    if (!(candidates >> r & 1) || fresh >> r & 1) continue;
    float sum = 0;
    for (uint32_t x : assigned[r]) {
      if (displace_budget == 0) return false;
      displace_budget--;
      const Interval& other = intervals[x];
      if (other.reg != r || !meets(other)) continue;
      sum += other.weight;
      if (sum >= limit) break;
    }
    if (sum < limit) {
      limit = sum;
      best = r;
    }
  }
  if (best == Interval::no_reg) return false;
  std::vector<uint32_t> displaced;
  for (uint32_t x : assigned[best]) {
    Interval& other = intervals[x];
    if (other.reg != best || !meets(other)) continue;
    release(other, best);
    other.reg = Interval::no_reg;
    other.around_calls = false;
    displaced.push_back(x);
  }
  give(v, best);
  for (uint32_t x : displaced)
    if (!try_assign(x)) spill_queue.push_back(x);
  return true;
}

// All points of a range, whether or not a register is left.
Occupancy::Masks RegisterAllocator::State::taken_entirely(const Interval& it) const {
  Occupancy::Masks mask;
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) mask |= occupancy.in(segments[s].from, segments[s].to);
  return mask;
}

// Physical registers in use anywhere in a range.
uint64_t RegisterAllocator::State::fixed_in(const Interval& it) const {
  uint64_t mask = 0;
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) {
    // Sorted downwards by `from`; each lies within one block, so what starts far in front of a segment has ended before it.
    auto at = std::upper_bound(fixed.begin(), fixed.end(), segments[s].to, [](Point p, const Fixed& f) { return p > f.from; });
    for (; at != fixed.end() && at->reaches > segments[s].from; ++at)
      if (at->to > segments[s].from) mask |= at->mask;
  }
  return mask;
}

uint8_t RegisterAllocator::State::evict(RegClass cls, Point from, Point to) {
  struct Candidate {
    uint64_t covered = 0;  // points of [from, to), as many as 64, where a range that could go stands
    float weight = 0;
  } candidates[64];
  if (to - from > 64) return Interval::no_reg;
  auto meets = [&](const Interval& it, uint64_t* covered) {
    uint64_t bits = 0;
    for (uint32_t s = it.first_segment; s != none && segments[s].from < to; s = segments[s].next) {
      if (segments[s].to <= from) continue;
      const Point b = std::max(segments[s].from, from) - from, e = std::min(segments[s].to, to) - from;
      bits |= (e - b == 64 ? ~uint64_t{0} : ((uint64_t{1} << (e - b)) - 1)) << b;
    }
    if (covered) *covered |= bits;
    return bits != 0;
  };
  const uint32_t n = uint32_t(intervals.size());
  for (uint32_t v = 0; v < n; v++) {
    const Interval& it = intervals[v];
    if (it.parent != v || it.reg == Interval::no_reg || it.cls != cls || it.length == 0) continue;
    if (segments[it.first_segment].from >= to) continue;
    Candidate& c = candidates[it.reg];
    if (meets(it, &c.covered)) c.weight += it.weight / float(it.length);
  }
  uint8_t best = Interval::no_reg;
  for (uint8_t r : cls == RegClass::gp ? info->gp_order : info->fp_order) {
    const Candidate& c = candidates[r];
    if (!c.covered) continue;
    bool all = true;
    for (Point p = from; p < to; p++) {
      const Occupancy::Masks m = occupancy.in(p, p + 1);
      all &= !(m.clobbered >> r & 1) && (c.covered >> (p - from) & 1 || !(m.taken >> r & 1));
    }
    if (all && (best == Interval::no_reg || c.weight < candidates[best].weight)) best = r;
  }
  if (best == Interval::no_reg) return best;
  for (uint32_t v = 0; v < n; v++) {
    Interval& it = intervals[v];
    if (it.parent != v || it.reg != best || it.length == 0) continue;
    if (segments[it.first_segment].from >= to || !meets(it, nullptr)) continue;
    release(it, best);
    it.reg = Interval::no_reg;
    spill_queue.push_back(v);
  }
  return best;
}

}  // namespace lode::codegen
