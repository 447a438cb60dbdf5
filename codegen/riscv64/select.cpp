// Which function selects which instruction. See selector.h.
#include "codegen/riscv64/select.h"

#include "codegen/native/selection_impl.h"
#include "codegen/riscv64/asm_use.h"
#include "codegen/riscv64/finalize.h"
#include "codegen/riscv64/selector.h"

namespace lode::riscv64 {

using air::Inst;

Selector::Selector() = default;
Selector::~Selector() = default;

void Selector::reset() {
  mems_.clear();
  immediates_.clear();
  loops_.clear();
  asms_.clear();
  asm_registers_ = 0;
  stores_variadic_ = false;
}

const air::LegalizeOptions& Selector::legalize_options() {
  static const air::LegalizeOptions options = air::LegalizeOptions::riscv64();
  return options;
}

Result<void> Selector::finish(mir::FunctionDraft&) { return finalize(*this); }

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
    case AirOp::umulh: case AirOp::smulh: {
      Reg dst = result_reg(i.result);
      rr(i.op == AirOp::umulh ? Op::mulhu : Op::mulh, dst, {reg_of(i.va())}, {reg_of(i.vb())});
      break;
    }
    case AirOp::smin: case AirOp::smax: case AirOp::umin: case AirOp::umax: case AirOp::iabs: select_minmax(i); break;
    case AirOp::ctlz: case AirOp::cttz: case AirOp::ctpop: case AirOp::bswap:
    case AirOp::bitreverse: select_bits(i); break;
    case AirOp::fshl: case AirOp::fshr: select_rotate(i); break;
    case AirOp::uadd_overflow: case AirOp::sadd_overflow: case AirOp::usub_overflow: case AirOp::ssub_overflow:
    case AirOp::umul_overflow: case AirOp::smul_overflow: select_overflow(i); break;
    case AirOp::fadd: case AirOp::fsub: case AirOp::fmul: case AirOp::fdiv: case AirOp::fneg: case AirOp::fabs:
    case AirOp::fsqrt: case AirOp::fcopysign: case AirOp::fma: case AirOp::fminnum:
    case AirOp::fmaxnum: select_float(i); break;
    case AirOp::icmp: case AirOp::fcmp: select_compare(i); break;
    case AirOp::select: select_select(i); break;
    case AirOp::trunc: select_trunc(i); break;
    case AirOp::zext: case AirOp::sext: select_extend(i); break;
    case AirOp::fptoui: case AirOp::fptosi: case AirOp::fptoui_sat: case AirOp::fptosi_sat: case AirOp::uitofp:
    case AirOp::sitofp: case AirOp::fptrunc: case AirOp::fpext: select_convert(i); break;
    case AirOp::ptrtoint: case AirOp::inttoptr: case AirOp::freeze:
      if (reg_[i.result.value].valid()) copy(reg_[i.result.value], reg_of(i.va()));
      break;
    case AirOp::bitcast: select_bitcast(i); break;
    case AirOp::slot_addr: lea(result_reg(i.result), slot_mem(slots_[i.a])); break;
    case AirOp::ptr_add: select_ptr_add(i); break;
    case AirOp::alloca: select_alloca(i); break;
    case AirOp::stack_save:
      push(p_mov_from_sp, {def(result_reg(i.result))});
      dynamic_frame_ = true;
      break;
    case AirOp::stack_restore:
      push(p_mov_to_sp, {use(reg_of(i.va()))});
      dynamic_frame_ = true;
      break;
    case AirOp::load: select_load(i); break;
    case AirOp::store: select_store(i); break;
    case AirOp::memcpy: case AirOp::memmove: case AirOp::memset: select_block_memory(i); break;
    case AirOp::atomic_rmw: select_rmw(i); break;
    case AirOp::cmpxchg: select_cmpxchg(i); break;
    case AirOp::fence: select_fence(air::AtomicOrdering(i.a)); break;
    case AirOp::lifetime_start: case AirOp::lifetime_end: case AirOp::va_end:
    case AirOp::prefetch: break;  // without Zicbop there is nothing to say it with
    case AirOp::extract: break;   // stands for a leaf of its operand
    case AirOp::call: case AirOp::invoke: select_call(i); break;
    case AirOp::landing_pad: select_landing_pad(i); break;
    case AirOp::eh_typeid:  // a constant: see prepare_exceptions()
      if (pads_.empty()) fail("an exception's type in a function without a personality");
      break;
    case AirOp::va_start: select_va_start(i); break;
    case AirOp::return_address: case AirOp::frame_address: case AirOp::eh_sjlj_setjmp: case AirOp::eh_sjlj_longjmp:
    case AirOp::read_cycle_counter: case AirOp::thread_pointer: case AirOp::debug_trap: select_misc(i); break;
    case AirOp::br: case AirOp::cond_br: select_branch(i); break;
    case AirOp::switch_: select_switch(i); break;
    case AirOp::indirect_br: select_indirect_branch(i); break;
    case AirOp::ret: select_return(i); break;
    case AirOp::trap: push(unsigned(Op::unimp), {}, 0, codegen::vflags::terminator); break;
    case AirOp::unreachable: push(p_unreachable, {}, 0, codegen::vflags::terminator); break;
    default: fail("not supported on riscv64"); break;
  }
}

}  // namespace lode::riscv64

namespace lode::codegen {
template class Selection<riscv64::Selector, riscv64::MirWriter>;
}
