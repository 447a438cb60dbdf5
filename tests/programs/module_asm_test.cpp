// Programs whose modules have assembly of their own: linked by lode from bitcode, and run. What the same program does
// when clang makes its object is what is expected.
#include <catch2/catch.hpp>

#include <filesystem>

#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

namespace {

std::string compiled(const TempDir& dir, const std::string& name, const std::string& source, const Args& flags = {}) {
  const bool cpp = name.ends_with(".cpp");
  std::string file = dir.write(name, source), object = dir.file(name + ".o");
  RunResult made = run(Args{cpp ? "clang++-19" : "clang-19", "-w", "-c", "-O1", file, "-o", object} + flags);
  INFO(made.describe());
  REQUIRE(made.ok());
  return object;
}

std::string linked(const TempDir& dir, const Args& inputs, const Args& flags = {}, const char* driver = "clang-19") {
  std::string program = dir.file("program");
  RunResult r = run(Args{driver, std::string("--ld-path=") + LODE_BINARY} + inputs + flags + Args{"-o", program});
  INFO(r.describe());
  REQUIRE(r.ok());
  return program;
}

// Runs alike from bitcode by lode, and from clang's own object.
void runs_alike(const std::string& name, const std::string& source, const Args& flags = {}, const Args& link = {}) {
  TempDir dir;
  const char* driver = name.ends_with(".cpp") ? "clang++-19" : "clang-19";
  std::string native = compiled(dir, name, source, flags);
  std::string expected_program = dir.file("expected");
  RunResult peer = run(Args{driver, native} + link + Args{"-o", expected_program});
  INFO(peer.describe());
  REQUIRE(peer.ok());
  RunResult expected = run({expected_program});
  REQUIRE(expected.status == 0);
  std::string bitcode = compiled(dir, name, source, flags + Args{"-flto"});
  for (const Args& how : {Args{}, Args{"-Wl,--gc-sections"}, Args{"-static"}, Args{"-no-pie"}}) {
    std::string program = linked(dir, {bitcode}, link + how, driver);
    RunResult got = run({program});
    INFO(got.describe());
    CHECK(got.status == expected.status);
    CHECK(got.out == expected.out);
  }
}

const char* const both_ways = R"c(
#include <stdio.h>
static int hidden_in_c(int x) { return x * 3; }
__attribute__((used)) static int (*keep)(int) = hidden_in_c;
int counter = 40;
extern int from_asm(int), table[], local_data;
extern const char text[];
int weak_one(void);
__asm__(R"(
  .text
  .globl from_asm
  .type from_asm, @function
from_asm:
  .cfi_startproc
  push %rbx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rbx, 0
  lea 1(%rdi), %ebx
  mov %ebx, %edi
  call hidden_in_c
  add counter(%rip), %eax
  mov stdout@GOTPCREL(%rip), %rdx
  test %rdx, %rdx
  je 1f
  add %ebx, %eax
1: pop %rbx
  .cfi_adjust_cfa_offset -8
  .cfi_restore %rbx
  ret
  .cfi_endproc
  .size from_asm, .-from_asm
  .section .rodata
  .globl table
table: .long 1, 2, table_end - table, 3
table_end:
text: .asciz "from assembly"
  .data
local_data: .long 7
  .weak weak_one
  .section .text.weak_one, "ax", @progbits
weak_one: mov $5, %eax
  ret
)");
int main(void) {
  printf("%d %d %s %d %d\n", from_asm(10), table[2], text, local_data, weak_one());
  return 0;
}
)c";

}  // namespace

TEST_CASE("module assembly: code and data in both directions, local and global") {
  runs_alike("a.c", both_ways, {"-fPIC"});
}

