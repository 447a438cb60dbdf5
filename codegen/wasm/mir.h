// MIR of wasm: what the tag byte and the operand word of the MIR store mean for this target.
//
// Tags. A row of instructions.def without prefix has its opcode as its tag, so that emit copies it. Rows with a prefix
// share the prefix as tag. Bytes that are no opcode serve for what has no fixed encoding before the layout: see OwnTag.
//
// Operands, by the row's Immediate (offsets into extra, references and constants are relative to the function):
//   None         0
//   BlockType    a value type byte, 0x40 (no result), or 0x100 + reference (wasm_type) for parameters or several
//                results
//   Label        depth                            LabelTable   extra: [n, n depths, default depth]
//   Function     reference (call)                 IndirectType reference (wasm_type); the table is the indirect
//                function table
//   SelectType   value type byte                  TryTable     extra: [block type, n, n times (kind, tag reference or
//                0, depth)]
//   Local        local index, parameters first    Global       reference (wasm_global)
//   Table        reference (wasm_table)           Tag          reference (wasm_tag)
//   Memarg       see MemoryOperand                Memory       memory index, 0
//   I32          the value                        I64          the value, sign-extended (own tag i64_const_wide
//                otherwise)
//   F32          the bits                         F64          extra: [low, high] bits (own tag f64_const_short
//                otherwise)
//   RefType      value type byte                  FunctionRef  reference (call)
// With a prefix the operand is opcode | payload << 9; the payload (23 bits):
//   Memarg, MemargLane  see PrefixedMemory        Lane         lane
//   V128, Shuffle       extra: 4 words, memory order
//   DataSegment, ElementSegment, MemoryInit       segment index
//   Table               reference                 TableInit, TableCopy  extra: [segment or reference, reference]
//   MemoryCopy, MemoryFill, Fence, None           0
//
// The final `end` of a function is not in MIR: emit adds it. The function's constants begin with its own type
// (SignatureBytes at offset 0); other types that it refers to follow. A reference of kind wasm_type has the offset of
// its type in the constants as addend. So a function stands for itself: nothing in it depends on the order in which
// other functions were lowered. A reference of kind call has as addend 1 + the offset of the type that the caller calls
// it with (from the call site: it may differ from the declaration's, as in C without prototypes); the linker compares
// it with the definition's type and puts a stub that traps in the place of one that does not fit. 0: any type.
//
// Locals are value type bytes, parameters not included; emit writes runs of equal types as one entry, so select sorts
// them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "mir_store/mir_store.h"

