#include "codegen/x86_64/finalize.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/bytes.h"
#include "base/stage_times.h"
#include "codegen/native/finalize.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/slot_forms.h"
#include "codegen/x86_64/widths.h"

namespace lode::x86_64 {

using codegen::Location;
using codegen::VInst;
namespace vf = codegen::vflags;

namespace {

constexpr uint8_t gp_plain[] = {0, 1, 2, 6, 7, 8, 9, 10, 11, 3, 5, 14, 15, 12, 13};
constexpr uint8_t gp_frame[] = {0, 1, 2, 6, 7, 8, 9, 10, 11, 3, 14, 15, 12, 13};
constexpr uint8_t gp_base[] = {0, 1, 2, 6, 7, 8, 9, 10, 11, 14, 15, 12, 13};
constexpr uint8_t fp_scratch = 47;  // xmm15
constexpr uint8_t fp_all[] = {32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46};
constexpr uint64_t gp_argument_mask = gp_set({7, 6, 2, 1, 8, 9});

}  // namespace

class Finalizer : public codegen::Finalization<Finalizer, Selector> {
 public:
  explicit Finalizer(Selector& s) : Finalization(s), forms_(slot_forms()) {}

  Result<void> run();

 private:
  friend class codegen::Finalization<Finalizer, Selector>;

  // ---- the parts of run()

  // Which registers have a duty of their own in this function.
  struct Duties {
    bool naked = false, frame_pointer = false, base_pointer = false;
  };
  Duties find_duties() const;
  Result<void> choose_registers(const Duties& d, codegen::RegisterInfo& info);
  Result<void> describe_frame(const Duties& d);

  // In builds with assertions the oracles look at every function that is not too large for them.
  std::string check(const codegen::RegisterInfo& info) const {
    if (code_.insts.size() > 4000 || code_.blocks.size() * code_.vregs.size() > 400000) return {};
    std::string problem = s_.check_widths();
    return problem.empty() ? codegen::check_allocation(code_, info, s_.allocation_) : problem;
  }

  // ---- registers that the convention has the function keep ----------------------------------------------------------
  //
  // The prologue pushes System V's. What other conventions add to them (Microsoft's xmm6 and its followers, what
  // preserve_most keeps) is stored in the frame in front of the body and loaded again in front of each return or tail
  // call, but for what that hands on.

  void keep_registers() {
    uint64_t extra = s_.convention_->saved & ~saved_by_sysv;
    if (!s_.has_sse_) extra &= 0xffff;
    if (extra == 0) return;
    uint64_t used = s_.allocation_.used, always_handed_on = ~uint64_t{0};
    // Texts of assembly and intrinsics use the scratch register without a word.
    if (!s_.asms_.empty()) used |= uint64_t{1} << fp_scratch;
    if (s_.builtin_setjmp_) used = ~uint64_t{0};
    for (const VInst& v : code_.insts)
      if (leaves_function(v)) always_handed_on &= registers_of(v);
    kept_ = used & extra & ~always_handed_on;
    for (uint64_t rest = kept_; rest; rest &= rest - 1) {
      const unsigned bytes = std::countr_zero(rest) < 32 ? 8 : 16;
      const uint32_t n = w_.add_slot(bytes, bytes);
      if (rest == kept_) first_kept_ = n;
    }
  }
  static bool leaves_function(const VInst& v) {
    return (v.op & op_mask) == p_return || (v.op & op_mask) == p_tail_call;
  }
  uint64_t registers_of(const VInst& v) const {
    uint32_t count;
    uint64_t set = 0;
    const codegen::Operand* operands = code_.operands_of(v, count);
    for (uint32_t k = 0; k < count; k++)
      if (operands[k].reg().is_physical()) set |= uint64_t{1} << operands[k].reg().value;
    return set;
  }
  template <class F>
  void each_kept(F&& f) {
    uint32_t slot = first_kept_;
    for (uint64_t rest = kept_; rest; rest &= rest - 1) f(unsigned(std::countr_zero(rest)), Mem::slot(slot++));
  }
  void store_kept() {
    each_kept([&](unsigned r, const Mem& slot) { w_.mr(r < 32 ? Op::mov64mr : Op::movaps_mr, slot, uint8_t(r & 15)); });
  }
  void load_kept(const VInst& v) {
    const uint64_t handed_on = registers_of(v);
    each_kept([&](unsigned r, const Mem& slot) {
      if (!(handed_on >> r & 1)) w_.rm(r < 32 ? Op::mov64rm : Op::movaps_rm, uint8_t(r & 15), slot);
    });
  }

