// See state_file.h.
#include "link/relink/state_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "link/common/output_file.h"
#include "link/common/parallel.h"

namespace lode::link {

void (*StateFile::before_write)() = nullptr;

namespace {

constexpr char magic[8] = {'l', 'o', 'd', 'e', 's', 't', 'a', 't'};
// No bit or two make one of the other.
constexpr uint64_t settled = 0x5e77'1ed0'5e77'1ed0, changing = 0xc4a9'6196'c4a9'6196;
constexpr uint64_t page_size = StateFile::page_size;
constexpr uint32_t max_sum_pages = 700;  // of 512 checksums each: files of up to 1.4 GB

struct Header {
  char magic[8];
  uint64_t phase;      // not part of the checksum: it changes alone
  uint64_t checksum;   // of what follows
  uint32_t version;
  uint32_t sum_pages;
  StateHash generator;
  uint64_t file_size, pages, sums_at;
  StateFile::Region regions[StateFile::max_regions];
  uint64_t sum_sums[max_sum_pages];
};
static_assert(sizeof(Header) == 72 + 64 * 24 + 700 * 8);
constexpr uint64_t header_size = 2 * page_size;
static_assert(sizeof(Header) <= header_size);

uint64_t checksum_of(const Header& h) {
  const auto* p = reinterpret_cast<const uint8_t*>(&h) + offsetof(Header, version);
  return XXH3_64bits(p, sizeof(Header) - offsetof(Header, version));
}
uint64_t pages_of(uint64_t bytes) { return (bytes + page_size - 1) / page_size; }

}  // namespace

StateFile::~StateFile() { close(); }

void StateFile::close() {
  if (map_) munmap(map_, size_);
  if (fd_ >= 0) ::close(fd_);
  map_ = nullptr;
  fd_ = -1;
}

Result<void> StateFile::open(const std::string& path, uint32_t version, StateHash generator) {
  path_ = path;
  version_ = version;
  generator_ = generator;
  struct stat st, named;
  for (;;) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd_ < 0) return error(errno == ENOENT ? "there is no state file" : "the state file cannot be opened");
    while (flock(fd_, LOCK_EX) != 0)
      if (errno != EINTR) return error("the state file cannot be locked");
    if (fstat(fd_, &st) != 0) return error("the state file cannot be read");
    // Whoever had the lock may have put another file in its place.
    if (stat(path.c_str(), &named) == 0 && named.st_dev == st.st_dev && named.st_ino == st.st_ino) break;
    ::close(fd_);
    fd_ = -1;
  }
  if (!S_ISREG(st.st_mode)) return error("the state file is not a file");
  if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
    return error("the state file is another user's, or others may write to it");
  if (uint64_t(st.st_size) < header_size) return error("the state file is damaged: too short");
  size_ = uint64_t(st.st_size);
  void* p = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd_, 0);
  if (p == MAP_FAILED) return error("the state file cannot be mapped");
  map_ = static_cast<uint8_t*>(p);
  const auto& h = *reinterpret_cast<const Header*>(map_);
  if (std::memcmp(h.magic, magic, sizeof magic) != 0) return error("the state file is not lode's");
  if (h.phase == changing) return error("the last relink was not finished");
  if (h.phase != settled || h.checksum != checksum_of(h)) return error("the state file is damaged");
  if (h.version != version || !(h.generator == generator)) return error("the state file is that of another lode");
  if (h.file_size != size_ || h.sums_at != header_size + h.pages * page_size || h.pages > size_ / page_size ||
      h.sum_pages != pages_of(h.pages * 8) || h.sum_pages > max_sum_pages ||
      size_ != h.sums_at + h.sum_pages * page_size)
    return error("the state file is damaged: its sizes do not agree");
  for (uint32_t i = 0; i < max_regions; i++) {
    const Region& r = h.regions[i];
    if (r.offset % page_size || r.size > r.capacity || r.offset > h.sums_at || r.capacity > h.sums_at - r.offset ||
        (r.capacity && r.offset < header_size))
      return error("the state file is damaged: its regions do not fit");
    regions_[i] = r;
  }
  pages_ = h.pages;
  sums_at_ = h.sums_at;
  sum_sums_.assign(h.sum_sums, h.sum_sums + h.sum_pages);
  const uint64_t all = size_ / page_size + 1;
  checked_.assign(all / 64 + 1, 0);
  changed_.assign(all / 64 + 1, 0);
  sum_checked_.assign(h.sum_pages / 64 + 1, 0);
  sum_changed_.assign(h.sum_pages / 64 + 1, 0);
  return {};
}

