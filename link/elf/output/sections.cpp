// Which output section every live atom goes to, and in what order it stands there.
//
// Input sections named after a function or object (-ffunction-sections: .text.main) join the section of their prefix.
// The usual names are found in a table without a lock, in parallel; the others are few and looked up one after the
// other. Objects that disagree whether a section of some name is loaded, or thread-local, each get what they ask for:
// two output sections of that name, as with GNU ld and mold. So what is true of an input section in this is true of its
// output section. Members stand in the order of the inputs; arrays of initialisers are sorted by their priority
// (.init_array.N, .ctors.N).

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <tuple>

#include "base/bytes.h"
#include "base/version.h"
#include "formats/linker_script.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/state.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

// A prefix matches the name itself and anything that goes on with a dot.
constexpr std::string_view prefixes[] = {
    ".text", ".rodata", ".data.rel.ro", ".data", ".bss.rel.ro", ".bss", ".tdata", ".tbss", ".gcc_except_table",
    ".init_array", ".fini_array", ".preinit_array", ".ldata", ".lrodata", ".lbss", ".ltext", ".sdata", ".sbss",
    ".srodata", ".eh_frame", ".comment", ".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_line_str",
    ".debug_aranges", ".debug_rnglists", ".debug_loclists", ".debug_ranges", ".debug_loc", ".debug_addr",
    ".debug_str_offsets", ".debug_frame", ".debug_pubnames", ".debug_pubtypes", ".debug_gnu_pubnames",
    ".debug_gnu_pubtypes", ".debug_types", ".debug_macro",
};
constexpr size_t prefix_count = std::size(prefixes);

// Kinds of code that -z keep-text-section-prefix keeps apart.
constexpr std::string_view text_prefixes[] = {".text.hot", ".text.unknown", ".text.unlikely", ".text.startup",
                                              ".text.exit"};
std::string_view text_prefix_of(std::string_view name) {
  for (std::string_view p : text_prefixes)
    if (name.starts_with(p) && (name.size() == p.size() || name[p.size()] == '.')) return p;
  return {};
}

size_t prefix_of(std::string_view name) {
  if (name.size() < 4 || name[0] != '.') return prefix_count;
  for (size_t i = 0; i < prefix_count; i++) {
    std::string_view p = prefixes[i];
    if (name.size() < p.size() || name[1] != p[1] || std::memcmp(name.data(), p.data(), p.size()) != 0) continue;
    if (name.size() == p.size() ||
        (name[p.size()] == '.' && !p.starts_with(".debug_") && p != ".comment" && p != ".eh_frame"))
      return i;
  }
  if (name.starts_with(".ctors") && (name.size() == 6 || name[6] == '.')) return 9;
  if (name.starts_with(".dtors") && (name.size() == 6 || name[6] == '.')) return 10;
  if (name.starts_with(".gnu.linkonce.")) {
    std::string_view rest = name.substr(14);
    if (rest.starts_with("t.")) return 0;
    if (rest.starts_with("r.")) return 1;
    if (rest.starts_with("d.")) return 3;
    if (rest.starts_with("b.")) return 5;
  }
  return prefix_count;
}

// How many output sections there may be of one name, and which of them one of these flags goes to.
constexpr size_t variants = 4;
size_t variant_of(uint64_t flags) { return (flags & SHF_ALLOC ? 1 : 0) | (flags & SHF_TLS ? 2 : 0); }

constexpr uint64_t kept_flags = SHF_WRITE | SHF_ALLOC | SHF_EXECINSTR | SHF_TLS | SHF_X86_64_LARGE;

// --unique: input sections of these names get an output section each name.
bool is_unique(const Link& link, std::string_view name) {
  for (const std::string& p : link.opt.unique_patterns)
    if (formats::glob_match(p, name)) return true;
  return false;
}

std::string_view atom_name(Link& link, uint32_t id) {
  const Atom& a = link.atoms[id];
  const bool nameless = a.kind == AtomKind::merged || link.files[a.file]->kind == FileKind::internal;
  return nameless ? std::string_view() : section_name(link.object(a.file), a.section);
}

