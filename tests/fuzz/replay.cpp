// The fuzzers without libFuzzer: runs one over every file of the folders that are given.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  unsigned files = 0;
  for (int k = 1; k < argc; k++)
    for (const auto& entry : std::filesystem::directory_iterator(argv[k])) {
      std::printf("%s\n", entry.path().filename().c_str());
      std::fflush(stdout);  // the last name before a crash is the one that did it
      std::ifstream file(entry.path(), std::ios::binary);
      std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
      LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      files++;
    }
  if (!files) std::printf("no seeds\n");
  return files ? 0 : 1;
}
