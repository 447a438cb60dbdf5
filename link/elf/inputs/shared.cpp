// Reading a shared library: the names it defines and wants, their versions, its DT_SONAME and DT_NEEDED.
//
// A version other than the default one (VERSYM_HIDDEN) is visible only to references that name it, as `name@VERSION`
// (gABI extension "Symbol Versioning", LSB core part 10.7).
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/decisions.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

Result<SharedContents> read_shared(Bytes file, const Machine& machine) {
  SharedContents c;
  LODE_ASSIGN(ElfView v, ElfView::open(file));
  if (v.header->type != ET_DYN) return error("not a shared library");
  if (v.header->machine != machine.elf_machine) return wrong_machine(machine, v.header->machine);
  const Shdr *versym = nullptr, *verdef = nullptr, *dynamic = nullptr;
  for (const Shdr& s : v.sections) {
    if (s.type == SHT_GNU_VERSYM) versym = &s;
    if (s.type == SHT_GNU_VERDEF) verdef = &s;
    if (s.type == SHT_DYNAMIC) dynamic = &s;
  }
  auto strings_of = [&](const Shdr& s) -> std::string_view {
    if (s.link >= v.sections.size()) return {};
    Bytes b = v.section_data(s.link);
    if (b.empty() || b.back() != 0) return {};
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  };
  if (dynamic) {
    std::string_view strings = strings_of(*dynamic);
    LODE_ASSIGN(auto entries, records<Dyn>(v, *dynamic, "dynamic section"));
    for (const Dyn& d : entries) {
      if (d.tag == DT_NULL) break;
      if (d.tag == DT_SONAME) c.soname = std::string(ElfView::string_at(strings, d.value));
      if (d.tag == DT_AUDIT) c.audit = place_of(file, ElfView::string_at(strings, d.value));
      if (d.tag == DT_NEEDED) c.needed.push_back(place_of(file, ElfView::string_at(strings, d.value)));
    }
  }
  std::vector<uint16_t> indices;
  if (versym) {
    LODE_ASSIGN(auto words, records<uint16_t>(v, *versym, "version table"));
    indices.resize(words.size());
    std::memcpy(indices.data(), v.section_data(*versym).data(), words.size() * 2);
  }
  c.version_names.resize(2);
  if (verdef) {
    Bytes b = v.section_data(*verdef);
    std::string_view strings = strings_of(*verdef);
    for (uint64_t at = 0, guard = 0; b.size() >= sizeof(Verdef) && at <= b.size() - sizeof(Verdef) && guard < 65536;
         guard++) {
      Verdef d = load_le<Verdef>(b.data() + at);
      uint64_t aux = at + d.aux;
      uint16_t index = d.ndx & 0x7fff;
      if (aux + sizeof(Verdaux) <= b.size() && !(d.flags & VER_FLG_BASE)) {
        if (c.version_names.size() <= index) c.version_names.resize(index + 1u);
        c.version_names[index] = place_of(file, ElfView::string_at(strings, load_le<Verdaux>(b.data() + aux).name));
      }
      if (!d.next) break;
      at += d.next;
    }
  }

  uint32_t n = uint32_t(v.symbols.size());
  c.symbols.reserve(n);
  std::vector<std::pair<Sym, uint16_t>>
      hidden;  // not the default version: found by `name@VERSION` only, so after the others
  for (uint32_t i = std::max(v.first_global, 1u); i < n; i++) {
    Sym s = v.symbols[i];
    uint16_t version = i < indices.size() ? indices[i] : uint16_t(VER_NDX_GLOBAL);
    std::string_view name = v.symbol_name(v.symbols[i]);
    if (s.bind() == STB_LOCAL || name.empty()) continue;
    if (s.shndx == SHN_UNDEF) {
      version = VER_NDX_GLOBAL;
    } else {
      uint16_t index = version & 0x7fff;
      if (index == VER_NDX_LOCAL) return error("invalid version index 0 for defined symbol " + std::string(name));
      if (index >= c.version_names.size()) version = VER_NDX_GLOBAL;
      else if (version & VERSYM_HIDDEN) {
        hidden.emplace_back(s, index);
        continue;
      }
      version &= 0x7fff;
    }
    c.names.push_back(place_of(file, name, hash_name(name)));
    c.versions.push_back(version);
    c.symbols.push_back(s);
  }
  for (auto& [s, version] : hidden) {
    c.versions.push_back(version);
    c.symbols.push_back(s);
  }
  return c;
}

}  // namespace lode::link::elf
