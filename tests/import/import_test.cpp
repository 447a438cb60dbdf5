// The importer on small files made by clang 14 and 19 from formats/inputs/sample.c, on what the compilers at hand make
// of snippets, and on damaged files. Everything imported must pass the AIR verifier.
#include "codegen/import/import.h"

#include <catch2/catch.hpp>
#include <algorithm>
#include <cstdio>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "codegen/air/interpreter.h"
#include "codegen/air/verifier.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using codegen::BitcodeModule;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes input(const std::string& name) {
  std::string s = test::read_file(std::string(LODE_TEST_DIR) + "/formats/inputs/" + name);
  return {s.begin(), s.end()};
}

// Compiles a snippet; empty when the compiler is not there (said).
Bytes compile(const std::string& clang, const std::vector<std::string>& options, const std::string& name,
              const std::string& source) {
  if (!test::part_needs({clang})) return {};
  test::TempDir dir;
  std::vector<std::string> argv{clang, "-w", "-c", "-emit-llvm", dir.write(name, source), "-o", dir.file("x.bc")};
  argv.insert(argv.end(), options.begin(), options.end());
  auto r = test::run(argv);
  INFO(r.describe());
  REQUIRE(r.ok());
  std::string s = test::read_file(dir.file("x.bc"));
  return {s.begin(), s.end()};
}

air::SymbolIndex find(const air::Module& m, std::string_view name) {
  for (uint32_t i = 0; i < m.symbols.size(); i++)
    if (m.name_of(air::SymbolIndex(i)) == name) return air::SymbolIndex(i);
  return {};
}

const air::Symbol& symbol(const air::Module& m, std::string_view name) {
  air::SymbolIndex s = find(m, name);
  INFO(name);
  REQUIRE(s.valid());
  return m.symbols[s.value];
}

air::Function body(const BitcodeModule& b, std::string_view name) {
  air::Function f;
  const air::Symbol& s = symbol(b.module(), name);
  REQUIRE(s.function.valid());
  auto r = b.read(s.function, f);
  INFO((r.ok() ? "" : r.error().text()));
  REQUIRE(r.ok());
  return f;
}

size_t count(const air::Function& f, air::Op op) {
  return size_t(std::count_if(f.insts.begin(), f.insts.end(), [&](const air::Inst& i) { return i.op == op; }));
}

std::string problems(const BitcodeModule& b) {
  std::vector<air::Problem> list;
  std::string text;
  air::verify_module(b.module(), list);
  air::Function f;
  for (uint32_t i = 0; i < b.module().functions.size(); i++) {
    auto r = b.read(air::FunctionIndex(i), f);
    if (!r.ok())
      text += r.error().text() + "\n";
    else
      air::verify_function(b.module(), f, list);
  }
  for (const air::Problem& p : list) text += air::problem_text(b.module(), p) + "\n";
  return text;
}

std::unique_ptr<BitcodeModule> import(const Bytes&& bytes) = delete;  // the module reads them later
std::unique_ptr<BitcodeModule> import(const Bytes& bytes) {
  auto m = BitcodeModule::open(bytes, "test.bc");
  INFO((m.ok() ? "" : m.error().text()));
  REQUIRE(m.ok());
  CHECK(problems(**m) == "");
  return std::move(m).value();
}

