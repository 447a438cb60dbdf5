// The second part of a delta link (delta.h): the live atoms of the changed files get places in the image.
//
// An atom keeps its place when it still fits there: what is called the same, in order where several are; then what is
// left in the same output section, by size. So what did not change does not move, and nobody else has to hear of it.
// Others go to the first free block that is large enough, or to the room at the end of the section. Sections whose
// bounds mean something (arrays of initialisers, thread-local storage, what __start_ and __stop_ speak of) have no free
// places: their members may change their contents, and nothing else.
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/code/debug_sections.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/delta.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

uint32_t DeltaLink::section_named(std::string_view name, uint64_t flags) {
  constexpr uint64_t kind = SHF_ALLOC | SHF_TLS;
  for (uint32_t i = 0; i < state_.sections.size(); i++) {
    const StateSection& s = state_.sections[i];
    if (((s.flags ^ flags) & kind) == 0 && state_.text(s.name) == name) return i;
  }
  return none;
}

// Debug information of modules is in objects of their own (code/debug_sections.h), which are inputs to the state. Those
// of the changed modules are made anew, and take the places of the former ones.
bool DeltaLink::debug_objects() {
  add_debug_sections(link_);
  std::unordered_map<std::string_view, uint32_t> former;  // by name
  for (uint32_t i = 0; i < state_.inputs.size(); i++) {
    const StateInput& in = state_.inputs[i];
    if (in.observed != none || in.kind != uint32_t(FileKind::object)) continue;
    if (const std::string_view name = state_.text(in.name); name.ends_with(debug_information)) former.emplace(name, i);
  }
  const size_t count = files_.size();
  for (size_t k = 0; k < count; k++) {
    const StateInput& in = state_.inputs[files_[k].input];
    const auto was = former.find(std::string(state_.text(in.name)) + std::string(debug_information));
    ObjectFile* now = nullptr;
    if (link_.debug_sections)
      for (const auto& o : link_.debug_sections->objects)
        if (o->module == files_[k].object->id) now = &link_.object(o->file);
    if (!now && was == former.end()) continue;
    if (!now || was == former.end())
      return give_up(files_[k].object->name + (now ? " has" : " lacks") + std::string(" debug information now"));
    file_by_input_[was->second] = uint32_t(files_.size());
    File file;
    file.input = was->second;
    file.object = now;
    files_.push_back(std::move(file));
  }
  return true;
}

bool DeltaLink::sections() {
  if (link_.has_modules) {
    place_functions(link_);
    if (!debug_objects()) return false;
  }
  assign_sections(link_);
  if (link_.has_modules) {
    measure_functions(link_);
    complete_debug_sections(link_);
  }
  if (link_.diag.has_errors()) return give_up("the changed files are in error");
  std::vector<bool> used(link_.sections.size());
  for (const File& file : files_)
    for (uint32_t i = 1; i < file.object->sections.size(); i++) {
      const Atom& a = link_.atoms[file.object->atom_base + i];
      if (a.live && a.out != none && (a.size || a.kind != AtomKind::regular)) used[a.out] = true;
    }
  section_.assign(link_.sections.size(), none);
  for (auto& s : link_.sections) {
    const uint32_t n = section_named(s->name, s->flags);
    if (n == none) {
      if (used[s->id]) return give_up("new output section " + s->name);
      continue;
    }
    const StateSection& st = state_.sections[n];
    constexpr uint64_t rights = SHF_WRITE | SHF_ALLOC | SHF_EXECINSTR | SHF_TLS;
    if (used[s->id] && (s->flags & rights & ~st.flags)) return give_up("the flags of section " + s->name + " changed");
    if (used[s->id] && st.type == SHT_NOBITS && s->type != SHT_NOBITS)
      return give_up("section " + s->name + " has contents now");
    section_[s->id] = n;
    s->type = st.type;
    s->flags = st.flags;
    s->addr = st.addr;
    s->offset = st.offset;
    s->size = st.size;
    s->index = st.index;
  }
  // What the linker made, for passes that ask where it is.
  auto stand_in = [&](OutputSection*& out, uint32_t n, const char* name) {
    out = make_section(link_, name, SHT_PROGBITS, SHF_ALLOC, 1, nullptr);
    section_.push_back(n);
    if (n == none) {
      out->gone = true;
      return;
    }
    const StateSection& st = state_.sections[n];
    out->type = st.type;
    out->flags = st.flags;
    out->addr = st.addr;
    out->offset = st.offset;
    out->size = st.size;
    out->room = st.room;
    out->index = st.index;
  };
  stand_in(link_.got, meta_.section_got, ".got");
  stand_in(link_.gotplt, meta_.section_gotplt, ".got.plt");
  stand_in(link_.plt, meta_.section_plt, ".plt");
  stand_in(link_.pltsec, meta_.section_pltsec, ".plt.sec");
  stand_in(link_.pltgot, meta_.section_pltgot, ".plt.got");
  stand_in(link_.reldyn, meta_.section_reldyn, ".rela.dyn");
  stand_in(link_.eh_frame, meta_.section_eh_frame, ".eh_frame");
  stand_in(link_.copyrel, meta_.section_copyrel, ".copyrel");
  stand_in(link_.copyrel_ro, meta_.section_copyrel_ro, ".copyrel.rel.ro");
  return true;
}

