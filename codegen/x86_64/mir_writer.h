// Writes the MIR of one function into a mir::FunctionDraft.
//
// Usage: construct (clears the draft but for its symbol), write instructions in final order, bind every label, tell the
// frame's needs, finish(). A label is bound to the next instruction written. Nothing is inserted or reordered later:
// prologue, epilogues (`ret`, `jmp_ref`, `tail64r`) and short branches are emit's.
//
// Operands come in Intel order: destination first. Registers are hardware numbers 0..15 of the class that the row asks
// for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "codegen/native/asm_sections.h"
#include "codegen/native/exception_table.h"
#include "codegen/native/frame.h"
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

struct Label {
  uint32_t value = 0xffffffff;
};

// A call that may throw: its MIR index, and where control goes then.
struct ThrowingCall {
  uint32_t call;
  Label pad{};          // none: on to the caller
  uint32_t action = 0;  // of ExceptionActions
};

class MirWriter {
 public:
  explicit MirWriter(mir::FunctionDraft& draft);

  // ---- instructions; the names of the functions are the forms of instructions.def
  void op(Op op) { push(make_tag(op), 0); }                                    // none, pseudo_none (ret, ud2, ...)
  void r(Op op, uint8_t reg, Cond cc = Cond::o) {
    if (op == Op::call64r) set_frame_flags(frame::has_calls);
    push(make_tag(op, cc), reg);
  }
  void rr(Op op, uint8_t dst, uint8_t src, Cond cc = Cond::o) { push(make_tag(op, cc), dst | uint32_t(src) << 4); }
  // imm: as wide as the row says. mov, and, test become narrower ones where result and flags are the same.
  void ri(Op op, uint8_t dst, int64_t imm);
  void rri(Op op, uint8_t dst, uint8_t src, int64_t imm);
  void rm(Op op, uint8_t dst, const Mem& src, Cond cc = Cond::o) { push(make_tag(op, cc), dst | memory(src)); }
  void mr(Op op, const Mem& dst, uint8_t src) { push(make_tag(op), src | memory(dst)); }
  void m(Op op, const Mem& mem, Cond cc = Cond::o) {
    if (op == Op::call64m) set_frame_flags(frame::has_calls);
    push(make_tag(op, cc), memory(mem));
  }
  void mi(Op op, const Mem& dst, int64_t imm);
  void rmi(Op op, uint8_t dst, const Mem& src, int64_t imm);
  void i(Op op, int64_t imm);

  // mov r, imm by the shortest form that leaves the flags alone; zero() clobbers them.
  void load_immediate(uint8_t dst, uint64_t value);
  void zero(uint8_t dst) { push(make_tag(Op::zero32r), dst); }

  // ---- control flow
  Label new_label();
  void bind(Label label);
  bool bound(Label label) const { return labels_[label.value] != unbound; }
  void jcc(Cond cc, Label target);
  void jmp(Label target);
  void ret() { push(make_tag(Op::ret), 0); }
  void call_ref(uint32_t reference);
  void jmp_ref(uint32_t reference) { push(make_tag(Op::jmp_ref), reference); }  // tail call
  void goto_ref(uint32_t reference) { push(make_tag(Op::goto_ref), reference); }  // leaves the frame as it is
  void tail64r(uint8_t target) { push(make_tag(Op::tail64r), target); }         // target is caller-saved
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
  // The index of {symbol, addend, kind} in the function's references; adds it when new. Kinds got and call have addend
  // 0.
  uint32_t add_reference(SymbolId symbol, int32_t addend, mir::ReferenceKind kind);
  // Offset in the function's constants of `bytes`; equal ones of at least this alignment are shared.
  uint32_t add_constant(std::span<const uint8_t> bytes, unsigned align);

