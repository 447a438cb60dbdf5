// Switches.
//
// A switch becomes a list of tests of its sorted cases, each one flow node: a single value; a range or a set of up to
// 64 neighbours that go to the same place (one comparison, or one and a shifted mask); a table. The list is the
// shortest in bytes; several tests are a tree of comparisons, few of them a chain in which a table comes last.
#include <algorithm>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

namespace {

struct Case {
  uint64_t value;  // biased
  uint32_t edge, target;
};

// One test of cases first to last, which are neighbours.
struct Test {
  enum class Form : uint8_t { value, range, bits, bits64, table };
  uint32_t first = 0, last = 0;
  Form form = Form::value;
  uint64_t base = 0;  // what is subtracted, biased
  unsigned size = 0;  // bytes, about; ~0: not to be had
};

unsigned sleb_size(int64_t v) {
  uint8_t buffer[10];
  return unsigned(write_sleb(buffer, v));
}

}  // namespace

class SwitchWriter {
 public:
  SwitchWriter(Selector& selector, uint32_t index, const air::Inst& inst)
      : s_(selector), index_(index), inst_(inst), condition_(selector.blocks_[index].condition) {}
  void run();

 private:
  using Form = Test::Form;
  static constexpr unsigned branch = 2, get = 2;  // bytes of a branch, of local.get
  static constexpr size_t most_for_best = 512;    // cases for which the best list is searched for

  // Work list of ranges of tests; node ids are given before the code is written, so that parents come last in the code.
  struct Range {
    uint32_t node, first, last;  // tests
    bool chain = false;          // the first is made here, the others behind it
    uint64_t pivot = 0;          // else: the least value of the upper half
  };

  // Narrow operands are zero-extended and ordered as unsigned; the others are biased, so that -1 and 0 are neighbours.
  int64_t real(uint64_t biased) const {
    const uint64_t v = (biased - bias_) & mask_;
    return wide_ ? int64_t(v) : int32_t(uint32_t(v));
  }
  uint64_t bits_set(const Test& t) const {
    uint64_t set = 0;
    for (uint32_t i = t.first; i <= t.last; i++) set |= uint64_t{1} << (cases_[i].value - t.base);
    return set;
  }
  unsigned subtraction_size(uint64_t base) const { return base == zero_ ? 0 : 2 + sleb_size(real(base)); }

  void collect_cases();
  uint32_t case_node(uint32_t edge);
  void jump_to_fallback();

  Test value_test(uint32_t i) const;
  Test table_test(uint32_t first, uint32_t last) const;
  Test set_test(uint32_t first, uint32_t last, const Test& best_so_far) const;
  void choose_best();
  void choose_greedily();

  void arrange();
  bool arrange_chain(size_t at);

  void read_operand(bool first);
  void number(int64_t v);
  void subtract(uint64_t base, bool first);
  void write_test(const Test& t, bool first);
  void write_set_test(const Test& t, bool first);
  void write_table(const Test& t, uint32_t node, bool first);
  void write_range(const Range& r);

  void branch_to(uint32_t node, uint32_t yes, uint32_t no) {
    const uint32_t to[] = {yes, no};
    s_.set_edges(node, to);
    s_.flow_.nodes[node].end = FlowEnd::branch;
  }
  uint32_t code_end() { return uint32_t(s_.mir_.draft().tags.size()); }

  Selector& s_;
  const uint32_t index_;
  const air::Inst& inst_;
  const NodeId condition_;
  bool wide_ = false;
  unsigned bits_ = 0;
  uint64_t mask_ = 0, bias_ = 0, zero_ = 0;        // zero_: the value 0, biased
  std::vector<Case> cases_;                        // sorted
  std::vector<std::pair<uint32_t, uint32_t>> known_;  // edge, node
  uint32_t fallback_ = 0;
  std::vector<Test> tests_;
  std::vector<Range> ranges_;
  std::vector<uint32_t> targets_;
  uint32_t value_local_ = no_local;
};

void Selector::write_switch(uint32_t index, const air::Inst& inst) { SwitchWriter(*this, index, inst).run(); }

