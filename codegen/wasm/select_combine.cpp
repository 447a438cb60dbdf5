// Integers that are put together from the bytes of memory: (p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]) and its like
// are one load, with the bytes exchanged where the first is the highest. Nothing may be written between the first of
// the loads and the point where the last `or` stands, which is where the wide load goes.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

namespace {
constexpr size_t reach = 256;  // nodes between the first load and the end
}

NodeId Selector::byte_swap(NodeId a, unsigned bits) {
  if (bits == 32) {
    NodeId mask = i32c(int32_t(0xff00ff00u));
    NodeId high = binary(Op::i32_rotl, binary(Op::i32_and, a, mask), i32c(8));
    NodeId low = binary(Op::i32_and, binary(Op::i32_rotl, a, i32c(24)), mask);
    return binary(Op::i32_or, high, low);
  }
  auto exchange = [&](NodeId v, int64_t mask, int64_t distance) {
    NodeId up = binary(Op::i64_and, binary(Op::i64_shr_u, v, i64c(distance)), i64c(mask));
    NodeId down = binary(Op::i64_shl, binary(Op::i64_and, v, i64c(mask)), i64c(distance));
    return binary(Op::i64_or, up, down);
  };
  NodeId b = exchange(a, 0x00ff00ff00ff00ffll, 8);
  NodeId c = exchange(b, 0x0000ffff0000ffffll, 16);
  return binary(Op::i64_rotl, c, i64c(32));
}

// The node that a | b is when it is a load in pieces; no_node otherwise.
NodeId Selector::combine_loads(NodeId a, NodeId b, bool wide) {
  struct Piece {
    NodeId load, base;
    uint32_t symbol;   // reference's symbol and kind do not vary within a base; ~0: none
    int64_t offset;
    unsigned shift, bytes;
  };
  Piece pieces[8];
  unsigned count = 0, total = 0;
  struct Part {
    NodeId node;
    unsigned shift, limit;  // bits from `limit` on fall out
  } parts[16] = {{a, 0, wide ? 64u : 32u}, {b, 0, wide ? 64u : 32u}};
  unsigned waiting = 2, steps = 0;
  while (waiting) {
    if (++steps > 32) return no_node;
    Part x = parts[--waiting];
    const Node& n = nodes_[x.node];
    int64_t k = 0;
    auto push = [&](NodeId id, unsigned shift, unsigned limit) {
      if (waiting == std::size(parts)) return false;
      parts[waiting++] = {id, shift, limit};
      return true;
    };
    unsigned bytes = 0;
    switch (Op(n.op)) {
      case Op::i32_or: case Op::i64_or:
        if (!push(n.a, x.shift, x.limit) || !push(n.b, x.shift, x.limit)) return no_node;
        continue;
      case Op::i32_shl: case Op::i64_shl:
        if (!constant(n.b, k) || k < 0 || k > 63 || !push(n.a, x.shift + unsigned(k), x.limit)) return no_node;
        continue;
      case Op::i64_extend_i32_u:
        if (!push(n.a, x.shift, std::min(x.limit, x.shift + 32))) return no_node;
        continue;
      case Op::i32_load8_u: case Op::i64_load8_u: bytes = 1; break;
      case Op::i32_load16_u: case Op::i64_load16_u: bytes = 2; break;
      case Op::i32_load: case Op::i64_load32_u: bytes = 4; break;
      default: return no_node;
    }
    if (count == std::size(pieces) || x.shift + bytes * 8 > x.limit || n.effect != effect_read ||
        node_block_[x.node] != current_block_)
      return no_node;
    Piece p{x.node, n.a, ~0u, 0, x.shift, bytes};
    switch (MemoryOperand::form(n.aux)) {
      case MemoryOperand::inline_offset: p.offset = MemoryOperand::payload(n.aux); break;
      case MemoryOperand::symbol: {
        const mir::Reference& r = mir_.draft().references[MemoryOperand::payload(n.aux)];
        p.symbol = r.symbol.value;
        p.offset = r.addend;
        break;
      }
      default: return no_node;
    }
    const Node& address = nodes_[n.a];
    bool sum = address.op == uint16_t(Op::i32_add) || address.op == uint16_t(Op::i64_add);
    bool difference = address.op == uint16_t(Op::i32_sub) || address.op == uint16_t(Op::i64_sub);
    if ((sum || difference) && constant(address.b, k)) {
      p.base = address.a;
      p.offset = int64_t(uint64_t(p.offset) + (difference ? 0 - uint64_t(k) : uint64_t(k)));
    }
    total += bytes;
    pieces[count++] = p;
  }
  unsigned width = wide ? 8 : 4;
  if (total != width && !(total == 2 && !wide)) return no_node;
  std::sort(pieces, pieces + count, [](const Piece& x, const Piece& y) { return x.offset < y.offset; });
  const Piece& lowest = pieces[0];
  bool little = true, big = total == width;
  NodeId first = lowest.load;
  for (unsigned i = 0; i < count; i++) {
    const Piece& p = pieces[i];
    int64_t at = int64_t(uint64_t(p.offset) - uint64_t(lowest.offset));
    if (p.base != lowest.base || p.symbol != lowest.symbol || at < 0 || at >= int64_t(total)) return no_node;
    if (i && uint64_t(p.offset) != uint64_t(pieces[i - 1].offset) + pieces[i - 1].bytes) return no_node;
    little = little && p.shift == unsigned(at) * 8;
    big = big && p.bytes == 1 && p.shift == (total - 1 - unsigned(at)) * 8;
    first = std::min(first, p.load);
  }
  if (!little && !big) return no_node;
  if (nodes_.size() - first > reach) return no_node;
  for (size_t i = first; i < nodes_.size(); i++)
    if (nodes_[i].effect == effect_write && node_block_[i] == current_block_) return no_node;
  Node n = nodes_[lowest.load];
  n.op = uint16_t(wide ? Op::i64_load : total == 2 ? Op::i32_load16_u : Op::i32_load);
  n.type = uint8_t(wide ? ValueType::i64 : ValueType::i32);
  set_bits(n);
  NodeId r = append(n);
  return little ? r : byte_swap(r, width * 8);
}

}  // namespace lode::wasm