void DeltaLink::release(uint32_t section, uint64_t offset, uint64_t size) {
  if (!size || section == none) return;
  meta_.wasted += size;
  // Joined with its neighbours, if they are free.
  for (uint32_t i = 0; i < state_.free.size(); i++) {
    const StateFree f = state_.free[i];
    if (f.section != section || !f.size) continue;
    const bool before = f.offset + f.size == offset, behind = offset + size == f.offset;
    if (!before && !behind) continue;
    offset = std::min(offset, f.offset);
    size += f.size;
    if (StateFree* p = state_.free.edit(i)) p->size = 0;
    i = ~0u;  // it may touch another one now
  }
  for (uint32_t i = 0; i < state_.free.size(); i++)
    if (!state_.free[i].size) {
      if (StateFree* p = state_.free.edit(i)) *p = {offset, size, section, 0};
      return;
    }
  state_.free.push({offset, size, section, 0});  // no room in the list: it stays unused
}

static constexpr uint64_t least_unit = 64;  // longer than any unit without contents (room.cpp)

// Frees what the image has at a former atom's place.
static void clear_place(ImageFile& image, const StateSection& s, std::string_view name, uint8_t trap, uint64_t offset,
                        uint64_t size) {
  if (s.type == SHT_NOBITS || !size) return;
  const uint64_t at = s.offset + offset;
  if (at > image.size() || size > image.size() - at) return;
  fill_gap(name, s.flags, trap, image.data() + at, 0, size);
  image.wrote(at, size);
}

// A place for `size` bytes and, if there is room for it, `slack` behind them. `got`: how many bytes it has.
bool DeltaLink::allocate(uint32_t section, uint64_t size, uint64_t align, uint64_t slack, uint64_t& offset,
                         uint64_t& got) {
  const StateSection s = state_.sections[section];
  const uint64_t base = s.addr;
  auto aligned = [&](uint64_t at) { return align_up(base + at, align) - base; };
  uint32_t best = none;
  uint64_t best_size = ~uint64_t{0};
  for (uint32_t i = 0; i < state_.free.size(); i++) {
    const StateFree& f = state_.free[i];
    if (f.section != section || f.size >= best_size) continue;
    const uint64_t at = aligned(f.offset);
    if (at < f.offset + f.size && f.offset + f.size - at >= size) {
      best = i;
      best_size = f.size;
    }
  }
  if (best != none) {
    const StateFree f = state_.free[best];
    offset = aligned(f.offset);
    got = std::min(size + slack, f.offset + f.size - offset);
    // Of a section of units nothing is left that is too short for one, and what is left becomes one.
    const uint64_t rest = f.offset + f.size - (offset + got);
    const bool has_units = !(s.flags & (SHF_ALLOC | SHF_MERGE));
    if (has_units && rest < least_unit) got += rest;
    if (has_units && got + offset < f.offset + f.size)
      clear_place(image_, s, state_.text(s.name), 0, offset + got, f.offset + f.size - (offset + got));
    if (StateFree* p = state_.free.edit(best)) p->size = 0;
    meta_.wasted -= std::min(meta_.wasted, f.size);
    release(section, f.offset, offset - f.offset);
    release(section, offset + got, f.offset + f.size - (offset + got));
    return true;
  }
  const bool loaded = s.flags & SHF_ALLOC;
  const uint64_t end = loaded ? s.size : s.size + s.room;
  offset = aligned(s.used);
  if (offset > end || end - offset < size) return false;
  got = std::min(size + slack, end - offset);
  StateSection* p = state_.sections.edit(section);
  if (!p) return false;
  p->used = offset + got;
  if (!loaded && p->used > s.size) {
    p->room -= p->used - s.size;
    p->size = p->used;
  }
  return true;
}

