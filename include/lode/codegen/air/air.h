// AIR: the typed SSA IR that code generation starts from.
//
// A Module holds types, symbols with their data initialisers, and functions. A Function is basic blocks over typed
// values; a value is a block parameter, an instruction's result or a constant; there are no phis: a branch passes
// arguments to the parameters of its target. The parameters of block 0, the entry, are the function's parameters; no
// edge leads to block 0.
//
// Everything is flat: indices are 32 bits, operand lists lie in Function::extra, names in Module::strings. Nothing
// points. Symbols are module-local here (SymbolIndex); the linker maps them to SymbolIds and hands the map to code
// generation.
//
// Invariants (the verifier checks them):
//  1. Block k owns insts [first_inst, first_inst + inst_count), blocks in order, without gaps; the last instruction of
//     each block, and no other, is a terminator.
//  2. A definition dominates its uses. Constants are defined everywhere.
//  3. An edge's arguments match its target's parameters in number and type.
//  4. Types obey each row of opcodes.def.
//  5. Every block is reachable from the entry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lode/base/index.h"
#include "lode/base/result.h"

namespace lode::air {

using TypeId = Index<struct TypeTag>;
using ValueId = Index<struct ValueTag>;      // in a function
using BlockId = Index<struct BlockTag>;      // in a function
using SymbolIndex = Index<struct ModuleSymbolTag>;  // in a module
using FunctionIndex = Index<struct ModuleFunctionTag>;  // in Module::functions
using EdgeIndex = uint32_t;                  // in Function::edges

// ---- types ----------------------------------------------------------------------------------------------------------

enum class TypeKind : uint8_t { Void, Int, F16, BF16, F32, F64, F80, F128, Ptr, Vector, Array, Struct, Function };

struct Type {
  TypeKind kind = TypeKind::Void;
  bool packed = false;       // Struct: no padding, alignment 1
  bool vararg = false;       // Function
  uint32_t bits = 0;         // Int: width, 1 .. 2^23
  TypeId element;            // Vector, Array: element type; Function: result type
  uint32_t fields = 0;       // Struct, Function: offset of the member types in TypeTable::members_
  uint32_t field_count = 0;  // Struct, Function
  uint64_t count = 0;        // Vector, Array: number of elements
  bool operator==(const Type&) const = default;
};

// Sizes and alignments that differ between targets.
struct DataLayout {
  uint8_t pointer_bytes = 8;
  uint8_t f80_align = 16;     // x86_64: 16 bytes of storage, aligned to 16
  uint8_t i64_align = 8;
  uint8_t i128_align = 16;    // 8 for bitcode whose datalayout string lacks i128:128
  uint8_t f128_align = 16;
  uint8_t max_vector_align = 0;  // 0: a vector is aligned to its size rounded up to a power of two
};

// Interned types: equal types have equal ids. The first ids are fixed.
class TypeTable {
 public:
  TypeTable();
  static constexpr TypeId void_type{0}, i1{1}, i8{2}, i16{3}, i32{4}, i64{5}, i128{6}, f16{7}, bf16{8}, f32{9}, f64{10},
      f80{11}, f128{12}, ptr{13},
      v128{14},  // v128 = <16 x i8>: the opaque 128-bit vector that legal code passes, loads and stores
      pair_i8{15}, pair_i16{16}, pair_i32{17}, pair_i64{18},
      pair_ptr{19},  // {iN, i1}, {ptr, i1}: of cmpxchg and *_overflow
      v256{20};      // <32 x i8>: as v128, where there are registers for it

  TypeId int_type(uint32_t bits);
  TypeId vector_type(TypeId element, uint64_t count);
  TypeId array_type(TypeId element, uint64_t count);
  TypeId struct_type(const TypeId* fields, size_t n, bool packed = false);
  TypeId function_type(TypeId result, const TypeId* params, size_t n, bool vararg);

  const Type& operator[](TypeId t) const { return types_[t.value]; }
  TypeId member(const Type& t, uint32_t i) const { return members_[t.fields + i]; }
  size_t size() const { return types_.size(); }

