// What producers ask of code (codegen/import/requests.h): each row that says "honoured" is seen at work here or in a
// test that is named here; what is refused names itself and the function; what is not known is one warning.
//
// Most effects show in an object that lode makes of a small piece of IR, with the request and without it.
#include "codegen/import/requests.h"

#include <catch2/catch.hpp>
#include <regex>
#include <set>
#include <span>

#include "tests/link/elf_link_support.h"

using namespace lode;
using namespace lode::test;
using namespace lode::test::elf;

namespace {

const std::string head = "target triple = \"x86_64-unknown-linux-gnu\"\n";
const std::string externals = "declare void @g()\ndeclare void @h(ptr)\n";

// IR as an object of bitcode. `flags`: module flags, as "!{i32 1, !\"name\", i32 1}".
std::string bitcode(const TempDir& dir, const std::string& name, const std::string& ir, const Args& flags = {}) {
  std::string text = head + ir + "\n", list;
  for (size_t k = 0; k < flags.size(); k++) {
    text += "!" + std::to_string(100 + k) + " = " + flags[k] + "\n";
    list += (k ? ", !" : "!") + std::to_string(100 + k);
  }
  if (!flags.empty()) text += "!llvm.module.flags = !{" + list + "}\n";
  const std::string file = dir.write(name + ".ll", text), o = dir.file(name + ".o");
  RunResult r =
      run({"clang-19", "-w", "-x", "ir", "-c", "-emit-llvm", "-Xclang", "-disable-llvm-passes", file, "-o", o});
  INFO(text);
  INFO(r.describe());
  REQUIRE(r.ok());
  return o;
}

// Code, relocations, sections and notes of the object that lode makes.
std::string listing(const TempDir& dir, const std::string& o) {
  const std::string out = dir.file("out.o");
  RunResult l = link({"-r", o, "-o", out});
  INFO(l.describe());
  CHECK(l.ok());
  if (!l.ok()) return {};
  return run({"objdump", "-dr", "--no-show-raw-insn", out}).out + readelf({"-S", "-s", "-n"}, out) +
         run({"objdump", "-s", "-j", ".gcc_except_table.f", out}).out;
}

bool found(const std::string& text, const std::string& needle) { return std::regex_search(text, std::regex(needle)); }

struct Effect {
  const char* table;   // enum, string, feature, convention, bundle, flag
  const char* row;
  const char* ir;      // with @@ where the request stands
  const char* request;
  const char* needle;  // in the listing with the request and not without it; "!" in front: the other way round; "=":
                       // there with it, not looked for without; "": the listings differ
  const char* flag = nullptr;  // a module flag both have
};

const char* const switching = R"(define void @f(i32 %x) #0 {
  switch i32 %x, label %z [ i32 0, label %a i32 1, label %b i32 2, label %c i32 3, label %d i32 4, label %e ]
a: call void @h(ptr null) ret void
b: call void @g() ret void
c: call void @g() call void @h(ptr null) ret void
d: call void @g() call void @g() ret void
e: call void @g() call void @g() call void @g() ret void
z: ret void }
attributes #0 = { nounwind @@ })";
const char* const plain = "define void @f() #0 { call void @g() ret void }\nattributes #0 = { nounwind @@ }";
const char* const copying = R"(declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define void @f(ptr %d, ptr %s) #0 { call void @llvm.memcpy.p0.p0.i64(ptr %d, ptr %s, i64 32, i1 false) ret void }
attributes #0 = { nounwind @@ })";
const char* const guarded =
    "define void @f() #0 { %a = alloca [16 x i8] call void @h(ptr %a) ret void }\nattributes #0 = { nounwind @@ }";
const char* const guarded_always = "@mine = external dso_local global i64\ndefine void @f() sspreq { ret void }\n@@";
const char* const large =
    "define void @f() #0 { %a = alloca [40000 x i8] call void @h(ptr %a) ret void }\nattributes #0 = { nounwind @@ }";
const char* const pointing =
    "define void @f(ptr %p) #0 { call void %p() call void @g() ret void }\nattributes #0 = { nounwind @@ }";
const char* const throwing = R"(declare i32 @__gxx_personality_v0(...)
define void @f() personality ptr @__gxx_personality_v0 {
  call void @g() @@
  invoke void @g() to label %n unwind label %u
n: ret void
u: %l = landingpad { ptr, i32 } cleanup
  resume { ptr, i32 } %l })";
