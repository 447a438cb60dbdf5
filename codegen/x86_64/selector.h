// Instruction selection for x86_64: legal AIR -> VCode.
//
// Each block is walked backwards, so that a use is seen before its definition fixes a form: an instruction whose result
// nobody has asked for (and that has no effect) costs nothing; a load, an address computation, a comparison or a
// constant that its only reader can absorb is never issued by itself. Blocks are processed in reverse post-order
// backwards, so every use of a value has been met before its definition: dead code falls away by itself.
//
// Values in registers: i8, i16 and i32 occupy the low bits, what lies above is garbage; i1 is 0 or 1 in the low byte.
// i32 results of 32-bit instructions have zero upper halves, which zext uses (see zero_extended()). f32 f64 f128 v128
// live in SSE registers, f80 values have a frame slot each and pass through the x87 stack only within one operation.
//
// Why folding ends: no rule makes new AIR. Each looks from a value at what defines it and goes on with an operand of
// that definition (alias_of, address, add_index, compare, zero_extended ...), which lies earlier in the block or in a
// block that dominates it; a block parameter, a constant or an effect stops it. So every step lowers the position in
// dominance order, and what recurses besides (address within an address) has a depth of its own.
//
// Flags: the instructions that select puts between a flag's producer and its reader are moves, which leave flags alone;
// a rematerialised constant is always `mov`, and the finaliser turns it into `xor` where the flags are dead.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/air/legalize.h"
#include "codegen/native/analysis.h"
#include "codegen/native/exception_table.h"
#include "codegen/native/regalloc.h"
#include "codegen/native/slot_sharing.h"
#include "codegen/native/stack_protection.h"
#include "codegen/native/target.h"
#include "codegen/native/vcode.h"
#include "codegen/x86_64/abi.h"
#include "codegen/x86_64/mir.h"
#include "codegen/x86_64/mir_writer.h"

namespace lode::codegen {
struct DivisionPlan;
}

namespace lode::x86_64 {

using AirOp = air::Op;
using air::BlockId;
using air::TypeId;
using air::TypeTable;
using air::ValueId;
using codegen::Operand;
using codegen::Reg;
using codegen::RegClass;
using codegen::Role;

// A VInst's op: the Op in the low 12 bits, a condition code in the top 4. Pseudo instructions, which only the finaliser
// knows:
enum Pseudo : uint16_t {
  pseudo_first = 0xe00,
  p_copy = pseudo_first,  // {def, use}
  p_parallel_copy,
  p_constant,       // {def}; a = index in immediates_: mov, or xor where flags are dead
  p_zero_fp,        // {def}: xorps with itself
  p_indirect_jump,  // {use}, or the registers of memory operand b; a = index in tables_: the possible targets
  p_thunk_jump,     // {use r11}: a = index in tables_, b = reference of the thunk that jumps to r11
  p_jump,           // a = target block
  p_branch,         // condition in the op; a = block if true, b = block if false
  p_branch_oeq,     // ZF && !PF;   a, b
  p_branch_une,     // !ZF || PF;   a, b
  p_jump_table,     // {use index, def_early scratch}; a = index in tables_
  p_return,
  p_tail_call,       // a = reference index; or {use} register when b = 1
  p_sub_rsp,         // {use}: rsp -= operand
  p_probed_sub_rsp,  // {use, def_early scratch}: the same, rounded down by the mask a (0: not), touching what is passed
  p_mov_from_rsp,    // {def}
  p_mov_to_rsp,      // {use}
  p_outgoing_end,    // {def}: rsp + size of the outgoing area: where a dynamic alloca starts
  p_and_rsp,         // a = mask
  p_label_address,   // {def}: a = block
  p_inline_asm,      // a = index in asms_
  p_nothing,         // keeps operands alive, issues nothing
  p_unreachable,     // ends a block without code
  p_frame_address,   // {def}: the frame pointer
  p_setjmp,          // {def_early result, use buffer}: eh_sjlj_setjmp
  p_longjmp,         // {use buffer, def_early scratch}: eh_sjlj_longjmp
  p_check_type,      // {use r11, def r10}; a = type id that the code at r11 must have
  p_invoke,          // directly behind an invoke's call: a = landing pad's block, b = action
  pseudo_end,
};
inline constexpr uint16_t op_mask = 0xfff;
// In the place of a call's condition: it may throw, and the function has an exception table.
inline constexpr uint16_t may_throw = 1 << 12;
// Likewise: control may come back another time, by an indirect branch; the target of an indirect call need not be
// marked.
inline constexpr uint16_t returns_again = 2 << 12, unmarked_target = 4 << 12;
static_assert(op_count <= pseudo_first);

// A memory operand with VCode registers; the finaliser makes a Mem of it.
struct VMem {
  Mem::Kind kind = Mem::Kind::base;
  uint8_t scale_log2 = 0, segment = 0;
  bool has_base = false, has_index = false;
  Reg base{}, index{};
  int32_t disp = 0;
  uint32_t id = 0;  // slot, reference or offset in the constants
};

struct JumpTable {
  uint32_t first = 0, count = 0;  // block numbers in table_targets_
};

struct SlotForm;
struct AsmStatement;
struct AsmUse;  // an inline assembly statement with its operands: select_asm.cpp

class Selector : public codegen::LowerScratch {
 public:
  Selector();
  ~Selector() override;
  Result<void> run(air::Function& fn, const codegen::LowerContext& context, mir::FunctionDraft& out);

