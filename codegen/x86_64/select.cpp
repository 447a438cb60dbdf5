// The walk over a function: use counts, blocks backwards, and the assembly of VCode in layout order. See selector.h.
#include "codegen/x86_64/select.h"

#include <algorithm>

#include "base/stage_times.h"
#include "codegen/air/legalize.h"
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
  codegen::VInst v;
  v.op = uint16_t(op);
  v.operand_count = uint8_t(ops.size());
  v.flags = uint8_t(flags | clobbers);
  v.operands = uint32_t(vcode_.operands.size());
  v.a = a;
  v.b = ~0u;
  vcode_.operands.insert(vcode_.operands.end(), ops);
  // An operand may stay in its slot only where the instruction has a form for that.
  if (op < pseudo_first) {
    const SlotForm& form = slot_forms_[op & op_mask];
    bool one = info(Op(op & op_mask)).form == Form::r;
    for (size_t k = 0; k < ops.size(); k++) {
      Operand& o = vcode_.operands[v.operands + k];
      if (!o.may_be_slot()) continue;
      Op other = one || k == 0 ? form.first : k == 1 ? form.second : Op::count_;
      if (other == Op::count_) o = Operand::make(o.reg(), o.role());
    }
  }
  cur_.push_back(v);
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

void Selector::emit_list(unsigned op, const std::vector<Operand>& ops, uint32_t a, uint32_t b, uint8_t flags,
                         uint8_t clobbers) {
  codegen::VInst v;
  v.op = uint16_t(op);
  v.flags = uint8_t(flags | clobbers);
  v.operands = uint32_t(vcode_.operands.size());
  v.a = a;
  v.b = b;
  if (ops.size() < 255) {
    v.operand_count = uint8_t(ops.size());
  } else {
    v.operand_count = 255;
    vcode_.operands.push_back(Operand{uint32_t(ops.size())});
  }
  vcode_.operands.insert(vcode_.operands.end(), ops.begin(), ops.end());
  cur_.push_back(v);
}

void Selector::flush() {
  buffer_.insert(buffer_.end(), cur_.rbegin(), cur_.rend());
  cur_.clear();
}

void Selector::fail(const char* what) {
  if (!failure_.empty()) return;
  failure_ = std::string("instruction '") +
             (cur_inst_ < fn_->insts.size() ? air::info(fn_->insts[cur_inst_].op).name : "entry") + "': " + what;
}

// ---- the walk -------------------------------------------------------------------------------------------------------

void Selector::prepare() {
  const air::Function& f = *fn_;
  vcode_.clear();
  buffer_.clear();
  made_.clear();
  cur_.clear();
  mems_.clear();
  immediates_.clear();
  tables_.clear();
  table_targets_.clear();
  leaves_.clear();
  asms_.clear();
  asm_registers_ = 0;
  x87_spare_.clear();
  failure_.clear();
  outgoing_bytes_ = 0;
  has_calls_ = dynamic_frame_ = calls_setjmp_ = builtin_setjmp_ = false;
  vararg_slot_ = ~0u;
  frame_pointer_ = returns_rcx_ = false;
  convention_ = &convention_of(f.conv, f.flags & air::function_flags::no_caller_saved_registers);
  max_dynamic_align_ = 16;
  max_slot_align_log2_ = 0;
  tail_call_ = ~0u;
  has_sse_ = !(f.flags & air::function_flags::no_sse);
  implicit_sse_ = has_sse_ && !(f.flags & air::function_flags::no_implicit_float);
  canary_slot_ = canary_failure_ = ~0u;

  uses_.assign(f.values.size(), 0);
  reg_.assign(f.values.size(), Reg{});
  f80_.assign(f.values.size(), 0);
  leaf_first_.assign(f.values.size(), ~0u);
  epoch_.resize(f.insts.size());
  block_of_.resize(f.insts.size());
  for (uint32_t b = 0; b < f.blocks.size(); b++) {
    uint32_t epoch = 0;
    const air::Block& block = f.blocks[b];
    for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++) {
      const Inst& i = f.insts[k];
      epoch_[k] = epoch;
      block_of_[k] = b;
      if (air::info(i.op).traits & (air::traits::Write | air::traits::Effect)) epoch++;
      if (i.op == AirOp::load &&
          (air::MemoryFlags::is_volatile(i.aux) || air::MemoryFlags::ordering(i.aux) > air::AtomicOrdering::unordered))
        epoch++;
      air::for_each_operand(f, i, [&](ValueId v) { uses_[v.value]++; });
    }
  }

  flow_.run(f);
  pending_.clear();
  pending_.resize(f.blocks.size());
  for (uint32_t b = 0; b < f.blocks.size(); b++) pending_[b].frequency = flow_.frequency[b];
  prepare_indirect_branches();

  slots_.clear();
  protection_.run(f, module_->types);
  sharing_.run(f, protection_.zones);
  auto zone = [&](uint32_t s) { return protection_.zones.empty() ? codegen::SlotZone::rest : protection_.zones[s]; };
  for (uint32_t s = 0; s < f.slots.size(); s++)
    slots_.push_back(sharing_.place[s] == s ? new_slot(sharing_.slots[s].size, sharing_.slots[s].align_log2, zone(s))
                                            : ~0u);
  for (uint32_t s = 0; s < f.slots.size(); s++) slots_[s] = slots_[sharing_.place[s]];
  if (protection_.needed) canary_slot_ = new_slot(8, 3, codegen::SlotZone::canary);
  prepare_exceptions();
}

