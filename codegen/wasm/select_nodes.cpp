// AIR to nodes, the driver: order of blocks, uses, frame, parameters, constants; and the small constructors that fold as they build.
// Instructions are in select_ops.cpp, calls and memory in select_memory.cpp.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

namespace {
constexpr uint32_t none = ~0u;

bool is_i64(uint8_t t) { return t == uint8_t(ValueType::i64); }
unsigned width(uint8_t t) { return is_i64(t) || t == uint8_t(ValueType::f64) ? 64 : 32; }

uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9e3779b97f4a7c15ull;
  return h ^ h >> 32;
}
uint64_t hash_node(const Node& n) {
  return mix(mix(mix(n.op | uint64_t(n.type) << 16, n.a | uint64_t(n.b) << 32), n.c | uint64_t(n.aux) << 32), 7);
}
bool same_node(const Node& x, const Node& y) {
  return x.op == y.op && x.a == y.a && x.b == y.b && x.c == y.c && x.aux == y.aux && x.type == y.type;
}
unsigned sleb_size(int64_t v) {
  uint8_t buffer[10];
  return write_sleb(buffer, v);
}
}  // namespace

// ---- constructors ----------------------------------------------------------------------------------------------------------

NodeId Selector::append(Node n) {
  nodes_.push_back(n);
  node_block_.push_back(current_block_);
  return NodeId(nodes_.size() - 1);
}

NodeId Selector::pure(Node n) {
  uint32_t first = blocks_[current_block_].first_node;
  uint32_t at = uint32_t(hash_node(n)) & cse_mask_;
  for (unsigned probes = 0; probes < 16; probes++, at = (at + 1) & cse_mask_) {
    uint32_t e = cse_[at];
    if (e == 0 || e - 1 < first || e - 1 >= nodes_.size()) break;  // left by another block
    if (same_node(nodes_[e - 1], n)) return e - 1;
  }
  set_bits(n);
  NodeId id = append(n);
  cse_[at] = id + 1;
  return id;
}

NodeId Selector::intern(Node n) {
  if (interned_count_ * 2 >= interned_.size()) {
    std::vector<uint32_t> bigger(std::max<size_t>(256, interned_.size() * 4), 0);
    for (uint32_t e : interned_) {
      if (!e) continue;
      size_t at = hash_node(nodes_[e - 1]) & (bigger.size() - 1);
      while (bigger[at]) at = (at + 1) & (bigger.size() - 1);
      bigger[at] = e;
    }
    interned_ = std::move(bigger);
  }
  size_t at = hash_node(n) & (interned_.size() - 1);
  for (; interned_[at]; at = (at + 1) & (interned_.size() - 1))
    if (same_node(nodes_[interned_[at] - 1], n)) return interned_[at] - 1;
  nodes_.push_back(n);
  node_block_.push_back(none);
  interned_[at] = uint32_t(nodes_.size());
  interned_count_++;
  return NodeId(nodes_.size() - 1);
}

NodeId Selector::i32c(int32_t v) {
  Node n;
  n.op = uint16_t(Op::i32_const);
  n.type = uint8_t(ValueType::i32);
  n.a = uint32_t(v);
  n.zbits = uint8_t(std::bit_width(uint32_t(v)));
  n.sbits = uint8_t(std::bit_width(uint32_t(v < 0 ? ~v : v)) + 1);
  return intern(n);
}
NodeId Selector::i64c(int64_t v) {
  Node n;
  n.op = uint16_t(Op::i64_const);
  n.type = uint8_t(ValueType::i64);
  n.a = uint32_t(v);
  n.b = uint32_t(uint64_t(v) >> 32);
  n.zbits = uint8_t(std::bit_width(uint64_t(v)));
  n.sbits = uint8_t(std::bit_width(uint64_t(v < 0 ? ~v : v)) + 1);
  return intern(n);
}
NodeId Selector::f32c(uint32_t bits) {
  Node n;
  n.op = uint16_t(Op::f32_const);
  n.type = uint8_t(ValueType::f32);
  n.a = bits;
  return intern(n);
}
NodeId Selector::f64c(uint64_t bits) {
  Node n;
  n.op = uint16_t(Op::f64_const);
  n.type = uint8_t(ValueType::f64);
  n.a = uint32_t(bits);
  n.b = uint32_t(bits >> 32);
  return intern(n);
}

