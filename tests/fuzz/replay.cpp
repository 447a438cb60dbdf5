// The fuzzers without libFuzzer: runs one over every file of the folders that are given, and, where it brings a mutator
// of its own, over changed copies of them.
//
//   NAME_fuzzer [--mutations=N] [--seed=S] FOLDER-OR-FILE...
//
// N changed copies are made in all, each from a file and a seed, S + 0, S + 1, ..., so that a run does the same
// everywhere. What crashes or takes longer than 20 s of processor time is written to crash-NAME in the working folder,
// and its seed is printed.
#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" {
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) __attribute__((weak));
void __asan_set_death_callback(void (*)()) __attribute__((weak));
}

extern "C" const char* fuzz_input_name;  // of the file that is running, without its extension
const char* fuzz_input_name = "";

namespace {

constexpr unsigned time_limit = 20;
constexpr size_t max_size = 1 << 17;

// The input that is running, for the handlers.
const std::vector<uint8_t>* current;
char current_name[256], crash_path[256];

void keep_input() {
  if (!current) return;
  int fd = open(crash_path, O_CREAT | O_TRUNC | O_WRONLY, 0666);
  if (fd >= 0) {
    (void)!write(fd, current->data(), current->size());
    close(fd);
  }
  (void)!write(2, current_name, std::strlen(current_name));
  current = nullptr;
}
void on_signal(int signal) {
  keep_input();
  const char text[] = "\ndied, or took longer than 20 s\n";
  (void)!write(2, text, sizeof text - 1);
  std::signal(signal, SIG_DFL);
  raise(signal);
}

// Processor time: a busy machine makes nothing hang.
void limit_time(unsigned seconds) {
  itimerval t{};
  t.it_value.tv_sec = seconds;
  setitimer(ITIMER_PROF, &t, nullptr);
}

void run(const std::vector<uint8_t>& bytes, const std::string& name) {
  current = &bytes;
  std::snprintf(current_name, sizeof current_name, "%s\n", name.c_str());
  limit_time(time_limit);
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  limit_time(0);
  current = nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned long mutations = 0, seed = 0;
  std::vector<std::filesystem::path> files;
  for (int k = 1; k < argc; k++) {
    if (std::strncmp(argv[k], "--mutations=", 12) == 0) {
      mutations = std::strtoul(argv[k] + 12, nullptr, 10);
    } else if (std::strncmp(argv[k], "--seed=", 7) == 0) {
      seed = std::strtoul(argv[k] + 7, nullptr, 10);
    } else if (std::filesystem::is_directory(argv[k])) {
      for (const auto& entry : std::filesystem::directory_iterator(argv[k])) files.push_back(entry.path());
    } else {
      files.push_back(argv[k]);
    }
  }
  std::sort(files.begin(), files.end());
  std::string own_name = std::filesystem::path(argv[0]).filename().string();
  std::snprintf(crash_path, sizeof crash_path, "crash-%s", own_name.c_str());
  for (int s : {SIGPROF, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE})
    if (!__asan_set_death_callback || s == SIGPROF || s == SIGABRT) std::signal(s, on_signal);
  if (__asan_set_death_callback) __asan_set_death_callback(keep_input);

  std::vector<std::vector<uint8_t>> seeds;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    std::printf("%s\n", path.filename().c_str());
    std::fflush(stdout);  // the last name before a crash is the one that did it
    std::string stem = path.stem().string();
    fuzz_input_name = stem.c_str();
    run(seeds.back(), path.filename().string());
  }
  if (seeds.empty()) std::printf("no seeds\n");
  if (mutations && !LLVMFuzzerCustomMutator) {
    std::printf("this fuzzer has no mutator of its own\n");
    return 1;
  }
  for (unsigned long i = 0; i < mutations && !seeds.empty(); i++) {
    size_t which = i % seeds.size();
    std::vector<uint8_t> bytes = seeds[which];
    size_t size = bytes.size();
    bytes.resize(std::max(size, max_size));
    // One change of the file in two cases of three, else several one after the other.
    const unsigned rounds = i % 3 == 2 ? 1 + unsigned(i / 3 % 4) : 1;
    for (unsigned r = 0; r < rounds; r++)
      size = LLVMFuzzerCustomMutator(bytes.data(), size, bytes.size(), unsigned((seed + i) * 8 + r));
    bytes.resize(size);
    bytes.shrink_to_fit();
    run(bytes,
        files[which].filename().string() + ", mutation " + std::to_string(i) + " from seed " + std::to_string(seed));
  }
  return seeds.empty() ? 1 : 0;
}
