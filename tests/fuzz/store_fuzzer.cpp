// Snapshots of machine IR. The input is read as a file as it came; with its checksums put right, or nothing but those
// would ever be tested; and as an unpacked chunk, around which a file is made: changes that zstd would refuse get
// through.
#include <zstd.h>

#include <cstddef>
#include <cstring>

#include "base/bytes.h"
#include "tests/support/snapshot.h"

using namespace lode;

namespace {

constexpr mir::Hash128 generator{1, 2};

// All that a link does with it; what is read can be written again, and is then what it was.
void load(std::span<const uint8_t> bytes, uint32_t target) {
  auto snapshot = mir::Snapshot::open(bytes, target, generator);
  if (!snapshot) return;
  const mir::Snapshot& s = **snapshot;
  mir::SnapshotWriter copy(s.tag_bytes(), target, generator), fresh(s.tag_bytes(), target, generator);
  mir::StoredFunction stored, found;
  std::vector<mir::Hash128> added;
  for (uint32_t i = 0; i < s.input_count(); i++) {
    copy.copy_input(s, i);
    fresh.input(s.input(i));
    for (mir::Snapshot::Place place : s.functions_of(i)) {
      if (!s.read(place, stored)) continue;
      if (s.find(stored.key, found) && !(found.key == stored.key)) __builtin_trap();
      std::vector<mir::Hash128> keys = stored.references;
      for (uint32_t k = 0; k < keys.size(); k++) stored.draft.references[k].symbol = SymbolId(k);
      if (fresh.add(stored.key, as_view(stored.draft), keys, stored.lines)) added.push_back(stored.key);
    }
  }
  (void)copy.finish();
  const std::vector<uint8_t> once = fresh.finish();
  auto second = mir::Snapshot::open(once, target, generator);
  if (!second) __builtin_trap();
  for (const mir::Hash128& key : added)
    if (!(*second)->find(key, found)) __builtin_trap();
}

// A file with `chunk` as its only one, whose functions are those of its rows.
std::vector<uint8_t> around(std::span<const uint8_t> chunk) {
  uint32_t symbols = 0, functions = 0;
  if (chunk.size() >= 8) symbols = load_le<uint32_t>(chunk.data()), functions = load_le<uint32_t>(chunk.data() + 4);
  if (functions > 1000 || 8 + uint64_t{symbols} * 16 + functions * 32 > chunk.size()) functions = 0;
  std::vector<uint8_t> packed(ZSTD_compressBound(chunk.size())), file;
  packed.resize(ZSTD_compress(packed.data(), packed.size(), chunk.data(), chunk.size(), 1));
  const uint32_t blocks = (functions + 127) / 128;
  const uint64_t at = 72 + 48 + 40 + blocks * 32 + functions * 24;
  auto word = [&](uint32_t w) { append_le(file, w); };
  auto hash = [&](const mir::Hash128& h) { append_le(file, h); };
  const uint8_t magic[8] = {'l', 'o', 'd', 'e', 'M', 'I', 'R', '\n'};
  file.assign(magic, magic + 8);
  word(2), word(62);
  append_le(file, at + packed.size());
  hash({}), hash(generator);
  word(2), word(1), word(1), word(functions);
  hash({1, 1}), hash({2, 2}), word(0), word(1), word(functions), word(0);
  append_le(file, at);
  hash({}), word(uint32_t(packed.size())), word(uint32_t(chunk.size())), word(functions), word(0);
  const uint8_t* rows = chunk.data() + 8 + size_t{symbols} * 16;
  for (uint32_t b = 0; b < blocks; b++) hash(load_le<mir::Hash128>(rows + b * 128 * 32)), hash({});
  for (uint32_t f = 0; f < functions; f++) hash(load_le<mir::Hash128>(rows + f * 32)), word(0), word(f);
  file.insert(file.end(), packed.begin(), packed.end());
  test::seal(file);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  load({data, size}, 62);
  std::vector<uint8_t> fixed(data, data + size);
  test::seal(fixed);
  load(fixed, 62);
  load(fixed, 0x6173);
  load(around({data, size}), 62);
  return 0;
}
