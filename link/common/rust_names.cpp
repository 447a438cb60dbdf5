// A demangler of Rust names: a recursive descent over the grammar of RFC 2603 that prints while it reads.
//
// Names come out of files and are not to be trusted. A back reference may lead to any earlier place, so that a short
// name can stand for a text without end: the depth of the descent, the number of steps and the length of the text are
// limited, and a name that exceeds one of them stays as it is. Parts that are read but not shown (the path of an impl,
// the crate that made an instance) do not follow back references.
//
// Hashes that tell two crates or two copies of one path apart say nothing to a reader and are left out, as are types of
// constants.
#include "link/common/rust_names.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace lode::link {

namespace {

constexpr unsigned max_depth = 200;
constexpr unsigned max_steps = 100'000;
constexpr size_t max_text = 64 << 10;
constexpr size_t max_punycode = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
int hex_value(char c) { return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

bool append_utf8(std::string& out, uint32_t c) {
  if (c >= 0x110000 || (c >= 0xd800 && c < 0xe000)) return false;
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | c >> 6);
    out += char(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += char(0xe0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  } else {
    out += char(0xf0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3f));
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  }
  return true;
}

// RFC 3492, with `_` for the delimiter, which the caller has cut at.
bool decode_punycode(std::string_view ascii, std::string_view code, std::string& out) {
  if (ascii.size() + code.size() > max_punycode) return false;
  std::vector<uint32_t> text(ascii.begin(), ascii.end());
  constexpr uint64_t base = 36, low = 1, high = 26, skew = 38, damp = 700;
  uint64_t n = 128, i = 0, bias = 72;
  for (size_t at = 0; at < code.size();) {
    uint64_t before = i, weight = 1;
    for (uint64_t k = base;; k += base) {
      if (at == code.size()) return false;
      char c = code[at++];
      if (!is_lower(c) && !is_digit(c)) return false;
      uint64_t digit = is_lower(c) ? uint64_t(c - 'a') : uint64_t(c - '0') + 26;
      i += digit * weight;
      uint64_t threshold = k <= bias ? low : std::min(k - bias, high);
      if (digit < threshold) break;
      weight *= base - threshold;
      if (i > 0xffffffff || weight > 0xffffffff) return false;
    }
    uint64_t length = text.size() + 1, delta = (i - before) / (before == 0 ? damp : 2);
    delta += delta / length;
    uint64_t k = 0;
    for (; delta > ((base - low) * high) / 2; k += base) delta /= base - low;
    bias = k + ((base - low + 1) * delta) / (delta + skew);
    n += i / length;
    i %= length;
    if (n > 0x10ffff) return false;
    text.insert(text.begin() + ptrdiff_t(i), uint32_t(n));
    i++;
  }
  for (uint32_t c : text)
    if (!append_utf8(out, c)) return false;
  return true;
}

// The basic types, by their letter.
std::string_view basic_type(char c) {
  switch (c) {
    case 'a': return "i8";
    case 'b': return "bool";
    case 'c': return "char";
    case 'd': return "f64";
    case 'e': return "str";
    case 'f': return "f32";
    case 'h': return "u8";
    case 'i': return "isize";
    case 'j': return "usize";
    case 'l': return "i32";
    case 'm': return "u32";
    case 'n': return "i128";
    case 'o': return "u128";
    case 'p': return "_";
    case 's': return "i16";
    case 't': return "u16";
    case 'u': return "()";
    case 'v': return "...";
    case 'x': return "i64";
    case 'y': return "u64";
    case 'z': return "!";
    default: return {};
  }
}

struct Identifier {
  std::string_view ascii, punycode;
  bool empty() const { return ascii.empty() && punycode.empty(); }
};

class V0 {
 public:
  explicit V0(std::string_view text) : text_(text) {}

  bool run(std::string& out) {
    path(true);
    if (!bad_ && at_ < text_.size() && is_upper(text_[at_])) {  // the crate that made the instance
      Quiet quiet(*this);
      path(false);
    }
    if (bad_) return false;
    std::string_view rest = text_.substr(at_);
    if (!rest.empty() && rest[0] != '.' && rest[0] != '$') return false;
    out = std::move(out_);
    if (!rest.starts_with(".llvm.")) out += rest;  // what an optimiser appended to a promoted local
    return true;
  }

