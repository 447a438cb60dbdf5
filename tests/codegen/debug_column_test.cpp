// The words of debug information beside a function's MIR: what is written is read, and damage is told.
#include <catch2/catch.hpp>
#include <random>

#include "codegen/native/debug_column.h"

using namespace lode::codegen;

namespace {

DebugColumn sample() {
  DebugColumn c;
  c.subprogram = 12;
  c.locations = {{}, {3, 1, 7, 0}, {4, 9, 8, 22}};
  c.rows = {{0, 0, true}, {2, 1, false}, {5, 2, true}};
  c.ranges = {{31, 0, 40, DebugRange::slot, 0, ~0u, 2}, {32, 22, 41, DebugRange::constant, 2, 5, 0x123456789aull}};
  return c;
}

}  // namespace

TEST_CASE("debug column: what is written is read") {
  std::vector<uint32_t> words, again;
  write_debug_column(sample(), words);
  DebugColumn c;
  REQUIRE(read_debug_column(words, 6, c));
  CHECK(c.subprogram == 12);
  REQUIRE(c.rows.size() == 3);
  CHECK(c.rows[2].inst == 5);
  CHECK(c.rows[2].block_start);
  CHECK(c.locations[2].inlined_at == 22);
  CHECK(c.ranges[1].payload == 0x123456789aull);
  CHECK(c.ranges[1].kind == DebugRange::constant);
  write_debug_column(c, again);
  CHECK(words == again);
}

TEST_CASE("debug column: indices that lead nowhere are damage") {
  std::vector<uint32_t> words;
  write_debug_column(sample(), words);
  DebugColumn c;
  CHECK(!read_debug_column(words, 4, c));  // a row behind the function's end
  for (size_t n = 0; n < words.size(); n++) CHECK(!read_debug_column(std::span(words).first(n), 6, c));
  auto damaged = [&](size_t at, uint32_t value) {
    std::vector<uint32_t> w = words;
    w[at] = value;
    return !read_debug_column(w, 6, c);
  };
  CHECK(damaged(1, 0xffffffff));  // more rows than there are words
  CHECK(damaged(7, 3));           // a location that is not there
  CHECK(damaged(6, 9));           // rows out of order
  const size_t ranges = 4 + 2 * 3 + 4 * 3;
  CHECK(damaged(ranges + 3, DebugRange::last_kind + 1));
  CHECK(damaged(ranges + 8 + 4, 6));  // it begins behind its end
  // Whatever the words, what is read is within bounds.
  std::mt19937 rng(1);
  for (int k = 0; k < 20000; k++) {
    std::vector<uint32_t> w = words;
    w[rng() % w.size()] = k % 2 ? uint32_t(rng()) : rng() % 40;
    if (!read_debug_column(w, 6, c)) continue;
    for (const DebugRow& r : c.rows) CHECK((r.inst <= 6 && r.location < c.locations.size()));
  }
}
