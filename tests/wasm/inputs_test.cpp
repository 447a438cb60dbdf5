// What producers other than one clang bring: declarations that differ between modules, a main without parameters,
// features of newer LLVMs, stub libraries, custom sections, sections by name, objects of another width.
#include <catch2/catch.hpp>

#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

const char* layout =
    "target datalayout = \"e-m:e-p:32:32-p10:8:8-p20:8:8-i64:64-n32:64-S128-ni:1:10:20\"\ntarget triple = "
    "\"wasm32-unknown-unknown\"\n";

struct Inputs : Project {
  std::string ir(const std::string& name, const std::string& text, bool object = false) {
    std::string in = dir.write(name + ".ll", layout + text), out = dir.file(name + (object ? ".o" : ".bc"));
    RunResult r = object ? run({"llc-19", "-filetype=obj", in, "-o", out}) : run({"llvm-as-19", in, "-o", out});
    INFO(r.describe());
    REQUIRE(r.ok());
    return out;
  }
  std::string dump(const std::string& output, const std::string& options) {
    return run({"wasm-objdump", options, dir.file(output)}).out;
  }
};

std::string llvm_lacks(const std::vector<std::string>& more = {}) {
  std::string why = project_lacks({"llvm-as-19", "llc-19", "wasm-objdump"});
  return why.empty() ? missing(more) : why;
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("wasm link: a caller that takes a function to have another type, by every pair of routes") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  // caller: void f(i32) and i64 f(); callee: i32 f(i32).
  const std::string caller =
      "declare void @f(i32)\ndefine void @user(i32 %a) {\n  call void @f(i32 %a)\n  ret void\n}\n";
  const std::string callee = "define i32 @f(i32 %a) {\n  ret i32 %a\n}\n";
  const std::string air_caller = p.dir.write("c.air",
                                             "layout pointer_bytes 4\ndeclare func @f(i32) -> void\nstrong func "
                                             "@user(%a: i32) -> void {\ns:\n  call void @f(i32 %a)\n  ret\n}\n");
  const std::string air_callee =
      p.dir.write("d.air", "layout pointer_bytes 4\nstrong func @f(%a: i32) -> i32 {\ns:\n  ret i32 %a\n}\n");
  std::vector<std::string> callers{p.ir("c", caller), p.ir("c", caller, true), air_caller},
      callees{p.ir("d", callee), p.ir("d", callee, true), air_callee};
  for (const std::string& c : callers)
    for (const std::string& d : callees)
      for (bool first : {true, false}) {
        INFO(c << " " << d << " " << first);
        RunResult r = p.lode({"--no-entry", "--export=user", "--export=f", first ? c : d, first ? d : c}, "m.wasm");
        INFO(r.describe());
        CHECK(r.ok());
        CHECK(has(r.err, "warning: function signature mismatch: f\n>>> defined as (i32) -> i32"));
        CHECK(has(p.dump("m.wasm", "-x"), "signature_mismatch:f"));
        CHECK(node(p.bytes("m.wasm"), "e.f(5)") == "5\n");
        CHECK(has(node(p.bytes("m.wasm"), "e.user(5)"), "unreachable"));
        // Through an object: the same trap in what comes out.
        r = p.lode({"-r", c, d}, "m.o");
        CHECK(r.ok());
        CHECK(has(r.err, "function signature mismatch: f"));
      }
}

TEST_CASE("wasm link: a weak definition that gives way to one of another type") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string weak =
      "define weak i64 @f() {\n  ret i64 1\n}\ndefine i64 @user() {\n  %r = call i64 @f()\n  ret i64 %r\n}\n";
  std::string strong = "define i32 @f(i32 %a) {\n  ret i32 %a\n}\n";
  for (bool object : {false, true}) {
    RunResult r =
        p.lode({"--no-entry", "--export=user", p.ir("w", weak, object), p.ir("s", strong, !object)}, "m.wasm");
    INFO(r.describe());
    CHECK(r.ok());
    CHECK(has(r.err, "function signature mismatch: f"));
  }
}

