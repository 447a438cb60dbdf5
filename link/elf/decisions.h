// What one link decides, and the records that it decides about: everything in a link that does not come from bytes of
// the inputs. Starting over is a new Decisions; nothing in it outlives the link.
//
// Everything lives in flat arrays by 32-bit index:
//   files     what was opened, as this link sees it; the order of the command line is the field `priority`, lower wins.
//             What was read of a file stands in its contents (inputs/contents.h) and is copied here once
//   atoms     one for every section of every object (index = file.atom_base + index of the section), functions and data
//             of modules
//   symbols   names that are global in some file, plus those locals that need a GOT or PLT entry
//   sections  of the output
// A pass reads what earlier passes wrote. Passes are parallel over files or atoms and write only to what they own, or
// combine with an atomic minimum or an atomic or; so the result does not depend on the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/index.h"
#include "base/result.h"
#include "formats/linker_expression.h"
#include "formats/linker_script.h"
#include "link/elf/inputs/contents.h"
#include "link/elf/options/options.h"
#include "link/elf/virtual_array.h"

namespace lode::air {
struct Module;
}
namespace lode::link::elf {

template <class T>
inline void atomic_or(T& field, T bits) {
  std::atomic_ref<T> ref(field);
  if ((ref.load(std::memory_order_relaxed) & bits) != bits) ref.fetch_or(bits, std::memory_order_relaxed);
}
template <class T>
inline bool atomic_min(T& field, T value) {
  std::atomic_ref<T> ref(field);
  T old = ref.load(std::memory_order_relaxed);
  while (value < old)
    if (ref.compare_exchange_weak(old, value, std::memory_order_relaxed)) return true;
  return false;
}
uint64_t hash_name(std::string_view s);

// ---- atoms ----------------------------------------------------------------------------------------------------------

struct Atom {
  const uint8_t* data = nullptr;  // null: all zero
  uint64_t size = 0;
  const Rela* relocs = nullptr;
  uint64_t offset = 0;            // in its output section
  uint32_t reloc_count = 0;
  uint32_t file = none;
  uint32_t section = 0;           // index in the file
  uint32_t out = none;            // output section
  uint32_t extra = none;          // merge: index in Link::merge_inputs; function: index in the module's function
                                  // table; regular: none, or of code that shrinks, index in Link::shrunk_atoms
  uint32_t fde_begin = 0;         // FDEs that describe this atom: file.fdes[fde_begin, + fde_count)
  uint32_t fde_count = 0;
  uint8_t p2align = 0;
  AtomKind kind = AtomKind::none;
  uint8_t live = 0;               // set by the liveness walk (atomic)
  uint8_t folded = 0;             // ICF: not output; Link::folded says what stands for it
};
static_assert(sizeof(Atom) == 64);

// ---- symbols --------------------------------------------------------------------------------------------------------

// What references want of a symbol; gathered by the scan pass.
enum : uint32_t {
  needs_got = 1, needs_plt = 2, needs_canonical_plt = 4, needs_gottp = 8, needs_tlsgd = 16, needs_tlsdesc = 32,
  needs_copy = 64, needs_dynsym = 128,
  needs_mask = 255,
  referenced = 256,         // by a live object or module (also weakly)
  referenced_strong = 512,
  referenced_by_shared = 1024,
  referenced_by_object = 2048,  // by a native object: a module's symbol is then a root
  is_root = 16384,              // -u, --require-defined, entry
  in_copied = 32768,            // lies in the .copyrel area
  referenced_tls = 131072,      // by a symbol of type TLS: what its undefined entry in an output has to say, too
  is_removed = 524288,          // a host took its definitions out of modules and objects
  referenced_live = 262144,     // undefined, and what the liveness walk reached refers to it
};

struct Symbol {
  const char* name = nullptr;
  uint32_t name_size = 0;
  uint32_t file = none;     // that defines it; none: undefined
  uint32_t atom = none;     // none: absolute, or defined by a shared library
  uint32_t sym = 0;         // index in the file's symbol table
  uint64_t value = 0;       // in the atom, or the absolute value
  uint64_t address = 0;     // after layout
  uint32_t flags = 0;
  uint32_t aux = none;      // Link::aux
  uint16_t version = VER_NDX_GLOBAL;  // output version index, VERSYM_HIDDEN included
  uint8_t constraint = 3;             // see visibility(); combined with an atomic minimum over all objects
  // The most constraining visibility of all references and definitions.
  uint8_t visibility() const { return uint8_t((constraint + 1) & 3); }
  static uint8_t constraint_of(uint8_t visibility) { return uint8_t((visibility + 3) & 3); }
  uint8_t type = STT_NOTYPE;
  uint8_t bind = STB_GLOBAL;
  bool imported = false;    // bound at run time
  bool exported = false;    // in .dynsym as a definition
  bool local = false;       // a local of its file; not in the symbol table's hash
  bool linker_defined = false;
  bool is_common = false;
  bool version_local = false;  // a version script says local
  bool copied_readonly = false;

