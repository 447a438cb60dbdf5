// The ELF linker as a command, and as what a host calls: options are read, the link is made on as many threads as it
// may have, and everything that was asked for besides the output is written. The passes are in link.cpp.
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "base/version.h"
#include "link/driver.h"
#include "link/elf/elf_main.h"
#include "link/elf/link.h"
#include "link/cache/mir_cache.h"
#include "link/common/arena.h"
#include "link/common/lazy_threads.h"
#include "link/elf/relink/relink.h"
#include "link/elf/relink/state.h"
#include "link/elf/relink/verify_relink.h"
#include "link/common/output_file.h"
#include "link/common/process.h"
#include "link/common/response_file.h"
#include "link/watch/watch.h"
#include "link/watch/watched_links.h"

namespace lode::link::elf {

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
    for (const char* name : listed_emulations()) link.diag.print("   %s\n", name);
  }
  if (o.verbose)
    for (const std::string& why : o.without_effect) link.diag.print("%s\n", why.c_str());
  return o.inputs.empty();
}

// The link whose options were read, on the threads of whoever called.
static bool link_and_report(Link& link, const std::vector<std::string>& args) {
  const bool keeps_state = link.opt.incremental && no_state_reason(link).empty();
  link.patchable = keeps_state && no_relink_reason(link).empty();
  FunctionFile kept;
  std::optional<MirCache> folder;
  if (!link.opt.mir_cache.empty()) {
    folder.emplace(link.opt.mir_cache, link.opt.mir_cache_size);
    if (auto r = folder->prepare(); !r) link.diag.warning(std::move(r.error()).at("--mir-cache").text());
  } else if (keeps_state) {
    kept.open(FunctionFile::name_of(link.opt.output), MirCache::this_generator());
    folder.emplace(kept, true);
  }
  if (folder) link.mir_cache = &*folder;
  if (keeps_state) link.inputs.files.observe();
  bool ok = run(link);
  if (ok && keeps_state) record_state(link, args);
  if (link.mir_cache) link.mir_cache->finish(ok);
  write_reproduction(link, args);
  if (link.diag.flush()) ok = false;
  report_times(link);
  if (folder && link.opt.mir_cache_stats) link.diag.print("%s", folder->report().c_str());
  if (link.diag.flush()) ok = false;
  return ok;
}

static bool link_from(Link& link, const std::vector<std::string>& args, const Host* host) {
  if (link.opt.answer != Answer::none) {
    link.diag.print("%s", answer(link.opt).c_str());
    return true;
  }
  if (std::string why = take_place(link.opt, host); !why.empty()) {
    link.diag.error(why);
    link.diag.flush();
    return false;
  }
  if (greet(link)) return true;
  bool relinked = false;
  // What a host has in memory, and what it took away, no state knows.
  if (link.opt.incremental && link.opt.memory.empty() && link.opt.removed.empty() && !link.opt.output_bytes) {
    const RelinkOutcome outcome = relink(link.opt, args);
    if (link.opt.stats || link.opt.verbose) link.diag.print("%s\n", outcome.text().c_str());
    relinked = outcome.kind != RelinkOutcome::full;
    if (relinked && !link.opt.verify_relink) return true;
  }
  const auto work = [&] { return relinked ? verify_relink(link) : link_and_report(link, args); };
  if (!host) {
    LazyThreads threads(link.opt.threads);
    link.threads = &threads;
    const bool ok = work();
    link.threads = nullptr;
    return ok;
  }
  // The limit of an arena is its own: the host's loops, and other links, run beside this one as if it were not there.
  // If it is asked for more threads than it has, TBB says so on stderr.
  const size_t all = tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
  const size_t usual = std::min<size_t>(32, size_t(tbb::info::default_concurrency()));
  const size_t threads = link.opt.threads ? link.opt.threads : usual;
  LinkArena own;
  LinkArena& arena = host->arena ? *host->arena : own;
  return arena.run(possible_threads(std::min(threads, all)), work);
}

// What a link is made of, in the order in which it has to go.
struct Session {
  Options options;
  std::optional<KeptInputs> own_inputs;
  std::optional<Link> link;
};

static void report_to(Host& host, Link& link) {
  link.diag.sink = &host.messages;
  link.diag.listing = &host.listing;
  link.mir_cache = host.mir_cache;
  if (host.receive)
    link.diag.receiver = [&link, &host](bool is_error, const std::string& text) {
      for (const Diagnostic& d : take_apart(link, is_error, text)) host.receive(d);
    };
}

int main_with(const std::vector<std::string>& args, std::span<const MemoryInput> memory, Host* host) {
  auto session = std::make_unique<Session>();
  std::vector<std::string> warnings;
  auto parsed = parse_options(args, session->options, warnings);
  session->options.memory.assign(memory.begin(), memory.end());
  if (host) {
    session->options.output_bytes = host->bytes;
    session->options.removed = host->removed;
  }
  KeptInputs& inputs = host && host->inputs ? *host->inputs : session->own_inputs.emplace();
  Link& link = session->link.emplace(session->options, inputs);
  if (host) report_to(*host, link);
  for (const std::string& w : warnings) link.diag.warning(w);
  if (!parsed) {
    link.diag.error(parsed.error());
    link.diag.flush();
    return 1;
  }
  inputs.begin(read_options(link));
  const bool ok = link_from(link, args, host);
  if (host) {
    session->link.reset();  // before the files that it looks into are let go
    inputs.end();
    return ok ? 0 : 1;
  }
  std::fflush(stdout);
  // The arrays are large and the process is about to end: leave them to the system.
  (void)session.release();
  return ok ? 0 : 1;
}

}  // namespace lode::link::elf

namespace lode::link {

int elf_main(std::span<const char* const> args) {
  auto expanded = expand_response_files(args);
  if (!expanded) {
    std::fprintf(stderr, "lode: error: %s\n", expanded.error().text().c_str());
    return 1;
  }
  if (asks_to_watch(*expanded)) return watch_elf(args);
  return elf::main_with(*expanded, {}, nullptr);
}

}  // namespace lode::link
