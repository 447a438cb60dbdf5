// The bitstream cursor on streams written here bit by bit, the module and body reader on small files made by clang 14
// and clang 19 from inputs/sample.c, on what the compilers at hand make of it now, and on damaged files.
#include "formats/bitcode/body.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <random>
#include <set>

#include "formats/bitcode/metadata.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using namespace lode::formats::bitcode;

namespace {

struct BitWriter {
  std::vector<uint8_t> bytes{'B', 'C', 0xC0, 0xDE};
  uint64_t bit = 32;
  void put(uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; i++, bit++) {
      if (bit / 8 >= bytes.size()) bytes.push_back(0);
      if (v >> i & 1) bytes[bit / 8] |= uint8_t(1 << (bit % 8));
    }
  }
  void vbr(uint64_t v, unsigned width) {
    uint64_t more = uint64_t{1} << (width - 1);
    while (v >= more) {
      put((v & (more - 1)) | more, width);
      v >>= width - 1;
    }
    put(v, width);
  }
  void align() {
    while (bit % 32) put(0, 1);
  }
  size_t enter(unsigned outer_width, uint32_t id, unsigned width) {
    put(1, outer_width);
    vbr(id, 8);
    vbr(width, 4);
    align();
    size_t at = bytes.size();
    put(0, 32);
    return at;
  }
  void leave(unsigned width, size_t length_at) {
    put(0, width);
    align();
    store_le(&bytes[length_at], uint32_t((bytes.size() - length_at - 4) / 4));
  }
  void record(unsigned width, uint64_t code, const std::vector<uint64_t>& ops) {
    put(3, width);
    vbr(code, 6);
    vbr(ops.size(), 6);
    for (uint64_t v : ops) vbr(v, 6);
  }
};

std::vector<uint8_t> input(const std::string& name) {
  std::string s = test::read_file(std::string(LODE_TEST_DIR) + "/formats/inputs/" + name);
  return {s.begin(), s.end()};
}

const Global* find(const Module& m, std::string_view name) {
  for (const Global& g : m.globals)
    if (g.name == name) return &g;
  return nullptr;
}

// Every body of a module decoded; returns how many were good.
size_t read_all(const Module& m) {
  BodyReader reader(m);
  Body body;
  size_t good = 0;
  for (uint32_t i = 0; i < m.bodies.size(); i++) good += reader.read(i, body).ok();
  return good;
}

void check_sample(const Module& m, bool typed_pointers) {
  CHECK(m.triple.starts_with("x86_64"));
  CHECK(m.producer.starts_with("LLVM"));
  CHECK(m.data_layout.starts_with("e-"));
  const Global* g = find(m, "global");
  REQUIRE(g);
  CHECK(g->kind == Global::Variable);
  CHECK(!g->declaration);
  CHECK(g->log2_align == 3);
  CHECK(m.types[g->type].kind == TypeKind::Struct);
  const Constant& init = m.constants.list[g->init - m.globals.size()];
  CHECK(init.kind == ConstKind::Aggregate);
  auto fields = m.constants.operands_of(init);
  REQUIRE(fields.size() == 4);
  const Constant& first = m.constants.list[fields[0] - m.globals.size()];
  CHECK(first.kind == ConstKind::Int);
  CHECK(first.bits == 7);
  const Constant& number = m.constants.list[fields[2] - m.globals.size()];
  CHECK(number.kind == ConstKind::Float);
  CHECK(number.bits == 0x4004000000000000);
  CHECK(m.constants.list[fields[3] - m.globals.size()].kind == ConstKind::Gep);

  const Global* tls = find(m, "tls");
  REQUIRE(tls);
  CHECK(tls->tls != Tls::None);
  const Global* placed = find(m, "placed");
  REQUIRE(placed);
  CHECK(m.sections.at(placed->section) == ".mine");
  const Global* weak = find(m, "weak_function");
  REQUIRE(weak);
  CHECK(weak->linkage == Linkage::WeakAny);
  const Global* alias = find(m, "alias_of");
  REQUIRE(alias);
  CHECK(alias->kind == Global::Alias);
  CHECK(&m.globals[alias->init] == weak);
  const Global* external = find(m, "external");
  REQUIRE(external);
  CHECK(external->declaration);
  CHECK(m.types[external->type].vararg);
  const Global* wide = find(m, "wide");
  REQUIRE(wide);
  const Constant& f80 = m.constants.list[wide->init - m.globals.size()];
  CHECK(f80.kind == ConstKind::WideFloat);
  CHECK(m.constants.words_of(f80)[0] == 0xd000000000000000);
  CHECK(m.constants.words_of(f80)[1] == 0x4000);
  const Global* big = find(m, "big");
  REQUIRE(big);
  const Constant& i128 = m.constants.list[big->init - m.globals.size()];
  CHECK(i128.kind == ConstKind::WideInt);
  CHECK(m.constants.words_of(i128)[0] == 5);
  CHECK(m.constants.words_of(i128)[1] == uint64_t{1} << 36);

  bool saw_typed = false;
  for (const Type& t : m.types) saw_typed |= t.kind == TypeKind::Pointer && t.element != none;
  CHECK(saw_typed == typed_pointers);

  BodyReader reader(m);
  Body body;
  std::set<Op> seen;
  for (uint32_t i = 0; i < m.bodies.size(); i++) {
    auto r = reader.read(i, body);
    REQUIRE(r.ok());
    CHECK(body.insts.size() > 0);
    CHECK(body.blocks.back() == body.insts.size());
    for (const Inst& inst : body.insts) seen.insert(inst.op);
    for (uint32_t b = 0; b < body.block_count(); b++) CHECK(is_terminator(body.insts[body.blocks[b + 1] - 1].op));
    if (m.globals[m.bodies[i].function].name == "pick") {
      const Inst* sw = nullptr;
      for (const Inst& inst : body.insts)
        if (inst.op == Op::Switch) sw = &inst;
      REQUIRE(sw);
      auto o = body.operands_of(*sw);
      REQUIRE(o.size() == 2 + 2 * 3);
      std::vector<int64_t> cases;
      for (size_t k = 2; k < o.size(); k += 2) {
        const Constant& c = o[k] < body.first_local ? m.constants.list[o[k] - m.globals.size()]
                                                    : body.constants.list[o[k] - body.first_constant];
        cases.push_back(int64_t(c.bits));
      }
      CHECK(cases == std::vector<int64_t>{1, -2, 300});
    }
  }
  for (Op op :
       {Op::Ret, Op::Switch, Op::IndirectBr, Op::Gep, Op::Load, Op::Call, Op::AtomicRmw, Op::CmpXchg, Op::Binop})
    CHECK(seen.count(op));
}

}  // namespace