void check_sample(const BitcodeModule& b) {
  const air::Module& m = b.module();
  const air::Symbol& g = symbol(m, "global");
  CHECK(g.size == 32);
  CHECK(g.align_log2 == 3);
  CHECK(g.linkage == air::Linkage::external);
  REQUIRE(g.bytes_size == 32);
  const uint8_t* bytes = m.data.data() + g.bytes_offset;
  CHECK(load_le<uint32_t>(bytes) == 7);
  CHECK(std::string(reinterpret_cast<const char*>(bytes + 4)) == "abc");
  CHECK(load_le<double>(bytes + 16) == 2.5);
  REQUIRE(g.reloc_count == 1);
  const air::DataReloc& r = m.data_relocs[g.relocs];
  CHECK(r.offset == 24);
  CHECK(r.size == 8);
  CHECK(r.addend == 8);
  CHECK(m.name_of(r.symbol) == "table");
  CHECK(r.kind == air::DataRelocKind::absolute);

  CHECK(symbol(m, "table").linkage == air::Linkage::internal);
  CHECK(symbol(m, "tls").tls != air::TlsModel::none);
  CHECK(m.str(symbol(m, "placed").section) == ".mine");
  CHECK(symbol(m, "placed").used);
  CHECK(symbol(m, "weak_function").linkage == air::Linkage::weak_any);
  CHECK(symbol(m, "alias_of").kind == air::SymbolKind::alias);
  CHECK(symbol(m, "alias_of").aliasee == find(m, "weak_function"));
  CHECK(!symbol(m, "external").defined);
  CHECK(symbol(m, "wide").size == 16);
  const air::Symbol& big = symbol(m, "big");
  CHECK(load_le<uint64_t>(m.data.data() + big.bytes_offset) == 5);
  CHECK(m.data[big.bytes_offset + 12] == 16);

  // A table of block addresses names the blocks that the body has.
  const air::Symbol& labels = symbol(m, "jump.labels");
  REQUIRE(labels.reloc_count == 2);
  air::Function jump = body(b, "jump");
  for (uint32_t i = 0; i < 2; i++) {
    const air::DataReloc& x = m.data_relocs[labels.relocs + i];
    CHECK(x.kind == air::DataRelocKind::block_address);
    CHECK(x.function == find(m, "jump"));
    REQUIRE(x.symbol.value < jump.blocks.size());
    CHECK(x.symbol.value != 0);
  }
  CHECK(m.data_relocs[labels.relocs].symbol != m.data_relocs[labels.relocs + 1].symbol);
  CHECK(count(jump, air::Op::indirect_br) == 1);

  air::Function pick = body(b, "pick");
  for (const air::Inst& i : pick.insts) {
    if (i.op != air::Op::switch_) continue;
    REQUIRE(pick.extra[i.c] == 3);
    std::vector<uint64_t> cases;
    for (uint32_t k = 0; k < 3; k++)
      cases.push_back(pick.extra[i.c + 1 + 3 * k] | uint64_t(pick.extra[i.c + 2 + 3 * k]) << 32);
    CHECK(cases == std::vector<uint64_t>{1, 0xfffffffe, 300});
  }
  CHECK(count(pick, air::Op::switch_) == 1);
  CHECK(count(body(b, "atomics"), air::Op::cmpxchg) == 1);
  air::Function copy = body(b, "copy");
  REQUIRE(copy.param_attrs.size() >= 3);
  CHECK((copy.param_attrs[0].bits & air::attr::sret));
  CHECK((copy.param_attrs[1].bits & air::attr::byval));
  CHECK(copy.param_attrs[1].size == 32);
}

}  // namespace

TEST_CASE("Import: modules of clang 14 and clang 19") {
  for (const char* name : {"sample.clang14.O0.bc", "sample.clang19.O0.bc", "sample.clang19.O1.bc"}) {
    INFO(name);
    Bytes bytes = input(name);
    auto m = import(bytes);
    check_sample(*m);
  }
}

TEST_CASE("Import: a loop of -O1 has its phis as block parameters") {
  Bytes bytes = input("sample.clang19.O1.bc");
  auto m = import(bytes);
  air::Function f = body(*m, "loop");
  REQUIRE(f.blocks.size() == 3);
  CHECK(f.blocks[0].param_count == 1);
  CHECK(f.blocks[1].param_count == 2);
  CHECK(f.blocks[2].param_count == 1);
  CHECK(f.slots.empty());
  CHECK(count(f, air::Op::ptr_add) == 1);
  for (const air::Inst& i : f.insts) {
    if (i.op != air::Op::ptr_add) continue;
    CHECK(air::ptr_add_parts(f, i).scale == 4);
    const air::Constant* base = f.constant(i.va());
    REQUIRE(base);
    CHECK(base->kind == air::ConstantKind::Symbol);
  }
}

