// The ELF command line, as GNU ld reads it: long options take one or two dashes (those that begin with 'o' two, as -o is an
// option itself) and their value after '=' or as the next argument; one-letter options take it joined or as the next.
//
// Every option is a row of the table: name, form, what it does. Options that gcc and clang pass and that mean nothing here
// are rows too ("ignored"), so that what is not in the table is an error.
#include "link/elf/options.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "formats/elf/elf.h"

namespace lode::link::elf {

namespace {

struct State {
  Options& o;
  std::vector<std::string>& warnings;
  bool as_needed = false, whole_archive = false, is_static = false;
  struct Saved {
    bool as_needed, whole_archive, is_static;
  };
  std::vector<Saved> stack;
  std::string error;
  std::string_view spelled;  // the argument that is read
  bool static_seen = false, shared_seen = false, pie_seen = false;

  void input(InputArg::Kind kind, std::string name) {
    o.inputs.push_back({kind, std::move(name), as_needed, whole_archive, is_static});
  }
};

enum Form : uint8_t { flag, value, optional_value };  // optional_value: only after '='
using Action = void (*)(State&, std::string_view);

struct Row {
  const char* name;  // without dashes; a single letter is a short option
  Form form;
  Action action;
};

bool number(std::string_view s, uint64_t& v) {
  int base = 10;
  if (s.starts_with("0x") || s.starts_with("0X")) {
    s.remove_prefix(2);
    base = 16;
  }
  auto [p, ec] = std::from_chars(s.data(), s.data() + s.size(), v, base);
  return ec == std::errc() && p == s.data() + s.size() && !s.empty();
}

uint64_t need_number(State& s, std::string_view v, const char* what) {
  uint64_t n = 0;
  if (!number(v, n)) s.error = std::string(what) + ": not a number: '" + std::string(v) + "'";
  return n;
}
uint64_t need_hex(State& s, std::string_view v, const char* what) {
  uint64_t n = 0;
  std::string_view digits = v.starts_with("0x") || v.starts_with("0X") ? v.substr(2) : v;
  auto [p, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n, 16);
  if (ec != std::errc() || p != digits.data() + digits.size() || digits.empty()) s.error = std::string(what) + ": not a hexadecimal number: '" + std::string(v) + "'";
  return n;
}

void split(std::string_view text, const char* separators, std::vector<std::string>& out) {
  while (!text.empty()) {
    size_t n = text.find_first_of(separators);
    if (n != 0) out.emplace_back(text.substr(0, n));
    if (n == std::string_view::npos) break;
    text.remove_prefix(n + 1);
  }
}

void defsym(State& s, std::string_view v) {
  size_t eq = v.find('=');
  if (eq == std::string_view::npos || eq == 0 || eq + 1 == v.size()) {
    s.error = "--defsym: expected SYMBOL=VALUE, got '" + std::string(v) + "'";
    return;
  }
  s.o.defsyms.emplace_back(v.substr(0, eq), v.substr(eq + 1));
}

void build_id(State& s, std::string_view v) {
  if (v == "none") s.o.build_id = BuildId::none;
  else if (v == "fast") s.o.build_id = BuildId::fast;
  else if (v == "md5") s.o.build_id = BuildId::md5;
  else if (v == "sha1" || v == "tree" || v.empty()) s.o.build_id = BuildId::sha1;
  else if (v == "sha256") s.o.build_id = BuildId::sha256;
  else if (v == "uuid") s.o.build_id = BuildId::uuid;
  else if (v.starts_with("0x") || v.starts_with("0X")) {
    s.o.build_id = BuildId::hex;
    s.o.build_id_bytes.clear();
    int high = -1;
    for (char c : v.substr(2)) {
      if (c == '-' || c == ':') continue;
      int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
      if (d < 0) s.error = "--build-id: invalid hexadecimal number: '" + std::string(v) + "'";
      if (high < 0) {
        high = d;
      } else {
        s.o.build_id_bytes.push_back(uint8_t(high << 4 | d));
        high = -1;
      }
    }
    if (high >= 0 || s.o.build_id_bytes.empty()) s.error = "--build-id: invalid hexadecimal number: '" + std::string(v) + "'";
  } else {
    s.error = "--build-id: unknown style '" + std::string(v) + "'";
  }
}

void hash_style(State& s, std::string_view v) {
  s.o.hash_gnu = v == "gnu" || v == "both";
  s.o.hash_sysv = v == "sysv" || v == "both";
  if (v == "none") s.o.hash_gnu = s.o.hash_sysv = false;
  else if (!s.o.hash_gnu && !s.o.hash_sysv) s.error = "--hash-style: unknown style '" + std::string(v) + "'";
}

void unresolved(State& s, std::string_view v) {
  s.o.unresolved_given = true;
  if (v == "ignore-all" || v == "ignore-in-object-files") s.o.unresolved = Unresolved::ignore;
  else if (v == "report-all" || v == "ignore-in-shared-libs") s.o.unresolved = Unresolved::error;
  else s.error = "--unresolved-symbols: unknown value '" + std::string(v) + "'";
}

void compress_debug(State& s, std::string_view v) {
  size_t colon = v.find(':');
  std::string_view kind = v.substr(0, colon);
  using namespace formats::elf;
  if (colon != std::string_view::npos) {
    bool zlib = kind.starts_with("zlib");
    std::string_view digits = v.substr(colon + 1);
    int level = 0, low = zlib ? 0 : 1, high = zlib ? 9 : 22;
    auto [p, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), level);
    if (ec != std::errc() || p != digits.data() + digits.size() || level < low || level > high)
      s.error = "--compress-debug-sections: " + std::string(zlib ? "zlib level must be between 0 and 9" : "zstd level must be between 1 and 22") + ", got '" + std::string(digits) + "'";
    s.o.compress_level = level;
    s.o.compress_level_given = true;
  }
  if (kind == "none") s.o.compress_debug = 0;
  else if (kind == "zlib" || kind == "zlib-gabi") s.o.compress_debug = ELFCOMPRESS_ZLIB;
  else if (kind == "zstd") s.o.compress_debug = ELFCOMPRESS_ZSTD;
  else s.error = "--compress-debug-sections: unknown type '" + std::string(v) + "'";
}

void pack_dyn_relocs(State& s, std::string_view v) {
  if (v == "relr") s.o.pack_relr = true;
  else if (v == "none") s.o.pack_relr = false;
  else s.error = "--pack-dyn-relocs: unsupported format '" + std::string(v) + "'";
}

void section_start(State& s, std::string_view v) {
  size_t eq = v.rfind('=');
  if (eq == std::string_view::npos) s.error = "--section-start: expected SECTION=ADDRESS";
  else s.o.section_start[std::string(v.substr(0, eq))] = need_hex(s, v.substr(eq + 1), "--section-start");
}

struct ZRow {
  const char* name;
  bool Options::*field;
  bool set;
};
constexpr ZRow z_rows[] = {
    {"now", &Options::now, true}, {"lazy", &Options::now, false}, {"relro", &Options::relro, true}, {"norelro", &Options::relro, false},
    {"text", &Options::text, true}, {"notext", &Options::text, false}, {"textoff", &Options::text, false}, {"defs", &Options::defs, true}, {"undefs", &Options::defs, false},
    {"execstack", &Options::execstack, true}, {"noexecstack", &Options::execstack, false},
    {"execstack-if-needed", &Options::execstack_if_needed, true},
    {"separate-code", &Options::separate_code, true}, {"noseparate-code", &Options::separate_code, false}, {"separate-loadable-segments", &Options::separate_code, true},
    {"combreloc", &Options::combreloc, true}, {"nocombreloc", &Options::combreloc, false},
    {"copyreloc", &Options::copyreloc, true}, {"nocopyreloc", &Options::copyreloc, false},
    {"nodefaultlib", &Options::z_nodefaultlib, true}, {"nodelete", &Options::z_nodelete, true}, {"nodlopen", &Options::z_nodlopen, true},
    {"nodump", &Options::z_nodump, true}, {"origin", &Options::z_origin, true}, {"initfirst", &Options::z_initfirst, true},
    {"interpose", &Options::z_interpose, true}, {"global", &Options::z_global, true}, {"ibt", &Options::z_ibt, true}, {"shstk", &Options::z_shstk, true},
    {"ibtplt", &Options::z_ibtplt, true}, {"pack-relative-relocs", &Options::pack_relr, true}, {"nopack-relative-relocs", &Options::pack_relr, false},
    {"keep-text-section-prefix", &Options::keep_text_prefix, true}, {"nokeep-text-section-prefix", &Options::keep_text_prefix, false},
    {"start-stop-gc", &Options::start_stop_gc, true}, {"nostart-stop-gc", &Options::start_stop_gc, false},
    {"dynamic-undefined-weak", &Options::dynamic_undefined_weak, true}, {"nodynamic-undefined-weak", &Options::dynamic_undefined_weak, false},
    {"sectionheader", &Options::z_sectionheader, true}, {"nosectionheader", &Options::z_sectionheader, false},
    {"muldefs", &Options::allow_multiple_definition, true},
    {"rodynamic", &Options::z_rodynamic, true},
    {"rewrite-endbr", &Options::rewrite_endbr, true}, {"norewrite-endbr", &Options::rewrite_endbr, false},
};

// GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI): one bit a level.
constexpr std::pair<std::string_view, uint32_t> isa_levels[] = {
    {"x86-64-baseline", 1}, {"x86-64-v2", 2}, {"x86-64-v3", 4}, {"x86-64-v4", 8},
};

void z_visibility(State& s, std::string_view v) {
  constexpr std::string_view names[] = {"default", "internal", "hidden", "protected"};
  for (uint8_t i = 0; i < 4; i++)
    if (v == names[i]) {
      s.o.start_stop_visibility = i;
      return;
    }
  s.error = "-z start-stop-visibility: unknown visibility '" + std::string(v) + "'";
}

void z_cet_report(State& s, std::string_view v) {
  if (v == "none") s.o.cet_report = CetReport::none;
  else if (v == "warning") s.o.cet_report = CetReport::warning;
  else if (v == "error") s.o.cet_report = CetReport::error;
  else s.error = "-z cet-report: unknown value '" + std::string(v) + "'";
}

void z_option(State& s, std::string_view v) {
  for (const ZRow& r : z_rows)
    if (v == r.name) {
      s.o.*r.field = r.set;
      if (r.field == &Options::text) s.o.text_given = true;
      if (r.field == &Options::defs) {
        s.o.unresolved = r.set ? Unresolved::error : Unresolved::ignore;
        s.o.unresolved_given = true;
      }
      if (r.field == &Options::dynamic_undefined_weak) s.o.dynamic_undefined_weak_given = r.set;
      return;
    }
  for (auto& [name, bit] : isa_levels)
    if (v == name) {
      s.o.isa_needed |= bit;
      return;
    }
  auto starts = [&](std::string_view p) { return v.starts_with(p); };
  if (starts("max-page-size=")) {
    s.o.max_page_size = need_number(s, v.substr(14), "-z max-page-size");
    if (s.error.empty() && (s.o.max_page_size < 4096 || s.o.max_page_size > (uint64_t{1} << 30) || (s.o.max_page_size & (s.o.max_page_size - 1))))
      s.error = "-z max-page-size: value must be a power of two from 4096 to 2^30";
  } else if (starts("stack-size=")) {
    s.o.stack_size = uint32_t(need_number(s, v.substr(11), "-z stack-size"));
  } else if (starts("start-stop-visibility=")) {
    z_visibility(s, v.substr(22));
  } else if (starts("cet-report=")) {
    z_cet_report(s, v.substr(11));
  } else if (starts("common-page-size=") ||
             v == "rel" || v == "rela" || v == "unique-symbol" || v == "call-nop" || v == "bndplt" || v == "nognustack" ||
             v == "nosecondary" || v == "loadfltr" || v == "retpolineplt" || v == "hazardplt" || v == "lam-u48" || v == "lam-u57" || v == "noreloc-overflow" ||
             v == "mark-plt" || v == "nomark-plt" || v == "notextwarn" || v == "memory-seal" || v == "nomemory-seal") {
    s.o.ignored.push_back("-z " + std::string(v));
  } else {
    s.warnings.push_back("unknown command line option: " + std::string(s.spelled) + (s.spelled == "-z" ? " " + std::string(v) : std::string()));
  }
}

template <bool Options::*Field, bool Set>
void set(State& s, std::string_view) {
  s.o.*Field = Set;
}
template <std::string Options::*Field>
void text(State& s, std::string_view v) {
  s.o.*Field = std::string(v);
}
template <std::vector<std::string> Options::*Field>
void append(State& s, std::string_view v) {
  (s.o.*Field).emplace_back(v);
}
void ignored(State&, std::string_view) {}

void output_kind(State& s, OutputKind k) {
  s.o.kind = k;
  if (k == OutputKind::shared) s.shared_seen = true;
  s.pie_seen = k == OutputKind::pie || (s.pie_seen && k == OutputKind::shared);
}

// --shuffle-sections and --shuffle-sections=SEED as mold has them; GLOB=SEED as lld, with every section for the glob. -1 reverses.
void shuffle_sections(State& s, std::string_view v) {
  if (size_t eq = v.rfind('='); eq != std::string_view::npos) v.remove_prefix(eq + 1);
  s.o.shuffle = v == "-1" ? SectionShuffle::reverse : SectionShuffle::random;
  s.o.shuffle_seed = v.empty() ? uint64_t(getpid()) : v == "-1" ? 0 : need_number(s, v, "--shuffle-sections");
}

void section_align(State& s, std::string_view v) {
  size_t eq = v.rfind('=');
  uint64_t n = 0;
  if (eq == std::string_view::npos || !number(v.substr(eq + 1), n)) s.error = "--section-align: expected SECTION=ALIGNMENT";
  else if (n == 0 || (n & (n - 1)) || n > (uint64_t{1} << 40)) s.error = "--section-align: alignment of " + std::string(v.substr(0, eq)) + " must be a power of 2";
  else s.o.section_align[std::string(v.substr(0, eq))] = n;
}

// Metadata may be given percent-encoded, so that it passes through shells and build systems.
void package_metadata(State& s, std::string_view v) {
  auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; };
  std::string text;
  for (size_t i = 0; i < v.size(); i++) {
    if (v[i] != '%') {
      text += v[i];
      continue;
    }
    int high = i + 2 < v.size() ? digit(v[i + 1]) : -1, low = i + 2 < v.size() ? digit(v[i + 2]) : -1;
    if (high < 0 || low < 0) {
      s.error = "--package-metadata: invalid string: " + std::string(v);
      return;
    }
    text += char(high << 4 | low);
    i += 2;
  }
  s.o.package_metadata = text;
}