 private:
  friend class Finalizer;

  // ---- the frame of the walk (select.cpp)
  void prepare();
  void select_block(uint32_t block);
  void select_inst(const air::Inst& i);
  void assemble_blocks();
  void flush();          // moves cur_ to the block's buffer, reversed
  uint32_t next_epoch(uint32_t inst) const;
  bool ends_protected(const air::Inst& i, size_t selected_before);
  void check_canary(uint32_t block);
  void fill_canary_failure();
  VMem canary_source();
  void fail(const char* what);   // the function cannot be compiled; the first reason counts

  // ---- emission into cur_, in execution order
  void emit(unsigned op, std::initializer_list<Operand> ops, uint32_t a = 0, uint8_t flags = 0, uint8_t clobbers = 0);
  void emit_mem(unsigned op, std::initializer_list<Operand> ops, const VMem& mem, uint32_t a = 0, uint8_t flags = 0,
                uint8_t clobbers = 0);
  void emit_imm(unsigned op, std::initializer_list<Operand> ops, int32_t imm) { emit(op, ops, uint32_t(imm)); }
  void emit_list(unsigned op, const std::vector<Operand>& ops, uint32_t a, uint32_t b, uint8_t flags, uint8_t clobbers);
  static unsigned with_cond(Op op, Cond c) { return unsigned(op) | unsigned(c) << 12; }
  Reg gp(unsigned bytes) { return vcode_.new_vreg(RegClass::gp, bytes); }
  Reg fp(unsigned bytes) {
    if (!has_sse_) fail("floating point in a function compiled without SSE");
    return vcode_.new_vreg(RegClass::fp, bytes);
  }
  void copy(Reg dst, Reg src) { emit(p_copy, {def(dst), use(src)}, 0, codegen::vflags::copy); }
  static Operand use(Reg r) { return Operand::make(r, Role::use); }
  static Operand late(Reg r) { return Operand::make(r, Role::use_late); }
  static Operand def(Reg r) { return Operand::make(r, Role::def); }
  static Operand def_early(Reg r) { return Operand::make(r, Role::def_early); }
  static Operand mod(Reg r) { return Operand::make(r, Role::mod); }
  // A use (mod) that may stay in its spill slot when that slot holds all `bytes` that the instruction reads.
  Operand use_slot(Reg r, unsigned bytes) const { return Operand::make(r, Role::use, fits_slot(r, bytes)); }
  Operand mod_slot(Reg r, unsigned bytes) const { return Operand::make(r, Role::mod, fits_slot(r, bytes)); }
  Operand def_slot(Reg r, unsigned bytes) const { return Operand::make(r, Role::def, fits_slot(r, bytes)); }
  bool fits_slot(Reg r, unsigned bytes) const { return r.is_virtual() && vcode_.vregs[r.index()].bytes >= bytes; }

