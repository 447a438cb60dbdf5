// The type table and the instruction table.
//
// Types are hash-consed: an id names one structural type, so that type equality is an integer comparison. Sizes follow
// LLVM's data layout rules: an integer's store size is its width in bytes rounded up, its alignment that of the next
// power of two up to 8 bytes (16 from i128 on where the data layout says so); aggregates are laid out in field order.
#include "codegen/air/air.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/air/simd.h"

namespace lode::air {

namespace {
using namespace traits;
// A C++ keyword's row carries a trailing underscore that the text form does not have.
constexpr const char* op_name(const char* s) {
  constexpr const char* keywords[][2] = {{"and_", "and"}, {"or_", "or"}, {"xor_", "xor"}, {"switch_", "switch"}};
  for (auto& k : keywords)
    if (std::string_view(s) == k[0]) return k[1];
  return s;
}
}  // namespace

const OpInfo op_table[] = {
#define AIR_OP(name, shape, result, op_traits) {op_name(#name), Shape::shape, ResultRule::result, uint8_t(op_traits)},
#include "codegen/air/opcodes.def"
#undef AIR_OP
};
const unsigned op_count = sizeof(op_table) / sizeof(op_table[0]);

const SimdOpInfo simd_op_table[] = {
#define SIMD_OP(name, operands) {op_name(#name), SimdOpInfo::operands},
#include "codegen/air/simd_ops.def"
#undef SIMD_OP
};
const unsigned simd_op_count = sizeof(simd_op_table) / sizeof(simd_op_table[0]);

TypeId simd_result(SimdOp op) {
  switch (op) {
    case SimdOp::to_i32: case SimdOp::extract_16: case SimdOp::sign_mask_8: case SimdOp::sign_mask_32:
    case SimdOp::sign_mask_64: return TypeTable::i32;
    case SimdOp::to_i64: return TypeTable::i64;
    case SimdOp::to_f32: return TypeTable::f32;
    case SimdOp::to_f64: return TypeTable::f64;
    default: return TypeTable::v128;
  }
}

TypeId simd_operand(SimdOp op) {
  switch (op) {
    case SimdOp::from_i32: return TypeTable::i32;
    case SimdOp::from_i64: return TypeTable::i64;
    case SimdOp::from_f32: return TypeTable::f32;
    case SimdOp::from_f64: return TypeTable::f64;
    default: return TypeTable::v128;
  }
}

TypeTable::TypeTable() {
  buckets_.assign(64, 0);
  auto simple = [&](TypeKind k, uint32_t bits = 0) {
    Type t;
    t.kind = k;
    t.bits = bits;
    intern(t);
  };
  simple(TypeKind::Void);
  for (uint32_t bits : {1, 8, 16, 32, 64, 128}) simple(TypeKind::Int, bits);
  for (TypeKind k :
       {TypeKind::F16, TypeKind::BF16, TypeKind::F32, TypeKind::F64, TypeKind::F80, TypeKind::F128, TypeKind::Ptr})
    simple(k);
  vector_type(i8, 16);
  for (TypeId t : {i8, i16, i32, i64, ptr}) {
    const TypeId pair[] = {t, i1};
    struct_type(pair, 2);
  }
  vector_type(i8, 32);
}

TypeId TypeTable::intern(const Type& t) {
  auto hash_of = [&](const Type& x) {
    uint64_t h = uint64_t(x.kind) * 31 + x.packed * 7 + x.vararg * 3;
    auto mix = [&](uint64_t v) { h = (h ^ v) * 0x9e3779b97f4a7c15ull; h ^= h >> 29; };
    mix(x.bits);
    mix(x.element.value);
    mix(x.count);
    mix(x.field_count);
    for (uint32_t i = 0; i < x.field_count; i++) mix(members_[x.fields + i].value);
    return h;
  };
  auto same = [&](const Type& x, const Type& y) {
    if (x.kind != y.kind || x.packed != y.packed || x.vararg != y.vararg || x.bits != y.bits ||
        x.element != y.element || x.count != y.count || x.field_count != y.field_count)
      return false;
    return std::equal(members_.begin() + x.fields, members_.begin() + x.fields + x.field_count,
                      members_.begin() + y.fields);
  };
  if (types_.size() * 2 >= buckets_.size()) {
    std::vector<uint32_t> bigger(buckets_.size() * 2, 0);
    for (uint32_t i = 0; i < types_.size(); i++) {
      size_t b = hash_of(types_[i]) & (bigger.size() - 1);
      while (bigger[b]) b = (b + 1) & (bigger.size() - 1);
      bigger[b] = i + 1;
    }
    buckets_ = std::move(bigger);
  }
  size_t b = hash_of(t) & (buckets_.size() - 1);
  while (buckets_[b]) {
    if (same(types_[buckets_[b] - 1], t)) {
      // The caller appended t's members at the end for the comparison; they are not needed.
      if (t.field_count && t.fields + t.field_count == members_.size() && types_[buckets_[b] - 1].fields != t.fields)
        members_.resize(t.fields);
      return TypeId(buckets_[b] - 1);
    }
    b = (b + 1) & (buckets_.size() - 1);
  }
  offsets_.resize(members_.size());
  measures_.push_back(measure(t));
  unsigned depth = t.element.valid() ? depths_[t.element.value] + 1u : 0;
  for (uint32_t i = 0; i < t.field_count; i++) depth = std::max(depth, depths_[members_[t.fields + i].value] + 1u);
  depths_.push_back(uint16_t(std::min(depth, 0xffffu)));
  types_.push_back(t);
  buckets_[b] = uint32_t(types_.size());
  return TypeId(uint32_t(types_.size() - 1));
}

TypeId TypeTable::int_type(uint32_t bits) {
  switch (bits) {
    case 1: return i1;
    case 8: return i8;
    case 16: return i16;
    case 32: return i32;
    case 64: return i64;
    case 128: return i128;
  }
  Type t;
  t.kind = TypeKind::Int;
  t.bits = bits;
  return intern(t);
}

TypeId TypeTable::vector_type(TypeId element, uint64_t count) {
  Type t;
  t.kind = TypeKind::Vector;
  t.element = element;
  t.count = count;
  return intern(t);
}

TypeId TypeTable::array_type(TypeId element, uint64_t count) {
  Type t;
  t.kind = TypeKind::Array;
  t.element = element;
  t.count = count;
  return intern(t);
}

TypeId TypeTable::struct_type(const TypeId* fields, size_t n, bool packed) {
  Type t;
  t.kind = TypeKind::Struct;
  t.packed = packed;
  t.fields = uint32_t(members_.size());
  t.field_count = uint32_t(n);
  members_.insert(members_.end(), fields, fields + n);
  return intern(t);
}

TypeId TypeTable::function_type(TypeId result, const TypeId* params, size_t n, bool vararg) {
  Type t;
  t.kind = TypeKind::Function;
  t.element = result;
  t.vararg = vararg;
  t.fields = uint32_t(members_.size());
  t.field_count = uint32_t(n);
  members_.insert(members_.end(), params, params + n);
  return intern(t);
}

TypeTable::Measure TypeTable::measure(const Type& t) {
  constexpr uint64_t limit = uint64_t{1} << 62;
  auto log2 = [](uint64_t a) { return uint8_t(std::bit_width(a) - 1); };
  auto scalar = [&](uint64_t store, uint64_t align) { return Measure{align_up(store, align), store, log2(align)}; };
  auto product = [&](uint64_t a, uint64_t n) { return a && n > limit / a ? limit : std::min(a * n, limit); };
  switch (t.kind) {
    case TypeKind::Void: case TypeKind::Function: return {0, 0, 0};
    case TypeKind::Int: {
      uint64_t bytes = (uint64_t(t.bits) + 7) / 8;
      uint64_t align = t.bits <= 8    ? 1
                       : t.bits <= 16 ? 2
                       : t.bits <= 32 ? 4
                       : t.bits <= 64 ? layout_.i64_align
                                      : layout_.i128_align;
      return scalar(bytes, align);
    }
    case TypeKind::F16: case TypeKind::BF16: return scalar(2, 2);
    case TypeKind::F32: return scalar(4, 4);
    case TypeKind::F64: return scalar(8, 8);
    case TypeKind::F80: return scalar(10, layout_.f80_align);
    case TypeKind::F128: return scalar(16, layout_.f128_align);
    case TypeKind::Ptr: return scalar(layout_.pointer_bytes, layout_.pointer_bytes);
    case TypeKind::Vector: {
      const Type& e = types_[t.element.value];
      uint64_t bits = e.kind == TypeKind::Int ? e.bits : e.kind == TypeKind::F80 ? 80 : size_of(t.element) * 8;
      uint64_t store = product(bits, t.count);
      store = std::max<uint64_t>(1, store / 8 + (store % 8 != 0));
      uint64_t align = std::bit_ceil(std::min<uint64_t>(store, 1 << 20));
      if (layout_.max_vector_align && align > layout_.max_vector_align) align = layout_.max_vector_align;
      return {align_up(store, align), store, log2(align)};
    }
    case TypeKind::Array: {
      uint64_t size = product(size_of(t.element), t.count);
      return {size, size, measures_[t.element.value].align_log2};
    }
    case TypeKind::Struct: {
      uint64_t at = 0;
      uint8_t align_log2 = 0;
      for (uint32_t i = 0; i < t.field_count; i++) {
        const Measure& f = measures_[member(t, i).value];
        if (!t.packed) {
          align_log2 = std::max(align_log2, f.align_log2);
          at = align_up(at, uint64_t{1} << f.align_log2);
        }
        offsets_[t.fields + i] = at;
        at = std::min(at + f.size, limit);
      }
      at = align_up(at, uint64_t{1} << align_log2);
      return {at, at, align_log2};
    }
  }
  return {0, 0, 0};
}

void TypeTable::set_layout(const DataLayout& layout) {
  layout_ = layout;
  for (size_t i = 0; i < types_.size(); i++) measures_[i] = measure(types_[i]);
}

void Function::clear() {
  symbol = {};
  type = {};
  conv = CallConv::c;
  flags = 0;
  features = 0;
  result_attrs = 0;
  align_log2 = 0;
  personality = {};
  requests = {};
  param_attrs.clear();
  blocks.clear();
  insts.clear();
  values.clear();
  extra.clear();
  edges.clear();
  constants.clear();
  calls.clear();
  slots.clear();
  lifetime_markers = false;
  landing_pads.clear();
  inline_asms.clear();
  strings.clear();
  inst_locations.clear();
  locations.clear();
  debug_places.clear();
  subprogram = 0;
}

}  // namespace lode::air
