// .debug_info is a list of units, each a tree of entries in preorder; an entry is the number of an abbreviation and the
// values that it announces. We look at variables whose location is one address and nothing else, and step over all
// other values, for which the size of every form has to be known (section 7.5.6).
#include "formats/dwarf_variable.h"

#include <unordered_map>
#include <vector>

#include "formats/dwarf_cursor.h"

namespace lode::formats {

namespace {

using dwarf::Cursor;
using dwarf::relocation_at;

enum : uint64_t {
  DW_TAG_variable = 0x34,
  DW_AT_location = 0x02, DW_AT_stmt_list = 0x10, DW_AT_decl_file = 0x3a, DW_AT_decl_line = 0x3b, DW_AT_addr_base = 0x73,
  DW_OP_addr = 0x03, DW_OP_addrx = 0xa1,
  DW_UT_compile = 1, DW_UT_partial = 3, DW_UT_skeleton = 4,
};

// How much a value takes.
enum class Size : uint8_t {
  fixed, address, offset, uleb, sleb, string, block1, block2, block4, block, implicit, indirect, bad,
};
struct Form {
  Size size = Size::bad;
  uint8_t bytes = 0;
};
Form form_of(uint64_t form) {
  switch (form) {
    case 0x01: return {Size::address};                                              // addr
    case 0x03: return {Size::block2};
    case 0x04: return {Size::block4};
    case 0x05: case 0x12: case 0x26: case 0x2a: return {Size::fixed, 2};            // data2, ref2, strx2, addrx2
    case 0x06: case 0x13: case 0x1c: case 0x28:
    case 0x2c: return {Size::fixed, 4};  // data4, ref4, ref_sup4, strx4, addrx4
    case 0x07: case 0x14: case 0x20: case 0x24: return {Size::fixed, 8};            // data8, ref8, ref_sig8, ref_sup8
    case 0x08: return {Size::string};
    case 0x09: case 0x18: return {Size::block};                                     // block, exprloc
    case 0x0a: return {Size::block1};
    case 0x0b: case 0x0c: case 0x11: case 0x25: case 0x29: return {Size::fixed, 1};  // data1, flag, ref1, strx1, addrx1
    case 0x0d: return {Size::sleb};
    case 0x0e: case 0x17: case 0x1d: case 0x1f: return {Size::offset};  // strp, sec_offset, strp_sup, line_strp
    case 0x0f: case 0x15: case 0x1a: case 0x1b: case 0x22:
    case 0x23: return {Size::uleb};    // udata, ref_udata, strx, addrx, loclistx, rnglistx
    case 0x10: return {Size::offset};  // ref_addr (version 2: an address, of the same size here)
    case 0x16: return {Size::indirect};
    case 0x19: return {Size::fixed, 0};                                             // flag_present
    case 0x1e: return {Size::fixed, 16};
    case 0x21: return {Size::implicit};
    case 0x27: case 0x2b: return {Size::fixed, 3};                                  // strx3, addrx3
    default: return {};
  }
}

struct Attribute {
  uint64_t name, form;
  int64_t implicit = 0;
};
struct Abbreviation {
  uint64_t tag = 0;
  std::vector<Attribute> attributes;
};

class Unit {
 public:
  Unit(const VariableSections& s, uint32_t section, uint64_t offset, uint64_t begin, uint64_t end, bool wide)
      : sections_(s),
        c_{s.info, begin, end},
        wide_(wide),
        section_(section),
        offset_(offset),
        steps_(16 * (end - begin) + 4096) {}

  std::optional<SourceLine> find(const LineSections& lines) {
    if (!read_header()) return std::nullopt;
    while (c_.more()) {
      uint64_t code = c_.uleb();
      if (code == 0) continue;
      auto it = abbreviations_.find(code);
      if (it == abbreviations_.end()) return std::nullopt;
      Entry e;
      for (const Attribute& a : it->second.attributes)
        if (steps_-- == 0 || !read_attribute(a, it->second.tag, e)) return std::nullopt;
      if (it->second.tag == DW_TAG_variable && e.here && e.line) return source_file(lines, line_table_, e.file, e.line);
    }
    return std::nullopt;
  }

 private:
  struct Entry {
    bool here = false;
    uint64_t file = 0, line = 0;
  };

  // A field that a relocation may fill: an offset in another section, of this object alone.
  uint64_t section_offset() {
    const DwarfRelocation* r = relocation_at(sections_.info_relocations, c_.at);
    uint64_t v = c_.word(wide_);
    return r ? r->value : v;
  }

