// What is not supported is an error that names the function and the place, and leaves no output; and where the border
// lies.
#include <catch2/catch.hpp>

#include <filesystem>

#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

namespace {

std::string refusal(const std::string& source, const Args& flags = {}) {
  TempDir dir;
  std::string c = dir.write("a.c", source), bitcode = dir.file("a.o"), program = dir.file("program");
  RunResult made = run(Args{"clang-19", "-w", "-c", "-emit-llvm", "-O1", c, "-o", bitcode} + flags);
  INFO(made.describe());
  REQUIRE(made.ok());
  RunResult linked = run(Args{LODE_BINARY} + static_link({bitcode}, program));
  CHECK(!linked.ok());
  CHECK(!std::filesystem::exists(program));
  return linked.err;
}

bool says(const std::string& error, std::initializer_list<const char*> parts) {
  INFO(error);
  bool all = true;
  for (const char* p : parts) {
    INFO(p);
    CHECK(error.find(p) != std::string::npos);
    all &= error.find(p) != std::string::npos;
  }
  return all;
}

const char* const vectors = R"c(#define AVX512 __attribute__((target("avx512f")))
typedef int v8 __attribute__((vector_size(64)));
v8 numbers;
)c";

}  // namespace

TEST_CASE("refused: AVX-512 vectors that cross a module's border") {
  const std::string head = vectors;
  CHECK(says(refusal(head + "AVX512 v8 twice(v8 x) { return x + x; }\nint main(void) { v8 "
                            "(*volatile p)(v8) = twice; return p != 0; }\n"),
             {"'twice'", "AVX-512 vectors"}));
  CHECK(says(refusal(head + "AVX512 v8 outside(v8);\nAVX512 int "
                            "main(void) { numbers = outside(numbers); return 0; }\n"),
             {"'main'", "AVX-512 vectors"}));
}

TEST_CASE("refused: vectors of 256 bits that LLVM passes on the stack") {
  const std::string head = "typedef int v8 __attribute__((vector_size(32)));\nv8 numbers;\n";
  const char* why = "a vector of 256 bits as an argument on the stack";
  CHECK(says(refusal(head + "void some(int, ...);\nint main(void) { some(1, numbers); return 0; }\n", {"-mavx2"}),
             {"'main'", why}));
  CHECK(says(refusal(head + "int some(v8 x, ...) { return x[0]; }\nint main(void) { return some(numbers); }\n",
                     {"-mavx2", "-fno-inline"}),
             {"'some'", why}));
  CHECK(says(refusal(head + "void nine(v8, v8, v8, v8, v8, v8, v8, v8, v8);\n"
                            "int main(void) { v8 n = numbers; nine(n, n, n, n, n, n, n, n, n); return 0; }\n",
                     {"-mavx2"}),
             {"'main'", why}));
}

TEST_CASE("refused: module-level assembly that is not understood, with the place in its text") {
  // What clang's own assembler knows, and this one does not.
  CHECK(says(refusal("__asm__(\".globl f\\nf: vaddps %zmm0, %zmm1, %zmm2\");\nint main(void) { return 0; }\n",
                     {"-mavx512f"}),
             {"module-level assembly, line 2: this is no register", ">>> f: vaddps %zmm0, %zmm1, %zmm2",
              ">>>           ^"}));
  CHECK(says(refusal("__asm__(\".incbin \\\"/dev/null\\\"\");\nint main(void) { return 0; }\n"),
             {"line 1: .incbin is not supported"}));
  CHECK(says(refusal("__asm__(\".globl main\\nmain: ret\");\nint main(void) { return 0; }\n"),
             {"\"main\" is defined twice"}));
}

TEST_CASE("module-level assembly: .symver gives functions of a module versions") {
  TempDir dir;
  std::string c = dir.write("v.c", R"c(int foo_old(void) { return 1; }
int foo_new(void) { return 2; }
__asm__(".symver foo_old,foo@V1\n.symver foo_new,foo@@@V2");
)c");
  std::string map = dir.write("v.map", "V1 { global: foo; local: *; }; V2 { global: foo; } V1;\n"),
              bitcode = dir.file("v.o"), library = dir.file("libv.so");
  RunResult made = run({"clang-19", "-w", "-c", "-emit-llvm", "-fPIC", "-O1", c, "-o", bitcode});
  INFO(made.describe());
  REQUIRE(made.ok());
  RunResult linked = run({LODE_BINARY, "-shared", bitcode, "-o", library, "--version-script", map});
  INFO(linked.describe());
  REQUIRE(linked.ok());
  RunResult listed = run({"readelf", "--dyn-syms", "-W", library});
  CHECK(listed.out.find("foo@V1") != std::string::npos);
  CHECK(listed.out.find("foo@@V2") != std::string::npos);
}
