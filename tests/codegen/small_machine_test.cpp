// A machine that is not x86_64: three-address instructions, branches that compare two registers, no instruction to
// exchange registers, eight of them. What native machines share must not need more than this; its MIR is interpreted.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "codegen/air/text.h"
#include "codegen/native/finalize.h"
#include "codegen/native/selection_impl.h"

namespace lode::small_machine {

using codegen::Label;
using codegen::Location;
using codegen::Operand;
using codegen::Reg;
using codegen::VInst;
using enum codegen::Pseudo;

// Operand words: three registers of 5 bits; a label from bit 10 on; an index in extra, or a slot, from bit 5 on.
enum class Op : uint16_t { label, move, constant, add, sub, mul, beq, blt, bltu, jump, table, load, store, ret };

class Writer : public codegen::MirWriter {
 public:
  using MirWriter::MirWriter;
  void op(Op o, unsigned a = 0, unsigned b = 0, unsigned c = 0) { push(uint16_t(o), a | b << 5 | c << 10); }
  void constant(unsigned to, uint64_t value) {
    push(uint16_t(Op::constant), to | extra_index(27) << 5);
    draft().extra.push_back(uint32_t(value));
    draft().extra.push_back(uint32_t(value >> 32));
  }
  void branch(Op o, unsigned a, unsigned b, Label to) {
    label_in_operand(to, 10);
    op(o, a, b);
  }
  void table(unsigned index, std::span<const Label> labels) {
    const uint32_t at = table_record(labels, 27);
    push(uint16_t(Op::table), index | at << 5);
  }
  void slot(Op o, unsigned r, uint32_t n) {
    count_slot_use(n);
    push(uint16_t(o), r | n << 5);
  }
  Result<void> finish() { return MirWriter::finish(uint16_t(Op::label), "small machine"); }
};

// Pseudo instructions of its own: {use, use}; a, b: blocks.
enum : uint16_t { p_beq = machine_pseudo_first, p_blt, p_bltu };

class Selector : public codegen::Selection<Selector, Writer> {
 public:
  static constexpr uint8_t scratch = 7;

 private:
  friend class Finalizer;
  friend class codegen::Selection<Selector, Writer>;

  static const air::LegalizeOptions& legalize_options() {
    static const air::LegalizeOptions o = air::LegalizeOptions::x86_64();
    return o;
  }
  static bool is_fp(TypeId) { return false; }
  static bool lives_in_slot(TypeId) { return false; }
  static constexpr Reg exception_register{0}, selector_register{1};
  static bool branches_both_ways(unsigned op) { return op >= p_beq && op <= p_bltu; }
  static bool jumps_by_table(unsigned) { return false; }
  void reset() { immediates_.clear(); }
  bool lay_out_entry() { return true; }
  Reg new_reg(TypeId) { return gp(8); }
  void read_for_edge(ValueId, ValueId) {}
  void write_for_edge() {}
  void want_slot(ValueId) {}
  void load_from_slot(Reg, TypeId, uint32_t) { fail("no memory"); }
  void store_to_slot(uint32_t, TypeId, Reg) { fail("no memory"); }
  void indirect_jump(const air::Inst&, uint32_t) { fail("no indirect jumps"); }
  void branch_if_canary_damaged(uint32_t, uint32_t) { fail("no canaries"); }
  void call_runtime(air::RuntimeFunction, std::initializer_list<Reg>, std::initializer_list<Reg>, Reg) {
    fail("no calls");
  }

