// Module-level inline assembly, as far as it only speaks of symbols: binding and visibility, `.set`, `.symver`, and
// directives that mean nothing here. What would make code or data is an error that shows its line. Source: the manual
// of GNU as, chapter 7.
//
// As in an assembler, where a directive stands does not matter: .globl may precede the definition. A name that is set
// and has no .globl or .weak is local.
#include <cctype>
#include <unordered_map>

#include "codegen/import/state.h"

namespace lode::codegen {

namespace {

std::string_view trim(std::string_view s) {
  while (!s.empty() && std::isspace(uint8_t(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(uint8_t(s.back()))) s.remove_suffix(1);
  return s;
}

bool is_name(std::string_view s) {
  if (s.empty() || std::isdigit(uint8_t(s[0]))) return false;
  for (char c : s)
    if (!std::isalnum(uint8_t(c)) && c != '_' && c != '.' && c != '$') return false;
  return true;
}

class ModuleAsm {
 public:
  explicit ModuleAsm(air::Module& m) : m_(m) {
    for (uint32_t i = 0; i < m.symbols.size(); i++) symbols_.emplace(std::string(m.str(m.symbols[i].name)), i);
  }

  Result<void> run(std::string_view text) {
    std::string clean;
    for (size_t i = 0; i < text.size(); i++) {
      if (text.substr(i, 2) == "/*") {
        size_t end = text.find("*/", i + 2);
        if (end == std::string_view::npos) end = text.size();
        for (; i < end; i++)
          if (text[i] == '\n') clean += '\n';
        i++;
        continue;
      }
      if (text[i] == '#') {
        while (i < text.size() && text[i] != '\n') i++;
        if (i == text.size()) break;
      }
      clean += text[i];
    }
    line_ = 1;
    for (size_t i = 0; i < clean.size();) {
      size_t end = i;
      for (bool quoted = false; end < clean.size() && clean[end] != '\n' && (quoted || clean[end] != ';'); end++)
        if (clean[end] == '"') quoted = !quoted;
      LODE_TRY(statement(trim(std::string_view(clean).substr(i, end - i))));
      if (end < clean.size() && clean[end] == '\n') line_++;
      i = end + 1;
    }
    return apply();
  }

 private:
  struct Said {
    bool global = false, weak = false, local = false;
    air::Visibility visibility = air::Visibility::default_;
  };
  struct Set {
    std::string name, target;
    int64_t addend = 0;
    uint32_t line;
  };

  Error unsupported(std::string_view s) const {
    return error("module-level inline assembly, line " + std::to_string(line_) + ": \"" + std::string(s) +
                 "\" is not supported");
  }

  Result<void> statement(std::string_view s) {
    if (s.empty()) return {};
    size_t k = 0;
    while (k < s.size() && !std::isspace(uint8_t(s[k])) && s[k] != '=') k++;
    std::string_view word = s.substr(0, k), rest = trim(s.substr(k));
    if (!rest.empty() && rest[0] == '=' && is_name(word))
      return set(s, word, trim(rest.substr(rest.substr(0, 2) == "==" ? 2 : 1)));
    for (std::string_view harmless :
         {".text", ".data", ".bss", ".section", ".previous", ".pushsection", ".popsection", ".subsection", ".file",
          ".ident", ".type", ".size", ".p2align", ".align", ".balign", ".addrsig", ".addrsig_sym"})
      if (word == harmless) return {};
    std::vector<std::string_view> names;
    for (std::string_view r = rest;;) {
      size_t comma = r.find(',');
      names.push_back(trim(r.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      r.remove_prefix(comma + 1);
    }
    if (word == ".symver") {
      if (names.size() < 2 || !is_name(names[0]) || names[1].find('@') == std::string_view::npos) return unsupported(s);
      versions_.push_back({std::string(names[0]), std::string(names[1]), 0, line_});
      return {};
    }
    if (word == ".set" || word == ".equ" || word == ".equiv") {
      size_t comma = rest.find(',');
      if (comma == std::string_view::npos || !is_name(names[0])) return unsupported(s);
      return set(s, names[0], trim(rest.substr(comma + 1)));
    }
    for (std::string_view name : names)
      if (!is_name(name)) return unsupported(s);
    for (std::string_view name : names) {
      Said& said = said_[std::string(name)];
      if (word == ".globl" || word == ".global") said.global = true;
      else if (word == ".weak") said.weak = true;
      else if (word == ".local") said.local = true;
      else if (word == ".hidden" || word == ".internal") said.visibility = air::Visibility::hidden;
      else if (word == ".protected") said.visibility = air::Visibility::protected_;
      else if (word != ".extern") return unsupported(s);
    }
    return {};
  }

  Result<void> set(std::string_view s, std::string_view name, std::string_view value) {
    size_t sign = value.find_first_of("+-");
    std::string_view target = trim(value.substr(0, sign));
    int64_t addend = 0;
    if (sign != std::string_view::npos) {
      std::string_view digits = trim(value.substr(sign + 1));
      if (digits.empty() || digits.size() > 9) return unsupported(s);
      for (char c : digits) {
        if (!std::isdigit(uint8_t(c))) return unsupported(s);
        addend = addend * 10 + (c - '0');
      }
      if (value[sign] == '-') addend = -addend;
    }
    if (!is_name(target)) return unsupported(s);
    sets_.push_back({std::string(name), std::string(target), addend, line_});
    return {};
  }

  uint32_t symbol(const std::string& name) {
    auto [it, fresh] = symbols_.emplace(name, uint32_t(m_.symbols.size()));
    if (fresh) {
      air::Symbol y;
      y.name = m_.add_string(name);
      m_.symbols.push_back(y);
    }
    return it->second;
  }

  // `at` becomes another name of `target`.
  void make_alias(uint32_t at, uint32_t target, int64_t addend) {
    air::Symbol& y = m_.symbols[at];
    y.kind = air::SymbolKind::alias;
    y.defined = true;
    y.type = m_.symbols[target].type;
    y.tls = m_.symbols[target].tls;
    y.aliasee = air::SymbolIndex(target);
    y.alias_offset = addend;
  }

  Result<void> apply() {
    for (const Set& s : sets_) {
      line_ = s.line;
      uint32_t target = symbol(s.target), at = symbol(s.name);
      if (m_.symbols[at].defined || at == target) return unsupported(".set " + s.name + ", " + s.target);
      make_alias(at, target, s.addend);
      m_.symbols[at].linkage = air::Linkage::internal;
      m_.symbols[at].dso_local = true;
    }
    for (auto& [name, said] : said_) {
      auto it = symbols_.find(name);
      if (it == symbols_.end()) continue;  // nobody refers to it
      air::Symbol& y = m_.symbols[it->second];
      if (said.weak) y.linkage = y.defined ? air::Linkage::weak_any : air::Linkage::extern_weak;
      else if (said.global && y.linkage == air::Linkage::internal) y.linkage = air::Linkage::external;
      else if (said.local && y.defined) y.linkage = air::Linkage::internal;
      if (said.visibility != air::Visibility::default_) y.visibility = said.visibility;
      if (said.weak) y.dso_local = false;
    }
    for (const Set& v : versions_) {
      line_ = v.line;
      auto it = symbols_.find(v.name);
      if (it == symbols_.end()) continue;
      const bool defined = m_.symbols[it->second].defined;
      std::string name = v.target;
      if (size_t three = name.find("@@@"); three != std::string::npos) name.replace(three, 3, defined ? "@@" : "@");
      if (!defined) {
        m_.symbols[it->second].name = m_.add_string(name);
        continue;
      }
      const uint32_t at = symbol(name);
      if (m_.symbols[at].defined) return unsupported(".symver " + v.name + ", " + v.target);
      make_alias(at, it->second, 0);
      m_.symbols[at].linkage = air::Linkage::external;
    }
    return {};
  }

  air::Module& m_;
  std::unordered_map<std::string, uint32_t> symbols_;
  std::unordered_map<std::string, Said> said_;
  std::vector<Set> sets_, versions_;
  uint32_t line_ = 1;
};

}  // namespace

Result<void> apply_module_asm(ImportState& s) {
  if (s.bitcode.module_asm.empty()) return {};
  return ModuleAsm(s.air).run(s.bitcode.module_asm);
}

}  // namespace lode::codegen