// --shuffle-sections: an order that the seed fixes. --reverse-sections: what comes last comes first. Members that the
// rule does not speak of keep their places.
void shuffle(Link& link, OutputSection& s, const ShuffleRule& rule) {
  if (s.type == SHT_INIT_ARRAY || s.type == SHT_FINI_ARRAY || s.type == SHT_PREINIT_ARRAY)
    if (rule.kind != SectionShuffle::reverse) return;
  std::vector<size_t> places;
  for (size_t i = 0; i < s.atoms.size(); i++)
    if (rule.glob == "*" || formats::glob_match(rule.glob, atom_name(link, s.atoms[i]))) places.push_back(i);
  if (rule.kind == SectionShuffle::reverse) {
    for (size_t i = 0; i < places.size() / 2; i++)
      std::swap(s.atoms[places[i]], s.atoms[places[places.size() - 1 - i]]);
    return;
  }
  uint64_t state = rule.seed * 2 + 1;
  for (size_t i = places.size(); i > 1; i--) {  // Fisher and Yates; splitmix64
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    std::swap(s.atoms[places[i - 1]], s.atoms[places[(z ^ (z >> 31)) % i]]);
  }
}

// --sort-section: by name, or the most aligned first. .init and .fini are code that runs through its parts in their
// order.
void sort_members(Link& link, OutputSection& s) {
  if (link.opt.sort_section == SectionSort::name)
    std::stable_sort(s.atoms.begin(), s.atoms.end(),
                     [&](uint32_t a, uint32_t b) { return atom_name(link, a) < atom_name(link, b); });
  else
    std::stable_sort(s.atoms.begin(), s.atoms.end(),
                     [&](uint32_t a, uint32_t b) { return link.atoms[a].p2align > link.atoms[b].p2align; });
}

// --symbol-ordering-file: what the symbols of its lines are in comes first, in that order. By atom: 1 + line, 0 for the
// others.
std::vector<uint32_t> symbol_order(Link& link) {
  std::vector<uint32_t> rank;
  if (link.opt.symbol_ordering_file.empty()) return rank;
  std::string text;
  if (!read_whole_file(link, link.opt.symbol_ordering_file, text)) {
    link.diag.error("cannot open symbol ordering file " + link.opt.symbol_ordering_file);
    return rank;
  }
  std::unordered_map<std::string_view, uint32_t> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    line = line.substr(0, line.find('#'));
    while (!line.empty() && uint8_t(line.back()) <= ' ') line.remove_suffix(1);
    while (!line.empty() && uint8_t(line.front()) <= ' ') line.remove_prefix(1);
    if (!line.empty()) lines.try_emplace(line, uint32_t(lines.size()));
  }
  rank.assign(link.atoms.size(), 0);
  std::vector<bool> found(lines.size());
  for (ObjectFile* f : link.objects)
    for (uint32_t i = 1; i < f->syms.size(); i++) {
      auto it = lines.find(f->sym_name(f->syms[i]));
      uint32_t section = it == lines.end() || f->syms[i].shndx == SHN_UNDEF ? 0 : f->section_of(i);
      if (section == 0 || section >= f->sections.size()) continue;
      found[it->second] = true;
      uint32_t& r = rank[f->atom_base + section];
      if (r == 0 || it->second + 1 < r) r = it->second + 1;
    }
  if (link.opt.warn_symbol_ordering)
    for (auto& [name, line] : lines)
      if (!found[line]) link.diag.warning("symbol ordering file: no such symbol: " + std::string(name), line);
  return rank;
}

}  // namespace

std::string_view output_name(std::string_view name) {
  size_t p = prefix_of(name);
  return p == prefix_count ? name : prefixes[p];
}

uint32_t init_priority(std::string_view name) {
  size_t dot = name.rfind('.');
  uint32_t n = 0;
  if (dot == 0 || dot == std::string_view::npos) return 65536;
  auto [p, ec] = std::from_chars(name.data() + dot + 1, name.data() + name.size(), n);
  if (ec != std::errc() || p != name.data() + name.size() || n > 65535) return 65536;
  if (name.starts_with(".ctors") || name.starts_with(".dtors")) n = 65535 - n;
  return n;
}