  Reg constant_reg(uint64_t value) {
    Reg r = gp(8);
    push(uint16_t(Op::constant), {def(r)}, uint32_t(immediates_.size()), codegen::vflags::remat);
    immediates_.push_back(value);
    return r;
  }
  Reg constant_value(const air::Constant& c) { return constant_reg(c.kind == air::ConstantKind::Int ? c.bits : 0); }
  void branch(uint16_t op, Reg a, Reg b, uint32_t then, uint32_t otherwise) {
    push(op, {use(a), use(b)}, then, codegen::vflags::terminator);
    cur_.back().b = otherwise;
  }
  void branch_if(ValueId condition, uint32_t if_true, uint32_t if_false) {
    const air::Inst* i = def_of(condition);
    if (!i || i->op != air::Op::icmp) return fail("a condition that is no comparison");
    const Reg a = reg_of(i->va()), b = reg_of(i->vb());
    switch (air::IntPredicate(i->aux)) {
      case air::IntPredicate::eq: return branch(p_beq, a, b, if_true, if_false);
      case air::IntPredicate::ne: return branch(p_beq, a, b, if_false, if_true);
      case air::IntPredicate::slt: return branch(p_blt, a, b, if_true, if_false);
      case air::IntPredicate::sge: return branch(p_blt, a, b, if_false, if_true);
      default: return fail("a comparison of this kind");
    }
  }
  Reg switch_value(ValueId v, unsigned) { return reg_of(v); }
  void switch_equal(Reg value, unsigned, int64_t c, uint32_t then, uint32_t otherwise) {
    const Reg k = constant_reg(uint64_t(c));
    branch(p_beq, value, k, then, otherwise);
  }
  void switch_less(Reg value, unsigned, int64_t c, uint32_t then, uint32_t otherwise) {
    const Reg k = constant_reg(uint64_t(c));
    branch(p_blt, value, k, then, otherwise);
  }
  Reg switch_index(Reg value, unsigned, int64_t low) {
    const Reg k = constant_reg(uint64_t(low)), index = gp(8);
    push(uint16_t(Op::sub), {def(index), use(value), use(k)});
    return index;
  }
  void switch_within(Reg index, unsigned, uint64_t size, uint32_t then, uint32_t otherwise) {
    const Reg k = constant_reg(size + 1);
    branch(p_bltu, index, k, then, otherwise);
  }
  void jump_by_table(Reg index, uint32_t table) {
    push(p_jump_table, {use(index)}, table, codegen::vflags::terminator);
  }

  void select_entry() {
    std::vector<Operand> copies;
    const air::Block& entry = fn_->blocks[0];
    for (uint32_t k = 0; k < entry.param_count; k++) {
      const ValueId v(entry.first_param + k);
      if (!is_wanted(v)) continue;
      vcode_.entry_defs |= uint64_t{1} << k;
      copies.push_back(def(result_reg(v)));
      copies.push_back(use(Reg{k}));
    }
    if (!copies.empty()) emit_list(p_parallel_copy, copies, 0, ~0u, codegen::vflags::parallel_copy, 0);
  }
  void select_inst(const air::Inst& i) {
    auto three = [&](Op op) {
      push(uint16_t(op), {def(result_reg(i.result)), use(reg_of(i.va())), use(reg_of(i.vb()))});
    };
    switch (i.op) {
      case air::Op::add: return three(Op::add);
      case air::Op::sub: return three(Op::sub);
      case air::Op::mul: return three(Op::mul);
      case air::Op::icmp: return;  // part of the branch
      case air::Op::br:
      case air::Op::cond_br: return select_branch(i);
      case air::Op::switch_: return select_switch(i);
      case air::Op::ret: {
        const Reg zero{0};
        copy(zero, reg_of(ValueId(fn_->extra[i.a + 1])));
        push(p_return, {use(zero)}, 0, codegen::vflags::terminator);
        return;
      }
      default: return fail("not an instruction of this machine");
    }
  }
  Result<void> finish(mir::FunctionDraft& out);