bool StateFile::check_sum_page(uint64_t n) {
  if (n >= sum_sums_.size()) return false;
  if (sum_checked_[n / 64] >> (n % 64) & 1) return true;
  if (XXH3_64bits(map_ + sums_at_ + n * page_size, page_size) != sum_sums_[n]) return false;
  sum_checked_[n / 64] |= uint64_t{1} << (n % 64);
  return true;
}

// `page` counts from the start of the file; the regions' first has checksum 0.
bool StateFile::check_page(uint64_t page) {
  const uint64_t n = page - header_size / page_size;
  if (page < header_size / page_size || n >= pages_ || !check_sum_page(n / (page_size / 8))) return false;
  if (XXH3_64bits(map_ + page * page_size, page_size) != load_le<uint64_t>(map_ + sums_at_ + n * 8)) return false;
  checked_[page / 64] |= uint64_t{1} << (page % 64);
  return true;
}

void StateFile::touch(uint64_t at, uint64_t size) {
  if (!size) return;
  for (uint64_t p = at / page_size; p <= (at + size - 1) / page_size; p++) changed_[p / 64] |= uint64_t{1} << (p % 64);
}

uint8_t* StateFile::edit(uint32_t region, uint64_t offset, uint64_t size) {
  if (!read(region, offset, size)) return nullptr;
  const uint64_t at = regions_[region].offset + offset;
  touch(at, size);
  return map_ + at;
}

bool StateFile::append(uint32_t region, uint64_t size, uint64_t& offset) {
  if (region >= max_regions || size > room_in(region)) return false;
  offset = regions_[region].size;
  regions_[region].size += size;
  return !size || edit(region, offset, size) != nullptr;
}

void StateFile::truncate(uint32_t region, uint64_t size) {
  if (region >= max_regions || size >= regions_[region].size) return;
  const uint64_t cut = regions_[region].size - size;
  if (uint8_t* p = edit(region, size, cut)) std::memset(p, 0, cut);
  regions_[region].size = size;
}

