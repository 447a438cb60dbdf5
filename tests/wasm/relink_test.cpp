// Relinks of wasm: a module is linked with --incremental, its sources change, and the next link takes over what it can.
// Whatever happens in between, the module is that of a link without the option.
#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const char* data_layout =
    "target datalayout = \"e-m:e-p:32:32-p10:8:8-p20:8:8-i64:64-n32:64-S128-ni:1:10:20\"\ntarget triple = "
    "\"wasm32-unknown-unknown\"\n";

// run(x) = part(x) + 1; part is in another module, or object.
struct Relinked : Project {
  bool objects = false;
  std::vector<std::string> options;

  std::string file(const std::string& name, const std::string& text) {
    const std::string in = dir.write(name + ".ll", data_layout + text), out = dir.file(name + ".in");
    RunResult r = objects ? run({"llc-19", "-filetype=obj", in, "-o", out}) : run({"llvm-as-19", in, "-o", out});
    INFO(r.describe());
    REQUIRE(r.ok());
    return out;
  }
  void part(const std::string& body) {
    file("part", "@text = private constant [3 x i8] c\"ab\\00\"\ndefine i32 @other(ptr %p) {\n  %a = load i32, ptr %p\n"
                 "  ret i32 %a\n}\ndefine i32 @part(i32 %x) {\n" + body + "}\n");
  }
  void begin() {
    file("main", "declare i32 @part(i32)\ndefine i32 @run(i32 %x) {\n  %a = call i32 @part(i32 %x)\n"
                 "  %b = add i32 %a, 1\n  ret i32 %b\n}\n");
    part("  %y = mul i32 %x, 3\n  ret i32 %y\n");
  }
  std::vector<std::string> arguments(bool incremental) const {
    std::vector<std::string> args{"--no-entry", "--export=run", "--export=other", "--threads=1"};
    if (incremental) args.insert(args.end(), {"--incremental", "--verbose"});
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {dir.file("main.in"), dir.file("part.in")});
    return args;
  }
  // What --verbose says, when the output is that of a link without the option.
  std::string relink() {
    RunResult r = lode(arguments(true), "m.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    REQUIRE(lode(arguments(false), "plain.wasm").ok());
    CHECK(bytes("m.wasm") == bytes("plain.wasm"));
    const size_t at = r.out.find("relink: ");
    REQUIRE(at != std::string::npos);
    return r.out.substr(at + 8, r.out.find('\n', at) - at - 8);
  }
  std::pair<uint64_t, std::string> identity() {
    struct stat st;
    REQUIRE(stat(dir.file("m.wasm").c_str(), &st) == 0);
    return {st.st_ino, std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec)};
  }
};

std::string lacks() { return project_lacks({"llvm-as-19", "llc-19"}); }

}  // namespace

TEST_CASE("wasm relink: what did not change gets a new time, what did is emitted from kept functions") {
  LODE_SKIP_IF(lacks());
  for (bool objects : {false, true}) {
    INFO(objects);
    Relinked p;
    p.objects = objects;
    p.begin();
    CHECK(p.relink() == "full (there is no state file)");
    const auto before = p.identity();
    usleep(20000);
    CHECK(p.relink() == "nothing changed");
    CHECK(p.identity().first == before.first);
    CHECK(p.identity().second != before.second);
    CHECK(node(p.bytes("m.wasm"), "e.run(5)") == "16\n");
    // As long as it was: the same file, of which some bytes are written.
    p.part("  %y = mul i32 %x, 4\n  ret i32 %y\n");
    CHECK(p.relink() == "emitted again, 1 file changed, " + std::string(objects ? "0" : "1") +
                            " functions made, 1 bytes written");
    CHECK(p.identity().first == before.first);
    CHECK(node(p.bytes("m.wasm"), "e.run(5)") == "21\n");
    CHECK(p.relink() == "nothing changed");
    // Longer, and back; a function that was there before is not made again.
    p.part("  %y = mul i32 %x, 4\n  %z = add i32 %y, %x\n  ret i32 %z\n");
    const std::string grown = p.relink();
    INFO(grown);
    CHECK(has(grown, "emitted again, 1 file changed, " + std::string(objects ? "0" : "1") + " functions made"));
    CHECK(p.identity().first != before.first);
    p.part("  %y = mul i32 %x, 4\n  ret i32 %y\n");
    CHECK(has(p.relink(), "emitted again, 1 file changed, 0 functions made"));
    // Some tools take the output away first.
    unlink(p.dir.file("m.wasm").c_str());
    CHECK(p.relink() == "nothing changed");
    CHECK(node(p.bytes("m.wasm"), "e.run(5)") == "21\n");
  }
}

TEST_CASE("wasm relink: reasons for a link from scratch, which kept functions make short") {
  LODE_SKIP_IF(lacks());
  Relinked p;
  p.begin();
  CHECK(p.relink() == "full (there is no state file)");
  p.options = {"--export-all"};
  CHECK(p.relink() == "full (the options changed)");
  CHECK(p.relink() == "nothing changed");
  p.options = {"--export-all", p.file("more", "define i32 @more() {\n  ret i32 1\n}\n")};
  CHECK(p.relink() == "full (inputs were added or removed)");
  p.options.insert(p.options.begin(), "--incremental-full");
  {
    RunResult r = p.lode(p.arguments(true), "m.wasm");
    CHECK(has(r.out, "relink: full (--incremental-full)\n"));
  }
  p.options.erase(p.options.begin());
  CHECK(p.relink() == "nothing changed");
  std::ofstream(p.dir.file("m.wasm"), std::ios::app) << "x";
  CHECK(p.relink() == "full (the output is not the one that the last link made)");
  // Every page of the state and of the functions may be lost.
  for (const char* name : {"m.wasm.lode", "m.wasm.lode-functions"}) {
    const std::string path = p.dir.file(name);
    std::ifstream in(path, std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(in)), {});
    for (size_t at = 0; at < good.size(); at += 61) {
      std::string damaged = good;
      damaged[at] = char(damaged[at] ^ 0x40);
      unlink(path.c_str());
      std::ofstream(path, std::ios::binary) << damaged;
      INFO(name << " " << at);
      p.relink();
    }
  }
  chmod(p.dir.file("m.wasm.lode").c_str(), 0666);
  CHECK(p.relink() == "full (the state file is another user's, or others may write to it)");
  chmod(p.dir.file("m.wasm.lode-functions").c_str(), 0666);
  p.part("  ret i32 %x\n");
  CHECK(has(p.relink(), "emitted again, 1 file changed, 4 functions made"));
}

TEST_CASE("wasm relink: a file that somebody has open is not written to") {
  LODE_SKIP_IF(lacks());
  Relinked p;
  p.begin();
  p.relink();
  const auto before = p.identity(), held = before;
  const std::vector<uint8_t> old = p.bytes("m.wasm");
  std::ifstream in(p.dir.file("m.wasm"), std::ios::binary);
  p.part("  %y = mul i32 %x, 4\n  ret i32 %y\n");
  CHECK(has(p.relink(), "emitted again"));
  CHECK(p.identity().first != held.first);
  const std::string seen((std::istreambuf_iterator<char>(in)), {});
  CHECK(std::vector<uint8_t>(seen.begin(), seen.end()) == old);
}
