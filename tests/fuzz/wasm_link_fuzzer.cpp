// Whole links of wasm objects in the process: an object, changed by the mutator of mutate/wasm.h, is linked with one
// that is in order. What comes out is empty or a module that the reader accepts; what -r makes is linked once more,
// into a program.
//
// The options are chosen by the trailer of the input (mutate/input.h).
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "formats/wasm/reader.h"
#include "link/wasm/link.h"
#include "tests/fuzz/mutate/input.h"
#include "tests/fuzz/mutate/wasm.h"

using namespace lode;

namespace {

std::vector<uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

link::wasm::Options chosen_options(uint64_t seed) {
  fuzz::Random random(seed);
  link::wasm::Options o;
  o.error_limit = 20;
  o.no_warnings = true;
  o.threads = 1;
  o.relocatable = seed % 4 == 1;
  o.memory64 = random.one_in(8);
  o.no_entry = !random.one_in(8);
  o.gc_sections = random.one_in(2);
  o.export_all = random.one_in(3);
  o.export_dynamic = random.one_in(3);
  o.unresolved = random.one_in(8)   ? link::wasm::Unresolved::report
                 : random.one_in(2) ? link::wasm::Unresolved::import_dynamic
                                    : link::wasm::Unresolved::ignore;
  o.import_undefined = random.one_in(4);
  o.strip_all = random.one_in(8);
  o.strip_debug = random.one_in(4);
  o.merge_data_segments = !random.one_in(4);
  o.optimize = unsigned(random.below(3));
  o.compress = !random.one_in(4);
  o.check_features = !random.one_in(2);
  o.shared_memory = random.one_in(8);
  if (o.shared_memory) o.max_memory = 1 << 24;
  o.import_memory = random.one_in(6);
  o.export_memory = random.one_in(6);
  o.export_table = random.one_in(6);
  o.import_table = !o.export_table && random.one_in(6);
  o.growable_table = random.one_in(6);
  o.stack_first = random.one_in(4);
  if (random.one_in(8)) o.table_base = random.below(1000);
  if (random.one_in(8)) o.exports.push_back("main");
  if (random.one_in(8)) o.wraps.push_back("callee");
  if (random.one_in(8)) o.build_id = link::BuildId::sha1;
  if (random.one_in(8)) o.map_file = "/dev/null";
  return o;
}

std::vector<uint8_t> link_one(std::span<const uint8_t> file, const link::wasm::Options& options, bool with_companion) {
  static const std::vector<uint8_t> companion = read_file(LODE_FUZZ_CORPUS "/wasm_link/companion"),
                                    companion64 = read_file(LODE_FUZZ_CORPUS "/wasm_link/companion-64");
  link::wasm::Link link(options);
  link.diagnostics.quiet = true;
  if (with_companion) link.add_bytes(options.memory64 ? companion64 : companion, "second.o", true, false);
  link.add_bytes(file, "first.o", true, false);
  std::vector<uint8_t> out = link.flush();
  if (!out.empty() && !formats::wasm::read(out).ok()) {
    std::fprintf(stderr, "the output is no module: %s\n", formats::wasm::read(out).error().text().c_str());
    std::abort();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Input in(data, size);
  if (!formats::wasm::is_wasm(in.file)) return 0;  // bitcode and text have fuzzers of their own
  const link::wasm::Options options = chosen_options(in.options);
  std::vector<uint8_t> out = link_one(in.file, options, true);
  if (!options.relocatable || out.empty()) return 0;
  link::wasm::Options program = chosen_options(in.options);
  program.relocatable = false;
  (void)link_one(out, program, false);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::mutate_input(data, size, max_size, seed, fuzz::mutate_wasm);
}
