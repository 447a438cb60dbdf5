// The wasm linker on inputs made by hand: index spaces and their boundaries, repeated and incremental flushes, layouts,
// and what is wrong with inputs.
#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "codegen/air/text.h"
#include "tests/support/skip.h"
#include "tests/support/snapshot.h"
#include "tests/wasm/link_support.h"

using namespace lode;
using namespace lode::test;
using cg::Op;
using cg::ValueType;

namespace {

const ValueType i32_list[] = {ValueType::i32};

lw::Options library() {
  lw::Options o;
  o.no_entry = true;
  return o;
}

// n functions f0 .. f(n-1); each returns its number, and `caller` calls all of them once in order and adds the results
// up.
void add_functions(HandLink& h, uint32_t file, uint32_t n, const std::string& stem = "f",
                   const std::string& caller = "caller") {
  std::vector<SymbolId> all;
  for (uint32_t i = 0; i < n; i++)
    all.push_back(h.function(file, stem + std::to_string(i), {}, i32_list, [&] { h.b.i32_const(int32_t(i)); }));
  h.function(file, caller, {}, i32_list, [&] {
    h.b.i32_const(0);
    for (SymbolId id : all) h.b.call(id), h.b.op(Op::i32_add);
  }, true);
}

// A padded LEB128 of five bytes; ~0 when it is none.
uint64_t padded_field(std::span<const uint8_t> code, uint32_t at) {
  uint64_t value = 0;
  for (unsigned k = 0; k < 5; k++) {
    if (bool(code[at + k] & 0x80) != (k < 4)) return ~uint64_t{0};
    value |= uint64_t(code[at + k] & 0x7f) << (7 * k);
  }
  return value;
}

// An object linked by wasm-ld, and an expression over the result's exports.
std::string through_wasm_ld(const std::vector<uint8_t>& object, std::vector<std::string> options,
                            const std::string& expression) {
  TempDir dir;
  std::string path = dir.write("a.o", std::string(object.begin(), object.end()));
  options.insert(options.begin(), {"wasm-ld-19", "--no-entry", path, "-o", dir.file("a.wasm")});
  RunResult r = run(options);
  if (!r.ok()) return r.describe();
  std::string linked = read_file(dir.file("a.wasm"));
  return node({linked.begin(), linked.end()}, expression);
}
bool have_peers() { return part_needs({"wasm-ld-19", "node"}); }

}  // namespace

TEST_CASE("wasm link: function indices at the boundaries") {
  for (uint32_t n : {126u, 127u, 128u, 129u, 16382u, 16383u, 16384u, 16385u}) {
    HandLink h(library());
    add_functions(h, h.file("a"), n);
    std::vector<uint8_t> out = h.flush();
    REQUIRE_FALSE(out.empty());
    fw::Module m = read_back(out);
    REQUIRE(m.functions.size() == n + 1);
    // What the calls of `caller` take: one byte below 128, two below 16384. The caller, called by nobody, has no small
    // index.
    uint64_t calls = 0;
    for (uint32_t i = 0; i < n; i++) calls += 2 + (i < 128 ? 1 : i < 16384 ? 2 : 3);
    uint64_t caller_size = 0;
    for (const fw::Body& b : m.bodies) caller_size = std::max<uint64_t>(caller_size, b.end - b.begin);
    INFO(n);
    CHECK(caller_size == 1 + 2 + calls + 1);
    if (n == 129 || n == 16385) {
      std::string sum = node(out, "e.caller()");
      if (part_needs({"node"})) CHECK(sum == std::to_string(uint64_t(n) * (n - 1) / 2) + "\n");
    }
  }
}

