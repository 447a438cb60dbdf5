// See input_files.h.
#include "link/common/input_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>

#include "link/common/lookups.h"

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

bool same_time(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

// File times advance in ticks of the system's coarse clock, some milliseconds each; on some file systems in seconds.
bool is_settled(const struct stat& st) {
  timespec now;
  if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0) return false;
  constexpr time_t margin = 2;
  return st.st_mtim.tv_sec + margin < now.tv_sec && st.st_ctim.tv_sec + margin < now.tv_sec;
}

std::atomic<bool> copies{false};

// The first `size` bytes of a file in pages of their own. MAP_FAILED: errno says why, ENODATA that there are fewer.
void* copy_of(int fd, size_t size) {
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return p;
  for (size_t at = 0; at < size;) {
    const ssize_t n = pread(fd, static_cast<char*>(p) + at, size - at, off_t(at));
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      at += size_t(n);
      continue;
    }
    const int code = n == 0 ? ENODATA : errno;
    munmap(p, size);
    errno = code;
    return MAP_FAILED;
  }
  return p;
}

}  // namespace

void copy_inputs_that_may_change() { copies.store(true); }

InputFiles::~InputFiles() {
  for (Mapping& m : mappings_) munmap(m.begin, m.size);
}

static bool is_same(const InputFiles::Mapping& m, const struct stat& st) {
  return m.device == st.st_dev && m.inode == st.st_ino && m.size == size_t(st.st_size) &&
         same_time(m.modified, st.st_mtim) && same_time(m.changed, st.st_ctim);
}

Result<OpenedFile> InputFiles::open(const std::string& path) {
  auto own = [&](std::vector<uint8_t> bytes) {
    std::lock_guard lock(mutex_);
    owned_.push_back(std::move(bytes));
    return std::span<const uint8_t>(owned_.back());
  };
  auto note = [&](const std::string& name, const struct stat& st, std::span<const uint8_t> data) {
    if (!observes_) return;
    std::lock_guard lock(mutex_);
    observations_.push_back({name, true, stamp_of(st), data});
  };
  OpenedFile file;
  std::vector<uint8_t> bytes;
  if (take_peeked(path, bytes)) {
    file.data = own(std::move(bytes));
    return file;
  }
  note_lookup(path);
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) return cannot("open", path, errno);
  if (S_ISDIR(st.st_mode)) return cannot("open", path, EISDIR);
  file.device = st.st_dev;
  file.inode = st.st_ino;
  if (!S_ISREG(st.st_mode)) {
    if (!read_all(fd, bytes)) return cannot("read", path, errno);
    file.data = own(std::move(bytes));
    note(path, st, file.data);
    return file;
  }
  if (st.st_size == 0) {
    note(path, st, {});
    return file;
  }
  {
    std::lock_guard lock(mutex_);
    if (auto it = kept_.find(path); it != kept_.end() && is_same(*it->second, st)) {
      it->second->used = link_;
      file.data = {static_cast<const uint8_t*>(it->second->begin), it->second->size};
      if (observes_) observations_.push_back({path, true, stamp_of(st), file.data});
      return file;
    }
  }
  size_t size = size_t(st.st_size);
  const bool copied = copies.load(std::memory_order_relaxed) && access(path.c_str(), W_OK) == 0;
  void* p = copied ? copy_of(fd, size) : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (p == MAP_FAILED && copied && errno == ENODATA) return error(path + ": the file was truncated while it was read");
  if (p == MAP_FAILED) {  // the file system cannot, or there are too many mappings
    int code = errno;
    if (!read_all(fd, bytes)) return cannot("map", path, code);
    file.data = own(std::move(bytes));
    note(path, st, file.data);
    return file;
  }
  std::lock_guard lock(mutex_);
  mappings_.push_back({p, size, path, st.st_dev, st.st_ino, FileView(p, size, path, FileView::input), st.st_mtim,
                       st.st_ctim, keep_ && is_settled(st), link_});
  if (keep_) {
    by_address_[static_cast<const uint8_t*>(p)] = &mappings_.back();
    if (mappings_.back().settled) kept_[path] = &mappings_.back();
  }
  file.data = {static_cast<const uint8_t*>(p), size};
  if (observes_) observations_.push_back({path, true, stamp_of(st), file.data});
  return file;
}

void InputFiles::note_missing(const std::string& path) {
  if (!observes_) return;
  std::lock_guard lock(mutex_);
  observations_.push_back({path, false, {}, {}});
}

void InputFiles::begin_link(bool keep) {
  observes_ = false;
  observations_.clear();
  keep_ = keep;
  link_++;
}

void InputFiles::end_link(const std::function<void(std::span<const uint8_t>)>& gone) {
  for (auto it = mappings_.begin(); it != mappings_.end();) {
    auto next = std::next(it);
    const auto* begin = static_cast<const uint8_t*>(it->begin);
    const auto known = kept_.find(it->path);
    const bool current = known != kept_.end() && known->second == &*it;
    if (it->used != link_ || !it->settled || !current) {
      gone({begin, it->size});
      if (current) kept_.erase(known);
      by_address_.erase(begin);
      it->view = FileView();
      munmap(it->begin, it->size);
      mappings_.erase(it);
    }
    it = next;
  }
  owned_.clear();
}

const InputFiles::Mapping* InputFiles::mapping_of(const uint8_t* byte) const {
  auto it = by_address_.upper_bound(byte);
  if (it == by_address_.begin()) return nullptr;
  const Mapping* m = std::prev(it)->second;
  return byte < static_cast<const uint8_t*>(m->begin) + m->size ? m : nullptr;
}

bool InputFiles::stays_open(std::span<const uint8_t> bytes) const {
  std::lock_guard lock(mutex_);
  const Mapping* m = bytes.empty() ? nullptr : mapping_of(bytes.data());
  return m && m->settled;
}

Result<void> InputFiles::check_unchanged() const {
  for (const Mapping& m : mappings_) {
    if (m.used != link_) continue;  // an earlier link's, whose file may have been written anew since
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
