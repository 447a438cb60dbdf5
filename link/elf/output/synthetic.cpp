// Sections that the linker makes for what relocations asked for: GOT, PLT, copied objects; and the symbols it defines
// itself.
//
// Slots are given in the order of symbol indices, which does not depend on the threads.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/bytes.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

namespace {

// Names with a meaning fixed by convention (GNU ld's default linker script and the psABI).
constexpr const char* special_symbols[] = {
    "__ehdr_start", "__executable_start", "_DYNAMIC", "_GLOBAL_OFFSET_TABLE_", "_PROCEDURE_LINKAGE_TABLE_",
    "__rela_iplt_start", "__rela_iplt_end", "__GNU_EH_FRAME_HDR", "_end", "end", "__end__", "_etext", "etext",
    "__etext", "_edata", "edata", "__bss_start", "_TLS_MODULE_BASE_", "__dso_handle", "__init_array_start",
    "__init_array_end", "__fini_array_start", "__fini_array_end", "__preinit_array_start", "__preinit_array_end",
};

void define(Link& link, uint32_t id, uint8_t visibility) {
  Symbol& s = link.symbols[id];
  s.file = link.internal->id;
  s.atom = none;
  s.sym = 0;
  s.value = 0;
  s.type = STT_NOTYPE;
  s.bind = STB_GLOBAL;
  s.linker_defined = true;
  s.version = VER_NDX_GLOBAL;
  s.constraint = std::min(s.constraint, Symbol::constraint_of(visibility));
}

bool may_define(Link& link, const Symbol& s) {
  if (!(s.flags & (referenced | is_root))) return false;
  return !s.defined() || link.files[s.file]->kind == FileKind::shared;
}

}  // namespace

bool is_special_symbol(std::string_view name) {
  return std::find(std::begin(special_symbols), std::end(special_symbols), name) != std::end(special_symbols);
}

void define_early_symbols(Link& link) {
  if (const char* name = link.machine->global_pointer; name && !link.shared) {
    const uint32_t id = link.names.find(name);
    if (id != none && may_define(link, link.symbols[id])) define(link, id, STV_DEFAULT);
  }
  for (const char* name : special_symbols) {
    uint32_t id = link.names.find(name);
    if (id == none || !may_define(link, link.symbols[id])) continue;
    std::string_view n = name;
    if (n == "__dso_handle" && link.symbols[id].defined()) continue;
    define(link, id,
           n != "_end" && n != "end" && n != "_edata" && n != "edata" && n != "__bss_start" && n != "_etext" &&
                   n != "etext"
               ? STV_HIDDEN
               : STV_DEFAULT);
    if (n == "_TLS_MODULE_BASE_") link.symbols[id].type = STT_TLS;
  }
}

// The sections that __start_NAME and __stop_NAME speak of, by NAME: the first loaded one of a name. With --start-stop a
// leading dot does not count.
static std::unordered_map<std::string_view, OutputSection*> sections_with_borders(Link& link, bool of_output) {
  std::unordered_map<std::string_view, OutputSection*> out;
  auto add = [&](OutputSection* s) {
    if (!s->alloc() || (of_output && !s->index)) return;
    std::string_view name = s->name;
    if (link.opt.start_stop && name.starts_with(".")) out.try_emplace(name.substr(1), s);
    out.try_emplace(name, s);
  };
  if (of_output)
    for (OutputSection* s : link.order) add(s);
  else
    for (auto& s : link.sections) add(s.get());
  return out;
}

// --start-stop, and a visibility that makes the borders of sections part of the output's interface, want them whether
// or not the output itself refers to them.
static void define_all_borders(Link& link) {
  for (size_t i = 0, n = link.sections.size(); i < n; i++) {
    const OutputSection& o = *link.sections[i];
    std::string_view name = o.name;
    if (link.opt.start_stop && name.starts_with(".")) name.remove_prefix(1);
    if (!o.alloc() || !is_c_identifier(name)) continue;
    for (const char* prefix : {"__start_", "__stop_"}) {
      uint32_t id = link.intern(link.save(prefix + std::string(name)));
      link.symbols[id].flags |= referenced;
      if (!link.symbols[id].defined()) define(link, id, link.opt.start_stop_visibility);
    }
  }
}

