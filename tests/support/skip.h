// What a test needs and this machine does not have: the test says so and ends, and ctest reports it as skipped, with
// the reason in its log (tests/CMakeLists.txt looks for the word). Nothing is left out without a word; scripts/test.sh,
// which installs all that the tests need, looks that it is there before anything is built.
#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/support/run.h"

namespace lode::test {

// Of commands, and of files by their full path: "X is not installed", or nothing.
inline std::string missing(const std::vector<std::string>& needed) {
  for (const std::string& name : needed)
    if (name.starts_with('/') ? !std::filesystem::exists(name) : !have_tool(name)) return name + " is not installed";
  return {};
}

// Whether a part of a test can be done. Without it the rest of the test counts, and the part is named.
inline bool part_needs(const std::vector<std::string>& needed) {
  const std::string why = missing(needed);
  static std::set<std::string> told;
  if (!why.empty() && told.insert(why).second) WARN("left out: " << why);
  return why.empty();
}

// The test, or the helper that is all of it, ends here.
#define LODE_SKIP(reason)         \
  do {                            \
    WARN("SKIPPED: " << reason);  \
    return;                       \
  } while (false)
#define LODE_SKIP_IF(why)                                                    \
  do {                                                                       \
    if (const std::string lode_why = (why); !lode_why.empty()) LODE_SKIP(lode_why); \
  } while (false)
#define LODE_NEEDS(...) LODE_SKIP_IF(lode::test::missing({__VA_ARGS__}))

}  // namespace lode::test
