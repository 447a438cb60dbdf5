// See output_file.h.
#include "link/elf/output_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace lode::link::elf {

OutputFile::~OutputFile() {
  if (map_) munmap(map_, size_);
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty() && named_) unlink(temporary_.c_str());
}

Result<uint8_t*> OutputFile::create(const std::string& path, uint64_t size, bool executable) {
  path_ = path;
  size_ = size;
  struct stat st;
  bool is_stdout = path == "-";
  bool special = is_stdout || (stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode));
  if (special && !is_stdout && S_ISDIR(st.st_mode)) return error("cannot open output file " + path + ": Is a directory");
  mode_t mask = umask(0);
  umask(mask);
  mode_t mode = (executable ? 0777 : 0666) & ~mask;
  if (special) {
    buffer_.resize(size);
    return buffer_.data();
  }
  temporary_ = path + ".lode" + std::to_string(getpid());
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (access("/proc/self/fd", X_OK) == 0) fd_ = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (fd_ < 0) {  // no way to name it later, or the file system cannot
    fd_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    named_ = true;
  }
  if (fd_ < 0) {
    int e = errno;
    temporary_.clear();
    return error("cannot open output file " + path + ": " + std::strerror(e));
  }
  if (posix_fallocate(fd_, 0, off_t(size)) != 0 && ftruncate(fd_, off_t(size)) != 0)
    return error("cannot make " + path + " " + std::to_string(size) + " bytes long: " + std::strerror(errno));
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (p == MAP_FAILED) return error("cannot map output file " + path + ": " + std::strerror(errno));
  map_ = static_cast<uint8_t*>(p);
  return map_;
}

Result<void> OutputFile::commit() {
  if (map_ == nullptr) {
    int fd = path_ == "-" ? dup(STDOUT_FILENO) : open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return error("cannot open output file " + path_ + ": " + std::strerror(errno));
    for (size_t at = 0; at < buffer_.size();) {
      ssize_t n = write(fd, buffer_.data() + at, buffer_.size() - at);
      if (n <= 0) break;
      at += size_t(n);
    }
    close(fd);
    return {};
  }
  if (!named_) {
    std::string self = "/proc/self/fd/" + std::to_string(fd_);
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0) return error("cannot name the output " + path_ + ": " + std::strerror(errno));
    named_ = true;
  }
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return error("cannot rename the output to " + path_ + ": " + std::strerror(errno));
  temporary_.clear();
  return {};
}

}  // namespace lode::link::elf
