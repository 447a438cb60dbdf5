#include "codegen/native/regalloc.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace lode::codegen;

namespace {

using Random = std::mt19937;

// A small machine of the shape of x86_64: gp 0..11 (8 and up callee-saved), fp 32..37.
struct Machine {
  std::vector<uint8_t> gp, fp;
  std::vector<uint64_t> clobbers;
  RegisterInfo info;
  explicit Machine(unsigned gp_count = 12, unsigned saved = 4, unsigned fp_count = 6, bool exchange = true) {
    uint64_t all = 0;
    for (unsigned r = 0; r < gp_count; r++) gp.push_back(uint8_t(r)), all |= uint64_t{1} << r;
    for (unsigned r = 0; r < fp_count; r++) fp.push_back(uint8_t(32 + r)), all |= uint64_t{1} << (32 + r);
    for (unsigned r = gp_count - saved; r < gp_count; r++) info.callee_saved |= uint64_t{1} << r;
    clobbers = {0, all & ~info.callee_saved, 0b110};
    info.gp_order = gp;
    info.fp_order = fp;
    info.clobbers = clobbers;
    info.gp_exchange = exchange;
  }
};

struct Builder {
  VCode code;
  void block() { code.blocks.push_back({uint32_t(code.insts.size()), 0, 0, 0, 1}); }
  void succs(std::vector<uint32_t> s) {
    code.blocks.back().succs = uint32_t(code.successors.size());
    code.blocks.back().succ_count = uint32_t(s.size());
    code.successors.insert(code.successors.end(), s.begin(), s.end());
  }
  void inst(std::vector<Operand> ops, uint8_t flags = 0) {
    VInst i;
    i.flags = flags;
    i.operands = uint32_t(code.operands.size());
    if (ops.size() >= 255) {
      i.operand_count = 255;
      code.operands.push_back({uint32_t(ops.size())});
    } else {
      i.operand_count = uint8_t(ops.size());
    }
    code.operands.insert(code.operands.end(), ops.begin(), ops.end());
    code.insts.push_back(i);
    code.blocks.back().inst_count++;
  }
  Reg vreg(RegClass c = RegClass::gp, unsigned bytes = 8) { return code.new_vreg(c, bytes); }
};

Operand use(Reg r, bool slot = false) { return Operand::make(r, Role::use, slot); }
Operand def(Reg r, bool slot = false) { return Operand::make(r, Role::def, slot); }
Operand mod(Reg r, bool slot = false) { return Operand::make(r, Role::mod, slot); }
Operand late(Reg r) { return Operand::make(r, Role::use_late); }
Operand early(Reg r) { return Operand::make(r, Role::def_early); }
Reg phys(unsigned r) { return Reg{r}; }

std::string show(const VCode& code, const Allocation* a) {
  std::string s;
  auto loc = [](Location l) {
    return l.is_slot() ? "s" + std::to_string(l.slot_index()) : "r" + std::to_string(l.value);
  };
  size_t e = 0;
  for (uint32_t b = 0; b < code.blocks.size(); b++) {
    s += "block " + std::to_string(b) + " ->";
    for (uint32_t k = 0; k < code.blocks[b].succ_count; k++)
      s += " " + std::to_string(code.successors[code.blocks[b].succs + k]);
    s += "\n";
    for (uint32_t i = code.blocks[b].first_inst; i < code.blocks[b].first_inst + code.blocks[b].inst_count; i++) {
      for (; a && e < a->edits.size() && a->edits[e].before_inst == i; e++) {
        const Edit& x = a->edits[e];
        s += "      " +
             std::string(x.kind == EditKind::move       ? "move "
                         : x.kind == EditKind::exchange ? "exchange "
                                                        : "remat ") +
             loc(x.dst) + " " + (x.kind == EditKind::remat ? std::to_string(x.src.value) : loc(x.src)) + "\n";
      }
      s += "  " + std::to_string(i) + ": ";
      const VInst& inst = code.insts[i];
      if (inst.flags & vflags::copy) s += "copy";
      if (inst.flags & vflags::parallel_copy) s += "pcopy";
      if (inst.flags & vflags::remat) s += "remat";
      if (inst.flags & vflags::terminator) s += "term";
      if (inst.flags & 15) s += " clobber" + std::to_string(inst.flags & 15);
      uint32_t n;
      const Operand* ops = code.operands_of(inst, n);
      for (uint32_t k = 0; k < n; k++) {
        static const char* roles[] = {"use", "late", "def", "early", "mod"};
        const Reg r = ops[k].reg();
        s += std::string(" ") + roles[unsigned(ops[k].role())] + (ops[k].may_be_slot() ? "?" : "") + ":" +
             (r.is_virtual() ? "v" + std::to_string(r.index()) : "p" + std::to_string(r.value));
        if (a) s += "=" + loc(a->operands[size_t(ops + k - code.operands.data())]);
      }
      s += "\n";
    }
  }
  return s;
}

// Random code in which every register is defined before use: all global ones in the entry block.
struct RandomCode {
  Random& rng;
  Builder b = {};
  unsigned blocks = 0;
  std::vector<Reg> globals = {}, local = {};  // local: what the current block may read

