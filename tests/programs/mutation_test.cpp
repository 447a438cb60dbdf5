// Damaged inputs end with an error or a link, never with a signal: 500 deterministic mutations each of an object, an
// archive, bitcode and AIR text, given to the command. Flipped bits, bytes set to extremes, truncation, cut-out and
// doubled pieces, and 32-bit words replaced by sizes that tempt a reader.
#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

#include <catch2/catch.hpp>
#include <cstring>

using namespace lode::test;

namespace {

const char* source = R"(
__thread int t = 3; static int z[4]; int g = 5; const char *s = "text"; int printf(const char *, ...);
static int f(int x) { switch (x) { case 0: return 1; case 1: return t; case 5: return g; } for (int i = 0; i < x; i++) z[i & 3] += i; return z[1]; }
int main(int c, char **v) { (void)v; return printf("%s %d\n", s, f(c)); }
)";

struct Random {
  uint64_t state;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
  size_t below(size_t n) { return n ? next() % n : 0; }
};

std::string mutate(std::string s, Random& random) {
  static constexpr uint32_t words[] = {0,          1,       0x7fffffff, 0x80000000, 0xffffffff,
                                       0xfffffff0, 0x10000, 0x1000000,  64,         0xff00};
  for (size_t edits = 1 + random.below(4); edits > 0 && !s.empty(); edits--) {
    size_t at = random.below(s.size());
    switch (random.below(7)) {
      case 0:
      case 1: s[at] ^= char(1 << random.below(8)); break;
      case 2: s[at] = random.below(2) ? char(0xff) : char(random.next()); break;
      case 3: s.resize(at); break;
      case 4: s.erase(at, 1 + random.below(16)); break;
      case 5: s.insert(at, s.substr(random.below(s.size()), 1 + random.below(16))); break;
      case 6: {
        uint32_t w = words[random.below(std::size(words))];
        at &= ~size_t{3};
        if (at + 4 <= s.size()) std::memcpy(s.data() + at, &w, 4);
        break;
      }
    }
  }
  return s;
}

void mutations(const std::string& name, const std::string& content, const Args& more) {
  REQUIRE(!content.empty());
  TempDir dir;
  Random random{0x9e3779b97f4a7c15u ^ content.size()};
  static const Args modes[] = {{"-r"}, {"-shared"}, {"-static", "-e", "main", "--gc-sections"}};
  for (int i = 0; i < 500; i++) {
    std::string input = dir.write(name, mutate(content, random));
    RunResult r = run(Args{LODE_BINARY} + more + modes[i % 3] + Args{input, "-o", dir.file("out")}, {.seconds = 20});
    if (r.signal != 0 || (r.status != 0 && r.status != 1)) {
      INFO("mutation " << i << " of " << name << ": " << r.describe());
      if (const char* keep = std::getenv("LODE_KEEP_MUTATIONS"))
        std::filesystem::copy_file(input, std::string(keep) + "/" + std::to_string(i) + "." + name,
                                   std::filesystem::copy_options::overwrite_existing);
      CHECK(r.signal == 0);
      CHECK((r.status == 0 || r.status == 1));
    }
    if (r.status == 1) CHECK(r.err.find("error: ") != std::string::npos);
  }
}

std::string compiled(const Args& command) {
  TempDir dir;
  std::string c = dir.write("a.c", source), o = dir.file("a.o");
  RunResult r = run(command + Args{"-c", c, "-o", o});
  INFO(r.describe());
  CHECK(r.ok());
  return read_file(o);
}

}  // namespace

TEST_CASE("damaged input: objects") { mutations("a.o", compiled({"gcc", "-O1"}), {}); }
TEST_CASE("damaged input: objects with debug information") {
  mutations("g.o", compiled({"gcc", "-g", "-gz=zlib", "-ffunction-sections"}), {});
}
TEST_CASE("damaged input: archives") {
  TempDir dir;
  std::string o = dir.write("an-object-with-a-long-name.o", compiled({"gcc", "-O1"})), a = dir.file("a.a");
  REQUIRE(run({"ar", "rcs", a, o}).ok());
  mutations("a.a", read_file(a), {"--whole-archive"});
}
TEST_CASE("damaged input: shared libraries") {
  TempDir dir;
  std::string so = dir.file("a.so");
  REQUIRE(run({"gcc", "-shared", "-nostdlib", "-fPIC", dir.write("a.c", source), "-o", so}).ok());
  std::string o = dir.write("use.o", compiled({"gcc", "-O1"}));
  mutations("a.so", read_file(so), {"--unresolved-symbols=ignore-all", o});
}
TEST_CASE("damaged input: bitcode") {
  LODE_NEEDS("clang-19");
  mutations("a.bc", compiled({"clang-19", "-O1", "-emit-llvm"}), {});
  mutations("b.bc", compiled({"clang-19", "-O0", "-g", "-emit-llvm"}), {});
}
TEST_CASE("damaged input: AIR text") {
  std::string largest;
  for (const auto& e : std::filesystem::recursive_directory_iterator(LODE_SOURCE_DIR "/examples")) {
    if (e.path().extension() == ".air" && e.file_size() > largest.size() && e.file_size() < 8000)
      largest = read_file(e.path());
  }
  REQUIRE(!largest.empty());
  mutations("a.air", largest, {});
}
