// AIR's memory instructions as nodes, atomic ones included.
//
// Addresses. A memory instruction takes base + constant offset; the hardware adds without wrapping, AIR's ptr_add
// wraps. So an offset is folded only where the producer promises that the sum does not wrap, or where the base is a
// symbol or the frame, which lie inside memory with all that may be reached from them. An index behind the beginning of
// an object cannot be negative where the promise is that the sum stays inside: then the symbol's address, or the
// object's place in the frame, is the offset and the index alone is the base.
//
// The stack protector: the entry copies __stack_chk_guard to a place above all slots of the frame, and
// before each return, and each call that returns for the function, a call of __stack_chk_fail ends a program that has
// changed it.
//
// Atomic accesses of code that may not use the atomics feature are plain ones: such a module has one thread.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

using AirOp = air::Op;
using T = air::TypeTable;
using Flags = air::MemoryFlags;

namespace {
Op load_op(ValueType t, unsigned bits, bool is_signed) {
  if (t == ValueType::f32) return Op::f32_load;
  if (t == ValueType::f64) return Op::f64_load;
  if (t == ValueType::i64) {
    switch (bits) {
      case 8: return is_signed ? Op::i64_load8_s : Op::i64_load8_u;
      case 16: return is_signed ? Op::i64_load16_s : Op::i64_load16_u;
      case 32: return is_signed ? Op::i64_load32_s : Op::i64_load32_u;
      default: return Op::i64_load;
    }
  }
  switch (bits) {
    case 1: return Op::i32_load8_u;
    case 8: return is_signed ? Op::i32_load8_s : Op::i32_load8_u;
    case 16: return is_signed ? Op::i32_load16_s : Op::i32_load16_u;
    default: return Op::i32_load;
  }
}
unsigned natural_align(unsigned bits) { return bits <= 8 ? 0 : bits <= 16 ? 1 : bits <= 32 ? 2 : 3; }
}  // namespace

// The MIR operand of an access at address + offset; moves a symbol or a frame offset out of `address`.
uint32_t Selector::memory_word(NodeId& address, uint64_t offset, unsigned align_log2, NodeId symbol) {
  if (symbol != no_node) {
    const mir::Reference r = mir_.draft().references[nodes_[symbol].a];
    int64_t sum = int64_t(r.addend) + int64_t(offset);
    if (sum >= 0 && sum <= INT32_MAX)
      return MemoryOperand::pack(MemoryOperand::symbol, align_log2, mir_.reference(r.kind, r.symbol, int32_t(sum)));
    address = binary(wasm64_ ? Op::i64_add : Op::i32_add, symbol, address);
  }
  const Node& n = nodes_[address];
  if (n.op == pseudo_data_address) {
    const mir::Reference r = mir_.draft().references[n.a];
    int64_t sum = int64_t(r.addend) + int64_t(offset);
    if (r.kind == mir::ReferenceKind::direct && sum >= 0 && sum <= INT32_MAX) {
      uint32_t reference = mir_.reference(r.kind, r.symbol, int32_t(sum));
      address = int_const(address_, 0);
      return MemoryOperand::pack(MemoryOperand::symbol, align_log2, reference);
    }
  }
  if (n.op == pseudo_frame_address && n.a + offset <= MemoryOperand::payload_mask) {
    offset += n.a;
    Node base;
    base.op = pseudo_frame_base;
    base.type = uint8_t(address_);
    address = intern(base);
  }
  if (offset > MemoryOperand::payload_mask) {
    address = address_add(address, int64_t(offset));
    offset = 0;
  }
  return MemoryOperand::pack(MemoryOperand::inline_offset, align_log2, uint32_t(offset));
}

NodeId Selector::load(Op op, NodeId address, uint64_t offset, unsigned align_log2, bool effect, NodeId symbol) {
  Node n;
  n.aux = memory_word(address, offset, align_log2, symbol);
  n.op = uint16_t(op);
  switch (op) {
    case Op::f32_load: n.type = uint8_t(ValueType::f32); break;
    case Op::f64_load: n.type = uint8_t(ValueType::f64); break;
    case Op::i64_load: case Op::i64_load8_s: case Op::i64_load8_u: case Op::i64_load16_s: case Op::i64_load16_u:
    case Op::i64_load32_s: case Op::i64_load32_u: n.type = uint8_t(ValueType::i64); break;
    default: n.type = uint8_t(ValueType::i32); break;
  }
  n.effect = effect ? effect_write : effect_read;
  n.a = address;
  n.operands = 1;
  set_bits(n);
  return append(n);
}

