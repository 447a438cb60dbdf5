// What the dynamic linker reads: .dynsym, .dynstr, the hash tables, symbol versions and .dynamic.
//
// .dynsym holds the imported symbols first and then the exported ones, ordered by bucket of the GNU hash table, as that
// table wants (one chain after another). Version indices: 1 is "unversioned", then the output's own definitions, then
// those needed of each library.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"

namespace lode::link::elf {

namespace {

uint32_t add_string(Link& link, std::string_view s) {
  if (s.empty()) return 0;
  auto [it, fresh] = link.dynstr_index.try_emplace(s, uint32_t(link.dynstr_data.size()));
  if (fresh) {
    link.dynstr_data.append(s);
    link.dynstr_data += '\0';
  }
  return it->second;
}

std::string_view base_name(std::string_view name) { return name.substr(0, name.find('@')); }

// Versions are numbered from 2 (0: local, 1: the base) in 15 bits, the sixteenth being VERSYM_HIDDEN.
constexpr uint16_t max_version = VERSYM_HIDDEN - 1;

void make_versions(Link& link) {
  auto& syms = link.dynamic_symbols;
  size_t count = link.version_defs.size() + 1;  // numbers given so far
  auto next = [&] { return uint16_t(std::min<size_t>(++count, max_version)); };
  link.versym_data.assign(syms.size() + 1, VER_NDX_GLOBAL);
  link.versym_data[0] = VER_NDX_LOCAL;
  struct Need {
    SharedFile* file;
    std::vector<std::pair<uint16_t, uint16_t>> versions;  // index in the file, in the output
  };
  std::vector<Need> needs;
  for (size_t i = 0; i < syms.size(); i++) {
    const Symbol& s = link.symbols[syms[i]];
    if (s.file == none) continue;
    if (link.files[s.file]->is_object()) {
      link.versym_data[i + 1] = s.version;
      continue;
    }
    auto& so = static_cast<SharedFile&>(*link.files[s.file]);
    uint16_t v = so.versions[s.sym];
    if (v < 2 || v >= so.version_names.size() || so.version_names[v].empty()) continue;
    if (so.version_out.size() <= v) so.version_out.resize(so.version_names.size());
    if (!so.version_out[v]) {
      so.version_out[v] = next();
      auto it = std::find_if(needs.begin(), needs.end(), [&](const Need& n) { return n.file == &so; });
      if (it == needs.end()) it = needs.insert(needs.end(), Need{&so, {}});
      it->versions.emplace_back(v, uint16_t(so.version_out[v]));
    }
    link.versym_data[i + 1] = uint16_t(so.version_out[v]);
  }
  // Glibc refuses a file with packed relative relocations that does not say so.
  if (link.opt.pack_relr)
    for (Need& n : needs) {
      if (!n.file->soname.starts_with("libc.so.")) continue;
      for (uint16_t v = 2; v < n.file->version_names.size(); v++)
        if (n.file->version_names[v] == "GLIBC_ABI_DT_RELR" && !n.file->version_out[v]) {
          n.file->version_out[v] = next();
          n.versions.emplace_back(v, uint16_t(n.file->version_out[v]));
        }
    }
  if (count > max_version)
    link.diag.error("the output needs " + std::to_string(count - 1) + " symbol versions; ELF has room for " +
                    std::to_string(max_version - 1));
  link.verneed_count = uint32_t(needs.size());
  std::sort(needs.begin(), needs.end(),
            [](const Need& a, const Need& b) { return a.file->priority < b.file->priority; });
  auto& d = link.verneed_data;
  for (size_t i = 0; i < needs.size(); i++) {
    uint32_t bytes = uint32_t(sizeof(Verneed) + needs[i].versions.size() * sizeof(Vernaux));
    append_le(d, Verneed{1, uint16_t(needs[i].versions.size()), add_string(link, needs[i].file->soname),
                         sizeof(Verneed), i + 1 < needs.size() ? bytes : 0});
    for (size_t k = 0; k < needs[i].versions.size(); k++) {
      auto [v, out] = needs[i].versions[k];
      std::string_view name = needs[i].file->version_names[v];
      append_le(d, Vernaux{sysv_hash(name), 0, out, add_string(link, name),
                           k + 1 < needs[i].versions.size() ? uint32_t(sizeof(Vernaux)) : 0});
    }
  }
  if (!link.version_defs.empty()) {
    auto& v = link.verdef_data;
    std::string base =
        !link.opt.soname.empty() ? link.opt.soname : link.opt.output.substr(link.opt.output.rfind('/') + 1);
    std::string_view base_saved = link.save(base);
    link.verdef_count = uint32_t(link.version_defs.size() + 1);
    std::unordered_map<std::string_view, std::string_view> parents;
    for (auto& n : link.versions.nodes) parents[n.name] = n.parent;
    for (uint32_t i = 0; i < link.verdef_count; i++) {
      std::string_view name = i ? std::string_view(link.version_defs[i - 1]) : base_saved;
      std::string_view parent;
      if (auto it = parents.find(name); i && it != parents.end()) parent = it->second;
      uint16_t aux = parent.empty() ? 1 : 2;
      append_le(v, Verdef{1, uint16_t(i ? 0 : VER_FLG_BASE), uint16_t(i + 1), aux, sysv_hash(name), sizeof(Verdef),
                          i + 1 < link.verdef_count ? uint32_t(sizeof(Verdef) + aux * sizeof(Verdaux)) : 0});
      append_le(v, Verdaux{add_string(link, name), parent.empty() ? 0 : uint32_t(sizeof(Verdaux))});
      if (!parent.empty()) append_le(v, Verdaux{add_string(link, parent), 0});
    }
  }
}

// DT_GNU_HASH: Bloom filter of 64-bit words, buckets, one word a symbol with bit 0 ending a chain.
void make_gnu_hash(Link& link) {
  uint32_t first = link.first_exported_dynsym;
  auto& syms = link.dynamic_symbols;
  uint32_t hashed = uint32_t(syms.size() + 1 - first);
  uint32_t buckets = std::max(1u, hashed / 4);
  uint32_t words = 1;
  while (words * 64 < hashed * 12 && words < (1u << 20)) words *= 2;
  struct Item {
    uint32_t id, hash;
  };
  std::vector<Item> items;
  for (uint32_t i = first; i <= syms.size(); i++)
    items.push_back({syms[i - 1], gnu_hash(base_name(link.symbols[syms[i - 1]].str()))});
  std::stable_sort(items.begin(), items.end(),
                   [&](const Item& a, const Item& b) { return a.hash % buckets < b.hash % buckets; });
  std::vector<uint64_t> bloom(words);
  std::vector<uint32_t> bucket(buckets), chain(hashed);
  constexpr unsigned shift = 26;
  for (uint32_t i = 0; i < hashed; i++) {
    uint32_t h = items[i].hash;
    syms[first - 1 + i] = items[i].id;
    link.aux[link.symbols[items[i].id].aux].dynsym = int32_t(first + i);
    bloom[(h / 64) % words] |= uint64_t{1} << (h % 64) | uint64_t{1} << ((h >> shift) % 64);
    if (!bucket[h % buckets]) bucket[h % buckets] = first + i;
    bool last = i + 1 == hashed || items[i + 1].hash % buckets != h % buckets;
    chain[i] = (h & ~1u) | (last ? 1 : 0);
  }
  auto& d = link.gnu_hash_data;
  append_le(d, buckets);
  append_le(d, first);
  append_le(d, words);
  append_le(d, uint32_t(shift));
  for (uint64_t w : bloom) append_le(d, w);
  for (uint32_t b : bucket) append_le(d, b);
  for (uint32_t c : chain) append_le(d, c);
}

void make_sysv_hash(Link& link) {
  auto& syms = link.dynamic_symbols;
  uint32_t n = uint32_t(syms.size() + 1);
  std::vector<uint32_t> bucket(n), chain(n);
  for (uint32_t i = 1; i < n; i++) {
    uint32_t h = sysv_hash(base_name(link.symbols[syms[i - 1]].str())) % n;
    chain[i] = bucket[h];
    bucket[h] = i;
  }
  auto& d = link.hash_data;
  append_le(d, n);
  append_le(d, n);
  for (uint32_t b : bucket) append_le(d, b);
  for (uint32_t c : chain) append_le(d, c);
}

OutputSection* table(Link& link, const char* name, uint32_t type, uint64_t align, uint64_t entsize, uint64_t size) {
  OutputSection* s = make_section(link, name, type, SHF_ALLOC, align, [](Link&, OutputSection&, uint8_t*) {});
  s->entsize = entsize;
  s->size = size;
  return s;
}

}  // namespace

// For names that a relink brings (link/elf/relink/delta_dynamic.cpp): each table has a record of them.
static void leave_dynamic_room(Link& link) {
  const uint64_t names = link.dynamic_symbols.size() / 4 + 64;
  link.dynsym->room = names * sizeof(Sym);
  if (link.versym) link.versym->room = names * 2;
  if (link.gnu_hash) link.gnu_hash->room = names * 4;
  if (link.hash) link.hash->room = names * 4;
  if (link.verneed) link.verneed->room = 16 * sizeof(Vernaux);
  link.dynstr->room = align_up(link.dynstr_data.size() / 4 + 2048, 8);
}

void create_dynamic_sections(Link& link) {
  if (link.is_static_output) return;
  link.dynstr_data.assign(1, '\0');
  std::vector<uint32_t> imports, exports;
  for (uint32_t id = 0; id < link.symbols.size(); id++) {
    Symbol& s = link.symbols[id];
    if (s.local) continue;
    bool copied = s.flags & in_copied;
    bool defined_here = copied || (s.exported && s.defined() && link.files[s.file]->is_object() &&
                                   (s.atom == none || link.atoms[s.atom].live));
    bool wanted = s.imported && (s.flags & (needs_mask & ~needs_copy));
    // What only dead code wants is not wanted: it would have to be there at run time.
    const bool by_live = (s.flags & referenced_live) || ((s.flags & referenced_by_object) && !link.opt.gc_sections);
    if (s.imported && !wanted && link.shared && !s.defined() && (s.flags & referenced) && by_live) wanted = true;
    if (!defined_here && !wanted) continue;
    if (s.aux == none) {
      s.aux = uint32_t(link.aux.size());
      link.aux.emplace_back();
      link.aux.back().symbol = id;
    }
    bool hashed = defined_here || (s.flags & needs_canonical_plt);
    (hashed ? exports : imports).push_back(id);
  }
  link.dynamic_symbols = imports;
  link.dynamic_symbols.insert(link.dynamic_symbols.end(), exports.begin(), exports.end());
  link.first_exported_dynsym = uint32_t(imports.size() + 1);
  for (uint32_t i = 0; i < link.dynamic_symbols.size(); i++)
    link.aux[link.symbols[link.dynamic_symbols[i]].aux].dynsym = int32_t(i + 1);
  if (link.opt.hash_gnu) make_gnu_hash(link);
  if (link.opt.hash_sysv) make_sysv_hash(link);
  for (uint32_t id : link.dynamic_symbols) {
    Symbol& s = link.symbols[id];
    link.aux[s.aux].dynstr = add_string(link, base_name(s.str()));
  }
  // --as-needed once more, after garbage collection: what only dead code wanted is not needed.
  if (link.opt.gc_sections || link.has_modules) {
    std::vector<bool> used(link.files.size());
    for (uint32_t id : link.dynamic_symbols)
      if (uint32_t f = link.symbols[id].file; f != none) used[f] = true;
    for (SharedFile* so : link.shareds)
      if (so->as_needed && !used[so->id]) so->needed_flag = false;
  }
  // The auditors of the libraries audit this output's dependencies.
  link.depaudit = link.opt.depaudit;
  for (SharedFile* so : link.shareds)
    if (so->needed_flag && !so->audit.empty() && !link.shared)
      link.depaudit += (link.depaudit.empty() ? "" : ":") + std::string(so->audit);
  make_versions(link);
  bool versioned = !link.verneed_data.empty() || !link.verdef_data.empty();

  link.dynamic =
      make_section(link, ".dynamic", SHT_DYNAMIC, SHF_ALLOC | (link.opt.z_rodynamic ? 0 : uint64_t(SHF_WRITE)), 8,
                   [](Link&, OutputSection&, uint8_t*) {});
  link.dynamic->entsize = sizeof(Dyn);
  link.dynsym = table(link, ".dynsym", SHT_DYNSYM, 8, sizeof(Sym), (link.dynamic_symbols.size() + 1) * sizeof(Sym));
  link.dynsym->info = 1;
  if (link.opt.hash_gnu) link.gnu_hash = table(link, ".gnu.hash", SHT_GNU_HASH, 8, 0, link.gnu_hash_data.size());
  if (link.opt.hash_sysv) link.hash = table(link, ".hash", SHT_HASH, 4, 4, link.hash_data.size());
  if (versioned) link.versym = table(link, ".gnu.version", SHT_GNU_VERSYM, 2, 2, link.versym_data.size() * 2);
  if (!link.verneed_data.empty()) {
    link.verneed = table(link, ".gnu.version_r", SHT_GNU_VERNEED, 8, 0, link.verneed_data.size());
    link.verneed->info = link.verneed_count;
  }
  if (!link.verdef_data.empty()) {
    link.verdef = table(link, ".gnu.version_d", SHT_GNU_VERDEF, 8, 0, link.verdef_data.size());
    link.verdef->info = link.verdef_count;
  }
  if (link.opt.pack_relr) {
    link.relrdyn = table(link, ".relr.dyn", SHT_RELR, 8, 8, 0);
  }
  // Strings that .dynamic names.
  for (SharedFile* so : link.shareds)
    if (so->needed_flag) add_string(link, so->soname);
  for (const std::string& s : {link.opt.soname, link.opt.audit, link.depaudit}) add_string(link, link.save(s));
  for (auto* list : {&link.opt.auxiliary, &link.opt.filter})
    for (const std::string& s : *list) add_string(link, s);
  std::string rpath;
  for (const std::string& r : link.opt.rpaths) rpath += (rpath.empty() ? "" : ":") + r;
  if (!rpath.empty()) add_string(link, link.save(rpath));
  link.dynstr = table(link, ".dynstr", SHT_STRTAB, 1, 0, link.dynstr_data.size());
  if (link.patchable) leave_dynamic_room(link);
  for (OutputSection* s : {link.hash, link.gnu_hash, link.versym}) if (s) s->link_to = link.dynsym;
  for (OutputSection* s : {link.dynsym, link.verneed, link.verdef, link.dynamic}) if (s) s->link_to = link.dynstr;
  link.relplt->link_to = link.reldyn->link_to = link.dynsym;
}

std::vector<Dyn> dynamic_entries(Link& link) {
  std::vector<Dyn> d;
  const Options& o = link.opt;
  auto add = [&](int64_t tag, uint64_t v) { d.push_back({tag, v}); };
  auto str = [&](std::string_view s) { return uint64_t(link.dynstr_index[s]); };
  for (SharedFile* so : link.shareds)
    if (so->needed_flag) add(DT_NEEDED, str(so->soname));
  if (link.shared && !o.soname.empty()) add(DT_SONAME, str(o.soname));
  std::string rpath;
  for (const std::string& r : o.rpaths) rpath += (rpath.empty() ? "" : ":") + r;
  if (!rpath.empty()) add(o.new_dtags ? DT_RUNPATH : DT_RPATH, str(rpath));
  if (!o.audit.empty()) add(DT_AUDIT, str(o.audit));
  if (!link.depaudit.empty()) add(DT_DEPAUDIT, str(link.depaudit));
  for (const std::string& s : o.auxiliary) add(DT_AUXILIARY, str(s));
  for (const std::string& s : o.filter) add(DT_FILTER, str(s));
  auto symbol = [&](int64_t tag, const std::string& name) {
    uint32_t id = link.names.find(name);
    if (id == none) return;
    const Symbol& s = link.symbols[id];
    if (s.defined() && link.files[s.file]->is_object() && (s.atom == none || link.atoms[s.atom].live))
      add(tag, s.address);
  };
  symbol(DT_INIT, o.init);
  symbol(DT_FINI, o.fini);
  auto array = [&](const char* name, int64_t tag, int64_t size_tag) {
    for (auto& s : link.sections)
      if (s->name == name && s->size && !s->write && s->alloc()) {
        add(tag, s->addr);
        add(size_tag, s->size);
      }
  };
  if (!link.shared) array(".preinit_array", DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ);
  array(".init_array", DT_INIT_ARRAY, DT_INIT_ARRAYSZ);
  array(".fini_array", DT_FINI_ARRAY, DT_FINI_ARRAYSZ);
  if (link.hash) add(DT_HASH, link.hash->addr);
  if (link.gnu_hash) add(DT_GNU_HASH, link.gnu_hash->addr);
  add(DT_STRTAB, link.dynstr->addr);
  add(DT_SYMTAB, link.dynsym->addr);
  add(DT_STRSZ, link.dynstr->size);
  add(DT_SYMENT, sizeof(Sym));
  if (!link.shared && !o.z_rodynamic) add(DT_DEBUG, 0);
  if (link.relplt->size || link.relplt->keep) {
    add(DT_PLTGOT, link.gotplt->addr);
    add(DT_PLTRELSZ, link.relplt->size);
    add(DT_PLTREL, DT_RELA);
    add(DT_JMPREL, link.relplt->addr);
    // The resolver has to save more registers for a function with a convention of its own.
    bool other = false;
    for (uint32_t id : link.plt_symbols) other |= machine_bits(link, link.symbols[id]) != 0;
    if (other && link.machine->symbol_other_tag) add(link.machine->symbol_other_tag, 0);
  } else if (link.gotplt->size && link.got_slots) {
    add(DT_PLTGOT, link.gotplt->addr);
  }
  if (link.reldyn->size) {
    add(DT_RELA, link.reldyn->addr);
    add(DT_RELASZ, link.reldyn->size);
    add(DT_RELAENT, sizeof(Rela));
    // Relocations that a relink appends are of any kind, and in any order.
    if (o.combreloc && !link.patchable) add(DT_RELACOUNT, link.relative_count);
  }
  if (link.relrdyn && link.relrdyn->size) {
    add(o.android_relr_tags ? DT_ANDROID_RELR : DT_RELR, link.relrdyn->addr);
    add(o.android_relr_tags ? DT_ANDROID_RELRSZ : DT_RELRSZ, link.relrdyn->size);
    add(o.android_relr_tags ? DT_ANDROID_RELRENT : DT_RELRENT, 8);
  }
  if (link.versym) add(DT_VERSYM, link.versym->addr);
  if (link.verneed) {
    add(DT_VERNEED, link.verneed->addr);
    add(DT_VERNEEDNUM, link.verneed_count);
  }
  if (link.verdef) {
    add(DT_VERDEF, link.verdef->addr);
    add(DT_VERDEFNUM, link.verdef_count);
  }
  uint64_t flags = 0, flags1 = 0;
  if (o.now) {
    flags |= DF_BIND_NOW;
    flags1 |= DF_1_NOW;
  }
  if (o.bsymbolic == Bsymbolic::all && link.shared) flags |= DF_SYMBOLIC;
  if (o.z_origin) {
    flags |= DF_ORIGIN;
    flags1 |= DF_1_ORIGIN;
  }
  if (link.has_textrel) {
    flags |= DF_TEXTREL;
    add(DT_TEXTREL, 0);
  }
  if (link.has_static_tls) flags |= DF_STATIC_TLS;
  if (o.kind == OutputKind::pie) flags1 |= DF_1_PIE;
  if (o.z_nodefaultlib) flags1 |= DF_1_NODEFLIB;
  if (o.z_nodelete) flags1 |= DF_1_NODELETE;
  if (o.z_nodlopen) flags1 |= DF_1_NOOPEN;
  if (o.z_nodump) flags1 |= DF_1_NODUMP;
  if (o.z_initfirst) flags1 |= DF_1_INITFIRST;
  if (o.z_interpose) flags1 |= DF_1_INTERPOSE;
  if (o.z_global) flags1 |= DF_1_GLOBAL;
  if (o.z_group) flags1 |= DF_1_GROUP;
  if (o.z_loadfltr) flags1 |= DF_1_LOADFLTR;
  if (o.z_globalaudit) flags1 |= DF_1_GLOBAUDIT;
  if (flags) add(DT_FLAGS, flags);
  if (flags1) add(DT_FLAGS_1, flags1);
  if (o.z_unique) add(DT_GNU_FLAGS_1, DF_GNU_1_UNIQUE);
  // Libraries that a relink comes to need.
  const uint32_t spare = o.spare_dynamic_tags + (link.patchable ? 8 : 0);
  for (uint32_t i = 0; i <= spare; i++) add(DT_NULL, 0);
  return d;
}

void write_dynamic_tables(Link& link) {
  uint8_t* image = link.image;
  if (link.interp && link.interp->index) link.interp->write(link, *link.interp, image + link.interp->offset);
  if (link.is_static_output) return;
  auto copy = [&](OutputSection* s, const auto& body) {
    copy_body(link, s, body.data(), body.size() * sizeof body[0]);
  };
  copy(link.dynstr, link.dynstr_data);
  copy(link.gnu_hash, link.gnu_hash_data);
  copy(link.hash, link.hash_data);
  copy(link.versym, link.versym_data);
  copy(link.verneed, link.verneed_data);
  copy(link.verdef, link.verdef_data);
  copy(link.dynamic, dynamic_entries(link));
  uint8_t* out = image + link.dynsym->offset + sizeof(Sym);
  std::memset(image + link.dynsym->offset, 0, sizeof(Sym));
  bool too_many_sections = false;
  for (uint32_t id : link.dynamic_symbols) {
    const Symbol& s = link.symbols[id];
    const Sym e = dynamic_symbol_entry(link, s, link.aux[s.aux].dynstr);
    too_many_sections |= s.atom != none && output_section_index(link, s.atom) >= SHN_LORESERVE;
    std::memcpy(out, &e, sizeof e);
    out += sizeof e;
  }
  // .dynsym has no table of wide section indices beside it.
  if (too_many_sections)
    link.diag.error("too many output sections: a symbol in .dynsym is in a section with an index of " +
                    std::to_string(SHN_LORESERVE) + " or more");
}

Sym dynamic_symbol_entry(Link& link, const Symbol& s, uint32_t name) {
  Sym e{};
  e.name = name;
  uint8_t type = s.type, bind = s.bind == STB_LOCAL ? uint8_t(STB_GLOBAL) : s.bind;
  InputFile* f = link.file_of(s);
  if (!f) {
    bind = s.flags & referenced_strong ? STB_GLOBAL : STB_WEAK;
    if (s.flags & referenced_tls) type = STT_TLS;
  } else if (s.flags & in_copied) {
    e.shndx = uint16_t((s.copied_readonly ? link.copyrel_ro : link.copyrel)->index);
    e.value = s.address;
    e.size = f->syms[s.sym].size;
  } else if (f->kind == FileKind::shared) {
    if (s.flags & needs_canonical_plt) e.value = plt_address(link, s);
    bind = s.flags & referenced_strong ? uint8_t(STB_GLOBAL) : uint8_t(STB_WEAK);
    if (type == STT_GNU_IFUNC) type = STT_FUNC;
  } else {
    e.value = s.address;
    if (s.atom != none) e.size = s.linker_defined ? 0 : size_of(link, s);
    if (s.type == STT_TLS) e.value -= link.tls_begin;
    if (s.type == STT_GNU_IFUNC) {
      if (s.flags & needs_plt && !s.imported) type = STT_FUNC;
    }
    if (s.atom != none) {
      e.shndx = uint16_t(output_section_index(link, s.atom));
    } else if (s.linker_defined) e.shndx = 1;
    else e.shndx = SHN_ABS;
  }
  if (type == STT_COMMON) type = STT_OBJECT;
  e.info = uint8_t(bind << 4 | type);
  e.other = s.visibility() == STV_PROTECTED && f && f->is_object() ? STV_PROTECTED : STV_DEFAULT;
  e.other |= machine_bits(link, s);
  return e;
}

}  // namespace lode::link::elf
