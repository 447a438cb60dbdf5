// One function body, decoded from the file on request into flat arrays with absolute value numbers.
//
// A BodyReader belongs to one thread and is reused for many bodies; it and Body keep their memory. The Module is only
// read. What read() delivers: blocks end with a terminator and every block is there; value and block operands exist;
// the types of forward references agree with their definitions; implied result types are computed. Not checked: that
// operand types suit the operation, that definitions dominate uses, that phis match predecessors.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/bitcode/module.h"

namespace lode::formats::bitcode {

// Operands are 32-bit words; v: value, b: block index, t: type index, n: number. "align" is log2 of bytes, 0xff not
// given. Orderings: 0 not atomic, 1 unordered, 2 monotonic, 3 acquire, 4 release, 5 acquire-release, 6 sequentially
// consistent. Scopes: index into Module::sync_scopes when that is not empty; by LLVM's numbering 0 single thread, 1
// system.
enum class Op : uint8_t {
  // terminators
  Ret,         // [v] or []
  Br,          // b
  CondBr,      // v condition, b then, b else
  Switch,      // v, b default, (v case, b)...
  IndirectBr,  // v address, b...
  Invoke,      // t function type, v callee, n attribute list, n arguments, b normal, b unwind, arguments..., bundles
  CallBr,      // t, v, n attribute list, n arguments, b normal, n indirect, b indirect..., arguments..., bundles
  Resume,      // v
  Unreachable,
  CleanupRet,   // v pad, b or none
  CatchRet,     // v pad, b
  CatchSwitch,  // v parent or none, n handlers, b..., b unwind or none
  // others
  Binop,           // v, v; sub: BinaryOp
  Unop,            // v; fneg
  Cast,            // v; sub: CastOp
  Gep,             // t source element, v base, v index...; flags bit 0: inbounds
  Select,          // v condition, v true, v false
  ExtractElement,  // v vector, v index
  InsertElement,   // v vector, v element, v index
  ShuffleVector,   // v, v, v mask (a constant)
  Compare,         // v, v; sub: Predicate
  Phi,             // (v, b)...
  Alloca,          // t allocated, v count, n align; flags bit 0: inalloca, bit 1: swifterror
  Load,            // v address, n align, n ordering, n scope; flags bit 0: volatile
  Store,           // v address, v value, n align, n ordering, n scope; flags bit 0: volatile
  VaArg,           // v list
  ExtractValue,    // v, n index...
  InsertValue,     // v aggregate, v element, n index...
  Call,            // t function type, v callee, n attribute list, n arguments, arguments..., bundles
  Fence,           // n ordering, n scope
  CmpXchg,  // v address, v expected, v new, n ordering, n failure ordering, n scope, n align; flags: 1 volatile, 2 weak
  AtomicRmw,   // v address, v value, n ordering, n scope, n align; flags: 1 volatile; sub: RmwOp
  LandingPad,  // n clauses, (n 0 catch or 1 filter, v)...; flags bit 0: cleanup
  CleanupPad,
  CatchPad,  // v parent or none, n arguments, v...
  Freeze,    // v
};
// Calls: arguments are values, but a block for a parameter of type label and a metadata number (not checked, not to be
// looked up as a value) for one of type metadata. Bundles: n bundles, then for each n tag (into bundle_tags), n values,
// v... sub of Call: 0, or 1 tail, 2 musttail, 3 notail; flags of Call, Invoke and CallBr: the calling convention.
inline bool is_terminator(Op op) { return op <= Op::CatchSwitch; }

enum class RmwOp : uint8_t {
  Xchg, Add, Sub, And, Nand, Or, Xor, Max, Min, UMax, UMin, FAdd, FSub, FMax, FMin, UIncWrap, UDecWrap, USubCond,
  USubSat, FMaximum, FMinimum,
};

struct Inst {
  Op op = Op::Unreachable;
  uint8_t sub = 0;
  uint16_t flags = 0;
  uint32_t type = none;   // of the result
  uint32_t value = none;  // the number of the result; none for void
  uint32_t first = 0;     // into Body::operands
  uint32_t count = 0;
  uint32_t loc = none;    // into Body::locs
};
static_assert(sizeof(Inst) == 24);

// Source position; scope and inlined_at are metadata numbers plus one, 0 for none.
struct DebugLoc {
  uint32_t line = 0, column = 0, scope = 0, inlined_at = 0;
};

// A debug record of LLVM 19 and later: about the place in front of instruction `inst`. Numbers of metadata without plus
// one.
struct DebugRecord {
  enum Kind : uint8_t { value, declare, assign, label };
  Kind kind = value;
  bool is_value = false;    // `operand` is a value's number, else that of metadata
  uint32_t inst = 0, location = 0, variable = 0, expression = 0;  // label: `variable` is the DILabel
  uint32_t operand = 0;
};

struct Body {
  uint32_t function = 0;                            // into Module::globals
  std::vector<Inst> insts;
  std::vector<uint32_t> operands;  // found through the instructions; what lies behind theirs means nothing
  std::vector<uint32_t> blocks;                     // first instruction of each block; one more entry: insts.size()
  Constants constants;
  std::vector<DebugLoc> locs;
  struct Attachment {
    uint32_t kind, node;                            // FixedMetadataKinds.def; number
  };
  std::vector<Attachment> attachments;              // of the function, if Module::wants_attachments
  std::vector<DebugRecord> records;                 // if Module::wants_debug, in the order of their places
  uint32_t subprogram = 0;                          // number + 1, if Module::wants_debug
  std::vector<uint32_t> value_types;                // of the local values: index is value - first_local
  uint32_t first_local = 0;                         // == Module::value_count(): the first argument
  uint32_t first_constant = 0, first_result = 0;    // value numbers
  uint32_t value_count = 0;                         // including the module's

