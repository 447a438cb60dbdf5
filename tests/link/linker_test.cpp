// The linker as a library: modules of every kind from memory, replacement, flushing twice, errors as values.
#include <dlfcn.h>

#include <map>
#include <set>
#include <fcntl.h>
#include <sys/stat.h>
#include <tbb/global_control.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "lode/codegen/air/builder.h"
#include "lode/link/linker.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

using namespace lode;
using link::Linker;

namespace {

std::string text(const Result<void>& r) { return r.ok() ? "" : r.error().text(); }

std::string returns(const std::string& name, int value) {
  return "strong func @" + name + "() -> i32 {\na:\n  ret i32 " + std::to_string(value) + "\n}\n";
}

int call(const std::string& path, const char* name) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  INFO((library ? "" : dlerror()));
  REQUIRE(library);
  auto f = reinterpret_cast<int (*)()>(dlsym(library, name));
  REQUIRE(f);
  const int value = f();
  dlclose(library);
  return value;
}

std::span<const uint8_t> span_of(const std::string& s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

const char* sum = "declare func @one() -> i32\ndeclare func @two() -> i32\nstrong func @sum() -> i32 {\na:\n"
                  "  %x = call i32 @one()\n  %y = call i32 @two()\n  %z = add i32 %x, %y\n  ret i32 %z\n}\n";

}  // namespace

TEST_CASE("Linker: AIR text, built modules, bitcode and objects from memory; each kind replaces each") {
  test::TempDir dir;
  Linker linker({"-shared", "-Bsymbolic", "--no-undefined"});
  REQUIRE(text(linker.add_module("sum", sum)) == "");
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  air::ModuleBuilder b("two");
  {
    air::FunctionBuilder f(b, b.declare_function("two", b.function_type(b.i32(), {})));
    f.ret(f.integer(b.i32(), 20));
    f.finish();
  }
  const air::Module two = std::move(b.take()).value();
  REQUIRE(text(linker.add_module("two", two)) == "");
  int version = 0;
  auto result = [&] {
    const std::string path = dir.file(std::to_string(version++) + ".so"), again = path + ".again";
    REQUIRE(text(linker.flush(path)) == "");
    REQUIRE(text(linker.flush(again)) == "");
    CHECK((test::read_file(path) == test::read_file(again)));
    return call(path, "sum");
  };
  CHECK(result() == 21);
  const std::string plain = test::read_file(dir.file("0.so"));
  CHECK(text(linker.replace_function("one", returns("one", 3))) == "");
  CHECK(result() == 23);
  CHECK(text(linker.replace_function("one", two)) ==
        "the replacement does not define a function one that others can see");
  CHECK(text(linker.replace_function("one", returns("one", 4))) == "");
  CHECK(result() == 24);
  if (test::part_needs({"clang-19"})) {
    for (const std::string kind : {"-emit-llvm", "-fPIC"}) {
      const std::string out = dir.file("x" + kind);
      REQUIRE(
          test::run({"clang-19", "-O1", "-c", kind, dir.write("x.c", "int two(void) { return 50; }"), "-o", out}).ok());
      const std::string contents = test::read_file(out);
      CHECK(text(linker.replace_function("two", span_of(contents))) == "");
      CHECK(result() == 54);
      CHECK(linker.restore_function("two"));
      CHECK(text(linker.add_module("two", span_of(contents))) == "");
      CHECK(result() == 54);
      CHECK(text(linker.add_module("two", two)) == "");
      CHECK(result() == 24);
    }
  }
  CHECK(linker.restore_function("one"));
  CHECK(!linker.restore_function("one"));
  const std::string path = dir.file("last.so");
  REQUIRE(text(linker.flush(path)) == "");
  CHECK((test::read_file(path) == plain));
}

