// What an incremental link leaves for the next one: the tables of its state file (link/relink/state_file.h), which is
// mapped and read where a change asks for it.
//
// A relink does not know the link that it goes on from; it knows what that link came to:
//   what it saw        arguments, and every file that it looked for
//   files              the objects and modules that took part, each with ranges of the other tables
//   atoms              where each section of each file is, by file and section
//   symbols            the names that are global in some file, where they are, what slots they have; found by hash.
//                      What .symtab says of them is not repeated here
//   sites              the places in the image that hold the address of a symbol of another file, or the distance to
//                      it, by file and symbol. When a symbol moves by N, each such field changes by N; nothing else
//                      about it has to be known. References within a file are not kept: what moved in a file, moved
//                      because the file changed, and then all of it is relocated anew
//   referring files    the other direction: which files have sites of a symbol. May name one that has none any more
//   free               what is not used of output sections, and of .symtab's locals
//   merged             the strings and constants of merged sections, found by hash; they never move
//   frames             CIEs by identity; each file has a block of FDEs
//
// Records are plain, of fixed size, and name each other by index. Places in the image are file offsets of 32 bits; the
// output of an incremental link is below 4 GiB.
#pragma once

#include "link/elf/link.h"
#include "link/relink/observed_files.h"
#include "link/relink/state_file.h"