  // ---- values (select_value.cpp)
  const air::Inst* def_of(ValueId v) const {
    const air::Value& x = fn_->values[v.value];
    return x.kind() == air::ValueKind::Inst ? &fn_->insts[x.index()] : nullptr;
  }
  TypeId type_of(ValueId v) const { return fn_->values[v.value].type; }
  bool single_use(ValueId v) const { return uses_[v.value] == 1; }
  bool dies_here(ValueId v) const;             // nobody later (in selection order) has asked for it
  unsigned bits_of(TypeId t) const;            // 1 8 16 32 64 for integers and pointers
  static bool is_fp(TypeId t) {
    return t == TypeTable::f32 || t == TypeTable::f64 || t == TypeTable::f128 || t == TypeTable::v128 ||
           t == TypeTable::f16 || t == TypeTable::bf16;
  }
  ValueId alias_of(ValueId v) const;           // the value whose register v shares
  bool is_wanted(ValueId v) const;             // somebody has asked for the register, the slot or a leaf of v
  Reg leaf_reg(ValueId aggregate, uint32_t leaf);
  Reg new_reg(TypeId t);
  Reg widen(Reg r);
  void extend_into(Reg dst, ValueId v, bool is_signed, unsigned to_bits);
  void constant_into(Reg r, uint64_t value);
  void store_f80(ValueId v);                   // pop the x87 stack into v's slot
  bool int_constant(ValueId v, int64_t& out) const;   // sign-extended from its width; an i1 is 0 or 1
  bool imm32(ValueId v, int32_t& out) const;
  Reg reg_of(ValueId v);                       // the register that holds v; constants are materialised
  Reg result_reg(ValueId v);                   // of the instruction being selected
  Reg zero_extended(ValueId v, unsigned to_bits);  // gp register with v's value zero-extended to 32 or 64 bits
  Reg sign_extended(ValueId v, unsigned to_bits);
  bool known_zero_upper(ValueId v) const;      // the register of the i32 v has a zero upper half
  Reg constant_reg(uint64_t value, unsigned bits);
  Reg float_constant(uint64_t bits, unsigned bytes);
  ValueId f80_source(ValueId v) const;
  uint32_t f80_slot(ValueId v);                // the frame slot where the f80 value v lives (made when asked for)
  void load_f80(ValueId v);                    // push on the x87 stack
  uint32_t new_slot(uint64_t size, unsigned align_log2, codegen::SlotZone zone = codegen::SlotZone::rest);

  // ---- addresses and memory (select_memory.cpp)
  VMem address(ValueId pointer, int64_t disp = 0);
  bool address_into(ValueId pointer, VMem& m, int64_t disp, unsigned depth);
  bool add_index(VMem& m, ValueId index, int64_t scale, int64_t& disp);
  VMem slot_mem(uint32_t slot, int32_t disp = 0) const;
  VMem reg_mem(Reg base, int32_t disp = 0) const;
  VMem constants_mem(uint32_t offset) const;
  VMem offset(const VMem& m, int32_t by);
  Reg symbol_address(const air::Constant& c);
  bool symbol_is_direct(const air::Constant& c) const;
  bool reaches_directly(const air::Constant& c) const;
  Reg plus_constant(Reg r, int64_t addend);
  uint32_t reference(const air::Constant& c, mir::ReferenceKind kind, int64_t addend);
  void lea(Reg dst, const VMem& m);
  bool can_fold_load(ValueId v, unsigned bits) const;
  VMem fold_load(ValueId v) { return address(def_of(v)->va()); }
  void select_load(const air::Inst& i);
  void select_store(const air::Inst& i);
  bool store_in_place(const air::Inst& i, unsigned bits);
  void select_block_memory(const air::Inst& i);
  void copy_block(const VMem& dst, const VMem& src, uint64_t size);
  void fill_block(const VMem& dst, uint64_t size, uint8_t byte);
  void select_atomic(const air::Inst& i);
  void select_cmpxchg(const air::Inst& i);
  void select_alloca(const air::Inst& i);
  void select_ptr_add(const air::Inst& i);
  void load_reg(Reg dst, TypeId type, const VMem& m);
  void store_reg(const VMem& m, TypeId type, Reg src);

