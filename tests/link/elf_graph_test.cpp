// The passes of the ELF link by themselves: what each decides about small objects that are made in memory.
#include <catch2/catch.hpp>

#include "tests/support/link_graph.h"

using namespace lode::test;

namespace {

using Names = std::vector<std::string>;

const std::string ret = "\xc3";

// An object in which _start calls these.
ElfObject start(const Names& called = {}) {
  ElfObject o;
  std::string code;
  for (size_t k = 0; k < called.size(); k++) code += std::string("\xe8\0\0\0\0", 5);
  const uint32_t s = o.function("_start", code + ret);
  for (size_t k = 0; k < called.size(); k++) o.relocate(s, 5 * k + 1, fe::R_X86_64_PLT32, called[k], -4);
  return o;
}

// One that defines a function for each name.
ElfObject functions(const Names& names, uint8_t bind = fe::STB_GLOBAL) {
  ElfObject o;
  for (const std::string& n : names) {
    const uint32_t s = o.text(".text." + n, ret);
    o.symbol(n, s, {.size = 1, .bind = bind, .type = fe::STT_FUNC});
  }
  return o;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string word(uint64_t v) { return std::string(reinterpret_cast<const char*>(&v), 8); }

}  // namespace

// ---- resolve --------------------------------------------------------------------------------------------------------

TEST_CASE("ELF resolve: a strong definition goes before a weak one, the first weak one before the second") {
  {
    LinkGraph g;
    g.add("start.o", start({"f"}));
    for (const char* name : {"w1.o", "w2.o"}) g.add(name, functions({"f"}, fe::STB_WEAK));
    REQUIRE(g.resolve().ok());
    CHECK(g.definer("f") == "w1.o");
    CHECK(g.is_weak("f"));
  }
  for (bool first : {false, true}) {
    LinkGraph g;
    g.add("start.o", start({"f"}));
    if (first) g.add("strong.o", functions({"f"}));
    g.add("weak.o", functions({"f"}, fe::STB_WEAK));
    if (!first) g.add("strong.o", functions({"f"}));
    REQUIRE(g.resolve().ok());
    CHECK(g.definer("f") == "strong.o");
    CHECK_FALSE(g.is_weak("f"));
  }
}

TEST_CASE("ELF resolve: two strong definitions are an error that names both") {
  LinkGraph g;
  g.add("start.o", start({"f"})).add("a.o", functions({"f"})).add("b.o", functions({"f"}));
  CHECK_FALSE(g.resolve().ok());
  const std::string said = g.messages();
  INFO(said);
  CHECK((has(said, "duplicate symbol: ") && has(said, ": f\n")));
  CHECK((has(said, "a.o") && has(said, "b.o")));
}

TEST_CASE("ELF resolve: an undefined reference binds to nothing; a weak one is no error") {
  ElfObject o = start();
  o.undefined("absent", fe::STB_WEAK);
  LinkGraph g;
  REQUIRE(g.add("start.o", o).resolve().ok());
  CHECK(g.definer("absent") == "undefined");
  CHECK(g.definer("nobody") == "unknown");
}

TEST_CASE("ELF resolve: common symbols take the largest size, and give way to a definition") {
  ElfObject small = start(), large, defined;
  small.common("c", 4, 4);
  large.common("c", 24, 16);
  {
    LinkGraph g;
    REQUIRE(g.add("start.o", small).add("large.o", large).fold().ok());
    CHECK(g.is_common("c"));
    CHECK(g.size("c") == 24);
  }
  const uint32_t d = defined.data(".data.c", std::string(8, 1), 8);
  defined.symbol("c", d, {.size = 8, .type = fe::STT_OBJECT});
  for (bool first : {false, true}) {
    LinkGraph g;
    if (first) g.add("defined.o", defined);
    g.add("start.o", small);
    if (!first) g.add("defined.o", defined);
    REQUIRE(g.fold().ok());
    CHECK_FALSE(g.is_common("c"));
    CHECK(g.definer("c") == "defined.o");
  }
  LinkGraph g;  // a weak definition does not go before a common symbol
  REQUIRE(g.add("start.o", small).add("weak.o", functions({"c"}, fe::STB_WEAK)).resolve().ok());
  CHECK(g.is_common("c"));
  CHECK(g.definer("c") == "start.o");
}

TEST_CASE("ELF resolve: members of archives are taken for what is undefined, the first that has it") {
  ElfObject needs = functions({"f"});
  needs.relocate(1, 0, fe::R_X86_64_64, "g");
  const std::string first = archive_of({{"f.o", needs.bytes()}, {"unused.o", functions({"h"}).bytes()}},
                                       {{"f", 0}, {"h", 1}});
  const std::string second = archive_of({{"f2.o", functions({"f"}).bytes()}, {"g.o", functions({"g"}).bytes()}},
                                        {{"f", 0}, {"g", 1}});
  {
    LinkGraph g;
    g.add("start.o", start({"f"})).add_archive("one.a", first).add_archive("two.a", second);
    REQUIRE(g.resolve().ok());
    CHECK(g.definer("f") == "one.a(f.o)");
    CHECK(g.definer("g") == "two.a(g.o)");
    CHECK(g.definer("h") == "undefined");
    CHECK(g.files() == Names{"start.o", "one.a(f.o)", "two.a(g.o)"});
  }
  {  // what an object defines is not looked for, wherever the archive stands
    LinkGraph g;
    g.add_archive("one.a", first).add("start.o", start({"f"})).add("own.o", functions({"f"}));
    REQUIRE(g.resolve().ok());
    CHECK(g.definer("f") == "own.o");
    CHECK(g.files() == Names{"start.o", "own.o"});
  }
  {  // a weak reference takes no member
    ElfObject weak = start();
    weak.undefined("f", fe::STB_WEAK);
    LinkGraph g;
    REQUIRE(g.add("start.o", weak).add_archive("one.a", first).resolve().ok());
    CHECK(g.definer("f") == "undefined");
  }
  {
    LinkGraph g({"--whole-archive"});
    REQUIRE(g.add_archive("two.a", second).add_option("--no-whole-archive").add("start.o", start()).resolve().ok());
    CHECK(g.files() == Names{"two.a(f2.o)", "two.a(g.o)", "start.o"});
  }
}

TEST_CASE("ELF resolve: of COMDAT groups with one signature the first file's stays, with all its members") {
  auto inlined = [](const std::string& code) {
    ElfObject o;
    const uint32_t text = o.text(".text.f", code), more = o.rodata(".rodata.f", "abc");
    o.symbol("f", text, {.size = code.size(), .bind = fe::STB_WEAK, .type = fe::STT_FUNC});
    o.group("f", {text, more});
    return o;
  };
  LinkGraph g;
  g.add("start.o", start({"f"})).add("a.o", inlined(ret)).add("b.o", inlined("\x90" + ret));
  REQUIRE(g.live().ok());
  CHECK(g.definer("f") == "a.o");
  for (const char* s : {".text.f", ".rodata.f"}) {
    CHECK(g.is_live("a.o", s));
    CHECK(g.is_discarded("b.o", s));
    CHECK_FALSE(g.is_live("b.o", s));
  }
  // An object that only the archive would bring does not count before it is taken.
  LinkGraph lazy;
  lazy.add_archive("x.a", archive_of({{"m.o", inlined(ret).bytes()}}, {{"f", 0}}));
  lazy.add("start.o", start({"f"})).add("b.o", inlined(ret));
  REQUIRE(lazy.live().ok());
  CHECK(lazy.definer("f") == "b.o");
}

TEST_CASE("ELF resolve: the most constraining visibility of all files counts") {
  ElfObject hides = start();
  hides.symbol("f", fe::SHN_UNDEF, {.visibility = fe::STV_HIDDEN});
  LinkGraph g({"-shared"});
  REQUIRE(g.add("start.o", hides).add("f.o", functions({"f", "g"})).resolve().ok());
  CHECK(g.is_hidden("f"));
  CHECK_FALSE(g.is_hidden("g"));
  CHECK_FALSE(g.is_exported("f"));
  CHECK(g.is_exported("g"));
}

TEST_CASE("ELF resolve: --wrap and --defsym") {
  LinkGraph g({"--wrap=f", "--defsym=alias=h"});
  g.add("start.o", start({"f", "alias"})).add("f.o", functions({"f", "__wrap_f", "h"}));
  REQUIRE(g.resolve().ok());
  CHECK(g.definer("__wrap_f") == "f.o");
  CHECK(g.definer("alias") != "undefined");
}

// ---- versions -------------------------------------------------------------------------------------------------------

TEST_CASE("ELF versions: names, patterns and what is local") {
  LinkGraph g({"-shared"});
  g.add_option("--version-script=" + g.file("v", "V1 { global: one; t*; local: *; }; V2 { global: two; } V1;"));
  g.add("a.o", functions({"one", "two", "three", "other"}));
  REQUIRE(g.resolve().ok());
  CHECK(g.version("one") == "V1");
  CHECK(g.version("three") == "V1");
  CHECK(g.version("two") == "V2");  // a name goes before a pattern
  CHECK(g.version("other") == "local");
  CHECK(g.is_exported("one"));
  CHECK_FALSE(g.is_exported("other"));
}

// ---- live -----------------------------------------------------------------------------------------------------------

TEST_CASE("ELF live: --gc-sections keeps what the entry reaches, through any number of references") {
  ElfObject o = start({"a"});
  const uint32_t a = o.function("a", std::string(8, '\0')), b = o.data(".data.b", std::string(8, '\0'));
  o.symbol("b", b);
  o.relocate(a, 0, fe::R_X86_64_64, "b");
  o.function("dead", ret);
  const uint32_t cycle = o.data(".data.cycle", std::string(8, '\0'));
  o.symbol("cycle", cycle);
  o.relocate(cycle, 0, fe::R_X86_64_64, "cycle");
  {
    LinkGraph g({"--gc-sections"});
    REQUIRE(g.add("a.o", o).live().ok());
    for (const char* s : {".text._start", ".text.a", ".data.b"}) CHECK(g.is_live("a.o", s));
    for (const char* s : {".text.dead", ".data.cycle"}) CHECK_FALSE(g.is_live("a.o", s));
  }
  LinkGraph all;
  REQUIRE(all.add("a.o", o).live().ok());
  for (const char* s : {".text.dead", ".data.cycle"}) CHECK(all.is_live("a.o", s));
}

TEST_CASE("ELF live: roots are -u, arrays of initialisers, retained sections and what __start_ names") {
  ElfObject o = start({"count"});
  for (const char* n : {"wanted", "unwanted"}) o.function(n, ret);
  const uint32_t init = o.section(".init_array", std::string(8, '\0'),
                                  {.type = fe::SHT_INIT_ARRAY, .flags = fe::SHF_ALLOC | fe::SHF_WRITE, .align = 8});
  o.function("initialiser", ret);
  o.relocate(init, 0, fe::R_X86_64_64, "initialiser");
  o.section("kept", "x", {.flags = fe::SHF_ALLOC | fe::SHF_GNU_RETAIN});
  o.section("dropped", "x", {.flags = fe::SHF_ALLOC});
  o.section("list", "x", {.flags = fe::SHF_ALLOC});
  const uint32_t count = o.function("count", std::string(8, '\0'));
  o.relocate(count, 0, fe::R_X86_64_64, "__start_list");
  LinkGraph g({"--gc-sections", "-u", "wanted"});
  REQUIRE(g.add("a.o", o).live().ok());
  for (const char* s : {".text.wanted", ".init_array", ".text.initialiser", "kept", "list"}) {
    INFO(s);
    CHECK(g.is_live("a.o", s));
  }
  for (const char* s : {".text.unwanted", "dropped"}) CHECK_FALSE(g.is_live("a.o", s));
}

TEST_CASE("ELF live: a shared library keeps what it exports") {
  ElfObject o = functions({"exported"});
  const uint32_t s = o.text(".text.inner", ret);
  o.symbol("inner", s, {.visibility = fe::STV_HIDDEN});
  LinkGraph g({"-shared", "--gc-sections"});
  REQUIRE(g.add("a.o", o).live().ok());
  CHECK(g.is_live("a.o", ".text.exported"));
  CHECK_FALSE(g.is_live("a.o", ".text.inner"));
}

// ---- icf ------------------------------------------------------------------------------------------------------------

namespace {

// f and g are equal, and h calls another one; `used` takes addresses.
ElfObject equal_functions(const Names& addresses, bool table) {
  ElfObject o = start({"f", "g", "h"});
  const std::string call("\xe8\0\0\0\0\xc3", 6);
  for (const auto& [name, callee] : {std::pair("f", "one"), std::pair("g", "one"), std::pair("h", "two")})
    o.relocate(o.function(name, call), 1, fe::R_X86_64_PLT32, callee, -4);
  o.function("one", "\x90" + ret);
  o.function("two", "\x90\x90" + ret);
  const uint32_t d = o.data(".data.addresses", std::string(8 * addresses.size(), '\0'), 8);
  for (size_t k = 0; k < addresses.size(); k++) o.relocate(d, 8 * k, fe::R_X86_64_64, addresses[k]);
  if (table) o.addrsig(addresses);
  return o;
}

}  // namespace

TEST_CASE("ELF icf: functions with equal bytes and equal callees are one; others are not") {
  LinkGraph g({"--icf=all"});
  REQUIRE(g.add("a.o", equal_functions({}, true)).layout().ok());
  CHECK_FALSE(g.is_folded("a.o", ".text.f"));  // the first one stays
  CHECK(g.is_folded("a.o", ".text.g"));
  CHECK_FALSE(g.is_folded("a.o", ".text.h"));
  CHECK(g.address("f") == g.address("g"));
  CHECK(g.address("f") != g.address("h"));
  LinkGraph none;
  REQUIRE(none.add("a.o", equal_functions({}, true)).layout().ok());
  CHECK_FALSE(none.is_folded("a.o", ".text.g"));
  CHECK(none.address("f") != none.address("g"));
}

TEST_CASE("ELF icf: safe keeps apart what is compared by address, all does not") {
  for (bool table : {true, false}) {
    INFO(table);
    LinkGraph safe({"--icf=safe"}), all({"--icf=all"});
    REQUIRE(safe.add("a.o", equal_functions({"f", "g"}, table)).layout().ok());
    CHECK_FALSE(safe.is_folded("a.o", ".text.g"));
    REQUIRE(all.add("a.o", equal_functions({"f", "g"}, table)).layout().ok());
    CHECK(all.is_folded("a.o", ".text.g"));
  }
  LinkGraph kept({"--icf=all", "--keep-unique=g"});
  REQUIRE(kept.add("a.o", equal_functions({}, true)).layout().ok());
  CHECK_FALSE(kept.is_folded("a.o", ".text.g"));
}

TEST_CASE("ELF icf: functions that call themselves or each other fold with their like") {
  auto pair = [](const std::string& prefix) {
    ElfObject o;
    const std::string call("\xe8\0\0\0\0\xc3", 6);
    const std::string x = prefix + "1", y = prefix + "2";
    o.relocate(o.function(x, call), 1, fe::R_X86_64_PLT32, y, -4);
    o.relocate(o.function(y, call + "\x90"), 1, fe::R_X86_64_PLT32, x, -4);
    o.addrsig({});
    return o;
  };
  LinkGraph g({"--icf=all"});
  g.add("start.o", start({"a1", "b1"})).add("a.o", pair("a")).add("b.o", pair("b"));
  REQUIRE(g.layout().ok());
  CHECK(g.address("a1") == g.address("b1"));
  CHECK(g.address("a2") == g.address("b2"));
  CHECK(g.address("a1") != g.address("a2"));
}

TEST_CASE("ELF icf: writable data and data with significant addresses stay") {
  ElfObject o = start();
  for (const char* n : {"w1", "w2"}) o.symbol(n, o.data(std::string(".data.") + n, word(5), 8));
  for (const char* n : {"r1", "r2", "s1", "s2"})
    o.symbol(n, o.rodata(std::string(".rodata.") + n, word(n[0]), 8), {.size = 8, .type = fe::STT_OBJECT});
  o.addrsig({"s1", "s2"});
  LinkGraph g({"--icf=all"});
  REQUIRE(g.add("a.o", o).layout().ok());
  CHECK(g.address("w1") != g.address("w2"));
  CHECK(g.address("r1") == g.address("r2"));
  CHECK(g.address("s1") != g.address("s2"));
}

// ---- merge ----------------------------------------------------------------------------------------------------------

TEST_CASE("ELF merge: equal strings of all files are one, and tails are not shared") {
  ElfObject a = start(), b;
  a.strings(".rodata.str", std::string("hello world\0other\0", 18));
  b.strings(".rodata.str", std::string("other\0world\0", 12));
  LinkGraph g;
  REQUIRE(g.add("a.o", a).add("b.o", b).layout().ok());
  const uint64_t hello = g.merged_address("a.o", ".rodata.str", 0), other = g.merged_address("a.o", ".rodata.str", 12);
  CHECK(g.merged_address("a.o", ".rodata.str", 3) == hello + 3);
  CHECK(g.merged_address("b.o", ".rodata.str", 0) == other);
  CHECK(g.merged_address("b.o", ".rodata.str", 2) == other + 2);
  const uint64_t world = g.merged_address("b.o", ".rodata.str", 6);
  CHECK((world + 6 <= hello || world >= hello + 12));
  REQUIRE(g.section(".rodata"));
  CHECK(g.section(".rodata")->size == 12 + 6 + 6);
}

TEST_CASE("ELF merge: records of a size are merged with their like, not with strings or writable data") {
  ElfObject a = start(), b;
  a.records(".rodata.cst8", word(1) + word(2), 8);
  b.records(".rodata.cst8", word(2) + word(3), 8);
  b.section(".data.records", word(2),
            {.flags = fe::SHF_ALLOC | fe::SHF_WRITE | fe::SHF_MERGE, .align = 8, .entsize = 8});
  LinkGraph g;
  REQUIRE(g.add("a.o", a).add("b.o", b).layout().ok());
  CHECK(g.merged_address("a.o", ".rodata.cst8", 8) == g.merged_address("b.o", ".rodata.cst8", 0));
  CHECK(g.merged_address("a.o", ".rodata.cst8", 0) != g.merged_address("b.o", ".rodata.cst8", 8));
  CHECK(g.merged_address("a.o", ".rodata.cst8", 0) % 8 == 0);
  CHECK(g.address_of("b.o", ".data.records") != g.merged_address("b.o", ".rodata.cst8", 0));
  CHECK(g.section(".rodata")->size == 24);
}

TEST_CASE("ELF merge: strings that nothing live refers to are left out") {
  ElfObject o = start({"f"});
  const uint32_t s = o.strings(".rodata.str", std::string("used\0unused\0", 12));
  const uint32_t f = o.function("f", std::string(8, '\0')), dead = o.function("dead", std::string(8, '\0'));
  o.relocate(f, 0, fe::R_X86_64_64, s, 0);
  o.relocate(dead, 0, fe::R_X86_64_64, s, 5);
  LinkGraph g({"--gc-sections"});
  REQUIRE(g.add("a.o", o).layout().ok());
  REQUIRE(g.section(".rodata"));
  CHECK(g.section(".rodata")->size == 5);
}

// ---- eh_frame -------------------------------------------------------------------------------------------------------

namespace {

// A CIE without augmentation and an FDE for each function, as an assembler writes them.
void unwind(ElfObject& o, const Names& functions) {
  auto u32 = [](uint32_t v) { return std::string(reinterpret_cast<const char*>(&v), 4); };
  std::string bytes = u32(20) + u32(0) + std::string("\1zR\0\1\x78\x10\1\x1b\x0c\7\x08\x90\1\0\0", 16);
  std::vector<std::pair<uint64_t, std::string>> places;
  for (const std::string& f : functions) {
    const uint32_t at = uint32_t(bytes.size());
    bytes += u32(20) + u32(at + 4) + u32(0) + u32(1) + std::string(8, '\0');
    places.emplace_back(at + 8, f);
  }
  const uint32_t s = o.section(".eh_frame", bytes, {.flags = fe::SHF_ALLOC, .align = 8});
  for (const auto& [at, f] : places) o.relocate(s, at, fe::R_X86_64_PC32, f);
}

}  // namespace

TEST_CASE("ELF eh_frame: equal CIEs are one, and dead or discarded functions lose their FDEs") {
  ElfObject a = start({"f"}), b = functions({"f", "dead"});
  unwind(a, {"_start"});
  unwind(b, {"f", "dead"});
  {
    LinkGraph g({"--gc-sections", "--eh-frame-hdr"});
    REQUIRE(g.add("a.o", a).add("b.o", b).layout().ok());
    CHECK(g.unwind_entries() == 2);
    REQUIRE(g.section(".eh_frame"));
    CHECK(g.section(".eh_frame")->size == 24 + 2 * 24 + 4);  // a CIE, two FDEs, the terminator
    REQUIRE(g.section(".eh_frame_hdr"));
    CHECK(g.section(".eh_frame_hdr")->size == 12 + 2 * 8);
  }
  LinkGraph all({"--eh-frame-hdr"});
  REQUIRE(all.add("a.o", a).add("b.o", b).layout().ok());
  CHECK(all.unwind_entries() == 3);
}

// ---- layout ---------------------------------------------------------------------------------------------------------

TEST_CASE("ELF layout: addresses are aligned, in the order of the inputs, and each permission has its segments") {
  ElfObject a = start(), b;
  a.rodata(".rodata.a", std::string(3, 'a'));
  b.rodata(".rodata.b", std::string(5, 'b'), 64);
  a.data(".data.a", "x");
  b.zeroes(".bss.b", 100, 32);
  b.function("f", ret);
  LinkGraph g;
  REQUIRE(g.add("a.o", a).add("b.o", b).layout().ok());
  CHECK(g.address_of("b.o", ".rodata.b") % 64 == 0);
  CHECK(g.address_of("b.o", ".rodata.b") > g.address_of("a.o", ".rodata.a"));
  CHECK(g.address("f") > g.address("_start"));
  CHECK(g.address_of("b.o", ".bss.b") % 32 == 0);
  CHECK(g.section(".rodata")->align == 64);

  const Names order = g.order();
  auto place = [&](const char* name) { return std::find(order.begin(), order.end(), name) - order.begin(); };
  CHECK(place(".rodata") < place(".text"));
  CHECK(place(".text") < place(".data"));
  CHECK(place(".data") < place(".bss"));

  const std::vector<fe::Phdr> loads = g.segments();
  REQUIRE(loads.size() >= 3);
  uint64_t end = 0;
  for (const fe::Phdr& p : loads) {
    CHECK((p.flags & (fe::PF_W | fe::PF_X)) != (fe::PF_W | fe::PF_X));
    CHECK(p.vaddr % 4096 == p.offset % 4096);
    CHECK(p.vaddr / 4096 >= (end + 4095) / 4096);
    end = p.vaddr + p.memsz;
  }
  auto segment_of = [&](uint64_t address) {
    for (const fe::Phdr& p : loads)
      if (address >= p.vaddr && address < p.vaddr + p.memsz) return uint32_t(p.flags);
    return 0u;
  };
  CHECK(segment_of(g.address("f")) == (fe::PF_R | fe::PF_X));
  CHECK(segment_of(g.address_of("a.o", ".rodata.a")) == fe::PF_R);
  CHECK(segment_of(g.address_of("a.o", ".data.a")) == (fe::PF_R | fe::PF_W));
  CHECK(segment_of(g.address_of("b.o", ".bss.b")) == (fe::PF_R | fe::PF_W));
}

TEST_CASE("ELF layout: what becomes read-only comes first and ends on a page") {
  ElfObject o = start();
  o.data(".data.rel.ro", word(1), 8);
  o.data(".data", word(2), 8);
  LinkGraph g({"-z", "relro"});
  REQUIRE(g.add("a.o", o).layout().ok());
  const std::vector<fe::Phdr> relro = g.segments(fe::PT_GNU_RELRO);
  REQUIRE(relro.size() == 1);
  const uint64_t end = relro[0].vaddr + relro[0].memsz;
  CHECK(end % 4096 == 0);
  CHECK(g.address_of("a.o", ".data.rel.ro") >= relro[0].vaddr);
  CHECK(g.address_of("a.o", ".data.rel.ro") < end);
  CHECK(g.address_of("a.o", ".data") >= end);
  LinkGraph without({"-z", "norelro"});
  REQUIRE(without.add("a.o", o).layout().ok());
  CHECK(without.segments(fe::PT_GNU_RELRO).empty());
}

TEST_CASE("ELF layout: thread-local data is one segment, zeroes last, and takes no addresses for them") {
  ElfObject o = start();
  o.section(".tdata", word(1), {.flags = fe::SHF_ALLOC | fe::SHF_WRITE | fe::SHF_TLS, .align = 8});
  o.section(".tbss", "", {.type = fe::SHT_NOBITS, .flags = fe::SHF_ALLOC | fe::SHF_WRITE | fe::SHF_TLS, .align = 16,
                          .size = 0x10000});
  o.data(".data", word(2), 8);
  LinkGraph g;
  REQUIRE(g.add("a.o", o).layout().ok());
  const std::vector<fe::Phdr> tls = g.segments(fe::PT_TLS);
  REQUIRE(tls.size() == 1);
  CHECK(tls[0].filesz == 8);
  CHECK(tls[0].memsz == 16 + 0x10000);
  CHECK(tls[0].align == 16);
  CHECK(g.address_of("a.o", ".data") < tls[0].vaddr + 0x8000);
}
