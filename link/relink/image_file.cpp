// See image_file.h.
#include "link/relink/image_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "link/common/output_file.h"
#include "link/relink/state_file.h"

namespace lode::link {

ImageFile::~ImageFile() {
  view_ = FileView();
  if (now_) munmap(now_, size_);
  if (old_) munmap(old_, size_);
  if (fd_ >= 0) close(fd_);
}

Result<void> ImageFile::open(const std::string& output, const FileStamp& recorded, bool executable) {
  output_ = output;
  image_ = name_of(output);
  executable_ = executable;
  bool exists = false;
  for (const std::string& path : {output_, image_}) {
    FileStamp found;
    if (!identify(path, found)) continue;
    exists = true;
    if (!(found == recorded)) continue;
    fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    writable_ = fd_ >= 0;
    if (fd_ < 0) fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);  // it runs, or is read-only
    struct stat st;
    if (fd_ >= 0 && fstat(fd_, &st) == 0 && stamp_of(st) == recorded) break;
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  if (fd_ < 0) return error(exists ? "the output is not the one that the last link made" : "there is no output");
  size_ = recorded.size;
  if (!size_) return error("the output is empty");
  void* old = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
  void* now = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd_, 0);
  if (old != MAP_FAILED) old_ = static_cast<uint8_t*>(old);
  if (now != MAP_FAILED) now_ = static_cast<uint8_t*>(now);
  if (!old_ || !now_) return error("the output cannot be mapped");
  view_ = FileView(now_, size_, output_, FileView::output);
  return {};
}

void ImageFile::wrote(uint64_t offset, uint64_t size) {
  if (offset > size_ || size > size_ - offset) return;
  // What is equal in between is not written unless it is so short that another call would cost more.
  constexpr uint64_t step = 64;
  const uint64_t end = offset + size;
  for (uint64_t at = offset; at < end;) {
    uint64_t n = std::min(step - at % step, end - at);
    if (std::memcmp(now_ + at, old_ + at, n) == 0) {
      at += n;
      continue;
    }
    uint64_t first = at, last = at + n;
    while (now_[first] == old_[first]) first++;
    while (now_[last - 1] == old_[last - 1]) last--;
    if (!ranges_.empty() && ranges_.back().offset + ranges_.back().size + step >= first &&
        ranges_.back().offset <= first)
      ranges_.back().size = std::max(ranges_.back().offset + ranges_.back().size, last) - ranges_.back().offset;
    else ranges_.push_back({first, last - first});
    at += n;
  }
}

std::vector<bool> ImageFile::changed_blocks(uint64_t block) const {
  std::vector<bool> out((size_ + block - 1) / block);
  for (const Range& r : ranges_)
    for (uint64_t b = r.offset / block; b <= (r.offset + r.size - 1) / block; b++) out[b] = true;
  return out;
}

bool ImageFile::is_in_use() const {
  if (!writable_) return true;
  // The signal that would tell of others who want the file meanwhile is one that is ignored by default.
  if (fcntl(fd_, F_SETSIG, SIGURG) == 0 && fcntl(fd_, F_SETLEASE, F_WRLCK) == 0) {
    fcntl(fd_, F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN || !executable_;
}

// Under the output's name stands the image; whatever stood there is gone.
Result<void> ImageFile::give_name(const std::string& from) {
  if (::link(from.c_str(), output_.c_str()) == 0) return {};
  if (errno == EEXIST) {
    char suffix[48];
    std::snprintf(suffix, sizeof suffix, ".lode-%d-name", int(getpid()));
    const std::string temporary = output_ + suffix;
    unlink(temporary.c_str());
    if (::link(from.c_str(), temporary.c_str()) == 0) {
      if (rename(temporary.c_str(), output_.c_str()) == 0) return {};
      const int code = errno;
      unlink(temporary.c_str());
      return error("cannot rename the output to " + output_ + ": " + std::strerror(code));
    }
  }
  return error("cannot link the output to " + output_ + ": " + std::strerror(errno));
}

Result<void> ImageFile::replace() {
  OutputFile file;
  LODE_ASSIGN(uint8_t * out, file.create(output_, size_, true));
  std::memcpy(out, now_, size_);
  if (StateFile::before_write) StateFile::before_write();
  LODE_TRY(file.commit());
  fresh_ = true;
  changed_ = size_;
  keep_image(output_);
  return {};
}

Result<void> ImageFile::commit(FileStamp& identity) {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.offset < b.offset; });
  if (is_in_use()) {
    LODE_TRY(replace());
  } else {
    uint64_t done = 0;  // up to here all is written
    for (const Range& r : ranges_) {
      uint64_t at = std::max(r.offset, done);
      const uint64_t end = r.offset + r.size;
      if (at >= end) continue;
      if (StateFile::before_write) StateFile::before_write();
      changed_ += end - at;
      while (at < end) {
        const ssize_t n = pwrite(fd_, now_ + at, end - at, off_t(at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return error("cannot write " + output_ + ": " + std::strerror(n < 0 ? errno : EIO));
        at += uint64_t(n);
      }
      done = end;
    }
    if (futimens(fd_, nullptr) != 0) return error("cannot set the time of " + output_ + ": " + std::strerror(errno));
    struct stat ours, named;
    if (fstat(fd_, &ours) != 0) return error("cannot look at " + output_ + ": " + std::strerror(errno));
    const bool is_there =
        stat(output_.c_str(), &named) == 0 && named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
    if (!is_there) LODE_TRY(give_name(image_));
  }
  if (!identify(output_, identity)) return error("the output " + output_ + " has gone");
  return {};
}

bool keep_image(const std::string& output) {
  const std::string image = ImageFile::name_of(output);
  unlink(image.c_str());
  return ::link(output.c_str(), image.c_str()) == 0;
}

}  // namespace lode::link
