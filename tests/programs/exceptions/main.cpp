// What exceptions have to do, each piece printing what happened. The output is compared with that of the compiler's own
// program.
#include <csetjmp>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <vector>

#include "common.h"

#define NOINLINE __attribute__((noinline))

static volatile int zero = 0;

NOINLINE int thrower(int n) {
  Mark m("thrower");
  switch (n) {
    case 0: return 5;
    case 1: throw 11;
    case 2: throw Derived(22);
    case 3: throw std::string("three");
    case 4: throw std::out_of_range("four");
    case 5: throw 5L;
    case 6: throw static_cast<Base*>(new Derived(66));
    case 7: throw nullptr;
    default: throw 3.5f;
  }
}

static void by_type(int n) {
  std::printf("by_type %d: ", n);
  try {
    Mark m("try");
    int r = thrower(n);
    std::printf("value %d", r);
  } catch (int i) {
    std::printf("int %d", i);
  } catch (const Base& b) {
    std::printf("%s %d", b.name(), b.code);
  } catch (const std::string& s) {
    std::printf("string %s", s.c_str());
  } catch (const std::logic_error& e) {
    std::printf("logic %s", e.what());
  } catch (long l) {
    std::printf("long %ld", l);
  } catch (Base* p) {
    if (p) std::printf("pointer %s %d", p->name(), p->code);
    else std::printf("null");
    delete p;
  } catch (...) {
    std::printf("something");
  }
  std::printf("\n");
}

static void rethrow() {
  std::printf("rethrow: ");
  try {
    Mark a("a");
    try {
      Mark b("b");
      thrower(2);
    } catch (Base& b) {
      b.code++;
      Mark c("c");
      throw;
    }
  } catch (Derived& d) {
    std::printf("derived %d\n", d.code);
  }
}

static void nested() {
  std::printf("nested: ");
  try {
    thrower(1);
  } catch (int i) {
    try {
      Mark m("inner");
      thrower(3);
    } catch (std::string& s) {
      std::printf("%d and %s", i, s.c_str());
      try {
        throw i + 1;
      } catch (int j) {
        std::printf(" and %d", j);
      }
    }
    std::printf(" still %d\n", i);
  }
}

// Cleanups in loops, conditional temporaries, arrays of objects.
struct Counted {
  static int alive, made;
  int id;
  Counted() : id(made++) {
    if (made == 7) throw made;
    alive++;
  }
  Counted(const Counted& c) : id(c.id) { alive++; }
  ~Counted() { alive--; }
};
int Counted::alive, Counted::made;

static void arrays() {
  std::printf("arrays: ");
  try {
    Counted first[3];
    auto* second = new Counted[10];
    delete[] second;
  } catch (int n) {
    std::printf("thrown by %d, alive %d\n", n, Counted::alive);
  }
  Counted::made = 20;
  for (int k = 0; k < 3; k++) {
    try {
      Counted a;
      std::vector<Counted> v(4, a);
      if (k == 1) throw k;
      Counted b;
      if (k == 2) thrower(4);
    } catch (int i) {
      std::printf("loop %d ", i);
      continue;
    } catch (std::exception& e) {
      std::printf("loop %s ", e.what());
    }
  }
  std::printf("alive %d\n", Counted::alive);
}

struct Part {
  Mark m;
  Part(const char* n, bool bad) : m(n) {
    if (bad) throw Base(n[0]);
  }
};
struct Whole : Base {
  Part one, two, three;
  Whole(int bad) try : Base(1), one("one", bad == 1), two("two", bad == 2), three("three", bad == 3) {
    Mark m("body");
    if (bad == 4) throw Base('b');
  } catch (Base& b) {
    std::printf("(%c)", b.code);
  }
};

static int function_try(int n) try {
  Mark m("ft");
  return thrower(n);
} catch (int i) {
  return i * 2;
} catch (...) {
  return -1;
}