  // In bytes. size_of() is a multiple of the alignment (LLVM's "alloc size"); store_size_of() is without tail padding.
  // All are computed once, when a type is made; saturated at 2^62, which oversized() reports and readers refuse.
  uint64_t size_of(TypeId t) const { return measures_[t.value].size; }
  uint64_t store_size_of(TypeId t) const { return measures_[t.value].store_size; }
  uint64_t align_of(TypeId t) const { return uint64_t{1} << measures_[t.value].align_log2; }
  uint64_t field_offset(TypeId struct_type, uint32_t field) const {
    return offsets_[types_[struct_type.value].fields + field];
  }
  bool oversized(TypeId t) const { return measures_[t.value].size > uint64_t{1} << 61; }
  // How deep a type nests: 0 for scalars. Readers refuse what is deeper than max_nesting, so that walks over types may
  // recurse.
  static constexpr unsigned max_nesting = 256;
  unsigned nesting(TypeId t) const { return depths_[t.value]; }

  const DataLayout& layout() const { return layout_; }
  void set_layout(const DataLayout& layout);

 private:
  struct Measure {
    uint64_t size, store_size;
    uint8_t align_log2;
  };
  TypeId intern(const Type& t);
  Measure measure(const Type& t);
  DataLayout layout_;
  std::vector<Type> types_;
  std::vector<Measure> measures_;   // by TypeId
  std::vector<uint16_t> depths_;    // by TypeId; saturated
  std::vector<TypeId> members_;
  std::vector<uint64_t> offsets_;   // of members_, for structs
  std::vector<uint32_t> buckets_;  // open addressing, index + 1
};

// ---- instructions ---------------------------------------------------------------------------------------------------

enum class Op : uint8_t {
#define AIR_OP(name, shape, result, traits) name,
#include "lode/codegen/air/opcodes.def"
#undef AIR_OP
};

enum class Shape : uint8_t {
  None, Unary, Binary, Ternary, Compare, Load, Store, PtrAdd, Block3, Rmw, Cmpxchg, Call, Path, InsertPath, List,
  Shuffle, Slot,
  Fixed, Br, CondBr, Switch, IndirectBr, Invoke
};
enum class ResultRule : uint8_t { None, Same, Bool, Explicit, Pair };
namespace traits {
inline constexpr uint8_t Pure = 1, Read = 2, Write = 4, Effect = 8, Term = 16, Comm = 32;
}
struct OpInfo {
  const char* name;  // as in the text form, without a trailing underscore
  Shape shape;
  ResultRule result;
  uint8_t traits;
};
extern const OpInfo op_table[];
extern const unsigned op_count;
inline const OpInfo& info(Op op) { return op_table[unsigned(op)]; }
inline bool is_terminator(Op op) { return info(op).traits & traits::Term; }

enum class IntPredicate : uint8_t { eq, ne, ugt, uge, ult, ule, sgt, sge, slt, sle };
// Bits: 1 equal, 2 greater, 4 less, 8 unordered (LLVM's numbering: false=0 .. true=15).
enum class FloatPredicate : uint8_t {
  false_, oeq, ogt, oge, olt, ole, one, ord, uno, ueq, ugt, uge, ult, ule, une, true_,
};
enum class AtomicOrdering : uint8_t { not_atomic, unordered, relaxed, acquire, release, acq_rel, seq_cst };
enum class RmwOp : uint8_t {
  xchg, add, sub, and_, nand, or_, xor_, smax, smin, umax, umin, fadd, fsub, fmax, fmin, uinc_wrap, udec_wrap,
};

// Inst::aux of memory instructions. Alignment is of the address (the destination's for memcpy and memmove).
struct MemoryFlags {
  static constexpr uint16_t volatile_bit = 1;
  static constexpr uint16_t pack(bool is_volatile, AtomicOrdering o, unsigned align_log2, RmwOp rmw = RmwOp::xchg) {
    return uint16_t(is_volatile | unsigned(o) << 1 | (align_log2 > 31 ? 31 : align_log2) << 4 | unsigned(rmw) << 9);
  }
  static constexpr bool is_volatile(uint16_t aux) { return aux & 1; }
  static constexpr AtomicOrdering ordering(uint16_t aux) { return AtomicOrdering(aux >> 1 & 7); }
  static constexpr unsigned align_log2(uint16_t aux) { return aux >> 4 & 31; }
  static constexpr RmwOp rmw(uint16_t aux) { return RmwOp(aux >> 9 & 31); }
};

// Inst::flags: promises of the producer; a broken promise makes the result poison (undefined), never a wrong link.
namespace flags {
inline constexpr uint8_t no_signed_wrap = 1, no_unsigned_wrap = 2, exact = 4, fast_math = 8, non_negative = 16;
}

struct Inst {
  Op op;
  uint8_t flags = 0;
  uint16_t aux = 0;    // predicate, MemoryFlags, alignment: by shape
  TypeId type;         // result type; void_type when there is no result
  uint32_t a = ~0u, b = ~0u, c = ~0u;  // by shape
  ValueId result;      // none when type is void

