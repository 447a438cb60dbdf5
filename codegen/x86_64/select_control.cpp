// Comparisons, selects, branches and switches. See selector.h.
//
// A comparison with one reader is folded into it: compare() sets the flags for an i1 value and says which condition
// holds. An edge with arguments gets a block of its own for the copies unless its block has only that way out; the
// finaliser threads jumps through such blocks when coalescing has left them empty. The edges of an
// indirect branch cannot be split where they begin, but where they end: see "indirect branches".
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using air::ConstantKind;
using air::FloatPredicate;
using air::Inst;
using air::IntPredicate;
namespace vf = codegen::vflags;

namespace {
Cond cond_of(IntPredicate p) {
  switch (p) {
    case IntPredicate::eq: return Cond::e;
    case IntPredicate::ne: return Cond::ne;
    case IntPredicate::ugt: return Cond::a;
    case IntPredicate::uge: return Cond::ae;
    case IntPredicate::ult: return Cond::b;
    case IntPredicate::ule: return Cond::be;
    case IntPredicate::sgt: return Cond::g;
    case IntPredicate::sge: return Cond::ge;
    case IntPredicate::slt: return Cond::l;
    case IntPredicate::sle: return Cond::le;
  }
  return Cond::e;
}
IntPredicate swapped(IntPredicate p) {
  switch (p) {
    case IntPredicate::ugt: return IntPredicate::ult;
    case IntPredicate::uge: return IntPredicate::ule;
    case IntPredicate::ult: return IntPredicate::ugt;
    case IntPredicate::ule: return IntPredicate::uge;
    case IntPredicate::sgt: return IntPredicate::slt;
    case IntPredicate::sge: return IntPredicate::sle;
    case IntPredicate::slt: return IntPredicate::sgt;
    case IntPredicate::sle: return IntPredicate::sge;
    default: return p;
  }
}
}  // namespace

Selector::Flags Selector::inverted(Flags f) {
  if (f.extra == 0) return {inverse(f.cond), 0};
  static constexpr uint8_t other[5] = {0, 2, 1, 4, 3};
  return {f.cond, other[f.extra]};
}

