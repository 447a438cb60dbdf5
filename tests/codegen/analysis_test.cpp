#include "codegen/native/analysis.h"

#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace lode::codegen;

namespace {

struct Graph {
  std::vector<std::vector<uint32_t>> succs;
  std::vector<uint8_t> marks;
  CfgAnalysis run() const {
    std::vector<uint32_t> first, targets;
    for (const auto& s : succs) {
      first.push_back(uint32_t(targets.size()));
      targets.insert(targets.end(), s.begin(), s.end());
    }
    first.push_back(uint32_t(targets.size()));
    CfgAnalysis a;
    a.run(first, targets, marks);
    return a;
  }
  std::vector<bool> reach(uint32_t avoid) const {
    std::vector<bool> seen(succs.size());
    std::vector<uint32_t> work;
    if (avoid != 0) work.push_back(0), seen[0] = true;
    while (!work.empty()) {
      const uint32_t b = work.back();
      work.pop_back();
      for (uint32_t s : succs[b])
        if (s != avoid && !seen[s]) seen[s] = true, work.push_back(s);
    }
    return seen;
  }
};

}  // namespace

TEST_CASE("Control flow: dominators, loops and order of random graphs against their definitions") {
  std::mt19937 rng(1);
  for (int round = 0; round < 400; round++) {
    const uint32_t n = 1 + rng() % 20;
    Graph g;
    g.succs.resize(n);
    g.marks.resize(n);
    for (uint32_t b = 0; b < n; b++)
      for (uint32_t k = rng() % 4; k > 0; k--)
        if (n > 1) g.succs[b].push_back(1 + rng() % (n - 1));
    for (uint32_t b = 0; b < n; b++) g.marks[b] = g.succs[b].empty() && rng() % 2;
    const CfgAnalysis a = g.run();
    const std::vector<bool> reachable = g.reach(~0u);
    std::vector<std::vector<bool>> without;
    for (uint32_t d = 0; d < n; d++) without.push_back(g.reach(d));
    auto dominates = [&](uint32_t d, uint32_t b) { return reachable[b] && !without[d][b]; };
    bool reducible = true;
    std::set<uint32_t> headers;
    for (uint32_t b = 0; b < n; b++) {
      REQUIRE((a.rpo_number[b] != CfgAnalysis::none) == reachable[b]);
      if (!reachable[b]) continue;
      for (uint32_t d = 0; d < n; d++)
        if (reachable[d]) REQUIRE(a.dominates(d, b) == dominates(d, b));
      if (b != 0) REQUIRE((a.idom[b] != b && dominates(a.idom[b], b)));
      for (uint32_t s : g.succs[b]) {
        if (dominates(s, b)) headers.insert(s);
        else if (a.rpo_number[s] <= a.rpo_number[b]) reducible = false;
      }
    }
    REQUIRE(a.reducible == reducible);
    REQUIRE(a.loops.size() == headers.size());
    // Membership: what reaches a latch without passing the header.
    std::vector<uint32_t> depth(n, 0);
    for (uint32_t l = 0; l < a.loops.size(); l++) {
      const uint32_t h = a.loops[l].header;
      std::set<uint32_t> body{h};
      std::vector<uint32_t> work;
      for (uint32_t b = 0; b < n; b++)
        for (uint32_t s : g.succs[b])
          if (s == h && reachable[b] && dominates(h, b)) work.push_back(b);
      while (!work.empty()) {
        const uint32_t b = work.back();
        work.pop_back();
        if (!body.insert(b).second) continue;
        for (uint32_t p = 0; p < n; p++)
          for (uint32_t s : g.succs[p])
            if (s == b && reachable[p]) work.push_back(p);
      }
      for (uint32_t b = 0; b < n; b++) {
        bool inside = false;
        for (uint32_t x = a.loop_of[b]; x != CfgAnalysis::none; x = a.loops[x].parent) inside |= x == l;
        REQUIRE(inside == (body.count(b) == 1));
        depth[b] += inside;
      }
    }
    for (uint32_t b = 0; b < n; b++) REQUIRE(a.depth[b] == depth[b]);
    std::set<uint32_t> placed(a.order.begin(), a.order.end());
    REQUIRE(placed.size() == a.rpo.size());
    REQUIRE(a.order.size() == a.rpo.size());
    REQUIRE(a.order[0] == 0);
  }
}

TEST_CASE("Control flow: loops are laid out in one piece and cold blocks last") {
  // 0 -> 1 (header) -> 2 or 3; 2 -> 1; 3: out; 2 -> 4 dead end
  Graph g{{{1}, {3, 2}, {4, 1}, {}, {}}, {0, 0, 0, 0, CfgAnalysis::dead_end}};
  const CfgAnalysis a = g.run();
  CHECK(a.order == std::vector<uint32_t>{0, 1, 2, 3, 4});
  CHECK(a.cold[4] == 1);
  CHECK(a.frequency[2] == 8);
  CHECK(a.frequency[3] == 1);
  CHECK(a.frequency[4] < 0.1f);
}

TEST_CASE("Control flow: very long chains, ladders and deep nests") {
  const uint32_t n = 100000;
  Graph chain, ladder, nest;
  chain.succs.resize(n);
  ladder.succs.resize(n);
  nest.succs.resize(n);
  for (uint32_t b = 0; b + 1 < n; b++) {
    chain.succs[b] = {b + 1};
    ladder.succs[b] = {b + 1, n - 1};
    nest.succs[b] = {b + 1};
    if (b > n / 2) nest.succs[b].push_back(n - b);
  }
  CHECK(chain.run().order.size() == n);
  const CfgAnalysis l = ladder.run();
  CHECK(l.idom[n - 1] == 0);
  const CfgAnalysis d = nest.run();
  CHECK(d.reducible);
  CHECK(d.loops.size() == n / 2 - 2);
  CHECK(d.depth[n / 2] == 255);
}
