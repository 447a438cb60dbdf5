// See elf.h.
//
// The mutator trusts nothing about the file, which earlier changes may have damaged: every table is looked up anew, and
// an access that would leave the file is no access. Tables grow by being copied to the end of the file, where their
// section header then points.
#include "tests/fuzz/mutate/elf.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "formats/elf/elf.h"

namespace lode::fuzz {

namespace {

using namespace formats::elf;

// Fields of a record, for choosing one.
struct Field {
  uint8_t offset, size;
};
constexpr Field header_fields[] = {{4, 1},  {5, 1},  {7, 1},  {16, 2}, {18, 2}, {20, 4}, {24, 8}, {32, 8},
                                   {40, 8}, {48, 4}, {52, 2}, {54, 2}, {56, 2}, {58, 2}, {60, 2}, {62, 2}};
constexpr Field note_fields[] = {{0, 4}, {4, 4}, {8, 4}, {12, 4}, {16, 4}, {20, 4}, {24, 4}, {28, 4}};
constexpr Field dyn_fields[] = {{0, 8}, {8, 8}};
constexpr Field verdef_fields[] = {{0, 2}, {2, 2}, {4, 2}, {6, 2}, {8, 4}, {12, 4}, {16, 4}, {20, 4}, {24, 4}};
constexpr Field verneed_fields[] = {{0, 2},  {2, 2},  {4, 4},  {8, 4},  {12, 4},
                                    {16, 4}, {20, 2}, {22, 2}, {24, 4}, {28, 4}};
constexpr Field compression_fields[] = {{0, 4}, {4, 4}, {8, 8}, {16, 8}};

constexpr uint32_t section_types[] = {
    SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_HASH, SHT_DYNAMIC, SHT_NOTE, SHT_NOBITS, SHT_REL,
    10, SHT_DYNSYM, SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY, SHT_GROUP, SHT_SYMTAB_SHNDX, SHT_RELR,
    SHT_CREL, SHT_GNU_ATTRIBUTES, SHT_GNU_HASH, SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_GNU_VERSYM, SHT_LLVM_ADDRSIG,
    SHT_LLVM_DEPENDENT_LIBRARIES, SHT_X86_64_UNWIND, SHT_LOUSER, 0x6fff4c09, 0x6fff4c0a, 0xffffffff};
constexpr uint64_t section_flags[] = {
    SHF_WRITE,      SHF_ALLOC,        SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS, SHF_MERGE | SHF_STRINGS,
    SHF_INFO_LINK,  SHF_LINK_ORDER,   0x100,         SHF_GROUP, SHF_TLS,     SHF_COMPRESSED,
    SHF_GNU_RETAIN, SHF_X86_64_LARGE, SHF_EXCLUDE,   0x40000000};
// Names that a linker knows something about.
constexpr const char* section_names[] = {
    ".text", ".data", ".bss", ".rodata", ".eh_frame", ".init_array", ".fini_array", ".preinit_array", ".ctors",
    ".dtors.00001", ".init_array.5", ".note.gnu.property", ".note.GNU-stack", ".note.gnu.build-id",
    ".gnu.warning.callee", ".gnu.linkonce.t.callee", ".gcc_except_table", ".tbss", ".tdata", ".comment",
    ".debug_info", ".debug_str", ".debug_line", ".zdebug_info", ".eh_frame_hdr", ".dynamic", ".got", ".got.plt",
    ".plt", ".dynsym", ".interp", ".relro_padding", ".gnu.version", ".data.rel.ro", ".init", ".fini", ".jcr",
    ".ldata", ".lbss", ".lrodata", ".text.hot.x", ".text.startup", "set_of_things", ".llvmbc", ".llvm_addrsig",
    ".gnu.lto_x", ".symtab", ".strtab", ".shstrtab", ".rela.text", ".copyrel", ".tm_clone_table", ".stapsdt.base",
    ".gnu_debuglink", ".llvm.call-graph-profile", ".deplibs"};
constexpr const char* symbol_names[] = {
    "_start", "main", "callee", "_GLOBAL_OFFSET_TABLE_", "__tls_get_addr", "_DYNAMIC", "__ehdr_start", "_end", "end",
    "__bss_start", "__init_array_start", "__start_set_of_things", "__stop_set_of_things", "x@V1", "x@@V1", "x@",
    "x@@", "@V1", "callee@@V2", "__wrap_callee", "__real_callee", "_TLS_MODULE_BASE_", "__dso_handle", "_init",
    "_fini", "__rela_iplt_start", "__GNU_EH_FRAME_HDR", "__executable_start", "etext", "_edata", "__start_",
    "__start_a-b", "_ZN3fooEv", "_R", "_ZZZ", "__gmon_start__", "__cxa_finalize"};

uint64_t load_bytes(const uint8_t* p, unsigned n) {
  uint64_t v = 0;
  std::memcpy(&v, p, n);
  return v;
}
void store_bytes(uint8_t* p, unsigned n, uint64_t v) { std::memcpy(p, &v, n); }

// One object or shared library, which is the whole buffer or a member of an archive.
class Elf {
 public:
  Elf(std::vector<uint8_t>& buffer, size_t at, size_t size, Random& random)
      : buffer_(buffer), at_(at), size_(size), random_(random) {}

