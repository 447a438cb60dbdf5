// The type table ("TYPE_BLOCK"). Types refer to earlier entries, except that elements of identified structs and
// pointees may come later. What contains itself by value, and what nests deeper than 250 levels, is refused here, so
// that every later walk over a type may recurse.
#include <algorithm>

#include "formats/bitcode/reader_parts.h"

namespace lode::formats::bitcode {

namespace {

constexpr const char* block_name = "TYPE";
constexpr uint64_t max_types = uint64_t{1} << 26;
constexpr int max_depth = 250;  // within air::TypeTable::max_nesting

enum Code : uint32_t {
  num_entry = 1, void_ = 2, float_ = 3, double_ = 4, label = 5, opaque = 6, integer = 7, pointer = 8, half = 10,
  array = 11, vector = 12, x86_fp80 = 13, fp128 = 14, ppc_fp128 = 15, metadata = 16, x86_mmx = 17, struct_anon = 18,
  struct_name = 19, struct_named = 20, function = 21, token = 22, bfloat = 23, x86_amx = 24, opaque_pointer = 25,
  target_type = 26,
};

bool list(Cursor& c, Module& m, Type& t, uint32_t from) {
  if (c.size() < from) return c.fail_malformed(block_name);
  t.element = uint32_t(m.type_lists.size());
  t.count = c.size() - from;
  for (uint32_t i = from; i < c.size(); i++) {
    if (c[i] >= max_types) return c.fail_malformed(block_name);
    m.type_lists.push_back(uint32_t(c[i]));
  }
  return true;
}

// How deep each type nests, 0 for what contains nothing; filled in as types are asked for. Pointers and functions do
// not contain what they refer to.
constexpr uint16_t unseen = 0xffff, on_the_way = 0xfffe;
bool check_nesting(const Module& m, uint32_t id, std::vector<uint16_t>& depths, int level) {
  if (depths[id] < on_the_way) return true;
  if (depths[id] == on_the_way || level > max_depth) return false;
  depths[id] = on_the_way;
  const Type& t = m.types[id];
  int depth = 0;
  auto contains = [&](uint32_t e) {
    if (!check_nesting(m, e, depths, level + 1)) return false;
    depth = std::max(depth, depths[e] + 1);
    return depth <= max_depth;
  };
  switch (t.kind) {
    case TypeKind::Array:
    case TypeKind::Vector:
    case TypeKind::ScalableVector:
      if (!contains(t.element)) return false;
      break;
    case TypeKind::Struct:
      for (uint32_t e : m.list_of(t))
        if (!contains(e)) return false;
      break;
    default: break;
  }
  depths[id] = uint16_t(depth);
  return true;
}

bool can_be_element(TypeKind k) {
  return k != TypeKind::Void && k != TypeKind::Label && k != TypeKind::Metadata && k != TypeKind::Function &&
         k != TypeKind::Token;
}

bool can_be_lane(TypeKind k) {
  return k == TypeKind::Integer || k == TypeKind::Pointer || (k >= TypeKind::Half && k <= TypeKind::PpcFp128);
}

}  // namespace

bool read_types(Cursor& c, Module& m) {
  if (!m.types.empty()) return c.fail("second type table");
  if (!c.enter_block()) return false;
  std::string_view name;
  while (c.next_record()) {
    Type t;
    bool ok = true;
    switch (c.code()) {
      case num_entry:
        if (c.size() < 1 || c[0] > max_types) return c.fail_malformed(block_name);
        m.types.reserve(size_t(std::min<uint64_t>(c[0], m.stream.size())));
        m.type_names.reserve(m.types.capacity());
        continue;
      case struct_name: name = text_of(m, c); continue;
      case void_: t.kind = TypeKind::Void; break;
      case half: t.kind = TypeKind::Half; break;
      case bfloat: t.kind = TypeKind::BFloat; break;
      case float_: t.kind = TypeKind::Float; break;
      case double_: t.kind = TypeKind::Double; break;
      case x86_fp80: t.kind = TypeKind::X86Fp80; break;
      case fp128: t.kind = TypeKind::Fp128; break;
      case ppc_fp128: t.kind = TypeKind::PpcFp128; break;
      case label: t.kind = TypeKind::Label; break;
      case metadata: t.kind = TypeKind::Metadata; break;
      case x86_mmx: t.kind = TypeKind::X86Mmx; break;
      case x86_amx: t.kind = TypeKind::X86Amx; break;
      case token: t.kind = TypeKind::Token; break;
      case integer:
        t.kind = TypeKind::Integer;
        ok = c.size() >= 1 && c[0] >= 1 && c[0] <= (1 << 23);
        if (ok) t.count = c[0];
        break;
      case pointer:
        t.kind = TypeKind::Pointer;
        ok = c.size() >= 1 && c[0] < max_types;
        if (ok) {
          t.element = uint32_t(c[0]);
          t.count = c.size() > 1 ? uint32_t(c[1]) : 0;
        }
        break;
      case opaque_pointer:
        t.kind = TypeKind::Pointer;
        t.element = none;
        t.count = c.size() >= 1 ? uint32_t(c[0]) : 0;
        break;
      case array:
      case vector:
        t.kind = c.code() == array                  ? TypeKind::Array
                 : c.size() > 2 && c[2] != 0        ? TypeKind::ScalableVector
                                                    : TypeKind::Vector;
        ok = c.size() >= 2 && c[1] < max_types && (c.code() == array || (c[0] > 0 && c[0] < (1u << 24)));
        if (ok) {
          t.count = c[0];
          t.element = uint32_t(c[1]);
        }
        break;
      case struct_anon:
      case struct_named:
        t.kind = TypeKind::Struct;
        t.named = c.code() == struct_named;
        ok = list(c, m, t, 1);
        if (ok) t.packed = c[0] != 0;
        break;
      case function:
        t.kind = TypeKind::Function;
        ok = c.size() >= 2 && list(c, m, t, 1);
        if (ok) t.vararg = c[0] != 0;
        break;
      case opaque: t.kind = TypeKind::Opaque; break;
      case target_type: t.kind = TypeKind::TargetExt; break;
      default: return c.fail_unknown(block_name);
    }
    if (!ok) return c.fail_malformed(block_name);
    bool takes_name = c.code() == struct_named || c.code() == opaque || c.code() == target_type;
    m.types.push_back(t);
    m.type_names.push_back(takes_name ? name : std::string_view{});
    if (takes_name) name = {};
    if (m.types.size() > max_types) return c.fail("too many types");
  }
  return !c.failed();
}

bool finish_types(Cursor& c, Module& m) {
  const uint32_t n = uint32_t(m.types.size());
  for (const Type& t : m.types) {
    switch (t.kind) {
      case TypeKind::Pointer:
        if (t.element != none && t.element >= n) return c.fail("pointer to a type that does not exist");
        break;
      case TypeKind::Array:
      case TypeKind::Vector:
      case TypeKind::ScalableVector:
        if (t.element >= n) return c.fail("array or vector of a type that does not exist");
        if (t.kind == TypeKind::Array ? !can_be_element(m.types[t.element].kind)
                                      : !can_be_lane(m.types[t.element].kind))
          return c.fail("array or vector of a type that cannot be an element");
        break;
      case TypeKind::Struct:
        for (uint32_t e : m.list_of(t))
          if (e >= n || !can_be_element(m.types[e].kind)) return c.fail("struct with a bad element type");
        break;
      case TypeKind::Function:
        for (uint32_t e : m.list_of(t))
          if (e >= n || m.types[e].kind == TypeKind::Function) return c.fail("function type with a bad parameter type");
        break;
      default: break;
    }
  }
  std::vector<uint16_t> depths(n, unseen);
  for (uint32_t i = 0; i < n; i++)
    if (!check_nesting(m, i, depths, 0)) return c.fail("type that contains itself or nests too deeply");

  for (uint32_t i = 0; i < n; i++) {
    const Type& t = m.types[i];
    if (t.kind == TypeKind::Integer && t.count == 1 && m.type_i1 == none) m.type_i1 = i;
    if (t.kind == TypeKind::Pointer) {
      if (t.count == 0 && m.type_ptr == none) m.type_ptr = i;
      bool known = false;
      for (uint32_t p : m.pointer_types) known |= m.types[p].count == t.count;
      if (!known) m.pointer_types.push_back(i);
      if (m.pointer_types.size() > 256) return c.fail("too many address spaces");
    }
    if (t.kind == TypeKind::Vector || t.kind == TypeKind::ScalableVector) m.vector_types.push_back(i);
    if (t.kind == TypeKind::Struct && !t.named) m.struct_types.push_back(i);
  }
  auto add = [&](Type t) {
    m.types.push_back(t);
    m.type_names.push_back({});
    return uint32_t(m.types.size() - 1);
  };
  if (m.type_i1 == none) m.type_i1 = add({.kind = TypeKind::Integer, .count = 1});
  if (m.type_ptr == none) {
    m.type_ptr = add({.kind = TypeKind::Pointer, .element = none});
    m.pointer_types.push_back(m.type_ptr);
  }
  return true;
}

}  // namespace lode::formats::bitcode
