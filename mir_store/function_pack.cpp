// See function_pack.h. Reading checks every count against the bytes that are there before anything is sized by it, so
// that a file of any content costs no more than its own length, and 64 times that for the chunks, whose sizes are
// bounded.
#include "mir_store/function_pack.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/bytes.h"

namespace lode::mir {

namespace {

constexpr char pack_magic[8] = {'L', 'O', 'D', 'E', 'P', 'A', 'C', 'K'};
constexpr uint32_t pack_version = 4;
constexpr size_t chunk_bytes = size_t{1} << 18;
constexpr uint32_t max_chunk = uint32_t{1} << 28;

struct Header {
  char magic[8];
  uint32_t version, function_count, symbol_count, other_count, chunk_count, reserved;
  Hash128 generator;
  uint64_t checksum;  // of the tables that follow
  uint64_t tables;
};
static_assert(sizeof(Header) == 64);

struct ChunkRow {
  uint64_t offset, checksum;  // in the file; of the packed bytes
  uint32_t packed, size;
};
static_assert(sizeof(ChunkRow) == 24);

// A function's head; its references and their names belong to it. The code is tags, operands, extra words, locals,
// constants and words of debug information. Each starts at a multiple of 4.
struct FunctionHead {
  uint32_t insts, extra, locals, references, constants, debug, names;
  uint32_t frame[6];
  uint16_t flags;
  uint8_t text_align_log2, constants_align_log2;
};
static_assert(sizeof(FunctionHead) == 56);
struct ReferenceRow {
  uint32_t index;  // named: offset in the names
  int32_t addend;
  uint8_t kind, base, reach, reserved;
  uint32_t name_size;
};
static_assert(sizeof(ReferenceRow) == 16);

bool less(const Hash128& a, const Hash128& b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }

void append(std::vector<uint8_t>& out, const void* data, size_t n) {
  const auto* p = static_cast<const uint8_t*>(data);
  out.insert(out.end(), p, p + n);
  out.resize(align_up(out.size(), 4));
}
template <class T>
void append(std::vector<uint8_t>& out, const std::vector<T>& v) {
  append(out, v.data(), v.size() * sizeof(T));
}

// A cursor that hands out arrays as long as the bytes last.
struct Reader {
  std::span<const uint8_t> rest;
  bool ok = true;
  const uint8_t* take(uint64_t count, uint64_t size) {
    if (!ok || count > rest.size() / size) return ok = false, nullptr;
    const uint64_t bytes = count * size;
    const uint8_t* at = rest.data();
    rest = rest.subspan(std::min<uint64_t>(align_up(bytes, 4), rest.size()));
    return at;
  }
  template <class T>
  void take(std::vector<T>& out, uint64_t count) {
    const uint8_t* at = take(count, sizeof(T));
    if (!at) return;
    out.resize(count);
    if (count) std::memcpy(static_cast<void*>(out.data()), at, count * sizeof(T));
  }
};

}  // namespace

void append_portable(const FunctionView& f, std::span<const PortableSymbol> symbols, std::vector<uint8_t>& out,
                     std::vector<uint8_t>* code) {
  FunctionHead head{};
  head.insts = f.count;
  head.extra = uint32_t(f.extra.size());
  head.locals = uint32_t(f.locals.size());
  head.references = uint32_t(f.references.size());
  head.constants = uint32_t(f.constants.size());
  head.debug = uint32_t(f.debug.size());
  std::copy(f.frame, f.frame + 6, head.frame);
  head.flags = f.flags;
  head.text_align_log2 = f.text_align_log2;
  head.constants_align_log2 = f.constants_align_log2;
  std::vector<ReferenceRow> rows(f.references.size());
  std::string names;
  for (size_t k = 0; k < rows.size(); k++) {
    const PortableSymbol& s = symbols[k];
    ReferenceRow& r = rows[k];
    r = {s.index, f.references[k].addend, uint8_t(f.references[k].kind), uint8_t(s.base), s.reach, 0, 0};
    if (s.base != PortableSymbol::named) continue;
    r.index = uint32_t(names.size());
    r.name_size = uint32_t(s.name.size());
    names += s.name;
  }
  head.names = uint32_t(names.size());
  append(out, &head, sizeof head);
  append(out, rows);
  append(out, names.data(), names.size());
  std::vector<uint8_t>& to = code ? *code : out;
  if (f.tag_bytes == 2) {
    append(to, f.tags, size_t{f.count} * 2);
  } else {
    std::vector<uint16_t> wide(f.tags, f.tags + f.count);
    append(to, wide);
  }
  append(to, f.operands, size_t{f.count} * 4);
  append(to, f.extra.data(), f.extra.size_bytes());
  append(to, f.locals.data(), f.locals.size_bytes());
  append(to, f.constants.data(), f.constants.size_bytes());
  append(to, f.debug.data(), f.debug.size_bytes());
}

bool read_portable_head(std::span<const uint8_t> bytes, FunctionDraft& draft, std::vector<PortableSymbol>& symbols,
                        std::span<const uint8_t>* code) {
  Reader in{bytes};
  const uint8_t* p = in.take(1, sizeof(FunctionHead));
  if (!p) return false;
  const auto head = load_le<FunctionHead>(p);
  const uint8_t* rows = in.take(head.references, sizeof(ReferenceRow));
  const auto* names = reinterpret_cast<const char*>(in.take(head.names, 1));
  if (!in.ok || head.text_align_log2 > 31 || head.constants_align_log2 > 31) return false;
  if (code) *code = in.rest;
  std::copy(std::begin(head.frame), std::end(head.frame), draft.frame);
  draft.flags = head.flags;
  draft.text_align_log2 = head.text_align_log2;
  draft.constants_align_log2 = head.constants_align_log2;
  draft.references.resize(head.references);
  symbols.resize(head.references);
  for (size_t k = 0; k < head.references; k++) {
    const auto r = load_le<ReferenceRow>(rows + k * sizeof(ReferenceRow));
    if (r.kind > last_reference_kind || r.base > PortableSymbol::named) return false;
    draft.references[k] = {SymbolId{}, r.addend, ReferenceKind(r.kind), {0, 0, 0}};
    symbols[k] = {PortableSymbol::Base(r.base), r.reach, r.index, {}};
    if (r.base != PortableSymbol::named) continue;
    if (r.index > head.names || r.name_size > head.names - r.index) return false;
    symbols[k].name = {names + r.index, r.name_size};
  }
  return true;
}

bool read_portable_code(std::span<const uint8_t> head_bytes, std::span<const uint8_t> code, FunctionDraft& draft) {
  if (head_bytes.size() < sizeof(FunctionHead)) return false;
  const auto head = load_le<FunctionHead>(head_bytes.data());
  Reader in{code};
  in.take(draft.tags, head.insts);
  in.take(draft.operands, head.insts);
  in.take(draft.extra, head.extra);
  in.take(draft.locals, head.locals);
  in.take(draft.constants, head.constants);
  in.take(draft.debug, head.debug);
  return in.ok;
}

bool read_portable(std::span<const uint8_t> bytes, FunctionDraft& draft, std::vector<PortableSymbol>& symbols) {
  std::span<const uint8_t> code;
  return read_portable_head(bytes, draft, symbols, &code) && read_portable_code(bytes, code, draft);
}

// ---- reading --------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<FunctionPack>> FunctionPack::open(std::span<const uint8_t> file, const Hash128& generator) {
  if (file.size() < sizeof(Header)) return error("not a pack of functions");
  const auto h = load_le<Header>(file.data());
  if (std::memcmp(h.magic, pack_magic, sizeof pack_magic) != 0) return error("not a pack of functions");
  if (h.version != pack_version || !(h.generator == generator)) return error("made by another version");
  auto pack = std::make_unique<FunctionPack>();
  pack->file_ = file;
  pack->tables_ = h.tables;
  const std::span<const uint8_t> tables = file.subspan(sizeof(Header));
  Reader in{tables};
  std::vector<ChunkRow> chunks;
  in.take(pack->others_, h.other_count);
  in.take(pack->functions_, h.function_count);
  in.take(pack->by_key_, h.function_count);
  in.take(pack->symbols_storage_, h.symbol_count);
  in.take(chunks, h.chunk_count);
  if (!in.ok || XXH3_64bits(tables.data(), tables.size() - in.rest.size()) != h.checksum) return error("damaged");
  pack->symbols_ = pack->symbols_storage_;
  const auto& fns = pack->functions_;
  for (size_t k = 0; k < fns.size(); k++) {
    const PackedFunction& f = fns[k];
    if (k && fns[k - 1].number >= f.number) return error("damaged");
    if (f.first_symbol > h.symbol_count || f.symbol_count > h.symbol_count - f.first_symbol) return error("damaged");
    if (f.pack > h.other_count) return error("damaged");
    const uint32_t row = pack->by_key_[k];
    if (row >= fns.size() || (k && less(fns[row].key, fns[pack->by_key_[k - 1]].key))) return error("damaged");
  }
  for (const ChunkRow& c : chunks) {
    if (c.offset > file.size() || c.packed > file.size() - c.offset || c.size > max_chunk) return error("damaged");
    pack->chunks_.push_back({c.offset, c.checksum, c.packed, c.size});
  }
  pack->unpacked_.resize(chunks.size());
  pack->once_ = std::make_unique<std::once_flag[]>(chunks.size());
  return pack;
}

