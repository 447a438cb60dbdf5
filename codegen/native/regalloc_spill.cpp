// Values that found no register.
//
// Such a value has one home slot, or none if it can be made again. Around each instruction that mentions it, it stands
// in the slot itself where the instruction allows that, or in a register for just this instruction, loaded before and
// stored behind as needed. If no register is free there, a range of little weight gives up its register and is spilled
// instead; if those are all fixed, one that the instruction does not mention is put aside around it.
#include <algorithm>
#include <bit>

#include "codegen/native/regalloc_state.h"

namespace lode::codegen {

uint32_t RegisterAllocator::State::group_start(uint32_t inst) const {
  if (!(code->insts[inst].flags & vflags::terminator)) return inst;
  const uint32_t first = code->blocks[block_of[inst]].first_inst;
  while (inst > first && code->insts[inst - 1].flags & vflags::terminator) inst--;
  return inst;
}

// Homes of ranges that do not meet may be one slot.
uint32_t RegisterAllocator::State::home(uint32_t v) {
  Interval& it = intervals[v];
  if (it.slot != none) return it.slot;
  uint8_t bytes = 1;
  while (bytes < it.bytes) bytes *= 2;
  constexpr size_t tries = 24;      // places looked at, and
  constexpr uint8_t many_users = 64;  // values that one of them may serve: each is compared with each
  for (size_t k = 0; info->share_homes && k < shared.size() && k < tries; k++) {
    SharedSlot& s = shared[shared.size() - 1 - k];
    if (s.bytes != bytes || s.users == many_users) continue;
    bool meets = false;
    for (uint32_t user = s.last_user; user != none && !meets; user = next_user[user]) meets = overlap(v, user);
    if (meets) continue;
    next_user[v] = s.last_user;
    s.last_user = v;
    s.users++;
    return it.slot = s.slot;
  }
  out->slots.push_back({bytes});
  it.slot = uint32_t(out->slots.size() - 1);
  next_user[v] = none;
  shared.push_back({it.slot, v, bytes, 1});
  return it.slot;
}

void RegisterAllocator::State::find_occurrences() {
  block_of.resize(code->insts.size());
  for (uint32_t b = 0; b < code->blocks.size(); b++)
    std::fill_n(block_of.begin() + code->blocks[b].first_inst, code->blocks[b].inst_count, b);
  const uint32_t n = uint32_t(intervals.size());
  occurrences.resize(code->operands.size());
  first_occurrence.assign(n, none);
  for (uint32_t i = uint32_t(code->insts.size()); i-- > 0;) {
    uint32_t count;
    const Operand* ops = code->operands_of(code->insts[i], count);
    const uint32_t base = uint32_t(ops - code->operands.data());
    for (uint32_t k = count; k-- > 0;) {
      const uint32_t v = ops[k].reg().value - Reg::first_virtual;
      if (v >= n) continue;
      occurrences[base + k] = {i, first_occurrence[v]};
      first_occurrence[v] = base + k;
    }
  }
}

void RegisterAllocator::State::spill_all() {
  find_occurrences();
  find_predecessors();
  emergencies.clear();
  shared.clear();
  next_user.resize(intervals.size());
  region_budget = 2000 + 20 * code->insts.size();
  served.assign(code->operands.size(), 0);
  for (size_t k = 0, n = spill_queue.size(); k < n; k++) serve_terminators(spill_queue[k]);
  for (size_t k = 0; k < spill_queue.size(); k++) spill(spill_queue[k]);  // the queue grows by eviction
  for (uint32_t v : around) {
    if (!intervals[v].around_calls || intervals[v].reg == Interval::no_reg) continue;
    place_around_calls(v);
    intervals[v].around_calls = false;  // it may be in the list twice
  }
  for (const Emergency& e : emergencies) put_aside(e);
}

// Fills `members` and `mentions`, in the order of instructions. Returns whether the value can be made again instead of
// being stored.
bool RegisterAllocator::State::collect_mentions(uint32_t v) {
  const VCode& c = *code;
  const Interval& it = intervals[v];
  members.clear();
  mentions.clear();
  uint32_t defs = 0;
  for (uint32_t m = v;;) {
    for (uint32_t o = first_occurrence[m]; o != none; o = occurrences[o].next) {
      members.push_back(o);
      defs += c.operands[o].writes();
    }
    m = intervals[m].next_member;
    if (m == v) break;
  }
  if (it.next_member != v) {
    std::sort(members.begin(), members.end(), [&](uint32_t a, uint32_t b) {
      return occurrences[a].inst != occurrences[b].inst ? occurrences[a].inst < occurrences[b].inst : a < b;
    });
  }
  const bool remat = it.next_member == v && it.remat != none && defs == 1;
  for (uint32_t k = 0; k < members.size();) {
    Mention m{};
    m.inst = occurrences[members[k]].inst;
    m.first = k;
    bool early = false, late = false;
    for (; k < members.size() && occurrences[members[k]].inst == m.inst; k++) {
      const Operand o = c.operands[members[k]];
      m.reads |= o.reads();
      m.writes |= o.writes();
      early |= o.role() == Role::def_early;
      late |= o.role() == Role::use_late;
    }
    m.last = k;
    m.copy = c.insts[m.inst].flags & (vflags::copy | vflags::parallel_copy);
    const Operand one = c.operands[members[m.first]];
    m.slot = m.copy || (!remat && k == m.first + 1 && one.may_be_slot() &&
                        (!m.writes || c.vregs[one.reg().index()].bytes == it.bytes));
    m.from = m.reads || early ? 2 * group_start(m.inst) : 2 * m.inst + 1;
    m.to = m.writes || late ? 2 * m.inst + 2 : 2 * m.inst + 1;
    mentions.push_back(m);
  }
  return remat;
}

// Another operand of the instruction is in a slot already.
bool RegisterAllocator::State::other_slot(const Mention& m) const {
  if (m.copy) return false;
  uint32_t count;
  const Operand* ops = code->operands_of(code->insts[m.inst], count);
  const uint32_t base = uint32_t(ops - code->operands.data());
  for (uint32_t k = 0; k < count; k++)
    if (base + k != members[m.first] && ops[k].reg().is_virtual() && out->operands[base + k].is_slot()) return true;
  return false;
}

// Behind a terminator no register can be given back, so its operands get theirs before pieces of other values fill the
// registers up: those of what is spilled from the beginning first of all, those of an evicted range at once, when its
// register has just become free there.
void RegisterAllocator::State::serve_terminators(uint32_t v) {
  const Interval it = intervals[v];
  std::vector<uint32_t> at;  // operands, by instruction
  uint32_t defs = 0;
  for (uint32_t m = v;;) {
    for (uint32_t o = first_occurrence[m]; o != none; o = occurrences[o].next) {
      if (code->insts[occurrences[o].inst].flags & vflags::terminator) at.push_back(o);
      defs += code->operands[o].writes();
    }
    m = intervals[m].next_member;
    if (m == v) break;
  }
  if (at.empty()) return;
  const bool remat = it.next_member == v && it.remat != none && defs == 1;
  std::sort(at.begin(), at.end(), [&](uint32_t a, uint32_t b) {
    return occurrences[a].inst != occurrences[b].inst ? occurrences[a].inst < occurrences[b].inst : a < b;
  });
  for (size_t k = 0; k < at.size();) {
    const uint32_t i = occurrences[at[k]].inst;
    bool reads = false, late = false;
    size_t end = k;
    for (; end < at.size() && occurrences[at[end]].inst == i; end++) {
      const Operand o = code->operands[at[end]];
      reads |= o.reads();
      late |= o.writes() || o.role() == Role::use_late;
    }
    const uint32_t start = group_start(i);
    const uint8_t reg = tiny(it.cls, 2 * start, 2 * i + 1 + late);
    if (reg == Interval::no_reg) {
      out->failed = true;
      return;
    }
    for (; k < end; k++) {
      out->operands[at[k]] = Location{reg};
      served[at[k]] = 1;
    }
    if (!reads) continue;
    if (remat) edit(start, phase_reload, EditKind::remat, it.cls, it.bytes, Location{reg}, Location{it.remat});
    else
      edit(start, phase_reload, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))), Location{reg},
           Location::slot(home(v)));
  }
}