TEST_CASE("wasm link: object mode has full width at the same boundaries") {
  for (uint32_t n : {127u, 128u, 129u, 16383u, 16384u, 16385u}) {
    lw::Options o;
    o.relocatable = true;
    HandLink h(o);
    add_functions(h, h.file("a"), n);
    std::vector<uint8_t> out = h.flush();
    REQUIRE_FALSE(out.empty());
    fw::Module m = read_back(out);
    REQUIRE(m.relocatable);
    const std::vector<fw::Reloc>& relocs = m.sections[m.code_section].relocs;
    REQUIRE(relocs.size() == n);
    std::span<const uint8_t> code = m.payload(m.sections[m.code_section]);
    bool good = true;
    for (const fw::Reloc& r : relocs)
      good = good && r.type == fw::RelocType::function_index_leb && code[r.offset - 1] == 0x10 &&
             padded_field(code, r.offset) == m.symbols[r.index].element;  // right as it stands
    CHECK(good);
    if (have_peers())
      CHECK(through_wasm_ld(out, {"--export=caller"}, "e.caller()") ==
            std::to_string(uint64_t(n) * (n - 1) / 2) + "\n");
  }
}

namespace {

// n globals and n types, all of them used.
void add_types_and_globals(HandLink& h, uint32_t n) {
  uint32_t file = h.file("a");
  std::vector<SymbolId> globals;
  for (uint32_t i = 0; i < n; i++) {
    lw::Global g;
    g.type = {0x7f, true};
    g.name = h.link.keep("g" + std::to_string(i));
    std::vector<uint8_t> init{0x41};
    append_sleb(init, i);
    init.push_back(0x0b);
    std::string_view kept = h.link.keep(std::string(init.begin(), init.end()));
    g.init.bytes = fw::Bytes(reinterpret_cast<const uint8_t*>(kept.data()), kept.size());
    lw::Symbol s;
    s.name = g.name;
    s.kind = lw::SymbolKind::global;
    s.global = g.type;
    s.file = file;
    s.item = uint32_t(h.link.globals.size());
    h.link.globals.push_back(g);
    globals.push_back(h.link.define(s));
  }
  h.function(file, "types", i32_list, {}, [&] {
    for (uint32_t i = 0; i < n; i++) {
      std::vector<ValueType> params;  // the number in binary, i32 and i64 for its digits
      for (uint32_t k = 0; k < 15; k++) params.push_back(i >> k & 1 ? ValueType::i32 : ValueType::i64);
      h.b.op(Op::block, cg::empty_block);
      for (ValueType t : params) t == ValueType::i32 ? h.b.i32_const(0) : h.b.i64_const(0);
      h.b.i32_const(0);
      h.b.call_indirect(h.b.type(params, {}));
      h.b.op(Op::end);
    }
  }, true);
  h.function(file, "globals", {}, i32_list, [&] {
    h.b.i32_const(0);
    for (SymbolId g : globals) h.b.global_get(g), h.b.op(Op::i32_add);
  }, true);
}

// Of the body whose size is `size` or the largest: how many bytes.
uint64_t largest_body(const fw::Module& m) {
  uint64_t size = 0;
  for (const fw::Body& b : m.bodies) size = std::max<uint64_t>(size, b.end - b.begin);
  return size;
}
uint64_t index_bytes(uint64_t first, uint64_t n) {
  uint64_t bytes = 0;
  for (uint64_t i = first; i < first + n; i++) bytes += i < 128 ? 1 : i < 16384 ? 2 : 3;
  return bytes;
}

}  // namespace

