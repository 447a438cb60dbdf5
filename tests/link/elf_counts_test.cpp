// What is counted before layout is what is written after it: dynamic relocations in sections whose parts disagree about
// their flags, and in .eh_frame. Inputs are made by the assembler; compilers rarely write them, but a file may hold
// anything.
#include <catch2/catch.hpp>

#include "tests/link/elf_link_support.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

// Pointers in a section that one object wants loaded and another does not.
const char* loaded_part = R"(
.section foo,"aw",@progbits
.quad first
.text
.globl first
first: ret
)";
const char* unloaded_part = R"(
.section foo,"",@progbits
.rept 1000
.quad second
.endr
.text
.globl second
second: ret
)";
const char* walk = R"(
#include <stdio.h>
extern void *__start_foo[], *__stop_foo[];
void first(void);
int main(void) { printf("%d %d\n", (int)(__stop_foo - __start_foo), __start_foo[0] == (void*)first); return 0; }
)";

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) n++;
  return n;
}

}  // namespace

TEST_CASE("ELF counts: sections of one name of which only some are loaded stay apart") {
  TempDir dir;
  std::string a = assemble(dir, "a", loaded_part), b = assemble(dir, "b", unloaded_part);
  std::string out = dir.file("out");
  for (const Args& inputs : {Args{a, b}, Args{b, a}}) {
    RunResult r = link(Args{"-shared"} + inputs + Args{"-o", out});
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(count(readelf({"-r"}, out), "R_X86_64_64 ") == 1);
    r = link(Args{"-shared", "-Bsymbolic"} + inputs + Args{"-o", out});
    REQUIRE(r.ok());
    CHECK(count(readelf({"-r"}, out), "R_X86_64_RELATIVE") == 1);
    CHECK(!has(readelf({"-r"}, out), "R_X86_64_NONE"));
    CHECK(count(readelf({"-S"}, out), " foo ") == 2);
  }
  std::string program = compile(dir, "walk", walk, {"-fPIE"});
  for (const Args& options : {Args{}, Args{"--gc-sections"}, Args{"-z", "pack-relative-relocs"}, Args{"--icf=all"}})
    CHECK(output_of(dynamic_link({program, b, a}, out) + options, out) == "1 1\n");
}

TEST_CASE("ELF counts: .eh_frame has no place for dynamic relocations") {
  TempDir dir;
  // A CIE and an FDE made by hand: the personality, or the start of the code, as a word of 8 bytes.
  auto frame = [&](const std::string& name, const std::string& flags, const std::string& personality,
                   const std::string& start, const std::string& pointers) {
    return assemble(dir, name, R"(
.text
.globl f
f: ret
.globl p
p: ret
.section .eh_frame,")" + flags + R"(",@progbits
1: .long 3f-2f
2: .long 0
.byte 1
.asciz "zPR"
.uleb128 1
.sleb128 -8
.byte 16
.uleb128 10
.byte 0
)" + personality + R"(
.byte )" + pointers + R"(
.balign 8
3: .long 5f-4f
4: .long 4b-1b
)" + start + R"(
.uleb128 0
.balign 8
5:
)");
  };
  std::string out = dir.file("out");
  std::string by_cie = frame("c", "aw", ".quad p", ".long f-.\n.long 1", "0x1b"),
              by_fde = frame("d", "a", ".quad 0", ".quad .text\n.quad 1", "0");
  for (const std::string& o : {by_cie, by_fde})
    for (const Args& kind : {Args{"-shared"}, Args{"-pie", "-e", "f"}, Args{"-shared", "-z", "pack-relative-relocs"},
                             Args{"-shared", "-z", "notext"}}) {
      std::string e = error_of(kind + Args{o, "-o", out});
      CHECK(has(e, "relocation R_X86_64_64 against"));
      CHECK(has(e, "can not be used in .eh_frame"));
    }
  for (const std::string& o : {by_cie, by_fde}) {
    RunResult r = link({"-e", "f", o, "-o", out});
    INFO(r.describe());
    CHECK(r.ok());
  }
}

TEST_CASE("ELF counts: a relocation between the records of .eh_frame is an error") {
  TempDir dir;
  std::string o = assemble(dir, "a", R"(
.text
.globl f
f: .cfi_startproc
ret
.cfi_endproc
)");
  std::string broken = assemble(dir, "b", R"(
.globl g
g: ret
.section .eh_frame,"a",@progbits
.rept 4096
.long 0
.endr
.reloc 0, R_X86_64_32, g
1: .long 3f-2f
2: .long 0
.byte 1
.asciz "zR"
.uleb128 1
.sleb128 -8
.byte 16
.uleb128 1
.byte 0x1b
.balign 8
3: .long 5f-4f
4: .long 4b-1b
.long g-.
.long 1
.uleb128 0
.balign 8
5:
)");
  CHECK(has(error_of({"-shared", o, broken, "-o", dir.file("out")}),
            ":(.eh_frame): a relocation lies outside of the records"));
}
