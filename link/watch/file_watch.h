// Which of some files change, as the kernel reports it (inotify).
//
// Compilers and editors seldom write into a file: they write another one and rename it over, or remove the old one
// first. A watch on a file would go with the old file, so folders are watched, and of what is reported of them only the
// names that count. A file that is not there is watched in the same way; if its folder is not there either, the nearest
// folder above it that is. A file that is a symbolic link is watched at both ends.
//
// A report says that something may have happened; what did is found by stat(): a file is another one when its device,
// number, size or time of change is. A file that was written to and not closed yet is incomplete (writing()): the
// kernel reports the end of writing, too. What is written through a mapping is seen when its file is closed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "link/common/lookups.h"

namespace lode::link {

enum class Change : uint8_t { changed, appeared, gone };
struct ChangedFile {
  std::string path;  // as it was given
  Change change;
};

class FileWatch {
 public:
  FileWatch() = default;
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;
  ~FileWatch();

  Result<void> open();
  int descriptor() const { return fd_; }  // readable when there is something for read_reports()

  // These files from now on, and no others, unless those that were watched so far are to stay (a link that failed did
  // not come to all of them). A new one counts as changed if it is no longer what it was when it was looked up, or may
  // not be.
  Result<void> set(const std::vector<Lookup>& files, bool others_stay);
  // Takes what the kernel has reported so far. Does not wait.
  void read_reports();
  // The files that are not as they were when this was last asked, or when they were set.
  std::vector<ChangedFile> take_changed();
  // Whether one of them is being written.
  bool writing() const { return !writing_.empty(); }
  void forget_writing() { writing_.clear(); }
  size_t size() const { return files_.size(); }

 private:
  struct Folder {
    std::string path;
    std::map<std::string, std::set<std::string>, std::less<>> names;  // of files there, with the paths given for them
  };
  Result<void> arm(const std::string& path);
  Result<void> watch_name(const std::string& at, const std::string& path);

  int fd_ = -1;
  std::map<std::string, FileStamp> files_;  // by given path
  std::map<int, Folder> folders_;            // by watch descriptor
  std::set<std::string> suspects_;           // given paths of which something was reported
  std::set<std::string> writing_;
  bool all_suspect_ = false;                 // reports were lost
};

}  // namespace lode::link
