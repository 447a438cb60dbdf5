// Control flow of a function: which blocks are kept and in what order, dominators, edges and their arguments,
// terminators.
#include <algorithm>

#include "base/bytes.h"
#include "codegen/import/function_import.h"

namespace lode::codegen {

namespace {

bool is_trap_call(const ImportState& s, const bc::Body& b, const bc::Inst& i) {
  if (i.op != bc::Op::Call) return false;
  uint32_t callee = b.operands[i.first + 1];
  return callee < s.intrinsics.size() && s.intrinsics[callee] && s.intrinsics[callee]->kind == IntrinsicKind::Trap;
}

// Calls f(block) for the successors of a terminator, in order; false: not supported.
template <class F>
bool successors(const bc::Body& b, const bc::Inst& i, F&& f) {
  auto ops = b.operands_of(i);
  switch (i.op) {
    case bc::Op::Br: f(ops[0]); return true;
    case bc::Op::CondBr: f(ops[1]), f(ops[2]); return true;
    case bc::Op::Switch:
      f(ops[1]);
      for (size_t k = 3; k < ops.size(); k += 2) f(ops[k]);
      return true;
    case bc::Op::IndirectBr:
      for (size_t k = 1; k < ops.size(); k++) f(ops[k]);
      return true;
    case bc::Op::Invoke: f(ops[4]), f(ops[5]); return true;
    case bc::Op::CallBr:
      f(ops[4]);
      for (size_t k = 0; k < ops[5]; k++) f(ops[6 + k]);
      return true;
    case bc::Op::Ret:
    case bc::Op::Resume:
    case bc::Op::Unreachable:
    case bc::Op::Call: return true;
    default: return false;
  }
}

}  // namespace

bool FunctionImporter::order_blocks() {
  const uint32_t n = b_.block_count();
  w_.stops.resize(n);
  w_.number.assign(n, bc::none);
  w_.phi_counts.assign(n, bc::none);
  w_.order.clear();
  w_.visits.clear();
  auto enter = [&](uint32_t block) {
    w_.number[block] = bc::none - 1;
    uint32_t stop = b_.blocks[block + 1] - 1;
    if (s_.has_trap)
      for (uint32_t i = b_.blocks[block]; i < stop; i++)
        if (is_trap_call(s_, b_, b_.insts[i])) stop = i;
    w_.stops[block] = stop;
    uint32_t count = 0;
    current_block_ = block;
    current_inst_ = stop;
    if (!successors(b_, b_.insts[stop], [&](uint32_t) { count++; })) return fail("instruction is not supported");
    w_.visits.push_back({block, count});
    return true;
  };
  // Successors are visited last first, so that a block's first successor follows it where possible.
  if (!enter(0)) return false;
  while (!w_.visits.empty()) {
    auto& v = w_.visits.back();
    if (v.next == 0) {
      w_.order.push_back(v.block);
      w_.visits.pop_back();
      continue;
    }
    v.next--;
    uint32_t k = 0, target = 0, at = v.next;
    const bc::Inst& t = b_.insts[w_.stops[v.block]];
    if (t.op == bc::Op::Switch) {
      target = at == 0 ? b_.operands[t.first + 1] : b_.operands[t.first + 1 + 2 * at];
    } else if (t.op == bc::Op::IndirectBr) {
      target = b_.operands[t.first + 1 + at];
    } else {
      successors(b_, t, [&](uint32_t b) {
        if (k++ == at) target = b;
      });
    }
    if (target == 0) {
      current_block_ = v.block;
      current_inst_ = w_.stops[v.block];
      return fail("branch to the entry block");
    }
    if (w_.number[target] == bc::none && !enter(target)) return false;
  }
  std::reverse(w_.order.begin(), w_.order.end());
  for (uint32_t i = 0; i < w_.order.size(); i++) w_.number[w_.order[i]] = i;
  return true;
}

void FunctionImporter::find_dominators() {
  w_.succ_first.clear();
  w_.succs.clear();
  for (uint32_t block : w_.order) {
    w_.succ_first.push_back(uint32_t(w_.succs.size()));
    successors(b_, b_.insts[w_.stops[block]], [&](uint32_t target) { w_.succs.push_back(w_.number[target]); });
  }
  w_.succ_first.push_back(uint32_t(w_.succs.size()));
  w_.flow.build(w_.succ_first, w_.succs);
}

// The index of the edge's source in a phi of `target`. All phis of a block have the same sources, usually in the same
// order.
bool FunctionImporter::source_index(uint32_t target, const bc::Inst& phi, uint32_t& index) {
  auto o = ops(phi);
  const uint32_t n = uint32_t(o.size() / 2);
  if (index < n && o[2 * index + 1] == current_block_) return true;
  const bc::Inst& first = b_.insts[b_.blocks[target]];
  if (n <= 16 || &phi != &first) {
    for (index = 0; index < n; index++)
      if (o[2 * index + 1] == current_block_) return true;
    return fail("phi without a value for block " + std::to_string(current_block_));
  }
  // A block with many predecessors: sort them once.
  uint32_t& at = w_.sources_at[target];
  if (at == bc::none) {
    at = uint32_t(w_.sources.size());
    for (uint32_t k = 0; k < n; k++) w_.sources.push_back({o[2 * k + 1], k});
    std::sort(w_.sources.begin() + at, w_.sources.end(), [](auto& a, auto& b) {
      return a.block != b.block ? a.block < b.block : a.index < b.index;
    });
  }
  auto end = w_.sources.begin() + at + n;
  auto it = std::lower_bound(w_.sources.begin() + at, end, current_block_,
                             [](const FunctionScratch::Source& a, uint32_t b) { return a.block < b; });
  if (it == end || it->block != current_block_)
    return fail("phi without a value for block " + std::to_string(current_block_));
  index = it->index;
  return true;
}

bool FunctionImporter::edge(uint32_t target, uint32_t& e) {
  air::Edge out;
  out.target = air::BlockId(w_.number[target]);
  uint32_t first = b_.blocks[target];
  uint32_t& phis = w_.phi_counts[target];
  if (phis == bc::none) {
    phis = 0;
    while (b_.insts[first + phis].op == bc::Op::Phi) phis++;
  }
  if (phis) {
    // Values first: constant expressions may add to Function::extra.
    const size_t base = w_.words.size();
    uint32_t index = 0;
    for (uint32_t p = 0; p < phis; p++) {
      const bc::Inst& phi = b_.insts[first + p];
      if (!source_index(target, phi, index)) return false;
      V v = use(b_.operands[phi.first + 2 * index]);
      if (!v.valid()) return false;
      if (type_of(v) != s_.types[phi.type]) return fail("phi operand of a wrong type");
      w_.words.push_back(v.value);
    }
    out.args = uint32_t(f_.extra.size());
    out.arg_count = phis;
    f_.extra.insert(f_.extra.end(), w_.words.begin() + base, w_.words.end());
    w_.words.resize(base);
  }
  e = uint32_t(f_.edges.size());
  f_.edges.push_back(out);
  return true;
}

bool FunctionImporter::wide_switch(const bc::Inst& i, V value, uint32_t k) {
  auto o = ops(i);
  if (k >= o.size()) {
    uint32_t e;
    if (!edge(o[1], e)) return false;
    emit(O::br, types_.void_type, e);
    return true;
  }
  V c = use(o[k]);
  if (!c.valid()) return false;
  if (type_of(c) != type_of(value)) return fail("case of a wrong type");
  V equal = emit(O::icmp, types_.i1, value.value, c.value, ~0u, uint16_t(air::IntPredicate::eq));
  uint32_t hit, rest;
  if (!edge(o[k + 1], hit)) return false;
  rest = uint32_t(f_.edges.size());
  const uint32_t next = uint32_t(w_.order.size()) + extra_blocks_++;
  f_.edges.push_back({air::BlockId(next), 0, 0});
  emit(O::cond_br, types_.void_type, equal.value, hit, rest);
  pending_.push_back({current_inst_, k + 2, current_block_, next, value});
  return true;
}

bool FunctionImporter::terminator(const bc::Inst& i) {
  auto o = ops(i);
  switch (i.op) {
    case bc::Op::Br: {
      uint32_t e;
      if (!edge(o[0], e)) return false;
      emit(O::br, types_.void_type, e);
      return true;
    }
    case bc::Op::CondBr: {
      V c = use(o[0]);
      uint32_t t, f;
      if (!c.valid()) return false;
      if (type_of(c) != types_.i1) return fail("condition that is not an i1");
      if (!edge(o[1], t) || !edge(o[2], f)) return false;
      emit(O::cond_br, types_.void_type, c.value, t, f);
      return true;
    }
    case bc::Op::Ret: {
      T want = air_type(f_.type).element;
      uint32_t at;
      if (o.empty()) {
        if (want != types_.void_type) return fail("return without a value");
        at = uint32_t(f_.extra.size());
        f_.extra.push_back(0);
      } else {
        V v = use(o[0]);
        if (!v.valid()) return false;
        if (type_of(v) != want) return fail("return value of a wrong type");
        at = uint32_t(f_.extra.size());
        f_.extra.push_back(1);
        f_.extra.push_back(v.value);
      }
      emit(O::ret, types_.void_type, at);
      return true;
    }
    case bc::Op::Switch: {
      V v = use(o[0]);
      if (!v.valid()) return false;
      if (!is_int(type_of(v))) return fail("switch on something that is not an integer");
      const uint32_t bits = air_type(type_of(v)).bits;
      if (bits > 64) return wide_switch(i, v, 2);
      uint32_t def;
      if (!edge(o[1], def)) return false;
      const size_t base = w_.words.size();
      for (size_t k = 2; k < o.size(); k += 2) {
        const bc::Constant* c;
        uint64_t value = 0;
        if (!folder_.pool(o[k], c) || (c->kind != bc::ConstKind::Int && c->kind != bc::ConstKind::Null) ||
            s_.types[c->type] != type_of(v))
          return fail("case that is not a constant of the type switched on");
        if (c->kind == bc::ConstKind::Int) value = bits >= 64 ? c->bits : c->bits & ((uint64_t{1} << bits) - 1);
        uint32_t e;
        if (!edge(o[k + 1], e)) return false;
        w_.words.push_back(uint32_t(value));
        w_.words.push_back(uint32_t(value >> 32));
        w_.words.push_back(e);
      }
      uint32_t at = uint32_t(f_.extra.size());
      f_.extra.push_back(uint32_t((w_.words.size() - base) / 3));
      f_.extra.insert(f_.extra.end(), w_.words.begin() + base, w_.words.end());
      w_.words.resize(base);
      emit(O::switch_, types_.void_type, v.value, def, at);
      return true;
    }
    case bc::Op::IndirectBr: {
      V v = use(o[0]);
      if (!v.valid()) return false;
      if (type_of(v) != types_.ptr) return fail("address that is not a pointer");
      if (o.size() == 1) {
        emit(O::unreachable, types_.void_type);
        return true;
      }
      const size_t base = w_.words.size();
      for (size_t k = 1; k < o.size(); k++) {
        uint32_t e;
        if (!edge(o[k], e)) return false;
        w_.words.push_back(e);
      }
      uint32_t at = uint32_t(f_.extra.size());
      f_.extra.push_back(uint32_t(o.size() - 1));
      f_.extra.insert(f_.extra.end(), w_.words.begin() + base, w_.words.end());
      w_.words.resize(base);
      emit(O::indirect_br, types_.void_type, v.value, at);
      return true;
    }
    case bc::Op::Invoke: return call(i);
    case bc::Op::CallBr: return call_branch(i);
    case bc::Op::Resume: {
      V v = use(o[0]);
      if (!v.valid()) return false;
      if (air_type(type_of(v)).kind != air::TypeKind::Struct) return fail("operand of a wrong type");
      emit(O::resume, types_.void_type, v.value);
      return true;
    }
    case bc::Op::Unreachable: emit(O::unreachable, types_.void_type); return true;
    default: return fail("instruction is not supported");
  }
}

}  // namespace lode::codegen
