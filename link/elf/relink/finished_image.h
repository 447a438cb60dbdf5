// A finished ELF output, as whoever loads or debugs it reads it: from its bytes alone.
//
// The check of relinks (verify_relink.h) reads two outputs through it, so nothing here knows of the link, or of the
// state, that made them. Damage is an error with the place; what is missing reads as nothing.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/elf/reader.h"

namespace lode::link::elf {

using namespace formats::elf;

struct ImageSymbol {
  std::string_view name;
  std::string version;  // of a dynamic one: "@V", "@@V"; with the library where it is wanted: "@V of LIB"
  uint64_t value = 0, size = 0;
  uint32_t section = 0;  // index; 0: undefined
  uint8_t type = 0, bind = 0, visibility = 0;
  bool is_defined() const { return section != SHN_UNDEF; }
};

struct ImageRelocation {
  uint64_t place = 0;
  int64_t addend = 0;
  uint32_t type = 0, symbol = 0;  // of .dynsym
  uint32_t index = 0;             // in its table
  bool of_plt = false;            // in .rela.plt
};

struct ImageCie {
  std::string text;          // augmentation, alignment factors, encodings, instructions
  uint64_t personality = 0;  // the address that its field leads to; 0: none
  bool has_personality = false;
  uint8_t pointer_encoding = 0, lsda_encoding = 0xff;
  bool has_data = false;  // FDEs have augmentation data
};
struct ImageFde {
  uint64_t record = 0;           // its own address
  uint64_t begin = 0, size = 0;  // of the code that it describes
  uint64_t lsda = 0;
  uint32_t cie = 0;
  std::string_view instructions;  // without padding
};

class FinishedImage {
 public:
  // The bytes must stay.
  Result<void> open(Bytes file);

  ElfView view;
  std::vector<Phdr> segments;
  std::vector<ImageSymbol> symbols, dynamic_symbols;  // .symtab, .dynsym; in their order
  std::vector<ImageRelocation> relocations;           // .rela.dyn, then .rela.plt
  std::vector<Dyn> dynamic;                           // up to DT_NULL
  std::vector<ImageCie> cies;
  std::vector<ImageFde> fdes;
  std::vector<std::pair<uint64_t, uint64_t>> search_table;  // (code, record) of .eh_frame_hdr, in its order
  bool has_search_table = false;

  std::string_view name_of(const Shdr& s) const { return ElfView::string_at(view.section_names, s.name); }
  // The first of that name, or null.
  const Shdr* section(std::string_view name) const;
  // The loaded section that an address is in.
  const Shdr* section_at(uint64_t address) const;
  // The file's bytes of loaded memory; null: not there, or zero without bytes.
  const uint8_t* loaded(uint64_t address, uint64_t size) const;
  // Relocations of a place: indices in `relocations`.
  std::pair<const uint32_t*, const uint32_t*> relocations_of(uint64_t place) const;
  std::string dynamic_name(uint32_t index) const;  // with its version
  std::string_view dynamic_string(uint64_t offset) const;

 private:
  Result<void> read_tables();
  Result<void> read_versions(std::vector<std::string>& names);
  Result<void> read_relocations(const char* section, bool of_plt);
  Result<void> read_frames();
  Result<ImageCie> read_cie(Bytes record, uint64_t address) const;
  Result<void> read_search_table();
  bool pointer(const uint8_t*& p, const uint8_t* end, uint8_t encoding, uint64_t address_of_p, uint64_t& out) const;

  std::vector<uint32_t> by_place_;
  std::vector<std::pair<uint64_t, uint32_t>> loaded_sections_;  // (address, index), those with memory of their own
  std::unordered_map<std::string_view, uint32_t> by_name_;
};

}  // namespace lode::link::elf
