#include "codegen/native/asm_module.h"

#include <algorithm>
#include <cstring>

#include "formats/elf/elf.h"

namespace lode::codegen {

using namespace formats::elf;

namespace {

constexpr uint64_t most_bytes = uint64_t{1} << 28;  // of all sections

bool numeric(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return asm_digit(c); });
}

}  // namespace

AsmModule::AsmModule(AsmMachine& machine)
    : machine_(machine),
      text_({[this](std::string_view name) { return define(name); },
             [this](std::string_view s) { return statement(s); },
             [this](std::string_view e, int64_t& v) {
               const uint32_t x = expressions_.parse_all(e, machine_.intel);
               return x != no_expression && known(x, v);
             },
             [this](std::string_view name) {
               auto it = numbers_.find(std::string(name));
               if (it == numbers_.end()) return false;
               const Symbol& s = symbols_[it->second];
               return s.defined || s.common || s.value != no_expression;
             }},
            "module-level assembly"),
      expressions_([this](std::string_view name) { return number_of_name(name); }) {
  Section text;
  text.out.name = ".text";
  text.out.type = SHT_PROGBITS;
  text.out.flags = SHF_ALLOC | SHF_EXECINSTR;
  text.out.align = 4;
  sections_.push_back(std::move(text));
}

Result<AsmObject> AsmModule::run(std::string_view text) {
  LODE_TRY(text_.run(text));
  if (in_frame_) return error({}, "a .cfi_startproc without .cfi_endproc");
  if (!stack_.empty()) return error({}, "a .pushsection without .popsection");
  LODE_TRY(join_subsections());
  LODE_TRY(lay_out());
  AsmObject out;
  for (const Section& s : sections_) {
    AsmObjectSection& x = out.sections.emplace_back(s.out);
    if (s.main != none) x.type = SHT_NULL;  // it is a part of another
    x.name.resize(std::min(x.name.find('\x03'), x.name.size()));
  }
  number_symbols();
  for (uint32_t i = 0; i < sections_.size(); i++)
    if (sections_[i].main == none) LODE_TRY(write_section(i, out));
  LODE_TRY(write_frames(out));
  LODE_TRY(write_symbols(out));
  out.versions = versions_;
  for (AsmObjectSection& s : out.sections)
    std::stable_sort(s.relocations.begin(), s.relocations.end(),
                     [](const AsmRelocation& a, const AsmRelocation& b) { return a.offset < b.offset; });
  return out;
}

Result<AsmObject> assemble_module(std::string_view text, AsmMachine machine) { return AsmModule(machine).run(text); }

// ---- names ----------------------------------------------------------------------------------------------------------

uint32_t AsmModule::symbol(std::string_view name) {
  auto [it, fresh] = numbers_.emplace(std::string(name), uint32_t(symbols_.size()));
  if (fresh) {
    Symbol s;
    s.name = std::string(name);
    s.temporary = name.starts_with(".L");
    symbols_.push_back(std::move(s));
  }
  return it->second;
}

// A place that has no name.
uint32_t AsmModule::temporary() {
  Symbol s;
  s.temporary = true;
  place(s);
  symbols_.push_back(std::move(s));
  return uint32_t(symbols_.size() - 1);
}

void AsmModule::place(Symbol& s) {
  const Fragment& f = data();
  s.defined = true;
  s.section = section_;
  s.fragment = uint32_t(current().fragments.size() - 1);
  s.offset = f.bytes.size();
}

// Names in expressions; "1b" and "1f" are the definitions before and after here.
uint32_t AsmModule::number_of_name(std::string_view name) {
  if (name == ".") return temporary();
  if (asm_digit(name[0])) {
    const std::string digits(name.substr(0, name.size() - 1));
    const unsigned seen = counts_[digits];
    const bool forward = (name.back() | 32) == 'f';
    if (!forward && !seen) return no_expression;
    const uint32_t n = symbol(digits + "#" + std::to_string(forward ? seen : seen - 1));
    symbols_[n].temporary = true;
    return n;
  }
  const uint32_t n = symbol(name);
  symbols_[n].referenced = true;
  return n;
}

Result<void> AsmModule::define(std::string_view name) {
  uint32_t n;
  if (numeric(name)) {
    const std::string digits(name);
    n = symbol(digits + "#" + std::to_string(counts_[digits]++));
    symbols_[n].temporary = true;
  } else {
    n = symbol(name);
  }
  Symbol& s = symbols_[n];
  if (s.defined || s.common || s.value != no_expression)
    return error(name, "the symbol \"" + s.name + "\" is defined twice");
  place(s);
  return {};
}

Result<void> AsmModule::set(std::string_view name, std::string_view value, std::string_view s) {
  name = asm_unquoted(name);
  if (name == ".") {
    LODE_ASSIGN(uint32_t to, expression(value, s));
    Fragment& f = fragment(Fragment::Kind::org);
    f.expression = to;
    f.line = note_line();
    return {};
  }
  if (name.empty() || (!asm_name_start(name[0]) && s.find('"') == std::string_view::npos))
    return error(name.empty() ? s : name, "this is no name");
  LODE_ASSIGN(uint32_t e, expression(value, s));
  uint32_t n = symbol(name);
  if (symbols_[n].defined || symbols_[n].common)
    return error(name, "the symbol \"" + std::string(name) + "\" is defined twice");
  if (symbols_[n].value != no_expression) {
    // What was said of the name before keeps the value that it had then.
    Symbol again;
    again.name = symbols_[n].name;
    again.temporary = symbols_[n].temporary;
    again.bind = symbols_[n].bind;
    again.has_bind = symbols_[n].has_bind;
    again.visibility = symbols_[n].visibility;
    again.type = symbols_[n].type;
    symbols_[n].temporary = true;
    symbols_[n].has_bind = false;
    symbols_[n].bind = STB_LOCAL;
    numbers_[again.name] = n = uint32_t(symbols_.size());
    symbols_.push_back(std::move(again));
  }
  // A number now stays that number, whatever its names are set to later.
  if (int64_t v; known(e, v)) e = expressions_.number(v);
  symbols_[n].value = e;
  return {};
}

