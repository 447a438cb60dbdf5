// A lexer of one function, and precedence climbing. Depth is bounded, as the text may be anybody's.
#include "formats/linker_expression.h"

#include <cctype>
#include <string>

namespace lode::formats {

namespace {

using Op = ExpressionOp;

struct Operator {
  std::string_view text;
  int precedence;  // higher binds closer
  Op op;
};
constexpr Operator operators[] = {
    {"*", 10, Op::multiply}, {"/", 10, Op::divide}, {"%", 10, Op::remainder}, {"+", 9, Op::add}, {"-", 9, Op::subtract},
    {"<<", 8, Op::shift_left}, {">>", 8, Op::shift_right}, {"<", 7, Op::less}, {"<=", 7, Op::less_equal},
    {">", 7, Op::greater}, {">=", 7, Op::greater_equal}, {"==", 6, Op::equal}, {"!=", 6, Op::not_equal},
    {"&", 5, Op::bit_and}, {"^", 4, Op::bit_xor}, {"|", 3, Op::bit_or}, {"&&", 2, Op::logical_and},
    {"||", 1, Op::logical_or},
};

struct Function {
  std::string_view name;
  Op op;
  int operands;  // expressions; 0: a name
};
constexpr Function functions[] = {
    {"ABSOLUTE", Op::absolute, 1}, {"LOG2CEIL", Op::log2ceil, 1}, {"MAX", Op::maximum, 2}, {"MIN", Op::minimum, 2},
    {"ALIGN", Op::align, 2}, {"DEFINED", Op::defined, 0}, {"ADDR", Op::section_address, 0},
    {"LOADADDR", Op::section_address, 0}, {"SIZEOF", Op::section_size, 0}, {"ALIGNOF", Op::section_align, 0},
    {"CONSTANT", Op::constant, 0},
};

bool name_start(char c) { return std::isalpha(uint8_t(c)) || c == '_' || c == '.' || c == '$' || uint8_t(c) >= 0x80; }
bool name_char(char c) { return name_start(c) || std::isdigit(uint8_t(c)) || c == '@'; }

int digit_of(char c) {
  return std::isdigit(uint8_t(c)) ? c - '0' : std::isxdigit(uint8_t(c)) ? (c | 32) - 'a' + 10 : 99;
}

// All of `s` in a radix; false when it is no such number or does not fit.
bool in_radix(std::string_view s, unsigned radix, uint64_t& v) {
  v = 0;
  for (char c : s) {
    unsigned d = unsigned(digit_of(c));
    if (d >= radix || __builtin_mul_overflow(v, uint64_t(radix), &v) || __builtin_add_overflow(v, uint64_t(d), &v))
      return false;
  }
  return !s.empty();
}

// What a word of letters and digits says, if it is a constant.
bool constant_of(std::string_view word, uint64_t& v) {
  char last = char(word.back() | 32);
  bool hex_prefix = word.size() > 2 && word[0] == '0' && (word[1] | 32) == 'x';
  uint64_t scale = 1;
  std::string_view digits = word;
  if (hex_prefix || word[0] == '$' || std::isdigit(uint8_t(word[0]))) {
    if (last == 'k' || last == 'm') {
      scale = last == 'k' ? 1024 : 1024 * 1024;
      digits.remove_suffix(1);
    }
    bool plain = false;
    if (hex_prefix) plain = in_radix(digits.substr(2), 16, v);
    else if (word[0] == '$') plain = in_radix(digits.substr(1), 16, v);
    else plain = in_radix(digits, digits.size() > 1 && digits[0] == '0' ? 8 : 10, v);
    if (plain) return !__builtin_mul_overflow(v, scale, &v);
  }
  if (hex_prefix || word.size() < 2) return false;
  unsigned radix = last == 'h' || last == 'x' ? 16 : last == 'o' ? 8 : last == 'b' ? 2 : last == 'd' ? 10 : 0;
  return radix && in_radix(word.substr(0, word.size() - 1), radix, v);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { advance(); }

  Result<LinkerExpression> run() {
    LODE_ASSIGN(uint32_t root, expression(0));
    if (!token_.empty()) return fail("unexpected '" + std::string(token_) + "'");
    if (root + 1 != out_.nodes.size()) return fail("unexpected end");
    return std::move(out_);
  }

 private:
  static constexpr int max_depth = 200;
  static constexpr size_t max_nodes = 100000;

  Error fail(const std::string& what) const {
    return error(what + " in the expression '" + std::string(text_.substr(0, 200)) + "'");
  }

  void advance() {
    quoted_ = false;
    while (at_ < text_.size() && uint8_t(text_[at_]) <= ' ') at_++;
    size_t begin = at_;
    if (at_ == text_.size()) {
      token_ = {};
      return;
    }
    char c = text_[at_++];
    if (c == '"') {
      size_t end = text_.find('"', at_);
      quoted_ = true;
      token_ = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
      at_ = end == std::string_view::npos ? text_.size() : end + 1;
      return;
    }
    if (name_start(c) || std::isdigit(uint8_t(c))) {
      while (at_ < text_.size() && name_char(text_[at_])) at_++;
    } else if (at_ < text_.size()) {
      char d = text_[at_];
      if (((c == '<' || c == '>' || c == '&' || c == '|') && d == c) ||
          ((c == '<' || c == '>' || c == '=' || c == '!') && d == '='))
        at_++;
    }
    token_ = text_.substr(begin, at_ - begin);
  }
  bool accept(std::string_view t) {
    if (quoted_ || token_ != t) return false;
    advance();
    return true;
  }
  Result<void> expect(std::string_view t) {
    if (accept(t)) return {};
    return fail("expected '" + std::string(t) + "'" +
                (token_.empty() ? std::string(" at the end") : " before '" + std::string(token_) + "'"));
  }

  uint32_t add(ExpressionNode n) {
    out_.nodes.push_back(n);
    return uint32_t(out_.nodes.size() - 1);
  }

  Result<uint32_t> expression(int depth) {
    LODE_ASSIGN(uint32_t condition, binary(1, depth));
    if (!accept("?")) return condition;
    if (depth >= max_depth) return fail("too deep a nesting");
    LODE_ASSIGN(uint32_t yes, expression(depth + 1));
    LODE_TRY(expect(":"));
    LODE_ASSIGN(uint32_t no, expression(depth + 1));
    return add({Op::choose, condition, yes, no});
  }

  Result<uint32_t> binary(int precedence, int depth) {
    LODE_ASSIGN(uint32_t left, unary(depth));
    for (;;) {
      const Operator* found = nullptr;
      for (const Operator& o : operators)
        if (!quoted_ && token_ == o.text && o.precedence >= precedence) found = &o;
      if (!found) return left;
      if (out_.nodes.size() > max_nodes || depth >= max_depth) return fail("too deep a nesting");
      advance();
      LODE_ASSIGN(uint32_t right, binary(found->precedence + 1, depth + 1));
      left = add({found->op, left, right});
    }
  }

  Result<uint32_t> unary(int depth) {
    if (depth >= max_depth) return fail("too deep a nesting");
    for (auto [text, op] : {std::pair{"-", Op::negate}, {"~", Op::invert}, {"!", Op::logical_not}, {"+", Op::number}})
      if (accept(text)) {
        LODE_ASSIGN(uint32_t operand, unary(depth + 1));
        return op == Op::number ? operand : add({op, operand});
      }
    if (accept("(")) {
      LODE_ASSIGN(uint32_t inner, expression(depth + 1));
      LODE_TRY(expect(")"));
      return inner;
    }
    return primary(depth);
  }

  Result<uint32_t> primary(int depth) {
    std::string_view word = token_;
    if (word.empty()) return fail(quoted_ ? "an empty name" : "something is missing at the end");
    if (!quoted_ && !name_start(word[0]) && !std::isdigit(uint8_t(word[0])))
      return fail("unexpected '" + std::string(word) + "'");
    bool quoted = quoted_;
    advance();
    if (!quoted) {
      if (uint64_t v; constant_of(word, v)) {
        ExpressionNode n;
        n.number = v;
        return add(n);
      }
      if (std::isdigit(uint8_t(word[0])) || (word[0] == '$' && word.size() > 1 && std::isdigit(uint8_t(word[1]))))
        return fail("'" + std::string(word) + "' is not a number");
      if (word == "SIZEOF_HEADERS") return add({Op::headers_size});
      if (token_ == "(" && !quoted_) return call(word, depth);
      if (word == ".") return add({Op::location});
    }
    ExpressionNode n{Op::symbol};
    n.name = word;
    return add(n);
  }

  Result<uint32_t> call(std::string_view name, int depth) {
    const Function* f = nullptr;
    for (const Function& x : functions)
      if (x.name == name) f = &x;
    if (!f) return fail("the function " + std::string(name) + " is not supported");
    advance();
    ExpressionNode n{f->op};
    if (f->operands == 0) {
      n.name = token_;
      if (token_.empty() || (!quoted_ && !name_start(token_[0])))
        return fail("a name is missing after " + std::string(name) + "(");
      advance();
      LODE_TRY(expect(")"));
      return add(n);
    }
    LODE_ASSIGN(n.a, expression(depth + 1));
    if (f->op == Op::align && accept(")")) {  // ALIGN(N) speaks of the location counter
      n.b = n.a;
      n.a = add({Op::location});
      return add(n);
    }
    if (f->operands == 2) {
      LODE_TRY(expect(","));
      LODE_ASSIGN(n.b, expression(depth + 1));
    }
    LODE_TRY(expect(")"));
    return add(n);
  }

  std::string_view text_, token_;
  size_t at_ = 0;
  bool quoted_ = false;
  LinkerExpression out_;
};

}  // namespace

Result<LinkerExpression> parse_linker_expression(std::string_view text) { return Parser(text).run(); }

}  // namespace lode::formats
