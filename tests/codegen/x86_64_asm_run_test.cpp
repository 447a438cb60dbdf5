// Inline asm from AIR to running code: operands of every kind reach the places that the constraints say.
#include "tests/codegen/x86_64_air.h"

using namespace lode;
using test::Code;
using test::Lowered;
using test::lowered;
using test::run;

#ifdef __x86_64__
TEST_CASE("x86_64 asm: register operands", "[x86_64]") {
  run(R"air(strong func @f(%x: i32, %y: i32) -> i32 {
a:
  %r = call i32 asm "leal 3($1,$2), $0", "=r,r,r,~{dirflag},~{fpsr},~{flags}"(i32 %x, i32 %y)
  %s = call i32 asm "addl $2, $0\0A\09shll $$1, $0", "=r,0,ir,~{flags}"(i32 %r, i32 100)
  %t = add i32 %s, %x
  ret i32 %t
})air", [](Code& c) { CHECK(c.as<int(int, int)>()(4, 5) == (4 + 5 + 3 + 100) * 2 + 4); });
  // The early-clobber output and the input never share.
  run(R"air(strong func @f(%x: i64, %y: i64) -> i64 {
a:
  %r = call i64 asm sideeffect "movq $$1, $0; addq $1, $0; addq $2, $0", "=&r,r,r,~{flags}"(i64 %x, i64 %y)
  ret i64 %r
})air", [](Code& c) { CHECK(c.as<int64_t(int64_t, int64_t)>()(10, 20) == 31); });
  run(R"air(strong func @f(%x: f64, %y: f64) -> f64 {
a:
  %r = call f64 asm "mulsd $2, $0", "=x,0,x"(f64 %x, f64 %y)
  ret f64 %r
})air", [](Code& c) { CHECK(c.as<double(double, double)>()(1.5, 4) == 6); });
}

TEST_CASE("x86_64 asm: fixed registers, several results, clobbers", "[x86_64]") {
  run(R"air(strong func @f(%x: i32, %y: i32) -> i32 {
a:
  %r = call {i32, i32, i32, i32} asm sideeffect "cpuid", "={ax},={bx},={cx},={dx},0,2,~{dirflag},~{fpsr},~{flags}"(i32 0, i32 0)
  %b = extract {i32, i32, i32, i32} %r [1] to i32
  %d = extract {i32, i32, i32, i32} %r [3] to i32
  %s = add i32 %b, %x
  %t = add i32 %s, %y
  %u = sub i32 %t, %d
  ret i32 %u
})air",
      [](Code& c) {
        unsigned a = 0, b, cx = 0, d;
        asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(cx), "=d"(d));
        CHECK(c.as<unsigned(unsigned, unsigned)>()(7, 9) == b + 16 - d);
      });
  // Everything that is clobbered survives elsewhere.
  run(R"air(strong func @f(%x: i64, %y: i64, %z: i64) -> i64 {
a:
  call void asm sideeffect "movl $$0, %eax; movl $$0, %ebx; movl $$0, %ecx; movl $$0, %edx; movl $$0, %esi; movl $$0, %edi; movl $$0, %r8d; movl $$0, %r12d", "~{rax},~{rbx},~{rcx},~{rdx},~{rsi},~{rdi},~{r8},~{r12},~{memory},~{flags}"()
  %s = add i64 %x, %y
  %t = mul i64 %s, %z
  ret i64 %t
})air",
      [](Code& c) { CHECK(c.as<int64_t(int64_t, int64_t, int64_t)>()(3, 4, 5) == 35); });
  run(R"air(strong func @f(%x: i64, %y: i64) -> i64 {
a:
  %r = call {i64, i64} asm "mulq $3", "={ax},={dx},{ax},r,~{flags}"(i64 %x, i64 %y)
  %h = extract {i64, i64} %r [1] to i64
  ret i64 %h
})air", [](Code& c) { CHECK(c.as<uint64_t(uint64_t, uint64_t)>()(1ull << 63, 6) == 3); });
}

