// The three digests share their padding: 0x80, zeros, the length in bits, to blocks of 64 bytes; they differ in byte
// order and round function.
#include "link/common/digest.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace lode::link {

namespace {

std::vector<uint8_t> padded(std::span<const uint8_t> data, bool big_endian) {
  std::vector<uint8_t> v(data.begin(), data.end());
  uint64_t bits = uint64_t(data.size()) * 8;
  v.push_back(0x80);
  while (v.size() % 64 != 56) v.push_back(0);
  for (int i = 0; i < 8; i++) v.push_back(uint8_t(bits >> (big_endian ? 56 - 8 * i : 8 * i)));
  return v;
}

uint32_t big(const uint8_t* p) { return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 | p[3]; }
uint32_t little(const uint8_t* p) { return uint32_t(p[3]) << 24 | uint32_t(p[2]) << 16 | uint32_t(p[1]) << 8 | p[0]; }

}  // namespace

std::vector<uint8_t> md5(std::span<const uint8_t> data) {
  static const uint8_t shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  uint32_t k[64];
  for (int i = 0; i < 64; i++) k[i] = uint32_t(int64_t(std::fabs(std::sin(double(i + 1))) * 4294967296.0));
  uint32_t h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::vector<uint8_t> v = padded(data, false);
  for (size_t at = 0; at < v.size(); at += 64) {
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3];
    for (int i = 0; i < 64; i++) {
      uint32_t f;
      int g;
      if (i < 16) f = (b & c) | (~b & d), g = i;
      else if (i < 32) f = (d & b) | (~d & c), g = (5 * i + 1) % 16;
      else if (i < 48) f = b ^ c ^ d, g = (3 * i + 5) % 16;
      else f = c ^ (b | ~d), g = (7 * i) % 16;
      uint32_t t = a + f + k[i] + little(&v[at + size_t(g) * 4]);
      a = d;
      d = c;
      c = b;
      b += std::rotl(t, shifts[i / 16][i % 4]);
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d;
  }
  std::vector<uint8_t> out;
  for (uint32_t x : h)
    for (int i = 0; i < 4; i++) out.push_back(uint8_t(x >> (8 * i)));
  return out;
}

std::vector<uint8_t> sha1(std::span<const uint8_t> data) {
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::vector<uint8_t> v = padded(data, true);
  for (size_t at = 0; at < v.size(); at += 64) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++) w[i] = big(&v[at + size_t(i) * 4]);
    for (int i = 16; i < 80; i++) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
      uint32_t f, k;
      if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
      else if (i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
      else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
      else f = b ^ c ^ d, k = 0xca62c1d6;
      uint32_t t = std::rotl(a, 5) + f + e + k + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  std::vector<uint8_t> out;
  for (uint32_t x : h)
    for (int i = 3; i >= 0; i--) out.push_back(uint8_t(x >> (8 * i)));
  return out;
}

std::vector<uint8_t> sha256(std::span<const uint8_t> data) {
  // The constants are the fractions of square and cube roots of the first primes.
  uint32_t k[64], h[8];
  int found = 0;
  for (int n = 2; found < 64; n++) {
    bool prime = true;
    for (int d = 2; d * d <= n; d++) prime &= n % d != 0;
    if (!prime) continue;
    auto fraction = [](long double x) { return uint32_t(uint64_t((x - std::floor(x)) * 4294967296.0L)); };
    k[found] = fraction(std::cbrt(static_cast<long double>(n)));
    if (found < 8) h[found] = fraction(std::sqrt(static_cast<long double>(n)));
    found++;
  }
  std::vector<uint8_t> v = padded(data, true);
  for (size_t at = 0; at < v.size(); at += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) w[i] = big(&v[at + size_t(i) * 4]);
    for (int i = 16; i < 64; i++) {
      uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
      uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t x[8];
    std::memcpy(x, h, sizeof x);
    for (int i = 0; i < 64; i++) {
      uint32_t s1 = std::rotr(x[4], 6) ^ std::rotr(x[4], 11) ^ std::rotr(x[4], 25);
      uint32_t t1 = x[7] + s1 + ((x[4] & x[5]) ^ (~x[4] & x[6])) + k[i] + w[i];
      uint32_t s0 = std::rotr(x[0], 2) ^ std::rotr(x[0], 13) ^ std::rotr(x[0], 22);
      uint32_t t2 = s0 + ((x[0] & x[1]) ^ (x[0] & x[2]) ^ (x[1] & x[2]));
      std::memmove(x + 1, x, 7 * sizeof(uint32_t));
      x[4] += t1;
      x[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += x[i];
  }
  std::vector<uint8_t> out;
  for (uint32_t x : h)
    for (int i = 3; i >= 0; i--) out.push_back(uint8_t(x >> (8 * i)));
  return out;
}

}  // namespace lode::link