const char* const marked = "!{i32 8, !\"cf-protection-branch\", i32 1}";

const Effect effects[] = {
    {"enum", "align",
     "declare void @k(ptr byval([24 x i8]), ptr byval([24 x i8]) @@)\ndefine void @f(ptr %a, ptr %b) {\n"
     "call void @k(ptr byval([24 x i8]) %a, ptr byval([24 x i8]) @@ %b) ret void }",
     "align 32", "0x30\\(%rsp\\)"},
    {"enum", "byval", "define void @f(ptr %a) { call void @h(ptr @@ %a) ret void }", "byval([24 x i8])", ",\\(%rsp\\)"},
    {"enum", "nest", "define void @f(ptr %a) { call void @h(ptr @@ %a) ret void }", "nest", "%r10"},
    {"enum", "signext", "declare void @k(i8)\ndefine void @f(i8 %x) { call void @k(i8 @@ %x) ret void }", "signext",
     "movs"},
    {"enum", "zeroext", "declare void @k(i8)\ndefine void @f(i8 %x) { call void @k(i8 @@ %x) ret void }", "zeroext",
     "movz"},
    {"enum", "sret", "define void @f(ptr @@ %p) { store i64 1, ptr %p ret void }", "sret(i64)", "%rdi,%rax"},
    {"enum", "elementtype", "define void @f(ptr %p) { call void asm \"movl $$1, $0\", \"=*m\"(ptr @@ %p) ret void }",
     "elementtype(i32)", "=\\$0x1,\\(%rdi\\)"},
    {"enum", "noredzone",
     "define i32 @f() @@ { %a = alloca i32 store volatile i32 1, ptr %a %x = load volatile i32, ptr %a ret i32 %x }",
     "noredzone", "push|sub +\\$"},
    {"enum", "nounwind", throwing, "nounwind", ""},
    {"enum", "returns_twice", "define void @f() { tail call void @g() @@ ret void }", "returns_twice", "call"},
    {"enum", "nocf_check", "define void @f() @@ { ret void }", "nocf_check", "!endbr64", marked},
    {"string", "no-jump-tables", switching, "\"no-jump-tables\"=\"true\"", "!jmp +\\*"},
    {"string", "patchable-function-entry", plain, "\"patchable-function-entry\"=\"5\"", "nopl? +0x0\\(%rax,%rax,1\\)"},
    {"string", "patchable-function-prefix", plain,
     "\"patchable-function-prefix\"=\"3\" \"patchable-function-entry\"=\"2\"", "3 <f>:"},
    {"string", "patchable-function-entry-section", plain,
     "\"patchable-function-entry\"=\"5\" \"patchable-function-entry-section\"=\"mine\"", " mine "},
    {"string", "fentry-call", plain, "\"fentry-call\"=\"true\"", "__fentry__"},
    {"string", "instrument-function-entry", plain, "\"instrument-function-entry\"=\"__cyg_profile_func_enter\"",
     "__cyg_profile_func_enter"},
    {"string", "instrument-function-exit", plain, "\"instrument-function-exit\"=\"__cyg_profile_func_exit\"",
     "__cyg_profile_func_exit"},
    {"string", "instrument-function-entry-inlined", plain, "\"instrument-function-entry-inlined\"=\"mcount\"",
     "mcount"},
    {"string", "instrument-function-exit-inlined", plain,
     "\"instrument-function-exit-inlined\"=\"__cyg_profile_func_exit\"", "__cyg_profile_func_exit"},
    {"string", "disable-tail-calls",
     "define void @f() #0 { tail call void @g() ret void }\nattributes #0 = { nounwind @@ }",
     "\"disable-tail-calls\"=\"true\"", "call"},
    {"bundle", "kcfi", "define void @f(ptr %p) { call void %p() @@ ret void }", "[ \"kcfi\"(i32 12345) ]", "ud2"},
    {"flag", "cf-protection-branch", "define void @f() { ret void }\n@@", marked, "endbr64"},
    {"flag", "cf-protection-return", "define void @f() { ret void }\n@@", "!{i32 8, !\"cf-protection-return\", i32 1}",
     "SHSTK"},
    {"flag", "kcfi", "define void @f() !kcfi_type !0 { ret void }\n!0 = !{i32 12345}\n@@", "!{i32 4, !\"kcfi\", i32 1}",
     "\\$0x3039,%eax"},
    {"flag", "kcfi-offset", "define void @f(ptr %p) { call void %p() [ \"kcfi\"(i32 12345) ] ret void }\n@@",
     "!{i32 4, !\"kcfi-offset\", i32 3}", "-0x7\\(%r11\\)"},
};

