// Switches.
//
// A switch becomes a list of tests of its sorted cases, each one flow node: a single value; a range or a set of up to
// 64 neighbours that go to the same place (one comparison, or one and a shifted mask); a table. The list is the
// shortest in bytes; several tests are a tree of comparisons, few of them a chain in which a table comes last.
#include <algorithm>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

void Selector::write_switch(uint32_t index, const air::Inst& inst) {
  const BlockInfo& b = blocks_[index];
  bool wide = nodes_[b.condition].type == uint8_t(ValueType::i64);
  struct Case {
    uint64_t value;
    uint32_t edge, target;
  };
  std::vector<Case> cases;
  uint32_t n = fn_->extra[inst.c];
  unsigned bits = bits_of(fn_->values[inst.a].type);
  uint64_t mask = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  // Narrow operands are zero-extended and ordered as unsigned; the others are biased, so that -1 and 0 are neighbours.
  uint64_t bias = bits >= 32 ? (mask >> 1) + 1 : 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t* x = &fn_->extra[inst.c + 1 + 3 * i];
    uint64_t v = (x[0] | uint64_t(x[1]) << 32) & mask;
    cases.push_back({(v + bias) & mask, x[2], 0});
  }
  std::sort(cases.begin(), cases.end(), [](const Case& x, const Case& y) { return x.value < y.value; });
  // Cases often go to one block with the same arguments: one node for all of them.
  std::vector<std::pair<uint32_t, uint32_t>> known;  // edge, node
  auto case_node = [&](uint32_t e) {
    const air::Edge& edge = fn_->edges[e];
    const NodeId* args = edge_arguments_.data() + edge_arguments_first_[e];
    for (size_t k = known.size(); k-- > 0 && known.size() - k < 64;) {
      const air::Edge& other = fn_->edges[known[k].first];
      if (other.target == edge.target &&
          std::equal(args, args + edge.arg_count, edge_arguments_.data() + edge_arguments_first_[known[k].first]))
        return known[k].second;
    }
    known.push_back({e, edge_node(e)});
    return known.back().second;
  };
  uint32_t fallback = case_node(inst.b);
  for (Case& c : cases) c.target = case_node(c.edge);
  // Cases to where the default goes anyway.
  std::erase_if(cases, [&](const Case& c) { return c.target == fallback; });
  auto start = [&](uint32_t node) { chunks_[node].begin = uint32_t(mir_.draft().tags.size()); };
  auto finish = [&](uint32_t node) {
    chunks_[node].end = uint32_t(mir_.draft().tags.size());
    layout_.push_back(node);
  };
  if (cases.empty()) {
    start(index);
    flow_.nodes[index].end = FlowEnd::jump;
    uint32_t to[] = {fallback};
    set_edges(index, to);
    forget_condition();
    return;
  }

  const uint64_t zero = bias & mask;  // as biased
  auto real = [&](uint64_t biased) -> int64_t {
    uint64_t v = (biased - bias) & mask;
    return wide ? int64_t(v) : int32_t(uint32_t(v));
  };
  enum class Form : uint8_t { value, range, bits, bits64, table };
  struct Test {
    uint32_t first = 0, last = 0;  // cases
    Form form = Form::value;
    uint64_t base = 0;             // what is subtracted, biased
    unsigned size = 0;             // bytes, about
  };
  auto sleb_size = [](int64_t v) {
    uint8_t buffer[10];
    return unsigned(write_sleb(buffer, v));
  };
  auto bits_set = [&](const Test& t) {
    uint64_t set = 0;
    for (uint32_t i = t.first; i <= t.last; i++) set |= uint64_t{1} << (cases[i].value - t.base);
    return set;
  };
  constexpr unsigned branch = 2, get = 2;
  auto value_test = [&](uint32_t i) {
    return Test{i, i, Form::value, 0,
                real(cases[i].value) == 0 ? get + 1 + branch : get + 1 + sleb_size(real(cases[i].value)) + 1 + branch};
  };
  auto subtraction = [&](uint64_t base) { return base == zero ? 0 : 2 + sleb_size(real(base)); };
  // A table for the cases first to last; size ~0 when it would be too sparse.
  auto table_test = [&](uint32_t first, uint32_t last) {
    Test t{first, last, Form::table, cases[first].value, ~0u};
    uint64_t range = cases[last].value - t.base;
    if (range > uint64_t(last - first) * 8 + 8 || range > (uint64_t{1} << 24)) return t;
    // Narrow tables that begin a little above zero begin at zero.
    if (!wide && t.base > zero && t.base - zero <= 4) t.base = zero;
    t.size = unsigned(get + subtraction(t.base) + 3 + (cases[last].value - t.base) + 1 + (wide ? 12 : 0));
    return t;
  };
  // One test for cases that all go to the same place.
  auto set_test = [&](uint32_t first, uint32_t last, const Test& best_so_far) {
    Test best = best_so_far;
    uint64_t high = cases[last].value;
    if (high - cases[first].value == last - first) {
      Test t{first, last, Form::range, cases[first].value, 0};
      t.size = get + subtraction(t.base) + 1 + sleb_size(int64_t(high - t.base)) + 1 + branch;
      if (t.size < best.size) best = t;
    }
    for (uint64_t base : {cases[first].value, zero}) {
      if (base > cases[first].value || high - base > 63) continue;
      Test t{first, last, wide || high - base > 31 ? Form::bits64 : Form::bits, base, 0};
      uint64_t set = bits_set(t);
      t.size =
          get + subtraction(base) + 2 + 1 + sleb_size(int64_t(high - base)) + 1 + get + 1 + 1 + branch + 1 +
          (t.form == Form::bits ? sleb_size(int32_t(uint32_t(set))) : 1 + (wide ? 0 : 1) + sleb_size(int64_t(set)));
      if (t.size < best.size) best = t;
    }
    return best;
  };
  std::vector<Test> tests;
  if (cases.size() <= 512) {
    // The best list from each case on. A further test costs some more, for the comparison that leads to it.
    std::vector<uint32_t> cost(cases.size() + 1, 0);
    std::vector<Test> choice(cases.size());
    for (uint32_t i = uint32_t(cases.size()); i-- > 0;) {
      choice[i] = value_test(i);
      cost[i] = choice[i].size + 2 + cost[i + 1];
      bool same = true;
      for (uint32_t j = i + 1; j < cases.size(); j++) {
        same = same && cases[j].target == cases[i].target;
        Test t = table_test(i, j);
        if (same && cases[j].value - cases[i].value <= 63) t = set_test(i, j, t);
        else if (same && cases[j].value - cases[i].value == j - i) t = set_test(i, j, t);
        if (t.size == ~0u || t.size + 2 + cost[j + 1] >= cost[i]) continue;
        choice[i] = t;
        cost[i] = t.size + 2 + cost[j + 1];
      }
    }
    for (uint32_t i = 0; i < cases.size(); i = tests.back().last + 1) tests.push_back(choice[i]);
  } else {
    for (uint32_t i = 0; i < cases.size();) {
      // The longest run that is dense enough.
      uint32_t best = i;
      for (uint32_t j = i + 1; j < cases.size(); j++) {
        if (table_test(i, j).size != ~0u) best = j;
        else if (cases[j].value - cases[i].value > (uint64_t{1} << 24) || j - best > 64) break;
      }
      tests.push_back(best - i >= 2 ? table_test(i, best) : value_test(i));
      i = tests.back().last + 1;
    }
  }

  auto& draft = mir_.draft();
  uint32_t value_local = no_local;
  // Each test is one node, the first of them the block's own; that one reads the block's condition, the others its
  // local.
  bool several = tests.size() > 1 || (tests[0].form == Form::table && wide);
  if (several && !is_constant(b.condition)) {
    value_local = local_of(b.condition);
    uses_[b.condition]++;  // by the other tests: it stays in its local
  }
  auto read_operand = [&](bool first) {
    if (first || is_constant(b.condition)) use(b.condition);
    else mir_.op(Op::local_get, value_local);
  };
  auto number = [&](int64_t v) {
    if (wide) mir_.i64_const(v);
    else mir_.i32_const(int32_t(v));
  };
  auto subtract = [&](uint64_t base, bool first) {
    // Narrow operands: the difference may be negative, which is large.
    if (base != zero) {
      mir_.op(wide ? Op::i64_sub : Op::i32_sub);
      number(real(base));
    }
    read_operand(first);
  };
  // The condition of a test that is no table.
  auto write_test = [&](const Test& t, bool first) {
    uint64_t high = cases[t.last].value;
    switch (t.form) {
      case Form::value: {
        int64_t v = real(cases[t.first].value);
        mir_.op(v == 0 ? (wide ? Op::i64_eqz : Op::i32_eqz) : wide ? Op::i64_eq : Op::i32_eq);
        if (v != 0) number(v);
        read_operand(first);
        break;
      }
      case Form::range:
        mir_.op(wide ? Op::i64_le_u : Op::i32_le_u);
        number(int64_t(high - t.base));
        subtract(t.base, first);
        break;
      default: {
        uint32_t x = new_local(wide ? ValueType::i64 : ValueType::i32);
        uint64_t set = bits_set(t);
        mir_.op(Op::i32_and);
        if (t.form == Form::bits64) {
          mir_.op(Op::i32_wrap_i64);
          mir_.op(Op::i64_shr_u);
          if (!wide) mir_.op(Op::i64_extend_i32_u);
          mir_.op(Op::local_get, x);
          mir_.i64_const(int64_t(set));
        } else {
          mir_.op(Op::i32_shr_u);
          mir_.op(Op::local_get, x);
          mir_.i32_const(int32_t(uint32_t(set)));
        }
        mir_.op(wide ? Op::i64_le_u : Op::i32_le_u);
        number(int64_t(high - t.base));
        mir_.op(Op::local_tee, x);
        subtract(t.base, first);
      }
    }
  };

  // Work list of ranges of tests; node ids are given before the code is written, so that parents come last in the code.
  struct Range {
    uint32_t node, first, last;  // tests
    bool chain = false;          // the first is made here, the others behind it
    uint64_t pivot = 0;          // else: the least value of the upper half
  };
  std::vector<Range> ranges{{index, 0, uint32_t(tests.size() - 1)}};
  for (size_t at = 0; at < ranges.size(); at++) {
    Range r = ranges[at];
    if (r.first == r.last) continue;
    auto branch_to = [&](uint32_t yes, uint32_t no) {
      uint32_t t[] = {yes, no};
      set_edges(r.node, t);
      flow_.nodes[r.node].end = FlowEnd::branch;
    };
    if (r.last - r.first <= 2) {
      auto tables = std::stable_partition(tests.begin() + r.first, tests.begin() + r.last + 1,
                                          [](const Test& t) { return t.form != Form::table; });
      if (tests.begin() + r.last - tables <= 0) {
        uint32_t rest = new_flow_node(FlowEnd::branch);
        ranges[at].chain = true;
        ranges.push_back({rest, r.first + 1, r.last});
        branch_to(cases[tests[r.first].first].target, rest);
        continue;
      }
      std::sort(tests.begin() + r.first, tests.begin() + r.last + 1,
                [](const Test& x, const Test& y) { return x.first < y.first; });
    }
    uint32_t middle = (r.first + r.last + 1) / 2;
    uint32_t below = new_flow_node(FlowEnd::branch), above = new_flow_node(FlowEnd::branch);
    ranges[at].pivot = cases[tests[middle].first].value;
    ranges.push_back({below, r.first, middle - 1});
    ranges.push_back({above, middle, r.last});
    branch_to(below, above);
  }
  std::vector<uint32_t> targets;
  for (size_t at = ranges.size(); at-- > 0;) {
    const Range& r = ranges[at];
    bool first = r.node == index;
    const Test& t = tests[r.first];
    start(r.node);
    if (r.chain) {
      write_test(t, first);
    } else if (r.first != r.last) {
      mir_.op(wide ? Op::i64_lt_s : bits < 32 ? Op::i32_lt_u : Op::i32_lt_s);
      number(real(r.pivot));
      read_operand(first);
    } else if (t.form != Form::table) {
      uint32_t to[] = {cases[t.first].target, fallback};
      set_edges(r.node, to);
      flow_.nodes[r.node].end = FlowEnd::branch;
      write_test(t, first);
    } else {
      uint64_t high = cases[t.last].value;
      targets.clear();
      uint32_t next = t.first;
      for (uint64_t v = t.base;; v++) {
        if (cases[next].value == v) targets.push_back(cases[next++].target);
        else targets.push_back(fallback);
        if (v == high) break;
      }
      targets.push_back(fallback);
      if (wide) {
        // Only the low 32 bits reach the table: the range is tested before.
        uint32_t table = new_flow_node(FlowEnd::table);
        uint32_t to[] = {table, fallback};
        set_edges(r.node, to);
        flow_.nodes[r.node].end = FlowEnd::branch;
        set_edges(table, targets);
        // The table's node is written before its test.
        uint32_t begin = uint32_t(draft.tags.size());
        mir_.op(Op::i32_wrap_i64);
        subtract(t.base, false);
        chunks_[table] = {begin, uint32_t(draft.tags.size())};
        layout_.push_back(table);
        start(r.node);
        mir_.op(Op::i64_le_u);
        mir_.i64_const(int64_t(high - t.base));
        subtract(t.base, first);
      } else {
        set_edges(r.node, targets);
        flow_.nodes[r.node].end = FlowEnd::table;
        subtract(t.base, first);
      }
    }
    if (!first) finish(r.node);
  }
}

}  // namespace lode::wasm
