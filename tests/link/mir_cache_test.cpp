// --mir-cache: whatever the folder holds, the output is that of a link without it; and what can be taken is taken.
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "tests/link/elf_link_support.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

namespace fs = std::filesystem;

// C++ with what a function can refer to: strings, statics, thread-local data, virtual tables, exceptions, labels,
// functions of the run-time library (128-bit division), assembly that names a symbol, weak and undefined weak symbols,
// a switch by table.
const char* source = R"(
#include <stdexcept>
#include <string>
#include <cstdio>
#ifndef TEXT
#define TEXT "first"
#endif
#ifdef CHANGED
static const char* added() { return "a string that only the changed source has"; }
struct Added { int a, b, c; };
#endif
extern "C" __attribute__((weak)) void nobody(void);
extern "C" __attribute__((visibility("hidden"))) int by_name = 5;
thread_local int counter = 3;
static int table[4] = {1, 2, 3, 4};
struct Base { virtual ~Base() {} virtual int f(int x) { return x + counter; } };
struct Derived : Base { int f(int x) override { if (x > 10) throw std::runtime_error(std::string("too large: ") + std::to_string(x)); return table[x & 3]; } };
int pick(int x) { switch (x) { case 0: return 7; case 1: return 11; case 2: return 13; case 3: return 17; case 4: return 19; default: return x; } }
static int goes(int n) { static const void* where[] = {&&a, &&b}; goto *where[n & 1]; a: return 1; b: return 2; }
unsigned long wide(unsigned __int128 a, unsigned __int128 b) { return (unsigned long)(a / b); }
int reads() { int v; asm("movl by_name(%%rip), %0" : "=r"(v)); return v; }
int edited(int x) {
#ifdef CHANGED
  Added s{x, 1, 2}; std::puts(added()); return s.a + s.b + s.c;
#else
  return x;
#endif
}
int main(int argc, char** argv) {
  Derived d; Base b; Base* both[] = {&d, &b};
  int sum = pick(argc) + goes(argc) + reads() + (nobody ? 1 : 0) + int(wide((unsigned __int128)1 << 70, 3)) + edited(argc);
  try { for (Base* x : both) sum += x->f(argc + 20); } catch (std::exception& e) { std::puts(e.what()); }
  std::printf("%s %d\n", TEXT, sum);
}
)";

std::string compile_module(const TempDir& dir, const std::string& name, const Args& flags) {
  std::string in = dir.write(name + ".cpp", source), out = dir.file(name + ".o");
  RunResult r = run(Args{"clang++-19", "-c", "-flto", "-fPIE", in, "-o", out} + flags);
  INFO(r.describe());
  REQUIRE(r.ok());
  return out;
}

struct Program {
  TempDir dir;
  std::string cache = dir.file("cache");

  // Links `object` as `kind` says, through the C++ driver.
  RunResult link(const std::string& object, const std::string& out, const Args& kind, const Args& more = {}) {
    return run(Args{"clang++-19", "-flto", std::string("--ld-path=") + LODE_BINARY, object, "-o", dir.file(out)} +
               kind + more);
  }
  std::string plain(const std::string& object, const Args& kind) {
    RunResult r = link(object, "plain", kind);
    INFO(r.describe());
    REQUIRE(r.ok());
    return read_file(dir.file("plain"));
  }
  // With the cache: the bytes, and what --mir-cache-stats says.
  std::string cached(const std::string& object, const Args& kind, const Args& more = {}) {
    RunResult r = link(object, "cached", kind, Args{"-Wl,--mir-cache=" + cache, "-Wl,--mir-cache-stats"} + more);
    INFO(r.describe());
    REQUIRE(r.ok());
    said = r.out;
    return read_file(dir.file("cached"));
  }
  uint64_t count(const std::string& what) {
    const size_t at = said.find(what);
    REQUIRE(at != std::string::npos);
    return std::stoull(said.substr(at + what.size()));
  }
  std::string said;
};

