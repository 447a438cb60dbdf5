// For tests: a module of AIR text whose first function becomes x86_64 code that can be run.
#pragma once

#include "codegen/air/text.h"
#include "codegen/x86_64/select.h"
#include "tests/codegen/x86_64_code.h"

namespace lode::test {

struct Lowered {
  mir::FunctionDraft draft;
  std::string error;
};

inline Lowered lowered(const std::string& text) {
  Lowered out;
  auto module = air::read_text(text, "test.air");
  if (!module.ok()) FAIL(module.error().text());
  std::vector<SymbolId> symbols, runtime;
  std::vector<codegen::SymbolReach> reach;
  for (uint32_t i = 0; i < module->symbols.size(); i++) {
    symbols.push_back(SymbolId(i));
    reach.push_back(codegen::SymbolReach::direct);
  }
  for (uint32_t i = 0; i < 256; i++) runtime.push_back(SymbolId(1000 + i));
  codegen::LowerContext context;
  context.module = &*module;
  context.symbols = symbols;
  context.reach = reach;
  context.runtime = runtime;
  auto scratch = x86_64::make_scratch();
  auto done = x86_64::lower(module->in_memory.at(0), context, *scratch, out.draft);
  if (!done.ok()) out.error = done.error().text();
  return out;
}

template <class F>
auto run(const std::string& text, F&& f) {
  Lowered l = lowered("target \"x86_64-unknown-linux-gnu\"\n" + text);
  if (!l.error.empty()) FAIL(l.error);
  INFO(x86_64::print_function(x86_64::view_of(l.draft)));
  Code code(l.draft);
  f(code);
}

}  // namespace lode::test
