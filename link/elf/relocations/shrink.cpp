// What a section that shrinks takes along (shrink.h).
#include "link/elf/relocations/shrink.h"


#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/common/parallel.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

std::span<const ShrinkSite> sites_of(const ShrinkState& state, const ShrinkFile& f, const ShrinkAtom& a) {
  if (a.leader_file != none) {
    const ShrinkFile& other = state.files[a.leader_file];
    return sites_of(state, other, other.atoms[a.leader]);
  }
  return std::span(f.sites).subspan(a.sites, a.site_count);
}

// Where a place of the input is now. A place inside of what was removed is where that was.
uint64_t moved(std::span<const ShrinkSite> sites, uint64_t offset) {
  auto at = std::partition_point(sites.begin(), sites.end(),
                                 [&](const ShrinkSite& s) { return s.offset + s.length - s.removed < offset; });
  if (at == sites.begin()) return offset;
  const ShrinkSite& s = at[-1];
  return offset - s.before - std::min<uint64_t>(s.removed, offset - (s.offset + s.length - s.removed));
}

uint64_t removed_of(std::span<const ShrinkSite> sites) {
  return sites.empty() ? 0 : sites.back().before + sites.back().removed;
}

// The same for places of which most are in ascending order: each is looked for from the one before on.
class Mover {
 public:
  explicit Mover(std::span<const ShrinkSite> sites) : sites_(sites) {}
  bool empty() const { return sites_.empty(); }
  uint64_t operator()(uint64_t offset) {
    if (offset < last_) next_ = 0;
    last_ = offset;
    next_ = find(offset);
    return place(next_, offset);
  }
  // For one place only, not before the last one.
  uint64_t ahead(uint64_t offset) const { return place(find(offset), offset); }

 private:
  bool is_before(size_t site, uint64_t offset) const {
    const ShrinkSite& s = sites_[site];
    return s.offset + s.length - s.removed < offset;
  }
  // How many sites lose their bytes before the place.
  size_t find(uint64_t offset) const {
    size_t n = next_;
    for (unsigned steps = 0; n < sites_.size() && is_before(n, offset); n++)
      if (++steps > 8)
        return size_t(std::partition_point(
                          sites_.begin() + ptrdiff_t(n), sites_.end(),
                          [&](const ShrinkSite& s) { return is_before(size_t(&s - sites_.data()), offset); }) -
                      sites_.begin());
    return n;
  }
  uint64_t place(size_t n, uint64_t offset) const {
    if (n == 0) return offset;
    const ShrinkSite& s = sites_[n - 1];
    return offset - s.before - std::min<uint64_t>(s.removed, offset - (s.offset + s.length - s.removed));
  }

  std::span<const ShrinkSite> sites_;
  size_t next_ = 0;
  uint64_t last_ = 0;
};

// A symbol table of its own, which may change.
void own_symbols(ShrinkFile& s) {
  ObjectFile& f = *s.file;
  s.input_symbols = f.syms;
  f.owned.push_back(std::make_unique<std::vector<uint8_t>>(f.syms.size_bytes()));
  std::memcpy(f.owned.back()->data(), f.syms.data(), f.syms.size_bytes());
  s.symbols = {reinterpret_cast<Sym*>(f.owned.back()->data()), f.syms.size()};
  f.syms = s.symbols;
}

// Sums up what sites have lost, and padding that follows from it.
void settle(Link& link, ShrinkFile& s) {
  for (ShrinkAtom& a : s.atoms) {
    if (a.leader_file != none) continue;
    uint32_t before = 0;
    for (ShrinkSite& site : std::span(s.sites).subspan(a.sites, a.site_count)) {
      site.before = before;
      site.removed = link.machine->shrink->surplus(site, site.offset - before);
      before += site.removed;
    }
    link.atoms[a.atom].size = a.input_size - before;
  }
}

