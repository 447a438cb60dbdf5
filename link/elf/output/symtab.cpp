// .symtab and .strtab of the output: the locals of every live file, then the globals.
//
// Sizes first (before layout), then every file writes its share on its own.

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

bool keep_local(Link& link, const ObjectFile& f, uint32_t i) {
  const Sym& s = f.syms[i];
  if (s.type() == STT_SECTION) return false;
  std::string_view name = f.sym_name(s);
  if (name.empty() || (name.starts_with(".L") && !link.opt.discard_none) || !link.opt.retain_symbols_files.empty())
    return false;
  if (s.type() == STT_FILE) return !link.opt.discard_all && !link.opt.strip_debug;
  if (link.opt.discard_all) return false;
  uint32_t section = f.section_of(i);
  if (section == 0) return false;
  if (section >= f.sections.size()) return true;
  const Atom& a = link.atoms[f.atom_base + section];
  if (!a.live || a.kind == AtomKind::none || a.kind == AtomKind::discarded) return false;
  if (a.kind == AtomKind::merge && !name.size()) return false;
  return true;
}

bool keep_global(Link& link, const Symbol& s) {
  if (s.local) return false;
  if (s.name_size == 0 || (!link.opt.retain_symbols_files.empty() && !link.retained_symbols.count(s.str())))
    return false;
  if (!s.defined())
    return (s.flags & referenced) &&
           (s.imported ? s.aux != none && link.aux[s.aux].dynsym > 0 : (s.flags & needs_mask) != 0);
  if (link.files[s.file]->kind == FileKind::shared) return s.imported && (s.flags & needs_mask);
  if (s.atom == none) return true;
  return link.atoms[s.atom].live && link.atoms[s.atom].kind != AtomKind::none &&
         link.atoms[s.atom].kind != AtomKind::discarded;
}

void set_section(Sym& e, uint32_t index, uint32_t* wide) {
  if (index < SHN_LORESERVE) {
    e.shndx = uint16_t(index);
  } else {
    e.shndx = SHN_XINDEX;
    *wide = index;
  }
}

// The section whose range covers an address (its end included): what a linker-defined symbol is said to be in.
uint32_t section_at(Link& link, uint64_t address) {
  uint32_t best = SHN_ABS;
  for (OutputSection* s : link.order)
    if (s->alloc() && s->index && s->index < SHN_LORESERVE && address >= s->addr && address <= s->addr + s->size)
      best = s->index;
  return best;
}

}  // namespace

bool is_in_symtab(Link& link, const Symbol& s) { return keep_global(link, s); }

bool is_symtab_local(Link& link, const Symbol& s) {
  return s.defined() && link.files[s.file]->is_object() &&
         (s.visibility() == STV_HIDDEN || s.visibility() == STV_INTERNAL || s.version_local);
}

uint8_t machine_bits(const Link& link, const Symbol& s) {
  if (!link.machine->symbol_other || !s.defined() || s.linker_defined) return 0;
  return link.files[s.file]->syms[s.sym].other & link.machine->symbol_other;
}

uint32_t output_section_index(Link& link, uint32_t atom) {
  const Atom& a = link.atoms[atom];
  if (a.kind == AtomKind::merge) return link.sections[link.merged[link.merge_inputs[a.extra].merged]->out]->index;
  if (a.kind == AtomKind::eh_frame) return link.eh_frame->index;
  return a.out == none ? 0 : link.sections[a.out]->index;
}

void size_local_symbols(Link& link, ObjectFile& f) {
  f.local_symtab_count = 0;
  f.strtab_size = 0;
  for (uint32_t i = 1; i < f.first_global && i < f.syms.size(); i++)
    if (keep_local(link, f, i)) {
      f.local_symtab_count++;
      f.strtab_size += f.sym_name(f.syms[i]).size() + 1;
    }
}