  std::string_view str() const { return {name, name_size}; }
  bool defined() const { return file != none; }
};

// Slots in synthetic sections, for the few symbols that have any. -1: none.
struct SymbolAux {
  uint32_t symbol = none;
  int32_t got = -1, gottp = -1, tlsgd = -1, tlsdesc = -1, plt = -1, pltgot = -1, dynsym = -1;
  uint32_t dynstr = 0;           // offset of the name in .dynstr
};

struct NameRef {
  const char* data = nullptr;
  uint32_t size = 0;
  uint32_t id = none;
  uint64_t hash = 0;
  std::string_view str() const { return {data, size}; }
};

// The names of one input on their way into a table: counted and ordered by shard so that shards fill in parallel.
struct NameBatch {
  std::vector<NameRef> names;
  std::vector<uint32_t> order;                // indices of names, grouped by shard
  std::vector<uint32_t> starts;               // shard_count + 1
  void add(std::string_view s) { names.push_back({s.data(), uint32_t(s.size()), none, hash_name(s)}); }
  void sort_by_shard();
};

// name -> dense index. Indices are given in an order that depends only on the batches' contents and order.
class NameTable {
 public:
  static constexpr uint32_t shard_bits = 5, shard_count = 1u << shard_bits;
  static uint32_t shard_of(uint64_t hash) { return uint32_t(hash >> (64 - shard_bits)); }
  // Fills `id` of every name. `new_names` is extended by one entry for each new index, in order of the indices.
  void intern(std::span<NameBatch* const> batches, uint32_t next_index, std::vector<NameRef>& new_names);
  uint32_t find(std::string_view name) const;
  uint32_t insert(std::string_view name, uint32_t next_index);  // existing index, or next_index after inserting

 private:
  struct Slot {
    uint64_t hash = 0;
    const char* data = nullptr;
    uint32_t size = 0, id = none;
  };
  struct Shard {
    std::vector<Slot> slots;
    uint32_t count = 0;
    void grow(uint32_t more);
    Slot& probe(uint64_t hash, std::string_view name);
  };
  Shard shards_[shard_count];
};
// ---- files ----------------------------------------------------------------------------------------------------------

enum class FileKind : uint8_t { object, shared, module, internal };

struct ModuleState;  // link/elf/code/modules.h
struct LowerState;   // link/elf/code/lower_state.h
struct AsmSectionState;  // link/elf/code/asm_sections.h
struct DebugSectionState;  // link/elf/code/debug_sections.h
struct ShrinkState;  // link/elf/relocations/shrink.h

struct Group {
  NameRef signature;             // id: index in Link::comdat_owner
  std::span<const Word> members;
  uint32_t section = 0;
  bool comdat = false, dead = false;
};

struct Cie {
  uint32_t input_offset = 0, size = 0;  // of the record, length field included
  uint32_t reloc_begin = 0, reloc_end = 0;
  uint32_t out_offset = none;    // in the output .eh_frame; set for the leader of equal CIEs
  uint32_t atom = none;          // the .eh_frame section it is in
  uint32_t leader_file = none, leader = none;
  bool live = false;
};
struct Fde {
  uint32_t input_offset = 0, size = 0;
  uint32_t reloc_begin = 0, reloc_end = 0;
  uint32_t cie = 0;              // in the file's cies
  uint32_t atom = none;          // the described atom
  uint32_t source = none;        // the .eh_frame section it is in
  uint32_t out_offset = none;
};

inline constexpr uint32_t section_abs = 0xffff0000u | SHN_ABS, section_common = 0xffff0000u | SHN_COMMON,
                          section_lcommon = 0xffff0000u | SHN_X86_64_LCOMMON;

// A local that has slots in synthetic sections.
struct PromotedLocal {
  uint32_t sym, id;
};

// What a rewritten place does instead.
enum class Rewrite : uint8_t {
  none,
  distance,       // GOT: the address itself, by its distance
  absolute,       // GOT: the address itself, as a number
  initial_exec,   // TLS
  local_exec,     // TLS
};

// The decision of scan (relocations/scan.cpp) about relocation `index` of the section; `span` relocations behind it
// belong to the sequence.
struct KeptRewrite {
  uint32_t section;     // of the file
  uint32_t index;
  Rewrite to;
  uint8_t span;
};
static_assert(sizeof(KeptRewrite) == 12);

struct InputFile {
  FileKind kind = FileKind::object;
  std::string name;              // as messages show it: "libc.a(printf.o)"
  std::string path;              // of the containing file
  Bytes data;
  uint32_t id = 0;
  uint32_t priority = 0;
  bool alive = false;            // takes part in the link
  bool parsed = false;
  bool as_needed = false;
  bool exclude_libs = false;
  std::string archive_name;

