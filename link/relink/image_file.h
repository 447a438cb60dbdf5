// The output as an earlier link left it, to be patched in place.
//
// The image has a name of its own beside the output (a hard link, `PROG.lode-image`), because build tools take an
// output away before they link it again. All changes are made in a private mapping; what was changed is found by
// comparing with the file, and only that is written, at the commit. So until then nothing has happened, and a relink
// that cannot go on leaves everything as it was.
//
// A program that runs, or a library that is loaded, keeps its file: when anybody else has the file open, the commit
// makes a new file of the changed image and leaves the old one alone. The kernel knows: it grants a write lease only to
// a sole user. Where it grants none for other reasons, executables are still safe (ETXTBSY), and for libraries a new
// file is made always.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "link/common/process.h"
#include "link/relink/observed_files.h"

namespace lode::link {

class ImageFile {
 public:
  ImageFile() = default;
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;
  ~ImageFile();

  static std::string name_of(const std::string& output) { return output + ".lode-image"; }

  // The error is a reason: "the output was changed by somebody else", ...
  Result<void> open(const std::string& output, const FileStamp& recorded, bool executable);
  uint8_t* data() { return now_; }
  const uint8_t* before() const { return old_; }
  uint64_t size() const { return size_; }

  // Says that a range of data() may have been written to; ranges may overlap and come in any order.
  void wrote(uint64_t offset, uint64_t size);
  uint64_t changed_bytes() const { return changed_; }
  std::vector<bool> changed_blocks(uint64_t block) const;

  // The changed bytes reach the file, the output is there under its name, and its time is now, even if nothing changed.
  // `identity` is that of the file afterwards.
  Result<void> commit(FileStamp& identity);
  bool made_new_file() const { return fresh_; }

 private:
  struct Range {
    uint64_t offset, size;
  };
  bool is_in_use() const;
  Result<void> replace();
  Result<void> give_name(const std::string& from);

  std::string output_, image_;
  int fd_ = -1;
  bool executable_ = false, writable_ = false, fresh_ = false;
  uint8_t *now_ = nullptr, *old_ = nullptr;
  uint64_t size_ = 0, changed_ = 0;
  FileView view_;
  std::vector<Range> ranges_;
};

// Gives the output its second name. False: the file system cannot; then the image is the output itself.
bool keep_image(const std::string& output);

}  // namespace lode::link
