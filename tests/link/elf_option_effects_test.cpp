// What options make, by value: expressions of --defsym, files as data, addresses of another program, indices, lists of
// reasons, archives to reproduce a link from. That every option does something at all, elf_option_table_test.cpp sees
// to.
#include <catch2/catch.hpp>
#include <regex>

#include "base/bytes.h"
#include "formats/linker_expression.h"
#include "tests/link/elf_link_support.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

const char* start_source =
    "int d = 42; const int c = 3; int b[100]; void _start(void) { __asm__ volatile(\"syscall\" :: \"a\"(60), \"D\"(d + "
    "c + b[0] - 3)); }";

// The value of the symbol x, and the letter that nm gives it: "8 A".
std::string value_of(const TempDir& dir, const std::string& o, const std::string& expression,
                     const Args& more = {"-static"}) {
  std::string out = dir.file("value");
  RunResult l = link(Args{o, "-o", out, "--defsym", "x=" + expression} + more);
  if (!l.ok()) return l.err;
  std::string nm = run({"nm", out}).out;
  size_t at = nm.find(" x\n");
  if (at == std::string::npos) return "no x";
  std::string line = nm.substr(nm.rfind('\n', at) + 1, at - nm.rfind('\n', at) - 1);
  size_t digit = std::min(line.find_first_not_of('0'), line.size() - 3);
  return line.substr(digit);
}

RunResult link_in(const TempDir& dir, const Args& args) {
  RunOptions options;
  options.cwd = dir.path();
  return run(Args{LODE_BINARY} + args, options);
}

}  // namespace

TEST_CASE("ELF defsym: constants, operators and functions of GNU ld's expressions") {
  TempDir dir;
  std::string o = compile(dir, "a", start_source, {"-ffreestanding", "-fno-pic"});
  // As GNU ld 2.40 computes them.
  const std::pair<const char*, const char*> numbers[] = {
      {"~0", "ffffffffffffffff A"}, {"0x10K", "4000 A"}, {"ah", "a A"}, {"10h", "10 A"}, {"010", "8 A"},
      {"1M", "100000 A"}, {"$ff", "ff A"}, {"101b", "5 A"}, {"17o", "f A"}, {"12d", "c A"},
      {"-1", "ffffffffffffffff A"}, {"7/2", "3 A"}, {"-7/2", "fffffffffffffffd A"}, {"-7%3", "ffffffffffffffff A"},
      {"-8>>1", "7ffffffffffffffc A"}, {"1<<3+1", "10 A"}, {"1<2<3", "1 A"}, {"-1<1", "0 A"}, {"(1<2)?3:4", "3 A"},
      {"!3", "0 A"}, {"1||0", "1 A"}, {"6&3|8^1", "b A"}, {"MAX(1,2)", "2 A"}, {"MIN(1,2)", "1 A"},
      {"ALIGN(5,4)", "8 A"}, {"LOG2CEIL(5)", "3 A"}, {"DEFINED(_start)", "1 A"}, {"DEFINED(nope)", "0 A"},
      {"DEFINED(nope)?nope:7", "7 A"}, {"CONSTANT(MAXPAGESIZE)", "1000 A"}, {" 2 * ( 3 + 4 ) ", "e A"},
  };
  for (auto& [expression, value] : numbers) {
    INFO(expression);
    CHECK(value_of(dir, o, expression) == value);
  }
  const std::pair<const char*, const char*> wrong[] = {
      {"bad", "undefined symbol: bad"}, {"nope+1", "undefined symbol: nope"}, {"5%0", "division by zero"},
      {"0779", "'0779' is not a number"}, {".", "the location counter has no value"},
      {"ALIGN(8)", "the location counter has no value"}, {"SIZEOF(.nosuch)", "undefined section: .nosuch"},
      {"1+", "something is missing"}, {"(1", "expected ')'"}, {"BLOCK(8)", "BLOCK is not supported"},
      {"x", "defined in terms of itself"}, {"x*2", "defined in terms of itself"},
  };
  for (auto& [expression, message] : wrong) {
    INFO(expression);
    std::string got = value_of(dir, o, expression);
    INFO(got);
    CHECK(has(got, message));
  }
}

