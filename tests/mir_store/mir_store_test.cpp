#include "mir_store/mir_store.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "tests/support/snapshot.h"

using namespace lode;
using namespace lode::mir;
using namespace lode::test;

namespace {

using Random = std::mt19937;

// The kinds of ReferenceKind: the stored form must carry them all.
constexpr uint32_t reference_kinds = last_reference_kind + 1;

uint32_t below(Random& rng, uint32_t n) { return uint32_t(rng() % n); }

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
    d.references.push_back({SymbolId(below(rng, 1000)), int32_t(rng()), ReferenceKind(below(rng, reference_kinds))});
  for (uint32_t i = below(rng, 20); i > 0; i--) d.constants.push_back(uint8_t(rng()));
  for (uint32_t& w : d.frame) w = below(rng, 3);
  d.text_align_log2 = uint8_t(below(rng, 6));
  d.constants_align_log2 = uint8_t(below(rng, 6));
  d.flags = uint16_t(below(rng, 4));
  return d;
}

bool same(const FunctionView& v, const FunctionDraft& d) {
  if (v.symbol != d.symbol || v.count != d.operands.size()) return false;
  for (uint32_t i = 0; i < v.count; i++) {
    if ((v.tag_bytes == 1 ? v.tag8(i) : v.tag16(i)) != d.tags[i] || v.operands[i] != d.operands[i]) return false;
  }
  auto equal = [](const auto& a, const auto& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); };
  return equal(v.extra, d.extra) && equal(v.locals, d.locals) && equal(v.references, d.references) &&
         equal(v.constants, d.constants) && std::memcmp(v.frame, d.frame, sizeof d.frame) == 0 &&
         v.text_align_log2 == d.text_align_log2 && v.constants_align_log2 == d.constants_align_log2 &&
         v.flags == d.flags;
}

constexpr uint32_t target = 62;

}  // namespace

TEST_CASE("MIR store: what goes in comes out, through replace, remove, compact, save and load") {
  for (unsigned tag_bytes : {1u, 2u}) {
    Random rng(tag_bytes);
    MirStore store(tag_bytes, target);
    std::vector<FunctionDraft> model;
    std::vector<bool> alive;
    for (int step = 0; step < 600; step++) {
      const uint32_t what = below(rng, 10);
      if (what < 5 || model.empty()) {
        model.push_back(random_draft(rng, tag_bytes));
        alive.push_back(true);
        auto id = store.append(model.back());
        REQUIRE(id.ok());
        REQUIRE(id->value == model.size() - 1);
      } else if (what < 8) {
        const uint32_t i = below(rng, uint32_t(model.size()));
        FunctionDraft d = below(rng, 4) ? random_draft(rng, tag_bytes) : model[i];
        auto changed = store.replace(FunctionId(i), d);
        REQUIRE(changed.ok() == alive[i]);
        if (alive[i]) model[i] = d;
      } else if (what == 8) {
        const uint32_t i = below(rng, uint32_t(model.size()));
        store.remove(FunctionId(i));
        alive[i] = false;
      } else {
        store.compact(0.25);
      }
    }
    auto check = [&](const MirStore& s) {
      REQUIRE(s.function_count() == model.size());
      for (uint32_t i = 0; i < model.size(); i++) {
        REQUIRE(s.alive(FunctionId(i)) == alive[i]);
        if (!alive[i]) continue;
        REQUIRE(same(s.view(FunctionId(i)), model[i]));
        REQUIRE(s.record(FunctionId(i)).hash == MirStore::hash(model[i], tag_bytes));
      }
    };
    check(store);
    const std::vector<uint8_t> before = save(store);
    auto loaded = load(before, target);
    REQUIRE(loaded.ok());
    check(*loaded);
    REQUIRE(loaded->sizes().garbage_bytes == 0);
    store.compact(0);
    check(store);
    REQUIRE(store.sizes().garbage_bytes == 0);
    REQUIRE(save(store) == before);
    REQUIRE(save(*loaded) == before);
  }
}

TEST_CASE("MIR store: appending many at once is the same at any number of threads") {
  Random rng(7);
  std::vector<FunctionDraft> drafts;
  for (int i = 0; i < 500; i++) drafts.push_back(random_draft(rng, 2));
  std::vector<const FunctionDraft*> pointers;
  for (const FunctionDraft& d : drafts) pointers.push_back(&d);
  MirStore one(2, target), one_by_one(2, target);
  for (const FunctionDraft& d : drafts) REQUIRE(one_by_one.append(d).ok());
  REQUIRE(one.append_all(pointers, 1).ok());
  REQUIRE(save(one) == save(one_by_one));
  for (unsigned threads : {0u, 2u, 5u}) {
    MirStore many(2, target);
    auto ids = many.append_all(pointers, threads);
    REQUIRE(ids.ok());
    REQUIRE(ids->size() == drafts.size());
    REQUIRE(save(many) == save(one));
  }
}

