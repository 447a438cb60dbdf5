// For tests of the wasm selector: functions (i64) -> i64 through select, link and node against the AIR interpreter.
#pragma once

#include <catch2/catch.hpp>

#include <memory>

#include "codegen/air/interpreter.h"
#include "codegen/air/text.h"
#include "tests/wasm/link_support.h"

namespace lode::test {

inline air::Module parse(const std::string& source) {
  air::ParsedModule parsed;
  bool ok = air::parse_text(source, "t.air", parsed);
  for (const air::Diagnostic& d : parsed.errors) UNSCOPED_INFO(air::format_diagnostic("t.air", source, d));
  REQUIRE(ok);
  return std::move(parsed.module);
}

// A module whose functions f0 .. take one i64 and give one, against the interpreter.
inline void compare_module(const std::string& source, int count, const std::vector<uint64_t>& inputs,
                           const std::vector<std::string>& options = {},
                           const std::vector<std::string>& command = {"node"}) {
  auto owned = std::make_unique<air::Module>(parse(source));
  std::string expected;
  {
    air::InterpreterOptions o;
    o.target = air::LegalizeOptions::wasm();
    air::Interpreter machine(*owned, o);
    for (int f = 0; f < count; f++)
      for (uint64_t x : inputs) {
        auto r = machine.call("f" + std::to_string(f), {x});
        if (!r.ok()) FAIL(r.error().text());
        expected += std::to_string(uint64_t((*r)[0])) + " ";
      }
  }
  std::vector<std::string> args{"--no-entry", "--export-all"};
  args.insert(args.end(), options.begin(), options.end());
  lw::Link link(wasm_options(args));
  std::string messages;
  link.diagnostics.sink = &messages;
  link.add_air(std::move(owned));
  std::vector<uint8_t> out = flush(link);
  INFO(messages);
  REQUIRE_FALSE(out.empty());
  std::string js = "(()=>{let s='';for(let f=0;f<" + std::to_string(count) + ";f++)for(const x of [";
  for (uint64_t x : inputs) js += std::to_string(int64_t(x)) + "n,";
  js += "])s+=BigInt.asUintN(64,e['f'+f](x))+' ';return s})()";
  std::string got = node(out, js, command);
  if (got == expected + "\n") return;
  size_t k = 0, word = 0;
  while (k < got.size() && k < expected.size() && got[k] == expected[k]) word += got[k++] == ' ';
  FAIL("function f" << word / inputs.size() << " of " << inputs[word % inputs.size()] << " " << got.substr(0, 300));
}

// The same for functions alone, with 64 bytes of data that all of them may read.
inline void compare_unary(const std::string& functions, int count, const std::vector<uint64_t>& inputs,
                          const std::vector<std::string>& options = {}) {
  std::string source = "layout pointer_bytes 4\nstrong data @bytes : [64 x i8] = \"";
  const char digits[] = "0123456789abcdef";
  for (unsigned i = 0; i < 64; i++) {
    unsigned b = (i * 167 + 13) & 255;
    source += std::string("\\") + digits[b >> 4] + digits[b & 15];
  }
  source += "\"\n" + functions;
  compare_module(source, count, inputs, options);
}

}  // namespace lode::test
