// The functions that TBB's headers call in TBB's library, for the command: the library is loaded by the first of them.
//
// Of libtbb there is only a shared library, which needs the shared C++ library: the two cost 0.8 ms before main. What
// ends before a link begins (--version, an error in the options, an output that is up to date) calls nothing of TBB and
// does not load it; a link does, when it asks how many threads there are. Whatever links lode as a library is linked
// with TBB as usual and does not contain this file.
//
// Two C++ libraries are then in the process, this executable's and TBB's. They share no object: what crosses the border
// are tasks, whose virtual functions belong to the side that made them, and memory that the side gives back that made
// it. An exception may not cross, and none does: here a failed allocation ends the process (common/process.h), which is
// the only thing that would throw in a task.
//
// tbb_entries.def has a row for each function. All of them are looked up at once, so that a library that lacks one is
// refused when it is loaded and not in the middle of a link.
#include <dlfcn.h>
#include <tbb/tbb.h>
#include <unistd.h>

#include <cstdio>

namespace {

enum class Entry : unsigned {
#define LODE_TBB_ENTRY(row, result, name, parameters, arguments, symbol) row,
#include "link/main/tbb_entries.def"
#undef LODE_TBB_ENTRY
  count
};

constexpr const char* symbols[] = {
#define LODE_TBB_ENTRY(row, result, name, parameters, arguments, symbol) symbol,
#include "link/main/tbb_entries.def"
#undef LODE_TBB_ENTRY
};

struct Entries {
  void* address[unsigned(Entry::count)];
};

[[noreturn]] void cannot(const char* what) {
  std::fprintf(stderr, "lode: error: cannot load %s: %s\n", LODE_TBB_SONAME, what);
  std::fflush(stderr);
  _exit(1);
}

Entries load() {
  void* library = dlopen(LODE_TBB_SONAME, RTLD_LAZY | RTLD_LOCAL);
  if (!library) cannot(dlerror());
  Entries e;
  for (unsigned i = 0; i < unsigned(Entry::count); i++)
    if (!(e.address[i] = dlsym(library, symbols[i]))) cannot(dlerror());
  return e;
}

void* entry(Entry e) {
  static const Entries entries = load();
  return entries.address[unsigned(e)];
}

}  // namespace

namespace tbb::detail::r1 {

#define LODE_TBB_ENTRY(row, result, name, parameters, arguments, symbol) \
  result name parameters {                                               \
    using Function = result(*) parameters;                               \
    return reinterpret_cast<Function>(entry(Entry::row)) arguments;      \
  }
#include "link/main/tbb_entries.def"
#undef LODE_TBB_ENTRY

}  // namespace tbb::detail::r1
