// Every row of the instruction table against an independent assembler and an independent disassembler: the text of each
// instruction goes through wat2wasm, and the body's bytes must be those that emit makes from MIR; a module of the
// bodies that emit made must please wasm-validate, and wasm-objdump must read back the instructions' names and all of
// the bytes.
#include <catch2/catch.hpp>

#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "codegen/wasm/emit.h"
#include "formats/wasm/reader.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using namespace lode::wasm;

namespace {

const char* type_text(char letter) {
  switch (letter) {
    case 'i': case 'a': return "i32";
    case 'l': return "i64";
    case 'f': return "f32";
    case 'd': return "f64";
    case 'v': return "v128";
    case 'F': return "funcref";
    default: return "?";
  }
}
ValueType type_of(char letter) {
  switch (letter) {
    case 'l': return ValueType::i64;
    case 'f': return ValueType::f32;
    case 'd': return ValueType::f64;
    case 'v': return ValueType::v128;
    case 'F': return ValueType::funcref;
    default: return ValueType::i32;
  }
}

// Alignment of an atomic access, which must be the natural one.
unsigned natural_align_log2(const std::string& name) {
  if (name.find("wait64") != std::string::npos) return 3;
  if (name.find("notify") != std::string::npos || name.find("wait32") != std::string::npos) return 2;
  for (auto [width, log2] : {std::pair{"8", 0}, {"16", 1}, {"32", 2}})
    for (const char* stem : {"load", "store", "rmw"}) {
      size_t at = name.find(stem + std::string(width));
      if (at != std::string::npos) return unsigned(log2);
    }
  return name.starts_with("i64") ? 3 : 2;
}

struct Case {
  std::string wat;
  mir::FunctionDraft draft;
  std::vector<ReferenceValue> values;
};

// The instructions of a text, by name.
std::vector<std::string> mnemonics(std::string text) {
  static const std::set<std::string> known = [] {
    std::set<std::string> all;
    for (const OpInfo& row : op_table)
      if (row.exists()) all.insert(row.name());
    return all;
  }();
  for (char& c : text)
    if (c == '(' || c == ')') c = ' ';
  std::vector<std::string> out;
  std::istringstream words(text);
  for (std::string w; words >> w;)
    if (known.contains(w)) out.push_back(w);
  return out;
}

// What wasm-objdump -d says about each function: names of instructions, and all bytes behind the locals.
struct Disassembled {
  std::vector<std::string> names;
  std::vector<uint8_t> bytes;
};
std::vector<Disassembled> disassemble(const std::string& path) {
  std::vector<Disassembled> out;
  test::RunResult r = test::run({"wasm-objdump", "-d", path});
  INFO(r.describe());
  REQUIRE(r.ok());
  std::istringstream lines(r.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" func[") != std::string::npos) out.emplace_back();
    size_t colon = line.find(": "), bar = line.find('|');
    if (out.empty() || colon == std::string::npos || bar == std::string::npos || bar < colon) continue;
    std::istringstream digits(line.substr(colon + 1, bar - colon - 1));
    std::vector<uint8_t> bytes;
    for (std::string d; digits >> d;) bytes.push_back(uint8_t(std::stoul(d, nullptr, 16)));
    std::istringstream words(line.substr(bar + 1));
    std::string name;
    words >> name;
    if (name.starts_with("local[")) continue;  // a declaration of locals
    out.back().bytes.insert(out.back().bytes.end(), bytes.begin(), bytes.end());
    if (!name.empty()) out.back().names.push_back(name);  // long instructions go on in a second line
  }
  return out;
}

