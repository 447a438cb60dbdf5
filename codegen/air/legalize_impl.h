// The inside of legalisation, shared by legalize*.cpp.
//
// The function is rebuilt: blocks are visited in reverse post-order, so that the leaves of every operand are known when
// an instruction is met (dominators come first); the new instructions are put back into block order at the end. `map_`
// gives the new leaves of each old value. Scalar work is done on Vals, the leaves of one scalar.
//
// Invariant of odd integer widths: the bits above the width are zero in every leaf. Operations that look at the sign
// extend first (sx), operations that may set upper bits mask after (norm).
#pragma once

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "codegen/air/legalize.h"
#include "codegen/air/simd.h"

namespace lode::air {

inline constexpr uint32_t max_int_words = 16;   // integers up to 1024 bits
inline constexpr uint32_t max_leaves = 4096;    // of one value

struct Leaf {
  TypeId type;       // legal
  uint32_t bits;     // integers: significant bits, others 0
  uint64_t offset;   // bytes from the value's start in memory; not meaningful below a vector of sub-byte elements
};

// One part of a value as it crosses a call: `abi_count` of its ABI leaves stand for `leaf_count` of its leaves.
struct AbiPiece {
  enum Kind : uint8_t { direct, half, vector } kind;
  TypeId type;                       // the part's own type
  uint32_t leaf_first, leaf_count;
  uint32_t abi_first, abi_count;
};

// Leaves and ABI leaves of types, computed once a type.
class LeafTable {
 public:
  LeafTable(const TypeTable& types, const LegalizeOptions& options) : types_(types), options_(options) {}
  struct Entry {
    uint32_t first = 0, count = 0;             // in leaves
    uint32_t piece_first = 0, piece_count = 0; // in pieces
    uint32_t abi_first = 0, abi_count = 0;     // in abi and abi_attrs
    bool ok = true;
  };
  const Entry& of(TypeId t);
  std::vector<Leaf> leaves;
  std::vector<AbiPiece> pieces;
  std::vector<TypeId> abi;
  std::vector<uint16_t> abi_attrs;  // attr::split_first
  std::vector<uint8_t> abi_vector;  // the leaf is a vector or a part of one
  std::string error;                // why an entry is not ok

 private:
  bool collect(TypeId t, uint64_t offset, unsigned depth, uint32_t leaf_base, uint32_t abi_base);
  const TypeTable& types_;
  const LegalizeOptions& options_;
  std::unordered_map<uint32_t, Entry> entries_;
  uint32_t visits_ =
      0;  // of types within the one that is looked at: a type may nest to more parts than anyone can count
};

// Do these result leaves fit the registers of a return? `vector`: as abi_vector; null: only v128 leaves are vectors.
bool results_fit(const TypeId* leaves, const uint8_t* vector, size_t n, const LegalizeOptions& options);

struct Vals {
  std::array<ValueId, max_int_words> v;
  uint32_t n = 0;
  Vals() = default;
  Vals(ValueId one) : n(1) { v[0] = one; }
  Vals(ValueId lo, ValueId hi) : n(2) { v[0] = lo, v[1] = hi; }
  void push(ValueId x) { v[n++] = x; }
  ValueId operator[](uint32_t i) const { return v[i]; }
  ValueId& operator[](uint32_t i) { return v[i]; }
};

class Legalizer {
 public:
  Legalizer(Function& fn, const Module& module, const LegalizeOptions& options)
      : in_(fn), module_(module), types_(module.types), options_(options), leaves_(module.types, options) {}
  Result<void> run();

 private:
  using V = ValueId;
  using T = TypeTable;
  struct Span {
    uint32_t first = 0, count = ~0u;
  };

  // ---- driver (legalize.cpp)
  void order_blocks();
  void make_params();
  void lower_entry();
  void lower_block(uint32_t block);
  void lower_inst(const Inst& i);
  void lower_elementwise(const Inst& i);
  Vals lower_scalar(const Inst& i, TypeId source, TypeId dest, const Vals& a, const Vals& b, const Vals& c);
  void finish();
  void fail(const std::string& message) {
    if (error_.empty()) error_ = message;
  }
  std::string describe(TypeId t) const;

