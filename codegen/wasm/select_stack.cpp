// Nodes to code, written backwards.
//
// A block is written from its last instruction to its first. When an operand is asked for whose node has no other use
// before this point of the block, its code can stand directly before its user, that is: right here, if nothing that has
// not been written yet and that must come after it stands between. What has not been written yet lies earlier in the
// final order. So:
//   a node without effect    can stand here always;
//   a load                   if no write that follows it is still unwritten (such a write would come before it);
//   a call or other write    if it is the last unwritten write and no load after it is unwritten.
// A node with more uses is then left in a local by local.tee, the later uses having been written as local.get. A node
// that cannot stand before its first use gets its code when the scan arrives at it, ending in local.set. Constants and
// addresses are written anew at each use.
//
// Code that runs on an edge only (arguments of a conditional branch) takes in what is used there and nowhere else,
// calls excepted.
#include <algorithm>

#include "codegen/wasm/select.h"

namespace lode::wasm {

using AirOp = air::Op;

namespace {
constexpr uint32_t none = ~0u;
constexpr uint32_t tree_limit = 120;  // nesting of operands; deeper ones go through locals
}  // namespace

template <class F>
void Selector::each_operand(const Node& n, F&& f) {
  if (n.list) {
    for (uint32_t i = 0; i < n.b; i++) f(node_lists_[n.a + i]);
    return;
  }
  if (n.operands > 0) f(n.a);
  if (n.operands > 1) f(n.b);
  if (n.operands > 2) f(n.c);
}

void Selector::mark_use(NodeId n) {
  if (uses_[n]++ == 0 && !is_constant(n)) worklist_.push_back(n);
}

// Uses by code that is needed: from effects, branches and results backwards.
void Selector::count_uses() {
  uses_.assign(nodes_.size(), 0);
  worklist_.clear();
  // Edges into each block.
  edge_first_.assign(blocks_.size() + 1, 0);
  auto each_edge = [&](auto&& f) {
    for (const BlockInfo& b : blocks_) {
      const air::Block& block = fn_->blocks[b.air];
      air::for_each_edge(*fn_, fn_->insts[block.first_inst + block.inst_count - 1], f);
    }
  };
  each_edge([&](uint32_t e) { edge_first_[block_of_[fn_->edges[e].target.value] + 1]++; });
  for (size_t i = 0; i < blocks_.size(); i++) edge_first_[i + 1] += edge_first_[i];
  edge_list_.resize(edge_first_[blocks_.size()]);
  left_.assign(edge_first_.begin(), edge_first_.end() - 1);
  each_edge([&](uint32_t e) { edge_list_[left_[block_of_[fn_->edges[e].target.value]]++] = e; });

  for (const BlockInfo& b : blocks_) {
    for (uint32_t i = b.first_node; i < b.end_node; i++) {
      // A load alone is no reason to run.
      if (nodes_[i].effect != effect_write || is_constant(i)) continue;
      each_operand(nodes_[i], [&](NodeId o) { mark_use(o); });
    }
    if (b.condition != no_node) mark_use(b.condition);
  }
  while (!worklist_.empty()) {
    NodeId id = worklist_.back();
    worklist_.pop_back();
    const Node& n = nodes_[id];
    if (n.op == pseudo_param) {
      for (uint32_t k = edge_first_[n.a]; k < edge_first_[n.a + 1]; k++)
        mark_use(edge_arguments_[edge_arguments_first_[edge_list_[k]] + n.b]);
    } else if (n.effect != effect_write) {
      each_operand(n, [&](NodeId o) { mark_use(o); });
    }
  }
}

uint32_t Selector::new_local(ValueType t) {
  local_types_.push_back(t);
  return uint32_t(local_types_.size() - 1);
}

uint32_t Selector::local_of(NodeId n) {
  uint32_t& l = node_local_[n];
  if (l == no_local) l = new_local(ValueType(nodes_[n].type));
  return l;
}

bool Selector::placeable(NodeId id) {
  const Node& n = nodes_[id];
  if (n.effect == effect_none) return true;
  auto last_unwritten = [&](uint32_t& at, uint8_t mask) {
    // `at` is one more than the node; effects that stand are passed over for good.
    while (at > block_first_) {
      const Node& m = nodes_[at - 1];
      if ((m.effect & mask) && !written_[at - 1] && (m.effect == effect_write || uses_[at - 1])) break;
      at--;
    }
    return at;
  };
  if (n.effect == effect_read) return last_unwritten(last_write_, effect_write) < id + 1;
  if (in_edge_) return false;
  return last_unwritten(last_write_, effect_write) == id + 1 && last_unwritten(last_read_, effect_read) < id + 1;
}

// Writes code that pushes node n.
void Selector::use(NodeId id) {
  const Node& n = nodes_[id];
  if (is_constant(id)) {
    switch (n.op) {
      case uint16_t(Op::i32_const): return mir_.i32_const(int32_t(n.a));
      case uint16_t(Op::i64_const): return mir_.i64_const(int64_t(n.a | uint64_t(n.b) << 32));
      case uint16_t(Op::f32_const): return mir_.f32_const(n.a);
      case uint16_t(Op::f64_const): return mir_.f64_const(n.a | uint64_t(n.b) << 32);
      case pseudo_data_address: return mir_.own(OwnTag::data_address, n.a);
      case pseudo_function_address: return mir_.own(OwnTag::function_address, n.a);
      case pseudo_global: return mir_.op(Op::global_get, n.a);
      case pseudo_frame_base: return mir_.op(Op::local_get, frame_virtual_);
      case pseudo_frame_address:
        if (n.a == 0) return mir_.op(Op::local_get, frame_virtual_);
        return mir_.own(OwnTag::frame_address, n.a);
      default: return;
    }
  }
  if (n.op != pseudo_param && node_block_[id] == current_block_ && !written_[id]) {
    bool here;
    if (in_edge_) {
      here = uses_[id] == 1 && depth_ < tree_limit && placeable(id);
    } else {
      here = --left_[id] == 0 && depth_ < tree_limit && placeable(id);
    }
    if (here) {
      if (uses_[id] > 1) mir_.op(Op::local_tee, local_of(id));
      depth_++;
      write_node(id);
      depth_--;
      return;
    }
  }
  mir_.op(Op::local_get, local_of(id));
}

// Writes the instruction of a node and, before it, its operands.
void Selector::write_node(NodeId id) {
  written_[id] = 1;
  const Node n = nodes_[id];
  if (n.op == pseudo_stack_check) {
    mir_.op(Op::end);
    mir_.op(Op::unreachable);
    mir_.op(Op::call, n.aux);
    mir_.op(Op::if_, empty_block);
    use(n.a);
    return;
  }
  if (n.op == pseudo_trunc_guarded) {
    // if |x| is small enough (or x in [0, limit) for unsigned): the truncation, else the least value.
    Op op = Op(n.b);
    bool from64 = op == Op::i32_trunc_f64_s || op == Op::i32_trunc_f64_u || op == Op::i64_trunc_f64_s ||
                  op == Op::i64_trunc_f64_u;
    bool is_signed = op == Op::i32_trunc_f64_s || op == Op::i64_trunc_f64_s || op == Op::i32_trunc_f32_s ||
                     op == Op::i64_trunc_f32_s;
    bool wide = n.type == uint8_t(ValueType::i64);
    uint32_t x = new_local(from64 ? ValueType::f64 : ValueType::f32);
    unsigned exponent = (wide ? 64 : 32) - (is_signed ? 1 : 0);
    auto limit = [&] {
      if (from64) mir_.f64_const(uint64_t(1023 + exponent) << 52);
      else mir_.f32_const((127 + exponent) << 23);
    };
    mir_.op(Op::end);
    if (wide) mir_.i64_const(is_signed ? INT64_MIN : 0);
    else mir_.i32_const(is_signed ? INT32_MIN : 0);
    mir_.op(Op::else_);
    mir_.op(op);
    mir_.op(Op::local_get, x);
    mir_.op(Op::if_, n.type);
    if (is_signed) {
      mir_.op(from64 ? Op::f64_lt : Op::f32_lt);
      limit();
      mir_.op(from64 ? Op::f64_abs : Op::f32_abs);
      mir_.op(Op::local_tee, x);
    } else {
      mir_.op(Op::i32_and);
      mir_.op(from64 ? Op::f64_ge : Op::f32_ge);
      if (from64) mir_.f64_const(0);
      else mir_.f32_const(0);
      mir_.op(Op::local_get, x);
      mir_.op(from64 ? Op::f64_lt : Op::f32_lt);
      limit();
      mir_.op(Op::local_tee, x);
    }
    use(n.a);
    return;
  }
  if (n.op != uint16_t(Op::nop)) mir_.op(Op(n.op), n.aux);
  if (uses_frame_ && (n.op == uint16_t(Op::return_call) || n.op == uint16_t(Op::return_call_indirect)))
    mir_.own(OwnTag::epilogue, 0);
  if (n.list) {
    for (uint32_t i = n.b; i-- > 0;) use(node_lists_[n.a + i]);
    return;
  }
  if (n.operands > 2) use(n.c);
  if (n.operands > 1) use(n.b);
  if (n.operands > 0) use(n.a);
}

bool Selector::edge_has_code(const air::Edge& edge) {
  const BlockInfo& to = blocks_[block_of_[edge.target.value]];
  for (uint32_t a = 0; a < edge.arg_count; a++)
    if (uses_[to.first_param + a]) return true;
  return false;
}

// The assignment of an edge's arguments to the parameters of its target, all at once: the values are pushed, then set.
void Selector::write_arguments(uint32_t e, uint32_t weight) {
  const air::Edge& edge = fn_->edges[e];
  const BlockInfo& to = blocks_[block_of_[edge.target.value]];
  auto& tags = mir_.draft().tags;
  for (uint32_t a = 0; a < edge.arg_count; a++)
    if (uses_[to.first_param + a]) mir_.op(Op::local_set, local_of(to.first_param + a));
  uint32_t set = uint32_t(tags.size());
  for (uint32_t a = edge.arg_count; a-- > 0;) {
    if (!uses_[to.first_param + a]) continue;
    set--;
    uint32_t get = uint32_t(tags.size());
    use(edge_arguments_[edge_arguments_first_[e] + a]);
    if (tags.size() == get + 1 && tags[get] == uint16_t(Op::local_get))
      copies_.push_back({get, set, mir_.draft().operands[get], mir_.draft().operands[set], weight, false});
  }
}

uint32_t Selector::new_flow_node(FlowEnd end) {
  FlowNode n;
  n.end = end;
  n.payload = uint32_t(flow_.nodes.size());
  flow_.nodes.push_back(n);
  chunks_.push_back({});
  return n.payload;
}

// Blocks that only return their parameter. Those who go there return at once, which is shorter than to pass the value;
// not where a return has to give a frame back first.
void Selector::find_returns() {
  returned_param_.assign(blocks_.size(), none);
  if (own_signature_.results.empty() || moves_stack_ || (uses_frame_ && calls_)) return;
  for (uint32_t i = 1; i < blocks_.size(); i++) {
    const BlockInfo& b = blocks_[i];
    const air::Block& block = fn_->blocks[b.air];
    if (block.inst_count != 1 || b.first_node != b.end_node || b.tail_call != no_node || b.condition == no_node)
      continue;
    if (fn_->insts[block.first_inst].op != AirOp::ret) continue;
    if (b.condition >= b.first_param && b.condition < b.first_param + b.param_count)
      returned_param_[i] = b.condition - b.first_param;
  }
}

// Edges that assign the same values to the parameters of the same block share one flow node for that: those of branches
// and switches always, those of jumps where the values are there anyway and enough edges take part.
void Selector::group_edges() {
  edge_group_.assign(fn_->edges.size(), none);
  group_node_.clear();
  struct Candidate {
    uint32_t edge, to;
    bool jump;
  };
  std::vector<Candidate> all;
  for (uint32_t i = 0; i < blocks_.size(); i++) {
    const air::Block& block = fn_->blocks[blocks_[i].air];
    const air::Inst& last = fn_->insts[block.first_inst + block.inst_count - 1];
    bool jump = last.op == AirOp::br;
    air::for_each_edge(*fn_, last, [&](uint32_t e) {
      const air::Edge& edge = fn_->edges[e];
      uint32_t to = block_of_[edge.target.value];
      if (!edge_has_code(edge)) return;
      if (jump) {
        if (returned_param_[to] != none) return;
        for (uint32_t a = 0; a < edge.arg_count; a++) {
          NodeId n = edge_arguments_[edge_arguments_first_[e] + a];
          if (uses_[blocks_[to].first_param + a] && !is_constant(n) && node_block_[n] == i &&
              nodes_[n].op != pseudo_param)
            return;
        }
      }
      all.push_back({e, to, jump});
    });
  }
  // Of the arguments, those that the target reads.
  auto compare = [&](const Candidate& x, const Candidate& y) {
    if (x.to != y.to) return x.to < y.to ? -1 : 1;
    const NodeId *a = edge_arguments_.data() + edge_arguments_first_[x.edge],
                 *b = edge_arguments_.data() + edge_arguments_first_[y.edge];
    for (uint32_t k = 0; k < fn_->edges[x.edge].arg_count; k++)
      if (a[k] != b[k] && uses_[blocks_[x.to].first_param + k]) return a[k] < b[k] ? -1 : 1;
    return 0;
  };
  std::sort(all.begin(), all.end(), [&](const Candidate& x, const Candidate& y) {
    int c = compare(x, y);
    return c ? c < 0 : x.edge < y.edge;
  });
  for (size_t i = 0; i < all.size();) {
    size_t end = i + 1, jumps = all[i].jump;
    for (; end < all.size() && compare(all[i], all[end]) == 0; end++) jumps += all[end].jump;
    size_t others = end - i - jumps;
    bool with_jumps = others ? end - i >= 2 : jumps >= 3;
    if (others >= 2 || with_jumps) {
      for (size_t k = i; k < end; k++)
        if (!all[k].jump || with_jumps) edge_group_[all[k].edge] = uint32_t(group_node_.size());
      group_node_.push_back(none);
    }
    i = end;
  }
}

// The flow node that an edge leads to: the target itself, or one that passes the arguments first.
uint32_t Selector::edge_node(uint32_t e) {
  const air::Edge& edge = fn_->edges[e];
  uint32_t to = block_of_[edge.target.value];
  if (!edge_has_code(edge)) return to;
  uint32_t group = edge_group_[e];
  if (group != none && group_node_[group] != none) return group_node_[group];
  bool returns = returned_param_[to] != none;
  uint32_t node = new_flow_node(returns ? FlowEnd::exit : FlowEnd::jump);
  if (!returns) {
    flow_.nodes[node].first_edge = uint32_t(flow_.edges.size());
    flow_.nodes[node].edge_count = 1;
    flow_.edges.push_back(to);
  }
  chunks_[node].begin = uint32_t(mir_.draft().tags.size());
  in_edge_ = true;
  if (returns) {
    mir_.op(Op::return_);
    use(edge_arguments_[edge_arguments_first_[e] + returned_param_[to]]);
  } else {
    write_arguments(e, to <= current_block_ ? 2 : 1);
  }
  in_edge_ = false;
  chunks_[node].end = uint32_t(mir_.draft().tags.size());
  layout_.push_back(node);
  if (group != none) group_node_[group] = node;
  return node;
}

// Blocks that nothing leads to any more have no code, so that it does not count as a use of locals.
void Selector::drop_unreached() {
  std::vector<uint8_t> reached(flow_.nodes.size(), 0);
  worklist_.assign(1, 0);
  reached[0] = 1;
  while (!worklist_.empty()) {
    uint32_t n = worklist_.back();
    worklist_.pop_back();
    for (uint32_t to : flow_.successors(n)) {
      if (reached[to]) continue;
      reached[to] = 1;
      worklist_.push_back(to);
    }
  }
  std::vector<Chunk> dropped;
  for (uint32_t n = 0; n < reached.size(); n++) {
    if (reached[n] || chunks_[n].begin == chunks_[n].end) continue;
    dropped.push_back(chunks_[n]);
    chunks_[n].end = chunks_[n].begin;
  }
  if (dropped.empty()) return;
  std::sort(dropped.begin(), dropped.end(), [](const Chunk& a, const Chunk& b) { return a.begin < b.begin; });
  std::erase_if(copies_, [&](const Copy& c) {
    auto at =
        std::upper_bound(dropped.begin(), dropped.end(), c.get, [](uint32_t v, const Chunk& x) { return v < x.end; });
    return at != dropped.end() && at->begin <= c.get;
  });
}

void Selector::set_edges(uint32_t node, std::span<const uint32_t> targets) {
  flow_.nodes[node].first_edge = uint32_t(flow_.edges.size());
  flow_.nodes[node].edge_count = uint32_t(targets.size());
  flow_.edges.insert(flow_.edges.end(), targets.begin(), targets.end());
}

// The condition of the current block is not read after all.
void Selector::forget_condition() {
  NodeId n = blocks_[current_block_].condition;
  if (is_constant(n)) return;
  uses_[n]--;
  if (node_block_[n] == current_block_ && nodes_[n].op != pseudo_param) left_[n]--;
}

void Selector::write_terminator(uint32_t index) {
  const BlockInfo& b = blocks_[index];
  const air::Block& block = fn_->blocks[b.air];
  const air::Inst& inst = fn_->insts[block.first_inst + block.inst_count - 1];
  auto start = [&] { chunks_[index].begin = uint32_t(mir_.draft().tags.size()); };
  switch (inst.op) {
    case AirOp::br: {
      uint32_t target = block_of_[fn_->edges[inst.a].target.value];
      if (edge_group_[inst.a] != none) {
        uint32_t shared[] = {edge_node(inst.a)};
        start();
        flow_.nodes[index].end = FlowEnd::jump;
        set_edges(index, shared);
        break;
      }
      start();
      if (returned_param_[target] != none) {
        mir_.op(Op::return_);
        use(edge_arguments_[edge_arguments_first_[inst.a] + returned_param_[target]]);
        break;
      }
      flow_.nodes[index].end = FlowEnd::jump;
      uint32_t to[] = {target};
      set_edges(index, to);
      if (edge_has_code(fn_->edges[inst.a])) write_arguments(inst.a, to[0] <= index ? 2 : 1);
      break;
    }
    case AirOp::cond_br: {
      uint32_t yes = edge_node(b.inverted ? inst.c : inst.b), no = edge_node(b.inverted ? inst.b : inst.c);
      start();
      int64_t k = 0;
      if (yes == no || constant(b.condition, k)) {
        flow_.nodes[index].end = FlowEnd::jump;
        uint32_t to[] = {yes == no || k ? yes : no};
        set_edges(index, to);
        forget_condition();
        break;
      }
      flow_.nodes[index].end = FlowEnd::branch;
      uint32_t to[] = {yes, no};
      set_edges(index, to);
      use(b.condition);
      break;
    }
    case AirOp::switch_: {
      // Edges and further tests come before the block's own code, which write_switch() ends with.
      write_switch(index, inst);
      return;
    }
    case AirOp::indirect_br: {
      uint32_t n = fn_->extra[inst.b];
      std::vector<std::pair<uint32_t, uint32_t>> targets;  // number, node
      uint32_t most = 0;
      for (uint32_t i = 0; i < n; i++) {
        uint32_t e = fn_->extra[inst.b + 1 + i];
        uint32_t number = fn_->edges[e].target.value + 1;
        bool known = false;
        for (auto& t : targets) known |= t.first == number;
        if (known && n < 2000) continue;
        targets.push_back({number, edge_node(e)});
        most = std::max(most, number);
      }
      start();
      if (targets.empty()) {
        flow_.nodes[index].end = FlowEnd::exit;
        mir_.op(Op::unreachable);
        break;
      }
      uint32_t least = most;
      for (auto& t : targets) least = std::min(least, t.first);
      std::vector<uint32_t> table(most - least + 2, targets[0].second);
      for (auto& t : targets) table[t.first - least] = t.second;
      flow_.nodes[index].end = FlowEnd::table;
      set_edges(index, table);
      if (least) {
        mir_.op(Op::i32_sub);
        mir_.i32_const(int32_t(least));
      }
      use(b.condition);
      break;
    }
    case AirOp::ret:
      start();
      if (b.tail_call != no_node) {
        write_node(b.tail_call);
        break;
      }
      mir_.op(Op::return_);
      if (uses_frame_) mir_.own(OwnTag::epilogue, 0);
      if (b.condition != no_node) {
        use(b.condition);
      } else if (!own_signature_.results.empty()) {
        switch (own_signature_.results[0]) {
          case ValueType::i64: mir_.i64_const(0); break;
          case ValueType::f32: mir_.f32_const(0); break;
          case ValueType::f64: mir_.f64_const(0); break;
          default: mir_.i32_const(0); break;
        }
      }
      break;
    default:
      start();
      mir_.op(Op::unreachable);
      break;
  }
}

void Selector::write_block(uint32_t index) {
  BlockInfo& b = blocks_[index];
  current_block_ = index;
  block_first_ = b.first_node;
  last_write_ = last_read_ = b.end_node;
  depth_ = 0;
  const air::Block& block = fn_->blocks[b.air];
  const air::Inst& last = fn_->insts[block.first_inst + block.inst_count - 1];
  // Uses within the block by its own code, edges excepted.
  auto count = [&](NodeId o) {
    if (node_block_[o] == index) left_[o]++;
  };
  for (uint32_t i = b.first_node; i < b.end_node; i++) {
    const Node& n = nodes_[i];
    if (is_constant(i) || n.op == pseudo_param) continue;
    if (n.effect == effect_write || uses_[i]) each_operand(n, count);
  }
  if (b.condition != no_node) count(b.condition);
  if (last.op == AirOp::br && edge_group_[last.a] == none) {
    const air::Edge& edge = fn_->edges[last.a];
    const BlockInfo& to = blocks_[block_of_[edge.target.value]];
    for (uint32_t a = 0; a < edge.arg_count; a++)
      if (uses_[to.first_param + a]) count(edge_arguments_[edge_arguments_first_[last.a] + a]);
  }
  layout_.push_back(index);
  write_terminator(index);
  for (uint32_t i = b.end_node; i-- > b.first_node;) {
    const Node& n = nodes_[i];
    if (written_[i] || is_constant(i) || n.op == pseudo_param) continue;
    if (n.effect != effect_write && !uses_[i]) continue;
    if (n.type) {
      if (uses_[i]) mir_.op(Op::local_set, local_of(i));
      else mir_.op(Op::drop);
    }
    write_node(i);
  }
  chunks_[index].end = uint32_t(mir_.draft().tags.size());
}

void Selector::write_code() {
  count_uses();
  left_.assign(nodes_.size(), 0);
  written_.assign(nodes_.size(), 0);
  node_local_.assign(nodes_.size(), no_local);
  local_types_.clear();
  chunks_.clear();
  copies_.clear();
  layout_.clear();
  flow_.clear();
  in_edge_ = false;
  // Parameters are the first locals, used or not.
  for (uint32_t i = 0; i < own_signature_.params.size(); i++) new_local(own_signature_.params[i]);
  const BlockInfo& entry = blocks_[0];
  for (uint32_t p = 0; p < entry.param_count && p < own_signature_.params.size(); p++)
    node_local_[entry.first_param + p] = p;
  frame_virtual_ = new_local(address_);
  for (uint32_t i = 0; i < blocks_.size(); i++) new_flow_node(FlowEnd::exit);
  find_returns();
  group_edges();
  for (uint32_t i = 0; i < blocks_.size(); i++) write_block(i);
  drop_unreached();
}

}  // namespace lode::wasm
