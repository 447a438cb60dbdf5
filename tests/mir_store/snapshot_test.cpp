// Snapshots: what goes in comes out by key; another input's change leaves keys and chunks as they are; damage is an
// error or a miss, wherever it is.
#include "mir_store/snapshot.h"

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include "tests/support/snapshot.h"

using namespace lode;
using namespace lode::mir;
using test::seal;

namespace {

using Random = std::mt19937;

constexpr uint32_t target = 62;
const Hash128 generator{1, 2};

uint32_t below(Random& rng, uint32_t n) { return uint32_t(rng() % n); }

Hash128 symbol(uint32_t id) { return symbol_key("symbol " + std::to_string(id)); }
std::vector<Hash128> symbols() {
  std::vector<Hash128> keys;
  for (uint32_t k = 0; k < 1000; k++) keys.push_back(symbol(k));
  return keys;
}

FunctionDraft random_draft(Random& rng, unsigned tag_bytes) {
  FunctionDraft d;
  d.symbol = SymbolId(below(rng, 1000));
  const uint32_t n = below(rng, 40);
  for (uint32_t i = 0; i < n; i++) {
    d.tags.push_back(uint16_t(below(rng, tag_bytes == 1 ? 256 : 600)));
    d.operands.push_back(rng());
  }
  for (uint32_t i = below(rng, 10); i > 0; i--) d.extra.push_back(rng());
  for (uint32_t i = below(rng, 10); i > 0; i--) d.locals.push_back(uint8_t(rng()));
  for (uint32_t i = below(rng, 5); i > 0; i--)
    d.references.push_back({below(rng, 4) ? SymbolId(below(rng, 1000)) : SymbolId(), int32_t(rng()),
                            ReferenceKind(below(rng, last_reference_kind + 1))});
  for (uint32_t i = below(rng, 20); i > 0; i--) d.constants.push_back(uint8_t(rng()));
  for (uint32_t& w : d.frame) w = below(rng, 3);
  d.text_align_log2 = uint8_t(below(rng, 6));
  d.constants_align_log2 = uint8_t(below(rng, 6));
  d.flags = uint16_t(below(rng, 4));
  return d;
}

// A module of a program: functions by number, whose keys follow from module, number and `version`.
struct Module {
  uint32_t number = 0, version = 0;
  std::vector<FunctionDraft> functions;

  Hash128 name() const { return symbol_key("module " + std::to_string(number)); }
  Hash128 content() const { return {number, version}; }
  Hash128 key(uint32_t f) const {
    const Hash128 named[] = {symbol(f)};
    const uint8_t reach[] = {0};
    return function_key({{number, f}, {0, version}, generator, named, reach});
  }
  std::vector<uint8_t> lines(uint32_t f) const { return std::vector<uint8_t>(f % 7, uint8_t(f)); }
};

Module random_module(uint32_t number, uint32_t version, unsigned tag_bytes, uint32_t count) {
  Random rng(number * 1000 + version);
  Module m{number, version, {}};
  for (uint32_t k = 0; k < count; k++) m.functions.push_back(random_draft(rng, tag_bytes));
  return m;
}

std::vector<uint8_t> write(std::span<const Module> modules, unsigned tag_bytes, unsigned threads = 1) {
  SnapshotWriter writer(tag_bytes, target, generator);
  const std::vector<Hash128> keys = symbols();
  for (const Module& m : modules) {
    writer.input({m.name(), m.content()});
    MirStore store(tag_bytes, target);
    for (uint32_t f = 0; f < m.functions.size(); f++) {
      const FunctionId id = *store.append(m.functions[f]);
      REQUIRE(writer.add(m.key(f), store.view(id), keys, m.lines(f)));
    }
  }
  return writer.finish(1, threads);
}

// The same function, whose symbols are keys on one side.
bool same(const StoredFunction& s, const FunctionDraft& d, unsigned tag_bytes) {
  auto key = [](SymbolId id) { return id.valid() ? symbol(id.value) : Hash128{}; };
  if (!(s.symbol == key(d.symbol)) || s.references.size() != d.references.size()) return false;
  FunctionDraft want = d;
  for (size_t k = 0; k < d.references.size(); k++) {
    if (!(s.references[k] == key(d.references[k].symbol))) return false;
    want.references[k].symbol = {};
  }
  return MirStore::hash(s.draft, tag_bytes) == MirStore::hash(want, tag_bytes);
}

// How many of the modules' functions are not there; those that are there are what they were.
uint32_t misses(const Snapshot& snapshot, std::span<const Module> modules) {
  uint32_t missing = 0;
  StoredFunction s;
  for (const Module& m : modules)
    for (uint32_t f = 0; f < m.functions.size(); f++) {
      if (!snapshot.find(m.key(f), s)) {
        missing++;
        continue;
      }
      const std::vector<uint8_t> lines = m.lines(f);
      if (!(s.key == m.key(f)) || !same(s, m.functions[f], snapshot.tag_bytes()) ||
          !std::equal(s.lines.begin(), s.lines.end(), lines.begin(), lines.end()))
        FAIL("function " << f << " of module " << m.number << " is another one");
    }
  return missing;
}

std::string message(std::span<const uint8_t> file, uint32_t t = target, const Hash128& g = generator) {
  auto r = Snapshot::open(file, t, g);
  return r.ok() ? std::string("ok") : r.error().message;
}

std::map<std::pair<uint64_t, uint64_t>, std::vector<std::vector<uint8_t>>> chunks_by_input(const Snapshot& s) {
  std::map<std::pair<uint64_t, uint64_t>, std::vector<std::vector<uint8_t>>> out;
  for (uint32_t i = 0; i < s.input_count(); i++) {
    auto& chunks = out[{s.input(i).key.low, s.input(i).key.high}];
    uint32_t last = 0xffffffffu;
    for (Snapshot::Place p : s.functions_of(i)) {
      if (p.chunk == last) continue;
      last = p.chunk;
      const auto bytes = s.packed_chunk(p.chunk);
      chunks.emplace_back(bytes.begin(), bytes.end());
    }
  }
  return out;
}

}  // namespace

