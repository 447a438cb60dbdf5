// Building AIR from a program: the interface for front ends.
//
// ModuleBuilder makes types, symbols and data; FunctionBuilder makes one function. Instructions go to the current
// block; blocks may be filled in any order and several at a time by turns, finish() puts them in order. A builder does
// not check types beyond what it needs: run verify_module() on the result.
//
// The sugar of front ends becomes core AIR when it is built:
//   optional T      {T, i1}: the value and whether it is there. A pointer that cannot be null is its own optional: null
//                   is none.
//   error union T   {T, i16}: the value and the error's code, 0 for success
//   slice           {ptr, iP}: address and length, P the pointer's width
//   checked         arithmetic that calls a handler, or traps, when the result does not fit
//   saturating      arithmetic that stops at the smallest or largest value (uadd_sat and its like)
//
//   ModuleBuilder m("example");
//   SymbolIndex puts = m.declare_function("puts", m.function_type(m.i32(), {m.ptr()}));
//   SymbolIndex text = m.define_bytes("text", "Hello", Linkage::internal, true);
//   FunctionBuilder f(m, m.declare_function("main", m.function_type(m.i32(), {})));
//   f.call(puts, {f.address(text)});
//   f.ret(f.integer(m.i32(), 0));
//   f.finish();
//   Module module = m.take();
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lode/codegen/air/air.h"

namespace lode::air {

class ModuleBuilder {
 public:
  explicit ModuleBuilder(std::string name, const DataLayout& layout = {});

  // ---- types
  TypeId void_type() const { return TypeTable::void_type; }
  TypeId i1() const { return TypeTable::i1; }
  TypeId i8() const { return TypeTable::i8; }
  TypeId i16() const { return TypeTable::i16; }
  TypeId i32() const { return TypeTable::i32; }
  TypeId i64() const { return TypeTable::i64; }
  TypeId f32() const { return TypeTable::f32; }
  TypeId f64() const { return TypeTable::f64; }
  TypeId ptr() const { return TypeTable::ptr; }
  TypeId int_type(uint32_t bits) { return module_.types.int_type(bits); }
  TypeId size_type() {
    return int_type(module_.types.layout().pointer_bytes * 8u);
  }  // the integer of the pointer's width
  TypeId array(TypeId element, uint64_t n) { return module_.types.array_type(element, n); }
  TypeId vector(TypeId element, uint64_t n) { return module_.types.vector_type(element, n); }
  TypeId structure(const std::vector<TypeId>& fields, bool packed = false) {
    return module_.types.struct_type(fields.data(), fields.size(), packed);
  }
  TypeId function_type(TypeId result, const std::vector<TypeId>& params, bool vararg = false) {
    return module_.types.function_type(result, params.data(), params.size(), vararg);
  }
  TypeId optional(TypeId value) { return structure({value, i1()}); }
  TypeId error_union(TypeId value);  // of void: {i16}
  TypeId slice() { return structure({ptr(), size_type()}); }

  // ---- symbols. A name that is known gives the same symbol; an empty name makes a new internal one.
  SymbolIndex declare_function(std::string_view name, TypeId type, Linkage linkage = Linkage::external);
  SymbolIndex declare_data(std::string_view name, TypeId type, Linkage linkage = Linkage::external);
  // Data with an initialiser; relocations are added by add_address(). The size is that of the type or of the bytes, if
  // larger.
  SymbolIndex define_data(std::string_view name, TypeId type, std::string_view bytes, Linkage linkage, bool constant,
                          uint32_t align_log2);
  SymbolIndex define_bytes(std::string_view name, std::string_view text, Linkage linkage, bool constant,
                           bool zero_terminated = true);
  // The address of target + addend at `offset` of `data`. In ascending order of offsets, all for one symbol before the
  // next.
  void add_address(SymbolIndex data, uint64_t offset, SymbolIndex target, int64_t addend = 0);
  SymbolIndex define_alias(std::string_view name, SymbolIndex target, int64_t offset, Linkage linkage);
  ComdatIndex comdat(std::string_view name, ComdatKind kind = ComdatKind::any);
  void add_init(SymbolIndex function, uint32_t priority = 65535, bool destructor = false);
  uint32_t file(std::string_view name);  // for locations
  Symbol& symbol(SymbolIndex s) { return module_.symbols[s.value]; }

