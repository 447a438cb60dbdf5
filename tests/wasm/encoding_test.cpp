// Widths: what emit writes for indices and addresses at the boundaries of LEB128, in executables and in objects.
#include <catch2/catch.hpp>

#include <vector>

#include "base/bytes.h"
#include "codegen/wasm/emit.h"
#include "tests/support/snapshot.h"

using namespace lode;
using namespace lode::wasm;
namespace fw = lode::formats::wasm;

namespace {

std::vector<uint8_t> emit(const mir::FunctionDraft& d, std::vector<ReferenceValue> values, bool object = false,
                          std::vector<Fixup>* fixups = nullptr) {
  std::vector<uint8_t> tags, out;
  mir::FunctionView v = view_of(d, tags);
  out.resize(body_bound(v));
  EmitOptions o;
  o.object = o.table_fixups = object;
  std::vector<Fixup> ignored;
  out.resize(size_t(emit_body(v, values, o, out.data(), fixups ? fixups : &ignored) - out.data()));
  return out;
}

uint64_t decode_uleb(const std::vector<uint8_t>& b, size_t at, size_t* end = nullptr) {
  uint64_t v = 0;
  unsigned shift = 0;
  for (;; at++, shift += 7) {
    v |= uint64_t(b[at] & 0x7f) << shift;
    if (!(b[at] & 0x80)) break;
  }
  if (end) *end = at + 1;
  return v;
}
int64_t decode_sleb(const std::vector<uint8_t>& b, size_t at, size_t* end = nullptr) {
  size_t e;
  uint64_t v = decode_uleb(b, at, &e);
  if (end) *end = e;
  unsigned bits = unsigned(e - at) * 7;
  return bits >= 64 ? int64_t(v) : sign_extend(v, bits);
}

}  // namespace

TEST_CASE("wasm emit: indices take the fewest bytes in executables and five in objects") {
  mir::FunctionDraft d;
  Builder b;
  for (auto [index, width] : {std::pair<uint64_t, size_t>{0, 1},
                              {127, 1},
                              {128, 2},
                              {129, 2},
                              {16383, 2},
                              {16384, 3},
                              {16385, 3},
                              {2097151, 3},
                              {2097152, 4},
                              {0xffffffff, 5}}) {
    // call, global.get, call_indirect: 1 (locals) + (1 + w) + (1 + w) + (1 + w + 1) + end
    b.start(d, SymbolId(0), {}, {});
    b.call(SymbolId(1));
    b.global_get(SymbolId(2));
    b.call_indirect(b.type({}, {}));
    std::vector<uint8_t> out = emit(d, {index, index, index});
    INFO(index);
    REQUIRE(out.size() == 1 + 3 * (1 + width) + 1 + 1);
    CHECK(out[1] == 0x10);
    CHECK(decode_uleb(out, 2) == index);
    CHECK(out[2 + width] == 0x23);
    CHECK(decode_uleb(out, 3 + width) == index);

    std::vector<Fixup> fixups;
    out = emit(d, {index, index, index}, true, &fixups);
    REQUIRE(out.size() == 1 + 3 * 6 + 5 + 1);
    REQUIRE(fixups.size() == 4);
    CHECK(fixups[0].type == fw::RelocType::function_index_leb);
    CHECK(fixups[0].offset == 2);
    CHECK(fixups[1].type == fw::RelocType::global_index_leb);
    CHECK(fixups[1].offset == 8);
    CHECK(fixups[2].type == fw::RelocType::type_index_leb);
    CHECK(fixups[3].type == fw::RelocType::table_number_leb);
    CHECK(fixups[3].reference == Fixup::indirect_table);
    size_t end;
    CHECK(decode_uleb(out, 2, &end) == index);
    CHECK(end == 7);  // padded, and valid
  }
}