TEST_CASE("Linker: what is wrong is an error value, and the linker goes on") {
  test::TempDir dir;
  Linker linker({"-shared", "-Bsymbolic", "--no-undefined"});
  CHECK(text(linker.add_module("", returns("f", 1))) == "a module needs a name");
  CHECK(text(linker.add_module("m", "")) == "m: the module is empty");
  CHECK(text(linker.add_module("m", "strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n")) ==
        "m:3:11: error: '%x' is not defined\n    ret i32 %x\n            ^");
  CHECK(text(linker.add_module("m", "\x7f" "ELF and so on")) != "");
  CHECK(text(linker.add_module("m", "BC\xc0\xde and so on")) != "");
  air::ModuleBuilder b("broken");
  {
    air::FunctionBuilder f(b, b.declare_function("f", b.function_type(b.i32(), {})));
    f.ret(f.integer(b.i64(), 1));
    f.finish();
  }
  auto taken = b.take();
  REQUIRE(taken.ok());
  CHECK(text(linker.add_module("m", *taken)) ==
        "m: error: f, block 0, instruction 0: ret: the result has type i64, expected i32");
  // Nothing of all this is in the link.
  REQUIRE(text(linker.add_module("sum", sum)) == "");
  const std::string path = dir.write("out.so", "as it was");
  CHECK(text(linker.flush(path)).find("undefined symbol: one") != std::string::npos);
  CHECK(test::read_file(path) == "as it was");
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  REQUIRE(text(linker.add_module("two", returns("two", 2))) == "");
  REQUIRE(text(linker.flush(path)) == "");
  CHECK(call(path, "sum") == 3);
  // A replacement makes other double definitions no more right than they were.
  REQUIRE(text(linker.replace_function("two", returns("two", 5))) == "");
  REQUIRE(text(linker.add_module("more", returns("one", 7))) == "");
  CHECK(text(linker.flush(dir.file("no.so"))).find("duplicate symbol") != std::string::npos);
  CHECK(!std::filesystem::exists(dir.file("no.so")));
  CHECK(linker.remove_module("more"));
  CHECK(!linker.remove_module("more"));
  REQUIRE(text(linker.flush(path)) == "");
}

TEST_CASE("Linker: a flush gives back what it opened") {
  test::TempDir dir;
  const std::string object = dir.file("a.o");
  REQUIRE(test::run({"gcc", "-c", dir.write("a.c", "int other(void) { return 3; }"), "-o", object}).ok());
  auto mappings = [] {
    const std::string maps = test::read_file("/proc/self/maps");
    return std::count(maps.begin(), maps.end(), '\n');
  };
  Linker linker({"-shared"});
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  linker.add_file(object);
  long first = 0;
  for (int i = 0; i < 40; i++) {
    REQUIRE(text(linker.flush(dir.file("out.so"))) == "");
    if (i == 1) first = mappings();
  }
  CHECK(mappings() < first + 20);
}

TEST_CASE("Linker: a program of modules needs an entry point") {
  test::TempDir dir;
  Linker linker({"-static"});
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  CHECK(text(linker.flush(dir.file("program"))).find("no entry point: _start is not defined") != std::string::npos);
  CHECK(!std::filesystem::exists(dir.file("program")));
  linker.add_option("--entry=one");
  CHECK(text(linker.flush(dir.file("program"))) == "");
}

// ---- the process stays its owner's ----------------------------------------------------------------------------------

// Counts what nothing in a link may call: this definition is found before the C library's.
static int umask_calls = 0;
extern "C" mode_t umask(mode_t) noexcept {
  umask_calls++;
  return 022;
}

namespace {

// What is written to the process's stdout and stderr, by whatever means, while this lives.
class Caught {
 public:
  explicit Caught(const std::string& path) : path_(path) {
    std::fflush(nullptr);
    const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    for (int k = 0; k < 2; k++) {
      kept_[k] = dup(k + 1);
      dup2(file, k + 1);
    }
    close(file);
  }
  std::string end() {
    std::fflush(nullptr);
    for (int k = 0; k < 2; k++)
      if (kept_[k] >= 0) {
        dup2(kept_[k], k + 1);
        close(kept_[k]);
        kept_[k] = -1;
      }
    return test::read_file(path_);
  }
  ~Caught() { (void)end(); }

 private:
  std::string path_;
  int kept_[2];
};

size_t parallelism() { return tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism); }

}  // namespace

