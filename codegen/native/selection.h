// Instruction selection as native machines share it: the walk over a legal function, what values live in, edges and
// their copies, landing pads, canaries, and the assembly of VCode in layout order. A machine derives from Selection
// (CRTP: what is called for each instruction or edge is no virtual call) and adds the instructions.
//
// Each block is walked backwards, so that a use is seen before its definition fixes a form: an instruction whose result
// nobody has asked for (and that has no effect) costs nothing; a load, an address computation, a comparison or a
// constant that its only reader can absorb is never issued by itself. Blocks are processed in reverse post-order
// backwards, so every use of a value has been met before its definition: dead code falls away by itself.
//
// Values in registers: i8, i16 and i32 occupy the low bits, what lies above is garbage; i1 is 0 or 1 in the low byte.
// Types for which the machine says lives_in_slot() have a place in the frame and pass through registers only within one
// operation.
//
// Edges: an edge with arguments gets a block of its own for the copies unless its block has only that way out; the
// finaliser threads jumps through such blocks when coalescing has left them empty. The edges of an indirect branch
// cannot be split where they begin, but where they end: see "indirect branches" in selection_impl.h.
//
// What the machine M has besides the instructions (select_inst), which are all its own:
//   static legalize_options()            what AIR it accepts
//   static is_fp(type), lives_in_slot(type)
//   static exception_register, selector_register    where the unwinder leaves the two (Reg)
//   static branches_both_ways(op), jumps_by_table(op)   of its own pseudo instructions: targets are a and b; those of
//                                        table a
//   reset(), lay_out_entry()             before a function: its own state; where arguments are (false: too many)
//   select_entry()                       the copies of arguments to parameters, the canary's store
//   finish(draft)                        allocation and MIR
//   new_reg(type), constant_value(constant)
//   read_for_edge(parameter, argument), write_for_edge()    copies of what lives in slots: all are read before any is
//                                        written; want_slot(value): something will read it
//   load_from_slot(reg, type, slot), store_to_slot(slot, type, reg)
//   branch_if(condition, if_true, if_false)   block numbers
//   switch_value(value, bits), switch_equal(value, bits, c, then, else), switch_less(...), switch_index(value, bits,
//   low), switch_within(index, bits, size, then, else), jump_by_table(index, table)   see switch_plan.h; bits: 32 or 64
//   switch_is_unsigned(value)            switch_value() gives a narrow value with zeroes above it, so that its cases
//                                        are unsigned numbers (the default: the sign is extended)
//   indirect_jump(inst, table)
//   incoming_place(value, offset)        where in the incoming stack arguments the memory is that a parameter, a
//                                        structure passed by value, is the address of; false: nowhere (the default)
//   branch_if_canary_damaged(then, else), call_runtime(function, integer arguments, others, result)
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "codegen/air/air.h"
#include "codegen/air/legalize.h"
#include "codegen/native/analysis.h"
#include "codegen/native/debug_values.h"
#include "codegen/native/exception_table.h"
#include "codegen/native/mir_writer.h"
#include "codegen/native/regalloc.h"
#include "codegen/native/slot_sharing.h"
#include "codegen/native/stack_protection.h"
#include "codegen/native/switch_plan.h"
#include "codegen/native/target.h"
#include "codegen/native/vcode.h"

namespace lode::codegen {

// A VInst's op: the machine's instruction in the low 12 bits, a condition or marks in the top 4. Pseudo instructions,
// which only finalisers know, come last; the machine's own follow those that all machines have.
inline constexpr uint16_t op_mask = 0xfff;
enum Pseudo : uint16_t {
  pseudo_first = 0xe00,
  p_copy = pseudo_first,  // {def, use}
  p_parallel_copy,
  p_nothing,        // keeps operands alive, issues nothing
  p_unreachable,    // ends a block without code
  p_jump,           // a = target block
  p_jump_table,     // {index, scratch}; a = index in tables_
  p_indirect_jump,  // the registers of the address; a = index in tables_: the possible targets
  p_label_address,  // {def}: a = block
  p_invoke,         // directly behind an invoke's call: a = landing pad's block, b = action
  p_return,
  p_tail_call,
  machine_pseudo_first,
};
// In the place of a call's condition: it may throw, and the function has an exception table.
inline constexpr uint16_t may_throw = 1 << 12;
// Likewise: control may come back another time, by an indirect branch; the target of an indirect call need not be
// marked.
inline constexpr uint16_t returns_again = 2 << 12, unmarked_target = 4 << 12;

struct JumpTable {
  uint32_t first = 0, count = 0;  // block numbers in table_targets_
};

// By value: its uses. By instruction: the memory effects in front of it in its block, and its block.
void count_uses(const air::Function& f, std::vector<uint32_t>& uses, std::vector<uint32_t>& epochs,
                std::vector<uint32_t>& block_of);

// `Writer` writes the machine's MIR: it derives from MirWriter (codegen/native/mir_writer.h).
template <class Machine, class Writer>
class Selection : public LowerScratch {
 public:
  Result<void> run(air::Function& fn, const LowerContext& context, mir::FunctionDraft& out);

