// Resolve: which definition every name means, and which archive members that takes.
//
// A definition's key is its class and its file's priority; the smallest key of a name wins, found by an atomic minimum
// over all files in parallel. Classes: 0 strong, 1 common, 2 weak (all in objects; a common symbol goes before a weak
// definition: gABI, "Symbol Table"), 3 in a shared library or an archive member that is not taken yet. So a shared
// library and an archive compete by position, and any object beats both.
//
// Members are taken in rounds: all strong references of the files that came in with the last round, whose best
// definition is a waiting member, bring that member in. The order in which members arrive therefore does not matter,
// and archives need no --start-group.
//
// When nothing more arrives, COMDAT groups get their owners (the lowest priority), the other copies are discarded, and
// the keys are computed anew without them.

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "formats/linker_script.h"
#include "link/elf/link.h"
#include "link/elf/code/lower.h"
#include "link/elf/reports/source_lines.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

constexpr int common_class = 1, weak_class = 2;
constexpr uint64_t shared_class = 3;
constexpr uint64_t key(uint64_t cls, uint32_t priority) { return cls << 32 | priority; }

// Whether the definition by symbol i of an object is one that a host removed (Linker::remove_symbol).
bool is_taken_out(const Link& link, const ObjectFile& file, uint32_t i) {
  return !link.opt.removed.empty() && file.archive_name.empty() && (link.symbols[file.symbol_id(i)].flags & is_removed);
}

// The class of symbol i of an object, or -1 when it defines nothing: undefined, or in a section that is no part of the
// output, be it another file's copy of a group, a note to the linker, or a table of the file itself.
int class_of(Link& link, const ObjectFile& file, uint32_t i) {
  const Sym& s = file.syms[i];
  if (s.shndx == SHN_UNDEF || is_taken_out(link, file, i)) return -1;
  uint32_t section = file.section_of(i);
  if (section == section_common || section == section_lcommon) return common_class;
  // A discarded group's, or of a section that is not for the output (SHF_EXCLUDE).
  if (section < file.sections.size() && link.atoms[file.atom_base + section].kind <= AtomKind::discarded) return -1;
  return s.bind() == STB_WEAK ? weak_class : 0;
}

void claim(Link& link, InputFile& f) {
  if (f.kind == FileKind::shared) {
    for (uint32_t i = 0; i < f.globals.names.size(); i++)
      if (f.syms[i].shndx != SHN_UNDEF) atomic_min(link.best[f.globals.names[i].id], key(shared_class, f.priority));
    return;
  }
  auto& obj = static_cast<ObjectFile&>(f);
  for (uint32_t i = obj.first_global; i < obj.syms.size(); i++)
    if (int c = class_of(link, obj, i); c >= 0) atomic_min(link.best[obj.symbol_id(i)], key(uint64_t(c), f.priority));
}

bool member_defines(Link& link, uint32_t lazy, std::string_view name) {
  const LazyMember& l = link.lazy[lazy];
  if (l.taken) return false;
  Bytes data =
      l.file != none ? link.files[l.file]->data : link.archives[l.archive]->contents->archive.members[l.member].data;
  auto view = ElfView::open(data);
  if (!view) return false;
  for (uint32_t i = view->first_global; i < view->symbols.size(); i++)
    if (view->symbol_name(view->symbols[i]) == name)
      return view->symbols[i].shndx != SHN_UNDEF && view->symbols[i].shndx != SHN_COMMON;
  return false;
}

// The lazy members that the strong references of `f` ask for.
void wanted_members(Link& link, InputFile& f, std::vector<uint32_t>& out) {
  auto want = [&](uint32_t id, bool visible) {
    uint32_t lazy = link.lazy_of[id];
    if (lazy == none || link.lazy[lazy].taken) return;
    // What a shared library defines is of no use to a hidden reference.
    bool only_shared = !visible && link.best[id] >> 32 == shared_class;
    if (only_shared || key(shared_class, link.lazy[lazy].priority) < link.best[id]) out.push_back(lazy);
  };
  for (uint32_t i = f.first_global; i - f.first_global < f.globals.names.size(); i++) {
    const Sym& s = f.syms[i];
    if (s.shndx == SHN_UNDEF && s.bind() != STB_WEAK) want(f.symbol_id(i), s.visibility() == STV_DEFAULT);
    // A common symbol gives way to a member's definition, if the member has more than a common symbol itself.
    if (s.shndx == SHN_COMMON && link.opt.fortran_common && link.lazy_of[f.symbol_id(i)] != none &&
        member_defines(link, link.lazy_of[f.symbol_id(i)], f.sym_name(s)))
      out.push_back(link.lazy_of[f.symbol_id(i)]);
  }
}