TEST_CASE("Linker: nothing is printed; what options have listed is handed over") {
  test::TempDir dir;
  const std::string object = dir.file("a.o");
  const std::string source = dir.write("a.c", "int other(void) { return 3; }");
  REQUIRE(test::run({"gcc", "-ffunction-sections", "-c", source, "-o", object}).ok());
  Linker linker({"-e", "one", "--gc-sections", "--print-gc-sections", "--print-icf-sections", "--icf=all", "--trace",
                 "--trace-symbol=one", "--print-map", "--cref", "--stats", "-V", "--verbose", "--print-memory-usage",
                 "--why-live=one", "--why-live=other", "--print-dependencies", "--dependency-file=-", "--why-extract=-",
                 "--print-archive-stats=-", "--warn-common", "-z", "execstack"});
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  linker.add_file(object);
  Caught caught(dir.file("caught"));
  const std::string result = text(linker.flush(dir.file("program")));
  const std::string printed = caught.end();
  CHECK(result == "");
  CHECK(printed == "");
  for (const char* part :
       {"Supported emulations", "removing unused section", "a.o\n", "trace-symbol: one: definition of one", "VMA",
        "Cross Reference Table", "peak memory", "Memory region", "live symbol: one in one", "other is not live"}) {
    INFO(part << " in\n" << linker.listing());
    CHECK(linker.listing().find(part) != std::string::npos);
  }
  // The listing is that of the last flush; a request for a list is no link.
  Linker help({"--help"});
  REQUIRE(text(help.flush(dir.file("none"))) == "");
  CHECK(help.listing().find("Usage: lode") == 0);
  CHECK(!std::filesystem::exists(dir.file("none")));
}

TEST_CASE("Linker: umask, working directory and standard output are the host's") {
  test::TempDir dir;
  Linker linker({"-shared"});
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  umask_calls = 0;
  REQUIRE(text(linker.flush(dir.file("out.so"))) == "");
  CHECK(umask_calls == 0);
  // The mode is what the process's umask leaves.
  const std::string status = test::read_file("/proc/self/status");
  const size_t at = status.find("\nUmask:");
  REQUIRE(at != std::string::npos);
  const unsigned mask = unsigned(std::stoul(status.substr(at + 7), nullptr, 8));
  struct stat st;
  REQUIRE(stat(dir.file("out.so").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == (0777 & ~mask));

  CHECK(text(linker.flush("-")).find("the output cannot be standard output") != std::string::npos);
  const auto here = std::filesystem::current_path();
  Linker elsewhere({"-shared", "-C", dir.path()});
  REQUIRE(text(elsewhere.add_module("one", returns("one", 1))) == "");
  CHECK(text(elsewhere.flush("x.so")).find("--directory is for the command") != std::string::npos);
  CHECK(std::filesystem::current_path() == here);
}

TEST_CASE("Linker: warnings of a flush that succeeds, and a handler that gets file and place of what is wrong") {
  test::TempDir dir;
  Linker linker({"-shared", "--no-undefined", "-e", "nowhere"});
  std::vector<link::Diagnostic> told;
  linker.set_diagnostic_handler([&](const link::Diagnostic& d) { told.push_back(d); });
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  CHECK(linker.warnings().empty());
  REQUIRE(text(linker.flush(dir.file("out.so"))) == "");
  const std::vector<std::string> warnings = {"cannot find entry symbol nowhere; the output has no start address"};
  CHECK(linker.warnings() == warnings);
  REQUIRE(told.size() == 1);
  CHECK(told[0].severity == link::Severity::warning);
  CHECK(told[0].text == warnings[0]);
  CHECK(told[0].file == "");

  // An error of a module that is added.
  told.clear();
  const std::string twice = "strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n"
                            "strong func @g() -> i32 {\na:\n  ret i32 %y\n}\n";
  CHECK(!linker.add_module("wrong", twice).ok());
  REQUIRE(told.size() == 2);
  CHECK(told[0].file == "wrong");
  CHECK((told[0].line == 3 && told[0].column == 11));
  CHECK((told[1].line == 7 && told[1].column == 11));
  CHECK(told[1].text == "wrong:7:11: error: '%y' is not defined\n    ret i32 %y\n            ^");

  // An error of the link, and one in a file that it reads. The warning is that of the flush, not of an earlier one.
  told.clear();
  REQUIRE(text(linker.add_module("user", sum)) == "");
  CHECK(!linker.flush(dir.file("out.so")).ok());
  auto about = [&](const char* what) -> const link::Diagnostic& {
    for (const link::Diagnostic& d : told)
      if (d.text.find(what) != std::string::npos) return d;
    static const link::Diagnostic none;
    return none;
  };
  CHECK(about("undefined symbol: two").severity == link::Severity::error);
  CHECK(about("undefined symbol: two").file == "user");
  CHECK(about("undefined symbol: two").place == "sum");
  CHECK(linker.diagnostics().size() == told.size());
  told.clear();
  const std::string air = dir.write("more.air", "strong func @h() -> i32 {\na:\n  ret i32 %z\n}\n");
  linker.add_file(air);
  CHECK(!linker.flush(dir.file("out.so")).ok());
  CHECK(about("'%z' is not defined").file == air);
  CHECK(about("'%z' is not defined").line == 3);
  linker.set_diagnostic_handler({});
  CHECK(!linker.flush(dir.file("out.so")).ok());
}

TEST_CASE("Linker: a flush leaves TBB's limits as they are, during it and after it") {
  test::TempDir dir;
  const size_t before = parallelism();
  std::vector<size_t> during;
  Caught caught(dir.file("caught"));  // TBB, too, may have something to say
  for (const char* threads : {"--threads=1", "--threads=2", "--threads=7"}) {
    Linker linker({"-shared", threads, "-e", "nowhere"});
    linker.set_diagnostic_handler([&](const link::Diagnostic&) { during.push_back(parallelism()); });
    REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
    REQUIRE(text(linker.flush(dir.file("out.so"))) == "");
    CHECK(parallelism() == before);
  }
  CHECK(during == std::vector<size_t>(3, before));
  // One that the host set stays in force, too.
  tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 1);
  Linker linker({"-shared", "--threads=4"});
  REQUIRE(text(linker.add_module("one", returns("one", 1))) == "");
  const std::string result = text(linker.flush(dir.file("out.so")));
  CHECK(caught.end() == "");
  CHECK(result == "");
  CHECK(parallelism() == 1);
}

