// What a link has seen of the file system, so that a later one can tell by stat() alone that it would see the same.
//
// A file is the same if it has the same device, number, size and time of modification. That says nothing where the file
// was as young as the look at it: a change within the same tick of the clock would leave the same time. Of such a file
// the contents are hashed, too, and compared until it has been seen unchanged at a greater age. A search for a library
// is repeated by looking at every path that was tried, also those where nothing was.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lode::link {

struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified = 0;  // nanoseconds since 1970
  bool exists() const { return !(*this == FileStamp{}); }
  bool operator==(const FileStamp&) const = default;
};

FileStamp stamp_of(const struct stat& st);
// Of whatever is there, regular or not; zeroes: nothing.
FileStamp identity_of(const std::string& path);
// False: there is no such file, or it is not a regular one.
bool identify(const std::string& path, FileStamp& out);

// The same for many files, by two threads where that is worth it; null paths are passed over; zeroes: as false. Files
// of one folder that come one after the other are looked for in the folder, so that the system need not find that each
// time.
std::vector<FileStamp> identify_all(const std::vector<const std::string*>& paths, bool may_use_threads);

// Nanoseconds since 1970, by the clock that file systems go by.
int64_t file_clock();
// Whether a file that was modified then may have been changed at `now` without a new time: clocks of file systems tick
// in milliseconds, some in seconds, and a clock may have been set back.
inline bool is_young(int64_t modified, int64_t now) {
  constexpr int64_t margin = 2'000'000'000;
  return modified > now - margin;
}

// Of a file's contents; never 0.
uint64_t content_hash(std::span<const uint8_t> bytes);
// False: cannot be read.
bool hash_file(const std::string& path, uint64_t& hash);

// As a link saw it. `data`: what it read, as long as the link's files are open.
struct Observation {
  std::string path;
  bool exists = false;
  FileStamp identity;
  std::span<const uint8_t> data;
};

}  // namespace lode::link