  bool valid() const { return size_ >= sizeof(Ehdr) && std::memcmp(bytes(), "\177ELF", 4) == 0 && shnum() > 1; }

  // Not inlined: g++ 12 then takes the object for uninitialised when it calls through a pointer to a member.
  [[gnu::noinline]] void mutate() {
    struct Kind {
      void (Elf::*change)();
      unsigned weight;
    };
    static constexpr Kind kinds[] = {
        {&Elf::change_header, 1}, {&Elf::change_section, 16}, {&Elf::change_symbol, 12}, {&Elf::change_relocation, 12},
        {&Elf::change_group, 2}, {&Elf::change_eh_frame, 5}, {&Elf::change_note, 3}, {&Elf::change_dynamic, 2},
        {&Elf::change_version, 3}, {&Elf::change_string_table, 2}, {&Elf::change_merge, 2},
        {&Elf::change_compression, 1}, {&Elf::copy_field, 5}, {&Elf::swap_records, 4}, {&Elf::rename_section, 4},
        {&Elf::rename_symbol, 3}, {&Elf::append_section, 2}, {&Elf::append_symbol, 3}, {&Elf::append_relocation, 5},
        {&Elf::use_extended_index, 1}, {&Elf::change_contents, 1}, {&Elf::append_init_array_entries, 1},
    };
    unsigned total = 0;
    for (const Kind& k : kinds) total += k.weight;
    uint64_t at = random_.below(total);
    for (const Kind& k : kinds) {
      if (at < k.weight) return (this->*k.change)();
      at -= k.weight;
    }
  }

 private:
  uint8_t* bytes() { return buffer_.data() + at_; }
  const uint8_t* bytes() const { return buffer_.data() + at_; }
  bool can_grow() const { return at_ == 0 && size_ == buffer_.size() && size_ < (1u << 20); }

  uint64_t shoff() const { return load_le<uint64_t>(bytes() + 40); }
  uint32_t shnum() const {
    uint64_t off = shoff(), n = load_le<uint16_t>(bytes() + 60);
    return off > size_ ? 0 : uint32_t(std::min<uint64_t>(n, (size_ - off) / sizeof(Shdr)));
  }
  Shdr section(uint32_t i) const { return load_le<Shdr>(bytes() + shoff() + i * sizeof(Shdr)); }
  void put_section(uint32_t i, const Shdr& s) { store_le(bytes() + shoff() + i * sizeof(Shdr), s); }
  uint32_t any_section() { return uint32_t(1 + random_.below(shnum() - 1)); }
  bool inside(const Shdr& s) const { return s.type != SHT_NOBITS && s.offset <= size_ && s.size <= size_ - s.offset; }

