// The first step of a delta link (delta.h): the changed files are read, and their names bound.
//
// Names are bound as resolve binds them, by class and priority, but with one competitor more: the definition that the
// image has. Where a file that did not change may have the better definition, or the next copy of a group, it is wanted
// among the changed ones, and the delta link begins again with it: then all who compete are there, and the rules are
// the ordinary ones. The state knows who they are (claims). A name that no file mentioned so far is asked of the
// libraries (survey.h), by way of the same return.
//
// Requires: nothing. Leaves true: every symbol of the changed files is bound to one of them, to the image, to a shared
// library, or to nothing; nothing of the image or the state has been changed.
#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "link/common/module_file.h"
#include "link/elf/code/debug_sections.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/delta.h"

namespace lode::link::elf {

// Of a script's names all but those of the changed files are missing in a delta link.
static std::optional<Options> without_missing_versions(const Options& options) {
  if (options.version_scripts.empty()) return std::nullopt;
  std::optional<Options> own(options);
  own->undefined_version = UndefinedVersion::ignore;
  return own;
}

DeltaLink::DeltaLink(const Options& options, KeptInputs& inputs, State& state, ImageFile& image, const Offers& offers,
                     MirCache* functions, bool follow_deaths)
    : own_options_(without_missing_versions(options)),
      link_(own_options_ ? *own_options_ : options, inputs),
      state_(state),
      image_(image),
      meta_(state.meta[0]),
      follow_deaths_(follow_deaths),
      offers_(offers) {
  link_.mir_cache = functions;
  link_.patchable = true;
  link_.is_static_output = meta_.is_static_output;
  link_.pic = meta_.pic;
  link_.shared = meta_.shared;
  link_.ibt_plt = meta_.ibt_plt;
  link_.large_image = meta_.large_image;
  link_.tls_begin = meta_.tls_begin;
  link_.tls_end = meta_.tls_end;
  link_.tp = meta_.tp;
  link_.tlsld_slot = meta_.tlsld_slot;
}

bool DeltaLink::run(std::span<const ChangedInput> changed) {
  return open(changed) && bind() && live() && sections() && find_ordered() && match() && merge() && scan() &&
         dynamic_symbols() && address_symbols() && frames() && write() && dynamic_relocations() && propagate() &&
         symtab() && keep() && headers() && build_id() &&
         (!state_.file.damaged() || give_up("the state file is damaged"));
}

DeltaLink::File* DeltaLink::file_of_input(uint32_t input) {
  auto it = file_by_input_.find(input);
  return it == file_by_input_.end() ? nullptr : &files_[it->second];
}

uint8_t* DeltaLink::at(uint64_t offset, uint64_t size) {
  if (offset > image_.size() || size > image_.size() - offset) {
    give_up("the state speaks of bytes that the output does not have");
    return nullptr;
  }
  return image_.data() + offset;
}

// The debug information of modules is in inputs of its own, which are made anew with them (debug_objects()).
void DeltaLink::find_debug_inputs() {
  std::unordered_set<std::string> names;
  for (const File& f : files_)
    if (f.object->kind == FileKind::module)
      names.insert(std::string(state_.text(state_.inputs[f.input].name)) + std::string(debug_information));
  if (names.empty()) return;
  for (uint32_t i = 0; i < state_.inputs.size(); i++)
    if (state_.inputs[i].observed == none && names.count(std::string(state_.text(state_.inputs[i].name))))
      debug_inputs_.insert(i);
}

bool DeltaLink::open(std::span<const ChangedInput> changed) {
  auto shared = std::make_unique<SharedFile>();
  static const Sym null_symbol{};
  shared->kind = FileKind::shared;
  shared->alive = shared->parsed = true;
  shared->syms = {&null_symbol, 1};
  shared->id = uint32_t(link_.files.size());
  shared->name = "a shared library";
  shared_ = shared.get();
  link_.files.push_back(std::move(shared));
  auto others = std::make_unique<ObjectFile>();
  others->kind = FileKind::internal;
  others->alive = others->parsed = true;
  others->syms = {&null_symbol, 1};
  others->first_global = 1;
  others->id = uint32_t(link_.files.size());
  others->name = "another file";
  others_ = others.get();
  link_.files.push_back(std::move(others));
  std::vector<InputFile*> fresh;
  for (const ChangedInput& c : changed) {
    const StateInput& old = state_.inputs[c.input];
    if (c.data.empty() && !c.removed) return give_up(c.name + " is empty");
    const FileKind kind = !c.removed && is_ir(c.data, c.path) ? FileKind::module : FileKind::object;
    if (old.kind != uint32_t(kind) && !c.removed) return give_up(c.name + " is of another kind now");
    auto f = std::make_unique<ObjectFile>();
    f->kind = kind;
    f->id = uint32_t(link_.files.size());
    f->name = c.name;
    f->path = c.path;
    f->data = c.data;
    f->alive = true;
    f->priority = old.priority;
    f->exclude_libs = old.flags & input_exclude_libs;
    file_by_input_[c.input] = uint32_t(files_.size());
    files_.emplace_back();
    files_.back().input = c.input;
    files_.back().moved = c.moved;
    files_.back().object = f.get();
    if (!c.removed) fresh.push_back(f.get());
    else {
      f->parsed = true;
      f->syms = {&null_symbol, 1};
      f->first_global = 1;
    }
    link_.objects.push_back(f.get());
    link_.files.push_back(std::move(f));
  }
  find_debug_inputs();
  std::sort(link_.objects.begin(), link_.objects.end(),
            [](const ObjectFile* a, const ObjectFile* b) { return a->priority < b->priority; });
  if (std::any_of(link_.objects.begin(), link_.objects.end(), [](auto* f) { return f->kind == FileKind::module; }))
    intern_runtime_names(link_);
  uint32_t unused;
  if (!link_.atoms.append(1, image_atom_) || !link_.atom_address.extend(1, unused))
    return give_up("there is no address space");
  link_.atom_address[image_atom_] = 0;
  Atom& a = link_.atoms[image_atom_];
  a.kind = AtomKind::regular;
  a.live = 1;
  a.file = others_->id;
  parse_files(link_, fresh);
  if (link_.diag.has_errors()) return give_up("a changed file cannot be read");
  for (const File& f : files_) {
    if (!f.object->alive) return give_up("a changed file cannot be read");
    if (!f.object->dependent_libraries.empty()) return give_up(f.object->name + " asks for libraries");
    if (f.object->kind == FileKind::module && !f.object->fdes.empty())
      return give_up(f.object->name + " has assembly with unwind records");
    if (!f.object->symvers.empty()) return give_up(f.object->name + " has versioned symbols");
  }
  if (link_.machine->merge_flags && link_.machine->merge_flags(link_) != meta_.e_flags)
    return give_up("the flags of the machine changed");
  return true;
}

void DeltaLink::want_input(uint32_t input, std::string why) {
  wanted_inputs_.push_back(input);
  give_up(std::move(why));
}

// As comdat_rank().
static uint32_t rank_of(const StateInput& in) {
  return in.priority | (in.kind == uint32_t(FileKind::module) ? 0x80000000u : 0);
}

// Groups whose copy in the image is of a changed file, and which the next copy of may have to replace: that of the
// first file that did not change and has one.
bool DeltaLink::find_lost_groups() {
  struct Lost {
    uint32_t comdat, rank;              // of the changed file that has it first
    uint32_t next = none, next_rank = none;
  };
  std::vector<Lost> lost;
  for (const File& file : files_) {
    const StateInput in = state_.inputs[file.input];
    for (const uint32_t n : state_.comdat_claims.range(in.first_claim, in.claim_count))
      if (state_.comdats[n].input == file.input) lost.push_back({n, none});
  }
  if (lost.empty()) return true;
  std::sort(lost.begin(), lost.end(), [](const Lost& a, const Lost& b) { return a.comdat < b.comdat; });
  auto find = [&](uint32_t n) -> Lost* {
    auto it = std::lower_bound(lost.begin(), lost.end(), n, [](const Lost& a, uint32_t v) { return a.comdat < v; });
    return it != lost.end() && it->comdat == n ? &*it : nullptr;
  };
  for (const File& file : files_)
    for (const Group& g : file.object->groups) {
      if (!g.comdat) continue;
      const std::string_view name = g.signature.str();
      if (Lost* l = find(state_.find_comdat(name, hash_name(name))))
        l->rank = std::min(l->rank, comdat_rank(*file.object));
    }
  // Where the former owner has its copy still, in its old place, nobody is before it.
  std::erase_if(lost, [&](const Lost& l) {
    const File& owner = *file_of_input(state_.comdats[l.comdat].input);
    return !owner.moved && l.rank <= comdat_rank(*owner.object);
  });
  if (lost.empty()) return true;
  for (uint32_t k = 1; k < state_.inputs.size(); k++) {
    if (file_of_input(k)) continue;
    const StateInput in = state_.inputs[k];
    const auto claims = state_.comdat_claims.range(in.first_claim, in.claim_count);
    for (Lost& l : lost) {
      if (rank_of(in) >= l.next_rank || !std::binary_search(claims.begin(), claims.end(), l.comdat)) continue;
      l.next = k;
      l.next_rank = rank_of(in);
    }
  }
  for (const Lost& l : lost)
    if (l.next_rank < l.rank)
      want_input(l.next, "COMDAT group " + std::string(state_.text(state_.comdats[l.comdat].signature)) + " moved");
  return true;
}

// Members of groups that another file owns are no part of the output.
bool DeltaLink::discard_lost_groups() {
  for (ObjectFile* f : link_.objects) {
    const uint32_t input =
        std::find_if(files_.begin(), files_.end(), [&](const File& x) { return x.object == f; })->input;
    for (Group& g : f->groups) {
      if (!g.comdat || g.dead) continue;
      const uint32_t n = state_.find_comdat(g.signature.str(), hash_name(g.signature.str()));
      uint32_t& owner = link_.comdat_owner[g.signature.id];
      bool lost = owner != none;  // by a changed file before this one
      if (!lost && n != none) {
        // A copy in a file that did not change goes before this one if that file does; it is the first of all such
        // files, or a changed file was before them, which had find_lost_groups() look for the next.
        const uint32_t old = state_.comdats[n].input;
        if (old != none && old != input && !file_of_input(old)) {
          lost = rank_of(state_.inputs[old]) < comdat_rank(*f);
          if (!lost) want_input(old, "COMDAT group " + std::string(g.signature.str()) + " moved");
        }
      }
      if (!lost) {
        owner = comdat_rank(*f);
        continue;
      }
      g.dead = true;
      for (const Word& m : g.members) link_.atoms[f->atom_base + m.value].kind = AtomKind::discarded;
    }
  }
  return true;
}

void DeltaLink::bind_to_image(uint32_t id, uint32_t n) {
  const StateSymbol& st = state_.symbols[n];
  Symbol& s = link_.symbols[id];
  s.flags |= st.sym_flags;
  s.type = st.type;
  s.bind = st.bind;
  s.constraint = std::min(s.constraint, st.constraint);
  s.version = st.version;
  s.value = s.address = st.address;  // in the image, whose atom begins at 0
  s.imported = st.flags & state_imported;
  s.exported = st.flags & state_exported;
  s.linker_defined = st.flags & state_linker_defined;
  s.version_local = st.flags & state_version_local;
  if (st.flags & state_undefined) return;
  if (st.file == none) {
    s.file = shared_->id;
    s.sym = 0;
  } else {
    s.file = st.file == 0 ? link_.internal->id : others_->id;
    s.sym = 0;
    if (!(st.flags & (state_absolute | state_linker_defined))) s.atom = image_atom_;
  }
}

bool DeltaLink::define(uint32_t id, uint32_t file, uint32_t i) {
  auto& f = link_.object(file);
  const Sym& sym = f.syms[i];
  Symbol& s = link_.symbols[id];
  const uint32_t n = state_symbol(id);
  s.file = file;
  s.sym = i;
  s.value = sym.value;
  s.type = sym.type();
  s.bind = sym.bind() == STB_GNU_UNIQUE && !link_.opt.gnu_unique ? uint8_t(STB_GLOBAL) : sym.bind();
  const uint32_t section = f.section_of(i);
  if (section == section_common || section == section_lcommon) return give_up("common symbol " + link_.display(s));
  s.atom = section < f.sections.size() && section != SHN_UNDEF ? f.atom_base + section : none;
  if (s.type == STT_GNU_IFUNC) return give_up(link_.display(s) + " is an IFUNC");
  if (n == none || (state_.symbols[n].flags & state_gone)) {
    exports_change_ = true;
    return true;
  }
  const StateSymbol& st = state_.symbols[n];
  if (st.bind != s.bind || st.type != s.type || s.constraint != st.constraint) {
    // Who made it less visible may have been a reference of a file that did not change.
    if (s.constraint > st.constraint && is_wanted_elsewhere(n))
      return give_up("symbol " + link_.display(s) + " is more visible than it was");
    exports_change_ = true;
  }
  s.exported = st.flags & state_exported;
  s.imported = st.flags & state_imported;
  if ((st.type == STT_TLS) != (s.type == STT_TLS) || st.type == STT_GNU_IFUNC)
    return give_up(link_.display(s) + " changed its kind");
  s.version = st.version;
  s.version_local = st.flags & state_version_local;
  s.flags |= st.sym_flags;
  return true;
}

// A name that no file of the link mentioned so far, and none of the changed ones defines. `wanted`: not only weakly.
bool DeltaLink::unknown_name(uint32_t id, bool wanted) {
  Symbol& s = link_.symbols[id];
  const auto offer = offers_.find(std::string(s.str()));
  if (offer == offers_.end()) {
    wanted_names_.emplace_back(s.str());
    return true;
  }
  exports_change_ = true;
  if (offer->second.is_shared && s.visibility() == STV_DEFAULT) {
    const Sym& def = offer->second.definition;
    s.file = shared_->id;
    s.sym = 0;
    s.value = def.value;
    s.type = def.type();
    s.bind = def.bind();
    offered_[id] = offer->second;
    return true;
  }
  const bool may_be_missing = link_.shared && !link_.opt.defs && s.visibility() == STV_DEFAULT;
  if (wanted && !may_be_missing) return give_up("new reference to " + link_.display(s) + ", which nobody defines");
  return true;
}

// What nobody defined, or a shared library did, a changed file does now. Where the name stays one that the dynamic
// linker binds, whoever refers to it goes through a slot already, which its entry in .dynsym serves. Else its slots are
// those of another thing, and nobody but changed files may know them.
bool DeltaLink::replace_import(uint32_t id, uint32_t n, uint32_t file, uint32_t sym) {
  const StateSymbol st = state_.symbols[n];
  const std::string why = link_.display(link_.symbols[id]) + " is defined now";
  if (st.file == 0 || (st.flags & (state_copied | state_canonical_plt | state_linker_defined))) return give_up(why);
  if (link_.shared && (st.flags & state_imported)) redefined_.push_back(id);
  else if (is_mentioned_elsewhere(n)) return give_up(why);
  else replaced_.push_back(n);
  if (!define(id, file, sym)) return false;
  link_.symbols[id].version = VER_NDX_GLOBAL;  // not the library's
  link_.symbols[id].version_local = false;
  exports_change_ = true;
  return true;
}

namespace {

constexpr uint64_t key_of(uint64_t cls, uint32_t priority) { return cls << 32 | priority; }

}  // namespace

// Does a file that did not change refer to the symbol, or somebody outside of the link?
bool DeltaLink::is_wanted_elsewhere(uint32_t n) {
  return (state_.symbols[n].flags & state_exported) || is_missed_elsewhere(n);
}

// Would it be missed if it were gone?
bool DeltaLink::is_missed_elsewhere(uint32_t n) {
  return (state_.symbols[n].flags & (state_root | state_by_shared)) || is_mentioned_elsewhere(n);
}

// The files that did not change and have sites of the symbol, or say that they define it too (`claims`), until `visit`
// returns false.
template <class Visit>
void DeltaLink::each_referring(uint32_t n, bool claims, Visit&& visit) {
  uint32_t steps = state_.referring.size();
  for (uint32_t r = state_.symbols[n].referring; r != none && steps--; r = state_.referring[r].next) {
    const uint32_t k = state_.referring[r].input;
    if (k == 0 || is_changed(k)) continue;
    const StateInput& in = state_.inputs[k];
    if (in.flags & input_removed) continue;
    const auto groups = state_.site_groups.range(in.first_group, in.group_count);
    auto g = std::lower_bound(groups.begin(), groups.end(), n,
                              [](const StateSiteGroup& x, uint32_t v) { return x.symbol < v; });
    for (; g != groups.end() && g->symbol == n; ++g)
      if ((g->width == Site::claim) == claims && !visit(k)) return;
  }
}

bool DeltaLink::is_mentioned_elsewhere(uint32_t n) {
  bool found = false;
  each_referring(n, false, [&](uint32_t) { return !(found = true); });
  return found;
}

std::vector<uint32_t> DeltaLink::competitors(uint32_t n) {
  std::vector<uint32_t> out;
  each_referring(n, true, [&](uint32_t k) {
    out.push_back(k);
    return true;
  });
  return out;
}

bool DeltaLink::bind_symbol(uint32_t id) {
  Symbol& s = link_.symbols[id];
  const uint32_t n = state_symbol(id);
  // The best definition among the changed files, and whether there is another one as good.
  uint64_t best = ~uint64_t{0};
  uint32_t file = none, sym = 0, strong = 0;
  bool wanted = false;
  for (const auto& [fid, i] : claims_[id]) {
    const ObjectFile& f = link_.object(fid);
    const Sym& x = f.syms[i];
    const uint8_t constraint = Symbol::constraint_of(x.visibility());
    if (constraint < 3) s.constraint = std::min(s.constraint, constraint);
    const uint32_t section = f.section_of(i);
    const bool defines = x.shndx != SHN_UNDEF && !(section < f.sections.size() &&
                                                   link_.atoms[f.atom_base + section].kind <= AtomKind::discarded);
    if (!defines) {
      wanted |= x.bind() != STB_WEAK;
      s.flags |= x.bind() != STB_WEAK ? uint32_t(referenced | referenced_strong) : uint32_t(referenced);
      continue;
    }
    const bool common = section == section_common || section == section_lcommon;
    const uint64_t cls = common ? 1 : x.bind() == STB_WEAK ? 2 : 0;
    strong += cls == 0;
    if (key_of(cls, f.priority) < best) {
      best = key_of(cls, f.priority);
      file = fid;
      sym = i;
    }
  }
  if (strong > 1) return give_up(link_.display(s) + " is defined twice");
  if (n == none) {
    if (file != none) return define(id, file, sym);
    if (claims_[id].empty()) return true;  // a name that code generation may want
    return unknown_name(id, wanted);
  }
  const StateSymbol st = state_.symbols[n];
  if (st.flags & state_gone) {
    if (claims_[id].empty()) return true;
    return file == none ? unknown_name(id, wanted) : define(id, file, sym);
  }
  if (st.flags & state_undefined) {
    if (file != none) return replace_import(id, n, file, sym);
    const bool may_be_missing = link_.shared && !link_.opt.defs && s.visibility() == STV_DEFAULT;
    if (wanted && !may_be_missing && link_.opt.unresolved == Unresolved::error)
      return give_up(link_.display(s) + " is undefined");
    bind_to_image(id, n);
    return true;
  }
  if (st.file == none || st.file == 0) {  // a shared library's, or the linker's own
    if (file != none) return replace_import(id, n, file, sym);
    bind_to_image(id, n);
    // One that only dead code wanted so far, and that the dynamic linker has not heard of.
    if (st.file == none && !claims_[id].empty() && (st.aux == none || state_.aux[st.aux].dynsym <= 0)) {
      const auto offer = offers_.find(std::string(s.str()));
      if (offer == offers_.end()) wanted_names_.emplace_back(s.str());
      else if (offer->second.is_shared) offered_[id] = offer->second;
      else return give_up(link_.display(s) + " is no longer a shared library's");
    }
    return true;
  }
  const File* former = file_of_input(st.file);
  if (!former) {
    const uint64_t cls = st.flags & state_common ? 1 : st.flags & state_weak ? 2 : 0;
    const uint64_t old = key_of(cls, state_.inputs[st.file].priority);
    if (best < old || (file != none && cls == 0 && strong))
      want_input(st.file, "the definition of " + link_.display(s) + " moved");
    else if ((st.flags & state_dead) && !claims_[id].empty())
      want_input(st.file, link_.display(s) + " becomes live in a file that did not change");
    bind_to_image(id, n);
    return true;
  }
  const bool same_class = (best >> 32 == 2) == bool(st.flags & state_weak);
  const bool has_moved = former->moved && (st.flags & state_weak);
  if (file == none || file != former->object->id || !same_class || has_moved) {
    const std::vector<uint32_t> others = competitors(n);
    for (const uint32_t k : others) want_input(k, "the definition of " + link_.display(s) + " moved");
    if (!others.empty()) return true;
  }
  if (file == none && claims_[id].empty()) return true;
  if (file == none) {  // a library may have it
    if (!wanted_inputs_.empty()) return true;
    const auto offer = offers_.find(std::string(s.str()));
    if (offer == offers_.end()) {
      wanted_names_.emplace_back(s.str());
      return true;
    }
    if (!offer->second.is_shared || is_mentioned_elsewhere(n))
      return give_up(link_.display(s) + " is not defined any more");
    replaced_.push_back(n);
    return unknown_name(id, wanted);
  }
  return define(id, file, sym);
}

// Most names of a changed file are those that it defined or referred to before. The records of these symbols lie
// together, while each look into the table of all names is a page of its own, which has to be read and checked.
void DeltaLink::find_old_symbols() {
  auto meet = [&](uint32_t n) {
    const std::string_view name = state_.text(state_.symbols[n].name);
    if (name.empty() || (state_.symbols[n].flags & state_gone)) return;
    const uint32_t id = link_.names.find(name);
    if (id != none) symbol_[id] = n;
  };
  for (const File& f : files_) {
    const StateInput& in = state_.inputs[f.input];
    uint32_t steps = state_.symbols.size() + 1;
    for (uint32_t n = in.first_symbol; n != none && steps--; n = state_.symbols[n].next_of_file) meet(n);
    for (const StateSiteGroup& g : state_.site_groups.range(in.first_group, in.group_count))
      if (g.symbol < state_.symbols.size()) meet(g.symbol);
  }
}

bool DeltaLink::bind() {
  if (!find_lost_groups() || !discard_lost_groups()) return false;
  symbol_.assign(link_.symbols.size(), none);
  find_old_symbols();
  claims_.assign(link_.symbols.size(), {});
  for (ObjectFile* f : link_.objects)
    for (uint32_t i = f->first_global; i < f->syms.size(); i++) claims_[f->symbol_id(i)].emplace_back(f->id, i);
  for (uint32_t id = 0; id < link_.symbols.size(); id++) {
    if (link_.symbols[id].local) continue;
    if (symbol_[id] == none)
      symbol_[id] = state_.find_symbol(link_.symbols[id].str(), hash_name(link_.symbols[id].str()));
    if (!bind_symbol(id)) return false;
    if (const uint32_t n = symbol_[id]; n != none && state_.symbols[n].aux != none && !is_replaced(n) &&
                                        !(state_.symbols[n].flags & (state_dead | state_gone))) {
      const StateAux& x = state_.aux[state_.symbols[n].aux];
      link_.symbols[id].aux = uint32_t(link_.aux.size());
      link_.aux.push_back({id, x.got, x.gottp, x.tlsgd, x.tlsdesc, x.plt, x.pltgot, x.dynsym, 0});
    }
  }
  return gone_symbols() && exports();
}

// Names that a changed file defined and nobody mentions now.
bool DeltaLink::gone_symbols() {
  for (const File& f : files_) {
    const StateInput& in = state_.inputs[f.input];
    uint32_t steps = state_.symbols.size() + 1;
    for (uint32_t n = in.first_symbol; n != none && steps--; n = state_.symbols[n].next_of_file) {
      const StateSymbol& st = state_.symbols[n];
      if (st.file != f.input || (st.flags & state_gone)) continue;
      const std::string_view name = state_.text(st.name);
      const uint32_t id = link_.names.find(name);
      if (id != none && link_.symbols[id].defined()) continue;
      if (const auto others = competitors(n); !others.empty()) {
        for (const uint32_t k : others) want_input(k, "another definition of " + link_.demangled(name) + " counts now");
        continue;
      }
      if (is_missed_elsewhere(n)) {
        // A library may have it.
        if (offers_.count(std::string(name)))
          return wanted_inputs_.empty() && give_up(link_.demangled(name) + " is gone");
        wanted_names_.emplace_back(name);
        continue;
      }
      gone_.push_back(n);
    }
  }
  return wanted_inputs_.empty() && wanted_names_.empty();
}

}  // namespace lode::link::elf
