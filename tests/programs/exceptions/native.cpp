#include "common.h"

int native_call(int (*f)(int), int n) {
  Mark m("native");
  return f(n) + 1;
}

int native_catch(int (*f)(int), int n) {
  try {
    return f(n);
  } catch (Base& b) {
    return 1000 + b.code;
  } catch (long l) {
    return 2000 + int(l);
  }
}

void native_throw(int kind) {
  switch (kind) {
    case 0: throw 42;
    case 1: throw Derived(17);
    case 2: throw std::runtime_error("from native code");
    case 3: throw "text";
    default: throw 2.5;
  }
}

int native_rethrow(int (*f)(int), int n) {
  try {
    return f(n);
  } catch (...) {
    std::printf("<again>");
    throw;
  }
}
