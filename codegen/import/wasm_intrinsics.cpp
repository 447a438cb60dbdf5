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

// One call: what its operands must be, and the value that it becomes.
struct FunctionImporter::WasmVector {
  using P = air::IntPredicate;

  FunctionImporter& f;
  const Variant kind;
  const T type;                              // of the result
  const std::span<const uint32_t> args;
  V v[3] = {};                               // the operands: as many vectors as there are, all of 128 bits
  unsigned count = 0;
  T operand = {}, e = {}, result = {};       // the first operand's type, and the elements' of it and of the result
  uint32_t lanes = 0, result_lanes = 0;
  const air::TypeTable& types_ = f.types_;

  unsigned operands() const {
    switch (kind) {
      case all_true: case any_true: case bit_mask: case extend_add_signed: case extend_add_unsigned:
      case truncate_signed_zero: case truncate_unsigned_zero: return 1;
      case bit_select: case dot_bytes_add: case multiply_add: case negated_multiply_add: return 3;
      default: return 2;
    }
  }

  bool read() {
    count = operands();
    if (args.size() != count + (kind == shuffle_bytes ? 16 : 0))
      return f.fail("intrinsic with too few or too many arguments");
    for (unsigned k = 0; k < count; k++) {
      v[k] = f.use(args[k]);
      if (!v[k].valid()) return false;
      if (f.air_type(f.type_of(v[k])).kind != air::TypeKind::Vector || types_.size_of(f.type_of(v[k])) != 16)
        return f.fail("intrinsic of an unexpected type");
    }
    operand = f.type_of(v[0]);
    e = f.scalar_of(operand);
    lanes = uint32_t(f.air_type(operand).count);
    result = f.scalar_of(type);
    if (f.air_type(type).kind == air::TypeKind::Vector) result_lanes = uint32_t(f.air_type(type).count);
    return fits() || f.fail("intrinsic of an unexpected type");
  }

  // Is the declaration what it must be?
  bool same() const {
    for (unsigned k = 1; k < count; k++)
      if (f.type_of(v[k]) != operand) return false;
    return true;
  }
  bool pairwise(T from, T to) const { return e == from && result == to && result_lanes * 2 == lanes; }
  bool fits() const {
    switch (kind) {
      case all_true: case any_true: case bit_mask: return f.is_int(e) && type == types_.i32;
      case average: return same() && type == operand && (e == types_.i8 || e == types_.i16);
      case bit_select: return same() && type == operand && f.is_int(e);
      case dot: return same() && pairwise(types_.i16, types_.i32);
      case extend_add_signed:
      case extend_add_unsigned: return pairwise(types_.i8, types_.i16) || pairwise(types_.i16, types_.i32);
      case narrow_signed: case narrow_unsigned:
        return same() && result_lanes == 2 * lanes &&
               ((e == types_.i16 && result == types_.i8) || (e == types_.i32 && result == types_.i16));
      case q15_multiply: return same() && type == operand && e == types_.i16;
      case dot_bytes: return same() && pairwise(types_.i8, types_.i16);
      case dot_bytes_add:
        return e == types_.i8 && f.type_of(v[1]) == operand && f.scalar_of(f.type_of(v[2])) == types_.i32 &&
               type == f.type_of(v[2]);
      case pseudo_max: case pseudo_min: case multiply_add:
      case negated_multiply_add: return same() && type == operand && f.is_float(e);
      case truncate_signed_zero:
      case truncate_unsigned_zero: return e == types_.f64 && result == types_.i32 && result_lanes == 4;
      case shuffle_bytes: case swizzle_bytes: return same() && type == operand && e == types_.i8;
    }
    return false;
  }

  // Instructions on lanes.
  V number(T t, uint64_t n) { return f.int_constant(t, n); }
  V lane(V x, uint32_t n) {
    return f.emit(O::extract_element, f.scalar_of(f.type_of(x)), x.value, number(types_.i32, n).value);
  }
  V two(O op, V a, V b) { return f.emit(op, f.type_of(a), a.value, b.value); }
  V widen(O op, T to, V a) { return f.emit(op, to, a.value); }
  V test(P p, V a, V b) { return f.emit(O::icmp, types_.i1, a.value, b.value, ~0u, uint16_t(p)); }
  V choose(V c, V a, V b) { return f.emit(O::select, f.type_of(a), c.value, a.value, b.value); }
  // The vector whose lane n is value_of(n).
  template <class F>
  V each(F&& value_of) {
    V whole = f.undef_constant(type);
    for (uint32_t n = 0; n < result_lanes; n++) {
      V x = value_of(n);
      whole = f.emit(O::insert_element, type, whole.value, x.value, number(types_.i32, n).value);
    }
    return whole;
  }
  // Twice as wide products of lanes 2n and 2n + 1, added.
  V product(uint32_t n, T wide) {
    auto one = [&](uint32_t k) {
      return two(O::mul, widen(O::sext, wide, lane(v[0], k)), widen(O::sext, wide, lane(v[1], k)));
    };
    V low = one(2 * n), high = one(2 * n + 1);
    return two(O::add, low, high);
  }