TEST_CASE("Import: allocas of the entry block are slots, others are dynamic") {
  const std::string source = R"(
    int use(void *);
    int fixed(void) { int a[10]; char c; return use(a) + use(&c); }
    int dynamic(int n) { int a[n]; return use(a); }
  )";
  for (std::string clang : {"clang-14", "clang-19"}) {
    Bytes bytes = compile(clang, {"-O0"}, "x.c", source);
    if (bytes.empty()) continue;
    auto m = import(bytes);
    air::Function fixed = body(*m, "fixed");
    CHECK(count(fixed, air::Op::slot_addr) == 2);
    CHECK(count(fixed, air::Op::alloca) == 0);
    CHECK(
        std::any_of(fixed.slots.begin(), fixed.slots.end(), [](auto& s) { return s.size == 40 && s.align_log2 == 4; }));
    air::Function dynamic = body(*m, "dynamic");
    CHECK(count(dynamic, air::Op::alloca) == 1);
    CHECK(count(dynamic, air::Op::stack_save) == 1);
    CHECK((dynamic.flags & air::function_flags::has_dynamic_alloca));
  }
}

TEST_CASE("Import: the lifetimes of slots") {
  const std::string source =
      "void use(char*); void f(int n) { { char a[100]; use(a); } { char b[100]; use(b); } if (n) { char c[n]; use(c); "
      "} }";
  for (const char* clang : {"clang-14", "clang-19"}) {
    for (const char* level : {"-O0", "-O1"}) {
      INFO(clang << level);
      Bytes bytes = compile(clang, {level}, "t.c", source);
      if (bytes.empty()) continue;
      auto m = BitcodeModule::open(bytes, "t.bc");
      REQUIRE(m.ok());
      CHECK(problems(**m) == "");
      const air::Function f = body(**m, "f");
      const bool marked = level[2] == '1';
      CHECK(f.lifetime_markers == marked);
      CHECK(count(f, air::Op::lifetime_start) == (marked ? 2 : 0));  // not of the dynamic one
      CHECK(count(f, air::Op::lifetime_end) == (marked ? 2 : 0));
    }
  }
}

TEST_CASE("Import: what stack protectors ask about slots") {
  LODE_NEEDS("clang-19");
  const std::string source =
      "struct S { long x; struct { char text[8]; } y; };\nvoid use(void*);\n"
      "void f(void) { struct S s; char c[3]; long l[2]; int i; use(&s); use(c); use(l); use(&i); }";
  for (const char* option : {"-fno-stack-protector", "-fstack-protector", "-fstack-protector-strong"}) {
    Bytes bytes = compile("clang-19", {"-O1", option}, "t.c", source);
    auto m = BitcodeModule::open(bytes, "t.bc");
    REQUIRE(m.ok());
    const air::Function f = body(**m, "f");
    REQUIRE(f.slots.size() == 4);
    using A = air::SlotArray;
    const bool asked = std::string(option) != "-fno-stack-protector";
    CHECK(f.slots[0].array == (asked ? A::chars : A::none));
    CHECK(f.slots[1].array == (asked ? A::small : A::none));
    CHECK(f.slots[2].array == (asked ? A::large : A::none));
    CHECK(f.slots[3].array == A::none);
  }
}

TEST_CASE("Import: a module with retpolines has their thunk") {
  LODE_NEEDS("clang-19");
  const std::string source = "int f(int (*g)(void)) { return g() + 1; }";
  for (const bool external : {false, true}) {
    std::vector<std::string> options{"-O1", "-mretpoline"};
    if (external) options.push_back("-mretpoline-external-thunk");
    Bytes bytes = compile("clang-19", options, "t.c", source);
    auto m = BitcodeModule::open(bytes, "t.bc");
    REQUIRE(m.ok());
    CHECK(problems(**m) == "");
    CHECK(find((*m)->module(), "__llvm_retpoline_r11").valid() != external);
    if (external) continue;
    const air::Symbol& s = symbol((*m)->module(), "__llvm_retpoline_r11");
    CHECK(s.defined);
    CHECK(s.linkage == air::Linkage::linkonce_odr);
    CHECK(s.visibility == air::Visibility::hidden);
    CHECK(body(**m, "__llvm_retpoline_r11").inline_asms.size() == 1);
  }
}

