// The default plan: the order of the output sections by a table of ranks, new segments where permissions change.
//
// Order: header, notes, what the dynamic linker reads, read-only data, code, then writable data: first what becomes
// read-only after relocation (RELRO), then the rest, zero-filled sections last; sections without an address follow. A
// new segment starts where permissions change; in memory it starts on a new page, in the file it goes on at once, its
// address congruent to its offset, so that the file has no holes.
#include <algorithm>

#include "link/elf/machines/machine.h"
#include "link/elf/output/plan.h"

namespace lode::link::elf {

bool is_relro(Link& link, const OutputSection& s) {
  if (!link.opt.relro || !(s.flags & SHF_WRITE) || !s.alloc()) return false;
  if (s.relro || (s.flags & SHF_TLS)) return true;
  switch (s.type) {
    case SHT_INIT_ARRAY: case SHT_FINI_ARRAY: case SHT_PREINIT_ARRAY: case SHT_DYNAMIC: return true;
    default: break;
  }
  if (&s == link.got) return true;
  // Where a relink may add to the PLT, its slots have to be filled lazily as well.
  if (&s == link.gotplt)
    return link.opt.now || (link.plt_symbols.empty() && !link.patchable) || link.is_static_output;
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
  if (link.machine->global_pointer && s.name == ".sdata") return 312;  // next to each other, in reach of one register
  if (link.machine->global_pointer && s.name == ".sbss") return 399;
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

// -n and -N: no part of the image begins on a page because of its permissions. What shares a page has to share its
// permissions, too, or the program could not be loaded; so there is one segment, writable and executable.
uint64_t segment_page(const Link& link) { return link.opt.nmagic || link.opt.omagic ? 1 : link.opt.max_page_size; }

namespace {

// -z separate-code: a page of the file that is mapped as code holds nothing else. -z separate-loadable-segments: for
// all segments.
bool own_pages_in_file(const Link& link, const OutputSection& before, const OutputSection& s) {
  if (link.opt.separate_code == SeparateCode::all) return true;
  return link.opt.separate_code == SeparateCode::code && ((before.flags ^ s.flags) & SHF_EXECINSTR);
}

// Loaders want address and offset congruent modulo the segment's alignment, which is its sections' largest.
uint64_t segment_alignment(Link& link, size_t first) {
  uint64_t align = std::max(segment_page(link), link.order[first]->align);
  for (size_t k = first + 1; k < link.order.size() && link.order[k]->alloc(); k++) {
    if (is_tbss(*link.order[k])) continue;
    if (!same_segment(link, *link.order[k - 1], *link.order[k])) break;
    align = std::max(align, link.order[k]->align);
  }
  return align;
}

uint64_t image_base(const Link& link) {
  if (link.opt.image_base_given) return link.opt.image_base;
  return link.pic ? 0 : std::max(link.machine->default_base, segment_page(link));
}

void plan_sections(Link& link, LayoutPlan& plan) {
  using Kind = PlanRecord::Kind;
  const OutputSection* previous = nullptr;
  for (size_t i = 0; i < link.order.size(); i++) {
    const OutputSection& s = *link.order[i];
    PlanRecord place{Kind::section};
    place.section = s.id;
    if (s.alloc() && !is_tbss(s)) {
      PlanRecord region{Kind::region};
      region.in_file = !s.nobits();
      if (auto start = link.opt.section_start.find(s.name); start != link.opt.section_start.end()) {
        region.given = true;
        region.address = start->second;
        plan.records.push_back(region);
        // An address from the command line is taken as it is; but the TLS image keeps its alignment, which the thread
        // pointer rests on.
        place.exact = !(s.flags & SHF_TLS);
      } else if (previous && !same_segment(link, *previous, s)) {
        region.align = segment_alignment(link, i);
        region.own_pages = own_pages_in_file(link, *previous, s);
        plan.records.push_back(region);
      }
      previous = &s;
    }
    plan.records.push_back(place);
  }
}

// Symbols that stand for the edge of a section, or of a kind of sections, by convention (GNU ld's default script).
struct EdgeSections {
  const OutputSection *text = nullptr, *data = nullptr, *image = nullptr;  // the last ones
  const OutputSection* bss = nullptr;                                      // the first one
};
EdgeSections edge_sections(const Link& link) {
  EdgeSections e;
  for (const OutputSection* s : link.order) {
    if (!s->alloc() || is_tbss(*s)) continue;
    if (s->flags & SHF_EXECINSTR) e.text = s;
    if (!s->nobits()) e.data = s;
    if (s->nobits() && !e.bss && !s->relro) e.bss = s;
    e.image = s;
  }
  return e;
}

void plan_symbols(Link& link, LayoutPlan& plan) {
  using Edge = PlanRecord::Edge;
  const EdgeSections e = edge_sections(link);
  auto assign = [&](const char* name, const OutputSection* s, Edge edge) {
    const uint32_t id = link.names.find(name);
    if (id == none || !link.symbols[id].linker_defined) return;
    PlanRecord r{PlanRecord::Kind::assignment};
    r.symbol = id;
    r.section = s ? s->id : none;
    r.edge = edge;
    plan.records.push_back(r);
  };
  for (const char* n : {"__ehdr_start", "__executable_start", "__dso_handle"}) assign(n, link.ehdr, Edge::start);
  for (const char* n : {"_etext", "etext", "__etext"}) assign(n, e.text, Edge::end);
  for (const char* n : {"_edata", "edata"}) assign(n, e.data, Edge::end);
  for (const char* n : {"_end", "end", "__end__"}) assign(n, e.image, Edge::end);
  assign("__bss_start", e.bss ? e.bss : e.data, e.bss ? Edge::start : Edge::end);
  static constexpr const char* tables[][3] = {{".init_array", "__init_array_start", "__init_array_end"},
                                              {".fini_array", "__fini_array_start", "__fini_array_end"},
                                              {".preinit_array", "__preinit_array_start", "__preinit_array_end"}};
  for (auto& [section, start, end] : tables) {
    const OutputSection* s = nullptr;
    for (const OutputSection* o : link.order)
      if (!s && o->alloc() && o->index && o->name == section) s = o;
    assign(start, s ? s : link.ehdr, Edge::start);
    assign(end, s ? s : link.ehdr, s ? Edge::end : Edge::start);
  }
}

}  // namespace

LayoutPlan default_plan(Link& link) {
  LayoutPlan plan;
  plan.base = image_base(link);
  plan.page = segment_page(link);
  plan_sections(link, plan);
  plan_symbols(link, plan);
  return plan;
}

}  // namespace lode::link::elf
