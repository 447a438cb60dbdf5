// The inside of the select pass: from one AIR function to wasm MIR. Only select*.cpp include this.
//
// Stages, each linear in the function:
//   nodes   (select_nodes*.cpp)  AIR to nodes: an instruction whose operands are nodes; block by block in reverse
//           postorder, with
//                                address arithmetic spelled out, folding and common subexpressions of a block removed
//                                on the way (select_fold.cpp).
//                                Narrow integers live in i32 with unknown upper bits; each node knows how many bits it
//                                may use.
//   stack   (select_stack.cpp)   Every block's nodes become code, written backwards from its end: an operand's code
//           goes directly
//                                before its user where the order of effects allows it, and only what cannot be left on
//                                the operand stack gets a local. Switches are in select_switch.cpp.
//   locals  (select_locals.cpp)  Live ranges of those locals, coalescing of block parameters with their arguments,
//           colouring.
//   finish  (select_finish.cpp)  Structured control flow, and the code in its final order with final local numbers.
//
// During the stages the draft's tags and operands hold the backwards code; operands of local.get, set and tee are then
// virtual locals.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "codegen/native/slot_sharing.h"
#include "codegen/wasm/abi.h"
#include "codegen/wasm/structure.h"
#include "codegen/wasm/target.h"

namespace lode::wasm {

using NodeId = uint32_t;
inline constexpr uint32_t no_node = ~0u;
inline constexpr uint32_t no_local = ~0u;

// Operations of nodes that are no single instruction. Values lie above those of Op.
enum Pseudo : uint16_t {
  pseudo_param = 0x1000,    // block parameter a = block, b = number
  pseudo_data_address,      // a = reference
  pseudo_function_address,  // a = reference
  pseudo_global,            // a = reference: a global that never changes (GOT entries, the TLS base)
  pseudo_frame_base,        // the frame's base
  pseudo_frame_address,     // a = offset
  pseudo_stack_check,       // a = condition, aux = reference: ends the program by a call when the condition holds
  pseudo_trunc_guarded,     // a = value, b = Op: truncation of a float that gives the least integer where it would trap
};

// What a node may do, for the order of evaluation.
enum Effect : uint8_t { effect_none = 0, effect_read = 1, effect_write = 2 };

struct Node {
  uint16_t op = 0;           // Op or Pseudo
  uint8_t type = 0;          // ValueType; 0: no result
  uint8_t effect = 0;
  uint8_t zbits = 64, sbits = 64;  // the value is below 2^zbits; it is the sign extension of its low sbits bits
  uint8_t list = 0;          // operands are node_lists[a .. a + b) (calls); else a, b, c by `operands`
  uint8_t operands = 0;
  uint32_t a = no_node, b = no_node, c = no_node;
  uint32_t aux = 0;          // MIR operand of the instruction; constants: see constant()
};
static_assert(sizeof(Node) == 24);

struct BlockInfo {
  uint32_t air = 0;                    // AIR block
  uint32_t first_node = 0, end_node = 0;
  uint32_t first_param = 0, param_count = 0;  // nodes
  NodeId condition = no_node;          // cond_br, switch: the operand; ret: the value
  NodeId tail_call = no_node;          // ret: the call that returns for it
  bool inverted = false;               // cond_br: edges stand swapped because an eqz was dropped
};

// A piece of backwards code: the instructions end - 1 down to begin, in order of execution.
struct Chunk {
  uint32_t begin = 0, end = 0;
};

struct Copy {
  uint32_t get, set;  // indices in the backwards code
  uint32_t from, to;  // virtual locals
  uint32_t weight;
  bool removable = false;  // both sides became one local, and nothing else uses it in between
};

struct Segment {
  uint32_t begin, end;
};

// Where one virtual local is touched in one flow node.
struct Touch {
  uint32_t local, node;
  uint32_t up_last;          // last read before the first write in the node; none_position without
  uint32_t def, down_last;   // first write, last read after it
};

class Selector final : public codegen::LowerScratch {
 public:
  Result<void> run(air::Function& fn, const LowerContext& context, mir::FunctionDraft& out);

 private:
  friend class SwitchWriter;

