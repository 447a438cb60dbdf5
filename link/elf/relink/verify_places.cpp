// Where atoms are in the patched file, and whether they say the same there (verify_relink.h).
#include <algorithm>

#include "base/bytes.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/relink/state.h"
#include "link/elf/relink/verify_relink.h"

namespace lode::link::elf {

namespace {

// Sections whose every byte means something, or whose bounds do: they have one layout.
bool has_one_layout(const OutputSection& s) {
  return s.alloc() &&
         ((s.flags & SHF_TLS) || s.type == SHT_INIT_ARRAY || s.type == SHT_FINI_ARRAY || s.type == SHT_PREINIT_ARRAY ||
          s.type == SHT_NOTE || is_c_identifier(s.name) || s.name == ".init" || s.name == ".fini" ||
          s.name.starts_with(".ctors") || s.name.starts_with(".dtors"));
}

uint64_t load_field(const uint8_t* p, unsigned bytes, bool is_signed) {
  uint64_t v = 0;
  std::memcpy(&v, p, bytes);
  return is_signed ? uint64_t(sign_extend(v, bytes * 8)) : v;
}

}  // namespace

RelinkVerifier::RelinkVerifier(Link& full, const FinishedImage& fresh, const FinishedImage& now)
    : full_(full), fresh_(fresh), now_(now) {
  place_.assign(full.atoms.size(), unknown);
  function_of_.assign(full.atoms.size(), 0);
  seen_relocations_.resize(now.relocations.size());
  for (uint32_t i = 0; i < full.atoms.size(); i++) {
    const Atom& a = full.atoms[i];
    if (!is_compared(i) || !a.size || !full.sections[a.out]->alloc()) continue;
    if ((full.sections[a.out]->flags & SHF_TLS) && full.sections[a.out]->nobits()) continue;
    loaded_atoms_.emplace_back(full_place(i), i);
  }
  std::sort(loaded_atoms_.begin(), loaded_atoms_.end());
  for (const LiveFunction& fn : live_functions(full)) {
    functions_.emplace_back(fn.file, fn.fn);
    function_of_[fn.file->atom_base + fn.fn->section] = uint32_t(functions_.size());
  }
}

void RelinkVerifier::run() {
  compare_headers();
  compare_sections();
  roots();
  walk();
  compare_dynamic_symbols();
  while (compare_frames()) walk();
  name_locals();
  walk();
  while (compare_frames()) walk();
  find_units();
  walk();
  all_relocations();
  walk();
  overlaps();
  compare_search_table();
  compare_segments();
  compare_symbols();
  compare_hash_tables();
  compare_dynamic_entries();
  compare_build_id();
  for (uint32_t i = 0; i < full_.atoms.size(); i++)
    unreached_ += is_compared(i) && full_.atoms[i].size && place_[i] == unknown;
}

std::string RelinkVerifier::summary() const {
  return std::to_string(atoms_) + " sections and functions and " + std::to_string(fields_) + " fields compared, " +
         std::to_string(unreached_) + " without names or references not found, " + std::to_string(dead_symbols_) +
         " dead symbols, " + std::to_string(dead_frames_) + " dead unwind records and " +
         std::to_string(dead_relocations_) + " dead relocations left in place";
}

void RelinkVerifier::differ(std::string text) {
  if (said_.insert(text).second) differences_.push_back(std::move(text));
}

// ---- atoms ----------------------------------------------------------------------------------------------------------

bool RelinkVerifier::is_compared(uint32_t atom) const {
  const Atom& a = full_.atoms[atom];
  if (!a.live || a.folded || a.out == none || full_.sections[a.out]->gone) return false;
  return a.kind == AtomKind::regular || a.kind == AtomKind::function || a.kind == AtomKind::constants;
}

uint64_t RelinkVerifier::full_place(uint32_t atom) const {
  const Atom& a = full_.atoms[atom];
  return full_.sections[a.out]->addr + a.offset;
}

const uint8_t* RelinkVerifier::full_bytes(uint32_t atom) const {
  const Atom& a = full_.atoms[atom];
  const OutputSection& s = *full_.sections[a.out];
  if (s.nobits() || s.offset > fresh_.view.file.size() || a.offset + a.size > fresh_.view.file.size() - s.offset)
    return nullptr;
  return fresh_.view.file.data() + s.offset + a.offset;
}

const Shdr* RelinkVerifier::counterpart(uint32_t out) {
  const auto [it, made] = counterparts_.try_emplace(out);
  if (!made) return it->second;
  const OutputSection& s = *full_.sections[out];
  for (const Shdr& h : now_.view.sections)
    if (now_.name_of(h) == s.name && h.type == s.type && !it->second) it->second = &h;
  return it->second;
}

const uint8_t* RelinkVerifier::now_bytes(uint32_t atom, uint64_t at, uint64_t size) {
  const Shdr* s = counterpart(full_.atoms[atom].out);
  if (!s || s->type == SHT_NOBITS || at < s->addr || at - s->addr > s->size || size > s->size - (at - s->addr))
    return nullptr;
  return now_.view.file.data() + s->offset + (at - s->addr);
}

std::string RelinkVerifier::describe_atom(uint32_t atom, uint64_t offset) const {
  const Atom& a = full_.atoms[atom];
  return relocation_place(full_, *static_cast<const ObjectFile*>(full_.files[a.file].get()), a, offset);
}

std::string RelinkVerifier::describe(const Source& s) const {
  if (s.what) return s.what;
  return s.file ? relocation_place(full_, *s.file, *s.atom, s.offset) : std::string("the linker's own file");
}

void RelinkVerifier::put(uint32_t atom, uint64_t at, const Source& source) {
  if (!is_compared(atom)) return;
  if (place_[atom] == at) return;
  if (place_[atom] != unknown) {
    if (full_.atoms[atom].size)
      differ(describe_atom(atom, 0) + " is at " + hex(place_[atom]) + ", but " + describe(source) + " leads to it at " +
             hex(at));
    return;
  }
  const Shdr* s = counterpart(full_.atoms[atom].out);
  if (!s || at < s->addr || at - s->addr > s->size || full_.atoms[atom].size > s->size - (at - s->addr))
    return differ(describe(source) + " leads to " + hex(at) + ", which cannot be " + describe_atom(atom, 0) +
                  (s ? ": it is outside of section " + full_.sections[full_.atoms[atom].out]->name
                     : std::string(": there is no such section")));
  if (const uint64_t align = uint64_t{1} << full_.atoms[atom].p2align; at & (align - 1))
    differ(describe_atom(atom, 0) + " is at " + hex(at) + ", which is not aligned to " + std::to_string(align));
  place_[atom] = at;
  pending_.push_back(atom);
}

void RelinkVerifier::walk() {
  while (!pending_.empty() && differences_.size() < most_differences) {
    const uint32_t atom = pending_.back();
    pending_.pop_back();
    visit(atom);
  }
}

// The atom whose bytes an address of the full output is in.
uint32_t RelinkVerifier::atom_at(uint64_t address) const {
  auto it = std::upper_bound(loaded_atoms_.begin(), loaded_atoms_.end(), address,
                             [](uint64_t a, const auto& b) { return a < b.first; });
  if (it == loaded_atoms_.begin()) return none;
  --it;
  return address - it->first < full_.atoms[it->second].size ? it->second : none;
}

void RelinkVerifier::overlaps() {
  struct Taken {
    const Shdr* section;
    uint64_t at, size;
    uint32_t atom;
  };
  std::vector<Taken> all;
  for (uint32_t i = 0; i < full_.atoms.size(); i++)
    if (place_[i] != unknown && full_.atoms[i].size)
      all.push_back({counterpart(full_.atoms[i].out), place_[i], full_.atoms[i].size, i});
  std::sort(all.begin(), all.end(), [](const Taken& a, const Taken& b) {
    return a.section != b.section ? a.section < b.section : a.at != b.at ? a.at < b.at : a.atom < b.atom;
  });
  for (size_t i = 1; i < all.size(); i++)
    if (all[i].section == all[i - 1].section && all[i].at < all[i - 1].at + all[i - 1].size)
      differ(describe_atom(all[i - 1].atom, 0) + " and " + describe_atom(all[i].atom, 0) + " overlap at " +
             hex(all[i].at));
}

// ---- roots ----------------------------------------------------------------------------------------------------------

void RelinkVerifier::roots() {
  anchor_sections();
  anchor_symbols();
  if (const uint64_t entry = fresh_.view.header->entry)
    same_place(entry, now_.view.header->entry, {nullptr, nullptr, 0, "the entry point"});
  else if (now_.view.header->entry) differ("there is an entry point");
  for (const Dyn& d : fresh_.dynamic) {
    if (d.tag != DT_INIT && d.tag != DT_FINI) continue;
    for (const Dyn& e : now_.dynamic)
      if (e.tag == d.tag) same_place(d.value, e.value, {nullptr, nullptr, 0, d.tag == DT_INIT ? "DT_INIT" : "DT_FINI"});
  }
}

void RelinkVerifier::anchor_sections() {
  for (const auto& s : full_.sections) {
    if (s->gone || s->atoms.empty() || !has_one_layout(*s)) continue;
    const Shdr* h = counterpart(s->id);
    if (!h) continue;  // compare_sections() says so
    if (h->size != s->size) {
      differ("section " + s->name + " has " + std::to_string(h->size) + " bytes instead of " + std::to_string(s->size));
      continue;
    }
    const std::string what = "section " + s->name;
    for (const uint32_t a : s->atoms) put(a, h->addr + full_.atoms[a].offset, {nullptr, nullptr, 0, what.c_str()});
  }
}

void RelinkVerifier::anchor_symbols() {
  std::unordered_map<std::string_view, std::pair<uint32_t, uint32_t>> entries;  // (how many, the last)
  for (uint32_t i = 1; i < now_.symbols.size(); i++) {
    const ImageSymbol& s = now_.symbols[i];
    if (s.type == STT_FILE || s.type == STT_SECTION || s.name.empty()) continue;
    // A global is the only one of its name, whatever locals there are.
    auto& [count, last] = entries[s.name];
    if (count == 1 && now_.symbols[last].bind != STB_LOCAL) continue;
    if (s.bind != STB_LOCAL) count = 0;
    count++;
    last = i;
  }
  auto found = [&](std::string_view name, bool is_local) -> const ImageSymbol* {
    const auto it = entries.find(name);
    if (it == entries.end() || it->second.first != 1) return nullptr;
    const ImageSymbol& s = now_.symbols[it->second.second];
    return s.is_defined() && s.type != STT_TLS && (s.bind == STB_LOCAL) == is_local ? &s : nullptr;
  };
  for (uint32_t id = 0; id < full_.symbols.size(); id++) {
    const Symbol& s = full_.symbols[id];
    if (s.local || s.atom == none || s.linker_defined || !is_in_symtab(full_, s) || !is_compared(s.atom)) continue;
    const ImageSymbol* now = found(s.str(), is_symtab_local(full_, s));
    if (!now) continue;  // compare_symbols() says so
    const std::string what = "the symbol " + std::string(s.str());
    put(s.atom, now->value - s.value, {nullptr, nullptr, 0, what.c_str()});
  }
  // Without .symtab: exported ones.
  if (!now_.symbols.empty()) return;
  for (const ImageSymbol& e : now_.dynamic_symbols) {
    const uint32_t id = e.is_defined() && e.type != STT_TLS ? full_.names.find(e.name) : none;
    if (id == none || full_.symbols[id].atom == none || full_.symbols[id].type == STT_GNU_IFUNC) continue;
    const std::string what = "the symbol " + std::string(e.name);
    put(full_.symbols[id].atom, e.value - full_.symbols[id].value, {nullptr, nullptr, 0, what.c_str()});
  }
}

// Locals whose atoms nothing else has led to. Their names may be in many files: each is taken to be one of those that
// look like it and are not somebody else's.
void RelinkVerifier::name_locals() {
  std::unordered_map<std::string_view, std::vector<const ImageSymbol*>> entries;
  for (const ImageSymbol& s : now_.symbols)
    if (s.bind == STB_LOCAL && s.is_defined() && s.type != STT_FILE && s.type != STT_SECTION && s.type != STT_TLS)
      entries[s.name].push_back(&s);
  std::set<std::pair<uint32_t, uint64_t>> taken;
  for (uint32_t i = 0; i < place_.size(); i++)
    if (place_[i] != unknown && full_.atoms[i].size) taken.emplace(full_.atoms[i].out, place_[i]);
  for (ObjectFile* f : full_.objects)
    for (uint32_t k = 1; k < f->first_global && k < f->syms.size(); k++) {
      const Sym& s = f->syms[k];
      const uint32_t section = f->section_of(k);
      if (section == 0 || section >= f->sections.size() || s.type() == STT_SECTION || s.type() == STT_TLS) continue;
      const uint32_t atom = f->atom_base + section;
      if (!is_compared(atom) || place_[atom] != unknown) continue;
      const auto it = entries.find(f->sym_name(s));
      if (it == entries.end()) continue;
      const std::vector<Field> fields = fields_of(atom);
      for (const ImageSymbol* e : it->second) {
        const uint64_t at = e->value - s.value;
        if (e->size != s.size || taken.count({full_.atoms[atom].out, at}) || !fits(atom, fields, at, 0, false))
          continue;
        taken.emplace(full_.atoms[atom].out, at);
        const std::string what = "the symbol " + std::string(e->name);
        put(atom, at, {nullptr, nullptr, 0, what.c_str()});
        walk();  // what it leads to is no longer anybody's
        break;
      }
    }
}

// ---- fields ---------------------------------------------------------------------------------------------------------

// The output section that the pieces of a merged input section are in.
uint32_t RelinkVerifier::merged_section(const Atom& a) const {
  const uint32_t merged = full_.merge_inputs[a.extra].merged;
  return merged == none ? none : full_.merged[merged]->out;
}

RelinkVerifier::Referred RelinkVerifier::referred_symbol(uint32_t id) const {
  const Symbol& s = full_.symbols[id];
  Referred r;
  r.index = id;
  r.base = s.address;
  if (s.flags & in_copied) r.kind = Referred::copied;
  else if (s.imported || s.type == STT_GNU_IFUNC) r.kind = Referred::plt;
  else if (!s.defined()) r.kind = Referred::number;
  else if (s.linker_defined) r.kind = s.atom == none || !is_compared(s.atom) ? Referred::named : Referred::atom;
  else if (s.atom == none) r.kind = Referred::number;
  else if (full_.atoms[s.atom].kind == AtomKind::merge) r.kind = Referred::merged;
  else r.kind = is_compared(s.atom) ? Referred::atom : Referred::nothing;
  if (r.kind == Referred::plt && s.aux != none)
    if (const uint64_t entry = plt_address(full_, s)) r.base = entry;
  if (r.kind == Referred::plt && !r.base) r.kind = Referred::number;
  if (r.kind == Referred::merged) r.index = merged_section(full_.atoms[s.atom]);
  if (r.kind == Referred::atom) {
    r.index = s.atom;
    r.base = full_place(s.atom);
  }
  return r;
}

RelinkVerifier::Referred RelinkVerifier::referred(ObjectFile& f, const RelocationTarget& t, uint32_t sym, Want want,
                                                  int64_t addend) {
  Referred r;
  auto slot = [&](int32_t SymbolAux::* which) {
    const uint32_t id = t.ref.id != none ? t.ref.id : promoted_id(f, sym);
    if (id == none || full_.symbols[id].aux == none || full_.aux[full_.symbols[id].aux].*which < 0) return;
    r.kind = Referred::slot;
    r.index = id;
    r.base = got_address(full_, full_.aux[full_.symbols[id].aux].*which);
  };
  switch (want) {
    case Want::got_offset:
    case Want::got_distance:
    case Want::got_distance_relaxable: slot(&SymbolAux::got); return r;
    case Want::tls_general: slot(&SymbolAux::tlsgd); return r;
    case Want::tls_initial: slot(&SymbolAux::gottp); return r;
    case Want::tls_descriptor: slot(&SymbolAux::tlsdesc); return r;
    case Want::tls_module: r = {Referred::slot, none, got_address(full_, full_.tlsld_slot)}; return r;
    default: break;
  }
  if (t.ref.discarded) return {Referred::number, none, 0};
  if (t.sym) {
    r = referred_symbol(t.ref.id);
    // A reference to data goes to the copy, one to a function to its entry.
    return r;
  }
  if (t.ifunc)
    if (const uint32_t id = promoted_id(f, sym); id != none) return referred_symbol(id);
  if (t.ref.atom == none) return {Referred::number, none, 0};
  const Atom& a = full_.atoms[t.ref.atom];
  if (a.kind == AtomKind::merge) {
    const uint64_t at = t.ref.section_symbol ? local_address(full_, t.ref, addend) : local_address(full_, t.ref, 0);
    return {Referred::merged, merged_section(a), at};
  }
  if (!is_compared(t.ref.atom)) return r;
  return {Referred::atom, t.ref.atom, full_place(t.ref.atom)};
}

void RelinkVerifier::function_fields(uint32_t atom, std::vector<Field>& out) {
  const auto& [file, fn] = functions_[function_of_[atom] - 1];
  const std::span<const mir::Reference> references = full_.lower->store->references(fn->mir);
  for (const codegen::ReferenceField& x : fn->fields) {
    if (x.reference >= references.size() || x.reference >= fn->references.size()) continue;
    const mir::Reference& r = references[x.reference];
    const codegen::ReferenceForm form = fn->references[x.reference].form;
    Field field;
    field.offset = x.offset;
    field.bytes = 4;
    field.is_signed = true;
    field.want = Want::distance;
    if (!r.symbol.valid()) {
      if (!is_compared(atom + 1)) continue;
      field.to = {Referred::atom, atom + 1, full_place(atom + 1)};
    } else if (form == codegen::ReferenceForm::tls_local_exec) {
      field.want = Want::tls_local;
    } else if (form == codegen::ReferenceForm::direct || form == codegen::ReferenceForm::absolute) {
      field.to = referred_symbol(r.symbol.value);
      if (field.to.kind == Referred::number && !full_.symbols[r.symbol.value].defined()) continue;
      // Emit takes the shorter one of the address and the distance to it, where both can be: what it took is nearer.
      if (const uint8_t* p = full_bytes(atom); p && x.offset + 4 <= full_.atoms[atom].size) {
        const auto value = uint64_t(int64_t(load_le<int32_t>(p + x.offset)));
        const auto miss = [&](uint64_t a) { return std::min(a - field.to.base, field.to.base - a); };
        if (miss(value) < miss(value + full_place(atom) + x.offset)) field.want = Want::address;
      }
    } else {
      const uint32_t id = form == codegen::ReferenceForm::tls_local_dynamic ? none : r.symbol.value;
      field.to = {Referred::slot, id, fn->references[x.reference].address};
    }
    out.push_back(field);
  }
}

// Fields of what the full link wrote, by what it did: a rewritten place is described as what it is now. Those of
// thread-local accesses that were rewritten are found by their bytes (leads_to_same).
std::vector<RelinkVerifier::Field> RelinkVerifier::fields_of(uint32_t atom) {
  std::vector<Field> out;
  const Atom& a = full_.atoms[atom];
  if (function_of_[atom]) function_fields(atom, out);
  if (a.kind != AtomKind::regular || !a.data || !a.reloc_count) return out;
  ObjectFile& f = full_.object(a.file);
  const bool loaded = full_.sections[a.out]->alloc(), debug = section_name(f, a.section).starts_with(".debug_");
  RewriteCursor rewrites(f, a.section);
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    Rela r = a.relocs[i];
    if (r.sym >= f.syms.size()) continue;
    const uint32_t index = i;
    const KeptRewrite* kept = loaded ? rewrites.at(i) : nullptr;
    if (kept) {
      i += kept->span;
      if (kept->to == Rewrite::local_exec && resolve_target(full_, f, r.sym).undefined_weak && a.size - r.offset >= 4)
        out.push_back(
            {r.offset, 4, Want::nothing, false, false, 0, {}});  // the distance of nothing from the thread pointer
      if (kept->to != Rewrite::distance && kept->to != Rewrite::absolute) continue;
      full_.machine->describe({a.relocs, index, a.reloc_count, {a.data, a.size}, f.syms.size()}, kept->to, r);
    }
    const RelocationRow& row = full_.machine->row(r.type);
    if (!row.bytes || row.bytes > 8 || r.offset > a.size || a.size - r.offset < row.bytes) continue;
    const RelocationTarget t = resolve_target(full_, f, r.sym);
    Field field;
    field.offset = r.offset;
    field.bytes = row.bytes;
    field.want = row.want;
    field.addend = r.addend;
    field.is_signed = row.want != Want::address || row.field == elf::Field::s32;
    field.dead = !loaded && refers_to_dead(full_, f, t, r.sym, debug);
    if (!field.dead) field.to = referred(f, t, r.sym, row.want, r.addend);
    if (t.undefined_weak && row.want == Want::call) field.want = Want::size;  // its bytes are what they are
    out.push_back(field);
  }
  return out;
}

