#include "codegen/native/asm_expression.h"

#include <cctype>
#include <cstddef>

#include "codegen/native/asm_text.h"

namespace lode::codegen {

namespace {

using O = AsmOperator;
constexpr unsigned most_depth = 64;

struct Spelling {
  std::string_view text;
  O op;
  int precedence;
};
// Longer spellings come first.
constexpr Spelling spellings[] = {
    {"&&", O::both, 2}, {"||", O::either, 1}, {"==", O::equal, 3}, {"<>", O::not_equal, 3}, {"!=", O::not_equal, 3},
    {">=", O::greater_equal, 3}, {"<=", O::less_equal, 3}, {"<<", O::shift_left, 6}, {">>", O::shift_right, 6},
    {"<", O::less, 3}, {">", O::greater, 3}, {"+", O::add, 4}, {"-", O::subtract, 4}, {"|", O::bit_or, 5},
    {"&", O::bit_and, 5}, {"^", O::bit_xor, 5}, {"!", O::or_not, 5}, {"*", O::multiply, 6}, {"/", O::divide, 6},
    {"%", O::remainder, 6},
};
constexpr Spelling words[] = {
    {"and", O::bit_and, 5}, {"or", O::bit_or, 5}, {"xor", O::bit_xor, 5}, {"shl", O::shift_left, 6},
    {"shr", O::shift_right, 6}, {"mod", O::remainder, 6},
};

constexpr std::pair<std::string_view, AsmVariant> variants[] = {
    {"PLT", AsmVariant::plt}, {"GOT", AsmVariant::got}, {"GOTOFF", AsmVariant::gotoff},
    {"GOTPCREL", AsmVariant::gotpcrel}, {"GOTPCREL_NORELAX", AsmVariant::gotpcrel_norelax},
    {"TPOFF", AsmVariant::tpoff}, {"NTPOFF", AsmVariant::tpoff}, {"GOTTPOFF", AsmVariant::gottpoff},
    {"TLSGD", AsmVariant::tlsgd}, {"TLSLD", AsmVariant::tlsld}, {"DTPOFF", AsmVariant::dtpoff},
    {"SIZE", AsmVariant::size}, {"TLSDESC", AsmVariant::tlsdesc}, {"TLSCALL", AsmVariant::tlscall},
    {"PLTOFF", AsmVariant::pltoff},
};

bool same_word(std::string_view s, std::string_view word) {
  if (s.size() != word.size()) return false;
  for (size_t i = 0; i < s.size(); i++)
    if (std::toupper(uint8_t(s[i])) != std::toupper(uint8_t(word[i]))) return false;
  return true;
}

}  // namespace

struct AsmExpressions::Parser {
  AsmExpressions& out;
  std::string_view& s;
  bool intel;

  void skip() {
    while (!s.empty() && asm_space(s[0])) s.remove_prefix(1);
  }
  std::string_view word() const {
    size_t n = 0;
    while (n < s.size() && asm_name_part(s[n])) n++;
    return s.substr(0, n);
  }
  const Spelling* next_operator() {
    skip();
    for (const Spelling& o : spellings)
      if (s.starts_with(o.text)) return &o;
    if (intel)
      for (const Spelling& o : words)
        if (same_word(word(), o.text)) return &o;
    return nullptr;
  }

  uint32_t expression(int least, unsigned depth) {
    if (depth > most_depth) return no_expression;
    uint32_t left = prefix(depth);
    while (left != no_expression) {
      const std::string_view before = s;
      const Spelling* o = next_operator();
      if (!o || o->precedence < least) {
        if (!o) s = before;
        return left;
      }
      s.remove_prefix(o->text.size());
      const uint32_t right = expression(o->precedence + 1, depth + 1);
      if (right == no_expression) return no_expression;
      left = out.binary(o->op, left, right);
    }
    return left;
  }

