// Listings: the map of the output, and why something is in it.
#include <algorithm>
#include <cstdio>
#include <map>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"
#include "link/common/output_file.h"

namespace lode::link::elf {

Result<void> write_listing(Link& link, const std::string& path, const std::string& text) {
  if (path != "-" || !link.diag.listing) return write_text(path, text);
  link.diag.print("%s", text.c_str());
  return {};
}

bool write_report(Link& link, const std::string& path, const std::string& text) {
  auto written = write_listing(link, path, text);
  if (!written) link.diag.error(written.error());
  return written.ok();
}

// --error-handling-script: the command may know what to do about a missing name, or where to look for it.
void run_error_script(Link& link, const char* what, const std::string& name) {
  const std::string& command = link.opt.error_handling_script;
  if (command.empty()) return;
  if (!link.diag.listing) std::fflush(stdout);  // before what the command prints
  std::string arguments[] = {command, what, name};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  pid_t child = 0;
  int status = 0;
  bool ran = posix_spawnp(&child, command.c_str(), nullptr, nullptr, argv, environ) == 0 &&
             waitpid(child, &status, 0) == child && WIFEXITED(status);
  if (!ran) link.diag.error("--error-handling-script: cannot run " + command);
}

// Address, size, alignment of every section, of what lies in it, and of the symbols there.
void print_map(Link& link) {
  if (!link.opt.print_map && link.opt.map_file.empty()) return;
  std::string text;
  std::map<uint32_t, std::vector<const Symbol*>> by_atom;
  for (const Symbol& s : link.symbols)
    if (s.atom != none && !s.local && s.defined()) by_atom[s.atom].push_back(&s);
  char columns[96];
  auto line = [&](uint64_t addr, uint64_t size, uint64_t align) -> std::string& {
    std::snprintf(columns, sizeof columns, "%#18llx %11llu %5llu ", static_cast<unsigned long long>(addr),
                  static_cast<unsigned long long>(size), static_cast<unsigned long long>(align));
    return text += columns;
  };
  std::snprintf(columns, sizeof columns, "%18s %11s %5s Out     In      Symbol\n", "VMA", "Size", "Align");
  text += columns;
  for (OutputSection* s : link.order) {
    if (!s->index) continue;
    line(s->addr, s->size, s->align) += s->name + "\n";
    for (uint32_t id : s->atoms) {
      const Atom& a = link.atoms[id];
      if (a.file == none || !a.size) continue;
      InputFile& f = *link.files[a.file];
      std::string_view name = f.kind == FileKind::internal ? std::string_view("common")
                                                           : section_name(static_cast<ObjectFile&>(f), a.section);
      line(link.atom_address[id], a.size, uint64_t{1} << a.p2align) +=
          "        " + f.name + ":(" + std::string(name) + ")\n";
      if (auto it = by_atom.find(id); it != by_atom.end()) {
        std::sort(it->second.begin(), it->second.end(),
                  [](auto* x, auto* y) { return x->value != y->value ? x->value < y->value : x->str() < y->str(); });
        for (const Symbol* y : it->second) line(y->address, 0, 0) += "                " + link.display(*y) + "\n";
      }
    }
  }
  if (link.opt.print_map_discarded) {
    text += "\nDiscarded input sections\n";
    for (ObjectFile* f : link.objects)
      for (uint32_t i = 1; i < f->sections.size(); i++) {
        const Atom& a = link.atoms[f->atom_base + i];
        if (a.kind == AtomKind::none || (a.live && a.kind != AtomKind::discarded) || !f->sections[i].size) continue;
        std::string_view name = section_name(*f, i);
        char size[64];
        std::snprintf(size, sizeof size, "%18s %11llu %5s ", "", static_cast<unsigned long long>(f->sections[i].size),
                      "");
        text += size + std::string(8, ' ') + f->name + ":(" + std::string(name) + ")\n";
      }
  }
  if (auto r = write_listing(link, link.opt.map_file.empty() ? "-" : link.opt.map_file, text); !r)
    link.diag.error(std::move(r.error()).at("map file"));
}

// --cref: every symbol with the file that defines it, and below it those that refer to it.
void print_cross_references(Link& link) {
  if (!link.opt.cref) return;
  struct Users {
    std::string definer;
    std::vector<std::string_view> others;
  };
  std::map<std::string, Users> symbols;
  std::vector<InputFile*> files(link.objects.begin(), link.objects.end());
  files.insert(files.end(), link.shareds.begin(), link.shareds.end());
  std::sort(files.begin(), files.end(), [](InputFile* a, InputFile* b) { return a->priority < b->priority; });
  for (InputFile* f : files)
    for (uint32_t i = 0; i < f->globals.names.size(); i++) {
      const Symbol& s = link.symbols[f->globals.names[i].id];
      // Only what objects define or refer to; a library's other names are nobody's.
      if (!f->is_object() && !(s.flags & referenced)) continue;
      if (!f->is_object() && s.file != f->id) continue;
      Users& u = symbols[link.display(s)];
      if (s.file == f->id) u.definer = f->name;
      else if (u.others.empty() || u.others.back() != f->name) u.others.push_back(f->name);
    }
  std::string text = "\nCross Reference Table\n\n";
  auto line = [&](std::string name, std::string_view file) {
    if (name.size() < 49) name.resize(49, ' ');
    text += name + " " + std::string(file) + "\n";
  };
  line("Symbol", "File");
  for (auto& [name, u] : symbols) {
    std::string first = name;
    if (!u.definer.empty()) {
      line(first, u.definer);
      first.clear();
    }
    for (std::string_view other : u.others) {
      line(first, other);
      first.clear();
    }
  }
  if (link.opt.map_file.empty() || link.opt.map_file == "-") {
    link.diag.print("%s", text.c_str());
    return;
  }
  std::FILE* out = std::fopen(link.opt.map_file.c_str(), "a");
  bool good = out && std::fputs(text.c_str(), out) >= 0;
  if (out) good &= std::fclose(out) == 0;
  if (!good) link.diag.error("cannot write " + link.opt.map_file);
}

// --print-memory-usage: the table of regions. They come from MEMORY in linker scripts, which are not taken, so that
// there is none.
void print_memory_usage(Link& link) {
  if (link.opt.print_memory_usage) link.diag.print("Memory region         Used Size  Region Size  %%age Used\n");
}

// -y: every file that defines or refers to one of the symbols.
void trace_symbols(Link& link) {
  if (link.opt.trace_symbols.empty()) return;
  std::vector<InputFile*> files(link.objects.begin(), link.objects.end());
  files.insert(files.end(), link.shareds.begin(), link.shareds.end());
  std::sort(files.begin(), files.end(), [](InputFile* a, InputFile* b) { return a->priority < b->priority; });
  for (InputFile* f : files)
    for (size_t i = 0; i < f->globals.names.size(); i++) {
      std::string_view full = f->sym_name(f->syms[f->first_global + i]), name = f->globals.names[i].str();
      for (const std::string& wanted : link.opt.trace_symbols)
        if (name == wanted || full == wanted)
          link.diag.print("trace-symbol: %s: %s %s\n", f->name.c_str(),
                          f->syms[f->first_global + i].shndx == SHN_UNDEF ? "reference to" : "definition of",
                          wanted.c_str());
    }
}

// Which file needs which other, and for what: user, definer, symbol, separated by tabs.
void print_dependencies(Link& link) {
  if (!link.opt.print_dependencies) return;
  for (ObjectFile* f : link.objects)
    for (uint32_t i = f->first_global; i < f->syms.size(); i++) {
      const Symbol& s = link.symbols[f->symbol_id(i)];
      if (f->syms[i].shndx != SHN_UNDEF || !s.defined() || s.linker_defined || s.file == f->id ||
          link.files[s.file]->kind == FileKind::internal)
        continue;
      link.diag.print("%s\t%s\t%s\n", f->name.c_str(), link.files[s.file]->name.c_str(), link.display(s).c_str());
    }
}

// For each asked symbol a chain of references, from it up to an atom that is live by itself.
void why_live(Link& link) {
  if (link.opt.why_live.empty()) return;
  struct Edge {
    uint32_t to, from;
  };
  std::vector<Edge> edges;
  auto atom_of = [&](uint32_t id) { return link.symbols[id].atom; };
  for (ObjectFile* f : link.objects)
    for (uint32_t i = 1; i < f->sections.size(); i++) {
      uint32_t from = f->atom_base + i;
      const Atom& a = link.atoms[from];
      if (!a.live || !is_loaded(link, a)) continue;
      for (uint32_t r = 0; r < a.reloc_count; r++) {
        if (a.relocs[r].sym >= f->syms.size()) continue;
        Referent t = referent(link, *f, a.relocs[r].sym);
        uint32_t to = t.id != none ? atom_of(t.id) : t.atom;
        if (to != none && to != from) edges.push_back({to, from});
      }
    }
  if (link.has_modules)
    for_each_reference(link, [&](uint32_t from, uint32_t symbol) {
      if (atom_of(symbol) != none && atom_of(symbol) != from) edges.push_back({atom_of(symbol), from});
    });
  std::stable_sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.to < b.to; });
  auto describe = [&](uint32_t atom) {
    for (const Symbol& s : link.symbols)
      if (s.atom == atom && s.name_size && s.defined())
        return link.display(s) + " in " + link.files[link.atoms[atom].file]->name;
    const Atom& a = link.atoms[atom];
    return link.files[a.file]->name + ":(" + std::string(section_name(link.object(a.file), a.section)) + ")";
  };
  for (const std::string& name : link.opt.why_live) {
    uint32_t id = link.names.find(name);
    if (id == none || atom_of(id) == none || !link.atoms[atom_of(id)].live) {
      link.diag.print("%s is not live\n", name.c_str());
      continue;
    }
    // Breadth first towards the roots: the shortest chain.
    std::map<uint32_t, uint32_t> next;
    std::vector<uint32_t> queue = {atom_of(id)};
    next[queue[0]] = none;
    uint32_t root = queue[0];
    for (size_t k = 0; k < queue.size(); k++) {
      uint32_t a = queue[k];
      auto it = std::lower_bound(edges.begin(), edges.end(), a, [](const Edge& e, uint32_t v) { return e.to < v; });
      bool any = false;
      for (; it != edges.end() && it->to == a; ++it) {
        any = true;
        if (next.try_emplace(it->from, a).second) queue.push_back(it->from);
      }
      bool is_root = false;
      for (const char* r : {link.entry_name.c_str(), link.opt.init.c_str(), link.opt.fini.c_str()})
        if (uint32_t s = link.names.find(r); s != none) is_root |= atom_of(s) == a;
      if (!any || is_root) {
        root = a;
        break;
      }
      root = a;
    }
    std::vector<uint32_t> chain;
    for (uint32_t a = root; a != none; a = next[a]) chain.push_back(a);
    link.diag.print("live symbol: %s\n", describe(chain.back()).c_str());
    for (size_t k = chain.size() - 1; k-- > 0;) link.diag.print(">>> kept alive by %s\n", describe(chain[k]).c_str());
  }
}

}  // namespace lode::link::elf
