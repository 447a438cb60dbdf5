// The passes of a link, and what they ask of each other; by the file that has them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "link/elf/decisions.h"
#include "lode/link/diagnostic.h"

namespace lode::link::elf {

struct Link;

// link.cpp: all of them; false: not linked, and said why
bool run(Link& link);
// inputs.cpp
bool open_inputs(Link& link);
// Opens the libraries that the files of the link ask for; true when there is something new.
bool open_dependent_libraries(Link& link);
InputFile* take_lazy(Link& link, uint32_t lazy_index);
void parse_files(Link& link, std::span<InputFile* const> files);
bool read_file(const std::string& path, std::string& text);
bool read_whole_file(Link& link, const std::string& path, std::string& text);  // an input beside the others
// adopt.cpp: contents enter the link
ReadOptions read_options(const Link& link);
Result<void> open_object(Link& link, ObjectFile& file);   // its tables; enough to know how many sections it has
void adopt_object(Link& link, ObjectFile& file);          // its atoms, which there is room for, and all else
Result<void> adopt_shared(Link& link, SharedFile& file);
// made_object.cpp
std::vector<uint8_t> make_binary_object(const Machine& machine, const std::string& path, Bytes data);
Result<std::vector<uint8_t>> make_symbols_object(const Machine& machine, Bytes file);
// resolve.cpp
bool resolve(Link& link);
void bind_again(Link& link);                // what is undefined now, to the shared libraries that are left
void report_duplicates(Link& link);
void check_entry(Link& link);
// needed.cpp
void reject_hidden_imports(Link& link);
void drop_unneeded(Link& link);
// assignments.cpp
void root_assignments(Link& link);                 // before resolution: symbols that expressions name
void apply_assignments(Link& link);                // after it
void check_assignments(Link& link);                // reports what has no value, once the linker's own symbols are there
void refresh_assignments(Link& link, bool final);  // `final`: addresses are known
uint64_t symbol_address(Link& link, const Symbol& s);  // after layout, of one that is defined here
// live.cpp
bool is_live_by_itself(const ObjectFile& f, uint32_t section);  // a loaded section that nobody has to refer to
bool mark_live(Link& link);
// versions.cpp
bool read_version_scripts(Link& link);
void assign_versions(Link& link);
void compute_import_export(Link& link);
// sections.cpp
std::string_view output_name(
    std::string_view name);  // of the output section that an input section of this name goes to
OutputSection* make_section(Link& link, std::string_view name, uint32_t type, uint64_t flags, uint64_t align,
                            SectionWriter write);
uint32_t init_priority(std::string_view section);  // of an array of initialisers, by the input section's name
void assign_sections(Link& link);
void collect_members(Link& link);
void place_members(Link& link, OutputSection& section);  // their offsets, and its size
// Common symbols of one name are one object, of the largest size and alignment that anyone asks for (gABI, "Symbol
// Table").
struct CommonWant {
  uint32_t symbol = none;
  uint64_t size = 0, align = 1;
  bool tls = false, large = true;           // large: all of them are of the large code model
};
std::vector<CommonWant> gather_commons(Link& link);
void allocate_commons(Link& link);
// merge.cpp
void split_mergeable(Link& link);
void merge_pieces(Link& link);
uint64_t merged_offset(Link& link, const Atom& atom, uint64_t offset);
uint64_t merged_address(Link& link, const Atom& atom, uint64_t offset);
void mark_piece(Link& link, const Atom& atom, uint64_t offset);
void write_merged(const MergedSection& merged, uint8_t* out);
// eh_frame.cpp
std::string cie_identity(Link& link, const ObjectFile& file, const Cie& cie);  // equal for CIEs that may be one
void layout_eh_frame(Link& link);
inline constexpr uint32_t frame_cie_room = 256;     // behind the CIEs of an incremental output
void fill_frame_gap(uint8_t* out, uint64_t size);   // with a record that says nothing; at least 16 bytes
uint64_t eh_frame_offset(Link& link, const Atom& atom,
                         uint64_t offset);  // where a place of an input section is in the output's
bool fde_live(Link& link, const Fde& fde);
// The FDEs of a file that have a place in `out`, the section's contents; and what the search table says of each.
void write_fdes(Link& link, ObjectFile& file, const OutputSection& section, uint8_t* out,
                std::pair<uint64_t, uint64_t>* entries);
void write_eh_frame(Link& link, OutputSection& section, uint8_t* out);
void write_eh_frame_hdr(Link& link, OutputSection& section, uint8_t* out);
// scan.cpp
void scan_relocations(Link& link);
// shared_undefined.cpp
void check_shared_undefined(Link& link);
// synthetic.cpp
bool is_special_symbol(std::string_view name);  // one that the linker defines where nobody else does
void define_early_symbols(Link& link);  // before liveness: names that are not undefined although nobody defines them
void define_linker_symbols(Link& link);      // before the scan: those that depend on the output sections
void create_synthetic_sections(Link& link);  // after the scan: slots for what it asked for
void set_linker_symbols(Link& link);         // after layout
std::vector<Rela> got_relocations(Link& link);
void write_got(Link& link, uint8_t* image);
// dynamic.cpp
void create_dynamic_sections(Link& link);    // .dynsym and what belongs to it
std::vector<Dyn> dynamic_entries(Link& link);
void write_dynamic_tables(Link& link);
Sym dynamic_symbol_entry(Link& link, const Symbol& s, uint32_t name);  // after layout; `name`: its place in .dynstr
// symtab.cpp
void size_symtab(Link& link);
void write_symtab(Link& link, uint8_t* image);
Sym symtab_hole();
// One file's locals: how many, and the bytes of their names; then the entries, from file.local_symtab_index and
// file.strtab_offset on. `wide`: null, or the contents of .symtab_shndx.
void size_local_symbols(Link& link, ObjectFile& file);
void write_local_symbols(Link& link, ObjectFile& file, uint8_t* syms, char* strings, uint32_t* wide);
Sym global_symtab_entry(Link& link, const Symbol& s, uint32_t name, uint32_t* wide);
bool is_in_symtab(Link& link, const Symbol& s);       // of the globals
bool is_symtab_local(Link& link, const Symbol& s);    // a global that is local in the output
uint8_t machine_bits(const Link& link, const Symbol& s);   // of st_other
uint32_t output_section_index(Link& link, uint32_t atom);  // of what a symbol there is said to be in
std::vector<uint32_t> local_symtab_indices(Link& link,
                                           const ObjectFile& file);  // by symbol of the file; 0: not in .symtab
// icf.cpp
void fold_identical(Link& link);
// shrink.cpp: where a place of a section is now that the section may have become shorter
uint64_t shrunk_offset(const Link& link, const Atom& atom, uint64_t offset);
// emit_relocs.cpp
void create_emitted_relocations(Link& link);
void write_emitted_relocations(Link& link);
// relr.cpp
bool layout_all(Link& link);
// compress.cpp
bool compress_sections(Link& link);
// warnings.cpp
void warn_execstack(Link& link);
void warn_symbol_types(Link& link);
// layout.cpp
bool layout(Link& link);
void check_layout(Link& link);
void assign_symbol_addresses(Link& link);
// output.cpp
bool write_output(Link& link);
inline constexpr uint64_t build_id_block = 1 << 20;
void digest_image(Link& link, const uint8_t* image, uint64_t size);  // of the blocks of a file whose id is zeroes
void put_build_id(const Link& link, uint8_t* id);   // from the digests of the blocks
// The body of a section that was made elsewhere; an error when its size is not what layout gave it. Null, gone:
// nothing.
void copy_body(Link& link, const OutputSection* s, const void* data, size_t size);
// elf_main.cpp: the map, dependencies and what else was asked for, when the output is complete but not yet in its
// place.
void write_listings(Link& link);
void write_dependencies(Link& link);  // for make
// relocatable.cpp
bool link_relocatable(Link& link);
// messages.cpp: a message for hosts; several, where the text holds those of a whole AIR file.
std::vector<Diagnostic> take_apart(const Link& link, bool is_error, const std::string& text);
// report.cpp
void run_error_script(Link& link, const char* what, const std::string& name);
// Files that the user asked for besides the output; "-": with what is printed.
Result<void> write_listing(Link& link, const std::string& path, const std::string& text);
bool write_report(Link& link, const std::string& path, const std::string& text);  // the error is noted
void print_map(Link& link);
void print_cross_references(Link& link);
void print_memory_usage(Link& link);
void trace_symbols(Link& link);
void print_dependencies(Link& link);
void why_live(Link& link);
// gdb_index.cpp
bool create_gdb_index(Link& link);  // after layout
// extraction.cpp
void report_extractions(Link& link);
// reproduce.cpp
void write_reproduction(Link& link, const std::vector<std::string>& args);
// times.cpp
double clock_seconds();
void report_times(Link& link);

}  // namespace lode::link::elf
