// Live: which atoms are part of the output.
//
// Without --gc-sections every section of an object is; with it, those that the roots reach: the entry, exported
// symbols, -u, arrays of initialisers, notes and retained sections. Functions and data of IR modules are reached either
// way, so that dead ones are never compiled; the walk goes in waves, and the functions that a wave reached are made to
// MIR all at once before the next.
//
// The walk marks an atom once (an atomic exchange) and follows its relocations. Records of .eh_frame hang on the code
// they describe: live code keeps its language-specific data and personality. A reference to __start_X or __stop_X keeps
// every section named X.

#include <algorithm>
#include <cctype>
#include <cstring>

#include "link/elf/link.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

bool is_c_identifier(std::string_view s) {
  if (s.empty() || (!std::isalpha(uint8_t(s[0])) && s[0] != '_')) return false;
  for (char c : s)
    if (!std::isalnum(uint8_t(c)) && c != '_') return false;
  return true;
}

bool is_live_by_itself(const ObjectFile& f, uint32_t section) {
  const Shdr& s = f.sections[section];
  if ((s.flags & SHF_LINK_ORDER) && s.link) return false;
  const std::string_view name = section_name(f, section);
  return (s.flags & SHF_GNU_RETAIN) || s.type == SHT_INIT_ARRAY || s.type == SHT_FINI_ARRAY ||
         s.type == SHT_PREINIT_ARRAY || s.type == SHT_NOTE || name == ".init" || name == ".fini" || name == ".jcr" ||
         name.starts_with(".ctors") || name.starts_with(".dtors") || name.starts_with(".init_array") ||
         name.starts_with(".fini_array") || name.starts_with(".preinit_array");
}

namespace {

class Walk {
 public:
  explicit Walk(Link& link) : link_(link) {}

  void run() {
    bool gc = link_.opt.gc_sections && !link_.relocatable;
    // A second walk, after late members came in, starts over.
    parallel_for(size_t(0), link_.atoms.size(), [&](size_t i) { link_.atoms[i].live = 0; });
    index_sections(gc);
    if (gc) {
      section_roots();
    } else {
      parallel_for(size_t(0), link_.objects.size(), [&](size_t k) {
        ObjectFile& f = *link_.objects[k];
        if (f.kind != FileKind::object) return;
        for (uint32_t i = 1; i < f.sections.size(); i++) {
          Atom& a = link_.atoms[f.atom_base + i];
          if (a.kind != AtomKind::none && a.kind != AtomKind::discarded) a.live = 1;
        }
      });
    }
    symbol_roots(gc);
    if (link_.has_modules) prepare_modules(link_);
    if (link_.has_modules) module_roots(link_, [&](uint32_t atom) { mark(atom); });
    drain();
    if (link_.has_modules) store_drafts(link_);
  }

 private:
  void mark(uint32_t atom) {
    Atom& a = link_.atoms[atom];
    if (a.kind == AtomKind::none || a.kind == AtomKind::discarded) return;
    if (std::atomic_ref<uint8_t>(a.live).exchange(1, std::memory_order_relaxed) == 0) next_.local().push_back(atom);
  }

  void mark_symbol(uint32_t id) {
    Symbol& s = link_.symbols[id];
    if (!s.defined()) atomic_or(s.flags, uint32_t(referenced_live));
    if (s.atom != none && link_.files[s.file]->is_object()) {
      mark(s.atom);
      if (link_.atoms[s.atom].kind == AtomKind::merge) mark_piece(link_, link_.atoms[s.atom], s.value);
    } else if (!s.defined() && s.name_size > 7 && !link_.opt.start_stop_gc) {
      std::string_view n = s.str();
      if (n.starts_with("__start_")) n.remove_prefix(8);
      else if (n.starts_with("__stop_")) n.remove_prefix(7);
      else return;
      if (auto it = by_name_.find(n); it != by_name_.end())
        for (uint32_t a : it->second) mark(a);
    }
  }

  void mark_reloc(ObjectFile& f, const Rela& r) {
    if (r.sym >= f.syms.size()) return;  // the scan reports it
    if (r.sym >= f.first_global) {
      mark_symbol(f.symbol_id(r.sym));
      return;
    }
    Referent t = referent(link_, f, r.sym);
    if (t.atom == none) return;
    mark(t.atom);
    Atom& a = link_.atoms[t.atom];
    if (a.kind == AtomKind::merge)
      mark_piece(link_, a, t.section_symbol ? t.value + uint64_t(int64_t(r.addend)) : t.value);
  }

