// Module-level assembly: what is made of each text is what clang makes of it: bytes, relocations, symbols.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "base/bytes.h"
#include "codegen/x86_64/module_assembler.h"
#include "formats/elf/reader.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using namespace lode::formats::elf;
using codegen::AsmObject;
using codegen::AsmObjectSymbol;

namespace {

// An object as text: sections with their bytes, relocations, symbols. Places that have no name of their own, or a local
// one, are told by section and offset.
struct Seen {
  std::map<std::string, std::string> parts;
  std::string text() const {
    std::string out;
    for (auto& [name, part] : parts) out += name + "\n" + part;
    return out;
  }
};

std::string hex(const uint8_t* p, size_t n) {
  std::string out;
  char buf[4];
  for (size_t i = 0; i < n; i++) {
    std::snprintf(buf, sizeof buf, i % 32 ? " %02x" : "\n  %02x", p[i]);
    out += buf;
  }
  return out + "\n";
}

std::string section_text(uint32_t type, uint64_t flags, uint64_t entsize, uint64_t align, const std::string& bytes) {
  return "  type " + std::to_string(type) + " flags " + std::to_string(flags) + " entsize " + std::to_string(entsize) +
         " align " + std::to_string(align) + bytes;
}

std::string symbol_text(const std::string& where, uint64_t value, uint64_t size, unsigned bind, unsigned type,
                        unsigned visibility) {
  return "  " + where + "+" + std::to_string(value) + " size " + std::to_string(size) + " bind " +
         std::to_string(bind) + " type " + std::to_string(type) + " visibility " + std::to_string(visibility) + "\n";
}

std::string plus(int64_t v) { return (v < 0 ? "" : "+") + std::to_string(v); }

Seen seen(const AsmObject& o) {
  Seen out;
  std::set<uint32_t> mentioned;
  for (const auto& s : o.sections)
    for (const auto& r : s.relocations) mentioned.insert(r.symbol);
  for (const auto& s : o.sections) {
    if (!s.type || (s.bytes.empty() && !s.size)) continue;
    const bool nobits = s.type == SHT_NOBITS;
    out.parts["section " + s.name] += section_text(
        s.type, s.flags, s.entsize, s.align,
        nobits ? " size " + std::to_string(s.size) + "\n" : hex(s.bytes.data(), s.bytes.size()));
    std::string relocations;
    for (const auto& r : s.relocations) {
      std::string target;
      int64_t addend = r.addend;
      if (r.symbol == ~0u) {
        target = o.sections[r.section].name;
      } else {
        const AsmObjectSymbol& x = o.symbols[r.symbol];
        target = x.name;
        if (x.place == AsmObjectSymbol::Place::section && x.bind == STB_LOCAL) {
          target = o.sections[x.section].name;
          addend += int64_t(x.value);
        }
      }
      relocations +=
          "  " + std::to_string(r.offset) + " type " + std::to_string(r.type) + " " + target + plus(addend) + "\n";
    }
    if (!relocations.empty()) out.parts["relocations of " + s.name] = relocations;
  }
  for (uint32_t i = 0; i < o.symbols.size(); i++) {
    const AsmObjectSymbol& x = o.symbols[i];
    using Place = AsmObjectSymbol::Place;
    if (x.name.starts_with(".L") || x.name.find('#') != std::string::npos || x.name.empty()) continue;
    if (x.place == Place::undefined && !mentioned.count(i)) continue;
    const std::string where = x.place == Place::section    ? o.sections[x.section].name
                              : x.place == Place::absolute ? "absolute"
                              : x.place == Place::common   ? "common"
                                                           : "undefined";
    out.parts["symbol " + x.name] = symbol_text(where, x.value, x.size, x.bind, x.type, x.visibility);
  }
  return out;
}

Seen seen(const ElfView& v) {
  Seen out;
  std::set<uint32_t> mentioned;
  for (const Shdr& s : v.sections) {
    if (s.type != SHT_RELA) continue;
    auto relocations = records<Rela>(v, s, "relocations");
    if (!relocations.ok()) continue;
    const std::string name(v.section_name(s.info));
    std::string text;
    for (const Rela& r : *relocations) {
      const Sym& x = v.symbols[r.sym];
      mentioned.insert(r.sym);
      const uint32_t section = v.symbol_section(r.sym);
      std::string target(v.symbol_name(x));
      int64_t addend = r.addend;
      if (x.bind() == STB_LOCAL && section && section < SHN_LORESERVE) {
        target = v.section_name(section);
        addend += int64_t(uint64_t(x.value));
      }
      text += "  " + std::to_string(r.offset) + " type " + std::to_string(r.type) + " " + target + plus(addend) + "\n";
    }
    out.parts["relocations of " + name] = text;
  }
  for (uint32_t i = 1; i < v.sections.size(); i++) {
    const Shdr& s = v.sections[i];
    const std::string name(v.section_name(i));
    if (s.type == SHT_RELA || s.type == SHT_SYMTAB || s.type == SHT_STRTAB || s.type == SHT_GROUP || !s.size ||
        name.starts_with(".llvm"))
      continue;
    const uint32_t type = name == ".eh_frame" ? uint32_t(SHT_PROGBITS) : uint32_t(s.type);
    const auto data = v.section_data(s);
    out.parts["section " + name] += section_text(
        type, uint64_t(s.flags) & ~uint64_t(SHF_GROUP), s.entsize, s.addralign,
        s.type == SHT_NOBITS ? " size " + std::to_string(s.size) + "\n" : hex(data.data(), data.size()));
  }
  for (uint32_t i = 1; i < v.symbols.size(); i++) {
    const Sym& x = v.symbols[i];
    if (x.type() == STT_SECTION || x.type() == STT_FILE) continue;
    const uint32_t section = v.symbol_section(i);
    if (section == SHN_UNDEF && !mentioned.count(i)) continue;
    if (v.symbol_name(x).starts_with(".L")) continue;
    const std::string name(v.symbol_name(x)), where = section == SHN_UNDEF    ? "undefined"
                                                      : section == SHN_ABS    ? "absolute"
                                                      : section == SHN_COMMON ? "common"
                                                                              : std::string(v.section_name(section));
    out.parts["symbol " + name] = symbol_text(where, x.value, x.size, x.bind(), x.type(), x.visibility());
  }
  return out;
}

void compare(const std::string& text) {
  INFO(text);
  test::TempDir dir;
  const std::string source = dir.write("t.s", text), object = dir.file("t.o");
  auto made = test::run({"clang-19", "-c", source, "-o", object});
  INFO(made.describe());
  REQUIRE(made.ok());
  const std::string bytes = test::read_file(object);
  auto view = ElfView::open({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  REQUIRE(view.ok());
  auto ours = x86_64::assemble_module(text);
  if (!ours.ok()) FAIL(ours.error().text());
  Seen a = seen(*ours), b = seen(*view);
  std::string differences;
  for (auto& [name, part] : b.parts)
    if (a.parts[name] != part) differences += name + "\nclang" + part + "lode" + a.parts[name];
  for (auto& [name, part] : a.parts)
    if (!b.parts.count(name) && !part.empty()) differences += name + "\nclang has none, lode" + part;
  CHECK(differences == "");
}

bool have_clang() { return test::have_tool("clang-19"); }

// The texts of the fuzzer's corpus, but the one that is of inline statements.
std::vector<std::string> corpus() {
  std::vector<std::string> texts;
  const std::string folder = std::string(LODE_TEST_DIR) + "/fuzz/corpus/assembly/";
  for (const char* name : {"branches", "relaxation", "addressing", "data", "sections", "symbols", "macros", "frames",
                           "intel", "system", "alternatives"}) {
    texts.push_back(test::read_file(folder + name + ".s"));
    INFO(name);
    REQUIRE(!texts.back().empty());
  }
  return texts;
}

}  // namespace

TEST_CASE("x86_64 module assembly: what clang makes of the corpus", "[x86_64]") {
  if (!have_clang()) LODE_SKIP("clang-19 is not installed");
  for (const std::string& text : corpus()) compare(text);
}
