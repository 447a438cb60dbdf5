// The ELF command line: one table of options (options.cpp), read into one plain record.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/linker_script.h"

namespace lode::air {
struct Module;
}

namespace lode::link::elf {

// One positional argument, with the state of the position-dependent options before it.
struct InputArg {
  enum Kind : uint8_t { file, library, group_start, group_end, lib_start, lib_end };
  Kind kind = file;
  std::string name;
  bool as_needed = false, whole_archive = false, is_static = false;
};

// An input that is in memory: an `inputs` entry equal to `key` stands for these bytes, or for this module, and not for a file.
// They outlive the link. `name` is for messages; what is neither ELF nor bitcode is AIR text.
struct MemoryInput {
  std::string key, name;
  std::span<const uint8_t> data;
  const air::Module* module = nullptr;  // if given, data is empty
  std::string replaces;                 // a symbol of which this definition counts, if it is the first; later ones are no error
};

enum class OutputKind : uint8_t { exec, pie, shared, relocatable };
enum class BuildId : uint8_t { none, fast, md5, sha1, sha256, uuid, hex };
enum class IcfMode : uint8_t { none, safe, all };
enum class Bsymbolic : uint8_t { none, all, functions, non_weak, non_weak_functions };
enum class Unresolved : uint8_t { error, warn, ignore };
enum class UndefinedVersion : uint8_t { error, warn, ignore };  // a version script names a symbol that is not defined
enum class CetReport : uint8_t { none, warning, error };
enum class SectionShuffle : uint8_t { none, random, reverse };

struct Options {
  std::string program = "lode";
  std::vector<InputArg> inputs;
  std::vector<MemoryInput> memory;
  std::string output = "a.out";
  OutputKind kind = OutputKind::exec;
  bool is_static = false;       // -static: no dynamic section unless static-pie
  bool runnable_library = false;  // -shared -pie
  std::string emulation;        // -m
  std::string entry = "_start";
  bool entry_given = false;
  std::string init = "_init", fini = "_fini";
  std::string sysroot, soname, dynamic_linker, map_file, dependency_file;
  std::vector<std::string> library_paths, rpaths, undefined, require_defined, wraps, exclude_libs, trace_symbols, why_live, auxiliary, filter;
  std::vector<std::pair<std::string, std::string>> defsyms;
  std::vector<std::string> version_scripts, dynamic_lists, export_symbols, retain_symbols_files;
  std::string audit, depaudit, package_metadata;
  bool no_dynamic_linker = false;
  bool no_stdlib_paths = false;
  bool gc_sections = false, print_gc_sections = false;
  bool export_dynamic = false, dynamic_list_given = false, dynamic_list_data = false;
  std::vector<std::string> dynamic_list_patterns;  // C++ names, from --dynamic-list-cpp-new and -typeinfo
  std::vector<std::string> undefined_globs, discard_sections, unique_patterns, keep_unique;
  std::map<std::string, uint64_t> section_align;
  std::string symbol_ordering_file;
  bool discard_none = false, execute_only = false, print_dependencies = false;
  bool print_icf_sections = false, ignore_data_address_equality = false;
  bool warn_textrel = false, warn_shared_textrel = false, warn_execstack = true, warn_symbol_ordering = true;
  bool z_rodynamic = false, android_relr_tags = false, text_segment_given = false;
  bool dynamic_undefined_weak_given = false;
  bool start_stop = false;            // --start-stop: __start_X and __stop_X for every section, .X for X too
  bool zero_to_bss = false, relocatable_merge_sections = false, rewrite_endbr = false;
  uint8_t start_stop_visibility = 2;  // STV_HIDDEN
  uint32_t isa_needed = 0;            // -z x86-64-v*: GNU_PROPERTY_X86_ISA_1_NEEDED
  CetReport cet_report = CetReport::none;
  SectionShuffle shuffle = SectionShuffle::none;
  uint64_t shuffle_seed = 0;
  uint32_t spare_program_headers = 0;
  int compress_level = 0;
  bool compress_level_given = false;
  bool allow_multiple_definition = false;
  bool allow_shlib_undefined = true;
  bool allow_shlib_undefined_given = false;
  bool dependent_libraries = true;  // follow .deplibs
  bool as_needed = false;
  bool strip_all = false, strip_debug = false, discard_all = false, discard_locals = false;
  bool emit_relocs = false;
  bool eh_frame_hdr = true;
  bool hash_gnu = true, hash_sysv = true;
  bool relro = true, now = false, text = true, text_given = false, defs = false, combreloc = true, copyreloc = true;
  bool execstack = false, execstack_if_needed = false, separate_code = true, keep_text_prefix = false, start_stop_gc = false;
  bool dynamic_undefined_weak = true;
  bool z_nodefaultlib = false, z_nodelete = false, z_nodlopen = false, z_nodump = false, z_origin = false, z_initfirst = false,
       z_interpose = false, z_global = false, z_ibt = false, z_shstk = false, z_ibtplt = false, z_sectionheader = true;
  bool new_dtags = true;
  bool relax = true, tail_merge = true;
  std::string time_trace;  // file; "*": beside the output
  bool print_map = false, trace = false, stats = false, verbose = false, version_only = false, help = false;
  bool fatal_warnings = false, no_warnings = false, color = false, warn_common = false, demangle = true;
  bool noinhibit_exec = false;
  bool pack_relr = false;
  bool rosegment = true, omagic = false, nmagic = false;
  UndefinedVersion undefined_version = UndefinedVersion::warn;
  bool build_dynamic_if_empty = false;  // --export-dynamic and the like
  bool default_symver = false;
  bool warn_unresolved = false;
  bool physical_image_base = false;
  Unresolved unresolved = Unresolved::error;
  bool unresolved_given = false;
  uint32_t stack_size = 0;
  unsigned error_limit = 20;
  BuildId build_id = BuildId::none;
  std::vector<uint8_t> build_id_bytes;
  IcfMode icf = IcfMode::none;
  Bsymbolic bsymbolic = Bsymbolic::none;
  uint32_t compress_debug = 0;  // ELFCOMPRESS_* or 0
  uint64_t image_base = 0;
  bool image_base_given = false;
  uint64_t max_page_size = 4096;
  std::map<std::string, uint64_t> section_start;
  unsigned threads = 0;         // 0: one a core
  int lto_level = -1;
  std::vector<std::string> ignored;  // options accepted without effect, for --verbose
};

// Appends what `@file` arguments contain; then reads the command line. args[0] is the program.
Result<std::vector<std::string>> expand_response_files(std::span<const char* const> args);
Result<void> parse_options(const std::vector<std::string>& args, Options& out, std::vector<std::string>& warnings);
extern const char* const help_text;

}  // namespace lode::link::elf
