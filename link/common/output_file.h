// Files on their way out.
//
// OutputFile: the output is written to a file that has no name (O_TMPFILE; where there is no such thing, to one of a
// random name beside the final one that nobody else can have made), which commit() names and renames over the old. So a
// failed, interrupted or killed link leaves the old file as it was. Its space is reserved before anything is written
// through the mapping, where a full disk could only be told by a signal; where that cannot be done the bytes are put
// together in memory and written at commit(). So they are for a place that cannot be replaced: a device, a FIFO,
// standard output ("-").
//
// write_text: the other files of a link (maps, lists, dependencies), with an error if they did not reach the disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "link/common/process.h"

namespace lode::link {

class OutputFile {
 public:
  // `memory`: if given, the contents are put there, and there is no file.
  explicit OutputFile(std::vector<uint8_t>* memory = nullptr) : memory_(memory) {}
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  // Zero-filled memory of `size` bytes that becomes the file's contents.
  Result<uint8_t*> create(const std::string& path, uint64_t size, bool executable);
  // Instead of by that memory. Where much is written in large pieces, this costs a fifth of faults on fresh pages.
  Result<void> write_at(uint64_t offset, const void* data, uint64_t size);
  Result<void> commit();

 private:
  Result<void> open_temporary(bool executable);
  Result<void> write_buffer(int fd);

  std::string path_, temporary_;
  int fd_ = -1;
  bool special_ = false;    // written where it is
  bool named_ = false;      // temporary_ exists
  uint8_t* map_ = nullptr;  // null: buffer_
  FileView view_;
  uint64_t size_ = 0;
  uint8_t* buffer_ = nullptr;  // anonymous pages
  std::vector<uint8_t>* memory_;
};

// "-" is standard output.
Result<void> write_text(const std::string& path, std::string_view text);

}  // namespace lode::link
