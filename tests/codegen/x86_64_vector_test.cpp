// Vectors stay in SSE registers, and what the program says about caches reaches the processor. That vector code
// computes the right things is shown elsewhere: tests/air/legalize_test.cpp for what operations are made of,
// tests/sweeps/vectors.py for whole programs.
#include "tests/codegen/x86_64_air.h"

using namespace lode;

namespace {
std::string code(const std::string& body) {
  auto l = test::lowered("target \"x86_64-unknown-linux-gnu\"\n" + body);
  if (!l.error.empty()) FAIL(l.error);
  return x86_64::print_function(x86_64::view_of(l.draft));
}
bool has(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }
}  // namespace

TEST_CASE("x86_64 vectors: a loop's body works on whole vectors", "[x86_64]") {
  std::string s = code(R"air(strong func @f(%p: ptr, %q: ptr) -> i32 {
a:
  br loop(0, zero)
loop(%i: i64, %sum: <4 x i32>):
  %a = ptr_add ptr %p, i64 %i * 16
  %x = load <4 x i32>, ptr %a align 16
  %b = ptr_add ptr %q, i64 %i * 16
  %y = load <4 x i32>, ptr %b align 4
  %d = sub <4 x i32> %y, %x
  %c = icmp sgt <4 x i32> %d, (1, 2, 3, 4)
  %m = select <4 x i1> %c, <4 x i32> %d, <4 x i32> zero
  %t = add <4 x i32> %sum, %m
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, 100
  cond_br %more, loop(%j, %t), done(%t)
done(%u: <4 x i32>):
  %r = reduce_add <4 x i32> %u to i32
  ret i32 %r
})air");
  INFO(s);
  CHECK(has(s, "psubd (%"));      // the aligned load is part of the subtraction
  CHECK(has(s, "pcmpgtd"));
  CHECK(has(s, "paddd"));
  CHECK_FALSE(has(s, "rsp"));     // nothing goes through the frame
  CHECK_FALSE(has(s, "slot"));
}

TEST_CASE("x86_64 vectors: short ones, masks as integers, splats", "[x86_64]") {
  std::string s = code(R"air(strong func @f(%p: ptr, %b: i8) -> i16 {
a:
  %v = insert_element <16 x i8> undef, i8 %b, i32 0
  %splat = shuffle <16 x i8> %v, undef [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  %x = load <16 x i8>, ptr %p align 1
  %c = icmp eq <16 x i8> %x, %splat
  %m = bitcast <16 x i1> %c to i16
  ret i16 %m
})air");
  INFO(s);
  CHECK(has(s, "pcmpeqb"));
  CHECK(has(s, "pmovmskb"));
  s = code(R"air(strong func @f(%p: ptr, %q: ptr) -> void {
a:
  %x = load <4 x i8>, ptr %p align 1
  %w = zext <4 x i8> %x to <4 x i32>
  %f = sitofp <4 x i32> %w to <4 x f32>
  store <4 x f32> %f, ptr %q align 4
  ret
})air");
  INFO(s);
  CHECK(has(s, "punpcklbw"));
  CHECK(has(s, "cvtdq2ps"));
}

TEST_CASE("x86_64: prefetches in all degrees", "[x86_64]") {
  std::string s = code(R"air(strong func @f(%p: ptr) -> void {
a:
  prefetch ptr %p
  prefetch ptr %p level2
  prefetch ptr %p level3
  %q = ptr_add ptr %p + 64
  prefetch ptr %q once
  ret
})air");
  INFO(s);
  for (const char* instruction :
       {"prefetcht0 (%rdi)", "prefetcht1 (%rdi)", "prefetcht2 (%rdi)", "prefetchnta 64(%rdi)"})
    CHECK(has(s, instruction));
}
