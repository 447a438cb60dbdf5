// What the tests of the ELF linker share: sources compiled by gcc, lode run on them, the result run and read.
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

namespace lode::test::elf {

inline const std::string lode = LODE_BINARY;

inline std::string compile(const TempDir& dir, const std::string& name, const std::string& source,
                           const Args& flags = {}, const std::string& compiler = "gcc") {
  std::string c = dir.write(name + ".c", source), o = dir.file(name + ".o");
  RunResult r = run(Args{compiler, "-c", "-O1", "-w", c, "-o", o} + flags);
  INFO(r.describe());
  REQUIRE(r.ok());
  return o;
}

inline std::string assemble(const TempDir& dir, const std::string& name, const std::string& source) {
  std::string s = dir.write(name + ".s", source), o = dir.file(name + ".o");
  RunResult r = run({"gcc", "-c", s, "-o", o});
  INFO(r.describe());
  REQUIRE(r.ok());
  return o;
}

inline RunResult link(const Args& args) { return run(Args{lode} + args); }

// Links and runs; the checker of ELF files must have nothing to say.
inline std::string output_of(const Args& args, const std::string& program) {
  RunResult l = link(args);
  INFO(l.describe());
  REQUIRE(l.ok());
  CHECK(elf_report(program) == "");
  RunResult r = run({program});
  INFO(r.describe());
  CHECK(r.ok());
  return r.out;
}

inline std::string error_of(const Args& args) {
  RunResult l = link(args);
  CHECK(l.status == 1);
  return l.err;
}

inline std::string readelf(const Args& flags, const std::string& file) {
  return run(Args{"readelf", "-W"} + flags + Args{file}).out;
}
inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace lode::test::elf
