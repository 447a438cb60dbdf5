// AIR to nodes, the driver: order of blocks, uses, frame, parameters, constants. The constructors that fold as they
// build are in select_fold.cpp, instructions in select_ops.cpp, calls and memory in select_memory.cpp and
// select_calls.cpp.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

namespace {
constexpr uint32_t none = ~0u;

bool is_i64(uint8_t t) { return t == uint8_t(ValueType::i64); }
unsigned width(uint8_t t) { return is_i64(t) || t == uint8_t(ValueType::f64) ? 64 : 32; }
}  // namespace

// ---- values ---------------------------------------------------------------------------------------------------------

unsigned Selector::bits_of(air::TypeId t) const {
  const air::Type& x = (*types_)[t];
  switch (x.kind) {
    case air::TypeKind::Int: return x.bits;
    case air::TypeKind::F64: return 64;
    case air::TypeKind::Ptr: return wasm64_ ? 64 : 32;
    default: return 32;
  }
}

NodeId Selector::frame_address(uint32_t offset) {
  uses_frame_ = true;
  Node n;
  n.op = pseudo_frame_address;
  n.type = uint8_t(address_);
  n.a = offset;
  return intern(n);
}

// Address and offset as one address; no_node where that has no form: before the frame, or too far from its symbol.
NodeId Selector::folded_address(NodeId base, int64_t offset) {
  const Node n = nodes_[base];
  if ((n.op != pseudo_frame_address && n.op != pseudo_data_address) || !fits_signed(offset, 31)) return no_node;
  if (n.op == pseudo_frame_address) {
    int64_t sum = int64_t(n.a) + offset;
    return sum >= 0 && sum <= INT32_MAX ? frame_address(uint32_t(sum)) : no_node;
  }
  const mir::Reference r = mir_.draft().references[n.a];
  int64_t sum = int64_t(r.addend) + offset;
  if (sum != int32_t(sum)) return no_node;
  Node m = n;
  m.a = mir_.reference(r.kind, r.symbol, int32_t(sum));
  return intern(m);
}

NodeId Selector::address_add(NodeId base, int64_t offset) {
  if (offset == 0) return base;
  if (NodeId folded = folded_address(base, offset); folded != no_node) return folded;
  return binary(wasm64_ ? Op::i64_add : Op::i32_add, base, int_const(address_, wasm64_ ? offset : int32_t(offset)));
}