  Module& module() { return module_; }
  Module take() { return std::move(module_); }

 private:
  friend class FunctionBuilder;
  SymbolIndex find_or_add(std::string_view name, SymbolKind kind, TypeId type, Linkage linkage);
  Module module_;
  std::unordered_map<std::string, uint32_t> names_;
  std::unordered_map<std::string, uint32_t> comdats_;
};

class FunctionBuilder {
 public:
  // The function's symbol gets a body. The entry block is current; its parameters are the function's.
  FunctionBuilder(ModuleBuilder& module, SymbolIndex symbol);

  // ---- blocks
  BlockId entry() const { return BlockId(0); }
  BlockId add_block(const std::vector<TypeId>& params = {});
  void switch_to(BlockId b) { current_ = b.value; }
  BlockId current() const { return BlockId(current_); }
  bool terminated() const { return done_[current_]; }
  ValueId param(uint32_t index) const { return ValueId(fn_.blocks[0].first_param + index); }  // of the function
  ValueId block_param(BlockId b, uint32_t index) const { return ValueId(fn_.blocks[b.value].first_param + index); }
  void location(uint32_t file, uint32_t line, uint32_t column);  // of what follows

  // ---- constants
  ValueId integer(TypeId t,
                  uint64_t value);  // truncated to the width; sign-extend wide ones with integer(t, low, high)
  ValueId integer(TypeId t, uint64_t low, uint64_t high);
  ValueId boolean(bool b) { return integer(TypeTable::i1, b); }
  ValueId floating(TypeId t, double value);   // f32, f64
  ValueId zero(TypeId t);
  ValueId undef(TypeId t);
  ValueId address(SymbolIndex s, int64_t offset = 0);
  ValueId aggregate(TypeId t, const std::vector<ValueId>& constants);
  TypeId type_of(ValueId v) const { return fn_.values[v.value].type; }

  // ---- instructions; results are values
  ValueId binary(Op op, ValueId a, ValueId b, uint8_t flags = 0);
  ValueId unary(Op op, ValueId a);
  ValueId ternary(Op op, ValueId a, ValueId b, ValueId c);
  ValueId convert(Op op, ValueId a, TypeId to);
  ValueId icmp(IntPredicate p, ValueId a, ValueId b);
  ValueId fcmp(FloatPredicate p, ValueId a, ValueId b);
  ValueId select(ValueId c, ValueId a, ValueId b);
  ValueId slot(uint64_t size, uint32_t align_log2);      // a new stack slot's address
  ValueId slot_of(TypeId t) { return slot(module_.module_.types.size_of(t), log2_align(t)); }
  // `slot`: as slot() gave it; Op::lifetime_start or lifetime_end. A slot with one mark needs all.
  void lifetime(Op mark, ValueId slot);
  ValueId load(TypeId t, ValueId address, bool is_volatile = false);    // naturally aligned
  ValueId load(TypeId t, ValueId address, uint16_t memory_flags);
  void store(ValueId value, ValueId address, bool is_volatile = false);
  void store(ValueId value, ValueId address, uint16_t memory_flags);
  ValueId offset(ValueId base, int64_t bytes);
  ValueId index(ValueId base, ValueId i, int64_t scale, int64_t bytes = 0);
  ValueId field(TypeId structure, ValueId base, uint32_t i);            // address of a struct's field
  ValueId element(TypeId element_type, ValueId base, ValueId i);        // address of an array's element
  void memcpy(ValueId to, ValueId from, ValueId bytes, uint32_t align_log2 = 0);
  void memset(ValueId to, ValueId byte, ValueId bytes, uint32_t align_log2 = 0);
  ValueId atomic_rmw(RmwOp op, ValueId address, ValueId operand, AtomicOrdering order);
  ValueId cmpxchg(ValueId address, ValueId expected, ValueId desired, AtomicOrdering order);  // {value, i1}
  ValueId extract(ValueId aggregate, const std::vector<uint32_t>& path);
  ValueId insert(ValueId aggregate, ValueId part, const std::vector<uint32_t>& path);
  ValueId extract_element(ValueId vector, ValueId lane);                // a lane out of range is undefined behaviour
  ValueId insert_element(ValueId vector, ValueId element, ValueId lane);
  static constexpr uint32_t undefined_lane = 0xffffffff;
  ValueId shuffle(ValueId a, ValueId b, const std::vector<uint32_t>& lanes);  // of a, then of b; or undefined_lane
  ValueId call(SymbolIndex callee, const std::vector<ValueId>& args);   // none for a void function
  ValueId call(ValueId callee, TypeId function_type, const std::vector<ValueId>& args,
               const std::vector<ParamAttr>& attrs = {}, uint16_t call_flags = 0);
  ValueId fixed(Op op, uint32_t immediate, TypeId t);

