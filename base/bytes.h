// Little-endian loads and stores at unaligned addresses, LEB128, and alignment arithmetic.
// Readers check bounds before they call these; nothing here does.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace lode {

static_assert(std::endian::native == std::endian::little, "lode runs on little-endian hosts");

template <class T>
inline T load_le(const void* p) {
  static_assert(std::is_trivially_copyable_v<T>);
  T v;
  std::memcpy(&v, p, sizeof(T));
  return v;
}
template <class T>
inline void store_le(void* p, T v) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(p, &v, sizeof(T));
}

// `align` is a power of two; the result wraps on overflow, which callers exclude by checking sizes first.
inline constexpr uint64_t align_up(uint64_t v, uint64_t align) { return (v + align - 1) & ~(align - 1); }
inline constexpr bool is_power_of_two(uint64_t v) { return v != 0 && (v & (v - 1)) == 0; }

inline constexpr bool fits_signed(int64_t v, unsigned bits) {
  return bits >= 64 || (v >= -(int64_t{1} << (bits - 1)) && v < (int64_t{1} << (bits - 1)));
}
inline constexpr bool fits_unsigned(uint64_t v, unsigned bits) { return bits >= 64 || v < (uint64_t{1} << bits); }
// The low `bits` bits of v as a signed number; bits in 1..64.
inline constexpr int64_t sign_extend(uint64_t v, unsigned bits) {
  return int64_t(v << (64 - bits)) >> (64 - bits);
}

// LEB128 as in DWARF 5 section 7.6 and the WebAssembly specification 5.2.2, minimal length.
inline unsigned uleb_size(uint64_t v) {
  unsigned n = 1;
  while (v >>= 7) n++;
  return n;
}
inline unsigned write_uleb(uint8_t* p, uint64_t v) {
  unsigned n = 0;
  do {
    uint8_t b = v & 0x7f;
    v >>= 7;
    p[n++] = b | (v ? 0x80 : 0);
  } while (v);
  return n;
}
inline unsigned write_sleb(uint8_t* p, int64_t v) {
  unsigned n = 0;
  for (;;) {
    uint8_t b = v & 0x7f;
    v >>= 7;
    bool done = (v == 0 && !(b & 0x40)) || (v == -1 && (b & 0x40));
    p[n++] = b | (done ? 0 : 0x80);
    if (done) return n;
  }
}
inline void append_uleb(std::vector<uint8_t>& out, uint64_t v) {
  uint8_t buf[10];
  out.insert(out.end(), buf, buf + write_uleb(buf, v));
}
inline void append_sleb(std::vector<uint8_t>& out, int64_t v) {
  uint8_t buf[10];
  out.insert(out.end(), buf, buf + write_sleb(buf, v));
}
template <class T>
inline void append_le(std::vector<uint8_t>& out, T v) {
  const auto* p = reinterpret_cast<const uint8_t*>(&v);
  out.insert(out.end(), p, p + sizeof(T));
}

}  // namespace lode
