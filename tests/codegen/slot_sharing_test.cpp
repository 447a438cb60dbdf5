// Which slots may share memory, from lifetime marks: shapes one by one, and random graphs against a walk over all ways.
#include "codegen/native/slot_sharing.h"

#include <catch2/catch.hpp>
#include <random>

#include "codegen/air/text.h"
#include "tests/codegen/x86_64_air.h"

using namespace lode;
using air::Op;
using codegen::SlotSharing;

namespace {

air::Module read(const std::string& body) {
  auto module = air::read_text(
      "target \"x86_64-unknown-linux-gnu\"\ndeclare func @use(ptr)\ndeclare func @setjmp(ptr) -> i32\n"
      "func @f(%c: i1, %p: ptr) {\n" +
          body + "}\n",
      "test.air");
  if (!module.ok()) FAIL(module.error().text());
  return std::move(*module);
}

std::vector<uint32_t> places(const std::string& body) {
  const air::Module m = read(body);
  SlotSharing s;
  s.run(m.in_memory.at(0));
  return s.place;
}

using Places = std::vector<uint32_t>;

// Whether some way leads to an instruction before which both slots hold a value.
bool meet(const air::Function& fn, uint32_t x, uint32_t y) {
  std::vector<uint8_t> seen(fn.insts.size());
  std::vector<std::pair<uint32_t, unsigned>> work{{0, 0}};
  while (!work.empty()) {
    auto [k, live] = work.back();
    work.pop_back();
    if (live == 3) return true;
    if (seen[k] >> live & 1) continue;
    seen[k] |= uint8_t(1 << live);
    const air::Inst& i = fn.insts[k];
    const unsigned bit = i.a == x ? 1 : i.a == y ? 2 : 0;
    if (i.op == Op::lifetime_start) live |= bit;
    if (i.op == Op::lifetime_end) live &= ~bit;
    const unsigned after = live;
    if (!air::is_terminator(i.op)) work.push_back({k + 1, after});
    else
      air::for_each_edge(
          fn, i, [&](air::EdgeIndex e) { work.push_back({fn.blocks[fn.edges[e].target.value].first_inst, after}); });
  }
  return false;
}

}  // namespace

TEST_CASE("Slot sharing: scopes one after the other share, nested ones do not") {
  CHECK(places("  slot a 100\n  slot b 200\n  slot c 100\nentry:\n"
               "  lifetime_start a\n  lifetime_end a\n"
               "  lifetime_start b\n  lifetime_start c\n  lifetime_end c\n  lifetime_end b\n  ret\n") ==
        Places{1, 1, 2});
  // Without marks a slot holds its value always.
  CHECK(places("  slot a 100\n  slot b 100\n  slot c 100\nentry:\n  lifetime_start a\n  lifetime_end a\n"
               "  lifetime_start b\n  lifetime_end b\n  ret\n") == Places{0, 0, 2});
  // An end without a start says nothing.
  CHECK(places("  slot a 100\n  slot b 100\nentry:\n  lifetime_start a\n  lifetime_end a\n  lifetime_end b\n  ret\n") ==
        Places{0, 1});
  // Small slots stay small.
  CHECK(places("  slot a 8\n  slot b 4096\n  slot c 8\nentry:\n  lifetime_start a\n  lifetime_end a\n  lifetime_start "
               "b\n  lifetime_end b\n"
               "  lifetime_start c\n  lifetime_end c\n  ret\n") == Places{0, 1, 0});
}

TEST_CASE("Slot sharing: the place holds and aligns all of its slots") {
  const air::Module m = read(
      "  slot a 100 align 64\n  slot b 200 align 4\nentry:\n  lifetime_start a\n  lifetime_end a\n"
      "  lifetime_start b\n  lifetime_end b\n  ret\n");
  SlotSharing s;
  s.run(m.in_memory.at(0));
  REQUIRE(s.place == Places{1, 1});
  CHECK(s.slots[1].size == 200);
  CHECK(s.slots[1].align_log2 == 6);
  const codegen::SlotZone groups[] = {codegen::SlotZone::rest, codegen::SlotZone::large_array};
  s.run(m.in_memory.at(0), groups);
  CHECK(s.place == Places{0, 1});
}