TEST_CASE("Linker: two at once, each on a thread of its own") {
  test::TempDir dir;
  std::vector<std::string> problems(2);
  std::vector<std::thread> threads;
  for (int k = 0; k < 2; k++)
    threads.emplace_back([&, k] {
      Linker linker({"-shared", "-e", "nowhere"});
      problems[k] = text(linker.add_module("m", returns("f", k)));
      for (int n = 0; n < 20 && problems[k].empty(); n++) {
        problems[k] = text(linker.flush(dir.file(std::to_string(k) + ".so")));
        if (linker.warnings().size() != 1) problems[k] += " and not one warning";
      }
    });
  for (std::thread& t : threads) t.join();
  for (int k = 0; k < 2; k++) {
    CHECK(problems[k] == "");
    CHECK(call(dir.file(std::to_string(k) + ".so"), "f") == k);
  }
}

TEST_CASE("Linker: data are replaced; what is removed is undefined, or an archive's") {
  LODE_NEEDS("clang-19", "ar");
  test::TempDir dir;
  auto object = [&](const std::string& name, const std::string& source) {
    const std::string out = dir.file(name + ".o");
    REQUIRE(test::run({"clang-19", "-O1", "-fPIC", "-c", dir.write(name + ".c", source), "-o", out}).ok());
    return out;
  };
  const std::string user = object("user", "int get(void); extern int limit; int sum(void) { return get() + limit; }");
  const std::string own = object("own", "int limit = 40; int get(void) { return 1; }");
  const std::string library = dir.file("libget.a"), spare = object("spare", "int get(void) { return 2; }");
  REQUIRE(test::run({"ar", "rc", library, spare}).ok());
  Linker linker({"-shared", "-Bsymbolic", "--no-undefined"});
  linker.add_file(user);
  linker.add_file(own);
  int version = 0;
  auto result = [&] {
    const std::string path = dir.file(std::to_string(version++) + ".so");
    REQUIRE(text(linker.flush(path)) == "");
    return call(path, "sum");
  };
  CHECK(result() == 41);
  // Each kind of module replaces an object's datum; a function does not.
  CHECK(text(linker.replace_data("limit", "strong data @limit : i32 = 50\n")) == "");
  CHECK(result() == 51);
  const std::string more = object("more", "int limit = 60;");
  const std::string contents = test::read_file(more);
  CHECK(text(linker.replace_data("limit", span_of(contents))) == "");
  CHECK(result() == 61);
  CHECK(text(linker.replace_data("limit", returns("limit", 1))) ==
        "the replacement does not define data limit that others can see");
  CHECK(result() == 61);
  linker.remove_symbol("limit");
  CHECK(text(linker.flush(dir.file("no.so"))).find("undefined symbol: limit") != std::string::npos);
  CHECK(linker.restore_symbol("limit"));
  CHECK(!linker.restore_symbol("limit"));
  CHECK(result() == 41);
  linker.remove_symbol("get");
  CHECK(text(linker.flush(dir.file("no.so"))).find("undefined symbol: get") != std::string::npos);
  linker.add_file(library);
  CHECK(result() == 42);
  // Two removed definitions are no double definition, and nobody has to refer to what is removed.
  REQUIRE(text(linker.add_module("again", returns("get", 9))) == "");
  CHECK(result() == 42);
  CHECK(linker.restore_symbol("get"));
  CHECK(text(linker.flush(dir.file("no.so"))).find("duplicate symbol: ") != std::string::npos);
  CHECK(linker.remove_module("again"));
  linker.remove_symbol("nobody_has_it");
  CHECK(result() == 41);
}