void apply_lazy(Link& link) {
  // Archives are few and their names many; one pass each. The lowest lazy index is the lowest priority.
  parallel_for(size_t(0), link.archives.size(), [&](size_t a) {
    ArchiveInput& ar = *link.archives[a];
    for (size_t i = 0; i < ar.names.names.size(); i++) atomic_min(link.lazy_of[ar.names.names[i].id], ar.members[i]);
  });
}

void own_comdats(Link& link) {
  parallel_for(size_t(0), link.objects.size(), [&](size_t i) {
    for (Group& g : link.objects[i]->groups)
      if (g.comdat && !g.dead) atomic_min(link.comdat_owner[g.signature.id], comdat_rank(*link.objects[i]));
  });
  parallel_for(size_t(0), link.objects.size(), [&](size_t i) {
    ObjectFile& f = *link.objects[i];
    for (size_t k = 0; k < f.groups.size(); k++) {
      Group& g = f.groups[k];
      if (!g.comdat || g.dead) continue;
      bool lost = link.comdat_owner[g.signature.id] != comdat_rank(f);
      for (size_t j = 0; j < k && !lost; j++)  // a second group of the same name in one file
        lost = f.groups.size() < 64 && f.groups[j].comdat && f.groups[j].signature.id == g.signature.id;
      if (!lost) continue;
      g.dead = true;
      for (const Word& m : g.members) {
        Atom& a = link.atoms[f.atom_base + m.value];
        a.kind = AtomKind::discarded;
        a.live = 0;
      }
    }
  });
}

// Fills the record of every symbol that `f` won, and notes its references.
void settle(Link& link, InputFile& f) {
  if (f.kind == FileKind::shared) {
    auto& so = static_cast<SharedFile&>(f);
    for (uint32_t i = 0; i < so.globals.names.size(); i++) {
      const Sym& s = so.syms[i];
      Symbol& sym = link.symbols[so.globals.names[i].id];
      atomic_or(sym.flags, uint32_t(referenced_by_shared));
      if (s.shndx == SHN_UNDEF || link.best[so.globals.names[i].id] != key(shared_class, f.priority)) continue;
      sym.file = f.id;
      sym.sym = i;
      sym.atom = none;
      sym.value = s.value;
      sym.type = s.type();
      sym.bind = s.bind();
      sym.version = so.versions[i];
    }
    return;
  }
  auto& obj = static_cast<ObjectFile&>(f);
  for (uint32_t i = obj.first_global; i < obj.syms.size(); i++) {
    const Sym& s = obj.syms[i];
    uint32_t id = obj.symbol_id(i);
    Symbol& sym = link.symbols[id];
    if (s.shndx != SHN_UNDEF && is_taken_out(link, obj, i)) continue;
    uint8_t constraint = Symbol::constraint_of(s.visibility());
    if (constraint < 3) atomic_min(sym.constraint, constraint);
    int c = class_of(link, obj, i);
    uint32_t flags = 0;
    if (s.shndx == SHN_UNDEF || c < 0)
      flags = s.bind() != STB_WEAK ? uint32_t(referenced) | uint32_t(referenced_strong) : uint32_t(referenced);
    else if (c == common_class) flags = referenced;
    if (obj.kind == FileKind::object) flags |= referenced_by_object;
    if (c < 0 && s.type() == STT_TLS) flags |= referenced_tls;
    if (flags) atomic_or(sym.flags, flags);
    if (c < 0) continue;
    if (link.best[id] != key(uint64_t(c), f.priority)) continue;
    uint32_t section = obj.section_of(i);
    // `foo` beside `foo@@V`, as the assembler leaves it: the versioned one stands for both.
    if (sym.file == f.id && obj.sym_name(obj.syms[sym.sym]).size() > obj.sym_name(s).size()) continue;
    sym.file = f.id;
    sym.sym = i;
    sym.value = s.value;
    sym.type = s.type();
    sym.bind = s.bind() == STB_GNU_UNIQUE && !link.opt.gnu_unique ? uint8_t(STB_GLOBAL) : s.bind();
    sym.is_common = c == common_class;
    sym.atom = section < obj.sections.size() && section != SHN_UNDEF ? obj.atom_base + section : none;
  }
}

