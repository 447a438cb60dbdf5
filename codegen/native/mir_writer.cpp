#include "codegen/native/mir_writer.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "codegen/native/target.h"

namespace lode::codegen {

namespace {
uint64_t hash_bytes(std::span<const uint8_t> bytes) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (uint8_t b : bytes) h = (h ^ b) * 0x100000001b3ull;
  return h ^ bytes.size();
}
}  // namespace

MirWriter::MirWriter(mir::FunctionDraft& draft) : draft_(draft) {
  SymbolId symbol = draft.symbol;
  draft.clear();
  draft.symbol = symbol;
}

uint32_t MirWriter::extra_index(unsigned bits) {
  uint64_t at = draft_.extra.size();
  if (at >> bits) {
    overflow_ = true;
    return 0;
  }
  return uint32_t(at);
}

Label MirWriter::new_label() {
  labels_.push_back(unbound);
  return {uint32_t(labels_.size() - 1)};
}

template <class HashOf, class Same>
uint32_t MirWriter::IndexTable::find(size_t count, uint32_t hash, HashOf&& hash_of, Same&& same) {
  if (count < few) {
    for (uint32_t i = 0; i < count; i++)
      if (same(i)) return i;
    return none;
  }
  if (count * 2 >= slots.size()) {
    slots.assign(slots.empty() ? 4 * few : slots.size() * 2, 0);
    for (uint32_t i = 0; i < count; i++) insert(hash_of(i), i);
  }
  const uint32_t mask = uint32_t(slots.size() - 1);
  for (uint32_t at = hash & mask; slots[at]; at = (at + 1) & mask)
    if (same(slots[at] - 1)) return slots[at] - 1;
  insert(hash, uint32_t(count));
  return none;
}

void MirWriter::IndexTable::insert(uint32_t hash, uint32_t index) {
  const uint32_t mask = uint32_t(slots.size() - 1);
  uint32_t at = hash & mask;
  while (slots[at]) at = (at + 1) & mask;
  slots[at] = index + 1;
}

uint32_t MirWriter::add_reference(SymbolId symbol, int32_t addend, mir::ReferenceKind kind) {
  mir::Reference wanted{symbol, addend, kind};
  auto& refs = draft_.references;
  auto hash = [](const mir::Reference& r) {
    uint64_t h = (uint64_t(r.symbol.value) << 32 | uint32_t(r.addend)) * 0x9e3779b97f4a7c15ull;
    return uint32_t((h >> 32) + uint32_t(r.kind) * 0x85ebca6bu);
  };
  uint32_t known = reference_table_.find(
      refs.size(), hash(wanted), [&](uint32_t i) { return hash(refs[i]); },
      [&](uint32_t i) { return refs[i] == wanted; });
  if (known != IndexTable::none) return known;
  refs.push_back(wanted);
  return uint32_t(refs.size() - 1);
}

uint32_t MirWriter::add_constant(std::span<const uint8_t> bytes, unsigned align) {
  auto& constants = draft_.constants;
  uint64_t hash = hash_bytes(bytes);
  auto fold = [](uint64_t h) { return uint32_t(h ^ h >> 32); };
  uint32_t known = constant_table_.find(
      constants_.size(), fold(hash), [&](uint32_t i) { return fold(constants_[i].hash); },
      [&](uint32_t i) {
        const Constant& c = constants_[i];
        return c.hash == hash && c.length == bytes.size() && c.offset % align == 0 &&
               std::memcmp(constants.data() + c.offset, bytes.data(), bytes.size()) == 0;
      });
  if (known != IndexTable::none) return constants_[known].offset;
  while (constants.size() % align) constants.push_back(0);
  while (1u << draft_.constants_align_log2 < align) draft_.constants_align_log2++;
  uint32_t offset = uint32_t(constants.size());
  constants.insert(constants.end(), bytes.begin(), bytes.end());
  constants_.push_back({hash, offset, uint32_t(bytes.size())});
  return offset;
}

uint32_t MirWriter::add_slot(uint32_t size, uint32_t align, SlotZone zone) {
  auto& locals = draft_.locals;
  uint32_t log2 = 0;
  while (log2 < 31 && 1u << log2 < align) log2++;
  uint32_t n = uint32_t(slot_uses_.size());
  append_le(locals, size);
  append_le(locals, log2 | uint32_t(zone) << 5);
  slot_uses_.push_back(0);
  return n;
}

