// Apply: the values of all relocations, written into the copies that the output holds of the inputs' sections.
//
// The formulas are the psABIs' (machines/machine.h); the letters are theirs, too: S the symbol's address, A the addend,
// P the place, G a slot's offset. Scan has reserved every slot and has decided every rewrite; a slot that is missing
// here is an error of this linker's own, and is reported as one.
#include <cstring>

#include "base/bytes.h"
#include "formats/linker_script.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

namespace {

// Writes a field; false: the value does not fit.
bool store_field(const Machine& machine, const RelocationRow& row, uint8_t* p, uint64_t v) {
  const int64_t s = int64_t(v);
  bool ok = true;
  switch (row.field) {
    case Field::none: case Field::any: break;
    case Field::s8: ok = fits_signed(s, 8); break;
    case Field::s16: ok = fits_signed(s, 16); break;
    case Field::s32: ok = fits_signed(s, 32); break;
    case Field::u32: ok = fits_unsigned(v, 32); break;
    case Field::su8: ok = fits_signed(s, 8) || fits_unsigned(v, 8); break;
    case Field::su16: ok = fits_signed(s, 16) || fits_unsigned(v, 16); break;
    case Field::low6: *p = uint8_t((*p & 0xc0) | (v & 0x3f)); return true;
    case Field::instruction: return machine.store && machine.store(row, p, v);
  }
  if (!ok) return false;
  switch (row.bytes) {
    case 1: *p = uint8_t(v); break;
    case 2: store_le(p, uint16_t(v)); break;
    case 4: store_le(p, uint32_t(v)); break;
    case 8: store_le(p, v); break;
    default: break;
  }
  return true;
}

void report_misfit(Link& link, ObjectFile& f, const Atom& a, const Rela& r, const RelocationRow& row, int64_t value) {
  const RelocationTarget t = resolve_target(link, f, r.sym);
  link.diag.recoverable(relocation_place(link, f, a, r.offset) + ": relocation " + row.name + " against " +
                            target_name(link, f, t, r.sym) + " out of range: " + std::to_string(value) +
                            " does not fit in " + std::to_string(row.bits ? row.bits : row.bytes * 8) + " bits",
                        relocation_key(f, a, r.offset));
}

void put(Link& link, ObjectFile& f, const Atom& a, uint8_t* p, const Rela& r, const RelocationRow& row, uint64_t v) {
  if (!store_field(*link.machine, row, p, v)) report_misfit(link, f, a, r, row, int64_t(v));
}

// A field that holds a sum or a difference: it wraps, as the second relocation of a pair brings it back.
void accumulate(const RelocationRow& row, uint8_t* p, uint64_t v) {
  if (row.want == Want::subtract) v = 0 - v;
  if (row.field == Field::low6) {
    *p = uint8_t((*p & 0xc0) | ((*p + v) & 0x3f));
    return;
  }
  switch (row.bytes) {
    case 1: *p = uint8_t(*p + v); break;
    case 2: store_le(p, uint16_t(load_le<uint16_t>(p) + v)); break;
    case 4: store_le(p, uint32_t(load_le<uint32_t>(p) + v)); break;
    case 8: store_le(p, load_le<uint64_t>(p) + v); break;
    default: break;
  }
}

// A number in the room that an unsigned LEB128 has there; false: it does not fit, or the number there does not end.
bool store_leb(uint8_t* p, uint64_t room, uint64_t v) {
  for (uint64_t i = 0; i < room; i++) {
    const bool more = p[i] & 0x80;
    p[i] = uint8_t((p[i] & 0x80) | (v & 0x7f));
    v >>= 7;
    if (!more) return v == 0;
  }
  return false;
}

uint64_t target_address(Link& link, const RelocationTarget& t, int64_t addend) {
  if (t.sym) return t.sym->address + uint64_t(addend);
  return local_address(link, t.ref, addend);
}

const SymbolAux& slots_of(Link& link, const ObjectFile& f, const RelocationTarget& t, uint32_t sym) {
  static const SymbolAux empty{};
  const uint32_t id = t.ref.id != none ? t.ref.id : promoted_id(f, sym);
  if (id == none || link.symbols[id].aux == none) return empty;
  return link.aux[link.symbols[id].aux];
}

// A local ifunc's address is its PLT entry's; globals carry it in Symbol::address.
uint64_t address_or_plt(Link& link, ObjectFile& f, const RelocationTarget& t, uint32_t sym, int64_t addend) {
  if (t.ifunc && !t.sym)
    if (uint32_t id = promoted_id(f, sym); id != none) return link.symbols[id].address + uint64_t(addend);
  return target_address(link, t, addend);
}

// One relocation that is not plain, on its way into the output.
struct Application {
  Link& link;
  ObjectFile& f;
  const Atom& a;
  const Rela& r;
  const RelocationRow& row;
  uint32_t index;
  const RelocationTarget& t;
  uint8_t* p;
  const uint64_t P;
  bool writable;
  DynamicRelocations& dynrels;

