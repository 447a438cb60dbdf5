// Live ranges, by one backward pass over the instructions. Between two blocks in layout order only the registers that
// are live on one side of the border are touched, so a value that lives through a hundred blocks costs nothing in them.
#include <algorithm>
#include <bit>

#include "codegen/native/regalloc_state.h"

namespace lode::codegen {

namespace {

// A role set as bits by Role.
constexpr uint32_t reading = 1 << unsigned(Role::use) | 1 << unsigned(Role::use_late) | 1 << unsigned(Role::mod);

}  // namespace

// Ranges are made backwards. A register's first segment has the register's own number; when another is put in front, it
// moves.
inline void RegisterAllocator::State::add_segment(uint32_t v, Point from, Point to) {
  Segment& s = segments[v];
  Interval& it = intervals[v];
  if (s.to == 0) {
    s.from = from;
    s.to = to;
    it.length = to - from;
    it.segment_count = 1;
    return;
  }
  if (to >= s.from) {
    const Point new_from = std::min(s.from, from), new_to = std::max(s.to, to);
    it.length += (new_to - new_from) - (s.to - s.from);
    s.from = new_from;
    s.to = new_to;
    return;
  }
  it.segment_count++;
  it.length += to - from;
  const Segment old = s;
  segments[v] = {from, to, uint32_t(segments.size())};
  segments.push_back(old);
}

void RegisterAllocator::State::take_fixed(Point from, Point to, uint64_t mask) {
  occupancy.take(from, to, mask);
  fixed.push_back({from, to, 0, mask});
}

void RegisterAllocator::State::build_ranges() {
  const uint32_t n = uint32_t(code->vregs.size()), blocks = uint32_t(code->blocks.size());
  occupancy.reset(uint32_t(code->insts.size()) * 2);
  live_end.assign(n, 0);
  live.assign(words, 0);
  live_out.assign(words, 0);
  Point phys_end[64] = {};
  uint64_t phys_live = 0;
  auto read = [&](uint32_t r, uint32_t role, uint32_t i) {
    const Point end = 2 * i + 1 + (role != unsigned(Role::use));
    if (const uint32_t v = r - Reg::first_virtual; v < n) {
      if (live_end[v] < end) live_end[v] = end;
    } else if (r < Reg::first_virtual) {
      if (role == unsigned(Role::mod)) out->used |= uint64_t{1} << r;
      if (!(phys_live >> r & 1) || phys_end[r] < end) phys_end[r] = end;
      phys_live |= uint64_t{1} << r;
    }
  };
  for (uint32_t b = blocks; b-- > 0;) {
    const VBlock& block = code->blocks[b];
    const Point block_end = (block.first_inst + block.inst_count) * 2;
    const float frequency = block.frequency;
    // From what is live at the next block's start to what is live at this one's end.
    auto turn = [&](uint32_t v, bool leaving) {
      if (!leaving) add_segment(v, block_end, live_end[v]);
      live_end[v] = leaving ? block_end : 0;
    };
    if (words) {
      find_live_out(b);
      for (uint32_t w = 0; w < words; w++)
        for (uint64_t change = live[w] ^ live_out[w]; change; change &= change - 1) {
          const unsigned bit = unsigned(std::countr_zero(change));
          turn(crossing[w * 64 + bit], live_out[w] >> bit & 1);
        }
    }
    if (!borders.empty())
      for (uint32_t k = border_first[b]; k < border_first[b + 1]; k++) turn(border_regs[k] >> 1, border_regs[k] & 1);
    for (uint32_t i = block.first_inst + block.inst_count; i-- > block.first_inst;) {
      const VInst& inst = code->insts[i];
      if (inst.operand_count == 0 && !(inst.flags & vflags::clobber_mask)) continue;
      uint32_t operand_count;
      const Operand* ops = code->operands_of(inst, operand_count);
      if (const unsigned clobber = inst.flags & vflags::clobber_mask) {
        const uint64_t mask = info->clobbers[clobber];
        out->used |= mask;
        // Behind a terminator nothing can be loaded again.
        bool plain = !(inst.flags & vflags::terminator);
        for (uint32_t k = 0; k < operand_count; k++) plain &= ops[k].reg().is_physical() || ops[k].role() == Role::use;
        if (plain) {
          occupancy.clobber(2 * i + 1, mask);
          calls.push_back({i, frequency, mask});
        } else {  // results stand where nothing is destroyed: no range may be in those registers here
          take_fixed(2 * i + 1, 2 * i + 2, mask);
        }
      }
      // Definitions before uses: a use that comes first is seen again.
      bool reads = false, again = false;
      for (uint32_t k = 0; k < operand_count; k++) {
        const uint32_t r = ops[k].reg().value, v = r - Reg::first_virtual, role = unsigned(ops[k].role());
        if (v < n) intervals[v].weight += frequency;
        if (1u << role & reading) {
          reads = true;
          read(r, role, i);
          continue;
        }
        again |= reads;
        const Point from = 2 * i + (role == unsigned(Role::def));
        if (v < n) {
          add_segment(v, from, std::max(live_end[v], 2 * i + 2));
          live_end[v] = 0;
        } else if (r < Reg::first_virtual) {
          out->used |= uint64_t{1} << r;
          take_fixed(from, phys_live >> r & 1 ? std::max(phys_end[r], 2 * i + 2) : 2 * i + 2, uint64_t{1} << r);
          phys_live &= ~(uint64_t{1} << r);
        }
      }
      for (uint32_t k = 0; again && k < operand_count; k++)
        if (1u << unsigned(ops[k].role()) & reading) read(ops[k].reg().value, unsigned(ops[k].role()), i);
      if (inst.flags & (vflags::copy | vflags::parallel_copy)) {
        copy_insts.push_back(i);
        for (uint32_t k = 0; k + 1 < operand_count; k += 2) {
          const Reg d = ops[k].reg(), s = ops[k + 1].reg();
          if (d.is_virtual() && s.is_virtual()) copies.push_back({d.index(), s.index(), frequency});
          else if (d.is_virtual()) add_hint(intervals[d.index()], s.value, frequency);
          else if (s.is_virtual()) add_hint(intervals[s.index()], d.value, frequency);
        }
      } else if (inst.flags & vflags::remat && operand_count >= 1 && ops[0].reg().is_virtual()) {
        intervals[ops[0].reg().index()].remat = i;  // good only if nothing else defines it: checked when it is spilled
      }
    }
    const Point start = block.first_inst * 2;
    if (words) std::copy_n(live_in.data() + size_t{b} * words, words, live.begin());
    while (phys_live) {
      const unsigned r = unsigned(std::countr_zero(phys_live));
      phys_live &= phys_live - 1;
      take_fixed(start, phys_end[r], uint64_t{1} << r);
    }
  }
  // Almost sorted already: ranges end up here when their definition is met.
  std::stable_sort(fixed.begin(), fixed.end(), [](const Fixed& a, const Fixed& b) { return a.from > b.from; });
  Point reaches = 0;
  for (size_t k = fixed.size(); k-- > 0;) fixed[k].reaches = reaches = std::max(reaches, fixed[k].to);
  // What is live at the function's start, undefined.
  auto begin = [&](uint32_t v) {
    add_segment(v, 0, live_end[v]);
    live_end[v] = 0;
  };
  for (uint32_t w = 0; w < words; w++)
    for (uint64_t rest = live[w]; rest; rest &= rest - 1) begin(crossing[w * 64 + unsigned(std::countr_zero(rest))]);
  if (!borders.empty())
    for (uint32_t k = border_first[blocks]; k < border_first[blocks + 1]; k++) begin(border_regs[k] >> 1);
}

}  // namespace lode::codegen
