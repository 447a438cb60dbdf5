// VCode and its allocation become MIR: codegen/native/finalize.h has what is not riscv64's.
//
// ra is free in the body of no function, since a leaf keeps its return address there; sp, gp and tp are the system's;
// the scratch register is emit's and that of exchanges here. Moves between two spill slots go through ft11.
#include "codegen/riscv64/finalize.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/stage_times.h"
#include "codegen/native/finalize.h"
#include "codegen/riscv64/asm_use.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using codegen::Location;
using codegen::VInst;
namespace vf = codegen::vflags;

namespace {

// Arguments first: they and s0, s1 are what most 16-bit instructions can name.
constexpr uint8_t gp_order[] = {15, 14, 13, 12, 11, 10, 16, 17, 5,  6,  7,  28, 29,
                                30, 8,  9,  18, 19, 20, 21, 22, 23, 24, 25, 26, 27};
constexpr uint8_t fp_scratch = 63;  // ft11
constexpr uint8_t fp_order[] = {47, 46, 45, 44, 43, 42, 48, 49, 32, 33, 34, 35, 36, 37, 38, 39,
                                60, 61, 62, 40, 41, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59};

}  // namespace

class Finalizer : public codegen::Finalization<Finalizer, Selector> {
 public:
  explicit Finalizer(Selector& s) : Finalization(s) {}

  Result<void> run();

 private:
  friend class codegen::Finalization<Finalizer, Selector>;

  // Which registers have a duty of their own in this function.
  struct Duties {
    bool naked = false, frame_pointer = false, base_pointer = false;
  };
  Duties find_duties() const;
  Result<void> choose_registers(const Duties& d, codegen::RegisterInfo& info);
  Result<void> describe_frame(const Duties& d);

  std::array<uint8_t, std::size(gp_order)> order_;
  size_t order_size_ = 0;

  static uint8_t hardware(Location l) { return uint8_t(l.value & 31); }
  static bool is_fp(Location l) { return !l.is_slot() && l.value >= fp_base; }
  Mem slot(Location l) const { return Mem::slot(first_slot_ + l.slot_index()); }

  void begin_block(uint32_t) {}
  void write_table(std::span<const Label> labels) { w_.jump_table(reg::zero, reg::zero, labels); }

  // ---- moves --------------------------------------------------------------------------------------------------------

  void move(Location dst, Location src, unsigned bytes) {
    if (dst == src) return;
    if (dst.is_slot() && src.is_slot()) {
      failed_ = true;
    } else if (src.is_slot()) {
      w_.memory(is_fp(dst) ? (bytes <= 4 ? Op::flw : Op::fld) : bytes <= 4 ? Op::lw : Op::ld, hardware(dst), slot(src));
    } else if (dst.is_slot()) {
      w_.memory(is_fp(src) ? (bytes <= 4 ? Op::fsw : Op::fsd) : bytes <= 4 ? Op::sw : Op::sd, hardware(src), slot(dst));
    } else if (is_fp(dst) && is_fp(src)) {
      w_.r(bytes <= 4 ? Op::fsgnj_s : Op::fsgnj_d, hardware(dst), hardware(src), hardware(src));
    } else if (is_fp(dst)) {
      w_.r2(bytes <= 4 ? Op::fmv_w_x : Op::fmv_d_x, hardware(dst), hardware(src), uint8_t(Rounding::dyn));
    } else if (is_fp(src)) {
      w_.r2(bytes <= 4 ? Op::fmv_x_w : Op::fmv_x_d, hardware(dst), hardware(src), uint8_t(Rounding::dyn));
    } else {
      w_.move(hardware(dst), hardware(src));
    }
  }

  void exchange(Location a, Location b, unsigned) {
    w_.move(reg::scratch, hardware(a));
    w_.move(hardware(a), hardware(b));
    w_.move(hardware(b), reg::scratch);
  }

