// What symbols, versions, libraries and relocations mean in the corners: places without bytes, claims of several sizes,
// libraries that are needed or not, versions seen from every side. The right value is what GNU ld and lld agree on, or
// what the gABI says.
#include <catch2/catch.hpp>

#include "tests/link/elf_link_support.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

std::string nm(const Args& flags, const std::string& file) { return run(Args{"nm"} + flags + Args{file}).out; }

// The line of a listing that ends in `name`.
std::string line_of(const std::string& text, const std::string& name) {
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.size() > name.size() && line.ends_with(name) && line[line.size() - name.size() - 1] == ' ') return line;
    at = end + 1;
  }
  return {};
}

}  // namespace

TEST_CASE("ELF semantics: a weak reference alone makes no library needed") {
  TempDir dir;
  std::string lib = compile(dir, "o", "int opt(void) { return 4; }", {"-fPIC"}), so = dir.file("libo.so"),
              other = dir.file("libp.so");
  REQUIRE(link({"-shared", lib, "-o", so, "-soname", "libo.so"}).ok());
  REQUIRE(link({"-shared", lib, "-o", other, "-soname", "libp.so"}).ok());
  std::string m = compile(dir, "m",
                          "extern int opt(void) __attribute__((weak)); int main(void) { return opt ? opt() : 0; }",
                          {"-fPIE"}),
              out = dir.file("out");
  REQUIRE(link(dynamic_link({m, "--as-needed", so, "--no-as-needed"}, out)).ok());
  CHECK(!has(readelf({"-d"}, out), "libo.so"));
  CHECK(run({out}).status == 0);
  // A later library that is there anyway supplies it.
  REQUIRE(link(dynamic_link({m, "--as-needed", so, "--no-as-needed", other}, out) + Args{"-rpath", dir.path()}).ok());
  CHECK(!has(readelf({"-d"}, out), "libo.so"));
  CHECK(has(readelf({"-d"}, out), "libp.so"));
  CHECK(run({out}).status == 4);
}

TEST_CASE("ELF semantics: what a needed library lacks makes another needed, unless it names that itself") {
  TempDir dir;
  std::string foo = dir.file("libfoo.so"), bar = dir.file("libbar.so"), bar2 = dir.file("libbar2.so"),
              out = dir.file("out");
  std::string f = compile(dir, "f", "int fn1(void) { return 42; }", {"-fPIC"}),
              b = compile(dir, "b", "int fn1(void); int fn2(void) { return fn1(); }", {"-fPIC"});
  REQUIRE(link({"-shared", f, "-o", foo, "-soname", "libfoo.so"}).ok());
  REQUIRE(link({"-shared", b, "-o", bar, "-soname", "libbar.so"}).ok());
  REQUIRE(link({"-shared", b, foo, "-o", bar2, "-soname", "libbar2.so", "-rpath", dir.path()}).ok());
  std::string m = compile(dir, "m", "int fn2(void); int main(void) { return fn2(); }", {"-fPIE"});
  REQUIRE(link(dynamic_link({m, "--as-needed", bar, foo}, out) + Args{"-rpath", dir.path()}).ok());
  CHECK(has(readelf({"-d"}, out), "libfoo.so"));
  CHECK(run({out}).status == 42);
  REQUIRE(link(dynamic_link({m, "--as-needed", bar2, foo}, out) + Args{"-rpath", dir.path()}).ok());
  CHECK(!has(readelf({"-d"}, out), "libfoo.so"));
  CHECK(run({out}).status == 42);
}