  // A function of the Microsoft convention has that one's va_list.
  VaListKind va_list() const { return in_.conv == CallConv::win64 ? VaListKind::pointer : options_.va_list; }

  // ---- values
  const Type& type(TypeId t) const { return types_[t]; }
  TypeId old_type(V v) const { return in_.values[v.value].type; }
  TypeId ty(V v) const { return out_.values[v.value].type; }
  bool is_void(TypeId t) const { return type(t).kind == TypeKind::Void; }
  TypeId int_of_pointer() const { return types_.layout().pointer_bytes == 4 ? T::i32 : T::i64; }
  Span leaves(V old);                    // of an operand; constants are made on first use
  V leaf(Span s, uint32_t i) const { return pool_[s.first + i]; }
  V single(V old);                       // the only leaf
  Vals vals(Span s, uint32_t first, uint32_t count) const;
  Vals vals(V old);                      // all leaves of a scalar
  void define(V old, Span s);
  void define(V old, const Vals& x);
  Span alloc(uint32_t n) {               // n leaves to be filled in
    Span s{uint32_t(pool_.size()), n};
    pool_.resize(pool_.size() + n);
    return s;
  }
  Span copy(Span s);                     // a fresh copy of the leaves, to be changed
  Span undef_leaves(TypeId t);
  uint32_t leaf_count(TypeId t);
  bool opaque(V old) const { return !opaque_.empty() && opaque_[old.value]; }

  // ---- constants
  V add_constant(const Constant& c);
  V int_const(TypeId t, uint64_t v);
  V f_const(TypeId t, double v);         // f32, f64, f80; f128 by conversion; half as bits
  V zero_const(TypeId t);
  V undef_const(TypeId t);
  V wide_float_const(TypeId t, uint64_t lo, uint64_t hi);
  void constant_leaves(V old, unsigned depth);
  bool const_value(V v, uint64_t& out) const;

  // ---- emission
  V emit(Op op, TypeId type, uint32_t a = ~0u, uint32_t b = ~0u, uint32_t c = ~0u, uint16_t aux = 0, uint8_t flags = 0);
  V bin(Op op, V a, V b, uint8_t flags = 0);  // folds constants
  V un(Op op, V a) { return emit(op, ty(a), a.value); }
  V conv(Op op, TypeId t, V a);
  V icmp(IntPredicate p, V a, V b);
  V fcmp(FloatPredicate p, V a, V b) { return emit(Op::fcmp, T::i1, a.value, b.value, ~0u, uint16_t(p)); }
  V sel(V c, V a, V b);
  V not1(V c) { return bin(Op::xor_, c, int_const(T::i1, 1)); }
  V load_leaf(TypeId t, V base, int64_t offset, uint16_t aux);
  void store_leaf(V value, V base, int64_t offset, uint16_t aux);
  V offset_ptr(V base, int64_t offset);
  V indexed_ptr(V base, V index, int64_t scale, int64_t offset, uint8_t flags = 0);
  V slot(uint64_t size, uint64_t align);
  uint32_t new_block();
  void start_block(uint32_t id);
  void debug_place(DebugPlace place);
  void end_block();
  uint32_t edge(uint32_t target, const V* args, uint32_t n);
  uint32_t lower_edge(uint32_t old_edge);
  void br(uint32_t target, const V* args = nullptr, uint32_t n = 0) {
    emit(Op::br, T::void_type, edge(target, args, n));
  }
  void cond_br(V c, uint32_t e1, uint32_t e2) { emit(Op::cond_br, T::void_type, c.value, e1, e2); }
  Vals call_runtime(RuntimeFunction f, const Vals* args, uint32_t n);
  Vals call_runtime(RuntimeFunction f, const Vals& a) { return call_runtime(f, &a, 1); }
  Vals call_runtime(RuntimeFunction f, const Vals& a, const Vals& b) {
    const Vals x[] = {a, b};
    return call_runtime(f, x, 2);
  }

