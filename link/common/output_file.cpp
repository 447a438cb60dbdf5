// See output_file.h.
#include "link/common/output_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>

namespace lode::link {

namespace {

Error cannot_write(const std::string& path, int code) {
  return error("cannot write " + path + ": " + std::strerror(code));
}

// A name beside `path` that another process cannot foresee.
std::string random_name(const std::string& path) {
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    number = uint64_t(now.tv_nsec) << 32 ^ uint64_t(now.tv_sec) ^ uint64_t(getpid());
  }
  char hex[32];
  std::snprintf(hex, sizeof hex, ".lode-%016llx", static_cast<unsigned long long>(number));
  return path + hex;
}

constexpr int attempts = 100;

// The umask without setting it, which would be seen by other threads of the process. For files without a name: kernels
// before 6.0 leave the umask to the file system, and some forget it. 0 where the system does not tell.
mode_t process_umask() {
  char text[512];
  int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  const char* line = std::strstr(text, "\nUmask:");
  return line ? mode_t(std::strtoul(line + 7, nullptr, 8)) : 0;
}

// 0, or the error's code. Not posix_fallocate: glibc's writes into every block where the file system cannot reserve.
int reserve(int fd, uint64_t size) {
  while (fallocate(fd, 0, 0, off_t(size)) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

}  // namespace

OutputFile::~OutputFile() {
  if (map_) munmap(map_, size_);
  if (buffer_) munmap(buffer_, size_);
  if (fd_ >= 0) close(fd_);
  if (named_) {
    unlink(temporary_.c_str());
    note_temporary({});
  }
}

Result<void> OutputFile::open_temporary(bool executable) {
  const mode_t mode = executable ? 0777 : 0666;  // the system takes the bits of the umask away
  size_t slash = path_.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  if (access("/proc/self/fd", X_OK) == 0)
    fd_ = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode & ~process_umask());
  for (int k = 0; fd_ < 0 && k < attempts; k++) {  // no way to name it later, or the file system cannot
    temporary_ = random_name(path_);
    note_temporary(temporary_);
    fd_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    named_ = fd_ >= 0;
    if (!named_ && errno != EEXIST && errno != EINTR) break;
  }
  if (fd_ >= 0) return {};
  int code = errno;
  note_temporary({});
  return error("cannot open output file " + path_ + ": " + std::strerror(code));
}

static Error no_memory(uint64_t size) {
  return error("there is no memory for an output of " + std::to_string(size) + " bytes");
}

// An output may be as large as an address in an input says.
static Result<uint8_t*> zeroes(std::vector<uint8_t>& bytes, uint64_t size) {
  try {
    bytes.assign(size, 0);
  } catch (const std::exception&) {  // std::bad_alloc, std::length_error
    return no_memory(size);
  }
  return bytes.data();
}

Result<uint8_t*> OutputFile::create(const std::string& path, uint64_t size, bool executable) {
  if (memory_) return zeroes(*memory_, size);
  path_ = path;
  size_ = size;
  struct stat st;
  bool exists = path != "-" && stat(path.c_str(), &st) == 0;
  if (exists && S_ISDIR(st.st_mode)) return error("cannot open output file " + path + ": Is a directory");
  special_ = path == "-" || (exists && !S_ISREG(st.st_mode));
  if (!special_) {
    LODE_TRY(open_temporary(executable));
    int code = size ? reserve(fd_, size) : EOPNOTSUPP;
    if (code == 0) {
      void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
      if (p != MAP_FAILED) {
        map_ = static_cast<uint8_t*>(p);
        view_ = FileView(p, size, path, FileView::output);
        return map_;
      }
    } else if (code != EOPNOTSUPP && code != ENOSYS && code != EINVAL) {
      return cannot_write(path, code);
    }
  }
  // Pages of zeroes that nobody writes to take no memory.
  void* p = size ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : nullptr;
  if (p == MAP_FAILED) return no_memory(size);
  buffer_ = static_cast<uint8_t*>(p);
  return buffer_;
}

Result<void> OutputFile::write_at(uint64_t offset, const void* data, uint64_t size) {
  if (!map_) {
    if (size) std::memcpy((memory_ ? memory_->data() : buffer_) + offset, data, size);
    return {};
  }
  for (uint64_t done = 0; done < size;) {
    const ssize_t n = pwrite(fd_, static_cast<const uint8_t*>(data) + done, size - done, off_t(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return cannot_write(path_, n < 0 ? errno : EIO);
    done += uint64_t(n);
  }
  return {};
}

Result<void> OutputFile::write_buffer(int fd) {
  for (size_t at = 0; at < size_;) {
    ssize_t n = write(fd, buffer_ + at, size_ - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return cannot_write(path_, n < 0 ? errno : EIO);
    at += size_t(n);
  }
  return {};
}

Result<void> OutputFile::commit() {
  if (memory_) return {};
  if (special_) {
    if (path_ == "-") std::fflush(stdout);
    int fd = path_ == "-" ? dup(STDOUT_FILENO) : open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return error("cannot open output file " + path_ + ": " + std::strerror(errno));
    auto written = write_buffer(fd);
    if (close(fd) != 0 && written.ok()) return cannot_write(path_, errno);
    return written;
  }
  if (!map_) LODE_TRY(write_buffer(fd_));
  for (int k = 0; !named_; k++) {
    temporary_ = random_name(path_);
    note_temporary(temporary_);
    std::string self = "/proc/self/fd/" + std::to_string(fd_);
    named_ = linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) == 0;
    if (named_ || (errno == EEXIST && k < attempts)) continue;
    int code = errno;
    note_temporary({});
    return error("cannot name the output " + path_ + ": " + std::strerror(code));
  }
  if (!map_) {  // some file systems tell only now that there is no room
    int fd = fd_;
    fd_ = -1;
    if (close(fd) != 0) return cannot_write(path_, errno);
  }
  if (rename(temporary_.c_str(), path_.c_str()) != 0)
    return error("cannot rename the output to " + path_ + ": " + std::strerror(errno));
  named_ = false;
  note_temporary({});
  return {};
}

Result<void> write_text(const std::string& path, std::string_view text) {
  std::FILE* out = path == "-" ? stdout : std::fopen(path.c_str(), "we");
  if (!out) return error("cannot open " + path + ": " + std::strerror(errno));
  bool good = std::fwrite(text.data(), 1, text.size(), out) == text.size() && std::fflush(out) == 0;
  int code = errno;
  if (out != stdout && std::fclose(out) != 0 && good) {
    good = false;
    code = errno;
  }
  if (good) return {};
  return cannot_write(path == "-" ? "standard output" : path, code);
}

}  // namespace lode::link
