// The LLVM bitstream container ("LLVM Bitcode File Format", section "Bitstream Format").
//
// A stream is a sequence of little-endian bits. Abbreviation ids of a width that each block chooses introduce: the end
// of the block (0), a nested block (1), the definition of an abbreviation (2), an unabbreviated record (3), or a record
// laid out by the n-th abbreviation of the block (4 + n). Blocks are padded to 32 bits and carry their length in 32-bit
// words.
//
// Cursor walks one stream. Reads go through an unaligned 64-bit load at the current bit, of which at least 57 bits are
// valid, so that most fields cost one load, one mask and one test. A read beyond the stream yields zero bits; the
// position is compared with the end of the enclosing block once a record, so that nothing is checked per field and
// nothing is ever read out of bounds. The first failure sticks: every later call fails, message() and bit_offset() say
// what and where. The operands of a record lie in one buffer that is reused: nothing is allocated per record.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace lode::formats::bitcode {

// One field of an abbreviation.
struct AbbrevField {
  enum Kind : uint8_t { Literal, Fixed, Vbr, Array, Char6, Blob };
  uint64_t value = 0;  // Literal: the value; Fixed (0..32) and Vbr (2..32): the width in bits
  Kind kind = Literal;
};

struct Abbrev {
  uint32_t first = 0;  // into the field array
  uint32_t count = 0;  // at least 1: the record code
};

// The abbreviations that BLOCKINFO (block 0) gives to all blocks of an id; immutable once read.
struct BlockInfo {
  struct Entry {
    uint32_t block;
    Abbrev abbrev;
  };
  std::vector<AbbrevField> fields;
  std::vector<Entry> entries;
};

class Cursor {
 public:
  enum class Entry : uint8_t { EndBlock, SubBlock, Record, Failed };

  // `stream` must outlive the cursor; `info` (may be null) is copied.
  explicit Cursor(std::span<const uint8_t> stream, const BlockInfo* info = nullptr);

  // Goes to a bit between top-level entries; leaves all blocks and forgets a failure.
  void seek(uint64_t bit);
  // Goes to where the cursor stood when next() had returned SubBlock for a block of that id: enter_block() comes next.
  void seek_block(uint64_t bit, uint32_t block_id);

  // What comes next; abbreviation definitions are consumed. After SubBlock call enter_block() or skip_block(), after
  // Record call read_record(), which leave the cursor behind the header, block or record.
  Entry next();
  uint32_t block_id() const { return id_; }                // after next() == SubBlock
  bool enter_block();
  bool skip_block();
  bool read_record();
  // For blocks whose nested blocks mean nothing to the reader: skips those and reads the next record. False at the end
  // of the block and after a failure; failed() tells which.
  bool next_record();
  // Enters block 0 and collects its abbreviations; the cursor stands behind the block then.
  bool read_block_info(BlockInfo& info);

  // The record read last.
  uint32_t code() const { return code_; }
  uint32_t size() const { return count_; }
  const uint64_t* data() const { return ops_.data(); }
  uint64_t operator[](uint32_t i) const { return ops_[i]; }
  std::span<const uint64_t> ops() const { return {ops_.data(), count_}; }
  std::span<const uint8_t> blob() const { return blob_; }

  bool at_end() const { return pos_ + 32 > limit_; }  // of the stream, between top-level blocks
  uint64_t position() const { return pos_; }
  bool failed() const { return message_ != nullptr; }
  const char* message() const { return message_; }
  Error failure() const;
  bool fail(const char* message);  // always false
  // The record just read has no meaning in this block, or not with these operands.
  bool fail_unknown(const char* block) { return fail_record(block, "unknown record"); }
  bool fail_malformed(const char* block) { return fail_record(block, "malformed record"); }

 private:
  struct Scope {
    uint64_t limit;
    uint32_t abbrev_base;
    uint32_t field_base;
    unsigned width;
  };

  uint64_t peek() const {
    size_t byte = pos_ >> 3;
    if (byte + 8 <= bytes_) [[likely]] return load_le<uint64_t>(stream_ + byte) >> (pos_ & 7);
    return peek_tail(byte);
  }
  uint64_t peek_tail(size_t byte) const;
  uint64_t fixed(unsigned width) {
    uint64_t v = peek() & ((uint64_t{1} << width) - 1);
    pos_ += width;
    return v;
  }
  uint64_t vbr(unsigned width) {
    uint64_t w = peek();
    uint64_t more = uint64_t{1} << (width - 1);
    if (!(w & more)) [[likely]] {
      pos_ += width;
      return w & (more - 1);
    }
    const uint64_t second = w >> width;  // of the 57 bits that peek() promises
    if (!(second & more) && width <= 28) {
      pos_ += 2 * width;
      return (w & (more - 1)) | (second & (more - 1)) << (width - 1);
    }
    return vbr_long(width);
  }
  uint64_t vbr_long(unsigned width);
  void align32() { pos_ = (pos_ + 31) & ~uint64_t{31}; }
  bool define_abbrev(std::vector<AbbrevField>& fields, Abbrev& out);
  bool fail_record(const char* block, const char* what);
  bool read_unabbreviated();
  bool read_abbreviated(const Abbrev& abbrev);
  void reserve(size_t n) {
    if (ops_.size() < n) ops_.resize(n + n / 2);
  }

  const uint8_t* stream_;
  size_t bytes_;
  uint64_t pos_ = 0;
  uint64_t limit_;
  uint64_t entry_start_ = 0;
  uint32_t id_ = 0;
  uint32_t code_ = 0;
  uint32_t count_ = 0;
  unsigned width_ = 2;
  uint32_t abbrev_base_ = 0;
  const char* message_ = nullptr;
  const char* failed_block_ = nullptr;  // set by fail_record; code_ is the record's then
  std::span<const uint8_t> blob_;
  std::vector<uint64_t> ops_;
  std::vector<AbbrevField> fields_;  // those of BLOCKINFO, then those of the blocks that the cursor is in
  size_t info_fields_ = 0;
  std::vector<Abbrev> abbrevs_;
  std::vector<BlockInfo::Entry> info_;
  std::vector<Scope> scopes_;
};

// The bitstream inside a file: checks the magic 'BC' 0xC0DE and takes off the wrapper header 0x0B17C0DE, if any.
Result<std::span<const uint8_t>> bitstream_of(std::span<const uint8_t> file);
// Cheap recognition by content.
bool is_bitcode(std::span<const uint8_t> file);

}  // namespace lode::formats::bitcode
