// --gdb-index: a section from which gdb knows at once which unit of the debug information a name or an address belongs
// to (GDB manual, "Index Section Format", version 7). Where there are type units it is version 9: gdb before 14 takes
// what version 7 says of them for .debug_types, and leaves an index of version 9 alone.
//
// Units and their addresses come from .debug_info: of every unit the first entry is read, with its low and high address
// or its list of ranges (DWARF 2 to 5). Names come from .debug_gnu_pubnames and .debug_gnu_pubtypes, which compilers
// make with -ggnu-pubnames. gdb believes an index, so that a unit whose names are not listed would be lost to it: where
// one has no list, a warning says so and there is no index, and gdb reads everything as it would without. The same goes
// for the type units of DWARF 4; those of DWARF 5 are listed, and their names are in the lists of the units that use
// them.
//
// All of this is read after layout, from copies of the debug sections with their relocations applied: then offsets and
// addresses are those of the output. The index has no address itself; a second layout gives it its place.

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "base/bytes.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

// DWARF 5, section 7.5.6; those of the GNU extensions at the end.
enum : uint32_t {
  DW_FORM_addr = 0x01, DW_FORM_data4 = 0x06, DW_FORM_data8 = 0x07, DW_FORM_indirect = 0x16, DW_FORM_sec_offset = 0x17,
  DW_FORM_addrx = 0x1b, DW_FORM_implicit_const = 0x21, DW_FORM_rnglistx = 0x23, DW_FORM_addrx1 = 0x29,
  DW_FORM_addrx4 = 0x2c, DW_FORM_GNU_addr_index = 0x1f01,
};
enum : uint32_t {
  DW_AT_low_pc = 0x11, DW_AT_high_pc = 0x12, DW_AT_language = 0x13, DW_AT_ranges = 0x55, DW_AT_addr_base = 0x73,
  DW_AT_rnglists_base = 0x74,
};
enum : uint32_t { DW_LANG_Mips_Assembler = 0x8001 };
enum : uint8_t { DW_UT_compile = 1, DW_UT_type = 2, DW_UT_partial = 3, DW_UT_skeleton = 4, DW_UT_split_type = 6 };
enum : uint8_t {
  DW_RLE_end_of_list, DW_RLE_base_addressx, DW_RLE_startx_endx, DW_RLE_startx_length, DW_RLE_offset_pair,
  DW_RLE_base_address, DW_RLE_start_end, DW_RLE_start_length,
};

// Reads forward; past the end everything is zero and `bad` is set.
struct Cursor {
  Bytes data;
  uint64_t at = 0;
  bool bad = false;

  uint64_t fixed(unsigned bytes) {
    if (at > data.size() || data.size() - at < bytes) {
      bad = true;
      return 0;
    }
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) v |= uint64_t(data[at + i]) << (8 * i);
    at += bytes;
    return v;
  }
  uint64_t uleb() {
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
      uint64_t b = fixed(1);
      if (shift < 64) v |= (b & 0x7f) << shift;
      if (!(b & 0x80) || bad) return v;
    }
  }
  void skip(uint64_t n) {
    if (at > data.size() || n > data.size() - at) bad = true;
    else at += n;
  }
  std::string_view string() {
    uint64_t begin = at;
    while (at < data.size() && data[at]) at++;
    if (at >= data.size()) {
      bad = true;
      return {};
    }
    at++;
    return {reinterpret_cast<const char*>(data.data()) + begin, size_t(at - 1 - begin)};
  }
};

// A debug section of one object as it is in the output; `base`: its offset there.
struct Section {
  std::vector<uint8_t> body;
  uint64_t base = 0;
  bool contains(uint64_t offset) const { return offset >= base && offset - base < body.size(); }
  Cursor from(uint64_t offset) const { return {body, offset - base}; }
};

struct Range {
  uint64_t low, high;
};
struct Unit {
  uint64_t offset = 0, length = 0;
  std::vector<Range> ranges;
  bool named = false;   // its names are listed, or it has none
  bool is_type = false;
  uint64_t signature = 0, type_entry = 0;  // of a type unit; where the type is in it
};
struct Name {
  std::string_view text;
  uint32_t unit;   // in the file's units
  uint32_t flags;  // kind and whether it is static, in place
};

struct File {
  ObjectFile* object = nullptr;
  std::vector<Section> info, abbrev, ranges, rnglists, addr, names;
  std::vector<Unit> units;
  std::vector<Name> entries;
  std::string problem;  // why there can be no index
};

const Section* find(const std::vector<Section>& list, uint64_t offset) {
  for (const Section& s : list)
    if (s.contains(offset)) return &s;
  return nullptr;
}