// ---- statements -----------------------------------------------------------------------------------------------------

Result<void> AsmModule::statement(std::string_view s) {
  size_t n = 0;
  while (n < s.size() && !asm_space(s[n]) && s[n] != '=') n++;
  const std::string_view word = s.substr(0, n), rest = asm_trim(s.substr(n));
  if (rest.size() > 1 && rest[0] == '=' && !word.empty())
    return set(word, asm_trim(rest.substr(rest[1] == '=' ? 2 : 1)), s);
  if (word.size() > 1 && word[0] == '.') {
    std::string name(word);
    for (char& c : name) c = char(std::tolower(uint8_t(c)));
    return directive(name, rest, s);
  }
  if (!machine_.instruction) return error(s, "instructions are not supported here");
  return machine_.instruction(*this, s);
}

Result<uint32_t> AsmModule::expression(std::string_view text, std::string_view s) {
  std::string_view rest = text;
  const uint32_t e = expressions_.parse(rest, machine_.intel);
  rest = asm_trim(rest);
  if (e == no_expression || !rest.empty())
    return error(rest.empty() ? (text.empty() ? s : text) : rest, "an expression is expected here");
  return e;
}

Result<int64_t> AsmModule::number(std::string_view text, std::string_view s) {
  LODE_ASSIGN(uint32_t e, expression(text, s));
  int64_t v;
  if (!known(e, v)) return error(text.empty() ? s : text, "a number that is known here is expected");
  return v;
}

bool AsmModule::constant(uint32_t expression, int64_t& value) const {
  return expression != no_expression && known(expression, value);
}

// ---- contents -------------------------------------------------------------------------------------------------------

AsmModule::Fragment& AsmModule::data() {
  auto& all = current().fragments;
  if (all.empty() || all.back().kind != Fragment::Kind::data) all.emplace_back();
  return all.back();
}

AsmModule::Fragment& AsmModule::fragment(Fragment::Kind kind) {
  Fragment& f = current().fragments.emplace_back();
  f.kind = kind;
  return f;
}

// The current line, for messages that come when the text has been read. A mark takes the place of the message.
uint32_t AsmModule::note_line() {
  std::string line = error({}, "\x03").message;
  if (lines_.empty() || lines_.back() != line) lines_.push_back(std::move(line));
  return uint32_t(lines_.size() - 1);
}

Error AsmModule::error_on(uint32_t line, std::string message) const {
  if (line >= lines_.size()) return lode::error("module-level assembly: " + message);
  std::string text = lines_[line];
  if (size_t at = text.find('\x03'); at != std::string::npos) text.replace(at, 1, message);
  return lode::error(std::move(text));
}

bool AsmModule::is_code() const { return sections_[section_].out.flags & SHF_EXECINSTR; }

Result<void> AsmModule::put(const void* bytes, size_t size, std::string_view s) {
  total_ += size;
  if (total_ > most_bytes) return error(s, "too many bytes");
  auto& out = data().bytes;
  const auto* p = static_cast<const uint8_t*>(bytes);
  out.insert(out.end(), p, p + size);
  return {};
}

Result<void> AsmModule::put_number(uint64_t value, unsigned bytes, std::string_view s) {
  uint8_t out[16] = {};
  for (unsigned k = 0; k < bytes && k < 8; k++) out[k] = uint8_t(value >> 8 * k);
  return put(out, bytes, s);
}

Result<void> AsmModule::put_expression(uint32_t e, unsigned bytes, AsmFieldKind kind, std::string_view s) {
  if (expressions_[e].op == AsmOperator::number) {
    const int64_t v = expressions_[e].value;
    if (bytes < 8 && (v < -(int64_t{1} << (8 * bytes - 1)) || v >= int64_t{1} << 8 * bytes))
      return error(s, "the value does not fit in " + std::to_string(bytes) + " bytes");
    return put_number(uint64_t(v), bytes, s);
  }
  Fragment& f = data();
  f.fixups.push_back({uint32_t(f.bytes.size()), uint8_t(bytes), kind, 0, e, note_line()});
  return put_number(0, bytes, s);
}

Result<void> AsmModule::instruction(const uint8_t* bytes, size_t size, const Field* fields, size_t count) {
  Fragment& f = data();
  const uint32_t at = uint32_t(f.bytes.size());
  for (size_t k = 0; k < count; k++)
    f.fixups.push_back({at + fields[k].at, fields[k].bytes, fields[k].kind,
                        uint8_t(size - fields[k].at - fields[k].bytes), fields[k].expression, note_line()});
  return put(bytes, size, {});
}

Result<void> AsmModule::branch(const uint8_t* shorter, size_t shorter_size, const uint8_t* longer, size_t longer_size,
                               uint32_t target) {
  total_ += longer_size;
  if (total_ > most_bytes) return error({}, "too many bytes");
  Fragment& f = fragment(Fragment::Kind::branch);
  f.shorter = uint8_t(shorter_size);
  f.bytes.assign(shorter, shorter + shorter_size);
  f.bytes.insert(f.bytes.end(), longer, longer + longer_size);
  f.expression = target;
  f.line = note_line();
  return {};
}

}  // namespace lode::codegen