TEST_CASE("ELF defsym: addresses move with the image, differences and masks of them do not") {
  TempDir dir;
  std::string o = compile(dir, "a", start_source, {"-ffreestanding", "-fPIE"});
  auto number = [&](const std::string& s) { return std::stoull(s, nullptr, 16); };
  std::string start = value_of(dir, o, "_start", {"-pie"});
  CHECK(has(start, " T"));
  std::string next = value_of(dir, o, "_start+4", {"-pie"});
  CHECK(has(next, " T"));
  CHECK(number(next) == number(start) + 4);
  CHECK(value_of(dir, o, "_start-_start", {"-pie"}) == "0 A");
  CHECK(number(value_of(dir, o, "_start*2", {"-pie"})) == number(start) * 2);
  CHECK(value_of(dir, o, "(_start>0)?_start:0", {"-pie"}) == start);
  CHECK(number(value_of(dir, o, "ADDR(.text)+SIZEOF(.text)", {"-pie"})) >= number(start));
  // At run time, in a position-independent program: an aligned address is that of the running image.
  std::string p = compile(dir, "p", R"(
#include <stdio.h>
int here; extern char aligned[], twice[], size[];
int main(void) { printf("%d %d\n", aligned <= (char*)&here && (char*)&here - aligned < 64, (long)size > 0); return 0; }
)", {"-fPIC"});
  std::string out = dir.file("p");
  CHECK(output_of(dynamic_link({p}, out) + Args{"--defsym", "aligned=here&~63", "--defsym", "size=SIZEOF(.text)"},
                  out) == "1 1\n");
}

TEST_CASE("ELF defsym: expressions may name each other in any order; PROVIDE defines what is missing") {
  TempDir dir;
  std::string o = compile(
      dir, "a", "extern char second[], given[]; char* p = second; char* q = given; void _start(void) {}", {"-fno-pic"});
  std::string out = dir.file("a");
  std::string script = dir.write("s.ld", "PROVIDE(given = 0x30 + 2); PROVIDE(unused = nowhere); PROVIDE(second = 1);");
  RunResult l = link({o, script, "-o", out, "--defsym=second=first+1", "--defsym=first=0x40"});
  INFO(l.describe());
  REQUIRE(l.ok());
  std::string nm = run({"nm", out}).out;
  CHECK(has(nm, "0000000000000041 A second"));
  CHECK(has(nm, "0000000000000032 A given"));
  CHECK(!has(nm, "unused"));
  CHECK(has(error_of({o, script, "-o", out, "--defsym=m=n*2", "--defsym=n=m*2"}), "defined in terms of itself"));
  CHECK(has(value_of(dir, o, "5", {"--defsym=x=6", "--defsym=given=x", "--defsym=second=1"}), "6 A"));
}

TEST_CASE("Linker expressions: depth and size are bounded") {
  CHECK(!lode::formats::parse_linker_expression(std::string(100000, '(')).ok());
  CHECK(!lode::formats::parse_linker_expression(std::string(100000, '-') + "1").ok());
  std::string sum = "1";
  for (int i = 0; i < 20000; i++) sum += "+1";
  CHECK(lode::formats::parse_linker_expression(sum).ok());
  CHECK(!lode::formats::parse_linker_expression("").ok());
  CHECK(!lode::formats::parse_linker_expression("1 2").ok());
  CHECK(!lode::formats::parse_linker_expression("99999999999999999999").ok());
}

TEST_CASE("ELF options: requests for information are answered without a link") {
  TempDir dir;
  for (const char* option : {"--version", "--help", "--print-output-format", "--print-sysroot", "--target-help"}) {
    RunResult r = link({option, "/nonexistent.o", "-lnosuch"});
    INFO(option);
    CHECK(r.ok());
    CHECK(r.out != "");
  }
  CHECK(has(link({"--version"}).out, "GNU ld"));
  CHECK(link({"-v"}).ok());
  CHECK(has(link({"-V"}).out, "elf_x86_64"));
  CHECK(link({"--print-sysroot", "--sysroot=/s"}).out == "/s\n");
}

TEST_CASE("ELF options: without the entry symbol a program starts at the beginning of its code, with a warning") {
  TempDir dir;
  std::string o = compile(dir, "a", start_source, {"-ffreestanding", "-fno-pic"}), out = dir.file("a");
  RunResult l = link({o, "-o", out, "-e", "nosuch"});
  CHECK(l.ok());
  CHECK(has(l.err, "warning: cannot find entry symbol nosuch"));
  CHECK(run({out}).status == 42);
  CHECK(link({o, "-o", out, "-e", "nosuch", "--fatal-warnings"}).status == 1);
  CHECK(link({o, "-o", out}).err == "");
}