// References that name a version, `foo@V`: found in the shared libraries' symbols, hidden ones included.
void resolve_versioned(Link& link) {
  for (ObjectFile* f : link.objects)
    for (auto& [i, version] : f->symvers) {
      if (f->syms[i].shndx != SHN_UNDEF) continue;
      Symbol& s = link.symbols[f->symbol_id(i)];
      if (s.defined()) continue;
      std::string_view wanted = std::string_view(version).substr(version.starts_with("@@") ? 2 : 1);
      std::string_view name = f->sym_name(f->syms[i]);
      name = name.substr(0, name.find('@'));
      for (SharedFile* so : link.shareds) {
        for (uint32_t k = 0; k < so->syms.size() && !s.defined(); k++) {
          if (so->syms[k].shndx == SHN_UNDEF || so->sym_name(so->syms[k]) != name) continue;
          uint16_t v = so->versions[k];
          if (v >= so->version_names.size() || so->version_names[v] != wanted) continue;
          s.file = so->id;
          s.sym = k;
          s.value = so->syms[k].value;
          s.type = so->syms[k].type();
          s.bind = so->syms[k].bind();
          s.version = v;
        }
      }
      if (uint32_t base = s.defined() ? none : link.names.find(name); base != none && link.symbols[base].defined()) {
        Symbol& t = link.symbols[base];
        InputFile& def = *link.files[t.file];
        bool matches = false;
        if (def.is_object())
          for (auto& [k, v] : static_cast<ObjectFile&>(def).symvers)
            matches |= k == t.sym && std::string_view(v).ends_with("@" + std::string(wanted));
        if (matches) {
          s.file = t.file; s.sym = t.sym; s.atom = t.atom; s.value = t.value; s.type = t.type; s.bind = t.bind;
        }
      }
    }
}

}  // namespace

void bind_again(Link& link) {
  for (SharedFile* so : link.shareds)
    for (uint32_t i = 0; i < so->globals.names.size(); i++) {
      Symbol& s = link.symbols[so->globals.names[i].id];
      const Sym& def = so->syms[i];
      if (s.defined() || def.shndx == SHN_UNDEF || !(s.flags & referenced) || s.visibility() != STV_DEFAULT) continue;
      s.file = so->id;
      s.sym = i;
      s.atom = none;
      s.value = def.value;
      s.type = def.type();
      s.bind = def.bind();
      s.version = so->versions[i];
    }
}

// The names of the archives from `first` on enter the table, so that references find them.
static bool intern_archives(Link& link, size_t first) {
  std::vector<NameBatch*> batches;
  for (size_t i = first; i < link.archives.size(); i++) batches.push_back(&link.archives[i]->names);
  std::vector<NameRef> fresh;
  link.names.intern(batches, uint32_t(link.symbols.size()), fresh);
  uint32_t at = 0, unused;
  if (!link.symbols.append(fresh.size(), at) || !link.best.extend(fresh.size(), unused) ||
      !link.lazy_of.extend(fresh.size(), unused)) {
    link.diag.error(too_many_symbols);
    return false;
  }
  for (size_t i = 0; i < fresh.size(); i++) {
    link.symbols[at + i].name = fresh[i].data;
    link.symbols[at + i].name_size = fresh[i].size;
    link.best[at + i] = ~uint64_t{0};
    link.lazy_of[at + i] = none;
  }
  apply_lazy(link);
  return true;
}

static bool by_priority(const InputFile* a, const InputFile* b) { return a->priority < b->priority; }

static std::vector<InputFile*> unread_files(Link& link) {
  std::vector<InputFile*> out;
  for (auto& f : link.files)
    if (f->alive && !f->parsed && f->kind != FileKind::internal) out.push_back(f.get());
  std::sort(out.begin(), out.end(), by_priority);
  return out;
}

