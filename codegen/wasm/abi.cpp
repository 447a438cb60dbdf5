// Types of functions and layout of frames; see abi.h.
#include "codegen/wasm/abi.h"

#include <algorithm>

#include "base/bytes.h"
#include "codegen/wasm/target.h"

namespace lode::wasm {

ValueType value_type(const air::TypeTable& types, air::TypeId leaf) {
  const air::Type& t = types[leaf];
  switch (t.kind) {
    case air::TypeKind::Int: return t.bits > 32 ? ValueType::i64 : ValueType::i32;
    case air::TypeKind::Ptr: return types.layout().pointer_bytes == 8 ? ValueType::i64 : ValueType::i32;
    case air::TypeKind::F32: return ValueType::f32;
    case air::TypeKind::F64: return ValueType::f64;
    case air::TypeKind::Vector: return ValueType::v128;
    default: return ValueType::i32;
  }
}

namespace {
void from_legal(const air::TypeTable& types, const air::LegalSignature& legal, Signature& out) {
  out.params.clear();
  out.results.clear();
  for (air::TypeId t : legal.params) out.params.push_back(value_type(types, t));
  for (air::TypeId t : legal.results) out.results.push_back(value_type(types, t));
  out.fixed = uint32_t(out.params.size());
  out.vararg = legal.vararg;
  if (legal.vararg) out.params.push_back(value_type(types, air::TypeTable::ptr));
}
}  // namespace

Result<void> make_signature(const air::TypeTable& types, air::TypeId function_type, Signature& out) {
  air::LegalSignature legal;
  LODE_TRY(air::legal_signature(types, function_type, air::LegalizeOptions::wasm(), legal));
  from_legal(types, legal, out);
  return {};
}

Result<void> make_signature(const air::TypeTable& types, air::RuntimeFunction f, Signature& out) {
  air::LegalSignature legal;
  LODE_TRY(air::legal_signature(types, f, air::LegalizeOptions::wasm(), legal));
  from_legal(types, legal, out);
  return {};
}

Result<SignatureBytes> signature_of(const air::TypeTable& types, air::TypeId function_type, uint32_t) {
  Signature s;
  LODE_TRY(make_signature(types, function_type, s));
  return signature_bytes(s.params, s.results);
}

Result<SignatureBytes> signature_of(const air::TypeTable& types, air::RuntimeFunction f, uint32_t) {
  Signature s;
  LODE_TRY(make_signature(types, f, s));
  return signature_bytes(s.params, s.results);
}

air::LegalizeOptions legalize_options(uint32_t features) {
  air::LegalizeOptions o = air::LegalizeOptions::wasm();
  o.has_saturating_conversions = features & bit(Feature::nontrapping_fptoint);
  // What the threads proposal has; without threads the others of an integer are as plain as these.
  using R = air::RmwOp;
  o.rmw_ops = 0;
  for (R r : {R::xchg, R::add, R::sub, R::and_, R::or_, R::xor_}) o.rmw_ops |= 1u << unsigned(r);
  if (!(features & bit(Feature::atomics)))
    for (R r : {R::nand, R::smax, R::smin, R::umax, R::umin}) o.rmw_ops |= 1u << unsigned(r);
  return o;
}

Result<FrameLayout> layout_frame(std::span<FrameSlot> slots) {
  FrameLayout layout;
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < slots.size(); i++)
    if (slots[i].uses) order.push_back(i);
  // More uses a byte first; a slot of no size still has an address.
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    uint64_t x = slots[a].uses, y = slots[b].uses;
    return x * std::max<uint64_t>(slots[b].size, 4) > y * std::max<uint64_t>(slots[a].size, 4);
  });
  uint64_t at = 0;
  for (uint32_t i : order) {
    FrameSlot& s = slots[i];
    uint32_t align = std::min(s.align_log2, 30u);
    layout.align_log2 = std::max(layout.align_log2, align);
    at = align_up(at, uint64_t{1} << align);
    s.offset = uint32_t(at);
    if (s.size > 0x7fff0000u || (at += std::max<uint64_t>(s.size, 1)) > 0x7fff0000u)
      return error("stack frame of more than 2 GiB");
  }
  layout.size = uint32_t(align_up(at, 16));
  return layout;
}

}  // namespace lode::wasm
