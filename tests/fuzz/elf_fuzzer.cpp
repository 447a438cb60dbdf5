// The ELF reader: opens the bytes and touches everything that its accessors promise to be safe.
#include "formats/elf/reader.h"

#include <cstddef>

using namespace lode::formats;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto view = elf::ElfView::open({data, size});
  if (!view) return 0;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < view->sections.size(); i++) {
    for (uint8_t b : view->section_data(i)) sum += b;
    sum += view->section_name(i).size();
    if (view->sections[i].flags & elf::SHF_COMPRESSED) {
      uint64_t alignment;
      if (auto inflated = elf::decompress(view->section_data(i), alignment)) sum += inflated->size();
    }
    if (auto relocations = elf::records<elf::Rela>(*view, view->sections[i], "relocations")) {
      for (const elf::Rela& r : *relocations) sum += r.offset;
    }
  }
  for (uint32_t i = 0; i < view->symbols.size(); i++) {
    std::string_view name = view->symbol_name(view->symbols[i]);
    sum += elf::gnu_hash(name) + elf::sysv_hash(name) + view->symbol_section(i);
  }
  volatile uint64_t used = sum;
  (void)used;
  return 0;
}
