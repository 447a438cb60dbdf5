// Listings: the map of the output, and why something is in it.
#include <algorithm>
#include <cstdio>
#include <map>

#include "link/elf/lower.h"
#include "link/elf/target.h"

namespace lode::link::elf {

// Address, size, alignment of every section, of what lies in it, and of the symbols there.
void print_map(Link& link) {
  if (!link.opt.print_map && link.opt.map_file.empty()) return;
  std::FILE* out = stdout;
  if (!link.opt.map_file.empty() && link.opt.map_file != "-") {
    out = std::fopen(link.opt.map_file.c_str(), "w");
    if (!out) {
      link.diag.error("cannot open map file " + link.opt.map_file);
      return;
    }
  }
  std::map<uint32_t, std::vector<const Symbol*>> by_atom;
  for (const Symbol& s : link.symbols)
    if (s.atom != none && !s.local && s.defined()) by_atom[s.atom].push_back(&s);
  std::fprintf(out, "%18s %11s %5s Out     In      Symbol\n", "VMA", "Size", "Align");
  auto line = [&](uint64_t addr, uint64_t size, uint64_t align) {
    std::fprintf(out, "%#18llx %11llu %5llu ", static_cast<unsigned long long>(addr), static_cast<unsigned long long>(size), static_cast<unsigned long long>(align));
  };
  for (OutputSection* s : link.order) {
    if (!s->index) continue;
    line(s->addr, s->size, s->align);
    std::fprintf(out, "%s\n", s->name.c_str());
    for (uint32_t id : s->atoms) {
      const Atom& a = link.atoms[id];
      if (a.file == none || !a.size) continue;
      line(link.atom_address[id], a.size, uint64_t{1} << a.p2align);
      InputFile& f = *link.files[a.file];
      std::string_view name = f.kind == FileKind::internal ? std::string_view("common") : section_name(static_cast<ObjectFile&>(f), a.section);
      std::fprintf(out, "        %s:(%.*s)\n", f.name.c_str(), int(name.size()), name.data());
      if (auto it = by_atom.find(id); it != by_atom.end()) {
        std::sort(it->second.begin(), it->second.end(), [](auto* x, auto* y) { return x->value != y->value ? x->value < y->value : x->str() < y->str(); });
        for (const Symbol* y : it->second) {
          line(y->address, 0, 0);
          std::fprintf(out, "                %s\n", link.display(*y).c_str());
        }
      }
    }
  }
  if (out != stdout) std::fclose(out);
}

}  // namespace lode::link::elf
