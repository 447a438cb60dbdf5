// Constant expressions that a linker can express: an integer, a symbol plus an offset, the difference of two addresses,
// a block of a function. Walks are bounded in depth and in steps, because a hostile file can make constants cyclic or a
// graph whose tree is exponentially large.
#include "base/bytes.h"
#include "codegen/import/state.h"

namespace lode::codegen {

namespace {

uint64_t mask(uint64_t bits) { return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }

}  // namespace

const bc::Constants* Folder::pool(uint32_t value, const bc::Constant*& k) const {
  const bc::Module& m = s_.bitcode;
  const uint32_t globals = uint32_t(m.globals.size());
  if (value < globals) return nullptr;
  if (value < m.value_count()) {
    k = &m.constants.list[value - globals];
    return &m.constants;
  }
  if (body_ && value >= body_->first_constant && value < body_->first_result) {
    k = &body_->constants.list[value - body_->first_constant];
    return &body_->constants;
  }
  return nullptr;
}

bool Folder::offset(uint32_t source_type, std::span<const uint32_t> indices, uint64_t& out) {
  const bc::Module& m = s_.bitcode;
  uint32_t t = source_type;
  bool first = true;
  for (uint32_t index : indices) {
    Folded f = fold(index, 1);
    if (f.kind != Folded::Int) return false;
    const bc::Type& it = m.types[type_of(index)];
    if (it.kind != bc::TypeKind::Integer || it.count > 64) return false;
    int64_t n = sign_extend(f.bits, unsigned(it.count));
    const bc::Type& a = m.types[t];
    if (first) {
      if (!s_.type_ok[t]) return n == 0;
      out += uint64_t(n) * s_.air.types.size_of(s_.types[t]);
      first = false;
    } else if (a.kind == bc::TypeKind::Struct) {
      if (n < 0 || uint64_t(n) >= a.count) return false;
      out += s_.air.types.field_offset(s_.types[t], uint32_t(n));
      t = m.type_lists[a.element + uint32_t(n)];
    } else if (a.kind == bc::TypeKind::Array || a.kind == bc::TypeKind::Vector) {
      t = a.element;
      out += uint64_t(n) * s_.air.types.size_of(s_.types[t]);
    } else {
      return false;
    }
  }
  return true;
}

Folded Folder::fold(uint32_t value, int depth) {
  const bc::Module& m = s_.bitcode;
  Folded r;
  if (depth > 64 || --budget_ < 0) return r;
  if (value < m.globals.size()) {
    if (!s_.symbols[value]) return r;
    r.kind = Folded::Address;
    r.symbol = s_.symbols[value];
    return r;
  }
  const bc::Constant* k;
  const bc::Constants* p = pool(value, k);
  if (!p) return r;
  const bc::Type& t = m.types[k->type];
  const bool scalar = t.kind == bc::TypeKind::Pointer || (t.kind == bc::TypeKind::Integer && t.count <= 64);
  const uint64_t width = t.kind == bc::TypeKind::Pointer ? s_.air.types.layout().pointer_bytes * 8 : t.count;
  auto integer = [&](uint64_t v) {
    r.kind = Folded::Int;
    r.bits = v & mask(width);
    return r;
  };
  switch (k->kind) {
    case bc::ConstKind::Null:
    case bc::ConstKind::Undef:
    case bc::ConstKind::Poison: return scalar ? integer(0) : r;
    case bc::ConstKind::Int: return integer(k->bits);
    case bc::ConstKind::DsoLocalEquivalent:
    case bc::ConstKind::NoCfi: return fold(p->operands_of(*k)[0], depth + 1);
    case bc::ConstKind::BlockAddress: {
      auto ops = p->operands_of(*k);
      if (ops[0] >= m.globals.size() || m.globals[ops[0]].kind != bc::Global::Function || !s_.symbols[ops[0]]) return r;
      r.kind = Folded::Block;
      r.symbol = s_.symbols[ops[0]];
      r.block = ops[1];
      return r;
    }
    case bc::ConstKind::Cast: {
      if (!scalar) return r;
      auto ops = p->operands_of(*k);
      const bc::Type& from = m.types[type_of(ops[0])];
      Folded f = fold(ops[0], depth + 1);
      if (f.kind == Folded::No) return r;
      uint64_t from_width = from.kind == bc::TypeKind::Pointer ? s_.air.types.layout().pointer_bytes * 8 : from.count;
      switch (bc::CastOp(k->op)) {
        case bc::CastOp::Trunc:
        case bc::CastOp::ZExt:
        case bc::CastOp::PtrToInt:
        case bc::CastOp::IntToPtr:
          if (f.kind == Folded::Int) return integer(f.bits & mask(from_width));
          // An address may be cut off by the place that it is written to, but not widened before.
          return width <= from_width || from.kind == bc::TypeKind::Pointer ? f : r;
        case bc::CastOp::SExt:
          if (f.kind == Folded::Int) return integer(uint64_t(sign_extend(f.bits, unsigned(from_width))));
          return r;
        case bc::CastOp::Bitcast: return from_width == width ? f : r;
        default: return r;
      }
    }
    case bc::ConstKind::Binop: {
      if (!scalar) return r;
      auto ops = p->operands_of(*k);
      Folded a = fold(ops[0], depth + 1), b = fold(ops[1], depth + 1);
      if (a.kind == Folded::No || b.kind == Folded::No) return r;
      auto op = bc::BinaryOp(k->op);
      if (op == bc::BinaryOp::Add && a.kind == Folded::Int) std::swap(a, b);
      if (a.kind != Folded::Int) {
        if (op == bc::BinaryOp::Add && b.kind == Folded::Int &&
            (a.kind == Folded::Address || a.kind == Folded::Difference)) {
          a.bits += uint64_t(sign_extend(b.bits, unsigned(width)));
          return a;
        }
        if (op != bc::BinaryOp::Sub) return r;
        if (b.kind == Folded::Int && (a.kind == Folded::Address || a.kind == Folded::Difference)) {
          a.bits -= uint64_t(sign_extend(b.bits, unsigned(width)));
          return a;
        }
        if (a.kind == Folded::Block && b.kind == Folded::Block && a.symbol == b.symbol) {
          if (a.block == b.block) return integer(0);
          a.kind = Folded::BlockDifference;
          a.bits = b.block;
          return a;
        }
        if (a.kind != Folded::Address || b.kind != Folded::Address) return r;
        if (a.symbol == b.symbol) return integer(a.bits - b.bits);
        a.kind = Folded::Difference;
        a.minus = b.symbol;
        a.bits -= b.bits;
        return a;
      }
      if (b.kind != Folded::Int) return r;
      switch (op) {
        case bc::BinaryOp::Add: return integer(a.bits + b.bits);
        case bc::BinaryOp::Sub: return integer(a.bits - b.bits);
        case bc::BinaryOp::Mul: return integer(a.bits * b.bits);
        case bc::BinaryOp::And: return integer(a.bits & b.bits);
        case bc::BinaryOp::Or: return integer(a.bits | b.bits);
        case bc::BinaryOp::Xor: return integer(a.bits ^ b.bits);
        case bc::BinaryOp::Shl: return b.bits < width ? integer(a.bits << b.bits) : integer(0);
        case bc::BinaryOp::LShr: return b.bits < width ? integer(a.bits >> b.bits) : integer(0);
        default: return r;
      }
    }
    case bc::ConstKind::Gep: {
      if (t.kind != bc::TypeKind::Pointer) return r;
      auto ops = p->operands_of(*k);
      Folded f = fold(ops[1], depth + 1);
      if (f.kind != Folded::Address && f.kind != Folded::Int) return r;
      uint64_t add = 0;
      if (ops.size() > 2 && !offset(ops[0], ops.subspan(2), add)) return r;
      f.bits += add;
      if (f.kind == Folded::Int) f.bits &= mask(width);
      return f;
    }
    case bc::ConstKind::Select: {
      auto ops = p->operands_of(*k);
      Folded c = fold(ops[0], depth + 1);
      return c.kind == Folded::Int && scalar ? fold(ops[c.bits & 1 ? 1 : 2], depth + 1) : r;
    }
    case bc::ConstKind::Compare: {
      if (!scalar) return r;
      auto ops = p->operands_of(*k);
      const bc::Type& ot = m.types[type_of(ops[0])];
      Folded a = fold(ops[0], depth + 1), b = fold(ops[1], depth + 1);
      if (a.kind == Folded::Address && b.kind == Folded::Address && a.symbol == b.symbol) {
        a.kind = b.kind = Folded::Int;
      }
      if (a.kind != Folded::Int || b.kind != Folded::Int) return r;
      unsigned w = ot.kind == bc::TypeKind::Integer && ot.count <= 64 ? unsigned(ot.count) : 64;
      int64_t x = sign_extend(a.bits, w), y = sign_extend(b.bits, w);
      switch (bc::Predicate(k->op)) {
        case bc::Predicate::Eq: return integer(a.bits == b.bits);
        case bc::Predicate::Ne: return integer(a.bits != b.bits);
        case bc::Predicate::Ugt: return integer(a.bits > b.bits);
        case bc::Predicate::Uge: return integer(a.bits >= b.bits);
        case bc::Predicate::Ult: return integer(a.bits < b.bits);
        case bc::Predicate::Ule: return integer(a.bits <= b.bits);
        case bc::Predicate::Sgt: return integer(x > y);
        case bc::Predicate::Sge: return integer(x >= y);
        case bc::Predicate::Slt: return integer(x < y);
        case bc::Predicate::Sle: return integer(x <= y);
        default: return r;
      }
    }
    default: return r;
  }
}

}  // namespace lode::codegen