TEST_CASE("Bitstream: unabbreviated records, all sizes of numbers") {
  BitWriter w;
  size_t block = w.enter(2, 8, 3);
  std::vector<uint64_t> ops{0, 1, 31, 32, 1023, 1024, 0xffffffff, uint64_t{1} << 63, ~uint64_t{0}, 5};
  for (unsigned i = 0; i < 64; i++) ops.push_back(uint64_t{1} << i);
  w.record(3, 70000, ops);
  w.record(3, 2, {});
  w.leave(3, block);
  Cursor c(w.bytes);
  c.seek(32);
  REQUIRE(c.next() == Cursor::Entry::SubBlock);
  CHECK(c.block_id() == 8);
  REQUIRE(c.enter_block());
  REQUIRE(c.next() == Cursor::Entry::Record);
  REQUIRE(c.read_record());
  CHECK(c.code() == 70000);
  CHECK(std::vector<uint64_t>(c.ops().begin(), c.ops().end()) == ops);
  REQUIRE(c.next() == Cursor::Entry::Record);
  REQUIRE(c.read_record());
  CHECK(c.size() == 0);
  CHECK(c.next() == Cursor::Entry::EndBlock);
  CHECK(c.at_end());
}

TEST_CASE("Bitstream: abbreviations with every encoding, from the block and from BLOCKINFO") {
  BitWriter w;
  size_t outer = w.enter(2, 8, 4);
  size_t info = w.enter(4, 0, 3);
  w.record(3, 1, {40});  // SETBID 40
  w.put(2, 3);           // code literal 9, vbr6, fixed 3
  w.vbr(3, 5);
  w.put(1, 1), w.vbr(9, 8);
  w.put(0, 1), w.put(2, 3), w.vbr(6, 5);
  w.put(0, 1), w.put(1, 3), w.vbr(3, 5);
  w.leave(3, info);
  size_t block = w.enter(4, 40, 4);
  w.put(2, 4);           // code fixed 4, array of char6
  w.vbr(3, 5);
  w.put(0, 1), w.put(1, 3), w.vbr(4, 5);
  w.put(0, 1), w.put(3, 3);
  w.put(0, 1), w.put(4, 3);
  w.put(2, 4);           // code literal 7, blob
  w.vbr(2, 5);
  w.put(1, 1), w.vbr(7, 8);
  w.put(0, 1), w.put(5, 3);
  w.put(4, 4), w.vbr(1000000, 6), w.put(5, 3);
  w.put(5, 4), w.put(11, 4), w.vbr(5, 6);
  for (unsigned v : {0u, 25u, 26u, 62u, 63u}) w.put(v, 6);
  w.put(6, 4), w.vbr(5, 6), w.align();
  for (char ch : std::string("hello")) w.put(uint8_t(ch), 8);
  w.align();
  w.leave(4, block);
  w.leave(4, outer);

  Cursor c(w.bytes);
  c.seek(32);
  REQUIRE(c.next() == Cursor::Entry::SubBlock);
  REQUIRE(c.enter_block());
  REQUIRE(c.next() == Cursor::Entry::SubBlock);
  CHECK(c.block_id() == 0);
  BlockInfo collected;
  REQUIRE(c.read_block_info(collected));
  CHECK(collected.entries.size() == 1);
  REQUIRE(c.next() == Cursor::Entry::SubBlock);
  uint64_t at = c.position();
  for (int round = 0; round < 2; round++) {
    REQUIRE(c.enter_block());
    REQUIRE(c.next() == Cursor::Entry::Record);
    REQUIRE(c.read_record());
    CHECK(c.code() == 9);
    REQUIRE(c.size() == 2);
    CHECK(c[0] == 1000000);
    CHECK(c[1] == 5);
    REQUIRE(c.next() == Cursor::Entry::Record);
    REQUIRE(c.read_record());
    CHECK(c.code() == 11);
    std::string text;
    for (uint64_t v : c.ops()) text += char(v);
    CHECK(text == "azA._");
    REQUIRE(c.next() == Cursor::Entry::Record);
    REQUIRE(c.read_record());
    CHECK(c.code() == 7);
    CHECK(std::string(c.blob().begin(), c.blob().end()) == "hello");
    CHECK(c.next() == Cursor::Entry::EndBlock);
    c.seek_block(at, 40);
  }
}

