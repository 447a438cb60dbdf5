// The wasm linker on what clang makes: objects, archives and bitcode, with wasi-libc, run under node's WASI; and lode's
// objects linked by wasm-ld. Skipped where the tools are absent.
#include <catch2/catch.hpp>

#include <array>

#include "tests/support/node.h"
#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

const char* hello =
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    "static int cmp(const void*a,const void*b){return strcmp(*(char**)a,*(char**)b);}\n"
    "__attribute__((constructor)) static void first(void){puts(\"constructed\");}\n"
    "__attribute__((destructor)) static void last(void){puts(\"destructed\");}\n"
    "int table[1000]; const char*names[]={\"b\",\"c\",\"a\"};\n"
    "int main(void){qsort(names,3,sizeof*names,cmp);table[999]=4;printf(\"%s%s%s %g "
    "%d\\n\",names[0],names[1],names[2],3.25,table[999]);return 3;}\n";
const char* hello_says = "constructed\nabc 3.25 4\ndestructed\n";

}  // namespace

TEST_CASE("wasm link: C with wasi-libc, from objects and from bitcode, linked directly and through an object") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  for (std::vector<std::string> flags :
       std::vector<std::vector<std::string>>{{"-O1"}, {"-O0"}, {"-O1", "-emit-llvm"}, {"-O0", "-emit-llvm"}}) {
    std::string o = p.compile("hello.c", hello, flags);
    for (std::vector<std::string> options :
         std::vector<std::vector<std::string>>{{},
                                               {"--stack-first", "-z", "stack-size=1048576"},
                                               {"--export-all"},
                                               {"--no-gc-sections", "--allow-undefined"},
                                               {"--no-merge-data-segments"}}) {
      std::vector<std::string> args = p.with_libc({o});
      args.insert(args.end(), options.begin(), options.end());
      RunResult r = p.lode(args, "direct.wasm");
      INFO(r.describe());
      REQUIRE(r.ok());
      RunResult ran = p.wasi("direct.wasm");
      CHECK(ran.status == 3);
      CHECK(ran.out == hello_says);
    }
    RunResult r = p.lode({"-r", o}, "hello.r.o");
    INFO(r.describe());
    REQUIRE(r.ok());
    r = p.wasm_ld(p.with_libc({p.dir.file("hello.r.o")}), "through.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    RunResult ran = p.wasi("through.wasm");
    CHECK(ran.status == 3);
    CHECK(ran.out == hello_says);
    r = p.lode(p.with_libc({p.dir.file("hello.r.o")}), "again.wasm");
    REQUIRE(r.ok());
    CHECK(p.wasi("again.wasm").out == hello_says);
  }
}

TEST_CASE("wasm link: code of objects is no longer than wasm-ld makes it with --compress-relocations") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  std::string o = p.compile("hello.c", hello);
  REQUIRE(p.lode(p.with_libc({o}), "ours.wasm").ok());
  std::vector<std::string> args = p.with_libc({o});
  args.push_back("--compress-relocations");
  REQUIRE(p.wasm_ld(args, "theirs.wasm").ok());
  std::vector<uint8_t> ours = p.bytes("ours.wasm"), theirs = p.bytes("theirs.wasm");
  fw::Module a = read_back(ours), b = read_back(theirs);
  CHECK(a.sections[a.code_section].size <= b.sections[b.code_section].size);
  CHECK(a.functions.size() <= b.functions.size());
}

TEST_CASE("wasm link: debug information keeps the code of objects as it is") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  std::string o = p.compile("t.c", "int g; int f(int x){return g+x;} int k(int x){return f(x)+f(x+1);}", {"-g", "-O0"});
  RunResult r = p.lode({o, "--no-entry", "--export=k"}, "ours.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  REQUIRE(p.wasm_ld({o, "--no-entry", "--export=k"}, "theirs.wasm").ok());
  LODE_NEEDS("llvm-dwarfdump-19");
  RunResult ours = run({"llvm-dwarfdump-19", "--verify", p.dir.file("ours.wasm")});
  INFO(ours.describe());
  CHECK(ours.ok());
  // The same rows, file by file: the code has the same addresses up to the order of functions.
  auto rows = [&](const char* name) {
    RunResult d = run({"llvm-dwarfdump-19", "--debug-info", p.dir.file(name)});
    size_t n = 0;
    for (size_t at = 0; (at = d.out.find("DW_AT_low_pc\t(0x0", at)) != std::string::npos; at++) n++;
    return n;
  };
  CHECK(rows("ours.wasm") == rows("theirs.wasm"));
}