TEST_CASE("wasm link: many types and globals") {
  for (uint32_t n : {127u, 128u, 129u, 16383u, 16384u, 16385u}) {
    INFO(n);
    HandLink h(library());
    add_types_and_globals(h, n);
    std::vector<uint8_t> out = h.flush();
    REQUIRE_FALSE(out.empty());
    fw::Module m = read_back(out);
    CHECK(m.types.size() == n + 2);
    CHECK(m.globals.size() == n);
    // Minimal: block end, 16 constants of two bytes, call_indirect with a table of one byte; all but the types' own
    // indices. The three equal counts of types are ordered by content, so that the n have any indices but two.
    uint64_t body = largest_body(m), fixed = 1 + uint64_t(n) * (2 + 16 * 2 + 1 + 1 + 1) + 1;
    CHECK(body >= fixed + index_bytes(0, n));
    CHECK(body <= fixed + index_bytes(2, n));
    uint64_t other = ~uint64_t{0};
    for (const fw::Body& b : m.bodies) other = std::min<uint64_t>(other, b.end - b.begin);
    CHECK(other == 1 + 2 + uint64_t(n) * 2 + index_bytes(0, n) + 1);
    if (n == 16385 && part_needs({"node"}))
      CHECK(node(out, "e.globals()") == std::to_string(uint64_t(n) * (n - 1) / 2) + "\n");
  }
}

TEST_CASE("wasm link: many types and globals in an object") {
  for (uint32_t n : {127u, 128u, 129u, 16383u, 16384u, 16385u}) {
    INFO(n);
    lw::Options o;
    o.relocatable = true;
    HandLink h(o);
    add_types_and_globals(h, n);
    std::vector<uint8_t> out = h.flush();
    REQUIRE_FALSE(out.empty());
    fw::Module m = read_back(out);
    std::span<const uint8_t> code = m.payload(m.sections[m.code_section]);
    uint32_t types = 0, globals = 0, good = 0;
    for (const fw::Reloc& r : m.sections[m.code_section].relocs) {
      uint64_t field = padded_field(code, r.offset);
      if (r.type == fw::RelocType::type_index_leb) types++, good += field == r.index && field < m.types.size();
      if (r.type == fw::RelocType::global_index_leb) globals++, good += field == m.symbols[r.index].element;
    }
    CHECK(types == n);
    CHECK(globals == n);
    CHECK(good == 2 * n);
    if (have_peers())
      CHECK(through_wasm_ld(out, {"--export=globals", "--export=types"}, "e.globals()") ==
            std::to_string(uint64_t(n) * (n - 1) / 2) + "\n");
  }
}

namespace {

const uint8_t eight_bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};

// An item d of eight bytes at `align_log2`, and functions that name d+4 in every way.
void add_datum(HandLink& h, bool memory64 = false) {
  uint32_t file = h.file("a");
  lw::Symbol s;
  s.name = "d";
  s.kind = lw::SymbolKind::data;
  s.file = file;
  s.size = 8;
  s.item = uint32_t(h.link.segments.size());
  SymbolId d = h.link.define(s);
  h.link.files[file].object = std::make_unique<fw::Module>();
  h.link.files[file].object->sections.emplace_back().id = fw::SectionId::data;
  h.link.files[file].object->data_section = 0;
  lw::Segment g;
  g.name = ".data.d";
  g.file = file;
  g.bytes = eight_bytes;
  g.size = 8;
  h.link.segments.push_back(g);
  const ValueType address[] = {memory64 ? ValueType::i64 : ValueType::i32};
  auto function = [&](const char* name, std::span<const ValueType> results, auto body) {
    lw::Symbol y;
    y.name = name;
    y.kind = lw::SymbolKind::function;
    y.file = file;
    y.type = h.link.types.intern(cg::signature_bytes({}, results));
    y.item = uint32_t(h.link.functions.size());
    y.exported = true;
    SymbolId id = h.link.define(y);
    mir::FunctionDraft draft;
    h.b.start(draft, id, {}, results, memory64);
    body();
    lw::Function f;
    f.source = lw::Function::module;
    f.file = file;
    f.type = y.type;
    f.name = y.name;
    f.symbol = id;
    f.mir = *h.link.store.append(draft);
    h.link.functions.push_back(f);
  };
  function("address", address, [&] { h.b.data_address(d, 4); });
  function("load", i32_list, [&] { h.b.address_const(0), h.b.memory_symbol(Op::i32_load8_u, 0, d, 4); });
  function("load2", i32_list, [&] { h.b.data_address(d, 5), h.b.memory(Op::i32_load8_u, 0, 0); });
}