namespace lode::link::elf {

struct ModuleFunction;

enum StateRegion : uint32_t {
  region_meta, region_strings, region_arguments, region_observed, region_files, region_atoms, region_symbols,
  region_symbol_slots, region_aux, region_site_groups, region_sites, region_referring, region_dynamic_relocations,
  region_sections, region_free, region_merged, region_merged_slots, region_cies, region_comdats, region_comdat_slots,
  region_comdat_claims, region_members, region_functions,
  region_block_digests,
  region_count
};
static_assert(region_count <= StateFile::max_regions);

inline constexpr uint32_t state_version = 7;
// The build id of an incremental output is a digest of smaller blocks than others' (build_id_block): each one that a
// relink changes is read.
inline constexpr uint64_t small_build_id_block = 1 << 16;

struct StateText {
  uint32_t offset = 0, size = 0;
};

// A name without zeroes in it: where it begins, and it ends with a zero. Most are in the image's own .strtab, where the
// names of globals stay in their places; the others are among the state's strings, which begin with the empty one.
struct StateName {
  static constexpr uint32_t in_image = 0x80000000;  // a place in .strtab
  uint32_t place = 0;
};

struct StateMeta {
  FileStamp image;
  StateText fixed;              // why this output cannot be patched; empty: it can
  StateHash options;            // of all arguments but the names of inputs, and of the working directory
  int64_t recorded_at = 0;      // by the clock of files
  uint64_t tls_begin = 0, tls_end = 0, tp = 0;
  uint64_t wasted = 0;          // bytes that nobody uses any more, in all sections
  uint32_t got_used = 0, got_room = 0;       // slots
  uint32_t plt_count = 0, pltgot_count = 0;
  uint32_t relocation_count = 0, relocation_room = 0;  // of .rela.dyn
  uint32_t symtab_count = 0, symtab_room = 0;          // entries
  uint32_t symtab_first_global = 0;
  uint32_t strtab_used = 0, strtab_room = 0;           // bytes
  uint32_t dynsym_count = 0, dynstr_used = 0;          // entries, bytes
  uint32_t version_definitions = 0;                    // the base included
  uint32_t frame_used = 0, frame_room = 0;             // of .eh_frame, without the terminator
  uint32_t frame_count = 0, frame_count_room = 0;      // entries of .eh_frame_hdr
  uint32_t cies_end = 0, cie_room = 0;                 // of .eh_frame
  uint32_t e_flags = 0;
  int32_t tlsld_slot = -1;
  uint32_t forgotten = none;    // the first of the symbols whose records are free; a list by next_of_file
  uint32_t section_got = none, section_gotplt = none, section_plt = none, section_pltsec = none,
           section_pltgot = none, section_relplt = none, section_reldyn = none, section_eh_frame = none,
           section_eh_frame_hdr = none, section_symtab = none, section_strtab = none, section_dynsym = none,
           section_dynamic = none, section_build_id = none, section_copyrel = none, section_copyrel_ro = none,
           section_dynstr = none, section_gnu_hash = none, section_hash = none, section_versym = none,
           section_verneed = none;
  uint64_t section_header_table = 0;         // file offset
  uint64_t file_size = 0;
  uint8_t is_static_output = 0, pic = 0, shared = 0, ibt_plt = 0, large_image = 0, has_modules = 0;
  uint8_t unused[2] = {};
};

inline constexpr uint32_t library_path_argument = 100;  // kind of an argument: a folder of -L; they follow the inputs

struct StateArgument {
  StateText name;
  uint32_t kind = 0, flags = 0;
};

inline constexpr uint32_t observed_dropped = 2;  // as `exists`: no input any more; nobody looks for it

struct StateObserved {
  StateText path;
  uint32_t argument = none;     // the argument that names it; none: it was looked for
  uint32_t exists = 0;
  FileStamp identity;
  uint64_t hash = 0;            // of the contents, while the file is too young to go by its times
};

enum StateInputFlag : uint32_t {
  input_removed = 1,            // no input of the link any more
  input_exclude_libs = 2,       // --exclude-libs
};

struct StateInput {
  StateText name;               // as messages have it
  uint32_t observed = none;     // the file that it is, or is a member of; none: the linker's own
  uint32_t kind = 0;            // FileKind
  uint32_t flags = 0;           // StateInputFlag
  uint32_t unused = 0;
  uint64_t offset = 0, size = 0;  // of the member in the file
  uint64_t hash = 0;            // of its bytes, if somebody had a reason to read them all; else 0
  uint32_t priority = 0;
  uint32_t first_atom = 0, atom_count = 0;
  uint32_t first_group = 0, group_count = 0;
  uint32_t first_site = 0, site_count = 0;
  uint32_t first_relocation = 0, relocation_count = 0;  // of .rela.dyn, by index there
  uint32_t symtab_index = 0, symtab_count = 0;          // its locals
  uint32_t strtab_offset = 0, strtab_size = 0;
  uint32_t frame_offset = 0, frame_size = 0;
  uint32_t first_symbol = none;                         // of those that it defines: a list
  uint32_t first_claim = 0, claim_count = 0;            // COMDAT groups that it has a copy of, by number
  uint32_t first_function = 0, function_count = 0;      // of IR
};

// A function of IR as it is in the image: the hash of its key and of every address that its code was given. Where the
// same is to be written to the same place, it is there.
struct StateFunction {
  uint32_t places[4] = {0, 0, 0, 0};
  uint32_t frame_offset = none; // of its FDE in .eh_frame
};
static_assert(sizeof(StateFunction) == 20);
StateFunction state_function(const Link& link, const ObjectFile& file, const ModuleFunction& fn);

// Of the atoms that are in the image. Sections are smaller than 4 GiB.
struct StateAtom {
  uint32_t offset = 0;          // in its output section
  uint32_t size = 0;
  uint32_t slack = 0;           // bytes behind it that are its own
  uint32_t key = 0;             // what it is called; others of the file may be called the same
  uint32_t out : 24 = max_sections;  // StateSection
  uint32_t p2align : 8 = 0;
  static constexpr uint32_t max_sections = 0xffffff;
  uint32_t room() const { return size + slack; }
};
static_assert(sizeof(StateAtom) == 20);

enum StateSymbolFlag : uint32_t {
  state_imported = 1, state_exported = 2, state_linker_defined = 4, state_common = 8,
  state_dead = 16,              // defined in a section that is not in the image
  state_weak = 32,              // its definition is
  state_undefined = 64, state_copied = 128, state_canonical_plt = 256, state_absolute = 512,
  state_root = 1024,            // live whoever refers to it
  state_version_local = 2048, state_by_shared = 4096, state_merged = 8192,
  state_sized = 16384,          // somebody's relocation names its size
  state_gone = 32768,
  state_module_local = 65536,
};

struct StateSymbol {
  uint64_t address = 0;
  StateName name;
  uint32_t file = none;         // StateInput that defines it
  uint32_t sym_flags = 0;       // Symbol::flags
  uint32_t flags = 0;
  uint32_t aux = none;
  uint32_t symtab = 0;          // index in .symtab; 0: none
  uint32_t referring = none;    // first of a list
  uint32_t next_of_file = none; // the next one that its file defines
  uint32_t is_used_again = 0;   // the record was another symbol's: groups of sites may be of that one
  uint16_t version = 0;
  uint8_t type : 4 = 0;
  uint8_t bind : 4 = 0;
  uint8_t constraint = 3;
};
static_assert(sizeof(StateSymbol) == 48);

struct StateAux {
  uint32_t symbol = none;
  int32_t got = -1, gottp = -1, tlsgd = -1, tlsdesc = -1, plt = -1, pltgot = -1, dynsym = -1;
};

// The sites of one file and symbol, of one width: those from `first` on, counted from the file's first one, up to the
// next group's first. Groups are in the order of the symbols.
struct StateSiteGroup {
  static constexpr uint32_t max_sites = 0xfffffff, max_width = 15;  // of a file
  uint32_t symbol = none;
  uint32_t first : 28 = 0;
  uint32_t width : 4 = 0;
};
static_assert(sizeof(StateSiteGroup) == 8);
inline StateSiteGroup site_group(uint32_t symbol, uint32_t width, uint32_t first) {
  return {symbol, first & StateSiteGroup::max_sites, width & StateSiteGroup::max_width};
}

struct StateReferring {
  uint32_t input = none, next = none;
};

inline constexpr uint32_t ordered_section = 2;  // as `tight`: members stand in order, with room behind

struct StateSection {
  StateText name;
  uint64_t flags = 0, addr = 0, offset = 0, size = 0, room = 0;  // room: behind its size
  uint64_t used = 0;            // up to here blocks have been given out
  uint64_t align = 1;
  uint32_t type = 0, index = 0;
  uint32_t tight = 0;  // its bounds mean something: no block of it may change its size, or all change their places
  uint32_t unused = 0;
};

// A file that has a part of an ordered section, or had one.
struct StateMember {
  uint32_t section = none, input = none;
};

struct StateFree {
  uint64_t offset = 0, size = 0;
  uint32_t section = none, unused = 0;
};

struct StateMerged {
  uint32_t section = none, strings = 0;
  uint64_t entsize = 1;
  uint32_t first_slot = 0, slot_count = 0;  // a power of two; a slot: offset in the section + 1
  uint32_t entries = 0, unused = 0;
};

struct StateCie {
  StateHash identity;
  uint32_t offset = 0, unused = 0;
};

struct StateComdat {
  StateName signature;
  uint32_t input = none;        // whose copy is in the image
};

// The state of one output, opened.
struct State {
  StateFile file;
  StateTable<StateMeta> meta{file, region_meta};
  StateTable<StateArgument> arguments{file, region_arguments};
  StateTable<StateObserved> observed{file, region_observed};
  StateTable<StateInput> inputs{file, region_files};
  StateTable<StateAtom> atoms{file, region_atoms};
  StateTable<StateSymbol> symbols{file, region_symbols};
  StateTable<uint32_t> symbol_slots{file, region_symbol_slots};
  StateTable<StateAux> aux{file, region_aux};
  StateTable<StateSiteGroup> site_groups{file, region_site_groups};
  StateTable<uint32_t> sites{file, region_sites};
  StateTable<StateReferring> referring{file, region_referring};
  StateTable<uint32_t> dynamic_relocations{file, region_dynamic_relocations};
  StateTable<StateSection> sections{file, region_sections};
  StateTable<StateFree> free{file, region_free};
  StateTable<StateMerged> merged{file, region_merged};
  StateTable<uint32_t> merged_slots{file, region_merged_slots};
  StateTable<StateCie> cies{file, region_cies};
  StateTable<StateComdat> comdats{file, region_comdats};
  StateTable<uint32_t> comdat_slots{file, region_comdat_slots};
  StateTable<StateFunction> functions{file, region_functions};
  StateTable<uint32_t> comdat_claims{file, region_comdat_claims};
  StateTable<StateMember> members{file, region_members};