TEST_CASE("wasm link: a library function that a program defines with another type") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string bc = p.ir("m", "declare void @llvm.memset.p0.i32(ptr, i8, i32, i1)\ndefine void @user(ptr %p, i32 %n) {\n"
                             "  call void @llvm.memset.p0.i32(ptr %p, i8 0, i32 %n, i1 false)\n  ret void\n}\n");
  std::string own = p.ir("own", "define void @memset(ptr %p, i32 %c, i64 %n) {\n  ret void\n}\n", true);
  RunResult r = p.lode({"--no-entry", "--export=user", bc, own}, "m.wasm");
  INFO(r.describe());
  CHECK(r.ok());
  CHECK(has(r.err, "function signature mismatch: memset"));
}

TEST_CASE("wasm link: a main without parameters is called with two") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  const std::string start = p.ir(
      "s", "declare i32 @main(i32, ptr)\ndefine i32 @go() {\n  %r = call i32 @main(i32 1, ptr null)\n  ret i32 %r\n}\n",
      true);
  const std::string mains[] = {
      "define i32 @main() {\n  ret i32 5\n}\n",
      "define i32 @main() {\n  ret i32 5\n}\n@__main_void = hidden alias i32 (), ptr @main\n",
      "define weak i32 @main() {\n  ret i32 5\n}\ndefine i32 @other() {\n  %r = call i32 @main()\n  ret i32 %r\n}\n"};
  for (const std::string& text : mains) {
    std::string bc = p.ir("m", text);
    RunResult r = p.lode({"--no-entry", "--export=go", "--fatal-warnings", bc, start}, "m.wasm");
    INFO(text << r.describe());
    REQUIRE(r.ok());
    CHECK(node(p.bytes("m.wasm"), "e.go()") == "5\n");
    // The same by an object for another linker.
    r = p.lode({"-r", bc}, "m.o");
    REQUIRE(r.ok());
    r = p.wasm_ld({"--no-entry", "--export=go", "--fatal-warnings", p.dir.file("m.o"), start}, "n.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(node(p.bytes("n.wasm"), "e.go()") == "5\n");
  }
}

TEST_CASE("wasm link: features of newer LLVMs") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  auto copies = [&](const std::string& features) {
    std::string bc =
        p.ir("f",
             "declare void @llvm.memcpy.p0.p0.i32(ptr, ptr, i32, i1)\ndefine void @f(ptr %a, ptr %b, i32 %n) #0 {\n"
             "  call void @llvm.memcpy.p0.p0.i32(ptr %a, ptr %b, i32 %n, i1 false)\n  ret void\n}\nattributes #0 = { "
             "\"target-features\"=\"" +
                 features + "\" }\n");
    RunResult r = p.lode({"--no-entry", "--export=f", "--allow-undefined", bc}, "f.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    return r.err + p.dump("f.wasm", "-dx");
  };
  CHECK(has(copies("+bulk-memory-opt,+sign-ext"), "memory.copy"));
  CHECK(has(copies("+bulk-memory"), "memory.copy"));
  CHECK_FALSE(has(copies("+sign-ext"), "memory.copy"));
  for (const char* name : {"call-indirect-overlong", "fp16", "wide-arithmetic", "exception-handling", "gc",
                           "half-precision", "extended-const"}) {
    std::string said = copies(std::string("+") + name);
    CHECK(has(said, std::string("[+] ") + name));
    CHECK_FALSE(has(said, "warning"));
  }
  std::string said = copies("+no-such-thing");
  CHECK(has(said, "'+no-such-thing' is not a recognized feature for this target (ignoring feature)"));
  CHECK_FALSE(has(said, "[+] no-such-thing"));
}

