// After an incremental link: what it came to becomes the tables of its state file (state.h).
//
// Asked for: the output is written and has its name. Nothing here changes the link. Files are looked at in parallel,
// each for its own atoms and sites; what is numbered is numbered in the order of the link, so that the same link leaves
// the same state at any number of threads.
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/sites.h"
#include "link/elf/relink/state.h"
#include "link/relink/image_file.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

uint32_t state_flags_of(const Link& link, const Symbol& s) {
  uint32_t f = 0;
  auto set = [&](bool on, uint32_t bit) { f |= on ? bit : 0; };
  set(s.imported, state_imported);
  set(s.exported, state_exported);
  set(s.linker_defined, state_linker_defined);
  set(s.is_common, state_common);
  set(s.version_local, state_version_local);
  set(!s.defined(), state_undefined);
  set(s.flags & in_copied, state_copied);
  set(s.flags & needs_canonical_plt, state_canonical_plt);
  set(s.flags & is_root, state_root);
  set(s.flags & referenced_by_shared, state_by_shared);
  set(s.bind == STB_WEAK, state_weak);
  if (s.defined() && link.files[s.file]->is_object()) {
    if (s.atom == none) set(!s.linker_defined, state_absolute);
    else if (link.atoms[s.atom].kind == AtomKind::merge) f |= state_merged;
    else set(!link.atoms[s.atom].live, state_dead);
  }
  return f;
}

namespace {

class Recorder {
 public:
  Recorder(Link& link, const std::vector<std::string>& args) : link_(link), args_(args) {}

  bool run() {
    meta_.recorded_at = file_clock();
    strings_.push_back('\0');
    record_arguments();
    record_observed();
    if (const std::string why = no_relink_reason(link_); !why.empty() || !link_.patchable) {
      meta_.fixed = text(why.empty() ? "the output has no room" : why);
      return write();
    }
    record_sections();
    record_inputs();
    record_functions();
    number_symbols();
    parallel_invoke([&] { record_symbols(); record_sites(); }, [&] { record_atoms(); },
                         [&] { record_dynamic_relocations(); }, [&] { record_merged(); record_frames(); },
                         [&] { record_comdats(); });
    record_names();
    record_counts();
    return write();
  }

 private:
  StateText text(std::string_view s) {
    const StateText t{uint32_t(strings_.size()), uint32_t(s.size())};
    strings_.insert(strings_.end(), s.begin(), s.end());
    return t;
  }

  // A name that is not in .strtab.
  StateName name(std::string_view s) {
    const StateName n{uint32_t(strings_.size())};
    strings_.insert(strings_.end(), s.begin(), s.end());
    strings_.push_back('\0');
    return n;
  }

  void record_arguments() {
    for (const InputArg& a : link_.opt.inputs) {
      const uint32_t flags = uint32_t(a.as_needed) | uint32_t(a.whole_archive) << 1 | uint32_t(a.is_static) << 2 |
                             uint32_t(a.binary) << 3;
      arguments_.push_back({text(a.name), uint32_t(a.kind), flags});
    }
    for (const std::string& path : link_.opt.library_paths)
      arguments_.push_back({text(path), library_path_argument, 0});
    meta_.options = options_key(link_.opt, args_);
  }

