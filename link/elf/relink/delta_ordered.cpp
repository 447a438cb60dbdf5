// The part of a delta link (delta.h) that changes sections whose bounds and order mean something: arrays of
// initialisers, and sections that __start_NAME and __stop_NAME speak of.
//
// Their members stand behind each other, in the order of the files and, in arrays, of their priorities. When one comes,
// goes or changes its size, all of them get their places anew: the files that have some join the changed ones (the
// state knows which those are), and the section is put together as in a link from scratch. It has room behind it, which
// does not belong to it; the names of its end move.
//
// Requires: output sections are known, nothing has a place yet. Leaves true: `rebuilt_` says which sections match()
// leaves to place_ordered().
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/delta.h"

namespace lode::link::elf {

bool DeltaLink::find_ordered() {
  struct Member {
    uint32_t out, key, size;
    bool operator==(const Member&) const = default;
  };
  rebuilt_.assign(state_.sections.size(), false);
  std::vector<bool> ordered(state_.sections.size());
  for (uint32_t n = 0; n < state_.sections.size(); n++) ordered[n] = state_.sections[n].tight == ordered_section;
  for (const File& file : files_) {
    const StateInput in = state_.inputs[file.input];
    std::vector<Member> was, is;
    for (const StateAtom& a : state_.atoms.range(in.first_atom, in.atom_count))
      if (a.out < ordered.size() && ordered[a.out] && a.size) was.push_back({a.out, a.key, a.size});
    const ObjectFile& f = *file.object;
    const AtomKeys keys(f);
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      const Atom& a = link_.atoms[f.atom_base + i];
      if (!a.live || a.out == none || !a.size || a.kind != AtomKind::regular) continue;
      const uint32_t out = section_[a.out];
      if (out != none && ordered[out]) is.push_back({out, keys.of(i), uint32_t(a.size)});
    }
    if (was == is && !file.moved) continue;
    for (const auto* list : {&was, &is})
      for (const Member& m : *list) rebuilt_[m.out] = true;
  }
  for (const StateMember& m : state_.members.range(0, state_.members.size()))
    if (m.section < rebuilt_.size() && rebuilt_[m.section] && m.input && !file_of_input(m.input) &&
        !(state_.inputs[m.input].flags & input_removed))
      want_input(m.input, "the members of section " + std::string(state_.text(state_.sections[m.section].name)) +
                              " change");
  return wanted_inputs_.empty();
}

bool DeltaLink::place_ordered() {
  for (uint32_t n = 0; n < rebuilt_.size(); n++)
    if (rebuilt_[n] && !place_ordered_section(n)) return false;
  return true;
}

bool DeltaLink::place_ordered_section(uint32_t n) {
  const StateSection s = state_.sections[n];
  const std::string name(state_.text(s.name));
  struct Place {
    uint64_t order;                    // priority in the array, then of the file
    uint32_t file, atom;               // in files_, in its list
  };
  std::vector<Place> places;
  const bool array = s.type != SHT_PROGBITS;
  for (uint32_t i = 0; i < files_.size(); i++)
    for (uint32_t k = 0; k < files_[i].atoms.size(); k++) {
      const PlacedAtom& a = files_[i].atoms[k];
      if (a.out != n) continue;
      const ObjectFile& f = *files_[i].object;
      const uint64_t first = array ? init_priority(section_name(f, a.section)) : 0;
      places.push_back({first << 32 | f.priority, i, k});
    }
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.order < b.order; });
  uint64_t size = 0;
  for (const Place& p : places) {
    PlacedAtom& a = files_[p.file].atoms[p.atom];
    const ObjectFile& f = *files_[p.file].object;
    size = align_up(s.addr + size, uint64_t{1} << a.p2align) - s.addr;
    a.offset = uint32_t(size);
    a.slack = 0;
    Atom& atom = link_.atoms[f.atom_base + a.section];
    atom.offset = size;
    link_.atom_address[f.atom_base + a.section] = s.addr + size;
    size += a.size;
    if (size > s.size + s.room) return no_room("section " + name);
  }
  uint8_t* p = at(s.offset, std::max(size, s.size));
  if (!p) return false;
  std::memset(p, 0, std::max(size, s.size));
  image_.wrote(s.offset, std::max(size, s.size));
  if (size == s.size) return true;
  if (!set_section_size(n, size)) return false;
  for (auto& out : link_.sections)
    if (section_[out->id] == n) out->size = size;
  struct End {
    const char *section, *symbol;
    int64_t tag;
  };
  static constexpr End ends[] = {{".init_array", "__init_array_end", DT_INIT_ARRAYSZ},
                                 {".fini_array", "__fini_array_end", DT_FINI_ARRAYSZ},
                                 {".preinit_array", "__preinit_array_end", DT_PREINIT_ARRAYSZ}};
  for (const End& e : ends) {
    if (name != e.section) continue;
    if (meta_.section_dynamic != none && !set_dynamic(e.tag, size)) return false;
    return move_border(e.symbol, size - s.size);
  }
  return move_border("__stop_" + name, size - s.size);
}

// A name of the linker's own that stands for the end of a section.
bool DeltaLink::move_border(const std::string& name, uint64_t distance) {
  if (const uint32_t id = link_.names.find(name); id != none) {
    link_.symbols[id].value += distance;
    link_.symbols[id].address += distance;
  }
  const uint32_t n = state_.find_symbol(name, hash_name(name));
  if (n == none || state_.symbols[n].file != 0) return true;
  moves_.push_back({n, distance});
  StateSymbol* s = state_.symbols.edit(n);
  if (!s) return give_up("the state file is damaged");
  s->address += distance;
  if (!s->symtab) return true;
  const uint64_t value = file_offset(meta_.section_symtab, uint64_t(s->symtab) * sizeof(Sym)) + offsetof(Sym, value);
  uint8_t* p = at(value, 8);
  if (!p) return false;
  store_le(p, load_le<uint64_t>(p) + distance);
  image_.wrote(value, 8);
  return true;
}

}  // namespace lode::link::elf
