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
//   Result<Module> module = m.take();
//
// All that the text form has (docs/air.md) there is here under the same word; where C++ or its library keeps a word for
// itself, with an underscore behind it (alloca_, va_start_). Operations of one form share a function that takes the Op:
// unary, binary, ternary, convert, reduce, plain. A function that was begun and never finished is an error of take(),
// and of verify_module().
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lode/base/result.h"
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
  // The distance from that place to target + addend, in `bytes` (4 or 8).
  void add_relative(SymbolIndex data, uint64_t offset, SymbolIndex target, int64_t addend = 0, uint8_t bytes = 4);
  // The address of a block of a function, for indirect_br.
  void add_block_address(SymbolIndex data, uint64_t offset, SymbolIndex function, BlockId block);
  SymbolIndex define_alias(std::string_view name, SymbolIndex target, int64_t offset, Linkage linkage);
  SymbolIndex define_ifunc(std::string_view name, SymbolIndex resolver, Linkage linkage);
  ComdatIndex comdat(std::string_view name, ComdatKind kind = ComdatKind::any);
  void add_init(SymbolIndex function, uint32_t priority = 65535, bool destructor = false, SymbolIndex associated = {});
  uint32_t file(std::string_view name);  // for locations
  // Linkage, visibility, thread-local storage, alignment, ...: the words of the text are its members.
  Symbol& symbol(SymbolIndex s) { return module_.symbols[s.value]; }
  void section(SymbolIndex s, std::string_view name) { symbol(s).section = module_.add_string(name); }
  void import(SymbolIndex s, std::string_view module, std::string_view name);   // wasm
  void export_name(SymbolIndex s, std::string_view name) { symbol(s).wasm_export_name = module_.add_string(name); }

  // ---- the module
  void target(std::string_view triple) { module_.triple = triple; }
  void processor(std::string_view name, std::string_view features);
  void library(std::string_view name) { module_.dependent_libraries.push_back(module_.add_string(name)); }
  void assembly(std::string_view text) { module_.module_asm += text; }

  Module& module() { return module_; }
  // The module, and this builder is done. An error names a function that was not finished, or finished twice.
  Result<Module> take();

 private:
  friend class FunctionBuilder;
  std::vector<uint32_t> twice_;  // symbols with a second body
  SymbolIndex find_or_add(std::string_view name, SymbolKind kind, TypeId type, Linkage linkage);
  Module module_;
  std::unordered_map<std::string, uint32_t> names_;
  std::unordered_map<std::string, uint32_t> comdats_;
};

// All that a call may say of itself.
struct CallOptions {
  CallConv cc = CallConv::c;
  uint16_t flags = 0;                      // callflags: tail, musttail, noreturn, ...
  uint16_t result_attributes = 0;          // attr
  std::vector<ParamAttr> attributes = {};  // of the arguments
};
struct Assembly {
  std::string_view text, constraints;      // constraints as LLVM's
  bool sideeffect = false, alignstack = false, intel = false, can_throw = false;
};

class FunctionBuilder {
 public:
  // The function's symbol gets a body. The entry block is current; its parameters are the function's.
  FunctionBuilder(ModuleBuilder& module, SymbolIndex symbol);

