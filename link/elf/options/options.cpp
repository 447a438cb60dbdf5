// Reading the ELF command line, as GNU ld reads it: long options take one or two dashes (those that begin with 'o' two,
// as -o is an option itself) and their value after '=' or as the next argument; one-letter options take it joined or as
// the next.
//
// What there is to read, the tables say (option_table.h); so do the lists that are printed from them
// (option_lists.cpp).
#include "link/elf/options/options.h"

#include <sys/stat.h>

#include <algorithm>

#include "link/elf/machines/machine.h"
#include "link/elf/options/option_actions.h"

namespace lode::link::elf {

namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = row[j];
      row[j] = next;
    }
  }
  return row[b.size()];
}

// What an argument turned out to be.
struct Match {
  const OptionRow* row = nullptr;
  std::string_view value;
  bool has_value = false;
};

Match match(std::string_view argument) {
  bool two = argument[1] == '-';
  std::string_view body = argument.substr(two ? 2 : 1);
  auto long_name = [&](std::string_view name) {
    return two || (name.size() > 1 && name != "lto");
  };  // -lto is a library
  // Long forms first; one dash and a leading 'o' is -o joined with its value.
  if (two || body.size() == 1 || body[0] != 'o') {
    const OptionRow* row = find_option(body);
    if (row && row->form != OptionForm::joined && (long_name(body) || body.size() == 1)) return {row, {}, false};
    size_t eq = body.find('=');
    if (eq != std::string_view::npos && eq > 0 && long_name(body.substr(0, eq)))
      if (const OptionRow* r = find_option(body.substr(0, eq));
          r && (r->form == OptionForm::value || r->form == OptionForm::optional_value))
        return {r, body.substr(eq + 1), true};
    if (row) {
      Match m{row, {}, true};
      each_name(*row, [&](std::string_view name) {
        if (body.starts_with(name)) m.value = body.substr(name.size());
      });
      return m;
    }
  }
  if (two) return {};
  const OptionRow* row = find_option(body.substr(0, 1));
  if (row && row->form == OptionForm::value) return {row, body.substr(1), true};
  return {};
}

Result<void> finish(OptionReader& r) {
  Options& o = r.o;
  // -static asks for a static program, unless --pop-state took it back.
  if (r.static_seen && r.is_static) o.is_static = true;
  // -shared with -pie is a library that can be run: it keeps its interpreter.
  if (r.shared_seen && r.pie_seen) {
    o.kind = OutputKind::shared;
    o.runnable_library = true;
  }
  if (o.kind == OutputKind::shared) o.is_static = false;
  if (o.kind != OutputKind::shared && !(o.auxiliary.empty() && o.filter.empty()))
    return error(std::string(o.filter.empty() ? "-auxiliary" : "-filter") + " may not be used without -shared");
  if (o.kind == OutputKind::relocatable && o.gdb_index)
    return error("--gdb-index may not be used with -r: the index speaks of final addresses");
  if (o.emulation.size() && !machine_of_emulation(o.emulation))
    return error("unsupported emulation: -m " + o.emulation + " (supported: " + emulation_list() + ")");
  std::vector<std::string> unique;
  for (const std::string& path : o.rpaths)
    if (std::find(unique.begin(), unique.end(), path) == unique.end()) unique.push_back(path);
  o.rpaths = unique;
  struct stat st;
  if (!o.map_file.empty() && stat(o.map_file.c_str(), &st) == 0 && S_ISDIR(st.st_mode))
    o.map_file += "/" + o.output.substr(o.output.rfind('/') + 1) + ".map";
  // A warning about text relocations was asked for, so that they are not refused.
  if (!o.text_given && (o.warn_textrel || (o.kind == OutputKind::shared && o.warn_shared_textrel))) o.text = false;
  if (o.omagic || o.nmagic) o.relro = false;
  // Whatever can be output is: later passes must find what it needs reserved, so these are no errors from the start.
  if (o.noinhibit_exec) {
    o.text = false;
    if (o.unresolved == Unresolved::error) o.unresolved = Unresolved::warn;
  }
  return {};
}

}  // namespace