static bool is_aligned(uint64_t address, uint32_t p2align) {
  return align_up(address, uint64_t{1} << p2align) == address;
}

bool DeltaLink::match_file(File& file) {
  ObjectFile& f = *file.object;
  const StateInput in = state_.inputs[file.input];
  const auto span = state_.atoms.range(in.first_atom, in.atom_count);
  const std::vector<StateAtom> old(span.begin(), span.end());
  for (const StateAtom& a : old)
    if (a.out >= state_.sections.size()) return give_up("the state file is damaged");
  std::vector<bool> taken(old.size());
  std::unordered_map<uint32_t, std::vector<uint32_t>> by_key;
  for (uint32_t k = uint32_t(old.size()); k-- > 0;) by_key[old[k].key].push_back(k);
  const AtomKeys keys(f);
  std::vector<uint32_t> homeless;  // sections of the file
  std::vector<uint32_t> former(f.sections.size(), none);
  auto take = [&](uint32_t i, uint32_t k) {
    taken[k] = true;
    former[i] = k;
  };
  for (uint32_t i = 1; i < f.sections.size(); i++) {
    const Atom& a = link_.atoms[f.atom_base + i];
    if (!a.live || a.out == none || !has_place_of_its_own(a)) continue;
    auto it = by_key.find(keys.of(i));
    uint32_t found = none;
    while (it != by_key.end() && !it->second.empty() && found == none) {
      const uint32_t k = it->second.back();
      it->second.pop_back();
      if (!taken[k] && old[k].out == section_[a.out]) found = k;
    }
    if (found == none) homeless.push_back(i);
    else take(i, found);
  }
  // What has no name of its own: the same section and size, in order.
  std::unordered_map<uint64_t, std::vector<uint32_t>> by_size;
  auto size_key = [](uint32_t out, uint64_t size) { return size << 16 ^ out; };
  if (!homeless.empty())
    for (uint32_t k = uint32_t(old.size()); k-- > 0;)
      if (!taken[k]) by_size[size_key(old[k].out, old[k].size)].push_back(k);
  for (const uint32_t i : homeless) {
    const Atom& a = link_.atoms[f.atom_base + i];
    auto it = by_size.find(size_key(section_[a.out], a.size));
    if (it == by_size.end() || it->second.empty()) continue;
    const uint32_t k = it->second.back();
    if (old[k].out != section_[a.out] || old[k].size != a.size || old[k].p2align < a.p2align) continue;
    it->second.pop_back();
    take(i, k);
  }
  const uint8_t trap = link_.machine->trap_fill;
  for (uint32_t k = 0; k < old.size(); k++) {
    if (taken[k]) continue;
    const StateSection s = state_.sections[old[k].out];
    if (rebuilt_[old[k].out]) continue;
    if (s.tight && old[k].size) return give_up("section " + std::string(state_.text(s.name)) + " has lost a member");
    clear_place(image_, s, state_.text(s.name), trap, old[k].offset, old[k].room());
    release(old[k].out, old[k].offset, old[k].room());
  }
  file.atoms.clear();
  file.stays.assign(f.sections.size(), false);
  for (uint32_t i = 1; i < f.sections.size(); i++) {
    Atom& a = link_.atoms[f.atom_base + i];
    if (!a.live || a.out == none || !has_place_of_its_own(a)) continue;
    const uint32_t out = section_[a.out];
    if (out == none) continue;  // empty, of a section that is not there
    const StateSection s = state_.sections[out];
    if (a.size > 0xffffffff) return give_up("section " + std::string(state_.text(s.name)) + " is too large");
    PlacedAtom r;
    r.key = keys.of(i);
    r.size = uint32_t(a.size);
    r.section = i;
    r.out = out;
    r.p2align = a.p2align;
    const StateAtom* was = former[i] == none ? nullptr : &old[former[i]];
    const uint32_t room = was ? was->room() : 0;
    if (rebuilt_[out]) {  // place_ordered()
      link_.sections[a.out]->atoms.push_back(f.atom_base + i);
      file.atoms.push_back(r);
      continue;
    }
    auto leave = [&] {
      if (!was) return;
      clear_place(image_, s, state_.text(s.name), trap, was->offset, room);
      release(out, was->offset, room);
    };
    if (was && a.size <= room && is_aligned(s.addr + was->offset, a.p2align) && (!s.tight || a.size == was->size)) {
      r.offset = was->offset;
      r.slack = room - r.size;
      file.stays[i] = true;
    } else if (!a.size) {
      r.offset = was ? was->offset : 0;
      leave();
    } else {
      if (s.tight)
        return give_up("section " + std::string(state_.text(s.name)) + (was ? " has a member that changed its size"
                                                                             : " has a new member"));
      leave();
      uint64_t offset = 0, got = 0;
      if (!allocate(out, a.size, uint64_t{1} << a.p2align, Slack(*link_.sections[a.out]).of(a), offset, got))
        return no_room("section " + std::string(state_.text(s.name)));
      r.offset = uint32_t(offset);
      r.slack = uint32_t(got - a.size);
    }
    a.offset = r.offset;
    link_.atom_address[f.atom_base + i] = s.addr + r.offset;
    link_.sections[a.out]->atoms.push_back(f.atom_base + i);
    file.atoms.push_back(r);
  }
  return true;
}

