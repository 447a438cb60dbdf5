// What the ELF linker needs to know about a machine: one record of constants and functions for each.
//
// Relocations of the input are scanned once (what does each want: a GOT slot, a PLT entry, a dynamic relocation?) and
// applied once at the end. Both consult the same classification, so what the scan reserved is what apply uses.
#pragma once

#include "codegen/native/target.h"
#include "link/elf/link.h"

namespace lode::link::elf {

// The dynamic relocations of one file on their way into .rela.dyn. The scan counted them and apply makes them; both ask
// the same questions, and if their answers ever differ, nothing is written past the share of the file and the link
// fails.
class DynamicRelocations {
 public:
  DynamicRelocations(Rela* begin, size_t count) : at_(begin), left_(int64_t(count)) {}
  void put(const Rela& r) {
    if (left_-- > 0) *at_++ = r;
  }
  bool complete() const { return left_ == 0; }

 private:
  Rela* at_;
  int64_t left_;  // negative: so many too many
};

struct Target {
  uint16_t machine;
  const char* dynamic_linker;
  uint64_t page_size;
  uint64_t default_base;           // of a position-dependent executable
  uint32_t plt_header_size, plt_entry_size, gotplt_header;  // bytes; the last in slots
  uint32_t pltgot_entry_size, pltgot_ibt_entry_size;
  uint32_t r_abs, r_relative, r_glob_dat, r_jump_slot, r_copy, r_irelative, r_dtpmod, r_dtpoff, r_tpoff, r_tlsdesc;
  uint32_t r_pcrel32;              // what FDEs of this machine are made of; against a local symbol it asks for nothing
  bool tls_below_tp;               // variant II: the TLS image ends at the thread pointer

  // Pass scan: everything one live atom of an object asks for; or a record of .eh_frame, as an atom of that kind.
  void (*scan)(Link&, ObjectFile&, Atom&);
  // Pass write: relocates the copy of an atom at `out`, which will be at `address`.
  void (*apply)(Link&, ObjectFile&, Atom&, uint8_t* out, uint64_t address, DynamicRelocations& dynrels);
  // Non-alloc sections: dead references become tombstones.
  void (*apply_nonalloc)(Link&, ObjectFile&, Atom&, uint8_t* out);
  // One relocation of a record in .eh_frame; `room` bytes remain in the record.
  void (*apply_data)(Link&, ObjectFile&, const Atom&, const Rela&, uint8_t* at, uint64_t room, uint64_t address);
  // --emit-relocs: makes relocation i of an atom describe what apply left there.
  void (*emitted_relocation)(Link&, ObjectFile&, const Atom&, uint32_t i, Rela&);
  // Is a relocation of this type only ever a call or jump, so that it does not tell the program an address?
  bool (*is_call)(uint32_t type);
  // The relocation type of a codegen::Fixup's kind.
  uint32_t (*fixup_type)(uint16_t kind);
  void (*write_plt)(Link&, uint8_t* out);
  void (*write_pltsec)(Link&, uint8_t* out);
  // Where the slot of entry i leads until the symbol is bound: into the lazy entry.
  uint64_t (*lazy_address)(const Link&, uint32_t i);
  void (*write_pltgot)(Link&, uint8_t* out);
  const codegen::NativeTarget* (*code)();
};

const Target& x86_64_target();

// ---- shared by the targets: what a relocation refers to -------------------------------------------------------------

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

// A reference to an undefined symbol: true if it is an error, now noted (scan.cpp).
bool note_undefined(Link& link, uint32_t symbol, const ObjectFile& file, const Atom& atom, uint64_t offset);

// An executable's thread-local accesses become initial-exec or local-exec. In a static one they must: its module has no
// entry in the thread vector before libc has made one.
inline bool relaxes_tls(const Link& link) {
  return !link.shared && (link.opt.relax || link.is_static_output || link.opt.is_static);
}

// For messages about a local in a discarded COMDAT member: where it is and which file's copy was kept.
std::string discarded_place(Link& link, const ObjectFile& file, uint32_t sym);

// Where a slot of the GOT is.
uint64_t got_address(Link& link, int32_t slot);
// Does a slot hold an address of this output that moves with it?
bool got_slot_is_relative(const Link& link, const Link::GotEntry& e);
uint64_t plt_address(Link& link, const Symbol& s);

}  // namespace lode::link::elf
