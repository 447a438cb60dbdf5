// The action tables: kind of output against kind of symbol, for each way in which a place may hold an address.
//
// They say what the psABIs leave to linkers, as GNU ld, lld and mold agree on it: an executable may bind a name of a
// shared library for good by copying the object (R_*_COPY) or by giving the function a canonical PLT entry; a shared
// library may not; what is as wide as an address can always be left to the dynamic linker.
#include "link/elf/relocations/actions.h"

#include <algorithm>
#include <cstdio>

namespace lode::link::elf {

namespace {

enum OutputRow : uint8_t { row_shared, row_pie, row_exec };
enum SymbolColumn : uint8_t { absolute, undefined_weak, own, imported_data, imported_function };

using Table = Action[3][5];
using enum Action;

// An address in a word that the dynamic linker can fill in.
constexpr Table address_word = {
    // absolute  undefined weak  own       imported data     imported function
    {none, none, relative, dynamic, dynamic},                                  // shared library
    {none, none, relative, dynamic_or_copy, dynamic_or_canonical_plt},         // position-independent executable
    {none, none, none, dynamic_or_copy, dynamic_or_canonical_plt},             // executable at a fixed address
};
// In less: it must be final.
constexpr Table address_short = {
    {none, none, error, error, error},
    {none, none, error, error, error},
    {none, none, none, copy, canonical_plt},
};
constexpr Table distance = {
    {error, none, none, error, plt},
    {error, none, none, copy, canonical_plt},
    {none, none, none, copy, canonical_plt},
};
constexpr Table call = {
    {error, none, none, plt, plt},
    {error, none, none, plt, plt},
    {none, none, none, plt, plt},
};

const Table& table_of(Want want, unsigned bytes) {
  if (want == Want::address) return bytes == 8 ? address_word : address_short;
  return want == Want::distance ? distance : call;
}

SymbolColumn column_of(const RelocationTarget& t) {
  if (t.imported) return t.function ? imported_function : imported_data;
  if (t.undefined_weak) return undefined_weak;
  return t.absolute ? absolute : own;
}

}  // namespace

RelocationTarget resolve_target(Link& link, ObjectFile& f, uint32_t sym) {
  RelocationTarget t;
  t.ref = referent(link, f, sym);
  if (t.ref.id != elf::none) {
    const Symbol& s = link.symbols[t.ref.id];
    t.sym = &s;
    t.imported = s.imported;
    t.ifunc = s.type == STT_GNU_IFUNC && !s.imported && s.defined();
    t.function = s.type == STT_FUNC || s.type == STT_GNU_IFUNC;
    t.absolute = is_absolute(link, s) || (!s.defined() && !s.imported);
    t.undefined_weak = !s.defined() && !s.imported;
  } else {
    t.ifunc = t.ref.type == STT_GNU_IFUNC;
    t.function = t.ref.type == STT_FUNC;
    t.absolute = t.ref.atom == elf::none;
  }
  return t;
}

Action action_of(const Link& link, Want want, unsigned bytes, const RelocationTarget& t, bool writable) {
  const OutputRow row = link.shared ? row_shared : link.pic ? row_pie : row_exec;
  const Action a = table_of(want, bytes)[row][column_of(t)];
  if (a < dynamic_or_copy) return a;
  if (writable || !link.opt.copyreloc) return dynamic;
  return a == dynamic_or_copy ? copy : canonical_plt;
}

Rewrite got_rewrite(const Link& link, const RelocationTarget& t) {
  // A static PIE's start-up code runs before anyone has filled the GOT, so there it is not a matter of choice.
  if (!link.opt.relax && !(link.pic && link.opt.is_static)) return Rewrite::none;
  if (link.large_image || t.imported || t.ifunc) return Rewrite::none;
  if (!t.absolute) return Rewrite::distance;
  // An instruction pair makes any number that its upper part holds, a single instruction one of 31 bits.
  const bool pair = link.machine->shrink != nullptr;
  if (link.pic && !pair) return Rewrite::none;
  return t.sym && t.sym->value > (pair ? 0x7ffff7ff : 0x7fffffff) ? Rewrite::none : Rewrite::absolute;
}

bool packs_relative(Link& link, const Atom& a, const Rela& r, bool writable) {
  if (!link.opt.pack_relr || !writable || (uint64_t(r.offset) & 1) || uint64_t(r.offset) >> 32 || a.p2align < 1)
    return false;
  auto start = link.opt.section_start.find(link.sections[a.out]->name);
  return start == link.opt.section_start.end() || !(start->second & 1);
}

static bool may_lead(const RelocationRow& row) {
  if (row.field != Field::instruction) return false;
  return row.want == Want::distance || row.want == Want::got_distance_relaxable || row.want == Want::tls_general ||
         row.want == Want::tls_initial || row.want == Want::tls_descriptor;
}

uint32_t leader_of(Link& link, ObjectFile& f, const Atom& a, uint32_t sym) {
  const Referent label = referent(link, f, sym);
  uint32_t atom = label.atom;
  uint64_t value = label.value;
  if (label.id != elf::none) {
    atom = link.symbols[label.id].atom;
    value = link.symbols[label.id].value;
  }
  if (atom == elf::none || link.atoms[atom].file != a.file || link.atoms[atom].section != a.section) return elf::none;
  const Rela* end = a.relocs + a.reloc_count;
  const Rela* at =
      std::lower_bound(a.relocs, end, value, [](const Rela& r, uint64_t v) { return uint64_t(r.offset) < v; });
  for (; at != end && at->offset == value; at++)
    if (may_lead(link.machine->row(at->type))) return at->sym < f.syms.size() ? uint32_t(at - a.relocs) : elf::none;
  return elf::none;
}

std::span<const uint32_t> Followers::of(uint32_t leader) const {
  const auto [first, last] = std::equal_range(leaders_.begin(), leaders_.end(), leader);
  return std::span(followers_).subspan(size_t(first - leaders_.begin()), size_t(last - first));
}

Followers find_followers(Link& link, ObjectFile& f, const Atom& a) {
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    const Rela& r = a.relocs[i];
    const RelocationRow& row = link.machine->row(r.type);
    if (row.want != Want::follower || r.sym >= f.syms.size() || r.offset > a.size || a.size - r.offset < row.bytes)
      continue;
    if (const uint32_t leader = leader_of(link, f, a, r.sym); leader != elf::none) pairs.emplace_back(leader, i);
  }
  std::sort(pairs.begin(), pairs.end());
  Followers out;
  for (auto& [leader, follower] : pairs) {
    out.leaders_.push_back(leader);
    out.followers_.push_back(follower);
  }
  return out;
}

