// The last part of a delta link (delta.h): the state's records follow what was done to the image.
//
// A file's ranges in other tables are written over where the new ones are not longer, and else put at the end; what
// they leave is not used again until the next link from scratch. A table that has no room is a reason for that, too.
#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/delta.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

namespace {

// Puts `records` where there were `count` from `first` on, or behind all others. False: no room.
template <class T>
bool replace_range(StateTable<T>& table, const std::vector<T>& records, uint32_t& first, uint32_t& count) {
  if (records.size() > count && !table.append(uint32_t(records.size()), first)) return false;
  count = uint32_t(records.size());
  if (records.empty()) return true;
  T* p = table.edit_range(first, count);
  if (p) std::memcpy(p, records.data(), records.size() * sizeof(T));
  return p != nullptr;
}

struct NumberedSite {
  uint32_t symbol, width, place;
  auto operator<=>(const NumberedSite&) const = default;
};

}  // namespace

// Whether a file's group of sites is of a symbol whose record is another one's by now, which the file does not refer
// to.
bool DeltaLink::is_left_over(uint32_t symbol, uint32_t input) {
  const StateSymbol& s = state_.symbols[symbol];
  if (!s.is_used_again && !(s.flags & state_gone)) return false;
  uint32_t steps = state_.referring.size();
  for (uint32_t r = s.referring; r != none && steps; r = state_.referring[r].next, steps--)
    if (state_.referring[r].input == input) return false;
  return true;
}

bool DeltaLink::keep_sites(uint32_t input, const std::vector<Site>& sites, bool add,
                           const std::vector<std::pair<uint32_t, uint32_t>>& stays) {
  StateInput in = state_.inputs[input];
  const auto old_groups = state_.site_groups.range(in.first_group, in.group_count);
  std::unordered_set<uint32_t> known;
  std::vector<NumberedSite> list;
  for (size_t i = 0; i < old_groups.size(); i++) {
    const StateSiteGroup g = old_groups[i];
    if (is_left_over(g.symbol, input)) continue;
    known.insert(g.symbol);
    if (!add && stays.empty()) continue;
    const auto places = state_.sites_of(in, old_groups, i);
    if (!add) {
      for (const uint32_t place : places) {
        const auto it = std::upper_bound(stays.begin(), stays.end(), std::pair(place, ~0u));
        if (it != stays.begin() && place < std::prev(it)->second) list.push_back({g.symbol, g.width, place});
      }
      continue;
    }
    for (const uint32_t place : places) list.push_back({g.symbol, g.width, place});
    if (places.empty()) list.push_back({g.symbol, g.width, 0});
  }
  for (const Site& s : sites) {
    const uint32_t n = state_symbol(s.symbol);
    if (n == none) return give_up("a symbol is not in the state");
    if (s.width == Site::size_only) {
      // The sizes of what did not change are not known here.
      const std::string name = link_.display(link_.symbols[s.symbol]);
      if (!is_here(link_.symbols[s.symbol])) return give_up("the size of " + name + " is wanted");
      if (StateSymbol* p = state_.symbols.edit(n)) p->flags |= state_sized;
      continue;
    }
    list.push_back({n, s.width, s.place});
  }
  std::sort(list.begin(), list.end());
  std::vector<uint32_t> places;
  std::vector<StateSiteGroup> groups;
  for (const NumberedSite& s : list) {
    if (groups.empty() || groups.back().symbol != s.symbol || groups.back().width != s.width)
      groups.push_back(site_group(s.symbol, s.width, uint32_t(places.size())));
    if (!Site::has_place(s.width)) continue;
    places.push_back(s.place);
  }
  if (places.size() > StateSiteGroup::max_sites) return no_room("sites");
  if (!replace_range(state_.sites, places, in.first_site, in.site_count)) return no_room("sites");
  if (!replace_range(state_.site_groups, groups, in.first_group, in.group_count)) return no_room("groups of sites");
  for (const StateSiteGroup& g : groups) {
    if (!known.insert(g.symbol).second) continue;
    StateSymbol* s = state_.symbols.edit(g.symbol);
    if (!s) return give_up("the state file is damaged");
    const uint32_t node = state_.referring.size();
    if (!state_.referring.push({input, s->referring})) return no_room("referring files");
    s->referring = node;
  }
  StateInput* p = state_.inputs.edit(input);
  if (!p) return give_up("the state file is damaged");
  *p = in;
  return true;
}

