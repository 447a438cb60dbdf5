// Write: every live atom copies itself into the mapped output and relocates itself there, in parallel; then the
// synthetic sections, the symbol table, the headers, and the build id over all of it. The output appears when all is
// well, listings included.
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/common/digest.h"
#include "link/common/output_file.h"
#include "link/elf/code/lower.h"
#include "link/elf/relink/state.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

void copy_body(Link& link, const OutputSection* s, const void* data, size_t size) {
  if (!s || s->gone) return;
  if (size != s->size) {
    link.diag.error("internal error: section " + s->name + " has " + std::to_string(size) +
                    " bytes where layout gave it " + std::to_string(s->size));
    return;
  }
  if (size) std::memcpy(link.image + s->offset, data, size);
}

namespace {

void write_atoms(Link& link) {
  // Where each file's dynamic relocations go.
  size_t total = 0;
  for (ObjectFile* f : link.objects) {
    f->dynrel_offset = uint32_t(total);
    total += f->dynrel_count;
  }
  std::vector<Rela> got = got_relocations(link);
  link.dynrels.resize(total + got.size());
  std::copy(got.begin(), got.end(), link.dynrels.begin() + ptrdiff_t(total));
  // Gaps between atoms: nop-free fill of zeros is what a fresh file has; code gets instructions that trap.
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    DynamicRelocations dynrels(link.dynrels.data() + f.dynrel_offset, f.dynrel_count);
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      Atom& a = link.atoms[f.atom_base + i];
      if (!a.live || a.out == none || a.kind != AtomKind::regular || a.folded || !a.data || !a.size) continue;
      OutputSection& s = *link.sections[a.out];
      if (s.nobits() || s.gone || !s.compressed.empty()) continue;
      uint8_t* out = link.image + s.offset + a.offset;
      std::memcpy(out, a.data, a.size);
      if (!a.reloc_count) continue;
      if (s.alloc()) apply(link, f, a, out, s.addr + a.offset, dynrels);
      else apply_nonalloc(link, f, a, out);
    }
    if (!dynrels.complete())
      link.diag.error(f.name + ": internal error: the dynamic relocations written are not those counted",
                      uint64_t(f.priority) << 40);
  });
  for (auto& m : link.merged) {
    const Atom& body = link.atoms[m->body];
    OutputSection& s = *link.sections[m->out];
    if (!s.gone && !s.nobits() && s.compressed.empty()) write_merged(*m, link.image + s.offset + body.offset);
  }
}

void fill_code_gaps(Link& link) {
  for (OutputSection* s : link.order) {
    if (!(s->flags & SHF_EXECINSTR) || s->write || s->nobits()) continue;
    uint64_t at = 0;
    for (uint32_t id : s->atoms) {
      const Atom& a = link.atoms[id];
      if (a.offset > at) std::memset(link.image + s->offset + at, link.machine->trap_fill, a.offset - at);
      at = a.offset + a.size;
    }
    if (s->size > at) std::memset(link.image + s->offset + at, link.machine->trap_fill, s->size - at);
  }
}

// What an incremental link left behind the contributions to sections that are not loaded.
void fill_slack(Link& link) {
  for (OutputSection* s : link.order) {
    if (s->alloc() || s->write || s->nobits()) continue;
    const Slack rule(*s);
    for (uint32_t id : s->atoms) {
      const Atom& a = link.atoms[id];
      if (const uint64_t slack = rule.of(a))
        fill_gap(s->name, s->flags, 0, link.image + s->offset + a.offset, a.size, a.size + slack);
    }
  }
}