  // ---- integers (select_int.cpp)
  void select_binary(const air::Inst& i);
  void select_shift(const air::Inst& i);
  void select_mulh(const air::Inst& i);
  void select_overflow(const air::Inst& i);
  void select_bits(const air::Inst& i);
  void select_rotate(const air::Inst& i);
  void select_minmax(const air::Inst& i);
  void select_extend(const air::Inst& i);
  void select_trunc(const air::Inst& i);
  void select_copy(const air::Inst& i);
  void select_bitcast(const air::Inst& i);
  void two_address(const Op* rr, const Op* ri, const Op* rm, unsigned bits, Reg dst, ValueId a, ValueId b,
                   bool commutes);
  Reg high_product(Reg a, Reg b, bool is_signed);
  void normalize_i1(Reg r);

  // ---- division (select_divide.cpp)
  void select_divide(const air::Inst& i);
  bool divide_by_constant(const air::Inst& i);
  void divide_unsigned_by_power(const codegen::DivisionPlan& plan, bool remainder, Reg dst, Reg n);
  void divide_signed_by_power(const codegen::DivisionPlan& plan, bool remainder, Reg dst, Reg n);
  Reg signed_quotient(const codegen::DivisionPlan& plan, Reg n);
  Reg unsigned_quotient(const codegen::DivisionPlan& plan, Reg n);
  void remainder_of(unsigned width, int64_t divisor, Reg dst, Reg n, Reg q);
  void change(const Op* ri, unsigned width, Reg r, int32_t imm);
  void change(const Op* rr, unsigned width, Reg r, Reg by);
  void negate(unsigned width, Reg r);

  // ---- comparisons, selects, branches (select_control.cpp)
  struct Flags {
    Cond cond = Cond::e;
    uint8_t extra = 0;  // 0: cond alone; 1: ZF && !PF (oeq); 2: !ZF || PF (une); 3: always; 4: never
  };
  Flags compare(ValueId cond);  // sets the flags for an i1 value, folding the comparison when it can
  Flags compare_plain(ValueId cond);                   // one that is no negation
  Flags compare_int(const air::Inst& i);
  Flags compare_float(const air::Inst& i);
  void select_compare(const air::Inst& i);
  void select_select(const air::Inst& i);
  void set_from_flags(Reg dst, Flags f);
  void select_branch(const air::Inst& i);
  void select_switch(const air::Inst& i);
  struct Case {
    int64_t value;
    uint32_t target;
  };
  struct Run {
    uint32_t first, last;  // in cases_
  };
  void switch_tree(Reg value, unsigned bits, size_t first, size_t last, uint32_t fallback, bool low_open,
                   bool high_open);
  static Flags inverted(Flags f);
  void branch(Flags f, uint32_t if_true, uint32_t if_false);
  bool short_circuit(ValueId cond, uint32_t if_true, uint32_t if_false, unsigned depth);
  bool param_wanted(uint32_t block, ValueId param);
  bool edge_has_copies(uint32_t edge);
  void match_bytes(Reg dst, Reg src);
  template <class F>
  void fill_made(uint32_t block, F&& body);
  uint32_t edge_block(uint32_t edge);  // the VBlock an edge leads to: its target, or a new block with the copies
  void edge_copies(uint32_t edge, bool through_slots = false);
  uint32_t new_block(float frequency, uint32_t behind = ~0u);  // laid out behind that AIR block; ~0: the one at hand
  uint32_t runtime_reference(air::RuntimeFunction f);
  void select_return(const air::Inst& i);
  void prepare_indirect_branches();
  void select_indirect_branch(const air::Inst& i);
  void fill_shared_landings();
  // The VBlock that the address of an AIR block stands for.
  uint32_t landing(uint32_t block) const { return landing_.empty() ? block : landing_[block]; }
  // Indirect branches may only arrive at marked places (IBT).
  bool marks_targets() const { return module_->requests.branch_targets || context_->options.branch_targets; }
  MirWriter::Entry entry_surroundings();