  uint32_t below(uint32_t n) { return uint32_t(rng() % n); }
  RegClass cls() { return below(4) == 0 ? RegClass::fp : RegClass::gp; }
  Reg new_reg(RegClass c) { return b.vreg(c, c == RegClass::gp ? 4u << below(2) : 4u << below(3)); }
  RegClass class_of(Reg r) const { return b.code.vregs[r.index()].cls; }

  Reg pick(RegClass c) {
    std::vector<Reg> fit;
    for (Reg r : local)
      if (class_of(r) == c) fit.push_back(r);
    if (fit.empty()) {
      Reg r = new_reg(c);
      b.inst({def(r)});
      local.push_back(r);
      return r;
    }
    return fit[below(uint32_t(fit.size()))];
  }

  void entry(unsigned gp_args, unsigned pressure) {
    for (unsigned a = 0; a < gp_args; a++) {
      Reg r = new_reg(RegClass::gp);
      b.inst({def(r), use(phys(a))}, vflags::copy);
      globals.push_back(r);
    }
    for (unsigned g = below(pressure + 1); g > 0; g--) {
      Reg r = new_reg(cls());
      b.inst({def(r)}, below(3) == 0 ? vflags::remat : 0);
      globals.push_back(r);
    }
    local = globals;
  }

  // Arguments in 0.., the result in 0.
  void call() {
    const unsigned args = below(4);
    std::vector<Operand> ops;
    Reg callee = pick(RegClass::gp);
    for (unsigned a = 0; a < args; a++) {
      Reg x = pick(RegClass::gp);
      b.inst({def(phys(a)), use(x)}, vflags::copy);
      ops.push_back(use(phys(a)));
    }
    if (below(2)) ops.push_back(use(callee, below(2)));
    ops.push_back(def(phys(0)));
    b.inst(ops, 1);
    Reg r = new_reg(RegClass::gp);
    b.inst({def(r), use(phys(0))}, vflags::copy);
    local.push_back(r);
  }

  // Fixed registers.
  void division() {
    Reg x = pick(RegClass::gp), y = pick(RegClass::gp);
    b.inst({def(phys(0)), use(x)}, vflags::copy);
    b.inst({mod(phys(0)), early(phys(2)), late(y)});
    Reg r = new_reg(RegClass::gp);
    b.inst({def(r), use(phys(2))}, vflags::copy);
    local.push_back(r);
  }

  void inline_assembly() {
    std::vector<Operand> ops;
    for (unsigned a = below(3); a > 0; a--) ops.push_back(use(pick(cls())));
    for (unsigned a = below(2); a > 0; a--) {
      Reg r = new_reg(cls());
      ops.push_back(below(2) ? early(r) : def(r));
      local.push_back(r);
    }
    b.inst(ops, below(2) ? 2 : 0);
  }

  // Of any registers, in the middle of a block.
  void parallel_copy() {
    std::vector<Operand> ops;
    std::vector<Reg> targets;
    for (unsigned a = 1 + below(4); a > 0; a--) {
      RegClass kind = cls();
      Reg s = pick(kind), d = below(2) ? new_reg(kind) : pick(kind);
      if (std::find(targets.begin(), targets.end(), d) != targets.end()) continue;
      targets.push_back(d);
      ops.push_back(def(d));
      ops.push_back(use(s));
    }
    b.inst(ops, vflags::parallel_copy);
    for (Reg r : targets) local.push_back(r);
  }

