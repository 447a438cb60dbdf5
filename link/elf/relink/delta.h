// A delta link: the files that changed, linked against what the last link came to.
//
// It is a link like any other (link.h), but its inputs are only the files that changed. Whatever else they refer to is
// bound to the image of the last link, in which everything has its address already; and what they define is put to
// where it was, or into free places of that image. So reading, scanning and relocating are the ordinary passes; what
// this folder adds is what stands before and after: binding names by the state's symbols, matching the atoms of a file
// with its former ones, giving places, and bringing tables up to date.
//
// Passes in order, each a member that returns false with why() when the change cannot be made in place:
//   open      the changed files (delta_bind.cpp)
//   bind      names, by the rules of resolve
//   live      what of the changed files is in the output now, and what dies in others (delta_live.cpp)
//   sections  their output sections: none may be new (delta_place.cpp)
//   ordered   sections whose members stand in an order: whether those change (delta_ordered.cpp)
//   match     each live atom with a former one; places for those that have none, or do not fit any more
//   merge     strings and constants that the image does not have yet
//   scan      slots: those that are there, and new ones
//   dynamic   names that the dynamic linker has to know, or not any more (delta_dynamic.cpp)
//   write     the atoms, into the private mapping of the image (delta_write.cpp)
//   propagate what moved, into the sites of other files
//   frames    unwind records and their search table (delta_tables.cpp)
//   symtab    the symbol table, dynamic tables, section headers, build id
//   keep      the state's records (delta_state.cpp)
// Up to the commit (relink.cpp) nothing is written to any file, so that giving up is always possible.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "link/elf/relink/sites.h"
#include "link/elf/relink/state.h"
#include "link/relink/image_file.h"

namespace lode::link::elf {

// A file that changed: the state's record of it, and the bytes that it has now.
struct ChangedInput {
  uint32_t input = none;
  std::string name, path;
  Bytes data;
  bool removed = false;         // no input any more
  bool moved = false;           // it stands elsewhere among the inputs than it did
};

// What the libraries of the link have for a name that no file mentioned so far.
struct Offer {
  bool is_shared = false;       // a shared library defines it; else nobody does, or a file that is among the changed
  std::string soname, version;  // empty: none
  Sym definition{};
  // Libraries behind this one on the command line, and those that define what this one wants without naming them.
  std::vector<std::string> following, asks;
};
using Offers = std::unordered_map<std::string, Offer>;

class DeltaLink {
 public:
  // `follow_deaths`: to let go what nobody refers to any more in files that did not change, ask for these.
  DeltaLink(const Options& options, KeptInputs& inputs, State& state, ImageFile& image, const Offers& offers,
            MirCache* functions, bool follow_deaths);
  // True: the image and the state are as the changed files want them, in memory.
  bool run(std::span<const ChangedInput> changed);
  const std::string& why() const { return why_; }
  // When it is false: files that did not change, but on which the result depends. With them among the changed ones,
  // another delta link may succeed.
  const std::vector<uint32_t>& wanted_inputs() const { return wanted_inputs_; }
  // And names for which somebody has to say what the libraries offer.
  const std::vector<std::string>& wanted_names() const { return wanted_names_; }
  uint64_t relocated_sites() const { return patched_; }
  uint32_t moved_symbols() const { return uint32_t(moves_.size()); }

 private:
  struct PlacedAtom : StateAtom {
    uint32_t section = 0;  // of the file
  };
  struct File {
    uint32_t input = none;
    ObjectFile* object = nullptr;
    bool moved = false;                  // among the inputs
    std::vector<Rela> dynrels;
    std::vector<uint32_t> dynrel_index;  // where each of these is in .rela.dyn
    std::vector<PlacedAtom> atoms;       // as they are placed now
    std::vector<bool> stays;             // by section: its atom is where it was
    std::unordered_map<uint64_t, StateFunction> functions;  // as they were; by the first half of `places`
    uint32_t frame_offset = 0, frame_size = 0, frame_used = 0;
    uint32_t symtab_index = 0, symtab_count = 0, strtab_offset = 0, strtab_size = 0;
  };
  struct Move {
    uint32_t symbol;                     // of the state
    uint64_t distance;
  };

