// See snapshot.h for what a snapshot is and docs/stored-form.md for its bytes.
//
// The file is: header; inputs; chunk rows; block rows; the key table, in blocks; chunks, each a zstd frame of its own.
// Header and the first three tables are under one checksum, which open() looks at: they are some 100 bytes an input and
// 48 a chunk of 128 KiB. The key table is 24 bytes a function and grows with the program; its blocks and the chunks are
// looked at when they are first used.
//
// The first 16 bytes mean the same in every version (magic, version, target), so that a reader can tell a foreign file,
// one of another version and one for another target apart. Version 1 had numbers of one link where version 2 has keys;
// there is nothing to convert it to.
#include "mir_store/snapshot.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "mir_store/columns.h"
#include "mir_store/function_pack.h"

namespace lode::mir {

namespace {

constexpr char magic[8] = {'l', 'o', 'd', 'e', 'M', 'I', 'R', '\n'};
constexpr uint32_t format_version = 4;
constexpr uint32_t block_rows = 128;               // of the key table: 3 KiB
constexpr size_t chunk_bytes = size_t{1} << 17;    // a chunk is closed when it has as many
constexpr uint32_t max_chunk = uint32_t{1} << 28;  // unpacked
constexpr uint32_t no_symbol = 0xffffffffu;

// What a hash is of enters it, or a symbol could be taken for a function.
enum Seed : uint64_t { seed_symbol = 1, seed_local, seed_function };

struct Header {
  char magic[8];
  uint32_t version, target;
  uint64_t file_size;
  Hash128 checksum;  // of bytes [0, 24) and [40, end of the block rows)
  Hash128 generator;
  uint32_t tag_bytes, input_count, chunk_count, function_count;
};
static_assert(sizeof(Header) == 72);
constexpr size_t checksum_at = offsetof(Header, checksum);

struct InputRow {
  Hash128 key, content;
  uint32_t first_chunk, chunk_count, function_count, reserved;
};
static_assert(sizeof(InputRow) == 48);

struct ChunkRow {
  uint64_t offset;   // in the file
  Hash128 checksum;  // of the packed bytes
  uint32_t packed, size, function_count, reserved;
};
static_assert(sizeof(ChunkRow) == 40);

struct BlockRow {
  Hash128 first, checksum;  // the lowest key in it; of its bytes
};
static_assert(sizeof(BlockRow) == 32);

struct KeyRow {
  Hash128 key;
  uint32_t chunk, index;
};
static_assert(sizeof(KeyRow) == 24);

// A chunk, unpacked: head, symbol keys, function rows, and the functions, each from a multiple of 4.
struct ChunkHead {
  uint32_t symbol_count, function_count;
};
struct FunctionRow {
  Hash128 key;
  uint32_t symbol;  // in the chunk's keys
  uint32_t offset;  // from the end of the rows
  uint32_t code_bytes, line_bytes;
};
static_assert(sizeof(FunctionRow) == 32);

bool less(const Hash128& a, const Hash128& b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }

Hash128 hash_bytes(const void* data, size_t n) {
  const XXH128_hash_t h = XXH3_128bits(data, n);
  return {h.low64, h.high64};
}
Hash128 hash_bytes(std::span<const uint8_t> bytes) { return hash_bytes(bytes.data(), bytes.size()); }
Hash128 hash_bytes(std::span<const uint8_t> bytes, Seed seed) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {h.low64, h.high64};
}

// Of the header and the tables that open() reads, which are the first `bytes` of the file.
Hash128 tables_checksum(const uint8_t* file, size_t bytes) {
  std::vector<uint8_t> head(file, file + sizeof(Header));
  std::memset(head.data() + checksum_at, 0, sizeof(Hash128));
  const Hash128 parts[] = {hash_bytes(head), hash_bytes(file + sizeof(Header), bytes - sizeof(Header))};
  return hash_bytes(parts, sizeof parts);
}

template <class T>
void append_row(std::vector<uint8_t>& out, const T& row) {
  append_le(out, row);
}

// Calls work(0) to work(n - 1), by as many threads.
template <class Work>
void for_each(size_t n, unsigned threads, const Work& work) {
  std::atomic<size_t> next{0};
  auto run = [&] {
    for (size_t k; (k = next.fetch_add(1)) < n;) work(k);
  };
  std::vector<std::thread> helpers;
  for (unsigned t = 1; t < std::min<size_t>(threads, n); t++) helpers.emplace_back(run);
  run();
  for (std::thread& t : helpers) t.join();
}

}  // namespace

