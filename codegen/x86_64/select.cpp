// Emission, and which function selects which instruction. See selector.h.
#include "codegen/x86_64/select.h"

#include <array>
#include <iterator>

#include "codegen/native/selection_impl.h"
#include "codegen/x86_64/asm_use.h"
#include "codegen/x86_64/finalize.h"
#include "codegen/x86_64/selector.h"
#include "codegen/x86_64/slot_forms.h"

namespace lode::x86_64 {

using air::Inst;

Selector::Selector() : slot_forms_(slot_forms()) {}
Selector::~Selector() = default;

// ---- emission -------------------------------------------------------------------------------------------------------

void Selector::emit(unsigned op, std::initializer_list<Operand> ops, uint32_t a, uint8_t flags, uint8_t clobbers) {
  const uint32_t first = append(op, ops, a, flags, clobbers).operands;
  // An operand may stay in its slot only where the instruction has a form for that.
  if (op < pseudo_first) {
    const SlotForm& form = slot_forms_[op & op_mask];
    bool one = info(Op(op & op_mask)).form == Form::r;
    for (size_t k = 0; k < ops.size(); k++) {
      Operand& o = vcode_.operands[first + k];
      if (!o.may_be_slot()) continue;
      Op other = one || k == 0 ? form.first : k == 1 ? form.second : k == 2 ? form.third : Op::count_;
      if (other == Op::count_) o = Operand::make(o.reg(), o.role());
    }
  }
}

void Selector::emit_mem(unsigned op, std::initializer_list<Operand> ops, const VMem& mem, uint32_t a, uint8_t flags,
                        uint8_t clobbers) {
  emit(op, ops, a, flags, clobbers);
  codegen::VInst& v = cur_.back();
  if (mem.has_base) {
    vcode_.operands.push_back(late(mem.base));
    v.operand_count++;
  }
  if (mem.has_index) {
    vcode_.operands.push_back(late(mem.index));
    v.operand_count++;
  }
  // An address register may share its register with the result of an instruction that only writes it.
  bool reads_late = false;
  for (Operand o : ops) reads_late |= o.role() == Role::mod || o.role() == Role::def_early;
  if (!reads_late)
    for (unsigned k = uint32_t(ops.size()); k < v.operand_count; k++) {
      Operand& o = vcode_.operands[v.operands + k];
      o = use(o.reg());
    }
  v.b = uint32_t(mems_.size());
  mems_.push_back(mem);
}

// ---- the walk -------------------------------------------------------------------------------------------------------

void Selector::reset() {
  mems_.clear();
  immediates_.clear();
  asms_.clear();
  asm_registers_ = 0;
  x87_slots_.clear();
  x87_spare_.clear();
  vararg_slot_ = ~0u;
  returns_rcx_ = false;
  convention_ = &convention_of(fn_->conv, fn_->flags & air::function_flags::no_caller_saved_registers);
  has_sse_ = !(fn_->flags & air::function_flags::no_sse);
  avx_ = has_sse_ && has(air::processor_features::avx);
  wide_ = false;
  writer_->use_vex(avx_);
  if (avx_)
    for (const air::Value& v : fn_->values) wide_ |= v.type == TypeTable::v256;
  implicit_sse_ = has_sse_ && !(fn_->flags & air::function_flags::no_implicit_float);
}

// By the features that change it.
const air::LegalizeOptions& Selector::legalize_options() const {
  namespace p = air::processor_features;
  static constexpr uint32_t steps[] = {p::sse41, p::sse42, p::avx, p::avx2, p::fma};
  static const auto table = [] {
    std::array<air::LegalizeOptions, 32> t;
    for (unsigned k = 0; k < t.size(); k++) {
      uint32_t features = 0;
      for (unsigned s = 0; s < std::size(steps); s++)
        if (k >> s & 1) features |= steps[s];
      t[k] = air::LegalizeOptions::x86_64(features);
    }
    return t;
  }();
  unsigned k = 0;
  for (unsigned s = 0; s < std::size(steps); s++) k |= unsigned((fn_->features & steps[s]) != 0) << s;
  return table[k];
}

Result<void> Selector::finish(mir::FunctionDraft& out) { return finalize(*this, out); }

void Selector::branch_if_canary_damaged(uint32_t then, uint32_t otherwise) {
  Reg now = gp(8);
  const VMem source = canary_source();
  emit_mem(unsigned(Op::mov64rm), {def(now)}, source);
  emit_mem(unsigned(Op::cmp64rm), {use(now)}, slot_mem(canary_slot_));
  branch({Cond::ne, 0}, then, otherwise);
}

std::unique_ptr<codegen::LowerScratch> make_scratch() { return std::make_unique<Selector>(); }

Result<void> lower(air::Function& fn, const codegen::LowerContext& context, codegen::LowerScratch& scratch,
                   mir::FunctionDraft& out) {
  return static_cast<Selector&>(scratch).run(fn, context, out);
}

void Selector::select_inst(const Inst& i) {
  switch (i.op) {
    case AirOp::add: case AirOp::sub: case AirOp::mul: case AirOp::and_: case AirOp::or_:
    case AirOp::xor_: select_binary(i); break;
    case AirOp::shl: case AirOp::lshr: case AirOp::ashr: select_shift(i); break;
    case AirOp::udiv: case AirOp::sdiv: case AirOp::urem: case AirOp::srem: select_divide(i); break;
    case AirOp::umulh: case AirOp::smulh: select_mulh(i); break;
    case AirOp::smin: case AirOp::smax: case AirOp::umin: case AirOp::umax: case AirOp::iabs: select_minmax(i); break;
    case AirOp::ctlz: case AirOp::cttz: case AirOp::ctpop: case AirOp::bswap:
    case AirOp::bitreverse: select_bits(i); break;
    case AirOp::fshl: case AirOp::fshr: select_rotate(i); break;
    case AirOp::uadd_overflow: case AirOp::sadd_overflow: case AirOp::usub_overflow: case AirOp::ssub_overflow:
    case AirOp::umul_overflow: case AirOp::smul_overflow: select_overflow(i); break;
    case AirOp::fadd: case AirOp::fsub: case AirOp::fmul: case AirOp::fdiv: case AirOp::fneg: case AirOp::fabs:
    case AirOp::fsqrt: case AirOp::fcopysign: select_float(i); break;
    case AirOp::icmp: case AirOp::fcmp: select_compare(i); break;
    case AirOp::select: select_select(i); break;
    case AirOp::trunc: select_trunc(i); break;
    case AirOp::zext: case AirOp::sext: select_extend(i); break;
    case AirOp::fptoui: case AirOp::fptosi: case AirOp::uitofp: case AirOp::sitofp: case AirOp::fptrunc:
    case AirOp::fpext: select_convert(i); break;
    case AirOp::ptrtoint: case AirOp::inttoptr: case AirOp::freeze: select_copy(i); break;
    case AirOp::bitcast: select_bitcast(i); break;
    case AirOp::slot_addr: lea(result_reg(i.result), slot_mem(slots_[i.a])); break;
    case AirOp::ptr_add: select_ptr_add(i); break;
    case AirOp::alloca: select_alloca(i); break;
    case AirOp::stack_save: emit(p_mov_from_rsp, {def(result_reg(i.result))}); dynamic_frame_ = true; break;
    case AirOp::stack_restore: emit(p_mov_to_rsp, {use(reg_of(i.va()))}); dynamic_frame_ = true; break;
    case AirOp::load: select_load(i); break;
    case AirOp::store: select_store(i); break;
    case AirOp::memcpy: case AirOp::memmove: case AirOp::memset: select_block_memory(i); break;
    case AirOp::atomic_rmw: select_atomic(i); break;
    case AirOp::cmpxchg: select_cmpxchg(i); break;
    case AirOp::fence:
      if (air::AtomicOrdering(i.a) == air::AtomicOrdering::seq_cst) emit(unsigned(Op::mfence), {});
      break;
    case AirOp::prefetch: {
      constexpr Op levels[] = {Op::prefetcht0_m, Op::prefetcht1_m, Op::prefetcht2_m, Op::prefetchnta_m};
      emit_mem(unsigned(levels[i.aux & 3]), {}, address(i.va()));
      break;
    }
    case AirOp::va_end: break;
    case AirOp::extract: break;  // stands for a leaf of its operand
    case AirOp::call: case AirOp::invoke: select_call(i); break;
    case AirOp::landing_pad: select_landing_pad(i); break;
    case AirOp::eh_typeid:  // a constant: see prepare_exceptions()
      if (pads_.empty()) fail("an exception's type in a function without a personality");
      break;
    case AirOp::va_start: select_va_start(i); break;
    case AirOp::return_address: case AirOp::frame_address: case AirOp::eh_sjlj_setjmp: case AirOp::eh_sjlj_longjmp:
    case AirOp::read_cycle_counter: case AirOp::thread_pointer: case AirOp::debug_trap: select_misc(i); break;
    case AirOp::simd1: case AirOp::simd2: select_simd(i); break;
    case AirOp::simd3: select_simd3(i); break;
    case AirOp::fma: select_fma(i); break;
    case AirOp::fceil: case AirOp::ffloor: case AirOp::ftrunc: case AirOp::frint: case AirOp::froundeven:
      select_round(i);
      break;
    case AirOp::br: case AirOp::cond_br: select_branch(i); break;
    case AirOp::switch_: select_switch(i); break;
    case AirOp::indirect_br: select_indirect_branch(i); break;
    case AirOp::ret: select_return(i); break;
    case AirOp::trap: emit(unsigned(Op::ud2), {}, 0, codegen::vflags::terminator); break;
    case AirOp::unreachable: emit(p_unreachable, {}, 0, codegen::vflags::terminator); break;
    default: fail("not supported on x86_64"); break;
  }
}

}  // namespace lode::x86_64

namespace lode::codegen {
template class Selection<x86_64::Selector, x86_64::MirWriter>;
}