  bool read_header() {
    uint16_t version = c_.read<uint16_t>();
    if (version < 2 || version > 5) return false;
    uint64_t table;
    if (version == 5) {
      uint8_t kind = c_.read<uint8_t>();
      address_size_ = c_.read<uint8_t>();
      table = section_offset();
      if (kind == DW_UT_skeleton) c_.take(8);
      else if (kind != DW_UT_compile && kind != DW_UT_partial) return false;
    } else {
      table = section_offset();
      address_size_ = c_.read<uint8_t>();
    }
    return c_.ok && address_size_ == 8 && read_abbreviations(table);
  }

  bool read_abbreviations(uint64_t at) {
    Cursor a{sections_.abbrev, std::min<uint64_t>(at, sections_.abbrev.size()), sections_.abbrev.size()};
    while (uint64_t code = a.uleb()) {
      Abbreviation& x = abbreviations_[code];
      x = {a.uleb(), {}};
      a.take(1);  // has children
      for (;;) {
        Attribute t{a.uleb(), a.uleb()};
        if (form_of(t.form).size == Size::implicit) t.implicit = a.sleb();
        if (!a.ok || (!t.name && !t.form)) break;
        x.attributes.push_back(t);
      }
    }
    return a.ok;
  }

  bool read_attribute(const Attribute& a, uint64_t tag, Entry& e) {
    uint64_t form = a.form;
    for (unsigned depth = 0; form_of(form).size == Size::indirect && depth < 4; depth++) form = c_.uleb();
    const Form f = form_of(form);
    const uint64_t at = c_.at;
    uint64_t value = 0;
    switch (f.size) {
      case Size::fixed:
        if (f.bytes <= 8) {
          uint8_t raw[8] = {};
          if (c_.take(f.bytes)) std::memcpy(raw, c_.data.data() + at, f.bytes);
          value = load_le<uint64_t>(raw);
        } else {
          c_.take(f.bytes);
        }
        break;
      case Size::address: c_.take(address_size_); break;
      case Size::offset: value = section_offset(); break;
      case Size::uleb: value = c_.uleb(); break;
      case Size::sleb: value = uint64_t(c_.sleb()); break;
      case Size::string: c_.string(); break;
      case Size::implicit: value = uint64_t(a.implicit); break;
      case Size::block1: case Size::block2: case Size::block4: case Size::block: {
        uint64_t n = f.size == Size::block1   ? c_.read<uint8_t>()
                     : f.size == Size::block2 ? c_.read<uint16_t>()
                     : f.size == Size::block4 ? c_.read<uint32_t>()
                                              : c_.uleb();
        const uint64_t body = c_.at;
        if (c_.take(n) && tag == DW_TAG_variable && a.name == DW_AT_location) e.here = is_here(body, n);
        break;
      }
      case Size::indirect: case Size::bad: return false;
    }
    if (a.name == DW_AT_stmt_list && line_table_ == ~uint64_t{0}) line_table_ = value;
    if (a.name == DW_AT_addr_base && address_base_ == ~uint64_t{0}) address_base_ = value;
    if (a.name == DW_AT_decl_file) e.file = value;
    if (a.name == DW_AT_decl_line) e.line = value;
    return c_.ok;
  }

  bool is_here(uint64_t at, uint64_t n) const {
    if (n == 0) return false;
    const DwarfRelocation* r = nullptr;
    if (sections_.info[at] == DW_OP_addr && n == 1u + address_size_) {
      r = relocation_at(sections_.info_relocations, at + 1);
    } else if (sections_.info[at] == DW_OP_addrx && address_base_ != ~uint64_t{0}) {
      Cursor c{sections_.info, at + 1, at + n};
      uint64_t index = c.uleb();
      if (c.ok && c.at == at + n && index < sections_.addr.size())
        r = relocation_at(sections_.addr_relocations, address_base_ + index * address_size_);
    }
    return r && r->section == section_ && r->value == offset_;
  }

  const VariableSections& sections_;
  Cursor c_;
  bool wide_;
  uint32_t section_;
  uint64_t offset_;
  uint64_t steps_;  // attributes to go: some take no space, so that a small unit could hold any number
  uint8_t address_size_ = 8;
  uint64_t line_table_ = ~uint64_t{0}, address_base_ = ~uint64_t{0};
  std::unordered_map<uint64_t, Abbreviation> abbreviations_;
};

}  // namespace

std::optional<SourceLine> find_variable_line(const VariableSections& sections, const LineSections& lines,
                                             uint32_t section, uint64_t offset) {
  Cursor c{sections.info, 0, sections.info.size()};
  while (c.more()) {
    uint64_t length = c.read<uint32_t>();
    const bool wide = length == 0xffffffff;
    if (wide) length = c.read<uint64_t>();
    const uint64_t begin = c.at;
    if (!c.take(length)) break;
    if (auto found = Unit(sections, section, offset, begin, c.at, wide).find(lines)) return found;
  }
  return std::nullopt;
}

}  // namespace lode::formats