  // ---- integers (legalize_int.cpp); N is the width in bits
  static uint32_t words(uint32_t bits) { return bits <= 64 ? 1 : (bits + 63) / 64; }
  static TypeId container(uint32_t bits) {
    return bits == 1 ? T::i1 : bits <= 8 ? T::i8 : bits <= 16 ? T::i16 : bits <= 32 ? T::i32 : T::i64;
  }
  static uint32_t container_bits(uint32_t bits) {
    return bits == 1 ? 1 : bits <= 8 ? 8 : bits <= 16 ? 16 : bits <= 32 ? 32 : 64;
  }
  static bool natural(uint32_t bits) { return bits == 8 || bits == 16 || bits == 32 || bits == 64; }
  Vals int_value(uint32_t bits, uint64_t low);        // a constant, zero-extended
  Vals int_ones(uint32_t bits);
  Vals int_min(uint32_t bits);                        // sign bit only
  Vals int_max(uint32_t bits);
  Vals norm(uint32_t bits, Vals x);                   // clears the bits above the width
  Vals sx(uint32_t bits, Vals x);                     // sign-extends into the containers
  V sign(uint32_t bits, const Vals& x);               // i1: negative
  Vals resize(const Vals& x, uint32_t from, uint32_t to, bool is_signed);
  Vals int_op(Op op, uint32_t bits, const Vals& a, const Vals& b, const Vals& c, uint8_t flags = 0);
  Vals int_op(Op op, uint32_t bits, const Vals& a, const Vals& b) { return int_op(op, bits, a, b, {}); }
  Vals i1_op(Op op, V a, V b);
  Vals narrow_op(Op op, uint32_t bits, V a, V b, uint8_t flags);
  Vals wide_op(Op op, uint32_t bits, const Vals& a, const Vals& b);
  Vals long_division(Op op, uint32_t bits, const Vals& dividend, const Vals& divisor);
  Vals wide_shift(Op op, uint32_t bits, const Vals& a, const Vals& count);
  V int_compare(IntPredicate p, uint32_t bits, const Vals& a, const Vals& b);
  Vals int_select(V c, const Vals& a, const Vals& b);
  Vals overflow_op(Op op, uint32_t bits, const Vals& a, const Vals& b);  // the leaves of the result, then i1
  V mulh64(bool is_signed, V a, V b);
  Vals mul_double(uint32_t bits, bool is_signed, const Vals& a, const Vals& b);  // the product in 2 * bits

  // ---- floating point (legalize_float.cpp); `t` is the type in the source
  static bool is_half(TypeId t) { return t == T::f16 || t == T::bf16; }
  Vals float_op(Op op, TypeId t, const Vals& a, const Vals& b, const Vals& c, uint8_t flags);
  V float_compare(FloatPredicate p, TypeId t, const Vals& a, const Vals& b);
  Vals float_convert(TypeId from, TypeId to, const Vals& a);
  Vals float_to_int(Op op, TypeId from, uint32_t bits, const Vals& a);
  Vals int_to_float(bool is_signed, uint32_t bits, TypeId to, const Vals& a);
  Vals sign_bit_op(Op op, TypeId t, const Vals& a, const Vals& b);
  Vals float_const(TypeId t, double v);

