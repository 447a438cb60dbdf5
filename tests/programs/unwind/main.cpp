// Throws through each function of frames.c, and counts the frames that backtrace() sees below it.
#include <cstdio>
#include <execinfo.h>
#include <stdexcept>

extern "C" {
typedef int (*Callback)(int);
int plain(Callback, int);
int saved(Callback, int, int, int, int, int, int, int);
int dynamic(Callback, int);
int aligned(Callback, int);
int both(Callback, int);
int large(Callback, int);
}

static int depth, first_depth, caught, alive, total;

struct Guard {
  Guard() { alive++; }
  ~Guard() { alive--; }
};

static int callback(int n) {
  void* frames[64];
  depth = backtrace(frames, 64);
  if (n == 13) throw std::runtime_error("thirteen");
  return n;
}

template <class F>
__attribute__((noinline)) void both_ways(const char* name, F f) {
  Guard outer;
  try {
    Guard inner;
    f(13);
  } catch (const std::exception&) {
    caught++;
  }
  int result = f(5);
  if (!first_depth) first_depth = depth;
  total += result;
  std::printf("%s %d %s\n", name, result, depth == first_depth ? "whole" : "cut");
}

int main() {
  both_ways("plain", [](int n) { return plain(callback, n); });
  both_ways("saved", [](int n) { return saved(callback, n, 1, 2, 3, 4, 5, 6); });
  both_ways("dynamic", [](int n) { return dynamic(callback, n); });
  both_ways("aligned", [](int n) { return aligned(callback, n); });
  both_ways("both", [](int n) { return both(callback, n); });
  both_ways("large", [](int n) { return large(callback, n); });
  std::printf("caught %d, alive %d, total %d, found %s\n", caught, alive, total, depth > 2 ? "frames" : "nothing");
}
