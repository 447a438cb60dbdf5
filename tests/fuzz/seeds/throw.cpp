// COMDAT groups, unwind information with personality and language-specific data, type information, local statics.
struct Base {
  virtual ~Base() {}
  virtual int call(int x) { return x; }
};
template <int N>
struct Derived : Base {
  int call(int x) override {
    static int n = x;
    if (x > N) throw N;
    return n++;
  }
};
int try_it(int x) {
  try {
    Derived<3> d;
    Derived<4> e;
    Base* b = x & 1 ? static_cast<Base*>(&d) : &e;
    return b->call(x);
  } catch (int i) {
    return i;
  } catch (...) {
    return -1;
  }
}
