#include "codegen/native/finalize.h"

namespace lode::codegen {

void thread_blocks(const VCode& code, std::span<const Edit> edits, std::span<const uint8_t> targets,
                   std::vector<uint32_t>& thread) {
  thread.resize(code.blocks.size());
  size_t edit = 0;
  for (uint32_t b = 0; b < code.blocks.size(); b++) {
    const VBlock& block = code.blocks[b];
    const uint32_t end = block.first_inst + block.inst_count;
    thread[b] = b;
    while (edit < edits.size() && edits[edit].before_inst < block.first_inst) edit++;
    bool empty = b != 0 && (targets.empty() || !targets[b]) &&
                 (edit == edits.size() || edits[edit].before_inst >= end) && block.inst_count &&
                 (code.insts[end - 1].op & op_mask) == p_jump;
    for (uint32_t k = block.first_inst; empty && k + 1 < end; k++)
      empty = code.insts[k].flags & (vflags::copy | vflags::parallel_copy) || (code.insts[k].op & op_mask) == p_nothing;
    if (empty) thread[b] = code.insts[end - 1].a;
  }
  // Follow chains; a cycle of empty blocks is an endless loop and keeps one of them.
  for (uint32_t b = 0; b < thread.size(); b++) {
    uint32_t t = b, steps = 0;
    while (thread[t] != t && steps < 32) {
      t = thread[t];
      steps++;
    }
    thread[b] = steps == 32 ? b : t;
  }
}

}  // namespace lode::codegen