void SwitchWriter::run() {
  collect_cases();
  if (cases_.empty()) return jump_to_fallback();
  if (cases_.size() <= most_for_best) choose_best();
  else choose_greedily();
  // Each test is one node, the first of them the block's own; that one reads the block's condition, the others its
  // local.
  const bool several = tests_.size() > 1 || (tests_[0].form == Form::table && wide_);
  if (several && !s_.is_constant(condition_)) {
    value_local_ = s_.local_of(condition_);
    s_.uses_[condition_]++;  // by the other tests: it stays in its local
  }
  arrange();
  for (size_t at = ranges_.size(); at-- > 0;) write_range(ranges_[at]);
}

void SwitchWriter::collect_cases() {
  wide_ = s_.nodes_[condition_].type == uint8_t(ValueType::i64);
  bits_ = s_.bits_of(s_.fn_->values[inst_.a].type);
  mask_ = bits_ >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits_) - 1;
  bias_ = bits_ >= 32 ? (mask_ >> 1) + 1 : 0;
  zero_ = bias_ & mask_;
  for (uint32_t i = 0, n = s_.fn_->extra[inst_.c]; i < n; i++) {
    const uint32_t* x = &s_.fn_->extra[inst_.c + 1 + 3 * i];
    const uint64_t v = (x[0] | uint64_t(x[1]) << 32) & mask_;
    cases_.push_back({(v + bias_) & mask_, x[2], 0});
  }
  std::sort(cases_.begin(), cases_.end(), [](const Case& x, const Case& y) { return x.value < y.value; });
  fallback_ = case_node(inst_.b);
  for (Case& c : cases_) c.target = case_node(c.edge);
  // Cases to where the default goes anyway.
  std::erase_if(cases_, [&](const Case& c) { return c.target == fallback_; });
}

// Cases often go to one block with the same arguments: one node for all of them.
uint32_t SwitchWriter::case_node(uint32_t e) {
  const air::Edge& edge = s_.fn_->edges[e];
  auto arguments = [&](uint32_t of) { return s_.edge_arguments_.data() + s_.edge_arguments_first_[of]; };
  for (size_t k = known_.size(); k-- > 0 && known_.size() - k < 64;) {
    const uint32_t other = known_[k].first;
    if (s_.fn_->edges[other].target == edge.target &&
        std::equal(arguments(e), arguments(e) + edge.arg_count, arguments(other)))
      return known_[k].second;
  }
  known_.push_back({e, s_.edge_node(e)});
  return known_.back().second;
}

void SwitchWriter::jump_to_fallback() {
  s_.chunks_[index_].begin = code_end();
  s_.flow_.nodes[index_].end = FlowEnd::jump;
  const uint32_t to[] = {fallback_};
  s_.set_edges(index_, to);
  s_.forget_condition();
}

// ---- which tests ----------------------------------------------------------------------------------------------------

Test SwitchWriter::value_test(uint32_t i) const {
  const int64_t v = real(cases_[i].value);
  return Test{i, i, Form::value, 0, v == 0 ? get + 1 + branch : get + 1 + sleb_size(v) + 1 + branch};
}

// A table for the cases first to last; size ~0 when it would be too sparse.
Test SwitchWriter::table_test(uint32_t first, uint32_t last) const {
  Test t{first, last, Form::table, cases_[first].value, ~0u};
  const uint64_t range = cases_[last].value - t.base;
  if (range > uint64_t(last - first) * 8 + 8 || range > (uint64_t{1} << 24)) return t;
  // Narrow tables that begin a little above zero begin at zero.
  if (!wide_ && t.base > zero_ && t.base - zero_ <= 4) t.base = zero_;
  t.size = unsigned(get + subtraction_size(t.base) + 3 + (cases_[last].value - t.base) + 1 + (wide_ ? 12 : 0));
  return t;
}

