// Layout: a plan is made and run (plan.h), which gives the output sections their addresses and file offsets; then the
// program headers, the thread pointer, and the addresses of all atoms follow.
//
// Requires: the sizes of all output sections. It may run again when sizes have changed.

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/code/asm_sections.h"
#include "link/elf/machines/machine.h"
#include "link/elf/output/plan.h"
#include "link/elf/relocations/referent.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

uint32_t add_section_name(Link& link, const std::string& name) {
  if (name.empty()) return 0;
  uint32_t at = uint32_t(link.shstrtab_data.size());
  link.shstrtab_data += name;
  link.shstrtab_data += '\0';
  return at;
}

// Which sections are output, in which order, and what the section header table says of them.
void order_sections(Link& link) {
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
}

uint32_t header_count(const Link& link) {
  uint32_t n = 0;
  for (const OutputSection* s : link.order) n = std::max(n, s->index);
  return n + 1;
}

// The TLS image starts at its largest alignment, so that offsets from the thread pointer are known here.
void align_tls_image(Link& link) {
  uint64_t align = 1;
  OutputSection* first = nullptr;
  for (OutputSection* s : link.order)
    if (s->alloc() && (s->flags & SHF_TLS)) {
      if (!first) first = s;
      align = std::max(align, s->align);
    }
  if (first) first->align = align;
}

// The plan's machine: the location counter, and the place in the file.
class PlanRunner {
 public:
  PlanRunner(Link& link, const LayoutPlan& plan) : link_(link), plan_(plan), addr_(plan.base) {}

  // False: reported.
  bool run() {
    for (const PlanRecord& r : plan_.records) {
      switch (r.kind) {
        case PlanRecord::Kind::region: region(r); break;
        case PlanRecord::Kind::section:
          if (!section(*link_.sections[r.section], r.exact)) return false;
          break;
        case PlanRecord::Kind::assignment: assignment(r); break;
      }
    }
    link_.file_size = align_up(off_, 8);
    return true;
  }

 private:
  void region(const PlanRecord& r) {
    if (!r.given) {
      if (r.own_pages) off_ = align_up(off_, r.align);
      addr_ = align_up(addr_, r.align) + off_ % r.align;
      return;
    }
    addr_ = r.address;
    const uint64_t page = plan_.page;
    if (r.in_file && off_ % page != addr_ % page)
      off_ = (off_ % page < addr_ % page ? off_ / page * page : align_up(off_, page)) + addr_ % page;
  }

  bool section(OutputSection& s, bool exact) {
    if (!s.alloc()) {
      off_ = align_up(off_, s.align);
      s.offset = off_;
      s.addr = 0;
      if (!s.nobits()) off_ += s.size + s.room;
      return true;
    }
    if (is_tbss(s)) {
      if (!tbss_) tbss_ = addr_;
      // Its segment may be the next one, but its address continues the TLS image.
      tbss_ = align_up(tbss_, s.align);
      s.addr = tbss_;
      s.offset = off_ + ((tbss_ - off_) & (s.align - 1));  // nothing is there, but PT_TLS has to be congruent
      tbss_ += s.size;
      return true;
    }
    const uint64_t aligned = exact ? addr_ : align_up(addr_, s.align);
    if (!s.nobits()) off_ += aligned - addr_;
    // Of a segment that is zero-filled as a whole nothing is in the file; its offset has to be congruent to its address
    // all the same.
    s.offset = s.nobits() ? off_ + (aligned - addr_) : off_;
    s.addr = aligned;
    addr_ = aligned + s.size + s.room;
    if (!s.nobits()) off_ += s.size + s.room;
    if (addr_ >= s.addr && addr_ <= (uint64_t{1} << 47)) return true;
    link_.diag.error("the output does not fit in the address space");
    return false;
  }

  void assignment(const PlanRecord& r) {
    const OutputSection* s = r.section == none ? nullptr : link_.sections[r.section].get();
    link_.symbols[r.symbol].value = !s ? 0 : s->addr + (r.edge == PlanRecord::Edge::end ? s->size : 0);
  }

  Link& link_;
  const LayoutPlan& plan_;
  uint64_t addr_, off_ = 0, tbss_ = 0;
};

// An empty section that is not output has a place all the same: relocations may speak of it.
void place_what_is_gone(Link& link, uint64_t base) {
  for (auto& s : link.sections) {
    if (!s->gone || !s->alloc() || s->atoms.empty()) continue;
    const OutputSection* before = nullptr;
    for (const OutputSection* o : link.order)
      if (o->alloc() && o->rank <= s->rank) before = o;
    s->addr = before ? before->addr + before->size : base;
  }
}

void find_thread_pointer(Link& link) {
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
}

}  // namespace

bool layout(Link& link) {
  auto nothing = [](Link&, OutputSection&, uint8_t*) {};
  if (!link.ehdr) {
    link.ehdr = make_section(link, "", SHT_PROGBITS, SHF_ALLOC, 8, nothing);
    link.shstrtab = make_section(link, ".shstrtab", SHT_STRTAB, 0, 1, nothing);
  }
  order_sections(link);
  for (OutputSection* s : link.order) s->starts_segment = s->alloc() && link.opt.section_start.count(s->name);
  make_program_headers(link);
  link.ehdr->size = sizeof(Ehdr) + link.phdrs.size() * sizeof(Phdr);
  align_tls_image(link);

  const LayoutPlan plan = default_plan(link);
  if (!PlanRunner(link, plan).run()) return false;
  place_what_is_gone(link, plan.base);
  find_thread_pointer(link);
  make_program_headers(link);
  if (link.opt.z_sectionheader) {
    link.shoff = link.file_size;
    link.file_size += uint64_t(header_count(link)) * sizeof(Shdr);
  }
  parallel_for(size_t(0), link.sections.size(), [&](size_t i) {
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
  parallel_for(size_t(0), link.symbols.size(), [&](size_t i) {
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
