#include "codegen/native/switch_plan.h"

#include <algorithm>

namespace lode::codegen {

namespace {
constexpr size_t fewest = 4, most = 4096;  // cases of a table
constexpr uint64_t largest_range = 100000;
constexpr uint64_t density_percent = 40;

uint64_t distance(const SwitchCase& low, const SwitchCase& high) { return uint64_t(high.value) - uint64_t(low.value); }
}  // namespace

void SwitchPlan::make(std::vector<SwitchCase>& cases, uint32_t fallback, bool tables) {
  std::sort(cases.begin(), cases.end(), [](const SwitchCase& a, const SwitchCase& b) { return a.value < b.value; });
  nodes.clear();
  targets.clear();
  cut(cases, tables);
  tree(cases, 0, runs_.size(), fallback);
}

// Greedily, each run as long as the density holds.
void SwitchPlan::cut(const std::vector<SwitchCase>& cases, bool tables) {
  runs_.clear();
  for (size_t k = 0; k < cases.size();) {
    size_t best = k;
    for (size_t j = k + 1; tables && j < cases.size() && j < k + most; j++) {
      const uint64_t range = distance(cases[k], cases[j]);
      if (range > largest_range) break;
      if ((j - k + 1) * 100 >= (range + 1) * density_percent) best = j;
    }
    if (best - k + 1 < fewest) best = k;
    // Neighbours with one target form a range even without a table.
    if (best == k)
      while (best + 1 < cases.size() && cases[best + 1].target == cases[k].target &&
             distance(cases[best], cases[best + 1]) == 1)
        best++;
    runs_.push_back({uint32_t(k), uint32_t(best)});
    k = best + 1;
  }
}

uint32_t SwitchPlan::leaf(const std::vector<SwitchCase>& cases, Run run, uint32_t fallback) {
  SwitchNode node;
  node.low = cases[run.first].value;
  node.size = distance(cases[run.first], cases[run.last]);
  node.target = cases[run.first].target;
  if (run.first != run.last) {
    const bool one_target =
        node.size == run.last - run.first && std::all_of(cases.begin() + run.first, cases.begin() + run.last + 1,
                                                         [&](const SwitchCase& c) { return c.target == node.target; });
    node.kind = one_target ? SwitchNode::Kind::range : SwitchNode::Kind::table;
  }
  if (node.kind == SwitchNode::Kind::table) {
    node.first_target = uint32_t(targets.size());
    targets.resize(targets.size() + node.size + 1, fallback);
    for (uint32_t k = run.first; k <= run.last; k++)
      targets[node.first_target + distance(cases[run.first], cases[k])] = cases[k].target;
  }
  nodes.push_back(node);
  return root();
}

uint32_t SwitchPlan::tree(const std::vector<SwitchCase>& cases, size_t first, size_t last, uint32_t fallback) {
  if (last - first == 1) return leaf(cases, runs_[first], fallback);
  const size_t middle = first + (last - first) / 2;
  SwitchNode node;
  node.kind = SwitchNode::Kind::less;
  node.low = cases[runs_[middle].first].value;
  node.below = tree(cases, first, middle, fallback);
  node.rest = tree(cases, middle, last, fallback);
  nodes.push_back(node);
  return root();
}

}  // namespace lode::codegen
