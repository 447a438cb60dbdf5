// The stored form of the MIR store (docs/stored-form.md has the layout).
//
// A fixed header, then one zstd frame a column: records, tags, operands, extra, locals, references, constants. The
// columns are written in the order of FunctionIds and without garbage, so offsets follow from lengths and are not
// stored; neither are the content hashes, which cost less to compute again than to store. Equal stores therefore give
// equal bytes whatever happened to them before.
//
// The first 32 bytes mean the same in every version (magic, version, target, checksum of everything else), so that a
// reader can tell a foreign file, a damaged one, one of another version and one for another target apart. The checksum
// guards against accidents only: everything behind it is checked again as hostile input.
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "mir_store/columns.h"

namespace lode::mir {

namespace {

constexpr char magic[8] = {'l', 'o', 'd', 'e', 'M', 'I', 'R', '\n'};
constexpr uint32_t format_version = 1;
constexpr uint32_t removed_length = 0xffffffffu;
constexpr uint32_t removed_offset = 0xffffffffu;
constexpr uint64_t column_limit = 0xfffffffeu;

enum Column { col_records, col_tags, col_operands, col_extra, col_locals, col_references, col_constants, column_count };

struct Header {
  char magic[8];
  uint32_t version, target;
  uint64_t checksum[2];  // xxh3-128 of bytes [0, 16) and [32, end)
  uint32_t tag_bytes, reserved;
  uint64_t raw_bytes[column_count];
  uint64_t packed_bytes[column_count];
};
static_assert(sizeof(Header) == 32 + 8 + 16 * column_count);

struct StoredRecord {
  uint32_t symbol;
  uint32_t insts, extra, locals, references,
      constants;  // lengths; insts = removed_length: a removed function, the rest is zero
  uint32_t frame[6];
  uint8_t text_align_log2, constants_align_log2;
  uint16_t flags;
};
static_assert(sizeof(StoredRecord) == 52);

XXH128_hash_t checksum(std::span<const uint8_t> file) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  XXH3_128bits_update(state, file.data(), 16);
  XXH3_128bits_update(state, file.data() + 32, file.size() - 32);
  XXH128_hash_t h = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return h;
}

void compress(ZSTD_CCtx* context, int level, const void* data, size_t n, std::vector<uint8_t>& out) {
  const size_t at = out.size();
  out.resize(at + ZSTD_compressBound(n));
  const size_t packed = ZSTD_compressCCtx(context, out.data() + at, out.size() - at, data, n, level);
  // The bound leaves zstd no reason to fail but memory; an empty frame then fails the reader's size check.
  out.resize(at + (ZSTD_isError(packed) ? 0 : packed));
}

// Decompresses exactly `raw` bytes. Memory grows with what the frame really holds, not with what a header claims.
template <class T>
Result<std::vector<T>> decompress(std::span<const uint8_t> packed, uint64_t raw, const char* name) {
  auto damaged = [&] { return error(std::string("damaged MIR store: column of ") + name); };
  if (raw % sizeof(T) != 0) return damaged();
  const uint64_t want = raw / sizeof(T);
  std::vector<T> result(std::min<uint64_t>(want, (packed.size() * 64 + 65536) / sizeof(T)));
  ZSTD_DStream* stream = ZSTD_createDStream();
  ZSTD_initDStream(stream);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  ZSTD_outBuffer to{result.data(), result.size() * sizeof(T), 0};
  bool done = false, bad = false;
  while (!done && !bad) {
    if (to.pos == to.size && result.size() < want) {
      result.resize(std::min<uint64_t>(want, uint64_t{result.size()} * 2));
      to.dst = result.data();
      to.size = result.size() * sizeof(T);
    }
    const size_t before_in = in.pos, before_out = to.pos;
    const size_t left = ZSTD_decompressStream(stream, &to, &in);
    if (ZSTD_isError(left)) bad = true;
    else if (left == 0) done = true;
    else if (in.pos == before_in && to.pos == before_out && (to.pos < to.size || result.size() == want)) bad = true;
  }
  ZSTD_freeDStream(stream);
  if (bad || to.pos != raw || in.pos != packed.size()) return damaged();
  return result;
}

}  // namespace

