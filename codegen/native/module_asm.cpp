// As in an assembler, where a directive stands does not matter: .globl may precede the definition. A name that is set
// and has no .globl or .weak is local. Versions of what the assembly itself defines are names of its own.
#include "codegen/native/module_asm.h"

#include <unordered_map>

#include "codegen/native/asm_module.h"
#include "formats/elf/elf.h"

namespace lode::codegen {

using namespace formats::elf;

namespace {

class Applier {
 public:
  Applier(air::Module& m, AsmObject& object) : m_(m), object_(object) {
    for (uint32_t i = 0; i < m.symbols.size(); i++) {
      std::string_view name = m.str(m.symbols[i].name);
      if (!name.empty() && name[0] == '\1') name.remove_prefix(1);
      if (!name.empty()) symbols_.emplace(std::string(name), i);
    }
    for (uint32_t i = 0; i < object.symbols.size(); i++) said_.emplace(object.symbols[i].name, i);
  }

  Result<void> run() {
    LODE_TRY(make_aliases());
    for (const AsmObjectSymbol& s : object_.symbols) LODE_TRY(apply(s));
    return make_versions();
  }

 private:
  bool in_assembly(const std::string& name) const {
    auto it = said_.find(name);
    return it != said_.end() && object_.symbols[it->second].place != AsmObjectSymbol::Place::undefined;
  }

  static bool defined(const air::Symbol& y) {
    return y.defined && y.linkage != air::Linkage::available_externally;
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

  Result<void> make_aliases() {
    for (const AsmAlias& a : object_.aliases) {
      const uint32_t target = symbol(a.target), at = symbol(a.name);
      if (defined(m_.symbols[at]) || at == target)
        return error("module-level assembly: the symbol \"" + a.name + "\" is defined twice");
      make_alias(at, target, a.addend);
      m_.symbols[at].linkage = air::Linkage::internal;
      m_.symbols[at].dso_local = true;
    }
    return {};
  }

  Result<void> apply(const AsmObjectSymbol& s) {
    auto it = symbols_.find(s.name);
    if (it == symbols_.end()) return {};  // nobody in the IR refers to it
    air::Symbol& y = m_.symbols[it->second];
    if (s.place != AsmObjectSymbol::Place::undefined) {
      if (defined(y)) return error("module-level assembly: the symbol \"" + s.name + "\" is defined twice");
      return {};
    }
    if (s.bind_said) {
      if (s.bind == STB_WEAK) {
        y.linkage = y.defined ? air::Linkage::weak_any : air::Linkage::extern_weak;
        y.dso_local = false;
      } else if (s.bind == STB_GLOBAL && y.linkage == air::Linkage::internal) {
        y.linkage = air::Linkage::external;
      } else if (s.bind == STB_LOCAL && y.defined) {
        y.linkage = air::Linkage::internal;
      }
    }
    if (s.visibility == STV_PROTECTED) y.visibility = air::Visibility::protected_;
    else if (s.visibility) y.visibility = air::Visibility::hidden;
    return {};
  }

  Result<void> make_versions() {
    for (const AsmVersion& v : object_.versions) {
      std::string name = v.with_version;
      auto it = symbols_.find(v.name);
      const bool mine = in_assembly(v.name);
      const bool is_defined = mine || (it != symbols_.end() && m_.symbols[it->second].defined);
      if (size_t three = name.find("@@@"); three != std::string::npos) name.replace(three, 3, is_defined ? "@@" : "@");
      if (mine) {
        AsmObjectSymbol again = object_.symbols[said_.at(v.name)];
        again.name = name;
        object_.symbols.push_back(std::move(again));
      } else if (is_defined) {
        const uint32_t target = it->second, at = symbol(name);
        if (m_.symbols[at].defined)
          return error("module-level assembly: the symbol \"" + name + "\" is defined twice");
        make_alias(at, target, 0);
        m_.symbols[at].linkage = air::Linkage::external;
      } else if (it != symbols_.end()) {
        m_.symbols[it->second].name = m_.add_string(name);
        if (auto s = said_.find(v.name); s != said_.end()) object_.symbols[s->second].name = name;
      } else if (auto s = said_.find(v.name); s != said_.end()) {
        object_.symbols[s->second].name = name;
      }
    }
    return {};
  }

  air::Module& m_;
  AsmObject& object_;
  std::unordered_map<std::string, uint32_t> symbols_;  // of the IR
  std::unordered_map<std::string, uint32_t> said_;     // of the assembly
};

}  // namespace

Result<std::unique_ptr<AsmObject>> take_module_asm(air::Module& module,
                                                   Result<AsmObject> (*assemble)(std::string_view text)) {
  std::unique_ptr<AsmObject> out;
  if (module.module_asm.empty()) return out;
  auto made = assemble ? assemble(module.module_asm) : assemble_module(module.module_asm, AsmMachine{});
  if (!made.ok()) return made.take_error();
  out = std::make_unique<AsmObject>(std::move(*made));
  LODE_TRY(Applier(module, *out).run());
  return out;
}

}  // namespace lode::codegen