  // A section for which `wanted` holds and whose contents are in the file.
  template <class F>
  std::optional<uint32_t> find_section(F wanted) {
    std::vector<uint32_t> found;
    for (uint32_t i = 1; i < shnum(); i++) {
      Shdr s = section(i);
      if (inside(s) && s.size && wanted(s)) found.push_back(i);
    }
    if (found.empty()) return {};
    return random_.pick(found);
  }
  std::optional<uint32_t> find_type(uint32_t type) {
    return find_section([=](const Shdr& s) { return s.type == type; });
  }
  std::string_view name_of(const Shdr& s) const {
    uint32_t index = load_le<uint16_t>(bytes() + 62);
    if (index >= shnum()) return {};
    Shdr names = section(index);
    if (!inside(names) || s.name >= names.size) return {};
    const char* p = reinterpret_cast<const char*>(bytes() + names.offset + s.name);
    return {p, strnlen(p, names.size - s.name)};
  }
  std::optional<uint32_t> find_named(std::string_view name) {
    return find_section([&](const Shdr& s) { return name_of(s) == name; });
  }
  uint32_t symbol_table() const {
    for (uint32_t i = 1; i < shnum(); i++)
      if (Shdr s = section(i); (s.type == SHT_SYMTAB || s.type == SHT_DYNSYM) && inside(s)) return i;
    return 0;
  }
  uint32_t symbol_count() const {
    uint32_t i = symbol_table();
    return i ? uint32_t(section(i).size / sizeof(Sym)) : 0;
  }

  // Copies the contents of section `i` to the end of the file with room for `more` bytes; where those begin, if that
  // can be.
  std::optional<uint64_t> grow(uint32_t i, uint64_t more) {
    Shdr s = section(i);
    if (!can_grow() || !inside(s)) return {};
    uint64_t start = align_up(size_, 8);
    std::vector<uint8_t> body(bytes() + s.offset, bytes() + s.offset + s.size);
    buffer_.resize(start);
    buffer_.insert(buffer_.end(), body.begin(), body.end());
    buffer_.resize(buffer_.size() + more);
    size_ = buffer_.size();
    uint64_t end = start + s.size;
    s.offset = start;
    s.size = s.size + more;
    put_section(i, s);
    return end;
  }
  std::optional<uint32_t> append_string(uint32_t table, std::string_view text) {
    uint64_t old = section(table).size;
    auto at = grow(table, text.size() + 1);
    if (!at) return {};
    std::memcpy(bytes() + *at, text.data(), text.size());
    return uint32_t(old);
  }

  // A value for a field that now holds `old` and could be an offset, a size, an index or a set of flags.
  uint64_t value(uint64_t old) {
    switch (random_.below(8)) {
      case 0: return random_.boundary();
      case 1: return old + random_.below(9) - 4;
      case 2: return old ^ uint64_t{1} << random_.below(64);
      case 3: return size_ + random_.below(17) - 8;
      case 4: return shnum() + random_.below(5) - 2;
      case 5: return symbol_count() + random_.below(5) - 2;
      case 6: return random_.below(64);
      default: {
        Shdr s = section(any_section());
        return random_.one_in(2) ? s.size + random_.below(9) - 4 : s.offset + random_.below(9) - 4;
      }
    }
  }
  void change_field(uint64_t at, unsigned n) {
    if (at > size_ || n > size_ - at) return;
    store_bytes(bytes() + at, n, value(load_bytes(bytes() + at, n)));
  }
  template <size_t N>
  void change_one_of(uint64_t at, const Field (&fields)[N]) {
    Field f = random_.pick(fields);
    change_field(at + f.offset, f.size);
  }

  void change_header() { change_one_of(0, header_fields); }