bool Selector::constant(NodeId id, int64_t& v) const {
  const Node& n = nodes_[id];
  if (n.op == uint16_t(Op::i32_const)) {
    v = int32_t(n.a);
    return true;
  }
  if (n.op == uint16_t(Op::i64_const)) {
    v = int64_t(n.a | uint64_t(n.b) << 32);
    return true;
  }
  return false;
}

bool Selector::is_constant(NodeId id) const { return node_block_[id] == none; }

// What is known about the bits of a node's value, from its operands.
void Selector::set_bits(Node& n) {
  unsigned w = width(n.type);
  unsigned zb = w, sb = w;
  auto za = [&] { return unsigned(nodes_[n.a].zbits); };
  auto zb2 = [&] { return unsigned(nodes_[n.b].zbits); };
  auto sa = [&] { return unsigned(nodes_[n.a].sbits); };
  auto sb2 = [&] { return unsigned(nodes_[n.b].sbits); };
  int64_t k = 0;
  switch (Op(n.op)) {
    case Op::i32_const: case Op::i64_const: return;
    case Op::i32_load8_u: case Op::i64_load8_u: zb = 8; break;
    case Op::i32_load16_u: case Op::i64_load16_u: zb = 16; break;
    case Op::i64_load32_u: zb = 32; break;
    case Op::i32_load8_s: case Op::i64_load8_s: sb = 8; break;
    case Op::i32_load16_s: case Op::i64_load16_s: sb = 16; break;
    case Op::i64_load32_s: sb = 32; break;
    case Op::i32_eqz: case Op::i32_eq: case Op::i32_ne: case Op::i32_lt_s: case Op::i32_lt_u: case Op::i32_gt_s: case Op::i32_gt_u:
    case Op::i32_le_s: case Op::i32_le_u: case Op::i32_ge_s: case Op::i32_ge_u: case Op::i64_eqz: case Op::i64_eq: case Op::i64_ne:
    case Op::i64_lt_s: case Op::i64_lt_u: case Op::i64_gt_s: case Op::i64_gt_u: case Op::i64_le_s: case Op::i64_le_u:
    case Op::i64_ge_s: case Op::i64_ge_u: case Op::f32_eq: case Op::f32_ne: case Op::f32_lt: case Op::f32_gt: case Op::f32_le:
    case Op::f32_ge: case Op::f64_eq: case Op::f64_ne: case Op::f64_lt: case Op::f64_gt: case Op::f64_le: case Op::f64_ge:
      zb = 1;
      break;
    case Op::i32_and: case Op::i64_and:
      zb = std::min(za(), zb2());
      sb = std::max(sa(), sb2());
      break;
    case Op::i32_or: case Op::i64_or: case Op::i32_xor: case Op::i64_xor:
      zb = std::max(za(), zb2());
      sb = std::max(sa(), sb2());
      break;
    case Op::i32_add: case Op::i64_add:
      zb = std::min(w, std::max(za(), zb2()) + 1);
      sb = std::min(w, std::max(sa(), sb2()) + 1);
      break;
    case Op::i32_sub: case Op::i64_sub: sb = std::min(w, std::max(sa(), sb2()) + 1); break;
    case Op::i32_mul: case Op::i64_mul: zb = std::min(w, za() + zb2()); break;
    case Op::i32_shr_u: case Op::i64_shr_u:
      zb = za();
      if (constant(n.b, k)) zb = za() > unsigned(k & (w - 1)) ? za() - unsigned(k & (w - 1)) : 0;
      break;
    case Op::i32_shr_s: case Op::i64_shr_s:
      sb = sa();
      if (constant(n.b, k)) sb = sa() > unsigned(k & (w - 1)) ? sa() - unsigned(k & (w - 1)) : 1;
      if (za() < w) zb = za();
      break;
    case Op::i32_shl: case Op::i64_shl:
      if (constant(n.b, k)) {
        zb = std::min(w, za() + unsigned(k & (w - 1)));
        sb = std::min(w, sa() + unsigned(k & (w - 1)));
      }
      break;
    case Op::i32_div_u: case Op::i64_div_u: zb = za(); break;
    case Op::i32_rem_u: case Op::i64_rem_u: zb = std::min(za(), zb2()); break;
    case Op::i32_rem_s: case Op::i64_rem_s: sb = sa(); break;
    case Op::i32_clz: case Op::i32_ctz: case Op::i32_popcnt: zb = 6; break;
    case Op::i64_clz: case Op::i64_ctz: case Op::i64_popcnt: zb = 7; break;
    case Op::i32_extend8_s: case Op::i64_extend8_s: sb = 8; break;
    case Op::i32_extend16_s: case Op::i64_extend16_s: sb = 16; break;
    case Op::i64_extend32_s: sb = 32; break;
    case Op::i64_extend_i32_u: zb = std::min(za(), 32u); break;
    case Op::i64_extend_i32_s:
      sb = std::min(sa(), 32u);
      if (za() < 32) zb = za();
      break;
    case Op::i32_wrap_i64:
      zb = std::min(za(), 32u);
      sb = std::min(sa(), 32u);
      break;
    case Op::select:
      if (n.type == uint8_t(ValueType::i32) || is_i64(n.type)) {
        zb = std::max(za(), zb2());
        sb = std::max(sa(), sb2());
      }
      break;
    default: break;
  }
  n.zbits = uint8_t(std::min(zb, w));
  n.sbits = uint8_t(std::min({sb, w, zb + 1}));
}

