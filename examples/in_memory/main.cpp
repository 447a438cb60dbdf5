// A program that makes code and runs it, without a file: a function is built, linked into a shared library in memory,
// and called; it is replaced, linked again, and called again. The loader is given a file that has no name anywhere
// (memfd_create), through /proc/self/fd. The same function as a WebAssembly module shows that only the options differ.
//
//   in_memory [N]      the sum of squares up to N, and then of cubes
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "lode/codegen/air/builder.h"
#include "lode/link/linker.h"

namespace {

using namespace lode;

// long sum(long n): the sum over 1 .. n of i to the power.
Result<air::Module> sum_of_powers(int power, const air::DataLayout& layout = {}) {
  air::ModuleBuilder m("sum", layout);
  const air::TypeId i64 = m.i64();
  air::FunctionBuilder f(m, m.declare_function("sum", m.function_type(i64, {i64})));
  const air::BlockId loop = f.add_block({i64, i64}), done = f.add_block();
  f.br(loop, {f.integer(i64, 0), f.integer(i64, 0)});
  f.switch_to(loop);
  const air::ValueId i = f.block_param(loop, 0), total = f.block_param(loop, 1);
  air::ValueId term = i;
  for (int k = 1; k < power; k++) term = f.binary(air::Op::mul, term, i);
  const air::ValueId next = f.binary(air::Op::add, i, f.integer(i64, 1)), sum = f.binary(air::Op::add, total, term);
  f.cond_br(f.icmp(air::IntPredicate::slt, i, f.param(0)), loop, {next, sum}, done, {});
  f.switch_to(done);
  f.ret(sum);
  f.finish();
  return m.take();
}

// A shared library of these bytes, which the process then has; null if it has not.
void* load(std::span<const uint8_t> bytes) {
  const int fd = memfd_create("code", MFD_CLOEXEC);
  if (fd < 0) return nullptr;
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = write(fd, bytes.data() + at, bytes.size() - at);
    if (n <= 0) break;
    at += size_t(n);
  }
  void* library =
      at == bytes.size() ? dlopen(("/proc/self/fd/" + std::to_string(fd)).c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  close(fd);  // the loader has mapped what it needs
  return library;
}

template <class T>
bool good(const Result<T>& r) {
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().text().c_str());
  return r.ok();
}

bool link_and_call(link::Linker& linker, const char* what, long n) {
  auto bytes = linker.flush_to_memory(what);
  if (!good(bytes)) return false;
  void* library = load(*bytes);
  if (!library) {
    std::fprintf(stderr, "%s\n", dlerror());
    return false;
  }
  auto sum = reinterpret_cast<long (*)(long)>(dlsym(library, "sum"));
  if (sum) std::printf("the sum of %s to %ld is %ld\n", what, n, sum(n));
  dlclose(library);
  return sum != nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const long n = argc > 1 ? std::atol(argv[1]) : 10;
  link::Linker linker({"-shared"});
  auto squares = sum_of_powers(2), cubes = sum_of_powers(3);
  if (!good(squares) || !good(cubes)) return 1;
  if (!good(linker.add_module("sum", *squares)) || !link_and_call(linker, "squares", n)) return 1;
  if (!good(linker.replace_function("sum", *cubes)) || !link_and_call(linker, "cubes", n)) return 1;

  air::DataLayout layout;
  layout.pointer_bytes = 4;
  auto portable = sum_of_powers(2, layout);
  link::Linker wasm({"-m", "wasm32", "--no-entry", "--export=sum"});
  if (!good(portable) || !good(wasm.add_module("sum", *portable))) return 1;
  auto module = wasm.flush_to_memory();
  if (!good(module)) return 1;
  std::printf("as WebAssembly it has %zu bytes\n", module->size());
  return 0;
}
