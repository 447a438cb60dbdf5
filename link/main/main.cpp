// The command. Everything it does is in libraries; this file only decides which of them is meant.
//
//   lode inspect FILE [--json]   what an ELF file contains: done by the command lode-inspect beside this one, because
//                                its parsing library would cost every link some 2 ms of loading
//   lode air FILE --print ...    AIR text without a link: link/air_command.cpp
//   ld.lode, lode                the ELF linker
//   wasm-lode, lode -m wasm32    the WebAssembly linker; also chosen when the first object among the inputs is a wasm
//   one
//
// Compilers that know lld by one command for all formats (rustc) begin the line with -flavor NAME. It counts more than
// all else.
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>
#include <unistd.h>

#include "link/driver.h"
#include "link/common/input_files.h"
#include "link/common/process.h"

namespace {

// Replaces this process by `lode-inspect` from the folder of this executable; returns only if that fails.
int exec_inspect(char** argv) {
  char self[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  std::string path(self, n > 0 ? size_t(n) : 0);
  path = path.substr(0, path.rfind('/') + 1) + "lode-inspect";
  execv(path.c_str(), argv + 1);
  std::fprintf(stderr, "lode: error: cannot run %s: %s\n", path.c_str(), std::strerror(errno));
  return 1;
}

// Bitcode's string table, at its end, has the target triple among its strings.
bool names_wasm(const std::vector<uint8_t>& tail) {
  std::string_view text(reinterpret_cast<const char*>(tail.data()), tail.size());
  return text.find("wasm32-") != std::string_view::npos || text.find("wasm64-") != std::string_view::npos;
}

bool means_wasm(int argc, char** argv) {
  std::string_view name = argv[0];
  name = name.substr(name.rfind('/') + 1);
  if (name.starts_with("wasm-")) return true;
  for (int i = 1; i < argc; i++) {
    std::string_view a = argv[i];
    std::string_view m = a == "-m" && i + 1 < argc ? std::string_view(argv[i + 1])
                         : a.starts_with("-mwasm") ? a.substr(2)
                                                   : std::string_view();
    if (m == "wasm32" || m == "wasm64") return true;
    if (!m.empty()) return false;
  }
  if (name.starts_with("ld")) return false;
  for (int i = 1; i < argc; i++) {
    std::string_view a = argv[i];
    if (a == "-o" && i + 1 < argc) {
      i++;
      continue;
    }
    if (a.empty() || a[0] == '-' || a[0] == '@') continue;
    std::vector<uint8_t> magic = lode::link::peek_input(argv[i], 4);
    auto begins = [&](const char* with) { return magic.size() == 4 && std::memcmp(magic.data(), with, 4) == 0; };
    if (begins("\0asm")) return true;
    if (begins("\177ELF")) return false;
    if (begins("BC\xc0\xde") && names_wasm(lode::link::peek_input(argv[i], 65536, true))) return true;
  }
  return false;
}

// The linkers that lld has under a flavour's name; null for what lode does not write.
using Linker = int (*)(std::span<const char* const>);
Linker of_flavor(std::string_view name) {
  for (std::string_view wasm : {"wasm", "wasm-ld", "ld-wasm"})
    if (name == wasm) return lode::link::wasm_main;
  for (std::string_view elf : {"gnu", "ld", "ld.lld", "ld-lld"})
    if (name == elf) return lode::link::elf_main;
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], "inspect") == 0) return exec_inspect(argv);
  std::string_view name = argv[0];
  name = name.substr(name.rfind('/') + 1);
  lode::link::install_process_handlers(std::string(name));
  Linker linker = nullptr;
  // A file named air is linked all the same: alone, as ./air, behind another argument, and by names that are only a
  // linker's.
  const bool is_linker = name.starts_with("ld") || name.starts_with("wasm-");
  if (argc >= 3 && !is_linker && std::strcmp(argv[1], "air") == 0) linker = lode::link::air_main;
  if (argc >= 3 && std::strcmp(argv[1], "-flavor") == 0) {
    linker = of_flavor(argv[2]);
    if (!linker) {
      std::fprintf(stderr, "lode: error: -flavor %s: not supported (gnu and wasm are)\n", argv[2]);
      return 1;
    }
    argv[2] = argv[0];
    argv += 2;
    argc -= 2;
  }
  std::span<const char* const> args(argv, size_t(argc));
  if (!linker) linker = means_wasm(argc, argv) ? lode::link::wasm_main : lode::link::elf_main;
  int status = linker(args);
  if ((std::fflush(stdout) != 0 || std::ferror(stdout)) && status == 0) {
    std::fprintf(stderr, "lode: error: cannot write standard output: %s\n", std::strerror(errno));
    status = 1;
  }
  std::fflush(stderr);
  _exit(status);  // no destructors: what is mapped goes with the process
}