  std::span<const Sym> syms;
  std::string_view strtab;
  uint32_t first_global = 0;
  NameBatch globals;  // names of syms[first_global ..]; ids are symbol indices. shared: without the hidden versions at
                      // the end
  std::vector<uint16_t> versions;  // shared: version index of each symbol

  uint32_t symbol_id(uint32_t sym) const { return globals.names[sym - first_global].id; }
  std::string_view sym_name(const Sym& s) const { return ElfView::string_at(strtab, s.name); }
  bool is_object() const { return kind != FileKind::shared; }
  virtual ~InputFile() = default;
};

struct ObjectFile : InputFile {
  ElfView view;
  std::span<const Shdr> sections;
  uint32_t atom_base = 0;
  std::vector<Group> groups;
  std::vector<Cie> cies;
  std::vector<Fde> fdes;
  std::vector<PromotedLocal> promoted;      // sorted by sym
  std::vector<KeptRewrite> rewrites;        // by section and index
  std::vector<uint32_t> shrinkable;         // sections with code that may get shorter
  std::shared_ptr<const ObjectContents> contents;  // what was read; null for modules and the linker's own file
  std::vector<std::unique_ptr<std::vector<uint8_t>>> owned;  // bytes that are in no file: made objects, wrapped names
  std::vector<std::pair<uint32_t, std::string>> symvers;  // symbols named a@V, a@@V: (sym, version with @s)
  std::shared_ptr<ModuleState> module;
  const air::Module* built = nullptr;       // a module that came as such, not as a file's bytes
  uint32_t dynrel_offset = 0, dynrel_count = 0;
  uint32_t frame_begin = 0, frame_end = 0;  // its records in the output's .eh_frame
  std::vector<uint64_t> relr;               // places of packed relative relocations, as atom << 32 | offset
  std::vector<std::string_view> dependent_libraries;  // that its source asks for (SHT_LLVM_DEPENDENT_LIBRARIES)
  // .symtab
  uint32_t local_symtab_index = 0, local_symtab_count = 0;
  uint64_t strtab_offset = 0, strtab_size = 0;
  std::vector<std::pair<uint32_t, uint32_t>> properties;  // of .note.gnu.property: (type, value)
  bool has_gnu_stack = false, exec_stack = false;
  bool has_init_arrays = false;
  bool made = false;                        // not read from a file as it is (made_object.cpp)
  bool debug_information = false;           // made of an IR module's (debug_sections.cpp)

