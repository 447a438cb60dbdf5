// 64-bit addresses: what clang makes for wasm64, as bitcode and as objects, by the executable route and by the object
// route through wasm-ld. Validated by wabt, run by node where it knows memory64, otherwise by wabt's interpreter; the
// results must be those of the same source compiled for wasm32 by clang and linked by wasm-ld.
//
// Tables. LLVM's wasm64 objects take the indirect function table to have 64-bit indices, which neither wabt nor node 20
// know. So the modules that wasm-ld makes are only run for sources that need no table; lode's own executables have a
// 32-bit table unless an object asks for the other kind.
#include <catch2/catch.hpp>

#include "tests/support/node.h"
#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

// No result depends on the width of a pointer.
const char* without_table = R"(
typedef __SIZE_TYPE__ word;
int data[10] = {1, 2, 3, 4, 5}, bss[1000];
const char *text = "hello";
struct S { int a[40]; };
void *memcpy(void *d, const void *s, word n) { char *a = d; const char *b = s; for (word i = 0; i < n; i++) a[i] = b[i]; return d; }
void *memset(void *d, int c, word n) { char *a = d; for (word i = 0; i < n; i++) a[i] = c; return d; }
__attribute__((noinline)) int variadic(int n, ...) {
  __builtin_va_list ap;
  __builtin_va_start(ap, n);
  long long t = 0;
  for (int i = 0; i < n; i++) t += i & 1 ? (long long)__builtin_va_arg(ap, double) : __builtin_va_arg(ap, int);
  __builtin_va_end(ap);
  return t;
}
__attribute__((noinline)) struct S make(int x) { struct S s; for (int i = 0; i < 40; i++) s.a[i] = x + i; return s; }
__attribute__((noinline)) int sum(struct S s) { int t = 0; for (int i = 0; i < 40; i++) t += s.a[i]; return t; }
__attribute__((noinline)) int dynamic(int n) { int *p = __builtin_alloca(n * 4); for (int i = 0; i < n; i++) p[i] = i; int t = 0; for (int i = 0; i < n; i++) t += p[i]; return t; }
__attribute__((noinline)) int aligned(int n) { _Alignas(64) int a[16]; for (int i = 0; i < 16; i++) a[i] = n; return ((word)a & 63) + a[n & 15]; }
__attribute__((noinline)) unsigned __int128 wide(unsigned long long a, unsigned long long b) { unsigned __int128 x = a; return (x << 64 | b) + b; }
__attribute__((noinline)) int many(int x) {
  switch (x) { case 0: return 5; case 1: return 9; case 2: return 1; case 3: return 77; case 4: return 6; case 1000: return 3; default: return 8; }
}
int run(int x) {
  bss[999] = x;
  word offset = (word)&bss[999] - (word)bss;
  return bss[999] + data[x & 7] + text[1] + variadic(4, 1, 2.5, 3, 4.5) + sum(make(x)) + dynamic(x + 10) + aligned(x) + many(x) + (int)offset + (int)(wide(x, 5) >> 64) * 3;
}
)";
const char* with_table = R"(
static int inc(int x) { return x + 1; }
static int twice(int x) { return x * 2; }
int (*volatile table[2])(int) = {inc, twice};
__attribute__((constructor)) static void swap(void) { int (*t)(int) = table[0]; table[0] = table[1]; table[1] = t; }
int call(int i, int x) { return table[i](x) + (table[i] == inc); }
)";

struct Project64 : Project {
  RunResult lode64(std::vector<std::string> args, const std::string& output) {
    args.insert(args.begin(), {LODE_BINARY, "-m", "wasm64"});
    args.insert(args.end(), {"-o", dir.file(output)});
    RunResult r = run(args);
    if (r.ok()) CHECK(valid_wasm(dir.file(output)));
    return r;
  }
  std::string compile64(const std::string& source, std::vector<std::string> flags) {
    std::string in = dir.write("a.c", source), out = dir.file("a.64.o");
    std::vector<std::string> args{"clang-19", "--target=wasm64", "-w", "-fno-builtin", "-c", in, "-o", out};
    args.insert(args.end(), flags.begin(), flags.end());
    RunResult r = run(args);
    INFO(r.describe());
    REQUIRE(r.ok());
    return out;
  }
  std::string node64(const std::string& output, const std::string& expression) {
    std::vector<std::string> args = node_with_memory64();
    if (args.empty()) return "";
    args.insert(args.end(),
                {"-e", "const e=new WebAssembly.Instance(new WebAssembly.Module(require('fs').readFileSync('" +
                           dir.file(output) + "'))).exports;console.log(" + expression + ")"});
    RunResult r = run(args);
    return r.ok() ? r.out : "error: " + r.err;
  }
};

