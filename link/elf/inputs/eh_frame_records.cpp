// .eh_frame, cut into its records when an object is read (LSB core part 10.6; DWARF 5 section 6.4.1).
//
// A record is a CIE or an FDE; an FDE belongs to the section that the relocation of its start refers to, and lives with
// it. So that this can be told without looking at bytes again, records know their relocations by index; these are
// sorted by offset first, where an assembler has not done that. What cannot be cut is an error: nobody can tell which
// code such bytes describe.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/inputs/contents.h"

namespace lode::link::elf {

namespace {

class RecordReader {
 public:
  RecordReader(Bytes file, const std::function<uint32_t(uint32_t)>& section_of, ObjectContents& c,
               std::vector<ReadProblem>& problems, uint32_t section)
      : file_(file), section_of_(section_of), c_(c), problems_(problems), section_(section), s_(c.sections[section]) {}

  void run() {
    sort_relocations();
    const uint8_t* data = s_.body == BodyPlace::zero ? nullptr : bytes_at(s_.body, s_.offset);
    const size_t first_cie = c_.cies.size();
    for (uint64_t at = 0; at + 4 <= s_.size;) {
      const uint32_t length = load_le<uint32_t>(data + at);
      if (length == 0) {  // a terminator; some objects go on after it
        at += 4;
        continue;
      }
      if (length == 0xffffffff || length < 4 || length > s_.size - at - 4) return fail("malformed record");
      const uint64_t end = at + 4 + length;
      for (; next_ < s_.reloc_count && offset_of(next_) < at; next_++)
        if (relocs_[next_].type != 0) return fail("a relocation lies outside of the records");
      const uint32_t begin = next_;
      while (next_ < s_.reloc_count && offset_of(next_) < end) next_++;
      const uint32_t cie_pointer = load_le<uint32_t>(data + at + 4);
      if (cie_pointer == 0) c_.cies.push_back({section_, uint32_t(at), uint32_t(end - at), begin, next_});
      else if (!add_fde(at, end, begin, first_cie, at + 4 - cie_pointer)) return fail("an FDE refers to no CIE");
      at = end;
    }
  }

 private:
  void fail(const char* message) { problems_.push_back({section_, message}); }
  const uint8_t* bytes_at(uint32_t body, uint64_t offset) const {
    return (body == 0 ? file_.data() : c_.buffers[body - 1]->data()) + offset;
  }
  uint64_t offset_of(uint32_t reloc) const { return relocs_[reloc].offset; }

  void sort_relocations() {
    if (!s_.reloc_count) return;
    relocs_ = reinterpret_cast<const Rela*>(bytes_at(s_.relocs_body, s_.relocs_offset));
    auto earlier = [](const Rela& x, const Rela& y) { return uint64_t(x.offset) < uint64_t(y.offset); };
    if (std::is_sorted(relocs_, relocs_ + s_.reloc_count, earlier)) return;
    std::vector<uint8_t> copy(s_.reloc_count * sizeof(Rela));
    std::memcpy(copy.data(), relocs_, copy.size());
    auto* r = reinterpret_cast<Rela*>(copy.data());
    std::stable_sort(r, r + s_.reloc_count, earlier);
    c_.buffers.push_back(std::make_shared<const std::vector<uint8_t>>(std::move(copy)));
    s_.relocs_body = uint32_t(c_.buffers.size());
    s_.relocs_offset = 0;
    relocs_ = reinterpret_cast<const Rela*>(bytes_at(s_.relocs_body, 0));
  }

  bool add_fde(uint64_t at, uint64_t end, uint32_t begin, size_t first_cie, uint64_t cie_at) {
    const auto found = std::lower_bound(c_.cies.begin() + ptrdiff_t(first_cie), c_.cies.end(), cie_at,
                                        [](const CieContents& c, uint64_t at) { return c.offset < at; });
    if (found == c_.cies.end() || found->offset != cie_at) return false;
    // Without a relocation for its start an FDE describes nothing (a discarded function, or padding by ld -r).
    if (begin >= next_ || offset_of(begin) != at + 8) return true;
    const uint32_t described = section_of_(relocs_[begin].sym);
    if (described)
      c_.fdes.push_back({section_, uint32_t(at), uint32_t(end - at), begin, next_, uint32_t(found - c_.cies.begin()),
                         described});
    return true;
  }

  const Bytes file_;
  const std::function<uint32_t(uint32_t)>& section_of_;  // that a symbol is in; 0: none of the file's
  ObjectContents& c_;
  std::vector<ReadProblem>& problems_;
  const uint32_t section_;
  SectionContents& s_;
  const Rela* relocs_ = nullptr;
  uint32_t next_ = 0;
};

}  // namespace

void read_frame_records(const ElfView& view, ObjectContents& contents, std::vector<ReadProblem>& problems) {
  read_frame_records(view.file, contents, problems, [&](uint32_t sym) -> uint32_t {
    if (sym >= view.symbols.size()) return 0;
    const uint16_t n = view.symbols[sym].shndx;
    const uint32_t section = n == SHN_XINDEX ? view.symbol_section(sym) : n >= SHN_LORESERVE ? 0 : n;
    return section < view.sections.size() ? section : 0;
  });
}

void read_frame_records(Bytes file, ObjectContents& contents, std::vector<ReadProblem>& problems,
                        const std::function<uint32_t(uint32_t symbol)>& section_of) {
  for (uint32_t i = 1; i < contents.sections.size(); i++)
    if (contents.sections[i].kind == AtomKind::eh_frame) RecordReader(file, section_of, contents, problems, i).run();
  auto& fdes = contents.fdes;
  std::stable_sort(fdes.begin(), fdes.end(),
                   [](const FdeContents& x, const FdeContents& y) { return x.described < y.described; });
  for (uint32_t i = 0; i < fdes.size(); i++) {
    SectionContents& s = contents.sections[fdes[i].described];
    if (s.fde_count++ == 0) s.fde_begin = i;
  }
}

}  // namespace lode::link::elf