TEST_CASE("ELF options: -n and -N programs run") {
  TempDir dir;
  std::string o = compile(dir, "a", start_source, {"-ffreestanding", "-fno-pic"}), out = dir.file("a");
  for (const char* option : {"-n", "-N", "--nmagic", "--omagic"}) {
    INFO(option);
    REQUIRE(link({o, "-o", out, option}).ok());
    CHECK(run({out}).status == 42);
  }
  CHECK(has(link({o, "-o", out, "-n", "--warn-rwx-segments"}).err, "RWX"));
}

TEST_CASE("ELF options: -b binary makes data of a file, up to the next -b") {
  TempDir dir;
  dir.write("data.txt", "payload");
  std::string o = compile(dir, "a", R"(
#include <stdio.h>
extern const char _binary_data_txt_start[], _binary_data_txt_end[], _binary_data_txt_size[];
int main(void) { printf("%.*s %d\n", (int)(_binary_data_txt_end - _binary_data_txt_start), _binary_data_txt_start, (int)(long)_binary_data_txt_size); return 0; }
)",
                          {"-fno-pie"});
  std::string d = dir.file("d.o"), out = dir.file("a");
  REQUIRE(link_in(dir, {"-r", "-b", "binary", "data.txt", "-o", d}).ok());
  std::string nm = run({"nm", d}).out;
  CHECK(has(nm, "D _binary_data_txt_start"));
  CHECK(has(nm, "A _binary_data_txt_size"));
  REQUIRE(run({"gcc", "-no-pie", "-fuse-ld=bfd", o, d, "-o", out}).ok());
  CHECK(run({out}).out == "payload 7\n");
  REQUIRE(link_in(dir, {"-r", "--format=binary", "data.txt", "--format=default", o, "-o", d}).ok());
  CHECK(has(run({"nm", d}).out, "T main"));
}

TEST_CASE("ELF options: --just-symbols takes addresses from another program") {
  TempDir dir;
  std::string base = compile(dir, "base", "int shared_value = 7; void _start(void) {}", {"-fno-pic"}),
              program = dir.file("base");
  REQUIRE(link({base, "-o", program, "--image-base=0x10000000"}).ok());
  std::string o = compile(dir, "a", "extern int shared_value; int* p = &shared_value; int main(void) { return 0; }",
                          {"-fno-pic"}),
              out = dir.file("a");
  for (const Args& args : {Args{"--just-symbols=" + program}, Args{"-R", program}}) {
    REQUIRE(link(Args{o, "-o", out, "-e", "main"} + args).ok());
    std::string there = run({"nm", program}).out, here = run({"nm", out}).out;
    size_t at = there.find(" D shared_value");
    REQUIRE(at != std::string::npos);
    CHECK(has(here, there.substr(at - 16, 16) + " A shared_value"));
  }
  CHECK(has(error_of({o, "-o", out, "--just-symbols=" + dir.write("t", "text")}), "not an ELF file"));
}

TEST_CASE("ELF options: --reproduce packs what another folder can link again") {
  TempDir dir;
  compile(dir, "a", "int member(void); void _start(void) { member(); }", {"-fno-pic"});
  compile(dir, "m", "int member(void) { return 1; }", {"-fno-pic"});
  std::filesystem::create_directory(dir.file("libs"));
  RunOptions in_dir;
  in_dir.cwd = dir.path();
  REQUIRE(run({"ar", "rcs", "libs/libm1.a", "m.o"}, in_dir).ok());
  dir.write("order", "member\n");
  REQUIRE(link_in(dir, {"a.o", "-o", "out/../first", "-Llibs", "-l", "m1", "--symbol-ordering-file", "order",
                        "--reproduce=r.tar", "-z", "now"})
              .status == 1);  // no folder "out"
  REQUIRE(link_in(dir, {"a.o", "-o", "first", "-Llibs", "-l", "m1", "--symbol-ordering-file", "order",
                        "--reproduce=r.tar", "-z", "now"})
              .ok());
  TempDir other;
  REQUIRE(run({"tar", "xf", dir.file("r.tar"), "-C", other.path()}).ok());
  std::filesystem::rename(dir.file("a.o"), dir.file("gone.o"));
  std::filesystem::remove_all(dir.file("libs"));
  RunOptions unpacked;
  unpacked.cwd = other.file("r");
  RunResult again = run({LODE_BINARY, "@response.txt"}, unpacked);
  INFO(again.describe() << read_file(other.file("r/response.txt")));
  REQUIRE(again.ok());
  CHECK(read_file(other.file("r/first")) == read_file(dir.file("first")));
}