Selector::Flags Selector::compare_int(const Inst& i) {
  ValueId a = i.va(), b = i.vb();
  IntPredicate p = IntPredicate(i.aux);
  unsigned bits = bits_of(type_of(a));
  int64_t c;
  if (int_constant(a, c) && !int_constant(b, c)) {
    std::swap(a, b);
    p = swapped(p);
  }
  if (bits == 1) {
    // True is -1 as a signed number: signed order is the reverse of unsigned order.
    switch (p) {
      case IntPredicate::sgt: p = IntPredicate::ult; break;
      case IntPredicate::sge: p = IntPredicate::ule; break;
      case IntPredicate::slt: p = IntPredicate::ugt; break;
      case IntPredicate::sle: p = IntPredicate::uge; break;
      default: break;
    }
    if (int_constant(b, c)) {
      Reg r = reg_of(a);
      emit_imm(unsigned(Op::cmp8ri), {use_slot(r, 1)}, int32_t(c & 1));
      return {cond_of(p), 0};
    }
  }
  int32_t imm;
  if (imm32(b, imm)) {
    bool sign_only = p == IntPredicate::eq || p == IntPredicate::ne || p == IntPredicate::slt || p == IntPredicate::sge;
    if (imm == 0) {
      const Inst* d = def_of(a);
      // and + compare with zero = test
      if (d && d->op == AirOp::and_ && sign_only && single_use(a) && !is_wanted(a) && bits > 1) {
        ValueId x = d->va(), y = d->vb();
        int32_t mask;
        if (imm32(x, mask)) std::swap(x, y);
        if (imm32(y, mask)) {
          bool equality = p == IntPredicate::eq || p == IntPredicate::ne;
          if (can_fold_load(x, bits)) {
            if (equality && bits > 8 && mask >= 0 && mask <= 0xff)
              emit_mem(unsigned(Op::test8mi), {}, fold_load(x), uint32_t(int32_t(int8_t(mask))));
            else emit_mem(unsigned(width_op(test_mi, bits)), {}, fold_load(x), uint32_t(mask));
          } else {
            Reg r = reg_of(x);
            if (equality && mask >= 0 && mask <= 0xff)
              emit_imm(unsigned(Op::test8ri), {use_slot(r, 1)}, int32_t(int8_t(mask)));
            else if (bits == 64 && equality && mask >= 0) emit_imm(unsigned(Op::test32ri), {use_slot(r, 4)}, mask);
            else emit_imm(unsigned(width_op(test_ri, bits)), {use_slot(r, bits / 8)}, mask);
          }
          return {p == IntPredicate::slt ? Cond::s : p == IntPredicate::sge ? Cond::ns : cond_of(p), 0};
        }
        if (can_fold_load(y, bits) || can_fold_load(x, bits)) {
          if (!can_fold_load(y, bits)) std::swap(x, y);
          Reg r = reg_of(x);
          emit_mem(unsigned(width_op(test_mr, bits)), {use(r)}, fold_load(y));
        } else {
          Reg r = reg_of(x), s = reg_of(y);
          emit(unsigned(width_op(test_rr, bits)), {use(r), use(s)});
        }
        return {p == IntPredicate::slt ? Cond::s : p == IntPredicate::sge ? Cond::ns : cond_of(p), 0};
      }
    }
    if (can_fold_load(a, bits)) {
      emit_mem(unsigned(width_op(cmp_mi, bits)), {}, fold_load(a), uint32_t(imm));
      return {cond_of(p), 0};
    }
    Reg r = reg_of(a);
    if (imm == 0 && bits > 1) {
      // A value in its slot is compared there; one in a register is tested with itself. The finaliser chooses: cmp with
      // 0.
      emit_imm(unsigned(width_op(cmp_ri, bits)), {use_slot(r, bits / 8)}, 0);
      return {p == IntPredicate::slt ? Cond::s : p == IntPredicate::sge ? Cond::ns : cond_of(p), 0};
    }
    emit_imm(unsigned(width_op(cmp_ri, bits)), {use_slot(r, bits < 8 ? 1 : bits / 8)}, imm);
    return {cond_of(p), 0};
  }
  if (can_fold_load(b, bits) && a != b) {
    Reg r = reg_of(a);
    emit_mem(unsigned(width_op(cmp_rm, bits)), {use(r)}, fold_load(b));
    return {cond_of(p), 0};
  }
  if (can_fold_load(a, bits) && a != b) {
    Reg r = reg_of(b);
    emit_mem(unsigned(width_op(cmp_mr, bits)), {use(r)}, fold_load(a));
    return {cond_of(p), 0};
  }
  Reg r = reg_of(a), s = reg_of(b);
  emit(unsigned(width_op(cmp_rr, bits)), {use_slot(r, bits < 8 ? 1 : bits / 8), use_slot(s, bits < 8 ? 1 : bits / 8)});
  return {cond_of(p), 0};
}

Selector::Flags Selector::compare_float(const Inst& i) {
  FloatPredicate p = FloatPredicate(i.aux);
  if (p == FloatPredicate::false_) return {Cond::e, 4};
  if (p == FloatPredicate::true_) return {Cond::e, 3};
  ValueId a = i.va(), b = i.vb();
  // ucomis sets ZF PF CF: unordered 111, less 001, greater 000, equal 100. `above` and `above or equal` are false when
  // unordered, so less-than swaps its operands; the unordered forms use below.
  bool swap =
      p == FloatPredicate::olt || p == FloatPredicate::ole || p == FloatPredicate::ugt || p == FloatPredicate::uge;
  if (swap) std::swap(a, b);
  TypeId type = type_of(a);
  if (type == TypeTable::f80) {
    load_f80(b);
    load_f80(a);
    emit(unsigned(Op::fucomip), {}, 1);  // compares st0 = a with st1 = b and pops a
    emit(unsigned(Op::fstp_st0), {});
  } else {
    unsigned bits = type == TypeTable::f32 ? 32 : 64;
    if (can_fold_load(b, bits) && a != b) {
      Reg r = reg_of(a);
      emit_mem(unsigned(bits == 32 ? Op::ucomiss_rm : Op::ucomisd_rm), {use(r)}, fold_load(b));
    } else {
      Reg r = reg_of(a), s = reg_of(b);
      emit(unsigned(bits == 32 ? Op::ucomiss_rr : Op::ucomisd_rr), {use(r), use_slot(s, bits / 8)});
    }
  }
  switch (p) {
    case FloatPredicate::oeq: return {Cond::e, 1};
    case FloatPredicate::une: return {Cond::ne, 2};
    case FloatPredicate::ogt: case FloatPredicate::olt: return {Cond::a, 0};
    case FloatPredicate::oge: case FloatPredicate::ole: return {Cond::ae, 0};
    case FloatPredicate::ult: case FloatPredicate::ugt: return {Cond::b, 0};
    case FloatPredicate::ule: case FloatPredicate::uge: return {Cond::be, 0};
    case FloatPredicate::one: return {Cond::ne, 0};
    case FloatPredicate::ueq: return {Cond::e, 0};
    case FloatPredicate::ord: return {Cond::np, 0};
    case FloatPredicate::uno: return {Cond::p, 0};
    default: return {Cond::e, 4};
  }
}

