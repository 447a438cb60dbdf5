// File and place in the text of messages.
#include <catch2/catch.hpp>

#include "link/common/message_place.h"

using namespace lode::link;

namespace {

size_t known(std::string_view text) {
  size_t longest = 0;
  for (std::string_view name : {"a.o", "a.o.o", "lib.a", "lib.a(m.o)", "one", "dir:x/b.air"})
    if (text.starts_with(name)) longest = std::max(longest, name.size());
  return longest;
}

struct Row {
  const char *text, *file, *place;
  uint32_t line = 0, column = 0;
};

}  // namespace

TEST_CASE("places of messages: the forms of a message") {
  const Row rows[] = {
      {"no input files", "", ""},
      {"a.o: truncated ELF header", "a.o", ""},
      {"a.o.o: truncated ELF header", "a.o.o", ""},
      {"b.o: truncated ELF header", "", ""},
      {"a.o:(.text+0x4): relocation out of range", "a.o", ".text+0x4"},
      {"a.o:(f(int)+0x4): relocation out of range", "a.o", "f(int)+0x4"},
      {"a.o:(not closed", "a.o", ""},
      {"lib.a(m.o): neither an object nor bitcode", "lib.a(m.o)", ""},
      {"lib.a: damaged", "lib.a", ""},
      {"one: function main: a call that cannot be", "one", "function main"},
      {"one: function main", "one", "function main"},
      {"undefined symbol: f\n>>> referenced by x.c:7\n>>>               a.o:(main)", "a.o", "main"},
      {"duplicate symbol: a.o: lib.a(m.o): f\n>>> defined at x", "a.o", ""},
      {"phone: not a name that begins a word", "", ""},
      {"unknown:3:4: error: first\n  text\n  ^", "unknown", "", 3, 4},
      {"dir:x/b.air:30:14: error: text", "dir:x/b.air", "", 30, 14},
      {"a.o:12: a line", "a.o", "", 12},
      {"x: error: no numbers", "", ""},
      {"", "", ""},
      {"a.o", "", ""},
      {"a.o:", "a.o", ""},
      {":1:2: error: no name", "", ""},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const std::vector<Diagnostic> all = take_apart(Severity::warning, row.text, known);
    REQUIRE(all.size() == 1);
    CHECK(all[0].severity == Severity::warning);
    CHECK(all[0].text == row.text);
    CHECK(all[0].file == row.file);
    CHECK(all[0].place == row.place);
    CHECK(all[0].line == row.line);
    CHECK(all[0].column == row.column);
  }
}

TEST_CASE("places of messages: a text of several messages is several") {
  const std::string first = "x.air:3:4: error: first\n  text\n  ^", second = "x.air:5:1: error: second\n  more\n^";
  const std::vector<Diagnostic> all = take_apart(Severity::error, first + "\n" + second, known);
  REQUIRE(all.size() == 2);
  CHECK(all[0].text == first);
  CHECK(all[1].text == second);
  CHECK((all[1].file == "x.air" && all[1].line == 5 && all[1].column == 1));
}