  void instruction() {
    const RegClass c = cls();
    switch (below(12)) {
      case 0: {  // constant
        Reg r = new_reg(c);
        b.inst({def(r)}, vflags::remat);
        local.push_back(r);
        break;
      }
      case 1: {  // two-address
        Reg r = new_reg(c), x = pick(c), y = pick(c);
        b.inst({def(r), use(x)}, vflags::copy);
        b.inst({mod(r, below(2)), use(y, below(2))});
        local.push_back(r);
        break;
      }
      case 2: {  // three-address
        Reg x = pick(c), y = pick(cls()), r = new_reg(c);
        b.inst({def(r, below(3) == 0), use(x, below(2)), below(2) ? use(y, below(2)) : late(y)});
        local.push_back(r);
        break;
      }
      case 3: {  // change a global or local in place
        Reg x = pick(c), y = pick(cls());
        b.inst({mod(x, below(2)), use(y, below(2))});
        break;
      }
      case 4: {  // redefinition
        Reg x = pick(c);
        if (below(2)) b.inst({def(x), use(pick(cls()))});
        else b.inst({early(x)});
        break;
      }
      case 5: call(); break;
      case 6: division(); break;
      case 7: inline_assembly(); break;
      case 8: parallel_copy(); break;
      default: {
        Reg r = new_reg(c), x = pick(c);
        b.inst({def(r), use(x, below(2))});
        local.push_back(r);
      }
    }
  }

  // An edge's parallel copy: permutes globals of one class.
  void edge_copy() {
    if (below(2) && globals.size() > 1) {
      std::vector<Reg> fit;
      const RegClass c = class_of(globals[below(uint32_t(globals.size()))]);
      for (Reg r : globals)
        if (class_of(r) == c) fit.push_back(r);
      std::shuffle(fit.begin(), fit.end(), rng);
      const size_t n = 1 + below(uint32_t(fit.size()));
      std::vector<Operand> ops;
      for (size_t a = 0; a < n; a++) {
        ops.push_back(def(fit[a]));
        ops.push_back(use(below(2) ? fit[(a + 1) % n] : pick(c)));
      }
      b.inst(ops, vflags::parallel_copy);
    }
  }

  void end_block(unsigned k) {
    std::vector<uint32_t> s;
    if (k + 1 < blocks && below(8)) {
      s.push_back(k + 1);
      if (blocks > 1 && below(2)) s.push_back(1 + below(blocks - 1));
    }
    b.succs(s);
    std::vector<Operand> ops;
    if (below(2)) {
      Reg a = pick(RegClass::gp);
      ops.push_back(use(a, below(2)));
    }
    b.inst(ops, vflags::terminator);
    if (below(3) == 0) b.inst({}, vflags::terminator);
    b.code.blocks.back().frequency = float(1u << (3 * below(4))) / (below(5) == 0 ? 100.0f : 1.0f);
  }

  VCode make(unsigned pressure, unsigned max_insts) {
    blocks = 1 + below(below(4) ? 8 : 24);
    const unsigned gp_args = below(4);
    for (unsigned k = 0; k < gp_args; k++) b.code.entry_defs |= uint64_t{1} << k;
    for (unsigned k = 0; k < blocks; k++) {
      b.block();
      local = globals;
      if (k == 0) entry(gp_args, pressure);
      for (unsigned n = below(max_insts); n > 0; n--) instruction();
      edge_copy();
      end_block(k);
    }
    return std::move(b.code);
  }
};

void check(RegisterAllocator& allocator, const VCode& code, const Machine& m) {
  Allocation a;
  allocator.run(code, m.info, a);
  const std::string problem = check_allocation(code, m.info, a);
  if (!problem.empty()) {
    INFO(show(code, &a));
    FAIL(problem);
  }
  Allocation again;
  RegisterAllocator other;
  RegisterInfo info = m.info;
  info.liveness_limit = 0;  // liveness by steps comes to the same
  other.run(code, info, again);
  REQUIRE(a.operands == again.operands);
  REQUIRE(a.edits.size() == again.edits.size());
  REQUIRE(a.slots.size() == again.slots.size());
}

}  // namespace