void RegisterAllocator::State::spill(uint32_t v) {
  out->spilled++;
  intervals[v].around_calls = false;
  const bool remat = collect_mentions(v);
  const Interval it = intervals[v];
  const uint64_t all = class_mask[unsigned(it.cls)];
  uint32_t segment = it.first_segment;
  auto place = [&](const Mention& m, Location l) {
    for (uint32_t k = m.first; k < m.last; k++) out->operands[members[k]] = l;
  };
  Point failed_region[max_depth + 1] = {};  // by depth: the end of a loop that did not work out
  for (size_t k = 0; k < mentions.size();) {
    const Mention& first = mentions[k];
    if (served[members[first.first]]) {
      k++;
      continue;
    }
    if (const size_t end = spill_into_loop(v, k, remat, failed_region); end != k) {
      k = end;
      continue;
    }
    // As many mentions in this block as one register serves.
    uint64_t mask = all & ~occupancy.in(first.from, first.to).both();
    size_t end = k + 1;
    if (mask) {
      mask = cheap(mask);
      const VBlock& block = code->blocks[block_of[first.inst]];
      while (end < mentions.size() && mentions[end].inst < block.first_inst + block.inst_count &&
             !served[members[mentions[end].first]]) {
        const uint64_t wider = mask & ~occupancy.in(mentions[end - 1].to, mentions[end].to).both();
        if (!wider) break;
        mask = wider;
        end++;
      }
    }
    if (end == k + 1 && first.slot && !other_slot(first)) {
      place(first, remat ? Location{remat_location | it.remat} : Location::slot(home(v)));
      k = end;
      continue;
    }
    const Point from = first.from, to = mentions[end - 1].to;
    uint8_t reg;
    if (mask) {
      reg = choose(it, mask);
      occupancy.take(from, to, uint64_t{1} << reg);
      out->used |= uint64_t{1} << reg;
    } else {
      reg = tiny(it.cls, from, to);
      if (reg == Interval::no_reg) {
        emergencies.push_back({first.inst, v, remat, members[first.first]});
        k = end;
        continue;
      }
    }
    if (first.reads) {
      const uint32_t at = group_start(first.inst);
      if (remat) edit(at, phase_reload, EditKind::remat, it.cls, it.bytes, Location{reg}, Location{it.remat});
      else
        edit(at, phase_reload, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))), Location{reg},
             Location::slot(home(v)));
    }
    uint32_t last_write = none;
    for (; k < end; k++) {
      place(mentions[k], Location{reg});
      if (mentions[k].writes) last_write = mentions[k].inst;
    }
    if (last_write == none || remat) continue;
    // The home has to have what is read behind this piece.
    while (segment != none && segments[segment].to <= to) segment = segments[segment].next;
    if (segment != none && segments[segment].from <= to)
      edit(last_write + 1, phase_store, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))),
           Location::slot(home(v)), Location{reg});
  }
}

