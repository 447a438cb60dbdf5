// Indirect branches whose targets have parameters: the landings between them give each target what its edge says.
#include "tests/codegen/x86_64_air.h"

using namespace lode;
using test::Code;

#ifdef __x86_64__
TEST_CASE("x86_64 indirect branches: one branch, its targets reached by other edges as well", "[x86_64]") {
  // Sums %n, %n-1, ... in two blocks that jump to each other by address and directly, each with the sum and a second
  // value swapped.
  test::run(R"air(strong func @f(%n: i64, %k: i64) -> i64 {
entry:
  %odd = and i64 %n, 1
  %c = icmp eq i64 %odd, 0
  cond_br %c, even(%n, 0, %k), other(%n, %k, 0)
even(%a: i64, %s: i64, %t: i64):
  %s2 = add i64 %s, %a
  br next(%a, %s2, %t)
other(%b: i64, %u: i64, %v: i64):
  %v2 = add i64 %v, %b
  br next(%b, %v2, %u)
next(%x: i64, %y: i64, %z: i64):
  %x2 = sub i64 %x, 1
  %done = icmp eq i64 %x2, 0
  cond_br %done, last(%y), go
go:
  %bit = and i64 %x2, 1
  %is = icmp eq i64 %bit, 0
  %p = select i1 %is, ptr block_address even, block_address other
  indirect_br ptr %p [even(%x2, %y, %z), other(%x2, %z, %y)]
last(%r: i64):
  %m = mul i64 %r, %k
  ret i64 %m
})air", [](Code& c) {
    auto f = c.as<int64_t(int64_t, int64_t)>();
    // Every value is added to the sum: other's parameters are in the order of the edges.
    for (int64_t n = 1; n < 30; n++) CHECK(f(n, 3) == n * (n + 1) / 2 * 3);
  });
}

TEST_CASE("x86_64 indirect branches: several branches share a target", "[x86_64]") {
  test::run(R"air(strong func @f(%which: i64, %x: i64, %d: f64) -> f64 {
entry:
  %w = and i64 %which, 1
  %c = icmp eq i64 %w, 0
  %high = icmp ugt i64 %which, 1
  %p = select i1 %high, ptr block_address left, block_address right
  cond_br %c, first, second
first:
  %e = fpext f64 %d to f80
  %x1 = add i64 %x, 1
  indirect_br ptr %p [left(%x, %d, %e), right(%x1, %x, %d, %e)]
second:
  %d2 = fmul f64 %d, 2.0
  %e2 = fpext f64 %d2 to f80
  %x2 = mul i64 %x, 10
  indirect_br ptr %p [right(%x, %x2, %d, %e2), left(%x2, %d2, %e2)]
left(%a: i64, %b: f64, %l: f80):
  %af = sitofp i64 %a to f64
  %s = fadd f64 %af, %b
  %lt = fptrunc f80 %l to f64
  %t = fadd f64 %s, %lt
  ret f64 %t
right(%g: i64, %h: i64, %i: f64, %j: f80):
  %gf = sitofp i64 %g to f64
  %hf = sitofp i64 %h to f64
  %q = fmul f64 %hf, 1000.0
  %r = fadd f64 %gf, %q
  %u = fadd f64 %r, %i
  %jt = fptrunc f80 %j to f64
  %v = fadd f64 %u, %jt
  ret f64 %v
})air", [](Code& c) {
    auto f = c.as<double(int64_t, int64_t, double)>();
    CHECK(f(0, 7, 0.25) == 8 + 7000 + 0.25 + 0.25);
    CHECK(f(1, 7, 0.25) == 7 + 70000 + 0.25 + 0.5);
    CHECK(f(2, 7, 0.25) == 7 + 0.25 + 0.25);
    CHECK(f(3, 7, 0.25) == 70 + 0.5 + 0.5);
  });
}

TEST_CASE("x86_64 indirect branches: the address comes from memory", "[x86_64]") {
  // The load is part of the jump: no register between.
  auto l = test::lowered(R"air(target "x86_64-unknown-linux-gnu"
strong func @f(%table: ptr, %i: i64) -> i64 {
entry:
  %at = ptr_add ptr %table, i64 %i * 8
  %p = load ptr, ptr %at align 8
  indirect_br ptr %p [one(%i), two]
one(%r: i64):
  ret i64 %r
two:
  ret i64 2
})air");
  CHECK(l.error == "");
  std::string text = x86_64::print_function(x86_64::view_of(l.draft));
  INFO(text);
  CHECK(text.find("jmpq *(%rdi,%rax,8)") != std::string::npos);
}
#endif
