// Characters by class, tokens by their first character.
#include "codegen/air/text_lexer.h"

#include <algorithm>
#include <array>

namespace lode::air {

namespace {
// Classes of characters, as bits.
enum : uint8_t { alpha = 1, digit = 2, word_char = 4, punctuation = 8, blank = 16, hex = 32 };
constexpr std::array<uint8_t, 256> classes = [] {
  std::array<uint8_t, 256> c{};
  for (int k = 'a'; k <= 'z'; k++) c[size_t(k)] |= alpha | word_char;
  for (int k = 'A'; k <= 'Z'; k++) c[size_t(k)] |= alpha | word_char;
  for (int k = '0'; k <= '9'; k++) c[size_t(k)] |= digit | word_char | hex;
  for (int k = 'a'; k <= 'f'; k++) c[size_t(k)] |= hex, c[size_t(k) - 32] |= hex;
  c['_'] |= alpha | word_char;
  c['.'] |= word_char;
  c['$'] |= word_char;
  for (char k : std::string_view("(){}[]<>,:=+-*!")) c[uint8_t(k)] |= punctuation;
  for (char k : std::string_view(" \t\r")) c[uint8_t(k)] |= blank;
  return c;
}();
bool is(char c, uint8_t bits) { return classes[uint8_t(c)] & bits; }
int hex_digit(char c) { return !is(c, hex) ? -1 : c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }
}  // namespace

size_t word_length(std::string_view source, size_t offset) {
  size_t p = offset;
  if (p < source.size() && is(source[p], alpha))
    while (p < source.size() && is(source[p], word_char)) p++;
  return p - offset;
}

// A piece in quotes, which begins here; false when the line ends before the quote closes.
bool Lexer::quoted(Token& t) {
  size_t p = at_ + 1;
  const size_t n = source_.size();
  while (p < n && source_[p] != '"' && source_[p] != '\n')
    p += source_[p] == '\\' && p + 1 < n && source_[p + 1] != '\n' ? 2 : 1;
  const bool closed = p < n && source_[p] == '"';
  at_ = uint32_t(std::min(p, n) + closed);
  t.quoted = closed;
  return closed;
}

void Lexer::digits(Token& t) {
  size_t p = at_;
  const size_t n = source_.size();
  t.kind = Tok::Int;
  if (source_[p] == '0' && p + 1 < n && (source_[p + 1] | 32) == 'x') {
    p += 2;
    while (p < n && (is(source_[p], hex) || source_[p] == '_')) p++;
  } else {
    while (p < n && (is(source_[p], digit) || source_[p] == '_')) p++;
    if (p + 1 < n && source_[p] == '.' && is(source_[p + 1], digit)) {
      t.kind = Tok::Float;
      p++;
      while (p < n && is(source_[p], digit)) p++;
    }
    if (p < n && (source_[p] | 32) == 'e') {
      size_t q = p + 1;
      if (q < n && (source_[q] == '+' || source_[q] == '-')) q++;
      if (q < n && is(source_[q], digit)) {
        t.kind = Tok::Float;
        p = q;
        while (p < n && is(source_[p], digit)) p++;
      }
    }
  }
  if (p < n && is(source_[p], word_char)) {
    while (p < n && is(source_[p], word_char)) p++;
    t.kind = Tok::Bad;
  }
  at_ = uint32_t(p);
}

void Lexer::next(Token& t) {
  const size_t n = source_.size();
  const char* const s = source_.data();
  size_t p = at_;
  while (p < n) {
    const char c = s[p];
    if (is(c, blank)) {
      p++;
    } else if (c == '\n') {
      p++;
      line_start_ = true;
    } else if (c == '/' && p + 1 < n && s[p + 1] == '/') {
      while (p < n && s[p] != '\n') p++;
    } else {
      break;
    }
  }
  at_ = uint32_t(p);
  t.first_on_line = line_start_;
  t.offset = at_;
  if (p >= n) return;
  line_start_ = false;
  const char c = s[p];
  auto word = [&](size_t from) {
    while (from < n && is(s[from], word_char)) from++;
    at_ = uint32_t(from);
  };
  if (is(c, alpha)) {
    t.kind = Tok::Ident;
    word(p + 1);
  } else if (c == '%' || c == '@' || c == '$') {
    const Tok kind = c == '%' ? Tok::Value : c == '@' ? Tok::Symbol : Tok::Comdat;
    at_++;
    if (p + 1 < n && s[p + 1] == '"') {
      t.kind = quoted(t) ? kind : Tok::Bad;
    } else {
      word(p + 1);
      t.kind = at_ > p + 1 ? kind : Tok::Bad;
    }
  } else if (c == '-' && p + 1 < n && s[p + 1] == '>') {
    t.kind = Tok::Arrow;
    at_ += 2;
  } else if (is(c, punctuation)) {
    t.kind = Tok::Punct;
    t.punct = c;
    at_++;
  } else if (is(c, digit)) {
    digits(t);
  } else if (c == '"') {
    t.kind = quoted(t) ? Tok::String : Tok::Bad;
  } else if (source_.substr(p, 3) == "...") {
    t.kind = Tok::Dots;
    at_ += 3;
  } else {
    t.kind = Tok::Bad;
    at_++;
    while (at_ < n && (s[at_] & 0xc0) == 0x80) at_++;  // the rest of a UTF-8 sequence
  }
  t.length = at_ - t.offset;
}

bool unescape(std::string_view text, std::string& out) {
  out.clear();
  out.reserve(text.size());
  for (size_t k = 0; k < text.size(); k++) {
    if (text[k] != '\\') {
      out += text[k];
      continue;
    }
    if (++k == text.size()) return false;
    switch (text[k]) {
      case '\\': case '"': out += text[k]; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      default: {
        int hi = hex_digit(text[k]), lo = k + 1 < text.size() ? hex_digit(text[k + 1]) : -1;
        if (hi < 0 || lo < 0) return false;
        out += char(hi << 4 | lo);
        k++;
      }
    }
  }
  return true;
}

std::string escape(std::string_view bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size());
  for (char c : bytes) {
    if (c == '\\' || c == '"') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c >= 32 && c < 127) {
      out += c;
    } else {
      out += '\\';
      out += digits[uint8_t(c) >> 4];
      out += digits[uint8_t(c) & 15];
    }
  }
  return out;
}

bool plain_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return is(c, word_char); });
}

}  // namespace lode::air
