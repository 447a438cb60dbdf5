// The wasm linker on inputs made by hand: index spaces and their boundaries, repeated and incremental flushes, layouts, and what
// is wrong with inputs.
#include <catch2/catch.hpp>

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

// n functions f0 .. f(n-1); each returns its number, and `caller` calls all of them once in order and adds the results up.
void add_functions(HandLink& h, uint32_t file, uint32_t n, const std::string& stem = "f", const std::string& caller = "caller") {
  std::vector<SymbolId> all;
  for (uint32_t i = 0; i < n; i++)
    all.push_back(h.function(file, stem + std::to_string(i), {}, i32_list, [&] { h.b.i32_const(int32_t(i)); }));
  h.function(file, caller, {}, i32_list, [&] {
    h.b.i32_const(0);
    for (SymbolId id : all) h.b.call(id), h.b.op(Op::i32_add);
  }, true);
}



}  // namespace

TEST_CASE("wasm link: function indices at the boundaries") {
  for (uint32_t n : {126u, 127u, 128u, 129u, 16382u, 16383u, 16384u, 16385u}) {
    HandLink h(library());
    add_functions(h, h.file("a"), n);
    std::vector<uint8_t> out = h.link.flush();
    REQUIRE_FALSE(out.empty());
    fw::Module m = read_back(out);
    REQUIRE(m.functions.size() == n + 1);
    // What the calls of `caller` take: one byte below 128, two below 16384. The caller, called by nobody, has no small index.
    uint64_t calls = 0;
    for (uint32_t i = 0; i < n; i++) calls += 2 + (i < 128 ? 1 : i < 16384 ? 2 : 3);
    uint64_t caller_size = 0;
    for (const fw::Body& b : m.bodies) caller_size = std::max<uint64_t>(caller_size, b.end - b.begin);
    INFO(n);
    CHECK(caller_size == 1 + 2 + calls + 1);
    CHECK(validates(out));
    if (n == 129 || n == 16385) {
      std::string sum = node(out, "e.caller()");
      if (have_tool("node")) CHECK(sum == std::to_string(uint64_t(n) * (n - 1) / 2) + "\n");
    }
  }
}

TEST_CASE("wasm link: object mode has full width at the same boundaries") {
  for (uint32_t n : {127u, 128u, 129u}) {
    lw::Options o;
    o.relocatable = true;
    HandLink h(o);
    add_functions(h, h.file("a"), n);
    std::vector<uint8_t> out = h.link.flush();
    REQUIRE_FALSE(out.empty());
    fw::Module m = read_back(out);
    REQUIRE(m.relocatable);
    const std::vector<fw::Reloc>& relocs = m.sections[m.code_section].relocs;
    REQUIRE(relocs.size() == n);
    std::span<const uint8_t> code = m.payload(m.sections[m.code_section]);
    for (const fw::Reloc& r : relocs) {
      REQUIRE(r.type == fw::RelocType::function_index_leb);
      CHECK(code[r.offset - 1] == 0x10);
      uint32_t value = 0;
      for (int k = 0; k < 5; k++) {
        CHECK(bool(code[r.offset + k] & 0x80) == (k < 4));
        value |= uint32_t(code[r.offset + k] & 0x7f) << (7 * k);
      }
      CHECK(value == m.symbols[r.index].element);  // right as it stands
    }
    if (have_tool("wasm-ld-19")) {
      TempDir dir;
      std::string path = dir.write("a.o", std::string(out.begin(), out.end()));
      RunResult r = run({"wasm-ld-19", "--no-entry", "--export=caller", path, "-o", dir.file("a.wasm")});
      INFO(r.describe());
      REQUIRE(r.ok());
      std::string linked = read_file(dir.file("a.wasm"));
      if (have_tool("node"))
        CHECK(node({linked.begin(), linked.end()}, "e.caller()") == std::to_string(uint64_t(n) * (n - 1) / 2) + "\n");
    }
  }
}