// Symbols of the input at their places now, with their sizes. They come section by section, and most of them in
// ascending order.
void move_symbols(Link& link, const ShrinkState& state, ShrinkFile& s) {
  ObjectFile& f = *s.file;
  uint32_t known = none;  // the section that `move` is for
  Mover move({});
  uint64_t limit = 0;
  for (uint32_t i = 1; i < f.syms.size(); i++) {
    const Sym& in = s.input_symbols[i];
    if (in.shndx == SHN_UNDEF || in.type() == STT_SECTION) continue;
    const uint32_t section = f.section_of(i);
    if (section >= f.sections.size()) continue;
    if (section != known) {
      known = section;
      move = Mover({});
      if (const Atom& a = link.atoms[f.atom_base + section]; a.extra != none && a.kind == AtomKind::regular) {
        const auto [file, k] = link.shrunk_atoms[a.extra];
        const ShrinkAtom& shrunk = state.files[file].atoms[k];
        move = Mover(sites_of(state, state.files[file], shrunk));
        limit = shrunk.input_size;
      }
    }
    if (move.empty() || in.value > limit) continue;
    const uint64_t at = move(in.value);
    if (in.size && in.size <= limit - in.value) s.symbols[i].size = move.ahead(in.value + in.size) - at;
    s.symbols[i].value = at;
    if (i < f.first_global) continue;
    Symbol& symbol = link.symbols[f.symbol_id(i)];
    if (symbol.file == f.id && symbol.sym == i && symbol.atom == f.atom_base + section) symbol.value = at;
  }
  for (const PromotedLocal& p : f.promoted) link.symbols[p.id].value = s.symbols[p.sym].value;
}

void move_all_symbols(Link& link, ShrinkState& state) {
  parallel_for(size_t(0), state.files.size(), [&](size_t k) { move_symbols(link, state, state.files[k]); });
}

void settle_all(Link& link, ShrinkState& state) {
  parallel_for(size_t(0), state.files.size(), [&](size_t k) { settle(link, state.files[k]); });
  if (state.symbols_are_moved) move_all_symbols(link, state);
  std::vector<uint8_t> changed(link.sections.size());
  for (const ShrinkFile& s : state.files)
    for (const ShrinkAtom& a : s.atoms)
      if (link.atoms[a.atom].out != none) changed[link.atoms[a.atom].out] = 1;
  parallel_for(size_t(0), link.sections.size(), [&](size_t i) {
    if (changed[i]) place_members(link, *link.sections[i]);
  });
}

// Copies what is left of a section, and its relocations at their new places.
void copy_rest(Link& link, ShrinkFile& s, ShrinkAtom& shrunk) {
  Atom& a = link.atoms[shrunk.atom];
  const auto sites = std::span<const ShrinkSite>(s.sites).subspan(shrunk.sites, shrunk.site_count);
  ObjectFile& f = *s.file;
  // With room behind it: where malformed relocations name places in what was removed, rules write into what is left.
  f.owned.push_back(std::make_unique<std::vector<uint8_t>>(a.size + shrink_slack));
  uint8_t* data = f.owned.back()->data();
  uint64_t from = 0, to = 0;
  auto copy_until = [&](uint64_t end) {
    std::memcpy(data + to, a.data + from, end - from);
    to += end - from;
  };
  for (const ShrinkSite& site : sites) {
    if (!site.removed) continue;
    copy_until(site.offset + site.length - site.removed);
    from = site.offset + site.length;
  }
  copy_until(shrunk.input_size);
  f.owned.push_back(std::make_unique<std::vector<uint8_t>>(a.reloc_count * sizeof(Rela)));
  auto* relocs = reinterpret_cast<Rela*>(f.owned.back()->data());
  std::memcpy(relocs, a.relocs, a.reloc_count * sizeof(Rela));
  Mover move(sites);
  for (uint32_t i = 0; i < a.reloc_count; i++) relocs[i].offset = move(relocs[i].offset);
  link.machine->shrink->rewrite(link, s, shrunk, data, relocs);
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    if (relocs[i].offset <= a.size && a.size - relocs[i].offset >= link.machine->row(relocs[i].type).bytes) continue;
    link.diag.error(relocation_place(link, f, a, a.relocs[i].offset) +
                        ": a relocation is for bytes that relaxation has removed",
                    relocation_key(f, a, i));
    relocs[i] = {uint64_t(a.size), link.machine->r_none, 0, 0};
  }
  a.data = data;
  a.relocs = relocs;
}

}  // namespace

