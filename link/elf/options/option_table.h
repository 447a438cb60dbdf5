// The tables of the ELF command line.
//
// What GNU ld, lld and mold take is here, row by row, and each row says what becomes of the request:
//   effective       it has an action, which writes into Options; --help says what it does
//   without effect  it is accepted, because nothing that it asks for can be missing from the output; the row says why
//   refused         it is an error, since the output would lack what was asked for; the row says what is missing
// There is no fourth kind: an option that is read and forgotten cannot be written down. Three tables: options, keywords
// of -z, and what -plugin-opt passes on. Adding an option is adding a row, its field in Options, and an example in
// tests/link/elf_option_table_test.cpp, which links with and without it and wants to see a difference.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lode::link::elf {

struct OptionReader;

enum class OptionForm : uint8_t {
  flag,
  value,           // after '=', joined (one-letter options), or the next argument
  optional_value,  // only after '='
  joined,          // nothing between name and value, which may be empty: --lto-O2
};
enum class OptionFate : uint8_t { effective, without_effect, refused, heading };
using OptionAction = void (*)(OptionReader&, std::string_view value);

struct OptionRow {
  const char*
      names;  // without dashes, separated by blanks; the first one is the one that lists show. A heading's title
  const char* metavar;  // what lists call the value: "FILE"; "[=STYLE]" for an optional one; "" for a flag
  OptionAction action;  // effective: what it does. Others: a check of the value, or null
  const char*
      text;  // effective: help. Without effect: why. Refused: what is not done. May hold no '|', which ends a cell
  OptionFate fate;
  OptionForm form;
};

constexpr OptionForm form_of(const char* metavar) {
  return !metavar[0]         ? OptionForm::flag
         : metavar[0] == '[' ? OptionForm::optional_value
         : metavar[0] == '*' ? OptionForm::joined
                             : OptionForm::value;
}
constexpr OptionRow heading(const char* title) {
  return {title, "", nullptr, "", OptionFate::heading, OptionForm::flag};
}
constexpr OptionRow effective(const char* names, const char* metavar, OptionAction action, const char* help) {
  return {names, metavar, action, help, OptionFate::effective, form_of(metavar)};
}
constexpr OptionRow without_effect(const char* names, const char* metavar, const char* why,
                                   OptionAction check = nullptr) {
  return {names, metavar, check, why, OptionFate::without_effect, form_of(metavar)};
}
constexpr OptionRow refused(const char* names, const char* metavar, const char* what) {
  return {names, metavar, nullptr, what, OptionFate::refused, form_of(metavar)};
}

std::span<const OptionRow> effective_options();  // option_rows.cpp
std::span<const OptionRow> other_options();      // option_rows_other.cpp
std::span<const OptionRow> z_keywords();         // option_keywords.cpp
std::span<const OptionRow> plugin_keywords();

// The row of a name in one of these tables, or null. Names of `joined` rows are found by their beginning.
const OptionRow* find_option(std::string_view name);
const OptionRow* find_z_keyword(std::string_view name);
const OptionRow* find_plugin_keyword(std::string_view name);
template <class F>
void each_name(const OptionRow& row, F&& f) {
  for (std::string_view rest = row.names; !rest.empty();) {
    size_t n = std::min(rest.find(' '), rest.size());
    f(rest.substr(0, n));
    rest.remove_prefix(std::min(n + 1, rest.size()));
  }
}
// "-o", "--output": with the dashes that lists show.
std::string spelled(std::string_view name);

}  // namespace lode::link::elf