void define_linker_symbols(Link& link) {
  if (link.opt.start_stop || link.opt.start_stop_visibility == STV_PROTECTED ||
      link.opt.start_stop_visibility == STV_DEFAULT)
    define_all_borders(link);
  const auto sections = sections_with_borders(link, false);
  for (uint32_t id = 0, n = uint32_t(link.symbols.size()); id < n; id++) {
    const Symbol& s = link.symbols[id];
    if (s.defined() || s.name_size < 8 || !(s.flags & referenced)) continue;
    std::string_view name = s.str();
    if ((name.starts_with("__start_") && is_c_identifier(name.substr(8))) ||
        (name.starts_with("__stop_") && is_c_identifier(name.substr(7)))) {
      std::string_view section = name.substr(name[4] == 'a' ? 8 : 7);
      if (name.starts_with("__stop_")) section = name.substr(7);
      if (sections.count(section)) define(link, id, link.opt.start_stop_visibility);
    }
  }
}

uint64_t got_base_address(const Link& link) {
  return (link.machine->got_base_in_got ? link.got : link.gotplt)->addr;
}

uint64_t got_address(Link& link, int32_t slot) { return link.got->addr + uint64_t(int64_t(slot)) * 8; }

static uint32_t pltgot_entry_size(const Link& link) {
  return link.ibt_plt ? link.machine->pltgot_ibt_entry_size : link.machine->pltgot_entry_size;
}

uint64_t plt_address(Link& link, const Symbol& s) {
  if (s.aux == none) return 0;
  const SymbolAux& x = link.aux[s.aux];
  if (x.plt >= 0 && link.ibt_plt) return link.pltsec->addr + uint64_t(x.plt) * link.machine->plt_entry_size;
  if (x.plt >= 0)
    return link.plt->addr + link.machine->plt_header_size + uint64_t(x.plt) * link.machine->plt_entry_size;
  if (x.pltgot >= 0) return link.pltgot->addr + uint64_t(x.pltgot) * pltgot_entry_size(link);
  return 0;
}

namespace {

SymbolAux& aux(Link& link, uint32_t id) {
  Symbol& s = link.symbols[id];
  if (s.aux == none) {
    s.aux = uint32_t(link.aux.size());
    link.aux.emplace_back();
    link.aux.back().symbol = id;
  }
  return link.aux[s.aux];
}

// Space for the copy of an object of a shared library; all its names there move along.
void add_copy(Link& link, uint32_t id) {
  Symbol& s = link.symbols[id];
  if (s.flags & in_copied) return;
  auto& so = static_cast<SharedFile&>(*link.files[s.file]);
  const Sym def = so.syms[s.sym];
  uint32_t copied = id;  // the name whose size is the object's
  auto view = ElfView::open(so.data);
  bool readonly = false;
  uint64_t align = 64;
  if (view && view->header->phoff <= so.data.size() &&
      uint64_t(view->header->phnum) * sizeof(Phdr) <= so.data.size() - view->header->phoff) {
    const auto* ph = reinterpret_cast<const Phdr*>(so.data.data() + view->header->phoff);
    bool load_writable = true, relro = false;
    for (unsigned i = 0; i < view->header->phnum; i++) {
      if (def.value < ph[i].vaddr || def.value - ph[i].vaddr >= ph[i].memsz) continue;
      if (ph[i].type == PT_LOAD) load_writable = ph[i].flags & PF_W;
      if (ph[i].type == PT_GNU_RELRO) relro = true;
    }
    readonly = !load_writable || relro;
    if (def.shndx < view->sections.size())
      align = std::max<uint64_t>(1, std::min<uint64_t>(view->sections[def.shndx].addralign, 4096));
  }
  if (def.value) align = std::min<uint64_t>(align, uint64_t{1} << std::countr_zero(uint64_t(def.value)));
  OutputSection*& section = readonly && link.opt.relro ? link.copyrel_ro : link.copyrel;
  if (!section) {
    bool ro = &section == &link.copyrel_ro;
    section = make_section(link, ro ? ".copyrel.rel.ro" : ".copyrel", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 1,
                           [](Link&, OutputSection&, uint8_t*) {});
    section->relro = ro;
  }
  section->align = std::max(section->align, align);
  uint64_t at = align_up(section->size, align), size = std::max<uint64_t>(def.size, 1);
  if (so.by_address.empty()) {
    for (uint32_t i = 0; i < so.globals.names.size(); i++)
      if (so.syms[i].shndx != SHN_UNDEF) so.by_address.push_back(i);
    std::stable_sort(so.by_address.begin(), so.by_address.end(),
                     [&](uint32_t a, uint32_t b) { return uint64_t(so.syms[a].value) < uint64_t(so.syms[b].value); });
  }
  auto same = std::lower_bound(so.by_address.begin(), so.by_address.end(), uint64_t(def.value),
                               [&](uint32_t i, uint64_t v) { return uint64_t(so.syms[i].value) < v; });
  for (; same != so.by_address.end() && so.syms[*same].value == def.value; ++same) {
    const uint32_t i = *same;
    uint32_t other = so.globals.names[i].id;
    Symbol& o = link.symbols[other];
    if (o.file != s.file || o.sym != i || o.type == STT_TLS) continue;
    if (so.syms[i].size > size) {  // the library knows the object by its larger name as well
      size = so.syms[i].size;
      copied = other;
    }
    o.flags |= in_copied | needs_dynsym;
    o.copied_readonly = readonly && link.opt.relro;
    o.exported = true;
    o.value = at;  // in the section, from here on
    aux(link, other);
  }
  section->size = at + size;
  (section == link.copyrel_ro ? link.copy_ro_symbols : link.copy_symbols).push_back(copied);
}

}  // namespace