TEST_CASE("Linker: memory stays what it is over many flushes") {
#ifdef __SANITIZE_ADDRESS__
  LODE_SKIP("AddressSanitizer keeps what was freed");
#endif
  auto resident = [] {
    long pages = 0, unused = 0;
    if (FILE* f = std::fopen("/proc/self/statm", "r")) {
      if (std::fscanf(f, "%ld %ld", &unused, &pages) != 2) pages = 0;
      std::fclose(f);
    }
    return pages * sysconf(_SC_PAGESIZE);
  };
  Linker linker({"-shared", "-Bsymbolic", "--threads=2"});
  long early = 0;
  for (int k = 0; k < 1000; k++) {
    REQUIRE(text(linker.replace_function("one", returns("one", k))) == "");
    REQUIRE(linker.flush_to_memory().ok());
    if (k == 200) early = resident();
  }
  INFO(early << " and " << resident());
  CHECK(resident() < early + (2 << 20));
}

TEST_CASE("Linker: what is wrong with options is known before a flush") {
  CHECK(text(Linker({"-shared", "-O2"}).check_options()) == "");
  CHECK(text(Linker({"--no-such-option"}).check_options()).find("--no-such-option") != std::string::npos);
  CHECK(text(Linker({"-m", "wasm32", "--no-such-option"}).check_options()).find("--no-such-option") !=
        std::string::npos);
  CHECK(text(Linker({"-m", "wasm32", "--no-entry"}).check_options()) == "");
  for (const std::vector<std::string>& wasm : {std::vector<std::string>{}, {"-m", "wasm32"}}) {
    Linker linker(wasm);
    linker.add_option("--watch");
    CHECK(text(linker.check_options()) == "--watch is for the command");
  }
}