void copy_sections(Link& link, File& file) {
  ObjectFile& f = *file.object;
  const std::pair<std::string_view, std::vector<Section>*> wanted[] = {
      {".debug_info", &file.info}, {".debug_abbrev", &file.abbrev}, {".debug_ranges", &file.ranges},
      {".debug_rnglists", &file.rnglists}, {".debug_addr", &file.addr}, {".debug_gnu_pubnames", &file.names},
      {".debug_gnu_pubtypes", &file.names},
  };
  for (uint32_t i = 1; i < f.sections.size(); i++) {
    Atom& a = link.atoms[f.atom_base + i];
    if (!a.live || a.kind != AtomKind::regular || a.out == none || !a.data) continue;
    std::string_view name = section_name(f, i);
    if (name == ".debug_types") file.problem = "has type units of DWARF 4 (-fdebug-types-section)";
    for (auto& [wanted_name, list] : wanted) {
      if (name != wanted_name) continue;
      Section s;
      s.base = a.offset;
      s.body.assign(a.data, a.data + a.size);
      if (a.reloc_count) apply_nonalloc(link, f, a, s.body.data());
      list->push_back(std::move(s));
    }
  }
}

struct UnitHeader {
  uint64_t end = 0;  // in its section
  unsigned offset_size = 4, version = 0;
  uint8_t type = DW_UT_compile;
  uint64_t abbrev = 0, signature = 0, type_entry = 0;
};

UnitHeader read_header(Cursor& c) {
  UnitHeader h;
  uint64_t length = c.fixed(4);
  if (length == 0xffffffff) {
    h.offset_size = 8;
    length = c.fixed(8);
  }
  h.end = length > c.data.size() - std::min<uint64_t>(c.at, c.data.size()) ? 0 : c.at + length;
  if (h.end == 0) c.bad = true;
  h.version = unsigned(c.fixed(2));
  if (h.version >= 5) {
    h.type = uint8_t(c.fixed(1));
    c.skip(1);
    h.abbrev = c.fixed(h.offset_size);
    if (h.type == DW_UT_skeleton) c.skip(8);
    if (h.type == DW_UT_type) {
      h.signature = c.fixed(8);
      h.type_entry = c.fixed(h.offset_size);
    }
  } else {
    h.abbrev = c.fixed(h.offset_size);
    c.skip(1);
  }
  return h;
}

// The value of an attribute, as far as it is a number; blocks and strings are passed over.
uint64_t read_form(Cursor& c, uint32_t form, const UnitHeader& h, uint64_t implicit) {
  switch (form) {
    case DW_FORM_addr: case DW_FORM_data8: case 0x14: case 0x20: case 0x24: return c.fixed(8);
    case 0x03: c.skip(c.fixed(2)); return 0;                // block2
    case 0x04: c.skip(c.fixed(4)); return 0;                // block4
    case 0x09: case 0x18: c.skip(c.uleb()); return 0;       // block, exprloc
    case 0x0a: c.skip(c.fixed(1)); return 0;                // block1
    case 0x05: case 0x12: case 0x26: case 0x2a: return c.fixed(2);
    case DW_FORM_data4: case 0x13: case 0x1c: case 0x28: case DW_FORM_addrx4: return c.fixed(4);
    case 0x27: case 0x2b: return c.fixed(3);
    case 0x0b: case 0x0c: case 0x11: case 0x25: case DW_FORM_addrx1: return c.fixed(1);
    case 0x08: c.string(); return 0;
    case 0x0e: case DW_FORM_sec_offset: case 0x1d: case 0x1f: case 0x1f20: case 0x1f21: return c.fixed(h.offset_size);
    case 0x10: return c.fixed(h.version == 2 ? 8 : h.offset_size);
    case 0x0d: case 0x0f: case 0x15: case 0x1a: case DW_FORM_addrx: case 0x22: case DW_FORM_rnglistx:
    case DW_FORM_GNU_addr_index: case 0x1f02: return c.uleb();
    case 0x19: return 1;
    case DW_FORM_implicit_const: return implicit;
    case 0x1e: c.skip(16); return 0;
    case DW_FORM_indirect: {
      uint32_t inner = uint32_t(c.uleb());
      if (inner == DW_FORM_indirect) c.bad = true;
      return c.bad ? 0 : read_form(c, inner, h, 0);
    }
    default: c.bad = true; return 0;
  }
}

struct Attribute {
  uint64_t value = 0;
  uint32_t form = 0;  // 0: not there
};
struct FirstEntry {
  Attribute low, high, ranges, addr_base, rnglists_base, language;
  bool children = false;
};