Selector::Flags Selector::compare(ValueId cond) {
  int64_t c;
  // A negation that only this reads: its operand, the other way round.
  bool negated = false;
  for (const Inst* d; (d = def_of(cond)) && d->op == AirOp::xor_ && single_use(cond) && !is_wanted(cond) &&
                      int_constant(d->vb(), c) && (c & 1);) {
    cond = d->va();
    negated = !negated;
  }
  Flags f = compare_plain(cond);
  return negated ? inverted(f) : f;
}

Selector::Flags Selector::compare_plain(ValueId cond) {
  int64_t c;
  if (int_constant(cond, c)) return {Cond::e, uint8_t(c & 1 ? 3 : 4)};
  const Inst* d = def_of(cond);
  if (d && single_use(cond) && !is_wanted(cond)) {
    if (d->op == AirOp::icmp) return compare_int(*d);
    if (d->op == AirOp::fcmp) return compare_float(*d);
    if (d->op == AirOp::trunc && d->type == TypeTable::i1) {
      if (can_fold_load(d->va(), bits_of(type_of(d->va())))) {
        emit_mem(unsigned(Op::test8mi), {}, fold_load(d->va()), 1);
        return {Cond::ne, 0};
      }
      Reg r = reg_of(d->va());
      emit_imm(unsigned(Op::test8ri), {use_slot(r, 1)}, 1);
      return {Cond::ne, 0};
    }
  }
  if (can_fold_load(cond, 1)) {
    emit_mem(unsigned(Op::cmp8mi), {}, fold_load(cond), 0);
    return {Cond::ne, 0};
  }
  Reg r = reg_of(cond);
  emit_imm(unsigned(Op::cmp8ri), {use_slot(r, 1)}, 0);
  return {Cond::ne, 0};
}

void Selector::set_from_flags(Reg dst, Flags f) {
  switch (f.extra) {
    case 0: emit(with_cond(Op::setcc8r, f.cond), {def(dst)}); break;
    case 1: case 2: {
      Reg t = gp(4);
      emit(with_cond(Op::setcc8r, f.extra == 1 ? Cond::e : Cond::ne), {def(t)});
      emit(with_cond(Op::setcc8r, f.extra == 1 ? Cond::np : Cond::p), {def(dst)});
      emit(unsigned(f.extra == 1 ? Op::and32rr : Op::or32rr), {mod(dst), use(t)});
      break;
    }
    default: constant_into(dst, f.extra == 3); break;
  }
}

void Selector::select_compare(const Inst& i) {
  Reg dst = result_reg(i.result);
  set_from_flags(dst, i.op == AirOp::icmp ? compare_int(i) : compare_float(i));
}