  // The section a symbol is in, SHN_XINDEX resolved; reserved indices are moved to the top of the range (section_abs
  // etc.). An index beyond the section table reads as section_abs, so that later passes need not check.
  uint32_t section_of(uint32_t sym) const {
    uint16_t n = syms[sym].shndx;
    if (n == SHN_XINDEX) {
      uint32_t x = view.header ? view.symbol_section(sym) : wide_sections[sym];
      return x < sections.size() ? x : section_abs;
    }
    if (n >= SHN_LORESERVE) return 0xffff0000u | n;
    return n < sections.size() ? n : section_abs;
  }
  std::vector<uint32_t> wide_sections;      // internal and module files: section index by symbol
  std::string strings;                      // internal and module files: names
};

struct SharedFile : InputFile {
  std::string soname;
  std::vector<std::string_view> version_names;  // by version index of this file
  std::vector<std::string_view> needed;
  std::string_view audit;                   // its DT_AUDIT
  std::shared_ptr<const SharedContents> contents;
  bool needed_flag = false;                 // gets a DT_NEEDED
  bool dropped = false;                     // left out for now: after --as-needed, and nothing refers to it
  std::vector<uint32_t> version_out;        // output version index by file version index, 0: not used
  // Definitions by address, to find the aliases of a copied object; made on demand.
  std::vector<uint32_t> by_address;
};

// An archive or --start-lib range whose members wait to be taken.
struct LazyMember {
  uint32_t archive = none;
  uint32_t member = 0;
  uint32_t file = none;  // when it has a file already
  uint32_t priority = 0;
  bool taken = false;
};
struct ArchiveInput {
  std::shared_ptr<const ArchiveContents> contents;  // null: a --start-lib range
  std::string path;
  Bytes data;
  uint32_t first_lazy = 0;
  uint32_t priority = 0;
  NameBatch names;                 // of the index
  std::vector<uint32_t> members;   // by name: lazy index
  bool exclude_libs = false, whole = false;
};
// ---- output ---------------------------------------------------------------------------------------------------------

struct Link;
struct OutputSection;
using SectionWriter = void (*)(Link&, OutputSection&, uint8_t* out);

struct OutputSection {
  std::string name;
  uint32_t id = none;              // in Link::sections
  uint32_t type = SHT_PROGBITS;
  uint64_t flags = 0;
  uint64_t entsize = 0;
  uint64_t align = 1;
  uint64_t size = 0;
  uint64_t room = 0;               // bytes behind it that nothing else may take: an incremental link's
  uint64_t used = 0;               // up to here its atoms go: an incremental link's
  uint64_t addr = 0, offset = 0;
  uint32_t link = 0, info = 0;
  uint32_t index = 0;              // in the section header table; 0: not output
  uint32_t rank = 0;
  uint64_t first_seen = ~uint64_t{0};  // smallest priority << 32 | section; fixes the order of equal ranks
  bool relro = false;
  bool keep = false;               // output even when empty
  bool gone = false;
  bool starts_segment = false;     // its address was given on the command line
  uint32_t name_offset = 0;        // in .shstrtab
  uint32_t symtab_index = 0;       // of its section symbol, if it has one
  std::vector<uint32_t> atoms;     // live members in order
  SectionWriter write = nullptr;   // synthetic sections
  uint32_t merged = none;          // index in Link::merged: a section of merged pieces
  std::vector<uint8_t> compressed; // the body, when it replaces the plain one
  const OutputSection* link_to = nullptr;
  const OutputSection* info_to = nullptr;

