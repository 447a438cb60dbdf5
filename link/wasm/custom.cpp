// Custom sections of objects in the output: those of one name are concatenated, and relocated. In object mode their
// relocations go along, against symbols of the new sections where the input's are against sections.
//
// Left out: what the linker writes itself ("linking", "reloc.*", "name", "producers", "target_features") and the
// bitcode that clang -fembed-bitcode and rustc put beside the code (".llvmbc", ".llvmcmd"), which is for the link and
// of no use after it.
//
// Debug information names functions, data and globals that are not linked, or whose comdat came from another object. In
// DWARF such an address is -1, or -2 where -1 starts a base address entry (DWARF 4, section 2.17.3).
#include <algorithm>
#include <unordered_map>

#include "link/wasm/output.h"

namespace lode::link::wasm {

namespace {

// One input's part of a custom section. Of merged strings: where each begins in the input and in the output, in order.
struct Piece {
  uint32_t file, section, offset;
  std::vector<std::pair<uint32_t, uint32_t>> strings;
};

// Strings of debug information, each once and within another one where it is its end, as wasm-ld has it. Custom
// sections have no flag that says so: the name does. False when a part does not end with a string's end: then nothing
// is merged.
bool merge_strings(const Link& l, std::vector<Piece>& pieces, Buffer& payload) {
  auto bytes_of = [&](const Piece& p) {
    const InputFile& f = l.files[p.file];
    return f.object->payload(f.object->sections[p.section]);
  };
  for (const Piece& p : pieces) {
    Bytes bytes = bytes_of(p);
    if ((!bytes.empty() && bytes.back() != 0) || !l.files[p.file].object->sections[p.section].relocs.empty())
      return false;
  }
  auto each = [&](const Piece& p, auto&& f) {
    Bytes bytes = bytes_of(p);
    for (size_t at = 0; at < bytes.size();) {
      std::string_view text(reinterpret_cast<const char*>(bytes.data()) + at);  // ends in the section, see above
      f(uint32_t(at), text);
      at += text.size() + 1;
    }
  };
  std::unordered_map<std::string_view, uint32_t> places;
  for (const Piece& p : pieces) each(p, [&](uint32_t, std::string_view text) { places.emplace(text, 0); });
  // Read backwards, the longer first where one is the other's end: then all ends of a string follow it.
  std::vector<std::string_view> order;
  for (const auto& [text, place] : places) order.push_back(text);
  std::sort(order.begin(), order.end(), [](std::string_view x, std::string_view y) {
    auto [i, j] = std::mismatch(x.rbegin(), x.rend(), y.rbegin(), y.rend());
    if (i == x.rend() || j == y.rend()) return x.size() > y.size();
    return uint8_t(*i) < uint8_t(*j);
  });
  std::string_view whole;
  for (std::string_view text : order) {
    if (!payload.empty() && whole.ends_with(text)) {
      places[text] = uint32_t(payload.size() - 1 - text.size());
      continue;
    }
    whole = text;
    places[text] = uint32_t(payload.size());
    payload.insert(payload.end(), text.data(), text.data() + text.size() + 1);
  }
  for (Piece& p : pieces)
    each(p, [&](uint32_t at, std::string_view text) { p.strings.emplace_back(at, places[text]); });
  return true;
}

bool is_copied(const Link& l, std::string_view name) {
  for (std::string_view own : {"linking", "name", "producers", "target_features", ".llvmbc", ".llvmcmd"})
    if (name == own) return false;
  if (name.starts_with("reloc.")) return false;
  if (name.starts_with(".debug_")) return l.debug_kept;
  return !l.options.strip_all || std::find(l.options.keep_sections.begin(), l.options.keep_sections.end(), name) !=
                                     l.options.keep_sections.end();
}

// Whether what a relocation of `file` names is not in the output.
bool is_gone(const Link& l, uint32_t file, const Symbol& s) {
  bool defined = s.state == State::defined;
  if (!defined && l.options.relocatable) return !s.live;
  switch (s.kind) {
    case SymbolKind::function:
      return !defined || !l.functions[s.item].live || l.functions[s.item].discarded || s.file != file;
    case SymbolKind::data:
      return !defined || (s.item != none && (!l.segments[s.item].live || l.segments[s.item].discarded));
    case SymbolKind::global: return defined ? !l.globals[s.item].live || l.globals[s.item].discarded : !s.imported;
    case SymbolKind::table: return defined ? !l.tables[s.item].live : !s.imported;
    case SymbolKind::tag: return defined ? !l.tags[s.item].live || l.tags[s.item].discarded : !s.imported;
    default: return false;
  }
}

}  // namespace

std::vector<CustomSection> custom_sections(const Link& l) {
  std::vector<std::pair<std::string_view, std::vector<Piece>>> all;
  for (uint32_t n = 0; n < l.files.size(); n++) {
    const InputFile& f = l.files[n];
    if (!f.object || !f.live) continue;
    for (uint32_t s = 0; s < f.object->sections.size(); s++) {
      const fw::Section& section = f.object->sections[s];
      if (section.id != fw::SectionId::custom || !is_copied(l, section.name)) continue;
      if (uint32_t c = f.object->section_comdat[s]; c != none && l.comdats.at(f.object->comdats[c].name) != n) continue;
      auto it = std::find_if(all.begin(), all.end(), [&](auto& p) { return p.first == section.name; });
      if (it == all.end()) it = all.insert(all.end(), {section.name, {}});
      uint32_t offset = 0;
      if (!it->second.empty()) {
        const Piece& last = it->second.back();
        offset = last.offset + l.files[last.file].object->sections[last.section].size;
      }
      it->second.push_back({n, s, offset, {}});
    }
  }
  struct Place {
    const Piece* piece;
    uint32_t output;
  };
  Buffer strings;
  std::unordered_map<uint64_t, Place> by_section;
  for (uint32_t i = 0; i < all.size(); i++) {
    auto& [name, pieces] = all[i];
    if (name == ".debug_str" && l.options.optimize > 0 && !l.options.relocatable && !merge_strings(l, pieces, strings))
      strings.clear();
    for (const Piece& p : pieces) by_section.emplace(uint64_t(p.file) << 32 | p.section, Place{&p, i});
  }
  auto offset_in = [](const Piece& p, uint64_t offset) -> uint64_t {
    if (p.strings.empty()) return p.offset + offset;
    auto at = std::upper_bound(p.strings.begin(), p.strings.end(), offset,
                               [](uint64_t v, const auto& s) { return v < s.first; });
    --at;  // the first string begins at 0
    return at->second + (offset - at->first);
  };
  std::vector<CustomSection> out;
  for (auto& [name, pieces] : all) {
    CustomSection& section = out.emplace_back();
    section.name = name;
    if (name == ".debug_str" && !strings.empty()) {
      section.payload = strings;
      continue;
    }
    uint64_t dead = name == ".debug_ranges" || name == ".debug_loc" ? uint64_t(-2) : uint64_t(-1);
    for (const Piece& p : pieces) {
      const InputFile& f = l.files[p.file];
      Bytes bytes = f.object->payload(f.object->sections[p.section]);
      uint32_t start = uint32_t(section.payload.size());
      section.payload.insert(section.payload.end(), bytes.begin(), bytes.end());
      for (const fw::Reloc& r : f.object->sections[p.section].relocs) {
        const fw::RelocInfo& info = fw::info(r.type);
        OutReloc o;
        o.type = r.type;
        o.offset = start + r.offset;
        o.addend = r.addend;
        uint64_t value;
        bool gone = false;
        if (info.target == fw::RelocTarget::section_offset) {
          auto target = by_section.find(uint64_t(p.file) << 32 | f.object->symbols[r.index].element);
          gone = target == by_section.end();
          value = gone ? dead : offset_in(*target->second.piece, uint64_t(r.addend));
          o.section = gone ? none : target->second.output;
          o.addend = int64_t(value);
        } else if (info.target == fw::RelocTarget::type) {
          value = o.type_index = l.type_index[f.types[r.index]];
        } else {
          o.symbol = f.symbols[r.index];
          gone = is_gone(l, p.file, l.at(o.symbol));
          value = gone ? dead : reloc_value(l, f, r);
        }
        fw::write_field(section.payload.data() + o.offset, info.field, value);
        if (l.options.relocatable && !gone) section.relocs.push_back(o);
      }
    }
  }
  return out;
}

}  // namespace lode::link::wasm
