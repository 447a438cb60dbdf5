// Comparisons, selects, branches and switches. See selector.h.
//
// A comparison with one reader is folded into it: test_of() says which two registers a branch has to compare. A select
// is a branch over one move. Which blocks there are, and what edges copy, is codegen/native/selection.h's.
#include <algorithm>

#include "base/bytes.h"
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::FloatPredicate;
using air::Inst;
using air::IntPredicate;
namespace vf = codegen::vflags;

namespace {

// p is one of these four with the operands as they are or exchanged.
struct Order {
  Cond cond;
  bool swap;
};
Order order_of(IntPredicate p) {
  switch (p) {
    case IntPredicate::eq: return {Cond::eq, false};
    case IntPredicate::ne: return {Cond::ne, false};
    case IntPredicate::ugt: return {Cond::ltu, true};
    case IntPredicate::uge: return {Cond::geu, false};
    case IntPredicate::ult: return {Cond::ltu, false};
    case IntPredicate::ule: return {Cond::geu, true};
    case IntPredicate::sgt: return {Cond::lt, true};
    case IntPredicate::sge: return {Cond::ge, false};
    case IntPredicate::slt: return {Cond::lt, false};
    case IntPredicate::sle: return {Cond::ge, true};
  }
  return {Cond::eq, false};
}
bool is_signed(IntPredicate p) { return p >= IntPredicate::sgt; }

// True is -1 as a signed number: signed order is the reverse of unsigned order.
IntPredicate of_booleans(IntPredicate p) {
  switch (p) {
    case IntPredicate::sgt: return IntPredicate::ult;
    case IntPredicate::sge: return IntPredicate::ule;
    case IntPredicate::slt: return IntPredicate::ugt;
    case IntPredicate::sle: return IntPredicate::uge;
    default: return p;
  }
}

}  // namespace

Selector::Test Selector::inverted(Test t) {
  if (t.outcome == Test::compares) t.cond = inverse(t.cond);
  else t.outcome = t.outcome == Test::always ? Test::never : Test::always;
  return t;
}

// The operands extended as the comparison needs them.
Selector::Test Selector::test_int(const Inst& i) {
  IntPredicate p = IntPredicate(i.aux);
  const unsigned bits = bits_of(type_of(i.va()));
  if (bits == 1) p = of_booleans(p);
  const Order o = order_of(p);
  // Extending the sign keeps the order of unsigned numbers of 32 bits; for equality either extension does.
  bool by_sign = bits >= 32 || is_signed(p);
  if (bits > 1 && bits < 32 && o.cond <= Cond::ne)
    by_sign = (known_of(i.va()) & known_of(i.vb()) & known_zero) == 0 &&
              (known_of(i.va()) & known_of(i.vb()) & known_sign) != 0;
  auto operand = [&](ValueId v) {
    if (bits == 64 || bits == 1) return source(v);
    return by_sign ? sign_source(v) : zero_source(v);
  };
  Test t;
  t.cond = o.cond;
  t.x = operand(i.va());
  t.y = operand(i.vb());
  if (o.swap) std::swap(t.x, t.y);
  return t;
}

// A register that is not 0 if the predicate holds, or the other way round.
Selector::Test Selector::test_float(const Inst& i) {
  const FloatPredicate p = FloatPredicate(i.aux);
  Test t;
  t.y.zero = true;
  if (p == FloatPredicate::false_ || p == FloatPredicate::true_) {
    t.outcome = p == FloatPredicate::true_ ? Test::always : Test::never;
    return t;
  }
  const bool single = type_of(i.va()) == TypeTable::f32;
  Reg a = reg_of(i.va()), b = reg_of(i.vb()), r = gp(8);
  const Op eq = single ? Op::feq_s : Op::feq_d, lt = single ? Op::flt_s : Op::flt_d,
           le = single ? Op::fle_s : Op::fle_d;
  auto compare = [&](Op op, Reg x, Reg y) { push(unsigned(op), {def(r), use(x), use(y)}, uint32_t(Rounding::dyn)); };
  auto both = [&](Op op1, Reg x1, Reg y1, Op op2, Reg x2, Reg y2, Op join) {
    Reg first = gp(8), second = gp(8);
    push(unsigned(op1), {def(first), use(x1), use(y1)}, uint32_t(Rounding::dyn));
    push(unsigned(op2), {def(second), use(x2), use(y2)}, uint32_t(Rounding::dyn));
    rr(join, r, {first}, {second});
  };
  // The predicates from uno on are the negations of those before it, in reverse order.
  const bool negated = p >= FloatPredicate::uno;
  switch (negated ? FloatPredicate(uint8_t(FloatPredicate::true_) - uint8_t(p)) : p) {
    case FloatPredicate::oeq: compare(eq, a, b); break;
    case FloatPredicate::ogt: compare(lt, b, a); break;
    case FloatPredicate::oge: compare(le, b, a); break;
    case FloatPredicate::olt: compare(lt, a, b); break;
    case FloatPredicate::ole: compare(le, a, b); break;
    case FloatPredicate::one: both(lt, a, b, lt, b, a, Op::or_); break;
    default: both(eq, a, a, eq, b, b, Op::and_); break;  // ord
  }
  t.x = {r};
  t.cond = negated ? Cond::eq : Cond::ne;
  return t;
}