namespace {

void nothing(Link&, OutputSection&, uint8_t*) {}

// What the scan asked for, in the order of symbols.
void give_slots(Link& link) {
  uint32_t count = uint32_t(link.symbols.size());
  link.got_slots = link.machine->got_header;
  auto slot = [&](uint32_t id, GotKind kind, int n) {
    int32_t at = int32_t(link.got_slots);
    link.got_entries.push_back({id, uint8_t(kind)});
    link.got_slots += uint32_t(n);
    return at;
  };
  for (uint32_t id = 0; id < count; id++) {
    uint32_t flags = link.symbols[id].flags & needs_mask;
    if (!flags) continue;
    SymbolAux& x = aux(link, id);
    const Symbol& s = link.symbols[id];
    if (flags & needs_got) x.got = slot(id, got_address_kind, 1);
    if (flags & needs_gottp) x.gottp = slot(id, got_tpoff, 1);
    if (flags & needs_tlsgd) x.tlsgd = slot(id, got_tlsgd, 2);
    if (flags & needs_tlsdesc) x.tlsdesc = slot(id, got_tlsdesc, 2);
    if (flags & needs_plt) {
      // A function whose address is in the GOT anyway is called through that slot.
      bool through_got = (flags & needs_got) && s.imported && !(flags & needs_canonical_plt);
      if (through_got) {
        x.pltgot = int32_t(link.pltgot_symbols.size());
        link.pltgot_symbols.push_back(id);
      } else {
        link.plt_symbols.push_back(id);
      }
    }
    if (flags & needs_copy) add_copy(link, id);
  }
  // Slots are filled in their order, and that of a function with a resolver by a call of it: what the resolver calls
  // comes first.
  std::stable_partition(link.plt_symbols.begin(), link.plt_symbols.end(),
                        [&](uint32_t id) { return !is_own_ifunc(link, link.symbols[id]); });
  for (uint32_t i = 0; i < link.plt_symbols.size(); i++)
    link.aux[link.symbols[link.plt_symbols[i]].aux].plt = int32_t(i);
  if (link.needs_tlsld) {
    link.tlsld_slot = int32_t(link.got_slots);
    link.got_entries.push_back({none, got_tlsld});
    link.got_slots += 2;
  }
}

void make_got_and_plt(Link& link) {
  link.got = make_section(link, ".got", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8, nothing);
  link.got->entsize = 8;
  link.gotplt = make_section(link, ".got.plt", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8, nothing);
  link.gotplt->entsize = 8;
  bool dynamic = !link.is_static_output;
  const Machine& machine = *link.machine;
  if (!link.plt_symbols.empty() || (link.needs_got_base && !machine.got_base_in_got) || dynamic)
    link.gotplt->size = (machine.gotplt_header + link.plt_symbols.size()) * 8;
  uint32_t got_base = link.names.find("_GLOBAL_OFFSET_TABLE_");
  const bool named = got_base != none && link.symbols[got_base].linker_defined;
  if (named && !machine.got_base_in_got)
    link.gotplt->size = std::max<uint64_t>(link.gotplt->size, machine.gotplt_header * 8);
  // The header is there for who looks for it: the dynamic linker, and code that names the table.
  if (!link.got_entries.empty() || dynamic || (machine.got_base_in_got && (named || link.needs_got_base)))
    link.got->size = uint64_t(link.got_slots) * 8;
  if (link.patchable) link.got->size = (link.got_slots + align_up(link.got_slots / 8 + 16, 2)) * 8;
  link.plt = make_section(link, ".plt", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16,
                          [](Link& l, OutputSection&, uint8_t* p) { l.machine->write_plt(l, p); });
  if (!link.plt_symbols.empty())
    link.plt->size = link.machine->plt_header_size + link.plt_symbols.size() * link.machine->plt_entry_size;
  if (link.ibt_plt) {
    link.pltsec = make_section(link, ".plt.sec", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16,
                               [](Link& l, OutputSection&, uint8_t* p) { l.machine->write_pltsec(l, p); });
    link.pltsec->entsize = link.machine->plt_entry_size;
    link.pltsec->size = link.plt_symbols.size() * link.machine->plt_entry_size;
  }
  link.plt->entsize = 16;
  if (link.patchable && dynamic) {
    const uint64_t more = link.plt_symbols.size() / 4 + 32;
    link.gotplt->size += more * 8;
    if (!link.plt->size) link.plt->size = machine.plt_header_size;
    link.plt->size += more * machine.plt_entry_size;
    if (link.pltsec) link.pltsec->size += more * machine.plt_entry_size;
  }
  link.pltgot = make_section(link, ".plt.got", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16,
                             [](Link& l, OutputSection&, uint8_t* p) { l.machine->write_pltgot(l, p); });
  link.pltgot->size = link.pltgot_symbols.size() * pltgot_entry_size(link);
  link.pltgot->entsize = pltgot_entry_size(link);
}

void make_tables(Link& link) {
  link.relplt = make_section(link, ".rela.plt", SHT_RELA, SHF_ALLOC, 8, nothing);
  link.relplt->entsize = sizeof(Rela);
  link.relplt->size = link.plt_symbols.size() * sizeof(Rela);
  if (link.relplt->size || (link.patchable && !link.is_static_output)) link.relplt->flags |= SHF_INFO_LINK;
  if (link.patchable && !link.is_static_output) {
    link.relplt->room = (link.plt_symbols.size() / 4 + 32) * sizeof(Rela);
    link.relplt->keep = true;
  }
  link.relplt->info_to = link.gotplt;
  link.reldyn = make_section(link, ".rela.dyn", SHT_RELA, SHF_ALLOC, 8, nothing);
  link.reldyn->entsize = sizeof(Rela);
  link.eh_frame = make_section(link, ".eh_frame", SHT_PROGBITS, SHF_ALLOC, 8, write_eh_frame);
  if (link.opt.eh_frame_hdr)
    link.eh_frame_hdr = make_section(link, ".eh_frame_hdr", SHT_PROGBITS, SHF_ALLOC, 4, nothing);
}

void make_interpreter(Link& link) {
  if (link.is_static_output || link.opt.kind == OutputKind::relocatable) return;
  if ((link.shared && !link.opt.runnable_library) || link.opt.no_dynamic_linker || link.opt.is_static) return;
  link.interp = make_section(link, ".interp", SHT_PROGBITS, SHF_ALLOC, 1, [](Link& l, OutputSection& s, uint8_t* p) {
    std::memcpy(p, l.interpreter.c_str(), s.size);
  });
  link.interp->size = link.interpreter.size() + 1;
}

void make_notes(Link& link) {
  if (link.opt.build_id != BuildId::none) {
    link.build_id = make_section(link, ".note.gnu.build-id", SHT_NOTE, SHF_ALLOC, 4, nothing);
    size_t n = 20;
    switch (link.opt.build_id) {
      case BuildId::md5: case BuildId::uuid: n = 16; break;
      case BuildId::sha256: n = 32; break;
      case BuildId::hex: n = link.opt.build_id_bytes.size(); break;
      default: break;
    }
    link.build_id->size = 16 + align_up(n, 4);
  }
  if (!link.property_data.empty()) {
    link.property = make_section(
        link, ".note.gnu.property", SHT_NOTE, SHF_ALLOC, 8,
        [](Link& l, OutputSection&, uint8_t* p) { std::memcpy(p, l.property_data.data(), l.property_data.size()); });
    link.property->size = link.property_data.size();
  }
  if (link.machine->merge_attributes)
    if (std::vector<uint8_t> body = link.machine->merge_attributes(link); !body.empty()) {
      OutputSection* s =
          make_section(link, link.machine->attributes_section, link.machine->attributes_type, 0, 1, nothing);
      s->size = body.size();
      s->compressed = std::move(body);
    }
  if (!link.opt.package_metadata.empty()) {
    link.package_note =
        make_section(link, ".note.package", SHT_NOTE, SHF_ALLOC, 4, [](Link& l, OutputSection&, uint8_t* p) {
          const std::string& s = l.opt.package_metadata;
          store_le(p, uint32_t(4));
          store_le(p + 4, uint32_t(align_up(s.size() + 1, 4)));
          store_le(p + 8, uint32_t(0xcafe1a7e));
          std::memcpy(p + 12, "FDO", 4);
          std::memcpy(p + 16, s.data(), s.size());
        });
    link.package_note->size = 16 + align_up(link.opt.package_metadata.size() + 1, 4);
  }
}

}  // namespace

