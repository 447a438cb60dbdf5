// The AIR text form: parses, verifies and, what passes, prints; the print must parse again to the same print. Then
// every function is legalised for both kinds of target: what legalisation accepts must verify again, and print and
// parse as well.
#include "codegen/air/interpreter.h"
#include "codegen/air/legalize.h"
#include "codegen/air/text.h"
#include "codegen/air/verifier.h"

#include <cstddef>
#include <cstdio>

using namespace lode;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  air::ParsedModule first;
  bool ok = air::parse_text(text, "fuzz.air", first);
  for (const air::Diagnostic& d : first.errors) (void)air::format_diagnostic("fuzz.air", text, d);
  if (!ok) return 0;
  auto printed = air::print_module(first.module);
  if (!printed) return 0;
  air::ParsedModule second;
  if (!air::parse_text(*printed, "fuzz.air", second)) {
    std::fprintf(stderr, "the print does not parse: %s\n%s\n", second.errors[0].message.c_str(), printed->c_str());
    __builtin_trap();
  }
  auto again = air::print_module(second.module);
  if (!again || *again != *printed) {
    std::fprintf(stderr, "not a fix point:\n%s\n----\n%s\n", printed->c_str(), again ? again->c_str() : "");
    __builtin_trap();
  }
  for (bool wasm : {false, true}) {
    const air::LegalizeOptions options = wasm ? air::LegalizeOptions::wasm() : air::LegalizeOptions::x86_64();
    for (const air::Function& f : first.module.in_memory) {
      if (f.flags & air::function_flags::legal) continue;
      air::Function legal = f;
      if (!air::legalize(legal, first.module, options)) continue;
      std::vector<air::Problem> problems;
      air::verify_function(first.module, legal, problems);
      if (!problems.empty()) {
        std::fprintf(stderr, "legalised code does not verify: %s\n%s----\n%s",
                     air::problem_text(first.module, problems[0]).c_str(), air::print_function(first.module, f).c_str(),
                     air::print_function(first.module, legal).c_str());
        __builtin_trap();
      }
    }
  }
  air::InterpreterOptions options;
  options.max_steps = 20000;
  options.max_depth = 50;
  options.max_memory = 1 << 24;
  air::Interpreter machine(first.module, options);
  (void)machine.run_main();
  return 0;
}
