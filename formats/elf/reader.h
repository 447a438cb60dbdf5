// A checked view of one ELF64 little-endian file in memory.
//
// `open` validates what every later access relies on: the header, that the section header table, every section's
// contents, the symbol table, its string table and the extended index table lie inside the file, and that names start
// inside their string table. After that the accessors need no error path: an index out of range gives empty data.
// The view borrows the bytes; they must outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/elf/elf.h"

namespace lode::formats::elf {

using Bytes = std::span<const uint8_t>;

// By the magic number only.
bool is_elf(Bytes file);

struct ElfView {
  Bytes file;
  const Ehdr* header = nullptr;
  std::span<const Shdr> sections;      // section 0 included; empty when the file has no section headers
  std::string_view section_names;      // the section name string table, always ends in NUL when not empty
  uint32_t symtab_index = 0;           // section index of SHT_SYMTAB (ET_REL, ET_EXEC) or SHT_DYNSYM (ET_DYN); 0: none
  std::span<const Sym> symbols;        // of symtab_index, entry 0 included
  uint32_t first_global = 0;           // index of the first non-local symbol, <= symbols.size()
  std::string_view symbol_names;
  std::span<const Word> extended;      // SHT_SYMTAB_SHNDX contents or empty

  static Result<ElfView> open(Bytes file);

  std::string_view section_name(uint32_t index) const;
  // The bytes in the file; empty for SHT_NOBITS and SHT_NULL.
  Bytes section_data(uint32_t index) const { return section_data(sections[index]); }
  Bytes section_data(const Shdr& s) const {
    return s.type == SHT_NOBITS || s.type == SHT_NULL ? Bytes{} : file.subspan(s.offset, s.size);
  }
  std::string_view symbol_name(const Sym& s) const { return string_at(symbol_names, s.name); }
  // The section index with SHN_XINDEX resolved; SHN_UNDEF, SHN_ABS, SHN_COMMON as they are.
  uint32_t symbol_section(uint32_t symbol) const {
    uint16_t n = symbols[symbol].shndx;
    if (n != SHN_XINDEX) return n;
    return symbol < extended.size() ? extended[symbol].value : 0;
  }
  static std::string_view string_at(std::string_view table, uint64_t offset) {
    return offset < table.size() ? std::string_view(table.data() + offset) : std::string_view();
  }
};

// The records of a section as a span; the section's size must be a multiple of the record's size.
template <class T>
Result<std::span<const T>> records(const ElfView& view, const Shdr& s, const char* what) {
  Bytes data = view.section_data(s);
  if (data.size() % sizeof(T))
    return lode::error(std::string("size of ") + what + " is not a multiple of its entry size");
  return std::span<const T>(reinterpret_cast<const T*>(data.data()), data.size() / sizeof(T));
}

// The records of a SHT_CREL section: each holds what differs from the record before it, in numbers of variable length
// (LLVM, "Compact relocation format"). Addends that stand in the section relocated are refused, as those of SHT_REL.
Result<std::vector<Rela>> compact_relocations(Bytes data);
// The records of a SHT_RELA section where they are, those of a SHT_CREL section in `unpacked`.
Result<std::span<const Rela>> relocation_records(const ElfView& view, const Shdr& s, std::vector<Rela>& unpacked);

uint32_t sysv_hash(std::string_view name);  // gABI chapter 5, "Hash Table"
uint32_t gnu_hash(std::string_view name);   // the Bernstein hash of DT_GNU_HASH

// The contents of a SHF_COMPRESSED section (gABI chapter 4, "Section Compression"), inflated.
// `alignment` receives ch_addralign. At most 4 GiB and at most 2000 times the compressed size are accepted.
Result<std::vector<uint8_t>> decompress(Bytes data, uint64_t& alignment);
// The size that decompress would give, from the header alone.
Result<Chdr> compression_header(Bytes data);
// A section body with its Chdr in front; type is ELFCOMPRESS_*.
std::vector<uint8_t> compress(Bytes data, uint32_t type, uint64_t alignment, int level);

}  // namespace lode::formats::elf
