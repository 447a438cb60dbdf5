// Atomic read-modify-write, compare and exchange, fences. See selector.h.
//
// Words of 32 and 64 bits have instructions. A part of a word is changed by a loop of lr and sc on the word that has
// it, whose other bits stay; `and`, `or` and `xor` on it are those of the word with an operand that leaves the others
// alone. The loops are single pseudo instructions that the finaliser writes: nothing may come between lr and sc
// (unprivileged ISA, "Eventual Success of Store-Conditional Instructions").
#include "base/bytes.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::AtomicOrdering;
using air::Inst;
using air::MemoryFlags;
using air::RmwOp;

namespace {
constexpr uint8_t aq = 1, rl = 2;
uint8_t amo_mode(AtomicOrdering o) {
  switch (o) {
    case AtomicOrdering::acquire: return aq;
    case AtomicOrdering::release: return rl;
    case AtomicOrdering::acq_rel: case AtomicOrdering::seq_cst: return aq | rl;
    default: return 0;
  }
}
// The table of the unprivileged ISA's "Code Porting and Mapping Guidelines".
void loop_modes(AtomicOrdering o, AtomicLoop& loop) {
  loop.lr_mode = o == AtomicOrdering::seq_cst                                     ? aq | rl
                 : o == AtomicOrdering::acquire || o == AtomicOrdering::acq_rel ? aq
                                                                                : 0;
  loop.sc_mode = o == AtomicOrdering::release || o == AtomicOrdering::acq_rel || o == AtomicOrdering::seq_cst ? rl : 0;
}
Op amo(RmwOp op, bool wide) {
  switch (op) {
    case RmwOp::xchg: return wide ? Op::amoswap_d : Op::amoswap_w;
    case RmwOp::and_: return wide ? Op::amoand_d : Op::amoand_w;
    case RmwOp::or_: return wide ? Op::amoor_d : Op::amoor_w;
    case RmwOp::xor_: return wide ? Op::amoxor_d : Op::amoxor_w;
    case RmwOp::smax: return wide ? Op::amomax_d : Op::amomax_w;
    case RmwOp::smin: return wide ? Op::amomin_d : Op::amomin_w;
    case RmwOp::umax: return wide ? Op::amomaxu_d : Op::amomaxu_w;
    case RmwOp::umin: return wide ? Op::amominu_d : Op::amominu_w;
    default: return wide ? Op::amoadd_d : Op::amoadd_w;
  }
}
}  // namespace

void Selector::select_fence(AtomicOrdering o) {
  switch (o) {
    case AtomicOrdering::acquire: return fence(2, 3);
    case AtomicOrdering::release: return fence(3, 1);
    case AtomicOrdering::acq_rel: return push(unsigned(Op::fence_tso), {});
    case AtomicOrdering::seq_cst: return fence(3, 3);
    default: return;
  }
}

struct Selector::Part {
  Reg word, shift, mask;  // the aligned address; bits below the part; ones over it
};

Selector::Part Selector::part_of_word(ValueId address, unsigned bits) {
  Part p{gp(8), gp(8), gp(8)};
  Reg a = reg_of(address);
  ri(Op::andi, p.word, a, -4);
  // The instructions look at the low 5 bits of a count, which are the byte's number times 8.
  ri(Op::slli, p.shift, a, 3);
  Reg ones = constant_reg(bits == 8 ? 0xff : 0xffff);
  rr(Op::sllw, p.mask, {ones}, {p.shift});
  return p;
}

void Selector::select_rmw(const Inst& i) {
  const unsigned bits = bits_of(type_of(i.vb()));
  if (bits < 32) return select_narrow_rmw(i);
  const RmwOp op = MemoryFlags::rmw(i.aux);
  const bool wide = bits == 64;
  const uint32_t mode = amo_mode(MemoryFlags::ordering(i.aux));
  Reg address = reg_of(i.va());
  Source value;
  if (op == RmwOp::sub) {
    int64_t c;
    if (int_constant(i.vb(), c)) value = {constant_reg(int64_t(-uint64_t(c)))};
    else value = {negated(reg_of(i.vb()))};
  } else {
    value = source(i.vb());
  }
  const unsigned o = unsigned(amo(op, wide));
  const bool wanted = is_wanted(i.result);
  const uint32_t a = mode | (value.zero ? first_is_zero : 0) | (wanted ? 0 : result_is_zero);
  if (wanted && !value.zero) push(o, {def(result_reg(i.result)), use(value.reg), use(address)}, a);
  else if (wanted) push(o, {def(result_reg(i.result)), use(address)}, a);
  else if (!value.zero) push(o, {use(value.reg), use(address)}, a);
  else push(o, {use(address)}, a);
}

