// A pack: functions of one module as they were made once, to be taken again by a later link.
//
// A function in a pack refers to symbols by what they are to its module, never by number: the n-th symbol that the
// function's body names, the n-th function of the run-time library, or a global name. So a pack means the same in every
// link and on every machine. What it may be taken for is said by keys:
//
//   body  of the function as its module says it, with all that code generation reads (codegen/import/function_key.h)
//   key   body, and what the link decided about the symbols that the body names (SymbolReach)
//
// A pack is made for one content of one module. Most functions of a changed module are in the pack of the module's
// earlier content: a row may therefore say "in that other pack", by its name. A pack that is missing, damaged or
// another generator's is no pack: its functions are made anew. Every table is covered by a checksum and every chunk by
// its own, looked at before the bytes are used.
//
// A function is stored in two parts, its head (lengths, frame, alignments, references) and its code, because a link
// that finds a function where it was and as it was needs no more of it than the head. `raw` is the hash of the bits
// that the function's body had in its module, which is found faster than a key: where all that bodies of a module may
// number is what it was (`tables`), and these bits are, then the body is.
//
// Layout, little-endian: header; names of other packs; rows by rising `number`; row numbers by rising `key`; symbol
// numbers; chunk table; chunks, each a zstd frame of some 256 KiB of heads, or of codes. Equal contents give equal
// bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mir_store/mir_store.h"

namespace lode::mir {

// ---- one function ---------------------------------------------------------------------------------------------------

// What a reference's symbol is to the function's module.
struct PortableSymbol {
  enum Base : uint8_t {
    none,     // the reference has no symbol
    listed,   // the body names it: index in PackedFunction's symbols
    runtime,  // index: a function of the run-time library
    named,    // a symbol of the module by its name
  };
  Base base = none;
  uint8_t reach = 0;       // named: what the link had decided about it
  uint32_t index = 0;
  std::string_view name;   // named; of the caller or of the pack
};

// `symbols` is parallel to the function's references, whose SymbolIds are left out. The code goes behind the head, or,
// if `code` is given, there.
void append_portable(const FunctionView& function, std::span<const PortableSymbol> symbols, std::vector<uint8_t>& out,
                     std::vector<uint8_t>* code = nullptr);
inline void append_portable(const FunctionDraft& draft, std::span<const PortableSymbol> symbols,
                            std::vector<uint8_t>& out) {
  append_portable(as_view(draft), symbols, out);
}
// False: the bytes are not a function. The draft's references have no symbols yet; names point into `bytes`.
bool read_portable(std::span<const uint8_t> bytes, FunctionDraft& draft, std::vector<PortableSymbol>& symbols);
// The same in two steps; `code` of read_portable_head() is what follows the head in `bytes`.
bool read_portable_head(std::span<const uint8_t> bytes, FunctionDraft& draft, std::vector<PortableSymbol>& symbols,
                        std::span<const uint8_t>* code = nullptr);
bool read_portable_code(std::span<const uint8_t> head, std::span<const uint8_t> code, FunctionDraft& draft);

// ---- packs ----------------------------------------------------------------------------------------------------------

struct PackedFunction {
  Hash128 body, key;
  uint32_t number = 0;        // of the function in its module
  uint32_t first_symbol = 0, symbol_count = 0;  // the module's symbols that the body names, in the order of its key
  uint32_t pack = 0;          // 0: in this pack; else the n-th of `others`, from 1
  uint32_t head_chunk = 0, head_offset = 0, head_length = 0;  // there; bytes
  uint32_t chunk = 0, offset = 0, length = 0;                 // of the code
  uint64_t raw = 0;           // of the body's bits; 0: not known, or they do not say all
  // What the target measured (codegen::FunctionSizes), for references answered by forms whose hash is `forms`; 0:
  // nothing.
  uint32_t sizes[7] = {0, 0, 0, 0, 0, 0, 0};
  uint64_t forms = 0;
};
static_assert(sizeof(PackedFunction) == 120);

class FunctionPack {
 public:
  // `file` outlives the pack. An error: not a pack, damaged, or of another generator.
  static Result<std::unique_ptr<FunctionPack>> open(std::span<const uint8_t> file, const Hash128& generator);

  // Of all that bodies of the module may name by number; 0: not known.
  uint64_t tables() const { return tables_; }
  std::span<const PackedFunction> functions() const { return functions_; }
  std::span<const Hash128> others() const { return others_; }
  std::span<const uint32_t> symbols_of(const PackedFunction& f) const {
    return symbols_.subspan(f.first_symbol, f.symbol_count);
  }
  const PackedFunction* by_number(uint32_t number) const;
  const PackedFunction* by_key(const Hash128& key) const;
  // What lies at a row's place in this pack; empty when the chunk is damaged. Any thread; valid as long as the pack.
  std::span<const uint8_t> bytes(uint32_t chunk, uint32_t offset, uint32_t length);
  std::span<const uint8_t> head_of(const PackedFunction& f) {
    return bytes(f.head_chunk, f.head_offset, f.head_length);
  }
  std::span<const uint8_t> code_of(const PackedFunction& f) { return bytes(f.chunk, f.offset, f.length); }
  uint64_t memory() const;  // bytes, of tables and of chunks that are unpacked

 private:
  struct Chunk {
    uint64_t offset = 0, checksum = 0;
    uint32_t packed = 0, size = 0;
  };
  friend class FunctionPackWriter;
  std::span<const uint8_t> file_;
  uint64_t tables_ = 0;
  std::vector<PackedFunction> functions_;
  std::vector<uint32_t> by_key_, symbols_storage_;
  std::span<const uint32_t> symbols_;
  std::vector<Hash128> others_;
  std::vector<Chunk> chunks_;
  std::vector<std::unique_ptr<uint8_t[]>> unpacked_;
  std::unique_ptr<std::once_flag[]> once_;
};

class FunctionPackWriter {
 public:
  explicit FunctionPackWriter(uint64_t tables = 0) : tables_(tables) {}
  // Rows by rising number. The first puts the function here; the second says that the pack `other` has it, at row's
  // chunks, offsets and lengths.
  void add(PackedFunction row, std::span<const uint32_t> symbols, std::span<const uint8_t> head,
           std::span<const uint8_t> code);
  void refer(PackedFunction row, std::span<const uint32_t> symbols, const Hash128& other);
  std::vector<uint8_t> finish(const Hash128& generator) const;
  // A pack without a file, for a link of the same process; nothing may refer to another.
  std::unique_ptr<FunctionPack> keep() &&;

 private:
  std::vector<PackedFunction> functions_;
  std::vector<uint32_t> symbols_;
  uint64_t tables_;
  std::vector<Hash128> others_;
  std::vector<std::vector<uint8_t>> chunks_;
  uint32_t heads_ = none, codes_ = none;  // the chunks that are being filled
  static constexpr uint32_t none = 0xffffffffu;
  uint32_t put(uint32_t& chunk, std::span<const uint8_t> bytes);
  std::vector<uint32_t> by_key() const;
};

}  // namespace lode::mir
