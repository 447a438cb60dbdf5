// __builtin_setjmp and __builtin_longjmp in bitcode. clang's own code loses values that are spilled across them (they
// are not "returns twice" to it, so homes are shared): there is nothing to compare with, and the program knows its
// result itself.
#include <catch2/catch.hpp>

#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

TEST_CASE("__builtin_setjmp: what is live across it keeps its value") {
  for (const char* level : {"-O0", "-O1", "-O2"}) {
    TempDir dir;
    std::string bitcode = dir.file("b.o"), program = dir.file("program");
    RunResult made = run({"clang-19", "-w", "-c", "-emit-llvm", "-fPIE", level,
                          LODE_SOURCE_DIR "/tests/programs/setjmp/builtin.c", "-o", bitcode});
    INFO(level << " " << made.describe());
    REQUIRE(made.ok());
    for (const Args& link : {static_link({bitcode}, program), dynamic_link({bitcode}, program)}) {
      RunResult linked = run(Args{LODE_BINARY} + link);
      INFO(linked.describe());
      REQUIRE(linked.ok());
      CHECK(run({program}).status == 0);
    }
  }
}
