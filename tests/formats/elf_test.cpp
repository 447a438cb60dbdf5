// Readers of ELF, archives and linker scripts on hand-made bytes: what they accept, what they refuse, and how.
#include <catch2/catch.hpp>
#include <cstring>

#include "base/bytes.h"
#include "formats/archive.h"
#include "formats/elf/reader.h"
#include "formats/linker_script.h"

using namespace lode;
using namespace lode::formats;

namespace {

// An object of three sections: null, .strtab (names of sections and symbols), .symtab with one global.
std::vector<uint8_t> small_object() {
  using namespace elf;
  const std::string names("\0.strtab\0.symtab\0main\0", 22);
  std::vector<uint8_t> f;
  auto put = [&](size_t at, const void* data, size_t n) {
    if (f.size() < at + n) f.resize(at + n);
    std::memcpy(f.data() + at, data, n);
  };
  uint64_t strings = sizeof(Ehdr), symbols = 88, headers = symbols + 2 * sizeof(Sym);
  put(strings, names.data(), names.size());
  Sym s[2] = {};
  s[1].name = 17;
  s[1].info = STB_GLOBAL << 4 | STT_FUNC;
  s[1].shndx = uint16_t(SHN_ABS);
  s[1].value = 42;
  put(symbols, s, sizeof s);
  Shdr h[3] = {};
  h[1] = {1, SHT_STRTAB, 0, 0, strings, names.size(), 0, 0, 1, 0};
  h[2] = {9, SHT_SYMTAB, 0, 0, symbols, sizeof s, 1, 1, 8, sizeof(Sym)};
  put(headers, h, sizeof h);
  Ehdr e{};
  std::memcpy(e.ident, "\177ELF\2\1\1", 7);
  e.type = ET_REL;
  e.machine = EM_X86_64;
  e.shoff = headers;
  e.shentsize = sizeof(Shdr);
  e.shnum = 3;
  e.shstrndx = 1;
  put(0, &e, sizeof e);
  return f;
}

std::string member(std::string name, const std::string& body) {
  std::string h = name;
  h.resize(48, ' ');
  std::string size = std::to_string(body.size());
  size.resize(10, ' ');
  std::string m = h + size + "`\n" + body;
  if (body.size() % 2) m += '\n';
  return m;
}
std::span<const uint8_t> bytes(const std::string& s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

}  // namespace

TEST_CASE("ELF reader: a small object") {
  auto f = small_object();
  auto v = elf::ElfView::open(f);
  REQUIRE(v.ok());
  CHECK(v->sections.size() == 3);
  CHECK(v->section_name(2) == ".symtab");
  REQUIRE(v->symbols.size() == 2);
  CHECK(v->symbol_name(v->symbols[1]) == "main");
  CHECK(v->first_global == 1);
}

TEST_CASE("ELF reader: every truncation is an error or a smaller file, never a crash") {
  auto f = small_object();
  for (size_t n = 0; n < f.size(); n++) CHECK_FALSE(elf::ElfView::open(std::span(f).first(n)).ok());
}

TEST_CASE("ELF reader: what it refuses") {
  auto patch = [](size_t at, auto value) {
    auto f = small_object();
    std::memcpy(f.data() + at, &value, sizeof value);
    auto v = elf::ElfView::open(f);
    return v.ok() ? std::string() : v.error().message;
  };
  CHECK(patch(4, uint8_t(1)) == "not a 64-bit ELF file");
  CHECK(patch(5, uint8_t(2)) == "not a little-endian ELF file");
  CHECK(patch(offsetof(elf::Ehdr, shoff), uint64_t(-1)) == "section header table lies outside the file");
  CHECK(patch(offsetof(elf::Ehdr, shnum), uint16_t(60000)) == "section header table lies outside the file");
  CHECK(patch(offsetof(elf::Ehdr, shstrndx), uint16_t(9)) != "");
  CHECK(patch(offsetof(elf::Ehdr, shentsize), uint16_t(63)) != "");
}

TEST_CASE("ELF reader: compact relocations") {
  using elf::compact_relocations;
  // Three records whose offsets are multiples of four: the header is 8 * count + 4 for addends + 2 for the shift.
  const std::vector<uint8_t> packed = {
      3 << 3 | 4 | 2,
      2 << 3 | 7, 5, 1, 0x7c,         // offset 2 << 2, symbol 5, type 1, addend -4
      0x80 | 3 << 3 | 1, 9, 0x7d,     // offset + (3 + (9 << 4)) << 2, symbol - 3
      0 << 3 | 4, 0x84, 0x80, 0,      // the same place, addend + 4 in three bytes
  };
  auto relocs = compact_relocations(packed);
  REQUIRE(relocs.ok());
  REQUIRE(relocs->size() == 3);
  auto is = [&](size_t i, uint64_t offset, uint32_t symbol, uint32_t type, int64_t addend) {
    const elf::Rela r = (*relocs)[i];
    return r.offset == offset && r.sym == symbol && r.type == type && r.addend == addend;
  };
  CHECK(is(0, 8, 5, 1, -4));
  CHECK(is(1, 8 + (3 + 9 * 16) * 4, 2, 1, -4));
  CHECK(is(2, 8 + (3 + 9 * 16) * 4, 2, 1, 0));
  for (size_t n = 0; n < packed.size(); n++) CHECK(!compact_relocations({packed.data(), n}).ok());
  CHECK(compact_relocations(std::vector<uint8_t>{4})->empty());
  CHECK(!compact_relocations(std::vector<uint8_t>{1 << 3, 2 << 3 | 3, 5, 1}).ok());  // addends in the section
  CHECK(!compact_relocations(std::vector<uint8_t>{0xfc, 0xff, 0xff, 0xff, 0x0f, 0}).ok());  // more than there are bytes
}

TEST_CASE("ELF reader: compressed sections, both ways and damaged") {
  std::vector<uint8_t> body(5000);
  for (size_t i = 0; i < body.size(); i++) body[i] = uint8_t(i % 7);
  for (uint32_t type : {elf::ELFCOMPRESS_ZLIB, elf::ELFCOMPRESS_ZSTD}) {
    auto packed = elf::compress(body, type, 16, 3);
    CHECK(packed.size() < body.size());
    uint64_t align = 0;
    auto back = elf::decompress(packed, align);
    REQUIRE(back.ok());
    CHECK(*back == body);
    CHECK(align == 16);
    packed.resize(packed.size() - 5);
    CHECK_FALSE(elf::decompress(packed, align).ok());
    packed.resize(10);
    CHECK_FALSE(elf::decompress(packed, align).ok());
  }
  elf::Chdr huge{elf::ELFCOMPRESS_ZLIB, 0, uint64_t{1} << 60, 1};
  CHECK_FALSE(elf::compression_header({reinterpret_cast<uint8_t*>(&huge), sizeof huge}).ok());
}

TEST_CASE("Archive reader: long names, index, odd sizes") {
  std::string long_name = "a_rather_long_member_name.o";
  std::string index = std::string("\0\0\0\1", 4) + std::string("\0\0\0\0", 4) + std::string("foo\0", 4);
  std::string head = "!<arch>\n";
  std::string names = member("//", long_name + "/\n");
  size_t first = head.size() + member("/", index).size() + names.size();
  index[7] = char(first);
  std::string ar = head + member("/", index) + names + member("/0", "abc") + member("b.o/", "defg");
  auto a = Archive::open(bytes(ar));
  REQUIRE(a.ok());
  REQUIRE(a->members.size() == 2);
  CHECK(a->members[0].name == long_name);
  CHECK(a->members[1].name == "b.o");
  CHECK(a->members[1].data.size() == 4);
  REQUIRE(a->index.size() == 1);
  CHECK(a->index[0].name == "foo");
  CHECK(a->index[0].member == 0);
  for (size_t n = 9; n < ar.size(); n++) (void)Archive::open(bytes(ar.substr(0, n)));
  index[7] = 3;
  CHECK_FALSE(Archive::open(bytes(head + member("/", index) + names + member("/0", "abc"))).ok());
  CHECK_FALSE(Archive::open(bytes(head + member("/9999", "abc"))).ok());
}

TEST_CASE("Archive reader: thin archives keep paths and no data") {
  std::string ar = "!<thin>\n" + member("//", "dir/x.o/\n").substr(0);
  std::string h = "/0";
  h.resize(48, ' ');
  ar += h + "1234      `\n";
  auto a = Archive::open(bytes(ar));
  REQUIRE(a.ok());
  CHECK(a->thin);
  REQUIRE(a->members.size() == 1);
  CHECK(a->members[0].name == "dir/x.o");
  CHECK(a->members[0].data.empty());
}

TEST_CASE("Linker script: the scripts that stand for libraries") {
  auto s = parse_linker_script(
      "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nSEARCH_DIR(\"=/opt/lib\");\n"
      "GROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a  AS_NEEDED ( /lib64/ld.so -lm ) )\nfoo = bar + 4; PROVIDE(x = "
      "0x10);");
  REQUIRE(s.ok());
  REQUIRE(s->inputs.size() == 4);
  CHECK(s->inputs[0].name == "/lib/libc.so.6");
  CHECK_FALSE(s->inputs[1].as_needed);
  CHECK(s->inputs[2].as_needed);
  CHECK(s->inputs[3].is_library);
  CHECK(s->inputs[3].name == "m");
  CHECK(s->output_format == "elf64-x86-64");
  CHECK(s->search_dirs.at(0) == "=/opt/lib");
  REQUIRE(s->assignments.size() == 2);
  CHECK(s->assignments[0].expression == "bar + 4");
  CHECK(s->assignments[1].provide);
}

TEST_CASE("Linker script: errors name the line") {
  auto text = [](const char* s) {
    auto r = parse_linker_script(s);
    return r.ok() ? std::string() : r.error().text();
  };
  CHECK(text("INPUT(a\n b") == "line 2: unterminated list of inputs");
  CHECK(text("\n\nSECTIONS { }") == "line 3: linker script command SECTIONS is not supported");
  CHECK(text("/* x") == "line 1: unclosed comment");
  CHECK(text("hello world") != "");
  std::string deep;
  for (int i = 0; i < 10000; i++) deep += "AS_NEEDED(";
  CHECK(text(("INPUT(" + deep).c_str()) != "");
}

TEST_CASE("Version script: nodes, wildcards, extern blocks") {
  auto v = parse_version_script(
      "V1 { global: foo; b*r; extern \"C++\" { ns::f*; \"ns::g(int)\" }; local: *; };\nV2 { global: baz; } V1;");
  REQUIRE(v.ok());
  REQUIRE(v->nodes.size() == 2);
  CHECK(v->nodes[0].global.size() == 4);
  CHECK(v->nodes[0].global[1].is_glob);
  CHECK(v->nodes[0].global[2].is_cpp);
  CHECK_FALSE(v->nodes[0].global[3].is_glob);
  CHECK(v->nodes[0].local.size() == 1);
  CHECK(v->nodes[1].parent == "V1");
  CHECK_FALSE(parse_version_script("V1 { global: foo }").ok());
  CHECK_FALSE(parse_version_script("V1 { foo; ").ok());
  auto d = parse_dynamic_list("{ a; \"b*\"; };");
  REQUIRE(d.ok());
  CHECK(d->size() == 2);
}

TEST_CASE("Glob match") {
  CHECK(glob_match("*", ""));
  CHECK(glob_match("a*b?c", "axxbyc"));
  CHECK_FALSE(glob_match("a*b?c", "axxbc"));
  CHECK(glob_match("[a-c]x", "bx"));
  CHECK_FALSE(glob_match("[!a-c]x", "bx"));
  CHECK(glob_match("a\\*", "a*"));
  CHECK_FALSE(glob_match("[a", "a"));
  CHECK(glob_match("*a*a*a*a*a*b", std::string(2000, 'a') + "b"));
}

TEST_CASE("ELF: local symbols come first in an object; a shared library is not asked") {
  using namespace elf;
  const std::vector<uint8_t> good = small_object();
  const size_t symbol = 88 + sizeof(Sym), info = 88 + 2 * sizeof(Sym) + 2 * sizeof(Shdr) + offsetof(Shdr, info);
  REQUIRE(ElfView::open(good).ok());
  auto local = good, global = good;
  local[symbol + offsetof(Sym, info)] = STB_LOCAL << 4 | STT_FUNC;
  auto r = ElfView::open(local);
  REQUIRE(!r.ok());
  CHECK(r.error().message == "symbol 1 is local, and does not lie among the local symbols");
  global[info] = 2;
  r = ElfView::open(global);
  REQUIRE(!r.ok());
  CHECK(r.error().message == "symbol 1 is not local, and lies among the local symbols");
  local[offsetof(Ehdr, type)] = ET_DYN;
  local[info - offsetof(Shdr, info) + offsetof(Shdr, type)] = SHT_DYNSYM;
  CHECK(ElfView::open(local).ok());
}
