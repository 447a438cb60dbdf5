// Prologue and epilogue; the pages of large frames (-fstack-clash-protection, Rust's default). Choices that save bytes:
// an adjustment by 8 is a push or pop of a scratch register (popping rcx, which is one unless the third word of a
// structure is returned in it, or the convention keeps it), one by 128 is made with the 8-bit immediate of the opposite
// sign, `leave` undoes a frame that saved nothing but rbp.
#include "codegen/x86_64/lower_frame.h"

#include <bit>

#include "codegen/native/frame.h"
#include "codegen/x86_64/encode.h"

namespace lode::x86_64 {

using codegen::CfiRow;

Result<FramePlan> plan_frame(const mir::FunctionView& fn, std::vector<int32_t>& slots) {
  static thread_local std::vector<codegen::FrameSlot> wanted;
  static thread_local codegen::FrameLayout layout;
  FramePlan f;
  uint32_t flags = fn.frame[frame::word_flags];
  uint32_t saved = fn.frame[frame::word_saved] & callee_saved_gp;
  f.dynamic = flags & frame::dynamic;
  f.cfi = !(flags & frame::no_cfi);
  if (flags & frame::naked) {  // nothing is pushed, so the arguments lie behind the return address
    if (!fn.locals.empty() || saved || fn.frame[frame::word_outgoing])
      return error("a naked function with a stack frame");
    slots.clear();
    f.incoming_disp = 8;
    return f;
  }
  f.keeps_rcx = flags & frame::keeps_rcx;
  f.plain_epilogue = flags & frame::plain_epilogue;
  const uint32_t probe = fn.frame[frame::word_probe];
  if (probe >> 31) f.probe_reference = probe & 0x7fffffff;
  else f.probe_interval = probe & ~15u;

  LODE_TRY(codegen::read_frame_slots(fn, wanted));
  codegen::FrameInput in;
  in.slots = wanted;
  in.outgoing_size = align_up(fn.frame[frame::word_outgoing], f.dynamic ? 16 : 8);
  in.red_zone = flags & frame::no_red_zone ? 0 : 128;
  in.has_calls = flags & frame::has_calls;
  in.dynamic_alloca = f.dynamic;
  in.force_frame_pointer = flags & frame::frame_pointer;
  // Whether there is a frame pointer does not depend on what is pushed: it leaves the list, and a base pointer joins
  // it.
  if (frame_needs_base_pointer(in)) saved |= 1u << reg::rbx;
  bool masked = false;
  for (const codegen::FrameSlot& s : wanted) masked |= s.align > in.stack_align;
  if (masked || in.dynamic_alloca || in.force_frame_pointer) saved &= ~(1u << reg::rbp);
  in.saved_bytes = uint32_t(8 * std::popcount(saved));
  LODE_TRY(codegen::lay_out_frame(in, layout));

  f.pushed = uint16_t(saved);
  f.push_count = unsigned(std::popcount(saved));
  f.frame_pointer = layout.uses_frame_pointer;
  f.base_pointer = layout.slot_base == codegen::FrameBase::base_pointer;
  f.align_log2 = layout.align_mask_log2;
  f.size = layout.adjustment;
  f.outgoing = uint32_t(in.outgoing_size);
  auto base = [](codegen::FrameBase b) {
    return b == codegen::FrameBase::stack_pointer   ? reg::rsp
           : b == codegen::FrameBase::frame_pointer ? reg::rbp
                                                    : reg::rbx;
  };
  f.slot_base = base(layout.slot_base);
  f.incoming_base = base(layout.incoming_base);
  f.incoming_disp = layout.incoming_offset;
  slots = layout.slot_offsets;
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

namespace {

constexpr uint32_t probed_by_call = 4096;  // from this size on

// rsp -= f.size, and its rounding down, for a frame whose pages have to be touched in order: a guard page below the
// stack stops it then, wherever the stack ends. What was pushed has been touched; up to an interval below the last
// touch is left to whoever comes next, whose return address will be pushed there. r11 is free at a function's entry.
class Probing {
 public:
  Probing(uint8_t* p, const FramePlan& f, const uint8_t* text, std::vector<CfiRow>& rows, int32_t depth)
      : p_(p), f_(f), text_(text), rows_(rows), depth_(depth), interval_(f.probe_interval) {}

  uint8_t* run() {
    uint32_t untouched = f_.align_log2 ? align() : 0;
    uint64_t left = f_.size;
    if (untouched && untouched + left > interval_) {
      grow(interval_ - untouched);
      touch();
      left -= interval_ - untouched;
      untouched = 0;
    }
    if (left > uint64_t{max_unrolled} * interval_) {
      const uint64_t looped = left / interval_ * interval_;
      loop(uint32_t(looped));
      left -= looped;
    } else {
      for (; left > interval_; left -= interval_) {
        grow(interval_);
        touch();
      }
    }
    grow(uint32_t(left));
    return p_;
  }

 private:
  static constexpr unsigned max_unrolled = 8;  // steps

  void row(CfiRow::Kind kind, int32_t value, uint8_t r = reg::rsp) {
    if (f_.cfi && !f_.frame_pointer) rows_.push_back({uint32_t(p_ - text_), 0, kind, dwarf_gp[r], value});
  }
  void touch() {  // or: what is there already stays
    Address a;
    a.base = reg::rsp;
    p_ = encode_mi(p_, info(Op::or64mi), a, 0);
  }
  void grow(uint32_t bytes) {
    if (!bytes) return;
    p_ = add_rsp(p_, -int64_t(bytes));
    depth_ += int32_t(bytes);
    row(CfiRow::Kind::cfa_offset, depth_);
  }
  void jump_back(Cond cc, const uint8_t* to) {
    *p_++ = uint8_t(0x70 | uint8_t(cc));
    *p_ = uint8_t(to - (p_ + 1));
    p_++;
  }
  void loop(uint32_t bytes) {
    Address a;
    a.base = reg::rsp;
    a.disp = -int32_t(bytes);
    p_ = encode_rm(p_, info(Op::lea64rm), reg::r11, a);
    depth_ += int32_t(bytes);
    row(CfiRow::Kind::cfa, depth_, reg::r11);
    const uint8_t* again = p_;
    p_ = add_rsp(p_, -int64_t(interval_));
    touch();
    p_ = encode_rr(p_, info(Op::cmp64rr), reg::rsp, reg::r11);
    jump_back(Cond::ne, again);
    row(CfiRow::Kind::cfa, depth_);
  }
  // Returns how far rsp may be below the last touch. There is a frame pointer here, so the CFA stays where it is.
  uint32_t align() {
    const uint32_t bytes = 1u << f_.align_log2;
    if (bytes < interval_) {
      p_ = encode_ri(p_, info(Op::and64ri), reg::rsp, -int64_t(bytes));
      return bytes;
    }
    p_ = encode_rr(p_, info(Op::mov64rr), reg::r11, reg::rsp);
    p_ = encode_ri(p_, info(Op::and64ri), reg::r11, -int64_t(bytes));
    *p_++ = 0xeb;  // to where rsp is lowered and compared
    uint8_t* skip = p_++;
    const uint8_t* again = p_;
    touch();
    *skip = uint8_t(p_ - (skip + 1));
    p_ = add_rsp(p_, -int64_t(interval_));
    p_ = encode_rr(p_, info(Op::cmp64rr), reg::rsp, reg::r11);
    jump_back(Cond::a, again);
    p_ = encode_rr(p_, info(Op::mov64rr), reg::rsp, reg::r11);
    touch();
    return 0;
  }

  uint8_t* p_;
  const FramePlan& f_;
  const uint8_t* text_;
  std::vector<CfiRow>& rows_;
  int32_t depth_;  // the CFA minus rsp, without a frame pointer
  uint32_t interval_;
};

}  // namespace

uint8_t* put_prologue(uint8_t* p, const FramePlan& f, const uint8_t* text, std::vector<CfiRow>& rows,
                      const std::function<uint8_t*(uint8_t*)>& call) {
  auto row = [&](CfiRow::Kind kind, int32_t value, uint8_t r = reg::rsp) {
    if (f.cfi) rows.push_back({uint32_t(p - text), 0, kind, dwarf_gp[r], value});
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
    row(CfiRow::Kind::cfa_register, depth, reg::rbp);
  }
  int32_t first = depth;
  for (unsigned r = 0; r < 16; r++)
    if (f.pushed >> r & 1) push(uint8_t(r));
  // A register keeps its value until the body starts, so one row after the last push serves for all.
  for (unsigned r = 0, at = first; r < 16; r++)
    if (f.pushed >> r & 1) row(CfiRow::Kind::saved, int32_t(at += 8), uint8_t(r));
  if (f.probe_interval && uint64_t{f.size} + (f.align_log2 ? uint64_t{1} << f.align_log2 : 0) > f.probe_interval) {
    p = Probing(p, f, text, rows, depth).run();
  } else {
    const bool by_call = f.probe_reference != FramePlan::no_probe && f.size >= probed_by_call;
    if (f.size) {
      if (by_call) {
        p = encode_ri(p, info(Op::mov32ri), reg::rax, int32_t(f.size));
        p = call(p);
        p = encode_rr(p, info(Op::sub64rr), reg::rsp, reg::rax);
      } else if (f.size == 8 && !f.align_log2) {
        p = encode_r(p, info(Op::push64r), reg::rax);
      } else {
        p = add_rsp(p, -int64_t(f.size));
      }
      depth += int32_t(f.size);
      if (!f.frame_pointer) row(CfiRow::Kind::cfa_offset, depth);
    }
    if (f.align_log2) p = encode_ri(p, info(Op::and64ri), reg::rsp, -(int64_t{1} << f.align_log2));
  }
  if (f.base_pointer) p = encode_rr(p, info(Op::mov64rr), reg::rbx, reg::rsp);
  return p;
}

uint8_t* put_epilogue(uint8_t* p, const FramePlan& f, bool tail, const uint8_t* text, uint32_t branches,
                      std::vector<CfiRow>& rows) {
  auto row = [&](CfiRow::Kind kind, int32_t value) {
    if (f.cfi) rows.push_back({uint32_t(p - text), branches, kind, dwarf_gp[reg::rsp], value});
  };
  int32_t depth = int32_t(8 + 8 * f.push_count + f.size);
  bool changes = f.frame_pointer || f.push_count || f.size;
  if (changes) row(CfiRow::Kind::remember, 0);
  if (f.frame_pointer) {
    if (f.push_count == 0 && (f.size || f.dynamic || f.align_log2)) {
      *p++ = 0xc9;  // leave
      row(CfiRow::Kind::cfa, 8);
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
    row(CfiRow::Kind::cfa, 8);
    return p;
  }
  if (f.size) {
    if (f.size == 8 && !tail && !f.keeps_rcx && !f.plain_epilogue) p = encode_r(p, info(Op::pop64r), reg::rcx);
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

Result<void> debug_frame(const mir::FunctionView& fn, codegen::DebugFrame& out) {
  LODE_ASSIGN(const FramePlan plan, plan_frame(fn, out.slots));
  out.slot_register = dwarf_gp[plan.slot_base];
  out.incoming_register = dwarf_gp[plan.incoming_base];
  out.incoming = plan.incoming_disp;
  return {};
}

}  // namespace lode::x86_64
