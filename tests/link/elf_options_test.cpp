// What users of other ELF linkers pass and rely on: identical code folding, kept relocations, symbol versions of the
// assembler, orders and addresses of sections, --as-needed together with garbage collection. Each case links, most run
// the result, and readelf says what is in the file.
#include <catch2/catch.hpp>

#include "tests/link/elf_link_support.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

const char* folding_program = R"(
#include <stdio.h>
__attribute__((noinline)) int bar(void) { return 5; }
__attribute__((noinline)) int called1(int x) { return bar() * 3 + x; }
__attribute__((noinline)) int called2(int x) { return bar() * 3 + x; }
__attribute__((noinline)) int taken1(int x) { return bar() * 7 + x; }
__attribute__((noinline)) int taken2(int x) { return bar() * 7 + x; }
__attribute__((noinline)) int other(int x) { return bar() * 7 - x; }
int (*volatile p1)(int) = taken1, (*volatile p2)(int) = taken2;
int main(void) { printf("%d %d %d %d\n", called1(1) == called2(1), p1 == p2, p1(1) == p2(1), other(1) == p1(1)); return 0; }
)";

}  // namespace

TEST_CASE("ELF options: --icf=all folds, --icf=safe keeps addresses that are taken apart") {
  TempDir dir;
  std::string out = dir.file("out");
  for (const char* compiler : {"gcc", "clang-19"}) {  // with and without .llvm_addrsig
    std::string o = compile(dir, "a", folding_program, {"-ffunction-sections", "-fPIE"}, compiler);
    CHECK(output_of(dynamic_link({o}, out) + Args{"--icf=all"}, out) == "1 1 1 0\n");
    CHECK(output_of(dynamic_link({o}, out) + Args{"--icf=safe"}, out) == "1 0 1 0\n");
    CHECK(output_of(dynamic_link({o}, out) + Args{"--icf=all", "--keep-unique", "taken2"}, out) == "1 0 1 0\n");
    RunResult r = link(dynamic_link({o}, out) + Args{"--icf=safe", "--print-icf-sections"});
    CHECK(has(r.out, "(.text.called2)"));
    CHECK(!has(r.out, "(.text.taken2)"));
  }
}

TEST_CASE("ELF options: functions that arrive as IR fold, too") {
  TempDir dir;
  std::string out = dir.file("out");
  std::string bc = compile(dir, "a", folding_program, {"-emit-llvm", "-fPIE"}, "clang-19");
  CHECK(output_of(dynamic_link({bc}, out) + Args{"--icf=all"}, out) == "1 1 1 0\n");
  CHECK(output_of(dynamic_link({bc}, out) + Args{"--icf=safe"}, out) == "1 0 1 0\n");
  CHECK(output_of(dynamic_link({bc}, out), out) == "1 0 1 0\n");
}

TEST_CASE("ELF options: folding looks at the unwinding of functions") {
  TempDir dir;
  std::string a = assemble(dir, "a", R"(
.globl pers1, pers2
pers1: ret
pers2: ret
.macro function name, personality
.section .text.\name,"ax",@progbits
.globl \name
\name:
  .cfi_startproc
  .cfi_personality 0x1b, \personality
  ret
  .cfi_endproc
.endm
function fn1, pers1
function fn2, pers2
function fn3, pers1
.section .text.last,"ax",@progbits
.cfi_startproc
nop
ret
.cfi_endproc
.section .note.GNU-stack,"",@progbits
)");
  std::string b = compile(dir, "b",
                          "#include <stdio.h>\nextern char fn1, fn2, fn3; int main(void) { printf(\"%d %d\\n\", "
                          "(long)&fn1 == (long)&fn2, (long)&fn1 == (long)&fn3); return 0; }",
                          {"-fPIE"});
  std::string out = dir.file("out");
  CHECK(output_of(dynamic_link({a, b}, out) + Args{"--icf=all"}, out) == "0 1\n");
}

