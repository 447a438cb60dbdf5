// Symbol versions, and which symbols cross the border of the output.
//
// A version script gives exact names precedence over wildcards, and any wildcard over a lone "*"; among wildcards
// "global" wins over "local", and the last one of a kind that matches (as GNU ld does it).
// imported: the address is known at run time only. exported: in .dynsym as a definition. In a shared library a
// default-visible definition is both (it can be preempted), unless -Bsymbolic or a dynamic list says otherwise.
#include <unistd.h>

#include <algorithm>

#include "link/common/lookups.h"
#include "link/elf/link.h"
#include "link/elf/machines/machine.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

// Versions are numbered from 2 (0: local, 1: the base) in 15 bits, the sixteenth being VERSYM_HIDDEN.
constexpr uint16_t max_version = VERSYM_HIDDEN - 1;

bool read_text(Link& link, const std::string& path, std::string_view& out) {
  std::string text;
  if (!read_whole_file(link, path, text)) {
    link.diag.error("cannot open " + path);
    return false;
  }
  out = link.save(std::move(text));
  return true;
}

struct Pattern {
  formats::VersionPattern text;
  uint16_t version;  // VER_NDX_LOCAL: local
};

class Matcher {
 public:
  void add(const formats::VersionPattern& p, uint16_t version) {
    any_cpp_ |= p.is_cpp;
    if (!p.is_glob) {
      (p.is_cpp ? exact_cpp_ : exact_).try_emplace(p.text, version);
    } else if (p.text == "*") {
      star_ = true;
      if (star_version_ == none16 || version != VER_NDX_LOCAL) star_version_ = version;
    } else {
      (version == VER_NDX_LOCAL ? local_globs_ : globs_).push_back({p, version});
    }
  }
  bool empty() const {
    return exact_.empty() && exact_cpp_.empty() && globs_.empty() && local_globs_.empty() && !star_;
  }
  bool find(std::string_view name, uint16_t& version) const {
    if (auto it = exact_.find(name); it != exact_.end()) {
      version = it->second;
      return true;
    }
    std::string readable;
    if (any_cpp_) {
      readable = demangle(name);
      if (auto it = exact_cpp_.find(readable); it != exact_cpp_.end()) {
        version = it->second;
        return true;
      }
    }
    for (auto* list : {&globs_, &local_globs_})
      for (size_t i = list->size(); i-- > 0;) {
        const Pattern& p = (*list)[i];
        if (formats::glob_match(p.text.text, p.text.is_cpp ? std::string_view(readable) : name)) {
          version = p.version;
          return true;
        }
      }
    if (star_) {
      version = star_version_;
      return true;
    }
    return false;
  }

 private:
  static constexpr uint16_t none16 = 0xffff;
  std::unordered_map<std::string_view, uint16_t> exact_, exact_cpp_;
  std::vector<Pattern> globs_, local_globs_;
  bool star_ = false, any_cpp_ = false;
  uint16_t star_version_ = none16;
};

}  // namespace

bool read_version_scripts(Link& link) {
  for (std::string path : link.opt.version_scripts) {
    std::string_view text;
    // Like a library, a script is also looked for in the folders of -L.
    if (!file_exists(path) && !path.starts_with("/"))
      for (const std::string& dir : link.opt.library_paths)
        if (std::string p = dir + "/" + path; file_exists(p)) {
          path = p;
          break;
        }
    if (!read_text(link, path, text)) continue;
    auto script = formats::parse_version_script(text);
    if (!script) {
      link.diag.error(std::move(script.error()).at(path));
      continue;
    }
    for (formats::VersionNode& n : script->nodes) {
      link.versions.nodes.push_back(std::move(n));
      link.version_sources.resize(link.versions.nodes.size(), path);
    }
  }
  for (const std::string& entry : link.opt.dynamic_lists) {
    std::string_view text;
    if (!read_text(link, entry.starts_with("+") ? entry.substr(1) : entry, text)) continue;
    auto list = formats::parse_dynamic_list(text);
    if (!list) {
      link.diag.error(std::move(list.error()).at(entry));
      continue;
    }
    link.dynamic_list.insert(link.dynamic_list.end(), list->begin(), list->end());
  }
  for (const std::string& s : link.opt.export_symbols)
    link.dynamic_list.push_back({link.save(s), s.find_first_of("*?[") != std::string::npos, false});
  for (const std::string& s : link.opt.dynamic_list_patterns) link.dynamic_list.push_back({link.save(s), true, true});
  return !link.diag.has_errors();
}

