// Program headers: the segments, from the addresses of the sections (gABI chapter 5, "Program Header"; the GNU and the
// psABI's types by their conventions).
//
// The order is that of other linkers, because loaders and tools have come to expect it: PT_PHDR and PT_INTERP first, as
// the gABI demands, then PT_LOAD by address, then what lies inside of those.
#include <algorithm>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/output/plan.h"

namespace lode::link::elf {

namespace {

class HeaderMaker {
 public:
  explicit HeaderMaker(Link& link) : link_(link), out_(link.phdrs) {
    for (OutputSection* s : link.order)
      if (s->alloc()) alloc_.push_back(s);
  }

  void run() {
    out_.clear();
    header_table();
    if (link_.interp) cover(PT_INTERP, PF_R, 1, link_.interp, link_.interp);
    loaded();
    thread_local_image();
    if (link_.dynamic) cover(PT_DYNAMIC, segment_flags(link_, *link_.dynamic), 8, link_.dynamic, link_.dynamic);
    notes();
    if (link_.property && link_.property->index) cover(PT_GNU_PROPERTY, PF_R, 8, link_.property, link_.property);
    attributes();
    if (link_.eh_frame_hdr && link_.eh_frame_hdr->index)
      cover(PT_GNU_EH_FRAME, PF_R, 4, link_.eh_frame_hdr, link_.eh_frame_hdr);
    read_only_after_relocation();
    stack();
    for (uint32_t i = 0; i < link_.opt.spare_program_headers; i++) out_.push_back(Phdr{});
    if (link_.opt.physical_image_base_given && link_.ehdr)
      for (Phdr& p : out_)
        if (p.type != PT_GNU_STACK && p.type != PT_NULL)
          p.paddr = p.vaddr - link_.ehdr->addr + link_.opt.physical_image_base;
  }

 private:
  // The header of a segment from the first section to the last.
  Phdr& cover(uint32_t type, uint32_t flags, uint64_t align, const OutputSection* first, const OutputSection* last) {
    Phdr p{};
    p.type = type;
    p.flags = flags;
    p.offset = first->offset;
    p.vaddr = p.paddr = first->addr;
    p.align = std::max(align, uint64_t{1});
    p.memsz = last->addr + last->size - first->addr;
    const OutputSection* file_end = nullptr;
    for (const OutputSection* s : alloc_)
      if (s->addr >= first->addr && s->addr <= last->addr && !s->nobits() && s->offset >= first->offset) file_end = s;
    p.filesz = file_end && file_end->offset + file_end->size >= first->offset
                   ? file_end->offset + file_end->size - first->offset
                   : 0;
    if (first->nobits() && !(type == PT_TLS && !last->nobits())) p.filesz = 0;
    if (p.filesz > p.memsz) p.filesz = p.memsz;
    out_.push_back(p);
    return out_.back();
  }

  void header_table() {
    if (!link_.ehdr || !link_.ehdr->alloc()) return;
    Phdr p{};
    p.type = PT_PHDR;
    p.flags = PF_R;
    p.offset = sizeof(Ehdr);
    p.vaddr = p.paddr = link_.ehdr->addr + sizeof(Ehdr);
    p.filesz = p.memsz = link_.ehdr->size - sizeof(Ehdr);
    p.align = 8;
    out_.push_back(p);
  }

  void loaded() {
    for (size_t i = 0; i < alloc_.size();) {
      if (is_tbss(*alloc_[i])) {
        i++;
        continue;
      }
      size_t j = i, last = i;
      uint32_t flags = segment_flags(link_, *alloc_[i]);
      uint64_t align = segment_page(link_);
      while (j + 1 < alloc_.size() &&
             (is_tbss(*alloc_[j + 1]) || same_segment(link_, *alloc_[last], *alloc_[j + 1])) &&
             !alloc_[j + 1]->starts_segment) {
        j++;
        if (is_tbss(*alloc_[j])) continue;
        last = j;
        flags |= segment_flags(link_, *alloc_[j]);
      }
      for (size_t k = i; k <= j; k++)
        if (!is_tbss(*alloc_[k])) align = std::max(align, alloc_[k]->align);
      // Where all is empty, there is nothing to load.
      bool empty = true;
      for (size_t k = i; k <= last; k++) empty &= !alloc_[k]->size && alloc_[k] != link_.ehdr;
      if (!empty) cover(PT_LOAD, flags, align, alloc_[i], alloc_[last]);
      i = j + 1;
    }
  }

