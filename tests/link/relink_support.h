// A small program that is linked with --incremental, again and again, while its sources change.
#pragma once

#include "tests/link/elf_link_support.h"

namespace lode::test::elf {

// The C library's, of a program at a fixed address or not.
inline const Args& start_files(bool position_independent) {
  auto find = [](bool pie) {
    Args out;
    for (const char* name : {pie ? "Scrt1.o" : "crt1.o", "crti.o", pie ? "crtbeginS.o" : "crtbegin.o",
                             pie ? "crtendS.o" : "crtend.o", "crtn.o"})
      out.push_back(run({"gcc", std::string("-print-file-name=") + name}).out);
    for (std::string& s : out)
      while (!s.empty() && s.back() == '\n') s.pop_back();
    return out;
  };
  static const Args fixed = find(false), pie = find(true);
  return position_independent ? pie : fixed;
}

// What --stats says of the relink.
inline std::string relink_line(const std::string& listing) {
  const size_t at = listing.find("relink: ");
  REQUIRE(at != std::string::npos);
  return listing.substr(at + 8, listing.find('\n', at) - at - 8);
}

// What a program prints, which is well-formed and ends well.
inline std::string output_of(const std::string& program) {
  RunResult r = run({program});
  INFO(r.describe());
  CHECK(r.ok());
  CHECK(elf_report(program) == "");
  return r.out;
}

// A program of three objects, linked by lode itself.
struct Project {
  TempDir dir;
  Args flags{"-ffunction-sections", "-fdata-sections", "-g"};
  Args extra;
  bool position_independent = false;
  std::string program = dir.file("prog");

  void source(const std::string& name, const std::string& text) { compile(dir, name, text, flags); }
  Args command() const {
    const Args& s = start_files(position_independent);
    return Args{position_independent ? "-pie" : "-no-pie",
                "-o",
                program,
                "-dynamic-linker",
                "/lib64/ld-linux-x86-64.so.2",
                "--incremental",
                "--stats",
                "--gc-sections",
                s[0],
                s[1],
                s[2],
                dir.file("main.o"),
                dir.file("part.o"),
                dir.file("data.o")} +
           extra + Args{"-L/lib/x86_64-linux-gnu", "-L/usr/lib/x86_64-linux-gnu", "-lc", s[3], s[4]};
  }
  // The line of --stats.
  std::string relink() {
    RunResult r = link(command());
    INFO(r.describe());
    REQUIRE(r.ok());
    return relink_line(r.out);
  }
  std::string output() { return output_of(program); }
  void begin() {
    source("main", main_source);
    source("part", part_source);
    source("data", data_source);
    REQUIRE(has(relink(), "full (there is no state file)"));
    REQUIRE(output() == "3 data\n");
  }
  static constexpr const char* main_source = R"(
    #include <stdio.h>
    int part(int); extern const char *text;
    int main(void) { printf("%d %s\n", part(1), text); return 0; })";
  static constexpr const char* part_source = R"(
    static int twice(int x) { return 2 * x; }
    __attribute__((noinline)) int part(int x) { return twice(x) + 1; })";
  static constexpr const char* data_source = R"(const char *text = "data";)";
};

inline bool in_place(const std::string& line) {
  if (!line.starts_with("in place")) WARN(line);
  return line.starts_with("in place");
}

}  // namespace lode::test::elf
