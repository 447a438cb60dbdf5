// Random expressions of constants, addresses and distances: selection ends, and the code computes what the interpreter does.
#include <catch2/catch.hpp>

#include "codegen/air/interpreter.h"
#include "tests/codegen/x86_64_air.h"
#include "tests/support/expressions.h"

using namespace lode;
using namespace lode::test;

TEST_CASE("x86_64 select: random expressions of constants, addresses and distances", "[x86_64]") {
  const uint64_t inputs[] = {0, 1, ~uint64_t{0}, 0x0123456789abcdef, uint64_t{1} << 63, 0x80000000};
  Expressions random(7, 8, false);
  for (int k = 0; k < 300; k++) {
    std::string text = random.function(k);
    auto module = air::read_text(text, "test.air");
    if (!module.ok()) FAIL(module.error().text() + "\n" + text);
    air::Interpreter machine(*module, {});
    INFO(text);
    run(text, [&](Code& code) {
      for (uint64_t x : inputs) {
        auto expected = machine.call("f" + std::to_string(k), {x});
        if (!expected.ok()) FAIL(expected.error().text());
        INFO(x);
        CHECK(code.as<uint64_t(uint64_t)>()(x) == uint64_t((*expected)[0]));
      }
    });
  }
}
