// Room for what is to come: an incremental link reserves place in and behind output sections.
//
// Most edits change functions and data that are there, by little; a third needs place for new ones. So code and the
// contributions to debug sections get a small slack each, and every section that may grow an eighth of its size at its
// end. Loaded sections count their room into their size (it holds zeroes or trapping instructions), so that addresses
// of edges, segments and headers stay what they are; sections whose size says how many entries there are keep it exact,
// with the room behind.
//
// A debug section is a sequence of units that say how long they are. Where a contribution is shorter than its place,
// the last unit becomes longer, by padding that its readers skip (DWARF 5 sections 6.1.2, 6.2.4, 7.5.1: a length may
// exceed what the unit has to say); where none is left, a unit without contents stands there.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/state.h"

namespace lode::link::elf {

namespace {

struct ForeseenSection {
  const char* name;
  uint32_t type;
  uint64_t flags, align;
};
constexpr ForeseenSection foreseen_sections[] = {
    {".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16}, {".rodata", SHT_PROGBITS, SHF_ALLOC, 16},
    {".gcc_except_table", SHT_PROGBITS, SHF_ALLOC, 4},      {".data.rel.ro", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 16},
    {".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 16},     {".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 16},
};

}  // namespace

void foresee_sections(Link& link) {
  for (const ForeseenSection& f : foreseen_sections) {
    const bool known = std::any_of(link.sections.begin(), link.sections.end(), [&](const auto& s) {
      return !s->write && s->name == f.name && (s->flags & SHF_ALLOC);
    });
    if (!known) make_section(link, f.name, f.type, f.flags, f.align, nullptr);
  }
}

bool is_tight(const OutputSection& s) {
  if (!s.alloc()) return false;
  if ((s.flags & SHF_TLS) || (s.type != SHT_PROGBITS && s.type != SHT_NOBITS) || is_c_identifier(s.name)) return true;
  static constexpr std::string_view growing[] = {".text", ".rodata", ".data", ".bss", ".gcc_except_table", ".ltext",
                                                 ".lrodata", ".ldata", ".lbss", ".bss.rel.ro"};
  for (std::string_view g : growing)
    if (s.name.starts_with(g) && (s.name.size() == g.size() || s.name[g.size()] == '.')) return false;
  return true;
}

bool is_foreseen(const OutputSection& s) {
  return std::any_of(std::begin(foreseen_sections), std::end(foreseen_sections),
                     [&](const ForeseenSection& f) { return s.name == f.name && s.flags == f.flags; });
}

bool is_ordered(const OutputSection& s) {
  if (!s.alloc() || (s.flags & SHF_TLS) || s.write) return false;
  return s.type == SHT_INIT_ARRAY || s.type == SHT_FINI_ARRAY || s.type == SHT_PREINIT_ARRAY ||
         (s.type == SHT_PROGBITS && is_c_identifier(s.name));
}

uint64_t room_for(const OutputSection& s, uint64_t size, uint64_t largest) {
  if (is_tight(s)) return 0;
  if (!size) return is_foreseen(s) ? 2048 : 0;
  // An eighth; more, if the largest member could not move then; but not so much that files become a third larger.
  const uint64_t share = std::clamp(largest + largest / 8, size / 8, std::max(size / 6, uint64_t{8192}));
  return align_up(share + (s.alloc() ? 2048 : 4096), 16);
}

Slack::Slack(const OutputSection& s) {
  if (is_tight(s)) return;
  if (s.flags & SHF_EXECINSTR) kind_ = code;
  else if (!s.alloc() && s.name.starts_with(".debug_")) kind_ = debug;
}

namespace {

// How the units of a section begin, and what may stand behind their contents.
struct UnitSection {
  std::string_view name;
  uint8_t padding;       // what a reader of the last unit passes over
  uint8_t empty_size;    // of a unit without contents
  uint8_t empty[32];     // all of it behind the length
};
constexpr UnitSection unit_sections[] = {
    // version 4, no abbreviations, 8 bytes an address; and a null entry
    {".debug_info", 0, 12, {4, 0, 0, 0, 0, 0, 8, 0}},
    {".debug_types", 0, 24, {4, 0, 0, 0, 0, 0, 8}},
    // version 4, 17 bytes of header, nine standard opcodes, no directories or files. Padding: DW_LNS_set_basic_block
    {".debug_line", 7, 27, {4, 0, 17, 0, 0, 0, 1, 1, 1, 0xfb, 14, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0}},
    {".debug_aranges", 0, 32, {2, 0, 0, 0, 0, 0, 8, 0}},
    // ranges and lists are found by offsets: version 5, 8 bytes an address, no table
    {".debug_rnglists", 0, 12, {5, 0, 8, 0, 0, 0, 0, 0}},
    {".debug_loclists", 0, 12, {5, 0, 8, 0, 0, 0, 0, 0}},
    {".debug_addr", 0, 8, {5, 0, 8, 0}},
    {".debug_str_offsets", 0, 8, {5, 0, 0, 0}},
    // an FDE is as long as its instructions: DW_CFA_nop
    {".debug_frame", 0, 24, {0xff, 0xff, 0xff, 0xff, 4, 0, 8, 0, 1, 0x78, 16}},
    {".debug_pubnames", 0, 18, {2, 0}},
    {".debug_pubtypes", 0, 18, {2, 0}},
    {".debug_gnu_pubnames", 0, 18, {2, 0}},
    {".debug_gnu_pubtypes", 0, 18, {2, 0}},
};

}  // namespace

void fill_gap(std::string_view section, uint64_t flags, uint8_t trap, uint8_t* begin, uint64_t used, uint64_t size) {
  if (used >= size) return;
  uint8_t fill = flags & SHF_EXECINSTR ? trap : uint8_t(0);
  const UnitSection* units = nullptr;
  for (const UnitSection& u : unit_sections)
    if (u.name == section) units = &u;
  if (!units) {
    std::memset(begin + used, fill, size - used);
    return;
  }
  // The last unit, if all of them are of the 32-bit form and fill the contribution.
  uint64_t at = 0, last = ~uint64_t{0};
  while (at + 4 <= used) {
    const uint64_t length = load_le<uint32_t>(begin + at);
    if (length >= 0xfffffff0 || length > used - at - 4) break;
    last = at;
    at += 4 + length;
  }
  const uint64_t gap = size - used;
  if (gap < units->empty_size && (at != used || last == ~uint64_t{0})) {
    std::memset(begin + used, 0, gap);
  } else if (gap >= units->empty_size) {
    std::memset(begin + used, units->padding, gap);
    std::memset(begin + used, 0, units->empty_size);
    store_le(begin + used, uint32_t(gap - 4));
    std::memcpy(begin + used + 4, units->empty, std::min<uint64_t>(units->empty_size - 4, sizeof units->empty));
  } else {
    std::memset(begin + used, units->padding, gap);
    store_le(begin + last, uint32_t(size - last - 4));
  }
}

std::string no_state_reason(const Link& link) {
  const Options& o = link.opt;
  if (o.build_id == BuildId::uuid) return "--build-id=uuid";
  if (!o.map_file.empty() || o.print_map || o.cref || !o.why_extract.empty() || !o.print_archive_stats.empty() ||
      !o.dependency_file.empty() || o.print_dependencies || !o.why_live.empty() || o.print_memory_usage ||
      !o.reproduce.empty() || o.print_gc_sections || o.trace || !o.trace_symbols.empty())
    return "a listing was asked for";
  if (o.output == "-" || o.output_bytes) return "the output is no file";
  if (!o.memory.empty() || !o.removed.empty()) return "inputs are in memory";
  return {};
}

std::string no_relink_reason(const Link& link) {
  const Options& o = link.opt;
  if (std::string why = no_state_reason(link); !why.empty()) return why;
  if (link.machine->shrink) return std::string("code of ") + link.machine->name + " gets shorter by where it is";
  if (o.kind == OutputKind::relocatable) return "the output is an object";
  if (o.icf != IcfMode::none) return "--icf";
  if (o.emit_relocs) return "--emit-relocs";
  if (o.gdb_index) return "--gdb-index";
  if (!o.compress_sections.empty()) return "sections are compressed";
  if (o.pack_relr) return "relative relocations are packed";
  if (!o.section_start.empty() || !o.section_align.empty()) return "sections have addresses of their own";
  if (!o.symbol_ordering_file.empty() || !o.shuffles.empty() || o.sort_section != SectionSort::none)
    return "the order of sections is given";
  if (o.omagic || o.nmagic) return "-n or -N";
  if (!o.z_sectionheader) return "there is no section header table";
  if (!o.wraps.empty()) return "--wrap";
  if (!o.retain_symbols_files.empty()) return "--retain-symbols-file";
  if (o.rewrite_endbr || o.zero_to_bss) return "code or data are rewritten";
  if (!link.assignments.empty()) return "symbols are given by expressions";
  if (link.file_size >= uint64_t{1} << 32) return "the output is larger than 4 GiB";
  for (const auto& s : link.sections)
    if (s->size >= uint64_t{1} << 32) return "a section is larger than 4 GiB";
  if (link.sections.size() >= StateAtom::max_sections) return "there are too many sections";
  if (link.symbols.size() >= 1u << 28) return "there are too many symbols";  // packed() in sites.cpp
  for (uint32_t id = 0; link.has_modules && id < link.symbols.size(); id++) {  // objects cannot have such names
    const Symbol& s = link.symbols[id];
    if (s.name_size && std::memchr(s.name, 0, s.name_size)) return "the name of a symbol has a zero byte in it";
  }
  return {};
}

}  // namespace lode::link::elf