NodeId Selector::constant_node(const air::Constant& c) {
  ValueType t = value_type(*types_, c.type);
  switch (c.kind) {
    case air::ConstantKind::Int:
      if (t == ValueType::i64) return i64c(int64_t(c.bits));
      return i32c(int32_t(uint32_t(c.bits)));
    case air::ConstantKind::Float: return t == ValueType::f64 ? f64c(c.bits) : f32c(uint32_t(c.bits));
    case air::ConstantKind::Zero: case air::ConstantKind::Undef:
      switch (t) {
        case ValueType::i64: return i64c(0);
        case ValueType::f32: return f32c(0);
        case ValueType::f64: return f64c(0);
        default: return i32c(0);
      }
    case air::ConstantKind::Symbol: {
      const air::Module& m = *context_->module;
      const air::Symbol& s = m.symbols[c.symbol];
      SymbolId id = context_->symbols[c.symbol];
      const air::Symbol* target = &s;
      for (unsigned steps = 0; target->kind == air::SymbolKind::alias && target->aliasee.valid() && steps < 64; steps++)
        target = &m.symbols[target->aliasee.value];
      int64_t addend = int64_t(c.bits);
      if (!wasm64_) addend = int32_t(addend);  // addresses wrap
      if (addend != int32_t(addend)) {
        unsupported("an address more than 2 GiB from its symbol");
        addend = 0;
      }
      Node n;
      n.type = uint8_t(address_);
      bool got = c.symbol < context_->reach.size() && context_->reach[c.symbol] == codegen::SymbolReach::got;
      if (s.tls != air::TlsModel::none && has(Feature::atomics)) {
        n.op = pseudo_global;
        n.a = mir_.reference(mir::ReferenceKind::wasm_global, context_->tls_base);
        NodeId base = intern(n);
        n.op = pseudo_data_address;
        n.a = mir_.reference(mir::ReferenceKind::tls_local_exec, id, int32_t(addend));
        return binary(wasm64_ ? Op::i64_add : Op::i32_add, base, intern(n));
      }
      if (got) {
        n.op = pseudo_global;
        n.a = mir_.reference(mir::ReferenceKind::wasm_global, id);
        NodeId base = intern(n);
        return addend ? binary(wasm64_ ? Op::i64_add : Op::i32_add, base, int_const(address_, addend)) : base;
      }
      if (target->kind == air::SymbolKind::function || target->kind == air::SymbolKind::ifunc) {
        n.op = pseudo_function_address;
        n.a = mir_.reference(mir::ReferenceKind::wasm_table_slot, id);
        NodeId base = intern(n);
        return addend ? binary(wasm64_ ? Op::i64_add : Op::i32_add, base, int_const(address_, addend)) : base;
      }
      n.op = pseudo_data_address;
      n.a = mir_.reference(mir::ReferenceKind::direct, id, int32_t(addend));
      return intern(n);
    }
    case air::ConstantKind::Runtime: {
      Node n;
      n.type = uint8_t(address_);
      n.op = pseudo_function_address;
      n.a = mir_.reference(mir::ReferenceKind::wasm_table_slot, context_->runtime[c.symbol]);
      return intern(n);
    }
    // The address of a block is its number plus one, in code and in data; indirect_br branches by it.
    case air::ConstantKind::BlockAddress: return int_const(address_, int64_t(c.symbol) + 1);
    default: break;
  }
  unsupported("a constant of this kind");
  return i32c(0);
}

NodeId Selector::node_of(air::ValueId v) {
  NodeId n = value_node_[v.value];
  if (n != no_node) return n;
  const air::Value& x = fn_->values[v.value];
  if (x.kind() == air::ValueKind::Const) {
    const air::Constant& c = fn_->constants[x.index()];
    n = constant_node(c);
    // Narrow constants stand zero-extended; a node of several instructions belongs to the block it was made in.
    if (is_constant(n)) value_node_[v.value] = n;
    return n;
  }
  // Not reached in valid AIR: the definition dominates the use.
  unsupported("a use before its definition");
  return int_const(value_type(*types_, x.type), 0);
}

// ---- the function ---------------------------------------------------------------------------------------------------

void Selector::order_blocks() {
  size_t n = fn_->blocks.size();
  block_of_.assign(n, none);
  blocks_.clear();
  worklist_.clear();
  std::vector<uint32_t>& stack = layout_;  // free at this time
  stack.clear();
  // Depth first with the edges of each block collected when it is entered: frames of (block, remaining successors on
  // `edges`).
  edge_list_.clear();
  edge_first_.clear();
  block_of_[0] = 0;
  auto enter = [&](uint32_t b) {
    stack.push_back(b);
    edge_first_.push_back(uint32_t(edge_list_.size()));
    const air::Block& block = fn_->blocks[b];
    const air::Inst& last = fn_->insts[block.first_inst + block.inst_count - 1];
    air::for_each_edge(*fn_, last, [&](uint32_t e) { edge_list_.push_back(fn_->edges[e].target.value); });
  };
  enter(0);
  while (!stack.empty()) {
    if (edge_list_.size() == edge_first_.back()) {
      worklist_.push_back(stack.back());
      stack.pop_back();
      edge_first_.pop_back();
      continue;
    }
    uint32_t to = edge_list_.back();
    edge_list_.pop_back();
    if (block_of_[to] != none) continue;
    block_of_[to] = 0;
    enter(to);
  }
  blocks_.resize(worklist_.size());
  for (size_t i = 0; i < worklist_.size(); i++) {
    uint32_t b = worklist_[worklist_.size() - 1 - i];
    blocks_[i] = BlockInfo{};
    blocks_[i].air = b;
    block_of_[b] = uint32_t(i);
  }
}

