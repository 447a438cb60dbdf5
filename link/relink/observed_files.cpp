// See observed_files.h.
#include "link/relink/observed_files.h"

#include <fcntl.h>
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

Identifier::~Identifier() { leave(); }

void Identifier::leave() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  is_tried_ = false;
}

bool Identifier::identify(const std::string& path, FileStamp& out) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return link::identify(path, out);
  if (folder_.size() != slash || path.compare(0, slash, folder_) != 0) {
    leave();
    folder_.assign(path, 0, slash);
    return link::identify(path, out);
  }
  if (!std::exchange(is_tried_, true)) fd_ = open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  struct stat st;
  if (fd_ < 0) return link::identify(path, out);
  if (fstatat(fd_, path.c_str() + slash + 1, &st, 0) != 0 || !S_ISREG(st.st_mode)) return false;
  out = stamp_of(st);
  return true;
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