  int64_t A() const { return r.addend; }
  uint64_t S(int64_t addend) const { return address_or_plt(link, f, t, r.sym, addend); }
  const SymbolAux& slots() const { return slots_of(link, f, t, r.sym); }
  void no_slot() const {
    link.diag.error(relocation_place(link, f, a, r.offset) +
                        ": internal error: nothing was reserved for relocation " + row.name,
                    relocation_key(f, a, index));
  }
  uint64_t slot(int32_t n) const {
    if (n < 0) no_slot();
    return got_address(link, n);
  }
  void store(uint64_t v) const { put(link, f, a, p, r, row, v); }
  uint64_t got_base() const { return link.got ? got_base_address(link) : 0; }

  void address_word() const {
    switch (action_of(link, row.want, row.bytes, t, writable)) {
      case Action::relative: {
        const uint64_t v = S(A());
        if (packs_relative(link, a, r, writable)) return store_le(p, v);
        dynrels.put({P, link.machine->r_relative, 0, int64_t(v)});
        return store_le(p, link.opt.apply_dynamic_relocs ? v : uint64_t{0});
      }
      case Action::dynamic: {
        const int32_t n = slots().dynsym;
        if (n < 0) no_slot();
        dynrels.put({P, link.machine->r_word(8, false), uint32_t(n < 0 ? 0 : n), A()});
        return store_le(p, link.opt.apply_dynamic_relocs ? uint64_t(A()) : uint64_t{0});
      }
      default: return store_le(p, S(A()));
    }
  }

  uint64_t distance() const {
    const bool call = row.want == Want::call;
    const bool by_plt = t.imported && (t.sym->flags & (needs_plt | needs_canonical_plt)) &&
                        (call || t.function || !(t.sym->flags & needs_copy));
    return (by_plt ? plt_address(link, *t.sym) + uint64_t(A()) : S(A())) - P;
  }

  void call() const {
    if (!t.undefined_weak) return store(distance());
    // A call of an undefined weak function goes nowhere.
    if (link.machine->call_nowhere) link.machine->call_nowhere(row, p);
    else store(uint64_t(A()));
  }

  void rewrite(const KeptRewrite& kept) const {
    RewriteValues values;
    values.place = P;
    values.addend = A();
    values.undefined_weak = t.undefined_weak;
    switch (kept.to) {
      case Rewrite::none: return;
      case Rewrite::distance: case Rewrite::absolute: values.target = S(0); break;
      case Rewrite::initial_exec:
        if (row.want != Want::tls_descriptor_call) values.target = slot(slots().gottp);
        break;
      case Rewrite::local_exec:
        if (row.want != Want::tls_module) values.target = S(A()) - link.tp;
        break;
    }
    const InputPlace place{a.relocs, index, a.reloc_count, {a.data, a.size}, f.syms.size()};
    if (!link.machine->rewrite(place, kept.to, p, values)) report_misfit(link, f, a, r, row, values.misfit);
  }

