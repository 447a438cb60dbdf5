// See virtual_array.h.
#include "link/elf/virtual_array.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>

namespace lode::link::elf {

namespace {

constexpr size_t page = 4096, first_step = size_t{1} << 20;

size_t whole_pages(size_t bytes) { return (bytes + page - 1) / page * page; }

uint8_t* map(void* at, size_t bytes, int flags) {
  void* p = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<uint8_t*>(p);
}

// At `at` or nowhere. Kernels before 4.17 take the flag for a hint.
bool map_at(uint8_t* at, size_t bytes) {
  uint8_t* p = map(at, bytes, MAP_FIXED_NOREPLACE);
  if (p && p != at) munmap(p, bytes);
  return p == at;
}

bool address_space_is_limited() {
  struct rlimit limit;
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

}  // namespace

AddressRange::~AddressRange() {
  if (begin_) munmap(begin_, size_);
}

// Below where the kernel puts new mappings lie tens of terabytes of nothing, down to the heap. Each range takes a
// stretch of them that is longer than it can get.
bool AddressRange::place(size_t bytes) {
  constexpr uintptr_t stretch = uintptr_t{32} << 30, distance = uintptr_t{4} << 40, stretches = 512;
  static std::atomic<unsigned> turn{0};
  uint8_t* probe = map(nullptr, page, 0);
  if (!probe) return false;
  munmap(probe, page);
  uintptr_t top = reinterpret_cast<uintptr_t>(probe) / stretch * stretch - distance;
  for (unsigned k = 0; k < 64; k++) {
    auto* at = reinterpret_cast<uint8_t*>(top - (turn++ % stretches) * stretch);
    if (!map_at(at, bytes)) continue;
    begin_ = at;
    size_ = bytes;
    return true;
  }
  return false;
}

bool AddressRange::grow(size_t bytes) {
  if (bytes <= size_) return true;
  if (bytes > limit_) return false;
  if (!begin_ && !address_space_is_limited() && (begin_ = map(nullptr, limit_, 0))) {
    size_ = limit_;
    return true;
  }
  size_t needed = whole_pages(bytes), ample = std::min(limit_, std::max({needed, size_ + size_ / 2, first_step}));
  for (size_t want : {whole_pages(ample), needed}) {
    if (!begin_ && place(want)) return true;
    if (begin_ && map_at(begin_ + size_, want - size_)) {
      size_ = want;
      return true;
    }
  }
  return false;
}

}  // namespace lode::link::elf
