// The allocator's oracle: abstract interpretation of VCode and edits side by side.
//
// For each location the state keeps the set of registers of the VCode (virtual ones, and physical ones as variables of
// their own) whose present value stands there, each with the number of its low bytes that arrived. Definitions remove a
// register everywhere and put it where the operand says; edits copy sets and cut the values to the edit's width; where
// blocks meet, sets are intersected until nothing changes. An operand is right when its register is in the set of its
// location with all the bytes it has. On a path where a register has not been defined, any location holds it: one more
// set, behind the locations', has those.
#include <algorithm>
#include <bit>

#include "codegen/native/regalloc.h"

namespace lode::codegen {

namespace {

struct Held {
  uint32_t reg;
  uint8_t bytes;  // from the lowest
  friend bool operator==(const Held&, const Held&) = default;
};
using Set = std::vector<Held>;  // sorted by register

Set::iterator find(Set& s, uint32_t reg) {
  return std::lower_bound(s.begin(), s.end(), reg, [](const Held& h, uint32_t r) { return h.reg < r; });
}
void insert(Set& s, Held x) {
  auto at = find(s, x.reg);
  if (at == s.end() || at->reg != x.reg) s.insert(at, x);
}
void erase(Set& s, uint32_t reg) {
  auto at = find(s, reg);
  if (at != s.end() && at->reg == reg) s.erase(at);
}
// How many bytes of the register's value the set has.
unsigned bytes_in(const Set& s, uint32_t reg) {
  auto at = std::lower_bound(s.begin(), s.end(), reg, [](const Held& h, uint32_t r) { return h.reg < r; });
  return at != s.end() && at->reg == reg ? at->bytes : 0;
}
bool contains(const Set& s, uint32_t reg) { return bytes_in(s, reg) != 0; }
Set cut(const Set& s, uint8_t bytes) {
  Set out = s;
  for (Held& h : out) h.bytes = std::min(h.bytes, bytes);
  return out;
}

struct Checker {
  const VCode& code;
  const RegisterInfo& info;
  const Allocation& alloc;
  std::string problem;

  size_t locations() const { return 64 + alloc.slots.size(); }
  bool fail(uint32_t inst, const std::string& what) {
    if (problem.empty()) problem = "instruction " + std::to_string(inst) + ": " + what;
    return false;
  }
  static std::string name(uint32_t reg) {
    return reg < 64 ? "physical register " + std::to_string(reg) : "virtual register " + std::to_string(reg - 64);
  }
  static std::string place(Location l) {
    return l.is_slot() ? "slot " + std::to_string(l.slot_index()) : "register " + std::to_string(l.value);
  }

  uint8_t bytes_of(Reg r) const { return r.is_virtual() ? code.vregs[r.index()].bytes : r.value < 32 ? 8 : 16; }
  bool known(Location l) const { return l.value < locations(); }
  bool slot_wide_enough(Location l, unsigned bytes) const {
    return !l.is_slot() || alloc.slots[l.slot_index()].bytes >= bytes;
  }

  bool run_edit(const Edit& e, std::vector<Set>& state) {
    if (!known(e.dst)) return fail(e.before_inst, "edit of an unknown location");
    if (!e.dst.is_slot() && !(alloc.used >> e.dst.value & 1))
      return fail(e.before_inst, "edit writes a register not in `used`");
    if (!slot_wide_enough(e.dst, e.bytes)) return fail(e.before_inst, "edit writes beyond its slot");
    switch (e.kind) {
      case EditKind::move:
        if (!known(e.src)) return fail(e.before_inst, "edit of an unknown location");
        if (e.dst.is_slot() && e.src.is_slot()) return fail(e.before_inst, "move from slot to slot");
        if (!slot_wide_enough(e.src, e.bytes)) return fail(e.before_inst, "edit reads beyond its slot");
        state[e.dst.value] = cut(state[e.src.value], e.bytes);
        return true;
      case EditKind::exchange:
        if (!known(e.src) || e.dst.value >= 32 || e.src.value >= 32 || !info.gp_exchange)
          return fail(e.before_inst, "bad exchange");
        if (!(alloc.used >> e.src.value & 1)) return fail(e.before_inst, "edit writes a register not in `used`");
        state[e.dst.value] = cut(state[e.dst.value], e.bytes);
        state[e.src.value] = cut(state[e.src.value], e.bytes);
        std::swap(state[e.dst.value], state[e.src.value]);
        return true;
      case EditKind::remat: {
        if (e.src.value >= code.insts.size() || e.dst.is_slot()) return fail(e.before_inst, "bad remat");
        const VInst& inst = code.insts[e.src.value];
        uint32_t count;
        const Operand* ops = code.operands_of(inst, count);
        if (!(inst.flags & vflags::remat) || count != 1 || !ops[0].reg().is_virtual())
          return fail(e.before_inst, "remat of an instruction that does not allow it");
        const Reg r = ops[0].reg();
        uint32_t defs = 0;
        for (const VInst& other : code.insts) {
          uint32_t n;
          const Operand* p = code.operands_of(other, n);
          for (uint32_t k = 0; k < n; k++) defs += p[k].reg() == r && p[k].writes();
        }
        if (defs != 1) return fail(e.before_inst, "remat of a value with several definitions");
        state[e.dst.value] = {{r.value, bytes_of(r)}};
        return true;
      }
    }
    return fail(e.before_inst, "unknown edit");
  }

