// C++ exceptions and backtrace() pass through functions that came as bitcode: their .eh_frame rows are right for every
// shape of frame, in executables and by way of objects that another linker finishes.
#include <catch2/catch.hpp>

#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

#ifdef __x86_64__
TEST_CASE("unwinding: exceptions and backtraces pass through frames of every shape") {
  LODE_NEEDS("clang-19", "g++");
  TempDir dir;
  const std::string sources = LODE_TEST_DIR "/programs/unwind/", main = dir.file("main.o");
  std::filesystem::create_directory(dir.file("bin"));
  std::filesystem::create_symlink(LODE_BINARY, dir.file("bin/ld"));
  REQUIRE(run({"g++", "-O1", "-w", "-c", sources + "main.cpp", "-o", main}).ok());
  const std::string expected =
      "plain 6 whole\nsaved 30 whole\ndynamic 10 whole\naligned 30 whole\nboth 15 whole\nlarge 10 whole\n"
      "caught 6, alive 0, total 101, found frames\n";
  for (const char* level : {"-O0", "-O1"}) {
    const std::string frames = dir.file("frames.o"), object = dir.file("object.o"), program = dir.file("program");
    REQUIRE(
        run({"clang-19", level, "-w", "-c", "-emit-llvm", "-fexceptions", sources + "frames.c", "-o", frames}).ok());
    REQUIRE(run({LODE_BINARY, "-r", frames, "-o", object}).ok());
    struct Way {
      const char* name;
      Args command;
    };
    const std::string lode = "-B" + dir.file("bin");
    for (const Way& way :
         {Way{"static", {"g++", lode, "-static", "-no-pie", main, frames}},
          Way{"pie", {"g++", lode, "-pie", main, frames}}, Way{"object", {"g++", "-pie", main, object}}}) {
      INFO(level << " " << way.name);
      RunResult linked = run(way.command + Args{"-o", program});
      INFO(linked.describe());
      REQUIRE(linked.ok());
      RunResult r = run({program});
      INFO(r.describe());
      CHECK(r.ok());
      CHECK(r.out == expected);
    }
  }
}
#endif