void RelinkVerifier::lead(const Referred& to, uint64_t full, uint64_t now, const Source& source) {
  const uint64_t base = now - (full - to.base);
  switch (to.kind) {
    case Referred::nothing: return;
    case Referred::number:
      if (full != now) differ(describe(source) + " holds " + hex(now) + " instead of " + hex(full));
      return;
    case Referred::atom: return put(to.index, base, source);
    case Referred::slot: return compare_slot(to.base, base, to.index, source);
    case Referred::plt: return compare_plt(to.index, to.base, base, source);
    case Referred::copied: return compare_copy(to.index, to.base, base, source);
    case Referred::named: return linker_symbol(to.index, base, source);
    case Referred::merged: break;
  }
  // A string up to its end, or as much as the entry has.
  const OutputSection* s = to.index == none ? nullptr : full_.sections[to.index].get();
  const Shdr* h = s ? counterpart(to.index) : nullptr;
  if (!s || s->gone || to.base < s->addr || to.base - s->addr >= s->size) return;  // of a piece that is not there
  if (!h || base < h->addr || base - h->addr >= h->size)
    return differ(describe(source) + " leads to " + hex(base) + ", where there is no string or constant of section " +
                  s->name);
  const uint64_t at = to.base - s->addr, at_now = base - h->addr;
  const uint8_t* p = fresh_.view.file.data() + s->offset + at;
  const uint8_t* q = now_.view.file.data() + h->offset + at_now;
  const uint64_t most = std::min(s->size - at, h->size - at_now), unit = std::max<uint64_t>(s->entsize, 1);
  uint64_t size = 0;
  if (s->flags & SHF_STRINGS) {
    auto ends = [&] { return std::all_of(p + size, p + size + unit, [](uint8_t b) { return !b; }); };
    while (size + unit <= s->size - at && !ends()) size += unit;
    size += unit;
  } else {
    size = unit - at % unit;
  }
  if (size > most || std::memcmp(p, q, size) != 0)
    differ(describe(source) + " leads to another string or constant, at " + hex(base));
}

