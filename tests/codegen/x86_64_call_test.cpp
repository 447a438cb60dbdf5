// Calls and returns as the other side of them sees it: which registers come back changed, where results are, and that
// functions of other conventions understand those that a C++ compiler makes.
#include <cstdarg>

#include "codegen/x86_64/abi.h"
#include "tests/codegen/x86_64_air.h"

using namespace lode;
using test::Code;
using test::lowered;
using test::run;

#ifdef __x86_64__

namespace {

struct Registers {
  uint64_t gp[16];      // by hardware number
  uint64_t xmm[16][2];
};
extern "C" void lode_test_call_with_registers(const void* code, const Registers* before, Registers* after);
// Calls `code` with all registers of `before` (but rsp), and stores them in `after`.
asm(R"(
.text
lode_test_call_with_registers:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  pushq %rdx
  pushq %rdi
  subq $8, %rsp
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  movups 128+16*\n(%rsi), %xmm\n
  .endr
  movq 0(%rsi), %rax
  movq 8(%rsi), %rcx
  movq 16(%rsi), %rdx
  movq 24(%rsi), %rbx
  movq 40(%rsi), %rbp
  movq 56(%rsi), %rdi
  movq 64(%rsi), %r8
  movq 72(%rsi), %r9
  movq 80(%rsi), %r10
  movq 88(%rsi), %r11
  movq 96(%rsi), %r12
  movq 104(%rsi), %r13
  movq 112(%rsi), %r14
  movq 120(%rsi), %r15
  movq 48(%rsi), %rsi
  call *8(%rsp)
  movq %rsi, (%rsp)
  movq 16(%rsp), %rsi
  movq %rax, 0(%rsi)
  movq %rcx, 8(%rsi)
  movq %rdx, 16(%rsi)
  movq %rbx, 24(%rsi)
  movq %rbp, 40(%rsi)
  movq %rdi, 56(%rsi)
  movq %r8, 64(%rsi)
  movq %r9, 72(%rsi)
  movq %r10, 80(%rsi)
  movq %r11, 88(%rsi)
  movq %r12, 96(%rsi)
  movq %r13, 104(%rsi)
  movq %r14, 112(%rsi)
  movq %r15, 120(%rsi)
  movq (%rsp), %rax
  movq %rax, 48(%rsi)
  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  movups %xmm\n, 128+16*\n(%rsi)
  .endr
  addq $24, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
)");

struct Called {
  Registers before, after;
  uint64_t changed = 0;  // as codegen::Reg bits
};
Called call(const Code& code, uint64_t rdi = 0, uint64_t rcx = 0) {
  Called c;
  for (uint64_t r = 0; r < 16; r++) {
    c.before.gp[r] = 0x1111111122222222 * (r + 1);
    for (uint64_t k = 0; k < 2; k++) c.before.xmm[r][k] = 0x3333333344444444 * (2 * r + k + 1);
  }
  if (rdi) c.before.gp[7] = rdi;
  if (rcx) c.before.gp[1] = rcx;
  c.after = c.before;
  lode_test_call_with_registers(code.text(), &c.before, &c.after);
  for (unsigned r = 0; r < 16; r++) {
    if (c.before.gp[r] != c.after.gp[r]) c.changed |= uint64_t{1} << r;
    if (std::memcmp(c.before.xmm[r], c.after.xmm[r], 16) != 0) c.changed |= uint64_t{1} << (32 + r);
  }
  return c;
}

// Assembly that destroys all registers but rsp and those whose names are not given.
const char* const destroy_all =
    R"(call void asm sideeffect "xorl %eax, %eax; xorl %ecx, %ecx; xorl %edx, %edx; xorl %esi, %esi; xorl %edi, %edi; xorl %r8d, %r8d; xorl %r9d, %r9d; xorl %r10d, %r10d; xorl %r11d, %r11d; xorps %xmm0, %xmm0; xorps %xmm5, %xmm5; xorps %xmm6, %xmm6; xorps %xmm15, %xmm15", "~{rax},~{rcx},~{rdx},~{rsi},~{rdi},~{r8},~{r9},~{r10},~{r11},~{xmm0},~{xmm5},~{xmm6},~{xmm15},~{flags}"())";

uint64_t changed_by(const std::string& suffix, const std::string& body) {
  uint64_t changed = 0;
  run("strong func @f() -> i32 " + suffix + " {\na:\n" + body + "\n  ret i32 5\n}\n", [&](Code& c) {
    const Called x = call(c);
    CHECK(uint32_t(x.after.gp[0]) == 5);
    changed = x.changed;
  });
  return changed;
}

void destroy() {
  asm volatile("xorl %%ecx, %%ecx; xorl %%r8d, %%r8d; xorl %%r11d, %%r11d; xorps %%xmm7, %%xmm7; xorps %%xmm14, %%xmm14"
               ::: "rcx", "r8", "r11", "xmm7", "xmm14");
}

}  // namespace

