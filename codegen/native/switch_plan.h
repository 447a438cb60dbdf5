// How a switch is taken apart: a tree of decisions that no machine is named in.
//
// Cases sorted by value are cut into runs: those dense enough for a jump table (at least 4 cases, at least 40 % of the
// range), neighbours with one target, and single values. A balanced tree of comparisons chooses the run.
//
// Values are compared as signed numbers. A run of more than one value is tested after its lowest value has been
// subtracted: an unsigned comparison then says whether it is one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lode::codegen {

struct SwitchCase {
  int64_t value;    // sign-extended from the operand's width
  uint32_t target;  // whatever the caller names blocks by
};

struct SwitchNode {
  enum class Kind : uint8_t {
    less,   // value < low ? node `below` : node `rest`
    equal,  // value == low ? target : fallback
    range,  // value - low <= size, unsigned ? target : fallback
    table,  // value - low <= size, unsigned ? targets[value - low] : fallback
  };
  Kind kind = Kind::equal;
  int64_t low = 0;
  uint64_t size = 0;             // range, table: the highest value minus the lowest
  uint32_t target = 0;           // equal, range
  uint32_t first_target = 0;     // table: size + 1 entries of SwitchPlan::targets
  uint32_t below = 0, rest = 0;  // less
};

class SwitchPlan {
 public:
  // `cases`, which get sorted, have distinct values; there is at least one. Gaps of tables lead to `fallback`.
  void make(std::vector<SwitchCase>& cases, uint32_t fallback, bool tables);

  // The root is the last node.
  std::vector<SwitchNode> nodes;
  std::vector<uint32_t> targets;  // of tables
  uint32_t root() const { return uint32_t(nodes.size() - 1); }

 private:
  struct Run {
    uint32_t first, last;  // cases
  };
  void cut(const std::vector<SwitchCase>& cases, bool tables);
  uint32_t leaf(const std::vector<SwitchCase>& cases, Run run, uint32_t fallback);
  uint32_t tree(const std::vector<SwitchCase>& cases, size_t first, size_t last, uint32_t fallback);

  std::vector<Run> runs_;
};

}  // namespace lode::codegen
