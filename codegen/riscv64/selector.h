// Instruction selection for riscv64: legal AIR -> VCode.
//
// codegen/native/selection.h walks the function and keeps the values; here are the instructions.
//
// Values in registers. f32 and f64 live in floating-point registers, all others in integer ones; an i1 is 0 or 1 in the
// whole register. What lies above an i8, i16 or i32 is garbage unless known_ says otherwise: most 32-bit instructions
// extend the sign of their result, loads and the convention extend too, and comparisons, divisions, shifts right and
// conversions ask for an extension only where nothing is known (select_known.cpp). All integer values are spilled
// whole, so that what is known of a register holds in its home as well.
//
// An operand that is the constant 0 is the zero register. Since the allocator does not know that register, such an
// operand is left out and a mark in the instruction's payload says which one it was (Source).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/air/legalize.h"
#include "codegen/native/selection.h"
#include "codegen/riscv64/abi.h"
#include "codegen/riscv64/mir.h"
#include "codegen/riscv64/mir_writer.h"

namespace lode::codegen {
struct DivisionPlan;
}

namespace lode::riscv64 {

using AirOp = air::Op;
using air::BlockId;
using air::TypeId;
using air::TypeTable;
using air::ValueId;
using codegen::may_throw;
using codegen::op_mask;
using codegen::Operand;
using codegen::Reg;
using codegen::RegClass;
using codegen::Role;

using enum codegen::Pseudo;

// riscv64's own pseudo instructions. Of the others p_tail_call has a = reference index, or {use} register when b = 1;
// p_indirect_jump {use}; p_jump_table {mod index, def_early scratch}. `zero` stands for marks of Source.
enum MachinePseudo : uint16_t {
  p_constant = machine_pseudo_first,  // {def}; a = index in immediates_
  p_zero_fp,       // {def}: +0.0; a = its bytes
  p_float_constant,  // {def}: a = offset in the constants; b = its bytes
  p_branch,        // condition in the op; {use, use}: a = block if true, b = block if false
  p_branch_zero,   // the same with zero as the second operand
  p_zero_branch,   // and as the first
  p_select,        // condition in the op; {mod result, use other, use, use}: other unless it holds; a = zero marks
  p_sub_sp,        // {use}: sp -= operand
  p_probed_sub_sp,  // {use, def_early, def_early}: the same, touching what is passed
  p_and_sp,        // a = log2 of the alignment
  p_mov_from_sp,   // {def}
  p_mov_to_sp,     // {use}
  p_frame_address,  // {def}: s0 as the function has set it
  p_thread_pointer,  // {def}
  p_atomic_loop,   // {def_early old, def_early scratch, use address, use operand, use mask...}: a = index in loops_
  p_inline_asm,    // a = index in asms_
};
static_assert(op_count <= pseudo_first);

// Which sources of an instruction are the zero register, in VInst::a behind the rounding mode or the ordering.
inline constexpr uint32_t first_is_zero = 8, second_is_zero = 16, result_is_zero = 32, mode_mask = 7;

struct Source {
  Reg reg{};
  bool zero = false;
};

// A memory operand with VCode registers; the finaliser makes a Mem of it.
struct VMem {
  Mem::Kind kind = Mem::Kind::base;
  Reg base{};
  bool has_base = false;
  bool zero_value = false;  // of a store
  int32_t disp = 0;
  uint32_t id = 0;  // slot, reference or offset in the constants
};

// A loop around lr and sc.
struct AtomicLoop {
  enum Kind : uint8_t { rmw, compare_exchange } kind = rmw;
  air::RmwOp op = air::RmwOp::xchg;
  bool wide = false;    // 64 bits
  bool masked = false;  // a part of the word: {.., use mask}
  uint8_t lr_mode = 0, sc_mode = 0;
};

struct AsmUse;

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
  static const air::LegalizeOptions& legalize_options();
  static bool is_fp(TypeId t) { return t == TypeTable::f32 || t == TypeTable::f64; }
  static bool lives_in_slot(TypeId) { return false; }
  static constexpr Reg exception_register{reg::a0}, selector_register{reg::a1};
  static bool branches_both_ways(unsigned op) { return op >= p_branch && op <= p_zero_branch; }
  static bool jumps_by_table(unsigned) { return false; }
  void reset();
  bool lay_out_entry();
  void select_entry();
  void select_inst(const air::Inst& i);
  Result<void> finish(mir::FunctionDraft& out);
  Reg new_reg(TypeId t) { return is_fp(t) ? fp(t == TypeTable::f32 ? 4 : 8) : gp(8); }
  Reg constant_value(const air::Constant& c);
  void read_for_edge(ValueId, ValueId) {}
  void write_for_edge() {}
  void want_slot(ValueId) {}
  void load_from_slot(Reg r, TypeId type, uint32_t slot) { load_reg(r, type, slot_mem(slot)); }
  void store_to_slot(uint32_t slot, TypeId type, Reg r) { store_reg(slot_mem(slot), type, r); }
  void branch_if(ValueId cond, uint32_t if_true, uint32_t if_false) { branch(test_of(cond), if_true, if_false); }
  bool switch_is_unsigned(ValueId v) const { return bits_of(type_of(v)) < 64 && known_of(v) == known_zero; }
  Reg switch_value(ValueId v, unsigned) { return switch_is_unsigned(v) ? reg_of(v) : sign_extended(v); }
  void switch_equal(Reg value, unsigned bits, int64_t c, uint32_t then, uint32_t otherwise);
  void switch_less(Reg value, unsigned bits, int64_t c, uint32_t then, uint32_t otherwise);
  Reg switch_index(Reg value, unsigned bits, int64_t low);
  void switch_within(Reg index, unsigned bits, uint64_t size, uint32_t then, uint32_t otherwise);
  void jump_by_table(Reg index, uint32_t table);
  void indirect_jump(const air::Inst& i, uint32_t table);
  void branch_if_canary_damaged(uint32_t then, uint32_t otherwise);
  void call_runtime(air::RuntimeFunction f, std::initializer_list<Reg> gp_args, std::initializer_list<Reg> fp_args,
                    Reg result);