TEST_CASE("regalloc: what lives across a call that ends its block survives on both ways out") {
  // Six values live on in the landing pad, four registers are callee-saved: the others are in the frame, with nothing
  // between the terminators. Registers 0 and 2 carry what the call gives into both successors.
  Machine m;
  Builder b;
  std::vector<Reg> values;
  b.block();
  for (unsigned k = 0; k < 6; k++) {
    values.push_back(b.vreg());
    b.inst({def(values.back())});
  }
  Reg target = b.vreg();
  b.inst({def(target)});
  b.inst({def(phys(3)), use(values[0])}, vflags::parallel_copy);
  b.inst({use(phys(3)), def(phys(0)), def(phys(2)), use(target)}, vflags::terminator | 1);
  b.inst({}, vflags::terminator);
  b.succs({1, 2});
  for (unsigned way = 0; way < 2; way++) {
    b.block();
    Reg x = b.vreg(), y = b.vreg();
    b.inst({def(x), use(phys(0))}, vflags::copy);
    if (way) b.inst({def(y), use(phys(2))}, vflags::copy);
    else b.inst({def(y)});
    for (Reg v : values) b.inst({mod(x), use(v, true)});
    b.inst({use(x), use(y)}, vflags::terminator);
    b.succs({});
  }
  Allocation a;
  RegisterAllocator allocator;
  allocator.run(b.code, m.info, a);
  INFO(show(b.code, &a));
  CHECK(check_allocation(b.code, m.info, a) == "");
  CHECK(a.slots.size() >= 2);
}

TEST_CASE("Register allocation: random code keeps every value where it is read") {
  Random rng(1);
  RegisterAllocator allocator;
  const Machine machines[] = {Machine(), Machine(7, 2, 4), Machine(7, 0, 4), Machine(12, 4, 6, false)};
  for (int round = 0; round < 4000; round++) {
    const Machine& m = machines[rng() % 4];
    check(allocator, RandomCode{rng}.make(rng() % 3 == 0 ? 30 : 5, 40), m);
  }
}

TEST_CASE("Register allocation: copies around two-address operands and calls vanish") {
  Machine m;
  Builder b;
  b.code.entry_defs = 3;
  b.block();
  b.succs({});
  Reg x = b.vreg(), y = b.vreg(), r = b.vreg(), result = b.vreg();
  b.inst({def(x), use(phys(0))}, vflags::copy);
  b.inst({def(y), use(phys(1))}, vflags::copy);
  b.inst({def(r), use(x)}, vflags::copy);
  b.inst({mod(r), use(y)});
  b.inst({def(phys(0)), use(r)}, vflags::copy);
  b.inst({use(phys(0)), def(phys(0))}, 1);
  b.inst({def(result), use(phys(0))}, vflags::copy);
  b.inst({def(phys(0)), use(result)}, vflags::copy);
  b.inst({use(phys(0))}, vflags::terminator);
  RegisterAllocator allocator;
  Allocation a;
  allocator.run(b.code, m.info, a);
  INFO(show(b.code, &a));
  CHECK(check_allocation(b.code, m.info, a) == "");
  CHECK(a.edits.empty());
  CHECK((a.used & m.info.callee_saved) == 0);
}

TEST_CASE("Register allocation: a cold call costs the hot path nothing") {
  Machine m;
  Builder b;
  b.code.entry_defs = 1;
  Reg x = b.vreg();
  b.block();
  b.succs({1, 2});
  b.inst({def(x), use(phys(0))}, vflags::copy);
  b.inst({use(x)});
  b.inst({}, vflags::terminator);
  b.block();
  b.succs({});
  b.inst({use(x)});
  b.inst({}, vflags::terminator);
  b.block();
  b.succs({1});
  b.code.blocks.back().frequency = 0.01f;
  b.inst({}, 1);
  b.inst({}, vflags::terminator);
  RegisterAllocator allocator;
  Allocation a;
  allocator.run(b.code, m.info, a);
  INFO(show(b.code, &a));
  CHECK(check_allocation(b.code, m.info, a) == "");
  CHECK((a.used & m.info.callee_saved) == 0);
  const VBlock& cold = b.code.blocks[2];
  unsigned hot_memory = 0;
  for (const Edit& e : a.edits) hot_memory += (e.dst.is_slot() || e.src.is_slot()) && e.before_inst < cold.first_inst;
  CHECK(hot_memory == 0);
}

