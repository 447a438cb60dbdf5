// The command. Everything it does is in libraries; this file only decides which of them is meant.
//
//   lode inspect FILE [--json]   what an ELF file contains: done by the command lode-inspect beside this one, because
//                                its parsing library would cost every link some 2 ms of loading
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>

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

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], "inspect") == 0) return exec_inspect(argv);
  std::fprintf(stderr, "lode: error: no input files\n");
  return 1;
}