TEST_CASE("ELF options: --emit-relocs keeps relocations, adjusted to what relaxation made of them") {
  TempDir dir;
  std::string o = assemble(dir, "a", R"(
.globl _start
_start:
  movq foo@GOTPCREL(%rip), %rax
  movl local(%rip), %ecx
  movl $60, %eax
  xorl %edi, %edi
  syscall
.data
.hidden foo
foo: .long 42
local: .quad foo
.section .note.GNU-stack,"",@progbits
)");
  std::string out = dir.file("out");
  REQUIRE(link({o, "-o", out, "--emit-relocs", "-static"}).ok());  // elf_report wants none in a finished file
  CHECK(run({out}).ok());
  std::string r = readelf({"-r"}, out);
  CHECK(has(r, "'.rela.text'"));
  CHECK(has(r, "'.rela.data'"));
  CHECK(has(r, "R_X86_64_PC32"));
  CHECK(!has(r, "GOTPCRELX"));
  CHECK(has(r, "foo"));
}

TEST_CASE("ELF options: versions that the assembler gives") {
  TempDir dir;
  std::string script = dir.write("v.map", "V1 { global: foo; local: *; }; V2 {} V1;");
  std::string o = compile(
      dir, "a", "void foo(void) {} __asm__(\".symver foo, foo@V1\"); __asm__(\".symver foo, foo@@V2\");", {"-fPIC"});
  std::string so = dir.file("a.so");
  RunResult l = link({"-shared", o, "-o", so, "--version-script", script});
  INFO(l.describe());
  REQUIRE(l.ok());
  std::string syms = readelf({"--dyn-syms"}, so);
  CHECK(has(syms, " foo@V1"));
  CHECK(has(syms, " foo@@V2"));
  o = compile(dir, "b",
              "void f1(void) {} void f2(void) {} __asm__(\".symver f1, foo@V2\"); __asm__(\".symver f2, foo@@V2\");",
              {"-fPIC"});
  CHECK(has(error_of({"-shared", o, "-o", so, "--version-script", script}), "duplicate symbol"));
  // Exact names, then wildcards with "global" before "local", then the lone star.
  o = compile(dir, "c", "void xyz(void) {} void foo_bar(void) {} void foo123(void) {}", {"-fPIC"});
  REQUIRE(
      link({"-shared", o, "-o", so, "--version-script", dir.write("w.map", "{ global: *; *foo_*; local: *foo*; };")})
          .ok());
  syms = readelf({"--dyn-syms"}, so);
  CHECK(has(syms, " xyz"));
  CHECK(has(syms, " foo_bar"));
  CHECK(!has(syms, " foo123"));
  CHECK(has(error_of({"-shared", o, "-o", so, "--version-script", dir.write("x.map", "V { foo[12; };")}),
            "invalid version pattern"));
  CHECK(has(link({"-shared", o, "-o", so, "--version-script", dir.write("y.map", "V { nothing; };")}).err,
            "symbol not found"));
}

TEST_CASE("ELF options: a hidden reference is not satisfied by a shared library") {
  TempDir dir;
  std::string lib = compile(dir, "lib", "void foo(void) {}", {"-fPIC"}), so = dir.file("lib.so"),
              archive = dir.file("lib.a"), out = dir.file("out");
  REQUIRE(link({"-shared", lib, "-o", so}).ok());
  REQUIRE(run({"ar", "rcs", archive, lib}).ok());
  std::string o =
      compile(dir, "a", "__attribute__((visibility(\"hidden\"))) void foo(void); int main(void) { foo(); return 0; }",
              {"-fPIE"});
  CHECK(has(error_of(dynamic_link({o, so}, out)), "undefined symbol: foo (hidden"));
  CHECK(output_of(dynamic_link({o, so, archive}, out), out) == "");
}