TEST_CASE("wasm link: many types and globals") {
  for (uint32_t n : {127u, 128u, 129u, 16383u, 16384u, 16385u}) {
    HandLink h(library());
    uint32_t file = h.file("a");
    // n distinct types: the number in binary, i32 and i64 for its digits.
    std::vector<SymbolId> globals;
    for (uint32_t i = 0; i < n; i++) {
      lw::Global g;
      g.type = {0x7f, true};
      g.name = h.link.keep("g" + std::to_string(i));
      g.synthetic = true;
      g.value = i;
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
        std::vector<ValueType> params;
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
    std::vector<uint8_t> out = h.link.flush();
    REQUIRE_FALSE(out.empty());
    fw::Module m = read_back(out);
    CHECK(m.types.size() == n + 2);
    CHECK(m.globals.size() == n);
    CHECK(validates(out));
    if (n == 16385 && have_tool("node")) CHECK(node(out, "e.globals()") == std::to_string(uint64_t(n) * (n - 1) / 2) + "\n");
  }
}

TEST_CASE("wasm link: data addresses read back as written, wherever the data lies") {
  for (uint64_t base : {uint64_t{1024}, uint64_t{1} << 13, uint64_t{1} << 14, uint64_t{1} << 20, (uint64_t{1} << 20) + 300, uint64_t{1} << 21,
                        uint64_t{1} << 27, uint64_t{1} << 31}) {
    lw::Options o = library();
    o.stack_first = base == (uint64_t{1} << 20);
    if (o.stack_first) o.stack_size = 1 << 20;  // the case in which an unsigned LEB would decode as negative
    else o.global_base = base - 4, o.global_base_given = true;
    HandLink h(o);
    uint32_t file = h.file("a");
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};
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
    g.bytes = bytes;
    g.size = 8;
    h.link.segments.push_back(g);
    h.function(file, "address", {}, i32_list, [&] { h.b.data_address(d, 4); }, true);
    h.function(file, "load", {}, i32_list, [&] { h.b.i32_const(0), h.b.memory_symbol(Op::i32_load8_u, 0, d, 4); }, true);
    h.function(file, "load2", {}, i32_list, [&] { h.b.data_address(d, 5), h.b.memory(Op::i32_load8_u, 0, 0); }, true);
    std::vector<uint8_t> out = h.link.flush();
    REQUIRE_FALSE(out.empty());
    CHECK(validates(out));
    if (base < (uint64_t{1} << 31) && have_tool("node"))
      CHECK(node(out, "[e.address()>>>0,e.load(),e.load2()].join()") == std::to_string(o.stack_first ? base + 4 : base) + ",5,6\n");
  }
}

TEST_CASE("wasm link: flushing twice gives the same bytes") {
  HandLink h(library());
  add_functions(h, h.file("a"), 300);
  uint32_t file = h.file("b");
  SymbolId weak = h.used(file, "absent", lw::SymbolKind::function, i32_list, i32_list, true);
  h.function(file, "calls_weak", {}, i32_list, [&] { h.b.i32_const(1), h.b.call(weak, false, h.b.type(i32_list, i32_list)); }, true);
  h.function(file, "slot", {}, i32_list, [&] { h.b.function_address(h.link.intern("f7")); }, true);
  std::vector<uint8_t> first = h.link.flush(), second = h.link.flush();
  REQUIRE_FALSE(first.empty());
  CHECK(first == second);
  CHECK(validates(first));
}

