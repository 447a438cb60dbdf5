// The archive reader: every member's name and bytes, and every entry of the index.
#include "formats/archive.h"

#include <cstddef>

using namespace lode::formats;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto archive = Archive::open({data, size});
  if (!archive) return 0;
  uint64_t sum = 0;
  for (const ArchiveMember& m : archive->members) {
    for (char c : m.name) sum += c;
    for (uint8_t b : m.data) sum += b;
  }
  for (const ArchiveSymbol& s : archive->index) {
    for (char c : s.name) sum += c;
    if (s.member >= archive->members.size()) __builtin_trap();
  }
  volatile uint64_t used = sum;
  (void)used;
  return 0;
}
