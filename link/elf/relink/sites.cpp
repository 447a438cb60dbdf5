// See sites.h.
#include "link/elf/relink/sites.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "link/elf/code/lower_state.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

namespace {

// The end of a section that may grow.
bool is_movable_border(const Symbol& s) {
  if (!s.linker_defined) return false;
  const std::string_view name = s.str();
  return name.starts_with("__stop_") || name == "__init_array_end" || name == "__fini_array_end" ||
         name == "__preinit_array_end";
}

// A symbol that another file's change can move: `of` is the file that refers to it.
bool can_move(const Link& link, const Symbol& s, uint32_t of) {
  if (is_movable_border(s)) return s.file == link.internal->id;
  return s.defined() && !s.local && !s.imported && s.file != of && s.file != link.internal->id && !s.linker_defined &&
         s.type != STT_TLS && s.type != STT_GNU_IFUNC && link.files[s.file]->is_object();
}

// Whether S is in the formula, as it is.
bool holds_address(Want want) {
  return want == Want::address || want == Want::distance || want == Want::call || want == Want::plt_offset ||
         want == Want::offset_in_got;
}

uint32_t addend_place(const Link& link, uint32_t index) {
  return uint32_t(link.reldyn->offset + uint64_t(index) * sizeof(Rela) + offsetof(Rela, addend));
}

// A site as a number: the order of numbers is that of sites. There are fewer symbols than 2^28 (no_relink_reason).
uint64_t packed(uint32_t symbol, uint32_t width, uint32_t place) {
  return uint64_t(symbol) << 36 | uint64_t(width) << 32 | place;
}
Site unpacked(uint64_t v) { return {uint32_t(v >> 36), uint32_t(v >> 32) & 15, uint32_t(v)}; }

class Collector {
 public:
  Collector(Link& link, ObjectFile& f, const RelativeIndex& relative)
      : link_(link), machine_(*link.machine), f_(f), relative_(relative) {
    kinds_.resize(f.syms.size() > f.first_global ? f.syms.size() - f.first_global : 0);
  }

  void run(std::vector<Site>& out) {
    for (uint32_t i = 1; i < f_.sections.size(); i++) {
      Atom& a = link_.atoms[f_.atom_base + i];
      if (!a.live || a.folded || a.kind != AtomKind::regular || a.out == none || !a.data || !a.reloc_count) continue;
      const OutputSection& s = *link_.sections[a.out];
      if (s.gone || s.nobits()) continue;
      if (s.alloc()) loaded(a, s);
      else not_loaded(a, s);
    }
    if (f_.kind == FileKind::module) functions();
    claims();
    std::sort(found_.begin(), found_.end());
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    out.reserve(out.size() + found_.size());
    for (const uint64_t v : found_) out.push_back(unpacked(v));
  }

 private:
  void add(uint32_t id, uint32_t width, uint64_t place) { found_.push_back(packed(id, width, uint32_t(place))); }

  bool is_mentioned(const Symbol& s) const { return !s.local && s.file != f_.id && s.file != link_.internal->id; }

  // What is to be known of each global that the file refers to, found out once.
  enum : uint8_t { seen = 1, can_be_moved = 2, mentioned = 4 };
  uint8_t kind_of(uint32_t sym) {
    uint8_t& kind = kinds_[sym - f_.first_global];
    if (kind) return kind;
    const Symbol& s = link_.symbols[f_.symbol_id(sym)];
    kind = seen;
    if (can_move(link_, s, f_.id)) kind |= can_be_moved;
    return kind;
  }
  void mention(uint32_t sym, uint32_t id) {
    uint8_t& kind = kinds_[sym - f_.first_global];
    if (kind & mentioned) return;
    kind |= mentioned;
    if (is_mentioned(link_.symbols[id])) add(id, Site::mention, 0);
  }

  // Definitions that lost, and would count if the one that counts were gone. Not those in a copy of a group that lost.
  void claims() {
    for (uint32_t i = f_.first_global; i < f_.syms.size(); i++) {
      if (f_.syms[i].shndx == SHN_UNDEF) continue;
      const uint32_t section = f_.section_of(i);
      if (section < f_.sections.size() && link_.atoms[f_.atom_base + section].kind <= AtomKind::discarded) continue;
      const uint32_t id = f_.symbol_id(i);
      if (link_.symbols[id].file != f_.id) add(id, Site::claim, 0);
    }
  }