  // ---- frame
  // What is used most comes nearest to rsp: a slot's weight is the number of instructions that name it.
  uint32_t add_slot(uint32_t size, uint32_t align, codegen::SlotZone zone = codegen::SlotZone::rest);
  // See frame::word_probe.
  void probe_inline(uint32_t interval) { draft_.frame[frame::word_probe] = interval; }
  void probe_by_call(uint32_t reference) { draft_.frame[frame::word_probe] = 1u << 31 | reference; }
  void need_outgoing(uint32_t bytes) {
    if (bytes > draft_.frame[frame::word_outgoing]) draft_.frame[frame::word_outgoing] = bytes;
  }
  void save_registers(uint16_t gp_mask) { draft_.frame[frame::word_saved] |= gp_mask & callee_saved_gp; }
  uint32_t frame_flags() const { return draft_.frame[frame::word_flags]; }
  void set_frame_flags(uint32_t flags) {
    draft_.frame[frame::word_flags] |= flags;
  }  // has_calls is set by the call instructions
  bool has_calls() const { return draft_.frame[frame::word_flags] & frame::has_calls; }

  // Once: what surrounds the entry.
  struct Entry {
    uint32_t flags = 0, prefix = 0, type_id = 0, nops = 0;  // see namespace entry
    uint32_t fentry = ~0u;                                  // reference
  };
  void surround_entry(const Entry& e) {
    draft_.frame[frame::word_entry] = uint32_t(draft_.extra.size()) + 1;
    draft_.extra.insert(draft_.extra.end(), {e.flags, e.prefix, e.type_id, e.nops, e.fentry + 1});
  }
  // Once, after the last instruction.
  void exception_table(std::span<const ThrowingCall> calls, const codegen::ExceptionActions& actions,
                       uint32_t personality);

  // ---- bytes for inline asm that has no row
  void bytes(std::span<const uint8_t> data);
  // Nops up to the next multiple of 1 << log2 (1 to 12), or none if that would skip more than max_skip bytes.
  void align(unsigned log2, uint32_t max_skip);

  // What inline assembly puts into other sections; `index` and `minus` of places in the text are Labels until finish().
  std::vector<codegen::AsmSection>& asm_sections() { return asm_sections_; }

  uint32_t size() const { return uint32_t(draft_.tags.size()); }  // MIR index of the next instruction
  mir::FunctionDraft& draft() { return draft_; }

  // Resolves the labels. Errors: an unbound label, a function past the limits of the operand words.
  Result<void> finish();

 private:
  static constexpr uint32_t unbound = 0xffffffff;
  struct Fixup {
    uint32_t at;     // MIR index, or index in extra
    uint32_t label;
    uint8_t kind;    // 0: the operand word; 1: operand bits 4..31; 2: extra
  };
  // Finds equal entries of a list: by comparing while they are few, then by open addressing. find() takes it that an
  // entry which it did not find is appended next.
  struct IndexTable {
    static constexpr uint32_t none = ~0u, few = 16;
    std::vector<uint32_t> slots;  // index + 1 by hash
    template <class HashOf, class Same>
    uint32_t find(size_t count, uint32_t hash, HashOf&& hash_of, Same&& same);
    void insert(uint32_t hash, uint32_t index);
  };
  struct Constant {
    uint64_t hash;
    uint32_t offset, length;
  };

  mir::FunctionDraft& draft_;
  std::vector<uint32_t> labels_;
  std::vector<Fixup> fixups_;
  std::vector<Constant> constants_;
  std::vector<uint32_t> slot_uses_;
  std::vector<codegen::AsmSection> asm_sections_;
  IndexTable reference_table_, constant_table_;
  bool overflow_ = false;

  void push(uint16_t tag, uint32_t operand) {
    draft_.tags.push_back(tag);
    draft_.operands.push_back(operand);
  }
  uint32_t memory(const Mem& m);        // bits 4..31 of an operand word
  uint32_t memory_long(const Mem& m);
  uint32_t extra_index(unsigned bits);  // where the next extra word goes; overflow_ when it does not fit in `bits`
};

}  // namespace lode::x86_64
