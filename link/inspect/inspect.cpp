// What an ELF file contains, as LIEF sees it: a reading that shares no code with our own reader and writer, so that it
// can contradict them. The tests use the same library for the same reason (tests/support/elf_check.h).
//
// The file is turned into one tree of values (objects of named fields, lists of rows), printed by one of two printers:
// a table for people or JSON for programs. So both show the same fields, and adding a field is one line.
//
// LIEF 0.9 traps: its filtered ranges have a size() that is quadratic, so rows are only ever iterated; names of
// riscv64 relocations are unknown to it, so relocation types are printed by number where it has no name; past 65,280
// sections it silently returns none, which is reported here by comparing with the header's count.
#include "link/inspect/inspect.h"

#include <LIEF/ELF.hpp>
#include <LIEF/logging.hpp>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <vector>

namespace lode::link {
namespace {

namespace elf = LIEF::ELF;

// One cell: what the text table prints, and whether JSON takes it as a number or as a string.
struct Cell {
  std::string text;
  bool number = false;
  uint64_t value = 0;
  bool negative = false;
};
Cell word(std::string s) { return {std::move(s)}; }
Cell dec(uint64_t v) { return {fmt::format("{}", v), true, v}; }
Cell hex(uint64_t v) { return {fmt::format("{:#x}", v), true, v}; }
Cell offset(int64_t v) { return {fmt::format("{}", v), true, v < 0 ? 0 - uint64_t(v) : uint64_t(v), v < 0}; }

struct Table {
  const char* name;
  std::vector<const char*> columns;
  std::vector<std::vector<Cell>> rows;
};

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return out;
}

// LIEF's name of an enumerator in lower case, or the number where it has none.
template <class E>
std::string name_of(E e) {
  std::string s = elf::to_string(e);
  if (s.empty() || s == "UNDEFINED" || s == "UNKNOWN" || s == "Out of range") return fmt::format("{:#x}", uint64_t(e));
  return lower(s);
}

std::string segment_flags(const elf::Segment& s) {
  std::string f;
  f += s.has(elf::ELF_SEGMENT_FLAGS::PF_R) ? 'r' : '-';
  f += s.has(elf::ELF_SEGMENT_FLAGS::PF_W) ? 'w' : '-';
  f += s.has(elf::ELF_SEGMENT_FLAGS::PF_X) ? 'x' : '-';
  return f;
}

// The letters of readelf for sh_flags.
std::string section_flags(uint64_t flags) {
  static constexpr struct {
    uint64_t bit;
    char letter;
  } letters[] = {{0x1, 'W'},  {0x2, 'A'},  {0x4, 'X'},   {0x10, 'M'},  {0x20, 'S'},     {0x40, 'I'},
                 {0x80, 'L'}, {0x200, 'G'}, {0x400, 'T'}, {0x800, 'C'}, {0x200000, 'R'}, {0x80000000, 'E'}};
  std::string out;
  for (auto [bit, letter] : letters) {
    if (flags & bit) out += letter;
  }
  return out.empty() ? "-" : out;
}

const char* visibility_name(uint8_t other) {
  static constexpr const char* names[] = {"default", "internal", "hidden", "protected"};
  return names[other & 3];
}

std::string section_index_name(uint16_t index, const std::vector<std::string>& names) {
  switch (index) {
    case 0: return "undefined";
    case 0xfff1: return "absolute";
    case 0xfff2: return "common";
    default: return index < names.size() ? names[index] : fmt::format("{}", index);
  }
}

std::string relocation_name(const elf::Relocation& r) {
  if (r.architecture() == elf::ARCH::EM_X86_64) return name_of(elf::RELOC_x86_64(r.type()));
  return fmt::format("{}", r.type());
}

std::vector<Table> read_tables(const elf::Binary& b) {
  std::vector<Table> out;
  const elf::Header& h = b.header();
  out.push_back({"header", {"field", "value"}, {}});
  auto field = [&](const char* name, Cell c) { out.back().rows.push_back({word(name), std::move(c)}); };
  field("type", word(name_of(h.file_type())));
  field("machine", word(name_of(h.machine_type())));
  field("class", word(name_of(h.identity_class())));
  field("data", word(name_of(h.identity_data())));
  field("osabi", word(name_of(h.identity_os_abi())));
  field("flags", hex(h.processor_flag()));
  field("entry", hex(h.entrypoint()));
  field("segments", dec(h.numberof_segments()));
  field("sections", dec(h.numberof_sections()));

  out.push_back({"segments", {"type", "flags", "offset", "address", "file size", "memory size", "align"}, {}});
  for (const elf::Segment& s : b.segments()) {
    out.back().rows.push_back({word(name_of(s.type())), word(segment_flags(s)), hex(s.file_offset()),
                               hex(s.virtual_address()), hex(s.physical_size()), hex(s.virtual_size()),
                               hex(s.alignment())});
  }

  std::vector<std::string> section_names;
  out.push_back({"sections",
                 {"index", "name", "type", "flags", "address", "offset", "size", "entry size", "link", "info", "align"},
                 {}});
  for (const elf::Section& s : b.sections()) {
    out.back().rows.push_back({dec(section_names.size()), word(s.name()), word(name_of(s.type())),
                               word(section_flags(s.flags())), hex(s.virtual_address()), hex(s.file_offset()),
                               hex(s.size()), hex(s.entry_size()), dec(s.link()), dec(s.information()),
                               dec(s.alignment())});
    section_names.push_back(s.name());
  }

  auto symbols = [&](const char* name, auto range) {
    out.push_back({name, {"value", "size", "type", "binding", "visibility", "section", "name", "version"}, {}});
    for (const elf::Symbol& s : range) {
      std::string version;
      if (s.has_version() && s.symbol_version().has_auxiliary_version()) {
        version = s.symbol_version().symbol_version_auxiliary().name();
      }
      out.back().rows.push_back({hex(s.value()), dec(s.size()), word(name_of(s.type())), word(name_of(s.binding())),
                                 word(visibility_name(s.other())), word(section_index_name(s.shndx(), section_names)),
                                 word(s.name()), word(version)});
    }
  };
  symbols("dynamic symbols", b.dynamic_symbols());
  symbols("symbols", b.static_symbols());

  out.push_back({"dynamic", {"tag", "value", "name"}, {}});
  for (const elf::DynamicEntry& d : b.dynamic_entries()) {
    std::string name;
    if (auto* e = dynamic_cast<const elf::DynamicEntryLibrary*>(&d)) name = e->name();
    if (auto* e = dynamic_cast<const elf::DynamicSharedObject*>(&d)) name = e->name();
    if (auto* e = dynamic_cast<const elf::DynamicEntryRunPath*>(&d)) name = e->runpath();
    if (auto* e = dynamic_cast<const elf::DynamicEntryRpath*>(&d)) name = e->rpath();
    out.back().rows.push_back({word(name_of(d.tag())), hex(d.value()), word(name)});
  }

  auto relocations = [&](const char* name, auto range) {
    out.push_back({name, {"address", "type", "addend", "symbol", "section"}, {}});
    for (const elf::Relocation& r : range) {
      out.back().rows.push_back({hex(r.address()), word(relocation_name(r)), offset(r.addend()),
                                 word(r.has_symbol() ? r.symbol().name() : ""),
                                 word(r.has_section() ? r.section().name() : "")});
    }
  };
  relocations("dynamic relocations", b.dynamic_relocations());
  relocations("plt relocations", b.pltgot_relocations());
  relocations("object relocations", b.object_relocations());
  return out;
}

// Names in a file may hold any bytes: control characters are shown escaped, so that a file cannot drive the terminal.
std::string printable(std::string_view s) {
  std::string out;
  for (unsigned char c : s) {
    if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += char(c);
    }
  }
  return out;
}