Selector::Test Selector::test_of(ValueId cond) {
  int64_t c;
  // A negation that only this reads: its operand, the other way round.
  bool negated = false;
  for (const Inst* d; (d = def_of(cond)) && d->op == AirOp::xor_ && d->type == TypeTable::i1 && single_use(cond) &&
                      !is_wanted(cond) && int_constant(d->vb(), c) && (c & 1);) {
    cond = d->va();
    negated = !negated;
  }
  const Test t = test_plain(cond);
  return negated ? inverted(t) : t;
}

Selector::Test Selector::test_plain(ValueId cond) {
  Test t;
  t.y.zero = true;
  int64_t c;
  if (int_constant(cond, c)) {
    t.outcome = c & 1 ? Test::always : Test::never;
    return t;
  }
  const Inst* d = def_of(cond);
  if (d && single_use(cond) && !is_wanted(cond)) {
    if (d->op == AirOp::icmp) return test_int(*d);
    if (d->op == AirOp::fcmp) return test_float(*d);
  }
  t.x = {reg_of(cond)};
  return t;
}

// dst = 1 if the test holds, else 0.
void Selector::set_if(Reg dst, const Test& t) {
  if (t.outcome != Test::compares) return constant_into(dst, t.outcome == Test::always);
  switch (t.cond) {
    case Cond::eq: case Cond::ne: {
      Source difference = t.y.zero ? t.x : t.y;
      if (!t.x.zero && !t.y.zero) {
        difference = {gp(8)};
        rr(Op::xor_, difference.reg, t.x, t.y);
      }
      if (difference.zero) return constant_into(dst, t.cond == Cond::eq);
      if (t.cond == Cond::eq) return ri(Op::sltiu, dst, difference.reg, 1);
      return rr(Op::sltu, dst, {Reg{}, true}, difference);
    }
    case Cond::lt: case Cond::ltu: return rr(t.cond == Cond::lt ? Op::slt : Op::sltu, dst, t.x, t.y);
    case Cond::ge: case Cond::geu: {
      Reg less = gp(8);
      rr(t.cond == Cond::ge ? Op::slt : Op::sltu, less, t.x, t.y);
      return ri(Op::xori, dst, less, 1);
    }
  }
}

// With the immediate forms.
void Selector::set_if_int(Reg dst, const Inst& i) {
  IntPredicate p = IntPredicate(i.aux);
  const unsigned bits = bits_of(type_of(i.va()));
  int64_t c;
  if (bits == 1 || !int_constant(i.vb(), c) || c == 0) return set_if(dst, test_int(i));
  const bool by_sign = bits >= 32 || is_signed(p);
  if (!by_sign) c &= (int64_t{1} << bits) - 1;
  auto operand = [&] { return by_sign ? sign_extended(i.va()) : zero_extended(i.va()); };
  const bool equality = p == IntPredicate::eq || p == IntPredicate::ne;
  if (equality && fits12(-c)) {
    Reg difference = gp(8);
    ri(Op::addi, difference, operand(), -c);
    if (p == IntPredicate::eq) return ri(Op::sltiu, dst, difference, 1);
    return rr(Op::sltu, dst, {Reg{}, true}, {difference});
  }
  // x <= c is x < c + 1, where that does not wrap; what is left is the negation of one of the two.
  using P = IntPredicate;
  const bool next = p == P::sle || p == P::sgt || p == P::ule || p == P::ugt;
  const int64_t limit = next ? c + 1 : c;
  if (equality || !fits12(limit) || (next && !is_signed(p) && limit == 0)) return set_if(dst, test_int(i));
  const bool negated = p == P::sge || p == P::uge || p == P::sgt || p == P::ugt;
  Reg less = negated ? gp(8) : dst;
  ri(is_signed(p) ? Op::slti : Op::sltiu, less, operand(), limit);
  if (negated) ri(Op::xori, dst, less, 1);
}

void Selector::select_compare(const Inst& i) {
  Reg dst = result_reg(i.result);
  if (i.op == AirOp::icmp) return set_if_int(dst, i);
  const Test t = test_float(i);
  // The comparison's own register is the result, or its negation.
  if (t.outcome != Test::compares) return constant_into(dst, t.outcome == Test::always);
  if (t.cond == Cond::ne) copy(dst, t.x.reg);
  else ri(Op::xori, dst, t.x.reg, 1);
}