void remove_from(std::vector<std::string>& list, std::string_view v) { std::erase(list, v); }

constexpr Row rows[] = {
    {"o", value, text<&Options::output>}, {"output", value, text<&Options::output>},
    {"m", value, text<&Options::emulation>},
    {"e", value, [](State& s, std::string_view v) { s.o.entry = v; s.o.entry_given = true; }},
    {"entry", value, [](State& s, std::string_view v) { s.o.entry = v; s.o.entry_given = true; }},
    {"init", value, text<&Options::init>}, {"fini", value, text<&Options::fini>},
    {"sysroot", value, text<&Options::sysroot>},
    {"L", value, append<&Options::library_paths>}, {"library-path", value, append<&Options::library_paths>},
    {"l", value, [](State& s, std::string_view v) { s.input(InputArg::library, std::string(v)); }},
    {"library", value, [](State& s, std::string_view v) { s.input(InputArg::library, std::string(v)); }},
    {"T", value, [](State& s, std::string_view v) { s.input(InputArg::file, std::string(v)); }},
    {"script", value, [](State& s, std::string_view v) { s.input(InputArg::file, std::string(v)); }},
    {"dT", value, [](State& s, std::string_view v) { s.input(InputArg::file, std::string(v)); }},
    {"shared", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::shared); }},
    {"Bshareable", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::shared); }},
    {"dylib", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::shared); }},
    {"pie", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::pie); }},
    {"pic-executable", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::pie); }},
    {"static-pie", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::pie); s.is_static = s.o.is_static = true; s.o.no_dynamic_linker = true; }},
    {"no-pie", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::exec); }},
    {"no-pic-executable", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::exec); }},
    {"r", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::relocatable); }},
    {"i", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::relocatable); }},
    {"relocatable", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::relocatable); }},
    {"static", flag, [](State& s, std::string_view) { s.is_static = true; s.static_seen = true; }},
    {"Bstatic", flag, [](State& s, std::string_view) { s.is_static = true; }},
    {"non_shared", flag, [](State& s, std::string_view) { s.is_static = true; }},
    {"dn", flag, [](State& s, std::string_view) { s.is_static = true; }},
    {"Bdynamic", flag, [](State& s, std::string_view) { s.is_static = false; }},
    {"dy", flag, [](State& s, std::string_view) { s.is_static = false; }},
    {"call_shared", flag, [](State& s, std::string_view) { s.is_static = false; }},
    {"as-needed", flag, [](State& s, std::string_view) { s.as_needed = true; }},
    {"no-as-needed", flag, [](State& s, std::string_view) { s.as_needed = false; }},
    {"whole-archive", flag, [](State& s, std::string_view) { s.whole_archive = true; }},
    {"no-whole-archive", flag, [](State& s, std::string_view) { s.whole_archive = false; }},
    {"push-state", flag, [](State& s, std::string_view) { s.stack.push_back({s.as_needed, s.whole_archive, s.is_static}); }},
    {"pop-state", flag, [](State& s, std::string_view) {
       if (s.stack.empty()) { s.error = "--pop-state without --push-state"; return; }
       s.as_needed = s.stack.back().as_needed; s.whole_archive = s.stack.back().whole_archive; s.is_static = s.stack.back().is_static;
       s.stack.pop_back(); }},
    {"start-group", flag, [](State& s, std::string_view) { s.input(InputArg::group_start, ""); }},
    {"(", flag, [](State& s, std::string_view) { s.input(InputArg::group_start, ""); }},
    {"end-group", flag, [](State& s, std::string_view) { s.input(InputArg::group_end, ""); }},
    {")", flag, [](State& s, std::string_view) { s.input(InputArg::group_end, ""); }},
    {"start-lib", flag, [](State& s, std::string_view) { s.input(InputArg::lib_start, ""); }},
    {"end-lib", flag, [](State& s, std::string_view) { s.input(InputArg::lib_end, ""); }},
    {"dynamic-linker", value, [](State& s, std::string_view v) { s.o.dynamic_linker = v; s.o.no_dynamic_linker = false; }},
    {"I", value, text<&Options::dynamic_linker>},
    {"no-dynamic-linker", flag, set<&Options::no_dynamic_linker, true>},
    {"rpath", value, append<&Options::rpaths>},
    {"R", value, [](State& s, std::string_view v) {
       struct stat st;
       std::string path(v);
       if (stat(path.c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) s.error = "-R FILE (--just-symbols) is not supported: " + path;
       else s.o.rpaths.push_back(path); }},
    {"rpath-link", value, ignored},
    {"soname", value, text<&Options::soname>}, {"h", value, text<&Options::soname>},
    {"f", value, append<&Options::auxiliary>}, {"auxiliary", value, append<&Options::auxiliary>},
    {"F", value, append<&Options::filter>}, {"filter", value, append<&Options::filter>},
    {"audit", value, [](State& s, std::string_view v) { s.o.audit += (s.o.audit.empty() ? "" : ":") + std::string(v); }},
    {"depaudit", value, [](State& s, std::string_view v) { s.o.depaudit += (s.o.depaudit.empty() ? "" : ":") + std::string(v); }},
    {"P", value, [](State& s, std::string_view v) { s.o.depaudit += (s.o.depaudit.empty() ? "" : ":") + std::string(v); }},
    {"E", flag, set<&Options::export_dynamic, true>}, {"export-dynamic", flag, set<&Options::export_dynamic, true>},
    {"no-export-dynamic", flag, set<&Options::export_dynamic, false>},
    {"export-dynamic-symbol", value, append<&Options::export_symbols>},
    {"export-dynamic-symbol-list", value, [](State& s, std::string_view v) { s.o.dynamic_lists.push_back("+" + std::string(v)); }},
    {"dynamic-list", value, [](State& s, std::string_view v) { s.o.dynamic_lists.emplace_back(v); s.o.dynamic_list_given = true; }},
    {"dynamic-list-data", flag, set<&Options::dynamic_list_data, true>},
    {"dynamic-list-cpp-new", flag, [](State& s, std::string_view) { s.o.dynamic_list_patterns.insert(s.o.dynamic_list_patterns.end(), {"operator new*", "operator delete*"}); }},
    {"dynamic-list-cpp-typeinfo", flag, [](State& s, std::string_view) { s.o.dynamic_list_patterns.insert(s.o.dynamic_list_patterns.end(), {"typeinfo for *", "typeinfo name for *"}); }},
    {"undefined-glob", value, append<&Options::undefined_globs>},
    {"discard-section", value, append<&Options::discard_sections>},
    {"no-discard-section", value, [](State& s, std::string_view v) { remove_from(s.o.discard_sections, v); }},
    {"execute-only", flag, set<&Options::execute_only, true>}, {"no-execute-only", flag, set<&Options::execute_only, false>},
    {"section-align", value, section_align},
    {"spare-program-headers", value, [](State& s, std::string_view v) { s.o.spare_program_headers = uint32_t(std::min<uint64_t>(need_number(s, v, "--spare-program-headers"), 1000)); }},
    {"print-dependencies", flag, set<&Options::print_dependencies, true>},
    {"oformat", value, [](State& s, std::string_view v) {
       if (v != "elf64-x86-64" && v != "elf") s.error = "--oformat: unsupported format '" + std::string(v) + "'"; }},
    {"reverse-sections", flag, [](State& s, std::string_view) { s.o.shuffle = SectionShuffle::reverse; }},
    {"shuffle-sections", optional_value, shuffle_sections},
    {"gc-sections", flag, set<&Options::gc_sections, true>}, {"no-gc-sections", flag, set<&Options::gc_sections, false>},
    {"print-gc-sections", flag, set<&Options::print_gc_sections, true>}, {"no-print-gc-sections", flag, set<&Options::print_gc_sections, false>},
    {"build-id", optional_value, build_id}, {"no-build-id", flag, [](State& s, std::string_view) { s.o.build_id = BuildId::none; }},
    {"hash-style", value, hash_style},
    {"version-script", value, append<&Options::version_scripts>},
    {"default-symver", flag, set<&Options::default_symver, true>},
    {"defsym", value, defsym},
    {"u", value, append<&Options::undefined>}, {"undefined", value, append<&Options::undefined>},
    {"require-defined", value, append<&Options::require_defined>},
    {"wrap", value, append<&Options::wraps>},
    {"undefined-version", flag, [](State& s, std::string_view) { s.o.undefined_version = UndefinedVersion::ignore; }},
    {"no-undefined-version", flag, [](State& s, std::string_view) { s.o.undefined_version = UndefinedVersion::error; }},
    {"no-undefined", flag, set<&Options::defs, true>},
    {"dependent-libraries", flag, set<&Options::dependent_libraries, true>}, {"no-dependent-libraries", flag, set<&Options::dependent_libraries, false>},
    {"allow-shlib-undefined", flag, [](State& s, std::string_view) { s.o.allow_shlib_undefined = true; s.o.allow_shlib_undefined_given = true; }},
    {"no-allow-shlib-undefined", flag, [](State& s, std::string_view) { s.o.allow_shlib_undefined = false; s.o.allow_shlib_undefined_given = true; }},
    {"allow-multiple-definition", flag, set<&Options::allow_multiple_definition, true>},
    {"unresolved-symbols", value, unresolved},
    {"warn-unresolved-symbols", flag, [](State& s, std::string_view) { s.o.unresolved = Unresolved::warn; s.o.unresolved_given = true; }},
    {"error-unresolved-symbols", flag, [](State& s, std::string_view) { s.o.unresolved = Unresolved::error; s.o.unresolved_given = true; }},
    {"trace", flag, set<&Options::trace, true>}, {"t", flag, set<&Options::trace, true>},
    {"y", value, append<&Options::trace_symbols>}, {"trace-symbol", value, append<&Options::trace_symbols>},
    {"M", flag, set<&Options::print_map, true>}, {"print-map", flag, set<&Options::print_map, true>},
    {"Map", value, text<&Options::map_file>},
    {"why-live", value, append<&Options::why_live>},
    {"stats", flag, set<&Options::stats, true>}, {"perf", flag, set<&Options::stats, true>},
    {"time-trace", optional_value, [](State& s, std::string_view v) { s.o.time_trace = v.empty() ? "*" : std::string(v); }},
    {"verbose", flag, set<&Options::verbose, true>}, {"dll-verbose", flag, set<&Options::verbose, true>},
    {"dependency-file", value, text<&Options::dependency_file>},
    {"z", value, z_option},
    {"s", flag, set<&Options::strip_all, true>}, {"strip-all", flag, set<&Options::strip_all, true>},
    {"S", flag, set<&Options::strip_debug, true>}, {"strip-debug", flag, set<&Options::strip_debug, true>},
    {"x", flag, set<&Options::discard_all, true>}, {"discard-all", flag, set<&Options::discard_all, true>},
    {"X", flag, set<&Options::discard_locals, true>}, {"discard-locals", flag, set<&Options::discard_locals, true>},
    {"discard-none", flag, [](State& s, std::string_view) { s.o.discard_all = s.o.discard_locals = false; s.o.discard_none = true; }},
    {"q", flag, set<&Options::emit_relocs, true>}, {"emit-relocs", flag, set<&Options::emit_relocs, true>},
    {"eh-frame-hdr", flag, set<&Options::eh_frame_hdr, true>}, {"no-eh-frame-hdr", flag, set<&Options::eh_frame_hdr, false>},
    {"fatal-warnings", flag, set<&Options::fatal_warnings, true>}, {"no-fatal-warnings", flag, set<&Options::fatal_warnings, false>},
    {"w", flag, set<&Options::no_warnings, true>}, {"no-warnings", flag, set<&Options::no_warnings, true>},
    {"warn-common", flag, set<&Options::warn_common, true>}, {"no-warn-common", flag, set<&Options::warn_common, false>},
    {"color-diagnostics", optional_value, [](State& s, std::string_view v) { s.o.color = v == "always" || ((v.empty() || v == "auto") && isatty(2)); }},
    {"no-color-diagnostics", flag, set<&Options::color, false>},
    {"demangle", optional_value, set<&Options::demangle, true>}, {"no-demangle", flag, set<&Options::demangle, false>},
    {"error-limit", value, [](State& s, std::string_view v) { s.o.error_limit = unsigned(need_number(s, v, "--error-limit")); }},
    {"noinhibit-exec", flag, set<&Options::noinhibit_exec, true>},
    {"image-base", value, [](State& s, std::string_view v) { s.o.image_base = need_number(s, v, "--image-base"); s.o.image_base_given = true; }},
    {"physical-image-base", value, ignored},
    {"Ttext", value, [](State& s, std::string_view v) { s.o.section_start[".text"] = need_hex(s, v, "-Ttext"); }},
    {"Tdata", value, [](State& s, std::string_view v) { s.o.section_start[".data"] = need_hex(s, v, "-Tdata"); }},
    {"Tbss", value, [](State& s, std::string_view v) { s.o.section_start[".bss"] = need_hex(s, v, "-Tbss"); }},
    {"Ttext-segment", value, [](State& s, std::string_view v) { s.o.image_base = need_hex(s, v, "-Ttext-segment"); s.o.image_base_given = s.o.text_segment_given = true; }},
    {"section-start", value, section_start},
    {"pack-dyn-relocs", value, pack_dyn_relocs},
    {"compress-debug-sections", value, compress_debug},
    {"threads", optional_value, [](State& s, std::string_view v) { s.o.threads = v.empty() ? 0 : unsigned(need_number(s, v, "--threads")); }},
    {"no-threads", flag, [](State& s, std::string_view) { s.o.threads = 1; }},
    {"thread-count", value, [](State& s, std::string_view v) { s.o.threads = unsigned(need_number(s, v, "--thread-count")); }},
    {"icf", value, [](State& s, std::string_view v) {
       if (v == "none") s.o.icf = IcfMode::none;
       else if (v == "safe") s.o.icf = IcfMode::safe;
       else if (v == "all") s.o.icf = IcfMode::all;
       else s.error = "--icf: unknown value '" + std::string(v) + "'"; }},
    {"no-icf", flag, [](State& s, std::string_view) { s.o.icf = IcfMode::none; }},
    {"exclude-libs", value, [](State& s, std::string_view v) { split(v, ",:", s.o.exclude_libs); }},
    {"Bsymbolic", flag, [](State& s, std::string_view) { s.o.bsymbolic = Bsymbolic::all; }},
    {"Bsymbolic-functions", flag, [](State& s, std::string_view) { s.o.bsymbolic = Bsymbolic::functions; }},
    {"Bsymbolic-non-weak", flag, [](State& s, std::string_view) { s.o.bsymbolic = Bsymbolic::non_weak; }},
    {"Bsymbolic-non-weak-functions", flag, [](State& s, std::string_view) { s.o.bsymbolic = Bsymbolic::non_weak_functions; }},
    {"Bno-symbolic", flag, [](State& s, std::string_view) { s.o.bsymbolic = Bsymbolic::none; }},
    {"relax", flag, set<&Options::relax, true>}, {"no-relax", flag, set<&Options::relax, false>},
    {"enable-new-dtags", flag, set<&Options::new_dtags, true>}, {"disable-new-dtags", flag, set<&Options::new_dtags, false>},
    {"nostdlib", flag, set<&Options::no_stdlib_paths, true>},
    {"rosegment", flag, set<&Options::rosegment, true>}, {"no-rosegment", flag, set<&Options::rosegment, false>},
    {"N", flag, set<&Options::omagic, true>}, {"omagic", flag, set<&Options::omagic, true>}, {"no-omagic", flag, set<&Options::omagic, false>},
    {"n", flag, set<&Options::nmagic, true>}, {"nmagic", flag, set<&Options::nmagic, true>}, {"no-nmagic", flag, set<&Options::nmagic, false>},
    {"retain-symbols-file", value, append<&Options::retain_symbols_files>},
    {"package-metadata", value, package_metadata},
    {"start-stop", flag, set<&Options::start_stop, true>},
    {"zero-to-bss", flag, set<&Options::zero_to_bss, true>}, {"no-zero-to-bss", flag, set<&Options::zero_to_bss, false>},
    {"relocatable-merge-sections", flag, set<&Options::relocatable_merge_sections, true>},
    {"O", value, ignored}, {"plugin", value, ignored}, {"plugin-opt", value, ignored}, {"plugin-save-temps", flag, ignored},
    {"mllvm", value, ignored}, {"no-lto", flag, ignored}, {"lto-O", value, ignored}, {"opt-remarks-filename", value, ignored}, {"opt-remarks-format", value, ignored},
    {"pass-remarks", value, ignored}, {"pass-remarks-analysis", value, ignored}, {"pass-remarks-missed", value, ignored},
    {"lto-cs-profile-generate", flag, ignored}, {"lto-cs-profile-file", value, ignored}, {"lto-partitions", value, ignored}, {"lto-pseudo-probe-for-profiling", flag, ignored},
    {"thinlto-cache-dir", value, ignored}, {"thinlto-cache-policy", value, ignored}, {"thinlto-jobs", value, ignored}, {"thinlto-index-only", optional_value, ignored},
    {"save-temps", optional_value, ignored}, {"disable-verify", flag, ignored}, {"fat-lto-objects", flag, ignored}, {"no-fat-lto-objects", flag, ignored},
    {"EL", flag, ignored}, {"nopie", flag, [](State& s, std::string_view) { output_kind(s, OutputKind::exec); }},
    {"A", value, ignored}, {"architecture", value, ignored}, {"b", value, ignored}, {"format", value, ignored},
    {"d", flag, ignored}, {"dc", flag, ignored}, {"dp", flag, ignored}, {"g", flag, ignored}, {"G", value, ignored},
    {"cref", flag, ignored}, {"fix-cortex-a53-843419", flag, ignored}, {"fork", flag, ignored}, {"no-fork", flag, ignored}, {"quick-exit", flag, ignored}, {"no-quick-exit", flag, ignored},
    {"gdb-index", flag, ignored}, {"no-gdb-index", flag, ignored}, {"ld-generated-unwind-info", flag, ignored}, {"no-ld-generated-unwind-info", flag, ignored},
    {"accept-unknown-input-arch", flag, ignored}, {"no-accept-unknown-input-arch", flag, ignored}, {"no-add-needed", flag, ignored}, {"add-needed", flag, ignored},
    {"no-copy-dt-needed-entries", flag, ignored}, {"copy-dt-needed-entries", flag, ignored}, {"no-keep-memory", flag, ignored}, {"reduce-memory-overheads", flag, ignored},
    {"hash-size", value, ignored}, {"sort-common", optional_value, ignored}, {"sort-section", value, ignored}, {"spare-dynamic-tags", value, ignored},
    {"split-by-file", optional_value, ignored}, {"split-by-reloc", optional_value, ignored}, {"traditional-format", flag, ignored}, {"unique", optional_value, [](State& s, std::string_view v) { s.o.unique_patterns.emplace_back(v.empty() ? "*" : v); }},
    {"warn-alternate-em", flag, ignored}, {"warn-constructors", flag, ignored}, {"warn-multiple-gp", flag, ignored}, {"warn-once", flag, ignored},
    {"warn-section-align", flag, ignored}, {"warn-backrefs", flag, ignored}, {"no-warn-backrefs", flag, ignored}, {"warn-symbol-ordering", flag, set<&Options::warn_symbol_ordering, true>}, {"no-warn-symbol-ordering", flag, set<&Options::warn_symbol_ordering, false>},
    {"warn-textrel", flag, set<&Options::warn_textrel, true>}, {"warn-shared-textrel", flag, set<&Options::warn_shared_textrel, true>}, {"no-warn-mismatch", flag, ignored}, {"no-warn-search-mismatch", flag, ignored},
    {"warn-execstack", flag, set<&Options::warn_execstack, true>}, {"no-warn-execstack", flag, set<&Options::warn_execstack, false>}, {"no-warn-rwx-segments", flag, ignored}, {"warn-rwx-segments", flag, ignored},
    {"call-graph-ordering-file", value, ignored}, {"call-graph-profile-sort", optional_value, ignored}, {"no-call-graph-profile-sort", flag, ignored}, {"symbol-ordering-file", value, text<&Options::symbol_ordering_file>},
    {"print-archive-stats", value, ignored}, {"print-icf-sections", flag, set<&Options::print_icf_sections, true>}, {"no-print-icf-sections", flag, set<&Options::print_icf_sections, false>},
    {"keep-unique", value, append<&Options::keep_unique>}, {"ignore-data-address-equality", flag, set<&Options::ignore_data_address_equality, true>},
    {"ignore-function-address-equality", flag, ignored},
    {"use-android-relr-tags", flag, set<&Options::android_relr_tags, true>}, {"no-use-android-relr-tags", flag, set<&Options::android_relr_tags, false>},
    {"check-sections", flag, ignored}, {"no-check-sections", flag, ignored}, {"no-dynamic-undefined-weak", flag, set<&Options::dynamic_undefined_weak, false>}, {"no-define-common", flag, ignored}, {"no-omit-frame-pointer", flag, ignored}, {"Qy", flag, ignored}, {"no-rpath", flag, ignored}, {"no-strip-discarded", flag, ignored}, {"fix-cortex-a8", flag, ignored},
};