  std::span<const uint32_t> operands_of(const Inst& i) const { return {operands.data() + i.first, i.count}; }
  uint32_t block_count() const { return uint32_t(blocks.size()) - 1; }
  uint32_t type_of(const Module& m, uint32_t value) const {
    return value < first_local ? m.value_types[value] : value_types[value - first_local];
  }
};

class BodyReader {
 public:
  explicit BodyReader(const Module& m) : m_(m), c_(m.stream, &m.block_info) {}
  // Reads body number `index` of Module::bodies, replacing what `out` held. The error names the function.
  Result<void> read(uint32_t index, Body& out);

 private:
  struct Forward {
    uint32_t value, type;
  };
  bool read_block(Body& b);
  bool read_attachments(Body& b);
  bool read_debug_record(Body& b);
  bool read_inst(Body& b);
  bool finish(Body& b);
  bool value(uint32_t& i, uint32_t& v);                    // relative
  bool typed_value(uint32_t& i, uint32_t& v, uint32_t& t); // relative, with its type if it is a forward reference
  bool word(uint32_t& i, uint32_t& w);
  bool type(uint32_t& i, uint32_t& t);
  bool block(uint64_t v, uint32_t& b);
  bool call_operands(uint32_t i, const Type& fn);
  void bundles();
  void emit(Op op, uint32_t type, uint8_t sub = 0, uint16_t flags = 0);
  // Operands go straight to memory: the vector keeps its size from body to body and may be larger than what is used.
  void add(uint32_t w) {
    if (operand_count_ == operand_room_) [[unlikely]] more_operands();
    operands_[operand_count_++] = w;
  }
  void more_operands();
  uint32_t vector_type(TypeKind kind, uint64_t count, uint32_t element_like) const;
  uint32_t compare_type(uint32_t operand) const;
  bool bad() {
    c_.fail_malformed("FUNCTION");
    return false;
  }

  const Module& m_;
  Cursor c_;
  Body* b_ = nullptr;
  uint32_t next_value_ = 0;
  uint32_t max_value_ = 0;
  uint32_t declared_blocks_ = 0;
  uint32_t* operands_ =
      nullptr;  // of b_; operand_room_ words, operand_count_ in use, from first_operand_ on the next instruction's
  uint32_t operand_room_ = 0, operand_count_ = 0, first_operand_ = 0;
  bool block_open_ = false;
  std::vector<Forward> forwards_;
  std::vector<uint32_t> pending_bundles_;
  uint32_t pending_bundle_count_ = 0;
};

}  // namespace lode::formats::bitcode