void RelinkVerifier::compare_field(uint32_t atom, const Field& field, uint64_t at, const Source& source) {
  const uint64_t P = full_place(atom) + field.offset, Q = at + field.offset;
  const uint8_t *p = full_bytes(atom) + field.offset, *q = now_bytes(atom, Q, field.bytes);
  if (!q) return;
  fields_++;
  const uint64_t v = load_field(p, field.bytes, field.is_signed), w = load_field(q, field.bytes, field.is_signed);
  const bool loaded = full_.sections[full_.atoms[atom].out]->alloc();
  auto equal = [&] {
    if (v != w) differ(describe(source) + " holds " + hex(w) + " instead of " + hex(v));
  };
  if (field.dead) {
    // What it described is dead; where its file did not change, the patched output still has it, and may say so.
    if (v != w && field.want != Want::address) equal();
    return;
  }
  switch (field.want) {
    case Want::nothing: return;
    case Want::address: {
      if (loaded && field.bytes == 8 && compare_dynamic(P, Q, &field.to, source)) {
        if ((v == 0) != (w == 0)) return equal();
        if (v && field.to.kind != Referred::plt) lead(field.to, v, w, source);
        return;
      }
      if (field.to.kind == Referred::nothing) return;
      return lead(field.to, v, w, source);
    }
    case Want::distance:
    case Want::call:
    case Want::got_distance:
    case Want::got_distance_relaxable:
    case Want::tls_general:
    case Want::tls_initial:
    case Want::tls_descriptor:
    case Want::tls_module:
      if (field.to.kind == Referred::nothing) return;
      return lead(field.to, v + P, w + Q, source);
    case Want::plt_offset:
    case Want::offset_in_got:
    case Want::got_offset:
    case Want::got_base: {
      const Shdr* base = now_.section(full_.machine->got_base_in_got ? ".got" : ".got.plt");
      const uint64_t from = got_base_address(full_), to = base ? base->addr : 0;
      if (field.want == Want::got_base) {
        if (v + P - from != w + Q - to) differ(describe(source) + " does not lead to the GOT");
        return;
      }
      if (field.to.kind == Referred::nothing) return;
      return lead(field.to, v + from, w + to, source);
    }
    default: return equal();
  }
}

