// The tables of options: every row is what it says it is. Options of the peers are rows; rows without effect change
// nothing that the link reads; refused ones are errors by name; and for every effective row the link is done with and
// without the option, and something has to differ: the output, a file beside it, or what is printed.
#include <catch2/catch.hpp>

#include <map>
#include <regex>
#include <set>

#include "link/elf/options/option_actions.h"
#include "tests/link/elf_link_support.h"
#include "tests/support/riscv64_object.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;
using lode::link::elf::OptionFate;
using lode::link::elf::OptionForm;
using lode::link::elf::OptionRow;
using lode::link::elf::Options;
namespace link_elf = lode::link::elf;

namespace {

Args words(const std::string& text) {
  Args out;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(' ', at), text.size());
    if (end != at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

RunResult run_in(const TempDir& dir, const Args& args) {
  RunOptions options;
  options.cwd = dir.path();
  return run(args, options);
}

struct Table {
  std::span<const OptionRow> rows;
  std::string prefix;  // in front of a name on the command line; empty: dashes as usual
};
std::vector<Table> tables() {
  return {{link_elf::effective_options(), ""},
          {link_elf::other_options(), ""},
          {link_elf::z_keywords(), "-z "},
          {link_elf::plugin_keywords(), "-plugin-opt="}};
}

std::string first_name(const OptionRow& row) {
  return std::string(row.names).substr(0, std::string(row.names).find(' '));
}

// A command line that uses the row by `name`, with some value.
Args use(const Table& table, const OptionRow& row, const std::string& name) {
  std::string s = table.prefix.empty() ? link_elf::spelled(name) : name;
  std::string value = "none";
  if (std::string(row.metavar) == "N") value = "1";
  if (std::string(row.metavar) == "MODE") value = "place";
  if (std::string(row.metavar) == "PADDING") value = "prefix-addr";
  if (std::string(row.metavar) == "STYLE") value = "posix";
  if (row.form == OptionForm::value) s += table.prefix.empty() && s.size() == 2 ? value : "=" + value;
  if (row.form == OptionForm::optional_value && row.action) s += "=" + value;
  if (row.form == OptionForm::joined) s += "2";
  if (table.prefix == "-z ") return {"-z", s};
  return {table.prefix + s};
}

struct Parsed {
  Options options;
  std::string error;
  std::vector<std::string> warnings;
};
Parsed parse(const Args& args) {
  Parsed p;
  auto r = link_elf::parse_options(Args{"lode"} + args, p.options, p.warnings);
  if (!r) p.error = r.error().text();
  return p;
}

// What the examples link. `-g`, a section a function; compiled so that it can be an executable or a library.
void make_inputs(const TempDir& dir) {
  const Args flags = {
      "-g", "-fPIC", "-ffunction-sections", "-fdata-sections", "-fcommon", "-fno-stack-protector", "-fno-builtin"};
  compile(dir, "a", R"(
int data = 42, *pointer = &data, zeroed[64];
const int k1[4] = {1, 2, 3, 4}, k2[4] = {1, 2, 3, 4};
const int* const keys[] = {k1, k2};
extern int weak_one __attribute__((weak));
static int hidden_static(int x) { return x + data; }
int same1(int x) { return x * 3 + 1; }
int same2(int x) { return x * 3 + 1; }
int used(int x) { return hidden_static(x) + same1(x) + same2(x) + *keys[x & 1]; }
int unused(int x) { return x; }
int* weak_address(void) { return &weak_one; }
void _start(void) { used(1); weak_address(); }
)", flags);
  compile(dir, "named", "int main_one(int x) { return x; } void _start(void) { main_one(1); }",
          flags + Args{"-ggnu-pubnames"});
  compile(dir, "pic", R"(
int lib_data = 1; __attribute__((weak)) int weak_data = 2;
int lib_fn(void) { return lib_data; }
__attribute__((weak)) int weak_fn(void) { return weak_data; }
extern int ext; int* ext_address = &ext;
int caller(void) { return lib_fn() + weak_fn(); }
)", flags);
  compile(dir, "ref", "int member(void); void _start(void) { member(); }", flags);
  compile(dir, "def", "int member(void) { return 1; }", flags);
  compile(dir, "other", "int other(void) { return 2; }", flags);
  const std::vector<uint8_t> gp = riscv64::by_global_pointer().bytes();
  dir.write("gp.o", std::string(gp.begin(), gp.end()));
  compile(dir, "u", "int nosuch(void); int calls(void) { return nosuch(); }", flags);
  compile(dir, "u3", "int n1(void), n2(void), n3(void); void _start(void) { n1(); n2(); n3(); }", flags);
  compile(dir, "nosuch", "int nosuch(void) { return 7; } void _start(void) { nosuch(); }", flags);
  compile(dir, "dup", "int used(int x) { return x - 1; }", flags);
  compile(dir, "common", "int shared_name; void _start(void) { shared_name = 1; }", flags);
  compile(dir, "common2", "long shared_name; int more(void) { return (int)shared_name; }", flags);
  compile(dir, "commondef", "int shared_name = 9;", flags);
  const std::string note = "\n.section .note.GNU-stack,\"\",@progbits\n";
  assemble(dir, "cpp",
           ".globl _Znwm, _ZTI1X, _Z1fv\n.type _Znwm,@function\n.text\n_Znwm: ret\n.data\n.type "
           "_ZTI1X,@object\n_ZTI1X: .quad 0\n.text\n.globl callf\ncallf: call _Z9undefinedv@PLT\n" +
               note);
  assemble(dir, "unique", ".data\n.globl only\n.type only,@gnu_unique_object\nonly: .quad 1\n" + note);
  assemble(dir, "text", ".text\n.globl _start\n_start: movabs $imported_name, %rax\nret\n" + note);
  assemble(dir, "exec", ".text\n.globl _start\n_start: ret\n.section .note.GNU-stack,\"x\",@progbits\n");
  assemble(dir, "zero", ".text\n.globl _start\n_start: ret\n.data\n.zero 64\n" + note);
  assemble(dir, "got",
           ".text\n.globl _start, here\n_start: movq here@GOTPCREL(%rip), %rax\nret\n.data\nhere: .quad 1\n" + note);
  assemble(dir, "border",
           ".text\n.globl _start\n_start: lea __start_mine(%rip), %rax\nret\n.section mine,\"aw\"\n.quad 1\n.section "
           ".named,\"aw\"\n.quad 2\n" +
               note);
  std::string asks = dir.write("dependent.s",
                               ".text\n.globl _start\n_start: call member\n.section "
                               ".deplibs,\"MS\",@llvm_dependent_libraries,1\n.asciz \"m1\"\n" +
                                   note);
  REQUIRE(run({"clang-19", "-c", asks, "-o", dir.file("dependent.o")}).ok());
  assemble(dir, "hot", ".section .text.hot.f,\"ax\"\n.globl _start\n_start: ret\n.text\nnop\n" + note);
  assemble(dir, "endbr",
           ".section .text.f,\"ax\"\n.globl f\n.type f,@function\nf: endbr64\nret\n.text\n.globl _start\n_start: "
           "endbr64\ncall f\nret\n" +
               note);
  std::string s = dir.write("local.s",
                            ".text\n.globl _start\n_start: ret\n.Lkept: nop\nplain: nop\n.section "
                            ".rodata.str,\"aMS\",@progbits,1\n.Ltext: .asciz \"x\"\n" +
                                note);
  REQUIRE(run({"gcc", "-c", "-Wa,-L", s, "-o", dir.file("local.o")}).ok());
  for (const char* command : {"ar rcs libm1.a def.o", "ar rcs libcommon.a commondef.o", "ar rcs libboth.a other.o"})
    REQUIRE(run_in(dir, words(command)).ok());
  for (const char* command : {"-shared pic.o -o lib.so", "-shared other.o -o libboth.so",
                              "-shared u.o -o libu.so --allow-shlib-undefined", "nosuch.o -o program"})
    REQUIRE(run_in(dir, Args{LODE_BINARY} + words(command)).ok());
  std::filesystem::create_directory(dir.file("sub"));
  std::filesystem::copy_file(dir.file("a.o"), dir.file("sub/a.o"));
  for (auto& [name, text] :
       std::map<std::string, std::string>{{"data.txt", "payload"},
                                          {"s.ld", "from_script = 5;"},
                                          {"v.map", "V { global: lib_fn; local: *; };"},
                                          {"bad.map", "V { global: lib_fn; nosuch_name; local: *; };"},
                                          {"d.list", "{ lib_fn; };"},
                                          {"e.list", "{ used; };"},
                                          {"keep", "_start\n"},
                                          {"m.air", "strong func @_start() -> void {\na:\n  ret\n}\n"},
                                          {"order", "used\n_start\n"},
                                          {"bad.order", "nosuch_name\n"},
                                          {"remap", "missing.o=a.o\n"}})
    dir.write(name, text);
  dir.write("script.sh", "#!/bin/sh\necho \"$1 $2\" > called\n");
  std::filesystem::permissions(dir.file("script.sh"), std::filesystem::perms::owner_all);
}

struct Example {
  const char* option;
  const char* without;
  const char* with;
};

const Example option_examples[] = {
    {"o", "a.o", "a.o -o second"},
    {"shared", "pic.o", "-shared pic.o"},
    {"pie", "a.o", "-pie a.o"},
    {"no-pie", "-pie a.o", "-pie -no-pie a.o"},
    {"static-pie", "a.o", "-static-pie a.o"},
    {"r", "a.o", "-r a.o"},
    {"m", "a.o", "-m elf_i386 a.o"},
    {"oformat", "a.o", "--oformat=binary a.o"},
    {"e", "a.o", "-e used a.o"},
    {"init", "-shared pic.o", "-shared -init=lib_fn pic.o"},
    {"fini", "-shared pic.o", "-shared -fini=lib_fn pic.o"},
    {"soname", "-shared pic.o", "-shared -soname=x pic.o"},
    {"dynamic-linker", "-pie a.o", "-pie -I /x a.o"},
    {"no-dynamic-linker", "-pie a.o", "-pie --no-dynamic-linker a.o"},
    {"build-id", "a.o", "--build-id a.o"},
    {"no-build-id", "--build-id a.o", "--build-id --no-build-id a.o"},
    {"package-metadata", "a.o", "--package-metadata=x a.o"},
    {"noinhibit-exec", "a.o u.o", "--noinhibit-exec a.o u.o"},
    {"C", "a.o", "-C sub a.o"},
    {"start-group", "--warn-backrefs libm1.a ref.o", "--warn-backrefs --start-group libm1.a ref.o --end-group"},
    {"end-group", "--warn-backrefs --start-group libm1.a ref.o",
     "--warn-backrefs --start-group libm1.a --end-group ref.o"},
    {"l", "ref.o -L.", "ref.o -L. -lm1"},
    {"L", "ref.o -lm1", "ref.o -L. -lm1"},
    {"Y", "ref.o -lm1", "ref.o -Y . -lm1"},
    {"nostdlib", "-pie a.o -lc", "-pie -nostdlib a.o -lc"},
    {"sysroot", "=/a.o", "--sysroot=sub =/a.o"},
    {"chroot", "/a.o", "--chroot=sub /a.o"},
    {"T", "a.o", "a.o -T s.ld"},
    {"b", "-r data.txt", "-r -b binary data.txt"},
    {"just-symbols", "a.o u.o", "a.o u.o --just-symbols=program"},
    {"R", "a.o u.o", "a.o u.o -R program"},
    {"as-needed", "-pie a.o lib.so", "-pie a.o --as-needed lib.so"},
    {"no-as-needed", "-pie --as-needed a.o lib.so", "-pie --as-needed --no-as-needed a.o lib.so"},
    {"whole-archive", "a.o libm1.a", "a.o --whole-archive libm1.a"},
    {"no-whole-archive", "a.o --whole-archive libm1.a", "a.o --whole-archive --no-whole-archive libm1.a"},
    {"static", "-L. a.o -lboth", "-static -L. a.o -lboth"},
    {"Bstatic", "-L. a.o -lboth", "-Bstatic -L. a.o -lboth"},
    {"Bdynamic", "-Bstatic -L. a.o -lboth", "-Bstatic -Bdynamic -L. a.o -lboth"},
    {"a", "-L. a.o -lboth", "-a archive -L. a.o -lboth"},
    {"push-state", "--pop-state a.o", "--push-state --pop-state a.o"},
    {"pop-state", "-pie --push-state --as-needed a.o lib.so", "-pie --push-state --as-needed --pop-state a.o lib.so"},
    {"start-lib", "a.o def.o", "a.o --start-lib def.o"},
    {"end-lib", "a.o --start-lib other.o def.o", "a.o --start-lib other.o --end-lib def.o"},
    {"remap-inputs", "missing.o", "--remap-inputs=miss*=a.o missing.o"},
    {"remap-inputs-file", "missing.o", "--remap-inputs-file=remap missing.o"},
    {"no-fortran-common", "common.o libcommon.a", "--no-fortran-common common.o libcommon.a"},
    {"no-dependent-libraries", "dependent.o -L.", "--no-dependent-libraries dependent.o -L."},
    {"dependent-libraries", "--no-dependent-libraries dependent.o -L.",
     "--no-dependent-libraries --dependent-libraries dependent.o -L."},
    {"fortran-common", "--no-fortran-common common.o libcommon.a",
     "--no-fortran-common --fortran-common common.o libcommon.a"},

    {"u", "a.o libm1.a", "-u member a.o libm1.a"},
    {"undefined-glob", "a.o libm1.a", "--undefined-glob=mem* a.o libm1.a"},
    {"require-defined", "a.o", "--require-defined=nosuch a.o"},
    {"defsym", "a.o", "--defsym=x=1 a.o"},
    {"wrap", "ref.o def.o", "--wrap=member ref.o def.o"},
    {"allow-multiple-definition", "a.o dup.o", "--allow-multiple-definition a.o dup.o"},
    {"no-allow-multiple-definition", "-z muldefs a.o dup.o", "-z muldefs --no-allow-multiple-definition a.o dup.o"},
    {"no-undefined", "-shared u.o", "-shared --no-undefined u.o"},
    {"unresolved-symbols", "a.o u.o", "--unresolved-symbols=ignore-all a.o u.o"},
    {"warn-unresolved-symbols", "a.o u.o", "--warn-unresolved-symbols a.o u.o"},
    {"error-unresolved-symbols", "--warn-unresolved-symbols a.o u.o",
     "--warn-unresolved-symbols --error-unresolved-symbols a.o u.o"},
    {"ignore-unresolved-symbol", "a.o u.o", "--ignore-unresolved-symbol=nosuch a.o u.o"},
    {"allow-shlib-undefined", "-pie --no-allow-shlib-undefined a.o libu.so",
     "-pie --no-allow-shlib-undefined --allow-shlib-undefined a.o libu.so"},
    {"no-allow-shlib-undefined", "-pie --allow-shlib-undefined a.o libu.so",
     "-pie --allow-shlib-undefined --no-allow-shlib-undefined a.o libu.so"},
    {"error-handling-script", "a.o u.o", "--error-handling-script=./script.sh a.o u.o"},
    {"version-script", "-shared pic.o", "-shared --version-script=v.map pic.o"},
    {"default-symver", "-shared -soname=s pic.o", "-shared -soname=s --default-symver pic.o"},
    {"undefined-version", "-shared --version-script=bad.map pic.o",
     "-shared --version-script=bad.map --undefined-version pic.o"},
    {"no-undefined-version", "-shared --version-script=bad.map pic.o",
     "-shared --version-script=bad.map --no-undefined-version pic.o"},
    {"E", "-pie a.o", "-pie -E a.o"},
    {"no-export-dynamic", "-pie -E a.o", "-pie -E --no-export-dynamic a.o"},
    {"export-dynamic-symbol", "-pie a.o", "-pie --export-dynamic-symbol=used a.o"},
    {"export-dynamic-symbol-list", "-pie a.o", "-pie --export-dynamic-symbol-list=e.list a.o"},
    {"dynamic-list", "-shared pic.o", "-shared --dynamic-list=d.list pic.o"},
    {"dynamic-list-data", "-pie a.o", "-pie --dynamic-list-data a.o"},
    {"dynamic-list-cpp-new", "-pie --unresolved-symbols=ignore-all a.o cpp.o",
     "-pie --unresolved-symbols=ignore-all --dynamic-list-cpp-new a.o cpp.o"},
    {"dynamic-list-cpp-typeinfo", "-pie --unresolved-symbols=ignore-all a.o cpp.o",
     "-pie --unresolved-symbols=ignore-all --dynamic-list-cpp-typeinfo a.o cpp.o"},
    {"exclude-libs", "-shared pic.o --whole-archive libm1.a",
     "-shared --exclude-libs=ALL pic.o --whole-archive libm1.a"},
    {"Bsymbolic", "-shared pic.o", "-shared -Bsymbolic pic.o"},
    {"Bsymbolic-functions", "-shared pic.o", "-shared -Bsymbolic-functions pic.o"},
    {"Bsymbolic-non-weak", "-shared pic.o", "-shared -Bsymbolic-non-weak pic.o"},
    {"Bsymbolic-non-weak-functions", "-shared pic.o", "-shared -Bsymbolic-non-weak-functions pic.o"},
    {"Bno-symbolic", "-shared -Bsymbolic pic.o", "-shared -Bsymbolic -Bno-symbolic pic.o"},
    {"no-gnu-unique", "-shared unique.o", "-shared --no-gnu-unique unique.o"},
    {"gnu-unique", "-shared --no-gnu-unique unique.o", "-shared --no-gnu-unique --gnu-unique unique.o"},
    {"s", "a.o", "-s a.o"},
    {"S", "a.o", "-S a.o"},
    {"x", "a.o", "-x a.o"},
    {"X", "--discard-none local.o", "--discard-none -X local.o"},
    {"discard-none", "-x local.o", "-x --discard-none local.o"},
    {"retain-symbols-file", "a.o", "--retain-symbols-file=keep a.o"},
    {"start-stop", "border.o", "--start-stop border.o"},

    {"rpath", "-pie a.o", "-pie -rpath=/x a.o"},
    {"enable-new-dtags", "-pie -rpath=/x --disable-new-dtags a.o",
     "-pie -rpath=/x --disable-new-dtags --enable-new-dtags a.o"},
    {"disable-new-dtags", "-pie -rpath=/x a.o", "-pie -rpath=/x --disable-new-dtags a.o"},
    {"f", "-shared pic.o", "-shared -f x pic.o"},
    {"F", "-shared pic.o", "-shared -F x pic.o"},
    {"audit", "-pie a.o", "-pie --audit=x a.o"},
    {"P", "-pie a.o", "-pie -P x a.o"},
    {"Bgroup", "-shared pic.o", "-shared -Bgroup pic.o"},
    {"hash-style", "-shared pic.o", "-shared --hash-style=sysv pic.o"},
    {"spare-dynamic-tags", "-pie a.o", "-pie --spare-dynamic-tags=3 a.o"},
    {"pack-dyn-relocs", "-pie a.o", "-pie --pack-dyn-relocs=relr a.o"},
    {"use-android-relr-tags", "-pie --pack-dyn-relocs=relr a.o",
     "-pie --pack-dyn-relocs=relr --use-android-relr-tags a.o"},
    {"no-use-android-relr-tags", "-pie --pack-dyn-relocs=relr --use-android-relr-tags a.o",
     "-pie --pack-dyn-relocs=relr --use-android-relr-tags --no-use-android-relr-tags a.o"},
    {"apply-dynamic-relocs", "-pie a.o", "-pie --apply-dynamic-relocs a.o"},
    {"no-apply-dynamic-relocs", "-pie --apply-dynamic-relocs a.o",
     "-pie --apply-dynamic-relocs --no-apply-dynamic-relocs a.o"},

    {"gc-sections", "a.o", "--gc-sections a.o"},
    {"no-gc-sections", "--gc-sections a.o", "--gc-sections --no-gc-sections a.o"},
    {"gc-keep-exported", "--gc-sections a.o", "--gc-sections --gc-keep-exported a.o"},
    {"icf", "a.o", "--icf=all a.o"},
    {"no-icf", "--icf=all a.o", "--icf=all --no-icf a.o"},
    {"keep-unique", "--icf=all a.o", "--icf=all --keep-unique=same2 a.o"},
    {"ignore-data-address-equality", "--icf=all a.o", "--icf=all --ignore-data-address-equality a.o"},
    {"image-base", "a.o", "--image-base=0x500000 a.o"},
    {"physical-image-base", "a.o", "--physical-image-base=0x100000 a.o"},
    {"Ttext-segment", "a.o", "-Ttext-segment=0x500000 a.o"},
    {"Ttext", "a.o", "-Ttext=0x500000 a.o"},
    {"Tdata", "a.o", "-Tdata=0x600000 a.o"},
    {"Tbss", "a.o", "-Tbss=0x700000 a.o"},
    {"section-start", "a.o", "--section-start=.data=0x600000 a.o"},
    {"section-align", "a.o", "--section-align=.data=8192 a.o"},
    {"no-check-sections", "-Ttext=0x500000 -Tdata=0x500000 a.o",
     "-Ttext=0x500000 -Tdata=0x500000 --no-check-sections a.o"},
    {"check-sections", "-Ttext=0x500000 -Tdata=0x500000 --no-check-sections a.o",
     "-Ttext=0x500000 -Tdata=0x500000 --no-check-sections --check-sections a.o"},
    {"unique", "a.o", "--unique=.text.used a.o"},
    {"discard-section", "a.o", "--discard-section=.debug_info a.o"},
    {"no-discard-section", "--discard-section=.debug_info a.o",
     "--discard-section=.debug_info --no-discard-section=.debug_info a.o"},
    {"symbol-ordering-file", "a.o", "--symbol-ordering-file=order a.o"},
    {"sort-section", "a.o", "--sort-section=name a.o"},
    {"shuffle-sections", "a.o", "--shuffle-sections=.text.*=7 a.o"},
    {"reverse-sections", "a.o", "--reverse-sections a.o"},
    {"N", "a.o", "-N a.o"},
    {"no-omagic", "-N a.o", "-N --no-omagic a.o"},
    {"n", "a.o", "-n a.o"},
    {"no-nmagic", "-n a.o", "-n --no-nmagic a.o"},
    {"no-rosegment", "a.o", "--no-rosegment a.o"},
    {"rosegment", "--no-rosegment a.o", "--no-rosegment --rosegment a.o"},
    {"execute-only", "a.o", "--execute-only a.o"},
    {"no-execute-only", "--execute-only a.o", "--execute-only --no-execute-only a.o"},
    {"spare-program-headers", "a.o", "--spare-program-headers=2 a.o"},
    {"no-eh-frame-hdr", "a.o", "--no-eh-frame-hdr a.o"},
    {"eh-frame-hdr", "--no-eh-frame-hdr a.o", "--no-eh-frame-hdr --eh-frame-hdr a.o"},
    {"zero-to-bss", "zero.o", "--zero-to-bss zero.o"},
    {"no-zero-to-bss", "--zero-to-bss zero.o", "--zero-to-bss --no-zero-to-bss zero.o"},
    {"q", "a.o", "-q a.o"},
    {"relocatable-merge-sections", "-r a.o", "-r --relocatable-merge-sections a.o"},
    {"no-relax-gp", "-m elf64lriscv gp.o", "-m elf64lriscv --no-relax-gp gp.o"},
    {"relax-gp", "-m elf64lriscv --no-relax-gp gp.o", "-m elf64lriscv --no-relax-gp --relax-gp gp.o"},
    {"no-relax", "-pie got.o", "-pie --no-relax got.o"},
    {"relax", "-pie --no-relax got.o", "-pie --no-relax --relax got.o"},
    {"gdb-index", "named.o", "--gdb-index named.o"},
    {"no-gdb-index", "--gdb-index named.o", "--gdb-index --no-gdb-index named.o"},
    {"compress-debug-sections", "a.o", "--compress-debug-sections=zlib:1 a.o"},
    {"compress-sections", "a.o", "--compress-sections=.debug_info=zstd:1 a.o"},

    {"M", "a.o", "-M a.o"},
    {"Map", "a.o", "-Map=map a.o"},
    {"print-map-discarded", "-M --gc-sections a.o", "-M --gc-sections --print-map-discarded a.o"},
    {"no-print-map-discarded", "-M --gc-sections --print-map-discarded a.o",
     "-M --gc-sections --print-map-discarded --no-print-map-discarded a.o"},
    {"cref", "a.o", "--cref a.o"},
    {"t", "a.o", "-t a.o"},
    {"y", "a.o", "-y used a.o"},
    {"why-live", "--gc-sections a.o", "--gc-sections --why-live=used a.o"},
    {"why-extract", "ref.o libm1.a", "--why-extract=why ref.o libm1.a"},
    {"print-archive-stats", "ref.o libm1.a", "--print-archive-stats=stats ref.o libm1.a"},
    {"print-dependencies", "ref.o def.o", "--print-dependencies ref.o def.o"},
    {"print-gc-sections", "--gc-sections a.o", "--gc-sections --print-gc-sections a.o"},
    {"no-print-gc-sections", "--gc-sections --print-gc-sections a.o",
     "--gc-sections --print-gc-sections --no-print-gc-sections a.o"},
    {"print-icf-sections", "--icf=all a.o", "--icf=all --print-icf-sections a.o"},
    {"no-print-icf-sections", "--icf=all --print-icf-sections a.o",
     "--icf=all --print-icf-sections --no-print-icf-sections a.o"},
    {"print-memory-usage", "a.o", "--print-memory-usage a.o"},
    {"dependency-file", "a.o", "--dependency-file=dep a.o"},
    {"reproduce", "a.o", "--reproduce=repro.tar a.o"},
    {"stats", "a.o", "--stats a.o"},
    {"incremental", "a.o", "--incremental a.o"},
    {"no-incremental", "--incremental a.o", "--incremental --no-incremental a.o"},
    {"incremental-full", "a.o", "--incremental-full a.o"},
    {"verify-relink", "--incremental a.o", "--incremental --verify-relink a.o"},
    {"mir-cache", "m.air", "--mir-cache=cache m.air"},
    {"mir-cache-size", "--mir-cache=cache m.air", "--mir-cache=cache --mir-cache-size=16 m.air"},
    {"mir-cache-stats", "--mir-cache=cache m.air", "--mir-cache=cache --mir-cache-stats m.air"},
    {"time-trace", "a.o", "--time-trace=trace a.o"},
    {"time-trace-granularity", "--time-trace=trace a.o", "--time-trace=trace --time-trace-granularity=1000000000 a.o"},
    {"verbose", "a.o", "--verbose a.o"},
    {"v", "a.o", "-v a.o"},
    {"V", "a.o", "-V a.o"},
    {"version", "a.o", "--version a.o"},
    {"help", "a.o", "--help a.o"},
    {"print-sysroot", "--sysroot=/x a.o", "--sysroot=/x --print-sysroot a.o"},
    {"print-output-format", "a.o", "--print-output-format a.o"},

    {"fatal-warnings", "-z nosuch a.o", "--fatal-warnings -z nosuch a.o"},
    {"no-fatal-warnings", "--fatal-warnings -z nosuch a.o", "--fatal-warnings --no-fatal-warnings -z nosuch a.o"},
    {"w", "-z nosuch a.o", "-w -z nosuch a.o"},
    {"error-limit", "u3.o", "--error-limit=1 u3.o"},
    {"color-diagnostics", "-z nosuch a.o", "--color-diagnostics=always -z nosuch a.o"},
    {"no-color-diagnostics", "--color-diagnostics=always -z nosuch a.o",
     "--color-diagnostics=always --no-color-diagnostics -z nosuch a.o"},
    {"no-demangle", "a.o cpp.o", "--no-demangle a.o cpp.o"},
    {"demangle", "--no-demangle a.o cpp.o", "--no-demangle --demangle a.o cpp.o"},
    {"warn-common", "common.o common2.o", "--warn-common common.o common2.o"},
    {"no-warn-common", "--warn-common common.o common2.o", "--warn-common --no-warn-common common.o common2.o"},
    {"warn-backrefs", "libm1.a ref.o", "--warn-backrefs libm1.a ref.o"},
    {"no-warn-backrefs", "--warn-backrefs libm1.a ref.o", "--warn-backrefs --no-warn-backrefs libm1.a ref.o"},
    {"warn-backrefs-exclude", "--warn-backrefs libm1.a ref.o",
     "--warn-backrefs --warn-backrefs-exclude=libm* libm1.a ref.o"},
    {"warn-symbol-ordering", "--symbol-ordering-file=bad.order --no-warn-symbol-ordering a.o",
     "--symbol-ordering-file=bad.order --no-warn-symbol-ordering --warn-symbol-ordering a.o"},
    {"no-warn-symbol-ordering", "--symbol-ordering-file=bad.order a.o",
     "--symbol-ordering-file=bad.order --no-warn-symbol-ordering a.o"},
    {"warn-textrel", "-shared -z notext text.o", "-shared -z notext --warn-textrel text.o"},
    {"warn-shared-textrel", "-shared -z notext text.o", "-shared -z notext --warn-shared-textrel text.o"},
    {"warn-execstack", "--no-warn-execstack exec.o", "--no-warn-execstack --warn-execstack exec.o"},
    {"no-warn-execstack", "exec.o", "--no-warn-execstack exec.o"},
    {"warn-rwx-segments", "-N a.o", "-N --warn-rwx-segments a.o"},
    {"no-warn-rwx-segments", "-N --warn-rwx-segments a.o", "-N --warn-rwx-segments --no-warn-rwx-segments a.o"},
    {"z", "-pie a.o", "-pie -znow a.o"},
    {"plugin-opt", "a.o", "-plugin-opt=time-trace=trace a.o"},
};

const Example z_examples[] = {
    {"now", "-pie a.o", "-pie -z now a.o"},
    {"lazy", "-pie -z now a.o", "-pie -z now -z lazy a.o"},
    {"relro", "-pie -z norelro a.o", "-pie -z norelro -z relro a.o"},
    {"norelro", "-pie a.o", "-pie -z norelro a.o"},
    {"text", "-shared -z notext text.o", "-shared -z notext -z text text.o"},
    {"notext", "-shared -z text text.o", "-shared -z text -z notext text.o"},
    {"defs", "-shared u.o", "-shared -z defs u.o"},
    {"undefs", "-shared -z defs u.o", "-shared -z defs -z undefs u.o"},
    {"muldefs", "a.o dup.o", "-z muldefs a.o dup.o"},
    {"execstack", "a.o", "-z execstack a.o"},
    {"noexecstack", "-z execstack a.o", "-z execstack -z noexecstack a.o"},
    {"execstack-if-needed", "exec.o", "-z execstack-if-needed exec.o"},
    {"nognustack", "a.o", "-z nognustack a.o"},
    {"stack-size", "a.o", "-z stack-size=65536 a.o"},
    {"max-page-size", "a.o", "-z max-page-size=65536 a.o"},
    {"separate-code", "a.o", "-z separate-code a.o"},
    {"separate-loadable-segments", "-z separate-code a.o", "-z separate-loadable-segments a.o"},
    {"noseparate-code", "-z separate-code a.o", "-z separate-code -z noseparate-code a.o"},
    {"nosectionheader", "a.o", "-z nosectionheader a.o"},
    {"sectionheader", "-z nosectionheader a.o", "-z nosectionheader -z sectionheader a.o"},
    {"combreloc", "-pie -z nocombreloc a.o", "-pie -z nocombreloc -z combreloc a.o"},
    {"nocombreloc", "-pie a.o", "-pie -z nocombreloc a.o"},
    {"copyreloc", "-z nocopyreloc --allow-shlib-undefined copies.o lib.so",
     "-z nocopyreloc -z copyreloc --allow-shlib-undefined copies.o lib.so"},
    {"nocopyreloc", "--allow-shlib-undefined copies.o lib.so",
     "-z nocopyreloc --allow-shlib-undefined copies.o lib.so"},
    {"pack-relative-relocs", "-pie a.o", "-pie -z pack-relative-relocs a.o"},
    {"nopack-relative-relocs", "-pie -z pack-relative-relocs a.o",
     "-pie -z pack-relative-relocs -z nopack-relative-relocs a.o"},
    {"dynamic-undefined-weak", "-pie --allow-shlib-undefined a.o lib.so",
     "-pie -z dynamic-undefined-weak --allow-shlib-undefined a.o lib.so"},
    {"nodynamic-undefined-weak", "-shared a.o", "-shared -z nodynamic-undefined-weak a.o"},
    {"rodynamic", "-pie a.o", "-pie -z rodynamic a.o"},
    {"nodefaultlib", "-pie a.o", "-pie -z nodefaultlib a.o"},
    {"nodelete", "-pie a.o", "-pie -z nodelete a.o"},
    {"nodlopen", "-pie a.o", "-pie -z nodlopen a.o"},
    {"nodump", "-pie a.o", "-pie -z nodump a.o"},
    {"origin", "-pie a.o", "-pie -z origin a.o"},
    {"initfirst", "-pie a.o", "-pie -z initfirst a.o"},
    {"interpose", "-pie a.o", "-pie -z interpose a.o"},
    {"global", "-pie a.o", "-pie -z global a.o"},
    {"loadfltr", "-pie a.o", "-pie -z loadfltr a.o"},
    {"globalaudit", "-pie a.o", "-pie -z globalaudit a.o"},
    {"unique", "-pie a.o", "-pie -z unique a.o"},
    {"nounique", "-pie -z unique a.o", "-pie -z unique -z nounique a.o"},
    {"ibt", "exec.o", "-z ibt exec.o"},
    {"force-ibt", "exec.o", "-z force-ibt exec.o"},
    {"ibtplt", "-shared -z lazy pic.o", "-shared -z lazy -z ibtplt pic.o"},
    {"shstk", "exec.o", "-z shstk exec.o"},
    {"cet-report", "exec.o", "-z cet-report=warning exec.o"},
    {"rewrite-endbr", "endbr.o", "-z rewrite-endbr endbr.o"},
    {"norewrite-endbr", "-z rewrite-endbr endbr.o", "-z rewrite-endbr -z norewrite-endbr endbr.o"},
    {"x86-64-baseline", "a.o", "-z x86-64-baseline a.o"},
    {"x86-64-v2", "a.o", "-z x86-64-v2 a.o"},
    {"x86-64-v3", "a.o", "-z x86-64-v3 a.o"},
    {"x86-64-v4", "a.o", "-z x86-64-v4 a.o"},
    {"keep-text-section-prefix", "hot.o", "-z keep-text-section-prefix hot.o"},
    {"nokeep-text-section-prefix", "-z keep-text-section-prefix hot.o",
     "-z keep-text-section-prefix -z nokeep-text-section-prefix hot.o"},
    {"start-stop-gc", "--gc-sections border.o", "--gc-sections -z start-stop-gc border.o"},
    {"nostart-stop-gc", "--gc-sections -z start-stop-gc border.o",
     "--gc-sections -z start-stop-gc -z nostart-stop-gc border.o"},
    {"start-stop-visibility", "-shared border.o", "-shared -z start-stop-visibility=protected border.o"},
    {"dead-reloc-in-nonalloc", "--gc-sections a.o",
     "--gc-sections -z dead-reloc-in-nonalloc=.debug_info=0xffffffff a.o"},
};

const Example plugin_examples[] = {{"time-trace", "a.o", "-plugin-opt=time-trace=trace a.o"}};

// Rows whose effect cannot be seen in what a link leaves behind (a link that stays: watch_test.cpp).
const std::set<std::string> invisible = {"threads", "thread-count", "no-threads", "watch", "watch-run"};

// Everything a link leaves behind.
std::string traces(const TempDir& dir, const std::set<std::string>& inputs, const std::string& args) {
  RunResult r = run_in(dir, Args{LODE_BINARY, "-o", "out"} + words(args));
  CHECK(r.signal == 0);
  std::string all = std::to_string(r.status) + "\n" + r.out + "\n" + r.err + "\n";
  std::vector<std::filesystem::path> made;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path()))
    if (entry.is_regular_file() && !inputs.count(entry.path().string())) made.push_back(entry.path());
  std::sort(made.begin(), made.end());
  for (const auto& path : made) {
    all += path.string() + "\n" + read_file(path.string());
    std::filesystem::remove(path);
  }
  return all;
}

