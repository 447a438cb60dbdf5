// See finished_image.h. Unwind records: LSB Core "Exception Frames", DWARF 5 section 6.4; versions: LSB "Symbol
// Versioning".
#include "link/elf/relink/finished_image.h"

#include <algorithm>

#include "base/bytes.h"

namespace lode::link::elf {

namespace {

Error damaged(const char* what) { return Error{std::string("the output's ") + what + " is damaged"}; }

// Numbers of variable length; false: they do not end.
bool read_uleb(const uint8_t*& p, const uint8_t* end, uint64_t& out) {
  out = 0;
  for (unsigned shift = 0; p < end; shift += 7) {
    const uint8_t b = *p++;
    if (shift < 64) out |= uint64_t(b & 0x7f) << shift;
    if (!(b & 0x80)) return true;
  }
  return false;
}

std::string_view text_of(const uint8_t* begin, const uint8_t* end) {
  return {reinterpret_cast<const char*>(begin), size_t(end - begin)};
}

}  // namespace

const Shdr* FinishedImage::section(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &view.sections[it->second];
}

const Shdr* FinishedImage::section_at(uint64_t address) const {
  auto it = std::upper_bound(loaded_sections_.begin(), loaded_sections_.end(), address,
                             [](uint64_t a, const auto& s) { return a < s.first; });
  while (it != loaded_sections_.begin()) {
    const Shdr& s = view.sections[(--it)->second];
    if (address - s.addr < s.size) return &s;
    if (s.size) break;
  }
  return nullptr;
}

const uint8_t* FinishedImage::loaded(uint64_t address, uint64_t size) const {
  const Shdr* s = section_at(address);
  if (!s || s->type == SHT_NOBITS || size > s->size - (address - s->addr)) return nullptr;
  return view.file.data() + s->offset + (address - s->addr);
}

std::pair<const uint32_t*, const uint32_t*> FinishedImage::relocations_of(uint64_t place) const {
  const auto less = [&](uint32_t i, uint64_t v) { return relocations[i].place < v; };
  const auto first = std::lower_bound(by_place_.begin(), by_place_.end(), place, less);
  auto last = first;
  while (last != by_place_.end() && relocations[*last].place == place) ++last;
  return {by_place_.data() + (first - by_place_.begin()), by_place_.data() + (last - by_place_.begin())};
}

std::string FinishedImage::dynamic_name(uint32_t index) const {
  if (index >= dynamic_symbols.size()) return "(symbol " + std::to_string(index) + ")";
  return std::string(dynamic_symbols[index].name) + dynamic_symbols[index].version;
}

std::string_view FinishedImage::dynamic_string(uint64_t offset) const {
  const Shdr* s = section(".dynstr");
  if (!s) return {};
  const Bytes data = view.section_data(*s);
  return offset < data.size() && !data.back() ? std::string_view(reinterpret_cast<const char*>(data.data()) + offset)
                                              : std::string_view();
}

Result<void> FinishedImage::open(Bytes file) {
  LODE_ASSIGN(view, ElfView::open(file));
  if (!view.header || view.header->phentsize != sizeof(Phdr) || view.header->phoff > file.size() ||
      uint64_t(view.header->phnum) * sizeof(Phdr) > file.size() - view.header->phoff)
    return damaged("header");
  segments.resize(view.header->phnum);
  if (!segments.empty()) std::memcpy(segments.data(), file.data() + view.header->phoff, segments.size() * sizeof(Phdr));
  for (uint32_t i = 1; i < view.sections.size(); i++) {
    const Shdr& s = view.sections[i];
    by_name_.emplace(name_of(s), i);
    if ((s.flags & SHF_ALLOC) && !((s.flags & SHF_TLS) && s.type == SHT_NOBITS))
      loaded_sections_.emplace_back(s.addr, i);
  }
  std::sort(loaded_sections_.begin(), loaded_sections_.end());
  LODE_TRY(read_tables());
  LODE_TRY(read_relocations(".rela.dyn", false));
  LODE_TRY(read_relocations(".rela.plt", true));
  by_place_.resize(relocations.size());
  for (uint32_t i = 0; i < by_place_.size(); i++) by_place_[i] = i;
  std::stable_sort(by_place_.begin(), by_place_.end(),
                   [&](uint32_t a, uint32_t b) { return relocations[a].place < relocations[b].place; });
  LODE_TRY(read_frames());
  return read_search_table();
}

Result<void> FinishedImage::read_tables() {
  auto take = [&](const char* section_name, const char* strings_name, std::vector<ImageSymbol>& out) -> Result<void> {
    const Shdr* table = section(section_name);
    const Shdr* names = section(strings_name);
    if (!table) return {};
    if (!names) return damaged(section_name);
    const Bytes text = view.section_data(*names);
    const std::string_view strings =
        text.empty() || text.back() ? std::string_view() : text_of(text.data(), text.data() + text.size());
    LODE_ASSIGN(const auto all, records<Sym>(view, *table, section_name));
    for (const Sym& s : all) {
      if (s.name && s.name >= strings.size()) return damaged(section_name);
      out.push_back(
          {ElfView::string_at(strings, s.name), {}, s.value, s.size, s.shndx, s.type(), s.bind(), s.visibility()});
      if (s.shndx < SHN_LORESERVE && s.shndx >= view.sections.size()) return damaged(section_name);
    }
    return {};
  };
  LODE_TRY(take(".symtab", ".strtab", symbols));
  LODE_TRY(take(".dynsym", ".dynstr", dynamic_symbols));
  if (const Shdr* s = section(".dynamic"); s && s->type == SHT_DYNAMIC) {
    LODE_ASSIGN(const auto all, records<Dyn>(view, *s, ".dynamic"));
    for (const Dyn& d : all) {
      if (d.tag == DT_NULL) break;
      dynamic.push_back(d);
    }
  }
  const Shdr* versions = section(".gnu.version");
  if (!versions) return {};
  std::vector<std::string> names;
  LODE_TRY(read_versions(names));
  const Bytes words = view.section_data(*versions);
  if (words.size() / 2 < dynamic_symbols.size()) return damaged(".gnu.version");
  for (size_t i = 1; i < dynamic_symbols.size(); i++) {
    const auto v = load_le<uint16_t>(words.data() + i * 2);
    const uint16_t n = v & 0x7fff;
    ImageSymbol& s = dynamic_symbols[i];
    if (n == VER_NDX_LOCAL) s.version = "@(local)";
    if (n <= VER_NDX_LAST_RESERVED) continue;
    if (n >= names.size() || names[n].empty()) return damaged(".gnu.version");
    s.version = (v & VERSYM_HIDDEN || !s.is_defined() ? "@" : "@@") + names[n];
  }
  return {};
}

// What version indices stand for.
Result<void> FinishedImage::read_versions(std::vector<std::string>& names) {
  auto put = [&](uint32_t n, std::string text) {
    n &= 0x7fff;
    if (names.size() <= n) names.resize(n + 1);
    names[n] = std::move(text);
  };
  if (const Shdr* s = section(".gnu.version_r")) {
    const Bytes d = view.section_data(*s);
    for (uint64_t at = 0, n = 0; n < s->info; n++) {
      if (at > d.size() || d.size() - at < sizeof(Verneed)) return damaged(".gnu.version_r");
      const auto need = load_le<Verneed>(d.data() + at);
      uint64_t aux_at = at + need.aux;
      for (uint32_t k = 0; k < need.cnt; k++) {
        if (aux_at > d.size() || d.size() - aux_at < sizeof(Vernaux)) return damaged(".gnu.version_r");
        const auto aux = load_le<Vernaux>(d.data() + aux_at);
        const std::string name(dynamic_string(aux.name));
        if (aux.hash != sysv_hash(name)) return damaged(".gnu.version_r");
        put(aux.other, name + " of " + std::string(dynamic_string(need.file)));
        aux_at += aux.next;
      }
      at += need.next;
    }
  }
  if (const Shdr* s = section(".gnu.version_d")) {
    const Bytes d = view.section_data(*s);
    for (uint64_t at = 0, n = 0; n < s->info; n++) {
      if (at > d.size() || d.size() - at < sizeof(Verdef)) return damaged(".gnu.version_d");
      const auto def = load_le<Verdef>(d.data() + at);
      const uint64_t aux_at = at + def.aux;
      if (aux_at > d.size() || d.size() - aux_at < sizeof(Verdaux)) return damaged(".gnu.version_d");
      const std::string name(dynamic_string(load_le<Verdaux>(d.data() + aux_at).name));
      if (def.hash != sysv_hash(name)) return damaged(".gnu.version_d");
      put(def.ndx, name);
      at += def.next;
    }
  }
  return {};
}

Result<void> FinishedImage::read_relocations(const char* name, bool of_plt) {
  const Shdr* s = section(name);
  if (!s) return {};
  LODE_ASSIGN(const auto all, records<Rela>(view, *s, name));
  uint32_t index = 0;
  for (const Rela& r : all) relocations.push_back({r.offset, r.addend, r.type, r.sym, index++, of_plt});
  return {};
}

// A pointer as unwind records have it; false: not a form that is used, or no room.
bool FinishedImage::pointer(const uint8_t*& p, const uint8_t* end, uint8_t encoding, uint64_t at, uint64_t& out) const {
  const uint8_t form = encoding & 15;
  const unsigned bytes = form == 0 || form == 4 || form == 12 ? 8 : form == 3 || form == 11 ? 4 : 0;
  if (!bytes || size_t(end - p) < bytes) return false;
  out = bytes == 8 ? load_le<uint64_t>(p) : form == 3 ? load_le<uint32_t>(p) : uint64_t(int64_t(load_le<int32_t>(p)));
  p += bytes;
  if (!out) return true;  // no pointer, whatever the base
  switch (encoding & 0x70) {
    case 0: return true;
    case 0x10: out += at; return true;
    default: return false;
  }
}

Result<ImageCie> FinishedImage::read_cie(Bytes record, uint64_t address) const {
  ImageCie c;
  const uint8_t *p = record.data() + 8, *end = record.data() + record.size();
  const uint8_t* name = p + 1;
  if (end - p < 2) return damaged("CIE");
  while (p < end && (p == record.data() + 8 || *p)) p++;
  if (p >= end) return damaged("CIE");
  const std::string_view augmentation = text_of(name, p++);
  uint64_t n = 0;
  if (!read_uleb(p, end, n) || !read_uleb(p, end, n) || !read_uleb(p, end, n)) return damaged("CIE");
  c.text = text_of(record.data() + 8, p);
  if (augmentation.starts_with("z")) {
    c.has_data = true;
    uint64_t size = 0;
    if (!read_uleb(p, end, size) || size > uint64_t(end - p)) return damaged("CIE");
    const uint8_t* data_end = p + size;
    for (const char letter : augmentation.substr(1)) {
      if (letter == 'S' || letter == 'B') continue;
      if (p >= data_end) return damaged("CIE");
      const uint8_t encoding = *p++;
      c.text += char(encoding);
      if (letter == 'R') {
        c.pointer_encoding = encoding;
      } else if (letter == 'L') {
        c.lsda_encoding = encoding;
      } else if (letter == 'P') {
        c.has_personality = true;
        if (!pointer(p, data_end, encoding & 0x7f, address + uint64_t(p - record.data()), c.personality))
          return damaged("CIE");
      } else {
        return damaged("CIE");
      }
    }
    p = data_end;
  }
  while (end > p && !end[-1]) end--;  // DW_CFA_nop
  c.text += text_of(p, end);
  return c;
}

Result<void> FinishedImage::read_frames() {
  const Shdr* s = section(".eh_frame");
  if (!s) return {};
  const Bytes d = view.section_data(*s);
  std::unordered_map<uint64_t, uint32_t> cie_at;
  for (uint64_t at = 0; at + 4 <= d.size();) {
    const uint64_t length = load_le<uint32_t>(d.data() + at);
    if (!length) {
      if (at + 4 == d.size()) break;
      at += 4;  // room behind CIEs, and what an input ended with
      continue;
    }
    if (length < 4 || length >= 0xfffffff0 || length > d.size() - at - 4) return damaged(".eh_frame");
    const Bytes record = d.subspan(at, length + 4);
    const uint64_t id = load_le<uint32_t>(record.data() + 4), address = s->addr + at;
    if (!id) {
      LODE_ASSIGN(ImageCie cie, read_cie(record, address));
      cie_at[at] = uint32_t(cies.size());
      cies.push_back(std::move(cie));
    } else {
      const auto found = cie_at.find(at + 4 - id);
      if (found == cie_at.end()) return damaged(".eh_frame: an FDE's CIE");
      const ImageCie& cie = cies[found->second];
      ImageFde f;
      f.record = address;
      f.cie = found->second;
      const uint8_t *p = record.data() + 8, *end = record.data() + record.size();
      if (!pointer(p, end, cie.pointer_encoding & 0x7f, address + 8, f.begin) ||
          !pointer(p, end, cie.pointer_encoding & 15, 0, f.size))
        return damaged(".eh_frame: an FDE");
      if (cie.has_data) {
        uint64_t size = 0;
        if (!read_uleb(p, end, size) || size > uint64_t(end - p)) return damaged(".eh_frame: an FDE");
        const uint8_t* data = p;
        p += size;
        if (cie.lsda_encoding != 0xff && size &&
            !pointer(data, p, cie.lsda_encoding & 0x7f, address + uint64_t(data - record.data()), f.lsda))
          return damaged(".eh_frame: an FDE");
      }
      while (end > p && !end[-1]) end--;
      f.instructions = text_of(p, end);
      fdes.push_back(f);
    }
    at += record.size();
  }
  return {};
}

Result<void> FinishedImage::read_search_table() {
  const Shdr* s = section(".eh_frame_hdr");
  const Shdr* frames = section(".eh_frame");
  if (!s) return {};
  const Bytes d = view.section_data(*s);
  static constexpr uint8_t head[4] = {1, 0x1b, 0x03, 0x3b};
  if (d.size() < 12 || std::memcmp(d.data(), head, 4) != 0) return damaged(".eh_frame_hdr");
  if (frames && s->addr + 4 + uint64_t(int64_t(load_le<int32_t>(d.data() + 4))) != frames->addr)
    return damaged(".eh_frame_hdr: its place of .eh_frame");
  const uint64_t count = load_le<uint32_t>(d.data() + 8);
  if (count > (d.size() - 12) / 8) return damaged(".eh_frame_hdr: its number of entries");
  has_search_table = true;
  for (uint64_t i = 0; i < count; i++)
    search_table.emplace_back(s->addr + uint64_t(int64_t(load_le<int32_t>(d.data() + 12 + i * 8))),
                              s->addr + uint64_t(int64_t(load_le<int32_t>(d.data() + 16 + i * 8))));
  return {};
}

}  // namespace lode::link::elf
