// The files of a link, opened: regular ones are mapped, pipes, FIFOs and devices read to their end. What is opened
// stays until the object ends, and then is given back.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "link/common/process.h"

namespace lode::link {

struct OpenedFile {
  std::span<const uint8_t> data;
  dev_t device = 0;
  ino_t inode = 0;
};

class InputFiles {
 public:
  InputFiles() = default;
  InputFiles(const InputFiles&) = delete;
  InputFiles& operator=(const InputFiles&) = delete;
  ~InputFiles();

  // Any thread.
  Result<OpenedFile> open(const std::string& path);
  // After all has been read: an error if a file is no longer as long as it was. (One that loses a page is noticed when
  // that is read, see process.h; but the rest of its last page reads as zeros.)
  Result<void> check_unchanged() const;

 private:
  struct Mapping {
    void* begin;
    size_t size;
    std::string path;
    dev_t device;
    ino_t inode;
    FileView view;
  };
  std::mutex mutex_;
  std::deque<Mapping> mappings_;
  std::deque<std::vector<uint8_t>> owned_;
};

// The first bytes of an input, at most `count` of them from the front or from the back, for a look at what it is before
// any linker has opened it. What comes from a pipe can be read only once: it is kept for InputFiles::open. Empty:
// cannot be read.
std::vector<uint8_t> peek_input(const std::string& path, size_t count, bool from_back = false);

}  // namespace lode::link
