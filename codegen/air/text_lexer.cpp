#include "codegen/air/text_lexer.h"

#include <algorithm>

namespace lode::air {

namespace {
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_alpha(c) || is_digit(c) || c == '.' || c == '$'; }
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

Lexer::Lexer(std::string_view source) : source_(source) {
  line_starts.push_back(0);
  size_t p = 0;
  const size_t n = source.size();
  bool first = true;
  // Reads "..." at p; false when the line ends before the quote closes.
  auto quoted = [&](Token& t) {
    size_t start = ++p;
    while (p < n && source[p] != '"' && source[p] != '\n')
      p += source[p] == '\\' && p + 1 < n && source[p + 1] != '\n' ? 2 : 1;
    t.text = uint32_t(start);
    t.text_length = uint32_t(std::min(p, n) - start);
    if (p >= n || source[p] != '"') return false;
    p++;
    return true;
  };
  while (true) {
    while (p < n) {
      char c = source[p];
      if (c == '\n') {
        p++;
        line_starts.push_back(uint32_t(p));
        first = true;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        p++;
      } else if (c == '/' && p + 1 < n && source[p + 1] == '/') {
        while (p < n && source[p] != '\n') p++;
      } else {
        break;
      }
    }
    Token t;
    t.first_on_line = first;
    first = false;
    t.offset = uint32_t(p);
    if (p >= n) {
      t.text = t.offset;
      tokens.push_back(t);
      return;
    }
    char c = source[p];
    size_t start = p;
    auto word = [&](Tok kind) {
      t.kind = kind;
      t.text = uint32_t(p);
      while (p < n && is_word(source[p])) p++;
      t.text_length = uint32_t(p - t.text);
    };
    if (c == '%' || c == '@' || c == '$') {
      Tok kind = c == '%' ? Tok::Value : c == '@' ? Tok::Symbol : Tok::Comdat;
      p++;
      if (p < n && source[p] == '"') {
        t.kind = quoted(t) ? kind : Tok::Bad;
        t.quoted = true;
      } else {
        word(kind);
        if (!t.text_length) t.kind = Tok::Bad;
      }
    } else if (c == '"') {
      t.kind = quoted(t) ? Tok::String : Tok::Bad;
      t.quoted = true;
    } else if (is_alpha(c)) {
      word(Tok::Ident);
    } else if (is_digit(c)) {
      t.kind = Tok::Int;
      t.text = uint32_t(p);
      if (c == '0' && p + 1 < n && (source[p + 1] == 'x' || source[p + 1] == 'X')) {
        p += 2;
        while (p < n && (hex_digit(source[p]) >= 0 || source[p] == '_')) p++;
      } else {
        while (p < n && (is_digit(source[p]) || source[p] == '_')) p++;
        if (p + 1 < n && source[p] == '.' && is_digit(source[p + 1])) {
          t.kind = Tok::Float;
          p++;
          while (p < n && is_digit(source[p])) p++;
        }
        if (p < n && (source[p] == 'e' || source[p] == 'E')) {
          size_t q = p + 1;
          if (q < n && (source[q] == '+' || source[q] == '-')) q++;
          if (q < n && is_digit(source[q])) {
            t.kind = Tok::Float;
            p = q;
            while (p < n && is_digit(source[p])) p++;
          }
        }
      }
      t.text_length = uint32_t(p - t.text);
      if (p < n && is_word(source[p])) {
        while (p < n && is_word(source[p])) p++;
        t.kind = Tok::Bad;
      }
    } else if (source.substr(p, 3) == "...") {
      t.kind = Tok::Dots;
      p += 3;
    } else if (source.substr(p, 2) == "->") {
      t.kind = Tok::Arrow;
      p += 2;
    } else if (std::string_view("(){}[]<>,:=+-*!").find(c) != std::string_view::npos) {
      t.kind = Tok::Punct;
      t.punct = c;
      p++;
    } else {
      t.kind = Tok::Bad;
      p++;
      while (p < n && (source[p] & 0xc0) == 0x80) p++;  // the rest of a UTF-8 sequence
    }
    t.length = uint32_t(p - start);
    if (t.kind == Tok::Punct || t.kind == Tok::Arrow || t.kind == Tok::Dots)
      t.text = t.offset, t.text_length = t.length;
    tokens.push_back(t);
  }
}

uint32_t Lexer::line_of(uint32_t offset) const {
  return uint32_t(std::upper_bound(line_starts.begin(), line_starts.end(), offset) - line_starts.begin());
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

bool plain_name(std::string_view name) { return !name.empty() && std::all_of(name.begin(), name.end(), is_word); }

}  // namespace lode::air
