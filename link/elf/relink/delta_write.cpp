// The third part of a delta link (delta.h): the atoms of the changed files are written into the image, and what moved
// is told to all others.
//
// Everything of a changed file is relocated anew, into the private mapping; comparing finds what differs. Other files
// are not read: their sites say which fields hold the address of a symbol, and each changes by the symbol's distance.
#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/bytes.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/delta.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

// Whether the function's bytes are in the image: what was written there was made from the same, for the same addresses,
// and nobody has written over it.
bool DeltaLink::is_still(const File& file, const ModuleFunction& fn, std::span<const uint8_t>& frame) {
  const auto it = file.functions.find(link_.lower->kept_of(*file.object, fn).places.low);
  const StateFunction now = state_function(link_, *file.object, fn);
  if (it == file.functions.end() || !std::equal(now.places, now.places + 4, it->second.places)) return false;
  if (!file.stays[fn.section] || (fn.sizes.constants && !file.stays[fn.section + 1]) ||
      (fn.sizes.exceptions && !file.stays[fn.exceptions]))
    return false;
  if (fn.frame_offset == none) return true;
  const StateInput in = state_.inputs[file.input];
  const uint64_t place = it->second.frame_offset, end = uint64_t{in.frame_offset} + in.frame_size;
  if (place < in.frame_offset || place + 4 > end || meta_.section_eh_frame == none) return false;
  const uint64_t offset = file_offset(meta_.section_eh_frame, place);
  if (offset + 4 > image_.size()) return false;
  const uint8_t* p = image_.before() + offset;
  const uint64_t size = uint64_t{4} + load_le<uint32_t>(p);
  if (size > end - place || offset + size > image_.size() ||
      size < 17 + (fn.sizes.exceptions ? 4 : 0) + uint64_t{fn.sizes.cfi})
    return false;
  frame = {p, size_t(size)};
  return true;
}

// Of a function that is_still().
static bool stands_still(const Link& link, const ObjectFile& f, uint32_t section) {
  if (f.kind != FileKind::module) return false;
  const auto& of = f.module->function_of_section;
  const uint32_t k = of[section] != none ? of[section] : section ? of[section - 1] : none;
  return k != none && link.lower->kept_of(f, f.module->functions[k]).still;
}

bool DeltaLink::write() {
  link_.image = image_.data();
  for (const File& file : files_)
    for (const PlacedAtom& placed : file.atoms) {
      const OutputSection& s = *link_.sections[link_.atoms[file.object->atom_base + placed.section].out];
      if (!s.nobits() && !at(s.offset + placed.offset, placed.room())) return false;
    }
  if (link_.has_modules) {
    for (File& file : files_) {
      const StateInput in = state_.inputs[file.input];
      for (const StateFunction& x : state_.functions.range(in.first_function, in.function_count)) {
        uint64_t key = 0;
        std::memcpy(&key, x.places, sizeof key);
        file.functions.emplace(key, x);
      }
    }
    link_.lower->is_still = [&](const ObjectFile& f, const ModuleFunction& fn, std::span<const uint8_t>& frame) {
      const auto file = std::find_if(files_.begin(), files_.end(), [&](const File& x) { return x.object == &f; });
      return file != files_.end() && is_still(*file, fn, frame);
    };
    write_functions(link_);
    finish_functions(link_);
    if (link_.diag.has_errors()) return give_up("a function cannot be written");
    for (const File& file : files_)
      if (!finish_frames(file)) return false;
  }
  for (File& file : files_) {
    ObjectFile& f = *file.object;
    file.dynrels.resize(f.dynrel_count);
    DynamicRelocations dynrels(file.dynrels.data(), file.dynrels.size());
    for (const PlacedAtom& placed : file.atoms) {
      Atom& a = link_.atoms[f.atom_base + placed.section];
      const OutputSection& s = *link_.sections[a.out];
      if (s.nobits() || !a.size) continue;
      const uint64_t offset = s.offset + a.offset;
      uint8_t* out = at(offset, placed.room());
      if (!out) return false;
      if (a.kind != AtomKind::regular && stands_still(link_, f, placed.section)) continue;
      if (a.kind != AtomKind::regular) {  // written above
        fill_gap(s.name, s.flags, link_.machine->trap_fill, out, a.size, placed.room());
        image_.wrote(offset, placed.room());
        continue;
      }
      if (a.data) std::memcpy(out, a.data, a.size);
      else std::memset(out, 0, a.size);
      if (a.reloc_count && a.data) {
        if (s.alloc()) apply(link_, f, a, out, s.addr + placed.offset, dynrels);
        else apply_nonalloc(link_, f, a, out);
      }
      fill_gap(s.name, s.flags, link_.machine->trap_fill, out, a.size, placed.room());
      image_.wrote(offset, placed.room());
    }
    if (link_.diag.has_errors() || !dynrels.complete()) return give_up("a relocation does not fit");
  }
  if (!write_plt_entries()) return false;
  if (link_.got_entries.empty()) return true;
  link_.gotplt->size = 0;  // nothing of it changes
  uint8_t* got = at(link_.got->offset, link_.got->size);
  if (!got) return false;
  write_got(link_, link_.image);
  image_.wrote(link_.got->offset, link_.got->size);
  return true;
}