  V truth() {
    V all;
    for (uint32_t n = 0; n < lanes; n++) {
      V c = test(P::ne, lane(v[0], n), number(e, 0));
      all = n ? two(kind == all_true ? O::and_ : O::or_, all, c) : c;
    }
    return widen(O::zext, type, all);
  }

  V signs() {
    V mask = number(type, 0);
    for (uint32_t n = 0; n < lanes; n++) {
      V bit = widen(O::zext, type, test(P::slt, lane(v[0], n), number(e, 0)));
      mask = two(O::or_, mask, two(O::shl, bit, number(type, n)));
    }
    return mask;
  }

  // Operands are signed either way.
  V narrowed() {
    const uint32_t bits = f.air_type(result).bits;
    const int64_t least = kind == narrow_signed ? -(int64_t{1} << (bits - 1)) : 0;
    const int64_t most = kind == narrow_signed ? (int64_t{1} << (bits - 1)) - 1 : (int64_t{1} << bits) - 1;
    const uint64_t mask = (uint64_t{1} << f.air_type(e).bits) - 1;
    return each([&](uint32_t n) {
      V x = n < lanes ? lane(v[0], n) : lane(v[1], n - lanes);
      x = two(O::smax, x, number(e, uint64_t(least) & mask));
      return widen(O::trunc, result, two(O::smin, x, number(e, uint64_t(most))));
    });
  }

  // By memory, since the numbers are known when it runs.
  V swizzled() {
    f.f_.slots.push_back({16, 4});
    V slot = f.emit(O::slot_addr, types_.ptr, uint32_t(f.f_.slots.size() - 1));
    f.emit(O::store, types_.void_type, slot.value, v[0].value, ~0u,
           air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 4));
    return each([&](uint32_t n) {
      V from = lane(v[1], n);
      V index = widen(O::zext, f.s_.pointer_int, two(O::and_, from, number(types_.i8, 15)));
      V byte = f.emit(O::load, types_.i8, f.emit_ptr_add(slot, index, 1, 0).value, ~0u, ~0u,
                      air::MemoryFlags::pack(false, air::AtomicOrdering::not_atomic, 0));
      return choose(test(P::ult, from, number(types_.i8, 16)), byte, number(types_.i8, 0));
    });
  }

  V value() {
    switch (kind) {
      case all_true: case any_true: return truth();
      case bit_mask: return signs();
      case bit_select: return two(O::xor_, v[1], two(O::and_, two(O::xor_, v[0], v[1]), v[2]));
      case multiply_add: case negated_multiply_add: {
        V p = two(O::fmul, v[0], v[1]);
        return kind == multiply_add ? two(O::fadd, p, v[2]) : two(O::fsub, v[2], p);
      }
      case average:
        return each([&](uint32_t n) {
          V sum = two(O::add, widen(O::zext, types_.i32, lane(v[0], n)), widen(O::zext, types_.i32, lane(v[1], n)));
          sum = two(O::lshr, two(O::add, sum, number(types_.i32, 1)), number(types_.i32, 1));
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
      case narrow_signed: case narrow_unsigned: return narrowed();
      case pseudo_max: case pseudo_min:
        return each([&](uint32_t n) {
          V a = lane(v[0], n), b = lane(v[1], n), x = kind == pseudo_min ? b : a, y = kind == pseudo_min ? a : b;
          V less = f.emit(O::fcmp, types_.i1, x.value, y.value, ~0u, uint16_t(air::FloatPredicate::olt));
          return choose(less, b, a);
        });
      case q15_multiply:
        return each([&](uint32_t n) {
          V p = two(O::mul, widen(O::sext, types_.i32, lane(v[0], n)), widen(O::sext, types_.i32, lane(v[1], n)));
          p = two(O::ashr, two(O::add, p, number(types_.i32, 0x4000)), number(types_.i32, 15));
          return widen(O::trunc, e, two(O::smin, p, number(types_.i32, 0x7fff)));
        });
      case truncate_signed_zero: case truncate_unsigned_zero:
        return each([&](uint32_t n) {
          const O truncate = kind == truncate_signed_zero ? O::fptosi_sat : O::fptoui_sat;
          return n < 2 ? f.emit(truncate, result, lane(v[0], n).value) : number(result, 0);
        });
      case shuffle_bytes:
        return each([&](uint32_t n) {
          Folded k = f.folder_.fold(args[2 + n]);
          const uint32_t from = k.kind == Folded::Int ? uint32_t(k.bits) & 31 : 0;  // an undefined number may be any
          return from < 16 ? lane(v[0], from) : lane(v[1], from - 16);
        });
      case swizzle_bytes: return swizzled();
    }
    return {};
  }
};

bool FunctionImporter::wasm_vector(const bc::Inst& i, const Intrinsic& in, T type, std::span<const uint32_t> args) {
  WasmVector call{*this, Variant(in.variant), type, args};
  if (!call.read()) return false;
  const V v = call.value();
  if (!v.valid()) return fail("intrinsic is not supported");
  set(i, v);
  return true;
}

}  // namespace lode::codegen