TEST_CASE("MIR store: the hash sees every column and not the function's own symbol") {
  Random rng(3);
  FunctionDraft d = random_draft(rng, 2);
  d.tags = {1, 2};
  d.operands = {3, 4};
  d.extra = {5};
  d.locals = {6};
  d.constants = {7};
  d.references = {{SymbolId(8), 9, ReferenceKind::call}};
  const Hash128 h = MirStore::hash(d, 2);
  auto differs = [&](auto&& change) {
    FunctionDraft e = d;
    change(e);
    return !(MirStore::hash(e, 2) == h);
  };
  CHECK(differs([](auto& e) { e.tags[1]++; }));
  CHECK(differs([](auto& e) { e.operands[0]++; }));
  CHECK(differs([](auto& e) { e.extra[0]++; }));
  CHECK(differs([](auto& e) { e.locals[0]++; }));
  CHECK(differs([](auto& e) { e.constants[0]++; }));
  CHECK(differs([](auto& e) { e.references[0].symbol.value++; }));
  CHECK(differs([](auto& e) { e.references[0].addend++; }));
  CHECK(differs([](auto& e) { e.references[0].kind = ReferenceKind::got; }));
  CHECK(differs([](auto& e) { e.frame[5]++; }));
  CHECK(differs([](auto& e) { e.flags++; }));
  CHECK(differs([](auto& e) { e.locals.swap(e.constants); }));
  CHECK_FALSE(differs([](auto& e) { e.symbol = SymbolId(77); }));
}

TEST_CASE("MIR store: a replacement with equal contents leaves the store as it is") {
  Random rng(4);
  MirStore store(2, target);
  FunctionDraft d = random_draft(rng, 2);
  d.tags.push_back(1);
  d.operands.push_back(2);
  auto id = store.append(d);
  REQUIRE(id.ok());
  auto again = store.replace(*id, d);
  REQUIRE((again.ok() && !*again));
  REQUIRE(store.sizes().garbage_bytes == 0);
  d.operands[0]++;
  auto changed = store.replace(*id, d);
  REQUIRE((changed.ok() && *changed));
  REQUIRE(store.sizes().garbage_bytes > 0);
  REQUIRE(store.function_count() == 1);
}

TEST_CASE("MIR store: renumbering symbols recomputes the hashes") {
  Random rng(5);
  MirStore store(2, target);
  std::vector<SymbolId> map;
  for (uint32_t i = 0; i < 1000; i++) map.push_back(SymbolId(999 - i));
  std::vector<FunctionDraft> drafts;
  for (int i = 0; i < 50; i++) {
    drafts.push_back(random_draft(rng, 2));
    REQUIRE(store.append(drafts.back()).ok());
  }
  store.rewrite_symbols(map);
  for (uint32_t i = 0; i < drafts.size(); i++) {
    drafts[i].symbol = map[drafts[i].symbol.value];
    for (Reference& r : drafts[i].references) r.symbol = map[r.symbol.value];
    REQUIRE(same(store.view(FunctionId(i)), drafts[i]));
    REQUIRE(store.record(FunctionId(i)).hash == MirStore::hash(drafts[i], 2));
  }
}

TEST_CASE("MIR store: every kind of reference is stored and read back") {
  MirStore store(1, target);
  FunctionDraft d;
  for (uint32_t kind = 0; kind < reference_kinds; kind++)
    d.references.push_back({SymbolId(kind), int32_t(kind), ReferenceKind(kind)});
  REQUIRE(store.append(d).ok());
  auto loaded = load(save(store), target);
  if (!loaded.ok()) FAIL(loaded.error().text());
  CHECK(same(loaded->view(FunctionId(0)), d));
}

TEST_CASE("MIR store: replacing again and again stays within twice the living code") {
  Random rng(9);
  MirStore store(2, target);
  std::vector<FunctionDraft> model;
  for (int i = 0; i < 40; i++) {
    model.push_back(random_draft(rng, 2));
    REQUIRE(store.append(model.back()).ok());
  }
  auto bytes = [&] {
    const StoreSizes s = store.sizes();
    return s.tag_bytes + s.operand_bytes + s.extra_bytes + s.local_bytes + s.reference_bytes + s.constant_bytes;
  };
  for (int i = 0; i < 5000; i++) {
    const uint32_t f = below(rng, uint32_t(model.size()));
    model[f] = random_draft(rng, 2);
    REQUIRE(store.replace(FunctionId(f), model[f]).ok());
    store.compact();
    REQUIRE(store.sizes().garbage_bytes <= bytes() / 4);
  }
  for (uint32_t f = 0; f < model.size(); f++) REQUIRE(same(store.view(FunctionId(f)), model[f]));
  // What a dead function had is not there any more, and its number stays dead.
  store.remove(FunctionId(3));
  store.compact(0);
  CHECK(!store.alive(FunctionId(3)));
  CHECK(store.view(FunctionId(3)).count == 0);
  CHECK(!store.replace(FunctionId(3), model[0]).ok());
  CHECK(store.sizes().functions == model.size() - 1);
}
