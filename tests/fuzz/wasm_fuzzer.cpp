// Any bytes as a wasm object: the reader takes them apart or says why not; what it accepts is linked and relinked,
// which must end in a module that the reader accepts, or in messages.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "formats/wasm/reader.h"
#include "link/wasm/link.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lode;
  std::span<const uint8_t> bytes(data, size);
  auto module = formats::wasm::read(bytes);
  if (!module.ok() || !module->relocatable) return 0;
  for (int relocatable = 0; relocatable < 2; relocatable++) {
    link::wasm::Options options;
    options.relocatable = relocatable;
    options.no_entry = options.export_all = true;
    options.gc_sections = size % 2;
    options.error_limit = 1;
    options.no_warnings = true;
    options.threads = 1;
    options.unresolved = link::wasm::Unresolved::import_dynamic;
    link::wasm::Link link(options);
    link.diagnostics.quiet = true;
    link.add_bytes(bytes, "fuzz.o", true, false);
    std::vector<uint8_t> out = link.flush();
    if (!out.empty() && !formats::wasm::read(out).ok()) std::abort();
  }
  return 0;
}
