// A hand-written lexer and recursive-descent parser. Nesting (GROUP, AS_NEEDED, extern blocks) is bounded by the
// grammar except AS_NEEDED inside AS_NEEDED, which is bounded here; so hostile text cannot exhaust the stack.
#include "formats/linker_script.h"

namespace lode::formats {

namespace {

constexpr int max_depth = 16;

bool brackets_close(std::string_view pattern);

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { advance(); }

  Result<LinkerScript> linker_script();
  Result<void> version_nodes(VersionScript& out, bool until_brace);
  Result<std::vector<VersionPattern>> dynamic_list();
  Result<void> expect_end() {
    if (!bad_.empty()) return fail(bad_);
    if (!end_) return fail("unexpected '" + std::string(token_) + "'");
    return {};
  }

 private:
  Error fail(const std::string& m) const { return error_at("line " + std::to_string(line_), m); }
  void advance();
  bool is(std::string_view t) const { return !end_ && !quoted_ && token_ == t; }
  bool accept(std::string_view t) {
    if (!is(t)) return false;
    advance();
    return true;
  }
  Result<void> expect(std::string_view t) {
    if (!bad_.empty()) return fail(bad_);
    if (accept(t)) return {};
    return fail("expected '" + std::string(t) + "'" +
                (end_ ? " at the end of the script" : " before '" + std::string(token_) + "'"));
  }
  Result<void> inputs(LinkerScript& out, bool as_needed, int depth);
  Result<void> patterns(std::vector<VersionPattern>& out, bool cpp, int depth);
  Result<void> pattern_list(VersionNode& node);
  Result<void> assignment(LinkerScript& out, std::string_view name, bool provide, bool hidden);
  Result<std::string_view> parenthesised();

  std::string_view text_, token_;
  size_t pos_ = 0;
  int line_ = 1;
  bool end_ = false, quoted_ = false;
  std::string bad_;
};

void Parser::advance() {
  quoted_ = false;
  for (;;) {
    if (pos_ >= text_.size()) {
      end_ = true;
      token_ = {};
      return;
    }
    char c = text_[pos_];
    if (c == '\n') line_++;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
      pos_++;
    } else if (c == '/' && text_.substr(pos_, 2) == "/*") {
      size_t close = text_.find("*/", pos_ + 2);
      if (close == std::string_view::npos) {
        bad_ = "unclosed comment";
        pos_ = text_.size();
        continue;
      }
      for (size_t i = pos_; i < close; i++) line_ += text_[i] == '\n';
      pos_ = close + 2;
    } else if (c == '#') {
      pos_ = text_.find('\n', pos_);
      if (pos_ == std::string_view::npos) pos_ = text_.size();
    } else {
      break;
    }
  }
  if (text_[pos_] == '"') {
    size_t close = text_.find('"', pos_ + 1);
    if (close == std::string_view::npos) {
      bad_ = "unterminated string";
      close = text_.size();
    }
    token_ = text_.substr(pos_ + 1, close - pos_ - 1);
    pos_ = close < text_.size() ? close + 1 : close;
    quoted_ = true;
    return;
  }
  constexpr std::string_view punctuation = "{}();:,=";
  size_t start = pos_++;
  if (punctuation.find(text_[start]) == std::string_view::npos) {
    while (pos_ < text_.size()) {
      char c = text_[pos_];
      bool scope = c == ':' && text_.substr(pos_, 2) == "::";  // C++ names in version scripts
      if (scope) {
        pos_ += 2;
        continue;
      }
      if (uint8_t(c) <= ' ' || c == '"' || punctuation.find(c) != std::string_view::npos) break;
      pos_++;
    }
  }
  token_ = text_.substr(start, pos_ - start);
}

Result<void> Parser::inputs(LinkerScript& out, bool as_needed, int depth) {
  if (depth > max_depth) return fail("AS_NEEDED is nested too deeply");
  LODE_TRY(expect("("));
  while (!is(")")) {
    if (end_) return fail("unterminated list of inputs");
    if (accept(",")) continue;
    if (is("AS_NEEDED")) {
      advance();
      LODE_TRY(inputs(out, true, depth + 1));
      continue;
    }
    if (!quoted_ && (token_ == "(" || token_ == "{" || token_ == "}" || token_ == ";" || token_ == ":"))
      return fail("unexpected '" + std::string(token_) + "' in a list of inputs");
    if (is("=")) {  // "=name" is relative to the sysroot; the lexer took the sign for a word of its own
      const char* sign = token_.data();
      advance();
      if (end_ || quoted_ || token_.data() != sign + 1) return fail("unexpected '=' in a list of inputs");
      token_ = std::string_view(sign, token_.size() + 1);
    }
    ScriptInput in{token_, false, as_needed};
    if (in.name.starts_with("-l")) {
      in.is_library = true;
      in.name.remove_prefix(2);
    }
    if (in.name.empty()) return fail("empty input name");
    out.inputs.push_back(in);
    advance();
  }
  advance();
  return {};
}

