// Legalisation: rewrites one function so that a target sees only the core of AIR.
//
// After legalize() the following holds (function_flags::legal is set):
//
// Value types. i1, i8, i16, i32, i64, ptr, f32, f64, f80 (only if options.has_f80), f128 (not if options.f128_as_pair)
// and v128 (not if options.vector_abi is scalars). i1 is 0 or 1. f128 and v128 are loaded, stored, passed, returned,
// selected (by one i1), are block parameters and Undef or Zero constants; v128 also WideFloat constants (four words)
// and operands of simd1 and simd2. f128 is nothing else. Constants: Int, Float, WideFloat (f80, v128), Zero (ptr, f80,
// f128, v128), Undef, Symbol, BlockAddress, Runtime (see below).
//
// Leaves. A value of any other type became a list of leaves, in memory order, each of a legal type:
//   iN, N < 64 and odd   one leaf of the next of i8, i16, i32, i64 (the code around it normalises the upper bits)
//   iN, N > 64           ceil(N / 64) leaves i64, least significant first
//   f16, bf16            one leaf; i16 inside a function, at calls see options.half_abi
//   struct, array        the leaves of the members, in order; empty ones have none
//   vector               the leaves of the elements, or one v128 (legalize_simd.cpp says when); at calls see
//                        options.vector_abi
//
// Calls, invokes, parameters and returns list leaves: CallSite::args has one value a leaf, its ParamAttrs one entry a
// leaf (where attrs != ~0), the entry block one parameter a leaf (Function::param_attrs likewise, when not empty), ret
// one value a leaf. attr::split_first marks the first of an i128's two leaves: x86_64 passes both in registers or both
// in memory. CallSite::function_type and Function::type stay as they were: take the types of arguments from the values
// and those of the results from result_leaves() or legal_signature(). function_type is none for calls of Runtime
// constants. CallSite::fixed_args (or fixed_arg_count()) is the number of leading arguments that are not variadic.
//
// Results of several leaves. call, invoke, landing_pad, cmpxchg and *_overflow may have one: Inst::type is then still
// the aggregate's (or i128's, f128's, vector's) type, and its value is used by `extract` with a path of exactly one
// index, the leaf's number, and by nothing else. A result of one leaf has the leaf's type; a result without leaves is
// void, without value. A result that does not fit options.max_*_results is returned in memory: the function has a
// leading ptr parameter with attr::sret, and the caller passes the address of a slot; the call's type is void then.
//
// Instructions that remain, by type (everything else is expanded):
//   i1                   and or xor icmp(eq, ne) select freeze zext sext trunc(to i1) load store
//   ptr                  icmp select freeze
//   i8 i16 i32 i64       all integer rows of opcodes.def but: fshl, fshr with a != b; *_sat; umulh, smulh other than
//   i64's and those if options.has_mulh;
//                        bswap i8. Shift counts have the value's type and are below the width (else undefined).
//   f32 f64              fadd fsub fmul fdiv fneg fabs fsqrt fcopysign fcmp; fma, rounding, fminnum .. if options.has_*
//   f80                  fadd fsub fmul fdiv fneg fabs fsqrt fcmp
//   conversions          trunc zext sext among i1..i64; fpto[us]i, [us]itofp between i8..i64 and f32, f64, f80;
//                        fptrunc, fpext among f32 f64 f80; ptrtoint, inttoptr with the integer of the pointer's width;
//                        bitcast i32<->f32, i64<->f64; fpto[us]i_sat to i32 and i64 from f32 and f64 if
//                        options.has_saturating_conversions
//   memory               slot_addr lifetime_start lifetime_end alloca stack_save stack_restore load store ptr_add
//                        memcpy memmove memset fence prefetch; atomic loads, stores, cmpxchg and atomic_rmw on i8..i64
//                        and ptr, atomic_rmw only with operations in options.rmw_ops, and in options.rmw_ops_unread
//                        where nobody reads the result
//   rest                 extract (see above) call va_start return_address frame_address eh_sjlj_* read_cycle_counter
//                        thread_pointer debug_trap landing_pad; br cond_br switch (i8..i64) indirect_br ret invoke trap
//                        unreachable
//
// Blocks keep their numbers (block addresses stay valid); new ones are appended.
#pragma once

#include "codegen/air/air.h"