TEST_CASE("module assembly: Intel's syntax at the top and in functions") {
  runs_alike("a.c", R"c(
#include <stdio.h>
__asm__(".intel_syntax noprefix\n.globl twice\ntwice: lea eax, [rdi + rdi]\n ret\n.att_syntax\n");
int twice(int);
static long sum(long a, long b) { long r; __asm__("lea %0, [%1 + %2*2]" : "=r"(r) : "r"(a), "r"(b)); return r; }
static int load(int *p) { int r; __asm__("mov %0, %1" : "=r"(r) : "m"(*p)); return r; }
int main(void) { int x = 9; printf("%d %ld %d\n", twice(21), sum(2, 3), load(&x)); return 0; }
)c",
             {"-masm=intel"});
}

TEST_CASE("module assembly: exceptions pass through its frames") {
  runs_alike("a.cpp", R"c(
#include <cstdio>
extern "C" void thrower() { throw 42; }
extern "C" void through(void (*)());
__asm__(R"(
  .globl through
  .type through,@function
through: .cfi_startproc
  push %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  mov %rsp, %rbp
  .cfi_def_cfa_register %rbp
  sub $32, %rsp
  call *%rdi
  leave
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
  .size through, .-through
)");
int main() { try { through(thrower); } catch (int x) { std::printf("caught %d\n", x); } return 0; }
)c",
             {"-fPIC"});
}

TEST_CASE("module assembly: thread-local data, initialisers, names that are set") {
  runs_alike("a.c", R"c(
#include <stdio.h>
extern __thread int tls_value;
int read_tls(void), same_as_main(int);
int helper(int x) { return x + 1; }
int order;
static void early(void) { order = 3; }
__attribute__((used)) static void (*keep)(void) = early;
__asm__(R"(
  .section .tdata,"awT",@progbits
  .globl tls_value
  .type tls_value,@object
  .size tls_value,4
  .balign 4
tls_value: .long 77
  .text
  .globl read_tls
read_tls: mov tls_value@gottpoff(%rip), %rax
  mov %fs:(%rax), %eax
  ret
  .globl same_as_main
  .set same_as_main, helper
  .section .init_array,"aw"
  .balign 8
  .quad early
)");
int main(void) { printf("%d %d %d %d\n", tls_value, read_tls(), same_as_main(4), order); return 0; }
)c",
             {"-fPIC"});
}

TEST_CASE("module assembly: macros, alternatives and tables as kernels have them") {
  runs_alike("a.c", R"c(
#include <stdio.h>
struct entry { int where, to; unsigned char length, other; } __attribute__((packed));
extern struct entry __start_altinstr[], __stop_altinstr[];
__asm__(R"(
.macro ALTERNATIVE old, new
140: \old
141: .skip -(((144f-143f)-(141b-140b)) > 0) * ((144f-143f)-(141b-140b)), 0x90
142:
 .pushsection altinstr,"a"
 .long 140b - ., 143f - .
 .byte 142b-140b, 144f-143f
 .popsection
 .pushsection .altinstr_replacement,"ax"
143: \new
144:
 .popsection
.endm
 .globl patched
patched:
 ALTERNATIVE nop, "movabs $0x1122334455667788, %rax"
 ALTERNATIVE "mov $3, %eax", nop
 ret
)");
int patched(void);
int main(void) {
  for (struct entry *e = __start_altinstr; e != __stop_altinstr; e++) printf("%d %d\n", e->length, e->other);
  printf("%d\n", patched());
  return 0;
}
)c");
}

TEST_CASE("module assembly: a function that no object wants is not there") {
  TempDir dir;
  std::string bitcode = compiled(dir, "a.c", R"c(
__asm__(".section .text.dead,\"ax\"; .globl dead; dead: call nowhere; ret");
int main(void) { return 0; }
)c",
                                 {"-flto"});
  std::string program = linked(dir, {bitcode}, {"-Wl,--gc-sections"});
  CHECK(run({program}).status == 0);
  CHECK(run({"nm", program}).out.find(" dead") == std::string::npos);
}

