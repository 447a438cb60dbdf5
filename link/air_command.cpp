// lode air: AIR text printed in canonical form, verified, or run in the interpreter, without a link.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/air/interpreter.h"
#include "link/common/diagnostics.h"
#include "link/driver.h"
#include "lode/codegen/air/text.h"

namespace lode::link {

namespace {

constexpr const char* usage =
    "usage: lode air FILE --print          prints the AIR text in FILE in canonical form\n"
    "       lode air FILE --verify         says what is wrong with it\n"
    "       lode air FILE --run [ARGS]     runs its function main in the interpreter\n"
    "FILE may be - (standard input). A file named air that is to be linked is ./air.\n";

enum class Action : uint8_t { print, verify, run };
struct Word {
  std::string_view word;
  Action action;
};
constexpr Word words[] = {{"--print", Action::print}, {"--verify", Action::verify}, {"--run", Action::run}};

// All of a file, or of standard input.
Result<std::string> contents_of(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "re");
  if (!file) return error("cannot open " + path + ": " + std::strerror(errno));
  std::string text;
  char piece[65536];
  while (size_t n = std::fread(piece, 1, sizeof piece, file)) text.append(piece, n);
  const bool failed = std::ferror(file);
  const int code = errno;
  if (file != stdin) std::fclose(file);
  if (failed) return error("cannot read " + path + ": " + std::strerror(code));
  return text;
}

// Only a program that reads input waits for some.
bool reads_input(const air::Module& module) {
  return std::any_of(module.symbols.begin(), module.symbols.end(), [&](const air::Symbol& s) {
    return !s.defined && module.str(s.name) == "getchar";
  });
}

Result<int> run(const air::Module& module, const std::string& path, std::span<const char* const> args) {
  air::Interpreter interpreter(module);
  if (path != "-" && reads_input(module)) {
    LODE_ASSIGN(std::string input, contents_of("-"));
    interpreter.set_input(std::move(input));
  }
  std::vector<std::string> argv{path};
  argv.insert(argv.end(), args.begin(), args.end());
  auto status = interpreter.run_main(argv);
  std::fwrite(interpreter.output().data(), 1, interpreter.output().size(), stdout);
  std::fflush(stdout);  // in front of the error, if there is one
  if (!status.ok()) return status.take_error().at(path);
  return status;
}

Result<int> act(Action action, const std::string& path, std::span<const char* const> args) {
  LODE_ASSIGN(std::string text, contents_of(path));
  const std::string name = path == "-" ? "<stdin>" : path;
  if (text.starts_with("BC\xc0\xde")) return error_at(name, "LLVM bitcode, not AIR text");
  LODE_ASSIGN(air::Module module, air::read_text(text, name));
  if (action == Action::verify) return 0;
  if (action == Action::run) return run(module, path, args);
  LODE_ASSIGN(std::string printed, air::print_module(module));
  std::fwrite(printed.data(), 1, printed.size(), stdout);
  return 0;
}

}  // namespace

int air_main(std::span<const char* const> args) {
  Diagnostics diagnostics;
  auto wrong = [&](const std::string& what) {
    diagnostics.error(what + "\n" + std::string(usage, std::strlen(usage) - 1));
    diagnostics.flush();
    return 1;
  };
  const std::string path = args.size() > 2 ? args[2] : "";
  if (path == "--help") {
    std::fputs(usage, stdout);
    return 0;
  }
  if (path.empty() || (path[0] == '-' && path.size() > 1)) return wrong("a file is missing");
  if (args.size() < 4) return wrong("--print, --verify or --run is missing");
  const Word* word = std::find_if(std::begin(words), std::end(words), [&](const Word& w) { return w.word == args[3]; });
  if (word == std::end(words)) return wrong(std::string("unknown word ") + args[3]);
  if (word->action != Action::run && args.size() > 4) return wrong(std::string("unknown word ") + args[4]);
  auto status = act(word->action, path, args.subspan(4));
  if (status.ok()) return *status;
  diagnostics.error(status.error());
  diagnostics.flush();
  return 1;
}

}  // namespace lode::link
