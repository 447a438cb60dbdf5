// lode air: AIR text printed, verified and run, what is said where that cannot be, and no file to be linked is hidden.
#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/run.h"

using namespace lode::test;

namespace {

const std::string program = R"(declare func @puts(ptr) -> i32
declare func @getchar() -> i32
declare func @exit(i32) -> void
internal const data @text : [3 x i8] = "hi\00"
strong func @main(%argc: i32, %argv: ptr) -> i32 {
start:
  %n = call i32 @puts(ptr @text)
  %slot = ptr_add ptr %argv, i64 8
  %first = load ptr, ptr %slot align 8
  %m = call i32 @puts(ptr %first)
  %c = call i32 @getchar()
  %r = add i32 %argc, %c
  ret i32 %r
}
)";

// Runs lode in `dir`, with these words and that standard input.
RunResult shell(const TempDir& dir, const std::string& words, const std::string& input = "") {
  return run({"sh", "-c", "exec " LODE_BINARY " " + words}, {.cwd = dir.path(), .input = input});
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("lode air --run: output, arguments, input and status are the program's") {
  TempDir dir;
  dir.write("p.air", program);
  RunResult r = shell(dir, "air p.air --run one two", "!");
  CHECK(r.out == "hi\none\n");
  CHECK(r.err == "");
  CHECK(r.status == 3 + '!');
  // What looks like an option of lode is the program's, too.
  CHECK(shell(dir, "air p.air --run --print", "!").out == "hi\n--print\n");
  // The text as standard input: then the program's is empty.
  r = shell(dir, "air - --run x", program);
  CHECK(r.out == "hi\nx\n");
  CHECK(r.status == 1);
}

TEST_CASE("lode air --run: what ends a run in the middle is an error behind the output") {
  TempDir dir;
  dir.write("p.air", R"(declare func @puts(ptr) -> i32
declare func @nothing() -> void
internal const data @t : [3 x i8] = "hi\00"
strong func @main() -> i32 {
a:
  %n = call i32 @puts(ptr @t)
  call void @nothing()
  ret i32 0
}
)");
  RunResult r = shell(dir, "air p.air --run");
  CHECK(r.out == "hi\n");
  CHECK(r.err.starts_with("lode: error: p.air: "));
  CHECK(has(r.err, "nothing"));
  CHECK(r.status == 1);
  dir.write("exit.air", R"(declare func @exit(i32) -> void
strong func @main() -> i32 {
a:
  call void @exit(i32 42)
  ret i32 0
}
)");
  CHECK(shell(dir, "air exit.air --run").status == 42);
  dir.write("none.air", "strong func @f() -> i32 {\na:\n  ret i32 0\n}\n");
  r = shell(dir, "air none.air --run");
  CHECK(r.err == "lode: error: none.air: no function main\n");
  CHECK(r.status == 1);
}

TEST_CASE("lode air --print: the canonical form, which prints as itself") {
  TempDir dir;
  dir.write("p.air", R"(// a comment
strong   func @f(%a:i32) -> i32 {
x:
 %b = add i32 %a, 0x10 // here
 ret i32 %b
}
)");
  RunResult first = shell(dir, "air p.air --print");
  REQUIRE(first.status == 0);
  CHECK(has(first.out, "add i32 "));
  CHECK(has(first.out, ", 16\n"));
  CHECK(!has(first.out, "comment"));
  RunResult second = shell(dir, "air - --print", first.out);
  CHECK(second.status == 0);
  CHECK(second.out == first.out);
}

TEST_CASE("lode air --verify: silent, or the messages that a link gives") {
  TempDir dir;
  dir.write("p.air", program);
  RunResult r = shell(dir, "air p.air --verify");
  CHECK(r.status == 0);
  CHECK(r.out + r.err == "");
  dir.write("wrong.air", "strong func @main() -> i32 {\na:\n  %x = add i32 1, %nothing\n  ret i64 %x\n}\n");
  for (const char* action : {"--verify", "--print", "--run"}) {
    r = shell(dir, std::string("air wrong.air ") + action);
    CHECK(r.status == 1);
    CHECK(r.out == "");
    CHECK(r.err == shell(dir, "-shared wrong.air -o wrong").err);
    CHECK(r.err.starts_with("wrong.air:3:19: error: '%nothing' is not defined\n    %x = add i32 1, %nothing\n"));
  }
  CHECK(shell(dir, "air - --verify", "strong func").err.starts_with("<stdin>:1:"));
}

TEST_CASE("lode air: what is no command is an error that says how it is used") {
  TempDir dir;
  dir.write("p.air", program);
  dir.write("b.bc", "BC\xc0\xde");
  struct Row {
    const char *words, *message;
  };
  const Row rows[] = {
      {"air p.air", "lode: error: --print, --verify or --run is missing\nusage: "},
      {"air p.air --prin", "lode: error: unknown word --prin\nusage: "},
      {"air p.air -o x", "lode: error: unknown word -o\nusage: "},
      {"air p.air --verify --print", "lode: error: unknown word --print\nusage: "},
      {"air --print p.air", "lode: error: a file is missing\nusage: "},
      {"air '' --print", "lode: error: a file is missing\nusage: "},
      {"air none.air --print", "lode: error: cannot open none.air: No such file or directory\n"},
      {"air . --print", "lode: error: cannot read .: Is a directory\n"},
      {"air b.bc --print", "lode: error: b.bc: LLVM bitcode, not AIR text\n"},
  };
  for (const Row& row : rows) {
    INFO(row.words);
    RunResult r = shell(dir, row.words);
    CHECK(r.status == 1);
    CHECK(r.out == "");
    CHECK(r.err.starts_with(row.message));
  }
  RunResult help = shell(dir, "air --help");
  CHECK(help.status == 0);
  CHECK(help.out.starts_with("usage: lode air FILE --print"));
}

TEST_CASE("lode air: a file named air is linked alone, as ./air, behind other arguments, and by a linker's names") {
  TempDir dir;
  dir.write("air", "strong func @_start() -> void {\na:\n  unreachable\n}\n");
  std::filesystem::create_symlink(LODE_BINARY, dir.file("ld.lode"));
  CHECK(shell(dir, "air").status == 0);
  CHECK(std::filesystem::exists(dir.file("a.out")));
  CHECK(shell(dir, "./air -o one").status == 0);
  CHECK(shell(dir, "-o two air").status == 0);
  CHECK(run({"./ld.lode", "air", "-o", "three"}, {.cwd = dir.path()}).status == 0);
  for (const char* made : {"one", "two", "three"}) CHECK(std::filesystem::exists(dir.file(made)));
  CHECK(shell(dir, "air -o four").status == 1);
}
