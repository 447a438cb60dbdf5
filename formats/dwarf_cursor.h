// Reads the fields of DWARF sections, none of which is to be trusted: at the first that does not fit `ok` is false, and
// all that follow are zero.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace lode::formats::dwarf {

struct Cursor {
  std::span<const uint8_t> data;
  uint64_t at = 0, end = 0;
  bool ok = true;

  bool more() const { return ok && at < end; }
  bool take(uint64_t n) {
    if (!ok || n > end - at) return ok = false;
    at += n;
    return true;
  }
  template <class T>
  T read() {
    return take(sizeof(T)) ? load_le<T>(data.data() + at - sizeof(T)) : T{};
  }
  uint64_t word(bool wide) { return wide ? read<uint64_t>() : read<uint32_t>(); }
  uint64_t uleb() {
    uint64_t v = 0;
    for (unsigned shift = 0; ok; shift += 7) {
      uint8_t b = read<uint8_t>();
      if (shift < 64) v |= uint64_t(b & 0x7f) << shift;
      if (!(b & 0x80)) break;
    }
    return v;
  }
  int64_t sleb() {
    uint64_t v = 0;
    for (unsigned shift = 0; ok; shift += 7) {
      uint8_t b = read<uint8_t>();
      if (shift < 64) v |= uint64_t(b & 0x7f) << shift;
      if (b & 0x80) continue;
      return shift + 7 < 64 ? sign_extend(v, shift + 7) : int64_t(v);
    }
    return 0;
  }
  std::string_view string() {
    const uint8_t* p = data.data() + at;
    const void* nul = ok && at < end ? std::memchr(p, 0, end - at) : nullptr;
    if (!nul) {
      ok = false;
      return {};
    }
    size_t n = size_t(static_cast<const uint8_t*>(nul) - p);
    at += n + 1;
    return {reinterpret_cast<const char*>(p), n};
  }
};

inline std::string_view string_at(std::span<const uint8_t> table, uint64_t offset) {
  Cursor c{table, std::min<uint64_t>(offset, table.size()), table.size()};
  return c.string();
}

// What a relocation puts at `offset`; null when there is none. They are sorted.
template <class R>
const R* relocation_at(std::span<const R> relocations, uint64_t offset) {
  auto it = std::lower_bound(relocations.begin(), relocations.end(), offset,
                             [](const R& r, uint64_t at) { return r.offset < at; });
  return it != relocations.end() && it->offset == offset ? &*it : nullptr;
}

}  // namespace lode::formats::dwarf
