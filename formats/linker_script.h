// The linker scripts that stand for libraries (libc.so, libm.a): INPUT, GROUP, AS_NEEDED, OUTPUT_FORMAT, SEARCH_DIR and
// friends, simple symbol assignments; and the version-script and dynamic-list languages, which share the lexer.
// Section layout (SECTIONS, MEMORY, PHDRS) is not read: it is an error that says so.
//
// All strings borrow the text given to the parser. Errors carry "line N" in front of the message.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lode::formats {

struct VersionPattern {
  std::string_view text;
  bool is_glob = false;  // has * ? [ outside of quotes
  bool is_cpp = false;   // matched against the demangled name
};

struct VersionNode {
  std::string_view name;    // empty for an anonymous node
  std::string_view parent;  // the last one named, or empty
  std::vector<VersionPattern> global, local;
};

struct VersionScript {
  std::vector<VersionNode> nodes;
};

struct ScriptInput {
  std::string_view name;  // a path, or a name after "-l"
  bool is_library = false;
  bool as_needed = false;
};

struct ScriptAssignment {
  std::string_view name, expression;  // the expression: a symbol or a number, + or - a number
  bool provide = false, hidden = false;
};

struct LinkerScript {
  std::vector<ScriptInput> inputs;
  std::vector<std::string_view> search_dirs, externs;
  std::vector<ScriptAssignment> assignments;
  std::string_view output_format, entry;
  VersionScript version;
};

Result<LinkerScript> parse_linker_script(std::string_view text);
Result<VersionScript> parse_version_script(std::string_view text);
// "{ a; b; extern "C++" { ... }; };" as --dynamic-list takes it.
Result<std::vector<VersionPattern>> parse_dynamic_list(std::string_view text);

// Shell-style match of * ? [a-z] [!a-z] and backslash; never more than O(pattern * text).
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace lode::formats
