// Layout: the order of the output sections, their addresses and file offsets, the program headers.
//
// Order: header, notes, what the dynamic linker reads, read-only data, code, then writable data: first what becomes
// read-only after relocation (RELRO), then the rest, zero-filled sections last; sections without an address follow. A
// new segment starts where permissions change; in memory it starts on a new page, in the file it goes on at once, its
// address congruent to its offset, so that the file has no holes. Zero-filled thread-local data takes no address space.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/code/asm_sections.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"

namespace lode::link::elf {

namespace {

bool is_relro(Link& link, const OutputSection& s) {
  if (!link.opt.relro || !(s.flags & SHF_WRITE) || !s.alloc()) return false;
  if (s.relro || (s.flags & SHF_TLS)) return true;
  switch (s.type) {
    case SHT_INIT_ARRAY: case SHT_FINI_ARRAY: case SHT_PREINIT_ARRAY: case SHT_DYNAMIC: return true;
    default: break;
  }
  if (&s == link.got) return true;
  if (&s == link.gotplt) return link.opt.now || link.plt_symbols.empty() || link.is_static_output;
  std::string_view n = s.name;
  return n == ".data.rel.ro" || n == ".bss.rel.ro" || n == ".ctors" || n == ".dtors" || n == ".jcr" || n == ".toc" ||
         n == ".eh_frame";
}

uint32_t rank_of(Link& link, const OutputSection& s) {
  if (&s == link.ehdr) return 0;
  if (!s.alloc()) {
    if (&s == link.symtab) return 2001;
    if (&s == link.symtab_shndx) return 2002;
    if (&s == link.strtab) return 2003;
    if (&s == link.shstrtab) return 2004;
    return 2000;
  }
  if (&s == link.interp) return 1;
  if (s.flags & link.machine->large_section) return s.flags & SHF_WRITE ? (s.nobits() ? 901 : 900) : 90;
  if (!(s.flags & SHF_WRITE) && !(s.flags & SHF_EXECINSTR)) {
    if (s.type == SHT_NOTE) return s.align >= 8 ? 2 : 3;
    if (&s == link.hash) return 10;
    if (&s == link.gnu_hash) return 11;
    if (&s == link.dynsym) return 12;
    if (&s == link.dynstr) return 13;
    if (&s == link.versym) return 14;
    if (&s == link.verdef) return 15;
    if (&s == link.verneed) return 16;
    if (&s == link.reldyn) return 17;
    if (&s == link.relrdyn) return 18;
    if (&s == link.relplt) return 19;
    if (s.name == ".rodata") return 30;
    if (&s == link.eh_frame_hdr) return 40;
    if (&s == link.eh_frame) return 41;
    if (s.name == ".gcc_except_table") return 42;
    return 31;
  }
  if (s.flags & SHF_EXECINSTR) {
    uint32_t base = s.flags & SHF_WRITE ? 150 : 100;
    if (s.name == ".init") return base;
    if (&s == link.plt) return base + 1;
    if (&s == link.pltgot) return base + 2;
    if (&s == link.pltsec) return base + 3;
    if (s.name == ".text") return base + 4;
    if (s.name == ".fini") return base + 6;
    return base + 5;
  }
  if (is_relro(link, s)) {
    if (s.flags & SHF_TLS) return s.nobits() ? 201 : 200;
    if (s.type == SHT_PREINIT_ARRAY) return 202;
    if (s.type == SHT_INIT_ARRAY) return 203;
    if (s.type == SHT_FINI_ARRAY) return 204;
    if (&s == link.dynamic) return 210;
    if (&s == link.got) return 211;
    if (&s == link.gotplt) return 212;
    if (s.nobits()) return 220;
    return 205;
  }
  if (s.flags & SHF_TLS) return s.nobits() ? 301 : 300;
  if (&s == link.gotplt) return 302;
  if (&s == link.got) return 302;
  if (s.nobits()) return &s == link.copyrel ? 401 : 400;
  return s.name == ".data" ? 310 : 311;
}

uint32_t segment_flags(const Link& link, const OutputSection& s) {
  bool readable = !(s.flags & SHF_EXECINSTR) || !link.opt.execute_only;
  return (readable ? PF_R : 0u) | (s.flags & SHF_WRITE ? PF_W : 0u) | (s.flags & SHF_EXECINSTR ? PF_X : 0u);
}

bool same_segment(Link& link, const OutputSection& a, const OutputSection& b) {
  if (link.opt.omagic || link.opt.nmagic) return true;
  uint32_t fa = segment_flags(link, a), fb = segment_flags(link, b);
  if (!link.opt.rosegment) {
    if (!(fa & PF_W) && !(fb & PF_W)) return true;
  }
  if (fa != fb) return false;
  if (is_relro(link, a) != is_relro(link, b)) return false;
  return !(a.nobits() && !b.nobits() && !(a.flags & SHF_TLS));
}

bool is_tbss(const OutputSection& s) { return (s.flags & SHF_TLS) && s.nobits(); }

// -n and -N: no part of the image begins on a page because of its permissions. What shares a page has to share its
// permissions, too, or the program could not be loaded; so there is one segment, writable and executable.
uint64_t segment_page(const Link& link) { return link.opt.nmagic || link.opt.omagic ? 1 : link.opt.max_page_size; }

// -z separate-code: a page of the file that is mapped as code holds nothing else. -z separate-loadable-segments: for
// all segments.
bool own_pages_in_file(const Link& link, const OutputSection& before, const OutputSection& s) {
  if (link.opt.separate_code == SeparateCode::all) return true;
  return link.opt.separate_code == SeparateCode::code && ((before.flags ^ s.flags) & SHF_EXECINSTR);
}

// Fills link.phdrs from the sections' addresses. Its length depends on their flags and order only.
void make_phdrs(Link& link) {
  auto& out = link.phdrs;
  out.clear();
  std::vector<OutputSection*> alloc;
  for (OutputSection* s : link.order)
    if (s->alloc()) alloc.push_back(s);
  uint64_t page = segment_page(link);
  auto cover = [&](uint32_t type, uint32_t flags, uint64_t align, OutputSection* first, OutputSection* last) {
    Phdr p{};
    p.type = type;
    p.flags = flags;
    p.offset = first->offset;
    p.vaddr = p.paddr = first->addr;
    p.align = std::max(align, uint64_t{1});
    p.memsz = last->addr + last->size - first->addr;
    OutputSection* file_end = nullptr;
    for (OutputSection* s : alloc)
      if (s->addr >= first->addr && s->addr <= last->addr && !s->nobits() && s->offset >= first->offset) file_end = s;
    p.filesz = file_end && file_end->offset + file_end->size >= first->offset
                   ? file_end->offset + file_end->size - first->offset
                   : 0;
    if (first->nobits() && !(type == PT_TLS && !last->nobits())) p.filesz = 0;
    if (p.filesz > p.memsz) p.filesz = p.memsz;
    return p;
  };
  bool has_ehdr = link.ehdr && link.ehdr->alloc();
  if (has_ehdr) {
    Phdr p{};
    p.type = PT_PHDR;
    p.flags = PF_R;
    p.offset = sizeof(Ehdr);
    p.vaddr = p.paddr = link.ehdr->addr + sizeof(Ehdr);
    p.filesz = p.memsz = link.ehdr->size - sizeof(Ehdr);
    p.align = 8;
    out.push_back(p);
  }
  if (link.interp) out.push_back(cover(PT_INTERP, PF_R, 1, link.interp, link.interp));
  for (size_t i = 0; i < alloc.size();) {
    if (is_tbss(*alloc[i])) {
      i++;
      continue;
    }
    size_t j = i, last = i;
    uint32_t flags = segment_flags(link, *alloc[i]);
    uint64_t align = page;
    while (j + 1 < alloc.size() && (is_tbss(*alloc[j + 1]) || same_segment(link, *alloc[last], *alloc[j + 1])) &&
           !alloc[j + 1]->starts_segment) {
      j++;
      if (!is_tbss(*alloc[j])) {
        last = j;
        flags |= segment_flags(link, *alloc[j]);
      }
    }
    for (size_t k = i; k <= j; k++)
      if (!is_tbss(*alloc[k])) align = std::max(align, alloc[k]->align);
    // Where all is empty, there is nothing to load.
    bool empty = true;
    for (size_t k = i; k <= last; k++) empty &= !alloc[k]->size && alloc[k] != link.ehdr;
    if (!empty) out.push_back(cover(PT_LOAD, flags, align, alloc[i], alloc[last]));
    i = j + 1;
  }
  OutputSection *tls_first = nullptr, *tls_last = nullptr;
  uint64_t tls_align = 1;
  for (OutputSection* s : alloc)
    if (s->flags & SHF_TLS) {
      if (!tls_first) tls_first = s;
      tls_last = s;
      tls_align = std::max(tls_align, s->align);
    }
  if (tls_first) {
    Phdr p = cover(PT_TLS, PF_R, tls_align, tls_first, tls_last);
    p.filesz = 0;
    for (OutputSection* s : alloc)
      if ((s->flags & SHF_TLS) && !s->nobits()) p.filesz = s->addr + s->size - tls_first->addr;
    out.push_back(p);
  }
  if (link.dynamic) out.push_back(cover(PT_DYNAMIC, segment_flags(link, *link.dynamic), 8, link.dynamic, link.dynamic));
  for (size_t i = 0; i < alloc.size();) {
    if (alloc[i]->type != SHT_NOTE) {
      i++;
      continue;
    }
    size_t j = i;
    while (j + 1 < alloc.size() && alloc[j + 1]->type == SHT_NOTE && alloc[j + 1]->align == alloc[i]->align &&
           segment_flags(link, *alloc[j + 1]) == segment_flags(link, *alloc[i]))
      j++;
    out.push_back(cover(PT_NOTE, segment_flags(link, *alloc[i]), alloc[i]->align, alloc[i], alloc[j]));
    i = j + 1;
  }
  if (link.property && link.property->index)
    out.push_back(cover(PT_GNU_PROPERTY, PF_R, 8, link.property, link.property));
  if (link.eh_frame_hdr && link.eh_frame_hdr->index)
    out.push_back(cover(PT_GNU_EH_FRAME, PF_R, 4, link.eh_frame_hdr, link.eh_frame_hdr));
  // One range can be protected: the longest run of such sections that lies in one segment. It reaches to the end of its
  // last page, by the size that pages have at least; the next segment starts on another page.
  OutputSection *relro_first = nullptr, *relro_last = nullptr;
  for (size_t i = 0; i < alloc.size(); i++) {
    if (!is_relro(link, *alloc[i]) || is_tbss(*alloc[i])) continue;
    size_t last = i;
    for (size_t k = i + 1; k < alloc.size() && is_relro(link, *alloc[k]) && !alloc[k]->starts_segment; k++)
      if (!is_tbss(*alloc[k])) last = k;  // .tbss occupies no memory here; its address may be in the segment before
    if (!relro_first || alloc[last]->addr + alloc[last]->size - alloc[i]->addr >
                            relro_last->addr + relro_last->size - relro_first->addr) {
      relro_first = alloc[i];
      relro_last = alloc[last];
    }
    i = last;
  }
  if (relro_first) {
    Phdr p = cover(PT_GNU_RELRO, PF_R, 1, relro_first, relro_last);
    p.memsz = align_up(p.vaddr + p.memsz, link.machine->page_size) - p.vaddr;
    out.push_back(p);
  }
  bool exec_stack = link.opt.execstack;
  if (link.opt.execstack_if_needed)
    for (ObjectFile* f : link.objects) exec_stack |= f->exec_stack;
  Phdr stack{};
  stack.type = PT_GNU_STACK;
  stack.flags = PF_R | PF_W | (exec_stack ? PF_X : 0u);
  stack.memsz = link.opt.stack_size;
  stack.align = 1;
  out.push_back(stack);
  if (!link.opt.gnu_stack) out.pop_back();
  for (uint32_t i = 0; i < link.opt.spare_program_headers; i++) out.push_back(Phdr{});
  if (link.opt.physical_image_base_given && link.ehdr)
    for (Phdr& p : out)
      if (p.type != PT_GNU_STACK && p.type != PT_NULL)
        p.paddr = p.vaddr - link.ehdr->addr + link.opt.physical_image_base;
}

uint32_t add_section_name(Link& link, const std::string& name) {
  if (name.empty()) return 0;
  uint32_t at = uint32_t(link.shstrtab_data.size());
  link.shstrtab_data += name;
  link.shstrtab_data += '\0';
  return at;
}

}  // namespace

bool layout(Link& link) {
  auto nothing = [](Link&, OutputSection&, uint8_t*) {};
  if (!link.ehdr) {
    link.ehdr = make_section(link, "", SHT_PROGBITS, SHF_ALLOC, 8, nothing);
    link.shstrtab = make_section(link, ".shstrtab", SHT_STRTAB, 0, 1, nothing);
  }
  // Which sections are output, in which order.
  link.order.clear();
  for (auto& s : link.sections) {
    s->index = 0;
    bool needed =
        s->size != 0 || s.get() == link.ehdr || s.get() == link.shstrtab || s.get() == link.dynamic || s->keep;
    if (s.get() == link.gotplt && link.is_static_output && !s->size) needed = false;
    s->rank = rank_of(link, *s);
    s->gone = !needed;
    if (needed) link.order.push_back(s.get());
  }
  if (!link.opt.z_sectionheader) std::erase(link.order, link.shstrtab);
  // Notes of equal rank go by name, so that the linker's own, whatever they are, stand where the next link has them
  // too.
  std::stable_sort(link.order.begin(), link.order.end(), [](OutputSection* a, OutputSection* b) {
    if (a->rank != b->rank) return a->rank < b->rank;
    if (a->type == SHT_NOTE && b->type == SHT_NOTE && a->alloc() && a->name != b->name) return a->name < b->name;
    return a->first_seen < b->first_seen;
  });
  // Sections with an address of their own, other than the usual ones, follow the rest in the order of their addresses.
  auto placed = [&](OutputSection* s) {
    auto it = link.opt.section_start.find(s->name);
    return it != link.opt.section_start.end() && s->alloc() && s->name != ".text" && s->name != ".data" &&
                   s->name != ".bss"
               ? it->second
               : uint64_t{0};
  };
  if (!link.opt.section_start.empty())
    std::stable_sort(link.order.begin(), link.order.end(), [&](OutputSection* a, OutputSection* b) {
      if (a->alloc() != b->alloc()) return a->alloc();
      return placed(a) < placed(b);
    });
  uint32_t index = 0;
  link.shstrtab_data.assign(1, '\0');
  for (OutputSection* s : link.order) {
    if (s == link.ehdr) continue;
    s->index = ++index;
    s->name_offset = add_section_name(link, s->name);
  }
  link.shstrtab->size = link.shstrtab_data.size();

  for (OutputSection* s : link.order) s->starts_segment = s->alloc() && link.opt.section_start.count(s->name);
  make_phdrs(link);
  link.ehdr->size = sizeof(Ehdr) + link.phdrs.size() * sizeof(Phdr);

  // The TLS image starts at its largest alignment, so that offsets from the thread pointer are known here.
  {
    uint64_t tls_align = 1;
    OutputSection* first = nullptr;
    for (OutputSection* s : link.order)
      if (s->alloc() && (s->flags & SHF_TLS)) {
        if (!first) first = s;
        tls_align = std::max(tls_align, s->align);
      }
    if (first) first->align = tls_align;
  }

  // Addresses and offsets.
  uint64_t page = segment_page(link);
  uint64_t base = link.pic ? 0 : link.machine->default_base;
  if (link.opt.image_base_given) base = link.opt.image_base;
  if (!link.pic && !link.opt.image_base_given && base < page) base = page;
  uint64_t addr = base, off = 0, tbss = 0;
  OutputSection* previous = nullptr;
  for (size_t i = 0; i < link.order.size(); i++) {
    OutputSection* s = link.order[i];
    if (!s->alloc()) {
      off = align_up(off, s->align);
      s->offset = off;
      s->addr = 0;
      if (!s->nobits()) off += s->size;
      continue;
    }
    if (is_tbss(*s)) {
      if (!tbss) tbss = addr;
      // Its segment may be the next one, but its address continues the TLS image.
      tbss = align_up(tbss, s->align);
      s->addr = tbss;
      s->offset = off + ((tbss - off) & (s->align - 1));  // nothing is there, but PT_TLS has to be congruent
      tbss += s->size;
      continue;
    }
    bool fresh = previous && !same_segment(link, *previous, *s);
    auto start = link.opt.section_start.find(s->name);
    if (start != link.opt.section_start.end()) {
      addr = start->second;
      if (!s->nobits() && off % page != addr % page)
        off = (off % page < addr % page ? off / page * page : align_up(off, page)) + addr % page;
    } else if (fresh) {
      // Loaders want address and offset congruent modulo the segment's alignment, which is its sections' largest.
      uint64_t segment_align = std::max(page, s->align);
      for (size_t k = i + 1; k < link.order.size() && link.order[k]->alloc(); k++) {
        if (is_tbss(*link.order[k])) continue;
        if (!same_segment(link, *link.order[k - 1], *link.order[k])) break;
        segment_align = std::max(segment_align, link.order[k]->align);
      }
      if (own_pages_in_file(link, *previous, *s)) off = align_up(off, segment_align);
      addr = align_up(addr, segment_align) + off % segment_align;
    }
    // An address from the command line is taken as it is; but the TLS image keeps its alignment, which the thread
    // pointer rests on.
    bool exact = start != link.opt.section_start.end() && !(s->flags & SHF_TLS);
    uint64_t aligned = exact ? addr : align_up(addr, s->align);
    if (!s->nobits()) off += aligned - addr;
    // Of a segment that is zero-filled as a whole nothing is in the file; its offset has to be congruent to its address
    // all the same.
    s->offset = s->nobits() ? off + (aligned - addr) : off;
    addr = aligned;
    s->addr = addr;
    addr += s->size;
    if (!s->nobits()) off += s->size;
    if (addr < s->addr || addr > (uint64_t{1} << 47)) {
      link.diag.error("the output does not fit in the address space");
      return false;
    }
    previous = s;
  }
  // An empty section that is not output has a place all the same: relocations may speak of it.
  for (auto& s : link.sections) {
    if (!s->gone || !s->alloc() || s->atoms.empty()) continue;
    const OutputSection* before = nullptr;
    for (const OutputSection* o : link.order)
      if (o->alloc() && o->rank <= s->rank) before = o;
    s->addr = before ? before->addr + before->size : base;
  }
  uint64_t tls_align = 1;
  link.has_tls = false;
  for (OutputSection* s : link.order)
    if (s->alloc() && (s->flags & SHF_TLS)) {
      if (!link.has_tls) link.tls_begin = s->addr;
      link.has_tls = true;
      link.tls_end = std::max(link.tls_end, s->addr + s->size);
      tls_align = std::max(tls_align, s->align);
    }
  link.tp = link.machine->tls_below_tp ? align_up(link.tls_end, tls_align) : link.tls_begin;
  make_phdrs(link);
  link.file_size = align_up(off, 8);
  if (link.opt.z_sectionheader) {
    link.shoff = link.file_size;
    link.file_size += (uint64_t(index) + 1) * sizeof(Shdr);
  }
  tbb::parallel_for(size_t(0), link.sections.size(), [&](size_t i) {
    OutputSection& s = *link.sections[i];
    for (uint32_t a : s.atoms) link.atom_address[a] = s.addr + link.atoms[a].offset;
  });
  for (auto& [atom, leader] : link.folded) link.atom_address[atom] = link.atom_address[leader];
  place_asm_stand_ins(link);
  return !link.diag.has_errors();
}

// What addresses from the command line may do: let sections overlap; and what -n, -N and objects may: make code
// writable.
void check_layout(Link& link) {
  if (link.opt.check_sections && !link.opt.section_start.empty()) {
    std::vector<const OutputSection*> sections;
    for (const OutputSection* s : link.order)
      if (s->alloc() && s->size && !is_tbss(*s)) sections.push_back(s);
    std::stable_sort(sections.begin(), sections.end(), [](auto* a, auto* b) { return a->addr < b->addr; });
    auto describe = [](const OutputSection& s) {
      char range[64];
      std::snprintf(range, sizeof range, " [0x%llx, 0x%llx)", static_cast<unsigned long long>(s.addr),
                    static_cast<unsigned long long>(s.addr + s.size));
      return (s.name.empty() ? std::string("the ELF header") : "section " + s.name) + range;
    };
    for (size_t i = 1; i < sections.size(); i++)
      if (sections[i]->addr < sections[i - 1]->addr + sections[i - 1]->size)
        link.diag.error(describe(*sections[i]) + " overlaps " + describe(*sections[i - 1]) +
                        " (--no-check-sections allows that)");
  }
  if (link.opt.warn_rwx_segments)
    for (const Phdr& p : link.phdrs)
      if (p.type == PT_LOAD && (p.flags & (PF_W | PF_X)) == (PF_W | PF_X))
        link.diag.warning(link.opt.output + " has a LOAD segment with RWX permissions");
}

void assign_symbol_addresses(Link& link) {
  set_linker_symbols(link);
  refresh_assignments(link, true);
  tbb::parallel_for(size_t(0), link.symbols.size(), [&](size_t i) {
    Symbol& s = link.symbols[i];
    if (s.imported && !(s.flags & in_copied)) {
      s.address = s.flags & needs_canonical_plt ? plt_address(link, s) : 0;
      // preemptible: its own address, for .dynsym and .symtab
      if (link.shared && s.defined() && link.files[s.file]->is_object()) s.address = symbol_address(link, s);
      return;
    }
    if (s.type == STT_GNU_IFUNC && s.defined() && (s.flags & needs_plt) && !(s.flags & in_copied)) {
      s.address = plt_address(link, s);
      return;
    }
    s.address = symbol_address(link, s);
  });
}

}  // namespace lode::link::elf