NodeId Selector::fold(Op op, int64_t a, int64_t b, bool& done) {
  done = true;
  bool wide = false;
  uint64_t x = uint64_t(a), y = uint64_t(b), r = 0;
  switch (op) {
    case Op::i64_add: wide = true; [[fallthrough]];
    case Op::i32_add: r = x + y; break;
    case Op::i64_sub: wide = true; [[fallthrough]];
    case Op::i32_sub: r = x - y; break;
    case Op::i64_mul: wide = true; [[fallthrough]];
    case Op::i32_mul: r = x * y; break;
    case Op::i64_and: wide = true; [[fallthrough]];
    case Op::i32_and: r = x & y; break;
    case Op::i64_or: wide = true; [[fallthrough]];
    case Op::i32_or: r = x | y; break;
    case Op::i64_xor: wide = true; [[fallthrough]];
    case Op::i32_xor: r = x ^ y; break;
    case Op::i64_shl: wide = true; r = x << (y & 63); break;
    case Op::i32_shl: r = x << (y & 31); break;
    case Op::i64_shr_u: wide = true; r = x >> (y & 63); break;
    case Op::i32_shr_u: r = uint32_t(x) >> (y & 31); break;
    case Op::i64_shr_s: wide = true; r = uint64_t(a >> (y & 63)); break;
    case Op::i32_shr_s: r = uint64_t(int64_t(int32_t(a) >> (y & 31))); break;
    case Op::i32_eq: case Op::i64_eq: r = a == b; break;
    case Op::i32_ne: case Op::i64_ne: r = a != b; break;
    case Op::i32_lt_s: case Op::i64_lt_s: r = a < b; break;
    case Op::i32_gt_s: case Op::i64_gt_s: r = a > b; break;
    case Op::i32_le_s: case Op::i64_le_s: r = a <= b; break;
    case Op::i32_ge_s: case Op::i64_ge_s: r = a >= b; break;
    // Sign extension from 32 bits keeps the unsigned order.
    case Op::i32_lt_u: case Op::i64_lt_u: r = x < y; break;
    case Op::i32_gt_u: case Op::i64_gt_u: r = x > y; break;
    case Op::i32_le_u: case Op::i64_le_u: r = x <= y; break;
    case Op::i32_ge_u: case Op::i64_ge_u: r = x >= y; break;
    default: done = false; return no_node;
  }
  return wide ? i64c(int64_t(r)) : i32c(int32_t(uint32_t(r)));
}

