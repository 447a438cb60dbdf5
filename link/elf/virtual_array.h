// An array that grows without moving.
//
// Passes hold pointers into such arrays while later inputs are still appended, and growing copies nothing. Elements are
// constructed where they are appended; the array never destroys them (they are plain data).
//
// Address space is reserved once, pages appear when touched. Where address space is limited (ulimit -v) or memory must
// be backed (strict overcommit), reserving much would take it from everything else: then the array starts small, far
// from all other mappings, and more is mapped behind it as it grows. What the limit counts is what is mapped, not how
// far apart it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace lode::link::elf {

// Address space that begins somewhere for good and gets longer.
class AddressRange {
 public:
  explicit AddressRange(size_t limit) : limit_(limit) {}
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;
  ~AddressRange();
  // Room for at least `bytes`; false when there is none.
  bool grow(size_t bytes);
  void* begin() const { return begin_; }
  size_t size() const { return size_; }

 private:
  bool place(size_t bytes);
  uint8_t* begin_ = nullptr;
  size_t size_ = 0, limit_;
};

template <class T>
class VirtualArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  VirtualArray() = default;

  // Space for n more elements, not constructed; the index of the first. False: the array is full.
  bool extend(size_t n, uint32_t& first) {
    if (n > capacity_ - size_ && !make_room(n)) return false;
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
  static constexpr size_t max_elements = 0xfffffff0, max_reserved = size_t{16} << 30;
  static constexpr size_t limit = sizeof(T) * max_elements < max_reserved ? sizeof(T) * max_elements : max_reserved;

  bool make_room(size_t n) {
    if (n > max_elements || !range_.grow((size_ + n) * sizeof(T))) return false;
    data_ = static_cast<T*>(range_.begin());
    capacity_ = range_.size() / sizeof(T);
    return true;
  }
  T* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
  AddressRange range_{limit / 4096 * 4096};
};

}  // namespace lode::link::elf