TEST_CASE("ELF semantics: a library is needed for what only lowering names") {
  TempDir dir;
  std::string lib = compile(dir, "l",
                            "unsigned __int128 __udivti3(unsigned __int128 a, unsigned __int128 b) { return 7; }",
                            {"-fPIC"}),
              so = dir.file("libdiv.so"), out = dir.file("out");
  REQUIRE(link({"-shared", lib, "-o", so, "-soname", "libdiv.so"}).ok());
  std::string m = dir.write("m.air", R"(
strong func @main(%c: i32) -> i32 {
start:
  %x = zext i32 %c to i128
  %y = udiv i128 %x, %x
  %z = trunc i128 %y to i32
  ret i32 %z
}
)");
  Args start = {"-pie",
                "-dynamic-linker",
                "/lib64/ld-linux-x86-64.so.2",
                gcc_file("Scrt1.o"),
                m,
                "-L" + gcc_folder("libc.so"),
                "-lc",
                "-o",
                out,
                "-rpath",
                dir.path()};
  RunResult r = link(start + Args{"--as-needed", so});
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(has(readelf({"-d"}, out), "libdiv.so"));
  CHECK(run({out}).status == 7);
  // An archive before it is taken instead.
  std::string archive = dir.file("libdiv.a"),
              o = compile(dir, "o",
                          "unsigned __int128 __udivti3(unsigned __int128 a, unsigned __int128 b) { return 8; }",
                          {"-fPIC"});
  REQUIRE(run({"ar", "rcs", archive, o}).ok());
  REQUIRE(link(start + Args{archive, "--as-needed", so}).ok());
  CHECK(!has(readelf({"-d"}, out), "libdiv.so"));
  CHECK(run({out}).status == 8);
}

TEST_CASE("ELF semantics: common symbols of one name are the largest, wherever they are listed") {
  TempDir dir;
  Args flags = {"-fcommon", "-fPIC"};
  std::string a = compile(dir, "a", "int table[4]; int* small(void) { return table; }", flags),
              b = compile(dir, "b", "int table[64] __attribute__((aligned(128))); int* big(void) { return table; }",
                          flags);
  std::string so = dir.file("libt.so"), joined = dir.file("joined.o");
  for (const Args& order : {Args{a, b}, Args{b, a}}) {
    REQUIRE(link(Args{"-shared", "-o", so} + order).ok());
    CHECK(has(line_of(readelf({"--dyn-syms"}, so), "table"), " 256 OBJECT"));
    CHECK(has(line_of(readelf({"-s"}, so), "table"), " 256 OBJECT"));
    REQUIRE(link(Args{"-r", "-o", joined} + order).ok());
    std::string line = line_of(readelf({"-s"}, joined), "table");
    CHECK(has(line, " 256 OBJECT"));
    CHECK(has(line, "0000000000000080 "));  // a common symbol's value is its alignment
    CHECK(has(line, " COM "));
  }
  // A copy relocation copies all of it.
  std::string m = compile(dir, "m", "extern int table[64]; int main(void) { return table[63]; }", {"-fno-pie"}),
              out = dir.file("out");
  REQUIRE(link({"-shared", a, b, "-o", so, "-soname", "libt.so"}).ok());
  REQUIRE(link(dynamic_link({m, so}, out) + Args{"-no-pie", "-rpath", dir.path()}).ok());
  CHECK(has(line_of(readelf({"--dyn-syms"}, out), "table"), " 256 OBJECT"));
  // A library with nothing but zero-filled memory, aligned, loads.
  CHECK(run({out}).status == 0);
  // A library's own object of the name is replaced by the program's: its code knows the larger one.
  REQUIRE(link(dynamic_link({a, compile(dir, "n", "int* small(void); int main(void) { return *small(); }"), so}, out) +
               Args{"-rpath", dir.path()})
              .ok());
  CHECK(has(line_of(readelf({"-s"}, out), "table"), " 256 OBJECT"));
  CHECK(run({out}).status == 0);
}