namespace {
bool commutes(Op op) {
  switch (op) {
    case Op::i32_add: case Op::i64_add: case Op::i32_mul: case Op::i64_mul: case Op::i32_and: case Op::i64_and: case Op::i32_or:
    case Op::i64_or: case Op::i32_xor: case Op::i64_xor: case Op::i32_eq: case Op::i64_eq: case Op::i32_ne: case Op::i64_ne:
      return true;
    default: return false;
  }
}
// The comparison with operands exchanged; the same op when it is none.
Op exchanged(Op op) {
  switch (op) {
    case Op::i32_lt_s: return Op::i32_gt_s;
    case Op::i32_gt_s: return Op::i32_lt_s;
    case Op::i32_le_s: return Op::i32_ge_s;
    case Op::i32_ge_s: return Op::i32_le_s;
    case Op::i32_lt_u: return Op::i32_gt_u;
    case Op::i32_gt_u: return Op::i32_lt_u;
    case Op::i32_le_u: return Op::i32_ge_u;
    case Op::i32_ge_u: return Op::i32_le_u;
    case Op::i64_lt_s: return Op::i64_gt_s;
    case Op::i64_gt_s: return Op::i64_lt_s;
    case Op::i64_le_s: return Op::i64_ge_s;
    case Op::i64_ge_s: return Op::i64_le_s;
    case Op::i64_lt_u: return Op::i64_gt_u;
    case Op::i64_gt_u: return Op::i64_lt_u;
    case Op::i64_le_u: return Op::i64_ge_u;
    case Op::i64_ge_u: return Op::i64_le_u;
    default: return op;
  }
}
bool is_compare(Op op) {
  return (op >= Op::i32_eqz && op <= Op::f64_ge);
}
}  // namespace