TEST_CASE("Import: constant expressions fold into symbols with offsets, relative tables into places") {
  LODE_NEEDS("clang-19");
  const std::string source = R"(
    extern char a[100];
    struct { int x, y[7]; } s;
    char *p(void) { return a + 42; }
    int *q(void) { return &s.y[3]; }
    long d(void) { return (long)&s.y[3] - (long)&s; }
    char *table[3] = {a, a + 7, 0};
    unsigned long as_int = (unsigned long)&a[5];
    void *l(int i) {
      static const int offsets[] = {&&x - &&x, &&y - &&x};
      goto *(&&x + offsets[i]);
      x: return a;
      y: return table;
    }
  )";
  Bytes bytes = compile("clang-19", {"-O1"}, "x.c", source);
  auto m = import(bytes);
  auto returned = [&](const char* name) {
    air::Function f = body(*m, name);
    const air::Inst& ret = f.insts.back();
    REQUIRE(ret.op == air::Op::ret);
    const air::Constant* c = f.constant(air::ValueId(f.extra[ret.a + 1]));
    REQUIRE(c);
    return std::pair(c->kind, c->bits);
  };
  CHECK(returned("p") == std::pair(air::ConstantKind::Symbol, uint64_t{42}));
  CHECK(returned("q") == std::pair(air::ConstantKind::Symbol, uint64_t{16}));
  CHECK(returned("d") == std::pair(air::ConstantKind::Int, uint64_t{16}));
  const air::Symbol& t = symbol(m->module(), "table");
  REQUIRE(t.reloc_count == 2);
  CHECK(m->module().data_relocs[t.relocs + 1].addend == 7);
  CHECK(m->module().data_relocs[t.relocs + 1].offset == 8);
  const air::Symbol& i = symbol(m->module(), "as_int");
  REQUIRE(i.reloc_count == 1);
  CHECK(m->module().data_relocs[i.relocs].addend == 5);
  const air::Symbol& o = symbol(m->module(), "l.offsets");
  REQUIRE(o.reloc_count == 1);
  CHECK(m->module().data_relocs[o.relocs].kind == air::DataRelocKind::block_difference);
  CHECK(m->module().data_relocs[o.relocs].size == 4);
}

