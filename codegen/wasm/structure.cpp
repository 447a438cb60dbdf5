// The numbering, the dominators and the placement of structured control flow; see structure.h. Making graphs reducible
// is in structure_reducible.cpp.
//
// Dominators of the graph without its retreating edges, in one pass over reverse postorder: a node's immediate
// dominator is the nearest common ancestor of its forward predecessors, found in logarithmic time by skip pointers
// (Myers, "An applicative random-access stack"). A reducible graph's back edges do not change dominance; and if every
// retreating edge goes to a dominator of its source in the graph without them, the graph is reducible.
#include "codegen/wasm/structure.h"

#include <algorithm>

namespace lode::wasm {

namespace {
constexpr uint32_t none = ~0u;
enum : uint8_t { act_tree, act_body, act_end, act_end_tree, act_else };
}  // namespace

void Structurer::number(const FlowGraph& graph) {
  size_t n = graph.nodes.size();
  rank_.assign(n, none);
  order_.clear();
  stack_.assign(1, 0);
  cursor_.assign(n, 0);
  rank_[0] = 0;
  // The last successor is visited first, so that in reverse postorder the first successor comes first.
  while (!stack_.empty()) {
    uint32_t node = stack_.back();
    const FlowNode& x = graph.nodes[node];
    if (cursor_[node] == x.edge_count) {
      order_.push_back(node);
      stack_.pop_back();
      continue;
    }
    uint32_t to = graph.edges[x.first_edge + x.edge_count - 1 - cursor_[node]++];
    if (rank_[to] == none) {
      rank_[to] = 0;
      stack_.push_back(to);
    }
  }
  std::reverse(order_.begin(), order_.end());
  for (uint32_t i = 0; i < order_.size(); i++) rank_[order_[i]] = i;
}

void Structurer::predecessors(const FlowGraph& graph) {
  size_t n = graph.nodes.size();
  pred_first_.assign(n + 1, 0);
  for (uint32_t node : order_)
    for (uint32_t to : graph.successors(node)) pred_first_[to + 1]++;
  for (size_t i = 0; i < n; i++) pred_first_[i + 1] += pred_first_[i];
  pred_.resize(pred_first_[n]);
  cursor_.assign(pred_first_.begin(), pred_first_.end() - 1);
  for (uint32_t node : order_)
    for (uint32_t to : graph.successors(node)) pred_[cursor_[to]++] = node;
}

void Structurer::dominators(const FlowGraph& graph) {
  size_t n = graph.nodes.size();
  idom_.assign(n, none);
  depth_.assign(n, 0);
  skip_.assign(n, 0);
  idom_[0] = 0;
  auto raise = [&](uint32_t x, uint32_t depth) {
    while (depth_[x] > depth) x = depth_[skip_[x]] >= depth ? skip_[x] : idom_[x];
    return x;
  };
  for (uint32_t node : order_) {
    if (node == 0) continue;
    uint32_t best = none;
    for (uint32_t p = pred_first_[node]; p < pred_first_[node + 1]; p++) {
      uint32_t x = pred_[p];
      if (rank_[x] >= rank_[node]) continue;
      if (best == none) {
        best = x;
        continue;
      }
      uint32_t y = best;
      if (depth_[x] > depth_[y]) x = raise(x, depth_[y]);
      if (depth_[y] > depth_[x]) y = raise(y, depth_[x]);
      while (x != y) {
        bool far = skip_[x] != skip_[y];
        x = far ? skip_[x] : idom_[x];
        y = far ? skip_[y] : idom_[y];
      }
      best = x;
    }
    idom_[node] = best;
    depth_[node] = depth_[best] + 1;
    uint32_t s = skip_[best];
    skip_[node] = depth_[best] - depth_[s] == depth_[s] - depth_[skip_[s]] ? skip_[s] : best;
  }
  // Subtree intervals: sizes bottom-up in reverse order, then places top-down.
  tree_in_.assign(n, 0);
  tree_out_.assign(n, 0);
  for (size_t i = order_.size(); i-- > 0;) {
    uint32_t node = order_[i];
    tree_out_[node]++;
    if (node) tree_out_[idom_[node]] += tree_out_[node];
  }
  cursor_.assign(n, 0);  // next free place among the children
  for (uint32_t node : order_) {
    uint32_t size = tree_out_[node];
    if (node) {
      tree_in_[node] = cursor_[idom_[node]];
      cursor_[idom_[node]] += size;
    }
    tree_out_[node] = tree_in_[node] + size;
    cursor_[node] = tree_in_[node] + 1;
  }
}

bool Structurer::falls_to(uint32_t label) const {
  // Bounded: a branch too many is harmless, quadratic time on hostile nests is not.
  unsigned steps = 0;
  for (size_t i = actions_.size(); i-- > 0 && steps++ < 64;) {
    const Action& a = actions_[i];
    switch (a.kind) {
      case act_end: break;
      case act_end_tree: return a.a == label;
      case act_else: i = a.b + 1; break;  // goes on with the end of this if
      default: return false;
    }
  }
  return false;
}

// Control goes from node `from` to node `to`: by a branch, by falling through, or because the code of `to` follows
// here.
void Structurer::place(const FlowGraph&, uint32_t from, uint32_t to) {
  if (rank_[to] <= rank_[from]) {
    items_.push_back({Form::br, loop_label_[to]});
  } else if (merge_[to]) {
    if (!falls_to(block_label_[to])) items_.push_back({Form::br, block_label_[to]});
  } else {
    actions_.push_back({act_tree, to, 0});
  }
}

std::span<const Item> Structurer::run(const FlowGraph& graph) {
  size_t n = graph.nodes.size();
  items_.clear();
  label_count_ = 0;
  if (n == 0) return items_;
  number(graph);
  predecessors(graph);
  dominators(graph);

  merge_.assign(n, 0);
  header_.assign(n, 0);
  for (uint32_t node : order_) {
    bool table = graph.nodes[node].end == FlowEnd::table;
    for (uint32_t to : graph.successors(node)) {
      if (rank_[to] <= rank_[node]) {
        header_[to] = 1;
      } else if (table) {
        merge_[to] = 2;
      } else if (merge_[to] < 2) {
        merge_[to]++;  // 1: one forward predecessor so far
      }
    }
  }
  for (uint8_t& m : merge_) m = m >= 2;
  child_first_.assign(n + 1, 0);
  for (uint32_t node : order_)
    if (merge_[node]) child_first_[idom_[node] + 1]++;
  for (size_t i = 0; i < n; i++) child_first_[i + 1] += child_first_[i];
  child_.resize(child_first_[n]);
  cursor_.assign(child_first_.begin(), child_first_.end() - 1);
  for (uint32_t node : order_)
    if (merge_[node]) child_[cursor_[idom_[node]]++] = node;

  block_label_.assign(n, none);
  loop_label_.assign(n, none);
  edge_labels_.assign(graph.edges.size(), none);
  actions_.clear();
  actions_.push_back({act_tree, 0, 0});
  while (!actions_.empty()) {
    Action a = actions_.back();
    actions_.pop_back();
    switch (a.kind) {
      case act_end_tree:
        items_.push_back({Form::end, a.a});
        a.a = a.b;
        [[fallthrough]];
      case act_tree: {
        uint32_t node = a.a;
        if (header_[node]) {
          uint32_t label = loop_label_[node] = label_count_++;
          items_.push_back({Form::loop, label});
          actions_.push_back({act_end, label, 0});
        }
        for (uint32_t c = child_first_[node + 1]; c-- > child_first_[node];) {
          uint32_t label = block_label_[child_[c]] = label_count_++;
          items_.push_back({Form::block, label});
          actions_.push_back({act_end_tree, label, child_[c]});
        }
        actions_.push_back({act_body, node, 0});
        break;
      }
      case act_end: items_.push_back({Form::end, a.a}); break;
      case act_else: items_.push_back({Form::else_, a.a}); break;
      case act_body: {
        uint32_t node = a.a;
        const FlowNode& x = graph.nodes[node];
        items_.push_back({Form::node, node});
        auto label_of = [&](uint32_t to) {
          return rank_[to] <= rank_[node] ? loop_label_[to] : merge_[to] ? block_label_[to] : none;
        };
        switch (x.end) {
          case FlowEnd::exit: break;
          case FlowEnd::jump: place(graph, node, graph.edges[x.first_edge]); break;
          case FlowEnd::branch: {
            uint32_t yes = graph.edges[x.first_edge], no = graph.edges[x.first_edge + 1];
            uint32_t yes_label = label_of(yes), no_label = label_of(no);
            if (yes_label != none && (no_label == none || !falls_to(yes_label))) {
              items_.push_back({Form::br_if_true, yes_label});
              place(graph, node, no);
            } else if (no_label != none) {
              items_.push_back({Form::br_if_false, no_label});
              place(graph, node, yes);
            } else {
              // An arm that does not fall through goes first: it needs no else.
              auto leaves = [&](uint32_t to) {
                const FlowNode& y = graph.nodes[to];
                if (y.end == FlowEnd::exit) return 2;
                if (y.end != FlowEnd::jump) return 0;
                uint32_t next = graph.edges[y.first_edge];
                return rank_[next] <= rank_[to] ? 2 : merge_[next] && !falls_to(block_label_[next]) ? 1 : 0;
              };
              bool swap = leaves(no) > leaves(yes);
              uint32_t label = label_count_++;
              items_.push_back({swap ? Form::if_false : Form::if_true, label});
              uint32_t end_at = uint32_t(actions_.size());
              actions_.push_back({act_end, label, 0});
              actions_.push_back({act_tree, swap ? yes : no, 0});
              actions_.push_back({act_else, label, end_at});
              actions_.push_back({act_tree, swap ? no : yes, 0});
            }
            break;
          }
          case FlowEnd::table:
            for (uint32_t e = x.first_edge; e < x.first_edge + x.edge_count; e++)
              edge_labels_[e] = label_of(graph.edges[e]);
            items_.push_back({Form::br_table, node});
            break;
        }
        break;
      }
    }
  }
  tidy(graph);
  return items_;
}

// Makes the list shorter: no else after code that does not fall through, no block without a branch to it, an if instead
// of a block that is left only by one or two br_ifs of its own level, and loops that end with their last branch back.
namespace {
// Of a label: how control comes to its ifs, and what it belongs to.
enum : uint8_t { reach_before = 1, reach_then = 2, else_gone = 4, of_block = 0x10, of_loop = 0x20, of_if = 0x40 };
}  // namespace

void Structurer::tidy(const FlowGraph& graph) {
  count_labels(graph);
  drop_unnamed(graph);
  find_loop_ends(graph);
  rewrite_items();
}

void Structurer::count_labels(const FlowGraph& graph) {
  label_refs_.assign(label_count_, 0);
  label_direct_.assign(label_count_, 0);
  for (const Item& i : items_) {
    if (i.form == Form::br || i.form == Form::br_if_true || i.form == Form::br_if_false) label_refs_[i.arg]++;
    if (i.form == Form::br_table) {
      const FlowNode& x = graph.nodes[i.arg];
      for (uint32_t e = x.first_edge; e < x.first_edge + x.edge_count; e++) label_refs_[edge_labels_[e]]++;
    }
  }
}

// Unnamed blocks go first; then which ifs fall through.
void Structurer::drop_unnamed(const FlowGraph& graph) {
  label_flags_.assign(label_count_, 0);
  stack_.clear();
  bool reach = true;
  for (Item& i : items_) {
    switch (i.form) {
      case Form::block:
        if (!label_refs_[i.arg]) {
          i.form = Form::none;
          break;
        }
        [[fallthrough]];
      case Form::loop:
      case Form::if_true:
      case Form::if_false:
        stack_.push_back(i.arg);
        // Ifs have labels that nobody names; a loop's end is reached by falling through only.
        label_flags_[i.arg] = uint8_t((reach ? reach_before : 0) | (i.form == Form::block  ? of_block
                                                                    : i.form == Form::loop ? of_loop
                                                                                           : of_if));
        break;
      case Form::else_:
        if (!reach) {
          i.form = Form::end;
          label_flags_[i.arg] |= else_gone;
          stack_.pop_back();
          reach = label_flags_[i.arg] & reach_before;
        } else {
          label_flags_[i.arg] |= reach_then;
          reach = label_flags_[i.arg] & reach_before;
        }
        break;
      case Form::end: {
        uint8_t f = label_flags_[i.arg];
        if ((f & else_gone) || (!(f & (of_block | of_loop | of_if)) && !label_refs_[i.arg])) {
          i.form = Form::none;
          break;
        }
        stack_.pop_back();
        if (f & of_block) reach = true;
        if (f & of_if) reach = reach || (f & reach_then);
        break;
      }
      case Form::node:
        if (graph.nodes[i.arg].end == FlowEnd::exit) reach = false;
        break;
      case Form::br_if_true:
      case Form::br_if_false:
        if (!stack_.empty() && stack_.back() == i.arg && (label_flags_[i.arg] & of_block)) label_direct_[i.arg]++;
        break;
      case Form::br:
      case Form::br_table: reach = false; break;
      case Form::none: break;
    }
  }
}

// What follows a loop's last branch back stands better behind its end: nearer to the surrounding labels and to the
// body's end.
void Structurer::find_loop_ends(const FlowGraph& graph) {
  loop_cut_.assign(label_count_, 0);
  dirty_.assign(label_count_, 0);
  stack_.clear();
  for (uint32_t i = 0; i < items_.size(); i++) {
    const Item& x = items_[i];
    switch (x.form) {
      case Form::block: case Form::loop: case Form::if_true: case Form::if_false: stack_.push_back(x.arg); continue;
      case Form::end:
        stack_.pop_back();
        break;
      case Form::br: case Form::br_if_true: case Form::br_if_false: dirty_[x.arg] = 1; break;
      case Form::br_table: {
        const FlowNode& n = graph.nodes[x.arg];
        for (uint32_t e = n.first_edge; e < n.first_edge + n.edge_count; e++) dirty_[edge_labels_[e]] = 1;
        break;
      }
      default: break;
    }
    if (!stack_.empty() && dirty_[stack_.back()]) {
      dirty_[stack_.back()] = 0;
      loop_cut_[stack_.back()] = i + 1;
    }
  }
}

// A block that only conditional branches at its own level leave is an if.
bool Structurer::becomes_if(uint32_t label) const {
  return (label_flags_[label] & of_block) && label_refs_[label] == label_direct_[label] && label_refs_[label] <= 2;
}

void Structurer::rewrite_items() {
  std::swap(items_, raw_items_);
  items_.clear();
  stack_.clear();
  for (uint32_t i = 0; i < raw_items_.size(); i++) {
    Item x = raw_items_[i];
    switch (x.form) {
      case Form::block:
        stack_.push_back(x.arg);
        if (becomes_if(x.arg)) continue;
        break;
      case Form::loop: case Form::if_true: case Form::if_false: stack_.push_back(x.arg); break;
      case Form::br_if_true:
        if (becomes_if(x.arg)) x.form = Form::if_false;
        break;
      case Form::br_if_false:
        if (becomes_if(x.arg)) x.form = Form::if_true;
        break;
      case Form::end:
        stack_.pop_back();
        // Ended before.
        if ((label_flags_[x.arg] & of_loop) && loop_cut_[x.arg] && loop_cut_[x.arg] <= i) x.form = Form::none;
        else if (becomes_if(x.arg) && label_refs_[x.arg] == 2) items_.push_back(x);
        break;
      default: break;
    }
    if (x.form != Form::none) items_.push_back(x);
    if (!stack_.empty()) {
      uint32_t top = stack_.back();
      if ((label_flags_[top] & of_loop) && loop_cut_[top] == i + 1 &&
          !(i + 1 < raw_items_.size() && raw_items_[i + 1].form == Form::end && raw_items_[i + 1].arg == top))
        items_.push_back({Form::end, top});
      else if ((label_flags_[top] & of_loop) && loop_cut_[top] == i + 1)
        loop_cut_[top] = 0;  // nothing follows: its own end serves
    }
  }
}

}  // namespace lode::wasm
