// The options of wasm-ld, beside wasm-ld: for each set of options both link the same objects, and the modules agree in
// what a host sees: imports, exports, limits, start function, layout of data, table contents, custom sections. Both
// refuse what either refuses.
#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>

#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

using Args = std::vector<std::string>;

std::string limits(const fw::Limits& l) {
  return std::to_string(l.min) + (l.flags & fw::limits_flags::has_max ? "-" + std::to_string(l.max) : "") +
         (l.flags & fw::limits_flags::shared ? " shared" : "");
}

// What two linkers should agree on, a line each. Order and numbers of types, functions, globals and data are not part
// of it.
std::string summary(const std::vector<uint8_t>& bytes) {
  auto read = fw::read(bytes);
  if (!read.ok()) return "unreadable: " + read.error().text();
  const fw::Module& m = *read;
  std::vector<std::string> lines;
  static const char* const kinds[] = {"function", "table", "memory", "global", "tag"};
  for (const fw::Import& i : m.imports)
    lines.push_back("import " + std::string(i.module) + "." + std::string(i.name) + " " + kinds[unsigned(i.kind)] +
                    (i.kind == fw::ExternalKind::memory ? " " + limits(i.memory) : ""));
  for (const fw::Export& e : m.exports) {
    lines.push_back("export " + std::string(e.name) + " " + kinds[unsigned(e.kind)]);
  }
  for (const fw::Limits& l : m.memories) lines.push_back("memory " + limits(l));
  for (const fw::TableType& t : m.tables) lines.push_back("table " + limits(t.limits));
  for (const fw::Element& e : m.elements)
    lines.push_back("elements " + std::to_string(e.functions.size()) + " at " + std::to_string(e.offset.value));
  for (const fw::DataSegment& d : m.segments)
    lines.push_back("data " + (d.flags == 1 ? std::string("passive") : std::to_string(uint32_t(d.offset.value))) +
                    " +" + std::to_string(d.end - d.begin));
  if (m.start != ~0u) lines.push_back("start");
  for (const fw::Section& s : m.sections)
    if (s.id == fw::SectionId::custom) lines.push_back("section " + std::string(s.name));
  std::string features;
  for (const fw::FeatureEntry& f : m.features) features += " " + std::string(f.name);
  lines.push_back("features" + features);
  lines.push_back("module " + std::string(m.module_name));
  std::sort(lines.begin(), lines.end());
  std::string out;
  for (const std::string& l : lines) out += l + "\n";
  return out;
}

struct Pair : Project {
  // Links with both, to the same file name.
  std::pair<RunResult, RunResult> both(const Args& args) {
    std::pair<RunResult, RunResult> r;
    std::filesystem::create_directories(dir.file("ours"));
    std::filesystem::create_directories(dir.file("theirs"));
    r.first = lode(args, "ours/m.wasm");
    r.second = wasm_ld(args, "theirs/m.wasm");
    return r;
  }
  void same(const Args& args) {
    std::string command;
    for (const std::string& a : args)
      command += " " + a.substr(a.find_last_of('/') == std::string::npos || a[0] == '-' ? 0 : a.find_last_of('/') + 1);
    INFO(command);
    auto [ours, theirs] = both(args);
    INFO("lode: " << ours.describe() << "\nwasm-ld: " << theirs.describe());
    REQUIRE(ours.ok() == theirs.ok());
    if (!ours.ok()) return;
    CHECK(summary(bytes("ours/m.wasm")) == summary(bytes("theirs/m.wasm")));
    CHECK(valid_wasm(bytes("ours/m.wasm")));
  }
};

const char* program =
    "static int inc(int x){return x+1;} int (*fp)(int)=inc; int datum=5; const char*s1=\"hello world\"; const "
    "char*s2=\"world\";\n"
    "__attribute__((visibility(\"hidden\"))) int hid(int x){return x*2;} int vis(int x){return fp(x)+hid(x);}\n"
    "int bss[100]; __attribute__((export_name(\"exp\"))) int exported(int x){return x+datum+bss[x];}\n"
    "int strings(int i){return (i?s1:s2)[0];} int unused(void){return 9;}\n"
    "__attribute__((constructor)) static void ctor(void){datum++;} void _start(void){datum+=vis(1);}\n";

}  // namespace

