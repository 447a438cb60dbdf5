// The inside of the interpreter, shared by interpreter*.cpp.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <unordered_map>

#include "codegen/air/interpreter.h"
#include "codegen/air/simd.h"

namespace lode::air {

// ---- scalar arithmetic (interpreter_scalar.cpp)

inline Scalar mask_of(unsigned bits) { return bits >= 128 ? ~Scalar{0} : (Scalar{1} << bits) - 1; }
__extension__ typedef __int128 SignedScalar;
inline SignedScalar to_signed(Scalar v, unsigned bits) {
  return bits >= 128 ? SignedScalar(v) : SignedScalar(v << (128 - bits)) >> (128 - bits);
}

// Integer rows of opcodes.def on `bits` wide operands. Null, or why it is undefined.
const char* int_scalar(Op op, unsigned bits, Scalar a, Scalar b, Scalar c, Scalar& r);
bool int_compare(IntPredicate p, unsigned bits, Scalar a, Scalar b);
// *_overflow: the wrapped result, and whether it overflowed.
Scalar int_overflow(Op op, unsigned bits, Scalar a, Scalar b, bool& overflowed);
// Floating-point rows on the type `t`.
const char* float_scalar(Op op, TypeKind t, Scalar a, Scalar b, Scalar c, Scalar& r);
bool float_compare(FloatPredicate p, TypeKind t, Scalar a, Scalar b);
Scalar float_convert(TypeKind from, TypeKind to, Scalar a);
Scalar float_to_int(TypeKind from, unsigned bits, bool is_signed, bool saturating, Scalar a);
Scalar int_to_float(unsigned bits, bool is_signed, TypeKind to, Scalar a);
double float_value(TypeKind t, Scalar a);
Scalar float_scalar_of(TypeKind t, double v);

// An operation on vectors, or on scalars in their low bytes (interpreter_simd.cpp). `bytes`: of the larger of the first
// operand and the result; `result_bytes`: of a vector that is the result.
using SimdBytes = std::array<uint8_t, 32>;
void interpret_simd(SimdOp op, unsigned immediate, unsigned bytes, unsigned result_bytes,
                    const std::array<SimdBytes, 3>& in, SimdBytes& out);

// ---- the machine

struct Interpreter::Impl {
  Impl(const Module& module, const InterpreterOptions& options);

  struct Allocation {
    uint64_t size = 0;
    std::vector<uint8_t> bytes;
    bool read_only = false;
    bool heap = false;
  };
  // A function ready to be run.
  struct Code {
    Function own;                       // when it was read or legalised here
    const Function* fn = nullptr;
    std::vector<uint32_t> first;        // by value: its first scalar in the frame
    std::vector<uint32_t> count;        // by value: its scalars
    std::vector<Scalar> frame;          // initial contents: constants
  };
  struct Frame {
    const Code* code;
    std::vector<Scalar> values;
    std::vector<uint64_t> allocations;  // stack slots and allocas, freed on return
    std::vector<Scalar> varargs;
    std::vector<TypeId> vararg_types;
  };

  // types
  uint32_t scalars(TypeId t);
  TypeId scalar_type(TypeId t, uint32_t index);     // of the index-th scalar

  // memory (interpreter_memory.cpp)
  Result<uint64_t> allocate(uint64_t size, uint64_t align, bool heap = false);
  bool release(uint64_t address);
  uint8_t* at(uint64_t address, uint64_t n, bool write);
  const uint8_t* at(uint64_t address, uint64_t n) const { return const_cast<Impl*>(this)->at(address, n, false); }
  bool load(TypeId t, uint64_t address, Scalar* to);
  bool store(TypeId t, uint64_t address, const Scalar* from);
  bool c_string(uint64_t address, std::string& out);
  Result<void> place_globals();

  // execution (interpreter.cpp)
  Result<const Code*> code(FunctionIndex f);
  bool call_function(FunctionIndex f, const std::vector<Scalar>& args, std::vector<Scalar>& result,
                     std::vector<Scalar> varargs, std::vector<TypeId> vararg_types);
  bool run(Frame& frame, std::vector<Scalar>& result);
  bool execute(Frame& frame, const Inst& i);
  bool call_site(Frame& frame, const Inst& i);
  bool call_address(uint64_t address, const std::vector<Scalar>& args, const std::vector<TypeId>& types, uint32_t fixed,
                    TypeId result_type, std::vector<Scalar>& result);
  uint32_t take_edge(Frame& frame, uint32_t edge);
  bool constant(Code& c, const Function& fn, ValueId v, Scalar* to, unsigned depth);
  bool fail(const std::string& message) {
    if (error.empty()) error = message;
    return false;
  }

  // library (interpreter_library.cpp)
  struct CallArgs {
    const std::vector<Scalar>& args;
    const std::vector<TypeId>& types;
    uint64_t u(size_t k) const { return k < args.size() ? uint64_t(args[k]) : 0; }
  };
  bool library(std::string_view name, const CallArgs& a, Scalar& result, bool& known);
  // The functions of the library that share a member are told apart by the name.
  bool lib_allocate(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_free(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_bytes(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_memchr(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_strlen(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_compare(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_copy(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_strchr(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_puts(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_putchar(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_getchar(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_printf(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_sprintf(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_abs(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_qsort(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_atexit(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_exit(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_abort(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_assert_fail(std::string_view name, const CallArgs& a, Scalar& result);
  bool lib_math(std::string_view name, const CallArgs& a, Scalar& result);  // false: it is none
  uint8_t* argument_bytes(const CallArgs& a, size_t k, uint64_t n, bool write);
  bool runtime(RuntimeFunction f, const std::vector<Scalar>& args, std::vector<Scalar>& result);
  bool runtime_atomic(RuntimeFunction f, const std::vector<Scalar>& args, Scalar& r);
  bool print_format(const CallArgs& a, size_t format_index, std::string& out);

  const Module& module;
  InterpreterOptions options;
  std::map<uint64_t, Allocation> memory;            // by address
  uint64_t next_address = 0x10000, memory_used = 0;
  std::vector<uint64_t> symbol_address;
  std::unordered_map<uint64_t, uint32_t> function_at;  // address -> symbol
  std::unordered_map<uint64_t, uint32_t> runtime_at;
  std::unordered_map<uint32_t, std::unique_ptr<Code>> codes;
  std::unordered_map<uint32_t, uint32_t> scalar_counts;
  std::string output, input, error;
  size_t input_at = 0;
  uint64_t steps = 0, undefined_results = 0;
  uint32_t depth = 0;
  std::optional<int> exit_status;
  std::vector<uint64_t> at_exit;
  bool globals_ready = false;
  // Code addresses lie above all memory; with pointers of 4 bytes that is below 4 GiB.
  uint64_t function_base, runtime_base, block_base;  // + 16 * symbol, + 16 * RuntimeFunction, + block
};

}  // namespace lode::air
