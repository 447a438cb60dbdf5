// Flushes of a Linker, in C++ and by the C API, take the way of relinks when their inputs are files and --incremental
// is among the options; and a host that flushes for days needs no more memory than in the first minute.
#include <dlfcn.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "lode/link/linker.h"
#include "lode/lode_c.h"
#include "tests/link/elf_link_support.h"

using namespace lode::test;
using namespace lode::test::elf;
using lode::link::Linker;

namespace {

std::string part(int value) {
  return "static int twice(int x) { return 2 * x; } int part(void) { return twice(" + std::to_string(value) +
         "); } const char *name = \"" + std::string(size_t(value % 7), 'x') + "\";";
}
const Args flags{"-fPIC", "-ffunction-sections", "-fdata-sections", "-g"};

struct Sources {
  TempDir dir;
  std::string output = dir.file("out.so");
  std::string whole = compile(dir, "whole", "extern int part(void); int whole(void) { return part() + 1; }", flags);
  std::string object = compile(dir, "part", part(3), flags);
  std::vector<std::string> options{"-shared",         "-Bsymbolic", "--incremental",
                                   "--verify-relink", "--stats",    "--build-id",
                                   "--eh-frame-hdr",  whole,        object};
  void edit(int value) { compile(dir, "part", part(value), flags); }
  int result() const {
    // By another name: the same one would be the library that is loaded.
    static int count = 0;
    const std::string copy = dir.file("copy" + std::to_string(count++) + ".so");
    std::filesystem::copy_file(output, copy);
    void* library = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
    INFO((library ? "" : dlerror()));
    REQUIRE(library);
    const int value = reinterpret_cast<int (*)()>(dlsym(library, "whole"))();
    dlclose(library);
    return value;
  }
};

std::string relink_line(const std::string& listing) {
  const std::string lines = "\n" + listing;  // that of --verify-relink begins in another way
  const size_t at = lines.rfind("\nrelink: ");
  return at == std::string::npos ? std::string() : lines.substr(at + 9, lines.find('\n', at + 1) - at - 9);
}

uint64_t resident_kib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  return 0;
}

}  // namespace

TEST_CASE("Linker: flushes of files are relinks") {
  Sources s;
  Linker linker(s.options);
  auto flush = [&] {
    const auto r = linker.flush(s.output);
    INFO((r ? "" : r.error().text()));
    REQUIRE(r);
    return relink_line(linker.listing());
  };
  CHECK(flush() == "full (there is no state file)");
  CHECK(s.result() == 7);
  CHECK(flush() == "nothing changed");
  s.edit(10);
  CHECK(flush().starts_with("in place"));
  CHECK(s.result() == 21);
  // What is broken is said, and is no obstacle when it is mended.
  std::filesystem::resize_file(s.object, 100);
  CHECK_FALSE(linker.flush(s.output));
  s.edit(11);
  flush();
  CHECK(s.result() == 23);
  s.edit(12);
  CHECK(flush().starts_with("in place"));
  CHECK(s.result() == 25);
  // A module in memory is nothing that a state knows: linked from scratch, and so is the next without it.
  REQUIRE(linker.add_module("more", "strong func @more() -> i32 {\na:\n  ret i32 1\n}\n"));
  CHECK(flush() == "");
  CHECK(s.result() == 25);
}

TEST_CASE("C API: flushes of files are relinks") {
  Sources s;
  std::vector<const char*> arguments;
  for (const std::string& o : s.options) arguments.push_back(o.c_str());
  lode_linker* linker = nullptr;
  REQUIRE(lode_linker_create(arguments.data(), arguments.size(), &linker) == nullptr);
  auto flush = [&] {
    lode_error* e = lode_flush(linker, s.output.c_str());
    REQUIRE(e == nullptr);
    return relink_line(lode_listing(linker));
  };
  CHECK(flush() == "full (there is no state file)");
  s.edit(5);
  CHECK(flush().starts_with("in place"));
  CHECK(s.result() == 11);
  CHECK(flush() == "nothing changed");
  lode_linker_destroy(linker);
}

// LODE_FLUSHES: how many; by hand a hundred thousand.
TEST_CASE("Linker: memory of relinks is flat") {
  Sources s;
  std::string contents[4];
  for (int k = 0; k < 4; k++) {
    s.edit(k + 3);
    contents[k] = read_file(s.object);
  }
  std::erase(s.options, "--verify-relink");
  Linker linker(s.options);
  const char* wanted = std::getenv("LODE_FLUSHES");
  const int count = wanted ? std::atoi(wanted) : 600;
  uint64_t tenth = 0;
  int in_place = 0;
  for (int i = 1; i <= count; i++) {
    s.dir.write("part.o", contents[i % 4]);
    const auto r = linker.flush(s.output);
    INFO((r ? "" : r.error().text()));
    REQUIRE(r);
    in_place += relink_line(linker.listing()).starts_with("in place");
    if (i == count / 10) tenth = resident_kib();
  }
  const uint64_t end = resident_kib();
  if (wanted)
    std::printf("%d flushes, %d in place, resident %llu KiB at a tenth, %llu at the end\n", count, in_place,
                static_cast<unsigned long long>(tenth), static_cast<unsigned long long>(end));
  CHECK(in_place > count * 9 / 10);
  CHECK(end < tenth + 2048);
}
