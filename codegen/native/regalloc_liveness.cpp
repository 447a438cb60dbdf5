// Liveness.
//
// A first pass finds the registers that are read in a block before that block defines them: only those are live across
// blocks and get a bit. Their live-in sets are the least solution of the usual equations, found by sweeps over the
// blocks backwards, each block again only when a successor has changed.
//
// The sets of all registers in all blocks are quadratic in the size of the function. Beyond a limit they are therefore
// found for some hundred registers at a time, neighbours in the code, in the blocks that these reach and no others;
// what is kept is who lives on one side only of the border between two blocks.
#include <algorithm>
#include <bit>

#include "codegen/native/regalloc_state.h"

namespace lode::codegen {

namespace {

// Role sets as bits by Role.
constexpr uint32_t reading = 1 << unsigned(Role::use) | 1 << unsigned(Role::use_late) | 1 << unsigned(Role::mod),
                   writing = 1 << unsigned(Role::def) | 1 << unsigned(Role::def_early) | 1 << unsigned(Role::mod);
constexpr uint32_t some_words = 8;  // of a set beyond the limit

}  // namespace

void RegisterAllocator::State::find_liveness() {
  const uint32_t n = uint32_t(code->vregs.size()), blocks = uint32_t(code->blocks.size());
  last_def.assign(n, none);
  last_use.assign(n, none);
  crossing.clear();
  exposed.clear();
  other_defs.clear();
  words = first_word = 0;
  undefined = false;
  undefined_words.clear();
  borders.clear();
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

  for (uint32_t k = 0; k < crossing.size(); k++) last_use[crossing[k]] = k;  // from here on: the bit
  const uint32_t all = uint32_t(crossing.size() + 63) / 64;
  if (uint64_t{all} * blocks > info->liveness_limit) return find_borders(all);
  words = all;
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
      for (uint32_t k = 0; k < block.succ_count; k++)
        due |= changed_at[code->successors[block.succs + k]] > computed_at[b];
      if (!due) continue;
      clock++;
      computed_at[b] = clock;
      uint64_t* in = live_in.data() + size_t{b} * words;
      const uint64_t* def = defined.data() + size_t{b} * words;
      uint64_t grown = 0;
      for (uint32_t k = 0; k < block.succ_count; k += 2) {  // two successors at a time
        const uint64_t* next = live_in.data() + size_t{code->successors[block.succs + k]} * words;
        const uint64_t* other =
            k + 1 < block.succ_count ? live_in.data() + size_t{code->successors[block.succs + k + 1]} * words : next;
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
    if (live_in[w]) trim_undefined(w, exposed);
}

// Some registers of word w are not defined on every path (block parameters that one edge leaves undefined): they are
// not live where no definition has been passed, except where they are read all the same. Turns `defined` into what some
// path has defined at the block's end.
void RegisterAllocator::State::trim_undefined(uint32_t w, std::span<const BlockAndReg> exposed_here) {
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
  for (const BlockAndReg& e : exposed_here)
    if (last_use[e.vreg] / 64 == first_word + w)
      live_in[size_t{e.block} * words + w] |= uint64_t{1} << (last_use[e.vreg] & 63);
  undefined_words.push_back(w);
}

// What is live at the end of block b, to live_out.
void RegisterAllocator::State::find_live_out(uint32_t b) {
  const VBlock& block = code->blocks[b];
  if (words) std::fill_n(live_out.begin(), words, 0);
  for (uint32_t k = 0; k < block.succ_count; k++) {
    const uint64_t* next = live_in.data() + size_t{code->successors[block.succs + k]} * words;
    for (uint32_t w = 0; w < words; w++) live_out[w] |= next[w];
  }
  for (uint32_t w : undefined_words) live_out[w] &= defined[size_t{b} * words + w];
}

// The same some words at a time. `due`: blocks to look at, of which the last goes first; `touched`: those whose sets
// are not empty.
void RegisterAllocator::State::find_borders(uint32_t all) {
  const uint32_t blocks = uint32_t(code->blocks.size());
  words = some_words;
  live_in.assign(size_t{blocks + 1} * words, 0);  // an empty set behind the last block's
  defined.assign(size_t{blocks} * words, 0);
  live_out.assign(words, 0);
  due.assign(blocks / 64 + 1, 0);
  find_predecessors();
  for (uint32_t v : crossing)
    if (last_def[v] != none) other_defs.push_back({last_def[v], v});
  std::erase_if(other_defs, [&](const BlockAndReg& e) { return last_use[e.vreg] == none; });
  auto by_bit = [&](const BlockAndReg& a, const BlockAndReg& b) { return last_use[a.vreg] < last_use[b.vreg]; };
  std::sort(exposed.begin(), exposed.end(), by_bit);
  std::sort(other_defs.begin(), other_defs.end(), by_bit);
  auto mark = [&](uint32_t b) { due[b / 64] |= uint64_t{1} << (b & 63); };
  auto each_due = [&](auto&& f) {  // from the last down, including those that f marks in front of the one at hand
    for (uint32_t w = uint32_t(due.size()); w-- > 0;)
      while (due[w]) {
        const unsigned bit = 63u - unsigned(std::countl_zero(due[w]));
        due[w] &= ~(uint64_t{1} << bit);
        f(w * 64 + bit);
      }
  };
  size_t next_exposed = 0, next_def = 0;
  for (first_word = 0; first_word < all; first_word += some_words) {
    touched.clear();
    undefined_words.clear();
    auto set = [&](std::vector<uint64_t>& bits, const BlockAndReg& e) {
      const uint32_t k = last_use[e.vreg] - first_word * 64;
      bits[size_t{e.block} * words + k / 64] |= uint64_t{1} << (k & 63);
      touched.push_back(e.block);
    };
    auto in_step = [&](const BlockAndReg& e) { return last_use[e.vreg] / 64 < first_word + some_words; };
    const size_t exposed_begin = next_exposed;
    for (; next_def < other_defs.size() && in_step(other_defs[next_def]); next_def++)
      set(defined, other_defs[next_def]);
    for (; next_exposed < exposed.size() && in_step(exposed[next_exposed]); next_exposed++) {
      const BlockAndReg& e = exposed[next_exposed];
      set(live_in, e);
      for (uint32_t p = pred_first[e.block]; p < pred_first[e.block + 1]; p++) mark(preds[p]);
    }
    for (bool again = true; again;) {
      again = false;
      each_due([&](uint32_t b) {
        find_live_out(b);
        uint64_t* in = live_in.data() + size_t{b} * words;
        const uint64_t* def = defined.data() + size_t{b} * words;
        uint64_t grown = 0;
        for (uint32_t w = 0; w < words; w++) {
          const uint64_t more = live_out[w] & ~def[w] & ~in[w];
          in[w] |= more;
          grown |= more;
        }
        if (!grown) return;
        touched.push_back(b);
        for (uint32_t p = pred_first[b]; p < pred_first[b + 1]; p++) mark(preds[p]), again |= preds[p] >= b;
      });
    }
    for (uint32_t w = 0; w < words; w++)
      if (live_in[w]) trim_undefined(w, {exposed.data() + exposed_begin, next_exposed - exposed_begin});
    // A border is between sets that differ: at a block with a set, or a definition, and at those around it.
    auto note = [&](uint32_t b, uint32_t w, uint64_t change, uint64_t leaving) {
      for (; change; change &= change - 1) {
        const unsigned bit = unsigned(std::countr_zero(change));
        borders.push_back({b, crossing[(first_word + w) * 64 + bit] << 1 | uint32_t(leaving >> bit & 1)});
      }
    };
    for (uint32_t b : touched) {
      mark(b);
      if (b) mark(b - 1);
    }
    each_due([&](uint32_t b) {
      find_live_out(b);
      const uint64_t* behind = live_in.data() + size_t{b + 1} * words;
      for (uint32_t w = 0; w < words; w++) note(b, w, behind[w] ^ live_out[w], live_out[w]);
    });
    for (uint32_t w = 0; w < words; w++) note(blocks, w, live_in[w], 0);
    for (uint32_t b : touched) {
      std::fill_n(live_in.begin() + size_t{b} * words, words, 0);
      std::fill_n(defined.begin() + size_t{b} * words, words, 0);
    }
    if (!undefined_words.empty()) std::fill(defined.begin(), defined.end(), 0);
  }
  words = 0;
  border_first.assign(blocks + 2, 0);
  for (const Border& x : borders) border_first[x.block + 1]++;
  for (uint32_t b = 0; b <= blocks; b++) border_first[b + 1] += border_first[b];
  border_regs.resize(borders.size());
  work.assign(border_first.begin(), border_first.end() - 1);
  for (const Border& x : borders) border_regs[work[x.block]++] = x.change;
}

}  // namespace lode::codegen
