// Assembly text as statements: comments, macros, repetition and conditions.
//
// The text is cut into lines and these, at ';', into statements; labels in front of a statement are told apart from it.
// What makes text of text is done here and nowhere else: .macro, .rept, .irp, .irpc and the .if family (GNU as manual,
// "Pseudo Ops"; LLVM's AsmParser). Everything else goes to whoever assembles: labels one by one, then the statement.
//
// Text that makes itself larger is bounded: expansions nest 32 deep and are 16 MiB altogether.
#pragma once

#include <cctype>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lode::codegen {

inline bool asm_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }
inline bool asm_digit(char c) { return c >= '0' && c <= '9'; }
// Operands of inline assembly that are no registers stand in its text as names of their own: \x01 number \x02.
inline bool asm_name_start(char c) {
  return std::isalpha(uint8_t(c)) || c == '_' || c == '.' || c == '$' || c == '\x01' || uint8_t(c) >= 0x80;
}
inline bool asm_name_part(char c) { return asm_name_start(c) || asm_digit(c) || c == '\x02'; }
inline std::string_view asm_trim(std::string_view s) {
  while (!s.empty() && asm_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && asm_space(s.back())) s.remove_suffix(1);
  return s;
}
// The text up to the next comma outside of quotes, parentheses and brackets, which is taken off `rest`.
std::string_view asm_field(std::string_view& rest);
std::string_view asm_unquoted(std::string_view s);
// The bytes of "..." with its escapes; `s` has the quotes. False: not a string, or an unknown escape.
bool asm_string(std::string_view s, std::string& out);

class AsmText {
 public:
  struct Hooks {
    std::function<Result<void>(std::string_view name)> label;
    std::function<Result<void>(std::string_view statement)> statement;
    std::function<bool(std::string_view expression, int64_t& value)> evaluate;  // for conditions and counts
    std::function<bool(std::string_view name)> is_defined;
  };
  // `what` is how messages call the text: "inline assembly".
  AsmText(Hooks hooks, std::string what) : hooks_(std::move(hooks)), what_(std::move(what)) {}

  Result<void> run(std::string_view text);
  // The line of the current statement with a mark under `where`, a part of the statement; only within the hooks.
  Error error(std::string_view where, std::string message) const;

 private:
  struct Condition {
    bool active;  // the statements are assembled
    bool done;    // a branch has been, or the whole lies in text that is left out
  };
  struct Parameter {
    std::string name, value;
    bool required = false, rest = false;
  };
  struct Macro {
    std::vector<Parameter> parameters;
    std::string body;
  };
  using Values = std::vector<std::pair<std::string, std::string>>;

  Result<void> lines(std::string_view text, unsigned depth);
  Result<void> statement(std::string_view s, std::string_view& rest_of_text, unsigned depth);
  Result<bool> condition(std::string_view name, std::string_view rest, std::string_view s);
  Result<bool> holds(std::string_view name, std::string_view rest, std::string_view s);
  Result<bool> block(std::string_view name, std::string_view rest, std::string_view s, std::string_view& text,
                     unsigned depth);
  Result<void> define_macro(std::string_view rest, std::string_view s, std::string body);
  Result<void> call_macro(const Macro& m, std::string_view rest, std::string_view s, unsigned depth);
  Result<void> expand(std::string_view body, const Values& values, std::string_view s, unsigned depth);
  bool skipping() const { return !conditions_.empty() && !conditions_.back().active; }

  Hooks hooks_;
  std::string what_;
  std::vector<Condition> conditions_;  // open .if's, the innermost last
  std::map<std::string, Macro, std::less<>> macros_;
  std::string_view line_;              // the current one
  uint32_t number_ = 0;                // of the line, in the text that was given
  uint64_t expanded_ = 0;
  uint32_t expansions_ = 0;
  bool leave_macro_ = false;
};

}  // namespace lode::codegen
