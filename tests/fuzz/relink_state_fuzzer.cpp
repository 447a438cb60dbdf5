// States of relinks (link/relink/state_file.h, link/elf/relink/state.h) that say what no link wrote.
//
// A small program is linked once with --incremental. An input is a list of changes to the state file beside it: fields
// set to values that hurt, records exchanged, doubled or wiped out, bounds of regions moved, bytes flipped. Then one of
// the program's objects changes, and the program is linked again. As a rule the checksums are put right, or nothing but
// them would be tested: then whatever is read there must end in a relink or in a full link, without a crash. Where they
// are left as they are, the output has to be what an unharmed state, or none, leads to, byte for byte.
//
// An input is bytes: one for what changes (variant) and whether checksums are put right, then eight for each change.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "link/elf/elf_main.h"
#include "link/relink/state_file.h"

using namespace lode;

namespace {

using Contents = std::vector<uint8_t>;

Contents read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_file(const std::string& path, const Contents& data) {
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0755);
  if (fd < 0 || write(fd, data.data(), data.size()) != ssize_t(data.size())) std::abort();
  close(fd);
}

// The header of a state file.
constexpr uint64_t page_size = link::StateFile::page_size, header_size = 2 * page_size;
constexpr uint64_t checksum_at = 16, covered_from = 24, sum_pages_at = 28, pages_at = 56, sums_at_at = 64,
                   regions_at = 72, region_bytes = 24,
                   sum_sums_at = regions_at + link::StateFile::max_regions * region_bytes,
                   header_bytes = sum_sums_at + 700 * 8;

struct Region {
  uint64_t offset, size, capacity;
};
Region region_of(const Contents& state, uint32_t n) {
  return load_le<Region>(state.data() + regions_at + n * region_bytes);
}

void put_checksums_right(Contents& state) {
  const auto pages = load_le<uint64_t>(state.data() + pages_at), sums = load_le<uint64_t>(state.data() + sums_at_at);
  const auto sum_pages = load_le<uint32_t>(state.data() + sum_pages_at);
  if (sums + uint64_t{sum_pages} * page_size > state.size() || pages > (state.size() - header_size) / page_size) return;
  for (uint64_t n = 0; n < pages && sums + n * 8 + 8 <= state.size(); n++)
    store_le(state.data() + sums + n * 8, uint64_t(XXH3_64bits(state.data() + header_size + n * page_size, page_size)));
  for (uint64_t n = 0; n < sum_pages && n < 700; n++)
    store_le(state.data() + sum_sums_at + n * 8, uint64_t(XXH3_64bits(state.data() + sums + n * page_size, page_size)));
  store_le(state.data() + checksum_at, uint64_t(XXH3_64bits(state.data() + covered_from, header_bytes - covered_from)));
}

constexpr const char* main_source = R"(
extern int part(int), imported(int); extern __thread int counter; extern const char *names[];
static int begun; __attribute__((constructor)) static void begin(void) { begun = 1; }
int exported(int x) { return part(x) + imported(x) + counter + names[1][0]; }
int unused(int x) { return exported(x) * 3; }
void _start(void) { exported(begun); for (;;) ; })";
// One for each variant; the first is what is linked first.
constexpr const char* part_sources[] = {
    "static int twice(int x) { return 2 * x; } int part(int x) { return twice(x) + 1; } const char *names[] = {\"a\", "
    "\"b\"};"
    " __thread int counter = 7; int gone(int x) { return x; }",
    "static int twice(int x) { return 3 * x; } int part(int x) { return twice(x) + 2; } const char *names[] = {\"a\", "
    "\"c\"};"
    " __thread int counter = 8; int gone(int x) { return x; }",
    "static int twice(int x) { for (int i = 0; i < 9; i++) x = x * 7 + (x >> 3) % 5; return x; }"
    " int added(int x) { return twice(x) + twice(x + 1); } int part(int x) { return twice(x) + added(x); }"
    " const char *names[] = {\"a\", \"longer than before\", \"more\"}; int (*pointers[])(int) = {part, added};"
    " __thread int counter = 7; int gone(int x) { return x; }",
    "extern int exported(int), other_import(int), unused(int); int part(int x) { return x > 1 ? other_import(x) : "
    "unused(x); }"
    " const char *names[] = {\"a\", \"b\"}; __thread int counter = 7;",
};
constexpr uint32_t variants = std::size(part_sources);

