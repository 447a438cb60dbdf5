#include "common.h"

namespace {
struct Local {
  int n;
};
}  // namespace

int other_module(int n) {
  Mark m("other");
  try {
    if (n & 1) throw Local{n};
    if (n & 2) throw Base(n);
    return n;
  } catch (const Local& l) {
    return -l.n;
  }
}

void throw_local(int n) { throw Local{n}; }