TEST_CASE("ELF semantics: an object with names of two sizes is copied as a whole") {
  TempDir dir;
  std::string lib = assemble(dir, "l",
                             ".globl small, large, last\n.type small,@object\n.type large,@object\n.size "
                             "small,4\n.size large,64\n.data\n.balign 8\nlarge:\nsmall: .long 1\n.zero 56\n.long 5\n"
                             ".text\n.type last,@function\nlast: mov large@GOTPCREL(%rip),%rax\n mov 60(%rax),%eax\n "
                             "ret\n.section .note.GNU-stack,\"\",@progbits\n");
  std::string so = dir.file("liblarge.so"), out = dir.file("out");
  REQUIRE(link({"-shared", lib, "-o", so, "-soname", "liblarge.so"}).ok());
  std::string m = compile(dir, "m",
                          "extern int small; int last(void); int after[16]; int main(void) { for (int i = 0; i < 16; "
                          "i++) after[i] = 9; return small + last(); }",
                          {"-fno-pie"});
  REQUIRE(link(dynamic_link({m, so}, out) + Args{"-no-pie", "-rpath", dir.path()}).ok());
  CHECK(run({out}).status == 6);
}

TEST_CASE("ELF semantics: a symbol in a section that ends up empty stays defined") {
  TempDir dir;
  std::string stub = assemble(dir, "stub",
                              ".globl stub\n.type stub,@function\nstub:\n.section .tdata,\"awT\"\n.globl thread\n.type "
                              "thread,@object\nthread:\n");
  std::string m =
      assemble(dir, "m",
               ".globl _start\n_start: call stub\n lea edge(%rip),%rax\n lea local(%rip),%rax\n.data\n.globl "
               "edge\nedge:\n.section .odd,\"aw\"\nlocal:\n.section .none,\"aw\"\n");
  std::string so = dir.file("libstub.so"), out = dir.file("out"), joined = dir.file("joined.o");
  REQUIRE(link({"-shared", stub, "-o", so}).ok());
  CHECK(has(readelf({"--dyn-syms"}, so), " FUNC    GLOBAL DEFAULT"));
  CHECK(!has(line_of(readelf({"--dyn-syms"}, so), "stub"), " UND "));
  CHECK(!has(line_of(readelf({"--dyn-syms"}, so), "thread"), " UND "));
  REQUIRE(link({m, so, "-o", out}).ok());
  CHECK(elf_report(out) == "");
  CHECK(line_of(nm({}, out), "edge").find(" U ") == std::string::npos);
  CHECK(!line_of(nm({}, out), "edge").empty());
  CHECK(!line_of(nm({}, out), "local").empty());
  CHECK(has(readelf({"-S"}, out), ".odd"));
  CHECK(!has(readelf({"-S"}, out), ".none"));  // named by nobody
  REQUIRE(link({m, so, "-o", out, "--emit-relocs"}).ok());
  CHECK(has(readelf({"-r"}, out), "edge"));
  REQUIRE(link({"-r", m, stub, "-o", joined}).ok());
  for (const char* name : {"edge", "stub", "local", "thread"})
    CHECK(!has(line_of(readelf({"-s"}, joined), name), " UND "));
}

TEST_CASE("ELF semantics: symbols in .eh_frame are where their records are") {
  TempDir dir;
  std::string so = dir.file("i.so"), joined = dir.file("joined.o");
  std::string i = assemble(dir, "i", ".section .eh_frame,\"a\",@progbits\n.globl e1\ne1: .quad 0\n");
  REQUIRE(link({"-shared", i, "-o", so}).ok());
  CHECK(!has(line_of(readelf({"--dyn-syms"}, so), "e1"), " UND "));
  REQUIRE(link({"-r", i, "-o", joined}).ok());
  CHECK(!has(line_of(readelf({"-s"}, joined), "e1"), " UND "));
  // Start-up code that hands the frames to the unwinder finds them by the label that it puts before the others
  // (crtbeginT.o does so).
  std::string c = dir.write("t.cc",
                            "int main() { try { throw 7; } catch (int x) { return x == 7 ? 0 : 2; } return 3; }\n"),
              o = dir.file("t.o"), out = dir.file("out");
  REQUIRE(run({"g++", "-c", c, "-o", o}).ok());
  REQUIRE(link(static_link({o, "-lstdc++"}, out) + Args{"--no-eh-frame-hdr"}).ok());
  CHECK(run({out}).status == 0);
}

