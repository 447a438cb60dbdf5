// The stack protector: the functions that clang guards are guarded, and what runs over its array ends the program.
#include <catch2/catch.hpp>

#include <set>

#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

const char* source =
    "void use(void*); int sum(const char*);\n"
    "int chars(int n){ char b[16]; use(b); return b[n]; }\n"
    "int few_chars(int n){ char b[4]; use(b); return b[n]; }\n"
    "int words(int n){ int b[16]; use(b); return b[n]; }\n"
    "int taken(int n){ int x=n; use(&x); return x; }\n"
    "int in_struct(int n){ struct { int a; char b[12]; } s; use(&s); return s.b[n]; }\n"
    "int variable(int n){ char b[n]; use(b); return b[0]; }\n"
    "int plain(int n){ return n*3; }\n"
    "int several(int n){ char b[64]; if(n==1) return 1; use(b); if(n==2) return sum(b); use(b); return b[n]; }\n"
    "int passed(int n){ char b[64]; use(b); return sum(b); }\n";
const char* library =
    "unsigned long __stack_chk_guard=0x5a17c0de; int failed; void __stack_chk_fail(void){ failed=1; __builtin_trap(); "
    "}\n"
    "int writes; void use(void*p){ for(int i=0;i<writes;i++) ((volatile char*)p)[i]=1; } int sum(const char*s){ return "
    "s[0]; }\n"
    "int set(int n){ writes=n; return 0; } int has_failed(void){ return failed; }\n";

// Names of the functions that call __stack_chk_fail.
std::set<std::string> guarded(const std::string& module) {
  std::string text = run({"wasm-objdump", "-d", module}).out, name;
  std::set<std::string> out;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    size_t open = line.find(" <");
    if (line.find("func[") != std::string::npos && line.find('|') == std::string::npos && open != std::string::npos)
      name = line.substr(open + 2, line.find('>') - open - 2);
    if (line.find("call ") != std::string::npos && line.find("<__stack_chk_fail>") != std::string::npos)
      out.insert(name);
  }
  return out;
}

}  // namespace

TEST_CASE("wasm: the stack protector guards what clang guards") {
  LODE_SKIP_IF(project_lacks({"wasm-objdump"}));
  Project p;
  std::string lib = p.compile("lib.c", library, {"-O1"});
  for (const char* level : {"-fstack-protector", "-fstack-protector-strong"})
    for (const char* optimisation : {"-O0", "-O1"}) {
      INFO(level << " " << optimisation);
      std::vector<std::string> flags{optimisation, level}, bitcode{optimisation, level, "-emit-llvm"};
      std::string native = p.compile("n.c", source, flags), ir = p.compile("i.c", source, bitcode);
      std::vector<std::string> options{"--no-entry", "--export-all", lib};
      std::vector<std::string> theirs = options, ours = options;
      theirs.push_back(native);
      ours.push_back(ir);
      REQUIRE(p.wasm_ld(theirs, "theirs.wasm").ok());
      RunResult r = p.lode(ours, "ours.wasm");
      INFO(r.describe());
      REQUIRE(r.ok());
      std::set<std::string> a = guarded(p.dir.file("ours.wasm")), b = guarded(p.dir.file("theirs.wasm"));
      CHECK_FALSE(b.empty());
      for (const std::string& name : b) CHECK(a.count(name));
      if (std::string(optimisation) != "-O0") CHECK_FALSE(a.count("plain"));
      // Inside the array all is well; beyond it the program ends by __stack_chk_fail.
      for (const char* call : {"chars(3)", "several(5)", "several(2)", "passed(1)"}) {
        INFO(call);
        CHECK(node(p.bytes("ours.wasm"), "e.set(16)+e." + std::string(call)) == "1\n");
        CHECK(node(p.bytes("ours.wasm"), "(()=>{e.set(200);try{e." + std::string(call) +
                                             ";return 'returned'}catch(x){return x.message+e.has_failed()}})()") ==
              "unreachable1\n");
      }
    }
}