uint64_t shrunk_offset(const Link& link, const Atom& a, uint64_t offset) {
  if (a.extra == none || a.kind != AtomKind::regular || !link.shrinking) return offset;
  const auto [file, atom] = link.shrunk_atoms[a.extra];
  const ShrinkFile& s = link.shrinking->files[file];
  return moved(sites_of(*link.shrinking, s, s.atoms[atom]), offset);
}

uint64_t code_target(Link& link, ObjectFile& f, uint32_t sym, int64_t addend) {
  const bool moved = !link.shrinking || link.shrinking->symbols_are_moved;
  auto place = [&](uint32_t atom, uint64_t value) {
    return link.atom_address[atom] + shrunk_offset(link, link.atoms[atom], value) + uint64_t(addend);
  };
  if (sym < f.first_global) {
    const Referent r = referent(link, f, sym);
    if (r.type == STT_GNU_IFUNC)
      if (uint32_t id = promoted_id(f, sym); id != none)
        return plt_address(link, link.symbols[id]) + uint64_t(addend);
    if (!moved && !r.section_symbol && r.atom != none && link.atoms[r.atom].kind == AtomKind::regular)
      return place(r.atom, r.value);
    return local_address(link, r, addend);
  }
  return code_address(link, link.symbols[f.symbol_id(sym)]) + uint64_t(addend);
}

uint64_t code_address(Link& link, const Symbol& s) {
  const bool moved = !link.shrinking || link.shrinking->symbols_are_moved;
  const bool by_plt = !(s.flags & in_copied) && (s.flags & (needs_plt | needs_canonical_plt)) &&
                      (s.imported || (s.type == STT_GNU_IFUNC && s.defined()));
  if (!moved && !by_plt && s.atom != none && !(s.flags & in_copied) && link.atoms[s.atom].kind == AtomKind::regular)
    return link.atom_address[s.atom] + shrunk_offset(link, link.atoms[s.atom], s.value);
  return by_plt ? plt_address(link, s) : symbol_address(link, s);
}

// The address that the register for small data has; 0: none.
static void find_global_pointer(Link& link) {
  link.gp = 0;
  if (link.shared || !link.machine->global_pointer) return;
  const uint32_t id = link.names.find(link.machine->global_pointer);
  if (id == none || !link.symbols[id].defined() || !link.files[link.symbols[id].file]->is_object()) return;
  link.gp = symbol_address(link, link.symbols[id]);
}

// What it changes are sizes, and places in sections: addresses stay those of the last layout.
static bool grow_sections(Link& link) {
  if (!link.shrinking) return false;
  ShrinkState& state = *link.shrinking;
  std::vector<uint8_t> grown(state.files.size());
  parallel_for(size_t(0), state.files.size(),
               [&](size_t k) { grown[k] = link.machine->shrink->grow(link, state.files[k]); });
  if (std::find(grown.begin(), grown.end(), 1) == grown.end()) return false;
  settle_all(link, state);
  return true;
}