TEST_CASE("ELF semantics: what only dead code wants is not in .dynsym") {
  TempDir dir;
  std::string a = compile(dir, "a",
                          "void elsewhere(void); void wanted(void); void api(void) { wanted(); } "
                          "__attribute__((visibility(\"hidden\"))) void dead(void) { elsewhere(); }",
                          {"-fPIC", "-ffunction-sections"});
  std::string so = dir.file("liba.so");
  REQUIRE(link({"-shared", "--gc-sections", a, "-o", so}).ok());
  CHECK(!has(nm({"-D"}, so), "elsewhere"));
  CHECK(!has(nm({}, so), "elsewhere"));
  CHECK(has(nm({"-D"}, so), "U wanted"));
  REQUIRE(link({"-shared", a, "-o", so}).ok());
  CHECK(has(nm({"-D"}, so), "U elsewhere"));
  std::string air = dir.write("b.air",
                              "declare func @elsewhere() -> void\ninternal func @dead() -> void {\nstart:\n  call void "
                              "@elsewhere()\n  ret\n}\nstrong func @api() -> void {\nstart:\n  ret\n}\n");
  RunResult r = link({"-shared", air, "-o", so});
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(!has(nm({"-D"}, so), "elsewhere"));
}

TEST_CASE("ELF semantics: a GCC LTO object without code is refused by name, a fat one linked") {
  TempDir dir;
  std::string slim =
                  compile(dir, "slim", "int api(int x) { return x + 3; }", {"-fPIC", "-flto", "-fno-fat-lto-objects"}),
              so = dir.file("a.so");
  if (!has(readelf({"-s"}, slim), "__gnu_lto_slim")) LODE_SKIP("this gcc does not make LTO objects");
  CHECK(has(error_of({"-shared", slim, "-o", so}), "slim.o: a GCC LTO object without machine code"));
  CHECK(has(error_of({"-r", slim, "-o", so}), "a GCC LTO object without machine code"));
  std::string fat = compile(dir, "fat", "int api(int x) { return x + 3; }", {"-fPIC", "-flto", "-ffat-lto-objects"});
  REQUIRE(link({"-shared", fat, "-o", so}).ok());
  CHECK(has(nm({"-D"}, so), " T api"));
}

TEST_CASE("ELF semantics: a resolver is called when all that it reads has been relocated") {
  TempDir dir;
  std::string s, m = "#include <stdio.h>\n", sum;
  for (int i = 0; i < 8; i++) {
    std::string n = std::to_string(i);
    s += "int impl" + n + "(void) { return " + n + "; } static void* res" + n + "(void) { return impl" + n +
         "; } int f" + n + "(void) __attribute__((ifunc(\"res" + n + "\"))); int (*pf" + n + ")(void) = f" + n + ";\n";
    m += "extern int (*pf" + n + ")(void);\n";
    sum += (i ? "+pf" : "pf") + n + "()";
  }
  std::string lib = compile(dir, "s", s, {"-fPIC"}), so = dir.file("libs.so"), out = dir.file("out");
  std::string o = compile(dir, "m", m + "int main(void) { printf(\"%d\\n\", " + sum + "); return 0; }", {"-fPIE"});
  for (const Args& flags : {Args{}, Args{"-z", "now"}, Args{"-z", "nocombreloc"}}) {
    REQUIRE(link(Args{"-shared", lib, "-o", so, "-soname", "libs.so"} + flags).ok());
    CHECK(output_of(dynamic_link({o, so}, out) + Args{"-rpath", dir.path()}, out) == "28\n");
  }
}