// What a Linker keeps between flushes is not seen in what it writes: after every edit the output is that of a new
// Linker.
TEST_CASE("Linker: after any sequence of edits a flush writes what a new Linker writes") {
  LODE_NEEDS("clang-19");
  test::TempDir dir;
  auto bitcode = [&](const std::string& name, const std::string& source) {
    const std::string c = dir.write(name + ".c", source), out = dir.file(name + ".bc");
    test::RunResult r = test::run({"clang-19", "-c", "-O1", "-fPIC", "-emit-llvm", c, "-o", out});
    INFO(r.describe());
    REQUIRE(r.ok());
    return test::read_file(out);
  };
  const std::string shapes =
      "extern int edited(int); extern int other(int); static const char* names[] = {\"one\", \"two\", \"three\"};\n"
      "int pick(int x) { switch (x) { case 1: return 5; case 2: return 7; case 3: return 11; case 4: return edited(x); "
      "case 5: return 2; } return names[x & 1][0]; }\n"
      "int loop(int n) { int s = 0; for (int i = 0; i < n; i++) s += other(i) * pick(i); return s; }\n"
      "int jump(int n) { static void* where[] = {&&a, &&b}; goto *where[n & 1]; a: return edited(1); b: return "
      "other(2); }\n";
  const std::vector<std::string> variants = {
      bitcode("v0", shapes), bitcode("v1", "int first(void) { return 4; }\n" + shapes),
      bitcode("v2", shapes + "const char* more(void) { return \"a string\"; }\n")};
  std::map<std::string, std::string> modules, replacements, data;
  std::set<std::string> removed;
  auto fill = [&](Linker& l) {
    for (auto& [name, contents] : modules) REQUIRE(text(l.add_module(name, span_of(contents))) == "");
    for (auto& [name, contents] : replacements) REQUIRE(text(l.replace_function(name, contents)) == "");
    for (auto& [name, contents] : data) REQUIRE(text(l.replace_data(name, contents)) == "");
    for (const std::string& name : removed) l.remove_symbol(name);
  };
  const std::vector<std::string> options{"-shared", "-Bsymbolic", "--unresolved-symbols=ignore-all", "--icf=all"};
  Linker kept(options);
  uint32_t seed = 7;
  auto next = [&](uint32_t n) { return seed = seed * 1664525 + 1013904223, (seed >> 10) % n; };
  modules["m"] = variants[0];
  modules["n"] =
      "strong func @edited(%x: i32) -> i32 {\na:\n  ret i32 %x\n}\nstrong func @other(%x: i32) -> i32 {\na:\n  %y = "
      "mul i32 %x, %x\n  ret i32 %y\n}\nstrong data @limit : i32 = 5\n";
  for (int step = 0; step < 60; step++) {
    switch (next(10)) {
      case 0: modules["m"] = variants[next(3)]; break;
      case 1:
        replacements["edited"] = "strong func @edited(%x: i32) -> i32 {\na:\n  %y = add i32 %x, " +
                                 std::to_string(next(3) * 100000) + "\n  ret i32 %y\n}\n";
        break;
      case 2:
        replacements["pick"] =
            "declare func @edited(i32) -> i32\nstrong func @pick(%x: i32) -> i32 {\na:\n  %y = call i32 @edited(i32 " +
            std::to_string(next(2)) + ")\n  ret i32 %y\n}\n";
        break;
      case 3:
        if (replacements.empty()) break;
        kept.restore_function(replacements.begin()->first);
        replacements.erase(replacements.begin());
        break;
      case 4: data["limit"] = "strong data @limit : i32 = " + std::to_string(next(3)) + "\n"; break;
      case 5: data.clear(), kept.restore_symbol("limit"); break;
      case 6: removed.insert(next(2) ? "jump" : "extra"); break;
      case 7:
        for (const std::string& name : removed) CHECK(kept.restore_symbol(name));
        removed.clear();
        break;
      case 8: modules["z"] = returns("extra", int(next(3))); break;
      default: modules.erase("z"), kept.remove_module("z"); break;
    }
    INFO("step " << step);
    fill(kept);
    Linker fresh(options);
    fill(fresh);
    const std::string a = dir.file("kept.so"), b = dir.file("fresh.so");
    REQUIRE(text(kept.flush(a)) == "");
    REQUIRE(text(fresh.flush(b)) == "");
    CHECK((test::read_file(a) == test::read_file(b)));
    if (next(4) == 0) {  // a flush that fails changes nothing
      CHECK(text(kept.flush("/nowhere/x")) != "");
    }
  }
}
