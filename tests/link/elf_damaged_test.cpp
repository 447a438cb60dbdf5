// Damaged objects: fields with values that no assembler writes, found by the mutator of tests/fuzz/mutate/elf.cpp. Each
// is refused by the name of the file and the section, whatever options there are.
#include <catch2/catch.hpp>

#include <cstring>
#include <fstream>
#include <functional>

#include "base/bytes.h"
#include "formats/elf/elf.h"
#include "tests/link/elf_link_support.h"

using namespace lode::test;
using namespace lode::test::elf;
namespace fe = lode::formats::elf;

namespace {

// A copy of an object in which the first relocation was changed.
std::string with_relocation(const TempDir& dir, const std::string& object, const std::string& name,
                            const std::function<void(fe::Rela&)>& change) {
  std::string bytes = read_file(object);
  auto header = lode::load_le<fe::Ehdr>(bytes.data());
  for (unsigned i = 1; i < header.shnum; i++) {
    auto s = lode::load_le<fe::Shdr>(bytes.data() + header.shoff + i * sizeof(fe::Shdr));
    if (s.type != fe::SHT_RELA) continue;
    auto r = lode::load_le<fe::Rela>(bytes.data() + s.offset);
    change(r);
    lode::store_le(bytes.data() + s.offset, r);
    break;
  }
  std::string path = dir.file(name + ".o");
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace

TEST_CASE("ELF damaged: --noinhibit-exec lets pass what can be output, not a relocation that means nothing") {
  TempDir dir;
  std::string good = assemble(dir, "good", ".globl _start\n_start: call missing\n ret\n");
  const std::string out = dir.file("out");
  RunResult r = link({"--noinhibit-exec", "--require-defined=wanted", good, "-o", out});
  INFO(r.describe());
  CHECK(r.ok());
  CHECK(has(r.err, "warning: undefined symbol: missing"));
  CHECK(has(r.err, "warning: --require-defined: undefined symbol: wanted"));

  struct Damage {
    const char* message;
    std::function<void(fe::Rela&)> change;
  };
  const Damage damages[] = {
      {"unknown relocation type 200", [](fe::Rela& x) { x.type = 200; }},
      {"malformed relocation R_X86_64_PLT32", [](fe::Rela& x) { x.sym = 0x7fffffff; }},
      {"malformed relocation R_X86_64_PLT32", [](fe::Rela& x) { x.offset = uint64_t{1} << 40; }},
      {"TLSGD relocation is not followed by a call of __tls_get_addr",
       [](fe::Rela& x) { x.type = fe::R_X86_64_TLSGD; }},
      {"GOTPC32_TLSDESC relocation is not in the instruction that the psABI prescribes",
       [](fe::Rela& x) { x.type = fe::R_X86_64_GOTPC32_TLSDESC; }},
  };
  for (const Damage& d : damages)
    for (const char* kind : {"--noinhibit-exec", "-pie", "-shared"}) {
      std::string bad = with_relocation(dir, good, "damaged", d.change);
      r = link({"--noinhibit-exec", "--unresolved-symbols=ignore-all", kind, bad, "-o", out});
      INFO(d.message << "\n" << r.describe());
      CHECK(r.status == 1);
      CHECK(has(r.err, d.message));
      CHECK(has(r.err, "damaged.o:(.text"));
    }
}
