#include "codegen/riscv64/lower_frame.h"

#include <bit>

#include "base/bytes.h"
#include "codegen/native/frame.h"
#include "codegen/riscv64/encode.h"

namespace lode::riscv64 {

using codegen::CfiRow;

namespace {
constexpr uint32_t s0_bit = 1 << 1, s1_bit = 1 << 2;  // of a saved mask
constexpr uint32_t one_step = 2032;       // what one addi can lower sp by, in multiples of 16
constexpr uint32_t short_reach = 512;     // of 16-bit stores and loads from sp
}  // namespace

Result<FramePlan> plan_frame(const mir::FunctionView& fn, std::vector<int32_t>& slots) {
  static thread_local std::vector<codegen::FrameSlot> wanted;
  static thread_local codegen::FrameLayout layout;
  FramePlan f;
  const uint32_t flags = fn.frame[frame::word_flags];
  uint32_t saved = fn.frame[frame::word_saved] & ((1u << saved_registers) - 1);
  f.dynamic = flags & frame::dynamic;
  f.cfi = !(flags & frame::no_cfi);
  if (flags & frame::naked) {
    if (!fn.locals.empty() || saved || fn.frame[frame::word_outgoing])
      return error("a naked function with a stack frame");
    slots.clear();
    return f;
  }
  const uint32_t probe = fn.frame[frame::word_probe];
  if (probe >> 31) return error("riscv64: a frame that a function has to touch");
  f.probe_interval = probe & ~15u;
  if (f.probe_interval && f.probe_interval < 4096) f.probe_interval = 4096;
  f.variadic = uint32_t(align_up(8 * std::min(flags >> frame::variadic_shift, 8u), 16));

  LODE_TRY(codegen::read_frame_slots(fn, wanted));
  codegen::FrameInput in;
  in.slots = wanted;
  in.outgoing_size = align_up(fn.frame[frame::word_outgoing], 16);
  in.min_align = 16;
  in.entry_bytes = f.variadic;
  in.fp_bytes = 0;  // s0 is among the saved registers
  in.has_calls = flags & frame::has_calls;
  in.dynamic_alloca = f.dynamic;
  in.force_frame_pointer = flags & frame::frame_pointer;
  bool masked = false;
  for (const codegen::FrameSlot& s : wanted) masked |= s.align > in.stack_align;
  if (in.has_calls) saved |= 1;
  if (masked || in.dynamic_alloca || in.force_frame_pointer) saved |= 1 | s0_bit;
  if (frame_needs_base_pointer(in)) saved |= s1_bit;
  in.saved_bytes = 8 * uint32_t(std::popcount(saved));
  LODE_TRY(codegen::lay_out_frame(in, layout));

  f.saved = saved;
  f.frame_pointer = layout.uses_frame_pointer;
  f.base_pointer = layout.slot_base == codegen::FrameBase::base_pointer;
  f.align_log2 = layout.align_mask_log2;
  f.outgoing = uint32_t(in.outgoing_size);
  const uint64_t upper = align_up(f.variadic + in.saved_bytes, 16);
  if (f.align_log2) {
    f.first = uint32_t(upper);
    f.rest = layout.adjustment;
  } else {
    const uint64_t total = uint64_t{f.variadic} + in.saved_bytes + layout.adjustment;
    const bool near = total <= short_reach || (total <= one_step && std::popcount(saved) <= 2);
    f.first = uint32_t(near ? total : upper);
    f.rest = uint32_t(total - f.first);
  }
  auto base = [](codegen::FrameBase b) {
    return b == codegen::FrameBase::stack_pointer   ? reg::sp
           : b == codegen::FrameBase::frame_pointer ? reg::s0
                                                    : reg::s1;
  };
  f.slot_base = base(layout.slot_base);
  f.incoming_base = base(layout.incoming_base);
  f.incoming_disp = layout.incoming_offset;
  slots = layout.slot_offsets;
  return f;
}

namespace {
// A 32-bit number that is not negative, in the register.
uint8_t* put_number(uint8_t* p, uint8_t to, int64_t v) {
  if (fits12(v)) return put(p, Op::addi, {to, reg::zero, 0, 0, 0, v});
  p = put(p, Op::lui, {to, 0, 0, 0, 0, high_part(v) & 0xfffff});
  if (const int32_t low = low_part(v)) p = put(p, Op::addiw, {to, to, 0, 0, 0, low});
  return p;
}
}  // namespace

uint8_t* put_add(uint8_t* p, uint8_t to, uint8_t from, int64_t delta) {
  if (fits12(delta)) {
    if (delta == 0 && to == from) return p;
    return put(p, Op::addi, {to, from, 0, 0, 0, delta});
  }
  // Two steps reach a little further than one.
  if (delta >= -4096 && delta <= 4094) {
    const int64_t half = delta > 0 ? 2047 - 2047 % 16 : -2048;
    p = put(p, Op::addi, {to, from, 0, 0, 0, half});
    return put(p, Op::addi, {to, to, 0, 0, 0, delta - half});
  }
  p = put_number(p, reg::scratch, delta < 0 ? -delta : delta);
  return put(p, delta < 0 ? Op::sub : Op::add, {to, from, reg::scratch, 0, 0, 0});
}

namespace {

constexpr unsigned max_unrolled = 4;  // steps of a probed frame

class Prologue {
 public:
  Prologue(uint8_t* p, const FramePlan& f, const uint8_t* text, std::vector<CfiRow>& rows)
      : p_(p), f_(f), text_(text), rows_(rows) {}