void Selector::select_select(const Inst& i) {
  if (i.type == TypeTable::f80) {
    // fld both, keep one: through memory by an integer select of the addresses.
    Reg a = gp(8), b = gp(8), p = gp(8);
    auto place = [&](ValueId v, Reg r) {
      if (fn_->constant(v)) {
        uint32_t slot = new_slot(16, 4);
        load_f80(v);
        emit_mem(unsigned(Op::fstp80m), {}, slot_mem(slot));
        lea(r, slot_mem(slot));
      } else {
        lea(r, slot_mem(f80_slot(v)));
      }
    };
    place(i.vb(), a);
    place(i.vc(), b);
    Flags f = compare(i.va());
    if (f.extra) {
      Reg t = gp(4);
      set_from_flags(t, f);
      emit_imm(unsigned(Op::cmp8ri), {use(t)}, 0);
      f = {Cond::ne, 0};
    }
    copy(p, b);
    emit(with_cond(Op::cmov64rr, f.cond), {mod(p), use(a)});
    emit_mem(unsigned(Op::fld80m), {}, reg_mem(p));
    store_f80(i.result);
    return;
  }
  Reg dst = result_reg(i.result);
  bool fp_type = is_fp(i.type);
  if (i.type == TypeTable::f128 || i.type == TypeTable::v128) {
    // dst = b where the mask is set, else c.
    Reg b = reg_of(i.vb()), c = reg_of(i.vc()), flag = gp(4);
    set_from_flags(flag, compare(i.va()));
    Reg wide = gp(4), mask = fp(16), keep = fp(16);
    emit(unsigned(Op::movzx32rr8), {def(wide), use(flag)});
    emit(unsigned(Op::neg32r), {mod(wide)});
    emit(unsigned(Op::movd_xr), {def(mask), use(wide)});
    emit_imm(unsigned(Op::pshufd_rri), {def(keep), use(mask)}, 0);
    Reg picked = fp(16);
    copy(picked, keep);
    emit(unsigned(Op::andps_rr), {mod(picked), use(b)});
    emit(unsigned(Op::andnps_rr), {mod(keep), use(c)});
    copy(dst, keep);
    emit(unsigned(Op::orps_rr), {mod(dst), use(picked)});
    return;
  }
  bool wide = i.type == TypeTable::f64 || (!fp_type && bits_of(i.type) == 64);
  unsigned bytes = wide ? 8 : 4;
  Op cmov = wide ? Op::cmov64rr : Op::cmov32rr;
  int64_t x, y;
  if (!fp_type && int_constant(i.vb(), x) && int_constant(i.vc(), y)) {
    // Constants: setcc and arithmetic.
    int64_t difference = int64_t(uint64_t(x) - uint64_t(y));
    Flags f = compare(i.va());
    if (difference == -1) {
      f = inverted(f);
      std::swap(x, y);
      difference = 1;
    }
    if (difference == 1) {
      Reg t = gp(4);
      set_from_flags(t, f);
      if (y == 0) {
        emit(unsigned(Op::movzx32rr8), {def(dst), use(t)});
        return;
      }
      Reg u = gp(8);
      emit(unsigned(Op::movzx32rr8), {def(u), use(t)});
      if (fits_signed(y, 32)) {
        emit_mem(unsigned(wide ? Op::lea64rm : Op::lea32rm), {def(dst)}, reg_mem(u, int32_t(y)));
      } else {
        Reg k = constant_reg(uint64_t(y), 64);
        copy(dst, u);
        emit(unsigned(Op::add64rr), {mod(dst), use(k)});
      }
      return;
    }
    if (f.extra >= 3) {
      int64_t v = f.extra == 3 ? x : y;
      constant_into(dst, wide ? uint64_t(v) : uint64_t(v) & 0xffffffff);
      return;
    }
    if (f.extra) {
      Reg t = gp(4);
      set_from_flags(t, f);
      emit_imm(unsigned(Op::cmp8ri), {use(t)}, 0);
      f = {Cond::ne, 0};
    }
    Reg a = gp(bytes);
    constant_into(a, wide ? uint64_t(x) : uint64_t(x) & 0xffffffff);
    constant_into(dst, wide ? uint64_t(y) : uint64_t(y) & 0xffffffff);
    emit(with_cond(cmov, f.cond), {mod(dst), use(a)});
    return;
  }
  // The condition's own comparison must be the last thing that touches the flags before the move.
  Reg b, c;
  if (fp_type) {
    Reg fb = reg_of(i.vb()), fc = reg_of(i.vc());
    b = gp(bytes);
    c = gp(bytes);
    emit(unsigned(wide ? Op::movq_rx : Op::movd_rx), {def(b), use(fb)});
    emit(unsigned(wide ? Op::movq_rx : Op::movd_rx), {def(c), use(fc)});
  } else {
    b = reg_of(i.vb());
    c = reg_of(i.vc());
  }
  Flags f = compare(i.va());
  Reg t = fp_type ? gp(bytes) : dst;
  if (f.extra >= 3) {
    copy(t, f.extra == 3 ? b : c);
  } else if (f.extra == 1) {  // equal and ordered: take c when not equal or unordered
    Reg s = gp(bytes);
    copy(s, b);
    emit(with_cond(cmov, Cond::ne), {mod(s), use(c)});
    copy(t, s);
    emit(with_cond(cmov, Cond::p), {mod(t), use(c)});
  } else if (f.extra == 2) {
    Reg s = gp(bytes);
    copy(s, c);
    emit(with_cond(cmov, Cond::ne), {mod(s), use(b)});
    copy(t, s);
    emit(with_cond(cmov, Cond::p), {mod(t), use(b)});
  } else if (!fp_type && dies_here(i.vb()) && !dies_here(i.vc())) {
    copy(t, b);
    emit(with_cond(cmov, inverse(f.cond)), {mod(t), use_slot(c, bytes)});
  } else {
    copy(t, c);
    emit(with_cond(cmov, f.cond), {mod(t), use_slot(b, bytes)});
  }
  if (fp_type) emit(unsigned(wide ? Op::movq_xr : Op::movd_xr), {def(dst), use(t)});
}