static void constructors() {
  for (int bad = 0; bad < 5; bad++) {
    std::printf("constructor %d: ", bad);
    try {
      std::unique_ptr<Whole> w(new Whole(bad));
      std::printf("made");
    } catch (Base& b) {
      std::printf("caught %c", b.code);
    }
    std::printf("\n");
  }
  std::printf("function try:");
  for (int n : {0, 1, 3}) std::printf(" %d", function_try(n));
  std::printf("\n");
}

static int back(int n) {
  Mark m("back");
  if (n == 9) throw Derived(9);
  if (n == 8) throw 8L;
  return n == 0 ? 0 : native_call(back, n - 1);
}

static void through_native() {
  std::printf("native: ");
  try {
    native_call(thrower, 2);
  } catch (Base& b) {
    std::printf("%s %d", b.name(), b.code);
  }
  std::printf(" %d", back(3));
  std::printf(" %d %d", native_catch(back, 9), native_catch(back, 8));
  for (int k = 0; k < 5; k++) {
    try {
      Mark m("k");
      native_throw(k);
    } catch (int i) {
      std::printf(" int %d", i);
    } catch (Derived& d) {
      std::printf(" %d %ld", d.code, d.pad[1]);
    } catch (std::exception& e) {
      std::printf(" %s", e.what());
    } catch (const char* s) {
      std::printf(" %s", s);
    } catch (...) {
      std::printf(" other");
    }
  }
  try {
    native_rethrow(thrower, 3);
  } catch (std::string& s) {
    std::printf(" %s\n", s.c_str());
  }
  for (int n : {0, 1, 3, 4}) std::printf("other module %d\n", other_module(n));
  try {
    other_module(2);
  } catch (Base& b) {
    std::printf("from the other module %d\n", b.code);
  }
  try {
    throw_local(4);
  } catch (...) {
    std::printf("a type nobody knows\n");
  }
}

// Values that live across calls in registers, changed before the call that throws.
NOINLINE static int maybe(int n, int limit) {
  if (n == limit) throw n;
  return n + zero;
}
NOINLINE static void registers(long a, long b, long c, double x, double y) {
  long d = a * 3, e = b * 5, f = c * 7, g = a + b, h = b + c, sum = 0;
  double z = x * y;
  int i = 0;
  try {
    for (;; i++) {
      a += i, b ^= a, c -= b, d += c, e ^= d, f += e, g -= f, h ^= g;
      x += 0.5, y = x * 1.25, z += y;
      sum += maybe(i, 9);
    }
  } catch (int n) {
    std::printf("registers: %d %d %ld %ld %ld %ld %ld %ld %ld %ld %ld %g %g %g\n", n, i, sum, a, b, c, d, e, f, g, h, x,
                y, z);
  }
}
struct Big {
  long v[6];
};
NOINLINE static Big big(int n) {
  if (n == 2) throw 77;
  return Big{{n, n + 1, n + 2, n + 3, n + 4, n + 5}};
}
NOINLINE static long double extended(int n) {
  if (n == 2) throw 78.5L;
  return n * 1.5L;
}
NOINLINE static int many(int a, int b, int c, int d, int e, int f, int g, long h, Big i, double j) {
  if (a == 3) throw a + b + c + d + e + f + g + int(h) + int(i.v[5]) + int(j);
  return a + g + int(h);
}
static void results() {
  std::printf("results:");
  for (int n = 0; n < 4; n++) {
    long double l = 0.25L;
    try {
      Mark m("m");
      l += extended(n);
      Big b = big(n);
      std::printf(" %ld %ld", b.v[0], b.v[5]);
      std::printf(" %d", many(n, 2, 3, 4, 5, 6, 7, 8, b, 2.5));
      l *= 2;
    } catch (int i) {
      std::printf(" int %d %Lg", i, l);
    } catch (long double d) {
      std::printf(" ld %Lg %Lg", d, l);
    }
  }
  std::printf("\n");
}

