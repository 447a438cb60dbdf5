// Relaxation of branches: x86_64's two kinds of forms, RISC-V's of three and four, and layouts in which sizes depend on
// each other in circles.
#include "codegen/native/text_layout.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

namespace lode::codegen {
namespace {

constexpr BranchForm x86_jmp[] = {{0, 0, 0, 0}, {2, 2, -128, 127}, {5, 5, INT32_MIN, INT32_MAX}};
constexpr std::span<const BranchForm> x86[] = {x86_jmp};
// A compressed branch, a branch, the opposite branch around a jump; the jump reaches what a function may be here. The
// displacement counts from the instruction that has it.
constexpr BranchForm riscv_branch[] = {{2, 0, -256, 254}, {4, 0, -4096, 4094}, {8, 4, -1048576, 1048574}};
constexpr BranchForm riscv_jump[] = {
    {0, 0, 0, 0}, {2, 0, -2048, 2046}, {4, 0, -1048576, 1048574}, {8, 0, INT32_MIN, INT32_MAX}};
constexpr std::span<const BranchForm> riscv[] = {riscv_branch, riscv_jump};

// Text of instructions: place i stands in front of i, which is bytes or a branch.
struct Text {
  TextLayout layout;
  uint32_t size = 0;
  void place() { layout.places.push_back({size, uint32_t(layout.branches.size())}); }
  uint32_t index() const { return uint32_t(layout.places.size()); }
  void bytes(uint32_t n) {
    place();
    size += n;
  }
  void branch(uint32_t target, uint8_t kind, BranchForms forms) {
    const uint8_t form = target <= index() && forms[kind][0].bytes == 0 ? 1 : 0;
    place();
    layout.add_branch(size, target, kind, form, 0);
  }
  void align(unsigned log2, uint32_t most) {
    place();
    layout.add_alignment(size, log2, most);
  }
  void relax(BranchForms forms) {
    place();
    layout.relax(forms);
  }
};

bool fits(const BranchForm& f, int64_t displacement) { return displacement >= f.lowest && displacement <= f.highest; }

// Every displacement fits its form; without alignments no form is larger than it has to be.
void check(const Text& text, BranchForms forms, bool least) {
  uint32_t bytes = 0;
  for (size_t k = 0; k < text.layout.branches.size(); k++) {
    const Branch& b = text.layout.branches[k];
    REQUIRE(text.layout.start(k) == b.offset + bytes);
    bytes += b.size;
    if (b.kind == Branch::alignment) {
      const uint32_t step = 1u << (b.target & 15), end = text.layout.start(k) + b.size;
      const bool given_up = b.size == 0 && -text.layout.start(k) % step > b.target >> 4;
      if (!given_up) REQUIRE(end % step == 0);
      continue;
    }
    const BranchForm& f = forms[b.kind][b.form];
    REQUIRE(b.size == f.bytes);
    REQUIRE(fits(f, text.layout.displacement(k, forms)));
    if (!least || b.form == 0 || (b.form == 1 && b.target <= k && forms[b.kind][0].bytes == 0)) continue;
    const BranchForm& smaller = forms[b.kind][b.form - 1];
    const bool ahead = text.layout.places[b.target].branches > k;
    // As it would be had this branch alone the smaller form. The least solution may not have room for that.
    int64_t distance = int64_t(text.layout.offset_of(b.target)) - text.layout.start(k);
    if (ahead) distance -= f.bytes - smaller.bytes;
    if (smaller.bytes != 0 || ahead) REQUIRE(!fits(smaller, distance - smaller.origin));
  }
  REQUIRE(text.layout.bytes() == bytes);
}

}  // namespace

TEST_CASE("a jump to the next instruction is nothing, the others as large as their distance") {
  Text t;
  t.branch(1, 0, x86);
  t.bytes(127);
  t.branch(1, 0, x86);  // 127 + 2 bytes back
  t.branch(5, 0, x86);  // over 127 bytes
  t.bytes(127);
  t.branch(7, 0, x86);  // over 128 bytes
  t.bytes(128);
  t.relax(x86);
  check(t, x86, true);
  const std::vector<Branch>& b = t.layout.branches;
  CHECK(b[0].size == 0);
  CHECK(b[1].size == 5);
  CHECK(b[2].size == 2);
  CHECK(b[3].size == 5);
}

TEST_CASE("three and four forms grow step by step") {
  for (uint32_t between : {0u, 200u, 300u, 2000u, 2500u, 4000u, 5000u, 1048000u})
    for (bool ahead : {false, true}) {
      Text t;
      if (ahead) {
        t.branch(3, 1, riscv);
        t.branch(3, 0, riscv);
        t.bytes(between);
      } else {
        t.bytes(between);
        t.branch(0, 1, riscv);
        t.branch(0, 0, riscv);
      }
      t.bytes(2);
      t.relax(riscv);
      check(t, riscv, true);
      const auto& branches = t.layout.branches;
      const Branch &jump = branches[0], &branch = branches[1];
      CHECK(branch.size == (between <= 200 ? 2 : between <= 4000 ? 4 : 8));
      CHECK(jump.size == (between <= 2000 ? 2 : 4));
    }
}

TEST_CASE("one branch that grows makes all of a chain grow") {
  // Branch k leaps over the next one and just as many bytes as fit if that is short: the last is not.
  Text t;
  constexpr uint32_t n = 500;
  for (uint32_t k = 0; k < n; k++) {
    t.branch(k + 1 < n ? 2 * k + 4 : 2 * n, 0, x86);
    t.bytes(k + 1 < n ? 62 : 200);
  }
  t.relax(x86);
  check(t, x86, true);
  for (const Branch& b : t.layout.branches) CHECK(b.size == 5);
}

TEST_CASE("alignments between branches: growing never swings back, and ends") {
  // A larger branch moves an alignment, which then skips less, which would let the branch be small again.
  for (uint32_t gap = 100; gap < 140; gap++)
    for (unsigned log2 = 1; log2 < 8; log2++) {
      Text t;
      t.branch(4, 0, x86);
      t.bytes(gap / 2);
      t.align(log2, 4096);
      t.bytes(gap - gap / 2);
      t.branch(0, 0, x86);
      t.align(log2, 3);
      t.branch(2, 0, x86);
      t.relax(x86);
      check(t, x86, false);
    }
}

TEST_CASE("random layouts fit, for all machines") {
  std::mt19937 random(3);
  for (int round = 0; round < 300; round++) {
    const BranchForms forms = round % 2 ? BranchForms(riscv) : BranchForms(x86);
    const bool aligned = round % 3 == 0;
    const uint32_t n = 1 + random() % 400, spread = 1 + random() % 60;
    Text t;
    for (uint32_t k = 0; k < n; k++) {
      const uint32_t what = random() % 10;
      if (what == 0 && aligned) t.align(1 + random() % 6, random() % 80);
      else if (what < 5) t.bytes(2 * (random() % 40));
      else
        t.branch(
            std::min<uint32_t>(n, uint32_t(std::max<int64_t>(0, int64_t(k) + int64_t(random() % spread) - spread / 2))),
            uint8_t(random() % forms.size()), forms);
    }
    const uint64_t most = t.layout.most_bytes(forms);
    t.relax(forms);
    check(t, forms, false);
    CHECK(t.layout.bytes() <= most);
  }
}

}  // namespace lode::codegen
