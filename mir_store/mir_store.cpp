// The columns of the MIR store: how functions enter, change, leave and are squeezed together.
//
// A draft is copied whole or not at all: every column's limit is checked before the first byte is written. Replacing
// and removing only count garbage; compact() orders the columns by FunctionId.
#include "mir_store/mir_store.h"

#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <thread>

#include "mir_store/columns.h"

namespace lode::mir {

namespace {

// An offset that no column reaches: the record of a removed function.
constexpr uint32_t removed_offset = 0xffffffffu;
constexpr uint64_t column_limit = 0xfffffffeu;
static_assert(sizeof(Hash128) == sizeof(XXH128_hash_t));

template <class T>
void append_to(std::vector<T>& column, const T* data, size_t n) {
  column.insert(column.end(), data, data + n);
}

// Tags are kept little-endian, tag_bytes each.
void narrow_tags(const uint16_t* tags, size_t n, unsigned tag_bytes, uint8_t* out) {
  if (tag_bytes == 2) {
    if (n) std::memcpy(out, tags, 2 * n);
  } else {
    for (size_t i = 0; i < n; i++) out[i] = uint8_t(tags[i]);
  }
}

template <class T>
void copy_to(std::vector<T>& column, uint32_t offset, const std::vector<T>& from) {
  if (!from.empty()) std::memcpy(column.data() + offset, from.data(), from.size() * sizeof(T));
}

}  // namespace

Hash128 hash_view(const FunctionView& v) {
  // One-shot hashes of the columns, then a hash of those with the lengths and the record's own words: for short columns
  // this is several times faster than a streaming state.
  struct Summary {
    Hash128 column[6];
    uint32_t counts[5];
    uint32_t frame[6];
    uint32_t rest;
  } s;
  static_assert(sizeof(Summary) == 6 * 16 + 5 * 4 + 6 * 4 + 4);
  auto one = [](const void* p, size_t n) {
    if (n == 0) return Hash128{};
    XXH128_hash_t h = XXH3_128bits(p, n);
    return Hash128{h.low64, h.high64};
  };
  s.column[0] = one(v.tags, size_t{v.count} * v.tag_bytes);
  s.column[1] = one(v.operands, size_t{v.count} * 4);
  s.column[2] = one(v.extra.data(), v.extra.size_bytes());
  s.column[3] = one(v.locals.data(), v.locals.size_bytes());
  s.column[4] = one(v.references.data(), v.references.size_bytes());
  s.column[5] = one(v.constants.data(), v.constants.size_bytes());
  s.counts[0] = v.count;
  s.counts[1] = uint32_t(v.extra.size());
  s.counts[2] = uint32_t(v.locals.size());
  s.counts[3] = uint32_t(v.references.size());
  s.counts[4] = uint32_t(v.constants.size());
  std::memcpy(s.frame, v.frame, sizeof s.frame);
  s.rest = uint32_t(v.text_align_log2) | uint32_t(v.constants_align_log2) << 8 | uint32_t(v.flags) << 16;
  const Hash128 code = one(&s, sizeof s);
  if (v.debug.empty()) return code;
  const Hash128 both[] = {code, one(v.debug.data(), v.debug.size_bytes())};
  return one(both, sizeof both);
}

FunctionView as_view(const FunctionDraft& d) {
  FunctionView v;
  v.symbol = d.symbol;
  v.tags = reinterpret_cast<const uint8_t*>(d.tags.data());
  v.operands = d.operands.data();
  v.count = uint32_t(d.operands.size());
  v.extra = d.extra;
  v.locals = d.locals;
  v.references = d.references;
  v.constants = d.constants;
  v.debug = d.debug;
  v.frame = d.frame;
  v.tag_bytes = 2;
  v.text_align_log2 = d.text_align_log2;
  v.constants_align_log2 = d.constants_align_log2;
  v.flags = d.flags;
  return v;
}

void FunctionDraft::clear() {
  symbol = {};
  tags.clear();
  operands.clear();
  extra.clear();
  locals.clear();
  references.clear();
  constants.clear();
  debug.clear();
  std::fill(std::begin(frame), std::end(frame), 0u);
  text_align_log2 = constants_align_log2 = 0;
  flags = 0;
}

MirStore::MirStore(unsigned tag_bytes, uint32_t target) : tag_bytes_(tag_bytes), target_(target) {
  assert(tag_bytes == 1 || tag_bytes == 2);
}

Hash128 MirStore::hash(const FunctionDraft& d, unsigned tag_bytes) {
  FunctionView v = as_view(d);
  std::vector<uint8_t> narrow;
  if (tag_bytes == 1) {
    narrow.resize(d.tags.size());
    narrow_tags(d.tags.data(), d.tags.size(), tag_bytes, narrow.data());
    v.tags = narrow.data();
    v.tag_bytes = 1;
  }
  return hash_view(v);
}

namespace {

Result<void> check_room(uint64_t insts, uint64_t extra, uint64_t locals, uint64_t references, uint64_t constants,
                        uint64_t debug) {
  const char* column = insts > column_limit        ? "instructions"
                       : extra > column_limit      ? "extra words"
                       : locals > column_limit     ? "locals"
                       : references > column_limit ? "references"
                       : constants > column_limit  ? "constants"
                       : debug > column_limit      ? "words of debug information"
                                                   : nullptr;
  if (column) return error(std::string("the program is too large: more than 2^32 - 2 entries of machine IR ") + column);
  return {};
}

FunctionRecord describe(const FunctionDraft& d) {
  FunctionRecord r;
  r.symbol = d.symbol;
  r.insts.length = uint32_t(d.operands.size());
  r.extra.length = uint32_t(d.extra.size());
  r.locals.length = uint32_t(d.locals.size());
  r.references.length = uint32_t(d.references.size());
  r.constants.length = uint32_t(d.constants.size());
  r.debug.length = uint32_t(d.debug.size());
  std::memcpy(r.frame, d.frame, sizeof r.frame);
  r.text_align_log2 = d.text_align_log2;
  r.constants_align_log2 = d.constants_align_log2;
  r.flags = d.flags;
  return r;
}

uint64_t column_bytes(const FunctionRecord& r, unsigned tag_bytes) {
  return uint64_t{r.insts.length} * (tag_bytes + 4) + uint64_t{r.extra.length} * 4 + r.locals.length +
         uint64_t{r.references.length} * sizeof(Reference) + r.constants.length + uint64_t{r.debug.length} * 4;
}

}  // namespace

Result<FunctionId> MirStore::append(const FunctionDraft& draft) {
  const FunctionDraft* one = &draft;
  auto ids = append_all(std::span(&one, 1), 1);
  if (!ids) return ids.take_error();
  return ids->front();
}

Result<std::vector<FunctionId>> MirStore::append_all(std::span<const FunctionDraft* const> drafts, unsigned threads) {
  uint64_t insts = operands_.size(), extra = extra_.size(), locals = locals_.size(), references = references_.size(),
           constants = constants_.size(), debug = debug_.size();
  for (const FunctionDraft* d : drafts) {
    assert(d->tags.size() == d->operands.size());
    insts += d->operands.size();
    extra += d->extra.size();
    locals += d->locals.size();
    references += d->references.size();
    constants += d->constants.size();
    debug += d->debug.size();
  }
  LODE_TRY(check_room(insts, extra, locals, references, constants, debug));
  if (records_.size() + drafts.size() > column_limit)
    return error("the program is too large: more than 2^32 - 2 functions");

  const uint32_t first = uint32_t(records_.size());
  std::vector<FunctionId> ids;
  ids.reserve(drafts.size());
  FunctionRecord next;
  next.insts.offset = uint32_t(operands_.size());
  next.extra.offset = uint32_t(extra_.size());
  next.locals.offset = uint32_t(locals_.size());
  next.references.offset = uint32_t(references_.size());
  next.constants.offset = uint32_t(constants_.size());
  next.debug.offset = uint32_t(debug_.size());
  for (const FunctionDraft* d : drafts) {
    FunctionRecord r = describe(*d);
    auto place = [](Range& range, Range& cursor) {
      range.offset = cursor.offset;
      cursor.offset += range.length;
    };
    place(r.insts, next.insts);
    place(r.extra, next.extra);
    place(r.locals, next.locals);
    place(r.references, next.references);
    place(r.constants, next.constants);
    place(r.debug, next.debug);
    ids.push_back(FunctionId(uint32_t(records_.size())));
    records_.push_back(r);
  }

  if (drafts.size() == 1) {  // no zero fill for the common single append
    const FunctionDraft& d = *drafts[0];
    if (tag_bytes_ == 2) {
      append_to(tags_, reinterpret_cast<const uint8_t*>(d.tags.data()), d.tags.size() * 2);
    } else {
      tags_.resize(tags_.size() + d.tags.size());
      narrow_tags(d.tags.data(), d.tags.size(), 1, tags_.data() + tags_.size() - d.tags.size());
    }
    append_to(operands_, d.operands.data(), d.operands.size());
    append_to(extra_, d.extra.data(), d.extra.size());
    append_to(locals_, d.locals.data(), d.locals.size());
    append_to(references_, d.references.data(), d.references.size());
    append_to(constants_, d.constants.data(), d.constants.size());
    append_to(debug_, d.debug.data(), d.debug.size());
    records_[first].hash = hash_view(view(ids[0]));
    return ids;
  }

  tags_.resize(insts * tag_bytes_);
  operands_.resize(insts);
  extra_.resize(extra);
  locals_.resize(locals);
  references_.resize(references);
  constants_.resize(constants);
  debug_.resize(debug);
  auto copy_one = [&](size_t i) {
    const FunctionDraft& d = *drafts[i];
    FunctionRecord& r = records_[first + i];
    narrow_tags(d.tags.data(), d.tags.size(), tag_bytes_, tags_.data() + size_t{r.insts.offset} * tag_bytes_);
    copy_to(operands_, r.insts.offset, d.operands);
    copy_to(extra_, r.extra.offset, d.extra);
    copy_to(locals_, r.locals.offset, d.locals);
    copy_to(references_, r.references.offset, d.references);
    copy_to(constants_, r.constants.offset, d.constants);
    copy_to(debug_, r.debug.offset, d.debug);
    r.hash = hash_view(view(FunctionId(first + uint32_t(i))));
  };
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  constexpr size_t chunk = 64;
  threads = unsigned(std::min<size_t>(threads, drafts.size() / chunk + 1));
  std::atomic<size_t> cursor{0};
  auto work = [&] {
    for (size_t at; (at = cursor.fetch_add(chunk)) < drafts.size();)
      for (size_t i = at; i < std::min(at + chunk, drafts.size()); i++) copy_one(i);
  };
  std::vector<std::thread> helpers;
  for (unsigned t = 1; t < threads; t++) helpers.emplace_back(work);
  work();
  for (std::thread& t : helpers) t.join();
  return ids;
}

Result<bool> MirStore::replace(FunctionId id, const FunctionDraft& draft) {
  if (!alive(id)) return error("no such function in the MIR store");
  const Hash128 h = hash(draft, tag_bytes_);
  FunctionRecord& old = records_[id.value];
  if (h == old.hash) {
    const bool changed = old.symbol != draft.symbol;
    old.symbol = draft.symbol;
    return changed;
  }
  LODE_TRY(append(draft));
  const FunctionRecord fresh = records_.back();
  records_.pop_back();
  garbage_bytes_ += column_bytes(records_[id.value], tag_bytes_);
  records_[id.value] = fresh;
  return true;
}

void MirStore::remove(FunctionId id) {
  if (!alive(id)) return;
  garbage_bytes_ += column_bytes(records_[id.value], tag_bytes_);
  FunctionRecord gone;
  gone.insts.offset = removed_offset;
  records_[id.value] = gone;
}

bool MirStore::alive(FunctionId id) const {
  return id.value < records_.size() && records_[id.value].insts.offset != removed_offset;
}

StoreSizes MirStore::sizes() const {
  StoreSizes s;
  s.instructions = operands_.size();
  s.tag_bytes = tags_.size();
  s.operand_bytes = operands_.size() * 4;
  s.extra_bytes = extra_.size() * 4;
  s.local_bytes = locals_.size();
  s.reference_bytes = references_.size() * sizeof(Reference);
  s.constant_bytes = constants_.size();
  s.debug_bytes = debug_.size() * 4;
  s.record_bytes = records_.size() * sizeof(FunctionRecord);
  for (const FunctionRecord& r : records_) s.functions += r.insts.offset != removed_offset;
  s.garbage_bytes = garbage_bytes_;
  return s;
}

void MirStore::compact(double share) {
  const StoreSizes s = sizes();
  const uint64_t total =
      s.tag_bytes + s.operand_bytes + s.extra_bytes + s.local_bytes + s.reference_bytes + s.constant_bytes +
      s.debug_bytes;
  if (garbage_bytes_ == 0 || double(garbage_bytes_) <= share * double(total)) return;
  auto squeeze = [&](auto& column, Range FunctionRecord::* range, unsigned scale) {
    std::remove_reference_t<decltype(column)> fresh;
    uint64_t live = 0;
    for (const FunctionRecord& r : records_) live += (r.*range).length;
    fresh.reserve(live * scale);
    uint32_t at = 0;
    for (FunctionRecord& r : records_) {
      if (r.insts.offset == removed_offset) continue;
      append_to(fresh, column.data() + size_t{(r.*range).offset} * scale, size_t{(r.*range).length} * scale);
      if (range != &FunctionRecord::insts)
        (r.*range).offset = at;  // the instruction column's second half still needs it
      at += (r.*range).length;
    }
    column = std::move(fresh);
  };
  squeeze(tags_, &FunctionRecord::insts, tag_bytes_);
  squeeze(operands_, &FunctionRecord::insts, 1);
  squeeze(extra_, &FunctionRecord::extra, 1);
  squeeze(locals_, &FunctionRecord::locals, 1);
  squeeze(references_, &FunctionRecord::references, 1);
  squeeze(constants_, &FunctionRecord::constants, 1);
  squeeze(debug_, &FunctionRecord::debug, 1);
  uint32_t at = 0;
  for (FunctionRecord& r : records_) {
    if (r.insts.offset == removed_offset) continue;
    r.insts.offset = at;
    at += r.insts.length;
  }
  garbage_bytes_ = 0;
}

FunctionView MirStore::view(FunctionId id) const {
  FunctionView v;
  v.tag_bytes = uint8_t(tag_bytes_);
  const FunctionRecord& r = records_[id.value];
  v.frame = r.frame;
  if (r.insts.offset == removed_offset) return v;
  v.symbol = r.symbol;
  v.tags = tags_.data() + size_t{r.insts.offset} * tag_bytes_;
  v.operands = operands_.data() + r.insts.offset;
  v.count = r.insts.length;
  v.extra = {extra_.data() + r.extra.offset, r.extra.length};
  v.locals = {locals_.data() + r.locals.offset, r.locals.length};
  v.references = {references_.data() + r.references.offset, r.references.length};
  v.constants = {constants_.data() + r.constants.offset, r.constants.length};
  v.debug = {debug_.data() + r.debug.offset, r.debug.length};
  v.text_align_log2 = r.text_align_log2;
  v.constants_align_log2 = r.constants_align_log2;
  v.flags = r.flags;
  return v;
}

std::span<const Reference> MirStore::references(FunctionId id) const { return view(id).references; }

void MirStore::rewrite_symbols(std::span<const SymbolId> new_ids) {
  auto renumber = [&](SymbolId& s) {
    const SymbolId old = s;
    if (s.valid() && s.value < new_ids.size()) s = new_ids[s.value];
    return s != old;
  };
  for (FunctionRecord& r : records_) {
    if (r.insts.offset == removed_offset) continue;
    renumber(r.symbol);
    bool changed = false;
    for (uint32_t i = 0; i < r.references.length; i++) changed |= renumber(references_[r.references.offset + i].symbol);
    if (changed) r.hash = hash_view(view(FunctionId(uint32_t(&r - records_.data()))));
  }
}

}  // namespace lode::mir
