// The AIR text form: parses, verifies and, what passes, prints; the print must parse again to the same print.
#include "codegen/air/text.h"

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
  return 0;
}
