// Writes the MIR of one function into a mir::FunctionDraft.
//
// codegen/native/mir_writer.h has what is not riscv64's: labels, references, constants, slots, records. Epilogues are
// part of `ret` and the tail calls. Registers are hardware numbers 0..31 of the class that the row asks for, in the
// order of the assembly text.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "codegen/native/mir_writer.h"
#include "codegen/riscv64/mir.h"

namespace lode::riscv64 {

using codegen::Label;
using codegen::ThrowingCall;

class MirWriter : public codegen::MirWriter {
 public:
  using codegen::MirWriter::MirWriter;

  // ---- machine instructions by their forms; `mode` as in Fields
  void instruction(Op op, const Fields& f);
  void op(Op op) { push(make_tag(op), 0); }
  void r(Op op, uint8_t a, uint8_t b, uint8_t c, uint8_t mode = 0) { instruction(op, {a, b, c, 0, mode, 0}); }
  void r2(Op op, uint8_t a, uint8_t b, uint8_t mode = 0) { instruction(op, {a, b, 0, 0, mode, 0}); }
  void i(Op op, uint8_t a, uint8_t b, int64_t imm) { instruction(op, {a, b, 0, 0, 0, imm}); }
  void memory(Op op, uint8_t r, const Mem& m) { push(make_tag(op), r | memory(m)); }
  void move(uint8_t to, uint8_t from) { i(Op::addi, to, from, 0); }
  // The shortest sequence of lui, addi, addiw and slli.
  void load_immediate(uint8_t to, int64_t value);

  // ---- control flow
  void branch(Cond c, uint8_t a, uint8_t b, Label target) {
    label_in_operand(target, 10);
    push(make_tag(Op::branch, c), a | uint32_t(b) << 5);
  }
  void jump(Label target) {
    label_in_operand(target, 0);
    push(make_tag(Op::jump), 0);
  }
  void ret() { push(make_tag(Op::ret), 0); }
  void call_ref(uint32_t reference) {
    set_frame_flags(frame::has_calls);
    push(make_tag(Op::call_ref), reference);
  }
  void call_r(uint8_t r) {
    set_frame_flags(frame::has_calls);
    push(make_tag(Op::call_r), r);
  }
  void tail_ref(uint32_t reference) { push(make_tag(Op::tail_ref), reference); }
  void tail_r(uint8_t r) { push(make_tag(Op::tail_r), r); }
  void jump_r(uint8_t r) { push(make_tag(Op::jump_r), r); }
  // Jumps to labels[index]; the index is zero-extended to 64 bits and within bounds. Clobbers both registers.
  void jump_table(uint8_t index, uint8_t scratch, std::span<const Label> labels) {
    const uint32_t at = table_record(labels, 22);
    push(make_tag(Op::jump_table), index | uint32_t(scratch) << 5 | at << 10);
  }
  void lea_label(uint8_t to, Label label) {
    label_in_operand(label, 5);
    push(make_tag(Op::lea_label), to);
  }

  // ---- addresses
  void lea(uint8_t to, const Mem& m) { push(make_tag(Op::lea), to | memory(m)); }
  void lea_ref(uint8_t to, uint32_t reference) { push(make_tag(Op::lea_ref), to | reference << 5); }
  void tls_addr(uint8_t to, uint32_t reference) { push(make_tag(Op::tls_addr), to | reference << 5); }
  // a0 = address; clobbers what a call does. `get_addr`: a reference of kind call to __tls_get_addr.
  void tls_gd(uint32_t reference, uint32_t get_addr);

  // ---- inline assembly
  void bytes(std::span<const uint8_t> data);
  // Nops up to the next multiple of 1 << log2 (1 to 12), or none if that would skip more than max_skip bytes.
  void align(unsigned log2, uint32_t max_skip);

  Result<void> finish() { return codegen::MirWriter::finish(make_tag(Op::label), "riscv64"); }

 private:
  uint32_t memory(const Mem& m);  // bits 5..31 of an operand word
};

// How many instructions load_immediate() takes.
unsigned immediate_cost(int64_t value);

}  // namespace lode::riscv64