// ---- keys -----------------------------------------------------------------------------------------------------------

Hash128 symbol_key(std::string_view name) {
  return hash_bytes({reinterpret_cast<const uint8_t*>(name.data()), name.size()}, seed_symbol);
}

Hash128 local_symbol_key(const Hash128& module, uint32_t index) {
  std::vector<uint8_t> bytes;
  append_le(bytes, module);
  append_le(bytes, index);
  return hash_bytes(bytes, seed_local);
}

Hash128 function_key(const FunctionKeyParts& parts) {
  std::vector<uint8_t> bytes;
  bytes.reserve(64 + parts.symbols.size_bytes() + parts.reach.size());
  append_le(bytes, parts.body);
  append_le(bytes, parts.options);
  append_le(bytes, parts.generator);
  append_le(bytes, uint32_t(parts.symbols.size()));
  for (const Hash128& s : parts.symbols) append_le(bytes, s);
  bytes.insert(bytes.end(), parts.reach.begin(), parts.reach.end());
  return hash_bytes(bytes, seed_function);
}

// ---- writing --------------------------------------------------------------------------------------------------------

SnapshotWriter::SnapshotWriter(unsigned tag_bytes, uint32_t target, const Hash128& generator)
    : tag_bytes_(tag_bytes), target_(target), generator_(generator) {}

void SnapshotWriter::input(const SnapshotInput& input) {
  inputs_.push_back({input, uint32_t(chunks_.size()), 0, 0});
}

// Of a symbol in the chunk that is being filled.
uint32_t SnapshotWriter::number_of(const Hash128& symbol) {
  if (symbol == Hash128{}) return no_symbol;
  std::vector<Hash128>& known = chunks_.back().symbols;
  auto slot_of = [&](const Hash128& key) -> uint32_t& {
    const size_t mask = symbol_slots_.size() - 1;
    for (size_t at = size_t(key.low) & mask;; at = (at + 1) & mask)
      if (!symbol_slots_[at] || known[symbol_slots_[at] - 1] == key) return symbol_slots_[at];
  };
  if (known.size() * 2 >= symbol_slots_.size()) {
    symbol_slots_.assign(std::max<size_t>(256, symbol_slots_.size() * 2), 0);
    for (uint32_t k = 0; k < known.size(); k++) slot_of(known[k]) = k + 1;
  }
  uint32_t& slot = slot_of(symbol);
  if (!slot) {
    known.push_back(symbol);
    slot = uint32_t(known.size());
  }
  return slot - 1;
}

