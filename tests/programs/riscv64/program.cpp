// What a C++ program asks of its code and of its linker: virtual bases, exceptions through destructors and threads,
// thread-local objects, streams, regular expressions, 128-bit and quadruple precision arithmetic.
#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Base {
  int v = 7;
  virtual ~Base() {}
  virtual int f() { return v; }
};
struct Left : virtual Base {
  int a = 1;
  int f() override { return a + v; }
};
struct Right : virtual Base {
  int b = 2;
  int f() override { return b * v; }
};
struct Both : Left, Right {
  int c = 3;
  int f() override { return Left::f() * 100 + Right::f() + c; }
};

thread_local std::string name = "unset";
thread_local int counter = 5;
std::atomic<long> total;
std::mutex guard;

struct Noisy {
  int i;
  std::vector<int>* log;
  ~Noisy() { log->push_back(i); }
};

int deep(int n, std::vector<int>* log) {
  Noisy x{n, log};
  if (n == 0) throw std::runtime_error("bottom");
  return deep(n - 1, log) + 1;
}

template <class T>
T polynomial(T x) {
  T r = 1;
  for (int i = 0; i < 5; i++) r = r * x + T(i);
  return r;
}

void classes() {
  Both c;
  Base* v = &c;
  Left* l = &c;
  Right* r = &c;
  std::cout << v->f() << ' ' << l->f() << ' ' << r->f() << ' ' << dynamic_cast<Both*>(v)->c << ' '
            << (dynamic_cast<Left*>(r) == l) << '\n';
  std::vector<std::shared_ptr<Base>> all;
  for (int i = 0; i < 3; i++)
    all.push_back(i % 2 ? std::static_pointer_cast<Base>(std::make_shared<Left>()) : std::make_shared<Right>());
  std::sort(all.begin(), all.end(), [](auto& x, auto& y) { return x->f() < y->f(); });
  for (auto& x : all) std::cout << x->f() << ' ';
  std::cout << '\n';
}

void exceptions() {
  std::vector<int> log;
  try {
    deep(5, &log);
  } catch (const std::exception& e) {
    std::cout << "caught " << e.what();
    for (int i : log) std::cout << ' ' << i;
    std::cout << '\n';
  }
  try {
    try {
      throw 42;
    } catch (int& i) {
      i++;
      throw;
    }
  } catch (int i) {
    std::cout << i << '\n';
  }
  auto far = std::async(std::launch::async, []() -> int { throw std::out_of_range("far"); });
  try {
    far.get();
  } catch (std::logic_error& e) {
    std::cout << "future: " << e.what() << '\n';
  }
}

void threads() {
  std::vector<std::thread> all;
  std::vector<std::string> got(4);
  for (int i = 0; i < 4; i++)
    all.emplace_back([i, &got] {
      name = "thread" + std::to_string(i);
      for (int k = 0; k < 100; k++) {
        total += i;
        counter++;
      }
      std::lock_guard<std::mutex> lock(guard);
      got[i] = name + ":" + std::to_string(counter);
    });
  for (auto& t : all) t.join();
  for (auto& s : got) std::cout << s << ' ';
  std::cout << total << ' ' << name << ' ' << counter << '\n';
}

void numbers() {
  const std::map<std::string, double> values{{"pi", 3.14159265}, {"e", 2.718281828}};
  for (auto& [k, x] : values)
    std::cout << k << '=' << std::setprecision(9) << x << ' ' << std::hexfloat << x << std::defaultfloat << ' '
              << polynomial(x) << ' ' << polynomial(float(x)) << ' ' << polynomial(static_cast<long double>(x)) << '\n';
  const std::function<__int128(__int128)> g = [](__int128 x) { return x * x / 7; };
  const __int128 r = g(__int128{1} << 40);
  std::cout << long(r >> 32) << ' ' << unsigned(r) << '\n';
}

int main() {
  classes();
  exceptions();
  threads();
  numbers();
  const std::regex address("(\\w+)@(\\w+)\\.com");
  const std::string text = "bob@example.com, al@test.com";
  for (std::sregex_iterator i(text.begin(), text.end(), address), end; i != end; ++i)
    std::cout << (*i)[1] << " at " << (*i)[2] << std::endl;
}
