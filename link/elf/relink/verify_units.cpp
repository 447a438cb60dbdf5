// Debug information of the patched file (verify_relink.h).
//
// Nothing refers to most contributions to sections that are not loaded; they are one behind the other. So each is
// looked for by its contents: units (DWARF 5 section 7.2.2 and those of the other sections with lengths in front) at
// every place where a unit begins, other contributions at every aligned place. A field counts as equal where it leads
// to the atom that it leads to in the full link, so that the unit of the same code is found, not a twin's. What is
// found is then compared like any other atom. Units that no contribution is at must say nothing: they are room.
#include <algorithm>

#include "base/bytes.h"
#include "link/elf/relink/verify_relink.h"

namespace lode::link::elf {

namespace {

bool has_units(std::string_view name) {
  static constexpr std::string_view names[] = {
      ".debug_info",     ".debug_types",        ".debug_line",         ".debug_aranges", ".debug_rnglists",
      ".debug_loclists", ".debug_addr",         ".debug_str_offsets",  ".debug_frame",   ".debug_pubnames",
      ".debug_pubtypes", ".debug_gnu_pubnames", ".debug_gnu_pubtypes", ".debug_names"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

}  // namespace

// Whether an atom may be at a place, as far as can be told. `units`: its last one may be longer there.
bool RelinkVerifier::fits(uint32_t atom, const std::vector<Field>& fields, uint64_t at, uint64_t room, bool units) {
  const Atom& a = full_.atoms[atom];
  const uint8_t *p = full_bytes(atom), *q = now_bytes(atom, at, a.size);
  if (!a.size || full_.sections[a.out]->nobits()) return true;
  if (!p || !q) return false;
  std::vector<std::pair<uint64_t, uint64_t>> skipped;
  for (const Field& f : fields) skipped.emplace_back(f.offset, f.offset + f.bytes);
  if (units) {
    uint64_t last = 0;
    for (uint64_t k = 0; k + 4 <= a.size; k += 4 + uint64_t(load_le<uint32_t>(p + k))) last = k;
    if (last + 4 <= a.size) {
      const uint64_t length = load_le<uint32_t>(p + last), length_now = load_le<uint32_t>(q + last);
      if (length_now < length || (length_now != length && last + 4 + length_now > room)) return false;
      skipped.emplace_back(last, last + 4);
    }
  }
  std::sort(skipped.begin(), skipped.end());
  uint64_t next = 0;
  for (const auto& [begin, end] : skipped) {
    if (begin > next && std::memcmp(p + next, q + next, begin - next) != 0) return false;
    next = std::max(next, end);
  }
  if (next < a.size && std::memcmp(p + next, q + next, a.size - next) != 0) return false;
  // Fields, as far as it is known where they lead.
  for (const Field& f : fields) {
    if (f.dead || f.to.kind != Referred::atom || place_[f.to.index] == unknown) continue;
    uint64_t v = 0, w = 0;
    std::memcpy(&v, p + f.offset, f.bytes);
    std::memcpy(&w, q + f.offset, f.bytes);
    uint64_t moved = place_[f.to.index] - f.to.base;
    if (f.want == Want::distance || f.want == Want::call) moved -= at - full_place(atom);
    else if (f.want != Want::address) continue;
    const uint64_t mask = f.bytes == 8 ? ~uint64_t{0} : (uint64_t{1} << (f.bytes * 8)) - 1;
    if (fresh_.relocations_of(full_place(atom) + f.offset).first !=
            fresh_.relocations_of(full_place(atom) + f.offset).second &&
        full_.sections[a.out]->alloc())
      continue;
    if (((v + moved) & mask) != w) return false;
  }
  return true;
}

// Length, a header, and nothing but padding (room.cpp).
bool RelinkVerifier::is_filler(const uint8_t* unit, uint64_t size) const {
  static constexpr uint64_t largest_header = 36;
  if (size <= 12) return true;
  const uint64_t begin = std::min(size - 1, largest_header);
  return std::all_of(unit + begin, unit + size, [&](uint8_t b) { return b == unit[size - 1]; });
}

void RelinkVerifier::find_unit_section(const OutputSection& s) {
  const Shdr* h = counterpart(s.id);
  if (!h) return;
  const bool units = has_units(s.name);
  const uint8_t* data = now_.view.file.data() + h->offset;
  std::vector<uint64_t> starts;
  std::vector<bool> used;
  if (units) {
    for (uint64_t at = 0; at + 4 <= h->size;) {
      const uint64_t length = load_le<uint32_t>(data + at);
      if (!length) {  // alignment, and room that is not used yet
        at += 4;
        continue;
      }
      if (length >= 0xfffffff0 || length > h->size - at - 4) {
        differ("section " + s.name + ": the unit at " + std::to_string(at) + " does not end in it");
        return;
      }
      starts.push_back(at);
      at += 4 + length;
    }
    used.resize(starts.size());
  }
  auto end_of = [&](size_t k) { return k < starts.size() ? starts[k] : h->size; };
  size_t cursor = 0;
  for (const uint32_t id : s.atoms) {
    if (!is_compared(id) || !full_.atoms[id].size || !full_bytes(id)) continue;
    const uint64_t size = full_.atoms[id].size;
    uint64_t at = place_[id];
    if (at == unknown) {
      const std::vector<Field> fields = fields_of(id);
      if (units) {
        for (size_t n = 0; n < starts.size() && at == unknown; n++) {
          const size_t k = (cursor + n) % starts.size();
          if (!used[k] && fits(id, fields, starts[k], h->size, true)) {
            at = starts[k];
            cursor = k;
          }
        }
      } else {
        const uint64_t align = uint64_t{1} << full_.atoms[id].p2align;
        const uint64_t expected = full_.atoms[id].offset;
        if (fits(id, fields, expected, 0, false)) at = expected;
        for (uint64_t k = 0; at == unknown && k + size <= h->size; k += align)
          if (fits(id, fields, k, 0, false)) at = k;
      }
      if (at == unknown) {
        differ(describe_atom(id, 0) + " is nowhere in section " + s.name);
        continue;
      }
      const std::string what = "the contents of " + s.name;
      put(id, at, {nullptr, nullptr, 0, what.c_str()});
    }
    // All units that begin in it are its own.
    for (size_t k = size_t(std::lower_bound(starts.begin(), starts.end(), at) - starts.begin());
         k < starts.size() && starts[k] < at + size; k++)
      used[k] = true, cursor = k + 1;
    if (cursor >= starts.size()) cursor = 0;
  }
  for (size_t k = 0; k < starts.size(); k++)
    if (!used[k] && !is_filler(data + starts[k], 4 + uint64_t(load_le<uint32_t>(data + starts[k]))))
      differ("section " + s.name + ": the unit at " + std::to_string(starts[k]) + " (up to " +
             std::to_string(end_of(k + 1)) + ") is of no input");
}

void RelinkVerifier::find_units() {
  // What others refer to comes to be known from those.
  for (const bool info : {true, false})
    for (const auto& s : full_.sections) {
      if (s->gone || s->alloc() || s->atoms.empty() || !s->index || s->merged != none) continue;
      if ((s->name == ".debug_info" || s->name == ".debug_types") != info) continue;
      find_unit_section(*s);
      walk();
    }
}

}  // namespace lode::link::elf