// Versions that the assembler gave: foo@V, foo@@V. The assembler leaves the plain name beside them, at the same place.
static void assign_assembler_versions(Link& link, const std::unordered_map<std::string_view, uint16_t>& index) {
  std::unordered_map<uint32_t, uint16_t> defaults;  // symbols defined as name@@V
  for (bool default_pass : {true, false})
    for (ObjectFile* f : link.objects)
      for (auto& [i, text] : f->symvers) {
        bool is_default = text.starts_with("@@");
        if (is_default != default_pass) continue;
        Symbol& s = link.symbols[f->symbol_id(i)];
        const Sym& sym = f->syms[i];
        if (s.file != f->id || sym.shndx == SHN_UNDEF ||
            (s.sym != i && (f->syms[s.sym].value != sym.value || f->section_of(s.sym) != f->section_of(i))))
          continue;
        std::string_view name = std::string_view(text).substr(is_default ? 2 : 1);
        if (name.empty()) {  // `foo@@`, `foo@`: exported without a version, whatever the script says; the latter for
                             // old programs only
          s.version = uint16_t(VER_NDX_GLOBAL | (is_default ? 0 : VERSYM_HIDDEN));
          s.version_local = false;
          continue;
        }
        auto it = index.find(name);
        if (it == index.end()) {
          // An executable need not define versions, and what the script makes local has none.
          if (!link.shared) s.version = VER_NDX_GLOBAL;
          else if (!s.version_local)
            link.diag.error(f->name + ": symbol " + std::string(f->sym_name(sym)) + " has undefined version " +
                            std::string(name));
          continue;
        }
        s.version = uint16_t(it->second | (is_default ? 0 : VERSYM_HIDDEN));
        s.version_local = false;
        if (is_default) {
          defaults[f->symbol_id(i)] = it->second;
          continue;
        }
        std::string_view full = f->sym_name(sym);
        uint32_t base = link.names.find(full.substr(0, full.find('@')));
        if (base == none) continue;
        if (auto d = defaults.find(base); d != defaults.end() && d->second == it->second) {
          link.diag.error("duplicate symbol: " + link.files[link.symbols[base].file]->name + ": " + f->name + ": " +
                          std::string(full));
        } else if (d == defaults.end() && link.symbols[base].file == f->id &&
                   link.symbols[base].version == it->second) {
          link.symbols[base].version_local = true;  // the script's version is taken by the assembler's symbol
        }
      }
}

void assign_versions(Link& link) {
  Matcher matcher;
  auto& nodes = link.versions.nodes;
  std::unordered_map<std::string_view, uint16_t> index;
  for (formats::VersionNode& n : nodes) {
    uint16_t v = VER_NDX_GLOBAL;
    if (!n.name.empty()) {
      auto [it, fresh] =
          index.try_emplace(n.name, uint16_t(std::min<size_t>(link.version_defs.size() + 2, max_version)));
      if (fresh) link.version_defs.emplace_back(n.name);
      v = it->second;
    }
    for (const auto& p : n.global) matcher.add(p, v);
    for (const auto& p : n.local) matcher.add(p, VER_NDX_LOCAL);
  }
  if (link.version_defs.size() > max_version - 2u) {
    link.diag.error("the version scripts define " + std::to_string(link.version_defs.size()) +
                    " versions; ELF has room for " + std::to_string(max_version - 2));
    link.version_defs.resize(max_version - 2u);
  }
  bool default_version = link.opt.default_symver && link.shared;
  if (default_version) {
    std::string name =
        !link.opt.soname.empty() ? link.opt.soname : link.opt.output.substr(link.opt.output.rfind('/') + 1);
    index[link.save(name)] = uint16_t(link.version_defs.size() + 2);
    link.version_defs.push_back(name);
  }
  if (!matcher.empty() || default_version)
    parallel_for(size_t(0), link.symbols.size(), [&](size_t i) {
      Symbol& s = link.symbols[i];
      if (!s.defined() || !link.files[s.file]->is_object() || s.linker_defined) return;
      uint16_t v;
      if (matcher.find(s.str(), v) && !(default_version && v == VER_NDX_GLOBAL)) {
        s.version_local = v == VER_NDX_LOCAL;
        s.version = v;
      } else if (default_version) {
        s.version = uint16_t(link.version_defs.size() + 1);
      }
    });
  if (link.opt.undefined_version != UndefinedVersion::ignore)
    for (size_t k = 0; k < nodes.size(); k++)
      for (const formats::VersionPattern& p : nodes[k].global) {
        if (p.is_glob || p.is_cpp) continue;
        uint32_t id = link.names.find(p.text);
        if (id != none && link.symbols[id].defined() && link.files[link.symbols[id].file]->is_object()) continue;
        std::string text = (k < link.version_sources.size() ? link.version_sources[k] + ": " : std::string()) +
                           "cannot assign version `" +
                           (nodes[k].name.empty() ? std::string("global") : std::string(nodes[k].name)) +
                           "` to symbol `" + std::string(p.text) + "`: symbol not found";
        if (link.opt.undefined_version == UndefinedVersion::error) link.diag.error(text);
        else link.diag.warning(text);
      }
  assign_assembler_versions(link, index);
}

