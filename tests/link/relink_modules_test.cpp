// Relinks of modules: functions of IR that did not change are kept, beside the output, for the next link in place and
// for one from scratch. And links that cannot be patched, which keep the same.
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/link/relink_support.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

struct ModuleProject {
  TempDir dir;
  Args extra;
  std::string flags = "-O1";
  std::string program = dir.file("prog");
  std::string listing;  // of the last link

  void source(const std::string& name, const std::string& text) {
    const std::string in = dir.write(name + ".c", text);
    RunResult r = run({"clang-19", flags, "-fPIE", "-c", "-emit-llvm", in, "-o", dir.file(name + ".bc")});
    INFO(r.describe());
    REQUIRE(r.ok());
  }
  // The line of --stats.
  std::string relink() {
    const Args& s = start_files(!extra.empty() && extra[0] == "-pie");
    RunResult r = link(Args{"-o", program, "-dynamic-linker", "/lib64/ld-linux-x86-64.so.2", "--incremental", "--stats",
                            "--mir-cache-stats", s[0], s[1], s[2], dir.file("main.bc"), dir.file("part.bc")} +
                       extra + Args{"-L/lib/x86_64-linux-gnu", "-L/usr/lib/x86_64-linux-gnu", "-lc", s[3], s[4]});
    INFO(r.describe());
    REQUIRE(r.ok());
    listing = r.out;
    return relink_line(r.out);
  }
  std::string output() { return output_of(program); }
  void part(const std::string& body, const std::string& more = "") {
    source("part", more + "int shared = 5;\n"
                          "static int __attribute__((noinline)) twice(int x) { return 2 * x + shared; }\n"
                          "int __attribute__((noinline)) other(int x) { return twice(x) * 3; }\n"
                          "const char *text(int x) { return x ? \"yes\" : \"no\"; }\n"
                          "int part(int x) { " + body + " }\n");
  }
  void begin() {
    source("main", "#include <stdio.h>\nint part(int); int other(int); const char *text(int);\n"
                   "int main(void) { printf(\"%d %d %s\\n\", part(1), other(2), text(part(0))); return 0; }\n");
    part("return x + 40;");
  }
};

std::string lacks() { return missing({"clang-19", "gcc"}); }

}  // namespace

TEST_CASE("relinks of modules: one function of a changed module is made, and none of the others") {
  LODE_SKIP_IF(lacks());
  for (const char* kind : {"-no-pie", "-pie"}) {
    ModuleProject p;
    p.extra = {kind};
    p.begin();
    CHECK(p.relink() == "full (there is no state file)");
    CHECK(has(p.listing, "functions made          5\n"));
    CHECK(p.output() == "41 27 yes\n");
    CHECK(p.relink() == "nothing changed");
    p.part("return x + 41;");
    CHECK(p.relink().starts_with("in place, 1 file changed"));
    CHECK(p.output() == "42 27 yes\n");
    // A longer one, a new one, a new string; what refers to them follows.
    p.part("return other(x) + fresh(x) + 100;",
           "const char *word(void) { return \"a word that is new\"; }\n"
           "static int __attribute__((noinline)) fresh(int x) { return word()[x] == ' ' ? 7 : 9; }\n");
    const std::string grown = p.relink();
    INFO(grown);
    CHECK(p.output() == "128 27 yes\n");
    p.part("return x + 41;");
    p.relink();
    CHECK(p.output() == "42 27 yes\n");
  }
}

TEST_CASE("relinks of modules: a link from scratch takes the functions that were kept") {
  LODE_SKIP_IF(lacks());
  ModuleProject p;
  p.begin();
  p.relink();
  p.extra = {"--export-dynamic"};
  CHECK(p.relink() == "full (the options changed)");
  CHECK(has(p.listing, "functions made          0\n"));
  p.part("return x + 41;");
  p.extra = {};
  CHECK(p.relink() == "full (the options changed)");
  CHECK(has(p.listing, "functions made          1\n"));
  CHECK(p.output() == "42 27 yes\n");
  // Whatever the file of functions holds, the program is that of its sources.
  const std::string path = p.program + ".lode-functions";
  std::ifstream in(path, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  REQUIRE(good.size() > 64);
  for (size_t at = 0; at < good.size(); at += good.size() / 40 + 1) {
    std::string damaged = good;
    if (at % 3) damaged[at] = char(damaged[at] ^ 4);
    else damaged.resize(at);
    unlink(path.c_str());
    std::ofstream(path, std::ios::binary) << damaged;
    chmod(path.c_str(), 0600);
    p.part("return x + " + std::to_string(at + 1) + ";");
    INFO(at);
    p.relink();
    CHECK(p.output() == std::to_string(at + 2) + " 27 yes\n");
  }
  chmod(path.c_str(), 0666);  // others could have put code there
  p.extra = {"--export-dynamic"};
  p.relink();
  CHECK(has(p.listing, "functions made          5\n"));
}

TEST_CASE("relinks of modules: what cannot be patched is noticed when nothing changed, and warm when something did") {
  LODE_SKIP_IF(lacks());
  ModuleProject p;
  p.extra = {"--icf=all"};
  p.begin();
  CHECK(p.relink() == "full (there is no state file)");
  CHECK(p.relink() == "nothing changed");
  CHECK(p.output() == "41 27 yes\n");
  p.part("return x + 41;");
  CHECK(p.relink() == "full (--icf)");
  CHECK(has(p.listing, "functions made          1\n"));
  CHECK(p.output() == "42 27 yes\n");
  CHECK(p.relink() == "nothing changed");
}

TEST_CASE("relinks for riscv64: nothing changed is noticed; code that gets shorter by where it is, is linked anew") {
  LODE_SKIP_IF(missing({"clang-19"}));
  TempDir dir;
  auto source = [&](int n) {
    const std::string in = dir.write("m.c", "int part(int x) { return x + " + std::to_string(n) +
                                                "; }\nint other(int x) { return part(x) * 3; }\n"
                                                "void _start(void) { other(1); for (;;); }\n");
    RunResult r =
        run({"clang-19", "--target=riscv64-linux-gnu", "-O1", "-c", "-emit-llvm", in, "-o", dir.file("m.bc")});
    INFO(r.describe());
    REQUIRE(r.ok());
  };
  std::string listing;
  auto relink = [&] {
    RunResult r = link({"-m", "elf64lriscv", "-o", dir.file("prog"), "--incremental", "--stats", "--mir-cache-stats",
                        dir.file("m.bc")});
    INFO(r.describe());
    REQUIRE(r.ok());
    listing = r.out;
    const size_t at = r.out.find("relink: ");
    REQUIRE(at != std::string::npos);
    return r.out.substr(at + 8, r.out.find('\n', at) - at - 8);
  };
  source(1);
  CHECK(relink() == "full (there is no state file)");
  CHECK(relink() == "nothing changed");
  source(2);
  CHECK(relink() == "full (code of riscv64 gets shorter by where it is)");
  const size_t at = listing.find("functions taken");
  REQUIRE(at != std::string::npos);
  CHECK(!has(listing, "functions taken         0\n"));
  CHECK(relink() == "nothing changed");
}