const std::unordered_map<std::string_view, const Row*>& row_index() {
  static const auto* index = [] {
    auto* m = new std::unordered_map<std::string_view, const Row*>;
    m->reserve(std::size(rows) * 2);
    for (const Row& r : rows) m->emplace(r.name, &r);
    return m;
  }();
  return *index;
}
const Row* find_row(std::string_view name) {
  auto it = row_index().find(name);
  return it == row_index().end() ? nullptr : it->second;
}

}  // namespace

const char* const help_text =
    "Usage: lode [options] file...\n"
    "Links objects, archives, shared libraries, LLVM bitcode and AIR text; generates code while it links.\n"
    "lode: supported targets: elf64-x86-64 elf64-littleriscv wasm32\n"
    "lode: supported emulations: elf_x86_64 elf64lriscv wasm32\n"
    "The options are those of GNU ld; among them:\n"
    "  -o FILE, -e SYM, -L DIR, -l NAME, -r, -shared, -pie, -static, -T SCRIPT, --gc-sections, --print-gc-sections,\n"
    "  --icf=safe|all, --print-icf-sections, --emit-relocs, --symbol-ordering-file FILE, --shuffle-sections[=SEED],\n"
    "  --as-needed, --start-group/--end-group, --start-lib/--end-lib, --whole-archive, --version-script FILE, --dynamic-list FILE,\n"
    "  --defsym SYM=VALUE, --wrap SYM, -rpath DIR, -soname NAME, --build-id[=fast|md5|sha1|uuid|0xHEX|none],\n"
    "  --hash-style sysv|gnu|both, --pack-dyn-relocs=relr, --compress-debug-sections=zlib|zstd, -z KEYWORD, -s, -S, -x\n"
    "  --print-map, -Map FILE, --why-live SYM, --trace, --stats, --time-trace, --verbose, --threads=N, @FILE\n";