// Takes members until nothing is missing that one could supply. `fresh`: the files that came in since the last call.
// Libraries that these ask for themselves join when all else is there; what such a library has, any file may have
// wanted.
static bool take_members(Link& link, std::vector<InputFile*> fresh) {
  bool roots_done = false;
  std::vector<InputFile*> asking = fresh;
  while (!fresh.empty() || !roots_done) {
    parse_files(link, fresh);
    parallel_for(size_t(0), fresh.size(), [&](size_t i) {
      if (fresh[i]->alive) claim(link, *fresh[i]);
    });
    std::vector<std::vector<uint32_t>> wanted(asking.size() + 1);
    parallel_for(size_t(0), asking.size(), [&](size_t i) {
      if (asking[i]->alive) wanted_members(link, *asking[i], wanted[i]);
    });
    if (!roots_done) {
      roots_done = true;
      for (uint32_t id = 0; id < link.symbols.size(); id++) {
        if (!(link.symbols[id].flags & is_root)) continue;
        uint32_t lazy = link.lazy_of[id];
        if (lazy != none && !link.lazy[lazy].taken && key(shared_class, link.lazy[lazy].priority) < link.best[id])
          wanted.back().push_back(lazy);
      }
    }
    fresh.clear();
    for (auto& list : wanted)
      for (uint32_t l : list)
        if (InputFile* f = take_lazy(link, l)) fresh.push_back(f);
    std::sort(fresh.begin(), fresh.end(), by_priority);
    asking = fresh;
    if (!fresh.empty()) continue;
    const size_t archives = link.archives.size();
    if (!open_dependent_libraries(link)) continue;
    if (link.diag.has_errors() || !intern_archives(link, archives)) return false;
    fresh = unread_files(link);
    asking.clear();
    for (auto& f : link.files)
      if (f->alive && f->kind != FileKind::internal) asking.push_back(f.get());
    roots_done = false;
  }
  return !link.diag.has_errors();
}

// --undefined-glob: every name there is that matches.
static void root_globs(Link& link) {
  for (const std::string& glob : link.opt.undefined_globs)
    for (uint32_t id = 0; id < link.symbols.size(); id++)
      if (formats::glob_match(glob, link.symbols[id].str())) link.symbols[id].flags |= is_root | referenced;
}

static void root(Link& link, std::string_view name) {
  link.symbols[link.intern(name)].flags |= is_root | referenced | referenced_strong;
}

// The first call reads all inputs; later ones go on from the files that take_late_members() has added.
bool resolve(Link& link) {
  bool first = link.objects.empty() && link.shareds.empty();
  if (first) {
    // Names of archives first, so that references find them.
    // The entry is looked for, in archives too, but nothing is wrong if only a weak reference wants it besides.
    if ((!link.relocatable && link.opt.kind != OutputKind::shared) || link.opt.entry_given)
      link.symbols[link.intern(link.entry_name)].flags |= is_root | referenced;
    for (const std::string& u : link.opt.undefined) root(link, u);
    for (const std::string& u : link.script_roots) root(link, u);
    for (const std::string& u : link.opt.require_defined) root(link, u);
    intern_runtime_names(link);
    for (const std::string& w : link.opt.wraps) link.intern(w);
    for (const std::string& name : link.opt.removed) link.symbols[link.intern(name)].flags |= is_removed;
    root_assignments(link);
    if (!intern_archives(link, 0)) return false;
    root_globs(link);
  }
  if (!take_members(link, unread_files(link))) return false;

  link.objects.clear();
  link.shareds.clear();
  for (auto& f : link.files) {
    if (!f->alive || f->kind == FileKind::internal) continue;
    if (f->is_object()) link.objects.push_back(static_cast<ObjectFile*>(f.get()));
    else link.shareds.push_back(static_cast<SharedFile*>(f.get()));
  }
  std::sort(link.objects.begin(), link.objects.end(), by_priority);
  std::sort(link.shareds.begin(), link.shareds.end(), by_priority);
  // The same library by two paths: the first stands for both.
  for (size_t i = 0; i < link.shareds.size(); i++)
    for (size_t j = 0; j < i; j++)
      if (link.shareds[i]->soname == link.shareds[j]->soname && link.shareds[j]->alive) {
        link.shareds[i]->alive = false;
        link.shareds[j]->as_needed &= link.shareds[i]->as_needed;
        break;
      }
  std::erase_if(link.shareds, [](SharedFile* f) { return !f->alive; });

  if (!link.opt.undefined_globs.empty()) root_globs(link);
  own_comdats(link);
  parallel_for(size_t(0), link.symbols.size(), [&](size_t i) {
    Symbol& s = link.symbols[i];
    if (s.local) return;
    link.best[i] = ~uint64_t{0};
    s.file = s.atom = none;
    s.linker_defined = s.is_common = false;
  });
  auto each = [&](auto&& fn) {
    parallel_for(size_t(0), link.objects.size() + link.shareds.size(), [&](size_t i) {
      if (i < link.objects.size()) fn(*link.objects[i]);
      else fn(*link.shareds[i - link.objects.size()]);
    });
  };
  each([&](InputFile& f) { claim(link, f); });
  each([&](InputFile& f) { settle(link, f); });
  resolve_versioned(link);
  apply_assignments(link);
  for (const std::string& name : link.opt.require_defined)
    if (!link.symbols[link.intern(name)].defined())
      link.diag.recoverable("--require-defined: undefined symbol: " + name);
  return !link.diag.has_errors();
}