TEST_CASE("x86_64 asm: memory operands", "[x86_64]") {
  run(R"air(strong func @f(%p: ptr, %v: i32) -> i32 {
a:
  %q = ptr_add ptr %p + 4
  %r = call i32 asm sideeffect "lock; xaddl $0, $1", "=r,=*m,0,*m,~{memory},~{flags}"(ptr %q, i32 %v, ptr %q)
  ret i32 %r
})air", [](Code& c) {
    int a[2] = {1, 2};
    CHECK(c.as<int(int*, int)>()(a, 40) == 2);
    CHECK(a[0] == 1);
    CHECK(a[1] == 42);
  });
  run(R"air(strong func @f(%p: ptr, %old: i64, %new: i64) -> i8 {
a:
  %r = call {i8, i64} asm sideeffect "lock; cmpxchgq $4, $2; sete $0", "=q,={ax},=*m,{ax},r,*m,~{memory},~{flags}"(ptr %p, i64 %old, i64 %new, ptr %p)
  %b = extract {i8, i64} %r [0] to i8
  ret i8 %b
})air",
      [](Code& c) {
        int64_t v = 5;
        auto* f = c.as<uint8_t(int64_t*, int64_t, int64_t)>();
        CHECK(f(&v, 4, 9) == 0);
        CHECK(v == 5);
        CHECK(f(&v, 5, 9) == 1);
        CHECK(v == 9);
      });
  run(R"air(strong func @f(%x: i32) -> i32 {
a:
  %r = call i32 asm "movl $1, $0; addl $1, $0", "=&r,m"(i32 %x)
  ret i32 %r
})air", [](Code& c) { CHECK(c.as<int(int)>()(21) == 42); });
}

TEST_CASE("x86_64 asm: the stack pointer moves, loops, x87", "[x86_64]") {
  run(R"air(strong func @f(%x: i64) -> i64 {
  slot s0 8 align 8
a:
  %p = slot_addr s0
  store i64 %x, ptr %p
  %v = load i64, ptr %p
  %r = call i64 asm sideeffect "pushq $2; popq %rcx; pushq $1; popq $0; addq %rcx, $0", "=r,r,*m,~{rcx},~{memory},~{flags}"(i64 %v, ptr %p)
  ret i64 %r
})air",
      [](Code& c) { CHECK(c.as<int64_t(int64_t)>()(21) == 42); });
  run(R"air(strong func @f(%x: i64) -> i64 {
a:
  %r = call {i64, i64} asm "1: addq $1, $0; decq $1; jnz 1b", "=&r,=&r,0,1,~{flags}"(i64 0, i64 %x)
  %s = extract {i64, i64} %r [0] to i64
  ret i64 %s
})air", [](Code& c) { CHECK(c.as<int64_t(int64_t)>()(4) == 10); });
  run(R"air(strong func @f(%x: f64) -> f64 {
a:
  %r = call f64 asm "fsqrt", "={st},0"(f64 %x)
  ret f64 %r
})air", [](Code& c) { CHECK(c.as<double(double)>()(81) == 9); });
  // The instruction pops one of its two operands
  run(R"air(strong func @f(%x: f64, %y: f64) -> f64 {
a:
  %r = call f64 asm "faddp %st, %st(1)", "={st},0,{st(1)},~{st(1)}"(f64 %x, f64 %y)
  ret f64 %r
})air", [](Code& c) { CHECK(c.as<double(double, double)>()(8, 3) == 11); });
}

TEST_CASE("x86_64 asm: a tied input that is wider than its output's memory", "[x86_64]") {
  run(R"air(strong func @f(%p: ptr, %x: i64) -> void {
a:
  call void asm "", "=*imr,0"(ptr element(4) %p, i64 %x)
  ret
})air", [](Code& c) {
    uint32_t v[2] = {1, 2};
    c.as<void(uint32_t*, uint64_t)>()(v, 0x1122334455667788);
    CHECK(v[0] == 0x55667788);
    CHECK(v[1] == 2);
  });
}

