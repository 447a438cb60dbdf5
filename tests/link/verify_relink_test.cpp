// --verify-relink: an output that a relink left alone is damaged behind its back, in one place at a time, with the time
// of the file set back, so that the next relink finds nothing to do. The check has to say what differs.
#include <fcntl.h>
#include <sys/stat.h>

#include <functional>

#include "base/bytes.h"
#include "formats/elf/reader.h"
#include "tests/link/elf_link_support.h"

using namespace lode::test;
using namespace lode::test::elf;
using namespace lode::formats::elf;

namespace {

constexpr const char* main_source = R"(
  #include <stdio.h>
  extern int part(int); extern const char *names[]; extern __thread int counter; extern int table(int);
  extern int nobody(void) __attribute__((weak));
  int (*say)(const char *) = puts;
  int shared_value = 5;
  static int begun; __attribute__((constructor)) static void begin(void) { begun = 1; }
  int main(void) {
    counter += part(2) + begun + table(3) + (nobody ? nobody() : 0);
    say(names[1]);
    printf("%d %d\n", counter, shared_value);
    return 0;
  })";
constexpr const char* part_source = R"(
  extern void *malloc(unsigned long); extern void free(void *);
  static __attribute__((noinline)) int twice(int x) { return 2 * x; }
  int part(int x) { free(malloc(8)); return twice(x) + 1; }
  int table(int x) { static const int values[] = {1, 2, 3, 5, 8}; return values[x]; }
  __attribute__((noinline)) int other(int x) { return part(x) * 3; })";
constexpr const char* data_source = R"(
  const char *names[] = {"first", "second"};
  __thread int counter = 7; __thread int zero;
  int *address_of(int x) { return x ? &counter : &zero; })";

struct Program {
  TempDir dir;
  std::string path = dir.file("prog");
  Args command;

  Program() {
    const Args flags{"-fPIE", "-ffunction-sections", "-g", "-fno-inline"};
    compile(dir, "main", main_source, flags);
    compile(dir, "part", part_source, flags);
    compile(dir, "data", data_source, flags);
    command = {"-o",
               path,
               "-pie",
               "-dynamic-linker",
               "/lib64/ld-linux-x86-64.so.2",
               "--incremental",
               "--stats",
               "--export-dynamic",
               "--build-id",
               "--hash-style=both",
               "--eh-frame-hdr",
               "--verify-relink",
               file("Scrt1.o"),
               file("crti.o"),
               file("crtbeginS.o"),
               dir.file("main.o"),
               dir.file("part.o"),
               dir.file("data.o"),
               "-L/lib/x86_64-linux-gnu",
               "-L/usr/lib/x86_64-linux-gnu",
               "-lc",
               file("crtendS.o"),
               file("crtn.o")};
  }
  static std::string file(const char* name) {
    std::string s = run({"gcc", std::string("-print-file-name=") + name}).out;
    while (!s.empty() && s.back() == '\n') s.pop_back();
    return s;
  }
  RunResult relink() { return link(command); }

  // Changes bytes; what the file system says of it stays.
  void damage(const std::function<void(std::string& bytes, const ElfView& view)>& change) {
    struct stat before;
    REQUIRE(stat(path.c_str(), &before) == 0);
    std::string bytes = read_file(path);
    const std::string was = bytes;
    auto view = ElfView::open({reinterpret_cast<const uint8_t*>(was.data()), was.size()});
    REQUIRE(view);
    change(bytes, *view);
    REQUIRE(bytes.size() == was.size());
    REQUIRE(bytes != was);
    const int fd = open(path.c_str(), O_WRONLY);
    REQUIRE(pwrite(fd, bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()));
    const timespec times[2] = {before.st_atim, before.st_mtim};
    REQUIRE(futimens(fd, times) == 0);
    close(fd);
  }
};

const Shdr& section(const ElfView& view, std::string_view name) {
  for (uint32_t i = 1; i < view.sections.size(); i++)
    if (view.section_name(i) == name) return view.sections[i];
  FAIL("no section " << name);
  return view.sections[0];
}

