// How the command starts: what the dynamic linker loads before main, and what is loaded when a link is large.
#include <catch2/catch.hpp>

#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode::test;

namespace {

// An object that is all of a program.
std::string object_of(const TempDir& dir, const std::string& more) {
  const std::string source =
      dir.write("a.s", ".globl _start\n_start:\n mov $60, %eax\n mov $7, %edi\n syscall\n" + more);
  const std::string object = dir.file("a.o");
  RunResult made = run({"as", source, "-o", object});
  INFO(made.describe());
  CHECK(made.ok());
  return object;
}

}  // namespace

TEST_CASE("Start: the command needs no shared library but the C library's") {
  LODE_NEEDS("readelf");
  if (!LODE_QUICK_COMMAND) LODE_SKIP("this build of lode is linked with shared libraries (LODE_QUICK_START)");
  RunResult r = run({"readelf", "-dW", LODE_BINARY});
  INFO(r.describe());
  REQUIRE(r.ok());
  for (size_t at = 0; (at = r.out.find("(NEEDED)", at)) != std::string::npos; at++) {
    const size_t begin = r.out.find('[', at) + 1;
    const std::string name = r.out.substr(begin, r.out.find(']', begin) - begin);
    INFO(name);
    CHECK((name.starts_with("libc.so") || name.starts_with("libm.so") || name.starts_with("ld-linux")));
  }
}

TEST_CASE("Start: TBB is loaded by a large link, and its absence has a name") {
  LODE_NEEDS("as");
  if (!LODE_QUICK_COMMAND) LODE_SKIP("this build of lode is linked with shared libraries (LODE_QUICK_START)");
  TempDir dir;
  const std::string object = object_of(dir, ".data\n.fill 0x600000, 1, 3\n"), program = dir.file("a");
  RunResult linked = run({LODE_BINARY, object, "-o", program});
  INFO(linked.describe());
  REQUIRE(linked.ok());
  CHECK(run({program}).status == 7);

  std::filesystem::create_directory(dir.file("lib"));
  dir.write("lib/" LODE_TBB_SONAME, "not a library");
  const std::string with = "LD_LIBRARY_PATH=" + dir.file("lib");
  RunResult refused = run({"env", with, LODE_BINARY, object, "-o", dir.file("b")});
  CHECK(refused.status == 1);
  CHECK(refused.err.starts_with("lode: error: cannot load " LODE_TBB_SONAME ": "));
  CHECK(!std::filesystem::exists(dir.file("b")));
  RunResult version = run({"env", with, LODE_BINARY, "--version"});
  INFO(version.describe());
  CHECK(version.out.starts_with("lode "));
  CHECK(run({"env", with, LODE_BINARY, "--no-such-option"}).err.find("no-such-option") != std::string::npos);
}