void check_examples(std::span<const OptionRow> rows, std::span<const Example> examples) {
  TempDir dir;
  make_inputs(dir);
  compile(dir, "copies", "extern int lib_data; void _start(void) { lib_data = 3; }", {"-fno-pic"});
  std::set<std::string> inputs;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path()))
    inputs.insert(entry.path().string());
  std::map<std::string, const Example*> by_option;
  for (const Example& e : examples) by_option[e.option] = &e;
  CHECK(by_option.size() == examples.size());
  for (const OptionRow& row : rows) {
    if (row.fate != OptionFate::effective || invisible.count(first_name(row))) continue;
    auto it = by_option.find(first_name(row));
    INFO(row.names);
    CHECK(it != by_option.end());
    if (it == by_option.end()) continue;
    INFO(it->second->with);
    bool differs = traces(dir, inputs, it->second->without) != traces(dir, inputs, it->second->with);
    CHECK(differs);
    by_option.erase(it);
  }
  for (auto& [name, example] : by_option) FAIL_CHECK("an example of what is no effective row: " + name);
}

}  // namespace

TEST_CASE("ELF option table: rows are whole, and no name has two") {
  std::map<std::string, std::set<std::string>> seen;
  for (const Table& table : tables())
    for (const OptionRow& row : table.rows) {
      if (row.fate == OptionFate::heading) continue;
      INFO(row.names);
      CHECK(row.text[0] != 0);
      CHECK(std::string(row.text).find('|') == std::string::npos);
      CHECK((row.fate != OptionFate::effective || row.action));
      CHECK((row.fate != OptionFate::refused || !row.action));
      for (const std::string& name : words(row.names)) CHECK(seen[table.prefix].insert(name).second);
    }
}

