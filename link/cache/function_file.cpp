// See function_file.h.
#include "link/cache/function_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "base/bytes.h"
#include "link/cache/mir_cache.h"
#include "link/common/output_file.h"
#include "link/relink/state_file.h"

namespace lode::link {

struct FunctionFile::Header {
  char magic[8];
  uint64_t checksum;  // of what follows
  uint32_t version, slots;
  mir::Hash128 generator;
  uint64_t end;       // up to here the file is in use
  uint64_t began;     // what that was when the file was written
  uint64_t rows;      // of the table, that lead anywhere
};

namespace {

constexpr char magic[8] = {'l', 'o', 'd', 'e', 'f', 'n', 'c', 's'};
constexpr uint32_t version = 1;
constexpr uint64_t header_size = 64, row_size = 64;
constexpr uint32_t max_slots = uint32_t{1} << 26;
constexpr uint64_t always_allowed = uint64_t{4} << 20;  // that a file may grow by before it is written anew

template <class T>
uint64_t sum_of(const T& record) {  // of all of it but its own place, which is zero meanwhile
  T copy = record;
  copy.checksum = 0;
  return XXH3_64bits(&copy, sizeof copy);
}

bool put(int fd, const void* data, uint64_t size, uint64_t offset) {
  if (StateFile::before_write) StateFile::before_write();
  const auto* p = static_cast<const uint8_t*>(data);
  while (size) {
    const ssize_t n = pwrite(fd, p, size, off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n, size -= uint64_t(n), offset += uint64_t(n);
  }
  return true;
}

}  // namespace

FunctionFile::~FunctionFile() {
  if (map_) munmap(const_cast<uint8_t*>(map_), size_);
  if (fd_ >= 0) close(fd_);
}

void FunctionFile::open(const std::string& path, const mir::Hash128& generator) {
  static_assert(sizeof(Header) == header_size && sizeof(Row) == row_size);
  path_ = path;
  generator_ = generator;
  fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  struct stat st;
  if (fd_ < 0 || fstat(fd_, &st) != 0 || !S_ISREG(st.st_mode) || uint64_t(st.st_size) < header_size) return;
  if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) return;
  Header h;
  if (pread(fd_, &h, sizeof h, 0) != ssize_t(sizeof h) || std::memcmp(h.magic, magic, sizeof magic) != 0) return;
  if (h.version != version || !(h.generator == generator) || sum_of(h) != h.checksum) return;
  const uint64_t size = uint64_t(st.st_size);
  if (!is_power_of_two(h.slots) || h.slots > max_slots || header_size + h.slots * row_size > size ||
      h.end > align_up(size, 8) || h.end < header_size + h.slots * row_size)
    return;
  void* p = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd_, 0);
  if (p == MAP_FAILED) return;
  map_ = static_cast<const uint8_t*>(p);
  size_ = size;
  end_ = h.end;
  began_ = h.began;
  slots_ = h.slots;
}

const FunctionFile::Row* FunctionFile::rows() const { return reinterpret_cast<const Row*>(map_ + header_size); }

// A row that is damaged ends no search and is none.
const FunctionFile::Row* FunctionFile::look(const mir::Hash128& key) const {
  if (!map_) return nullptr;
  for (uint32_t i = uint32_t(key.low) & (slots_ - 1), steps = slots_; steps; steps--, i = (i + 1) & (slots_ - 1)) {
    const Row& r = rows()[i];
    if (r.kind == kind_none) return nullptr;
    if (!(r.key == key)) continue;
    if (sum_of(r) != r.checksum || r.offset > size_ || r.size > size_ - r.offset) return nullptr;
    return &r;
  }
  return nullptr;
}

std::span<const uint8_t> FunctionFile::find(const mir::Hash128& key, mir::Hash128* pack) const {
  const Row* r = look(key);
  if (!r) return {};
  if (pack) *pack = r->pack;
  return {map_ + r->offset, size_t(r->size)};
}