void MirWriter::extra_bytes(std::span<const uint8_t> bytes) {
  for (size_t i = 0; i < bytes.size(); i += 4) {
    uint32_t word = 0;
    for (size_t k = 0; k < 4 && i + k < bytes.size(); k++) word |= uint32_t(bytes[i + k]) << (8 * k);
    draft_.extra.push_back(word);
  }
}

uint32_t MirWriter::table_record(std::span<const Label> labels, unsigned bits) {
  auto& constants = draft_.constants;
  while (constants.size() % 4) constants.push_back(0);
  if (draft_.constants_align_log2 < 2) draft_.constants_align_log2 = 2;
  const uint32_t table = uint32_t(constants.size());
  constants.resize(constants.size() + 4 * labels.size());  // emit fills them in
  const uint32_t at = extra_index(bits);
  draft_.extra.push_back(uint32_t(labels.size()));
  draft_.extra.push_back(table);
  for (Label l : labels) label_in_extra(l);
  return at;
}

void MirWriter::surround_entry(const EntryRecord& e) {
  draft_.frame[frame::word_entry] = uint32_t(draft_.extra.size()) + 1;
  draft_.extra.insert(draft_.extra.end(), {e.flags, e.prefix, e.type_id, e.nops, e.fentry + 1});
}

void MirWriter::exception_table(std::span<const ThrowingCall> calls, const ExceptionActions& actions,
                                uint32_t personality) {
  auto& extra = draft_.extra;
  draft_.frame[frame::word_exceptions] = uint32_t(extra.size()) + 1;
  for (size_t n : {calls.size(), actions.types.size(), actions.actions.size(), actions.filters.size()})
    extra.push_back(uint32_t(n));
  extra.push_back(personality);
  for (const ThrowingCall& c : calls) {
    extra.push_back(c.call);
    if (c.pad.value != Label{}.value) label_in_extra(c.pad);
    else extra.push_back(~0u);
    extra.push_back(c.action);
  }
  extra.insert(extra.end(), actions.types.begin(), actions.types.end());
  extra_bytes(actions.actions);
  extra_bytes(actions.filters);
}

Result<void> MirWriter::finish(uint16_t label_tag, const char* machine) {
  if (overflow_ || draft_.extra.size() > 0xffffffffu || draft_.tags.size() >> 28)
    return error(std::string("the function is too large for ") + machine + " code generation");
  if (!asm_sections_.empty()) {
    draft_.flags |= draft_flags::has_asm_sections;
    const uint32_t record = uint32_t(draft_.extra.size());
    write_asm_sections(asm_sections_, draft_.extra,
                       [&](uint32_t word, uint32_t label) { uses_.push_back({word, label, in_extra}); });
    draft_.extra.push_back(record);
  }
  bool open_end = false;  // a label behind the last instruction
  for (const LabelUse& u : uses_) open_end |= labels_[u.label] == size();
  if (open_end) push(label_tag, 0);
  if (!draft_.constants.empty())
    add_reference(SymbolId{}, 0, mir::ReferenceKind::constants);  // what object mode relocates against
  for (const LabelUse& u : uses_) {
    const uint32_t target = labels_[u.label];
    if (target == unbound) return error(std::string("a label of ") + machine + " code was never bound");
    if (u.shift == in_extra) draft_.extra[u.at] = target;
    else draft_.operands[u.at] |= target << u.shift;
  }
  uses_.clear();
  for (size_t n = 0; n < slot_uses_.size(); n++) {
    uint8_t* tail = &draft_.locals[frame::slot_bytes * n + 4];
    store_le(tail, (load_le<uint32_t>(tail) & 0xff) | std::min<uint32_t>(slot_uses_[n], 0xffffff) << 8);
  }
  return {};
}

Result<void> read_frame_slots(const mir::FunctionView& fn, std::vector<FrameSlot>& out) {
  const size_t n = fn.locals.size() / frame::slot_bytes;
  out.resize(n);
  for (size_t i = 0; i < n; i++) {
    const uint8_t* record = &fn.locals[frame::slot_bytes * i];
    const uint32_t tail = load_le<uint32_t>(record + 4);
    if ((tail & 31) > 30) return error("a stack object's alignment is beyond 2^30");
    out[i] = {load_le<uint32_t>(record), uint32_t{1} << (tail & 31), tail >> 8, SlotZone(tail >> 5 & 7)};
  }
  return {};
}

}  // namespace lode::codegen