// Likewise: frames, thunks and conventions.
const Effect frame_effects[] = {
    {"enum", "noimplicitfloat", copying, "noimplicitfloat", "!xmm"},
    {"enum", "ssp", guarded, "ssp", "__stack_chk_fail"},
    {"enum", "sspreq", "define void @f() #0 { ret void }\nattributes #0 = { nounwind @@ }", "sspreq",
     "__stack_chk_fail"},
    {"enum", "sspstrong",
     "define void @f() #0 { %a = alloca i32 call void @h(ptr %a) ret void }\nattributes #0 = { nounwind @@ }",
     "sspstrong", "__stack_chk_fail"},
    {"enum", "uwtable", plain, "uwtable", "=\\.eh_frame"},
    {"enum", "fn_ret_thunk_extern", plain, "fn_ret_thunk_extern", "__x86_return_thunk"},
    {"string", "frame-pointer", plain, "\"frame-pointer\"=\"all\"", "%rsp,%rbp"},
    {"string", "no-frame-pointer-elim", plain, "\"no-frame-pointer-elim\"=\"true\"", "%rsp,%rbp"},
    {"string", "no-frame-pointer-elim-non-leaf", plain, "\"no-frame-pointer-elim-non-leaf\"", "%rsp,%rbp"},
    {"string", "probe-stack", large, "\"probe-stack\"=\"inline-asm\"", "sub +\\$0x1000,%rsp"},
    {"string", "stack-probe-size", large, "\"probe-stack\"=\"inline-asm\" \"stack-probe-size\"=\"8192\"",
     "sub +\\$0x2000,%rsp"},
    {"string", "stack-protector-buffer-size",
     "define void @f() #0 { %a = alloca [4 x i8] call void @h(ptr %a) ret void }\nattributes #0 = { ssp @@ }",
     "\"stack-protector-buffer-size\"=\"4\"", "__stack_chk_fail"},
    {"string", "zero-call-used-regs", plain, "\"zero-call-used-regs\"=\"all-gpr\"", "xor +%r11d,%r11d"},
    {"string", "no_caller_saved_registers",
     "define void @f() #0 { call void asm sideeffect \"hlt\", \"~{rcx}\"() ret void }\nattributes #0 = { nounwind @@ }",
     "\"no_caller_saved_registers\"", "%rcx"},
    {"feature", "-sse", copying, "\"target-features\"=\"-sse\"", "!xmm"},
    {"feature", "-sse2", copying, "\"target-features\"=\"-sse2\"", "!xmm"},
    {"feature", "+soft-float", copying, "\"target-features\"=\"+soft-float\"", "!xmm"},
    {"feature", "+retpoline", pointing, "\"target-features\"=\"+retpoline\"", "__llvm_retpoline_r11"},
    {"feature", "+retpoline-indirect-calls", pointing, "\"target-features\"=\"+retpoline-indirect-calls\"",
     "__llvm_retpoline_r11"},
    {"feature", "+retpoline-indirect-branches", switching, "\"target-features\"=\"+retpoline-indirect-branches\"",
     "!jmp +\\*"},
    {"feature", "+retpoline-external-thunk", pointing,
     "\"target-features\"=\"+retpoline-indirect-calls,+retpoline-external-thunk\"", "__x86_indirect_thunk_r11"},
    {"convention", "preserve_mostcc", "define @@ void @f() { call void asm sideeffect \"hlt\", \"~{r8}\"() ret void }",
     "preserve_mostcc", "%r8"},
    {"convention", "preserve_allcc", "define @@ void @f() { call void asm sideeffect \"hlt\", \"~{xmm3}\"() ret void }",
     "preserve_allcc", "%xmm3"},
    {"convention", "win64cc", "define @@ void @f(i32 %x, ptr %p) { store i32 %x, ptr %p ret void }", "win64cc",
     "%ecx,\\(%rdx\\)"},
    {"flag", "stack-protector-guard", guarded_always, "!{i32 1, !\"stack-protector-guard\", !\"global\"}",
     "__stack_chk_guard"},
    {"flag", "stack-protector-guard-reg", guarded_always, "!{i32 1, !\"stack-protector-guard-reg\", !\"gs\"}",
     "%gs:0x28"},
    {"flag", "stack-protector-guard-offset", guarded_always, "!{i32 1, !\"stack-protector-guard-offset\", i32 48}",
     "%fs:0x30"},
    {"flag", "stack-protector-guard-symbol", guarded_always, "!{i32 1, !\"stack-protector-guard-symbol\", !\"mine\"}",
     "R_X86_64_[A-Z0-9]+\\s+mine"},
};

