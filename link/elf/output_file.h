// The output on its way: written to a file that has no name (O_TMPFILE; beside the final name where there is no such thing), which
// commit() names and renames over the old one. So a failed or killed link leaves the old file as it was, and nothing beside it. A place that cannot be replaced (a device) is written at commit().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace lode::link::elf {

class OutputFile {
 public:
  OutputFile() = default;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  // Zero-filled memory of `size` bytes that becomes the file's contents.
  Result<uint8_t*> create(const std::string& path, uint64_t size, bool executable);
  Result<void> commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  bool named_ = false;
  uint8_t* map_ = nullptr;
  uint64_t size_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace lode::link::elf
