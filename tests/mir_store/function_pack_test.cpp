// Packs: what goes in comes out, from a file and from memory; damage is an error or nothing.
#include "mir_store/function_pack.h"

#include <catch2/catch.hpp>

#include <random>

using namespace lode;
using namespace lode::mir;

namespace {

const Hash128 generator{1, 2};

FunctionDraft draft_of(uint32_t n) {
  FunctionDraft d;
  for (uint32_t k = 0; k < n % 50; k++) d.tags.push_back(uint16_t(k * n)), d.operands.push_back(k ^ n);
  d.extra = {n, 2, 3};
  d.locals = {uint8_t(n)};
  d.constants.assign(n % 7, uint8_t(n));
  d.frame[5] = n;
  d.flags = uint16_t(n);
  d.text_align_log2 = 4;
  d.constants_align_log2 = 3;
  for (uint32_t k = 0; k < n % 5; k++) d.references.push_back({SymbolId(k), int32_t(n), ReferenceKind(k), {0, 0, 0}});
  return d;
}

std::vector<PortableSymbol> symbols_of(const FunctionDraft& d) {
  std::vector<PortableSymbol> s(d.references.size());
  for (uint32_t k = 0; k < s.size(); k++) {
    s[k].base = PortableSymbol::Base(k % 4);
    s[k].index = s[k].base == PortableSymbol::named ? 0 : k;
    if (s[k].base == PortableSymbol::named) s[k].name = "name", s[k].reach = 1;
  }
  return s;
}

Hash128 key_of(uint32_t n) { return {uint64_t{n} * 0x9e3779b97f4a7c15u, ~uint64_t{n}}; }

// Functions 0, 3, 6, ...; every tenth is in another pack.
FunctionPackWriter writer_of(uint32_t count, bool refers) {
  FunctionPackWriter w;
  for (uint32_t n = 0; n < count; n += 3) {
    PackedFunction row;
    row.number = n;
    row.body = key_of(n + 1);
    row.key = key_of(n);
    const std::vector<uint32_t> symbols{n, n + 1};
    if (refers && n % 10 == 0) {
      row.chunk = 1, row.offset = 2, row.length = 3;
      w.refer(row, symbols, {7, 7});
      continue;
    }
    const FunctionDraft d = draft_of(n);
    std::vector<uint8_t> head, code;
    append_portable(as_view(d), symbols_of(d), head, &code);
    w.add(row, symbols, head, code);
  }
  return w;
}

void check(FunctionPack& pack, uint32_t count, bool refers) {
  for (uint32_t n = 0; n < count; n++) {
    const PackedFunction* row = pack.by_number(n);
    CHECK((row != nullptr) == (n % 3 == 0));
    CHECK(pack.by_key(key_of(n)) == row);
    if (!row) continue;
    CHECK(row->body == key_of(n + 1));
    CHECK(pack.symbols_of(*row)[1] == n + 1);
    if (refers && n % 10 == 0) {
      CHECK(row->pack == 1);
      CHECK((pack.others()[0] == Hash128{7, 7}));
      continue;
    }
    FunctionDraft d, want = draft_of(n);
    std::vector<PortableSymbol> symbols;
    REQUIRE(read_portable_head(pack.head_of(*row), d, symbols));
    REQUIRE(read_portable_code(pack.head_of(*row), pack.code_of(*row), d));
    for (Reference& r : want.references) r.symbol = {};
    CHECK(MirStore::hash(d, 2) == MirStore::hash(want, 2));
    const std::vector<PortableSymbol> expected = symbols_of(want);
    for (size_t k = 0; k < expected.size(); k++) {
      CHECK(symbols[k].base == expected[k].base);
      CHECK(symbols[k].name == expected[k].name);
      CHECK(symbols[k].reach == expected[k].reach);
    }
  }
}

}  // namespace

TEST_CASE("function packs: what goes in comes out, by number and by key") {
  for (uint32_t count : {0u, 1u, 40u, 9000u}) {
    const std::vector<uint8_t> file = writer_of(count, true).finish(generator);
    CHECK(file == writer_of(count, true).finish(generator));
    auto pack = FunctionPack::open(file, generator);
    REQUIRE(pack.ok());
    check(**pack, count, true);
    check(*writer_of(count, false).keep(), count, false);
  }
}

TEST_CASE(
    "function packs: of another generator, cut short or changed anywhere they are errors, or have no such bytes") {
  const std::vector<uint8_t> file = writer_of(3000, true).finish(generator);
  CHECK(!FunctionPack::open(file, {1, 3}).ok());
  CHECK(!FunctionPack::open({}, generator).ok());
  std::mt19937 random(1);
  for (int k = 0; k < 400; k++) {
    std::vector<uint8_t> damaged = file;
    const size_t at = random() % damaged.size();
    if (k % 4 == 0) damaged.resize(at);
    else damaged[at] ^= uint8_t(1 << random() % 8);
    auto pack = FunctionPack::open(damaged, generator);
    if (!pack.ok()) continue;
    for (const PackedFunction& f : (*pack)->functions()) {
      if (f.pack) continue;
      FunctionDraft d, want = draft_of(f.number);
      std::vector<PortableSymbol> symbols;
      const std::span<const uint8_t> head = (*pack)->head_of(f), code = (*pack)->code_of(f);
      if (head.empty() || (code.empty() && f.length)) continue;
      REQUIRE(read_portable_head(head, d, symbols));
      REQUIRE(read_portable_code(head, code, d));
      for (Reference& r : want.references) r.symbol = {};
      CHECK(MirStore::hash(d, 2) == MirStore::hash(want, 2));
    }
  }
}

TEST_CASE("function packs: any bytes may be read as a function") {
  std::mt19937 random(2);
  for (int k = 0; k < 3000; k++) {
    const FunctionDraft d = draft_of(uint32_t(k));
    std::vector<uint8_t> bytes;
    append_portable(d, symbols_of(d), bytes);
    for (int n = 0; n < 3; n++) bytes[random() % bytes.size()] = uint8_t(random());
    if (k % 3 == 0) bytes.resize(random() % bytes.size());
    FunctionDraft out;
    std::vector<PortableSymbol> symbols;
    if (read_portable(bytes, out, symbols)) CHECK(symbols.size() == out.references.size());
  }
}