// GNU ld makes an executable that starts at the beginning of its code and warns, and so does this linker
// (write_headers). Where code is made from IR nothing would be made at all then, so that it is an error.
void check_entry(Link& link) {
  if (link.relocatable || (link.shared && !link.opt.entry_given)) return;
  const uint32_t id = link.names.find(link.entry_name);
  if (id != none && link.symbols[id].defined() && link.files[link.symbols[id].file]->is_object()) return;
  if (link.opt.entry_given && !link.entry_name.empty() && std::isdigit(uint8_t(link.entry_name[0])))
    return;  // an address
  const std::string name = demangle(link.entry_name);
  if (link.shared || std::none_of(link.objects.begin(), link.objects.end(),
                                  [](const ObjectFile* f) { return f->kind == FileKind::module && f->alive; })) {
    link.diag.warning(
        "cannot find entry symbol " + name +
        (link.shared ? "; the output has no start address" : "; the output starts at the beginning of .text"));
    return;
  }
  link.diag.error("no entry point: " + name +
                  " is not defined (start-up files define _start; -e NAME starts elsewhere)");
}

void report_duplicates(Link& link) {
  if (link.opt.allow_multiple_definition) return;
  std::vector<uint32_t> replaced;
  for (const MemoryInput& m : link.opt.memory)
    if (!m.replaces.empty()) replaced.push_back(link.intern(m.replaces));
  std::sort(replaced.begin(), replaced.end());
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i = f.first_global; i < f.syms.size(); i++) {
      if (f.syms[i].shndx == SHN_UNDEF || f.syms[i].bind() == STB_WEAK) continue;
      const Symbol& s = link.symbols[f.symbol_id(i)];
      if (std::binary_search(replaced.begin(), replaced.end(), f.symbol_id(i))) continue;
      if (s.file == f.id &&
          (s.sym == i || (f.syms[s.sym].value == f.syms[i].value && f.section_of(s.sym) == f.section_of(i))))
        continue;
      if (s.file == none || s.linker_defined || class_of(link, f, i) != 0) continue;
      if (s.is_common || s.bind == STB_WEAK || !link.files[s.file]->is_object()) continue;
      // Two equal absolute values are one definition.
      if (f.section_of(i) == section_abs && s.atom == none && s.value == f.syms[i].value) continue;
      auto place = [&](InputFile& file, uint32_t atom, uint64_t value) {
        if (atom == none) return file.name;
        char hex[32];
        std::snprintf(hex, sizeof hex, "+0x%llx)", static_cast<unsigned long long>(value));
        auto& obj = static_cast<ObjectFile&>(file);
        std::string line = source_line(obj, link.atoms[atom].section, value);
        if (!line.empty()) line += "\n>>>            ";
        return line + file.name + ":(" +
               (obj.view.header ? std::string(obj.view.section_name(link.atoms[atom].section)) : std::string()) + hex;
      };
      uint32_t section = f.section_of(i);
      InputFile& first = *link.files[s.file];
      link.diag.recoverable("duplicate symbol: " + first.name + ": " + f.name + ": " + link.display(s) +
                                "\n>>> defined at " + place(first, s.atom, s.value) + "\n>>> defined at " +
                                place(f, section < f.sections.size() ? f.atom_base + section : none, f.syms[i].value),
                            uint64_t(f.priority) << 32 | i);
    }
  });
}

}  // namespace lode::link::elf