TEST_CASE("wasm link: producers name a tool once") {
  LODE_SKIP_IF(llvm_lacks({"clang-14", "llvm-readobj-19"}));
  Inputs p;
  std::string a = p.dir.write("a.c", "int g(void); int f(void){return g();}"),
              b = p.compile("b.c", "int g(void){return 1;}");
  REQUIRE(run({"clang-14", "--target=wasm32", "-c", a, "-o", p.dir.file("a.o")}).ok());
  for (std::vector<std::string> mode : {std::vector<std::string>{"--no-entry", "--export=f"}, {"-r"}}) {
    mode.insert(mode.end(), {p.dir.file("a.o"), b});
    REQUIRE(p.lode(mode, "m.wasm").ok());
    RunResult r = run({"llvm-readobj-19", "-h", p.dir.file("m.wasm")});
    INFO(r.describe());
    CHECK(r.ok());
    std::vector<uint8_t> bytes = p.bytes("m.wasm");
    fw::Module m = read_back(bytes);
    std::vector<std::string> tools;
    for (const fw::ProducerField& f : m.producers)
      if (f.field == "processed-by") tools.push_back(std::string(f.name) + " " + std::string(f.version).substr(0, 2));
    REQUIRE(tools.size() == 2);
    CHECK(has(tools[0], "clang 14"));
    CHECK(has(tools[1], "lode"));
  }
}

TEST_CASE("wasm link: debug information that alone names a global") {
  LODE_SKIP_IF(llvm_lacks({"llvm-dwarfdump-19"}));
  Inputs p;
  std::string o = p.compile("a.c", "int answer(void){return 42;}", {"-g", "-O1"});
  REQUIRE(p.lode({o, "--no-entry", "--export=answer"}, "a.wasm").ok());
  CHECK(run({"llvm-dwarfdump-19", "--verify", p.dir.file("a.wasm")}).ok());
}

TEST_CASE("wasm link: -r keeps custom sections and debug information, with relocations") {
  LODE_SKIP_IF(llvm_lacks({"llvm-dwarfdump-19"}));
  Inputs p;
  std::string a = p.compile("a.c",
                            "__asm__(\".section .custom_section.note,\\\"\\\",@\\n.ascii \\\"hello\\\"\\n\"); int "
                            "datum=3; int f(int x){return x+datum;}",
                            {"-g", "-O1"});
  std::string b =
      p.compile("b.c",
                "__asm__(\".section .custom_section.note,\\\"\\\",@\\n.ascii \\\" world\\\"\\n\"); int f(int); static "
                "int twice(int x){return f(f(x));} int (*p)(int)=twice; int g(int x){return p(x);}",
                {"-g", "-O1"});
  REQUIRE(p.lode({"-r", a, b}, "ab.o").ok());
  std::vector<uint8_t> bytes = p.bytes("ab.o");
  fw::Module m = read_back(bytes);
  std::string note;
  unsigned debug_relocs = 0;
  for (const fw::Section& s : m.sections) {
    if (s.name == "note") note = std::string(reinterpret_cast<const char*>(m.payload(s).data()), s.size);
    if (s.name == ".debug_info") debug_relocs = unsigned(s.relocs.size());
  }
  CHECK(note == "hello world");
  CHECK(debug_relocs > 10);
  CHECK(run({"llvm-dwarfdump-19", "--verify", p.dir.file("ab.o")}).ok());
  // By both linkers, the program's debug information is what the objects alone give.
  auto lines = [&](const std::string& output) {
    RunResult r = run({"llvm-dwarfdump-19", "--debug-line", p.dir.file(output)});
    return r.out.substr(r.out.find('\n') + 1);
  };
  std::vector<std::string> options{"--no-entry", "--export=g", "--no-gc-sections"}, whole = options, parts = options;
  whole.push_back(p.dir.file("ab.o"));
  parts.insert(parts.end(), {a, b});
  REQUIRE(p.wasm_ld(whole, "theirs.wasm").ok());
  REQUIRE(p.wasm_ld(parts, "direct.wasm").ok());
  REQUIRE(p.lode(whole, "ours.wasm").ok());
  for (const char* output : {"theirs.wasm", "ours.wasm"}) {
    INFO(output);
    CHECK(run({"llvm-dwarfdump-19", "--verify", p.dir.file(output)}).ok());
    CHECK(node(p.bytes(output), "e.g(1)") == "7\n");
  }
  CHECK(lines("theirs.wasm") == lines("direct.wasm"));
  CHECK_FALSE(has(p.dump("stripped.o", "-h"), "debug_info"));
  REQUIRE(p.lode({"-r", "--strip-debug", a, b}, "stripped.o").ok());
  CHECK_FALSE(has(p.dump("stripped.o", "-h"), "debug_info"));
  CHECK(has(p.dump("stripped.o", "-h"), "note"));
}

