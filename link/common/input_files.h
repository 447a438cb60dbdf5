// The files of a link, opened: regular ones are mapped, pipes, FIFOs and devices read to their end. What is opened
// stays until the object ends, and then is given back; or, for who links often, until a link did not open it any more.
//
// A mapped file is taken again by the next link if stat() says that it is the same: device, number, size and the times
// of change of contents and of the record itself. Not, if it was changed so shortly before it was opened that a later
// change could have the same time. Who writes inputs through a shared mapping changes them without their times, and has
// to begin anew.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "link/common/process.h"
#include "link/relink/observed_files.h"

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
  // Around a link, when no other thread is in open(). With `keep`, what the last one opened may be taken again;
  // end_link gives back what this one did not open, and tells of each range of bytes first.
  void begin_link(bool keep);
  void end_link(const std::function<void(std::span<const uint8_t>)>& gone);
  // Whether the bytes are those of a file that another link may take again. Any thread.
  bool stays_open(std::span<const uint8_t> bytes) const;
  // After all has been read: an error if a file that this link opened is no longer as long as it was. (One that loses a
  // page is noticed when that is read, see process.h; but the rest of its last page reads as zeros.)
  Result<void> check_unchanged() const;

  // What is looked for from now on is noted, with what it was: for a later link that wants to know whether it would see
  // the same (link/relink/observed_files.h). Notes of missing files are the caller's to make.
  void observe() { observes_ = true; }
  bool observes() const { return observes_; }
  void note_missing(const std::string& path);
  const std::vector<Observation>& observations() const { return observations_; }

  struct Mapping {
    void* begin;
    size_t size;
    std::string path;
    dev_t device;
    ino_t inode;
    FileView view;
    struct timespec modified, changed;
    bool settled;       // not changed so shortly before that its times say nothing
    uint64_t used;      // by which link last
  };

 private:
  const Mapping* mapping_of(const uint8_t* byte) const;
  mutable std::mutex mutex_;
  std::list<Mapping> mappings_;
  std::unordered_map<std::string, Mapping*> kept_;     // by path: may be taken again
  std::map<const uint8_t*, Mapping*> by_address_;
  uint64_t link_ = 0;
  bool keep_ = false;
  bool observes_ = false;
  std::vector<Observation> observations_;
  std::deque<std::vector<uint8_t>> owned_;
};

// The first bytes of an input, at most `count` of them from the front or from the back, for a look at what it is before
// any linker has opened it. What comes from a pipe can be read only once: it is kept for InputFiles::open. Empty:
// cannot be read.
std::vector<uint8_t> peek_input(const std::string& path, size_t count, bool from_back = false);

}  // namespace lode::link