  void loaded(const Atom& a, const OutputSection& s) {
    const uint64_t start = s.offset + a.offset;
    RewriteCursor rewrites(f_, a.section);
    for (uint32_t i = 0; i < a.reloc_count; i++) {
      const uint32_t index = i, sym = a.relocs[i].sym;
      const KeptRewrite* kept = rewrites.at(i);
      if (kept) i += kept->span;
      if (sym < f_.first_global || sym >= f_.syms.size()) continue;
      const uint8_t kind = kind_of(sym);
      const uint32_t id = f_.symbol_id(sym);
      mention(sym, id);
      const RelocationRow* row = &machine_.row(a.relocs[index].type);
      if (row->want == Want::size) {
        if (link_.symbols[id].defined() && link_.symbols[id].file != f_.id) add(id, Site::size_only, 0);
        continue;
      }
      if (!(kind & can_be_moved)) continue;
      Rela r = a.relocs[index];
      if (kept) {
        machine_.describe({a.relocs, index, a.reloc_count, {a.data, a.size}, f_.syms.size()}, kept->to, r);
        row = &machine_.row(r.type);
      }
      if (!holds_address(row->want) || !row->bytes) continue;
      const uint32_t width = uint32_t(std::countr_zero(unsigned(row->bytes)));
      if (link_.pic && row->want == Want::address && row->bytes == 8) {
        const uint32_t k = relative_(s.addr + a.offset + r.offset);
        if (k != none) add(id, 3, addend_place(link_, k));
        if (!link_.opt.apply_dynamic_relocs) continue;
      }
      add(id, width, start + r.offset);
    }
  }

  // What emit noted of functions of IR.
  void functions() {
    for (const ModuleFunction& fn : f_.module->functions) {
      const Atom& a = link_.atoms[f_.atom_base + fn.section];
      if (!a.live || a.folded || !fn.mir.valid() || a.out == none) continue;
      const std::span<const mir::Reference> references = link_.lower->store->references(fn.mir);
      for (const mir::Reference& r : references)
        if (r.symbol.valid() && is_mentioned(link_.symbols[r.symbol.value])) add(r.symbol.value, Site::mention, 0);
      const uint64_t start = link_.sections[a.out]->offset + a.offset;
      if (link_.lower->kept_of(f_, fn).still) continue;  // the sites that it has
      for (const codegen::ReferenceField& x : fn.fields) {
        if (x.reference >= references.size() || x.reference >= fn.references.size()) continue;
        const mir::Reference& r = references[x.reference];
        const codegen::ReferenceForm form = fn.references[x.reference].form;
        if (!r.symbol.valid() || !can_move(link_, link_.symbols[r.symbol.value], f_.id)) continue;
        if (form != codegen::ReferenceForm::direct && form != codegen::ReferenceForm::absolute) continue;
        add(r.symbol.value, 2, start + x.offset);
      }
    }
  }

  void not_loaded(const Atom& a, const OutputSection& s) {
    const bool debug = section_name(f_, a.section).starts_with(".debug_");
    for (uint32_t i = 0; i < a.reloc_count; i++) {
      const Rela& r = a.relocs[i];
      if (r.sym < f_.first_global || r.sym >= f_.syms.size() || !(kind_of(r.sym) & can_be_moved)) continue;
      const RelocationRow& row = machine_.row(r.type);
      if (!holds_address(row.want) || !row.bytes) continue;
      if (refers_to_dead(link_, f_, resolve_target(link_, f_, r.sym), r.sym, debug)) continue;
      add(f_.symbol_id(r.sym), uint32_t(std::countr_zero(unsigned(row.bytes))), s.offset + a.offset + r.offset);
    }
  }

  Link& link_;
  const Machine& machine_;
  ObjectFile& f_;
  const RelativeIndex& relative_;
  std::vector<uint64_t> found_;
  std::vector<uint8_t> kinds_;  // by symbol of the file, from the first global on
};

}  // namespace

RelativeIndex relative_index(const Link& link) {
  // Most places are asked for in order, so that the next one's record is the next one.
  return [&link, near = size_t{0}](uint64_t place) mutable {
    const size_t count = std::min<size_t>(link.relative_count, link.dynrels.size());
    auto is_it = [&](size_t k) { return k < count && uint64_t(link.dynrels[k].offset) == place; };
    if (is_it(near) || is_it(++near)) return uint32_t(near);
    const auto end = link.dynrels.begin() + ptrdiff_t(count);
    auto it = std::lower_bound(link.dynrels.begin(), end, place,
                               [](const Rela& r, uint64_t v) { return uint64_t(r.offset) < v; });
    near = size_t(it - link.dynrels.begin());
    return is_it(near) ? uint32_t(near) : none;
  };
}