Result<std::string_view> Parser::parenthesised() {
  LODE_TRY(expect("("));
  std::string_view first = token_;
  while (!is(")")) {
    if (end_) return fail("missing ')'");
    advance();
  }
  advance();
  return first;
}

Result<void> Parser::assignment(LinkerScript& out, std::string_view name, bool provide, bool hidden) {
  LODE_TRY(expect("="));
  const char* begin = token_.data();
  const char* stop = begin;
  int depth = 0;
  while (!end_ && !is(";") && !(depth == 0 && provide && is(")"))) {
    if (is("(")) depth++;
    if (is(")")) depth--;
    stop = token_.data() + token_.size();
    advance();
  }
  if (begin == stop || begin == nullptr) return fail("missing expression after '" + std::string(name) + " ='");
  out.assignments.push_back({name, std::string_view(begin, size_t(stop - begin)), provide, hidden});
  return {};
}

Result<LinkerScript> Parser::linker_script() {
  LinkerScript out;
  while (!end_) {
    if (!bad_.empty()) return fail(bad_);
    if (accept(";")) continue;
    std::string_view word = token_;
    bool quoted = quoted_;
    if (!quoted && (word == "INPUT" || word == "GROUP")) {
      advance();
      LODE_TRY(inputs(out, false, 0));
    } else if (!quoted && word == "OUTPUT_FORMAT") {
      advance();
      LODE_ASSIGN(out.output_format, parenthesised());
    } else if (!quoted && (word == "OUTPUT_ARCH" || word == "TARGET" || word == "OUTPUT")) {
      advance();
      LODE_TRY(parenthesised());
    } else if (!quoted && word == "SEARCH_DIR") {
      advance();
      LODE_ASSIGN(std::string_view dir, parenthesised());
      out.search_dirs.push_back(dir);
    } else if (!quoted && word == "ENTRY") {
      advance();
      LODE_ASSIGN(out.entry, parenthesised());
    } else if (!quoted && word == "EXTERN") {
      advance();
      LODE_TRY(expect("("));
      while (!is(")")) {
        if (end_) return fail("missing ')'");
        if (!accept(",")) {
          out.externs.push_back(token_);
          advance();
        }
      }
      advance();
    } else if (!quoted && word == "VERSION") {
      advance();
      LODE_TRY(expect("{"));
      LODE_TRY(version_nodes(out.version, true));
      LODE_TRY(expect("}"));
    } else if (!quoted && (word == "PROVIDE" || word == "PROVIDE_HIDDEN" || word == "HIDDEN")) {
      advance();
      LODE_TRY(expect("("));
      std::string_view name = token_;
      advance();
      LODE_TRY(assignment(out, name, word != "HIDDEN", word != "PROVIDE"));
      LODE_TRY(expect(")"));
    } else if (!quoted &&
               (word == "SECTIONS" || word == "MEMORY" || word == "PHDRS" || word == "INSERT" || word == "INCLUDE")) {
      return fail("linker script command " + std::string(word) + " is not supported");
    } else {
      advance();
      if (!is("=")) return fail("unknown linker script command '" + std::string(word.substr(0, 80)) + "'");
      LODE_TRY(assignment(out, word, false, false));
    }
  }
  LODE_TRY(expect_end());
  return out;
}

Result<void> Parser::patterns(std::vector<VersionPattern>& out, bool cpp, int depth) {
  // One entry: a pattern, or extern "LANG" { ... }.
  if (is("extern")) {
    advance();
    if (depth > max_depth) return fail("extern blocks are nested too deeply");
    if (token_ != "C" && token_ != "C++") return fail("unknown language in extern");
    bool inner = token_ == "C++";
    advance();
    LODE_TRY(expect("{"));
    while (!is("}")) {
      if (end_) return fail("missing '}'");
      LODE_TRY(patterns(out, inner, depth + 1));
      if (!is("}")) LODE_TRY(expect(";"));
      while (accept(";")) {}
    }
    advance();
    return {};
  }
  if (end_ || (!quoted_ && std::string_view("{}();:,=").find(token_) != std::string_view::npos))
    return fail("expected a symbol pattern");
  VersionPattern p{token_, !quoted_ && token_.find_first_of("*?[") != std::string_view::npos, cpp};
  if (p.is_glob && !brackets_close(p.text))
    return fail("invalid version pattern '" + std::string(p.text) + "': '[' without ']'");
  advance();
  out.push_back(p);
  return {};
}