  std::vector<uint64_t> immediates_;
};

class Finalizer : public codegen::Finalization<Finalizer, Selector> {
 public:
  explicit Finalizer(Selector& s) : Finalization(s) {}
  Result<void> run() {
    static constexpr uint8_t order[] = {0, 1, 2, 3, 4, 5};
    static constexpr uint64_t clobbers[] = {0};
    codegen::RegisterInfo info;
    info.gp_order = order;
    info.clobbers = clobbers;
    info.gp_exchange = false;
    info.gp_scratch = Selector::scratch;
    s_.allocator_.run(code_, info, s_.allocation_);
    if (std::string wrong = codegen::check_allocation(code_, info, s_.allocation_); !wrong.empty()) return error(wrong);
    add_spill_slots();
    find_branch_targets();
    LODE_TRY(write_blocks());
    return w_.finish();
  }

 private:
  friend class codegen::Finalization<Finalizer, Selector>;

  void begin_block(uint32_t) {}
  void write_table(std::span<const Label> labels) { w_.table(0, labels); }
  void move(Location dst, Location src, unsigned) {
    if (dst.is_slot()) w_.slot(Op::store, src.value, first_slot_ + dst.slot_index());
    else if (src.is_slot()) w_.slot(Op::load, dst.value, first_slot_ + src.slot_index());
    else w_.op(Op::move, dst.value, src.value);
  }
  void exchange(Location, Location, unsigned) { failed_ = true; }
  void rematerialise(const VInst& v, Location to, uint32_t) { w_.constant(to.value, s_.immediates_[v.a]); }
  void two_way(Op op, const Location* at, const VInst& v) {
    w_.branch(op, at[0].value, at[1].value, label(v.a));
    if (!is_next(v.b)) w_.branch(Op::jump, 0, 0, label(v.b));
  }
  void instruction(uint32_t k) {
    const VInst& v = code_.insts[k];
    if (v.flags & (codegen::vflags::copy | codegen::vflags::parallel_copy)) return;
    const Location* at = s_.allocation_.operands.data() + v.operands;
    switch (v.op) {
      case p_jump:
        if (!is_next(v.a)) w_.branch(Op::jump, 0, 0, label(v.a));
        break;
      case p_beq: two_way(Op::beq, at, v); break;
      case p_blt: two_way(Op::blt, at, v); break;
      case p_bltu: two_way(Op::bltu, at, v); break;
      case p_jump_table: w_.table(at[0].value, labels_of(s_.tables_[v.a])); break;
      case p_return: w_.op(Op::ret); break;
      case uint16_t(Op::constant): w_.constant(at[0].value, s_.immediates_[v.a]); break;
      default: w_.op(Op(v.op), at[0].value, at[1].value, at[2].value); break;
    }
  }
};

Result<void> Selector::finish(mir::FunctionDraft&) { return Finalizer(*this).run(); }

}  // namespace lode::small_machine

namespace lode::codegen {
template class Selection<small_machine::Selector, small_machine::Writer>;
}

