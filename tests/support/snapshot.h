// A MIR store through a snapshot and back, for tests in which numbers are all that symbols and functions have: the keys
// are the numbers.
#pragma once

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "mir_store/snapshot.h"

namespace lode::test {

inline constexpr mir::Hash128 snapshot_generator{3, 4};

inline mir::Hash128 numbered_symbol(uint32_t id) { return {id, 's'}; }
inline mir::Hash128 numbered_function(uint32_t id) { return {id, 'f'}; }

// The store as one input, whose content says how many functions there are, removed ones included.
inline std::vector<uint8_t> save(const mir::MirStore& store, unsigned threads = 1) {
  std::vector<mir::Hash128> symbols;
  auto note = [&](SymbolId s) {
    while (s.valid() && symbols.size() <= s.value) symbols.push_back(numbered_symbol(uint32_t(symbols.size())));
  };
  mir::SnapshotWriter writer(store.tag_bytes(), store.target(), snapshot_generator);
  writer.input({{1, 1}, {store.function_count(), 0}});
  for (uint32_t f = 0; f < store.function_count(); f++) {
    if (!store.alive(FunctionId(f))) continue;
    const mir::FunctionView view = store.view(FunctionId(f));
    note(view.symbol);
    for (const mir::Reference& r : view.references) note(r.symbol);
    if (!writer.add(numbered_function(f), view, symbols)) return {};
  }
  return writer.finish(1, threads);
}

inline Result<mir::MirStore> load(std::span<const uint8_t> bytes, uint32_t target) {
  LODE_ASSIGN(auto snapshot, mir::Snapshot::open(bytes, target, snapshot_generator));
  mir::MirStore store(snapshot->tag_bytes(), target);
  auto symbol_of = [](const mir::Hash128& key) { return key.high ? SymbolId(uint32_t(key.low)) : SymbolId(); };
  for (uint64_t f = 0; f < snapshot->input(0).content.low; f++) {
    mir::StoredFunction stored;
    const bool found = snapshot->find(numbered_function(uint32_t(f)), stored);
    stored.draft.symbol = symbol_of(stored.symbol);
    for (size_t k = 0; k < stored.references.size(); k++)
      stored.draft.references[k].symbol = symbol_of(stored.references[k]);
    if (!found) stored.draft.clear();
    LODE_ASSIGN(FunctionId id, store.append(stored.draft));
    if (!found) store.remove(id);
  }
  return store;
}

// Makes every checksum right whose bytes are where the counts say: what is left to find is found by other means.
inline void seal(std::vector<uint8_t>& file) {
  constexpr uint64_t header = 72, input_row = 48, chunk_row = 40, block_row = 32, key_row = 24, block_rows = 128;
  auto put = [&](uint64_t at, const void* data, size_t n) {
    const XXH128_hash_t h = XXH3_128bits(data, n);
    std::memcpy(file.data() + at, &h.low64, 8);
    std::memcpy(file.data() + at + 8, &h.high64, 8);
  };
  if (file.size() < header) return;
  auto word = [&](uint64_t at) { return uint64_t{load_le<uint32_t>(file.data() + at)}; };
  const uint64_t inputs = word(60), chunks = word(64), functions = word(68);
  const uint64_t blocks = (functions + block_rows - 1) / block_rows;
  const uint64_t chunk_table = header + inputs * input_row, block_table = chunk_table + chunks * chunk_row;
  const uint64_t keys = block_table + blocks * block_row, end = keys + functions * key_row;
  if (end > file.size()) return;
  for (uint64_t c = 0; c < chunks; c++) {
    const uint64_t row = chunk_table + c * chunk_row, at = load_le<uint64_t>(file.data() + row), n = word(row + 24);
    if (at <= file.size() && n <= file.size() - at) put(row + 8, file.data() + at, n);
  }
  for (uint64_t b = 0; b < blocks; b++) {
    const uint64_t at = keys + b * block_rows * key_row;
    put(block_table + b * block_row + 16, file.data() + at, std::min(block_rows * key_row, end - at));
  }
  std::memset(file.data() + 24, 0, 16);
  uint8_t parts[32];
  const XXH128_hash_t head = XXH3_128bits(file.data(), header);
  const XXH128_hash_t rest = XXH3_128bits(file.data() + header, keys - header);
  std::memcpy(parts, &head, 16);
  std::memcpy(parts + 16, &rest, 16);
  put(24, parts, 32);
}

}  // namespace lode::test
