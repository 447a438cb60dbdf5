// What a relocation refers to, before and after layout, and where slots and entries for it are.
#pragma once

#include "link/elf/link.h"

namespace lode::link::elf {

// A relocation's symbol: a global (or promoted local) by id, or a plain local by place.
struct Referent {
  uint32_t id = none;       // symbol, if any
  uint32_t atom = none;     // plain local: its atom (none: absolute)
  uint64_t value = 0;       // plain local: in the atom
  uint8_t type = 0;
  bool section_symbol = false;
  bool undefined = false;   // plain local: index 0
  bool discarded = false;   // plain local in a discarded section
};

inline Referent referent(Link& link, ObjectFile& f, uint32_t sym) {
  Referent r;
  if (sym >= f.first_global) {
    r.id = f.symbol_id(sym);
    r.type = link.symbols[r.id].type;
    return r;
  }
  const Sym& s = f.syms[sym];
  r.type = s.type();
  r.value = s.value;
  r.section_symbol = r.type == STT_SECTION;
  uint32_t section = f.section_of(sym);
  if (section == 0) {
    r.undefined = true;
  } else if (section < f.sections.size()) {
    r.atom = f.atom_base + section;
    AtomKind k = link.atoms[r.atom].kind;
    r.discarded = k == AtomKind::discarded || k == AtomKind::none;
  }
  return r;
}

// The address of a place in an atom, before any addend.
inline uint64_t place_address(Link& link, const Atom& a, uint64_t offset) {
  if (a.kind == AtomKind::merge) return merged_address(link, a, offset);
  if (a.kind == AtomKind::eh_frame) return link.eh_frame->addr + eh_frame_offset(link, a, offset);
  return link.atom_address[uint32_t(&a - link.atoms.data())] + offset;
}

// S + A of a plain local. Addends of section symbols choose the piece in a merged section; others only displace.
inline uint64_t local_address(Link& link, const Referent& r, int64_t addend) {
  if (r.atom == none) return r.value + uint64_t(addend);
  const Atom& a = link.atoms[r.atom];
  if (a.kind == AtomKind::merge) {
    if (r.section_symbol) return merged_address(link, a, r.value + uint64_t(addend));
    return merged_address(link, a, r.value) + uint64_t(addend);
  }
  if (a.kind == AtomKind::eh_frame) {
    // The addend chooses the record where it can; that of a pc-relative field says where the field ends.
    if (r.section_symbol && addend > 0) return place_address(link, a, r.value + uint64_t(addend));
    return place_address(link, a, r.value) + uint64_t(addend);
  }
  // In code that has become shorter, what follows a section symbol is a place of the input.
  if (r.section_symbol && a.extra != none) return link.atom_address[r.atom] + shrunk_offset(link, a, uint64_t(addend));
  return link.atom_address[r.atom] + r.value + uint64_t(addend);
}

inline uint32_t promoted_id(const ObjectFile& f, uint32_t sym) {
  for (size_t lo = 0, hi = f.promoted.size(); lo < hi;) {
    size_t mid = (lo + hi) / 2;
    if (f.promoted[mid].sym == sym) return f.promoted[mid].id;
    if (f.promoted[mid].sym < sym) lo = mid + 1;
    else hi = mid;
  }
  return none;
}

inline bool is_absolute(Link& link, const Symbol& s) {
  return s.atom == none && s.defined() && !s.imported && link.files[s.file]->is_object() && !s.linker_defined;
}

// Resolved by a function of this output when it starts: what binds it calls that function.
inline bool is_own_ifunc(Link& link, const Symbol& s) {
  return s.type == STT_GNU_IFUNC && s.defined() && link.files[s.file]->is_object();
}

// An executable's thread-local accesses become initial-exec or local-exec. In a static one they must: its module has no
// entry in the thread vector before libc has made one.
inline bool relaxes_tls(const Link& link) {
  return !link.shared && (link.opt.relax || link.is_static_output || link.opt.is_static);
}

// For messages about a local in a discarded COMDAT member: where it is and which file's copy was kept.
std::string discarded_place(Link& link, const ObjectFile& file, uint32_t sym);

// What _GLOBAL_OFFSET_TABLE_ stands for.
uint64_t got_base_address(const Link& link);
// Where a slot of the GOT is.
uint64_t got_address(Link& link, int32_t slot);
// Does a slot hold an address of this output that moves with it?
bool got_slot_is_relative(const Link& link, const GotEntry& e);
uint64_t plt_address(Link& link, const Symbol& s);

}  // namespace lode::link::elf