OutputSection* make_section(Link& link, std::string_view name, uint32_t type, uint64_t flags, uint64_t align,
                            SectionWriter write) {
  auto s = std::make_unique<OutputSection>();
  s->name = std::string(name);
  s->type = type;
  s->flags = flags;
  s->align = align;
  s->write = write;
  s->id = uint32_t(link.sections.size());
  link.sections.push_back(std::move(s));
  return link.sections.back().get();
}

// The merged section for entries of this kind in an output section; `none` when the link has too many atoms.
using MergedIndex = std::map<std::tuple<uint32_t, uint64_t, bool>, uint32_t>;  // output section, entry size, strings?
static uint32_t merged_section(Link& link, MergedIndex& index, uint32_t out, uint64_t entsize, bool strings) {
  auto [known, fresh] = index.try_emplace({out, entsize, strings}, uint32_t(link.merged.size()));
  if (!fresh) return known->second;
  auto m = std::make_unique<MergedSection>();
  m->out = out;
  m->entsize = entsize;
  m->strings = strings;
  uint32_t unused;
  if (!link.atoms.append(1, m->body) || !link.atom_address.extend(1, unused)) {
    link.diag.error(too_many_sections);
    return none;
  }
  Atom& body = link.atoms[m->body];
  body.kind = AtomKind::merged;
  body.file = link.internal->id;
  body.out = out;
  body.extra = uint32_t(link.merged.size());
  body.live = 1;
  link.merged.push_back(std::move(m));
  return uint32_t(link.merged.size() - 1);
}

// The linker's name joins those of the compilers in .comment, as other linkers have it.
static void sign(Link& link, MergedIndex& index) {
  uint32_t out = none;
  for (const auto& s : link.sections)
    if (s->name == ".comment") out = s->id;
  if (out == none) out = make_section(link, ".comment", SHT_PROGBITS, SHF_MERGE | SHF_STRINGS, 1, nullptr)->id;
  uint32_t m = merged_section(link, index, out, 1, true);
  if (m != none)
    link.merged[m]->own = std::string_view("Linker: lode " LODE_VERSION "\0", sizeof("Linker: lode " LODE_VERSION));
}

void assign_sections(Link& link) {
  struct Common {
    uint64_t flags = 0, first = ~uint64_t{0};
    uint32_t types = 0;  // bit 0: NOBITS, 1: PROGBITS or other, 2: NOTE
    uint32_t section = none;
  };
  std::vector<Common> common(prefix_count * variants);
  std::vector<std::vector<uint32_t>> others(link.objects.size());
  constexpr uint32_t provisional = 0x80000000u;
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      Atom& a = link.atoms[f.atom_base + i];
      if (!a.live || a.kind == AtomKind::none || a.kind == AtomKind::discarded || a.kind == AtomKind::eh_frame ||
          a.folded)
        continue;
      const Shdr& s = f.sections[i];
      size_t p = prefix_of(section_name(f, i));
      if (p == 0 && link.opt.keep_text_prefix && !text_prefix_of(section_name(f, i)).empty()) p = prefix_count;
      if (p != prefix_count && is_unique(link, section_name(f, i))) p = prefix_count;
      if (p == prefix_count) {
        others[k].push_back(i);
        continue;
      }
      size_t n = p * variants + variant_of(s.flags);
      a.out = provisional | uint32_t(n);
      atomic_or(common[n].flags, s.flags & kept_flags);
      atomic_min(common[n].first, uint64_t(f.priority) << 32 | i);
      atomic_or(common[n].types, s.type == SHT_NOBITS ? 1u : 2u);
    }
  });
  std::unordered_map<std::string_view, uint32_t> named[variants];
  for (size_t n = 0; n < common.size(); n++) {
    const size_t p = n / variants;
    Common& c = common[n];
    if (!c.types) continue;
    uint32_t type = c.types == 1 ? SHT_NOBITS : SHT_PROGBITS;
    if (p == 9) type = SHT_INIT_ARRAY;
    if (p == 10) type = SHT_FINI_ARRAY;
    if (p == 11) type = SHT_PREINIT_ARRAY;
    if (p >= 9 && p <= 11) c.flags |= SHF_WRITE;
    OutputSection* o = make_section(link, prefixes[p], type, c.flags, 1, nullptr);
    o->first_seen = c.first;
    c.section = o->id;
    named[n % variants][o->name] = o->id;
  }
  for (size_t k = 0; k < others.size(); k++) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i : others[k]) {
      const Shdr& s = f.sections[i];
      std::string_view name = section_name(f, i);
      if (link.opt.keep_text_prefix && !is_unique(link, name))
        if (std::string_view p = text_prefix_of(name); !p.empty()) name = p;
      auto& same = named[variant_of(s.flags)];
      auto it = same.find(name);
      if (it == same.end()) {
        OutputSection* o = make_section(link, name, s.type, s.flags & kept_flags, 1, nullptr);
        o->first_seen = uint64_t(f.priority) << 32 | i;
        it = same.emplace(o->name, o->id).first;
      }
      OutputSection& o = *link.sections[it->second];
      o.flags |= s.flags & kept_flags;
      if (o.type == SHT_NOBITS && s.type != SHT_NOBITS) o.type = s.type;
      link.atoms[f.atom_base + i].out = it->second;
    }
  }
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      Atom& a = link.atoms[f.atom_base + i];
      if (a.out != none && (a.out & provisional)) a.out = common[a.out & ~provisional].section;
    }
  });

  // Merged sections: one for each (output section, entry size, strings?).
  MergedIndex index;
  for (uint32_t i = 0; i < link.merge_inputs.size(); i++) {
    MergeInput& in = link.merge_inputs[i];
    Atom& a = link.atoms[in.atom];
    if (!a.live) continue;
    const Shdr& s = link.object(a.file).sections[a.section];
    bool strings = s.flags & SHF_STRINGS;
    uint32_t found = merged_section(link, index, a.out, s.entsize, strings);
    if (found == none) return;
    in.merged = found;
    link.merged[found]->inputs.push_back(i);
  }
  if (!link.opt.strip_all) sign(link, index);
  merge_pieces(link);
}

