// Relinks in which files that did not change matter: names that are bound anew, files that come and go, and the tables
// of the dynamic linker. Each is in place, and the program is that of its sources.
#include <algorithm>
#include <fstream>

#include "tests/link/relink_support.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

// Names of .dynsym, sorted.
std::vector<std::string> dynamic_names(const std::string& file, bool defined) {
  std::vector<std::string> out;
  std::istringstream lines(run({"nm", "-D", defined ? "--defined-only" : "--undefined-only", "-P", file}).out);
  for (std::string line; std::getline(lines, line);) out.push_back(line.substr(0, line.find_first_of(" @")));
  std::sort(out.begin(), out.end());
  return out;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void archive(const TempDir& dir, const std::string& name, const Args& members) {
  std::remove(dir.file(name).c_str());
  Args command{"ar", "rcs", dir.file(name)};
  for (const std::string& m : members) command.push_back(dir.file(m));
  REQUIRE(run(command).ok());
}

constexpr const char* group_of_f = R"(
  __asm__(".section .text.f,\"axG\",@progbits,f,comdat\n.weak f\n.type f,@function\nf: mov $%d, %%eax\n"
          "ret\n.size f, .-f\n.text");
  int f(void);)";
std::string with_group(int value) {
  std::string s = group_of_f;
  s.replace(s.find("%d"), 2, std::to_string(value));
  s.replace(s.find("%%"), 2, "%");
  return s;
}

}  // namespace

