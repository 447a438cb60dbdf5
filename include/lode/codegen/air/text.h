// The text form of AIR (`.air`): docs/air.md is its reference.
//
// Parsing never stops at the first error. A declaration that is broken hides nothing of the others: its name stays
// known, so that uses of it are not errors, and functions with syntax errors are not verified. Every error carries line
// and column.
//
// Declarations are kept by the 128-bit XXH3 hash of their qualified name, "<kind>:<name>", where kind is symbol, type
// or comdat.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lode/codegen/air/air.h"

namespace lode::air {

// The version of the language that is read and printed: the text may begin with a line `air 1`. A text of a later
// version is refused. What a version reads, all later ones read, and give it the same meaning.
inline constexpr unsigned text_version = 1;

struct Diagnostic {
  uint32_t line = 0, column = 0;  // from 1; 0: not known
  std::string message;
};

struct ParsedModule {
  Module module;  // complete only if there are no errors; `bodies` is null, in_memory holds the functions
  std::vector<Diagnostic> errors;   // in the order of the text
};

// Parses and verifies, function bodies on the threads of the TBB arena that it is called in; what comes of it does not
// depend on how many these are. `file_name` becomes Module::name. Returns true if there were no errors.
bool parse_text(std::string_view source, std::string file_name, ParsedModule& out);

// "file:line:column: error: message", the source line, a caret.
std::string format_diagnostic(std::string_view file_name, std::string_view source, const Diagnostic& d);

// parse_text() with all errors formatted into one Error.
Result<Module> read_text(std::string_view source, std::string file_name);

// Is this an AIR text, by its first words? (UTF-8 text whose first token that is no comment is an item keyword of AIR.)
bool looks_like_text(std::string_view source);

// Printing; parse(print(m)) prints the same text again. Bodies that `m.bodies` holds are read.
Result<std::string> print_module(const Module& m);
std::string print_function(const Module& m, const Function& fn);
std::string type_name(const TypeTable& types, TypeId t);
// One instruction without its location, for messages.
std::string print_instruction(const Module& m, const Function& fn, const Inst& i);

}  // namespace lode::air
