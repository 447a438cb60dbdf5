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
#include <array>
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

// The names of the rows of a table, made by the compiler: in the order of the alphabet, as numbers, so that finding one
// takes no table that has to be filled first, and no address that the dynamic linker has to write.
struct OptionName {
  uint16_t row = 0, begin = 0;  // where in its row's names
  uint8_t size = 0;
};
struct OptionTable {
  std::span<const OptionRow> rows;
  std::span<const OptionName> names;
  std::string_view text(const OptionName& n) const { return {rows[n.row].names + n.begin, n.size}; }
  // The row of a name. Names of `joined` rows are found by their beginning, where there is no other. Null: none.
  const OptionRow* find(std::string_view name) const;
  const OptionRow* find_joined(std::string_view name) const;
};
template <class F>
constexpr void each_name(const OptionRow& row, F&& f) {
  for (std::string_view rest = row.names; !rest.empty();) {
    size_t n = std::min(rest.find(' '), rest.size());
    f(rest.substr(0, n));
    rest.remove_prefix(std::min(n + 1, rest.size()));
  }
}
constexpr size_t count_names(std::span<const OptionRow> rows) {
  size_t count = 0;
  for (const OptionRow& row : rows)
    if (row.fate != OptionFate::heading) each_name(row, [&](std::string_view) { count++; });
  return count;
}
template <size_t count>
constexpr std::array<OptionName, count> sorted_names(std::span<const OptionRow> rows) {
  std::array<OptionName, count> names;
  size_t at = 0;
  for (size_t i = 0; i < rows.size(); i++)
    if (rows[i].fate != OptionFate::heading)
      each_name(rows[i], [&](std::string_view n) {
        names[at++] = {uint16_t(i), uint16_t(n.data() - rows[i].names), uint8_t(n.size())};
      });
  std::sort(names.begin(), names.end(), [&](const OptionName& a, const OptionName& b) {
    const std::string_view x{rows[a.row].names + a.begin, a.size}, y{rows[b.row].names + b.begin, b.size};
    return x != y ? x < y : a.row < b.row;
  });
  return names;
}

std::span<const OptionRow> effective_options();  // option_rows.cpp
std::span<const OptionRow> other_options();      // option_rows_other.cpp
std::span<const OptionRow> z_keywords();         // option_keywords.cpp
std::span<const OptionRow> plugin_keywords();
OptionTable effective_table();
OptionTable other_table();
OptionTable z_table();
OptionTable plugin_table();

// The row of a name in one of these tables, or null. Names of `joined` rows are found by their beginning.
const OptionRow* find_option(std::string_view name);
const OptionRow* find_z_keyword(std::string_view name);
const OptionRow* find_plugin_keyword(std::string_view name);
// "-o", "--output": with the dashes that lists show.
std::string spelled(std::string_view name);

}  // namespace lode::link::elf
