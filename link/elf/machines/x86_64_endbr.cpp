// -z rewrite-endbr: a function that is only ever called directly loses the mark of an indirect branch's target.
//
// With control-flow enforcement (Intel SDM volume 1, chapter 17) an indirect branch may only arrive at an endbr64
// instruction. A compiler puts one at the start of every function whose address another object might take; the linker
// sees all of them, so it knows better, and each endbr64 less is one place less for an attacker. It becomes a nop of
// the same size.
//
// Everything counts as taking an address but a direct call or jump in code (Machine::is_call): data, the dynamic symbol
// table, the roots, what functions made from IR refer to. A reference by section symbol that is not from code marks the
// whole section, because its addend may be biased; from code it marks the place with and without the distance to the
// end of the instruction. Within a section the assembler resolves references to local names itself, so code is also
// looked through for lea instructions relative to rip; bytes that only look like one keep an endbr64 too many, which is
// harmless. The pass runs on the finished image.

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/elf/machines/x86_64.h"
#include "link/elf/relocations/referent.h"
#include "link/common/parallel.h"

namespace lode::link::elf::x86_64 {

namespace {

struct Place {
  uint32_t atom;
  uint64_t offset;
  bool operator==(const Place&) const = default;
  auto operator<=>(const Place&) const = default;
};
constexpr uint64_t whole_atom = ~uint64_t{0};

void places_of_lea(const Atom& a, uint32_t id, std::vector<Place>& taken) {
  for (uint64_t at = 0; a.data && at + 6 <= a.size; at++) {
    if (a.data[at] != 0x8d || (a.data[at + 1] & 0xc7) != 0x05) continue;
    uint64_t target = at + 6 + uint64_t(int64_t(load_le<int32_t>(a.data + at + 2)));
    if (target < a.size) taken.push_back({id, target});
  }
}

void places_of(Link& link, ObjectFile& f, std::vector<Place>& taken) {
  for (uint32_t i = 1; i < f.sections.size(); i++) {
    const Atom& a = link.atoms[f.atom_base + i];
    if (!a.live || a.kind != AtomKind::regular || a.folded || !is_loaded(link, a)) continue;
    const bool code = f.sections[i].flags & SHF_EXECINSTR;
    if (code) places_of_lea(a, f.atom_base + i, taken);
    for (uint32_t r = 0; r < a.reloc_count; r++) {
      if ((code && link.machine->is_call(a.relocs[r].type)) || a.relocs[r].sym >= f.syms.size()) continue;
      Referent t = referent(link, f, a.relocs[r].sym);
      if (t.id != none) {
        taken.push_back({link.symbols[t.id].atom, link.symbols[t.id].value});
      } else if (!t.section_symbol) {
        taken.push_back({t.atom, t.value});
      } else if (!code) {
        taken.push_back({t.atom, whole_atom});
      } else {
        for (uint64_t bias : {0, 4}) taken.push_back({t.atom, t.value + uint64_t(int64_t(a.relocs[r].addend)) + bias});
      }
    }
  }
}

}  // namespace

void rewrite_endbr(Link& link) {
  if (!link.opt.rewrite_endbr) return;
  static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa}, nop[] = {0x0f, 0x1f, 0x40, 0x00};
  std::vector<std::vector<Place>> found(link.objects.size());
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) { places_of(link, *link.objects[k], found[k]); });
  std::vector<Place> taken;
  for (auto& list : found) taken.insert(taken.end(), list.begin(), list.end());
  for (const Symbol& s : link.symbols) {
    bool start = s.str() == link.entry_name || s.str() == link.opt.init || s.str() == link.opt.fini;
    if (s.defined() && s.atom != none && (s.exported || start || (s.flags & (is_root | needs_mask))))
      taken.push_back({s.atom, s.value});
  }
  if (link.has_modules)
    for_each_reference(link, [&](uint32_t, uint32_t symbol) {
      if (const Symbol& s = link.symbols[symbol]; s.defined() && s.atom != none) taken.push_back({s.atom, s.value});
    });
  if (!link.folded.empty()) {
    std::vector<std::pair<uint32_t, uint32_t>> leaders = link.folded;
    std::sort(leaders.begin(), leaders.end());
    for (Place& p : taken)
      if (auto it = std::lower_bound(leaders.begin(), leaders.end(), std::pair(p.atom, uint32_t(0)));
          it != leaders.end() && it->first == p.atom)
        p.atom = it->second;
  }
  std::sort(taken.begin(), taken.end());
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    if (f.kind != FileKind::object) return;
    for (uint32_t i = 1; i < f.syms.size(); i++) {
      const Sym& s = f.syms[i];
      uint32_t section = f.section_of(i);
      if (s.type() != STT_FUNC || section == 0 || section >= f.sections.size()) continue;
      const Atom& a = link.atoms[f.atom_base + section];
      if (!a.live || a.folded || a.kind != AtomKind::regular || a.out == none || s.value > a.size ||
          a.size - s.value < sizeof endbr64)
        continue;
      if (!(f.sections[section].flags & SHF_EXECINSTR) || !a.data) continue;
      bool kept = std::binary_search(taken.begin(), taken.end(), Place{f.atom_base + section, s.value}) ||
                  std::binary_search(taken.begin(), taken.end(), Place{f.atom_base + section, whole_atom});
      uint8_t* p = link.image + link.sections[a.out]->offset + a.offset + s.value;
      if (!kept && std::memcmp(p, endbr64, sizeof endbr64) == 0) std::memcpy(p, nop, sizeof nop);
    }
  });
}

}  // namespace lode::link::elf::x86_64