 private:
  struct Quiet {  // what is read meanwhile is not printed
    V0& v;
    bool was;
    explicit Quiet(V0& d) : v(d), was(d.quiet_) { v.quiet_ = true; }
    ~Quiet() { v.quiet_ = was; }
  };
  struct Level {
    V0& v;
    explicit Level(V0& d) : v(d) {
      if (++v.depth_ > max_depth || ++v.steps_ > max_steps) v.bad_ = true;
    }
    ~Level() { v.depth_--; }
  };

  char next() {
    if (at_ < text_.size() && !bad_) return text_[at_++];
    bad_ = true;
    return '\0';
  }
  bool eat(char c) {
    if (bad_ || at_ >= text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  void print(std::string_view s) {
    if (quiet_ || bad_) return;
    if (out_.size() + s.size() > max_text) bad_ = true;
    else out_ += s;
  }

  // base-62-number: `_` is 0, else the digits' value and one more.
  uint64_t base_62() {
    if (eat('_')) return 0;
    uint64_t v = 0;
    for (;;) {
      char c = next();
      if (c == '_') break;
      uint64_t digit = is_digit(c)   ? uint64_t(c - '0')
                       : is_lower(c) ? uint64_t(c - 'a') + 10
                       : is_upper(c) ? uint64_t(c - 'A') + 36
                                     : 62;
      if (bad_ || digit == 62 || v > (~uint64_t{0} - 1 - digit) / 62) {
        bad_ = true;
        return 0;
      }
      v = v * 62 + digit;
    }
    return v + 1;
  }
  uint64_t optional_base_62(char tag) {
    if (!eat(tag)) return 0;
    uint64_t v = base_62();
    if (v == ~uint64_t{0}) bad_ = true;
    return bad_ ? 0 : v + 1;
  }
  uint64_t disambiguator() { return optional_base_62('s'); }

  Identifier identifier() {
    bool puny = eat('u');
    uint64_t n = 0;
    if (at_ >= text_.size() || !is_digit(text_[at_])) {
      bad_ = true;
      return {};
    }
    if (!eat('0'))
      while (at_ < text_.size() && is_digit(text_[at_]) && n <= text_.size()) n = n * 10 + uint64_t(text_[at_++] - '0');
    eat('_');
    if (bad_ || n > text_.size() - at_) {
      bad_ = true;
      return {};
    }
    std::string_view s = text_.substr(at_, n);
    at_ += n;
    if (!puny) return {s, {}};
    size_t cut = s.rfind('_');
    Identifier id = cut == std::string_view::npos ? Identifier{{}, s} : Identifier{s.substr(0, cut), s.substr(cut + 1)};
    if (id.punycode.empty()) bad_ = true;
    return id;
  }
  void print(const Identifier& id) {
    if (id.punycode.empty()) return print(id.ascii);
    std::string decoded;
    if (decode_punycode(id.ascii, id.punycode, decoded)) return print(decoded);
    print("punycode{");
    if (!id.ascii.empty()) {
      print(id.ascii);
      print("-");
    }
    print(id.punycode);
    print("}");
  }

  template <class F>
  void back_reference(F&& read) {
    size_t start = at_ - 1;  // of the `B`
    uint64_t to = base_62();
    if (to >= start) bad_ = true;
    if (bad_ || quiet_) return;
    size_t after = at_;
    at_ = size_t(to);
    read();
    at_ = after;
  }

  // {element} "E"; the number of elements.
  template <class F>
  unsigned list(std::string_view separator, F&& element) {
    unsigned n = 0;
    while (!bad_ && !eat('E')) {
      if (n++) print(separator);
      element();
    }
    return n;
  }

  void lifetime(uint64_t index) {
    if (index == 0) return print("'_");
    if (index > bound_) {
      bad_ = true;
      return;
    }
    uint64_t depth = bound_ - index;
    print("'");
    if (depth < 26) {
      char c = char('a' + depth);
      print({&c, 1});
    } else {
      print("_");
      print(std::to_string(depth));
    }
  }

  template <class F>
  void in_binder(F&& read) {
    uint64_t n = optional_base_62('G');
    if (n > max_steps) bad_ = true;
    if (bad_) return;
    const uint64_t before = bound_;
    if (n) {
      print("for<");
      for (uint64_t i = 0; i < n && !bad_; i++) {
        if (i) print(", ");
        bound_++;
        lifetime(1);
      }
      bound_ = before + n;
      print("> ");
    }
    read();
    bound_ = before;
  }

  void nested_path(bool in_value) {
    char space = next();
    if (!is_upper(space) && !is_lower(space)) bad_ = true;
    path(in_value);
    uint64_t which = disambiguator();
    Identifier id = identifier();
    if (is_lower(space)) {
      if (id.empty()) return;
      print("::");
      return print(id);
    }
    print("::{");
    print(space == 'C'   ? std::string_view("closure")
          : space == 'S' ? std::string_view("shim")
                         : std::string_view(&space, 1));
    if (!id.empty()) {
      print(":");
      print(id);
    }
    print("#");
    print(std::to_string(which));
    print("}");
  }

  // In a value (rather than a type) generic arguments follow `::`.
  void path(bool in_value) {
    Level level(*this);
    if (bad_) return;
    switch (char tag = next()) {
      case 'C':
        disambiguator();
        print(identifier());
        break;
      case 'N': nested_path(in_value); break;
      case 'M': case 'X': case 'Y':
        if (tag != 'Y') {  // where the impl stands
          disambiguator();
          Quiet quiet(*this);
          path(false);
        }
        print("<");
        type();
        if (tag != 'M') {
          print(" as ");
          path(false);
        }
        print(">");
        break;
      case 'I':
        path(in_value);
        print(in_value ? "::<" : "<");
        list(", ", [&] { generic_argument(); });
        print(">");
        break;
      case 'B': back_reference([&] { path(in_value); }); break;
      default: bad_ = true;
    }
  }

  void generic_argument() {
    if (eat('L')) lifetime(base_62());
    else if (eat('K')) constant(false);
    else type();
  }

  void function_type() {
    bool is_unsafe = eat('U');
    std::string abi;
    if (eat('K')) {
      if (eat('C')) {
        abi = "C";
      } else {
        Identifier id = identifier();
        if (!id.punycode.empty()) bad_ = true;
        abi = id.ascii;
        std::replace(abi.begin(), abi.end(), '_', '-');
      }
    }
    if (is_unsafe) print("unsafe ");
    if (!abi.empty()) {
      print("extern \"");
      print(abi);
      print("\" ");
    }
    print("fn(");
    list(", ", [&] { type(); });
    print(")");
    if (eat('u')) return;
    print(" -> ");
    type();
  }

  // True when the path ends in generic arguments that are left open, for a trait's associated types to follow.
  bool open_path() {
    Level level(*this);
    if (bad_) return false;
    if (eat('B')) {
      bool open = false;
      back_reference([&] { open = open_path(); });
      return open;
    }
    if (!eat('I')) {
      path(false);
      return false;
    }
    path(false);
    print("<");
    list(", ", [&] { generic_argument(); });
    return true;
  }

  void dyn_trait() {
    bool open = open_path();
    while (eat('p')) {
      print(open ? ", " : "<");
      open = true;
      print(identifier());
      print(" = ");
      type();
    }
    if (open) print(">");
  }

  void reference(bool is_mutable) {
    print("&");
    if (eat('L'))
      if (uint64_t index = base_62()) {
        lifetime(index);
        print(" ");
      }
    if (is_mutable) print("mut ");
    type();
  }

  void type() {
    Level level(*this);
    if (bad_) return;
    char tag = next();
    if (std::string_view basic = basic_type(tag); !basic.empty()) return print(basic);
    switch (tag) {
      case 'R': case 'Q': return reference(tag == 'Q');
      case 'P': case 'O':
        print(tag == 'P' ? "*const " : "*mut ");
        return type();
      case 'A': case 'S':
        print("[");
        type();
        if (tag == 'A') {
          print("; ");
          constant(true);
        }
        return print("]");
      case 'T': {
        print("(");
        if (list(", ", [&] { type(); }) == 1) print(",");
        return print(")");
      }
      case 'F': return in_binder([&] { function_type(); });
      case 'D':
        print("dyn ");
        in_binder([&] { list(" + ", [&] { dyn_trait(); }); });
        if (!eat('L')) bad_ = true;
        else if (uint64_t index = base_62()) {
          print(" + ");
          lifetime(index);
        }
        return;
      case 'B': return back_reference([&] { type(); });
      default:
        if (bad_) return;
        at_--;
        path(false);
    }
  }

  // Lower-case digits up to `_`.
  std::string_view hex_digits() {
    size_t begin = at_;
    while (at_ < text_.size() && hex_value(text_[at_]) >= 0) at_++;
    std::string_view digits = text_.substr(begin, at_ - begin);
    if (!eat('_')) bad_ = true;
    return digits;
  }
  static std::optional<uint64_t> number(std::string_view digits) {
    while (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
    if (digits.empty()) return 0;
    if (digits.size() > 16) return std::nullopt;
    uint64_t v = 0;
    for (char c : digits) v = v << 4 | uint64_t(hex_value(c));
    return v;
  }
  void print_number(std::string_view digits) {
    if (auto v = number(digits)) return print(std::to_string(*v));
    print("0x");
    print(digits);
  }

  // A character as a Rust literal has it.
  void print_character(uint32_t c, char quote) {
    switch (c) {
      case '\t': return print("\\t");
      case '\r': return print("\\r");
      case '\n': return print("\\n");
      case 0: return print("\\0");
      case '\\': return print("\\\\");
      default: break;
    }
    std::string s;
    if (c == uint32_t(quote)) s = {'\\', quote};
    else if (c < 0x20 || c == 0x7f) {
      static const char digits[] = "0123456789abcdef";
      s = std::string("\\u{") + (c >= 16 ? std::string(1, digits[c >> 4]) : std::string()) + digits[c & 15] + "}";
    } else if (!append_utf8(s, c)) bad_ = true;
    print(s);
  }

  void string_literal() {
    std::string_view digits = hex_digits();
    if (digits.size() % 2) bad_ = true;
    if (bad_) return;
    print("\"");
    for (size_t i = 0; i < digits.size() && !bad_;) {
      auto byte = [&](size_t k) { return uint32_t(hex_value(digits[k]) << 4 | hex_value(digits[k + 1])); };
      uint32_t first = byte(i), c = first;
      size_t more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : 4;
      if (more == 4 || digits.size() - i < 2 * (more + 1)) {
        bad_ = true;
        return;
      }
      if (more) c = first & (0x3fu >> more);
      for (size_t k = 1; k <= more; k++) {
        uint32_t b = byte(i + 2 * k);
        if (b >> 6 != 2) bad_ = true;
        c = c << 6 | (b & 0x3f);
      }
      print_character(c, '"');
      i += 2 * (more + 1);
    }
    print("\"");
  }

  // A value of a type the program made: a variant's or structure's name and its fields.
  void structured_constant() {
    path(true);
    switch (next()) {
      case 'U': return;
      case 'T':
        print("(");
        list(", ", [&] { constant(true); });
        return print(")");
      case 'S':
        print(" { ");
        list(", ", [&] {
          disambiguator();
          print(identifier());
          print(": ");
          constant(true);
        });
        return print(" }");
      default: bad_ = true;
    }
  }

  // As a generic argument, a value that is more than a literal stands in braces.
  void compound_constant(char tag, bool in_value) {
    if (!in_value) print("{");
    switch (tag) {
      case 'e':
        print("*");
        string_literal();
        break;
      case 'R': case 'Q':
        print(tag == 'R' ? "&" : "&mut ");
        constant(true);
        break;
      case 'A':
        print("[");
        list(", ", [&] { constant(true); });
        print("]");
        break;
      case 'T':
        print("(");
        if (list(", ", [&] { constant(true); }) == 1) print(",");
        print(")");
        break;
      default: structured_constant();
    }
    if (!in_value) print("}");
  }

  void constant(bool in_value) {
    Level level(*this);
    if (bad_) return;
    switch (char tag = next()) {
      case 'B': return back_reference([&] { constant(in_value); });
      case 'p': return print("_");
      case 'h': case 't': case 'm': case 'y': case 'o': case 'j': return print_number(hex_digits());
      case 'a': case 's': case 'l': case 'x': case 'n': case 'i':
        if (eat('n')) print("-");
        return print_number(hex_digits());
      case 'b': {
        auto v = number(hex_digits());
        if (!v || *v > 1) bad_ = true;
        else print(*v ? "true" : "false");
        return;
      }
      case 'c': {
        auto v = number(hex_digits());
        if (!v || *v > 0x10ffff) {
          bad_ = true;
          return;
        }
        print("'");
        print_character(uint32_t(*v), '\'');
        return print("'");
      }
      case 'R':
        if (eat('e')) return string_literal();
        return compound_constant(tag, in_value);
      case 'e': case 'Q': case 'A': case 'T': case 'V': return compound_constant(tag, in_value);
      default: bad_ = true;
    }
  }

  std::string_view text_;  // behind the _R, which is what back references count from
  std::string out_;
  size_t at_ = 0;
  uint64_t bound_ = 0;     // lifetimes that binders around the place have named
  unsigned depth_ = 0, steps_ = 0;
  bool bad_ = false, quiet_ = false;
};

// ---- legacy ---------------------------------------------------------------------------------------------------------

struct Escape {
  std::string_view name, text;
};
constexpr Escape escapes[] = {{"SP", "@"}, {"BP", "*"}, {"RF", "&"}, {"LT", "<"},
                              {"GT", ">"}, {"LP", "("}, {"RP", ")"}, {"C", ","}};

bool append_escape(std::string_view name, std::string& out) {
  for (const Escape& e : escapes)
    if (name == e.name) {
      out += e.text;
      return true;
    }
  if (name.size() < 2 || name.size() > 7 || name[0] != 'u') return false;
  uint32_t c = 0;
  for (char digit : name.substr(1)) {
    if (hex_value(digit) < 0) return false;
    c = c << 4 | uint32_t(hex_value(digit));
  }
  return c >= 0x20 && c != 0x7f && append_utf8(out, c);
}

// One element of a legacy path: `$..$` are escapes, `..` is `::`.
void append_element(std::string_view s, std::string& out) {
  if (s.starts_with("_$")) s.remove_prefix(1);
  while (!s.empty()) {
    if (s.starts_with("..")) {
      out += "::";
      s.remove_prefix(2);
      continue;
    }
    if (s[0] == '$') {
      size_t end = s.find('$', 1);
      if (end == std::string_view::npos || !append_escape(s.substr(1, end - 1), out)) {
        out += s;
        return;
      }
      s.remove_prefix(end + 1);
      continue;
    }
    size_t n = std::max<size_t>(1, std::min(s.find_first_of(".$"), s.size()));
    out += s.substr(0, n);
    s.remove_prefix(n);
  }
}

bool is_hash(std::string_view s) {
  return s.size() == 17 && s[0] == 'h' && std::all_of(s.begin() + 1, s.end(), [](char c) { return hex_value(c) >= 0; });
}

bool demangle_legacy(std::string_view s, std::string& out) {
  std::vector<std::string_view> elements;
  while (!s.empty() && s[0] != 'E') {
    size_t n = 0, digits = 0;
    while (digits < s.size() && is_digit(s[digits]) && n <= s.size()) n = n * 10 + size_t(s[digits++] - '0');
    if (digits == 0 || n == 0 || n > s.size() - digits) return false;
    elements.push_back(s.substr(digits, n));
    s.remove_prefix(digits + n);
  }
  if (s.empty() || elements.size() < 2 || !is_hash(elements.back())) return false;
  s.remove_prefix(1);
  if (!s.empty() && s[0] != '.') return false;
  std::string text;
  for (size_t i = 0; i + 1 < elements.size(); i++) {
    if (i) text += "::";
    append_element(elements[i], text);
  }
  if (!s.starts_with(".llvm.")) text += s;
  out = std::move(text);
  return true;
}

}  // namespace

bool demangle_rust(std::string_view name, std::string& out) {
  // Some object formats put an underscore before every name.
  for (std::string_view prefix : {"_R", "__R"})
    if (name.starts_with(prefix) && name.size() > prefix.size() && is_upper(name[prefix.size()])) {
      for (char c : name)
        if (uint8_t(c) >= 0x80) return false;
      return V0(name.substr(prefix.size())).run(out);
    }
  for (std::string_view prefix : {"_ZN", "__ZN"})
    if (name.starts_with(prefix)) return demangle_legacy(name.substr(prefix.size()), out);
  return false;
}

}  // namespace lode::link
