// Tokens of the text form.
//
// A token is a piece of the source; names (%x, @x, $x) carry their sigil in the kind. Comments run from // to the end
// of the line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lode::air {

enum class Tok : uint8_t { End, Ident, Value, Symbol, Comdat, Int, Float, String, Punct, Arrow, Dots, Bad };

struct Token {
  Tok kind = Tok::End;
  bool first_on_line = false;
  bool quoted = false;       // a name in quotes: decode with unescape()
  char punct = 0;            // of Punct
  uint32_t offset = 0, length = 0;        // the whole token
  uint32_t text = 0, text_length = 0;     // without sigil and quotes
};

class Lexer {
 public:
  explicit Lexer(std::string_view source);
  std::vector<Token> tokens;               // the last one is End
  std::vector<uint32_t> line_starts;
  std::string_view text(const Token& t) const { return source_.substr(t.text, t.text_length); }
  uint32_t line_of(uint32_t offset) const;  // from 1
  uint32_t column_of(uint32_t offset) const { return offset - line_starts[line_of(offset) - 1] + 1; }

 private:
  std::string_view source_;
};

// Decodes \\, \", \n, \t, \r and \xx (two hexadecimal digits). False when there is a malformed escape.
bool unescape(std::string_view text, std::string& out);
// The opposite, for printing: printable ASCII stays, the rest becomes \xx.
std::string escape(std::string_view bytes);
// May the name be written without quotes?
bool plain_name(std::string_view name);

}  // namespace lode::air
