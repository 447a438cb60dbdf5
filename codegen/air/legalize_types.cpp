// Leaves of types, how they cross calls, and the signatures of the runtime functions.
//
// Vectors in the sse ABI follow what LLVM does without AVX: up to 64 bits travel in the low half of an SSE register,
// wider ones in as many full registers as they need.
#include <string>

#include "codegen/air/legalize_impl.h"

namespace lode::air {

using T = TypeTable;

const RuntimeFunctionInfo runtime_function_table[] = {
#define RUNTIME_FUNCTION(id, name, signature) {#id, name, signature},
#include "codegen/air/runtime_functions.def"
#undef RUNTIME_FUNCTION
};
const unsigned runtime_function_count = sizeof(runtime_function_table) / sizeof(runtime_function_table[0]);

TypeId runtime_type(const TypeTable& types, char letter) {
  switch (letter) {
    case 'b': return T::i8;
    case 'u': return T::i16;
    case 'w': return T::i32;
    case 'l': return T::i64;
    case 't': return T::i128;
    case 'h': return T::f16;
    case 'g': return T::bf16;
    case 's': return T::f32;
    case 'd': return T::f64;
    case 'x': return T::f80;
    case 'q': return T::f128;
    case 'p': return T::ptr;
    case 'z': return types.layout().pointer_bytes == 4 ? T::i32 : T::i64;
  }
  return T::void_type;
}

const LeafTable::Entry& LeafTable::of(TypeId t) {
  auto [it, fresh] = entries_.try_emplace(t.value);
  Entry& e = it->second;
  if (!fresh) {
    if (!e.ok && error.empty()) error = "a type that this target does not support";
    return e;
  }
  e.first = uint32_t(leaves.size());
  e.piece_first = uint32_t(pieces.size());
  e.abi_first = uint32_t(abi.size());
  visits_ = 0;
  e.ok = collect(t, 0, 0, e.first, e.abi_first);
  if (!e.ok) {
    leaves.resize(e.first);
    pieces.resize(e.piece_first);
    abi.resize(e.abi_first);
    abi_attrs.resize(e.abi_first);
    abi_vector.resize(e.abi_first);
  }
  e.count = uint32_t(leaves.size()) - e.first;
  e.piece_count = uint32_t(pieces.size()) - e.piece_first;
  e.abi_count = uint32_t(abi.size()) - e.abi_first;
  return e;
}

bool LeafTable::collect(TypeId id, uint64_t offset, unsigned depth, uint32_t leaf_base, uint32_t abi_base) {
  auto fail = [&](std::string message) {
    error = std::move(message);
    return false;
  };
  if (depth > TypeTable::max_nesting) return fail("a type nested too deeply");
  if (leaves.size() - leaf_base > max_leaves || ++visits_ > 64 * max_leaves)
    return fail("a value of more than " + std::to_string(max_leaves) + " parts; larger ones have to stay in memory");
  const Type t = types_[id];
  const uint32_t first = uint32_t(leaves.size()) - leaf_base, abi_first = uint32_t(abi.size()) - abi_base;
  auto add_abi = [&](TypeId type, uint16_t attrs = 0, bool vector = false) {
    abi.push_back(type);
    abi_attrs.push_back(attrs);
    abi_vector.push_back(vector);
  };
  auto piece = [&](AbiPiece::Kind kind) {
    pieces.push_back({kind, id, first, uint32_t(leaves.size()) - leaf_base - first, abi_first,
                      uint32_t(abi.size()) - abi_base - abi_first});
    return true;
  };
  auto one = [&](TypeId type, uint32_t bits) {
    leaves.push_back({type, bits, offset});
    add_abi(type);
    return piece(AbiPiece::direct);
  };
  auto i64_pair = [&] {
    for (uint32_t k = 0; k < 2; k++) {
      leaves.push_back({T::i64, 64, offset + 8 * k});
      add_abi(T::i64, k == 0 ? attr::split_first : 0);
    }
    return piece(AbiPiece::direct);
  };
  switch (t.kind) {
    case TypeKind::Void: return true;
    case TypeKind::Function: return fail("a value of function type");
    case TypeKind::Ptr: return one(T::ptr, 0);
    case TypeKind::F32: return one(T::f32, 0);
    case TypeKind::F64: return one(T::f64, 0);
    case TypeKind::F80:
      if (!options_.has_f80) return fail("f80 is not supported by this target");
      return one(T::f80, 0);
    case TypeKind::F128: return options_.f128_as_pair ? i64_pair() : one(T::f128, 0);
    case TypeKind::F16: case TypeKind::BF16:
      leaves.push_back({T::i16, 16, offset});
      add_abi(options_.half_abi == HalfAbi::f32_bits ? T::f32 : T::i16);
      return piece(AbiPiece::half);
    case TypeKind::Int: {
      if (t.bits <= 64)
        return one(t.bits == 1    ? T::i1
                   : t.bits <= 8  ? T::i8
                   : t.bits <= 16 ? T::i16
                   : t.bits <= 32 ? T::i32
                                  : T::i64,
                   t.bits);
      uint32_t n = (t.bits + 63) / 64;
      if (n > max_int_words) return fail("an integer of " + std::to_string(t.bits) + " bits");
      for (uint32_t k = 0; k < n; k++) {
        leaves.push_back({T::i64, k + 1 < n ? 64 : t.bits - 64 * k, offset + 8 * k});
        add_abi(T::i64, k == 0 && n == 2 ? attr::split_first : 0);
      }
      return piece(AbiPiece::direct);
    }
    case TypeKind::Struct:
      for (uint32_t f = 0; f < t.field_count; f++)
        if (!collect(types_.member(t, f), offset + types_.field_offset(id, f), depth + 1, leaf_base, abi_base))
          return false;
      return true;
    case TypeKind::Array: case TypeKind::Vector: {
      const Type& e = types_[t.element];
      uint64_t stride = types_.size_of(t.element);
      if (t.kind == TypeKind::Vector)
        stride = e.kind == TypeKind::Int ? e.bits / 8 : e.kind == TypeKind::F80 ? 10 : stride;
      const uint32_t piece_first = uint32_t(pieces.size());
      for (uint64_t k = 0; k < t.count; k++) {
        size_t before = leaves.size();
        if (!collect(t.element, offset + k * stride, depth + 1, leaf_base, abi_base)) return false;
        if (leaves.size() == before) break;  // empty elements, however many
        if (leaves.size() - leaf_base > max_leaves)
          return fail("a value of more than " + std::to_string(max_leaves) +
                      " parts; larger ones have to stay in memory");
      }
      if (t.kind == TypeKind::Vector && options_.vector_abi == VectorAbi::sse) {
        pieces.resize(piece_first);
        abi.resize(abi_base + abi_first);
        abi_attrs.resize(abi_base + abi_first);
        abi_vector.resize(abi_base + abi_first);
        uint64_t bytes = types_.store_size_of(id);
        if (bytes <= 8) add_abi(T::f64, 0, true);
        else
          for (uint64_t k = 0; k < bytes;) {
            const bool wide = options_.abi_vector_bytes == 32 && bytes % 32 == 0;
            add_abi(wide ? T::v256 : T::v128, 0, true);
            k += wide ? 32 : 16;
          }
        return piece(AbiPiece::vector);
      }
      return true;
    }
  }
  return true;
}

bool results_fit(const TypeId* types, const uint8_t* vector, size_t n, const LegalizeOptions& options) {
  if (n > options.max_results) return false;
  size_t ints = 0, sse = 0, f80 = 0;
  for (size_t k = 0; k < n; k++) {
    TypeId t = types[k];
    if (t == T::f80) {
      f80++;
    } else if (t == T::f32 || t == T::f64 || t == T::f128 || is_simd(t)) {
      const bool scalar = vector ? !vector[k] : !is_simd(t);
      if (scalar && sse >= options.max_scalar_sse_results) return false;
      sse++;
    } else {
      ints++;
    }
  }
  return ints <= options.max_int_results && sse <= options.max_sse_results && f80 <= options.max_f80_results;
}

Result<void> result_leaves(const TypeTable& types, TypeId type, const LegalizeOptions& options,
                           std::vector<TypeId>& out) {
  LeafTable table(types, options);
  const LeafTable::Entry& e = table.of(type);
  if (!e.ok) return error(table.error);
  out.insert(out.end(), table.abi.begin() + e.abi_first, table.abi.begin() + e.abi_first + e.abi_count);
  return {};
}

static Result<void> make_signature(LeafTable& table, TypeId result, const TypeId* params, size_t n,
                                   const LegalizeOptions& options, LegalSignature& out) {
  out.params.clear();
  out.results.clear();
  const LeafTable::Entry r = table.of(result);
  if (!r.ok) return error(table.error);
  out.results.assign(table.abi.begin() + r.abi_first, table.abi.begin() + r.abi_first + r.abi_count);
  out.result_in_memory =
      !results_fit(out.results.data(), table.abi_vector.data() + r.abi_first, out.results.size(), options);
  if (out.result_in_memory) {
    out.params.push_back(T::ptr);
    out.results.clear();
  }
  for (size_t k = 0; k < n; k++) {
    const LeafTable::Entry& e = table.of(params[k]);
    if (!e.ok) return error(table.error);
    out.params.insert(out.params.end(), table.abi.begin() + e.abi_first, table.abi.begin() + e.abi_first + e.abi_count);
  }
  return {};
}

Result<void> legal_signature(const TypeTable& types, TypeId function_type, const LegalizeOptions& options,
                             LegalSignature& out) {
  LeafTable table(types, options);
  const Type& t = types[function_type];
  if (t.kind != TypeKind::Function) return error("a call through a type that is no function type");
  out.vararg = t.vararg;
  std::vector<TypeId> params(t.field_count);
  for (uint32_t k = 0; k < t.field_count; k++) params[k] = types.member(t, k);
  return make_signature(table, t.element, params.data(), params.size(), options, out);
}

Result<void> legal_signature(const TypeTable& types, RuntimeFunction f, const LegalizeOptions& options,
                             LegalSignature& out) {
  LeafTable table(types, options);
  const char* s = info(f).signature;
  std::vector<TypeId> params;
  for (const char* p = s + 1; *p; p++) params.push_back(runtime_type(types, *p));
  out.vararg = false;
  return make_signature(table, runtime_type(types, s[0]), params.data(), params.size(), options, out);
}

}  // namespace lode::air