// A JSON string is Unicode: bytes that are not valid UTF-8 become U+FFFD.
std::string json_string(std::string_view s) {
  std::string out = "\"";
  for (size_t i = 0; i < s.size();) {
    unsigned char c = s[i];
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    bool valid = n != 0 && i + n <= s.size();
    for (size_t k = 1; valid && k < n; k++) valid = (s[i + k] & 0xc0) == 0x80;
    if (!valid) {
      out += "\\ufffd";
      i++;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += char(c);
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += s.substr(i, n);
    }
    i += n;
  }
  return out + "\"";
}

std::string json_key(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = c == ' ' ? '_' : c;
  return "\"" + out + "\"";
}

std::string json_cell(const Cell& c) {
  return c.number ? fmt::format("{}{}", c.negative ? "-" : "", c.value) : json_string(c.text);
}

void print_text(const std::vector<Table>& tables) {
  for (const Table& t : tables) {
    if (t.rows.empty()) continue;
    fmt::print("{} ({})\n", t.name, t.rows.size());
    std::vector<size_t> width(t.columns.size());
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < t.columns.size(); i++) width[i] = std::string_view(t.columns[i]).size();
    for (const auto& row : t.rows) {
      rows.emplace_back();
      for (size_t i = 0; i < row.size(); i++) {
        rows.back().push_back(printable(row[i].text));
        width[i] = std::min<size_t>(40, std::max(width[i], rows.back()[i].size()));
      }
    }
    auto line = [&](auto&& cell) {
      std::string out;
      for (size_t i = 0; i < width.size(); i++) out += fmt::format("  {:<{}}", cell(i), width[i]);
      out.resize(out.find_last_not_of(' ') + 1);
      fmt::print("{}\n", out);
    };
    line([&](size_t i) { return std::string(t.columns[i]); });
    for (const auto& row : rows) line([&](size_t i) { return row[i]; });
    fmt::print("\n");
  }
}