// Assembles all cases as one module and compares body by body.
void compare(std::vector<Case>& cases, const std::string& prelude) {
  LODE_NEEDS("wat2wasm");
  std::string text = "(module\n" + prelude;
  for (const Case& c : cases) text += c.wat + "\n";
  text += ")";
  test::TempDir dir;
  std::string wat = dir.write("t.wat", text), wasm = dir.file("t.wasm");
  test::RunResult r =
      test::run({"wat2wasm", "--enable-threads", "--enable-tail-call", "--enable-exceptions", wat, "-o", wasm});
  INFO(r.describe());
  REQUIRE(r.ok());
  std::string bytes = test::read_file(wasm);
  formats::wasm::Bytes file(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  auto m = formats::wasm::read(file);
  INFO((m.ok() ? "" : m.error().text()));
  REQUIRE(m.ok());
  size_t skip = m->bodies.size() - cases.size();
  formats::wasm::Bytes code = m->payload(m->sections[m->code_section]);
  std::vector<uint8_t> own;  // a code section of our own bodies
  append_uleb(own, m->bodies.size());
  for (size_t i = 0; i < skip; i++) {
    const formats::wasm::Body& b = m->bodies[i];
    append_uleb(own, b.end - b.begin);
    own.insert(own.end(), code.begin() + b.begin, code.begin() + b.end);
  }
  std::vector<std::vector<uint8_t>> bodies;
  for (size_t i = 0; i < cases.size(); i++) {
    const formats::wasm::Body& b = m->bodies[skip + i];
    std::vector<uint8_t> expected(code.begin() + b.begin, code.begin() + b.end);
    std::vector<uint8_t> tags;
    mir::FunctionView view = view_of(cases[i].draft, tags);
    std::vector<uint8_t> out(body_bound(view));
    out.resize(size_t(emit_body(view, cases[i].values, {}, out.data(), nullptr) - out.data()));
    INFO(cases[i].wat);
    CHECK(out == expected);
    append_uleb(own, out.size());
    own.insert(own.end(), out.begin(), out.end());
    bodies.push_back(std::move(out));
  }

  // The same module with our code section in the place of the assembler's.
  LODE_NEEDS("wasm-validate", "wasm-objdump");
  std::string module = bytes.substr(0, 8);
  for (size_t s = 0; s < m->sections.size(); s++) {
    const formats::wasm::Section& x = m->sections[s];
    if (x.id == formats::wasm::SectionId::custom) continue;
    std::vector<uint8_t> head{uint8_t(x.id)};
    formats::wasm::Bytes payload = s == m->code_section ? formats::wasm::Bytes(own) : m->payload(x);
    append_uleb(head, payload.size());
    module.append(head.begin(), head.end()).append(payload.begin(), payload.end());
  }
  std::string ours = dir.write("ours.wasm", module);
  r = test::run({"wasm-validate", "--enable-threads", "--enable-tail-call", "--enable-exceptions", ours});
  INFO(r.describe());
  CHECK(r.ok());
  std::vector<Disassembled> read = disassemble(ours);
  REQUIRE(read.size() == m->bodies.size());
  for (size_t i = 0; i < cases.size(); i++) {
    INFO(cases[i].wat);
    std::vector<std::string> names = mnemonics(cases[i].wat);
    names.push_back("end");
    const Disassembled& d = read[skip + i];
    CHECK(d.names == names);
    CHECK(d.bytes == std::vector<uint8_t>(bodies[i].end() - long(d.bytes.size()), bodies[i].end()));
    CHECK(bodies[i].size() - d.bytes.size() <= 7);  // the locals
  }
}

}  // namespace

