// A snapshot: the machine IR of a whole link, kept for the next one (docs/stored-form.md has the layout).
//
// Nothing in it is known by a number of the link that wrote it. A symbol is known by a key, the hash of its name, or,
// where its name means nothing outside, of its module and its index there. A function is known by a key of all that
// its code was made from (function_key()). So what one input's functions are stored as depends on that input alone: a
// link in which another input changed stores the same keys and the same chunks, byte for byte.
//
// A snapshot is read where it is mapped: opening one reads the header and small tables; looking a key up reads one
// block of the key table; reading a function unpacks the chunk that it lies in. Every part is looked at (XXH3-128)
// before it is used, on first use. A file that is damaged in the parts that open() reads, cut short, or of another
// version, target or code generator is an error that says so. Damage elsewhere is a miss: the function is made anew.
// The key that stands beside a function is compared on every look-up, so a row that leads astray is a miss, too.
//
// The checksums find accidents; they do not make the content trustworthy. Whatever the bytes, reading stays within the
// file and takes no more memory than what the chunks that are asked for really hold.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mir_store/mir_store.h"

namespace lode::mir {

// ---- keys -----------------------------------------------------------------------------------------------------------

// Zero is no symbol.
Hash128 symbol_key(std::string_view name);
// Of a symbol that its module keeps for itself: `module` is the key of the module's name.
Hash128 local_symbol_key(const Hash128& module, uint32_t index);

// All that a function's code is made from.
struct FunctionKeyParts {
  Hash128 body;                       // codegen/import/function_key.h, codegen/air/function_key.h
  Hash128 options;                    // options and target features that code generation reads
  Hash128 generator;                  // the code generator's version
  std::span<const Hash128> symbols;   // keys of those that the body names, in the order of its key
  std::span<const uint8_t> reach;     // what the link decided about each of them
};
Hash128 function_key(const FunctionKeyParts& parts);

// ---- writing --------------------------------------------------------------------------------------------------------

struct SnapshotInput {
  Hash128 key;      // of its name, with the member's
  Hash128 content;  // hash of what the link read
};

class Snapshot;

class SnapshotWriter {
 public:
  SnapshotWriter(unsigned tag_bytes, uint32_t target, const Hash128& generator);

  // The input that the functions that follow come from. Inputs without functions (objects) are noted all the same.
  void input(const SnapshotInput& input);
  // `symbol_keys` by SymbolId; a reference's symbol that has none there is stored as no symbol. `lines`: room for line
  // rows, stored as they are. False: the function is too large to be stored.
  bool add(const Hash128& key, const FunctionView& function, std::span<const Hash128> symbol_keys,
           std::span<const uint8_t> lines = {});
  // Input number `index` of an earlier snapshot as it lies there: its chunks are copied, packed as they are. False:
  // they are damaged, or were made for something else; nothing is added then.
  bool copy_input(const Snapshot& from, uint32_t index);

  // Equal calls give equal bytes, whatever `threads` is.
  std::vector<uint8_t> finish(int zstd_level = 1, unsigned threads = 1);

 private:
  struct Chunk {
    std::vector<Hash128> symbols;
    std::vector<uint8_t> rows, code;    // of the functions
    std::span<const uint8_t> packed;    // copied: of the earlier snapshot
    uint32_t raw_size = 0;              // copied: unpacked
    uint32_t function_count = 0;
  };
  struct Input {
    SnapshotInput input;
    uint32_t first_chunk = 0, chunk_count = 0, function_count = 0;
  };
  struct Row {
    Hash128 key;
    uint32_t chunk, index;
  };
  uint32_t number_of(const Hash128& symbol);

  unsigned tag_bytes_;
  uint32_t target_;
  Hash128 generator_;
  std::vector<Input> inputs_;
  std::vector<Chunk> chunks_;
  std::vector<Row> rows_;
  std::vector<uint32_t> symbol_slots_;  // open addressing over the last chunk's symbols: number + 1
};

// ---- reading --------------------------------------------------------------------------------------------------------

struct StoredFunction {
  Hash128 key, symbol;
  FunctionDraft draft;                 // without SymbolIds
  std::vector<Hash128> references;     // keys of their symbols; zero: none
  std::span<const uint8_t> lines;      // in the snapshot's memory
};

class Snapshot {
 public:
  struct Place {
    uint32_t chunk, index;
  };

  // `file` outlives the snapshot. An error: not a MIR store, damaged, or of another version, target or code generator.
  static Result<std::unique_ptr<Snapshot>> open(std::span<const uint8_t> file, uint32_t expected_target,
                                                const Hash128& generator);

  unsigned tag_bytes() const { return tag_bytes_; }
  uint32_t target() const { return target_; }
  const Hash128& generator() const { return generator_; }
  uint32_t function_count() const { return function_count_; }
  uint32_t input_count() const { return uint32_t(inputs_.size()); }
  SnapshotInput input(uint32_t index) const { return inputs_[index].input; }
  std::span<const uint8_t> packed_chunk(uint32_t chunk) const;  // as it lies in the file

  // Any thread, all at once.
  //
  // The function with this key; false: there is none, or it is damaged.
  bool find(const Hash128& key, StoredFunction& out) const;
  // The functions of an input in the order in which they were added. A damaged chunk's are left out.
  std::vector<Place> functions_of(uint32_t input) const;
  bool read(Place place, StoredFunction& out) const;

 private:
  friend class SnapshotWriter;
  struct Input {
    SnapshotInput input;
    uint32_t first_chunk, chunk_count, function_count;
  };
  struct Chunk {
    uint64_t offset;
    Hash128 checksum;
    uint32_t packed, size, function_count;
  };
  struct Block {
    Hash128 first, checksum;
  };
  std::span<const uint8_t> block(uint32_t index) const;  // of the key table; empty: damaged
  std::span<const uint8_t> unpack(uint32_t chunk) const;
  static bool read_in(std::span<const uint8_t> chunk, uint32_t index, unsigned tag_bytes, StoredFunction& out);

  std::span<const uint8_t> file_;
  unsigned tag_bytes_ = 0;
  uint32_t target_ = 0, function_count_ = 0;
  Hash128 generator_;
  uint64_t keys_offset_ = 0;
  std::vector<Input> inputs_;
  std::vector<Chunk> chunks_;
  std::vector<Block> blocks_;
  mutable std::vector<std::atomic<uint8_t>> block_states_;  // 0: not looked at, 1: good, 2: damaged
  mutable std::vector<std::unique_ptr<uint8_t[]>> unpacked_;
  mutable std::unique_ptr<std::once_flag[]> once_;
};

}  // namespace lode::mir
