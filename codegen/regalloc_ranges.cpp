// Liveness and live ranges.
//
// A first pass finds the registers that are read in a block before that block defines them: only those are live across blocks and get a bit.
// Their live-in sets are the least solution of the usual equations, found by sweeps over the blocks backwards, each block again only
// when a successor has changed. Then one backward pass over the instructions makes the ranges; between two blocks in layout order
// only the registers that are live on one side of the border are touched, so a value that lives through a hundred blocks costs nothing in them.
#include <algorithm>
#include <bit>

#include "codegen/regalloc_state.h"

namespace lode::codegen {

namespace {

// Role sets as bits by Role.
constexpr uint32_t reading = 1 << unsigned(Role::use) | 1 << unsigned(Role::use_late) | 1 << unsigned(Role::mod),
                   writing = 1 << unsigned(Role::def) | 1 << unsigned(Role::def_early) | 1 << unsigned(Role::mod);

}  // namespace

void RegisterAllocator::State::find_liveness() {
  const uint32_t n = uint32_t(code->vregs.size()), blocks = uint32_t(code->blocks.size());
  last_def.assign(n, none);
  last_use.assign(n, none);
  crossing.clear();
  exposed.clear();
  other_defs.clear();
  words = 0;
  undefined = false;
  undefined_words.clear();
  for (uint32_t b = 0; b < blocks; b++) {
    const VBlock& block = code->blocks[b];
    const VInst* inst = code->insts.data() + block.first_inst;
    for (const VInst* end = inst + block.inst_count; inst != end; inst++) {
      if (inst->operand_count == 0) continue;
      uint32_t operand_count;
      const Operand* op = code->operands_of(*inst, operand_count);
      if (pending.size() < operand_count) pending.resize(operand_count);
      uint32_t writes = 0;
      for (const Operand* last = op + operand_count; op != last; op++) {
        const uint32_t v = op->reg().value - Reg::first_virtual;
        if (v >= n || last_def[v] == b) continue;
        const uint32_t role = 1u << unsigned(op->role());
        if (role & reading && last_use[v] != b) {
          if (last_use[v] == none) crossing.push_back(v);
          last_use[v] = b;
          exposed.push_back({b, v});
        }
        // What an instruction writes must not hide what it reads.
        if (role & writing) pending[writes++] = v;
      }
      for (uint32_t k = 0; k < writes; k++) {
        const uint32_t v = pending[k];
        if (last_def[v] != none && last_def[v] != b) other_defs.push_back({last_def[v], v});
        last_def[v] = b;
      }
    }
  }
  if (crossing.empty()) return;

  words = uint32_t(crossing.size() + 63) / 64;
  for (uint32_t k = 0; k < crossing.size(); k++) last_use[crossing[k]] = k;  // from here on: the bit
  live_in.assign(size_t{blocks} * words, 0);
  defined.assign(size_t{blocks} * words, 0);
  auto set = [&](std::vector<uint64_t>& bits, uint32_t b, uint32_t v) {
    const uint32_t k = last_use[v];
    bits[size_t{b} * words + k / 64] |= uint64_t{1} << (k & 63);
  };
  for (const BlockAndReg& e : exposed) set(live_in, e.block, e.vreg);
  for (uint32_t v : crossing)
    if (last_def[v] != none) set(defined, last_def[v], v);
  for (const BlockAndReg& e : other_defs)
    if (last_use[e.vreg] != none) set(defined, e.block, e.vreg);

  // changed_at, computed_at: by block, in steps of one clock.
  changed_at.assign(blocks, 1);
  computed_at.assign(blocks, 0);
  uint32_t clock = 1;
  for (bool again = true; again;) {
    again = false;
    for (uint32_t b = blocks; b-- > 0;) {
      const VBlock& block = code->blocks[b];
      bool due = false;
      for (uint32_t k = 0; k < block.succ_count; k++) due |= changed_at[code->successors[block.succs + k]] > computed_at[b];
      if (!due) continue;
      clock++;
      computed_at[b] = clock;
      uint64_t* in = live_in.data() + size_t{b} * words;
      const uint64_t* def = defined.data() + size_t{b} * words;
      uint64_t grown = 0;
      for (uint32_t k = 0; k < block.succ_count; k += 2) {  // two successors at a time
        const uint64_t* next = live_in.data() + size_t{code->successors[block.succs + k]} * words;
        const uint64_t* other = k + 1 < block.succ_count ? live_in.data() + size_t{code->successors[block.succs + k + 1]} * words : next;
        for (uint32_t w = 0; w < words; w++) {
          const uint64_t more = (next[w] | other[w]) & ~def[w] & ~in[w];
          in[w] |= more;
          grown |= more;
        }
      }
      if (grown) {
        changed_at[b] = ++clock;
        again = true;
      }
    }
  }
  for (uint32_t w = 0; w < words; w++)
    if (live_in[w]) trim_undefined(w);
}

// Some registers of word w are not defined on every path (block parameters that one edge leaves undefined): they are not live where no
// definition has been passed, except where they are read all the same. Turns `defined` into what some path has defined at the
// block's end.
void RegisterAllocator::State::trim_undefined(uint32_t w) {
  const uint32_t blocks = uint32_t(code->blocks.size());
  undefined = true;
  reached.assign(blocks, 0);
  for (bool again = true; again;) {
    again = false;
    for (uint32_t b = 0; b < blocks; b++) {
      const VBlock& block = code->blocks[b];
      const uint64_t out_of = reached[b] | defined[size_t{b} * words + w];
      for (uint32_t k = 0; k < block.succ_count; k++) {
        const uint32_t s = code->successors[block.succs + k];
        again |= s <= b && (out_of & ~reached[s]);
        reached[s] |= out_of;
      }
    }
  }
  const uint64_t suspects = live_in[w];
  for (uint32_t b = 0; b < blocks; b++) {
    live_in[size_t{b} * words + w] &= reached[b] | ~suspects;
    defined[size_t{b} * words + w] |= reached[b];
  }
  for (const BlockAndReg& e : exposed)
    if (last_use[e.vreg] / 64 == w) live_in[size_t{e.block} * words + w] |= uint64_t{1} << (last_use[e.vreg] & 63);
  undefined_words.push_back(w);
}

// Ranges are made backwards. A register's first segment has the register's own number; when another is put in front, it moves.
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
    if (words) std::fill_n(live_out.begin(), words, 0);
    for (uint32_t k = 0; k < block.succ_count; k++) {
      const uint64_t* next = live_in.data() + size_t{code->successors[block.succs + k]} * words;
      for (uint32_t w = 0; w < words; w++) live_out[w] |= next[w];
    }
    for (uint32_t w : undefined_words) live_out[w] &= defined[size_t{b} * words + w];
    for (uint32_t w = 0; w < words; w++) {
      const uint64_t leaving = live_out[w];
      uint64_t change = live[w] ^ leaving;
      while (change) {
        const unsigned bit = unsigned(std::countr_zero(change));
        change &= change - 1;
        const uint32_t v = crossing[w * 64 + bit];
        if (live[w] >> bit & 1) add_segment(v, block_end, live_end[v]);
        live_end[v] = leaving >> bit & 1 ? block_end : 0;
      }
    }
    for (uint32_t i = block.first_inst + block.inst_count; i-- > block.first_inst;) {
      const VInst& inst = code->insts[i];
      if (inst.operand_count == 0 && !(inst.flags & vflags::clobber_mask)) continue;
      uint32_t operand_count;
      const Operand* ops = code->operands_of(inst, operand_count);
      if (const unsigned clobber = inst.flags & vflags::clobber_mask) {
        const uint64_t mask = info->clobbers[clobber];
        out->used |= mask;
        bool plain = true;
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
  for (uint32_t w = 0; w < words; w++) {
    for (uint64_t rest = live[w]; rest; rest &= rest - 1) {
      const uint32_t v = crossing[w * 64 + unsigned(std::countr_zero(rest))];
      add_segment(v, 0, live_end[v]);
      live_end[v] = 0;
    }
  }
}

}  // namespace lode::codegen
