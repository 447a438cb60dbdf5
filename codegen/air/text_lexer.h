// Tokens of the text form.
//
// A token is a piece of the source; names (%x, @x, $x) carry their sigil in the kind. Comments run from // to the end
// of the line. No token reaches over the end of a line, so that lines can be looked at without reading what is before
// them; and tokens are made where they are wanted, a function's by the thread that reads its body, so that nobody keeps
// those of a whole file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lode::air {

enum class Tok : uint8_t { End, Ident, Value, Symbol, Comdat, Int, Float, String, Punct, Arrow, Dots, Bad };

struct alignas(16) Token {
  Tok kind = Tok::End;
  bool first_on_line = false;
  bool quoted = false;       // a name in quotes: decode with unescape()
  char punct = 0;            // of Punct
  uint32_t offset = 0, length = 0;        // the whole token
};

class Lexer {
 public:
  // From `begin` on, which is the start of a line or not.
  Lexer(std::string_view source, uint32_t begin, bool line_start)
      : source_(source), at_(begin), line_start_(line_start) {}
  void next(Token& t);            // into a new token; End at the end, and again
  Token next() {
    Token t;
    next(t);
    return t;
  }
  uint32_t offset() const { return at_; }
  void go_to(uint32_t offset, bool line_start) {
    at_ = offset;
    line_start_ = line_start;
  }

 private:
  bool quoted(Token& t);
  void digits(Token& t);
  std::string_view source_;
  uint32_t at_;
  bool line_start_;
};

// Without sigil and quotes.
inline std::string_view token_text(std::string_view source, const Token& t) {
  const uint32_t front = (t.kind == Tok::Value || t.kind == Tok::Symbol || t.kind == Tok::Comdat) + t.quoted;
  return {source.data() + t.offset + front, t.length - front - t.quoted};
}

// The length of the word at `offset`; 0 if none begins there.
size_t word_length(std::string_view source, size_t offset);

// Decodes \\, \", \n, \t, \r and \xx (two hexadecimal digits). False when there is a malformed escape.
bool unescape(std::string_view text, std::string& out);
// The opposite, for printing: printable ASCII stays, the rest becomes \xx.
std::string escape(std::string_view bytes);
// May the name be written without quotes?
bool plain_name(std::string_view name);

}  // namespace lode::air
