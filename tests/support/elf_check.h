// What must hold for every ELF file we write, checked on LIEF's reading of it, which shares no code with ours.
//
//   CHECK(lode::test::elf_problems(path).empty())   or, to see them:  CHECK(elf_report(path) == "");
//
// The rules are those of the gABI (generic ELF, "Program Header", "Dynamic Section", "Sections") and of the x86-64
// psABI, as far as they bind any correct producer; nothing here depends on our layout:
//   - PT_LOAD segments ascend, do not overlap, share no page with other permissions, are congruent (address and offset
//     equal modulo alignment) and inside the file; no segment is writable and executable;
//   - the other segments lie inside a PT_LOAD one; allocated sections lie inside exactly one, at the address their
//     offset implies, aligned, and none overlaps another; sections that are not allocated lie inside the file;
//   - defined symbols lie in their section; thread-local ones in the TLS segment; local symbols come first;
//   - dynamic entries name the addresses and sizes of the sections of their kind; the GNU hash table finds every
//     exported symbol and the versions table is parallel to the symbols;
//   - no relocation is left but dynamic ones, of dynamic types, at writable places, relative ones first as counted;
//   - .eh_frame_hdr is sorted and points at code; the entry point is code.
// For relocatable objects: sections inside the file, symbols in sections, relocations inside what they apply to.
// Iterates LIEF's ranges only: size() of its filtered ranges is quadratic.
#pragma once

