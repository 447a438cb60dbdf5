// The file that a link leaves for the next one: what is read is what was written, or it is damage.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <iterator>

#include "link/relink/state_file.h"
#include "tests/support/toolchain.h"

using namespace lode;
using namespace lode::link;
using lode::test::TempDir;

namespace {

constexpr StateHash generator{1, 2};

std::vector<uint32_t> numbers(uint32_t n) {
  std::vector<uint32_t> out(n);
  for (uint32_t i = 0; i < n; i++) out[i] = i * 7;
  return out;
}

std::string make(const TempDir& dir, uint32_t n = 5000) {
  const std::string path = dir.file("a.lode");
  const auto a = numbers(n), b = numbers(10);
  StateWriter w;
  w.add(0, a, 3000);
  w.add(3, b, 0);
  REQUIRE(w.write(path, 7, generator).ok());
  return path;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}
std::string why_not(const std::string& path, uint32_t version = 7, StateHash g = generator) {
  StateFile f;
  auto r = f.open(path, version, g);
  return r ? "" : r.error().text();
}

}  // namespace

TEST_CASE("a state file is read as it was written, and changed in place") {
  TempDir dir;
  const std::string path = make(dir);
  {
    StateFile f;
    REQUIRE(f.open(path, 7, generator).ok());
    StateTable<uint32_t> a(f, 0), b(f, 3), none(f, 5);
    CHECK(a.size() == 5000);
    CHECK(b.size() == 10);
    CHECK(none.size() == 0);
    for (uint32_t i = 0; i < a.size(); i += 11) CHECK(a[i] == i * 7);
    *a.edit(4000) = 99;
    uint32_t first = 0;
    REQUIRE(a.append(2500, first));
    CHECK(first == 5000);
    *a.edit(7499) = 5;
    CHECK_FALSE(a.append(5000, first));
    CHECK_FALSE(f.damaged());
    REQUIRE(f.begin_commit().ok());
    REQUIRE(f.end_commit().ok());
  }
  StateFile f;
  REQUIRE(f.open(path, 7, generator).ok());
  StateTable<uint32_t> a(f, 0);
  CHECK(a.size() == 7500);
  CHECK(a[4000] == 99);
  CHECK(a[3999] == 3999 * 7);
  CHECK(a[5001] == 0);
  CHECK(a[7499] == 5);
  CHECK_FALSE(f.damaged());
  CHECK(a[7500] == 0);
  CHECK(f.damaged());
  CHECK_FALSE(f.begin_commit().ok());
}

TEST_CASE("a state file that was not committed is not opened") {
  TempDir dir;
  const std::string path = make(dir);
  {
    StateFile f;
    REQUIRE(f.open(path, 7, generator).ok());
    *StateTable<uint32_t>(f, 0).edit(1) = 1;
    REQUIRE(f.begin_commit().ok());
  }
  CHECK(why_not(path) == "the last relink was not finished");
}

TEST_CASE("a state file of somebody else's is not opened") {
  TempDir dir;
  const std::string path = make(dir);
  CHECK(why_not(path) == "");
  CHECK(why_not(path, 8) == "the state file is that of another lode");
  CHECK(why_not(path, 7, {1, 3}) == "the state file is that of another lode");
  CHECK(why_not(dir.file("b.lode")) == "there is no state file");
  REQUIRE(chmod(path.c_str(), 0664) == 0);
  CHECK(why_not(path) == "the state file is another user's, or others may write to it");
  REQUIRE(chmod(path.c_str(), 0600) == 0);
  if (geteuid() == 0) {
    REQUIRE(chown(path.c_str(), 12345, 0) == 0);
    CHECK(why_not(path) == "the state file is another user's, or others may write to it");
    REQUIRE(chown(path.c_str(), 0, 0) == 0);
  }
  REQUIRE(symlink(path.c_str(), dir.file("c.lode").c_str()) == 0);
  CHECK(why_not(dir.file("c.lode")) == "the state file cannot be opened");
}

TEST_CASE("every bit of a state file counts") {
  TempDir dir;
  const std::string path = make(dir, 1500), good = bytes_of(path);
  std::vector<uint32_t> expected = numbers(1500);
  for (size_t at = 0; at < good.size(); at += at < 9000 ? 37 : 211) {
    std::string bad = good;
    bad[at] = char(bad[at] ^ (1 << at % 8));
    put(path, bad);
    StateFile f;
    if (!f.open(path, 7, generator)) continue;
    StateTable<uint32_t> a(f, 0);
    bool right = a.size() == 1500;
    for (uint32_t i = 0; i < 1500; i++) right &= a[i] == expected[i];
    INFO("byte " << at);
    CHECK((right || f.damaged()));
  }
  for (size_t size : {size_t{0}, size_t{100}, size_t{8191}, size_t{8192}, good.size() - 1, good.size() - 4096}) {
    put(path, good.substr(0, size));
    CHECK(why_not(path) != "");
  }
  put(path, good + std::string(4096, '\0'));
  CHECK(why_not(path) != "");
}