// Rows whose effect other tests see: file and what it has to hold.
struct Elsewhere {
  const char* table;
  const char* row;
  const char* file;
  const char* text;
};
const Elsewhere elsewhere[] = {
    {"enum", "naked", "codegen/x86_64_asm_run_test.cpp", "naked"},
    {"string", "target-cpu", "wasm/wasm_ld_options_test.cpp", "TEST_CASE"},
    {"string", "target-features", "wasm/wasm_ld_options_test.cpp", "TEST_CASE"},
    {"string", "wasm-import-module", "wasm/clang_objects_test.cpp", "import_module(\\\"host\\\")"},
    {"string", "wasm-import-name", "wasm/clang_objects_test.cpp", "import_name(\\\"log\\\")"},
    {"string", "wasm-export-name", "wasm/clang_objects_test.cpp", "export_name(\\\"public\\\")"},
};

}  // namespace

static void see(std::span<const Effect> list) {
  for (const Effect& e : list) {
    TempDir dir;
    const bool is_flag = std::string(e.table) == "flag";
    auto made = [&](const std::string& name, const std::string& request) {
      std::string ir = externals + e.ir;
      for (size_t at; (at = ir.find("@@")) != std::string::npos;) ir.replace(at, 2, is_flag ? "" : request);
      Args flags;
      if (e.flag) flags.push_back(e.flag);
      if (is_flag && !request.empty()) flags.push_back(request);
      return listing(dir, bitcode(dir, name, ir, flags));
    };
    INFO(e.table << " " << e.row);
    const std::string with = made("with", e.request);
    INFO(with);
    const std::string needle = e.needle;
    if (needle.starts_with('=')) {
      CHECK(found(with, needle.substr(1)));
      continue;
    }
    const std::string without = made("without", "");
    if (needle.empty()) {
      CHECK(with != without);
    } else {
      const bool absent = needle[0] == '!';
      CHECK(found(with, needle.substr(absent)) == !absent);
      CHECK(found(without, needle.substr(absent)) == absent);
    }
  }
}

TEST_CASE("requests: honoured ones are seen in the code") { see(effects); }
// Hidden until the frames, thunks and conventions that it looks for are in the code generator.
TEST_CASE("requests: frames, thunks and conventions are seen in the code") { see(frame_effects); }

TEST_CASE("requests: every row is seen by a test, has no effect for a reason, or is refused with one") {
  std::set<std::string> seen;
  for (const Effect& e : effects) seen.insert(std::string(e.table) + " " + e.row);
  for (const Effect& e : frame_effects) seen.insert(std::string(e.table) + " " + e.row);
  for (const Elsewhere& e : elsewhere) {
    INFO(e.file << ": " << e.text);
    CHECK(read_file(std::string(LODE_TEST_DIR) + "/" + e.file).find(e.text) != std::string::npos);
    seen.insert(std::string(e.table) + " " + e.row);
  }
  auto row = [&](const std::string& table, std::string_view name, std::initializer_list<codegen::Treatment> treatments,
                 std::string_view why) {
    INFO(table << " " << name);
    bool honoured = false, other = false;
    for (codegen::Treatment t : treatments) (t == codegen::Treatment::honoured ? honoured : other) = true;
    if (other) CHECK(!why.empty());
    if (honoured) CHECK(seen.count(table + " " + std::string(name)) == 1);
  };
  for (const auto& r : codegen::enum_attribute_rows()) row("enum", r.name, {r.x86_64, r.wasm}, r.why);
  for (const auto& r : codegen::string_attribute_rows()) row("string", r.name, {r.x86_64, r.wasm}, r.why);
  for (const auto& r : codegen::convention_rows()) row("convention", r.name, {r.x86_64, r.wasm}, r.why);
  for (const auto& r : codegen::bundle_rows()) row("bundle", r.name, {r.x86_64, r.wasm}, r.why);
  for (const auto& r : codegen::feature_rows()) row("feature", r.name, {r.x86_64}, r.why);
  for (const auto& r : codegen::module_flag_rows()) row("flag", r.name, {r.x86_64, r.wasm}, r.why);
}