RewriteCursor::RewriteCursor(const ObjectFile& f, uint32_t section) {
  const auto& list = f.rewrites;
  if (list.empty()) return;
  const auto first = std::lower_bound(list.begin(), list.end(), section,
                                      [](const KeptRewrite& k, uint32_t s) { return k.section < s; });
  next_ = list.data() + (first - list.begin());
  end_ = next_;
  while (end_ != list.data() + list.size() && end_->section == section) end_++;
}

std::string relocation_place(Link& link, const ObjectFile& f, const Atom& a, uint64_t offset) {
  char hex[24];
  std::snprintf(hex, sizeof hex, "+0x%llx)", static_cast<unsigned long long>(offset));
  std::string s = f.name + ":(" + std::string(section_name(f, a.section)) + hex;
  std::string in = place_name(link, a, offset);
  return in.empty() ? s : s + " in " + in;
}

std::string target_name(Link& link, const ObjectFile& f, const RelocationTarget& t, uint32_t sym) {
  if (t.sym) return link.display(*t.sym);
  std::string_view n = f.sym_name(f.syms[sym]);
  if (!n.empty()) return std::string(n);
  if (t.ref.atom != elf::none) return std::string(section_name(f, link.atoms[t.ref.atom].section));
  return "*ABS*";
}

const char* output_kind(const Link& link) {
  return link.shared ? "shared object" : link.pic ? "position-independent executable" : "dynamically linked executable";
}

}  // namespace lode::link::elf