  // ---- shared state of one function ----
  air::Function* fn_ = nullptr;
  const LowerContext* context_ = nullptr;
  const air::TypeTable* types_ = nullptr;
  Builder mir_;
  Structurer structurer_;
  std::string problem_;  // the first thing that cannot be done; empty when all is well
  ValueType address_ = ValueType::i32;
  bool wasm64_ = false;
  uint32_t features_ = 0;
  bool has(Feature f) const { return features_ & bit(f); }
  void unsupported(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }

  // ---- nodes ----
  std::vector<Node> nodes_;
  std::vector<uint32_t> node_lists_;
  std::vector<BlockInfo> blocks_;        // in reverse postorder
  std::vector<uint32_t> block_of_;       // AIR block -> index in blocks_, none when unreachable
  std::vector<uint32_t> node_block_;     // by node: index in blocks_, none for constants
  std::vector<NodeId> value_node_, second_node_;  // by AIR value: the node; that of its second leaf
  std::vector<uint32_t> value_uses_, value_user_;  // by AIR value: number of uses, last user's instruction
  std::vector<uint8_t> value_wants_;     // 1: used as signed, 2: used as unsigned
  std::vector<uint32_t> cse_;            // open addressing: node + 1
  uint32_t cse_mask_ = 0;
  std::vector<uint32_t> interned_;       // constants: open addressing, node + 1
  uint32_t interned_count_ = 0;
  uint32_t current_block_ = 0;
  NodeId vararg_node_ = no_node;
  struct LastCall {
    NodeId node = no_node;       // none: no call, or one that is no single node
    uint32_t inst = 0;
    bool plain = false;          // nothing of the caller's frame is passed
    std::vector<ValueType> results;
  } last_call_;
  bool must_tail_ = false;         // the block has a call that has to be a tail call
  std::vector<NodeId> edge_arguments_;   // of AIR edge e: from edge_arguments_first_[e]
  std::vector<uint32_t> edge_arguments_first_;
  Signature own_signature_, call_signature_, other_signature_;
  codegen::SlotSharing sharing_;
  std::vector<FrameSlot> slots_;
  struct CopySlot {
    uint32_t inst, argument, slot;
  };
  std::vector<CopySlot> copy_slots_;     // byval copies, in order of instructions
  uint32_t copy_cursor_ = 0;
  std::vector<NodeId> call_operands_;
  uint32_t vararg_slot_ = no_node;
  bool protected_ = false;               // by a stack protector
  uint32_t canary_ = 0;                  // its offset in the frame, above all slots
  FrameLayout frame_layout_;
  bool uses_frame_ = false, moves_stack_ = false, calls_ = false;
  struct CachedSignature {
    const air::Module* module = nullptr;
    size_t size = 0, strings = 0;
    std::vector<Signature> by_type;
    std::vector<uint8_t> known;
  } cache_;

  Result<void> make_nodes();
  void order_blocks();
  void scan_values();
  Result<void> scan_frame();
  void make_params();
  void lower_inst(uint32_t index);
  void lower_terminator(BlockInfo& block, uint32_t index);
  NodeId load_guard();
  void set_canary();
  void check_canary();
  void lower_integer(const air::Inst& inst);
  void lower_overflow(const air::Inst& inst);
  void lower_float(const air::Inst& inst);
  void lower_conversion(const air::Inst& inst);
  void lower_memory(uint32_t index);
  void lower_block_move(const air::Inst& inst);
  bool is_atomic(air::AtomicOrdering ordering);
  void lower_atomic(const air::Inst& inst);
  void lower_call(uint32_t index);
  bool lower_intrinsic(const air::Inst& inst, const air::CallSite& site);
  bool make_tail_call(BlockInfo& block, uint32_t ret);
  void lower_asm(const air::Inst& inst, const air::CallSite& site);
  const Signature* signature(air::TypeId function_type);
  struct CallPlan {
    const Signature* site = nullptr;    // as the call has it
    const Signature* target = nullptr;  // as the callee has it; the same pointer when they agree
    SymbolId direct;
    bool is_direct = false;
    bool final_type = false;  // the callee is the module's own for certain
  };
  CallPlan plan_call(const air::CallSite& site);
  uint32_t fixed_count(const air::CallSite& site, const CallPlan& plan);
  uint64_t vararg_bytes(const air::CallSite& site, uint32_t a);
  uint64_t vararg_place(const air::CallSite& site, uint32_t a, uint64_t at);
  uint32_t call_reference(const CallPlan& plan);
  struct Vararg {
    NodeId value;
    uint64_t at;
    ValueType type;
  };
  struct LoweredCall {
    bool impossible = false;   // the types do not fit: a trap
    bool copied = false;       // a structure lies in this function's frame
    NodeId buffer = no_node;   // of variadic arguments
  };
  NodeId byval_copy(NodeId n, const air::ParamAttr& attr);
  NodeId zero_of(ValueType t);
  void lower_arguments(const air::CallSite& site, const CallPlan& plan, LoweredCall& call);
  NodeId variadic_buffer(std::span<const Vararg> arguments);
  NodeId call_result(const air::Inst& inst, const air::CallSite& site, NodeId r, ValueType have, ValueType want);

