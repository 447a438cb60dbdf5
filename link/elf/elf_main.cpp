// The ELF linker from its command line to its output: a list of passes.
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "base/bytes.h"
#include "base/version.h"
#include "formats/linker_script.h"
#include "link/driver.h"
#include "link/elf/code/asm_sections.h"
#include "link/elf/elf_main.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/cache/mir_cache.h"
#include "link/common/output_file.h"
#include "link/common/process.h"

namespace lode::link::elf {

namespace {

void forget_definition(Symbol& s) {
  s.file = none;
  s.value = 0;
  s.type = STT_NOTYPE;
  s.version = VER_NDX_GLOBAL;
}

struct Pass {
  Pass(Link& l, const char* name) : link(l) { link.timers.push_back({name, clock_seconds(), 0}); }
  ~Pass() { link.timers.back().end = clock_seconds(); }
  Link& link;
};

void set_up(Link& link) {
  Options& o = link.opt;
  link.target = &x86_64_target();
  link.relocatable = o.kind == OutputKind::relocatable;
  link.shared = o.kind == OutputKind::shared;
  link.pic = link.shared || o.kind == OutputKind::pie;
  link.entry_name = o.entry;
  // A warning about text relocations was asked for, so that they are not refused.
  if (!o.text_given && (o.warn_textrel || (link.shared && o.warn_shared_textrel))) o.text = false;
  if (o.omagic || o.nmagic) o.relro = false;
  size_t slash = o.program.rfind('/');
  link.diag.program = slash == std::string::npos ? o.program : o.program.substr(slash + 1);
  link.diag.fatal_warnings = o.fatal_warnings;
  link.diag.no_warnings = o.no_warnings;
  link.diag.color = o.color;
  link.diag.error_limit = o.error_limit;
  link.diag.demote_errors = o.noinhibit_exec;
  // Whatever can be output is: later passes must find what it needs reserved, so these are no errors from the start.
  if (o.noinhibit_exec) {
    o.text = false;
    if (o.unresolved == Unresolved::error) o.unresolved = Unresolved::warn;
  }
  auto internal = std::make_unique<ObjectFile>();
  internal->kind = FileKind::internal;
  internal->name = "<internal>";
  internal->alive = internal->parsed = true;
  internal->priority = 0;
  internal->id = uint32_t(link.files.size());
  static const Sym null_symbol{};
  internal->syms = {&null_symbol, 1};
  internal->first_global = 1;
  link.internal = internal.get();
  link.files.push_back(std::move(internal));
}

// A reference that is not visible outside of the output (hidden, protected) cannot mean what a shared library defines.
void reject_hidden_imports(Link& link) {
  for (Symbol& s : link.symbols)
    if (s.defined() && link.files[s.file]->kind == FileKind::shared && s.visibility() != STV_DEFAULT &&
        (s.flags & referenced))
      forget_definition(s);
}

// What a needed library wants of one that is named after --as-needed, and that no needed library's DT_NEEDED brings in,
// makes that needed, too.
void need_for_libraries(Link& link) {
  std::unordered_set<std::string_view> brought;
  std::vector<SharedFile*> todo;
  bool candidates = false;
  auto add = [&](SharedFile& so) {
    so.needed_flag = true;
    brought.insert(so.needed.begin(), so.needed.end());
    todo.push_back(&so);
  };
  for (SharedFile* so : link.shareds) {
    if (so->needed_flag) add(*so);
    else candidates = true;
  }
  while (candidates && !todo.empty()) {
    SharedFile* user = todo.back();
    todo.pop_back();
    for (uint32_t i = 0; i < user->globals.names.size(); i++) {
      if (user->syms[i].shndx != SHN_UNDEF || user->syms[i].bind() == STB_WEAK) continue;
      const Symbol& s = link.symbols[user->globals.names[i].id];
      if (!s.defined() || link.files[s.file]->kind != FileKind::shared) continue;
      auto& so = static_cast<SharedFile&>(*link.files[s.file]);
      if (!so.needed_flag && !brought.count(so.soname)) add(so);
    }
  }
}

// Libraries after --as-needed to which nothing but weak references refers are left out. What they defined, a later
// library may define as well; else it is undefined again.
void drop_unneeded(Link& link) {
  for (SharedFile* so : link.shareds) so->needed_flag = !so->as_needed;
  for (Symbol& s : link.symbols)
    if (s.defined() && link.files[s.file]->kind == FileKind::shared && (s.flags & (referenced_strong | is_root)))
      static_cast<SharedFile&>(*link.files[s.file]).needed_flag = true;
  need_for_libraries(link);
  bool dropped = false, weak = false;
  for (SharedFile* so : link.shareds) dropped |= !so->needed_flag;
  if (!dropped) return;
  for (Symbol& s : link.symbols)
    if (s.defined() && link.files[s.file]->kind == FileKind::shared &&
        !static_cast<SharedFile&>(*link.files[s.file]).needed_flag) {
      weak |= s.flags & referenced;
      forget_definition(s);
    }
  for (SharedFile* so : link.shareds) {
    so->dropped = !so->needed_flag;
    if (so->dropped) so->alive = false;
  }
  std::erase_if(link.shareds, [](SharedFile* f) { return !f->needed_flag; });
  if (weak) bind_again(link);
}

// DT_RELR (gABI): an address word, then bitmap words (lowest bit set) for the 63 words that follow.
std::vector<uint64_t> encode_relr(std::vector<uint64_t>& places) {
  std::sort(places.begin(), places.end());
  std::vector<uint64_t> out;
  for (size_t i = 0; i < places.size();) {
    uint64_t base = places[i++];
    out.push_back(base);
    base += 8;
    for (;;) {
      uint64_t bits = 0;
      while (i < places.size() && places[i] - base < 63 * 8 && (places[i] - base) % 8 == 0)
        bits |= uint64_t{1} << ((places[i++] - base) / 8);
      if (!bits) break;
      out.push_back(bits << 1 | 1);
      base += 63 * 8;
    }
  }
  return out;
}

bool layout_all(Link& link) {
  layout_eh_frame(link);
  if (link.eh_frame_hdr) link.eh_frame_hdr->size = link.eh_frame->size ? 12 + 8 * link.eh_frame_fde_count : 0;
  size_t rels = got_relocations(link).size();
  for (ObjectFile* f : link.objects) rels += f->dynrel_count;
  link.reldyn->size = rels * sizeof(Rela);
  if (link.relrdyn) link.relrdyn->size = 8;
  if (link.dynamic) link.dynamic->size = dynamic_entries(link).size() * sizeof(Dyn);
  for (int round = 0; round < 8; round++) {
    if (!layout(link)) return false;
    if (!link.relrdyn) break;
    std::vector<uint64_t> places;
    for (ObjectFile* f : link.objects)
      for (uint64_t p : f->relr) places.push_back(link.atom_address[uint32_t(p >> 32)] + uint32_t(p));
    for (const Link::GotEntry& e : link.got_entries)
      if (got_slot_is_relative(link, e)) places.push_back(got_address(link, link.aux[link.symbols[e.symbol].aux].got));
    link.relr_words = encode_relr(places);
    uint64_t bytes = link.relr_words.size() * 8;
    if (bytes == 0) {
      link.relrdyn->size = 0;
      link.dynamic->size = dynamic_entries(link).size() * sizeof(Dyn);
      link.relrdyn = nullptr;
      continue;
    }
    if (bytes <= link.relrdyn->size) {
      link.relr_words.resize(link.relrdyn->size / 8, 1);  // an empty bitmap
      break;
    }
    link.relrdyn->size = bytes;
  }
  assign_symbol_addresses(link);
  return !link.diag.has_errors();
}

// --compress-debug-sections and --compress-sections: the finished bodies, packed where that is shorter. They have no
// address, so nothing that has one moves when they shrink; a second layout closes the gaps in the file.
bool compress_sections(Link& link) {
  std::vector<std::pair<OutputSection*, const CompressRule*>> list;
  for (OutputSection* s : link.order) {
    if (s->alloc() || !s->size || s->write || s->nobits() || s->type == SHT_SYMTAB || s->type == SHT_STRTAB) continue;
    const CompressRule* rule = nullptr;
    for (const CompressRule& r : link.opt.compress_sections)
      if (formats::glob_match(r.glob, s->name)) rule = &r;
    if (rule && rule->type) list.emplace_back(s, rule);
  }
  tbb::parallel_for(size_t(0), list.size(), [&](size_t i) {
    OutputSection& s = *list[i].first;
    const CompressRule& rule = *list[i].second;
    std::vector<uint8_t> body(s.size);
    for (uint32_t id : s.atoms) {
      Atom& a = link.atoms[id];
      if (a.kind == AtomKind::merged) {
        write_merged(*link.merged[a.extra], body.data() + a.offset);
      } else if (a.data) {
        std::memcpy(body.data() + a.offset, a.data, a.size);
        link.target->apply_nonalloc(link, link.object(a.file), a, body.data() + a.offset);
      }
    }
    std::vector<uint8_t> packed = compress(body, rule.type, s.align,
                                           rule.level >= 0                 ? rule.level
                                           : rule.type == ELFCOMPRESS_ZLIB ? 1
                                                                           : 3);
    if (packed.size() >= body.size() && rule.level < 0) return;
    s.compressed = std::move(packed);
    s.size = s.compressed.size();
    s.align = 8;
    s.flags |= SHF_COMPRESSED;
  });
  if (!layout(link)) return false;
  assign_symbol_addresses(link);
  return !link.diag.has_errors();
}

// An object that asks for an executable stack asks for the whole process.
void warn_execstack(Link& link) {
  if (!link.opt.warn_execstack || link.opt.execstack) return;
  for (ObjectFile* f : link.objects)
    if (f->exec_stack)
      link.diag.warning(
          f->name + ": requires executable stack (because the .note.GNU-stack section is executable)" +
              (link.opt.execstack_if_needed ? "" : ", but -z execstack is not given: may cause a segmentation fault"),
          uint64_t(f->priority) << 32);
}

// A name that is code for one and data for the other is rarely meant: a variable called like a function of libc.
void warn_symbol_types(Link& link) {
  for (SharedFile* so : link.shareds)
    for (uint32_t i = 0; i < so->globals.names.size(); i++) {
      const Sym& theirs = so->syms[i];
      const Symbol& s = link.symbols[so->globals.names[i].id];
      if (!s.defined() || s.file == so->id || !link.files[s.file]->is_object() || s.linker_defined ||
          theirs.shndx == SHN_UNDEF)
        continue;
      auto is_code = [](uint8_t type) { return type == STT_FUNC || type == STT_GNU_IFUNC; };
      auto known = [&](uint8_t type) {
        return is_code(type) || type == STT_OBJECT || type == STT_COMMON || type == STT_TLS;
      };
      if (!known(s.type) || !known(theirs.type()) || is_code(s.type) == is_code(theirs.type()) ||
          s.visibility() == STV_HIDDEN)
        continue;
      link.diag.warning("symbol type mismatch: " + link.display(s) + "\n>>> " +
                            (is_code(s.type) ? "a function" : "a variable") + " in " + link.files[s.file]->name +
                            "\n>>> " + (is_code(theirs.type()) ? "a function" : "a variable") + " in " + so->name,
                        uint64_t(so->priority) << 32 | i);
    }
}

bool run(Link& link) {
  Options& o = link.opt;
  {
    Pass p(link, "open");
    if (!open_inputs(link) || !read_version_scripts(link)) return false;
  }
  for (;;) {
    {
      Pass p(link, "resolve");
      if (!resolve(link)) return false;
      trace_symbols(link);
      report_extractions(link);
      if (link.relocatable) return link_relocatable(link);
      if (link.objects.empty() && link.shareds.empty() && link.archives.empty()) {
        link.diag.error("no input files");
        return false;
      }
      reject_hidden_imports(link);
      drop_unneeded(link);
      link.is_static_output = o.kind == OutputKind::exec &&
                              (o.is_static || (link.shareds.empty() && o.dynamic_linker.empty())) && !o.export_dynamic;
      if (o.kind == OutputKind::exec && o.is_static) link.is_static_output = true;
      report_duplicates(link);
      check_entry(link);
      warn_symbol_types(link);
      assign_versions(link);
      define_early_symbols(link);
      check_shared_undefined(link);
      check_assignments(link);
      compute_import_export(link);
      if (link.diag.has_errors()) return false;
    }
    {
      Pass p(link, "live");
      split_mergeable(link);
      if (!mark_live(link)) return false;
    }
    if (!link.has_modules) break;
    const bool members = take_late_members(link), sections = add_asm_sections(link);
    if (!members && !sections) break;
  }
  {
    Pass p(link, "sections");
    if (link.has_modules) place_functions(link);
    assign_sections(link);
    fold_identical(link);
    allocate_commons(link);
    define_linker_symbols(link);
    refresh_assignments(link, false);
    compute_import_export(link);
    if (link.has_modules && !measure_functions(link)) return false;
    complete_asm_sections(link);
    collect_members(link);
    uint64_t total = 0;
    for (auto& s : link.sections) total += s->alloc() ? s->size : 0;
    link.large_image = total >= uint64_t{1} << 30;
    report_missing_cet(link);
    warn_execstack(link);
  }
  {
    Pass p(link, "scan");
    scan_relocations(link);
    if (link.has_textrel && (o.warn_textrel || (link.shared && o.warn_shared_textrel)))
      link.diag.warning(
          "creating a DT_TEXTREL in an output file: its code will be written to at start-up; recompile with " +
          std::string(link.shared ? "-fPIC" : "-fPIE"));
    if (link.diag.has_errors()) return false;
  }
  {
    Pass p(link, "layout");
    create_synthetic_sections(link);
    create_dynamic_sections(link);
    size_symtab(link);
    create_emitted_relocations(link);
    if (!layout_all(link)) return false;
    if (link.opt.gdb_index && !create_gdb_index(link)) return false;
    if (!link.opt.compress_sections.empty() && !compress_sections(link)) return false;
    check_layout(link);
  }
  {
    Pass p(link, "write");
    if (link.diag.flush()) return false;
    if (!write_output(link)) return false;
  }
  return !link.diag.has_errors();
}

}  // namespace

// For make: the output depends on every file that was read.
void write_dependencies(Link& link) {
  if (link.opt.dependency_file.empty()) return;
  std::vector<std::string_view> names;
  std::unordered_set<std::string_view> seen;
  for (const std::string& n : link.linked_names)
    if (seen.insert(n).second) names.push_back(n);
  std::string text = link.opt.output + ":";
  for (std::string_view n : names) text.append(" ").append(n);
  text += "\n";
  for (std::string_view n : names) text.append("\n").append(n).append(":\n");
  auto written = write_listing(link, link.opt.dependency_file, text);
  if (!written) link.diag.error(std::move(written.error()).at("dependency file"));
}

void write_listings(Link& link) {
  write_dependencies(link);
  print_map(link);
  print_cross_references(link);
  print_dependencies(link);
  why_live(link);
  print_memory_usage(link);
}

constexpr const char* version_text = "lode " LODE_VERSION " (compatible with GNU ld)";

static std::string answer(const Options& o) {
  switch (o.answer) {
    case Answer::version: return std::string(version_text) + "\n";
    case Answer::help: return help_text();
    case Answer::markdown: return options_document();
    case Answer::man: return man_page();
    case Answer::sysroot: return o.sysroot + "\n";
    case Answer::output_format: return "elf64-x86-64\n";
    default: return {};
  }
}

// -C, and what only a process of its own may do and is refused to a host. Empty, or what is wrong.
static std::string take_place(const Options& o, bool hosted) {
  if (hosted && !o.directory.empty())
    return "--directory is for the command: a library does not change the working directory";
  if (hosted && o.output == "-")
    return "the output cannot be standard output, which is the host's (./- is a file of that name)";
  if (o.directory.empty() || chdir(o.directory.c_str()) == 0) return {};
  return "cannot work in " + o.directory + ": " + std::strerror(errno);
}

// --version and the like. True if that was all.
static bool greet(Link& link) {
  const Options& o = link.opt;
  if (!o.show_version && !o.show_emulations && !o.verbose) return false;
  link.diag.print("%s\n", version_text);
  if (o.show_emulations) {
    link.diag.print("  Supported emulations:\n");
    for (const char* name : emulations) link.diag.print("   %s\n", name);
  }
  if (o.verbose)
    for (const std::string& why : o.without_effect) link.diag.print("%s\n", why.c_str());
  return o.inputs.empty();
}

// The link whose options were read, on the threads of whoever called.
static bool link_and_report(Link& link, const std::vector<std::string>& args) {
  std::optional<MirCache> folder;
  if (!link.opt.mir_cache.empty()) {
    folder.emplace(link.opt.mir_cache, link.opt.mir_cache_size);
    if (auto r = folder->prepare(); !r) link.diag.warning(std::move(r.error()).at("--mir-cache").text());
    link.mir_cache = &*folder;
  }
  bool ok = run(link);
  if (link.mir_cache) link.mir_cache->finish(ok);
  write_reproduction(link, args);
  if (link.diag.flush()) ok = false;
  report_times(link);
  if (folder && link.opt.mir_cache_stats) link.diag.print("%s", folder->report().c_str());
  if (link.diag.flush()) ok = false;
  return ok;
}

static bool link_from(Link& link, const std::vector<std::string>& args, bool hosted) {
  if (link.opt.answer != Answer::none) {
    link.diag.print("%s", answer(link.opt).c_str());
    return true;
  }
  if (std::string why = take_place(link.opt, hosted); !why.empty()) {
    link.diag.error(why);
    link.diag.flush();
    return false;
  }
  if (greet(link)) return true;
  const size_t usual = std::min<size_t>(32, size_t(tbb::info::default_concurrency()));
  const size_t threads = link.opt.threads ? link.opt.threads : usual;
  if (!hosted) {
    ThreadLimit limit(threads);
    return link_and_report(link, args);
  }
  // The limit of an arena is its own: the host's loops, and other links, run beside this one as if it were not there.
  // If it is asked for more threads than it has, TBB says so on stderr.
  const size_t all = tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
  tbb::task_arena arena(int(possible_threads(std::min(threads, all))));
  return arena.execute([&] { return link_and_report(link, args); });
}

int main_with(const std::vector<std::string>& args, std::span<const MemoryInput> memory, Host* host) {
  auto owned = std::make_unique<Link>();
  Link& link = *owned;
  std::vector<std::string> warnings;
  auto parsed = parse_options(args, link.opt, warnings);
  set_up(link);
  if (host) {
    link.diag.sink = &host->messages;
    link.diag.listing = &host->listing;
    if (host->receive)
      link.diag.receiver = [&link, host](bool is_error, const std::string& text) {
        for (const Diagnostic& d : take_apart(link, is_error, text)) host->receive(d);
      };
  }
  if (host) link.mir_cache = host->mir_cache;
  if (host) link.opt.output_bytes = host->bytes;
  link.opt.memory.assign(memory.begin(), memory.end());
  for (const std::string& w : warnings) link.diag.warning(w);
  if (!parsed) {
    link.diag.error(parsed.error());
    link.diag.flush();
    return 1;
  }
  const bool ok = link_from(link, args, host);
  if (host) return ok ? 0 : 1;
  std::fflush(stdout);
  // The arrays are large and the process is about to end: leave them to the system.
  (void)owned.release();
  return ok ? 0 : 1;
}

}  // namespace lode::link::elf

namespace lode::link {

int elf_main(std::span<const char* const> args) {
  auto expanded = elf::expand_response_files(args);
  if (!expanded) {
    std::fprintf(stderr, "lode: error: %s\n", expanded.error().text().c_str());
    return 1;
  }
  return elf::main_with(*expanded, {}, nullptr);
}

}  // namespace lode::link