TEST_CASE("wasm link: embedded bitcode stays out of the program") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string o = p.compile("a.c", "int f(void){return 1;}", {"-fembed-bitcode"});
  REQUIRE(p.lode({"--no-entry", "--export=f", o}, "m.wasm").ok());
  CHECK_FALSE(has(p.dump("m.wasm", "-h"), "llvm"));
}

TEST_CASE("wasm link: an option asks for the ends of a section") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string o = p.compile(
      "a.c",
      "__attribute__((used,section(\"em_asm\"))) const char s[]=\"{ return 1; }\"; const char *f(void){return s;}");
  RunResult r = p.lode({"--no-entry", "--export=f", "--export-if-defined=__start_em_asm", "--export=__stop_em_asm",
                        "--export-if-defined=__start_none", o},
                       "m.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(node(p.bytes("m.wasm"),
             "[e.__stop_em_asm.value-e.__start_em_asm.value, e.f()==e.__start_em_asm.value, e.__start_none].join()") ==
        "14,true,\n");
  r = p.lode({"--no-entry", "--export=__start_none", o}, "m.wasm");
  CHECK_FALSE(r.ok());
  CHECK(has(r.err, "symbol exported via --export not found: __start_none"));
}

TEST_CASE("wasm link: objects of the other address width are refused by name") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string narrow = p.compile("a.c", "int d=3; int f(void){return d;}");
  std::string in = p.dir.write("b.c", "int d=3; int f(void){return d;}"), wide = p.dir.file("wide.o");
  REQUIRE(run({"clang-19", "--target=wasm64", "-c", in, "-o", wide}).ok());
  RunResult r = p.lode({"--no-entry", "--export=f", wide}, "m.wasm");
  CHECK(r.status == 1);
  CHECK(has(r.err, "wide.o: a wasm64 object cannot be linked in wasm32 mode"));
  r = run({LODE_BINARY, "-m", "wasm64", "--no-entry", "--export=f", narrow, "-o", p.dir.file("m.wasm")});
  CHECK(r.status == 1);
  CHECK(has(r.err, "a.c.o: a wasm32 object cannot be linked in wasm64 mode"));
}

TEST_CASE("wasm link: an import's module and name may be empty") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  const std::string source =
      "__attribute__((import_module(\"\"),import_name(\"f\"))) int f(void); "
      "__attribute__((import_module(\"m\"),import_name(\"\"))) int h(void); int g(void){return f()+h();}";
  for (std::vector<std::string> flags : {std::vector<std::string>{"-O1"}, {"-O1", "-emit-llvm"}})
    for (bool object : {false, true}) {
      std::string o = p.compile("a.c", source, flags);
      if (object) {
        REQUIRE(p.lode({"-r", o}, "r.o").ok());
        o = p.dir.file("r.o");
      }
      RunResult r = p.lode({"--no-entry", "--export=g", o}, "m.wasm");
      INFO(r.describe());
      REQUIRE(r.ok());
      std::vector<uint8_t> bytes = p.bytes("m.wasm");
      fw::Module m = read_back(bytes);
      REQUIRE(m.imports.size() == 2);
      std::string all;
      for (const fw::Import& i : m.imports) all += "[" + std::string(i.module) + "." + std::string(i.name) + "]";
      CHECK((all == "[.f][m.]" || all == "[m.][.f]"));
    }
}

TEST_CASE("wasm link: the relocations of a section stand in one section") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  const std::string object = p.ir(
      "a",
      "@x = global i32 1\n@a = global [3 x ptr] [ptr @x, ptr @x, ptr @x]\n@b = global [2 x ptr] [ptr @x, ptr @a]\n",
      true);
  std::string bytes = read_file(object);
  CHECK(p.lode({"--no-entry", "--export=b", object}, "m.wasm").ok());
  // "reloc.DATA" once more: each is in order, both together are not.
  const std::string name("\x0areloc.DATA");
  const size_t at = bytes.find(name);
  REQUIRE(at != std::string::npos);
  // id 0, the size in five bytes, the name: LLVM pads sizes.
  uint32_t size = 0;
  for (unsigned k = 0; k < 5; k++) size |= uint32_t(bytes[at - 5 + k] & 0x7f) << 7 * k;
  REQUIRE(bytes[at - 6] == 0);
  bytes.insert(at + size, bytes.substr(at - 6, size + 6));
  RunResult r = p.lode({"--no-entry", "--export=b", p.dir.write("twice.o", bytes)}, "m.wasm");
  INFO(r.describe());
  CHECK(!r.ok());
  CHECK(has(r.err, "is the second with relocations of one section"));
}