TEST_CASE("wasm link: functions that come later change indices, not MIR") {
  // 100 functions, flush, 200 more, flush: as if all had been there from the start.
  HandLink later(library());
  add_functions(later, later.file("a"), 100);
  std::vector<uint8_t> small = later.link.flush();
  auto before = later.link.store.save();
  uint64_t functions_before = later.link.store.sizes().functions;
  add_functions(later, later.file("b"), 200, "g", "caller2");
  std::vector<uint8_t> large = later.link.flush();
  CHECK(later.link.store.sizes().functions == functions_before + 201);

  HandLink scratch(library());
  add_functions(scratch, scratch.file("a"), 100);
  CHECK(scratch.link.store.save() == before);  // the first flush changed nothing
  add_functions(scratch, scratch.file("b"), 200, "g", "caller2");
  CHECK(scratch.link.flush() == large);
  CHECK(small != large);
  CHECK(validates(large));
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
  std::vector<uint8_t> bytes = h.link.flush();
  fw::Module m = read_back(bytes);
  CHECK(m.functions.size() == 1);
  lw::Options o = library();
  o.gc_sections = false;
  HandLink all(o);
  file = all.file("a");
  all.function(file, "unused", {}, {}, [] {});
  all.function(file, "used", {}, {}, [] {}, true);
  std::vector<uint8_t> all_bytes = all.link.flush();
  CHECK(read_back(all_bytes).functions.size() == 2);
}

TEST_CASE("wasm link: undefined names") {
  SECTION("an undefined function is an error with the user's name") {
    HandLink h(library());
    uint32_t file = h.file("a");
    SymbolId gone = h.used(file, "gone", lw::SymbolKind::function);
    h.function(file, "user", {}, {}, [&] { h.b.call(gone); }, true);
    CHECK(h.link.flush().empty());
    CHECK(h.link.diagnostics.has_errors());
  }
  SECTION("or an import") {
    lw::Options o = library();
    o.import_undefined = true;
    HandLink h(o);
    uint32_t file = h.file("a");
    SymbolId gone = h.used(file, "gone", lw::SymbolKind::function, i32_list, i32_list);
    h.function(file, "user", {}, i32_list, [&] { h.b.i32_const(3), h.b.call(gone); }, true);
    std::vector<uint8_t> out = h.link.flush();
    fw::Module m = read_back(out);
    REQUIRE(m.imports.size() == 1);
    CHECK(m.imports[0].module == "env");
    CHECK(m.imports[0].name == "gone");
    if (have_tool("node")) CHECK(node(out, "e.user()") == "gone 3\n7\n");
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
    std::vector<uint8_t> bytes = h.link.flush();
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
    std::vector<uint8_t> out = h.link.flush();
    REQUIRE_FALSE(out.empty());
    CHECK(validates(out));
    if (have_tool("node")) CHECK(node(out, "(()=>{try{e.call()}catch(x){return e.address()+x.message}})()") == "0unreachable\n");
  }
}

TEST_CASE("wasm link: a call through a type that the callee does not have gets a stub that traps") {
  HandLink h(library());
  uint32_t file = h.file("a");
  SymbolId callee = h.function(file, "callee", i32_list, i32_list, [&] { h.b.op(Op::local_get, 0); });
  h.function(file, "good", {}, i32_list, [&] { h.b.i32_const(5), h.b.call(callee, false, h.b.type(i32_list, i32_list)); }, true);
  h.function(file, "bad", {}, {}, [&] { h.b.call(callee, false, h.b.type({}, {})); }, true);
  std::vector<uint8_t> out = h.link.flush();
  REQUIRE_FALSE(out.empty());
  fw::Module m = read_back(out);
  bool named = false;
  for (const fw::NamedIndex& n : m.function_names) named |= n.name == "signature_mismatch:callee";
  CHECK(named);
  CHECK(validates(out));
  if (have_tool("node")) CHECK(node(out, "(()=>{try{e.bad()}catch(x){return e.good()+x.message}})()") == "5unreachable\n");
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
    return h.link.flush().empty();
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
  std::vector<uint8_t> out = h.link.flush();
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
  lw::Options o = wasm_options({"-lc", "-L/x", "-O2", "--lto-O3", "-mllvm", "-x", "a.o", "--import-memory=m,n", "--export", "f", "-zstack-size=0x100"});
  REQUIRE(o.inputs.size() == 2);
  CHECK(o.inputs[0].name == "c");
  CHECK(o.library_paths == std::vector<std::string>{"/x"});
  CHECK(o.import_memory_module == "m");
  CHECK(o.import_memory_name == "n");
  CHECK(o.required_exports == std::vector<std::string>{"f"});
  CHECK(o.stack_size == 256);
}