  // ---- memory (legalize_memory.cpp)
  void load_value(TypeId t, V base, int64_t offset, uint16_t aux, Span to);
  void store_value(TypeId t, Span value, V base, int64_t offset, uint16_t aux);
  V load_bits(uint32_t bits, V base, int64_t offset, uint16_t aux);  // at most 64; zero-extended into its container
  void store_bits(uint32_t bits, V value, V base, int64_t offset, uint16_t aux);
  Vals load_int(uint32_t bits, V base, int64_t offset, uint16_t aux);
  void store_int(uint32_t bits, const Vals& x, V base, int64_t offset, uint16_t aux);
  bool packed(const Type& t) const {
    return t.kind == TypeKind::Vector && type(t.element).kind == TypeKind::Int && type(t.element).bits % 8;
  }
  void lower_load(const Inst& i);
  void lower_store(const Inst& i);
  bool is_read(V old);                                                         // by any instruction
  void lower_rmw(const Inst& i);
  void lower_cmpxchg(const Inst& i);
  void lower_va_arg(const Inst& i);

  // ---- vectors and aggregates (legalize_vector.cpp)
  Vals gather_bits(TypeId t, Span s);                 // a scalar or vector as one integer of its bits
  Span scatter_bits(TypeId t, const Vals& bits);
  bool has_bits(TypeId t);                            // gather_bits and scatter_bits work on it
  uint32_t bits_of(TypeId t);
  void lower_bitcast(const Inst& i);
  void lower_extract(const Inst& i);
  void lower_insert(const Inst& i);
  void lower_extract_element(const Inst& i);
  void lower_insert_element(const Inst& i);
  void lower_shuffle(const Inst& i);
  void lower_reduce(const Inst& i);
  void lower_select(const Inst& i);
  uint32_t path_leaf(TypeId& t, uint32_t path);       // first leaf of the part; t becomes its type
  V lane_slot(TypeId vector, Span value, V index, V& element_index, uint32_t& stride);

  // ---- vectors in registers (legalize_simd.cpp)
  // The lanes of a vector that may be kept in registers. width 0: it is only moved. bytes: in memory, of a mask 0. It
  // takes `parts` registers of type `reg`, each with `per` lanes.
  struct Lanes {
    uint32_t count = 0, width = 0, bytes = 0, parts = 1, per = 0;
    TypeId reg = T::v128;
    bool is_float = false, is_mask = false;
    bool integer() const { return width && !is_float && !is_mask; }
    bool partial() const { return bytes == 4 || bytes == 8; }
  };
  static constexpr uint32_t max_parts = 32, max_lanes = 256;
  struct Parts {
    std::array<V, max_parts> v;
    uint32_t n = 0;
    Parts() = default;
    explicit Parts(V one) : n(1) { v[0] = one; }
    void push(V x) { v[n++] = x; }
    V operator[](uint32_t k) const { return v[k]; }
    V& operator[](uint32_t k) { return v[k]; }
  };
  uint32_t part_bits(TypeId reg) const { return reg == T::v256 ? 256 : 128; }
  bool divide(Lanes& l) const;           // parts, per and reg from the rest; false: too many
  bool lanes_of(TypeId t, Lanes& out);
  bool lanes_of_value(V old, Lanes& out);  // with the width that this mask has
  void find_opaque();
  bool has_simd(const Inst& i);          // all of its vectors can be in registers, and lower_simd() knows what to do
  bool has_simd_conversion(const Inst& i);
  bool lower_simd(const Inst& i);
  bool lower_simd_lanes(const Inst& i, const Lanes& r);
  Parts convert_simd(const Inst& i, const Lanes& r);
  Span unpack(V old, const Parts& value);  // leaves of a vector in registers
  Parts pack(TypeId t, Span s, const Lanes& l);
  V pack_register(const Lanes& l, const V* lanes);
  bool pack_constant(const Lanes& l, Span s, Parts& out);  // false if not all of them are constants
  bool crosses_whole(V old);             // memory and calls have it in one piece as well: it is no mask
  Parts to_vector_abi(V old);            // as calls pass it
  Parts from_vector_abi(TypeId t, const V* abi, uint32_t n);
  Parts load_parts(const Lanes& l, V address, uint16_t aux);
  void store_parts(const Lanes& l, const Parts& x, V address, uint16_t aux);
  bool constant_lanes(V old, uint64_t* lanes, uint32_t count);
  bool constant_splat(V old, uint64_t& lane);
  bool constant_index(V old, uint32_t count);  // a lane that exists
  Parts parts_of(V old);                 // a vector in registers; a mask as wide as lanes_of_value() says
  Parts mask_of(V old, const Lanes& like);  // a mask with lanes as wide as those of `like`
  void define_parts(V old, const Parts& x, uint32_t mask_width = 0);
  template <class F>
  Parts each_part(const Parts& a, F&& f) {
    Parts r;
    for (uint32_t k = 0; k < a.n; k++) r.push(f(a[k]));
    return r;
  }
  template <class F>
  Parts each_part(const Parts& a, const Parts& b, F&& f) {
    Parts r;
    for (uint32_t k = 0; k < a.n && k < b.n; k++) r.push(f(a[k], b[k]));
    return r;
  }

