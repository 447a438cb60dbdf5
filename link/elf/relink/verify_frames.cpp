// Unwind records of the patched file (verify_relink.h): each function of the full link has its FDE, which says the
// same, and the search table has each FDE once, in the order of the code.
#include <algorithm>

#include "link/elf/relink/verify_relink.h"

namespace lode::link::elf {

// Those of functions whose places are known by now. True: there were some.
bool RelinkVerifier::compare_frames() {
  if (compared_frames_.empty()) {
    compared_frames_.resize(fresh_.fdes.size());
    frames_with_owner_.resize(now_.fdes.size());
    for (uint32_t i = 0; i < now_.fdes.size(); i++)
      // Functions without an instruction (all of it was unreachable) have records, and others begin where they do.
      if (now_.fdes[i].size && !frame_at_.emplace(now_.fdes[i].begin, i).second)
        differ("two unwind records describe the code at " + hex(now_.fdes[i].begin));
  }
  bool some = false;
  for (size_t i = 0; i < fresh_.fdes.size() && differences_.size() < most_differences; i++) {
    if (compared_frames_[i]) continue;
    const ImageFde& a = fresh_.fdes[i];
    if (!a.size) {
      compared_frames_[i] = true;
      continue;
    }
    const uint32_t atom = atom_at(a.begin);
    uint64_t begin = 0;
    std::string what;
    if (atom != none) {
      if (place_[atom] == unknown) continue;
      begin = place_[atom] + (a.begin - full_place(atom));
      what = "the unwind record of " + describe_atom(atom, a.begin - full_place(atom));
    } else {  // of the linker's own code: its section stays where it is
      const Shdr* s = fresh_.section_at(a.begin);
      const Shdr* h = s ? now_.section(fresh_.name_of(*s)) : nullptr;
      begin = h ? h->addr + (a.begin - s->addr) : a.begin;
      what = "the unwind record of code at " + hex(a.begin);
    }
    compared_frames_[i] = true;
    some = true;
    const auto found = frame_at_.find(begin);
    if (found == frame_at_.end()) {
      differ(what + " is missing: nothing describes " + hex(begin));
      continue;
    }
    const ImageFde& b = now_.fdes[found->second];
    const Source source{nullptr, nullptr, 0, what.c_str()};
    frames_with_owner_[found->second] = true;
    const ImageCie &c = fresh_.cies[a.cie], &d = now_.cies[b.cie];
    if (a.size != b.size)
      differ(what + " describes " + std::to_string(b.size) + " bytes instead of " + std::to_string(a.size));
    if (a.instructions != b.instructions) differ(what + " has other instructions");
    if (c.text != d.text || c.has_personality != d.has_personality) differ(what + " has another CIE");
    if (c.personality && !same_place(c.personality, d.personality, source))
      differ(what + " has another personality routine, by " + hex(d.personality));
    if ((a.lsda != 0) != (b.lsda != 0))
      differ(what + (b.lsda ? " has" : " lacks") + std::string(" an exception table"));
    else if (a.lsda && !same_place(a.lsda, b.lsda, source)) differ(what + " has another exception table");
  }
  return some;
}

void RelinkVerifier::compare_search_table() {
  std::vector<std::pair<uint64_t, uint64_t>> taken;
  for (const auto& [address, atom] : loaded_atoms_)
    if (place_[atom] != unknown) taken.emplace_back(place_[atom], place_[atom] + full_.atoms[atom].size);
  std::sort(taken.begin(), taken.end());
  for (size_t i = 0; i < now_.fdes.size(); i++) {
    if (frames_with_owner_.empty() || frames_with_owner_[i]) continue;
    const ImageFde& f = now_.fdes[i];
    auto it =
        std::upper_bound(taken.begin(), taken.end(), f.begin, [](uint64_t a, const auto& b) { return a < b.first; });
    const bool inside = it != taken.begin() && f.begin < std::prev(it)->second;
    const bool reaches = it != taken.end() && f.begin + f.size > it->first;
    if (f.size && (inside || reaches))
      differ("an unwind record describes " + hex(f.begin) + " to " + hex(f.begin + f.size) +
             ", where the full link has other code");
    else dead_frames_++;
  }
  if (fresh_.has_search_table != now_.has_search_table) return differ("there is no search table of unwind records");
  if (!now_.has_search_table) return;
  std::unordered_map<uint64_t, uint64_t> begin_of;  // by record
  for (const ImageFde& f : now_.fdes) begin_of.emplace(f.record, f.begin);
  uint64_t before = 0;
  for (const auto& [code, record] : now_.search_table) {
    if (code < before) differ("the search table of unwind records is not sorted at " + hex(code));
    before = code;
    const auto found = begin_of.find(record);
    if (found == begin_of.end() || found->second != code)
      differ("the search table says that " + hex(code) + " is described at " + hex(record) + ", which it is not");
    else begin_of.erase(found);
  }
  for (const auto& [record, code] : begin_of)
    if (frame_at_.count(code) && (frames_with_owner_.empty() || frames_with_owner_[frame_at_[code]]))
      differ("the search table lacks the unwind record of code at " + hex(code));
}

}  // namespace lode::link::elf