TEST_CASE("wasm instructions: every fixed-signature row as wat2wasm encodes it") {
  std::vector<Case> cases;
  Builder b;
  unsigned special = 0;
  for (unsigned n = 0; n < op_limit; n++) {
    const OpInfo& row = op_table[n];
    if (!row.exists()) continue;
    std::string signature = row.signature(), name = row.name();
    size_t colon = signature.find(':');
    if (colon == std::string::npos) {
      special++;
      continue;
    }
    Op op = Op(n);
    std::vector<ValueType> params, results;
    std::string wat = "(func (export \"f" + std::to_string(n) + "\") (param";
    for (char c : signature.substr(0, colon)) {
      params.push_back(type_of(c));
      wat += std::string(" ") + type_text(c);
    }
    wat += ") (result";
    for (char c : signature.substr(colon + 1)) {
      results.push_back(type_of(c));
      wat += std::string(" ") + type_text(c);
    }
    wat += ")";
    cases.emplace_back();
    Case& c = cases.back();
    b.start(c.draft, SymbolId(n), params, results);
    for (size_t i = 0; i < params.size(); i++) {
      b.op(Op::local_get, uint32_t(i));
      wat += " local.get " + std::to_string(i);
    }
    wat += " " + name;
    static const uint8_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 11, 12, 13, 14, 31};
    switch (row.immediate) {
      case Immediate::None: case Immediate::Memory: case Immediate::MemoryCopy: case Immediate::MemoryFill:
      case Immediate::Fence: b.op(op); break;
      case Immediate::Memarg: case Immediate::MemargLane: {
        unsigned align = row.prefix == 0xfe ? natural_align_log2(name) : 0;
        bool lane = row.immediate == Immediate::MemargLane;
        uint64_t offset = n % 3 == 0 ? 8 : n % 3 == 1 ? 300000 : 0xfffffff0u;
        b.memory(op, align, offset, 1);
        wat += " offset=" + std::to_string(offset) + " align=" + std::to_string(1u << align) + (lane ? " 1" : "");
        break;
      }
      case Immediate::I32:
        b.i32_const(-12345);
        wat += " -12345";
        break;
      case Immediate::I64:
        b.i64_const(-1234567890123);
        wat += " -1234567890123";
        break;
      case Immediate::F32:
        b.f32_const(0x7fa12345);
        wat += " nan:0x212345";
        break;
      case Immediate::F64:
        b.f64_const(0x3fb999999999999a);
        wat += " 0.1";
        break;
      case Immediate::FunctionRef:
        c.values.push_back(0);
        b.op(op, b.reference(mir::ReferenceKind::call, SymbolId(7)));
        wat += " 0";
        break;
      case Immediate::Lane:
        b.op(op, 1);
        wat += " 1";
        break;
      case Immediate::V128: case Immediate::Shuffle:
        b.vector(op, lanes);
        if (row.immediate == Immediate::V128) wat += " i8x16";
        for (uint8_t lane : lanes) wat += " " + std::to_string(lane);
        break;
      case Immediate::DataSegment: case Immediate::ElementSegment: case Immediate::MemoryInit:
        b.op(op, 1);
        wat += " 1";
        break;
      case Immediate::TableInit: {
        c.values.push_back(0);
        uint32_t r = b.reference(mir::ReferenceKind::wasm_table, SymbolId(9)), at = uint32_t(c.draft.extra.size());
        c.draft.extra.insert(c.draft.extra.end(), {1, r});
        b.op(op, at);
        wat += " 0 1";
        break;
      }
      case Immediate::TableCopy: {
        c.values = {1, 0};
        uint32_t to = b.reference(mir::ReferenceKind::wasm_table, SymbolId(9)),
                 from = b.reference(mir::ReferenceKind::wasm_table, SymbolId(8));
        uint32_t at = uint32_t(c.draft.extra.size());
        c.draft.extra.insert(c.draft.extra.end(), {to, from});
        b.op(op, at);
        wat += " 1 0";
        break;
      }
      case Immediate::Table:
        c.values = {1};
        b.op(op, b.reference(mir::ReferenceKind::wasm_table, SymbolId(9)));
        wat += " 1";
        break;
      default: FAIL("no text for " << name);
    }
    c.wat = wat + ")";
  }
  CHECK(special == 36);  // the next test's
  compare(cases,
          "(memory 1 1 shared) (table 1 funcref) (table 1 funcref) (data \"a\") (data \"b\") (elem func 0) (elem func "
          "0) (func)");
}