  // The value of what is nothing but a value.
  uint64_t formula() const {
    switch (row.want) {
      case Want::address: case Want::set: case Want::set_leb: return S(A());
      case Want::distance: case Want::call: return distance();
      case Want::plt_offset: return (t.imported ? plt_address(link, *t.sym) + uint64_t(A()) : S(A())) - got_base();
      case Want::got_offset: return slot(slots().got) + uint64_t(A()) - got_base();
      case Want::got_distance:
      case Want::got_distance_relaxable: return slot(slots().got) + uint64_t(A()) - P;
      case Want::offset_in_got: return S(A()) - got_base();
      case Want::got_base: return got_base() + uint64_t(A()) - P;
      case Want::size:
        return (t.sym ? (t.sym->defined() ? size_of(link, *t.sym) : 0) : uint64_t(f.syms[r.sym].size)) +
               uint64_t(A());
      case Want::gp_distance: return S(A()) - link.gp;
      case Want::tls_general: return slot(slots().tlsgd) + uint64_t(A()) - P;
      case Want::tls_module: return slot(link.tlsld_slot) + uint64_t(A()) - P;
      case Want::tls_offset:
        // Where accesses to the module's block have become accesses by the thread pointer, so has the offset.
        return S(A()) - (tls_rewrite(link, false) == Rewrite::local_exec && !link.machine->tls_rewrite_optional
                             ? link.tp
                             : link.tls_begin + link.machine->dtp_bias);
      case Want::tls_initial: return slot(slots().gottp) + uint64_t(A()) - P;
      case Want::tls_local: return S(A()) - link.tp;
      case Want::tls_descriptor: return slot(slots().tlsdesc) + uint64_t(A()) - P;
      case Want::add: case Want::subtract: case Want::subtract_leb: case Want::follower: case Want::relax_mark:
      case Want::alignment: case Want::refused: case Want::tls_descriptor_call: case Want::nothing: case Want::unknown:
        break;
    }
    return 0;
  }

  // What is left of the value of the relocation that the symbol's place has.
  void follow() const {
    const uint32_t leader = leader_of(link, f, a, r.sym);
    if (leader == none) return;  // reported by the scan
    const Rela& l = a.relocs[leader];
    const RelocationTarget to = resolve_target(link, f, l.sym);
    const Application one{link, f, a, l, link.machine->row(l.type), leader, to, p, P - r.offset + l.offset, writable,
                          dynrels};
    store(one.formula());
  }

  void by_formula() const {
    switch (row.want) {
      case Want::address: return row.bytes == 8 ? address_word() : store(S(A()));
      case Want::call: return call();
      case Want::follower: return follow();
      case Want::add: case Want::subtract: return accumulate(row, p, S(A()));
      case Want::set_leb: case Want::subtract_leb:  // apply() does them
      case Want::relax_mark: case Want::alignment: case Want::refused: case Want::tls_descriptor_call:
      case Want::nothing: case Want::unknown: return;
      default: return store(formula());
    }
  }
};

// A difference in an unsigned LEB128: relocation i sets it and the one behind it subtracts from it. How many that was,
// besides i.
template <class Address>
uint32_t leb_difference(Link& link, ObjectFile& f, const Atom& a, uint32_t i, uint8_t* p, uint64_t room,
                        Address&& address) {
  const Rela& r = a.relocs[i];
  const RelocationRow& row = link.machine->row(r.type);
  const bool pair = row.want == Want::set_leb && i + 1 < a.reloc_count &&
                    link.machine->row(a.relocs[i + 1].type).want == Want::subtract_leb &&
                    a.relocs[i + 1].offset == r.offset && a.relocs[i + 1].sym < f.syms.size();
  if (row.want == Want::subtract_leb) {
    link.diag.error(relocation_place(link, f, a, r.offset) + ": " + row.name +
                        " is not behind an R_RISCV_SET_ULEB128 for the same place",
                    relocation_key(f, a, i));
    return 0;
  }
  const uint64_t v = address(r) - (pair ? address(a.relocs[i + 1]) : 0);
  if (!store_leb(p, room, v))
    link.diag.recoverable(relocation_place(link, f, a, r.offset) + ": relocation " + row.name + ": " +
                              std::to_string(v) + " does not fit in the bytes that are there for it",
                          relocation_key(f, a, i));
  return pair ? 1 : 0;
}

}  // namespace

