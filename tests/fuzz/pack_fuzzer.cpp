// What lies in the folder of a cache (link/cache/mir_cache.h): packs of functions, the functions in them, and lists of
// packs' names. The checksums of a pack are put right, or nothing but them would be tested; the bytes as they came are
// read too, as each of the three.
#include <xxhash.h>

#include <cstring>
#include <vector>

#include "link/cache/mir_cache.h"
#include "mir_store/function_pack.h"

using namespace lode;

namespace {

// Whatever is read as a function is written as the same.
void read_function(std::span<const uint8_t> bytes) {
  mir::FunctionDraft draft, again;
  std::vector<mir::PortableSymbol> symbols, symbols_again;
  if (!mir::read_portable(bytes, draft, symbols)) return;
  std::vector<uint8_t> once, twice;
  mir::append_portable(draft, symbols, once);
  if (!mir::read_portable(once, again, symbols_again)) __builtin_trap();
  mir::append_portable(again, symbols_again, twice);
  if (once != twice) __builtin_trap();
}

void read(std::span<const uint8_t> bytes, const mir::Hash128& generator) {
  auto pack = mir::FunctionPack::open(bytes, generator);
  if (!pack) return;
  mir::FunctionDraft draft;
  std::vector<mir::PortableSymbol> symbols;
  for (const mir::PackedFunction& f : (*pack)->functions()) {
    if (f.pack) {
      (void)(*pack)->others()[f.pack - 1];
      continue;
    }
    volatile size_t used = (*pack)->symbols_of(f).size();
    (void)used;
    if ((*pack)->by_number(f.number) != &f) __builtin_trap();
    const auto* same = (*pack)->by_key(f.key);
    if (same && !(same->key == f.key)) __builtin_trap();
    const std::span<const uint8_t> head = (*pack)->head_of(f), code = (*pack)->code_of(f);
    if (!mir::read_portable_head(head, draft, symbols) || !mir::read_portable_code(head, code, draft)) continue;
    std::vector<uint8_t> again;
    mir::append_portable(draft, symbols, again);
    if (again.size() > 2 * (uint64_t{f.head_length} + f.length) + 64) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const mir::Hash128 generator{1, 2};
  read({data, size}, generator);
  read_function({data, size});
  const auto names = link::MirCache::parse_names({reinterpret_cast<const char*>(data), size});
  if (names.size() * 33 > size) __builtin_trap();
  if (size < 64) return 0;
  std::vector<uint8_t> fixed(data, data + size);
  uint32_t counts[5];
  std::memcpy(counts, data + 12, sizeof counts);
  const uint64_t tables =
      uint64_t{counts[2]} * 16 + uint64_t{counts[0]} * 124 + uint64_t{counts[1]} * 4 + uint64_t{counts[3]} * 24;
  if (tables > size - 64) return 0;
  const uint64_t chunk_table = 64 + tables - uint64_t{counts[3]} * 24;
  for (uint32_t k = 0; k < counts[3]; k++) {
    uint64_t offset;
    uint32_t packed;
    std::memcpy(&offset, data + chunk_table + 24 * k, 8);
    std::memcpy(&packed, data + chunk_table + 24 * k + 16, 4);
    if (offset > size || packed > size - offset) continue;
    const uint64_t sum = XXH3_64bits(data + offset, packed);
    std::memcpy(fixed.data() + chunk_table + 24 * k + 8, &sum, 8);
  }
  const uint64_t sum = XXH3_64bits(fixed.data() + 64, tables);
  std::memcpy(fixed.data() + 48, &sum, 8);
  read(fixed, generator);
  return 0;
}
