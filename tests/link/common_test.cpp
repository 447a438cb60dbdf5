// What both linkers share of the command line and of recognising inputs.
#include <catch2/catch.hpp>

#include "link/common/build_id.h"
#include "link/common/module_file.h"
#include "link/common/output_file.h"
#include "link/common/response_file.h"
#include "tests/support/run.h"

using namespace lode;
using namespace lode::link;

namespace {

std::vector<std::string> expand(const std::vector<std::string>& args) {
  std::vector<const char*> pointers;
  for (const std::string& a : args) pointers.push_back(a.c_str());
  auto r = expand_response_files(pointers);
  return r ? *r : std::vector<std::string>{"error: " + r.error().text()};
}
std::span<const uint8_t> bytes(const std::string& s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

}  // namespace

TEST_CASE("response files: words are split as GNU's tools do, files name files, and ends are looked for") {
  test::TempDir dir;
  const std::string inner = dir.write("inner", "-x\n'a b'  \"c\\\"d\" e\\ f\t''");
  const std::string outer = dir.write("outer", "first @" + inner + " last\\");
  CHECK(expand({"@" + outer, "@", "plain"}) ==
        std::vector<std::string>{"first", "-x", "a b", "c\"d", "e f", "", "last\\", "@", "plain"});
  CHECK(expand({"@" + dir.file("none")})[0].find("cannot open response file") != std::string::npos);
  CHECK(expand({"@" + dir.write("open", "a 'b")})[0].find("unterminated quote") != std::string::npos);
  dir.write("loop", "@" + dir.file("loop"));
  CHECK(expand({"@" + dir.file("loop")})[0].find("include each other") != std::string::npos);
}

TEST_CASE("build ids: styles and bytes") {
  CHECK(parse_build_id("")->style == BuildId::sha1);
  CHECK(parse_build_id("tree")->style == BuildId::sha1);
  CHECK(parse_build_id("fast")->style == BuildId::fast);
  CHECK(parse_build_id("none")->style == BuildId::none);
  const auto hex = parse_build_id("0xAb-0c:7F");
  REQUIRE(hex.ok());
  CHECK(hex->style == BuildId::hex);
  CHECK(hex->bytes == std::vector<uint8_t>{0xab, 0x0c, 0x7f});
  for (const char* wrong : {"0x", "0x1", "0xgg", "0x@0", "sha", "SHA1"}) {
    INFO(wrong);
    CHECK(!parse_build_id(wrong));
  }
  const auto a = random_uuid(), b = random_uuid();
  CHECK(a != b);
  CHECK((a[6] >> 4) == 4);
  CHECK((a[8] >> 6) == 2);
}

TEST_CASE("inputs that are IR are known by their first bytes, AIR text also by its name") {
  using namespace std::string_literals;
  CHECK(is_ir(bytes("BC\xc0\xde"), "x"));
  CHECK(is_ir(bytes("\xde\xc0\x17\x0b...."), "x"));
  CHECK(!is_ir(bytes("BC\xc0"), "x"));
  CHECK(is_ir(bytes("strong func @f() -> void {\na:\n  ret\n}\n"), "x"));
  CHECK(is_ir(bytes(""), "x.air"));
  CHECK(!is_ir(bytes(""), "x"));
  CHECK(!is_ir(bytes("\177ELF\2\1\1"s + std::string(57, '\0')), "x"));
  CHECK(!is_ir(bytes("INPUT(a.o)"), "x"));
}

TEST_CASE("outputs: what does not fit into memory is an error that says how large it is") {
  std::vector<uint8_t> bytes;
  OutputFile in_memory(&bytes), device;
  for (OutputFile* file : {&in_memory, &device}) {
    auto r = file->create("/dev/null", uint64_t{1} << 62, false);
    REQUIRE(!r.ok());
    CHECK(r.error().text() == "there is no memory for an output of 4611686018427387904 bytes");
  }
}
