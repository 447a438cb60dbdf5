// The constructors of nodes, which fold constants and rewrite to shorter forms as they build.
//
// Why folding ends. A constructor that rewrites calls itself, or another one, with something else to build; each such
// call lowers (height of the left operand, rank of the operation), compared in this order. The height of a node is one
// more than that of its highest operand; constants and addresses, made by intern(), have 0. The ranks: compare by 1 (x
// < 1, x >= 1: two eqz) > sub > mul > all others. The rules:
//
//   binary: constant to the right         in place; happens once, since folding two constants comes first
//   binary: x - k as x + -k               rank (an addition writes x - -k in place, it never calls back)
//   binary: (x + k) + k', (x & k) & k'    height
//   binary: extend(x) & k as x & k        height
//   binary: x * 2^n as x << n             rank
//   binary: address + k                   nothing is called: folded_address() gives an address, or the addition is
//   built as it is binary: or of loads (combine_loads)   the load it makes is a leaf for itself; byte_swap() joins no
//   loads
//   address_add                           adds by binary() what folded_address() does not take; binary() never calls
//                                         address_add
//   select as and, or                     leaves select for binary
//   sext of (x & mask)                    height
//   zext, sext by two shifts, by wrap     leave zext and sext for binary and unary, which never call them
//
// A new rule needs its place in this list. What the order does not see, a cycle through two files, ends at max_rewrites
// and is an error that names the function; tests/wasm/expression_test.cpp builds random expressions and takes that
// error for a failure.
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
    case Op::i32_eqz: case Op::i32_eq: case Op::i32_ne: case Op::i32_lt_s: case Op::i32_lt_u: case Op::i32_gt_s:
    case Op::i32_gt_u: case Op::i32_le_s: case Op::i32_le_u: case Op::i32_ge_s: case Op::i32_ge_u: case Op::i64_eqz:
    case Op::i64_eq: case Op::i64_ne:
    case Op::i64_lt_s: case Op::i64_lt_u: case Op::i64_gt_s: case Op::i64_gt_u: case Op::i64_le_s: case Op::i64_le_u:
    case Op::i64_ge_s: case Op::i64_ge_u: case Op::f32_eq: case Op::f32_ne: case Op::f32_lt: case Op::f32_gt:
    case Op::f32_le: case Op::f32_ge: case Op::f64_eq: case Op::f64_ne: case Op::f64_lt: case Op::f64_gt:
    case Op::f64_le: case Op::f64_ge: zb = 1; break;
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
    case Op::i32_add: case Op::i64_add: case Op::i32_mul: case Op::i64_mul: case Op::i32_and: case Op::i64_and:
    case Op::i32_or: case Op::i64_or: case Op::i32_xor: case Op::i64_xor: case Op::i32_eq: case Op::i64_eq:
    case Op::i32_ne: case Op::i64_ne: return true;
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

// What an operation with the constant k on its right side is by the rules of arithmetic, or no_node. The operation may
// become another one with another constant.
NodeId Selector::with_constant(Op& op, NodeId a, NodeId& b, int64_t k) {
  const Node left = nodes_[a];  // copies, here and below: nodes that are made move the others
  bool wide = is_i64(left.type);
  int64_t k2 = 0;
  auto inner = [&](Op want) { return left.op == uint16_t(want) && constant(left.b, k2); };
  switch (op) {
    case Op::i32_sub:
      if (sleb_size(int32_t(0u - uint32_t(k))) <= sleb_size(k))
        return binary(Op::i32_add, a, i32c(int32_t(0u - uint32_t(k))));
      break;
    case Op::i64_sub:
      if (sleb_size(int64_t(0u - uint64_t(k))) <= sleb_size(k))
        return binary(Op::i64_add, a, i64c(int64_t(0u - uint64_t(k))));
      break;
    case Op::i32_add: case Op::i64_add: {
      if (k == 0) return a;
      if (NodeId folded = folded_address(a, k); folded != no_node) return folded;
      if (inner(op)) {
        NodeId base = left.a;
        return binary(op, base,
                      wide ? i64c(int64_t(uint64_t(k) + uint64_t(k2))) : i32c(int32_t(uint32_t(k) + uint32_t(k2))));
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
        return binary(wide ? Op::i64_shl : Op::i32_shl, a,
                      int_const(ValueType(left.type), std::countr_zero(uint64_t(k))));
      if (!wide && uint32_t(k) == 0x80000000u) return binary(Op::i32_shl, a, i32c(31));
      break;
    case Op::i32_and: case Op::i64_and: {
      uint64_t mask = wide ? uint64_t(k) : uint32_t(k);
      if (mask == 0) return b;
      if (k == -1) return a;
      if ((mask & (mask + 1)) == 0 && left.zbits <= std::bit_width(mask)) return a;
      unsigned top = unsigned(std::bit_width(mask));
      if ((left.op == uint16_t(Op::i32_extend8_s) || left.op == uint16_t(Op::i64_extend8_s)) && top <= 8)
        return binary(op, left.a, b);
      if ((left.op == uint16_t(Op::i32_extend16_s) || left.op == uint16_t(Op::i64_extend16_s)) && top <= 16)
        return binary(op, left.a, b);
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
    case Op::i32_shl: case Op::i32_shr_s: case Op::i32_shr_u: case Op::i64_shl: case Op::i64_shr_s:
    case Op::i64_shr_u:
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
  return no_node;
}

// x < 64 as x <= 63, which is a byte shorter, and its like.
void Selector::shorten_comparison(Op& op, NodeId& b, int64_t k, bool wide) {
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

NodeId Selector::binary(Op op, NodeId a, NodeId b) {
  // No rule of today comes near this depth; see above.
  struct Depth {
    uint32_t& depth;
    ~Depth() { depth--; }
  } depth{rewrites_};
  if (++rewrites_ > max_rewrites) {
    unsupported("an expression whose selection does not end (an error of lode)");
    return int_const(ValueType(nodes_[a].type), 0);
  }
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
  if (a == b) {
    if (op == Op::i32_and || op == Op::i64_and || op == Op::i32_or || op == Op::i64_or) return a;
  }
  if (ck) {
    if (NodeId known = with_constant(op, a, b, k); known != no_node) return known;
    shorten_comparison(op, b, k, is_i64(nodes_[a].type));
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
  const char* result = i.signature();
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
  if (n.type == uint8_t(ValueType::i32) && nodes_[yes].zbits <= 1 && nodes_[no].zbits <= 1 &&
      nodes_[condition].zbits <= 1) {
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
  if ((n.op == uint16_t(Op::i32_and) || n.op == uint16_t(Op::i64_and)) && constant(n.b, k) &&
      (k & ((1ll << bits) - 1)) == (1ll << bits) - 1)
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

}  // namespace lode::wasm