NOINLINE static int deep(int n) {
  Mark* volatile keep = nullptr;
  (void)keep;
  std::string s(size_t(n % 30), 'x');
  if (n == 0) throw std::runtime_error("bottom");
  return deep(n - 1) + int(s.size());
}
NOINLINE static int deep_alloca(int n) {
  char* p = static_cast<char*>(__builtin_alloca(size_t(n * 16 + 1)));
  p[0] = char(n);
  Counted guard;
  alignas(64) char aligned[64];
  aligned[n % 64] = p[0];
  if ((reinterpret_cast<unsigned long>(aligned) & 63) != 0) std::printf("misaligned ");
  if (n == 0) throw long(n);
  int r = deep_alloca(n - 1);
  return r + p[0] + aligned[n % 64];
}
static void recursion() {
  try {
    deep(5000);
  } catch (std::runtime_error& e) {
    std::printf("recursion: %s\n", e.what());
  }
  Counted::made = 1000;
  Counted::alive = 0;
  try {
    deep_alloca(100);
  } catch (long) {
    std::printf("alloca: alive %d made %d\n", Counted::alive, Counted::made);
  }
}

static void pointers() {
  std::exception_ptr p, q;
  try {
    Mark m("p");
    thrower(4);
  } catch (...) {
    p = std::current_exception();
  }
  try {
    std::vector<int>().at(3 + size_t(zero));
  } catch (...) {
    q = std::current_exception();
  }
  for (int k = 0; k < 2; k++) {
    try {
      std::rethrow_exception(p);
    } catch (std::out_of_range& e) {
      std::printf("pointer: %s\n", e.what());
    }
    std::swap(p, q);
  }
  try {
    try {
      throw std::runtime_error("inner");
    } catch (...) {
      std::throw_with_nested(std::logic_error("outer"));
    }
  } catch (std::exception& e) {
    std::printf("nested: %s", e.what());
    try {
      std::rethrow_if_nested(e);
    } catch (std::exception& f) {
      std::printf(" > %s\n", f.what());
    }
  }
}

struct Watch {
  ~Watch() { std::printf("uncaught %d ", std::uncaught_exceptions()); }
};
static void uncaught() {
  {
    Watch w;
  }
  try {
    Watch w;
    throw 1;
  } catch (int) {
    Watch w;
  }
  std::printf("\n");
}

static jmp_buf jump;
NOINLINE static void jumper(int n) {
  if (n == 0) longjmp(jump, 3);
  jumper(n - 1);
}
static void neighbours() {
  volatile int kept = 1;
  try {
    int r = setjmp(jump);
    std::printf("setjmp %d", r);
    if (r == 0) {
      kept = 2;
      jumper(3);
    }
    kept += r;
    Mark m("j");
    throw kept + 0;
  } catch (int k) {
    std::printf(" caught %d\n", k);
  }
}

static void library() {
  std::map<int, std::function<int(int)>> table;
  table[0] = [](int n) { return thrower(n); };
  table[1] = [](int n) -> int { throw Base(n); };
  for (auto& [k, f] : table) {
    try {
      std::printf("%d ", f(1));
    } catch (int i) {
      std::printf("function int %d ", i);
    } catch (Base& b) {
      std::printf("function base %d ", b.code);
    }
  }
  try {
    std::string s("abc");
    s.substr(5);
  } catch (std::out_of_range&) {
    std::printf("substr ");
  }
  try {
    size_t huge = size_t(-1) / 2 + size_t(zero);
    std::unique_ptr<char[]> p(new char[huge]);
    std::printf("%p", static_cast<void*>(p.get()));
  } catch (std::bad_alloc&) {
    std::printf("bad_alloc ");
  }
  try {
    Other o;
    Other& r = o;
    dynamic_cast<Derived&>(r).code = 3;
  } catch (std::bad_cast&) {
    std::printf("bad_cast ");
  }
  try {
    std::stoi("zero");
  } catch (std::invalid_argument& e) {
    std::printf("%s\n", e.what());
  }
}

int specification();  // specification.cpp
int ends(const char* how);

int main(int argc, char** argv) {
  if (argc > 1) return ends(argv[1]);
  for (int n = 0; n < 9; n++) by_type(n);
  rethrow();
  nested();
  arrays();
  constructors();
  through_native();
  registers(1 + zero, 2 + zero, 3 + zero, 1.5, 2.5);
  results();
  recursion();
  pointers();
  uncaught();
  neighbours();
  library();
  return specification();
}