TEST_CASE("Bitstream: what does not fit is refused") {
  SECTION("a block longer than the stream") {
    BitWriter w;
    size_t block = w.enter(2, 8, 3);
    w.leave(3, block);
    store_le(&w.bytes[block], uint32_t{1000});
    Cursor c(w.bytes);
    c.seek(32);
    REQUIRE(c.next() == Cursor::Entry::SubBlock);
    CHECK(!c.enter_block());
    CHECK(c.failed());
  }
  SECTION("an end of block before the block's length") {
    BitWriter w;
    size_t block = w.enter(2, 8, 3);
    w.leave(3, block);
    w.put(0, 32);
    store_le(&w.bytes[block], load_le<uint32_t>(&w.bytes[block]) + 1);
    Cursor c(w.bytes);
    c.seek(32);
    REQUIRE(c.next() == Cursor::Entry::SubBlock);
    REQUIRE(c.enter_block());
    CHECK(c.next() == Cursor::Entry::Failed);
  }
  SECTION("more operands than the block has bits for") {
    BitWriter w;
    size_t block = w.enter(2, 8, 3);
    w.put(3, 3), w.vbr(1, 6), w.vbr(1u << 30, 6);
    w.leave(3, block);
    Cursor c(w.bytes);
    c.seek(32);
    REQUIRE(c.next() == Cursor::Entry::SubBlock);
    REQUIRE(c.enter_block());
    REQUIRE(c.next() == Cursor::Entry::Record);
    CHECK(!c.read_record());
  }
}

TEST_CASE("Bitcode: an unknown record is named with its block, code and place") {
  BitWriter w;
  size_t block = w.enter(2, 8, 3);
  w.record(3, 1, {2});
  w.record(3, 99, {1, 2});
  w.leave(3, block);
  auto m = open(w.bytes);
  REQUIRE(!m.ok());
  CHECK(m.error().text() == "bad bitcode: unknown record (code 99) in block MODULE, bit offset 117");
}

TEST_CASE("Bitcode: types that nest too deeply are refused, in whatever order they come") {
  // A chain of structs, each containing the one before it or the one after it.
  auto message = [](uint32_t n, bool forward) {
    BitWriter w;
    size_t block = w.enter(2, 8, 3);
    w.record(3, 1, {2});
    size_t types = w.enter(3, 17, 3);
    w.record(3, 1, {n + 1});
    if (!forward) w.record(3, 7, {32});
    for (uint32_t i = 0; i < n; i++) w.record(3, 18, {0, forward ? i + 1 : i});
    if (forward) w.record(3, 7, {32});
    w.leave(3, types);
    w.leave(3, block);
    auto m = open(w.bytes);
    return m.ok() ? std::string() : m.error().text();
  };
  for (bool forward : {false, true}) {
    CHECK(message(200, forward) == "");
    for (uint32_t n : {260u, 200000u})
      CHECK(message(n, forward).find("type that contains itself or nests too deeply") != std::string::npos);
  }
}