  static constexpr uint32_t max_rewrites = 64;  // binary() within binary(); see select_nodes.cpp
  uint32_t rewrites_ = 0;

  NodeId append(Node n);                      // in the current block
  NodeId pure(Node n);                        // the same, or an equal node of the block
  NodeId intern(Node n);                      // constants
  NodeId i32c(int32_t v);
  NodeId i64c(int64_t v);
  NodeId int_const(ValueType t, int64_t v) { return t == ValueType::i64 ? i64c(v) : i32c(int32_t(v)); }
  NodeId f32c(uint32_t bits);
  NodeId f64c(uint64_t bits);
  NodeId unary(Op op, NodeId a);
  NodeId binary(Op op, NodeId a, NodeId b);
  NodeId with_constant(Op& op, NodeId a, NodeId& b, int64_t k);
  void shorten_comparison(Op& op, NodeId& b, int64_t k, bool wide);
  NodeId select(NodeId condition, NodeId yes, NodeId no);
  NodeId eqz(NodeId a);
  NodeId byte_swap(NodeId a, unsigned bits);
  NodeId combine_loads(NodeId a, NodeId b, bool wide);
  bool constant(NodeId n, int64_t& v) const;  // integer constants, sign-extended from the type's width
  bool is_constant(NodeId n) const;           // needs no local: cheap to make again
  NodeId fold(Op op, int64_t a, int64_t b, bool& done);
  void set_bits(Node& n);
  // An integer of `bits` bits, upper bits cleared or copies of the sign.
  NodeId zext(NodeId n, unsigned bits);
  NodeId sext(NodeId n, unsigned bits);
  NodeId zext_to(NodeId n, unsigned bits, ValueType to);  // to i64 as well
  NodeId sext_to(NodeId n, unsigned bits, ValueType to);
  NodeId wrap(NodeId n);                      // i64 to i32
  NodeId truth(NodeId n);                     // the same truth without `!= 0`
  NodeId load(Op op, NodeId address, uint64_t offset, unsigned align_log2, bool effect, NodeId symbol = no_node);
  void store(Op op, NodeId address, uint64_t offset, unsigned align_log2, NodeId value, NodeId symbol = no_node);
  NodeId load_typed(ValueType t, NodeId address, uint64_t offset, unsigned align_log2, bool effect);
  // The access is at address + offset, or at symbol (a data address) + address + offset, which must not wrap.
  uint32_t memory_word(NodeId& address, uint64_t offset, unsigned align_log2, NodeId symbol = no_node);
  struct Place {
    NodeId base;
    uint64_t offset = 0;
    NodeId symbol = no_node;
  };
  Place resolve(air::ValueId v);
  NodeId scaled(const air::Inst& ptr_add, int64_t scale, int64_t& behind);
  NodeId address_add(NodeId base, int64_t offset);
  NodeId folded_address(NodeId base, int64_t offset);
  NodeId frame_address(uint32_t offset);
  void copy_bytes(NodeId to, NodeId from, uint64_t n, unsigned to_align, unsigned from_align, bool effect);
  void call_memory(air::RuntimeFunction f, NodeId a, NodeId b, NodeId n);
  NodeId call_node(Op op, uint32_t aux, std::span<const NodeId> operands, uint8_t result);

  unsigned bits_of(air::TypeId t) const;
  ValueType type_of(air::ValueId v) const { return value_type(*types_, fn_->values[v.value].type); }
  NodeId node_of(air::ValueId v);
  NodeId constant_node(const air::Constant& c);
  NodeId z(air::ValueId v) { return zext(node_of(v), bits_of(fn_->values[v.value].type)); }
  NodeId s(air::ValueId v) { return sext(node_of(v), bits_of(fn_->values[v.value].type)); }
  void define(const air::Inst& inst, NodeId n) { value_node_[inst.result.value] = n; }

