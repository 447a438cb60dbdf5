// See verify_relink.h: the full link, and the report.
#include "link/elf/relink/verify_relink.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/common/process.h"

namespace lode::link::elf {

std::string RelinkVerifier::hex(uint64_t v) {
  char out[24];
  std::snprintf(out, sizeof out, "0x%llx", static_cast<unsigned long long>(v));
  return out;
}

bool verify_relink(Link& relinked) {
  const std::string name = "--verify-relink: ";
  auto fail = [&](const std::string& why) {
    relinked.diag.error(name + why);
    relinked.diag.flush();
    return false;
  };
  // The same link, with nothing of the one that was made: into memory, from files that are read anew.
  std::vector<uint8_t> bytes;
  Options options = relinked.opt;
  options.output_bytes = &bytes;
  options.incremental_full = true;
  options.verify_relink = options.stats = options.verbose = options.show_version = false;
  options.time_trace.clear();
  options.mir_cache.clear();
  KeptInputs inputs;
  Link full(options, inputs);
  full.patchable = true;  // with the room that the relink's output has
  std::string messages;
  full.diag.sink = full.diag.listing = &messages;
  inputs.begin(read_options(full));
  if (!elf::run(full)) {
    full.diag.flush();
    return fail("the full link of the same inputs fails: " + messages);
  }
  InputFiles files;
  auto patched = files.open(options.output);
  if (!patched) return fail(patched.error().text());
  FinishedImage fresh, now;
  if (auto r = fresh.open(bytes); !r) return fail("the full link: " + r.error().text());
  if (auto r = now.open(patched->data); !r) return fail(r.error().text());
  RelinkVerifier verifier(full, fresh, now);
  verifier.run();
  if (relinked.opt.stats || relinked.opt.verbose)
    relinked.diag.print("%s%s\n", name.c_str(), verifier.summary().c_str());
  if (verifier.differences().empty()) return true;
  for (size_t i = 0; i < verifier.differences().size() && i < 20; i++)
    relinked.diag.error(name + verifier.differences()[i], i);
  relinked.diag.flush();
  return false;
}

}  // namespace lode::link::elf