unsigned RegisterAllocator::State::depth_of(uint32_t block) const {
  // Frequencies are powers of 8 by loop depth, halved in blocks that only some iterations reach.
  unsigned d = 0;
  for (float f = code->blocks[block].frequency; f > 3 && d < max_depth; f /= 8) d++;
  return d;
}

void RegisterAllocator::State::find_predecessors() {
  const uint32_t blocks = uint32_t(code->blocks.size());
  pred_first.assign(blocks + 1, 0);
  for (const VBlock& block : code->blocks)
    for (uint32_t k = 0; k < block.succ_count; k++) pred_first[code->successors[block.succs + k] + 1]++;
  for (uint32_t b = 0; b < blocks; b++) pred_first[b + 1] += pred_first[b];
  preds.resize(pred_first[blocks]);
  count.assign(pred_first.begin(), pred_first.end() - 1);
  for (uint32_t b = 0; b < blocks; b++)
    for (uint32_t k = 0; k < code->blocks[b].succ_count; k++)
      preds[count[code->successors[code->blocks[b].succs + k]]++] = b;
}

// The value v has no register as a whole, but may have one in a loop around mention k: it is loaded on the way in and
// stored behind each definition. The outermost loop that works is taken. Loops are runs of blocks of some depth in
// layout order. Returns the first mention behind the loop, or k.
size_t RegisterAllocator::State::spill_into_loop(uint32_t v, size_t k, bool remat, Point* failed) {
  const uint32_t home_block = block_of[mentions[k].inst];
  const unsigned deepest = depth_of(home_block);
  const Interval it = intervals[v];
  for (unsigned d = 1; d <= deepest && region_budget; d++) {
    if (2 * mentions[k].inst < failed[d]) continue;
    uint32_t low = home_block, high = home_block;
    while (low > 0 && depth_of(low - 1) >= d) low--;
    while (high + 1 < code->blocks.size() && depth_of(high + 1) >= d) high++;
    region_budget -= std::min<uint64_t>(region_budget, high - low + 1 + it.segment_count);
    const Point begin = 2 * code->blocks[low].first_inst;
    const Point end = 2 * (code->blocks[high].first_inst + code->blocks[high].inst_count);
    failed[d] = end;
    uint64_t mask = class_mask[unsigned(it.cls)];
    mask &= ~(info->callee_saved & ~out->used);
    float gain = 0;
    size_t last = k;
    for (; last < mentions.size() && 2 * mentions[last].inst < end; last++)
      if (mentions[last].reads) gain += frequency(mentions[last].inst);
    for (uint32_t s = it.first_segment; s != none && segments[s].from < end && mask; s = segments[s].next)
      if (segments[s].to > begin)
        mask &= ~occupancy.in(std::max(segments[s].from, begin), std::min(segments[s].to, end)).both();
    if (!mask) continue;
    // The edges that enter where the value is live: each needs a place of its own for the load.
    entries.clear();
    bool possible = true;
    uint32_t segment = it.first_segment;
    for (uint32_t t = low; t <= high && possible; t++) {
      const Point start = 2 * code->blocks[t].first_inst;
      while (segment != none && segments[segment].to <= start) segment = segments[segment].next;
      if (segment == none) break;
      if (segments[segment].from > start) continue;
      uint32_t outside = 0, single = 0;
      const uint32_t n = pred_first[t + 1] - pred_first[t];
      for (uint32_t e = pred_first[t]; e < pred_first[t + 1]; e++) {
        if (preds[e] >= low && preds[e] <= high) continue;
        outside++;
        single += code->blocks[preds[e]].succ_count == 1;
      }
      if (outside == 0) continue;
      if (single == outside) {
        for (uint32_t e = pred_first[t]; e < pred_first[t + 1]; e++) {
          if (preds[e] >= low && preds[e] <= high) continue;
          const VBlock& p = code->blocks[preds[e]];
          const uint32_t at = group_start(p.first_inst + p.inst_count - 1);
          entries.push_back({at, 2 * (p.first_inst + p.inst_count)});
          gain -= p.frequency;
          mask &= ~occupancy.in(2 * at, 2 * (p.first_inst + p.inst_count)).both();
        }
      } else if (outside == n) {
        entries.push_back({code->blocks[t].first_inst, start});
        gain -= code->blocks[t].frequency;
      } else {
        possible = false;
      }
      if (!mask) possible = false;
    }
    if (!possible || gain <= 0) continue;

    const uint8_t reg = choose(it, mask);
    const uint64_t bit = uint64_t{1} << reg;
    for (uint32_t s = it.first_segment; s != none && segments[s].from < end; s = segments[s].next)
      if (segments[s].to > begin) occupancy.take(std::max(segments[s].from, begin), std::min(segments[s].to, end), bit);
    for (const Entry& e : entries) {
      occupancy.take(2 * e.inst, std::max(e.to, 2 * e.inst), bit);
      if (remat) edit(e.inst, phase_reload, EditKind::remat, it.cls, it.bytes, Location{reg}, Location{it.remat});
      else
        edit(e.inst, phase_reload, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))), Location{reg},
             Location::slot(home(v)));
    }
    segment = it.first_segment;
    for (; k < last; k++) {
      const Mention& m = mentions[k];
      if (served[members[m.first]]) continue;
      for (uint32_t o = m.first; o < m.last; o++) out->operands[members[o]] = Location{reg};
      if (!m.writes || remat) continue;
      while (segment != none && segments[segment].to <= 2 * m.inst + 2) segment = segments[segment].next;
      if (segment != none && segments[segment].from <= 2 * m.inst + 2)
        edit(m.inst + 1, phase_store, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))),
             Location::slot(home(v)), Location{reg});
    }
    return last;
  }
  return k;
}

