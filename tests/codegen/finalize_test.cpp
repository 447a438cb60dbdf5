// What stands between allocation and MIR: jumps through empty blocks, and parallel copies as sequences of moves.
#include "codegen/native/finalize.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <random>

namespace lode::codegen {
namespace {

// A block of the given instructions.
struct Blocks {
  VCode code;
  std::vector<Edit> edits;
  void block(std::initializer_list<VInst> insts) {
    code.blocks.push_back({uint32_t(code.insts.size()), uint32_t(insts.size()), 0, 0, 1});
    code.insts.insert(code.insts.end(), insts);
  }
  void edit() { edits.push_back({uint32_t(code.insts.size() - 1), EditKind::move, RegClass::gp, 8, 0, {0}, {1}}); }
  std::vector<uint32_t> threads(std::vector<uint8_t> targets = {}) {
    std::vector<uint32_t> out;
    thread_blocks(code, edits, targets, out);
    return out;
  }
};
VInst op(unsigned op, uint32_t a = 0, uint8_t flags = 0) { return {uint16_t(op), 0, flags, 0, a, 0}; }
VInst jump(uint32_t to) { return op(p_jump, to, vflags::terminator); }
VInst copies() { return op(p_parallel_copy, 0, vflags::parallel_copy); }

}  // namespace

TEST_CASE("jumps go through blocks that hold nothing else") {
  Blocks b;
  b.block({jump(1)});                           // 0: the entry stays
  b.block({copies(), op(p_nothing), jump(2)});  // 1
  b.block({jump(4)});                           // 2
  b.block({op(7), jump(2)});                    // 3: an instruction
  b.block({op(p_return, 0, vflags::terminator)});
  CHECK(b.threads() == std::vector<uint32_t>{0, 4, 4, 3, 4});
  // An indirect branch arrives at 2.
  CHECK(b.threads({0, 0, 1, 0, 0}) == std::vector<uint32_t>{0, 2, 2, 3, 4});
}

TEST_CASE("a block with moves of the allocator is not empty") {
  Blocks b;
  b.block({jump(1)});
  b.block({copies(), jump(2)});
  b.edit();
  b.block({jump(3)});
  b.block({op(p_return, 0, vflags::terminator)});
  CHECK(b.threads() == std::vector<uint32_t>{0, 1, 3, 3});
}

TEST_CASE("an endless loop of empty blocks keeps a block") {
  Blocks b;
  b.block({jump(1)});
  b.block({jump(2)});
  b.block({jump(3)});
  b.block({jump(1)});
  const std::vector<uint32_t> t = b.threads();
  for (uint32_t k = 1; k < 4; k++) CHECK(t[t[k]] == t[k]);
  CHECK(std::any_of(t.begin() + 1, t.end(), [&](uint32_t k) { return t[k] == k; }));
}

// ---- parallel copies --------------------------------------------------------------------------------------------

namespace {

constexpr unsigned gp_count = 10, fp_count = 6;
constexpr uint8_t gp_scratch = 15, fp_scratch = 63;

// Runs the edits of one parallel copy between physical registers and compares with all copies made at once.
void check_copies(const std::vector<std::pair<uint32_t, uint32_t>>& pairs, bool exchange) {
  std::vector<uint8_t> gp, fp;
  for (unsigned r = 0; r < gp_count; r++) gp.push_back(uint8_t(r));
  for (unsigned r = 0; r < fp_count; r++) fp.push_back(uint8_t(32 + r));
  const uint64_t clobbers[] = {0};
  RegisterInfo info;
  info.gp_order = gp;
  info.fp_order = fp;
  info.clobbers = clobbers;
  info.gp_exchange = exchange;
  info.fp_scratch = fp_scratch;
  if (!exchange) info.gp_scratch = gp_scratch;

  VCode code;
  VInst copy = copies(), end = op(p_return, 0, vflags::terminator);
  copy.operand_count = uint8_t(2 * pairs.size());
  for (auto [to, from] : pairs) {
    code.operands.push_back(Operand::make(Reg{to}, Role::def));
    code.operands.push_back(Operand::make(Reg{from}, Role::use));
    code.entry_defs |= uint64_t{1} << from;
  }
  end.operands = uint32_t(code.operands.size());
  end.operand_count = uint8_t(pairs.size());
  for (auto [to, from] : pairs) code.operands.push_back(Operand::make(Reg{to}, Role::use));
  code.insts = {copy, end};
  code.blocks.push_back({0, 2, 0, 0, 1});
  Allocation out;
  RegisterAllocator().run(code, info, out);
  REQUIRE(!out.failed);
  CHECK(check_allocation(code, info, out) == "");

  std::array<uint32_t, 64> now;
  for (uint32_t r = 0; r < 64; r++) now[r] = 1000 + r;
  for (const Edit& e : out.edits) {
    REQUIRE(!e.dst.is_slot());
    REQUIRE(!e.src.is_slot());
    if (e.kind == EditKind::exchange) {
      REQUIRE(exchange);
      std::swap(now[e.dst.value], now[e.src.value]);
    } else {
      REQUIRE(e.kind == EditKind::move);
      now[e.dst.value] = now[e.src.value];
    }
  }
  for (auto [to, from] : pairs) CHECK(now[to] == 1000 + from);
}

}  // namespace

TEST_CASE("parallel copies: chains, cycles and fans, with and without an exchange") {
  for (bool exchange : {true, false}) {
    check_copies({{1, 0}, {2, 1}, {3, 2}}, exchange);                  // a chain
    check_copies({{0, 1}, {1, 0}}, exchange);                          // a swap
    check_copies({{0, 1}, {1, 2}, {2, 0}, {5, 0}, {6, 1}}, exchange);  // a cycle that others read
    check_copies({{0, 1}, {1, 0}, {2, 3}, {3, 4}, {4, 2}}, exchange);  // two cycles
    check_copies({{1, 0}, {2, 0}, {3, 0}}, exchange);                  // one source
    check_copies({{32, 33}, {33, 34}, {34, 32}, {0, 1}, {1, 0}}, exchange);
  }
}

TEST_CASE("parallel copies: random ones are made at once") {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; round++) {
    std::vector<uint32_t> to;
    for (uint32_t r = 0; r < gp_count; r++) to.push_back(r);
    std::shuffle(to.begin(), to.end(), random);
    to.resize(1 + random() % gp_count);
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    const bool permutation = random() % 2;
    std::vector<uint32_t> from = to;
    std::shuffle(from.begin(), from.end(), random);
    for (size_t k = 0; k < to.size(); k++)
      pairs.push_back({to[k], permutation ? from[k] : uint32_t(random() % gp_count)});
    std::vector<uint32_t> fp;
    for (uint32_t r = 0; r < fp_count; r++) fp.push_back(32 + r);
    std::shuffle(fp.begin(), fp.end(), random);
    for (uint32_t r = 0, n = random() % (fp_count + 1); r < n; r++)
      pairs.push_back({fp[r], 32 + uint32_t(random() % fp_count)});
    check_copies(pairs, random() % 2);
  }
}

}  // namespace lode::codegen
