// Makes a control flow graph reducible.
//
// A cycle with several entries cannot be a wasm loop. Its entries get a common dispatch node D: every edge to an entry,
// from outside or from inside the cycle, first sets a variable to the entry's number and goes to D, which branches by
// that variable. D is then the only entry, and what remains of the cycle without its edges to D is looked at again, as
// is the inside of every ordinary loop without its header. Code grows by a few instructions an edge, only where a cycle
// has several entries. After `depth_limit` levels every node of a cycle becomes an entry, which leaves no cycle inside:
// the work is bounded by limit x size whatever the input.
#include <algorithm>

#include "codegen/wasm/structure.h"

namespace lode::wasm {

namespace {
constexpr uint32_t none = ~0u;
constexpr unsigned depth_limit = 32;
}  // namespace

// The dominators are those of the graph without retreating edges, which is enough: see structure.cpp.
bool Structurer::reducible(const FlowGraph& graph) {
  for (uint32_t node : order_)
    for (uint32_t to : graph.successors(node))
      if (rank_[to] <= rank_[node] && !dominates(to, node)) return false;
  return true;
}

bool Structurer::make_reducible(FlowGraph& graph) {
  if (graph.nodes.empty()) return false;
  number(graph);
  bool retreats = false;
  for (uint32_t node : order_)
    for (uint32_t to : graph.successors(node)) retreats |= rank_[to] <= rank_[node];
  if (!retreats) return false;
  predecessors(graph);
  dominators(graph);
  if (reducible(graph)) return false;

  // region[v]: the number of the region v is in, none when v is settled.
  std::vector<uint32_t> region(graph.nodes.size(), none), scc_of(graph.nodes.size(), none);
  std::vector<std::vector<uint32_t>> work(1), next;
  work[0] = order_;
  uint32_t regions = 0, sccs = 0;
  std::vector<uint32_t> tarjan, entries, members;
  struct Frame {
    uint32_t node, edge;
  };
  std::vector<Frame> frames;
  for (unsigned level = 0; !work.empty(); level++) {
    number(graph);
    predecessors(graph);
    next.clear();
    for (const std::vector<uint32_t>& nodes : work) {
      uint32_t r = regions++;
      for (uint32_t v : nodes) region[v] = r;
      index_.resize(graph.nodes.size());
      low_.resize(graph.nodes.size());
      for (uint32_t v : nodes) {
        index_[v] = none;
        scc_of[v] = none;
      }
      uint32_t counter = 0;
      for (uint32_t root : nodes) {
        if (index_[root] != none) continue;
        frames.push_back({root, 0});
        index_[root] = low_[root] = counter++;
        tarjan.push_back(root);
        while (!frames.empty()) {
          Frame& f = frames.back();
          uint32_t v = f.node;
          const FlowNode& x = graph.nodes[v];
          if (f.edge < x.edge_count) {
            uint32_t to = graph.edges[x.first_edge + f.edge++];
            if (to >= region.size() || region[to] != r) continue;
            if (index_[to] == none) {
              index_[to] = low_[to] = counter++;
              tarjan.push_back(to);
              frames.push_back({to, 0});
            } else if (scc_of[to] == none) {
              low_[v] = std::min(low_[v], index_[to]);
            }
            continue;
          }
          frames.pop_back();
          if (!frames.empty()) low_[frames.back().node] = std::min(low_[frames.back().node], low_[v]);
          if (low_[v] != index_[v]) continue;
          members.clear();
          uint32_t id = sccs++, m;
          do {
            m = tarjan.back();
            tarjan.pop_back();
            scc_of[m] = id;
            members.push_back(m);
          } while (m != v);
          bool cycle = members.size() > 1;
          if (!cycle)
            for (uint32_t to : graph.successors(v)) cycle |= to == v;
          if (!cycle) {
            region[v] = none;
            continue;
          }
          entries.clear();
          for (uint32_t member : members) {
            bool outside = level >= depth_limit;
            for (uint32_t p = pred_first_[member]; p < pred_first_[member + 1] && !outside; p++)
              outside = pred_[p] >= scc_of.size() || scc_of[pred_[p]] != id;
            if (outside) entries.push_back(member);
          }
          std::sort(entries.begin(), entries.end(), [&](uint32_t a, uint32_t b) { return rank_[a] < rank_[b]; });
          if (entries.size() == 1) {
            region[entries[0]] = none;
            members.erase(std::find(members.begin(), members.end(), entries[0]));
          } else if (entries.size() > 1) {
            split_entries(graph, entries);
          }
          if (!members.empty()) next.push_back(members);
          for (uint32_t member : members) region[member] = none;  // settled for this level
        }
      }
    }
    region.resize(graph.nodes.size(), none);
    scc_of.resize(graph.nodes.size(), none);
    std::swap(work, next);
  }
  return true;
}

void Structurer::split_entries(FlowGraph& graph, std::span<const uint32_t> entries) {
  FlowNode dispatch;
  dispatch.code = FlowCode::dispatch;
  dispatch.end = FlowEnd::table;
  dispatch.variable = graph.variables;
  dispatch.first_edge = uint32_t(graph.edges.size());
  dispatch.edge_count = uint32_t(entries.size());
  graph.edges.insert(graph.edges.end(), entries.begin(), entries.end());
  uint32_t d = uint32_t(graph.nodes.size());
  graph.nodes.push_back(dispatch);
  for (uint32_t k = 0; k < entries.size(); k++) {
    uint32_t entry = entries[k];
    uint32_t last = none;
    for (uint32_t p = pred_first_[entry]; p < pred_first_[entry + 1]; p++) {
      uint32_t from = pred_[p];
      if (from == last) continue;  // its edges have all been turned at once
      last = from;
      uint32_t set = none;
      uint32_t first = graph.nodes[from].first_edge, last_edge = first + graph.nodes[from].edge_count;
      for (uint32_t e = first; e < last_edge; e++) {
        if (graph.edges[e] != entry) continue;
        if (set == none) {
          set = uint32_t(graph.nodes.size());
          FlowNode s;
          s.code = FlowCode::set;
          s.end = FlowEnd::jump;
          s.variable = dispatch.variable;
          s.payload = k;
          s.first_edge = uint32_t(graph.edges.size());
          s.edge_count = 1;
          graph.edges.push_back(d);
          graph.nodes.push_back(s);
        }
        graph.edges[e] = set;
      }
    }
  }
  graph.variables++;
}

}  // namespace lode::wasm