  bool run_inst(uint32_t i, std::vector<Set>& state) {
    const VInst& inst = code.insts[i];
    uint32_t count;
    const Operand* ops = code.operands_of(inst, count);
    const Location* at = alloc.operands.data() + (ops - code.operands.data());
    const uint64_t clobbers = info.clobbers[inst.flags & vflags::clobber_mask];
    const bool copy = inst.flags & (vflags::copy | vflags::parallel_copy);
    unsigned in_slots = 0;
    for (uint32_t k = 0; k < count; k++) {
      const Reg r = ops[k].reg();
      if (copy && ops[k].reads()) continue;  // judged by what arrives
      if (!known(at[k])) return fail(i, "operand without a location");
      if (r.is_physical() && at[k].value != r.value) return fail(i, name(r.value) + " was moved");
      if (r.is_virtual() && at[k].is_slot() && !copy) {
        in_slots++;
        if (!ops[k].may_be_slot()) return fail(i, name(r.value) + " in a slot");
      }
      if (r.is_virtual() && !at[k].is_slot()) {
        const auto order = code.vregs[r.index()].cls == RegClass::gp ? info.gp_order : info.fp_order;
        if (std::find(order.begin(), order.end(), uint8_t(at[k].value)) == order.end())
          return fail(i, name(r.value) + " in a register of the wrong class, or a reserved one");
      }
      if (!slot_wide_enough(at[k], r.is_virtual() ? code.vregs[r.index()].bytes : 1)) return fail(i, "slot too small");
      if (ops[k].writes() && !at[k].is_slot() && !(alloc.used >> at[k].value & 1))
        return fail(i, "`used` lacks a register");
      if (ops[k].reads() && !contains(state.back(), r.value)) {
        const unsigned held = bytes_in(state[at[k].value], r.value);
        if (held == 0) return fail(i, place(at[k]) + " does not hold " + name(r.value));
        if (held < bytes_of(r)) return fail(i, place(at[k]) + " holds only part of " + name(r.value));
      }
      if (ops[k].role() == Role::use_late && !at[k].is_slot() && clobbers >> at[k].value & 1)
        return fail(i, "late use is clobbered");
    }
    if (in_slots > 1) return fail(i, "more than one operand in a slot");
    if (clobbers & ~alloc.used) return fail(i, "`used` lacks a clobbered register");
    for (uint32_t k = 0; k < count && !copy; k++) {
      if (!ops[k].writes()) continue;
      for (uint32_t j = 0; j < count; j++) {
        if (j == k || at[j] != at[k]) continue;
        if (ops[j].writes() && !(ops[j].reg() == ops[k].reg())) return fail(i, "two results in one place");
        if (ops[j].role() == Role::use_late && ops[k].role() != Role::mod)
          return fail(i, "a result in the place of a late use");
        if (ops[j].role() == Role::use_late && !(ops[j].reg() == ops[k].reg()))
          return fail(i, "a result in the place of a late use");
        if (ops[k].role() == Role::def_early && ops[j].reads()) return fail(i, "an early result in the place of a use");
      }
      if (!at[k].is_slot() && clobbers >> at[k].value & 1 && ops[k].reg().is_virtual())
        return fail(i, "result in a clobbered register");
    }

    if (copy) {
      for (uint32_t k = 0; k + 1 < count; k += 2) {
        const Reg to = ops[k].reg(), from = ops[k + 1].reg();
        if (to == from || contains(state.back(), from.value)) continue;
        const unsigned arrived = bytes_in(state[at[k].value], from.value);
        if (arrived == 0) return fail(i, place(at[k]) + " does not get " + name(from.value));
        if (arrived < std::min(bytes_of(to), bytes_of(from)))
          return fail(i, place(at[k]) + " gets only part of " + name(from.value));
      }
      for (Set& s : state) {
        Set fresh;
        for (uint32_t k = 0; k + 1 < count; k += 2) {
          const Reg to = ops[k].reg(), from = ops[k + 1].reg();
          const uint8_t held = uint8_t(bytes_in(s, from.value));
          // A copy into a wider register: what stands above the source's bytes belongs to no value.
          if (held) insert(fresh, {to.value, held >= bytes_of(from) ? bytes_of(to) : std::min(held, bytes_of(to))});
        }
        for (uint32_t k = 0; k + 1 < count; k += 2) erase(s, ops[k].reg().value);
        for (const Held& x : fresh) insert(s, x);
      }
      return true;
    }
    for (unsigned r = 0; r < 64; r++)
      if (clobbers >> r & 1) state[r].clear();
    for (uint32_t k = 0; k < count; k++) {
      if (!ops[k].writes()) continue;
      for (Set& s : state) erase(s, ops[k].reg().value);
      state[at[k].value].clear();
    }
    for (uint32_t k = 0; k < count; k++)
      if (ops[k].writes()) insert(state[at[k].value], {ops[k].reg().value, bytes_of(ops[k].reg())});
    return true;
  }

