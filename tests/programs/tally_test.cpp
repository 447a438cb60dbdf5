// The example front end: what it compiles runs, what it refuses is named with its place.
#include <catch2/catch.hpp>

#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

namespace {

// Compiles `source` and runs the program; the link lines are those of gcc, with the module in its place.
RunResult run_tally(const std::string& source, bool is_static) {
  TempDir dir;
  std::string file = dir.write("p.tally", source), program = dir.file("program");
  Args link = is_static ? static_link({"{}"}, program) : dynamic_link({"{}"}, program);
  link.erase(std::find(link.begin(), link.end(), "-o"), std::find(link.begin(), link.end(), "-o") + 2);
  RunResult r = run(Args{TALLY_BINARY, file, program} + link);
  if (!r.ok()) return r;
  CHECK(elf_report(program) == "");
  return run({program});
}

std::string errors(const std::string& source) {
  TempDir dir;
  std::string file = dir.write("p.tally", source);
  RunResult r = run({TALLY_BINARY, file, dir.file("program")});
  CHECK(r.status == 1);
  CHECK(!std::filesystem::exists(dir.file("program")));
  return r.err.substr(std::min(r.err.size(), dir.path().size() + 1));
}

}  // namespace

TEST_CASE("tally: the example runs until its arithmetic overflows") {
  for (bool is_static : {true, false}) {
    RunResult r = run_tally(read_file(LODE_SOURCE_DIR "/examples/tally/primes.tally"), is_static);
    INFO(r.describe());
    CHECK(r.status == 1);
    CHECK(r.out == "2\n3\n5\n7\n11\n13\n17\n19\n23\n29\n31\n37\n41\n43\n47\n15\n6\n1000000000000000000\n"
                   "tally: a number too large, a division by zero, or an index out of bounds\n");
  }
}

TEST_CASE("tally: control flow, recursion, precedence, bounds") {
  RunResult r = run_tally(
      "fn f(n) { if n < 2 { return n; } else if n == 2 { return 1; } else { return f(n - 1) + f(n - 2); } }\n"
      "fn none() { }\n"
      "fn main() { print f(30); print 2 + 3 * -4 % 5; print (1 < 2) + (2 <= 1) + (3 != 4); none(); print none();\n"
      "  var a = array(3); a[2] = 7; var b = a; b[0] = 5; print a[0] + a[1] + a[2]; return 3; }\n",
      true);
  INFO(r.describe());
  CHECK(r.status == 3);
  CHECK(r.out == "832040\n0\n2\n0\n12\n");
  for (const char* last : {"var a = array(2); a[2] = 1;", "var a = array(2); print a[0 - 1];", "print 1 / (1 - 1);",
                           "print -(-9223372036854775807 - 1);"}) {
    INFO(last);
    RunResult bad = run_tally(std::string("fn main() { print 1; ") + last + " return 0; }", true);
    CHECK(bad.status == 1);
    CHECK(bad.out.starts_with("1\ntally: "));
  }
}

TEST_CASE("tally: errors have a place") {
  CHECK(errors("fn main() {\n  print x;\n}\n") == "p.tally:2:9: error: 'x' is not a variable\n");
  CHECK(errors("fn main() { return 0; print 1; }") ==
        "p.tally:1:23: error: expected '}': nothing behind a return is reached, not 'print'\n");
  CHECK(errors("fn main() { print f(1, 2); }\nfn f(a) { }") ==
        "p.tally:2:4: error: function 'f' has 2 parameters, not 1\n");
  CHECK(errors("fn main() { g = 1; }") == "p.tally:1:13: error: 'g' is not a variable\n");
  CHECK(errors("fn main() { var a = array(2); print a + 1; }") == "p.tally:1:39: error: '+' wants numbers\n");
  CHECK(errors("fn main() { print h(); }") == "p.tally:1:19: error: function 'h' is called but not defined\n");
  CHECK(errors("fn main() { print 99999999999999999999; }") ==
        "p.tally:1:19: error: expected a number of 64 bits, not '99999999999999999999'\n");
  CHECK(errors("fn main() {") == "p.tally:1:12: error: expected '}', not the end of the file\n");
}