  const codegen::RegisterInfo& registers() const { return registers_; }
  codegen::RegisterInfo registers_;

  uint64_t kept_ = 0;
  uint32_t first_kept_ = 0;
  const SlotForm* forms_;
  std::array<uint8_t, 16> without_scratch_;  // an order of registers that info points to
  uint64_t used_ = 0;  // physical registers that are written anywhere

  static uint8_t hardware(Location l) { return uint8_t(l.value & 15); }
  Mem slot(Location l, int32_t disp = 0) const { return Mem::slot(first_slot_ + l.slot_index(), disp); }

  // Whether the flags are read before they are written, from instruction k on.
  bool flags_live(uint32_t k) const {
    for (; k < block_end_; k++) {
      const VInst& v = code_.insts[k];
      unsigned op = v.op & op_mask;
      if (op >= pseudo_first) {
        if (op == p_branch || op == p_branch_oeq || op == p_branch_une) return true;
        if (op == p_jump || op == p_return || op == p_tail_call || op == p_indirect_jump || op == p_thunk_jump ||
            op == p_jump_table || op == p_unreachable)
          return false;
        if (op == p_inline_asm) return true;
        continue;
      }
      const InstInfo& i = info(Op(op));
      if (i.reads || (i.traits & T_cc)) return true;
      if (i.writes == F_CO) return false;
    }
    return false;
  }

  void begin_block(uint32_t b) {
    if (is_target(b)) w_.op(Op::endbr64);
    if (b == 0) store_kept();
  }
  void write_table(std::span<const Label> labels) { w_.jump_table(0, 1, labels); }

  // ---- moves --------------------------------------------------------------------------------------------------------

  void move(Location dst, Location src, unsigned bytes) {
    if (dst == src) return;
    if (dst.is_slot() && src.is_slot()) {
      failed_ = true;
      return;
    }
    if (src.is_slot()) {
      bool fp = dst.value >= 32;
      Op op = fp           ? (bytes <= 4   ? Op::movss_rm
                              : bytes == 8 ? Op::movsd_rm
                              : bytes > 16 ? Op::vmovups256_rm
                                           : Op::movaps_rm)
              : bytes <= 4 ? Op::mov32rm
                           : Op::mov64rm;
      w_.rm(op, hardware(dst), slot(src));
    } else if (dst.is_slot()) {
      bool fp = src.value >= 32;
      Op op = fp           ? (bytes <= 4   ? Op::movss_mr
                              : bytes == 8 ? Op::movsd_mr
                              : bytes > 16 ? Op::vmovups256_mr
                                           : Op::movaps_mr)
              : bytes <= 4 ? Op::mov32mr
                           : Op::mov64mr;
      w_.mr(op, slot(dst), hardware(src));
    } else {
      bool to_fp = dst.value >= 32, from_fp = src.value >= 32;
      Op op = to_fp && from_fp ? (bytes > 16 ? Op::vmovaps256_rr : Op::movaps_rr)
              : to_fp ? (bytes == 8 ? Op::movq_xr : Op::movd_xr)
              : from_fp ? (bytes == 8 ? Op::movq_rx : Op::movd_rx)
              : bytes == 8 ? Op::mov64rr : Op::mov32rr;
      w_.rr(op, hardware(dst), hardware(src));
    }
  }

  void exchange(Location a, Location b, unsigned bytes) {
    w_.rr(bytes == 8 ? Op::xchg64rr : Op::xchg32rr, hardware(a), hardware(b));
  }

  void constant(uint8_t reg, uint64_t value, uint32_t next) {
    if (value == 0 && !flags_live(next)) w_.zero(reg);
    else w_.load_immediate(reg, value);
  }