TEST_CASE("ELF option table: docs/options.md is what the tables say") {
  std::string stored = read_file(LODE_SOURCE_DIR "/docs/options.md");
  bool current = stored == link_elf::options_document();
  INFO("lode --help=markdown > docs/options.md makes it current");
  CHECK(current);
}

TEST_CASE(
    "ELF option table: what has no effect changes nothing that a link reads; what is refused is an error by name") {
  Parsed plain = parse({"a.o"});
  REQUIRE(plain.error.empty());
  for (const Table& table : tables())
    for (const OptionRow& row : table.rows)
      for (const std::string& name :
           words(row.fate == OptionFate::without_effect || row.fate == OptionFate::refused ? row.names : "")) {
        Args args = use(table, row, name);
        if (row.form == OptionForm::value && table.prefix.empty() && name.size() == 1) args = {"-" + name, "none"};
        INFO(args.back());
        Parsed p = parse(args + Args{"a.o"});
        if (row.fate == OptionFate::refused) {
          CHECK(has(p.error, name));
          CHECK(has(p.error, " is not supported: "));
          continue;
        }
        CHECK(p.error == "");
        CHECK(p.options.without_effect.size() == 1);
        p.options.without_effect.clear();
        bool unchanged = p.options == plain.options;
        CHECK(unchanged);
      }
}

