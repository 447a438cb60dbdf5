// A relink: the next link of an output that `--incremental` made.
//
// It compares what the last link saw with what is there now: arguments, and every file by stat(). If nothing differs,
// the output gets a new time and that is all. If files differ that took part, a delta link (delta.h) brings the image
// up to date. Anything else is a reason to link from scratch, and so is every change that a delta link gives up on; the
// reasons are in docs/incremental.md. Until the commit nothing has been written; a commit that does not come to its end
// is noticed by the next link, which then is one from scratch.
#pragma once

#include <string>
#include <vector>

#include "link/elf/options/options.h"

namespace lode::link::elf {

struct RelinkOutcome {
  enum Kind : uint8_t { unchanged, in_place, full };
  Kind kind = full;
  std::string reason;          // full: why
  uint32_t changed_files = 0, moved_symbols = 0;
  uint64_t sites = 0;          // fields of other files that were adjusted
  uint64_t image_bytes = 0, state_bytes = 0;  // written
  // For --stats: "relink: in place, ..."
  std::string text() const;
};

RelinkOutcome relink(const Options& options, const std::vector<std::string>& args);

}  // namespace lode::link::elf
