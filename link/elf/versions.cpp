// Symbol versions, and which symbols cross the border of the output.
//
// A version script gives exact names precedence over wildcards, and any wildcard over a lone "*" (as GNU ld documents).
// imported: the address is known at run time only. exported: in .dynsym as a definition. In a shared library a default-visible
// definition is both (it can be preempted), unless -Bsymbolic or a dynamic list says otherwise.
#include <fcntl.h>
#include <tbb/parallel_for.h>
#include <unistd.h>

#include <algorithm>

#include "link/elf/link.h"

namespace lode::link::elf {

namespace {

bool read_text(Link& link, const std::string& path, std::string_view& out) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  if (fd < 0) {
    link.diag.error("cannot open " + path);
    return false;
  }
  char buf[65536];
  for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;) text.append(buf, size_t(n));
  close(fd);
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
      globs_.push_back({p, version});
    }
  }
  bool empty() const { return exact_.empty() && exact_cpp_.empty() && globs_.empty() && !star_; }
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
    for (size_t i = globs_.size(); i-- > 0;) {
      const Pattern& p = globs_[i];
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
  const std::unordered_map<std::string_view, uint16_t>& exact() const { return exact_; }

 private:
  static constexpr uint16_t none16 = 0xffff;
  std::unordered_map<std::string_view, uint16_t> exact_, exact_cpp_;
  std::vector<Pattern> globs_;
  bool star_ = false, any_cpp_ = false;
  uint16_t star_version_ = none16;
};

}  // namespace

bool read_version_scripts(Link& link) {
  for (const std::string& path : link.opt.version_scripts) {
    std::string_view text;
    if (!read_text(link, path, text)) continue;
    auto script = formats::parse_version_script(text);
    if (!script) {
      link.diag.error(std::move(script.error()).at(path));
      continue;
    }
    for (formats::VersionNode& n : script->nodes) link.versions.nodes.push_back(std::move(n));
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
  for (const std::string& s : link.opt.export_symbols) link.dynamic_list.push_back({link.save(s), s.find_first_of("*?[") != std::string::npos, false});
  return !link.diag.has_errors();
}

void assign_versions(Link& link) {
  Matcher matcher;
  auto& nodes = link.versions.nodes;
  std::unordered_map<std::string_view, uint16_t> index;
  for (formats::VersionNode& n : nodes) {
    uint16_t v = VER_NDX_GLOBAL;
    if (!n.name.empty()) {
      auto [it, fresh] = index.try_emplace(n.name, uint16_t(link.version_defs.size() + 2));
      if (fresh) link.version_defs.emplace_back(n.name);
      v = it->second;
    }
    for (const auto& p : n.global) matcher.add(p, v);
    for (const auto& p : n.local) matcher.add(p, VER_NDX_LOCAL);
  }
  bool default_version = link.opt.default_symver && link.shared;
  if (default_version) {
    std::string name = !link.opt.soname.empty() ? link.opt.soname : link.opt.output.substr(link.opt.output.rfind('/') + 1);
    index[link.save(name)] = uint16_t(link.version_defs.size() + 2);
    link.version_defs.push_back(name);
  }
  if (!matcher.empty() || default_version)
    tbb::parallel_for(size_t(0), link.symbols.size(), [&](size_t i) {
      Symbol& s = link.symbols[i];
      if (!s.defined() || !link.files[s.file]->is_object() || s.linker_defined) return;
      uint16_t v;
      if (matcher.find(s.str(), v)) {
        s.version_local = v == VER_NDX_LOCAL;
        s.version = v;
      } else if (default_version) {
        s.version = uint16_t(link.version_defs.size() + 1);
      }
    });
  if (!link.opt.undefined_version)
    for (auto& [name, v] : matcher.exact()) {
      uint32_t id = link.names.find(name);
      bool defined = id != none && link.symbols[id].defined() && link.files[link.symbols[id].file]->is_object();
      if (!defined && v != VER_NDX_LOCAL) link.diag.error("version script assignment of '" + (v >= 2 ? link.version_defs[v - 2] : std::string("global")) + "' to symbol '" + std::string(name) + "' failed: symbol not defined");
    }
  // Versions that the assembler gave: foo@V, foo@@V.
  for (ObjectFile* f : link.objects)
    for (auto& [i, text] : f->symvers) {
      Symbol& s = link.symbols[f->symbol_id(i)];
      if (s.file != f->id || s.sym != i) continue;
      bool is_default = text.starts_with("@@");
      std::string_view name = std::string_view(text).substr(is_default ? 2 : 1);
      if (name.empty()) continue;
      auto it = index.find(name);
      if (it == index.end()) {
        if (!link.shared && nodes.empty()) {
          // An executable need not define versions.
          s.version = VER_NDX_GLOBAL;
          continue;
        }
        link.diag.error(f->name + ": symbol " + std::string(f->sym_name(f->syms[i])) + " has undefined version " + std::string(name));
        continue;
      }
      s.version = uint16_t(it->second | (is_default ? 0 : VERSYM_HIDDEN));
      s.version_local = false;
    }
}

void compute_import_export(Link& link) {
  Matcher list;
  for (const auto& p : link.dynamic_list) list.add(p, VER_NDX_GLOBAL);
  bool dynamic = !link.is_static_output;
  tbb::parallel_for(size_t(0), link.symbols.size(), [&](size_t i) {
    Symbol& s = link.symbols[i];
    s.imported = s.exported = false;
    if (!dynamic || s.local) return;
    uint8_t vis = s.visibility();
    if (!s.defined()) {
      if (!(s.flags & referenced) || vis != STV_DEFAULT) return;
      bool weak = !(s.flags & referenced_strong);
      // -z defs: what stays undefined is an error, not an import.
      if (link.shared) s.imported = weak ? link.opt.dynamic_undefined_weak : !link.opt.defs;
      else if (link.opt.unresolved == Unresolved::ignore && link.opt.unresolved_given && !weak) s.imported = !link.shareds.empty();
      return;
    }
    InputFile& f = *link.files[s.file];
    if (f.kind == FileKind::shared) {
      s.imported = true;
      return;
    }
    if (vis == STV_HIDDEN || vis == STV_INTERNAL || s.version_local) return;
    if (s.linker_defined && f.kind == FileKind::internal && !(s.flags & referenced_by_shared)) return;
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
      s.exported = link.opt.export_dynamic || listed || (s.flags & referenced_by_shared) || s.bind == STB_GNU_UNIQUE;
      if (s.version != VER_NDX_GLOBAL && s.version >= 2) s.exported = true;
    }
  });
}

}  // namespace lode::link::elf