  // A constant of many instructions is shorter as a load.
  void constant(uint8_t to, int64_t value) {
    if (immediate_cost(value) <= 4) return w_.load_immediate(to, value);
    const uint32_t at = w_.add_constant({reinterpret_cast<const uint8_t*>(&value), 8}, 8);
    w_.memory(Op::ld, to, Mem::constants(at));
  }

  void zero_fp(uint8_t to, unsigned bytes) {
    w_.r2(bytes == 4 ? Op::fmv_w_x : Op::fmv_d_x, to, reg::zero, uint8_t(Rounding::dyn));
  }

  void rematerialise(const VInst& v, Location to, uint32_t) {
    const uint8_t dst = hardware(to);
    switch (v.op & op_mask) {
      case p_constant: constant(dst, s_.immediates_[v.a]); break;
      case p_zero_fp: zero_fp(dst, v.a); break;
      case p_float_constant: w_.memory(v.b == 4 ? Op::flw : Op::fld, dst, Mem::constants(v.a)); break;
      case unsigned(Op::lea_ref): w_.lea_ref(dst, v.a); break;
      case unsigned(Op::tls_addr): w_.tls_addr(dst, v.a); break;
      default: failed_ = true; break;
    }
  }

  Mem memory(const VMem& m, const Location* base) {
    Mem out;
    out.kind = m.kind;
    out.disp = m.disp;
    out.target = m.id;
    if (m.has_base) out.base = hardware(*base);
    return out;
  }

  // ---- instructions -------------------------------------------------------------------------------------------------

  void instruction(uint32_t k) {
    const VInst& v = code_.insts[k];
    if (v.flags & (vf::copy | vf::parallel_copy)) return;
    const unsigned op = v.op & op_mask;
    uint32_t count;
    const codegen::Operand* operands = code_.operands_of(v, count);
    const Location* at = s_.allocation_.operands.data() + (operands - code_.operands.data());
    if (op >= pseudo_first) return pseudo(v, op, at);
    const Op o = Op(op);
    const InstInfo& row = info(o);
    switch (row.form) {
      case Form::none: w_.op(o); break;
      case Form::fence: w_.instruction(o, {0, 0, 0, 0, 0, int32_t(v.a)}); break;
      case Form::csr: w_.instruction(o, {hardware(at[0]), 0, 0, 0, 0, int32_t(v.a)}); break;
      case Form::i: case Form::shift: case Form::shiftw:
        w_.i(o, hardware(at[0]), hardware(at[1]), int32_t(v.a));
        break;
      case Form::r: case Form::r2: case Form::r4: case Form::amo: {
        Fields f;
        uint8_t* fields[] = {&f.a, &f.b, &f.c, &f.d};
        const unsigned n = row.form == Form::r2 ? 2 : row.form == Form::r4 ? 4 : 3;
        const Location* next = at;
        for (unsigned r = 0; r < n; r++) {
          const uint32_t mark = r == 0 ? result_is_zero : r == 1 ? first_is_zero : r == 2 ? second_is_zero : 0;
          if (!(v.a & mark)) *fields[r] = hardware(*next++);
        }
        f.mode = uint8_t(v.a & mode_mask);
        w_.instruction(o, f);
        break;
      }
      case Form::load: w_.memory(o, hardware(at[0]), memory(s_.mems_[v.b], at + 1)); break;
      case Form::store: {
        const VMem& m = s_.mems_[v.b];
        w_.memory(o, m.zero_value ? reg::zero : hardware(at[0]), memory(m, at + !m.zero_value));
        break;
      }
      case Form::pseudo_lea: w_.lea(hardware(at[0]), memory(s_.mems_[v.b], at + 1)); break;
      case Form::pseudo_r:  // call_r
        w_.call_r(hardware(at[count - 1]));
        if (v.op & may_throw) calls_.push_back({w_.size() - 1});
        break;
      case Form::pseudo_ref:
        w_.call_ref(v.a);
        if (v.op & may_throw) calls_.push_back({w_.size() - 1});
        break;
      case Form::pseudo_r_ref:
        if (o == Op::lea_ref) w_.lea_ref(hardware(at[0]), v.a);
        else w_.tls_addr(hardware(at[0]), v.a);
        break;
      case Form::pseudo_tls_gd: w_.tls_gd(v.a, v.b); break;
      default: failed_ = true; break;
    }
  }

