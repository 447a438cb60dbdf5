// The LSDA by bytes, and a reading of it as the Itanium ABI's personality routine does.
#include "codegen/native/exception_table.h"

#include <catch2/catch.hpp>

using namespace lode::codegen;

namespace {

struct Call {
  uint32_t call, pad, action;
};
constexpr uint32_t none = ~0u;

std::vector<uint32_t> record(const std::vector<Call>& calls, const ExceptionActions& a, uint32_t personality = 0) {
  std::vector<uint32_t> x{uint32_t(calls.size()), uint32_t(a.types.size()), uint32_t(a.actions.size()),
                          uint32_t(a.filters.size()), personality};
  for (const Call& c : calls) x.insert(x.end(), {c.call, c.pad, c.action});
  x.insert(x.end(), a.types.begin(), a.types.end());
  for (const auto* bytes : {&a.actions, &a.filters})
    for (size_t k = 0; k < bytes->size(); k++) {
      if (k % 4 == 0) x.push_back(0);
      x.back() |= uint32_t((*bytes)[k]) << 8 * (k % 4);
    }
  return x;
}

// MIR instruction k begins at 10 k.
uint32_t tens(uint32_t k) { return 10 * k; }

}  // namespace

TEST_CASE("exception table: actions and filters are shared") {
  ExceptionActions a;
  CHECK(a.type(7) == 1);
  CHECK(a.type(9) == 2);
  CHECK(a.type(7) == 1);
  CHECK(a.type(none) == 3);
  CHECK(a.types == std::vector<uint32_t>{8, 10, 0});
  const uint32_t list[] = {1, 2};
  CHECK(a.filter(list) == -1);
  CHECK(a.filter({}) == -4);
  CHECK(a.filter(list) == -1);
  CHECK(a.filters == std::vector<uint8_t>{1, 2, 0, 0});
  CHECK(a.action({}) == 0);
  const int32_t one[] = {1}, two_one[] = {2, 1}, three_one[] = {3, 1}, cleanup[] = {1, 0};
  CHECK(a.action(one) == 1);
  CHECK(a.action(two_one) == 3);
  CHECK(a.action(three_one) == 5);
  CHECK(a.action(two_one) == 3);
  CHECK(a.action(cleanup) == 9);
  // {1, end} {2, back to the first: 3 bytes} {3, back 5} {0, end} {1, back 3}
  CHECK(a.actions == std::vector<uint8_t>{1, 0, 2, 0x7d, 3, 0x7b, 0, 0, 1, 0x7d});
}

TEST_CASE("exception table: neighbours become one range, types stand backwards before the filters") {
  ExceptionActions a;
  const int32_t chain[] = {int32_t(a.type(2)), int32_t(a.type(none))};
  const uint32_t action = a.action(chain);
  const uint32_t list[] = {1};
  a.filter(list);
  auto x = record({{1, 20, action}, {3, 20, action}, {4, none, 0}, {6, 20, 0}, {7, 20, 0}, {8, none, 0}}, a, 1);
  ExceptionTable t;
  REQUIRE(build_exception_table(x, 0, 30, 3, tens, t));
  CHECK(t.personality == 1);
  const std::vector<uint8_t> expected{
      0xff, 0x9b, 0x21,              // landing pads from the start; types indirect, end in 33 bytes
      0x01, 0x12,                    // call sites in uleb128: 18 bytes
      10,   30,   0xc8, 1, 3,        // both calls and what is between them
      40,   10,   0, 0,              // on to the caller
      60,   20,   0xc8, 1, 0,        // a cleanup
      80,   10,   0, 0,
      2,    0,    1, 0x7d,           // any; type 1, else the one before
      0,                             // padding
      0,    0,    0, 0, 0, 0, 0, 0,  // type 2: any; type 1
      1,    0,
  };
  CHECK(t.bytes == expected);
  REQUIRE(t.types.size() == 1);
  CHECK(t.types[0].offset == 32);
  CHECK(t.types[0].reference == 2);
}

TEST_CASE("exception table: without types there is no type table") {
  ExceptionActions a;
  ExceptionTable t;
  REQUIRE(build_exception_table(record({{0, 2, 0}}, a), 0, 3, 1, tens, t));
  CHECK(t.bytes == std::vector<uint8_t>{0xff, 0xff, 0x01, 4, 0, 10, 20, 0});
}

TEST_CASE("exception table: damaged records are refused") {
  ExceptionActions a;
  const int32_t chain[] = {int32_t(a.type(0)), 0};
  a.action(chain);
  const auto good = record({{0, 2, 1}, {1, none, 0}}, a);
  ExceptionTable t;
  REQUIRE(build_exception_table(good, 0, 3, 1, tens, t));
  for (size_t n = 0; n < good.size(); n++)
    CHECK_FALSE(build_exception_table(std::span(good).first(n), 0, 3, 1, tens, t));
  auto with = [&](size_t at, uint32_t value) {
    auto x = good;
    x[at] = value;
    return build_exception_table(x, 0, 3, 1, tens, t);
  };
  CHECK_FALSE(with(0, 0xffffffff));
  CHECK_FALSE(with(2, 0xfffffff0));
  CHECK_FALSE(with(4, 1));   // no such reference
  CHECK_FALSE(with(5, 3));   // no such instruction
  CHECK_FALSE(with(6, 3));
  CHECK_FALSE(with(7, 100));
  CHECK_FALSE(with(11, 2));  // no such reference
  CHECK_FALSE(build_exception_table(good, 5000, 3, 1, tens, t));
}