bool DeltaLink::match() {
  for (File& f : files_)
    if (!match_file(f)) return false;
  return place_ordered();
}

// ---- merged sections ------------------------------------------------------------------------------------------------

// Each entry is found in the image by its hash, or put into a free place of the output section.
bool DeltaLink::merge() {
  for (auto& m : link_.merged) {
    const OutputSection& out = *link_.sections[m->out];
    uint64_t entries = 0;
    for (auto& shard : m->shards) entries += shard.size();
    if (!entries) continue;
    const uint32_t section = section_[m->out];
    if (section == none) {
      if (m->own.empty() || entries > 1) return give_up("new output section " + out.name);
      continue;
    }
    uint32_t table = none;
    for (uint32_t i = 0; i < state_.merged.size(); i++) {
      const StateMerged& x = state_.merged[i];
      if (x.section == section && x.strings == uint32_t(m->strings) && x.entsize == m->entsize) table = i;
    }
    if (table == none) return give_up("section " + out.name + " has mergeable contents of a new kind");
    const StateMerged t = state_.merged[table];
    if (!is_power_of_two(t.slot_count)) return give_up("the state file is damaged");
    link_.atom_address[m->body] = out.addr;
    uint32_t added = 0;
    for (auto& shard : m->shards)
      for (MergeEntry& e : shard) {
        uint32_t i = uint32_t(XXH3_64bits(e.data, e.size) & (t.slot_count - 1)), steps = t.slot_count;
        uint32_t slot = 0;
        for (; steps && (slot = state_.merged_slots[t.first_slot + i]) != 0;
             steps--, i = (i + 1) & (t.slot_count - 1)) {
          const uint64_t place = out.offset + slot - 1;
          if (place > image_.size() || e.size > image_.size() - place) continue;
          if ((out.addr + slot - 1) & ((uint64_t{1} << e.p2align) - 1)) continue;
          if (std::memcmp(image_.data() + place, e.data, e.size) == 0) break;
        }
        if (!steps) return no_room("entries of " + out.name);
        if (slot) {
          e.offset = slot - 1;
          continue;
        }
        if ((uint64_t(t.entries) + added) * 8 > uint64_t(t.slot_count) * 7) return no_room("entries of " + out.name);
        uint64_t offset = 0, got = 0;
        if (!allocate(section, e.size, uint64_t{1} << e.p2align, 0, offset, got)) return no_room("section " + out.name);
        uint8_t* p = at(out.offset + offset, e.size);
        uint32_t* index = state_.merged_slots.edit(t.first_slot + i);
        if (!p || !index) return give_up("the state file is damaged");
        std::memcpy(p, e.data, e.size);
        image_.wrote(out.offset + offset, e.size);
        *index = uint32_t(offset) + 1;
        e.offset = offset;
        added++;
      }
    if (added)
      if (StateMerged* p = state_.merged.edit(table)) p->entries += added;
  }
  return true;
}

// ---- slots ----------------------------------------------------------------------------------------------------------