  void change_section() {
    uint32_t i = any_section();
    Shdr s = section(i);
    switch (random_.below(12)) {
      case 0: s.name = uint32_t(value(s.name)); break;
      case 1: case 2: s.type = random_.one_in(8) ? uint32_t(value(s.type)) : random_.pick(section_types); break;
      case 3: case 4:
      case 5: s.flags = random_.one_in(8) ? value(s.flags) : s.flags ^ random_.pick(section_flags); break;
      case 6: s.offset = value(s.offset); break;
      case 7: s.size = value(s.size); break;
      case 8: s.link = uint32_t(value(s.link)); break;
      case 9: s.info = uint32_t(value(s.info)); break;
      case 10: s.addralign = random_.one_in(2) ? uint64_t{1} << random_.below(64) : value(s.addralign); break;
      default: s.entsize = random_.one_in(2) ? random_.below(33) : value(s.entsize); break;
    }
    put_section(i, s);
  }

  Sym changed(Sym s) {
    switch (random_.below(8)) {
      case 0: s.name = uint32_t(value(s.name)); break;
      case 1: s.info = uint8_t((s.info & 0xf0) | random_.below(16)); break;
      case 2: s.info = uint8_t((s.info & 0x0f) | random_.below(16) << 4); break;
      case 3: s.other = uint8_t(random_.one_in(4) ? random_.below(256) : random_.below(4)); break;
      case 4: case 5: {
        static constexpr uint16_t special[] = {
            SHN_UNDEF, SHN_LORESERVE, SHN_X86_64_LCOMMON, SHN_ABS, SHN_COMMON, SHN_XINDEX, 0xfeff, 0xff01};
        s.shndx = random_.one_in(2) ? random_.pick(special) : uint16_t(random_.below(shnum() + 2));
        break;
      }
      case 6: s.value = value(s.value); break;
      default: s.size = value(s.size); break;
    }
    return s;
  }
  void change_symbol() {
    uint32_t table = symbol_table();
    if (!table || symbol_count() < 2) return;
    uint64_t at = section(table).offset + (1 + random_.below(symbol_count() - 1)) * sizeof(Sym);
    store_le(bytes() + at, changed(load_le<Sym>(bytes() + at)));
  }

  Rela changed(Rela r, const Shdr& target) {
    switch (random_.below(5)) {
      case 0:
        r.offset = random_.one_in(2)   ? target.size + random_.below(20) - 10
                   : random_.one_in(2) ? random_.below(target.size)
                                       : value(r.offset);
        break;
      case 1: case 2: r.type = random_.one_in(10) ? uint32_t(value(r.type)) : uint32_t(random_.below(52)); break;
      case 3: r.sym = random_.one_in(4) ? uint32_t(value(r.sym)) : uint32_t(random_.below(symbol_count() + 1)); break;
      default: r.addend = int64_t(random_.one_in(2) ? random_.boundary() : value(uint64_t(r.addend))); break;
    }
    return r;
  }
  void change_relocation() {
    auto i = find_type(SHT_RELA);
    if (!i) return;
    Shdr s = section(*i);
    if (s.size < sizeof(Rela)) return;
    uint64_t at = s.offset + random_.below(s.size / sizeof(Rela)) * sizeof(Rela);
    Shdr target = s.info < shnum() ? section(s.info) : s;
    store_le(bytes() + at, changed(load_le<Rela>(bytes() + at), target));
  }

  void change_group() {
    auto i = find_type(SHT_GROUP);
    if (!i) return;
    Shdr s = section(*i);
    uint64_t at = s.offset + random_.below(s.size / 4) * 4;
    if (s.size < 4) return;
    store_le(bytes() + at,
             uint32_t(random_.one_in(4) ? value(load_le<uint32_t>(bytes() + at)) : random_.below(shnum() + 1)));
  }