 protected:
  template <class F, class S>
  friend class Finalization;

  using ValueId = air::ValueId;
  using TypeId = air::TypeId;
  using TypeTable = air::TypeTable;

  Machine& machine() { return static_cast<Machine&>(*this); }
  const Machine& machine() const { return static_cast<const Machine&>(*this); }

  bool incoming_place(uint32_t, uint64_t&) const { return false; }
  bool switch_is_unsigned(ValueId) const { return false; }
  bool find_incoming(uint32_t value, uint64_t& offset) const { return machine().incoming_place(value, offset); }

  // ---- the walk
  void prepare();
  void place_slots();
  void select_block(uint32_t block);
  void assemble_blocks();
  void resolve_targets(VInst& v, uint32_t first_successor);
  void flush();  // moves cur_ to the block's buffer, reversed
  uint32_t next_epoch(uint32_t inst) const;
  void fail(const char* what);  // the function cannot be compiled; the first reason counts

  // ---- emission into cur_, in execution order
  void push(unsigned op, std::initializer_list<Operand> ops, uint32_t a = 0, uint8_t flags = 0, uint8_t clobbers = 0) {
    append(op, ops, a, flags, clobbers);
  }
  // The same for the machine's own emit().
  [[gnu::always_inline]] VInst& append(unsigned op, std::initializer_list<Operand> ops, uint32_t a, uint8_t flags,
                                       uint8_t clobbers) {
    VInst v;
    v.op = uint16_t(op);
    v.operand_count = uint8_t(ops.size());
    v.flags = uint8_t(flags | clobbers);
    v.operands = uint32_t(vcode_.operands.size());
    v.a = a;
    v.b = ~0u;
    vcode_.operands.insert(vcode_.operands.end(), ops);
    cur_.push_back(v);
    return cur_.back();
  }
  void emit_list(unsigned op, const std::vector<Operand>& ops, uint32_t a, uint32_t b, uint8_t flags, uint8_t clobbers);
  void copy(Reg dst, Reg src) { push(p_copy, {def(dst), use(src)}, 0, vflags::copy); }
  void jump(uint32_t block) { push(p_jump, {}, block, vflags::terminator); }
  Reg gp(unsigned bytes) { return vcode_.new_vreg(RegClass::gp, bytes); }
  static Operand use(Reg r) { return Operand::make(r, Role::use); }
  static Operand late(Reg r) { return Operand::make(r, Role::use_late); }
  static Operand def(Reg r) { return Operand::make(r, Role::def); }
  static Operand def_early(Reg r) { return Operand::make(r, Role::def_early); }
  static Operand mod(Reg r) { return Operand::make(r, Role::mod); }

  // ---- values
  const air::Inst* def_of(ValueId v) const {
    const air::Value& x = fn_->values[v.value];
    return x.kind() == air::ValueKind::Inst ? &fn_->insts[x.index()] : nullptr;
  }
  TypeId type_of(ValueId v) const { return fn_->values[v.value].type; }
  bool single_use(ValueId v) const { return uses_[v.value] == 1; }
  bool dies_here(ValueId v) const;  // nobody later (in selection order) has asked for it
  // 1 8 16 32 64 for integers and pointers
  unsigned bits_of(TypeId t) const { return t == TypeTable::ptr ? 64 : module_->types[t].bits; }
  ValueId alias_of(ValueId v) const;  // the value whose register v shares
  // Somebody has asked for the register, the slot or a leaf of v.
  bool is_wanted(ValueId v) const {
    return reg_[v.value].valid() || home_[v.value] != 0 || leaf_first_[v.value] != ~0u;
  }
  Reg leaf_reg(ValueId aggregate, uint32_t leaf);
  bool int_constant(ValueId v, int64_t& out) const;  // sign-extended from its width; an i1 is 0 or 1
  Reg reg_of(ValueId v);                             // the register that holds v; constants are materialised
  Reg result_reg(ValueId v);                         // of the instruction being selected
  uint32_t new_slot(uint64_t size, unsigned align_log2, SlotZone zone = SlotZone::rest);