// Whether an address of either output is that of the same thing, of whatever kind. What is found is kept.
bool RelinkVerifier::same_place(uint64_t full, uint64_t now, const Source& source) {
  const uint32_t atom = atom_at(full);
  if (atom != none) {
    put(atom, now - (full - full_place(atom)), source);
    return place_[atom] == now - (full - full_place(atom));
  }
  const Referred to = referred_address(full);
  if (to.kind == Referred::nothing) {
    const Shdr *s = fresh_.section_at(full), *h = now_.section_at(now);
    return s && h && fresh_.name_of(*s) == now_.name_of(*h);
  }
  const size_t before = differences_.size();
  lead(to, full, now, source);
  return differences_.size() == before;
}

// Four bytes around a byte that differs: a distance that the full link wrote without a relocation that says so.
bool RelinkVerifier::leads_to_same(uint32_t atom, uint64_t at, uint64_t offset, const Source& source) {
  const Atom& a = full_.atoms[atom];
  const bool is_code = full_.sections[a.out]->flags & SHF_EXECINSTR;
  const uint8_t *p = full_bytes(atom), *q = now_bytes(atom, at, a.size);
  for (uint64_t k = 0; k < 4; k++) {
    if (k > offset || a.size - (offset - k) < 4) continue;
    const uint64_t o = offset - k;
    if (!is_code && a.kind == AtomKind::constants && o % 4) continue;
    const uint64_t v = uint64_t(int64_t(load_le<int32_t>(p + o))), w = uint64_t(int64_t(load_le<int32_t>(q + o)));
    const uint64_t from = full_place(atom) + o + (is_code ? 4 : 0), to = at + o + (is_code ? 4 : 0);
    const uint32_t there = atom_at(v + from);
    if (there != none && (place_[there] == unknown || place_[there] == w + to - (v + from - full_place(there))) &&
        now_.section_at(w + to) == counterpart(full_.atoms[there].out)) {
      put(there, w + to - (v + from - full_place(there)), source);
      return true;
    }
    const Referred to_other = referred_address(v + from);
    if (to_other.kind == Referred::slot && now_.section_at(w + to) == now_.section(".got")) {
      lead(to_other, v + from, w + to, source);
      return true;
    }
    // The table of jumps of a function: distances from the table.
    if (a.kind == AtomKind::constants && atom && function_of_[atom - 1] && place_[atom - 1] != unknown) {
      for (uint64_t table = 0; table <= o; table += 4) {
        const uint64_t label = v + full_place(atom) + table - full_place(atom - 1);
        if (label < full_.atoms[atom - 1].size && label == w + at + table - place_[atom - 1]) return true;
      }
    }
  }
  return false;
}

