#include "codegen/air/flow_tree.h"

#include <algorithm>

namespace lode::air {

void FlowTree::build(std::span<const uint32_t> first, std::span<const uint32_t> targets) {
  number(first, targets);
  find_dominators();
}

// Depth-first search from the entry. Fills rpo, rpo_number, the predecessors and, for the dominators, the parents in
// the depth-first tree and the blocks in preorder.
void FlowTree::number(std::span<const uint32_t> first, std::span<const uint32_t> targets) {
  const uint32_t n = uint32_t(first.size() - 1);
  rpo.clear();
  rpo_number.assign(n, none);
  parent_.assign(n, none);
  preorder_.clear();
  next_.assign(n, 0);  // next successor to look at, counted from the last
  stack_.clear();
  if (n != 0) {
    stack_.push_back(0);
    rpo_number[0] = 0;
    preorder_.push_back(0);
  }
  while (!stack_.empty()) {
    const uint32_t block = stack_.back();
    // Last successor first: it then comes late in reverse postorder and the first one directly follows its source.
    const uint32_t count = first[block + 1] - first[block];
    bool pushed = false;
    while (next_[block] < count) {
      const uint32_t s = targets[first[block] + count - 1 - next_[block]++];
      if (rpo_number[s] != none) continue;
      rpo_number[s] = 0;
      parent_[s] = block;
      preorder_.push_back(s);
      stack_.push_back(s);
      pushed = true;
      break;
    }
    if (pushed) continue;
    rpo.push_back(block);
    stack_.pop_back();
  }
  std::reverse(rpo.begin(), rpo.end());
  for (uint32_t i = 0; i < rpo.size(); i++) rpo_number[rpo[i]] = i;

  pred_first.assign(n + 1, 0);
  for (uint32_t b : rpo)
    for (uint32_t e = first[b]; e < first[b + 1]; e++) pred_first[targets[e] + 1]++;
  for (uint32_t b = 0; b < n; b++) pred_first[b + 1] += pred_first[b];
  preds.resize(pred_first[n]);
  next_.assign(pred_first.begin(), pred_first.end() - 1);
  for (uint32_t b : rpo)
    for (uint32_t e = first[b]; e < first[b + 1]; e++) preds[next_[targets[e]]++] = b;
}

void FlowTree::find_dominators() {
  const uint32_t n = uint32_t(rpo_number.size()), count = uint32_t(preorder_.size());
  idom.assign(n, none);
  if (n == 0) return;
  // All in preorder numbers: parent (next_), semidominator / label (label_), ancestor in the forest (stack_ is the path
  // to compress).
  dom_begin_.assign(n, 0);  // block -> preorder number, for now
  for (uint32_t i = 0; i < count; i++) dom_begin_[preorder_[i]] = i;
  next_.resize(count);
  label_.resize(count);
  dom_size_.assign(std::max(n, count), none);  // ancestor; none: a root of the forest
  std::vector<uint32_t>& ancestor = dom_size_;
  std::vector<uint32_t>& label = label_;
  std::vector<uint32_t>& parent = next_;
  for (uint32_t i = 0; i < count; i++) {
    parent[i] = i ? dom_begin_[parent_[preorder_[i]]] : 0;
    label[i] = i;
  }
  parent_.resize(std::max<size_t>(parent_.size(), count));
  std::vector<uint32_t>& semi = parent_;  // the parents have been copied
  for (uint32_t i = 0; i < count; i++) semi[i] = i;
  auto eval = [&](uint32_t v) {
    if (ancestor[v] == none) return v;
    stack_.clear();
    uint32_t u = v;
    while (ancestor[ancestor[u]] != none) {
      stack_.push_back(u);
      u = ancestor[u];
    }
    // u's ancestor is a root; compress from the top down.
    while (!stack_.empty()) {
      const uint32_t w = stack_.back();
      stack_.pop_back();
      const uint32_t above = ancestor[w];
      if (semi[label[above]] < semi[label[w]]) label[w] = label[above];
      ancestor[w] = ancestor[above];
    }
    return label[v];
  };
  for (uint32_t w = count - 1; w > 0; w--) {
    const uint32_t block = preorder_[w];
    for (uint32_t e = pred_first[block]; e < pred_first[block + 1]; e++) {
      const uint32_t u = eval(dom_begin_[preds[e]]);
      semi[w] = std::min(semi[w], semi[u]);
    }
    ancestor[w] = parent[w];
  }
  // label now becomes the immediate dominator.
  for (uint32_t w = 1; w < count; w++) {
    uint32_t d = parent[w];
    while (d > semi[w]) d = label[d];
    label[w] = d;
  }
  for (uint32_t w = 1; w < count; w++) idom[preorder_[w]] = preorder_[label[w]];

  // Intervals: sizes from the leaves up, then begins from the root down; a dominator precedes what it dominates in
  // reverse postorder.
  dom_size_.assign(n, 0);
  dom_begin_.assign(n, 0);
  next_.assign(n, 0);
  for (size_t i = rpo.size(); i-- > 0;) {
    const uint32_t b = rpo[i];
    dom_size_[b]++;
    if (idom[b] != none) dom_size_[idom[b]] += dom_size_[b];
  }
  for (uint32_t b : rpo) {
    if (idom[b] != none) {
      dom_begin_[b] = next_[idom[b]];
      next_[idom[b]] += dom_size_[b];
    }
    next_[b] = dom_begin_[b] + 1;
  }
}

}  // namespace lode::air
