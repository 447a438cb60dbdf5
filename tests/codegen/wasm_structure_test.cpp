// Structured control flow against the graph it was made from: random graphs are walked both ways with the same choices.
#include <catch2/catch.hpp>

#include <random>

#include "codegen/wasm/structure.h"

using namespace lode::wasm;

namespace {

FlowGraph graph_of(const std::vector<std::vector<uint32_t>>& successors) {
  FlowGraph g;
  for (auto& s : successors) {
    FlowNode n;
    n.first_edge = uint32_t(g.edges.size());
    n.edge_count = uint32_t(s.size());
    n.payload = uint32_t(g.nodes.size());
    n.end = s.empty()       ? FlowEnd::exit
            : s.size() == 1 ? FlowEnd::jump
            : s.size() == 2 ? FlowEnd::branch
                            : FlowEnd::table;
    g.edges.insert(g.edges.end(), s.begin(), s.end());
    g.nodes.push_back(n);
  }
  return g;
}

// The choice at the nth node of the walk.
uint32_t choice(uint32_t seed, size_t step, uint32_t node, uint32_t n) {
  uint64_t h = (seed * 0x9e3779b97f4a7c15ull) ^ (step * 0xbf58476d1ce4e5b9ull) ^ (node * 0x94d049bb133111ebull);
  h ^= h >> 31;
  h *= 0xd6e8feb86659fd93ull;
  return uint32_t((h >> 33) % n);
}

std::vector<uint32_t> walk(const FlowGraph& g, uint32_t seed, size_t limit) {
  std::vector<uint32_t> trace, variables(g.variables, 0);
  uint32_t at = 0;
  for (;;) {
    const FlowNode& n = g.nodes[at];
    uint32_t pick = 0;
    if (n.code == FlowCode::block) {
      if (trace.size() == limit) return trace;
      trace.push_back(n.payload);
      if (n.edge_count > 1) pick = choice(seed, trace.size(), n.payload, n.edge_count);
    } else if (n.code == FlowCode::set) {
      variables[n.variable] = n.payload;
    } else {
      pick = variables[n.variable];
    }
    if (n.edge_count == 0) return trace;
    at = g.edges[n.first_edge + pick];
  }
}

// Runs the items as an engine would. An empty result with `ok` false: the items are not well formed.
std::vector<uint32_t> run(const FlowGraph& g, std::span<const Item> items, std::span<const uint32_t> edge_labels,
                          uint32_t labels, uint32_t seed, size_t limit, bool& ok) {
  std::vector<uint32_t> open(labels, ~0u), close(labels, ~0u), otherwise(labels, ~0u), stack;
  ok = false;
  for (uint32_t i = 0; i < items.size(); i++) {
    switch (items[i].form) {
      case Form::block: case Form::loop: case Form::if_true: case Form::if_false:
        if (items[i].form != Form::if_true && items[i].form != Form::if_false) open[items[i].arg] = i;
        stack.push_back(items[i].arg);
        if (open[items[i].arg] == ~0u) open[items[i].arg] = i;
        break;
      case Form::else_:
        if (stack.empty()) return {};
        otherwise[stack.back()] = i;
        break;
      case Form::end:
        if (stack.empty()) return {};
        // A label may serve two ifs that end together; the inner one closes first.
        close[i < items.size() ? items[i].arg : 0] = i;
        stack.pop_back();
        break;
      default: break;
    }
  }
  if (!stack.empty()) return {};
  // Matching by nesting, which is what counts.
  std::vector<uint32_t> match(items.size(), ~0u), alternative(items.size(), ~0u), nest;
  for (uint32_t i = 0; i < items.size(); i++) {
    Form f = items[i].form;
    if (f == Form::block || f == Form::loop || f == Form::if_true || f == Form::if_false) nest.push_back(i);
    if (f == Form::else_) alternative[nest.back()] = i;
    if (f == Form::end) {
      match[nest.back()] = i;
      match[i] = nest.back();
      nest.pop_back();
    }
  }
  std::vector<uint32_t> trace, variables(g.variables, 0), enclosing;  // item indices of open constructs
  uint32_t condition = 0;
  auto jump = [&](uint32_t label, uint32_t& pc) {
    while (!enclosing.empty() &&
           !(items[enclosing.back()].arg == label &&
             (items[enclosing.back()].form == Form::block || items[enclosing.back()].form == Form::loop)))
      enclosing.pop_back();
    if (enclosing.empty()) return false;
    if (items[enclosing.back()].form == Form::loop) {
      pc = enclosing.back();
    } else {
      pc = match[enclosing.back()];
      enclosing.pop_back();
    }
    return true;
  };
  for (uint32_t pc = 0; pc < items.size(); pc++) {
    const Item& x = items[pc];
    switch (x.form) {
      case Form::none: return {};
      case Form::block: case Form::loop: enclosing.push_back(pc); break;
      case Form::if_true: case Form::if_false:
        enclosing.push_back(pc);
        if ((condition != 0) != (x.form == Form::if_true)) {
          if (alternative[pc] != ~0u) {
            pc = alternative[pc];
          } else {
            enclosing.pop_back();
            pc = match[pc];
          }
        }
        break;
      case Form::else_:
        pc = match[enclosing.back()];
        enclosing.pop_back();
        break;
      case Form::end: enclosing.pop_back(); break;
      case Form::node: {
        const FlowNode& n = g.nodes[x.arg];
        if (n.code == FlowCode::block) {
          if (trace.size() == limit) {
            ok = true;
            return trace;
          }
          trace.push_back(n.payload);
          if (n.edge_count > 1) condition = choice(seed, trace.size(), n.payload, n.edge_count);
          if (n.end == FlowEnd::branch) condition = !condition;  // edge 0 is the true one
          if (n.end == FlowEnd::exit) {
            ok = true;
            return trace;
          }
        } else if (n.code == FlowCode::set) {
          variables[n.variable] = n.payload;
        } else {
          condition = variables[n.variable];
        }
        break;
      }
      case Form::br:
        if (!jump(x.arg, pc)) return {};
        break;
      case Form::br_if_true: case Form::br_if_false:
        if ((condition != 0) == (x.form == Form::br_if_true) && !jump(x.arg, pc)) return {};
        break;
      case Form::br_table:
        if (!jump(edge_labels[g.nodes[x.arg].first_edge + condition], pc)) return {};
        break;
    }
    // A branch to a loop continues after its item, which stays open.
  }
  return {};  // fell off the end
}

void check(FlowGraph g, uint32_t walks) {
  static Structurer s;
  const FlowGraph original = g;
  s.make_reducible(g);
  auto items = s.run(g);
  REQUIRE_FALSE(s.make_reducible(g));
  items = s.run(g);
  for (uint32_t seed = 0; seed < walks; seed++) {
    auto expected = walk(original, seed, 200);
    REQUIRE(walk(g, seed, 200) == expected);
    bool ok = false;
    auto got = run(g, items, s.edge_labels(), s.label_count(), seed, 200, ok);
    REQUIRE(ok);
    REQUIRE(got == expected);
  }
}

std::string text(FlowGraph g) {
  Structurer s;
  s.make_reducible(g);
  std::string out;
  for (const Item& i : s.run(g)) {
    static const char* names[] = {"none", "block", "loop", "if",    "ifnot",    "else",
                                  "end",  "",      "br",   "br_if", "br_ifnot", "br_table"};
    if (!out.empty()) out += ' ';
    out += names[unsigned(i.form)];
    if (i.form == Form::node) out += std::to_string(i.arg);
  }
  return out;
}

}  // namespace