  void branch(Cond c, uint8_t x, uint8_t y, const VInst& v) {
    if (thread_[v.a] == thread_[v.b]) {
      if (!is_next(v.a)) w_.jump(label(v.a));
    } else if (is_next(v.a)) {
      w_.branch(inverse(c), x, y, label(v.b));
    } else {
      w_.branch(c, x, y, label(v.a));
      if (!is_next(v.b)) w_.jump(label(v.b));
    }
  }

  void select(const VInst& v, const Location* at) {
    const Location* next = at + 2;
    const uint8_t x = v.a & first_is_zero ? reg::zero : hardware(*next++);
    const uint8_t y = v.a & second_is_zero ? reg::zero : hardware(*next++);
    Label keep = w_.new_label();
    w_.branch(Cond(v.op >> 12), x, y, keep);
    move(at[0], at[1], 8);
    w_.bind(keep);
  }

  // Loops of select_atomic.cpp. A word whose other bits stay: ((old op operand) ^ old) & mask ^ old.
  void atomic_loop(const AtomicLoop& l, const Location* at) {
    const uint8_t old = hardware(at[0]), t = hardware(at[1]), address = hardware(at[2]), x = hardware(at[3]);
    Label again = w_.new_label(), done = w_.new_label();
    w_.bind(again);
    w_.r2(l.wide ? Op::lr_d : Op::lr_w, old, address, l.lr_mode);
    auto merge = [&](uint8_t mask) {
      w_.r(Op::xor_, t, t, old);
      w_.r(Op::and_, t, t, mask);
      w_.r(Op::xor_, t, t, old);
    };
    uint8_t stored = t;
    if (l.kind == AtomicLoop::compare_exchange) {
      const uint8_t replacement = hardware(at[4]);
      if (l.masked) {
        const uint8_t mask = hardware(at[5]);
        w_.r(Op::and_, t, old, mask);
        w_.branch(Cond::ne, t, x, done);
        w_.r(Op::xor_, t, old, replacement);
        w_.r(Op::and_, t, t, mask);
        w_.r(Op::xor_, t, t, old);
      } else {
        w_.branch(Cond::ne, old, x, done);
        stored = replacement;
      }
    } else {
      if (l.op == air::RmwOp::xchg) w_.move(t, x);
      else w_.r(l.op == air::RmwOp::add ? Op::addw : Op::subw, t, old, x);
      merge(hardware(at[4]));
    }
    w_.r(l.wide ? Op::sc_d : Op::sc_w, t, stored, address, l.sc_mode);
    w_.branch(Cond::ne, t, reg::zero, again);
    w_.bind(done);
  }

  // sp -= size in steps, each of which touches what it has reached; `end` and `step` are scratch registers.
  void probed_sub_sp(uint8_t size, uint8_t end, uint8_t step) {
    Label again = w_.new_label(), last = w_.new_label();
    w_.r(Op::sub, end, reg::sp, size);
    w_.load_immediate(step, s_.probe_interval());
    w_.bind(again);
    w_.r(Op::sub, reg::scratch, reg::sp, end);
    w_.branch(Cond::geu, step, reg::scratch, last);
    w_.r(Op::sub, reg::sp, reg::sp, step);
    w_.memory(Op::sd, reg::zero, Mem::at(reg::sp));
    w_.jump(again);
    w_.bind(last);
    w_.move(reg::sp, end);
    w_.memory(Op::sd, reg::zero, Mem::at(reg::sp));
  }