  // ---- symbols
  // Offsets that a reference to a symbol may carry. What lies further away may be out of the reach of the relocation,
  // and what lies far in front of a symbol at a low address is negative, which a zero-extended immediate cannot be:
  // such offsets are added at run time.
  static bool fits_reference(int64_t addend) { return addend >= -(int64_t{1} << 20) && addend <= int64_t{1} << 24; }
  bool reaches_directly(const air::Constant& c) const;
  bool symbol_is_direct(const air::Constant& c) const;
  uint32_t reference(const air::Constant& c, mir::ReferenceKind kind, int64_t addend);
  mir::ReferenceKind tls_kind(const air::Constant& c) const;
  uint32_t runtime_reference(air::RuntimeFunction f);
  // psABI pages; steps are multiples of the stack's alignment that fit an immediate.
  uint32_t probe_interval() const { return std::clamp<uint32_t>(fn_->requests.probe_size & ~15u, 16, 1u << 30); }
  uint32_t probe_reference() {
    return writer_->add_reference(context_->symbols[fn_->requests.probe_symbol.value], 0, mir::ReferenceKind::call);
  }
  // Indirect branches may only arrive at marked places.
  bool marks_targets() const { return module_->requests.branch_targets || context_->options.branch_targets; }
  EntryRecord entry_surroundings();

  // ---- edges, branches
  bool param_wanted(uint32_t block, ValueId param);
  bool edge_has_copies(uint32_t edge);
  void match_bytes(Reg dst, Reg src);
  uint32_t edge_block(uint32_t edge);  // the VBlock an edge leads to: its target, or a new block with the copies
  void edge_copies(uint32_t edge, bool through_slots = false);
  uint32_t new_block(float frequency, uint32_t behind = ~0u);  // laid out behind that AIR block; ~0: the one at hand
  uint32_t new_block_after(uint32_t at, float frequency);
  template <class F>
  void fill_made(uint32_t block, F&& body);
  bool short_circuit(ValueId cond, uint32_t if_true, uint32_t if_false, unsigned depth);
  void select_branch(const air::Inst& i);
  void select_switch(const air::Inst& i);
  void emit_switch(uint32_t node, Reg value, unsigned bits, uint32_t fallback, uint32_t at);
  void prepare_indirect_branches();
  void select_indirect_branch(const air::Inst& i);
  void fill_shared_landings();
  // The VBlock that the address of an AIR block stands for.
  uint32_t landing(uint32_t block) const { return landing_.empty() ? block : landing_[block]; }

  // ---- tail calls
  uint32_t call_before_return() const;  // the instruction that may be a call whose result the return at hand lists
  bool hands_result_on(const air::Inst& call, const air::Inst& ret);

  // ---- stack protector
  bool ends_protected(const air::Inst& i, size_t selected_before);
  void check_canary(uint32_t block);
  void fill_canary_failure();

  // ---- exceptions
  void prepare_exceptions();
  uint32_t typeinfo(ValueId v);  // its number in the exception table
  void number_clauses(const air::LandingPad& p, std::vector<int32_t>& chain);
  void select_landing_pad(const air::Inst& i);
  void copy_landing_pad(ValueId value);
  uint32_t unwind_block(uint32_t edge);
  void want_arguments(uint32_t edge);

  air::Function* fn_ = nullptr;
  const air::Module* module_ = nullptr;
  const LowerContext* context_ = nullptr;
  std::optional<Writer> writer_;
  VCode vcode_;
  RegisterAllocator allocator_;
  Allocation allocation_;
  CfgAnalysis flow_;
  SlotSharing sharing_;
  StackProtection protection_;