void Selector::scan_values() {
  value_uses_.assign(fn_->values.size(), 0);
  value_user_.assign(fn_->values.size(), none);
  value_wants_.assign(fn_->values.size(), 0);
  for (const BlockInfo& b : blocks_) {
    const air::Block& block = fn_->blocks[b.air];
    for (uint32_t i = block.first_inst; i < block.first_inst + block.inst_count; i++) {
      const air::Inst& inst = fn_->insts[i];
      air::for_each_operand(*fn_, inst, [&](air::ValueId v) {
        value_uses_[v.value]++;
        value_user_[v.value] = i;
      });
      uint8_t wants = 0;
      bool second = false;
      switch (inst.op) {
        case air::Op::sext: case air::Op::sitofp: case air::Op::ashr: wants = 1; break;
        case air::Op::sdiv: case air::Op::srem: case air::Op::smin: case air::Op::smax: wants = 1; second = true; break;
        case air::Op::zext: case air::Op::uitofp: case air::Op::lshr: wants = 2; break;
        case air::Op::udiv: case air::Op::urem: case air::Op::umin: case air::Op::umax: wants = 2; second = true; break;
        case air::Op::icmp:
          second = true;
          if (air::IntPredicate(inst.aux) >= air::IntPredicate::sgt) wants = 1;
          else if (air::IntPredicate(inst.aux) >= air::IntPredicate::ugt) wants = 2;
          break;
        default: break;
      }
      if (wants) {
        value_wants_[inst.a] |= wants;
        if (second) value_wants_[inst.b] |= wants;
      }
    }
  }
}

void Selector::make_params() {
  for (uint32_t i = 0; i < blocks_.size(); i++) {
    BlockInfo& b = blocks_[i];
    const air::Block& block = fn_->blocks[b.air];
    b.first_param = uint32_t(nodes_.size());
    b.param_count = block.param_count;
    current_block_ = i;
    for (uint32_t p = 0; p < block.param_count; p++) {
      air::TypeId type = fn_->values[block.first_param + p].type;
      Node n;
      n.op = pseudo_param;
      n.type = uint8_t(value_type(*types_, type));
      n.a = i;
      n.b = p;
      n.zbits = n.sbits = uint8_t(width(n.type));
      if (i > 0 && type == air::TypeTable::i1) n.zbits = 1, n.sbits = 2;
      if (i == 0 && p < fn_->param_attrs.size()) {
        unsigned bits = bits_of(type);
        if (fn_->param_attrs[p].bits & air::attr::zext) n.zbits = uint8_t(bits), n.sbits = uint8_t(bits + 1);
        if (fn_->param_attrs[p].bits & air::attr::sext) n.sbits = uint8_t(bits);
      }
      value_node_[block.first_param + p] = append(n);
    }
    if (i == 0 && own_signature_.vararg) {
      Node n;
      n.op = pseudo_param;
      n.type = uint8_t(address_);
      n.a = 0;
      n.b = block.param_count;
      n.zbits = n.sbits = uint8_t(width(n.type));
      vararg_node_ = append(n);
      b.param_count++;
    }
  }
}

const Signature* Selector::signature(air::TypeId type) {
  const air::Module* module = context_->module;
  if (cache_.module != module || cache_.size != types_->size() || cache_.strings != module->strings.size()) {
    cache_.module = module;
    cache_.size = types_->size();
    cache_.strings = module->strings.size();
    cache_.by_type.assign(types_->size(), {});
    cache_.known.assign(types_->size(), 0);
  }
  if (!type.valid() || type.value >= cache_.size || (*types_)[type].kind != air::TypeKind::Function) {
    unsupported("a call without a function type");
    return nullptr;
  }
  if (!cache_.known[type.value]) {
    auto made = make_signature(*types_, type, cache_.by_type[type.value]);
    if (!made.ok()) {
      unsupported(made.error().message);
      return nullptr;
    }
    cache_.known[type.value] = 1;
  }
  return &cache_.by_type[type.value];
}

