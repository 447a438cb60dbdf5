// The linker as a library: a compiler keeps one in its process, adds modules, replaces functions, and flushes.
//
//   lode::link::Linker linker({"-static"});
//   linker.add_module("main", air_text);                       // AIR text, LLVM bitcode, an ELF object, or an
//                                                              air::Module
//   linker.add_file("/usr/lib/x86_64-linux-gnu/libc.a");       // or any option with its argument: add_option("-lm")
//   if (auto r = linker.flush("prog"); !r.ok()) ...            // the output appears whole or not at all
//   linker.replace_function("answer", new_air_text);
//   linker.flush("prog");
//
// With the option -m wasm32 (or wasm64) the output is a WebAssembly module, the options are wasm-ld's, and objects are
// wasm's; all else is the same, and kept from flush to flush as well.
//
// Every flush is a whole link of what there is then, in the order in which it was added: the same inputs give the same
// bytes, whatever was flushed before. Functions are kept from flush to flush: those that are as they were in the last
// one are not compiled again, and their code is copied where nothing that it refers to has moved. What is added is
// copied. Names of modules are the caller's; messages use them, and no two modules share one.
//
// Nothing throws or ends the process: what goes wrong is an Error, whose text holds all messages, a line each (those of
// AIR text with the line and a caret). A Linker that reported an error is as it was before the call, and can go on. One
// thread at a time may use a Linker, and different ones may be used at once.
//
// The process stays its owner's: nothing is printed, not even by options that ask for it (listing()); the umask, the
// working directory, signals and their handlers are left alone. flush runs on the threads of TBB that the process has,
// on at most --threads=N of them (all cores, at most 32), in an arena of its own: it changes no limit of TBB's, and
// keeps no thread busy between flushes. add_module reads AIR text likewise, in the arena that it is called in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// By place, so that the header can be used where only the folder of the sources is known.
#include "../base/result.h"
#include "diagnostic.h"

namespace lode::air {
struct Module;
}

namespace lode::link {

class Linker {
 public:
  // Options as on the command line of ld, or of wasm-ld behind -m wasm32, without inputs and output.
  explicit Linker(std::vector<std::string> options = {});
  // What is wrong with the options so far, which a flush would say.
  Result<void> check_options() const;
  ~Linker();
  Linker(const Linker&) = delete;
  Linker& operator=(const Linker&) = delete;

  // A module: bitcode and objects are known by their first bytes, anything else is AIR text. It is read here, so
  // that what is wrong with it is said here. A name that is taken replaces that module, at its place in the order.
  Result<void> add_module(std::string_view name, std::span<const uint8_t> contents);
  Result<void> add_module(std::string_view name, std::string_view air_text);
  // What a builder made (lode/codegen/air/builder.h), verified and copied; no way through text.
  Result<void> add_module(std::string_view name, const air::Module& module);
  // Drops a module. False when there is none of this name. Replacements of its functions stay.
  bool remove_module(std::string_view name);

  // From the next flush on, `function` is what the given module says, wherever it was defined before: the module must
  // define it, visible to others, and may bring more functions and data with it. Replacing it again drops the earlier
  // replacement. Two definitions of any other symbol are still an error.
  Result<void> replace_function(std::string_view function, std::span<const uint8_t> contents);
  Result<void> replace_function(std::string_view function, std::string_view air_text);
  Result<void> replace_function(std::string_view function, const air::Module& module);
  // The same for a datum: a variable or a constant, of any size.
  Result<void> replace_data(std::string_view datum, std::span<const uint8_t> contents);
  Result<void> replace_data(std::string_view datum, std::string_view air_text);
  Result<void> replace_data(std::string_view datum, const air::Module& module);
  // From the next flush on, no module and no object file defines `symbol`: who refers to it finds what an archive or a
  // shared library defines, or it is undefined. Drops its replacement. Another replacement defines it again.
  void remove_symbol(std::string_view symbol);
  // The function or the datum is again what it was before it was replaced or removed. False when it was neither.
  bool restore_symbol(std::string_view symbol);
  bool restore_function(std::string_view function) { return restore_symbol(function); }

  // A file or an option, at this place in the order of inputs: "crt1.o", "-lc", "--start-group".
  void add_option(std::string option);
  void add_file(std::string path) { add_option(std::move(path)); }

  // Links everything to `output`. On an error there is no output, and a file that was there is untouched.
  Result<void> flush(const std::string& output);
  // The same, with the output in memory. `name` is what messages call it, and a shared library that has no -soname.
  Result<std::vector<uint8_t>> flush_to_memory(const std::string& name = "a.out");

  // What the last flush said, in its order; warnings are there after a successful one, too.
  const std::vector<Diagnostic>& diagnostics() const;
  // The warnings among them, as text.
  std::vector<std::string> warnings() const;
  // What options had the last flush list: --trace, --print-map, --print-gc-sections, --stats, --help and the like.
  const std::string& listing() const;
  // Called for everything that add_module, replace_function and flush complain of, before they return and by the thread
  // that called them. It must not throw, and not use this Linker.
  void set_diagnostic_handler(std::function<void(const Diagnostic&)> handler);

 private:
  struct State;
  Result<void> tell(std::string_view module, Result<void> result);
  Result<void> link_all(const std::string& output, std::vector<uint8_t>* bytes);
  std::unique_ptr<State> state_;
};

}  // namespace lode::link
