// See watched_links.h.
//
// relink_elf() and relink_wasm() are all that the watching knows of linking. Each makes a link as a host has it made
// (elf_main.h, wasm_main.h), with the functions and, for ELF, the contents of files that earlier links of this process
// left.
#include "link/watch/watched_links.h"

#include "link/cache/mir_cache.h"
#include "link/common/arena.h"
#include "link/elf/elf_main.h"
#include "link/elf/inputs/contents.h"
#include "link/wasm/wasm_main.h"
#include "link/watch/watch.h"

namespace lode::link {

namespace {

struct Kept {
  MirCache functions{"", 0};
  elf::KeptInputs inputs;
  LinkArena arena;
};

// A message as the command prints it. What has a line and a column begins with them, and is printed as it is.
std::string as_printed(const char* program, const Diagnostic& d) {
  if (d.line && d.column) return d.text;
  return std::string(program) + (d.severity == Severity::error ? ": error: " : ": warning: ") + d.text;
}

template <class Host>
void listen(Host& host, const char* program, WatchedLink& link) {
  host.receive = [&link, program](const Diagnostic& d) { link.messages.push_back(as_printed(program, d)); };
}

// What changed is found by stat() in these: KeptInputs looks at each file.
WatchedLink relink_elf(Kept& kept, const std::vector<std::string>& args, const std::vector<ChangedFile>&) {
  WatchedLink link;
  elf::Options options;
  std::vector<std::string> warnings;
  if (elf::parse_options(args, options, warnings)) link.output = options.output;
  elf::Host host;
  host.inputs = &kept.inputs;
  host.mir_cache = &kept.functions;
  host.arena = &kept.arena;
  listen(host, "lode", link);
  link.ok = elf::main_with(args, {}, &host) == 0;
  link.listing = std::move(host.listing);
  return link;
}

WatchedLink relink_wasm(Kept& kept, const std::vector<std::string>& args, const std::vector<ChangedFile>&) {
  WatchedLink link;
  std::vector<const char*> words;
  for (const std::string& a : args) words.push_back(a.c_str());
  if (auto options = wasm::parse_options(words); options.ok()) link.output = options->output;
  wasm::Host host;
  host.mir_cache = &kept.functions;
  host.arena = &kept.arena;
  listen(host, "wasm-lode", link);
  link.ok = wasm::main_with(words, {}, &host) == 0;
  link.listing = std::move(host.listing);
  return link;
}

}  // namespace

int watch_elf(std::span<const char* const> args) {
  Kept kept;
  kept.inputs.set_keeps(true);
  return watch(args, [&](auto& words, auto& changed) { return relink_elf(kept, words, changed); });
}

int watch_wasm(std::span<const char* const> args) {
  Kept kept;
  return watch(args, [&](auto& words, auto& changed) { return relink_wasm(kept, words, changed); });
}

}  // namespace lode::link
