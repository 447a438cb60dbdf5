// Bitcode all the way to machine IR: import, verification, and for functions that pass, lowering for x86_64 as the
// linker does.
#include "codegen/air/legalize.h"
#include "codegen/air/verifier.h"
#include "codegen/import/import.h"
#include "codegen/native/target.h"

#include <cstddef>

using namespace lode;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto opened = codegen::BitcodeModule::open({data, size}, "fuzz.bc", x86_64::target().intrinsic);
  if (!opened) return 0;
  const air::Module& module = (*opened)->module();
  std::vector<air::Problem> problems;
  air::verify_module(module, problems);
  if (!problems.empty()) return 0;
  std::vector<SymbolId> symbols, runtime;
  std::vector<codegen::SymbolReach> reach;
  for (uint32_t i = 0; i < module.symbols.size(); i++) {
    symbols.push_back(SymbolId(i));
    reach.push_back(i & 1 ? codegen::SymbolReach::got : codegen::SymbolReach::direct);
  }
  for (uint32_t i = 0; i < air::runtime_function_count; i++) runtime.push_back(SymbolId(uint32_t(symbols.size()) + i));
  const codegen::NativeTarget& target = x86_64::target();
  auto scratch = target.make_scratch();
  codegen::LowerContext context{&module, symbols, reach, runtime, {}};
  context.options.pic = size & 1;
  for (uint32_t i = 0; i < module.functions.size(); i++) {
    air::Function fn;
    if (!(*opened)->read(air::FunctionIndex(i), fn)) continue;
    problems.clear();
    air::verify_function(module, fn, problems);
    if (!problems.empty()) continue;
    mir::FunctionDraft draft;
    (void)target.lower(fn, context, *scratch, draft).ok();
  }
  return 0;
}