  void br(BlockId target, const std::vector<ValueId>& args = {});
  void cond_br(ValueId c, BlockId if_true, BlockId if_false) { cond_br(c, if_true, {}, if_false, {}); }
  void cond_br(ValueId c, BlockId if_true, const std::vector<ValueId>& true_args, BlockId if_false,
               const std::vector<ValueId>& false_args);
  struct Case {
    uint64_t value;
    BlockId target;
    std::vector<ValueId> args = {};
  };
  void switch_on(ValueId v, const std::vector<Case>& cases, BlockId otherwise, const std::vector<ValueId>& args = {});
  void ret();
  void ret(ValueId v);
  void trap();
  void unreachable();

  // ---- sugar
  ValueId some(TypeId optional, ValueId v);               // an optional that has a value
  ValueId none(TypeId optional);
  ValueId has_value(ValueId optional);                    // i1
  ValueId unwrap(ValueId optional);                       // the value; traps when there is none
  ValueId value_or(ValueId optional, ValueId otherwise);
  ValueId success(TypeId error_union, ValueId v);         // v is none for an error union of void
  ValueId failure(TypeId error_union, ValueId code);      // code: i16, not 0
  ValueId error_code(ValueId error_union);                // i16
  ValueId is_error(ValueId error_union);                  // i1
  ValueId error_value(ValueId error_union);               // the value; undefined on an error
  // Returns from the function with the error, as an error union of the function's result type, or goes on with the
  // value.
  ValueId try_(ValueId error_union);
  ValueId make_slice(ValueId pointer, ValueId length);
  ValueId slice_pointer(ValueId slice) { return extract(slice, {0}); }
  ValueId slice_length(ValueId slice) { return extract(slice, {1}); }
  ValueId slice_element(TypeId element_type, ValueId slice, ValueId index);  // its address; traps when out of bounds
  ValueId sub_slice(TypeId element_type, ValueId slice, ValueId from, ValueId to);      // traps when out of bounds
  enum class Arithmetic : uint8_t { add, sub, mul };
  ValueId checked(Arithmetic op, bool is_signed, ValueId a, ValueId b);                 // traps on overflow
  ValueId saturating(Arithmetic op, bool is_signed, ValueId a, ValueId b);              // add and sub; mul as well
  ValueId checked_divide(bool is_signed, bool remainder, ValueId a, ValueId b);         // traps on zero and on overflow
  // What sugar does instead of a trap: calls this function, of type void(), which does not return. None: trap.
  void on_failure(SymbolIndex handler) { handler_ = handler; }

  Function& function() { return fn_; }
  // Puts the function into the module; the builder is done.
  void finish();

 private:
  ValueId emit(Inst i);
  uint32_t list(const std::vector<ValueId>& values);
  uint32_t edge(BlockId target, const std::vector<ValueId>& args);
  uint32_t log2_align(TypeId t) const;
  void fail_if(ValueId condition);
  ValueId constant(const Constant& c);

  ModuleBuilder& module_;
  Function fn_;
  uint32_t current_ = 0;
  uint32_t location_ = 0;
  std::vector<std::vector<Inst>> insts_;           // by block
  std::vector<uint32_t> slot_addresses_;           // values, by slot
  std::vector<std::vector<uint32_t>> locations_;
  std::vector<uint8_t> done_;                      // has a terminator
  std::unordered_map<uint64_t, uint32_t> location_ids_;
  BlockId failure_;
  SymbolIndex handler_;
};

}  // namespace lode::air