  // ---- floating point (select_float.cpp)
  void select_float(const air::Inst& i);
  void select_convert(const air::Inst& i);
  void select_f80(const air::Inst& i);
  void select_simd(const air::Inst& i);                // select_simd.cpp
  bool folds_vector(ValueId v) const;
  VMem vector_memory(ValueId v);
  void truncate_x87(uint32_t slot, unsigned bits);
  void float_binary(const air::Inst& i, Op rr32, Op rm32, Op rr64, Op rm64);
  Reg float_reg(ValueId v) { return reg_of(v); }

  // ---- exceptions (select_invoke.cpp)
  void prepare_exceptions();
  uint32_t typeinfo(ValueId v);                        // its number in the exception table
  void select_landing_pad(const air::Inst& i);
  void copy_landing_pad(ValueId value);
  uint32_t unwind_block(uint32_t edge);
  void want_arguments(uint32_t edge);

  // ---- calls and the entry (select_call.cpp)
  void select_entry();
  void select_call(const air::Inst& i);
  void copy_structure(const VMem& to, const VMem& from, uint64_t size);
  void copy_results(const air::Inst& i, const air::CallSite& site, const std::vector<ResultPlace>& places,
                    const std::vector<TypeId>& types);
  void select_va_start(const air::Inst& i);
  void store_variadic_arguments();
  Reg address_of_copy(ValueId v, const air::ParamAttr& attr);
  void call_runtime(air::RuntimeFunction f, std::initializer_list<Reg> gp_args, std::initializer_list<Reg> fp_args,
                    Reg result);
  void select_asm(const air::Inst& i);
  void store_part(const VMem& m, TypeId type, Reg r, uint32_t bytes);
  bool asm_operands_fit(const AsmStatement& s, const air::CallSite& site, std::span<const TypeId> results) const;
  bool copy_asm_memory(const VMem& to, const VMem& from, uint32_t bytes);
  bool lay_out_entry();
  bool is_tail_call(uint32_t call, const air::Inst& ret);
  const Convention& convention_of_call(const air::CallSite& site) const;
  uint32_t indirect_thunk();
  // psABI pages; steps are multiples of the stack's alignment that fit an immediate.
  uint32_t probe_interval() const { return std::clamp<uint32_t>(fn_->requests.probe_size & ~15u, 16, 1u << 30); }
  uint32_t probe_reference() {
    return writer_->add_reference(context_->symbols[fn_->requests.probe_symbol.value], 0, mir::ReferenceKind::call);
  }
  bool callee_unprototyped(const air::CallSite& site) const;
  Reg frame_of(uint32_t level);
  std::string check_widths() const;  // check_widths.cpp
  Result<void> emit_asm(uint32_t index, const codegen::Location* at);
  static Mem physical(const VMem& m, const codegen::Location* regs);
  void select_misc(const air::Inst& i);
  void select_setjmp(const air::Inst& i);

  const SlotForm* slot_forms_;
  air::Function* fn_ = nullptr;
  const air::Module* module_ = nullptr;
  const codegen::LowerContext* context_ = nullptr;
  mir::FunctionDraft* draft_ = nullptr;
  std::optional<MirWriter> writer_;
  codegen::VCode vcode_;
  codegen::RegisterAllocator allocator_;
  codegen::Allocation allocation_;
  codegen::CfgAnalysis flow_;
  codegen::SlotSharing sharing_;
  codegen::StackProtection protection_;