void apply(Link& link, ObjectFile& f, Atom& a, uint8_t* out, uint64_t address, DynamicRelocations& dynrels) {
  const Machine& machine = *link.machine;
  const bool writable = f.sections[a.section].flags & SHF_WRITE || link.sections[a.out]->flags & SHF_WRITE;
  RewriteCursor rewrites(f, a.section);
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    const Rela& r = a.relocs[i];
    const RelocationRow& row = machine.row(r.type);
    if (row.want == Want::nothing) continue;
    uint8_t* p = out + r.offset;
    if (uint64_t v; is_plain(link, row) && is_plain_target(link, f, r.sym, r.addend, &v)) {
      if (row.want != Want::address) v -= address + r.offset;
      if (row.bytes == 4 && row.field == Field::s32 && fits_signed(int64_t(v), 32)) store_le(p, uint32_t(v));
      else put(link, f, a, p, r, row, v);
      continue;
    }
    if (row.want == Want::relax_mark || row.want == Want::alignment) continue;
    const bool summand = row.want == Want::add || row.want == Want::subtract;
    if (uint64_t v; summand && is_plain_target(link, f, r.sym, r.addend, &v)) {
      accumulate(row, p, v);
      continue;
    }
    const RelocationTarget t = resolve_target(link, f, r.sym);
    if (row.want == Want::set_leb || row.want == Want::subtract_leb) {
      i += leb_difference(link, f, a, i, p, a.size - r.offset, [&](const Rela& one) {
        const RelocationTarget to = resolve_target(link, f, one.sym);
        return to.ref.discarded ? 0 : address_or_plt(link, f, to, one.sym, one.addend);
      });
      continue;
    }
    if (t.ref.discarded) {  // the scan let an exception table pass
      if (row.want != Want::add && row.want != Want::subtract) std::memset(p, 0, row.bytes);
      continue;
    }
    const Application one{link, f, a, r, row, i, t, p, address + r.offset, writable, dynrels};
    if (const KeptRewrite* kept = rewrites.at(i)) {
      one.rewrite(*kept);
      i += kept->span;
    } else {
      one.by_formula();
    }
  }
}

// Debug information of dead code points nowhere: 1 in the range lists of DWARF before 5 (where 0,0 ends a list), else
// 0.
static uint64_t tombstone_of(const Link& link, std::string_view section) {
  uint64_t tombstone = section == ".debug_loc" || section == ".debug_ranges" ? 1 : 0;
  for (const TombstoneRule& rule : link.opt.tombstones)
    if (formats::glob_match(rule.glob, section)) tombstone = rule.value;
  return tombstone;
}

// Whether what a section that is not loaded refers to is not in the output, or is there for another file.
static bool refers_to_dead(Link& link, const ObjectFile& f, const RelocationTarget& t, uint32_t sym, bool debug) {
  const uint32_t atom = t.sym ? t.sym->atom : t.ref.atom;
  if (t.ref.discarded || (t.sym && (!t.sym->defined() || t.imported))) return true;
  if (atom != none && (!link.atoms[atom].live || link.atoms[atom].kind == AtomKind::discarded)) return true;
  if (!debug) return false;
  if (atom != none && link.atoms[atom].folded) return true;
  // A symbol whose copy here was discarded is described where it was kept.
  return t.sym && t.sym->file != f.id && f.syms[sym].shndx != SHN_UNDEF && f.section_of(sym) < f.sections.size() &&
         link.atoms[f.atom_base + f.section_of(sym)].kind == AtomKind::discarded;
}

static bool is_part_of_difference(Want want) { return want >= Want::set && want <= Want::subtract_leb; }

// A half of a difference in a section that is not loaded. Both halves of one in what is not there count from the start
// of its section.
static uint64_t nonalloc_half(Link& link, ObjectFile& f, const Rela& r, bool debug) {
  if (r.sym < f.first_global) {  // most are of labels in code that is there
    const Referent label = referent(link, f, r.sym);
    if (label.atom != none) {
      const Atom& to = link.atoms[label.atom];
      if (to.kind == AtomKind::regular && to.live && !to.folded && label.type != STT_GNU_IFUNC)
        return local_address(link, label, r.addend);
    }
  }
  const RelocationTarget t = resolve_target(link, f, r.sym);
  if (refers_to_dead(link, f, t, r.sym, debug)) return uint64_t(f.syms[r.sym].value) + uint64_t(r.addend);
  return address_or_plt(link, f, t, r.sym, r.addend);
}

static uint32_t nonalloc_difference(Link& link, ObjectFile& f, const Atom& a, uint32_t i, uint8_t* p, bool debug) {
  const Rela& r = a.relocs[i];
  const RelocationRow& row = link.machine->row(r.type);
  auto half = [&](const Rela& one) { return nonalloc_half(link, f, one, debug); };
  switch (row.want) {
    case Want::set: put(link, f, a, p, r, row, half(r)); return 0;
    case Want::add: case Want::subtract: accumulate(row, p, half(r)); return 0;
    default: return leb_difference(link, f, a, i, p, a.size - r.offset, half);
  }
}