TEST_CASE("Register allocation: a value without a register has one in a loop") {
  Machine m(6, 0);
  Builder b;
  std::vector<Reg> outer;
  Reg x = b.vreg(), y = b.vreg();
  b.block();
  b.succs({1});
  b.inst({def(x)});
  b.inst({def(y)});
  for (int k = 0; k < 6; k++) outer.push_back(b.vreg()), b.inst({def(outer.back())});
  for (int k = 0; k < 3; k++)
    for (Reg r : outer) b.inst({mod(r)});
  for (Reg r : outer) b.inst({use(r)});
  b.inst({}, vflags::terminator);
  b.block();
  b.succs({1, 2});
  b.code.blocks.back().frequency = 8;
  for (int k = 0; k < 4; k++) b.inst({use(x), use(y)});
  b.inst({}, vflags::terminator);
  b.block();
  b.succs({});
  b.inst({use(x), use(y)});
  b.inst({}, vflags::terminator);
  RegisterAllocator allocator;
  Allocation a;
  allocator.run(b.code, m.info, a);
  INFO(show(b.code, &a));
  CHECK(check_allocation(b.code, m.info, a) == "");
  const VBlock& loop = b.code.blocks[1];
  for (const Edit& e : a.edits)
    CHECK_FALSE((e.before_inst >= loop.first_inst && e.before_inst < loop.first_inst + loop.inst_count));
}

TEST_CASE("Register allocation: spilled values that do not meet share a home, unless told not to") {
  for (bool share : {true, false}) {
    Machine m(4, 0);
    m.info.share_homes = share;
    Builder b;
    b.block();
    b.succs({});
    for (int round = 0; round < 2; round++) {
      Reg x = b.vreg();
      b.inst({def(x)});
      b.inst({}, 1);
      b.inst({use(x)});
    }
    b.inst({}, vflags::terminator);
    RegisterAllocator allocator;
    Allocation a;
    allocator.run(b.code, m.info, a);
    INFO(show(b.code, &a));
    CHECK(check_allocation(b.code, m.info, a) == "");
    CHECK(a.slots.size() == (share ? 1u : 2u));
  }
}

TEST_CASE("Register allocation: a value that may be wanted again keeps its home") {
  // y = x + 1 in x's last place; where the second call may come back to the first, x is read there again.
  Machine m(4, 0);
  m.info.share_homes = false;
  Builder b;
  b.block();
  b.succs({1, 2});
  Reg x = b.vreg(), y = b.vreg();
  b.inst({def(x)});
  b.inst({}, 1);
  b.inst({}, vflags::terminator);
  b.block();
  b.succs({});
  b.inst({def(y), use(x)}, vflags::copy);
  b.inst({mod(y)});
  b.inst({}, 1);
  b.inst({use(y)});
  b.inst({}, vflags::terminator);
  b.block();
  b.succs({});
  b.inst({use(x)});
  b.inst({}, vflags::terminator);
  RegisterAllocator allocator;
  Allocation a;
  allocator.run(b.code, m.info, a);
  INFO(show(b.code, &a));
  CHECK(check_allocation(b.code, m.info, a) == "");
  CHECK(a.slots.size() == 2);
  CHECK(a.coalesced == 0);
}

TEST_CASE("Register allocation: the oracle finds what is wrong") {
  Machine m;
  Builder b;
  b.block();
  b.succs({});
  Reg x = b.vreg(), y = b.vreg(), z = b.vreg();
  b.inst({def(x)});
  b.inst({def(y)});
  b.inst({def(z), use(x), late(y)});
  b.inst({use(z), use(x)}, vflags::terminator);
  RegisterAllocator allocator;
  Allocation good;
  allocator.run(b.code, m.info, good);
  REQUIRE(check_allocation(b.code, m.info, good) == "");
  for (size_t k = 0; k < good.operands.size(); k++) {
    Allocation bad = good;
    bad.operands[k] = Location{good.operands[k].value == 3 ? 4u : 3u};
    bad.used = ~uint64_t{0};
    CHECK(check_allocation(b.code, m.info, bad) != "");
  }
  Allocation bad = good;
  bad.edits.push_back({3, EditKind::move, RegClass::gp, 8, 0, good.operands[2], good.operands[0]});
  CHECK(check_allocation(b.code, m.info, bad) != "");
}

