// The exact way: the number is a fraction of two large integers, the quotient is taken to a few bits more than the
// format has, and what is left over decides ties. Numbers of text are short, so that this is fast enough; the longest
// that is accepted has some 70,000 bits.
#include "codegen/air/decimal.h"

#include <algorithm>
#include <bit>
#include <vector>

namespace lode::air {

namespace {

// A natural number, 32 bits a word, least significant first, without leading zero words.
using Natural = std::vector<uint32_t>;

void multiply_add(Natural& n, uint32_t factor, uint32_t term) {
  uint64_t carry = term;
  for (uint32_t& w : n) {
    carry += uint64_t{w} * factor;
    w = uint32_t(carry);
    carry >>= 32;
  }
  if (carry) n.push_back(uint32_t(carry));
}

int bit_length(const Natural& n) { return n.empty() ? 0 : int(n.size() - 1) * 32 + int(std::bit_width(n.back())); }

void shift_left(Natural& n, unsigned by) {
  if (n.empty() || by == 0) return;
  const unsigned bits = by % 32;
  if (bits) {
    uint32_t carry = 0;
    for (uint32_t& w : n) {
      const uint32_t next = w >> (32 - bits);
      w = w << bits | carry;
      carry = next;
    }
    if (carry) n.push_back(carry);
  }
  n.insert(n.begin(), by / 32, 0);
}

void halve(Natural& n) {
  for (size_t k = 0; k < n.size(); k++) n[k] = n[k] >> 1 | (k + 1 < n.size() ? n[k + 1] << 31 : 0);
  if (!n.empty() && n.back() == 0) n.pop_back();
}

bool less(const Natural& a, const Natural& b) {
  if (a.size() != b.size()) return a.size() < b.size();
  for (size_t k = a.size(); k-- > 0;)
    if (a[k] != b[k]) return a[k] < b[k];
  return false;
}

void subtract(Natural& a, const Natural& b) {
  uint64_t borrow = 0;
  for (size_t k = 0; k < a.size(); k++) {
    const uint64_t take = (k < b.size() ? b[k] : 0) + borrow;
    borrow = a[k] < take;
    a[k] = uint32_t(a[k] - take);
  }
  while (!a.empty() && a.back() == 0) a.pop_back();
}

__extension__ typedef unsigned __int128 Wide;

}  // namespace

bool decimal_to_binary(std::string_view text, const BinaryFormat& format, BinaryNumber& out) {
  out = {};
  Natural top;
  int64_t exponent = 0;
  size_t digits = 0;
  bool dot = false, any = false;
  size_t at = 0;
  for (; at < text.size(); at++) {
    const char c = text[at];
    if (c == '_') continue;
    if (c == '.' && !dot) {
      dot = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (++digits > 20000) return false;
    multiply_add(top, 10, uint32_t(c - '0'));
    if (dot) exponent--;
  }
  if (!any) return false;
  if (at < text.size()) {
    if (text[at] != 'e' && text[at] != 'E') return false;
    at++;
    const bool minus = at < text.size() && text[at] == '-';
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) at++;
    if (at == text.size()) return false;
    int64_t e = 0;
    for (; at < text.size(); at++) {
      if (text[at] < '0' || text[at] > '9') return false;
      e = std::min<int64_t>(e * 10 + (text[at] - '0'), 1000000);
    }
    exponent += minus ? -e : e;
  }
  if (top.empty()) return true;
  const int infinity = 2 * format.max_exponent + 1;
  // Beyond these the answer is known: no format reaches 10^5000, none has anything between 0 and 10^-5100.
  const double magnitude = double(bit_length(top)) * 0.30103 + double(exponent);
  if (magnitude > 5000) {
    out.biased_exponent = infinity;
    return true;
  }
  if (magnitude < -5100) return true;
  Natural bottom{1};
  for (int64_t k = 0; k < std::abs(exponent); k++) multiply_add(exponent > 0 ? top : bottom, 10, 0);

  // The quotient gets precision + 2 or + 3 bits; the number is quotient * 2^-scale, and a bit more if there is a
  // remainder.
  const int scale = format.precision + 2 - (bit_length(top) - bit_length(bottom));
  shift_left(scale >= 0 ? top : bottom, unsigned(std::abs(scale)));
  const int steps = format.precision + 4;
  shift_left(bottom, unsigned(steps - 1));
  Wide quotient = 0;
  for (int k = 0; k < steps; k++) {
    quotient <<= 1;
    if (!less(top, bottom)) {
      subtract(top, bottom);
      quotient |= 1;
    }
    halve(bottom);
  }
  const bool rest = !top.empty();
  const uint64_t high = uint64_t(quotient >> 64);
  const int length = high ? 64 + int(std::bit_width(high)) : int(std::bit_width(uint64_t(quotient)));
  const int leading = length - 1 - scale;  // the exponent of the leading bit
  if (leading > format.max_exponent) {
    out.biased_exponent = infinity;
    return true;
  }
  const int last =
      std::max(leading, format.min_exponent) - (format.precision - 1);  // that of the last bit that is kept
  const int drop = last + scale;
  if (drop > length) return true;  // below half of the smallest number
  Wide kept = quotient >> drop;
  const Wide lost = quotient & ((Wide{1} << drop) - 1), half = Wide{1} << (drop - 1);
  if (lost > half || (lost == half && (rest || (kept & 1)))) kept++;
  int biased = std::max(leading, format.min_exponent) + format.max_exponent;
  if (kept >> format.precision) {
    kept >>= 1;
    biased++;
  }
  if (!(kept >> (format.precision - 1))) biased = 0;  // subnormal
  if (biased >= infinity) {
    biased = infinity;
    kept = 0;
  }
  out.low = uint64_t(kept);
  out.high = uint64_t(kept >> 64);
  out.biased_exponent = biased;
  return true;
}

}  // namespace lode::air