void RelinkVerifier::compare_bytes(uint32_t atom, uint64_t at, const std::vector<Field>& fields, const Source& whole) {
  const Atom& a = full_.atoms[atom];
  const uint8_t *p = full_bytes(atom), *q = now_bytes(atom, at, a.size);
  if (!p || !q) return;
  if (!std::memcmp(p, q, a.size)) return;
  std::vector<bool> is_field(a.size);
  for (const Field& f : fields)
    for (unsigned k = 0; k < f.bytes; k++) is_field[f.offset + k] = true;
  uint64_t last_unit = unknown;  // whose length may be longer (room.cpp)
  if (!full_.sections[a.out]->alloc() && a.size >= 4)
    for (uint64_t k = 0; k + 4 <= a.size; k += 4 + load_le<uint32_t>(p + k)) {
      last_unit = k;
      if (load_le<uint32_t>(p + k) > a.size - k - 4) break;
    }
  Source source = whole;
  for (uint64_t i = 0; i < a.size; i++) {
    if (p[i] == q[i] || is_field[i]) continue;
    if (i - last_unit < 4 && last_unit != unknown) {
      if (load_le<uint32_t>(q + last_unit) > load_le<uint32_t>(p + last_unit)) continue;
    }
    source.offset = i;
    if (full_.sections[a.out]->alloc() && leads_to_same(atom, at, i, source)) {
      while (i + 1 < a.size && p[i + 1] != q[i + 1] && !is_field[i + 1]) i++;
      continue;
    }
    return differ(describe(source) + " differs at " + hex(at + i) + ": " + hex(q[i]) + " instead of " + hex(p[i]));
  }
}

void RelinkVerifier::visit(uint32_t atom) {
  const Atom& a = full_.atoms[atom];
  const uint64_t at = place_[atom];
  atoms_++;
  ObjectFile& f = full_.object(a.file);
  Source source{&f, &full_.atoms[atom], 0, nullptr};
  if (!full_bytes(atom) || full_.sections[a.out]->nobits() || !a.size) return;
  const std::vector<Field> fields = fields_of(atom);
  for (const Field& field : fields) {
    source.offset = field.offset;
    compare_field(atom, field, at, source);
  }
  compare_bytes(atom, at, fields, source);
}

}  // namespace lode::link::elf
