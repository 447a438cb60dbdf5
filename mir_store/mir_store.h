// The MIR store: all machine IR of a link in flat shared arrays, owned by the linker.
//
// Columns, shared by all functions: tags (1 byte an instruction for wasm, 2 for native targets), operands (one 32-bit
// word an instruction), extra (32-bit words), locals (bytes: wasm value types; native frame slots), references (symbols
// by SymbolId), constants (bytes of function-private read-only data) and debug (32-bit words: line rows and variables
// of functions that have debug information; no part of the code, so functions may be equal without it). A function is a
// FunctionRecord: ranges into the columns, a frame description in the target's own words, and a content hash.
//
// Invariants
//  1. Operand payloads that are indices (extra, locals, references, constants, branch targets) are relative to the
//     function, so the ranges can be copied, compacted, hashed and stored as they are.
//  2. Unused bits are zero: equal functions have equal bytes, but for references, which compare by symbol.
//  3. A function enters the store whole, through append() or replace(): one that fails to compile never gets here.
//  4. Ranges of replaced functions are garbage until compact(); FunctionIds stay valid across it.
//  5. The store knows no target: what a tag or an operand means is in codegen/<target>/.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/index.h"
#include "base/result.h"

namespace lode::mir {

// What an instruction wants from a symbol. The linker decides before layout which form serves it (a GOT slot, a PLT
// entry, a relaxed TLS model ...) and hands emit the answer; see codegen/native/target.h.
enum class ReferenceKind : uint8_t {
  call,             // branch target of a call or a tail call; a PLT entry serves
  direct,           // the symbol's own address, pc-relative or absolute: the select pass knows that it binds locally
  got,              // the address, through a GOT slot unless the link makes it direct
  tls_general_dynamic,
  tls_local_dynamic,
  tls_initial_exec,
  tls_local_exec,
  constants,        // the function's own constants; symbol is none, addend the offset in them
  wasm_table_slot,  // index of a function in the indirect function table
  wasm_global,
  wasm_tag,
  wasm_type,        // function type: symbol is none, addend = its offset in the function's constants
  wasm_table,
  got_slot,         // the address of a GOT slot that holds the symbol's: what exception tables point at
};
inline constexpr uint8_t last_reference_kind = uint8_t(ReferenceKind::got_slot);

struct Reference {
  SymbolId symbol;
  int32_t addend = 0;
  ReferenceKind kind = ReferenceKind::direct;
  uint8_t reserved[3] = {0, 0, 0};
  bool operator==(const Reference&) const = default;
};
static_assert(sizeof(Reference) == 12);

struct Range {
  uint32_t offset = 0, length = 0;
};

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};

struct FunctionRecord {
  SymbolId symbol;
  Range insts;       // in tags and operands
  Range extra;
  Range locals;      // bytes
  Range references;
  Range constants;   // bytes
  Range debug;
  uint32_t frame[6] = {0, 0, 0, 0, 0, 0};  // the target's prologue description
  uint8_t text_align_log2 = 0, constants_align_log2 = 0;
  uint16_t flags = 0;  // the target's
  Hash128 hash;      // of everything but `symbol` and the offsets; references by SymbolId
};
static_assert(sizeof(FunctionRecord) == 96 && alignof(FunctionRecord) == 8);

// One function while it is being made, in memory of its own, so that all threads can make functions at once.
struct FunctionDraft {
  SymbolId symbol;
  std::vector<uint16_t> tags;       // same length as operands
  std::vector<uint32_t> operands;
  std::vector<uint32_t> extra;
  std::vector<uint8_t> locals;
  std::vector<Reference> references;
  std::vector<uint8_t> constants;
  std::vector<uint32_t> debug;
  uint32_t frame[6] = {0, 0, 0, 0, 0, 0};
  uint8_t text_align_log2 = 0, constants_align_log2 = 0;
  uint16_t flags = 0;

  void clear();  // keeps capacity
};

// A function's columns, read-only. Valid until the store changes.
struct FunctionView {
  SymbolId symbol;
  const uint8_t* tags = nullptr;  // tag_bytes each
  const uint32_t* operands = nullptr;
  uint32_t count = 0;             // instructions
  std::span<const uint32_t> extra;
  std::span<const uint8_t> locals;
  std::span<const Reference> references;
  std::span<const uint8_t> constants;
  std::span<const uint32_t> debug;
  const uint32_t* frame = nullptr;  // 6 words
  uint8_t tag_bytes = 2, text_align_log2 = 0, constants_align_log2 = 0;
  uint16_t flags = 0;

  uint16_t tag16(uint32_t i) const { return uint16_t(tags[2 * i] | tags[2 * i + 1] << 8); }
  uint8_t tag8(uint32_t i) const { return tags[i]; }
};

FunctionView as_view(const FunctionDraft& draft);  // tags of 2 bytes

struct StoreSizes {
  uint64_t instructions = 0, tag_bytes = 0, operand_bytes = 0, extra_bytes = 0, local_bytes = 0, reference_bytes = 0,
           constant_bytes = 0, debug_bytes = 0, record_bytes = 0, functions = 0;
  uint64_t garbage_bytes = 0;  // of all columns
};

class MirStore {
 public:
  // `tag_bytes` is 1 or 2; `target` is a number that snapshots carry and check (ELF e_machine; wasm: 0x6173).
  MirStore(unsigned tag_bytes, uint32_t target);

  // Copies the draft to the end of the columns. Fails only when a column passes 2^32 - 1 entries.
  Result<FunctionId> append(const FunctionDraft& draft);
  // Several drafts at once, in the order given: the copies run in parallel when `threads` > 1 (0: as many as there
  // are). The result does not depend on it.
  Result<std::vector<FunctionId>> append_all(std::span<const FunctionDraft* const> drafts, unsigned threads = 1);
  // The function `id` gets new contents; unchanged contents (equal hash) leave the store as it is and return false.
  Result<bool> replace(FunctionId id, const FunctionDraft& draft);
  // Drops a function; its id is not used again.
  void remove(FunctionId id);
  bool alive(FunctionId id) const;
  // Squeezes the garbage out when it is more than `share` of all bytes.
  void compact(double share = 0.25);

  FunctionView view(FunctionId id) const;
  const FunctionRecord& record(FunctionId id) const { return records_[id.value]; }
  // References of a function; the linker may rewrite symbols when it renumbers them (the hash is then recomputed).
  std::span<const Reference> references(FunctionId id) const;
  void rewrite_symbols(std::span<const SymbolId> new_ids);
  uint32_t function_count() const { return uint32_t(records_.size()); }  // removed ones included
  unsigned tag_bytes() const { return tag_bytes_; }
  uint32_t target() const { return target_; }
  StoreSizes sizes() const;

  static Hash128 hash(const FunctionDraft& draft, unsigned tag_bytes);

 private:
  unsigned tag_bytes_;
  uint32_t target_;
  std::vector<FunctionRecord> records_;
  std::vector<uint8_t> tags_;
  std::vector<uint32_t> operands_;
  std::vector<uint32_t> extra_;
  std::vector<uint8_t> locals_;
  std::vector<Reference> references_;
  std::vector<uint8_t> constants_;
  std::vector<uint32_t> debug_;
  uint64_t garbage_bytes_ = 0;
};

}  // namespace lode::mir