namespace lode::small_machine {
namespace {

mir::FunctionDraft lower(const std::string& text) {
  auto module = air::read_text("target \"x86_64-unknown-linux-gnu\"\n" + text, "test.air");
  if (!module.ok()) FAIL(module.error().text());
  const std::vector<SymbolId> symbols(module->symbols.size(), SymbolId(1)), runtime(256, SymbolId(2));
  const std::vector<codegen::SymbolReach> reach(symbols.size(), codegen::SymbolReach::direct);
  codegen::LowerContext context;
  context.module = &*module;
  context.symbols = symbols;
  context.reach = reach;
  context.runtime = runtime;
  mir::FunctionDraft draft;
  Selector selector;
  auto done = selector.run(module->in_memory.at(0), context, draft);
  if (!done.ok()) FAIL(done.error().text());
  return draft;
}

uint64_t run(const mir::FunctionDraft& f, std::initializer_list<uint64_t> arguments) {
  std::array<uint64_t, 32> r{};
  std::copy(arguments.begin(), arguments.end(), r.begin());
  std::vector<uint64_t> slots(f.locals.size() / codegen::frame::slot_bytes);
  size_t pc = 0;
  for (unsigned steps = 0; steps < 100000; steps++) {
    REQUIRE(pc < f.tags.size());
    const uint32_t o = f.operands[pc];
    uint64_t &a = r[o & 31], &b = r[o >> 5 & 31], &c = r[o >> 10 & 31];
    const auto op = Op(f.tags[pc++]);
    switch (op) {
      case Op::label: break;
      case Op::move: a = b; break;
      case Op::constant: a = f.extra[o >> 5] | uint64_t(f.extra[(o >> 5) + 1]) << 32; break;
      case Op::add: a = b + c; break;
      case Op::sub: a = b - c; break;
      case Op::mul: a = b * c; break;
      case Op::jump: pc = o >> 10; break;
      case Op::beq:
        if (a == b) pc = o >> 10;
        break;
      case Op::blt:
        if (int64_t(a) < int64_t(b)) pc = o >> 10;
        break;
      case Op::bltu:
        if (a < b) pc = o >> 10;
        break;
      case Op::table:
        REQUIRE(a < f.extra[o >> 5]);
        pc = f.extra[(o >> 5) + 2 + a];
        break;
      case Op::load: a = slots.at(o >> 5); break;
      case Op::store: slots.at(o >> 5) = a; break;
      case Op::ret: return r[0];
    }
  }
  FAIL("it does not end");
  return 0;
}

}  // namespace

TEST_CASE("a small machine: loops, with parameters that change places") {
  // Fibonacci numbers: the loop's parameters are a cycle of copies.
  const auto f = lower(R"(func @f(%n: i64) -> i64 {
entry:
  br loop(%n, 0, 1)
loop(%k: i64, %a: i64, %b: i64):
  %done = icmp eq i64 %k, 0
  cond_br %done, out, next
next:
  %m = sub i64 %k, 1
  %s = add i64 %a, %b
  br loop(%m, %b, %s)
out:
  ret i64 %a
}
)");
  CHECK(run(f, {0}) == 0);
  CHECK(run(f, {1}) == 1);
  CHECK(run(f, {50}) == 12586269025);
}

TEST_CASE("a small machine: more values than registers") {
  std::string text = "func @f(%x: i64, %y: i64) -> i64 {\nentry:\n  %v0 = add i64 %x, %y\n";
  for (int k = 1; k < 20; k++)
    text += "  %v" + std::to_string(k) + " = mul i64 %v" + std::to_string(k - 1) + ", " + (k % 2 ? "%x" : "%y") + "\n";
  text += "  %s0 = add i64 %v0, 0\n";
  for (int k = 1; k < 20; k++)
    text += "  %s" + std::to_string(k) + " = sub i64 %v" + std::to_string(k) + ", %s" + std::to_string(k - 1) + "\n";
  const auto f = lower(text + "  ret i64 %s19\n}\n");
  CHECK(!f.locals.empty());
  const uint64_t x = 3, y = 7;
  uint64_t v[20] = {x + y}, s = v[0];
  for (int k = 1; k < 20; k++) v[k] = v[k - 1] * (k % 2 ? x : y);
  for (int k = 1; k < 20; k++) s = v[k] - s;
  CHECK(run(f, {x, y}) == s);
}

TEST_CASE("a small machine: switches by tables, ranges and comparisons") {
  const auto f = lower(R"(func @f(%n: i64) -> i64 {
entry:
  switch i64 %n, other [10: a, 11: b, 12: c, 13: a, 14: b, 100: c, 1000: d, 1001: d, 1002: d]
a:
  ret i64 1
b:
  ret i64 2
c:
  ret i64 3
d:
  ret i64 4
other:
  ret i64 0
}
)");
  for (int64_t n = -20; n < 1100; n++) {
    const uint64_t wanted = n == 10 || n == 13                    ? 1
                            : n == 11 || n == 14                  ? 2
                            : n == 12 || n == 100                 ? 3
                            : n == 1000 || n == 1001 || n == 1002 ? 4
                                                                  : 0;
    if (run(f, {uint64_t(n)}) != wanted) FAIL("switch of " << n);
  }
}

}  // namespace lode::small_machine