NodeId Selector::load_typed(ValueType t, NodeId address, uint64_t offset, unsigned align_log2, bool effect) {
  unsigned bits = t == ValueType::i64 || t == ValueType::f64 ? 64 : 32;
  return load(load_op(t, bits, false), address, offset, std::min(align_log2, natural_align(bits)), effect);
}

void Selector::store(Op op, NodeId address, uint64_t offset, unsigned align_log2, NodeId value, NodeId symbol) {
  Node n;
  n.aux = memory_word(address, offset, align_log2, symbol);
  n.op = uint16_t(op);
  n.effect = effect_write;
  n.a = address;
  n.b = value;
  n.operands = 2;
  append(n);
}

NodeId Selector::load_guard() {
  Node n;
  n.op = pseudo_data_address;
  n.type = uint8_t(address_);
  n.a = mir_.reference(mir::ReferenceKind::direct, context_->stack_guard);
  return load_typed(address_, intern(n), 0, 3, true);
}

void Selector::set_canary() {
  NodeId guard = load_guard();
  store(wasm64_ ? Op::i64_store : Op::i32_store, frame_address(canary_), 0, wasm64_ ? 3 : 2, guard);
}

void Selector::check_canary() {
  NodeId guard = load_guard(), canary = load_typed(address_, frame_address(canary_), 0, 3, true);
  CallPlan plan;
  plan.direct = context_->runtime[unsigned(air::RuntimeFunction::stack_chk_fail)];
  if (auto made = make_signature(*types_, air::RuntimeFunction::stack_chk_fail, other_signature_); !made.ok())
    return unsupported(made.error().message);
  plan.target = &other_signature_;
  Node n;
  n.op = pseudo_stack_check;
  n.effect = effect_write;
  n.operands = 1;
  n.a = binary(wasm64_ ? Op::i64_ne : Op::i32_ne, guard, canary);
  n.aux = call_reference(plan);
  append(n);
  calls_ = true;
}

// n bytes from one place to another, all read before any is written. Few bytes only.
void Selector::copy_bytes(NodeId to, NodeId from, uint64_t n, unsigned to_align, unsigned from_align, bool effect) {
  struct Piece {
    NodeId value;
    uint64_t at;
    Op store;
    unsigned bytes_log2;
  } pieces[16];
  unsigned count = 0;
  for (uint64_t at = 0; at < n && count < 16;) {
    uint64_t left = n - at;
    unsigned log2 = left >= 8 ? 3 : left >= 4 ? 2 : left >= 2 ? 1 : 0;
    // An overlapping last piece instead of two small ones.
    if (left > (1u << log2) && left < 8 && n >= 8) {
      log2 = 3;
      at = n - 8;
    } else if (left == 3 && n >= 4) {
      log2 = 2;
      at = n - 4;
    }
    static constexpr Op loads[] = {Op::i32_load8_u, Op::i32_load16_u, Op::i32_load, Op::i64_load};
    static constexpr Op stores[] = {Op::i32_store8, Op::i32_store16, Op::i32_store, Op::i64_store};
    unsigned known = at ? std::min(from_align, unsigned(std::countr_zero(at))) : from_align;
    pieces[count++] = {load(loads[log2], from, at, std::min(known, log2), effect), at, stores[log2], log2};
    at += uint64_t{1} << log2;
  }
  for (unsigned i = 0; i < count; i++) {
    const Piece& p = pieces[i];
    unsigned known = p.at ? std::min(to_align, unsigned(std::countr_zero(p.at))) : to_align;
    store(p.store, to, p.at, std::min(known, p.bytes_log2), p.value);
  }
}

NodeId Selector::call_node(Op op, uint32_t aux, std::span<const NodeId> operands, uint8_t result) {
  Node n;
  n.op = uint16_t(op);
  n.type = result;
  n.effect = effect_write;
  n.aux = aux;
  n.list = 1;
  n.a = uint32_t(node_lists_.size());
  n.b = uint32_t(operands.size());
  node_lists_.insert(node_lists_.end(), operands.begin(), operands.end());
  set_bits(n);
  if (op == Op::call || op == Op::call_indirect) calls_ = true;
  return append(n);
}