bool SnapshotWriter::add(const Hash128& key, const FunctionView& function, std::span<const Hash128> symbol_keys,
                         std::span<const uint8_t> lines) {
  if (inputs_.empty()) input({});
  const uint64_t bound = uint64_t{function.count} * 6 + function.extra.size_bytes() + function.locals.size() +
                         function.references.size() * (16 + sizeof(Hash128)) + function.constants.size() +
                         function.debug.size_bytes() + lines.size() + 256;
  if (bound > max_chunk - 4 * chunk_bytes) return false;  // what the chunk holds already is below the rest
  Input& in = inputs_.back();
  if (!in.chunk_count || chunks_.back().code.size() >= chunk_bytes) {
    chunks_.emplace_back();
    in.chunk_count++;
    symbol_slots_.clear();
  }
  auto key_of = [&](SymbolId s) {
    return s.valid() && s.value < symbol_keys.size() ? symbol_keys[s.value] : Hash128{};
  };
  FunctionRow row{key, number_of(key_of(function.symbol)), 0, 0, uint32_t(lines.size())};
  std::vector<PortableSymbol> references(function.references.size());
  for (size_t k = 0; k < references.size(); k++) {
    const uint32_t number = number_of(key_of(function.references[k].symbol));
    if (number != no_symbol) references[k] = {PortableSymbol::listed, 0, number, {}};
  }
  Chunk& chunk = chunks_.back();
  row.offset = uint32_t(chunk.code.size());
  append_portable(function, references, chunk.code);
  row.code_bytes = uint32_t(chunk.code.size()) - row.offset;
  chunk.code.insert(chunk.code.end(), lines.begin(), lines.end());
  chunk.code.resize(align_up(chunk.code.size(), 4));
  append_row(chunk.rows, row);
  rows_.push_back({key, uint32_t(chunks_.size() - 1), chunk.function_count++});
  in.function_count++;
  return true;
}

bool SnapshotWriter::copy_input(const Snapshot& from, uint32_t index) {
  if (from.tag_bytes_ != tag_bytes_ || from.target_ != target_ || !(from.generator() == generator_)) return false;
  const Snapshot::Input& old = from.inputs_[index];
  const size_t rows_before = rows_.size(), chunks_before = chunks_.size();
  for (uint32_t c = old.first_chunk; c < old.first_chunk + old.chunk_count; c++) {
    const std::span<const uint8_t> unpacked = from.unpack(c);
    if (unpacked.empty()) {
      rows_.resize(rows_before);
      chunks_.resize(chunks_before);
      return false;
    }
    const auto head = load_le<ChunkHead>(unpacked.data());
    const uint8_t* row = unpacked.data() + sizeof head + head.symbol_count * sizeof(Hash128);
    for (uint32_t k = 0; k < head.function_count; k++, row += sizeof(FunctionRow))
      rows_.push_back({load_le<FunctionRow>(row).key, uint32_t(chunks_.size()), k});
    Chunk& chunk = chunks_.emplace_back();
    chunk.packed = from.packed_chunk(c);
    chunk.raw_size = from.chunks_[c].size;
    chunk.function_count = head.function_count;
  }
  inputs_.push_back({old.input, uint32_t(chunks_before), old.chunk_count, old.function_count});
  // What add() would put next goes into a chunk of its own.
  return true;
}

