#include "codegen/native/slot_sharing.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <numeric>

namespace lode::codegen {

namespace {
constexpr uint32_t none = ~0u;
constexpr uint64_t set_limit = uint64_t{1} << 22;   // words of the sets of one kind
constexpr uint64_t work_limit = uint64_t{1} << 26;
constexpr uint64_t small_slot = 64;
}  // namespace

void SlotSharing::run(const air::Function& fn, std::span<const SlotZone> groups) {
  slots = fn.slots;
  place.resize(slots.size());
  std::iota(place.begin(), place.end(), 0u);
  if (!fn.lifetime_markers || slots.size() < 2) return;
  for (const air::CallSite& c : fn.calls)
    if (c.flags & air::callflags::returns_twice) return;
  work_ = 0;
  if (!find_marks(fn) || !flow(fn)) return;
  find_ranges(fn);
  share(groups);
}

// False: there is nothing to share, or it may not be.
bool SlotSharing::find_marks(const air::Function& fn) {
  marks_.clear();
  marked_.clear();
  number_.assign(slots.size(), none);
  for (uint32_t b = 0; b < fn.blocks.size(); b++) {
    const air::Block& block = fn.blocks[b];
    for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++) {
      const air::Inst& i = fn.insts[k];
      if (i.op == air::Op::eh_sjlj_setjmp) return false;
      if (i.op != air::Op::lifetime_start && i.op != air::Op::lifetime_end) continue;
      const bool starts = i.op == air::Op::lifetime_start;
      if (starts && number_[i.a] == none) {
        number_[i.a] = uint32_t(marked_.size());
        marked_.push_back(i.a);
      }
      marks_.push_back({b, k, i.a, starts});
    }
  }
  // An end may stand before the first start in the order of the blocks.
  std::erase_if(marks_, [&](const Mark& m) { return number_[m.slot] == none; });
  for (Mark& m : marks_) m.slot = number_[m.slot];
  words_ = uint32_t((marked_.size() + 63) / 64);
  return marked_.size() >= 2 && uint64_t{words_} * fn.blocks.size() <= set_limit;
}

// Where a slot may hold a value at the start of each block. False: too much work.
bool SlotSharing::flow(const air::Function& fn) {
  const size_t n = fn.blocks.size(), w = words_;
  in_.assign(n * w, 0);
  gen_.assign(n * w, 0);
  kill_.assign(n * w, 0);
  for (const Mark& m : marks_) {
    const uint64_t bit = uint64_t{1} << (m.slot % 64);
    uint64_t &gen = gen_[m.block * w + m.slot / 64], &kill = kill_[m.block * w + m.slot / 64];
    gen = m.starts ? gen | bit : gen & ~bit;
    kill = m.starts ? kill & ~bit : kill | bit;
  }
  dirty_.assign(n, 1);
  for (bool again = true; again;) {
    again = false;
    for (size_t b = 0; b < n; b++) {
      if (!dirty_[b]) continue;
      dirty_[b] = 0;
      const air::Block& block = fn.blocks[b];
      if (block.inst_count == 0) continue;
      air::for_each_edge(fn, fn.insts[block.first_inst + block.inst_count - 1], [&](air::EdgeIndex e) {
        const size_t to = fn.edges[e].target.value;
        work_ += w;
        for (size_t k = 0; k < w; k++) {
          const uint64_t out = (in_[b * w + k] & ~kill_[b * w + k]) | gen_[b * w + k];
          if (!(out & ~in_[to * w + k])) continue;
          in_[to * w + k] |= out;
          dirty_[to] = 1;
          again |= to <= b;
        }
      });
      if (work_ > work_limit) return false;
    }
  }
  return true;
}

void SlotSharing::find_ranges(const air::Function& fn) {
  const size_t w = words_;
  if (ranges_.size() < marked_.size()) ranges_.resize(marked_.size());
  for (size_t s = 0; s < marked_.size(); s++) ranges_[s].clear();
  open_from_.resize(marked_.size());
  auto close = [&](uint32_t slot, uint32_t to) {
    std::vector<Range>& r = ranges_[slot];
    if (!r.empty() && r.back().to == open_from_[slot]) r.back().to = to;
    else r.push_back({open_from_[slot], to});
  };
  auto mark = marks_.begin();
  for (uint32_t b = 0; b < fn.blocks.size(); b++) {
    const air::Block& block = fn.blocks[b];
    open_.assign(in_.begin() + ptrdiff_t(b * w), in_.begin() + ptrdiff_t((b + 1) * w));
    auto each_open = [&](auto&& f) {
      for (size_t k = 0; k < w; k++)
        for (uint64_t bits = open_[k]; bits; bits &= bits - 1) f(uint32_t(64 * k + size_t(std::countr_zero(bits))));
    };
    each_open([&](uint32_t slot) { open_from_[slot] = block.first_inst; });
    for (; mark != marks_.end() && mark->block == b; ++mark) {
      const uint64_t bit = uint64_t{1} << (mark->slot % 64);
      uint64_t& word = open_[mark->slot / 64];
      if (mark->starts && !(word & bit)) open_from_[mark->slot] = mark->inst;
      if (!mark->starts && (word & bit)) close(mark->slot, mark->inst);
      word = mark->starts ? word | bit : word & ~bit;
    }
    each_open([&](uint32_t slot) { close(slot, block.first_inst + block.inst_count); });
  }
}

bool SlotSharing::meet(const std::vector<Range>& a, const std::vector<Range>& b) {
  auto i = a.begin(), j = b.begin();
  for (; i != a.end() && j != b.end(); work_++) {
    if (i->to <= j->from) ++i;
    else if (j->to <= i->from) ++j;
    else return true;
  }
  return false;
}

// Large slots first, each into the first place where it meets nobody: a place is as large as its first slot.
void SlotSharing::share(std::span<const SlotZone> groups) {
  std::vector<uint32_t> order(marked_.size()), places;
  std::iota(order.begin(), order.end(), 0u);
  auto class_of = [&](uint32_t n) {
    const uint32_t slot = marked_[n];
    return (groups.empty() ? 0u : uint32_t(groups[slot]) * 2u) + (slots[slot].size > small_slot);
  };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (class_of(a) != class_of(b)) return class_of(a) < class_of(b);
    const uint64_t x = slots[marked_[a]].size, y = slots[marked_[b]].size;
    return x != y ? x > y : marked_[a] < marked_[b];
  });
  for (uint32_t n : order) {
    if (work_ > work_limit) return;
    if (!places.empty() && class_of(places.front()) != class_of(n)) places.clear();
    auto alone = [&](uint32_t other) { return !meet(ranges_[other], ranges_[n]); };
    auto p = std::find_if(places.begin(), places.end(), alone);
    if (p == places.end()) {
      places.push_back(n);
      continue;
    }
    air::StackSlot &to = slots[marked_[*p]], &from = slots[marked_[n]];
    place[marked_[n]] = marked_[*p];
    to.align_log2 = std::max(to.align_log2, from.align_log2);
    from = {0, 0};
    merged_.clear();
    std::vector<Range>& both = ranges_[*p];
    std::merge(both.begin(), both.end(), ranges_[n].begin(), ranges_[n].end(), std::back_inserter(merged_),
               [](const Range& a, const Range& b) { return a.from < b.from; });
    work_ += merged_.size();
    both.swap(merged_);
  }
}

}  // namespace lode::codegen
