// Virtual locals to wasm locals.
//
// Live ranges are lists of [begin, end) in the linear order of the backwards code's nodes, exact over the graph: a
// local that is read in a node before it is written there is live on every way back to its writes. They are made one
// local at a time, so memory is proportional to what is live, not to blocks x locals; past a budget (hostile input) a
// range is the whole function.
//
// A block parameter and its argument become one local where their ranges do not meet: the copy then vanishes. Classes
// that live in several nodes get colours first, the most used first; what lives inside one node is fitted in between by
// a linear scan. Locals are numbered by use, grouped by type: the first 128 have one-byte numbers.
#include <algorithm>
#include <array>

#include "codegen/wasm/select.h"

namespace lode::wasm {

namespace {
constexpr uint32_t none = ~0u;
constexpr size_t coalesce_limit = 8192;  // segments of one class

bool overlap(const std::vector<Segment>& a, const std::vector<Segment>& b) {
  const std::vector<Segment>& small = a.size() <= b.size() ? a : b;
  const std::vector<Segment>& large = a.size() <= b.size() ? b : a;
  if (small.empty()) return false;
  auto at = large.begin();
  for (const Segment& s : small) {
    at = std::lower_bound(at, large.end(), s.begin, [](const Segment& x, uint32_t v) { return x.end <= v; });
    if (at == large.end()) return false;
    if (at->begin < s.end) return true;
  }
  return false;
}

void unite(std::vector<Segment>& into, const std::vector<Segment>& from) {
  size_t middle = into.size();
  into.insert(into.end(), from.begin(), from.end());
  std::inplace_merge(into.begin(), into.begin() + middle, into.end(),
                     [](const Segment& a, const Segment& b) { return a.begin < b.begin; });
  size_t out = 0;
  for (const Segment& s : into) {
    if (out && into[out - 1].end >= s.begin) into[out - 1].end = std::max(into[out - 1].end, s.end);
    else into[out++] = s;
  }
  into.resize(out);
}
}  // namespace

uint32_t Selector::find(uint32_t v) {
  while (leader_[v] != v) v = leader_[v] = leader_[leader_[v]];
  return v;
}

// Where liveness has come to: of the local at hand, which is `v` in these arrays by flow node.
struct Selector::RangeFinder {
  std::vector<uint32_t> first, by_local;    // touches by local
  std::vector<uint32_t> pred_first, preds;  // predecessors by node
  std::vector<uint32_t> in, out, at, touch, involved, work;
  size_t budget = 0;                        // steps; when there are none left a local is live everywhere
};

void Selector::find_ranges() {
  const uint32_t total = find_touches();
  RangeFinder f;
  sort_touches(f);
  const size_t nodes = flow_.nodes.size();
  f.in.assign(nodes, none);
  f.out.assign(nodes, none);
  f.at.assign(nodes, none);
  f.touch.assign(nodes, 0);
  f.budget = 4'000'000 + code_tags_.size() * 16;
  for (uint32_t v = 0; v < local_types_.size(); v++) {
    const uint32_t begin = f.first[v], end = f.first[v + 1];
    if (begin == end) continue;
    const Touch& only = touches_[f.by_local[begin]];
    if (end - begin == 1 && only.up_last == none) {
      ranges_[v].push_back({only.def, std::max(only.def + 1, only.down_last == none ? 0 : only.down_last)});
      continue;
    }
    find_liveness(f, v);
    if (f.budget) add_segments(f, v);
    else ranges_[v].push_back({0, total});
  }
}

// Positions of all code, and what each node does with each local. Returns the end's position.
uint32_t Selector::find_touches() {
  const size_t locals = local_types_.size();
  if (ranges_.size() < locals) ranges_.resize(locals);
  for (size_t i = 0; i < locals; i++) ranges_[i].clear();
  weight_.assign(locals, 0);
  node_position_.assign(flow_.nodes.size(), 0);
  node_end_.assign(flow_.nodes.size(), 0);
  touches_.clear();
  code_positions_.resize(code_tags_.size());
  std::vector<uint32_t>& last_touch = left_;
  last_touch.assign(locals, none);
  uint32_t position = 0;
  for (uint32_t node : layout_) {
    node_position_[node] = position++;
    if (node == 0) {
      for (uint32_t p = 0; p < own_signature_.params.size(); p++) {
        last_touch[p] = uint32_t(touches_.size());
        touches_.push_back({p, 0, none, node_position_[0], none});
      }
    }
    const Chunk& c = chunks_[node];
    for (uint32_t i = c.end; i-- > c.begin; position++) {
      uint8_t tag = code_tags_[i];
      code_positions_[i] = position;
      if (tag == uint8_t(OwnTag::frame_address)) weight_[frame_virtual_]++;
      if (tag < uint8_t(Op::local_get) || tag > uint8_t(Op::local_tee)) continue;
      uint32_t v = code_operands_[i];
      weight_[v]++;
      if (v == frame_virtual_) continue;
      if (last_touch[v] == none || touches_[last_touch[v]].node != node) {
        last_touch[v] = uint32_t(touches_.size());
        touches_.push_back({v, node, none, none, none});
      }
      Touch& t = touches_[last_touch[v]];
      if (tag == uint8_t(Op::local_get)) {
        (t.def == none ? t.up_last : t.down_last) = position;
      } else if (t.def == none) {
        t.def = position;
      } else {
        t.down_last = position;
      }
    }
    node_end_[node] = position;
  }
  return position;
}

void Selector::sort_touches(RangeFinder& f) {
  const size_t locals = local_types_.size(), nodes = flow_.nodes.size();
  f.first.assign(locals + 1, 0);
  f.by_local.resize(touches_.size());
  for (const Touch& t : touches_) f.first[t.local + 1]++;
  for (size_t i = 0; i < locals; i++) f.first[i + 1] += f.first[i];
  std::vector<uint32_t> cursor(f.first.begin(), f.first.end() - 1);
  for (uint32_t i = 0; i < touches_.size(); i++) f.by_local[cursor[touches_[i].local]++] = i;
  f.pred_first.assign(nodes + 1, 0);
  for (const FlowNode& n : flow_.nodes)
    for (uint32_t e = n.first_edge; e < n.first_edge + n.edge_count; e++) f.pred_first[flow_.edges[e] + 1]++;
  for (size_t i = 0; i < nodes; i++) f.pred_first[i + 1] += f.pred_first[i];
  f.preds.resize(f.pred_first[nodes]);
  cursor.assign(f.pred_first.begin(), f.pred_first.end() - 1);
  for (uint32_t n = 0; n < nodes; n++)
    for (uint32_t to : flow_.successors(n)) f.preds[cursor[to]++] = n;
}

// Backwards from the nodes that read the local first.
void Selector::find_liveness(RangeFinder& f, uint32_t v) {
  f.involved.clear();
  f.work.clear();
  for (uint32_t k = f.first[v]; k < f.first[v + 1]; k++) {
    const Touch& t = touches_[f.by_local[k]];
    f.at[t.node] = v;
    f.touch[t.node] = f.by_local[k];
    f.involved.push_back(t.node);
    if (t.up_last != none) {
      f.in[t.node] = v;
      f.work.push_back(t.node);
    }
  }
  while (!f.work.empty() && f.budget) {
    uint32_t n = f.work.back();
    f.work.pop_back();
    for (uint32_t p = f.pred_first[n]; p < f.pred_first[n + 1]; p++) {
      uint32_t m = f.preds[p];
      if (f.out[m] == v) continue;
      f.out[m] = v;
      if (f.at[m] == v) {
        if (touches_[f.touch[m]].def != none || f.in[m] == v) continue;
      } else {
        if (f.in[m] == v) continue;
        f.involved.push_back(m);
      }
      f.in[m] = v;
      f.work.push_back(m);
      if (!--f.budget) break;
    }
  }
}

// The range of a local, node by node in the order of positions.
void Selector::add_segments(RangeFinder& f, uint32_t v) {
  std::vector<Segment>& range = ranges_[v];
  std::sort(f.involved.begin(), f.involved.end(),
            [&](uint32_t a, uint32_t b) { return node_position_[a] < node_position_[b]; });
  auto add = [&](uint32_t b, uint32_t e) {
    if (e <= b) return;
    if (!range.empty() && range.back().end >= b) range.back().end = std::max(range.back().end, e);
    else range.push_back({b, e});
  };
  for (uint32_t n : f.involved) {
    const Touch* t = f.at[n] == v ? &touches_[f.touch[n]] : nullptr;
    bool live_in = f.in[n] == v, live_out = f.out[n] == v;
    if (live_in) {
      uint32_t stop = t && t->def != none ? (t->up_last == none ? node_position_[n] : t->up_last)
                      : live_out          ? node_end_[n]
                      : t                 ? t->up_last
                                          : node_end_[n];
      // A local read by the first instruction is still live at the node's beginning.
      add(node_position_[n], std::max(stop, node_position_[n] + 1));
    }
    if (t && t->def != none)
      add(t->def, live_out ? node_end_[n] : std::max(t->def + 1, t->down_last == none ? 0 : t->down_last));
  }
}

void Selector::coalesce() {
  uint32_t params = uint32_t(own_signature_.params.size());
  leader_.resize(local_types_.size());
  for (uint32_t i = 0; i < leader_.size(); i++) leader_[i] = i;
  std::stable_sort(copies_.begin(), copies_.end(), [](const Copy& a, const Copy& b) { return a.weight > b.weight; });
  // Between a copy's local.get and its local.set the value is on the stack; without the copy it stays in the local,
  // which must then be its own from the end of the argument's range to the parameter's beginning.
  std::vector<Segment> gap(1);
  for (Copy& c : copies_) {
    c.removable = false;
    if (c.from == frame_virtual_) continue;
    uint32_t a = find(c.from), b = find(c.to);
    if (local_types_[a] != local_types_[b] || (a != b && a < params && b < params)) continue;
    const std::vector<Segment>& argument = ranges_[a];
    uint32_t get = code_positions_[c.get], set = code_positions_[c.set];
    auto at =
        std::lower_bound(argument.begin(), argument.end(), get, [](const Segment& x, uint32_t v) { return x.end < v; });
    gap[0] = {at != argument.end() && at->begin < get ? std::max(get, at->end) : get, set};
    bool open = gap[0].begin < gap[0].end;
    if (open && (overlap(ranges_[a], gap) || (a != b && overlap(ranges_[b], gap)))) continue;
    if (a != b) {
      if (ranges_[a].size() + ranges_[b].size() > coalesce_limit || overlap(ranges_[a], ranges_[b])) continue;
      if (b < a) std::swap(a, b);  // parameters have the lowest numbers and stay
      if (ranges_[a].size() < ranges_[b].size()) std::swap(ranges_[a], ranges_[b]);
      unite(ranges_[a], ranges_[b]);
      leader_[b] = a;
      weight_[a] += weight_[b];
    }
    if (open) unite(ranges_[a], gap);
    c.removable = true;
  }
}

void Selector::colour() {
  uint32_t params = uint32_t(own_signature_.params.size()), locals = uint32_t(local_types_.size());
  colour_.assign(locals, none);
  colour_types_.clear();
  if (occupied_.size() < params) occupied_.resize(params);
  std::array<std::vector<uint32_t>, 8> by_type;  // colours
  auto type_index = [](ValueType t) { return (0x7f - unsigned(t)) & 7; };
  for (uint32_t p = 0; p < params; p++) {
    colour_[p] = p;
    colour_types_.push_back(local_types_[p]);
    occupied_[p] = ranges_[p];
    by_type[type_index(local_types_[p])].push_back(p);
  }
  auto new_colour = [&](ValueType t) {
    uint32_t c = uint32_t(colour_types_.size());
    colour_types_.push_back(t);
    if (occupied_.size() <= c) occupied_.resize(c + 1);
    occupied_[c].clear();
    by_type[type_index(t)].push_back(c);
    return c;
  };
  std::vector<uint32_t> wide, narrow;
  for (uint32_t v = params; v < locals; v++) {
    if (v == frame_virtual_ || find(v) != v || ranges_[v].empty()) continue;
    bool inside = ranges_[v].size() == 1;
    if (inside) {
      // Within one node: no node begins in it.
      const Segment& s = ranges_[v][0];
      auto next = std::upper_bound(layout_.begin(), layout_.end(), s.begin,
                                   [&](uint32_t p, uint32_t n) { return p < node_position_[n]; });
      inside = next == layout_.end() || node_position_[*next] >= s.end;
      if (inside && s.begin == node_position_[*(next - 1)]) inside = false;
    }
    (inside ? narrow : wide).push_back(v);
  }
  std::stable_sort(wide.begin(), wide.end(), [&](uint32_t a, uint32_t b) { return weight_[a] > weight_[b]; });
  for (uint32_t v : wide) {
    uint32_t best = none;
    for (uint32_t c : by_type[type_index(local_types_[v])]) {
      if (!overlap(occupied_[c], ranges_[v])) {
        best = c;
        break;
      }
    }
    if (best == none) best = new_colour(local_types_[v]);
    colour_[v] = best;
    unite(occupied_[best], ranges_[v]);
  }
  std::sort(narrow.begin(), narrow.end(),
            [&](uint32_t a, uint32_t b) { return ranges_[a][0].begin < ranges_[b][0].begin; });
  std::vector<uint32_t> busy(colour_types_.size(), 0), next(colour_types_.size(), 0);
  for (uint32_t v : narrow) {
    const Segment s = ranges_[v][0];
    uint32_t best = none;
    for (uint32_t c : by_type[type_index(local_types_[v])]) {
      if (busy[c] > s.begin) continue;
      const std::vector<Segment>& o = occupied_[c];
      while (next[c] < o.size() && o[next[c]].end <= s.begin) next[c]++;
      if (next[c] < o.size() && o[next[c]].begin < s.end) continue;
      best = c;
      break;
    }
    if (best == none) {
      best = new_colour(local_types_[v]);
      busy.push_back(0);
      next.push_back(0);
    }
    colour_[v] = best;
    busy[best] = s.end;
  }
  for (uint32_t v = 0; v < locals; v++)
    if (v != frame_virtual_) colour_[v] = colour_[find(v)];
  // Copies whose two sides became one.
  for (const Copy& c : copies_) {
    if (!c.removable) continue;
    code_tags_[c.get] = code_tags_[c.set] = gone_tag;
  }
}

// Final numbers: parameters, then by use and type. Colours past colour_types_ are the frame's base, the saved stack
// pointer and the dispatch variables, in that order where they exist.
void Selector::number_locals(bool frame, bool saved) {
  uint32_t params = uint32_t(own_signature_.params.size());
  std::vector<uint32_t> count(colour_types_.size(), 0);
  for (const Chunk& c : chunks_) {
    for (uint32_t i = c.begin; i < c.end; i++) {
      uint8_t tag = code_tags_[i];
      if (tag < uint8_t(Op::local_get) || tag > uint8_t(Op::local_tee) || code_operands_[i] == frame_virtual_) continue;
      count[colour_[code_operands_[i]]]++;
    }
  }
  std::vector<ValueType> types = colour_types_;
  uint32_t frame_colour = none, saved_colour = none;
  auto extra = [&](ValueType t, uint32_t uses) {
    types.push_back(t);
    count.push_back(uses);
    return uint32_t(types.size() - 1);
  };
  if (frame) frame_colour = extra(address_, weight_[frame_virtual_] + 2);
  if (saved) saved_colour = extra(address_, 2);
  first_variable_ = uint32_t(types.size());
  for (uint32_t i = 0; i < flow_.variables; i++) extra(ValueType::i32, 3);
  std::vector<uint32_t> order;
  for (uint32_t c = params; c < types.size(); c++)
    if (count[c]) order.push_back(c);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return count[a] > count[b]; });
  size_t hot = params < 128 ? std::min<size_t>(128 - params, order.size()) : 0;
  auto by_type = [&](uint32_t a, uint32_t b) { return types[a] > types[b]; };  // i32 first
  std::stable_sort(order.begin(), order.begin() + hot, by_type);
  std::stable_sort(order.begin() + hot, order.end(), by_type);
  final_local_.assign(types.size(), none);
  for (uint32_t p = 0; p < params; p++) final_local_[p] = p;
  std::vector<uint8_t>& locals = mir_.draft().locals;
  locals.clear();
  for (uint32_t c : order) {
    final_local_[c] = params + uint32_t(locals.size());
    locals.push_back(uint8_t(types[c]));
  }
  frame_local_ = frame ? final_local_[frame_colour] : no_local;
  saved_local_ = saved ? final_local_[saved_colour] : no_local;
}

void Selector::allocate_locals() {
  find_ranges();
  coalesce();
  colour();
}

}  // namespace lode::wasm
