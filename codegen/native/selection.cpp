#include "codegen/native/selection.h"

namespace lode::codegen {

void count_uses(const air::Function& f, std::vector<uint32_t>& uses, std::vector<uint32_t>& epochs,
                std::vector<uint32_t>& block_of) {
  uses.assign(f.values.size(), 0);
  epochs.resize(f.insts.size());
  block_of.resize(f.insts.size());
  for (uint32_t b = 0; b < f.blocks.size(); b++) {
    uint32_t epoch = 0;
    const air::Block& block = f.blocks[b];
    for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++) {
      const air::Inst& i = f.insts[k];
      epochs[k] = epoch;
      block_of[k] = b;
      if (air::info(i.op).traits & (air::traits::Write | air::traits::Effect)) epoch++;
      if (i.op == air::Op::load &&
          (air::MemoryFlags::is_volatile(i.aux) || air::MemoryFlags::ordering(i.aux) > air::AtomicOrdering::unordered))
        epoch++;
      air::for_each_operand(f, i, [&](air::ValueId v) { uses[v.value]++; });
    }
  }
}

}  // namespace lode::codegen
