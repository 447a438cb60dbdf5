// .eh_frame: input sections are cut into CIEs and FDEs, FDEs of dead code are dropped, equal CIEs are merged, and
// .eh_frame_hdr gets its sorted table (LSB core 10.6; DWARF 5 section 6.4.1 for the records).
//
// A record is a 32-bit length, a 32-bit id (0: CIE; FDE: distance back to its CIE) and a body. An FDE's first
// relocation, at offset 8, is the start of the code it describes; the others (the LSDA) are references of that code.
#include <algorithm>
#include <cstring>
#include <map>


#include "base/bytes.h"
#include "link/elf/link.h"
#include "link/elf/code/lower.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

bool fde_live(Link& link, const Fde& f) {
  const Atom& a = link.atoms[f.atom];
  return a.live && !a.folded && a.kind == AtomKind::regular && link.atoms[f.source].kind == AtomKind::eh_frame;
}

// Two CIEs are one if their bytes are, and their relocations name the same targets.
std::string cie_identity(Link& link, const ObjectFile& file, const Cie& c) {
  const Atom& a = link.atoms[c.atom];
  std::string k(reinterpret_cast<const char*>(a.data + c.input_offset), c.size);
  for (uint32_t r = c.reloc_begin; r < c.reloc_end; r++) {
    const Rela& rel = a.relocs[r];
    uint64_t words[4] = {uint64_t(rel.offset) - c.input_offset, rel.type, uint64_t(rel.addend), 0};
    if (rel.sym >= file.first_global && rel.sym < file.syms.size()) {
      words[3] = uint64_t{1} << 63 | file.symbol_id(rel.sym);
    } else if (rel.sym < file.syms.size()) {
      uint32_t section = file.section_of(rel.sym);
      words[3] = section < file.sections.size() ? file.atom_base + section : section;
      words[2] += file.syms[rel.sym].value;
    }
    k.append(reinterpret_cast<const char*>(words), sizeof words);
  }
  return k;
}

// Start-up code may name the section although there is no record (__EH_FRAME_BEGIN__): then it finds the terminator.
static bool any_frame_symbol(Link& link) {
  for (const ObjectFile* f : link.objects) {
    if (f->kind != FileKind::object) continue;
    for (uint32_t i = 1; i < f->syms.size(); i++) {
      if (f->syms[i].type() == STT_SECTION || f->syms[i].shndx == SHN_UNDEF) continue;
      uint32_t section = f->section_of(i);
      if (section < f->sections.size() && link.atoms[f->atom_base + section].kind == AtomKind::eh_frame) return true;
    }
  }
  return false;
}

// Records move, so that a place goes by the record that covers it, or else by the next one of its section that is kept;
// a section without any has its place where its file's records begin, the end of one where they end.
uint64_t eh_frame_offset(Link& link, const Atom& a, uint64_t offset) {
  const ObjectFile& f = link.object(a.file);
  const uint32_t id = f.atom_base + a.section;
  bool any = false;
  uint64_t next = ~uint64_t{0}, out = 0;
  auto look = [&](uint64_t in, uint64_t size, uint32_t at) {
    if (at == none) return;
    any = true;
    if (in + size <= offset || in >= next) return;
    next = in;
    out = in <= offset ? at + (offset - in) : at;
  };
  for (const Cie& c : f.cies)
    if (c.atom == id) look(c.input_offset, c.size, c.out_offset);
  for (const Fde& d : f.fdes)
    if (d.source == id) look(d.input_offset, d.size, d.out_offset);
  if (next != ~uint64_t{0}) return out;
  return any ? f.frame_end : f.frame_begin;
}

void layout_eh_frame(Link& link) {
  std::map<std::string, std::pair<uint32_t, uint32_t>> leaders;
  uint64_t offset = 0, count = 0;
  auto place_cies = [&](ObjectFile* f) {
    for (const Fde& fde : f->fdes)
      if (fde_live(link, fde)) f->cies[fde.cie].live = true;
    for (uint32_t i = 0; i < f->cies.size(); i++) {
      Cie& c = f->cies[i];
      if (!c.live) continue;
      auto [it, fresh] = leaders.try_emplace(cie_identity(link, *f, c), f->id, i);
      c.leader_file = it->second.first;
      c.leader = it->second.second;
      if (fresh) {
        c.out_offset = uint32_t(offset);
        offset += c.size;
      }
    }
  };
  // CIEs outlive the file that had them first, where files change and the output stays. They stand before all FDEs,
  // because these hold the distance back to them.
  if (link.patchable) {
    for (ObjectFile* f : link.objects) place_cies(f);
    link.cies_end = uint32_t(offset);
    if (offset) offset = align_up(offset, 8) + frame_cie_room;
  }
  for (ObjectFile* f : link.objects) {
    f->frame_begin = uint32_t(offset);
    if (!link.patchable) place_cies(f);
    for (Fde& fde : f->fdes) {
      if (!fde_live(link, fde)) continue;
      fde.out_offset = uint32_t(offset);
      offset += fde.size;
      count++;
    }
    f->frame_end = uint32_t(offset);
  }
  layout_function_frames(link, offset, count);
  link.eh_frame_fde_count = count;
  if (offset == 0 && !any_frame_symbol(link)) {
    link.eh_frame->size = 0;
    return;
  }
  if (offset >= uint64_t{1} << 31) link.diag.error("the output's .eh_frame exceeds 2 GiB");
  link.eh_frame->size = offset + 4;  // the terminator
}