  void pseudo(const VInst& v, unsigned op, const Location* at) {
    switch (op) {
      case p_nothing: case p_unreachable: break;
      case p_constant: constant(hardware(at[0]), s_.immediates_[v.a]); break;
      case p_zero_fp: zero_fp(hardware(at[0]), v.a); break;
      case p_float_constant: w_.memory(v.b == 4 ? Op::flw : Op::fld, hardware(at[0]), Mem::constants(v.a)); break;
      case p_jump:
        if (!is_next(v.a)) w_.jump(label(v.a));
        break;
      case p_branch: branch(Cond(v.op >> 12), hardware(at[0]), hardware(at[1]), v); break;
      case p_branch_zero: branch(Cond(v.op >> 12), hardware(at[0]), reg::zero, v); break;
      case p_zero_branch: branch(Cond(v.op >> 12), reg::zero, hardware(at[0]), v); break;
      case p_select: select(v, at); break;
      case p_jump_table: w_.jump_table(hardware(at[0]), hardware(at[1]), labels_of(s_.tables_[v.a])); break;
      case p_indirect_jump: w_.jump_r(hardware(at[0])); break;
      case p_return: w_.ret(); break;
      case p_tail_call:
        if (v.b == 1) w_.tail_r(reg::tail_target);
        else w_.tail_ref(v.a);
        break;
      case p_sub_sp: w_.r(Op::sub, reg::sp, reg::sp, hardware(at[0])); break;
      case p_probed_sub_sp: probed_sub_sp(hardware(at[0]), hardware(at[1]), hardware(at[2])); break;
      case p_and_sp:
        if (v.a <= 11) {
          w_.i(Op::andi, reg::sp, reg::sp, -(int64_t{1} << v.a));
        } else {
          w_.i(Op::srli, reg::scratch, reg::sp, v.a);
          w_.i(Op::slli, reg::sp, reg::scratch, v.a);
        }
        break;
      case p_mov_from_sp: w_.move(hardware(at[0]), reg::sp); break;
      case p_mov_to_sp: w_.move(reg::sp, hardware(at[0])); break;
      case p_frame_address: w_.move(hardware(at[0]), reg::s0); break;
      case p_thread_pointer: w_.move(hardware(at[0]), reg::tp); break;
      case p_label_address: w_.lea_label(hardware(at[0]), label(v.a)); break;
      case p_atomic_loop: atomic_loop(s_.loops_[v.a], at); break;
      case p_invoke:
        calls_.back().pad = label(v.a);
        calls_.back().action = v.b;
        break;
      case p_inline_asm:
        if (Result<void> r = s_.emit_asm(v.a, at); !r.ok() && !problem_) problem_ = r.take_error();
        break;
      default: failed_ = true; break;
    }
  }
};

Finalizer::Duties Finalizer::find_duties() const {
  Duties d;
  d.base_pointer = s_.dynamic_frame_ && s_.max_slot_align_log2_ > 4;
  d.frame_pointer = s_.dynamic_frame_ || s_.max_slot_align_log2_ > 4 || s_.frame_pointer_ ||
                    s_.context_->options.force_frame_pointer;
  // One that only profilers and debuggers want gives way to a statement that names s0.
  if (!(s_.asm_registers_ >> reg::s0 & 1))
    d.frame_pointer |= (s_.fn_->flags & air::function_flags::frame_pointer) ||
                       ((s_.fn_->flags & air::function_flags::frame_pointer_non_leaf) && s_.has_calls_);
  d.naked = s_.fn_->flags & air::function_flags::naked;
  if (d.naked) d.frame_pointer = false;
  return d;
}

