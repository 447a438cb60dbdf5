// The words of operands: always the short form where the value fits; see mir.h.
#include "codegen/riscv64/mir_writer.h"

#include <algorithm>
#include <bit>

#include "codegen/riscv64/encode.h"

namespace lode::riscv64 {

namespace {
bool fits(int64_t v, unsigned bits) { return v >= -(int64_t{1} << (bits - 1)) && v < (int64_t{1} << (bits - 1)); }
}  // namespace

uint32_t MirWriter::memory(const Mem& m) {
  if (m.kind == Mem::Kind::slot) count_slot_use(m.target);
  const uint32_t d = uint32_t(m.disp);
  auto word = [](uint32_t kind, uint32_t payload) { return kind << 5 | payload << 8; };
  switch (m.kind) {
    case Mem::Kind::base:
      if (fits(m.disp, 19)) return word(1, m.base | d << 5);
      break;
    case Mem::Kind::slot:
      if (m.target < 0x800 && fits(m.disp, 13)) return word(2, m.target | d << 11);
      break;
    case Mem::Kind::incoming:
    case Mem::Kind::outgoing:
      if (fits(m.disp, 24)) return word(uint32_t(m.kind), d);
      break;
    case Mem::Kind::symbol:
    case Mem::Kind::thread:
      if (m.target < 1u << 24) return word(uint32_t(m.kind), m.target);
      break;
    case Mem::Kind::constants:
      if (m.disp >= 0 && m.disp < 1 << 24) return word(uint32_t(m.kind), d);
      break;
    case Mem::Kind::dynamic_area: break;
  }
  const uint32_t at = extra_index(24);
  draft_.extra.push_back(uint32_t(m.kind) | uint32_t(m.base) << 8);
  draft_.extra.push_back(d);
  draft_.extra.push_back(m.target);
  return word(0, at);
}

void MirWriter::instruction(Op op, const Fields& f) {
  const InstInfo& row = info(op);
  const uint32_t two = f.a | uint32_t(f.b) << 5;
  uint32_t word = 0;
  switch (row.form) {
    case Form::r: case Form::amo: word = two | uint32_t(f.c) << 10 | uint32_t(f.mode) << 15; break;
    case Form::r4: word = two | uint32_t(f.c) << 10 | uint32_t(f.d) << 15 | uint32_t(f.mode) << 20; break;
    case Form::r2: case Form::lr: word = two | uint32_t(f.mode) << 15; break;
    case Form::i: case Form::shift: case Form::shiftw: case Form::b:
    case Form::csr: case Form::csri: word = two | uint32_t(f.imm) << 10; break;
    case Form::u: case Form::j: word = f.a | uint32_t(f.imm) << 5; break;
    case Form::fence: word = uint32_t(f.imm); break;
    case Form::load: case Form::store: return memory(op, f.a, Mem::at(f.b, int32_t(f.imm)));
    default: break;
  }
  push(make_tag(op), word);
}

Fields Decoder::fields(const InstInfo& row, uint32_t o) {
  Fields f;
  f.a = o & 31;
  f.b = o >> 5 & 31;
  switch (row.form) {
    case Form::r: case Form::amo: f.c = o >> 10 & 31, f.mode = o >> 15 & 7; break;
    case Form::r4: f.c = o >> 10 & 31, f.d = o >> 15 & 31, f.mode = o >> 20 & 7; break;
    case Form::r2: case Form::lr: f.mode = o >> 15 & 7; break;
    case Form::i: case Form::shift: case Form::shiftw: case Form::b:
    case Form::csr: case Form::csri: f.imm = int32_t(o) >> 10; break;
    case Form::u: case Form::j: f.b = 0, f.imm = int32_t(o) >> 5; break;
    case Form::fence: f.a = f.b = 0, f.imm = o; break;
    default: break;
  }
  return f;
}

Mem Decoder::memory(uint32_t o) {
  Mem m;
  const uint32_t payload = o >> 8;
  switch (o >> 5 & 7) {
    case 0: {
      const uint32_t head = word(payload);
      m.kind = Mem::Kind(head & 7);
      m.base = uint8_t(head >> 8 & 31);
      m.disp = int32_t(word(uint64_t{payload} + 1));
      m.target = word(uint64_t{payload} + 2);
      break;
    }
    case 1: m = Mem::at(payload & 31, int32_t(o) >> 13); break;
    case 2: m = Mem::slot(payload & 0x7ff, int32_t(o) >> 19); break;
    case 3: m = Mem::incoming(int32_t(o) >> 8); break;
    case 4: m = Mem::outgoing(int32_t(o) >> 8); break;
    case 5: m = Mem::symbol(payload); break;
    case 6: m = Mem::constants(payload); break;
    case 7: m = Mem::thread(payload); break;
  }
  return m;
}

// ---- constants ------------------------------------------------------------------------------------------------------
//
// 32 bits: lui and addiw (addiw, because lui extends the sign: 0x7fffffff is lui 0x80000 and -1 in 32 bits). More: the
// low 12 bits are added last, what is above them is made of its odd part and a shift; where that part has zeroes at its
// top, and the sequence is shorter, it is made with ones below and shifted right.

namespace {

struct Step {
  Op op;
  int32_t imm;
};
struct Sequence {
  Step steps[8];
  unsigned count = 0;
  void add(Op op, int64_t imm) { steps[count++] = {op, int32_t(imm)}; }
};

void plain_sequence(int64_t v, Sequence& s) {
  if (v == int32_t(v)) {
    const int32_t high = high_part(v), low = low_part(v);
    if (high & 0xfffff) s.add(Op::lui, high & 0xfffff);
    if (low || !(high & 0xfffff)) s.add(high & 0xfffff ? Op::addiw : Op::addi, low);
    return;
  }
  const int32_t low = low_part(v);
  uint64_t rest = uint64_t(v) - uint64_t(int64_t(low));
  if (rest == 0) {  // cannot be: it would fit 32 bits
    s.add(Op::addi, low);
    return;
  }
  unsigned shift = unsigned(std::countr_zero(rest));
  int64_t upper = int64_t(rest) >> shift;
  // lui gives 12 zeroes for nothing.
  if (shift > 12 && !fits(upper, 12) && fits(int64_t(uint64_t(upper) << 12), 32)) {
    shift -= 12;
    upper = int64_t(uint64_t(upper) << 12);
  }
  plain_sequence(upper, s);
  s.add(Op::slli, shift);
  if (low) s.add(Op::addi, low);
}

Sequence sequence_of(int64_t v) {
  Sequence best;
  plain_sequence(v, best);
  if (v > 0 && best.count > 2) {
    const unsigned zeros = unsigned(std::countl_zero(uint64_t(v)));
    for (const uint64_t below : {(uint64_t{1} << zeros) - 1, uint64_t{0}}) {
      Sequence s;
      plain_sequence(int64_t(uint64_t(v) << zeros | below), s);
      if (s.count + 1 >= best.count) continue;
      s.add(Op::srli, zeros);
      best = s;
    }
  }
  return best;
}

}  // namespace

// Two equal halves, positive as numbers: one of them, shifted into the scratch register and added.
static bool repeats(int64_t value) { return uint64_t(value) >> 32 == uint32_t(value) && int32_t(value) > 0; }

unsigned immediate_cost(int64_t value) {
  const unsigned plain = sequence_of(value).count;
  return repeats(value) ? std::min(plain, sequence_of(int32_t(value)).count + 2) : plain;
}

void MirWriter::load_immediate(uint8_t to, int64_t value) {
  if (repeats(value) && immediate_cost(value) < sequence_of(value).count) {
    load_immediate(to, int32_t(value));
    i(Op::slli, reg::scratch, to, 32);
    return r(Op::add, to, to, reg::scratch);
  }
  const Sequence s = sequence_of(value);
  for (unsigned k = 0; k < s.count; k++) {
    const Step& step = s.steps[k];
    if (step.op == Op::lui) instruction(Op::lui, {to, 0, 0, 0, 0, step.imm});
    else i(step.op, to, k == 0 ? reg::zero : to, step.imm);
  }
}

void MirWriter::tls_gd(uint32_t reference, uint32_t get_addr) {
  set_frame_flags(frame::has_calls);
  push(make_tag(Op::tls_gd), uint32_t(draft_.extra.size()));
  draft_.extra.push_back(reference);
  draft_.extra.push_back(get_addr);
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

}  // namespace lode::riscv64