Result<std::vector<std::string>> expand_response_files(std::span<const char* const> args) {
  std::vector<std::string> out;
  struct Pending {
    std::vector<std::string> list;
    size_t at = 0;
  };
  std::vector<Pending> stack(1);
  for (const char* a : args) stack[0].list.emplace_back(a);
  unsigned opened = 0;
  while (!stack.empty()) {
    Pending& top = stack.back();
    if (top.at == top.list.size()) {
      stack.pop_back();
      continue;
    }
    std::string a = std::move(top.list[top.at++]);
    if (a.size() < 2 || a[0] != '@') {
      out.push_back(std::move(a));
      continue;
    }
    if (++opened > 1000) return error("response files include each other too often: " + a);
    int fd = open(a.c_str() + 1, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
      if (fd >= 0) close(fd);
      return error("cannot open response file " + a.substr(1));
    }
    std::string text(size_t(st.st_size), 0);
    ssize_t n = read(fd, text.data(), text.size());
    close(fd);
    if (n != ssize_t(text.size())) return error("cannot read response file " + a.substr(1));
    Pending next;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (size_t i = 0; i < text.size(); i++) {
      char c = text[i];
      if (quote) {
        if (c == quote) quote = 0;
        else if (c == '\\' && i + 1 < text.size()) word += text[++i];
        else word += c;
      } else if (c == '"' || c == '\'') {
        quote = c;
        in_word = true;
      } else if (c == '\\' && i + 1 < text.size()) {
        word += text[++i];
        in_word = true;
      } else if (uint8_t(c) <= ' ') {
        if (in_word) next.list.push_back(std::move(word));
        word.clear();
        in_word = false;
      } else {
        word += c;
        in_word = true;
      }
    }
    if (quote) return error("unterminated quote in response file " + a.substr(1));
    if (in_word) next.list.push_back(std::move(word));
    stack.push_back(std::move(next));
  }
  return out;
}

