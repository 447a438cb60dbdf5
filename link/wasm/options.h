// The command line of wasm-ld: one table of options (options.cpp), read into one plain record.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "link/common/build_id.h"

namespace lode::air {
struct Module;
}
namespace lode::link::wasm {

// One positional argument, with the state of the position-dependent options before it.
struct InputArg {
  enum Kind : uint8_t { file, library, lib_start, lib_end };
  Kind kind = file;
  std::string name;
  bool whole_archive = false;
};

// An input that is in memory: a file's name equal to `key` stands for these bytes, or for this module, and not for a
// file. They outlive the link. `name` is for messages.
struct MemoryInput {
  std::string key, name;
  std::span<const uint8_t> data;
  const air::Module* module = nullptr;  // if given, data is empty
  std::string replaces;  // a symbol of which this definition counts; it stands before all others, which are no error
};

// What happens to undefined names that nothing allows. Functions that are not imported trap when called; data has
// address 0. import_dynamic: functions are imported; data would have to come from a dynamic linker, and is an error.
enum class Unresolved : uint8_t { report, warn, ignore, import_dynamic };

struct Options {
  std::string program = "wasm-lode";
  std::vector<InputArg> inputs;
  std::string output = "a.out";
  bool memory64 = false;
  bool relocatable = false;
  std::string entry = "_start";
  bool entry_given = false, no_entry = false;
  std::vector<std::string> library_paths, undefined, exports, required_exports, allow_undefined_files, trace_symbols,
      wraps, keep_sections;
  std::vector<std::pair<std::string, std::string>> defsyms;  // name, number
  bool export_all = false, export_dynamic = false;
  bool export_table = false, import_table = false, growable_table = false;
  bool import_memory = false, export_memory = false;
  std::string import_memory_module = "env", import_memory_name = "memory", export_memory_name = "memory";
  bool shared_memory = false, stack_first = false, growable_memory = true;
  uint64_t stack_size = 64 * 1024, global_base = 0, initial_memory = 0, initial_heap = 0, max_memory = 0,
           table_base = 0;
  bool global_base_given = false;
  bool gc_sections = true, print_gc_sections = false;
  bool strip_all = false, strip_debug = false;
  bool merge_data_segments = true;
  unsigned optimize = 1;  // 0: constants stay apart
  bool compress = true;  // minimal LEB128 in the code of objects too, where no debug information is written
  bool compress_given = false;
  bool check_features = true, features_given = false;
  std::vector<std::string> features, extra_features;
  Unresolved unresolved = Unresolved::report;
  bool import_undefined = false;  // undefined functions become imports
  BuildId build_id = BuildId::none;
  std::vector<uint8_t> build_id_bytes;  // hex
  std::string why_extract_file;   // "-": standard output
  bool trace = false, verbose = false, demangle = true;
  std::string map_file;  // "-": standard output
  std::string module_name;  // --soname
  std::string mir_cache;          // folder
  uint64_t mir_cache_size = uint64_t{2} << 30;  // bytes
  bool mir_cache_stats = false;
  bool incremental = false, incremental_full = false;  // keep what the next link can go on from; do not go on from it
  unsigned error_limit = 20, threads = 0;
  bool fatal_warnings = false, no_warnings = false, color = false;
  std::vector<std::string> warnings;  // about the command line itself
  bool show_version = false, show_help = false;
  std::vector<MemoryInput> memory;
  std::vector<std::string> removed;  // names that modules and objects, but those out of archives, define in vain
};

// args[0] is the program's name. Response files (@file) are read here.
Result<Options> parse_options(std::span<const char* const> args);
std::string help_text();

}  // namespace lode::link::wasm
