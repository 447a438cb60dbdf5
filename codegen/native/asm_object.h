// What module-level assembly becomes: the sections, symbols and relocations of a relocatable object, as records.
//
// The linker adds them to the module's own, so that they live, bind and are written as those of any object. Names that
// the module's IR defines or refers to are the same symbols; the others are new ones. Relocation types and the numbers
// of sections and symbols are ELF's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lode::codegen {

struct AsmRelocation {
  uint64_t offset = 0;
  uint32_t type = 0;
  uint32_t symbol = 0;  // in AsmObject::symbols; ~0u: the start of `section`
  uint32_t section = 0;
  int64_t addend = 0;
};

struct AsmObjectSection {
  std::string name, group;
  uint32_t type = 1;
  uint64_t flags = 0;
  uint64_t entsize = 0;
  uint64_t align = 1;
  uint64_t size = 0;               // of SHT_NOBITS; else that of `bytes`
  uint32_t linked = ~0u;           // with SHF_LINK_ORDER: the section that it goes with
  std::vector<uint8_t> bytes;
  std::vector<AsmRelocation> relocations;  // by offset
};

struct AsmObjectSymbol {
  enum class Place : uint8_t { undefined, section, absolute, common };
  std::string name;
  Place place = Place::undefined;
  uint32_t section = 0;
  uint64_t value = 0, size = 0;    // common: the alignment is the value
  uint8_t bind = 0, visibility = 0, type = 0;
  bool bind_said = false;          // .globl, .weak or .local names it
};

// NAME stands for TARGET, which is not defined here, plus an addend.
struct AsmAlias {
  std::string name, target;
  int64_t addend = 0;
};
// NAME gets the name WITH_VERSION ("f@@V1") as well.
struct AsmVersion {
  std::string name, with_version;
};

struct AsmObject {
  std::vector<AsmObjectSection> sections;
  std::vector<AsmObjectSymbol> symbols;
  std::vector<AsmAlias> aliases;
  std::vector<AsmVersion> versions;
};

}  // namespace lode::codegen