std::vector<uint8_t> MirStore::save(int zstd_level) const {
  Header h{};
  std::memcpy(h.magic, magic, sizeof magic);
  h.version = format_version;
  h.target = target_;
  h.tag_bytes = tag_bytes_;

  std::vector<StoredRecord> stored;
  stored.reserve(records_.size());
  bool dense = garbage_bytes_ == 0;
  FunctionRecord next;
  for (const FunctionRecord& r : records_) {
    StoredRecord s{};
    s.symbol = r.symbol.value;
    if (r.insts.offset == removed_offset) {
      s.insts = removed_length;
      stored.push_back(s);
      continue;
    }
    s.insts = r.insts.length;
    s.extra = r.extra.length;
    s.locals = r.locals.length;
    s.references = r.references.length;
    s.constants = r.constants.length;
    std::memcpy(s.frame, r.frame, sizeof s.frame);
    s.text_align_log2 = r.text_align_log2;
    s.constants_align_log2 = r.constants_align_log2;
    s.flags = r.flags;
    stored.push_back(s);
    for (auto range : {&FunctionRecord::insts, &FunctionRecord::extra, &FunctionRecord::locals,
                       &FunctionRecord::references, &FunctionRecord::constants}) {
      dense &= (r.*range).offset == (next.*range).offset;
      (next.*range).offset += (r.*range).length;
    }
  }

  std::vector<uint8_t> out(sizeof(Header));
  ZSTD_CCtx* context = ZSTD_createCCtx();
  int index = 0;
  auto put = [&](const void* data, size_t bytes) {
    const size_t before = out.size();
    compress(context, zstd_level, data, bytes, out);
    h.raw_bytes[index] = bytes;
    h.packed_bytes[index] = out.size() - before;
    index++;
  };
  auto put_column = [&](const auto& column, Range FunctionRecord::* range, unsigned scale) {
    if (dense) return put(column.data(), column.size() * sizeof column[0]);
    std::remove_cvref_t<decltype(column)> ordered;
    for (const FunctionRecord& r : records_) {
      if (r.insts.offset == removed_offset) continue;
      const auto* from = column.data() + size_t{(r.*range).offset} * scale;
      ordered.insert(ordered.end(), from, from + size_t{(r.*range).length} * scale);
    }
    put(ordered.data(), ordered.size() * sizeof column[0]);
  };
  put(stored.data(), stored.size() * sizeof(StoredRecord));
  put_column(tags_, &FunctionRecord::insts, tag_bytes_);
  put_column(operands_, &FunctionRecord::insts, 1);
  put_column(extra_, &FunctionRecord::extra, 1);
  put_column(locals_, &FunctionRecord::locals, 1);
  put_column(references_, &FunctionRecord::references, 1);
  put_column(constants_, &FunctionRecord::constants, 1);
  ZSTD_freeCCtx(context);

  std::memcpy(out.data(), &h, sizeof h);
  const XXH128_hash_t sum = checksum(out);
  h.checksum[0] = sum.low64;
  h.checksum[1] = sum.high64;
  std::memcpy(out.data(), &h, sizeof h);
  return out;
}