// The value of a symbol of .symtab, as an offset in the file.
uint64_t place_of(const ElfView& view, std::string_view name) {
  const Shdr &symtab = section(view, ".symtab"), &strtab = section(view, ".strtab");
  for (uint64_t k = 0; k + sizeof(Sym) <= symtab.size; k += sizeof(Sym)) {
    const auto s = lode::load_le<Sym>(view.file.data() + symtab.offset + k);
    if (name != reinterpret_cast<const char*>(view.file.data() + strtab.offset + s.name)) continue;
    const Shdr& in = view.sections[s.shndx];
    return in.offset + (s.value - in.addr);
  }
  FAIL("no symbol " << name);
  return 0;
}

// Where the entry of a symbol is.
uint64_t entry_of(const ElfView& view, const char* table, const char* strings, std::string_view name) {
  const Shdr &symtab = section(view, table), &strtab = section(view, strings);
  for (uint64_t k = 0; k + sizeof(Sym) <= symtab.size; k += sizeof(Sym)) {
    const auto s = lode::load_le<Sym>(view.file.data() + symtab.offset + k);
    if (name == reinterpret_cast<const char*>(view.file.data() + strtab.offset + s.name)) return symtab.offset + k;
  }
  FAIL("no symbol " << name);
  return 0;
}

template <class T>
void add(std::string& bytes, uint64_t at, T by) {
  lode::store_le(bytes.data() + at, T(lode::load_le<T>(bytes.data() + at) + by));
}

struct Case {
  const char* name;
  const char* message;
  void (*change)(std::string&, const ElfView&);
};