bool DeltaLink::keep_file(File& file) {
  StateInput in = state_.inputs[file.input];
  const std::vector<StateAtom> atoms(file.atoms.begin(), file.atoms.end());
  if (!replace_range(state_.atoms, atoms, in.first_atom, in.atom_count)) return no_room("atoms");
  if (!replace_range(state_.dynamic_relocations, file.dynrel_index, in.first_relocation, in.relocation_count))
    return no_room("dynamic relocations");
  std::vector<std::pair<uint32_t, uint32_t>> stays;  // texts that stand still: their sites are those that they had
  if (file.object->kind == FileKind::module) {
    std::vector<StateFunction> functions;
    for (const ModuleFunction& fn : file.object->module->functions) {
      const Atom& a = link_.atoms[file.object->atom_base + fn.section];
      if (!a.live || !fn.mir.valid()) continue;
      const LowerState::Kept& kept = link_.lower->kept_of(*file.object, fn);
      if (!(kept.places == mir::Hash128{})) functions.push_back(state_function(link_, *file.object, fn));
      const uint64_t begin = link_.sections[a.out]->offset + a.offset;
      if (kept.still) stays.emplace_back(uint32_t(begin), uint32_t(begin + a.size));
    }
    std::sort(stays.begin(), stays.end());
    if (!replace_range(state_.functions, functions, in.first_function, in.function_count))
      return no_room("functions of IR");
  }
  in.size = file.object->data.size();
  in.hash = content_hash(file.object->data);
  in.symtab_index = file.symtab_index;
  in.symtab_count = file.symtab_count;
  in.strtab_offset = file.strtab_offset;
  in.strtab_size = file.strtab_size;
  in.frame_offset = file.frame_offset;
  in.frame_size = file.frame_size;
  StateInput* p = state_.inputs.edit(file.input);
  if (!p) return give_up("the state file is damaged");
  *p = in;
  for (const PlacedAtom& a : file.atoms) {
    if (!rebuilt_[a.out] || !a.size) continue;
    const auto known = state_.members.range(0, state_.members.size());
    const bool listed = std::any_of(known.begin(), known.end(), [&](const StateMember& m) {
      return m.section == a.out && m.input == file.input;
    });
    if (!listed && !state_.members.push({a.out, file.input})) return no_room("members of sections");
  }
  std::vector<Site> sites;
  const auto relative = [&](uint64_t place) {
    auto it = std::lower_bound(relative_.begin(), relative_.end(), std::pair<uint64_t, uint32_t>(place, 0));
    return it != relative_.end() && it->first == place ? it->second : none;
  };
  collect_sites(link_, *file.object, relative, sites);
  return keep_sites(file.input, sites, false, stays);
}

// Takes a symbol out of the list of those that a file defines.
bool DeltaLink::unlink_symbol(uint32_t n, uint32_t input) {
  StateInput* in = state_.inputs.edit(input);
  if (!in) return give_up("the state file is damaged");
  uint32_t* at = &in->first_symbol;
  for (uint32_t steps = state_.symbols.size() + 1; *at != none && steps; steps--) {
    if (*at == n) {
      *at = state_.symbols[n].next_of_file;
      return true;
    }
    StateSymbol* s = state_.symbols.edit(*at);
    if (!s) return give_up("the state file is damaged");
    at = &s->next_of_file;
  }
  return true;
}