  void thread_local_image() {
    const OutputSection *first = nullptr, *last = nullptr;
    uint64_t align = 1;
    for (const OutputSection* s : alloc_)
      if (s->flags & SHF_TLS) {
        if (!first) first = s;
        last = s;
        align = std::max(align, s->align);
      }
    if (!first) return;
    Phdr& p = cover(PT_TLS, PF_R, align, first, last);
    p.filesz = 0;
    for (const OutputSection* s : alloc_)
      if ((s->flags & SHF_TLS) && !s->nobits()) p.filesz = s->addr + s->size - first->addr;
  }

  void notes() {
    for (size_t i = 0; i < alloc_.size();) {
      if (alloc_[i]->type != SHT_NOTE) {
        i++;
        continue;
      }
      size_t j = i;
      while (j + 1 < alloc_.size() && alloc_[j + 1]->type == SHT_NOTE && alloc_[j + 1]->align == alloc_[i]->align &&
             segment_flags(link_, *alloc_[j + 1]) == segment_flags(link_, *alloc_[i]))
        j++;
      cover(PT_NOTE, segment_flags(link_, *alloc_[i]), alloc_[i]->align, alloc_[i], alloc_[j]);
      i = j + 1;
    }
  }

  // What objects say of themselves is in the file only.
  void attributes() {
    if (!link_.machine->attributes_type) return;
    for (const OutputSection* s : link_.order) {
      if (s->type != link_.machine->attributes_type) continue;
      Phdr p{};
      p.type = link_.machine->attributes_segment;
      p.flags = PF_R;
      p.offset = s->offset;
      p.filesz = s->size;
      p.align = 1;
      out_.push_back(p);
    }
  }

  // One range can be protected: the longest run of such sections that lies in one segment. It reaches to the end of its
  // last page, by the size that pages have at least; the next segment starts on another page.
  void read_only_after_relocation() {
    const OutputSection *first = nullptr, *end = nullptr;
    for (size_t i = 0; i < alloc_.size(); i++) {
      if (!is_relro(link_, *alloc_[i]) || is_tbss(*alloc_[i])) continue;
      size_t last = i;
      for (size_t k = i + 1; k < alloc_.size() && is_relro(link_, *alloc_[k]) && !alloc_[k]->starts_segment; k++)
        if (!is_tbss(*alloc_[k])) last = k;  // .tbss occupies no memory here; its address may be in the segment before
      if (!first || alloc_[last]->addr + alloc_[last]->size - alloc_[i]->addr > end->addr + end->size - first->addr) {
        first = alloc_[i];
        end = alloc_[last];
      }
      i = last;
    }
    if (!first) return;
    Phdr& p = cover(PT_GNU_RELRO, PF_R, 1, first, end);
    p.memsz = align_up(p.vaddr + p.memsz, link_.machine->page_size) - p.vaddr;
  }

  void stack() {
    if (!link_.opt.gnu_stack) return;
    bool executable = link_.opt.execstack;
    if (link_.opt.execstack_if_needed)
      for (const ObjectFile* f : link_.objects) executable |= f->exec_stack;
    Phdr p{};
    p.type = PT_GNU_STACK;
    p.flags = PF_R | PF_W | (executable ? PF_X : 0u);
    p.memsz = link_.opt.stack_size;
    p.align = 1;
    out_.push_back(p);
  }

  Link& link_;
  std::vector<Phdr>& out_;
  std::vector<OutputSection*> alloc_;
};

}  // namespace

void make_program_headers(Link& link) { HeaderMaker(link).run(); }

}  // namespace lode::link::elf
