// tally PROGRAM.tally OUTPUT LINK-ARGUMENT...
//
// Compiles a program and links it in the same process; the arguments behind the output go to the linker as they are,
// around the module where "{}" stands: start files, libraries, options.
//
//   build/release/examples/tally examples/tally/primes.tally primes /usr/lib/x86_64-linux-gnu/crt1.o {} -lc
#include <cstdio>
#include <fstream>
#include <iterator>

#include "lode/codegen/air/text.h"
#include "examples/tally/compiler.h"
#include "lode/link/linker.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tally PROGRAM.tally OUTPUT LINK-ARGUMENT...\n");
    return 2;
  }
  std::ifstream in(argv[1], std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "tally: cannot open %s\n", argv[1]);
    return 1;
  }
  std::string source{std::istreambuf_iterator<char>(in), {}};
  tally::Compiled program = tally::compile(source, argv[1]);
  for (const std::string& e : program.errors) std::fprintf(stderr, "%s\n", e.c_str());
  if (!program.errors.empty()) return 1;

  lode::link::Linker linker;
  bool added = false;
  auto add = [&] {
    added = true;
    return linker.add_module(argv[1], program.module);
  };
  lode::Result<void> done;
  for (int k = 3; k < argc && done.ok(); k++) {
    if (std::string_view(argv[k]) == "{}") done = add();
    else linker.add_option(argv[k]);
  }
  if (done.ok() && !added) done = add();
  if (done.ok()) done = linker.flush(argv[2]);
  if (done.ok()) return 0;
  std::fprintf(stderr, "%s\n", done.error().text().c_str());
  return 1;
}