TEST_CASE("wasm structure: the usual shapes are short") {
  CHECK(text(graph_of({{}})) == "0");
  CHECK(text(graph_of({{1, 2}, {2}, {}})) == "0 if 1 end 2");
  CHECK(text(graph_of({{1, 2}, {3}, {3}, {}})) == "0 if 1 else 2 end 3");
  CHECK(text(graph_of({{1, 2}, {}, {}})) == "0 if 1 end 2");
  CHECK(text(graph_of({{1, 3}, {2, 3}, {3}, {}})) == "0 if 1 if 2 end end 3");
  CHECK(text(graph_of({{1}, {1, 2}, {}})) == "0 loop 1 br_if end 2");
  CHECK(text(graph_of({{1}, {2, 3}, {1}, {}})) == "0 loop 1 if 2 br end end 3");
}

TEST_CASE("wasm structure: a switch and a loop with two ways out") {
  check(graph_of({{1, 2, 3, 4}, {2}, {4}, {4}, {}}), 40);
  check(graph_of({{1}, {2, 4}, {3, 4}, {1, 5}, {5}, {}}), 40);
  check(graph_of({{1}, {1, 1, 1, 2}, {}}), 40);
}

TEST_CASE("wasm structure: cycles with several entries get a dispatch") {
  FlowGraph g = graph_of({{1, 2}, {2}, {1, 3}, {}});
  Structurer s;
  FlowGraph h = g;
  CHECK(s.make_reducible(h));
  CHECK(h.variables == 1);
  check(g, 40);
  // Nested: two cycles with two entries each, inside one another.
  check(graph_of({{1, 3}, {2, 4}, {3, 1}, {4, 2}, {3, 5, 1}, {0 + 6, 1}, {}}), 60);
}

TEST_CASE("wasm structure: random graphs walk alike") {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; round++) {
    uint32_t n = 2 + random() % (round % 10 == 0 ? 60 : 12);
    std::vector<std::vector<uint32_t>> successors(n);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t kind = random() % 10;
      uint32_t count = kind == 0 ? 0 : kind < 4 ? 1 : kind < 9 ? 2 : 3 + random() % 4;
      for (uint32_t e = 0; e < count; e++) {
        // Mostly short forward edges, some backward, few anywhere.
        uint32_t to = random() % 4 ? i + 1 + random() % 4 : random() % n;
        if (to >= n || to == 0) to = 1 + random() % (n - 1);
        successors[i].push_back(to);
      }
      if (count == 2 && successors[i][0] == successors[i][1]) successors[i].pop_back();
    }
    if (successors[0].empty()) successors[0].push_back(1);
    check(graph_of(successors), 8);
  }
}

TEST_CASE("wasm structure: deep and wide graphs need no stack") {
  // A chain of 100,000 ifs, a ladder, and a table of 20,000 targets.
  std::vector<std::vector<uint32_t>> chain;
  for (uint32_t i = 0; i < 100000; i++) chain.push_back({i + 1, 100000});
  chain.push_back({});
  check(graph_of(chain), 2);
  std::vector<std::vector<uint32_t>> table(1);
  for (uint32_t i = 0; i < 20000; i++) {
    table[0].push_back(i + 1);
    table.push_back({20001});
  }
  table.push_back({});
  check(graph_of(table), 5);
  std::vector<std::vector<uint32_t>> loops;
  for (uint32_t i = 0; i < 3000; i++) loops.push_back({i + 1});
  for (uint32_t i = 0; i < 3000; i++) loops.push_back({i + 3001, 3000 - i});
  loops.push_back({});
  check(graph_of(loops), 2);
}
