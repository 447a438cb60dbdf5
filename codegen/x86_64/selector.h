// Instruction selection for x86_64: legal AIR -> VCode.
//
// codegen/native/selection.h walks the function and keeps the values; here are the instructions.
//
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
#include "codegen/air/simd.h"
#include "codegen/native/selection.h"
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
using codegen::op_mask;
using codegen::may_throw;
using codegen::returns_again;
using codegen::unmarked_target;

using enum codegen::Pseudo;

// x86_64's own pseudo instructions. Of the others p_tail_call has a = reference index, or {use} register when b = 1;
// p_indirect_jump {use}, or the registers of memory operand b; p_jump_table {mod index, def_early scratch}.
enum MachinePseudo : uint16_t {
  p_constant = machine_pseudo_first,  // {def}; a = index in immediates_: mov, or xor where flags are dead
  p_zero_fp,         // {def}: xorps with itself
  p_thunk_jump,      // {use r11}: a = index in tables_, b = reference of the thunk that jumps to r11
  p_branch,          // condition in the op; a = block if true, b = block if false
  p_branch_oeq,      // ZF && !PF;   a, b
  p_branch_une,      // !ZF || PF;   a, b
  p_sub_rsp,         // {use}: rsp -= operand
  p_probed_sub_rsp,  // {use, def_early scratch}: the same, rounded down by the mask a (0: not), touching what is passed
  p_mov_from_rsp,    // {def}
  p_mov_to_rsp,      // {use}
  p_outgoing_end,    // {def}: rsp + size of the outgoing area: where a dynamic alloca starts
  p_and_rsp,         // a = mask
  p_inline_asm,      // a = index in asms_
  p_frame_address,   // {def}: the frame pointer
  p_setjmp,          // {def_early result, use buffer}: eh_sjlj_setjmp
  p_longjmp,         // {use buffer, def_early scratch}: eh_sjlj_longjmp
  p_clear_uppers,    // vzeroupper
  p_check_type,      // {use r11, def r10}; a = type id that the code at r11 must have
};
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

struct SlotForm;
struct AsmStatement;
struct AsmUse;  // an inline assembly statement with its operands: select_asm.cpp

constexpr uint32_t fp_base = 32;  // xmm0 as a Reg

// Memory at a distance from something that is no register.
inline VMem plain(Mem::Kind kind, int32_t disp) {
  VMem m;
  m.kind = kind;
  m.disp = disp;
  return m;
}

class Selector : public codegen::Selection<Selector, MirWriter> {
 public:
  Selector();
  ~Selector() override;

 private:
  friend class Finalizer;
  friend class codegen::Selection<Selector, MirWriter>;

  // ---- what Selection asks for (codegen/native/selection.h)
  const air::LegalizeOptions& legalize_options() const;
  static bool is_fp(TypeId t) {
    return t == TypeTable::f32 || t == TypeTable::f64 || t == TypeTable::f128 || air::is_simd(t) ||
           t == TypeTable::f16 || t == TypeTable::bf16;
  }
  static bool lives_in_slot(TypeId t) { return t == TypeTable::f80; }
  static constexpr Reg exception_register{reg::rax}, selector_register{reg::rdx};
  static bool branches_both_ways(unsigned op) { return op >= p_branch && op <= p_branch_une; }
  static bool jumps_by_table(unsigned op) { return op == p_thunk_jump; }
  void reset();
  bool incoming_place(uint32_t value, uint64_t& offset) const {
    const air::Block& entry = fn_->blocks[0];
    if (value < entry.first_param || value - entry.first_param >= entry.param_count) return false;
    const ArgumentPlace& place = entry_.places[value - entry.first_param];
    offset = place.offset;
    return place.kind == ArgumentPlace::byval;
  }
  bool lay_out_entry();
  void select_entry();
  void select_inst(const air::Inst& i);
  Result<void> finish(mir::FunctionDraft& out);
  Reg new_reg(TypeId t);
  Reg constant_value(const air::Constant& c);
  void read_for_edge(ValueId param, ValueId arg);
  void write_for_edge();
  void want_slot(ValueId v) { f80_slot(v); }
  void load_from_slot(Reg r, TypeId type, uint32_t slot) { load_reg(r, type, slot_mem(slot)); }
  void store_to_slot(uint32_t slot, TypeId type, Reg r) { store_reg(slot_mem(slot), type, r); }
  void branch_if(ValueId cond, uint32_t if_true, uint32_t if_false) { branch(compare(cond), if_true, if_false); }
  Reg switch_value(ValueId v, unsigned bits) { return bits < 32 ? sign_extended(v, 32) : reg_of(v); }
  void compare_with(Reg value, unsigned bits, int64_t c);
  void switch_equal(Reg value, unsigned bits, int64_t c, uint32_t then, uint32_t otherwise);
  void switch_less(Reg value, unsigned bits, int64_t c, uint32_t then, uint32_t otherwise);
  Reg switch_index(Reg value, unsigned bits, int64_t low);
  void switch_within(Reg index, unsigned bits, uint64_t size, uint32_t then, uint32_t otherwise);
  void jump_by_table(Reg index, uint32_t table);
  void indirect_jump(const air::Inst& i, uint32_t table);
  void branch_if_canary_damaged(uint32_t then, uint32_t otherwise);
  void call_runtime(air::RuntimeFunction f, std::initializer_list<Reg> gp_args, std::initializer_list<Reg> fp_args,
                    Reg result);
  VMem canary_source();

