// A compiler's view of lode: a linker kept in the process, as an interactive language would have it. Adds a module,
// flushes, loads and calls it; replaces one function, flushes, calls again; flushes twice and compares the bytes.
//
//   usage: in_process [folder for the outputs]
#include <dlfcn.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "lode/link/linker.h"

namespace {

// price(n) = n * rate(), 100 more from the tenth on.
const char* shop = R"(
strong func @rate() -> i64 {
start:
  ret i64 3
}

strong func @price(%n: i64) -> i64 {
start:
  %rate = call i64 @rate()
  %p = mul i64 %n, %rate
  %many = icmp uge i64 %n, 10
  cond_br %many, large, small(%p)
large:
  %q = add i64 %p, 100
  br small(%q)
small(%r: i64):
  ret i64 %r
}
)";

const char* new_rate = R"(
strong func @rate() -> i64 {
start:
  ret i64 5
}
)";

std::string read(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}

long call(const std::string& path, long n) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    std::printf("%s\n", dlerror());
    return -1;
  }
  auto price = reinterpret_cast<long (*)(long)>(dlsym(library, "price"));
  long result = price ? price(n) : -1;
  dlclose(library);
  return result;
}

bool check(const char* what, lode::Result<void> r) {
  if (!r.ok()) std::printf("%s: %s\n", what, r.error().text().c_str());
  return r.ok();
}

}  // namespace

int main(int argc, char** argv) {
  std::string folder = argc > 1 ? argv[1] : ".";
  lode::link::Linker linker({"-shared", "-Bsymbolic"});
  if (!check("add", linker.add_module("shop", shop))) return 1;

  if (!check("flush", linker.flush(folder + "/shop1.so"))) return 1;
  std::printf("price(4) = %ld, price(10) = %ld\n", call(folder + "/shop1.so", 4), call(folder + "/shop1.so", 10));

  if (!check("replace", linker.replace_function("rate", new_rate))) return 1;
  if (!check("flush", linker.flush(folder + "/shop2.so"))) return 1;
  std::printf("price(4) = %ld, price(10) = %ld\n", call(folder + "/shop2.so", 4), call(folder + "/shop2.so", 10));

  if (!check("flush", linker.flush(folder + "/shop3.so"))) return 1;
  bool same = read(folder + "/shop2.so") == read(folder + "/shop3.so");
  std::printf("flushed twice: %s\n", same ? "equal bytes" : "DIFFERENT bytes");

  // What cannot be linked is an error value, and no output.
  linker.add_option("--no-undefined");
  if (!check("add", linker.add_module("broken",
                                      "declare func @nowhere() -> void\nstrong func @f() -> void {\nstart:\n  call "
                                      "void @nowhere()\n  ret\n}\n")))
    return 1;
  std::remove((folder + "/shop4.so").c_str());
  lode::Result<void> failed = linker.flush(folder + "/shop4.so");
  std::printf("undefined function: %s\n", failed.ok() ? "NOT NOTICED" : "an error, as it should be");
  bool right = call(folder + "/shop1.so", 4) == 12 && call(folder + "/shop1.so", 10) == 130 &&
               call(folder + "/shop2.so", 4) == 20 && call(folder + "/shop2.so", 10) == 150 && same && !failed.ok() &&
               read(folder + "/shop4.so").empty();
  return right ? 0 : 1;
}