TEST_CASE("ELF option table: every field of the options is read by the link") {
  std::string header = read_file(LODE_SOURCE_DIR "/link/elf/options/options.h"), sources;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(LODE_SOURCE_DIR "/link/elf")) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with("option_") && name.ends_with(".cpp")) sources += read_file(entry.path().string());
  }
  header = header.substr(header.find("struct Options {"));
  header = header.substr(0, header.find("bool operator==") );
  // Declarations: "type a = x, b;" without comments. A field is a name before '=', ',' or ';'.
  size_t fields = 0;
  std::string line;
  for (size_t at = header.find('\n') + 1; at < header.size();) {
    size_t end = std::min(header.find('\n', at), header.size());
    line += header.substr(at, std::min(end, header.find("//", at)) - at);
    at = end + 1;
    if (line.find(';') == std::string::npos) continue;
    static const std::regex name(" ([a-z_0-9]+)( = [^,;]*)?[,;]");
    for (std::sregex_iterator it(line.begin(), line.end(), name), none; it != none; ++it) {
      std::string field = (*it)[1];
      fields++;
      INFO(field);
      bool read = std::regex_search(sources, std::regex("(opt|o|opt_)\\." + field + "\\b"));
      CHECK(read);
    }
    line.clear();
  }
  CHECK(fields > 100);
}