TEST_CASE("ELF semantics: code that moves cannot call an address that does not") {
  TempDir dir;
  std::string a = assemble(dir, "a", ".globl _start\n_start: call rom_entry@PLT\n"),
              b = assemble(dir, "b", ".globl rom_entry\n.hidden rom_entry\nrom_entry = 0x4200\n");
  CHECK(has(error_of({"-pie", a, b, "-o", dir.file("p")}), "relocation R_X86_64_PLT32 against `rom_entry`"));
  CHECK(has(error_of({"-shared", a, b, "-o", dir.file("p")}), "relocation R_X86_64_PLT32 against `rom_entry`"));
  CHECK(link({a, b, "-o", dir.file("p")}).ok());
  std::string weak = assemble(dir, "w", ".globl _start\n.weak none\n_start: call none@PLT\n");
  CHECK(link({"-pie", weak, "-o", dir.file("p")}).ok());
  // The same in code that is made here.
  std::string air = dir.write("c.air",
                              "declare func @rom_entry() -> void\nstrong func @_start() -> void {\nstart:\n  call void "
                              "@rom_entry()\n  ret\n}\n");
  CHECK(has(error_of({"-pie", air, b, "-o", dir.file("p")}),
            "c.air: function _start: a call of `rom_entry`, which is at a fixed address"));
  CHECK(link({air, b, "-o", dir.file("p")}).ok());
}

TEST_CASE("ELF semantics: property notes of one object are joined") {
  TempDir dir;
  std::string text = ".text\n ret\n.section .note.gnu.property,\"a\"\n";
  for (const char* v : {"1", "2"})
    text += std::string(".p2align 3\n.long 4,16,5\n.asciz \"GNU\"\n.long 0xc0000002,4,") + v + ",0\n";
  std::string s = dir.write("a.s", text), a = dir.file("a.o"), out = dir.file("out.o");
  REQUIRE(run({"gcc", "-c", "-Wa,-mx86-used-note=no", s, "-o", a}).ok());
  REQUIRE(link({"-r", a, "-o", out}).ok());
  CHECK(has(readelf({"-n"}, out), "IBT, SHSTK"));
}

TEST_CASE("ELF semantics: an exception table outside of the group it describes") {
  TempDir dir;
  std::string text =
      ".section .text.dup_fn,\"axG\",@progbits,dup_fn,comdat\n.weak dup_fn\ndup_fn: ret\n.section "
      ".gcc_except_table,\"a\"\n.quad .text.dup_fn\n";
  std::string a = assemble(dir, "a", text), b = assemble(dir, "b", text),
              m = assemble(dir, "m", ".globl _start\n_start: call dup_fn\n"), out = dir.file("out");
  CHECK(link({"-r", a, b, "-o", dir.file("r.o")}).ok());
  REQUIRE(link({m, a, b, "-o", out}).ok());
  CHECK(elf_report(out) == "");
  CHECK(link({m, dir.file("r.o"), "-o", out}).ok());
  // In any other section that is an error.
  std::string bad =
      ".section .text.dup_fn,\"axG\",@progbits,dup_fn,comdat\n.weak dup_fn\ndup_fn: ret\n.data\n.quad .text.dup_fn\n";
  CHECK(has(error_of({m, a, assemble(dir, "bad", bad), "-o", out}), "discarded section"));
}