  // per function
  std::vector<uint32_t> uses_;      // by value: number of uses
  std::vector<Reg> reg_;            // by value: its register, once asked for
  std::vector<uint32_t> home_;      // by value that lives in a slot: slot + 1, once asked for
  std::vector<uint32_t> epoch_;     // by instruction: memory effects before it in its block
  std::vector<uint32_t> block_of_;  // by instruction
  std::vector<VInst> buffer_;       // selected instructions, each block backwards
  std::vector<VInst> cur_;          // of the AIR instruction at hand
  std::vector<JumpTable> tables_;
  std::vector<uint32_t> table_targets_;
  std::vector<Operand> ops_;      // scratch list
  struct Pending {                // VBlocks in order of creation: AIR blocks first, then made ones
    uint32_t begin = 0, end = 0;  // AIR block: in buffer_, backwards; made block: in made_, forwards
    float frequency = 1;
    uint32_t first_made = ~0u, last_made = ~0u, next_made = ~0u;  // made blocks laid out behind this one
  };
  std::vector<Pending> pending_;
  std::vector<VInst> made_;
  // With debug information: the source positions of buffer_ and made_.
  bool located_ = false;
  std::vector<uint32_t> buffer_locations_, made_locations_;
  // What debug places say, met on the way backwards; then marks in VCode (codegen/native/debug_values.h).
  struct PlaceMet {
    uint32_t place, block;  // in Function::debug_places; a pending block
    uint32_t at;            // instructions of the block behind it, or in front of it in a made block
    bool counted = false;   // `at` is in front of it
  };
  std::vector<PlaceMet> places_met_;
  std::vector<DebugMark> marks_;
  void meet_places(uint32_t& next, uint32_t first, uint32_t inst);
  void make_marks();
  bool mark_of(const air::DebugPlace& place, uint32_t block, DebugMark& out);
  uint32_t location() const {
    return cur_inst_ < fn_->inst_locations.size() ? fn_->inst_locations[cur_inst_] : 0;
  }
  struct Leaf {
    TypeId type;
    Reg reg;
    uint32_t slot = 0;  // of a type that lives in one: slot + 1
  };
  std::vector<uint32_t> leaf_first_;  // by value of several leaves: offset in leaves_
  std::vector<Leaf> leaves_;
  std::vector<TypeId> leaf_types_;
  struct Pad {  // an AIR block as the target of edges
    bool unwind = false, normal = false;
    bool copies = false;  // it has parameters: the edges' blocks take exception and selector
    uint32_t action = 0;
    ValueId value;  // of its landing_pad
  };
  std::vector<Pad> pads_;  // by AIR block; empty in functions without exceptions
  ExceptionActions exceptions_;
  uint32_t personality_ = ~0u;  // reference; ~0: the function has no exception table
  // By AIR block, when there are indirect branches:
  std::vector<uint32_t> landing_;        // where they arrive: the block itself, or one that gives it its parameters
  std::vector<uint32_t> param_slot_;     // several of them reach it: first slot of its parameters; else ~0
  std::vector<uint32_t> indirect_seen_;  // the last of them that listed it
  SwitchPlan switch_;
  std::vector<SwitchCase> cases_;
  std::vector<uint32_t> final_number_;  // by pending block
  std::vector<uint32_t> layout_;
  std::vector<uint32_t> slots_;  // MIR slot of each AIR stack slot
  uint32_t cur_inst_ = 0, cur_block_ = 0;
  uint32_t outgoing_bytes_ = 0;
  uint32_t max_dynamic_align_ = 16;
  unsigned max_slot_align_log2_ = 0;
  bool has_calls_ = false, dynamic_frame_ = false, calls_setjmp_ = false;
  bool builtin_setjmp_ = false;    // eh_sjlj_setjmp
  bool frame_pointer_ = false;     // __builtin_frame_address and its like
  uint32_t canary_slot_ = ~0u;     // the function has a stack protector
  uint32_t canary_failure_ = ~0u;  // the VBlock that reports the damage
  uint32_t tail_call_ = ~0u;       // the call instruction that becomes a jump
  std::string failure_;

 private:
  std::vector<VInst> spare_;
};

// Runs `body` with cur_ collecting the instructions of a made block, which become its contents.
template <class Machine, class Writer>
template <class F>
void Selection<Machine, Writer>::fill_made(uint32_t block, F&& body) {
  std::vector<VInst> saved = std::move(cur_);
  cur_ = std::move(spare_);
  cur_.clear();
  body();
  std::vector<VInst> mine = std::move(cur_);
  cur_ = std::move(saved);
  pending_[block].begin = uint32_t(made_.size());
  made_.insert(made_.end(), mine.begin(), mine.end());
  pending_[block].end = uint32_t(made_.size());
  if (located_) made_locations_.resize(made_.size(), location());
  spare_ = std::move(mine);
}

}  // namespace lode::codegen