  // ---- emission into cur_, in execution order
  void emit(unsigned op, std::initializer_list<Operand> ops, uint32_t a = 0, uint8_t flags = 0, uint8_t clobbers = 0);
  void emit_mem(unsigned op, std::initializer_list<Operand> ops, const VMem& mem, uint32_t a = 0, uint8_t flags = 0,
                uint8_t clobbers = 0);
  void emit_imm(unsigned op, std::initializer_list<Operand> ops, int32_t imm) { emit(op, ops, uint32_t(imm)); }
  static unsigned with_cond(Op op, Cond c) { return unsigned(op) | unsigned(c) << 12; }
  Reg fp(unsigned bytes) {
    if (!has_sse_) fail("floating point in a function compiled without SSE");
    return vcode_.new_vreg(RegClass::fp, bytes);
  }
  // A use (mod) that may stay in its spill slot when that slot holds all `bytes` that the instruction reads.
  Operand use_slot(Reg r, unsigned bytes) const { return Operand::make(r, Role::use, fits_slot(r, bytes)); }
  Operand mod_slot(Reg r, unsigned bytes) const { return Operand::make(r, Role::mod, fits_slot(r, bytes)); }
  bool fits_slot(Reg r, unsigned bytes) const { return r.is_virtual() && vcode_.vregs[r.index()].bytes >= bytes; }

  // ---- values (select_value.cpp)
  Reg widen(Reg r);
  void extend_into(Reg dst, ValueId v, bool is_signed, unsigned to_bits);
  void constant_into(Reg r, uint64_t value);
  void store_f80(ValueId v);                   // pop the x87 stack into v's slot
  bool imm32(ValueId v, int32_t& out) const;
  Reg zero_extended(ValueId v, unsigned to_bits);  // gp register with v's value zero-extended to 32 or 64 bits
  Reg sign_extended(ValueId v, unsigned to_bits);
  bool known_zero_upper(ValueId v) const;      // the register of the i32 v has a zero upper half
  Reg constant_reg(uint64_t value, unsigned bits);
  Reg float_constant(uint64_t bits, unsigned bytes);
  ValueId f80_source(ValueId v) const;
  uint32_t f80_slot(ValueId v);                // the frame slot where the f80 value v lives (made when asked for)
  void load_f80(ValueId v);                    // push on the x87 stack

  // ---- addresses and memory (select_memory.cpp)
  VMem address(ValueId pointer, int64_t disp = 0);
  bool add_index(VMem& m, ValueId index, int64_t scale, int64_t& disp);
  VMem slot_mem(uint32_t slot, int32_t disp = 0) const;
  VMem reg_mem(Reg base, int32_t disp = 0) const;
  VMem constants_mem(uint32_t offset) const;
  VMem offset(const VMem& m, int32_t by);
  Reg symbol_address(const air::Constant& c);
  Reg plus_constant(Reg r, int64_t addend);
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
  void select_add(const air::Inst& i, unsigned bits, Reg dst);
  bool sum_as_address(const air::Inst& i, unsigned bits, ValueId a, ValueId b, VMem& m);
  void select_sub(const air::Inst& i, unsigned bits, Reg dst);
  void select_and(const air::Inst& i, unsigned bits, Reg dst);
  void select_xor(const air::Inst& i, unsigned bits, Reg dst);
  void select_mul(const air::Inst& i, unsigned bits, Reg dst);
  void multiply_by_constant(ValueId a, int64_t c, unsigned bits, Reg dst);
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
  Flags single_condition(Flags f);
  void select_of_f80(const air::Inst& i);
  void select_of_vectors(const air::Inst& i);
  void select_of_constants(const air::Inst& i, int64_t x, int64_t y, bool wide);
  void set_from_flags(Reg dst, Flags f);
  static Flags inverted(Flags f);
  void branch(Flags f, uint32_t if_true, uint32_t if_false);
  void select_return(const air::Inst& i);