  std::string_view text(StateText t);
  std::string_view text(StateName name);
  // Where the image is mapped; before, names that stand in it read as damage.
  void use_image(std::span<const uint8_t> image);
  // The places of a group of an input's.
  std::span<const uint32_t> sites_of(const StateInput& in, std::span<const StateSiteGroup> groups, size_t group);
  // The symbol of that name, or none.
  uint32_t find_symbol(std::string_view name, uint64_t hash);
  uint32_t find_comdat(std::string_view signature, uint64_t hash);
  // False: no room.
  bool add_text(std::string_view text, StateText& out);
  bool add_name(std::string_view name, StateName& out);
  // `index`: of a forgotten symbol, whose record it gets, or none; then that of the new one.
  bool add_symbol(StateName name, uint64_t hash, uint32_t& index);
  // Its name is found no more, and its record says nothing.
  bool forget_symbol(uint32_t n);
  bool add_comdat(std::string_view signature, uint64_t hash, uint32_t input, uint32_t& index);

 private:
  bool is(StateName name, std::string_view text);
  std::span<const uint8_t> image_names_;  // .strtab
};

// "PROG.lode"
std::string state_name(const Options& options);
// The hash of what the arguments say besides the names of inputs.
StateHash options_key(const Options& options, const std::vector<std::string>& args);
// Of the code that reads and writes states.
StateHash state_generator();

// record.cpp: after a link, with `--incremental`; `args` are those of the command. Of one that cannot be patched, what
// it saw is all. False: reported.
bool record_state(Link& link, const std::vector<std::string>& args);

// What the state says of a symbol: StateSymbolFlag.
uint32_t state_flags_of(const Link& link, const Symbol& s);

// room.cpp: what an incremental link leaves free, so that the next one finds place.
void foresee_sections(Link& link);          // those that a later version of a program may want, if there are none
bool is_foreseen(const OutputSection& s);
bool is_tight(const OutputSection& s);
bool is_ordered(const OutputSection& s);    // of the tight ones: may be put together anew
uint64_t room_for(const OutputSection& s, uint64_t size,
                  uint64_t largest);                       // bytes behind all; `largest`: of the atoms
// Bytes behind the atoms of a section.
class Slack {
 public:
  explicit Slack(const OutputSection& section);
  uint64_t of(const Atom& a) const {
    if (kind_ == nothing || (a.kind != AtomKind::regular && a.kind != AtomKind::function) || !a.size) return 0;
    return a.size / 16 + (kind_ == debug ? 48 : 0);
  }