TEST_CASE("snapshots: what goes in comes out, by key and by input") {
  for (unsigned tag_bytes : {1u, 2u})
    for (uint32_t count : {0u, 1u, 127u, 128u, 129u, 3000u}) {
      const Module modules[] = {random_module(0, 0, tag_bytes, count), random_module(1, 0, tag_bytes, 0),
                                random_module(2, 0, tag_bytes, count / 2)};
      const std::vector<uint8_t> file = write(modules, tag_bytes);
      CHECK(file == write(modules, tag_bytes, 3));
      auto opened = Snapshot::open(file, target, generator);
      REQUIRE(opened.ok());
      const Snapshot& s = **opened;
      CHECK(s.tag_bytes() == tag_bytes);
      CHECK(s.function_count() == count + count / 2);
      REQUIRE(s.input_count() == 3);
      CHECK(misses(s, modules) == 0);
      StoredFunction stored;
      for (uint32_t i = 0; i < 3; i++) {
        CHECK((s.input(i).key == modules[i].name() && s.input(i).content == modules[i].content()));
        const std::vector<Snapshot::Place> places = s.functions_of(i);
        REQUIRE(places.size() == modules[i].functions.size());
        for (uint32_t f = 0; f < places.size(); f++) {
          REQUIRE(s.read(places[f], stored));
          CHECK((stored.key == modules[i].key(f) && same(stored, modules[i].functions[f], tag_bytes)));
        }
      }
      CHECK_FALSE(s.find({}, stored));
      CHECK_FALSE(s.find({~uint64_t{0}, ~uint64_t{0}}, stored));
      CHECK_FALSE(s.read({0, 0xffffffffu}, stored));
      CHECK_FALSE(s.read({0xffffffffu, 0}, stored));
    }
}

TEST_CASE("snapshots: keys tell apart what code is made from") {
  const Hash128 named[] = {symbol_key("a"), symbol_key("b")};
  const uint8_t reach[] = {0, 1};
  const FunctionKeyParts parts{{1, 2}, {3, 4}, {5, 6}, named, reach};
  const Hash128 key = function_key(parts);
  CHECK(key == function_key(parts));
  auto differs = [&](auto&& change) {
    FunctionKeyParts other = parts;
    change(other);
    return !(function_key(other) == key);
  };
  const Hash128 swapped[] = {named[1], named[0]};
  const uint8_t other_reach[] = {1, 1};
  CHECK(differs([](auto& p) { p.body.low++; }));
  CHECK(differs([](auto& p) { p.options.high++; }));
  CHECK(differs([](auto& p) { p.generator.low++; }));
  CHECK(differs([&](auto& p) { p.symbols = swapped; }));
  CHECK(differs([&](auto& p) { p.symbols = p.symbols.first(1); }));
  CHECK(differs([&](auto& p) { p.reach = other_reach; }));
  CHECK_FALSE(symbol_key("a") == symbol_key("b"));
  CHECK_FALSE(symbol_key("") == Hash128{});
  CHECK_FALSE(local_symbol_key(named[0], 1) == local_symbol_key(named[0], 2));
  CHECK_FALSE(local_symbol_key(named[0], 1) == local_symbol_key(named[1], 1));
}