TEST_CASE("wasm link: archives give what is needed, weak names give way, comdats come once") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  std::string main = p.compile(
      "main.c",
      "int strong(void); __attribute__((weak)) int maybe(void); __attribute__((weak)) int chosen(void){return 1;}\n"
      "int run(void){return strong()*100+(maybe?maybe():7)*10+chosen();}");
  std::string a = p.compile("a.c", "int strong(void){return 4;} int chosen(void){return 2;}");
  std::string b = p.compile("b.c", "int maybe(void){return 9;} int unused(void){return 1;}");
  std::string archive = p.dir.file("lib.a");
  REQUIRE(run({"llvm-ar-19", "rcs", archive, a, b}).ok());
  RunResult r = p.lode({main, archive, "--no-entry", "--export=run"}, "t.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(node(p.bytes("t.wasm"), "e.run()") == "472\n");  // a weak reference takes no member
  REQUIRE(p.lode({archive, main, "--no-entry", "--export=run"}, "t.wasm").ok());
  CHECK(node(p.bytes("t.wasm"), "e.run()") == "472\n");
  REQUIRE(p.lode({main, "--whole-archive", archive, "--no-entry", "--export=run"}, "t.wasm").ok());
  CHECK(node(p.bytes("t.wasm"), "e.run()") == "492\n");
  REQUIRE(p.lode({main, "--start-lib", a, b, "--end-lib", "--no-entry", "--export=run"}, "t.wasm").ok());
  CHECK(node(p.bytes("t.wasm"), "e.run()") == "472\n");

  // Bitcode between the two, and in archives: an index that was made without knowing of it lacks its names, or there is
  // none.
  std::string ab = p.compile("a.c", "int strong(void){return 4;} int chosen(void){return 2;}", {"-O1", "-emit-llvm"});
  std::string bb = p.compile("b.c", "int maybe(void){return 9;} int unused(void){return 1;}", {"-O1", "-emit-llvm"});
  r = p.lode({main, "--start-lib", ab, bb, "--end-lib", "--no-entry", "--export=run"}, "t.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(node(p.bytes("t.wasm"), "e.run()") == "472\n");
  b = p.compile("b.c", "int maybe(void){return 9;} int unused(void){return 1;}");
  for (const char* tool : {"ar", "llvm-ar-19"})  // binutils' knows neither format and makes no index
    for (const char* flags : {"rcs", "rcS"}) {
      std::string mixed = p.dir.file("mixed.a");
      std::filesystem::remove(mixed);
      if (!part_needs({tool})) continue;
      REQUIRE(run({tool, flags, mixed, ab, b}).ok());
      r = p.lode({main, mixed, "--no-entry", "--export=run"}, "t.wasm");
      INFO(r.describe());
      REQUIRE(r.ok());
      CHECK(node(p.bytes("t.wasm"), "e.run()") == "472\n");
    }
  r = p.lode({main, "--start-lib", p.dir.write("cut.bc", read_file(ab).substr(0, 200)), "--end-lib", "--no-entry",
              "--export=run"},
             "t.wasm");
  CHECK(r.status == 1);
  CHECK(r.err.find("cut.bc") != std::string::npos);

  // Thin archives hold names of files.
  for (const char* flags : {"rcsT", "rcST"}) {
    std::string thin = p.dir.file("thin.a");
    std::filesystem::remove(thin);
    REQUIRE(run({"llvm-ar-19", flags, thin, ab, b}).ok());
    REQUIRE(p.lode({main, thin, "--no-entry", "--export=run"}, "t.wasm").ok());
    CHECK(node(p.bytes("t.wasm"), "e.run()") == "472\n");
    REQUIRE(p.lode({main, "--whole-archive", thin, "--no-entry", "--export=run"}, "t.wasm").ok());
    CHECK(node(p.bytes("t.wasm"), "e.run()") == "492\n");
    std::filesystem::rename(ab, ab + ".away");
    r = p.lode({main, thin, "--no-entry", "--export=run"}, "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("cannot open " + ab) != std::string::npos);
    std::filesystem::rename(ab + ".away", ab);
  }

  const char* inline_source =
      "struct C { int v; C(int x):v(x){} virtual int f(){ return v; } }; template<class T> T twice(T x){return x+x;}\n";
  for (std::vector<std::string> flags : std::vector<std::vector<std::string>>{
           {"-O0", "-fno-exceptions", "-fno-rtti"}, {"-O0", "-fno-exceptions", "-fno-rtti", "-emit-llvm"}}) {
    std::string x = p.compile(
        "x.cc",
        std::string(inline_source) + "C first(5); extern \"C\" int x(){ C c(3); C* q=&c; return twice(q->f()); }",
        flags);
    std::string y =
        p.compile("y.cc",
                  std::string(inline_source) +
                      "extern C first; extern \"C\" int x(); extern \"C\" int y(){ return twice(x())+first.f(); }",
                  flags);
    r = p.lode({x, y, "--no-entry", "--export=y"}, "t.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(node(p.bytes("t.wasm"), "e.y()") == "17\n");  // the constructor ran: the module is a command
    REQUIRE(p.lode({"-r", x}, "x.r.o").ok());
    REQUIRE(p.lode({"-r", y}, "y.r.o").ok());
    r = p.wasm_ld({p.dir.file("x.r.o"), p.dir.file("y.r.o"), "--no-entry", "--export=y"}, "t.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(node(p.bytes("t.wasm"), "e.y()") == "17\n");
  }
}

TEST_CASE("wasm link: bad inputs are errors or warnings with names") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  SECTION("an undefined function") {
    RunResult r =
        p.lode({p.compile("a.c", "int gone(void); int f(void){return gone();}"), "--no-entry", "--export=f"}, "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("undefined symbol: gone") != std::string::npos);
    CHECK(r.err.find("a.c.o") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(p.dir.file("t.wasm")));
  }
  SECTION("an undefined entry") {
    RunResult r = p.lode({p.compile("a.c", "int f(void){return 1;}")}, "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("_start") != std::string::npos);
  }
  SECTION("a signature that does not fit") {
    std::string a = p.compile("a.c", "int f(int x){return x;}"),
                b = p.compile("b.c", "int f(void); int g(void){return f();}");
    RunResult r = p.lode({a, b, "--no-entry", "--export=g"}, "t.wasm");
    CHECK(r.ok());
    CHECK(r.err.find("function signature mismatch: f") != std::string::npos);
    CHECK(r.err.find("(i32) -> i32") != std::string::npos);
    CHECK(r.err.find("() -> i32") != std::string::npos);
    CHECK(p.lode({a, b, "--no-entry", "--export=g", "--fatal-warnings"}, "u.wasm").status == 1);
  }
  SECTION("a duplicate definition") {
    std::string a = p.compile("a.c", "int f(void){return 1;}"), b = p.compile("b.c", "int f(void){return 2;}");
    RunResult r = p.lode({a, b, "--no-entry", "--export=f"}, "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("duplicate symbol: f") != std::string::npos);
    CHECK(r.err.find("b.c.o") != std::string::npos);
  }
  SECTION("a feature that is not allowed") {
    RunResult r = p.lode({p.compile("a.c", "int f(double x){return x;}", {"-mnontrapping-fptoint"}), "--no-entry",
                          "--export=f", "--features=mutable-globals"},
                         "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("'nontrapping-fptoint'") != std::string::npos);
    CHECK(r.err.find("a.c.o") != std::string::npos);
  }
  SECTION("a feature that is not allowed, in bitcode") {
    for (auto [source, flag, feature] :
         {std::array{"int f(double x){return x;}", "-mnontrapping-fptoint", "nontrapping-fptoint"},
          {"typedef int v __attribute__((vector_size(16))); void f(v*p){*p=*p+*p;}", "-msimd128", "simd128"},
          {"int g(int); int f(int x){__attribute__((musttail)) return g(x);} int g(int x){return x;}", "-mtail-call",
           "tail-call"}}) {
      std::string o = p.compile("a.c", source, {"-O1", flag, "-emit-llvm"});
      RunResult r = p.lode(
          {o, "--no-entry", "--export=f", "--features=mutable-globals,sign-ext,multivalue,reference-types"}, "t.wasm");
      CHECK(r.status == 1);
      CHECK(r.err.find("Target feature '" + std::string(feature) + "' used by") != std::string::npos);
      CHECK(r.err.find("a.c.o") != std::string::npos);
      r = p.lode({o, "--no-entry", "--export=f"}, "t.wasm");
      INFO(r.describe());
      CHECK(r.ok());
    }
    // Thread-local data without atomics became ordinary: such code forbids a shared memory.
    std::string tls = p.compile("tls.c", "_Thread_local int u=3; int f(void){return u;}", {"-O1", "-emit-llvm"});
    RunResult r = p.lode(
        {tls, "--no-entry", "--export=f", "--shared-memory",
         "--features=atomics,bulk-memory,mutable-globals,sign-ext,multivalue,reference-types", "--max-memory=1048576"},
        "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("--shared-memory is disallowed by") != std::string::npos);
    CHECK(r.err.find("tls.c.o") != std::string::npos);
  }
  SECTION("an import without a module, and a function without either") {
    for (const char* kind : {"-c", "-emit-llvm"}) {
      // A name alone is imported from env, as wasm-ld has it; nothing at all is undefined.
      std::string named =
          p.compile("a.c", "__attribute__((import_name(\"outer\"))) int inner(int); int f(int x){return inner(x);}",
                    {"-O1", kind});
      RunResult r = p.lode({named, "--no-entry", "--export=f"}, "t.wasm");
      INFO(r.describe());
      REQUIRE(r.ok());
      std::vector<uint8_t> bytes = p.bytes("t.wasm");
      fw::Module m = read_back(bytes);
      REQUIRE(m.imports.size() == 1);
      CHECK(m.imports[0].module == "env");
      CHECK(m.imports[0].name == "outer");
      r = p.lode({p.compile("b.c", "int nowhere(int); int f(int x){return nowhere(x);}", {"-O1", kind}), "--no-entry",
                  "--export=f"},
                 "t.wasm");
      CHECK(r.status == 1);
      CHECK(r.err.find("undefined symbol: nowhere") != std::string::npos);
      CHECK(r.err.find("b.c.o") != std::string::npos);
    }
  }
  SECTION("a call through a type that nothing has") {
    // The table has functions, none of this type: the module is valid and the call traps.
    for (const char* kind : {"-c", "-emit-llvm"}) {
      std::string o = p.compile("a.c",
                                "void h(void){} void (*volatile table)(void)=h; double f(void){return "
                                "((double(*)(float,long long))table)(1,2);}",
                                {"-O1", kind});
      RunResult r = p.lode({o, "--no-entry", "--export=f"}, "t.wasm");
      INFO(r.describe());
      REQUIRE(r.ok());
      std::string got = node(p.bytes("t.wasm"), "(()=>{try{e.f()}catch(x){return x.constructor.name}})()");
      CHECK(got == "RuntimeError\n");
    }
  }
  SECTION("exceptions and setjmp, in bitcode") {
    std::string o = p.compile("a.cc", "int g(int); extern \"C\" int f(int x){try{return g(x);}catch(int e){return e;}}",
                              {"-O1", "-fexceptions", "-fwasm-exceptions", "-emit-llvm"});
    RunResult r = p.lode({o, "--no-entry", "--export=f", "--allow-undefined"}, "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("'f'") != std::string::npos);
    CHECK(r.err.find("a.cc.o") != std::string::npos);
  }
  SECTION("shared memory without atomics") {
    RunResult r =
        p.lode({p.compile("a.c", "int f(void){return 1;}"), "--no-entry", "--export=f", "--shared-memory"}, "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("'atomics'") != std::string::npos);
  }
  SECTION("a memory that is too small for its data") {
    RunResult r = p.lode({p.compile("a.c", "int a[100000]={1}; int f(int i){return a[i];}"), "--no-entry", "--export=f",
                          "--initial-memory=65536"},
                         "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("initial memory too small") != std::string::npos);
  }
  SECTION("data beyond the address space") {
    RunResult r = p.lode(
        {p.compile(
             "a.c",
             "int f(void){return 1;} extern char*p; char a[4000000000u], b[4000000000u]; char*g(int i){return i?a:b;}",
             {"-emit-llvm"}),
         "--no-entry", "--export=g"},
        "t.wasm");
    CHECK(r.status == 1);
    CHECK(r.err.find("address space") != std::string::npos);
  }
  SECTION("an input that is something else, cut short, or absent") {
    CHECK(p.lode({p.dir.write("x.o", "hello")}, "t.wasm").status == 1);
    std::string whole = read_file(p.compile("a.c", hello));
    for (size_t n : {size_t(8), size_t(20), whole.size() / 2, whole.size() - 1}) {
      RunResult r = p.lode({p.dir.write("cut.o", whole.substr(0, n)), "--no-entry"}, "t.wasm");
      CHECK(r.status == 1);
      CHECK(r.err.find("cut.o") != std::string::npos);
    }
    CHECK(p.lode({p.dir.file("absent.o")}, "t.wasm").err.find("absent.o") != std::string::npos);
    CHECK(p.lode({"-labsent"}, "t.wasm").err.find("-labsent") != std::string::npos);
  }
}

TEST_CASE("wasm link: wrapping, imports and exports") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  std::string a = p.compile("a.c",
      "__attribute__((import_module(\"host\"),import_name(\"log\"))) int host_log(int);\n"
      "int inner(int x){return x+1;} int __real_inner(int); int __wrap_inner(int x){return __real_inner(x)*10;}\n"
      "__attribute__((export_name(\"public\"))) int f(int x){return host_log(x);}\n"
      "int datum=42; int *address(void){return &datum;}");
  std::string b = p.compile("b.c", "int inner(int); int g(int x){return inner(x);}");
  RunResult r =
      p.lode({a, b, "--no-entry", "--wrap=inner", "--export=g", "--export=datum", "--export=address"}, "t.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  fw::Module m;
  std::vector<uint8_t> bytes = p.bytes("t.wasm");
  m = read_back(bytes);
  REQUIRE(m.imports.size() == 1);
  CHECK(m.imports[0].module == "host");
  CHECK(m.imports[0].name == "log");
  TempDir dir;
  std::string path = dir.write("m.wasm", std::string(bytes.begin(), bytes.end()));
  r = run({"node", "-e",
           "const e=new WebAssembly.Instance(new WebAssembly.Module(require('fs').readFileSync('" + path +
               "')),{host:{log:x=>x*2}}).exports;console.log(e.public(4),e.g(1),e.datum.value===e.address())"});
  CHECK(r.out == "8 20 true\n");
}

TEST_CASE("wasm link: thread-local data in a shared memory") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  std::string o = p.compile("t.c", "_Thread_local int t=5; int g=7; int z[100]; int f(void){return t+g+z[3];}",
                            {"-O1", "-matomics", "-mbulk-memory"});
  RunResult r = p.lode(
      {o, "--no-entry", "--export=f", "--export=__wasm_init_tls", "--shared-memory", "--max-memory=1048576"}, "t.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(node(p.bytes("t.wasm"), "e.f()") == "12\n");
}

TEST_CASE("wasm link: tail calls use no stack, and are an error where the code may not use them") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  const char* source =
      "int odd(unsigned n,int x); int even(unsigned n,int x){if(!n)return x;__attribute__((musttail))return "
      "odd(n-1,x+1);}\n"
      "int odd(unsigned n,int x){if(!n)return -x;__attribute__((musttail))return even(n-1,x+1);}\n"
      "typedef int (*fn)(unsigned,int); fn volatile fp=even; int indirect(unsigned n,int "
      "x){__attribute__((musttail))return fp(n,x);} int f(int n){return indirect(n,0);}";
  for (const char* level : {"-O0", "-O2"}) {
    INFO(level);
    std::string bitcode = p.compile("a.c", source, {level, "-mtail-call", "-emit-llvm"});
    REQUIRE(p.lode({bitcode, "--no-entry", "--export=f"}, "t.wasm").ok());
    std::vector<uint8_t> bytes = p.bytes("t.wasm");
    const std::vector<std::string>& runner = node_with_tail_calls();
    if (!runner.empty()) CHECK(node(bytes, "[e.f(1000000),e.f(1000001)].join()", runner) == "1000000,-1000001\n");
    fw::Module m = read_back(bytes);
    bool named = false;
    for (const fw::FeatureEntry& x : m.features) named |= x.name == "tail-call";
    CHECK(named);
    REQUIRE(p.lode({bitcode, "-r"}, "r.o").ok());
    REQUIRE(p.wasm_ld({p.dir.file("r.o"), "--no-entry", "--export=f"}, "u.wasm").ok());
    if (!runner.empty()) CHECK(node(p.bytes("u.wasm"), "e.f(1000001)", runner) == "-1000001\n");
  }
  RunResult r = p.lode({p.compile("a.c", source, {"-O0", "-emit-llvm"}), "--no-entry", "--export=f"}, "t.wasm");
  CHECK(r.status == 1);
  CHECK(r.err.find("musttail") != std::string::npos);
  CHECK(r.err.find("tail-call") != std::string::npos);
  CHECK(r.err.find("'indirect'") != std::string::npos);
}
