// The llvm.* functions that the importer knows, by name without "llvm." and without type suffixes. Those of one native
// machine are a table in that machine's folder, which whoever opens a module hands to the importer (MachineIntrinsics).
#pragma once

#include <cstdint>
#include <string_view>

#include "codegen/air/air.h"

namespace lode::codegen {

enum class IntrinsicKind : uint8_t {
  None,         // an ordinary function
  Unknown,      // llvm.* but not in the table: using it is an error
  Drop,         // no effect on code
  First,        // yields its first operand
  Plain,        // the AIR instruction with the first operands that its shape takes; result type of the call
  MulAdd,       // fmul, fadd
  Memory,       // memcpy, memmove, memset: alignment and volatile to be looked up
  Fixed,        // AIR instruction with an immediate first operand
  Trap,         // ends the block
  False,        // is.constant and the like: i1 0
  True,
  ObjectSize,
  Library,      // a call of a C library function: name + f, nothing, l for f32, f64, f80 and f128
  PowI,         // __powisf2, __powidf2, __powixf2, __powitf2
  WasmVector,   // 128-bit vectors of WebAssembly, see wasm_intrinsics.cpp
  Assembly,     // an inline assembly statement with the call's operands and result (a target's own intrinsics)
  MaskedLoad, MaskedStore, Gather, Scatter,  // lane by lane
  FromHalf,     // i16 with a half's bits to a wider type
  ToHalf,
  Lifetime,     // of a stack slot: the last operand
  Prefetch, LoadRelative, PointerMask, ThreeWay, ClearCache, GetRounding, IsFpClass, FpTest, VectorInsert,
  VectorExtract,
};

struct Intrinsic {
  const char* name;
  IntrinsicKind kind;
  air::Op op = air::Op::unreachable;
  const char* library = nullptr;
  // Assembly: text and constraints; a second pair for a second operand that is no constant
  const char* text = nullptr;
  const char* constraints = nullptr;
  const char* variable_text = nullptr;
  const char* variable_constraints = nullptr;
  uint8_t variant = 0;  // WasmVector: which
};

// null for an unknown name; `name` starts with "llvm.".
const Intrinsic* find_intrinsic(std::string_view name);
// `name` without "llvm.wasm." (wasm_intrinsics.cpp); null also for those that stay calls.
const Intrinsic* find_wasm_intrinsic(std::string_view name);

}  // namespace lode::codegen
