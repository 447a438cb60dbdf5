#include "codegen/native/asm_expression.h"

#include <cctype>
#include <cstddef>

namespace lode::codegen {

namespace {

struct Operator {
  std::string_view text;
  int precedence;
};
// Longer spellings come first.
constexpr Operator operators[] = {
    {"&&", 2}, {"||", 1}, {"==", 3}, {"<>", 3}, {"!=", 3}, {">=", 3}, {"<=", 3}, {"<<", 6}, {">>", 6}, {"<", 3},
    {">", 3}, {"+", 4},  {"-", 4},  {"|", 5},  {"&", 5},  {"^", 5},  {"!", 5},  {"*", 6},  {"/", 6},  {"%", 6},
};

class Evaluator {
 public:
  explicit Evaluator(std::string_view text) : s_(text) {}

  bool run(int64_t& out) {
    uint64_t v = 0;
    if (!expression(1, v, 0)) return false;
    skip();
    if (at_ != s_.size()) return false;
    out = int64_t(v);
    return true;
  }

 private:
  std::string_view s_;
  size_t at_ = 0;

  void skip() {
    while (at_ < s_.size() && (s_[at_] == ' ' || s_[at_] == '\t' || s_[at_] == '\r')) at_++;
  }
  const Operator* next_operator() {
    skip();
    for (const Operator& o : operators)
      if (s_.substr(at_, o.text.size()) == o.text) return &o;
    return nullptr;
  }

  bool expression(int least, uint64_t& out, unsigned depth) {
    if (depth > 64 || !prefix(out, depth)) return false;
    for (;;) {
      const Operator* o = next_operator();
      if (!o || o->precedence < least) return true;
      at_ += o->text.size();
      uint64_t right = 0;
      if (!expression(o->precedence + 1, right, depth + 1) || !apply(o->text, out, right)) return false;
    }
  }

  bool prefix(uint64_t& out, unsigned depth) {
    skip();
    if (depth > 64 || at_ == s_.size()) return false;
    const char c = s_[at_];
    if (c == '-' || c == '~' || c == '!' || c == '+') {
      at_++;
      if (!prefix(out, depth + 1)) return false;
      out = c == '-' ? 0 - out : c == '~' ? ~out : c == '!' ? uint64_t(out == 0) : out;
      return true;
    }
    if (c == '(') {
      at_++;
      if (!expression(1, out, depth + 1)) return false;
      skip();
      if (at_ == s_.size() || s_[at_] != ')') return false;
      at_++;
      return true;
    }
    if (c == '\'' && at_ + 1 < s_.size()) {
      out = uint8_t(s_[at_ + 1]);
      at_ += 2;
      if (at_ < s_.size() && s_[at_] == '\'') at_++;
      return true;
    }
    return number(out);
  }

  bool number(uint64_t& out) {
    unsigned base = 10;
    if (s_[at_] == '0' && at_ + 1 < s_.size()) {
      const char c = char(std::tolower(uint8_t(s_[at_ + 1])));
      if (c == 'x') base = 16, at_ += 2;
      else if (c == 'b' && at_ + 2 < s_.size() && (s_[at_ + 2] == '0' || s_[at_ + 2] == '1')) base = 2, at_ += 2;
      else if (std::isdigit(uint8_t(c))) base = 8, at_++;
    }
    out = 0;
    size_t first = at_;
    for (; at_ < s_.size() && std::isalnum(uint8_t(s_[at_])); at_++) {
      const char c = char(std::tolower(uint8_t(s_[at_])));
      const unsigned digit = c <= '9' ? unsigned(c - '0') : unsigned(c - 'a') + 10;
      if (digit >= base) return false;
      out = out * base + digit;
    }
    return at_ != first;
  }

  static bool apply(std::string_view op, uint64_t& a, uint64_t b) {
    auto truth = [](bool x) { return x ? ~uint64_t{0} : 0; };
    if (op == "+") a += b;
    else if (op == "-") a -= b;
    else if (op == "*") a *= b;
    else if (op == "/" || op == "%") {
      if (b == 0) return false;
      const bool negative = b == ~uint64_t{0};  // the one division that overflows has this divisor
      if (op == "/") a = negative ? 0 - a : uint64_t(int64_t(a) / int64_t(b));
      else a = negative ? 0 : uint64_t(int64_t(a) % int64_t(b));
    } else if (op == "<<") a = b < 64 ? a << b : 0;
    else if (op == ">>") a = b < 64 ? a >> b : 0;
    else if (op == "|") a |= b;
    else if (op == "&") a &= b;
    else if (op == "^") a ^= b;
    else if (op == "!") a |= ~b;
    else if (op == "==") a = truth(a == b);
    else if (op == "<>" || op == "!=") a = truth(a != b);
    else if (op == "<") a = truth(int64_t(a) < int64_t(b));
    else if (op == ">") a = truth(int64_t(a) > int64_t(b));
    else if (op == "<=") a = truth(int64_t(a) <= int64_t(b));
    else if (op == ">=") a = truth(int64_t(a) >= int64_t(b));
    else if (op == "&&") a = a && b;
    else a = a || b;
    return true;
  }
};

}  // namespace

bool evaluate_constant(std::string_view text, int64_t& value) { return Evaluator(text).run(value); }

}  // namespace lode::codegen