  uint32_t unary(O op, unsigned depth) {
    const uint32_t a = prefix(depth + 1);
    if (a == no_expression) return no_expression;
    if (op == O::number) return a;  // '+'
    int64_t v;
    if (out.nodes_[a].op == O::number) {
      v = out.nodes_[a].value;
      return out.number(op == O::negate ? int64_t(0 - uint64_t(v)) : op == O::complement ? ~v : !v);
    }
    out.nodes_.push_back({op, AsmVariant::none, a, 0, 0});
    return uint32_t(out.nodes_.size() - 1);
  }

  uint32_t prefix(unsigned depth) {
    skip();
    if (depth > most_depth || s.empty()) return no_expression;
    const char c = s[0];
    if (c == '-' || c == '~' || c == '!' || c == '+') {
      s.remove_prefix(1);
      return unary(c == '-' ? O::negate : c == '~' ? O::complement : c == '!' ? O::logical_not : O::number, depth);
    }
    if (intel && same_word(word(), "not")) {
      s.remove_prefix(3);
      return unary(O::complement, depth);
    }
    if (c == '(') {
      s.remove_prefix(1);
      const uint32_t inner = expression(1, depth + 1);
      skip();
      if (inner == no_expression || s.empty() || s[0] != ')') return no_expression;
      s.remove_prefix(1);
      return inner;
    }
    if (c == '\'' && s.size() > 1) return character();
    if (asm_digit(c)) return number_or_local_label();
    if (c == '"' || asm_name_start(c)) return name();
    return no_expression;
  }

  uint32_t character() {
    s.remove_prefix(1);
    char c = s[0];
    s.remove_prefix(1);
    if (c == '\\' && !s.empty()) {
      c = s[0];
      s.remove_prefix(1);
      switch (c) {
        case 'n': c = '\n'; break;
        case 't': c = '\t'; break;
        case 'r': c = '\r'; break;
        case 'b': c = '\b'; break;
        case 'f': c = '\f'; break;
        default: break;
      }
    }
    if (!s.empty() && s[0] == '\'') s.remove_prefix(1);
    return out.number(uint8_t(c));
  }

  static bool digits(std::string_view text, unsigned base, uint64_t& v) {
    v = 0;
    if (text.empty()) return false;
    for (char c : text) {
      if (!std::isalnum(uint8_t(c))) return false;
      const char low = char(std::tolower(uint8_t(c)));
      const unsigned d = low <= '9' ? unsigned(low - '0') : unsigned(low - 'a') + 10;
      if (d >= base) return false;
      v = v * base + d;
    }
    return true;
  }

  uint32_t number_or_local_label() {
    const std::string_view w = word();
    uint64_t v;
    const char last = char(std::tolower(uint8_t(w.back())));
    const std::string_view body = w.substr(0, w.size() - 1);
    bool ok = false;
    if (w.size() > 2 && w[0] == '0' && (w[1] == 'x' || w[1] == 'X')) ok = digits(w.substr(2), 16, v);
    else if (w.size() > 2 && w[0] == '0' && (w[1] == 'b' || w[1] == 'B')) ok = digits(w.substr(2), 2, v);
    else if (intel && last == 'h') ok = digits(body, 16, v);
    else if ((last == 'b' || last == 'f') && digits(body, 10, v)) {
      const uint32_t label = out.number_of_name_ ? out.number_of_name_(w) : no_expression;
      if (label == no_expression) return no_expression;
      s.remove_prefix(w.size());
      return out.name(label);
    } else if (w[0] == '0' && w.size() > 1) ok = digits(w.substr(1), 8, v);
    else ok = digits(w, 10, v);
    if (!ok) return no_expression;
    s.remove_prefix(w.size());
    return out.number(int64_t(v));
  }

