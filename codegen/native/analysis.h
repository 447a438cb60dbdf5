// What selection and allocation want to know about a control-flow graph, in one cheap pass: reverse postorder,
// dominators, loops, which blocks are cold, how often a block runs, and in which order to lay the blocks out.
//
// No recursion and no memory per block on the heap: the vectors keep their capacity from function to function.
// Everything is linear in blocks and edges in practice (dominators as in codegen/air/flow_tree.h, loops by collapsing
// inner ones first).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/air/flow_tree.h"

namespace lode::codegen {

struct CfgLoop {
  uint32_t header = 0;
  uint32_t parent = ~0u;  // enclosing loop, index in CfgAnalysis::loops; ~0: none
  uint32_t depth = 1;     // 1: outermost
};

class CfgAnalysis : public air::FlowTree {
 public:
  // Marks of blocks that the caller knows about.
  static constexpr uint8_t dead_end = 1,  // ends in trap, unreachable or resume: control does not go on from here
      unlikely = 2;                       // rarely reached (a landing pad)

  // Block 0 is the entry. The successors of block b are targets[first[b]] .. targets[first[b + 1] - 1] (duplicates
  // allowed; first has one entry more than there are blocks). `marks` is empty or has one entry a block.
  void run(std::span<const uint32_t> first, std::span<const uint32_t> targets, std::span<const uint8_t> marks = {});
  void run(const air::Function& fn);

  // Results; valid until the next run. Blocks that cannot be reached have no number, no dominator and are not in
  // `order`.
  std::vector<uint32_t> succ_first, succs;  // the graph itself, when run() was given a function
  std::vector<CfgLoop> loops;               // inner loops before the loops that contain them
  std::vector<uint32_t> loop_of;            // by block: its innermost loop, or none
  std::vector<uint8_t> depth;               // by block: loops around it, at most 255
  std::vector<uint8_t> cold;                // by block
  std::vector<float> frequency;             // by block: estimated executions per call
  std::vector<uint32_t>
      order;  // layout: every reachable block once, the entry first, loops contiguous, cold blocks last
  bool reducible = true;                    // no retreating edge to a block that does not dominate its source

 private:
  void find_loops();
  void find_cold(std::span<const uint32_t> first, std::span<const uint32_t> targets, std::span<const uint8_t> marks);
  void estimate();
  void lay_out();

  std::vector<uint32_t> a_, b_, c_, d_, stack_;
  std::vector<uint8_t> marks_;
};

}  // namespace lode::codegen