TEST_CASE("snapshots: a changed module leaves the others' keys and chunks as they are") {
  std::vector<Module> modules;
  for (uint32_t n = 0; n < 5; n++) modules.push_back(random_module(n, 0, 2, 1500));
  const std::vector<uint8_t> before = write(modules, 2);
  auto old = Snapshot::open(before, target, generator);
  REQUIRE(old.ok());
  // Other functions, more or fewer of them, a module less, a module more in front.
  for (uint32_t count : {1500u, 1600u, 3u, 0u}) {
    std::vector<Module> changed = modules;
    changed[1] = random_module(1, 1, 2, count);
    changed.insert(changed.begin(), random_module(9, 0, 2, 10));
    changed.erase(changed.begin() + 4);
    const std::vector<uint8_t> after = write(changed, 2);
    auto fresh = Snapshot::open(after, target, generator);
    REQUIRE(fresh.ok());
    CHECK(misses(**fresh, changed) == 0);
    const auto chunks_before = chunks_by_input(**old), chunks_after = chunks_by_input(**fresh);
    for (uint32_t n : {0u, 2u, 4u}) {
      const Hash128 name = modules[n].name();
      const auto& chunks = chunks_before.at({name.low, name.high});
      CHECK(chunks.size() > 1);
      CHECK(chunks == chunks_after.at({name.low, name.high}));
    }
    // And it is what is written when the unchanged are copied as they lie.
    SnapshotWriter writer(2, target, generator);
    const std::vector<Hash128> keys = symbols();
    for (const Module& m : changed) {
      const uint32_t index = m.number;
      if (m.number < 5 && m.number != 1) {
        REQUIRE(writer.copy_input(**old, index));
        continue;
      }
      writer.input({m.name(), m.content()});
      for (uint32_t f = 0; f < m.functions.size(); f++)
        REQUIRE(writer.add(m.key(f), as_view(m.functions[f]), keys, m.lines(f)));
    }
    CHECK(writer.finish() == after);
  }
}

TEST_CASE("snapshots: functions that two inputs share are found as long as one has them") {
  Module first = random_module(0, 0, 2, 300), second = first;
  const std::vector<Hash128> keys = symbols();
  SnapshotWriter writer(2, target, generator);
  for (uint32_t input = 0; input < 40; input++) {
    writer.input({{input, 1}, {}});
    for (uint32_t f = 0; f < 20; f++)
      REQUIRE(writer.add(first.key(f), as_view(first.functions[f]), keys, first.lines(f)));
  }
  std::vector<uint8_t> file = writer.finish();
  first.functions.resize(20);
  {
    auto s = Snapshot::open(file, target, generator);
    REQUIRE(s.ok());
    CHECK((*s)->function_count() == 800);
    CHECK(misses(**s, std::span(&first, 1)) == 0);
  }
  // All chunks but the last are damaged.
  auto s = Snapshot::open(file, target, generator);
  REQUIRE(s.ok());
  for (uint32_t c = 0; c < 39; c++) file[size_t((*s)->packed_chunk(c).data() - file.data()) + 20] ^= 1;
  CHECK(misses(**s, std::span(&first, 1)) == 0);
  StoredFunction out;
  CHECK_FALSE((*s)->read({0, 0}, out));
  CHECK((*s)->functions_of(0).empty());
  CHECK((*s)->functions_of(39).size() == 20);
  SnapshotWriter copy(2, target, generator);
  CHECK_FALSE(copy.copy_input(**s, 0));
  CHECK(copy.copy_input(**s, 39));
  SnapshotWriter other(2, target, {9, 9});
  CHECK_FALSE(other.copy_input(**s, 39));
  const std::vector<uint8_t> copied = copy.finish();
  auto again = Snapshot::open(copied, target, generator);
  REQUIRE(again.ok());
  CHECK(misses(**again, std::span(&first, 1)) == 0);
}