TEST_CASE("wasm options: as wasm-ld has them") {
  LODE_SKIP_IF(project_lacks());
  Pair p;
  std::string a = p.compile("a.c", program);
  std::string b = p.compile(
      "b.c", "const char*t1=\"lo world\"; const char*t2=\"hello world\"; int other(void){return t1[0]+t2[1];}");
  std::string bulk = p.compile("bulk.c", program, {"-O1", "-mbulk-memory"});
  std::string undefined =
      p.compile("u.c",
                "extern int ext(int), ext2(int), extdata; __attribute__((weak)) extern int wd; __attribute__((weak)) "
                "int wf(void); int (*p)(int)=ext2;\n"
                "int vis(int x){return ext(x)+extdata+p(x)+(wf?wf():0)+(&wd?wd:1);} void _start(void){vis(1);}");
  std::string allowed = p.dir.write("allowed.txt", "# names\next\next2\nextdata\n");
  for (const Args& options : std::vector<Args>{{},
                                               {"--export-dynamic"},
                                               {"--export=vis"},
                                               {"--export=nowhere"},
                                               {"--export-if-defined=vis", "--export-if-defined=nowhere"},
                                               {"--export=datum", "--export=bss"},
                                               {"--import-memory"},
                                               {"--import-memory=m,n"},
                                               {"--import-memory=m,n", "--export-memory"},
                                               {"--import-memory", "--export-memory=mem"},
                                               {"--export-memory=mem"},
                                               {"--import-table"},
                                               {"--export-table"},
                                               {"--export-table", "--growable-table"},
                                               {"--growable-table"},
                                               {"--import-table", "--export-table"},
                                               {"--table-base=10"},
                                               {"--global-base=4096"},
                                               {"--global-base=4"},
                                               {"--stack-first"},
                                               {"--stack-first", "--global-base=1048576"},
                                               {"--stack-first", "--global-base=16"},
                                               {"-z", "stack-size=131072"},
                                               {"-z", "stack-size=1048576", "--stack-first"},
                                               {"-z", "stack-size=17"},
                                               {"--initial-memory=1048576"},
                                               {"--initial-memory=1048576", "--max-memory=2097152"},
                                               {"--initial-memory=65536"},
                                               {"--initial-memory=100000"},
                                               {"--max-memory=65536"},
                                               {"--max-memory=1000000"},
                                               {"--initial-heap=65536"},
                                               {"--initial-heap=100"},
                                               {"--no-growable-memory"},
                                               {"--no-growable-memory", "--max-memory=2097152"},
                                               {"--entry=vis"},
                                               {"-e", "vis"},
                                               {"--entry=nowhere"},
                                               {"--no-entry"},
                                               {"--no-entry", "--export=vis"},
                                               {"--strip-all"},
                                               {"-s"},
                                               {"--strip-debug"},
                                               {"-S"},
                                               {"--strip-all", "--keep-section=producers"},
                                               {"--strip-all", "--keep-section=name"},
                                               {"--strip-all", "--keep-section=target_features"},
                                               {"--build-id"},
                                               {"--build-id=sha1"},
                                               {"--build-id=0x1234"},
                                               {"--build-id=none"},
                                               {"--build-id=nonsense"},
                                               {"--no-gc-sections", "--export=vis"},
                                               {"--no-merge-data-segments"},
                                               {"--compress-relocations", "--strip-debug"},
                                               {"-O0", "--export=strings"},
                                               {"-O1", "--export=strings"},
                                               {"-O2", "--export=strings"},
                                               {"-O2", "--export=strings", "--export=other"},
                                               {"--features=mutable-globals"},
                                               {"--features=mutable-globals", "--no-check-features"},
                                               {"--extra-features=simd128,bulk-memory"},
                                               {"--extra-features=simd128", "--check-features"},
                                               {"--shared-memory"},
                                               {"--wrap=hid"},
                                               {"--soname=lib"},
                                               {"-u", "unused"},
                                               {"--undefined=nowhere"},
                                               {"--unresolved-symbols=nonsense"},
                                               {"--no-such-option"},
                                               {"-o"}}) {
    Args args{a, b};
    args.insert(args.end(), options.begin(), options.end());
    p.same(args);
  }
  for (const Args& options :
       std::vector<Args>{{"--import-memory"}, {"--import-memory", "--no-merge-data-segments"}, {}}) {
    Args args{bulk};
    args.insert(args.end(), options.begin(), options.end());
    p.same(args);
  }
  for (const Args& options : std::vector<Args>{{},
                                               {"--allow-undefined"},
                                               {"--import-undefined"},
                                               {"--unresolved-symbols=ignore-all"},
                                               {"--unresolved-symbols=report-all"},
                                               {"--warn-unresolved-symbols"},
                                               {"--warn-unresolved-symbols", "--fatal-warnings"},
                                               {"--allow-undefined-file=" + allowed},
                                               {"--allow-undefined-file=nowhere.txt"},
                                               {"--undefined=more", "--allow-undefined"}}) {
    Args args{undefined};
    args.insert(args.end(), options.begin(), options.end());
    p.same(args);
  }
}