// One test for cases that all go to the same place.
Test SwitchWriter::set_test(uint32_t first, uint32_t last, const Test& best_so_far) const {
  Test best = best_so_far;
  const uint64_t low = cases_[first].value, high = cases_[last].value;
  if (high - low == last - first) {
    Test t{first, last, Form::range, low, 0};
    t.size = get + subtraction_size(t.base) + 1 + sleb_size(int64_t(high - t.base)) + 1 + branch;
    if (t.size < best.size) best = t;
  }
  for (uint64_t base : {low, zero_}) {
    if (base > low || high - base > 63) continue;
    Test t{first, last, wide_ || high - base > 31 ? Form::bits64 : Form::bits, base, 0};
    const uint64_t set = bits_set(t);
    t.size =
        get + subtraction_size(base) + 2 + 1 + sleb_size(int64_t(high - base)) + 1 + get + 1 + 1 + branch + 1 +
        (t.form == Form::bits ? sleb_size(int32_t(uint32_t(set))) : 1 + (wide_ ? 0 : 1) + sleb_size(int64_t(set)));
    if (t.size < best.size) best = t;
  }
  return best;
}

// The best list from each case on. A further test costs some more, for the comparison that leads to it.
void SwitchWriter::choose_best() {
  constexpr uint32_t further = 2;
  std::vector<uint32_t> cost(cases_.size() + 1, 0);
  std::vector<Test> choice(cases_.size());
  for (uint32_t i = uint32_t(cases_.size()); i-- > 0;) {
    choice[i] = value_test(i);
    cost[i] = choice[i].size + further + cost[i + 1];
    bool same = true;
    for (uint32_t j = i + 1; j < cases_.size(); j++) {
      same = same && cases_[j].target == cases_[i].target;
      const uint64_t range = cases_[j].value - cases_[i].value;
      Test t = table_test(i, j);
      if (same && (range <= 63 || range == j - i)) t = set_test(i, j, t);
      if (t.size == ~0u || t.size + further + cost[j + 1] >= cost[i]) continue;
      choice[i] = t;
      cost[i] = t.size + further + cost[j + 1];
    }
  }
  for (uint32_t i = 0; i < cases_.size(); i = tests_.back().last + 1) tests_.push_back(choice[i]);
}

// From each case on the longest run that is dense enough.
void SwitchWriter::choose_greedily() {
  for (uint32_t i = 0; i < cases_.size(); i = tests_.back().last + 1) {
    uint32_t best = i;
    for (uint32_t j = i + 1; j < cases_.size(); j++) {
      if (table_test(i, j).size != ~0u) best = j;
      else if (cases_[j].value - cases_[i].value > (uint64_t{1} << 24) || j - best > 64) break;
    }
    tests_.push_back(best - i >= 2 ? table_test(i, best) : value_test(i));
  }
}

// ---- in which nodes -------------------------------------------------------------------------------------------------

void SwitchWriter::arrange() {
  ranges_ = {{index_, 0, uint32_t(tests_.size() - 1)}};
  for (size_t at = 0; at < ranges_.size(); at++) {
    const Range r = ranges_[at];
    if (r.first == r.last || arrange_chain(at)) continue;
    const uint32_t middle = (r.first + r.last + 1) / 2;
    const uint32_t below = s_.new_flow_node(FlowEnd::branch), above = s_.new_flow_node(FlowEnd::branch);
    ranges_[at].pivot = cases_[tests_[middle].first].value;
    ranges_.push_back({below, r.first, middle - 1});
    ranges_.push_back({above, middle, r.last});
    branch_to(r.node, below, above);
  }
}

// Few tests, of which at most the last is a table, follow each other.
bool SwitchWriter::arrange_chain(size_t at) {
  const Range r = ranges_[at];
  if (r.last - r.first > 2) return false;
  const auto begin = tests_.begin() + r.first, end = tests_.begin() + r.last + 1;
  const auto tables = std::stable_partition(begin, end, [](const Test& t) { return t.form != Form::table; });
  if (end - tables > 1) {
    std::sort(begin, end, [](const Test& x, const Test& y) { return x.first < y.first; });
    return false;
  }
  const uint32_t rest = s_.new_flow_node(FlowEnd::branch);
  ranges_[at].chain = true;
  ranges_.push_back({rest, r.first + 1, r.last});
  branch_to(r.node, cases_[tests_[r.first].first].target, rest);
  return true;
}

// ---- code, backwards ------------------------------------------------------------------------------------------------

void SwitchWriter::read_operand(bool first) {
  if (first || s_.is_constant(condition_)) s_.use(condition_);
  else s_.mir_.op(Op::local_get, value_local_);
}