TEST_CASE("Bitcode: modules of clang 14 and clang 19") {
  for (const char* name : {"sample.clang14.O0.bc", "sample.clang19.O0.bc"}) {
    INFO(name);
    auto bytes = input(name);
    auto m = open(bytes);
    REQUIRE(m.ok());
    check_sample(*m, std::string_view(name).find("clang14") != std::string_view::npos);
  }
}

TEST_CASE(
    "Bitcode: what the installed compilers make, also as LTO objects, with a wrapper and with debug information") {
  test::TempDir dir;
  for (std::string clang : {"clang-14", "clang-19"}) {
    if (!test::part_needs({clang})) continue;
    const std::vector<std::vector<std::string>> variants = {{"-O0", "-emit-llvm"},
                                                            {"-O0", "-flto"},
                                                            {"-O0", "-flto=thin"},
                                                            {"-O2", "-g", "-emit-llvm"},
                                                            {"-O3", "-g", "-flto"}};
    for (const auto& options : variants) {
      INFO(clang << " " << options[0] << " " << options[1]);
      std::string out = dir.file("x.o");
      std::vector<std::string> argv{clang, "-w", "-c", std::string(LODE_TEST_DIR) + "/formats/inputs/sample.c",
                                    "-o",  out};
      argv.insert(argv.end(), options.begin(), options.end());
      auto r = test::run(argv);
      INFO(r.describe());
      REQUIRE(r.ok());
      std::string s = test::read_file(out);
      std::vector<uint8_t> bytes(s.begin(), s.end());
      CHECK(is_bitcode(bytes));
      auto m = open(bytes);
      REQUIRE(m.ok());
      if (options[0] == "-O0") check_sample(*m, clang == "clang-14");
      CHECK(read_all(*m) == m->bodies.size());
      if (options[1] == "-g") {
        auto scopes = read_scopes(*m);
        REQUIRE(scopes.ok());
        CHECK(scopes->has_units);
        BodyReader reader(*m);
        Body body;
        DebugScopes local;
        size_t found = 0;
        for (uint32_t i = 0; i < m->bodies.size(); i++) {
          REQUIRE(reader.read(i, body).ok());
          REQUIRE(read_body_scopes(*m, *scopes, i, local).ok());
          for (const DebugLoc& l : body.locs) {
            uint32_t file = local.file_of(l.scope);
            REQUIRE(file != none);
            CHECK(local.file(file).name.ends_with("sample.c"));
            found += l.line > 10 && l.line < 50;
          }
        }
        CHECK(found > 10);
      }
      // The same inside a wrapper header.
      std::vector<uint8_t> wrapped(20);
      store_le(&wrapped[0], uint32_t{0x0B17C0DE});
      store_le(&wrapped[8], uint32_t{20});
      store_le(&wrapped[12], uint32_t(bytes.size()));
      wrapped.insert(wrapped.end(), bytes.begin(), bytes.end());
      wrapped.insert(wrapped.end(), 7, 0);
      auto again = open(wrapped);
      REQUIRE(again.ok());
      CHECK(again->globals.size() == m->globals.size());
    }
  }
}

TEST_CASE("Bitcode: truncated and damaged files give errors, never a crash") {
  std::mt19937_64 random(12345);
  for (const char* name : {"sample.clang14.O0.bc", "sample.clang19.O0.bc", "sample.clang19.O1.bc"}) {
    const auto bytes = input(name);
    REQUIRE(bytes.size() > 1000);
    auto attempt = [&](const std::vector<uint8_t>& b) {
      auto m = open(b);
      if (!m.ok()) {
        CHECK(!m.error().message.empty());
        return;
      }
      read_all(*m);
      auto scopes = read_scopes(*m);
      if (!scopes.ok()) CHECK(!scopes.error().message.empty());
    };
    for (size_t n = 0; n < bytes.size(); n += 37) {
      // An exact allocation, so that a sanitizer sees a read behind the end.
      std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + n);
      cut.shrink_to_fit();
      attempt(cut);
    }
    for (int i = 0; i < 600; i++) {
      auto b = bytes;
      for (uint64_t k = 0, n = 1 + random() % 4; k < n; k++) b[random() % b.size()] ^= uint8_t(1u << random() % 8);
      attempt(b);
    }
    for (int i = 0; i < 200; i++) {
      auto b = bytes;
      size_t at = random() % (b.size() - 8);
      store_le(&b[at], uint32_t(random()));
      attempt(b);
    }
  }
}
