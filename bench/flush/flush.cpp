// What a compiler that keeps a Linker pays: CPU time of the first flush of some modules, of flushes after one function
// was replaced, and memory over many of them. bench/run.py runs it:
//
//   flush_bench OUTPUT FLUSHES FUNCTION MODULE...      FUNCTION: one that returns int, replaced by a constant that
//   changes each time
//
// Prints: CPU ms of the first flush; median CPU ms of the others; resident KiB after a tenth of them and after all.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "link/linker.h"

namespace {

double cpu_ms() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  auto ms = [](const timeval& t) { return double(t.tv_sec) * 1e3 + double(t.tv_usec) / 1e3; };
  return ms(u.ru_utime) + ms(u.ru_stime);
}

long resident_kib() {
  long pages = 0, unused = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%ld %ld", &unused, &pages) != 2) pages = 0;
    std::fclose(f);
  }
  return pages * 4;
}

void must(const lode::Result<void>& r) {
  if (r.ok()) return;
  std::fprintf(stderr, "%s\n", r.error().text().c_str());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const std::string output = argv[1], function = argv[3];
  const int flushes = std::atoi(argv[2]);
  lode::link::Linker linker({"-shared", "--threads=1", "--unresolved-symbols=ignore-all"});
  for (int k = 4; k < argc; k++) {
    std::ifstream file(argv[k], std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    must(linker.add_module(argv[k], std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())));
  }
  auto flush = [&] {
    const double start = cpu_ms();
    must(linker.flush(output));
    return cpu_ms() - start;
  };
  const double first = flush();
  std::vector<double> others;
  long early = 0;
  for (int k = 0; k < flushes; k++) {
    must(linker.replace_function(
        function, "strong func @" + function + "() -> i32 {\na:\n  ret i32 " + std::to_string(k) + "\n}\n"));
    others.push_back(flush());
    if (k == flushes / 10) early = resident_kib();
  }
  std::sort(others.begin(), others.end());
  std::printf("%.2f %.2f %ld %ld\n", first, others[others.size() / 2], early, resident_kib());
  return 0;
}