namespace lode::wasm {

// The MIR store's target number.
inline constexpr uint32_t store_target = 0x6173;

enum class ValueType : uint8_t {
  i32 = 0x7f, i64 = 0x7e, f32 = 0x7d, f64 = 0x7c, v128 = 0x7b, funcref = 0x70, externref = 0x6f, exnref = 0x69,
};
inline constexpr uint32_t empty_block = 0x40;

// How an instruction's immediate looks in the module.
enum class Immediate : uint8_t {
  None, BlockType, Label, LabelTable, Function, IndirectType, SelectType, TryTable, Local, Global, Table, Tag, Memarg,
  MemargLane, Memory, I32, I64, F32, F64, RefType, FunctionRef, Lane, V128, Shuffle, DataSegment, ElementSegment,
  MemoryInit, MemoryCopy, MemoryFill, TableInit, TableCopy, Fence,
};

// Bits of codegen::TargetOptions::features, and of a module's needs.
enum class Feature : uint8_t {
  mvp, sign_ext, nontrapping_fptoint, bulk_memory, reference_types, multivalue, tail_call, simd128, atomics,
  exception_handling, mutable_globals, extended_const, memory64, multimemory, relaxed_simd, bulk_memory_opt,
};
inline constexpr unsigned feature_count = 16;
inline constexpr uint32_t bit(Feature f) { return 1u << unsigned(f); }
// As in target_features: "sign-ext", "nontrapping-fptoint" ...
const char* feature_name(Feature f);

// An instruction: opcode | group << 9; the groups 0, 1, 2, 3 are no prefix, 0xfc, 0xfd, 0xfe.
inline constexpr uint16_t op_code(unsigned prefix, unsigned opcode) {
  return uint16_t(opcode | (prefix ? prefix - 0xfb : 0) << 9);
}
enum class Op : uint16_t {
#define WASM_OP(id, name, prefix, opcode, immediate, signature, feature) id = op_code(prefix, opcode),
#include "codegen/wasm/instructions.def"
#undef WASM_OP
};
extern const char op_text[];  // the names and signatures of all rows, each with its zero

// Names are places in op_text: the table holds no address, so the dynamic linker has nothing to do with it.
struct OpInfo {
  uint16_t name_at = 0, signature_at = 0;
  uint16_t opcode = 0;
  uint8_t prefix = 0;
  Immediate immediate = Immediate::None;
  Feature feature = Feature::mvp;
  bool exists() const { return signature_at != 0; }
  const char* name() const { return op_text + name_at; }
  const char* signature() const { return op_text + signature_at; }
};
inline constexpr unsigned op_limit = 4 << 9;
extern const std::array<OpInfo, op_limit> op_table;  // by Op
inline const OpInfo& info(Op op) { return op_table[unsigned(op)]; }

// Tags that are no opcode of their own.
enum class OwnTag : uint8_t {
  function_address =
      0xe0,               // reference (wasm_table_slot): constant of the address type, the function's slot in the table
  data_address = 0xe1,    // reference: constant of the address type, symbol + addend. Kind direct: the address;
                          // tls_local_exec: the offset from __tls_base
  i64_const_wide = 0xe2,  // extra: [low, high]
  f64_const_short = 0xe3,  // the bits of a float that has the value
  frame_address = 0xe4,    // operand: offset in the frame; the address as a value (Frame::base_local + offset)
  epilogue = 0xe5,         // gives the frame back, where Frame says that there is something to give; before each return
};

// Memarg of a load or store without prefix.
struct MemoryOperand {
  enum Form : uint32_t { inline_offset = 0, wide = 1, symbol = 2 };
  static constexpr uint32_t payload_mask = (1u << 26) - 1;
  // form(2) | log2 of the alignment (4) | payload (26). Payload: inline_offset: the offset; wide: extra: [low, high] of
  // the offset; symbol: a reference whose address + addend is the offset, to which the popped base is added without
  // wrapping.
  static constexpr uint32_t pack(Form form, unsigned align_log2, uint32_t payload) {
    return uint32_t(form) << 30 | uint32_t(align_log2) << 26 | payload;
  }
  static constexpr Form form(uint32_t operand) { return Form(operand >> 30); }
  static constexpr unsigned align_log2(uint32_t operand) { return operand >> 26 & 15; }
  static constexpr uint32_t payload(uint32_t operand) { return operand & payload_mask; }
};
// The 23 bits beside a prefixed opcode: in_extra(1) = 0 | log2 of the alignment (4) | offset (18), or in_extra = 1 |
// offset of two words in extra (22): [MemoryOperand, lane]. MemargLane is always in extra.
struct PrefixedMemory {
  static constexpr uint32_t in_extra = 1u << 22, offset_limit = 1u << 18, extra_limit = 1u << 22;
};
inline constexpr unsigned prefixed_opcode_bits = 9;
inline constexpr uint32_t prefixed_opcode_mask = (1u << prefixed_opcode_bits) - 1;

// The prologue and epilogue, made by emit. The frame is the shadow stack's [base, base + size).
//
//   prologue  base = SP - size, rounded down to the alignment; SP = base if keeps_stack_pointer
//   epilogue  if keeps_stack_pointer: SP = saved_local if there is one, else base + size
//
// A function that calls nothing need not store SP. saved_local is needed (emit sets it to the incoming SP) when
// align_log2 > 4, or when the body moves SP by itself (dynamic alloca); the epilogue then does not depend on base.
struct Frame {
  static constexpr uint32_t no_local = ~0u;
  bool present = false;
  bool keeps_stack_pointer = false;
  uint8_t align_log2 = 4;
  uint32_t size = 0;                // bytes, a multiple of 16
  uint32_t base_local = no_local;   // of the address type
  uint32_t saved_local = no_local;
  uint32_t stack_pointer = ~0u;     // reference (wasm_global) to __stack_pointer

