// See body.h. Record layouts follow the "LLVM Bitcode File Format" page and the writers of LLVM 14 to 21. Operand ids
// in function blocks are relative to the number that the next result will get; a reference to a value that is not
// defined yet is followed by its type. What old writers alone produced (typeless stores, old switch encodings) is
// refused.
#include "formats/bitcode/body.h"

#include "formats/bitcode/reader_parts.h"

namespace lode::formats::bitcode {

namespace {

constexpr const char* block_name = "FUNCTION";
constexpr uint32_t max_blocks = 1u << 26;
constexpr uint32_t attachment_dbg = 0;  // FixedMetadataKinds.def

enum Code : uint32_t {
  declare_blocks = 1, binop = 2, cast = 3, extract_elt = 6, insert_elt = 7, shuffle_vec = 8, cmp = 9, ret = 10, br = 11,
  switch_ = 12, invoke = 13, unreachable = 15, phi = 16, alloca_ = 19, load = 20, va_arg = 23, extract_val = 26,
  insert_val = 27, cmp2 = 28, vselect = 29, indirect_br = 31, debug_loc_again = 33, call = 34, debug_loc = 35,
  fence = 36, atomic_rmw_old = 38, resume = 39, load_atomic = 41, gep = 43, store = 44, store_atomic = 45, cmpxchg = 46,
  landing_pad = 47, cleanup_ret = 48, catch_ret = 49, catch_pad = 50, cleanup_pad = 51, catch_switch = 52,
  operand_bundle = 55, unop = 56, callbr = 57, freeze = 58, atomic_rmw = 59, block_addr_users = 60,
  debug_record_value = 61, debug_record_declare = 62, debug_record_assign = 63, debug_record_value_simple = 64,
  debug_record_label = 65, debug_record_declare_value = 66,
};

constexpr uint32_t align_of(uint64_t field) {
  return field == 0 ? 0xff : field > 64 ? 63 : uint32_t(field - 1);
}

}  // namespace

bool BodyReader::value(uint32_t& i, uint32_t& v) {
  if (i >= c_.size()) return bad();
  v = next_value_ - uint32_t(c_[i++]);
  if (v > max_value_) max_value_ = v;
  return true;
}

bool BodyReader::typed_value(uint32_t& i, uint32_t& v, uint32_t& t) {
  if (i >= c_.size()) return bad();
  v = next_value_ - uint32_t(c_[i++]);
  if (v < next_value_) {
    t = b_->type_of(m_, v);
    return true;
  }
  if (v > max_value_) max_value_ = v;
  if (i >= c_.size() || c_[i] >= m_.types.size()) return bad();
  t = uint32_t(c_[i++]);
  forwards_.push_back({v, t});
  return true;
}

bool BodyReader::word(uint32_t& i, uint32_t& w) {
  if (i >= c_.size() || c_[i] > 0xffffffff) return bad();
  w = uint32_t(c_[i++]);
  return true;
}

bool BodyReader::type(uint32_t& i, uint32_t& t) {
  if (i >= c_.size() || c_[i] >= m_.types.size()) return bad();
  t = uint32_t(c_[i++]);
  return true;
}

bool BodyReader::block(uint64_t v, uint32_t& b) {
  if (v >= declared_blocks_) return bad();
  b = uint32_t(v);
  return true;
}

void BodyReader::more_operands() {
  b_->operands.resize(std::max<size_t>(size_t{operand_room_} * 2, 256));
  operands_ = b_->operands.data();
  operand_room_ = uint32_t(b_->operands.size());
}

void BodyReader::emit(Op op, uint32_t type, uint8_t sub, uint16_t flags) {
  Inst inst;
  inst.op = op;
  inst.sub = sub;
  inst.flags = flags;
  inst.first = first_operand_;
  inst.count = operand_count_ - first_operand_;
  first_operand_ = operand_count_;
  if (type != none && m_.types[type].kind != TypeKind::Void) {
    inst.type = type;
    inst.value = next_value_++;
    b_->value_types.push_back(type);
  }
  if (!block_open_) {
    b_->blocks.push_back(uint32_t(b_->insts.size()));
    block_open_ = true;
  }
  if (is_terminator(op)) block_open_ = false;
  b_->insts.push_back(inst);
}

uint32_t BodyReader::vector_type(TypeKind kind, uint64_t count, uint32_t element_like) const {
  const Type& e = m_.types[element_like];
  for (uint32_t t : m_.vector_types) {
    const Type& v = m_.types[t];
    if (v.kind != kind || v.count != count) continue;
    const Type& x = m_.types[v.element];
    if (v.element == element_like ||
        (x.kind == e.kind && x.count == e.count && (x.kind == TypeKind::Integer || x.kind == TypeKind::Pointer)))
      return t;
  }
  return none;
}

uint32_t BodyReader::compare_type(uint32_t operand) const {
  const Type& t = m_.types[operand];
  if (t.kind == TypeKind::Vector || t.kind == TypeKind::ScalableVector)
    return vector_type(t.kind, t.count, m_.type_i1);
  return m_.type_i1;
}

// Arguments from record position `i` on, then the bundles seen since the last call.
bool BodyReader::call_operands(uint32_t i, const Type& fn) {
  std::span<const uint32_t> params = m_.list_of(fn).subspan(1);
  for (uint32_t p : params) {
    uint32_t v;
    TypeKind kind = m_.types[p].kind;
    if (kind == TypeKind::Label) {
      if (i >= c_.size() || !block(c_[i++], v)) return bad();
    } else if (kind == TypeKind::Metadata) {
      if (i >= c_.size()) return bad();
      v = next_value_ - uint32_t(c_[i++]);
    } else if (!value(i, v)) {
      return false;
    }
    add(v);
  }
  if (!fn.vararg && i != c_.size()) return bad();
  while (i < c_.size()) {
    uint32_t v, t;
    if (!typed_value(i, v, t)) return false;
    add(v);
  }
  return true;
}

void BodyReader::bundles() {
  add(pending_bundle_count_);
  for (uint32_t w : pending_bundles_) add(w);
  pending_bundles_.clear();
  pending_bundle_count_ = 0;
}

bool BodyReader::read_inst(Body& b) {
  uint32_t i = 0, v = 0, w = 0, x = 0, t = 0, u = 0;
  const uint32_t n = c_.size();
  switch (c_.code()) {
    case binop: {
      if (!typed_value(i, v, t) || !value(i, w)) return false;
      if (i >= n || c_[i] > uint64_t(BinaryOp::Xor)) return bad();
      add(v), add(w);
      emit(Op::Binop, t, uint8_t(c_[i]), i + 1 < n ? uint16_t(c_[i + 1]) : 0);
      return true;
    }
    case unop:
      if (!typed_value(i, v, t) || i >= n || c_[i] != 0) return bad();
      add(v);
      emit(Op::Unop, t);
      return true;
    case cast:
      if (!typed_value(i, v, t) || !type(i, u)) return false;
      if (i >= n || c_[i] > uint64_t(CastOp::PtrToAddr)) return bad();
      add(v);
      emit(Op::Cast, u, uint8_t(c_[i]), i + 1 < n ? uint16_t(c_[i + 1]) : 0);
      return true;
    case gep: {
      if (n < 3 || c_[0] > 0xffff) return bad();
      uint16_t flags = uint16_t(c_[0]);
      i = 1;
      if (!type(i, u)) return false;
      add(u);
      if (!typed_value(i, v, t)) return false;
      add(v);
      while (i < n) {
        uint32_t it;
        if (!typed_value(i, v, it)) return false;
        add(v);
        TypeKind kind = m_.types[it].kind;
        // A vector of indices makes a vector of pointers.
        if ((kind == TypeKind::Vector || kind == TypeKind::ScalableVector) && m_.types[t].kind == TypeKind::Pointer) {
          t = vector_type(kind, m_.types[it].count, t);
          if (t == none) return bad();
        }
      }
      emit(Op::Gep, t, 0, flags);
      return true;
    }
    case vselect: {
      if (!typed_value(i, v, t) || !value(i, w) || !typed_value(i, x, u)) return false;
      add(x), add(v), add(w);
      emit(Op::Select, t);
      return true;
    }
    case extract_elt:
      if (!typed_value(i, v, t) || !typed_value(i, w, u)) return false;
      if (m_.types[t].kind != TypeKind::Vector && m_.types[t].kind != TypeKind::ScalableVector) return bad();
      add(v), add(w);
      emit(Op::ExtractElement, m_.types[t].element);
      return true;
    case insert_elt:
      if (!typed_value(i, v, t) || !value(i, w) || !typed_value(i, x, u)) return false;
      add(v), add(w), add(x);
      emit(Op::InsertElement, t);
      return true;
    case shuffle_vec: {
      if (!typed_value(i, v, t) || !value(i, w) || !typed_value(i, x, u)) return false;
      const Type& a = m_.types[t];
      const Type& mask = m_.types[u];
      if (a.kind != TypeKind::Vector && a.kind != TypeKind::ScalableVector) return bad();
      if (mask.kind != a.kind) return bad();
      t = vector_type(a.kind, mask.count, a.element);
      if (t == none) return bad();
      add(v), add(w), add(x);
      emit(Op::ShuffleVector, t);
      return true;
    }
    case cmp:
    case cmp2:
      if (!typed_value(i, v, t) || !value(i, w)) return false;
      if (i >= n || c_[i] > uint64_t(Predicate::Sle)) return bad();
      u = compare_type(t);
      if (u == none) return bad();
      add(v), add(w);
      emit(Op::Compare, u, uint8_t(c_[i]));
      return true;
    case ret:
      if (n > 0) {
        if (!typed_value(i, v, t)) return false;
        add(v);
      }
      emit(Op::Ret, none);
      return true;
    case br:
      if (n == 1) {
        if (!block(c_[0], v)) return false;
        add(v);
        emit(Op::Br, none);
        return true;
      }
      if (n != 3 || !block(c_[0], v) || !block(c_[1], w)) return bad();
      i = 2;
      if (!value(i, x)) return false;
      add(x), add(v), add(w);
      emit(Op::CondBr, none);
      return true;
    case switch_: {
      if (!type(i, t) || !value(i, v) || n < 3 || n % 2 == 0) return bad();
      if (!block(c_[i++], w)) return false;
      add(v), add(w);
      for (; i < n; i += 2) {
        // Case values are absolute: they are constants.
        if (c_[i] >= none || !block(c_[i + 1], w)) return bad();
        max_value_ = std::max(max_value_, uint32_t(c_[i]));
        add(uint32_t(c_[i])), add(w);
      }
      emit(Op::Switch, none);
      return true;
    }
    case indirect_br:
      if (!type(i, t) || !value(i, v)) return bad();
      add(v);
      for (; i < n; i++) {
        if (!block(c_[i], w)) return false;
        add(w);
      }
      emit(Op::IndirectBr, none);
      return true;
    case invoke: {
      // [attributes + 1, convention | 1 << 13, normal, unwind, function type, callee, arguments]
      uint32_t normal, unwind;
      if (n < 6 || !(c_[1] & 1 << 13) || !block(c_[2], normal) || !block(c_[3], unwind)) return bad();
      i = 4;
      if (!type(i, t) || m_.types[t].kind != TypeKind::Function || !typed_value(i, v, u)) return bad();
      const Type& fn = m_.types[t];
      add(t), add(v), add(c_[0] ? uint32_t(c_[0] - 1) : none), add(0), add(normal), add(unwind);
      uint32_t at = operand_count_;
      if (c_[0] > m_.attribute_lists.size() || !call_operands(i, fn)) return bad();
      operands_[at - 3] = operand_count_ - at;
      bundles();
      emit(Op::Invoke, m_.type_lists[fn.element], 0, uint16_t(c_[1] & 0x3ff));
      return true;
    }
    case callbr: {
      // [attributes + 1, convention << 1 | 1 << 15, normal, n, indirect..., function type, callee, arguments]
      uint32_t normal;
      if (n < 6 || !(c_[1] & 1 << 15) || !block(c_[2], normal) || c_[3] > n - 4) return bad();
      uint32_t indirect = uint32_t(c_[3]);
      i = 4 + indirect;
      if (!type(i, t) || m_.types[t].kind != TypeKind::Function || !typed_value(i, v, u)) return bad();
      const Type& fn = m_.types[t];
      add(t), add(v), add(c_[0] ? uint32_t(c_[0] - 1) : none), add(0), add(normal), add(indirect);
      for (uint32_t k = 0; k < indirect; k++) {
        if (!block(c_[4 + k], w)) return false;
        add(w);
      }
      uint32_t at = operand_count_;
      if (c_[0] > m_.attribute_lists.size() || !call_operands(i, fn)) return bad();
      operands_[at - indirect - 3] = operand_count_ - at;
      bundles();
      emit(Op::CallBr, m_.type_lists[fn.element], 0, uint16_t(c_[1] >> 1 & 0x3ff));
      return true;
    }
    case call: {
      // [attributes + 1, flags, (fast-math flags), function type, callee, arguments]
      if (n < 4) return bad();
      uint64_t cc = c_[1];
      i = cc & 1 << 17 ? 3 : 2;
      if (!(cc & 1 << 15)) return bad();
      if (!type(i, t) || m_.types[t].kind != TypeKind::Function || !typed_value(i, v, u)) return bad();
      const Type& fn = m_.types[t];
      if (c_[0] > m_.attribute_lists.size()) return bad();
      add(t), add(v), add(c_[0] ? uint32_t(c_[0] - 1) : none), add(0);
      uint32_t at = operand_count_;
      if (!call_operands(i, fn)) return false;
      operands_[at - 1] = operand_count_ - at;
      bundles();
      uint8_t tail = cc & 1 << 14 ? 2 : cc & 1 << 16 ? 3 : cc & 1;
      emit(Op::Call, m_.type_lists[fn.element], tail, uint16_t(cc >> 1 & 0x3ff));
      return true;
    }
    case operand_bundle: {
      if (n < 1 || c_[0] > 0xffff) return bad();
      pending_bundles_.push_back(uint32_t(c_[0]));
      size_t count_at = pending_bundles_.size();
      pending_bundles_.push_back(0);
      i = 1;
      while (i < n) {
        if (!typed_value(i, v, t)) return false;
        pending_bundles_.push_back(v);
      }
      pending_bundles_[count_at] = uint32_t(pending_bundles_.size() - count_at - 1);
      pending_bundle_count_++;
      return true;
    }
    case unreachable: emit(Op::Unreachable, none); return true;
    case resume:
      if (!typed_value(i, v, t)) return false;
      add(v);
      emit(Op::Resume, none);
      return true;
    case phi: {
      // [type, (signed relative value, block)..., (flags)]
      if (!type(i, t) || m_.types[t].kind == TypeKind::Void) return bad();
      for (; i + 1 < n; i += 2) {
        v = next_value_ - uint32_t(unrotate(c_[i]));
        if (v > max_value_) max_value_ = v;
        if (!block(c_[i + 1], w)) return false;
        add(v), add(w);
      }
      emit(Op::Phi, t);
      return true;
    }
    case alloca_: {
      // [type, type of count, count, flags and alignment, (address space)]; 1 << 6: the type is the allocated one
      if (n < 4 || !type(i, t) || !type(i, u)) return bad();
      if (c_[2] >= none) return bad();
      v = uint32_t(c_[2]);
      max_value_ = std::max(max_value_, v);
      uint64_t f = c_[3];
      uint64_t space = n > 4 ? c_[4] : 0;
      if (!(f & 1 << 6)) {
        if (m_.types[t].kind != TypeKind::Pointer || m_.types[t].element == none) return bad();
        space = m_.types[t].count;
        t = m_.types[t].element;
      }
      uint32_t pointer = m_.pointer_type(space);
      if (pointer == none) return bad();
      add(t), add(v), add(align_of((f & 31) | (f >> 8 & 7) << 5));
      emit(Op::Alloca, pointer, 0, uint16_t((f >> 5 & 1) | (f >> 7 & 1) << 1));
      return true;
    }
    case load:
    case load_atomic: {
      if (!typed_value(i, v, t) || !type(i, u)) return false;
      bool atomic = c_.code() == load_atomic;
      if (n - i != (atomic ? 4u : 2u) || (atomic && c_[i + 2] > 6)) return bad();
      add(v), add(align_of(c_[i])), add(atomic ? uint32_t(c_[i + 2]) : 0), add(atomic ? uint32_t(c_[i + 3]) : 1);
      if (m_.types[u].kind == TypeKind::Void) return bad();
      emit(Op::Load, u, 0, c_[i + 1] & 1);
      return true;
    }
    case store:
    case store_atomic: {
      if (!typed_value(i, v, t) || !typed_value(i, w, u)) return false;
      bool atomic = c_.code() == store_atomic;
      if (n - i != (atomic ? 4u : 2u) || (atomic && c_[i + 2] > 6)) return bad();
      add(v), add(w), add(align_of(c_[i])), add(atomic ? uint32_t(c_[i + 2]) : 0),
          add(atomic ? uint32_t(c_[i + 3]) : 1);
      emit(Op::Store, none, 0, c_[i + 1] & 1);
      return true;
    }
    case va_arg:
      if (!type(i, t) || !value(i, v) || !type(i, u)) return bad();
      add(v);
      emit(Op::VaArg, u);
      return true;
    case extract_val:
    case insert_val: {
      bool insert = c_.code() == insert_val;
      if (!typed_value(i, v, t) || (insert && !typed_value(i, w, u))) return false;
      add(v);
      if (insert) add(w);
      x = t;
      if (i >= n) return bad();
      for (; i < n; i++) {
        const Type& a = m_.types[x];
        if ((a.kind != TypeKind::Struct && a.kind != TypeKind::Array) || c_[i] >= a.count || c_[i] > 0xffffffff)
          return bad();
        x = a.kind == TypeKind::Struct ? m_.type_lists[a.element + c_[i]] : a.element;
        add(uint32_t(c_[i]));
      }
      emit(insert ? Op::InsertValue : Op::ExtractValue, insert ? t : x);
      return true;
    }
    case fence:
      if (n < 2 || c_[0] > 6) return bad();
      add(uint32_t(c_[0])), add(uint32_t(c_[1]));
      emit(Op::Fence, none);
      return true;
    case cmpxchg: {
      // [address, expected, new, volatile, ordering, scope, failure ordering, weak, (alignment)]
      if (!typed_value(i, v, t) || !typed_value(i, w, u) || !value(i, x)) return false;
      if (n - i < 5 || n - i > 6 || c_[i + 1] > 6 || c_[i + 3] > 6) return bad();
      uint32_t pair = none;
      for (uint32_t s : m_.struct_types) {
        const Type& st = m_.types[s];
        if (st.count != 2 || st.packed) continue;
        auto f = m_.list_of(st);
        const Type& flag = m_.types[f[1]];
        if (flag.kind != TypeKind::Integer || flag.count != 1) continue;
        const Type &a = m_.types[f[0]], &e = m_.types[u];
        if (f[0] == u || (a.kind == e.kind && a.kind == TypeKind::Pointer && a.count == e.count)) {
          pair = s;
          if (f[0] == u) break;
        }
      }
      if (pair == none) return bad();
      add(v), add(w), add(x), add(uint32_t(c_[i + 1])), add(uint32_t(c_[i + 3])), add(uint32_t(c_[i + 2]));
      add(n - i > 5 ? align_of(c_[i + 5]) : 0xff);
      emit(Op::CmpXchg, pair, 0, uint16_t((c_[i] & 1) | (c_[i + 4] & 1) << 1));
      return true;
    }
    case atomic_rmw:
    case atomic_rmw_old: {
      // [address, value, operation, volatile, ordering, scope, (alignment)]
      if (!typed_value(i, v, t)) return false;
      if (c_.code() == atomic_rmw) {
        if (!typed_value(i, w, u)) return false;
      } else {
        if (!value(i, w) || w >= next_value_) return bad();
        u = b.type_of(m_, w);
      }
      if (n - i < 4 || n - i > 5 || c_[i] > uint64_t(RmwOp::FMinimum) || c_[i + 2] > 6) return bad();
      add(v), add(w), add(uint32_t(c_[i + 2])), add(uint32_t(c_[i + 3])), add(n - i > 4 ? align_of(c_[i + 4]) : 0xff);
      emit(Op::AtomicRmw, u, uint8_t(c_[i]), c_[i + 1] & 1);
      return true;
    }
    case landing_pad: {
      if (!type(i, t) || n < 3 || m_.types[t].kind == TypeKind::Void) return bad();
      bool cleanup = c_[i++] != 0;
      uint64_t clauses = c_[i++];
      if (clauses > n) return bad();
      add(uint32_t(clauses));
      for (uint64_t k = 0; k < clauses; k++) {
        if (i >= n || c_[i] > 1) return bad();
        add(uint32_t(c_[i++]));
        if (!typed_value(i, v, u)) return false;
        add(v);
      }
      emit(Op::LandingPad, t, 0, cleanup);
      return true;
    }
    case cleanup_ret:
      if (!value(i, v)) return false;
      w = none;
      if (i < n && !block(c_[i], w)) return false;
      add(v), add(w);
      emit(Op::CleanupRet, none);
      return true;
    case catch_ret:
      if (!value(i, v) || i >= n || !block(c_[i], w)) return bad();
      add(v), add(w);
      emit(Op::CatchRet, none);
      return true;
    case catch_pad:
    case cleanup_pad: {
      uint32_t token = none;
      for (uint32_t k = 0; k < m_.types.size() && token == none; k++)
        if (m_.types[k].kind == TypeKind::Token) token = k;
      if (token == none || !value(i, v) || !word(i, x)) return bad();
      add(v), add(x);
      for (uint32_t k = 0; k < x; k++) {
        if (!typed_value(i, w, u)) return false;
        add(w);
      }
      emit(c_.code() == catch_pad ? Op::CatchPad : Op::CleanupPad, token);
      return true;
    }
    case catch_switch: {
      uint32_t token = none;
      for (uint32_t k = 0; k < m_.types.size() && token == none; k++)
        if (m_.types[k].kind == TypeKind::Token) token = k;
      if (token == none || !value(i, v) || !word(i, x)) return bad();
      add(v), add(x);
      for (uint32_t k = 0; k < x; k++) {
        if (i >= n || !block(c_[i++], w)) return bad();
        add(w);
      }
      w = none;
      if (i < n && !block(c_[i], w)) return false;
      add(w);
      emit(Op::CatchSwitch, token);
      return true;
    }
    case freeze:
      if (!typed_value(i, v, t)) return false;
      add(v);
      emit(Op::Freeze, t);
      return true;
    case debug_loc: {
      if (n < 4 || b.insts.empty()) return bad();
      DebugLoc l{uint32_t(c_[0]), uint32_t(c_[1]), uint32_t(c_[2]), uint32_t(c_[3])};
      b.locs.push_back(l);
      b.insts.back().loc = uint32_t(b.locs.size() - 1);
      return true;
    }
    case debug_loc_again:
      if (b.insts.empty() || b.locs.empty()) return bad();
      b.insts.back().loc = uint32_t(b.locs.size() - 1);
      return true;
    case block_addr_users: return true;
    case debug_record_value:
    case debug_record_declare:
    case debug_record_assign:
    case debug_record_value_simple:
    case debug_record_label:
    case debug_record_declare_value: return !m_.wants_debug || read_debug_record(b);
    default: return c_.fail_unknown(block_name);
  }
}

// [location, variable, expression, operand, ...], numbers of metadata; a label's: [location, label]. The operand of the
// simple form is a value like an instruction's.
bool BodyReader::read_debug_record(Body& b) {
  const bool label = c_.code() == debug_record_label;
  if (b.insts.empty() || c_.size() < (label ? 2u : 4u)) return bad();
  DebugRecord r;
  uint32_t i = 0, type = 0;
  r.inst = uint32_t(b.insts.size() - 1);
  if (!word(i, r.location) || !word(i, r.variable)) return false;
  switch (c_.code()) {
    case debug_record_label: r.kind = DebugRecord::label; break;
    case debug_record_declare:
    case debug_record_declare_value: r.kind = DebugRecord::declare; break;
    case debug_record_assign: r.kind = DebugRecord::assign; break;
    default: r.kind = DebugRecord::value; break;
  }
  if (!label) {
    if (!word(i, r.expression)) return false;
    r.is_value = c_.code() == debug_record_value_simple;
    if (r.is_value ? !typed_value(i, r.operand, type) : !word(i, r.operand)) return false;
  }
  b.records.push_back(r);
  return true;
}

// METADATA_ATTACHMENT: [kind, node]... of the function; with a number in front, of an instruction.
bool BodyReader::read_attachments(Body& b) {
  if (!c_.enter_block()) return false;
  while (c_.next_record()) {
    if (c_.size() % 2) continue;
    for (uint32_t i = 0; i < c_.size(); i += 2) {
      if (c_[i] > 0xffffffff || c_[i + 1] >= none) continue;
      if (c_[i] == attachment_dbg) b.subprogram = m_.wants_debug ? uint32_t(c_[i + 1]) + 1 : 0;
      else if (m_.wants_attachments) b.attachments.push_back({uint32_t(c_[i]), uint32_t(c_[i + 1])});
    }
  }
  return !c_.failed();
}

bool BodyReader::read_block(Body& b) {
  if (!c_.enter_block()) return false;
  for (;;) {
    switch (c_.next()) {
      case Cursor::Entry::Record: break;
      case Cursor::Entry::EndBlock: return finish(b);
      case Cursor::Entry::Failed: return false;
      case Cursor::Entry::SubBlock: {
        bool ok = true;
        switch (c_.block_id()) {
          case block_constants: {
            if (!b.insts.empty()) return c_.fail("constants after instructions");
            size_t first = b.constants.list.size();
            ok = read_constants(c_, m_, b.constants);
            if (!ok) break;
            for (size_t k = first; k < b.constants.list.size(); k++) b.value_types.push_back(b.constants.list[k].type);
            if (b.value_types.size() > 0x7fffffff - b.first_local) return c_.fail("too many values");
            next_value_ = b.first_local + uint32_t(b.value_types.size());
            b.first_result = next_value_;
            break;
          }
          case block_metadata_attachment:
            ok = m_.wants_attachments || m_.wants_debug ? read_attachments(b) : c_.skip_block();
            break;
          case block_metadata:
          case block_symbol_table:
          case block_use_list: ok = c_.skip_block(); break;
          default: return c_.fail("unknown block in a function");
        }
        if (!ok) return false;
        continue;
      }
    }
    if (!c_.read_record()) return false;
    if (c_.code() == declare_blocks) {
      // A block takes at least one bit of the file.
      if (c_.size() < 1 || c_[0] == 0 || c_[0] > max_blocks || declared_blocks_) return bad();
      declared_blocks_ = uint32_t(c_[0]);
      continue;
    }
    if (!declared_blocks_) return c_.fail("instruction before the number of blocks");
    if (!read_inst(b)) return false;
  }
}

bool BodyReader::finish(Body& b) {
  if (block_open_) return c_.fail("function ends inside a block");
  if (b.blocks.size() != declared_blocks_) return c_.fail("function has another number of blocks than it declares");
  if (pending_bundle_count_) return c_.fail("operand bundle without a call");
  b.blocks.push_back(uint32_t(b.insts.size()));
  b.value_count = next_value_;
  if (max_value_ >= next_value_) return c_.fail("use of a value that does not exist");
  for (const Forward& f : forwards_) {
    uint32_t t = b.type_of(m_, f.value);
    if (t != f.type && !(m_.types[t].kind == TypeKind::Pointer && m_.types[f.type].kind == TypeKind::Pointer))
      return c_.fail("forward reference of another type than its definition");
  }
  return check_constants(c_, b.constants, b.first_local, b.first_constant, b.first_result - b.first_constant);
}

Result<void> BodyReader::read(uint32_t index, Body& b) {
  if (index >= m_.bodies.size()) return error("no function body of that number");
  b_ = &b;
  const BodyPlace& place = m_.bodies[index];
  const Global& g = m_.globals[place.function];
  b.function = place.function;
  b.insts.clear();
  b.blocks.clear();
  b.constants.clear();
  b.locs.clear();
  b.attachments.clear();
  b.records.clear();
  b.subprogram = 0;
  b.value_types.clear();
  b.first_local = m_.value_count();
  for (uint32_t p : m_.list_of(m_.types[g.type]).subspan(1)) b.value_types.push_back(p);
  next_value_ = b.first_local + uint32_t(b.value_types.size());
  b.first_constant = b.first_result = next_value_;
  max_value_ = 0;
  declared_blocks_ = 0;
  operands_ = b.operands.data();
  operand_room_ = uint32_t(b.operands.size());
  operand_count_ = first_operand_ = 0;
  block_open_ = false;
  forwards_.clear();
  pending_bundles_.clear();
  pending_bundle_count_ = 0;
  c_.seek_block(place.bit, block_function);
  if (!read_block(b)) return std::move(c_.failure()).at("function " + std::string(g.name));
  return {};
}

}  // namespace lode::formats::bitcode