  void record_observed() {
    std::unordered_map<std::string_view, uint32_t> argument;
    for (uint32_t i = 0; i < link_.opt.inputs.size(); i++)
      if (link_.opt.inputs[i].kind == InputArg::file) argument.try_emplace(link_.opt.inputs[i].name, i);
    const auto& seen = link_.inputs.files.observations();
    // Threads open files in any order; the notes are sorted for the sake of equal bytes.
    std::vector<uint32_t> order(seen.size());
    for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return seen[a].path < seen[b].path; });
    std::string_view last;
    for (uint32_t i : order) {
      const Observation& o = seen[i];
      if (!observed_.empty() && o.path == last) {
        ranges_.push_back({o.data.data(), o.data.size(), uint32_t(observed_.size() - 1)});
        continue;
      }
      last = o.path;
      StateObserved s;
      s.path = text(o.path);
      if (auto it = argument.find(o.path); it != argument.end()) s.argument = it->second;
      s.exists = o.exists;
      s.identity = o.identity;
      if (o.exists && is_young(o.identity.modified, meta_.recorded_at)) s.hash = content_hash(o.data);
      ranges_.push_back({o.data.data(), o.data.size(), uint32_t(observed_.size())});
      observed_.push_back(s);
    }
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  }

  uint32_t observed_of(const uint8_t* p, uint64_t& offset) const {
    auto it = std::upper_bound(ranges_.begin(), ranges_.end(), p,
                               [](const uint8_t* x, const Range& r) { return x < r.begin; });
    if (it == ranges_.begin() || !p) return none;
    --it;
    if (uint64_t(p - it->begin) >= it->size) return none;
    offset = uint64_t(p - it->begin);
    return it->observed;
  }

  void record_sections() {
    section_.assign(link_.sections.size(), none);
    for (const OutputSection* s : link_.order) {
      if (s == link_.ehdr) continue;
      section_[s->id] = uint32_t(sections_.size());
      StateSection r;
      r.name = text(s->name);
      r.flags = s->flags;
      r.addr = s->addr;
      r.offset = s->offset;
      r.size = s->size;
      r.room = s->room;
      r.align = s->align;
      r.type = s->type;
      r.index = s->index;
      r.tight = is_ordered(*s) ? ordered_section : uint32_t(is_tight(*s));
      r.used = s->used;
      sections_.push_back(r);
    }
    auto of = [&](const OutputSection* s) { return s && !s->gone ? section_[s->id] : none; };
    StateMeta& m = meta_;
    m.section_got = of(link_.got);
    m.section_gotplt = of(link_.gotplt);
    m.section_plt = of(link_.plt);
    m.section_pltsec = of(link_.pltsec);
    m.section_pltgot = of(link_.pltgot);
    m.section_relplt = of(link_.relplt);
    m.section_reldyn = of(link_.reldyn);
    m.section_eh_frame = of(link_.eh_frame);
    m.section_eh_frame_hdr = of(link_.eh_frame_hdr);
    m.section_symtab = of(link_.symtab);
    m.section_strtab = of(link_.strtab);
    m.section_dynsym = of(link_.dynsym);
    m.section_dynamic = of(link_.dynamic);
    m.section_build_id = of(link_.build_id);
    m.section_dynstr = of(link_.dynstr);
    m.section_gnu_hash = of(link_.gnu_hash);
    m.section_hash = of(link_.hash);
    m.section_versym = of(link_.versym);
    m.section_verneed = of(link_.verneed);
    m.section_copyrel = of(link_.copyrel);
    m.section_copyrel_ro = of(link_.copyrel_ro);
  }

  void record_inputs() {
    input_.assign(link_.files.size(), none);
    auto add = [&](ObjectFile& f) {
      input_[f.id] = uint32_t(inputs_.size());
      StateInput r;
      r.name = text(f.name);
      r.kind = uint32_t(f.kind);
      r.size = f.data.size();
      if (f.kind != FileKind::internal && !f.made) r.observed = observed_of(f.data.data(), r.offset);
      r.priority = f.priority;
      if (f.exclude_libs) r.flags |= input_exclude_libs;
      r.symtab_index = f.local_symtab_index;
      r.symtab_count = f.local_symtab_count;
      r.strtab_offset = uint32_t(f.strtab_offset);
      r.strtab_size = uint32_t(f.strtab_size);
      r.frame_offset = f.frame_begin;
      r.frame_size = f.frame_end - f.frame_begin;
      if (r.observed != none && observed_[r.observed].hash) r.hash = content_hash(f.data);
      files_.push_back(&f);
      inputs_.push_back(r);
    };
    add(*link_.internal);
    for (ObjectFile* f : link_.objects)
      if (f->kind != FileKind::internal) add(*f);
  }

  void record_atoms() {
    std::vector<Slack> slack;
    for (const auto& s : link_.sections) slack.emplace_back(*s);
    std::vector<std::vector<StateAtom>> found(files_.size());
    std::vector<std::vector<uint32_t>> ordered(files_.size());  // sections
    parallel_for(size_t(0), files_.size(), [&](size_t k) {
      ObjectFile& f = *files_[k];
      const AtomKeys keys(f);
      found[k].reserve(f.sections.size());
      for (uint32_t i = 1; i < f.sections.size(); i++) {
        const Atom& a = link_.atoms[f.atom_base + i];
        if (!has_place_of_its_own(a) || !a.live || a.folded || a.out == none || section_[a.out] == none) continue;
        StateAtom r;
        r.offset = uint32_t(a.offset);
        r.key = keys.of(i);
        r.size = uint32_t(a.size);
        r.slack = uint32_t(slack[a.out].of(a));
        r.out = section_[a.out];
        r.p2align = a.p2align;
        found[k].push_back(r);
        if (r.size && sections_[r.out].tight == ordered_section && (ordered[k].empty() || ordered[k].back() != r.out))
          ordered[k].push_back(r.out);
      }
    });
    uint32_t total = 0;
    for (size_t k = 0; k < files_.size(); k++) {
      inputs_[k].first_atom = std::exchange(total, total + uint32_t(found[k].size()));
      inputs_[k].atom_count = uint32_t(found[k].size());
      for (const uint32_t n : ordered[k]) members_.push_back({n, uint32_t(k)});
    }
    atoms_.resize(total);
    parallel_for(size_t(0), files_.size(), [&](size_t k) {
      std::copy(found[k].begin(), found[k].end(), atoms_.begin() + inputs_[k].first_atom);
    });
  }

  // Functions of IR that a relink may find as they are.
  void record_functions() {
    for (size_t k = 0; k < files_.size(); k++) {
      if (files_[k]->kind != FileKind::module) continue;
      inputs_[k].first_function = uint32_t(functions_.size());
      for (const ModuleFunction& fn : files_[k]->module->functions) {
        const Atom& a = link_.atoms[files_[k]->atom_base + fn.section];
        if (a.live && !a.folded && fn.mir.valid() && !(link_.lower->kept_of(*files_[k], fn).places == mir::Hash128{}))
          functions_.push_back(state_function(link_, *files_[k], fn));
      }
      inputs_[k].function_count = uint32_t(functions_.size()) - inputs_[k].first_function;
    }
  }

  bool is_recorded(const Symbol& s) const {
    if (!s.name_size || s.local) return false;
    if (s.defined()) return input_[s.file] != none || (s.flags & (referenced | needs_mask));
    return s.flags & referenced;
  }

  template <class Body>
  void for_each_symbol(Body&& body) {
    parallel_for_ranges(size_t(0), link_.symbols.size(), symbols_at_once, [&](const auto& range) {
      for (size_t id = range.begin(); id != range.end(); id++) body(uint32_t(id));
    });
  }

  void number_symbols() {
    const uint32_t count = link_.symbols.size(), blocks = (count + symbols_at_once - 1) / symbols_at_once;
    symbol_.resize(count);
    std::vector<uint32_t> first(blocks);
    auto range = [&](uint32_t b) { return std::min(count, (b + 1) * symbols_at_once); };
    parallel_for(uint32_t(0), blocks, [&](uint32_t b) {
      for (uint32_t id = b * symbols_at_once; id < range(b); id++) {
        symbol_[id] = is_recorded(link_.symbols[id]) ? 0 : none;
        first[b] += symbol_[id] != none;
      }
    });
    uint32_t total = 0;
    for (uint32_t& n : first) n = std::exchange(total, total + n);
    parallel_for(uint32_t(0), blocks, [&](uint32_t b) {
      uint32_t next = first[b];
      for (uint32_t id = b * symbols_at_once; id < range(b); id++)
        if (symbol_[id] != none) symbol_[id] = next++;
    });
    symbols_.resize(total);
  }

  void record_symbols() {
    std::vector<uint64_t> hashes(symbols_.size());
    for_each_symbol([&](uint32_t id) {
      if (symbol_[id] == none) return;
      const Symbol& s = link_.symbols[id];
      StateSymbol& r = symbols_[symbol_[id]];
      hashes[symbol_[id]] = hash_name(s.str());
      r.address = s.address;
      if (s.defined()) r.file = input_[s.file];
      r.sym_flags = s.flags;
      r.flags = state_flags_of(link_, s);
      r.version = s.version;
      r.type = s.type;
      r.bind = s.bind;
      r.constraint = s.constraint;
    });
    record_symtab_places();
    record_slots_of_symbols();
    slots_.assign(std::bit_ceil(symbols_.size() * 3 / 2 + 64), none);
    for (uint32_t n = 0; n < symbols_.size(); n++) {
      put_in_table(slots_, hashes[n], n);
      if (symbols_[n].file != none)
        symbols_[n].next_of_file = std::exchange(inputs_[symbols_[n].file].first_symbol, n);
    }
  }

  void record_slots_of_symbols() {
    std::vector<uint32_t> with_slots;
    for (const SymbolAux& x : link_.aux)
      if (x.symbol != none && symbol_[x.symbol] != none && &link_.aux[link_.symbols[x.symbol].aux] == &x)
        with_slots.push_back(x.symbol);
    std::sort(with_slots.begin(), with_slots.end());
    for (const uint32_t id : with_slots) {
      const SymbolAux& x = link_.aux[link_.symbols[id].aux];
      symbols_[symbol_[id]].aux = uint32_t(aux_.size());
      aux_.push_back({symbol_[id], x.got, x.gottp, x.tlsgd, x.tlsdesc, x.plt, x.pltgot, x.dynsym});
    }
  }

  static void put_in_table(std::vector<uint32_t>& slots, uint64_t hash, uint32_t index) {
    size_t i = hash & (slots.size() - 1);
    while (slots[i] != none) i = (i + 1) & (slots.size() - 1);
    slots[i] = index;
  }

  // Where .symtab and .strtab have the globals.
  void record_symtab_places() {
    if (!link_.symtab || link_.strtab_size >= StateName::in_image) return;
    const uint32_t first = uint32_t(link_.symtab_locals) - link_.symtab_holes - link_.symtab_hidden;
    parallel_for_ranges(uint32_t(0), uint32_t(link_.symtab_globals.size()), symbols_at_once,
                      [&](const auto& range) {
                        for (uint32_t i = range.begin(); i != range.end(); i++) {
                          const uint32_t n = symbol_[link_.symtab_globals[i]];
                          if (n == none) continue;
                          symbols_[n].symtab = first + i + (i >= link_.symtab_hidden ? link_.symtab_holes : 0);
                          symbols_[n].name.place = link_.symtab_names[i] | StateName::in_image;
                        }
                      });
  }

  // Names that are not in .strtab.
  void record_names() {
    for (uint32_t id = 0; id < symbol_.size(); id++)
      if (symbol_[id] != none && !symbols_[symbol_[id]].symtab)
        symbols_[symbol_[id]].name = name(link_.symbols[id].str());
    for (size_t n = 0; n < comdats_.size(); n++) comdats_[n].signature = name(signatures_[n]);
  }

  void record_sites() {
    struct Found {
      std::vector<StateSiteGroup> groups;
      std::vector<uint32_t> places, sized;
    };
    std::vector<Found> found(files_.size());
    parallel_for(size_t(0), files_.size(), [&](size_t k) {
      std::vector<Site> list;
      if (k == 0) collect_own_sites(link_, list);
      else collect_sites(link_, *files_[k], relative_index(link_), list);
      Found& out = found[k];
      out.places.reserve(list.size());
      for (const Site& s : list) {
        const uint32_t n = symbol_[s.symbol];
        if (n == none) continue;
        if (s.width == Site::size_only) {
          out.sized.push_back(n);
          continue;
        }
        if (out.groups.empty() || out.groups.back().symbol != n || out.groups.back().width != s.width)
          out.groups.push_back(site_group(n, s.width, uint32_t(out.places.size())));
        if (Site::has_place(s.width)) out.places.push_back(s.place);
      }
    });
    uint32_t groups = 0, sites = 0;
    for (size_t k = 0; k < files_.size(); k++) {
      StateInput& in = inputs_[k];
      in.group_count = uint32_t(found[k].groups.size());
      in.first_group = std::exchange(groups, groups + in.group_count);
      in.site_count = uint32_t(found[k].places.size());
      in.first_site = std::exchange(sites, sites + in.site_count);
    }
    groups_.resize(groups);
    sites_.resize(sites);
    referring_.reserve(groups);
    parallel_invoke(
        [&] {
          parallel_for(size_t(0), files_.size(), [&](size_t k) {
            std::copy(found[k].groups.begin(), found[k].groups.end(), groups_.begin() + inputs_[k].first_group);
            std::copy(found[k].places.begin(), found[k].places.end(), sites_.begin() + inputs_[k].first_site);
          });
        },
        [&] {
          for (size_t k = 0; k < files_.size(); k++) {
            for (const uint32_t n : found[k].sized) symbols_[n].flags |= state_sized;
            uint32_t last = none;
            for (const StateSiteGroup& g : found[k].groups) {
              if (std::exchange(last, g.symbol) == g.symbol) continue;  // of another width
              StateSymbol& s = symbols_[g.symbol];
              referring_.push_back({uint32_t(k), s.referring});
              s.referring = uint32_t(referring_.size() - 1);
            }
          }
        });
  }

  // .rela.dyn is sorted by now; whose each record is, its place says.
  void record_dynamic_relocations() {
    std::vector<const OutputSection*> places;  // by address
    for (const OutputSection* s : link_.order)
      // Zero-filled thread-local data lies where other sections are, too.
      if (s->alloc() && !s->nobits() && s->size && section_[s->id] != none) places.push_back(s);
    std::sort(places.begin(), places.end(), [](auto* a, auto* b) { return a->addr < b->addr; });
    std::vector<uint32_t> owner(link_.dynrels.size(), none);
    parallel_for_ranges(size_t(0), owner.size(), 4096, [&](const auto& range) {
      const OutputSection* s = nullptr;
      size_t near = 0;  // most are in order, so that the next one's atom is this one's or the next
      for (size_t i = range.begin(); i != range.end(); i++) {
        const uint64_t at = link_.dynrels[i].offset;
        if (!s || at < s->addr || at - s->addr >= s->size) {
          auto it = std::upper_bound(places.begin(), places.end(), at, [](uint64_t v, auto* x) { return v < x->addr; });
          s = it == places.begin() ? nullptr : *std::prev(it);
          if (!s || at - s->addr >= s->size) continue;
          near = 0;
        }
        owner[i] = input_at(*s, at - s->addr, near);
      }
    });
    for (const uint32_t k : owner)
      if (k != none) inputs_[k].relocation_count++;
    uint32_t first = 0;
    for (StateInput& in : inputs_) in.first_relocation = std::exchange(first, first + in.relocation_count);
    relocations_.resize(first);
    std::vector<uint32_t> next(inputs_.size());
    for (uint32_t k = 0; k < inputs_.size(); k++) next[k] = inputs_[k].first_relocation;
    for (uint32_t i = 0; i < owner.size(); i++)
      if (owner[i] != none) relocations_[next[owner[i]]++] = i;
  }

  // The input whose atom covers a place in a section, or none. `near`: an index among its atoms from which to look.
  uint32_t input_at(const OutputSection& s, uint64_t offset, size_t& near) const {
    auto begins_before = [&](size_t k) { return link_.atoms[s.atoms[k]].offset <= offset; };
    const size_t count = s.atoms.size();
    auto is_it = [&](size_t k) { return k < count && begins_before(k) && (k + 1 == count || !begins_before(k + 1)); };
    if (!is_it(near) && !is_it(++near)) {
      size_t low = 0, high = count;  // the first that begins behind it
      while (low < high) {
        const size_t middle = (low + high) / 2;
        if (begins_before(middle)) low = middle + 1;
        else high = middle;
      }
      near = low ? low - 1 : 0;
      if (!low) return none;
    }
    const Atom& a = link_.atoms[s.atoms[near]];
    return has_place_of_its_own(a) && offset - a.offset < a.size ? input_[a.file] : none;
  }

  void record_merged() {
    for (auto& m : link_.merged) {
      const OutputSection& s = *link_.sections[m->out];
      if (s.gone || section_[s.id] == none || s.nobits()) continue;
      StateMerged r;
      r.section = section_[s.id];
      r.strings = m->strings;
      r.entsize = m->entsize;
      for (auto& shard : m->shards) r.entries += uint32_t(shard.size());
      r.slot_count = uint32_t(std::bit_ceil(uint64_t(r.entries) * 3 / 2 + 64));
      r.first_slot = uint32_t(merged_slots_.size());
      merged_slots_.resize(merged_slots_.size() + r.slot_count);
      uint32_t* slots = merged_slots_.data() + r.first_slot;
      const uint64_t body = link_.atoms[m->body].offset;
      for (auto& shard : m->shards)
        for (const MergeEntry& e : shard) {
          size_t i = XXH3_64bits(e.data, e.size) & (r.slot_count - 1);
          while (slots[i]) i = (i + 1) & (r.slot_count - 1);
          slots[i] = uint32_t(body + e.offset) + 1;
        }
      merged_.push_back(r);
    }
    foresee_merged();
  }

  // Tables of what compilers may want to merge and nobody has so far.
  void foresee_merged() {
    for (uint32_t n = 0; n < sections_.size(); n++) {
      if (std::string_view(strings_.data() + sections_[n].name.offset, sections_[n].name.size) != ".rodata") continue;
      for (const auto& [entsize, strings] : {std::pair(1u, 1u), {4u, 0u}, {8u, 0u}, {16u, 0u}, {32u, 0u}}) {
        if (std::any_of(merged_.begin(), merged_.end(), [&, e = entsize, t = strings](const StateMerged& m) {
              return m.section == n && m.entsize == e && m.strings == t;
            }))
          continue;
        StateMerged r;
        r.section = n;
        r.strings = strings;
        r.entsize = entsize;
        r.first_slot = uint32_t(merged_slots_.size());
        r.slot_count = 64;
        merged_slots_.resize(merged_slots_.size() + r.slot_count);
        merged_.push_back(r);
      }
    }
  }

  void record_frames() {
    for (auto [personality, offset] : common_cies(link_)) {
      const std::string_view name = personality == none ? std::string_view() : link_.symbols[personality].str();
      cies_.push_back({function_cie_identity(name), offset, 0});
    }
    for (ObjectFile* f : files_)
      for (const Cie& c : f->cies) {
        if (c.out_offset == none) continue;
        cies_.push_back({stable_cie_identity(link_, *f, c), c.out_offset, 0});
      }
  }

  void record_comdats() {
    std::vector<uint32_t> number(link_.comdat_owner.size(), none);
    std::vector<uint64_t> hashes;
    for (uint32_t k = 1; k < files_.size(); k++) {
      inputs_[k].first_claim = uint32_t(comdat_claims_.size());
      for (const Group& g : files_[k]->groups) {
        if (!g.comdat) continue;
        uint32_t& n = number[g.signature.id];
        if (n == none) {
          n = uint32_t(comdats_.size());
          comdats_.emplace_back();
          signatures_.push_back(g.signature.str());
          hashes.push_back(hash_name(g.signature.str()));
        }
        comdat_claims_.push_back(n);
        if (!g.dead) comdats_[n].input = k;
      }
      const auto first = comdat_claims_.begin() + inputs_[k].first_claim;
      std::sort(first, comdat_claims_.end());
      comdat_claims_.erase(std::unique(first, comdat_claims_.end()), comdat_claims_.end());
      inputs_[k].claim_count = uint32_t(comdat_claims_.size()) - inputs_[k].first_claim;
    }
    comdat_slots_.assign(std::bit_ceil(comdats_.size() * 3 / 2 + 64), none);
    for (uint32_t n = 0; n < comdats_.size(); n++) put_in_table(comdat_slots_, hashes[n], n);
  }

  void record_counts() {
    StateMeta& m = meta_;
    m.tls_begin = link_.tls_begin;
    m.tls_end = link_.tls_end;
    m.tp = link_.tp;
    m.got_used = link_.got_slots;
    m.got_room = uint32_t(link_.got->size / 8);
    m.plt_count = uint32_t(link_.plt_symbols.size());
    m.pltgot_count = uint32_t(link_.pltgot_symbols.size());
    if (link_.dynsym) m.dynsym_count = uint32_t(link_.dynamic_symbols.size() + 1);
    m.dynstr_used = uint32_t(link_.dynstr_data.size());
    m.version_definitions = link_.verdef_count;
    m.relocation_count = uint32_t(link_.dynrels.size());
    m.relocation_room = uint32_t(link_.reldyn->room / sizeof(Rela));
    if (link_.symtab) {
      m.symtab_count = uint32_t(link_.symtab_count);
      m.symtab_room = uint32_t(link_.symtab->room / sizeof(Sym));
      m.symtab_first_global = uint32_t(link_.symtab_locals);
      m.strtab_used = uint32_t(link_.strtab_size);
      m.strtab_room = uint32_t(link_.strtab->room);
      if (link_.symtab_holes)
        free_.push_back({link_.symtab_locals - link_.symtab_holes, link_.symtab_holes, m.section_symtab, 0});
    }
    if (link_.eh_frame->size >= 4) m.frame_used = uint32_t(link_.eh_frame->size - 4);
    if (link_.cies_end) {
      m.cies_end = link_.cies_end;
      m.cie_room = uint32_t(align_up(link_.cies_end, 8)) + frame_cie_room - link_.cies_end;
    }
    m.frame_room = uint32_t(link_.eh_frame->room);
    m.frame_count = uint32_t(link_.eh_frame_table.size());
    if (link_.eh_frame_hdr) m.frame_count_room = uint32_t(link_.eh_frame_hdr->room / 8);
    m.e_flags = link_.e_flags;
    m.tlsld_slot = link_.tlsld_slot;
    m.section_header_table = link_.shoff;
    m.file_size = link_.file_size;
    m.is_static_output = link_.is_static_output;
    m.pic = link_.pic;
    m.shared = link_.shared;
    m.ibt_plt = link_.ibt_plt;
    m.large_image = link_.large_image;
    m.has_modules = link_.has_modules;
  }

  bool write() {
    if (!identify(link_.opt.output, meta_.image)) {
      link_.diag.warning("--incremental: the output is not a regular file");
      return false;
    }
    bool fits = strings_.size() < StateName::in_image;
    for (const StateInput& in : inputs_) fits &= in.site_count <= StateSiteGroup::max_sites;
    if (!fits) {
      link_.diag.warning("--incremental: the state of this link is too large to be kept");
      return false;
    }
    StateWriter w;
    std::vector<StateMeta> meta{meta_};
    w.add(region_meta, meta, 0);
    w.add(region_strings, strings_, strings_.size() / 6 + 16384);
    w.add(region_arguments, arguments_, arguments_.size() / 4 + 64);
    w.add(region_observed, observed_, observed_.size() / 4 + 64);
    w.add(region_files, inputs_, inputs_.size() / 8 + 64);
    // Ranges of a file that grow go to the end as a whole; the longest ones find place, too.
    StateInput most;
    for (const StateInput& in : inputs_) {
      most.atom_count = std::max(most.atom_count, in.atom_count);
      most.group_count = std::max(most.group_count, in.group_count);
      most.site_count = std::max(most.site_count, in.site_count);
      most.function_count = std::max(most.function_count, in.function_count);
    }
    const auto room = [](uint64_t all, uint64_t longest, uint64_t least) {
      return std::max(all / 8, longest + longest / 8) + least;
    };
    w.add(region_atoms, atoms_, room(atoms_.size(), most.atom_count, 256));
    w.add(region_symbols, symbols_, symbols_.size() / 8 + 128);
    w.add(region_symbol_slots, slots_, 0);
    w.add(region_aux, aux_, aux_.size() / 8 + 64);
    w.add(region_site_groups, groups_, room(groups_.size(), most.group_count, 512));
    w.add(region_sites, sites_, room(sites_.size(), most.site_count, 1024));
    w.add(region_referring, referring_, referring_.size() / 8 + 512);
    w.add(region_dynamic_relocations, relocations_, relocations_.size() / 8 + 512);
    w.add(region_sections, sections_, 0);
    w.add(region_free, free_, 1024);
    w.add(region_merged, merged_, 0);
    w.add(region_merged_slots, merged_slots_, 0);
    w.add(region_cies, cies_, 64);
    w.add(region_comdats, comdats_, comdats_.size() / 8 + 64);
    w.add(region_comdat_slots, comdat_slots_, 0);
    w.add(region_members, members_, members_.size() / 4 + 128);
    w.add(region_comdat_claims, comdat_claims_, comdat_claims_.size() / 8 + 256);
    w.add(region_functions, functions_, room(functions_.size(), most.function_count, 256));
    w.add(region_block_digests, link_.block_digests, 0);
    const std::string name = state_name(link_.opt);
    if (auto r = w.write(name, state_version, state_generator()); !r) {
      unlink(name.c_str());
      link_.diag.warning("--incremental: " + r.error().text());
      return false;
    }
    keep_image(link_.opt.output);
    return true;
  }

  static constexpr uint32_t symbols_at_once = 4096;
  struct Range {
    const uint8_t* begin;
    uint64_t size;
    uint32_t observed;
  };
  Link& link_;
  const std::vector<std::string>& args_;
  StateMeta meta_;
  std::vector<char> strings_;
  std::vector<StateArgument> arguments_;
  std::vector<StateObserved> observed_;
  std::vector<Range> ranges_;
  std::vector<StateInput> inputs_;
  std::vector<ObjectFile*> files_;      // by input
  std::vector<uint32_t> input_;         // by file of the link
  std::vector<StateAtom> atoms_;
  std::vector<StateSymbol> symbols_;
  std::vector<uint32_t> symbol_;        // by symbol of the link
  std::vector<uint32_t> slots_, sites_, relocations_, merged_slots_, comdat_slots_, comdat_claims_;
  std::vector<StateFunction> functions_;
  std::vector<StateAux> aux_;
  std::vector<StateSiteGroup> groups_;
  std::vector<StateReferring> referring_;
  std::vector<StateSection> sections_;
  std::vector<uint32_t> section_;       // by section of the link
  std::vector<StateFree> free_;
  std::vector<StateMerged> merged_;
  std::vector<StateCie> cies_;
  std::vector<StateComdat> comdats_;
  std::vector<std::string_view> signatures_;  // of these
  std::vector<StateMember> members_;
};

}  // namespace

bool record_state(Link& link, const std::vector<std::string>& args) { return Recorder(link, args).run(); }

}  // namespace lode::link::elf
