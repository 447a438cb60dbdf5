// One ELF link: what was asked for, what is kept from link to link, and what this link decides.
//
// Passes in order (run() in link.cpp): open (inputs/inputs.cpp), resolve (graph/resolve.cpp), then split mergeable
// sections (graph/merge.cpp) and walk what is live (graph/live.cpp), both again from resolve on if code made from IR
// brings in more; fold (graph/icf.cpp); assign to output sections (output/sections.cpp), which ends with merging; scan
// (relocations/scan.cpp), synthetic sections (output/synthetic.cpp, output/dynamic.cpp), unwind (graph/eh_frame.cpp),
// layout (output/layout.cpp), write (output/output.cpp, relocations/apply.cpp). Options are read, never written.
#pragma once

#include "link/common/diagnostics.h"
#include "link/elf/decisions.h"
#include "link/elf/passes.h"
#include "lode/link/diagnostic.h"

namespace lode::link {
class LazyThreads;
class MirCache;
}
namespace lode::link::elf {

struct Timer {
  std::string name;
  double begin, end;
};

struct Link : Decisions {
  // Both must outlive the link.
  Link(const Options& options, KeptInputs& inputs);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  const Options& opt;
  KeptInputs& inputs;
  Diagnostics diag;
  const Machine* machine;
  MirCache* mir_cache = nullptr;  // null: none; outlives the link
  LazyThreads* threads = nullptr;  // of a command's link, to be told what work there is
  std::vector<Timer> timers;

  // Serial; makes an undefined symbol when it is new. The name must stay valid.
  uint32_t intern(std::string_view name);
  std::string_view save(std::string s);  // keeps a string for the life of the link
  std::string demangled(std::string_view name) const { return opt.demangle ? demangle(name) : std::string(name); }
  std::string display(const Symbol& s) const { return demangled(s.str()); }
};

// An input section's name; modules and the linker's own file have names of their own making.
inline std::string_view section_name(const ObjectFile& f, uint32_t i) {
  return f.view.header ? f.view.section_name(i) : ElfView::string_at(f.strings, f.sections[i].name);
}
bool is_c_identifier(std::string_view s);

// Is an atom part of the image in memory? Its output section says so, once there is one.
inline bool is_loaded(const Link& link, const Atom& a) { return a.out != none && link.sections[a.out]->alloc(); }

// The order in which files own COMDAT groups. A group made from IR may lack members that an optimiser found unused
// here, so an object's group comes first.
inline uint32_t comdat_rank(const InputFile& f) { return f.priority | (f.kind == FileKind::module ? 0x80000000u : 0); }

// The size of a defined symbol: of its definition, or the place that all common symbols of the name share.
inline uint64_t size_of(const Link& link, const Symbol& s) {
  return s.is_common && s.atom != none ? link.atoms[s.atom].size : uint64_t(link.files[s.file]->syms[s.sym].size);
}

// The name of the function or data that covers `offset` of an atom, for messages; empty when there is none.
std::string place_name(Link& link, const Atom& atom, uint64_t offset);

// What is said when an array of these has no room left.
inline constexpr const char* too_many_symbols =
    "too many symbols in all inputs together, or no address space left for them (ulimit -v)";
inline constexpr const char* too_many_sections =
    "too many sections in all inputs together, or no address space left for them (ulimit -v)";
}  // namespace lode::link::elf