void write_dynamic_relocations(Link& link) {
  if (!link.reldyn->size) return;
  auto& rels = link.dynrels;
  const uint32_t relative = link.machine->r_relative, irelative = link.machine->r_irelative;
  // What calls a resolver comes after all that the resolver may read. That is IRELATIVE, and every relocation by the
  // name of a function with a resolver in this very output; in another library it has been relocated before.
  std::vector<bool> has_resolver(link.dynamic_symbols.size() + 1);
  for (size_t i = 0; i < link.dynamic_symbols.size(); i++)
    has_resolver[i + 1] = is_own_ifunc(link, link.symbols[link.dynamic_symbols[i]]);
  auto calls_resolver = [&](const Rela& r) {
    return r.type == irelative || (r.sym < has_resolver.size() && has_resolver[r.sym]);
  };
  if (!link.opt.combreloc)
    std::stable_partition(rels.begin(), rels.end(), [&](const Rela& r) { return !calls_resolver(r); });
  if (link.opt.combreloc) {
    auto rank = [&](const Rela& r) { return r.type == relative ? 0 : calls_resolver(r) ? 2 : 1; };
    parallel_sort(rels.begin(), rels.end(), [&](const Rela& a, const Rela& b) {
      if (int x = rank(a), y = rank(b); x != y) return x < y;
      if (uint32_t x = a.sym, y = b.sym; x != y) return x < y;
      return uint64_t(a.offset) < uint64_t(b.offset);
    });
    link.relative_count =
        uint64_t(std::count_if(rels.begin(), rels.end(), [&](const Rela& r) { return r.type == relative; }));
  }
  copy_body(link, link.reldyn, rels.data(), rels.size() * sizeof(Rela));
}

void write_headers(Link& link) {
  Ehdr e{};
  std::memcpy(e.ident, "\177ELF", 4);
  e.ident[4] = ELFCLASS64;
  e.ident[5] = ELFDATA2LSB;
  e.ident[6] = 1;
  bool gnu = false;
  for (const Symbol& s : link.symbols)
    gnu |= s.bind == STB_GNU_UNIQUE && s.defined() && link.files[s.file]->is_object();
  if (gnu) e.ident[7] = ELFOSABI_GNU;
  // -Ttext-segment gives a position-independent executable its place for good.
  e.type = link.pic && !(link.opt.kind == OutputKind::pie && link.opt.text_segment_given) ? ET_DYN : ET_EXEC;
  e.machine = link.machine->elf_machine;
  e.flags = link.e_flags;
  e.version = 1;
  e.ehsize = sizeof(Ehdr);
  e.phoff = sizeof(Ehdr);
  e.phentsize = sizeof(Phdr);
  e.phnum = uint16_t(link.phdrs.size());
  if (uint32_t id = link.names.find(link.entry_name);
      id != none && link.symbols[id].defined() && link.files[link.symbols[id].file]->is_object())
    e.entry = link.symbols[id].address;
  else if (link.opt.entry_given) {
    char* end = nullptr;
    unsigned long long v = std::strtoull(link.entry_name.c_str(), &end, 0);
    if (end && !*end && end != link.entry_name.c_str()) e.entry = v;
  }
  if (!e.entry && !link.shared)  // as check_entry has said
    for (const OutputSection* s : link.order)
      if (s->name == ".text" && s->index) e.entry = s->addr;
  uint32_t shnum = 1;
  for (OutputSection* s : link.order) shnum = std::max(shnum, s->index + 1);
  if (link.opt.z_sectionheader) {
    e.shoff = link.shoff;
    e.shentsize = sizeof(Shdr);
    e.shnum = shnum < SHN_LORESERVE ? uint16_t(shnum) : uint16_t(0);
    uint32_t names = link.shstrtab->index;
    e.shstrndx = names < SHN_LORESERVE ? uint16_t(names) : uint16_t(SHN_XINDEX);
    auto* sh = reinterpret_cast<Shdr*>(link.image + link.shoff);
    Shdr zero{};
    if (shnum >= SHN_LORESERVE) zero.size = shnum;
    if (names >= SHN_LORESERVE) zero.link = names;
    sh[0] = zero;
    for (OutputSection* s : link.order) {
      if (!s->index) continue;
      Shdr h{};
      h.name = s->name_offset;
      h.type = s->type;
      h.flags = s->flags;
      h.addr = s->addr;
      h.offset = s->offset;
      h.size = s->size;
      h.addralign = s->align;
      h.entsize = s->entsize;
      h.link = s->link_to ? s->link_to->index : s->link;
      h.info = s->info_to ? s->info_to->index : s->info;
      sh[s->index] = h;
    }
    std::memcpy(link.image + link.shstrtab->offset, link.shstrtab_data.data(), link.shstrtab_data.size());
  }
  std::memcpy(link.image, &e, sizeof e);
  std::memcpy(link.image + sizeof e, link.phdrs.data(), link.phdrs.size() * sizeof(Phdr));
}

