// Exceptions through several frames with destructors, rethrow, RTTI, virtual calls, statics, containers, streams.
#include <cstdio>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
struct Shape {
  virtual ~Shape() = default;
  virtual double area() const = 0;
};
struct Square : Shape {
  double s;
  explicit Square(double v) : s(v) {}
  double area() const override { return s * s; }
};
struct Circle : virtual Shape {
  double r = 2;
  double area() const override { return 3 * r * r; }
};
static int alive; struct Guard { Guard() { alive++; } ~Guard() { alive--; } };
static void thrower(int n) {
  Guard g;
  if (n == 0) throw std::out_of_range("deep");
  std::string s(n * 10, 'x');
  thrower(n - 1);
}
static std::string& global() {
  static std::string s = "initialised once";
  return s;
}
thread_local std::string per_thread = "tls";
inline int counter() { static int n = 0; return ++n; }
int main() {
  std::string log;
  try {
    try {
      thrower(5);
    } catch (const std::logic_error& e) {
      log += e.what();
      throw;
    }
  } catch (const std::exception& e) { log += dynamic_cast<const std::out_of_range*>(&e) ? "+range" : "+other"; }
  if (log != "deep+range" || alive != 0) return 1;
  std::vector<std::unique_ptr<Shape>> v;
  v.push_back(std::make_unique<Square>(3));
  v.push_back(std::make_unique<Circle>());
  double a = 0;
  for (auto& s : v) a += s->area();
  if (a != 21) return 2;
  std::map<std::string, int> m;
  std::istringstream in("the cat and the dog and the bird");
  for (std::string w; in >> w;) m[w]++;
  std::ostringstream out;
  for (auto& [k, n] : m) out << k << '=' << n << ' ';
  std::puts(out.str().c_str());
  std::string from;
  std::thread t([&] {
    per_thread += "!";
    from = per_thread + global();
    try {
      throw 7;
    } catch (int i) { from += char('0' + i); }
  });
  t.join();
  if (from != "tls!initialised once7" || per_thread != "tls") return 3;
  counter();
  try {
    throw std::runtime_error("x");
  } catch (...) { counter(); }
  return counter() == 3 && log.size() == 10 ? 0 : 4;
}