TEST_CASE("ELF options: reasons for archive members, and their order") {
  TempDir dir;
  compile(dir, "a", "int one(void); void _start(void) { one(); }", {"-fno-pic"});
  compile(dir, "one", "int two(void); int one(void) { return two(); }", {"-fno-pic"});
  compile(dir, "two", "int two(void) { return 2; }", {"-fno-pic"});
  compile(dir, "three", "int three(void) { return 3; }", {"-fno-pic"});
  RunOptions in_dir;
  in_dir.cwd = dir.path();
  REQUIRE(run({"ar", "rcs", "lib.a", "one.o", "two.o", "three.o"}, in_dir).ok());
  REQUIRE(link_in(dir, {"a.o", "lib.a", "-o", "out", "--why-extract=why", "--print-archive-stats=stats", "--cref",
                        "--warn-backrefs", "--fatal-warnings"})
              .ok());
  CHECK(read_file(dir.file("why")) ==
        "reference\textracted\tsymbol\na.o\tlib.a(one.o)\tone\nlib.a(one.o)\tlib.a(two.o)\ttwo\n");
  CHECK(read_file(dir.file("stats")) == "members\textracted\tarchive\n3\t2\tlib.a\n");
  RunResult back = link_in(dir, {"lib.a", "a.o", "-o", "out", "--warn-backrefs"});
  CHECK(has(back.err, "warning: backward reference detected: one in a.o refers to lib.a(one.o)"));
  CHECK(!has(back.err, "refers to lib.a(two.o)"));
  CHECK(link_in(dir, {"--start-group", "lib.a", "a.o", "--end-group", "-o", "out", "--warn-backrefs"}).err == "");
  RunResult cref = link_in(dir, {"a.o", "lib.a", "-o", "out", "--cref"});
  CHECK(has(cref.out, "Cross Reference Table"));
  CHECK(has(cref.out,
            "one                                               lib.a(one.o)\n                                          "
            "        a.o\n"));
}

TEST_CASE("ELF options: addresses that let sections overlap are an error") {
  TempDir dir;
  std::string o = compile(dir, "a", start_source, {"-ffreestanding", "-fno-pic"}), out = dir.file("a");
  CHECK(has(error_of({o, "-o", out, "-Ttext=0x500000", "-Tdata=0x500000"}), "overlaps section .text"));
  CHECK(link({o, "-o", out, "-Ttext=0x500000", "-Tdata=0x600000"}).ok());
}

TEST_CASE("ELF options: -z separate-code keeps code to itself in the file") {
  TempDir dir;
  std::string o = compile(dir, "a", start_source, {"-ffreestanding", "-fno-pic"}), out = dir.file("a");
  REQUIRE(link({o, "-o", out, "-z", "separate-code"}).ok());
  CHECK(elf_report(out) == "");
  CHECK(run({out}).status == 42);
  std::string headers = readelf({"-l"}, out);
  size_t code = headers.find("R E 0x1000");
  REQUIRE(code != std::string::npos);
  CHECK(headers.substr(headers.rfind("LOAD", code) + 15, 8).substr(5) == "000");
}

