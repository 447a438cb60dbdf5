// riscv64 from bitcode: programs that clang compiles to bitcode, lode links and qemu runs, against what
// riscv64-linux-gnu-gcc or clang's own code prints; and the forms of references that are near (link/elf/code/near.cpp),
// seen in the code.
#include <catch2/catch.hpp>

#include "tests/programs/sqlite_inputs.h"
#include "tests/support/elf_check.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

using namespace lode::test;

namespace {

const std::string target = "--target=riscv64-linux-gnu";
const std::string sources = LODE_TEST_DIR "/programs/";

std::string gcc_place(const std::string& name) {
  static std::map<std::string, std::string> known;
  std::string& path = known[name];
  if (path.empty()) {
    path = run({"riscv64-linux-gnu-gcc", "-print-file-name=" + name}).out;
    while (!path.empty() && path.back() == '\n') path.pop_back();
  }
  return path;
}
std::string library_folder(const std::string& name) {
  return "-L" + std::filesystem::weakly_canonical(gcc_place(name)).parent_path().string();
}

Args static_program(const Args& inputs, const std::string& output) {
  return Args{"-m", "elf64lriscv", "-static", gcc_place("crt1.o"), gcc_place("crti.o"), gcc_place("crtbeginT.o")} +
         inputs +
         Args{library_folder("libgcc.a"), library_folder("libc.a"), "-lm", "--start-group", "-lgcc", "-lgcc_eh", "-lc",
              "--end-group", gcc_place("crtend.o"), gcc_place("crtn.o"), "-o", output};
}
Args dynamic_program(const Args& inputs, const std::string& output) {
  return Args{"-m", "elf64lriscv", "-pie", "--eh-frame-hdr", "-dynamic-linker", "/lib/ld-linux-riscv64-lp64d.so.1",
              gcc_place("Scrt1.o"), gcc_place("crti.o"), gcc_place("crtbeginS.o")} +
         inputs +
         Args{library_folder("libgcc.a"), library_folder("libc.so"), "-lm", "-lgcc", "--push-state", "--as-needed",
              "-lgcc_s", "--pop-state", "-lc", gcc_place("crtendS.o"), gcc_place("crtn.o"), "-o", output};
}

RunResult emulate(const std::string& program) {
  return run({"qemu-riscv64", "-L", "/usr/riscv64-linux-gnu", program}, {.seconds = 120});
}

void must(const Args& command) {
  RunResult r = run(command, {.seconds = 600});
  INFO(command[0] << ": " << r.describe());
  REQUIRE(r.ok());
}

void check_output(const std::string& program, const std::string& wanted) {
  const RunResult r = emulate(program);
  INFO(program << ": " << r.describe());
  CHECK(r.ok());
  CHECK(r.out == wanted);
  CHECK(elf_report(program) == "");
}

// The instructions of a function, one a line, without their addresses.
std::string code_of(const std::string& program, const std::string& function) {
  return run({"llvm-objdump-19", "-d", "--no-show-raw-insn", "--no-leading-addr", "--disassemble-symbols=" + function,
              program})
      .out;
}
bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

void sqlite_program(const std::string& level) {
  LODE_SKIP_IF(sqlite_inputs::unavailable({"clang-19", "riscv64-linux-gnu-gcc", "qemu-riscv64"}));
  TempDir dir;
  const std::string reference = sqlite_inputs::kept(
      "reference.riscv64", Args{"riscv64-linux-gnu-gcc", "-O1", "-static", LODE_SOURCE_DIR "/examples/sqlite/driver.c",
                                sqlite_inputs::sqlite + "/sqlite3.c", "-lm"} + sqlite_inputs::flags);
  const std::string wanted = emulate(reference).out;
  REQUIRE(wanted.size() > 1000);
  const Args inputs = sqlite_inputs::bitcode(level, {target}, ".riscv64");
  must(Args{LODE_BINARY} + static_program(inputs, dir.file("static")));
  check_output(dir.file("static"), wanted);
  must(Args{LODE_BINARY, "--threads=1"} + static_program(inputs, dir.file("again")));
  CHECK(read_file(dir.file("again")) == read_file(dir.file("static")));
  must(Args{LODE_BINARY} + dynamic_program(inputs, dir.file("dynamic")));
  check_output(dir.file("dynamic"), wanted);
  must(Args{LODE_BINARY, "--no-relax"} + static_program(inputs, dir.file("far")));
  check_output(dir.file("far"), wanted);
}

}  // namespace

TEST_CASE("riscv64: SQLite from -O0 bitcode") { sqlite_program("O0"); }
TEST_CASE("riscv64: SQLite from -O2 bitcode") { sqlite_program("O2"); }

TEST_CASE("riscv64: a C++ program with exceptions, streams, threads and virtual bases") {
  LODE_NEEDS("clang++-19", "riscv64-linux-gnu-g++", "ld.lld-19", "qemu-riscv64");
  TempDir dir;
  const std::string source = sources + "riscv64/program.cpp";
  must({"riscv64-linux-gnu-g++", "-O1", "-std=c++17", "-pthread", source, "-o", dir.file("reference")});
  const std::string wanted = emulate(dir.file("reference")).out;
  REQUIRE(has(wanted, "caught bottom"));
  for (std::string level : {"-O0", "-O2"}) {
    must({"clang++-19", target, level, "-std=c++17", "-flto", "-c", source, "-o", dir.file("in.o")});
    const Args driver{"clang++-19", target, "-flto", std::string("--ld-path=") + LODE_BINARY, dir.file("in.o")};
    must(driver + Args{"-static", "-o", dir.file("static")});
    check_output(dir.file("static"), wanted);
    must(driver + Args{"-pie", "-o", dir.file("pie")});
    check_output(dir.file("pie"), wanted);
  }
  must({LODE_BINARY, "-m", "elf64lriscv", "-r", dir.file("in.o"), "-o", dir.file("object.o")});
  must({"clang++-19", target, "--ld-path=/usr/bin/ld.lld-19", dir.file("object.o"), "-o", dir.file("other")});
  check_output(dir.file("other"), wanted);
}