TEST_CASE("wasm emit: addresses are signed in constants and unsigned in memory arguments") {
  mir::FunctionDraft d;
  Builder b;
  std::vector<uint64_t> addresses;
  for (unsigned power : {6, 7, 13, 14, 20, 21, 27, 31})
    for (int64_t delta : {-1, 0, 1}) addresses.push_back(uint64_t((int64_t{1} << power) + delta));
  addresses.insert(addresses.end(), {0, (1 << 20) + 300, 0xfffffffe, 0xffffffff});
  for (uint64_t address : addresses) {
    INFO(address);
    b.start(d, SymbolId(0), {}, {});
    b.data_address(SymbolId(1), 0);                       // reference 0
    b.memory_symbol(Op::i32_load, 2, SymbolId(1), 4);     // reference 1: the same symbol + 4
    b.function_address(SymbolId(2));                      // reference 2
    std::vector<ReferenceValue> values{address, address, address};
    std::vector<uint8_t> out = emit(d, values);
    REQUIRE(out[1] == 0x41);
    size_t at;
    CHECK(uint32_t(decode_sleb(out, 2, &at)) == address);
    int64_t as_signed = int32_t(uint32_t(address));
    uint8_t buffer[10];
    CHECK(at - 2 == write_sleb(buffer, as_signed));       // minimal
    REQUIRE(out[at] == 0x28);
    CHECK(out[at + 1] == 2);
    CHECK(decode_uleb(out, at + 2, &at) == address);
    REQUIRE(out[at] == 0x41);
    CHECK(uint32_t(decode_sleb(out, at + 1, &at)) == address);
    CHECK(at == out.size() - 1);

    std::vector<Fixup> fixups;
    out = emit(d, values, true, &fixups);
    REQUIRE(fixups.size() == 3);
    CHECK(fixups[0].type == fw::RelocType::memory_addr_sleb);
    CHECK(fixups[1].type == fw::RelocType::memory_addr_leb);
    CHECK(fixups[2].type == fw::RelocType::table_index_sleb);
    CHECK(uint32_t(decode_sleb(out, fixups[0].offset, &at)) == address);
    CHECK(at == fixups[0].offset + 5);
    CHECK(decode_uleb(out, fixups[1].offset, &at) == address);
    CHECK(at == fixups[1].offset + 5);
    CHECK(uint32_t(decode_sleb(out, fixups[2].offset, &at)) == address);
  }
}

TEST_CASE("wasm emit: 64-bit addresses have ten bytes in objects") {
  mir::FunctionDraft d;
  Builder b;
  b.start(d, SymbolId(0), {}, {}, true);
  b.data_address(SymbolId(1), 0);
  b.memory_symbol(Op::i64_load, 3, SymbolId(1), 8);
  for (uint64_t address : {uint64_t{100}, uint64_t{1} << 31, uint64_t{1} << 35}) {
    std::vector<ReferenceValue> values{address, address + 8};
    std::vector<uint8_t> out = emit(d, values);
    size_t at;
    REQUIRE(out[1] == 0x42);
    CHECK(decode_sleb(out, 2, &at) == int64_t(address));
    CHECK(decode_uleb(out, at + 2) == address + 8);
    std::vector<Fixup> fixups;
    out = emit(d, values, true, &fixups);
    REQUIRE(fixups.size() == 2);
    CHECK(fixups[0].type == fw::RelocType::memory_addr_sleb64);
    CHECK(fixups[1].type == fw::RelocType::memory_addr_leb64);
    CHECK(decode_sleb(out, fixups[0].offset, &at) == int64_t(address));
    CHECK(at == fixups[0].offset + 10);
    CHECK(decode_uleb(out, fixups[1].offset, &at) == address + 8);
    CHECK(at == fixups[1].offset + 10);
  }
}