std::vector<CommonWant> gather_commons(Link& link) {
  std::vector<std::vector<CommonWant>> found(link.objects.size());
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i = f.first_global; i < f.syms.size(); i++) {
      const Sym& s = f.syms[i];
      if (s.shndx < SHN_LORESERVE || (f.section_of(i) != section_common && f.section_of(i) != section_lcommon))
        continue;
      uint32_t id = f.symbol_id(i);
      uint64_t align = is_power_of_two(s.value) && s.value <= (1u << 30) ? uint64_t(s.value) : 1;
      uint64_t size = std::min(uint64_t{s.size}, uint64_t{1} << 46);
      if (link.symbols[id].is_common)
        found[k].push_back({id, size, align, s.type() == STT_TLS, f.section_of(i) == section_lcommon});
      else if (link.opt.warn_common)
        link.diag.warning(f.name + ": common definition of " + link.display(link.symbols[id]) + " overridden",
                          uint64_t(f.priority) << 32 | i);
    }
  });
  std::vector<CommonWant> out;
  std::unordered_map<uint32_t, size_t> at;
  for (size_t k = 0; k < found.size(); k++)
    for (const CommonWant& w : found[k]) {
      auto [it, fresh] = at.try_emplace(w.symbol, out.size());
      if (fresh) {
        out.push_back(w);
        continue;
      }
      if (link.opt.warn_common)
        link.diag.warning(link.objects[k]->name + ": multiple common symbols: " + link.display(link.symbols[w.symbol]),
                          uint64_t(link.objects[k]->priority) << 32);
      CommonWant& sum = out[it->second];
      sum.size = std::max(sum.size, w.size);
      sum.align = std::max(sum.align, w.align);
      sum.large &= w.large;
    }
  if (out.empty()) return out;
  // A library's object of the name is replaced by this one, so that its code has to find the space it knows of.
  for (SharedFile* so : link.shareds)
    for (uint32_t i = 0; i < so->globals.names.size(); i++) {
      const Sym& s = so->syms[i];
      uint32_t id = so->globals.names[i].id;
      if (!link.symbols[id].is_common || s.shndx == SHN_UNDEF || (s.type() != STT_OBJECT && s.type() != STT_COMMON))
        continue;
      if (auto it = at.find(id); it != at.end())
        out[it->second].size = std::max(out[it->second].size, std::min(uint64_t{s.size}, uint64_t{1} << 46));
    }
  return out;
}