TEST_CASE("wasm link: stub libraries") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string a =
      p.compile("a.c", "void given(void); void needed(void){} int other(void){return 4;} void _start(void){given();}");
  std::string stub = p.dir.write("libst.so", "#STUB\n# a comment\n\ngiven: needed,  other\nunasked: nowhere\nplain\n");
  RunResult r = p.lode({a, stub}, "m.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  std::string seen = p.dump("m.wasm", "-x");
  CHECK(has(seen, "<- env.given"));
  CHECK(has(seen, "-> \"needed\""));
  CHECK(has(seen, "-> \"other\""));
  CHECK_FALSE(has(seen, "unasked"));
  REQUIRE(p.lode({a, "-L" + p.dir.path(), "-lst"}, "m.wasm").ok());
  // What is needed may lie in an archive.
  std::string b = p.compile("b.c", "void given(void); void _start(void){given();}"),
              c = p.compile("c.c", "void needed(void){} int other(void){return 4;}");
  REQUIRE(run({"llvm-ar-19", "rcs", p.dir.file("libc.a"), c}).ok());
  REQUIRE(p.lode({b, stub, p.dir.file("libc.a")}, "m.wasm").ok());
  CHECK(has(p.dump("m.wasm", "-x"), "-> \"needed\""));
  r = p.lode({b, stub}, "m.wasm");
  CHECK(r.status == 1);
  CHECK(has(r.err, "libst.so: undefined symbol: needed\n>>> required by given"));
}

TEST_CASE("wasm link: -flavor, and the output on standard output") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string o = p.compile("a.c", "int f(void){return 1;}");
  std::string wasm_ld = p.dir.file("wasm-ld"), plain = p.dir.file("rust-lld");
  std::filesystem::create_symlink(LODE_BINARY, wasm_ld);
  std::filesystem::create_symlink(LODE_BINARY, plain);
  for (const std::string& command : {wasm_ld, plain, std::string(LODE_BINARY)}) {
    RunResult r = run({command, "-flavor", "wasm", "--no-entry", "--export=f", o, "-o", p.dir.file("m.wasm")});
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(valid_wasm(p.dir.file("m.wasm")));
  }
  RunResult r = run({plain, "-flavor", "darwin", o});
  CHECK(r.status == 1);
  CHECK(has(r.err, "-flavor darwin: not supported"));
  CHECK(has(run({plain, "-flavor", "gnu", "--version"}).out, "GNU ld"));
  r = run({wasm_ld, "--no-entry", "--export=f", o, "-o", "-"});
  REQUIRE(r.ok());
  CHECK(valid_wasm(std::vector<uint8_t>(r.out.begin(), r.out.end())));
}

TEST_CASE("wasm link: products of 64 bits that are checked for overflow") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  std::string o =
      p.compile("a.c",
                "int u(unsigned long long a, unsigned long long b, unsigned long long *r){return "
                "__builtin_mul_overflow(a,b,r);}\n"
                "int s(long long a, long long b, long long *r){return __builtin_mul_overflow(a,b,r);}\n"
                "long long v[8]={0,1,-1,2,0x7fffffffffffffffLL,-0x7fffffffffffffffLL-1,0x100000000LL,3037000500LL};\n"
                "unsigned run(void){unsigned h=1; for(int i=0;i<8;i++)for(int j=0;j<8;j++){unsigned long long x; long "
                "long y; h=h*31+u(v[i],v[j],&x); h=h*31+(unsigned)(x>>7);"
                "h=h*31+s(v[i],v[j],&y); h=h*31+(unsigned)((unsigned long long)y>>9);} return h;}\n",
                {"-O1", "-emit-llvm"});
  REQUIRE(p.lode({"--no-entry", "--export=run", "--export=u", "--export=s", o}, "m.wasm").ok());
  // JavaScript's integers have no bounds.
  std::string expected =
      "(()=>{const v=[0n,1n,-1n,2n,0x7fffffffffffffffn,-0x8000000000000000n,0x100000000n,3037000500n];let h=1;const "
      "add=x=>h=(Math.imul(h,31)+Number(BigInt.asUintN(32,x)))>>>0;"
      "for(const a of v)for(const b of v){const ua=BigInt.asUintN(64,a),ub=BigInt.asUintN(64,b),x=ua*ub,y=a*b;"
      "add(x>0xffffffffffffffffn?1n:0n);add(BigInt.asUintN(64,x)>>7n);add(BigInt.asIntN(64,y)!=y?1n:0n);add(BigInt."
      "asUintN(64,y)>>9n)}return h})()";
  CHECK(node(p.bytes("m.wasm"), "(e.run()>>>0)===" + expected) == "true\n");
}