uint64_t FunctionFile::add(const std::vector<Addition>& additions, const std::vector<mir::Hash128>& used,
                           const std::function<std::vector<mir::Hash128>(std::span<const uint8_t>)>& others) {
  if (additions.empty()) return 0;
  uint64_t written = 0;
  return append(additions, written) ? written : renew(additions, used, others);
}

// False: the file is to be written anew.
bool FunctionFile::append(const std::vector<Addition>& additions, uint64_t& written) {
  if (!map_) return false;
  uint64_t more = 0;
  for (const Addition& a : additions) more += a.bytes.size() + 8;
  if (end_ + more > began_ * 2 + always_allowed) return false;
  // Who had the lock may have added, or put another file in this one's place.
  while (flock(fd_, LOCK_EX) != 0)
    if (errno != EINTR) return false;
  struct Unlock {
    int fd;
    ~Unlock() { flock(fd, LOCK_UN); }
  } unlock{fd_};
  struct stat st, named;
  Header h;
  if (fstat(fd_, &st) != 0 || stat(path_.c_str(), &named) != 0 || st.st_ino != named.st_ino ||
      st.st_dev != named.st_dev || pread(fd_, &h, sizeof h, 0) != ssize_t(sizeof h) || sum_of(h) != h.checksum ||
      h.slots != slots_ || h.end > align_up(uint64_t(st.st_size), 8))
    return false;
  std::vector<std::pair<uint32_t, Row>> changed;
  std::unordered_map<uint32_t, size_t> taken;  // by slot: which of these
  auto set = [&](Row row) {
    uint32_t i = uint32_t(row.key.low) & (slots_ - 1);
    for (uint32_t steps = slots_; steps; steps--, i = (i + 1) & (slots_ - 1)) {
      auto it = taken.find(i);
      const Row& there = it == taken.end() ? rows()[i] : changed[it->second].second;
      if (there.kind != kind_none && !(there.key == row.key)) continue;
      if (there.kind == kind_none && ++h.rows * 4 > slots_ * uint64_t{3}) return false;
      row.checksum = sum_of(row);
      if (it != taken.end()) {
        changed[it->second].second = row;
      } else {
        taken[i] = changed.size();
        changed.emplace_back(i, row);
      }
      return true;
    }
    return false;
  };
  uint64_t end = align_up(h.end, 8);
  std::vector<std::pair<uint64_t, const Addition*>> places;
  for (const Addition& a : additions) {
    Row row;
    row.pack = a.pack;
    if (a.bytes.empty()) {
      const Row* old = look(a.pack);
      if (!old) return false;
      row.offset = old->offset, row.size = old->size;
    } else {
      row.offset = end, row.size = a.bytes.size();
      places.emplace_back(end, &a);
      end = align_up(end + a.bytes.size(), 8);
    }
    row.key = a.pack, row.kind = kind_pack;
    if (!set(row)) return false;
    row.key = a.content, row.kind = kind_content;
    if (!(a.content == mir::Hash128{}) && !set(row)) return false;
    row.kind = kind_role;
    for (const mir::Hash128& role : a.roles)
      if (row.key = role; !set(row)) return false;
  }
  for (const auto& [offset, a] : places) {
    if (!put(fd_, a->bytes.data(), a->bytes.size(), offset)) return true;
    written += a->bytes.size();
  }
  h.end = end;
  h.checksum = sum_of(h);
  if (!put(fd_, &h, sizeof h, 0)) return true;
  for (const auto& [slot, row] : changed) {
    if (!put(fd_, &row, sizeof row, header_size + slot * row_size)) return true;
    written += sizeof row;
  }
  return true;
}

