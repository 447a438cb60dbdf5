// An array that grows without moving: address space is reserved once, pages appear when touched.
//
// Passes hold pointers into such arrays while later inputs are still appended, and growing copies nothing. Elements are
// constructed where they are appended; the array never destroys them (they are plain data).
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>

namespace lode::link::elf {

template <class T>
class VirtualArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  static constexpr size_t max_bytes = size_t{16} << 30;
  VirtualArray() = default;
  VirtualArray(const VirtualArray&) = delete;
  VirtualArray& operator=(const VirtualArray&) = delete;
  ~VirtualArray() {
    if (data_) munmap(data_, bytes_);
  }

  // Space for n more elements, not constructed; the index of the first. False: the array is full.
  bool extend(size_t n, uint32_t& first) {
    if (!data_ && !reserve()) return false;
    if (n > bytes_ / sizeof(T) - size_) return false;
    first = uint32_t(size_);
    size_ += n;
    return true;
  }
  // The same, default-constructed.
  bool append(size_t n, uint32_t& first) {
    if (!extend(n, first)) return false;
    for (size_t i = 0; i < n; i++) new (data_ + first + i) T();
    return true;
  }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* data() { return data_; }
  size_t size() const { return size_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }

 private:
  bool reserve() {
    for (bytes_ = max_bytes; bytes_ >= (size_t{64} << 20); bytes_ /= 2) {
      size_t limit = sizeof(T) * size_t{0xfffffff0};
      if (bytes_ > limit) bytes_ = limit / 4096 * 4096;
      void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (p != MAP_FAILED) {
        data_ = static_cast<T*>(p);
        return true;
      }
    }
    return false;
  }
  T* data_ = nullptr;
  size_t size_ = 0, bytes_ = 0;
};

}  // namespace lode::link::elf
