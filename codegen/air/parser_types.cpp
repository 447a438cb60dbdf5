// Types and constants of the text form.
#include <bit>
#include <charconv>

#include "codegen/air/decimal.h"
#include "codegen/air/legalize.h"
#include "codegen/air/parser_impl.h"
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

bool Parser::starts_type() const {
  const Token& t = peek();
  if (t.kind == Tok::Punct) return t.punct == '{' || t.punct == '[' || t.punct == '<';
  if (t.kind != Tok::Ident) return false;
  std::string_view w = lexer_.text(t);
  if (int_width(w)) return true;
  for (const Simple& s : simple_types)
    if (s.name == w) return true;
  if (w == "func") return true;
  return index_.count(declaration_hash("type", w)) != 0;
}

bool Parser::type(TypeId& out, unsigned depth) {
  if (depth > 2 * max_depth) return fail(peek(), "types are nested too deeply");  // names count as well
  const Token t = peek();
  out = T::void_type;
  auto sized = [&](TypeId made) {
    if (m_.types.oversized(made)) return fail(t, "the type is too large");
    if (m_.types.nesting(made) > TypeTable::max_nesting) return fail(t, "types are nested too deeply");
    out = made;
    return true;
  };
  if (accept('[')) {
    uint64_t n;
    TypeId e;
    if (!number(n, "the number of elements")) return false;
    if (!accept_word("x")) return fail_here("'x'");
    if (!type(e, depth + 1) || !expect(']', "the array type")) return false;
    if (e == T::void_type || m_.types[e].kind == TypeKind::Function) return fail(t, "an array of " + type_text(e));
    return sized(m_.types.array_type(e, n));
  }
  bool packed = is('<') && is('{', 1);
  if (!packed && accept('<')) {
    uint64_t n;
    TypeId e;
    if (!number(n, "the number of lanes")) return false;
    if (!accept_word("x")) return fail_here("'x'");
    if (!type(e, depth + 1) || !expect('>', "the vector type")) return false;
    TypeKind k = m_.types[e].kind;
    if (k == TypeKind::Void || k >= TypeKind::Vector) return fail(t, "a vector of " + type_text(e));
    if (!n) return fail(t, "a vector without lanes");
    return sized(m_.types.vector_type(e, n));
  }
  if (packed || is('{')) {
    if (packed) take();
    take();
    std::vector<TypeId> fields;
    while (!is('}')) {
      if (!fields.empty() && !expect(',', "the struct type")) return false;
      const Token& at = peek();
      TypeId f;
      if (!type(f, depth + 1)) return false;
      if (f == T::void_type || m_.types[f].kind == TypeKind::Function)
        return fail(at, "a field of type " + type_text(f));
      fields.push_back(f);
    }
    take();
    if (packed && !expect('>', "the packed struct type")) return false;
    return sized(m_.types.struct_type(fields.data(), fields.size(), packed));
  }
  if (t.kind != Tok::Ident) return fail_here("a type");
  std::string_view w = lexer_.text(t);
  if (uint32_t bits = int_width(w)) {
    take();
    if (bits > 1 << 23) return fail(t, "integers have at most 8388608 bits");
    out = m_.types.int_type(bits);
    return true;
  }
  for (const Simple& s : simple_types)
    if (s.name == w) {
      take();
      out = s.type;
      return true;
    }
  if (w == "func") {
    take();
    if (!expect('(', "the function type")) return false;
    std::vector<TypeId> params;
    bool vararg = false, first = true;
    while (!is(')')) {
      if (!first && !expect(',', "the function type")) return false;
      first = false;
      if (peek().kind == Tok::Dots) {
        take();
        vararg = true;
        break;
      }
      const Token& at = peek();
      TypeId p;
      if (!type(p, depth + 1)) return false;
      if (p == T::void_type || m_.types[p].kind == TypeKind::Function)
        return fail(at, "a parameter of type " + type_text(p));
      params.push_back(p);
    }
    if (!expect(')', "the function type")) return false;
    if (peek().kind != Tok::Arrow) return fail_here("'->' and the result's type");
    take();
    TypeId result;
    if (!type(result, depth + 1)) return false;
    return sized(m_.types.function_type(result, params.data(), params.size(), vararg));
  }
  if (Item* item = find("type", w)) {
    take();
    if (item->broken) return false;  // reported where it is declared
    if (!item->type.valid()) {
      if (item->visiting) return fail(t, "the type '" + std::string(w) + "' contains itself");
      // Read the alias where it stands.
      uint32_t index = uint32_t(item - items_.data()), back = at_;
      item->visiting = true;
      at_ = item->body;
      TypeId made;
      bool ok = type(made, depth + 1);
      items_[index].visiting = false;
      items_[index].broken = !ok;
      if (ok) items_[index].type = made;
      at_ = back;
      if (!ok) return false;
      item = &items_[index];
    }
    out = item->type;
    return true;
  }
  return fail(t, "'" + std::string(w) + "' is not a type");
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
    const words::Word* w = words::find(words::param_attr, lexer_.text(peek()));
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

// The digits of an integer token as words, least significant first, without leading zero words.
bool Parser::words_of(const Token& token, std::vector<uint32_t>& words) {
  std::string_view s = lexer_.text(token);
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
  const uint32_t bits = m_.types[t].bits;
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
  std::string_view s = lexer_.text(token);
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

bool Parser::constant(TypeId expected, ConstNode& out, unsigned depth) {
  if (depth > max_depth) return fail(peek(), "constants are nested too deeply");
  const Token t = peek();
  const TypeKind kind = m_.types[expected].kind;
  const bool is_float = kind >= TypeKind::F16 && kind <= TypeKind::F128;
  out = {};
  out.type = expected;
  auto mismatch = [&](const char* what) {
    return fail(t, std::string(what) + " where a value of type " + type_text(expected) + " is expected");
  };
  if (kind == TypeKind::Void || kind == TypeKind::Function) return mismatch("a constant");
  bool negative = accept('-');
  if (negative && peek().kind != Tok::Int && peek().kind != Tok::Float) return fail_here("a number after '-'");
  switch (peek().kind) {
    case Tok::Int: {
      const Token& n = take();
      if (kind == TypeKind::Int) return int_literal(expected, n, negative, out);
      if (is_float) return float_literal(expected, n, negative, out);
      return mismatch("a number");
    }
    case Tok::Float: {
      const Token& n = take();
      if (is_float) return float_literal(expected, n, negative, out);
      return mismatch("a floating-point number");
    }
    case Tok::String: {
      const Token& s = take();
      const Type type = m_.types[expected];
      if (kind != TypeKind::Array || type.element != T::i8) return mismatch("a string");
      std::string bytes;
      if (!unescape(lexer_.text(s), bytes)) return fail(s, "malformed escape in the string");
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
    case Tok::Symbol: {
      const Token& s = take();
      if (kind != TypeKind::Ptr) return mismatch("an address");
      out.kind = ConstantKind::Symbol;
      SymbolIndex index = symbol_ref(s);
      if (!index.valid()) return false;
      out.symbol = index.value;
      if ((is('+') || is('-')) && peek(1).kind == Tok::Int) {
        bool minus = take().punct == '-';
        uint64_t n;
        if (!number(n, "an offset")) return false;
        out.bits = minus ? 0 - n : n;
      }
      return true;
    }
    case Tok::Ident: {
      std::string_view w = lexer_.text(t);
      if (w == "true" || w == "false") {
        take();
        if (expected != T::i1) return mismatch("a truth value");
        out.kind = ConstantKind::Int;
        out.bits = w == "true";
        return true;
      }
      if (w == "zero") {
        take();
        if (kind == TypeKind::Int && m_.types[expected].bits <= 64) out.kind = ConstantKind::Int;
        else if (is_float && kind != TypeKind::F80 && kind != TypeKind::F128) out.kind = ConstantKind::Float;
        else out.kind = ConstantKind::Zero;
        return true;
      }
      if (w == "null") {
        take();
        if (kind != TypeKind::Ptr) return mismatch("null");
        out.kind = ConstantKind::Zero;
        return true;
      }
      if (w == "undef") {
        take();
        out.kind = ConstantKind::Undef;
        return true;
      }
      if (w == "bits") {
        take();
        if (!is_float && expected != T::v128) return mismatch("an encoding");  // v128: of legal code
        return bits_literal(expected, out);
      }
      if (w == "runtime") {
        take();
        if (kind != TypeKind::Ptr) return mismatch("an address");
        std::string_view id = peek().kind == Tok::Ident ? lexer_.text(peek()) : std::string_view();
        for (unsigned k = 0; k < runtime_function_count; k++)
          if (id == runtime_function_table[k].id) {
            take();
            out.kind = ConstantKind::Runtime;
            out.symbol = k;
            return true;
          }
        return fail_here("the name of a runtime function");
      }
      if (w == "block_address") {
        take();
        if (kind != TypeKind::Ptr) return mismatch("an address");
        if (peek().kind != Tok::Ident) return fail_here("a block's name");
        BlockId b;
        if (!block_ref(take(), b)) return false;
        out.kind = ConstantKind::BlockAddress;
        out.symbol = b.value;
        return true;
      }
      return fail_here("a constant");
    }
    case Tok::Punct:
      if (accept('(')) {
        const Type type = m_.types[expected];
        if (kind != TypeKind::Struct && kind != TypeKind::Array && kind != TypeKind::Vector) return mismatch("a list");
        out.kind = ConstantKind::Aggregate;
        uint64_t n = kind == TypeKind::Struct ? type.field_count : type.count;
        while (!is(')')) {
          if (!out.members.empty() && !expect(',', "the list")) return false;
          if (out.members.size() == n)
            return fail(t, "the list has more than the " + std::to_string(n) + " members of " + type_text(expected));
          ConstNode e;
          if (!constant(kind == TypeKind::Struct ? m_.types.member(type, uint32_t(out.members.size())) : type.element,
                        e, depth + 1))
            return false;
          out.members.push_back(std::move(e));
        }
        take();
        if (out.members.size() != n)
          return fail(t, "the list has " + std::to_string(out.members.size()) + " members, " + type_text(expected) +
                             " has " + std::to_string(n));
        return true;
      }
      return fail_here("a constant");
    default: return fail_here("a constant");
  }
}

}  // namespace lode::air
