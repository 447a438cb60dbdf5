// What the relocations of an output ask of the linker, machine by machine the same: decided from what the symbol is and
// what the output is, by tables (actions.cpp). Scan and apply ask the same questions here, so they cannot disagree.
#pragma once

#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"

namespace lode::link::elf {

// What a relocation refers to, reduced to what decisions need.
struct RelocationTarget {
  Referent ref;
  const Symbol* sym = nullptr;
  bool imported = false, ifunc = false, absolute = false, function = false, undefined_weak = false;
};
RelocationTarget resolve_target(Link& link, ObjectFile& f, uint32_t sym);

enum class Action : uint8_t {
  none,           // the value is final
  error,          // nothing that could be written would be right
  relative,       // a dynamic relocation that adds the load address
  dynamic,        // one that names the symbol
  copy,           // the object moves into the output
  canonical_plt,  // the PLT entry becomes the function's address for everybody
  plt,            // by the PLT entry
  dynamic_or_copy,           // tables only: dynamic where the place is writable or copies are forbidden, else ...
  dynamic_or_canonical_plt,  // ... the other
};

Action action_of(const Link& link, Want want, unsigned bytes, const RelocationTarget& t, bool writable);

// Most relocations are of this kind: the distance, or in an output with a known base the address, of something that has
// its place in this output and is no IFUNC. Nothing has to be reserved or decided for them, so neither scan nor apply
// looks further.
inline bool is_plain(const Link& link, const RelocationRow& row) {
  return row.want == Want::distance || row.want == Want::call || (row.want == Want::address && !link.pic);
}
// `address`, if given, gets that of the target, which layout must have decided then.
inline bool is_plain_target(Link& link, ObjectFile& f, uint32_t sym, int64_t addend = 0, uint64_t* address = nullptr) {
  if (sym >= f.first_global) {
    const Symbol& s = link.symbols[f.symbol_id(sym)];
    if (address) *address = s.address + uint64_t(addend);
    return s.atom != none && !s.imported && s.type != STT_GNU_IFUNC;
  }
  const Referent r = referent(link, f, sym);
  if (r.atom == none || r.discarded || r.type == STT_GNU_IFUNC) return false;
  if (address) *address = local_address(link, r, addend);
  return true;
}

// What an access to thread-local storage may become: in an executable, the offset from the thread pointer is known when
// the program starts, and that of the program's own variables now.
inline Rewrite tls_rewrite(const Link& link, bool imported) {
  return !relaxes_tls(link) ? Rewrite::none : imported ? Rewrite::initial_exec : Rewrite::local_exec;
}
// What a load of an address from the GOT may become.
Rewrite got_rewrite(const Link& link, const RelocationTarget& t);

// DT_RELR describes places at even addresses only.
bool packs_relative(Link& link, const Atom& a, const Rela& r, bool writable);

// The relocation that another one follows (Want::follower): that of the instruction at the place of symbol `sym`, in
// the same section; none: there is none.
uint32_t leader_of(Link& link, ObjectFile& f, const Atom& a, uint32_t sym);

// All relocations of a section that follow another one, by that. Malformed ones are left out.
class Followers {
 public:
  std::span<const uint32_t> of(uint32_t leader) const;

 private:
  friend Followers find_followers(Link& link, ObjectFile& f, const Atom& a);
  std::vector<uint32_t> leaders_, followers_;  // ascending; at the same index
};
Followers find_followers(Link& link, ObjectFile& f, const Atom& a);

// ---- messages -------------------------------------------------------------------------------------------------------

std::string relocation_place(Link& link, const ObjectFile& f, const Atom& a, uint64_t offset);
// The order in which messages about relocations are printed.
inline uint64_t relocation_key(const ObjectFile& f, const Atom& a, uint64_t i) {
  return uint64_t(f.priority) << 40 | uint64_t(a.section & 0xffff) << 24 | (i & 0xffffff);
}
std::string target_name(Link& link, const ObjectFile& f, const RelocationTarget& t, uint32_t sym);
const char* output_kind(const Link& link);

// A reference to an undefined symbol: true if it is an error, now noted (scan.cpp).
bool note_undefined(Link& link, uint32_t symbol, const ObjectFile& file, const Atom& atom, uint64_t offset);

// ---- apply ----------------------------------------------------------------------------------------------------------

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

// Relocates the copy of an atom at `out`, which will be at `address`.
void apply(Link& link, ObjectFile& f, Atom& a, uint8_t* out, uint64_t address, DynamicRelocations& dynrels);
// Sections that are not loaded: dead references become tombstones.
void apply_nonalloc(Link& link, ObjectFile& f, Atom& a, uint8_t* out);
// One relocation of a record in .eh_frame; `room` bytes remain in the record.
void apply_record(Link& link, ObjectFile& f, const Atom& a, const Rela& rel, uint8_t* at, uint64_t room,
                  uint64_t address);
// --emit-relocs: makes relocation i of an atom describe what apply left there.
void describe_relocation(Link& link, ObjectFile& f, const Atom& a, uint32_t i, Rela& out);

// The rewrites of one section, read along with its relocations in ascending order.
class RewriteCursor {
 public:
  RewriteCursor(const ObjectFile& f, uint32_t section);
  const KeptRewrite* at(uint32_t index) {
    while (next_ != end_ && next_->index < index) next_++;
    return next_ != end_ && next_->index == index ? next_ : nullptr;
  }

 private:
  const KeptRewrite *next_ = nullptr, *end_ = nullptr;
};

}  // namespace lode::link::elf