const Case cases[] = {
    {"an instruction", "part.o:(.text.twice+0x",
     [](std::string& b, const ElfView& v) { b[place_of(v, "twice")] ^= 1; }},
    {"a call", "twice",
     [](std::string& b, const ElfView& v) {
       // The call of twice in part: the field is behind an e8.
       const uint64_t at = place_of(v, "part"), to = place_of(v, "twice");
       for (uint64_t k = at; k < at + 64; k++)
         if (uint8_t(b[k]) == 0xe8 && k + 5 + uint64_t(int64_t(lode::load_le<int32_t>(b.data() + k + 1))) == to)
           return add<int32_t>(b, k + 1, 4);
       FAIL("no call");
     }},
    {"a constant", "(.rodata", [](std::string& b, const ElfView& v) { b[place_of(v, "values.0") + 8] ^= 4; }},
    {"a string", "another string or constant", [](std::string& b, const ElfView&) { b[b.find("second")] = 'S'; }},
    {"data", "(.data+0x", [](std::string& b, const ElfView& v) { b[place_of(v, "shared_value")] ^= 1; }},
    {"an initial value of thread-local data", "(.tdata+0x",
     [](std::string& b, const ElfView& v) { b[section(v, ".tdata").offset] ^= 1; }},
    {"the addend of a relative relocation", "leads to",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".rela.dyn");
       const uint64_t names = section(v, ".data").addr;
       for (uint64_t k = 0; k < s.size; k += sizeof(Rela))
         if (const auto r = lode::load_le<Rela>(b.data() + s.offset + k);
             r.type == R_X86_64_RELATIVE && r.offset >= names)
           return add<int64_t>(b, s.offset + k + 16, 1);
       FAIL("no relocation");
     }},
    {"the symbol of a dynamic relocation", "the dynamic relocation at",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".rela.dyn");
       for (uint64_t k = 0; k < s.size; k += sizeof(Rela))
         if (lode::load_le<Rela>(b.data() + s.offset + k).type == R_X86_64_64)
           return add<uint32_t>(b, s.offset + k + 12, 1);
       FAIL("no relocation");
     }},
    {"a dynamic relocation too few", "dynamic relocations at",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".rela.dyn");
       for (uint64_t k = 0; k < s.size; k += sizeof(Rela))
         if (lode::load_le<Rela>(b.data() + s.offset + k).type == R_X86_64_64)
           return lode::store_le(b.data() + s.offset + k + 8, uint64_t{0});
     }},
    {"a slot of the PLT", "the PLT entry of",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".rela.plt");
       const auto first = lode::load_le<uint32_t>(b.data() + s.offset + 12);
       const auto second = lode::load_le<uint32_t>(b.data() + s.offset + sizeof(Rela) + 12);
       lode::store_le(b.data() + s.offset + 12, second);
       lode::store_le(b.data() + s.offset + sizeof(Rela) + 12, first);
     }},
    {"a PLT entry", "the PLT entry of",
     [](std::string& b, const ElfView& v) {
       add<uint32_t>(b, section(v, ".plt").offset + 16 + 7, 1);  // the number of its relocation
     }},
    {"where a dynamic symbol is", "the dynamic symbol shared_value",
     [](std::string& b, const ElfView& v) {
       add<uint64_t>(b, entry_of(v, ".dynsym", ".dynstr", "shared_value") + 8, 4);
     }},
    {"the version of a dynamic symbol", "dynamic symbol printf",
     [](std::string& b, const ElfView& v) {
       const uint64_t k = (entry_of(v, ".dynsym", ".dynstr", "printf") - section(v, ".dynsym").offset) / sizeof(Sym);
       lode::store_le(b.data() + section(v, ".gnu.version").offset + k * 2, uint16_t{1});
     }},
    {"the binding of a dynamic symbol", "dynamic symbol printf",
     [](std::string& b, const ElfView& v) { b[entry_of(v, ".dynsym", ".dynstr", "printf") + 4] = 0x22; }},
    {"a hash table", "is not found by .gnu.hash",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".gnu.hash");
       b[s.offset + s.size - 2] ^= 1;
     }},
    {"the other hash table", "is not found by .hash",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".hash");
       std::fill_n(b.begin() + ptrdiff_t(s.offset + 8), s.size / 2 - 8, '\0');
     }},
    {"a library's name", ".dynamic: ",
     [](std::string& b, const ElfView& v) {
       const Shdr &s = section(v, ".dynamic"), &names = section(v, ".dynstr");
       b[names.offset + lode::load_le<uint64_t>(b.data() + s.offset + 8)] = 'L';
     }},
    {"an entry of .dynamic", ".dynamic: ",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".dynamic");
       for (uint64_t k = 0; k < s.size; k += 16)
         if (lode::load_le<int64_t>(b.data() + s.offset + k) == DT_RELASZ)
           return add<uint64_t>(b, s.offset + k + 8, 24);
     }},
    {"an unwind record", "the unwind record of",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".eh_frame");
       // DW_CFA_advance_loc becomes one of another distance, in the last record that has any.
       for (uint64_t k = s.offset + s.size - 8; k > s.offset; k--)
         if (b[k - 1] == 0x41) return void(b[k - 1] = 0x42);
       FAIL("no advance");
     }},
    {"the length of an unwind record's code", "the unwind record of",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".eh_frame_hdr");
       const uint64_t last = s.offset + 12 + 8 * (lode::load_le<uint32_t>(b.data() + s.offset + 8) - 1ull);
       const uint64_t record = s.offset + uint64_t(int64_t(lode::load_le<int32_t>(b.data() + last + 4)));
       add<uint32_t>(b, record + 12, 1);
     }},
    {"the order of the search table", "the search table",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".eh_frame_hdr");
       std::swap_ranges(b.begin() + ptrdiff_t(s.offset + 12), b.begin() + ptrdiff_t(s.offset + 20),
                        b.begin() + ptrdiff_t(s.offset + 20));
     }},
    {"the length of the search table", "the search table lacks",
     [](std::string& b, const ElfView& v) { add<int32_t>(b, section(v, ".eh_frame_hdr").offset + 8, -1); }},
    {"a line table", ".debug_line",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".debug_line");
       b[s.offset + lode::load_le<uint32_t>(b.data() + s.offset) - 1] ^= 0x10;
     }},
    {"an address in debug information", "(.debug_info",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".debug_info");
       const uint64_t part = place_of(v, "other");
       const Shdr& text = section(v, ".text");
       for (uint64_t k = s.offset; k + 8 <= s.offset + s.size; k++)
         if (lode::load_le<uint64_t>(b.data() + k) == part - text.offset + text.addr) return add<uint64_t>(b, k, 1);
       FAIL("no address");
     }},
    {"a unit of nobody", "is of no input",
     [](std::string& b, const ElfView& v) {
       // The room at the end becomes a unit.
       const Shdr& s = section(v, ".debug_aranges");
       uint64_t last = s.offset;
       for (uint64_t k = s.offset; k + 4 < s.offset + s.size && lode::load_le<uint32_t>(b.data() + k);
            k += 4 + uint64_t(lode::load_le<uint32_t>(b.data() + k)))
         last = k;
       const uint64_t size = 4 + uint64_t(lode::load_le<uint32_t>(b.data() + last));
       REQUIRE(size > 48);
       b[last + 45] = 7;
     }},
    {"an initialiser", "begin",
     [](std::string& b, const ElfView& v) {
       const Shdr &s = section(v, ".init_array"), &r = section(v, ".rela.dyn");
       for (uint64_t k = 0; k < r.size; k += sizeof(Rela))
         if (lode::load_le<Rela>(b.data() + r.offset + k).offset == s.addr + s.size - 8)
           return add<int64_t>(b, r.offset + k + 16, 16);
     }},
    {"where a symbol is", "symbol other",
     [](std::string& b, const ElfView& v) { add<uint64_t>(b, entry_of(v, ".symtab", ".strtab", "other") + 8, 2); }},
    {"the size of a symbol", "symbol twice",
     [](std::string& b, const ElfView& v) { add<uint64_t>(b, entry_of(v, ".symtab", ".strtab", "twice") + 16, 1); }},
    {"the visibility of a symbol", "symbol other",
     [](std::string& b, const ElfView& v) { b[entry_of(v, ".symtab", ".strtab", "other") + 5] = STV_PROTECTED; }},
    {"the entry point", "the entry point",
     [](std::string& b, const ElfView&) { add<uint64_t>(b, offsetof(Ehdr, entry), 1); }},
    {"rights of a segment", "segments",
     [](std::string& b, const ElfView& v) {
       for (uint32_t k = 0; k < v.header->phnum; k++)
         if (const uint64_t at = v.header->phoff + k * sizeof(Phdr);
             lode::load_le<Phdr>(b.data() + at).type == PT_GNU_STACK)
           return void(b[at + 4] = PF_R | PF_W | PF_X);
     }},
    {"the thread-local layout", "thread-local storage",
     [](std::string& b, const ElfView& v) {
       for (uint32_t k = 0; k < v.header->phnum; k++)
         if (const uint64_t at = v.header->phoff + k * sizeof(Phdr); lode::load_le<Phdr>(b.data() + at).type == PT_TLS)
           return add<uint64_t>(b, at + offsetof(Phdr, memsz), 8);
     }},
    {"the build id", "the build id",
     [](std::string& b, const ElfView& v) { b[section(v, ".note.gnu.build-id").offset + 20] ^= 1; }},
    {"a byte that nobody refers to", "the build id",
     [](std::string& b, const ElfView& v) {
       const Shdr& s = section(v, ".text");
       b[s.offset + s.size - 1] ^= 1;  // room: only the build id speaks of it
     }},
};

}  // namespace