// So that d + 4 is each of these.
std::vector<uint64_t> boundary_addresses() {
  std::vector<uint64_t> all;
  for (unsigned power : {6, 7, 13, 14, 20, 21, 27, 31})
    for (int64_t delta : {-1, 0, 1}) all.push_back(uint64_t((int64_t{1} << power) + delta));
  all.insert(all.end(), {1024, (1 << 20) + 300});
  return all;
}

}  // namespace

TEST_CASE("wasm link: data addresses read back as written, wherever the data lies") {
  std::vector<uint64_t> all = boundary_addresses();
  all.push_back(0);  // stands for: behind a stack of 1 MiB, where an unsigned LEB would decode as negative
  for (uint64_t address : all) {
    INFO(address);
    lw::Options o = library();
    o.stack_first = address == 0;
    if (o.stack_first) o.stack_size = 1 << 20, address = (1 << 20) + 4;
    else o.global_base = address - 4, o.global_base_given = true;
    HandLink h(o);
    add_datum(h);
    std::vector<uint8_t> out = h.flush();
    REQUIRE_FALSE(out.empty());
    if (part_needs({"node"}))
      CHECK(node(out, "[e.address()>>>0,e.load(),e.load2()].join()") == std::to_string(address) + ",5,6\n");
  }
}

TEST_CASE("wasm link: data addresses in an object are right wherever another linker puts the data") {
  lw::Options o;
  o.relocatable = true;
  HandLink h(o);
  add_datum(h);
  std::vector<uint8_t> out = h.flush();
  REQUIRE_FALSE(out.empty());
  fw::Module m = read_back(out);
  const std::vector<fw::Reloc>& relocs = m.sections[m.code_section].relocs;
  REQUIRE(relocs.size() == 3);
  CHECK(relocs[0].type == fw::RelocType::memory_addr_sleb);
  CHECK(relocs[1].type == fw::RelocType::memory_addr_leb);
  CHECK(relocs[2].type == fw::RelocType::memory_addr_sleb);
  for (const fw::Reloc& r : relocs)
    CHECK(padded_field(m.payload(m.sections[m.code_section]), r.offset) == uint64_t(r.addend));
  LODE_NEEDS("wasm-ld-19", "node");
  for (uint64_t address : boundary_addresses()) {
    INFO(address);
    CHECK(through_wasm_ld(
              out,
              {"--export=address", "--export=load", "--export=load2", "--global-base=" + std::to_string(address - 4)},
              "[e.address()>>>0,e.load(),e.load2()].join()") == std::to_string(address) + ",5,6\n");
  }
  CHECK(through_wasm_ld(
            out, {"--export=address", "--export=load", "--export=load2", "--stack-first", "-z", "stack-size=1048576"},
            "[e.address(),e.load(),e.load2()].join()") == "1048580,5,6\n");
}

TEST_CASE("wasm link: flushing twice gives the same bytes") {
  HandLink h(library());
  add_functions(h, h.file("a"), 300);
  uint32_t file = h.file("b");
  SymbolId weak = h.used(file, "absent", lw::SymbolKind::function, i32_list, i32_list, true);
  h.function(
      file, "calls_weak", {}, i32_list, [&] { h.b.i32_const(1), h.b.call(weak, false, h.b.type(i32_list, i32_list)); },
      true);
  h.function(file, "slot", {}, i32_list, [&] { h.b.function_address(h.link.intern("f7")); }, true);
  std::vector<uint8_t> first = h.flush(), second = h.flush();
  REQUIRE_FALSE(first.empty());
  CHECK(first == second);
  // And from machine IR that was stored and read back.
  auto loaded = load(save(h.link.store), h.link.store.target());
  REQUIRE(loaded.ok());
  h.link.store = std::move(*loaded);
  CHECK(h.flush() == first);
}

