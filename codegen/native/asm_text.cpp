#include "codegen/native/asm_text.h"

#include <algorithm>
#include <cstring>

namespace lode::codegen {

namespace {

constexpr unsigned most_depth = 32;
constexpr uint64_t most_expanded = 16 << 20;

// Comments become spaces, so that columns stay: /* */, and # or // to the end of the line; not within quotes.
std::string without_comments(std::string_view text) {
  std::string out(text);
  bool quoted = false;
  for (size_t i = 0; i < out.size(); i++) {
    const char c = out[i];
    if (quoted && c == '\\' && i + 1 < out.size()) {
      i++;
    } else if (c == '"' || (quoted && c == '\n')) {
      quoted = c == '"' && !quoted;
    } else if (!quoted && c == '\'' && i && !std::isalnum(uint8_t(out[i - 1])) && i + 1 < out.size()) {
      i += out[i + 1] == '\\' ? 2 : 1;  // a character
    } else if (!quoted && c == '/' && i + 1 < out.size() && out[i + 1] == '*') {
      size_t end = out.find("*/", i + 2);
      end = end == std::string::npos ? out.size() : end + 2;
      for (; i < end; i++)
        if (out[i] != '\n') out[i] = ' ';
      i--;
    } else if (!quoted && (c == '#' || (c == '/' && i + 1 < out.size() && out[i + 1] == '/'))) {
      for (; i < out.size() && out[i] != '\n'; i++) out[i] = ' ';
    }
  }
  return out;
}

std::string_view first_word(std::string_view s) {
  size_t n = 0;
  while (n < s.size() && !asm_space(s[n])) n++;
  return s.substr(0, n);
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = char(std::tolower(uint8_t(c)));
  return out;
}

// Where the statement that `text` begins with ends: at ';' or the end of the line, not within quotes.
size_t statement_end(std::string_view text) {
  bool quoted = false;
  size_t i = 0;
  for (; i < text.size() && text[i] != '\n'; i++) {
    if (quoted && text[i] == '\\' && i + 1 < text.size() && text[i + 1] != '\n') i++;
    else if (text[i] == '"') quoted = !quoted;
    else if (text[i] == ';' && !quoted) break;
  }
  return i;
}

// The label that `s` begins with, with its colon; 0: none.
size_t label_length(std::string_view s, std::string_view& name) {
  size_t n = 0;
  if (!s.empty() && s[0] == '"') {
    n = s.find('"', 1);
    if (n == std::string_view::npos) return 0;
    name = s.substr(1, n - 1);
    n++;
  } else {
    while (n < s.size() && (asm_name_part(s[n]) || s[n] == '@' || s[n] == '?')) n++;
    name = s.substr(0, n);
  }
  if (name.empty()) return 0;
  while (n < s.size() && asm_space(s[n])) n++;
  return n < s.size() && s[n] == ':' ? n + 1 : 0;
}

// Arguments of a macro: separated by commas, or by spaces outside of quotes and parentheses. The last parameter of kind
// :vararg takes what is left.
std::string_view argument(std::string_view& rest) {
  rest = asm_trim(rest);
  int depth = 0;
  bool quoted = false;
  size_t i = 0;
  for (; i < rest.size(); i++) {
    const char c = rest[i];
    if (quoted && c == '\\') i++;
    else if (c == '"') quoted = !quoted;
    else if (quoted) continue;
    else if (c == '(' || c == '[') depth++;
    else if (c == ')' || c == ']') depth--;
    else if (depth <= 0 && c == ',') break;
    else if (depth <= 0 && asm_space(c)) {
      // A space ends an argument unless an operator stands around it, or the comma comes behind it.
      std::string_view behind = asm_trim(rest.substr(i));
      static constexpr std::string_view joins = "+-*/|&^<>=!%,";
      if (behind.empty() || behind[0] == ',' || (i && joins.find(rest[i - 1]) != std::string_view::npos)) continue;
      if (joins.find(behind[0]) != std::string_view::npos && behind.size() > 1 && asm_space(behind[1])) continue;
      break;
    }
  }
  i = std::min(i, rest.size());
  std::string_view field = asm_trim(rest.substr(0, i));
  rest = asm_trim(rest.substr(i));
  if (!rest.empty() && rest[0] == ',') rest.remove_prefix(1);
  return field;
}

}  // namespace

std::string_view asm_field(std::string_view& rest) {
  int depth = 0;
  bool quoted = false;
  size_t i = 0;
  for (; i < rest.size(); i++) {
    const char c = rest[i];
    if (quoted && c == '\\') i++;
    else if (c == '"') quoted = !quoted;
    else if (!quoted && (c == '(' || c == '[')) depth++;
    else if (!quoted && (c == ')' || c == ']')) depth--;
    else if (!quoted && depth <= 0 && c == ',') break;
  }
  i = std::min(i, rest.size());
  std::string_view field = asm_trim(rest.substr(0, i));
  rest = i < rest.size() ? rest.substr(i + 1) : std::string_view();
  return field;
}

std::string_view asm_unquoted(std::string_view s) {
  if (s.size() >= 2 && s.front() == '"' && s.back() == '"') return s.substr(1, s.size() - 2);
  return s;
}

bool asm_string(std::string_view s, std::string& out) {
  if (s.size() < 2 || s.front() != '"' || s.back() != '"') return false;
  s = s.substr(1, s.size() - 2);
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    if (++i == s.size()) return false;
    static constexpr char escapes[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    if (const char* e = std::strchr(escapes, s[i]); e && (e - escapes) % 2 == 0) {
      out += e[1];
    } else if (s[i] >= '0' && s[i] <= '7') {
      unsigned v = 0, k = 0;
      for (; k < 3 && i + k < s.size() && s[i + k] >= '0' && s[i + k] <= '7'; k++) v = v * 8 + unsigned(s[i + k] - '0');
      out += char(v);
      i += k - 1;
    } else if (s[i] == 'x' || s[i] == 'X') {
      unsigned v = 0;
      size_t k = i + 1;
      for (; k < s.size() && std::isxdigit(uint8_t(s[k])); k++)
        v = v * 16 + unsigned(asm_digit(s[k]) ? s[k] - '0' : (s[k] | 32) - 'a' + 10);
      if (k == i + 1) return false;
      out += char(v);
      i = k - 1;
    } else {
      return false;
    }
  }
  return true;
}

Error AsmText::error(std::string_view where, std::string message) const {
  // Operands of inline assembly stand in the text as marks of control characters.
  auto shown = [](std::string_view s) {
    std::string out;
    for (char c : s) out += c == '\x01' ? '<' : c == '\x02' ? '>' : c == '\t' ? ' ' : c;
    return out;
  };
  std::string text = what_ + (number_ ? ", line " + std::to_string(number_) : "") + ": " + std::move(message);
  std::string_view line = line_;
  while (!line.empty() && asm_space(line.back())) line.remove_suffix(1);
  if (line.empty()) return lode::error(std::move(text));
  const std::less_equal<const char*> before;
  const bool inside = before(line.data(), where.data()) && before(where.data(), line.data() + line.size());
  const size_t column = inside && where.data() ? size_t(where.data() - line.data()) : 0;
  text += "\n>>> " + shown(line) + "\n>>> " + std::string(column, ' ') + "^";
  return lode::error(std::move(text));
}

Result<void> AsmText::run(std::string_view text) {
  const std::string clean = without_comments(text);
  number_ = 0;
  LODE_TRY(lines(clean, 0));
  line_ = {};
  if (!conditions_.empty()) return error({}, "an .if without .endif");
  return {};
}

Result<void> AsmText::lines(std::string_view text, unsigned depth) {
  const std::string_view outer = line_;
  while (!text.empty()) {
    if (depth == 0) number_++;
    const size_t eol = std::min(text.find('\n'), text.size());
    line_ = text.substr(0, eol);
    bool block = false;
    for (bool more = true; more;) {
      const size_t end = statement_end(text);
      const std::string_view s = asm_trim(text.substr(0, end));
      more = end < text.size() && text[end] == ';';
      text.remove_prefix(std::min(text.size(), end + (more ? 1 : 0)));
      const char* at = text.data();
      LODE_TRY(statement(s, text, depth));
      if (leave_macro_) return {};
      if (text.data() == at) continue;
      block = true;  // it took lines
      break;
    }
    if (!block && !text.empty() && text[0] == '\n') text.remove_prefix(1);
  }
  line_ = outer;
  return {};
}

// `text` is what follows; a block takes its lines off it.
Result<void> AsmText::statement(std::string_view s, std::string_view& text, unsigned depth) {
  std::string_view name;
  while (size_t n = label_length(s, name)) {
    if (!skipping()) LODE_TRY(hooks_.label(name));
    s = asm_trim(s.substr(n));
  }
  if (s.empty() || (skipping() && s[0] != '.')) return {};
  const std::string_view word = first_word(s), rest = asm_trim(s.substr(word.size()));
  const std::string directive = lower(word);
  if (s[0] == '.') {
    LODE_ASSIGN(bool taken, condition(directive, rest, s));
    if (taken) return {};
    LODE_ASSIGN(taken, block(directive, rest, s, text, depth));
    if (taken || skipping()) return {};
    if (directive == ".exitm") {
      if (!depth) return error(s, ".exitm outside of a macro");
      leave_macro_ = true;
      return {};
    }
    if (directive == ".purgem") {
      if (!macros_.erase(std::string(rest))) return error(rest, "there is no macro of this name");
      return {};
    }
    if (directive == ".endm" || directive == ".endr" || directive == ".endmacro")
      return error(s, "there is nothing that it ends");
  }
  if (auto m = macros_.find(word); m != macros_.end()) {
    const Macro macro = m->second;  // the text may define it anew
    return call_macro(macro, rest, s, depth);
  }
  return hooks_.statement(s);
}

// ---- conditions -----------------------------------------------------------------------------------------------------

Result<bool> AsmText::holds(std::string_view name, std::string_view rest, std::string_view s) {
  static constexpr std::pair<std::string_view, int> tests[] = {
      {".if", 0}, {".elseif", 0}, {".ifne", 0}, {".ifeq", 1}, {".ifge", 2}, {".ifgt", 3}, {".ifle", 4}, {".iflt", 5}};
  for (auto [directive, test] : tests) {
    if (name != directive) continue;
    int64_t v;
    if (!hooks_.evaluate(rest, v)) return error(rest.empty() ? s : rest, "the condition is not a constant");
    return test == 0   ? v != 0
           : test == 1 ? v == 0
           : test == 2 ? v >= 0
           : test == 3 ? v > 0
           : test == 4 ? v <= 0
                       : v < 0;
  }
  if (name == ".ifdef") return hooks_.is_defined(asm_unquoted(rest));
  if (name == ".ifndef" || name == ".ifnotdef") return !hooks_.is_defined(asm_unquoted(rest));
  if (name == ".ifb") return rest.empty();
  if (name == ".ifnb") return !rest.empty();
  if (name == ".ifc" || name == ".ifnc" || name == ".ifeqs" || name == ".ifnes") {
    std::string_view a = asm_field(rest), b = asm_trim(rest);
    auto bare = [](std::string_view x) {
      return x.size() >= 2 && x.front() == '\'' && x.back() == '\'' ? x.substr(1, x.size() - 2) : asm_unquoted(x);
    };
    return (bare(a) == bare(b)) == (name == ".ifc" || name == ".ifeqs");
  }
  return error(s, "unknown condition");
}

Result<bool> AsmText::condition(std::string_view name, std::string_view rest, std::string_view s) {
  if (name.starts_with(".if")) {
    if (skipping()) {
      conditions_.push_back({false, true});
      return true;
    }
    LODE_ASSIGN(bool taken, holds(name, rest, s));
    if (conditions_.size() > 4096) return error(s, "conditions nest too deep");
    conditions_.push_back({taken, taken});
    return true;
  }
  const bool is_else = name == ".else", is_elseif = name == ".elseif";
  if (!is_else && !is_elseif && name != ".endif") return false;
  if (conditions_.empty()) return error(s, "there is no .if");
  if (name == ".endif") {
    conditions_.pop_back();
    return true;
  }
  conditions_.back().active = false;
  if (conditions_.back().done) return true;
  bool active = is_else;
  if (is_elseif) {
    LODE_ASSIGN(active, holds(name, rest, s));
  }
  conditions_.back() = {active, active};
  return true;
}

// ---- macros and repetition ------------------------------------------------------------------------------------------

Result<bool> AsmText::block(std::string_view name, std::string_view rest, std::string_view s, std::string_view& text,
                            unsigned depth) {
  const bool macro = name == ".macro";
  if (!macro && name != ".rept" && name != ".rep" && name != ".irp" && name != ".irpc") return false;
  // The lines up to its end, blocks within it among them.
  std::string_view body = text;
  if (size_t eol = body.find('\n'); eol == std::string_view::npos) body = {};
  else body = body.substr(eol + 1);
  unsigned open = 1;
  size_t at = 0, end = 0;
  uint32_t taken = 1;
  while (open && at < body.size()) {
    const size_t eol = std::min(body.find('\n', at), body.size());
    std::string_view line = asm_trim(body.substr(at, eol - at)), label;
    while (size_t n = label_length(line, label)) line = asm_trim(line.substr(n));
    const std::string word = lower(first_word(line.substr(0, statement_end(line))));
    if (macro ? word == ".macro" : word == ".rept" || word == ".rep" || word == ".irp" || word == ".irpc") open++;
    else if (macro ? word == ".endm" || word == ".endmacro" : word == ".endr") open--;
    end = at;
    at = std::min(eol + 1, body.size());
    taken++;
  }
  if (open) return error(s, std::string(name) + " without its end");
  const std::string inside(body.substr(0, end));
  // What is behind the end on its line is nothing, as in other assemblers.
  text = body.substr(at);
  if (text.data() == body.data() + body.size() && at) text = std::string_view(body.data() + body.size(), 0);
  const uint32_t first = number_;
  if (!skipping()) {
    if (macro) {
      LODE_TRY(define_macro(rest, s, inside));
    } else if (name == ".rept" || name == ".rep") {
      int64_t count;
      if (!hooks_.evaluate(rest, count) || count < 0)
        return error(rest.empty() ? s : rest, "the count is not a constant");
      if (count > int64_t{1} << 20) return error(rest, "the count is too large");
      for (int64_t k = 0; k < count; k++) LODE_TRY(expand(inside, {}, s, depth));
    } else {
      std::string_view list = rest;
      size_t n = 0;
      while (n < list.size() && asm_name_part(list[n])) n++;
      const std::string parameter(list.substr(0, n));
      list = asm_trim(list.substr(n));
      if (!list.empty() && list[0] == ',') list = asm_trim(list.substr(1));
      if (parameter.empty()) return error(s, "it has no name");
      if (name == ".irpc") {
        for (char c : asm_unquoted(list)) LODE_TRY(expand(inside, {{parameter, std::string(1, c)}}, s, depth));
      } else {
        do {
          LODE_TRY(expand(inside, {{parameter, std::string(asm_unquoted(argument(list)))}}, s, depth));
        } while (!list.empty());
      }
    }
  }
  if (depth == 0) number_ = first + taken - 1;
  return true;
}

Result<void> AsmText::define_macro(std::string_view rest, std::string_view s, std::string body) {
  size_t n = 0;
  while (n < rest.size() && !asm_space(rest[n]) && rest[n] != ',') n++;
  const std::string name(rest.substr(0, n));
  if (name.empty()) return error(s, "a macro without a name");
  rest = asm_trim(rest.substr(n));
  if (!rest.empty() && rest[0] == ',') rest.remove_prefix(1);
  Macro m;
  m.body = std::move(body);
  while (!asm_trim(rest).empty()) {
    rest = asm_trim(rest);
    Parameter p;
    size_t k = 0;
    while (k < rest.size() && asm_name_part(rest[k])) k++;
    p.name = std::string(rest.substr(0, k));
    if (p.name.empty()) return error(rest, "a parameter without a name");
    rest = asm_trim(rest.substr(k));
    if (!rest.empty() && rest[0] == ':') {
      size_t q = 1;
      while (q < rest.size() && std::isalpha(uint8_t(rest[q]))) q++;
      const std::string_view kind = rest.substr(1, q - 1);
      p.required = kind == "req";
      p.rest = kind == "vararg";
      if (!p.required && !p.rest) return error(rest, "unknown kind of parameter");
      rest = asm_trim(rest.substr(q));
    }
    if (!rest.empty() && rest[0] == '=') {
      rest.remove_prefix(1);
      p.value = std::string(asm_unquoted(argument(rest)));
    } else if (!rest.empty() && rest[0] == ',') {
      rest.remove_prefix(1);
    }
    m.parameters.push_back(std::move(p));
    if (m.parameters.size() > 256) return error(s, "too many parameters");
  }
  if (!macros_.emplace(name, std::move(m)).second) return error(s, "the macro is defined twice");
  return {};
}

Result<void> AsmText::call_macro(const Macro& m, std::string_view rest, std::string_view s, unsigned depth) {
  Values values;
  std::vector<bool> given(m.parameters.size());
  for (const Parameter& p : m.parameters) values.emplace_back(p.name, p.value);
  size_t next = 0;
  for (rest = asm_trim(rest); !rest.empty(); rest = asm_trim(rest)) {
    // NAME=VALUE names its parameter.
    size_t at = next, n = 0;
    while (n < rest.size() && asm_name_part(rest[n])) n++;
    std::string_view behind = asm_trim(rest.substr(n));
    if (n && behind.size() > 1 && behind[0] == '=' && behind[1] != '=')
      for (size_t k = 0; k < m.parameters.size(); k++)
        if (m.parameters[k].name == rest.substr(0, n)) {
          at = k;
          rest = behind.substr(1);
        }
    if (at >= m.parameters.size()) return error(rest, "too many arguments");
    std::string_view value;
    if (m.parameters[at].rest) {
      value = rest;
      rest = {};
    } else {
      value = argument(rest);
    }
    if (!value.empty()) values[at].second = std::string(m.parameters[at].rest ? value : asm_unquoted(value));
    given[at] = !value.empty();
    next = at + 1;
  }
  for (size_t k = 0; k < m.parameters.size(); k++)
    if (m.parameters[k].required && !given[k])
      return error(s, "the argument \"" + m.parameters[k].name + "\" is missing");
  const size_t open = conditions_.size();
  LODE_TRY(expand(m.body, values, s, depth));
  leave_macro_ = false;
  conditions_.resize(std::min(open, conditions_.size()));
  return {};
}

// \name is the value, \@ the number of the expansion, \() nothing.
Result<void> AsmText::expand(std::string_view body, const Values& values, std::string_view s, unsigned depth) {
  if (depth >= most_depth) return error(s, "macros nest too deep");
  std::string out;
  const std::string number = std::to_string(expansions_++);
  for (size_t i = 0; i < body.size(); i++) {
    if (body[i] != '\\' || i + 1 == body.size()) {
      out += body[i];
      continue;
    }
    if (body[i + 1] == '@') {
      out += number;
      i++;
      continue;
    }
    if (body.substr(i + 1, 2) == "()") {
      i += 2;
      continue;
    }
    size_t n = 0;
    while (i + 1 + n < body.size() && asm_name_part(body[i + 1 + n])) n++;
    const std::string_view name = body.substr(i + 1, n);
    auto v = std::find_if(values.begin(), values.end(), [&](const auto& x) { return x.first == name; });
    if (name.empty() || v == values.end()) {
      out += '\\';
      continue;
    }
    out += v->second;
    i += n;
    if (out.size() > most_expanded) return error(s, "macros make too much text");
  }
  expanded_ += out.size() + 64;  // an expansion of nothing is work, too
  if (expanded_ > most_expanded) return error(s, "macros make too much text");
  const std::string_view outer = line_;
  auto done = lines(out, depth + 1);
  if (!done.ok()) return done;
  line_ = outer;
  return {};
}

}  // namespace lode::codegen
