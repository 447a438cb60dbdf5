// The skeleton of a control-flow graph: reverse postorder, predecessors and the dominator tree. The importer and the
// verifier ask it whether definitions dominate their uses; codegen/native/analysis.h builds loops and a layout on it.
//
// Dominators by semi-NCA (L. Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems", 2005):
// semidominators with path compression, then each node's dominator is found by walking up from its parent in the
// depth-first tree. The iterative method over reverse postorder needs fewer lines but is quadratic for a long ladder of
// tests that share one exit.
//
// No recursion, and no memory a block on the heap: the vectors keep their capacity from one graph to the next.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lode::air {

class FlowTree {
 public:
  static constexpr uint32_t none = ~0u;

  // Block 0 is the entry. The successors of block b are targets[first[b]] .. targets[first[b + 1] - 1] (duplicates
  // allowed; first has one entry more than there are blocks).
  void build(std::span<const uint32_t> first, std::span<const uint32_t> targets);

  // Results; valid until the next build. Blocks that cannot be reached have no number and no dominator.
  std::vector<uint32_t> rpo;                // blocks in reverse postorder; successors with small numbers come early
  std::vector<uint32_t> rpo_number;         // by block; none: unreachable
  std::vector<uint32_t> pred_first,
      preds;  // predecessors of b: preds[pred_first[b]] .. preds[pred_first[b + 1] - 1], reachable ones only
  std::vector<uint32_t> idom;               // by block; none for the entry and what is unreachable

  bool reachable(uint32_t b) const { return rpo_number[b] != none; }
  bool dominates(uint32_t a, uint32_t b) const { return dom_begin_[b] - dom_begin_[a] < dom_size_[a]; }
  // Whether every way to `to` begins with the edge from `from`, so that what is known on that edge is known wherever
  // `to` dominates: its other predecessors, if any, lie behind it.
  bool edge_dominates(uint32_t from, uint32_t to) const {
    unsigned edges = 0;
    for (uint32_t k = pred_first[to]; k < pred_first[to + 1]; k++) {
      if (preds[k] == from) edges++;
      else if (!dominates(to, preds[k])) return false;
    }
    return edges == 1;
  }

 private:
  void number(std::span<const uint32_t> first, std::span<const uint32_t> targets);
  void find_dominators();

  std::vector<uint32_t> dom_begin_, dom_size_;      // preorder interval in the dominator tree
  std::vector<uint32_t> parent_, preorder_, next_;  // of the depth-first search; next_ then serves as scratch
  std::vector<uint32_t> label_, stack_;
};

}  // namespace lode::air