NodeId Selector::binary(Op op, NodeId a, NodeId b) {
  int64_t x = 0, k = 0;
  bool cx = constant(a, x), ck = constant(b, k);
  if (cx && ck) {
    bool done;
    NodeId r = fold(op, x, k, done);
    if (done) return r;
  }
  if (cx && !ck && (commutes(op) || exchanged(op) != op)) {
    std::swap(a, b);
    std::swap(x, k);
    std::swap(cx, ck);
    op = exchanged(op);
  }
  const Node left = nodes_[a];  // copies, here and below: nodes that are made move the others
  bool wide = is_i64(left.type);
  int64_t k2 = 0;
  auto inner = [&](Op want) { return left.op == uint16_t(want) && constant(left.b, k2); };
  if (a == b) {
    if (op == Op::i32_and || op == Op::i64_and || op == Op::i32_or || op == Op::i64_or) return a;
  }
  if (ck) {
    switch (op) {
      case Op::i32_sub:
        if (sleb_size(int32_t(0u - uint32_t(k))) <= sleb_size(k)) return binary(Op::i32_add, a, i32c(int32_t(0u - uint32_t(k))));
        break;
      case Op::i64_sub:
        if (sleb_size(int64_t(0u - uint64_t(k))) <= sleb_size(k)) return binary(Op::i64_add, a, i64c(int64_t(0u - uint64_t(k))));
        break;
      case Op::i32_add: case Op::i64_add: {
        if (k == 0) return a;
        if (left.op == pseudo_frame_address || left.op == pseudo_data_address) {
          if (fits_signed(k, 31)) return address_add(a, k);
          break;
        }
        if (inner(op)) {
          NodeId base = left.a;
          return binary(op, base, wide ? i64c(int64_t(uint64_t(k) + uint64_t(k2))) : i32c(int32_t(uint32_t(k) + uint32_t(k2))));
        }
        // Adding 64 takes a byte more than subtracting -64.
        int64_t minus = wide ? int64_t(0u - uint64_t(k)) : int32_t(0u - uint32_t(k));
        if (sleb_size(minus) < sleb_size(k)) {
          op = wide ? Op::i64_sub : Op::i32_sub;
          b = wide ? i64c(minus) : i32c(int32_t(minus));
        }
        break;
      }
      case Op::i32_mul: case Op::i64_mul:
        if (k == 0) return b;
        if (k == 1) return a;
        if (k > 0 && is_power_of_two(uint64_t(k)))
          return binary(wide ? Op::i64_shl : Op::i32_shl, a, int_const(ValueType(left.type), std::countr_zero(uint64_t(k))));
        if (!wide && uint32_t(k) == 0x80000000u) return binary(Op::i32_shl, a, i32c(31));
        break;
      case Op::i32_and: case Op::i64_and: {
        uint64_t mask = wide ? uint64_t(k) : uint32_t(k);
        if (mask == 0) return b;
        if (k == -1) return a;
        if ((mask & (mask + 1)) == 0 && left.zbits <= std::bit_width(mask)) return a;
        unsigned top = unsigned(std::bit_width(mask));
        if ((left.op == uint16_t(Op::i32_extend8_s) || left.op == uint16_t(Op::i64_extend8_s)) && top <= 8) return binary(op, left.a, b);
        if ((left.op == uint16_t(Op::i32_extend16_s) || left.op == uint16_t(Op::i64_extend16_s)) && top <= 16) return binary(op, left.a, b);
        if (inner(op)) {
          NodeId base = left.a;
          return binary(op, base, int_const(ValueType(left.type), k & k2));
        }
        break;
      }
      case Op::i32_or: case Op::i64_or:
        if (k == 0) return a;
        if (k == -1) return b;
        break;
      case Op::i32_xor: case Op::i64_xor:
        if (k == 0) return a;
        if (k == 1 && left.zbits <= 1 && !wide) return eqz(a);
        break;
      case Op::i32_shl: case Op::i32_shr_s: case Op::i32_shr_u: case Op::i64_shl: case Op::i64_shr_s: case Op::i64_shr_u:
        if ((k & (wide ? 63 : 31)) == 0) return a;
        break;
      case Op::i32_eq: case Op::i64_eq:
        if (k == 0) return eqz(a);
        if (k == 1 && left.zbits <= 1 && !wide) return a;
        break;
      case Op::i32_ne: case Op::i64_ne:
        if (k == 0) return left.zbits <= 1 && !wide ? a : eqz(eqz(a));
        if (k == 1 && left.zbits <= 1 && !wide) return eqz(a);
        break;
      case Op::i32_gt_u: case Op::i64_gt_u:
        if (k == 0) return left.zbits <= 1 && !wide ? a : eqz(eqz(a));
        break;
      case Op::i32_lt_u: case Op::i64_lt_u:
        if (k == 1) return eqz(a);
        break;
      case Op::i32_le_u: case Op::i64_le_u:
        if (k == 0) return eqz(a);
        break;
      case Op::i32_ge_u: case Op::i64_ge_u:
        if (k == 1) return eqz(eqz(a));
        break;
      default: break;
    }
    // x < 64 as x <= 63, which is a byte shorter, and its like.
    auto shorter = [&](int64_t other, Op with) {
      if (sleb_size(other) < sleb_size(k)) {
        op = with;
        b = wide ? i64c(other) : i32c(int32_t(other));
      }
    };
    int64_t least = wide ? INT64_MIN : INT32_MIN, most = wide ? INT64_MAX : INT32_MAX;
    switch (op) {
      case Op::i32_lt_s: if (k != least) shorter(k - 1, Op::i32_le_s); break;
      case Op::i32_ge_s: if (k != least) shorter(k - 1, Op::i32_gt_s); break;
      case Op::i32_le_s: if (k != most) shorter(k + 1, Op::i32_lt_s); break;
      case Op::i32_gt_s: if (k != most) shorter(k + 1, Op::i32_ge_s); break;
      case Op::i64_lt_s: if (k != least) shorter(k - 1, Op::i64_le_s); break;
      case Op::i64_ge_s: if (k != least) shorter(k - 1, Op::i64_gt_s); break;
      case Op::i64_le_s: if (k != most) shorter(k + 1, Op::i64_lt_s); break;
      case Op::i64_gt_s: if (k != most) shorter(k + 1, Op::i64_ge_s); break;
      // Unsigned: k - 1 and k + 1 must not pass zero; the signed constant stands for it.
      case Op::i32_lt_u: if (k != 0 && k != least) shorter(k - 1, Op::i32_le_u); break;
      case Op::i32_ge_u: if (k != 0 && k != least) shorter(k - 1, Op::i32_gt_u); break;
      case Op::i32_le_u: if (k != -1 && k != most) shorter(k + 1, Op::i32_lt_u); break;
      case Op::i32_gt_u: if (k != -1 && k != most) shorter(k + 1, Op::i32_ge_u); break;
      case Op::i64_lt_u: if (k != 0 && k != least) shorter(k - 1, Op::i64_le_u); break;
      case Op::i64_ge_u: if (k != 0 && k != least) shorter(k - 1, Op::i64_gt_u); break;
      case Op::i64_le_u: if (k != -1 && k != most) shorter(k + 1, Op::i64_lt_u); break;
      case Op::i64_gt_u: if (k != -1 && k != most) shorter(k + 1, Op::i64_ge_u); break;
      default: break;
    }
  }
  if (!ck && (op == Op::i32_or || op == Op::i64_or))
    if (NodeId whole = combine_loads(a, b, op == Op::i64_or); whole != no_node) return whole;
  Node n;
  n.op = uint16_t(op);
  n.type = is_compare(op) ? uint8_t(ValueType::i32) : nodes_[a].type;
  n.a = a;
  n.b = b;
  n.operands = 2;
  return pure(n);
}