void apply_nonalloc(Link& link, ObjectFile& f, Atom& a, uint8_t* out) {
  const std::string_view section = section_name(f, a.section);
  const uint64_t tombstone = tombstone_of(link, section);
  const bool debug = section.starts_with(".debug_");
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    const Rela& r = a.relocs[i];
    const RelocationRow& row = link.machine->row(r.type);
    if (row.want == Want::nothing) continue;
    if (row.want == Want::unknown || r.sym >= f.syms.size() || r.offset > a.size || a.size - r.offset < row.bytes) {
      link.diag.error(relocation_place(link, f, a, r.offset) + ": malformed relocation", relocation_key(f, a, i));
      continue;
    }
    uint8_t* p = out + r.offset;
    if (is_part_of_difference(row.want)) {
      i += nonalloc_difference(link, f, a, i, p, debug);
      continue;
    }
    const RelocationTarget t = resolve_target(link, f, r.sym);
    const bool dead = refers_to_dead(link, f, t, r.sym, debug);
    auto store = [&](uint64_t v) { put(link, f, a, p, r, row, v); };
    switch (row.want) {
      case Want::relax_mark: case Want::alignment: break;
      case Want::address:
        if (dead && row.bytes == 8) store_le(p, tombstone);
        else store(dead ? tombstone : address_or_plt(link, f, t, r.sym, r.addend));
        break;
      case Want::tls_offset:
        store(dead ? 0 : target_address(link, t, r.addend) - link.tls_begin - link.machine->dtp_bias);
        break;
      case Want::distance:
        store(dead ? 0 : target_address(link, t, r.addend) - (link.sections[a.out]->addr + a.offset + r.offset));
        break;
      case Want::offset_in_got: store(dead ? 0 : target_address(link, t, r.addend) - got_base_address(link)); break;
      case Want::size: store(uint64_t(f.syms[r.sym].size) + uint64_t(int64_t(r.addend))); break;
      default:
        link.diag.error(relocation_place(link, f, a, r.offset) + ": relocation " + row.name +
                            " is not allowed in a section that is not loaded",
                        relocation_key(f, a, i));
    }
  }
}

void apply_record(Link& link, ObjectFile& f, const Atom& a, const Rela& rel, uint8_t* at, uint64_t room,
                  uint64_t address) {
  const Rela r = rel;
  const RelocationRow& row = link.machine->row(r.type);
  if (row.want == Want::nothing) return;
  const bool difference = row.want == Want::set || row.want == Want::add || row.want == Want::subtract;
  if ((row.want != Want::address && row.want != Want::distance && row.want != Want::got_distance && !difference) ||
      row.bytes > room || r.sym >= f.syms.size()) {
    link.diag.error(relocation_place(link, f, a, r.offset) + ": unexpected relocation " + row.name + " in .eh_frame",
                    relocation_key(f, a, r.offset));
    return;
  }
  const RelocationTarget t = resolve_target(link, f, r.sym);
  uint64_t v;
  if (row.want == Want::add || row.want == Want::subtract)
    return accumulate(row, at, t.ref.discarded ? 0 : address_or_plt(link, f, t, r.sym, r.addend));
  if (row.want == Want::got_distance) {
    v = got_address(link, slots_of(link, f, t, r.sym).got) + uint64_t(int64_t(r.addend)) - address;
  } else {
    v = t.ref.discarded ? 0 : address_or_plt(link, f, t, r.sym, r.addend);
    if (t.imported && (t.sym->flags & needs_plt)) v = plt_address(link, *t.sym) + uint64_t(int64_t(r.addend));
    if (row.want == Want::distance) v -= address;
  }
  put(link, f, a, at, r, row, v);
}

void describe_relocation(Link& link, ObjectFile& f, const Atom& a, uint32_t i, Rela& out) {
  RewriteCursor rewrites(f, a.section);
  for (uint32_t before = i > 3 ? i - 3 : 0; before < i; before++)
    if (const KeptRewrite* k = rewrites.at(before); k && before + k->span >= i) {
      out = {uint64_t(out.offset), link.machine->r_none, 0, 0};  // its sequence is one with the relocation before
      return;
    }
  if (const KeptRewrite* kept = rewrites.at(i))
    link.machine->describe({a.relocs, i, a.reloc_count, {a.data, a.size}, f.syms.size()}, kept->to, out);
}

}  // namespace lode::link::elf
