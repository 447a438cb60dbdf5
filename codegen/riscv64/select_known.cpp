// What is known about the bits above a narrow value's width: see selector.h.
//
// An instruction's result is known by what it is selected to. A block's parameter is what all its arguments are: all
// parameters are taken to be known at first, and passes over the blocks take away what an argument does not bear out,
// until nothing changes. Undefined arguments bear out nothing, because no code puts a value into the register then.
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::Inst;

namespace {
constexpr uint8_t both = 3;
}

uint8_t Selector::known_of(ValueId v) const {
  if (const air::Constant* c = fn_->constant(v)) {
    int64_t x;
    if (c->kind == air::ConstantKind::Undef || !int_constant(v, x)) return 0;
    return x < 0 ? known_sign : both;
  }
  return known_[v.value];
}

// Of leaf `leaf` of an instruction with several results.
uint8_t Selector::known_leaf(const Inst& i, uint32_t leaf) const {
  switch (i.op) {
    case AirOp::cmpxchg:
      if (leaf == 1) return both;
      return bits_of(type_of(i.vb())) == 32 ? known_sign : known_zero;
    case AirOp::uadd_overflow: case AirOp::sadd_overflow: case AirOp::usub_overflow: case AirOp::ssub_overflow:
    case AirOp::umul_overflow: case AirOp::smul_overflow:
      if (leaf == 1) return both;
      return bits_of(type_of(i.va())) == 32 ? known_sign : 0;
    default: return 0;
  }
}

uint8_t Selector::known_by(const Inst& i) const {
  const unsigned bits = bits_of(i.type);
  const uint8_t word = bits == 32 ? known_sign : 0;
  int64_t c;
  switch (i.op) {
    case AirOp::add: case AirOp::sub: case AirOp::mul: case AirOp::shl: return word;
    case AirOp::and_: {
      const uint8_t a = known_of(i.va()), b = known_of(i.vb());
      if (int_constant(i.vb(), c) && c >= 0) return both;
      return uint8_t(((a | b) & known_zero) | (a & b & known_sign));
    }
    case AirOp::or_: case AirOp::xor_: return known_of(i.va()) & known_of(i.vb());
    case AirOp::lshr:
      if (int_constant(i.vb(), c) && c > 0) return both;
      return bits == 32 ? known_sign : known_zero;
    case AirOp::ashr: case AirOp::sdiv: case AirOp::srem: return known_sign;
    case AirOp::udiv: case AirOp::urem: return bits == 32 ? known_sign : known_zero;
    case AirOp::ctlz: case AirOp::cttz: case AirOp::ctpop: return both;
    case AirOp::smin: case AirOp::smax: return known_sign;
    case AirOp::umin: case AirOp::umax: return bits == 32 ? known_sign : known_zero;
    case AirOp::bswap: case AirOp::bitreverse: return bits == 32 ? known_sign : known_zero;
    case AirOp::fshl: case AirOp::fshr: return word;
    case AirOp::icmp: case AirOp::fcmp: return both;
    case AirOp::select: return known_of(i.vb()) & known_of(i.vc());
    case AirOp::freeze: case AirOp::bitcast:
      return is_fp(type_of(i.va())) ? word : type_of(i.va()) == i.type ? known_of(i.va()) : 0;
    case AirOp::trunc: return 0;
    case AirOp::zext: return both;
    case AirOp::sext: return known_sign;
    case AirOp::fptosi: case AirOp::fptoui: case AirOp::fptosi_sat: case AirOp::fptoui_sat: return word;
    case AirOp::load: return bits == 32 ? known_sign : known_zero;
    case AirOp::atomic_rmw: return bits == 32 ? known_sign : known_zero;
    case AirOp::extract: {
      const Inst* source = def_of(i.va());
      return source ? known_leaf(*source, fn_->extra[i.b + 1]) : 0;
    }
    case AirOp::call: case AirOp::invoke: {
      const uint16_t attrs = fn_->calls[i.a].inline_asm == ~0u ? fn_->calls[i.a].result_attrs : 0;
      return uint8_t((attrs & air::attr::sext ? known_sign : 0) | (attrs & air::attr::zext ? known_zero : 0));
    }
    default: return 0;
  }
}

void Selector::find_known() {
  const air::Function& f = *fn_;
  known_.assign(f.values.size(), 0);
  auto narrow = [&](ValueId v) {
    const TypeId t = type_of(v);
    return t == TypeTable::i8 || t == TypeTable::i16 || t == TypeTable::i32;
  };
  auto own = [&](ValueId v) -> uint8_t {
    if (type_of(v) == TypeTable::i1) return both;
    return narrow(v) ? both : 0;
  };
  for (uint32_t b = 0; b < f.blocks.size(); b++) {
    const air::Block& block = f.blocks[b];
    for (uint32_t k = 0; k < block.param_count; k++) {
      const ValueId v(block.first_param + k);
      known_[v.value] = own(v);
      if (b != 0 || !narrow(v)) continue;
      const uint16_t bits = k < f.param_attrs.size() ? f.param_attrs[k].bits : 0;
      known_[v.value] =
          uint8_t((bits & air::attr::sext ? known_sign : 0) | (bits & air::attr::zext ? known_zero : 0));
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (uint32_t b : flow_.rpo) {
      const air::Block& block = f.blocks[b];
      for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++) {
        const Inst& i = f.insts[k];
        if (i.result.valid()) known_[i.result.value] = narrow(i.result) ? known_by(i) : own(i.result);
      }
      if (!block.inst_count) continue;
      air::for_each_edge(f, f.insts[block.first_inst + block.inst_count - 1], [&](air::EdgeIndex e) {
        const air::Edge& edge = f.edges[e];
        const air::Block& target = f.blocks[edge.target.value];
        for (uint32_t p = 0; p < target.param_count; p++) {
          const ValueId param(target.first_param + p), arg(f.extra[edge.args + p]);
          if (!narrow(param)) continue;
          const uint8_t now = known_[param.value] & known_of(arg);
          changed |= now != known_[param.value];
          known_[param.value] = now;
        }
      });
    }
  }
}

}  // namespace lode::riscv64