void Selector::select_narrow_rmw(const Inst& i) {
  const unsigned bits = bits_of(type_of(i.vb()));
  const RmwOp op = MemoryFlags::rmw(i.aux);
  const AtomicOrdering order = MemoryFlags::ordering(i.aux);
  const Part part = part_of_word(i.va(), bits);
  Reg value = zero_extended(i.vb()), operand = gp(8), old = gp(8);
  rr(Op::sllw, operand, {value}, {part.shift});
  if (op == RmwOp::and_ || op == RmwOp::or_ || op == RmwOp::xor_) {
    if (op == RmwOp::and_) {
      Reg others = gp(8), all = gp(8);
      ri(Op::xori, others, part.mask, -1);
      rr(Op::or_, all, {operand}, {others});
      operand = all;
    }
    push(unsigned(amo(op, false)), {def(old), use(operand), use(part.word)}, amo_mode(order));
  } else {
    AtomicLoop loop;
    loop.op = op;
    loop.masked = true;
    loop_modes(order, loop);
    push(p_atomic_loop, {def_early(old), def_early(gp(8)), late(part.word), late(operand), late(part.mask)},
         uint32_t(loops_.size()));
    loops_.push_back(loop);
  }
  if (!is_wanted(i.result)) return;
  Reg down = gp(8);
  rr(Op::srlw, down, {old}, {part.shift});
  extend(result_reg(i.result), down, bits, false);
}

void Selector::select_cmpxchg(const Inst& i) {
  const unsigned bits = bits_of(type_of(i.vb()));
  AtomicLoop loop;
  loop.kind = AtomicLoop::compare_exchange;
  loop.wide = bits == 64;
  loop.masked = bits < 32;
  loop_modes(MemoryFlags::ordering(i.aux), loop);
  Reg old = gp(8), scratch = gp(8), expected, compared = old;
  Part part;
  if (loop.masked) {
    part = part_of_word(i.va(), bits);
    Reg e = zero_extended(i.vb()), r = zero_extended(i.vc()), shifted = gp(8), replacement = gp(8), found = gp(8);
    rr(Op::sllw, shifted, {e}, {part.shift});
    rr(Op::sllw, replacement, {r}, {part.shift});
    push(p_atomic_loop,
         {def_early(old), def_early(scratch), late(part.word), late(shifted), late(replacement), late(part.mask)},
         uint32_t(loops_.size()));
    rr(Op::and_, found, {old}, {part.mask});
    compared = found;
    expected = shifted;
  } else {
    expected = bits == 32 ? sign_extended(i.vb()) : reg_of(i.vb());
    Reg replacement = reg_of(i.vc()), address = reg_of(i.va());
    push(p_atomic_loop, {def_early(old), def_early(scratch), late(address), late(expected), late(replacement)},
         uint32_t(loops_.size()));
  }
  loops_.push_back(loop);
  const uint32_t first = i.result.valid() ? leaf_first_[i.result.value] : ~0u;
  if (first == ~0u) return;
  if (Reg success = leaves_[first + 1].reg; success.valid()) {
    Reg difference = gp(8);
    rr(Op::xor_, difference, {compared}, {expected});
    ri(Op::sltiu, success, difference, 1);
  }
  Reg result = leaves_[first].reg;
  if (!result.valid()) return;
  if (!loop.masked) return copy(result, old);
  Reg down = gp(8);
  rr(Op::srlw, down, {compared}, {part.shift});
  extend(result, down, bits, false);
}

}  // namespace lode::riscv64