TEST_CASE("riscv64: calls are one instruction where they reach, and two where they do not") {
  LODE_NEEDS("clang-19", "riscv64-linux-gnu-gcc", "qemu-riscv64", "llvm-objdump-19");
  TempDir dir;
  auto compile = [&](const std::string& name, const std::string& text, bool bitcode) {
    Args command{"clang-19", target, "-O1", "-c", dir.write(name, text), "-o", dir.file(name + ".o")};
    if (bitcode) command.push_back("-emit-llvm");
    must(command);
    return dir.file(name + ".o");
  };
  const std::string main = compile("main.c",
                                   "#include <stdio.h>\n"
                                   "int there(int);\n"
                                   "__attribute__((noinline)) int here(int x) { return 3 * x; }\n"
                                   "int back(int x) { return x + 1; }\n"
                                   "int main(void) { int a = here(4); int b = there(a);\n"
                                   "  printf(\"%d %d\\n\", a, b); return 0; }\n",
                                   true);
  const std::string there = compile("there.c",
                                    "int back(int); int near_by(int);\n"
                                    "__attribute__((noinline)) int near_by(int x) { return x * x; }\n"
                                    "int there(int x) { return back(x) - near_by(x); }\n",
                                    true);
  // On both sides of the distance at which calls have to become long: that of the code between them.
  for (uint32_t between : {0x1000u, 0xff000u, 0xfff80u, 0x100000u, 0x200000u}) {
    INFO("bytes between the functions: " << between);
    const std::string pad =
        compile("pad.s", ".text\n.option norelax\n.space " + std::to_string(between) + "\n", false);
    const std::string out = dir.file("out");
    must(Args{LODE_BINARY} + static_program({main, pad, there}, out));
    check_output(out, "12 -131\n");
    const std::string calls = code_of(out, "main"), back = code_of(out, "there");
    CHECK(has(calls, "jal\t0x"));  // of here()
    CHECK(has(back, "jal\t0x"));
    CHECK(has(back, "auipc") == (between >= 0x100000));
  }
  must(Args{LODE_BINARY, "--no-relax"} + static_program({main, there}, dir.file("far")));
  check_output(dir.file("far"), "12 -131\n");
  CHECK_FALSE(has(code_of(dir.file("far"), "there"), "jal\t0x"));
}

TEST_CASE("riscv64: addresses near gp, tp and 0 are one instruction") {
  LODE_NEEDS("clang-19", "riscv64-linux-gnu-gcc", "qemu-riscv64", "llvm-objdump-19");
  TempDir dir;
  const std::string source = dir.write("in.c",
                                       "#include <stdio.h>\n"
                                       "int big[5000]; _Thread_local int mine = 5;\n"
                                       "_Thread_local int many[2000]; extern char number[]; extern char large[];\n"
                                       "__attribute__((weak)) void nobody(void);\n"
                                       "__attribute__((section(\".sdata\"))) int small = 6;\n"
                                       "int by_gp(void) { return small++; }\n"
                                       "int far_off(void) { return big[4900]; }\n"
                                       "int by_tp(void) { return mine++; }\n"
                                       "int far_tp(int x) { return many[x] = x; }\n"
                                       "long by_zero(void) { return (long)number + (nobody ? 1 : 0); }\n"
                                       "long by_lui(void) { return (long)large; }\n"
                                       "int main(void) {\n"
                                       "  by_gp(); by_tp();\n"
                                       "  printf(\"%d %d %d %d %lx %lx\\n\", by_gp(), far_off(), by_tp(),\n"
                                       "         far_tp(1500), by_zero(), by_lui()); return 0; }\n");
  must({"clang-19", target, "-O1", "-fno-inline", "-fno-pie", "-c", "-emit-llvm", source, "-o", dir.file("in.bc")});
  const std::string out = dir.file("out");
  const Args values{"--defsym=number=0x7ff", "--defsym=large=0x800"};
  must(Args{LODE_BINARY} + values + static_program({dir.file("in.bc")}, out));
  const std::string wanted = "7 0 6 1500 7ff 800\n";
  check_output(out, wanted);
  CHECK(has(code_of(out, "by_gp"), "(gp)"));
  CHECK_FALSE(has(code_of(out, "by_gp"), "lui"));
  CHECK(has(code_of(out, "by_tp"), "(tp)"));
  CHECK_FALSE(has(code_of(out, "by_zero"), "lui"));
  CHECK(has(code_of(out, "by_lui"), "lui"));
  must(Args{LODE_BINARY, "--no-relax-gp"} + values + static_program({dir.file("in.bc")}, dir.file("no_gp")));
  check_output(dir.file("no_gp"), wanted);
  CHECK_FALSE(has(code_of(dir.file("no_gp"), "by_gp"), "(gp)"));
  must({"clang-19", target, "-O1", "-fno-inline", "-fPIE", "-c", "-emit-llvm", source, "-o", dir.file("pie.bc")});
  must(Args{LODE_BINARY} + values + dynamic_program({dir.file("pie.bc")}, dir.file("pie")));
  const RunResult r = emulate(dir.file("pie"));
  CHECK(r.out == wanted);
  CHECK_FALSE(has(code_of(dir.file("pie"), "by_gp"), "(gp)"));
}
