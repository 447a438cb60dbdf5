// The passes in order, and the command.
#include <tbb/global_control.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/version.h"
#include "link/driver.h"
#include "link/cache/mir_cache.h"
#include "link/common/lazy_threads.h"
#include "link/common/arena.h"
#include "link/common/output_file.h"
#include "link/common/message_place.h"
#include "link/common/response_file.h"
#include "link/watch/watch.h"
#include "link/watch/watched_links.h"
#include "link/wasm/link.h"
#include "link/wasm/relink.h"
#include "link/wasm/wasm_main.h"

namespace lode::link::wasm {

void Link::reset() {
  functions.resize(std::min(functions.size(), kept_functions));
  for (Symbol& s : symbols) {
    s.live = s.imported = false;
    s.index = s.stub = s.table_slot = s.got = none;
    s.count = 0;
  }
  for (Function& f : functions) {
    f.live = false;
    f.count = 0;
    f.index = f.table_slot = none;
  }
  for (Segment& s : segments) {
    s.live = false;
    s.count = 0;
    s.output = s.same_as = none;
    s.layout_align_log2 = 0;
  }
  for (Global& g : globals) {
    g.live = false;
    g.count = 0;
    g.index = none;
  }
  for (Table& t : tables) t.live = false;
  for (Tag& t : tags) t.live = false;
  for (InputFile& f : files) f.live = false;
  drafts.clear();
  type_index.clear();
  type_count.clear();
  output_types.clear();
  imports.clear();
  imported_functions = imported_tables = imported_globals = imported_tags = imported_memories = 0;
  output_functions.clear();
  output_globals.clear();
  output_tables.clear();
  output_tags.clear();
  table_functions.clear();
  table_items.clear();
  table_imports.clear();
  got_symbols.clear();
  output_segments.clear();
  ctors.clear();
  variants.clear();
  export_wrappers.clear();
  output_features.clear();
  table_needed = needs_init_memory = fill_zeroes = false;
  tls_start = tls_bytes = 0;
  tls_alignment = 1;
}

std::string Link::map_text() const {
  char line[64];
  std::string out = "    Addr      Off     Size Out     In      Symbol\n";
  for (uint32_t i : output_functions) {
    const Function& f = functions[i];
    std::snprintf(line, sizeof line, "       - %8x %8s ", f.code_offset, "-");
    out += std::string(line) + "CODE    " + file_name(f.file) + ":(" + std::string(f.name) + ")\n";
  }
  for (const OutputSegment& o : output_segments) {
    std::snprintf(line, sizeof line, "%8llx %8s %8llx ", (unsigned long long)o.address, "-",
                  (unsigned long long)o.size);
    out += std::string(line) + std::string(o.name) + "\n";
    for (uint32_t i : o.members) {
      const Segment& s = segments[i];
      std::snprintf(line, sizeof line, "%8llx %8s %8llx ", (unsigned long long)s.address, "-",
                    (unsigned long long)s.size);
      out += std::string(line) + "        " + file_name(s.file) + ":(" + std::string(s.name) + ")\n";
    }
  }
  return out;
}

std::vector<uint8_t> Link::flush() {
  auto failed = [&] { return diagnostics.flush(); };
  extract_pending();
  use_stubs();
  kept_functions = functions.size();
  std::vector<uint8_t> out;
  auto passes = [&] {
    if (failed()) return;
    define_layout_symbols();
    prepare_lowering();
    mark_live();
    kept_functions = functions.size();
    if (failed()) return;
    check_features();
    debug_kept = false;
    if (!options.strip_all && !options.strip_debug)
      for (const InputFile& f : files)
        if (f.object && f.live)
          for (const fw::Section& s : f.object->sections)
            debug_kept |= s.id == fw::SectionId::custom && s.name.starts_with(".debug_");
    if (debug_kept && options.compress_given && !options.relocatable)
      diagnostics.error(
          "--compress-relocations is incompatible with output debug information. Please pass --strip-debug or "
          "--strip-all");
    warn_of_modules(*this);
    make_variants();
    make_synthetic_functions();
    assign_indices();
    report_unresolved();
    assign_addresses();
    fill_synthetic();
    if (failed()) return;
    out = options.relocatable ? write_relocatable() : write_executable();
    auto write = [&](const char* what, const std::string& path, const std::string& text) {
      if (path == "-" && diagnostics.listing) return diagnostics.print("%s", text.c_str());
      if (auto r = write_text(path, text); !r.ok()) diagnostics.error(std::move(r.error()).at(what));
    };
    if (auto r = input_files.check_unchanged(); !r.ok()) diagnostics.error(r.error());
    if (!options.map_file.empty()) write("map file", options.map_file, map_text());
    if (!options.why_extract_file.empty()) {
      std::string text = "reference\textracted\tsymbol\n";
      for (const std::string& line : extractions) text += line;
      write("--why-extract", options.why_extract_file, text);
    }
  };
  passes();
  if (options.verbose) {
    mir::StoreSizes z = store.sizes();
    uint64_t bytes =
        z.tag_bytes + z.operand_bytes + z.extra_bytes + z.local_bytes + z.reference_bytes + z.constant_bytes;
    diagnostics.print(
        "%zu of %zu functions linked, %llu lowered so far; %llu MIR instructions of %.2f bytes (%.2f with function "
        "records)\n",
        output_functions.size(), functions.size(), (unsigned long long)lowered, (unsigned long long)z.instructions,
        z.instructions ? double(bytes) / double(z.instructions) : 0.0,
        z.instructions ? double(bytes + z.record_bytes) / double(z.instructions) : 0.0);
  }
  reset();
  if (failed()) out.clear();
  return out;
}

namespace {

// As for ELF: the output appears whole or not at all; "-" is standard output.
bool write_output(const std::string& path, const std::vector<uint8_t>& bytes, Diagnostics& d) {
  OutputFile file;
  Result<uint8_t*> to = file.create(path, bytes.size(), true);
  if (to.ok()) {
    std::memcpy(*to, bytes.data(), bytes.size());
    Result<void> done = file.commit();
    if (done.ok()) return true;
    d.error(done.error());
  } else {
    d.error(to.error());
  }
  d.flush();
  return false;
}

// The link whose options were read, on the threads of whoever called.
bool link_and_write(Link& link, Host* host, Relink* relink) {
  for (const std::string& w : link.options.warnings) link.diagnostics.warning(w);
  FunctionFile kept;
  std::optional<MirCache> folder;
  if (host) link.mir_cache = host->mir_cache;
  if (!link.options.mir_cache.empty()) {
    folder.emplace(link.options.mir_cache, link.options.mir_cache_size);
    if (auto r = folder->prepare(); !r.ok()) link.diagnostics.warning(std::move(r.error()).at("--mir-cache").text());
  } else if (relink) {
    kept.open(FunctionFile::name_of(link.options.output), MirCache::this_generator());
    folder.emplace(kept, true);
  }
  if (folder) link.mir_cache = &*folder;
  link.add_inputs();
  std::vector<uint8_t> out = link.flush();
  bool written = false;
  if (!out.empty()) {
    if (host && host->bytes) {
      *host->bytes = std::move(out);
      written = true;
    } else if (relink) {
      written = relink->write(out);
      if (!written) link.diagnostics.error(relink->error_text());
      if (!written) link.diagnostics.flush();
    } else {
      written = write_output(link.options.output, out, link.diagnostics);
    }
    if (link.mir_cache) link.mir_cache->finish(written);
    if (relink && written) {
      if (auto r = relink->record(link.input_files.observations()); !r.ok())
        link.diagnostics.warning("--incremental: " + r.error().text());
      if (link.options.verbose) link.diagnostics.print("%s\n", relink->text(folder->statistics().made).c_str());
      link.diagnostics.flush();
    }
    if (folder && link.options.mir_cache_stats) link.diagnostics.print("%s", folder->report().c_str());
  }
  return written;
}

// What a name at the beginning of a message is: a file of this link.
std::vector<Diagnostic> take_apart(const Link& link, bool is_error, const std::string& text) {
  auto file_at_start = [&](std::string_view at) {
    size_t longest = 0;
    auto consider = [&](const std::string& name) {
      if (name.size() > longest && at.starts_with(name)) longest = name.size();
    };
    for (const InputFile& f : link.files) consider(f.name);
    for (const Archive& a : link.archives) consider(a.name);
    for (const InputArg& in : link.options.inputs) consider(in.name);
    for (const MemoryInput& m : link.options.memory) consider(m.name);
    return longest;
  };
  return link::take_apart(is_error ? Severity::error : Severity::warning, text, file_at_start);
}

}  // namespace

int main_with(std::span<const char* const> args, std::span<const MemoryInput> memory, Host* host) {
  auto options = parse_options(args);
  std::vector<std::string> words;  // with what response files say
  if (auto expanded = expand_response_files(args); expanded.ok()) words = std::move(*expanded);
  Options o;
  if (options.ok()) o = std::move(*options);
  o.program = "wasm-lode";
  o.memory.assign(memory.begin(), memory.end());
  if (host) o.removed = host->removed;
  const bool hosted = host, named = !o.inputs.empty(), file_is_output = o.output == "-";
  const bool help = o.show_help, version = o.show_version;
  const size_t wanted = o.threads;
  Link link(std::move(o));
  Diagnostics& d = link.diagnostics;
  if (host) {
    d.sink = &host->messages;
    d.listing = &host->listing;
    if (host->receive)
      d.receiver = [&link, host](bool is_error, const std::string& text) {
        for (const Diagnostic& one : take_apart(link, is_error, text)) host->receive(one);
      };
  }
  auto refused = [&](const std::string& why) {
    d.error(why);
    d.flush();
    return 1;
  };
  if (!options.ok()) {
    d.error(options.error());
    d.flush();
    return 1;
  }
  if (help || version) {
    d.print("%s", help ? help_text().c_str() : "lode " LODE_VERSION " (compatible with wasm-ld)\n");
    return 0;
  }
  if (!named) return refused("no input files");
  if (hosted && file_is_output)
    return refused("the output cannot be standard output, which is the host's (./- is a file of that name)");
  // What a host has in memory no state knows.
  std::optional<Relink> relink;
  if (link.options.incremental && !(host && host->bytes) && Relink::no_relink_reason(link.options).empty()) {
    relink.emplace(link.options, words);
    if (relink->is_unchanged()) {
      if (link.options.verbose) d.print("%s\n", relink->text(0).c_str());
      return 0;
    }
  }
  Relink* const next = relink ? &*relink : nullptr;
  if (!hosted) {
    LazyThreads threads(wanted);
    link.threads = &threads;
    const bool ok = link_and_write(link, host, next);
    link.threads = nullptr;
    return ok ? 0 : 1;
  }
  const size_t all = tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
  const size_t threads = wanted ? wanted : all;
  // The limit of an arena is its own: the host's loops, and other links, run beside this one as if it were not there.
  const size_t possible = possible_threads(std::min({threads, all, size_t{32}}));
  LinkArena own;
  LinkArena& arena = host->arena ? *host->arena : own;
  return arena.run(possible, [&] { return link_and_write(link, host, next); }) ? 0 : 1;
}

}  // namespace lode::link::wasm

namespace lode::link {

int wasm_main(std::span<const char* const> args) {
  auto expanded = expand_response_files(args);
  if (expanded.ok() && asks_to_watch(*expanded)) return watch_wasm(args);
  return wasm::main_with(args, {}, nullptr);
}

}  // namespace lode::link