TEST_CASE("wasm instructions: rows whose signature depends on the immediate") {
  // The module has: function 0 (no type), 1 (i32 -> i32), table 0, tag 0 (i32), mutable global 0, types 0 (none), 1
  // (i32 -> i32), 2 (i32) and 3 (i32 i32 -> i32 i32).
  std::string prelude =
      "(type (func)) (type (func (param i32) (result i32))) (type (func (param i32))) (type (func (param i32 i32) "
      "(result i32 i32)))"
      "(table 1 funcref) (table 1 externref) (tag (param i32)) (global (mut i32) (i32.const 0)) (func (type 0))"
      "(func (type 1) local.get 0)";
  std::vector<Case> cases;
  Builder b;
  auto add = [&](const std::string& wat, std::vector<ReferenceValue> values, const std::function<void()>& build) {
    cases.emplace_back();
    cases.back().wat = "(func (type 1) (local i32 i32 f64) " + wat + ")";
    cases.back().values = std::move(values);
    std::vector<ValueType> i32{ValueType::i32};
    b.start(cases.back().draft, SymbolId(1), i32, i32);
    b.local(ValueType::i32), b.local(ValueType::i32), b.local(ValueType::f64);
    build();
  };
  auto get = [&](uint32_t n = 0) { b.op(Op::local_get, n); };
  auto tag_ref = [&] { return b.reference(mir::ReferenceKind::wasm_tag, SymbolId(2)); };
  auto table_ref = [&] { return b.reference(mir::ReferenceKind::wasm_table, SymbolId(3)); };
  auto i32_i32 = [&] { return b.type(std::vector{ValueType::i32}, std::vector{ValueType::i32}); };
  add("unreachable", {}, [&] { b.op(Op::unreachable); });
  add("block loop nop end end local.get 0", {}, [&] {
    b.block(Op::block), b.block(Op::loop), b.op(Op::nop), b.op(Op::end), b.op(Op::end), get();
  });
  add("block (result i32) local.get 0 local.get 1 br_if 0 end", {}, [&] {
    b.block(Op::block, 0x7f), get(), get(1), b.op(Op::br_if, 0), b.op(Op::end);
  });
  add("local.get 0 if (result i32) local.get 1 else local.get 2 end", {}, [&] {
    get(), b.block(Op::if_, 0x7f), get(1), b.op(Op::else_), get(2), b.op(Op::end);
  });
  add("local.get 0 local.get 0 block (type 3) end drop", {3}, [&] {
    std::vector<ValueType> two{ValueType::i32, ValueType::i32};
    get(), get(), b.block(Op::block, 0x100 + b.type(two, two)), b.op(Op::end), b.op(Op::drop);
  });
  add("block block local.get 0 br_table 0 1 0 1 end br 0 end local.get 0 return", {}, [&] {
    std::vector<uint32_t> depths{0, 1, 0};
    b.block(Op::block), b.block(Op::block), get(), b.br_table(depths, 1), b.op(Op::end), b.op(Op::br, 0), b.op(Op::end),
    get(),
        b.op(Op::return_);
  });
  add("local.get 0 call 1", {1}, [&] { get(), b.call(SymbolId(1)); });
  add("local.get 0 return_call 1", {1}, [&] { get(), b.call(SymbolId(1), true); });
  add("local.get 0 local.get 0 call_indirect (type 1)", {1}, [&] { get(), get(), b.call_indirect(i32_i32()); });
  add("local.get 0 local.get 0 return_call_indirect (type 1)", {1},
      [&] { get(), get(), b.call_indirect(i32_i32(), true); });
  add("local.get 0 local.get 1 local.get 2 select", {}, [&] { get(), get(1), get(2), b.op(Op::select); });
  add("local.get 0 local.get 1 local.get 2 select (result i32)", {},
      [&] { get(), get(1), get(2), b.op(Op::select_typed, 0x7f); });
  add("local.get 0 local.tee 1 local.set 2 local.get 2", {},
      [&] { get(), b.op(Op::local_tee, 1), b.op(Op::local_set, 2), get(2); });
  add("local.get 0 global.set 0 global.get 0", {0},
      [&] { get(), b.global_set(SymbolId(5)), b.global_get(SymbolId(5)); });
  add("local.get 0 local.get 0 table.get 0 table.set 0 local.get 0", {0}, [&] {
    get(), get(), b.op(Op::table_get, table_ref()), b.op(Op::table_set, table_ref()), get();
  });
  add("ref.null func local.get 0 table.grow 0", {0},
      [&] { b.op(Op::ref_null, 0x70), get(), b.op(Op::table_grow, table_ref()); });
  add("local.get 0 ref.null extern local.get 0 table.fill 1 local.get 0", {1}, [&] {
    get(), b.op(Op::ref_null, 0x6f), get(), b.op(Op::table_fill, table_ref()), get();
  });
  add("ref.null func ref.is_null", {}, [&] { b.op(Op::ref_null, 0x70), b.op(Op::ref_is_null); });
  add("try local.get 0 throw 0 catch 0 drop rethrow 0 catch_all rethrow 0 end local.get 0", {0}, [&] {
    b.block(Op::try_), get(), b.op(Op::throw_, tag_ref()), b.op(Op::catch_, tag_ref()), b.op(Op::drop),
    b.op(Op::rethrow, 0),
        b.op(Op::catch_all), b.op(Op::rethrow, 0), b.op(Op::end), get();
  });
  add("try try delegate 0 end local.get 0", {}, [&] {
    b.block(Op::try_), b.block(Op::try_), b.op(Op::delegate, 0), b.op(Op::end), get();
  });
  add("i32.const 63 i32.const 64 i32.const -64 i32.const -65 i32.const -2147483648 drop drop drop drop", {}, [&] {
    for (int32_t v : {63, 64, -64, -65, INT32_MIN}) b.i32_const(v);
    for (int i = 0; i < 4; i++) b.op(Op::drop);
  });
  add("i64.const 9223372036854775807 drop i64.const -9223372036854775808 drop i64.const 63 drop f64.const 1.5 drop "
      "f64.const -0 drop "
      "f64.const nan:0x4000000000001 drop f64.const inf drop local.get 0",
      {}, [&] {
        b.i64_const(INT64_MAX), b.op(Op::drop), b.i64_const(INT64_MIN), b.op(Op::drop), b.i64_const(63), b.op(Op::drop);
        for (uint64_t bits : {0x3ff8000000000000u, 0x8000000000000000u, 0x7ff4000000000001u, 0x7ff0000000000000u})
          b.f64_const(bits), b.op(Op::drop);
        get();
      });
  compare(cases, prelude);
}

TEST_CASE("wasm instructions: try_table and throw_ref, which the assembler does not know") {
  mir::FunctionDraft d;
  Builder b;
  b.start(d, SymbolId(1), {}, {});
  uint32_t tag = b.reference(mir::ReferenceKind::wasm_tag, SymbolId(2));
  d.extra = {0x40, 2, 0, tag, 300, 3, 0, 1};  // catch tag 300, catch_all_ref 1
  b.op(Op::try_table, 0);
  b.op(Op::throw_ref);
  std::vector<uint8_t> tags, out(200);
  mir::FunctionView v = view_of(d, tags);
  std::vector<ReferenceValue> values{130};
  out.resize(size_t(emit_body(v, values, {}, out.data(), nullptr) - out.data()));
  CHECK(out == std::vector<uint8_t>{0, 0x1f, 0x40, 2, 0, 0x82, 1, 0xac, 2, 3, 1, 0x0a, 0x0b});
  std::vector<uint32_t> counts(1);
  count_references(v, counts);
  CHECK(counts[0] == 1);
}