const PackedFunction* FunctionPack::by_number(uint32_t number) const {
  auto it = std::lower_bound(functions_.begin(), functions_.end(), number,
                             [](const PackedFunction& f, uint32_t n) { return f.number < n; });
  return it != functions_.end() && it->number == number ? &*it : nullptr;
}

const PackedFunction* FunctionPack::by_key(const Hash128& key) const {
  auto it = std::lower_bound(by_key_.begin(), by_key_.end(), key,
                             [&](uint32_t row, const Hash128& k) { return less(functions_[row].key, k); });
  return it != by_key_.end() && functions_[*it].key == key ? &functions_[*it] : nullptr;
}

std::span<const uint8_t> FunctionPack::bytes(uint32_t chunk, uint32_t offset, uint32_t length) {
  if (chunk >= chunks_.size()) return {};
  const Chunk& c = chunks_[chunk];
  std::call_once(once_[chunk], [&] {
    const uint8_t* packed = file_.data() + c.offset;
    if (XXH3_64bits(packed, c.packed) != c.checksum) return;
    auto memory = std::make_unique_for_overwrite<uint8_t[]>(c.size);
    if (ZSTD_decompress(memory.get(), c.size, packed, c.packed) == c.size) unpacked_[chunk] = std::move(memory);
  });
  if (!unpacked_[chunk] || offset > c.size || length > c.size - offset) return {};
  return {unpacked_[chunk].get() + offset, length};
}