TEST_CASE("ELF option table: options of the installed peers are rows") {
  // GNU ld's help goes on with PE's options, which are no business of an ELF linker.
  struct Peer {
    const char* command;
    const char* end;
  };
  for (const Peer& peer : {Peer{"ld.bfd", "i386pep:"}, Peer{"ld.lld-19", nullptr}, Peer{"mold", nullptr}}) {
    if (!part_needs({peer.command})) continue;
    std::string help = run({peer.command, "--help"}).out;
    if (peer.end) help = help.substr(0, help.find(peer.end));
    size_t options = 0;
    static const std::regex option(
        "(?:^|\\n) +(?:-[^\\n ]+(?: \\[?[A-Z=][^ \\n,]*)?, )*(--?[^\\n ,=\\[<]+)(=[^ \\n]*)?( [A-Za-z_0-9-]+)?");
    for (std::sregex_iterator it(help.begin(), help.end(), option), none; it != none; ++it) {
      std::string name = (*it)[1], keyword = (*it)[3];
      INFO(peer.command << ": " << (*it)[0]);
      options++;
      if (name == "-z") {
        if (keyword.empty() || keyword == " ") continue;
        keyword = keyword.substr(1);
        if (keyword.starts_with("x86-64-")) continue;  // GNU ld's help has them as x86-64-{baseline|v[234]}
        CHECK(link_elf::find_z_keyword(keyword));
        continue;
      }
      name = name.substr(name[1] == '-' ? 2 : 1);
      if (name == "plugin-opt") continue;
      CHECK(link_elf::find_option(name));
    }
    CHECK(options > 80);
  }
}

