// Entries of .debug_info as a tree in flat arrays, and their way to bytes.
//
// Entries and attributes are only added; an attribute may come to an entry at any time, so that types may refer to each
// other in circles. An entry's unit is that of its parent. References become 4-byte offsets in their unit, or offsets
// in the section where they lead to another unit. Abbreviations are made while writing: one for each combination of
// tag, children and forms, shared by the units of a module.
#pragma once

#include <string>
#include <unordered_map>

#include "codegen/debug/dwarf.h"

namespace lode::codegen::dwarf {

inline constexpr uint32_t no_die = ~0u;

class DieTree {
 public:
  uint32_t add_unit() { return make(tag_compile_unit, no_die, uint32_t(units_.size())); }
  uint32_t add(uint16_t tag, uint32_t parent) { return make(tag, parent, dies_[parent].unit); }
  uint16_t tag(uint32_t die) const { return dies_[die].tag; }
  uint32_t parent(uint32_t die) const { return dies_[die].parent; }
  uint32_t unit(uint32_t die) const { return dies_[die].unit; }
  bool has_children(uint32_t die) const { return dies_[die].first_child != no_die; }

  void attribute(uint32_t die, uint16_t at, uint16_t form, uint64_t value) {
    attributes_.push_back({at, form, no_die, value});
    Die& d = dies_[die];
    const uint32_t n = uint32_t(attributes_.size() - 1);
    (d.first_attribute == no_die ? d.first_attribute : attributes_[d.last_attribute].next) = n;
    d.last_attribute = n;
  }
  void flag(uint32_t die, uint16_t at) { attribute(die, at, form_flag_present, 0); }
  void reference(uint32_t die, uint16_t at, uint32_t to) { attribute(die, at, form_ref4, to); }
  void expression(uint32_t die, uint16_t at, std::vector<uint8_t> bytes) {
    attribute(die, at, form_exprloc, blobs_.size());
    blobs_.push_back({std::move(bytes), {}});
  }
  // With relocations at offsets in the expression.
  void expression(uint32_t die, uint16_t at, Section with_relocations) {
    attribute(die, at, form_exprloc, blobs_.size());
    blobs_.push_back(std::move(with_relocations));
  }
  // A constant in the smallest form of fixed size.
  void number(uint32_t die, uint16_t at, uint64_t v) {
    attribute(die, at, v < 0x100 ? form_data1 : v < 0x10000 ? form_data2 : v >> 32 ? form_data8 : form_data4, v);
  }
  // A field with an offset in another section.
  void offset_in(uint32_t die, uint16_t at, SectionId section, uint64_t offset) {
    attribute(die, at, form_sec_offset, uint64_t(section) << 32 | offset);
  }
  bool has(uint32_t die, uint16_t at) const {
    for (uint32_t a = dies_[die].first_attribute; a != no_die; a = attributes_[a].next)
      if (attributes_[a].at == at) return true;
    return false;
  }

  // Writes .debug_info and .debug_abbrev.
  void write(Sections& out);

 private:
  struct Die {
    uint16_t tag;
    uint32_t parent, unit;
    uint32_t first_child = no_die, last_child = no_die, next = no_die;
    uint32_t first_attribute = no_die, last_attribute = no_die;
    uint32_t offset = 0;  // in .debug_info
  };
  struct Attribute {
    uint16_t at, form;
    uint32_t next;
    uint64_t value;
  };
  struct Patch {
    uint32_t place, die, unit_start;
    bool across;
  };
  uint32_t make(uint16_t tag, uint32_t parent, uint32_t unit);
  uint32_t abbreviation(const Die& die, Section& out);
  void write_attribute(const Die& die, const Attribute& a, Section& out);

  std::vector<Die> dies_;
  std::vector<Attribute> attributes_;
  std::vector<Section> blobs_;
  std::vector<uint32_t> units_;
  std::unordered_map<std::string, uint32_t> abbreviations_;
  std::vector<Patch> patches_;
  uint32_t unit_start_ = 0;
};

}  // namespace lode::codegen::dwarf