uint64_t FunctionPack::memory() const {
  uint64_t sum = functions_.size() * sizeof(PackedFunction) + (by_key_.size() + symbols_storage_.size()) * 4;
  for (size_t k = 0; k < chunks_.size(); k++) sum += unpacked_[k] ? chunks_[k].size : 0;
  return sum;
}

// ---- writing --------------------------------------------------------------------------------------------------------

uint32_t FunctionPackWriter::put(uint32_t& chunk, std::span<const uint8_t> bytes) {
  if (chunk == none || chunks_[chunk].size() >= chunk_bytes) {
    chunk = uint32_t(chunks_.size());
    chunks_.emplace_back();
  }
  const uint32_t offset = uint32_t(chunks_[chunk].size());
  chunks_[chunk].insert(chunks_[chunk].end(), bytes.begin(), bytes.end());
  return offset;
}

void FunctionPackWriter::add(PackedFunction row, std::span<const uint32_t> symbols, std::span<const uint8_t> head,
                             std::span<const uint8_t> code) {
  row.pack = 0;
  row.head_offset = put(heads_, head);
  row.head_chunk = heads_;
  row.head_length = uint32_t(head.size());
  row.offset = put(codes_, code);
  row.chunk = codes_;
  row.length = uint32_t(code.size());
  row.first_symbol = uint32_t(symbols_.size());
  row.symbol_count = uint32_t(symbols.size());
  symbols_.insert(symbols_.end(), symbols.begin(), symbols.end());
  functions_.push_back(row);
}