Result<void> parse_options(const std::vector<std::string>& args, Options& o, std::vector<std::string>& warnings) {
  State s{o, warnings};
  if (!args.empty()) o.program = args[0];
  bool only_files = false;
  for (size_t i = 1; i < args.size(); i++) {
    std::string_view a = args[i];
    if (only_files || a.size() < 2 || a[0] != '-') {
      s.input(InputArg::file, std::string(a));
      continue;
    }
    if (a == "--") {
      only_files = true;
      continue;
    }
    if (a == "-v" || a == "-V" || a == "--version" || a == "--v") {
      o.version_only = true;
      continue;
    }
    if (a == "--help" || a == "-help") {
      o.help = true;
      continue;
    }
    if (a.starts_with("-fuse-ld=") || a.starts_with("-flto")) continue;  // the driver's, not -f NAME
    bool two = a[1] == '-';
    std::string_view body = a.substr(two ? 2 : 1);
    const Row* row = nullptr;
    std::string_view v;
    bool joined = false;
    // Long forms first; one dash and a leading 'o' is -o joined with its value.
    if (two || body.size() == 1 || body[0] != 'o') {
      if (const Row* r = find_row(body); r && (two || body.size() == 1 || r->name[1])) row = r;
      size_t eq = body.find('=');
      if (!row && eq != std::string_view::npos && eq > 0)
        if (const Row* r = find_row(body.substr(0, eq)); r && r->form != flag && (r->name[1] || two)) {
          row = r;
          v = body.substr(eq + 1);
          joined = true;
        }
    }
    if (!row && !two) {
      if (const Row* r = find_row(body.substr(0, 1)); r && r->form == value) {
        row = r;
        v = body.substr(1);
        joined = true;
      } else if (r && body.substr(0, 1) == "O") {
        continue;
      }
    }
    if (!row && (body.starts_with("plugin-opt") || body.starts_with("lto-") || body.starts_with("thinlto-") || body.starts_with("f"))) {
      if (body.starts_with("f") && !body.starts_with("flto") && !body.starts_with("fuse-ld")) row = nullptr;
      else continue;
    }
    if (!row) return error("unknown command line option: " + std::string(a));
    if (row->form == value && !joined) {
      if (i + 1 >= args.size()) return error("option " + std::string(a) + ": argument missing");
      v = args[++i];
    }
    s.spelled = a;
    row->action(s, v);
    if (!s.error.empty()) return error(s.error);
  }
  // -static asks for a static program, unless --pop-state took it back.
  if (s.static_seen && s.is_static) o.is_static = true;
  // -shared with -pie is a library that can be run: it keeps its interpreter.
  if (s.shared_seen && s.pie_seen) {
    o.kind = OutputKind::shared;
    o.runnable_library = true;
  }
  if (o.kind == OutputKind::shared) o.is_static = false;
  if (o.kind != OutputKind::shared && !(o.auxiliary.empty() && o.filter.empty()))
    return error(std::string(o.filter.empty() ? "-auxiliary" : "-filter") + " may not be used without -shared");
  if (o.emulation.size() && o.emulation != "elf_x86_64" && o.emulation != "elf_x86_64_sol2")
    return error("unsupported emulation: -m " + o.emulation);
  if (o.rpaths.size() > 1) {
    std::vector<std::string> unique;
    for (const std::string& r : o.rpaths)
      if (std::find(unique.begin(), unique.end(), r) == unique.end()) unique.push_back(r);
    o.rpaths = unique;
  }
  return {};
}

}  // namespace lode::link::elf
