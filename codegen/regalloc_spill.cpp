// Values that found no register.
//
// Such a value has one home slot, or none if it can be made again. Around each instruction that mentions it, it stands in the slot
// itself where the instruction allows that, or in a register for just this instruction, loaded before and stored behind as
// needed. If no register is free there, a range of little weight gives up its register and is spilled instead;
// if those are all fixed, one that the instruction does not mention is put aside around it.
#include <algorithm>
#include <bit>

#include "codegen/regalloc_state.h"

namespace lode::codegen {

uint32_t RegisterAllocator::State::group_start(uint32_t inst) const {
  if (!(code->insts[inst].flags & vflags::terminator)) return inst;
  const uint32_t first = code->blocks[block_of[inst]].first_inst;
  while (inst > first && code->insts[inst - 1].flags & vflags::terminator) inst--;
  return inst;
}

uint32_t RegisterAllocator::State::home(uint32_t v) {
  Interval& it = intervals[v];
  if (it.slot == none) {
    uint8_t bytes = 1;
    while (bytes < it.bytes) bytes *= 2;
    out->slots.push_back({bytes});
    it.slot = uint32_t(out->slots.size() - 1);
  }
  return it.slot;
}

void RegisterAllocator::State::spill_all() {
  block_of.resize(code->insts.size());
  for (uint32_t b = 0; b < code->blocks.size(); b++)
    std::fill_n(block_of.begin() + code->blocks[b].first_inst, code->blocks[b].inst_count, b);
  emergencies.clear();
  for (size_t k = 0; k < spill_queue.size(); k++) spill(spill_queue[k]);  // the queue grows by eviction
  for (const Emergency& e : emergencies) put_aside(e);
}

void RegisterAllocator::State::spill(uint32_t v) {
  out->spilled++;
  const VCode& c = *code;
  members.clear();
  uint32_t defs = 0;
  for (uint32_t m = v;;) {
    for (uint32_t o = intervals[m].first_occurrence; o != none; o = occurrences[o].next) {
      members.push_back(o);
      defs += c.operands[o].writes();
    }
    m = intervals[m].next_member;
    if (m == v) break;
  }
  if (intervals[v].next_member != v) {
    std::sort(members.begin(), members.end(), [&](uint32_t a, uint32_t b) {
      return occurrences[a].inst != occurrences[b].inst ? occurrences[a].inst < occurrences[b].inst : a < b;
    });
  }
  const Interval it = intervals[v];
  const bool remat = it.next_member == v && it.remat != none && defs == 1;
  uint32_t segment = it.first_segment;
  for (size_t k = 0; k < members.size();) {
    const uint32_t i = occurrences[members[k]].inst;
    const VInst& inst = c.insts[i];
    size_t end = k;
    bool reads = false, writes = false, early = false, late = false;
    for (; end < members.size() && occurrences[members[end]].inst == i; end++) {
      const Operand o = c.operands[members[end]];
      reads |= o.reads();
      writes |= o.writes();
      early |= o.role() == Role::def_early;
      late |= o.role() == Role::use_late;
    }
    auto place = [&](Location l) {
      for (; k < end; k++) out->operands[members[k]] = l;
    };
    if (inst.flags & (vflags::copy | vflags::parallel_copy)) {
      place(remat ? Location{remat_location | it.remat} : Location::slot(home(v)));
      continue;
    }
    const Operand one = c.operands[members[k]];
    if (!remat && end == k + 1 && one.may_be_slot() && (!writes || c.vregs[one.reg().index()].bytes == it.bytes)) {
      uint32_t count;
      const Operand* ops = c.operands_of(inst, count);
      bool other = false;
      for (uint32_t at = uint32_t(ops - c.operands.data()), n = at + count; at < n; at++)
        other |= at != members[k] && ops[at - (n - count)].reg().is_virtual() && out->operands[at].is_slot();
      if (!other) {
        place(Location::slot(home(v)));
        continue;
      }
    }
    const uint32_t start = group_start(i);
    const Point from = reads || early ? 2 * start : 2 * i + 1, to = writes || late ? 2 * i + 2 : 2 * i + 1;
    const uint8_t reg = tiny(it.cls, from, to, i);
    if (reg == Interval::no_reg) {
      emergencies.push_back({i, v, remat, uint32_t(members[k])});
      k = end;
      continue;
    }
    place(Location{reg});
    if (reads) {
      if (remat) edit(start, phase_reload, EditKind::remat, it.cls, it.bytes, Location{reg}, Location{it.remat});
      else edit(start, phase_reload, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))), Location{reg}, Location::slot(home(v)));
    }
    while (segment != none && segments[segment].to <= 2 * i + 2) segment = segments[segment].next;
    if (writes && !remat && segment != none && segments[segment].from <= 2 * i + 2)
      edit(i + 1, phase_store, EditKind::move, it.cls, slot_bytes(Location::slot(home(v))), Location::slot(home(v)), Location{reg});
  }
}