  uint8_t* run() {
    if (f_.first) {
      lower(f_.first);
      save();
    }
    if (f_.frame_pointer) {
      p_ = put(p_, Op::addi, {reg::s0, reg::sp, 0, 0, 0, int64_t(f_.first - f_.variadic)});
      row(CfiRow::Kind::cfa, int32_t(f_.variadic), reg::s0);
    }
    if (f_.align_log2) round_down();
    if (f_.probe_interval && f_.rest > f_.probe_interval) probe();
    else if (f_.rest) lower(f_.rest);
    if (f_.base_pointer) p_ = put(p_, Op::addi, {reg::s1, reg::sp, 0, 0, 0, 0});
    return p_;
  }

 private:
  void row(CfiRow::Kind kind, int32_t value, uint8_t r = reg::sp) {
    if (f_.cfi) rows_.push_back({uint32_t(p_ - text_), 0, kind, r, value});
  }
  void lower(uint32_t bytes) {
    p_ = put_add(p_, reg::sp, reg::sp, -int64_t(bytes));
    depth_ += bytes;
    if (depth_ == f_.first || !f_.frame_pointer) row(CfiRow::Kind::cfa_offset, int32_t(depth_));
  }
  void save() {
    uint32_t below = f_.variadic;
    for (unsigned k = 0; k < saved_registers; k++) {
      if (!(f_.saved >> k & 1)) continue;
      below += 8;
      const uint8_t r = saved_register(k);
      p_ = put(p_, r < fp_base ? Op::sd : Op::fsd, {uint8_t(r & 31), reg::sp, 0, 0, 0, int64_t(f_.first - below)});
    }
    // A register keeps its value until the body starts, so one place serves for all rows.
    below = f_.variadic;
    for (unsigned k = 0; k < saved_registers; k++)
      if (f_.saved >> k & 1) row(CfiRow::Kind::saved, int32_t(below += 8), saved_register(k));
  }
  void round_down() {
    if (f_.align_log2 <= 11) {
      p_ = put(p_, Op::andi, {reg::sp, reg::sp, 0, 0, 0, -(int64_t{1} << f_.align_log2)});
      return;
    }
    p_ = put(p_, Op::srli, {reg::scratch, reg::sp, 0, 0, 0, f_.align_log2});
    p_ = put(p_, Op::slli, {reg::sp, reg::scratch, 0, 0, 0, f_.align_log2});
  }
  void touch() { p_ = put(p_, Op::sd, {reg::zero, reg::sp, 0, 0, 0, 0}); }
  // Pages have to be touched in order, so that a guard page stops the stack wherever it ends. t0 is free here.
  void probe() {
    const uint32_t steps = f_.rest / f_.probe_interval;
    if (steps <= max_unrolled) {
      for (uint32_t k = 0; k < steps; k++) {
        lower(f_.probe_interval);
        touch();
      }
    } else {
      const uint32_t bytes = steps * f_.probe_interval;
      p_ = put_number(p_, reg::t0, bytes);
      p_ = put(p_, Op::sub, {reg::t0, reg::sp, reg::t0, 0, 0, 0});
      depth_ += bytes;
      if (!f_.frame_pointer) row(CfiRow::Kind::cfa, int32_t(depth_), reg::t0);
      p_ = put_number(p_, reg::scratch, f_.probe_interval);
      const uint8_t* again = p_;
      p_ = put(p_, Op::sub, {reg::sp, reg::sp, reg::scratch, 0, 0, 0});
      touch();
      p_ = put32(p_, Op::bne, {reg::sp, reg::t0, 0, 0, 0, again - p_});
      if (!f_.frame_pointer) row(CfiRow::Kind::cfa, int32_t(depth_));
    }
    if (const uint32_t left = f_.rest % f_.probe_interval) lower(left);
  }

  uint8_t* p_;
  const FramePlan& f_;
  const uint8_t* text_;
  std::vector<CfiRow>& rows_;
  uint32_t depth_ = 0;  // the CFA minus sp, but for rounding
};

}  // namespace

uint8_t* put_prologue(uint8_t* p, const FramePlan& f, const uint8_t* text, std::vector<CfiRow>& rows) {
  return Prologue(p, f, text, rows).run();
}

uint8_t* put_epilogue(uint8_t* p, const FramePlan& f, const uint8_t* text, uint32_t branches,
                      std::vector<CfiRow>& rows) {
  if (f.empty()) return p;
  auto row = [&](CfiRow::Kind kind, int32_t value) {
    if (f.cfi) rows.push_back({uint32_t(p - text), branches, kind, reg::sp, value});
  };
  row(CfiRow::Kind::remember, 0);
  if (f.dynamic || f.align_log2) p = put(p, Op::addi, {reg::sp, reg::s0, 0, 0, 0, -int64_t(f.first - f.variadic)});
  else if (f.rest) p = put_add(p, reg::sp, reg::sp, f.rest);
  if (f.rest || f.frame_pointer) row(CfiRow::Kind::cfa, int32_t(f.first));
  uint32_t below = f.variadic;
  for (unsigned k = 0; k < saved_registers; k++) {
    if (!(f.saved >> k & 1)) continue;
    below += 8;
    const uint8_t r = saved_register(k);
    p = put(p, r < fp_base ? Op::ld : Op::fld, {uint8_t(r & 31), reg::sp, 0, 0, 0, int64_t(f.first - below)});
  }
  if (f.first) {
    p = put_add(p, reg::sp, reg::sp, f.first);
    row(CfiRow::Kind::cfa_offset, 0);
  }
  return p;
}

}  // namespace lode::riscv64