void create_synthetic_sections(Link& link) {
  link.property_data = link.machine->merge_properties(link);
  give_slots(link);
  make_got_and_plt(link);
  make_tables(link);
  make_interpreter(link);
  make_notes(link);
}

bool got_slot_is_relative(const Link& link, const GotEntry& e) {
  if (e.kind != got_address_kind || !link.pic) return false;
  const Symbol& s = link.symbols[e.symbol];
  if (s.imported) return false;
  if (s.type == STT_GNU_IFUNC || (s.flags & in_copied)) return true;
  bool absolute =
      s.atom == none && (!s.linker_defined || link.files[s.file]->kind != FileKind::internal);  // or undefined and weak
  return !absolute;
}

// The dynamic relocations of GOT slots, copies; their number is fixed once the slots are.
std::vector<Rela> got_relocations(Link& link) {
  std::vector<Rela> out;
  const Machine& t = *link.machine;
  for (const GotEntry& e : link.got_entries) {
    if (e.kind == got_tlsld) {
      if (!link.is_static_output && link.shared) out.push_back({got_address(link, link.tlsld_slot), t.r_dtpmod, 0, 0});
      continue;
    }
    const Symbol& s = link.symbols[e.symbol];
    const SymbolAux& x = link.aux[s.aux];
    uint32_t dynsym = s.imported ? uint32_t(std::max(x.dynsym, 0)) : 0;
    switch (e.kind) {
      case got_address_kind:
        if (s.imported) out.push_back({got_address(link, x.got), t.r_glob_dat, dynsym, 0});
        else if (got_slot_is_relative(link, e) && !link.opt.pack_relr)
          out.push_back({got_address(link, x.got), t.r_relative, 0, int64_t(s.address)});
        break;
      case got_tpoff:
        if (s.imported) out.push_back({got_address(link, x.gottp), t.r_tpoff, dynsym, 0});
        else if (link.shared)
          out.push_back({got_address(link, x.gottp), t.r_tpoff, 0, int64_t(s.address - link.tls_begin)});
        break;
      case got_tlsgd:
        if (s.imported) {
          out.push_back({got_address(link, x.tlsgd), t.r_dtpmod, dynsym, 0});
          out.push_back({got_address(link, x.tlsgd) + 8, t.r_dtpoff, dynsym, 0});
        } else if (link.shared) {
          out.push_back({got_address(link, x.tlsgd), t.r_dtpmod, 0, 0});
        }
        break;
      case got_tlsdesc:
        if (s.imported) out.push_back({got_address(link, x.tlsdesc), t.r_tlsdesc, dynsym, 0});
        else out.push_back({got_address(link, x.tlsdesc), t.r_tlsdesc, 0, int64_t(s.address - link.tls_begin)});
        break;
    }
  }
  for (auto* list : {&link.copy_symbols, &link.copy_ro_symbols})
    for (uint32_t id : *list) {
      const Symbol& s = link.symbols[id];
      out.push_back({s.address, t.r_copy, uint32_t(std::max(link.aux[s.aux].dynsym, 0)), 0});
    }
  return out;
}

