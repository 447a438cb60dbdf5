// The final code: edges that became empty are cut short, short assignments on an edge move before the branch, control
// flow is structured, and the backwards code is turned round with final local numbers and label depths.
#include <algorithm>

#include "codegen/wasm/select.h"

namespace lode::wasm {

namespace {
constexpr uint32_t none = ~0u;

// May run where its result is not wanted: no trap, no effect, cheap.
bool speculative(uint8_t tag) {
  if (tag >= uint8_t(Op::local_get) && tag <= uint8_t(Op::local_tee)) return true;
  if (tag >= uint8_t(Op::i32_const) && tag <= uint8_t(Op::f64_const)) return true;
  if (tag == uint8_t(OwnTag::data_address) || tag == uint8_t(OwnTag::function_address) ||
      tag == uint8_t(OwnTag::i64_const_wide) || tag == uint8_t(OwnTag::f64_const_short) ||
      tag == uint8_t(OwnTag::frame_address))
    return true;
  if (tag >= uint8_t(Op::i32_div_s) && tag <= uint8_t(Op::i32_rem_u)) return false;
  if (tag >= uint8_t(Op::i64_div_s) && tag <= uint8_t(Op::i64_rem_u)) return false;
  return tag >= uint8_t(Op::i32_eqz) && tag <= uint8_t(Op::i64_rotr);
}

// The comparison that is true where this one is false; 0 when there is none.
uint8_t inverse(uint8_t tag) {
  auto pair = [&](Op a, Op b) -> uint8_t {
    return tag == uint8_t(a) ? uint8_t(b) : tag == uint8_t(b) ? uint8_t(a) : 0;
  };
  for (auto [a, b] : {std::pair{Op::i32_eq, Op::i32_ne}, {Op::i32_lt_s, Op::i32_ge_s}, {Op::i32_lt_u, Op::i32_ge_u},
                      {Op::i32_gt_s, Op::i32_le_s}, {Op::i32_gt_u, Op::i32_le_u}, {Op::i64_eq, Op::i64_ne},
                      {Op::i64_lt_s, Op::i64_ge_s}, {Op::i64_lt_u, Op::i64_ge_u}, {Op::i64_gt_s, Op::i64_le_s},
                      {Op::i64_gt_u, Op::i64_le_u}, {Op::f32_eq, Op::f32_ne}, {Op::f64_eq, Op::f64_ne}})
    if (uint8_t r = pair(a, b)) return r;
  return 0;
}
}  // namespace

void Selector::simplify_flow() {
  uint32_t nodes = uint32_t(flow_.nodes.size());
  auto live_size = [&](uint32_t n, uint32_t limit) {
    uint32_t size = 0;
    for (uint32_t i = chunks_[n].begin; i < chunks_[n].end && size <= limit; i++) size += code_tags_[i] != gone_tag;
    return size;
  };
  // Where an edge really leads. Empty nodes in a cycle are an endless loop and stay.
  std::vector<uint32_t> leads(nodes, none);
  for (uint32_t n = 0; n < nodes; n++)
    leads[n] =
        n && flow_.nodes[n].end == FlowEnd::jump && live_size(n, 0) == 0 ? flow_.edges[flow_.nodes[n].first_edge] : n;
  auto real = [&](uint32_t n) {
    uint32_t start = n;
    for (unsigned steps = 0; leads[n] != n; steps++) {
      if (steps > 64) return start;
      n = leads[n];
    }
    return n;
  };
  for (FlowNode& n : flow_.nodes)
    for (uint32_t e = n.first_edge; e < n.first_edge + n.edge_count; e++) flow_.edges[e] = real(flow_.edges[e]);

  // An edge's few assignments before the branch, where the other way does not need what they overwrite.
  hoisted_.assign(nodes, {});
  std::vector<uint32_t> pred_count(nodes, 0);
  for (const FlowNode& n : flow_.nodes)
    for (uint32_t e = n.first_edge; e < n.first_edge + n.edge_count; e++) pred_count[flow_.edges[e]]++;
  for (uint32_t n = 0; n < blocks_.size(); n++) {
    FlowNode& x = flow_.nodes[n];
    if (x.end != FlowEnd::branch) continue;
    for (unsigned side = 0; side < 2; side++) {
      uint32_t e = flow_.edges[x.first_edge + side], other = flow_.edges[x.first_edge + 1 - side];
      if (e < blocks_.size() || e == other || pred_count[e] != 1 || flow_.nodes[e].end != FlowEnd::jump) continue;
      const Chunk& c = chunks_[e];
      if (live_size(e, 6) > 6) continue;
      bool fine = true;
      for (uint32_t i = c.begin; i < c.end && fine; i++) {
        uint8_t tag = code_tags_[i];
        if (tag == gone_tag) continue;
        fine = speculative(tag);
        if (tag != uint8_t(Op::local_set) && tag != uint8_t(Op::local_tee)) continue;
        const std::vector<Segment>& busy = occupied_[colour_[code_operands_[i]]];
        uint32_t p = node_position_[other];
        auto s =
            std::upper_bound(busy.begin(), busy.end(), p, [](uint32_t v, const Segment& seg) { return v < seg.begin; });
        if (s != busy.begin() && (s - 1)->end > p) fine = false;
      }
      if (!fine) continue;
      hoisted_[n] = c;
      flow_.edges[x.first_edge + side] = real(flow_.edges[flow_.nodes[e].first_edge]);
      break;
    }
  }
}

void Selector::write_chunk(const Chunk& c) {
  mir::FunctionDraft& draft = mir_.draft();
  for (uint32_t i = c.end; i-- > c.begin;) {
    uint8_t tag = code_tags_[i];
    uint32_t operand = code_operands_[i];
    if (tag == gone_tag) continue;
    if (tag >= uint8_t(Op::local_get) && tag <= uint8_t(Op::local_tee)) {
      operand = operand == frame_virtual_ ? frame_local_ : final_local_[colour_[operand]];
      // set x, get x: tee x.
      if (tag == uint8_t(Op::local_get) && !draft.tags.empty() && draft.tags.size() > barrier_ &&
          draft.tags.back() == uint8_t(Op::local_set) && draft.operands.back() == operand) {
        draft.tags.back() = uint8_t(Op::local_tee);
        continue;
      }
    } else if (tag == uint8_t(OwnTag::epilogue) && frame_local_ == no_local) {
      continue;
    }
    mir_.raw(tag, operand);
  }
}

void Selector::finish() {
  mir::FunctionDraft& draft = mir_.draft();
  std::span<const Item> items = structurer_.run(flow_);
  std::span<const uint32_t> edge_labels = structurer_.edge_labels();
  label_place_.assign(structurer_.label_count(), 0);
  uint32_t depth = 0, condition = 0;
  barrier_ = 0;
  auto depth_of = [&](uint32_t label) { return depth - 1 - label_place_[label]; };
  // The operand of a branch inverted: by the comparison, by leaving out an eqz, or by one more.
  auto invert = [&] {
    uint8_t tag = condition ? uint8_t(draft.tags[condition - 1]) : 0;
    if (tag == uint8_t(Op::i32_eqz)) {
      draft.tags.erase(draft.tags.begin() + condition - 1);
      draft.operands.erase(draft.operands.begin() + condition - 1);
    } else if (uint8_t other = inverse(tag)) {
      draft.tags[condition - 1] = other;
    } else {
      draft.tags.insert(draft.tags.begin() + condition, uint16_t(Op::i32_eqz));
      draft.operands.insert(draft.operands.begin() + condition, 0);
    }
  };
  auto edge = [&] { barrier_ = uint32_t(draft.tags.size()); };
  std::vector<uint32_t> depths;
  for (size_t at = 0; at < items.size(); at++) {
    const Item& item = items[at];
    switch (item.form) {
      case Form::none: break;
      case Form::block: case Form::loop:
        label_place_[item.arg] = depth++;
        mir_.block(item.form == Form::block ? Op::block : Op::loop);
        edge();
        break;
      case Form::if_false: invert(); [[fallthrough]];
      case Form::if_true:
        label_place_[item.arg] = depth++;
        mir_.block(Op::if_);
        edge();
        break;
      case Form::else_: mir_.op(Op::else_); edge(); break;
      case Form::end:
        depth--;
        mir_.op(Op::end);
        edge();
        break;
      case Form::node: {
        const FlowNode& n = flow_.nodes[item.arg];
        if (n.code == FlowCode::set) {
          mir_.i32_const(int32_t(n.payload));
          mir_.op(Op::local_set, final_local_[first_variable_ + n.variable]);
        } else if (n.code == FlowCode::dispatch) {
          mir_.op(Op::local_get, final_local_[first_variable_ + n.variable]);
        } else {
          write_chunk(chunks_[item.arg]);
          condition = uint32_t(draft.tags.size());
          if (n.end == FlowEnd::branch && hoisted_[item.arg].end > hoisted_[item.arg].begin) {
            edge();
            write_chunk(hoisted_[item.arg]);
          }
        }
        break;
      }
      case Form::br: mir_.op(Op::br, depth_of(item.arg)); edge(); break;
      case Form::br_if_false: invert(); [[fallthrough]];
      case Form::br_if_true: mir_.op(Op::br_if, depth_of(item.arg)); edge(); break;
      case Form::br_table: {
        const FlowNode& n = flow_.nodes[item.arg];
        depths.clear();
        uint32_t last = n.first_edge + n.edge_count - 1;
        uint32_t fallback = depth_of(edge_labels[last]);
        for (uint32_t e = n.first_edge; e < last; e++) depths.push_back(depth_of(edge_labels[e]));
        // What goes to the default anyway needs no place at the end.
        while (!depths.empty() && depths.back() == fallback) depths.pop_back();
        mir_.br_table(depths, fallback);
        edge();
        break;
      }
    }
  }
  // At the end of the body a return is implied.
  uint16_t last = draft.tags.empty() ? 0xffff : draft.tags.back();
  if (last == uint16_t(Op::return_)) {
    draft.tags.pop_back();
    draft.operands.pop_back();
  } else if (!own_signature_.results.empty() && last != uint16_t(Op::unreachable) &&
             last != uint16_t(Op::return_call) && last != uint16_t(Op::return_call_indirect) &&
             last != uint16_t(Op::br) && last != uint16_t(Op::br_table)) {
    mir_.op(Op::unreachable);
  }
}

}  // namespace lode::wasm
