// See die_tree.h.
#include "codegen/debug/die_tree.h"

namespace lode::codegen::dwarf {

uint32_t DieTree::make(uint16_t tag, uint32_t parent, uint32_t unit) {
  const uint32_t n = uint32_t(dies_.size());
  dies_.push_back({tag, parent, unit});
  if (parent == no_die) {
    units_.push_back(n);
    return n;
  }
  Die& p = dies_[parent];
  (p.first_child == no_die ? p.first_child : dies_[p.last_child].next) = n;
  p.last_child = n;
  return n;
}

uint32_t DieTree::abbreviation(const Die& die, Section& out) {
  std::string key;
  auto word = [&](uint16_t v) { key += {char(v), char(v >> 8)}; };
  word(die.tag);
  word(die.first_child != no_die);
  for (uint32_t a = die.first_attribute; a != no_die; a = attributes_[a].next) {
    const Attribute& x = attributes_[a];
    word(x.at);
    word(x.form == form_ref4 && dies_[x.value].unit != die.unit ? uint16_t(form_ref_addr) : x.form);
  }
  auto [it, fresh] = abbreviations_.try_emplace(key, uint32_t(abbreviations_.size() + 1));
  if (!fresh) return it->second;
  out.uleb(it->second);
  out.uleb(die.tag);
  out.u8(die.first_child != no_die);
  for (size_t k = 4; k < key.size(); k += 2) out.uleb(uint8_t(key[k]) | uint32_t(uint8_t(key[k + 1])) << 8);
  out.u16(0);
  return it->second;
}

void DieTree::write_attribute(const Die& die, const Attribute& a, Section& out) {
  switch (a.form) {
    case form_flag_present: break;
    case form_data1: out.u8(a.value); break;
    case form_data2: out.u16(a.value); break;
    case form_data4: out.u32(a.value); break;
    case form_data8:
    case form_addr: out.u64(a.value); break;
    case form_sdata: out.sleb(int64_t(a.value)); break;
    case form_sec_offset: out.offset_in(SectionId(a.value >> 32), uint32_t(a.value)); break;
    case form_ref4: {
      const bool across = dies_[a.value].unit != die.unit;
      patches_.push_back({out.size(), uint32_t(a.value), unit_start_, across});
      out.u32(0);
      break;
    }
    case form_exprloc: {
      const Section& blob = blobs_[a.value];
      out.uleb(blob.bytes.size());
      for (Relocation r : blob.relocations) {
        r.offset += out.size();
        out.relocations.push_back(r);
      }
      out.bytes.insert(out.bytes.end(), blob.bytes.begin(), blob.bytes.end());
      break;
    }
    default: out.uleb(a.value); break;
  }
}

void DieTree::write(Sections& sections) {
  Section& out = sections[info];
  Section& abbreviations = sections[abbrev];
  for (uint32_t root : units_) {
    unit_start_ = out.size();
    const uint32_t start = out.begin_length();
    out.u16(5);
    out.u8(1);  // DW_UT_compile
    out.u8(8);
    out.offset_in(abbrev, 0);
    // Depth first; back at a parent its list of children ends.
    for (uint32_t d = root;;) {
      Die& die = dies_[d];
      die.offset = out.size();
      out.uleb(abbreviation(die, abbreviations));
      for (uint32_t a = die.first_attribute; a != no_die; a = attributes_[a].next)
        write_attribute(die, attributes_[a], out);
      if (die.first_child != no_die) {
        d = die.first_child;
        continue;
      }
      while (d != root && dies_[d].next == no_die) {
        out.u8(0);
        d = dies_[d].parent;
      }
      if (d == root) break;
      d = dies_[d].next;
    }
    out.end_length(start);
  }
  if (!units_.empty()) abbreviations.u8(0);
  for (const Patch& p : patches_) {
    const uint32_t to = dies_[p.die].offset;
    store_le(out.bytes.data() + p.place, p.across ? to : to - p.unit_start);
    if (p.across) out.relocations.push_back({p.place, Relocation::section, info, int64_t(to)});
  }
}

}  // namespace lode::codegen::dwarf