 private:
  enum { nothing, code, debug } kind_ = nothing;
};
// An atom that is a place of its own in its section, by which its file's next version is matched with it.
inline bool has_place_of_its_own(const Atom& a) {
  return a.kind == AtomKind::regular || a.kind == AtomKind::function || a.kind == AtomKind::constants;
}
// Fills what is behind `used` bytes of a contribution to a section, up to `size`, so that readers of the section pass
// over it.
void fill_gap(std::string_view section, uint64_t flags, uint8_t trap, uint8_t* begin, uint64_t used, uint64_t size);
// Why this link cannot be continued, whatever the inputs; empty: it can.
std::string no_relink_reason(const Link& link);
// Why it leaves nothing for the next one, not even what it saw.
std::string no_state_reason(const Link& link);

// What the atoms of a file are called, from link to link: by the names of their sections and groups. In modules many
// sections have one name; there it is that of the function or variable, and of what has no name of its own (".str.5"
// was another string in the last link), the contents.
class AtomKeys {
 public:
  explicit AtomKeys(const ObjectFile& file);
  uint32_t of(uint32_t section) const;

 private:
  const ObjectFile& file_;
  std::vector<uint32_t> group_;  // by section: 1 + index of its group; empty: there are none
  std::vector<uint64_t> own_;    // by section of a module: the hash of its symbol's name, or of its contents
};

}  // namespace lode::link::elf
