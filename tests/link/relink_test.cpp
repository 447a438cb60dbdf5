// Relinks: a program is linked with --incremental, its sources change, and the next link patches it. Whatever happens
// in between, the program is that of its sources.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "link/driver.h"
#include "link/relink/state_file.h"
#include "tests/link/relink_support.h"

using namespace lode::test;
using namespace lode::test::elf;

namespace {

std::string identity(const std::string& path) {
  struct stat st;
  REQUIRE(stat(path.c_str(), &st) == 0);
  return std::to_string(st.st_ino) + "/" + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

}  // namespace

TEST_CASE("a relink of what did not change gives the output a new time") {
  Project p;
  p.begin();
  const std::string before = identity(p.program);
  usleep(20000);
  CHECK(p.relink() == "nothing changed");
  const std::string after = identity(p.program);
  CHECK(after != before);
  CHECK(after.substr(0, after.find('/')) == before.substr(0, before.find('/')));
  CHECK(p.output() == "3 data\n");
  unlink(p.program.c_str());  // as cargo does
  CHECK(p.relink() == "nothing changed");
  CHECK(p.output() == "3 data\n");
}

TEST_CASE("functions and data change, grow, come and go in place") {
  Project p;
  p.begin();
  p.source("part", "int part(int x) { return x + 41; }");
  CHECK(in_place(p.relink()));
  CHECK(p.output() == "42 data\n");
  std::string large =
      "__attribute__((noinline)) int other(int x) { return x * 3; }\nint part(int x) { volatile int y = x;\n";
  for (int i = 0; i < 60; i++) large += "y = y * 3 + other(y);\n";
  p.source("part", large + "return y & 0xff; }");
  const std::string grown = p.relink();
  INFO(grown);
  CHECK(in_place(grown));
  CHECK(has(grown, "1 symbols moved"));
  CHECK(p.output().ends_with(" data\n"));
  CHECK(has(run({"nm", p.program}).out, " other\n"));
  p.source("part", Project::part_source);
  p.source("data", R"(const char *text = "a longer text, which is a new string of the output";)");
  CHECK(in_place(p.relink()));
  CHECK(p.output() == "3 a longer text, which is a new string of the output\n");
  CHECK_FALSE(has(run({"nm", p.program}).out, " other\n"));
  CHECK(run({"gdb", "-batch", "-ex", "info line part", p.program}).out.find("Line ") == 0);
}

TEST_CASE("what a relink cannot do is linked from scratch, with the reason") {
  Project p;
  p.begin();
  SECTION("options") {
    p.extra = {"--export-dynamic"};
    CHECK(p.relink() == "full (the options changed)");
  }
  SECTION("the output") {
    std::ofstream(p.program, std::ios::app) << "x";
    CHECK(p.relink() == "full (the output is not the one that the last link made)");
  }
  SECTION("both gone") {
    unlink(p.program.c_str());
    unlink((p.program + ".lode-image").c_str());
    CHECK(p.relink() == "full (there is no output)");
  }
  SECTION("thread-local storage") {
    p.source("data", R"(_Thread_local int t = 3; const char *text = "data"; int part2(void) { return t++; })");
    p.source("part", "int part2(void); int part(int x) { return x - 1 + part2(); }");
    CHECK(has(p.relink(), "full ("));
  }
  SECTION("two definitions") {
    p.source("data", R"(const char *text = "data"; int part(int x) { return x; })");
    RunResult r = link(p.command());
    CHECK(r.status == 1);
    CHECK(has(r.err, "duplicate symbol"));
    p.source("data", Project::data_source);
    CHECK(in_place(p.relink()));
  }
  SECTION("an undefined symbol") {
    p.source("part", "int nowhere(int); int part(int x) { return nowhere(x); }");
    RunResult r = link(p.command());
    CHECK(r.status == 1);
    CHECK(has(r.err, "undefined symbol: nowhere"));
    p.source("part", Project::part_source);
    CHECK(in_place(p.relink()));
  }
  CHECK(p.output() == "3 data\n");
  CHECK(p.relink() == "nothing changed");
}

TEST_CASE("a running program keeps its file") {
  Project p;
  p.begin();
  p.source("main",
           "#include <unistd.h>\nint part(int); extern const char *text;\nint main(void) { return read(0, &text, 1) + "
           "part(0); }");
  p.relink();
  int in[2];
  REQUIRE(pipe(in) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(in[0], 0);
    close(in[1]);
    execl(p.program.c_str(), p.program.c_str(), nullptr);
    _exit(99);
  }
  close(in[0]);
  std::string exe;
  for (int i = 0; i < 500 && exe.find("prog") == std::string::npos; i++) {
    char link[512];
    const ssize_t n = readlink(("/proc/" + std::to_string(child) + "/exe").c_str(), link, sizeof link);
    exe = n > 0 ? std::string(link, size_t(n)) : "";
    usleep(2000);
  }
  const std::string before = identity(p.program);
  p.source("part", "int part(int x) { return x + 5; }");
  CHECK(in_place(p.relink()));
  auto inode = [](const std::string& s) { return s.substr(0, s.find('/')); };
  CHECK(inode(identity(p.program)) != inode(before));
  close(in[1]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(run({"sh", "-c", p.program + " < /dev/null"}).status == 5);
}

TEST_CASE("a relink that is killed at any write leaves a program of its sources to the next one") {
  Project p;
  p.begin();
  static int left;
  for (int round = 0, done = 0; round < 64 && !done; round++) {
    p.source("part", "int part(int x) { return x + " + std::to_string(round + 10) + "; }\nint new_" +
                         std::to_string(round) + "(void) { return 1; }");
    const pid_t child = fork();
    if (child == 0) {
      const int null = open("/dev/null", O_WRONLY);
      dup2(null, 1);
      left = round;
      lode::link::StateFile::before_write = [] {
        if (left-- == 0) raise(SIGKILL);
      };
      const Args args = Args{"lode"} + p.command();
      std::vector<const char*> pointers;
      for (const std::string& a : args) pointers.push_back(a.c_str());
      _exit(lode::link::elf_main(pointers));
    }
    int status = 0;
    waitpid(child, &status, 0);
    done = WIFEXITED(status);
    const std::string line = p.relink();
    INFO("round " << round << ": " << line);
    CHECK(p.output() == std::to_string(round + 11) + " data\n");
  }
}

TEST_CASE("a damaged state gives a link from scratch or a right one") {
  Project p;
  p.begin();
  const std::string state = p.program + ".lode";
  std::ifstream in(state, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  uint64_t seed = 12345;
  for (int round = 0; round < 40; round++) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    std::string bad;
    {
      std::ifstream now(state, std::ios::binary);
      bad.assign(std::istreambuf_iterator<char>(now), {});
    }
    const size_t at = round % 4 == 0 ? seed % 8192 : seed % bad.size();
    bad[at] = char(bad[at] ^ (1 << (seed >> 40) % 8));
    std::ofstream(state, std::ios::binary | std::ios::trunc) << bad;
    p.source("part", "int part(int x) { return x + " + std::to_string(round) + "; }");
    const std::string line = p.relink();
    INFO("byte " << at << ": " << line);
    CHECK(p.output() == std::to_string(round + 1) + " data\n");
  }
}

TEST_CASE("two relinks of one output wait for each other") {
  Project p;
  p.begin();
  for (int round = 0; round < 5; round++) {
    p.source("part", "int part(int x) { return x + " + std::to_string(round) + "; }");
    std::thread other([&] { (void)link(p.command()); });
    (void)link(p.command());
    other.join();
    CHECK(p.output() == std::to_string(round + 1) + " data\n");
    CHECK(p.relink() == "nothing changed");
  }
}