TEST_CASE("the check of relinks has nothing to say of a good relink") {
  Program p;
  REQUIRE(p.relink().ok());
  RunResult r = p.relink();
  INFO(r.describe());
  CHECK(r.ok());
  CHECK(has(r.out, "relink: nothing changed"));
  CHECK(has(r.out, "--verify-relink: "));
  compile(p.dir, "part", std::string(part_source) + "\nint more(int x) { return x; } int *more_data[] = {0, 0, 0};",
          {"-fPIE", "-ffunction-sections", "-g", "-fno-inline"});
  compile(p.dir, "data",
          "const char *names[] = {\"first\", \"a longer second\"}; __thread int counter = 8, zero;\n"
          "int *address_of(int x) { return x > 2 ? &counter : &zero; }",
          {"-fPIE", "-ffunction-sections", "-g", "-fno-inline"});
  r = p.relink();
  INFO(r.describe());
  CHECK(r.ok());
  CHECK(run({p.path}).out == "a longer second\n19 5\n");
}

TEST_CASE("the check of relinks names what was damaged") {
  Program p;
  REQUIRE(p.relink().ok());
  REQUIRE(p.relink().ok());
  const std::string good = read_file(p.path);
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      p.damage(c.change);
      const RunResult r = p.relink();
      INFO(r.describe());
      CHECK(r.status == 1);
      CHECK(has(r.err, "--verify-relink: "));
      CHECK(has(r.err, c.message));
      CHECK(has(r.out, "relink: nothing changed"));
    }
  }
}
