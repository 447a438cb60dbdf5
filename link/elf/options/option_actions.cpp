// Option values with a grammar of their own.
#include "link/elf/options/option_actions.h"
#include "link/cache/mir_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "formats/elf/elf.h"

namespace lode::link::elf::option_action {

namespace {

// In front of every message about a value: the option as it was written, without what follows '='.
std::string name_of(const OptionReader& r) { return std::string(r.spelled.substr(0, r.spelled.find('='))); }
void bad(OptionReader& r, const std::string& what, std::string_view v) {
  r.error = name_of(r) + ": " + what + " '" + std::string(v) + "'";
}

bool parse(std::string_view s, int base, uint64_t& v) {
  if (s.starts_with("0x") || s.starts_with("0X")) {
    s.remove_prefix(2);
    base = 16;
  }
  auto [p, ec] = std::from_chars(s.data(), s.data() + s.size(), v, base);
  return ec == std::errc() && p == s.data() + s.size() && !s.empty();
}

void split(std::string_view text, const char* separators, std::vector<std::string>& out) {
  while (!text.empty()) {
    size_t n = text.find_first_of(separators);
    if (n != 0) out.emplace_back(text.substr(0, n));
    if (n == std::string_view::npos) break;
    text.remove_prefix(n + 1);
  }
}

int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

bool is_power_of_two(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

// "zlib", "zstd:9", "none".
bool compression(OptionReader& r, std::string_view v, CompressRule& rule) {
  size_t colon = v.find(':');
  std::string_view kind = v.substr(0, colon);
  using namespace formats::elf;
  if (kind == "none") rule.type = 0;
  else if (kind == "zlib" || kind == "zlib-gabi") rule.type = ELFCOMPRESS_ZLIB;
  else if (kind == "zstd") rule.type = ELFCOMPRESS_ZSTD;
  else return bad(r, "unknown type", v), false;
  if (colon == std::string_view::npos) return true;
  bool zlib = rule.type == ELFCOMPRESS_ZLIB;
  std::string_view digits = v.substr(colon + 1);
  int low = zlib ? 0 : 1, high = zlib ? 9 : 22;
  auto [p, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), rule.level);
  if (ec == std::errc() && p == digits.data() + digits.size() && rule.level >= low && rule.level <= high) return true;
  r.error = name_of(r) + ": " + (zlib ? "zlib level must be between 0 and 9" : "zstd level must be between 1 and 22") +
            ", got '" + std::string(digits) + "'";
  return false;
}

}  // namespace

uint64_t need_number(OptionReader& r, std::string_view v) {
  uint64_t n = 0;
  if (!parse(v, 10, n)) bad(r, "not a number:", v);
  return n;
}
uint64_t need_hex(OptionReader& r, std::string_view v) {
  uint64_t n = 0;
  if (!parse(v, 16, n)) bad(r, "not a hexadecimal number:", v);
  return n;
}

static void only(OptionReader& r, std::string_view v, std::string_view wanted) {
  if (v != wanted) r.error = name_of(r) + (v.empty() ? "" : "=" + std::string(v)) + " is not supported";
}
void only_none(OptionReader& r, std::string_view v) { only(r, v, "none"); }
void only_posix(OptionReader& r, std::string_view v) { only(r, v, "posix"); }
void only_prefix_addr(OptionReader& r, std::string_view v) { only(r, v, "prefix-addr"); }

void orphan_handling(OptionReader& r, std::string_view v) {
  if (v != "place" && v != "warn" && v != "error" && v != "discard") bad(r, "unknown mode", v);
}

void defsym(OptionReader& r, std::string_view v) {
  size_t eq = v.find('=');
  if (eq == std::string_view::npos || eq == 0 || eq + 1 == v.size()) {
    r.error = "--defsym: expected SYMBOL=VALUE, got '" + std::string(v) + "'";
    return;
  }
  SymbolAssignment a;
  a.name = v.substr(0, eq);
  a.expression = v.substr(eq + 1);
  a.place = "--defsym " + a.name;
  r.o.assignments.push_back(std::move(a));
}

void build_id(OptionReader& r, std::string_view v) {
  auto request = parse_build_id(v);
  if (!request) {
    r.error = name_of(r) + ": " + request.error().message;
    return;
  }
  // Short digests are no faster, as blocks of the file are hashed and the digest is that of the hashes; what some take
  // for fast, 8 bytes, rpm refuses as a build id.
  r.o.build_id = request->style == BuildId::fast ? BuildId::sha256 : request->style;
  r.o.build_id_bytes = std::move(request->bytes);
}

void hash_style(OptionReader& r, std::string_view v) {
  if (v != "gnu" && v != "sysv" && v != "both" && v != "none") return bad(r, "unknown style", v);
  r.o.hash_gnu = v == "gnu" || v == "both";
  r.o.hash_sysv = v == "sysv" || v == "both";
}

void icf(OptionReader& r, std::string_view v) {
  if (v == "none") r.o.icf = IcfMode::none;
  else if (v == "safe") r.o.icf = IcfMode::safe;
  else if (v == "all") r.o.icf = IcfMode::all;
  else bad(r, "unknown value", v);
}

void unresolved(OptionReader& r, std::string_view v) {
  r.o.unresolved_given = true;
  if (v == "ignore-all" || v == "ignore-in-object-files") r.o.unresolved = Unresolved::ignore;
  else if (v == "report-all" || v == "ignore-in-shared-libs") r.o.unresolved = Unresolved::error;
  else return bad(r, "unknown value", v);
  if (v == "ignore-all" || v == "ignore-in-shared-libs")
    r.o.allow_shlib_undefined = r.o.allow_shlib_undefined_given = true;
}

void color(OptionReader& r, std::string_view v) {
  r.o.color = v == "always" || ((v.empty() || v == "auto") && isatty(2));
}

void compress_debug(OptionReader& r, std::string_view v) {
  CompressRule rule{".debug_*", 0, -1};
  if (compression(r, v, rule)) r.o.compress_sections.push_back(std::move(rule));
}

void compress_sections(OptionReader& r, std::string_view v) {
  size_t eq = v.rfind('=');
  if (eq == std::string_view::npos || eq == 0) {
    r.error = name_of(r) + ": expected GLOB=KIND, got '" + std::string(v) + "'";
    return;
  }
  CompressRule rule{std::string(v.substr(0, eq)), 0, -1};
  if (compression(r, v.substr(eq + 1), rule)) r.o.compress_sections.push_back(std::move(rule));
}

void pack_dyn_relocs(OptionReader& r, std::string_view v) {
  if (v == "relr") r.o.pack_relr = true;
  else if (v == "none") r.o.pack_relr = false;
  else bad(r, "unsupported format", v);
}

void section_start(OptionReader& r, std::string_view v) {
  size_t eq = v.rfind('=');
  if (eq == std::string_view::npos) r.error = "--section-start: expected SECTION=ADDRESS";
  else r.o.section_start[std::string(v.substr(0, eq))] = need_hex(r, v.substr(eq + 1));
}

void section_align(OptionReader& r, std::string_view v) {
  size_t eq = v.rfind('=');
  uint64_t n = 0;
  if (eq == std::string_view::npos || !parse(v.substr(eq + 1), 10, n))
    r.error = "--section-align: expected SECTION=ALIGNMENT";
  else if (!is_power_of_two(n) || n > (uint64_t{1} << 40))
    r.error = "--section-align: alignment of " + std::string(v.substr(0, eq)) + " must be a power of 2";
  else r.o.section_align[std::string(v.substr(0, eq))] = n;
}

void mir_cache_size(OptionReader& r, std::string_view v) {
  if (const auto size = parse_cache_size(v)) r.o.mir_cache_size = *size;
  else r.error = "--mir-cache-size: not a size: " + std::string(v);
}
void max_page_size(OptionReader& r, std::string_view v) {
  r.o.max_page_size = need_number(r, v);
  if (r.error.empty() &&
      (!is_power_of_two(r.o.max_page_size) || r.o.max_page_size < 4096 || r.o.max_page_size > (uint64_t{1} << 30)))
    r.error = "-z max-page-size: value must be a power of two from 4096 to 2^30";
}

void image_base(OptionReader& r, std::string_view v) {
  r.o.image_base = need_number(r, v);
  r.o.image_base_given = true;
}
void text_segment(OptionReader& r, std::string_view v) {
  r.o.image_base = need_hex(r, v);
  r.o.image_base_given = r.o.text_segment_given = true;
}
void physical_image_base(OptionReader& r, std::string_view v) {
  r.o.physical_image_base = need_number(r, v);
  r.o.physical_image_base_given = true;
}

void output_format(OptionReader& r, std::string_view v) {
  if (v != "elf64-x86-64" && v != "elf64-littleriscv" && v != "elf" && v != "default")
    bad(r, "unsupported format (elf64-x86-64, elf64-littleriscv and elf are supported)", v);
}

void help_format(OptionReader& r, std::string_view v) {
  if (v.empty()) r.o.answer = Answer::help;
  else if (v == "markdown") r.o.answer = Answer::markdown;
  else if (v == "man") r.o.answer = Answer::man;
  else bad(r, "unknown format (markdown and man are known)", v);
}

void input_format(OptionReader& r, std::string_view v) {
  if (v == "binary") r.binary = true;
  else if (v == "default" || v == "elf" || v == "elf64-x86-64" || v == "elf64-littleriscv") r.binary = false;
  else bad(r, "unsupported format", v);
}

// -n and -N: programs without pages to share are not for shared libraries either (GNU ld and lld agree).
void no_unwritable_text(OptionReader& r, std::string_view) { r.o.omagic = r.is_static = true; }
void no_page_alignment(OptionReader& r, std::string_view) { r.o.nmagic = r.is_static = true; }

void static_program(OptionReader& r, std::string_view) { r.is_static = r.static_seen = true; }
void static_pie(OptionReader& r, std::string_view v) {
  output_kind<OutputKind::pie>(r, v);
  r.is_static = r.o.is_static = r.o.no_dynamic_linker = true;
}

void shared_library_control(OptionReader& r, std::string_view v) {
  if (v == "archive") r.is_static = true;
  else if (v == "shared" || v == "default") r.is_static = false;
  // Joined, it is a long option with one dash rather than -a's keyword.
  else if (r.spelled.size() > 2) r.error = "unknown command line option: " + std::string(r.spelled);
  else bad(r, "unknown keyword", v);
}

void push_state(OptionReader& r, std::string_view) { r.stack.push_back({r.as_needed, r.whole_archive, r.is_static}); }
void pop_state(OptionReader& r, std::string_view) {
  if (r.stack.empty()) {
    r.error = "--pop-state without --push-state";
    return;
  }
  const OptionReader::Saved& top = r.stack.back();
  r.as_needed = top.as_needed;
  r.whole_archive = top.whole_archive;
  r.is_static = top.is_static;
  r.stack.pop_back();
}

void rpath_or_symbols(OptionReader& r, std::string_view v) {
  struct stat st;
  if (stat(std::string(v).c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) r.input(InputArg::just_symbols, v);
  else r.o.rpaths.emplace_back(v);
}

void chroot(OptionReader& r, std::string_view v) {
  while (v.size() > 1 && v.ends_with("/")) v.remove_suffix(1);
  r.o.chroot = v == "/" ? std::string() : std::string(v);
}

void remap_inputs(OptionReader& r, std::string_view v) {
  size_t eq = v.find('=');
  if (eq == std::string_view::npos || eq == 0 || eq + 1 == v.size())
    r.error = name_of(r) + ": expected GLOB=FILE, got '" + std::string(v) + "'";
  else r.o.remap_inputs.emplace_back(v.substr(0, eq), v.substr(eq + 1));
}

void script(OptionReader& r, std::string_view v) {
  r.input(InputArg::file, v);
  r.o.inputs.back().binary = false;
}

void exclude_libs(OptionReader& r, std::string_view v) { split(v, ",:", r.o.exclude_libs); }
void no_discard_section(OptionReader& r, std::string_view v) { std::erase(r.o.discard_sections, v); }

// --shuffle-sections and --shuffle-sections=SEED as mold has them, GLOB=SEED as lld. -1 reverses.
void shuffle_sections(OptionReader& r, std::string_view v) {
  ShuffleRule rule{"*", SectionShuffle::random, 0};
  if (size_t eq = v.rfind('='); eq != std::string_view::npos) {
    rule.glob = v.substr(0, eq);
    v.remove_prefix(eq + 1);
  }
  if (v == "-1") rule.kind = SectionShuffle::reverse;
  else rule.seed = v.empty() ? uint64_t(getpid()) : need_number(r, v);
  r.o.shuffles.push_back(std::move(rule));
}

void sort_section(OptionReader& r, std::string_view v) {
  if (v == "name") r.o.sort_section = SectionSort::name;
  else if (v == "alignment") r.o.sort_section = SectionSort::alignment;
  else if (v == "none") r.o.sort_section = SectionSort::none;
  else bad(r, "unknown key", v);
}

// Metadata may be given percent-encoded, so that it passes through shells and build systems.
void package_metadata(OptionReader& r, std::string_view v) {
  std::string text;
  for (size_t i = 0; i < v.size(); i++) {
    if (v[i] != '%') {
      text += v[i];
      continue;
    }
    int high = i + 2 < v.size() ? hex_digit(v[i + 1]) : -1, low = i + 2 < v.size() ? hex_digit(v[i + 2]) : -1;
    if (high < 0 || low < 0) {
      r.error = "--package-metadata: invalid string: " + std::string(v);
      return;
    }
    text += char(high << 4 | low);
    i += 2;
  }
  r.o.package_metadata = text;
}

void threads(OptionReader& r, std::string_view v) { r.o.threads = v.empty() ? 0 : unsigned(need_number(r, v)); }

void start_stop_visibility(OptionReader& r, std::string_view v) {
  constexpr std::string_view names[] = {"default", "internal", "hidden", "protected"};
  auto it = std::find(std::begin(names), std::end(names), v);
  if (it == std::end(names)) bad(r, "unknown visibility", v);
  else r.o.start_stop_visibility = uint8_t(it - std::begin(names));
}

void cet_report(OptionReader& r, std::string_view v) {
  if (v == "none") r.o.cet_report = CetReport::none;
  else if (v == "warning") r.o.cet_report = CetReport::warning;
  else if (v == "error") r.o.cet_report = CetReport::error;
  else bad(r, "unknown value", v);
}

void dead_reloc(OptionReader& r, std::string_view v) {
  size_t eq = v.rfind('=');
  uint64_t n = 0;
  if (eq == std::string_view::npos || eq == 0 || !parse(v.substr(eq + 1), 10, n))
    bad(r, "expected GLOB=NUMBER, got", v);
  else r.o.tombstones.push_back({std::string(v.substr(0, eq)), n});
}

// KEYWORD or KEYWORD=VALUE. An unknown keyword of -z is another linker's and only worth a warning, as GNU ld has it.
static bool keyword(OptionReader& r, std::string_view v, const OptionRow* (*find)(std::string_view),
                    const std::string& prefix) {
  const OptionRow* row = find(v);
  std::string_view value;
  if (row && row->form == OptionForm::joined)
    for (std::string_view names = row->names; !names.empty();
         names.remove_prefix(std::min(names.find(' '), names.size() - 1) + 1)) {
      std::string_view n = names.substr(0, names.find(' '));
      if (v.starts_with(n)) value = v.substr(n.size());
      if (names.find(' ') == std::string_view::npos) break;
    }
  size_t eq = v.find('=');
  if ((!row || row->form == OptionForm::joined) && eq != std::string_view::npos)
    if (const OptionRow* other = find(v.substr(0, eq));
        other && other->form != OptionForm::flag && other->form != OptionForm::joined) {
      row = other;
      value = v.substr(eq + 1);
    }
  if (!row) return false;
  std::string name = prefix + std::string(v.substr(0, eq));
  if (row->form == OptionForm::value && value.empty()) {
    r.error = name + ": a value is missing, as in " + name + "=" + row->metavar;
    return true;
  }
  std::string_view spelled = r.spelled;
  r.spelled = name;
  take_option(r, *row, name, value);
  r.spelled = spelled;
  return true;
}

void z_keyword(OptionReader& r, std::string_view v) {
  if (keyword(r, v, find_z_keyword, "-z ")) return;
  std::string written = std::string(r.spelled) + (r.spelled == "-z" ? " " + std::string(v) : std::string());
  r.warnings.push_back("unknown command line option: " + written +
                       near_miss(z_keywords(), v.substr(0, v.find('=')), false));
}

void plugin_keyword(OptionReader& r, std::string_view v) {
  if (keyword(r, v, find_plugin_keyword, "-plugin-opt=")) return;
  r.error = "unknown command line option: -plugin-opt=" + std::string(v) +
            near_miss(plugin_keywords(), v.substr(0, v.find('=')), false);
}

}  // namespace lode::link::elf::option_action