void Selector::call_memory(air::RuntimeFunction f, NodeId a, NodeId b, NodeId n) {
  NodeId operands[] = {a, b, n};
  CallPlan plan;
  plan.direct = context_->runtime[unsigned(f)];
  if (auto made = make_signature(*types_, f, other_signature_); !made.ok()) return unsupported(made.error().message);
  plan.target = &other_signature_;
  call_node(Op::call, call_reference(plan), operands, uint8_t(address_));
}

void Selector::lower_block_move(const air::Inst& inst) {
  NodeId to = node_of(inst.va()), length = node_of(inst.vc());
  unsigned to_align = Flags::align_log2(inst.aux);
  bool is_volatile = Flags::is_volatile(inst.aux);
  if (!wasm64_) length = wrap(length);
  else length = zext_to(length, bits_of(fn_->values[inst.c].type), ValueType::i64);
  int64_t n = 0;
  bool known = constant(length, n);
  if (known && n == 0) return;
  if (inst.op == AirOp::memset) {
    NodeId byte = node_of(inst.vb());
    int64_t value = 0;
    bool zero = constant(byte, value) && (value & 0xff) == 0;
    bool constant_byte = constant(byte, value);
    if (known && n > 0 && ((zero && n <= 16) || (constant_byte && n <= 4) || n == 1)) {
      for (int64_t at = 0; at < n;) {
        int64_t left = n - at;
        unsigned log2 = left >= 8 ? 3 : left >= 4 ? 2 : left >= 2 ? 1 : 0;
        if (left > (1 << log2) && left < 8 && n >= 8 && zero) {
          log2 = 3;
          at = n - 8;
        }
        static constexpr Op stores[] = {Op::i32_store8, Op::i32_store16, Op::i32_store, Op::i64_store};
        NodeId v = byte;
        if (constant_byte) {
          uint64_t pattern = (uint64_t(value) & 0xff) * 0x0101010101010101ull;
          if (log2 == 3) v = i64c(int64_t(pattern));
          else v = i32c(int32_t(sign_extend(pattern, 8u << log2)));
        }
        unsigned align = at ? std::min(to_align, unsigned(std::countr_zero(uint64_t(at)))) : to_align;
        store(stores[log2], to, uint64_t(at), std::min(align, log2), v);
        at += int64_t{1} << log2;
      }
      return;
    }
    NodeId filled = byte;  // memory.fill and memset take the low byte
    if (has(Feature::bulk_memory_opt)) {
      Node f;
      f.op = uint16_t(Op::memory_fill);
      f.effect = effect_write;
      f.a = to;
      f.b = filled;
      f.c = length;
      f.operands = 3;
      append(f);
      return;
    }
    return call_memory(air::RuntimeFunction::memset, to, filled, length);
  }
  NodeId from = node_of(inst.vb());
  // Two pieces are as short as the call.
  if (known && n > 0 && (n <= 8 || n == 9 || n == 10 || n == 12 || (n >= 9 && n <= 16)))
    return copy_bytes(to, from, uint64_t(n), to_align, 0, is_volatile);
  if (has(Feature::bulk_memory_opt)) {
    Node c;
    c.op = uint16_t(Op::memory_copy);
    c.effect = effect_write;
    c.a = to;
    c.b = from;
    c.c = length;
    c.operands = 3;
    append(c);
    return;
  }
  call_memory(inst.op == AirOp::memcpy ? air::RuntimeFunction::memcpy : air::RuntimeFunction::memmove, to, from,
              length);
}

