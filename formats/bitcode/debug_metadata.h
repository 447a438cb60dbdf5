// Metadata nodes as debug information needs them: all of them, each with its record's fields.
//
// metadata.h reads as much as code generation asks for and is read for every module; this is read only when debug
// information goes into the output. Numbers are those of metadata.h: strings first, then nodes, a function's behind its
// module's. What a field means is the business of who asks (the records of LLVM 13 to 22, "METADATA_*" in
// LLVMBitCodes.h); an operand that is a node is its number plus one, 0 for none, unless said otherwise at the kind.
//
// Nothing is checked but that records lie in the file: an operand may name a node that does not exist, one of the wrong
// kind, or one that leads back. Every accessor answers for any number, and whoever follows chains bounds them.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/bitcode/module.h"

namespace lode::formats::bitcode {

enum class MetadataKind : uint8_t {
  other, text,
  value,      // [type, value]
  tuple,      // [node...]
  location,   // [distinct, line, column, scope (no plus one), inlined at, implicit]
  subrange, enumerator, basic_type, file, derived_type, composite_type, subroutine_type, compile_unit, subprogram,
  lexical_block, lexical_block_file, namespace_, template_type, template_value, global_variable, local_variable,
  expression, imported_entity, module, string_type, common_block, generic_subrange, global_expression, label,
  arg_list,   // [node (no plus one)...]
};

struct MetadataNodes {
  struct Node {
    MetadataKind kind = MetadataKind::other;
    uint32_t first = 0, count = 0;  // in fields; text: first is an index in strings
  };
  uint32_t first = 0;               // the number of nodes[0]
  const MetadataNodes* outer = nullptr;
  std::vector<Node> nodes;
  std::vector<uint64_t> fields;
  std::vector<std::string_view> strings;  // into the file
  // Of a module: globals with a !dbg node (a number), in the order of the file.
  std::vector<std::pair<uint32_t, uint32_t>> attachments;
  std::vector<uint32_t> units;      // of a module: !llvm.dbg.cu

  uint32_t end() const { return first + uint32_t(nodes.size()); }
  MetadataKind kind(uint32_t number) const;
  uint32_t count(uint32_t number) const;
  // Field i of a node, 0 when there is no such field.
  uint64_t field(uint32_t number, uint32_t i) const;
  std::string_view text(uint64_t number_plus_one) const;
  // The node that a field names, or none: of that kind only.
  uint32_t node(uint64_t number_plus_one, MetadataKind kind) const {
    return number_plus_one && number_plus_one <= end() && this->kind(uint32_t(number_plus_one - 1)) == kind
               ? uint32_t(number_plus_one - 1)
               : none;
  }

 private:
  const Node* find(uint32_t number, const MetadataNodes*& holder) const;
};

Result<MetadataNodes> read_metadata(const Module& m);
// Of the block of a body; empty when it has none. `outer` is the module's and outlives `out`.
Result<void> read_body_metadata(const Module& m, const MetadataNodes& outer, uint32_t body, MetadataNodes& out);

}  // namespace lode::formats::bitcode