TEST_CASE("ELF options: --gdb-index lists units, addresses and names; without lists of names there is none") {
  TempDir dir;
  for (const char* compiler : {"gcc", "clang-19"})
    for (const Args& version : {Args{"-gdwarf-4"}, Args{"-gdwarf-5"}, Args{"-gdwarf-5", "-gdwarf64"}}) {
      INFO(compiler << " " << version[0] << " " << version.back());
      const Args flags = version + Args{"-ggnu-pubnames", "-fno-pic", "-ffunction-sections"};
      std::string a = compile(dir, "a",
                              "struct node { int x; }; struct node global_node; int helper(int); static int inner(int "
                              "x) { return helper(x) + 1; } void _start(void) { inner(global_node.x); }",
                              flags, compiler);
      std::string b =
          compile(dir, "b", "int helper(int x) { return x * 2; } int dropped(int x) { return x; }", flags, compiler);
      std::string out = dir.file("out");
      RunResult l = link({a, b, "-o", out, "--gdb-index", "--gc-sections"});
      INFO(l.describe());
      REQUIRE(l.ok());
      CHECK(l.err == "");
      std::string dump = run({"readelf", "--debug-dump=gdb_index", out}).out;
      INFO(dump);
      CHECK(has(dump, "Version 7"));
      CHECK(has(dump, "[  1] 0x"));
      for (const char* name : {"helper:", "_start:", "global_node:", "node:"}) CHECK(has(dump, name));
      CHECK(has(dump, "[global, function]"));
      std::string nm = run({"nm", out}).out;
      std::string helper = nm.substr(nm.find(" T helper") - 16, 16);
      CHECK(has(dump, helper));
      if (part_needs({"gdb"})) CHECK(has(run({"gdb", "-nx", "-batch", "-ex", "info line helper", out}).out, "b.c"));
      std::string c = compile(dir, "c", "int unlisted(void) { return 1; }", {"-g"}, compiler);
      RunResult without = link({a, b, c, "-o", out, "--gdb-index"});
      CHECK(without.ok());
      CHECK(has(without.err, "no index is made, as " + c));
      CHECK(!has(readelf({"-S"}, out), ".gdb_index"));
    }
}

TEST_CASE("ELF options: build ids have 16 bytes at least, as rpm wants them") {
  TempDir dir;
  const std::string o = compile(dir, "a", start_source), out = dir.file("out");
  const std::pair<const char*, const char*> lengths[] = {{"fast", "0x00000020"},
                                                         {"md5", "0x00000010"},
                                                         {"sha1", "0x00000014"},
                                                         {"sha256", "0x00000020"},
                                                         {"uuid", "0x00000010"}};
  for (auto& [style, length] : lengths) {
    INFO(style);
    REQUIRE(link({o, "-o", out, std::string("--build-id=") + style}).ok());
    CHECK(has(readelf({"-n"}, out), length));
  }
}

TEST_CASE("ELF options: --gdb-index lists the type units of DWARF 5, once each") {
  TempDir dir;
  const std::string types =
      "struct point { int x, y; }; struct shape { struct point a, b; double area; };\nint use(struct shape *s);\n";
  const Args flags = {"-gdwarf-5", "-ggnu-pubnames", "-fdebug-types-section"};
  const std::string a = compile(dir, "a", types + "int use(struct shape *s) { return s->a.x + s->b.y; }", flags);
  const std::string b = compile(dir, "b", types + "struct shape one; int main(void) { return use(&one); }", flags);
  const std::string out = dir.file("out");
  REQUIRE(link(dynamic_link({a, b}, out) + Args{"--gdb-index"}).ok());
  const std::string sections = readelf({"-S"}, out);
  std::smatch found;
  REQUIRE(std::regex_search(sections, found, std::regex(R"(\.gdb_index\s+PROGBITS\s+\w+ (\w+) )")));
  const std::string image = read_file(out);
  const size_t at = std::stoul(found[1], nullptr, 16);
  const auto* index = reinterpret_cast<const uint8_t*>(image.data()) + at;
  auto word = [&](size_t i) { return ::lode::load_le<uint32_t>(index + 4 * i); };
  CHECK(word(0) == 9);
  CHECK(word(1) == 28);
  CHECK(word(2) - word(1) == 2 * 16);  // the units of two files
  CHECK(word(3) - word(2) == 2 * 24);  // the types that they share
  CHECK(word(6) - word(5) == 8);
  // Each signature is that of a unit at the offset beside it.
  const std::string info = run({"readelf", "--debug-dump=info", out}).out;
  for (size_t i = 0; i < 2; i++) {
    char text[64];
    const size_t entry = word(2) / 4 + 6 * i;
    std::snprintf(text, sizeof text, "Compilation Unit @ offset %#x:", word(entry));
    const size_t unit = info.find(text);
    REQUIRE(unit != std::string::npos);
    std::snprintf(text, sizeof text, "Signature:     %#lx", uint64_t(word(entry + 5)) << 32 | word(entry + 4));
    CHECK(info.find(text, unit) < unit + 300);
    std::snprintf(text, sizeof text, "Type Offset:   %#x\n", word(entry + 2));
    CHECK(info.find(text, unit) < unit + 300);
  }
  if (part_needs({"gdb"}))
    CHECK(has(run({"gdb", "-nx", "-batch", "-ex", "ptype struct shape", out}).out, "double area;"));
}