TEST_CASE("wasm emit: prologue and epilogue") {
  mir::FunctionDraft d;
  Builder b;
  auto make = [&](bool keeps, unsigned align, uint32_t size, bool saved) {
    b.start(d, SymbolId(0), {}, {});
    Frame f;
    f.present = true;
    f.keeps_stack_pointer = keeps;
    f.align_log2 = uint8_t(align);
    f.size = size;
    f.base_local = b.local(ValueType::i32);
    if (saved) f.saved_local = b.local(ValueType::i32);
    f.stack_pointer = b.reference(mir::ReferenceKind::wasm_global, SymbolId(9));
    b.frame(f);
    b.own(OwnTag::frame_address, 8), b.op(Op::drop);
    b.own(OwnTag::epilogue, 0);
    return emit(d, {0});
  };
  using V = std::vector<uint8_t>;
  // local.get 0, i32.const 8, i32.add, drop
  SECTION("a leaf does not store the stack pointer") {
    CHECK(make(false, 4, 32, false) ==
          V{1, 1, 0x7f, 0x23, 0, 0x41, 32, 0x6b, 0x21, 0, 0x20, 0, 0x41, 8, 0x6a, 0x1a, 0x0b});
  }
  SECTION("others do, and give it back") {
    CHECK(make(true, 4, 32, false) == V{1, 1,    0x7f, 0x23, 0,    0x41, 32, 0x6b, 0x22, 0,    0x24, 0, 0x20,
                                        0, 0x41, 8,    0x6a, 0x1a, 0x20, 0,  0x41, 32,   0x6a, 0x24, 0, 0x0b});
  }
  SECTION("over-aligned frames restore what was saved") {
    CHECK(make(true, 6, 64, true) == V{1, 2,    0x7f, 0x23, 0, 0x22, 1, 0x41, 0xc0, 0,    0x6b, 0x41, 0x40, 0x71, 0x22,
                                       0, 0x24, 0,    0x20, 0, 0x41, 8, 0x6a, 0x1a, 0x20, 1,    0x24, 0,    0x0b});
  }
  SECTION("every access to the stack pointer is relocated in objects") {
    make(true, 4, 32, false);
    std::vector<Fixup> fixups;
    std::vector<uint8_t> out = emit(d, {0}, true, &fixups);
    REQUIRE(fixups.size() == 3);  // get and set in the prologue, set in the epilogue
    for (const Fixup& f : fixups) {
      CHECK(f.type == fw::RelocType::global_index_leb);
      CHECK(f.reference == 0);
      CHECK((out[f.offset - 1] == 0x23 || out[f.offset - 1] == 0x24));
    }
    std::vector<uint32_t> counts(1);
    std::vector<uint8_t> tags;
    count_references(view_of(d, tags), counts);
    CHECK(counts[0] == 3);
  }
}

TEST_CASE("wasm emit: runs of equal locals are one entry, and a body is what a store gives back") {
  mir::FunctionDraft d;
  Builder b;
  std::vector<ValueType> i32{ValueType::i32};
  b.start(d, SymbolId(3), i32, {});
  for (ValueType t : {ValueType::i32, ValueType::i32, ValueType::i32, ValueType::f64, ValueType::i32}) b.local(t);
  b.i64_const(int64_t{1} << 40), b.op(Op::drop);
  b.f64_const(0x3fb999999999999a), b.op(Op::drop);
  b.op(Op::local_get, 0), b.memory(Op::i32_load, 2, uint64_t{1} << 30), b.op(Op::drop);
  std::vector<uint8_t> out = emit(d, {});
  CHECK(std::vector<uint8_t>(out.begin(), out.begin() + 7) == std::vector<uint8_t>{3, 3, 0x7f, 1, 0x7c, 1, 0x7f});

  mir::MirStore store(1, store_target);
  auto id = store.append(d);
  REQUIRE(id.ok());
  auto loaded = test::load(test::save(store), store_target);
  REQUIRE(loaded.ok());
  mir::FunctionView v = loaded->view(*id);
  std::vector<uint8_t> again(body_bound(v));
  again.resize(size_t(emit_body(v, {}, {}, again.data(), nullptr) - again.data()));
  CHECK(again == out);
  CHECK(print(v).find("i32.load offset=1073741824 align=4") != std::string::npos);
}
