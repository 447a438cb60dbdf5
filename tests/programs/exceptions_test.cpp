// C++ exceptions and Rust panics from bitcode: the programs say what clang's own build of them says, in every kind of
// output and by way of objects that other linkers finish.
#include <catch2/catch.hpp>

#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

#ifdef __x86_64__
namespace {

const std::string sources = LODE_TEST_DIR "/programs/exceptions/";

void build(const Args& command) {
  RunResult r = run(command);
  INFO(r.describe());
  REQUIRE(r.ok());
}

// What a program prints and how it ends, for each of these first arguments.
std::string outcome(const std::string& program, const std::vector<const char*>& ways) {
  std::string all;
  for (const char* way : ways) {
    Args command{program};
    if (*way) command.push_back(way);
    RunResult r = run(command);
    all += r.out + r.err + "-> " + std::to_string(r.status) + " " + std::to_string(r.signal) + "\n";
  }
  return all;
}

void suite(const std::string& level) {
  LODE_NEEDS("clang++-19");
  TempDir dir;
  const std::string ld = std::string("--ld-path=") + LODE_BINARY, native = dir.file("native.o");
  auto compile = [&](const char* name, bool bitcode) {
    const std::string out = dir.file(std::string(name) + (bitcode ? ".o" : "-machine.o"));
    Args command{"clang++-19",
                 level,
                 "-w",
                 "-fPIC",
                 std::string(name) == "specification" ? "-std=c++14" : "-std=c++17",
                 "-c",
                 sources + name + ".cpp",
                 "-o",
                 out};
    if (bitcode) command.push_back("-emit-llvm");
    build(command);
    return out;
  };
  build({"clang++-19", "-O1", "-w", "-fPIC", "-c", sources + "native.cpp", "-o", native});
  const Args names{"main", "hidden", "specification"};
  Args bitcode, machine;
  for (const std::string& n : names) {
    bitcode.push_back(compile(n.c_str(), true));
    machine.push_back(compile(n.c_str(), false));
  }
  // n: noexcept, u: uncaught, s: specification, d, b: destructors, r: rethrow of nothing, o: a destructor's exception
  // caught
  const std::vector<const char*> ways{"", "n", "u", "s", "d", "b", "r", "o"};
  const std::string reference = dir.file("reference"), program = dir.file("program");
  build(Args{"clang++-19", native, "-o", reference} + machine);
  const std::string expected = outcome(reference, ways);
  REQUIRE(expected.find("several bad\n-> 7 0\n") != std::string::npos);

  for (const Args& kind : {Args{"-pie"}, Args{"-no-pie"}, Args{"-static"}, Args{"-static-pie"},
                           Args{"-pie", "-Wl,--gc-sections", "-Wl,--icf=all"}}) {
    INFO(level << " " << kind.back());
    build(Args{"clang++-19", ld, native, "-o", program} + kind + bitcode);
    CHECK(elf_report(program) == "");
    CHECK(outcome(program, ways) == expected);
  }
  {
    INFO(level << " as a shared library");
    const std::string library = dir.file("libpart.so");
    build({"clang++-19", ld, "-shared", bitcode[1], bitcode[2], native, "-Wl,-z,undefs", "-o", library});
    build({"clang++-19", ld, bitcode[0], library, "-Wl,-rpath," + dir.path(), "-o", program});
    CHECK(outcome(program, ways) == expected);
  }
  // Each as an object, and all of them as one.
  Args objects;
  for (const std::string& b : bitcode) {
    objects.push_back(b + ".native.o");
    build({LODE_BINARY, "-r", b, "-o", objects.back()});
  }
  const std::string joined = dir.file("joined.o");
  build(Args{LODE_BINARY, "-r", "-o", joined} + bitcode);
  for (const char* linker : {"ld.lld-19", "ld.bfd", "mold"}) {
    if (!part_needs({linker})) continue;
    const std::string path = [&] {
      RunResult r = run({"sh", "-c", std::string("command -v ") + linker});
      return r.out.substr(0, r.out.find('\n'));
    }();
    for (const char* kind : {"-pie", "-static"}) {
      INFO(level << " by " << linker << " " << kind);
      build(Args{"clang++-19", "--ld-path=" + path, kind, "-Wl,--gc-sections", native, "-o", program} + objects);
      CHECK(outcome(program, ways) == expected);
    }
    INFO(level << " joined, by " << linker);
    build({"clang++-19", "--ld-path=" + path, joined, native, "-o", program});
    CHECK(outcome(program, ways) == expected);
  }
}

}  // namespace