TEST_CASE("x86_64 calls: each convention keeps the registers that it says", "[x86_64]") {
  const uint64_t given = x86_64::gp_set({0, 1, 2, 6, 7, 8, 9, 10, 11}) | x86_64::xmm_set(0, 0) | x86_64::xmm_set(5, 6) |
                         x86_64::xmm_set(15, 15);
  struct Row {
    const char* suffix;
    uint64_t kept;
  } rows[] = {{"", x86_64::saved_by_sysv},
              {"cc(preserve_most)", x86_64::saved_by_preserve_most & ~uint64_t{1}},  // rax is the result
              {"cc(preserve_all)", x86_64::saved_by_preserve_all & ~uint64_t{1}},
              {"cc(win64)", x86_64::saved_by_win64},
              {"no_caller_saved_registers", x86_64::all_registers & ~uint64_t{1}},
              {"cc(win64) no_caller_saved_registers", x86_64::all_registers & ~uint64_t{1}}};
  for (const Row& row : rows) {
    INFO(row.suffix);
    const uint64_t changed = changed_by(row.suffix, destroy_all);
    CHECK((changed & row.kept) == 0);
    CHECK(changed == (given & ~row.kept));
    // The same when a function of the C convention does it.
    const std::string address = std::to_string(reinterpret_cast<uint64_t>(&destroy));
    CHECK((changed_by(row.suffix, "  %p = inttoptr i64 " + address + " to ptr\n  call void %p()") & row.kept) == 0);
    // And when one of its own convention does, in a frame of no more than the alignment.
    run(std::string("strong func @g() -> void ") + row.suffix + " {\na:\n" + destroy_all + "\n  ret\n}\n",
        [&](Code& callee) {
          const std::string word =
              std::string(row.suffix).find("no_caller_saved") == std::string::npos ? "" : "no_caller_saved_registers ";
          const std::string conv = std::string(row.suffix).substr(0, std::string(row.suffix).find("no_caller_saved"));
          const std::string g = std::to_string(reinterpret_cast<uint64_t>(callee.text()));
          CHECK((changed_by(row.suffix, "  %p = inttoptr i64 " + g + " to ptr\n  call " + word + conv + " void %p()") &
                 row.kept) == 0);
        });
    // Nothing is saved in vain.
    CHECK((changed_by(row.suffix, "") & ~uint64_t{1}) == 0);
  }
}

TEST_CASE("x86_64 calls: a value stays in a register that the callee keeps", "[x86_64]") {
  for (const char* conv : {"cc(preserve_most)", "cc(preserve_all)", "no_caller_saved_registers"}) {
    INFO(conv);
    run(std::string("strong func @f(%p: ptr, %x: i64) -> i64 {\na:\n  call ") + conv + " void %p()\n  ret i64 %x\n}\n",
        [&](Code& c) {
          // push, mov, call through the argument, mov, pop, ret: nothing is stored.
          CHECK(c.size < 24);
        });
  }
}