TEST_CASE("a relink follows definitions to files that did not change") {
  Project p;
  p.begin();
  SECTION("the next copy of a group counts when the first is gone, and the first when it is back") {
    p.source("part", with_group(10) + "int part(int x) { return x + f(); }");
    p.source("data", with_group(10) + "const char *text = \"data\"; int other(void) { return f(); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "11 data\n");
    p.source("part", "int other(void); int part(int x) { return x + other(); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "11 data\n");
    p.source("data", "int f(void); const char *text = \"data\"; int other(void) { return f(); }");
    p.source("part", with_group(20) + "int other(void); int part(int x) { return x + other() + f(); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "41 data\n");
    p.source("main", with_group(30) + Project::main_source);
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "61 data\n");
  }
  SECTION("a weak definition counts when the strong one is gone") {
    p.source("data", "const char *text = \"data\"; __attribute__((weak)) int w(void) { return 1; }");
    p.source("part", "int w(void) { return 2; } int part(int x) { return w(); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "2 data\n");
    p.source("part", "int w(void); int part(int x) { return w(); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "1 data\n");
    p.source("part", "int w(void) { return 3; } int part(int x) { return w(); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "3 data\n");
  }
  SECTION("a function of an unchanged file becomes live") {
    p.source("data", "int v = 5; int deep(void) { return v; } int dead(void) { v++; return deep(); }\n"
                     "const char *text = \"data\";");
    CHECK(in_place(p.relink()));
    CHECK_FALSE(has(run({"nm", p.program}).out, " dead\n"));
    p.source("part", "int dead(void); int part(int x) { return dead(); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "6 data\n");
    CHECK(has(run({"nm", p.program}).out, " dead\n"));
  }
}

TEST_CASE("a relink takes what libraries offer for a new name") {
  Project p;
  compile(p.dir, "m1", "int deep(int); int m1(int x) { return deep(x) + 1; }");
  compile(p.dir, "m2", "#include <string.h>\nint deep(int x) { return 10 * x + (int)strlen(\"abc\"); }");
  compile(p.dir, "m3", "int unused(void) { return 0; }");
  archive(p.dir, "lib.a", {"m1.o", "m2.o", "m3.o"});
  p.extra = {p.dir.file("lib.a")};
  p.begin();
  SECTION("a shared library: an import, with its version and a PLT entry") {
    REQUIRE_FALSE(contains(dynamic_names(p.program, false), "strtol"));
    p.source("part", "#include <stdlib.h>\nint part(int x) { return (int)strtol(\"41\", 0, 10) + x; }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "42 data\n");
    CHECK(contains(dynamic_names(p.program, false), "strtol"));
    p.source("part",
             "#include <stdlib.h>\nint part(int x) { char *p = malloc(9); p[0] = 7; x = p[0]; free(p); return x; }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "7 data\n");
    // Nobody refers to it any more: it must not be missed at run time.
    CHECK(has(run({"nm", "-D", p.program}).out, " w strtol@"));
  }
  SECTION("a member of an archive, and what that wants") {
    p.source("part", "int m1(int); int part(int x) { return m1(x); }");
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "14 data\n");
    CHECK_FALSE(has(run({"nm", p.program}).out, " unused\n"));
  }
  SECTION("nobody") {
    p.source("part", "int nowhere(int); int part(int x) { return nowhere(x); }");
    RunResult r = link(p.command());
    CHECK(r.status == 1);
    CHECK(has(r.err, "undefined symbol: nowhere"));
  }
}

TEST_CASE("a relink takes inputs that came and lets those go that are gone") {
  Project p;
  p.begin();
  compile(p.dir, "more", "static int v = 30; int more(void) { return v++; }", p.flags);
  p.extra = {p.dir.file("more.o")};
  p.source("part", "int more(void); int part(int x) { return x + more(); }");
  CHECK(in_place(p.relink()));
  CHECK(p.output() == "31 data\n");
  CHECK(p.relink() == "nothing changed");
  SECTION("removed, and missed") {
    p.extra = {};
    RunResult r = link(p.command());
    CHECK(r.status == 1);
    CHECK(has(r.err, "undefined symbol: more"));
  }
  SECTION("removed") {
    p.extra = {};
    p.source("part", Project::part_source);
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "3 data\n");
    CHECK_FALSE(has(run({"nm", p.program}).out, " more\n"));
  }
  SECTION("another in its place") {
    compile(p.dir, "less", "int more(void) { return -30; }", p.flags);
    p.extra = {p.dir.file("less.o")};
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "-29 data\n");
  }
  SECTION("an archive has it now") {
    archive(p.dir, "lib.a", {"more.o"});
    p.extra = {p.dir.file("lib.a")};
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "31 data\n");
  }
  SECTION("another order") {
    compile(p.dir, "less", "int less(void) { return 0; }", p.flags);
    p.extra = {p.dir.file("less.o"), p.dir.file("more.o")};
    CHECK(in_place(p.relink()));
    p.extra = {p.dir.file("more.o"), p.dir.file("less.o")};
    CHECK(in_place(p.relink()));
    CHECK(p.output() == "31 data\n");
    archive(p.dir, "lib.a", {"less.o"});
    p.extra = {p.dir.file("more.o"), p.dir.file("lib.a")};
    CHECK(in_place(p.relink()));
    p.extra = {p.dir.file("lib.a"), p.dir.file("more.o")};
    CHECK(in_place(p.relink()));  // it is the object that moved
    CHECK(p.output() == "31 data\n");
  }
}

TEST_CASE("the order of inputs says which weak definition and which copy of a group counts, and who begins") {
  Project p;
  p.begin();
  auto file = [&](const std::string& name, const std::string& value) {
    const std::string group = ".section .rodata.one,\\\"aG\\\",@progbits,one,comdat; .weak one; one: .long " + value;
    compile(p.dir, name,
            "extern int log_; __attribute__((constructor)) static void begin(void) { log_ = log_ * 10 + " + value +
                "; }\n__attribute__((weak)) int chosen(void) { return " + value + "; }\n__asm__(\"" + group +
                "; .text\");",
            p.flags);
    p.extra.push_back(p.dir.file(name + ".o"));
  };
  for (const char* value : {"1", "2", "3"}) file(std::string("w") + value, value);
  p.source("part",
           "int log_; int chosen(void); extern const int one;"
           "int part(int x) { return log_ * 100 + chosen() * 10 + one; }");
  CHECK(in_place(p.relink()));
  CHECK(p.output() == "12311 data\n");
  const Args w = p.extra;
  const int orders[][3] = {{1, 0, 2}, {2, 0, 1}, {0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
  for (const auto& o : orders) {
    p.extra = {w[o[0]], w[o[1]], w[o[2]]};
    CHECK(in_place(p.relink()));
    const auto digit = [&](int k) { return std::to_string(o[k] + 1); };
    CHECK(p.output() == digit(0) + digit(1) + digit(2) + digit(0) + digit(0) + " data\n");
    CHECK(p.relink() == "nothing changed");
  }
}

TEST_CASE("exports of a shared library come and go in place") {
  TempDir dir;
  const Args flags{"-fPIC", "-O1"};
  const std::string library = dir.file("libe.so");
  auto source = [&](const std::string& file, int first, int last) {
    std::string text;
    for (int i = first; i < last; i++)
      text += "int e" + std::to_string(i) + "(int x) { return x + " + std::to_string(i) + "; }\n";
    text += "int sum_" + file + "(void) { return 0";
    for (int i = first; i < last; i += 2) text += " + e" + std::to_string(i) + "(0)";
    compile(dir, file, text + "; }", flags);
  };
  auto relink = [&](const std::string& hash) {
    RunResult r = link({"-shared", "-o", library, "--incremental", "--stats", "--hash-style=" + hash, dir.file("a.o"),
                        dir.file("b.o")});
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(elf_report(library) == "");
    return r.out.substr(r.out.find("relink: ") + 8);
  };
  compile(dir, "user", R"(
    #include <dlfcn.h>
    #include <stdio.h>
    #include <stdlib.h>
    int main(int argc, char **argv) {
      void *h = dlopen(argv[1], RTLD_NOW);
      if (!h) return puts(dlerror());
      for (int i = 0; i < 60; i++) {
        char name[20];
        sprintf(name, "e%d", i);
        int (*f)(int) = dlsym(h, name);
        if (f) printf("%d ", f(0) == i ? i : -1);
      }
      int (*a)(void) = dlsym(h, "sum_a"), (*b)(void) = dlsym(h, "sum_b");
      printf("%d %d\n", a(), b());
      return 0; })");
  REQUIRE(run({"gcc", dir.file("user.o"), "-o", dir.file("user"), "-ldl"}).ok());
  auto expected = [](std::vector<std::pair<int, int>> ranges) {
    std::string out, sums;
    std::vector<int> all;
    for (auto [first, last] : ranges) {
      int sum = 0;
      for (int i = first; i < last; i++) {
        all.push_back(i);
        if ((i - first) % 2 == 0) sum += i;
      }
      sums += (sums.empty() ? "" : " ") + std::to_string(sum);
    }
    std::sort(all.begin(), all.end());
    for (int i : all) out += std::to_string(i) + " ";
    return out + sums + "\n";
  };
  for (const std::string hash : {"gnu", "sysv", "both"}) {
    source("a", 0, 3);
    source("b", 3, 5);
    relink(hash);
    std::pair<int, int> b{3, 5};
    for (const auto& range :
         {std::pair(10, 30), std::pair(12, 28), std::pair(40, 42), std::pair(20, 55), std::pair(5, 9)}) {
      b = range;
      source("b", b.first, b.second);
      CHECK(in_place(relink(hash)));
      CHECK(run({dir.file("user"), library}).out == expected({{0, 3}, b}));
      CHECK(dynamic_names(library, true).size() == size_t(3 + b.second - b.first + 2));
    }
  }
}

TEST_CASE("arrays of initialisers and sections with borders change their members in place") {
  Project p;
  p.source("main", R"(
    #include <stdio.h>
    int part(int); extern const char *text; int log_[50], n;
    int main(void) {
      for (int i = 0; i < n; i++) printf("%d ", log_[i]);
      printf("%d %s\n", part(1), text);
      return 0;
    })");
  auto initialiser = [](int value, const std::string& priority = "") {
    const std::string v = std::to_string(value);
    return "__attribute__((constructor" + priority + ")) static void c" + v + "(void) { log_[n++] = " + v + "; }\n";
  };
  auto entry = [](int value) {
    const std::string v = std::to_string(value);
    return "__attribute__((section(\"tab\"), used)) static int t" + v + " = " + v + ";\n";
  };
  const std::string head = "extern int log_[], n, __start_tab[], __stop_tab[];\n";
  const std::string part = "int part(int x) { return (int)(__stop_tab - __start_tab); }\n";
  p.source("part", head + part + initialiser(1) + entry(1));
  p.source("data", head + "const char *text = \"data\";\n" + initialiser(2));
  p.extra = {"-znostart-stop-gc"};
  const bool position_independent = GENERATE(false, true);
  p.position_independent = position_independent;
  p.relink();
  CHECK(p.output() == "1 2 1 data\n");
  p.source("part", head + part + initialiser(1) + initialiser(3) + entry(1) + entry(4));
  CHECK(in_place(p.relink()));
  CHECK(p.output() == "1 3 2 2 data\n");
  p.source("data", head + "const char *text = \"data\";\n" + initialiser(2) + initialiser(5, "(300)") + entry(6));
  CHECK(in_place(p.relink()));
  CHECK(p.output() == "5 1 3 2 3 data\n");
  p.source("part", head + part);
  CHECK(in_place(p.relink()));
  CHECK(p.output() == "5 2 1 data\n");
}
