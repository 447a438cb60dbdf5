// The checker of our output, on files of linkers that are known to be right and on one that is spoiled; and
// `lode inspect` on the same.
#include "tests/support/elf_check.h"
#include "tests/support/run.h"

#include <catch2/catch.hpp>

using namespace lode::test;

namespace {

const char* source = R"(
#include <stdio.h>
__thread int counter = 3;
int table[100];
int (*function)(const char*, ...) = printf;
int main(void) { function("%d\n", counter + table[3]); return 0; }
)";

}  // namespace

TEST_CASE("ELF check: files of the system's linker have no problems") {
  TempDir dir;
  std::string c = dir.write("a.c", source);
  for (std::vector<std::string> flags :
       {std::vector<std::string>{"-c"}, {"-static"}, {"-pie", "-fPIE"}, {"-no-pie"}, {"-shared", "-fPIC"}}) {
    std::string out = dir.file("out");
    std::vector<std::string> command = {"cc", c, "-o", out};
    command.insert(command.end(), flags.begin(), flags.end());
    RunResult r = run(command);
    INFO(flags[0] << ": " << r.describe());
    REQUIRE(r.ok());
    CHECK(elf_report(out) == "");
  }
}

TEST_CASE("ELF check: a shifted segment and a misplaced symbol are seen") {
  TempDir dir;
  std::string c = dir.write("a.c", source), out = dir.file("out");
  REQUIRE(run({"cc", "-no-pie", c, "-o", out}).ok());
  std::string bytes = read_file(out);
  // The first PT_LOAD of the program headers at 64: its address, 16 bytes into the 56 of each.
  for (size_t at = 64; at + 56 <= bytes.size(); at += 56) {
    if (bytes[at] == 1) {
      bytes[at + 16] += 8;
      break;
    }
  }
  CHECK(elf_report(dir.write("spoiled", bytes)) != "");
}

TEST_CASE("inspect: text and JSON name what is in the file") {
  TempDir dir;
  std::string c = dir.write("a.c", source), out = dir.file("out");
  REQUIRE(run({"cc", "-pie", "-fPIE", c, "-o", out}).ok());
  RunResult text = run({LODE_BINARY, "inspect", out});
  CHECK(text.ok());
  CHECK(text.out.find("machine") != std::string::npos);
  CHECK(text.out.find("libc.so.6") != std::string::npos);
  CHECK(text.out.find("counter") != std::string::npos);
  RunResult json = run({LODE_BINARY, "inspect", out, "--json"});
  CHECK(json.ok());
  CHECK(json.out.starts_with("{\n\"header\": {\"type\": \"dynamic\", \"machine\": \"x86_64\""));
  CHECK(run({LODE_BINARY, "inspect", c}).status == 1);
  CHECK(run({LODE_BINARY, "inspect", dir.file("absent")}).status == 1);
  CHECK(run({LODE_BINARY, "inspect"}).status == 1);
}