// The index of a ptr_add in bytes. A constant that is added to it goes into `behind`, in bytes too, so that accesses at
// different distances from one index share what comes before.
NodeId Selector::scaled(const air::Inst& ptr_add, int64_t scale, int64_t& behind) {
  NodeId i = node_of(ptr_add.vb());
  const Node& n = nodes_[i];
  int64_t k = 0;
  bool sum = n.op == uint16_t(wasm64_ ? Op::i64_add : Op::i32_add),
       difference = n.op == uint16_t(wasm64_ ? Op::i64_sub : Op::i32_sub);
  // Or of bits that are zero is a sum.
  int64_t shift = 0;
  const Node& left = nodes_[n.operands > 1 ? n.a : i];
  if (n.op == uint16_t(Op::i32_or) && constant(n.b, k) && left.op == uint16_t(Op::i32_shl) && constant(left.b, shift))
    sum = k >= 0 && k < int64_t{1} << (shift & 31);
  behind = 0;
  if ((sum || difference) && value_uses_[ptr_add.b] == 1 && constant(n.b, k)) {
    behind = int64_t((difference ? 0 - uint64_t(k) : uint64_t(k)) * uint64_t(scale));
    i = n.a;
  }
  if (scale == 1) return i;
  return binary(wasm64_ ? Op::i64_mul : Op::i32_mul, i, int_const(address_, wasm64_ ? scale : int32_t(scale)));
}

// Base and constant offset of an address; what the offsets are taken from must not wrap.
Selector::Place Selector::resolve(air::ValueId v) {
  Place place;
  const Op add = wasm64_ ? Op::i64_add : Op::i32_add;
  for (unsigned steps = 0; steps < 64; steps++) {
    const air::Value& x = fn_->values[v.value];
    if (x.kind() != air::ValueKind::Inst) break;
    const air::Inst& def = fn_->insts[x.index()];
    if (def.op != AirOp::ptr_add) break;
    air::PtrAddParts parts = air::ptr_add_parts(*fn_, def);
    if (!(def.flags & air::flags::no_unsigned_wrap) || parts.offset < 0 || parts.offset > (1 << 24)) break;
    if (place.offset + uint64_t(parts.offset) > (1 << 25)) break;
    if (def.b != ~0u) {
      // base + index * scale, once a block: folded where the sum's other part is not needed elsewhere.
      const BlockInfo& here = blocks_[current_block_];
      const air::Block& block = fn_->blocks[here.air];
      if (x.index() < block.first_inst || x.index() >= block.first_inst + block.inst_count) break;
      NodeId base = node_of(def.va());
      int64_t behind = 0;
      const air::Constant* c = fn_->constant(def.va());
      if (c && c->kind == air::ConstantKind::Symbol && c->bits == 0 &&
          context_->module->symbols[c->symbol].kind != air::SymbolKind::alias &&
          nodes_[base].op == pseudo_data_address &&
          mir_.draft().references[nodes_[base].a].kind == mir::ReferenceKind::direct) {
        NodeId i = node_of(def.vb());
        if (parts.scale != 1)
          i = binary(wasm64_ ? Op::i64_mul : Op::i32_mul, i,
                     int_const(address_, wasm64_ ? parts.scale : int32_t(parts.scale)));
        return {i, place.offset + uint64_t(parts.offset), base};
      }
      const air::Value& b = fn_->values[def.a];
      if (b.kind() == air::ValueKind::Inst && fn_->insts[b.index()].op == AirOp::slot_addr &&
          nodes_[base].op == pseudo_frame_address) {
        NodeId i = node_of(def.vb());
        if (parts.scale != 1)
          i = binary(wasm64_ ? Op::i64_mul : Op::i32_mul, i,
                     int_const(address_, wasm64_ ? parts.scale : int32_t(parts.scale)));
        uint64_t offset = place.offset + uint64_t(parts.offset) + nodes_[base].a;
        Node frame;
        frame.op = pseudo_frame_base;
        frame.type = uint8_t(address_);
        return {binary(add, intern(frame), i), offset};
      }
      if (parts.offset == 0) break;
      NodeId i = scaled(def, parts.scale, behind);
      return {address_add(binary(add, base, i), wasm64_ ? behind : int32_t(behind)),
              place.offset + uint64_t(parts.offset)};
    }
    place.offset += uint64_t(parts.offset);
    v = def.va();
  }
  place.base = node_of(v);
  return place;
}

