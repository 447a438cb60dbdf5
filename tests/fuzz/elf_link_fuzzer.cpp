// Whole ELF links in the process, from the command line to the last byte of the output: a relocatable object, a shared
// library or an archive, changed by the mutator of mutate/elf.h, is linked with an object and a library that are in
// order.
//
// The options are chosen by the trailer of the input (mutate/input.h). What -r makes is linked once more, into a
// program: an output of ours is as hostile an input as any other, and must be a better one. The status of a link means
// nothing here; a crash, a sanitizer's report or a link that does not end is what counts.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/bytes.h"
#include "formats/archive.h"
#include "formats/elf/reader.h"
#include "link/elf/elf_main.h"
#include "tests/fuzz/mutate/elf.h"
#include "tests/fuzz/mutate/input.h"

using namespace lode;

namespace {

constexpr uint64_t max_relinked = uint64_t{1} << 24;  // bytes

std::vector<uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder for what must be a file, removed when the process ends.
const std::string& work_folder() {
  static const struct Folder {
    std::string path;
    Folder() {
      path = (std::filesystem::temp_directory_path() / "lode-fuzz-XXXXXX").string();
      if (!mkdtemp(path.data())) std::abort();
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } folder;
  return folder.path;
}
void write_file(const std::string& path, std::span<const uint8_t> data) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(data.data()), std::streamsize(data.size()));
}

// The first choice is what output is made; of the others each is taken once in so many times.
constexpr const char* kinds[][3] = {{"-pie", nullptr},
                                    {"-shared", nullptr},
                                    {"-static", nullptr},
                                    {"-r", nullptr},
                                    {"--no-dynamic-linker", nullptr},
                                    {"-static", "-pie", "--no-dynamic-linker"},
                                    {"-shared", "-Bsymbolic", nullptr},
                                    {"-r", "--gc-sections", nullptr}};
struct Option {
  const char* text;
  unsigned one_in;
};
constexpr Option options[] = {
    {"--gc-sections", 3}, {"--icf=all", 3}, {"--icf=safe", 8}, {"--emit-relocs", 3}, {"--export-dynamic", 4},
    {"--pack-dyn-relocs=relr", 4}, {"--compress-debug-sections=zlib", 12}, {"-s", 10}, {"-S", 10}, {"-x", 10},
    {"--discard-locals", 10}, {"--build-id", 20}, {"-znow", 6}, {"-znorelro", 8}, {"-znotext", 2},
    {"-znosectionheader", 12}, {"-zibt", 8}, {"-zshstk", 12}, {"-zrewrite-endbr", 8}, {"--no-relax", 6},
    {"--hash-style=sysv", 12}, {"-Bsymbolic-functions", 12}, {"--omagic", 16}, {"--nmagic", 16},
    {"--shuffle-sections=1", 12}, {"--zero-to-bss", 16}, {"--start-stop", 10}, {"-zstart-stop-gc", 10},
    {"--no-eh-frame-hdr", 8}, {"--relocatable-merge-sections", 6}, {"--default-symver", 16}, {"--wrap=callee", 12},
    {"--defsym=absolute_too=callee+4", 12}, {"-zkeep-text-section-prefix", 12}, {"-zseparate-loadable-segments", 12},
    {"-znoseparate-code", 12}, {"-znocopyreloc", 12}, {"--unresolved-symbols=ignore-all", 1},
    {"--error-unresolved-symbols", 10}, {"--allow-multiple-definition", 2}, {"-znocombreloc", 12},
    {"--whole-archive", 2}, {"--as-needed", 4}, {"--fatal-warnings", 20}, {"--execute-only", 16},
    {"--no-rosegment", 16}, {"--unique", 16}, {"-Ttext=0x10000", 16}, {"--section-start=.data=0x7fff0000", 16},
    {"-zcet-report=warning", 16}, {"--warn-common", 16}, {"-zundefs", 16}, {"-Map=/dev/null", 10},
    {"--retain-symbols-file=/dev/null", 24}, {"--no-dynamic-undefined-weak", 12}, {"--discard-section=.data", 24},
    {"--image-base=0x100000000", 24}, {"--tail-merge", 24},
};

std::vector<std::string> chosen_options(uint64_t seed) {
  fuzz::Random random(seed);
  std::vector<std::string> out{"ld.lode", "--threads=1", "-znoexecstack"};
  for (const char* k : kinds[seed % std::size(kinds)]) {
    if (!k) break;
    out.push_back(k);
  }
  for (const Option& o : options)
    if (random.one_in(o.one_in)) out.push_back(o.text);
  return out;
}

struct Companions {
  std::vector<uint8_t> object = read_file(LODE_FUZZ_CORPUS "/elf_link/companion-static"),
                       pic = read_file(LODE_FUZZ_CORPUS "/elf_link/companion-pic");
  std::string library = LODE_FUZZ_CORPUS "/elf_link/library.so";
};

// `file` is linked as memory where it can be, so that a read past its end is seen.
void link_one(std::span<const uint8_t> file, const std::vector<std::string>& chosen, const std::string& output) {
  static const Companions companions;
  auto given = [&](const char* o) { return std::find(chosen.begin(), chosen.end(), o) != chosen.end(); };
  std::vector<std::string> args = chosen;
  const bool relocatable = given("-r"), shared_object = file.size() > 18 && formats::elf::is_elf(file) &&
                                                        load_le<uint16_t>(file.data() + 16) == formats::elf::ET_DYN;
  // What is for another machine has no companions.
  const bool alone = file.size() > 20 && formats::elf::is_elf(file) &&
                     load_le<uint16_t>(file.data() + 18) == formats::elf::EM_RISCV;
  std::vector<link::elf::MemoryInput> memory;
  memory.push_back({"second", "second.o", given("-static") ? companions.object : companions.pic});
  if (shared_object || formats::Archive::is_archive(file)) {
    std::string path = work_folder() + "/input";
    write_file(path, file);
    if (!alone) args.push_back("second");
    args.push_back(path);
  } else {
    memory.push_back({"first", "first.o", file});
    args.push_back("first");
    if (!alone) args.push_back("second");
    if (!relocatable && !given("-static") && !alone) args.push_back(companions.library);
  }
  args.push_back("-o");
  args.push_back(output);
  link::elf::Host host;
  (void)link::elf::main_with(args, memory, &host);
  if (std::getenv("LODE_FUZZ_VERBOSE")) {
    for (const std::string& a : args) std::fprintf(stderr, "%s ", a.c_str());
    std::fprintf(stderr, "\n%s\n", host.messages.c_str());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Input in(data, size);
  std::vector<std::string> chosen = chosen_options(in.options);
  // A device as output is written to from memory of exactly its size: what is written past that is seen.
  if (std::find(chosen.begin(), chosen.end(), "-r") == chosen.end()) {
    link_one(in.file, chosen, "/dev/null");
    return 0;
  }
  std::string partial = work_folder() + "/partial.o";
  (void)unlink(partial.c_str());
  link_one(in.file, chosen, partial);
  // Sections of nothing but zeroes may make it as large as a disk; such an output is as good as a small one.
  std::error_code unknown;
  const uint64_t made_size = std::filesystem::file_size(partial, unknown);
  if (unknown || made_size > max_relinked) return 0;
  std::vector<uint8_t> made = read_file(partial);
  if (!made.empty()) link_one(made, {"ld.lode", "--threads=1", "-shared", "-znotext", "--gc-sections"}, "/dev/null");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::mutate_input(data, size, max_size, seed, fuzz::mutate_elf);
}