  // A record is length (4 or, after 0xffffffff, 8 bytes), CIE id or distance to the CIE, then what its kind has.
  void change_eh_frame() {
    auto i = find_named(".eh_frame");
    if (!i) return;
    Shdr s = section(*i);
    std::vector<uint64_t> records;
    for (uint64_t at = 0; at + 8 <= s.size;) {
      records.push_back(at);
      uint64_t length = load_le<uint32_t>(bytes() + s.offset + at);
      if (length == 0 || length >= s.size) break;
      at += 4 + length;
    }
    if (records.empty()) return;
    uint64_t at = s.offset + random_.pick(records);
    switch (random_.below(4)) {
      case 0: change_field(at, 4); break;
      case 1: change_field(at + 4, 4); break;
      case 2: change_field(at + 8 + random_.below(16), 1); break;
      default: {
        static constexpr uint32_t lengths[] = {0, 1, 3, 4, 7, 8, 12, 0xfffffff0, 0xffffffff};
        if (at + 4 <= size_) store_le(bytes() + at, random_.pick(lengths));
      }
    }
  }

  void change_note() {
    if (auto i = find_type(SHT_NOTE)) change_one_of(section(*i).offset, note_fields);
  }
  void change_dynamic() {
    auto i = find_type(SHT_DYNAMIC);
    if (!i) return;
    Shdr s = section(*i);
    change_one_of(s.offset + random_.below(s.size / sizeof(Dyn)) * sizeof(Dyn), dyn_fields);
  }
  void change_version() {
    if (auto i = find_type(SHT_GNU_VERSYM); i && random_.one_in(2)) {
      Shdr s = section(*i);
      uint64_t at = s.offset + random_.below(s.size / 2) * 2;
      if (s.size >= 2)
        store_le(bytes() + at,
                 uint16_t(random_.one_in(2) ? random_.below(8) | (random_.one_in(2) ? VERSYM_HIDDEN : 0) : value(0)));
    } else if (auto d = find_type(SHT_GNU_VERDEF); d && random_.one_in(2)) {
      change_one_of(section(*d).offset + random_.below(section(*d).size / 28 + 1) * 28, verdef_fields);
    } else if (auto n = find_type(SHT_GNU_VERNEED)) {
      change_one_of(section(*n).offset + random_.below(section(*n).size / 16 + 1) * 16, verneed_fields);
    }
  }

  // Two names run into each other, one is cut, or the table does not end as it must.
  void change_string_table() {
    auto i = find_type(SHT_STRTAB);
    if (!i) return;
    Shdr s = section(*i);
    uint64_t at = s.offset + (random_.one_in(8) ? s.size - 1 : random_.below(s.size));
    static constexpr uint8_t letters[] = {0, '@', '.', '_', 'Z', 0xff, '/', ' ', '\n'};
    bytes()[at] = random_.pick(letters);
  }
  void change_merge() {
    auto i = find_section([](const Shdr& s) { return (s.flags & SHF_MERGE) != 0; });
    if (!i) return;
    Shdr s = section(*i);
    if (random_.one_in(3)) {
      s.entsize = random_.one_in(2) ? random_.below(20) : value(s.entsize);
      put_section(*i, s);
    } else {
      bytes()[s.offset + (random_.one_in(2) ? s.size - 1 : random_.below(s.size))] =
          random_.one_in(2) ? 0 : uint8_t(random_.next());
    }
  }
  void change_compression() {
    if (auto i = find_section([](const Shdr& s) { return (s.flags & SHF_COMPRESSED) != 0; }))
      change_one_of(section(*i).offset, compression_fields);
  }

  // What one record has in a field, another of its kind gets too.
  void copy_field() {
    if (random_.one_in(2)) {
      static constexpr Field fields[] = {{0, 4}, {4, 4}, {8, 8}, {24, 8}, {32, 8}, {40, 4}, {44, 4}, {48, 8}, {56, 8}};
      copy_between(shoff(), shnum(), sizeof(Shdr), random_.pick(fields));
    } else if (auto i = find_type(SHT_RELA); i && random_.one_in(2)) {
      static constexpr Field fields[] = {{0, 8}, {8, 4}, {12, 4}, {16, 8}};
      copy_between(section(*i).offset, section(*i).size / sizeof(Rela), sizeof(Rela), random_.pick(fields));
    } else if (uint32_t table = symbol_table()) {
      static constexpr Field fields[] = {{0, 4}, {4, 1}, {5, 1}, {6, 2}, {8, 8}, {16, 8}};
      copy_between(section(table).offset, symbol_count(), sizeof(Sym), random_.pick(fields));
    }
  }
  void copy_between(uint64_t at, uint64_t count, uint64_t record, Field f) {
    if (!count) return;
    uint64_t from = at + random_.below(count) * record + f.offset, to = at + random_.below(count) * record + f.offset;
    std::memmove(bytes() + to, bytes() + from, f.size);
  }

