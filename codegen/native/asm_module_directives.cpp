// The directives of module-level assembly. A row of the table names each; what is not there is an error.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "codegen/native/asm_module.h"
#include "codegen/native/asm_section_words.h"
#include "formats/elf/elf.h"

namespace lode::codegen {

using namespace formats::elf;

namespace {

constexpr std::pair<std::string_view, unsigned> widths[] = {
    {".byte", 1},  {".value", 2}, {".short", 2}, {".word", 2}, {".hword", 2}, {".2byte", 2},  {".long", 4},
    {".int", 4},   {".4byte", 4}, {".quad", 8},  {".8byte", 8}, {".xword", 8}, {".dc.b", 1},  {".dc.w", 2},
    {".dc.l", 4},  {".dc", 2},    {".dc.a", 8},  {".1byte", 1},
};

constexpr std::pair<std::string_view, uint8_t> symbol_types[] = {
    {"function", STT_FUNC}, {"object", STT_OBJECT}, {"notype", STT_NOTYPE}, {"tls_object", STT_TLS},
    {"common", STT_OBJECT}, {"gnu_indirect_function", STT_GNU_IFUNC}, {"STT_FUNC", STT_FUNC},
    {"STT_OBJECT", STT_OBJECT}, {"STT_NOTYPE", STT_NOTYPE}, {"STT_TLS", STT_TLS}, {"STT_GNU_IFUNC", STT_GNU_IFUNC},
    {"STT_COMMON", STT_OBJECT},
};

}  // namespace

const AsmModule::Directive AsmModule::directives[] = {
    {".ascii", &AsmModule::string_directive},
    {".asciz", &AsmModule::string_directive},
    {".string", &AsmModule::string_directive},
    {".float", &AsmModule::float_directive},
    {".single", &AsmModule::float_directive},
    {".double", &AsmModule::float_directive},
    {".align", &AsmModule::align_directive},
    {".balign", &AsmModule::align_directive},
    {".balignw", &AsmModule::align_directive},
    {".balignl", &AsmModule::align_directive},
    {".p2align", &AsmModule::align_directive},
    {".p2alignw", &AsmModule::align_directive},
    {".p2alignl", &AsmModule::align_directive},
    {".nops", &AsmModule::skip_directive},
    {".zero", &AsmModule::skip_directive},
    {".skip", &AsmModule::skip_directive},
    {".space", &AsmModule::skip_directive},
    {".fill", &AsmModule::fill_directive},
    {".org", &AsmModule::org_directive},
    {".uleb128", &AsmModule::leb_directive},
    {".sleb128", &AsmModule::leb_directive},
    {".globl", &AsmModule::bind_directive},
    {".global", &AsmModule::bind_directive},
    {".weak", &AsmModule::bind_directive},
    {".local", &AsmModule::bind_directive},
    {".hidden", &AsmModule::bind_directive},
    {".internal", &AsmModule::bind_directive},
    {".protected", &AsmModule::bind_directive},
    {".extern", &AsmModule::no_effect},
    {".type", &AsmModule::type_directive},
    {".size", &AsmModule::size_directive},
    {".set", &AsmModule::set_directive},
    {".equ", &AsmModule::set_directive},
    {".equiv", &AsmModule::set_directive},
    {".comm", &AsmModule::common_directive},
    {".common", &AsmModule::common_directive},
    {".lcomm", &AsmModule::common_directive},
    {".symver", &AsmModule::version_directive},
    {".weakref", &AsmModule::weakref_directive},
    {".reloc", &AsmModule::reloc_directive},
    {".section", &AsmModule::section_directive},
    {".pushsection", &AsmModule::section_directive},
    {".text", &AsmModule::section_directive},
    {".data", &AsmModule::section_directive},
    {".bss", &AsmModule::section_directive},
    {".rodata", &AsmModule::section_directive},
    {".subsection", &AsmModule::section_directive},
    {".popsection", &AsmModule::stack_directive},
    {".previous", &AsmModule::stack_directive},
    {".error", &AsmModule::error_directive},
    {".err", &AsmModule::error_directive},
    // Of no consequence here: names and lines of a source that is no file, tables of addresses that are taken, hints.
    {".file", &AsmModule::no_effect},
    {".ident", &AsmModule::no_effect},
    {".loc", &AsmModule::no_effect},
    {".addrsig", &AsmModule::no_effect},
    {".addrsig_sym", &AsmModule::no_effect},
    {".warning", &AsmModule::no_effect},
    {".print", &AsmModule::no_effect},
    {".title", &AsmModule::no_effect},
    {".version", &AsmModule::no_effect},
    {".incbin", &AsmModule::refused_directive},
    {".include", &AsmModule::refused_directive},
    {".altmacro", &AsmModule::refused_directive},
    {".code16", &AsmModule::refused_directive},
    {".code32", &AsmModule::refused_directive},
    {".cfi_startproc", &AsmModule::frame_directive},
    {".cfi_endproc", &AsmModule::frame_directive},
    {".cfi_sections", &AsmModule::frame_directive},
    {".cfi_signal_frame", &AsmModule::frame_directive},
    {".cfi_return_column", &AsmModule::frame_directive},
    {".cfi_personality", &AsmModule::frame_tables},
    {".cfi_lsda", &AsmModule::frame_tables},
    {".cfi_def_cfa", &AsmModule::frame_rule},
    {".cfi_def_cfa_register", &AsmModule::frame_rule},
    {".cfi_def_cfa_offset", &AsmModule::frame_rule},
    {".cfi_adjust_cfa_offset", &AsmModule::frame_rule},
    {".cfi_offset", &AsmModule::frame_rule},
    {".cfi_rel_offset", &AsmModule::frame_rule},
    {".cfi_restore", &AsmModule::frame_rule},
    {".cfi_undefined", &AsmModule::frame_rule},
    {".cfi_same_value", &AsmModule::frame_rule},
    {".cfi_register", &AsmModule::frame_rule},
    {".cfi_remember_state", &AsmModule::frame_rule},
    {".cfi_restore_state", &AsmModule::frame_rule},
    {".cfi_escape", &AsmModule::frame_rule},
};

Result<void> AsmModule::directive(std::string_view name, std::string_view rest, std::string_view s) {
  for (auto [directive, bytes] : widths)
    if (name == directive) return data_directive(bytes, rest, s);
  for (const Directive& d : directives)
    if (d.name == name) return (this->*d.handler)(name, rest, s);
  if (machine_.instruction) return machine_.instruction(*this, s);  // the machine's own
  return error(s, "unknown directive");
}

Result<void> AsmModule::no_effect(std::string_view, std::string_view, std::string_view) { return {}; }

Result<void> AsmModule::refused_directive(std::string_view name, std::string_view, std::string_view s) {
  return error(s, std::string(name) + " is not supported");
}

Result<void> AsmModule::error_directive(std::string_view, std::string_view rest, std::string_view s) {
  std::string message;
  if (!asm_string(rest, message)) message = "the text says that it is wrong";
  return error(s, message);
}

// ---- data -----------------------------------------------------------------------------------------------------------

Result<void> AsmModule::data_directive(unsigned bytes, std::string_view rest, std::string_view s) {
  if (rest.empty()) return {};
  do {
    const std::string_view field = asm_field(rest);
    LODE_ASSIGN(uint32_t e, expression(field, s));
    if (int64_t v; known(e, v)) e = expressions_.number(v);
    LODE_TRY(put_expression(e, bytes, AsmFieldKind::word, field));
  } while (!rest.empty());
  return {};
}

Result<void> AsmModule::string_directive(std::string_view name, std::string_view rest, std::string_view s) {
  if (rest.empty()) return {};
  do {
    const std::string_view field = asm_field(rest);
    std::string text;
    // Strings side by side are one.
    std::string_view left = field;
    while (!left.empty()) {
      size_t close = 1;
      while (close < left.size() && left[close] != '"') close += left[close] == '\\' ? 2 : 1;
      if (left[0] != '"' || close >= left.size() || !asm_string(left.substr(0, close + 1), text))
        return error(field, "a string is expected here");
      left = asm_trim(left.substr(close + 1));
    }
    if (field.empty()) return error(s, "a string is expected here");
    if (name != ".ascii") text += '\0';
    LODE_TRY(put(text.data(), text.size(), s));
  } while (!rest.empty());
  return {};
}

Result<void> AsmModule::float_directive(std::string_view name, std::string_view rest, std::string_view s) {
  do {
    const std::string field(asm_field(rest));
    char* end = nullptr;
    const double wide = std::strtod(field.c_str(), &end);
    if (field.empty() || *end) return error(s, "a number is expected here");
    if (name == ".double") {
      LODE_TRY(put_number(std::bit_cast<uint64_t>(wide), 8, s));
    } else {
      LODE_TRY(put_number(std::bit_cast<uint32_t>(std::strtof(field.c_str(), nullptr)), 4, s));
    }
  } while (!rest.empty());
  return {};
}

// .p2align LOG2[, FILL[, MOST]], .balign BYTES[, FILL[, MOST]]; on ELF x86 .align is .balign.
Result<void> AsmModule::align_directive(std::string_view name, std::string_view rest, std::string_view s) {
  const bool power = name.starts_with(".p2align");
  uint64_t v[3] = {0, 0, 0};
  bool given[3] = {false, false, false};
  for (unsigned k = 0; k < 3 && !rest.empty(); k++) {
    const std::string_view field = asm_field(rest);
    if (field.empty()) continue;
    LODE_ASSIGN(int64_t n, number(field, s));
    if (n < 0 && k != 1) return error(field, "this may not be negative");
    v[k] = uint64_t(n);
    given[k] = true;
  }
  if (!rest.empty() || !given[0] || (power && v[0] > 31)) return error(s, "an alignment is expected");
  const uint64_t align = power ? uint64_t{1} << v[0] : std::max<uint64_t>(v[0], 1);
  if (!std::has_single_bit(align) || align > uint64_t{1} << 31) return error(s, "an alignment is a power of two");
  current().out.align = std::max(current().out.align, align);
  const bool code = is_code();
  Fragment& f = fragment(Fragment::Kind::align);
  f.align = align;
  f.most = given[2] ? v[2] : ~uint64_t{0};
  f.value = v[1];
  f.width = name.ends_with("w") ? 2 : name.ends_with("l") ? 4 : 1;
  f.filled = !code || (given[1] && (f.width != 1 || v[1] != machine_.nop));
  f.line = note_line();
  return {};
}

Result<void> AsmModule::skip_directive(std::string_view name, std::string_view rest, std::string_view s) {
  const std::string_view count = asm_field(rest);
  Fragment f;
  f.kind = Fragment::Kind::fill;
  LODE_ASSIGN(f.expression, expression(count, s));
  if (name == ".nops") {
    if (!rest.empty()) return error(rest, "a size of single nops is not supported");
    f.filled = false;
  } else {
    f.filled = true;
    if (!asm_trim(rest).empty()) {
      LODE_ASSIGN(int64_t v, number(asm_field(rest), s));
      f.value = uint64_t(v);
    }
    if (!rest.empty()) return error(rest, "nothing more is expected here");
  }
  f.line = note_line();
  current().fragments.push_back(std::move(f));
  return {};
}

// .fill COUNT[, SIZE[, VALUE]]
Result<void> AsmModule::fill_directive(std::string_view, std::string_view rest, std::string_view s) {
  Fragment f;
  f.kind = Fragment::Kind::fill;
  f.filled = true;
  LODE_ASSIGN(f.expression, expression(asm_field(rest), s));
  int64_t size = 1;
  if (!rest.empty()) {
    LODE_ASSIGN(size, number(asm_field(rest), s));
  }
  if (size < 0 || size > 8) return error(s, "the size of a value is at most 8");
  f.width = uint8_t(size);
  if (!rest.empty()) {
    LODE_ASSIGN(int64_t v, number(asm_field(rest), s));
    f.value = uint64_t(v);
  }
  if (!rest.empty()) return error(rest, "nothing more is expected here");
  f.line = note_line();
  current().fragments.push_back(std::move(f));
  return {};
}

Result<void> AsmModule::org_directive(std::string_view, std::string_view rest, std::string_view s) {
  Fragment f;
  f.kind = Fragment::Kind::org;
  f.filled = true;
  LODE_ASSIGN(f.expression, expression(asm_field(rest), s));
  if (!rest.empty()) {
    LODE_ASSIGN(int64_t v, number(rest, s));
    f.value = uint64_t(v);
  }
  f.line = note_line();
  current().fragments.push_back(std::move(f));
  return {};
}

Result<void> AsmModule::leb_directive(std::string_view name, std::string_view rest, std::string_view s) {
  do {
    Fragment f;
    f.kind = Fragment::Kind::leb;
    f.is_signed = name == ".sleb128";
    LODE_ASSIGN(f.expression, expression(asm_field(rest), s));
    f.line = note_line();
    current().fragments.push_back(std::move(f));
  } while (!rest.empty());
  return {};
}

// .reloc WHERE, TYPE, SYMBOL: types by number, or the one that does nothing.
Result<void> AsmModule::reloc_directive(std::string_view, std::string_view rest, std::string_view s) {
  Explicit r{section_, 0, no_expression, 0, note_line()};
  LODE_ASSIGN(r.place, expression(asm_field(rest), s));
  const std::string_view type = asm_field(rest);
  static constexpr std::pair<std::string_view, uint32_t> types[] = {
      {"R_X86_64_NONE", 0}, {"BFD_RELOC_NONE", 0}, {"R_X86_64_64", 1}, {"R_X86_64_PC32", 2}, {"R_X86_64_PLT32", 4},
      {"R_X86_64_32", 10},  {"R_X86_64_32S", 11}};
  bool known_type = false;
  for (auto [n, v] : types)
    if (type == n) r.type = v, known_type = true;
  if (!known_type) return error(type.empty() ? s : type, "a relocation of this type is not supported");
  if (!rest.empty()) {
    LODE_ASSIGN(r.target, expression(asm_field(rest), s));
  }
  explicit_.push_back(r);
  return {};
}

// ---- symbols --------------------------------------------------------------------------------------------------------

Result<void> AsmModule::bind_directive(std::string_view name, std::string_view rest, std::string_view s) {
  do {
    const std::string_view field = asm_unquoted(asm_field(rest));
    if (field.empty()) return error(s, "a name is expected here");
    Symbol& x = symbols_[symbol(field)];
    if (name == ".hidden") x.visibility = STV_HIDDEN;
    else if (name == ".internal") x.visibility = STV_INTERNAL;
    else if (name == ".protected") x.visibility = STV_PROTECTED;
    else {
      x.has_bind = true;
      // .globl does not take back .weak.
      if (name == ".weak") x.bind = STB_WEAK;
      else if (name == ".local") x.bind = STB_LOCAL;
      else if (x.bind == STB_LOCAL) x.bind = STB_GLOBAL;
    }
  } while (!rest.empty());
  return {};
}

Result<void> AsmModule::type_directive(std::string_view, std::string_view rest, std::string_view s) {
  // The comma may be missing.
  size_t n = 0;
  std::string_view name;
  if (!rest.empty() && rest[0] == '"') {
    name = asm_unquoted(asm_field(rest));
  } else {
    while (n < rest.size() && !asm_space(rest[n]) && rest[n] != ',') n++;
    name = rest.substr(0, n);
    rest = asm_trim(rest.substr(n));
    if (!rest.empty() && rest[0] == ',') rest.remove_prefix(1);
  }
  std::string_view type = asm_unquoted(asm_trim(rest));
  if (!type.empty() && (type[0] == '@' || type[0] == '%' || type[0] == '#')) type.remove_prefix(1);
  if (name.empty()) return error(s, "a name is expected here");
  for (auto [known_name, value] : symbol_types)
    if (type == known_name) {
      Symbol& x = symbols_[symbol(name)];
      if (x.type != STT_GNU_IFUNC) x.type = value;
      return {};
    }
  if (type == "gnu_unique_object") {
    Symbol& x = symbols_[symbol(name)];
    x.type = STT_OBJECT;
    x.bind = STB_GNU_UNIQUE;
    x.has_bind = true;
    return {};
  }
  return error(type.empty() ? s : type, "unknown type of a symbol");
}

Result<void> AsmModule::size_directive(std::string_view, std::string_view rest, std::string_view s) {
  const std::string name(asm_unquoted(asm_field(rest)));
  LODE_ASSIGN(uint32_t e, expression(asm_trim(rest), s));
  symbols_[symbol(name)].size = e;
  return {};
}

Result<void> AsmModule::set_directive(std::string_view, std::string_view rest, std::string_view s) {
  const std::string_view name = asm_field(rest);
  return set(name, asm_trim(rest), s);
}

// .comm NAME, SIZE[, ALIGN]; local ones get room in .bss.
Result<void> AsmModule::common_directive(std::string_view directive, std::string_view rest, std::string_view s) {
  const std::string name(asm_unquoted(asm_field(rest)));
  LODE_ASSIGN(int64_t size, number(asm_field(rest), s));
  int64_t align = 1;
  if (!rest.empty()) {
    LODE_ASSIGN(align, number(asm_trim(rest), s));
  }
  if (size < 0 || align < 0 || (align && !std::has_single_bit(uint64_t(align))) || align > int64_t{1} << 31)
    return error(s, "a size and an alignment are expected");
  Symbol& x = symbols_[symbol(name)];
  if (x.defined || x.common || x.value != no_expression)
    return error(s, "the symbol \"" + name + "\" is defined twice");
  if (directive == ".lcomm") x.bind = STB_LOCAL, x.has_bind = true;
  if (x.has_bind && x.bind == STB_LOCAL) {  // its place is where .bss ends now
    const uint32_t section = section_, previous = previous_;
    LODE_TRY(section_directive(".bss", {}, s));
    current().out.align = std::max<uint64_t>(current().out.align, uint64_t(align));
    Fragment& pad = fragment(Fragment::Kind::align);
    pad.align = std::max<uint64_t>(uint64_t(align), 1);
    pad.most = ~uint64_t{0};
    pad.filled = true;
    place(x);
    Fragment& room = fragment(Fragment::Kind::fill);
    room.expression = expressions_.number(size);
    room.filled = true;
    x.size = room.expression;
    if (!x.type) x.type = STT_OBJECT;
    section_ = section;
    previous_ = previous;
    return {};
  }
  x.common = true;
  x.common_size = uint64_t(size);
  x.common_align = std::max<uint64_t>(uint64_t(align), 1);
  if (!x.type) x.type = STT_OBJECT;
  return {};
}

Result<void> AsmModule::version_directive(std::string_view, std::string_view rest, std::string_view s) {
  const std::string_view name = asm_unquoted(asm_field(rest)), version = asm_unquoted(asm_field(rest));
  if (name.empty() || version.find('@') == std::string_view::npos || version[0] == '@')
    return error(s, ".symver wants a name and one with a version");
  symbols_[symbol(name)].referenced = true;
  versions_.push_back({std::string(name), std::string(version)});
  return {};
}

// NAME is TARGET, which is weak unless something else refers to it.
Result<void> AsmModule::weakref_directive(std::string_view, std::string_view rest, std::string_view s) {
  const std::string_view name = asm_field(rest), target = asm_field(rest);
  if (name.empty() || target.empty()) return error(s, "two names are expected");
  const uint32_t to = symbol(target);
  if (!symbols_[to].referenced && !symbols_[to].has_bind) {
    symbols_[to].bind = STB_WEAK;
    symbols_[to].has_bind = true;
  }
  const uint32_t n = symbol(name);
  symbols_[n].value = expressions_.name(to);
  symbols_[n].temporary = true;
  return {};
}

// ---- sections -------------------------------------------------------------------------------------------------------

Result<void> AsmModule::section_directive(std::string_view name, std::string_view rest, std::string_view s) {
  if (name == ".pushsection") stack_.push_back({section_, previous_});
  if (stack_.size() > 1000) return error(s, "sections nest too deep");
  if (name == ".section" || name == ".pushsection") return choose_section(rest, s);
  int64_t n = 0;
  if (!rest.empty()) {
    LODE_ASSIGN(n, number(rest, s));
  }
  if (n < 0 || n > 8192) return error(rest, "the number of a subsection is expected");
  if (name == ".subsection") {
    AsmObjectSection same = sections_[current().main == none ? section_ : current().main].out;
    return enter(std::move(same), uint32_t(n), false, s);
  }
  AsmSectionWords words;
  parse_section_words(name, words);
  AsmObjectSection wanted;
  wanted.name = words.name;
  wanted.type = words.type;
  wanted.flags = words.flags;
  return enter(std::move(wanted), uint32_t(n), true, s);
}

Result<void> AsmModule::choose_section(std::string_view rest, std::string_view s) {
  AsmSectionWords words;
  // .pushsection NAME, NUMBER is a subsection.
  std::string_view behind = rest;
  asm_field(behind);
  int64_t subsection = 0;
  if (std::string_view word = asm_field(behind); behind.empty() && !word.empty() && asm_digit(word[0])) {
    LODE_ASSIGN(subsection, number(word, s));
    if (subsection > 8192) return error(word, "the number of a subsection is expected");
    rest = asm_field(rest);
  }
  if (const char* why = parse_section_words(rest, words)) return error(rest.empty() ? s : rest, why);
  AsmObjectSection wanted;
  wanted.name = words.name;
  wanted.group = words.same_group && words.group.empty() ? current().out.group : words.group;
  wanted.type = words.type;
  wanted.flags = words.flags;
  wanted.entsize = words.entsize;
  if (words.unique) wanted.name += "\x03" + std::to_string(words.unique);  // a section of its own, whatever its name
  if (!words.linked.empty() && words.linked != "0") {
    const uint32_t to = symbol(words.linked);
    if (!symbols_[to].defined) return error(s, "the section that it goes with is not known yet");
    wanted.linked = symbols_[to].section;
  }
  return enter(std::move(wanted), uint32_t(subsection), words.named_alone, s);
}

Result<void> AsmModule::enter(AsmObjectSection wanted, uint32_t subsection, bool named_alone, std::string_view s) {
  previous_ = section_;
  uint32_t main = none;
  for (uint32_t i = 0; i < sections_.size() && main == none; i++) {
    const AsmObjectSection& x = sections_[i].out;
    if (sections_[i].main != none || x.name != wanted.name || x.linked != wanted.linked) continue;
    if (named_alone || x.group == wanted.group) main = i;
  }
  if (main != none && !named_alone) {
    const AsmObjectSection& x = sections_[main].out;
    if (x.flags != wanted.flags || x.entsize != wanted.entsize || (x.type != wanted.type && x.type != SHT_NOTE))
      return error(s, "the section " + wanted.name + " was something else before");
  }
  if (main == none) {
    if (sections_.size() > 60000) return error(s, "too many sections");
    main = uint32_t(sections_.size());
    sections_.emplace_back();
    sections_.back().out = wanted;
  }
  section_ = main;
  if (!subsection) return {};
  for (uint32_t i = 0; i < sections_.size(); i++)
    if (sections_[i].main == main && sections_[i].subsection == subsection) {
      section_ = i;
      return {};
    }
  section_ = uint32_t(sections_.size());
  sections_.emplace_back();
  sections_.back().out = sections_[main].out;
  sections_.back().main = main;
  sections_.back().subsection = subsection;
  return {};
}

Result<void> AsmModule::stack_directive(std::string_view name, std::string_view rest, std::string_view s) {
  if (!rest.empty()) return error(rest, "nothing more is expected here");
  if (name == ".previous") {
    std::swap(section_, previous_);
    return {};
  }
  if (stack_.empty()) return error(s, "there is no .pushsection");
  section_ = stack_.back().first;
  previous_ = stack_.back().second;
  stack_.pop_back();
  return {};
}

}  // namespace lode::codegen