void write_got(Link& link, uint8_t* image) {
  uint8_t* got = image + link.got->offset;
  auto put = [&](int32_t slot, uint64_t v) { store_le(got + uint64_t(slot) * 8, v); };
  for (const GotEntry& e : link.got_entries) {
    if (e.kind == got_tlsld) {
      if (!link.shared) put(link.tlsld_slot, 1);
      continue;
    }
    const Symbol& s = link.symbols[e.symbol];
    const SymbolAux& x = link.aux[s.aux];
    if (s.imported) continue;
    switch (e.kind) {
      case got_address_kind: put(x.got, s.address); break;
      case got_tpoff:
        if (!link.shared) put(x.gottp, s.address - link.tp);
        break;
      case got_tlsgd:
        if (!link.shared) put(x.tlsgd, 1);
        put(x.tlsgd + 1, s.address - link.tls_begin - link.machine->dtp_bias);
        break;
      default: break;
    }
  }
  if (link.machine->got_header && link.got->size && link.dynamic) put(0, link.dynamic->addr);
  if (!link.gotplt->size) return;
  uint8_t* gotplt = image + link.gotplt->offset;
  if (link.dynamic && !link.machine->got_header) store_le(gotplt, link.dynamic->addr);
  uint8_t* rel = image + link.relplt->offset;
  for (size_t i = 0; i < link.plt_symbols.size(); i++) {
    const Symbol& s = link.symbols[link.plt_symbols[i]];
    uint64_t slot = link.gotplt->addr + (link.machine->gotplt_header + i) * 8;
    Rela r{slot, link.machine->r_jump_slot, 0, 0};
    if (s.imported) {
      r.sym = uint32_t(std::max(link.aux[s.aux].dynsym, 0));
      store_le(gotplt + (link.machine->gotplt_header + i) * 8, link.machine->lazy_address(link, uint32_t(i)));
    } else {  // a local ifunc: the resolver's address
      uint64_t resolver = s.atom == none ? s.value : link.atom_address[s.atom] + s.value;
      r.type = link.machine->r_irelative;
      r.addend = int64_t(resolver);
      store_le(gotplt + (link.machine->gotplt_header + i) * 8, resolver);
    }
    std::memcpy(rel + i * sizeof(Rela), &r, sizeof r);
  }
}

