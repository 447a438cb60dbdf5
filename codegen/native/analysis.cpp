// Loops, cold blocks, frequencies and layout of a control-flow graph.
//
// Loops: a natural loop for every block that an edge enters from a block it dominates; all edges to one header make one
// loop. Headers are taken in descending reverse postorder, so inner loops come first and are walked over as one node
// afterwards. Retreating edges of irreducible regions make no loop.
#include "codegen/native/analysis.h"

#include <algorithm>

namespace lode::codegen {

void CfgAnalysis::run(const air::Function& fn) {
  const uint32_t n = uint32_t(fn.blocks.size());
  succ_first.clear();
  succs.clear();
  marks_.assign(n, 0);
  for (uint32_t b = 0; b < n; b++) {
    succ_first.push_back(uint32_t(succs.size()));
    const air::Block& block = fn.blocks[b];
    if (block.inst_count == 0) continue;
    const air::Inst& last = fn.insts[block.first_inst + block.inst_count - 1];
    air::for_each_edge(fn, last, [&](air::EdgeIndex e) { succs.push_back(fn.edges[e].target.value); });
    if (last.op == air::Op::trap || last.op == air::Op::unreachable || last.op == air::Op::resume)
      marks_[b] |= dead_end;
    if (last.op == air::Op::invoke) marks_[succs.back()] |= unlikely;
  }
  succ_first.push_back(uint32_t(succs.size()));
  run(succ_first, succs, marks_);
}

void CfgAnalysis::run(std::span<const uint32_t> first, std::span<const uint32_t> targets,
                      std::span<const uint8_t> marks) {
  build(first, targets);
  find_loops();
  find_cold(first, targets, marks);
  estimate();
  lay_out();
}

void CfgAnalysis::find_loops() {
  const uint32_t n = uint32_t(rpo_number.size());
  loops.clear();
  loop_of.assign(n, none);
  depth.assign(n, 0);
  reducible = true;
  // a_: the header that stands for a block once its loop has been collapsed (union-find with path halving).
  a_.resize(n);
  for (uint32_t b = 0; b < n; b++) a_[b] = b;
  auto find = [&](uint32_t b) {
    while (a_[b] != b) b = a_[b] = a_[a_[b]];
    return b;
  };
  for (size_t i = rpo.size(); i-- > 0;) {
    const uint32_t header = rpo[i];
    stack_.clear();
    bool is_header = false;
    for (uint32_t e = pred_first[header]; e < pred_first[header + 1]; e++) {
      const uint32_t latch = preds[e];
      if (rpo_number[latch] < i) continue;
      if (!dominates(header, latch)) {
        reducible = false;
        continue;
      }
      is_header = true;
      stack_.push_back(latch);
    }
    if (!is_header) continue;
    const uint32_t loop = uint32_t(loops.size());
    loops.push_back({header});
    loop_of[header] = loop;  // no inner loop has this header: each header makes one loop
    while (!stack_.empty()) {
      const uint32_t b = find(stack_.back());
      stack_.pop_back();
      if (b == header) continue;
      if (loop_of[b] == none) loop_of[b] = loop;
      else loops[loop_of[b]].parent = loop;  // b is the header of a collapsed loop
      a_[b] = header;
      for (uint32_t e = pred_first[b]; e < pred_first[b + 1]; e++) stack_.push_back(preds[e]);
    }
  }
  for (size_t l = loops.size(); l-- > 0;) {
    if (loops[l].parent != none) loops[l].depth = loops[loops[l].parent].depth + 1;
  }
  for (uint32_t b = 0; b < n; b++) {
    if (loop_of[b] != none) depth[b] = uint8_t(std::min(255u, loops[loop_of[b]].depth));
  }
}

// Cold: unlikely itself, or leads to nothing but cold blocks, or is dominated by a cold block. A function that as a
// whole leads to a dead end (it never returns) is not cold for that: then only the dead ends themselves are.
void CfgAnalysis::find_cold(std::span<const uint32_t> first, std::span<const uint32_t> targets,
                            std::span<const uint8_t> marks) {
  const uint32_t n = uint32_t(rpo_number.size());
  cold.assign(n, 0);
  if (marks.empty() || n == 0) return;
  bool any = false;
  for (uint32_t b : rpo) {
    cold[b] = marks[b] != 0;
    any |= cold[b] != 0;
  }
  if (!any) return;
  for (size_t i = rpo.size(); i-- > 0;) {
    const uint32_t b = rpo[i];
    if (cold[b] || first[b] == first[b + 1]) continue;
    bool all = true;
    for (uint32_t e = first[b]; e < first[b + 1]; e++) all &= cold[targets[e]] != 0;
    cold[b] = all;
  }
  if (cold[0]) {
    for (uint32_t b : rpo) cold[b] = b != 0 && marks[b] != 0 && first[b] == first[b + 1];
  }
  for (uint32_t b : rpo) {
    if (idom[b] != none && cold[idom[b]]) cold[b] = 1;
  }
}

void CfgAnalysis::estimate() {
  const uint32_t n = uint32_t(rpo_number.size());
  // 8 times a loop, up to five loops deep; a cold block a hundredth of what is around it.
  static constexpr float by_depth[] = {1, 8, 64, 512, 4096, 32768};
  frequency.assign(n, 0);
  for (uint32_t b : rpo) {
    frequency[b] = by_depth[std::min<uint32_t>(depth[b], 5)];
    if (cold[b]) frequency[b] *= 1.0f / 128;
  }
  // A block that its loop's latch does not need to pass through runs in some of the iterations only. Known for loops of
  // one latch.
  for (uint32_t l = 0; l < loops.size(); l++) {
    const uint32_t header = loops[l].header;
    uint32_t latch = none;
    bool one = true;
    for (uint32_t e = pred_first[header]; e < pred_first[header + 1]; e++) {
      if (!dominates(header, preds[e])) continue;
      one &= latch == none || latch == preds[e];
      latch = preds[e];
    }
    loops[l].header = header;
    c_.resize(std::max<size_t>(c_.size(), loops.size()));
    c_[l] = one ? latch : none;
  }
  for (uint32_t b : rpo) {
    if (loop_of[b] != none && c_[loop_of[b]] != none && !dominates(b, c_[loop_of[b]])) frequency[b] *= 0.5f;
  }
}

// Each loop, and the function, is a list of its own blocks and inner loops in reverse postorder; the lists are
// flattened from the outside in. Cold blocks are left out and follow at the end in the same order.
void CfgAnalysis::lay_out() {
  const uint32_t n = uint32_t(rpo_number.size()), loop_count = uint32_t(loops.size());
  order.clear();
  // Items: block b, or loop l as n + l. a_: next item in the list; b_: first, c_: last item by loop (function:
  // loop_count).
  a_.assign(n + loop_count, none);
  b_.assign(loop_count + 1, none);
  c_.assign(loop_count + 1, none);
  auto append = [&](uint32_t list, uint32_t item) {
    if (b_[list] == none) b_[list] = item;
    else a_[c_[list]] = item;
    c_[list] = item;
  };
  for (uint32_t b : rpo) {
    const uint32_t loop = loop_of[b];
    const uint32_t list = loop == none ? loop_count : loop;
    if (loop != none && loops[loop].header == b) {
      const uint32_t outer = loops[loop].parent;
      append(outer == none ? loop_count : outer, n + loop);
    }
    append(list, b);
  }
  d_.clear();
  stack_.clear();
  uint32_t item = b_[loop_count];
  while (item != none || !stack_.empty()) {
    if (item == none) {
      item = stack_.back();
      stack_.pop_back();
      continue;
    }
    if (item >= n) {
      if (a_[item] != none) stack_.push_back(a_[item]);
      item = b_[item - n];
      continue;
    }
    (cold[item] ? d_ : order).push_back(item);
    item = a_[item];
  }
  order.insert(order.end(), d_.begin(), d_.end());
}

}  // namespace lode::codegen