  // ---- floating point (select_float.cpp)
  void select_float(const air::Inst& i);
  void select_convert(const air::Inst& i);
  void select_f80(const air::Inst& i);
  void select_simd(const air::Inst& i);                // select_simd.cpp
  void select_vex_simd(const air::Inst& i);
  void select_simd3(const air::Inst& i);
  void select_fma(const air::Inst& i);
  void select_round(const air::Inst& i);
  bool select_halves(const air::Inst& i);
  bool has(uint32_t features) const { return (fn_->features & features) == features; }
  bool folds_vector(ValueId v) const;
  VMem vector_memory(ValueId v);
  void convert_from_f80(const air::Inst& i);
  void convert_to_f80(const air::Inst& i);
  void convert_float(const air::Inst& i);
  void convert_int_to_f80(const air::Inst& i);
  void convert_int(const air::Inst& i);
  void convert_signed(Reg dst, Reg r, bool wide, bool single);
  void convert_unsigned64_to_f32(const air::Inst& i);
  void convert_unsigned64_to_f64(const air::Inst& i);
  void convert_f80_to_int(const air::Inst& i);
  void convert_f80_to_unsigned64(ValueId x, uint32_t slot, Reg dst);
  void convert_to_int(const air::Inst& i);
  VMem indexed_constant(const uint32_t (&table)[2], Reg index);
  void truncate_x87(uint32_t slot, unsigned bits);
  void float_binary(const air::Inst& i, Op rr32, Op rm32, Op rr64, Op rm64);

  // ---- calls and the entry (select_call.cpp)
  struct Call;
  void select_call(const air::Inst& i);
  ValueId argument(const Call& call, uint32_t k) const;
  bool begin_call(Call& call);
  void copy_structure_arguments(Call& call);
  bool copy_address_arguments(Call& call);
  Reg extended_argument(const Call& call, uint32_t k);
  void stack_arguments(Call& call);
  void put_on_stack(const Call& call, uint32_t k, Reg r);
  void find_callee(Call& call);
  bool late_argument(Call& call, uint32_t k, Reg p);
  void register_arguments(Call& call);
  bool move_arguments(Call& call);
  unsigned unmarked_callee(const Call& call) const;
  bool call_results(const Call& call);
  void emit_call(Call& call);
  void end_invoke(const Call& call);
  void copy_structure(const VMem& to, const VMem& from, uint64_t size);
  void copy_results(const air::Inst& i, const air::CallSite& site, const std::vector<ResultPlace>& places,
                    const std::vector<TypeId>& types);
  void select_va_start(const air::Inst& i);
  void store_variadic_arguments();
  Reg address_of_copy(ValueId v, const air::ParamAttr& attr);

  // ---- inline assembly (select_asm.cpp)
  struct AsmCall;
  static constexpr const char* wide_argument_text = "a vector of 256 bits as an argument on the stack";
  bool refuse(const char* what);  // fail(), and false
  void select_asm(const air::Inst& i);
  bool read_asm(AsmCall& c);
  bool number_asm_inputs(AsmCall& c);
  bool fix_byte_registers(AsmStatement& s);
  void fix_x87_registers(AsmStatement& s);
  uint8_t asm_bytes(TypeId t) const;
  void place_asm_memory(AsmCall& c, size_t k, const VMem& m);
  void same_asm_place(AsmCall& c, size_t k, size_t out);
  bool asm_memory(AsmCall& c, size_t k);
  bool asm_output(AsmCall& c, size_t k);
  bool asm_input(AsmCall& c, size_t k);
  bool asm_tied_input(AsmCall& c, size_t k, size_t out);
  void asm_clobbers(AsmCall& c);
  bool push_asm_inputs(AsmCall& c);
  void asm_results(AsmCall& c);
  void store_part(const VMem& m, TypeId type, Reg r, uint32_t bytes);
  bool asm_operands_fit(const AsmStatement& s, const air::CallSite& site, std::span<const TypeId> results) const;
  bool copy_asm_memory(const VMem& to, const VMem& from, uint32_t bytes);
  bool is_tail_call(uint32_t call, const air::Inst& ret);
  const Convention& convention_of_call(const air::CallSite& site) const;
  uint32_t indirect_thunk();
  bool callee_unprototyped(const air::CallSite& site) const;
  Reg frame_of(uint32_t level);
  std::string check_widths() const;  // check_widths.cpp
  Result<void> emit_asm(uint32_t index, const codegen::Location* at);
  static Mem physical(const VMem& m, const codegen::Location* regs);
  void select_misc(const air::Inst& i);
  void select_setjmp(const air::Inst& i);

  const SlotForm* slot_forms_;

  // per function
  std::vector<VMem> mems_;
  std::vector<uint64_t> immediates_;
  std::vector<uint32_t> x87_slots_, x87_spare_;
  std::vector<std::unique_ptr<AsmUse>> asms_;
  uint32_t asm_registers_ = 0;        // general registers that inline assembly names
  bool has_sse_ = true,
       implicit_sse_ = true;          // implicit: SSE registers may serve where the code names no floating point
  uint32_t vararg_slot_ = ~0u;
  bool avx_ = false,                  // instructions on xmm registers are VEX-encoded
       wide_ = false;                 // there are 256-bit values
  bool returns_rcx_ = false;          // some return hands a value back in rcx
  const Convention* convention_ = nullptr;  // of the function
  ValueId sret_param_;
  ArgumentLayout entry_, call_layout_;
  std::vector<TypeId> arg_types_;
  std::vector<ResultPlace> result_places_;
  std::vector<Operand> copies_;
};

}  // namespace lode::x86_64
