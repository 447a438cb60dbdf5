// Metadata on its way to entries of .debug_info. Internal to codegen/debug.
//
// Entries are made when something first names their node: types.cpp makes types and what surrounds them, functions.cpp
// subprograms with their scopes and variables, module_debug.cpp units and global variables. A node's entry is known by
// the node's number, for the nodes of a function's own block only as long as that function is at hand.
//
// An entry is noted before its parts are made, so circles among types end. What nests deeper than max_depth is left
// out.
#pragma once

#include <map>
#include <optional>

#include "codegen/debug/die_tree.h"
#include "codegen/debug/line_table.h"
#include "codegen/debug/module_debug.h"
#include "formats/bitcode/debug_metadata.h"

namespace lode::codegen::dwarf {

namespace bc = formats::bitcode;
using K = bc::MetadataKind;
inline constexpr uint32_t no_node = bc::none;
inline constexpr unsigned max_depth = 128;

namespace di_flags {
inline constexpr uint32_t access = 3, forward = 1 << 2, virtual_ = 1 << 5, artificial = 1 << 6, explicit_ = 1 << 7,
                          prototyped = 1 << 8, object_pointer = 1 << 10, vector = 1 << 11, static_member = 1 << 12,
                          lvalue_reference = 1 << 13, rvalue_reference = 1 << 14, export_symbols = 1 << 15,
                          bit_field = 1 << 19, no_return = 1 << 20, by_value = 1 << 22, by_reference = 1 << 23,
                          enum_class = 1 << 24;
}
namespace sp_flags {
inline constexpr uint32_t virtuality = 3, local = 1 << 2, definition = 1 << 3, main = 1 << 8, deleted = 1 << 9;
}
enum EmissionKind : uint32_t { no_debug = 0, full_debug = 1, line_tables_only = 2, directives_only = 3 };

class Builder {
 public:
  Builder(const DebugInput& input, std::vector<std::string>& warnings, Sections& out)
      : in_(input), warnings_(warnings), out_(out), tables_(out) {}
  Result<void> run();

 private:
  struct Unit {
    uint32_t node = no_node, die = no_die;
    EmissionKind kind = full_debug;
    LineTable lines;
    std::vector<std::pair<uint32_t, uint32_t>> functions;  // indices of address and size
  };
  // A scope as code is in it: a subprogram, or one that was inlined at a place, and the blocks in them.
  struct Scope {
    uint32_t node = no_node, inlined_at = 0;
    uint32_t parent = ~0u;
    uint32_t call = no_node;       // inlined: the location node it was inlined at
    std::vector<std::pair<uint32_t, uint32_t>> ranges;  // of offsets
    uint32_t die = no_die;
    bool has_variables = false;    // in it, or a block below
  };

  // ---- metadata
  const bc::MetadataNodes& m() const { return *nodes_; }
  uint64_t field(uint32_t node, uint32_t i) const { return m().field(node, i); }
  std::string_view text(uint32_t node, uint32_t i) const { return m().text(field(node, i)); }
  // The node that a field names, whatever its kind; no_node.
  uint32_t ref(uint32_t node, uint32_t i) const {
    const uint64_t v = field(node, i);
    return v && v <= m().end() ? uint32_t(v - 1) : no_node;
  }
  K kind(uint32_t node) const { return node == no_node ? K::other : m().kind(node); }
  uint32_t& die_of(uint32_t node);
  void complain();

  // ---- units (module_debug.cpp)
  void make_units();
  void finish_unit(Unit& u);
  void global_variables(Unit& u);
  uint32_t global_variable(Unit& u, uint32_t node);
  uint32_t unit_of(uint32_t node) const;
  uint32_t file_number(uint32_t file_node) { return file_number(file_node, unit_); }
  uint32_t file_number(uint32_t file_node, uint32_t unit);
  void source_place(uint32_t die, uint32_t file_node, uint64_t line);
  void name(uint32_t die, uint16_t at, std::string_view s) {
    if (!s.empty()) tree_.attribute(die, at, form_strx, tables_.string(s));
  }
  void imported_entity(uint32_t node, uint32_t parent);