  // ---- operations on one register (legalize_simd_ops.cpp)
  // Called with braces, in which operands that are made in place are made from left to right by every compiler.
  struct SimdCall {
    SimdOp op;
    V a, b, c;
    unsigned immediate;
    TypeId type;  // of the result, where it is not that of a, or a scalar
    SimdCall(SimdOp o, V x, unsigned i = 0, TypeId t = {}) : op(o), a(x), immediate(i), type(t) {}
    SimdCall(SimdOp o, V x, V y, unsigned i = 0, TypeId t = {}) : op(o), a(x), b(y), immediate(i), type(t) {}
    SimdCall(SimdOp o, V x, V y, V z) : op(o), a(x), b(y), c(z), immediate(0) {}
  };
  V simd(const SimdCall& c);
  V splat_const(uint32_t width, uint64_t lane);      // of the type reg_
  V vector_const(const uint64_t* words);             // of the type reg_
  V zero_vector() { return zero_const(reg_); }
  V simd_not(V x) { return simd({SimdOp::xor_, x, splat_const(64, ~uint64_t{0})}); }
  V simd_blend(V mask, V a, V b) {
    if (options_.has_avx) return simd({SimdOp::blend_8, mask, a, b});
    return simd({SimdOp::or_, simd({SimdOp::and_, mask, a}), simd({SimdOp::andnot, mask, b})});
  }
  V simd_int(Op op, uint32_t width, V a, V b);       // no value: there is no good way
  V simd_multiply(uint32_t width, V a, V b);
  V simd_shift(Op op, uint32_t width, V a, uint32_t count);
  V simd_shift_by_lanes(Op op, uint32_t width, V a, V counts);
  V simd_greater(uint32_t width, V a, V b);          // signed
  V simd_equal(uint32_t width, V a, V b);
  V simd_compare(IntPredicate p, uint32_t width, V a, V b);
  V simd_fcompare(FloatPredicate p, uint32_t width, V a, V b);
  V simd_float(Op op, uint32_t width, V a, V b);
  V simd_extract(const Lanes& l, TypeId element, V x, uint32_t lane);  // of a v128
  V simd_insert(const Lanes& l, V x, V element, uint32_t lane);        // into a v128
  V simd_from_scalar(const Lanes& l, V element);
  V u32_to_float(bool wide, V x);
  V float_to_u32(V x);