TEST_CASE("wasm link: atomic operations that the machine does not have") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  const char* operations[] = {"xchg", "add",  "sub",  "and",  "nand",      "or",       "xor",
                              "smax", "smin", "umax", "umin", "uinc_wrap", "udec_wrap"};
  std::string source = "layout pointer_bytes 4\nstrong data @place : i64 align 8 = 0\n", js;
  for (const char* width : {"i8", "i16", "i32", "i64"})
    for (const char* op : operations) {
      std::string w = width, name = std::string(op) + "_" + w;
      std::string narrow = w == "i64" ? "%b" : "%n", low = w == "i64" ? "%a" : "%m";
      source += "strong func @" + name + "(%a: i64, %b: i64) -> i64 {\ns:\n";
      if (w != "i64") source += "  %m = trunc i64 %a to " + w + "\n  %n = trunc i64 %b to " + w + "\n";
      source += "  store " + w + " " + low + ", ptr @place align 8\n  %old = atomic_rmw " + op + " ptr @place, " + w +
                " " + narrow +
                " seq_cst\n"
                "  %new = load " +
                w + ", ptr @place align 8\n";
      if (w != "i64")
        source += "  %o = zext " + w + " %old to i64\n  %p = zext " + w +
                  " %new to i64\n  %q = shl i64 %p, 32\n  %r = xor i64 %o, %q\n";
      else source += "  %q = mul i64 %new, 3\n  %r = xor i64 %old, %q\n";
      source += "  ret i64 %r\n}\n";
      js += "'" + name + "',";
    }
  std::string air = p.dir.write("a.air", source);
  // Every pair of values at the edges, as one number.
  std::string run =
      "(()=>{let h=1;const "
      "v=[0n,1n,-1n,127n,128n,-128n,255n,32767n,-32768n,65535n,0x7fffffffn,-0x80000000n,0xffffffffn,"
      "0x7fffffffffffffffn,-0x8000000000000000n];"
      "for(const f of [" +
      js +
      "])for(const a of v)for(const b of "
      "v){h=(Math.imul(h,31)+Number(BigInt.asUintN(32,e[f](a,b)^(e[f](a,b)>>32n))))>>>0}return h})()";
  std::string model =
      "(()=>{let h=1;const "
      "v=[0n,1n,-1n,127n,128n,-128n,255n,32767n,-32768n,65535n,0x7fffffffn,-0x80000000n,0xffffffffn,"
      "0x7fffffffffffffffn,-0x8000000000000000n];"
      "const "
      "ops={xchg:(o,x)=>x,add:(o,x)=>o+x,sub:(o,x)=>o-x,and:(o,x)=>o&x,nand:(o,x)=>~(o&x),or:(o,x)=>o|x,xor:(o,x)=>o^x,"
      "smax:(o,x,s)=>s(o)>s(x)?o:x,smin:(o,x,s)=>s(o)<s(x)?o:x,umax:(o,x)=>o>x?o:x,umin:(o,x)=>o<x?o:x,uinc_wrap:(o,x)="
      ">o>=x?0n:o+1n,udec_wrap:(o,x)=>o==0n||o>x?x:o-1n};"
      "for(const f of [" +
      js +
      "]){const k=f.lastIndexOf('_'),op=ops[f.slice(0,k)],w=Number(f.slice(k+2));const "
      "u=x=>BigInt.asUintN(w,x),s=x=>BigInt.asIntN(w,x);"
      "for(const a of v)for(const b of v){const o=u(a),n=u(op(o,u(b),s));const "
      "r=w<64?o^(n<<32n):o^BigInt.asUintN(64,n*3n);"
      "const t=BigInt.asIntN(64,r);h=(Math.imul(h,31)+Number(BigInt.asUintN(32,t^(t>>32n))))>>>0}}return h})()";
  for (std::vector<std::string> options :
       {std::vector<std::string>{},
        {"--shared-memory", "--max-memory=131072", "--features=atomics,bulk-memory,mutable-globals,sign-ext"}}) {
    options.insert(options.end(), {"--no-entry", "--export-all", air});
    RunResult r = p.lode(options, "m.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(node(p.bytes("m.wasm"), run + "===" + model) == "true\n");
  }
}