  uint32_t name() {
    std::string_view text;
    size_t used = 0;
    if (s[0] == '"') {
      const size_t close = s.find('"', 1);
      if (close == std::string_view::npos) return no_expression;
      text = s.substr(1, close - 1);
      used = close + 1;
    } else {
      text = word();
      used = text.size();
    }
    const uint32_t number = out.number_of_name_ && !text.empty() ? out.number_of_name_(text) : no_expression;
    if (number == no_expression) return no_expression;
    AsmVariant variant = AsmVariant::none;
    std::string_view rest = s.substr(used);
    if (rest.size() > 1 && rest[0] == '@') {
      rest.remove_prefix(1);
      size_t n = 0;
      while (n < rest.size() && (std::isalnum(uint8_t(rest[n])) || rest[n] == '_')) n++;
      variant = AsmVariant::unknown;
      for (auto [known, v] : variants)
        if (same_word(rest.substr(0, n), known)) variant = v;
      if (variant == AsmVariant::unknown) {
        s = rest;
        return no_expression;
      }
      rest.remove_prefix(n);
    }
    s = rest;
    return out.name(number, variant);
  }
};

uint32_t AsmExpressions::number(int64_t v) {
  nodes_.push_back({O::number, AsmVariant::none, 0, 0, v});
  return uint32_t(nodes_.size() - 1);
}

uint32_t AsmExpressions::name(uint32_t number, AsmVariant variant) {
  nodes_.push_back({O::name, variant, number, 0, 0});
  return uint32_t(nodes_.size() - 1);
}

uint32_t AsmExpressions::binary(AsmOperator op, uint32_t a, uint32_t b) {
  if (nodes_[a].op == O::number && nodes_[b].op == O::number) {
    uint64_t v = uint64_t(nodes_[a].value);
    if (!apply_operator(op, v, uint64_t(nodes_[b].value))) return no_expression;
    return number(int64_t(v));
  }
  nodes_.push_back({op, AsmVariant::none, a, b, 0});
  return uint32_t(nodes_.size() - 1);
}

uint32_t AsmExpressions::parse(std::string_view& s, bool intel) { return Parser{*this, s, intel}.expression(1, 0); }

uint32_t AsmExpressions::parse_all(std::string_view s, bool intel) {
  const uint32_t e = parse(s, intel);
  return asm_trim(s).empty() ? e : no_expression;
}

bool AsmExpressions::constant(uint32_t i, int64_t& value) const {
  if (i == no_expression || nodes_[i].op != O::number) return false;
  value = nodes_[i].value;
  return true;
}

bool apply_operator(AsmOperator op, uint64_t& a, uint64_t b) {
  auto truth = [](bool x) { return x ? ~uint64_t{0} : 0; };
  switch (op) {
    case O::number:
    case O::name: return false;
    case O::negate: a = 0 - a; return true;
    case O::complement: a = ~a; return true;
    case O::logical_not: a = !a; return true;
    case O::add: a += b; return true;
    case O::subtract: a -= b; return true;
    case O::multiply: a *= b; return true;
    case O::divide:
    case O::remainder: {
      if (b == 0) return false;
      const bool negative = b == ~uint64_t{0};  // the one division that overflows has this divisor
      if (op == O::divide) a = negative ? 0 - a : uint64_t(int64_t(a) / int64_t(b));
      else a = negative ? 0 : uint64_t(int64_t(a) % int64_t(b));
      return true;
    }
    case O::shift_left: a = b < 64 ? a << b : 0; return true;
    case O::shift_right: a = b < 64 ? a >> b : 0; return true;
    case O::bit_or: a |= b; return true;
    case O::bit_and: a &= b; return true;
    case O::bit_xor: a ^= b; return true;
    case O::or_not: a |= ~b; return true;
    case O::equal: a = truth(a == b); return true;
    case O::not_equal: a = truth(a != b); return true;
    case O::less: a = truth(int64_t(a) < int64_t(b)); return true;
    case O::greater: a = truth(int64_t(a) > int64_t(b)); return true;
    case O::less_equal: a = truth(int64_t(a) <= int64_t(b)); return true;
    case O::greater_equal: a = truth(int64_t(a) >= int64_t(b)); return true;
    case O::both: a = a && b; return true;
    case O::either: a = a || b; return true;
  }
  return false;
}

bool evaluate_constant(std::string_view text, int64_t& value) {
  AsmExpressions e(nullptr);
  return e.constant(e.parse_all(text), value);
}

}  // namespace lode::codegen