NodeId Selector::unary(Op op, NodeId a) {
  int64_t k = 0;
  if (constant(a, k)) {
    switch (op) {
      case Op::i32_wrap_i64: return i32c(int32_t(k));
      case Op::i64_extend_i32_s: return i64c(k);
      case Op::i64_extend_i32_u: return i64c(int64_t(uint32_t(k)));
      case Op::i32_extend8_s: return i32c(int8_t(k));
      case Op::i32_extend16_s: return i32c(int16_t(k));
      case Op::i64_extend8_s: return i64c(int8_t(k));
      case Op::i64_extend16_s: return i64c(int16_t(k));
      case Op::i64_extend32_s: return i64c(int32_t(k));
      case Op::i32_eqz: case Op::i64_eqz: return i32c(k == 0);
      default: break;
    }
  }
  Node n;
  n.op = uint16_t(op);
  const OpInfo& i = info(op);
  const char* result = i.signature;
  while (*result && *result != ':') result++;
  switch (result[0] ? result[1] : 0) {
    case 'l': n.type = uint8_t(ValueType::i64); break;
    case 'f': n.type = uint8_t(ValueType::f32); break;
    case 'd': n.type = uint8_t(ValueType::f64); break;
    default: n.type = uint8_t(ValueType::i32); break;
  }
  n.a = a;
  n.operands = 1;
  return pure(n);
}

NodeId Selector::eqz(NodeId a) {
  const Node& n = nodes_[a];
  if (n.op == uint16_t(Op::i32_eqz) && nodes_[n.a].zbits <= 1) return n.a;
  return unary(is_i64(n.type) ? Op::i64_eqz : Op::i32_eqz, a);
}

NodeId Selector::truth(NodeId id) {
  for (;;) {
    const Node& n = nodes_[id];
    if (n.op != uint16_t(Op::i32_eqz)) return id;
    const Node& m = nodes_[n.a];
    if (m.op != uint16_t(Op::i32_eqz)) return id;
    id = m.a;
  }
}

NodeId Selector::select(NodeId condition, NodeId yes, NodeId no) {
  int64_t k = 0;
  if (yes == no) return yes;
  if (constant(condition, k)) return k ? yes : no;
  condition = truth(condition);
  if (nodes_[condition].op == uint16_t(Op::i32_eqz)) {
    condition = nodes_[condition].a;
    std::swap(yes, no);
  }
  Node n;
  n.type = nodes_[yes].type;
  if (n.type == uint8_t(ValueType::i32) && nodes_[yes].zbits <= 1 && nodes_[no].zbits <= 1 && nodes_[condition].zbits <= 1) {
    int64_t y = -1, o = -1;
    constant(yes, y);
    constant(no, o);
    if (y == 1 && o == 0) return condition;
    if (y == 0 && o == 1) return eqz(condition);
    if (o == 0) return binary(Op::i32_and, condition, yes);
    if (y == 1) return binary(Op::i32_or, condition, no);
  }
  n.op = uint16_t(Op::select);
  n.a = yes;
  n.b = no;
  n.c = condition;
  n.operands = 3;
  return pure(n);
}

NodeId Selector::wrap(NodeId id) {
  const Node& n = nodes_[id];
  if (n.type != uint8_t(ValueType::i64)) return id;
  if (n.op == uint16_t(Op::i64_extend_i32_s) || n.op == uint16_t(Op::i64_extend_i32_u)) return n.a;
  return unary(Op::i32_wrap_i64, id);
}

