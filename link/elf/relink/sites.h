// The places in the image that depend on where a symbol of another file is.
//
// Each of them is a field that holds the symbol's address plus something, or the distance to it: when the symbol moves
// by N, the field changes by N. Which those are, the machine's tables say (machines/machine.h): the formulas of a
// relocation, or of what describes a rewritten place, in which S stands as it is. A slot of the GOT, the entry point in
// the header, the addend of a relative dynamic relocation are such places, too; they belong to the linker's own file.
//
// Not among them: whatever does not depend on where the symbol is (a slot's address, a PLT entry's), and thread-local
// symbols, of which none moves in a relink.
#pragma once

#include <functional>
#include <vector>

#include "link/elf/relink/state.h"

namespace lode::link::elf {

struct Site {
  static constexpr uint32_t size_only = 8;  // as `width`: the place holds the symbol's size
  static constexpr uint32_t mention = 9;    // the file refers to it, in whatever way; no place
  static constexpr uint32_t claim = 10;     // the file defines it too, and lost; no place
  static bool has_place(uint32_t width) { return width < size_only; }
  uint32_t symbol = none;  // of the link
  uint32_t width = 2;      // log2 of the field's bytes
  uint32_t place = 0;      // file offset
  auto operator<=>(const Site&) const = default;
};

// The index in .rela.dyn of the relative relocation of a place, or none.
using RelativeIndex = std::function<uint32_t(uint64_t place)>;
// That of a link that has just written them, relative ones in front and sorted by place.
RelativeIndex relative_index(const Link& link);

// Of a file's atoms, after layout and scan; sorted, each once.
void collect_sites(Link& link, ObjectFile& file, const RelativeIndex& relative, std::vector<Site>& out);
// Of what the linker made itself: GOT slots ...
void collect_slot_sites(Link& link, const RelativeIndex& relative, std::vector<Site>& out);
// ... a CIE's ...
void collect_cie_sites(Link& link, const ObjectFile& file, const Cie& cie, std::vector<Site>& out);
// ... and the entry point, dynamic entries, all CIEs.
void collect_own_sites(Link& link, std::vector<Site>& out);

// A CIE by its bytes and the names of what it refers to.
StateHash stable_cie_identity(Link& link, const ObjectFile& file, const Cie& cie);
// That of functions of IR, by the name of their personality routine; empty: without exceptions.
StateHash function_cie_identity(std::string_view personality);

}  // namespace lode::link::elf