const Args kinds[] = {{"-no-pie", "-static"}, {"-pie"}, {"-shared", "-fPIC"}, {"-r", "-nostdlib"}};

}  // namespace

TEST_CASE("MIR cache: cold, warm and after a change the output is that of a link without it") {
  LODE_NEEDS("clang++-19");
  Program p;
  for (const char* level : {"-O0", "-O2"}) {
    const std::string object = compile_module(p.dir, std::string("m") + level, {level}),
                      changed = compile_module(p.dir, std::string("c") + level, {level, "-DCHANGED"});
    // The same name, as after an edit.
    const std::string edited = p.dir.file("edited/m" + std::string(level) + ".o");
    fs::create_directories(p.dir.file("edited"));
    fs::copy_file(changed, edited, fs::copy_options::overwrite_existing);
    for (const Args& kind : kinds) {
      INFO(level << " " << kind[0]);
      const std::string plain = p.plain(object, kind), plain_changed = p.plain(edited, kind);
      CHECK((p.cached(object, kind) == plain));
      const uint64_t functions = p.count("functions made          ");
      CHECK(functions > 5);
      CHECK((p.cached(object, kind) == plain));
      CHECK(p.count("functions made          ") == p.count("that cannot be kept   "));
      CHECK(p.count("known as a whole      ") == 1);
      CHECK((p.cached(edited, kind) == plain_changed));
      CHECK(p.count("known as a whole      ") == 0);
      // What the edit touched, what is bound to its module (reads()), and no more than a few.
      CHECK(p.count("functions made          ") >= 1);
      CHECK(p.count("functions made          ") <= 6);
      CHECK((p.cached(edited, kind) == plain_changed));
      CHECK(p.count("known as a whole      ") == 1);
      CHECK((p.cached(object, kind, {"-Wl,--threads=1"}) == plain));
    }
  }
  const std::string object = p.dir.file("m-O2.o");
  CHECK(run({p.dir.file("cached")}).status != 0);  // -r's output is no program: the last of the kinds
  REQUIRE((p.cached(object, {"-pie"}) == p.plain(object, {"-pie"})));
  RunResult r = run({p.dir.file("cached")});
  INFO(r.describe());
  CHECK(has(r.out, "too large: 21\nfirst "));
}

TEST_CASE("MIR cache: what the link decides about symbols is part of what is looked for") {
  LODE_NEEDS("clang++-19");
  Program p;
  const std::string user = p.dir.file("user.o"), inside = p.dir.file("inside.o"), library = p.dir.file("liboutside.so");
  auto clang = [&](const Args& args) { REQUIRE(run(Args{"clang-19"} + args).ok()); };
  clang({"-c", "-flto", "-O1", "-fPIC", "-x", "c",
         p.dir.write("user.c", "extern int value; int main(void) { return value; }"), "-o", user});
  clang({"-c", "-flto", "-O1", "-fPIC", "-x", "c", p.dir.write("inside.c", "int value = 4;"), "-o", inside});
  clang({"-shared", "-fPIC", "-x", "c", p.dir.write("outside.c", "int value = 9;"), "-o", library});
  for (const Args& order : {Args{inside}, Args{library}, Args{inside}, Args{library}}) {
    RunResult r = run(Args{"clang-19", "-flto", std::string("--ld-path=") + LODE_BINARY, "-pie", user, "-o",
                           p.dir.file("out"), "-Wl,--mir-cache=" + p.cache, "-Wl,-rpath," + p.dir.path()} +
                      order);
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(run({p.dir.file("out")}).status == (order[0] == inside ? 4 : 9));
  }
}