void SwitchWriter::number(int64_t v) {
  if (wide_) s_.mir_.i64_const(v);
  else s_.mir_.i32_const(int32_t(v));
}

// Narrow operands: the difference may be negative, which is large.
void SwitchWriter::subtract(uint64_t base, bool first) {
  if (base != zero_) {
    s_.mir_.op(wide_ ? Op::i64_sub : Op::i32_sub);
    number(real(base));
  }
  read_operand(first);
}

// The condition of a test that is no table.
void SwitchWriter::write_test(const Test& t, bool first) {
  switch (t.form) {
    case Form::value: {
      const int64_t v = real(cases_[t.first].value);
      s_.mir_.op(v == 0 ? (wide_ ? Op::i64_eqz : Op::i32_eqz) : wide_ ? Op::i64_eq : Op::i32_eq);
      if (v != 0) number(v);
      read_operand(first);
      break;
    }
    case Form::range:
      s_.mir_.op(wide_ ? Op::i64_le_u : Op::i32_le_u);
      number(int64_t(cases_[t.last].value - t.base));
      subtract(t.base, first);
      break;
    default: write_set_test(t, first);
  }
}

void SwitchWriter::write_set_test(const Test& t, bool first) {
  const uint32_t x = s_.new_local(wide_ ? ValueType::i64 : ValueType::i32);
  const uint64_t set = bits_set(t);
  s_.mir_.op(Op::i32_and);
  if (t.form == Form::bits64) {
    s_.mir_.op(Op::i32_wrap_i64);
    s_.mir_.op(Op::i64_shr_u);
    if (!wide_) s_.mir_.op(Op::i64_extend_i32_u);
    s_.mir_.op(Op::local_get, x);
    s_.mir_.i64_const(int64_t(set));
  } else {
    s_.mir_.op(Op::i32_shr_u);
    s_.mir_.op(Op::local_get, x);
    s_.mir_.i32_const(int32_t(uint32_t(set)));
  }
  s_.mir_.op(wide_ ? Op::i64_le_u : Op::i32_le_u);
  number(int64_t(cases_[t.last].value - t.base));
  s_.mir_.op(Op::local_tee, x);
  subtract(t.base, first);
}

void SwitchWriter::write_table(const Test& t, uint32_t node, bool first) {
  const uint64_t high = cases_[t.last].value;
  targets_.clear();
  uint32_t next = t.first;
  for (uint64_t v = t.base;; v++) {
    if (cases_[next].value == v) targets_.push_back(cases_[next++].target);
    else targets_.push_back(fallback_);
    if (v == high) break;
  }
  targets_.push_back(fallback_);
  if (!wide_) {
    s_.set_edges(node, targets_);
    s_.flow_.nodes[node].end = FlowEnd::table;
    return subtract(t.base, first);
  }
  // Only the low 32 bits reach the table: the range is tested before.
  const uint32_t table = s_.new_flow_node(FlowEnd::table);
  branch_to(node, table, fallback_);
  s_.set_edges(table, targets_);
  // The table's node is written before its test.
  const uint32_t begin = code_end();
  s_.mir_.op(Op::i32_wrap_i64);
  subtract(t.base, false);
  s_.chunks_[table] = {begin, code_end()};
  s_.layout_.push_back(table);
  s_.chunks_[node].begin = code_end();
  s_.mir_.op(Op::i64_le_u);
  s_.mir_.i64_const(int64_t(high - t.base));
  subtract(t.base, first);
}

void SwitchWriter::write_range(const Range& r) {
  const bool first = r.node == index_;
  const Test& t = tests_[r.first];
  s_.chunks_[r.node].begin = code_end();
  if (r.chain) {
    write_test(t, first);
  } else if (r.first != r.last) {
    s_.mir_.op(wide_ ? Op::i64_lt_s : bits_ < 32 ? Op::i32_lt_u : Op::i32_lt_s);
    number(real(r.pivot));
    read_operand(first);
  } else if (t.form != Form::table) {
    branch_to(r.node, cases_[t.first].target, fallback_);
    write_test(t, first);
  } else {
    write_table(t, r.node, first);
  }
  if (first) return;
  s_.chunks_[r.node].end = code_end();
  s_.layout_.push_back(r.node);
}

}  // namespace lode::wasm