// A value that lives in a register which some calls in its range destroy. At the borders of blocks it is in the
// register. Behind a call it is loaded again before it is next read, or at the block's end; the home is written after
// each definition or before each call, whichever runs less often.
void RegisterAllocator::State::place_around_calls(uint32_t v) {
  const bool remat = collect_mentions(v);
  const Interval it = intervals[v];
  const uint64_t bit = uint64_t{1} << it.reg;
  // The calls inside the range that destroy the register.
  crossed.clear();
  float call_frequency = 0, def_frequency = 0;
  for (uint32_t s = it.first_segment; s != none; s = segments[s].next) {
    const size_t at = crossed.size();
    auto c = std::upper_bound(calls.begin(), calls.end(), segments[s].to,
                              [](Point p, const Call& c) { return p > 2 * c.inst + 1; });
    for (; c != calls.end() && 2 * c->inst + 1 >= segments[s].from; ++c) {
      if (!(c->mask & bit)) continue;
      crossed.push_back(c->inst);
      call_frequency += c->frequency;
    }
    std::reverse(crossed.begin() + at, crossed.end());
  }
  for (const Mention& m : mentions)
    if (m.writes) def_frequency += frequency(m.inst);
  const bool store_defs = def_frequency <= call_frequency;
  auto live_at = [&, segment = it.first_segment](Point p) mutable {  // for ascending points
    while (segment != none && segments[segment].to <= p) segment = segments[segment].next;
    return segment != none && segments[segment].from <= p;
  };
  auto lives_out = [&, segment = it.first_segment](uint32_t block_end) mutable {  // for ascending blocks
    while (segment != none && segments[segment].to < 2 * block_end) segment = segments[segment].next;
    return segment != none && segments[segment].from < 2 * block_end;
  };
  auto load = [&](uint32_t before) {
    if (remat) edit(before, phase_reload, EditKind::remat, it.cls, it.bytes, Location{it.reg}, Location{it.remat});
    else
      edit(before, phase_reload, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))), Location{it.reg},
           Location::slot(home(v)));
  };
  auto store = [&](uint32_t before, Phase phase) {
    if (remat) return;
    edit(before, phase, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))), Location::slot(home(v)),
         Location{it.reg});
  };
  size_t m = 0;
  for (size_t k = 0; k < crossed.size();) {
    const VBlock& block = code->blocks[block_of[crossed[k]]];
    const uint32_t block_end = block.first_inst + block.inst_count;
    // The definitions of blocks without calls.
    for (; m < mentions.size() && mentions[m].inst < block.first_inst; m++)
      if (store_defs && mentions[m].writes && live_at(2 * mentions[m].inst + 2))
        store(mentions[m].inst + 1, phase_store);
    bool in_register = true, stored = store_defs;
    while ((k < crossed.size() && crossed[k] < block_end) || (m < mentions.size() && mentions[m].inst < block_end)) {
      // A call reads its operands before it destroys anything.
      const bool mention = m < mentions.size() && mentions[m].inst < block_end &&
                           (k == crossed.size() || mentions[m].inst <= crossed[k]);
      if (mention) {
        const Mention& x = mentions[m++];
        if (x.reads && !in_register) {
          // Read once more before the next call or the end of its life: from the slot.
          const bool more = m < mentions.size() && mentions[m].inst < block_end &&
                            (k >= crossed.size() || mentions[m].inst <= crossed[k]);
          const bool ends = !more && ((k < crossed.size() && crossed[k] < block_end) || !lives_out(block_end));
          if (ends && x.slot && !x.writes && !other_slot(x)) {
            for (uint32_t o = x.first; o < x.last; o++)
              out->operands[members[o]] = remat ? Location{remat_location | it.remat} : Location::slot(home(v));
            continue;
          }
          load(group_start(x.inst));
        }
        if (x.reads || x.writes) in_register = true;
        if (x.writes) {
          stored = false;
          if (store_defs && live_at(2 * x.inst + 2)) store(x.inst + 1, phase_store);
          stored = store_defs;
        }
        continue;
      }
      const uint32_t call = crossed[k++];
      if (!stored && in_register) store(call, phase_call);
      stored = true;
      in_register = false;
    }
    if (!in_register && lives_out(block_end)) load(group_start(block_end - 1));
  }
  for (; m < mentions.size(); m++)
    if (store_defs && mentions[m].writes && live_at(2 * mentions[m].inst + 2)) store(mentions[m].inst + 1, phase_store);
}

