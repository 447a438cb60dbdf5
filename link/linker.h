// The linker as a library: a compiler keeps one in its process, adds modules, replaces functions, and flushes.
//
//   lode::link::Linker linker({"-static"});
//   linker.add_module("main", air_text);                       // AIR text or LLVM bitcode
//   linker.add_file("/usr/lib/x86_64-linux-gnu/libc.a");       // or any option with its argument: add_option("-lm")
//   if (auto r = linker.flush("prog"); !r.ok()) ...            // the output appears whole or not at all
//   linker.replace_function("answer", new_air_text);
//   linker.flush("prog");
//
// Every flush is a whole link of what there is then: the same inputs give the same bytes. Names of modules are the caller's, for
// messages. One thread at a time may use a Linker; flush itself uses all cores (option --threads).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lode::link {

class Linker {
 public:
  // Options as on the command line of ld, without inputs and output.
  explicit Linker(std::vector<std::string> options = {});
  ~Linker();
  Linker(const Linker&) = delete;
  Linker& operator=(const Linker&) = delete;

  // A module of AIR text or bitcode, or a relocatable object; copied. A name that is taken replaces that module.
  Result<void> add_module(std::string_view name, std::span<const uint8_t> contents);
  Result<void> add_module(std::string_view name, std::string_view air_text);
  // Drops a module (and with it what replaced its functions from nowhere else). False when there is none of this name.
  bool remove_module(std::string_view name);
  // From the next flush on, `function` is what `contents` (a module that defines it, with external linkage) says, wherever it was
  // defined before; replacing it again drops the earlier replacement.
  Result<void> replace_function(std::string_view function, std::string_view air_text);
  // A file or an option, at this place in the order of inputs: "crt1.o", "-lc", "--start-group".
  void add_option(std::string option);
  void add_file(std::string path) { add_option(std::move(path)); }

  // Links everything to `output`. The error holds all messages, a line each.
  Result<void> flush(const std::string& output);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lode::link