TEST_CASE("ELF options: --as-needed libraries that only dead code wants") {
  TempDir dir;
  std::string so = dir.file("libfoo.so"), out = dir.file("out");
  REQUIRE(
      link({"-shared", compile(dir, "lib", "int foo(void) { return 1; }", {"-fPIC"}), "-o", so, "-soname", "libfoo.so"})
          .ok());
  std::string o = compile(dir, "a", "int foo(void); int dead(void) { return foo(); } int main(void) { return 0; }",
                          {"-fPIE", "-ffunction-sections"});
  CHECK(output_of(dynamic_link({o, "--as-needed", so}, out) + Args{"--gc-sections"}, out) == "");
  CHECK(!has(readelf({"-d"}, out), "[libfoo.so]"));
  REQUIRE(link(dynamic_link({o, "--as-needed", so}, out)).ok());
  CHECK(has(readelf({"-d"}, out), "[libfoo.so]"));
}

TEST_CASE("ELF options: orders of sections") {
  TempDir dir;
  std::string o =
      compile(dir, "a", "void f1(void) {} void f2(void) {} void f3(void) {} void _start(void) { f1(); f2(); f3(); }",
              {"-ffunction-sections", "-fno-inline"});
  std::string out = dir.file("out");
  REQUIRE(link({o, "-o", out, "--symbol-ordering-file", dir.write("order", "f3\n_start\n# comment\nf1\n")}).ok());
  auto address = [&](const std::string& name) {
    std::string nm = run({"nm", out}).out;
    size_t at = nm.find(" T " + name + "\n");
    REQUIRE(at != std::string::npos);
    return std::stoull(nm.substr(nm.rfind('\n', at) + 1, 16), nullptr, 16);
  };
  CHECK(address("f3") < address("_start"));
  CHECK(address("_start") < address("f1"));
  CHECK(address("f1") < address("f2"));
  REQUIRE(link({o, "-o", out, "--reverse-sections"}).ok());
  CHECK(address("f2") < address("f1"));
  REQUIRE(link({o, "-o", out, "--shuffle-sections=7"}).ok());
  std::string first = read_file(out);
  REQUIRE(link({o, "-o", out, "--shuffle-sections=7", "--threads=1"}).ok());
  CHECK(read_file(out) == first);
}

TEST_CASE("ELF options: a static PIE without relaxation, protected memory beside placed sections") {
  TempDir dir;
  std::string o =
      compile(dir, "a", "#include <stdio.h>\n__thread char x = 42; int main(void) { printf(\"%d\\n\", x); return 0; }",
              {"-fPIE"});
  RunResult r = run({"clang-19", "-static-pie", "--ld-path=" + std::string(LODE_BINARY), "-Wl,--no-relax", o, "-o",
                     dir.file("spie")});
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(run({dir.file("spie")}).out == "42\n");
  std::string out = dir.file("out");
  for (const char* relax : {"--relax", "--no-relax"})
    CHECK(output_of(dynamic_link({o}, out) + Args{"--section-start=.tdata=0x100001", relax}, out) == "42\n");
  CHECK(output_of(dynamic_link({o}, out) + Args{"-z", "max-page-size=0x200000"}, out) == "42\n");
}

TEST_CASE("ELF options: of .gnu.linkonce sections of one name one stays") {
  TempDir dir;
  std::string text =
      ".section .gnu.linkonce.t.f,\"ax\",@progbits\n.globl f\nf: ret\n.section .note.GNU-stack,\"\",@progbits\n";
  std::string a = assemble(dir, "a", text), b = assemble(dir, "b", text);
  std::string m = compile(dir, "m", "void f(void); int main(void) { f(); return 0; }", {"-fPIE"});
  CHECK(output_of(dynamic_link({a, b, m}, dir.file("out")), dir.file("out")) == "");
}

TEST_CASE("ELF options: properties of objects combine, in -r outputs as well") {
  TempDir dir;
  std::string a = compile(dir, "a", "int f(void) { return 1; }", {"-fcf-protection=full"}),
              b = compile(dir, "b", "int g(void) { return 1; }", {"-fcf-protection=none"});
  std::string c = compile(dir, "c", "int h(void) { return 1; }", {"-fcf-protection=full"}), out = dir.file("out.o");
  REQUIRE(link({"-r", a, c, "-o", out}).ok());
  CHECK(has(readelf({"-n"}, out), "IBT, SHSTK"));
  REQUIRE(link({"-r", a, b, "-o", out}).ok());
  CHECK(!has(readelf({"-n"}, out), "IBT"));
  CHECK(has(error_of({"-shared", a, b, "-o", dir.file("x.so"), "-z", "cet-report=error"}),
            "b.o: -cet-report=error: missing GNU_PROPERTY_X86_FEATURE_1_IBT"));
  REQUIRE(link({"-shared", a, "-o", dir.file("y.so"), "-z", "x86-64-v3"}).ok());
  CHECK(has(readelf({"-n"}, dir.file("y.so")), "x86-64-v3"));
}