class World {
 public:
  World() {
    path_ = (std::filesystem::exists("/dev/shm") ? "/dev/shm/lode-fuzz-XXXXXX" : "/tmp/lode-fuzz-XXXXXX");
    if (!mkdtemp(path_.data())) std::abort();
    compile("main", main_source, "");
    for (uint32_t v = variants; v-- > 0;) {
      compile("part", part_sources[v], "");
      parts_[v] = read_file(file("part.o"));
    }
    compile("library", "int imported(int x) { return x; } int other_import(int x) { return x; }", "-shared -nostdlib ");
    for (uint32_t v = 0; v < variants; v++) {
      set_part(v);
      link();
      full_[v] = read_file(file("prog"));
      remove(file("prog.lode").c_str());
    }
    set_part(0);
    link();
    state_ = read_file(file("prog.lode"));
    output_ = read_file(file("prog"));
    stat(file("part.o").c_str(), &part_);
    for (uint32_t v = 0; v < variants; v++) {
      Contents state = state_;
      restore(state, v);
      sign(state);
      put_checksums_right(state);
      restore(state, v);
      link();
      relinked_[v] = read_file(file("prog"));
    }
  }
  ~World() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const Contents& state() const { return state_; }
  // Everything as the first link left it, but for the state; and the object of the variant.
  void restore(const Contents& state, uint32_t variant) {
    if (read_file(file("prog")) != output_) write_file(file("prog"), output_);
    remove(file("prog.lode-image").c_str());
    (void)!::link(file("prog").c_str(), file("prog.lode-image").c_str());
    write_file(file("prog.lode"), state);
    set_part(variant);
    if (variant == 0) {
      const timespec times[2] = {part_.st_atim, part_.st_mtim};
      utimensat(AT_FDCWD, file("part.o").c_str(), times, 0);
    }
  }
  // That of the output as it is on disk now, into a state: it is what the state goes by.
  void sign(Contents& state) {
    struct stat st;
    if (stat(file("prog").c_str(), &st) != 0) return;
    const uint64_t identity[4] = {st.st_dev, st.st_ino, uint64_t(st.st_size),
                                  uint64_t(st.st_mtim.tv_sec) * 1000000000 + uint64_t(st.st_mtim.tv_nsec)};
    std::memcpy(state.data() + region_of(state, 0).offset, identity, sizeof identity);
  }
  void link() {
    lode::link::elf::Host host;
    lode::link::elf::main_with({"ld.lode", "-o", file("prog"), "-pie", "--dynamic-linker=/lib64/ld-linux-x86-64.so.2",
                                "--incremental", "--export-dynamic", "--gc-sections", "--build-id", "--stats",
                                "--threads=1", file("main.o"), file("part.o"), file("library.o")},
                               {}, &host);
    listing_ = host.listing;
  }
  bool is_right(uint32_t variant) {
    const Contents now = read_file(file("prog"));
    return now == relinked_[variant] || now == full_[variant];
  }
  const std::string& listing() const { return listing_; }

 private:
  std::string file(const char* name) const { return path_ + "/" + name; }
  void compile(const char* name, const char* source, const char* flags) {
    std::ofstream(file(name) + ".c") << source << "\n";
    const std::string command = std::string("gcc -O1 -g -fPIC -ffunction-sections -fdata-sections ") +
                                (*flags ? flags : "-c ") + "-o " + file(name) + ".o " + file(name) + ".c";
    if (std::system(command.c_str()) != 0) std::abort();
  }
  void set_part(uint32_t v) { write_file(file("part.o"), parts_[v]); }

  std::string path_, listing_;
  Contents parts_[variants], full_[variants], relinked_[variants], state_, output_;
  struct stat part_{};
};

// One change: what, where, with what.
void change(Contents& state, const uint8_t* op) {
  static constexpr uint32_t widths[] = {1, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80};
  const uint32_t kind = op[0] % 8, width = widths[op[0] / 8 % std::size(widths)];
  const uint32_t region = op[1] % 40;
  const auto a = load_le<uint16_t>(op + 2);
  const auto b = load_le<uint32_t>(op + 4);
  const Region r = region_of(state, region);
  if (r.offset > state.size() || r.size > state.size() - r.offset) return;
  uint8_t* const data = state.data() + r.offset;
  const uint64_t count = r.size / width;
  auto record = [&](uint64_t i) { return data + i % count * width; };
  const uint64_t values[] = {0,     1, ~uint64_t{0},      0x7fffffff, 0x80000000, r.size,
                             count, b, uint64_t{b} << 32, 0xfffffffe};
  const uint64_t value = values[a / 64 % std::size(values)];
  switch (kind) {
    case 0:
    case 1:  // a field
      if (r.size >= 8) {
        const uint64_t at = (uint64_t{b} * 4) % (r.size - 7);
        if (a & 1) store_le(data + at, uint32_t(value));
        else if (a & 2) store_le(data + at, load_le<uint32_t>(data + at) + uint32_t(int32_t(int8_t(a >> 8))));
        else store_le(data + at, value);
      }
      break;
    case 2:
      if (count > 1) std::swap_ranges(record(a), record(a) + width, record(b));
      break;
    case 3:
      if (count > 1 && record(a) != record(b)) std::memcpy(record(b), record(a), width);
      break;
    case 4:
      if (count)
        std::memset(record(b), a & 1 ? 0xff : 0,
                    std::min<uint64_t>(uint64_t{width} * (1 + a % 7), uint64_t(data + r.size - record(b))));
      break;
    case 5: {  // bounds
      uint8_t* p = state.data() + regions_at + region * region_bytes + (a % 3) * 8;
      store_le(p, a & 8 ? value : load_le<uint64_t>(p) + uint64_t(int64_t(int8_t(b))) * (a & 4 ? page_size : 8));
      break;
    }
    case 6:
      if (r.size) data[b % r.size] ^= uint8_t(1u << (a & 7));
      break;
    default: state[b % state.size()] ^= uint8_t(1u << (a & 7)); break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World& world = *new World;
  if (size < 1) return 0;
  const uint32_t variant = data[0] % variants;
  const bool right = data[0] & 0x40;  // the checksums are
  Contents state = world.state();
  world.restore(state, variant);
  world.sign(state);
  put_checksums_right(state);
  const Contents before = state;
  for (size_t at = 1; at + 8 <= size && at < 1 + 8 * 16; at += 8) change(state, data + at);
  if (right) put_checksums_right(state);
  world.restore(state, variant);
  world.link();
  if (std::getenv("LODE_FUZZ_VERBOSE")) std::fprintf(stderr, "%s", world.listing().c_str());
  if ((!right || state == before) && !world.is_right(variant)) {
    std::fprintf(stderr, "a wrong program: %s", world.listing().c_str());
    __builtin_trap();
  }
  return 0;
}
