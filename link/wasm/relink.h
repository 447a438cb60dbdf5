// Relinks of wasm: the next link of an output that `--incremental` made.
//
// A module has no room between its parts: every index and length is written as short as it can be, and what stands
// behind a change moves. So nothing is patched. What carries over from link to link are the functions of IR modules
// (PROG.lode-functions, link/cache/function_file.h) and what the last link saw (PROG.lode, of the form of
// link/relink/state_file.h): if nothing of that changed, the output gets a new time and that is all. Else the module is
// emitted again, from kept functions but for those that changed, and of the file only the bytes that differ are
// written; a file that somebody has open, or one of another length, is left alone and a new one takes its name.
//
// What was seen is every file that was opened or looked for, by stat(), and by contents while it is so young that its
// time says nothing.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "link/common/input_files.h"
#include "link/relink/observed_files.h"
#include "link/relink/state_file.h"
#include "link/wasm/options.h"

namespace lode::link::wasm {

class Relink {
 public:
  Relink(const Options& options, const std::vector<std::string>& args) : options_(options), args_(args) {}

  // Why a link with these options leaves no state; empty: it does.
  static std::string no_relink_reason(const Options& options);

  // True: nothing changed, and the output has its new time.
  bool is_unchanged();
  // After that said no, and the link was made: the output is written. False: it could not be; why() tells.
  bool write(const std::vector<uint8_t>& output);
  // Then: what was seen is kept for the next link. Otherwise a warning.
  Result<void> record(const std::vector<Observation>& seen);

  // For --verbose: "relink: nothing changed", "relink: emitted again, ...", "relink: full (...)". `made`: functions of
  // IR that this link had to make.
  std::string text(uint64_t made) const;
  const std::string& error_text() const { return error_; }

 private:
  bool refuse(std::string why) {
    if (reason_.empty()) reason_ = std::move(why);
    return false;
  }
  bool open();
  bool compare();

  const Options& options_;
  const std::vector<std::string>& args_;
  StateFile state_;
  std::string reason_;          // of a full link
  bool unchanged_ = false;
  bool good_ = false;           // the state is of this output
  uint32_t changed_ = 0;        // files
  uint64_t written_ = 0;        // bytes of the output
  std::string error_;
  FileStamp image_;
  std::vector<uint32_t> settled_;
};

}  // namespace lode::link::wasm