Result<void> Finalizer::choose_registers(const Duties& d, codegen::RegisterInfo& info) {
  for (uint8_t r : gp_order)
    if (!(d.frame_pointer && r == reg::s0) && !(d.base_pointer && r == reg::s1)) order_[order_size_++] = r;
  info.fp_order = fp_order;
  info.fp_scratch = fp_scratch;
  info.callee_saved = saved_by_callee;
  info.clobbers = clobbered_by;
  info.share_homes = !s_.calls_setjmp_;
  if (s_.fn_->flags & (air::function_flags::no_implicit_float | air::function_flags::no_sse)) {
    // What stands between two slots goes through an integer register.
    info.gp_scratch = reg::t5;
    order_size_ = size_t(std::remove(order_.begin(), order_.begin() + order_size_, reg::t5) - order_.begin());
    if (s_.asm_registers_ >> reg::t5 & 1)
      return error("inline assembly that uses t5 in a function that may not use floating-point registers for copies");
  }
  info.gp_order = {order_.data(), order_size_};
  if (d.frame_pointer && (s_.asm_registers_ >> reg::s0 & 1))
    return error("inline assembly that uses s0 in a function that needs it as its frame pointer");
  if (d.base_pointer && (s_.asm_registers_ >> reg::s1 & 1))
    return error("inline assembly that uses s1 in a function with both dynamic and over-aligned stack memory");
  return {};
}

Result<void> Finalizer::describe_frame(const Duties& d) {
  uint32_t flags = 0;
  if (d.naked) flags |= frame::naked;
  if (d.frame_pointer) flags |= frame::frame_pointer;
  if (s_.dynamic_frame_) flags |= frame::dynamic;
  if (d.base_pointer) flags |= frame::base_pointer;
  if (s_.stores_variadic_) flags |= (argument_registers - s_.entry_.gp_used) << frame::variadic_shift;
  if (s_.fn_->flags & air::function_flags::probe_stack) {
    if (s_.fn_->requests.probe_symbol.valid()) return error("a stack that a function has to touch");
    w_.probe_inline(s_.probe_interval());
  }
  if (s_.fn_->flags & air::function_flags::type_id) return error("a type id in front of the function (KCFI)");
  if (s_.fn_->requests.zero_registers != air::ZeroRegisters::none)
    return error("registers that are set to zero at returns");
  w_.set_frame_flags(flags);
  w_.save_registers(saved_mask((s_.allocation_.used | s_.asm_registers_) & (saved_by_callee | uint64_t{1} << reg::ra)));
  uint32_t outgoing = s_.outgoing_bytes_;
  if (s_.dynamic_frame_) outgoing = uint32_t(align_up(outgoing, s_.max_dynamic_align_));
  w_.need_outgoing(outgoing);
  if (d.naked && (s_.dynamic_frame_ || outgoing || !w_.draft().locals.empty() || w_.draft().frame[frame::word_saved]))
    return error("a naked function whose code needs a stack frame");
  w_.draft().text_align_log2 = uint8_t(std::max<uint32_t>(1, std::min<uint32_t>(s_.fn_->align_log2, 12)));
  entry e = s_.entry_surroundings();
  e.flags &= ~uint32_t{entry::marked};
  if (!e.empty()) w_.surround_entry(e);
  return {};
}

Result<void> Finalizer::run() {
  codegen::RegisterInfo info;
  const Duties duties = find_duties();
  LODE_TRY(choose_registers(duties, info));
  {
    StageClock clock(Stage::allocate);
    s_.allocator_.run(code_, info, s_.allocation_);
  }
  StageClock clock(Stage::finalize);
  if (s_.allocation_.failed) return error("one instruction wants more registers than there are");
#ifndef NDEBUG
  if (code_.insts.size() < 4000 && code_.blocks.size() * code_.vregs.size() < 400000)
    if (std::string wrong = codegen::check_allocation(code_, info, s_.allocation_); !wrong.empty())
      return error("internal error: " + wrong);
#endif
  add_spill_slots();
  LODE_TRY(describe_frame(duties));
  find_branch_targets();
  LODE_TRY(write_blocks());
  return w_.finish();
}

Result<void> finalize(Selector& s) { return Finalizer(s).run(); }

}  // namespace lode::riscv64