std::vector<uint8_t> SnapshotWriter::finish(int zstd_level, unsigned threads) {
  std::vector<std::vector<uint8_t>> made(chunks_.size());
  for_each(chunks_.size(), threads, [&](size_t k) {
    Chunk& c = chunks_[k];
    if (!c.packed.empty()) return;
    std::vector<uint8_t> raw;
    append_row(raw, ChunkHead{uint32_t(c.symbols.size()), c.function_count});
    for (const Hash128& s : c.symbols) append_row(raw, s);
    raw.insert(raw.end(), c.rows.begin(), c.rows.end());
    raw.insert(raw.end(), c.code.begin(), c.code.end());
    made[k].resize(ZSTD_compressBound(raw.size()));
    // The bound leaves zstd no reason to fail but memory; the reader takes an empty frame for damage.
    const size_t packed = ZSTD_compress(made[k].data(), made[k].size(), raw.data(), raw.size(), zstd_level);
    made[k].resize(ZSTD_isError(packed) ? 0 : packed);
    c.packed = made[k];
    c.raw_size = uint32_t(raw.size());
  });

  std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
    return !(a.key == b.key) ? less(a.key, b.key) : a.chunk != b.chunk ? a.chunk < b.chunk : a.index < b.index;
  });
  std::vector<uint8_t> keys;
  keys.reserve(rows_.size() * sizeof(KeyRow));
  for (const Row& r : rows_) append_row(keys, KeyRow{r.key, r.chunk, r.index});

  Header h{};
  std::memcpy(h.magic, magic, sizeof magic);
  h.version = format_version;
  h.target = target_;
  h.generator = generator_;
  h.tag_bytes = tag_bytes_;
  h.input_count = uint32_t(inputs_.size());
  h.chunk_count = uint32_t(chunks_.size());
  h.function_count = uint32_t(rows_.size());
  std::vector<uint8_t> out(sizeof(Header));
  for (const Input& i : inputs_)
    append_row(out, InputRow{i.input.key, i.input.content, i.first_chunk, i.chunk_count, i.function_count, 0});
  const size_t block_count = (rows_.size() + block_rows - 1) / block_rows;
  const size_t tables = out.size() + chunks_.size() * sizeof(ChunkRow) + block_count * sizeof(BlockRow);
  uint64_t at = tables + keys.size();
  for (const Chunk& c : chunks_) {
    append_row(out, ChunkRow{at, hash_bytes(c.packed), uint32_t(c.packed.size()), c.raw_size, c.function_count, 0});
    at += c.packed.size();
  }
  for (size_t b = 0; b < block_count; b++) {
    const auto bytes = std::span<const uint8_t>(keys).subspan(b * block_rows * sizeof(KeyRow));
    const auto own = bytes.first(std::min(bytes.size(), block_rows * sizeof(KeyRow)));
    append_row(out, BlockRow{rows_[b * block_rows].key, hash_bytes(own)});
  }
  h.file_size = at;
  out.reserve(at);
  std::memcpy(out.data(), &h, sizeof h);
  const Hash128 sum = tables_checksum(out.data(), tables);
  std::memcpy(out.data() + checksum_at, &sum, sizeof sum);
  out.insert(out.end(), keys.begin(), keys.end());
  for (const Chunk& c : chunks_) out.insert(out.end(), c.packed.begin(), c.packed.end());
  return out;
}

