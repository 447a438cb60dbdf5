// Metadata nodes of what clang makes: found by number, with the fields that debug information reads; accessors answer
// for any number; damage in the metadata is an error or other nodes, never more.
#include "formats/bitcode/debug_metadata.h"

#include <catch2/catch.hpp>
#include <random>

#include "formats/bitcode/body.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using namespace lode::formats::bitcode;
using K = MetadataKind;

namespace {

const char* source = R"(
struct point { int x, y; };
int counter = 3;
static int add(struct point p, int n) {
  int sum = p.x + p.y + n;
  return sum + counter;
}
int call(int a) { struct point p = {a, 2}; return add(p, a); }
)";

std::vector<uint8_t> compile(const std::string& clang, const std::string& level) {
  test::TempDir dir;
  const std::string out = dir.file("x.bc");
  auto r = test::run({clang, "-w", "-g", level, "-c", "-emit-llvm", dir.write("x.c", source), "-o", out});
  INFO(r.describe());
  CHECK(r.ok());
  const std::string s = test::read_file(out);
  return {s.begin(), s.end()};
}

}  // namespace

TEST_CASE("debug metadata: nodes, strings, records and attachments of clang's modules") {
  for (std::string clang : {"clang-14", "clang-19"}) {
    if (!test::part_needs({clang})) continue;
    for (std::string level : {"-O0", "-O2"}) {
      INFO(clang << " " << level);
      const std::vector<uint8_t> bytes = compile(clang, level);
      auto m = open(bytes);
      REQUIRE(m.ok());
      m->wants_debug = true;
      auto nodes = read_metadata(*m);
      REQUIRE(nodes.ok());
      REQUIRE(nodes->units.size() == 1);
      CHECK(nodes->kind(nodes->units[0]) == K::compile_unit);
      CHECK(nodes->text(nodes->field(nodes->units[0], 3)).find("clang") != std::string_view::npos);
      REQUIRE(nodes->attachments.size() >= 1);
      const auto [global, expression] = nodes->attachments[0];
      CHECK(m->globals[global].name == "counter");
      REQUIRE(nodes->kind(expression) == K::global_expression);
      const uint32_t variable = nodes->node(nodes->field(expression, 1), K::global_variable);
      REQUIRE(variable != none);
      CHECK(nodes->text(nodes->field(variable, 2)) == "counter");
      BodyReader reader(*m);
      Body body;
      MetadataNodes local;
      size_t variables = 0;
      for (uint32_t b = 0; b < m->bodies.size(); b++) {
        REQUIRE(reader.read(b, body).ok());
        REQUIRE(read_body_metadata(*m, *nodes, b, local).ok());
        REQUIRE(body.subprogram != 0);
        CHECK(local.kind(body.subprogram - 1) == K::subprogram);
        CHECK(local.text(local.field(body.subprogram - 1, 2)) == m->globals[body.function].name);
        for (const DebugRecord& r : body.records) {
          CHECK(r.inst < body.insts.size());
          CHECK(local.kind(r.location) == K::location);
          CHECK(local.kind(r.variable) == K::local_variable);
          CHECK(local.kind(r.expression) == K::expression);
          variables++;
        }
      }
      if (clang == "clang-19") CHECK(variables >= 2);
      // Whatever is asked.
      for (uint32_t n : {0u, local.first, local.end() - 1, local.end(), 0x7fffffffu, 0xfffffffeu, none}) {
        local.kind(n);
        local.field(n, 0xffffffff);
        local.text(n);
        local.node(n, K::subprogram);
      }
      CHECK(local.kind(none) == K::other);
      CHECK(local.text(0).empty());
    }
  }
}

TEST_CASE("debug metadata: damaged files") {
  LODE_NEEDS("clang-19");
  const std::vector<uint8_t> bytes = compile("clang-19", "-O1");
  std::mt19937 rng(3);
  size_t read = 0;
  for (int k = 0; k < 3000; k++) {
    std::vector<uint8_t> damaged = bytes;
    for (int flips = 1 + int(rng() % 3); flips > 0; flips--) damaged[rng() % damaged.size()] ^= uint8_t(1 << rng() % 8);
    auto m = open(damaged);
    if (!m.ok()) continue;
    auto nodes = read_metadata(*m);
    if (!nodes.ok()) continue;
    MetadataNodes local;
    for (uint32_t b = 0; b < m->bodies.size(); b++) read += read_body_metadata(*m, *nodes, b, local).ok();
    for (uint32_t n = 0; n < nodes->end(); n++)
      for (uint32_t i = 0; i < nodes->count(n); i++) nodes->text(nodes->field(n, i));
  }
  CHECK(read > 100);
}