  std::string run() {
    if (alloc.failed) return "the allocation failed";
    if (alloc.operands.size() != code.operands.size()) return "operands are not parallel";
    for (size_t k = 1; k < alloc.edits.size(); k++)
      if (alloc.edits[k - 1].before_inst > alloc.edits[k].before_inst) return "edits are not sorted";
    std::vector<std::vector<Set>> entry(code.blocks.size());
    std::vector<bool> reached(code.blocks.size()), queued(code.blocks.size());
    entry[0].resize(locations() + 1);
    for (uint32_t v = 0; v < code.vregs.size(); v++)
      entry[0].back().push_back({Reg::virt(v).value, code.vregs[v].bytes});
    for (unsigned r = 0; r < 64; r++)
      if (code.entry_defs >> r & 1) entry[0][r] = {{r, bytes_of(Reg{r})}};
    reached[0] = true;
    std::vector<uint32_t> work{0};
    while (!work.empty()) {
      const uint32_t b = work.back();
      work.pop_back();
      queued[b] = false;
      std::vector<Set> state = entry[b];
      const VBlock& block = code.blocks[b];
      auto e = std::lower_bound(alloc.edits.begin(), alloc.edits.end(), block.first_inst,
                                [](const Edit& x, uint32_t i) { return x.before_inst < i; });
      bool in_group = false;
      for (uint32_t i = block.first_inst; i < block.first_inst + block.inst_count; i++) {
        for (; e != alloc.edits.end() && e->before_inst == i; ++e) {
          if (in_group) {
            fail(i, "edit inside a group of terminators");
            return problem;
          }
          if (!run_edit(*e, state)) return problem;
        }
        in_group = code.insts[i].flags & vflags::terminator;
        if (!run_inst(i, state)) return problem;
      }
      for (uint32_t k = 0; k < block.succ_count; k++) {
        const uint32_t s = code.successors[block.succs + k];
        bool changed = false;
        if (!reached[s]) {
          reached[s] = true;
          entry[s] = state;
          changed = true;
        } else {
          // In both, where being undefined counts as being anywhere.
          const Set undefined_here = state.back(), undefined_there = entry[s].back();
          for (size_t l = 0; l < state.size(); l++) {
            const bool last = l + 1 == state.size();
            const Set &here = state[l], &there = entry[s][l];
            Set both;
            for (const Held& x : here)
              if (const unsigned bytes = bytes_in(there, x.reg))
                both.push_back({x.reg, std::min(x.bytes, uint8_t(bytes))});
            if (!last) {
              for (const Held& x : here)
                if (contains(undefined_there, x.reg)) insert(both, x);
              for (const Held& x : there)
                if (contains(undefined_here, x.reg)) insert(both, x);
            }
            if (both != there) {
              entry[s][l] = std::move(both);
              changed = true;
            }
          }
        }
        if (changed && !queued[s]) {
          queued[s] = true;
          work.push_back(s);
        }
      }
    }
    return problem;
  }
};

}  // namespace

std::string check_allocation(const VCode& code, const RegisterInfo& info, const Allocation& allocation) {
  if (code.blocks.empty()) return {};
  return Checker{code, info, allocation, {}}.run();
}

}  // namespace lode::codegen