TEST_CASE("Import: intrinsics become instructions or calls of library functions") {
  const std::string source = R"(
    #include <stdarg.h>
    double m(double x, double y) { return __builtin_pow(x, y) + __builtin_sqrt(x) + __builtin_fma(x, y, x) + __builtin_fabs(y); }
    unsigned b(unsigned x) { return __builtin_bswap32(x) + __builtin_clz(x) + __builtin_popcount(x) + (x << 5 | x >> 27); }
    int o(int a, int b, int *r) { return __builtin_add_overflow(a, b, r); }
    void c(void *d, void *s, unsigned long n) { __builtin_memcpy(d, s, n); __builtin_memset(s, 0, 64); }
    int v(int n, ...) { va_list l; va_start(l, n); int r = va_arg(l, int); va_end(l); return r; }
    int k(double d) { return __builtin_isnan(d) + __builtin_isinf(d) + __builtin_isfinite(d) + __builtin_isnormal(d); }
    void t(int x) { if (x) __builtin_trap(); }
    int e(int x) { return __builtin_expect(x, 1) ? __builtin_constant_p(x) : (int)__builtin_object_size(&x, 0); }
  )";
  for (std::string clang : {"clang-14", "clang-19"}) {
    for (std::string level : {"-O0", "-O2"}) {
      INFO(clang << " " << level);
      Bytes bytes = compile(clang, {level, "-fno-math-errno"}, "x.c", source);
      if (bytes.empty()) continue;
      auto m = import(bytes);
      air::Function f = body(*m, "m");
      CHECK(count(f, air::Op::fsqrt) == 1);
      CHECK(count(f, air::Op::fma) == 1);
      CHECK(count(f, air::Op::call) == 1);
      CHECK(symbol(m->module(), "pow").kind == air::SymbolKind::function);
      CHECK(count(body(*m, "b"), air::Op::bswap) == 1);
      CHECK(count(body(*m, "o"), air::Op::sadd_overflow) == 1);
      air::Function c = body(*m, "c");
      CHECK(count(c, air::Op::memcpy) == 1);
      CHECK(count(c, air::Op::memset) == 1);
      CHECK(count(body(*m, "v"), air::Op::va_start) == 1);
      air::Function t = body(*m, "t");
      CHECK(count(t, air::Op::trap) == 1);
      for (const air::Symbol& s : m->module().symbols) CHECK(!m->module().str(s.name).starts_with("llvm."));
    }
  }
}

TEST_CASE("Import: C++ with exceptions, constructors and comdats") {
  const std::string source = R"(
    struct A { A(); ~A(); int v; };
    A global;
    struct E { int code; };
    void thrower(int);
    template <class T> T twice(T x) { return x + x; }
    int f(int x) {
      A a;
      try { thrower(x); }
      catch (E &e) { return e.code; }
      catch (int i) { return twice(i); }
      catch (...) { return -1; }
      return a.v;
    }
  )";
  for (std::string clang : {"clang++-14", "clang++-19"}) {
    for (std::string level : {"-O0", "-O2"}) {
      INFO(clang << " " << level);
      Bytes bytes = compile(clang, {level}, "x.cpp", source);
      if (bytes.empty()) continue;
      auto m = import(bytes);
      REQUIRE(m->module().inits.size() == 1);
      CHECK(!m->module().inits[0].destructor);
      CHECK(m->module().inits[0].priority == 65535);
      air::Function f = body(*m, "_Z1fi");
      CHECK(count(f, air::Op::invoke) >= 1);
      CHECK(count(f, air::Op::landing_pad) >= 1);
      CHECK(count(f, air::Op::eh_typeid) == 2);
      CHECK(m->module().name_of(f.personality) == "__gxx_personality_v0");
      if (level == "-O0") {
        const air::Symbol& t = symbol(m->module(), "_Z5twiceIiET_S0_");
        CHECK(t.linkage == air::Linkage::linkonce_odr);
        REQUIRE(t.comdat.valid());
        CHECK(m->module().str(m->module().comdats[t.comdat.value].name) == "_Z5twiceIiET_S0_");
      }
    }
  }
}

TEST_CASE("Import: switches wider than 64 bits, vectors, long double, half, 128 bits, inline assembly") {
  LODE_NEEDS("clang-19");
  const std::string source = R"(
    typedef float v4 __attribute__((vector_size(16)));
    typedef int i4 __attribute__((vector_size(16)));
    int w(__int128 x) { switch (x) { case 1: return 5; case ((__int128)7 << 90): return 6; case -3: return 7; } return 0; }
    v4 a(v4 x, v4 y, i4 m) { i4 r = (m > 3) & (m * m); return x * y + __builtin_convertvector(r, v4); }
    float s(v4 x, int i) { return x[i] + __builtin_shufflevector(x, x, 3, -1, 0, 5)[0]; }
    long double l(long double x) { return x * 1.5L + 0x1p-16400L; }
    _Float16 h(_Float16 x) { return x * (_Float16)3; }
    __int128 i(__int128 x) { return x * 3 + ((__int128)1 << 100); }
    long q(long x) { long r; __asm__ volatile("mov %1, %0" : "=r"(r) : "r"(x) : "memory"); return r; }
  )";
  for (std::string level : {"-O0", "-O2"}) {
    Bytes bytes = compile("clang-19", {level}, "x.c", source);
    auto m = import(bytes);
    CHECK(count(body(*m, "w"), air::Op::cond_br) == 3);
    air::Function q = body(*m, "q");
    REQUIRE(q.inline_asms.size() == 1);
    CHECK(q.strings.substr(q.inline_asms[0].text, q.inline_asms[0].text_len) == "mov $1, $0");
    CHECK(q.inline_asms[0].side_effects);
  }
}