TEST_CASE("wasm link: with --mir-cache, cold, warm and after a change, the module is that of a link without it") {
  LODE_SKIP_IF(llvm_lacks());
  Inputs p;
  const std::string declarations =
      "declare i32 @outside(i32)\n@text = private constant [3 x i8] c\"ab\\00\"\n@n = internal global i32 7\n@other = "
      "alias i32 (i32), ptr @twice\n"
      "@where = thread_local global i32 1\n";
  const std::string twice = "define i32 @twice(i32 %x) {\n  %y = mul i32 %x, 2\n  ret i32 %y\n}\n";
  const std::string wide =
      "define i64 @wide(i64 %x) {\n  %a = zext i64 %x to i128\n  %b = udiv i128 %a, 77\n  %c = trunc i128 %b to i64\n  "
      "ret i64 %c\n}\n";
  const std::string user =
      "define i32 @user(i32 %x) {\n  %a = load i8, ptr @text\n  %b = zext i8 %a to i32\n  %c = load i32, ptr @n\n  %d "
      "= add i32 %b, %c\n"
      "  %e = call i32 @other(i32 %d)\n  %f = call i32 @outside(i32 %e)\n  ret i32 %f\n}\n";
  const std::string first = p.ir("m", declarations + twice + wide + user);
  const std::string cache = p.dir.file("cache"),
                    outside = p.ir("o", "define i32 @outside(i32 %x) {\n  ret i32 %x\n}\n", true);
  const std::string division =
      p.ir("d", "define void @__udivti3(ptr %r, i64 %a, i64 %b, i64 %c, i64 %d) {\n  ret void\n}\n", true);
  for (const std::vector<std::string>& kind :
       {std::vector<std::string>{"--no-entry", "--export=user", "--export=wide"}, {"-r"}}) {
    auto link = [&](const std::string& module, bool with_cache) {
      std::vector<std::string> args = kind;
      args.insert(args.end(), {module, outside, division});
      if (with_cache) args.insert(args.end(), {"--mir-cache=" + cache, "--mir-cache-stats"});
      RunResult r = p.lode(args, "m.wasm");
      INFO(r.describe());
      REQUIRE(r.ok());
      return std::pair(p.bytes("m.wasm"), r.out);
    };
    const auto plain = link(first, false).first;
    auto [cold, made] = link(first, true);
    CHECK(cold == plain);
    CHECK(has(made, "functions made          3\n"));
    auto [warm, taken] = link(first, true);
    CHECK(warm == plain);
    CHECK(has(taken, "functions made          0\n"));
    // Another function, another type, another string: the rest is where it was found.
    const std::string changed = p.ir("m", "@more = private constant [5 x i16] zeroinitializer\n" + declarations +
                                              twice + wide + "define ptr @added() {\n  ret ptr @more\n}\n" + user);
    const auto plain_changed = link(changed, false).first;
    auto [after, few] = link(changed, true);
    INFO(few);
    CHECK(after == plain_changed);
    CHECK(has(few, kind[0] == "-r" ? "functions made          1\n" : "functions made          0\n"));
    CHECK(has(few, "of changed modules    3\n"));
    p.ir("m", declarations + twice + wide + user);
  }
}