TEST_CASE("requests: one row for each name and position") {
  std::set<std::pair<uint32_t, uint8_t>> numbers;
  std::set<std::string_view> names;
  for (const auto& r : codegen::enum_attribute_rows())
    for (uint8_t position : {codegen::position::function, codegen::position::call, codegen::position::parameter,
                             codegen::position::result})
      if (r.positions & position) CHECK(numbers.insert({r.number, position}).second);
  for (const auto& r : codegen::string_attribute_rows()) CHECK(names.insert(r.name).second);
  // LLVM 22 numbers its enum attributes from 1 to 105.
  for (uint32_t n = 1; n <= 105; n++) {
    INFO(n);
    CHECK((codegen::find_enum_attribute(n, codegen::position::function) ||
           codegen::find_enum_attribute(n, codegen::position::parameter)));
  }
}

TEST_CASE("requests: what is refused names itself and the function") {
  const std::pair<const char*, const char*> attributes[] = {
      {"safestack", "safestack"},
      {"speculative_load_hardening", "speculative_load_hardening"},
      {"\"split-stack\"", "split-stack"},
      {"\"function-instrument\"=\"xray-always\"", "function-instrument"},
      {"\"target-features\"=\"+sse,+lvi-cfi\"", "+lvi-cfi"},
      {"\"target-features\"=\"+seses\"", "+seses"},
      {"\"target-features\"=\"+harden-sls-ret\"", "+harden-sls-ret"},
      {"\"target-features\"=\"+lvi-load-hardening\"", "+lvi-load-hardening"},
      {"\"frame-pointer\"=\"sometimes\"", "sometimes"},
      {"\"instrument-function-entry\"=\"mine\"", "mine"}};
  for (auto& [attribute, text] : attributes) {
    TempDir dir;
    const std::string o =
        bitcode(dir, "a", "define void @asks() #0 { ret void }\nattributes #0 = { " + std::string(attribute) + " }");
    const std::string message = error_of({"-r", o, "-o", dir.file("out.o")});
    INFO(message);
    CHECK(has(message, "'asks'"));
    CHECK(has(message, text));
  }
  const std::pair<const char*, const char*> others[] = {
      {"define swiftcc void @asks() { ret void }", "swiftcc"},
      {"define void @asks(ptr swiftself %p) { ret void }", "swiftself"},
      {"declare void @g()\ndefine void @asks() { call void @g() [ \"deopt\"() ] ret void }", "deopt"},
      {"declare ghccc void @g()\ndefine void @asks() { call ghccc void @g() ret void }", "ghccc"}};
  for (auto& [ir, text] : others) {
    TempDir dir;
    const std::string message = error_of({"-r", bitcode(dir, "a", ir), "-o", dir.file("out.o")});
    INFO(message);
    CHECK(has(message, "'asks'"));
    CHECK(has(message, text));
  }
  for (const char* ir : {"define win64cc void @asks(<2 x float> %v) { ret void }",
                         "declare win64cc void @g(<2 x i32>)\ndefine void @asks(<2 x i32> %v) { call win64cc void "
                         "@g(<2 x i32> %v) ret void }"}) {
    TempDir dir;
    const std::string message = error_of({"-r", bitcode(dir, "a", ir), "-o", dir.file("out.o")});
    INFO(message);
    CHECK(has(message, "asks"));
    CHECK(has(message, "a vector of at most 8 bytes as an argument under the convention win64"));
  }
  TempDir dir;
  const std::string o = bitcode(dir, "a", "define void @f() { ret void }", {"!{i32 4, !\"Cross-DSO CFI\", i32 1}"});
  CHECK(has(error_of({"-r", o, "-o", dir.file("out.o")}), "Cross-DSO CFI"));
}

