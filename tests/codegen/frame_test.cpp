#include "codegen/native/frame.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace lode::codegen;

namespace {

FrameLayout lay_out(const FrameInput& in) {
  FrameLayout out;
  auto r = lay_out_frame(in, out);
  REQUIRE(r.ok());
  return out;
}

}  // namespace

TEST_CASE("Frame: random frames keep every slot aligned, apart and inside, whatever the stack pointer's residue") {
  std::mt19937 rng(1);
  for (int round = 0; round < 5000; round++) {
    std::vector<FrameSlot> slots(rng() % 8);
    for (FrameSlot& s : slots)
      s = {rng() % 3 ? rng() % 40 : rng() % 400, 1u << rng() % (rng() % 4 ? 5 : 9), uint32_t(rng() % 4)};
    FrameInput in;
    in.slots = slots;
    in.saved_bytes = 8 * (rng() % 6);
    in.has_calls = rng() % 2;
    if (in.has_calls && rng() % 2) in.outgoing_size = rng() % 100, in.outgoing_align = 1u << rng() % 7;
    in.dynamic_alloca = rng() % 5 == 0;
    in.force_frame_pointer = rng() % 5 == 0;
    if (rng() % 8 == 0) in.min_align = 64;
    if (rng() % 2) in.red_zone = 128;
    const FrameLayout f = lay_out(in), again = lay_out(in);
    REQUIRE(f.slot_offsets == again.slot_offsets);
    REQUIRE(f.adjustment == again.adjustment);
    for (int residue = 0; residue < 32; residue++) {
      const int64_t cfa = 1 << 20 | residue * 16;
      int64_t sp = cfa - in.entry_bytes, fp = 0;
      if (f.uses_frame_pointer) fp = sp -= in.fp_bytes;
      sp -= in.saved_bytes;
      const int64_t saved_end = sp;
      if (f.align_mask_log2) sp &= -(int64_t{1} << f.align_mask_log2);
      sp -= f.adjustment;
      const int64_t base = f.slot_base == FrameBase::frame_pointer ? fp : sp;
      if (f.slot_base == FrameBase::frame_pointer) REQUIRE((f.uses_frame_pointer && !f.align_mask_log2));
      REQUIRE((f.slot_base == FrameBase::base_pointer) == frame_needs_base_pointer(in));
      REQUIRE((f.incoming_base == FrameBase::frame_pointer ? fp : sp) + f.incoming_offset == cfa);
      if (in.has_calls || in.dynamic_alloca) REQUIRE(sp % 16 == 0);
      REQUIRE(sp % in.min_align == 0);
      REQUIRE(sp % in.outgoing_align == 0);
      const int64_t low = sp + int64_t(in.outgoing_size) - (f.adjustment == 0 && !in.has_calls ? in.red_zone : 0);
      std::vector<std::pair<int64_t, int64_t>> places;
      for (size_t i = 0; i < slots.size(); i++) {
        const int64_t at = base + f.slot_offsets[i];
        REQUIRE(at % slots[i].align == 0);
        REQUIRE(at >= low);
        REQUIRE(at + int64_t(slots[i].size) <= saved_end);
        if (slots[i].size) places.push_back({at, at + int64_t(slots[i].size)});
      }
      std::sort(places.begin(), places.end());
      for (size_t i = 1; i < places.size(); i++) REQUIRE(places[i - 1].second <= places[i].first);
    }
  }
}

TEST_CASE("Frame: known layouts") {
  struct Case {
    uint32_t saved;
    uint64_t outgoing;
    bool calls;
    std::vector<FrameSlot> slots;
    uint32_t adjustment, mask;
  };
  const std::vector<FrameSlot> mixed = {{1, 1}, {8, 8}, {1, 1}, {4, 4}, {1, 1}, {8, 8}, {2, 2}, {16, 16}};
  const Case cases[] = {
      {0, 0, false, {}, 0, 0},
      {0, 0, true, {}, 0, 0},
      {8, 0, true, {}, 8, 0},
      {0, 32, true, {{8, 8}}, 48, 0},
      {40, 0, true, mixed, 56, 0},
      {0, 0, true, {{64, 64}, {8, 8}}, 128, 6},
      {0, 0, false, {{1, 1}}, 1, 0},
  };
  for (const Case& c : cases) {
    FrameInput in;
    in.slots = c.slots;
    in.saved_bytes = c.saved;
    in.outgoing_size = c.outgoing;
    in.has_calls = c.calls;
    in.force_frame_pointer = true;
    const FrameLayout f = lay_out(in);
    CHECK(f.adjustment == c.adjustment);
    CHECK(f.align_mask_log2 == c.mask);
  }
  // Sorted, the mixed slots take 41 bytes without a gap.
  FrameInput in;
  in.slots = mixed;
  const FrameLayout f = lay_out(in);
  int32_t end = 0;
  for (size_t i = 0; i < mixed.size(); i++) end = std::max(end, f.slot_offsets[i] + int32_t(mixed[i].size));
  CHECK(end == 41);
  // At every call the stack pointer is aligned: 0..5 saved registers, every size.
  for (uint32_t saved = 0; saved <= 5; saved++) {
    for (uint32_t size = 0; size <= 256; size++) {
      const FrameSlot one{size, 1};
      FrameInput call;
      call.slots = {&one, 1};
      call.saved_bytes = 8 * saved;
      call.has_calls = true;
      const FrameLayout g = lay_out(call);
      REQUIRE((8 + 8 * saved + g.adjustment) % 16 == 0);
      REQUIRE(g.adjustment >= size);
      REQUIRE(g.adjustment < size + 16);
    }
  }
}

TEST_CASE("Frame: a leaf's small slots lie in the red zone") {
  const FrameSlot slots[] = {{8, 8}, {16, 16}};
  FrameInput in;
  in.slots = slots;
  in.red_zone = 128;
  const FrameLayout f = lay_out(in);
  CHECK(f.adjustment == 0);
  CHECK(f.slot_offsets[1] == -24);
  CHECK(f.slot_offsets[0] == -8);
  CHECK(f.incoming_offset == 8);
}

TEST_CASE("Frame: what cannot be laid out is an error") {
  FrameLayout out;
  auto refused = [&](std::vector<FrameSlot> slots) {
    FrameInput in;
    in.slots = slots;
    return !lay_out_frame(in, out).ok();
  };
  CHECK(refused({{uint64_t{5} << 30, 8}}));
  CHECK(refused({{uint64_t{1} << 31, 8}}));
  CHECK(refused({{uint64_t{1} << 30, 8}, {uint64_t{1} << 30, 8}}));
  CHECK(refused({{8, 0}}));
  CHECK(refused({{8, 24}}));
  CHECK(refused({{~uint64_t{0}, 1}}));
  CHECK_FALSE(refused({{uint64_t{1} << 30, 8}, {0, 1}}));
}