TEST_CASE("ELF option table: every effective option has its effect") {
  check_examples(link_elf::effective_options(), option_examples);
}

TEST_CASE("ELF option table: every effective keyword of -z and -plugin-opt has its effect") {
  check_examples(link_elf::z_keywords(), z_examples);
  check_examples(link_elf::plugin_keywords(), plugin_examples);
}

TEST_CASE("ELF option table: unknown options are errors that say what may be meant") {
  CHECK(parse({"--as-neded", "a.o"}).error == "unknown command line option: --as-neded (did you mean --as-needed?)");
  CHECK(parse({"--gc-section", "a.o"}).error ==
        "unknown command line option: --gc-section (did you mean --gc-sections?)");
  CHECK(parse({"--frobnicate=7", "a.o"}).error == "unknown command line option: --frobnicate=7");
  CHECK(parse({"-abcdefg", "a.o"}).error == "unknown command line option: -abcdefg");
  CHECK(parse({"-a", "bcdefg", "a.o"}).error == "-a: unknown keyword 'bcdefg'");
  CHECK(parse({"-plugin-opt=emit-asn", "a.o"}).error ==
        "unknown command line option: -plugin-opt=emit-asn (did you mean emit-asm?)");
  Parsed z = parse({"-z", "rello", "a.o"});
  CHECK(z.error == "");
  CHECK(z.warnings == Args{"unknown command line option: -z rello (did you mean relro?)"});
  CHECK(parse({"-z", "max-page-size", "a.o"}).error ==
        "-z max-page-size: a value is missing, as in -z max-page-size=N");
  CHECK(parse({"-z", "call-nop=suffix-nop", "a.o"}).error == "-z call-nop=suffix-nop is not supported");
}