void allocate_commons(Link& link) {
  auto section = [&](const CommonWant& w) -> OutputSection& {
    const char* name = w.tls ? ".tbss" : w.large ? ".lbss" : ".bss";
    for (auto& s : link.sections)
      if (s->name == name && !s->write && s->alloc()) return *s;
    uint64_t flags = SHF_ALLOC | SHF_WRITE | (w.tls ? uint64_t(SHF_TLS) : w.large ? link.machine->large_section : 0);
    return *make_section(link, name, SHT_NOBITS, flags, 1, nullptr);
  };
  for (const CommonWant& w : gather_commons(link)) {
    uint32_t atom, unused;
    if (!link.atoms.append(1, atom) || !link.atom_address.extend(1, unused)) {
      link.diag.error(too_many_sections);
      return;
    }
    Atom& a = link.atoms[atom];
    a.kind = AtomKind::regular;
    a.live = 1;
    a.file = link.internal->id;
    a.size = w.size;
    a.p2align = uint8_t(std::countr_zero(w.align));
    OutputSection& o = section(w);
    a.out = o.id;
    o.atoms.push_back(atom);
    link.symbols[w.symbol].atom = atom;
    link.symbols[w.symbol].value = 0;
  }
}

// --zero-to-bss: writable data that is all zero, and that no relocation fills, need not be in the file.
static bool all_zero(Link& link, const OutputSection& s) {
  if (s.type != SHT_PROGBITS || (s.flags & (SHF_ALLOC | SHF_WRITE | SHF_TLS)) != (SHF_ALLOC | SHF_WRITE) ||
      s.atoms.empty())
    return false;
  for (uint32_t id : s.atoms) {
    const Atom& a = link.atoms[id];
    if (a.kind != AtomKind::regular || a.reloc_count) return false;
    if (a.data && std::any_of(a.data, a.data + a.size, [](uint8_t b) { return b != 0; })) return false;
  }
  return true;
}

// Whether all units of an object's .debug_info are DWARF64, whose length begins with 0xffffffff (DWARF 5 section 7.4).
static bool only_dwarf64(const Atom& a) {
  if (!a.data) return false;
  uint64_t at = 0;
  bool any = false;
  while (at + 12 <= a.size && load_le<uint32_t>(a.data + at) == 0xffffffff) {
    uint64_t length = load_le<uint64_t>(a.data + at + 4);
    if (length > a.size - at - 12) break;
    at += 12 + length;
    any = true;
  }
  return any && at == a.size;
}

// References of DWARF32 reach 4 GiB into a section; what has no such limit stands behind it.
static void sort_debug_sections(Link& link) {
  std::vector<bool> wide(link.files.size());
  bool any = false;
  for (auto& s : link.sections) {
    if (s->name != ".debug_info" || s->alloc()) continue;
    for (uint32_t id : s->atoms)
      if (const Atom& a = link.atoms[id]; a.file != none && only_dwarf64(a)) any = wide[a.file] = true;
  }
  if (!any) return;
  for (auto& s : link.sections)
    if (!s->alloc() && s->name.starts_with(".debug_"))
      std::stable_partition(s->atoms.begin(), s->atoms.end(),
                            [&](uint32_t id) { return link.atoms[id].file == none || !wide[link.atoms[id].file]; });
}

// A symbol in a section that ends up empty stays defined: the section is output although it has no size. Section
// symbols do not count; what refers to one of those finds the place where the section would have been (layout.cpp).
static void keep_named_places(Link& link) {
  std::vector<bool> empty(link.sections.size());
  bool any = false;
  for (auto& s : link.sections) {
    empty[s->id] = !s->write && !s->size && !s->atoms.empty();
    any |= empty[s->id];
  }
  if (!any) return;
  for (const Symbol& s : link.symbols) {
    if (s.atom == none || !s.defined()) continue;
    const Atom& a = link.atoms[s.atom];
    if (a.live && a.out != none && a.kind == AtomKind::regular && empty[a.out]) link.sections[a.out]->keep = true;
  }
  for (auto& s : link.sections) {
    if (!empty[s->id]) continue;
    for (size_t k = 0; k < s->atoms.size() && !s->keep; k++) {
      const Atom& a = link.atoms[s->atoms[k]];
      const ObjectFile& f = link.object(a.file);
      for (uint32_t i = 1; i < f.first_global && i < f.syms.size() && !s->keep; i++)
        s->keep = f.syms[i].type() != STT_SECTION && f.syms[i].shndx != SHN_UNDEF && f.section_of(i) == a.section &&
                  !f.sym_name(f.syms[i]).empty();
    }
  }
}

