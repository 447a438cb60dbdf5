// The bitcode reader: a module and all its function bodies.
#include "formats/bitcode/body.h"
#include "formats/bitcode/module.h"

#include <cstddef>

using namespace lode::formats;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto module = bitcode::open({data, size});
  if (!module) return 0;
  bitcode::BodyReader reader(*module);
  bitcode::Body body;
  for (uint32_t i = 0; i < module->bodies.size(); i++) (void)reader.read(i, body).ok();
  return 0;
}