TEST_CASE("x86_64 select: offsets that a reference cannot carry are added", "[x86_64]") {
  constexpr uint64_t at = 0x200000;
  for (int64_t offset : {int64_t{1000}, int64_t{-8}, int64_t{-1} << 21, int64_t{1} << 27, int64_t{1} << 40,
                         -(int64_t{1} << 40), INT64_MAX - 7}) {
    INFO(offset);
    std::string text =
        "target \"x86_64-unknown-linux-gnu\"\ndeclare data @d : i8\nstrong func @f() -> ptr {\na:\n  ret ptr @d " +
        (offset < 0 ? "- " + std::to_string(-offset) : "+ " + std::to_string(offset)) + "\n}\n";
    Lowered l = lowered(text);
    REQUIRE(l.error == "");
    REQUIRE(l.draft.references.size() == 1);
    int32_t addend = l.draft.references[0].addend;
    CHECK(addend == (offset == 1000 || offset == -8 ? offset : 0));
    Code code(l.draft, {{at + uint64_t(int64_t(addend)), codegen::ReferenceForm::absolute}});
    CHECK(code.as<uint64_t()>()() == at + uint64_t(offset));
  }
  // What is left in a reference is checked: a negative address has no place in a zero-extended immediate.
  Lowered l = lowered(
      "target \"x86_64-unknown-linux-gnu\"\ndeclare data @d : i8\nstrong func @f() -> ptr {\na:\n  ret ptr @d - "
      "8\n}\n");
  uint8_t text[64];
  codegen::ResolvedReference low{uint64_t(0) - 8, codegen::ReferenceForm::absolute};
  codegen::EmitPlace place;
  place.text = text;
  CHECK(!x86_64::emit(x86_64::view_of(l.draft), {&low, 1}, {}, place).ok());
}

TEST_CASE("x86_64 select: eh_sjlj_setjmp comes back with 1 and what was live", "[x86_64]") {
  run(R"air(strong func @f(%x: i64, %again: i32) -> i64 {
  slot buffer 40 align 16
  slot count 4 align 4
a:
  %b = slot_addr buffer
  %n = slot_addr count
  store i32 0, ptr %n
  %frame = frame_address 0 to ptr
  store ptr %frame, ptr %b
  %sp = stack_save to ptr
  %at = ptr_add ptr %b + 16
  store ptr %sp, ptr %at
  %y = mul i64 %x, 3
  %r = eh_sjlj_setjmp ptr %b to i32
  %first = icmp eq i32 %r, 0
  %old = load i32, ptr %n volatile
  %new = add i32 %old, 1
  store i32 %new, ptr %n volatile
  %less = icmp slt i32 %old, %again
  cond_br %less, jump, out
jump:
  call void asm sideeffect "xorl %ebx, %ebx; xorl %r12d, %r12d; xorl %r15d, %r15d", "~{rbx},~{r12},~{r15}"()
  eh_sjlj_longjmp ptr %b
  unreachable
out:
  %z = select i1 %first, i64 1000, i64 %y
  ret i64 %z
})air", [](Code& c) {
    auto* f = c.as<int64_t(int64_t, int)>();
    CHECK(f(7, 0) == 1000);
    CHECK(f(7, 1) == 21);
    CHECK(f(-9, 3) == -27);
  });
}