TEST_CASE("requests: what is not known is one warning") {
  TempDir dir;
  const std::string ir = "() #0 { ret void }\nattributes #0 = { \"new-thing\"=\"1\" }";
  const std::string a = bitcode(dir, "a", "define void @a" + ir, {"!{i32 1, !\"New Flag\", i32 1}"}),
                    b = bitcode(dir, "b", "define void @b" + ir);
  RunResult l = link({"-r", a, b, "-o", dir.file("out.o")});
  INFO(l.err);
  CHECK(l.ok());
  const size_t first = l.err.find("\"new-thing\"");
  CHECK(first != std::string::npos);
  CHECK(l.err.find("\"new-thing\"", first + 1) == std::string::npos);
  CHECK(has(l.err, "\"New Flag\""));
  CHECK(link({"-r", "-w", a, b, "-o", dir.file("out.o")}).err == "");
  CHECK(!link({"-r", "--fatal-warnings", a, b, "-o", dir.file("out.o")}).ok());
}

TEST_CASE("requests: IR of another machine is refused by its triple") {
  for (const char* triple :
       {"riscv64-linux-gnu", "aarch64-linux-gnu", "loongarch64-linux-gnu", "i686-linux-gnu", "x86_64-linux-gnux32",
        "wasm32", "wasm64", "x86_64-pc-windows-msvc", "x86_64-apple-macosx", "x86_64-w64-windows-gnu"}) {
    TempDir dir;
    RunResult made = run({"clang-19", "--target=" + std::string(triple), "-w", "-O1", "-emit-llvm", "-c",
                          dir.write("a.c", "int f(int a) { return a * 3; }"), "-o", dir.file("a.o")});
    INFO(triple << made.describe());
    REQUIRE(made.ok());
    const std::string out = dir.file("out");
    for (const Args& options : {Args{"-shared"}, Args{"-r"}, Args{"-shared", "--whole-archive"}}) {
      Args inputs{dir.file("a.o")};
      if (options.size() > 1) {
        run({"ar", "rc", dir.file("a.a"), dir.file("a.o")});
        inputs = {dir.file("a.a")};
      }
      const std::string message = error_of(options + inputs + Args{"-o", out});
      INFO(message);
      CHECK(has(message, "another target"));
    }
  }
  TempDir dir;
  const std::string air = dir.write("a.air", "target \"wasm32-unknown-unknown\"\nfunc @f() {\nentry:\n  ret\n}\n");
  CHECK(has(error_of({"-shared", air, "-o", dir.file("out")}), "wasm32"));
}

TEST_CASE("requests: branch targets are marked, and the note says so when it is true") {
  const std::string source = R"(
    static int one(int x) { return x + 1; }
    static int two(int x) { return x * 2; }
    int (*volatile table[])(int) = {one, two};
    int go(int n) { static void *labels[] = {&&a, &&b}; goto *labels[n & 1]; a: return 1; b: return 2; }
    int pick(int n) { switch (n) { case 0: return go(1); case 1: return 8; case 2: return go(3); case 3: return table[0](2); case 4: return 6; } return 0; }
    int main(int c, char **v) { return table[1](pick(3)) + go(c) - 8; })";
  TempDir dir;
  const std::string marked = compile(dir, "marked", source, {"-emit-llvm", "-fPIC", "-fcf-protection=full", "-O2"},
                                     "clang-19"),
                    bare = compile(dir, "bare", source, {"-emit-llvm", "-fPIC", "-O2"}, "clang-19"),
                    out = dir.file("out.so");
  auto notes = [&](const Args& args) {
    RunResult l = link(args + Args{"-o", out});
    INFO(l.describe());
    REQUIRE(l.ok());
    return readelf({"-n"}, out);
  };
  CHECK(has(notes({"-shared", marked}), "IBT, SHSTK"));
  CHECK(has(run({"objdump", "-d", out}).out, "endbr64"));
  CHECK(has(run({"objdump", "-d", out}).out, "notrack jmp"));
  CHECK(!has(notes({"-shared", bare}), "IBT"));
  const std::string other = compile(dir, "other", "int other(void) { return 1; }", {"-emit-llvm", "-fPIC"}, "clang-19");
  CHECK(!has(notes({"-shared", marked, other}), "IBT"));
  CHECK(has(notes({"-r", marked}), "IBT, SHSTK"));
  // -z ibt makes it true of what is compiled here.
  CHECK(has(notes({"-shared", "-z", "ibt", bare}), "IBT"));
  CHECK(has(run({"objdump", "-d", out}).out, "endbr64"));
  CHECK(link({"-shared", "-z", "cet-report=error", marked, "-o", out}).ok());
  CHECK(has(error_of({"-shared", "-z", "cet-report=error", bare, "-o", out}),
            "bare.o: -cet-report=error: missing GNU_PROPERTY_X86_FEATURE_1_IBT"));
  CHECK(has(link({"-shared", "-z", "cet-report=warning", bare, "-o", out}).err,
            "missing GNU_PROPERTY_X86_FEATURE_1_SHSTK"));
  const std::string program = dir.file("program");
  CHECK(output_of(static_link({marked}, program), program) == "");
}

