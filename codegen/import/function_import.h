// The translation of one function body; see import.h for what becomes of what. Internal to codegen/import.
//
// Blocks are visited in reverse postorder, so a definition has been translated before its uses are, except those by
// phis of loops, and even they are looked up only when the edge's source ends, which its dominators precede. Hence a
// use of something not yet translated is an error in the input, and no fix-ups exist. That a definition dominates its
// uses is checked too, so that what the importer delivers needs no verifier: code generation may rely on all invariants
// of air.h.
#pragma once

#include <string>
#include <vector>

#include "codegen/air/flow_tree.h"
#include "codegen/import/requests.h"
#include "codegen/import/state.h"

namespace lode::codegen {

// Memory for one import at a time, kept for the next.
struct FunctionScratch {
  explicit FunctionScratch(const bc::Module& m) : reader(m) {}
  bc::BodyReader reader;
  bc::Body body;
  uint32_t body_number = bc::none;          // of bc::Module::bodies
  FunctionKeyWriter key_writer;
  std::vector<uint32_t> key_globals;
  std::vector<air::ValueId> locals;         // by local value
  std::vector<air::ValueId> module_values;  // by module value; valid where stamps says so
  std::vector<uint32_t> stamps;
  uint32_t stamp = 0;
  std::vector<uint32_t> order;              // bitcode blocks in the order of AIR
  std::vector<uint32_t> number;             // AIR block by bitcode block, none: dropped
  std::vector<uint32_t> stops;              // by bitcode block: the instruction that ends it
  std::vector<uint32_t> phi_counts;         // by bitcode block
  // By AIR block, from the edges between blocks that are kept.
  std::vector<uint32_t> succ_first, succs;
  air::FlowTree flow;
  std::vector<uint32_t> homes;              // by local value: the AIR block from whose start or middle on it is known
  struct Visit {
    uint32_t block, next;
  };
  std::vector<Visit> visits;
  std::vector<uint32_t> words;
  bc::DebugScopes scopes;                   // of the function
  std::vector<uint32_t> scope_files;        // by node of it, as ImportState::scope_files
  struct Source {
    uint32_t block, index;
  };
  std::vector<Source> sources;              // of blocks with many predecessors, sorted by block
  std::vector<uint32_t> sources_at;         // by bitcode block: its first entry in sources, or none
};

class FunctionImporter {
 public:
  FunctionImporter(const ImportState& s, FunctionScratch& scratch, air::Function& out)
      : s_(s), m_(s.bitcode), w_(scratch), b_(scratch.body), f_(out), types_(s.air.types), folder_(s, &scratch.body) {}

  Result<void> run();
  // Orders the blocks of the body that was read.
  Result<void> order();

 private:
  using V = air::ValueId;
  using T = air::TypeId;
  using O = air::Op;

  bool order_blocks();
  void find_dominators();
  bool dominates(uint32_t a, uint32_t b) const { return w_.flow.dominates(a, b); }
  bool header();
  bool convention(uint32_t number, air::CallConv& out);
  bool block(uint32_t index);
  bool inst(const bc::Inst& i);
  // Instructions.
  bool binop(const bc::Inst& i);
  bool cast(const bc::Inst& i);
  bool gep(const bc::Inst& i);
  bool compare(const bc::Inst& i);
  bool select(const bc::Inst& i);
  bool alloca_inst(const bc::Inst& i);
  air::SlotArray array_in(T t, unsigned& steps) const;
  bool memory(const bc::Inst& i);
  bool aggregate(const bc::Inst& i);
  bool vector(const bc::Inst& i);
  bool call(const bc::Inst& i);
  bool call_branch(const bc::Inst& i);
  bool intrinsic(const bc::Inst& i, const Intrinsic& in, std::span<const uint32_t> args);
  bool masked_memory(const bc::Inst& i, IntrinsicKind kind, T type, std::span<const uint32_t> args);
  bool assembly(const bc::Inst& i, const Intrinsic& in, T type, std::span<const uint32_t> args);
  struct WasmVector;
  bool wasm_vector(const bc::Inst& i, const Intrinsic& in, T type, std::span<const uint32_t> args);
  bool library_call(const bc::Inst& i, air::SymbolIndex symbol, T function_type, std::span<const uint32_t> args);
  bool lifetime(O op, uint32_t pointer);
  bool operands_fit(O op, const V* v, T result);
  bool is_fp_class(const bc::Inst& i, T type, V value, uint32_t mask);
  V fp_class(V value, uint32_t mask);
  V f80_class(V value, uint32_t mask);
  V x87_rounding(const bc::Inst& i);
  bool landing_pad(const bc::Inst& i);
  bool terminator(const bc::Inst& i);
  bool wide_switch(const bc::Inst& i, V value, uint32_t next_case);
  bool call_site(const bc::Inst& i, uint32_t fnty, uint32_t callee, uint32_t attrs, std::span<const uint32_t> args,
                 std::span<const uint32_t> bundles, uint32_t& site);
  void profile_call(air::SymbolIndex symbol, std::string_view name);
  bool type_id();
  bool musttail_ends_block(uint32_t ret) const;
  bool edge(uint32_t target, uint32_t& e);
  bool source_index(uint32_t target, const bc::Inst& phi, uint32_t& index);