  ValueId va() const { return ValueId(a); }
  ValueId vb() const { return ValueId(b); }
  ValueId vc() const { return ValueId(c); }
};
static_assert(sizeof(Inst) == 24);

// ---- values and constants -------------------------------------------------------------------------------------------

enum class ValueKind : uint8_t { Inst, Param, Const };
struct Value {
  TypeId type;
  uint32_t kind_and_index;  // kind in the top 2 bits; index: Inst: into insts; Param: block id; Const: into constants
  ValueKind kind() const { return ValueKind(kind_and_index >> 30); }
  uint32_t index() const { return kind_and_index & 0x3fffffff; }
  static Value make(TypeId t, ValueKind k, uint32_t index) { return {t, uint32_t(k) << 30 | index}; }
};
static_assert(sizeof(Value) == 8);

enum class ConstantKind : uint8_t {
  Int,        // iN, N <= 64: bits = value, zero-extended from N
  WideInt,    // iN, N > 64: bits = offset in Function::extra of ceil(N/32) words, least significant first
  Float,      // f16 bf16 f32 f64: bits = the encoding
  WideFloat,  // f80 f128: bits = offset in Function::extra of 3 or 4 words of the encoding, least significant first
  Zero,    // all-zero value of any type: null pointer, zeroed aggregate or vector (also integers and floats are written
           // Int/Float)
  Undef,   // undef or poison of any type
  Symbol,  // ptr: address of `symbol` plus addend (int64 in bits)
  BlockAddress,  // ptr: address of block `symbol` (a BlockId value) of this function
  Aggregate,     // struct, array or vector: bits = offset in Function::extra of one ValueId (a constant's) a member
  Runtime,  // ptr: address of a function of runtime_functions.def, `symbol` is its number; made by legalisation only
};
struct Constant {
  ConstantKind kind;
  TypeId type;
  uint32_t symbol = ~0u;  // Symbol: SymbolIndex; BlockAddress: BlockId; Runtime: RuntimeFunction
  uint64_t bits = 0;
};
static_assert(sizeof(Constant) == 24);

struct Block {
  uint32_t first_inst = 0, inst_count = 0;
  uint32_t first_param = 0,
           param_count = 0;  // the parameters are the values first_param .. first_param + param_count - 1
};

struct Edge {
  BlockId target;
  uint32_t args = 0, arg_count = 0;  // ValueIds in Function::extra
};

// Parameter and argument attributes that change how a value is passed.
namespace attr {
inline constexpr uint16_t zext = 1, sext = 2, byval = 4, sret = 8, nest = 16, inreg = 32,
                          split_first = 64,  // after legalisation: this leaf starts a value of several leaves that are
                                             // passed together or not in registers (i128)
    element = 128;  // an address that stands for the memory there: operand `*` of inline assembly
}
struct ParamAttr {
  uint16_t bits = 0;
  uint16_t align_log2 = 0;  // byval: alignment of the copy (0: unknown); also an explicit `align` of a plain pointer
  uint32_t size = 0;        // byval, sret, element: bytes of the pointee
};

enum class CallConv : uint8_t { c, fast, cold, preserve_most, preserve_all, tail, x86_64_sysv, win64 };

struct InlineAsm {
  uint32_t text = 0, text_len = 0;                // in Function::strings
  uint32_t constraints = 0, constraints_len = 0;  // LLVM's constraint string
  bool side_effects = false, align_stack = false, intel = false, can_throw = false;
  bool any_encoding = false;  // an intrinsic's: with AVX its instructions are VEX-encoded, whatever the text says
};

namespace callflags {
inline constexpr uint16_t tail = 1, musttail = 2, noreturn = 4, returns_twice = 8, nounwind = 16, notail = 32,
read_none = 64,
    no_cf_check = 128,               // indirect: the target need not be marked (x86_64: notrack)
    no_caller_saved_registers = 256, // the callee leaves all registers as they were but those of its results
    type_id = 512;                   // CallSite::type_id is compared with the callee's before the call: KCFI
}
struct CallSite {
  ValueId callee;            // a pointer value (usually a Symbol constant); none for inline assembly
  TypeId function_type;
  uint32_t args = 0, arg_count = 0;       // ValueIds in Function::extra
  uint32_t attrs = ~0u;                   // arg_count ParamAttrs in Function::param_attrs from here; ~0: none has any
  uint32_t inline_asm = ~0u;              // index in Function::inline_asms
  uint16_t flags = 0;
  uint16_t result_attrs = 0;
  CallConv conv = CallConv::c;
  uint32_t type_id = 0;
  uint32_t fixed_args = ~0u;  // after legalisation: how many leading args are not variadic; ~0: as function_type says
};

// The largest array in a slot, as stack protectors see it: smaller than Requests::protect_buffer_size, at least as
// large, and at least as large and of characters.
enum class SlotArray : uint8_t { none, small, large, chars };
struct StackSlot {
  uint64_t size = 0;      // bytes
  uint32_t align_log2 = 0;
  SlotArray array = SlotArray::none;
};

// Itanium C++ ABI landing pad: clauses in order; typeinfo none + is_filter false = catch-all; filters list several
// typeinfos.
struct LandingPad {
  bool cleanup = false;
  uint32_t clauses = 0, clause_count = 0;  // in Function::extra: per clause [kind 0 catch/1 filter, n, ValueId...]
};

namespace function_flags {
inline constexpr uint32_t naked = 1, nounwind = 2, noreturn = 4, uwtable = 8, optnone = 16,
                          returns_twice_call = 32 /* calls setjmp-like */, cold = 64, vararg = 128, no_red_zone = 256,
                          no_implicit_float = 512, minsize = 1024, has_dynamic_alloca = 2048, stack_protect = 4096,
                          legal = 8192 /* has been legalised */, stack_protect_strong = 1 << 14,
                          stack_protect_req = 1 << 15, frame_pointer = 1 << 16,
                          frame_pointer_non_leaf = 1 << 17 /* a frame pointer in functions that call */,
                          async_uwtable = 1 << 18 /* exact at every instruction */,
                          probe_stack = 1 << 19 /* see Requests */, no_jump_tables = 1 << 20,
                          no_cf_check = 1 << 21 /* not marked as an indirect branch's target */,
                          return_thunk = 1 << 22 /* returns by a jump to __x86_return_thunk */,
                          retpoline_calls = 1 << 23, retpoline_branches = 1 << 24,
                          external_thunk = 1 << 25 /* retpolines of the program's own */, no_sse = 1 << 26,
                          no_caller_saved_registers = 1 << 27, no_tail_calls = 1 << 28,
                          type_id = 1 << 29 /* Requests::type_id stands before the entry: KCFI */,
                          indirect_tls = 1
                                         << 30 /* the thread pointer is read into a register, not used as a segment */;
}

// Instructions beyond a machine's baseline (x86_64).
namespace processor_features {
inline constexpr uint32_t sse3 = 1, ssse3 = 2, sse41 = 4, sse42 = 8, popcnt = 16, avx = 32, avx2 = 64, fma = 128,
                          f16c = 256, bmi = 512, bmi2 = 1024, lzcnt = 2048, movbe = 4096, avx512f = 8192;
}

struct StringRef {
  uint32_t offset = 0, size = 0;  // in Module::strings, unless said otherwise
};

// What a producer asks of a function's code with more than a flag.
enum class ZeroRegisters : uint8_t { none, used_gpr_arg, used_gpr, used_arg, used, all_gpr_arg, all_gpr, all_arg, all };
struct Requests {
  uint32_t probe_size = 4096;           // probe_stack: no two touches of a growing stack are farther apart
  SymbolIndex probe_symbol;             // probe_stack: a function that touches it; none: by code of its own
  uint32_t protect_buffer_size = 8;     // stack_protect: arrays from this size on are guarded
  ZeroRegisters zero_registers = ZeroRegisters::none;  // at returns
  uint32_t patchable_entry = 0, patchable_prefix = 0;  // bytes of nops at the entry and before it
  StringRef patchable_section;          // in Function::strings; lists these places; empty: __patchable_function_entries
  SymbolIndex fentry;                   // called before anything else, with the caller's stack as it is
  uint32_t type_id = 0;
};

struct SourceLocation {
  uint32_t file = 0;  // index in Module::files; 0 when unknown
  uint32_t line = 0, column = 0;
  // Of a module with debug information: the scope and the place of inlining, as the producer's metadata numbers plus
  // one.
  uint32_t scope = 0, inlined_at = 0;
};

// What a source variable is from an instruction on, until the next word about it (or, for a declared one, everywhere).
// `variable`, `inlined_at` and `expression` are the producer's metadata numbers plus one; 0: none.
struct DebugPlace {
  enum Kind : uint8_t {
    slot,       // declared: it lives in stack slot `operand`
    address,    // declared: it lives in memory at the address that is value `operand`
    value,      // it is value `operand`
    constant,   // it is the number `bits`
    undefined,  // nobody knows
  };
  Kind kind = undefined;
  uint32_t inst = 0;  // in front of this instruction
  uint32_t variable = 0, inlined_at = 0, expression = 0;
  uint32_t part_offset = 0, part_size = 0;  // in bits, of the part that is meant; size 0: all of it
  uint32_t operand = 0;
  uint64_t bits = 0;
};

struct Function {
  SymbolIndex symbol;
  TypeId type;                 // a Function type
  CallConv conv = CallConv::c;
  uint32_t flags = 0;
  uint32_t features = 0;  // processor_features that the code may use
  uint16_t result_attrs = 0;
  uint32_t align_log2 = 0;
  SymbolIndex personality;
  Requests requests;
  std::vector<ParamAttr> param_attrs;  // the first param-count entries are the function's own parameters', if not empty
  std::vector<Block> blocks;
  std::vector<Inst> insts;
  std::vector<Value> values;
  std::vector<uint32_t> extra;
  std::vector<Edge> edges;
  std::vector<Constant> constants;
  std::vector<CallSite> calls;
  std::vector<StackSlot> slots;
  std::vector<LandingPad> landing_pads;
  std::vector<InlineAsm> inline_asms;
  std::string strings;
  bool lifetime_markers =
      false;  // there are lifetime_start instructions, and all that is known of slots' lifetimes is among them
  std::vector<uint32_t> inst_locations;   // empty, or per instruction an index in `locations` (0: none)
  std::vector<SourceLocation> locations;  // [0] is unknown; empty when nothing is known
  std::vector<DebugPlace> debug_places;   // by rising `inst`
  uint32_t subprogram = 0;                // the producer's metadata number plus one; 0: no debug information