TEST_CASE("wasm link: functions that come later change indices, not MIR") {
  // 100 functions, flush, 200 more, flush: as if all had been there from the start.
  HandLink later(library());
  add_functions(later, later.file("a"), 100);
  std::vector<uint8_t> small = later.flush();
  auto before = save(later.link.store);
  uint64_t functions_before = later.link.store.sizes().functions;
  add_functions(later, later.file("b"), 200, "g", "caller2");
  std::vector<uint8_t> large = later.flush();
  CHECK(later.link.store.sizes().functions == functions_before + 201);

  HandLink scratch(library());
  add_functions(scratch, scratch.file("a"), 100);
  CHECK(save(scratch.link.store) == before);  // the first flush changed nothing
  add_functions(scratch, scratch.file("b"), 200, "g", "caller2");
  CHECK(scratch.flush() == large);
  CHECK(small != large);
}

TEST_CASE("wasm link: functions that are inserted later are the only ones to be lowered") {
  // Modules of AIR: n functions that call each other and read data, and one that calls all of the module.
  auto module = [](const std::string& stem, int n, const std::string& other) {
    std::string s = "layout pointer_bytes 4\n";
    if (!other.empty()) s += "declare func @" + other + "0(i32) -> i32\n";
    s += "strong data @" + stem + "data : i32 = 5\n";
    for (int i = 0; i < n; i++) {
      std::string me = stem + std::to_string(i), callee = i               ? stem + std::to_string(i - 1)
                                                          : other.empty() ? ""
                                                                          : other + "0";
      s += "strong func @" + me + "(%x: i32) -> i32 {\ns:\n  %d = load i32, ptr @" + stem +
           "data\n  %y = add i32 %x, %d\n";
      if (!callee.empty()) s += "  %z = call i32 @" + callee + "(i32 %y)\n  ret i32 %z\n}\n";
      else s += "  ret i32 %y\n}\n";
    }
    auto m = air::read_text(s, stem + ".air");
    if (!m.ok()) FAIL(m.error().text());
    auto out = std::make_unique<air::Module>(std::move(*m));
    return out;
  };
  lw::Options o = library();
  o.export_all = true;
  lw::Link later(o);
  later.add_air(module("a", 100, ""));
  std::vector<uint8_t> small = flush(later);
  REQUIRE_FALSE(small.empty());
  CHECK(later.lowered == 100);
  const std::vector<uint8_t> records = save(later.store);
  CHECK(flush(later) == small);
  CHECK(later.lowered == 100);
  later.add_air(module("b", 200, "a"));
  std::vector<uint8_t> large = flush(later);
  CHECK(later.lowered == 300);
  lw::Link scratch(o);
  scratch.add_air(module("a", 100, ""));
  scratch.add_air(module("b", 200, "a"));
  CHECK(flush(scratch) == large);
  CHECK(scratch.lowered == 300);
  if (part_needs({"node"})) CHECK(node(large, "[e.a99(1),e.b199(1)].join()") == "501,1006\n");
}

TEST_CASE("wasm link: the MIR of a link is small") {
  HandLink h(library());
  add_functions(h, h.file("a"), 1000);
  mir::StoreSizes s = h.link.store.sizes();
  CHECK(s.tag_bytes == s.instructions);
  CHECK(s.operand_bytes == 4 * s.instructions);
}

TEST_CASE("wasm link: what nobody needs is left out") {
  HandLink h(library());
  uint32_t file = h.file("a");
  h.function(file, "unused", {}, {}, [&] { h.b.call(h.link.intern("also_unused")); });
  h.function(file, "also_unused", {}, {}, [] {});
  h.function(file, "used", {}, {}, [] {}, true);
  std::vector<uint8_t> bytes = h.flush();
  fw::Module m = read_back(bytes);
  CHECK(m.functions.size() == 1);
  lw::Options o = library();
  o.gc_sections = false;
  HandLink all(o);
  file = all.file("a");
  all.function(file, "unused", {}, {}, [] {});
  all.function(file, "used", {}, {}, [] {}, true);
  std::vector<uint8_t> all_bytes = all.flush();
  CHECK(read_back(all_bytes).functions.size() == 2);
}

