// A state file: tables on disk that the next process goes on from, mapped and not parsed.
//
// The file is a header, then regions of fixed capacity (each a flat array of records, or bytes), then a checksum
// (XXH3, 64 bits) for every page of the regions. Opening maps the file and checks the header; a page is checked when
// something on it is first asked for, so that the cost of opening does not depend on the size of the tables. Whoever
// changes a record changes a private copy of its page; the file stays as it is until commit() writes the pages that
// were changed, their checksums, and the header.
//
//   the life of a file                     (phase: a word of its own in the header)
//
//        StateWriter::write               begin_commit()
//     ---------------------->  settled  ------------------>  changing
//                                 ^                             |
//                                 '-----------------------------'
//                                          end_commit()
//
// Invariants:
//   1. A file in the phase `settled` is the one that write() or the last end_commit() left: what it says of other files
//      was true then. Its phase becomes `changing` before the first byte of it, or of the output that it describes, is
//      written over, and `settled` again after the last. So a process that dies in between leaves `changing`, which
//      open() refuses.
//   2. Every byte of the regions that has been handed out was covered by a checksum that was right, or damaged() is
//      true. It never becomes false again, and nothing is committed then.
//   3. Indices are checked against the number of records, whatever the checksums say: an index out of range reads as a
//      record of zeroes, and is damage.
//   4. A file that another user owns, or that others may write, is not opened.
//   5. One process at a time has a file open (flock); a second one waits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace lode::link {

struct StateHash {
  uint64_t low = 0, high = 0;
  bool operator==(const StateHash&) const = default;
};

class StateFile {
 public:
  static constexpr uint64_t page_size = 4096;
  static constexpr uint32_t max_regions = 64;
  struct Region {
    uint64_t offset = 0, size = 0, capacity = 0;  // bytes; the offset is a multiple of a page
  };

  StateFile() = default;
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;
  ~StateFile();

  // The error is the reason why there is nothing to go on from: "there is no state file", ...
  // `version` says what the regions mean, `generator` which code reads them.
  Result<void> open(const std::string& path, uint32_t version, StateHash generator);
  // Gives the file and the lock back.
  void close();
  bool is_open() const { return map_ != nullptr; }

  uint64_t size_of(uint32_t region) const { return region < max_regions ? regions_[region].size : 0; }
  uint64_t room_in(uint32_t region) const {
    return region < max_regions ? regions_[region].capacity - regions_[region].size : 0;
  }
  // Null, and damage, when the range is not in the region or a page of it is not what was written.
  const uint8_t* read(uint32_t region, uint64_t offset, uint64_t size) {
    if (region >= max_regions || offset > regions_[region].size || size > regions_[region].size - offset)
      return refuse();
    const uint64_t at = regions_[region].offset + offset;
    return size == 0 || check(at, size) ? map_ + at : refuse();
  }
  uint8_t* edit(uint32_t region, uint64_t offset, uint64_t size);
  // The offset of `size` bytes more at the end of a region, which are zeroes; false: it has no room.
  bool append(uint32_t region, uint64_t size, uint64_t& offset);
  // Shortens a region; what is cut off becomes zeroes.
  void truncate(uint32_t region, uint64_t size);

  bool damaged() const { return damaged_; }
  void note_damage() { damaged_ = true; }

  // Around the writing of whatever the state describes. Between the two the file says `changing`.
  Result<void> begin_commit();
  Result<void> end_commit();
  uint64_t bytes_written() const { return bytes_written_; }
  // For tests: called before each write to a file; what it does not return from never happens.
  static void (*before_write)();

 private:
  const uint8_t* refuse() {
    damaged_ = true;
    return nullptr;
  }
  bool check(uint64_t at, uint64_t size) {
    const uint64_t first = at / page_size, last = (at + size - 1) / page_size;
    for (uint64_t p = first; p <= last; p++)
      if (!(checked_[p / 64] >> (p % 64) & 1) && !check_page(p)) return false;
    return true;
  }
  bool check_page(uint64_t page);
  bool check_sum_page(uint64_t sum_page);
  void touch(uint64_t at, uint64_t size);
  Result<void> put(const void* data, uint64_t size, uint64_t offset);

  std::string path_;
  int fd_ = -1;
  uint8_t* map_ = nullptr;
  uint64_t size_ = 0, pages_ = 0, sums_at_ = 0;
  uint32_t version_ = 0;
  StateHash generator_;
  Region regions_[max_regions];
  std::vector<uint64_t> checked_, changed_, sum_checked_, sum_changed_, sum_sums_;
  bool damaged_ = false;
  uint64_t bytes_written_ = 0;
};

// One region as an array of records.
template <class T>
class StateTable {
  // No padding, so that equal records are equal bytes.
  static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>);

 public:
  StateTable(StateFile& file, uint32_t region) : file_(&file), region_(region) {}
  uint32_t size() const { return uint32_t(file_->size_of(region_) / sizeof(T)); }
  const T& operator[](uint32_t i) const {
    const uint8_t* p = file_->read(region_, uint64_t(i) * sizeof(T), sizeof(T));
    static const T zero{};
    return p ? *reinterpret_cast<const T*>(p) : zero;
  }
  // Null: damage.
  T* edit(uint32_t i) { return reinterpret_cast<T*>(file_->edit(region_, uint64_t(i) * sizeof(T), sizeof(T))); }
  std::span<const T> range(uint32_t first, uint32_t count) const {
    const uint8_t* p = file_->read(region_, uint64_t(first) * sizeof(T), uint64_t(count) * sizeof(T));
    return p ? std::span<const T>(reinterpret_cast<const T*>(p), count) : std::span<const T>();
  }
  T* edit_range(uint32_t first, uint32_t count) {
    return reinterpret_cast<T*>(file_->edit(region_, uint64_t(first) * sizeof(T), uint64_t(count) * sizeof(T)));
  }
  // The index of the first of `count` new records, which are zeroes; false: no room.
  bool append(uint32_t count, uint32_t& first) {
    uint64_t offset = 0;
    if (!file_->append(region_, uint64_t(count) * sizeof(T), offset)) return false;
    first = uint32_t(offset / sizeof(T));
    return true;
  }
  bool push(const T& value) {
    uint32_t at = 0;
    if (!append(1, at)) return false;
    if (T* p = edit(at)) *p = value;
    return true;
  }

 private:
  StateFile* file_;
  uint32_t region_;
};

// Writes a whole state file, which appears under its name when all of it is there.
class StateWriter {
 public:
  // The bytes must stay until write(). `room`: how much the region may grow.
  void add(uint32_t region, std::span<const uint8_t> bytes, uint64_t room);
  template <class T>
  void add(uint32_t region, const std::vector<T>& records, uint64_t more) {
    add(region, {reinterpret_cast<const uint8_t*>(records.data()), records.size() * sizeof(T)}, more * sizeof(T));
  }
  uint64_t file_size() const;
  Result<void> write(const std::string& path, uint32_t version, StateHash generator);

 private:
  struct Part {
    std::span<const uint8_t> bytes;
    uint64_t room = 0;
  };
  Part parts_[StateFile::max_regions];
};

}  // namespace lode::link
