// As much of the metadata as gives source files to debug locations, the module's flags, and functions' type numbers.
//
// Metadata is numbered: first the strings, then the nodes, first of the module's block, then of the function's block,
// if it has one (clang puts what only one function uses there: even its DIFile). A DebugLoc's scope is a DISubprogram
// or a lexical block, whose file is its own or, for lack of one, that of the scope around it. Other nodes are walked
// and only counted.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "formats/bitcode/module.h"

namespace lode::formats::bitcode {

struct DebugScopes {
  struct Node {
    enum Kind : uint8_t { Other, Text, File, Scope, Unit, Value, Single, Triple, Location, Expression };
    Kind kind = Other;
    uint32_t a =
        0;  // Text: index into strings; File: number + 1 of the name; Scope: number + 1 of the file; Value: value;
            // Single: number + 1 of the operand; Triple: index into triples; Location: number + 1 of inlinedAt;
            // Expression: the first bit of the part that it is about
    uint32_t b = 0;  // File: number + 1 of the directory; Scope: number + 1 of the scope around it;
                     // Location: number + 1 of the scope; Expression: the bits of that part, 0: all
  };
  struct SourceFile {
    std::string_view name, directory;  // the directory is empty or what a relative name is relative to
  };
  uint32_t first = 0;                      // the number of nodes[0]
  std::vector<Node> nodes;
  std::vector<std::string_view> strings;   // into the file
  struct Triple {
    uint32_t operands[3];                  // numbers + 1
  };
  std::vector<Triple> triples;
  std::vector<uint32_t> flags;             // of the module: the nodes of !llvm.module.flags
  const DebugScopes* outer = nullptr;      // a function's: the module's, with lower numbers
  bool has_units = false;                  // there is a compile unit, so functions may have locations

  uint32_t end() const { return first + uint32_t(nodes.size()); }
  const Node* node(uint32_t number) const;
  std::string_view text(uint32_t number_plus_one) const;
  // The number of the DIFile node of a DebugLoc's scope (which is a number plus one); none when there is none.
  uint32_t file_of(uint32_t scope_plus_one) const;
  SourceFile file(uint32_t number) const;
};

struct ModuleFlag {
  std::string_view name;
  uint32_t value = none;   // a value of the module, or none
  std::string_view text;   // a string in its place
};
std::vector<ModuleFlag> module_flags(const DebugScopes& module);

Result<DebugScopes> read_scopes(const Module& m);
// `outer` is the module's and must outlive `out`. Empty when the function has no metadata block.
Result<void> read_body_scopes(const Module& m, const DebugScopes& outer, uint32_t body, DebugScopes& out);

}  // namespace lode::formats::bitcode