// ---- edges ----------------------------------------------------------------------------------------------------------

bool Selector::param_wanted(uint32_t block, ValueId param) {
  if (uses_[param.value] == 0) return false;
  // A block that was selected before this one has asked for what it needs; one that comes later (a loop's head) may yet
  // ask.
  if (flow_.rpo_number[block] > flow_.rpo_number[cur_block_]) return is_wanted(param);
  return true;
}

// The copies of an edge's arguments to the parameters of its target.
void Selector::edge_copies(uint32_t e, bool through_slots) {
  const air::Edge& edge = fn_->edges[e];
  const air::Block& target = fn_->blocks[edge.target.value];
  std::vector<Operand>& ops = ops_;
  std::vector<uint32_t>& x87 = x87_slots_;
  ops.clear();
  x87.clear();
  for (uint32_t k = 0; k < target.param_count; k++) {
    ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
    if (param == arg || !param_wanted(edge.target.value, param)) continue;
    TypeId type = type_of(param);
    if (type == TypeTable::f80) {
      // On the x87 stack while there is room, then in slots of their own: what is read must all have been read before
      // any is written.
      load_f80(arg);
      if (x87.size() >= 7) {
        if (x87.size() - 7 == x87_spare_.size()) x87_spare_.push_back(new_slot(16, 4));
        emit_mem(unsigned(Op::fstp80m), {}, slot_mem(x87_spare_[x87.size() - 7]));
      }
      x87.push_back(f80_slot(param));
      continue;
    }
    const air::Constant* c = fn_->constant(arg);
    if (c && c->kind == ConstantKind::Undef) continue;
    Reg src = reg_of(arg);
    if (through_slots) {
      ops.push_back(use(src));
      continue;
    }
    Reg dst = result_reg(param);
    if (src == dst) continue;
    match_bytes(dst, src);
    ops.push_back(def(dst));
    ops.push_back(use(src));
  }
  for (size_t k = std::min<size_t>(x87.size(), 7); k-- > 0;) emit_mem(unsigned(Op::fstp80m), {}, slot_mem(x87[k]));
  for (size_t k = 7; k < x87.size(); k++) {
    emit_mem(unsigned(Op::fld80m), {}, slot_mem(x87_spare_[k - 7]));
    emit_mem(unsigned(Op::fstp80m), {}, slot_mem(x87[k]));
  }
  if (through_slots) {
    uint32_t slot = param_slot_[edge.target.value];
    size_t at = 0;
    for (uint32_t k = 0; k < target.param_count; k++) {
      ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
      if (param == arg || !param_wanted(edge.target.value, param) || type_of(param) == TypeTable::f80) continue;
      const air::Constant* c = fn_->constant(arg);
      if (c && c->kind == ConstantKind::Undef) continue;
      store_reg(slot_mem(slot + k), type_of(param), ops[at++].reg());
    }
    return;
  }
  if (!ops.empty()) emit_list(p_parallel_copy, ops, 0, ~0u, vf::parallel_copy, 0);
}

void Selector::match_bytes(Reg dst, Reg src) {
  if (!dst.is_virtual() || !src.is_virtual()) return;
  codegen::VRegInfo &d = vcode_.vregs[dst.index()], &s = vcode_.vregs[src.index()];
  if (s.bytes < d.bytes) s.bytes = d.bytes;
}

bool Selector::edge_has_copies(uint32_t e) {
  const air::Edge& edge = fn_->edges[e];
  const air::Block& target = fn_->blocks[edge.target.value];
  for (uint32_t k = 0; k < target.param_count; k++) {
    ValueId param(target.first_param + k), arg(fn_->extra[edge.args + k]);
    if (param == arg || !param_wanted(edge.target.value, param)) continue;
    const air::Constant* c = fn_->constant(arg);
    if (c && c->kind == ConstantKind::Undef) continue;
    return true;
  }
  return false;
}