TEST_CASE("x86_64 select: x87 values through block parameters and freeze", "[x86_64]") {
  // Ten values turned around a loop n times: a rotation of ten places.
  std::string text = "strong func @f(%n: i32) -> f64 {\na:\n  br loop(i32 %n";
  for (int k = 0; k < 10; k++) text += ", f80 " + std::to_string(k) + ".5";
  text += ")\nloop(%i: i32";
  for (int k = 0; k < 10; k++) text += ", %v" + std::to_string(k) + ": f80";
  text += "):\n  %j = sub i32 %i, 1\n  %c = icmp sgt i32 %i, 0\n  cond_br %c, loop(i32 %j";
  for (int k = 0; k < 10; k++) text += ", f80 %v" + std::to_string((k + 1) % 10);
  text +=
      "), out\nout:\n  %x = fmul f80 %v0, 100.0\n  %s = fadd f80 %x, %v9\n  %r = fptrunc f80 %s to f64\n  ret f64 "
      "%r\n}\n";
  run(text, [](Code& c) {
    auto* f = c.as<double(int)>();
    CHECK(f(0) == 50 + 9.5);
    CHECK(f(3) == 350 + 2.5);
    CHECK(f(19) == 950 + 8.5);
  });
  run(R"air(strong func @f() -> f64 {
a:
  %x = freeze f80 1.5
  %y = freeze f80 %x
  %z = fadd f80 %y, 1.0
  %r = fptrunc f80 %z to f64
  ret f64 %r
})air", [](Code& c) { CHECK(c.as<double()>()() == 2.5); });
}

TEST_CASE("x86_64 select: long chains are walked, not descended", "[x86_64]") {
  std::string text = "strong func @f(%x: i64, %y: i64) -> i32 {\na:\n  %c0 = icmp eq i64 %x, %y\n";
  for (int k = 1; k <= 100001; k++)
    text += "  %c" + std::to_string(k) + " = xor i1 %c" + std::to_string(k - 1) + ", true\n";
  text += "  cond_br %c100001, yes, no\nyes:\n  ret i32 1\nno:\n  ret i32 2\n}\n";
  run(text, [](Code& c) {
    auto* f = c.as<int(int64_t, int64_t)>();
    CHECK(f(3, 3) == 2);
    CHECK(f(3, 4) == 1);
  });
}

namespace {
struct Large {
  int64_t x[20];
};
int64_t difference(void*, Large a, Large b) { return a.x[0] * 3 + a.x[19] - b.x[0] - b.x[19] * 5; }
}  // namespace

TEST_CASE("x86_64 calls: musttail with structures that change places on the stack", "[x86_64]") {
  run(R"air(strong func @f(%g: ptr, %a: ptr byval(160) align 8, %b: ptr byval(160) align 8) -> i64 {
a:
  %p = ptr_add %a, i64 152
  store i64 100, ptr %p
  %r = call musttail i64 %g(ptr %g, ptr byval(160) align 8 %b, ptr byval(160) align 8 %a)
  ret i64 %r
})air", [](Code& c) {
    Large a{}, b{};
    a.x[0] = 1, b.x[0] = 20, b.x[19] = 7;
    CHECK(c.as<int64_t(decltype(&difference), Large, Large)>()(difference, a, b) == 60 + 7 - 1 - 500);
  });
  CHECK(lowered(R"air(target "x86_64-unknown-linux-gnu"
strong func @f(%g: ptr) -> i64 {
a:
  %r = call musttail i64 %g(i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7)
  ret i64 %r
})air").error.find("musttail") != std::string::npos);
}

TEST_CASE("x86_64 atomics: the old value is computed only for those who read it", "[x86_64]") {
  auto text_of = [](const std::string& tail) {
    Lowered l =
        lowered("target \"x86_64-unknown-linux-gnu\"\nstrong func @f(%p: ptr, %x: i32) -> i32 {\na:\n" + tail + "}");
    if (!l.error.empty()) FAIL(l.error);
    return x86_64::print_function(x86_64::view_of(l.draft));
  };
  for (const char* op : {"and", "or", "xor"}) {
    std::string rmw = std::string("  %o = atomic_rmw ") + op + " ptr %p, i32 %x seq_cst\n";
    std::string unread = text_of(rmw + "  ret i32 0\n"), read = text_of(rmw + "  ret i32 %o\n");
    CHECK(unread.find(std::string("lock ") + op + "l") != std::string::npos);
    CHECK(unread.find("cmpxchg") == std::string::npos);
    CHECK(read.find("lock cmpxchgl") != std::string::npos);
  }
}

