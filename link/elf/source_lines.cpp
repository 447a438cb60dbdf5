// Only messages ask for a source line, so nothing is read before there is an error, and then from the object as it is in its file:
// the link may drop debug information (-S), or may not have looked at it yet.
//
// Each section of that name is looked into on its own. What its relocations point to is taken from the object's own symbols; those of a line
// table are local.
#include "link/elf/source_lines.h"

#include <algorithm>

#include "formats/dwarf_line.h"

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

std::vector<formats::LineRelocation> relocations_of(const ObjectFile& f, uint32_t section) {
  std::vector<formats::LineRelocation> out;
  for (const Shdr& s : f.sections) {
    if (s.type != SHT_RELA || s.info != section) continue;
    auto relas = records<Rela>(f.view, s, "relocation section");
    if (!relas) continue;
    for (const Rela& r : *relas)
      if (r.sym < f.syms.size()) out.push_back({r.offset, f.section_of(r.sym), f.syms[r.sym].value + uint64_t(int64_t(r.addend))});
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  return out;
}

}  // namespace

std::string source_line(const ObjectFile& f, uint32_t section, uint64_t offset) {
  if (!f.view.header) return {};
  std::vector<uint8_t> line_storage, line_str_storage, str_storage;
  formats::LineSections tables;
  for (const Shdr& s : f.sections) {
    std::string_view name = ElfView::string_at(f.view.section_names, s.name);
    if (name == ".debug_line_str") tables.line_str = body_of(f, s, line_str_storage);
    if (name == ".debug_str") tables.str = body_of(f, s, str_storage);
  }
  for (uint32_t i = 1; i < f.sections.size(); i++) {
    if (section_name(f, i) != ".debug_line") continue;
    tables.line = body_of(f, f.sections[i], line_storage);
    std::vector<formats::LineRelocation> relocations = relocations_of(f, i);
    tables.relocations = relocations;
    auto found = formats::find_source_line(tables, section, offset);
    if (!found) continue;
    std::string number = ":" + std::to_string(found->line), base = found->path.substr(found->path.rfind('/') + 1);
    return base == found->path ? base + number : base + number + " (" + found->path + number + ")";
  }
  return {};
}

}  // namespace lode::link::elf