const OptionRow* OptionTable::find(std::string_view name) const {
  auto it = std::lower_bound(names.begin(), names.end(), name,
                             [&](const OptionName& n, std::string_view wanted) { return text(n) < wanted; });
  return it != names.end() && text(*it) == name ? &rows[it->row] : nullptr;
}
const OptionRow* OptionTable::find_joined(std::string_view name) const {
  for (const OptionRow& row : rows) {
    if (row.form != OptionForm::joined) continue;
    bool begins = false;
    each_name(row, [&](std::string_view n) { begins |= name.starts_with(n); });
    if (begins) return &row;
  }
  return nullptr;
}

const OptionRow* find_option(std::string_view name) {
  const OptionTable tables[] = {effective_table(), other_table()};
  for (const OptionTable& t : tables)
    if (const OptionRow* row = t.find(name)) return row;
  for (const OptionTable& t : tables)
    if (const OptionRow* row = t.find_joined(name)) return row;
  return nullptr;
}
static const OptionRow* find_keyword(const OptionTable& table, std::string_view name) {
  const OptionRow* row = table.find(name);
  return row ? row : table.find_joined(name);
}
const OptionRow* find_z_keyword(std::string_view name) { return find_keyword(z_table(), name); }
const OptionRow* find_plugin_keyword(std::string_view name) { return find_keyword(plugin_table(), name); }

std::string spelled(std::string_view name) { return (name.size() == 1 ? "-" : "--") + std::string(name); }

std::string near_miss(std::span<const OptionRow> rows, std::string_view name, bool with_dashes) {
  std::string best;
  size_t best_distance = name.size() < 5 ? 2 : 3;  // fewer changes than this
  for (const OptionRow& row : rows)
    if (row.fate != OptionFate::heading)
      each_name(row, [&](std::string_view n) {
        if (n.size() < 2 || n.size() > name.size() + 2 || name.size() > n.size() + 2) return;
        if (size_t d = edit_distance(name, n); d < best_distance) {
          best_distance = d;
          best = with_dashes ? spelled(n) : std::string(n);
        }
      });
  return best.empty() ? best : " (did you mean " + best + "?)";
}

void take_option(OptionReader& r, const OptionRow& row, const std::string& name, std::string_view value) {
  if (row.fate == OptionFate::refused) {
    r.error = name + " is not supported: " + row.text;
    return;
  }
  if (row.action) row.action(r, value);
  if (row.fate == OptionFate::without_effect && r.error.empty())
    r.o.without_effect.push_back(name + " has no effect: " + row.text);
}

Result<std::vector<OptionUse>> match_arguments(const std::vector<std::string>& args) {
  std::vector<OptionUse> uses;
  bool only_files = false;
  for (size_t i = 1; i < args.size(); i++) {
    std::string_view a = args[i];
    if (only_files || a.size() < 2 || a[0] != '-') {
      uses.push_back({nullptr, a, {}});
      continue;
    }
    if (a == "--") {
      only_files = true;
      continue;
    }
    Match m = match(a);
    if (!m.row) {
      std::string_view name = a.substr(a[1] == '-' ? 2 : 1);
      name = name.substr(0, name.find('='));
      std::string hint = near_miss(effective_options(), name, true);
      if (hint.empty()) hint = near_miss(other_options(), name, true);
      return error("unknown command line option: " + std::string(a) + hint);
    }
    if (m.row->form == OptionForm::value && !m.has_value) {
      if (i + 1 >= args.size()) return error("option " + std::string(a) + ": argument missing");
      m.value = args[++i];
    }
    uses.push_back({m.row, a, m.value});
  }
  return uses;
}

Result<void> parse_options(const std::vector<std::string>& args, Options& o, std::vector<std::string>& warnings) {
  OptionReader r{o, warnings};
  if (!args.empty()) o.program = args[0];
  LODE_ASSIGN(auto uses, match_arguments(args));
  for (const OptionUse& use : uses) {
    if (!use.row) {
      r.input(InputArg::file, use.argument);
      continue;
    }
    r.spelled = use.argument;
    take_option(r, *use.row, std::string(use.argument.substr(0, use.argument.find('='))), use.value);
    if (!r.error.empty()) return error(r.error);
  }
  return finish(r);
}

}  // namespace lode::link::elf