TEST_CASE("requests: checks of types let the right function pass and stop the wrong one") {
  const std::string source = R"(
    typedef int (*unary)(int);
    __attribute__((noinline)) int good(int x) { return x + 1; }
    __attribute__((noinline)) long bad(long x, long y) { return x + y; }
    __attribute__((noinline)) int call(unary f) { return f(3) - 4; }
    __attribute__((noinline)) int tail(unary f) { return f(3); }
    void *volatile functions[] = {good, bad};
    int main(int c, char **v) { return c > 1 ? tail(functions[1]) : call(functions[0]) + tail(functions[0]) - 4; })";
  TempDir dir;
  const std::string o = compile(dir, "a", source, {"-emit-llvm", "-fsanitize=kcfi", "-O2"}, "clang-19"),
                    program = dir.file("program");
  CHECK(output_of(static_link({o}, program), program) == "");
  CHECK(run({program, "x"}).signal == SIGILL);
  CHECK(has(readelf({"-s"}, program), "__cfi_good"));
  CHECK(has(readelf({"-S"}, program), ".kcfi_traps"));
  // Through an object, with another linker's layout.
  REQUIRE(link({"-r", o, "-o", dir.file("b.o")}).ok());
  CHECK(has(readelf({"-r"}, dir.file("b.o")), ".rela.kcfi_traps"));
  RunResult linked = run(Args{"ld.bfd"} + static_link({dir.file("b.o")}, program));
  INFO(linked.describe());
  REQUIRE(linked.ok());
  CHECK(run({program}).ok());
  CHECK(run({program, "x"}).signal == SIGILL);
}

TEST_CASE("requests: entries that may be patched are listed, and profilers are called") {
  TempDir dir;
  const std::string o = compile(dir, "a", R"(
    extern unsigned long __start___patchable_function_entries[], __stop___patchable_function_entries[];
    __attribute__((noinline)) int f(void) { return 1; }
    int main(void) {
      unsigned long *p = __start___patchable_function_entries, n = __stop___patchable_function_entries - p;
      int seen = 0;
      for (unsigned long k = 0; k < n; k++) seen += p[k] == (unsigned long)f - 3;
      return n == 2 && seen == 1 ? 0 : 1;
    })", {"-emit-llvm", "-fpatchable-function-entry=8,3"}, "clang-19");
  const std::string program = dir.file("program");
  CHECK(output_of(static_link({o}, program), program) == "");
  const std::string profiled = compile(dir, "b", R"(
    __attribute__((no_instrument_function)) void count(void);
    static int calls;
    __attribute__((no_instrument_function, naked)) void __fentry__(void) { __asm__("incl %0; ret" : : "m"(calls)); }
    __attribute__((noinline)) int f(int a, int b, int c) { return a + 10 * b + 100 * c; }
    int main(void) { return f(1, 2, 3) == 321 && calls == 2 ? 0 : 1; })",
                                       {"-emit-llvm", "-pg", "-mfentry", "-mno-red-zone"}, "clang-19");
  RunResult l = link(static_link({profiled}, program));
  INFO(l.describe());
  REQUIRE(l.ok());
  CHECK(run({program}).ok());
}
