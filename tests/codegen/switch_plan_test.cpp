// Plans of switches, walked for every value around the cases and compared with the list of cases.
#include "codegen/native/switch_plan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>

namespace lode::codegen {
namespace {

using Kind = SwitchNode::Kind;
constexpr uint32_t fallback = 99;

// Where a value goes. `depth`: the decisions on the way.
uint32_t walk(const SwitchPlan& plan, int64_t value, unsigned& depth) {
  uint32_t at = plan.root();
  depth = 0;
  for (;;) {
    const SwitchNode& n = plan.nodes[at];
    depth++;
    const uint64_t position = uint64_t(value) - uint64_t(n.low);
    switch (n.kind) {
      case Kind::less: at = value < n.low ? n.below : n.rest; break;
      case Kind::equal: return value == n.low ? n.target : fallback;
      case Kind::range: return position <= n.size ? n.target : fallback;
      case Kind::table:
        if (position > n.size) return fallback;
        REQUIRE(n.first_target + position < plan.targets.size());
        return plan.targets[n.first_target + position];
    }
  }
}

unsigned check(const std::vector<SwitchCase>& cases, bool tables, SwitchPlan& plan) {
  std::vector<SwitchCase> sorted = cases;
  plan.make(sorted, fallback, tables);
  std::map<int64_t, uint32_t> wanted;
  for (const SwitchCase& c : cases) wanted[c.value] = c.target;
  unsigned deepest = 0;
  auto look = [&](int64_t v) {
    unsigned depth;
    const auto known = wanted.find(v);
    const uint32_t target = walk(plan, v, depth);
    deepest = std::max(deepest, depth);
    if (target != (known == wanted.end() ? fallback : known->second)) FAIL("value " << v << " goes to " << target);
  };
  for (const SwitchCase& c : cases)
    for (int d = -2; d <= 2; d++) look(int64_t(uint64_t(c.value) + uint64_t(int64_t(d))));
  for (int64_t v : {INT64_MIN, INT64_MAX, int64_t{0}, int64_t{-1}}) look(v);
  return deepest;
}

size_t count(const SwitchPlan& plan, Kind kind) {
  return size_t(
      std::count_if(plan.nodes.begin(), plan.nodes.end(), [&](const SwitchNode& n) { return n.kind == kind; }));
}

std::vector<SwitchCase> row(int64_t first, uint32_t n, int64_t step, uint32_t targets) {
  std::vector<SwitchCase> cases;
  for (uint32_t k = 0; k < n; k++) cases.push_back({first + int64_t(k) * step, k % targets});
  return cases;
}

}  // namespace

TEST_CASE("dense cases share a table, neighbours with one target a range") {
  SwitchPlan plan;
  CHECK(check(row(10, 20, 1, 7), true, plan) == 1);
  CHECK(count(plan, Kind::table) == 1);
  CHECK(plan.targets.size() == 20);
  CHECK(check(row(10, 20, 1, 1), true, plan) == 1);
  CHECK(count(plan, Kind::range) == 1);
  CHECK(plan.targets.empty());
  check(row(-4, 10, 2, 3), true, plan);  // half full
  CHECK(count(plan, Kind::table) == 1);
  CHECK(plan.targets.size() == 19);
  check(row(0, 10, 3, 3), true, plan);  // a third full, but for its first four
  CHECK(count(plan, Kind::less) > 0);
  check(row(1, 3, 1, 3), true, plan);  // too few
  CHECK(count(plan, Kind::equal) == 3);
}

TEST_CASE("without tables a switch is comparisons, as deep as a balanced tree") {
  SwitchPlan plan;
  const unsigned deepest = check(row(0, 64, 1, 64), false, plan);
  CHECK(count(plan, Kind::table) == 0);
  CHECK(count(plan, Kind::equal) == 64);
  CHECK(deepest == 7);
}

TEST_CASE("cases at the ends of the range of values") {
  SwitchPlan plan;
  check({{INT64_MIN, 1}, {INT64_MAX, 2}, {0, 3}}, true, plan);
  check({{INT64_MAX - 1, 1}, {INT64_MAX, 1}, {INT64_MIN, 1}, {INT64_MIN + 1, 1}}, true, plan);
  CHECK(count(plan, Kind::range) == 2);
  check(row(INT64_MAX - 9, 10, 1, 3), true, plan);
  CHECK(count(plan, Kind::table) == 1);
  check({{5, 1}}, true, plan);
  CHECK(plan.nodes.size() == 1);
}

TEST_CASE("random switches go where their cases say") {
  std::mt19937_64 random(7);
  SwitchPlan plan;
  for (int round = 0; round < 400; round++) {
    std::map<int64_t, uint32_t> values;
    const uint32_t targets = 1 + random() % 5;
    for (uint32_t groups = 1 + random() % 6; groups--;) {
      int64_t at = random() % 2 ? int64_t(random() % 500) - 250 : int64_t(random());
      for (uint32_t n = 1 + random() % 40; n--; at = int64_t(uint64_t(at) + 1 + random() % 4))
        values[at] = uint32_t(random() % targets);
    }
    std::vector<SwitchCase> cases;
    for (auto [value, target] : values) cases.push_back({value, target});
    std::shuffle(cases.begin(), cases.end(), random);
    check(cases, random() % 4 != 0, plan);
  }
}

}  // namespace lode::codegen
