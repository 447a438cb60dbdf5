// The ELF command line: tables of options (option_table.h), read into one plain record.
//
// Every field of the record is read somewhere in the link: tests/link/elf_option_table_test.cpp looks for it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "link/common/build_id.h"
#include "formats/linker_script.h"

namespace lode::air {
struct Module;
}

namespace lode::link::elf {

// One positional argument, with the state of the position-dependent options before it.
struct InputArg {
  enum Kind : uint8_t { file, library, group_start, group_end, lib_start, lib_end, just_symbols };
  Kind kind = file;
  std::string name;
  bool as_needed = false, whole_archive = false, is_static = false;
  bool binary = false;  // -b binary: the file is data, whatever it looks like
  bool operator==(const InputArg&) const = default;
};

// An input that is in memory: an `inputs` entry equal to `key` stands for these bytes, or for this module, and not for
// a file. They outlive the link. `name` is for messages; what is neither ELF nor bitcode is AIR text.
struct MemoryInput {
  std::string key, name;
  std::span<const uint8_t> data;
  const air::Module* module = nullptr;  // if given, data is empty
  std::string replaces;  // a symbol of which this definition counts, if it is the first; later ones are no error
  bool operator==(const MemoryInput& other) const { return key == other.key && name == other.name; }
};

enum class OutputKind : uint8_t { exec, pie, shared, relocatable };
enum class IcfMode : uint8_t { none, safe, all };
enum class Bsymbolic : uint8_t { none, all, functions, non_weak, non_weak_functions };
enum class Unresolved : uint8_t { error, warn, ignore };
enum class UndefinedVersion : uint8_t { error, warn, ignore };  // a version script names a symbol that is not defined
enum class CetReport : uint8_t { none, warning, error };
enum class SectionShuffle : uint8_t { none, random, reverse };
enum class SectionSort : uint8_t { none, name, alignment };  // --sort-section
enum class SeparateCode : uint8_t { none, code, all };       // which segments begin on a page of the file of their own
// Requests that are answered on standard output, and no link is made.
enum class Answer : uint8_t { none, version, help, markdown, man, sysroot, output_format };

// A symbol given by an expression: --defsym, or an assignment of a linker script.
struct SymbolAssignment {
  std::string name, expression;
  std::string place = "--defsym";  // for messages
  bool provide = false;            // only if it is referred to and nobody defines it
  bool hidden = false;
  bool operator==(const SymbolAssignment&) const = default;
};
struct ShuffleRule {
  std::string glob;  // of input sections
  SectionShuffle kind = SectionShuffle::none;
  uint64_t seed = 0;
  bool operator==(const ShuffleRule&) const = default;
};
struct CompressRule {
  std::string glob;   // of output sections
  uint32_t type = 0;  // ELFCOMPRESS_*, or 0
  int level = -1;     // -1: a fast one; and the section stays as it is where packing does not make it shorter
  bool operator==(const CompressRule&) const = default;
};
struct TombstoneRule {
  std::string glob;  // of input sections
  uint64_t value = 0;
  bool operator==(const TombstoneRule&) const = default;
};

struct Options {
  std::string program = "lode";
  std::vector<InputArg> inputs;
  std::vector<MemoryInput> memory;
  std::vector<std::string> removed;  // names that modules and objects, but those out of archives, define in vain
  std::vector<uint8_t>* output_bytes = nullptr;  // if given, the output goes there, and not to a file
  std::string output = "a.out";
  OutputKind kind = OutputKind::exec;
  bool is_static = false;       // -static: no dynamic section unless static-pie
  bool runnable_library = false;  // -shared -pie
  std::string emulation;        // -m
  std::string entry = "_start";
  bool entry_given = false;
  std::string init = "_init", fini = "_fini";
  std::string sysroot, soname, dynamic_linker, map_file, dependency_file, chroot, directory;
  std::vector<std::string> library_paths, rpaths, undefined, require_defined, wraps, exclude_libs, trace_symbols,
      why_live, auxiliary, filter;
  std::string default_library_paths;  // -Y: in place of the usual ones
  std::vector<std::pair<std::string, std::string>> remap_inputs;  // (glob, file)
  std::vector<std::string> remap_inputs_files;
  std::vector<SymbolAssignment> assignments;
  std::vector<std::string> version_scripts, dynamic_lists, export_symbols, retain_symbols_files, ignored_undefined;
  std::string audit, depaudit, package_metadata;
  bool no_dynamic_linker = false;
  bool no_stdlib_paths = false;
  bool gc_sections = false, print_gc_sections = false, gc_keep_exported = false;
  bool export_dynamic = false, dynamic_list_given = false, dynamic_list_data = false;
  std::vector<std::string> dynamic_list_patterns;  // C++ names, from --dynamic-list-cpp-new and -typeinfo
  std::vector<std::string> undefined_globs, discard_sections, unique_patterns, keep_unique;
  std::map<std::string, uint64_t> section_align;
  std::string symbol_ordering_file;
  bool discard_none = false, execute_only = false, print_dependencies = false;
  bool print_icf_sections = false, ignore_data_address_equality = false;
  bool warn_textrel = false, warn_shared_textrel = false, warn_execstack = true, warn_symbol_ordering = true,
       warn_rwx_segments = false;
  bool warn_backrefs = false;
  std::vector<std::string> warn_backrefs_exclude;
  bool z_rodynamic = false, android_relr_tags = false, text_segment_given = false;
  bool dynamic_undefined_weak_given = false;
  bool start_stop = false;            // --start-stop: __start_X and __stop_X for every section, .X for X too
  bool zero_to_bss = false, relocatable_merge_sections = false, rewrite_endbr = false;
  uint8_t start_stop_visibility = 2;  // STV_HIDDEN
  uint32_t isa_needed = 0;            // -z x86-64-v*: GNU_PROPERTY_X86_ISA_1_NEEDED
  CetReport cet_report = CetReport::none;
  std::vector<ShuffleRule> shuffles;
  SectionSort sort_section = SectionSort::none;
  uint32_t spare_program_headers = 0, spare_dynamic_tags = 0;
  std::vector<CompressRule> compress_sections;  // the last that matches counts
  std::vector<TombstoneRule> tombstones;        // -z dead-reloc-in-nonalloc; the last that matches counts
  bool allow_multiple_definition = false;
  bool allow_shlib_undefined = true;
  bool allow_shlib_undefined_given = false;
  bool dependent_libraries = true;  // follow .deplibs
  bool strip_all = false, strip_debug = false, discard_all = false;
  bool emit_relocs = false;
  bool eh_frame_hdr = true;
  bool hash_gnu = true, hash_sysv = true;
  bool gnu_unique = true, fortran_common = true;
  bool relro = true, now = false, text = true, text_given = false, defs = false, combreloc = true, copyreloc = true;
  bool execstack = false, execstack_if_needed = false, gnu_stack = true, keep_text_prefix = false,
       start_stop_gc = false;
  SeparateCode separate_code = SeparateCode::none;
  bool dynamic_undefined_weak = true;
  bool z_nodefaultlib = false, z_nodelete = false, z_nodlopen = false, z_nodump = false, z_origin = false,
       z_initfirst = false, z_interpose = false, z_global = false, z_ibt = false, z_shstk = false, z_ibtplt = false,
       z_sectionheader = true, z_group = false, z_loadfltr = false, z_globalaudit = false, z_unique = false;
  bool new_dtags = true;
  bool relax = true, relax_gp = true;
  bool apply_dynamic_relocs = false;
  bool gdb_index = false;
  std::string time_trace;  // file; "*": beside the output
  uint64_t time_trace_granularity = 0;  // microseconds
  bool print_map = false, print_map_discarded = false, cref = false, trace = false, stats = false, verbose = false,
       print_memory_usage = false;
  std::string why_extract, print_archive_stats, reproduce, error_handling_script;
  Answer answer = Answer::none;
  bool show_version = false, show_emulations = false;  // -v and -V: printed, and the link goes on if there are inputs
  bool fatal_warnings = false, no_warnings = false, color = false, warn_common = false, demangle = true;
  bool noinhibit_exec = false;
  bool pack_relr = false;
  bool rosegment = true, omagic = false, nmagic = false, check_sections = true;
  UndefinedVersion undefined_version = UndefinedVersion::warn;
  bool default_symver = false;
  Unresolved unresolved = Unresolved::error;
  bool unresolved_given = false;
  uint64_t stack_size = 0;
  unsigned error_limit = 20;
  BuildId build_id = BuildId::none;
  std::vector<uint8_t> build_id_bytes;
  IcfMode icf = IcfMode::none;
  Bsymbolic bsymbolic = Bsymbolic::none;
  uint64_t image_base = 0, physical_image_base = 0;
  bool image_base_given = false, physical_image_base_given = false;
  uint64_t max_page_size = 4096;
  std::map<std::string, uint64_t> section_start;
  bool incremental = false;     // keep what the next link can go on from
  bool incremental_full = false;  // but do not go on from what the last one kept
  bool verify_relink = false;   // compare what a relink made with a full link
  std::string mir_cache;        // folder
  uint64_t mir_cache_size = uint64_t{2} << 30;  // bytes
  bool mir_cache_stats = false;
  unsigned threads = 0;         // 0: one a core
  std::vector<std::string> without_effect;  // options accepted without effect, and why: for --verbose

  bool operator==(const Options&) const = default;
};

// Reads the command line, response files expanded. args[0] is the program.
Result<void> parse_options(const std::vector<std::string>& args, Options& out, std::vector<std::string>& warnings);
// What -m takes, the wasm linker's among it; other names of a machine's first emulation are not listed.
std::vector<const char*> listed_emulations();
std::string emulation_list();  // as one line

// The tables as lists (option_lists.cpp).
std::string help_text();
std::string options_document();  // docs/options.md
std::string man_page();          // lode.1

}  // namespace lode::link::elf