// A digest of digests of blocks, so that all threads take part.
void write_build_id(Link& link) {
  if (!link.build_id) return;
  uint8_t* p = link.image + link.build_id->offset;
  uint64_t n = link.build_id->size - 16;
  store_le(p, uint32_t(4));
  store_le(p + 4, uint32_t(n));
  store_le(p + 8, uint32_t(NT_GNU_BUILD_ID));
  std::memcpy(p + 12, "GNU", 4);
  uint8_t* id = p + 16;
  if (link.opt.build_id == BuildId::hex) {
    store_le(p + 4, uint32_t(link.opt.build_id_bytes.size()));
    std::memcpy(id, link.opt.build_id_bytes.data(), link.opt.build_id_bytes.size());
    return;
  }
  if (link.opt.build_id == BuildId::uuid) {
    const auto uuid = random_uuid();
    std::memcpy(id, uuid.data(), uuid.size());
    return;
  }
  digest_image(link, link.image, link.file_size);
  put_build_id(link, id);
}

}  // namespace

void digest_image(Link& link, const uint8_t* image, uint64_t size) {
  const uint64_t block = link.opt.incremental ? small_build_id_block : build_id_block;
  const uint64_t blocks = (size + block - 1) / block;
  link.block_digests.resize(blocks * 2);
  parallel_for(uint64_t(0), blocks, [&](uint64_t i) {
    const uint64_t at = i * block;
    const XXH128_hash_t h = XXH3_128bits(image + at, std::min(block, size - at));
    link.block_digests[i * 2] = h.low64;
    link.block_digests[i * 2 + 1] = h.high64;
  });
}

void put_build_id(const Link& link, uint8_t* id) {
  const uint64_t n = link.build_id->size - 16;
  std::vector<uint8_t> summary(link.block_digests.size() * 8);
  std::memcpy(summary.data(), link.block_digests.data(), summary.size());
  std::vector<uint8_t> digest;
  switch (link.opt.build_id) {
    case BuildId::md5: digest = md5(summary); break;
    case BuildId::sha256: digest = sha256(summary); break;
    default: digest = sha1(summary); break;
  }
  std::memcpy(id, digest.data(), std::min<size_t>(digest.size(), n));
}

bool write_output(Link& link) {
  OutputFile file(link.opt.output_bytes);
  auto mapped = file.create(link.opt.output, link.file_size, true);
  if (!mapped) {
    link.diag.error(mapped.error());
    return false;
  }
  link.image = *mapped;
  if (link.has_modules) {
    write_functions(link);
    finish_functions(link);
  }
  write_atoms(link);
  fill_code_gaps(link);
  if (link.patchable) fill_slack(link);
  if (link.machine->rewrite_image) link.machine->rewrite_image(link);
  if (link.eh_frame->index) link.eh_frame->write(link, *link.eh_frame, link.image + link.eh_frame->offset);
  if (link.eh_frame_hdr && link.eh_frame_hdr->index)
    write_eh_frame_hdr(link, *link.eh_frame_hdr, link.image + link.eh_frame_hdr->offset);
  for (OutputSection* s : {link.plt, link.pltgot, link.pltsec, link.property, link.package_note, link.gdb_index})
    if (s && s->index) s->write(link, *s, link.image + s->offset);
  write_got(link, link.image);
  write_dynamic_relocations(link);
  if (link.relrdyn) copy_body(link, link.relrdyn, link.relr_words.data(), link.relr_words.size() * 8);
  write_dynamic_tables(link);
  write_symtab(link, link.image);
  write_emitted_relocations(link);
  for (OutputSection* s : link.order)
    if (!s->compressed.empty()) std::memcpy(link.image + s->offset, s->compressed.data(), s->compressed.size());
  write_headers(link);
  write_build_id(link);
  if (link.diag.flush()) return false;
  if (auto r = link.inputs.files.check_unchanged(); !r) link.diag.error(r.error());
  write_listings(link);
  if (link.diag.flush()) return false;
  if (auto r = file.commit(); !r) {
    link.diag.error(r.error());
    return false;
  }
  return true;
}

}  // namespace lode::link::elf
