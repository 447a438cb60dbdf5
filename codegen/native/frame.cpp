// Frame layout: see frame.h for the picture.
//
// Slots are sorted: by zone; in a zone small ones (up to 64 bytes) before large ones, so that arrays do not push
// scalars out of reach of short displacements; in each group by alignment, largest first, which leaves no padding
// between slots whose sizes are multiples of their alignments; then by weight, size and index, so that the order is
// always the same.
//
// A frame whose slots want more than the ABI's stack alignment has its stack pointer masked. From there on the distance
// to the incoming arguments is unknown: those are reached from the frame pointer, the slots from the stack pointer,
// never the other way round. With dynamic allocas the stack pointer moves, and slots are reached from the frame
// pointer, unless the mask made that distance unknown too; then a third register keeps the stack pointer's value.
#include "codegen/native/frame.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/bytes.h"

namespace lode::codegen {

namespace {

constexpr uint64_t frame_limit = uint64_t{1} << 31;
constexpr uint64_t small_slot = 64;

uint32_t needed_align(const FrameInput& in) {
  uint32_t need = std::max({in.outgoing_align, in.min_align, in.has_calls || in.dynamic_alloca ? in.stack_align : 1u});
  for (const FrameSlot& s : in.slots) need = std::max(need, s.align);
  return need;
}

}  // namespace

bool frame_needs_base_pointer(const FrameInput& in) { return in.dynamic_alloca && needed_align(in) > in.stack_align; }

Result<void> lay_out_frame(const FrameInput& in, FrameLayout& out) {
  auto too_large = [](uint64_t n) { return error("the stack frame is too large: " + std::to_string(n) + " bytes"); };
  for (const FrameSlot& s : in.slots) {
    if (!is_power_of_two(s.align) || s.align > 1u << 30)
      return error("stack slot with an alignment of " + std::to_string(s.align) + " bytes");
    if (s.size >= frame_limit) return too_large(s.size);
  }
  if (!is_power_of_two(in.outgoing_align) || !is_power_of_two(in.min_align) || !is_power_of_two(in.stack_align) ||
      std::max({in.outgoing_align, in.min_align, in.stack_align}) > 1u << 30)
    return error("stack frame with an alignment that is not a power of two");
  if (in.outgoing_size >= frame_limit) return too_large(in.outgoing_size);

  std::vector<uint32_t> order(in.slots.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t x, uint32_t y) {
    const FrameSlot &a = in.slots[x], &b = in.slots[y];
    if (a.zone != b.zone) return a.zone < b.zone;
    const bool large_a = a.size > small_slot, large_b = b.size > small_slot;
    if (large_a != large_b) return large_b;
    if (a.align != b.align) return a.align > b.align;
    if (a.weight != b.weight) return a.weight > b.weight;
    if (a.size != b.size) return a.size < b.size;
    return x < y;
  });

  const uint32_t need = needed_align(in);
  const bool masked = need > in.stack_align;
  out.uses_frame_pointer = masked || in.dynamic_alloca || in.force_frame_pointer;
  out.align_mask_log2 = masked ? uint32_t(std::countr_zero(need)) : 0;
  const uint64_t below_fp = in.saved_bytes;
  const uint64_t pushed = uint64_t{in.entry_bytes} + (out.uses_frame_pointer ? in.fp_bytes : 0) + below_fp;

  uint64_t end = in.outgoing_size;
  out.slot_offsets.assign(in.slots.size(), 0);
  for (uint32_t i : order) {
    end = align_up(end, in.slots[i].align);
    if (end >= frame_limit) return too_large(end);
    out.slot_offsets[i] = int32_t(end);
    end += in.slots[i].size;
  }
  // The stack pointer in the body is a multiple of `need`: the mask provides for it, or the distance to the CFA does.
  const uint64_t adjustment = masked ? align_up(end, need) : align_up(pushed + end, need) - pushed;
  if (adjustment + pushed >= frame_limit) return too_large(adjustment + pushed);

  const bool in_red_zone =
      !in.has_calls && !out.uses_frame_pointer && in.outgoing_size == 0 && adjustment != 0 && adjustment <= in.red_zone;
  out.adjustment = in_red_zone ? 0 : uint32_t(adjustment);
  int64_t shift = 0;
  out.slot_base = FrameBase::stack_pointer;
  if (in_red_zone) {
    shift = -int64_t(adjustment);
  } else if (in.dynamic_alloca) {
    out.slot_base = masked ? FrameBase::base_pointer : FrameBase::frame_pointer;
    if (!masked) shift = -int64_t(adjustment + below_fp);
  }
  for (int32_t& offset : out.slot_offsets) offset = int32_t(offset + shift);

  if (out.uses_frame_pointer) {
    out.incoming_base = FrameBase::frame_pointer;
    out.incoming_offset = int32_t(in.entry_bytes + in.fp_bytes);
  } else {
    out.incoming_base = FrameBase::stack_pointer;
    out.incoming_offset = int32_t(out.adjustment + pushed);
  }
  return {};
}

}  // namespace lode::codegen
