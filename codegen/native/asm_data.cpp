#include "codegen/native/asm_data.h"

#include <bit>
#include <cctype>

#include "base/bytes.h"
#include "codegen/native/asm_expression.h"
#include "codegen/native/asm_section_words.h"
#include "codegen/native/asm_text.h"
#include "formats/elf/elf.h"

namespace lode::codegen {

using namespace formats::elf;

namespace {

bool digit(char c) { return asm_digit(c); }
bool name_start(char c) { return std::isalpha(uint8_t(c)) || c == '_' || c == '.' || c == '$'; }
bool name_part(char c) { return name_start(c) || digit(c) || c == '@'; }

std::string_view trim(std::string_view s) { return asm_trim(s); }
std::string_view next_field(std::string_view& rest) { return asm_field(rest); }
std::string_view unquoted(std::string_view s) { return asm_unquoted(s); }

constexpr std::pair<std::string_view, uint8_t> data_directives[] = {
    {".byte", 1}, {".value", 2}, {".short", 2}, {".word", 2},  {".hword", 2}, {".2byte", 2},
    {".long", 4}, {".int", 4},   {".4byte", 4}, {".quad", 8}, {".8byte", 8},
};

}  // namespace

Error unsupported_asm(std::string_view text, const char* why) {
  std::string shown;
  for (char c : text) shown += c == '\x01' ? '<' : c == '\x02' ? '>' : c;
  return error("inline assembly \"" + shown + "\" is not supported" + (why ? std::string(": ") + why : ""));
}

// ---- labels ---------------------------------------------------------------------------------------------------------

std::string AsmData::key(std::string_view name, bool define) {
  std::string k(name);
  if (name.empty() || !digit(name[0])) return k;
  if (define) return k + "#" + std::to_string(counts_[k]++);
  const bool forward = k.back() == 'f';
  k.pop_back();
  const unsigned seen = counts_[k];
  return k + "#" + std::to_string(forward ? seen : seen - 1);
}

Result<void> AsmData::define(std::string_view name) {
  Place& p = labels_[key(name, true)];
  if (p.defined) return unsupported_asm(name, "the label is defined twice");
  p.defined = true;
  p.section = section_;
  if (!in_text()) {
    p.offset = uint32_t(section().bytes.size());
    return {};
  }
  if (p.label.value == Label{}.value) p.label = w_.new_label();
  w_.bind(p.label);
  return {};
}

Label AsmData::text_label(std::string_view name) {
  Place& p = labels_[key(name, false)];
  if (p.label.value == Label{}.value) p.label = w_.new_label();
  return p.label;
}

// ---- sections -------------------------------------------------------------------------------------------------------

Result<void> AsmData::choose(std::string_view rest, std::string_view whole) {
  AsmSectionWords words;
  if (const char* why = parse_section_words(rest, words)) return unsupported_asm(whole, why);
  if (words.flags & SHF_LINK_ORDER || words.unique)
    return unsupported_asm(whole, "a section that goes with another, or is one of several");
  AsmSection wanted;
  wanted.name = words.name;
  wanted.group = words.group;
  wanted.type = words.type;
  wanted.flags = uint32_t(words.flags);
  wanted.entsize = uint32_t(words.entsize);
  const bool named_alone = words.named_alone;
  if (wanted.name == ".text") return unsupported_asm(whole, "the text by its name");
  auto& all = w_.asm_sections();
  previous_ = section_;
  for (uint32_t i = 0; i < all.size(); i++)
    if (all[i].name == wanted.name &&
        (named_alone || (all[i].flags == wanted.flags && all[i].type == wanted.type && all[i].group == wanted.group))) {
      section_ = i;
      return {};
    }
  section_ = uint32_t(all.size());
  all.push_back(std::move(wanted));
  return {};
}

Result<bool> AsmData::directive(std::string_view name, std::string_view rest, std::string_view whole) {
  if (name == ".pushsection" || name == ".section") {
    if (name == ".pushsection") stack_.push_back({section_, previous_});
    LODE_TRY(choose(rest, whole));
    return true;
  }
  if (name == ".popsection") {
    if (stack_.empty()) return unsupported_asm(whole, "there is no .pushsection");
    section_ = stack_.back().first;
    previous_ = stack_.back().second;
    stack_.pop_back();
    return true;
  }
  if (name == ".previous" || name == ".text") {
    if (!rest.empty()) return unsupported_asm(whole);
    const uint32_t to = name == ".text" ? text : previous_;
    previous_ = section_;
    section_ = to;
    return true;
  }
  if (name == ".data" || name == ".bss") {
    if (!rest.empty()) return unsupported_asm(whole, "a subsection");
    LODE_TRY(choose(name, whole));
    return true;
  }
  if (in_text()) return false;
  return data(name, rest, whole);
}

// ---- data -----------------------------------------------------------------------------------------------------------

Result<void> AsmData::fill(uint64_t count, uint8_t value, std::string_view whole) {
  if (count > (1u << 24) || section().bytes.size() + count > (1u << 28))
    return unsupported_asm(whole, "too many bytes");
  section().bytes.insert(section().bytes.end(), size_t(count), value);
  return {};
}

Result<void> AsmData::strings(std::string_view rest, bool terminated, std::string_view whole) {
  do {
    std::string_view s = next_field(rest);
    if (s.size() < 2 || s.front() != '"' || s.back() != '"') return unsupported_asm(whole);
    std::string text;
    if (!asm_string(s, text)) return unsupported_asm(whole, "unknown escape sequence");
    auto& out = section().bytes;
    out.insert(out.end(), text.begin(), text.end());
    if (terminated) out.push_back(0);
  } while (!rest.empty());
  return {};
}

Result<void> AsmData::symbol_directive(std::string_view name, std::string_view rest, std::string_view whole) {
  if (name == ".type" || name == ".size") {
    Attributes& a = attributes_[std::string(unquoted(next_field(rest)))];
    std::string_view value = next_field(rest);
    if (name == ".size") {
      LODE_ASSIGN(a.size, parse(value, whole));
      a.has_size = true;
      return {};
    }
    if (!value.empty() && (value[0] == '@' || value[0] == '%')) value.remove_prefix(1);
    if (value != "object" && value != "notype" && value != "STT_OBJECT" && value != "STT_NOTYPE")
      return unsupported_asm(whole);
    a.type = value.ends_with("ject") || value == "STT_OBJECT" ? STT_OBJECT : STT_NOTYPE;
    return {};
  }
  do {
    Attributes& a = attributes_[std::string(unquoted(next_field(rest)))];
    if (name == ".weak") a.bind = STB_WEAK;
    else if (name == ".globl" || name == ".global") a.bind = STB_GLOBAL;
    else if (name == ".local") a.bind = STB_LOCAL;
    else a.visibility = name == ".hidden" ? STV_HIDDEN : name == ".protected" ? STV_PROTECTED : STV_INTERNAL;
  } while (!rest.empty());
  return {};
}

// A directive in a section that is not the text. False: unknown.
Result<bool> AsmData::data(std::string_view name, std::string_view rest, std::string_view whole) {
  for (auto [directive, bytes] : data_directives) {
    if (name != directive) continue;
    do {
      Pending p{{}, section_, uint32_t(section().bytes.size()), bytes, std::string(whole)};
      LODE_ASSIGN(p.value, parse(next_field(rest), whole));
      pending_.push_back(std::move(p));
      LODE_TRY(fill(bytes, 0, whole));
    } while (!rest.empty());
    return true;
  }
  int64_t v[2] = {0, 0};
  auto numbers = [&] {
    for (int64_t& n : v)
      if (!rest.empty())
        if (!evaluate_constant(next_field(rest), n)) return false;
    return rest.empty() || evaluate_constant(next_field(rest), v[1]);
  };
  if (name == ".p2align" || name == ".balign" || name == ".align") {
    if (!numbers() || v[0] < 0 || v[0] > (name == ".p2align" ? 16 : 65536)) return unsupported_asm(whole);
    const uint64_t align = name == ".p2align" ? uint64_t{1} << v[0] : uint64_t(std::max<int64_t>(v[0], 1));
    if (!std::has_single_bit(align)) return unsupported_asm(whole);
    section().align = std::max(section().align, uint32_t(align));
    LODE_TRY(fill(-section().bytes.size() & (align - 1), 0, whole));
    return true;
  }
  if (name == ".zero" || name == ".skip" || name == ".space") {
    if (!numbers() || v[0] < 0) return unsupported_asm(whole);
    LODE_TRY(fill(uint64_t(v[0]), uint8_t(v[1]), whole));
    return true;
  }
  if (name == ".ascii" || name == ".asciz" || name == ".string") {
    LODE_TRY(strings(rest, name != ".ascii", whole));
    return true;
  }
  for (std::string_view known :
       {".globl", ".global", ".weak", ".local", ".hidden", ".protected", ".internal", ".type", ".size"})
    if (name == known) {
      LODE_TRY(symbol_directive(name, rest, whole));
      return true;
    }
  return false;
}

// ---- expressions ----------------------------------------------------------------------------------------------------

// Terms joined with + and -, a sum in parentheses being terms too. A term without names is any constant expression.
Result<AsmData::Expression> AsmData::parse(std::string_view s, std::string_view whole, bool minus, unsigned depth) {
  Expression out;
  s = trim(s);
  if (int64_t v; evaluate_constant(s, v)) {
    out.constant = minus ? int64_t(0 - uint64_t(v)) : v;
    return out;
  }
  if (s.empty() || depth > 16) return unsupported_asm(whole, "an expression of this kind");
  for (bool first = true; !s.empty(); first = false) {
    bool negative = minus;
    while (!s.empty() && (s[0] == '+' || s[0] == '-')) {
      negative ^= s[0] == '-';
      s = trim(s.substr(1));
      first = true;
    }
    if (!first || s.empty()) return unsupported_asm(whole, "an expression of this kind");
    size_t end = 0;
    for (int level = 0; end < s.size() && (level || end == 0 || (s[end] != '+' && s[end] != '-')); end++)
      level += s[end] == '(' ? 1 : s[end] == ')' ? -1 : 0;
    std::string_view term = trim(s.substr(0, end));
    s = trim(s.substr(end));
    Term t;
    t.minus = negative;
    if (term == ".") {
      t.kind = Term::Kind::place;
      t.section = section_;
      t.offset = uint32_t(section().bytes.size());
    } else if (term.front() == '(' && term.back() == ')') {
      LODE_ASSIGN(Expression inner, parse(term.substr(1, term.size() - 2), whole, negative, depth + 1));
      out.terms.insert(out.terms.end(), inner.terms.begin(), inner.terms.end());
      out.constant = int64_t(uint64_t(out.constant) + uint64_t(inner.constant));
      continue;
    } else if (term.front() == '\x01') {  // an operand that is a symbol's address
      size_t n = 0;
      for (char c : term.substr(1, term.size() - 2)) n = digit(c) ? n * 10 + size_t(c - '0') : references_.size();
      if (term.back() != '\x02' || n >= references_.size() || references_[n] == no_symbol)
        return unsupported_asm(whole);
      t.kind = Term::Kind::reference;
      t.reference = references_[n];
    } else if (digit(term[0]) && (term.back() == 'b' || term.back() == 'f') &&
               term.find_first_not_of("0123456789") == term.size() - 1) {
      t.name = key(term, false);
    } else if (name_start(term[0])) {
      for (char c : term)
        if (!name_part(c)) return unsupported_asm(whole, "an expression of this kind");
      if (term.find('@') != std::string_view::npos) return unsupported_asm(whole);
      t.kind = Term::Kind::symbol;
      t.name = std::string(term);
    } else {
      int64_t v;
      if (!evaluate_constant(term, v)) return unsupported_asm(whole, "an expression of this kind");
      out.constant = int64_t(uint64_t(out.constant) + (negative ? 0 - uint64_t(v) : uint64_t(v)));
      continue;
    }
    out.terms.push_back(std::move(t));
  }
  return out;
}

Result<void> AsmData::resolve(const Pending& p) {
  // What a term is once all labels are known: a place in one of the sections, a label of the text, or a symbol.
  struct Known {
    bool minus;
    AsmPlace::Target target;
    uint32_t index, offset;
    std::string name;
  };
  std::vector<Known> plus, minus;
  for (const Term& t : p.value.terms) {
    Known k{t.minus, AsmPlace::Target::section, t.section, t.offset, {}};
    auto label = labels_.find(t.name);
    if (t.kind == Term::Kind::reference) {
      k.target = AsmPlace::Target::reference;
      k.index = t.reference;
    } else if (t.kind != Term::Kind::place && label != labels_.end() && label->second.defined) {
      const Place& l = label->second;
      k.target = l.section == text ? AsmPlace::Target::text : AsmPlace::Target::section;
      k.index = l.section == text ? l.label.value : l.section;
      k.offset = l.offset;
    } else if (t.kind == Term::Kind::label || t.name.starts_with(".L")) {
      if (t.kind != Term::Kind::place) return unsupported_asm(p.text, "a label is not defined in it");
    } else if (t.kind == Term::Kind::symbol) {
      k.index = symbols_ ? symbols_(t.name, mir::ReferenceKind::direct, 0) : no_symbol;
      k.target = k.index == no_symbol ? AsmPlace::Target::name : AsmPlace::Target::reference;
      if (k.index == no_symbol) k.index = 0;
      k.name = t.name;
    }
    (t.minus ? minus : plus).push_back(std::move(k));
  }
  AsmPlace out;
  out.offset = p.offset;
  out.bytes = p.bytes;
  out.addend = p.value.constant;
  auto add = [&](uint64_t v) { out.addend = int64_t(uint64_t(out.addend) + v); };
  // Distances within a section are constants.
  for (size_t m = 0; m < minus.size();) {
    size_t found = plus.size();
    for (size_t k = 0; k < plus.size() && minus[m].target == AsmPlace::Target::section; k++)
      if (plus[k].target == AsmPlace::Target::section && plus[k].index == minus[m].index) found = k;
    if (found == plus.size()) {
      m++;
      continue;
    }
    add(uint64_t{plus[found].offset} - minus[m].offset);
    plus.erase(plus.begin() + std::ptrdiff_t(found));
    minus.erase(minus.begin() + std::ptrdiff_t(m));
  }
  AsmSection& s = w_.asm_sections()[p.section];
  if (plus.empty() && minus.empty()) {
    for (unsigned k = 0; k < p.bytes; k++) s.bytes[p.offset + k] = uint8_t(uint64_t(out.addend) >> 8 * k);
    return {};
  }
  if (plus.size() != 1 || minus.size() > 1) return unsupported_asm(p.text, "an expression of this kind");
  out.target = plus[0].target;
  out.index = plus[0].index;
  out.name = plus[0].name;
  if (out.target == AsmPlace::Target::section) add(plus[0].offset);
  if (!minus.empty()) {
    const Known& m = minus[0];
    if (m.target == AsmPlace::Target::section && m.index == p.section) {
      out.pc_relative = true;
      add(uint64_t{p.offset} - m.offset);
    } else if (m.target == AsmPlace::Target::text && out.target == AsmPlace::Target::text) {
      out.target = AsmPlace::Target::text_difference;
      out.minus = m.index;
    } else {
      return unsupported_asm(p.text, "an expression of this kind");
    }
  }
  s.places.push_back(std::move(out));
  return {};
}

Result<void> AsmData::finish(std::string_view statement) {
  if (!in_text() || !stack_.empty()) return unsupported_asm(statement, "it ends in another section");
  for (const Pending& p : pending_) LODE_TRY(resolve(p));
  for (const auto& [name, place] : labels_) {
    if (!place.defined || (place.section == text && place.label.value != Label{}.value && !w_.bound(place.label)))
      return unsupported_asm(statement, "a label is not defined in it");
    if (place.section != text && place.label.value != Label{}.value)
      return unsupported_asm(statement, "the text refers to a label in another section");
  }
  for (auto& [name, a] : attributes_) {
    auto label = labels_.find(name);
    if (label == labels_.end() || label->second.section == text)
      return unsupported_asm(name, "a symbol that the text defines, or nobody");
    AsmName n;
    n.name = name;
    n.offset = label->second.offset;
    n.bind = a.bind;
    n.visibility = a.visibility;
    n.type = a.type;
    if (a.has_size) {
      if (!a.size.terms.empty()) {
        // "NAME, .-NAME" and the like
        int64_t size = a.size.constant;
        for (const Term& t : a.size.terms) {
          auto l = labels_.find(t.name);
          const bool known =
              t.kind == Term::Kind::place || (l != labels_.end() && l->second.section == label->second.section);
          if (!known) return unsupported_asm(name, "a size that is no constant");
          const int64_t at = t.kind == Term::Kind::place ? t.offset : l->second.offset;
          size += t.minus ? -at : at;
        }
        n.size = uint32_t(size);
      } else {
        n.size = uint32_t(a.size.constant);
      }
    }
    w_.asm_sections()[label->second.section].names.push_back(std::move(n));
  }
  return {};
}

}  // namespace lode::codegen
