// WebAssembly's own intrinsics of vectors (llvm.wasm.*), which are what clang's wasm_simd128.h is made of where LLVM
// has no operation of its own: each becomes the lanes' arithmetic. Sources: core specification 4.3.2 and 4.3.3
// (fixed-width SIMD), the relaxed SIMD proposal, whose operations may give one of several results: these give the one
// that the operation without "relaxed" gives, and round a product before it is added. LLVM's IntrinsicsWebAssembly.td
// says which types there are.
//
// The scalar ones (memory.size, trunc.signed and the like) stay calls, which the wasm selector knows
// (wasm/select_calls.cpp); what is in neither table is an error that names it.
#include <algorithm>
#include <iterator>

#include "codegen/import/function_import.h"

namespace lode::codegen {

namespace {

constexpr auto K = IntrinsicKind::WasmVector;

enum Variant : uint8_t {
  all_true, any_true, average, bit_mask, bit_select, dot, extend_add_signed, extend_add_unsigned, narrow_signed,
  narrow_unsigned, pseudo_max, pseudo_min, q15_multiply, dot_bytes, dot_bytes_add, multiply_add, negated_multiply_add,
  truncate_signed_zero, truncate_unsigned_zero, shuffle_bytes, swizzle_bytes,
};

constexpr Intrinsic row(const char* name, Variant v) {
  return {name, K, air::Op::call, nullptr, nullptr, nullptr, nullptr, nullptr, v};
}
constexpr Intrinsic plain(const char* name, air::Op op) { return {name, IntrinsicKind::Plain, op}; }

// Sorted by name.
constexpr Intrinsic table[] = {
    plain("add.sat.signed", air::Op::sadd_sat),
    plain("add.sat.unsigned", air::Op::uadd_sat),
    row("alltrue", all_true),
    row("anytrue", any_true),
    row("avgr.unsigned", average),
    row("bitmask", bit_mask),
    row("bitselect", bit_select),
    row("dot", dot),
    row("extadd.pairwise.signed", extend_add_signed),
    row("extadd.pairwise.unsigned", extend_add_unsigned),
    row("narrow.signed", narrow_signed),
    row("narrow.unsigned", narrow_unsigned),
    row("pmax", pseudo_max),
    row("pmin", pseudo_min),
    row("q15mulr.sat.signed", q15_multiply),
    row("q15mulr.saturate.signed", q15_multiply),
    row("relaxed.dot.i8x16.i7x16.add.signed", dot_bytes_add),
    row("relaxed.dot.i8x16.i7x16.signed", dot_bytes),
    row("relaxed.laneselect", bit_select),
    row("relaxed.madd", multiply_add),
    plain("relaxed.max", air::Op::fmaximum),
    plain("relaxed.min", air::Op::fminimum),
    row("relaxed.nmadd", negated_multiply_add),
    row("relaxed.q15mulr.signed", q15_multiply),
    row("relaxed.swizzle", swizzle_bytes),
    plain("relaxed.trunc.signed", air::Op::fptosi_sat),
    row("relaxed.trunc.signed.zero", truncate_signed_zero),
    plain("relaxed.trunc.unsigned", air::Op::fptoui_sat),
    row("relaxed.trunc.unsigned.zero", truncate_unsigned_zero),
    row("shuffle", shuffle_bytes),
    plain("sub.sat.signed", air::Op::ssub_sat),
    plain("sub.sat.unsigned", air::Op::usub_sat),
    plain("sub.saturate.signed", air::Op::ssub_sat),
    plain("sub.saturate.unsigned", air::Op::usub_sat),
    row("swizzle", swizzle_bytes),
    plain("trunc.saturate.signed", air::Op::fptosi_sat),
    plain("trunc.saturate.unsigned", air::Op::fptoui_sat),
};

constexpr bool sorted() {
  for (size_t i = 1; i < std::size(table); i++)
    if (std::string_view(table[i - 1].name) >= std::string_view(table[i].name)) return false;
  return true;
}
static_assert(sorted());

}  // namespace

const Intrinsic* find_wasm_intrinsic(std::string_view name) {
  // Type suffixes follow the name after dots.
  while (!name.empty()) {
    auto* it = std::lower_bound(std::begin(table), std::end(table), name,
                                [](const Intrinsic& a, std::string_view b) { return std::string_view(a.name) < b; });
    if (it != std::end(table) && it->name == name) return it;
    size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) break;
    name = name.substr(0, dot);
  }
  return nullptr;
}