TEST_CASE("Slot sharing: marks on some ways only, loops and second returns") {
  const std::string slots = "  slot a 100\n  slot b 100\n";
  // b starts where a may still hold a value.
  CHECK(
      places(slots +
             "entry:\n  lifetime_start a\n  cond_br i1 %c, yes, no\nyes:\n  lifetime_end a\n  br join\nno:\n  br join\n"
             "join:\n  lifetime_start b\n  lifetime_end b\n  ret\n") == Places{0, 1});
  CHECK(places(slots + "entry:\n  cond_br i1 %c, yes, no\nyes:\n  lifetime_start a\n  lifetime_end a\n  br join\nno:\n"
                       "  lifetime_start b\n  lifetime_end b\n  br join\njoin:\n  ret\n") == Places{0, 0});
  // a's value lives on in the next turn of the loop, though its start stands behind b's end.
  CHECK(places(slots + "entry:\n  br loop\nloop:\n  lifetime_start b\n  lifetime_end b\n  lifetime_start a\n"
                       "  cond_br i1 %c, loop, out\nout:\n  lifetime_end a\n  ret\n") == Places{0, 1});
  CHECK(places(slots +
               "entry:\n  br loop\nloop:\n  lifetime_start b\n  lifetime_end b\n  lifetime_start a\n  lifetime_end a\n"
               "  cond_br i1 %c, loop, out\nout:\n  ret\n") == Places{0, 0});
  const std::string two = "  lifetime_start a\n  lifetime_end a\n  lifetime_start b\n  lifetime_end b\n  ret\n";
  CHECK(places(slots + "entry:\n" + two) == Places{0, 0});
  CHECK(places(slots + "entry:\n  %0 = call returns_twice i32 @setjmp(ptr %p)\n" + two) == Places{0, 1});
  CHECK(places(slots + "entry:\n  %0 = eh_sjlj_setjmp ptr %p to i32\n" + two) == Places{0, 1});
}

TEST_CASE("Slot sharing: random graphs") {
  std::mt19937 rng(7);
  auto below = [&](unsigned n) { return unsigned(rng() % n); };
  unsigned shared = 0;
  for (unsigned round = 0; round < 300; round++) {
    air::Function fn;
    const unsigned slots = 2 + below(70), blocks = 1 + below(12);
    for (unsigned s = 0; s < slots; s++) fn.slots.push_back({1 + below(300), below(5)});
    fn.lifetime_markers = true;
    for (unsigned b = 0; b < blocks; b++) {
      air::Block block;
      block.first_inst = uint32_t(fn.insts.size());
      for (unsigned n = below(slots); n > 0; n--) {
        air::Inst i{};
        i.op = below(2) ? Op::lifetime_start : Op::lifetime_end;
        i.type = air::TypeTable::void_type;
        i.a = below(slots);
        fn.insts.push_back(i);
      }
      air::Inst end{};
      end.type = air::TypeTable::void_type;
      auto edge = [&] {
        fn.edges.push_back({air::BlockId(blocks == 1 ? 0 : 1 + below(blocks - 1)), 0, 0});
        return uint32_t(fn.edges.size() - 1);
      };
      switch (blocks == 1 ? 0 : below(4)) {
        case 0: end.op = Op::unreachable; break;
        case 1: end.op = Op::br, end.a = edge(); break;
        default: end.op = Op::cond_br, end.a = 0, end.b = edge(), end.c = edge(); break;
      }
      fn.insts.push_back(end);
      block.inst_count = uint32_t(fn.insts.size()) - block.first_inst;
      fn.blocks.push_back(block);
    }
    SlotSharing s;
    s.run(fn);
    for (unsigned x = 0; x < slots; x++) {
      CHECK(s.slots[s.place[x]].size >= fn.slots[x].size);
      CHECK(s.slots[s.place[x]].align_log2 >= fn.slots[x].align_log2);
      for (unsigned y = 0; y < x; y++) {
        if (s.place[x] != s.place[y]) continue;
        shared++;
        CHECK_FALSE(meet(fn, x, y));
      }
    }
  }
  CHECK(shared > 1000);
}

TEST_CASE("Slot sharing: the frame of code that runs") {
  // Eight buffers of 1000 bytes in scopes of their own: the frame holds one.
  std::string text = "declare func @memset(ptr, i32, i64) -> ptr\nfunc @f(%x: i64) -> i64 {\n";
  for (int k = 0; k < 8; k++) text += "  slot b" + std::to_string(k) + " 1000 align 16\n";
  text += "entry:\n";
  for (int k = 0; k < 8; k++) {
    const std::string n = std::to_string(k), before = k ? "%v" + std::to_string(k - 1) : "%x";
    text += "  lifetime_start b" + n + "\n  %p" + n + " = slot_addr b" + n + "\n  store i64 " + before + ", ptr %p" +
            n + " volatile align 16\n";
    text += "  %l" + n + " = load i64, ptr %p" + n + " volatile align 16\n  %v" + n + " = add i64 %l" + n +
            ", 1\n  lifetime_end b" + n + "\n";
  }
  text += "  ret i64 %v7\n}\n";
  auto lowered = test::lowered("target \"x86_64-unknown-linux-gnu\"\n" + text);
  REQUIRE(lowered.error == "");
  std::vector<int32_t> slots;
  auto plan = x86_64::plan_frame(x86_64::view_of(lowered.draft), slots);
  REQUIRE(plan.ok());
  CHECK(plan->size < 1200);
  test::run(text, [](const test::Code& code) { CHECK(code.as<uint64_t(uint64_t)>()(34) == 42); });
}