TEST_CASE("module assembly: members of archives, versions and shared libraries") {
  TempDir dir;
  std::string member = compiled(dir, "m.c", R"c(
__asm__(".globl f_old, f_new\n.type f_old,@function\n.type f_new,@function\n"
        "f_old: mov $1, %eax; ret\nf_new: mov $2, %eax; ret\n"
        ".symver f_old, f@V1\n.symver f_new, f@@V2\n");
)c",
                                {"-flto", "-fPIC"});
  std::string map = dir.write("v.map", "V1 { global: f; local: *; };\nV2 { global: f; } V1;\n"),
              library = dir.file("libv.so"), archive = dir.file("libm.a");
  RunResult made = run({LODE_BINARY, "-shared", member, "-o", library, "--version-script", map});
  INFO(made.describe());
  REQUIRE(made.ok());
  RunResult listed = run({"readelf", "--dyn-syms", "-W", library});
  CHECK(listed.out.find("f@V1") != std::string::npos);
  CHECK(listed.out.find("f@@V2") != std::string::npos);
  REQUIRE(run({"llvm-ar-19", "rcs", archive, member}).ok());
  std::string main = compiled(dir, "main.c", "int f_new(void); int main(void) { return f_new() - 2; }\n");
  CHECK(run({linked(dir, {main, archive})}).status == 0);
}

TEST_CASE("module assembly: -r leaves an object that other linkers take") {
  TempDir dir;
  std::string bitcode = compiled(dir, "a.c", both_ways, {"-flto", "-fPIC"}), object = dir.file("r.o");
  RunResult r = run({LODE_BINARY, "-r", bitcode, "-o", object});
  INFO(r.describe());
  REQUIRE(r.ok());
  for (const char* linker : {"-fuse-ld=bfd", "-fuse-ld=lld", "-fuse-ld=mold"}) {
    std::string program = dir.file("p");
    RunResult made = run({"clang-19", linker, object, "-o", program});
    INFO(made.describe());
    REQUIRE(made.ok());
    CHECK(run({program}).out == "84 16 from assembly 7 5\n");
  }
}

TEST_CASE("module assembly: naked functions of C and of Rust, asm! and global_asm!") {
  runs_alike("a.c", R"c(
#include <stdio.h>
__attribute__((naked, noinline)) int add(int a, int b) { __asm__("lea (%rdi,%rsi), %eax\n ret"); }
__attribute__((naked, noinline)) int jump(int a) { __asm__("test %edi, %edi\n je 1f\n mov $2, %eax\n ret\n1: jmp zero"); }
int zero(void) { return 10; }
int main(void) { printf("%d %d %d\n", add(3, 4), jump(0), jump(1)); return 0; }
)c");
  const char* home = std::getenv("HOME");
  const std::string rustc = std::string(home ? home : "") + "/.cargo/bin/rustc";
  if (!std::filesystem::exists(rustc)) LODE_SKIP("there is no rustc in ~/.cargo/bin");
  TempDir dir;
  std::string source = dir.write("a.rs", R"rs(
use std::arch::{asm, global_asm};
global_asm!(".globl thrice", "thrice: lea eax, [rdi + rdi*2]", "ret");
global_asm!(".globl four", "four: leal (,%rdi,4), %eax", "ret", options(att_syntax));
unsafe extern "C" { fn thrice(x: u32) -> u32; fn four(x: u32) -> u32; }
static mut VALUE: u64 = 5;
fn main() {
  let (mut x, y): (u64, u64) = (3, 4);
  unsafe {
    asm!("add {0}, {1}", inout(reg) x, in(reg) y);
    let v: u64;
    asm!("mov {}, qword ptr [rip + {}]", out(reg) v, sym VALUE);
    let r = std::arch::x86_64::__cpuid(0);
    println!("{} {} {} {} {}", x, v, thrice(5), four(6), r.ebx != 0);
  }
}
)rs"),
              program = dir.file("rust");
  RunResult made = run({rustc, "-O", "--edition", "2024", "-C", "linker-plugin-lto", "-C", "linker=clang-19", "-C",
                        std::string("link-arg=--ld-path=") + LODE_BINARY, source, "-o", program});
  INFO(made.describe());
  REQUIRE(made.ok());
  CHECK(run({program}).out == "7 5 15 24 true\n");
}