  void rematerialise(const VInst& v, Location to, uint32_t next) {
    const uint8_t dst = hardware(to);
    unsigned op = v.op & op_mask;
    if (op == p_constant) constant(dst, s_.immediates_[v.a], next);
    else if (op == p_zero_fp) w_.rr(Op::xorps_rr, dst, dst);
    else if (op == unsigned(Op::lea_ref)) w_.lea_ref(dst, v.a);
    else if (op == unsigned(Op::tls_addr)) w_.tls_addr(dst, v.a);
    else if (v.b != ~0u && !s_.mems_[v.b].has_base && !s_.mems_[v.b].has_index)
      w_.rm(Op(op), dst, memory(s_.mems_[v.b], nullptr));
    else failed_ = true;
  }

  Mem memory(const VMem& m, const Location* regs) {
    if ((m.has_base && regs[0].is_slot()) || (m.has_index && regs[m.has_base].is_slot())) failed_ = true;
    return Selector::physical(m, regs);
  }

  // ---- instructions -------------------------------------------------------------------------------------------------

  void instruction(uint32_t k) {
    const VInst& v = code_.insts[k];
    if (v.flags & (vf::copy | vf::parallel_copy)) return;
    unsigned op = v.op & op_mask;
    Cond cc = Cond(v.op >> 12);
    uint32_t count;
    const codegen::Operand* operands = code_.operands_of(v, count);
    const Location* at = s_.allocation_.operands.data() + (operands - code_.operands.data());
    if (op >= pseudo_first) {
      pseudo(v, op, cc, at, k);
      return;
    }
    Op o = Op(op);
    const InstInfo& i = info(o);
    const bool is_call = i.traits & T_call;
    if (is_call && (v.op & unmarked_target)) w_.op(Op::notrack);
    const VMem* m = v.b != ~0u && (i.form == Form::rm || i.form == Form::mr || i.form == Form::m ||
                                   i.form == Form::mi || i.form == Form::rmi ||
                                   (i.form >= Form::rrr && i.form <= Form::mri))
                        ? &s_.mems_[v.b]
                        : nullptr;
    int32_t imm = int32_t(v.a);
    switch (i.form) {
      case Form::none: w_.op(o); break;
      case Form::r: {
        // The register is the last operand: fixed registers (rax, rdx of div) stand before it; for calls the order is
        // free.
        if (count == 0) {  // an x87 register, which stands in `a`
          w_.r(o, uint8_t(v.a));
          break;
        }
        const Location reg = operand_of(o, operands, at, count);
        if (reg.is_slot()) {
          if (forms_[op].first == Op::count_) failed_ = true;
          else w_.m(forms_[op].first, slot(reg), cc);
        } else {
          const bool throws = o == Op::call64r && (v.op & may_throw);
          w_.r(o, hardware(reg), o == Op::call64r ? Cond::o : cc);
          if (throws) calls_.push_back({w_.size() - 1});
        }
        break;
      }
      case Form::rr: {
        if (at[0].is_slot()) {
          if (forms_[op].first == Op::count_ || at[1].is_slot()) failed_ = true;
          else w_.mr(forms_[op].first, slot(at[0]), hardware(at[1]));
        } else if (at[1].is_slot()) {
          if (forms_[op].second == Op::count_) failed_ = true;
          else w_.rm(forms_[op].second, hardware(at[0]), slot(at[1]), cc);
        } else {
          w_.rr(o, hardware(at[0]), hardware(at[1]), cc);
        }
        break;
      }
      case Form::ri:
        if (at[0].is_slot()) {
          if (forms_[op].first == Op::count_) failed_ = true;
          else w_.mi(forms_[op].first, slot(at[0]), imm);
        } else if (imm == 0 && is_compare(o)) {
          // Comparing a register with zero: test is a byte shorter and sets the same flags.
          uint8_t r = hardware(at[0]);
          w_.rr(o == Op::cmp8ri    ? Op::test8rr
                : o == Op::cmp16ri ? Op::test16rr
                : o == Op::cmp32ri ? Op::test32rr
                                   : Op::test64rr,
                r, r);
        } else {
          w_.ri(o, hardware(at[0]), imm);
        }
        break;
      case Form::rri:
        if (at[1].is_slot()) {
          if (forms_[op].second == Op::count_) failed_ = true;
          else w_.rmi(forms_[op].second, hardware(at[0]), slot(at[1]), imm);
        } else {
          w_.rri(o, hardware(at[0]), hardware(at[1]), imm);
        }
        break;
      case Form::rrr: case Form::rrri: three_registers(o, at, count, imm); break;
      case Form::rrm: case Form::rmr: w_.rrm(o, hardware(at[0]), hardware(at[1]), memory(*m, at + 2)); break;
      case Form::rrmi: w_.rrmi(o, hardware(at[0]), hardware(at[1]), memory(*m, at + 2), imm); break;
      case Form::rm: w_.rm(o, hardware(at[0]), memory(*m, at + 1), cc); break;
      case Form::mr: {
        // cmpxchg has rax in front of its register.
        unsigned fixed = count - 1 - m->has_base - m->has_index;
        w_.mr(o, memory(*m, at + fixed + 1), hardware(at[fixed]));
        break;
      }
      case Form::m: {
        uint32_t skip = count - m->has_base - m->has_index;
        w_.m(o, memory(*m, at + skip), o == Op::call64m ? Cond::o : cc);
        if (o == Op::call64m && (v.op & may_throw)) calls_.push_back({w_.size() - 1});
        break;
      }
      case Form::mi: w_.mi(o, memory(*m, at), imm); break;
      case Form::rmi: w_.rmi(o, hardware(at[0]), memory(*m, at + 1), imm); break;
      case Form::i: w_.i(o, imm); break;
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
    if (is_call && (v.op & returns_again)) w_.op(Op::endbr64);
  }

  // The destination may be a source as well, in one operand; a fourth register stands in the immediate.
  void three_registers(Op o, const Location* at, uint32_t count, int32_t imm) {
    const InstInfo& i = info(o);
    if (at[2].is_slot()) {
      const Op other = forms_[unsigned(o)].third;
      if (other == Op::count_) failed_ = true;
      else if (i.form == Form::rrri) w_.rrmi(other, hardware(at[0]), hardware(at[1]), slot(at[2]), imm);
      else w_.rrm(other, hardware(at[0]), hardware(at[1]), slot(at[2]));
      return;
    }
    if (at[1].is_slot()) {
      const Op other = forms_[unsigned(o)].second;
      if (other == Op::count_) failed_ = true;
      else w_.rrm(other, hardware(at[0]), hardware(at[2]), slot(at[1]));
      return;
    }
    if (i.imm == Imm::r4 && count > 3) imm = hardware(at[3]) << 4;
    w_.rrr(o, hardware(at[0]), hardware(at[1]), hardware(at[2]), imm);
  }

  // The word in front of the entry of what r11 points to, and of its nops, is the operand of a mov. Adding its negation
  // gives 0.
  void check_type(uint32_t type_id) {
    Label same = w_.new_label();
    w_.load_immediate(reg::r10, uint32_t(-type_id));
    w_.rm(Op::add32rm, reg::r10, Mem::at(reg::r11, -int32_t(4 + s_.module_->requests.type_id_offset)));
    w_.jcc(Cond::e, same);
    w_.op(Op::type_trap);
    w_.draft().flags |= codegen::draft_flags::has_type_checks;
    w_.bind(same);
  }

  // rsp = (rsp - size) & mask in steps, each of which begins with a touch of what the last one reached.
  void probed_sub_rsp(uint8_t size, uint8_t end, uint32_t mask) {
    Label test = w_.new_label(), again = w_.new_label();
    w_.rr(Op::mov64rr, end, reg::rsp);
    w_.rr(Op::sub64rr, end, size);
    if (mask) w_.ri(Op::and64ri, end, int32_t(mask));
    w_.jmp(test);
    w_.bind(again);
    w_.mi(Op::or64mi, Mem::at(reg::rsp), 0);
    w_.ri(Op::sub64ri, reg::rsp, int32_t(s_.probe_interval()));
    w_.bind(test);
    w_.rr(Op::cmp64rr, reg::rsp, end);
    w_.jcc(Cond::a, again);
    w_.rr(Op::mov64rr, reg::rsp, end);
    w_.mi(Op::or64mi, Mem::at(reg::rsp), 0);
  }

  // zero-call-used-regs: what the function leaves by (`v`) reads stays, and so do callee-saved registers.
  void zero_registers(const VInst& v) {
    using Z = air::ZeroRegisters;
    const Z mode = s_.fn_->requests.zero_registers;
    if (mode == Z::none) return;
    const bool gpr_only =
        mode == Z::used_gpr_arg || mode == Z::used_gpr || mode == Z::all_gpr_arg || mode == Z::all_gpr;
    const bool arguments =
        mode == Z::used_gpr_arg || mode == Z::used_arg || mode == Z::all_gpr_arg || mode == Z::all_arg;
    uint64_t set = all_registers;
    if (arguments) set = gp_argument_mask | xmm_set(0, 7);
    set &= ~s_.convention_->saved;
    if (gpr_only || !s_.has_sse_) set &= 0xffff;
    if (mode < Z::all_gpr_arg) set &= used_;
    unsigned x87_results = v.op == p_return ? v.a : 0;
    uint32_t count;
    const codegen::Operand* operands = code_.operands_of(v, count);
    for (uint32_t k = 0; k < count; k++)
      if (operands[k].reg().is_physical()) set &= ~(uint64_t{1} << operands[k].reg().value);
    if (mode == Z::all && s_.has_sse_) {  // the x87 registers too, as far as they hold no result
      for (unsigned k = x87_results; k < 8; k++) w_.op(Op::fldz);
      for (unsigned k = x87_results; k < 8; k++) w_.r(Op::fstp_st, 0);
    }
    for (uint8_t r = 0; r < 16; r++)
      if (set >> r & 1) w_.zero(r);
    for (uint8_t r = 0; r < 16; r++)
      if (set >> (32 + r) & 1) w_.rr(Op::xorps_rr, r, r);
  }

  void setjmp(uint8_t result, uint8_t buffer) {
    Label again = w_.new_label(), both = w_.new_label();
    w_.lea_label(result, again);
    w_.mr(Op::mov64mr, Mem::at(buffer, 8), result);
    w_.zero(result);
    w_.jmp(both);
    w_.bind(again);
    if (s_.marks_targets()) w_.op(Op::endbr64);
    w_.load_immediate(result, 1);
    w_.bind(both);
  }

  static bool is_compare(Op o) { return o == Op::cmp8ri || o == Op::cmp16ri || o == Op::cmp32ri || o == Op::cmp64ri; }

  // The register operand of a one-register instruction among its fixed ones: the explicit one is last.
  static Location operand_of(Op, const codegen::Operand*, const Location* at, uint32_t count) { return at[count - 1]; }

  void pseudo(const VInst& v, unsigned op, Cond cc, const Location* at, uint32_t k) {
    switch (op) {
      case p_nothing: case p_unreachable: break;
      case p_constant: constant(hardware(at[0]), s_.immediates_[v.a], k + 1); break;
      case p_zero_fp: w_.rr(Op::xorps_rr, hardware(at[0]), hardware(at[0])); break;
      case p_jump:
        if (!is_next(v.a)) w_.jmp(label(v.a));
        break;
      case p_branch:
        if (thread_[v.a] == thread_[v.b]) {
          if (!is_next(v.a)) w_.jmp(label(v.a));
        } else if (is_next(v.a)) {
          w_.jcc(Cond(unsigned(cc) ^ 1), label(v.b));
        } else {
          w_.jcc(cc, label(v.a));
          if (!is_next(v.b)) w_.jmp(label(v.b));
        }
        break;
      case p_branch_oeq:
        w_.jcc(Cond::ne, label(v.b));
        w_.jcc(Cond::p, label(v.b));
        if (!is_next(v.a)) w_.jmp(label(v.a));
        break;
      case p_branch_une:
        w_.jcc(Cond::ne, label(v.a));
        w_.jcc(Cond::p, label(v.a));
        if (!is_next(v.b)) w_.jmp(label(v.b));
        break;
      case p_jump_table: w_.jump_table(hardware(at[0]), hardware(at[1]), labels_of(s_.tables_[v.a])); break;
      case p_indirect_jump:
        if (v.b == ~0u) w_.r(Op::jmp64r, hardware(at[0]));
        else w_.m(Op::jmp64m, memory(s_.mems_[v.b], at));
        break;
      case p_thunk_jump: w_.goto_ref(v.b); break;
      case p_return:
        load_kept(v);
        zero_registers(v);
        if (s_.fn_->flags & air::function_flags::return_thunk)
          w_.jmp_ref(s_.runtime_reference(air::RuntimeFunction::return_thunk));
        else w_.ret();
        break;
      case p_tail_call:
        load_kept(v);
        zero_registers(v);
        if (v.op & unmarked_target) w_.untracked_tail64r(11);
        else if (v.b == 1) w_.tail64r(11);
        else w_.jmp_ref(v.a);
        break;
      case p_sub_rsp: w_.rr(Op::sub64rr, 4, hardware(at[0])); break;
      case p_probed_sub_rsp: probed_sub_rsp(hardware(at[0]), hardware(at[1]), v.a); break;
      case p_and_rsp: w_.ri(Op::and64ri, 4, int32_t(v.a)); break;
      case p_mov_from_rsp: w_.rr(Op::mov64rr, hardware(at[0]), 4); break;
      case p_mov_to_rsp: w_.rr(Op::mov64rr, 4, hardware(at[0])); break;
      case p_outgoing_end: w_.rm(Op::lea64rm, hardware(at[0]), Mem::dynamic_area()); break;
      case p_frame_address: w_.rr(Op::mov64rr, hardware(at[0]), 5); break;
      case p_label_address: w_.lea_label(hardware(at[0]), label(v.a)); break;
      case p_setjmp: setjmp(hardware(at[0]), hardware(at[1])); break;
      case p_longjmp: {
        uint8_t buffer = hardware(at[0]), target = hardware(at[1]);
        w_.rm(Op::mov64rm, target, Mem::at(buffer, 8));
        w_.rm(Op::mov64rm, reg::rbp, Mem::at(buffer, 0));
        w_.rm(Op::mov64rm, reg::rsp, Mem::at(buffer, 16));
        w_.r(Op::jmp64r, target);
        break;
      }
      case p_clear_uppers: w_.op(Op::vzeroupper); break;
      case p_check_type: check_type(v.a); break;
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
  // Slots of more than the stack's own alignment are laid out behind a masked rsp: rbp then reaches the arguments
  // (codegen/native/frame.h).
  d.frame_pointer = s_.dynamic_frame_ || s_.max_slot_align_log2_ > 4 || s_.frame_pointer_ ||
                    s_.context_->options.force_frame_pointer;
  // One that only profilers and debuggers want gives way to a statement that names rbp.
  if (!(s_.asm_registers_ >> reg::rbp & 1))
    d.frame_pointer |= (s_.fn_->flags & air::function_flags::frame_pointer) ||
                       ((s_.fn_->flags & air::function_flags::frame_pointer_non_leaf) && s_.has_calls_);
  d.naked = s_.fn_->flags & air::function_flags::naked;
  if (d.naked) d.frame_pointer = false;
  return d;
}

Result<void> Finalizer::choose_registers(const Duties& d, codegen::RegisterInfo& info) {
  info.gp_order = d.base_pointer    ? std::span<const uint8_t>(gp_base)
                  : d.frame_pointer ? std::span<const uint8_t>(gp_frame)
                                    : std::span<const uint8_t>(gp_plain);
  info.fp_order = fp_all;
  info.callee_saved = s_.convention_->saved;
  info.clobbers = clobbered_by;
  info.fp_scratch = fp_scratch;
  info.share_homes = !s_.calls_setjmp_;
  if (!s_.implicit_sse_) {
    // What stands between two slots goes through a general register, which no convention and no statement here names.
    for (uint8_t r : {reg::r15, reg::r14, reg::r13, reg::r12})
      if (!(s_.asm_registers_ >> r & 1)) info.gp_scratch = r;
    if (info.gp_scratch == 255)
      return error("inline assembly that uses r12 to r15 in a function that may not use SSE registers for copies");
    auto end = std::remove_copy(info.gp_order.begin(), info.gp_order.end(), without_scratch_.begin(), info.gp_scratch);
    info.gp_order = {without_scratch_.data(), size_t(end - without_scratch_.begin())};
  }
  if (d.frame_pointer && (s_.asm_registers_ >> reg::rbp & 1))
    return error("inline assembly that uses rbp in a function that needs it as its frame pointer");
  if (d.base_pointer && (s_.asm_registers_ >> reg::rbx & 1))
    return error("inline assembly that uses rbx in a function with both dynamic and over-aligned stack memory");
  if (d.base_pointer && s_.builtin_setjmp_)
    return error("__builtin_setjmp in a function with both dynamic and over-aligned stack memory");
  return {};
}

Result<void> Finalizer::describe_frame(const Duties& d) {
  const bool dynamic = s_.dynamic_frame_;
  uint32_t flags = 0;
  if (d.naked) flags |= frame::naked;
  if (s_.returns_rcx_ || s_.convention_->saved & gp_set({reg::rcx})) flags |= frame::keeps_rcx;
  if (d.frame_pointer) flags |= frame::frame_pointer;
  if (dynamic) flags |= frame::dynamic;
  if (d.base_pointer) flags |= frame::base_pointer;
  if ((s_.fn_->flags & air::function_flags::no_red_zone) || s_.builtin_setjmp_) flags |= frame::no_red_zone;
  if (s_.fn_->requests.zero_registers != air::ZeroRegisters::none) flags |= frame::plain_epilogue;
  if (s_.marks_targets()) flags |= frame::untracked_tables;
  if (s_.fn_->flags & air::function_flags::probe_stack) {
    if (s_.fn_->requests.probe_symbol.valid()) w_.probe_by_call(s_.probe_reference());
    else w_.probe_inline(s_.probe_interval());
  }
  w_.set_frame_flags(flags);
  w_.save_registers(uint16_t((s_.builtin_setjmp_ ? saved_by_sysv & ~uint64_t{1 << 5} : used_) & saved_by_sysv));
  uint32_t outgoing = s_.outgoing_bytes_;
  if (dynamic) outgoing = uint32_t(align_up(outgoing, s_.max_dynamic_align_));
  w_.need_outgoing(outgoing);
  if (d.naked && (dynamic || outgoing || !w_.draft().locals.empty() || w_.draft().frame[frame::word_saved]))
    return error("a naked function whose code needs a stack frame");
  w_.draft().text_align_log2 = uint8_t(std::max<uint32_t>(4, std::min<uint32_t>(s_.fn_->align_log2, 12)));
  if (const entry e = s_.entry_surroundings(); !e.empty()) w_.surround_entry(e);
  return {};
}

Result<void> Finalizer::run() {
  codegen::RegisterInfo& info = registers_;
  const Duties duties = find_duties();
  LODE_TRY(choose_registers(duties, info));
  {
    StageClock clock(Stage::allocate);
    s_.allocator_.run(code_, info, s_.allocation_);
  }
  StageClock clock(Stage::finalize);
  if (s_.allocation_.failed) return error("one instruction wants more registers than there are");
#ifndef NDEBUG
  if (std::string problem = check(info); !problem.empty()) return error("internal error: " + problem);
#endif
  used_ = s_.allocation_.used;
  add_spill_slots();
  if (!duties.naked) keep_registers();
  LODE_TRY(describe_frame(duties));
  find_branch_targets();
  LODE_TRY(write_blocks());
  return w_.finish();
}

// `regs`: the locations of the base and the index, in this order, as far as the operand has them.
Mem Selector::physical(const VMem& m, const Location* regs) {
  Mem out;
  out.kind = m.kind;
  out.disp = m.disp;
  out.scale_log2 = m.scale_log2;
  out.segment = Segment(m.segment);
  out.target = m.id;
  if (m.kind == Mem::Kind::constants) {
    out.target = 0;
    out.disp += int32_t(m.id);
  }
  if (m.has_base) out.base = uint8_t((regs++)->value & 15);
  if (m.has_index) {
    out.index = uint8_t(regs->value & 15);
    if (m.kind == Mem::Kind::base && !m.has_base) out.kind = Mem::Kind::absolute;
  }
  return out;
}

Result<void> finalize(Selector& s, mir::FunctionDraft&) { return Finalizer(s).run(); }

}  // namespace lode::x86_64