TEST_CASE("wasm options: threads, as wasm-ld has them") {
  LODE_SKIP_IF(project_lacks());
  Pair p;
  std::string o =
      p.compile("t.c",
                "_Thread_local int t=5; int g=7; int z[100]; const char*s=\"str\"; __attribute__((constructor)) static "
                "void c(void){g++;} int f(void){return t+g+z[3]+s[0];}\n"
                "int add(int*p){return __atomic_add_fetch(p,1,__ATOMIC_SEQ_CST);}",
                {"-O1", "-matomics", "-mbulk-memory"});
  std::string plain = p.compile("plain.c", "_Thread_local int u=3; int plain(void){return u;}");
  for (const Args& options :
       std::vector<Args>{{"--shared-memory", "--max-memory=1048576"},
                         {"--shared-memory"},
                         {"--shared-memory", "--import-memory", "--max-memory=1048576", "--export=__wasm_init_tls"},
                         {"--shared-memory", "--export=__tls_base", "--export=__tls_size", "--export=__tls_align"},
                         {},
                         {"--features=atomics,bulk-memory", "--shared-memory"},
                         {"--features=mutable-globals", "--shared-memory"},
                         {plain, "--shared-memory"}}) {
    Args args{o, "--no-entry", "--export=f"};
    args.insert(args.end(), options.begin(), options.end());
    p.same(args);
  }
}

TEST_CASE("wasm options: reactors, commands and constructors, as wasm-ld has them") {
  LODE_SKIP_IF(project_lacks());
  Pair p;
  std::string reactor = p.compile(
      "r.c",
      "volatile int g; __attribute__((constructor)) static void c(void){g++;} extern void __wasm_call_ctors(void);\n"
      "void _initialize(void){__wasm_call_ctors();} int get(void){return g;}");
  std::string command =
      p.compile("c.c",
                "volatile int g; __attribute__((constructor(200))) static void late(void){g=g*10+2;} "
                "__attribute__((constructor(101))) static void early(void){g=g*10+1;} int get(void){return g;}");
  for (const Args& options : std::vector<Args>{{reactor, "--entry=_initialize", "--export=get"},
                                               {reactor, "--no-entry", "--export=get"},
                                               {command, "--no-entry", "--export=get"},
                                               {command, "--entry=get"},
                                               {command, "--no-entry", "--export=get", "--export=__wasm_call_ctors"}})
    p.same(options);
  // A command's exports run the constructors each time; a reactor's host runs them once.
  REQUIRE(p.lode({command, "--no-entry", "--export=get"}, "c.wasm").ok());
  CHECK(node(p.bytes("c.wasm"), "[e.get(),e.get()].join()") == "12,1212\n");
  REQUIRE(p.lode({reactor, "--entry=_initialize", "--export=get"}, "r.wasm").ok());
  CHECK(node(p.bytes("r.wasm"), "(e._initialize(),[e.get(),e.get()].join())") == "1,1\n");
}

