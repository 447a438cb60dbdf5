// VCode as text, for people who debug the selector or the allocator: blocks, instructions with their registers and, when an allocation is
// given, the location of every operand and the edits in between.
#include "codegen/x86_64/print_vcode.h"

#include <fmt/format.h>

#include "codegen/x86_64/mir.h"
#include "codegen/x86_64/selector.h"

namespace lode::x86_64 {

namespace {
std::string register_name(uint32_t r) { return r < 32 ? fmt::format("g{}", r) : fmt::format("x{}", r - 32); }
std::string location_name(codegen::Location l) { return l.is_slot() ? fmt::format("[s{}]", l.slot_index()) : register_name(l.value); }
const char* pseudo_names[] = {"copy", "parallel_copy", "constant", "zero_fp", "indirect_jump", "thunk_jump", "jump", "branch", "branch_oeq", "branch_une", "jump_table", "return",
                              "tail_call", "sub_rsp", "probed_sub_rsp", "mov_from_rsp", "mov_to_rsp", "outgoing_end", "and_rsp", "label_address", "inline_asm", "nothing",
                              "unreachable", "frame_address", "setjmp", "longjmp", "check_type", "invoke"};
static_assert(sizeof(pseudo_names) / sizeof(pseudo_names[0]) == pseudo_end - pseudo_first);
}  // namespace

std::string print_vcode(const codegen::VCode& code, const codegen::Allocation* allocation) {
  static const char* roles[] = {"use", "late", "def", "early", "mod"};
  std::string out;
  size_t edit = 0;
  for (size_t b = 0; b < code.blocks.size(); b++) {
    const codegen::VBlock& block = code.blocks[b];
    out += fmt::format("block {} (frequency {:.2f}) ->", b, block.frequency);
    for (uint32_t k = 0; k < block.succ_count; k++) out += fmt::format(" {}", code.successors[block.succs + k]);
    out += '\n';
    for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++) {
      while (allocation && edit < allocation->edits.size() && allocation->edits[edit].before_inst <= k) {
        const codegen::Edit& e = allocation->edits[edit++];
        if (e.kind == codegen::EditKind::remat) out += fmt::format("      * {} <- again {}\n", location_name(e.dst), e.src.value);
        else out += fmt::format("      * {} {} {} ({})\n", location_name(e.dst), e.kind == codegen::EditKind::move ? "<-" : "<->", location_name(e.src), e.bytes);
      }
      const codegen::VInst& v = code.insts[k];
      unsigned op = v.op & op_mask;
      out += fmt::format("  {:4} {}{}", k, op >= pseudo_first ? pseudo_names[op - pseudo_first] : inst_table[op].name,
                         v.op >> 12 ? fmt::format(".{}", v.op >> 12) : "");
      uint32_t count;
      const codegen::Operand* ops = code.operands_of(v, count);
      for (uint32_t j = 0; j < count; j++) {
        codegen::Reg r = ops[j].reg();
        out += fmt::format(" {}{}:{}", ops[j].may_be_slot() ? "~" : "", roles[unsigned(ops[j].role())],
                           r.is_virtual() ? fmt::format("v{}", r.index()) : register_name(r.value));
        if (allocation) out += fmt::format("={}", location_name(allocation->operands[size_t(ops - code.operands.data()) + j]));
      }
      out += fmt::format("  a={} b={}\n", int32_t(v.a), int32_t(v.b));
    }
  }
  return out;
}

}  // namespace lode::x86_64
