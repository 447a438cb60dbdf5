// The check of relinks (--verify-relink): is the patched output what a full link of the same inputs comes to?
//
// The full link is made beside it, into memory, by a Link of its own with nothing but the inputs' bytes to go on from.
// Then both finished files are compared as graphs: code and data may be in other places, so each field that holds an
// address, or a distance, is compared by what it leads to. What is known of the full link (its atoms, and the
// relocations of their fields) says where fields are; where things are in the patched file is found in that file alone,
// from its symbols, entry, dynamic tables and unwind records on, from field to field. The state of the relink is never
// read, so that a fault in it is seen.
//
//   roots         global symbols, entry, arrays of initialisers, thread-local storage, sections with borders
//   places        each atom that is reached has one place; its bytes between fields are equal, its fields lead to the
//                 same; dynamic relocations of it are the same; no two atoms overlap (verify_places.cpp)
//   slots         GOT slots by what fills them, PLT entries by the slot that they jump through (verify_slots.cpp)
//   unwinding     the FDE of each function, with its CIE, exception table and personality; the search table is sorted
//                 and complete (verify_frames.cpp)
//   debug         contributions to sections of units are found by their contents (verify_units.cpp)
//   tables        symbols, dynamic symbols with versions, hash tables, .dynamic, segments, sections, build id
//                 (verify_tables.cpp)
//
// What is in the patched file and not in the full one: room, and what was live once. A relink leaves in place what dies
// in files that did not change. Nothing of the full link refers to it, or it would be in it; it is counted, and allowed
// as long as it is no other's place, is exported to nobody, and has no part in tables whose every entry means
// something.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "link/elf/link.h"
#include "link/elf/relink/finished_image.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

struct ModuleFunction;

// Reports what differs; false: something does, or the check could not be made.
bool verify_relink(Link& relinked);

class RelinkVerifier {
 public:
  // `full` has been run; `fresh` is what it wrote, `now` the patched file.
  RelinkVerifier(Link& full, const FinishedImage& fresh, const FinishedImage& now);
  void run();
  const std::vector<std::string>& differences() const { return differences_; }
  std::string summary() const;

 private:
  static std::string hex(uint64_t value);  // as messages show it
  static constexpr uint64_t unknown = ~uint64_t{0};
  static constexpr size_t most_differences = 20;
  // A reference of an atom, for messages.
  struct Source {
    const ObjectFile* file = nullptr;
    const Atom* atom = nullptr;
    uint64_t offset = 0;
    const char* what = nullptr;  // instead: "the entry point"
  };
  // What a field leads to, and where that is in the full link's output.
  struct Referred {
    enum Kind : uint8_t { nothing, number, atom, merged, slot, plt, copied, named } kind = nothing;
    uint32_t index = none;  // atom; symbol of slot, plt, copied, named; output section of merged
    uint64_t base = 0;      // its address
  };
  struct Field {
    uint64_t offset = 0;  // in the atom
    unsigned bytes = 0;
    Want want = Want::nothing;
    bool is_signed = false, dead = false;
    int64_t addend = 0;
    Referred to;
  };

  // verify_places.cpp
  void roots();
  void anchor_sections();
  void anchor_symbols();
  void name_locals();
  void walk();
  void visit(uint32_t atom);
  void put(uint32_t atom, uint64_t at, const Source& source);
  uint64_t full_place(uint32_t atom) const;
  const uint8_t* full_bytes(uint32_t atom) const;
  const Shdr* counterpart(uint32_t out);
  const uint8_t* now_bytes(uint32_t atom, uint64_t at, uint64_t size);
  bool is_compared(uint32_t atom) const;
  std::vector<Field> fields_of(uint32_t atom);
  void function_fields(uint32_t atom, std::vector<Field>& out);
  Referred referred(ObjectFile& f, const RelocationTarget& t, uint32_t sym, Want want, int64_t addend);
  void compare_field(uint32_t atom, const Field& field, uint64_t at, const Source& source);
  void lead(const Referred& to, uint64_t full, uint64_t now, const Source& source);
  void compare_bytes(uint32_t atom, uint64_t at, const std::vector<Field>& fields, const Source& source);
  bool same_place(uint64_t full, uint64_t now, const Source& source);
  bool leads_to_same(uint32_t atom, uint64_t at, uint64_t offset, const Source& source);
  uint32_t atom_at(uint64_t address) const;
  void overlaps();
  std::string describe(const Source& source) const;
  std::string describe_atom(uint32_t atom, uint64_t offset) const;
  void differ(std::string text);

  // verify_slots.cpp
  void compare_slot(uint64_t full, uint64_t now, uint32_t symbol, const Source& source);
  void compare_plt(uint32_t symbol, uint64_t full, uint64_t now, const Source& source);
  bool compare_dynamic(uint64_t full, uint64_t now, const Referred* to, const Source& source);
  Referred referred_symbol(uint32_t id) const;
  uint32_t merged_section(const Atom& a) const;
  Referred referred_address(uint64_t address) const;
  void compare_copy(uint32_t symbol, uint64_t full, uint64_t now, const Source& source);
  void linker_symbol(uint32_t symbol, uint64_t now, const Source& source);
  void all_relocations();

  // verify_frames.cpp
  bool compare_frames();
  void compare_search_table();

  // verify_units.cpp
  void find_units();
  void find_unit_section(const OutputSection& s);
  bool fits(uint32_t atom, const std::vector<Field>& fields, uint64_t at, uint64_t room, bool units);
  bool is_filler(const uint8_t* unit, uint64_t size) const;

  // verify_tables.cpp
  void compare_headers();
  void compare_segments();
  void compare_sections();
  void compare_symbols();
  void compare_dynamic_symbols();
  void compare_hash_tables();
  void compare_dynamic_entries();
  void compare_build_id();

  Link& full_;
  const FinishedImage &fresh_, &now_;
  std::vector<uint64_t> place_;  // by atom: in the patched file; in sections that are not loaded, the offset
  std::vector<uint32_t> pending_;
  std::vector<std::pair<uint64_t, uint32_t>> loaded_atoms_;  // (address in the full output, atom), by address
  std::unordered_map<uint32_t, const Shdr*> counterparts_;
  std::vector<uint32_t> function_of_;  // by atom: 1 + index in functions_ of the MIR function whose text it is
  std::vector<std::pair<ObjectFile*, const ModuleFunction*>> functions_;
  std::set<std::pair<uint64_t, uint64_t>> slots_, plts_;  // compared
  std::vector<bool> seen_relocations_;                    // of now_
  std::vector<bool> compared_frames_;                     // of fresh_
  std::unordered_map<uint64_t, uint32_t> frame_at_;       // of now_, by the code's address
  std::vector<bool> frames_with_owner_;                   // of now_
  std::vector<std::string> differences_;
  std::set<std::string> said_;
  uint64_t fields_ = 0, atoms_ = 0, unreached_ = 0, dead_symbols_ = 0, dead_frames_ = 0, dead_relocations_ = 0;
};

}  // namespace lode::link::elf