TEST_CASE("x86_64 returns: three words in rax, rdx and rcx, whatever the frame", "[x86_64]") {
  static uint64_t source[3];
  source[0] = 0x1122334455667788, source[1] = 0x99aabbccddeeff00, source[2] = 0x123456789abcdef0;
  auto where = +[]() -> void* { return source; };
  for (const char* frame : {"", "  %room = slot_addr room\n  store i64 5, ptr %room volatile align 8\n",
                            "  %room = alloca i64 %n align 16 to ptr\n  store i64 5, ptr %room align 8 volatile\n"}) {
    INFO(frame);
    const bool slot = std::string(frame).find("slot_addr") != std::string::npos;
    run("strong func @f(%where: ptr) -> {i64, i64, i64} {\n" + std::string(slot ? "  slot room 8 align 8\n" : "") +
            "a:\n  %n = add i64 32, 32\n" + frame +
            "  %p = call ptr %where()\n  %x = load {i64, i64, i64}, ptr %p align 8\n  ret {i64, i64, i64} %x\n}\n",
        [&](Code& c) {
          const Called x = call(c, reinterpret_cast<uint64_t>(where));
          CHECK(x.after.gp[0] == source[0]);
          CHECK(x.after.gp[2] == source[1]);
          CHECK(x.after.gp[1] == source[2]);
          CHECK((x.changed & x86_64::saved_by_sysv) == 0);
        });
  }
}

TEST_CASE("x86_64 returns: the address of a result in memory is handed back, but where the convention keeps rax",
          "[x86_64]") {
  for (const char* conv : {"", "cc(win64)", "cc(preserve_most)", "cc(preserve_all)"}) {
    INFO(conv);
    run(std::string("strong func @f(%to: ptr sret(24)) -> void ") + conv +
            " {\na:\n  store i64 5, ptr %to align 8\n  ret\n}\n",
        [&](Code& c) {
          static uint64_t to[3];
          to[0] = 0;
          const Called x = call(c, reinterpret_cast<uint64_t>(to), reinterpret_cast<uint64_t>(to));
          CHECK(to[0] == 5);
          const bool changed = x.changed & 1;
          CHECK(changed == (std::string(conv).find("preserve") == std::string::npos));
          if (changed) CHECK(x.after.gp[0] == reinterpret_cast<uint64_t>(to));
        });
  }
}

TEST_CASE("x86_64 returns: LLVM's result registers, and memory for what does not fit them", "[x86_64]") {
  struct Row {
    const char* type;
    bool memory;
  } rows[] = {{"{i32, ptr, i32}", false},
              {"{i64, i64, i64, i64}", true},
              {"{i128, i64}", false},
              {"{i128, i128}", true},
              {"{f64, f64}", false},
              {"{f64, f64, f64}", true},
              {"{f32, f32, f32}", true},
              {"{f80, f80}", false},
              {"{f80, f80, f80}", true},
              {"{<4 x f32>, <4 x f32>, <2 x f64>, <4 x i32>}", false},
              {"{<4 x f32>, f64}", false},
              {"{<4 x f32>, <4 x f32>, f64}", true},
              {"{f64, f64, <4 x f32>}", false},
              {"{<2 x f32>, <2 x f32>, <2 x f32>}", false},
              {"{i64, f64, i64, f64, i64}", false},
              {"{f128, f128}", false},
              {"{f128, f128, f128}", true},
              {"{i64, i64, i64, f64, f64, <4 x i32>, <4 x i32>, f80, f80}", false}};
  for (const Row& row : rows) {
    INFO(row.type);
    const std::string t = row.type;
    run("strong func @f(%p: ptr) -> " + t + " {\na:\n  %x = load " + t + ", ptr %p align 16\n  ret " + t + " %x\n}\n",
        [&](Code& c) {
          // With a pointer to the result in front, %p is the second argument; both are memory here, and rax returns the
          // first.
          alignas(64) static uint8_t from[256], to[256];
          for (unsigned k = 0; k < 256; k++) from[k] = uint8_t(k + 1);
          std::memset(to, 0, sizeof to);
          Called x;
          std::memset(&x.before, 0, sizeof x.before);
          x.before.gp[7] = reinterpret_cast<uint64_t>(row.memory ? to : from);
          x.before.gp[6] = reinterpret_cast<uint64_t>(from);
          x.after = x.before;
          lode_test_call_with_registers(c.text(), &x.before, &x.after);
          asm volatile("fninit");
          CHECK((x.after.gp[0] == reinterpret_cast<uint64_t>(to)) == row.memory);
          CHECK((to[0] != 0) == row.memory);
        });
  }
}