uint32_t Selector::new_slot(uint64_t size, unsigned align_log2, codegen::SlotZone zone) {
  if (size > 0x7fffffff || align_log2 > 28) {
    fail("a local of more than 2 GiB");
    size = 8;
  }
  if (align_log2 > max_slot_align_log2_) max_slot_align_log2_ = align_log2;
  return writer_->add_slot(uint32_t(size), 1u << align_log2, zone);
}

Result<void> Selector::run(air::Function& fn, const codegen::LowerContext& context, mir::FunctionDraft& out) {
  fn_ = &fn;
  context_ = &context;
  module_ = context.module;
  draft_ = &out;
  out.clear();
  out.symbol = context.symbols[fn.symbol.value];
  auto where = [&] { return "function '" + std::string(module_->name_of(fn.symbol)) + "'"; };
  if (!(fn.flags & air::function_flags::legal)) {
    static const air::LegalizeOptions options = air::LegalizeOptions::x86_64();
    StageClock clock(Stage::legalize);
    LODE_TRY(air::legalize(fn, *module_, options));
  }
  StageClock clock(Stage::select);
  writer_.emplace(out);
  prepare();
  if (!failure_.empty()) return error_at(where(), failure_);
  if (!lay_out_entry()) return error_at(where(), "parameters of more than 2 GiB");

  const auto& order = flow_.rpo;
  for (size_t k = order.size(); k-- > 0;) {
    select_block(order[k]);
    if (!failure_.empty()) return error_at(where(), failure_);
  }
  fill_shared_landings();
  fill_canary_failure();
  assemble_blocks();
  if (!failure_.empty()) return error_at(where(), failure_);
  clock.stop();
  Result<void> done = finalize(*this, out);
  if (!done.ok()) return done.take_error().at(where());
  return {};
}

// Marks, nops and calls ahead of the prologue.
MirWriter::Entry Selector::entry_surroundings() {
  const air::Requests& q = fn_->requests;
  MirWriter::Entry e;
  if (marks_targets() && !(fn_->flags & air::function_flags::no_cf_check)) e.flags |= entry::marked;
  e.prefix = q.patchable_prefix;
  e.nops = q.patchable_entry;
  if (fn_->flags & air::function_flags::type_id) {
    e.flags |= entry::has_type_id;
    e.type_id = q.type_id;
    e.prefix = module_->requests.type_id_offset;
  }
  if (q.fentry.valid())
    e.fentry = writer_->add_reference(context_->symbols[q.fentry.value], 0, mir::ReferenceKind::call);
  if (e.prefix > entry::most_nops || e.nops > entry::most_nops) fail("an entry with more than 64 KiB to be patched");
  return e;
}