// GNU ld's place for the global pointer: in reach of the small data, and of as much other data as can be.
static uint64_t global_pointer(const Link& link) {
  const OutputSection *first = nullptr, *small = nullptr, *last = nullptr;
  for (const OutputSection* s : link.order) {
    if (!s->alloc() || !(s->flags & SHF_WRITE) || (s->flags & (SHF_TLS | SHF_EXECINSTR)) || s->relro) continue;
    if (s->name == ".data" && !first) first = s;
    if (s->name == ".sdata" && !small) small = s;
    last = s;
  }
  if (!last) return (link.ehdr ? link.ehdr->addr : 0) + 0x800;
  const OutputSection* before = nullptr;  // the last one with bytes in the file, behind which .sdata would be
  for (const OutputSection* s : link.order)
    if (s->alloc() && (s->flags & SHF_WRITE) && !s->nobits()) before = s;
  const uint64_t small_begin = small ? small->addr : before ? before->addr + before->size : last->addr;
  const uint64_t data_begin = first ? first->addr : small_begin, end = last->addr + last->size;
  return std::min(small_begin + 0x800, std::max(data_begin + 0x800, end - 0x800));
}

void set_linker_symbols(Link& link) {
  auto set = [&](std::string_view name, uint64_t v) {
    uint32_t id = link.names.find(name);
    if (id != none && link.symbols[id].linker_defined) link.symbols[id].value = v;
  };
  set("_DYNAMIC", link.dynamic ? link.dynamic->addr : 0);
  set("_GLOBAL_OFFSET_TABLE_", got_base_address(link));
  if (link.machine->global_pointer && !link.shared) set(link.machine->global_pointer, global_pointer(link));
  set("_PROCEDURE_LINKAGE_TABLE_", link.plt->addr);
  bool iplt = link.is_static_output;
  set("__rela_iplt_start", iplt && link.relplt->size ? link.relplt->addr : 0);
  set("__rela_iplt_end", iplt && link.relplt->size ? link.relplt->addr + link.relplt->size : 0);
  set("__GNU_EH_FRAME_HDR", link.eh_frame_hdr ? link.eh_frame_hdr->addr : 0);
  // Where accesses relative to it are relaxed to offsets from the thread pointer, it is the thread pointer.
  set("_TLS_MODULE_BASE_", relaxes_tls(link) ? link.tp : link.tls_begin);
  const auto sections = sections_with_borders(link, true);
  for (uint32_t id = 0; id < link.symbols.size(); id++) {
    Symbol& s = link.symbols[id];
    if (!s.linker_defined || s.atom != none) continue;
    std::string_view name = s.str();
    bool start = name.starts_with("__start_"), stop = name.starts_with("__stop_");
    if (!start && !stop) continue;
    auto it = sections.find(name.substr(start ? 8 : 7));
    const OutputSection* o = it == sections.end() ? nullptr : it->second;
    s.value = o ? o->addr + (stop ? o->size : 0) : 0;
  }
}

}  // namespace lode::link::elf
