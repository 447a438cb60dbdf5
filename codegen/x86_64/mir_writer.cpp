// The words of operands: always the short form where the value fits; see mir.h.
#include "codegen/x86_64/mir_writer.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "codegen/native/target.h"

namespace lode::x86_64 {

namespace {
bool fits(int64_t v, unsigned bits) { return v >= -(int64_t{1} << (bits - 1)) && v < (int64_t{1} << (bits - 1)); }

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

uint32_t MirWriter::memory_long(const Mem& m) {
  uint32_t at = extra_index(25);
  auto& extra = draft_.extra;
  extra.push_back(uint32_t(m.kind) | uint32_t(m.base) << 8 | uint32_t(m.index) << 16 | uint32_t(m.scale_log2) << 24 |
                  uint32_t(m.segment) << 26);
  extra.push_back(uint32_t(m.disp));
  if (m.kind == Mem::Kind::slot || m.kind == Mem::Kind::symbol) extra.push_back(m.target);
  return at << 7;
}

uint32_t MirWriter::memory(const Mem& m) {
  if (m.kind == Mem::Kind::slot && m.target < slot_uses_.size()) slot_uses_[m.target]++;
  if (m.segment != Segment::none) return memory_long(m);
  uint32_t d = uint32_t(m.disp);
  if (m.index != reg::none) {
    if (m.kind == Mem::Kind::base && fits(m.disp, 15))
      return 2u << 4 | uint32_t(m.base) << 7 | uint32_t(m.index) << 11 | uint32_t(m.scale_log2) << 15 | d << 17;
    return memory_long(m);
  }
  switch (m.kind) {
    case Mem::Kind::base:
      if (fits(m.disp, 21)) return 1u << 4 | uint32_t(m.base) << 7 | d << 11;
      break;
    case Mem::Kind::slot:
      if (m.target < 0x800 && fits(m.disp, 14)) return 3u << 4 | m.target << 7 | d << 18;
      break;
    case Mem::Kind::incoming:
      if (fits(m.disp, 25)) return 4u << 4 | d << 7;
      break;
    case Mem::Kind::outgoing:
      if (fits(m.disp, 25)) return 5u << 4 | d << 7;
      break;
    case Mem::Kind::symbol:
      if (m.base == reg::none && m.target < 0x1000 && fits(m.disp, 13)) return 6u << 4 | m.target << 7 | d << 19;
      break;
    case Mem::Kind::constants:
      if (fits(m.disp, 25)) return 7u << 4 | d << 7;
      break;
    default:
      break;
  }
  return memory_long(m);
}

namespace {
// The shortest instruction with the same result and the same flags: narrower where the upper bits come out as zero
// anyway.
Op shortest(Op op, int64_t imm) {
  switch (op) {
    case Op::mov64ri: return imm >= 0 && imm <= INT32_MAX ? Op::mov32ri : op;
    case Op::and64ri: return imm >= 0 && imm <= INT32_MAX ? Op::and32ri : op;
    case Op::test16ri:
    case Op::test32ri:
    case Op::test64ri:
      if (imm >= 0 && imm <= 127) return Op::test8ri;
      return op == Op::test64ri && imm >= 0 && imm <= INT32_MAX ? Op::test32ri : op;
    default: return op;
  }
}
}  // namespace

void MirWriter::ri(Op op, uint8_t dst, int64_t imm) {
  op = shortest(op, imm);
  uint32_t word;
  if (fits(imm, 27)) {
    word = dst | uint32_t(imm) << 5;
  } else {
    word = dst | 16u | extra_index(27) << 5;
    draft_.extra.push_back(uint32_t(imm));
    if (info(op).imm == Imm::iq) draft_.extra.push_back(uint32_t(uint64_t(imm) >> 32));
  }
  push(make_tag(op), word);
}

void MirWriter::i(Op op, int64_t imm) { ri(op, 0, imm); }

void MirWriter::rri(Op op, uint8_t dst, uint8_t src, int64_t imm) {
  uint32_t word = dst | uint32_t(src) << 4;
  if (fits(imm, 23)) {
    word |= uint32_t(imm) << 9;
  } else {
    word |= 256u | extra_index(23) << 9;
    draft_.extra.push_back(uint32_t(imm));
  }
  push(make_tag(op), word);
}

void MirWriter::mi(Op op, const Mem& dst, int64_t imm) {
  uint32_t mem = memory(dst);
  if (imm >= -2 && imm <= 12) {
    push(make_tag(op), mem | uint32_t(imm + 2));
    return;
  }
  uint32_t at = extra_index(25);
  draft_.extra.push_back(mem);
  draft_.extra.push_back(uint32_t(imm));
  push(make_tag(op), 15u | at << 7);
}

void MirWriter::rmi(Op op, uint8_t dst, const Mem& src, int64_t imm) {
  uint32_t mem = memory(src);
  uint32_t at = extra_index(25);
  draft_.extra.push_back(mem);
  draft_.extra.push_back(uint32_t(imm));
  push(make_tag(op), dst | at << 7);
}

void MirWriter::load_immediate(uint8_t dst, uint64_t value) {
  if (value == uint32_t(value)) return ri(Op::mov32ri, dst, int32_t(uint32_t(value)));
  if (int64_t(value) == int32_t(value)) return ri(Op::mov64ri, dst, int64_t(value));
  ri(Op::movabs64ri, dst, int64_t(value));
}

Label MirWriter::new_label() {
  labels_.push_back(unbound);
  return {uint32_t(labels_.size() - 1)};
}

void MirWriter::bind(Label label) { labels_[label.value] = size(); }

void MirWriter::jcc(Cond cc, Label target) {
  fixups_.push_back({size(), target.value, 0});
  push(make_tag(Op::jcc, cc), 0);
}

void MirWriter::jmp(Label target) {
  fixups_.push_back({size(), target.value, 0});
  push(make_tag(Op::jmp), 0);
}

void MirWriter::lea_label(uint8_t dst, Label label) {
  fixups_.push_back({size(), label.value, 1});
  push(make_tag(Op::lea_label), dst);
}

void MirWriter::call_ref(uint32_t reference) {
  set_frame_flags(frame::has_calls);
  push(make_tag(Op::call_ref), reference);
}

void MirWriter::tls_gd(uint32_t reference, uint32_t get_addr) {
  set_frame_flags(frame::has_calls);
  push(make_tag(Op::tls_gd), uint32_t(draft_.extra.size()));
  draft_.extra.push_back(reference);
  draft_.extra.push_back(get_addr);
}

void MirWriter::jump_table(uint8_t index, uint8_t scratch, std::span<const Label> labels) {
  auto& constants = draft_.constants;
  while (constants.size() % 4) constants.push_back(0);
  if (draft_.constants_align_log2 < 2) draft_.constants_align_log2 = 2;
  uint32_t table = uint32_t(constants.size());
  constants.resize(constants.size() + 4 * labels.size());  // emit fills them in
  uint32_t at = extra_index(24);
  draft_.extra.push_back(uint32_t(labels.size()));
  draft_.extra.push_back(table);
  for (Label l : labels) {
    fixups_.push_back({uint32_t(draft_.extra.size()), l.value, 2});
    draft_.extra.push_back(0);
  }
  push(make_tag(Op::jump_table), index | uint32_t(scratch) << 4 | at << 8);
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
  uint32_t known = reference_table_.find(refs.size(), hash(wanted), [&](uint32_t i) { return hash(refs[i]); },
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

uint32_t MirWriter::add_slot(uint32_t size, uint32_t align, codegen::SlotZone zone) {
  auto& locals = draft_.locals;
  uint32_t log2 = 0;
  while (log2 < 31 && 1u << log2 < align) log2++;
  uint32_t n = uint32_t(slot_uses_.size());
  append_le(locals, size);
  append_le(locals, log2 | uint32_t(zone) << 5);
  slot_uses_.push_back(0);
  return n;
}

void MirWriter::bytes(std::span<const uint8_t> data) {
  auto& extra = draft_.extra;
  push(make_tag(Op::bytes), uint32_t(extra.size()));
  extra.push_back(uint32_t(data.size()));
  for (size_t i = 0; i < data.size(); i += 4) {
    uint32_t word = 0;
    for (size_t k = 0; k < 4 && i + k < data.size(); k++) word |= uint32_t(data[i + k]) << (8 * k);
    extra.push_back(word);
  }
}

void MirWriter::align(unsigned log2, uint32_t max_skip) {
  draft_.text_align_log2 = std::max(draft_.text_align_log2, uint8_t(log2));
  push(make_tag(Op::align), log2 | std::min<uint32_t>(max_skip, (1u << log2) - 1) << 4);
}

void MirWriter::exception_table(std::span<const ThrowingCall> calls, const codegen::ExceptionActions& actions,
                                uint32_t personality) {
  auto& extra = draft_.extra;
  draft_.frame[frame::word_exceptions] = uint32_t(extra.size()) + 1;
  for (size_t n : {calls.size(), actions.types.size(), actions.actions.size(), actions.filters.size()})
    extra.push_back(uint32_t(n));
  extra.push_back(personality);
  for (const ThrowingCall& c : calls) {
    extra.push_back(c.call);
    if (c.pad.value != Label{}.value) fixups_.push_back({uint32_t(extra.size()), c.pad.value, 2});
    extra.push_back(~0u);
    extra.push_back(c.action);
  }
  extra.insert(extra.end(), actions.types.begin(), actions.types.end());
  for (const std::vector<uint8_t>* bytes : {&actions.actions, &actions.filters})
    for (size_t k = 0; k < bytes->size(); k += 4) {
      uint32_t word = 0;
      for (size_t j = k; j < std::min(bytes->size(), k + 4); j++) word |= uint32_t((*bytes)[j]) << 8 * (j - k);
      extra.push_back(word);
    }
}

Result<void> MirWriter::finish() {
  if (overflow_ || draft_.extra.size() > 0xffffffffu || draft_.tags.size() >> 28)
    return error("the function is too large for x86_64 code generation");
  if (!asm_sections_.empty()) {
    draft_.flags |= codegen::draft_flags::has_asm_sections;
    const uint32_t record = uint32_t(draft_.extra.size());
    codegen::write_asm_sections(asm_sections_, draft_.extra,
                                [&](uint32_t word, uint32_t label) { fixups_.push_back({word, label, 2}); });
    draft_.extra.push_back(record);
  }
  bool open_end = false;  // a label behind the last instruction
  for (const Fixup& f : fixups_) open_end |= labels_[f.label] == size();
  if (open_end) op(Op::label);
  if (!draft_.constants.empty())
    add_reference(SymbolId{}, 0, mir::ReferenceKind::constants);  // what object mode relocates against
  for (const Fixup& f : fixups_) {
    uint32_t target = labels_[f.label];
    if (target == unbound) return error("a label of x86_64 code was never bound");
    if (f.kind == 0) draft_.operands[f.at] = target;
    else if (f.kind == 1) draft_.operands[f.at] |= target << 4;
    else draft_.extra[f.at] = target;
  }
  fixups_.clear();
  for (size_t n = 0; n < slot_uses_.size(); n++) {
    uint8_t* tail = &draft_.locals[frame::slot_bytes * n + 4];
    store_le(tail, (load_le<uint32_t>(tail) & 0xff) | std::min<uint32_t>(slot_uses_[n], 0xffffff) << 8);
  }
  return {};
}

}  // namespace lode::x86_64