TEST_CASE("Import: vectors of pointers, as constants and as instructions") {
  LODE_NEEDS("clang-19");
  Bytes bytes = compile("clang-19", {}, "x.ll", R"(
    target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
    target triple = "x86_64-pc-linux-gnu"
    %pair = type { i32, [4 x i32] }
    @words = global [6 x i32] [i32 1, i32 2, i32 4, i32 8, i32 16, i32 32]
    @pairs = global [2 x %pair] [%pair { i32 64, [4 x i32] [i32 128, i32 256, i32 512, i32 1024] }, %pair zeroinitializer]
    @room = global [4 x ptr] zeroinitializer
    define i32 @at(ptr %p) {
      %x = load ptr, ptr %p
      %v = load i32, ptr %x
      ret i32 %v
    }
    define i32 @main() {
      store <2 x ptr> getelementptr (i32, ptr @words, <2 x i64> <i64 1, i64 4>), ptr @room
      %i = load i32, ptr @words
      %base = insertelement <2 x ptr> getelementptr ([2 x %pair], ptr @pairs, <2 x i64> zeroinitializer, <2 x i64> zeroinitializer, i32 1, <2 x i32> <i32 1, i32 3>), ptr @words, i32 0
      %next = getelementptr i32, <2 x ptr> %base, i32 %i
      %second = getelementptr ptr, ptr @room, i64 2
      store <2 x ptr> getelementptr ([2 x %pair], ptr @pairs, <2 x i64> zeroinitializer, <2 x i64> zeroinitializer, i32 1, <2 x i32> <i32 1, i32 3>), ptr %second
      %a = call i32 @at(ptr @room)
      %pb = getelementptr ptr, ptr @room, i64 1
      %b = call i32 @at(ptr %pb)
      %c = call i32 @at(ptr %second)
      %pd = getelementptr ptr, ptr @room, i64 3
      %d = call i32 @at(ptr %pd)
      %e0 = extractelement <2 x ptr> %next, i32 0
      %e = load i32, ptr %e0
      %ab = add i32 %a, %b
      %cd = add i32 %c, %d
      %abcd = add i32 %ab, %cd
      %sum = sub i32 %abcd, %e
      ret i32 %sum
    }
  )");
  auto m = import(bytes);
  air::Interpreter interpreter(m->module());
  auto status = interpreter.run_main();
  INFO((status.ok() ? "" : status.error().text()));
  REQUIRE(status.ok());
  CHECK(*status == (2 + 16 + 256 + 1024 - 2) % 256);
}

TEST_CASE("Import: source positions") {
  LODE_NEEDS("clang-19");
  Bytes bytes = compile("clang-19", {"-O0", "-g"}, "place.c", "int f(int x) {\n  int y = x + 1;\n  return y * 2;\n}\n");
  auto m = import(bytes);
  air::Function f = body(*m, "f");
  REQUIRE(f.inst_locations.size() == f.insts.size());
  bool found = false;
  for (size_t i = 0; i < f.insts.size(); i++) {
    if (f.insts[i].op != air::Op::mul) continue;
    const air::SourceLocation& l = f.locations[f.inst_locations[i]];
    CHECK(l.line == 3);
    CHECK(l.column == 12);
    REQUIRE(l.file < m->module().files.size());
    CHECK(m->module().files[l.file].ends_with("place.c"));
    found = true;
  }
  CHECK(found);
}