// ---- reading --------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Snapshot>> Snapshot::open(std::span<const uint8_t> file, uint32_t expected_target,
                                                 const Hash128& generator) {
  auto damaged = [](const char* what) { return error(std::string("damaged MIR store: ") + what); };
  if (file.size() < sizeof magic || std::memcmp(file.data(), magic, sizeof magic) != 0)
    return error("not a MIR store");
  if (file.size() < 16) return damaged("truncated header");
  if (const auto version = load_le<uint32_t>(file.data() + 8); version != format_version)
    return error("MIR store of version " + std::to_string(version) + "; this program reads version " +
                 std::to_string(format_version));
  if (file.size() < sizeof(Header)) return damaged("truncated header");
  const auto h = load_le<Header>(file.data());
  if (h.file_size != file.size()) return damaged("its size is not what it says");
  const uint64_t blocks = (uint64_t{h.function_count} + block_rows - 1) / block_rows;
  const uint64_t tables = sizeof(Header) + uint64_t{h.input_count} * sizeof(InputRow) +
                          uint64_t{h.chunk_count} * sizeof(ChunkRow) + blocks * sizeof(BlockRow);
  const uint64_t keys_end = tables + uint64_t{h.function_count} * sizeof(KeyRow);
  if (keys_end > file.size()) return damaged("its tables do not fit");
  if (!(tables_checksum(file.data(), tables) == h.checksum)) return damaged("the checksum does not match");
  if (h.target != expected_target)
    return error("MIR store for target " + std::to_string(h.target) + ", not " + std::to_string(expected_target));
  if (!(h.generator == generator)) return error("MIR store of another code generator");
  if (h.tag_bytes != 1 && h.tag_bytes != 2) return damaged("header");

  auto snapshot = std::make_unique<Snapshot>();
  Snapshot& s = *snapshot;
  s.file_ = file;
  s.tag_bytes_ = h.tag_bytes;
  s.target_ = h.target;
  s.generator_ = h.generator;
  s.function_count_ = h.function_count;
  s.keys_offset_ = tables;
  const uint8_t* p = file.data() + sizeof(Header);
  // Chunks lie end to end from the key table on, and belong to the inputs in their order.
  uint32_t next_chunk = 0;
  for (uint32_t k = 0; k < h.input_count; k++, p += sizeof(InputRow)) {
    const auto r = load_le<InputRow>(p);
    if (r.first_chunk != next_chunk || r.chunk_count > h.chunk_count - next_chunk || r.reserved)
      return damaged("an input's chunks");
    next_chunk += r.chunk_count;
    s.inputs_.push_back({{r.key, r.content}, r.first_chunk, r.chunk_count, r.function_count});
  }
  if (next_chunk != h.chunk_count) return damaged("chunks of no input");
  uint64_t next_offset = keys_end;
  for (uint32_t k = 0; k < h.chunk_count; k++, p += sizeof(ChunkRow)) {
    const auto r = load_le<ChunkRow>(p);
    if (r.offset != next_offset || r.packed > file.size() - next_offset || r.size > max_chunk || r.reserved)
      return damaged("a chunk's place");
    next_offset += r.packed;
    s.chunks_.push_back({r.offset, r.checksum, r.packed, r.size, r.function_count});
  }
  if (next_offset != file.size()) return damaged("bytes behind the last chunk");
  for (uint64_t k = 0; k < blocks; k++, p += sizeof(BlockRow)) {
    const auto r = load_le<BlockRow>(p);
    if (k && less(r.first, s.blocks_.back().first)) return damaged("the order of keys");
    s.blocks_.push_back({r.first, r.checksum});
  }
  s.block_states_ = std::vector<std::atomic<uint8_t>>(blocks);
  s.unpacked_.resize(h.chunk_count);
  s.once_ = std::make_unique<std::once_flag[]>(h.chunk_count);
  return snapshot;
}

std::span<const uint8_t> Snapshot::packed_chunk(uint32_t chunk) const {
  return file_.subspan(chunks_[chunk].offset, chunks_[chunk].packed);
}

std::span<const uint8_t> Snapshot::block(uint32_t index) const {
  const uint32_t rows = std::min(block_rows, function_count_ - index * block_rows);
  const auto bytes =
      file_.subspan(keys_offset_ + uint64_t{index} * block_rows * sizeof(KeyRow), rows * sizeof(KeyRow));
  std::atomic<uint8_t>& state = block_states_[index];
  if (state.load(std::memory_order_relaxed) == 0)
    state.store(hash_bytes(bytes) == blocks_[index].checksum ? 1 : 2, std::memory_order_relaxed);
  return state.load(std::memory_order_relaxed) == 1 ? bytes : std::span<const uint8_t>{};
}

// Empty: damaged. What is not empty has its head, its symbols and its rows in bounds.
std::span<const uint8_t> Snapshot::unpack(uint32_t chunk) const {
  if (chunk >= chunks_.size()) return {};
  const Chunk& c = chunks_[chunk];
  std::call_once(once_[chunk], [&] {
    const std::span<const uint8_t> packed = packed_chunk(chunk);
    if (c.size < sizeof(ChunkHead) || !(hash_bytes(packed) == c.checksum)) return;
    auto memory = std::make_unique_for_overwrite<uint8_t[]>(c.size);  // pages that no byte reaches take no memory
    if (ZSTD_decompress(memory.get(), c.size, packed.data(), packed.size()) != c.size) return;
    const auto head = load_le<ChunkHead>(memory.get());
    if (head.function_count != c.function_count) return;
    const uint64_t tables = sizeof head + uint64_t{head.symbol_count} * sizeof(Hash128) +
                            uint64_t{head.function_count} * sizeof(FunctionRow);
    if (tables <= c.size) unpacked_[chunk] = std::move(memory);
  });
  if (!unpacked_[chunk]) return {};
  return {unpacked_[chunk].get(), c.size};
}

