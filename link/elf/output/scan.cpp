// Scan: what the relocations of all live atoms ask for, and which names nobody defines.
//
// The target's scan runs over files in parallel; it sets flags on symbols, counts dynamic relocations per file, and
// notes locals that need a slot. Those become symbols here, file by file in order.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/bytes.h"
#include "link/elf/code/lower.h"
#include "link/elf/reports/source_lines.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

std::string place_name(Link& link, const Atom& atom, uint64_t offset) {
  if (atom.file == none || !link.files[atom.file]->is_object()) return {};
  ObjectFile& f = link.object(atom.file);
  std::string best;
  for (uint32_t i = 1; i < f.syms.size(); i++) {
    const Sym& s = f.syms[i];
    if (s.type() != STT_FUNC && s.type() != STT_OBJECT) continue;
    if (f.section_of(i) != atom.section || s.value > offset) continue;
    if (offset - s.value < std::max(uint64_t{s.size}, uint64_t{1})) {
      best = link.opt.demangle ? demangle(f.sym_name(s)) : std::string(f.sym_name(s));
      break;
    }
  }
  return best;
}

bool note_undefined(Link& link, uint32_t symbol, const ObjectFile& file, const Atom& atom, uint64_t offset) {
  Symbol& s = link.symbols[symbol];
  if (!(s.flags & referenced_strong) && s.visibility() == STV_DEFAULT) return false;
  if (!(s.flags & referenced_strong)) return false;
  if (link.opt.unresolved == Unresolved::ignore) return false;
  for (const std::string& ignored : link.opt.ignored_undefined)
    if (ignored == s.str()) return false;
  std::lock_guard lock(link.mutex);
  link.undefined_references.push_back({symbol, file.id, atom.section, offset});
  return link.opt.unresolved == Unresolved::error;
}

std::string discarded_place(Link& link, const ObjectFile& file, uint32_t sym) {
  std::string text = "\n>>> defined in " + file.name;
  uint32_t section = file.section_of(sym);
  for (const Group& g : file.groups) {
    if (!g.dead) continue;
    for (const Word& m : g.members) {
      if (m.value != section) continue;
      text += "\n>>> section group signature: " + link.demangled(g.signature.str());
      for (const ObjectFile* f : link.objects)
        if (comdat_rank(*f) == link.comdat_owner[g.signature.id])
          text += "\n>>> prevailing definition is in " + f->name;
      return text;
    }
  }
  return text;
}

// What the user may have meant: a defined name that differs in one letter, or in case.
static std::string similar_name(Link& link, std::string_view name) {
  if (name.size() < 3) return {};
  for (uint32_t i = 0; i < link.symbols.size(); i++) {
    const Symbol& s = link.symbols[i];
    if (!s.defined() || s.name_size + 1 < name.size() || s.name_size > name.size() + 1) continue;
    std::string_view n = s.str();
    size_t a = 0, b = 0;
    while (a < n.size() && a < name.size() && n[a] == name[a]) a++;
    while (b < n.size() - std::min(a, n.size()) && b < name.size() - a &&
           n[n.size() - 1 - b] == name[name.size() - 1 - b])
      b++;
    if (n.size() - a - b <= 1 && name.size() - a - b <= 1) return std::string(n);
    if (n.size() == name.size() &&
        std::equal(n.begin(), n.end(), name.begin(), [](char x, char y) { return (x | 32) == (y | 32); }))
      return std::string(n);
  }
  return {};
}

static std::string reference_place(Link& link, const Link::UndefinedReference& r) {
  const ObjectFile& f = link.object(r.file);
  std::string line = source_line(f, r.section, r.offset),
              in = place_name(link, link.atoms[f.atom_base + r.section], r.offset);
  if (in.empty()) {
    char hex[32];
    std::snprintf(hex, sizeof hex, "+0x%llx", static_cast<unsigned long long>(r.offset));
    in = std::string(section_name(f, r.section)) + hex;
  }
  return ">>> referenced by " + (line.empty() ? f.name : line) + "\n>>>               " + f.name + ":(" + in + ")";
}

