// Types and constants of the text form.
#include <bit>
#include <charconv>

#include "codegen/air/decimal.h"
#include "codegen/air/legalize.h"
#include "codegen/air/parser_impl.h"
#include "codegen/air/text_hints.h"
#include "codegen/air/text_words.h"

namespace lode::air {

namespace {
// iN by name; 0 when it is none.
uint32_t int_width(std::string_view w) {
  if (w.size() < 2 || w[0] != 'i') return 0;
  uint32_t v = 0;
  auto r = std::from_chars(w.data() + 1, w.data() + w.size(), v);
  return r.ptr == w.data() + w.size() && r.ec == std::errc() && w[1] != '0' ? v : 0;
}
struct Simple {
  std::string_view name;
  TypeId type;
};
using T = TypeTable;
constexpr Simple simple_types[] = {{"void", T::void_type}, {"ptr", T::ptr}, {"f16", T::f16}, {"bf16", T::bf16},
                                   {"f32", T::f32},        {"f64", T::f64}, {"f80", T::f80}, {"f128", T::f128}};

BinaryFormat format_of(TypeId t) {
  return t == T::f16    ? binary16
         : t == T::bf16 ? brain16
         : t == T::f32  ? binary32
         : t == T::f64  ? binary64
         : t == T::f80  ? extended80
                        : binary128;
}
}  // namespace

// A type, if one begins here.
Parser::Found Parser::type_if_any(TypeId& out, unsigned depth) {
  const Token t = peek();
  if (t.kind == Tok::Punct) {
    if (t.punct != '{' && t.punct != '[' && t.punct != '<') return Found::no;
  } else if (t.kind == Tok::Ident) {
    const std::string_view w = text(t);
    if (w[0] == 'i') {
      const uint32_t bits = int_width(w);
      if (bits && bits <= 1 << 23) {
        at_++;
        out = interned(types_->int_type(bits));
        return Found::yes;
      }
      if (!bits && d_.types.find(w) == NameTable::none) return Found::no;
    } else {
      for (const Simple& s : simple_types)
        if (s.name == w) {
          at_++;
          out = s.type;
          return Found::yes;
        }
      if (w != "func" && d_.types.find(w) == NameTable::none) return Found::no;
    }
  } else {
    return Found::no;
  }
  return type(out, depth) ? Found::yes : Found::broken;
}

bool Parser::sized(const Token& at, TypeId made, TypeId& out) {
  if (types_->oversized(made)) return fail(at, "the type is too large");
  if (types_->nesting(made) > TypeTable::max_nesting) return fail(at, "types are nested too deeply");
  out = interned(made);
  return true;
}

// [n x type], <n x type>
bool Parser::array_or_vector(TypeId& out, unsigned depth) {
  const Token t = take();
  const bool vector = t.punct == '<';
  uint64_t n;
  TypeId e;
  if (!number(n, vector ? "the number of lanes" : "the number of elements")) return false;
  if (!accept_word("x")) return fail_here("'x'");
  if (!type(e, depth + 1) || !expect(vector ? '>' : ']', vector ? "the vector type" : "the array type")) return false;
  const TypeKind k = (*types_)[e].kind;
  if (!vector) {
    if (k == TypeKind::Void || k == TypeKind::Function) return fail(t, "an array of " + type_text(e));
    return sized(t, types_->array_type(e, n), out);
  }
  if (k == TypeKind::Void || k >= TypeKind::Vector) return fail(t, "a vector of " + type_text(e));
  if (!n) return fail(t, "a vector without lanes");
  return sized(t, types_->vector_type(e, n), out);
}

// {type, ...}, <{type, ...}>
bool Parser::struct_type(TypeId& out, unsigned depth) {
  const Token t = take();
  const bool packed = t.punct == '<';
  if (packed) take();
  std::vector<TypeId> fields;
  while (!is('}')) {
    if (!fields.empty() && !expect(',', "the struct type")) return false;
    const Token at = peek();
    TypeId f;
    if (!type(f, depth + 1)) return false;
    if (f == T::void_type || (*types_)[f].kind == TypeKind::Function)
      return fail(at, "a field of type " + type_text(f));
    fields.push_back(f);
  }
  take();
  if (packed && !expect('>', "the packed struct type")) return false;
  return sized(t, types_->struct_type(fields.data(), fields.size(), packed), out);
}

// func(type, ...) -> type
bool Parser::function_type(TypeId& out, unsigned depth) {
  const Token t = take();
  if (!expect('(', "the function type")) return false;
  std::vector<TypeId> params;
  bool vararg = false;
  for (bool first = true; !is(')'); first = false) {
    if (!first && !expect(',', "the function type")) return false;
    if (peek().kind == Tok::Dots) {
      take();
      vararg = true;
      break;
    }
    const Token at = peek();
    TypeId p;
    if (!type(p, depth + 1)) return false;
    if (p == T::void_type || (*types_)[p].kind == TypeKind::Function)
      return fail(at, "a parameter of type " + type_text(p));
    params.push_back(p);
  }
  if (!expect(')', "the function type")) return false;
  if (peek().kind != Tok::Arrow) return fail_here("'->' and the result's type");
  take();
  TypeId result;
  if (!type(result, depth + 1)) return false;
  return sized(t, types_->function_type(result, params.data(), params.size(), vararg), out);
}

// A type that is used before it was read is read where it stands.
bool Parser::alias_type(Item& alias, const Token& name, TypeId& out, unsigned depth) {
  if (alias.broken) return false;  // reported where it is declared
  if (!alias.type.valid()) {
    if (alias.visiting) return fail(name, "the type '" + std::string(text(name)) + "' contains itself");
    if (!alone_) {
      again_ = true;
      return false;
    }
    const size_t index = size_t(&alias - d_.items.data());
    alias.visiting = true;
    std::vector<Token> tokens;
    tokens.swap(tokens_);
    const uint32_t at = at_;
    const Lexer lexer = lexer_;
    go_to(alias.body);
    TypeId made;
    const bool ok = type(made, depth + 1);
    lexer_ = lexer;
    at_ = at;
    tokens_ = std::move(tokens);
    d_.items[index].visiting = false;
    d_.items[index].broken = !ok;
    if (!ok) return false;
    d_.items[index].type = made;
    out = made;
    return true;
  }
  out = alias.type;
  return true;
}

bool Parser::type(TypeId& out, unsigned depth) {
  if (depth > 2 * max_depth) return fail(peek(), "types are nested too deeply");  // names count as well
  const Token t = peek();
  out = T::void_type;
  if (t.punct == '{' || (t.punct == '<' && is('{', 1))) return struct_type(out, depth);
  if (t.punct == '[' || t.punct == '<') return array_or_vector(out, depth);
  if (t.kind != Tok::Ident) return fail_here("a type");
  const std::string_view w = text(t);
  if (const uint32_t bits = int_width(w)) {
    take();
    if (bits > 1 << 23) return fail(t, "integers have at most 8388608 bits");
    out = interned(types_->int_type(bits));
    return true;
  }
  for (const Simple& s : simple_types)
    if (s.name == w) {
      take();
      out = s.type;
      return true;
    }
  if (w == "func") return function_type(out, depth);
  const uint32_t alias = d_.types.find(w);
  if (alias == NameTable::none) {
    const std::string_view hint = hints::find(hints::type, w);
    return fail(t, "'" + std::string(w) + "' is not a type" + (hint.empty() ? "" : "; write " + std::string(hint)));
  }
  take();
  return alias_type(d_.items[alias], t, out, depth);
}

bool Parser::param_attrs(ParamAttr& a) {
  while (peek().kind == Tok::Ident) {
    if (is_word("align")) {
      take();
      uint32_t log2;
      if (!align(log2)) return false;
      a.align_log2 = uint16_t(log2);
      continue;
    }
    const words::Word* w = words::find(words::param_attr, text(peek()));
    if (!w) break;
    take();
    a.bits |= uint16_t(w->value);
    if ((w->value & (attr::byval | attr::sret | attr::element)) && accept('(')) {
      uint64_t n;
      if (!number(n, "a size in bytes") || !expect(')', "the attribute")) return false;
      a.size = uint32_t(std::min<uint64_t>(n, ~0u));
    }
  }
  return true;
}

// The value of most numbers: decimal, of at most 18 digits.
static bool small_number(std::string_view s, uint64_t& v) {
  if (s.size() > 18) return false;
  v = 0;
  for (char c : s) {
    if (c < '0' || c > '9') return false;  // another base, or '_'
    v = v * 10 + uint64_t(c - '0');
  }
  return true;
}

// The digits of an integer token as words, least significant first, without leading zero words.
bool Parser::words_of(const Token& token, std::vector<uint32_t>& words) {
  std::string_view s = text(token);
  words.clear();
  if (s.size() > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
    uint32_t bit = 0;
    for (size_t k = s.size(); k-- > 2;) {
      if (s[k] == '_') continue;
      if (bit / 32 == words.size()) words.push_back(0);
      words[bit / 32] |= uint32_t(s[k] <= '9' ? s[k] - '0' : (s[k] | 32) - 'a' + 10) << bit % 32;
      bit += 4;
    }
    while (!words.empty() && words.back() == 0) words.pop_back();
    return true;
  }
  if (s.size() > 400) return fail(token, "the number is too long; write it in hexadecimal");
  for (char c : s) {
    if (c == '_') continue;
    uint64_t carry = uint64_t(c - '0');
    for (uint32_t& w : words) {
      carry += uint64_t(w) * 10;
      w = uint32_t(carry);
      carry >>= 32;
    }
    if (carry) words.push_back(uint32_t(carry));
  }
  return true;
}

bool Parser::int_literal(TypeId t, const Token& token, bool negative, ConstNode& out) {
  const uint32_t bits = (*types_)[t].bits;
  uint64_t small;
  if (bits <= 64 && small_number(text(token), small)) {
    const uint64_t limit = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    if (small > limit || (negative && small > limit / 2 + 1))
      return fail(token, "the number does not fit in " + type_text(t));
    if (!charge(token, (bits + 31) / 32 * 4)) return false;
    out.type = t;
    out.kind = ConstantKind::Int;
    out.bits = (negative ? 0 - small : small) & limit;
    return true;
  }
  std::vector<uint32_t> w;
  if (!words_of(token, w)) return false;
  size_t width = w.empty() ? 0 : (w.size() - 1) * 32 + size_t(std::bit_width(w.back()));
  bool fits = width <= bits;
  if (negative && fits && width == bits) {
    // Only the smallest number has that many bits.
    fits = std::has_single_bit(w.back());
    for (size_t k = 0; k + 1 < w.size(); k++) fits = fits && w[k] == 0;
  }
  if (!fits) return fail(token, "the number does not fit in " + type_text(t));
  size_t n = (bits + 31) / 32;
  if (n > 4096) return fail(token, "constants have at most 131072 bits");
  if (!charge(token, n * 4)) return false;
  w.resize(std::max<size_t>(n, 2), 0);
  if (negative) {
    uint64_t carry = 1;
    for (uint32_t& x : w) {
      carry += uint32_t(~x);
      x = uint32_t(carry);
      carry >>= 32;
    }
    if (bits % 32) w[n - 1] &= (1u << bits % 32) - 1;
  }
  out.type = t;
  if (bits <= 64) {
    out.kind = ConstantKind::Int;
    out.bits = w[0] | uint64_t(w[1]) << 32;
    if (bits < 64) out.bits &= (uint64_t{1} << bits) - 1;
  } else {
    out.kind = ConstantKind::WideInt;
    w.resize(n);
    out.words = std::move(w);
  }
  return true;
}

bool Parser::float_literal(TypeId t, const Token& token, bool negative, ConstNode& out) {
  std::string_view s = text(token);
  if (s.size() > 1 && (s[1] == 'x' || s[1] == 'X'))
    return fail(token, "write the encoding as 'bits " + std::string(s) + "'");
  const BinaryFormat format = format_of(t);
  BinaryNumber n;
  if (!decimal_to_binary(s, format, n)) return fail(token, "malformed number");
  out.type = t;
  out.kind = ConstantKind::Float;
  if (t == T::f80) {  // the leading bit is written out
    const bool infinite = n.biased_exponent == 0x7fff;
    const uint64_t mantissa = infinite ? uint64_t{1} << 63 : n.low;
    out.kind = ConstantKind::WideFloat;
    out.words = {uint32_t(mantissa), uint32_t(mantissa >> 32), uint32_t(negative) << 15 | uint32_t(n.biased_exponent)};
  } else if (t == T::f128) {
    const uint64_t high =
        uint64_t(uint32_t(negative) << 15 | uint32_t(n.biased_exponent)) << 48 | (n.high & 0xffffffffffffull);
    out.kind = ConstantKind::WideFloat;
    out.words = {uint32_t(n.low), uint32_t(n.low >> 32), uint32_t(high), uint32_t(high >> 32)};
  } else {
    const int stored = format.precision - 1;
    const uint64_t mantissa = n.low & ((uint64_t{1} << stored) - 1);
    const int exponent_bits = int(std::bit_width(unsigned(format.max_exponent))) + 1;
    out.bits = uint64_t(negative) << (stored + exponent_bits) | uint64_t(n.biased_exponent) << stored | mantissa;
  }
  return true;
}

bool Parser::bits_literal(TypeId t, ConstNode& out) {
  const Token token = peek();
  if (token.kind != Tok::Int) return fail_here("the encoding as a number");
  take();
  std::vector<uint32_t> w;
  if (!words_of(token, w)) return false;
  uint32_t width = t == T::f16 || t == T::bf16 ? 16 : t == T::f32 ? 32 : t == T::f64 ? 64 : t == T::f80 ? 80 : 128;
  size_t used = w.empty() ? 0 : (w.size() - 1) * 32 + size_t(std::bit_width(w.back()));
  if (used > width) return fail(token, "the encoding does not fit in " + type_text(t));
  w.resize(width <= 64 ? 2 : t == T::f80 ? 3 : 4, 0);
  out.type = t;
  if (width <= 64) {
    out.kind = ConstantKind::Float;
    out.bits = w[0] | uint64_t(w[1]) << 32;
  } else {
    out.kind = ConstantKind::WideFloat;
    out.words = std::move(w);
  }
  return true;
}

bool Parser::mismatch(const Token& t, const char* what, TypeId expected) {
  return fail(t, std::string(what) + " where a value of type " + type_text(expected) + " is expected");
}

bool Parser::number_constant(TypeId expected, ConstNode& out) {
  const Token first = peek();
  const bool negative = accept('-');
  if (peek().kind != Tok::Int && peek().kind != Tok::Float) return fail_here("a number after '-'");
  const Token n = take();
  if (is_float(expected)) return float_literal(expected, n, negative, out);
  if (n.kind == Tok::Float) return mismatch(first, "a floating-point number", expected);
  if ((*types_)[expected].kind == TypeKind::Int) return int_literal(expected, n, negative, out);
  return mismatch(first, "a number", expected);
}

bool Parser::string_constant(TypeId expected, ConstNode& out) {
  const Token s = take();
  const Type type = (*types_)[expected];
  if (type.kind != TypeKind::Array || type.element != T::i8) return mismatch(s, "a string", expected);
  std::string bytes;
  if (!unescape(text(s), bytes)) return fail(s, "malformed escape in the string");
  if (bytes.size() != type.count)
    return fail(s, "the string has " + std::to_string(bytes.size()) + " bytes, the type " + type_text(expected));
  out.kind = ConstantKind::Aggregate;
  for (char c : bytes) {
    ConstNode e;
    e.kind = ConstantKind::Int;
    e.type = T::i8;
    e.bits = uint8_t(c);
    out.members.push_back(std::move(e));
  }
  return true;
}

bool Parser::address_constant(TypeId expected, ConstNode& out) {
  const Token s = take();
  if ((*types_)[expected].kind != TypeKind::Ptr) return mismatch(s, "an address", expected);
  out.kind = ConstantKind::Symbol;
  const SymbolIndex index = symbol_ref(s);
  if (!index.valid()) return false;
  out.symbol = index.value;
  if ((is('+') || is('-')) && peek(1).kind == Tok::Int) {
    const bool minus = take().punct == '-';
    uint64_t n;
    if (!number(n, "an offset")) return false;
    out.bits = minus ? 0 - n : n;
  }
  return true;
}

bool Parser::block_ref(const Token& t, BlockId&) {
  return fail(t, "there is no block '" + std::string(text(t)) + "'");
}

bool Parser::word_constant(TypeId expected, ConstNode& out) {
  enum Word : uint32_t { true_, false_, zero, null, undef, bits, runtime, block_address };
  static constexpr words::Word table[] = {{"true", true_}, {"false", false_}, {"zero", zero},
                                          {"null", null},  {"undef", undef},  {"bits", bits},
                                          {"runtime", runtime}, {"block_address", block_address}};
  const Token t = peek();
  const TypeKind kind = (*types_)[expected].kind;
  const words::Word* w = word_of(table);
  if (!w) return fail_here("a constant");
  switch (Word(w->value)) {
    case true_:
    case false_:
      if (expected != T::i1) return mismatch(t, "a truth value", expected);
      out.kind = ConstantKind::Int;
      out.bits = w->value == true_;
      return true;
    case zero:
      if (kind == TypeKind::Int && (*types_)[expected].bits <= 64) out.kind = ConstantKind::Int;
      else if (is_float(expected) && kind != TypeKind::F80 && kind != TypeKind::F128) out.kind = ConstantKind::Float;
      else out.kind = ConstantKind::Zero;
      return true;
    case null:
      if (kind != TypeKind::Ptr) return mismatch(t, "null", expected);
      out.kind = ConstantKind::Zero;
      return true;
    case undef: out.kind = ConstantKind::Undef; return true;
    case bits:
      // v128: of legal code
      if (!is_float(expected) && expected != T::v128) return mismatch(t, "an encoding", expected);
      return bits_literal(expected, out);
    case runtime: {
      if (kind != TypeKind::Ptr) return mismatch(t, "an address", expected);
      const std::string_view id = peek().kind == Tok::Ident ? text(peek()) : std::string_view();
      for (unsigned k = 0; k < runtime_function_count; k++) {
        if (id != runtime_function_table[k].id) continue;
        take();
        out.kind = ConstantKind::Runtime;
        out.symbol = k;
        return true;
      }
      return fail_here("the name of a runtime function");
    }
    case block_address: {
      if (kind != TypeKind::Ptr) return mismatch(t, "an address", expected);
      if (peek().kind != Tok::Ident) return fail_here("a block's name");
      BlockId b;
      if (!block_ref(take(), b)) return false;
      out.kind = ConstantKind::BlockAddress;
      out.symbol = b.value;
      return true;
    }
  }
  return false;
}

// (member, ...)
bool Parser::list_constant(TypeId expected, ConstNode& out, unsigned depth) {
  const Token t = take();
  const Type type = (*types_)[expected];
  if (type.kind != TypeKind::Struct && type.kind != TypeKind::Array && type.kind != TypeKind::Vector)
    return mismatch(t, "a list", expected);
  out.kind = ConstantKind::Aggregate;
  const uint64_t n = type.kind == TypeKind::Struct ? type.field_count : type.count;
  while (!is(')')) {
    const uint32_t k = uint32_t(out.members.size());
    if (k && !expect(',', "the list")) return false;
    if (k == n)
      return fail(t, "the list has more than the " + std::to_string(n) + " members of " + type_text(expected));
    ConstNode e;
    if (!constant(type.kind == TypeKind::Struct ? types_->member(type, k) : type.element, e, depth + 1)) return false;
    out.members.push_back(std::move(e));
  }
  take();
  if (out.members.size() == n) return true;
  return fail(t, "the list has " + std::to_string(out.members.size()) + " members, " + type_text(expected) + " has " +
                     std::to_string(n));
}

bool Parser::constant(TypeId expected, ConstNode& out, unsigned depth) {
  if (depth > max_depth) return fail(peek(), "constants are nested too deeply");
  const Token t = peek();
  const TypeKind kind = (*types_)[expected].kind;
  out.type = expected;
  if (kind == TypeKind::Void || kind == TypeKind::Function) return mismatch(t, "a constant", expected);
  switch (t.kind) {
    case Tok::Int: case Tok::Float: return number_constant(expected, out);
    case Tok::String: return string_constant(expected, out);
    case Tok::Symbol: return address_constant(expected, out);
    case Tok::Ident: return word_constant(expected, out);
    default:
      if (t.punct == '-') return number_constant(expected, out);
      if (t.punct == '(') return list_constant(expected, out, depth);
      return fail_here("a constant");
  }
}

}  // namespace lode::air