void collect_sites(Link& link, ObjectFile& file, const RelativeIndex& relative, std::vector<Site>& out) {
  Collector(link, file, relative).run(out);
}

void collect_slot_sites(Link& link, const RelativeIndex& relative, std::vector<Site>& out) {
  const uint32_t own = link.internal->id;
  for (const GotEntry& e : link.got_entries) {
    if (e.symbol == none || link.symbols[e.symbol].aux == none) continue;
    const SymbolAux& x = link.aux[link.symbols[e.symbol].aux];
    if (x.got < 0 || !can_move(link, link.symbols[e.symbol], own)) continue;
    out.push_back({e.symbol, 3, uint32_t(link.got->offset + uint64_t(x.got) * 8)});
    if (const uint32_t k = relative(link.got->addr + uint64_t(x.got) * 8); k != none)
      out.push_back({e.symbol, 3, addend_place(link, k)});
  }
}

void collect_cie_sites(Link& link, const ObjectFile& f, const Cie& c, std::vector<Site>& out) {
  const Atom& a = link.atoms[c.atom];
  for (uint32_t i = c.reloc_begin; i < c.reloc_end; i++) {
    const Rela& r = a.relocs[i];
    const RelocationRow& row = link.machine->row(r.type);
    if (r.sym < f.first_global || r.sym >= f.syms.size() || !holds_address(row.want) || !row.bytes) continue;
    const uint32_t id = f.symbol_id(r.sym);
    if (can_move(link, link.symbols[id], link.internal->id))
      out.push_back({id, uint32_t(std::countr_zero(unsigned(row.bytes))),
                     uint32_t(link.eh_frame->offset + c.out_offset + r.offset - c.input_offset)});
  }
}

void collect_own_sites(Link& link, std::vector<Site>& out) {
  const uint32_t own = link.internal->id;
  collect_slot_sites(link, relative_index(link), out);
  for (ObjectFile* f : link.objects)
    for (const Cie& c : f->cies)
      if (c.out_offset != none) collect_cie_sites(link, *f, c, out);
  if (const uint32_t id = link.names.find(link.entry_name); id != none && can_move(link, link.symbols[id], own))
    out.push_back({id, 3, uint32_t(offsetof(Ehdr, entry))});
  const std::vector<Dyn> entries = link.dynamic && !link.dynamic->gone ? dynamic_entries(link) : std::vector<Dyn>();
  for (size_t i = 0; i < entries.size(); i++) {
    if (entries[i].tag != DT_INIT && entries[i].tag != DT_FINI) continue;
    const uint32_t id = link.names.find(entries[i].tag == DT_INIT ? link.opt.init : link.opt.fini);
    if (id != none && can_move(link, link.symbols[id], own))
      out.push_back({id, 3, uint32_t(link.dynamic->offset + i * sizeof(Dyn) + offsetof(Dyn, value))});
  }
  std::sort(out.begin(), out.end());
}

StateHash function_cie_identity(std::string_view personality) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(personality.data(), personality.size(), 1);
  return {h.low64, h.high64};
}

StateHash stable_cie_identity(Link& link, const ObjectFile& file, const Cie& c) {
  const Atom& a = link.atoms[c.atom];
  std::string k(reinterpret_cast<const char*>(a.data + c.input_offset), c.size);
  for (uint32_t r = c.reloc_begin; r < c.reloc_end; r++) {
    const Rela& rel = a.relocs[r];
    const uint64_t words[3] = {uint64_t(rel.offset) - c.input_offset, rel.type, uint64_t(rel.addend)};
    k.append(reinterpret_cast<const char*>(words), sizeof words);
    if (rel.sym >= file.first_global && rel.sym < file.syms.size()) {
      k += link.symbols[file.symbol_id(rel.sym)].str();
    } else if (rel.sym < file.syms.size()) {  // a local of one file
      k += file.name;
      k += file.sym_name(file.syms[rel.sym]);
      const uint32_t section = file.section_of(rel.sym);
      if (section < file.sections.size()) k += section_name(file, section);
      k += std::to_string(uint64_t(file.syms[rel.sym].value));
    }
    k += '\0';
  }
  const XXH128_hash_t h = XXH3_128bits(k.data(), k.size());
  return {h.low64, h.high64};
}

}  // namespace lode::link::elf
