// Prologue and epilogue. Choices that save bytes: an adjustment by 8 is a push or pop of a scratch register, one by 128 is made with
// the 8-bit immediate of the opposite sign, `leave` undoes a frame that saved nothing but rbp.
#include "codegen/x86_64/lower_frame.h"

#include <algorithm>
#include <bit>

#include "codegen/x86_64/encode.h"

namespace lode::x86_64 {

namespace {

struct Slot {
  uint32_t size;
  uint8_t align_log2;
};

Slot slot_at(std::span<const uint8_t> locals, size_t n) { return {load_le<uint32_t>(&locals[8 * n]), locals[8 * n + 4]}; }

constexpr uint64_t frame_limit = 0x7fff0000;

}  // namespace

Result<FrameLayout> lay_out_frame(const mir::FunctionView& fn, std::vector<int32_t>& slots) {
  FrameLayout f;
  uint32_t flags = fn.frame[frame::word_flags];
  uint32_t saved = fn.frame[frame::word_saved] & callee_saved_gp;
  uint64_t outgoing = align_up(fn.frame[frame::word_outgoing], 8);
  bool calls = flags & frame::has_calls;
  f.dynamic = flags & frame::dynamic;
  f.cfi = !(flags & frame::no_cfi);

  size_t n = fn.locals.size() / 8;
  slots.resize(n);
  unsigned max_align = calls || f.dynamic || outgoing ? 4 : 3;
  // Largest alignment first among the small slots, then among the large ones: what is used most gets short displacements. The
  // key ends with the number, so that the order is fixed.
  static thread_local std::vector<uint64_t> order;
  order.clear();
  for (size_t i = 0; i < n; i++) {
    Slot s = slot_at(fn.locals, i);
    if (s.align_log2 > 28) return error("a stack object's alignment is beyond 2^28");
    max_align = std::max<unsigned>(max_align, s.align_log2);
    uint64_t large = s.size > 64;
    order.push_back(large << 63 | uint64_t(31 - s.align_log2) << 40 | i);
  }
  std::sort(order.begin(), order.end());
  uint64_t end = outgoing;
  for (uint64_t key : order) {
    size_t i = key & 0xffffffff;
    Slot s = slot_at(fn.locals, i);
    end = align_up(end, uint64_t{1} << s.align_log2);
    if (end > frame_limit) return error("the stack frame is larger than 2 GiB");
    slots[i] = int32_t(end);
    end += s.size;
  }
  if (end > frame_limit) return error("the stack frame is larger than 2 GiB");

  bool over_aligned = max_align > 4;
  f.align_log2 = over_aligned ? max_align : 0;
  f.frame_pointer = f.dynamic || over_aligned || (flags & frame::frame_pointer);
  f.base_pointer = f.dynamic && over_aligned;
  if (f.frame_pointer) saved &= ~(1u << reg::rbp);
  if (f.base_pointer) saved |= 1u << reg::rbx;
  f.pushed = uint16_t(saved);
  f.push_count = unsigned(std::popcount(saved));
  // Bytes between the CFA and the place that `sub` starts from: return address, rbp, saved registers.
  uint64_t above = 8 + 8 * (f.push_count + f.frame_pointer);
  uint64_t unit = uint64_t{1} << std::min(max_align, 4u);
  if (over_aligned) end = align_up(end, uint64_t{1} << max_align);
  else if (end || calls) end = align_up(end + above, unit) - above;  // the CFA is a multiple of 16
  if (end > frame_limit) return error("the stack frame is larger than 2 GiB");
  f.outgoing = uint32_t(outgoing);
  if (f.dynamic) f.outgoing = uint32_t(align_up(outgoing, 16));
  f.red_zone = !calls && !f.frame_pointer && end <= 128 && !(flags & frame::no_red_zone);
  f.size = f.red_zone ? 0 : uint32_t(end);

  int32_t shift = 0;
  if (f.base_pointer) {
    f.slot_base = reg::rbx;
  } else if (f.frame_pointer && !over_aligned) {
    f.slot_base = reg::rbp;
    shift = -int32_t(end + 8 * f.push_count);
  } else if (f.red_zone) {
    shift = -int32_t(end);
  }
  if (shift)
    for (int32_t& s : slots) s += shift;
  f.incoming_base = f.frame_pointer ? reg::rbp : reg::rsp;
  f.incoming_disp = f.frame_pointer ? 16 : int32_t(f.size + 8 * f.push_count + 8);
  return f;
}

namespace {

uint8_t* add_rsp(uint8_t* p, int64_t delta) {  // delta in -2^31 .. 2^31; 0 is nothing
  if (delta == 0) return p;
  if (delta == 128) return encode_ri(p, info(Op::sub64ri), reg::rsp, -128);
  if (delta > 0 || delta == -128) return encode_ri(p, info(Op::add64ri), reg::rsp, delta);
  return encode_ri(p, info(Op::sub64ri), reg::rsp, -delta);
}

}  // namespace

uint8_t* put_prologue(uint8_t* p, const FrameLayout& f, const uint8_t* text, std::vector<CfiRow>& rows) {
  auto row = [&](CfiRow::Kind kind, int32_t value, uint8_t reg = 0) {
    if (f.cfi) rows.push_back({uint32_t(p - text), 0, kind, reg, value});
  };
  int32_t depth = 8;  // the CFA minus rsp
  auto push = [&](uint8_t r) {
    p = encode_r(p, info(Op::push64r), r);
    depth += 8;
    if (!f.frame_pointer || depth == 16) row(CfiRow::Kind::cfa_offset, depth);
  };
  if (f.frame_pointer) {
    push(reg::rbp);
    row(CfiRow::Kind::saved, depth, reg::rbp);
    p = encode_rr(p, info(Op::mov64rr), reg::rbp, reg::rsp);
    row(CfiRow::Kind::cfa_rbp, depth);
  }
  int32_t first = depth;
  for (unsigned r = 0; r < 16; r++)
    if (f.pushed >> r & 1) push(uint8_t(r));
  // A register keeps its value until the body starts, so one row after the last push serves for all.
  for (unsigned r = 0, at = first; r < 16; r++)
    if (f.pushed >> r & 1) row(CfiRow::Kind::saved, int32_t(at += 8), uint8_t(r));
  if (f.size) {
    if (f.size == 8 && !f.align_log2) p = encode_r(p, info(Op::push64r), reg::rax);
    else p = add_rsp(p, -int64_t(f.size));
    depth += int32_t(f.size);
    if (!f.frame_pointer) row(CfiRow::Kind::cfa_offset, depth);
  }
  if (f.align_log2) p = encode_ri(p, info(Op::and64ri), reg::rsp, -(int64_t{1} << f.align_log2));
  if (f.base_pointer) p = encode_rr(p, info(Op::mov64rr), reg::rbx, reg::rsp);
  return p;
}

uint8_t* put_epilogue(uint8_t* p, const FrameLayout& f, bool tail, const uint8_t* text, uint32_t branches, std::vector<CfiRow>& rows) {
  auto row = [&](CfiRow::Kind kind, int32_t value) {
    if (f.cfi) rows.push_back({uint32_t(p - text), branches, kind, 0, value});
  };
  int32_t depth = int32_t(8 + 8 * f.push_count + f.size);
  bool changes = f.frame_pointer || f.push_count || f.size;
  if (changes) row(CfiRow::Kind::remember, 0);
  if (f.frame_pointer) {
    if (f.push_count == 0 && (f.size || f.dynamic || f.align_log2)) {
      *p++ = 0xc9;  // leave
      row(CfiRow::Kind::cfa_rsp, 8);
      return p;
    }
    if (f.dynamic || f.align_log2) {
      Address a;
      a.base = reg::rbp;
      a.disp = -int32_t(8 * f.push_count);
      p = encode_rm(p, info(Op::lea64rm), reg::rsp, a);
    } else {
      p = add_rsp(p, f.size);
    }
    for (int r = 15; r >= 0; r--)
      if (f.pushed >> r & 1) p = encode_r(p, info(Op::pop64r), uint8_t(r));
    p = encode_r(p, info(Op::pop64r), reg::rbp);
    row(CfiRow::Kind::cfa_rsp, 8);
    return p;
  }
  if (f.size) {
    if (f.size == 8 && !tail) p = encode_r(p, info(Op::pop64r), reg::rcx);
    else p = add_rsp(p, f.size);
    depth -= int32_t(f.size);
    row(CfiRow::Kind::cfa_offset, depth);
  }
  for (int r = 15; r >= 0; r--)
    if (f.pushed >> r & 1) {
      p = encode_r(p, info(Op::pop64r), uint8_t(r));
      depth -= 8;
      row(CfiRow::Kind::cfa_offset, depth);
    }
  return p;
}

}  // namespace lode::x86_64