// The first entry of a unit: its abbreviation says which attributes it has.
bool read_first_entry(const File& file, Cursor& c, const UnitHeader& h, FirstEntry& entry) {
  const Section* abbrev = find(file.abbrev, h.abbrev);
  if (!abbrev) return false;
  uint64_t code = c.uleb();
  if (code == 0) return true;  // an empty unit
  Cursor a = abbrev->from(h.abbrev);
  for (;;) {
    uint64_t number = a.uleb();
    if (number == 0 || a.bad) return false;
    a.uleb();  // tag
    bool children = a.fixed(1) != 0;
    if (number == code) entry.children = children;
    for (;;) {
      uint64_t name = a.uleb(), form = a.uleb();
      uint64_t implicit = form == DW_FORM_implicit_const ? a.uleb() : 0;
      if (a.bad) return false;
      if (name == 0 && form == 0) break;
      if (number != code) continue;
      Attribute value{read_form(c, uint32_t(form), h, implicit), uint32_t(form)};
      if (c.bad) return false;
      if (name == DW_AT_low_pc) entry.low = value;
      else if (name == DW_AT_high_pc) entry.high = value;
      else if (name == DW_AT_ranges) entry.ranges = value;
      else if (name == DW_AT_language) entry.language = value;
      else if (name == DW_AT_addr_base) entry.addr_base = value;
      else if (name == DW_AT_rnglists_base) entry.rnglists_base = value;
    }
    if (number == code) return true;
  }
}

class RangeReader {
 public:
  RangeReader(const File& file, const UnitHeader& h, const FirstEntry& e) : file_(file), header_(h), entry_(e) {}

  bool read(std::vector<Range>& out) {
    uint64_t low = entry_.low.form ? address(entry_.low) : 0;
    if (entry_.ranges.form) return header_.version >= 5 ? list(low, out) : old_list(low, out);
    if (!entry_.low.form || !entry_.high.form) return true;
    bool is_address = entry_.high.form == DW_FORM_addr || is_index(entry_.high.form);
    out.push_back({low, is_address ? address(entry_.high) : low + entry_.high.value});
    return !bad_;
  }

 private:
  static bool is_index(uint32_t form) {
    return form == DW_FORM_addrx || form == DW_FORM_GNU_addr_index ||
           (form >= DW_FORM_addrx1 && form <= DW_FORM_addrx4);
  }

  uint64_t address(const Attribute& a) { return is_index(a.form) ? indexed(a.value) : a.value; }
  uint64_t indexed(uint64_t index) {
    uint64_t at = entry_.addr_base.value + 8 * index;
    const Section* s = find(file_.addr, at);
    if (!s) {
      bad_ = true;
      return 0;
    }
    Cursor c = s->from(at);
    uint64_t v = c.fixed(8);
    bad_ |= c.bad;
    return v;
  }

  // .debug_ranges: pairs of addresses up to (0, 0); (-1, X) sets the base.
  bool old_list(uint64_t base, std::vector<Range>& out) {
    const Section* s = find(file_.ranges, entry_.ranges.value);
    if (!s) return false;
    Cursor c = s->from(entry_.ranges.value);
    for (;;) {
      uint64_t low = c.fixed(8), high = c.fixed(8);
      if (c.bad) return false;
      if (low == 0 && high == 0) return true;
      if (low == ~uint64_t{0}) base = high;
      else out.push_back({base + low, base + high});
    }
  }

  bool list(uint64_t base, std::vector<Range>& out) {
    uint64_t at = entry_.ranges.value;
    if (entry_.ranges.form == DW_FORM_rnglistx) {
      uint64_t slot = entry_.rnglists_base.value + header_.offset_size * at;
      const Section* s = find(file_.rnglists, slot);
      if (!s) return false;
      Cursor c = s->from(slot);
      at = entry_.rnglists_base.value + c.fixed(header_.offset_size);
      if (c.bad) return false;
    }
    const Section* s = find(file_.rnglists, at);
    if (!s) return false;
    Cursor c = s->from(at);
    while (!c.bad && !bad_) {
      switch (c.fixed(1)) {
        case DW_RLE_end_of_list: return !c.bad;
        case DW_RLE_base_addressx: base = indexed(c.uleb()); break;
        case DW_RLE_base_address: base = c.fixed(8); break;
        case DW_RLE_startx_endx: {
          uint64_t low = indexed(c.uleb()), high = indexed(c.uleb());
          out.push_back({low, high});
          break;
        }
        case DW_RLE_startx_length: {
          uint64_t low = indexed(c.uleb());
          out.push_back({low, low + c.uleb()});
          break;
        }
        case DW_RLE_offset_pair: {
          uint64_t low = c.uleb(), high = c.uleb();
          out.push_back({base + low, base + high});
          break;
        }
        case DW_RLE_start_end: {
          uint64_t low = c.fixed(8), high = c.fixed(8);
          out.push_back({low, high});
          break;
        }
        case DW_RLE_start_length: {
          uint64_t low = c.fixed(8);
          out.push_back({low, low + c.uleb()});
          break;
        }
        default: return false;
      }
    }
    return false;
  }

