// What every native machine's MIR has besides instructions: labels, references, constants, slots, and the records of
// the frame, the entry, exceptions and other sections. A machine's writer derives from MirWriter and adds the functions
// that write its instructions; nothing here knows what a tag or an operand word means, but for labels in them.
//
// Usage: construct (clears the draft but for its symbol), write instructions in final order, bind every label, tell the
// frame's needs, finish(). A label is bound to the next instruction written. Nothing is inserted or reordered later:
// prologue, epilogues and the sizes of branches are emit's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "codegen/native/asm_sections.h"
#include "codegen/native/exception_table.h"
#include "codegen/native/frame.h"
#include "mir_store/mir_store.h"

namespace lode::codegen {

// FunctionDraft::frame. The slots are in `locals`, 8 bytes each: size 32 bits, alignment log2 5 bits, zone 3 bits
// (stack protectors), weight 24 bits (hot slots come nearer to the stack pointer).
namespace frame {
inline constexpr unsigned slot_bytes = 8;
enum : unsigned {
  word_saved = 0,       // mask of the general registers to save (bit = hardware number)
  word_outgoing = 1,    // bytes of the outgoing argument area
  word_flags = 2,       // below; those of the machine follow
  word_exceptions = 3,  // 1 + index in extra of the exception table's record (exception_table.h), or 0
  word_entry = 4,       // 1 + index in extra of what stands around the entry (EntryRecord), or 0
  word_probe = 5,       // how a large frame is touched while it grows. 0: not at all; below 2^31: at least once in so
                        // many bytes, a multiple of 16; from 2^31 on: by the function that is the reference in the low
                        // 31 bits, in a convention of its own
};
inline constexpr uint32_t has_calls = 1,
                          frame_pointer = 2,  // it is not allocated: dynamic alloca, or asked for
    dynamic = 4,       // the stack pointer moves in the body (dynamic alloca, stack restore); implies frame_pointer
    base_pointer = 8,  // dynamic and some slot is aligned beyond the stack: a third register has the frame's address
    no_red_zone = 16, no_cfi = 32,
                          naked = 64,  // no prologue and no epilogue: the text is the body's alone
    first_of_machine = 128;
}  // namespace frame

// In extra: what stands before a function's entry and at it, ahead of the prologue.
struct EntryRecord {
  enum : unsigned { word_flags = 0, word_prefix = 1, word_type_id = 2, word_nops = 3, word_fentry = 4, words = 5 };
  enum : uint32_t { marked = 1 /* as a target of indirect branches */, has_type_id = 2 };
  static constexpr uint32_t most_nops = 1 << 16;

  uint32_t flags = 0;
  uint32_t prefix = 0;    // bytes of nops in front of the entry
  uint32_t type_id = 0;   // with has_type_id: stands in front of those
  uint32_t nops = 0;      // bytes of nops at the entry
  uint32_t fentry = ~0u;  // the reference that is called then
  bool empty() const { return !flags && !prefix && !nops && fentry == ~0u; }
};

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

  // ---- labels
  Label new_label();
  void bind(Label label) { labels_[label.value] = size(); }
  bool bound(Label label) const { return labels_[label.value] != unbound; }

  // ---- symbols and constants
  // The index of {symbol, addend, kind} in the function's references; adds it when new. Kinds got and call have addend
  // 0.
  uint32_t add_reference(SymbolId symbol, int32_t addend, mir::ReferenceKind kind);
  // Offset in the function's constants of `bytes`; equal ones of at least this alignment are shared.
  uint32_t add_constant(std::span<const uint8_t> bytes, unsigned align);

  // ---- frame
  // What is used most comes nearest to the stack pointer: a slot's weight is the number of instructions that name it.
  uint32_t add_slot(uint32_t size, uint32_t align, SlotZone zone = SlotZone::rest);
  void probe_inline(uint32_t interval) { draft_.frame[frame::word_probe] = interval; }
  void probe_by_call(uint32_t reference) { draft_.frame[frame::word_probe] = 1u << 31 | reference; }
  void need_outgoing(uint32_t bytes) {
    if (bytes > draft_.frame[frame::word_outgoing]) draft_.frame[frame::word_outgoing] = bytes;
  }
  void save_registers(uint32_t mask) { draft_.frame[frame::word_saved] |= mask; }
  uint32_t frame_flags() const { return draft_.frame[frame::word_flags]; }
  void set_frame_flags(uint32_t flags) { draft_.frame[frame::word_flags] |= flags; }
  bool has_calls() const { return draft_.frame[frame::word_flags] & frame::has_calls; }  // the call instructions set it

  // Once: what surrounds the entry.
  void surround_entry(const EntryRecord& e);
  // Once, after the last instruction.
  void exception_table(std::span<const ThrowingCall> calls, const ExceptionActions& actions, uint32_t personality);

  // What inline assembly puts into other sections; `index` and `minus` of places in the text are Labels until finish().
  std::vector<AsmSection>& asm_sections() { return asm_sections_; }

  uint32_t size() const { return uint32_t(draft_.tags.size()); }  // MIR index of the next instruction
  mir::FunctionDraft& draft() { return draft_; }

 protected:
  void push(uint16_t tag, uint32_t operand) {
    draft_.tags.push_back(tag);
    draft_.operands.push_back(operand);
  }
  // A label in the operand word of the next instruction, from bit `shift` on; in extra: in its next word.
  void label_in_operand(Label label, uint8_t shift) { uses_.push_back({size(), label.value, shift}); }
  void label_in_extra(Label label) {
    uses_.push_back({uint32_t(draft_.extra.size()), label.value, in_extra});
    draft_.extra.push_back(~0u);
  }
  uint32_t extra_index(unsigned bits);  // where the next extra word goes; an error of finish() unless it fits in `bits`
  void extra_bytes(std::span<const uint8_t> bytes);  // little-endian, from a word of their own
  // A jump table: room in the constants, 4 bytes for each label, and {count, offset there, labels} at the index in
  // extra, which fits in `bits`.
  uint32_t table_record(std::span<const Label> labels, unsigned bits);
  void count_slot_use(uint32_t slot) {
    if (slot < slot_uses_.size()) slot_uses_[slot]++;
  }
  // Resolves the labels. `label_tag`: an instruction without code, for a label behind the last one. Errors: an unbound
  // label, a function past the limits of the operand words.
  Result<void> finish(uint16_t label_tag, const char* machine);

  mir::FunctionDraft& draft_;

 private:
  static constexpr uint32_t unbound = 0xffffffff;
  static constexpr uint8_t in_extra = 0xff;
  struct LabelUse {
    uint32_t at;  // MIR index, or index in extra
    uint32_t label;
    uint8_t shift;
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

  std::vector<uint32_t> labels_;
  std::vector<LabelUse> uses_;
  std::vector<Constant> constants_;
  std::vector<uint32_t> slot_uses_;
  std::vector<AsmSection> asm_sections_;
  IndexTable reference_table_, constant_table_;
  bool overflow_ = false;
};

// The slots of a function's record as lay_out_frame() wants them. Error: damaged words.
Result<void> read_frame_slots(const mir::FunctionView& fn, std::vector<FrameSlot>& out);

}  // namespace lode::codegen
