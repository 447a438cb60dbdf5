// The examples written in AIR link with libc, statically and as PIE, and as objects that another linker finishes, and
// print what they say they print.
#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

#include <catch2/catch.hpp>

using namespace lode::test;

namespace {

const std::map<std::string, std::string> expected = {
    {"hello", "Hello, world\n"},
    {"loop", "sum of squares to 10: 385\n"},
    {"struct", "P is 10 from 0,0\n"},
    {"libc", "-3 0 1 7 8 19 42 100 \n"},
};

void must(const Args& command) {
  RunResult r = run(command);
  INFO(command[0] << ": " << r.describe());
  REQUIRE(r.ok());
}

}  // namespace

TEST_CASE("examples: AIR programs run") {
  for (const auto& [name, output] : expected) {
    TempDir dir;
    std::string air = LODE_SOURCE_DIR "/examples/" + name + ".air", program = dir.file("program");
    INFO(name);
    must(Args{LODE_BINARY} + static_link({air}, program));
    CHECK(run({program}).out == output);
    CHECK(elf_report(program) == "");
    must(Args{LODE_BINARY} + dynamic_link({air}, program));
    CHECK(run({program}).out == output);
    CHECK(elf_report(program) == "");
    must({LODE_BINARY, "-r", air, "-o", dir.file("object.o")});
    CHECK(elf_report(dir.file("object.o")) == "");
    must(Args{"ld.bfd"} + dynamic_link({dir.file("object.o")}, program));
    CHECK(run({program}).out == output);
  }
}

TEST_CASE("examples: an error in AIR names line and column") {
  TempDir dir;
  std::string air =
      dir.write("wrong.air", "strong func @main() -> i32 {\nstart:\n  %x = add i32 1, %nothing\n  ret i32 %x\n}\n");
  RunResult r = run({LODE_BINARY, "-e", "main", air, "-o", dir.file("program")});
  INFO(r.describe());
  CHECK(r.status == 1);
  CHECK(r.err.find("wrong.air:3:") != std::string::npos);
  CHECK(!std::filesystem::exists(dir.file("program")));
}