// A register for [from, to), taken from a range of less weight if need be.
uint8_t RegisterAllocator::State::tiny(RegClass cls, Point from, Point to, uint32_t inst) {
  (void)inst;
  const uint64_t mask = class_mask[unsigned(cls)] & ~occupancy.taken(from, to);
  uint8_t reg = Interval::no_reg;
  if (mask) {
    // A callee-saved register that is not in use yet comes last; next to that, caller-saved ones first.
    const uint64_t cheap = mask & ~(info->callee_saved & ~out->used);
    for (uint8_t r : cls == RegClass::gp ? info->gp_order : info->fp_order) {
      if ((cheap ? cheap : mask) >> r & 1) {
        reg = r;
        break;
      }
    }
  } else {
    reg = evict(cls, from, to);
    if (reg == Interval::no_reg) return reg;
  }
  occupancy.take(from, to, uint64_t{1} << reg);
  out->used |= uint64_t{1} << reg;
  return reg;
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
    if (segments[it.first_segment].from >= to || segments[it.last_segment].to <= from) continue;
    Candidate& c = candidates[it.reg];
    if (meets(it, &c.covered)) c.weight += it.weight / float(it.length);
  }
  uint8_t best = Interval::no_reg;
  for (uint8_t r : cls == RegClass::gp ? info->gp_order : info->fp_order) {
    const Candidate& c = candidates[r];
    if (!c.covered) continue;
    bool all = true;
    for (Point p = from; p < to; p++) all &= c.covered >> (p - from) & 1 || !(occupancy.taken(p, p + 1) >> r & 1);
    if (all && (best == Interval::no_reg || c.weight < candidates[best].weight)) best = r;
  }
  if (best == Interval::no_reg) return best;
  for (uint32_t v = 0; v < n; v++) {
    Interval& it = intervals[v];
    if (it.parent != v || it.reg != best || it.length == 0) continue;
    if (segments[it.first_segment].from >= to || segments[it.last_segment].to <= from || !meets(it, nullptr)) continue;
    release(it, best);
    it.reg = Interval::no_reg;
    spill_queue.push_back(v);
  }
  return best;
}

// The last resort, when all other locations are known: a register that the instruction does not mention is saved around it. In a group of
// terminators nothing can be put back behind the instruction; there the registers must suffice.
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
      const Interval& other = intervals[root(ops[k].reg().index())];
      const uint32_t l = other.reg != Interval::no_reg ? other.reg : out->operands[at + k].value;
      if (l < 64) mentioned |= uint64_t{1} << l;
    }
  }
  uint8_t reg = Interval::no_reg;
  for (uint8_t r : it.cls == RegClass::gp ? info->gp_order : info->fp_order)
    if (!(mentioned >> r & 1)) {
      reg = r;
      break;
    }
  if (reg == Interval::no_reg || inst.flags & vflags::terminator) {
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
    else edit(e.inst, phase_reload, EditKind::move, it.cls, slot_bytes(Location::slot(it.slot)), Location{reg}, Location::slot(it.slot));
  }
  if (writes && !e.remat) {
    const Location slot = Location::slot(home(e.vreg));
    edit(e.inst + 1, phase_store, EditKind::move, it.cls, slot_bytes(slot), slot, Location{reg});
  }
  edit(e.inst + 1, phase_restore, EditKind::move, it.cls, slot_bytes(aside), Location{reg}, aside);
}

}  // namespace lode::codegen
