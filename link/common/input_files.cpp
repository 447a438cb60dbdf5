// See input_files.h.
#include "link/common/input_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

namespace lode::link {

namespace {

Error cannot(const char* what, const std::string& path, int code) {
  return error(std::string("cannot ") + what + " " + path + ": " + std::strerror(code));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

// From where the descriptor stands to its end. False: errno says why.
bool read_all(int fd, std::vector<uint8_t>& out) {
  constexpr size_t step = 1 << 16;
  for (size_t at = out.size();;) {
    if (out.size() - at < step) out.resize(std::max(out.size() * 2, step));
    ssize_t n = read(fd, out.data() + at, out.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      at += size_t(n);
      continue;
    }
    out.resize(at);
    return n == 0;
  }
}

// What peek_input read of pipes, by path, until it is opened.
std::mutex peeked_mutex;
std::map<std::string, std::vector<uint8_t>> peeked;

bool take_peeked(const std::string& path, std::vector<uint8_t>& out) {
  std::lock_guard lock(peeked_mutex);
  auto it = peeked.find(path);
  if (it == peeked.end()) return false;
  out = std::move(it->second);
  peeked.erase(it);
  return true;
}

}  // namespace

InputFiles::~InputFiles() {
  for (Mapping& m : mappings_) munmap(m.begin, m.size);
}

Result<OpenedFile> InputFiles::open(const std::string& path) {
  auto own = [&](std::vector<uint8_t> bytes) {
    std::lock_guard lock(mutex_);
    owned_.push_back(std::move(bytes));
    return std::span<const uint8_t>(owned_.back());
  };
  OpenedFile file;
  std::vector<uint8_t> bytes;
  if (take_peeked(path, bytes)) {
    file.data = own(std::move(bytes));
    return file;
  }
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) return cannot("open", path, errno);
  if (S_ISDIR(st.st_mode)) return cannot("open", path, EISDIR);
  file.device = st.st_dev;
  file.inode = st.st_ino;
  if (!S_ISREG(st.st_mode)) {
    if (!read_all(fd, bytes)) return cannot("read", path, errno);
    file.data = own(std::move(bytes));
    return file;
  }
  if (st.st_size == 0) return file;
  size_t size = size_t(st.st_size);
  void* p = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (p == MAP_FAILED) {  // the file system cannot, or there are too many mappings
    int code = errno;
    if (!read_all(fd, bytes)) return cannot("map", path, code);
    file.data = own(std::move(bytes));
    return file;
  }
  std::lock_guard lock(mutex_);
  mappings_.push_back({p, size, path, st.st_dev, st.st_ino, FileView(p, size, path, FileView::input)});
  file.data = {static_cast<const uint8_t*>(p), size};
  return file;
}

Result<void> InputFiles::check_unchanged() const {
  for (const Mapping& m : mappings_) {
    struct stat st;
    if (stat(m.path.c_str(), &st) != 0 || st.st_dev != m.device || st.st_ino != m.inode)
      continue;  // replaced: the old one is still mapped
    if (size_t(st.st_size) < m.size) return error(m.path + ": the file was truncated while it was read");
  }
  return {};
}

std::vector<uint8_t> peek_input(const std::string& path, size_t count, bool from_back) {
  std::vector<uint8_t> out;
  auto part = [&](const std::vector<uint8_t>& all) {
    size_t n = std::min(count, all.size());
    out.assign(from_back ? all.end() - ptrdiff_t(n) : all.begin(), from_back ? all.end() : all.begin() + ptrdiff_t(n));
  };
  {
    std::lock_guard lock(peeked_mutex);
    if (auto it = peeked.find(path); it != peeked.end()) {
      part(it->second);
      return out;
    }
  }
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) return out;
  if (S_ISREG(st.st_mode)) {
    off_t size = st.st_size, begin = from_back && size > off_t(count) ? size - off_t(count) : 0;
    out.resize(size_t(std::min(off_t(count), size)));
    ssize_t n = pread(fd, out.data(), out.size(), begin);
    out.resize(n > 0 ? size_t(n) : 0);
    return out;
  }
  std::vector<uint8_t> all;
  if (!read_all(fd, all)) return out;
  part(all);
  std::lock_guard lock(peeked_mutex);
  peeked.emplace(path, std::move(all));
  return out;
}

}  // namespace lode::link