  bool alloc() const { return flags & SHF_ALLOC; }
  bool nobits() const { return type == SHT_NOBITS; }
};

struct MergePiece {
  uint32_t offset;                 // in the input section
  uint32_t entry;                  // in the merged section's table
};
struct MergeInput {
  uint32_t atom = none;
  uint32_t merged = none;
  std::vector<MergePiece> pieces;  // by offset
  std::vector<uint64_t> hashes;    // of the pieces; empty after merging
  std::vector<uint8_t> live;       // of the pieces, when garbage collection asks
  bool all_live = true;
};
struct MergeEntry {
  const uint8_t* data;
  uint32_t size;
  uint8_t p2align;
  uint64_t offset;
};
struct MergedSection {
  static constexpr uint32_t shard_bits = 3, shard_count = 1u << shard_bits;
  uint32_t out = none;             // its output section
  uint32_t body = none;            // the atom that stands for it there
  uint64_t entsize = 1;
  bool strings = false;
  std::string_view own;            // a string of the linker's, with its NUL: stored if no input holds it
  std::vector<uint32_t> inputs;    // in Link::merge_inputs
  std::vector<std::vector<MergeEntry>> shards;  // entry = position << shard_bits | shard
  uint64_t size = 0;
  uint64_t align = 1;
};

// What opening of inputs goes on from: libraries that an object asks for come when it is read.
struct OpenState {
  std::vector<std::string> directories;      // of -L and the usual ones
  std::set<std::pair<uint64_t, uint64_t>> archives, shareds;  // seen, by device and file number
  std::set<std::string, std::less<>> dependent;  // .deplibs entries that have been followed
};

// A symbol's value as an expression (assignments.cpp).
struct Assignment {
  uint32_t symbol = none;
  std::string place;           // for messages
  bool provide = false, hidden = false;
  bool active = false;         // gives the symbol its value in this link
  formats::LinkerExpression expression;
  std::string_view alias_of;   // the expression is this symbol ...
  uint64_t addend = 0;         // ... plus a number
};

enum GotKind : uint8_t { got_address_kind, got_tpoff, got_tlsgd, got_tlsdesc, got_tlsld };
struct GotEntry {
  uint32_t symbol;
  uint8_t kind;  // GotKind
};

struct UndefinedReference {
  uint32_t symbol, file;
  uint32_t section;        // of the file
  uint64_t offset;
};

struct Decisions {
  // Files
  std::vector<std::unique_ptr<InputFile>> files;
  std::vector<std::unique_ptr<ArchiveInput>> archives;
  std::vector<LazyMember> lazy;
  std::vector<std::string> linked_names;     // of every file opened, for --trace and dependency files
  std::vector<std::string> side_files;       // of every other file read: scripts, lists, members of thin archives
  std::vector<std::pair<uint32_t, uint32_t>>
      input_groups;                          // priorities of what stands between --start-group and --end-group
  ObjectFile* internal = nullptr;            // common symbols, linker-defined symbols
  std::vector<ObjectFile*> objects;          // alive, by priority (modules too); internal last
  std::vector<SharedFile*> shareds;          // alive, by priority
  uint32_t next_priority = 1;
  OpenState open_state;
  bool is_static_output = false;             // no dynamic section
  bool pic = false, shared = false, relocatable = false;
  uint32_t e_flags = 0;                      // of the output (Machine::merge_flags)

  // Symbols
  VirtualArray<Symbol> symbols;
  VirtualArray<uint64_t> best;               // resolution keys, by symbol
  VirtualArray<uint32_t> lazy_of;            // by symbol: lazy member that defines it
  NameTable names;
  NameTable comdat_names;
  std::vector<uint32_t> comdat_owner;        // comdat_rank of the owning file, by comdat index
  std::vector<SymbolAux> aux;
  std::vector<Assignment> assignments;
  formats::VersionScript versions;
  std::vector<std::string> version_sources;  // by node: the file it came from
  std::vector<std::string> version_defs;     // names of version indices 2...
  std::vector<formats::VersionPattern> dynamic_list;
  std::set<std::string, std::less<>> retained_symbols;  // --retain-symbols-file

  // Atoms
  VirtualArray<Atom> atoms;
  VirtualArray<uint64_t> atom_address;       // after layout
  std::vector<std::pair<uint32_t, uint32_t>> folded;  // (atom, the one that stands for it)
  std::vector<MergeInput> merge_inputs;
  std::vector<std::unique_ptr<MergedSection>> merged;
  std::shared_ptr<ShrinkState> shrinking;    // null: nothing may
  std::vector<std::pair<uint32_t, uint32_t>> shrunk_atoms;  // (file, atom) of it