Result<MirStore> MirStore::load(std::span<const uint8_t> bytes, uint32_t expected_target) {
  if (bytes.size() < sizeof magic || std::memcmp(bytes.data(), magic, sizeof magic) != 0)
    return error("not a MIR store");
  if (bytes.size() < 32) return error("damaged MIR store: truncated header");
  const XXH128_hash_t sum = checksum(bytes);
  if (load_le<uint64_t>(bytes.data() + 16) != sum.low64 || load_le<uint64_t>(bytes.data() + 24) != sum.high64)
    return error("damaged MIR store: the checksum does not match");
  const uint32_t version = load_le<uint32_t>(bytes.data() + 8);
  if (version != format_version)
    return error("MIR store of version " + std::to_string(version) + "; this program reads version " +
                 std::to_string(format_version));
  if (bytes.size() < sizeof(Header)) return error("damaged MIR store: truncated header");
  const Header h = load_le<Header>(bytes.data());
  if (h.target != expected_target)
    return error("MIR store for target " + std::to_string(h.target) + ", not " + std::to_string(expected_target));
  if ((h.tag_bytes != 1 && h.tag_bytes != 2) || h.reserved != 0) return error("damaged MIR store: header");

  std::span<const uint8_t> packed[column_count];
  uint64_t at = sizeof(Header);
  for (int i = 0; i < column_count; i++) {
    if (h.packed_bytes[i] > bytes.size() - at) return error("damaged MIR store: truncated column");
    packed[i] = bytes.subspan(at, h.packed_bytes[i]);
    at += h.packed_bytes[i];
  }
  if (at != bytes.size()) return error("damaged MIR store: bytes behind the last column");

  MirStore store(h.tag_bytes, h.target);
  LODE_ASSIGN(std::vector<StoredRecord> stored,
              decompress<StoredRecord>(packed[col_records], h.raw_bytes[col_records], "records"));
  LODE_ASSIGN(store.tags_, decompress<uint8_t>(packed[col_tags], h.raw_bytes[col_tags], "tags"));
  LODE_ASSIGN(store.operands_, decompress<uint32_t>(packed[col_operands], h.raw_bytes[col_operands], "operands"));
  LODE_ASSIGN(store.extra_, decompress<uint32_t>(packed[col_extra], h.raw_bytes[col_extra], "extra"));
  LODE_ASSIGN(store.locals_, decompress<uint8_t>(packed[col_locals], h.raw_bytes[col_locals], "locals"));
  LODE_ASSIGN(store.references_,
              decompress<Reference>(packed[col_references], h.raw_bytes[col_references], "references"));
  LODE_ASSIGN(store.constants_, decompress<uint8_t>(packed[col_constants], h.raw_bytes[col_constants], "constants"));
  for (const Reference& r : store.references_) {
    if (uint8_t(r.kind) > last_reference_kind || r.reserved[0] || r.reserved[1] || r.reserved[2])
      return error("damaged MIR store: unknown kind of reference");
  }

  // Lengths lay the functions end to end; they must fill every column exactly.
  uint64_t insts = 0, extra = 0, locals = 0, references = 0, constants = 0;
  if (stored.size() > column_limit) return error("damaged MIR store: too many functions");
  store.records_.resize(stored.size());
  for (size_t i = 0; i < stored.size(); i++) {
    const StoredRecord& s = stored[i];
    FunctionRecord& r = store.records_[i];
    if (s.insts == removed_length) {
      r.insts.offset = removed_offset;
      continue;
    }
    auto place = [](Range& range, uint64_t& cursor, uint32_t length, uint64_t size) {
      if (length > size - cursor) return false;
      range = {uint32_t(cursor), length};
      cursor += length;
      return true;
    };
    if (!place(r.insts, insts, s.insts, store.operands_.size()) ||
        !place(r.extra, extra, s.extra, store.extra_.size()) ||
        !place(r.locals, locals, s.locals, store.locals_.size()) ||
        !place(r.references, references, s.references, store.references_.size()) ||
        !place(r.constants, constants, s.constants, store.constants_.size()))
      return error("damaged MIR store: a function's range lies outside its column");
    if (s.text_align_log2 > 31 || s.constants_align_log2 > 31) return error("damaged MIR store: alignment");
    r.symbol = SymbolId(s.symbol);
    std::memcpy(r.frame, s.frame, sizeof r.frame);
    r.text_align_log2 = s.text_align_log2;
    r.constants_align_log2 = s.constants_align_log2;
    r.flags = s.flags;
  }
  const uint64_t column_max = std::max({store.operands_.size(), store.extra_.size(), store.locals_.size(),
                                        store.references_.size(), store.constants_.size()});
  if (column_max > column_limit || insts != store.operands_.size() ||
      uint64_t{insts} * h.tag_bytes != store.tags_.size() || extra != store.extra_.size() ||
      locals != store.locals_.size() || references != store.references_.size() || constants != store.constants_.size())
    return error("damaged MIR store: the functions do not fill the columns");
  for (uint32_t i = 0; i < store.records_.size(); i++) {
    if (store.records_[i].insts.offset != removed_offset) store.records_[i].hash = hash_view(store.view(FunctionId(i)));
  }
  return store;
}

}  // namespace lode::mir