bool DeltaLink::keep_symbol(uint32_t id) {
  const Symbol& s = link_.symbols[id];
  const uint32_t n = state_symbol(id);
  if (s.local || n == none) return true;
  const bool here = is_here(s);
  uint32_t aux = state_.symbols[n].aux;
  if (s.aux != none) {
    const SymbolAux& x = link_.aux[s.aux];
    const StateAux r{n, x.got, x.gottp, x.tlsgd, x.tlsdesc, x.plt, x.pltgot, x.dynsym};
    if (aux == none) {
      aux = state_.aux.size();
      if (!state_.aux.push(r)) return no_room("slots of symbols");
    } else if (StateAux* p = state_.aux.edit(aux)) {
      *p = r;
    }
  }
  const bool fresh = is_fresh(id) && (s.defined() || !claims_[id].empty());
  if (!here && !fresh && aux == state_.symbols[n].aux && s.flags == state_.symbols[n].sym_flags) return true;
  StateSymbol* p = state_.symbols.edit(n);
  if (!p) return give_up("the state file is damaged");
  p->aux = aux;
  p->sym_flags = s.flags;
  if (!here && !fresh) return true;
  if (!here) {
    if (p->file != none && p->file != 0 && !unlink_symbol(n, p->file)) return false;
    p->file = none;
    p->address = 0;
    p->flags = state_flags_of(link_, s);
    p->version = s.version;
    p->type = s.type;
    p->bind = s.bind;
    p->constraint = s.constraint;
    return true;
  }
  const File* file = nullptr;
  for (const File& f : files_)
    if (f.object->id == s.file) file = &f;
  if (!file) return give_up("a symbol has no file");
  p->address = s.address;
  p->sym_flags = s.flags;
  p->flags = (p->flags & (state_sized | state_root | state_by_shared)) | state_flags_of(link_, s);
  p->version = s.version;
  p->type = s.type;
  p->bind = s.bind;
  p->constraint = s.constraint;
  if (p->file != file->input) {  // new, or of another file so far
    if (p->file != none && p->file != 0 && !unlink_symbol(n, p->file)) return false;
    StateInput* in = state_.inputs.edit(file->input);
    if (!in) return give_up("the state file is damaged");
    p->file = file->input;
    p->next_of_file = in->first_symbol;
    in->first_symbol = n;
  }
  return true;
}

// Whose copies count, and who has copies.
bool DeltaLink::keep_comdats() {
  for (const File& file : files_) {
    StateInput in = state_.inputs[file.input];
    for (const uint32_t n : state_.comdat_claims.range(in.first_claim, in.claim_count))
      if (state_.comdats[n].input == file.input)
        if (StateComdat* p = state_.comdats.edit(n)) p->input = none;
  }
  for (const File& file : files_) {
    std::vector<uint32_t> claims;
    for (const Group& g : file.object->groups) {
      if (!g.comdat) continue;
      const std::string_view name = g.signature.str();
      uint32_t n = state_.find_comdat(name, hash_name(name));
      if (n == none && !state_.add_comdat(name, hash_name(name), none, n)) return no_room("COMDAT groups");
      claims.push_back(n);
      if (StateComdat* p = g.dead ? nullptr : state_.comdats.edit(n)) p->input = file.input;
    }
    std::sort(claims.begin(), claims.end());
    claims.erase(std::unique(claims.begin(), claims.end()), claims.end());
    StateInput in = state_.inputs[file.input];
    if (!replace_range(state_.comdat_claims, claims, in.first_claim, in.claim_count)) return no_room("COMDAT groups");
    if (StateInput* p = state_.inputs.edit(file.input)) *p = in;
  }
  return true;
}

bool DeltaLink::keep() {
  for (uint32_t id = 0; id < link_.symbols.size(); id++)
    if (!keep_symbol(id)) return false;
  for (File& f : files_)
    if (!keep_file(f)) return false;
  std::vector<Site> slots;
  const auto relative = [&](uint64_t place) {
    auto it = std::lower_bound(relative_.begin(), relative_.end(), std::pair<uint64_t, uint32_t>(place, 0));
    return it != relative_.end() && it->first == place ? it->second : none;
  };
  if (!link_.got_entries.empty()) collect_slot_sites(link_, relative, slots);
  slots.insert(slots.end(), cie_sites_.begin(), cie_sites_.end());
  if (!slots.empty() && !keep_sites(0, slots, true)) return false;
  if (!keep_comdats()) return false;
  StateMeta* p = state_.meta.edit(0);
  if (!p) return give_up("the state file is damaged");
  *p = meta_;
  return true;
}

}  // namespace lode::link::elf
