// C++14: dynamic exception specifications, and the ways of std::terminate.
#include <cstdlib>
#include <exception>

#include "common.h"

static volatile int zero = 0;

static void only_int(int n) throw(int) {
  Mark m("spec");
  if (n == 0) throw 1;
  if (n == 1) throw 2L;
  std::printf("nothing thrown ");
}
static void nothing() throw() {
  Mark m("none");
  throw Base(3);
}
static void several(int n) throw(Base, const char*, std::bad_exception) {
  if (n == 0) throw Derived(4);
  if (n == 1) throw "five";
  throw 6.0;
}
static void convert() { throw 7; }
static void convert_bad() { throw; }
static void leave() {
  std::printf("unexpected\n");
  std::fflush(stdout);
  std::_Exit(40);
}
static void finish() {
  std::printf("terminate\n");
  std::fflush(stdout);
  std::_Exit(41);
}

int specification() {
  try {
    only_int(0);
  } catch (int i) {
    std::printf("spec int %d\n", i);
  }
  std::set_unexpected(convert);
  try {
    only_int(1);
  } catch (int i) {
    std::printf("spec converted %d\n", i);
  }
  only_int(2);
  std::set_unexpected(convert_bad);
  for (int n = 0; n < 3; n++) {
    try {
      several(n);
    } catch (Derived& d) {
      std::printf("several %d\n", d.code);
    } catch (const char* s) {
      std::printf("several %s\n", s);
    } catch (std::bad_exception&) {
      std::printf("several bad\n");
    }
  }
  return 7;
}

static void silent() noexcept {
  Mark m("noexcept");
  native_throw(zero);
}
struct Thrower {
  ~Thrower() noexcept(false) { throw 2; }
};
struct BadDestructor {
  ~BadDestructor() { native_throw(1 + zero); }
};

int ends(const char* how) {
  std::set_terminate(finish);
  std::set_unexpected(leave);
  switch (how[0]) {
    case 'n':
      try {
        silent();
      } catch (...) {
        std::printf("not here\n");
      }
      break;
    case 'u': native_throw(2); break;
    case 's': nothing(); break;
    case 'd':
      try {
        Thrower t;
        throw 1;
      } catch (...) {
        std::printf("not here\n");
      }
      break;
    case 'b': {
      try {
        BadDestructor b;
      } catch (...) {
        std::printf("not here\n");
      }
      break;
    }
    case 'r': throw;
    case 'o':
      try {
        Thrower t;
        std::printf("leaving ");
      } catch (int i) {
        std::printf("destructor threw %d\n", i);
        std::fflush(stdout);
        std::_Exit(42);
      }
  }
  return 1;
}