NodeId Selector::zext(NodeId id, unsigned bits) {
  const Node n = nodes_[id];
  if (n.zbits <= bits || bits >= width(n.type)) return id;
  if (bits == 32) {
    // Only i64: the low half.
    return unary(Op::i64_extend_i32_u, wrap(id));
  }
  int64_t mask = int64_t((uint64_t{1} << bits) - 1);
  return binary(is_i64(n.type) ? Op::i64_and : Op::i32_and, id, int_const(ValueType(n.type), mask));
}

NodeId Selector::sext(NodeId id, unsigned bits) {
  const Node n = nodes_[id];
  if (n.sbits <= bits || bits >= width(n.type)) return id;
  bool wide = is_i64(n.type);
  // The mask of a zero extension below does not matter.
  int64_t k = 0;
  if ((n.op == uint16_t(Op::i32_and) || n.op == uint16_t(Op::i64_and)) && constant(n.b, k) && (k & ((1ll << bits) - 1)) == (1ll << bits) - 1)
    return sext(n.a, bits);
  if (has(Feature::sign_ext)) {
    if (bits == 8) return unary(wide ? Op::i64_extend8_s : Op::i32_extend8_s, id);
    if (bits == 16) return unary(wide ? Op::i64_extend16_s : Op::i32_extend16_s, id);
    if (bits == 32) return unary(Op::i64_extend32_s, id);
  } else if (bits == 32) {
    return unary(Op::i64_extend_i32_s, wrap(id));
  }
  ValueType t = ValueType(n.type);
  unsigned shift = width(n.type) - bits;
  return binary(wide ? Op::i64_shr_s : Op::i32_shr_s, binary(wide ? Op::i64_shl : Op::i32_shl, id, int_const(t, shift)),
                int_const(t, shift));
}

NodeId Selector::zext_to(NodeId id, unsigned bits, ValueType to) {
  if (ValueType(nodes_[id].type) == to) return zext(id, bits);
  return unary(Op::i64_extend_i32_u, zext(id, bits));
}

NodeId Selector::sext_to(NodeId id, unsigned bits, ValueType to) {
  if (ValueType(nodes_[id].type) == to) return sext(id, bits);
  if (bits < 32 && nodes_[id].sbits > bits && has(Feature::sign_ext) && (bits == 8 || bits == 16))
    return unary(bits == 8 ? Op::i64_extend8_s : Op::i64_extend16_s, unary(Op::i64_extend_i32_u, id));
  return unary(Op::i64_extend_i32_s, sext(id, bits));
}

// ---- values ----------------------------------------------------------------------------------------------------------------

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

NodeId Selector::address_add(NodeId base, int64_t offset) {
  if (offset == 0) return base;
  const Node& n = nodes_[base];
  if (n.op == pseudo_frame_address && int64_t(n.a) + offset >= 0 && int64_t(n.a) + offset <= INT32_MAX)
    return frame_address(uint32_t(n.a + offset));
  if (n.op == pseudo_data_address) {
    const mir::Reference r = mir_.draft().references[n.a];
    int64_t sum = int64_t(r.addend) + offset;
    if (sum == int32_t(sum)) {
      Node m = n;
      m.a = mir_.reference(r.kind, r.symbol, int32_t(sum));
      return intern(m);
    }
  }
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

// ---- the function ----------------------------------------------------------------------------------------------------------

void Selector::order_blocks() {
  size_t n = fn_->blocks.size();
  block_of_.assign(n, none);
  blocks_.clear();
  worklist_.clear();
  std::vector<uint32_t>& stack = layout_;  // free at this time
  stack.clear();
  // Depth first with the edges of each block collected when it is entered: frames of (block, remaining successors on `edges`).
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
    uint32_t last = block.first_inst + block.inst_count - 1;
    must_tail_ = false;
    last_call_.node = no_node;
    for (uint32_t k = block.first_inst; k < last; k++) lower_inst(k);
    lower_terminator(blocks_[i], last);
    if (must_tail_ && blocks_[i].tail_call == no_node)
      unsupported(has(Feature::tail_call) ? "a musttail call whose arguments or result go through memory" : "a musttail call without the feature tail-call");
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
    for (uint32_t a = 0; a < edge.arg_count; a++) edge_arguments_.push_back(node_of(air::ValueId(fn_->extra[edge.args + a])));
  });
}

}  // namespace lode::wasm