TEST_CASE("ELF options: --stats and --time-trace name the passes and the stages of code generation") {
  TempDir dir;
  std::string a = dir.write("a.air", "strong func @_start() -> void {\nstart:\n  trap\n}\n"), out = dir.file("out");
  RunResult r = link({a, "-o", out, "--stats", "--time-trace"});
  REQUIRE(r.ok());
  for (const char* name : {"open ", "resolve ", "live ", "layout ", "write ", "  select ", "  allocate ", "  emit "})
    CHECK(has(r.err, name));
  std::string trace = read_file(out + ".time-trace");
  CHECK(has(trace, "{\"traceEvents\":["));
  CHECK(has(trace, "\"name\":\"allocate, all threads\""));
  CHECK(run({"python3", "-m", "json.tool", out + ".time-trace"}).ok());
}

TEST_CASE("ELF options: -z rewrite-endbr where no address is taken") {
  TempDir dir;
  const Args flags = {"-fcf-protection=full", "-fPIE"};
  std::string source =
      "#include <stdio.h>\n"
      "__attribute__((noinline)) int direct(int x) { return x + 1; } __attribute__((noinline)) int pointed(int x) { "
      "return x + 2; }\n"
      "static __attribute__((noinline)) int local_pointed(int x) { return x + 3; }\n"
      "int (*volatile p)(int) = pointed;\n"
      "int main(void) { int (*volatile q)(int) = local_pointed; printf(\"%d\\n\", direct(1) + p(1) + q(1)); return 0; "
      "}";
  std::string out = dir.file("out");
  for (const char* sections : {"-ffunction-sections", "-fno-function-sections"}) {
    std::string o = compile(dir, "a", source, flags + Args{sections});
    CHECK(output_of(dynamic_link({o}, out) + Args{"-z", "rewrite-endbr"}, out) == "9\n");
    auto first_instruction = [&](const std::string& name) {
      std::string text = run({"objdump", "-d", "--no-show-raw-insn", out}).out;
      size_t at = text.find("<" + name + ">:\n");
      REQUIRE(at != std::string::npos);
      at += name.size() + 4;
      return text.substr(at, text.find('\n', at) - at);
    };
    CHECK(has(first_instruction("direct"), "nop"));
    for (const char* name : {"pointed", "local_pointed", "main"}) CHECK(has(first_instruction(name), "endbr64"));
  }
}

TEST_CASE("ELF options: --zero-to-bss, --start-stop, --relocatable-merge-sections, order of notes") {
  TempDir dir;
  std::string o = compile(dir, "a",
                          "#include <stdio.h>\n"
                          "__attribute__((section(\".zeros\"))) char z[64]; __attribute__((section(\".some\"))) char "
                          "s[64] = {1}; __attribute__((section(\".pointers\"))) void* p[8] = {z};\n"
                          "extern char __start_text[], __stop_text[]; void other(void) {}\n"
                          "int main(void) { printf(\"%d %d\\n\", z[1], __start_text <= (char*)main && (char*)main < "
                          "__stop_text); return 0; }",
                          {"-fPIE", "-ffunction-sections"});
  std::string out = dir.file("out");
  CHECK(output_of(dynamic_link({o}, out) + Args{"--zero-to-bss", "--start-stop"}, out) == "0 1\n");
  std::string sections = readelf({"-S"}, out);
  auto line = [&](const std::string& name) { return sections.substr(sections.find(name), 40); };
  CHECK(has(line(".zeros"), "NOBITS"));
  CHECK(has(line(".some"), "PROGBITS"));
  CHECK(has(line(".pointers"), "PROGBITS"));
  CHECK(has(readelf({"-s"}, out), "__stop_text"));

  REQUIRE(link({"-r", o, "-o", dir.file("r.o")}).ok());
  CHECK(has(readelf({"-S"}, dir.file("r.o")), ".text.other"));
  REQUIRE(link({"-r", o, "-o", dir.file("r.o"), "--relocatable-merge-sections"}).ok());
  CHECK(!has(readelf({"-S"}, dir.file("r.o")), ".text.other"));

  std::string notes =
      assemble(dir, "n",
               ".globl _start\n_start: ret\n.section .note.c,\"a\",@note\n.p2align 3\n.quad 1\n.section "
               ".note.a,\"a\",@note\n.p2align 2\n.quad 1\n.section .note.b,\"a\",@note\n.p2align 3\n.quad 1\n");
  REQUIRE(link({notes, "-o", out}).ok());
  CHECK(has(readelf({"-l"}, out), ".note.b .note.c .note.a"));
}