void compute_import_export(Link& link) {
  Matcher list;
  for (const auto& p : link.dynamic_list) list.add(p, VER_NDX_GLOBAL);
  bool dynamic = !link.is_static_output;
  parallel_for(size_t(0), link.symbols.size(), [&](size_t i) {
    Symbol& s = link.symbols[i];
    s.imported = s.exported = false;
    if (!dynamic || s.local) return;
    uint8_t vis = s.visibility();
    if (!s.defined()) {
      if (!(s.flags & referenced) || vis != STV_DEFAULT) return;
      bool weak = !(s.flags & referenced_strong);
      // -z defs: what stays undefined is an error, not an import.
      bool ignored = link.opt.unresolved == Unresolved::ignore && link.opt.unresolved_given;
      if (link.shared) s.imported = weak ? link.opt.dynamic_undefined_weak : !link.opt.defs || ignored;
      else if (weak) s.imported = link.opt.dynamic_undefined_weak_given;
      return;
    }
    InputFile& f = *link.files[s.file];
    if (f.kind == FileKind::shared) {
      s.imported = true;
      return;
    }
    if (vis == STV_HIDDEN || vis == STV_INTERNAL || s.version_local) return;
    if (s.linker_defined && f.kind == FileKind::internal && !(s.flags & referenced_by_shared)) {
      // -z start-stop-visibility=protected: the borders of sections are part of the output's interface.
      s.exported = (s.str().starts_with("__start_") || s.str().starts_with("__stop_")) &&
                   (link.opt.start_stop_visibility == STV_PROTECTED ||
                    (link.shared && link.opt.start_stop_visibility == STV_DEFAULT));
      // The dynamic linker sets the register for what runs before the program's start.
      if (link.machine->global_pointer && s.str() == link.machine->global_pointer) s.exported = true;
      return;
    }
    if (f.exclude_libs) return;
    uint16_t unused;
    bool listed = !list.empty() && list.find(s.str(), unused);
    if (link.shared) {
      s.exported = true;
      if (vis == STV_PROTECTED) return;
      bool function = s.type == STT_FUNC || s.type == STT_GNU_IFUNC;
      bool symbolic = false;
      switch (link.opt.bsymbolic) {
        case Bsymbolic::none: symbolic = link.opt.dynamic_list_given; break;
        case Bsymbolic::all: symbolic = true; break;
        case Bsymbolic::functions: symbolic = function; break;
        case Bsymbolic::non_weak: symbolic = s.bind != STB_WEAK; break;
        case Bsymbolic::non_weak_functions: symbolic = function && s.bind != STB_WEAK; break;
      }
      s.imported = !symbolic || listed;
    } else {
      bool is_data = link.opt.dynamic_list_data && (s.type == STT_OBJECT || s.type == STT_COMMON);
      s.exported =
          link.opt.export_dynamic || listed || is_data || (s.flags & referenced_by_shared) || s.bind == STB_GNU_UNIQUE;
      if (s.version != VER_NDX_GLOBAL && s.version >= 2) s.exported = true;
    }
  });
}

}  // namespace lode::link::elf