void find_shrinking(Link& link) {
  if (!link.machine->shrink) return;
  auto state = std::make_shared<ShrinkState>();
  std::vector<uint32_t> file_of(link.files.size(), none);
  for (ObjectFile* f : link.objects) {
    if (f->shrinkable.empty()) continue;
    file_of[f->id] = uint32_t(state->files.size());
    state->files.emplace_back().file = f;
  }
  if (state->files.empty()) return;
  const ShrinkRules& rules = *link.machine->shrink;
  auto begin_atom = [&](uint32_t atom) {
    ShrinkAtom a;
    a.atom = atom;
    a.input_size = link.atoms[atom].size;
    return a;
  };
  parallel_for(size_t(0), state->files.size(), [&](size_t k) {
    ShrinkFile& s = state->files[k];
    std::sort(s.file->shrinkable.begin(), s.file->shrinkable.end());
    for (uint32_t section : s.file->shrinkable) {
      ShrinkAtom a = begin_atom(s.file->atom_base + section);
      a.sites = uint32_t(s.sites.size());
      a.groups = uint32_t(s.groups.size());
      rules.find(link, s, a);
      a.site_count = uint32_t(s.sites.size()) - a.sites;
      a.group_count = uint32_t(s.groups.size()) - a.groups;
      s.atoms.push_back(a);
    }
    rules.begin(link, s);
  });
  // Symbols in a folded section move as those of the section that stands for it.
  std::vector<size_t> own_count;  // of each file's, which stand in the order of their indices
  for (const ShrinkFile& s : state->files) own_count.push_back(s.atoms.size());
  auto shrunk_atom = [&](uint32_t file, uint32_t atom) {
    const auto atoms = std::span(state->files[file].atoms).first(own_count[file]);
    const auto it = std::lower_bound(atoms.begin(), atoms.end(), atom,
                                     [](const ShrinkAtom& a, uint32_t id) { return a.atom < id; });
    return it == atoms.end() || it->atom != atom ? none : uint32_t(it - atoms.begin());
  };
  for (auto& [member, leader] : link.folded) {
    const uint32_t file = link.atoms[leader].file;
    if (file_of[file] == none || link.atoms[member].kind != AtomKind::regular) continue;
    const uint32_t at = shrunk_atom(file_of[file], leader);
    if (at == none) continue;
    uint32_t& own = file_of[link.atoms[member].file];
    if (own == none) {
      own = uint32_t(state->files.size());
      own_count.push_back(0);
      state->files.emplace_back().file = &link.object(link.atoms[member].file);
    }
    ShrinkAtom a = begin_atom(member);
    a.leader_file = file_of[file];
    a.leader = at;
    state->files[own].atoms.push_back(a);
  }
  for (uint32_t k = 0; k < state->files.size(); k++)
    for (uint32_t i = 0; i < state->files[k].atoms.size(); i++) {
      link.atoms[state->files[k].atoms[i].atom].extra = uint32_t(link.shrunk_atoms.size());
      link.shrunk_atoms.emplace_back(k, i);
    }
  link.shrinking = state;
  // Expressions of the command line may need the symbols between layouts; else it is enough to move them at the end.
  state->symbols_are_moved = !link.assignments.empty();
  if (state->symbols_are_moved)
    parallel_for(size_t(0), state->files.size(), [&](size_t k) { own_symbols(state->files[k]); });
  settle_all(link, *state);
}

bool grow_code(Link& link) {
  const bool functions = has_near_references(link);
  if (!link.shrinking && !functions) return false;
  set_linker_symbols(link);
  refresh_assignments(link, true);
  find_global_pointer(link);
  const bool grown = functions && grow_functions(link);
  return grow_sections(link) || grown;
}

void finish_shrinking(Link& link) {
  if (!link.shrinking) return;
  ShrinkState& state = *link.shrinking;
  parallel_for(size_t(0), state.files.size(), [&](size_t k) {
    ShrinkFile& s = state.files[k];
    const bool by_symbol = !s.group_of_symbol[0].empty() || !s.group_of_symbol[1].empty();
    for (ShrinkAtom& a : s.atoms)
      if (a.leader_file == none) {
        if (a.site_count || a.group_count || by_symbol) copy_rest(link, s, a);  // else it is as it was
      } else link.atoms[a.atom].size = a.input_size - removed_of(sites_of(state, s, a));
    if (!state.symbols_are_moved) own_symbols(s);
    s.file->rewrites.clear();  // have been made
  });
  if (!state.symbols_are_moved) move_all_symbols(link, state);
  state.symbols_are_moved = true;
}

}  // namespace lode::link::elf