TEST_CASE("x86_64 asm: conditions as results", "[x86_64]") {
  run(R"air(strong func @f(%x: i32, %y: i32) -> i32 {
a:
  %r = call {i32, i8, i64} asm "subl $4, $0", "=r,={@ccz},={@cca},0,r"(i32 %x, i32 %y)
  %d = extract {i32, i8, i64} %r [0] to i32
  %z = extract {i32, i8, i64} %r [1] to i8
  %a = extract {i32, i8, i64} %r [2] to i64
  %zw = zext i8 %z to i32
  %aw = trunc i64 %a to i32
  %z4 = mul i32 %zw, 1000
  %a4 = mul i32 %aw, 2000
  %s = add i32 %z4, %a4
  %t = add i32 %s, %d
  ret i32 %t
})air", [](Code& c) {
    auto* f = c.as<int(int, int)>();
    CHECK(f(5, 3) == 2002);
    CHECK(f(5, 5) == 1000);
    CHECK(f(3, 5) == -2);
  });
}

TEST_CASE("x86_64 asm: a tied place in memory takes the value of the other place first", "[x86_64]") {
  run(R"air(strong func @f(%to: ptr, %from: ptr) -> void {
a:
  call void asm sideeffect "incl $0", "=*imr|x,*0,~{memory},~{flags}"(ptr element(12) %to, ptr element(12) %from)
  ret
})air", [](Code& c) {
    int to[3] = {9, 9, 9}, from[3] = {1, 2, 3};
    c.as<void(int*, int*)>()(to, from);
    CHECK((to[0] == 2 && to[1] == 2 && to[2] == 3 && from[0] == 1));
    c.as<void(int*, int*)>()(to, to);
    CHECK((to[0] == 3 && to[1] == 2));
  });
}

TEST_CASE("x86_64 asm: of several alternatives, the one that the values suit", "[x86_64]") {
  run(R"air(strong func @f(%x: f64, %y: f64) -> f64 {
a:
  %r = call f64 asm "addsd $2, $0", "=r|x,0,r|x"(f64 %x, f64 %y)
  ret f64 %r
})air", [](Code& c) { CHECK(c.as<double(double, double)>()(1.5, 4) == 5.5); });
}

TEST_CASE("x86_64 asm: a naked function is its text", "[x86_64]") {
  run(R"air(strong func @f(%x: i32, %y: i32) -> i32 naked {
a:
  call void asm sideeffect "pushq %rdi; pushq %rsi; popq %rcx; popq %rax; subl %ecx, %eax; ret", ""()
  unreachable
})air", [](Code& c) { CHECK(c.as<int(int, int)>()(50, 8) == 42); });
  CHECK(lowered(R"air(target "x86_64-unknown-linux-gnu"
strong func @f(%x: i32) -> i32 naked {
a:
  %m = alloca i64 1 align 8 to ptr
  store i32 %x, ptr %m
  %r = load i32, ptr %m
  ret i32 %r
})air").error.find("naked") != std::string::npos);
}

TEST_CASE("x86_64 asm: what is refused says so", "[x86_64]") {
  auto refused = [](const std::string& call) {
    return lowered("target \"x86_64-unknown-linux-gnu\"\nstrong func @f(%x: i32, %y: i128) -> void {\na:\n  " + call +
                   "\n  ret\n}")
        .error;
  };
  CHECK(refused(R"air(call void asm sideeffect "frobnicate $0", "r"(i32 %x))air").find("frobnicate") !=
        std::string::npos);
  CHECK(refused(R"air(call void asm sideeffect "nop", "y"(i32 %x))air").find("\"y\"") != std::string::npos);
  CHECK(refused(R"air(call void asm sideeffect "", "{rbp}"(i32 %x)
  %z = zext i32 %x to i64
  %m = alloca i64 %z align 8 to ptr
  store i8 1, ptr %m)air").find("rbp") != std::string::npos);
  CHECK(refused(R"air(call void asm sideeffect "nop", "r"(i128 %y))air").find("inline assembly") != std::string::npos);
  CHECK(refused(R"air(call void asm sideeffect intel "mov foo bar", ""())air").find("mov foo bar") != std::string::npos);
}
#endif
