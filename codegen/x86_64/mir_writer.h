// Writes the MIR of one function into a mir::FunctionDraft.
//
// codegen/native/mir_writer.h has what is not x86_64's: labels, references, constants, slots, records. Epilogues are
// part of `ret`, `jmp_ref` and `tail64r`.
//
// Operands come in Intel order: destination first. Registers are hardware numbers 0..15 of the class that the row asks
// for.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "codegen/native/mir_writer.h"
#include "codegen/x86_64/mir.h"
#include "codegen/x86_64/vex_forms.h"

namespace lode::x86_64 {

using codegen::Label;
using codegen::ThrowingCall;

class MirWriter : public codegen::MirWriter {
 public:
  using codegen::MirWriter::MirWriter;

  // Instructions on xmm registers are written in their VEX-encoded forms from now on (or no longer): code with AVX does
  // not mix the two.
  void use_vex(bool yes);

  // ---- instructions; the names of the functions are the forms of instructions.def
  void op(Op op) { push(make_tag(op), 0); }  // none, pseudo_none (ret, ud2, ...)
  void r(Op op, uint8_t reg, Cond cc = Cond::o) {
    if (op == Op::call64r) set_frame_flags(frame::has_calls);
    push(make_tag(op, cc), reg);
  }
  void rr(Op op, uint8_t dst, uint8_t src, Cond cc = Cond::o) {
    if (vex_) [[unlikely]]
      if (const Op v = vex_[unsigned(op)].x; v != Op::count_) {
        if (info(v).form == Form::rrr) return rrr(v, dst, dst, src);
        op = v;
      }
    push(make_tag(op, cc), dst | uint32_t(src) << 4);
  }
  // imm: as wide as the row says. mov, and, test become narrower ones where result and flags are the same.
  void ri(Op op, uint8_t dst, int64_t imm);
  void rri(Op op, uint8_t dst, uint8_t src, int64_t imm);
  void rm(Op op, uint8_t dst, const Mem& src, Cond cc = Cond::o) {
    if (vex_) [[unlikely]]
      if (const Op v = vex_[unsigned(op)].x; v != Op::count_) {
        if (info(v).form == Form::rrm) return rrm(v, dst, dst, src);
        op = v;
      }
    push(make_tag(op, cc), dst | memory(src));
  }
  void mr(Op op, const Mem& dst, uint8_t src) {
    if (vex_) [[unlikely]]
      if (const Op v = vex_[unsigned(op)].x; v != Op::count_) op = v;
    push(make_tag(op), src | memory(dst));
  }
  void m(Op op, const Mem& mem, Cond cc = Cond::o) {
    if (op == Op::call64m) set_frame_flags(frame::has_calls);
    push(make_tag(op, cc), memory(mem));
  }
  void mi(Op op, const Mem& dst, int64_t imm);
  void rmi(Op op, uint8_t dst, const Mem& src, int64_t imm);
  void mri(Op op, const Mem& dst, uint8_t src, int64_t imm) { rmi(op, src, dst, imm); }
  void rrr(Op op, uint8_t a, uint8_t b, uint8_t c, int64_t imm = 0) {  // rrri too
    push(make_tag(op), a | uint32_t(b) << 4 | uint32_t(c) << 8 | uint32_t(imm & 0xff) << 12);
  }
  void rrm(Op op, uint8_t a, uint8_t b, const Mem& memory);  // rmr and mrr too
  void rrmi(Op op, uint8_t a, uint8_t b, const Mem& memory, int64_t imm);
  void i(Op op, int64_t imm);

  // mov r, imm by the shortest form that leaves the flags alone; zero() clobbers them.
  void load_immediate(uint8_t dst, uint64_t value);
  void zero(uint8_t dst) { push(make_tag(Op::zero32r), dst); }

  // ---- control flow
  void jcc(Cond cc, Label target);
  void jmp(Label target);
  void ret() { push(make_tag(Op::ret), 0); }
  void call_ref(uint32_t reference);
  void jmp_ref(uint32_t reference) { push(make_tag(Op::jmp_ref), reference); }    // tail call
  void goto_ref(uint32_t reference) { push(make_tag(Op::goto_ref), reference); }  // leaves the frame as it is
  void tail64r(uint8_t target) { push(make_tag(Op::tail64r), target); }           // target is caller-saved
  void untracked_tail64r(uint8_t target) { push(make_tag(Op::tail64r), target | 16); }
  // Jumps to labels[index]. The index is zero-extended to 64 bits and within bounds. Clobbers both registers and the
  // flags.
  void jump_table(uint8_t index, uint8_t scratch, std::span<const Label> labels);
  void lea_label(uint8_t dst, Label label);

  // ---- symbols
  void lea_ref(uint8_t dst, uint32_t reference) { push(make_tag(Op::lea_ref), dst | reference << 4); }
  void tls_addr(uint8_t dst, uint32_t reference) { push(make_tag(Op::tls_addr), dst | reference << 4); }
  void tls_offset(uint8_t dst, uint32_t reference) { push(make_tag(Op::tls_offset), dst | reference << 4); }
  // rax = address; clobbers what a call does (the linker may relax it to a few moves, on rax only). `get_addr`: a
  // reference of kind call to __tls_get_addr.
  void tls_gd(uint32_t reference, uint32_t get_addr);

  void save_registers(uint16_t gp_mask) { codegen::MirWriter::save_registers(gp_mask & callee_saved_gp); }

  // ---- bytes for inline asm that has no row
  void bytes(std::span<const uint8_t> data);
  // Nops up to the next multiple of 1 << log2 (1 to 12), or none if that would skip more than max_skip bytes.
  void align(unsigned log2, uint32_t max_skip);

  Result<void> finish() { return codegen::MirWriter::finish(make_tag(Op::label), "x86_64"); }

 private:
  const VexForm* vex_ = nullptr;
  uint32_t memory(const Mem& m);  // bits 4..31 of an operand word
  uint32_t memory_long(const Mem& m);
};

}  // namespace lode::x86_64