TEST_CASE("wasm link: undefined names") {
  SECTION("an undefined function is an error with the user's name") {
    HandLink h(library());
    uint32_t file = h.file("a");
    SymbolId gone = h.used(file, "gone", lw::SymbolKind::function);
    h.function(file, "user", {}, {}, [&] { h.b.call(gone); }, true);
    CHECK(h.flush().empty());
    CHECK(h.link.diagnostics.has_errors());
  }
  SECTION("or an import") {
    lw::Options o = library();
    o.import_undefined = true;
    HandLink h(o);
    uint32_t file = h.file("a");
    SymbolId gone = h.used(file, "gone", lw::SymbolKind::function, i32_list, i32_list);
    h.function(file, "user", {}, i32_list, [&] { h.b.i32_const(3), h.b.call(gone); }, true);
    std::vector<uint8_t> out = h.flush();
    fw::Module m = read_back(out);
    REQUIRE(m.imports.size() == 1);
    CHECK(m.imports[0].module == "env");
    CHECK(m.imports[0].name == "gone");
    if (part_needs({"node"})) CHECK(node(out, "e.user()") == "gone 3\n7\n");
  }
  SECTION("module and name of an import come from the source") {
    HandLink h(library());
    uint32_t file = h.file("a");
    lw::Symbol s;
    s.name = "read";
    s.kind = lw::SymbolKind::function;
    s.type = h.link.types.intern(cg::signature_bytes({}, {}));
    s.file = file;
    s.explicit_import = true;
    s.import_module = "host";
    s.import_name = "fd_read";
    SymbolId read = h.link.refer(s);
    h.function(file, "user", {}, {}, [&] { h.b.call(read); }, true);
    std::vector<uint8_t> bytes = h.flush();
    fw::Module m = read_back(bytes);
    REQUIRE(m.imports.size() == 1);
    CHECK(m.imports[0].module == "host");
    CHECK(m.imports[0].name == "fd_read");
  }
  SECTION("a weak one traps when it is called, and its address is null") {
    HandLink h(library());
    uint32_t file = h.file("a");
    SymbolId gone = h.used(file, "gone", lw::SymbolKind::function, {}, {}, true);
    h.function(file, "call", {}, {}, [&] { h.b.call(gone); }, true);
    h.function(file, "address", {}, i32_list, [&] { h.b.function_address(gone); }, true);
    std::vector<uint8_t> out = h.flush();
    REQUIRE_FALSE(out.empty());
    if (part_needs({"node"}))
      CHECK(node(out, "(()=>{try{e.call()}catch(x){return e.address()+x.message}})()") == "0unreachable\n");
  }
}

TEST_CASE("wasm link: a call through a type that the callee does not have gets a stub that traps") {
  HandLink h(library());
  uint32_t file = h.file("a");
  SymbolId callee = h.function(file, "callee", i32_list, i32_list, [&] { h.b.op(Op::local_get, 0); });
  h.function(
      file, "good", {}, i32_list, [&] { h.b.i32_const(5), h.b.call(callee, false, h.b.type(i32_list, i32_list)); },
      true);
  h.function(file, "bad", {}, {}, [&] { h.b.call(callee, false, h.b.type({}, {})); }, true);
  std::vector<uint8_t> out = h.flush();
  REQUIRE_FALSE(out.empty());
  fw::Module m = read_back(out);
  bool named = false;
  for (const fw::NamedIndex& n : m.function_names) named |= n.name == "signature_mismatch:callee";
  CHECK(named);
  if (part_needs({"node"}))
    CHECK(node(out, "(()=>{try{e.bad()}catch(x){return e.good()+x.message}})()") == "5unreachable\n");
}

