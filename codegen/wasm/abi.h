// The Basic C ABI of WebAssembly (tool-conventions, BasicCABI.md) for legal AIR: which wasm types a function has, where
// the variadic arguments of a call lie, and the layout of the frame on the shadow stack.
//
// Legalisation has already split i128 and f128 into two i64 and put results that do not fit one wasm value into memory
// (a leading pointer). What is left: every legal leaf is one wasm value; variadic arguments are stored in a buffer in
// the caller's frame, each at its type's alignment, and the buffer's address (zero when there are none) is one more
// parameter at the end; byval arguments are copied to the caller's frame and passed by address.
#pragma once

#include <span>
#include <vector>

#include "codegen/air/legalize.h"
#include "codegen/wasm/mir.h"

namespace lode::wasm {

// The wasm type of a legal leaf; `address` is the type of pointers.
ValueType value_type(const air::TypeTable& types, air::TypeId leaf);

struct Signature {
  std::vector<ValueType> params, results;  // the pointer to variadic arguments included
  uint32_t fixed = 0;                      // parameters without it
  bool vararg = false;
};
Result<void> make_signature(const air::TypeTable& types, air::TypeId function_type, Signature& out);
Result<void> make_signature(const air::TypeTable& types, air::RuntimeFunction f, Signature& out);
air::LegalizeOptions legalize_options(uint32_t features);

// Frame slots sorted so that those named often for their size come first: small offsets are short. Offsets are from the
// frame's base.
struct FrameSlot {
  uint64_t size = 0;
  uint32_t align_log2 = 0;
  uint32_t uses = 0;    // slots without uses get no room
  uint32_t offset = 0;
};
struct FrameLayout {
  uint32_t size = 0;        // a multiple of 16
  uint32_t align_log2 = 4;
};
Result<FrameLayout> layout_frame(std::span<FrameSlot> slots);

}  // namespace lode::wasm