const char* all_runs = "[0,1,2,3,4,5,1000].map(x=>e.run(x)).join()";

}  // namespace

TEST_CASE("wasm64: bitcode as executables and as objects for wasm-ld") {
  LODE_SKIP_IF(project_lacks());
  Project64 p;
  REQUIRE(p.wasm_ld({p.compile("a.c", without_table, {"-O1", "-fno-builtin"}), "--no-entry", "--export=run"},
                    "reference.wasm")
              .ok());
  const std::string expected = node(p.bytes("reference.wasm"), all_runs);
  REQUIRE_FALSE(expected.starts_with("error"));
  for (const char* level : {"-O0", "-O1", "-O2"}) {
    INFO(level);
    std::string bitcode = p.compile64(without_table, {level, "-emit-llvm"});
    RunResult r = p.lode64({bitcode, "--no-entry", "--export=run"}, "exe.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    fw::Module m;
    std::vector<uint8_t> bytes = p.bytes("exe.wasm");
    m = read_back(bytes);
    REQUIRE(m.memories.size() == 1);
    CHECK(m.memories[0].flags & fw::limits_flags::is_64);

    REQUIRE(p.lode64({bitcode, "-r"}, "r.o").ok());
    r = p.wasm_ld({"-m", "wasm64", p.dir.file("r.o"), "--no-entry", "--export=run"}, "object.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());

    // Data above 4 GiB, where addresses need more than 32 bits: a machine may not have that much, so it is validated
    // only.
    REQUIRE(p.lode64({bitcode, "--no-entry", "--export=run", "--global-base=8589934592"}, "high.wasm").ok());

    // clang's own objects.
    r = p.lode64({p.compile64(without_table, {level}), "--no-entry", "--export=run"}, "native.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    for (const char* module : {"exe.wasm", "object.wasm", "native.wasm"}) {
      INFO(module);
      if (!node_with_memory64().empty()) CHECK(p.node64(module, all_runs) == expected);
    }
  }
}

TEST_CASE("wasm64: calls through the table") {
  LODE_SKIP_IF(project_lacks());
  Project64 p;
  for (const char* level : {"-O0", "-O2"}) {
    INFO(level);
    std::string bitcode = p.compile64(with_table, {level, "-emit-llvm"});
    REQUIRE(p.lode64({bitcode, "--no-entry", "--export=call"}, "exe.wasm").ok());
    if (!node_with_memory64().empty())
      CHECK(p.node64("exe.wasm", "[e.call(0,10),e.call(0,10),e.call(1,10)].join()") == "20,12,12\n");

    // With LLVM's objects, and as an object, the table has 64-bit indices, and nothing narrows them.
    std::string own = p.dir.file("own.o");
    REQUIRE(p.lode64({bitcode, "-r"}, "own.o").ok());
    std::string object = p.compile64(
        "int call(int, int); int other(int x) { return call(0, x); } int (*address(void))(int, int) { return call; }",
        {level});
    std::vector<uint8_t> bytes = p.bytes("own.o");
    fw::Module m = read_back(bytes);
    bool found = false;
    for (const fw::Import& i : m.imports)
      found |= i.kind == fw::ExternalKind::table && (i.table.limits.flags & fw::limits_flags::is_64);
    CHECK(found);
    std::span<const uint8_t> code = m.payload(m.sections[m.code_section]);
    for (const fw::Reloc& r : m.sections[m.code_section].relocs)
      if (r.type == fw::RelocType::type_index_leb) CHECK(code[r.offset - 2] != uint8_t(cg::Op::i32_wrap_i64));
    RunResult r =
        p.wasm_ld({"-m", "wasm64", own, object, "--no-entry", "--export=call", "--export=other", "--export=address"},
                  "linked.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    r = p.lode64({own, object, "--no-entry", "--export=call", "--export=other", "--export=address"}, "linked.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    bytes = p.bytes("linked.wasm");
    m = read_back(bytes);
    REQUIRE(m.tables.size() == 1);
    CHECK(m.tables[0].limits.flags & fw::limits_flags::is_64);
  }
}
