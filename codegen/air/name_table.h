// Names and their numbers: a hash table that is filled and emptied for every function that is read, and costs nothing
// for that. Names are pieces of a text that outlives the table.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace lode::air {

// Of short names, and of all that differ in their first 8, last 8 or length.
inline uint32_t name_hash(std::string_view name) {
  const char* p = name.data();
  const size_t n = name.size();
  uint64_t a = 0, b = 0;
  if (n >= 8) {
    std::memcpy(&a, p, 8);
    std::memcpy(&b, p + n - 8, 8);
    for (size_t k = 8; k + 8 < n; k += 8) {
      uint64_t x;
      std::memcpy(&x, p + k, 8);
      a = std::rotl(a * 0x9e3779b97f4a7c15u, 29) ^ x;
    }
  } else if (n >= 4) {
    uint32_t x, y;
    std::memcpy(&x, p, 4);
    std::memcpy(&y, p + n - 4, 4);
    a = x, b = y;
  } else if (n) {
    a = uint8_t(p[0]) | uint32_t(uint8_t(p[n / 2])) << 8 | uint32_t(uint8_t(p[n - 1])) << 16;
  }
  uint64_t h = (a ^ n * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
  h = (h ^ h >> 32 ^ b) * 0xc4ceb9fe1a85ec53u;
  return uint32_t(h >> 32);
}

class NameTable {
 public:
  static constexpr uint32_t none = ~0u;

  void clear() {
    count_ = 0;
    if (++epoch_ == 0) {  // all slots look empty, whatever was in them
      slots_.assign(slots_.size(), {});
      epoch_ = 1;
    }
  }
  bool empty() const { return count_ == 0; }
  uint32_t find(std::string_view name) const {
    if (!count_) return none;
    const Slot& s = slots_[place(name, name_hash(name))];
    return s.epoch == epoch_ ? s.value : none;
  }
  // False when the name is there already; it keeps its number.
  bool insert(std::string_view name, uint32_t value) {
    if (count_ * 2 >= slots_.size()) grow();
    const uint32_t hash = name_hash(name);
    Slot& s = slots_[place(name, hash)];
    if (s.epoch == epoch_) return false;
    s = {name.data(), uint32_t(name.size()), hash, value, epoch_};
    count_++;
    return true;
  }

 private:
  struct Slot {
    const char* text = nullptr;
    uint32_t length = 0, hash = 0, value = 0, epoch = 0;
  };
  size_t place(std::string_view name, uint32_t hash) const {
    size_t k = hash & (slots_.size() - 1);
    while (slots_[k].epoch == epoch_ &&
           (slots_[k].hash != hash || std::string_view(slots_[k].text, slots_[k].length) != name))
      k = (k + 1) & (slots_.size() - 1);
    return k;
  }
  void grow() {
    std::vector<Slot> old(slots_.size() ? slots_.size() * 2 : 64);
    old.swap(slots_);
    for (const Slot& s : old) {
      if (s.epoch != epoch_) continue;
      size_t k = s.hash & (slots_.size() - 1);
      while (slots_[k].epoch == epoch_) k = (k + 1) & (slots_.size() - 1);
      slots_[k] = s;
    }
  }
  std::vector<Slot> slots_;
  size_t count_ = 0;
  uint32_t epoch_ = 1;
};

}  // namespace lode::air