  bool open(std::span<const ChangedInput> changed);
  bool bind();
  bool bind_symbol(uint32_t id);
  bool define(uint32_t id, uint32_t file, uint32_t sym);
  void bind_to_image(uint32_t id, uint32_t n);
  bool is_wanted_elsewhere(uint32_t n);
  bool is_missed_elsewhere(uint32_t n);
  bool is_mentioned_elsewhere(uint32_t n);
  template <class Visit>
  void each_referring(uint32_t n, bool claims, Visit&& visit);
  bool unknown_name(uint32_t id, bool wanted);
  bool replace_import(uint32_t id, uint32_t n, uint32_t file, uint32_t sym);
  bool is_replaced(uint32_t n) const { return std::find(replaced_.begin(), replaced_.end(), n) != replaced_.end(); }
  bool discard_lost_groups();
  bool find_lost_groups();
  void want_input(uint32_t input, std::string why);
  // The files that did not change and define the symbol too.
  std::vector<uint32_t> competitors(uint32_t n);
  void find_old_symbols();
  bool gone_symbols();
  bool live();
  bool find_deaths();
  void mark(uint32_t atom);
  void mark_symbol(uint32_t id);
  void visit(uint32_t atom);
  std::span<const uint32_t> companions(const ObjectFile& file, uint32_t section);
  void mark_relocation(ObjectFile& f, const Rela& r);
  bool debug_objects();
  void find_debug_inputs();
  bool is_changed(uint32_t input) { return file_of_input(input) || debug_inputs_.count(input); }
  bool sections();
  bool find_ordered();
  bool place_ordered();
  bool place_ordered_section(uint32_t n);
  bool move_border(const std::string& name, uint64_t distance);
  bool match();
  bool match_file(File& file);
  bool allocate(uint32_t section, uint64_t size, uint64_t align, uint64_t slack, uint64_t& offset, uint64_t& got);
  void release(uint32_t section, uint64_t offset, uint64_t size);
  bool merge();
  bool scan();
  bool give_slots(uint32_t id);
  // delta_dynamic.cpp
  bool exports();
  bool dynamic_symbols();
  bool write_dynamic_symbols();
  bool open_dynamic_tables();
  Sym* dynamic_entry(uint32_t index);
  uint32_t* table_word(uint32_t section, uint64_t index);
  uint32_t* gnu_bucket(uint32_t hash);
  uint32_t* gnu_chain(uint32_t index);
  uint32_t* sysv_bucket(uint32_t hash);
  uint32_t* sysv_chain(uint32_t index);
  std::string_view dynamic_string(uint32_t offset);
  bool put_dynamic_string(std::string_view text, uint32_t& offset);
  bool set_version(uint32_t index, uint16_t version);
  bool append_dynamic_entries(uint32_t count, uint32_t& first);
  bool free_dynamic_entry(uint32_t index);
  bool is_free_dynamic_entry(uint32_t index);
  bool move_dynamic_entry(uint32_t from, uint32_t to);
  bool sysv_insert(uint32_t index, std::string_view name);
  bool sysv_remove(uint32_t index, std::string_view name);
  bool gnu_insert(std::string_view name, uint32_t& index);
  bool gnu_remove(uint32_t index, std::string_view name);
  bool needed_version(const Offer& offer, uint16_t& number);
  bool is_needed_library(std::string_view soname);
  bool need_library(const Offer& offer);
  bool add_dynamic_symbol(uint32_t id, bool hashed);
  bool drop_dynamic_symbol(uint32_t n);
  bool renumber_dynamic_relocations();
  bool bind_imports();
  bool hash_import(uint32_t id);
  bool give_plt_entry(uint32_t id);
  bool write_plt_entries();
  bool address_symbols();
  bool keeps_size(const Symbol& s, const StateSymbol& st);
  bool write();
  bool is_still(const File& file, const ModuleFunction& fn, std::span<const uint8_t>& frame);
  bool propagate();
  bool patch(uint32_t width, uint64_t place, uint64_t distance);
  bool dynamic_relocations();
  bool frames();
  bool place_cie(std::span<const uint8_t> bytes, StateHash identity, uint32_t& offset);
  bool new_cie(ObjectFile& f, Cie& c, StateHash identity);
  bool new_function_cie(uint32_t personality);
  bool frame_block(File& file, std::vector<std::pair<uint64_t, uint64_t>>& entries);
  bool finish_frames(const File& file);
  struct TableEntry {  // of .eh_frame_hdr: distances from its start
    int32_t pc, record;
  };
  std::vector<uint32_t> old_table_entries(std::span<const TableEntry> table, uint64_t table_address,
                                          const std::vector<std::pair<uint64_t, uint64_t>>& old_blocks);
  bool frame_table(std::vector<std::pair<uint64_t, uint64_t>>& entries,
                   const std::vector<std::pair<uint64_t, uint64_t>>& old_blocks);
  bool symtab();
  bool local_symbols(File& file);
  bool global_symbol(uint32_t id);
  bool remove_global(uint32_t n);
  bool take_entries(uint32_t section, uint32_t count, uint32_t& first);
  bool put_string(std::string_view text, uint32_t& offset);
  bool take_strings(uint32_t size, uint32_t& offset);
  bool forget_symbols();
  bool new_symbol(uint32_t id);
  void release_names();
  bool put_entry(uint32_t index, const Sym& entry);
  bool headers();
  bool set_section_size(uint32_t section, uint64_t size);
  bool set_dynamic(int64_t tag, uint64_t value);
  bool keep();
  bool keep_file(File& file);
  bool is_left_over(uint32_t symbol, uint32_t input);
  // `add`: to those that the file has.
  // `stays`: of those that it has, what lies in these ranges of the image.
  bool keep_sites(uint32_t input, const std::vector<Site>& sites, bool add,
                  const std::vector<std::pair<uint32_t, uint32_t>>& stays = {});
  bool keep_comdats();
  bool keep_symbol(uint32_t id);
  bool unlink_symbol(uint32_t n, uint32_t input);
  bool build_id();

