// The second step of a delta link (delta.h): what of the changed files is in the output now, and what of other files is
// not any more.
//
// Roots are what is live by itself (live.cpp), what is exported, and whatever a file that did not change mentions, or
// somebody outside of the link. Functions of IR are lowered as they are reached, as in any link.
//
// Requires: names are bound. Leaves true: atoms of the changed files are live or not; `mentioned_` says of each symbol
// whether something live refers to it.
#include <unordered_set>

#include "link/elf/code/lower_state.h"
#include "link/elf/relink/delta.h"
#include "link/elf/relocations/referent.h"

namespace lode::link::elf {

void DeltaLink::mark(uint32_t atom) {
  Atom& a = link_.atoms[atom];
  if (a.kind == AtomKind::none || a.kind == AtomKind::discarded || a.live) return;
  a.live = 1;
  pending_.push_back(atom);
}

void DeltaLink::mark_symbol(uint32_t id) {
  const Symbol& s = link_.symbols[id];
  if (mentioned_.size() <= id) mentioned_.resize(link_.symbols.size());
  mentioned_[id] = true;
  if (s.atom == none || s.file == none || !link_.files[s.file]->is_object()) return;
  mark(s.atom);
  if (link_.atoms[s.atom].kind == AtomKind::merge) mark_piece(link_, link_.atoms[s.atom], s.value);
}

void DeltaLink::mark_relocation(ObjectFile& f, const Rela& r) {
  if (r.sym >= f.syms.size()) return;
  if (r.sym >= f.first_global) return mark_symbol(f.symbol_id(r.sym));
  const Referent t = referent(link_, f, r.sym);
  if (t.atom == none) return;
  mark(t.atom);
  const Atom& a = link_.atoms[t.atom];
  if (a.kind == AtomKind::merge)
    mark_piece(link_, a, t.section_symbol ? t.value + uint64_t(int64_t(r.addend)) : t.value);
}

// The sections that live and die with another one.
std::span<const uint32_t> DeltaLink::companions(const ObjectFile& f, uint32_t section) {
  auto [it, fresh] = companions_.try_emplace(f.id);
  if (fresh)
    for (uint32_t i = 1; i < f.sections.size(); i++)
      if ((f.sections[i].flags & SHF_LINK_ORDER) && f.sections[i].link)
        it->second[f.sections[i].link].push_back(i);
  const auto found = it->second.find(section);
  return found == it->second.end() ? std::span<const uint32_t>() : found->second;
}

void DeltaLink::visit(uint32_t id) {
  const Atom& a = link_.atoms[id];
  if (a.file == none || a.kind == AtomKind::eh_frame || id == image_atom_) return;
  ObjectFile& f = link_.object(a.file);
  if (a.kind == AtomKind::function)
    return lower_function(link_, id, [&](uint32_t symbol) { mark_symbol(symbol); });
  if (!(f.sections[a.section].flags & SHF_ALLOC)) return;
  for (uint32_t i = 0; i < a.reloc_count; i++) mark_relocation(f, a.relocs[i]);
  for (uint32_t k = 0; k < a.fde_count; k++) {
    const Fde& fde = f.fdes[a.fde_begin + k];
    const Atom& frame = link_.atoms[fde.source];
    for (uint32_t r = fde.reloc_begin + 1; r < fde.reloc_end; r++) mark_relocation(f, frame.relocs[r]);
    const Cie& cie = f.cies[fde.cie];
    for (uint32_t r = cie.reloc_begin; r < cie.reloc_end; r++) mark_relocation(f, frame.relocs[r]);
  }
  for (const uint32_t i : companions(f, a.section)) mark(f.atom_base + i);
}

// What the changed files referred to and nobody does now, of files that did not change: these are asked for, so that
// they lose it. A cycle of dead functions over several files is not found.
bool DeltaLink::find_deaths() {
  if (!follow_deaths_ || (!link_.opt.gc_sections && !link_.has_modules)) return true;
  std::unordered_set<uint32_t> now;
  for (uint32_t id = 0; id < mentioned_.size(); id++)
    if (mentioned_[id] && state_symbol(id) != none) now.insert(state_symbol(id));
  constexpr uint32_t kept = state_gone | state_undefined | state_exported | state_root | state_by_shared | state_dead |
                            state_linker_defined;
  for (const File& file : files_) {
    const StateInput in = state_.inputs[file.input];
    for (const StateSiteGroup& g : state_.site_groups.range(in.first_group, in.group_count)) {
      if (g.width == Site::claim || now.count(g.symbol)) continue;
      const StateSymbol& s = state_.symbols[g.symbol];
      if ((s.flags & kept) || s.file == none || s.file == 0 || file_of_input(s.file)) continue;
      if (!is_missed_elsewhere(g.symbol))
        want_input(s.file, link_.demangled(state_.text(s.name)) + " dies in a file that did not change");
    }
  }
  return wanted_inputs_.empty();
}

bool DeltaLink::live() {
  split_mergeable(link_);
  const bool gc = link_.opt.gc_sections;
  for (const File& file : files_) {
    ObjectFile& f = *file.object;
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      Atom& a = link_.atoms[f.atom_base + i];
      if (a.kind == AtomKind::none || a.kind == AtomKind::discarded) continue;
      const Shdr& s = f.sections[i];
      if (!(s.flags & SHF_ALLOC) || a.kind == AtomKind::eh_frame) a.live = 1;
      else if (f.kind == FileKind::module) continue;
      else if (!gc || is_live_by_itself(f, i)) mark(f.atom_base + i);
      // What __start_NAME and __stop_NAME keep as a whole: it may not change its members anyway.
      else if (is_c_identifier(section_name(f, i))) mark(f.atom_base + i);
    }
  }
  if (gc || link_.has_modules)
    for (uint32_t id = 0; id < link_.symbols.size(); id++) {
      const Symbol& s = link_.symbols[id];
      if (s.atom == none || !is_here(s)) continue;
      const uint32_t n = state_symbol(id);
      if (s.exported || (n != none && is_wanted_elsewhere(n))) mark_symbol(id);
    }
  if (link_.has_modules) {
    // Debug information is made of all code of a module.
    const bool debug = std::any_of(files_.begin(), files_.end(), [](const File& f) {
      return f.object->kind == FileKind::module && f.object->module->bitcode &&
             f.object->module->bitcode->debug_module();
    });
    prepare_modules(link_);
    link_.lower->without_code = !debug;
    symbol_.resize(link_.symbols.size(), none);
    claims_.resize(link_.symbols.size());
    module_roots(link_, [&](uint32_t atom) { mark(atom); });
  }
  while (!pending_.empty()) {
    const uint32_t id = pending_.back();
    pending_.pop_back();
    visit(id);
  }
  if (!find_deaths()) return false;
  if (!link_.has_modules) return true;
  store_drafts(link_);
  if (link_.diag.has_errors()) return give_up("a function cannot be made");
  bool writes_sections = false;
  for_each_asm_function(link_, [&](uint32_t, std::vector<codegen::AsmSection>&&, std::span<const mir::Reference>) {
    writes_sections = true;
  });
  return !writes_sections || give_up("assembly in a function writes into other sections");
}

}  // namespace lode::link::elf