  // ---- emission into cur_, in execution order
  Reg fp(unsigned bytes) { return vcode_.new_vreg(RegClass::fp, bytes); }
  void rr(Op op, Reg dst, Source x, Source y, uint32_t mode = 0);
  void ri(Op op, Reg dst, Reg src, int64_t imm) { push(unsigned(op), {def(dst), use(src)}, uint32_t(int32_t(imm))); }
  void r2(Op op, Reg dst, Reg src, Rounding mode = Rounding::dyn) {
    push(unsigned(op), {def(dst), use(src)}, uint32_t(mode));
  }
  void fff(Op op, Reg dst, Reg x, Reg y) { push(unsigned(op), {def(dst), use(x), use(y)}, uint32_t(Rounding::dyn)); }
  void load_mem(Op op, Reg dst, const VMem& m);
  void store_mem(Op op, Source value, const VMem& m);
  void fence(unsigned before, unsigned after) { push(unsigned(Op::fence), {}, before << 4 | after); }
  bool refuse(const char* what) {
    fail(what);
    return false;
  }

  // ---- what is known of registers (select_known.cpp)
  static constexpr uint8_t known_sign = 1, known_zero = 2;  // extended from the type's width to the whole register
  void find_known();
  uint8_t known_by(const air::Inst& i) const;
  uint8_t known_of(ValueId v) const;
  uint8_t known_leaf(const air::Inst& source, uint32_t leaf) const;

  // ---- values (select_value.cpp)
  Source source(ValueId v);  // zero, or the register
  bool imm12(ValueId v, int64_t& out) const;
  Reg constant_reg(int64_t value);
  void constant_into(Reg r, int64_t value);
  Reg float_constant(uint64_t bits, unsigned bytes);
  Reg sign_extended(ValueId v);  // to the whole register
  Reg zero_extended(ValueId v);
  Source sign_source(ValueId v);
  Source zero_source(ValueId v);
  void extend(Reg dst, Reg src, unsigned bits, bool is_signed);
  void and_low_bits(Reg dst, Reg src, unsigned bits);
  Reg negated(Reg r);

  // ---- addresses and memory (select_memory.cpp)
  VMem address(ValueId pointer, int64_t disp = 0);
  VMem slot_mem(uint32_t slot, int32_t disp = 0) const;
  VMem reg_mem(Reg base, int32_t disp = 0) const;
  VMem offset(const VMem& m, int64_t by);
  Reg symbol_address(const air::Constant& c);
  Reg plus_constant(Reg r, int64_t addend);
  void add_constant(Reg dst, Reg r, int64_t addend);
  void lea(Reg dst, const VMem& m);
  Reg address_reg(ValueId pointer) { return reg_of(pointer); }
  bool can_fold_load(ValueId v) const;
  void load_reg(Reg dst, TypeId type, const VMem& m, bool is_signed = false);
  void store_reg(const VMem& m, TypeId type, Reg src);
  void select_load(const air::Inst& i);
  void select_store(const air::Inst& i);
  void select_ptr_add(const air::Inst& i);
  void select_block_memory(const air::Inst& i);
  void copy_block(const VMem& dst, const VMem& src, uint64_t size, unsigned align);
  void fill_block(const VMem& dst, uint64_t size, uint8_t byte, unsigned align);
  void select_alloca(const air::Inst& i);
  void load_scaled(Reg dst, ValueId index, int64_t scale);