TEST_CASE("snapshots: what is of another kind is refused by name") {
  const Module m = random_module(0, 0, 2, 20);
  const std::vector<uint8_t> good = write(std::span(&m, 1), 2);
  CHECK(message(good) == "ok");
  CHECK(message(good, 243) == "MIR store for target 62, not 243");
  CHECK(message(good, target, {1, 3}) == "MIR store of another code generator");
  CHECK(message({}) == "not a MIR store");
  auto changed = good;
  changed[0] = 0x7f;
  CHECK(message(changed) == "not a MIR store");
  for (uint8_t version : {0, 1, 2, 9}) {
    changed = good;
    changed[8] = version;
    const std::string want =
        "MIR store of version " + std::to_string(version) + "; this program reads version 4";
    CHECK(message(changed) == want);
    seal(changed);
    CHECK(message(changed) == want);
    // Nothing behind the version means anything to this one.
    CHECK(message(std::span(changed).first(16)) == want);
  }
}

TEST_CASE("snapshots: cut short or longer they are errors, and every byte that is changed is an error or a miss") {
  const Module modules[] = {random_module(0, 0, 2, 150), random_module(1, 0, 2, 5)};
  const std::vector<uint8_t> good = write(modules, 2);
  for (size_t n = 0; n < good.size(); n++) {
    const std::string m = message(std::span(good).first(n));
    if (m.find(n < 8 ? "not a MIR store" : "damaged") != 0) FAIL(n << " bytes: " << m);
  }
  for (size_t n = 1; n < 40; n++) {
    auto longer = good;
    longer.insert(longer.end(), n, 0);
    CHECK(message(longer).find("damaged") == 0);
  }
  for (size_t at = 0; at < good.size(); at++) {
    auto changed = good;
    for (int bit = 0; bit < 9; bit++) {
      changed[at] = bit < 8 ? uint8_t(good[at] ^ 1 << bit) : uint8_t(~good[at]);
      auto s = Snapshot::open(changed, target, generator);
      if (s.ok() && misses(**s, modules) == 0) FAIL("byte " << at << ", bit " << bit << " is not noticed");
      if (bit == 0 && at > 4000) bit = 7;  // one bit and all: the tables have had every bit
    }
  }
}

TEST_CASE("snapshots: damage under valid checksums is refused or harmless") {
  Random rng(8);
  const Module modules[] = {random_module(0, 0, 1, 150), random_module(1, 0, 1, 5)};
  const std::vector<uint8_t> good = write(modules, 1);
  const size_t tables = 72 + 2 * 48 + 2 * 40 + 2 * 32 + 155 * 24;
  StoredFunction out;
  for (int i = 0; i < 6000; i++) {
    auto file = good;
    for (uint32_t k = 1 + below(rng, 3); k > 0; k--) {
      const size_t area[] = {72, 312, tables, good.size()};
      file[16 + rng() % (area[below(rng, 4)] - 16)] = uint8_t(rng());
    }
    seal(file);
    auto s = Snapshot::open(file, target, generator);
    if (!s.ok()) continue;
    for (uint32_t input = 0; input < (*s)->input_count(); input++)
      for (Snapshot::Place p : (*s)->functions_of(input)) (void)(*s)->read(p, out);
    for (const Module& m : modules)
      for (uint32_t f = 0; f < m.functions.size(); f++)
        if ((*s)->find(m.key(f), out)) CHECK(out.key == m.key(f));
  }
}

TEST_CASE("snapshots: all threads may look things up at once") {
  const Module modules[] = {random_module(0, 0, 2, 3000), random_module(1, 0, 2, 3000)};
  const std::vector<uint8_t> file = write(modules, 2);
  auto s = Snapshot::open(file, target, generator);
  REQUIRE(s.ok());
  std::atomic<uint32_t> missing{0};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      StoredFunction out;
      for (uint32_t f = 0; f < 3000; f++) {
        const Module& m = modules[(f + t) % 2];
        missing += !(*s)->find(m.key(f), out) || !same(out, m.functions[f], 2);
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(missing == 0);
}