// A register for [from, to), taken from a range of less weight if need be.
uint8_t RegisterAllocator::State::tiny(RegClass cls, Point from, Point to) {
  const uint64_t mask = class_mask[unsigned(cls)] & ~occupancy.in(from, to).both();
  uint8_t reg = Interval::no_reg;
  if (mask) {
    const uint64_t good = cheap(mask);
    for (uint8_t r : cls == RegClass::gp ? info->gp_order : info->fp_order) {
      if (good >> r & 1) {
        reg = r;
        break;
      }
    }
  } else {
    const size_t before = spill_queue.size();
    reg = evict(cls, from, to);
    if (reg == Interval::no_reg) return reg;
    occupancy.take(from, to, uint64_t{1} << reg);
    out->used |= uint64_t{1} << reg;
    for (size_t k = before, n = spill_queue.size(); k < n; k++) serve_terminators(spill_queue[k]);
    return reg;
  }
  occupancy.take(from, to, uint64_t{1} << reg);
  out->used |= uint64_t{1} << reg;
  return reg;
}

// The last resort, when all other locations are known: a register that the instruction does not mention is saved around
// it.
void RegisterAllocator::State::put_aside(const Emergency& e) {
  const VInst& inst = code->insts[e.inst];
  uint32_t count;
  const Operand* ops = code->operands_of(inst, count);
  const uint32_t at = uint32_t(ops - code->operands.data());
  const Interval& it = intervals[e.vreg];
  uint64_t mentioned = info->clobbers[inst.flags & vflags::clobber_mask];
  for (uint32_t k = 0; k < count; k++) {
    if (ops[k].reg().is_physical()) {
      mentioned |= uint64_t{1} << ops[k].reg().value;
    } else if (root(ops[k].reg().index()) != e.vreg) {
      const uint32_t l = out->operands[at + k].value;
      if (l < 64) mentioned |= uint64_t{1} << l;
    }
  }
  uint8_t reg = Interval::no_reg;
  for (uint8_t r : it.cls == RegClass::gp ? info->gp_order : info->fp_order)
    if (!(mentioned >> r & 1)) {
      reg = r;
      break;
    }
  if (reg == Interval::no_reg) {
    out->failed = true;
    return;
  }
  bool reads = false, writes = false;
  for (uint32_t k = 0; k < count; k++) {
    if (!ops[k].reg().is_virtual() || root(ops[k].reg().index()) != e.vreg) continue;
    out->operands[at + k] = Location{reg};
    reads |= ops[k].reads();
    writes |= ops[k].writes();
  }
  out->slots.push_back({uint8_t(it.cls == RegClass::gp ? 8 : 16)});
  const Location aside = Location::slot(uint32_t(out->slots.size() - 1));
  edit(e.inst, phase_save, EditKind::move, it.cls, slot_bytes(aside), aside, Location{reg});
  if (reads) {
    if (e.remat) edit(e.inst, phase_reload, EditKind::remat, it.cls, it.bytes, Location{reg}, Location{it.remat});
    else
      edit(e.inst, phase_reload, EditKind::move, it.cls, slot_bytes(Location::slot(it.slot)), Location{reg},
           Location::slot(it.slot));
  }
  if (writes && !e.remat) {
    const Location slot = Location::slot(home(e.vreg));
    edit(e.inst + 1, phase_store, EditKind::move, it.cls, slot_bytes(slot), slot, Location{reg});
  }
  edit(e.inst + 1, phase_restore, EditKind::move, it.cls, slot_bytes(aside), Location{reg}, aside);
}

}  // namespace lode::codegen