  // Values. Invalid means that fail() has been called.
  V use(uint32_t value);
  V constant(uint32_t value, int depth);                                  // as a constant or by instructions
  V make_constant(const bc::Constants& pool, const bc::Constant& k, int depth, bool& pure);
  V constant_instructions(const bc::Constants& pool, const bc::Constant& k, int depth);
  V constant_value(const air::Constant& c);
  V int_constant(T type, uint64_t bits);
  V symbol_constant(air::SymbolIndex symbol, uint64_t addend);
  V zero_constant(T type);
  V undef_constant(T type);
  V build_aggregate(T type, const std::vector<V>& members, bool& pure);
  V emit(O op, T type, uint32_t a = ~0u, uint32_t b = ~0u, uint32_t c = ~0u, uint16_t aux = 0, uint8_t flags = 0);
  V emit_ptr_add(V base, V index, int64_t scale, int64_t offset);
  V resize_index(V v);                                                     // to the pointer's width, as a signed number
  V resize_unsigned(V v, T type);
  // A pointer, or a vector of pointers lane by lane, as `type` says.
  V gep_value(V base, uint32_t source, std::span<const uint32_t> indices, T type, int depth, bool inbounds);
  // lane >= 0: that lane of the vectors among the operands.
  V gep_parts(V base, uint32_t source, std::span<const uint32_t> indices, int depth, int lane, bool inbounds);
  V cast_value(V v, bc::CastOp op, T to, uint16_t flags);
  void set(const bc::Inst& i, V v) {
    w_.locals[i.value - b_.first_local] = v;
    w_.homes[i.value - b_.first_local] = current_air_;
  }
  bool set_checked(const bc::Inst& i, V v) {
    if (!v.valid()) return false;
    set(i, v);
    return true;
  }

  // A vector of more than 256 bits, or a structure or array with one.
  bool has_wide_vector(T t, int depth = 0) const {
    const air::Type& x = types_[t];
    if (x.kind == air::TypeKind::Vector) return types_.size_of(t) > 32;
    if (depth > 4) return false;
    if (x.kind == air::TypeKind::Array) return has_wide_vector(x.element, depth + 1);
    if (x.kind == air::TypeKind::Struct)
      for (uint32_t f = 0; f < x.field_count; f++)
        if (has_wide_vector(types_.member(x, f), depth + 1)) return true;
    return false;
  }
  T type_of(V v) const { return f_.values[v.value].type; }
  const air::Type& air_type(T t) const { return types_[t]; }
  T scalar_of(T t) const { return types_[t].kind == air::TypeKind::Vector ? types_[t].element : t; }
  bool is_int(T t) const { return types_[t].kind == air::TypeKind::Int; }
  bool is_float(T t) const { return types_[t].kind >= air::TypeKind::F16 && types_[t].kind <= air::TypeKind::F128; }
  bool result_type(const bc::Inst& i, T& t);
  uint32_t location(const bc::DebugLoc& l);
  // debug_import.cpp
  void debug_record(const bc::DebugRecord& r);
  void debug_intrinsic(const bc::Inst& i, std::string_view name, std::span<const uint32_t> args);
  void debug_place(air::DebugPlace place, uint32_t value);
  bool simple_pointer(uint32_t value);
  std::span<const uint32_t> ops(const bc::Inst& i) const { return b_.operands_of(i); }
  bool fail(std::string message);

  const ImportState& s_;
  const bc::Module& m_;
  FunctionScratch& w_;
  bc::Body& b_;
  air::Function& f_;
  const air::TypeTable& types_;
  Folder folder_;
  std::string error_;
  uint32_t current_block_ = 0;  // bitcode block
  uint32_t current_air_ = 0;    // its AIR number
  uint32_t current_inst_ = 0;
  uint32_t location_ = 0;       // of the instructions being emitted
  uint32_t last_scope_ = 0, last_file_ = 0;
  bool has_locations_ = false;
  bool in_entry_ = true;
  bool unclear_lifetimes_ = false;  // a mark of a lifetime whose slot is not known
  bool wide_vectors_ = false;   // AttributeSummary::wide_vectors of this function
  int budget_ = 0;
  struct SwitchRest {           // the rest of a switch on an integer wider than 64 bits
    uint32_t inst, next_case, block, air_block;
    V value;
  };
  std::vector<SwitchRest> pending_;
  uint32_t extra_blocks_ = 0;
  uint32_t function_param_count_ = 0;
};

}  // namespace lode::codegen
