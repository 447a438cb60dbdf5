// The words of operands: always the short form where the value fits; see mir.h.
#include "codegen/x86_64/mir_writer.h"

#include <algorithm>

namespace lode::x86_64 {

namespace {
bool fits(int64_t v, unsigned bits) { return v >= -(int64_t{1} << (bits - 1)) && v < (int64_t{1} << (bits - 1)); }

}  // namespace

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
  if (m.kind == Mem::Kind::slot) count_slot_use(m.target);
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

void MirWriter::use_vex(bool yes) { vex_ = yes ? vex_forms() : nullptr; }

void MirWriter::ri(Op op, uint8_t dst, int64_t imm) {
  if (vex_ && vex_[unsigned(op)].x != Op::count_) [[unlikely]] return rri(vex_[unsigned(op)].x, dst, dst, imm);
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
  if (vex_ && vex_[unsigned(op)].x != Op::count_) [[unlikely]] {
    op = vex_[unsigned(op)].x;
    if (info(op).form == Form::rrri) return rrr(op, dst, dst, src, imm);
  }
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
  if (vex_ && vex_[unsigned(op)].x != Op::count_) [[unlikely]] {
    op = vex_[unsigned(op)].x;
    if (info(op).form == Form::rrmi) return rrmi(op, dst, dst, src, imm);
  }
  uint32_t mem = memory(src);
  uint32_t at = extra_index(25);
  draft_.extra.push_back(mem);
  draft_.extra.push_back(uint32_t(imm));
  push(make_tag(op), dst | at << 7);
}

void MirWriter::rrm(Op op, uint8_t a, uint8_t b, const Mem& m) {
  const uint32_t mem = memory(m), at = extra_index(25);
  draft_.extra.push_back(mem | b);
  push(make_tag(op), a | at << 7);
}

void MirWriter::rrmi(Op op, uint8_t a, uint8_t b, const Mem& m, int64_t imm) {
  const uint32_t mem = memory(m), at = extra_index(25);
  draft_.extra.push_back(mem | b);
  draft_.extra.push_back(uint32_t(imm));
  push(make_tag(op), a | at << 7);
}

void MirWriter::load_immediate(uint8_t dst, uint64_t value) {
  if (value == uint32_t(value)) return ri(Op::mov32ri, dst, int32_t(uint32_t(value)));
  if (int64_t(value) == int32_t(value)) return ri(Op::mov64ri, dst, int64_t(value));
  ri(Op::movabs64ri, dst, int64_t(value));
}

void MirWriter::jcc(Cond cc, Label target) {
  label_in_operand(target, 0);
  push(make_tag(Op::jcc, cc), 0);
}

void MirWriter::jmp(Label target) {
  label_in_operand(target, 0);
  push(make_tag(Op::jmp), 0);
}

void MirWriter::lea_label(uint8_t dst, Label label) {
  label_in_operand(label, 4);
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
  const uint32_t at = table_record(labels, 24);
  push(make_tag(Op::jump_table), index | uint32_t(scratch) << 4 | at << 8);
}

void MirWriter::bytes(std::span<const uint8_t> data) {
  push(make_tag(Op::bytes), uint32_t(draft_.extra.size()));
  draft_.extra.push_back(uint32_t(data.size()));
  extra_bytes(data);
}

void MirWriter::align(unsigned log2, uint32_t max_skip) {
  draft_.text_align_log2 = std::max(draft_.text_align_log2, uint8_t(log2));
  push(make_tag(Op::align), log2 | std::min<uint32_t>(max_skip, (1u << log2) - 1) << 4);
}

}  // namespace lode::x86_64