#include <LIEF/ELF.hpp>
#include <LIEF/logging.hpp>
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lode::test {

namespace elf_check_detail {

namespace elf = LIEF::ELF;

inline std::string hex(uint64_t v) {
  char buf[24];
  std::snprintf(buf, sizeof buf, "%#llx", static_cast<unsigned long long>(v));
  return buf;
}

struct Checker {
  const elf::Binary& b;
  uint64_t file_size;
  std::vector<std::string> problems;
  std::vector<const elf::Section*> sections;
  std::vector<const elf::Segment*> loads;
  const elf::Segment* tls = nullptr;
  bool relocatable = false, dynamic = false;

  void bad(std::string s) {
    if (problems.size() < 50) problems.push_back(std::move(s));
  }
  void require(bool ok, const std::string& s) {
    if (!ok) bad(s);
  }

  static bool allocated(const elf::Section& s) { return s.flags() & 0x2; }
  static bool nobits(const elf::Section& s) { return s.type() == elf::ELF_SECTION_TYPES::SHT_NOBITS; }
  static bool thread_local_section(const elf::Section& s) { return s.flags() & 0x400; }
  const elf::Section* section(const char* name) const {
    for (auto* s : sections) {
      if (s->name() == name) return s;
    }
    return nullptr;
  }
  const elf::Segment* load_at(uint64_t address) const {
    for (auto* l : loads) {
      if (address >= l->virtual_address() && address - l->virtual_address() < l->virtual_size()) return l;
    }
    return nullptr;
  }

  void check_segments() {
    uint64_t end = 0;
    const elf::Segment* before = nullptr;
    for (auto* l : loads) {
      std::string at = "PT_LOAD at " + hex(l->virtual_address()) + ": ";
      uint64_t align = std::max<uint64_t>(l->alignment(), 1);
      require((align & (align - 1)) == 0, at + "alignment is not a power of two");
      require(l->virtual_address() % align == l->file_offset() % align, at + "address and offset are not congruent");
      require(l->physical_size() <= l->virtual_size(), at + "file size is over memory size");
      require(l->file_offset() + l->physical_size() <= file_size, at + "reaches past the end of the file");
      require(!before || l->virtual_address() >= end, at + "overlaps the one before or is out of order");
      if (before && before->flags() != l->flags() && end > 0) {
        require((end - 1) / 4096 < l->virtual_address() / 4096, at + "shares a page with one of other permissions");
      }
      require(!(l->has(elf::ELF_SEGMENT_FLAGS::PF_W) && l->has(elf::ELF_SEGMENT_FLAGS::PF_X)),
              at + "is writable and executable");
      end = l->virtual_address() + l->virtual_size();
      before = l;
    }
    for (const elf::Segment& s : b.segments()) {
      auto type = s.type();
      if (type == elf::SEGMENT_TYPES::PT_LOAD || type == elf::SEGMENT_TYPES::PT_GNU_STACK || s.virtual_size() == 0)
        continue;
      if (uint32_t(type) == 0x70000003 && s.virtual_address() == 0) continue;  // PT_RISCV_ATTRIBUTES: it is not loaded
      std::string at = std::string("segment ") + elf::to_string(type) + ": ";
      const elf::Segment* l = load_at(s.virtual_address());
      bool is_tls = type == elf::SEGMENT_TYPES::PT_TLS;
      // A TLS segment of only .tbss occupies no memory of the image.
      if (is_tls && s.physical_size() == 0) continue;
      require(l, at + "starts outside every PT_LOAD");
      if (!l) continue;
      if (type == elf::SEGMENT_TYPES::PT_GNU_RELRO) {
        require(l->has(elf::ELF_SEGMENT_FLAGS::PF_W), at + "starts in a segment that is not writable");
      }
      uint64_t size = is_tls ? s.physical_size() : s.virtual_size();
      require(s.virtual_address() + size <= l->virtual_address() + l->virtual_size() ||
                  type == elf::SEGMENT_TYPES::PT_GNU_RELRO,
              at + "leaves its PT_LOAD");
      require(s.virtual_address() - l->virtual_address() == s.file_offset() - l->file_offset(),
              at + "offset and address disagree with its PT_LOAD");
    }
  }

  void check_sections() {
    require(b.header().numberof_sections() == sections.size(), "not all sections could be read");
    std::vector<const elf::Section*> in_memory, in_file;
    for (auto* s : sections) {
      std::string at = "section " + s->name() + ": ";
      if (s->type() == elf::ELF_SECTION_TYPES::SHT_NULL) continue;
      uint64_t align = std::max<uint64_t>(s->alignment(), 1);
      require((align & (align - 1)) == 0, at + "alignment is not a power of two");
      require(s->link() < sections.size(), at + "sh_link is out of range");
      if (!nobits(*s)) {
        require(s->file_offset() <= file_size && s->size() <= file_size - s->file_offset(),
                at + "reaches past the end of the file");
        if (s->size()) in_file.push_back(s);
      }
      if (relocatable || !allocated(*s)) continue;
      require(s->virtual_address() % align == 0, at + "address " + hex(s->virtual_address()) + " is not aligned");
      if (s->size() == 0 || (nobits(*s) && thread_local_section(*s))) continue;
      in_memory.push_back(s);
      const elf::Segment* l = load_at(s->virtual_address());
      if (!l) {
        bad(at + "allocated outside every PT_LOAD");
        continue;
      }
      require(s->virtual_address() + s->size() <= l->virtual_address() + l->virtual_size(), at + "leaves its PT_LOAD");
      if (!nobits(*s)) {
        require(s->file_offset() - l->file_offset() == s->virtual_address() - l->virtual_address(),
                at + "offset and address disagree");
        require(s->virtual_address() + s->size() <= l->virtual_address() + l->physical_size(),
                at + "content beyond the file's part");
      }
      require(!(s->flags() & 0x1) || l->has(elf::ELF_SEGMENT_FLAGS::PF_W), at + "writable in a segment that is not");
      require(!(s->flags() & 0x4) || l->has(elf::ELF_SEGMENT_FLAGS::PF_X), at + "executable in a segment that is not");
    }
    auto overlap = [&](std::vector<const elf::Section*>& list, auto start, const char* where) {
      std::sort(list.begin(), list.end(), [&](auto* x, auto* y) { return start(x) < start(y); });
      for (size_t i = 1; i < list.size(); i++) {
        require(start(list[i - 1]) + list[i - 1]->size() <= start(list[i]),
                "sections " + list[i - 1]->name() + " and " + list[i]->name() + " overlap in " + where);
      }
    };
    overlap(in_memory, [](auto* s) { return s->virtual_address(); }, "memory");
    overlap(in_file, [](auto* s) { return s->file_offset(); }, "the file");
  }

  void check_symbol(const elf::Symbol& s) {
    uint16_t index = s.shndx();
    if (index == 0 || index >= 0xff00) return;
    std::string at = "symbol " + s.name() + ": ";
    if (index >= sections.size()) return bad(at + "section index out of range");
    const elf::Section& home = *sections[index];
    if (s.type() == elf::ELF_SYMBOL_TYPES::STT_FILE) return;
    if (s.type() == elf::ELF_SYMBOL_TYPES::STT_TLS && !relocatable) {
      require(tls && s.value() + s.size() <= tls->virtual_size(), at + "outside the TLS segment");
      return;
    }
    uint64_t base = relocatable ? 0 : home.virtual_address();
    // Symbols without a size, as _end and __start_x, may stand at or (for boundaries of a segment) past the end.
    if (s.size() == 0 && !relocatable) return;
    require(s.value() >= base && s.value() - base <= home.size() && s.size() <= home.size() - (s.value() - base),
            at + hex(s.value()) + "+" + std::to_string(s.size()) + " is not inside " + home.name());
  }
  void check_symbols() {
    uint64_t locals = 0, i = 0;
    bool global_seen = false;
    for (const elf::Symbol& s : b.static_symbols()) {
      check_symbol(s);
      if (s.binding() == elf::SYMBOL_BINDINGS::STB_LOCAL) {
        require(!global_seen, "symbol " + s.name() + ": local after global ones");
        locals = i + 1;
      } else {
        global_seen = true;
      }
      i++;
    }
    for (auto* s : sections) {
      if (s->type() == elf::ELF_SECTION_TYPES::SHT_SYMTAB) {
        require(s->information() == locals, ".symtab: sh_info is " + std::to_string(s->information()) +
                                                ", local symbols are " + std::to_string(locals));
      }
    }
    for (const elf::Symbol& s : b.dynamic_symbols()) check_symbol(s);
  }

  void check_dynamic() {
    std::map<uint64_t, uint64_t> tags;
    bool null_seen = false;
    for (const elf::DynamicEntry& d : b.dynamic_entries()) {
      tags[uint64_t(d.tag())] = d.value();
      null_seen |= uint64_t(d.tag()) == 0;
    }
    if (tags.empty()) return;
    dynamic = true;
    require(null_seen, ".dynamic is not ended by DT_NULL");
    // Each address entry, its size entry (0: none) and the section whose place it must name.
    static constexpr struct {
      uint64_t address, size;
      const char* section;
    } pairs[] = {{5, 10, ".dynstr"},          {6, 0, ".dynsym"},           {7, 8, ".rela.dyn"},
                 {23, 2, ".rela.plt"},        {25, 27, ".init_array"},     {26, 28, ".fini_array"},
                 {32, 33, ".preinit_array"},  {0x6ffffef5, 0, ".gnu.hash"}, {4, 0, ".hash"},
                 {0x6ffffff0, 0, ".gnu.version"}, {0x6ffffffe, 0, ".gnu.version_r"}, {0x6ffffffc, 0, ".gnu.version_d"}};
    for (auto [address, size, name] : pairs) {
      const elf::Section* s = section(name);
      auto it = tags.find(address);
      if (it == tags.end()) {
        // A static PIE or an executable may have such arrays without dynamic entries only if it is not dynamic.
        continue;
      }
      if (!s) {
        bad(std::string("a dynamic entry for ") + name + " without the section");
        continue;
      }
      require(it->second == s->virtual_address(), std::string(name) + ": dynamic entry says " + hex(it->second) +
                                                      ", the section is at " + hex(s->virtual_address()));
      // Producers may count .rela.plt into DT_RELASZ when the two adjoin.
      if (size && name != std::string_view(".rela.dyn")) {
        require(
            tags.contains(size) && tags[size] == s->size(),
            std::string(name) + ": dynamic entry for its size says " + hex(tags[size]) + ", it has " + hex(s->size()));
      }
    }
    if (tags.contains(7))
      require(tags.contains(8) && tags[9] == 24, "DT_RELA without DT_RELASZ or with a wrong DT_RELAENT");
    if (tags.contains(6)) require(tags[11] == 24, "DT_SYMENT is not 24");
    check_dynamic_relocations(tags.contains(0x6ffffff9) ? std::optional(tags[0x6ffffff9]) : std::nullopt,
                              tags.contains(22));
    check_gnu_hash();
    if (const elf::Section* v = section(".gnu.version"), *d = section(".dynsym"); v && d) {
      require(v->size() / 2 == d->size() / 24, ".gnu.version is not parallel to .dynsym");
    }
  }

  void check_dynamic_relocations(std::optional<uint64_t> relative_expected, bool text_relocations) {
    static const std::set<uint32_t> x86_64_types = {1, 5, 6, 7, 8, 16, 17, 18, 36, 37};
    static const std::set<uint32_t> riscv64_types = {2, 3, 4, 5, 7, 9, 11, 12, 58};
    bool x86_64 = b.header().machine_type() == elf::ARCH::EM_X86_64;
    uint32_t relative = x86_64 ? 8 : 3;
    uint64_t leading = 0;
    bool other_seen = false;
    auto one = [&](const elf::Relocation& r, bool counts) {
      // A record that says nothing, of all zeroes: room in an incremental output (R_*_NONE is 0 everywhere).
      if (r.type() == 0 && r.address() == 0) return;
      std::string at = "dynamic relocation at " + hex(r.address()) + ": ";
      require((x86_64 ? x86_64_types : riscv64_types).contains(r.type()),
              at + "type " + std::to_string(r.type()) + " is not a dynamic one");
      const elf::Segment* l = load_at(r.address());
      require(l && (text_relocations || l->has(elf::ELF_SEGMENT_FLAGS::PF_W)), at + "not at a writable place");
      if (!counts) return;
      if (r.type() == relative && !other_seen) leading++;
      if (r.type() != relative) other_seen = true;
    };
    for (const elf::Relocation& r : b.dynamic_relocations()) one(r, true);
    for (const elf::Relocation& r : b.pltgot_relocations()) one(r, false);
    require(!relative_expected || *relative_expected == leading,
            "DT_RELACOUNT is " + std::to_string(relative_expected.value_or(0)) + ", leading relative ones are " +
                std::to_string(leading));
  }

  // Looks every defined dynamic symbol up in the GNU hash table as the dynamic loader does.
  void check_gnu_hash() {
    const elf::Section* hash = section(".gnu.hash");
    const elf::Section* dynsym = section(".dynsym");
    const elf::Section* dynstr = section(".dynstr");
    if (!hash || !dynsym || !dynstr) return;
    std::vector<uint8_t> h = hash->content(), sym = dynsym->content(), str = dynstr->content();
    auto word = [&](uint64_t at) {
      uint32_t v = 0;
      if (at + 4 <= h.size()) std::memcpy(&v, h.data() + at, 4);
      return v;
    };
    uint32_t buckets = word(0), first = word(4), bloom = word(8), shift = word(12);
    uint64_t bucket_at = 16 + uint64_t(bloom) * 8, chain_at = bucket_at + uint64_t(buckets) * 4;
    require(buckets > 0 && bloom > 0 && chain_at <= h.size(), ".gnu.hash: impossible header");
    if (!buckets || !bloom || chain_at > h.size()) return;
    for (uint64_t i = 1; i < sym.size() / 24; i++) {
      uint32_t name_at;
      uint16_t shndx;
      std::memcpy(&name_at, sym.data() + i * 24, 4);
      std::memcpy(&shndx, sym.data() + i * 24 + 6, 2);
      if (shndx == 0 || sym[i * 24 + 4] >> 4 == 0 || name_at >= str.size()) continue;
      const char* name = reinterpret_cast<const char*>(str.data()) + name_at;
      uint32_t v = 5381;
      for (const char* p = name; *p; p++) v = v * 33 + uint8_t(*p);
      uint64_t filter = 0;
      std::memcpy(&filter, h.data() + 16 + (v / 64 % bloom) * 8, 8);
      bool found = (filter >> (v % 64) & 1) && (filter >> ((v >> (shift & 31)) % 64) & 1);
      if (found) {
        found = false;
        uint32_t k = word(bucket_at + uint64_t(v % buckets) * 4);
        for (; k >= first && k != 0 && chain_at + uint64_t(k - first) * 4 < h.size(); k++) {
          uint32_t c = word(chain_at + uint64_t(k - first) * 4);
          if ((c | 1) == (v | 1) && k == i) found = true;
          if (c & 1) break;
        }
      }
      require(found, std::string(".gnu.hash does not find ") + name);
    }
  }

  void check_relocations() {
    if (!relocatable) {
      for (auto* s : sections) {
        bool is_reloc = s->type() == elf::ELF_SECTION_TYPES::SHT_RELA || s->type() == elf::ELF_SECTION_TYPES::SHT_REL;
        require(!is_reloc || allocated(*s),
                "section " + s->name() + ": static relocations are left in a finished file");
      }
      return;
    }
    for (auto* s : sections) {
      if (s->type() != elf::ELF_SECTION_TYPES::SHT_RELA) continue;
      std::string at = "section " + s->name() + ": ";
      if (s->information() >= sections.size() || s->link() >= sections.size()) {
        bad(at + "sh_info or sh_link out of range");
        continue;
      }
      const elf::Section& target = *sections[s->information()];
      uint64_t symbols = sections[s->link()]->size() / 24;
      std::vector<uint8_t> content = s->content();
      for (uint64_t i = 0; i + 24 <= content.size(); i += 24) {
        uint64_t offset, info;
        std::memcpy(&offset, content.data() + i, 8);
        std::memcpy(&info, content.data() + i + 8, 8);
        require(offset < target.size(), at + "offset " + hex(offset) + " is outside " + target.name());
        require(info >> 32 < symbols, at + "symbol index out of range");
      }
    }
  }

  void check_eh_frame_hdr() {
    const elf::Section* s = section(".eh_frame_hdr");
    if (!s || relocatable) return;
    std::vector<uint8_t> c = s->content();
    auto word = [&](uint64_t at) {
      int32_t v = 0;
      if (at + 4 <= c.size()) std::memcpy(&v, c.data() + at, 4);
      return v;
    };
    if (c.size() < 8 || c[0] != 1 || c[1] != 0x1b) return bad(".eh_frame_hdr: unknown header");
    const elf::Section* frame = section(".eh_frame");
    require(frame && s->virtual_address() + 4 + int64_t(word(4)) == frame->virtual_address(),
            ".eh_frame_hdr does not point at .eh_frame");
    if (c.size() < 12 || c[2] != 0x03 || c[3] != 0x3b) return;
    uint64_t count = uint32_t(word(8));
    require(12 + count * 8 <= c.size(), ".eh_frame_hdr: table is longer than the section");
    int64_t before = INT64_MIN;
    for (uint64_t i = 0; i < count && 20 + i * 8 <= c.size(); i++) {
      int64_t pc = word(12 + i * 8);
      require(pc > before, ".eh_frame_hdr is not sorted at entry " + std::to_string(i));
      before = pc;
      const elf::Segment* l = load_at(s->virtual_address() + pc);
      require(l && l->has(elf::ELF_SEGMENT_FLAGS::PF_X),
              ".eh_frame_hdr entry " + std::to_string(i) + " is not at code");
    }
  }

  void check() {
    relocatable = b.header().file_type() == elf::E_TYPE::ET_REL;
    for (const elf::Section& s : b.sections()) sections.push_back(&s);
    bool interpreter = false;
    for (const elf::Segment& s : b.segments()) {
      if (s.type() == elf::SEGMENT_TYPES::PT_LOAD) loads.push_back(&s);
      if (s.type() == elf::SEGMENT_TYPES::PT_TLS) tls = &s;
      if (s.type() == elf::SEGMENT_TYPES::PT_INTERP) interpreter = true;
    }
    check_sections();
    check_symbols();
    check_relocations();
    if (relocatable) return require(loads.empty(), "a relocatable object with segments");
    require(!loads.empty(), "no PT_LOAD segment");
    check_segments();
    check_dynamic();
    check_eh_frame_hdr();
    if (interpreter || b.header().file_type() == elf::E_TYPE::ET_EXEC) {
      const elf::Segment* l = load_at(b.header().entrypoint());
      require(l && l->has(elf::ELF_SEGMENT_FLAGS::PF_X),
              "the entry point " + hex(b.header().entrypoint()) + " is not code");
    }
  }
};

}  // namespace elf_check_detail

// All problems of the file at `path`, at most 50; empty for a sound file.
inline std::vector<std::string> elf_problems(const std::string& path) {
  namespace d = elf_check_detail;
  LIEF::Logger::disable();
  std::error_code ec;
  uint64_t size = std::filesystem::file_size(path, ec);
  if (ec) return {path + ": cannot be read"};
  try {
    std::unique_ptr<const LIEF::ELF::Binary> b = LIEF::ELF::Parser::parse(path);
    if (!b) return {path + ": LIEF cannot parse it"};
    d::Checker c{*b, size, {}, {}, {}};
    c.check();
    return c.problems;
  } catch (const std::exception& e) {
    return {path + ": LIEF throws: " + e.what()};
  }
}

// The same as one text, a problem a line.
inline std::string elf_report(const std::string& path) {
  std::string out;
  for (const std::string& p : elf_problems(path)) out += p + "\n";
  return out;
}

}  // namespace lode::test