void size_symtab(Link& link) {
  if (link.opt.strip_all || !link.opt.z_sectionheader) return;
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) { size_local_symbols(link, *link.objects[k]); });
  uint32_t at = 1;
  if (link.opt.emit_relocs) {
    layout_eh_frame(link);
    for (auto& s : link.sections)
      if ((!s->write || s.get() == link.eh_frame) && (s->size || s->keep)) s->symtab_index = at++;
  }
  uint64_t strings = 1;
  for (ObjectFile* f : link.objects) {
    f->local_symtab_index = at;
    f->strtab_offset = strings;
    at += f->local_symtab_count;
    strings += f->strtab_size;
  }
  auto& globals = link.symtab_globals;
  globals.clear();
  for (uint32_t id = 0; id < link.symbols.size(); id++)
    if (keep_global(link, link.symbols[id])) globals.push_back(id);
  // A version script's or visibility's locals still stand among the globals with their binding made local; those come
  // first.
  const uint32_t all_locals = at;
  link.symtab_locals = at;
  std::stable_partition(globals.begin(), globals.end(),
                        [&](uint32_t id) { return is_symtab_local(link, link.symbols[id]); });
  for (uint32_t id : globals) {
    const Symbol& s = link.symbols[id];
    if (is_symtab_local(link, s)) link.symtab_locals++;
    strings += s.name_size + 1;
  }
  link.symtab_hidden = uint32_t(link.symtab_locals) - all_locals;
  if (link.patchable) link.symtab_holes = uint32_t(link.symtab_locals) / 6 + 64;
  link.symtab_locals += link.symtab_holes;
  at += uint32_t(globals.size()) + link.symtab_holes;
  link.symtab_count = at;
  link.strtab_size = strings;
  auto nothing = [](Link&, OutputSection&, uint8_t*) {};
  link.symtab = make_section(link, ".symtab", SHT_SYMTAB, 0, 8, nothing);
  link.symtab->entsize = sizeof(Sym);
  link.symtab->size = uint64_t(at) * sizeof(Sym);
  link.symtab->info = uint32_t(link.symtab_locals);
  link.strtab = make_section(link, ".strtab", SHT_STRTAB, 0, 1, nothing);
  link.strtab->size = strings;
  if (link.patchable) {
    link.symtab->room = align_up(link.symtab->size / 8 + 32 * sizeof(Sym), sizeof(Sym));
    link.strtab->room = align_up(strings / 6 + 4096, 8);
  }
  link.symtab->link_to = link.strtab;
  // Those of --emit-relocs and a handful of the linker's own are still to come.
  if (link.sections.size() * (link.opt.emit_relocs ? 2 : 1) + 16 >= SHN_LORESERVE) {
    link.symtab_shndx = make_section(link, ".symtab_shndx", SHT_SYMTAB_SHNDX, 0, 4, nothing);
    link.symtab_shndx->size = uint64_t(at) * 4;
    link.symtab_shndx->entsize = 4;
    link.symtab_shndx->link_to = link.symtab;
  }
}

// What stands where a local symbol may come: a file symbol without a name, as many linkers leave one in front of their
// own symbols. Tools pass over it.
Sym symtab_hole() {
  Sym hole{};
  hole.info = STB_LOCAL << 4 | STT_FILE;
  hole.shndx = SHN_ABS;
  return hole;
}

Sym global_symtab_entry(Link& link, const Symbol& s, uint32_t name, uint32_t* wide) {
  Sym e{};
  e.name = name;
  InputFile* f = link.file_of(s);
  uint8_t type = s.type, bind = s.bind;
  if (!f || f->kind == FileKind::shared) {
    bind = s.flags & referenced_strong ? uint8_t(STB_GLOBAL) : uint8_t(STB_WEAK);
    if (s.flags & in_copied) {
      set_section(e, (s.copied_readonly ? link.copyrel_ro : link.copyrel)->index, wide);
      e.value = s.address;
      e.size = f->syms[s.sym].size;
    }
    if (type == STT_GNU_IFUNC) type = STT_FUNC;
  } else {
    e.value = s.type == STT_GNU_IFUNC && s.atom != none ? link.atom_address[s.atom] + s.value : s.address;
    if (s.type == STT_TLS) e.value -= link.tls_begin;
    if (!s.linker_defined) {
      e.size = size_of(link, s);
      e.other = uint8_t(s.visibility() | machine_bits(link, s));
    }
    if (s.atom != none) set_section(e, output_section_index(link, s.atom), wide);
    else if (s.linker_defined) e.shndx = uint16_t(section_at(link, s.address));
    else e.shndx = SHN_ABS;
    if (s.visibility() == STV_HIDDEN || s.visibility() == STV_INTERNAL || s.version_local) bind = STB_LOCAL;
  }
  if (type == STT_COMMON) type = STT_OBJECT;
  e.info = uint8_t(bind << 4 | type);
  return e;
}