// ---- select ---------------------------------------------------------------------------------------------------------

// dst = the test holds ? if_true : if_false
void Selector::choose(Reg dst, Reg if_true, Reg if_false, const Test& t) {
  if (t.outcome != Test::compares) return copy(dst, t.outcome == Test::always ? if_true : if_false);
  if (t.x.zero && t.y.zero) {
    const bool holds = t.cond == Cond::eq || t.cond == Cond::ge || t.cond == Cond::geu;
    return copy(dst, holds ? if_true : if_false);
  }
  copy(dst, if_true);
  const unsigned op = unsigned(p_select) | unsigned(t.cond) << 12;
  const uint32_t a = (t.x.zero ? first_is_zero : 0) | (t.y.zero ? second_is_zero : 0);
  if (t.x.zero) push(op, {mod(dst), late(if_false), late(t.y.reg)}, a);
  else if (t.y.zero) push(op, {mod(dst), late(if_false), late(t.x.reg)}, a);
  else push(op, {mod(dst), late(if_false), late(t.x.reg), late(t.y.reg)}, a);
}

void Selector::select_select(const Inst& i) {
  Reg dst = result_reg(i.result);
  int64_t x, y;
  if (!is_fp(i.type) && int_constant(i.vb(), x) && int_constant(i.vc(), y)) {
    // 1 and 0, and what is one apart.
    if (x == 1 && y == 0) return set_if(dst, test_of(i.va()));
    if (x == 0 && y == 1) return set_if(dst, inverted(test_of(i.va())));
    const int64_t difference = int64_t(uint64_t(x) - uint64_t(y));
    if ((difference == 1 || difference == -1) && fits12(y)) {
      Reg flag = gp(8);
      set_if(flag, difference == 1 ? test_of(i.va()) : inverted(test_of(i.va())));
      ri(Op::addi, dst, flag, std::min(x, y));
      return;
    }
  }
  Reg a = reg_of(i.vb()), b = reg_of(i.vc());
  Test t = test_of(i.va());
  // What ends here becomes the result.
  if (dies_here(i.vc()) && !dies_here(i.vb()) && t.outcome == Test::compares) {
    t = inverted(t);
    std::swap(a, b);
  }
  choose(dst, a, b, t);
}

// ---- branches -------------------------------------------------------------------------------------------------------

void Selector::branch(const Test& t, uint32_t if_true, uint32_t if_false) {
  auto outcome = t.outcome;
  if (outcome == Test::compares && t.x.zero && t.y.zero)
    outcome = t.cond == Cond::eq || t.cond == Cond::ge || t.cond == Cond::geu ? Test::always : Test::never;
  if (outcome != Test::compares || if_true == if_false) return jump(outcome == Test::never ? if_false : if_true);
  const unsigned cond = unsigned(t.cond) << 12;
  if (t.x.zero) push(p_zero_branch | cond, {use(t.y.reg)}, if_true, vf::terminator);
  else if (t.y.zero) push(p_branch_zero | cond, {use(t.x.reg)}, if_true, vf::terminator);
  else push(p_branch | cond, {use(t.x.reg), use(t.y.reg)}, if_true, vf::terminator);
  cur_.back().b = if_false;
}

void Selector::indirect_jump(const Inst& i, uint32_t table) {
  push(p_indirect_jump, {use(reg_of(i.va()))}, table, vf::terminator);
}

// ---- switch: values are extended to the whole register, so all of it is done in 64 bits
// ----------------------------------

void Selector::switch_equal(Reg value, unsigned, int64_t c, uint32_t then, uint32_t otherwise) {
  Test t;
  t.cond = Cond::eq;
  t.x = {value};
  if (c == 0) t.y.zero = true;
  else t.y = {constant_reg(c)};
  branch(t, then, otherwise);
}

void Selector::switch_less(Reg value, unsigned, int64_t c, uint32_t then, uint32_t otherwise) {
  Test t;
  t.cond = Cond::lt;
  t.x = {value};
  if (c == 0) t.y.zero = true;
  else t.y = {constant_reg(c)};
  branch(t, then, otherwise);
}

Reg Selector::switch_index(Reg value, unsigned, int64_t low) {
  Reg index = gp(8);
  add_constant(index, value, int64_t(-uint64_t(low)));
  return index;
}

void Selector::switch_within(Reg index, unsigned, uint64_t size, uint32_t then, uint32_t otherwise) {
  Test t;
  t.cond = Cond::geu;  // size >= index
  t.x = {constant_reg(int64_t(size))};
  t.y = {index};
  branch(t, then, otherwise);
}

void Selector::jump_by_table(Reg index, uint32_t table) {
  Reg base = gp(8);
  push(p_jump_table, {mod(index), def_early(base)}, table, vf::terminator);
}

}  // namespace lode::riscv64
