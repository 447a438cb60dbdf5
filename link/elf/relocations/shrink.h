// Shrinking: code that gets shorter when addresses are known (linker relaxation), the part that is the same for every
// machine.
//
// A section that may shrink has sites: runs of bytes, in order and apart from each other, each of which may lose bytes
// at its end. A machine finds the sites, says how long each has to be for the addresses of the last layout, and writes
// the bytes that are left; everything that speaks of places in the section follows here: symbols and their sizes,
// relocations, places by section symbol and distance, folded copies of the section, and sizes for layout. What is known
// only as a difference of two symbols (unwind tables, line tables, exception tables) follows from the symbols.
//
// The fix point. Every site begins in its shortest form. Layout gives addresses; sites that do not reach as they are
// grow, all by the addresses of the same layout, and layout runs again, until none grows. No site ever shrinks again,
// so it ends after at most as many rounds as there are forms of sites together, and in practice after three or four.
// What it ends with holds: no site was too short for the last layout. Only alignment padding is computed anew in each
// round; it depends on nothing but what stands before it in its section, because a section is aligned as its
// most aligned padding is. Nothing depends on the order in which files are looked at.
#pragma once

#include "link/elf/link.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

struct ShrinkSite {
  uint32_t offset, length;  // in the input section
  uint32_t wanted;          // to be removed of the length, at its end
  uint32_t removed;         // what is, since the last layout
  uint32_t before;          // removed in sites before this one
  uint32_t reloc;           // that it was found by
  uint32_t group;           // in ShrinkFile::groups; none
  uint8_t kind;             // the machine's
  uint8_t unused[3];
};
static_assert(sizeof(ShrinkSite) == 32);

// Places that change their form together: users of one symbol, or an instruction and those that follow it.
struct ShrinkGroup {
  uint32_t sym = 0;         // of the file
  uint32_t reloc = none;    // the leader
  uint32_t followers = 0, follower_count = 0;  // in ShrinkFile::followers
  int64_t least = 0, most = 0;  // addends
  uint8_t kind = 0, form = 0;   // the machine's
  bool marked = true;       // all of them may be relaxed
  Rewrite to = Rewrite::none;
};

struct ShrinkAtom {
  uint32_t atom = none;
  uint32_t leader_file = none, leader = none;  // a folded section: what its leader does (in ShrinkState::files, atoms)
  uint32_t sites = 0, site_count = 0;
  uint32_t groups = 0, group_count = 0;        // those with leaders in this section
  uint64_t input_size = 0;
};

struct ShrinkFile {
  ObjectFile* file = nullptr;
  std::vector<ShrinkAtom> atoms;
  std::vector<ShrinkSite> sites;
  std::vector<ShrinkGroup> groups;
  std::vector<uint32_t> followers;          // relocations, by group
  std::vector<uint32_t> group_of_symbol[2]; // by symbol of the file, where a group is that of one; two kinds
  std::span<const Sym> input_symbols;
  std::span<Sym> symbols;                   // the file's, once they are moved
};

struct ShrinkState {
  std::vector<ShrinkFile> files;
  bool symbols_are_moved = false;           // their values say where they are now, and not where they were
};

inline constexpr uint64_t shrink_slack = 16;

// The machine's part.
struct ShrinkRules {
  // Appends sites and groups of a section to the file's; sites in their shortest forms.
  void (*find)(Link&, ShrinkFile&, ShrinkAtom&);
  // What can only be known when all sections of the file have been looked at.
  void (*begin)(Link&, ShrinkFile&);
  // Makes what does not reach one form longer, by changing `wanted` and forms. True: something did not.
  bool (*grow)(Link&, ShrinkFile&);
  // What an alignment loses whose padding begins at `at` in the section; other sites: `wanted`.
  uint32_t (*surplus)(const ShrinkSite&, uint64_t at);
  // Writes what is left: `data` and `relocs` are copies, moved to their new places. At the place of a relocation there
  // is room for shrink_slack bytes.
  void (*rewrite)(Link&, const ShrinkFile&, const ShrinkAtom&, uint8_t* data, Rela* relocs);
};

// The address that a relocation against `sym` has for code, by the last layout.
uint64_t code_target(Link& link, ObjectFile& f, uint32_t sym, int64_t addend);
uint64_t code_address(Link& link, const Symbol& s);

// layout_all() runs these: sites before the first layout, then between layouts until false.
void find_shrinking(Link& link);
bool grow_code(Link& link);  // of objects and of modules (code/near.cpp)
void finish_shrinking(Link& link);  // bytes and relocations as apply wants them

}  // namespace lode::link::elf
