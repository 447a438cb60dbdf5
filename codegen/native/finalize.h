// The last step of making a function, as native machines share it: VCode and its allocation become MIR.
//
// Requires the selector's VCode in layout order. Leaves in the draft: instructions with physical registers, the
// allocator's edits as moves, branches to MIR indices with empty blocks threaded through.
//
// A machine's finaliser F derives from Finalization<F, S>, S being its Selection, and has:
//   begin_block(block)             what stands at the start of a block, after its label (marks of branch targets)
//   instruction(k)                 writes instruction k, whose operands are at Allocation::operands; copies are none
//   move(dst, src, bytes), exchange(a, b, bytes)     the allocator's edits
//   rematerialise(inst, dst, next) issues an instruction again with its result in dst, in front of instruction next
//   write_table(labels)            a jump table that nobody jumps through
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codegen/native/mir_writer.h"
#include "codegen/native/regalloc.h"
#include "codegen/native/selection.h"

namespace lode::codegen {

// By block, where a jump to it ends up: a block that would hold nothing but a jump is jumped over, unless it is the
// entry or `targets` (by block, or empty) says that indirect branches arrive there.
void thread_blocks(const VCode& code, std::span<const Edit> edits, std::span<const uint8_t> targets,
                   std::vector<uint32_t>& thread);

template <class Machine, class Selector>
class Finalization {
 protected:
  explicit Finalization(Selector& s) : s_(s), w_(*s.writer_), code_(s.vcode_) {}
  Machine& machine() { return static_cast<Machine&>(*this); }

  // Frame slots for the allocator's homes.
  void add_spill_slots() {
    first_slot_ = uint32_t(-1);
    for (const SpillSlot& slot : s_.allocation_.slots) {
      const uint32_t n = w_.add_slot(slot.bytes, slot.bytes);
      if (first_slot_ == uint32_t(-1)) first_slot_ = n;
    }
  }

  // The blocks that indirect branches reach, if those have to be marked. Jump tables are entered by branches that ask
  // for no mark.
  void find_branch_targets() {
    targets_.clear();
    if (!s_.marks_targets()) return;
    targets_.resize(code_.blocks.size());
    for (const VInst& v : code_.insts) {
      const unsigned op = v.op & op_mask;
      if (op == p_label_address || op == p_invoke) targets_[v.a] = 1;
      if (op != p_indirect_jump) continue;
      const JumpTable& t = s_.tables_[v.a];
      for (uint32_t j = 0; j < t.count; j++) targets_[s_.table_targets_[t.first + j]] = 1;
    }
    for (uint32_t b : s_.context_->exported_blocks)
      if (const uint32_t n = exported_number(b); n < targets_.size()) targets_[n] = 1;
  }
  bool is_target(uint32_t block) const { return !targets_.empty() && targets_[block]; }

  Result<void> write_blocks() {
    thread_blocks(code_, s_.allocation_.edits, targets_, thread_);
    labels_.clear();
    for (size_t k = 0; k < code_.blocks.size(); k++) labels_.push_back(w_.new_label());
    edit_ = 0;
    for (uint32_t b = 0; b < code_.blocks.size(); b++) {
      w_.bind(labels_[b]);
      const VBlock& block = code_.blocks[b];
      block_end_ = block.first_inst + block.inst_count;
      block_ = b;
      if (thread_[b] != b) continue;  // nobody comes here
      machine().begin_block(b);
      for (uint32_t k = block.first_inst; k < block_end_; k++) {
        run_edits(k);
        machine().instruction(k);
        if (problem_) return std::move(*problem_);
        if (failed_) return error("an operand without a form: internal error in the finaliser");
      }
    }
    export_blocks();
    if (s_.personality_ != ~0u) w_.exception_table(calls_, s_.exceptions_, s_.personality_);
    return {};
  }

  void run_edits(uint32_t inst) {
    const auto& edits = s_.allocation_.edits;
    for (; edit_ < edits.size() && edits[edit_].before_inst <= inst; edit_++) {
      const Edit& e = edits[edit_];
      switch (e.kind) {
        case EditKind::move: machine().move(e.dst, e.src, e.bytes); break;
        case EditKind::exchange: machine().exchange(e.dst, e.src, e.bytes); break;
        case EditKind::remat: machine().rematerialise(code_.insts[e.src.value], e.dst, inst); break;
      }
    }
  }

  Label label(uint32_t block) const { return labels_[thread_[block]]; }
  bool is_next(uint32_t block) const {
    const uint32_t t = thread_[block];
    if (t <= block_) return false;
    for (uint32_t b = block_ + 1; b < t; b++)
      if (thread_[b] == b) return false;
    return true;
  }
  std::span<const Label> labels_of(const JumpTable& t) {
    table_labels_.clear();
    for (uint32_t j = 0; j < t.count; j++) table_labels_.push_back(label(s_.table_targets_[t.first + j]));
    return table_labels_;
  }

  // The words that LowerContext::exported_blocks asks for are a jump table that nobody jumps through.
  void export_blocks() {
    const std::span<const uint32_t> blocks = s_.context_->exported_blocks;
    if (blocks.empty()) return;
    table_labels_.clear();
    for (uint32_t b : blocks) {
      const uint32_t n = exported_number(b);
      table_labels_.push_back(label(n < code_.blocks.size() ? n : 0));
    }
    machine().write_table(table_labels_);
  }
  uint32_t exported_number(uint32_t b) const {
    return b < s_.fn_->blocks.size() ? s_.final_number_[s_.landing(b)] : ~0u;
  }

  Selector& s_;
  decltype(*std::declval<Selector&>().writer_) w_;
  const VCode& code_;
  std::vector<Label> labels_, table_labels_;
  std::vector<uint32_t> thread_;  // by block: where a jump to it ends up
  std::vector<uint8_t> targets_;  // by block; empty: none
  std::vector<ThrowingCall> calls_;
  uint32_t first_slot_ = ~0u, block_ = 0, block_end_ = 0;
  size_t edit_ = 0;
  bool failed_ = false;
  std::optional<Error> problem_;
};

}  // namespace lode::codegen