TEST_CASE("x86_64 returns: a tail call hands on a result of any type as it came", "[x86_64]") {
  for (const char* type : {"i64", "i17", "f80", "{f80, f80}", "{i64, <2 x f32>}", "<2 x f32>", "<4 x i32>",
                           "{i1, i7, f16}", "{i64, i64, i64, i64}", "{f64, f64, f64}"}) {
    const std::string t = type;
    INFO(t);
    // A musttail call that cannot be a jump is an error.
    const test::Lowered l =
        lowered("target \"x86_64-unknown-linux-gnu\"\nstrong func @f(%x: i32, %p: ptr) -> " + t +
                " {\na:\n  %r = call musttail " + t + " %p(i32 %x, ptr %p)\n  ret " + t + " %r\n}\n");
    CHECK(l.error == "");
  }
}

TEST_CASE("x86_64 win64: a variadic function reads what a C++ compiler passes", "[x86_64]") {
  run(R"air(strong func @f(%n: i32, ...) -> f64 cc(win64) {
  slot list 8 align 8
s:
  %p = slot_addr list
  va_start ptr %p
  br loop(0, 0.0)
loop(%i: i32, %total: f64):
  %a = va_arg ptr %p to i32
  %b = va_arg ptr %p to f64
  %ad = sitofp i32 %a to f64
  %t1 = fadd f64 %total, %ad
  %t2 = fmul f64 %t1, %b
  %next = add i32 %i, 1
  %more = icmp slt i32 %next, %n
  cond_br %more, loop(%next, %t2), done
done:
  va_end ptr %p
  ret f64 %t2
})air", [](Code& c) {
    auto f = reinterpret_cast<double __attribute__((ms_abi)) (*)(int, ...)>(const_cast<uint8_t*>(c.text()));
    CHECK(f(1, 2, 4.0) == 8);
    CHECK(f(3, 2, 4.0, -1, 0.5, 7, 3.0) == ((2 * 4 - 1) * 0.5 + 7) * 3);
  });
}

namespace {
__attribute__((ms_abi)) double variadic(int n, double first, ...) {
  __builtin_ms_va_list list;
  __builtin_ms_va_start(list, first);
  double sum = first * n;
  sum += __builtin_va_arg(list, int) * 10;
  sum += __builtin_va_arg(list, double) * 100;
  sum += double(__builtin_va_arg(list, long long)) * 1000;
  sum += __builtin_va_arg(list, double) * 10000;
  __builtin_ms_va_end(list);
  return sum;
}
struct Large {
  long a, b, c;
};
__attribute__((ms_abi)) long fixed(int a, double b, long c, float d, unsigned char e, const Large* f, double g) {
  return a + long(b) * 2 + c * 3 + long(d) * 4 + e * 5 + f->c * 6 + long(g) * 7;
}
}  // namespace