TEST_CASE("ELF semantics: versions that are for old programs only") {
  TempDir dir;
  std::string c = compile(
      dir, "s",
      "int o(void) { return 1; } int n(void) { return 2; } __asm__(\".symver o,sc@\"); __asm__(\".symver n,sc@@V3\");",
      {"-fPIC"});
  std::string map = dir.write("s.map", "V3 { global: sc; local: *; };"), so = dir.file("libs.so"),
              out = dir.file("out");
  std::string m = compile(dir, "m", "int sc(void); int main(void) { return sc(); }", {"-fPIE"});
  for (const char* linker : {LODE_BINARY, "ld.bfd"}) {
    RunResult l = run({linker, "-shared", c, "-o", so, "-soname", "libs.so", "--version-script", map});
    INFO(l.describe());
    REQUIRE(l.ok());
    CHECK(has(readelf({"--dyn-syms"}, so), "sc@@V3"));
    CHECK(has(readelf({"-V"}, so), " 1h "));
    REQUIRE(link(dynamic_link({m, so}, out) + Args{"-rpath", dir.path()}).ok());
    CHECK(run({out}).status == 2);
    CHECK(has(readelf({"-V"}, out), "Name: V3"));
  }
}

TEST_CASE("ELF semantics: an executable need not define the version that the assembler gave") {
  TempDir dir;
  std::string a =
      compile(dir, "a", "__asm__(\".symver impl,pub@@V9\"); void impl(void) {} int main(void) { impl(); return 0; }",
              {"-fPIE"});
  std::string map = dir.write("v.map", "{ local: *; };"), named = dir.write("w.map", "V1 { global: main; };"),
              out = dir.file("out");
  CHECK(output_of(dynamic_link({a}, out) + Args{"--version-script", map}, out) == "");
  CHECK(output_of(dynamic_link({a}, out), out) == "");
  CHECK(has(
      error_of({"-shared",
                compile(dir, "b", "__asm__(\".symver impl,pub@@V9\"); void impl(void) {} int main(void) { return 0; }",
                        {"-fPIC"}),
                "-o", dir.file("b.so"), "--version-script", named}),
      "has undefined version V9"));
}

TEST_CASE("ELF semantics: PT_TLS is congruent, of zero-filled variables alone, too") {
  TempDir dir;
  std::string o = compile(dir, "a",
                          "#include <stdio.h>\n__thread int t; __thread long u[4] __attribute__((aligned(64))); int "
                          "main(void) { t++; printf(\"%ld\\n\", u[1] + t); return 0; }",
                          {"-fPIE"}),
              out = dir.file("out");
  CHECK(output_of(dynamic_link({o}, out), out) == "1\n");
  std::string headers = readelf({"-l"}, out);
  unsigned long offset = 0, address = 0, align = 0;
  size_t at = headers.find("  TLS ");
  REQUIRE(at != std::string::npos);
  REQUIRE(std::sscanf(headers.c_str() + at, " TLS %lx %lx %*x %*x %*x R %lx", &offset, &address, &align) == 3);
  CHECK(align == 64);
  CHECK(offset % align == address % align);
}

TEST_CASE("ELF semantics: an undefined symbol is shown where the source names it") {
  TempDir dir;
  std::string out = dir.file("out"), source = "int nowhere(int);\nint main(void) {\n  return nowhere(1);\n}\n";
  for (const Args& flags : {Args{"-gdwarf-4"}, Args{"-gdwarf-5"}, Args{"-gdwarf-5", "-gz=zlib"},
                            Args{"-gdwarf-3", "-ffunction-sections"}, Args{"-gdwarf-5", "-fPIC", "-O2"}}) {
    std::string o = compile(dir, "src", source, flags);
    std::string text = error_of(dynamic_link({o}, out));
    INFO(text);
    CHECK(has(text, "\n>>> referenced by src.c:3"));
    CHECK(has(text, "src.o:(main)"));
  }
  std::string text_of_data, o = compile(dir, "src", source, {"-g0"});
  CHECK(has(error_of(dynamic_link({o}, out)), ">>> referenced by " + o + "\n"));
  // Data: the variable's declaration.
  std::string data =
      "int before;\nextern int nowhere[];\nstatic int* pointers[3] = {0, 0, nowhere};\nint main(void) { return "
      "*pointers[before]; }\n";
  for (const Args& flags : {Args{"-gdwarf-3"}, Args{"-gdwarf-4"}, Args{"-gdwarf-5"}, Args{"-gdwarf-5", "-gz=zlib"}}) {
    text_of_data = error_of(dynamic_link({compile(dir, "data", data, flags)}, out));
    INFO(text_of_data);
    CHECK(has(text_of_data, "\n>>> referenced by data.c:3"));
    CHECK(has(text_of_data, "data.o:(pointers)"));
  }
  // Both places of a duplicate.
  std::string a = compile(dir, "a", "int main(void) { return 0; }\nint twice(void) { return 1; }\n", {"-g"}),
              b = compile(dir, "b", "\n\nint twice(void) { return 1; }\n", {"-g"});
  std::string text = error_of(dynamic_link({a, b}, out));
  INFO(text);
  CHECK(has(text, ">>> defined at a.c:2"));
  CHECK(has(text, ">>> defined at b.c:3"));
  // Several references from one line are one.
  std::string c =
      compile(dir, "c", "int nowhere(int);\nint main(void) {\n  return nowhere(1) + nowhere(2);\n}\n", {"-g"});
  text = error_of(dynamic_link({c}, out));
  CHECK(text.find("c.c:3") == text.rfind("c.c:3 ("));
}

