// Layout and the sections whose sizes depend on it: .relr.dyn holds addresses in a form that is shorter where they are
// near each other, .eh_frame only what is kept, .dynamic only what is there.
//
// Packing depends on addresses and addresses on its size, so that layout runs again until what is packed fits; the size
// only grows, and ends after few rounds. Code that gets shorter when addresses are known (relocations/shrink.h) has
// rounds of its own, in each of them.
#include <algorithm>

#include "base/bytes.h"
#include "link/elf/code/asm_sections.h"
#include "link/elf/code/lower.h"
#include "link/elf/relocations/shrink.h"

namespace lode::link::elf {

namespace {

// DT_RELR (gABI): an address word, then bitmap words (lowest bit set) for the 63 words that follow.
std::vector<uint64_t> encode_relr(std::vector<uint64_t>& places) {
  std::sort(places.begin(), places.end());
  std::vector<uint64_t> out;
  for (size_t i = 0; i < places.size();) {
    uint64_t base = places[i++];
    out.push_back(base);
    base += 8;
    for (;;) {
      uint64_t bits = 0;
      while (i < places.size() && places[i] - base < 63 * 8 && (places[i] - base) % 8 == 0)
        bits |= uint64_t{1} << ((places[i++] - base) / 8);
      if (!bits) break;
      out.push_back(bits << 1 | 1);
      base += 63 * 8;
    }
  }
  return out;
}

}  // namespace

bool layout_all(Link& link) {
  layout_eh_frame(link);
  if (link.eh_frame_hdr) link.eh_frame_hdr->size = link.eh_frame->size ? 12 + 8 * link.eh_frame_fde_count : 0;
  size_t rels = got_relocations(link).size();
  for (ObjectFile* f : link.objects) rels += f->dynrel_count;
  link.reldyn->size = rels * sizeof(Rela);
  if (link.patchable) {
    if (rels || link.pic) link.reldyn->room = (rels / 8 + 32) * sizeof(Rela);
    // A file's records that become more go there as a whole.
    uint64_t longest = 0;
    for (const ObjectFile* f : link.objects) longest = std::max<uint64_t>(longest, f->frame_end - f->frame_begin);
    const uint64_t share = std::max(link.eh_frame->size / 8, longest + longest / 8);
    link.eh_frame->room = link.eh_frame->size ? align_up(share + 2048, 8) : 0;
    if (link.eh_frame_hdr) link.eh_frame_hdr->room = 8 * (link.eh_frame_fde_count / 8 + 64);
  }
  if (link.relrdyn) link.relrdyn->size = 8;
  if (link.dynamic) link.dynamic->size = dynamic_entries(link).size() * sizeof(Dyn);
  find_shrinking(link);
  for (int round = 0; round < 8; round++) {
    do {
      if (!layout(link) || link.diag.has_errors()) return false;
    } while (grow_code(link));
    if (!link.relrdyn) break;
    std::vector<uint64_t> places;
    for (ObjectFile* f : link.objects)
      for (uint64_t p : f->relr)
        places.push_back(link.atom_address[uint32_t(p >> 32)] +
                         shrunk_offset(link, link.atoms[uint32_t(p >> 32)], uint32_t(p)));
    for (const GotEntry& e : link.got_entries)
      if (got_slot_is_relative(link, e)) places.push_back(got_address(link, link.aux[link.symbols[e.symbol].aux].got));
    link.relr_words = encode_relr(places);
    uint64_t bytes = link.relr_words.size() * 8;
    if (bytes == 0) {
      link.relrdyn->size = 0;
      link.dynamic->size = dynamic_entries(link).size() * sizeof(Dyn);
      link.relrdyn = nullptr;
      continue;
    }
    if (bytes <= link.relrdyn->size) {
      link.relr_words.resize(link.relrdyn->size / 8, 1);  // an empty bitmap
      break;
    }
    link.relrdyn->size = bytes;
  }
  finish_shrinking(link);
  if (has_near_references(link)) {
    settle_function_symbols(link);
    complete_asm_sections(link);
  }
  assign_symbol_addresses(link);
  return !link.diag.has_errors();
}

}  // namespace lode::link::elf