  // ---- types (types.cpp)
  uint32_t type(uint32_t node, unsigned depth = 0);           // no_die: void, or nothing
  void type_of(uint32_t die, uint32_t type_node, unsigned depth) {
    if (uint32_t t = type(type_node, depth + 1); t != no_die) tree_.reference(die, at_type, t);
  }
  uint32_t context(uint32_t scope_node, unsigned depth);      // the entry that a declaration's scope is
  void basic_type(uint32_t die, uint32_t node);
  void derived_type(uint32_t die, uint32_t node, unsigned depth);
  void composite_type(uint32_t die, uint32_t node, unsigned depth);
  void array_type(uint32_t die, uint32_t node, unsigned depth);
  void enumeration(uint32_t die, uint32_t node, unsigned depth);
  void member(uint32_t parent, uint32_t node, unsigned depth);
  void variant(uint32_t parent, uint32_t node, unsigned depth);
  void subroutine_type(uint32_t die, uint32_t node, unsigned depth, bool method);
  void template_parameters(uint32_t die, uint32_t list, unsigned depth);
  void bound(uint32_t die, uint16_t at, uint32_t node, unsigned depth);
  uint32_t declaration(uint32_t node, unsigned depth);        // of a subprogram: in its class or namespace
  void subprogram_attributes(uint32_t die, uint32_t node, unsigned depth, bool definition);
  bool is_enclosing(uint32_t node, unsigned depth) const;     // a type of which parts may be declared alone
  void access(uint32_t die, uint64_t flags);
  std::optional<int64_t> constant_of(uint32_t value_node) const;

  // ---- functions (functions.cpp)
  void find_inlined();
  void function(const DebugFunction& f);
  void line_rows(const DebugFunction& f, uint32_t subprogram);
  uint32_t file_of_scope(uint32_t scope) const;
  uint32_t block_scope(uint32_t scope) const;                 // without DILexicalBlockFiles
  uint32_t subprogram_of(uint32_t scope) const;
  uint32_t find_scope(uint32_t node, uint32_t inlined_at, unsigned depth);
  void find_scopes(const DebugFunction& f);
  void add_variables(const DebugFunction& f, uint32_t die);
  uint32_t scope_die(uint32_t scope, uint32_t function_die, unsigned depth);
  void ranges(uint32_t die, const std::vector<std::pair<uint32_t, uint32_t>>& list, const DebugFunction& f);
  void specify(uint32_t die, uint32_t node, uint32_t declaration);
  uint32_t concrete_subprogram(uint32_t node);
  uint32_t abstract_subprogram(uint32_t node);
  uint32_t abstract_variable(uint32_t node);
  void variable_attributes(uint32_t die, uint32_t node);
  uint32_t local_die(uint32_t node);                          // of a function's own node

  // ---- locations (locations.cpp)
  using Bytes = std::vector<uint8_t>;
  struct Piece {
    uint64_t offset = 0, size = 0;  // bits; size 0: all
  };
  bool fragment_of(uint32_t expression, Piece& out) const;
  bool append_expression(Section& out, uint32_t expression, bool value, bool& memory) const;
  bool describe(const DebugRange& r, const DebugFunction& f, Section& out) const;
  void locations(uint32_t die, std::span<const DebugRange> list, const DebugFunction& f);
  unsigned encoding_of(uint32_t type_node, uint64_t& bytes) const;

  const DebugInput& in_;
  std::vector<std::string>& warnings_;
  Sections& out_;
  Tables tables_;
  DieTree tree_;
  bc::MetadataNodes module_;
  std::vector<bc::MetadataNodes> bodies_;   // by DebugInput::functions
  const bc::MetadataNodes* nodes_ = nullptr;  // of the function at hand, or the module's
  std::vector<uint32_t> dies_;              // by node of the module
  std::map<uint32_t, uint32_t> local_dies_;   // of the function at hand
  std::map<uint32_t, uint32_t> abstract_, local_abstract_;  // subprograms and variables that were inlined
  std::vector<uint8_t> inlined_;            // by node of the module: a subprogram that was
  // Subprograms with code, by node; no_die: not made yet. The second: of the function at hand, if it is its own node.
  std::map<uint32_t, uint32_t> concrete_, local_concrete_;
  std::map<uint32_t, uint32_t>& concrete(uint32_t node) { return node < dies_.size() ? concrete_ : local_concrete_; }
  bool has_code(uint32_t node) { return concrete(node).count(node) != 0; }
  std::vector<Unit> units_;
  uint32_t unit_ = 0;                       // at hand
  std::vector<uint32_t> unit_numbers_;      // in units_, by DieTree::unit()
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> spaces_;  // by unit and node: namespaces and their like
  std::map<uint32_t, uint32_t> index_types_;  // by unit: what arrays count by
  std::vector<Scope> scopes_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> scope_of_;
  uint32_t function_die_ = no_die;
  bool complained_ = false;
};

}  // namespace lode::codegen::dwarf
