// The main job: SQLite and a driver as bitcode become programs that print what clang's own build prints; by executables
// and by object files, with the static and the shared libc, from -O0 and -O1 bitcode; as clang's -flto linker; and as
// WebAssembly objects under node. Skipped, saying so, where SQLite has not been fetched (scripts/fetch-sqlite.sh).
#include "tests/programs/sqlite_inputs.h"
#include "tests/support/elf_check.h"

using namespace lode::test;
using namespace lode::test::sqlite_inputs;

namespace {

const std::string& expected() {
  static const std::string text = [] {
    std::string program = kept(
        "reference",
        Args{"clang-19", "-O1", LODE_SOURCE_DIR "/examples/sqlite/driver.c", sqlite + "/sqlite3.c", "-lm"} + flags);
    return run({program}).out;
  }();
  return text;
}

void must(const Args& command) {
  RunResult r = run(command, {.seconds = 600});
  INFO(command[0] << ": " << r.describe());
  REQUIRE(r.ok());
}

void check_program(const std::string& path) {
  RunResult r = run({path});
  INFO(path << ": " << r.describe());
  CHECK(r.status == 0);
  CHECK(r.out == expected());
  CHECK(elf_report(path) == "");
}

void executables(const std::string& level) {
  LODE_SKIP_IF(unavailable({"clang-19"}));
  TempDir dir;
  Args inputs = bitcode(level);
  must(Args{LODE_BINARY} + static_link(inputs, dir.file("static")));
  check_program(dir.file("static"));
  must(Args{LODE_BINARY} + dynamic_link(inputs, dir.file("dynamic")));
  check_program(dir.file("dynamic"));
  must(Args{LODE_BINARY, "--threads=1", "--gc-sections"} + static_link(inputs, dir.file("gc")));
  check_program(dir.file("gc"));
  must(Args{LODE_BINARY, "--threads=2"} + static_link(inputs, dir.file("again")));
  CHECK(read_file(dir.file("again")) == read_file(dir.file("static")));
}

void objects(const std::string& level) {
  LODE_SKIP_IF(unavailable({"clang-19", "ld.lld-19", "ld.bfd", "mold"}));
  TempDir dir;
  Args made;
  for (const std::string& bc : bitcode(level)) {
    made.push_back(dir.file(std::to_string(made.size()) + ".o"));
    must({LODE_BINARY, "-r", bc, "-o", made.back()});
    CHECK(elf_report(made.back()) == "");
  }
  for (std::string linker : {"ld.lld-19", "ld.bfd", "mold"}) {
    must(Args{linker} + static_link(made, dir.file(linker + ".static")));
    must(Args{linker} + dynamic_link(made, dir.file(linker + ".dynamic")));
    for (std::string how : {".static", ".dynamic"}) {
      RunResult r = run({dir.file(linker + how)});
      INFO(linker << how << ": " << r.describe());
      CHECK(r.out == expected());
    }
  }
  must(Args{LODE_BINARY} + static_link(made, dir.file("own")));
  check_program(dir.file("own"));
}

void wasm(const std::string& level) {
  LODE_SKIP_IF(unavailable({"clang-19", "wasm-ld-19", "node", wasi_folder()}));
  TempDir dir;
  Args made;
  for (const std::string& bc : bitcode(level, wasi_flags, ".wasm32")) {
    made.push_back(dir.file(std::to_string(made.size()) + ".o"));
    must({LODE_BINARY, "-m", "wasm32", "-r", bc, "-o", made.back()});
  }
  must(Args{"wasm-ld-19"} + wasi_link(made, dir.file("program.wasm"), dir));
  RunResult r = run_wasi(dir.file("program.wasm"));
  INFO(r.describe());
  CHECK(r.status == 0);
  CHECK(r.out == expected());
}

}  // namespace

TEST_CASE("SQLite: executables from -O0 bitcode") { executables("O0"); }
TEST_CASE("SQLite: executables from -O1 bitcode") { executables("O1"); }
TEST_CASE("SQLite: objects from -O0 bitcode, finished by three linkers") { objects("O0"); }
TEST_CASE("SQLite: objects from -O1 bitcode, finished by three linkers") { objects("O1"); }
TEST_CASE("SQLite: lode as the linker of clang -flto") {
  LODE_SKIP_IF(unavailable({"clang-19"}));
  TempDir dir;
  Args inputs;
  for (std::string c : {std::string(LODE_SOURCE_DIR "/examples/sqlite/driver.c"), sqlite + "/sqlite3.c"}) {
    inputs.push_back(dir.file(std::filesystem::path(c).stem().string() + ".o"));
    must(Args{"clang-19", "-O1", "-flto", "-c", c, "-o", inputs.back()} + flags);
  }
  must(Args{"clang-19", "-flto", "--ld-path=" LODE_BINARY} + inputs + Args{"-lm", "-o", dir.file("program")});
  check_program(dir.file("program"));
}
TEST_CASE("SQLite: WebAssembly objects from -O0 bitcode") { wasm("O0"); }
TEST_CASE("SQLite: WebAssembly objects from -O1 bitcode") { wasm("O1"); }
TEST_CASE("SQLite: WebAssembly objects from -O2 bitcode") { wasm("O2"); }
