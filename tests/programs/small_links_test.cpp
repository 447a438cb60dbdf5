// A link that is over in milliseconds is made by one thread and does not load the library for threads
// (link/common/lazy_threads.h); a larger one does, and writes the same bytes however many threads there are.
#include <catch2/catch.hpp>

#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

namespace {

bool loads_threads(const Args& link) {
  const RunResult r = run(Args{"env", "LD_DEBUG=files", LODE_BINARY} + link);
  INFO(r.describe());
  CHECK(r.ok());
  return r.err.find("libtbb") != std::string::npos;
}

}  // namespace

TEST_CASE("a small link and a small relink need no threads, a large link takes them") {
  LODE_NEEDS("gcc");
  if (loads_threads({"--version"})) LODE_SKIP("this build is linked with libtbb");
  TempDir dir;
  const std::string small = dir.file("small.o"), large = dir.file("large.o"), program = dir.file("program");
  auto compile = [&](const std::string& source, const std::string& object) {
    REQUIRE(run({"gcc", "-c", "-O1", dir.write("a.c", source), "-o", object}).ok());
  };
  compile("#include <stdio.h>\nint main(void) { puts(\"small\"); return 0; }\n", small);
  compile("char data[6 << 20] = {1};\nint used(void) { return data[0]; }\n", large);
  const Args link = dynamic_link({small}, program);
  CHECK(!loads_threads(link));
  CHECK(run({program}).out == "small\n");
  CHECK(!loads_threads(link + Args{"--incremental"}));
  compile("#include <stdio.h>\nint main(void) { puts(\"other\"); return 0; }\n", small);
  CHECK(!loads_threads(link + Args{"--incremental"}));
  CHECK(run({program}).out == "other\n");

  const Args more = dynamic_link({small, large}, program);
  CHECK(!loads_threads(more + Args{"--threads=1"}));
  const std::string by_one = read_file(program);
  CHECK(loads_threads(more + Args{"--threads=2"}));
  CHECK(read_file(program) == by_one);
}