bool FunctionImporter::wasm_vector(const bc::Inst& i, const Intrinsic& in, T type, std::span<const uint32_t> args) {
  using P = air::IntPredicate;
  const Variant kind = Variant(in.variant);
  // The operands: as many vectors as the operation has, all of 128 bits.
  const unsigned count =
      kind == all_true || kind == any_true || kind == bit_mask || kind == extend_add_signed ||
              kind == extend_add_unsigned || kind == truncate_signed_zero || kind == truncate_unsigned_zero
          ? 1
      : kind == bit_select || kind == dot_bytes_add || kind == multiply_add || kind == negated_multiply_add ? 3
                                                                                                            : 2;
  if (args.size() != count + (kind == shuffle_bytes ? 16 : 0))
    return fail("intrinsic with too few or too many arguments");
  V v[3];
  for (unsigned k = 0; k < count; k++) {
    v[k] = use(args[k]);
    if (!v[k].valid()) return false;
    if (air_type(type_of(v[k])).kind != air::TypeKind::Vector || types_.size_of(type_of(v[k])) != 16)
      return fail("intrinsic of an unexpected type");
  }
  const T operand = type_of(v[0]), e = scalar_of(operand);
  const uint32_t lanes = uint32_t(air_type(operand).count);
  const T result = scalar_of(type);
  const bool to_vector = air_type(type).kind == air::TypeKind::Vector;
  const uint32_t result_lanes = to_vector ? uint32_t(air_type(type).count) : 0;
  const bool integers = is_int(e), scalar_result = type == types_.i32;
  // What the declaration must be.
  auto is = [&](unsigned k, T element) { return scalar_of(type_of(v[k])) == element; };
  auto same = [&] {
    for (unsigned k = 1; k < count; k++)
      if (type_of(v[k]) != operand) return false;
    return true;
  };
  auto pairwise = [&](T from, T to) { return e == from && result == to && result_lanes * 2 == lanes; };
  bool fits = false;
  switch (kind) {
    case all_true: case any_true: case bit_mask: fits = integers && scalar_result; break;
    case average: fits = same() && type == operand && (e == types_.i8 || e == types_.i16); break;
    case bit_select: fits = same() && type == operand && integers; break;
    case dot: fits = same() && pairwise(types_.i16, types_.i32); break;
    case extend_add_signed:
    case extend_add_unsigned: fits = pairwise(types_.i8, types_.i16) || pairwise(types_.i16, types_.i32); break;
    case narrow_signed: case narrow_unsigned:
      fits = same() && result_lanes == 2 * lanes &&
             ((e == types_.i16 && result == types_.i8) || (e == types_.i32 && result == types_.i16));
      break;
    case pseudo_max: case pseudo_min: fits = same() && type == operand && is_float(e); break;
    case q15_multiply: fits = same() && type == operand && e == types_.i16; break;
    case dot_bytes: fits = same() && pairwise(types_.i8, types_.i16); break;
    case dot_bytes_add:
      fits = e == types_.i8 && type_of(v[1]) == operand && is(2, types_.i32) && type == type_of(v[2]);
      break;
    case multiply_add: case negated_multiply_add: fits = same() && type == operand && is_float(e); break;
    case truncate_signed_zero:
    case truncate_unsigned_zero: fits = e == types_.f64 && result == types_.i32 && result_lanes == 4; break;
    case shuffle_bytes: case swizzle_bytes: fits = same() && type == operand && e == types_.i8; break;
  }
  if (!fits) return fail("intrinsic of an unexpected type");

  auto lane = [&](V x, uint32_t n) {
    return emit(O::extract_element, scalar_of(type_of(x)), x.value, int_constant(types_.i32, n).value);
  };
  auto two = [&](O op, V a, V b) { return emit(op, type_of(a), a.value, b.value); };
  auto widen = [&](O op, T to, V a) { return emit(op, to, a.value); };
  auto test = [&](P p, V a, V b) { return emit(O::icmp, types_.i1, a.value, b.value, ~0u, uint16_t(p)); };
  auto choose = [&](V c, V a, V b) { return emit(O::select, type_of(a), c.value, a.value, b.value); };
  auto each = [&](auto&& f) {
    V whole = undef_constant(type);
    for (uint32_t n = 0; n < result_lanes; n++) {
      V x = f(n);
      whole = emit(O::insert_element, type, whole.value, x.value, int_constant(types_.i32, n).value);
    }
    set(i, whole);
    return true;
  };
  // Twice as wide products of lanes 2n and 2n + 1, added.
  auto product = [&](uint32_t n, T wide) {
    auto one = [&](uint32_t k) {
      return two(O::mul, widen(O::sext, wide, lane(v[0], k)), widen(O::sext, wide, lane(v[1], k)));
    };
    V low = one(2 * n), high = one(2 * n + 1);
    return two(O::add, low, high);
  };
  switch (kind) {
    case all_true: case any_true: {
      V all;
      for (uint32_t n = 0; n < lanes; n++) {
        V c = test(P::ne, lane(v[0], n), int_constant(e, 0));
        all = n ? two(kind == all_true ? O::and_ : O::or_, all, c) : c;
      }
      set(i, widen(O::zext, type, all));
      return true;
    }
    case bit_mask: {
      V mask = int_constant(type, 0);
      for (uint32_t n = 0; n < lanes; n++) {
        V bit = widen(O::zext, type, test(P::slt, lane(v[0], n), int_constant(e, 0)));
        mask = two(O::or_, mask, two(O::shl, bit, int_constant(type, n)));
      }
      set(i, mask);
      return true;
    }
    case bit_select: set(i, two(O::xor_, v[1], two(O::and_, two(O::xor_, v[0], v[1]), v[2]))); return true;
    case multiply_add: case negated_multiply_add: {
      V p = two(O::fmul, v[0], v[1]);
      set(i, kind == multiply_add ? two(O::fadd, p, v[2]) : two(O::fsub, v[2], p));
      return true;
    }
    case average:
      return each([&](uint32_t n) {
        V sum = two(O::add, widen(O::zext, types_.i32, lane(v[0], n)), widen(O::zext, types_.i32, lane(v[1], n)));
        sum = two(O::lshr, two(O::add, sum, int_constant(types_.i32, 1)), int_constant(types_.i32, 1));
        return widen(O::trunc, e, sum);
      });
    case dot: case dot_bytes: return each([&](uint32_t n) { return product(n, result); });
    case dot_bytes_add:
      return each([&](uint32_t n) {
        V low = widen(O::sext, types_.i32, product(2 * n, types_.i16)),
          high = widen(O::sext, types_.i32, product(2 * n + 1, types_.i16));
        return two(O::add, two(O::add, low, high), lane(v[2], n));
      });
    case extend_add_signed: case extend_add_unsigned: {
      const O extend = kind == extend_add_signed ? O::sext : O::zext;
      return each([&](uint32_t n) {
        V low = widen(extend, result, lane(v[0], 2 * n)), high = widen(extend, result, lane(v[0], 2 * n + 1));
        return two(O::add, low, high);
      });
    }
    case narrow_signed: case narrow_unsigned: {
      // Operands are signed either way.
      const uint32_t bits = air_type(result).bits;
      const int64_t least = kind == narrow_signed ? -(int64_t{1} << (bits - 1)) : 0;
      const int64_t most = kind == narrow_signed ? (int64_t{1} << (bits - 1)) - 1 : (int64_t{1} << bits) - 1;
      const uint64_t mask = (uint64_t{1} << air_type(e).bits) - 1;
      return each([&](uint32_t n) {
        V x = n < lanes ? lane(v[0], n) : lane(v[1], n - lanes);
        x = two(O::smax, x, int_constant(e, uint64_t(least) & mask));
        return widen(O::trunc, result, two(O::smin, x, int_constant(e, uint64_t(most))));
      });
    }
    case pseudo_max: case pseudo_min:
      return each([&](uint32_t n) {
        V a = lane(v[0], n), b = lane(v[1], n);
        V c = kind == pseudo_min ? emit(O::fcmp, types_.i1, b.value, a.value, ~0u, uint16_t(air::FloatPredicate::olt))
                                 : emit(O::fcmp, types_.i1, a.value, b.value, ~0u, uint16_t(air::FloatPredicate::olt));
        return choose(c, b, a);
      });
    case q15_multiply:
      return each([&](uint32_t n) {
        V p = two(O::mul, widen(O::sext, types_.i32, lane(v[0], n)), widen(O::sext, types_.i32, lane(v[1], n)));
        p = two(O::ashr, two(O::add, p, int_constant(types_.i32, 0x4000)), int_constant(types_.i32, 15));
        return widen(O::trunc, e, two(O::smin, p, int_constant(types_.i32, 0x7fff)));
      });
    case truncate_signed_zero: case truncate_unsigned_zero:
      return each([&](uint32_t n) {
        return n < 2 ? emit(kind == truncate_signed_zero ? O::fptosi_sat : O::fptoui_sat, result, lane(v[0], n).value)
                     : int_constant(result, 0);
      });
    case shuffle_bytes:
      return each([&](uint32_t n) {
        Folded f = folder_.fold(args[2 + n]);
        const uint32_t from = f.kind == Folded::Int ? uint32_t(f.bits) & 31 : 0;  // an undefined number may be any
        return from < 16 ? lane(v[0], from) : lane(v[1], from - 16);
      });
    case swizzle_bytes: {
      // By memory, since the numbers are known when it runs.
      f_.slots.push_back({16, 4});
      V slot = emit(O::slot_addr, types_.ptr, uint32_t(f_.slots.size() - 1));
      emit(O::store, types_.void_type, slot.value, v[0].value, ~0u,
           air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 4));
      return each([&](uint32_t n) {
        V from = lane(v[1], n);
        V index = widen(O::zext, s_.pointer_int, two(O::and_, from, int_constant(types_.i8, 15)));
        V byte = emit(O::load, types_.i8, emit_ptr_add(slot, index, 1, 0).value, ~0u, ~0u,
                      air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 0));
        return choose(test(P::ult, from, int_constant(types_.i8, 16)), byte, int_constant(types_.i8, 0));
      });
    }
  }
  return fail("intrinsic is not supported");
}

}  // namespace lode::codegen