  // FunctionRecord::frame: [present | keeps << 1 | has_saved << 2 | align_log2 << 8, size, base_local, saved_local,
  // reference, 0]
  void write(uint32_t words[6]) const;
  static Frame read(const uint32_t words[6]);
};

// FunctionDraft::flags.
namespace function_flags {
inline constexpr uint16_t memory64 = 1;    // addresses are i64
inline constexpr uint16_t one_thread =
    2;  // atomic operations have become ordinary ones, since the code may not use atomics
}

// A function type as the type section has it, without the leading 0x60: count and types of the parameters, then of the
// results.
using SignatureBytes = std::vector<uint8_t>;
SignatureBytes signature_bytes(std::span<const ValueType> params, std::span<const ValueType> results);
// The bytes of the type at `at`; empty when `bytes` ends before it does.
std::span<const uint8_t> signature_at(std::span<const uint8_t> bytes, size_t at);
// The numbers of parameters and results; zero for what is no type.
struct SignatureShape {
  std::span<const uint8_t> params, results;  // value type bytes
};
SignatureShape signature_shape(std::span<const uint8_t> signature);
// The text form's name of a value type or of the empty block type (""); "?" for other bytes.
const char* value_type_name(uint32_t type);

// Writes MIR into a draft. One Builder serves many functions: start() with the next draft keeps the memory.
class Builder {
 public:
  // The draft is cleared and gets its own type.
  void start(mir::FunctionDraft& draft, SymbolId symbol, std::span<const ValueType> params,
             std::span<const ValueType> results, bool memory64 = false);
  mir::FunctionDraft& draft() { return *draft_; }

  // References, each combination once.
  uint32_t reference(mir::ReferenceKind kind, SymbolId symbol, int32_t addend = 0);
  uint32_t type(std::span<const ValueType> params, std::span<const ValueType> results);  // wasm_type
  uint32_t type(std::span<const uint8_t> signature);

  // Returns the new local's index, which counts the parameters.
  uint32_t local(ValueType t);
  uint32_t param_count() const { return param_count_; }

  // Instructions.
  void raw(uint8_t tag, uint32_t operand);
  void op(Op op, uint32_t payload = 0);          // Immediate None or one word; with a prefix: the 23-bit payload
  void own(OwnTag tag, uint32_t operand) { raw(uint8_t(tag), operand); }
  void i32_const(int32_t v) { op(Op::i32_const, uint32_t(v)); }
  void i64_const(int64_t v);
  void f32_const(uint32_t bits) { op(Op::f32_const, bits); }
  void f64_const(uint64_t bits);
  void address_const(int64_t v) { memory64_ ? i64_const(v) : i32_const(int32_t(v)); }
  // Loads, stores, atomics and vector accesses; `lane` only where the instruction has one.
  void memory(Op op, unsigned align_log2, uint64_t offset, unsigned lane = 0);
  // The same with the offset symbol + addend. Only where base + offset cannot wrap: the popped base is taken as
  // unsigned.
  void memory_symbol(Op op, unsigned align_log2, SymbolId symbol, int32_t addend, unsigned lane = 0);
  void block(Op op, uint32_t block_type = empty_block) { this->op(op, block_type); }
  void br_table(std::span<const uint32_t> depths, uint32_t default_depth);
  // `type_reference` (from type()) is what the call site takes the callee's type to be; always give it where it is
  // known.
  void call(SymbolId symbol, bool tail = false, uint32_t type_reference = ~0u) {
    int32_t addend = type_reference == ~0u ? 0 : draft_->references[type_reference].addend + 1;
    op(tail ? Op::return_call : Op::call, reference(mir::ReferenceKind::call, symbol, addend));
  }
  // The popped slot has the address type; emit narrows it where 64-bit addresses meet a table with 32-bit indices.
  void call_indirect(uint32_t type_reference, bool tail = false) {
    op(tail ? Op::return_call_indirect : Op::call_indirect, type_reference);
  }
  void global_get(SymbolId symbol) { op(Op::global_get, reference(mir::ReferenceKind::wasm_global, symbol)); }
  void global_set(SymbolId symbol) { op(Op::global_set, reference(mir::ReferenceKind::wasm_global, symbol)); }
  void function_address(SymbolId symbol) {
    own(OwnTag::function_address, reference(mir::ReferenceKind::wasm_table_slot, symbol));
  }
  void data_address(SymbolId symbol, int32_t addend) {
    own(OwnTag::data_address, reference(mir::ReferenceKind::direct, symbol, addend));
  }
  void tls_offset(SymbolId symbol, int32_t addend) {
    own(OwnTag::data_address, reference(mir::ReferenceKind::tls_local_exec, symbol, addend));
  }
  void vector(Op op, const uint8_t bytes[16]);   // v128.const, i8x16.shuffle
  void frame(const Frame& f) { f.write(draft_->frame); }

 private:
  mir::FunctionDraft* draft_ = nullptr;
  uint32_t param_count_ = 0;
  bool memory64_ = false;
  std::vector<uint32_t> buckets_;  // of references: index + 1
  std::vector<uint32_t> types_;    // offsets in the draft's constants
};

}  // namespace lode::wasm
