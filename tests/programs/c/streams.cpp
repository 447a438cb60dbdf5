// C++ as native objects: streams, exceptions through several frames and out of threads, thread_local objects with
// constructors, run-time type information, static initialisation order within a file, inline functions in COMDAT
// groups.
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <typeinfo>
#include <vector>

namespace {

struct Shape {
  virtual ~Shape() = default;
  virtual double area() const = 0;
};
struct Square : Shape {
  explicit Square(double s) : side(s) {}
  double area() const override { return side * side; }
  double side;
};
struct Disc : Shape {
  double area() const override { throw std::domain_error("no area"); }
};

struct Counter {
  Counter() : value(10) {}
  ~Counter() { ended++; }
  int value;
  static inline int ended = 0;
};
thread_local Counter counter;
thread_local std::string name = "unnamed";

std::map<std::string, int>& table() {
  static std::map<std::string, int> t{{"one", 1}, {"two", 2}};
  return t;
}
const int first = table()["one"], second = table()["two"] + first;

struct Guard {
  explicit Guard(std::ostream& o) : out(o) {}
  ~Guard() { out << "guard\n"; }
  std::ostream& out;
};

int deep(int n, std::ostream& out) {
  Guard g(out);
  if (n == 0) throw std::runtime_error("bottom");
  return deep(n - 1, out) + 1;
}

}  // namespace

int main() {
  std::vector<std::unique_ptr<Shape>> shapes;
  shapes.push_back(std::make_unique<Square>(3));
  shapes.push_back(std::make_unique<Disc>());
  for (auto& s : shapes) {
    try {
      std::cout << s->area() << ' ' << (dynamic_cast<Square*>(s.get()) ? "square" : "other") << ' '
                << (typeid(*s) == typeid(Disc)) << '\n';
    } catch (const std::logic_error& e) {
      std::cout << "caught " << e.what() << '\n';
    }
  }
  std::ostringstream text;
  try {
    deep(3, text);
  } catch (const std::exception& e) {
    text << e.what();
  }
  std::cout << text.str() << '\n';

  std::exception_ptr problem;
  std::thread worker([&] {
    counter.value += 5;
    name = "worker";
    try {
      throw counter.value;
    } catch (...) {
      problem = std::current_exception();
    }
  });
  worker.join();
  try {
    std::rethrow_exception(problem);
  } catch (int v) {
    std::cout << "from a thread: " << v << ", here " << counter.value << ' ' << name << ", ended " << Counter::ended
              << '\n';
  }
  std::cout << first << ' ' << second << std::endl;
  return 0;
}