  // ---- stack ----
  std::vector<uint32_t> uses_;            // by node, from code that is needed
  std::vector<uint32_t> left_;            // by node: uses in its own block that are not written yet
  std::vector<uint8_t> written_;          // by node: its code stands
  std::vector<uint32_t> node_local_;      // by node: its virtual local
  std::vector<ValueType> local_types_;    // by virtual local
  std::vector<Chunk> chunks_;             // by flow node
  std::vector<Copy> copies_;
  std::vector<uint32_t> layout_;          // flow nodes in the order of positions
  std::vector<uint32_t> worklist_;
  std::vector<uint32_t> edge_first_, edge_list_;  // AIR edges into each block of blocks_
  std::vector<uint32_t> edge_group_;      // by AIR edge: those that assign the same to the same block; ~0: alone
  std::vector<uint32_t> group_node_;      // by group: the flow node that they share, ~0 until it is made
  std::vector<uint32_t>
      returned_param_;  // by block of blocks_: all that it does is to return this parameter; ~0 otherwise
  FlowGraph flow_;
  uint32_t last_write_ = 0, last_read_ = 0, block_first_ = 0;
  bool in_edge_ = false;
  uint32_t depth_ = 0;
  uint32_t frame_virtual_ = no_local;     // the virtual local that stands for the frame's base

  void count_uses();
  void mark_use(NodeId n);
  template <class F>
  void each_operand(const Node& n, F&& f);
  void write_code();
  void find_returns();
  void group_edges();
  void drop_unreached();
  void write_block(uint32_t index);
  void write_terminator(uint32_t index);
  void write_switch(uint32_t index, const air::Inst& inst);
  void use(NodeId n);
  void write_node(NodeId n);
  void write_arguments(uint32_t edge, uint32_t weight);
  uint32_t edge_node(uint32_t edge);
  void set_edges(uint32_t node, std::span<const uint32_t> targets);
  void forget_condition();
  bool edge_has_code(const air::Edge& edge);
  bool placeable(NodeId n);
  uint32_t local_of(NodeId n);
  uint32_t new_local(ValueType t);
  uint32_t new_flow_node(FlowEnd end);

  // ---- locals ----
  static constexpr uint32_t none_position = ~0u;
  std::vector<uint32_t> node_position_;   // by flow node: where it begins; one place before its first instruction
  std::vector<uint32_t> node_end_;
  std::vector<Touch> touches_;
  std::vector<std::vector<Segment>> ranges_;  // by virtual local; kept between functions for their memory
  std::vector<uint32_t> leader_;          // union-find of coalesced locals
  std::vector<uint32_t> colour_;          // by virtual local
  std::vector<uint32_t> weight_;
  std::vector<ValueType> colour_types_;
  std::vector<std::vector<Segment>> occupied_;  // by colour
  std::vector<uint32_t> final_local_;     // by colour
  uint32_t frame_local_ = no_local, saved_local_ = no_local;  // final numbers

  void allocate_locals();
  void find_ranges();
  struct RangeFinder;
  uint32_t find_touches();
  void sort_touches(RangeFinder& f);
  void find_liveness(RangeFinder& f, uint32_t v);
  void add_segments(RangeFinder& f, uint32_t v);
  void coalesce();
  void colour();
  void number_locals(bool frame, bool saved);
  uint32_t find(uint32_t v);

  // ---- finish ----
  std::vector<uint8_t> code_tags_;        // the backwards code, taken out of the draft
  std::vector<uint32_t> code_operands_;
  std::vector<uint32_t> code_positions_;  // by index in the backwards code
  std::vector<Chunk> hoisted_;            // by flow node: code after its condition
  std::vector<uint32_t> label_place_;
  uint32_t barrier_ = 0;                  // instructions before this one belong to another straight line
  uint32_t first_variable_ = 0;           // colour of the first dispatch variable
  void simplify_flow();
  void finish();
  void write_chunk(const Chunk& c);
};

// Backwards code that has been removed.
inline constexpr uint8_t gone_tag = uint8_t(Op::nop);

}  // namespace lode::wasm