TEST_CASE("MIR cache: damaged, cut, exchanged and foreign files are misses") {
  LODE_NEEDS("clang++-19");
  Program p;
  const std::string object = compile_module(p.dir, "m", {"-O1"});
  const Args kind{"-r", "-nostdlib"};
  const std::string plain = p.plain(object, kind);
  p.cached(object, kind);
  std::map<std::string, std::string> files;
  for (const auto& e : fs::directory_iterator(p.cache)) files[e.path().string()] = read_file(e.path().string());
  REQUIRE(files.size() == 3);
  auto restore = [&] {
    fs::remove_all(p.cache);
    fs::create_directory(p.cache);
    fs::permissions(p.cache, fs::perms::owner_all);
    for (auto& [path, bytes] : files) p.dir.write(fs::relative(path, p.dir.path()).string(), bytes);
  };
  auto try_with = [&](const std::string& path, const std::string& bytes) {
    restore();
    p.dir.write(fs::relative(path, p.dir.path()).string(), bytes);
    CHECK((p.cached(object, kind) == plain));
  };
  uint32_t seed = 1;
  auto next = [&] { return seed = seed * 1664525 + 1013904223, seed >> 8; };
  for (auto& [path, bytes] : files) {
    INFO(path);
    try_with(path, "");
    try_with(path, bytes.substr(0, bytes.size() / 2));
    try_with(path, bytes + bytes);
    for (int k = 0; k < 6; k++) {
      std::string damaged = bytes;
      damaged[k == 0 ? 9 : next() % damaged.size()] ^= char(1 << next() % 8);
      try_with(path, damaged);
    }
    for (auto& [other, theirs] : files) try_with(path, theirs);
    restore();
    fs::remove(path);
    fs::create_symlink("/dev/zero", path);
    CHECK((p.cached(object, kind) == plain));
  }
}

TEST_CASE(
    "MIR cache: a folder that others can write to is not used, one that cannot be made is said, and the link goes on") {
  LODE_NEEDS("clang++-19");
  Program p;
  const std::string object = compile_module(p.dir, "m", {"-O1"});
  const Args kind{"-r", "-nostdlib"};
  const std::string plain = p.plain(object, kind);
  fs::create_directory(p.cache);
  fs::permissions(p.cache, fs::perms::all);
  RunResult r = p.link(object, "out", kind, {"-Wl,--mir-cache=" + p.cache});
  CHECK(r.ok());
  CHECK(has(r.err, "warning: --mir-cache: " + p.cache + ": can be written to by others"));
  CHECK(fs::is_empty(p.cache));
  CHECK((read_file(p.dir.file("out")) == plain));
  r = p.link(object, "out", kind, {"-Wl,--mir-cache=" + object + "/x"});
  CHECK(r.ok());
  CHECK(has(r.err, "warning: --mir-cache: " + object + "/x: cannot be made: Not a directory"));
  CHECK((read_file(p.dir.file("out")) == plain));
}

TEST_CASE("MIR cache: the folder stays within its limit, and several links may share it") {
  LODE_NEEDS("clang++-19");
  Program p;
  auto size = [&] {
    uint64_t sum = 0;
    for (const auto& e : fs::directory_iterator(p.cache)) sum += e.file_size();
    return sum;
  };
  std::vector<std::string> objects;
  for (int k = 0; k < 6; k++)
    objects.push_back(compile_module(p.dir, "m" + std::to_string(k), {"-O1", "-DTEXT=\"" + std::to_string(k) + "\""}));
  const Args kind{"-r", "-nostdlib"};
  p.cached(objects[0], kind);
  const uint64_t one = size();
  for (const std::string& o : objects) {
    const std::string plain = p.plain(o, kind);
    CHECK((p.cached(o, kind, {"-Wl,--mir-cache-size=" + std::to_string(one * 2)}) == plain));
    CHECK(size() <= one * 2);
  }
  std::vector<std::thread> threads;
  std::vector<std::string> outputs(8);
  for (size_t k = 0; k < outputs.size(); k++)
    threads.emplace_back([&, k] {
      const std::string out = "shared" + std::to_string(k);
      for (int again = 0; again < 3; again++)
        if (p.link(objects[k % 2], out, kind, {"-Wl,--mir-cache=" + p.cache}).ok())
          outputs[k] = read_file(p.dir.file(out));
    });
  for (std::thread& t : threads) t.join();
  for (size_t k = 0; k < outputs.size(); k++) CHECK((outputs[k] == p.plain(objects[k % 2], kind)));
}