void print_json(const std::vector<Table>& tables) {
  fmt::print("{{\n");
  for (size_t k = 0; k < tables.size(); k++) {
    const Table& t = tables[k];
    const char* end = k + 1 < tables.size() ? "," : "";
    if (k == 0) {  // the header is one object of named fields, all others are lists
      fmt::print("{}: {{", json_key(t.name));
      for (size_t r = 0; r < t.rows.size(); r++) {
        fmt::print("{}{}: {}", r ? ", " : "", json_key(t.rows[r][0].text), json_cell(t.rows[r][1]));
      }
      fmt::print("}}{}\n", end);
      continue;
    }
    fmt::print("{}: [", json_key(t.name));
    for (size_t r = 0; r < t.rows.size(); r++) {
      fmt::print("{}\n  {{", r ? "," : "");
      for (size_t i = 0; i < t.columns.size(); i++) {
        fmt::print("{}{}: {}", i ? ", " : "", json_key(t.columns[i]), json_cell(t.rows[r][i]));
      }
      fmt::print("}}");
    }
    fmt::print("{}]{}\n", t.rows.empty() ? "" : "\n", end);
  }
  fmt::print("}}\n");
}

int fail(std::string_view message) {
  fmt::print(stderr, "lode: error: {}\n", message);
  return 1;
}

}  // namespace

int inspect_main(std::span<const char* const> args) {
  bool json = false;
  const char* path = nullptr;
  for (std::string_view arg : args.subspan(args.empty() ? 0 : 1)) {
    if (arg == "--json") {
      json = true;
    } else if (arg == "--help") {
      fmt::print("usage: lode inspect FILE [--json]\n");
      return 0;
    } else if (arg.size() > 1 && arg[0] == '-') {
      return fail(fmt::format("inspect: unknown option {}", arg));
    } else if (path) {
      return fail("inspect: more than one file given");
    } else {
      path = arg.data();
    }
  }
  if (!path) return fail("usage: lode inspect FILE [--json]");
  LIEF::Logger::disable();
  std::FILE* f = std::fopen(path, "rb");
  if (!f) return fail(fmt::format("{}: cannot open", path));
  unsigned char magic[4] = {};
  size_t got = std::fread(magic, 1, 4, f);
  std::fclose(f);
  if (got != 4 || std::memcmp(magic, "\177ELF", 4) != 0) {
    return fail(fmt::format("{}: not an ELF file", path));
  }
  try {
    std::unique_ptr<const elf::Binary> b = elf::Parser::parse(path);
    if (!b) return fail(fmt::format("{}: not a readable ELF file", path));
    std::vector<Table> tables = read_tables(*b);
    json ? print_json(tables) : print_text(tables);
    if (b->header().numberof_sections() != tables[2].rows.size()) {
      return fail(fmt::format("{}: the header counts {} sections, {} could be read", path,
                              b->header().numberof_sections(), tables[2].rows.size()));
    }
  } catch (const std::exception& e) {
    return fail(fmt::format("{}: {}", path, e.what()));
  }
  return 0;
}

}  // namespace lode::link