Result<void> StateFile::put(const void* data, uint64_t size, uint64_t offset) {
  if (before_write) before_write();
  const auto* p = static_cast<const uint8_t*>(data);
  bytes_written_ += size;
  while (size) {
    ssize_t n = pwrite(fd_, p, size, off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return error("cannot write " + path_ + ": " + std::strerror(n < 0 ? errno : EIO));
    p += n;
    size -= uint64_t(n);
    offset += uint64_t(n);
  }
  return {};
}

Result<void> StateFile::begin_commit() {
  if (damaged_) return error("the state file is damaged");
  return put(&changing, sizeof changing, offsetof(Header, phase));
}

Result<void> StateFile::end_commit() {
  if (damaged_) return error("the state file is damaged");
  const uint64_t first = header_size / page_size;
  for (uint64_t p = first; p < first + pages_;) {
    if (!(changed_[p / 64] >> (p % 64) & 1)) {
      p = changed_[p / 64] >> (p % 64) ? p + 1 : (p / 64 + 1) * 64;
      continue;
    }
    uint64_t end = p;
    for (; end < first + pages_ && (changed_[end / 64] >> (end % 64) & 1); end++) {
      const uint64_t n = end - first;
      if (!check_sum_page(n / (page_size / 8))) return error("the state file is damaged");
      store_le(map_ + sums_at_ + n * 8, uint64_t(XXH3_64bits(map_ + end * page_size, page_size)));
      sum_changed_[n / 512 / 64] |= uint64_t{1} << (n / 512 % 64);
    }
    LODE_TRY(put(map_ + p * page_size, (end - p) * page_size, p * page_size));
    p = end;
  }
  for (uint64_t n = 0; n < sum_sums_.size(); n++) {
    if (!(sum_changed_[n / 64] >> (n % 64) & 1)) continue;
    const uint8_t* at = map_ + sums_at_ + n * page_size;
    sum_sums_[n] = XXH3_64bits(at, page_size);
    LODE_TRY(put(at, page_size, sums_at_ + n * page_size));
  }
  Header h = *reinterpret_cast<const Header*>(map_);
  std::memcpy(h.regions, regions_, sizeof regions_);
  std::memcpy(h.sum_sums, sum_sums_.data(), sum_sums_.size() * 8);
  h.phase = changing;
  h.checksum = checksum_of(h);
  LODE_TRY(put(&h, sizeof h, 0));
  LODE_TRY(put(&settled, sizeof settled, offsetof(Header, phase)));
  h.phase = settled;
  std::memcpy(map_, &h, sizeof h);
  std::fill(changed_.begin(), changed_.end(), 0);
  std::fill(sum_changed_.begin(), sum_changed_.end(), 0);
  return {};
}

void StateWriter::add(uint32_t region, std::span<const uint8_t> bytes, uint64_t room) {
  if (region < StateFile::max_regions) parts_[region] = {bytes, room};
}

uint64_t StateWriter::file_size() const {
  uint64_t pages = 0;
  for (const Part& p : parts_) pages += pages_of(p.bytes.size() + p.room);
  return header_size + (pages + pages_of(pages * 8)) * page_size;
}

Result<void> StateWriter::write(const std::string& path, uint32_t version, StateHash generator) {
  OutputFile file;
  const uint64_t size = file_size();
  Header h{};
  std::memcpy(h.magic, magic, sizeof magic);
  h.phase = settled;
  h.version = version;
  h.generator = generator;
  h.file_size = size;
  uint64_t at = header_size;
  for (uint32_t i = 0; i < StateFile::max_regions; i++) {
    const Part& p = parts_[i];
    const uint64_t capacity = pages_of(p.bytes.size() + p.room) * page_size;
    h.regions[i] = {at, p.bytes.size(), capacity};
    at += capacity;
  }
  h.pages = (at - header_size) / page_size;
  h.sums_at = at;
  h.sum_pages = uint32_t(pages_of(h.pages * 8));
  if (h.sum_pages > max_sum_pages) return error("the state of this link is too large to be kept");
  LODE_ASSIGN(uint8_t * out, file.create(path, size, false));
  (void)out;
  // One thread writes the regions while the others sum them up.
  Result<void> written;
  const auto write_regions = [&] {
    for (uint32_t i = 0; i < StateFile::max_regions && written.ok(); i++)
      written = file.write_at(h.regions[i].offset, parts_[i].bytes.data(), parts_[i].bytes.size());
  };
  static const uint8_t zeroes[page_size] = {};
  std::vector<uint64_t> sums(h.sum_pages * (page_size / 8));
  std::fill_n(sums.begin(), h.pages, XXH3_64bits(zeroes, page_size));
  const auto sum_regions = [&] {
    for (uint32_t i = 0; i < StateFile::max_regions; i++) {
      const std::span<const uint8_t> bytes = parts_[i].bytes;
      const uint64_t first = (h.regions[i].offset - header_size) / page_size;
      parallel_for_ranges(uint64_t(0), pages_of(bytes.size()), 64, [&](const auto& range) {
        for (uint64_t n = range.begin(); n != range.end(); n++) {
          const uint64_t begin = n * page_size, count = std::min(page_size, bytes.size() - begin);
          uint8_t last[page_size] = {};
          const uint8_t* p = bytes.data() + begin;
          if (count < page_size) p = static_cast<const uint8_t*>(std::memcpy(last, p, count));
          store_le(&sums[first + n], uint64_t(XXH3_64bits(p, page_size)));
        }
      });
    }
  };
  parallel_invoke(write_regions, sum_regions);
  LODE_TRY(std::move(written));
  for (uint32_t n = 0; n < h.sum_pages; n++) h.sum_sums[n] = XXH3_64bits(&sums[n * (page_size / 8)], page_size);
  h.checksum = checksum_of(h);
  LODE_TRY(file.write_at(h.sums_at, sums.data(), sums.size() * 8));
  LODE_TRY(file.write_at(0, &h, sizeof h));
  LODE_TRY(file.commit());
  struct stat st;  // whatever the umask lets others do: see invariant 4
  if (stat(path.c_str(), &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)))
    (void)chmod(path.c_str(), st.st_mode & 07777 & ~mode_t(S_IWGRP | S_IWOTH));
  return {};
}

}  // namespace lode::link
