// Bitcode through whole links, as ir_sweep.py and the mutator of mutate/bitcode.h make it: for x86_64 into an object
// and a shared library, for wasm into an object and a module. A module is for one of the two machines; the other's link
// refuses it.
//
// For ir_sweep.py: with LODE_FUZZ_OUT in the environment, wasm modules are written to that folder under the name of the
// input, for a validator, and every link that succeeds is told on standard output.
#include <cstdlib>
#include <fstream>
#include <string>

#include "formats/wasm/reader.h"
#include "link/elf/elf_main.h"
#include "link/wasm/link.h"
#include "tests/fuzz/mutate/bitcode.h"
#include "tests/fuzz/mutate/input.h"

using namespace lode;

extern "C" const char* fuzz_input_name __attribute__((weak));  // replay.cpp

namespace {

bool names_wasm(std::span<const uint8_t> file) {
  return std::string_view(reinterpret_cast<const char*>(file.data()), file.size()).find("wasm") !=
         std::string_view::npos;
}

void done() {
  if (std::getenv("LODE_FUZZ_OUT")) std::printf("linked\n");
}

void link_native(std::span<const uint8_t> file, bool relocatable, uint64_t options) {
  std::vector<std::string> args{
      "ld.lode",      "--threads=1", relocatable ? "-r" : "-shared", "-znotext", "--unresolved-symbols=ignore-all",
      "--no-warnings"};
  if (options & 1) args.push_back("--gc-sections");
  if (options & 2) args.push_back("--icf=all");
  args.insert(args.end(), {"module", "-o", "/dev/null"});
  const link::elf::MemoryInput memory[] = {{"module", "module.bc", file}};
  link::elf::Host host;
  int status = link::elf::main_with(args, memory, &host);
  if (!status) done();
  if (std::getenv("LODE_FUZZ_VERBOSE")) std::fprintf(stderr, "x86_64: status %d\n%s", status, host.messages.c_str());
}

void link_wasm(std::span<const uint8_t> file, bool relocatable, uint64_t options) {
  link::wasm::Options o;
  o.relocatable = relocatable;
  o.no_entry = o.export_all = true;
  o.no_warnings = true;
  o.check_features = false;
  o.threads = 1;
  o.error_limit = 20;
  o.gc_sections = options & 1;
  o.unresolved = link::wasm::Unresolved::import_dynamic;
  link::wasm::Link link(o);
  std::string messages;
  link.diagnostics.sink = &messages;
  link.add_bytes(file, "module.bc", true, false);
  std::vector<uint8_t> out = link.flush();
  if (std::getenv("LODE_FUZZ_VERBOSE")) std::fprintf(stderr, "wasm: %zu bytes\n%s", out.size(), messages.c_str());
  if (out.empty()) return;
  if (!formats::wasm::read(out).ok()) {
    std::fprintf(stderr, "the output is no module: %s\n", formats::wasm::read(out).error().text().c_str());
    std::abort();
  }
  done();
  if (const char* folder = std::getenv("LODE_FUZZ_OUT"); folder && &fuzz_input_name && !relocatable)
    std::ofstream(folder + ("/" + std::string(fuzz_input_name)) + ".wasm", std::ios::binary)
        .write(reinterpret_cast<const char*>(out.data()), std::streamsize(out.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Input in(data, size);
  if (in.file.size() < 4 || in.file[0] != 'B' || in.file[1] != 'C') return 0;
  for (bool relocatable : {false, true}) {
    if (names_wasm(in.file)) link_wasm(in.file, relocatable, in.options);
    else link_native(in.file, relocatable, in.options);
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::mutate_input(data, size, max_size, seed, fuzz::mutate_bitcode);
}