std::unique_ptr<codegen::LowerScratch> make_scratch() { return std::make_unique<Selector>(); }

Result<void> lower(air::Function& fn, const codegen::LowerContext& context, codegen::LowerScratch& scratch,
                   mir::FunctionDraft& out) {
  return static_cast<Selector&>(scratch).run(fn, context, out);
}

void Selector::select_block(uint32_t b) {
  const air::Block& block = fn_->blocks[b];
  cur_block_ = b;
  pending_[b].begin = uint32_t(buffer_.size());
  for (uint32_t k = block.first_inst + block.inst_count; k-- > block.first_inst;) {
    cur_inst_ = k;
    const Inst& i = fn_->insts[k];
    uint8_t t = air::info(i.op).traits;
    // Pure instructions and plain loads that nobody asked for do not exist.
    if (!(t & (air::traits::Write | air::traits::Effect | air::traits::Term)) &&
        !(i.result.valid() && is_wanted(i.result)) && !(i.op == AirOp::load && epoch_[k] != next_epoch(k)))
      continue;
    const size_t before = buffer_.size();
    select_inst(i);
    flush();
    if (!failure_.empty()) return;
    if (canary_slot_ != ~0u && ends_protected(i, before)) check_canary(b);
  }
  if (b == 0) {
    cur_inst_ = ~0u;
    select_entry();
    flush();
  }
  pending_[b].end = uint32_t(buffer_.size());
}

// ---- stack protector: codegen/native/stack_protection.h -------------------------------------------------------------
//
// The canary is checked before each return and each tail call, and before calls that do not return but may unwind (a
// throw), because unwinding trusts what lies above the canary. Not before calls that end the process: that is LLVM's
// rule too.

bool Selector::ends_protected(const Inst& i, size_t selected_before) {
  if (i.op == AirOp::ret) return buffer_.size() != selected_before;  // else a tail call returns
  if (i.op != AirOp::call && i.op != AirOp::invoke) return false;
  if (cur_inst_ == tail_call_) return true;
  const uint16_t flags = fn_->calls[i.a].flags;
  return (flags & air::callflags::noreturn) && !(flags & air::callflags::nounwind);
}

// What has been selected of the block at hand moves to a block of its own, which is reached when the canary is whole.
void Selector::check_canary(uint32_t b) {
  const uint32_t first = pending_[b].first_made, last = pending_[b].last_made;
  const uint32_t after = uint32_t(pending_.size());
  pending_.push_back({uint32_t(made_.size()), 0, pending_[b].frequency, ~0u, ~0u, first});
  made_.insert(made_.end(), buffer_.rbegin(), buffer_.rend() - ptrdiff_t(pending_[b].begin));
  pending_[after].end = uint32_t(made_.size());
  buffer_.resize(pending_[b].begin);
  pending_[b].first_made = after;
  pending_[b].last_made = first == ~0u ? after : last;
  if (canary_failure_ == ~0u) {
    canary_failure_ = uint32_t(pending_.size());
    pending_.push_back({});
    pending_.back().frequency = 1.0f / 65536;
  }
  Reg now = gp(8);
  const VMem source = canary_source();
  emit_mem(unsigned(Op::mov64rm), {def(now)}, source);
  emit_mem(unsigned(Op::cmp64rm), {use(now)}, slot_mem(canary_slot_));
  branch({Cond::ne, 0}, canary_failure_, after);
  flush();
}

// Behind everything else.
void Selector::fill_canary_failure() {
  if (canary_failure_ == ~0u) return;
  Pending& source = pending_[flow_.order.back()];
  (source.first_made == ~0u ? source.first_made : pending_[source.last_made].next_made) = canary_failure_;
  source.last_made = canary_failure_;
  cur_inst_ = ~0u;
  fill_made(canary_failure_, [&] {
    call_runtime(air::RuntimeFunction::stack_chk_fail, {}, {}, Reg{});
    emit(p_unreachable, {}, 0, codegen::vflags::terminator);
  });
}

