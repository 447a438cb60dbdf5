// See observed_files.h.
#include "link/relink/observed_files.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include <utility>

namespace lode::link {

FileStamp stamp_of(const struct stat& st) {
  return {uint64_t(st.st_dev), uint64_t(st.st_ino), uint64_t(st.st_size),
          int64_t(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec};
}

FileStamp identity_of(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 ? stamp_of(st) : FileStamp{};
}

bool identify(const std::string& path, FileStamp& out) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return false;
  out = stamp_of(st);
  return true;
}

namespace {

class Identifier {
 public:
  Identifier() = default;
  Identifier(const Identifier&) = delete;
  Identifier& operator=(const Identifier&) = delete;
  ~Identifier() { leave(); }

  FileStamp stamp(const std::string& path) {
    FileStamp found;
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0) return identify(path, found) ? found : FileStamp{};
    if (folder_.size() != slash || path.compare(0, slash, folder_) != 0) {
      leave();
      folder_.assign(path, 0, slash);
      return identify(path, found) ? found : FileStamp{};
    }
    if (!std::exchange(is_tried_, true)) fd_ = open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd_ < 0) return identify(path, found) ? found : FileStamp{};
    return fstatat(fd_, path.c_str() + slash + 1, &st, 0) == 0 && S_ISREG(st.st_mode) ? stamp_of(st) : FileStamp{};
  }

 private:
  void leave() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
    is_tried_ = false;
  }
  std::string folder_;  // of the last path
  int fd_ = -1;         // of that folder, from its second file on
  bool is_tried_ = false;
};

struct Range {
  const std::vector<const std::string*>& paths;
  std::vector<FileStamp>& found;
  size_t begin, end;
};

void* identify_range(void* argument) {
  const Range& r = *static_cast<Range*>(argument);
  Identifier files;
  for (size_t i = r.begin; i < r.end; i++)
    if (r.paths[i]) r.found[i] = files.stamp(*r.paths[i]);
  return nullptr;
}

}  // namespace

std::vector<FileStamp> identify_all(const std::vector<const std::string*>& paths, bool may_use_threads) {
  constexpr size_t many = 400;  // a thread costs as much as some 50 files
  std::vector<FileStamp> found(paths.size());
  const size_t middle = may_use_threads && paths.size() >= many ? paths.size() / 2 : 0;
  Range first{paths, found, 0, middle}, second{paths, found, middle, paths.size()};
  pthread_t other;
  const bool helped = middle && pthread_create(&other, nullptr, identify_range, &first) == 0;
  identify_range(&second);
  if (helped) pthread_join(other, nullptr);
  else identify_range(&first);
  return found;
}

int64_t file_clock() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

uint64_t content_hash(std::span<const uint8_t> bytes) {
  const uint64_t h = XXH3_64bits(bytes.data(), bytes.size());
  return h ? h : 1;
}

bool hash_file(const std::string& path, uint64_t& hash) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat st;
  bool good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  if (good && st.st_size == 0) {
    hash = content_hash({});
  } else if (good) {
    const size_t size = size_t(st.st_size);
    void* p = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    good = p != MAP_FAILED;
    if (good) {
      hash = content_hash({static_cast<const uint8_t*>(p), size});
      munmap(p, size);
    }
  }
  close(fd);
  return good;
}

}  // namespace lode::link
