// The linker as a library: modules of every kind from memory, replacement, flushing twice, errors as values.
#include <dlfcn.h>

#include <catch2/catch.hpp>

#include "codegen/air/builder.h"
#include "link/linker.h"
#include "tests/support/run.h"
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

std::span<const uint8_t> span_of(const std::string& s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

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
  const air::Module two = b.take();
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
  CHECK(text(linker.replace_function("one", two)) == "the replacement does not define a function one that others can see");
  CHECK(text(linker.replace_function("one", returns("one", 4))) == "");
  CHECK(result() == 24);
  if (test::have_tool("clang-19")) {
    for (const std::string kind : {"-emit-llvm", "-fPIC"}) {
      const std::string out = dir.file("x" + kind);
      REQUIRE(test::run({"clang-19", "-O1", "-c", kind, dir.write("x.c", "int two(void) { return 50; }"), "-o", out}).ok());
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
  CHECK(text(linker.add_module("m", "strong func @f() -> i32 {\na:\n  ret i32 %x\n}\n")) == "m:3:11: error: '%x' is not defined\n    ret i32 %x\n            ^");
  CHECK(text(linker.add_module("m", "\x7f" "ELF and so on")) != "");
  CHECK(text(linker.add_module("m", "BC\xc0\xde and so on")) != "");
  air::ModuleBuilder b("broken");
  {
    air::FunctionBuilder f(b, b.declare_function("f", b.function_type(b.i32(), {})));
    f.ret(f.integer(b.i64(), 1));
    f.finish();
  }
  CHECK(text(linker.add_module("m", b.take())) == "m: error: f, block 0, instruction 0: ret: the result has type i64, expected i32");
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
