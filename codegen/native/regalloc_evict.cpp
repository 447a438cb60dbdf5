// Ranges that give up their register for others.
//
// Assignment goes by weight / length, so short ranges come first and fit into few registers. What they break is a long
// range that is used all over the function: it loses to a handful of short ones that lie in its way. Such a range may
// displace them when it weighs clearly more than all of them together; they then look for another register, and are
// spilled if there is none. The weight in registers grows with each step, so this ends; a budget of steps keeps it from
// costing more than it is worth.
//
// The second kind serves a spilled value that must have a register around one instruction.
#include <algorithm>
#include <bit>

#include "codegen/native/regalloc_state.h"

namespace lode::codegen {

bool RegisterAllocator::State::displace(uint32_t v) {
  Interval& it = intervals[v];
  // A step also for what it takes to look at the whole range.
  displace_budget -= std::min<uint64_t>(displace_budget, it.segment_count + it.length / Occupancy::region);
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
      auto at = std::upper_bound(flat.begin(), flat.end(), segments[s].from,
                                 [](Point p, const Segment& x) { return p < x.to; });
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
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next)
    mask |= occupancy.in(segments[s].from, segments[s].to);
  return mask;
}

// Physical registers in use anywhere in a range.
uint64_t RegisterAllocator::State::fixed_in(const Interval& it) {
  constexpr size_t group = 64;
  if (fixed_groups.empty()) {
    fixed_groups.assign(fixed.size() / group + 1, 0);
    for (size_t k = 0; k < fixed.size(); k++) fixed_groups[k / group] |= fixed[k].mask;
  }
  uint64_t mask = 0;
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) {
    const Segment& x = segments[s];
    // Sorted downwards by `from`: first those that start within the segment, groups of them at once, then those that
    // reach into it. Each lies within one block, so what starts far in front of a segment has ended before it.
    size_t at =
        size_t(std::upper_bound(fixed.begin(), fixed.end(), x.to, [](Point p, const Fixed& f) { return p > f.from; }) -
               fixed.begin());
    while (at < fixed.size() && fixed[at].from >= x.from) {
      if (at % group == 0 && at + group <= fixed.size() && fixed[at + group - 1].from >= x.from) {
        mask |= fixed_groups[at / group];
        at += group;
      } else {
        mask |= fixed[at++].mask;
      }
    }
    for (; at < fixed.size() && fixed[at].reaches > x.from; ++at)
      if (fixed[at].to > x.from) mask |= fixed[at].mask;
  }
  return mask;
}

// The ranges that stand in registers when spilling begins, by register and place. From then on they can only lose them.
void RegisterAllocator::State::find_holders() {
  have_holders = true;
  for (auto& list : holders) list.clear();
  for (uint32_t v = 0; v < intervals.size(); v++) {
    const Interval& it = intervals[v];
    if (it.parent != v || it.reg == Interval::no_reg || it.length == 0) continue;
    for (uint32_t s = it.first_segment; s != none; s = segments[s].next)
      holders[it.reg].push_back({segments[s].from, segments[s].to, v});
  }
  for (auto& list : holders)
    std::sort(list.begin(), list.end(), [](const Holder& a, const Holder& b) { return a.from < b.from; });
}

uint8_t RegisterAllocator::State::evict(RegClass cls, Point from, Point to) {
  struct Candidate {
    uint64_t covered = 0;  // points of [from, to), as many as 64, where a range that could go stands
    float weight = 0;
  } candidates[64];
  if (to - from > 64) return Interval::no_reg;
  if (!have_holders) find_holders();
  auto each_holder = [&](uint8_t r, auto&& f) {
    const auto& list = holders[r];
    auto at = std::upper_bound(list.begin(), list.end(), from, [](Point p, const Holder& h) { return p < h.to; });
    for (; at != list.end() && at->from < to; ++at)
      if (intervals[at->vreg].reg == r) f(*at);
  };
  uint8_t best = Interval::no_reg;
  for (uint8_t r : cls == RegClass::gp ? info->gp_order : info->fp_order) {
    Candidate c;
    uint32_t last = none;
    each_holder(r, [&](const Holder& h) {
      const Point b = std::max(h.from, from) - from, e = std::min(h.to, to) - from;
      c.covered |= (e - b == 64 ? ~uint64_t{0} : ((uint64_t{1} << (e - b)) - 1)) << b;
      if (h.vreg != last) c.weight += intervals[h.vreg].weight / float(intervals[h.vreg].length);
      last = h.vreg;
    });
    candidates[r] = c;
    if (!c.covered) continue;
    bool all = true;
    for (Point p = from; p < to; p++) {
      const Occupancy::Masks m = occupancy.in(p, p + 1);
      all &= !(m.clobbered >> r & 1) && (c.covered >> (p - from) & 1 || !(m.taken >> r & 1));
    }
    if (all && (best == Interval::no_reg || c.weight < candidates[best].weight)) best = r;
  }
  if (best == Interval::no_reg) return best;
  const size_t before = spill_queue.size();
  each_holder(best, [&](const Holder& h) {
    intervals[h.vreg].reg = Interval::no_reg;
    release(intervals[h.vreg], best);
    spill_queue.push_back(h.vreg);
  });
  std::sort(spill_queue.begin() + before, spill_queue.end());
  return best;
}

}  // namespace lode::codegen