void FunctionPackWriter::refer(PackedFunction row, std::span<const uint32_t> symbols, const Hash128& other) {
  auto it = std::find(others_.begin(), others_.end(), other);
  if (it == others_.end()) it = others_.insert(others_.end(), other);
  row.pack = uint32_t(it - others_.begin()) + 1;
  row.first_symbol = uint32_t(symbols_.size());
  row.symbol_count = uint32_t(symbols.size());
  symbols_.insert(symbols_.end(), symbols.begin(), symbols.end());
  functions_.push_back(row);
}

std::vector<uint32_t> FunctionPackWriter::by_key() const {
  std::vector<uint32_t> rows(functions_.size());
  std::iota(rows.begin(), rows.end(), 0u);
  std::stable_sort(rows.begin(), rows.end(),
                   [&](uint32_t a, uint32_t b) { return less(functions_[a].key, functions_[b].key); });
  return rows;
}

std::unique_ptr<FunctionPack> FunctionPackWriter::keep() && {
  auto pack = std::make_unique<FunctionPack>();
  pack->tables_ = tables_;
  pack->by_key_ = by_key();
  pack->functions_ = std::move(functions_);
  pack->symbols_storage_ = std::move(symbols_);
  pack->symbols_ = pack->symbols_storage_;
  pack->once_ = std::make_unique<std::once_flag[]>(chunks_.size());
  for (size_t k = 0; k < chunks_.size(); k++) {
    pack->chunks_.push_back({0, 0, 0, uint32_t(chunks_[k].size())});
    pack->unpacked_.push_back(std::make_unique_for_overwrite<uint8_t[]>(chunks_[k].size()));
    std::memcpy(pack->unpacked_.back().get(), chunks_[k].data(), chunks_[k].size());
    std::call_once(pack->once_[k], [] {});
  }
  return pack;
}

std::vector<uint8_t> FunctionPackWriter::finish(const Hash128& generator) const {
  const std::vector<uint32_t> order = by_key();
  std::vector<std::vector<uint8_t>> packed(chunks_.size());
  std::vector<ChunkRow> rows(chunks_.size());
  for (size_t k = 0; k < chunks_.size(); k++) {
    packed[k].resize(ZSTD_compressBound(chunks_[k].size()));
    packed[k].resize(ZSTD_compress(packed[k].data(), packed[k].size(), chunks_[k].data(), chunks_[k].size(), 1));
  }
  std::vector<uint8_t> out(sizeof(Header));
  append(out, others_);
  append(out, functions_);
  append(out, order);
  append(out, symbols_);
  uint64_t at = out.size() + rows.size() * sizeof(ChunkRow);
  for (size_t k = 0; k < rows.size(); k++) {
    rows[k] = {at, XXH3_64bits(packed[k].data(), packed[k].size()), uint32_t(packed[k].size()),
               uint32_t(chunks_[k].size())};
    at += packed[k].size();
  }
  append(out, rows);
  Header h{};
  std::memcpy(h.magic, pack_magic, sizeof pack_magic);
  h.version = pack_version;
  h.function_count = uint32_t(functions_.size());
  h.symbol_count = uint32_t(symbols_.size());
  h.other_count = uint32_t(others_.size());
  h.chunk_count = uint32_t(rows.size());
  h.generator = generator;
  h.tables = tables_;
  h.checksum = XXH3_64bits(out.data() + sizeof h, out.size() - sizeof h);
  std::memcpy(out.data(), &h, sizeof h);
  for (const auto& p : packed) out.insert(out.end(), p.begin(), p.end());
  return out;
}

}  // namespace lode::mir
