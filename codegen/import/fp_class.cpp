// llvm.is.fpclass: whether a floating-point number is of one of the classes of a mask (LLVM Language Reference,
// "llvm.is.fpclass").
//
// Bits of the mask, from 0: signalling and quiet NaN, negative infinity, normal, subnormal, zero, then positive zero,
// subnormal, normal, infinity. They are told apart by their encoding as integers, so nothing is raised. Vectors go lane
// by lane.

#include "codegen/import/function_import.h"

namespace lode::codegen {

bool FunctionImporter::is_fp_class(const bc::Inst& i, T type, V value, uint32_t mask) {
  const air::Type given = air_type(type_of(value)), result = air_type(type);
  if (given.kind != air::TypeKind::Vector) {
    if (type != types_.i1) return fail("intrinsic of an unexpected type");
    return set_checked(i, fp_class(value, mask));
  }
  if (result.kind != air::TypeKind::Vector || result.element != types_.i1 || result.count != given.count)
    return fail("intrinsic of an unexpected type");
  if (given.count > 64) return fail("intrinsic on a vector that is too long");
  V whole = undef_constant(type);
  for (uint64_t l = 0; l < given.count; l++) {
    V lane = int_constant(types_.i32, l);
    V one = fp_class(emit(O::extract_element, given.element, value.value, lane.value), mask);
    if (!one.valid()) return false;
    whole = emit(O::insert_element, type, whole.value, one.value, lane.value);
  }
  set(i, whole);
  return true;
}

FunctionImporter::V FunctionImporter::fp_class(V value, uint32_t mask) {
  struct Format {
    uint32_t bits, fraction;
    T type;
  };
  const T t = type_of(value);
  Format f{};
  switch (air_type(t).kind) {
    case air::TypeKind::F16: f = {16, 10, types_.i16}; break;
    case air::TypeKind::BF16: f = {16, 7, types_.i16}; break;
    case air::TypeKind::F32: f = {32, 23, types_.i32}; break;
    case air::TypeKind::F64: f = {64, 52, types_.i64}; break;
    case air::TypeKind::F80: return f80_class(value, mask);
    default: fail("intrinsic on a type that is not supported"); return V{};
  }
  const uint64_t sign = uint64_t{1} << (f.bits - 1);
  const uint64_t normal = uint64_t{1} << f.fraction;
  const uint64_t infinity = (sign - 1) & ~(normal - 1);
  auto number = [&](uint64_t n) { return int_constant(f.type, n).value; };
  auto test = [&](air::IntPredicate p, V a, uint64_t n) {
    return emit(O::icmp, types_.i1, a.value, number(n), ~0u, uint16_t(p));
  };
  V bits = emit(O::bitcast, f.type, value.value);
  V magnitude = emit(O::and_, f.type, bits.value, number(sign - 1));
  V negative, any;
  auto add = [&](V v) { any = any.valid() ? emit(O::or_, types_.i1, any.value, v.value) : v; };
  // Classes of both signs at once where the mask allows; bit positions as above.
  auto pair = [&](unsigned minus, unsigned plus, auto&& make) {
    const bool m = mask >> minus & 1, p = mask >> plus & 1;
    if (!m && !p) return;
    V v = make();
    if (m != p) {
      if (!negative.valid()) negative = test(air::IntPredicate::slt, bits, 0);
      V side = m ? negative : emit(O::xor_, types_.i1, negative.value, int_constant(types_.i1, 1).value);
      v = emit(O::and_, types_.i1, v.value, side.value);
    }
    add(v);
  };
  if ((mask & 3) == 3) {
    add(test(air::IntPredicate::ugt, magnitude, infinity));
  } else if (mask & 1) {
    V nan = test(air::IntPredicate::ugt, magnitude, infinity);
    V quiet = test(air::IntPredicate::uge, magnitude, infinity | normal >> 1);
    add(emit(O::and_, types_.i1, nan.value,
             emit(O::xor_, types_.i1, quiet.value, int_constant(types_.i1, 1).value).value));
  } else if (mask & 2) {
    add(test(air::IntPredicate::uge, magnitude, infinity | normal >> 1));
  }
  pair(2, 9, [&] { return test(air::IntPredicate::eq, magnitude, infinity); });
  pair(3, 8, [&] {
    V shifted = emit(O::sub, f.type, magnitude.value, number(normal));
    return test(air::IntPredicate::ult, shifted, infinity - normal);
  });
  pair(4, 7, [&] {
    V shifted = emit(O::sub, f.type, magnitude.value, number(1));
    return test(air::IntPredicate::ult, shifted, normal - 1);
  });
  pair(5, 6, [&] { return test(air::IntPredicate::eq, magnitude, 0); });
  return any.valid() ? any : int_constant(types_.i1, 0);
}

// The significand's top bit is explicit: clear under any exponent but 0 it makes an encoding that processors since the
// 80387 do not support; like LLVM we count these as NaNs (and, so that each NaN is of one kind, as quiet ones).
FunctionImporter::V FunctionImporter::f80_class(V value, uint32_t mask) {
  f_.slots.push_back({16, 4});
  V slot = emit(O::slot_addr, types_.ptr, uint32_t(f_.slots.size() - 1));
  const uint16_t plain = air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 0);
  emit(O::store, types_.void_type, slot.value, value.value, ~0u, plain);
  V significand = emit(O::load, types_.i64, slot.value, ~0u, ~0u, plain);
  V top = emit(O::load, types_.i16, emit_ptr_add(slot, V{}, 0, 8).value, ~0u, ~0u, plain);
  V exponent = emit(O::and_, types_.i16, top.value, int_constant(types_.i16, 0x7fff).value);
  using P = air::IntPredicate;
  auto test = [&](P p, V a, uint64_t n) {
    return emit(O::icmp, types_.i1, a.value, int_constant(type_of(a), n).value, ~0u, uint16_t(p));
  };
  auto both = [&](V a, V b) { return emit(O::and_, types_.i1, a.value, b.value); };
  auto either = [&](V a, V b) { return emit(O::or_, types_.i1, a.value, b.value); };
  auto opposite = [&](V a) { return emit(O::xor_, types_.i1, a.value, int_constant(types_.i1, 1).value); };
  constexpr uint64_t leading = uint64_t{1} << 63, quiet_bit = uint64_t{1} << 62;

