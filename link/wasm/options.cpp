// The options as a table: name, how its value is written, what it does. An option is accepted with one or two dashes; a
// joined value stands behind "=", a separate one in the next argument (both for most, as in wasm-ld). What only
// concerns LLVM's own optimiser is accepted and has no effect.
#include "link/wasm/options.h"

#include "link/cache/mir_cache.h"
#include "link/common/response_file.h"

#include <charconv>
#include <cstdio>
#include <cstring>

namespace lode::link::wasm {

namespace {

enum class Value : uint8_t { none, required, optional };  // optional: only joined by "="

struct State {
  Options o;
  bool whole_archive = false;
  std::string error;
  std::vector<std::string>& warnings = o.warnings;
};

struct Row {
  const char* name;
  Value value;
  void (*apply)(State&, const std::string&);
  const char* help;
};

uint64_t number(State& s, const char* option, const std::string& text) {
  uint64_t v = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    begin += 2;
    base = 16;
  }
  auto [at, code] = std::from_chars(begin, end, v, base);
  if (code != std::errc() || at != end || begin == end)
    s.error = std::string("--") + option + ": not a number: " + text;
  return v;
}
void split(std::vector<std::string>& out, const std::string& text) {
  for (size_t at = 0; at <= text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) out.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
}
void ignore(State&, const std::string&) {}
void build_id(State& s, const std::string& v) {
  auto request = parse_build_id(v.empty() ? "fast" : v);
  if (!request) s.error = "--build-id: " + request.error().message;
  else if (request->style == BuildId::md5 || request->style == BuildId::sha256)
    s.error = "--build-id: wasm has no style '" + v + "'";
  if (!s.error.empty()) return;
  s.o.build_id = request->style;
  s.o.build_id_bytes = std::move(request->bytes);
}

// clang-format off
const Row rows[] = {
    {"o", Value::required, [](State& s, const std::string& v) { s.o.output = v; }, "FILE: write the output to FILE"},
    {"m", Value::required, [](State& s, const std::string& v) {
       if (v == "wasm64") s.o.memory64 = true;
       else if (v != "wasm32") s.error = "-m " + v + ": unknown emulation (wasm32 and wasm64 are known)";
     }, "wasm32|wasm64: the width of addresses"},
    {"r", Value::none, [](State& s, const std::string&) { s.o.relocatable = true; }, "write a relocatable object"},
    {"relocatable", Value::none, [](State& s, const std::string&) { s.o.relocatable = true; }, nullptr},
    {"e", Value::required, [](State& s, const std::string& v) { s.o.entry = v, s.o.entry_given = true; }, "NAME: the entry function"},
    {"entry", Value::required, [](State& s, const std::string& v) { s.o.entry = v, s.o.entry_given = true; }, nullptr},
    {"no-entry", Value::none, [](State& s, const std::string&) { s.o.no_entry = true; }, "there is no entry function"},
    {"L", Value::required, [](State& s, const std::string& v) { s.o.library_paths.push_back(v); }, "DIR: where -l looks"},
    {"library-path", Value::required, [](State& s, const std::string& v) { s.o.library_paths.push_back(v); }, nullptr},
    {"l", Value::required, [](State& s, const std::string& v) { s.o.inputs.push_back({InputArg::library, v, s.whole_archive}); }, "NAME: link libNAME.a"},
    {"library", Value::required, [](State& s, const std::string& v) { s.o.inputs.push_back({InputArg::library, v, s.whole_archive}); }, nullptr},
    {"whole-archive", Value::none, [](State& s, const std::string&) { s.whole_archive = true; }, "take all members of the archives that follow"},
    {"no-whole-archive", Value::none, [](State& s, const std::string&) { s.whole_archive = false; }, nullptr},
    {"start-lib", Value::none, [](State& s, const std::string&) { s.o.inputs.push_back({InputArg::lib_start, "", false}); }, "treat the objects up to --end-lib like archive members"},
    {"end-lib", Value::none, [](State& s, const std::string&) { s.o.inputs.push_back({InputArg::lib_end, "", false}); }, nullptr},
    {"u", Value::required, [](State& s, const std::string& v) { s.o.undefined.push_back(v); }, "NAME: as if it were referred to"},
    {"undefined", Value::required, [](State& s, const std::string& v) { s.o.undefined.push_back(v); }, nullptr},
    {"export", Value::required, [](State& s, const std::string& v) { s.o.required_exports.push_back(v); }, "NAME: export it; an error if it is not defined"},
    {"export-if-defined", Value::required, [](State& s, const std::string& v) { s.o.exports.push_back(v); }, "NAME: export it if it is defined"},
    {"export-all", Value::none, [](State& s, const std::string&) { s.o.export_all = true; }, "export all symbols"},
    {"export-dynamic", Value::none, [](State& s, const std::string&) { s.o.export_dynamic = true; }, "export all symbols that are not hidden"},
    {"E", Value::none, [](State& s, const std::string&) { s.o.export_dynamic = true; }, nullptr},
    {"no-export-dynamic", Value::none, [](State& s, const std::string&) { s.o.export_dynamic = false; }, nullptr},
    {"export-table", Value::none, [](State& s, const std::string&) { s.o.export_table = true; }, "export the indirect function table"},
    {"import-table", Value::none, [](State& s, const std::string&) { s.o.import_table = true; }, "import the indirect function table"},
    {"growable-table", Value::none, [](State& s, const std::string&) { s.o.growable_table = true; }, "the table has no maximum"},
    {"table-base", Value::required, [](State& s, const std::string& v) { s.o.table_base = number(s, "table-base", v); }, "N: first used slot of the table (1)"},
    {"import-memory", Value::optional, [](State& s, const std::string& v) {
       s.o.import_memory = true;
       if (v.empty()) return;
       size_t comma = v.find(',');
       s.o.import_memory_module = v.substr(0, comma);
       if (comma == std::string::npos || comma == 0 || comma + 1 == v.size()) s.error = "--import-memory=" + v + ": MODULE,NAME is expected";
       else s.o.import_memory_name = v.substr(comma + 1);
     }, "[=MODULE,NAME]: import the memory"},
    {"export-memory", Value::optional, [](State& s, const std::string& v) {
       s.o.export_memory = true;
       if (!v.empty()) s.o.export_memory_name = v;
     }, "[=NAME]: export the memory (the default unless it is imported)"},
    {"shared-memory", Value::none, [](State& s, const std::string&) { s.o.shared_memory = true; }, "the memory is shared between threads"},
    {"stack-first", Value::none, [](State& s, const std::string&) { s.o.stack_first = true; }, "the stack lies below the data"},
    {"no-stack-first", Value::none, [](State& s, const std::string&) { s.o.stack_first = false; }, nullptr},
    {"z", Value::required, [](State& s, const std::string& v) {
       if (v.starts_with("stack-size=")) s.o.stack_size = number(s, "z stack-size", v.substr(11));
       else s.warnings.push_back("unknown -z value: " + v);
     }, "stack-size=N: bytes of the stack (65536)"},
    {"global-base", Value::required, [](State& s, const std::string& v) { s.o.global_base = number(s, "global-base", v), s.o.global_base_given = true; }, "N: address of the first data (1024)"},
    {"initial-memory", Value::required, [](State& s, const std::string& v) { s.o.initial_memory = number(s, "initial-memory", v); }, "N: bytes"},
    {"initial-heap", Value::required, [](State& s, const std::string& v) { s.o.initial_heap = number(s, "initial-heap", v); }, "N: bytes"},
    {"max-memory", Value::required, [](State& s, const std::string& v) { s.o.max_memory = number(s, "max-memory", v); }, "N: bytes"},
    {"no-growable-memory", Value::none, [](State& s, const std::string&) { s.o.growable_memory = false; }, "the memory keeps its initial size"},
    {"gc-sections", Value::none, [](State& s, const std::string&) { s.o.gc_sections = true; }, "leave out what is not used (default)"},
    {"no-gc-sections", Value::none, [](State& s, const std::string&) { s.o.gc_sections = false; }, "keep everything"},
    {"print-gc-sections", Value::none, [](State& s, const std::string&) { s.o.print_gc_sections = true; }, "list what was left out"},
    {"no-print-gc-sections", Value::none, [](State& s, const std::string&) { s.o.print_gc_sections = false; }, nullptr},
    {"strip-all", Value::none, [](State& s, const std::string&) { s.o.strip_all = true; }, "leave out names, debug information and other custom sections"},
    {"s", Value::none, [](State& s, const std::string&) { s.o.strip_all = true; }, nullptr},
    {"strip-debug", Value::none, [](State& s, const std::string&) { s.o.strip_debug = true; }, "leave out debug information"},
    {"S", Value::none, [](State& s, const std::string&) { s.o.strip_debug = true; }, nullptr},
    {"keep-section", Value::required, [](State& s, const std::string& v) { s.o.keep_sections.push_back(v); }, "NAME: keep this custom section in spite of --strip-all"},
    {"merge-data-segments", Value::none, [](State& s, const std::string&) { s.o.merge_data_segments = true; }, nullptr},
    {"no-merge-data-segments", Value::none, [](State& s, const std::string&) { s.o.merge_data_segments = false; }, "one segment a data item"},
    {"compress-relocations", Value::none, [](State& s, const std::string&) { s.o.compress = s.o.compress_given = true; }, "shortest encodings in the code of objects (default)"},
    {"no-compress-relocations", Value::none, [](State& s, const std::string&) { s.o.compress = s.o.compress_given = false; }, "keep the code of objects as long as it is"},
    {"features", Value::required, [](State& s, const std::string& v) { s.o.features_given = true, split(s.o.features, v); }, "LIST: what the module may use"},
    {"extra-features", Value::required, [](State& s, const std::string& v) { split(s.o.extra_features, v); }, "LIST: features in addition to those of the inputs"},
    {"check-features", Value::none, [](State& s, const std::string&) { s.o.check_features = true; }, nullptr},
    {"no-check-features", Value::none, [](State& s, const std::string&) { s.o.check_features = false; }, "features that do not fit together are no error"},
    {"allow-undefined", Value::none, [](State& s, const std::string&) { s.o.unresolved = Unresolved::ignore, s.o.import_undefined = true; }, "undefined functions become imports; the rest is ignored"},
    {"import-undefined", Value::none, [](State& s, const std::string&) { s.o.import_undefined = true; }, "undefined functions become imports"},
    {"allow-undefined-file", Value::required, [](State& s, const std::string& v) { s.o.allow_undefined_files.push_back(v); }, "FILE: names that may be undefined"},
    {"unresolved-symbols", Value::required, [](State& s, const std::string& v) {
       if (v == "report-all") s.o.unresolved = Unresolved::report;
       else if (v == "ignore-all") s.o.unresolved = Unresolved::ignore;
       else if (v == "import-dynamic") s.o.unresolved = Unresolved::import_dynamic;
       else s.error = "unknown --unresolved-symbols value: " + v + " (report-all, ignore-all and import-dynamic are known)";
     }, "report-all|ignore-all|import-dynamic"},
    {"warn-unresolved-symbols", Value::none, [](State& s, const std::string&) { s.o.unresolved = Unresolved::warn; }, nullptr},
    {"error-unresolved-symbols", Value::none, [](State& s, const std::string&) { s.o.unresolved = Unresolved::report; }, nullptr},
    {"wrap", Value::required, [](State& s, const std::string& v) { s.o.wraps.push_back(v); }, "NAME: NAME means __wrap_NAME, __real_NAME means NAME"},
    {"defsym", Value::required, [](State& s, const std::string& v) {
       size_t at = v.find('=');
       if (at == std::string::npos || at == 0) s.error = "--defsym " + v + ": NAME=NUMBER or NAME=NAME is expected";
       else s.o.defsyms.emplace_back(v.substr(0, at), v.substr(at + 1));
     }, "NAME=VALUE: define a symbol as an address or as another name"},
    {"y", Value::required, [](State& s, const std::string& v) { s.o.trace_symbols.push_back(v); }, "NAME: tell who defines and who uses it"},
    {"trace-symbol", Value::required, [](State& s, const std::string& v) { s.o.trace_symbols.push_back(v); }, nullptr},
    {"t", Value::none, [](State& s, const std::string&) { s.o.trace = true; }, "name each input"},
    {"trace", Value::none, [](State& s, const std::string&) { s.o.trace = true; }, nullptr},
    {"why-extract", Value::required, [](State& s, const std::string& v) { s.o.why_extract_file = v; }, "FILE: tell why members of archives are taken"},
    {"build-id", Value::optional, build_id, "[=fast|sha1|uuid|0xHEX|none]: a section that identifies the module"},
    {"reproduce", Value::required, [](State& s, const std::string&) { s.error = "--reproduce is not supported"; }, nullptr},
    {"M", Value::none, [](State& s, const std::string&) { s.o.map_file = "-"; }, "print a map"},
    {"print-map", Value::none, [](State& s, const std::string&) { s.o.map_file = "-"; }, nullptr},
    {"Map", Value::required, [](State& s, const std::string& v) { s.o.map_file = v; }, "FILE: write a map"},
    {"soname", Value::required, [](State& s, const std::string& v) { s.o.module_name = v; }, "NAME: the module's name in the name section"},
    {"demangle", Value::none, [](State& s, const std::string&) { s.o.demangle = true; }, nullptr},
    {"no-demangle", Value::none, [](State& s, const std::string&) { s.o.demangle = false; }, "show C++ names as they are"},
    {"error-limit", Value::required, [](State& s, const std::string& v) { s.o.error_limit = unsigned(number(s, "error-limit", v)); }, "N: stop after N errors (0: never)"},
    // The command takes these two out of the line (link/watch): who sees them is a host, or --watch is missing.
    {"watch", Value::none, [](State& s, const std::string&) { s.error = "--watch is for the command"; }, "stay, and link again when an input changes"},
    {"watch-run", Value::required, [](State& s, const std::string&) { s.error = "--watch-run is for --watch"; }, "COMMAND: with --watch, run it (by the shell) after each link, with LODE_OUTPUT set"},
    {"threads", Value::required, [](State& s, const std::string& v) {
       s.o.threads = unsigned(number(s, "threads", v));
       if (s.error.empty() && s.o.threads == 0) s.error = "--threads: a positive number is expected";
     }, "N: how many threads to use"},
    {"mir-cache", Value::required, [](State& s, const std::string& v) { s.o.mir_cache = v; }, "FOLDER: keep the code of functions of IR there, and take what an earlier link made"},
    {"mir-cache-size", Value::required, [](State& s, const std::string& v) {
       const auto size = parse_cache_size(v);
       if (size) s.o.mir_cache_size = *size;
       else s.error = "--mir-cache-size: not a size: " + v;
     }, "SIZE: what that folder may hold, in bytes, or with K, M or G; 2G unless given"},
    {"mir-cache-stats", Value::none, [](State& s, const std::string&) { s.o.mir_cache_stats = true; }, "print what was found there and what was made"},
    {"incremental", Value::none, [](State& s, const std::string&) { s.o.incremental = true; }, "keep what the next link can go on from beside the output, and go on from what the last one kept"},
    {"incremental-full", Value::none, [](State& s, const std::string&) { s.o.incremental = s.o.incremental_full = true; }, "the same, but do not go on from it"},
    {"fatal-warnings", Value::none, [](State& s, const std::string&) { s.o.fatal_warnings = true; }, "warnings are errors"},
    {"no-fatal-warnings", Value::none, [](State& s, const std::string&) { s.o.fatal_warnings = false; }, nullptr},
    {"w", Value::none, [](State& s, const std::string&) { s.o.no_warnings = true; }, nullptr},
    {"color-diagnostics", Value::optional, [](State& s, const std::string& v) { s.o.color = v != "never" && v != "auto"; }, nullptr},
    {"no-color-diagnostics", Value::none, [](State& s, const std::string&) { s.o.color = false; }, nullptr},
    {"verbose", Value::none, [](State& s, const std::string&) { s.o.verbose = true; }, "tell what is done"},
    {"v", Value::none, [](State& s, const std::string&) { s.o.show_version = true; }, nullptr},
    {"version", Value::none, [](State& s, const std::string&) { s.o.show_version = true; }, "print the version"},
    {"help", Value::none, [](State& s, const std::string&) { s.o.show_help = true; }, "print this list"},
    {"shared", Value::none, [](State& s, const std::string&) { s.error = "--shared: shared libraries for wasm are not supported"; }, nullptr},
    {"pie", Value::none, [](State& s, const std::string&) { s.error = "--pie: position-independent wasm is not supported"; }, nullptr},
    {"emit-relocs", Value::none, [](State& s, const std::string&) { s.error = "--emit-relocs is not supported for wasm (-r is)"; }, nullptr},
    {"O", Value::required, [](State& s, const std::string& v) { s.o.optimize = unsigned(number(s, "O", v)); }, "LEVEL: 0 leaves equal constants apart"},
    // Accepted, without effect: they steer LLVM, or say what is so anyway.
    {"mllvm", Value::required, ignore, nullptr},
    {"lto-O", Value::required, ignore, nullptr},
    {"lto-CGO", Value::required, ignore, nullptr},
    {"lto-partitions", Value::required, ignore, nullptr},
    {"lto-debug-pass-manager", Value::none, ignore, nullptr},
    {"thinlto-cache-dir", Value::required, ignore, nullptr},
    {"thinlto-cache-policy", Value::required, ignore, nullptr},
    {"thinlto-jobs", Value::required, ignore, nullptr},
    {"save-temps", Value::none, ignore, nullptr},
    {"no-pie", Value::none, ignore, nullptr},
    {"Bdynamic", Value::none, ignore, nullptr},
    {"Bstatic", Value::none, ignore, nullptr},
    {"Bsymbolic", Value::none, [](State& s, const std::string&) { s.warnings.push_back("-Bsymbolic is only meaningful when combined with -shared"); }, nullptr},
    {"static", Value::none, ignore, nullptr},
    {"non_shared", Value::none, ignore, nullptr},
    {"call_shared", Value::none, ignore, nullptr},
    {"dn", Value::none, ignore, nullptr},
    {"dy", Value::none, ignore, nullptr},
    {"experimental-pic", Value::none, ignore, nullptr},
    {"no-shlib-sigcheck", Value::none, ignore, nullptr},
    {"rsp-quoting", Value::required, ignore, nullptr},
};
// clang-format on

const Row* find(std::string_view name) {
  for (const Row& r : rows)
    if (name == r.name) return &r;
  return nullptr;
}

}  // namespace