bool Snapshot::read(Place place, StoredFunction& out) const {
  const std::span<const uint8_t> chunk = unpack(place.chunk);
  return !chunk.empty() && read_in(chunk, place.index, tag_bytes_, out);
}

bool Snapshot::read_in(std::span<const uint8_t> chunk, uint32_t index, unsigned tag_bytes, StoredFunction& out) {
  const auto head = load_le<ChunkHead>(chunk.data());
  if (index >= head.function_count) return false;
  const uint8_t* symbols = chunk.data() + sizeof head;
  const uint8_t* rows = symbols + head.symbol_count * sizeof(Hash128);
  const auto row = load_le<FunctionRow>(rows + index * sizeof(FunctionRow));
  const std::span<const uint8_t> code =
      chunk.subspan(size_t(rows - chunk.data()) + head.function_count * sizeof(FunctionRow));
  if (row.offset > code.size() || row.code_bytes > code.size() - row.offset ||
      row.line_bytes > code.size() - row.offset - row.code_bytes)
    return false;
  auto symbol = [&](uint32_t number, Hash128& key) {
    if (number >= head.symbol_count) return false;
    key = load_le<Hash128>(symbols + number * sizeof(Hash128));
    return true;
  };
  out.key = row.key;
  out.symbol = {};
  if (row.symbol != no_symbol && !symbol(row.symbol, out.symbol)) return false;
  std::vector<PortableSymbol> portable;
  out.draft.clear();
  if (!read_portable(code.subspan(row.offset, row.code_bytes), out.draft, portable)) return false;
  if (tag_bytes == 1 && std::any_of(out.draft.tags.begin(), out.draft.tags.end(), [](uint16_t t) { return t > 0xff; }))
    return false;
  out.references.assign(portable.size(), {});
  for (size_t k = 0; k < portable.size(); k++) {
    if (portable[k].base == PortableSymbol::none) continue;
    if (portable[k].base != PortableSymbol::listed || !symbol(portable[k].index, out.references[k])) return false;
  }
  out.lines = code.subspan(row.offset + row.code_bytes, row.line_bytes);
  return true;
}

bool Snapshot::find(const Hash128& key, StoredFunction& out) const {
  // The first row of the key is in the last block that starts below it, or starts the next; rows of one key may go on
  // in the blocks that follow.
  auto first = std::lower_bound(blocks_.begin(), blocks_.end(), key,
                                [](const Block& b, const Hash128& k) { return less(b.first, k); });
  for (size_t b = size_t(first - blocks_.begin()) - (first != blocks_.begin());
       b < blocks_.size() && !less(key, blocks_[b].first); b++) {
    const std::span<const uint8_t> rows = block(uint32_t(b));
    size_t low = 0, high = rows.size() / sizeof(KeyRow);
    const size_t count = high;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (less(load_le<Hash128>(rows.data() + middle * sizeof(KeyRow)), key)) low = middle + 1;
      else high = middle;
    }
    for (; low < count; low++) {
      const auto row = load_le<KeyRow>(rows.data() + low * sizeof(KeyRow));
      if (!(row.key == key)) break;
      // Any of those will do: they were made from the same.
      if (read({row.chunk, row.index}, out) && out.key == key) return true;
    }
  }
  return false;
}

std::vector<Snapshot::Place> Snapshot::functions_of(uint32_t input) const {
  std::vector<Place> places;
  const Input& in = inputs_[input];
  for (uint32_t c = in.first_chunk; c < in.first_chunk + in.chunk_count; c++) {
    if (unpack(c).empty()) continue;
    for (uint32_t k = 0; k < chunks_[c].function_count; k++) places.push_back({c, k});
  }
  return places;
}

}  // namespace lode::mir