  const File& file_;
  const UnitHeader& header_;
  const FirstEntry& entry_;
  bool bad_ = false;
};

void read_units(File& file) {
  for (const Section& s : file.info) {
    Cursor c{s.body};
    while (c.at < s.body.size() && file.problem.empty()) {
      Unit u;
      u.offset = s.base + c.at;
      uint64_t begin = c.at;
      UnitHeader h = read_header(c);
      if (c.bad || h.version < 2 || h.version > 5) {
        file.problem = "has debug information that cannot be read";
        return;
      }
      u.length = h.end - begin;
      FirstEntry entry;
      u.is_type = h.type == DW_UT_type;
      u.signature = h.signature;
      u.type_entry = h.type_entry;
      if (h.type == DW_UT_split_type) file.problem = "has type units that are in another file";
      else if (u.is_type) u.named = true;
      else if (!read_first_entry(file, c, h, entry) || !RangeReader(file, h, entry).read(u.ranges))
        file.problem = "has debug information that cannot be read";
      u.named |= !entry.children ||
                 entry.language.value == DW_LANG_Mips_Assembler;  // labels, which gdb has from the symbol table
      file.units.push_back(std::move(u));
      c.at = h.end;
    }
  }
}

// Sets of (offset, flags, name), one for each unit.
void read_names(File& file) {
  for (const Section& s : file.names) {
    Cursor c{s.body};
    while (c.at < s.body.size() && file.problem.empty()) {
      uint64_t length = c.fixed(4);
      const unsigned offset_size = length == 0xffffffff ? 8 : 4;  // 64-bit DWARF
      if (offset_size == 8) length = c.fixed(8);
      const uint64_t end = c.at + length;
      c.skip(2);
      uint64_t unit_offset = c.fixed(offset_size);
      c.skip(offset_size);
      auto unit =
          std::find_if(file.units.begin(), file.units.end(), [&](const Unit& u) { return u.offset == unit_offset; });
      if (c.bad || length > s.body.size() || end > s.body.size() || unit == file.units.end()) {
        file.problem = "has lists of names (.debug_gnu_pubnames) that cannot be read";
        return;
      }
      unit->named = true;
      while (c.at < end && c.fixed(offset_size) != 0) {
        uint32_t flags = uint32_t(c.fixed(1)) << 24;
        std::string_view name = c.string();
        if (c.bad) file.problem = "has lists of names (.debug_gnu_pubnames) that cannot be read";
        if (c.bad) return;
        file.entries.push_back({name, uint32_t(unit - file.units.begin()), flags});
      }
      c.at = end;
    }
  }
  for (const Unit& u : file.units)
    if (!u.named && file.problem.empty())
      file.problem = "has debug information without .debug_gnu_pubnames, which -ggnu-pubnames makes";
}

uint32_t hash_of(std::string_view name) {
  uint32_t h = 0;
  for (char ch : name) {
    auto c = uint32_t(uint8_t(ch));
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    h = h * 67 + c - 113;
  }
  return h;
}