void place_members(Link& link, OutputSection& s) {
  const std::optional<Slack> slack = link.patchable ? std::optional(Slack(s)) : std::nullopt;
  uint64_t at = 0, largest = 0;
  uint8_t p2align = 0;
  for (uint32_t id : s.atoms) {
    Atom& a = link.atoms[id];
    if (a.kind != AtomKind::merged) largest = std::max(largest, a.size);
    at = align_up(at, uint64_t{1} << a.p2align);
    a.offset = at;
    at += a.size;
    if (slack) at += slack->of(a);
    p2align = std::max(p2align, a.p2align);
  }
  if (slack) {
    s.used = at;
    s.room = room_for(s, at, largest);
    if (s.alloc()) at += std::exchange(s.room, 0);
    if (at && is_ordered(s)) s.room = align_up(at / 4 + 128, 16);
  }
  s.size = at;
  s.align = std::max(s.align, uint64_t{1} << p2align);
}

void collect_members(Link& link) {
  if (link.patchable) foresee_sections(link);
  for (ObjectFile* f : link.objects)
    for (uint32_t i = 1; i < f->sections.size(); i++) {
      const Atom& a = link.atoms[f->atom_base + i];
      if (a.out != none && a.kind != AtomKind::merge && a.live && !a.folded)
        link.sections[a.out]->atoms.push_back(f->atom_base + i);
    }
  for (auto& m : link.merged)
    if (m->out != none) link.sections[m->out]->atoms.push_back(m->body);
  sort_debug_sections(link);
  std::vector<uint32_t> order = symbol_order(link);
  for (auto& s : link.sections) {
    if (s->write) continue;
    const bool ordered_code = s->name == ".init" || s->name == ".fini";
    if (link.opt.sort_section != SectionSort::none && !ordered_code) sort_members(link, *s);
    if (!ordered_code)
      for (const ShuffleRule& rule : link.opt.shuffles) shuffle(link, *s, rule);
    if (!order.empty())
      std::stable_sort(s->atoms.begin(), s->atoms.end(),
                       [&](uint32_t a, uint32_t b) { return order[a] - 1 < order[b] - 1; });  // 0 becomes the largest
    if (auto it = link.opt.section_align.find(s->name); it != link.opt.section_align.end()) s->align = it->second;
    if (s->type == SHT_INIT_ARRAY || s->type == SHT_FINI_ARRAY || s->type == SHT_PREINIT_ARRAY) {
      auto priority = [&](uint32_t a) {
        const Atom& x = link.atoms[a];
        if (link.files[x.file]->kind == FileKind::internal) return 65536u;
        return init_priority(section_name(link.object(x.file), x.section));
      };
      std::stable_sort(s->atoms.begin(), s->atoms.end(),
                       [&](uint32_t x, uint32_t y) { return priority(x) < priority(y); });
    }
    // A section made of one merged body stays mergeable for later tools.
    if (s->atoms.size() == 1 && link.atoms[s->atoms[0]].kind == AtomKind::merged &&
        !(link.patchable && s->alloc())) {
      const MergedSection& m = *link.merged[link.atoms[s->atoms[0]].extra];
      s->entsize = m.entsize;
      s->flags |= SHF_MERGE | (m.strings ? uint64_t(SHF_STRINGS) : 0);
    }
    if (s->type == SHT_INIT_ARRAY || s->type == SHT_FINI_ARRAY || s->type == SHT_PREINIT_ARRAY) s->entsize = 8;
  }
  parallel_for(size_t(0), link.sections.size(), [&](size_t i) {
    OutputSection& s = *link.sections[i];
    if (s.write) return;
    if (link.opt.zero_to_bss && all_zero(link, s)) s.type = SHT_NOBITS;
    place_members(link, s);
  });
  keep_named_places(link);
}

}  // namespace lode::link::elf