  void clear();  // keeps capacity: one Function object is reused for many bodies
  const Constant* constant(ValueId v) const {
    const Value& x = values[v.value];
    return x.kind() == ValueKind::Const ? &constants[x.index()] : nullptr;
  }
};

// ---- modules --------------------------------------------------------------------------------------------------------

enum class Linkage : uint8_t {
  external, internal, weak_any, weak_odr, linkonce_any, linkonce_odr, common, appending, extern_weak,
  available_externally
};
enum class Visibility : uint8_t { default_, hidden, protected_ };
enum class TlsModel : uint8_t { none, general_dynamic, local_dynamic, initial_exec, local_exec };
enum class SymbolKind : uint8_t { function, data, alias, ifunc };

struct ComdatIndexTag;
using ComdatIndex = Index<ComdatIndexTag>;
enum class ComdatKind : uint8_t { any, exact_match, largest, no_deduplicate, same_size };
struct Comdat {
  StringRef name;
  ComdatKind kind = ComdatKind::any;
};

// A place in a data initialiser that holds an address. Offsets are relative to the symbol's first byte.
enum class DataRelocKind : uint8_t {
  absolute,         // symbol + addend, `size` bytes
  symbol_minus_place,  // symbol + addend - address of the place (this symbol + offset): relative tables
  block_address,    // address of block `symbol` of function `function`
  block_difference, // address of block `symbol` of `function` minus that of its block `addend`
};
struct DataReloc {
  uint64_t offset = 0;
  int64_t addend = 0;
  SymbolIndex symbol;           // block_address: the BlockId's value in the function as BodySource::read() delivers it
  SymbolIndex function;         // block_address and block_difference only
  DataRelocKind kind = DataRelocKind::absolute;
  uint8_t size = 8;             // bytes: 4 or 8
};

struct Symbol {
  StringRef name;
  SymbolKind kind = SymbolKind::data;
  Linkage linkage = Linkage::external;
  Visibility visibility = Visibility::default_;
  TlsModel tls = TlsModel::none;
  bool defined = false;
  bool dso_local = false;
  bool constant = false;        // data: never written
  bool unnamed_addr =
      false;  // the address is not significant (local_unnamed_addr counts too when nothing leaves the module)
  bool used = false;            // llvm.used, llvm.compiler.used, __attribute__((retain))
  bool retain = false;
  StringRef section;            // empty: the default one
  ComdatIndex comdat;
  uint32_t align_log2 = 0;
  TypeId type;                  // function: its Function type; data: the value type
  FunctionIndex function;       // defined function
  // data: an initialiser of `size` bytes; bytes [0, bytes_size) lie in Module::data at bytes_offset, the rest is zero
  uint64_t size = 0;
  uint64_t bytes_offset = 0, bytes_size = 0;
  uint32_t relocs = 0, reloc_count = 0;  // in Module::data_relocs, sorted by offset
  SymbolIndex aliasee;          // alias, ifunc (the resolver): target, plus
  int64_t alias_offset = 0;
  bool wasm_import = false;  // the two names that follow are given, and may be empty
  StringRef wasm_import_module, wasm_import_name;
  StringRef wasm_export_name;  // empty when absent
};

// An entry of llvm.global_ctors / global_dtors.
struct InitEntry {
  uint32_t priority = 65535;
  SymbolIndex function;
  SymbolIndex associated;  // dropped together with this symbol's comdat
  bool destructor = false;
};

// Gives function bodies on demand. read() may be called from several threads at once for different functions.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // Fills `out` (after out.clear()) with the body of `f`; an error names the function and the instruction.
  virtual Result<void> read(FunctionIndex f, Function& out) const = 0;
};