void write_local_symbols(Link& link, ObjectFile& f, uint8_t* syms, char* strings, uint32_t* wide) {
  uint32_t at = f.local_symtab_index;
  uint64_t str = f.strtab_offset;
  for (uint32_t i = 1; i < f.first_global && i < f.syms.size(); i++) {
    if (!keep_local(link, f, i)) continue;
    const Sym& s = f.syms[i];
    Sym e{};
    e.name = uint32_t(str);
    e.info = s.info;
    e.other = s.other;
    e.size = s.size;
    uint32_t section = f.section_of(i), local_wide;
    if (section < f.sections.size()) {
      Referent r = referent(link, f, i);
      r.section_symbol = false;
      e.value = local_address(link, r, 0);
      if (s.type() == STT_TLS) e.value -= link.tls_begin;
      set_section(e, output_section_index(link, f.atom_base + section), wide ? wide + at : &local_wide);
    } else {
      e.value = s.value;
      e.shndx = SHN_ABS;
    }
    std::memcpy(syms + uint64_t(at) * sizeof(Sym), &e, sizeof e);
    std::string_view name = f.sym_name(s);
    std::memcpy(strings + str, name.data(), name.size());
    strings[str + name.size()] = 0;
    str += name.size() + 1;
    at++;
  }
}

void write_symtab(Link& link, uint8_t* image) {
  if (!link.symtab) return;
  uint8_t* syms = image + link.symtab->offset;
  char* strings = reinterpret_cast<char*>(image + link.strtab->offset);
  auto* wide = link.symtab_shndx ? reinterpret_cast<uint32_t*>(image + link.symtab_shndx->offset) : nullptr;
  std::memset(syms, 0, sizeof(Sym));
  strings[0] = 0;
  uint32_t dummy;
  for (auto& s : link.sections) {
    if (!s->symtab_index) continue;
    Sym e{};
    e.info = STT_SECTION;
    e.value = s->addr;
    set_section(e, s->index, wide ? wide + s->symtab_index : &dummy);
    std::memcpy(syms + uint64_t(s->symtab_index) * sizeof(Sym), &e, sizeof e);
  }
  parallel_for(size_t(0), link.objects.size(),
                    [&](size_t k) { write_local_symbols(link, *link.objects[k], syms, strings, wide); });
  auto& globals = link.symtab_globals;
  uint32_t at = uint32_t(link.symtab_count - globals.size());
  for (uint32_t i = 0; i < link.symtab_holes; i++) {
    Sym hole = symtab_hole();
    std::memcpy(syms + uint64_t(link.symtab_locals - link.symtab_holes + i) * sizeof(Sym), &hole, sizeof hole);
  }
  uint64_t str = link.strtab_size;
  for (uint32_t id : globals) str -= link.symbols[id].name_size + 1;
  if (link.opt.incremental) link.symtab_names.resize(globals.size());
  for (uint32_t i = 0; i < globals.size(); i++) {
    if (i == 0) at -= link.symtab_holes;
    if (i == link.symtab_hidden) at += link.symtab_holes;
    const Symbol& s = link.symbols[globals[i]];
    if (link.opt.incremental) link.symtab_names[i] = uint32_t(str);
    const Sym e = global_symtab_entry(link, s, uint32_t(str), wide ? wide + at + i : &dummy);
    std::memcpy(syms + uint64_t(at + i) * sizeof(Sym), &e, sizeof e);
    std::memcpy(strings + str, s.name, s.name_size);
    strings[str + s.name_size] = 0;
    str += s.name_size + 1;
  }
}

std::vector<uint32_t> local_symtab_indices(Link& link, const ObjectFile& f) {
  std::vector<uint32_t> out(std::min<size_t>(f.first_global, f.syms.size()) + 1);
  uint32_t at = f.local_symtab_index;
  for (uint32_t i = 1; i < f.first_global && i < f.syms.size(); i++)
    if (keep_local(link, f, i)) out[i] = at++;
  return out;
}

}  // namespace lode::link::elf