  void swap_records() {
    auto swap = [&](uint64_t at, uint64_t count, uint64_t record) {
      if (count < 2) return;
      uint8_t* a = bytes() + at + random_.below(count) * record;
      uint8_t* b = bytes() + at + random_.below(count) * record;
      if (random_.one_in(4)) std::memmove(a, b, record);
      else if (a != b) std::swap_ranges(a, a + record, b);
    };
    if (random_.one_in(3)) {
      swap(shoff(), shnum(), sizeof(Shdr));
    } else if (auto i = find_type(SHT_RELA); i && random_.one_in(2)) {
      swap(section(*i).offset, section(*i).size / sizeof(Rela), sizeof(Rela));
    } else if (uint32_t table = symbol_table()) {
      swap(section(table).offset, symbol_count(), sizeof(Sym));
    }
  }

  void rename_section() {
    uint32_t names = load_le<uint16_t>(bytes() + 62);
    if (names >= shnum() || names == 0) return;
    auto at = append_string(names, random_.pick(section_names));
    if (!at) return;
    uint32_t i = any_section();
    Shdr s = section(i);
    s.name = *at;
    put_section(i, s);
  }
  void rename_symbol() {
    uint32_t table = symbol_table();
    if (!table || symbol_count() < 2) return;
    uint32_t names = section(table).link;
    if (names >= shnum()) return;
    auto at = append_string(names, random_.pick(symbol_names));
    if (!at) return;
    uint64_t place = section(table).offset + (1 + random_.below(symbol_count() - 1)) * sizeof(Sym);
    store_le(bytes() + place, *at);
  }

  // A copy of a section's header; if that has relocations, the copy gets the same.
  void append_section() { append_header(section(any_section())); }
  std::optional<uint32_t> append_header(const Shdr& s) {
    if (!can_grow() || shnum() > 2000) return {};
    uint32_t n = shnum();
    std::vector<uint8_t> table(bytes() + shoff(), bytes() + shoff() + n * sizeof(Shdr));
    uint64_t start = align_up(size_, 8);
    buffer_.resize(start);
    buffer_.insert(buffer_.end(), table.begin(), table.end());
    buffer_.resize(buffer_.size() + sizeof(Shdr));
    size_ = buffer_.size();
    store_le(bytes() + 40, start);
    store_le(bytes() + 60, uint16_t(n + 1));
    put_section(n, s);
    return n;
  }
  void append_symbol() {
    uint32_t table = symbol_table();
    if (!table || symbol_count() < 2) return;
    Sym s = load_le<Sym>(bytes() + section(table).offset + (1 + random_.below(symbol_count() - 1)) * sizeof(Sym));
    for (uint64_t n = random_.below(4); n > 0; n--) s = changed(s);
    if (s.bind() == STB_LOCAL && !random_.one_in(4)) s.info = uint8_t(s.type() | STB_GLOBAL << 4);
    if (auto at = grow(table, sizeof(Sym))) store_le(bytes() + *at, s);
  }
  // To the relocations of a section, or, for a section without, to a new table of one.
  void append_relocation() {
    if (random_.one_in(4)) {
      uint32_t target = any_section();
      Shdr s{};
      s.type = SHT_RELA;
      s.link = symbol_table();
      s.info = target;
      s.entsize = sizeof(Rela);
      s.offset = shoff();
      auto i = append_header(s);
      if (!i) return;
      if (auto at = grow(*i, sizeof(Rela))) store_le(bytes() + *at, any_relocation(section(target)));
      return;
    }
    auto i = find_type(SHT_RELA);
    if (!i) return;
    Shdr s = section(*i);
    Shdr target = s.info < shnum() ? section(s.info) : s;
    if (auto at = grow(*i, sizeof(Rela))) store_le(bytes() + *at, any_relocation(target));
  }
  Rela any_relocation(const Shdr& target) {
    Rela r{};
    r.offset = random_.below(target.size);
    r.type = uint32_t(1 + random_.below(42));
    r.sym = uint32_t(random_.below(symbol_count()));
    r.addend = random_.one_in(2) ? -4 : int64_t(random_.boundary());
    return r;
  }