  // per function
  std::vector<uint32_t> uses_;        // by value: number of uses
  std::vector<Reg> reg_;              // by value: its register, once asked for
  std::vector<uint32_t> f80_;         // by value: slot + 1
  std::vector<uint32_t> epoch_;       // by instruction: memory effects before it in its block
  std::vector<uint32_t> block_of_;    // by instruction
  std::vector<codegen::VInst> buffer_;     // selected instructions, each block backwards
  std::vector<codegen::VInst> cur_;        // of the AIR instruction at hand
  std::vector<VMem> mems_;
  std::vector<uint64_t> immediates_;
  std::vector<JumpTable> tables_;
  std::vector<uint32_t> table_targets_;
  std::vector<Operand> ops_;          // scratch list
  struct Pending {                    // VBlocks in order of creation: AIR blocks first, then made ones
    uint32_t begin = 0, end = 0;      // AIR block: in buffer_, backwards; made block: in made_, forwards
    float frequency = 1;
    uint32_t first_made = ~0u, last_made = ~0u, next_made = ~0u;  // made blocks laid out behind this one
  };
  struct Leaf {
    TypeId type;
    Reg reg;
    uint32_t slot = 0;  // f80: slot + 1
  };
  struct Pad {                        // an AIR block as the target of edges
    bool unwind = false, normal = false;
    bool copies = false;              // it has parameters: the edges' blocks take exception and selector
    uint32_t action = 0;
    ValueId value;                    // of its landing_pad
  };
  std::vector<Pad> pads_;             // by AIR block; empty in functions without exceptions
  codegen::ExceptionActions exceptions_;
  uint32_t personality_ = ~0u;        // reference; ~0: the function has no exception table
  std::vector<Pending> pending_;
  std::vector<codegen::VInst> made_;
  std::vector<codegen::VInst> spare_;
  std::vector<uint32_t> layout_;
  // By AIR block, when there are indirect branches:
  std::vector<uint32_t> landing_;       // where they arrive: the block itself, or a block that gives it its parameters
  std::vector<uint32_t> param_slot_;    // several of them reach it: first slot of its parameters; else ~0
  std::vector<uint32_t> indirect_seen_; // the last of them that listed it
  std::vector<uint32_t> x87_slots_, x87_spare_;
  std::vector<uint32_t> thread_;        // the finaliser's
  std::vector<Label> table_labels_;
  std::vector<Case> cases_;
  std::vector<Run> runs_;
  std::vector<uint32_t> leaf_first_;  // by value of several leaves: offset in leaves_
  std::vector<Leaf> leaves_;
  std::vector<TypeId> leaf_types_;
  std::vector<uint32_t> final_number_;  // by pending block
  std::vector<uint32_t> slots_;         // MIR slot of each AIR stack slot
  std::vector<std::unique_ptr<AsmUse>> asms_;
  uint32_t asm_registers_ = 0;        // general registers that inline assembly names
  uint32_t cur_inst_ = 0, cur_block_ = 0;
  uint32_t outgoing_bytes_ = 0;
  bool has_calls_ = false, dynamic_frame_ = false, calls_setjmp_ = false;
  bool has_sse_ = true,
       implicit_sse_ = true;          // implicit: SSE registers may serve where the code names no floating point
  uint32_t canary_slot_ = ~0u;        // the function has a stack protector
  uint32_t canary_failure_ = ~0u;     // the VBlock that reports the damage
  uint32_t vararg_slot_ = ~0u;
  bool frame_pointer_ = false;        // __builtin_frame_address and its like
  bool builtin_setjmp_ = false;       // eh_sjlj_setjmp
  bool returns_rcx_ = false;          // some return hands a value back in rcx
  const Convention* convention_ = nullptr;  // of the function
  uint32_t max_dynamic_align_ = 16;
  unsigned max_slot_align_log2_ = 0;
  uint32_t tail_call_ = ~0u;          // the call instruction that becomes a jump
  ValueId sret_param_;
  ArgumentLayout entry_, call_layout_;
  std::vector<TypeId> arg_types_;
  std::vector<ResultPlace> result_places_;
  std::vector<Operand> copies_;
  std::string failure_;
};

// Runs `body` with cur_ collecting the instructions of a made block, which become its contents.
template <class F>
void Selector::fill_made(uint32_t block, F&& body) {
  std::vector<codegen::VInst> saved = std::move(cur_);
  cur_ = std::move(spare_);
  cur_.clear();
  body();
  std::vector<codegen::VInst> mine = std::move(cur_);
  cur_ = std::move(saved);
  pending_[block].begin = uint32_t(made_.size());
  made_.insert(made_.end(), mine.begin(), mine.end());
  pending_[block].end = uint32_t(made_.size());
  spare_ = std::move(mine);
}

}  // namespace lode::x86_64