Result<Options> parse_options(std::span<const char* const> args) {
  State s;
  LODE_ASSIGN(std::vector<std::string> all, expand_response_files(args.subspan(1)));
  bool only_files = false;
  for (size_t i = 0; i < all.size(); i++) {
    const std::string& arg = all[i];
    if (only_files || arg.size() < 2 || arg[0] != '-') {
      s.o.inputs.push_back({InputArg::file, arg, s.whole_archive});
      continue;
    }
    if (arg == "--") {
      only_files = true;
      continue;
    }
    size_t dashes = arg[1] == '-' ? 2 : 1;
    size_t equals = arg.find('=');
    std::string name = arg.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
    std::string value = equals == std::string::npos ? "" : arg.substr(equals + 1);
    bool joined = equals != std::string::npos;
    const Row* row = find(name);
    if (row && joined && row->value == Value::none) return error(arg + ": the option takes no value");
    if (!row || (name.size() == 1 && joined)) {
      // One letter with the value behind it (-lc, -Ldir, -O2, -ofile), or --lto-O2.
      row = nullptr;
      if (dashes == 1)
        if (const Row* letter = find(arg.substr(1, 1)); letter && letter->value == Value::required) {
          row = letter;
          value = arg.substr(2);
          joined = true;
        }
      for (const char* stem : {"lto-O", "lto-CGO"})
        if (arg.substr(dashes).starts_with(stem)) row = find(stem), joined = true;
      if (!row) return error("unknown option: " + arg);
    }
    if (row->value == Value::required && !joined) {
      if (i + 1 == all.size()) return error(arg + ": a value is expected");
      value = all[++i];
    }
    row->apply(s, value);
    if (!s.error.empty()) return error(s.error);
  }
  if (!s.o.growable_memory && s.o.max_memory) return error("--max-memory is incompatible with --no-growable-memory");
  if (s.o.import_table && s.o.export_table) return error("--import-table and --export-table may not be used together");
  return std::move(s.o);
}

std::string help_text() {
  std::string out = "usage: wasm-lode [options] file...\n\n";
  for (const Row& r : rows) {
    if (!r.help) continue;
    std::string left = std::string("  ") + (r.name[1] ? "--" : "-") + r.name;
    left.resize(std::max<size_t>(left.size() + 1, 28), ' ');
    out += left + r.help + "\n";
  }
  return out;
}

}  // namespace lode::link::wasm