  // A symbol that says SHN_XINDEX, with a table that says which section is meant.
  void use_extended_index() {
    uint32_t table = symbol_table(), count = symbol_count();
    if (!table || count < 2) return;
    Shdr s{};
    s.type = SHT_SYMTAB_SHNDX;
    s.link = table;
    s.entsize = 4;
    s.offset = shoff();
    auto i = append_header(s);
    if (!i) return;
    uint64_t words = random_.one_in(4) ? random_.below(count) : count;
    if (auto at = grow(*i, words * 4))
      for (uint64_t k = 0; k < words; k++)
        store_le(bytes() + *at + k * 4, uint32_t(random_.one_in(8) ? value(0) : random_.below(shnum() + 1)));
    for (uint64_t n = 1 + random_.below(3); n > 0; n--) {
      uint64_t place = section(table).offset + (1 + random_.below(count - 1)) * sizeof(Sym) + 6;
      store_le(bytes() + place, uint16_t(SHN_XINDEX));
    }
  }

  void change_contents() {
    auto i = find_section([](const Shdr&) { return true; });
    if (!i) return;
    Shdr s = section(*i);
    for (uint64_t n = 1 + random_.below(4); n > 0; n--)
      bytes()[s.offset + random_.below(s.size)] = uint8_t(random_.next());
  }

  // Sizes that are no multiple of a pointer's, in sections that are tables of pointers.
  void append_init_array_entries() {
    auto i = find_section([](const Shdr& s) { return s.type >= SHT_INIT_ARRAY && s.type <= SHT_PREINIT_ARRAY; });
    if (i) (void)grow(*i, random_.below(24));
  }

  std::vector<uint8_t>& buffer_;
  size_t at_, size_;
  Random& random_;
};

// A member's contents, or a field of its header: what ar's text header says, or the index.
void mutate_archive(std::vector<uint8_t>& file, Random& random) {
  struct Member {
    size_t header, body, size;
  };
  std::vector<Member> members;
  for (size_t at = 8; at + 60 <= file.size();) {
    size_t size = 0;
    for (size_t k = at + 48; k < at + 58 && file[k] >= '0' && file[k] <= '9'; k++) size = size * 10 + (file[k] - '0');
    size = std::min(size, file.size() - at - 60);
    members.push_back({at, at + 60, size});
    at += 60 + size + (size & 1);
  }
  if (members.empty()) return;
  Member m = random.pick(members);
  if (random.one_in(12)) {
    file[m.header + random.below(60)] =
        random.one_in(2) ? uint8_t('0' + random.below(10)) : uint8_t(random.pick("/ #`\n9\0"));
  } else if (Elf elf(file, m.body, m.size, random); elf.valid()) {
    elf.mutate();
  } else if (m.size) {
    file[m.body + random.below(m.size)] = uint8_t(random.one_in(2) ? random.below(8) : random.next());
  }
}

}  // namespace

void mutate_elf(std::vector<uint8_t>& file, Random& random) {
  if (file.size() >= 8 &&
      (std::memcmp(file.data(), "!<arch>\n", 8) == 0 || std::memcmp(file.data(), "!<thin>\n", 8) == 0))
    return mutate_archive(file, random);
  if (Elf elf(file, 0, file.size(), random); elf.valid()) return elf.mutate();
  if (!file.empty()) file[random.below(file.size())] = uint8_t(random.next());
}

}  // namespace lode::fuzz