uint32_t Selector::runtime_reference(air::RuntimeFunction f) {
  return writer_->add_reference(context_->runtime[unsigned(f)], 0, mir::ReferenceKind::call);
}

bool Selector::is_wanted(ValueId v) const {
  return reg_[v.value].valid() || f80_[v.value] != 0 || leaf_first_[v.value] != ~0u;
}

uint32_t Selector::next_epoch(uint32_t k) const {
  // A volatile or atomic load raises the epoch behind it; it is never the last instruction of a block.
  return k + 1 < epoch_.size() ? epoch_[k + 1] : epoch_[k];
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
    case AirOp::br: case AirOp::cond_br: select_branch(i); break;
    case AirOp::switch_: select_switch(i); break;
    case AirOp::indirect_br: select_indirect_branch(i); break;
    case AirOp::ret: select_return(i); break;
    case AirOp::trap: emit(unsigned(Op::ud2), {}, 0, codegen::vflags::terminator); break;
    case AirOp::unreachable: emit(p_unreachable, {}, 0, codegen::vflags::terminator); break;
    default: fail("not supported on x86_64"); break;
  }
}

// ---- blocks in layout order -----------------------------------------------------------------------------------------

uint32_t Selector::new_block(float frequency, uint32_t behind) {
  Pending p;
  p.frequency = frequency;
  p.begin = p.end = uint32_t(made_.size());
  uint32_t id = uint32_t(pending_.size());
  pending_.push_back(p);
  // In order of creation.
  Pending& source = pending_[behind == ~0u ? cur_block_ : behind];
  (source.first_made == ~0u ? source.first_made : pending_[source.last_made].next_made) = id;
  source.last_made = id;
  return id;
}

void Selector::assemble_blocks() {
  final_number_.assign(pending_.size(), ~0u);
  vcode_.insts.clear();
  vcode_.blocks.clear();
  std::vector<uint32_t>& order = layout_;
  order.clear();
  for (uint32_t b : flow_.order)
    for (uint32_t p = b; p != ~0u; p = p == b ? pending_[b].first_made : pending_[p].next_made) {
      final_number_[p] = uint32_t(order.size());
      order.push_back(p);
    }
  for (uint32_t p : order) {
    codegen::VBlock block;
    block.first_inst = uint32_t(vcode_.insts.size());
    const Pending& pending = pending_[p];
    if (p < fn_->blocks.size())
      for (uint32_t k = pending.end; k-- > pending.begin;) vcode_.insts.push_back(buffer_[k]);
    else
      vcode_.insts.insert(vcode_.insts.end(), made_.begin() + pending.begin, made_.begin() + pending.end);
    block.inst_count = uint32_t(vcode_.insts.size()) - block.first_inst;
    block.frequency = pending.frequency;
    block.succs = uint32_t(vcode_.successors.size());
    for (uint32_t k = block.first_inst; k < block.first_inst + block.inst_count; k++) {
      codegen::VInst& v = vcode_.insts[k];
      auto target = [&](uint32_t& t) {
        t = final_number_[t];
        vcode_.successors.push_back(t);
      };
      switch (v.op & op_mask) {
        case p_jump: case p_invoke: target(v.a); break;
        case p_branch: case p_branch_oeq: case p_branch_une: target(v.a); target(v.b); break;
        case p_jump_table: case p_indirect_jump: case p_thunk_jump: {
          JumpTable& t = tables_[v.a];
          for (uint32_t j = 0; j < t.count; j++) {
            uint32_t& to = table_targets_[t.first + j];
            to = final_number_[to];
            vcode_.successors.push_back(to);
          }
          std::sort(vcode_.successors.begin() + block.succs, vcode_.successors.end());
          vcode_.successors.erase(std::unique(vcode_.successors.begin() + block.succs, vcode_.successors.end()),
                                  vcode_.successors.end());
          break;
        }
        case p_label_address: v.a = final_number_[landing(v.a)]; break;
        default: break;
      }
    }
    block.succ_count = uint32_t(vcode_.successors.size()) - block.succs;
    vcode_.blocks.push_back(block);
  }
}

}  // namespace lode::x86_64