// A CIE that nobody refers to: version 1, no augmentation, no instructions.
void fill_frame_gap(uint8_t* out, uint64_t size) {
  std::memset(out, 0, size);
  store_le(out, uint32_t(size - 4));
  out[8] = 1;
  out[10] = 1;
  out[11] = 0x78;
  out[12] = 16;
}

void write_fdes(Link& link, ObjectFile& f, const OutputSection& section, uint8_t* out,
                std::pair<uint64_t, uint64_t>* entries) {
  for (const Fde& fde : f.fdes) {
    if (fde.out_offset == none) continue;
    const Atom& a = link.atoms[fde.source];
    const Cie& c = f.cies[fde.cie];
    uint32_t cie_offset = link.object(c.leader_file).cies[c.leader].out_offset;
    uint8_t* p = out + fde.out_offset;
    std::memcpy(p, a.data + fde.input_offset, fde.size);
    store_le<uint32_t>(p + 4, fde.out_offset + 4 - cie_offset);
    for (uint32_t r = fde.reloc_begin; r < fde.reloc_end; r++) {
      uint64_t at = uint64_t(a.relocs[r].offset) - fde.input_offset;
      apply_record(link, f, a, a.relocs[r], p + at, fde.size - at, section.addr + fde.out_offset + at);
    }
    const Rela& start = a.relocs[fde.reloc_begin];
    const Sym& s = f.syms[start.sym];
    const uint64_t in_section = s.value + uint64_t(start.addend);
    const uint64_t in_output =
        s.type() == STT_SECTION ? shrunk_offset(link, link.atoms[fde.atom], in_section) : in_section;
    *entries++ = {link.atom_address[fde.atom] + in_output, section.addr + fde.out_offset};
  }
}

void write_eh_frame(Link& link, OutputSection& section, uint8_t* out) {
  std::vector<size_t> table_base(link.objects.size() + 1);
  for (size_t i = 0; i < link.objects.size(); i++) {
    size_t n = 0;
    for (const Fde& f : link.objects[i]->fdes) n += f.out_offset != none;
    table_base[i + 1] = table_base[i] + n;
  }
  link.eh_frame_table.resize(table_base.back());
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    size_t entry = table_base[k];
    for (const Cie& c : f.cies) {
      if (c.out_offset == none) continue;
      const Atom& a = link.atoms[c.atom];
      std::memcpy(out + c.out_offset, a.data + c.input_offset, c.size);
      for (uint32_t r = c.reloc_begin; r < c.reloc_end; r++) {
        uint64_t at = uint64_t(a.relocs[r].offset) - c.input_offset;
        apply_record(link, f, a, a.relocs[r], out + c.out_offset + at, c.size - at,
                                section.addr + c.out_offset + at);
      }
    }
    write_fdes(link, f, section, out, link.eh_frame_table.data() + entry);
  });
  if (link.patchable && link.cies_end)
    fill_frame_gap(out + link.cies_end, align_up(link.cies_end, 8) + frame_cie_room - link.cies_end);
  write_function_frames(link, section, out);
  store_le<uint32_t>(out + section.size - 4, 0);
}

// Version 1, pointers: eh_frame pc-relative sdata4, count udata4, table data-relative sdata4.
void write_eh_frame_hdr(Link& link, OutputSection& section, uint8_t* out) {
  auto& table = link.eh_frame_table;
  parallel_sort(table.begin(), table.end());
  out[0] = 1;
  out[1] = 0x1b;
  out[2] = 0x03;
  out[3] = 0x3b;
  store_le<uint32_t>(out + 4, uint32_t(link.eh_frame->addr - section.addr - 4));
  store_le<uint32_t>(out + 8, uint32_t(table.size()));
  for (size_t i = 0; i < table.size(); i++) {
    store_le<int32_t>(out + 12 + 8 * i, int32_t(table[i].first - section.addr));
    store_le<int32_t>(out + 16 + 8 * i, int32_t(table[i].second - section.addr));
  }
}

}  // namespace lode::link::elf
