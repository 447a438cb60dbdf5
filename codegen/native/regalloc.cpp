// The register allocator's main line: liveness, live ranges, coalescing, assignment by weight.
//
//  1. Liveness (regalloc_liveness.cpp) by bit sets over the registers that occur in several blocks. -O0 code has none
//     of these.
//  2. Ranges (regalloc_ranges.cpp): one backward pass makes sorted segment lists, and marks in the occupancy table what
//     physical registers and call clobbers take.
//  3. Coalescing. Copies in order of frequency: two ranges that do not meet become one. Not where control may come back
//     a second time: the range that ends at the copy may be wanted again then, with what it held.
//  4. Assignment. In order of weight (frequency of use / length), in buckets, each range takes the best register that
//     is free in all of it: a hint's, then the target's order of preference; a callee-saved register that the function
//     does not use yet must be worth saving.
//  5. What found no register is spilled (regalloc_spill.cpp); copies become moves (regalloc_moves.cpp).
#include "codegen/native/regalloc.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "codegen/native/regalloc_state.h"

namespace lode::codegen {

void VCode::clear() {
  insts.clear();
  operands.clear();
  vregs.clear();
  blocks.clear();
  successors.clear();
  locations.clear();
  entry_defs = 0;
}

void Allocation::clear() {
  operands.clear();
  edits.clear();
  slots.clear();
  homes.clear();
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
    const VRegInfo& r = code->vregs[v];
    Interval& it = intervals[v] = Interval{};
    it.parent = it.next_member = it.first_segment = v;
    it.cls = r.cls;
    it.bytes = r.bytes;
    if (r.hint < Reg::first_virtual) {
      it.hint[0] = uint8_t(r.hint);
      it.hint_weight[0] = 0.5f;
    }
  }
  segments.assign(n, Segment{0, 0, none});
  copies.clear();
  copy_insts.clear();
  edits.clear();
  block_of.clear();
  spill_queue.clear();
  calls.clear();
  around.clear();
  occurrences.clear();
  fixed.clear();
  fixed_groups.clear();
  have_holders = false;
  find_liveness();
  build_ranges();
  coalesce();
  assign();
  place_operands();
  if (!spill_queue.empty() || !around.empty()) spill_all();
  resolve_copies();
  finish_edits();
  out->homes.clear();
  if (!code->locations.empty())
    for (uint32_t v = 0; v < n; v++) {
      const Interval& it = intervals[root(v)];
      out->homes.push_back(it.around_calls ? Interval::no_reg : it.reg);
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
  if (segments[x].to == 0) x = none;
  if (segments[y].to == 0) y = none;
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
  if (copies.empty() || !info->share_homes) return;
  // By frequency, in buckets of its exponent; the backward pass left later copies first.
  count.assign(257, 0);
  auto bucket = [](float f) { return 255 - (std::bit_cast<uint32_t>(f) >> 23 & 255); };
  for (const Copy& c : copies) count[bucket(c.frequency) + 1]++;
  for (uint32_t k = 0; k < 256; k++) count[k + 1] += count[k];
  order.resize(copies.size());
  for (uint32_t k = uint32_t(copies.size()); k-- > 0;) order[count[bucket(copies[k].frequency)]++] = k;
  // Long segment lists are compared and merged only while there is a budget: in a large function this would become
  // quadratic.
  constexpr uint32_t few_segments = 32;
  uint64_t budget = 20000 + 30 * uint64_t{segments.size()};
  for (uint32_t k : order) {
    uint32_t a = root(copies[k].dst), b = root(copies[k].src);
    if (a == b) {
      out->coalesced++;
      continue;
    }
    const Interval &ia = intervals[a], &ib = intervals[b];
    const uint32_t steps = ia.segment_count + ib.segment_count;
    if (ia.cls != ib.cls || (steps > few_segments && steps > budget)) continue;
    budget -= std::min<uint64_t>(budget, steps);
    if (overlap(a, b)) continue;
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

// What it costs to live in a register that calls destroy: a load behind each of them and a store for each definition or
// each call. The register that costs least goes to `best`, as a mask.
float RegisterAllocator::State::cost_around_calls(const Interval& it, uint64_t reg_mask, uint64_t& best) const {
  float all = 0;
  uint64_t touched = 0;
  uint32_t steps = 0;
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) {
    // Calls in [from, to), which are sorted downwards.
    const Segment& segment = segments[s];
    auto at = std::upper_bound(calls.begin(), calls.end(), segment.to,
                               [](Point p, const Call& c) { return p > 2 * c.inst + 1; });
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
  give(v, choose(it, mask));
  return true;
}

void RegisterAllocator::State::give(uint32_t v, uint8_t reg) {
  Interval& it = intervals[v];
  it.reg = reg;
  out->used |= uint64_t{1} << reg;
  take(it, reg);
  assigned[reg].push_back(v);
}

void RegisterAllocator::State::assign() {
  const uint32_t n = uint32_t(intervals.size());
  // Buckets of weight / length, heaviest first: exponent and one bit of mantissa, from 2^-32 up.
  constexpr uint32_t buckets = 128;
  count.assign(buckets + 1, 0);
  bucket_of.resize(n);
  uint32_t total = 0;
  for (uint32_t v = 0; v < n; v++) {
    const Interval& it = intervals[v];
    bucket_of[v] = 255;
    if (it.parent != v || it.length == 0) continue;
    const int bits = int(std::bit_cast<uint32_t>(it.weight / float(it.length)) >> 22) - 2 * (127 - 32);
    const uint32_t k = buckets - 1 - uint32_t(std::clamp(bits, 0, int(buckets) - 1));
    bucket_of[v] = uint8_t(k);
    count[k + 1]++;
    total++;
  }
  for (uint32_t k = 0; k < buckets; k++) count[k + 1] += count[k];
  order.resize(total);
  for (uint32_t v = 0; v < n; v++)
    if (bucket_of[v] != 255) order[count[bucket_of[v]]++] = v;
  for (auto& list : assigned) list.clear();
  displace_budget = 20000 + 20 * uint64_t{n};
  for (uint32_t v : order) {
    if (!try_assign(v) && !displace(v)) spill_queue.push_back(v);
  }
}

void RegisterAllocator::State::place_operands() {
  const uint32_t n = uint32_t(intervals.size());
  location_of.resize(n + Reg::first_virtual);
  for (uint32_t r = 0; r < Reg::first_virtual; r++) location_of[r] = uint8_t(r);
  for (uint32_t v = 0; v < n; v++) location_of[Reg::first_virtual + v] = intervals[root(v)].reg;
  // A word that counts operands stands among them: what it gets here nobody reads.
  const size_t count = code->operands.size(), known = location_of.size();
  out->operands.resize(count);
  for (size_t k = 0; k < count; k++) {
    const uint32_t r = code->operands[k].reg().value;
    out->operands[k] = Location{r < known ? location_of[r] : 0u};
  }
}

}  // namespace lode::codegen