uint32_t Selector::edge_block(uint32_t e) {
  uint32_t target = fn_->edges[e].target.value;
  if (!edge_has_copies(e)) return target;
  uint32_t block = new_block(std::min(pending_[cur_block_].frequency, pending_[target].frequency));
  fill_made(block, [&] {
    edge_copies(e);
    emit(p_jump, {}, target, vf::terminator);
  });
  return block;
}

void Selector::branch(Flags f, uint32_t if_true, uint32_t if_false) {
  unsigned op = f.extra == 1   ? unsigned(p_branch_oeq)
                : f.extra == 2 ? unsigned(p_branch_une)
                               : unsigned(p_branch) | unsigned(f.cond) << 12;
  if (f.extra >= 3 || if_true == if_false) {
    emit(p_jump, {}, f.extra == 4 ? if_false : if_true, vf::terminator);
    return;
  }
  emit(op, {}, if_true, vf::terminator);
  cur_.back().b = if_false;
}

// A conjunction (or disjunction) that only this branch reads becomes two branches.
bool Selector::short_circuit(ValueId cond, uint32_t if_true, uint32_t if_false, unsigned depth) {
  const Inst* d = def_of(cond);
  if (!d || depth > 3 || !single_use(cond) || is_wanted(cond) || d->type != TypeTable::i1) return false;
  ValueId a, b;
  bool conjunction;
  int64_t c;
  if (d->op == AirOp::and_ || d->op == AirOp::or_) {
    a = d->va();
    b = d->vb();
    conjunction = d->op == AirOp::and_;
    // Both sides have to be comparisons that fold: otherwise the plain operation is shorter.
    auto folds = [&](ValueId v) {
      const Inst* x = def_of(v);
      return x && (x->op == AirOp::icmp || x->op == AirOp::fcmp) && single_use(v) && !is_wanted(v);
    };
    if (!folds(a) || !folds(b)) return false;
  } else if (d->op == AirOp::select && int_constant(d->vc(), c) && (c & 1) == 0) {
    a = d->va();
    b = d->vb();
    conjunction = true;
  } else if (d->op == AirOp::select && int_constant(d->vb(), c) && (c & 1) == 1) {
    a = d->va();
    b = d->vc();
    conjunction = false;
  } else {
    return false;
  }
  uint32_t middle = new_block(pending_[cur_block_].frequency / 2);
  if (!short_circuit(a, conjunction ? middle : if_true, conjunction ? if_false : middle, depth + 1))
    branch(compare(a), conjunction ? middle : if_true, conjunction ? if_false : middle);
  fill_made(middle, [&] {
    if (!short_circuit(b, if_true, if_false, depth + 1)) branch(compare(b), if_true, if_false);
  });
  return true;
}

void Selector::select_branch(const Inst& i) {
  if (i.op == AirOp::br) {
    edge_copies(i.a);
    emit(p_jump, {}, fn_->edges[i.a].target.value, vf::terminator);
    return;
  }
  int64_t c;
  if (int_constant(i.va(), c)) {
    uint32_t e = c & 1 ? i.b : i.c;
    edge_copies(e);
    emit(p_jump, {}, fn_->edges[e].target.value, vf::terminator);
    return;
  }
  // The blocks for copies come first: they ask for their arguments' registers before the comparison may fold one of
  // them.
  uint32_t if_true = edge_block(i.b), if_false = edge_block(i.c);
  if (if_true == if_false) {
    emit(p_jump, {}, if_true, vf::terminator);
    return;
  }
  if (short_circuit(i.va(), if_true, if_false, 0)) return;
  branch(compare(i.va()), if_true, if_false);
}

// ---- indirect branches ----------------------------------------------------------------------------------------------
//
// All edges of an indirect branch begin with the same jump, so there is no place for the copies of one of them; but the
// address that it jumps to is ours to choose. A target with parameters gets a landing: a block that the address stands
// for, and that gives the target its parameters. Reached from one indirect branch only, as in an interpreter's loop
// once clang has merged its dispatches, the landing makes the edge's copies from what lived in registers at the branch.
// Reached from several, it loads what each of them left in slots. Other edges to the target know nothing of this.