TEST_CASE("wasm options: what is printed") {
  LODE_SKIP_IF(project_lacks());
  Pair p;
  std::string a = p.compile("a.c", program),
              b = p.compile("b.c", "int gone(void){return 2;} int kept(void){return 1;}"),
              user = p.compile("c.c", "int kept(void); void _start(void){kept();}");
  std::string archive = p.dir.file("l.a");
  REQUIRE(run({"llvm-ar-19", "rcs", archive, b}).ok());
  auto lines = [](const std::string& text) {
    std::vector<std::string> out;
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      // A linker's own functions are its own affair.
      if (text.compare(at, end - at, "removing unused section <internal>:(__wasm_call_ctors)"))
        out.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    std::sort(out.begin(), out.end());
    return out;
  };
  for (const Args& options : std::vector<Args>{{a, "--trace"},
                                               {a, "-t"},
                                               {a, "--print-gc-sections"},
                                               {user, archive, "--trace"},
                                               {user, archive, "--print-gc-sections"},
                                               {user, archive, "-y", "kept"},
                                               {user, archive, "--why-extract=-"}}) {
    auto [ours, theirs] = p.both(options);
    INFO(ours.describe() << theirs.describe());
    CHECK(ours.ok());
    CHECK(lines(ours.out) == lines(theirs.out));
  }
  RunResult r = p.lode({a, "-Map=" + p.dir.file("map")}, "m.wasm");
  REQUIRE(r.ok());
  std::string map = read_file(p.dir.file("map"));
  for (const char* name : {"(exported)", "(_start)", ".data", "a.c.o"}) CHECK(map.find(name) != std::string::npos);
  CHECK(map.find("(unused)") == std::string::npos);
}

TEST_CASE("wasm link: equal strings and ends of strings are stored once") {
  LODE_SKIP_IF(project_lacks());
  Pair p;
  for (Args flags : std::vector<Args>{{"-O1"}, {"-O1", "-emit-llvm"}}) {
    std::string a = p.compile("a.c",
                              "const char*a(void){return \"hello world\";} const char*b(void){return \"world\";} const "
                              "char*c(void){return \"d\";}",
                              flags);
    std::string b = p.compile("b.c",
                              "const char*d(void){return \"hello world\";} const char*e(void){return \"or\";} const "
                              "__WCHAR_TYPE__*w(void){return L\"d\";}",
                              flags);
    Args args{a, b, "--no-entry", "--export=a", "--export=b", "--export=c", "--export=d", "--export=e", "--export=w"};
    auto bytes_of = [](const std::vector<uint8_t>& module) {
      fw::Module m = read_back(module);
      uint64_t n = 0;
      for (const fw::DataSegment& d : m.segments) n += d.end - d.begin;
      return n;
    };
    REQUIRE(p.lode(args, "m.wasm").ok());
    std::vector<uint8_t> merged = p.bytes("m.wasm");
    CHECK(bytes_of(merged) <= 12 + 3 + 8 + 3);  // and padding
    CHECK(node(merged,
               "(()=>{const m=new Uint8Array(e.memory.buffer);const s=p=>{let "
               "r='';while(m[p])r+=String.fromCharCode(m[p++]);return r};"
               "return [e.a(),e.b(),e.c(),e.d(),e.e(),e.w()].map(s).join()+(e.a()==e.d())+e.w()%4})()") ==
          "hello world,world,d,hello world,or,dtrue0\n");
    args.push_back("-O0");
    REQUIRE(p.lode(args, "m.wasm").ok());
    CHECK(bytes_of(p.bytes("m.wasm")) > bytes_of(merged));
  }
}

TEST_CASE("wasm link: an imported memory that was used before gets its zeroes") {
  LODE_SKIP_IF(project_lacks());
  Pair p;
  for (Args flags : std::vector<Args>{{"-O1"}, {"-O1", "-mbulk-memory"}, {"-O1", "-emit-llvm", "-mbulk-memory"}}) {
    std::string o =
        p.compile("z.c", "int zero[1000], one=1; int f(int i){return zero[i]+one;} void set(int i){zero[i]=1;}", flags);
    REQUIRE(p.lode({o, "--no-entry", "--export=f", "--export=set", "--import-memory"}, "m.wasm").ok());
    std::vector<uint8_t> module = p.bytes("m.wasm");
    CHECK(valid_wasm(module));
    std::string path = p.dir.file("m.wasm");
    RunResult r = run({"node", "-e",
                       "const memory=new WebAssembly.Memory({initial:2});new Uint8Array(memory.buffer).fill(255);"
                       "const e=new WebAssembly.Instance(new WebAssembly.Module(require('fs').readFileSync('" +
                           path + "')),{env:{memory}}).exports;console.log(e.f(0),e.f(999))"});
    CHECK(r.out == "1 1\n");
  }
}