void report_undefined(Link& link) {
  auto& refs = link.undefined_references;
  auto place_of = [&](const Link::UndefinedReference& r) {
    return std::tuple(link.files[r.file]->priority, r.section, r.offset);
  };
  std::sort(refs.begin(), refs.end(), [&](auto& a, auto& b) { return place_of(a) < place_of(b); });
  std::map<uint32_t, std::vector<const Link::UndefinedReference*>> by_symbol;
  std::vector<uint32_t> order;
  for (auto& r : refs) {
    auto& list = by_symbol[r.symbol];
    if (list.empty()) order.push_back(r.symbol);
    if (list.empty() || place_of(*list.back()) != place_of(r)) list.push_back(&r);
  }
  uint64_t k = 0;
  for (uint32_t id : order) {
    const Symbol& s = link.symbols[id];
    auto& list = by_symbol[id];
    std::string text = "undefined symbol: " + link.display(s);
    if (s.visibility() != STV_DEFAULT)
      text += std::string(" (") + (s.visibility() == STV_PROTECTED ? "protected" : "hidden") +
              ": a shared library cannot define it)";
    std::vector<std::string> shown;
    size_t i = 0;
    for (; i < list.size() && shown.size() < 3; i++)
      if (std::string place = reference_place(link, *list[i]);
          std::find(shown.begin(), shown.end(), place) == shown.end())
        shown.push_back(std::move(place));
    for (const std::string& place : shown) text += "\n" + place;
    if (i < list.size()) text += "\n>>> referenced " + std::to_string(list.size() - i) + " more times";
    if (link.opt.unresolved == Unresolved::warn) {
      link.diag.warning(text, k++);
      continue;
    }
    run_error_script(link, "undefined-symbol", std::string(s.str()));
    // Looked for while messages are still printed: it takes a walk over all names.
    const bool printed = link.opt.error_limit == 0 || k < link.opt.error_limit;
    if (std::string n = printed ? similar_name(link, s.str()) : std::string(); !n.empty())
      text += "\n>>> did you mean: " + (link.opt.demangle ? demangle(n) : n);
    if (s.str().starts_with("_ZTV"))
      text += "\n>>> the vtable symbol may be undefined because the class is missing its key function";
    link.diag.error(text, k++);
  }
  refs.clear();
}

void scan_relocations(Link& link) {
  tbb::parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      Atom& a = link.atoms[f.atom_base + i];
      if (!a.live || a.kind != AtomKind::regular || !a.reloc_count || a.folded || !is_loaded(link, a)) continue;
      link.target->scan(link, f, a);
    }
    auto scan_record = [&](uint32_t atom, uint32_t begin, uint32_t end) {
      Atom part = link.atoms[atom];
      part.relocs += begin;
      part.reloc_count = end - begin;
      link.target->scan(link, f, part);
    };
    std::vector<bool> used(f.cies.size());
    for (const Fde& fde : f.fdes) {
      const Atom& a = link.atoms[fde.atom];
      if (!a.live || a.kind != AtomKind::regular || a.folded) continue;
      used[fde.cie] = true;
      const Rela* relocs = link.atoms[fde.source].relocs;
      // The first is the start of the code, which is here whoever else defines a symbol of that name.
      uint32_t begin = fde.reloc_begin;
      if (relocs[begin].type == link.target->r_pcrel32) begin++;
      bool plain = true;
      for (uint32_t r = begin; r < fde.reloc_end; r++)
        plain &= relocs[r].type == link.target->r_pcrel32 && relocs[r].sym < f.first_global;
      if (!plain) scan_record(fde.source, begin, fde.reloc_end);
    }
    for (size_t c = 0; c < f.cies.size(); c++)
      if (used[c] && f.cies[c].reloc_begin != f.cies[c].reloc_end)
        scan_record(f.cies[c].atom, f.cies[c].reloc_begin, f.cies[c].reloc_end);
  });
  if (link.has_modules) scan_functions(link);
  // Locals with slots become symbols.
  for (ObjectFile* f : link.objects) {
    if (f->promoted.empty()) continue;
    auto& list = f->promoted;
    std::sort(list.begin(), list.end(), [](const PromotedLocal& a, const PromotedLocal& b) { return a.sym < b.sym; });
    std::vector<PromotedLocal> unique;
    for (const PromotedLocal& p : list) {
      if (unique.empty() || unique.back().sym != p.sym) unique.push_back(p);
      else unique.back().id |= p.id;  // flags, until the symbol exists
    }
    for (PromotedLocal& p : unique) {
      uint32_t id, unused;
      if (!link.symbols.append(1, id) || !link.best.append(1, unused) || !link.lazy_of.append(1, unused)) {
        link.diag.error(too_many_symbols);
        return;
      }
      Symbol& s = link.symbols[id];
      const Sym& sym = f->syms[p.sym];
      std::string_view name = f->sym_name(sym);
      s.name = name.data();
      s.name_size = uint32_t(name.size());
      s.file = f->id;
      s.sym = p.sym;
      uint32_t section = f->section_of(p.sym);
      s.atom = section != 0 && section < f->sections.size() ? f->atom_base + section : none;
      s.value = sym.value;
      s.type = sym.type();
      s.bind = STB_LOCAL;
      s.local = true;
      s.flags = p.id;
      p.id = id;
    }
    list = std::move(unique);
  }
  report_undefined(link);
}

}  // namespace lode::link::elf
