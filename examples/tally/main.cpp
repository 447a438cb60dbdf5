// tally PROGRAM.tally OUTPUT LINK-ARGUMENT...
//
// Compiles a program and links it in the same process; the arguments behind the output go to the linker as they are,
// around the module where "{}" stands: start files, libraries, options.
//
//   build/release/examples/tally examples/tally/primes.tally primes /usr/lib/x86_64-linux-gnu/crt1.o {} -lc
//
// tally --keep OUTPUT LINK-ARGUMENT...
//
// The same for a program that changes: each line of the input names a file with its next version. The linker is kept,
// and so is every function whose text did not change: a module each, of which only new ones are compiled. A version
// with errors changes nothing.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "lode/codegen/air/text.h"
#include "examples/tally/compiler.h"
#include "lode/link/linker.h"

namespace {

bool read_source(const std::string& path, std::string& source) {
  std::ifstream in(path, std::ios::binary);
  if (!in) std::fprintf(stderr, "tally: cannot open %s\n", path.c_str());
  source.assign(std::istreambuf_iterator<char>(in), {});
  return bool(in);
}

// A program of which one version follows the other.
class Kept {
 public:
  Kept(const char* output, char** arguments, int count) : output_(output) {
    for (int k = 0; k < count; k++) linker_.add_option(arguments[k]);
  }

  bool next(const std::string& path) {
    std::string source;
    if (!read_source(path, source)) return false;
    const tally::Functions version = tally::split(source, path);
    std::vector<std::string> errors = version.errors;
    std::map<std::string, std::string> texts;
    std::vector<std::pair<std::string, tally::Compiled>> made;
    for (const tally::Function& f : version.functions) {
      // What a function was compiled to holds while its text is the same, and those that it calls take what they took.
      const std::string text = std::string(f.text) + "\n" + callees(f, version.functions);
      texts[f.name] = text;
      if (auto known = texts_.find(f.name); known != texts_.end() && known->second == text) continue;
      made.emplace_back(f.name, tally::compile_function(f, version.functions, path));
      errors.insert(errors.end(), made.back().second.errors.begin(), made.back().second.errors.end());
    }
    for (const std::string& e : errors) std::fprintf(stderr, "%s\n", e.c_str());
    if (!errors.empty()) return false;
    lode::Result<void> done;
    std::string names;
    for (auto& [name, compiled] : made) {
      if (done.ok()) done = linker_.add_module("fn " + name, compiled.module);
      names += " " + name;
    }
    for (auto& [name, text] : texts_)
      if (!texts.contains(name)) linker_.remove_module("fn " + name);
    texts_ = std::move(texts);
    if (done.ok()) done = linker_.flush(output_);
    if (!done.ok()) std::fprintf(stderr, "%s\n", done.error().text().c_str());
    else
      std::printf("%s: %zu of %zu functions compiled:%s\n", path.c_str(), made.size(), texts_.size(), names.c_str());
    std::fflush(stdout);
    return done.ok();
  }

 private:
  // The functions that the text of one names, with their numbers of parameters, in an order that no edit changes.
  static std::string callees(const tally::Function& function, const std::vector<tally::Function>& all) {
    std::vector<std::string> named;
    for (const tally::Function& f : all)
      if (function.text.find(f.name + "(") != std::string_view::npos)
        named.push_back(f.name + "/" + std::to_string(f.parameters));
    std::sort(named.begin(), named.end());
    std::string out;
    for (const std::string& s : named) out += s + " ";
    return out;
  }

  std::string output_;
  lode::link::Linker linker_;
  std::map<std::string, std::string> texts_;  // by function: what its module was made of
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tally PROGRAM.tally OUTPUT LINK-ARGUMENT...\n"
                         "       tally --keep OUTPUT LINK-ARGUMENT...   the input names versions of the program\n");
    return 2;
  }
  if (std::string_view(argv[1]) == "--keep") {
    Kept program(argv[2], argv + 3, argc - 3);
    bool good = true;
    for (std::string path; std::getline(std::cin, path);) good = program.next(path);
    return good ? 0 : 1;
  }
  std::string source;
  if (!read_source(argv[1], source)) return 1;
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
