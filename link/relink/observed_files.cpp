// See observed_files.h.
#include "link/relink/observed_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

namespace lode::link {

FileStamp stamp_of(const struct stat& st) {
  return {uint64_t(st.st_dev), uint64_t(st.st_ino), uint64_t(st.st_size),
          int64_t(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec};
}

bool identify(const std::string& path, FileStamp& out) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return false;
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