// The records of .rela.dyn that a file had are its own again; more come from free ones, or from the room behind.
bool DeltaLink::dynamic_relocations() {
  const uint32_t section = meta_.section_reldyn;
  auto entry = [&](uint32_t index) {
    return at(file_offset(section, 0) + uint64_t(index) * sizeof(Rela), sizeof(Rela));
  };
  auto put = [&](uint32_t index, const Rela& r) {
    uint8_t* p = entry(index);
    if (!p) return false;
    std::memcpy(p, &r, sizeof r);
    image_.wrote(uint64_t(p - image_.data()), sizeof r);
    if (r.type == link_.machine->r_relative) relative_.emplace_back(uint64_t(r.offset), index);
    return true;
  };
  auto more = [&](uint32_t& index) {
    for (uint32_t i = 0; i < state_.free.size(); i++) {
      StateFree f = state_.free[i];
      if (f.section != section || !f.size) continue;
      index = uint32_t(f.offset);
      if (StateFree* p = state_.free.edit(i)) *p = {f.offset + 1, f.size - 1, section, 0};
      return true;
    }
    if (!meta_.relocation_room) return false;
    index = meta_.relocation_count++;
    meta_.relocation_room--;
    return true;
  };
  const std::vector<Rela> slots = link_.got_entries.empty() ? std::vector<Rela>() : got_relocations(link_);
  for (File& file : files_) {
    const StateInput in = state_.inputs[file.input];
    if (section == none && !file.dynrels.empty()) return give_up("there are no dynamic relocations so far");
    const auto span = state_.dynamic_relocations.range(in.first_relocation, in.relocation_count);
    std::vector<uint32_t> old(span.begin(), span.end());
    file.dynrel_index.clear();
    for (size_t i = 0; i < file.dynrels.size(); i++) {
      uint32_t index = 0;
      if (i < old.size()) index = old[i];
      else if (!more(index)) return no_room("dynamic relocations");
      if (!put(index, file.dynrels[i])) return false;
      file.dynrel_index.push_back(index);
    }
    for (size_t i = file.dynrels.size(); i < old.size(); i++) {
      if (!put(old[i], Rela{})) return false;
      release(section, old[i], 1);
    }
  }
  if (!slots.empty() && section == none) return give_up("there are no dynamic relocations so far");
  for (const Rela& r : slots) {
    uint32_t index = 0;
    if (!more(index)) return no_room("dynamic relocations");
    if (!put(index, r)) return false;
  }
  std::sort(relative_.begin(), relative_.end());
  if (section == none) return true;
  const uint64_t size = uint64_t(meta_.relocation_count) * sizeof(Rela);
  return size == state_.sections[section].size || (set_section_size(section, size) && set_dynamic(DT_RELASZ, size));
}

bool DeltaLink::patch(uint32_t width, uint64_t place, uint64_t distance) {
  uint8_t* p = at(place, uint64_t{1} << width);
  if (!p) return false;
  bool fits = true;
  switch (width) {
    case 0: {
      const int64_t v = load_le<int8_t>(p) + int64_t(distance);
      fits = fits_signed(v, 8);
      store_le(p, int8_t(v));
      break;
    }
    case 1: {
      const int64_t v = load_le<int16_t>(p) + int64_t(distance);
      fits = fits_signed(v, 16);
      store_le(p, int16_t(v));
      break;
    }
    case 2: {
      const int64_t v = load_le<int32_t>(p) + int64_t(distance);
      fits = fits_signed(v, 32);
      store_le(p, int32_t(v));
      break;
    }
    default: store_le(p, load_le<uint64_t>(p) + distance);
  }
  image_.wrote(place, uint64_t{1} << width);
  patched_++;
  return fits || give_up("a field of another file does not reach");
}

bool DeltaLink::propagate() {
  std::unordered_set<uint32_t> seen;
  for (const Move& m : moves_) {
    seen.clear();
    uint32_t steps = state_.referring.size();
    for (uint32_t r = state_.symbols[m.symbol].referring; r != none && steps--; r = state_.referring[r].next) {
      const uint32_t k = state_.referring[r].input;
      if (!seen.insert(k).second || (k != 0 && file_of_input(k))) continue;
      const StateInput& in = state_.inputs[k];
      const auto groups = state_.site_groups.range(in.first_group, in.group_count);
      auto g = std::lower_bound(groups.begin(), groups.end(), m.symbol,
                                [](const StateSiteGroup& x, uint32_t n) { return x.symbol < n; });
      for (; g != groups.end() && g->symbol == m.symbol; ++g)
        for (const uint32_t place : state_.sites_of(in, groups, size_t(g - groups.begin())))
          if (!patch(g->width, place, m.distance)) return false;
    }
  }
  return true;
}

}  // namespace lode::link::elf