  V negative, any;
  auto add = [&](V v) { any = any.valid() ? either(any, v) : v; };
  auto pair = [&](unsigned minus, unsigned plus, auto&& make) {
    const bool m = mask >> minus & 1, p = mask >> plus & 1;
    if (!m && !p) return;
    V v = make();
    if (m != p) {
      if (!negative.valid()) negative = test(P::slt, top, 0);
      v = both(v, m ? negative : opposite(negative));
    }
    add(v);
  };
  if (mask & 3) {
    V special = test(P::eq, exponent, 0x7fff);
    V signalling =
        both(special, both(test(P::ugt, significand, leading), test(P::ult, significand, leading | quiet_bit)));
    V unsupported = both(test(P::ne, exponent, 0), test(P::ult, significand, leading));
    V nan = either(unsupported, both(special, test(P::ne, significand, leading)));
    add((mask & 3) == 3 ? nan : mask & 1 ? signalling : both(nan, opposite(signalling)));
  }
  pair(2, 9, [&] { return both(test(P::eq, exponent, 0x7fff), test(P::eq, significand, leading)); });
  pair(3, 8, [&] {
    V less_one = emit(O::sub, types_.i16, exponent.value, int_constant(types_.i16, 1).value);
    return both(test(P::ult, less_one, 0x7ffe), test(P::uge, significand, leading));
  });
  pair(4, 7, [&] { return both(test(P::eq, exponent, 0), test(P::ne, significand, 0)); });
  pair(5, 6, [&] { return both(test(P::eq, exponent, 0), test(P::eq, significand, 0)); });
  return any.valid() ? any : int_constant(types_.i1, 0);
}

}  // namespace lode::codegen