TEST_CASE("ELF semantics: names that may stay undefined") {
  TempDir dir;
  std::string weak = assemble(dir, "w", ".weak _start\n.globl f\nf: .quad _start\n"),
              strong = assemble(dir, "s", ".globl _start\n_start: call nobody\n"), out = dir.file("out");
  CHECK(link({weak, "-o", out}).ok());
  CHECK(link({"-z", "undefs", strong, "-o", out}).ok());
  CHECK(has(error_of({"-z", "undefs", "-z", "defs", strong, "-o", out}), "undefined symbol: nobody"));
  CHECK(has(error_of({strong, "-o", out}), "undefined symbol: nobody"));
}

TEST_CASE("ELF semantics: disassemblers know the PLT's entries") {
  TempDir dir;
  std::string lib = compile(dir, "l", "void a(void) {} void b(void) {}", {"-fPIC"}), so = dir.file("libab.so"),
              out = dir.file("out");
  REQUIRE(link({"-shared", lib, "-o", so, "-soname", "libab.so"}).ok());
  std::string m = compile(dir, "m",
                          "#include <stdio.h>\nvoid a(void); void b(void); int main(void) { a(); b(); puts(b == 0 ? "
                          "\"null\" : \"ok\"); return 0; }",
                          {"-fPIE"});
  for (const Args& flags :
       {Args{}, Args{"-z", "now"}, Args{"-z", "ibtplt"}, Args{"-z", "ibtplt", "-z", "now"}, Args{"-no-pie"}}) {
    CHECK(output_of(dynamic_link({m, so}, out) + Args{"-rpath", dir.path()} + flags, out) == "ok\n");
    std::string code = run({"objdump", "-d", out}).out;
    for (const char* name : {"<a@plt>:", "<b@plt>:", "<puts@plt>:"}) CHECK(has(code, name));
    bool ibt = std::find(flags.begin(), flags.end(), "ibtplt") != flags.end();
    CHECK(has(readelf({"-S"}, out), ".plt.sec") == ibt);
    size_t at = code.find("<a@plt>:");
    CHECK(has(code.substr(at, 80), "endbr64") == ibt);
  }
}

TEST_CASE("ELF semantics: code that would be written to at start-up is refused") {
  TempDir dir;
  std::string a = assemble(dir, "a",
                           ".globl f\nf: movabs $x,%rax\nret\n.globl _start\n_start:\n.data\n.globl x\nx: .quad 1\n"),
              out = dir.file("out");
  for (const char* kind : {"-shared", "-pie"}) {
    CHECK(
        has(error_of({kind, a, "-o", out}), "relocation R_X86_64_64 against symbol `x` in read-only section `.text'"));
    RunResult r = link({kind, a, "-o", out, "-z", "notext"});
    CHECK(r.ok());
    CHECK(r.err == "");
    CHECK(has(readelf({"-d"}, out), "TEXTREL"));
    r = link({kind, a, "-o", out, "--warn-textrel"});
    CHECK(r.ok());
    CHECK(has(r.err, "DT_TEXTREL"));
    CHECK(has(error_of({kind, a, "-o", out, "--warn-textrel", "-z", "text"}), "in read-only section"));
  }
  CHECK(link({a, "-o", out}).ok());
}