struct FunctionDecl {
  SymbolIndex symbol;
  bool has_personality = false;  // the body may have landing pads, so that it needs an exception table
  bool has_type_id = false;      // function_flags::type_id
  bool no_cf_check = false;      // function_flags::no_cf_check
  uint32_t patchable_entry = 0, patchable_prefix = 0;  // as in Requests
  StringRef patchable_section;   // in Module::strings
};

// What some of a module's functions were compiled for: LLVM's "target-cpu" and "target-features" ("+simd128,-atomics").
struct TargetAttributes {
  std::string processor, features;
  bool operator==(const TargetAttributes&) const = default;
};

// What a producer asks of a whole module's code: LLVM's module flags, as far as they change code.
struct ModuleRequests {
  bool branch_targets = false;  // "cf-protection-branch": places that indirect branches may reach are marked (IBT)
  bool shadow_stack = false;    // "cf-protection-return": the code bears a shadow stack (SHSTK), as all code here does
  bool runtime_by_got = false;        // "RtLibUseGOT": functions that only lowering names are called through the GOT
  bool indirect_branch_prefix = false;  // "indirect_branch_cs_prefix": a cs prefix at jumps to thunks by r8 to r15
  bool type_ids = false;              // "kcfi"
  uint32_t type_id_offset = 0;        // "kcfi-offset": bytes of nops between a type id and the entry
  // "stack-protector-guard": where the value lies that stack protectors compare.
  enum class Guard : uint8_t { tls, global } guard = Guard::tls;
  enum class GuardSegment : uint8_t { fs, gs } guard_segment = GuardSegment::fs;
  int32_t guard_offset = 40;
  SymbolIndex guard_symbol;           // tls: in the place of an offset; none: the offset
};

