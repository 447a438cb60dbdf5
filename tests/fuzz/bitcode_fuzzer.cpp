// The bitcode reader and the importer: a module and all its function bodies, raw and as AIR.
#include "codegen/import/import.h"
#include "formats/bitcode/body.h"
#include "formats/bitcode/metadata.h"
#include "formats/bitcode/module.h"

#include <cstddef>

using namespace lode;
using namespace lode::formats;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto module = bitcode::open({data, size});
  if (!module) return 0;
  bitcode::BodyReader reader(*module);
  bitcode::Body body;
  for (uint32_t i = 0; i < module->bodies.size(); i++) (void)reader.read(i, body).ok();
  (void)bitcode::read_scopes(*module).ok();
  auto imported = codegen::BitcodeModule::open({data, size}, "fuzz");
  if (!imported) return 0;
  air::Function function;
  for (uint32_t i = 0; i < (*imported)->module().functions.size(); i++)
    (void)(*imported)->read(air::FunctionIndex(i), function).ok();
  return 0;
}