TEST_CASE("Register allocation: a cycle of values of several widths loses no part of one") {
  // Registers 0, 1 and 2 rotate, as in a call that passes its own arguments on in another order. Whichever of them is
  // the narrow one, and whichever move begins the cycle, the wide values arrive whole.
  for (const bool exchange : {true, false}) {
    for (unsigned narrow = 0; narrow < 8; narrow++) {
      for (unsigned first = 0; first < 3; first++) {
        Machine m(12, 4, 6, exchange);
        Builder b;
        b.code.entry_defs = 7;
        b.block();
        b.succs({});
        Reg v[3];
        std::vector<Operand> ops, rotated;
        for (unsigned k = 0; k < 3; k++) {
          v[k] = b.vreg(RegClass::gp, narrow >> k & 1 ? 4 : 8);
          ops.insert(ops.end(), {def(v[k]), use(phys(k))});
        }
        b.inst(ops, vflags::parallel_copy);
        for (unsigned k = first; k < first + 3; k++)
          rotated.insert(rotated.end(), {def(phys(k % 3)), use(v[(k + 1) % 3])});
        b.inst(rotated, vflags::parallel_copy);
        b.inst({use(phys(0)), use(phys(1)), use(phys(2))}, vflags::terminator);
        RegisterAllocator allocator;
        Allocation a;
        allocator.run(b.code, m.info, a);
        INFO(show(b.code, &a));
        CHECK(check_allocation(b.code, m.info, a) == "");
        // The oracle sees it when one of the edits is too narrow for what it carries.
        REQUIRE_FALSE(a.edits.empty());
        for (Edit& e : a.edits) e.bytes = 4;
        CHECK((check_allocation(b.code, m.info, a) == "") == (narrow == 7));
      }
    }
  }
}

TEST_CASE("Register allocation: large functions, long chains and many operands") {
  Machine m;
  RegisterAllocator allocator;
  Allocation a;
  {  // one block of 60,000 instructions over a few hundred values that are live for long
    Builder b;
    Random rng(5);
    b.block();
    b.succs({});
    std::vector<Reg> regs;
    for (int i = 0; i < 300; i++) {
      regs.push_back(b.vreg());
      b.inst({def(regs.back())});
    }
    for (int i = 0; i < 60000; i++) b.inst({mod(regs[rng() % 300]), use(regs[rng() % 300])});
    b.inst({}, vflags::terminator);
    allocator.run(b.code, m.info, a);
    CHECK_FALSE(a.failed);
  }
  {  // 20,000 blocks, each with a copy into one variable
    Builder b;
    Reg v = b.vreg();
    for (uint32_t k = 0; k < 20000; k++) {
      b.block();
      if (k == 0) b.inst({def(v)});
      Reg t = b.vreg();
      b.inst({def(t), use(v)});
      b.inst({def(v), use(t)}, vflags::copy);
      b.inst({}, vflags::terminator);
      b.succs(k + 1 < 20000 ? std::vector<uint32_t>{k + 1} : std::vector<uint32_t>{});
    }
    allocator.run(b.code, m.info, a);
    CHECK(a.edits.empty());
  }
  {  // more than 254 operands
    Builder b;
    b.block();
    b.succs({});
    std::vector<Operand> ops;
    for (int i = 0; i < 200; i++) {
      Reg s = b.vreg(), d = b.vreg();
      b.inst({def(s)});
      ops.push_back(def(d));
      ops.push_back(use(s));
    }
    b.inst(ops, vflags::parallel_copy);
    for (size_t i = 0; i < ops.size(); i += 2) b.inst({use(ops[i].reg())});
    b.inst({}, vflags::terminator);
    check(allocator, b.code, m);
  }
}
