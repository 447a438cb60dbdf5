// An oracle over selected code: no instruction asks a register for more than the allocator knows of its value.
//
// The allocator carries as many bytes of a value as its register says (VRegInfo::bytes): what stands above is lost when
// the value is put in a slot, or exchanged with another one. So an instruction that reads 64 bits reads a register of 8
// bytes; selection asks for that by Selector::widen() where the upper half of a narrower value is known. Addresses are
// 64 bits, but for those that lea32 adds up.
#include "codegen/x86_64/selector.h"

namespace lode::x86_64 {

std::string Selector::check_widths() const {
  for (uint32_t k = 0; k < vcode_.insts.size(); k++) {
    const codegen::VInst& v = vcode_.insts[k];
    const unsigned op = v.op & op_mask;
    if (op >= pseudo_first || v.flags & (codegen::vflags::copy | codegen::vflags::parallel_copy)) continue;
    const InstInfo& i = info(Op(op));
    uint32_t count;
    const Operand* operands = vcode_.operands_of(v, count);
    std::string problem;
    auto wants = [&](uint32_t at, RegKind kind) {
      if (at >= count || !operands[at].reg().is_virtual()) return;
      const codegen::VRegInfo& r = vcode_.vregs[operands[at].reg().index()];
      const bool fp = kind == RegKind::x || kind == RegKind::y;
      if (kind == RegKind::no || kind == RegKind::st) return;
      if (fp != (r.cls == RegClass::fp)) problem = "a register of the wrong class";
      else if (kind == RegKind::g64 && operands[at].reads() && r.bytes < 8)
        problem = "64 bits of a register that holds 32";
    };
    const bool has_memory =
        i.form == Form::rm || i.form == Form::mr || i.form == Form::m || i.form == Form::mi || i.form == Form::rmi ||
        i.form == Form::rrm || i.form == Form::rrmi || i.form == Form::rmr || i.form == Form::mrr ||
        i.form == Form::mri;
    const uint32_t address = has_memory && v.b != ~0u ? uint32_t(mems_[v.b].has_base + mems_[v.b].has_index) : 0;
    switch (i.form) {
      case Form::rr: case Form::rri:
        wants(0, i.a);
        wants(1, i.b);
        break;
      case Form::rrr: case Form::rrri:
        wants(0, i.a);
        wants(1, i.b);
        wants(2, i.c);
        break;
      case Form::rrm: case Form::rrmi:
        wants(0, i.a);
        wants(1, i.b);
        break;
      case Form::ri: case Form::rm: case Form::rmi: wants(0, i.a); break;
      case Form::mr: wants(count - 1 - address, i.a); break;
      case Form::r: wants(count - 1, i.a); break;
      default: break;
    }
    if (Op(op) != Op::lea32rm)
      for (uint32_t n = 0; n < address; n++) wants(count - 1 - n, RegKind::g64);
    if (!problem.empty()) return "instruction " + std::to_string(k) + " (" + i.name() + ") reads " + problem;
  }
  return {};
}

}  // namespace lode::x86_64