struct Module {
  std::string name;          // file name for messages
  std::string triple;
  std::vector<TargetAttributes> processors;  // each combination once; empty when nothing is known
  std::string strings;       // all names
  TypeTable types;           // complete after the module part has been read: bodies add no types
  std::vector<Symbol> symbols;
  std::vector<Comdat> comdats;
  std::vector<FunctionDecl> functions;
  std::vector<uint8_t> data;
  std::vector<DataReloc> data_relocs;
  std::vector<InitEntry> inits;
  std::vector<std::string> files;       // [0] is empty
  std::string module_asm;
  std::vector<StringRef> dependent_libraries;
  ModuleRequests requests;
  bool debug_information = false;       // the input has some that is not carried into the output
  std::vector<std::string> warnings;    // what the reader has to say to the user
  const BodySource* bodies = nullptr;   // owned by whoever made the module; null when `in_memory` holds the bodies
  std::vector<Function> in_memory;      // by FunctionIndex, when bodies is null (text form, builder)

  std::string_view str(StringRef s) const { return std::string_view(strings).substr(s.offset, s.size); }
  std::string_view name_of(SymbolIndex s) const { return str(symbols[s.value].name); }
  StringRef add_string(std::string_view s) {
    StringRef r{uint32_t(strings.size()), uint32_t(s.size())};
    strings.append(s);
    return r;
  }
};