void Selector::prepare_indirect_branches() {
  const air::Function& f = *fn_;
  landing_.clear();
  param_slot_.clear();
  for (uint32_t k = 0; k < f.insts.size(); k++) {
    const Inst& i = f.insts[k];
    if (i.op != AirOp::indirect_br) continue;
    if (landing_.empty()) {
      for (uint32_t b = 0; b < f.blocks.size(); b++) landing_.push_back(b);
      param_slot_.assign(f.blocks.size(), ~0u);
      indirect_seen_.assign(f.blocks.size(), ~0u);
    }
    air::for_each_edge(f, i, [&](uint32_t e) {
      uint32_t b = f.edges[e].target.value, before = indirect_seen_[b];
      indirect_seen_[b] = k;
      if (before == ~0u || before == k || param_slot_[b] != ~0u) return;
      for (uint32_t p = 0; p < f.blocks[b].param_count; p++) {
        uint32_t s = new_slot(16, 4);
        if (p == 0) param_slot_[b] = s;
      }
      if (param_slot_[b] != ~0u) landing_[b] = new_block(pending_[b].frequency, b);
    });
  }
  std::fill(indirect_seen_.begin(), indirect_seen_.end(), ~0u);
}

void Selector::select_indirect_branch(const Inst& i) {
  JumpTable t;
  t.first = uint32_t(table_targets_.size());
  const uint32_t* edges = fn_->extra.data() + i.b + 1;
  for (uint32_t k = 0, n = fn_->extra[i.b]; k < n; k++) {
    uint32_t e = edges[k], target = fn_->edges[e].target.value;
    // A target may be listed more than once.
    if (indirect_seen_[target] == cur_inst_) continue;
    indirect_seen_[target] = cur_inst_;
    if (param_slot_[target] != ~0u) edge_copies(e, true);
    else landing_[target] = edge_block(e);
    table_targets_.push_back(landing_[target]);
  }
  t.count = uint32_t(table_targets_.size()) - t.first;
  tables_.push_back(t);
  if (fn_->flags & air::function_flags::retpoline_branches) {
    Reg r11{11};
    copy(r11, reg_of(i.va()));
    emit(p_thunk_jump, {use(r11)}, uint32_t(tables_.size() - 1), vf::terminator);
    cur_.back().b = indirect_thunk();
  } else if (can_fold_load(i.va(), 64)) {
    emit_mem(p_indirect_jump, {}, fold_load(i.va()), uint32_t(tables_.size() - 1), vf::terminator);
  } else {
    emit(p_indirect_jump, {use(reg_of(i.va()))}, uint32_t(tables_.size() - 1), vf::terminator);
  }
}

void Selector::fill_shared_landings() {
  if (landing_.empty()) return;
  for (uint32_t b = 0; b < fn_->blocks.size(); b++) {
    if (param_slot_[b] == ~0u) continue;
    fill_made(landing_[b], [&] {
      const air::Block& block = fn_->blocks[b];
      for (uint32_t k = 0; k < block.param_count; k++) {
        ValueId v(block.first_param + k);
        if (type_of(v) != TypeTable::f80 && is_wanted(v))
          load_reg(reg_[v.value], type_of(v), slot_mem(param_slot_[b] + k));
      }
      emit(p_jump, {}, b, vf::terminator);
    });
  }
}

// ---- switch ---------------------------------------------------------------------------------------------------------
//
// Cases sorted by value are cut into runs that are dense enough for a jump table (at least 4 cases, at least 40 % of
// the range) and single values; a balanced tree of comparisons chooses the run.

void Selector::select_switch(const Inst& i) {
  unsigned bits = bits_of(type_of(i.va()));
  uint32_t fallback = edge_block(i.b);
  cases_.clear();
  for (uint32_t k = 0, n = fn_->extra[i.c]; k < n; k++) {
    const uint32_t* c = &fn_->extra[i.c + 1 + 3 * k];
    int64_t value = sign_extend(c[0] | uint64_t(c[1]) << 32, bits);
    // Edges without copies to one target share it; each edge with copies has its own block.
    cases_.push_back({value, edge_block(c[2])});
  }
  if (cases_.empty()) {
    emit(p_jump, {}, fallback, vf::terminator);
    return;
  }
  std::sort(cases_.begin(), cases_.end(), [](const Case& a, const Case& b) { return a.value < b.value; });
  Reg value = bits < 32 ? sign_extended(i.va(), 32) : reg_of(i.va());
  unsigned wide = bits == 64 ? 64 : 32;
  // The jump through a table is an indirect branch.
  const bool tables = !(fn_->flags & (air::function_flags::no_jump_tables | air::function_flags::retpoline_branches));
  // Runs: [first, last] in cases_, greedily as long as the density holds.
  runs_.clear();
  for (size_t k = 0; k < cases_.size();) {
    size_t best = k;
    for (size_t j = k + 1; j < cases_.size() && j < k + 4096; j++) {
      uint64_t range = uint64_t(cases_[j].value) - uint64_t(cases_[k].value);
      if (range > 100000) break;
      if ((j - k + 1) * 10 >= (range + 1) * 4) best = j;
    }
    if (best - k + 1 < 4 || !tables) best = k;
    // Neighbours with one target form a range even without a table.
    if (best == k)
      while (best + 1 < cases_.size() && cases_[best + 1].target == cases_[k].target &&
             cases_[best + 1].value == cases_[best].value + 1)
        best++;
    runs_.push_back({uint32_t(k), uint32_t(best)});
    k = best + 1;
  }
  switch_tree(value, wide, 0, runs_.size(), fallback, true, true);
}