// The new file has what is added, and of the old one what roles that are in use lead to.
uint64_t FunctionFile::renew(const std::vector<Addition>& additions, const std::vector<mir::Hash128>& used,
                             const std::function<std::vector<mir::Hash128>(std::span<const uint8_t>)>& others) {
  std::vector<Row> list;
  std::vector<std::span<const uint8_t>> packs;
  std::unordered_map<mir::Hash128, std::pair<uint64_t, uint64_t>, HashOfHash128> places;  // by pack, from the first
  uint64_t length = 0;
  auto put_pack = [&](const mir::Hash128& name, std::span<const uint8_t> bytes) {
    auto [it, fresh] = places.try_emplace(name, length, bytes.size());
    if (!fresh) return false;
    packs.push_back(bytes);
    length = align_up(length + bytes.size(), 8);
    list.push_back({name, name, it->second.first, it->second.second, kind_pack});
    return true;
  };
  std::vector<std::span<const uint8_t>> referring;
  auto keep = [&](const mir::Hash128& name, std::span<const uint8_t> bytes) {
    if (bytes.empty()) bytes = find(name);
    if (!bytes.empty() && put_pack(name, bytes)) referring.push_back(bytes);
  };
  std::unordered_map<mir::Hash128, mir::Hash128, HashOfHash128> leads;  // roles to packs
  const std::unordered_set<mir::Hash128, HashOfHash128> wanted(used.begin(), used.end());
  if (map_)
    for (uint32_t i = 0; i < slots_; i++) {
      const Row& r = rows()[i];
      if (r.kind == kind_role && sum_of(r) == r.checksum && (used.empty() || wanted.contains(r.key)))
        leads[r.key] = r.pack;
    }
  for (const Addition& a : additions)
    for (const mir::Hash128& role : a.roles) leads[role] = a.pack;
  for (const Addition& a : additions) keep(a.pack, a.bytes);
  std::vector<std::pair<mir::Hash128, mir::Hash128>> roles(leads.begin(), leads.end());
  std::sort(roles.begin(), roles.end(), [](const auto& a, const auto& b) {
    return a.first.high != b.first.high ? a.first.high < b.first.high : a.first.low < b.first.low;
  });
  for (const auto& [role, pack] : roles) keep(pack, {});
  for (size_t k = 0; k < referring.size(); k++)
    for (const mir::Hash128& name : others(referring[k])) keep(name, {});
  auto lead = [&](const mir::Hash128& key, const mir::Hash128& pack, Kind kind) {
    if (auto it = places.find(pack); it != places.end() && !(key == mir::Hash128{}))
      list.push_back({key, pack, it->second.first, it->second.second, kind});
  };
  for (const auto& [role, pack] : roles) lead(role, pack, kind_role);
  if (map_)
    for (uint32_t i = 0; i < slots_; i++)
      if (rows()[i].kind == kind_content && sum_of(rows()[i]) == rows()[i].checksum)
        lead(rows()[i].key, rows()[i].pack, kind_content);
  for (const Addition& a : additions) lead(a.content, a.pack, kind_content);

  const uint64_t slots = std::bit_ceil(list.size() * 2 + 64);
  if (slots > max_slots) return 0;
  const uint64_t first = header_size + slots * row_size, size = first + length;
  OutputFile file;
  Result<uint8_t*> out = file.create(path_, size, false);
  if (!out.ok()) return 0;
  auto* table = reinterpret_cast<Row*>(*out + header_size);
  uint64_t filled = 0;
  for (Row row : list) {
    row.offset += first;
    row.checksum = sum_of(row);
    uint64_t i = row.key.low & (slots - 1);
    while (table[i].kind != kind_none && !(table[i].key == row.key)) i = (i + 1) & (slots - 1);
    filled += table[i].kind == kind_none;
    table[i] = row;
  }
  uint64_t at = first;
  for (const std::span<const uint8_t> p : packs) {
    std::memcpy(*out + at, p.data(), p.size());
    at = align_up(at + p.size(), 8);
  }
  Header h{};
  std::memcpy(h.magic, magic, sizeof magic);
  h.version = version;
  h.slots = uint32_t(slots);
  h.generator = generator_;
  h.end = h.began = size;
  h.rows = filled;
  h.checksum = sum_of(h);
  std::memcpy(*out, &h, sizeof h);
  if (StateFile::before_write) StateFile::before_write();
  if (!file.commit().ok()) return 0;
  (void)chmod(path_.c_str(), 0600);  // what others might write to would not be read
  return size;
}

}  // namespace lode::link