// Calls f(ValueId&) for every value operand of `inst`, edge arguments included, in a fixed order. `fn` may be const.
template <class FunctionT, class InstT, class F>
void for_each_operand(FunctionT& fn, InstT& inst, F&& f) {
  auto value = [&](auto& word) {
    ValueId v(word);
    f(v);
    if constexpr (!std::is_const_v<std::remove_reference_t<decltype(word)>>) word = v.value;
  };
  auto list = [&](uint32_t at, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) value(fn.extra[at + i]);
  };
  auto edge = [&](uint32_t e) { list(fn.edges[e].args, fn.edges[e].arg_count); };
  auto call = [&](uint32_t index) {
    auto& site = fn.calls[index];
    if (site.callee.valid()) value(site.callee.value);
    list(site.args, site.arg_count);
  };
  switch (info(inst.op).shape) {
    case Shape::None: case Shape::Slot: case Shape::Fixed: break;
    case Shape::Unary: case Shape::Load: case Shape::Path: value(inst.a); break;
    case Shape::Binary: case Shape::Compare: case Shape::Store: case Shape::Rmw: case Shape::InsertPath:
    case Shape::Shuffle:
      value(inst.a); value(inst.b); break;
    case Shape::Ternary: case Shape::Block3: case Shape::Cmpxchg: value(inst.a); value(inst.b); value(inst.c); break;
    case Shape::PtrAdd: value(inst.a); if (inst.b != ~0u) value(inst.b); break;
    case Shape::Call: call(inst.a); break;
    case Shape::List: list(inst.a + 1, fn.extra[inst.a]); break;
    case Shape::Br: edge(inst.a); break;
    case Shape::CondBr: value(inst.a); edge(inst.b); edge(inst.c); break;
    case Shape::Switch:
      value(inst.a); edge(inst.b);
      for (uint32_t i = 0, n = fn.extra[inst.c]; i < n; i++) edge(fn.extra[inst.c + 1 + 3 * i + 2]);
      break;
    case Shape::IndirectBr:
      value(inst.a);
      for (uint32_t i = 0, n = fn.extra[inst.b]; i < n; i++) edge(fn.extra[inst.b + 1 + i]);
      break;
    case Shape::Invoke: call(inst.a); edge(inst.b); edge(inst.c); break;
  }
}

// Calls f(EdgeIndex) for every edge that leaves through the terminator `inst`.
template <class F>
void for_each_edge(const Function& fn, const Inst& inst, F&& f) {
  switch (info(inst.op).shape) {
    case Shape::Br: f(inst.a); break;
    case Shape::CondBr: case Shape::Invoke: f(inst.b); f(inst.c); break;
    case Shape::Switch:
      f(inst.b);
      for (uint32_t i = 0, n = fn.extra[inst.c]; i < n; i++) f(fn.extra[inst.c + 1 + 3 * i + 2]);
      break;
    case Shape::IndirectBr:
      for (uint32_t i = 0, n = fn.extra[inst.b]; i < n; i++) f(fn.extra[inst.b + 1 + i]);
      break;
    default: break;
  }
}

struct PtrAddParts {
  int64_t scale, offset;
};
inline PtrAddParts ptr_add_parts(const Function& fn, const Inst& i) {
  const uint32_t* x = &fn.extra[i.c];
  return {int64_t(x[0] | uint64_t(x[1]) << 32), int64_t(x[2] | uint64_t(x[3]) << 32)};
}

}  // namespace lode::air
