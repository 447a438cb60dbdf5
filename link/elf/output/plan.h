// The layout plan: what the layout pass runs to give every output section its address and its place in the file.
//
// A plan is a list of records, run in order with a location counter and a place in the file that advance together:
//   region      the counter moves: to an address, or to the start of a new segment
//   section     an output section is placed at the counter, which moves behind it
//   assignment  a symbol gets the address of an edge of a section, or 0
// The default plan (default_plan.cpp) is made from a table of ranks; a linker script states the same three things in
// its own words (GNU ld manual, chapter 3: SECTIONS, MEMORY, assignments), so that both end in the same records and the
// same pass.
#pragma once

#include <cstdint>
#include <vector>

#include "link/elf/link.h"

namespace lode::link::elf {

struct PlanRecord {
  enum class Kind : uint8_t { region, section, assignment };
  enum class Edge : uint8_t { start, end };
  Kind kind;
  bool given = false;          // region: at `address`, and not at the next multiple of `align`
  bool in_file = true;         // region: what follows has bytes in the file
  bool own_pages = false;      // region: what follows shares no page of the file with what stands before
  bool exact = false;          // section: where the counter is, whatever its alignment
  Edge edge = Edge::start;     // assignment
  uint32_t section = none;     // section, assignment: index in Decisions::sections; none: the value is 0
  uint32_t symbol = none;      // assignment
  uint64_t address = 0, align = 1;  // region
};
static_assert(sizeof(PlanRecord) == 32);

struct LayoutPlan {
  uint64_t base = 0;           // where the counter begins
  uint64_t page = 1;           // address and place in the file are congruent modulo this
  std::vector<PlanRecord> records;
};

// default_plan.cpp: requires link.order. Regions for what the command line places, and for new segments; assignments
// for the symbols that stand for edges of sections by convention.
LayoutPlan default_plan(Link& link);
// The order in which sections stand; smaller ranks first.
uint32_t rank_of(Link& link, const OutputSection& s);
bool is_relro(Link& link, const OutputSection& s);
uint32_t segment_flags(const Link& link, const OutputSection& s);
bool same_segment(Link& link, const OutputSection& a, const OutputSection& b);
uint64_t segment_page(const Link& link);
// Zero-filled thread-local data: takes no address space, but its address continues the TLS image.
inline bool is_tbss(const OutputSection& s) { return (s.flags & SHF_TLS) && s.nobits(); }

// program_headers.cpp: fills link.phdrs from the sections' addresses. Its length depends on their flags and order only.
void make_program_headers(Link& link);

}  // namespace lode::link::elf