bool DeltaLink::give_slots(uint32_t id) {
  Symbol& s = link_.symbols[id];
  const uint32_t flags = s.flags & needs_mask;
  if (!flags) return true;
  if (s.aux == none) {
    s.aux = uint32_t(link_.aux.size());
    link_.aux.push_back({id, -1, -1, -1, -1, -1, -1, -1, 0});
  }
  SymbolAux& x = link_.aux[s.aux];
  const std::string name = link_.display(s);
  if ((flags & needs_plt) && x.plt < 0 && x.pltgot < 0 && !give_plt_entry(id)) return false;
  if ((flags & needs_copy) && !(s.flags & in_copied)) return give_up(name + " needs a copy relocation");
  auto slot = [&](int32_t& out, uint8_t kind, uint32_t n) {
    if (out >= 0) return true;
    // Where its resolver is, the state does not know.
    if (s.type == STT_GNU_IFUNC && s.defined() && !s.imported && !is_here(s)) return give_up(name + " is an IFUNC");
    if (meta_.got_room - meta_.got_used < n) return false;
    out = int32_t(meta_.got_used);
    meta_.got_used += n;
    link_.got_entries.push_back({id, kind});
    return true;
  };
  const bool fits = (!(flags & needs_got) || slot(x.got, got_address_kind, 1)) &&
                    (!(flags & needs_gottp) || slot(x.gottp, got_tpoff, 1)) &&
                    (!(flags & needs_tlsgd) || slot(x.tlsgd, got_tlsgd, 2)) &&
                    (!(flags & needs_tlsdesc) || slot(x.tlsdesc, got_tlsdesc, 2));
  return fits || no_room("slots of the GOT");
}

bool DeltaLink::scan() {
  const uint8_t had_got_base = meta_.section_gotplt != none;
  scan_relocations(link_);
  if (link_.diag.has_errors()) return give_up("a relocation is in error");
  if (link_.has_textrel) return give_up("relocations in code");
  if (link_.needs_tlsld && meta_.tlsld_slot < 0) {
    if (meta_.got_room - meta_.got_used < 2) return no_room("slots of the GOT");
    link_.tlsld_slot = meta_.tlsld_slot = int32_t(meta_.got_used);
    meta_.got_used += 2;
    link_.got_entries.push_back({none, got_tlsld});
  }
  if (link_.needs_got_base && !had_got_base) return give_up("the address of the GOT is wanted");
  for (uint32_t id = 0; id < link_.symbols.size(); id++)
    if (!give_slots(id)) return false;
  return true;
}

// Whether .symtab has said so far that a symbol has the size that it has now.
bool DeltaLink::keeps_size(const Symbol& s, const StateSymbol& st) {
  if (!st.symtab) return false;
  const uint8_t* p = at(file_offset(meta_.section_symtab, uint64_t(st.symtab) * sizeof(Sym)), sizeof(Sym));
  return p && load_le<Sym>(p).size == size_of(link_, s);
}

// Addresses of what the changed files define. What moves is told to others later.
bool DeltaLink::address_symbols() {
  for (uint32_t id = 0; id < link_.symbols.size(); id++) {
    Symbol& s = link_.symbols[id];
    if (!is_here(s)) continue;
    if (s.atom != none) {
      const Atom& a = link_.atoms[s.atom];
      s.address = a.kind == AtomKind::merge ? merged_address(link_, a, s.value) : link_.atom_address[s.atom] + s.value;
      if (!a.live) s.address = 0;
    } else {
      s.address = s.value;
    }
    if (s.imported && (s.flags & needs_canonical_plt)) return give_up(link_.display(s) + " has a canonical PLT entry");
    const uint32_t n = state_symbol(id);
    if (n == none) continue;
    const StateSymbol& st = state_.symbols[n];
    if (st.flags & (state_dead | state_gone)) continue;
    if (s.type == STT_TLS && s.address != st.address) {
      // What other files hold of it, and slots, are offsets that nobody keeps.
      const SymbolAux none_of_them;
      const SymbolAux& x = s.aux == none ? none_of_them : link_.aux[s.aux];
      if (is_mentioned_elsewhere(n) || x.gottp >= 0 || x.tlsgd >= 0 || x.tlsdesc >= 0)
        return give_up("thread-local " + link_.display(s) + " moved");
      continue;
    }
    if (s.atom != none && !link_.atoms[s.atom].live) continue;
    if (s.address != st.address) moves_.push_back({n, s.address - st.address});
    if ((st.flags & state_sized) && !keeps_size(s, st))
      return give_up("the size of " + link_.display(s) + " is in other files");
  }
  return true;
}

}  // namespace lode::link::elf
