// Random expressions: selection ends (what does not is an error of its own), and the code means what the interpreter
// says.
#include "tests/support/expressions.h"
#include "tests/support/node.h"
#include "tests/support/skip.h"
#include "tests/wasm/unary_support.h"

using namespace lode;
using namespace lode::test;

TEST_CASE("wasm select: random expressions of constants, addresses and distances") {
  LODE_NEEDS("node");
  const std::vector<uint64_t> inputs{0, 1, ~uint64_t{0}, 0x0123456789abcdef, uint64_t{1} << 63, 0x80000000};
  for (uint32_t seed : {1u, 2u}) compare_module(Expressions(seed, 4).module(150), 150, inputs);
  if (!node_with_memory64().empty())
    compare_module(Expressions(3, 8).module(150), 150, inputs, {"-m", "wasm64"}, node_with_memory64());
}

TEST_CASE("wasm select: a place in front of an object in the frame or of a datum") {
  LODE_NEEDS("node");
  compare_unary(R"(
strong func @f0(%x: i64) -> i64 {
  slot a 40 align 4
entry:
  %a = slot_addr a
  %p = ptr_add ptr %a - 4
  %i = trunc i64 %x to i32
  %q = ptr_add ptr %p, i32 %i * 4
  store i32 77, ptr %q align 4
  %n = ptr_add ptr %p + 12
  %r = load i32, ptr %n align 4
  %w = zext i32 %r to i64
  ret i64 %w
}
strong func @f1(%x: i64) -> i64 {
entry:
  %f = frame_address 0 to ptr
  %a = ptrtoint ptr %f to i32
  %b = sub i32 %a, 1000
  %d = sub i32 %b, %a
  %w = sext i32 %d to i64
  ret i64 %w
}
strong func @f2(%x: i64) -> i64 {
entry:
  %p = ptr_add ptr @bytes - 2000000000
  %q = ptr_add ptr %p - 2000000000
  %r = ptr_add ptr %q + 2000000000
  %s = ptr_add ptr %r + 2000000003
  %b = load i8, ptr %s align 1
  %w = zext i8 %b to i64
  ret i64 %w
}
)", 3, {3});
}