TEST_CASE(
    "ELF option table: the manual page has every effective option, and nothing that roff would take for a request") {
  const std::string page = link_elf::man_page();
  CHECK(page == link_elf::man_page());
  CHECK(has(page, "\n.TH LODE 1 \"\" \"lode "));  // no date
  size_t at = 0;
  for (const char* section :
       {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"}) {
    INFO(section);
    at = page.find(std::string("\n.SH ") + section + "\n", at);
    REQUIRE(at != std::string::npos);
  }
  const std::set<std::string> requests = {"TH", "SH", "SS", "TP", "PP", "B",  "I",  "BR",
                                          "BI", "RI", "RB", "br", "nf", "fi", "RS", "RE"};
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK((line.empty() || line[0] != '\''));
    if (line.starts_with(".\\\"")) continue;
    if (line.starts_with('.')) CHECK(requests.count(line.substr(1, line.find(' ') - 1)));
  }
  for (const Table& table : tables())
    for (const OptionRow& row : table.rows) {
      if (row.fate != OptionFate::effective) continue;
      INFO(row.names);
      std::string name = words(row.names)[0], escaped;
      if (table.prefix.empty()) name = link_elf::spelled(name);
      for (char c : name) escaped += c == '-' ? "\\-" : std::string(1, c);
      CHECK(has(page, "\n.TP\n\\fB" + escaped));
    }
}