  // ---- the function. What a bit of function_flags says is set in function().flags.
  void cc(CallConv conv) { fn_.conv = conv; }
  void personality(SymbolIndex s) { fn_.personality = s; }
  void attributes(uint32_t parameter, ParamAttr attributes);
  void result_attributes(uint16_t bits) { fn_.result_attrs = bits; }

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
  ValueId bits(TypeId t, uint64_t low, uint64_t high = 0);  // any floating-point type, by its encoding
  ValueId zero(TypeId t);
  ValueId undef(TypeId t);
  ValueId address(SymbolIndex s, int64_t offset = 0);
  ValueId block_address(BlockId b);
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
  void slot_array(ValueId slot, SlotArray array);        // what it holds, to a stack protector
  // `slot`: as slot() gave it; Op::lifetime_start or lifetime_end. A slot with one mark needs all.
  void lifetime(Op mark, ValueId slot);
  ValueId alloca_(ValueId bytes, uint32_t align_log2);   // until the function returns, or stack_restore
  ValueId stack_save();
  void stack_restore(ValueId saved);
  ValueId load(TypeId t, ValueId address, bool is_volatile = false);    // naturally aligned
  ValueId load(TypeId t, ValueId address, uint16_t memory_flags);
  void store(ValueId value, ValueId address, bool is_volatile = false);
  void store(ValueId value, ValueId address, uint16_t memory_flags);
  ValueId offset(ValueId base, int64_t bytes);
  ValueId index(ValueId base, ValueId i, int64_t scale, int64_t bytes = 0);
  ValueId field(TypeId structure, ValueId base, uint32_t i);            // address of a struct's field
  ValueId element(TypeId element_type, ValueId base, ValueId i);        // address of an array's element
  void memcpy(ValueId to, ValueId from, ValueId bytes, uint32_t align_log2 = 0);
  void memmove(ValueId to, ValueId from, ValueId bytes, uint32_t align_log2 = 0);
  void memset(ValueId to, ValueId byte, ValueId bytes, uint32_t align_log2 = 0);
  // Atomic accesses, naturally aligned.
  ValueId load(TypeId t, ValueId address, AtomicOrdering order, bool is_volatile = false);
  void store(ValueId value, ValueId address, AtomicOrdering order, bool is_volatile = false);
  ValueId atomic_rmw(RmwOp op, ValueId address, ValueId operand, AtomicOrdering order, bool is_volatile = false);
  ValueId cmpxchg(ValueId address, ValueId expected, ValueId desired, AtomicOrdering order,
                  bool is_volatile = false);  // {value, i1}
  void fence(AtomicOrdering order);
  enum class Keep : uint8_t { all, level2, level3, once };
  void prefetch(ValueId address, Keep keep = Keep::all);
  ValueId extract(ValueId aggregate, const std::vector<uint32_t>& path);
  ValueId insert(ValueId aggregate, ValueId part, const std::vector<uint32_t>& path);
  ValueId extract_element(ValueId vector, ValueId lane);                // a lane out of range is undefined behaviour
  ValueId insert_element(ValueId vector, ValueId element, ValueId lane);
  static constexpr uint32_t undefined_lane = 0xffffffff;
  ValueId shuffle(ValueId a, ValueId b, const std::vector<uint32_t>& lanes);  // of a, then of b; or undefined_lane
  ValueId reduce(Op op, ValueId vector);                                 // reduce_add and its like
  ValueId reduce(Op op, ValueId start, ValueId vector);                  // reduce_fadd, reduce_fmul
  ValueId call(SymbolIndex callee, const std::vector<ValueId>& args);   // none for a void function
  ValueId call(ValueId callee, TypeId function_type, const std::vector<ValueId>& args,
               const std::vector<ParamAttr>& attrs = {}, uint16_t call_flags = 0);
  ValueId call(ValueId callee, TypeId function_type, const std::vector<ValueId>& args, const CallOptions& options);
  ValueId asm_(const Assembly& assembly, TypeId result, const std::vector<ValueId>& args,
               const CallOptions& options = {});
  void va_start_(ValueId list) { unary(Op::va_start, list); }   // of the variadic arguments of this function
  ValueId va_arg_(ValueId list, TypeId t) { return convert(Op::va_arg, list, t); }
  void va_copy_(ValueId to, ValueId from) { binary(Op::va_copy, to, from); }
  void va_end_(ValueId list) { unary(Op::va_end, list); }
  ValueId fixed(Op op, uint32_t immediate, TypeId t);           // return_address, frame_address: the level, ptr
  // An instruction without operands: thread_pointer (ptr), read_cycle_counter (i64), debug_trap (void).
  ValueId plain(Op op, TypeId t);
  ValueId eh_sjlj_setjmp(ValueId buffer) { return convert(Op::eh_sjlj_setjmp, buffer, TypeTable::i32); }
  void eh_sjlj_longjmp(ValueId buffer) { unary(Op::eh_sjlj_longjmp, buffer); }

  // ---- exceptions. A block that invokes unwind to begins with a landing pad.
  // The result is known behind `next` only: it is given back (none for void), and may be an argument of `next`, where
  // `result` among `next_args` stands for it.
  static constexpr ValueId result{0xfffffffe};
  ValueId invoke(ValueId callee, TypeId function_type, const std::vector<ValueId>& args, BlockId next,
                 const std::vector<ValueId>& next_args, BlockId unwind, const std::vector<ValueId>& unwind_args,
                 const CallOptions& options);
  ValueId invoke(ValueId callee, TypeId function_type, const std::vector<ValueId>& args, BlockId next, BlockId unwind) {
    return invoke(callee, function_type, args, next, {}, unwind, {}, {});
  }
  ValueId invoke(SymbolIndex callee, const std::vector<ValueId>& args, BlockId next, BlockId unwind);
  struct Clause {
    bool filter = false;                   // else it catches
    std::vector<ValueId> typeinfos;        // addresses; zero(ptr()) catches everything
  };
  ValueId landing_pad(const std::vector<Clause>& clauses, bool cleanup = false);   // {ptr, i32}
  ValueId eh_typeid(ValueId typeinfo) { return convert(Op::eh_typeid, typeinfo, TypeTable::i32); }
  void resume(ValueId exception);

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
  void indirect_br(ValueId address, const std::vector<BlockId>& targets);
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
  // Puts the function into the module; the builder is done. A second time it does nothing.
  void finish();

 private:
  ValueId emit(Inst i);
  uint32_t list(const std::vector<ValueId>& values);
  uint32_t edge(BlockId target, const std::vector<ValueId>& args);
  uint32_t log2_align(TypeId t) const;
  void fail_if(ValueId condition);
  ValueId constant(const Constant& c);
  uint32_t call_site(CallSite site, const std::vector<ValueId>& args, const CallOptions& options);
  void block3(Op op, ValueId to, ValueId from, ValueId bytes, uint32_t align_log2);

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
  bool finished_ = false;
};

}  // namespace lode::air