// Chooses among runs [first, last). low_open / high_open: whether values below or above the runs may still occur.
void Selector::switch_tree(Reg value, unsigned bits, size_t first, size_t last, uint32_t fallback, bool low_open,
                           bool high_open) {
  auto compare_with = [&](int64_t c) {
    if (fits_signed(c, 32)) {
      emit_imm(unsigned(width_op(cmp_ri, bits)), {use_slot(value, bits / 8)}, int32_t(c));
    } else {
      Reg k = constant_reg(uint64_t(c), 64);
      emit(unsigned(Op::cmp64rr), {use(value), use(k)});
    }
  };
  float frequency = pending_[cur_block_].frequency / 2;
  if (last - first == 1) {
    Run run = runs_[first];
    int64_t low = cases_[run.first].value, high = cases_[run.last].value;
    if (run.first == run.last) {
      compare_with(low);
      branch({Cond::e, 0}, cases_[run.first].target, fallback);
      return;
    }
    bool one_target = true;
    for (uint32_t k = run.first; k <= run.last; k++) one_target &= cases_[k].target == cases_[run.first].target;
    one_target &= uint64_t(high) - uint64_t(low) == run.last - run.first;
    uint64_t range = uint64_t(high) - uint64_t(low);
    Reg index = gp(8);
    // index = value - low, modulo the width of the operand; unsigned above `range` means none of them. Where that is 32
    // bits, the instruction clears the upper half, so the whole register is the index.
    const uint64_t minus_low = -uint64_t(low);
    if (low == 0) {
      if (bits == 64) copy(index, value);
      else emit(unsigned(Op::mov32rr), {def(index), use_slot(value, 4)});
    } else if (bits == 32) {
      emit_mem(unsigned(Op::lea32rm), {def(index)}, reg_mem(value, int32_t(uint32_t(minus_low))));
    } else if (fits_signed(int64_t(minus_low), 32)) {
      emit_mem(unsigned(Op::lea64rm), {def(index)}, reg_mem(value, int32_t(minus_low)));
    } else {
      Reg k = constant_reg(uint64_t(low), 64);
      copy(index, value);
      emit(unsigned(Op::sub64rr), {mod(index), use(k)});
    }
    emit_imm(unsigned(width_op(cmp_ri, bits)), {use(index)}, int32_t(range));
    if (one_target) {
      branch({Cond::be, 0}, cases_[run.first].target, fallback);
      return;
    }
    JumpTable t;
    t.first = uint32_t(table_targets_.size());
    uint64_t at = 0;
    for (uint32_t k = run.first; k <= run.last; k++) {
      uint64_t slot = uint64_t(cases_[k].value) - uint64_t(low);
      while (at < slot) {
        table_targets_.push_back(fallback);
        at++;
      }
      table_targets_.push_back(cases_[k].target);
      at++;
    }
    t.count = uint32_t(table_targets_.size()) - t.first;
    uint32_t table = uint32_t(tables_.size());
    tables_.push_back(t);
    uint32_t dispatch = new_block(pending_[cur_block_].frequency);
    branch({Cond::be, 0}, dispatch, fallback);
    fill_made(dispatch, [&] {
      Reg base = gp(8);
      emit(p_jump_table, {mod(index), def_early(base)}, table, vf::terminator);
    });
    return;
  }
  size_t middle = first + (last - first) / 2;
  uint32_t below = new_block(frequency), rest = new_block(frequency);
  compare_with(cases_[runs_[middle].first].value);
  branch({Cond::l, 0}, below, rest);
  fill_made(below, [&] { switch_tree(value, bits, first, middle, fallback, low_open, true); });
  fill_made(rest, [&] { switch_tree(value, bits, middle, last, fallback, true, high_open); });
}

}  // namespace lode::x86_64