void Selector::lower_memory(uint32_t index) {
  const air::Inst& inst = fn_->insts[index];
  switch (inst.op) {
    case AirOp::ptr_add: {
      air::PtrAddParts parts = air::ptr_add_parts(*fn_, inst);
      NodeId r = node_of(inst.va());
      int64_t behind = 0;
      if (inst.b != ~0u) r = binary(wasm64_ ? Op::i64_add : Op::i32_add, r, scaled(inst, parts.scale, behind));
      behind = int64_t(uint64_t(behind) + uint64_t(parts.offset));
      return define(inst, address_add(r, wasm64_ ? behind : int32_t(behind)));
    }
    case AirOp::load: {
      Place place = resolve(inst.va());
      unsigned bits = bits_of(inst.type);
      ValueType t = value_type(*types_, inst.type);
      bool is_float = t == ValueType::f32 || t == ValueType::f64;
      if (is_float) bits = t == ValueType::f64 ? 64 : 32;
      bool is_signed = value_wants_[inst.result.value] == 1;
      bool ordered = Flags::is_volatile(inst.aux) || Flags::ordering(inst.aux) != air::AtomicOrdering::not_atomic;
      unsigned align = std::min(Flags::align_log2(inst.aux), natural_align(bits));
      if (is_atomic(Flags::ordering(inst.aux))) return lower_atomic(inst);
      Op op = load_op(t, bits, is_signed);
      // Extended to 64 bits by its only user: one instruction.
      if (t == ValueType::i32 && bits >= 8 && value_uses_[inst.result.value] == 1 && inst.type != T::ptr) {
        const air::Inst& user = fn_->insts[value_user_[inst.result.value]];
        if ((user.op == AirOp::zext || user.op == AirOp::sext) && user.type == T::i64)
          op = load_op(ValueType::i64, bits, user.op == AirOp::sext);
      }
      NodeId r = load(op, place.base, place.offset, align, ordered, place.symbol);
      if (inst.type == T::i1) nodes_[r].zbits = 1, nodes_[r].sbits = 2;
      return define(inst, r);
    }
    case AirOp::store: {
      air::TypeId type = fn_->values[inst.b].type;
      if (is_atomic(Flags::ordering(inst.aux))) return lower_atomic(inst);
      unsigned bits = bits_of(type);
      ValueType t = value_type(*types_, type);
      NodeId value = node_of(inst.vb());
      // Bits that are not stored need no care.
      for (;;) {
        const Node& v = nodes_[value];
        int64_t k = 0;
        if (t != ValueType::i32) break;
        uint64_t mask = bits >= 32 ? 0xffffffffu : (1u << std::max(bits, 8u)) - 1;
        if (bits == 1) break;
        if (v.op == uint16_t(Op::i32_and) && constant(v.b, k) && (uint64_t(k) & mask) == mask) value = v.a;
        else if ((v.op == uint16_t(Op::i32_extend8_s) && bits <= 8) ||
                 (v.op == uint16_t(Op::i32_extend16_s) && bits <= 16))
          value = v.a;
        else break;
      }
      Op op;
      if (t == ValueType::f32) op = Op::f32_store;
      else if (t == ValueType::f64) op = Op::f64_store;
      else if (t == ValueType::i64) op = Op::i64_store;
      else op = bits <= 8 ? Op::i32_store8 : bits == 16 ? Op::i32_store16 : Op::i32_store;
      if (nodes_[value].op == uint16_t(Op::i32_wrap_i64) && value_uses_[inst.b] == 1) {
        op = bits <= 8 ? Op::i64_store8 : bits == 16 ? Op::i64_store16 : Op::i64_store32;
        value = nodes_[value].a;
      }
      unsigned width = t == ValueType::f64 ? 64 : t == ValueType::f32 ? 32 : bits;
      Place place = resolve(inst.va());
      return store(op, place.base, place.offset, std::min(Flags::align_log2(inst.aux), natural_align(width)), value,
                   place.symbol);
    }
    case AirOp::memcpy: case AirOp::memmove: case AirOp::memset: return lower_block_move(inst);
    case AirOp::alloca: {
      NodeId size = node_of(inst.va());
      size = wasm64_ ? zext_to(size, 64, ValueType::i64) : wrap(size);
      Op add = wasm64_ ? Op::i64_add : Op::i32_add, sub = wasm64_ ? Op::i64_sub : Op::i32_sub,
         and_ = wasm64_ ? Op::i64_and : Op::i32_and;
      unsigned align = std::max(4u, std::min(unsigned(inst.aux), 30u));
      NodeId rounded = binary(and_, binary(add, size, int_const(address_, 15)), int_const(address_, -16));
      uint32_t sp = mir_.reference(mir::ReferenceKind::wasm_global, context_->stack_pointer);
      Node get;
      get.op = uint16_t(Op::global_get);
      get.type = uint8_t(address_);
      get.effect = effect_write;
      get.aux = sp;
      get.zbits = get.sbits = wasm64_ ? 64 : 32;
      NodeId r = binary(sub, append(get), rounded);
      if (align > 4) r = binary(and_, r, int_const(address_, -(int64_t{1} << align)));
      Node set;
      set.op = uint16_t(Op::global_set);
      set.effect = effect_write;
      set.aux = sp;
      set.a = r;
      set.operands = 1;
      append(set);
      moves_stack_ = uses_frame_ = true;
      return define(inst, r);
    }
    case AirOp::stack_save: case AirOp::stack_restore: {
      Node n;
      bool save = inst.op == AirOp::stack_save;
      n.op = uint16_t(save ? Op::global_get : Op::global_set);
      n.effect = effect_write;
      n.aux = mir_.reference(mir::ReferenceKind::wasm_global, context_->stack_pointer);
      if (save) {
        n.type = uint8_t(address_);
        n.zbits = n.sbits = wasm64_ ? 64 : 32;
        return define(inst, append(n));
      }
      n.a = node_of(inst.va());
      n.operands = 1;
      moves_stack_ = uses_frame_ = true;
      append(n);
      return;
    }
    case AirOp::va_start: {
      if (vararg_node_ == no_node) return unsupported("va_start in a function without variadic arguments");
      return store(wasm64_ ? Op::i64_store : Op::i32_store, node_of(inst.va()), 0, wasm64_ ? 3 : 2, vararg_node_);
    }
    default: return lower_atomic(inst);
  }
}