std::vector<uint8_t> write_index(Link& link, std::vector<File>& files) {
  std::vector<Range> code;  // where code is: what was left out has no address there
  for (const OutputSection* s : link.order)
    if (s->alloc() && s->index && (s->flags & SHF_EXECINSTR)) code.push_back({s->addr, s->addr + s->size});
  std::vector<uint8_t> units, type_units, addresses, pool;
  // Units are counted through all files, type units after all others.
  uint32_t first_unit = 0, first_type = 0;
  for (const File& f : files)
    first_type += uint32_t(std::count_if(f.units.begin(), f.units.end(), [](const Unit& u) { return !u.is_type; }));
  struct Symbol {
    std::string_view name;
    std::vector<uint32_t> uses;
  };
  std::vector<Symbol> symbols;
  std::unordered_map<std::string_view, uint32_t> index;
  for (File& f : files) {
    std::vector<uint32_t> numbers;
    for (const Unit& u : f.units) {
      numbers.push_back(u.is_type ? first_type++ : first_unit++);
      if (u.is_type) {
        append_le(type_units, u.offset);
        append_le(type_units, u.type_entry);
        append_le(type_units, u.signature);
        continue;
      }
      append_le(units, u.offset);
      append_le(units, u.length);
      for (const Range& r : u.ranges) {
        if (r.low >= r.high ||
            std::none_of(code.begin(), code.end(), [&](const Range& c) { return r.low >= c.low && r.high <= c.high; }))
          continue;
        append_le(addresses, r.low);
        append_le(addresses, r.high);
        append_le(addresses, numbers.back());
      }
    }
    for (const Name& n : f.entries) {
      auto [it, fresh] = index.try_emplace(n.text, uint32_t(symbols.size()));
      if (fresh) symbols.push_back({n.text, {}});
      symbols[it->second].uses.push_back(n.flags | numbers[n.unit]);
    }
  }
  std::vector<uint32_t> vectors;
  for (Symbol& s : symbols) {
    std::sort(s.uses.begin(), s.uses.end());
    s.uses.erase(std::unique(s.uses.begin(), s.uses.end()), s.uses.end());
    vectors.push_back(uint32_t(pool.size()));
    append_le(pool, uint32_t(s.uses.size()));
    for (uint32_t use : s.uses) append_le(pool, use);
  }
  const size_t slots = std::max<size_t>(1024, std::bit_ceil(symbols.size() * 4 / 3 + 1));
  std::vector<uint32_t> table(slots * 2);
  for (size_t i = 0; i < symbols.size(); i++) {
    uint32_t h = hash_of(symbols[i].name), step = (h * 17 & uint32_t(slots - 1)) | 1;
    uint32_t slot = h & uint32_t(slots - 1);
    while (table[2 * slot] || table[2 * slot + 1]) slot = (slot + step) & uint32_t(slots - 1);
    table[2 * slot] = uint32_t(pool.size());
    table[2 * slot + 1] = vectors[i];
    for (char c : symbols[i].name) pool.push_back(uint8_t(c));
    pool.push_back(0);
  }
  std::vector<uint8_t> out;
  const bool with_types = !type_units.empty();
  const uint64_t header = with_types ? 28 : 24, types_at = header + units.size();
  const uint64_t addresses_at = types_at + type_units.size(), table_at = addresses_at + addresses.size();
  const uint64_t shortcut_at = table_at + table.size() * 4;
  const uint64_t pool_at = shortcut_at + (with_types ? 8 : 0);
  if (pool_at + pool.size() > 0xffffffffu || first_type > 0xffffff) return out;
  append_le(out, uint32_t(with_types ? 9 : 7));
  for (uint64_t v : {header, types_at, addresses_at, table_at}) append_le(out, uint32_t(v));
  if (with_types) append_le(out, uint32_t(shortcut_at));
  append_le(out, uint32_t(pool_at));
  out.insert(out.end(), units.begin(), units.end());
  out.insert(out.end(), type_units.begin(), type_units.end());
  out.insert(out.end(), addresses.begin(), addresses.end());
  for (uint32_t v : table) append_le(out, v);
  if (with_types) append_le(out, uint64_t{0});  // the shortcut to main's name and language: none, gdb looks main up
  out.insert(out.end(), pool.begin(), pool.end());
  return out;
}

}  // namespace

bool create_gdb_index(Link& link) {
  std::vector<File> files;
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::object) {
      files.emplace_back();
      files.back().object = f;
    }
  parallel_for(size_t(0), files.size(), [&](size_t i) {
    copy_sections(link, files[i]);
    if (files[i].problem.empty()) read_units(files[i]);
    if (files[i].problem.empty()) read_names(files[i]);
  });
  if (link.diag.has_errors()) return false;
  bool any = false;
  for (const File& f : files) {
    any |= !f.units.empty();
    if (f.problem.empty()) continue;
    link.diag.warning("--gdb-index: no index is made, as " + f.object->name + " " + f.problem);
    return true;
  }
  if (!any) return true;
  link.gdb_index_data = write_index(link, files);
  if (link.gdb_index_data.empty()) {
    link.diag.warning("--gdb-index: no index is made, as there is too much debug information for one");
    return true;
  }
  link.gdb_index = make_section(link, ".gdb_index", SHT_PROGBITS, 0, 4, [](Link& l, OutputSection&, uint8_t* out) {
    std::memcpy(out, l.gdb_index_data.data(), l.gdb_index_data.size());
  });
  link.gdb_index->size = link.gdb_index_data.size();
  if (!layout(link)) return false;
  assign_symbol_addresses(link);
  return !link.diag.has_errors();
}

}  // namespace lode::link::elf