TEST_CASE("exceptions: C++ at -O0") { suite("-O0"); }
TEST_CASE("exceptions: C++ at -O1") { suite("-O1"); }
TEST_CASE("exceptions: C++ at -O2") { suite("-O2"); }

// What a handler reads must lie where libgcc's unwinder gives it back: in what the platform's convention preserves, or
// in the frame. A callee that preserves more does so on its returns alone
// (findings/clang-exception-through-preserve-most.sh).
TEST_CASE("exceptions: through callees that preserve more registers than the platform's convention") {
  LODE_NEEDS("clang++-19");
  TempDir dir;
  const std::string through = dir.write("through.cpp", R"(
struct Failed { int code; };
long next(long x);
__attribute__((CONVENTION, noinline)) void check(long x) {
  long a = next(x), b = next(a), c = next(b);
  if (x > 3) throw Failed{int(a + b + c)};
}
__attribute__((noinline)) long use(long p, long q, long r, long s, long t, long u, double v, double w) {
  long a = p * 3, b = q * 5, c = r * 7, d = s * 11, e = t * 13, f = u * 17;
  double g = v * 3, h = w * 5;
  try { check(p); } catch (Failed& x) { return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + x.code + long(g * 7 + h * 8); }
  return a + long(g);
}
int main() { return use(5, 6, 7, 8, 9, 10, 2.5, 1.5) != 15 + 60 + 147 + 352 + 585 + 1020 + 21 + 112; }
)");
  const std::string next = dir.write("next.cpp", "long next(long x) { return x + 1; }");
  for (const char* convention : {"ms_abi", "preserve_most", "preserve_all"})
    for (const char* level : {"-O0", "-O1", "-O2"}) {
      INFO(convention << " " << level);
      const std::string program = dir.file("through"), ld = std::string("--ld-path=") + LODE_BINARY;
      build({"clang++-19", level, "-flto", "-w", std::string("-DCONVENTION=") + convention, "-c", through, "-o",
             dir.file("through.o")});
      build({"clang++-19", "-O1", "-c", next, "-o", dir.file("next.o")});
      build({"clang++-19", "-flto", ld, dir.file("through.o"), dir.file("next.o"), "-o", program});
      CHECK(run({program}).status == 0);
    }
}

TEST_CASE("exceptions: Rust panics") {
  LODE_NEEDS("rustc", "clang-19", "cc");
  TempDir dir;
  const std::string source = LODE_TEST_DIR "/programs/rust/panics.rs", reference = dir.file("reference"),
                    program = dir.file("program");
  const std::vector<const char*> ways{"", "panic"};
  RunOptions here;
  here.cwd = dir.path();
  RunResult own = run({"rustc", "-O", source, "-o", reference}, here);
  INFO(own.describe());
  if (!own.ok()) LODE_SKIP("rustc cannot link a program here");
  const std::string expected = outcome(reference, ways);
  REQUIRE(expected.find("nested string number 1\n") != std::string::npos);
  for (const Args& level : {Args{"-g"}, Args{"-O"}, Args{"-Copt-level=1", "-Crelocation-model=static"}}) {
    INFO(level.back());
    RunResult r = run(Args{"rustc", "-Clinker-plugin-lto", "-Clinker=clang-19",
                           std::string("-Clink-arg=--ld-path=") + LODE_BINARY, source, "-o", program} +
                          level,
                      here);
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(outcome(program, ways) == expected);
  }
}
#endif