  // ---- atomics (select_atomic.cpp)
  struct Part;  // of a word
  Part part_of_word(ValueId address, unsigned bits);
  void select_rmw(const air::Inst& i);
  void select_narrow_rmw(const air::Inst& i);
  void select_cmpxchg(const air::Inst& i);
  void select_fence(air::AtomicOrdering o);

  // ---- integers (select_int.cpp)
  void select_binary(const air::Inst& i);
  void select_and(const air::Inst& i, Reg dst);
  void select_mul(const air::Inst& i, Reg dst);
  void select_shift(const air::Inst& i);
  void select_rotate(const air::Inst& i);
  void select_overflow(const air::Inst& i);
  void select_bits(const air::Inst& i);
  void count_bits(Reg dst, Reg x);
  void swap_bytes(Reg dst, Reg x, unsigned bits);
  void swap_groups(Reg dst, Reg x, unsigned by, uint64_t mask);
  void select_minmax(const air::Inst& i);
  void select_extend(const air::Inst& i);
  void select_trunc(const air::Inst& i);
  void select_bitcast(const air::Inst& i);
  void select_divide(const air::Inst& i);  // select_divide.cpp
  bool divide_by_constant(const air::Inst& i);
  Reg quotient(const codegen::DivisionPlan& plan, Reg n);

  // ---- comparisons, selects, branches (select_control.cpp)
  struct Test {
    Cond cond = Cond::ne;
    Source x, y;
    enum : uint8_t { compares, always, never } outcome = compares;
  };
  Test test_of(ValueId cond);
  Test test_plain(ValueId cond);
  Test test_int(const air::Inst& i);
  Test test_float(const air::Inst& i);
  static Test inverted(Test t);
  void branch(const Test& t, uint32_t if_true, uint32_t if_false);
  void set_if(Reg dst, const Test& t);
  void set_if_int(Reg dst, const air::Inst& i);
  void select_compare(const air::Inst& i);
  void select_select(const air::Inst& i);
  void choose(Reg dst, Reg if_true, Reg if_false, const Test& t);
  void select_return(const air::Inst& i);

  // ---- floating point (select_float.cpp)
  void select_float(const air::Inst& i);
  void select_convert(const air::Inst& i);
  void convert_to_int(const air::Inst& i);
  void convert_to_int_saturating(const air::Inst& i);
  void convert_from_int(const air::Inst& i);

  // ---- calls and the entry (select_call.cpp, select_entry.cpp)
  struct Call;
  void select_call(const air::Inst& i);
  ValueId argument(const Call& call, uint32_t k) const;
  bool begin_call(Call& call);
  Reg argument_reg(const Call& call, uint32_t k);
  void stack_arguments(Call& call);
  void put_on_stack(const Call& call, uint32_t k, Source r);
  void register_arguments(Call& call);
  bool late_argument(Call& call, uint32_t k, Reg p);
  void move_arguments(Call& call);
  void emit_call(Call& call);
  void end_invoke(const Call& call);
  void copy_results(const air::Inst& i, const air::CallSite& site, const std::vector<uint8_t>& places,
                    const std::vector<TypeId>& types);
  bool is_tail_call(uint32_t call, const air::Inst& ret);
  void select_va_start(const air::Inst& i);
  void select_misc(const air::Inst& i);
  void move_bits(Reg dst, Reg src, TypeId type);  // between the two classes of registers
  Reg frame_of(uint32_t level);
  Reg canary_address();

  // ---- inline assembly (select_asm.cpp)
  void select_asm(const air::Inst& i);
  void clobber_registers(uint64_t clobbers, std::vector<Operand>& ops);
  Result<void> emit_asm(uint32_t index, const codegen::Location* at);

  // per function
  std::vector<VMem> mems_;
  std::vector<int64_t> immediates_;
  std::vector<AtomicLoop> loops_;
  std::vector<uint8_t> known_;  // by value
  std::vector<std::unique_ptr<AsmUse>> asms_;
  uint64_t asm_registers_ = 0;  // that inline assembly names
  bool stores_variadic_ = false;
  ArgumentLayout entry_, call_layout_;
  std::vector<TypeId> arg_types_;
  std::vector<uint8_t> result_places_;
  std::vector<Operand> copies_;
};

}  // namespace lode::riscv64