TEST_CASE("ELF options: a COMDAT group of an object is preferred to one made from IR") {
  TempDir dir;
  std::string ir = dir.write(
                  "a.ll",
                  "target triple = \"x86_64-pc-linux-gnu\"\n$mix = comdat any\n@mix_ir = global i32 1, comdat($mix)\n"),
              bc = dir.file("a.o");
  RunResult r = run({"clang-19", "-c", "-emit-llvm", ir, "-o", bc});
  INFO(r.describe());
  REQUIRE(r.ok());
  std::string o = assemble(dir, "b",
                           ".globl kept\n.section .text.kept,\"axG\",@progbits,mix,comdat\nkept: ret\n.text\n.globl "
                           "main\nmain: call kept\nxor %eax, %eax\nret\n.section .note.GNU-stack,\"\",@progbits\n");
  CHECK(output_of(dynamic_link({bc, o}, dir.file("out")), dir.file("out")) == "");
}

TEST_CASE("ELF options: the linker signs .comment once, but not in stripped files") {
  TempDir dir;
  std::string o = compile(dir, "signed", "int main(void) { return 0; }");
  auto comments = [&](const Args& flags, const char* out) {
    RunResult l = link(Args{"-e", "main", "-o", dir.file(out), o} + flags);
    INFO(l.describe());
    REQUIRE(l.ok());
    return run({"readelf", "-p", ".comment", dir.file(out)}).out;
  };
  std::string text = comments({}, "plain");
  size_t at = text.find("Linker: lode ");
  CHECK(at != std::string::npos);
  CHECK(text.find("Linker: lode ", at + 1) == std::string::npos);
  CHECK(has(text, "GCC"));
  CHECK_FALSE(has(comments({"-s"}, "stripped"), "Linker:"));
  CHECK_FALSE(has(comments({"-r"}, "object"), "Linker:"));
}

TEST_CASE("ELF options: machines that lode does not write are refused by name, and nothing says that it does") {
  for (const std::string name : {"elf32lriscv", "elf64-littleriscv", "elf_i386", "aarch64linux"})
    CHECK(link({"-m", name, "a.o"}).err ==
          "lode: error: unsupported emulation: -m " + name + " (supported: elf_x86_64 elf64lriscv wasm32 wasm64)\n");
  RunResult r = link({"--oformat=elf64-bigriscv", "a.o"});
  CHECK(has(r.err, "unsupported format (elf64-x86-64, elf64-littleriscv and elf are supported) 'elf64-bigriscv'"));
  CHECK(link({"-V"}).out.ends_with("  Supported emulations:\n   elf_x86_64\n   elf64lriscv\n   wasm32\n   wasm64\n"));
  const std::string help = link({"--help"}).out;
  CHECK(has(help, "supported emulations: elf_x86_64 elf64lriscv wasm32 wasm64\n"));
  for (const std::string& list : {help, link({"--help=markdown"}).out, link({"--help=man"}).out})
    CHECK(!has(list, "aarch64"));
  CHECK(has(link({"--help=html"}).err, "unknown format (markdown and man are known) 'html'"));
}