// Whether an access of this ordering takes an atomic instruction. Without the feature there is one thread, and none
// does.
bool Selector::is_atomic(air::AtomicOrdering ordering) {
  if (ordering == air::AtomicOrdering::not_atomic) return false;
  if (!has(Feature::atomics)) mir_.draft().flags |= function_flags::one_thread;
  return has(Feature::atomics) && ordering > air::AtomicOrdering::unordered;
}

void Selector::lower_atomic(const air::Inst& inst) {
  if (!has(Feature::atomics)) mir_.draft().flags |= function_flags::one_thread;
  air::TypeId type = inst.op == AirOp::store || inst.op == AirOp::atomic_rmw || inst.op == AirOp::cmpxchg
                         ? fn_->values[inst.b].type
                         : inst.type;
  unsigned bits = bits_of(type);
  bool wide = bits > 32;
  ValueType t = value_type(*types_, type);
  unsigned align = natural_align(bits);
  if (inst.op == AirOp::fence) {
    if (!has(Feature::atomics)) return;
    Node n;
    n.op = uint16_t(Op::atomic_fence);
    n.effect = effect_write;
    append(n);
    return;
  }
  if (t == ValueType::f32 || t == ValueType::f64 || bits < 8) return unsupported("an atomic access of this type");
  // [size][operation]
  auto pick = [&](Op a8, Op a16, Op a32, Op a64) { return bits == 8 ? a8 : bits == 16 ? a16 : bits == 32 ? a32 : a64; };
  NodeId address = node_of(inst.va());
  auto narrow = [&](NodeId n) { return bits < 32 ? zext(n, bits) : n; };
  if (has(Feature::atomics)) {
    Node n;
    n.effect = effect_write;
    n.a = address;
    n.aux = align << 18;
    n.zbits = n.sbits = wide ? 64 : 32;
    if (inst.op == AirOp::load) {
      n.op = uint16_t(pick(Op::i32_atomic_load8_u, Op::i32_atomic_load16_u, Op::i32_atomic_load, Op::i64_atomic_load));
      n.operands = 1;
    } else if (inst.op == AirOp::store) {
      n.op = uint16_t(pick(Op::i32_atomic_store8, Op::i32_atomic_store16, Op::i32_atomic_store, Op::i64_atomic_store));
      n.b = node_of(inst.vb());
      n.operands = 2;
      append(n);
      return;
    } else if (inst.op == AirOp::cmpxchg) {
      n.op = uint16_t(pick(Op::i32_atomic_rmw8_cmpxchg_u, Op::i32_atomic_rmw16_cmpxchg_u, Op::i32_atomic_rmw_cmpxchg,
                           Op::i64_atomic_rmw_cmpxchg));
      n.b = narrow(node_of(inst.vb()));
      n.c = node_of(inst.vc());
      n.operands = 3;
    } else {
      switch (Flags::rmw(inst.aux)) {
#define LODE_RMW(name, suffix)                                                                \
  case air::RmwOp::name:                                                                      \
    n.op = uint16_t(pick(Op::i32_atomic_rmw8_##suffix##_u, Op::i32_atomic_rmw16_##suffix##_u, \
                         Op::i32_atomic_rmw_##suffix, Op::i64_atomic_rmw_##suffix));          \
    break;
        LODE_RMW(xchg, xchg)
        LODE_RMW(add, add)
        LODE_RMW(sub, sub)
        LODE_RMW(and_, and)
        LODE_RMW(or_, or)
        LODE_RMW(xor_, xor)
#undef LODE_RMW
        default: return unsupported("an atomic operation of this kind");
      }
      n.b = node_of(inst.vb());
      n.operands = 2;
    }
    n.type = uint8_t(t);
    if (bits < 32) n.zbits = uint8_t(bits), n.sbits = uint8_t(bits + 1);
    NodeId old = append(n);
    if (inst.op == AirOp::cmpxchg)
      second_node_[inst.result.value] = binary(wide ? Op::i64_eq : Op::i32_eq, old, nodes_[old].b);
    return define(inst, old);
  }
  Op store_op = wide ? Op::i64_store : bits == 8 ? Op::i32_store8 : bits == 16 ? Op::i32_store16 : Op::i32_store;
  NodeId old = load(load_op(t, bits, false), address, 0, align, true);
  define(inst, old);
  if (inst.op == AirOp::cmpxchg) {
    NodeId expected = narrow(node_of(inst.vb()));
    NodeId same = binary(wide ? Op::i64_eq : Op::i32_eq, old, expected);
    store(store_op, address, 0, align, select(same, node_of(inst.vc()), old));
    second_node_[inst.result.value] = same;
    return;
  }
  NodeId operand = node_of(inst.vb()), result = no_node;
  auto op2 = [&](Op a, Op b) { return wide ? b : a; };
  switch (Flags::rmw(inst.aux)) {
    case air::RmwOp::xchg: result = operand; break;
    case air::RmwOp::add: result = binary(op2(Op::i32_add, Op::i64_add), old, operand); break;
    case air::RmwOp::sub: result = binary(op2(Op::i32_sub, Op::i64_sub), old, operand); break;
    case air::RmwOp::and_: result = binary(op2(Op::i32_and, Op::i64_and), old, operand); break;
    case air::RmwOp::or_: result = binary(op2(Op::i32_or, Op::i64_or), old, operand); break;
    case air::RmwOp::xor_: result = binary(op2(Op::i32_xor, Op::i64_xor), old, operand); break;
    case air::RmwOp::nand:
      result =
          binary(op2(Op::i32_xor, Op::i64_xor), binary(op2(Op::i32_and, Op::i64_and), old, operand), int_const(t, -1));
      break;
    case air::RmwOp::smax: case air::RmwOp::smin: case air::RmwOp::umax: case air::RmwOp::umin: {
      air::RmwOp op = Flags::rmw(inst.aux);
      bool is_signed = op == air::RmwOp::smax || op == air::RmwOp::smin,
           largest = op == air::RmwOp::smax || op == air::RmwOp::umax;
      NodeId x = is_signed ? sext(old, bits) : narrow(old), y = is_signed ? sext(operand, bits) : narrow(operand);
      Op compare = is_signed ? (largest ? op2(Op::i32_gt_s, Op::i64_gt_s) : op2(Op::i32_lt_s, Op::i64_lt_s))
                             : (largest ? op2(Op::i32_gt_u, Op::i64_gt_u) : op2(Op::i32_lt_u, Op::i64_lt_u));
      result = select(binary(compare, x, y), x, y);
      break;
    }
    default: return unsupported("an atomic operation of this kind");
  }
  store(store_op, address, 0, align, result);
}

}  // namespace lode::wasm
