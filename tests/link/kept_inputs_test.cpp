// Files and what was read of them, from link to link: taken again as long as they are the same, and only then.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "link/elf/inputs/contents.h"
#include "link/elf/machines/machine.h"
#include "lode/link/linker.h"
#include "tests/support/run.h"
#include "tests/support/toolchain.h"

using namespace lode;
using link::InputFiles;
using link::elf::KeptInputs;

namespace {

const uint8_t* open(InputFiles& files, const std::string& path) {
  auto file = files.open(path);
  REQUIRE(file.ok());
  return file->data.data();
}
std::string text_of(InputFiles& files, const std::string& path) {
  auto file = files.open(path);
  return file ? std::string(reinterpret_cast<const char*>(file->data.data()), file->data.size()) : "";
}
size_t end(InputFiles& files) {
  size_t gone = 0;
  files.end_link([&](std::span<const uint8_t>) { gone++; });
  return gone;
}

// Times of files say nothing until the clock has gone on (InputFiles).
void let_times_settle() { std::this_thread::sleep_for(std::chrono::milliseconds(4200)); }

std::string text(const Result<void>& r) { return r.ok() ? "" : r.error().text(); }

}  // namespace

TEST_CASE("kept inputs: a mapping is taken again while its file is the same, and given back when nobody opens it") {
  test::TempDir dir;
  const std::string kept = dir.write("kept", "kept"), changed = dir.write("changed", "old"),
                    replaced = dir.write("replaced", "old"), dropped = dir.write("dropped", "gone"),
                    shrunk = dir.write("shrunk", "long");
  let_times_settle();
  InputFiles files;
  files.begin_link(true);
  const uint8_t* at = open(files, kept);
  for (const std::string& p : {changed, replaced, dropped, shrunk}) open(files, p);
  CHECK(end(files) == 0);

  dir.write("changed", "new");  // the same file, as long as before
  dir.write("shrunk", "s");
  dir.write("fresh", "new");
  std::filesystem::rename(dir.file("fresh"), replaced);
  files.begin_link(true);
  CHECK(open(files, kept) == at);
  CHECK(open(files, kept) == at);
  CHECK(text_of(files, changed) == "new");
  CHECK(text_of(files, replaced) == "new");
  CHECK(text_of(files, shrunk) == "s");
  CHECK(text(files.check_unchanged()) == "");  // it was longer, but not in this link
  std::filesystem::resize_file(shrunk, 0);
  CHECK(text(files.check_unchanged()) == shrunk + ": the file was truncated while it was read");
  // The old states of three files, the new ones, whose times have not settled, and what was not opened.
  CHECK(end(files) == 7);

  files.begin_link(true);
  CHECK(open(files, kept) == at);
  CHECK(text_of(files, changed) == "new");
  CHECK(end(files) == 1);
}

TEST_CASE("kept inputs: files that have just been written are read again by every link") {
  test::TempDir dir;
  const std::string path = dir.write("young", "1");
  InputFiles files;
  for (const char* content : {"1", "2", "3"}) {
    dir.write("young", content);
    files.begin_link(true);
    CHECK(text_of(files, path) == content);
    end(files);
  }
}

TEST_CASE("kept inputs: contents go by how they were read, and go with their file") {
  test::TempDir dir;
  const std::string path = dir.write("object", "not read in this test");
  let_times_settle();
  KeptInputs inputs;
  inputs.set_keeps(true);
  link::elf::ReadOptions options{&link::elf::x86_64_machine};
  inputs.begin(options);
  auto file = inputs.files.open(path);
  REQUIRE(file.ok());
  inputs.keep(file->data, std::make_shared<const link::elf::ObjectContents>());
  inputs.keep(std::span<const uint8_t>(reinterpret_cast<const uint8_t*>("no file"), 7),
              std::make_shared<const link::elf::ObjectContents>());
  CHECK(inputs.object(file->data));
  inputs.end();

  inputs.begin(options);
  REQUIRE(inputs.files.open(path).ok());
  CHECK(inputs.object(file->data));
  CHECK(!inputs.shared(file->data));
  inputs.end();

  options.strip_debug = true;
  inputs.begin(options);
  REQUIRE(inputs.files.open(path).ok());
  CHECK(!inputs.object(file->data));
  inputs.keep(file->data, std::make_shared<const link::elf::ObjectContents>());
  inputs.end();

  inputs.begin(options);
  inputs.end();  // nobody opened it
  inputs.begin(options);
  CHECK(!inputs.object(file->data));
  inputs.end();
}

TEST_CASE("kept inputs: a flush over kept files writes what a new Linker writes, before and after they change") {
  test::TempDir dir;
  auto compile = [&](const std::string& name, const std::string& source) {
    dir.write(name + ".c", source);
    const std::string in = dir.file(name + ".c"), out = dir.file(name + ".o");
    REQUIRE(test::run({"gcc", "-c", "-g", "-O1", "-ffunction-sections", in, "-o", out}).ok());
  };
  compile("a", "extern int b(void); __attribute__((section(\".ctors\"))) void* table = 0; int a(void) { return b(); }");
  compile("b", "int b(void) { return 1; } const char* text(void) { return \"text\"; }");
  compile("c", "int c(void) { return 3; }");
  REQUIRE(test::run({"ar", "rcs", dir.file("lib.a"), dir.file("c.o")}).ok());
  let_times_settle();
  auto prepared = [&](link::Linker& linker) {
    for (const char* f : {"a.o", "b.o", "lib.a", "/usr/lib/x86_64-linux-gnu/libc.so.6"})
      linker.add_file(f[0] == '/' ? f : dir.file(f));
  };
  const std::vector<std::string> options{"-shared", "-u", "c", "--gc-sections", "--build-id"};
  link::Linker kept(options);
  prepared(kept);
  auto same = [&] {
    link::Linker fresh(options);
    prepared(fresh);
    REQUIRE(text(kept.flush(dir.file("kept.so"))) == "");
    REQUIRE(text(fresh.flush(dir.file("fresh.so"))) == "");
    return test::read_file(dir.file("kept.so")) == test::read_file(dir.file("fresh.so"));
  };
  CHECK(same());
  CHECK(same());
  compile("b", "int b(void) { return 2; }");
  CHECK(same());
  compile("c", "int c(void) { return 4; } int more(void) { return 5; }");
  REQUIRE(test::run({"ar", "rcs", dir.file("lib.a"), dir.file("c.o")}).ok());
  CHECK(same());
  CHECK(same());
}
