// The source of chance of the mutators: SplitMix64, so that a seed means the same input on every machine, and the
// values at which checks of sizes, counts and signs go wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace lode::fuzz {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 to n - 1; 0 for n == 0.
  uint64_t below(uint64_t n) { return n ? next() % n : 0; }
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <class Range>
  auto pick(const Range& range) {
    return *(std::begin(range) + ptrdiff_t(below(std::size(range))));
  }

  // A number at a boundary of some width, with either sign, or next to one.
  uint64_t boundary() {
    uint64_t v;
    switch (below(4)) {
      case 0: v = below(20); break;
      case 1: v = uint64_t{1} << below(64); break;
      case 2: v = (uint64_t{1} << below(64)) - 1; break;
      default: v = below(4096); break;
    }
    if (one_in(4)) v += below(5) - 2;
    if (one_in(4)) v = 0 - v;
    return v;
  }

 private:
  uint64_t state_;
};

}  // namespace lode::fuzz
