// What rows of the option tables do with their value. Flags and plain values are templates; values with a grammar of
// their own are functions of option_actions.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "link/elf/options/option_table.h"
#include "link/elf/options/options.h"

namespace lode::link::elf {

// The state between two arguments. An action that cannot use its value sets `error`.
struct OptionReader {
  Options& o;
  std::vector<std::string>& warnings;
  bool as_needed = false, whole_archive = false, is_static = false, binary = false;
  struct Saved {
    bool as_needed, whole_archive, is_static;
  };
  std::vector<Saved> stack = {};
  std::string error = {};
  std::string_view spelled = {};  // the argument that is read
  bool static_seen = false, shared_seen = false, pie_seen = false;

  void input(InputArg::Kind kind, std::string_view name) {
    o.inputs.push_back({kind, std::string(name), as_needed, whole_archive, is_static, binary});
  }
};

namespace option_action {

template <bool Options::*Field, bool Set>
void set(OptionReader& r, std::string_view) {
  r.o.*Field = Set;
}
template <std::string Options::*Field>
void text(OptionReader& r, std::string_view v) {
  r.o.*Field = std::string(v);
}
template <std::vector<std::string> Options::*Field>
void append(OptionReader& r, std::string_view v) {
  (r.o.*Field).emplace_back(v);
}
template <auto Field, auto Value>
void put(OptionReader& r, std::string_view) {
  r.o.*Field = Value;
}
template <std::string Options::*Field>
void list(OptionReader& r, std::string_view v) {  // separated by colons
  r.o.*Field += ((r.o.*Field).empty() ? "" : ":") + std::string(v);
}
template <InputArg::Kind Kind>
void input(OptionReader& r, std::string_view v) {
  r.input(Kind, v);
}
template <OutputKind Kind>
void output_kind(OptionReader& r, std::string_view) {
  r.o.kind = Kind;
  r.shared_seen |= Kind == OutputKind::shared;
  r.pie_seen = Kind == OutputKind::pie || (r.pie_seen && Kind == OutputKind::shared);
}
template <bool OptionReader::*Field, bool Set>
void state(OptionReader& r, std::string_view) {
  r.*Field = Set;
}

uint64_t need_number(OptionReader& r, std::string_view v);
uint64_t need_hex(OptionReader& r, std::string_view v);
template <auto Field>
void number(OptionReader& r, std::string_view v) {
  r.o.*Field = static_cast<std::remove_reference_t<decltype(r.o.*Field)>>(need_number(r, v));
}

// Without effect, but only for this value; others ask for something.
void only_none(OptionReader&, std::string_view);
void only_posix(OptionReader&, std::string_view);
void only_prefix_addr(OptionReader&, std::string_view);

void build_id(OptionReader&, std::string_view);
void cet_report(OptionReader&, std::string_view);
void chroot(OptionReader&, std::string_view);
void color(OptionReader&, std::string_view);
void compress_debug(OptionReader&, std::string_view);
void compress_sections(OptionReader&, std::string_view);
void dead_reloc(OptionReader&, std::string_view);
void defsym(OptionReader&, std::string_view);
void exclude_libs(OptionReader&, std::string_view);
void hash_style(OptionReader&, std::string_view);
void icf(OptionReader&, std::string_view);
void image_base(OptionReader&, std::string_view);
void input_format(OptionReader&, std::string_view);
void max_page_size(OptionReader&, std::string_view);
void mir_cache_size(OptionReader&, std::string_view);
void no_discard_section(OptionReader&, std::string_view);
void no_unwritable_text(OptionReader&, std::string_view);  // -N
void no_page_alignment(OptionReader&, std::string_view);   // -n
void orphan_handling(OptionReader&, std::string_view);
void output_format(OptionReader&, std::string_view);
void pack_dyn_relocs(OptionReader&, std::string_view);
void package_metadata(OptionReader&, std::string_view);
void physical_image_base(OptionReader&, std::string_view);
void plugin_keyword(OptionReader&, std::string_view);
void pop_state(OptionReader&, std::string_view);
void push_state(OptionReader&, std::string_view);
void help_format(OptionReader&, std::string_view);
void remap_inputs(OptionReader&, std::string_view);
void rpath_or_symbols(OptionReader&, std::string_view);    // -R
void script(OptionReader&, std::string_view);
void section_align(OptionReader&, std::string_view);
void section_start(OptionReader&, std::string_view);
void shared_library_control(OptionReader&, std::string_view);  // -a
void shuffle_sections(OptionReader&, std::string_view);
void sort_section(OptionReader&, std::string_view);
void start_stop_visibility(OptionReader&, std::string_view);
void static_pie(OptionReader&, std::string_view);
void static_program(OptionReader&, std::string_view);
void text_segment(OptionReader&, std::string_view);
void threads(OptionReader&, std::string_view);
void unresolved(OptionReader&, std::string_view);
void z_keyword(OptionReader&, std::string_view);

}  // namespace option_action

// The arguments of a command line with what they turned out to be.
struct OptionUse {
  const OptionRow* row = nullptr;  // null: an input file
  std::string_view argument;       // as written; of a value in an argument of its own, the first of the two
  std::string_view value;
};
Result<std::vector<OptionUse>> match_arguments(const std::vector<std::string>& args);

// Accepts or refuses what `row` asks for; `name` as the user wrote it, for messages.
void take_option(OptionReader& reader, const OptionRow& row, const std::string& name, std::string_view value);
// " (did you mean --as-needed?)" when a row has a name like this one.
std::string near_miss(std::span<const OptionRow> rows, std::string_view name, bool with_dashes);

}  // namespace lode::link::elf