TEST_CASE("ELF semantics: an executable's libraries lack nothing") {
  TempDir dir;
  std::string s = compile(dir, "s", "int deep(void); int mid(void) { return deep(); }", {"-fPIC"}),
              so = dir.file("libs.so"), out = dir.file("out");
  REQUIRE(link({"-shared", s, "-o", so, "-soname", "libs.so"}).ok());
  std::string m = compile(dir, "m", "int mid(void); int main(void) { return mid(); }", {"-fPIE"});
  CHECK(has(error_of(dynamic_link({m, so}, out)), "libs.so: --no-allow-shlib-undefined: undefined symbol: deep"));
  CHECK(link(dynamic_link({m, so}, out) + Args{"--allow-shlib-undefined"}).ok());
  CHECK(link(dynamic_link({m, so}, out) + Args{"--unresolved-symbols=ignore-all"}).ok());
  CHECK(link({"-shared", s, so, "-o", dir.file("t.so")}).ok());
  // The program itself may have it, but not hidden.
  std::string has_it = compile(dir, "d", "int deep(void) { return 3; }", {"-fPIE"});
  REQUIRE(link(dynamic_link({m, has_it, so}, out) + Args{"-rpath", dir.path()}).ok());
  CHECK(run({out}).status == 3);
  std::string hides_it =
      compile(dir, "h", "__attribute__((visibility(\"hidden\"))) int deep(void) { return 3; }", {"-fPIE"});
  CHECK(has(error_of(dynamic_link({m, hides_it, so}, out)), "h.o defines it, but hidden"));
  // Where a library that it needs is not part of the link, nobody can tell.
  std::string other = dir.file("libother.so"), open = dir.file("libopen.so");
  REQUIRE(link({"-shared", has_it, "-o", other, "-soname", "libother.so"}).ok());
  REQUIRE(link({"-shared", s, other, "-o", open, "-soname", "libopen.so"}).ok());
  CHECK(link(dynamic_link({m, open}, out)).ok());
}

TEST_CASE("ELF semantics: libraries that an object asks for itself") {
  TempDir dir;
  std::string member = compile(dir, "x", "int from_x(void) { return 9; }", {"-fPIE"}), archive = dir.file("libx.a"),
              out = dir.file("out");
  REQUIRE(run({"ar", "rcs", archive, member}).ok());
  std::string text =
      ".globl main\nmain: call from_x@PLT\nret\n.section .deplibs,\"MS\",@0x6fff4c04,1\n.asciz \"x\"\n.section "
      ".note.GNU-stack,\"\",@progbits\n";
  std::string m = assemble(dir, "m", text);
  REQUIRE(link(dynamic_link({m, "-L" + dir.path()}, out)).ok());
  CHECK(run({out}).status == 9);
  CHECK(has(error_of(dynamic_link({m}, out)), "library not found, which the object itself asks for (.deplibs): x"));
  CHECK(has(error_of(dynamic_link({m, "-L" + dir.path()}, out) + Args{"--no-dependent-libraries"}),
            "undefined symbol: from_x"));
  // It stays for the link that a joined object goes into.
  std::string joined = dir.file("joined.o");
  REQUIRE(link({"-r", m, "-o", joined}).ok());
  REQUIRE(link(dynamic_link({joined, "-L" + dir.path()}, out)).ok());
  CHECK(run({out}).status == 9);
}
