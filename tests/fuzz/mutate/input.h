// The input of a fuzzer that links: a file, then a trailer, the word "LINK" and 8 bytes that choose the options.
// Without a trailer the choice is 0. The corpus is then plain files, and what the fuzzer keeps says all that it takes
// to run it again.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "tests/fuzz/mutate/random.h"

namespace lode::fuzz {

struct Input {
  static constexpr size_t trailer_size = 12;
  std::vector<uint8_t> file;
  uint64_t options = 0;

  Input(const uint8_t* data, size_t size) {
    if (size >= trailer_size && std::memcmp(data + size - trailer_size, "LINK", 4) == 0) {
      options = load_le<uint64_t>(data + size - 8);
      size -= trailer_size;
    }
    file.assign(data, data + size);
  }
};

// A few changes of the file by `mutate`, sometimes of the options too. Used as LLVMFuzzerCustomMutator.
template <class Mutate>
size_t mutate_input(uint8_t* data, size_t size, size_t max_size, unsigned seed, Mutate mutate) {
  Random random(seed);
  Input in(data, size);
  if (!random.one_in(4)) in.options = random.next();
  for (uint64_t n = 1 + random.below(random.one_in(3) ? 8 : 2); n > 0; n--) mutate(in.file, random);
  if (in.file.size() + Input::trailer_size > max_size) return size;
  std::copy(in.file.begin(), in.file.end(), data);
  std::memcpy(data + in.file.size(), "LINK", 4);
  store_le(data + in.file.size() + 4, in.options);
  return in.file.size() + Input::trailer_size;
}

}  // namespace lode::fuzz