Result<void> Parser::pattern_list(VersionNode& node) {
  LODE_TRY(expect("{"));
  bool local = false;
  while (!is("}")) {
    if (end_) return fail("missing '}'");
    if (accept(";")) continue;
    if (is("global") || is("local")) {
      std::string_view word = token_;
      size_t pos = pos_;
      int line = line_;
      std::string_view token = token_;
      advance();
      if (accept(":")) {
        local = word == "local";
        continue;
      }
      pos_ = pos;  // a symbol that is called global or local
      line_ = line;
      token_ = token;
      end_ = false;
    }
    LODE_TRY(patterns(local ? node.local : node.global, false, 0));
    if (!is("}")) LODE_TRY(expect(";"));
  }
  advance();
  return {};
}

Result<void> Parser::version_nodes(VersionScript& out, bool until_brace) {
  while (!end_ && !(until_brace && is("}"))) {
    if (!bad_.empty()) return fail(bad_);
    VersionNode node;
    if (!is("{")) {
      node.name = token_;
      advance();
    }
    LODE_TRY(pattern_list(node));
    while (!end_ && !is(";")) {
      if (is("{") || is("}")) return fail("expected ';'");
      node.parent = token_;
      advance();
    }
    LODE_TRY(expect(";"));
    out.nodes.push_back(std::move(node));
  }
  return {};
}

Result<std::vector<VersionPattern>> Parser::dynamic_list() {
  std::vector<VersionPattern> out;
  while (!end_) {
    LODE_TRY(expect("{"));
    while (!is("}")) {
      if (end_) return fail("missing '}'");
      if (accept(";")) continue;
      LODE_TRY(patterns(out, false, 0));
      if (!is("}")) LODE_TRY(expect(";"));
    }
    advance();
    LODE_TRY(expect(";"));
  }
  LODE_TRY(expect_end());
  return out;
}

// Every '[' outside of a bracket expression has its ']'.
bool brackets_close(std::string_view pattern) {
  for (size_t p = 0; p < pattern.size(); p++) {
    if (pattern[p] == '\\') {
      p++;
    } else if (pattern[p] == '[') {
      p++;
      if (p < pattern.size() && (pattern[p] == '!' || pattern[p] == '^')) p++;
      for (bool first = true; p < pattern.size() && (first || pattern[p] != ']'); first = false, p++)
        if (pattern[p] == '\\') p++;
      if (p >= pattern.size()) return false;
    }
  }
  return true;
}

// Does the bracket expression at p (after '[') match c? Moves p past ']'; a missing ']' matches nothing.
bool match_bracket(std::string_view pattern, size_t& p, char c) {
  bool negate = p < pattern.size() && (pattern[p] == '!' || pattern[p] == '^');
  if (negate) p++;
  bool hit = false;
  for (bool first = true; p < pattern.size() && (first || pattern[p] != ']'); first = false) {
    if (pattern[p] == '\\' && p + 1 < pattern.size()) p++;
    char low = pattern[p++];
    char high = low;
    if (p + 1 < pattern.size() && pattern[p] == '-' && pattern[p + 1] != ']') {
      p++;
      if (pattern[p] == '\\' && p + 1 < pattern.size()) p++;
      high = pattern[p++];
    }
    hit |= low <= c && c <= high;
  }
  if (p >= pattern.size()) return false;
  p++;
  return hit != negate;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    bool ok = false;
    size_t next = p;
    if (p < pattern.size()) {
      char c = pattern[p];
      if (c == '*') {
        star = p++;
        mark = t;
        continue;
      }
      next = p + 1;
      if (c == '?') {
        ok = true;
      } else if (c == '[') {
        ok = match_bracket(pattern, next, text[t]);
      } else if (c == '\\' && p + 1 < pattern.size()) {
        ok = pattern[p + 1] == text[t];
        next = p + 2;
      } else {
        ok = c == text[t];
      }
    }
    if (ok) {
      p = next;
      t++;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

Result<LinkerScript> parse_linker_script(std::string_view text) { return Parser(text).linker_script(); }

Result<VersionScript> parse_version_script(std::string_view text) {
  Parser p(text);
  VersionScript out;
  LODE_TRY(p.version_nodes(out, false));
  LODE_TRY(p.expect_end());
  return out;
}

Result<std::vector<VersionPattern>> parse_dynamic_list(std::string_view text) { return Parser(text).dynamic_list(); }

}  // namespace lode::formats
