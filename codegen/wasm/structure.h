// Structured control flow from any graph.
//
// WebAssembly has no goto: a branch leaves enclosing blocks forwards or repeats an enclosing loop. This pass takes a
// control flow graph and gives a list of items (open a block, a loop, an if; the code of a node; a branch to a label;
// end) that a single walk turns into instructions.
//
// Method: the dominator tree, as in N. Ramsey, "Beyond Relooper" (ICFP 2022). A node with several forward predecessors
// is placed behind a block whose end it follows; a target of a back edge opens a loop; every other node stands where
// its only predecessor branches to it. Graphs that are not reducible are made so first: the entries of a cycle with
// several entries are reached through a dispatch node, which branches by the value of a variable that the redirected
// edges set. What differs from the paper is for size: branches to where control goes anyway are left out, blocks that
// nobody names then vanish, an else after code that does not fall through vanishes, and a block left by one or two
// br_ifs becomes an if.
//
// Nothing here recurses: graphs come from untrusted input.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/index.h"

namespace lode::wasm {

// How a node ends. The order of edges: jump: the target; branch: taken when the condition is true, else; table: by
// operand, default last.
enum class FlowEnd : uint8_t { exit, jump, branch, table };

// Where the code of a node comes from.
enum class FlowCode : uint8_t {
  block,     // payload: the caller's
  set,       // sets dispatch variable `variable` to `payload`
  dispatch,  // pushes dispatch variable `variable`
};

struct FlowNode {
  uint32_t first_edge = 0, edge_count = 0;  // in FlowGraph::edges
  uint32_t payload = 0;
  FlowEnd end = FlowEnd::exit;
  FlowCode code = FlowCode::block;
  uint32_t variable = 0;
};
static_assert(sizeof(FlowNode) == 20);

// Node 0 is the entry; no edge leads to it. Nodes that the entry does not reach are left out of the result.
struct FlowGraph {
  std::vector<FlowNode> nodes;
  std::vector<uint32_t> edges;  // target nodes
  uint32_t variables = 0;       // dispatch variables that make_reducible() has introduced

  void clear() {
    nodes.clear();
    edges.clear();
    variables = 0;
  }
  std::span<const uint32_t> successors(uint32_t n) const {
    return std::span(edges).subspan(nodes[n].first_edge, nodes[n].edge_count);
  }
};

enum class Form : uint8_t {
  none,
  block, loop, if_true, if_false,       // arg = label; if_false takes its branch when the operand is zero
  else_, end,                           // arg = label of the construct
  node,                                 // arg = node: its code, which leaves the operand of its end on the stack
  br, br_if_true, br_if_false,          // arg = label
  br_table,                             // arg = node; the label of edge e is Structurer::edge_labels()[e]
};
struct Item {
  Form form;
  uint32_t arg;
};

class Structurer {
 public:
  // Adds set and dispatch nodes until every cycle of `graph` has one entry. Returns whether something had to be done.
  bool make_reducible(FlowGraph& graph);
  // Requires a reducible graph. The result stays valid until the next call.
  std::span<const Item> run(const FlowGraph& graph);
  std::span<const uint32_t> edge_labels() const {
    return edge_labels_;
  }  // by edge; meaningful for edges of table nodes
  uint32_t label_count() const { return label_count_; }

 private:
  struct Action {
    uint8_t kind;
    uint32_t a, b;
  };
  void number(const FlowGraph& graph);
  void predecessors(const FlowGraph& graph);
  void dominators(const FlowGraph& graph);
  bool reducible(const FlowGraph& graph);
  bool dominates(uint32_t a, uint32_t b) const { return tree_in_[a] <= tree_in_[b] && tree_in_[b] < tree_out_[a]; }
  void split_entries(FlowGraph& graph, std::span<const uint32_t> entries);
  bool falls_to(uint32_t label) const;
  void place(const FlowGraph& graph, uint32_t from, uint32_t to);
  void tidy(const FlowGraph& graph);
  void count_labels(const FlowGraph& graph);
  void drop_unnamed(const FlowGraph& graph);
  void find_loop_ends(const FlowGraph& graph);
  bool becomes_if(uint32_t label) const;
  void rewrite_items();

  std::vector<uint32_t> order_;      // reverse postorder
  std::vector<uint32_t> rank_;       // by node: place in order_, ~0 when unreachable
  std::vector<uint32_t> pred_first_, pred_;
  std::vector<uint32_t> idom_, depth_, skip_;  // skip_: an ancestor in the dominator tree, for long steps
  std::vector<uint32_t> tree_in_, tree_out_;
  std::vector<uint32_t> child_first_, child_;  // merge nodes by their immediate dominator
  std::vector<uint8_t> merge_, header_;
  std::vector<uint32_t> block_label_, loop_label_;
  std::vector<uint32_t> edge_labels_;
  std::vector<Action> actions_;
  std::vector<Item> items_, raw_items_;
  std::vector<uint32_t> label_refs_, label_direct_, loop_cut_;
  std::vector<uint8_t> label_flags_, dirty_;
  std::vector<uint32_t> stack_, cursor_, low_, index_;
  uint32_t label_count_ = 0;
};

}  // namespace lode::wasm