  bool give_up(std::string why) {
    if (why_.empty()) why_ = std::move(why);
    return false;
  }
  bool no_room(std::string_view what) { return give_up("no room for " + std::string(what)); }
  // Of a place in an output section that has bytes in the file.
  uint64_t file_offset(uint32_t section, uint64_t offset) { return state_.sections[section].offset + offset; }
  uint8_t* at(uint64_t offset, uint64_t size);  // null, and given up: not in the image
  File* file_of_input(uint32_t input);
  // Whether a changed file defines it.
  bool is_here(const Symbol& s) const {
    return s.defined() && s.file != shared_->id && s.file != others_->id && s.file != link_.internal->id;
  }
  // Whether the state had no record of it, or one of a name that was gone or something else.
  bool is_fresh(uint32_t id) const {
    const uint32_t n = state_symbol(id);
    return n != none && (n >= first_fresh_ || is_replaced(n) || (state_.symbols[n].flags & state_gone));
  }
  uint32_t state_symbol(uint32_t id) const { return id < symbol_.size() ? symbol_[id] : none; }
  uint32_t section_named(std::string_view name, uint64_t flags);

  std::optional<Options> own_options_;   // where those of the command say something of names that are not here
  Link link_;
  State& state_;
  ImageFile& image_;
  StateMeta meta_;
  std::vector<File> files_;
  std::unordered_map<uint32_t, uint32_t> file_by_input_;
  std::unordered_set<uint32_t> debug_inputs_;  // of changed modules
  SharedFile* shared_ = nullptr;         // stands for all shared libraries
  ObjectFile* others_ = nullptr;         // stands for all objects that did not change
  uint32_t image_atom_ = none;           // stands for all atoms of the image
  std::vector<uint32_t> symbol_;         // of the state, by symbol of the link
  std::vector<std::vector<std::pair<uint32_t, uint32_t>>> claims_;  // by symbol of the link: (file, index there)
  std::vector<uint32_t> section_;        // of the state, by section of the link
  std::unordered_map<uint32_t, std::vector<uint32_t>> spare_names_;  // places in .strtab that are free, by size
  uint32_t first_fresh_ = none;          // of the state: from here on they are of this link
  std::vector<uint32_t> gone_;           // symbols of the state that nobody defines any more
  std::vector<std::pair<uint64_t, uint32_t>>
      relative_;                         // (place, index in .rela.dyn) of relative relocations made here
  std::vector<uint32_t> pending_;        // atoms to visit
  std::unordered_map<uint32_t, std::unordered_map<uint32_t, std::vector<uint32_t>>>
      companions_;                       // by file and section (SHF_LINK_ORDER)
  std::vector<Site> cie_sites_;          // of new CIEs
  std::vector<bool> rebuilt_;            // by section of the state: its members change
  std::vector<uint32_t> wanted_inputs_;
  std::vector<bool> mentioned_;          // by symbol: something live refers to it
  const bool follow_deaths_;
  std::vector<std::string> wanted_names_;
  const Offers& offers_;
  std::unordered_map<uint32_t, Offer> offered_;  // by symbol of the link: those that a shared library defines
  std::vector<uint32_t> redefined_;      // imports that are defined here now, and stay imports
  std::vector<uint32_t> replaced_;       // of the state: imports that are defined here now, or the other way round
  bool exports_change_ = false;          // names came that may be exported or imported
  // Of delta_dynamic.cpp: headers of the tables; where entries were before, by where they are now (none: they are new);
  // those that are gone, by where they were; symbols that got an entry; what of the image to compare.
  struct DynamicTables {
    uint32_t buckets = 0, first_hashed = 0, bloom_words = 0, bloom_shift = 0, sysv_buckets = 0;
  } dynamic_;
  std::unordered_map<uint32_t, uint32_t> origin_;
  std::vector<uint32_t> dropped_, new_dynamic_, new_plt_;
  std::vector<std::pair<uint64_t, uint64_t>> touched_;
  uint32_t verneed_added_ = 0;
  std::vector<Move> moves_;
  uint64_t patched_ = 0;
  std::string why_;
};

}  // namespace lode::link::elf