TEST_CASE("wasm link: two definitions, and definitions of two kinds") {
  HandLink h(library());
  h.function(h.file("a.o"), "f", {}, {}, [] {}, true);
  CHECK_FALSE(h.link.diagnostics.has_errors());
  SECTION("strong and strong") {
    h.function(h.file("b.o"), "f", {}, {}, [] {}, true);
    CHECK(h.link.diagnostics.has_errors());
  }
  SECTION("function and data") {
    h.used(h.file("b.o"), "f", lw::SymbolKind::data);
    CHECK(h.link.diagnostics.has_errors());
  }
  SECTION("strong and weak") {
    lw::Symbol s;
    s.name = "f";
    s.kind = lw::SymbolKind::function;
    s.weak = true;
    s.item = 0;
    SymbolId kept = h.link.define(s);
    CHECK(h.link.at(kept).file == 0);
    CHECK_FALSE(h.link.diagnostics.has_errors());
  }
}

TEST_CASE("wasm link: memory limits are checked") {
  auto fails = [](std::vector<std::string> args) {
    args.insert(args.end(), {"--no-entry", "--export=f"});
    HandLink h(wasm_options(args));
    h.function(h.file("a"), "f", {}, {}, [] {});
    return h.flush().empty();
  };
  CHECK_FALSE(fails({}));
  CHECK_FALSE(fails({"--initial-memory=131072", "--max-memory=131072"}));
  CHECK(fails({"--initial-memory=65536"}));          // stack and data need more
  CHECK(fails({"--initial-memory=131073"}));         // no whole pages
  CHECK(fails({"--max-memory=65536"}));
  CHECK(fails({"--initial-memory=8589934592"}));
  CHECK(fails({"-z", "stack-size=100"}));
  CHECK(fails({"--initial-heap=100"}));
  CHECK_FALSE(fails({"--initial-heap=65536"}));
  CHECK(fails({"--stack-first", "--global-base=16"}));
  CHECK(fails({"--shared-memory"}));                 // without the features for it
  CHECK(fails({"--export=nowhere"}));
}

TEST_CASE("wasm link: --export-all leaves out mutable globals of the linker's own") {
  HandLink h(wasm_options({"--no-entry", "--export-all"}));
  h.function(h.file("a"), "f", {}, {}, [] {});
  std::vector<uint8_t> out = h.flush();
  fw::Module m = read_back(out);
  std::vector<std::string_view> names;
  for (const fw::Export& e : m.exports) names.push_back(e.name);
  auto exports = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  CHECK(exports("f"));
  CHECK(exports("__heap_base"));
  CHECK_FALSE(exports("__stack_pointer"));
  CHECK_FALSE(exports("__tls_base"));
}

TEST_CASE("wasm link: options") {
  CHECK(lw::parse_options(std::vector<const char*>{"x", "--no-such-option"}).ok() == false);
  CHECK(lw::parse_options(std::vector<const char*>{"x", "-o"}).ok() == false);
  CHECK(lw::parse_options(std::vector<const char*>{"x", "--shared"}).ok() == false);
  CHECK(lw::parse_options(std::vector<const char*>{"x", "-m", "elf_x86_64"}).ok() == false);
  lw::Options o = wasm_options({"-lc", "-L/x", "-O2", "--lto-O3", "-mllvm", "-x", "a.o", "--import-memory=m,n",
                                "--export", "f", "-zstack-size=0x100"});
  REQUIRE(o.inputs.size() == 2);
  CHECK(o.inputs[0].name == "c");
  CHECK(o.library_paths == std::vector<std::string>{"/x"});
  CHECK(o.import_memory_module == "m");
  CHECK(o.import_memory_name == "n");
  CHECK(o.required_exports == std::vector<std::string>{"f"});
  CHECK(o.stack_size == 256);
}