  void visit(uint32_t id) {
    Atom& a = link_.atoms[id];
    if (a.file == none || !link_.files[a.file]->is_object()) return;
    ObjectFile& f = link_.object(a.file);
    if (a.kind == AtomKind::eh_frame) return;
    if (a.kind == AtomKind::function) {
      lower_function(link_, id, [&](uint32_t s) { mark_symbol(s); });
      mark_dependents(id);
      return;
    }
    if (f.kind != FileKind::internal && a.section < f.sections.size() && !(f.sections[a.section].flags & SHF_ALLOC))
      return;
    for (uint32_t i = 0; i < a.reloc_count; i++) mark_reloc(f, a.relocs[i]);
    for (uint32_t k = 0; k < a.fde_count; k++) {
      const Fde& fde = f.fdes[a.fde_begin + k];
      const Atom& frame = link_.atoms[fde.source];
      for (uint32_t r = fde.reloc_begin + 1; r < fde.reloc_end; r++) mark_reloc(f, frame.relocs[r]);
      const Cie& cie = f.cies[fde.cie];
      for (uint32_t r = cie.reloc_begin; r < cie.reloc_end; r++) mark_reloc(f, frame.relocs[r]);
    }
    mark_dependents(id);
  }

  // Sections that say of themselves that they go with this one.
  void mark_dependents(uint32_t id) {
    if (auto it = dependents_.find(id); it != dependents_.end())
      for (uint32_t d : it->second) mark(d);
  }

  // Each thread follows what it finds in depth; functions to be made, and a share of a long list, are left to any
  // thread.
  void drain() {
    std::vector<uint32_t> start;
    next_.for_each([&](std::vector<uint32_t>& list) {
      start.insert(start.end(), list.begin(), list.end());
      list.clear();
    });
    auto work = [&](uint32_t atom, const auto& feed) {
      visit(atom);
      auto& mine = next_.local();
      unsigned steps = 0;
      while (!mine.empty()) {
        uint32_t a = mine.back();
        mine.pop_back();
        if (link_.atoms[a].kind == AtomKind::function || (++steps % 64 == 0 && mine.size() > 64)) feed(a);
        else visit(a);
      }
    };
    parallel_for_each(start, work);
  }

  void index_sections(bool gc) {
    for (ObjectFile* f : link_.objects) {
      if (!gc && f->kind != FileKind::module) continue;
      for (uint32_t i = 1; i < f->sections.size(); i++) {
        const Shdr& s = f->sections[i];
        if (!(s.flags & SHF_ALLOC)) continue;
        uint32_t id = f->atom_base + i;
        std::string_view name = section_name(*f, i);
        if (is_c_identifier(name)) by_name_[name].push_back(id);
        if ((s.flags & SHF_LINK_ORDER) && s.link && s.link < f->sections.size())
          dependents_[f->atom_base + s.link].push_back(id);
      }
    }
  }

  static std::string_view section_name(const ObjectFile& f, uint32_t i) { return elf::section_name(f, i); }

  void section_roots() {
    parallel_for(size_t(0), link_.objects.size(), [&](size_t k) {
      ObjectFile& f = *link_.objects[k];
      if (f.kind != FileKind::object) return;
      for (uint32_t i = 1; i < f.sections.size(); i++) {
        Atom& a = link_.atoms[f.atom_base + i];
        if (a.kind == AtomKind::none || a.kind == AtomKind::discarded) continue;
        if ((f.sections[i].flags & SHF_LINK_ORDER) && f.sections[i].link) continue;
        if (!(f.sections[i].flags & SHF_ALLOC) || a.kind == AtomKind::eh_frame) a.live = 1;
        else if (is_live_by_itself(f, i)) mark(f.atom_base + i);
      }
    });
  }

  void symbol_roots(bool gc) {
    for (uint32_t id = 0; id < link_.symbols.size(); id++) {
      const Symbol& s = link_.symbols[id];
      if (!s.defined() || s.atom == none) continue;
      bool root = s.flags & is_root;
      root |= s.exported;
      root |= link_.opt.gc_keep_exported && s.visibility() == STV_DEFAULT && s.bind != STB_LOCAL;
      if (!root && link_.files[s.file]->kind == FileKind::module) root = s.flags & referenced_by_object;
      if (root && (gc || link_.files[s.file]->kind == FileKind::module)) mark_symbol(id);
    }
    for (const std::string& n : {link_.opt.init, link_.opt.fini})
      if (uint32_t id = link_.names.find(n); id != none) mark_symbol(id);
  }

  Link& link_;
  PerThread<std::vector<uint32_t>> next_;
  std::unordered_map<std::string_view, std::vector<uint32_t>> by_name_;
  std::unordered_map<uint32_t, std::vector<uint32_t>> dependents_;
};

}  // namespace

bool mark_live(Link& link) {
  Walk(link).run();
  if (link.opt.print_gc_sections && link.opt.gc_sections)
    for (ObjectFile* f : link.objects) {
      if (f->kind != FileKind::object) continue;
      for (uint32_t i = 1; i < f->sections.size(); i++) {
        const Atom& a = link.atoms[f->atom_base + i];
        if (a.kind != AtomKind::none && a.kind != AtomKind::discarded && !a.live)
          link.diag.print("removing unused section %s:(%.*s)\n", f->name.c_str(), int(section_name(*f, i).size()),
                          section_name(*f, i).data());
      }
    }
  return !link.diag.has_errors();
}

}  // namespace lode::link::elf
