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
//   registers()                    the RegisterInfo of the allocation; without it variables in registers have no
//                                  debug information
//   write_table(labels)            a jump table that nobody jumps through
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codegen/native/debug_column.h"
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
      const uint32_t n = w_.add_slot(slot.bytes, std::min<uint32_t>(slot.bytes, 16));
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
    if (!s_.marks_.empty()) [[unlikely]] skip_positions(0, uint32_t(code_.insts.size()) + 1);
    for (uint32_t b = 0; b < code_.blocks.size(); b++) {
      w_.bind(labels_[b]);
      const VBlock& block = code_.blocks[b];
      block_end_ = block.first_inst + block.inst_count;
      block_ = b;
      if (!positions_.before.empty()) [[unlikely]] skip_positions(block.first_inst, block_end_);
      if (thread_[b] != b) continue;  // nobody comes here
      machine().begin_block(b);
      for (uint32_t k = block.first_inst; k < block_end_; k++) {
        if (!positions_.before.empty()) [[unlikely]] positions_.before[k] = w_.size();
        if (!code_.locations.empty()) [[unlikely]] note_row(code_.locations[k], k == block.first_inst);
        run_edits(k);
        if (!positions_.before.empty()) [[unlikely]] positions_.behind[k] = w_.size();
        machine().instruction(k);
        if (problem_) return std::move(*problem_);
        if (failed_) return error("an operand without a form: internal error in the finaliser");
      }
    }
    if (s_.located_) [[unlikely]] write_debug();
    export_blocks();
    if (s_.personality_ != ~0u) w_.exception_table(calls_, s_.exceptions_, s_.personality_);
    return {};
  }

  // A row for each change of the source position. Code without one goes on with that of the code before, but at a
  // block's start it is of no line: control may come from anywhere. A row that no code follows is the next one's.
  void note_row(uint32_t location, bool block_start) {
    auto& rows = debug_.rows;
    if (!rows.empty() && rows.back().inst == w_.size()) {
      if (location) rows.back().location = location;
      rows.back().block_start |= block_start;
    } else if (block_start || rows.empty() || (location && location != rows.back().location)) {
      rows.push_back({w_.size(), location, block_start});
    }
  }

  // Instructions that write nothing are where the next one is.
  void skip_positions(uint32_t first, uint32_t end) {
    positions_.before.resize(code_.insts.size() + 1);
    positions_.behind.resize(code_.insts.size() + 1);
    for (uint32_t k = first; k < end; k++) positions_.before[k] = positions_.behind[k] = w_.size();
  }

  void write_debug() {
    const air::Function& fn = *s_.fn_;
    debug_.subprogram = fn.subprogram;
    debug_.locations.reserve(fn.locations.size());
    for (const air::SourceLocation& l : fn.locations)
      debug_.locations.push_back({l.line, l.column, l.scope, l.inlined_at});
    if (debug_.locations.empty()) debug_.locations.emplace_back();
    for (const air::DebugPlace& p : fn.debug_places) {
      DebugRange r{p.variable, p.inlined_at, p.expression, DebugRange::slot, 0, ~0u, 0};
      if (p.kind == air::DebugPlace::slot && p.operand < s_.slots_.size()) {
        r.payload = s_.slots_[p.operand];
        debug_.ranges.push_back(r);
      } else if (p.kind == air::DebugPlace::address && s_.find_incoming(p.operand, r.payload)) {
        r.kind = DebugRange::incoming;
        debug_.ranges.push_back(r);
      }
    }
    if (!positions_.before.empty()) {
      positions_.before.back() = positions_.behind.back() = w_.size();
      if constexpr (requires { machine().registers(); })
        find_debug_ranges(code_, machine().registers(), s_.allocation_, s_.marks_, positions_, first_slot_,
                          debug_.ranges);
    }
    write_debug_column(debug_, w_.draft().debug);
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
  DebugColumn debug_;
  DebugPositions positions_;  // when there are marks of variables
  uint32_t first_slot_ = ~0u, block_ = 0, block_end_ = 0;
  size_t edit_ = 0;
  bool failed_ = false;
  std::optional<Error> problem_;
};

}  // namespace lode::codegen
