// Only messages ask for a source line, so nothing is read before there is an error, and then from the object as it is
// in its file: the link may drop debug information (-S), or may not have looked at it yet.
//
// Code has its line in the line table; data has that of the variable's declaration. What the relocations of debug
// sections point to is taken from the object's own symbols: they are local. -r leaves one section of a name; should
// there be several line tables, each is looked into.
#include "link/elf/reports/source_lines.h"

#include <algorithm>
#include <list>
#include <optional>

#include "formats/dwarf_variable.h"

namespace lode::link::elf {

namespace {

// The contents of a section, inflated into `storage` if need be.
Bytes body_of(const ObjectFile& f, const Shdr& s, std::vector<uint8_t>& storage) {
  Bytes data = f.view.section_data(s);
  if (!(s.flags & SHF_COMPRESSED)) return data;
  uint64_t align;
  auto body = decompress(data, align);
  if (!body) return {};
  storage = std::move(*body);
  return storage;
}

std::vector<formats::DwarfRelocation> relocations_of(const ObjectFile& f, uint32_t section) {
  std::vector<formats::DwarfRelocation> out;
  for (const Shdr& s : f.sections) {
    if ((s.type != SHT_RELA && s.type != SHT_CREL) || s.info != section) continue;
    std::vector<Rela> unpacked;
    auto relas = relocation_records(f.view, s, unpacked);
    if (!relas) continue;
    for (const Rela& r : *relas)
      if (r.sym < f.syms.size())
        out.push_back({r.offset, f.section_of(r.sym), f.syms[r.sym].value + uint64_t(int64_t(r.addend))});
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  return out;
}

// The debug sections of an object, by name; each body is inflated once.
class DebugSections {
 public:
  explicit DebugSections(const ObjectFile& f) : f_(f) {
    lines.line_str = body(".debug_line_str");
    lines.str = body(".debug_str");
  }

  std::optional<formats::SourceLine> line_of_code(uint32_t section, uint64_t offset) {
    std::optional<formats::SourceLine> found;
    for_each(".debug_line", [&] {
      found = formats::find_source_line(lines, section, offset);
      return found.has_value();
    });
    return found;
  }

  std::optional<formats::SourceLine> line_of_variable(uint32_t section, uint64_t offset) {
    formats::VariableSections v;
    v.abbrev = body(".debug_abbrev");
    const uint32_t info = find(".debug_info"), addr = find(".debug_addr");
    if (!info) return std::nullopt;
    v.info = body(".debug_info");
    v.addr = body(".debug_addr");
    std::vector<formats::DwarfRelocation> info_relocations = relocations_of(f_, info),
                                          addr_relocations =
                                              addr ? relocations_of(f_, addr) : std::vector<formats::DwarfRelocation>();
    v.info_relocations = info_relocations;
    v.addr_relocations = addr_relocations;
    std::optional<formats::SourceLine> found;
    for_each(".debug_line", [&] { found = formats::find_variable_line(v, lines, section, offset); return true; });
    return found;
  }

 private:
  uint32_t find(std::string_view name, uint32_t after = 0) const {
    for (uint32_t i = after + 1; i < f_.sections.size(); i++)
      if (section_name(f_, i) == name) return i;
    return 0;
  }
  Bytes body(uint32_t section) {
    storage_.emplace_back();
    return section ? body_of(f_, f_.sections[section], storage_.back()) : Bytes();
  }
  Bytes body(std::string_view name) { return body(find(name)); }

  // Makes each section of the name the line table, until `done` says so.
  template <class F>
  void for_each(std::string_view name, F&& done) {
    for (uint32_t i = find(name); i; i = find(name, i)) {
      lines.line = body(i);
      std::vector<formats::DwarfRelocation> relocations = relocations_of(f_, i);
      lines.relocations = relocations;
      if (done()) break;
    }
  }

  const ObjectFile& f_;
  formats::LineSections lines;
  std::list<std::vector<uint8_t>> storage_;
};

// The variable that covers a place: where it begins.
std::optional<uint64_t> variable_at(const ObjectFile& f, uint32_t section, uint64_t offset) {
  for (uint32_t i = 1; i < f.syms.size(); i++) {
    const Sym& s = f.syms[i];
    if (s.type() == STT_OBJECT && f.section_of(i) == section && s.value <= offset &&
        offset - s.value < std::max(uint64_t{s.size}, uint64_t{1}))
      return uint64_t{s.value};
  }
  return std::nullopt;
}

}  // namespace

std::string source_line(const ObjectFile& f, uint32_t section, uint64_t offset) {
  if (!f.view.header || section >= f.sections.size()) return {};
  DebugSections debug(f);
  std::optional<formats::SourceLine> found;
  if (f.sections[section].flags & SHF_EXECINSTR) found = debug.line_of_code(section, offset);
  else if (auto begin = variable_at(f, section, offset)) found = debug.line_of_variable(section, *begin);
  if (!found) return {};
  std::string number = ":" + std::to_string(found->line), base = found->path.substr(found->path.rfind('/') + 1);
  return base == found->path ? base + number : base + number + " (" + found->path + number + ")";
}

}  // namespace lode::link::elf