TEST_CASE("x86_64 win64: functions that a C++ compiler made read what is passed", "[x86_64]") {
  run(R"air(strong func @f(%p: ptr) -> f64 {
a:
  %r = call cc(win64) f64 %p(i32 3, f64 2.0, i32 4, f64 5.0, i64 6, f64 7.0) as func(i32, f64, ...) -> f64
  ret f64 %r
})air",
      [](Code& c) { CHECK(c.as<double(void*)>()(reinterpret_cast<void*>(&variadic)) == 6 + 40 + 500 + 6000 + 70000); });
  run(R"air(strong func @f(%p: ptr, %s: ptr) -> i64 {
a:
  %r = call cc(win64) i64 %p(i32 1, f64 2.0, i64 3, f32 4.0, i8 zext 5, ptr byval(24) align 8 %s, f64 7.0)
  ret i64 %r
})air", [](Code& c) {
    Large s{1, 2, 6};
    CHECK(c.as<long(void*, Large*)>()(reinterpret_cast<void*>(&fixed), &s) == 1 + 4 + 9 + 16 + 25 + 36 + 49);
    CHECK(s.c == 6);
  });
}

TEST_CASE("x86_64 win64: wide values are passed by the address of a copy, in both directions", "[x86_64]") {
  run(R"air(strong func @callee(%a: f80, %b: <2 x f64>, %c: i32, %d: f80, %e: <2 x f64>) -> f64 cc(win64) {
a:
  %x = fptrunc f80 %a to f64
  %y = extract_element <2 x f64> %b, i32 1 to f64
  %z = sitofp i32 %c to f64
  %v = fptrunc f80 %d to f64
  %w = extract_element <2 x f64> %e, i32 0 to f64
  %s = fmul f64 %x, %y
  %t = fadd f64 %s, %z
  %u = fmul f64 %t, %v
  %r = fadd f64 %u, %w
  ret f64 %r
})air",
      [](Code& callee) {
        run(R"air(strong func @f(%p: ptr, %a: f64, %b: f64) -> f64 {
a:
  %x = fpext f64 %a to f80
  %v = insert_element <2 x f64> undef, f64 %b, i32 1
  %w = insert_element <2 x f64> %v, f64 %a, i32 0
  %r = call cc(win64) f64 %p(f80 %x, <2 x f64> %w, i32 7, f80 %x, <2 x f64> %w)
  ret f64 %r
})air",
            [&](Code& c) {
              CHECK(c.as<double(const void*, double, double)>()(callee.text(), 3, 5) == (3 * 5 + 7) * 3 + 3);
            });
      });
}

TEST_CASE("x86_64 switch: a dense run at the end of the operand's range", "[x86_64]") {
  // The index is the difference in the operand's width: seen as 64 bits, the smallest value of 32 bits has another one.
  struct Row {
    const char* type;
    int64_t base;
  } rows[] = {{"i8", -128},           {"i8", 120},           {"i16", -32768},
              {"i16", 32760},         {"i32", INT32_MIN},    {"i32", INT32_MIN + 1},
              {"i32", INT32_MAX - 7}, {"i64", INT64_MIN},    {"i64", INT64_MIN + 1},
              {"i64", INT64_MAX - 7}, {"i64", INT32_MIN},    {"i64", 0x80000000},
              {"i64", 0xfffffffc},    {"i64", -0x80000001ll}};
  for (const Row& row : rows) {
    INFO(row.type << " " << row.base);
    std::string cases, blocks;
    for (uint64_t k = 0; k < 8; k++) {
      cases += (k ? ", " : "") + std::to_string(int64_t(uint64_t(row.base) + k)) + ": c" + std::to_string(k);
      blocks += "c" + std::to_string(k) + ":\n  ret i32 " + std::to_string(k * k + 100) + "\n";
    }
    const std::string t = row.type;
    run("strong func @f(%x: " + t + ") -> i32 {\na:\n  switch " + t + " %x, none [" + cases +
            "]\nnone:\n  ret i32 1\n" + blocks + "}\n",
        [&](Code& c) {
          auto* f = c.as<int(int64_t)>();
          for (uint64_t k = 0; k < 8; k++) CHECK(f(int64_t(uint64_t(row.base) + k)) == int(k * k + 100));
          CHECK(f(int64_t(uint64_t(row.base) + 8)) == 1);
          CHECK(f(int64_t(uint64_t(row.base) - 1)) == 1);
          CHECK(f(0) == 1);
        });
  }
}

#endif
