// Checks of an ELF file's tables against the file's size (gABI chapter 4). Two escapes of the format are resolved here:
// e_shnum == 0 with the count in section 0's sh_size, and e_shstrndx == SHN_XINDEX with the index in its sh_link.
#include "formats/elf/reader.h"

#include <cstring>

#include "formats/dwarf_cursor.h"

namespace lode::formats::elf {

bool is_elf(Bytes file) { return file.size() >= 4 && std::memcmp(file.data(), "\177ELF", 4) == 0; }

static bool inside(Bytes file, uint64_t offset, uint64_t size) {
  return offset <= file.size() && size <= file.size() - offset;
}

static Result<std::string_view> string_table(const ElfView& v, uint32_t index, const char* what) {
  if (index >= v.sections.size()) return error(std::string(what) + ": section index out of range");
  const Shdr& s = v.sections[index];
  if (s.type != SHT_STRTAB) return error(std::string(what) + " is not a string table");
  Bytes b = v.section_data(s);
  if (!b.empty() && b.back() != 0) return error(std::string(what) + " does not end in NUL");
  return std::string_view(reinterpret_cast<const char*>(b.data()), b.size());
}

Result<ElfView> ElfView::open(Bytes file) {
  ElfView v;
  v.file = file;
  if (!is_elf(file)) return error("not an ELF file");
  if (file.size() < sizeof(Ehdr)) return error("truncated ELF header");
  v.header = reinterpret_cast<const Ehdr*>(file.data());
  if (v.header->ident[4] != ELFCLASS64) return error("not a 64-bit ELF file");
  if (v.header->ident[5] != ELFDATA2LSB) return error("not a little-endian ELF file");
  uint64_t shoff = v.header->shoff;
  if (shoff == 0) return v;
  if (v.header->shentsize != sizeof(Shdr)) return error("unexpected section header entry size");
  if (!inside(file, shoff, sizeof(Shdr))) return error("section header table lies outside the file");
  const auto* first = reinterpret_cast<const Shdr*>(file.data() + shoff);
  uint64_t count = v.header->shnum ? v.header->shnum : first->size;
  if (count > (file.size() - shoff) / sizeof(Shdr)) return error("section header table lies outside the file");
  v.sections = {first, size_t(count)};
  if (count == 0) return v;
  for (size_t i = 0; i < count; i++) {
    const Shdr& s = v.sections[i];
    if (s.type != SHT_NOBITS && s.type != SHT_NULL && !inside(file, s.offset, s.size))
      return error("section " + std::to_string(i) + " lies outside the file");
  }
  uint32_t names = v.header->shstrndx == SHN_XINDEX ? uint32_t(first->link) : v.header->shstrndx;
  if (names) {
    LODE_ASSIGN(v.section_names, string_table(v, names, "section name table"));
  }
  uint32_t wanted = v.header->type == ET_DYN ? SHT_DYNSYM : SHT_SYMTAB;
  for (size_t i = 1; i < count; i++) {
    const Shdr& s = v.sections[i];
    if (s.name && s.name >= v.section_names.size())
      return error("name of section " + std::to_string(i) + " lies outside the name table");
    if (s.type == wanted && !v.symtab_index) v.symtab_index = uint32_t(i);
  }
  if (!v.symtab_index) return v;
  const Shdr& st = v.sections[v.symtab_index];
  LODE_ASSIGN(v.symbols, records<Sym>(v, st, "symbol table"));
  if (st.info > v.symbols.size()) return error("first global symbol index exceeds the symbol table");
  v.first_global = st.info;
  LODE_ASSIGN(v.symbol_names, string_table(v, st.link, "symbol name table"));
  // Shared libraries are not asked for the order of their symbols: linkers have got it wrong, and nobody relies on it.
  const bool ordered = v.header->type == ET_REL;
  for (size_t i = 0; i < v.symbols.size(); i++) {
    const Sym& s = v.symbols[i];
    if (s.name && s.name >= v.symbol_names.size()) return error("a symbol's name lies outside the symbol name table");
    if (ordered && i && (s.bind() == STB_LOCAL) != (i < v.first_global))
      return error("symbol " + std::to_string(i) +
                   (i < v.first_global ? " is not local, and lies" : " is local, and does not lie") +
                   " among the local symbols");
  }
  for (const Shdr& s : v.sections)
    if (s.type == SHT_SYMTAB_SHNDX && s.link == v.symtab_index) {
      LODE_ASSIGN(v.extended, records<Word>(v, s, "extended section index table"));
    }
  return v;
}

std::string_view ElfView::section_name(uint32_t index) const {
  return index < sections.size() ? string_at(section_names, sections[index].name) : std::string_view();
}

Result<std::vector<Rela>> compact_relocations(Bytes data) {
  dwarf::Cursor c{data, 0, data.size()};
  const uint64_t header = c.uleb(), count = header / 8;
  const unsigned shift = header & 3;
  // Each record takes a byte at least, which bounds what a damaged count may ask for.
  if (!c.ok || count > data.size()) return error("malformed compact relocations");
  if (!(header & 4) && count) return error("compact relocations without addends are not supported");
  std::vector<Rela> out;
  out.reserve(count);
  uint64_t offset = 0, addend = 0;
  uint32_t symbol = 0, type = 0;
  for (uint64_t i = 0; i < count; i++) {
    // Three bits say which fields follow; the difference of the offsets begins above them, in the same byte.
    const uint8_t first = c.read<uint8_t>();
    offset += (first & 0x7f) >> 3;
    if (first & 0x80) offset += c.uleb() << 4;
    if (first & 1) symbol += uint32_t(c.sleb());
    if (first & 2) type += uint32_t(c.sleb());
    if (first & 4) addend += uint64_t(c.sleb());
    if (!c.ok) return error("malformed compact relocations");
    out.push_back({offset << shift, type, symbol, int64_t(addend)});
  }
  return out;
}

Result<std::span<const Rela>> relocation_records(const ElfView& view, const Shdr& s, std::vector<Rela>& unpacked) {
  if (s.type != SHT_CREL) return records<Rela>(view, s, "relocation section");
  LODE_ASSIGN(unpacked, compact_relocations(view.section_data(s)));
  return std::span<const Rela>(unpacked);
}

uint32_t sysv_hash(std::string_view name) {
  uint32_t h = 0;
  for (char c : name) {
    h = (h << 4) + uint8_t(c);
    uint32_t g = h & 0xf0000000;
    h = (h ^ (g >> 24)) & ~g;
  }
  return h;
}

uint32_t gnu_hash(std::string_view name) {
  uint32_t h = 5381;
  for (char c : name) h = h * 33 + uint8_t(c);
  return h;
}

}  // namespace lode::formats::elf