Result<void> Selector::make_nodes() {
  nodes_.clear();
  node_lists_.clear();
  node_block_.clear();
  interned_.assign(256, 0);
  interned_count_ = 0;
  vararg_node_ = no_node;
  uses_frame_ = moves_stack_ = calls_ = false;
  order_blocks();
  scan_values();
  value_node_.assign(fn_->values.size(), no_node);
  second_node_.assign(fn_->values.size(), no_node);
  cse_.assign(std::bit_ceil(std::max<size_t>(64, std::min<size_t>(fn_->insts.size() * 2, 1 << 16))), 0);
  cse_mask_ = uint32_t(cse_.size() - 1);
  edge_arguments_.clear();
  edge_arguments_first_.assign(fn_->edges.size(), 0);
  LODE_TRY(scan_frame());
  make_params();
  for (uint32_t i = 0; i < blocks_.size() && problem_.empty(); i++) {
    current_block_ = i;
    BlockInfo& b = blocks_[i];
    b.first_node = uint32_t(nodes_.size());
    const air::Block& block = fn_->blocks[b.air];
    if (i == 0) {
      // A bool parameter that nobody promises to be 0 or 1, and narrow ones that stand in value_node_ as they came.
      for (uint32_t p = 0; p < block.param_count; p++) {
        uint32_t v = block.first_param + p;
        if (fn_->values[v].type == air::TypeTable::i1) value_node_[v] = zext(value_node_[v], 1);
      }
    }
    if (i == 0 && protected_) set_canary();
    uint32_t last = block.first_inst + block.inst_count - 1;
    must_tail_ = false;
    last_call_.node = no_node;
    for (uint32_t k = block.first_inst; k < last; k++) lower_inst(k);
    lower_terminator(blocks_[i], last);
    if (must_tail_ && blocks_[i].tail_call == no_node)
      unsupported(has(Feature::tail_call) ? "a musttail call whose arguments or result go through memory"
                                          : "a musttail call without the feature tail-call");
    blocks_[i].end_node = uint32_t(nodes_.size());
  }
  if (!problem_.empty()) return error(problem_);
  return {};
}

void Selector::lower_terminator(BlockInfo& block, uint32_t index) {
  const air::Inst& inst = fn_->insts[index];
  switch (inst.op) {
    case air::Op::br: case air::Op::trap: case air::Op::unreachable: break;
    case air::Op::cond_br: {
      NodeId n = truth(node_of(inst.va()));
      bool inverted = false;
      if (nodes_[n].op == uint16_t(Op::i32_eqz)) {
        n = nodes_[n].a;
        inverted = true;
      }
      block.condition = n;
      block.inverted = inverted;
      break;
    }
    case air::Op::switch_: {
      unsigned bits = bits_of(fn_->values[inst.a].type);
      block.condition = zext(node_of(inst.va()), bits);
      break;
    }
    case air::Op::indirect_br: block.condition = wrap(node_of(inst.va())); break;
    case air::Op::ret: {
      uint32_t n = fn_->extra[inst.a];
      if (n > 1) {
        unsupported("a return of several values");
        break;
      }
      if (make_tail_call(block, index)) break;
      if (protected_) check_canary();
      if (n == 0) break;
      air::ValueId v(fn_->extra[inst.a + 1]);
      NodeId r = node_of(v);
      if (fn_->result_attrs & air::attr::zext) r = z(v);
      else if (fn_->result_attrs & air::attr::sext) r = s(v);
      if (own_signature_.results.empty()) break;
      block.condition = r;
      break;
    }
    case air::Op::invoke: unsupported("an invoke (exceptions)"); break;
    default: unsupported(std::string("the instruction ") + air::info(inst.op).name); break;
  }
  // The arguments of edges: nodes of this block where a constant needs instructions.
  air::for_each_edge(*fn_, inst, [&](uint32_t e) {
    const air::Edge& edge = fn_->edges[e];
    edge_arguments_first_[e] = uint32_t(edge_arguments_.size());
    for (uint32_t a = 0; a < edge.arg_count; a++)
      edge_arguments_.push_back(node_of(air::ValueId(fn_->extra[edge.args + a])));
  });
}

}  // namespace lode::wasm
