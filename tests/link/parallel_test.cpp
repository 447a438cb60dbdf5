// Loops that are parallel or not (link/common/parallel.h): what they do is the same.
#include "link/common/parallel.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <functional>
#include <numeric>
#include <thread>

#include "link/common/lazy_threads.h"

using namespace lode::link;

TEST_CASE("parallel loops do the same in a serial scope, on the calling thread") {
  const auto caller = std::this_thread::get_id();
  auto work = [&](bool serial) {
    const SerialScope scope(serial);
    std::vector<int> out(5000);
    std::atomic<bool> elsewhere{false};
    parallel_for(size_t(0), out.size(), [&](size_t i) {
      out[i] += int(i);
      if (std::this_thread::get_id() != caller) elsewhere = true;
    });
    parallel_for(7, 7, [&](int) { out[0] = -1; });
    parallel_for_ranges(size_t(0), out.size(), 64, [&](const auto& range) {
      for (size_t i = range.begin(); i != range.end(); i++) out[i] *= 3;
    });
    parallel_for_ranges(size_t(3), size_t(3), 64, [&](const auto&) { out[0] = -1; });
    std::atomic<int> visited{0};
    std::vector<int> items{1, 2, 3};
    parallel_for_each(items, [&](int item, const auto& feed) {
      visited += item;
      if (item < 100) feed(item * 10);
    });
    int a = 0, b = 0;
    parallel_invoke([&] { a = 1; }, [&] { b = 2; });
    parallel_sort(out.begin(), out.end(), std::greater<>());
    CHECK(!(serial && elsewhere));
    out.insert(out.end(), {visited, a, b});
    return out;
  };
  CHECK(work(true) == work(false));
  CHECK(!SerialScope::is_open());
  {
    const SerialScope outer(true);
    { const SerialScope inner(false); }
    CHECK(SerialScope::is_open());
  }
  CHECK(!SerialScope::is_open());
}

TEST_CASE("what threads have of their own outlives the serial part of a link") {
  PerThread<std::vector<int>> lists;
  std::optional<SerialScope> serial(true);
  lists.local().push_back(-1);
  parallel_for(0, 100, [&](int i) { lists.local().push_back(i); });
  serial.reset();
  // Each thread must get a list of its own now, or these collide.
  parallel_for(100, 20000, [&](int i) { lists.local().push_back(i); });
  std::vector<int> all;
  lists.for_each([&](const std::vector<int>& list) { all.insert(all.end(), list.begin(), list.end()); });
  std::sort(all.begin(), all.end());
  std::vector<int> expected(20001);
  std::iota(expected.begin(), expected.end(), -1);
  CHECK(all == expected);
}

TEST_CASE("threads are taken when there is work for them, and never if one is asked for") {
  LazyThreads one(1);
  CHECK(SerialScope::is_open());
  one.add_work(uint64_t{1} << 40);
  CHECK(SerialScope::is_open());
}