namespace lode::air {

enum class VectorAbi : uint8_t {
  sse,      // up to 64 bits: one f64; up to 128: one v128; wider: several v128
  scalars,  // the elements' leaves (wasm without simd128)
};
enum class HalfAbi : uint8_t {
  f32_bits,  // an f32 whose low 16 bits are the value (x86_64: an SSE register)
  i16,       // the bits as an integer
};
enum class VaListKind : uint8_t {
  sysv_x86_64,  // {i32 gp_offset, i32 fp_offset, ptr overflow, ptr registers}
  pointer,      // a pointer to the next argument
};

struct LegalizeOptions {
  bool has_f80 = true;
  bool f128_as_pair = false;       // f128 is two i64 leaves everywhere (wasm)
  bool f128_is_long_double = false;  // libm's names for f128 end in l, not in f128
  bool has_rounding = false;       // fceil ffloor ftrunc frint froundeven of f32 and f64 (fround is always a call)
  bool has_fma = false;            // of f32 and f64
  bool has_fminnum = false;        // fminnum, fmaxnum of f32 and f64
  bool has_fminimum = false;       // fminimum, fmaximum of f32 and f64
  bool has_saturating_conversions = false;
  bool has_mulh = true;            // umulh, smulh of i64
  VectorAbi vector_abi = VectorAbi::sse;
  uint8_t vector_bytes = 16;       // of a register that vectors are computed in: 16 or 32
  uint8_t abi_vector_bytes = 16;   // of one in which calls pass vectors
  bool has_sse41 = false;          // x86_64: what SSSE3 and SSE4.1 have for vectors,
  bool has_sse42 = false, has_avx = false;  // and these
  HalfAbi half_abi = HalfAbi::f32_bits;
  VaListKind va_list = VaListKind::sysv_x86_64;
  // Results in registers: integer and pointer leaves, f32/f64/f128/v128 leaves, f80 leaves, all leaves. Scalars of the
  // second kind go into the first few of its registers only (LLVM's RetCC_X86_64_C: xmm0 and xmm1, where vectors have
  // xmm2 and xmm3 too).
  uint8_t max_int_results = 3, max_sse_results = 4, max_scalar_sse_results = 2, max_f80_results = 2, max_results = 9;
  uint32_t rmw_ops = 0xff;  // bit RmwOp: the target has it; the others become a loop around cmpxchg
  uint32_t rmw_ops_unread = 0;  // and those that it has as long as nobody reads the old value
  uint32_t narrow_rmw_ops = ~0u;  // those of both that it has for i8 and i16 as well

  static LegalizeOptions x86_64(uint32_t features = 0);
  static LegalizeOptions riscv64();
  static LegalizeOptions wasm();
};

// Rewrites `fn` in place. On an error, which names the function and the instruction, `fn` is unspecified.
// A function that is legal already costs one scan.
Result<void> legalize(Function& fn, const Module& module, const LegalizeOptions& options);

// Appends the leaves of a result of `type` in the order of `extract`'s index. An error when the type cannot be
// legalised.
Result<void> result_leaves(const TypeTable& types, TypeId type, const LegalizeOptions& options,
                           std::vector<TypeId>& out);

// What legal code passes and gets back for a function type, the pointer to a result in memory included (then results is
// empty).
struct LegalSignature {
  std::vector<TypeId> params;  // the fixed ones
  std::vector<TypeId> results;
  bool vararg = false;
  bool result_in_memory = false;
};
Result<void> legal_signature(const TypeTable& types, TypeId function_type, const LegalizeOptions& options,
                             LegalSignature& out);

// Arguments of a call that are not variadic, before and after legalisation.
inline uint32_t fixed_arg_count(const TypeTable& types, const CallSite& site) {
  if (site.fixed_args != ~0u) return site.fixed_args;
  if (!site.function_type.valid() || !types[site.function_type].vararg) return site.arg_count;
  return types[site.function_type].field_count < site.arg_count ? types[site.function_type].field_count
                                                                : site.arg_count;
}

// ---- functions that legal code calls by itself ----------------------------------------------------------------------

enum class RuntimeFunction : uint16_t {
#define RUNTIME_FUNCTION(id, name, signature) id,
#include "codegen/air/runtime_functions.def"
#undef RUNTIME_FUNCTION
};
struct RuntimeFunctionInfo {
  const char* id;         // the row's id, which is unique
  const char* name;
  const char* signature;  // see runtime_functions.def
};
extern const RuntimeFunctionInfo runtime_function_table[];
extern const unsigned runtime_function_count;
inline const RuntimeFunctionInfo& info(RuntimeFunction f) { return runtime_function_table[unsigned(f)]; }
// The type that a signature's letter stands for.
TypeId runtime_type(const TypeTable& types, char letter);
// As legal_signature().
Result<void> legal_signature(const TypeTable& types, RuntimeFunction f, const LegalizeOptions& options,
                             LegalSignature& out);

}  // namespace lode::air