  // Output
  std::vector<std::unique_ptr<OutputSection>> sections;
  std::vector<OutputSection*> order;         // in file order, after layout
  std::vector<Phdr> phdrs;
  uint64_t file_size = 0, shoff = 0;
  OutputSection *ehdr = nullptr, *interp = nullptr, *got = nullptr, *gotplt = nullptr, *plt = nullptr,
                *pltsec = nullptr, *pltgot = nullptr, *relplt = nullptr, *reldyn = nullptr, *relrdyn = nullptr,
                *dynamic = nullptr, *dynsym = nullptr, *dynstr = nullptr, *hash = nullptr, *gnu_hash = nullptr,
                *versym = nullptr, *verneed = nullptr, *verdef = nullptr, *eh_frame = nullptr, *eh_frame_hdr = nullptr,
                *copyrel = nullptr, *copyrel_ro = nullptr, *build_id = nullptr, *property = nullptr, *symtab = nullptr,
                *strtab = nullptr, *shstrtab = nullptr, *symtab_shndx = nullptr, *package_note = nullptr,
                *comment = nullptr, *gdb_index = nullptr;
  uint64_t tls_begin = 0, tls_end = 0, tp = 0;
  uint64_t gp = 0;                           // the global pointer, on machines that have one; 0: none here
  bool has_tls = false;
  // What options say unless a linker script of the inputs says more, or the machine has a default.
  std::string entry_name;
  std::string interpreter;                   // PT_INTERP
  std::string depaudit;                      // DT_DEPAUDIT: that of the options and those of the libraries
  std::deque<std::string> script_roots;      // EXTERN() of linker scripts
  std::deque<SymbolAssignment> script_assignments;
  std::vector<std::pair<std::string, std::string>> remapped_inputs;  // of --remap-inputs-file: (glob, file)
  bool has_modules = false;
  bool patchable = false;  // the next link may patch the output (relink/), so room is left in it
  std::shared_ptr<LowerState> lower;
  std::shared_ptr<AsmSectionState> asm_sections;
  std::shared_ptr<DebugSectionState> debug_sections;

  // Synthetic contents (synthetic.cpp)
  std::vector<GotEntry> got_entries;
  uint32_t got_slots = 0;
  int32_t tlsld_slot = -1;
  bool large_image = false;                  // addresses may be farther apart than 32 bits reach
  bool ibt_plt = false;  // PLT entries are targets of indirect branches under control-flow enforcement
  uint8_t needs_tlsld = 0, needs_got_base = 0, has_textrel = 0, has_static_tls = 0;
  std::vector<uint32_t> plt_symbols, pltgot_symbols, copy_symbols, copy_ro_symbols, dynamic_symbols;
  std::vector<Rela> dynrels;                 // sorted, ready to be written
  uint64_t relative_count = 0;               // of these, the relative ones, which stand in front
  std::vector<uint64_t> relr_words;
  std::string dynstr_data;
  std::unordered_map<std::string_view, uint32_t> dynstr_index;
  std::vector<uint8_t> verneed_data, verdef_data, gnu_hash_data, hash_data, property_data;
  std::vector<uint16_t> versym_data;
  uint32_t verneed_count = 0, verdef_count = 0;
  uint32_t first_exported_dynsym = 1;
  uint64_t eh_frame_fde_count = 0;
  uint32_t cies_end = 0;                     // in an incremental output: up to here .eh_frame holds CIEs
  std::vector<std::pair<uint64_t, uint64_t>> eh_frame_table;  // (pc, FDE address)
  std::string shstrtab_data;
  std::vector<uint32_t> symtab_globals;      // symbols, in the order of .symtab
  std::vector<uint32_t> symtab_names;        // of an incremental link: where their names are in .strtab
  uint32_t symtab_hidden = 0;                // of these, those that became local; they come first
  uint32_t symtab_holes = 0;                 // unused entries behind them
  uint64_t symtab_locals = 0, symtab_count = 0, strtab_size = 0;
  std::vector<uint8_t> gdb_index_data;
  std::vector<OutputSection*> emitted_relocations;  // --emit-relocs; info_to: what they relocate
  std::vector<uint64_t> block_digests;       // two words a block: what the build id is made of
  uint8_t* image = nullptr;                  // the output while it is written
  std::vector<UndefinedReference> undefined_references;
  std::mutex mutex;

  std::vector<std::unique_ptr<std::string>> saved;

  Symbol& sym(uint32_t id) { return symbols[id]; }
  InputFile* file_of(const Symbol& s) { return s.file == none ? nullptr : files[s.file].get(); }
  ObjectFile& object(uint32_t id) { return static_cast<ObjectFile&>(*files[id]); }
};

}  // namespace lode::link::elf