  // ---- lists of registers (legalize_simd_lists.cpp)
  const Inst* new_def(V v, SimdOp op) const;         // what makes v, if it is that operation
  Parts quarters(const Parts& x);                    // all of it in registers of type v128
  Parts joined(const Parts& x, TypeId reg);          // the other way
  Parts resize_lanes(const Parts& x, uint32_t count, uint32_t from, uint32_t to, bool is_signed);
  Parts resize_mask(const Parts& x, uint32_t count, uint32_t from, uint32_t to);
  Parts narrowed(const Parts& x, SimdOp by);
  Parts of_total(const Parts& x, uint64_t bits);     // in registers of the type that a vector of so many bits has
  Parts simd_shuffles(const Lanes& r, const Lanes& from, const Parts& a, const Parts& b, const uint32_t* lanes);
  V wide_shuffle(uint32_t width, const Parts& sources, const uint32_t* at);
  Vals simd_reduce(Op op, const Lanes& l, Parts x);
  // ---- shapes that have an instruction of their own (legalize_simd_idioms.cpp)
  const Inst* def_of(V old) const {
    return in_.values[old.value].kind() == ValueKind::Inst ? &in_.insts[in_.values[old.value].index()] : nullptr;
  }
  bool extended_from(V old, uint32_t width, bool is_signed, V& from);
  bool simd_idiom(const Inst& i, const Lanes& r);
  bool simd_average(const Inst& trunc, const Lanes& r);
  bool simd_high_product(const Inst& trunc, const Lanes& r);
  bool simd_pair_products(const Inst& add, const Lanes& r);
  bool simd_differences(const Inst& reduce);
  V float_reduce(const Inst& i, const Lanes& l, V start, const Parts& x);
  void simd_bitcast(const Inst& i);
  V mask_bits(V old, const Lanes& l, uint32_t bits);
  Parts halves_to_double(const Parts& x, uint32_t count, SimdOp by);  // 32-bit lanes to 64-bit ones
  Parts doubles_to_half(const Parts& x, uint32_t count, SimdOp by);
  void element_in_memory(const Inst& i);             // extract_element, insert_element of a lane not known

  // ---- shuffles of one register (legalize_simd_shuffle.cpp)
  struct Shuffle;
  // Each lane of the result from a (0 to n - 1), b (n to 2n - 1) or anywhere (~0u), n being the lanes of 128 bits.
  V shuffle_register(uint32_t width, V a, V b, const uint32_t* lanes);

  // ---- calls (legalize_call.cpp)
  Span to_abi(TypeId t, Span value, uint16_t attrs);
  bool has_small_vector(TypeId t);
  static constexpr const char* small_vector_text =
      "a vector of at most 8 bytes as an argument under the convention win64";
  Span from_abi(TypeId t, Span abi);
  bool is_returned(const Inst& call, const CallSite& site) const;
  void lower_call(const Inst& i);
  bool lower_arguments(const CallSite& old, V memory, CallSite& site);
  bool lower_invoke(const Inst& i, uint32_t index, TypeId call_type, bool direct, V& value);
  void define_result(const Inst& i, V value, V memory, bool direct);
  void lower_ret(const Inst& i);
  void lower_landing_pad(const Inst& i);
  Span result_of(V call, TypeId t, const LeafTable::Entry& e);  // the abi leaves of a call's value
  bool returns_in_memory(TypeId t);

  Function& in_;
  Function out_;
  const Module& module_;
  const TypeTable& types_;
  const LegalizeOptions& options_;
  LeafTable leaves_;
  std::vector<Span> map_;              // by old value
  std::vector<V> pool_;
  std::vector<uint8_t> read_;          // by old value, once is_read() has been asked
  std::vector<uint8_t> opaque_;        // by old value: a vector kept in registers; empty when there is none
  std::vector<uint8_t> mask_width_;    // by old value, once it is defined: the lanes of a mask; 0: by its type
  TypeId reg_ = T::v128;               // of the vectors at hand
  std::vector<uint32_t> order_;        // old blocks in reverse post-order
  struct Segment { uint32_t first, count; };
  std::vector<Segment> segments_;      // by new block
  uint32_t current_block_ = 0;
  uint32_t location_ = 0;
  std::vector<uint32_t> place_blocks_;  // of out_.debug_places, which count from the block's start until finish()
  std::unordered_map<uint64_t, V> int_constants_[6];  // by fixed type id
  std::array<V, 24> undefs_{}, zeros_{};
  std::unordered_map<uint32_t, V> runtime_constants_;
  V sret_;                             // the function's own hidden result pointer
  V returned_value_;                   // the last call's result, if the next instruction returns it,
  Span returned_;                      // and its ABI leaves
  std::string error_;
};

}  // namespace lode::air