TEST_CASE("Import: what is not supported is an error with the function and the instruction") {
  LODE_NEEDS("clang-19");
  Bytes bytes = compile("clang-19", {"-O0"}, "x.c", R"(
    int good(void) { return 1; }
    int bad(int __attribute__((address_space(7)))* p) { return *p; }
  )");
  auto m = BitcodeModule::open(bytes, "x.bc");
  REQUIRE(m.ok());
  CHECK(body(**m, "good").insts.size() > 0);
  air::Function f;
  auto r = (*m)->read(symbol((*m)->module(), "bad").function, f);
  REQUIRE(!r.ok());
  CHECK(r.error().place == "x.bc");
  CHECK(r.error().message.find("function 'bad'") != std::string::npos);
  CHECK(r.error().message.find("address space 7") != std::string::npos);
}

TEST_CASE("Import: asm goto is a statement and a switch") {
  LODE_NEEDS("clang-19");
  Bytes bytes = compile("clang-19", {"-O1"}, "x.c", R"(
    int f(int x) { asm goto("jmp %l1" : : "r"(x) : : out); return x; out: return 0; }
  )");
  auto m = BitcodeModule::open(bytes, "x.bc");
  REQUIRE(m.ok());
  air::Function f = body(**m, "f");
  bool asked = false, switched = false;
  for (const air::Inst& i : f.insts) {
    asked |= i.op == air::Op::call && f.calls[i.a].inline_asm != ~0u;
    switched |= i.op == air::Op::switch_;
  }
  CHECK(asked);
  CHECK(switched);
}

TEST_CASE("Import: programs do in the interpreter what they do natively") {
  const std::string source = R"(
    #include <stdio.h>
    #include <string.h>
    struct P { short a; unsigned b : 5; int c : 11; double d; };
    static unsigned state = 12345;
    static unsigned next(void) { state = state * 1103515245u + 12345u; return state >> 16; }
    static int compare(int a, int b) { return a < b ? -1 : a > b; }
    static int (*choose)(int, int) = compare;
    static void sort(int *v, int n) {
      for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && choose(v[j - 1], v[j]) > 0; j--) { int t = v[j]; v[j] = v[j - 1]; v[j - 1] = t; }
    }
    static unsigned long long mix(unsigned long long h, unsigned long long x) { return (h ^ x) * 0x9e3779b97f4a7c15ull; }
    static int classify(int x) {
      switch (x & 15) { case 0: return 7; case 1: case 5: return x; case 9: x++; case 10: return -x; case 15: return 2; default: return x / 3; }
    }
    int main(void) {
      int v[64];
      unsigned long long h = 1;
      for (int i = 0; i < 64; i++) v[i] = (int)next() - 20000;
      sort(v, 64);
      for (int i = 0; i < 64; i++) h = mix(h, (unsigned)v[i] + classify(v[i]));
      struct P p[8];
      memset(p, 0, sizeof p);
      for (int i = 0; i < 8; i++) { p[i].a = (short)next(); p[i].b = next(); p[i].c = (int)next(); p[i].d = p[i].a * 0.25; }
      for (int i = 0; i < 8; i++) h = mix(h, (unsigned)(p[i].a + (int)p[i].b * 3 - p[i].c) + (unsigned long long)(long long)p[i].d);
      __int128 w = (__int128)h * 12345 + 6;
      h = mix(h, (unsigned long long)(w >> 64) + (unsigned long long)(w % 1000003));
      float f = 0;
      for (int i = 1; i < 50; i++) f += 1.0f / i;
      h = mix(h, (unsigned)(f * 1e6f));
      char text[32];
      for (int i = 0; i < 31; i++) text[i] = "abcdefghij"[next() % 10];
      text[31] = 0;
      puts(text);
      printf("%016llx\n", h);
      return (int)(h & 63);
    }
  )";
  test::TempDir dir;
  LODE_NEEDS("clang-19");
  REQUIRE(test::run({"clang-19", "-O1", "-w", dir.write("x.c", source), "-o", dir.file("native")}).ok());
  auto native = test::run({dir.file("native")});
  for (std::string clang : {"clang-14", "clang-19"}) {
    for (std::string level : {"-O0", "-O1", "-O2"}) {
      INFO(clang << " " << level);
      Bytes bytes = compile(clang, {level}, "x.c", source);
      if (bytes.empty()) continue;
      auto m = import(bytes);
      air::Interpreter interpreter(m->module());
      auto status = interpreter.run_main();
      INFO((status.ok() ? "" : status.error().text()));
      REQUIRE(status.ok());
      CHECK(*status == native.status);
      CHECK(interpreter.output() == native.out);
    }
  }
}

TEST_CASE("Import: bodies read by several threads are the same") {
  Bytes bytes = input("sample.clang19.O1.bc");
  auto m = import(bytes);
  const uint32_t n = uint32_t(m->module().functions.size());
  std::vector<air::Function> reference(n);
  for (uint32_t i = 0; i < n; i++) REQUIRE(m->read(air::FunctionIndex(i), reference[i]).ok());
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      air::Function f;
      bool same = true;
      for (int round = 0; round < 20; round++)
        for (uint32_t i = 0; i < n; i++) {
          same = same && m->read(air::FunctionIndex((i + t) % n), f).ok();
          const air::Function& r = reference[(i + t) % n];
          same =
              same && f.insts.size() == r.insts.size() && f.extra == r.extra && f.edges.size() == r.edges.size() &&
              std::equal(f.insts.begin(), f.insts.end(), r.insts.begin(), [](const air::Inst& a, const air::Inst& b) {
                return a.op == b.op && a.a == b.a && a.b == b.b && a.c == b.c && a.aux == b.aux && a.type == b.type;
              });
        }
      equal[t] = same;
    });
  for (auto& t : threads) t.join();
  CHECK(equal == std::vector<int>{1, 1, 1, 1});
}

TEST_CASE("Import: damaged files give errors or functions that verify, never a crash") {
  std::mt19937_64 random(99);
  for (const char* name : {"sample.clang14.O0.bc", "sample.clang19.O1.bc"}) {
    const Bytes bytes = input(name);
    REQUIRE(bytes.size() > 1000);
    for (int i = 0; i < 500; i++) {
      Bytes b = bytes;
      for (uint64_t k = 0, n = 1 + random() % 3; k < n; k++) b[random() % b.size()] ^= uint8_t(1u << random() % 8);
      auto m = BitcodeModule::open(b, "x.bc");
      if (!m.ok()) {
        CHECK(!m.error().message.empty());
        continue;
      }
      air::Function f;
      for (uint32_t k = 0; k < (*m)->module().functions.size(); k++) {
        if (!(*m)->read(air::FunctionIndex(k), f).ok()) continue;
        std::vector<air::Problem> list;
        air::verify_function((*m)->module(), f, list);
        for (const air::Problem& p : list)
          CHECK(air::problem_text((*m)->module(), p) == "");
      }
    }
  }
}

TEST_CASE("import: an invoke's result is known in a loop that its normal edge enters") {
  LODE_NEEDS("clang-19");
  Bytes bytes = compile("clang-19", {"-x", "ir"}, "x.ll", R"(
    declare i32 @g()
    declare i32 @__gxx_personality_v0(...)
    define i32 @f() personality ptr @__gxx_personality_v0 {
    entry:
      %n = invoke i32 @g() to label %loop unwind label %pad
    loop:
      %i = phi i32 [ 0, %entry ], [ %j, %loop ]
      %j = add i32 %i, %n
      %c = icmp slt i32 %j, 100
      br i1 %c, label %loop, label %done
    done:
      ret i32 %n
    pad:
      %p = landingpad { ptr, i32 } cleanup
      resume { ptr, i32 } %p
    }
  )");
  auto m = import(bytes);
  CHECK(problems(*m) == "");
}
